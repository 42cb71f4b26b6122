//! Threads of other processes, as `/proc` and the scheduler know them.

/// The state letter of a thread, as `ps` shows it; `X` if there is no such thread, `?` if that cannot be read.
pub(crate) fn state(pid: i32, tid: i32) -> u8 {
    let stat = match std::fs::read(format!("/proc/{pid}/task/{tid}/stat")) {
        Ok(stat) => stat,
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESRCH)) => {
            return b'X';
        }
        Err(_) => return b'?',
    };
    // The name, in parentheses, may hold anything; the last parenthesis ends it.
    let end = stat.iter().rposition(|&byte| byte == b')');
    end.and_then(|end| stat.get(end + 2)).copied().unwrap_or(b'?')
}

/// Whether a thread sleeps in the kernel.
pub(crate) fn sleeps(pid: i32, tid: i32) -> bool {
    state(pid, tid) == b'S'
}

/// The threads of a process.
pub(crate) fn threads(pid: i32) -> Vec<i32> {
    let Ok(entries) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// Puts thread `tid` (0: the calling one) on one processor, or back on all of `mask`.
pub(crate) fn run_on(tid: i32, mask: &libc::cpu_set_t) {
    // SAFETY: sched_setaffinity(2)
    // - the set is read, and as long as said.
    unsafe { libc::sched_setaffinity(tid, size_of::<libc::cpu_set_t>(), mask) };
}

/// The processors the calling thread may use, and the one it is on.
pub(crate) fn processors() -> (libc::cpu_set_t, libc::cpu_set_t) {
    // SAFETY: plain bits
    // - all zeroes is an empty set.
    let (mut all, mut here) = unsafe { std::mem::zeroed::<(libc::cpu_set_t, libc::cpu_set_t)>() };
    // SAFETY: sched_getaffinity(2)
    // - the set is written, and as long as said.
    unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &raw mut all) };
    // SAFETY: sched_getcpu(3)
    // - takes nothing.
    let cpu = unsafe { libc::sched_getcpu() };
    // SAFETY: CPU_SET(3)
    // - `here` is a set of this frame; the number is below its size, or refused by the bound check.
    unsafe { libc::CPU_SET(cpu.max(0).cast_unsigned() as usize, &mut here) };
    (all, here)
}

/// The children of a process.
pub(crate) fn children(pid: i32) -> Vec<i32> {
    let lists = threads(pid)
        .into_iter()
        .filter_map(|tid| std::fs::read_to_string(format!("/proc/{pid}/task/{tid}/children")).ok());
    lists
        .flat_map(|list| {
            list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<i32>>()
        })
        .collect()
}
