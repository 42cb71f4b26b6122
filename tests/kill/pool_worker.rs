//! A worker of a pool, killed after any instruction from what wakes it to its next sleep: it takes a batch, begins it, runs its tasks,
//! delivers their results and puts them.
//!
//! The harness is the user of the pool here, which has this one worker. However far that came, the call ends, each result is right or
//! says that the worker was killed with this task, and of those there is one at most; the worker is replaced, and the next call is
//! right.

use std::thread;
use std::time::{Duration, Instant};

use multiproc::{ChildFailure, Error, Pool};

use super::ptrace::{Halt, Leash, SLOW};
use super::remains::Changes;
use super::sampler::Choice;
use super::server_loop::{asleep, walk_to_sleep};
use super::threads;
use super::trouble::{Outcome, Trouble};
use super::walks::{Walked, points};

/// Tasks of a batch.
const TASKS: u64 = 4;

/// Kills the worker at points of its way through a batch.
pub(crate) fn run(name: &str, choice: Choice, seed: u64) -> Walked {
    let pool = Pool::with_workers(1)?;
    points(name, choice, seed, |step, changes| point(&pool, step, changes))
}

/// Gives the pool a batch while its worker is stepped, and kills that after `step` instructions; how many it made.
fn point(pool: &Pool, step: usize, changes: &mut Changes) -> Outcome<usize> {
    check(&call(pool), 0)?;
    let pid = worker(pool)?;
    let leash = Leash::new(pid);
    let sleeper = asleep(pid)?;
    let (walked, results) = thread::scope(|scope| {
        let caller = scope.spawn(|| call(pool));
        let walked = sleeper
            .wait_awake(Instant::now() + SLOW)
            .map_err(Trouble::from)
            .and_then(|halt| match halt {
                Halt::Trap(at) => walk_to_sleep(at, step, changes),
                halt => Err(Trouble::Fault(format!("it is not woken: {halt:?}"))),
            })
            .and_then(|(made, tracee)| Ok(tracee.kill().map(|()| made)?));
        match &walked {
            Ok(_) => leash.let_go(),
            // Or the caller would wait for it.
            Err(_) => drop(leash),
        }
        (walked, caller.join())
    });
    let results = results.map_err(|_| Trouble::Violation("the call panicked".into()))?;
    let made = walked?;
    check(&results, 1)?;
    check(&call(pool), 0)?;
    Ok(made)
}

fn call(pool: &Pool) -> Vec<multiproc::Result<u64>> {
    pool.chunk_size(TASKS as usize).imap(|x: u64| x * x, 0..TASKS).collect()
}

/// Every result is right, but for so many that say that the worker was killed.
fn check(results: &[multiproc::Result<u64>], most: usize) -> Outcome {
    let is_killed =
        |error: &Error| error.child().and_then(ChildFailure::signal) == Some(libc::SIGKILL);
    let is_right = |(x, result): (u64, &multiproc::Result<u64>)| match result {
        Ok(square) => *square == x * x,
        Err(error) => is_killed(error),
    };
    let lost = results.iter().filter(|result| result.is_err()).count();
    if results.len() == TASKS as usize && lost <= most && (0..).zip(results).all(is_right) {
        return Ok(());
    }
    Err(Trouble::Violation(format!("{most} may be lost: {results:?}")))
}

/// The worker, asleep in its wait for a batch.
fn worker(pool: &Pool) -> Outcome<i32> {
    let deadline = Instant::now() + SLOW;
    let mut seen = 0;
    while Instant::now() < deadline {
        let workers: Vec<i32> = pool.workers().iter().map(|it| it.id().cast_signed()).collect();
        if let [pid] = workers[..] {
            // Not on its way there.
            seen = if threads::sleeps(pid, pid) { seen + 1 } else { 0 };
            if seen == 5 {
                return Ok(pid);
            }
        }
        thread::sleep(Duration::from_micros(200));
    }
    Err(Trouble::Fault(format!("no worker that sleeps: {:?}", pool.workers())))
}
