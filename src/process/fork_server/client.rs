//! The parent's side: starting the server, asking it for a child; see the module.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Mutex;

use super::server::{ANSWER, FAILED, STARTED, UNABLE};
use super::settings::{Packed, Settings};
use crate::error::Error;
use crate::process::child::lock;
use crate::process::ticket::{ServerTicket, TICKET, Ticket};
use crate::sys::clock::Deadline;
use crate::sys::fork::REASONS;
use crate::sys::page::NumberPage;
use crate::sys::per_process::PerProcess;
use crate::sys::program::{self, LIMITS};
use crate::sys::signals::SIGKILL;
use crate::sys::{descriptor, pidfd, posix_spawn, reap, socket};

/// So many servers may die over one start.
const ATTEMPTS: u32 = 4;

/// The server of this process. Whoever starts a child holds the lock until the server has answered or is dead.
static SERVER: PerProcess<Mutex<Option<Server>>> = PerProcess::new();

/// Why no child was started.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The system refuses a process, or a descriptor.
    System(io::Error),
    /// This program cannot have a fork server.
    Unable(&'static str),
    /// It has one, and it dies whenever it is asked.
    Dies,
    Other(Error),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        Failure::System(error)
    }
}

/// A server that runs, as far as its parent knows.
#[derive(Debug)]
struct Server {
    process: OwnedFd,
    pid: u32,
    socket: OwnedFd,
    page: NumberPage,
    /// The world whose descriptor it has.
    world: i32,
    /// The limits, and the rest of what a request cannot change, with which it started.
    limits: [(u64, u64); LIMITS],
    standing: [u32; 6],
}

/// What became of a request.
enum Outcome {
    Started(u32),
    Failed(Failure),
    /// The server is dead, and there is no child.
    Died,
}

/// Starts a child, and answers its number. `program` and `args` are what a server is to execute.
pub(crate) fn start(
    program: &CStr,
    args: &[CString],
    ticket: Ticket,
    world: BorrowedFd<'_>,
    settings: &Settings<'_>,
) -> Result<u32, Failure> {
    let mut place = lock(SERVER.get_or_make());
    for _ in 0..ATTEMPTS {
        let usable = place.take().filter(|server| server.is_usable(world));
        let server = match usable {
            Some(server) => server,
            None => Server::start(program, args, world, settings.env)?,
        };
        match server.ask(&settings.pack(ticket, &server.limits))? {
            Outcome::Started(pid) => {
                *place = Some(server);
                return Ok(pid);
            }
            Outcome::Failed(failure) => {
                *place = Some(server);
                return Err(failure);
            }
            Outcome::Died => {}
        }
    }
    Err(Failure::Dies)
}

impl Server {
    fn start(
        program: &CStr,
        args: &[CString],
        world: BorrowedFd<'_>,
        env: &[CString],
    ) -> Result<Server, Failure> {
        let (socket, far) = socket::pair()?;
        let (page, file) = NumberPage::create().map_err(Failure::Other)?;
        let file = file.descriptor().map_err(Failure::Other)?;
        let null = File::options().read(true).write(true).open("/dev/null")?;
        let null = descriptor::duplicate_above(null.as_fd(), 3)?;
        let ticket = ServerTicket {
            socket: far.as_raw_fd() as u32,
            page: file.as_raw_fd() as u32,
            world: world.as_raw_fd() as u32,
            parent: std::process::id(),
        };
        let mut env = env.to_vec();
        // Text without a zero byte.
        env.extend(CString::new(format!("{TICKET}={}", ticket.to_text())));
        let (limits, standing) = (program::all_limits(), program::standing());
        // A copy to its own number only makes a descriptor stay open.
        let mut descriptors = [world, far.as_fd(), file].map(|fd| (fd, fd.as_raw_fd())).to_vec();
        descriptors.extend((0..3).map(|number| (null.as_fd(), number)));
        let pid = posix_spawn::start(&posix_spawn::Start {
            program,
            args,
            env: &env,
            directory: None,
            descriptors: &descriptors,
        })?;
        match pidfd::open(pid) {
            Ok(process) => {
                let world = world.as_raw_fd();
                Ok(Server { process, pid, socket, page, world, limits, standing })
            }
            Err(error) => {
                reap::kill_unseen(pid);
                Err(error.into())
            }
        }
    }

    /// Whether it lives, as far as one can see, and what a request cannot change is as it was.
    fn is_usable(&self, world: BorrowedFd<'_>) -> bool {
        let is_over = || descriptor::readable(&[self.process.as_fd()], Deadline::NOW);
        self.world == world.as_raw_fd()
            && self.standing == program::standing()
            && is_over().is_ok_and(|over| !over[0])
    }

    /// Sends a request, and waits for the answer or the server's end.
    fn ask(&self, request: &Packed<'_>) -> Result<Outcome, Failure> {
        self.page.clear();
        let sent = socket::send(self.socket.as_fd(), &request.bytes, &request.descriptors);
        let mut answer = [0; ANSWER];
        let answered = sent.and_then(|()| self.read(&mut answer));
        if !matches!(answered, Ok(true)) {
            // It is dead, or the system refused something to this process: then it may still be about to start the child. Of a server
            // that is dead the page says what it did.
            self.end();
            return match (self.page.number(), answered) {
                (0, Err(error)) if !is_of_the_dead(&error) => Err(error.into()),
                (0, _) => Ok(Outcome::Died),
                (pid, _) => Ok(Outcome::Started(pid)),
            };
        }
        let [what, number] = words(answer);
        Ok(match (what, self.page.number()) {
            (STARTED, pid) if pid != 0 => Outcome::Started(pid),
            (FAILED, _) => {
                Outcome::Failed(Failure::System(io::Error::from_raw_os_error(number as i32)))
            }
            (UNABLE, _) => {
                let reason = REASONS.get(number as usize).copied();
                Outcome::Failed(Failure::Unable(reason.unwrap_or("it does not say why")))
            }
            _ => {
                self.end();
                Outcome::Died
            }
        })
    }

    /// Reads an answer; `false` if the server has ended before it gave a whole one.
    fn read(&self, answer: &mut [u8; ANSWER]) -> io::Result<bool> {
        let mut len = 0;
        while len < ANSWER {
            let both = [self.socket.as_fd(), self.process.as_fd()];
            let ready = descriptor::readable(&both, Deadline::NEVER)?;
            // A child that it made may keep the socket open when it is dead.
            if !ready[0] && ready[1] {
                return Ok(false);
            }
            match socket::receive(self.socket.as_fd(), &mut answer[len..], 1, &mut Vec::new())? {
                0 => return Ok(false),
                more => len += more,
            }
        }
        Ok(true)
    }

    /// Ends the server, if it has not ended yet, and takes its status.
    fn end(&self) {
        if pidfd::signal(self.process.as_fd(), self.pid, SIGKILL).is_err() {
            // The user of this process has changed. The server leaves when nobody is at the other end.
            socket::shut(self.socket.as_fd());
        }
        // Without memory for the question it is asked again.
        while descriptor::readable(&[self.process.as_fd()], Deadline::NEVER).is_err() {
            std::thread::yield_now();
        }
        let _ = pidfd::reap(self.process.as_fd(), self.pid);
    }
}

/// Whether a socket says that nobody is at its other end any more.
fn is_of_the_dead(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset};
    matches!(error.kind(), BrokenPipe | ConnectionReset)
}

/// The two words of an answer.
fn words(answer: [u8; ANSWER]) -> [u32; 2] {
    let [a, b, c, d, e, f, g, h] = answer;
    [u32::from_ne_bytes([a, b, c, d]), u32::from_ne_bytes([e, f, g, h])]
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}
