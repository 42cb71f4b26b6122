//! The watchdog: a test that waits for other processes and does not end is named, and the run is over.
//!
//! It ends this process and its descendants, each by its number, and nobody else.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::panic::Location;
use std::sync::{LazyLock, Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// No test takes longer, also on a machine that is busy with others. Where all is slower, as in an emulator, a variable says more.
static LIMIT: LazyLock<Duration> = LazyLock::new(|| {
    let seconds = std::env::var("MULTIPROC_TEST_LIMIT").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(60))
});

struct Watched {
    name: String,
    until: Instant,
}

static WATCHED: Mutex<BTreeMap<u64, Watched>> = Mutex::new(BTreeMap::new());

fn watched() -> MutexGuard<'static, BTreeMap<u64, Watched>> {
    WATCHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The test is being watched until this is dropped.
#[must_use]
pub(crate) struct Watch(u64);

/// Watches the calling test.
#[track_caller]
pub(crate) fn watch() -> Watch {
    static START: Once = Once::new();
    START.call_once(|| {
        std::thread::Builder::new().name("watchdog".to_owned()).spawn(run).unwrap();
    });
    let thread = std::thread::current();
    let name = format!("{} ({})", thread.name().unwrap_or("?"), Location::caller());
    let mut list = watched();
    let number = list.last_key_value().map_or(0, |(number, _)| number + 1);
    list.insert(number, Watched { name, until: Instant::now() + *LIMIT });
    Watch(number)
}

impl Drop for Watch {
    fn drop(&mut self) {
        watched().remove(&self.0);
    }
}

fn run() -> ! {
    loop {
        std::thread::sleep(Duration::from_millis(200));
        let now = Instant::now();
        let over: Vec<String> = watched()
            .values()
            .filter(|watched| watched.until <= now)
            .map(|watched| watched.name.clone())
            .collect();
        if !over.is_empty() {
            give_up(&over);
        }
    }
}

fn give_up(tests: &[String]) -> ! {
    // Not by a macro: the test harness keeps what those print.
    let mut err = std::io::stderr().lock();
    for test in tests {
        let _ = writeln!(err, "\nwatchdog: {test} did not end within {:?}", *LIMIT);
    }
    let descendants = descendants();
    let _ = writeln!(err, "watchdog: ending this run and its processes {descendants:?}");
    for pid in descendants {
        let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
    }
    std::process::abort()
}

/// The processes that come from this one, by the chain of parents.
pub(crate) fn descendants() -> Vec<i32> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        let parent = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1));
        if let Some(parent) = parent.and_then(|parent| parent.parse::<i32>().ok()) {
            parents.push((pid, parent));
        }
    }
    let mut found = vec![std::process::id() as i32];
    let mut at = 0;
    while at < found.len() {
        let next = parents.iter().filter(|(_, parent)| *parent == found[at]).map(|(pid, _)| *pid);
        let next: Vec<i32> = next.filter(|pid| !found.contains(pid)).collect();
        found.extend(next);
        at += 1;
    }
    found.remove(0);
    found
}
