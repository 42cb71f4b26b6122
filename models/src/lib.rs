//! Models of the protocols, checked with loom: all interleavings of two or three threads up to a number of preemptions, and
//! what weak memory allows in each.
//!
//! The code under test is the package's own. `build.rs` copies it, and the seam is where it always was: `crate::sys` is this
//! crate's here, with loom's atomics ([`sys::atomic`]), a table of sleepers for a futex ([`sys::futex`]) and a clock that
//! stands still ([`sys::clock`]). What the copies need of their surroundings is in [`world`] and [`channel`].
//!
//! - A *death* is a thread that returns at a step given from outside, at each of its atomic accesses and system calls in
//!   turn ([`sim::dying_at`]); then its words are marked as the kernel does it. Nothing of it runs afterwards.
//! - A *weakened* variant is a line of code replaced by another ([`sim::with_mutant`]); `checks` shows for each that the
//!   models catch it.
//!
//! ```sh
//! cargo test --release -p multiproc-models -- --nocapture
//! ```
//!
//! # What is the package's and what is not
//!
//! Whole files: lock word, news, sleeping and its records, keeper, registry, header, chunks of a queue. Functions of them: the
//! event, the semaphore, putting, getting and waiting of the queue, the hand-over of a block and what tells whether it is in
//! use. Restated here: the structures that those functions are of, the first lines of `put` and `get`, the kernel (marks,
//! futex), and a short alarm ([`world::World::alarm`]) for the models of other protocols than the alarm itself.
//!
//! # What the models do not see
//!
//! - `SeqCst` stores and read-modify-writes count as full barriers here, as on x86-64; loom knows no total order of `SeqCst`
//!   accesses. The locked instruction before `News::tell` counts as a barrier.
//! - The ring is checked with empty records: that a record is there once the tail says so shows in its first word. Moves
//!   between chunks, large records and handles in messages are left to the kill harness, as are allocation and the walk of a
//!   sweep.
//! - Nobody is stopped: who stops for ever here is dead, and marked. What a stopped process holds up is told by the looks
//!   that keepers make by the clock, which does not run here.
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
