//! The fork server killed after any instruction of its loop, from what wakes it to its next sleep, and its spare child killed after
//! any instruction from its request to its end.
//!
//! The harness is the parent here, and starts processes by its own server, one of the two being stepped meanwhile. However far the
//! server came, this start and the next one succeed, by another server if need be, and their functions run once. A start whose child
//! is killed is one of a child that was killed; the next one succeeds. Nothing else stays.

use std::thread;
use std::time::{Duration, Instant};

use multiproc::{Atomic, ChildFailure, Error, Process, StartMethod, active_children};

use super::ptrace::{Halt, Running, Stopped, Tracee};
use super::threads;
use super::trouble::{Outcome, Trouble};
use super::watch;

/// Its name among the operations.
pub(crate) const NAME: &str = "server_loop";
/// How long a start may take, or a sleep of the server.
const PATIENCE: Duration = Duration::from_secs(5);

/// Who is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Server,
    Spare,
}

/// How many instructions both have, and what was found wrong at `count` points of each, or at all.
pub(crate) fn run(count: usize, seed: u64) -> Outcome<(usize, usize, Vec<String>)> {
    let (mut sum, mut points, mut findings) = (0, 0, Vec::new());
    for victim in [Victim::Server, Victim::Spare] {
        let runs = Atomic::new(0)?;
        let len = point(&runs, victim, usize::MAX)?;
        let count = count.min(len + 1);
        for index in 0..count {
            let gap = (len / count).max(1);
            let step = (index * len / count + seed as usize % gap).min(len);
            watch::doing(&format!("{NAME}: {victim:?} after instruction {step}"));
            if let Err(trouble) = point(&runs, victim, step) {
                findings.push(format!("{victim:?} after instruction {step}: {trouble:?}"));
            }
        }
        sum += len;
        points += count;
    }
    Ok((sum, points, findings))
}

/// Starts a process while the victim is stepped, and kills it after `step` instructions; how many it made.
fn point(runs: &Atomic<u64>, victim: Victim, step: usize) -> Outcome<usize> {
    start(runs.clone(), victim)?;
    let before = runs.load();
    let pid = find(victim)?;
    let deadline = Instant::now() + PATIENCE;
    while !threads::sleeps(pid, pid) && Instant::now() < deadline {
        thread::yield_now();
    }
    let stopped = Running::seize(pid, pid)?.stop_process()?;
    let sleeper = asleep(stopped)?;
    let runs_there = runs.clone();
    let starter = thread::spawn(move || start(runs_there, victim));
    let made = walk(sleeper, victim, step)?;
    let ended = starter.join().map_err(|_| Trouble::Violation("the starter panicked".into()))?;
    let killed =
        |error: &Error| error.child().and_then(ChildFailure::signal) == Some(libc::SIGKILL);
    let times = match (ended, runs.load() - before) {
        (Ok(()), times) => times,
        // It may have run its function, or not.
        (Err(error), 0 | 1) if victim == Victim::Spare && killed(&error) => 1,
        (Err(error), _) => {
            return Err(Trouble::Violation(format!("the start failed: {error}")));
        }
    };
    let before = runs.load();
    start(runs.clone(), victim)
        .map_err(|error| Trouble::Violation(format!("the next one: {error}")))?;
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

/// The server, or its spare child.
fn find(victim: Victim) -> Outcome<i32> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        let name = |pid: i32| std::fs::read_to_string(format!("/proc/{pid}/comm"));
        let is_spare = |pid: &i32| name(*pid).is_ok_and(|name| name == "multiproc-spare\n");
        let (spares, servers): (Vec<i32>, Vec<i32>) = hidden().into_iter().partition(is_spare);
        if let ([server], [spare]) = (&servers[..], &spares[..]) {
            return Ok(*if victim == Victim::Server { server } else { spare });
        }
        thread::yield_now();
    }
    Err(Trouble::Fault(format!("no server with a spare child: {:?}", hidden())))
}

fn start(runs: Atomic<u64>, victim: Victim) -> multiproc::Result<()> {
    let builder = Process::builder().start_method(StartMethod::ForkServer);
    if victim == Victim::Spare {
        // Given nothing shared, it has no keeper: a thread that begins while another one is stepped stands still.
        runs.fetch_add(builder.spawn(|| 1_u64, ())?.join()?);
        return Ok(());
    }
    let count = |runs: Atomic<u64>| {
        runs.fetch_add(1);
    };
    builder.spawn(count, (runs,))?.join()
}

/// The victim, which stands, asleep again in its wait.
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

/// Steps the server from its sleep to the next one, the spare child to its end, or kills it at its point.
fn walk(mut sleeper: Running, victim: Victim, step: usize) -> Outcome<usize> {
    let (mut made, mut sleeps) = (0, true);
    loop {
        let deadline = Instant::now() + PATIENCE;
        let halt = if sleeps { sleeper.wait_awake(deadline)? } else { sleeper.wait(deadline)? };
        sleeps = false;
        let at = match halt {
            Halt::Trap(at) => at,
            Halt::Asleep(running) if victim == Victim::Spare => {
                // For its keeper: it goes on.
                (sleeper, sleeps) = (running, true);
                continue;
            }
            Halt::Gone(_) if victim == Victim::Spare => return Ok(made),
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
