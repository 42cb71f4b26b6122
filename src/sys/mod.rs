//! System calls, and nothing else: the only home of `libc` and `nix`.
//!
//! - `atomic`: the seam through which models replace the atomics;
//! - `clock`: monotonic deadlines;
//! - `futex`: sleeping and waking on a shared word;
//! - `memfd`: the sealed file, its growth, and memory that a fork wipes;
//! - `robust`: the kernel's list of words to mark when a thread dies;
//! - `thread`: thread ids, probes and signal masks;
//! - `posix_spawn`: starting, watching and signalling processes.

pub(crate) mod atomic;
pub(crate) mod clock;
pub(crate) mod futex;
pub(crate) mod memfd;
pub(crate) mod posix_spawn;
pub(crate) mod robust;
pub(crate) mod thread;
