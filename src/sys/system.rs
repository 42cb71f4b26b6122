//! What each system has in its own way, in small calls; this is Linux's.
//!
//! Sources: `clock_gettime(2)`, `open(2)`, `close_range(2)`, `ppoll(2)`, `madvise(2)`, `getauxval(3)`, `prctl(2)`, `getxattr(2)`,
//! `getrandom(2)`, `sched_setattr(2)`.

#![allow(unsafe_code, reason = "system calls")]

use std::ffi::CStr;
use std::io;
use std::os::fd::RawFd;

use memmap2::{Advice, MmapRaw};

/// The monotonic clock as it stood at the last tick.
pub(crate) const COARSE: libc::clockid_t = libc::CLOCK_MONOTONIC_COARSE;
/// Opens a folder to name it, not to read it.
pub(crate) const PATH: libc::c_int = libc::O_PATH;

/// Closes all descriptors of a range; whether the kernel could.
///
/// # Safety
///
/// Nobody in this process uses any of them.
pub(crate) unsafe fn close_range(first: RawFd, last: RawFd) -> bool {
    // SAFETY: three integers; the caller vouches that nobody uses the descriptors.
    unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) == 0 }
}

/// Waits until one of the list is ready or so much time is over; `None` is for ever.
pub(crate) fn poll(list: &mut [libc::pollfd], left: Option<libc::timespec>) -> libc::c_int {
    let time = left.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY:
    // - `list` is valid to read and write for its length;
    // - `time` is null or a timespec that outlives the call; a null mask means the caller's.
    unsafe { libc::ppoll(list.as_mut_ptr(), list.len() as libc::nfds_t, time, std::ptr::null()) }
}

/// Has a private mapping read as zero in a forked child. Refused before Linux 4.14.
pub(crate) fn wipe_on_fork(map: &mut memmap2::MmapMut) -> io::Result<()> {
    // SAFETY: the range is exactly the private mapping.
    let result =
        unsafe { libc::madvise(map.as_mut_ptr().cast(), map.len(), libc::MADV_WIPEONFORK) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Has a forked child not have a mapping. Best effort.
pub(crate) fn keep_from_forks(map: &MmapRaw) {
    let _ = map.advise(Advice::DontFork);
}

/// Leaves a mapping out of core dumps. Best effort.
pub(crate) fn keep_out_of_dumps(map: &MmapRaw) {
    let _ = map.advise(Advice::DontDump);
}

/// 64 random bits, if the system has some.
pub(crate) fn random() -> Option<u64> {
    let mut bits = [0u8; 8];
    // SAFETY: the buffer is valid for its 8 bytes.
    let got = unsafe { libc::getrandom(bits.as_mut_ptr().cast(), bits.len(), 0) };
    (got == bits.len() as isize).then_some(u64::from_ne_bytes(bits))
}

/// Whether the program runs with rights its caller does not have (set-user-id and the like): then nothing in its
/// environment is to be trusted.
pub(crate) fn is_privileged() -> bool {
    // SAFETY: the call takes an integer and reads the kernel's vector of this process.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// Whether the kernel has started the program through an interpreter, the dynamic loader. A loader that was itself named as
/// the program has none; nor has a program that needs none.
pub(crate) fn has_interpreter() -> bool {
    // SAFETY: the call takes an integer and reads the kernel's vector of this process.
    unsafe { libc::getauxval(libc::AT_BASE) != 0 }
}

/// Whether the file gives rights to those who execute it, besides set-id bits.
pub(crate) fn has_capabilities(program: &CStr) -> bool {
    let name = c"security.capability".as_ptr();
    // SAFETY: two C strings; a null buffer of length 0 only asks for the length.
    unsafe { libc::getxattr(program.as_ptr(), name, std::ptr::null_mut(), 0) > 0 }
}

/// Whether the kernel gives no program more rights.
pub(crate) fn gives_no_rights() -> bool {
    // SAFETY: integer arguments.
    unsafe { libc::prctl(libc::PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 }
}

/// The program that is started works in another folder; an error number, or 0.
///
/// # Safety
///
/// `actions` are valid to write, initialised by `posix_spawn_file_actions_init`, and used by nobody else meanwhile.
pub(crate) unsafe fn add_directory(
    actions: *mut libc::posix_spawn_file_actions_t,
    to: &CStr,
) -> libc::c_int {
    // SAFETY: the caller vouches for the actions; the call copies the string.
    unsafe { libc::posix_spawn_file_actions_addchdir_np(actions, to.as_ptr()) }
}

/// The kernel's id of the calling thread.
pub(crate) fn thread_id() -> u32 {
    // SAFETY: the call has no arguments and cannot fail.
    let tid = unsafe { libc::gettid() };
    tid as u32
}

/// Whether process `pid` certainly has no thread `tid` any more.
pub(crate) fn is_thread_gone(pid: u32, tid: u32) -> bool {
    // SAFETY: signal 0 only asks; no memory is involved.
    let result = unsafe { libc::syscall(libc::SYS_tgkill, pid, tid, 0) };
    result == -1 && io::Error::last_os_error().raw_os_error() == Some(libc::ESRCH)
}

/// Gives the calling thread a name for `ps`, which shows 15 bytes of it.
pub(crate) fn name_thread(name: &CStr) {
    // SAFETY: a C string that outlives the call, which copies its first 15 bytes.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
}

/// The processor on which the calling thread runs at the moment, if the system tells. Costs a load where libc keeps it in the area
/// that the kernel updates (`rseq(2)`; glibc 2.35 and later), a call of the vdso elsewhere.
pub(crate) fn processor() -> Option<u32> {
    // SAFETY: the call has no arguments.
    let processor = unsafe { libc::sched_getcpu() };
    u32::try_from(processor).ok()
}

/// `struct sched_attr` of the kernel, in its first version.
#[repr(C)]
#[derive(Default)]
struct Scheduling {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    /// The length of a turn in nanoseconds, for the ordinary policies from Linux 6.12 on.
    runtime: u64,
    deadline: u64,
    period: u64,
}

/// Asks for the shortest turns for the calling thread, so that the scheduler lets it run as soon as it is woken, although the
/// processor has another task in the middle of a longer turn. Its share of the processor stays what it was. Without effect
/// before Linux 6.12, for threads with a real-time policy, and under a seccomp filter: some kill whoever makes this call
/// (systemd's `SystemCallFilter=~@resources` without an error number).
///
/// Sources: `sched_setattr(2)`; `PR_GET_SECCOMP(2const)`; the kernel's `Documentation/scheduler/sched-eevdf.rst`.
pub(crate) fn take_short_turns() {
    /// The least that the kernel grants.
    const TURN: u64 = 100_000;
    // SAFETY: no arguments. Threads are given their names by `prctl`, too; a filter that lets that pass mostly lets this pass.
    let is_filtered = unsafe { libc::prctl(libc::PR_GET_SECCOMP) } != 0;
    if is_filtered {
        return;
    }
    let mut scheduling = Scheduling::default();
    let size = size_of::<Scheduling>();
    // SAFETY: thread 0 is the calling one; `scheduling` is as long as the call is told, and valid to write.
    let read =
        unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut scheduling, size, 0) } == 0;
    let is_ordinary = [libc::SCHED_OTHER, libc::SCHED_BATCH].contains(&(scheduling.policy as i32));
    if !read || !is_ordinary {
        return;
    }
    scheduling.runtime = TURN;
    // A refusal changes nothing: the thread runs when it is its turn.
    // SAFETY: as above; the call only reads.
    unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const scheduling, 0) };
}
