//! The words of a semaphore, in its object and in its block; see [the protocol](super).

use super::state::{Seat, State};
use crate::error::Result;
use crate::liveness::{Id, Liveness, PROCESSES};
use crate::raw::event_count::EventCount;
use crate::raw::fairness::Fairness;
use crate::raw::short_lock::ShortLock;
use crate::sys::atomic::{AtomicU32, AtomicU64, NATIVE, Ordering};
use crate::sys::clock::Deadline;
use crate::sys::shared::Shared;
use std::sync::OnceLock;

/// Entries on a cache line.
const LINE: usize = 8;

/// The words in the semaphore's object.
#[repr(C)]
pub(crate) struct Words {
    /// For the seats, for what the dead held, and for all that is COUNTED.
    pub(super) lock: ShortLock,
    /// A [`State`]. The truth. Written by anybody while it is open, else under the lock.
    state: AtomicU64,
    /// On which those sleep who want a permit. Written by waiters and notifiers.
    pub(super) event_count: EventCount,
    /// The id of the semaphore's block; 0: none yet. Written once, under the lock.
    pub(super) block: AtomicU32,
    /// How many permits may ever exist. Written by the maker.
    pub(super) most: AtomicU32,
    /// How a waiter gets its turn (hint).
    pub(super) fairness: Fairness,
    /// The process in each seat; 0: none. The truth of whose the fields of `state` are. Written under the lock.
    seats: [AtomicU32; 4],
}

/// What the semaphore's block holds.
#[repr(C)]
pub(crate) struct Far {
    /// How many permits are available while the state is COUNTED (cache). Written under the lock, read by anybody.
    pub(super) available: AtomicU32,
    /// The sum of all entries of processes that are not gone (cache). Under the lock.
    pub(super) held: AtomicU32,
    unused: [AtomicU32; 2 * LINE - 2],
    /// An entry for every process slot: process and count. The truth of what is held there. Written under the lock.
    entries: [AtomicU64; PROCESSES],
}

#[allow(unsafe_code, reason = "lives in shared memory")]
// SAFETY: a structure of atomics only.
unsafe impl Shared for Words {}
#[allow(unsafe_code, reason = "lives in shared memory")]
// SAFETY: atomics only.
unsafe impl Shared for Far {}

const _: () = {
    use core::mem::offset_of;
    assert!(!NATIVE || (offset_of!(Words, state) == 8 && offset_of!(Words, block) == 20));
    assert!(!NATIVE || (offset_of!(Words, seats) == 32 && size_of::<Words>() == 48));
    assert!(!NATIVE || offset_of!(Far, entries) == 64);
    assert!(PROCESSES.is_multiple_of(LINE));
};

impl Words {
    /// Begins with so many permits, which may never become more than `most`. Before anyone else sees the words.
    pub(crate) fn begin(&self, permits: u32, most: u32) {
        self.state.store(State::open(permits).to_bits(), Ordering::Relaxed);
        self.most.store(most, Ordering::Relaxed);
    }

    /// The id of the semaphore's block, if it has one. Under the lock, or by whoever has seen a state that is COUNTED.
    pub(crate) fn block(&self) -> Option<u32> {
        // ORDERING(block): Relaxed, behind the lock or the Acquire of a COUNTED state, which came after the block.
        Some(self.block.load(Ordering::Relaxed)).filter(|&block| block != 0)
    }

    /// How many permits exist.
    pub(crate) fn total(&self) -> u32 {
        self.state().total()
    }

    /// Whether someone sleeps, or slept since the last wake that found nobody.
    pub(crate) fn has_waiters(&self) -> bool {
        self.event_count.has_waiters()
    }

    pub(super) fn state(&self) -> State {
        // ORDERING(seat): Acquire, pairs with the Release in `replace`: whoever sees a permit in a field sees whose the field is.
        State::from_bits(self.state.load(Ordering::Acquire))
    }

    /// Changes the state; whether it was still `now`.
    #[inline]
    pub(super) fn replace(&self, now: State, new: State) -> bool {
        let (now, new) = (now.to_bits(), new.to_bits());
        // ORDERING(permit): AcqRel, pairs with itself: who takes a permit comes after who gave it.
        // ORDERING(seat): Release, pairs with the Acquire in `state`; the seat before the first permit in its field.
        self.state.compare_exchange(now, new, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// Changes the state as `change` says, until nobody interferes; `None` if `change` refuses.
    #[inline]
    pub(super) fn change(&self, change: impl Fn(State) -> Option<State>) -> Option<State> {
        loop {
            let now = State::from_bits(self.state.load(Ordering::Relaxed));
            let new = change(now)?;
            if self.replace(now, new) {
                return Some(new);
            }
        }
    }

    /// Stores a state in place of one that is COUNTED. Under the lock.
    pub(super) fn store(&self, state: State) {
        // ORDERING(permit): Release, pairs with the Acquire in `replace`, if this state is open.
        self.state.store(state.to_bits(), Ordering::Release);
    }

    /// The word that says which process is in a seat.
    pub(super) fn seat(&self, seat: Seat) -> &AtomicU32 {
        &self.seats[seat.index()]
    }
}

impl Far {
    /// The entry of a process slot.
    pub(super) fn of(&self, slot: usize) -> &AtomicU64 {
        const LINES: usize = PROCESSES / LINE;
        &self.entries[slot % LINES * LINE + slot / LINES % LINE]
    }
}

/// One process's view of a semaphore: the words, and what it needs of the rooms above.
pub(crate) trait View {
    fn words(&self) -> &'static Words;

    fn liveness(&self) -> &'static Liveness;

    /// The id of this process.
    fn process(&self) -> u32;

    /// Where this process remembers its seat: once it has one, that is for life.
    fn own_seat(&self) -> &OnceLock<Seat>;

    /// The semaphore's block, if it has one.
    fn far(&self) -> Result<Option<&'static Far>>;

    /// Gives the semaphore a block, if it has none, and calls [`Locked::publish`](super::locked::Locked::publish) for it. Not
    /// under the lock.
    fn add_far(&self, me: Id, until: Deadline) -> Result<()>;
}
