//! Who is alive: taking slots, and what counts as dead.
//!
//! [`crate::liveness::slot`] has the layout of a slot. Taking one is one CAS that raises the generation and stores the thread id
//! together. So an id is dead for good once the generation moved or the word is marked, and no id is ever given twice. A
//! slot whose generation is used up is retired, after 262,142 lives.
//!
//! # Which slot is taken
//!
//! A process takes the lowest free slot among those with the fewest lives, counted in thousands: slots age evenly, and few are
//! ever in use, so that whoever checks all of them checks few. Threads take slots in turn, so that the numbers of a dead
//! owner can be read for long.
//!
//! # If the taker dies
//!
//! 1. after the kernel's `pending` field names the slot, before the CAS: nothing happened;
//! 2. after the CAS, before the node is linked: the kernel handles `pending` like a linked node and marks the word;
//! 3. after linking: the kernel marks the word at the thread's death, whatever happens.
//!
//! # When something counts as over
//!
//! What a thread has in hand is released by its own word ([`Registry::is_dead`]). What a process has is released only when
//! its keeper's word and the words of all its threads are marked ([`Registry::is_gone`]): threads of a killed process die
//! one by one, and one inside a system call may still write shared memory (see *Measured*).
//!
//! # Leaving in order
//!
//! A process that has given everything back says so in `left` before it ends ([`Registry::leave`]). Its end is no death: no
//! keeper tells others of it. A process that uses something shared after that takes the word back first. Whoever takes the slot
//! of a life that ended in another way notes that life in `died` before it takes the slot; a keeper that did not see the dead
//! state itself sees it there.
//!
//! # Measured
//!
//! A thread of a killed process wrote shared memory 8.7 ms after the first thread was marked.

use crate::error::{Error, ErrorKind, Result};
use crate::liveness::slot::{
    Id, LAST_GENERATION, PROCESSES, ProcessId, RegistryTable, SLOTS, Slot, State, stamped,
};
use crate::sys::atomic::{AtomicU32, Ordering};
use crate::sys::robust::{List, WAITERS};
use crate::sys::thread;
use crate::testing::{self, Broken};

/// Slots whose numbers of lives differ by less than this count as equally old.
const AGE: u32 = 1 << 12;

/// A live or dead owner of a slot in the system's numbering.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Numbers {
    pub(crate) pid: u32,
    pub(crate) tid: u32,
}

/// The slots of one world.
#[derive(Clone, Copy)]
pub(crate) struct Registry {
    table: &'static RegistryTable,
}

impl Registry {
    pub(crate) fn new(table: &'static RegistryTable) -> Registry {
        Registry { table }
    }

    pub(crate) fn slot(&self, index: usize) -> &'static Slot {
        &self.table.slots[index % SLOTS]
    }

    /// Raised to make every keeper ring.
    #[inline]
    pub(crate) fn alarms(&self) -> &'static AtomicU32 {
        &self.table.alarms
    }

    pub(crate) fn state(&self, index: usize) -> State {
        // ORDERING(death): SeqCst, pairs with the kernel's mark, which is a full barrier after all that the dead owner wrote
        // (Acquire alone would do for that); and so that a sleeper that published its address sees a mark that a keeper acted
        // on, or the keeper sees the address.
        State::from_bits(self.slot(index).state.load(Ordering::SeqCst))
    }

    /// How many process slots were ever taken.
    pub(crate) fn processes(&self) -> usize {
        (self.table.processes.load(Ordering::SeqCst) as usize).min(PROCESSES)
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
        // The dead do not come back: once seen, it is noted, and all slots need not be checked again.
        let noted = &self.slot(process.slot()).gone;
        // ORDERING(gone): Acquire, pairs with the Release below; the marks of all its threads come before.
        if noted.load(Ordering::Acquire) == process.generation() {
            return true;
        }
        let gone =
            testing::is_broken(Broken::GoneAtKeeper) || self.live_thread_of(process).is_none();
        // ORDERING(gone): Release, pairs with the Acquire above.
        if gone
            && noted.fetch_max(process.generation(), Ordering::Release) < process.generation()
            && !self.has_left(process.slot(), state)
        {
            self.table.losses.fetch_add(1, Ordering::SeqCst);
        }
        gone
    }

    /// Whether the process is gone, and did not leave in order.
    pub(crate) fn is_lost(&self, process: ProcessId) -> bool {
        if !self.is_gone(process) {
            return false;
        }
        let state = self.state(process.slot());
        if state.generation() == process.generation() {
            return !self.has_left(process.slot(), state);
        }
        // Of an earlier life the slot tells this much, if no later one died.
        self.slot(process.slot()).died.load(Ordering::SeqCst) >= process.generation()
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
        let used = (self.table.threads.load(Ordering::SeqCst) as usize).min(SLOTS - PROCESSES);
        let slots = self.table.slots[PROCESSES..][..used].iter().zip(PROCESSES..);
        slots.filter_map(move |(slot, index)| {
            // Most slots end here: they are or were another process's, or nobody's.
            let written = slot.process.load(Ordering::SeqCst);
            if written as u32 != process.to_bits() {
                return None;
            }
            // After the owner's name: who is named there has taken the slot before.
            let state = self.state(index);
            let is_its = written == stamped(state.generation(), process.to_bits());
            (is_its && state.is_alive()).then_some((index, state))
        })
    }

    /// The owner's process id in the system's numbering, once it is written.
    pub(crate) fn pid(&self, index: usize, state: State) -> Option<u32> {
        let written = self.slot(index).pid.load(Ordering::SeqCst);
        ((written >> 32) as u32 == state.generation()).then_some(written as u32)
    }

    pub(crate) fn set_pid(&self, id: Id, pid: u32) {
        // The maximum: a parent may be late with the number of a child whose slot another has taken since.
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
        let id = self.take_youngest(list, thread::id() | WAITERS)?;
        self.set_pid(id, pid);
        Ok(id)
    }

    /// Reserves a process slot for a child.
    pub(crate) fn reserve_process(&self, parent: ProcessId) -> Result<ProcessId> {
        self.take_youngest(None, State::embryo_word(parent))
    }

    /// Takes the lowest of the process slots with the fewest lives.
    fn take_youngest(&self, list: Option<&List>, word: u32) -> Result<ProcessId> {
        let mut age = 0;
        while age <= LAST_GENERATION / AGE {
            let mut next = u32::MAX;
            for index in 0..PROCESSES {
                let state = self.state(index);
                let its_age = state.generation() / AGE;
                if state.is_alive() || its_age > age {
                    next = if state.is_alive() { next } else { next.min(its_age) };
                } else if let Some(id) = self.take(index, list, word) {
                    self.table.processes.fetch_max(index as u32 + 1, Ordering::SeqCst);
                    return Ok(id);
                }
            }
            age = next;
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
        linked(list, slot, || replace(slot, old, new))
    }

    /// The child for which its parent reserved the slot runs alone, or is about to take the slot after all; false if it was given
    /// up meanwhile.
    pub(crate) fn run_reserved(&self, id: ProcessId, pid: u32, alone: bool) -> bool {
        let old = self.state(id.slot());
        if old.generation() != id.generation() || !old.is_embryo() {
            return false;
        }
        // Before the word: whoever finds the child alone finds its number.
        self.set_pid(id, pid);
        replace(self.slot(id.slot()), old, old.reserved(alone))
    }

    /// Takes a thread slot for the calling thread.
    pub(crate) fn take_thread(
        &self,
        list: Option<&List>,
        process: ProcessId,
        pid: u32,
    ) -> Result<Id> {
        // Slots are taken in turn, so that a dead owner's numbers can be read for long. The cursor never goes back: one that is late
        // would send others to the slots of those who have just ended.
        let cursor = &self.table.thread_cursor;
        let first = cursor.fetch_add(1, Ordering::Relaxed) as usize;
        let count = SLOTS - PROCESSES;
        for step in 0..count {
            let index = PROCESSES + (first + step) % count;
            if let Some(id) = self.take(index, list, thread::id() | WAITERS) {
                self.set_pid(id, pid);
                // Before the process is named: whoever searches for its threads searches here, too.
                self.table.threads.fetch_max((index - PROCESSES) as u32 + 1, Ordering::SeqCst);
                let process = stamped(id.generation(), process.to_bits());
                self.slot(index).process.store(process, Ordering::SeqCst);
                cursor.fetch_add(step as u32, Ordering::Relaxed);
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
        if index < PROCESSES && old.is_dead() && !self.is_gone(Id::new(index, old.generation())) {
            return None;
        }
        let new = State::new(old.generation() + 1, word);
        if old.is_dead() && slot.left.load(Ordering::SeqCst) != old.generation() {
            // Before the slot is taken: from then on its state shows that death no longer.
            slot.died.fetch_max(old.generation(), Ordering::SeqCst);
        }
        linked(list, slot, || replace(slot, old, new)).then_some(id)
    }

    /// The process leaves in order: it holds nothing that others could wait for, and its end is no death.
    pub(crate) fn leave(&self, process: ProcessId) {
        // ORDERING(leave): SeqCst; the kernel's mark, which follows at the end of the process, is a full barrier after it.
        self.slot(process.slot()).left.store(process.generation(), Ordering::SeqCst);
    }

    /// The same for a child that ended alone, by whoever has proof of that. Not over what a later life of the slot says.
    pub(crate) fn leave_alone(&self, child: ProcessId) {
        self.slot(child.slot()).left.fetch_max(child.generation(), Ordering::SeqCst);
    }

    /// The process uses something shared after all.
    pub(crate) fn stay(&self, process: ProcessId) {
        self.slot(process.slot()).left.store(0, Ordering::SeqCst);
    }

    /// Whether this life of a slot ended, or is about to end, in order.
    pub(crate) fn has_left(&self, index: usize, state: State) -> bool {
        // ORDERING(leave): after the state was loaded, which was dead by then.
        self.slot(index).left.load(Ordering::SeqCst) == state.generation()
    }

    /// How many processes are gone that did not leave in order.
    pub(crate) fn losses(&self) -> u32 {
        self.table.losses.load(Ordering::SeqCst)
    }

    /// The last life of a slot that ended out of order, as far as one can know from the slot; `state` was loaded before.
    pub(crate) fn last_death(&self, index: usize, state: State) -> u32 {
        let earlier = self.slot(index).died.load(Ordering::SeqCst);
        let died_now = state.is_dead() && !self.has_left(index, state);
        if died_now { earlier.max(state.generation()) } else { earlier }
    }

    /// Marks the slot's owner dead, if it is still `state`; for whoever has proof, where the kernel did not do it.
    pub(crate) fn mark(&self, index: usize, state: State) -> bool {
        replace(self.slot(index), state, state.dead())
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

/// Changes a slot's state as a whole; whether it was still `old`.
fn replace(slot: &Slot, old: State, new: State) -> bool {
    slot.state
        .compare_exchange(old.to_bits(), new.to_bits(), Ordering::SeqCst, Ordering::SeqCst)
        .is_ok()
}

fn linked(list: Option<&List>, slot: &'static Slot, take: impl FnOnce() -> bool) -> bool {
    match list {
        Some(list) => list.link(core::ptr::from_ref(slot).cast_mut().cast(), take),
        None => take(),
    }
}

#[cold]
fn full(what: &str, most: usize) -> Error {
    Error::of(
        ErrorKind::Limit,
        format!(
            "all {most} slots for {what} of this process tree are taken or worn out: end some of them first, or, after \
             {LAST_GENERATION} lives of each slot, start the program again"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A registry of zeros, in which nobody ever lived.
    fn blank() -> Registry {
        let zeroed = Box::<RegistryTable>::new_zeroed();
        // SAFETY: zero is a value of every field, all of which are atomic integers.
        #[allow(unsafe_code, reason = "a table of zeros")]
        let table = unsafe { zeroed.assume_init() };
        Registry::new(Box::leak(table))
    }

    fn age(registry: Registry, index: usize, generation: u32) {
        let dead = State::new(generation, 1).dead();
        registry.slot(index).state.store(dead.to_bits(), Ordering::Relaxed);
    }

    fn end(registry: Registry, id: Id) {
        assert!(registry.mark(id.slot(), registry.state(id.slot())));
    }

    fn take_thread(registry: Registry, process: ProcessId) -> Result<Id> {
        registry.take_thread(None, process, 1)
    }

    #[test]
    fn the_lowest_free_slot_is_taken_until_it_is_a_thousand_lives_older() {
        let registry = blank();
        let lives = |count: u32| -> Vec<usize> {
            let life = |_| {
                let id = registry.take_process(None, 1).unwrap();
                end(registry, id);
                id.slot()
            };
            (0..count).map(life).collect()
        };
        // A slot in which generation `AGE - 1` has lived is taken once more.
        for slot in 0..3 {
            assert!(lives(AGE).iter().all(|&taken| taken == slot), "{slot}");
        }
        assert_eq!(lives(1), [3]);
        assert_eq!(registry.processes(), 4, "few are ever in use");
    }

    #[test]
    fn a_slot_does_not_age_by_being_the_lowest() {
        let registry = blank();
        // All slots have had their first age, and the lowest ones more than that.
        (0..PROCESSES).for_each(|index| age(registry, index, AGE));
        (0..10).for_each(|index| age(registry, index, 7 * AGE));
        assert_eq!(registry.take_process(None, 1).unwrap().slot(), 10);
        (10..PROCESSES).for_each(|index| age(registry, index, 7 * AGE));
        assert_eq!(registry.take_process(None, 1).unwrap().slot(), 0);
    }

    #[test]
    fn slots_that_are_taken_are_passed_over_at_every_age() {
        let registry = blank();
        (0..PROCESSES).for_each(|index| age(registry, index, 3 * AGE));
        let ids: Vec<Id> =
            (0..PROCESSES).map(|_| registry.take_process(None, 1).unwrap()).collect();
        assert!(ids.iter().map(|id| id.slot()).eq(0..PROCESSES));
        let error = registry.take_process(None, 1).unwrap_err();
        assert!(error.is_limit(), "{error:?}");
        end(registry, ids[500]);
        assert_eq!(registry.take_process(None, 1).unwrap().slot(), 500);
    }

    #[test]
    fn worn_out_slots_are_retired_and_the_error_says_what_helps() {
        let registry = blank();
        let process = registry.take_process(None, 1).unwrap();
        (1..PROCESSES).for_each(|index| age(registry, index, LAST_GENERATION - 1));
        (PROCESSES..SLOTS).for_each(|index| age(registry, index, LAST_GENERATION - 1));
        for error in [
            registry.take_process(None, 1).unwrap_err(),
            take_thread(registry, process).unwrap_err(),
        ] {
            assert!(error.is_limit(), "{error:?}");
            for part in ["worn out", "end some of them", "start the program again"] {
                assert!(error.to_string().contains(part), "{error}");
            }
        }
        // The last life is had, and no id is ever given twice.
        age(registry, 7, LAST_GENERATION - 2);
        let last = registry.take_process(None, 1).unwrap();
        assert_eq!((last.slot(), last.generation()), (7, LAST_GENERATION - 1));
        end(registry, last);
        assert!(registry.take_process(None, 1).is_err());
    }

    #[test]
    fn threads_take_slots_in_turn_and_age_evenly() {
        let registry = blank();
        let process = registry.take_process(None, 1).unwrap();
        let places = SLOTS - PROCESSES;
        for round in 1..=3 {
            for place in 0..places {
                let id = take_thread(registry, process).unwrap();
                assert_eq!((id.slot(), id.generation()), (PROCESSES + place, round));
                end(registry, id);
            }
        }
    }
}
