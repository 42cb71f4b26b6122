//! The server's side: one thread, one loop; see the module.

#![allow(unsafe_code, reason = "descriptors by number, a fork")]

use std::io;
use std::os::fd::{AsFd, IntoRawFd, OwnedFd, RawFd};

use super::spare::{Forked, Spare};
use crate::process::ticket::ServerTicket;
use crate::sys::arrivals::Arrivals;
use crate::sys::clock::Deadline;
use crate::sys::fork::Forker;
use crate::sys::page::NumberPage;
use crate::sys::signals::{self, Dispositions};
use crate::sys::warm::Pages;
use crate::sys::{descriptor, per_process, pidfd, program, socket};
use crate::testing::{self, FatalStep};
use crate::world::{self, Given};

/// What the parent sends to have a child made.
pub(super) const ASK: u8 = b'?';
/// An answer is two words: one of these, and a number.
pub(super) const ANSWER: usize = 8;
/// There is a spare child of that number. With the answer come [`GIVEN`] descriptors: its pidfd, and the socket on which it waits
/// for its request.
pub(super) const STARTED: u32 = 1;
pub(super) const GIVEN: usize = 2;
/// The system refuses to fork; the number of its error.
pub(super) const FAILED: u32 = 2;
/// This process cannot be forked; the number of the reason in [`crate::sys::fork::REASONS`].
pub(super) const UNABLE: u32 = 3;

struct Server {
    socket: OwnedFd,
    parent: OwnedFd,
    /// Readable when a signal has come to the process that polls it.
    signals: Arrivals,
    page: NumberPage,
    /// The world, as each child has it by its fork; `None` if it could not be mapped.
    view: Option<Given>,
    /// What a child brings in while it has nothing to do.
    pages: Pages,
    forker: Result<Forker, u32>,
    /// For tests: where to die.
    fatal: Option<FatalStep>,
}

/// What a fork has made, as the two processes see it.
enum Made {
    /// This is the child; its end of the socket.
    Here(OwnedFd),
    There(Child),
}

/// A spare child: its number, its pidfd, and the parent's end of its socket.
struct Child {
    number: u32,
    process: OwnedFd,
    far: OwnedFd,
}

/// Why there is none: what to answer, and the number that goes with it.
type Reason = (u32, u32);

/// Serves the parent, whose ticket this is; returns in each child that has its request, and nowhere else.
///
/// To be called once, at the very beginning of a process: before anything is opened, and with one thread.
pub(crate) fn serve(ticket: &ServerTicket) -> Forked {
    let found = Dispositions::of_this_thread();
    signals::block_all();
    let Ok(server) = Server::begin(ticket) else { program::leave(0) };
    loop {
        server.step(1);
        if !server.is_asked() {
            program::leave(0);
        }
        server.step(2);
        let child = match server.fork() {
            Ok(Made::Here(end)) => {
                // Closed here, before anything else; the page was not forked.
                let Server { socket, parent, signals, page, view, pages, .. } = server;
                drop(socket);
                std::mem::forget(page);
                return Spare::new(end, parent, signals, view).wait(&pages, ticket, &found);
            }
            Ok(Made::There(child)) => Ok(child),
            Err(reason) => Err(reason),
        };
        server.step(3);
        if server.answer(child).is_err() {
            program::leave(0);
        }
        server.step(4);
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
        let (signals, view) = (Arrivals::new()?, prepare(world));
        // The memory from which each child has its number in `per_process` is there already.
        per_process::process();
        let (pages, forker) = (Pages::of_this_process(), Forker::of_this_process());
        let server = Server { socket: socket?, parent, signals, page, view, pages, forker, fatal };
        server.step(0);
        Ok(server)
    }

    /// Waits until it is asked for a child; `false` if the parent has ended or closed the socket, or says something else.
    fn is_asked(&self) -> bool {
        let socket = self.socket.as_fd();
        let ready = descriptor::readable(&[socket, self.parent.as_fd()], Deadline::NEVER);
        let mut word = [0];
        ready.is_ok_and(|ready| ready[0] && !ready[1])
            && socket::receive(socket, &mut word, 0, &mut Vec::new()).is_ok_and(|len| len == 1)
            && word == [ASK]
    }

    /// Forks a child that waits at its end of a new pair of sockets.
    fn fork(&self) -> Result<Made, Reason> {
        let forker = self.forker.as_ref().map_err(|reason| (UNABLE, *reason))?;
        let failed = |error: io::Error| (FAILED, error.raw_os_error().unwrap_or(0) as u32);
        let (end, far) = socket::pair().map_err(failed)?;
        // SAFETY: `forker` has seen one thread, and this module starts none; the place is in a page that is mapped.
        if unsafe { forker.fork(self.page.as_ptr()) }.map_err(failed)? {
            return Ok(Made::Here(end));
        }
        let number = self.page.number();
        // Without a pidfd the child finds its socket closed and ends; its parent has its number from the page.
        pidfd::open(number)
            .map(|process| Made::There(Child { number, process, far }))
            .map_err(failed)
    }

    fn answer(&self, child: Result<Child, Reason>) -> io::Result<()> {
        let (what, number) = match &child {
            Ok(child) => (STARTED, child.number),
            Err(reason) => *reason,
        };
        let mut answer = [0; ANSWER];
        answer[..4].copy_from_slice(&what.to_ne_bytes());
        answer[4..].copy_from_slice(&number.to_ne_bytes());
        let given = child.as_ref().map(|child| [child.process.as_fd(), child.far.as_fd()]);
        socket::send(self.socket.as_fd(), &answer, given.as_ref().map_or(&[][..], |given| given))
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

/// Maps the world whose descriptor has this number. If that cannot be done, each child tries again when it joins, and tells why not.
fn prepare(world: RawFd) -> Option<Given> {
    // SAFETY: the parent put it there for this server and its children, and nobody else in this process owns it.
    let file = unsafe { descriptor::inherited(world) }.ok()?;
    let view = file.try_clone().ok().and_then(|file| world::prepare(file).ok());
    if view.is_none() {
        // Still there for the child to be.
        let _ = file.into_raw_fd();
    }
    view
}
