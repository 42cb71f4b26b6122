//! Models of the protocols, checked with loom: all interleavings of two or three threads up to a number of preemptions, and
//! what weak memory allows in each.
//!
//! The code under test is the package's own files, whole: error, forms, handle, message, sync, liveness, raw, memory (but
//! `segments`), `shared/borrow`, `channel/queue`, `channel/pipe` (but `span`), the manager's `replies`, and the kinds of objects. `build.rs` says where they are.
//! For files with weakened variants it makes a
//! copy with all of them (`weakened.rs`).
//!
//! The seams: `sys` is this crate's, with loom's atomics, a table of sleepers for a futex, a clock that stands still, and cells that
//! loom looks after for the bytes of payloads; so are `memory::segments` (a head and a payload for each block), the bytes of a pipe (`channel/span.rs`), `world` (processes with
//! threads) and `testing`. `thread_local!` is hidden by one that knows the threads of a model.
//!
//! - A model begins with a *preparation* at full speed ([`sim`]): it makes locks and queues as users do.
//! - A *death* is a thread that returns at a step given from outside, at each of its atomic accesses and system calls in
//!   turn; then its words are marked as the kernel does it. Nothing of it runs afterwards.
//! - A *stop* is the same, but nobody marks its words, and if it is asleep it goes on taking wakes.
//! - A *weakened* variant is a text replaced by another; `checks::weakened` shows for each that the models catch it.
//!
//! ```sh
//! cargo test --release -p multiproc-models -- --nocapture
//! ```
//!
//! # What the models do not see
//!
//! - `SeqCst` stores and read-modify-writes count as full barriers here, as on x86-64; loom knows no total order of `SeqCst`
//!   accesses.
//! - A store of 32 bits that is not relaxed counts as a read-modify-write, since a futex may look at the word: what was released
//!   to it before stays released.
//! - The larger models stop after the first 40,000 executions in loom's order, or 1,000 for each step of a death.
//! - A copy of a payload is one step: nobody dies in the middle of one. Large records and handles in messages are left to the kill
//!   harness, as are new memory and segments.
//! - The clock moves only where something sleeps until a moment or a model lets it tick.
//! - That a store is visible to others in the end is not known to loom: the models of stopped processes say when.
//! - An adopter that dropped WAITERS would not be caught: the alarm wakes the same sleepers, only later.
//! - With a bound on preemptions loom does not find every execution within that bound; the weakened variants show how far the
//!   bounds that are used reach.

#![allow(dead_code, reason = "the models use more or less of the seams as the package changes")]

/// The models' own kind of thread-local variables, also for the package's files: this stands before them and hides the standard one.
macro_rules! thread_local {
    ($($(#[$attribute:meta])* static $name:ident: $type:ty = const $init:block;)*) => {
        $($(#[$attribute])* static $name: $crate::sim::Local<$type> = $crate::sim::Local::new(|| $init);)*
    };
}

/// The package's files of a room, whole.
macro_rules! package {
    ($room:literal) => {
        include!(concat!(env!("OUT_DIR"), "/", $room, "_modules.rs"));
    };
}

mod sim;
mod sys;
mod testing;
mod weakened;
mod world;

package!("root");

pub(crate) mod liveness {
    package!("liveness");

    pub(crate) use sleepers::Wait;
    pub(crate) use slot::{Id, PROCESSES, ProcessId, SLOTS};
    pub(crate) use spin::{GiveWay, Off, Pauses, Rhythm, WORTH};
    pub(crate) use spot::Spot;
    pub(crate) use thread::is_me;
    pub(crate) use view::Liveness;
}

pub(crate) mod raw {
    package!("raw");
}

pub(crate) mod memory {
    package!("memory");
    pub(crate) mod segments;

    pub(crate) use block::{Block, HEAD};
    pub(crate) use id::ObjectId;
    pub(crate) use objects::Object;
    pub(crate) use store::{Memory, MemoryTable};
}

pub(crate) mod shared {
    package!("shared");
}

pub(crate) mod channel {
    package!("channel");
}

pub(crate) mod manager {
    package!("manager");
}

#[allow(unused_imports, reason = "the package's files name them")]
pub(crate) use error::{Error, ErrorKind, Result};

pub mod checks;
