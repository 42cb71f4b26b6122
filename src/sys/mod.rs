//! System calls, and nothing else: the only home of `libc` and `nix`.
//!
//! - `arrivals`: signals that wait, as a descriptor;
//! - `atomic`: the seam through which models replace the atomics; `bytes`: the same for copies;
//! - `barrier`: a memory barrier for all processes;
//! - `clock`: monotonic deadlines;
//! - `control_group`: how much memory this process's control group may use;
//! - `counter`: a counter that threads add to and poll;
//! - `descriptor`: numbers of descriptors, inheritance, waiting until one is readable;
//! - `fork`: forking a process with one thread, as a sibling;
//! - `futex`: sleeping and waking on a shared word;
//! - `image`: the main executable as it lies in memory;
//! - `loaded`: the words in which `image` says it;
//! - `machine`: how much memory there is, the pid namespace, random bits;
//! - `memfd`: a file in memory that can be sealed;
//! - `overflow`: the report of a stack overflow in a child;
//! - `page`: a number that two processes share;
//! - `per_process`: private state that starts anew in a forked process;
//! - `pidfd`: watching and signalling one process;
//! - `portable`: the same without the kernel's help: on other systems than Linux, or with the feature `raw-sync`;
//! - `posix_spawn`: starting a program;
//! - `program`: what this process is allowed, and how it ends;
//! - `racing`: copies of what anybody may write to meanwhile;
//! - `reap`: taking the exit status of a child;
//! - `robust`: the kernel's list of words to mark when a thread dies;
//! - `shared`: what may be seen through a reference into shared memory;
//! - `shared_file`: the sealed file that a process tree shares;
//! - `signals`: which signals are blocked and ignored;
//! - `sleep`: what sleeping needs of a system;
//! - `socket`: a pair of sockets, and descriptors that travel over it;
//! - `system`: what each system has in its own way, in small calls;
//! - `thread`: thread ids, probes and signal masks;
//! - `warm`: pages brought in before they are needed.
//!
//! A file that is Linux's alone has a counterpart of the same name for other Unix systems in `elsewhere/`; `portable` says what is
//! promised there. `--cfg elsewhere` puts those in place on Linux, too, where they can be tried.

#[cfg_attr(any(not(target_os = "linux"), elsewhere), path = "elsewhere/arrivals.rs")]
pub(crate) mod arrivals;
pub(crate) mod atomic;
#[cfg_attr(any(not(target_os = "linux"), elsewhere), path = "elsewhere/barrier.rs")]
pub(crate) mod barrier;
pub(crate) mod bytes;
pub(crate) mod clock;
pub(crate) mod control_group;
#[cfg_attr(any(not(target_os = "linux"), elsewhere), path = "elsewhere/counter.rs")]
pub(crate) mod counter;
pub(crate) mod descriptor;
#[cfg_attr(any(not(target_os = "linux"), elsewhere), path = "elsewhere/fork.rs")]
pub(crate) mod fork;
pub(crate) mod futex;
#[cfg_attr(any(not(target_os = "linux"), elsewhere), path = "elsewhere/image.rs")]
pub(crate) mod image;
pub(crate) mod loaded;
pub(crate) mod machine;
#[cfg_attr(any(not(target_os = "linux"), elsewhere), path = "elsewhere/memfd.rs")]
pub(crate) mod memfd;
#[cfg_attr(any(not(target_os = "linux"), elsewhere), path = "elsewhere/overflow.rs")]
pub(crate) mod overflow;
pub(crate) mod page;
pub(crate) mod per_process;
#[cfg_attr(any(not(target_os = "linux"), elsewhere), path = "elsewhere/pidfd.rs")]
pub(crate) mod pidfd;
#[cfg(any(feature = "raw-sync", not(target_os = "linux")))]
pub(crate) mod portable;
pub(crate) mod posix_spawn;
pub(crate) mod program;
pub(crate) mod racing;
pub(crate) mod reap;
#[cfg_attr(any(not(target_os = "linux"), elsewhere), path = "elsewhere/robust.rs")]
pub(crate) mod robust;
pub(crate) mod shared;
pub(crate) mod shared_file;
pub(crate) mod signals;
pub(crate) mod sleep;
#[cfg_attr(any(not(target_os = "linux"), elsewhere), path = "elsewhere/socket.rs")]
pub(crate) mod socket;
#[cfg_attr(any(not(target_os = "linux"), elsewhere), path = "elsewhere/system.rs")]
pub(crate) mod system;
pub(crate) mod thread;
#[cfg_attr(any(not(target_os = "linux"), elsewhere), path = "elsewhere/warm.rs")]
pub(crate) mod warm;
