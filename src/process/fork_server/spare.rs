//! The spare child's side: everything that can be done before it is known what the child is to be; see the module.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use super::settings::{DESCRIPTORS, HEAD, Request, body_len};
use crate::process::ending::CANNOT_TELL;
use crate::process::ticket::{ServerTicket, Ticket};
use crate::sys::arrivals::Arrivals;
use crate::sys::clock::Deadline;
use crate::sys::signals::Dispositions;
use crate::sys::warm::Pages;
use crate::sys::{descriptor, per_process, program, socket};
use crate::world;

/// What `ps` shows of a child that has nothing to do yet.
const NAME: &[u8] = b"multiproc-spare";

/// A new child: what it is to do, whether it is what its parent wants it to be, and its view of the world, if it could be made
/// ahead.
pub(crate) struct Forked {
    pub(crate) ticket: Ticket,
    pub(crate) settings: io::Result<()>,
    pub(crate) view: Option<world::Given>,
}

/// A request as it came: nobody has looked into it.
struct Work {
    body: Vec<u8>,
    descriptors: Vec<OwnedFd>,
}

/// A child without a request.
pub(super) struct Spare {
    socket: OwnedFd,
    parent: OwnedFd,
    signals: Arrivals,
    view: Option<world::Given>,
}

impl Spare {
    /// `view` was made by the server, for this child to go on with.
    pub(super) fn new(
        socket: OwnedFd,
        parent: OwnedFd,
        signals: Arrivals,
        view: Option<world::Given>,
    ) -> Spare {
        Spare { socket, parent, signals, view: view.map(world::Given::inherit) }
    }

    /// Makes ready, waits for the request, and becomes what it says. `pages` are what every child needs; `found` is how the server
    /// found its signals.
    pub(super) fn wait(self, pages: &Pages, server: &ServerTicket, found: &Dispositions) -> Forked {
        program::take_name(NAME);
        per_process::process();
        pages.bring(|| {
            descriptor::readable(&[self.socket.as_fd()], Deadline::NOW).is_ok_and(|ready| ready[0])
        });
        let Some(work) = self.next_request() else { program::leave(0) };
        let Spare { socket, parent, signals, view } = self;
        // Before anything is put at their numbers.
        drop((socket, parent, signals));
        match Request::unpack(&work.body) {
            Some((ticket, request)) if ticket.world == server.world => {
                Forked { ticket, settings: request.apply(work.descriptors, found), view }
            }
            // Damaged: where the call stands, and with it who could be told, is not known.
            _ => program::leave(CANNOT_TELL),
        }
    }

    /// Waits for a request and reads it; `None` if the parent has ended or closed the socket, or if it is no request.
    fn next_request(&self) -> Option<Work> {
        let (socket, parent, signals) =
            (self.socket.as_fd(), self.parent.as_fd(), self.signals.as_fd());
        let mut descriptors = Vec::new();
        let mut bytes = Vec::new();
        let mut part = [0; 4 * 1024];
        loop {
            let ready = descriptor::readable(&[socket, parent, signals], Deadline::NEVER).ok()?;
            if ready[1] {
                return None;
            }
            if !ready[0] {
                // It came before the start, and so not to the child that this will be. What comes from now on waits until the
                // child has its own signal mask.
                self.signals.discard();
                continue;
            }
            let len = socket::receive(socket, &mut part, DESCRIPTORS, &mut descriptors).ok()?;
            if len == 0 {
                return None;
            }
            bytes.extend_from_slice(&part[..len]);
            let Some((head, body)) = bytes.split_first_chunk::<HEAD>() else { continue };
            let whole = body_len(head)?;
            if body.len() == whole {
                return Some(Work { body: bytes.split_off(HEAD), descriptors });
            }
            if body.len() > whole {
                return None;
            }
        }
    }
}
