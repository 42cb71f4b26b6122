//! The fork server: a clean process of this program that forks children on request.
//!
//! To start a program costs what the loader, libc and the kernel do to make a fresh image of it. The server has that behind it:
//! it is this program, started once, stopped in the start-up hook before its constructors, with one thread and almost no memory.
//! Each child is a fork of it, and so costs the same however much memory and however many threads the parent has. It is made
//! before it is wanted: there is always a *spare* child, which has done whatever does not depend on what it is to be.
//!
//! - `client`: the parent's side: starting the server, asking it for a child, telling the child what it is to do;
//! - `server`: the server's loop;
//! - `spare`: a child that does not know yet what it is to do;
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
//!    the parent, under its lock        the server                      the spare child
//!                                   S1 sleeps on the socket and
//!                                      the parent
//! P1 unless it has asked before:
//!    page.number = 0, asks          S2 reads that it is asked
//!                                   S3 makes a pair of sockets,
//!                                      forks; the kernel stores the
//!                                      child's number in the page   C1 closes the server's socket, brings
//!                                                                      pages in
//!                                   S4 answers: number, pidfd, the
//!                                      other end of the pair        C2 sleeps on its socket and the parent
//! P2 reads the answer, or sees
//!    the server dead
//! P3 sends head, settings and
//!    descriptors to the child,
//!    closes its socket                                              C3 reads and decodes the request, applies it
//! P4 as P1, for the next start                                      C4 goes on as a spawned child (`hook`)
//! ```
//!
//! P4 does not wait: the server makes the next child while this one runs. So a start waits for nobody's fork, but for the first
//! one and for those that follow each other faster than the server can fork.
//!
//! The server reads nothing but that it is asked. What is in a request is decoded by the child (C3), which checks the program,
//! the function and the call as every child does (`entry`): whatever a damaged request says, nothing but a constant of the
//! program is called. The child itself ends at a head that is none.
//!
//! Until P3 the child is nobody's: it is not in the list of children, has no slot, and ends when its socket is closed. From P3 on it
//! is a child, whether it has read the request or not. Signals follow that: it has blocked all, and takes out and forgets those
//! that come before the request (Ctrl-C goes to the whole group); those that come with it or after it wait until the child has
//! its own signal mask.
//!
//! # If a process dies
//!
//! *The server*, at any instruction. The parent waits for an answer or for the server's end, whichever comes first; a start whose
//! child has been answered before does not even notice. Without an answer there may be a child all the same: the kernel stores
//! the number (`CLONE_PARENT_SETTID`) before the child runs, in a system call that a signal does not cut short. The other end of its
//! socket was open in the server alone, so it ends, having done nothing, and the parent takes its status. Then the parent starts
//! another server and asks again. So each start runs its function once. Children that were started before do not notice.
//!
//! *The spare child*. Before P3: sending fails, the parent takes its status and asks for another one. During or after P3: it is a
//! child that was killed before it took its function, and `join` says so.
//!
//! *The parent.* Server and spare child sleep on the parent's pidfd as well as on their sockets, whose other ends a forked process
//! may keep open. They end at once. A child that was just started finds what every child finds whose parent has died.
//!
//! *A child.* The parent sees it by its pidfd.
//!
//! A server that is stopped (SIGSTOP) holds up the starts of its parent until it goes on or is killed, a spare child its own one.
//!
//! # What the server keeps away from
//!
//! It has blocked all signals, so that Ctrl-C does not end it before its time; it works in `/` and has `/dev/null` for standard
//! streams, so that it keeps no folder busy and no pipe open. It maps the world once, so that each child has that by its fork, and
//! never joins it; it starts no thread. It uses no random numbers of its own: what was drawn before a fork would be drawn by every
//! child again. All of this holds for the spare child.
//!
//! What a child cannot be given by a request (user and group ids, session, process group) is compared at each start; if the
//! parent has changed it, the server and its spare child are replaced. Namespaces, the control group, the mask of file modes and the
//! processors on which a child may run are those that the parent had when the server started.
//!
//! # Measured
//!
//! Two processors with nothing else to do, a start with its join by the clock, one after the other: `/bin/true` by `posix_spawn`
//! 516 us, a child of the server 270 to 305 us (0.53 to 0.59, in parents of all sizes), a bare fork of the benchmark's process 154 us.
//! A start takes 180 us if the spare child is ready, and 400 us if it follows another one at once. Where the processors' time goes,
//! by sampling: the parent 50 to 80 us, the server 98 us (of it the fork 56), the child 130 us until it sleeps (of it 57 for pages
//! that are brought in) and 118 us from its request on (of it 73 for its end in the kernel). Before the server mapped the world for
//! its children, a child took 196 us until it slept; when every page of code was asked for, 20 us more.

mod client;
mod server;
mod settings;
mod spare;

pub(super) use client::{Failure, start};
pub(super) use server::serve;
pub(super) use settings::Settings;
#[cfg(feature = "testing")]
pub(crate) use settings::read_request;
pub(super) use spare::Forked;
