//! Slots: the words in shared memory that say who is alive, and the ids that name their owners.
//!
//! # Layout
//!
//! ```text
//! a slot, one cache line
//! 0   8  state      low half: the robust word; high half: the generation     owner; kernel and keepers mark deaths
//! 8   8  process    of a thread: its process; high half: for which generation owner, after it took the slot
//! 16  8  pid        process id; high half: for which generation               owner, or the parent of an embryo
//! 24 16  robust     pointers of the owner's robust list                       owner; read by its own libc and kernel
//! 40  4  control    bumped to make this process's keeper turn                 anybody
//! 44  4  gone       the last generation seen dead with all its threads (cache) anybody
//! 48  4  left       the generation that left in order                         owner
//! 52  4  died       the last earlier life that did not leave in order         whoever takes the slot next
//! 56  4  told       the last death of which a keeper tells the others (cache)    that keeper
//! 60  4  unused
//! ```
//!
//! A slot's `state` is one 64-bit word that this crate always changes as a whole. The kernel changes the low half alone, when
//! the owning thread dies.
//!
//! | low half | meaning | who writes it |
//! |---|---|---|
//! | 0 | never taken | |
//! | `EMBRYO`, the parent | reserved for a child that has not taken it yet | the parent, from free or dead; the child, from `ALONE` |
//! | `EMBRYO`, `ALONE`, the parent | of a child that runs, and has nothing shared so far | the child, from `EMBRYO` |
//! | thread id, `WAITERS` | alive | the owner, from free, dead or `EMBRYO` |
//! | `OWNER_DIED` and anything | dead, free to take | the kernel; a keeper that has proof |
//!
//! An [`Id`] is slot and generation. What else stands in a slot is written after the slot was taken, and carries the
//! generation for which it was written. A reader that comes in between does not take it for the new owner's.

#![allow(unsafe_code, reason = "structures in shared memory")]

use crate::sys::atomic::{AtomicU32, AtomicU64, NATIVE};
use crate::sys::robust::{OWNER_DIED, TID_MASK, WAITERS};
use crate::sys::shared::{Shared, low_half};

/// How many slots processes may take. They are the first ones.
pub(crate) const PROCESSES: usize = 1024;
/// How many slots there are for processes and threads together.
pub(crate) const SLOTS: usize = 4096;

/// Stands, with the parent in the bits below, in the word of a child that has not taken its slot; above any `pid_max`.
const EMBRYO: u32 = 1 << 29;
/// The child of that word runs alone: it has no keeper, since it has nothing shared. Its number in the system is written.
const ALONE: u32 = 1 << 28;
const SLOT_BITS: u32 = 12;
const GENERATION_BITS: u32 = 18;
pub(crate) const LAST_GENERATION: u32 = (1 << GENERATION_BITS) - 1;
const PROCESS_BITS: u32 = PROCESSES.ilog2();

const _: () = assert!(1 << SLOT_BITS == SLOTS && PROCESS_BITS + GENERATION_BITS <= 28);

/// One slot; see the module.
#[repr(C, align(64))]
pub(crate) struct Slot {
    /// Low half: the robust word. High half: the generation.
    pub(crate) state: AtomicU64,
    /// The process that a thread belongs to; high half: the generation for which this was written.
    pub(crate) process: AtomicU64,
    /// The process id in the system's numbering; high half: the generation for which this was written.
    pub(crate) pid: AtomicU64,
    /// Private pointers of the owner's robust list. This crate never reads them.
    robust: [AtomicU64; 2],
    /// Bumped to make this process's keeper take a turn. Written by anybody.
    pub(crate) control: AtomicU32,
    /// The last generation of a process of which all threads were seen dead (cache). Written by anybody.
    pub(crate) gone: AtomicU32,
    /// The generation that left in order: its end interests nobody. Written by the owner.
    pub(crate) left: AtomicU32,
    /// The last earlier life of this slot that ended in another way. Noted by whoever takes the slot next, before it takes it.
    pub(crate) died: AtomicU32,
    /// The last death of which some keeper tells all others, so that not each of them tells all again.
    pub(crate) told: AtomicU32,
    reserved: AtomicU32,
}

/// The registry in shared memory: its line and all slots.
#[repr(C, align(64))]
pub(crate) struct RegistryTable {
    /// One more than the highest process slot ever taken. Written by whoever takes a slot, as `thread_cursor` and `threads`.
    pub(crate) processes: AtomicU32,
    /// Where the next search for a thread slot starts (hint).
    pub(crate) thread_cursor: AtomicU32,
    /// Raised to make every keeper ring although its own turn found no death. Written by anybody.
    pub(crate) alarms: AtomicU32,
    /// One more than the highest thread slot ever taken, counted from the first thread slot.
    pub(crate) threads: AtomicU32,
    /// How many processes are gone that did not leave in order: what they had in memory is to be swept up. Written by whoever
    /// sees first that one is gone.
    pub(crate) losses: AtomicU32,
    reserved: [AtomicU32; 11],
    pub(crate) slots: [Slot; SLOTS],
}

// SAFETY: a structure of atomics only.
unsafe impl Shared for RegistryTable {}

const _: () = {
    use core::mem::offset_of;
    assert!(!NATIVE || size_of::<Slot>() == 64);
    assert!(!NATIVE || (offset_of!(Slot, robust) == 24 && offset_of!(Slot, left) == 48));
    assert!(!NATIVE || offset_of!(RegistryTable, slots) == 64);
};

impl Slot {
    /// The half of the state that the kernel marks, as a word to sleep on.
    pub(crate) fn robust_word(&self) -> &AtomicU32 {
        low_half(&self.state)
    }
}

/// A slot in one of its lives. Never 0, fits in 30 bits, and is never given twice.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Id(u32);

/// The [`Id`] of a process.
pub(crate) type ProcessId = Id;

impl Id {
    /// An id that no process or thread ever has: the last slot in a life that is never given.
    pub(crate) const NOBODY: Id = Id((1 << (SLOT_BITS + GENERATION_BITS)) - 1);

    /// The bits of a word in which an id stands.
    pub(crate) const MASK: u32 = (1 << (SLOT_BITS + GENERATION_BITS)) - 1;

    pub(crate) fn new(slot: usize, generation: u32) -> Id {
        Id(generation << SLOT_BITS | slot as u32)
    }

    /// The owner that a slot with this state has or had.
    pub(crate) fn in_slot(slot: usize, state: State) -> Option<Id> {
        (!state.is_free()).then(|| Id::new(slot, state.generation()))
    }

    /// Reads an id from shared memory. Any 30 bits with a generation are one.
    #[inline]
    pub(crate) fn from_bits(bits: u32) -> Option<Id> {
        let generation = bits >> SLOT_BITS;
        (generation != 0 && generation <= LAST_GENERATION).then_some(Id(bits))
    }

    /// An id from memory that only this process writes. 0 is none.
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
    /// Of a slot that was never taken.
    pub(crate) const FREE: State = State(0);

    /// The state of a slot's owner in its life number `generation`.
    pub(crate) fn new(generation: u32, word: u32) -> State {
        State(stamped(generation, word))
    }

    /// Reads a state from shared memory. Any bits are one.
    pub(crate) fn from_bits(bits: u64) -> State {
        State(bits)
    }

    pub(crate) fn to_bits(self) -> u64 {
        self.0
    }

    /// The robust word.
    pub(crate) fn word(self) -> u32 {
        self.0 as u32
    }

    pub(crate) fn generation(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// Never taken.
    pub(crate) fn is_free(self) -> bool {
        self.word() == 0
    }

    /// The kernel, or a keeper with proof, marked the owner dead.
    pub(crate) fn is_dead(self) -> bool {
        self.word() & OWNER_DIED != 0
    }

    /// The same state, dead.
    pub(crate) fn dead(self) -> State {
        State(self.0 | u64::from(OWNER_DIED))
    }

    /// Taken and not dead.
    pub(crate) fn is_alive(self) -> bool {
        !self.is_free() && !self.is_dead()
    }

    /// Reserved for a child that has not taken the slot.
    pub(crate) fn is_embryo(self) -> bool {
        self.word() & (EMBRYO | OWNER_DIED | WAITERS) == EMBRYO
    }

    /// Reserved for a child that runs alone.
    pub(crate) fn is_alone(self) -> bool {
        self.is_embryo() && self.word() & ALONE != 0
    }

    /// The same reservation for a child that runs alone, or for one that does not.
    pub(crate) fn reserved(self, alone: bool) -> State {
        let bit = u64::from(ALONE);
        State(if alone { self.0 | bit } else { self.0 & !bit })
    }

    /// The word of a slot that `parent` reserves.
    pub(crate) fn embryo_word(parent: ProcessId) -> u32 {
        EMBRYO | parent.generation() << PROCESS_BITS | (parent.slot() % PROCESSES) as u32
    }

    /// The parent of a child that has not taken its slot.
    pub(crate) fn parent(self) -> Option<ProcessId> {
        let word = self.word() & (ALONE - 1);
        let generation = word >> PROCESS_BITS;
        (self.is_embryo() && generation != 0)
            .then(|| Id::new(word as usize % PROCESSES, generation))
    }

    pub(crate) fn tid(self) -> u32 {
        self.word() & TID_MASK
    }
}

/// A value that counts only for one generation.
pub(crate) fn stamped(generation: u32, value: u32) -> u64 {
    u64::from(generation) << 32 | u64::from(value)
}
