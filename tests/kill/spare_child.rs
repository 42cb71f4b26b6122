//! The fork server's spare child, killed after any instruction: from its fork to the sleep in which it waits to be told what it is to
//! be, and from what wakes it there to its end.
//!
//! The harness is the parent here, as in `server_loop.rs`. One that dies before its request is missed by nobody: the start that
//! would have had it has another one. One that dies behind it is a child that was killed, which `join` says; its function has run
//! once or never. Either way the next start succeeds, and nothing stays.
//!
//! The first part begins at the fork itself: the server is traced, and so its child is from the first instruction on.
//!
//! A process that was stopped by SIGSTOP and is stepped on by a tracer counts as stopped, and each thread that it begins stands
//! still. So these are never stopped by a signal: else the child waits for its keeper for ever.

use std::thread;
use std::time::Instant;

use multiproc::{Atomic, ChildFailure, Error};

use super::ptrace::{self, Halt, Leash, Running, SLOW};
use super::remains::Changes;
use super::sampler::Choice;
use super::server_loop::{asleep, find, next_one, start, walk_to_sleep};
use super::trouble::{Outcome, Trouble};
use super::walks::{Walked, points};

/// Kills it at points between its fork and its sleep.
pub(crate) fn run_forked(name: &str, choice: Choice, seed: u64) -> Walked {
    let runs = Atomic::new(0)?;
    points(name, choice, seed, |step, changes| forked(&runs, step, changes))
}

/// Kills it at points between its request and its end.
pub(crate) fn run_started(name: &str, choice: Choice, seed: u64) -> Walked {
    let runs = Atomic::new(0)?;
    points(name, choice, seed, |step, changes| started(&runs, step, changes))
}

/// Starts a process, for which the server forks another spare child; that is killed after `step` instructions.
fn forked(runs: &Atomic<u64>, step: usize, changes: &mut Changes) -> Outcome<usize> {
    start(runs.clone())?;
    let before = runs.load();
    let pid = find()?.server;
    let leash = Leash::new(pid);
    let server = Running::seize_with_forks(pid)?;
    // Its own spare child is there already.
    start(runs.clone())?;
    let times = runs.load() - before;
    let deadline = Instant::now() + SLOW;
    let (server, child) = match server.wait_awake(deadline)? {
        Halt::Forked(server, child) => (server, child),
        halt => return Err(Trouble::Fault(format!("the server does not fork: {halt:?}"))),
    };
    server.detach()?;
    leash.let_go();
    let leash = Leash::new(child);
    let (made, _) = walk_to_sleep(Running::first_stop(child, deadline)?, step, changes)?;
    // And dead: a start that found it dying would have a child that was killed.
    ptrace::end(child)?;
    leash.let_go();
    next_one(runs, times)?;
    Ok(made)
}

/// Starts a process, whose child is killed after `step` instructions.
fn started(runs: &Atomic<u64>, step: usize, changes: &mut Changes) -> Outcome<usize> {
    start(runs.clone())?;
    let before = runs.load();
    let pid = find()?.spare;
    let leash = Leash::new(pid);
    let sleeper = asleep(pid)?;
    let runs_there = runs.clone();
    let starter = thread::spawn(move || start(runs_there));
    let made = walk_to_end(pid, sleeper, step, changes)?;
    leash.let_go();
    let ended = starter.join().map_err(|_| Trouble::Violation("the starter panicked".into()))?;
    let is_killed =
        |error: &Error| error.child().and_then(ChildFailure::signal) == Some(libc::SIGKILL);
    let times = match (ended, runs.load() - before) {
        (Ok(()), times) => times,
        (Err(error), 0 | 1) if is_killed(&error) => 1,
        (Err(error), times) => {
            let text = format!("the start failed, {times} functions ran: {error}");
            return Err(Trouble::Violation(text));
        }
    };
    next_one(runs, times)?;
    Ok(made)
}

/// Steps the child from its sleep to its end, or kills it at its point. On the way it waits for its keeper, and may for others.
fn walk_to_end(pid: i32, sleeper: Running, step: usize, changes: &mut Changes) -> Outcome<usize> {
    let mut made = 0;
    let mut halt = sleeper.wait_awake(Instant::now() + SLOW)?;
    loop {
        let at = match halt {
            Halt::Trap(at) => at,
            Halt::Asleep(sleeper) => {
                halt = sleeper.wait_awake(Instant::now() + SLOW)?;
                continue;
            }
            // Its parent takes its status.
            Halt::Exiting(at) => return at.detach().map(|()| made).map_err(Trouble::from),
            halt => return Err(Trouble::Fault(format!("it does not step: {halt:?}"))),
        };
        changes.note(&at, made)?;
        if made == 0 {
            at.watch_exit()?;
        }
        if made == step {
            ptrace::end(pid)?;
            return Ok(made);
        }
        made += 1;
        halt = at.step_whole(Instant::now() + SLOW)?;
    }
}
