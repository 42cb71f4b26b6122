//! The server: the process that owns the objects, and runs calls on them one after the other.
//!
//! The protocol, and what happens at every death, is described in [`super`].

use super::replies::Senders;
use super::request::{
    CALLS, Calls, DROPPED, LEFT, Reply, Request, Target, put_error, take_part, take_word,
};
use super::table::Table;
use crate::channel::{Body, Consumer, Sender};
use crate::error::{Error, ErrorKind, Result};
use crate::handle;
use crate::message;
use crate::process::{Entry, Target as Sort, panicked};
use crate::sys::clock::Deadline;
use crate::sys::program;
use crate::world;
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// What an entry for the server leads to: for each of the calls, which are about the object with this number, decodes the
/// arguments, does the work, and appends the result.
pub(super) type Command = fn(&Server, u64, &mut Calls<'_>);

impl Sort for Command {
    const MAGIC: [u64; 2] = [0x5d83_e1b6_0c97_f42e, 0xb26a_09f7_94d1_3c58];
}

/// The queue of requests that this process serves; 0: none.
static SERVED: AtomicU64 = AtomicU64::new(0);
/// Another thread of this process gave up a handle to an object: the server looks at all objects.
static HAS_STRAYS: AtomicBool = AtomicBool::new(false);

thread_local! {
    static SERVER: RefCell<Option<Rc<Server>>> = const { RefCell::new(None) };
}

/// Memory larger than this is given back after use.
const KEPT: usize = 64 << 10;
/// How many entries the server remembers.
const REMEMBERED: usize = 64;

/// An entry that was found, by its name.
type Found = ((u64, u64), &'static Entry<Command>);

/// The entries that calls named lately. Each offset has one place.
struct Known([Cell<Option<Found>>; REMEMBERED]);

impl Default for Known {
    fn default() -> Known {
        Known([const { Cell::new(None) }; REMEMBERED])
    }
}

impl Known {
    /// The entry of this name, which is checked when it is not known.
    #[inline]
    fn find(&self, name: (u64, u64)) -> Result<&'static Entry<Command>> {
        let place = &self.0[name.0 as usize / align_of::<Entry<Command>>() % REMEMBERED];
        match place.get() {
            Some((known, entry)) if known == name => Ok(entry),
            _ => {
                let entry = Entry::find(name.0, name.1)?;
                place.set(Some((name, entry)));
                Ok(entry)
            }
        }
    }
}

/// The server of this process.
pub(super) struct Server {
    pub(super) table: Table,
    /// Where the answers go: one pipe for each call that is under way at the same time.
    senders: Senders<Sender<Reply>>,
    known: Known,
    /// Memory for answers.
    answer: RefCell<Vec<u8>>,
    /// Objects of which this process gave up a handle, or was told that another one did.
    doubtful: RefCell<Vec<u64>>,
    is_ending: Cell<bool>,
}

/// Whether this process is the server that takes its requests from this queue.
pub(super) fn is_served_here(queue: u64) -> bool {
    SERVED.load(Ordering::Relaxed) == queue
}

/// The server, for the thread that runs its calls.
///
/// # Errors
///
/// `Deadlock` in any other thread of the server's process: the thread that could answer may be waiting for it.
pub(super) fn server() -> Result<Rc<Server>> {
    if world::current().is_none() {
        return Err(Error::simple(ErrorKind::Foreign));
    }
    let here = SERVER.try_with(|server| server.borrow().clone()).ok().flatten();
    here.ok_or_else(|| {
        Error::of(
            ErrorKind::Deadlock,
            "a thread in the manager's server calls the same manager: only the function that the server runs can do that, in \
             its own thread; let it do the call, or start a process for it",
        )
    })
}

/// This process, which is the server, gave up a handle to an object.
pub(super) fn note_given_up(object: u64) {
    match server() {
        Ok(server) => server.doubtful.borrow_mut().push(object),
        Err(_) => HAS_STRAYS.store(true, Ordering::Relaxed),
    }
}

/// The function of the server's process: answers requests until nobody is left who could make one, or it is told to end.
pub(super) fn serve(requests: Consumer<Request>) -> Result<()> {
    // Ctrl-C goes to all processes of a terminal, and is for the program to handle: its objects stay meanwhile.
    program::ignore_interrupts();
    let server = Rc::new(Server {
        table: Table::default(),
        senders: Senders::default(),
        known: Known::default(),
        answer: RefCell::default(),
        doubtful: RefCell::default(),
        is_ending: Cell::new(false),
    });
    SERVED.store(requests.reference().id.to_bits(), Ordering::Relaxed);
    SERVER.set(Some(Rc::clone(&server)));
    let result = server.run_all(&requests);
    server.end(&requests);
    match result {
        Err(error) if !error.is_closed() => Err(error),
        _ => Ok(()),
    }
}

impl Server {
    fn run_all(&self, requests: &Consumer<Request>) -> Result<()> {
        let liveness = requests.reference().world.liveness;
        let mut seen = liveness.epoch();
        while !self.is_ending.get() {
            let is_due = || liveness.epoch() != seen || HAS_STRAYS.load(Ordering::Relaxed);
            if requests.wait_unless(is_due)? {
                let answer =
                    |body: Body<'_>, given| handle::unpack(given, || self.answer(body.bytes()));
                requests.get_parcel(answer, Deadline::NEVER)?;
            } else {
                // First: what dies from now on is due again.
                seen = liveness.epoch();
                self.look_after_deaths();
            }
            self.drop_unused();
        }
        Ok(())
    }

    /// Somebody died, or gave something up without saying what.
    fn look_after_deaths(&self) {
        HAS_STRAYS.store(false, Ordering::Relaxed);
        self.senders.drop_alone(Sender::is_alone);
        self.doubtful.borrow_mut().extend(self.table.numbers());
    }

    /// Drops the objects that nobody can reach any more, and those that they alone could reach.
    fn drop_unused(&self) {
        loop {
            let Some(object) = self.doubtful.borrow_mut().pop() else { return };
            self.table.drop_if_unused(object);
        }
    }

    /// Nobody is answered any more.
    fn end(&self, requests: &Consumer<Request>) {
        // Whoever made a request that is never read is told so, because the channel in it is dropped here.
        let _ = requests.shutdown();
        self.senders.end();
        self.table.clear();
        self.drop_unused();
    }

    /// Does what a request says. A damaged one is nobody's.
    fn answer(&self, mut bytes: &[u8]) -> Option<()> {
        match take_word(&mut bytes).ok()? {
            CALLS => self.answer_calls(bytes).ok(),
            DROPPED => {
                let object = take_word(&mut bytes).ok()?;
                self.doubtful.borrow_mut().push(object);
                Some(())
            }
            LEFT => {
                while let Ok(channel) = take_word(&mut bytes) {
                    self.senders.forget(channel);
                }
                Some(())
            }
            _ => None,
        }
    }

    fn answer_calls(&self, mut bytes: &[u8]) -> Result<()> {
        let channel = take_word(&mut bytes)?;
        let sender = take_part(&mut bytes)?;
        if !sender.is_empty() {
            self.senders.keep(channel, message::decode(sender)?);
        }
        // Only this function borrows it: a call inside a call has a vector of its own.
        let out = &mut *self.answer.borrow_mut();
        out.clear();
        let sent = self.send_answer(channel, bytes, out);
        if out.capacity() > KEPT {
            *out = Vec::new();
        }
        sent
    }

    /// Runs the calls and sends their results, which `out` has room for.
    fn send_answer(&self, channel: u64, bytes: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let (count, parcel) = handle::pack(|| Ok(self.run_calls(bytes, out)))?;
        // There is room: a channel has one request at a time. So it never waits for a caller who does not take the answer.
        let is_sent = self.senders.answer(channel, |sender| {
            let Err(error) = sender.try_answer_packed(out, &parcel) else { return true };
            if error.is_closed() {
                return false;
            }
            out.clear();
            (0..count).for_each(|_| put_error(out, &error));
            sender.try_answer_packed(out, &handle::Parcel::default()).is_ok()
        });
        if !is_sent {
            // What the answer would have brought may be nobody's.
            HAS_STRAYS.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Runs calls one after the other and appends their results; how many there were.
    pub(super) fn run_calls(&self, calls: &[u8], out: &mut Vec<u8>) -> usize {
        let mut calls = Calls::of(calls, out);
        while let Some(target) = calls.next_target() {
            let found = target.and_then(|Target { object, entry }| {
                self.known.find(entry).map(|entry| (object, entry))
            });
            match found {
                Ok((object, entry)) => self.run(entry, object, &mut calls),
                Err(error) => calls.each(|_, _| Err(error.again())),
            }
        }
        calls.count()
    }

    /// Runs the calls of one target. A panic in one is its caller's, and the next ones are run.
    fn run(&self, entry: &Entry<Command>, object: u64, calls: &mut Calls<'_>) {
        while let Err(payload) =
            catch_unwind(AssertUnwindSafe(|| (entry.trampoline)(self, object, calls)))
        {
            calls.fail(&self.panicked(object, payload));
        }
    }

    /// The error of a call that panicked. If it left its object marked, that says why.
    #[cold]
    fn panicked(&self, object: u64, payload: Box<dyn Any + Send>) -> Error {
        let error = panicked(payload);
        if let Some(failure) = error.child() {
            let (message, place) = (failure.message(), failure.location());
            let (message, place) = (message.unwrap_or("?"), place.unwrap_or("an unknown place"));
            self.table.explain(object, &format!("{message} at {place}"));
        }
        error
    }

    /// The loop ends after the request that is being answered.
    pub(super) fn end_soon(&self) {
        self.is_ending.set(true);
    }
}
