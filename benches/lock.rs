//! `Lock` beside the mutexes of std and parking_lot: alone on one thread, and contended by processes, where the others are
//! contended by as many threads.
//!
//! Contended, each process or thread locks, adds one to a number in two steps, unlocks and begins again, for as long as
//! the run lasts. The number must be the sum of what all say they did. They are not pinned. The longest wait is the longest
//! time that one of them took for 16 locks.

mod common;

use std::hint::black_box;
use std::os::fd::OwnedFd;

use common::os::{self, Board, Line};
use common::team::{self, Gate, Team};
use common::{Bench, Fold, Goal, Sample, Unit};
use multiproc::{Lock, Result};
use serde::{Deserialize, Serialize};

/// A contended run, in milliseconds.
const RUN: u64 = 300;

fn main() -> Result<()> {
    let mut bench = Bench::start("lock");
    alone(&mut bench)?;
    for contenders in [2, 4] {
        contended(&mut bench, contenders);
    }
    bench.finish();
    Ok(())
}

fn alone(bench: &mut Bench) -> Result<()> {
    let std = std::sync::Mutex::new(());
    let parking_lot = parking_lot::Mutex::new(());
    let lock = Lock::new()?;
    let guard = lock.lock()?;
    assert!(lock.is_locked() && lock.try_lock().is_err_and(|error| error.is_deadlock()));
    drop(guard);
    assert!(!lock.is_locked());

    bench
        .cell("lock alone, one thread, a pair", Unit::Nanoseconds)
        .side("std::sync::Mutex", |n| {
            pairs(n, || drop(black_box(&std).lock().expect("not poisoned")))
        })
        .side("parking_lot::Mutex", |n| pairs(n, || drop(black_box(&parking_lot).lock())))
        .subject("Lock", Goal::AtMost(1.5), |n| {
            pairs(n, || drop(black_box(&lock).lock().expect("nobody else has it")))
        })
        .run();
    Ok(())
}

fn pairs(count: u64, pair: impl Fn() + Sync) -> Sample {
    let elapsed = team::alone(|| {
        // The first use by a thread may cost more.
        pair();
        let start = os::now();
        for _ in 0..count {
            pair();
        }
        os::now() - start
    });
    Sample::new(count, elapsed)
}

fn contended(bench: &mut Bench, contenders: usize) {
    bench
        .cell(&format!("lock contended by {contenders}"), Unit::Millions)
        .fixed(RUN, 5)
        .side("std::sync::Mutex, threads", |ms| {
            let (mutex, line) = (std::sync::Mutex::new(()), Line::default());
            by_threads(contenders, ms, &line, || {
                let guard = mutex.lock().expect("not poisoned");
                line.count();
                drop(guard);
            })
        })
        .side("parking_lot::Mutex, threads", |ms| {
            let (mutex, line) = (parking_lot::Mutex::new(()), Line::default());
            by_threads(contenders, ms, &line, || {
                let guard = mutex.lock();
                line.count();
                drop(guard);
            })
        })
        .side("Lock, processes", |ms| by_processes(contenders, ms).expect("all go well"))
        .run();
}

/// What one contender did.
#[derive(Serialize, Deserialize)]
struct Score {
    locks: u64,
    from: u64,
    to: u64,
    /// The longest time for [`CLOCK_EVERY`] locks.
    longest: u64,
}

/// Locks between two looks at the clock.
const CLOCK_EVERY: u64 = 16;

fn contend(ms: u64, mut once: impl FnMut() -> Result<()>) -> Result<Score> {
    let from = os::now();
    let until = from + ms * 1_000_000;
    let mut score = Score { locks: 0, from, to: from, longest: 0 };
    while score.to < until {
        for _ in 0..CLOCK_EVERY {
            once()?;
        }
        score.locks += CLOCK_EVERY;
        let now = os::now();
        score.longest = score.longest.max(now - score.to);
        score.to = now;
    }
    Ok(score)
}

fn by_threads(contenders: usize, ms: u64, line: &Line, once: impl Fn() + Sync) -> Sample {
    let contend = || {
        contend(ms, || {
            once();
            Ok(())
        })
    };
    let run = || (None, Box::new(|| contend().expect("it cannot fail")) as team::Run<'_, Score>);
    result(team::threads((0..contenders).map(|_| run()).collect()), line)
}

fn by_processes(contenders: usize, ms: u64) -> Result<Sample> {
    fn child(gate: Gate, lock: Lock, ms: u64) -> Result<Score> {
        let board = Board::from_stdin();
        gate.pass(None)?;
        contend(ms, || {
            let guard = lock.lock()?;
            board.line(0).count();
            drop(guard);
            Ok(())
        })
    }
    let (board, lock) = (Board::new(), Lock::new()?);
    let mut team = Team::new()?;
    for _ in 0..contenders {
        let gate = team.gate().clone();
        team.spawn_with(Some(OwnedFd::from(board.file())), None, child, (&gate, &lock, ms))?;
    }
    Ok(result(team.run()?, board.line(0)))
}

fn result(scores: Vec<Score>, line: &Line) -> Sample {
    let locks: u64 = scores.iter().map(|score| score.locks).sum();
    assert_eq!(locks, line.read(), "two were inside at once");
    let from = scores.iter().map(|score| score.from).min().expect("a contender");
    let to = scores.iter().map(|score| score.to).max().expect("a contender");
    let fair = locks as f64 / scores.len() as f64 / 100.0;
    let least = scores.iter().map(|score| score.locks).min().expect("a contender") as f64;
    let most = scores.iter().map(|score| score.locks).max().expect("a contender") as f64;
    let longest = scores.iter().map(|score| score.longest).max().expect("a contender");
    Sample::new(locks, to - from)
        .note("least share", least / fair, "% of fair", Fold::Least)
        .note("most", most / fair, "%", Fold::Most)
        .note("longest wait", longest as f64 / 1e6, "ms", Fold::Most)
}
