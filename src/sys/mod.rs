//! System calls, and nothing else: the only home of `libc` and `nix`.
//!
//! - `atomic`: the seam through which models replace the atomics; `bytes`: the same for copies;
//! - `barrier`: a memory barrier for all processes;
//! - `clock`: monotonic deadlines;
//! - `control_group`: how much memory this process's control group may use;
//! - `descriptor`: numbers of descriptors, inheritance, counters, waiting until one is readable;
//! - `fork`: forking a process with one thread, as a sibling;
//! - `futex`: sleeping and waking on a shared word;
//! - `image`: the main executable as it lies in memory;
//! - `machine`: how much memory there is, the pid namespace, random bits;
//! - `memfd`: the sealed file that a process tree shares;
//! - `overflow`: the report of a stack overflow in a child;
//! - `page`: a number that two processes share;
//! - `per_process`: private state that starts anew in a forked process;
//! - `pidfd`: watching and signalling one process;
//! - `portable`: the same without the kernel's help, behind the feature `raw-sync`;
//! - `posix_spawn`: starting a program;
//! - `program`: what this process is allowed, and how it ends;
//! - `robust`: the kernel's list of words to mark when a thread dies;
//! - `shared`: what may be seen through a reference into shared memory;
//! - `signals`: which signals are blocked and ignored;
//! - `sleep`: what sleeping needs of a system;
//! - `socket`: a pair of sockets, and descriptors that travel over it;
//! - `thread`: thread ids, probes and signal masks;
//! - `warm`: pages brought in before they are needed.

pub(crate) mod atomic;
pub(crate) mod barrier;
pub(crate) mod bytes;
pub(crate) mod clock;
pub(crate) mod control_group;
pub(crate) mod descriptor;
pub(crate) mod fork;
pub(crate) mod futex;
pub(crate) mod image;
pub(crate) mod machine;
pub(crate) mod memfd;
pub(crate) mod overflow;
pub(crate) mod page;
pub(crate) mod per_process;
pub(crate) mod pidfd;
#[cfg(feature = "raw-sync")]
pub(crate) mod portable;
pub(crate) mod posix_spawn;
pub(crate) mod program;
pub(crate) mod robust;
pub(crate) mod shared;
pub(crate) mod signals;
pub(crate) mod sleep;
pub(crate) mod socket;
pub(crate) mod thread;
pub(crate) mod warm;
