//! Models of the protocols, checked with loom: all interleavings of two or three threads up to a number of preemptions, and
//! what weak memory allows in each.
//!
//! The code under test is the package's own. `build.rs` copies it, and the seam is where it always was: `crate::sys` is this
//! crate's here, with loom's atomics ([`sys::atomic`]), a table of sleepers for a futex ([`sys::futex`]) and a clock that
//! stands still ([`sys::clock`]). What the copies need of their surroundings is in [`world`] and [`channel`].
//!
//! - A *death* is a thread that returns at a step given from outside, at each of its atomic accesses and system calls in
//!   turn ([`sim::dying_at`]); then its words are marked as the kernel does it. Nothing of it runs afterwards.
//! - A *stop* is the same, but nobody marks its words, and if it is asleep it goes on taking wakes ([`sim::stopping_at`]).
//! - A *weakened* variant is a line of code replaced by another ([`sim::with_mutant`]); `checks` shows for each that the
//!   models catch it.
//!
//! ```sh
//! cargo test --release -p multiproc-models -- --nocapture
//! ```
//!
//! # What is the package's and what is not
//!
//! Whole files: lock word, brief lock, restraint, news, sleeping and its records, keeper, registry, header, chunks of a queue,
//! `Lock` and `RLock` with their guards. Functions of them: the event, the semaphore, putting, getting and waiting of the queue, its way from chunk to
//! chunk, handing out and giving back a block, its hand-over and what tells whether it is in use. Restated here: the
//! structures that those functions are of, the first lines of `put` and `get`, the free list and the walk of a sweep over the
//! two or three blocks that there are, the kernel (marks, futex), and short forms of the alarm ([`world::World::alarm`]) and
//! of the look for old news for the models of other protocols.
//!
//! # What the models do not see
//!
//! - `SeqCst` stores and read-modify-writes count as full barriers here, as on x86-64; loom knows no total order of `SeqCst`
//!   accesses. The locked instruction before `News::tell` counts as a barrier.
//! - Records are empty, or a number where chunks change; one change is seen, from the first chunk to the second, not the
//!   numbers of positions running over. A copy of a payload is one step: nobody dies in the middle of one. Large records and
//!   handles in messages are left to the kill harness, as are new memory, segments, and sweeps of cells.
//! - The clock moves only where something sleeps until a moment or a model lets it tick. A stopped process is seen at each of
//!   its steps where it locks, sets an event, or gets and puts a message; of the semaphore only asleep. One that is stopped
//!   with a lock in its hands holds up the others until it is killed, here as there.
//! - That a store is visible to others in the end is not known to loom: the models of stopped processes say when.
//! - The brief lock's `waiters` is a hint that may be lost, and its naps end by time: here who gives the lock back wakes all. A
//!   semaphore's block is there as soon as it is asked for.
//! - An adopter that dropped WAITERS would not be caught: the alarm wakes the same sleepers, only later.
//! - With a bound on preemptions loom does not find every execution within that bound; the weakened variants show how far the
//!   bounds that are used reach.

#![cfg_attr(not(test), allow(dead_code, unused))]

/// A module copied from the package.
macro_rules! copied {
    ($name:literal) => {
        include!(concat!(env!("OUT_DIR"), "/", $name, ".rs"));
    };
}

#[allow(unused, private_interfaces, clippy::all, reason = "a copy")]
mod error {
    copied!("error");
}
#[allow(unused, private_interfaces, clippy::all, reason = "a copy")]
mod testing {
    copied!("testing");
}
mod channel;
mod sim;
mod sync;
#[allow(dead_code, reason = "the copies use more or less of it as they change")]
mod sys;
mod world;

#[allow(unused_imports, reason = "the copies name them")]
pub(crate) use error::{Error, Result};

#[cfg(test)]
mod checks;
