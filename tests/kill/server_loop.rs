//! The fork server killed after any instruction of its loop, from what wakes it to its next sleep.
//!
//! The harness is the parent here, and starts a process by its own server, which is stepped meanwhile. However far the server came,
//! this start and the next one succeed, by another server if need be, and their functions run once. Nothing else stays.
//!
//! What the walks over its spare child (`spare_child.rs`) need as well is here.

use std::thread;
use std::time::Instant;

use multiproc::{Atomic, Process, StartMethod, active_children};

use super::ptrace::{Halt, Leash, Running, SLOW, Stopped, Tracee};
use super::remains::Changes;
use super::sampler::Choice;
use super::threads;
use super::trouble::{Outcome, Trouble};
use super::walks::{Walked, points};

/// Kills the server at points of its loop.
pub(crate) fn run(name: &str, choice: Choice, seed: u64) -> Walked {
    let runs = Atomic::new(0)?;
    points(name, choice, seed, |step, changes| point(&runs, step, changes))
}

/// Starts a process while the server is stepped, and kills that after `step` instructions; how many it made.
fn point(runs: &Atomic<u64>, step: usize, changes: &mut Changes) -> Outcome<usize> {
    start(runs.clone())?;
    let before = runs.load();
    let pid = find()?.server;
    let leash = Leash::new(pid);
    let sleeper = asleep(pid)?;
    let runs_there = runs.clone();
    let starter = thread::spawn(move || start(runs_there));
    let made = walk(sleeper, step, changes)?;
    leash.let_go();
    let ended = starter.join().map_err(|_| Trouble::Violation("the starter panicked".into()))?;
    ended.map_err(|error| Trouble::Violation(format!("the start failed: {error}")))?;
    let times = runs.load() - before;
    next_one(runs, times)?;
    Ok(made)
}

/// A function that was to run once did so, the next start succeeds, and nothing stays but a server with a spare child.
pub(super) fn next_one(runs: &Atomic<u64>, times: u64) -> Outcome {
    let before = runs.load();
    start(runs.clone()).map_err(|error| Trouble::Violation(format!("the next one: {error}")))?;
    let deadline = Instant::now() + SLOW;
    while hidden().len() > 2 && Instant::now() < deadline {
        thread::yield_now();
    }
    match (times, runs.load() - before, hidden().len()) {
        (1, 1, 0..=2) => Ok(()),
        (times, next, left) => Err(Trouble::Violation(format!(
            "the functions ran {times} and {next} times, and {left} processes stay"
        ))),
    }
}

/// The server and its spare child.
pub(super) struct Pair {
    pub(super) server: i32,
    pub(super) spare: i32,
}

/// Finds them, both asleep.
pub(super) fn find() -> Outcome<Pair> {
    let deadline = Instant::now() + SLOW;
    while Instant::now() < deadline {
        let name = |pid: i32| std::fs::read_to_string(format!("/proc/{pid}/comm"));
        let is_spare = |pid: &i32| name(*pid).is_ok_and(|name| name == "multiproc-spare\n");
        let (spares, servers): (Vec<i32>, Vec<i32>) = hidden().into_iter().partition(is_spare);
        if let (&[server], &[spare]) = (&servers[..], &spares[..])
            && threads::sleeps(server, server)
            && threads::sleeps(spare, spare)
        {
            return Ok(Pair { server, spare });
        }
        thread::yield_now();
    }
    Err(Trouble::Fault(format!("no server with a spare child, both asleep: {:?}", hidden())))
}

/// Starts a process by the server, and joins it.
pub(super) fn start(runs: Atomic<u64>) -> multiproc::Result<()> {
    let count = |runs: Atomic<u64>| {
        runs.fetch_add(1);
    };
    Process::builder().start_method(StartMethod::ForkServer).spawn(count, (runs,))?.join()
}

/// Process `pid`, traced and again asleep in its wait.
pub(super) fn asleep(pid: i32) -> Outcome<Running> {
    let deadline = Instant::now() + SLOW;
    let mut stopped = Running::seize(pid, pid)?.interrupt(deadline)?;
    loop {
        stopped = match stopped.step()?.wait(deadline)? {
            Halt::Asleep(sleeper) => return Ok(sleeper),
            Halt::Trap(stopped) => stopped,
            halt => return Err(Trouble::Fault(format!("it does not sleep: {halt:?}"))),
        };
    }
}

/// Steps the server from its sleep to the next one, or kills it at its point.
fn walk(sleeper: Running, step: usize, changes: &mut Changes) -> Outcome<usize> {
    let at = match sleeper.wait_awake(Instant::now() + SLOW)? {
        Halt::Trap(at) => at,
        halt => return Err(Trouble::Fault(format!("it is not woken: {halt:?}"))),
    };
    let (made, tracee) = walk_to_sleep(at, step, changes)?;
    // Killed asleep, or at the end of the loop; the next start has another one.
    tracee.kill()?;
    Ok(made)
}

/// Steps a process to its next sleep, or to its point; how many instructions that were.
pub(super) fn walk_to_sleep(
    mut at: Stopped,
    step: usize,
    changes: &mut Changes,
) -> Outcome<(usize, Tracee)> {
    let mut made = 0;
    loop {
        changes.note(&at, made)?;
        if made == step {
            return Ok((made, Tracee::Stopped(at)));
        }
        at = match at.step_whole(Instant::now() + SLOW)? {
            Halt::Trap(at) => at,
            Halt::Asleep(sleeper) => return Ok((made, Tracee::Running(sleeper))),
            halt => return Err(Trouble::Fault(format!("it does not step: {halt:?}"))),
        };
        made += 1;
    }
}

/// The children of this process that it did not start itself: the server and its spare child.
fn hidden() -> Vec<i32> {
    let own: Vec<i32> = active_children().iter().map(|it| it.id().cast_signed()).collect();
    let mut children = threads::children(std::process::id().cast_signed());
    children.retain(|pid| !own.contains(pid));
    children
}
