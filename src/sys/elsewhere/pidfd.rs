//! A process by its number, and a descriptor that turns readable when it has ended.
//!
//! One thread asks after all processes that are watched, every [`PAUSE`], and writes a byte into a pipe for each that has ended.
//! It ends when there is none left. The exit status is taken by the number, which a child keeps until then. So only a child is
//! certain to be the one that was meant: a stranger's number may be another's a moment after it was asked for.
//!
//! A process that has ended and whose own parent has not taken its status counts as running, but for its parent. What the dead held
//! is given up by the keeper of the parent therefore, or once the parent has ended too.

#![allow(unsafe_code, reason = "system calls")]

use std::io::{self, PipeWriter, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal;
use nix::unistd::Pid;

use crate::sys::clock::Deadline;
use crate::sys::descriptor::{keep_high, readable};
use crate::sys::per_process::PerProcess;
use crate::sys::reap::{self, Reaped};
use crate::sys::thread::with_signals_blocked;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(2);

/// A process that is watched.
struct Watch {
    pid: u32,
    writer: PipeWriter,
}

static WATCHES: PerProcess<Mutex<Vec<Watch>>> = PerProcess::new();

/// A descriptor for process `pid`: readable once the process has ended. Closed in programs this process starts.
pub(crate) fn open(pid: u32) -> io::Result<OwnedFd> {
    if !is_there(pid) {
        return Err(Errno::ESRCH.into());
    }
    let (reader, writer) = io::pipe()?;
    let reader = keep_high(reader.into())?;
    let watches = WATCHES.get_or_make();
    let mut list = watches.lock().unwrap_or_else(PoisonError::into_inner);
    if list.is_empty() {
        let watcher = thread::Builder::new().name("multiproc-watch".to_owned());
        with_signals_blocked(|| watcher.spawn(|| watch(watches)))?;
    }
    list.push(Watch { pid, writer });
    Ok(reader)
}

/// The thread that asks. It ends under the lock under which the next one is started.
fn watch(watches: &Mutex<Vec<Watch>>) {
    loop {
        let mut list = watches.lock().unwrap_or_else(PoisonError::into_inner);
        list.retain_mut(|watch| !watch.is_done());
        if list.is_empty() {
            return;
        }
        drop(list);
        thread::sleep(PAUSE);
    }
}

impl Watch {
    /// Whether the process has ended, which is told then, or nobody is left to be told.
    fn is_done(&mut self) -> bool {
        if is_over(self.pid) {
            let _ = self.writer.write(&[1]);
            return true;
        }
        let mut list = [PollFd::new(self.writer.as_fd(), PollFlags::empty())];
        let lost = PollFlags::POLLERR | PollFlags::POLLHUP;
        poll(&mut list, PollTimeout::ZERO).is_ok()
            && list[0].revents().is_some_and(|found| found.intersects(lost))
    }
}

/// Whether there is a process with this number.
fn is_there(pid: u32) -> bool {
    signal::kill(Pid::from_raw(pid as i32), None) != Err(Errno::ESRCH)
}

/// Whether the error of [`open`] means that there is no such process.
pub(crate) fn is_no_process(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ESRCH)
}

/// Whether process `pid` has ended. A process that may not be asked counts as alive.
pub(crate) fn is_over(pid: u32) -> bool {
    let look = libc::WNOHANG | libc::WNOWAIT;
    match reap::by(libc::P_PID, pid as libc::id_t, look) {
        Ok(Reaped::Now(_)) => true,
        Ok(Reaped::Not) => false,
        Ok(Reaped::NotOurs) | Err(_) => !is_there(pid),
    }
}

/// Takes the exit status of a child without waiting.
pub(crate) fn reap(_fd: BorrowedFd<'_>, pid: u32) -> io::Result<Reaped> {
    reap::of_ended(libc::P_PID, pid as libc::id_t)
}

/// Sends a signal to the process behind `fd`; `false` if it has ended.
pub(crate) fn signal(fd: BorrowedFd<'_>, pid: u32, signal: i32) -> io::Result<bool> {
    if readable(&[fd], Deadline::NOW)?[0] || is_over(pid) {
        return Ok(false);
    }
    // SAFETY: the call takes two integers.
    if unsafe { libc::kill(pid as libc::pid_t, signal) } == 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    if is_no_process(&error) { Ok(false) } else { Err(error) }
}
