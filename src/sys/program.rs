//! What this process is allowed and how it ends: its limits, its rights, its parent, what is called at its end.
//!
//! Sources: `getrlimit(2)`, `atexit(3)`, `signal(2)`.

#![allow(unsafe_code, reason = "system calls")]

use std::ffi::{CStr, CString, c_char};
use std::io;

use nix::sys::resource::{Resource, getrlimit};

use crate::sys::system;

pub(crate) use crate::sys::system::{has_interpreter, is_privileged};

/// How many descriptors and how many processes (of this user) the limits allow.
pub(crate) fn limits() -> (u64, u64) {
    let mut processes = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `processes` is valid to write.
    let asked = unsafe { libc::getrlimit(libc::RLIMIT_NPROC, &mut processes) } == 0;
    (descriptor_limit(), if asked { processes.rlim_cur as _ } else { u64::MAX })
}

/// How many descriptors the limit allows.
pub(crate) fn descriptor_limit() -> u64 {
    getrlimit(Resource::RLIMIT_NOFILE).map_or(u64::MAX, |(soft, _)| soft as _)
}

/// How many kinds of limits the kernel has.
pub(crate) const LIMITS: usize = 16;

/// All limits of this process, soft and hard, by their numbers.
pub(crate) fn all_limits() -> [(u64, u64); LIMITS] {
    std::array::from_fn(|number| {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: `limit` is valid to write; a number that the kernel does not know is an error, which leaves it as it is.
        unsafe { libc::getrlimit(number as _, &mut limit) };
        (limit.rlim_cur as _, limit.rlim_max as _)
    })
}

/// Sets one limit of this process.
pub(crate) fn set_limit(number: u32, soft: u64, hard: u64) -> io::Result<()> {
    let limit = libc::rlimit { rlim_cur: soft as _, rlim_max: hard as _ };
    // SAFETY: `limit` is valid to read.
    let result = unsafe { libc::setrlimit(number as _, &limit) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// What a process has from its start and can change: user and group ids, session, process group.
pub(crate) fn standing() -> [u32; 6] {
    use nix::unistd;
    let session = unistd::getsid(None).map_or(0, unistd::Pid::as_raw) as u32;
    [
        unistd::getuid().as_raw(),
        unistd::geteuid().as_raw(),
        unistd::getgid().as_raw(),
        unistd::getegid().as_raw(),
        session,
        unistd::getpgrp().as_raw() as u32,
    ]
}

/// Replaces the environment. The caller is the only thread.
pub(crate) fn set_environment(variables: Vec<CString>) {
    unsafe extern "C" {
        static mut environ: *const *const c_char;
    }
    // libc keeps the strings and the list for the life of the process, as it does those of the kernel.
    let variables = variables.leak().iter().map(|variable| variable.as_ptr());
    let list: Vec<*const c_char> = variables.chain(std::iter::once(std::ptr::null())).collect();
    // SAFETY: no other thread reads or writes the environment: there is none. The list ends with a null pointer, its strings are
    // C strings, and nobody frees either.
    unsafe { environ = list.leak().as_ptr() };
}

/// How many threads this process has.
pub(crate) fn count_threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count)
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

/// A write to a pipe that nobody reads is an error and not the end, as Rust's runtime sets it for `main`.
pub(crate) fn ignore_broken_pipes() {
    // SAFETY: no handler is installed; the disposition is one the system knows.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_IGN) };
}

/// Ctrl-C does not end this process.
pub(crate) fn ignore_interrupts() {
    // SAFETY: no handler is installed; the disposition is one the system knows.
    unsafe { libc::signal(libc::SIGINT, libc::SIG_IGN) };
}

/// What a file says of the rights of a process that executes it.
#[derive(Debug)]
pub(crate) struct FileRights {
    mode: libc::mode_t,
    user: u32,
    group: u32,
    has_capabilities: bool,
}

impl FileRights {
    /// Those of `program`; none if it cannot be looked at.
    pub(crate) fn of(program: &CStr) -> Option<FileRights> {
        let file = nix::sys::stat::stat(program).ok()?;
        let has_capabilities = system::has_capabilities(program);
        Some(FileRights {
            mode: file.st_mode,
            user: file.st_uid,
            group: file.st_gid,
            has_capabilities,
        })
    }
}

/// Why a child that executes `program` would run with other rights than whoever starts it, if it would: such a child trusts
/// nothing that its starter hands over.
///
/// The kernel calls it AT_SECURE: the effective ids are not the real ones, or the file has set-id bits or capabilities.
pub(crate) fn raises_rights(program: &CStr, file: Option<&FileRights>) -> Option<&'static str> {
    if is_privileged() {
        return Some(
            "this process runs with the rights of a set-user-id program or of file capabilities",
        );
    }
    let user = nix::unistd::getuid();
    let group = nix::unistd::getgid();
    if user != nix::unistd::geteuid() || group != nix::unistd::getegid() {
        return Some("this process has changed its effective user or group and kept the real one");
    }
    let file = file?;
    let sets_user = file.mode & libc::S_ISUID != 0 && file.user != user.as_raw();
    let runs_as_group = libc::S_ISGID | libc::S_IXGRP;
    let sets_group = file.mode & runs_as_group == runs_as_group && file.group != group.as_raw();
    let is_capable = !user.is_root() && file.has_capabilities;
    if !(sets_user || sets_group || is_capable) || ignores_rights(program) {
        return None;
    }
    Some(if is_capable {
        "the program has file capabilities"
    } else {
        "the program is set-user-id or set-group-id"
    })
}

/// Whether the kernel gives no program more rights: `no_new_privs`, or a file system that is mounted `nosuid`.
fn ignores_rights(program: &CStr) -> bool {
    system::gives_no_rights()
        || nix::sys::statvfs::statvfs(program)
            .is_ok_and(|system| system.flags().contains(nix::sys::statvfs::FsFlags::ST_NOSUID))
}

/// The name of the file that runs.
pub(crate) fn name_of_file() -> Option<Vec<u8>> {
    let path = std::fs::read_link("/proc/self/exe").ok()?;
    let name = path.file_name().map(std::ffi::OsStr::as_encoded_bytes)?;
    Some(name.strip_suffix(b" (deleted)").unwrap_or(name).to_vec())
}

/// Gives the calling thread a name for `ps`, which shows 15 bytes of it.
pub(crate) fn take_name(name: &[u8]) {
    if let Ok(name) = std::ffi::CString::new(name) {
        system::name_thread(&name);
    }
}

/// Forks; 0 in the new process.
///
/// # Safety
///
/// Those of `fork(2)`: of the threads only the calling one goes on in the new process.
pub(crate) unsafe fn fork() -> io::Result<u32> {
    // SAFETY: no arguments; the caller vouches for what the new process does.
    let pid = unsafe { libc::fork() };
    if pid < 0 { Err(io::Error::last_os_error()) } else { Ok(pid as u32) }
}

/// Kills this process.
pub(crate) fn kill() {
    // SAFETY: integer arguments; the signal ends this process, whatever its threads are doing.
    unsafe { libc::kill(std::process::id() as libc::pid_t, libc::SIGKILL) };
}

/// Ends the process at once: nothing of the program is called, since it has not begun.
pub(crate) fn leave(code: i32) -> ! {
    // SAFETY: ends the process.
    unsafe { libc::_exit(code) }
}
