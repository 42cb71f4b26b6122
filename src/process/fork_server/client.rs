//! The parent's side: starting the server, asking it for a child; see the module.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Mutex;
use std::time::Duration;

use super::server::{ANSWER, ASK, FAILED, GIVEN, STARTED, UNABLE};
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
use crate::sys::{descriptor, pidfd, posix_spawn, reap, socket, thread};

/// So many servers, or spare children, may die over one start.
const ATTEMPTS: u32 = 4;
/// How long an end is waited for that takes no time.
const PATIENCE: Duration = Duration::from_secs(1);

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
    /// It was asked for a child, and its answer has not been read.
    is_asked: bool,
    /// The world whose descriptor it has.
    world: i32,
    /// The limits, and the rest of what a request cannot change, with which it started.
    limits: [(u64, u64); LIMITS],
    standing: [u32; 6],
}

/// A child that waits for its request.
struct Spare {
    pid: u32,
    process: OwnedFd,
    socket: OwnedFd,
}

/// What the server says.
enum Answer {
    Spare(Spare),
    Refused(Failure),
    /// Nothing more: it is dead, or talks nonsense.
    Died,
}

/// Starts a child, and answers its number and its pidfd. `program` and `args` are what a server is to execute.
pub(crate) fn start(
    program: &CStr,
    args: &[CString],
    ticket: Ticket,
    world: BorrowedFd<'_>,
    settings: &Settings<'_>,
) -> Result<(u32, OwnedFd), Failure> {
    let mut place = lock(SERVER.get_or_make());
    for _ in 0..ATTEMPTS {
        let usable = place.take().filter(|server| server.is_usable(world));
        let mut server = match usable {
            Some(server) => server,
            None => Server::start(program, args, world, settings.env)?,
        };
        let answer = match server.spare() {
            Err(error) if is_of_the_dead(&error) => continue,
            answer => answer?,
        };
        match answer {
            Answer::Spare(spare) => {
                let started = spare.start(&settings.pack(ticket, &server.limits));
                // The next one is made while this one runs. If the system refuses to ask now, the next start asks.
                let _ = server.ask();
                *place = Some(server);
                if let Some(started) = started? {
                    return Ok(started);
                }
            }
            Answer::Refused(failure) => {
                *place = Some(server);
                return Err(failure);
            }
            Answer::Died => {}
        }
    }
    Err(Failure::Dies)
}

impl Spare {
    /// The spare child of an answer. A table without room for both descriptors has none.
    fn of(pid: u32, mut given: Vec<OwnedFd>) -> io::Result<Spare> {
        let (socket, process) = (given.pop(), given.pop());
        let Some((process, socket)) = process.zip(socket) else {
            // Its socket is closed: it ends.
            see_unannounced(pid);
            return Err(descriptor::limit());
        };
        let process = descriptor::keep_high(process)?;
        Ok(Spare { pid, process, socket })
    }

    /// Sends it what it is to do; none if it had died before. From here on its death is that of a child.
    fn start(self, request: &Packed<'_>) -> io::Result<Option<(u32, OwnedFd)>> {
        let sent = socket::send(self.socket.as_fd(), &request.bytes, &request.descriptors);
        let Err(error) = sent else { return Ok(Some((self.pid, self.process))) };
        self.end();
        if is_of_the_dead(&error) { Ok(None) } else { Err(error) }
    }

    /// Ends it, and takes its status.
    fn end(self) {
        end(self.process.as_fd(), self.pid, self.socket.as_fd());
    }
}

/// Kills a server, or a child that waits for its request, waits until it has ended, and takes its status.
fn end(process: BorrowedFd<'_>, pid: u32, socket: BorrowedFd<'_>) {
    if pidfd::signal(process, pid, SIGKILL).is_err() {
        // The user of this process has changed. Both leave when nobody is at the other end.
        socket::shut(socket);
    }
    // Without memory for the question it is asked again.
    while descriptor::readable(&[process], Deadline::NEVER).is_err() {
        thread::nap();
    }
    let _ = pidfd::reap(process, pid);
}

/// Whether a socket says that nobody is at its other end any more.
fn is_of_the_dead(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset};
    matches!(error.kind(), BrokenPipe | ConnectionReset)
}

/// Takes the status of a child of which only the number is known. It ends by itself, since its socket is closed.
fn see_unannounced(pid: u32) {
    match pidfd::open(pid) {
        Ok(process) => {
            // Long ago, it may have ended, and the number be another's by now: nobody else is waited for.
            let _ = descriptor::readable(&[process.as_fd()], Deadline::after(PATIENCE));
            let _ = pidfd::reap(process.as_fd(), pid);
        }
        Err(error) if pidfd::is_no_process(&error) => {}
        // The table is full, which the server has just found out.
        Err(_) => reap::kill_unseen(pid),
    }
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
                let is_asked = false;
                Ok(Server { process, pid, socket, page, is_asked, world, limits, standing })
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

    /// A child that waits for its request: the one that was asked for last time, or one that is asked for now.
    fn spare(&mut self) -> io::Result<Answer> {
        let was_asked = self.is_asked;
        if !was_asked {
            self.ask()?;
        }
        match self.answer()? {
            // What the system refused at that time it may grant now.
            Answer::Refused(_) if was_asked => {
                self.ask()?;
                self.answer()
            }
            answer => Ok(answer),
        }
    }

    /// Asks for a child. A server that could not be asked does not answer.
    fn ask(&mut self) -> io::Result<()> {
        self.page.clear();
        socket::send(self.socket.as_fd(), &[ASK], &[])?;
        self.is_asked = true;
        Ok(())
    }

    /// Waits for the answer, or for the server's end.
    fn answer(&mut self) -> io::Result<Answer> {
        let mut answer = [0; ANSWER];
        let mut given = Vec::new();
        if !self.read(&mut answer, &mut given)? {
            return Ok(Answer::Died);
        }
        let [what, number] = words(answer);
        if what == STARTED {
            self.is_asked = false;
            let spare = Spare::of(number, given);
            return Ok(spare.map_or_else(|error| Answer::Refused(error.into()), Answer::Spare));
        }
        let failure = match what {
            FAILED => Failure::System(io::Error::from_raw_os_error(number as i32)),
            UNABLE => {
                let reason = REASONS.get(number as usize).copied();
                Failure::Unable(reason.unwrap_or("it does not say why"))
            }
            _ => return Ok(Answer::Died),
        };
        self.is_asked = false;
        if self.page.number() != 0 {
            see_unannounced(self.page.number());
        }
        Ok(Answer::Refused(failure))
    }

    /// Reads an answer, and the descriptors that come with it; `false` if the server has ended before it gave a whole one.
    fn read(&self, answer: &mut [u8; ANSWER], given: &mut Vec<OwnedFd>) -> io::Result<bool> {
        let mut len = 0;
        while len < ANSWER {
            let both = [self.socket.as_fd(), self.process.as_fd()];
            let ready = descriptor::readable(&both, Deadline::NEVER)?;
            // A child that it made may keep the socket open when it is dead.
            if !ready[0] && ready[1] {
                return Ok(false);
            }
            match socket::receive(self.socket.as_fd(), &mut answer[len..], GIVEN, given) {
                Ok(0) | Err(_) => return Ok(false),
                Ok(more) => len += more,
            }
        }
        Ok(true)
    }
}

/// The two words of an answer.
fn words(answer: [u8; ANSWER]) -> [u32; 2] {
    let [a, b, c, d, e, f, g, h] = answer;
    [u32::from_ne_bytes([a, b, c, d]), u32::from_ne_bytes([e, f, g, h])]
}

impl Drop for Server {
    /// Ends it, and the child that it has made and that has nothing to do.
    fn drop(&mut self) {
        end(self.process.as_fd(), self.pid, self.socket.as_fd());
        if !self.is_asked {
            return;
        }
        match self.answer() {
            Ok(Answer::Spare(spare)) => spare.end(),
            _ if self.page.number() != 0 => see_unannounced(self.page.number()),
            _ => {}
        }
    }
}
