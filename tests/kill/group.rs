//! The family of a harness: all processes of its group, those whose parent is dead among them. Whoever asks here means all threads
//! of it but itself.

use std::path::Path;
use std::time::Duration;

use super::threads::{state, threads};

/// Whether, each time of some, a thread of the family runs, or waits for a processor or for a disk.
pub(crate) fn is_busy() -> bool {
    let own = own_thread();
    let is_busy = |pid| {
        let mut others = threads(pid).into_iter().filter(|&tid| tid != own);
        others.any(|tid| matches!(state(pid, tid), b'R' | b'D'))
    };
    // Once may be a keeper that looks around.
    (0..5).all(|_| {
        std::thread::sleep(Duration::from_millis(2));
        members().any(|(pid, _)| is_busy(pid))
    })
}

/// What the family, and those of it that were reaped by one of its own, have used of the processors.
pub(crate) fn used() -> Duration {
    // SAFETY: sysconf(3)
    // - takes no pointers.
    let second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    let own = Path::new("/proc/self/task").join(own_thread().to_string());
    let own = fields(&own).map_or(0, |own| own[UTIME] + own[STIME]);
    let ticks = members().map(|(_, ticks)| ticks).sum::<i64>() - own;
    Duration::from_millis(ticks.max(0).cast_unsigned() * 1000 / second.max(1).cast_unsigned())
}

/// The numbers of the members, and what each and its reaped children have used of the processors, in ticks of the clock.
fn members() -> impl Iterator<Item = (i32, i64)> {
    // SAFETY: getpgrp(2)
    // - takes no pointers.
    let group = unsafe { libc::getpgrp() };
    let all = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    all.filter_map(move |entry| {
        let pid = entry.file_name().to_str()?.parse().ok()?;
        let fields = fields(&entry.path())?;
        let ticks = fields[UTIME..UTIME + 4].iter().sum();
        (fields[GROUP] == group.into()).then_some((pid, ticks))
    })
}

/// Places in what [`fields`] gives.
const GROUP: usize = 1;
const UTIME: usize = 10;
const STIME: usize = 11;

/// What `/proc` says of a process or thread in numbers: its parent first.
fn fields(path: &Path) -> Option<Vec<i64>> {
    let stat = std::fs::read_to_string(path.join("stat")).ok()?;
    // Behind the name, in parentheses, and the state.
    let fields = stat.rsplit_once(')')?.1.split_whitespace().skip(1);
    let fields: Vec<i64> = fields.map_while(|field| field.parse().ok()).collect();
    (fields.len() >= UTIME + 4).then_some(fields)
}

fn own_thread() -> i32 {
    // SAFETY: gettid(2)
    // - takes nothing.
    unsafe { libc::gettid() }
}
