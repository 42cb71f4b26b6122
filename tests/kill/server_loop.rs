//! The fork server killed after any instruction of its loop, from what wakes it to its next sleep.
//!
//! The harness is the parent here, and starts a process by its own server, which is stepped meanwhile. However far the server came,
//! this start and the next one succeed, by another server if need be, and their functions run once. Nothing else stays.
//! Its spare child is not stepped here: on its way to its end it begins and waits for more than one thread can be stepped through.

use std::thread;
use std::time::{Duration, Instant};

use multiproc::{Atomic, Process, StartMethod, active_children};

use super::ptrace::{Halt, Running, Stopped, Tracee};
use super::threads;
use super::trouble::{Outcome, Trouble};
use super::watch;

/// Its name among the operations.
pub(crate) const NAME: &str = "server_loop";
/// How long a start may take, or a sleep of the server.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many instructions the loop has, and what was found wrong at `count` points of it, or at all.
pub(crate) fn run(count: usize, seed: u64) -> Outcome<(usize, usize, Vec<String>)> {
    let mut findings = Vec::new();
    let runs = Atomic::new(0)?;
    let len = point(&runs, usize::MAX)?;
    let count = count.min(len + 1);
    for index in 0..count {
        let gap = (len / count).max(1);
        let step = (index * len / count + seed as usize % gap).min(len);
        watch::doing(&format!("{NAME}: after instruction {step}"));
        if let Err(trouble) = point(&runs, step) {
            findings.push(format!("after instruction {step}: {trouble:?}"));
        }
    }
    Ok((len, count, findings))
}

/// Starts a process while the server is stepped, and kills that after `step` instructions; how many it made.
fn point(runs: &Atomic<u64>, step: usize) -> Outcome<usize> {
    start(runs.clone())?;
    let before = runs.load();
    let pid = find()?;
    let deadline = Instant::now() + PATIENCE;
    while !threads::sleeps(pid, pid) && Instant::now() < deadline {
        thread::yield_now();
    }
    let stopped = Running::seize(pid, pid)?.stop_process()?;
    let sleeper = asleep(stopped)?;
    let runs_there = runs.clone();
    let starter = thread::spawn(move || start(runs_there));
    let made = walk(sleeper, step)?;
    let ended = starter.join().map_err(|_| Trouble::Violation("the starter panicked".into()))?;
    ended.map_err(|error| Trouble::Violation(format!("the start failed: {error}")))?;
    let times = runs.load() - before;
    let before = runs.load();
    start(runs.clone()).map_err(|error| Trouble::Violation(format!("the next one: {error}")))?;
    let deadline = Instant::now() + PATIENCE;
    while hidden().len() > 2 && Instant::now() < deadline {
        thread::yield_now();
    }
    match (times, runs.load() - before, hidden().len()) {
        (1, 1, 0..=2) => Ok(made),
        (times, next, left) => Err(Trouble::Violation(format!(
            "the functions ran {times} and {next} times, and {left} processes stay"
        ))),
    }
}

/// The server, which has a spare child.
fn find() -> Outcome<i32> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        let name = |pid: i32| std::fs::read_to_string(format!("/proc/{pid}/comm"));
        let is_spare = |pid: &i32| name(*pid).is_ok_and(|name| name == "multiproc-spare\n");
        let (spares, servers): (Vec<i32>, Vec<i32>) = hidden().into_iter().partition(is_spare);
        if let ([server], [_]) = (&servers[..], &spares[..]) {
            return Ok(*server);
        }
        thread::yield_now();
    }
    Err(Trouble::Fault(format!("no server with a spare child: {:?}", hidden())))
}

fn start(runs: Atomic<u64>) -> multiproc::Result<()> {
    let count = |runs: Atomic<u64>| {
        runs.fetch_add(1);
    };
    Process::builder().start_method(StartMethod::ForkServer).spawn(count, (runs,))?.join()
}

/// The server, which stands, asleep again in its wait.
fn asleep(mut stopped: Stopped) -> Outcome<Running> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        stopped = match stopped.step()?.wait(deadline)? {
            Halt::Asleep(sleeper) => return Ok(sleeper),
            Halt::Trap(stopped) | Halt::Stopped(stopped) => stopped,
            halt => return Err(Trouble::Fault(format!("it does not sleep: {halt:?}"))),
        };
    }
}

/// Steps the server from its sleep to the next one, or kills it at its point.
fn walk(mut sleeper: Running, step: usize) -> Outcome<usize> {
    let (mut made, mut sleeps) = (0, true);
    loop {
        let deadline = Instant::now() + PATIENCE;
        let halt = if sleeps { sleeper.wait_awake(deadline)? } else { sleeper.wait(deadline)? };
        sleeps = false;
        let at = match halt {
            Halt::Trap(at) => at,
            Halt::Asleep(sleeper) => {
                // Killed asleep, or at the end of the loop; the next start has another one.
                Tracee::Running(sleeper).kill()?;
                return Ok(made);
            }
            halt => return Err(Trouble::Fault(format!("it does not step: {halt:?}"))),
        };
        if made == step {
            Tracee::Stopped(at).kill()?;
            return Ok(made);
        }
        made += 1;
        sleeper = at.step()?;
    }
}

/// The children of this process that it did not start itself: the server and its spare child.
fn hidden() -> Vec<i32> {
    let own: Vec<i32> = active_children().iter().map(|it| it.id().cast_signed()).collect();
    let lists = threads::threads(std::process::id().cast_signed())
        .into_iter()
        .filter_map(|tid| std::fs::read_to_string(format!("/proc/self/task/{tid}/children")).ok());
    let children = lists.flat_map(|list| {
        list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<i32>>()
    });
    children.filter(|pid| !own.contains(pid)).collect()
}
