//! What a child of the fork server takes over from its parent at the time of its start.
//!
//! On the socket: a head of 16 bytes ([`MAGIC`], length of the body), then the body in postcard's form. With the first byte come
//! descriptors: the working directory, then the standard streams that are open, in their order.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use serde::{Deserialize, Serialize};

use crate::process::ticket::Ticket;
use crate::sys::descriptor;
use crate::sys::program::{self, LIMITS};
use crate::sys::signals::Dispositions;

/// `mprocask` in the byte order of the machine.
const MAGIC: u64 = u64::from_be_bytes(*b"mprocask");
pub(super) const HEAD: usize = 16;
/// A request above this is none: the system limits the environment to less.
const MOST: u64 = 64 << 20;
/// The working directory and three streams.
pub(super) const DESCRIPTORS: usize = 4;

/// A child's standard streams, as far as they are open.
pub(crate) type Streams<'a> = [Option<BorrowedFd<'a>>; 3];

/// What a child is to take over.
#[derive(Debug)]
pub(crate) struct Settings<'a> {
    pub(crate) env: &'a [CString],
    pub(crate) directory: BorrowedFd<'a>,
    pub(crate) streams: Streams<'a>,
}

/// The body of a request.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request {
    /// What a spawned child would have in its environment.
    ticket: Ticket,
    env: Vec<CString>,
    /// Limits that differ from the server's: number, soft, hard.
    limits: Vec<(u32, u64, u64)>,
    /// Which standard streams are open.
    streams: [bool; 3],
    signals: Dispositions,
}

/// A request as it is sent.
pub(super) struct Packed<'a> {
    pub(super) bytes: Vec<u8>,
    pub(super) descriptors: Vec<BorrowedFd<'a>>,
}

impl<'a> Settings<'a> {
    /// `server` has the limits that the server started with.
    pub(super) fn pack(&self, ticket: Ticket, server: &[(u64, u64); LIMITS]) -> Packed<'a> {
        let limits = program::all_limits();
        let changed = (0..LIMITS).filter(|&at| limits[at] != server[at]);
        let request = Request {
            ticket,
            env: self.env.to_vec(),
            limits: changed.map(|at| (at as u32, limits[at].0, limits[at].1)).collect(),
            streams: self.streams.map(|stream| stream.is_some()),
            signals: Dispositions::of_this_thread(),
        };
        let mut bytes = vec![0; HEAD];
        bytes[..8].copy_from_slice(&MAGIC.to_ne_bytes());
        // Into a vector, of text and numbers: nothing that can fail.
        let mut bytes = postcard::to_extend(&request, bytes).unwrap_or_default();
        if let Some(body) = bytes.len().checked_sub(HEAD) {
            bytes[8..HEAD].copy_from_slice(&(body as u64).to_ne_bytes());
        }
        let streams = self.streams.into_iter().flatten();
        Packed { bytes, descriptors: std::iter::once(self.directory).chain(streams).collect() }
    }
}

/// The length of the body behind a head, if it is one.
pub(super) fn body_len(head: &[u8; HEAD]) -> Option<usize> {
    let word = |at: usize| Some(u64::from_ne_bytes(head.get(at..at + 8)?.try_into().ok()?));
    let len = word(8)?;
    (word(0)? == MAGIC && len <= MOST).then_some(len as usize)
}

impl Request {
    /// Reads a request in the new child.
    pub(super) fn unpack(body: &[u8]) -> Option<(Ticket, Request)> {
        let request: Request = postcard::from_bytes(body).ok()?;
        Some((request.ticket, request))
    }

    /// Makes the child what its parent wants it to be. Its one thread is the caller.
    /// `server` is how the server found its signals.
    pub(super) fn apply(self, descriptors: Vec<OwnedFd>, server: &Dispositions) -> io::Result<()> {
        let mut given = descriptors.into_iter();
        let directory = given.next().ok_or_else(descriptor::limit)?;
        for (number, is_open) in self.streams.into_iter().enumerate() {
            if is_open {
                // Fewer than announced: the server's table was full.
                let stream = given.next().ok_or_else(descriptor::limit)?;
                descriptor::put_at(stream.as_fd(), number as i32)?;
            } else {
                descriptor::close_standard(number as i32);
            }
        }
        descriptor::open_standard();
        descriptor::change_directory(directory.as_fd())?;
        for (number, soft, hard) in self.limits {
            program::set_limit(number, soft, hard)?;
        }
        program::set_environment(self.env);
        self.signals.apply(server);
        Ok(())
    }
}

/// Any bytes, as a head with what follows it and as a body.
#[cfg(feature = "testing")]
pub(crate) fn read_request(bytes: &[u8]) {
    if let Some((head, rest)) = bytes.split_first_chunk() {
        let body = body_len(head).and_then(|len| rest.get(..len));
        body.map(Request::unpack);
    }
    Request::unpack(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket() -> Ticket {
        Ticket {
            process: 1,
            call: 2,
            place: 3,
            world: 40,
            image: 5,
            ends_with_parent: true,
            alone: false,
        }
    }

    fn packed() -> Vec<u8> {
        let folder = descriptor::folder(c"/").unwrap();
        let env = [c"A=1".to_owned(), c"B=".to_owned()];
        let settings = Settings { env: &env, directory: folder.as_fd(), streams: [None; 3] };
        // A server that has other limits.
        let packed = settings.pack(ticket(), &[(0, 7); LIMITS]);
        assert_eq!(packed.descriptors.len(), 1);
        packed.bytes
    }

    #[test]
    fn a_request_is_read_back() {
        let bytes = packed();
        let (head, body) = bytes.split_first_chunk::<HEAD>().unwrap();
        assert_eq!(body_len(head), Some(body.len()));
        let (found, request) = Request::unpack(body).unwrap();
        assert_eq!(found, ticket());
        assert_eq!(request.env, [c"A=1".to_owned(), c"B=".to_owned()]);
        assert!(request.limits.len() > LIMITS / 2 && request.streams == [false; 3]);
    }

    #[test]
    fn a_damaged_request_is_none_or_another_one() {
        let bytes = packed();
        let (head, body) = bytes.split_first_chunk::<HEAD>().unwrap();
        for len in 0..body.len() {
            assert!(Request::unpack(&body[..len]).is_none(), "{len}");
        }
        for bit in 0..body.len() * 8 {
            let mut body = body.to_vec();
            body[bit / 8] ^= 1 << (bit % 8);
            // Whatever it says now: it is data, which the child checks as it checks its call.
            let _ = Request::unpack(&body);
        }
        for bit in 0..64 {
            let mut head = *head;
            head[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(body_len(&head), None);
        }
        let mut head = *head;
        head[8..].copy_from_slice(&u64::MAX.to_ne_bytes());
        assert_eq!(body_len(&head), None, "more than any environment has");
    }
}
