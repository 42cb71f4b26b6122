//! The fork server killed after any instruction of its loop: from the request that wakes it to its next sleep.
//!
//! The harness is the parent here, and starts processes by its own server, which is stepped meanwhile. However far the server came,
//! the start succeeds, by another server if need be, and its function runs once.

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
    let runs = Atomic::new(0)?;
    let len = point(&runs, usize::MAX)?;
    let count = count.min(len + 1);
    let mut findings = Vec::new();
    for index in 0..count {
        let gap = (len / count).max(1);
        let step = (index * len / count + seed as usize % gap).min(len);
        watch::doing(&format!("{NAME} after instruction {step}"));
        if let Err(trouble) = point(&runs, step) {
            findings.push(format!("after instruction {step}: {trouble:?}"));
        }
    }
    Ok((len, count, findings))
}

/// Starts a process while the server is stepped, and kills the server after `step` instructions; how many it made.
fn point(runs: &Atomic<u64>, step: usize) -> Outcome<usize> {
    start(runs.clone())?;
    let before = runs.load();
    let server = servers().pop().ok_or_else(|| Trouble::Fault("there is no server".into()))?;
    let deadline = Instant::now() + PATIENCE;
    while !threads::sleeps(server, server) && Instant::now() < deadline {
        thread::yield_now();
    }
    let stopped = Running::seize(server, server)?.stop_process()?;
    let sleeper = asleep(stopped)?;
    let runs_there = runs.clone();
    let starter = thread::spawn(move || start(runs_there));
    let made = walk(sleeper, step)?;
    let ended = starter.join().map_err(|_| Trouble::Violation("the starter panicked".into()))?;
    ended.map_err(|error| Trouble::Violation(format!("the start failed: {error}")))?;
    match runs.load() - before {
        1 => Ok(made),
        times => Err(Trouble::Violation(format!("the function ran {times} times"))),
    }
}

fn start(runs: Atomic<u64>) -> multiproc::Result<()> {
    let builder = Process::builder().start_method(StartMethod::ForkServer);
    let count = |runs: Atomic<u64>| {
        runs.fetch_add(1);
    };
    builder.spawn(count, (runs,))?.join()
}

/// The server, which stands, asleep again in its wait for a request.
fn asleep(mut stopped: Stopped) -> Outcome<Running> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        stopped = match stopped.step()?.wait(deadline)? {
            Halt::Asleep(sleeper) => return Ok(sleeper),
            Halt::Trap(stopped) | Halt::Stopped(stopped) => stopped,
            halt => return Err(Trouble::Fault(format!("the server does not sleep: {halt:?}"))),
        };
    }
}

/// Steps the server from its sleep to the next one, or kills it at its point.
fn walk(mut sleeper: Running, step: usize) -> Outcome<usize> {
    let mut made = 0;
    loop {
        let deadline = Instant::now() + PATIENCE;
        let halt =
            if made == 0 { sleeper.wait_awake(deadline)? } else { sleeper.wait(deadline)? };
        let at = match halt {
            Halt::Trap(at) => at,
            Halt::Asleep(sleeper) => {
                // Killed asleep, or at the end of the loop; the next start has another one.
                Tracee::Running(sleeper).kill()?;
                return Ok(made);
            }
            halt => return Err(Trouble::Fault(format!("the server does not step: {halt:?}"))),
        };
        if made == step {
            Tracee::Stopped(at).kill()?;
            return Ok(made);
        }
        made += 1;
        sleeper = at.step()?;
    }
}

/// The children of this process that it did not start itself.
fn servers() -> Vec<i32> {
    let own: Vec<i32> = active_children().iter().map(|it| it.id().cast_signed()).collect();
    let lists = threads::threads(std::process::id().cast_signed())
        .into_iter()
        .filter_map(|tid| std::fs::read_to_string(format!("/proc/self/task/{tid}/children")).ok());
    let children = lists.flat_map(|list| {
        list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<i32>>()
    });
    children.filter(|pid| !own.contains(pid)).collect()
}
