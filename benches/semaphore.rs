//! `Semaphore` beside a bare futex semaphore in shared memory: one count, one count of sleepers, nothing that survives a
//! death.
//!
//! Alone: a permit is taken and given back on one thread. Handed over: two pinned processes give each other permits in turns.
//! Contended: processes take the only permit, add one to a number, and give it back; beside it a bare futex lock.

mod common;

use std::hint::black_box;
use std::os::fd::OwnedFd;

use common::contest::{Score, contend, result};
use common::os::{self, Board};
use common::team::{self, Gate, Team};
use common::turns::{Job, Log, asleep, awake, play};
use common::{Bench, Goal, Sample, Unit};
use multiproc::{Function, Permit, Result, Semaphore};

fn main() -> Result<()> {
    let mut bench = Bench::start("semaphore");
    alone(&mut bench)?;
    bench
        .cell("semaphore, release to wake, asleep", Unit::Microseconds)
        .fixed(250, 5)
        .side("bare futex semaphore, processes", |n| asleep(n, bare).expect("all go well"))
        .subject("Semaphore, processes", Goal::AtMost(1.1), |n| {
            asleep(n, semaphores).expect("all go well")
        })
        .run();
    bench
        .cell("semaphore, round trip, awake", Unit::Nanoseconds)
        .side("bare futex semaphore that spins first, processes", |n| {
            awake(n, bare).expect("all go well")
        })
        .side("Semaphore, processes", |n| awake(n, semaphores).expect("all go well"))
        .run();
    for contenders in [2, 4] {
        bench
            .cell(&format!("semaphore contended by {contenders}"), Unit::Millions)
            .fixed(300, 5)
            .side("bare futex lock, processes", |ms| {
                contended(contenders, ms, contend_lock).expect("all go well")
            })
            .side("bare futex semaphore that spins first, processes", |ms| {
                contended(contenders, ms, contend_bare).expect("all go well")
            })
            .subject("Semaphore, processes", Goal::AtLeast(0.8), |ms| {
                contended(contenders, ms, contend_semaphore).expect("all go well")
            })
            .run();
    }
    bench.finish();
    Ok(())
}

fn contend_lock(gate: Gate, _: Semaphore, ms: u64) -> Result<Score> {
    let board = Board::from_stdin();
    gate.pass(None)?;
    contend(ms, || {
        board.line(2).lock();
        board.line(0).count();
        board.line(2).unlock();
        Ok(())
    })
}

fn contend_bare(gate: Gate, _: Semaphore, ms: u64) -> Result<Score> {
    let board = Board::from_stdin();
    gate.pass(None)?;
    contend(ms, || {
        board.line(1).take(true);
        board.line(0).count();
        board.line(1).post();
        Ok(())
    })
}

fn contend_semaphore(gate: Gate, semaphore: Semaphore, ms: u64) -> Result<Score> {
    let board = Board::from_stdin();
    gate.pass(None)?;
    contend(ms, || {
        let permit = semaphore.acquire()?;
        board.line(0).count();
        drop(permit);
        Ok(())
    })
}

fn contended<F>(contenders: usize, ms: u64, contender: F) -> Result<Sample>
where
    F: Function<(Gate, Semaphore, u64), Output = Result<Score>> + Copy,
{
    let (board, semaphore) = (Board::new(), Semaphore::new(1)?);
    board.line(1).post();
    let mut team = Team::new()?;
    for _ in 0..contenders {
        let gate = team.gate().clone();
        let input = Some(OwnedFd::from(board.file()));
        team.spawn_with(input, None, contender, (&gate, &semaphore, ms))?;
    }
    Ok(result(team.run()?, board.line(0)))
}

fn alone(bench: &mut Bench) -> Result<()> {
    let board = Board::new();
    let bare = board.line(0);
    bare.post();
    let semaphore = Semaphore::new(1)?;
    let permit = semaphore.acquire()?;
    assert!(
        semaphore.available() == 0 && semaphore.try_acquire().is_err_and(|error| error.is_busy())
    );
    drop(permit);
    let signals = Semaphore::new(0)?;

    bench
        .cell("semaphore alone, one thread, a pair", Unit::Nanoseconds)
        .side("bare futex semaphore", |n| {
            pairs(n, || {
                black_box(bare).take(false);
                black_box(bare).post();
            })
        })
        .subject("Semaphore, acquire and drop", Goal::AtMost(2.0), |n| {
            pairs(n, || drop(black_box(&semaphore).acquire().expect("there is one")))
        })
        .subject("Semaphore, release, acquire and forget", Goal::AtMost(2.5), |n| {
            pairs(n, || {
                black_box(&signals).release(1).expect("not so many");
                black_box(&signals).acquire().expect("there is one").forget();
            })
        })
        .run();
    assert_eq!((semaphore.available(), signals.available()), (1, 0));
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

fn with_semaphores(gate: Gate, semaphores: [Semaphore; 2], job: Job) -> Result<Log> {
    gate.pass(job.processor)?;
    let [mine, other] = [&semaphores[job.index], &semaphores[1 - job.index]];
    let ring = || other.release(1).expect("not so many");
    play(job, ring, || mine.acquire().map(Permit::forget))
}

fn with_bare(gate: Gate, job: Job) -> Result<Log> {
    let board = Board::from_stdin();
    gate.pass(job.processor)?;
    let [mine, other] = [board.line(job.index), board.line(1 - job.index)];
    let wait = || {
        mine.take(job.is_awake());
        Ok(())
    };
    play(job, || other.post(), wait)
}

fn semaphores(jobs: [Job; 2]) -> Result<Vec<Log>> {
    let semaphores = [Semaphore::new(0)?, Semaphore::new(0)?];
    let mut team = Team::new()?;
    for job in jobs {
        let gate = team.gate().clone();
        team.spawn(with_semaphores, (&gate, &semaphores, job))?;
    }
    team.run()
}

fn bare(jobs: [Job; 2]) -> Result<Vec<Log>> {
    let board = Board::new();
    let mut team = Team::new()?;
    for job in jobs {
        let gate = team.gate().clone();
        let input = Some(OwnedFd::from(board.file()));
        team.spawn_with(input, None, with_bare, (&gate, job))?;
    }
    team.run()
}
