//! The server's side: one thread, one loop; see the module.

#![allow(unsafe_code, reason = "descriptors by number, a fork")]

use std::io;
use std::os::fd::{AsFd, OwnedFd, RawFd};

use super::settings::{DESCRIPTORS, HEAD, Request, body_len};
use crate::process::ending::CANNOT_TELL;
use crate::process::ticket::{ServerTicket, Ticket};
use crate::sys::clock::Deadline;
use crate::sys::fork::Forker;
use crate::sys::page::NumberPage;
use crate::sys::signals::{self, Dispositions};
use crate::sys::{descriptor, per_process, pidfd, program, socket};
use crate::testing::{self, FatalStep};

/// An answer is two words: one of these, and a number.
pub(super) const ANSWER: usize = 8;
/// The child's number is in the page.
pub(super) const STARTED: u32 = 1;
/// The system refuses to fork; the number of its error.
pub(super) const FAILED: u32 = 2;
/// This process cannot be forked; the number of the reason in [`crate::sys::fork::REASONS`].
pub(super) const UNABLE: u32 = 3;

/// A new child: what it is to do, and whether it is what its parent wants it to be.
pub(crate) struct Forked {
    pub(crate) ticket: Ticket,
    pub(crate) settings: io::Result<()>,
}

struct Server {
    socket: OwnedFd,
    parent: OwnedFd,
    page: NumberPage,
    forker: Result<Forker, u32>,
    /// For tests: where to die.
    fatal: Option<FatalStep>,
}

/// A request as it came: nobody has looked into it.
struct Work {
    body: Vec<u8>,
    descriptors: Vec<OwnedFd>,
}

/// Serves the parent, whose ticket this is; returns in each child and nowhere else.
///
/// To be called once, at the very beginning of a process: before anything is opened, and with one thread.
pub(crate) fn serve(ticket: &ServerTicket) -> Forked {
    let found = Dispositions::of_this_thread();
    signals::block_all();
    let Ok(server) = Server::begin(ticket) else { end() };
    loop {
        server.step(1);
        let Some(work) = server.next_request() else { end() };
        server.step(2);
        let outcome = server.fork();
        if matches!(outcome, Ok(true)) {
            // Closed here, before anything else; the page was not forked.
            let Server { socket, parent, page, .. } = server;
            drop((socket, parent));
            std::mem::forget(page);
            return begin_child(work, ticket, &found);
        }
        server.step(3);
        drop(work);
        if server.answer(outcome).is_err() {
            end();
        }
        server.step(4);
    }
}

fn end() -> ! {
    program::leave(0)
}

/// Makes a new child what the request says.
fn begin_child(work: Work, ticket: &ServerTicket, found: &Dispositions) -> Forked {
    match Request::unpack(&work.body) {
        Some((child, request)) if child.world == ticket.world => {
            Forked { ticket: child, settings: request.apply(work.descriptors, found) }
        }
        // Damaged: where the call stands, and with it who could be told, is not known.
        _ => program::leave(CANNOT_TELL),
    }
}

impl Server {
    fn begin(ticket: &ServerTicket) -> io::Result<Server> {
        let fatal = testing::fatal_step();
        let [socket, page, world] =
            [ticket.socket, ticket.page, ticket.world].map(|it| it as RawFd);
        // SAFETY: the process is at its beginning (the caller of `serve`): nothing but the ticket means anything by a number.
        unsafe { descriptor::close_others(&mut [socket, page, world]) };
        // SAFETY: the parent put these there for nobody but this function, which runs once.
        let [socket, page] = [socket, page].map(|it| unsafe { descriptor::inherited(it) });
        let page = NumberPage::open(page?).map_err(io::Error::other)?;
        page.keep_from_forks();
        let parent = pidfd::open(ticket.parent)?;
        if program::parent_id() != ticket.parent {
            // It has ended, and the number is another's.
            return Err(io::ErrorKind::NotFound.into());
        }
        descriptor::change_directory(descriptor::folder(c"/")?.as_fd())?;
        // The page from which each child has its number is there already.
        per_process::process();
        let forker = Forker::of_this_process();
        let server = Server { socket: socket?, parent, page, forker, fatal };
        server.step(0);
        Ok(server)
    }

    /// Waits for a request and reads it; `None` if the parent has ended or closed the socket, or if it is no request.
    fn next_request(&self) -> Option<Work> {
        let mut descriptors = Vec::new();
        let mut bytes = Vec::new();
        let mut part = [0; 4 * 1024];
        loop {
            let ready =
                descriptor::readable(&[self.socket.as_fd(), self.parent.as_fd()], Deadline::NEVER);
            if !ready.is_ok_and(|ready| ready[0] && !ready[1]) {
                return None;
            }
            let socket = self.socket.as_fd();
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

    /// Forks; whether this is the child.
    fn fork(&self) -> Result<bool, (u32, u32)> {
        let forker = self.forker.as_ref().map_err(|reason| (UNABLE, *reason))?;
        // SAFETY: `forker` has seen one thread, and this module starts none; the place is in a page that is mapped.
        let forked = unsafe { forker.fork(self.page.as_ptr()) };
        forked.map_err(|error| (FAILED, error.raw_os_error().unwrap_or(0) as u32))
    }

    fn answer(&self, outcome: Result<bool, (u32, u32)>) -> io::Result<()> {
        let (what, number) = outcome.map_or_else(|why| why, |_| (STARTED, 0));
        let mut answer = [0; ANSWER];
        answer[..4].copy_from_slice(&what.to_ne_bytes());
        answer[4..].copy_from_slice(&number.to_ne_bytes());
        socket::send(self.socket.as_fd(), &answer, &[])
    }

    /// A step of the loop, at which tests have it killed.
    fn step(&self, step: u32) {
        if let Some(fatal) = &self.fatal
            && fatal.is_now(step)
        {
            program::kill();
        }
    }
}
