//! Who is alive: one slot for every process and every thread that uses the world.
//!
//! # Layout
//!
//! A slot's `state` is one 64-bit word, always changed as a whole by this crate: the robust word in the low half, the
//! generation in the high half. The kernel changes the low half alone, when the owning thread dies.
//!
//! | low half | meaning | who writes it |
//! |---|---|---|
//! | 0 | never taken | |
//! | `EMBRYO`, the parent | reserved for a child that has not started | the parent, from free or dead |
//! | thread id, `WAITERS` | alive | the owner, from free, dead or `EMBRYO` |
//! | `OWNER_DIED` and anything | dead, free to take | the kernel; a keeper that has proof |
//!
//! An [`Id`] is slot and generation. Taking a slot is one CAS that raises the generation and stores the thread id
//! together; so an id is dead for good once the generation moved or the word is marked, and no id is ever given twice
//! (a slot whose generation is used up is retired: 262,142 lives a slot).
//!
//! What else stands in a slot is written after it was taken, and carries the generation for which it was written: whoever
//! reads it in between does not take it for the new owner's.
//!
//! # If the taker dies
//!
//! 1. after the kernel's `pending` field names the slot, before the CAS: nothing happened;
//! 2. after the CAS, before the node is linked: the kernel handles `pending` like a linked node and marks the word;
//! 3. after linking: marked at the thread's death, whatever happens.
//!
//! # When something counts as over
//!
//! What a thread has in hand is released by its own word ([`Registry::is_dead`]). What a process has is released only when
//! its keeper's word and the words of all its threads are marked ([`Registry::is_gone`]): threads of a killed process die
//! one by one, and one inside a system call was seen to write shared memory 8.7 ms after the first was marked.

use crate::error::{Error, ErrorKind, Result};
use crate::sys::atomic::Ordering;
use crate::sys::robust::{List, OWNER_DIED, TID_MASK, WAITERS};
use crate::sys::thread;
use crate::testing::{self, Broken};
use crate::world::header::{Header, PROCESSES, SLOTS, Slot};

/// Set, with the parent in the bits below, in the word of a child that has not started; above any `pid_max`.
const EMBRYO: u32 = 1 << 29;
const SLOT_BITS: u32 = 12;
const GENERATION_BITS: u32 = 18;
const LAST_GENERATION: u32 = (1 << GENERATION_BITS) - 1;

const PROCESS_BITS: u32 = PROCESSES.ilog2();

const _: () = assert!(1 << SLOT_BITS == SLOTS && PROCESS_BITS + GENERATION_BITS < 29);

/// A slot in one of its lives; never 0, fits in 30 bits, never given twice.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Id(u32);

/// The [`Id`] of a process.
pub(crate) type ProcessId = Id;

impl Id {
    /// An id that no process or thread ever has: the last slot in a life that is never given.
    pub(crate) const NOBODY: Id = Id((1 << (SLOT_BITS + GENERATION_BITS)) - 1);

    fn new(slot: usize, generation: u32) -> Id {
        Id(generation << SLOT_BITS | slot as u32)
    }

    /// The owner that a slot with this state has or had.
    pub(crate) fn in_slot(slot: usize, state: State) -> Option<Id> {
        (!state.is_free()).then(|| Id::new(slot, state.generation()))
    }

    /// Reads an id from shared memory; any 30 bits with a generation are one.
    pub(crate) fn from_bits(bits: u32) -> Option<Id> {
        let generation = bits >> SLOT_BITS;
        (generation != 0 && generation <= LAST_GENERATION).then_some(Id(bits))
    }

    /// An id from memory that only this process writes: 0 is none.
    #[inline]
    pub(crate) fn from_private(bits: u32) -> Option<Id> {
        (bits != 0).then_some(Id(bits))
    }

    #[inline]
    pub(crate) fn to_bits(self) -> u32 {
        self.0
    }

    pub(crate) fn slot(self) -> usize {
        self.0 as usize % SLOTS
    }

    pub(crate) fn generation(self) -> u32 {
        self.0 >> SLOT_BITS
    }
}

impl core::fmt::Debug for Id {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}.{}", self.slot(), self.generation())
    }
}

/// A slot's state as read at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct State(u64);

impl State {
    fn new(generation: u32, word: u32) -> State {
        State(u64::from(generation) << 32 | u64::from(word))
    }

    #[cfg(test)]
    pub(crate) fn from_bits(bits: u64) -> State {
        State(bits)
    }

    /// The robust word.
    pub(crate) fn word(self) -> u32 {
        self.0 as u32
    }

    pub(crate) fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }

    pub(crate) fn is_free(self) -> bool {
        self.word() == 0
    }

    pub(crate) fn is_marked(self) -> bool {
        self.word() & OWNER_DIED != 0
    }

    pub(crate) fn is_embryo(self) -> bool {
        self.word() & (EMBRYO | OWNER_DIED | WAITERS) == EMBRYO
    }

    /// The state of a slot reserved by `parent`.
    fn embryo_word(parent: ProcessId) -> u32 {
        EMBRYO | parent.generation() << PROCESS_BITS | (parent.slot() % PROCESSES) as u32
    }

    /// The parent of a child that has not started.
    pub(crate) fn parent(self) -> Option<ProcessId> {
        let word = self.word() & (EMBRYO - 1);
        let generation = word >> PROCESS_BITS;
        (self.is_embryo() && generation != 0)
            .then(|| Id::new(word as usize % PROCESSES, generation))
    }

    /// Taken and not marked.
    pub(crate) fn is_alive(self) -> bool {
        !self.is_free() && !self.is_marked()
    }

    fn tid(self) -> u32 {
        self.word() & TID_MASK
    }
}

/// A live or dead owner of a slot in the system's numbering.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Numbers {
    pub(crate) pid: u32,
    pub(crate) tid: u32,
}

/// The slots of one world.
#[derive(Clone, Copy)]
pub(crate) struct Registry {
    header: &'static Header,
}

impl Registry {
    pub(crate) fn new(header: &'static Header) -> Registry {
        Registry { header }
    }

    pub(crate) fn slot(&self, index: usize) -> &'static Slot {
        &self.header.slots[index % SLOTS]
    }

    pub(crate) fn state(&self, index: usize) -> State {
        // ORDERING(mark): SeqCst, so that a sleeper that published its address sees a mark that a keeper acted on, or
        // the keeper sees the address. Acquire alone would do for what the dead owner wrote: the kernel's mark is a full
        // barrier after it.
        State(self.slot(index).state.load(Ordering::SeqCst))
    }

    /// How many process slots were ever taken.
    pub(crate) fn processes(&self) -> usize {
        (self.header.processes.load(Ordering::SeqCst) as usize).min(PROCESSES)
    }

    /// Whether the thread (or the keeper of the process) is dead.
    pub(crate) fn is_dead(&self, id: Id) -> bool {
        let state = self.state(id.slot());
        state.generation() != id.generation() || !state.is_alive()
    }

    /// Whether the process and every thread of it are dead.
    pub(crate) fn is_gone(&self, process: ProcessId) -> bool {
        let state = self.state(process.slot());
        if state.generation() != process.generation() {
            // A slot is taken again only when its process was gone.
            return true;
        }
        if state.is_alive() {
            return false;
        }
        // The dead do not come back: once seen, it is noted, and need not be looked for in all slots again.
        let noted = &self.slot(process.slot()).gone;
        // ORDERING(gone): Acquire, pairs with the Release below; the marks of all its threads come before.
        if noted.load(Ordering::Acquire) == process.generation() {
            return true;
        }
        let gone =
            testing::is_broken(Broken::GoneAtKeeper) || self.live_thread_of(process).is_none();
        if gone {
            noted.fetch_max(process.generation(), Ordering::Release);
        }
        gone
    }

    /// How many threads of a process are not marked.
    pub(crate) fn live_threads_of(&self, process: ProcessId) -> usize {
        self.threads_of(process).count()
    }

    /// The slot of a live thread of a process, with its state.
    pub(crate) fn live_thread_of(&self, process: ProcessId) -> Option<(usize, State)> {
        self.threads_of(process).next()
    }

    /// The slots of the live threads of a process, with their states.
    fn threads_of(&self, process: ProcessId) -> impl Iterator<Item = (usize, State)> {
        let registry = *self;
        let used = (self.header.threads.load(Ordering::SeqCst) as usize).min(SLOTS - PROCESSES);
        (PROCESSES..PROCESSES + used).map(move |index| (index, registry.state(index))).filter(
            move |&(index, state)| {
                let written = registry.slot(index).process.load(Ordering::SeqCst);
                state.is_alive() && written == stamped(state.generation(), process.to_bits())
            },
        )
    }

    /// The owner's process id in the system's numbering, once it is written.
    pub(crate) fn pid(&self, index: usize, state: State) -> Option<u32> {
        let written = self.slot(index).pid.load(Ordering::SeqCst);
        ((written >> 32) as u32 == state.generation()).then_some(written as u32)
    }

    pub(crate) fn set_pid(&self, id: Id, pid: u32) {
        // The maximum: a parent may be late with the number of a child whose place another has taken since.
        self.slot(id.slot()).pid.fetch_max(stamped(id.generation(), pid), Ordering::SeqCst);
    }

    /// The owner in the system's numbering, unless the slot has another owner by now.
    pub(crate) fn numbers(&self, id: Id) -> Option<Numbers> {
        let state = self.state(id.slot());
        if state.generation() != id.generation() {
            return None;
        }
        Some(Numbers { pid: self.pid(id.slot(), state)?, tid: state.tid() })
    }

    /// The id of the slot's process, dead or alive, if it has one.
    pub(crate) fn process_at(&self, index: usize) -> Option<ProcessId> {
        Id::in_slot(index, self.state(index))
    }

    /// Takes a process slot for the calling thread, its keeper.
    pub(crate) fn take_process(&self, list: Option<&List>, pid: u32) -> Result<ProcessId> {
        for index in 0..PROCESSES {
            if let Some(id) = self.take(index, list, thread::id() | WAITERS) {
                self.set_pid(id, pid);
                self.raise_processes(index);
                return Ok(id);
            }
        }
        Err(full("processes", PROCESSES))
    }

    /// Reserves a process slot for a child.
    pub(crate) fn reserve_process(&self, parent: ProcessId) -> Result<ProcessId> {
        for index in 0..PROCESSES {
            if let Some(id) = self.take(index, None, State::embryo_word(parent)) {
                self.raise_processes(index);
                return Ok(id);
            }
        }
        Err(full("processes", PROCESSES))
    }

    /// The child's keeper takes the slot that its parent reserved; false if it was given up meanwhile.
    pub(crate) fn take_reserved(&self, list: Option<&List>, id: ProcessId, pid: u32) -> bool {
        let slot = self.slot(id.slot());
        let old = self.state(id.slot());
        if old.generation() != id.generation() || !old.is_embryo() {
            return false;
        }
        self.set_pid(id, pid);
        let new = State::new(id.generation(), thread::id() | WAITERS);
        let taken = || {
            slot.state.compare_exchange(old.0, new.0, Ordering::SeqCst, Ordering::SeqCst).is_ok()
        };
        linked(list, slot, taken)
    }

    /// Takes a thread slot for the calling thread.
    pub(crate) fn take_thread(
        &self,
        list: Option<&List>,
        process: ProcessId,
        pid: u32,
    ) -> Result<Id> {
        // Slots are taken in turn, so that a dead owner's numbers can be read for long.
        let first = self.header.thread_cursor.load(Ordering::Relaxed) as usize;
        let count = SLOTS - PROCESSES;
        for step in 0..count {
            let index = PROCESSES + (first + step) % count;
            if let Some(id) = self.take(index, list, thread::id() | WAITERS) {
                self.set_pid(id, pid);
                // Before the process is named: whoever looks for its threads looks here, too.
                self.header.threads.fetch_max((index - PROCESSES) as u32 + 1, Ordering::SeqCst);
                let process = stamped(id.generation(), process.to_bits());
                self.slot(index).process.store(process, Ordering::SeqCst);
                self.header.thread_cursor.store((index - PROCESSES + 1) as u32, Ordering::Relaxed);
                return Ok(id);
            }
        }
        Err(full("threads", count))
    }

    fn take(&self, index: usize, list: Option<&List>, word: u32) -> Option<Id> {
        let slot = self.slot(index);
        let old = self.state(index);
        if old.is_alive() || old.generation() >= LAST_GENERATION - 1 {
            return None;
        }
        let id = Id::new(index, old.generation() + 1);
        if index < PROCESSES && old.is_marked() && !self.is_gone(Id::new(index, old.generation())) {
            return None;
        }
        let new = State::new(old.generation() + 1, word);
        let taken = || {
            slot.state.compare_exchange(old.0, new.0, Ordering::SeqCst, Ordering::SeqCst).is_ok()
        };
        linked(list, slot, taken).then_some(id)
    }

    fn raise_processes(&self, index: usize) {
        self.header.processes.fetch_max(index as u32 + 1, Ordering::SeqCst);
    }

    /// Marks the slot's owner dead, if it is still `state`; for whoever has proof, where the kernel did not do it.
    pub(crate) fn mark(&self, index: usize, state: State) -> bool {
        let marked = State(state.0 | u64::from(OWNER_DIED));
        self.slot(index)
            .state
            .compare_exchange(state.0, marked.0, Ordering::SeqCst, Ordering::SeqCst)
            .is_ok()
    }

    /// Marks a process that is proved dead, and its threads.
    pub(crate) fn mark_process(&self, process: ProcessId) {
        for (index, state) in self.threads_of(process) {
            self.mark(index, state);
        }
        let state = self.state(process.slot());
        if state.generation() == process.generation() {
            self.mark(process.slot(), state);
        }
    }

    /// Marks those threads of a dying process of which the system knows nothing any more. An `exec` by a thread other
    /// than the first leaves words that the kernel never marks.
    pub(crate) fn mark_vanished_threads(&self, process: ProcessId) {
        for (index, state) in self.threads_of(process) {
            if let Some(pid) = self.pid(index, state)
                && thread::is_gone(pid, state.tid())
            {
                self.mark(index, state);
            }
        }
    }
}

/// A word that counts only for one generation.
fn stamped(generation: u32, value: u32) -> u64 {
    u64::from(generation) << 32 | u64::from(value)
}

fn linked(list: Option<&List>, slot: &'static Slot, take: impl FnOnce() -> bool) -> bool {
    match list {
        Some(list) => list.link(core::ptr::from_ref(slot).cast_mut().cast(), take),
        None => take(),
    }
}

fn full(what: &str, most: usize) -> Error {
    Error::new(
        ErrorKind::Limit,
        format!(
            "all {most} places for {what} of this process tree are taken: end some of them first"
        ),
    )
}
