//! The fork server: a clean process of this program that forks children on request.
//!
//! To start a program costs what the loader, libc and the kernel do to make a fresh image of it. The server has that behind it:
//! it is this program, started once, stopped in the start-up hook before its constructors, with one thread and almost no memory.
//! Each child is a fork of it, and so costs the same however much memory and however many threads the parent has.
//!
//! - `client`: the parent's side: starting the server, asking it for a child;
//! - `server`: the server's loop;
//! - `settings`: what a child takes over from its parent at the time of its start, and the form in which it is sent.
//!
//! # Whose child it is
//!
//! The server forks with `CLONE_PARENT`: the new process is the *parent's* child, a sibling of the server. So the parent has its
//! pidfd and its exit status as of any other child, and a server that dies takes nothing along. No status travels.
//! `CLONE_PARENT` is not to be had from libc's `fork`; [`crate::sys::fork`] says what of libc's work is done in its place, and why
//! nothing is missing in a process that never had a second thread.
//!
//! # A start
//!
//! ```text
//!    the parent, under its lock                 the server                           the child
//! P1 page.number = 0
//! P2 sends head, settings, descriptors   S1 sleeps on the socket and the parent
//!                                        S2 reads the whole request
//!                                        S3 forks; the kernel stores the
//!                                           child's number in the page            C1 closes the socket
//!                                        S4 answers                               C2 decodes the settings, applies them
//! P3 reads the answer, or sees the server dead                                    C3 goes on as a spawned child (`hook`)
//! P4 reads page.number
//! ```
//!
//! The server understands of a request only its length. What is in it is decoded by the child (C2), which checks the program,
//! the function and the call as every child does (`entry`): whatever a damaged request says, nothing but a constant of the
//! program is called. The server itself ends at a head that is none.
//!
//! # If a process dies
//!
//! *The server*, at any instruction. The parent waits for an answer or for the server's end, whichever comes first. Then the
//! page says whether there is a child: the kernel stores the number (`CLONE_PARENT_SETTID`) before the child runs, in a
//! system call that a signal does not cut short. No number: no child, and there never will be one; the parent starts another
//! server and asks again. A number: the child runs, and the start has succeeded. So each start runs its function once.
//! Children that were started before do not notice.
//!
//! *The parent.* The server sleeps on the parent's pidfd as well as on the socket, whose other end a forked process may keep
//! open. It ends at once. A child that was just made finds what every child finds whose parent has died.
//!
//! *The child.* The parent sees it by its pidfd.
//!
//! A server that is stopped (SIGSTOP) holds up the starts of its parent until it goes on or is killed.
//!
//! # What the server keeps away from
//!
//! It has blocked all signals, so that Ctrl-C, which goes to the whole group, does not end it before its time; it works in `/`
//! and has `/dev/null` for standard streams, so that it keeps no folder busy and no pipe open. It joins no world and starts no
//! thread. It uses no random numbers of its own: what was drawn before a fork would be drawn by every child again.
//!
//! What a child cannot be given by a request (user and group ids, session, process group) is compared at each start; if the
//! parent has changed it, the server is replaced. Namespaces, the control group and the processors on which it may run are those
//! that the parent had when the server started.
//!
//! # Measured
//!
//! Two processors, load 15 to 20, processor time of a start with its join in all processes together: `/bin/true` by
//! `posix_spawn` 0.62 ms, a child of the server 0.53 ms; this program, ending in `main`, 1.04 ms, and by `Spawn` 1.18 ms. By the
//! clock a child of the server takes 0.8 to 0.95 of `/bin/true`, and took 1.6 when each child had a keeper. Of a child's share two
//! fifths are page faults on what each copy maps anew, almost a third is its exit, a tenth is mapping the shared memory; the fork
//! itself takes 0.1 ms.

mod client;
mod server;
mod settings;

pub(super) use client::{Failure, start};
pub(super) use server::{Forked, serve};
pub(super) use settings::Settings;
#[cfg(feature = "testing")]
pub(crate) use settings::read_request;
