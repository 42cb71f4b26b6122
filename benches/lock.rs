//! `Lock` beside the mutexes of std and parking_lot: alone on one thread, and contended by processes, where the others are
//! contended by as many threads.
//!
//! Contended, each process or thread locks, adds one to a number, unlocks and begins again, for a second. The longest wait is
//! the longest time that one of them took for 16 locks.

mod common;

use std::hint::black_box;
use std::os::fd::OwnedFd;

use common::contest::{LEAST_SHARE, LONGEST_WAIT, Score, contend, result};
use common::os::{self, Board, Line};
use common::team::{self, Gate, Team};
use common::{Bench, Goal, Sample, Unit};
use multiproc::{Lock, Result};

/// A contended run, in milliseconds.
const RUN: u64 = 1000;

fn main() -> Result<()> {
    let mut bench = Bench::start("lock");
    alone(&mut bench)?;
    for contenders in [2, 4, 8] {
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
        .subject("Lock", Goal::AtMost(1.15), |n| {
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
        .side("parking_lot::Mutex, threads", |ms| {
            let (mutex, line) = (parking_lot::Mutex::new(()), Line::default());
            by_threads(contenders, ms, &line, || {
                let guard = mutex.lock();
                line.count();
                drop(guard);
            })
        })
        .side("std::sync::Mutex, threads", |ms| {
            let (mutex, line) = (std::sync::Mutex::new(()), Line::default());
            by_threads(contenders, ms, &line, || {
                let guard = mutex.lock().expect("not poisoned");
                line.count();
                drop(guard);
            })
        })
        .subject("Lock, processes", Goal::AtLeast(1.0), |ms| {
            by_processes(contenders, ms).expect("all go well")
        })
        .bound(LEAST_SHARE, Goal::AtLeast(70.0))
        .bound(LONGEST_WAIT, Goal::AtMost(20.0))
        .run();
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
