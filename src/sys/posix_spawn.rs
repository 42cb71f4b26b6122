//! Starting, watching and signalling processes: the system calls under `process/`.
//!
//! - [`start`]: `posix_spawn`, whose cost does not grow with the parent's memory;
//! - [`open`], [`signal`], [`reap`], [`readable`]: a process by its pidfd, which names one process for ever, where a
//!   pid names whoever has the number now;
//! - [`close_others`], [`keep_from_programs`], [`ignore_broken_pipes`]: what a child puts in order before its function;
//! - [`main_image`]: where the main executable lies in memory, and its build id.
//!
//! Sources: `posix_spawn(3)`, `pidfd_open(2)`, `waitid(2)`, `pidfd_send_signal(2)`, `close_range(2)`,
//! `dl_iterate_phdr(3)`, `elf(5)`.

#![allow(unsafe_code, reason = "system calls")]

use std::ffi::{CStr, CString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use crate::sys::clock::{self, Deadline};

pub(crate) const SIGINT: i32 = libc::SIGINT;
pub(crate) const SIGTERM: i32 = libc::SIGTERM;
pub(crate) const SIGKILL: i32 = libc::SIGKILL;

/// Whether the system has no room for another process.
pub(crate) fn is_process_limit(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::EAGAIN)
}

/// Whether this process, or the system, has no room for another descriptor.
pub(crate) fn is_descriptor_limit(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}

/// How many descriptors and how many processes (of this user) the limits allow.
pub(crate) fn limits() -> (u64, u64) {
    use nix::sys::resource::{Resource, getrlimit};
    let soft = |resource| getrlimit(resource).map_or(u64::MAX, |(soft, _)| soft);
    (soft(Resource::RLIMIT_NOFILE), soft(Resource::RLIMIT_NPROC))
}

// ---------------------------------------------------------------------------------------------
// Starting
// ---------------------------------------------------------------------------------------------

/// What to start and what it inherits.
#[derive(Debug)]
pub(crate) struct Start<'a> {
    pub(crate) program: &'a CStr,
    pub(crate) args: &'a [CString],
    pub(crate) env: &'a [CString],
    /// Where it starts; that of the caller if none.
    pub(crate) directory: Option<&'a CStr>,
    /// Descriptors and the numbers under which the child finds them, copied in this order.
    pub(crate) descriptors: &'a [(BorrowedFd<'a>, RawFd)],
}

/// Turns a return value that is an error number into a result.
fn number(error: libc::c_int) -> io::Result<()> {
    if error == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(error)) }
}

/// `posix_spawn_file_actions_t`, destroyed with its owner.
struct Actions(MaybeUninit<libc::posix_spawn_file_actions_t>);

impl Actions {
    fn new() -> io::Result<Actions> {
        let mut actions = MaybeUninit::uninit();
        // SAFETY: the pointer is valid to write; the call initialises what it points to.
        number(unsafe { libc::posix_spawn_file_actions_init(actions.as_mut_ptr()) })?;
        Ok(Actions(actions))
    }

    fn duplicate(&mut self, from: BorrowedFd<'_>, to: RawFd) -> io::Result<()> {
        // SAFETY: `new` initialised the actions; the numbers are only stored.
        number(unsafe {
            libc::posix_spawn_file_actions_adddup2(self.0.as_mut_ptr(), from.as_raw_fd(), to)
        })
    }

    fn change_directory(&mut self, to: &CStr) -> io::Result<()> {
        // SAFETY: `new` initialised the actions; the call copies the string.
        number(unsafe {
            libc::posix_spawn_file_actions_addchdir_np(self.0.as_mut_ptr(), to.as_ptr())
        })
    }
}

impl Drop for Actions {
    fn drop(&mut self) {
        // SAFETY: `new` initialised the actions, and nobody uses them after this.
        unsafe { libc::posix_spawn_file_actions_destroy(self.0.as_mut_ptr()) };
    }
}

/// `posix_spawnattr_t`, destroyed with its owner.
struct Attributes(MaybeUninit<libc::posix_spawnattr_t>);

impl Attributes {
    /// No signal blocked, and SIGPIPE, which Rust's runtime ignores, as the system delivers it: what
    /// `std::process::Command` sets too.
    fn new() -> io::Result<Attributes> {
        let mut attributes = MaybeUninit::uninit();
        // SAFETY: the pointer is valid to write; the call initialises what it points to.
        number(unsafe { libc::posix_spawnattr_init(attributes.as_mut_ptr()) })?;
        let mut attributes = Attributes(attributes);
        let mut signals = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: the pointer is valid to write; the call initialises the set.
        unsafe { libc::sigemptyset(signals.as_mut_ptr()) };
        // SAFETY: both are initialised; the call copies the set.
        number(unsafe {
            libc::posix_spawnattr_setsigmask(attributes.0.as_mut_ptr(), signals.as_ptr())
        })?;
        // SAFETY: the set is initialised and the signal exists.
        unsafe { libc::sigaddset(signals.as_mut_ptr(), libc::SIGPIPE) };
        // SAFETY: both are initialised; the call copies the set.
        number(unsafe {
            libc::posix_spawnattr_setsigdefault(attributes.0.as_mut_ptr(), signals.as_ptr())
        })?;
        let flags = libc::POSIX_SPAWN_SETSIGMASK | libc::POSIX_SPAWN_SETSIGDEF;
        // SAFETY: the attributes are initialised.
        number(unsafe {
            libc::posix_spawnattr_setflags(attributes.0.as_mut_ptr(), flags as libc::c_short)
        })?;
        Ok(attributes)
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: `new` initialised the attributes, and nobody uses them after this.
        unsafe { libc::posix_spawnattr_destroy(self.0.as_mut_ptr()) };
    }
}

/// The strings as the null-terminated list of pointers that `execve` takes.
fn pointers(strings: &[CString]) -> Vec<*mut libc::c_char> {
    let list = strings.iter().map(|string| string.as_ptr().cast_mut());
    list.chain(std::iter::once(std::ptr::null_mut())).collect()
}

/// Starts a process and returns its pid once it runs the new program.
pub(crate) fn start(start: &Start<'_>) -> io::Result<u32> {
    let mut actions = Actions::new()?;
    for (from, to) in start.descriptors {
        actions.duplicate(*from, *to)?;
    }
    if let Some(directory) = start.directory {
        actions.change_directory(directory)?;
    }
    let attributes = Attributes::new()?;
    let args = pointers(start.args);
    let env = pointers(start.env);
    let mut pid: libc::pid_t = 0;
    // SAFETY:
    // - `pid` is valid to write; the program is a C string;
    // - actions and attributes are initialised and outlive the call;
    // - `args` and `env` are null-terminated lists of C strings that outlive the call, which only reads them.
    number(unsafe {
        libc::posix_spawn(
            &mut pid,
            start.program.as_ptr(),
            actions.0.as_ptr(),
            attributes.0.as_ptr(),
            args.as_ptr(),
            env.as_ptr(),
        )
    })?;
    Ok(pid as u32)
}

/// Another descriptor of the same file with a number from `least` on, closed in every program this process starts.
pub(crate) fn duplicate_above(fd: BorrowedFd<'_>, least: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: fcntl with an integer argument touches no memory of ours.
    let copy = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD_CLOEXEC, least) };
    if copy < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just made this descriptor and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

// ---------------------------------------------------------------------------------------------
// Watching and signalling
// ---------------------------------------------------------------------------------------------

/// A descriptor for process `pid`: readable once the process has ended. Closed in programs this process starts.
pub(crate) fn open(pid: u32) -> io::Result<OwnedFd> {
    // SAFETY: the call takes two integers.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid as libc::pid_t, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just made this descriptor and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// Whether the error of [`open`] means that there is no such process.
pub(crate) fn is_no_process(error: &io::Error) -> bool {
    error.raw_os_error() == Some(libc::ESRCH)
}

/// A counter that threads write and poll; with a `count` above zero it is readable at once.
pub(crate) fn counter(count: u32) -> io::Result<OwnedFd> {
    // SAFETY: the call takes two integers.
    let fd = unsafe { libc::eventfd(count, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel just made this descriptor and nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// What became of a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reaped {
    /// It runs, as far as one can see without waiting.
    Not,
    /// It has ended, and this call took its exit status.
    Now(ExitStatus),
    /// It is no child of this process, or somebody else took its status.
    NotOurs,
}

/// Takes the exit status of the child behind `fd` without waiting.
pub(crate) fn reap(fd: BorrowedFd<'_>) -> io::Result<Reaped> {
    reap_by(libc::P_PIDFD, fd.as_raw_fd() as libc::id_t, libc::WNOHANG)
}

/// Kills a child of which only the number is known, and takes its exit status.
///
/// Only for a child that nobody else has seen yet: its number cannot be another's before it is reaped.
pub(crate) fn kill_unseen(pid: u32) {
    // SAFETY: the call takes two integers.
    unsafe { libc::kill(pid as libc::pid_t, libc::SIGKILL) };
    let _ = reap_by(libc::P_PID, pid, 0);
}

fn reap_by(by: libc::idtype_t, id: libc::id_t, flags: libc::c_int) -> io::Result<Reaped> {
    loop {
        // SAFETY: zero is a value of every field of this struct of integers.
        let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
        // SAFETY: `info` is valid to write and outlives the call.
        let result = unsafe { libc::waitid(by, id, &mut info, libc::WEXITED | flags) };
        if result != 0 {
            let error = io::Error::last_os_error();
            match error.raw_os_error() {
                Some(libc::EINTR) => continue,
                // EBADF, EINVAL: a stand-in counter instead of a pidfd.
                Some(libc::ECHILD | libc::EBADF | libc::EINVAL) => return Ok(Reaped::NotOurs),
                _ => return Err(error),
            }
        }
        // SAFETY: waitid filled the fields of a SIGCHLD, or left them zero.
        if unsafe { info.si_pid() } == 0 {
            return Ok(Reaped::Not);
        }
        // SAFETY: as above.
        let status = unsafe { info.si_status() };
        // The word that wait(2) would have given: the code in the second byte, or the signal in the first.
        let raw = match info.si_code {
            libc::CLD_KILLED => status,
            libc::CLD_DUMPED => status | 0x80,
            _ => (status & 0xff) << 8,
        };
        return Ok(Reaped::Now(ExitStatus::from_raw(raw)));
    }
}

/// Sends a signal to exactly the process behind `fd`; `false` if it has ended.
pub(crate) fn signal(fd: BorrowedFd<'_>, signal: i32) -> io::Result<bool> {
    // SAFETY: the null pointer stands for the fields that kill(2) would send; the rest are integers.
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            fd.as_raw_fd(),
            signal,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    };
    if result == 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        // EBADF: a stand-in counter instead of a pidfd.
        Some(libc::ESRCH | libc::EBADF) => Ok(false),
        _ => Err(error),
    }
}

/// Waits until one of the descriptors is readable or the time is over; which ones are.
pub(crate) fn readable(fds: &[BorrowedFd<'_>], until: Deadline) -> io::Result<Vec<bool>> {
    let mut list: Vec<libc::pollfd> = fds
        .iter()
        .map(|fd| libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 })
        .collect();
    loop {
        let left = until.timespec().map(left);
        let time = left.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY:
        // - `list` is valid to read and write for its length;
        // - `time` is null or a timespec that outlives the call; a null mask means the caller's.
        let result = unsafe {
            libc::ppoll(list.as_mut_ptr(), list.len() as libc::nfds_t, time, std::ptr::null())
        };
        if result >= 0 {
            return Ok(list.iter().map(|entry| entry.revents != 0).collect());
        }
        let error = io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::EINTR) {
            return Err(error);
        }
    }
}

/// How long it is until a point on the monotonic clock; zero if it has passed.
fn left(until: libc::timespec) -> libc::timespec {
    let until = until.tv_sec as u64 * 1_000_000_000 + until.tv_nsec as u64;
    let left = until.saturating_sub(clock::now());
    libc::timespec {
        tv_sec: (left / 1_000_000_000) as libc::time_t,
        tv_nsec: (left % 1_000_000_000) as libc::c_long,
    }
}

/// The number of the process that started this one, or that adopted it since.
pub(crate) fn parent_id() -> u32 {
    std::os::unix::process::parent_id()
}

/// Has `f` called when this process ends in order.
pub(crate) fn at_exit(f: extern "C" fn()) -> bool {
    // SAFETY: `f` takes nothing, returns nothing and, being `extern "C"`, unwinds nowhere.
    unsafe { libc::atexit(f) == 0 }
}

// ---------------------------------------------------------------------------------------------
// What a child puts in order
// ---------------------------------------------------------------------------------------------

/// Whether the program runs with rights its caller does not have (set-user-id and the like): then nothing in its
/// environment is to be trusted.
pub(crate) fn is_privileged() -> bool {
    // SAFETY: the call takes an integer and reads the kernel's vector of this process.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// Takes over the descriptor that the parent put under this number; an error if there is none.
///
/// # Safety
///
/// Nobody else in this process owns the number.
pub(crate) unsafe fn inherited(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: fcntl without argument touches no memory of ours.
    if fd < 0 || unsafe { libc::fcntl(fd, libc::F_GETFD) } < 0 {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    // SAFETY: it is open, as just seen, and the caller vouches that nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Closes every descriptor above the standard ones but `keep`.
///
/// # Safety
///
/// Nobody in this process owns or will use any of them.
pub(crate) unsafe fn close_others(keep: RawFd) {
    let keep = keep.max(2) as libc::c_uint;
    let close = |first: libc::c_uint, last: libc::c_uint| {
        // SAFETY: three integers; the caller vouches that nobody uses the descriptors.
        first > last || unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } == 0
    };
    if close(3, keep - 1) && close(keep + 1, libc::c_uint::MAX) {
        return;
    }
    // Kernels before 5.9 and some sandboxes have no close_range: go through the list, or else through all numbers.
    let listed = std::fs::read_dir("/proc/self/fd").map(|list| {
        list.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
            .collect::<Vec<RawFd>>()
    });
    let all = || (3..limits().0.min(1 << 20) as RawFd).collect();
    for fd in listed.unwrap_or_else(|_| all()) {
        if fd > 2 && fd as libc::c_uint != keep {
            // SAFETY: the caller vouches that nobody uses the descriptor; the one that listed them is closed already,
            // and closing a number twice only fails.
            unsafe { libc::close(fd) };
        }
    }
}

/// Closes the descriptor in every program that this process starts from now on.
pub(crate) fn keep_from_programs(fd: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: fcntl with an integer argument touches no memory of ours.
    let result = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETFD, libc::FD_CLOEXEC) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// A write to a pipe that nobody reads is an error and not the end, as Rust's runtime sets it for `main`.
pub(crate) fn ignore_broken_pipes() {
    // SAFETY: no handler is installed; the disposition is one the system knows.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
}

// ---------------------------------------------------------------------------------------------
// The image in memory
// ---------------------------------------------------------------------------------------------

/// A part of the main executable as it lies in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) start: usize,
    pub(crate) len: usize,
    pub(crate) readable: bool,
    pub(crate) executable: bool,
}

/// The main executable as it lies in memory.
#[derive(Debug, Default)]
pub(crate) struct Image {
    /// What to subtract from an address to get the one that the linker gave.
    pub(crate) base: usize,
    pub(crate) segments: Vec<Segment>,
    /// What the linker stamped it with, if it did.
    pub(crate) build_id: Option<Vec<u8>>,
}

/// Looks up where the main executable lies.
pub(crate) fn main_image() -> Image {
    let mut image = Image::default();
    // SAFETY:
    // - the callback has the type that is asked for and unwinds nowhere;
    // - the pointer is valid for the whole call, and only the callback uses it meanwhile.
    unsafe { libc::dl_iterate_phdr(Some(first_object), (&raw mut image).cast()) };
    image
}

/// The main executable is the first object reported; the result other than zero ends the walk.
unsafe extern "C" fn first_object(
    info: *mut libc::dl_phdr_info,
    _size: libc::size_t,
    data: *mut libc::c_void,
) -> libc::c_int {
    // SAFETY: `main_image` passes a pointer to its `Image` and does not touch it during the call.
    let image = unsafe { &mut *data.cast::<Image>() };
    // SAFETY: the linker hands over a valid description for the duration of the call.
    let info = unsafe { &*info };
    image.base = info.dlpi_addr as usize;
    if info.dlpi_phdr.is_null() {
        return 1;
    }
    // SAFETY: the linker reports that many headers at that place; they are part of the mapped image.
    let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
    for header in headers.iter().filter(|header| header.p_type == libc::PT_LOAD) {
        image.segments.push(Segment {
            start: image.base.wrapping_add(header.p_vaddr as usize),
            len: header.p_memsz as usize,
            readable: header.p_flags & libc::PF_R != 0,
            executable: header.p_flags & libc::PF_X != 0,
        });
    }
    for header in headers.iter().filter(|header| header.p_type == libc::PT_NOTE) {
        let start = image.base.wrapping_add(header.p_vaddr as usize);
        let len = header.p_memsz as usize;
        if !image.holds(start, len) {
            continue;
        }
        // SAFETY:
        // - the range lies in a readable loaded segment of this program, as just checked, so it is mapped;
        // - notes are constants: nobody writes them while the program runs.
        let notes = unsafe { std::slice::from_raw_parts(start as *const u8, len) };
        if image.build_id.is_none() {
            image.build_id = build_id(notes, header.p_align as usize);
        }
    }
    1
}

impl Image {
    /// Whether the range lies in one readable part.
    pub(crate) fn holds(&self, start: usize, len: usize) -> bool {
        self.segments.iter().any(|part| {
            part.readable
                && start
                    .checked_sub(part.start)
                    .and_then(|offset| offset.checked_add(len))
                    .is_some_and(|end| end <= part.len)
        })
    }

    /// Whether the range lies in one part that is readable data and no code.
    pub(crate) fn holds_data(&self, start: usize, len: usize) -> bool {
        let data = self.segments.iter().filter(|part| !part.executable).copied();
        Image { base: self.base, segments: data.collect(), build_id: None }.holds(start, len)
    }
}

/// Finds the build id among the notes of an image.
fn build_id(mut notes: &[u8], align: usize) -> Option<Vec<u8>> {
    const NT_GNU_BUILD_ID: u32 = 3;
    let align = if align == 8 { 8 } else { 4 };
    while let Some((head, rest)) = notes.split_at_checked(12) {
        let word = |at: usize| Some(u32::from_ne_bytes(head[at..at + 4].try_into().ok()?));
        let (name_len, len, kind) = (word(0)? as usize, word(4)? as usize, word(8)?);
        // Offsets are rounded from the start of the note, of which the head is 12 bytes.
        let at = name_len.checked_add(12)?.checked_next_multiple_of(align)? - 12;
        let end = at.checked_add(len)?;
        if kind == NT_GNU_BUILD_ID && rest.get(..name_len)? == b"GNU\0" {
            return Some(rest.get(at..end)?.to_vec());
        }
        notes = rest.get(end.checked_add(12)?.checked_next_multiple_of(align)? - 12..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;
    use std::time::Duration;

    fn start_shell(script: &str) -> u32 {
        let args = ["sh", "-c", script].map(|arg| CString::new(arg).unwrap());
        start(&Start {
            program: c"/bin/sh",
            args: &args,
            env: &[],
            directory: None,
            descriptors: &[],
        })
        .unwrap()
    }

    #[test]
    fn a_status_is_taken_once_and_read_like_that_of_wait() {
        for (script, code, signal) in [("exit 7", Some(7), None), ("kill -9 $$", None, Some(9))] {
            let fd = open(start_shell(script)).unwrap();
            assert_eq!(readable(&[fd.as_fd()], Deadline::NEVER).unwrap(), [true]);
            let Reaped::Now(status) = reap(fd.as_fd()).unwrap() else { panic!("{script}") };
            assert_eq!((status.code(), status.signal()), (code, signal));
            assert_eq!(reap(fd.as_fd()).unwrap(), Reaped::NotOurs);
            assert!(!super::signal(fd.as_fd(), SIGKILL).unwrap());
        }
    }

    #[test]
    fn a_running_child_is_not_reaped_and_a_deadline_ends_the_wait() {
        let fd = open(start_shell("kill -STOP $$")).unwrap();
        assert_eq!(reap(fd.as_fd()).unwrap(), Reaped::Not);
        let soon = Deadline::after(Duration::from_micros(10));
        assert_eq!(readable(&[fd.as_fd()], soon).unwrap(), [false]);
        super::signal(fd.as_fd(), SIGKILL).unwrap();
        readable(&[fd.as_fd()], Deadline::NEVER).unwrap();
        assert!(matches!(reap(fd.as_fd()).unwrap(), Reaped::Now(_)));
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error_of_the_start() {
        let start = Start {
            program: c"/no/such/program",
            args: &[],
            env: &[],
            directory: None,
            descriptors: &[],
        };
        assert_eq!(super::start(&start).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn the_image_holds_its_own_constants_and_code_is_no_data() {
        let image = main_image();
        let constant = std::ptr::from_ref(&0x1234_u64) as usize;
        assert!(image.holds_data(constant, 8));
        let code = start_shell as fn(&str) -> u32 as usize;
        assert!(image.holds(code, 1) && !image.holds_data(code, 1));
        assert!(!image.holds(constant, usize::MAX));
        assert!(!image.holds(std::ptr::from_ref(&Box::new(1_u8)) as usize, 1));
    }

    #[test]
    fn notes_are_read_and_cut_ones_are_not() {
        let mut notes = Vec::new();
        for (kind, name, data) in [(1_u32, &b"GNU\0"[..], &[1_u8; 16][..]), (3, b"GNU\0", &[7; 20])]
        {
            notes.extend((name.len() as u32).to_ne_bytes());
            notes.extend((data.len() as u32).to_ne_bytes());
            notes.extend(kind.to_ne_bytes());
            notes.extend(name);
            notes.extend(data);
        }
        assert_eq!(build_id(&notes, 4), Some(vec![7; 20]));
        for len in 0..notes.len() {
            assert_eq!(build_id(&notes[..len], 4), None);
        }
        assert_eq!(build_id(&[0xff; 64], 4), None);
    }
}
