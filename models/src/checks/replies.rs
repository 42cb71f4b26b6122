//! The manager's requests and answers: every call gets its own answer, or is told that there will be none, whoever dies.
//!
//! The queue of requests and the pipes of answers stand for the real ones, which have models of their own. A put or a send is one step.
//! Who has an end of a pipe is a word, as the presence bits say it: an end is gone when it was dropped, when its process is dead, and
//! when it is on the queue and nobody can take it.

use super::{check, check_deaths};
use crate::error::{Error, ErrorKind, Result};
use crate::manager::replies::{Channel, Channels, Senders};
use crate::sim;
use crate::sys::atomic::{AtomicU64, Ordering};
use core::cell::{Cell, RefCell};
use std::collections::VecDeque;

/// Who has an end; 0: nobody. The processes are callers but for the last.
const PROCESSES: usize = 3;
const SERVER: usize = 2;
const ON_THE_QUEUE: u64 = 9;

fn held_by(process: usize) -> u64 {
    process as u64 + 1
}

struct Tree {
    dead: [AtomicU64; PROCESSES],
    /// Callers that make no more calls.
    done: AtomicU64,
    /// How often the queue was used.
    uses: AtomicU64,
    requests: RefCell<VecDeque<Request>>,
}

/// One call, and the sending end for its answer if the server does not have it.
struct Request {
    channel: u64,
    sender: Option<&'static Pipe>,
    call: u64,
}

/// A pipe for answers.
struct Pipe {
    tree: &'static Tree,
    /// The call that is answered in it; 0: it is empty.
    answer: AtomicU64,
    sender: AtomicU64,
    receiver: AtomicU64,
}

fn tree() -> &'static Tree {
    sim::keep(Tree {
        dead: Default::default(),
        done: AtomicU64::new(0),
        uses: AtomicU64::new(0),
        requests: RefCell::default(),
    })
}

impl Tree {
    fn is_dead(&self, process: usize) -> bool {
        self.dead[process].load(Ordering::SeqCst) != 0
    }

    fn is_there(&self, end: &AtomicU64) -> bool {
        match end.load(Ordering::SeqCst) {
            0 => false,
            ON_THE_QUEUE => !self.is_dead(SERVER),
            holder => !self.is_dead(holder as usize - 1),
        }
    }

    fn put(&self, request: Request) -> Result<()> {
        if self.is_dead(SERVER) {
            return Err(Error::simple(ErrorKind::Closed));
        }
        if let Some(pipe) = request.sender {
            pipe.sender.store(ON_THE_QUEUE, Ordering::SeqCst);
        }
        self.uses.fetch_add(1, Ordering::SeqCst);
        self.requests.borrow_mut().push_back(request);
        Ok(())
    }

    fn take(&self) -> Option<Request> {
        self.uses.fetch_add(1, Ordering::SeqCst);
        self.requests.borrow_mut().pop_front()
    }
}

struct Sender {
    pipe: &'static Pipe,
    has_gone: Cell<bool>,
}

impl Sender {
    fn of(pipe: &'static Pipe, process: usize) -> Sender {
        pipe.sender.store(held_by(process), Ordering::SeqCst);
        Sender { pipe, has_gone: Cell::new(false) }
    }

    fn send(&self, call: u64) -> bool {
        if !self.pipe.tree.is_there(&self.pipe.receiver) {
            return false;
        }
        let before = self.pipe.answer.swap(call, Ordering::SeqCst);
        assert_eq!(before, 0, "an answer was written over");
        true
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        if !self.has_gone.get() {
            self.pipe.sender.store(0, Ordering::SeqCst);
        }
    }
}

struct Receiver(&'static Pipe);

impl Receiver {
    /// Waits for the answer, or looks once.
    fn hear(&mut self, waits: bool) -> Result<u64> {
        loop {
            let is_open = self.0.tree.is_there(&self.0.sender);
            match self.0.answer.swap(0, Ordering::SeqCst) {
                0 if !is_open => return Err(Error::simple(ErrorKind::Closed)),
                0 if !waits => return Err(Error::simple(ErrorKind::Timeout)),
                0 => crate::sys::thread::yield_now(),
                answer => return Ok(answer),
            }
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.0.receiver.store(0, Ordering::SeqCst);
    }
}

/// A process that calls.
struct Caller {
    tree: &'static Tree,
    process: usize,
    channels: Channels<Sender, Receiver>,
    made: Cell<u64>,
}

impl Caller {
    fn new(tree: &'static Tree, process: usize) -> Caller {
        Caller { tree, process, channels: Channels::default(), made: Cell::new(0) }
    }

    fn new_channel(&self) -> Result<Channel<Sender, Receiver>> {
        self.made.set(self.made.get() + 1);
        let holder = held_by(self.process);
        let pipe = sim::keep(Pipe {
            tree: self.tree,
            answer: AtomicU64::new(0),
            sender: AtomicU64::new(holder),
            receiver: AtomicU64::new(holder),
        });
        let number = holder * 100 + self.made.get();
        Ok(Channel::of(number, (Sender::of(pipe, self.process), Receiver(pipe))))
    }

    fn call(&self, call: u64, waits: bool) -> Result<u64> {
        let ask = |channel: &mut Channel<Sender, Receiver>| {
            let sender = channel.sender.as_ref();
            if sender.is_some_and(|sender| sender.has_gone.get()) {
                return Err(Error::of(ErrorKind::Foreign, "it was sent away"));
            }
            let pipe = sender.map(|sender| sender.pipe);
            self.tree.put(Request { channel: channel.number, sender: pipe, call })?;
            if let Some(sender) = sender {
                sender.has_gone.set(true);
            }
            Ok(())
        };
        self.channels.exchange(|| self.new_channel(), ask, |receiver| receiver.hear(waits))
    }

    fn is_done(&self) {
        self.tree.done.fetch_add(1, Ordering::SeqCst);
    }
}

/// Answers until so many callers are done. The answer to the call `refused` cannot be sent.
fn serve(tree: &'static Tree, callers: u64, refused: u64) {
    let senders = Senders::default();
    loop {
        let is_over = tree.done.load(Ordering::SeqCst) == callers;
        let Some(request) = tree.take() else {
            if is_over {
                return senders.end();
            }
            crate::sys::thread::yield_now();
            continue;
        };
        if let Some(pipe) = request.sender {
            senders.keep(request.channel, Sender::of(pipe, SERVER));
        }
        senders
            .answer(request.channel, |sender| request.call != refused && sender.send(request.call));
    }
}

/// A call gives up, if its answer is not there at once, and another one follows.
pub(super) fn one_gives_up() {
    let tree = tree();
    let server = sim::spawn(2, move || serve(tree, 1, 0));
    let caller = Caller::new(tree, 0);
    match caller.call(1, false) {
        Ok(answer) => assert_eq!(answer, 1, "the answer of another call"),
        Err(error) => assert!(error.is_timeout(), "{error:?}"),
    }
    for call in [2, 3] {
        assert_eq!(caller.call(call, true).ok(), Some(call), "the answer of call {call}");
    }
    caller.is_done();
    sim::join(server);
}

/// An answer cannot be sent, not even as an error.
pub(super) fn one_is_refused() {
    let tree = tree();
    let server = sim::spawn(2, move || serve(tree, 1, 1));
    let caller = Caller::new(tree, 0);
    assert!(caller.call(1, true).is_err_and(|error| error.is_closed()), "there is an answer");
    assert_eq!(caller.call(2, true).ok(), Some(2), "the answer of the next call");
    caller.is_done();
    sim::join(server);
}

/// The server dies; whoever calls has the answer, or is told.
pub(super) fn server_dies(steps: u32) -> bool {
    let tree = tree();
    let died = sim::keep(Cell::new(false));
    let server = sim::spawn(2, move || {
        died.set(sim::dying_at(steps, || serve(tree, 1, 0)));
        tree.dead[SERVER].store(1, Ordering::SeqCst);
    });
    let caller = Caller::new(tree, 0);
    for call in [1, 2] {
        match caller.call(call, true) {
            Ok(answer) => assert_eq!(answer, call, "the answer of another call"),
            Err(error) => assert!(error.is_closed(), "{error:?}"),
        }
    }
    caller.is_done();
    sim::join(server);
    died.get()
}

/// A caller dies; another one has all its answers, and the server ends.
pub(super) fn caller_dies(steps: u32) -> bool {
    let tree = tree();
    let died = sim::keep(Cell::new(false));
    let server = sim::spawn(2, move || serve(tree, 2, 0));
    let other = sim::spawn(1, move || {
        let caller = Caller::new(tree, 1);
        died.set(sim::dying_at(steps, || {
            for call in [1, 2] {
                assert_eq!(caller.call(call, true).ok(), Some(call), "the answer of call {call}");
            }
        }));
        tree.dead[1].store(1, Ordering::SeqCst);
        caller.is_done();
    });
    let caller = Caller::new(tree, 0);
    assert_eq!(caller.call(7, true).ok(), Some(7), "the answer of the one that lives");
    caller.is_done();
    sim::join(other);
    sim::join(server);
    died.get()
}

pub fn a_call_that_gives_up_leaves_its_answer_to_nobody() {
    check("replies, one gives up", 2, one_gives_up);
}

pub fn an_answer_that_cannot_be_sent_is_told() {
    check("replies, one is refused", 2, one_is_refused);
}

pub fn a_server_that_dies_leaves_nobody_waiting() {
    check_deaths("replies, the server dies", 2, server_dies);
}

pub fn a_caller_that_dies_takes_no_answer_from_another() {
    check_deaths("replies, a caller dies", 2, caller_dies);
}
