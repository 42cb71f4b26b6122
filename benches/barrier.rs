//! `Barrier`: a round of two that are awake, beside a bare futex that spins first and is rung there and back: two transfers of a
//! cache line.

mod common;

use std::os::fd::OwnedFd;

use common::os::Board;
use common::team::{Gate, Team};
use common::turns::{Job, Log, awake, play};
use common::{Bench, Goal, Unit};
use multiproc::{Barrier, Result};

fn main() -> Result<()> {
    let mut bench = Bench::start("barrier");
    assert!(Barrier::new(1)?.wait()?.is_leader());
    bench
        .cell("barrier, a round of two, awake", Unit::Nanoseconds)
        .side("a cache line there and back, processes", |n| awake(n, lines).expect("all go well"))
        .subject("Barrier, processes", Goal::AtMost(3.0), |n| {
            awake(n, barriers).expect("all go well")
        })
        .run();
    bench.finish();
    Ok(())
}

fn with_barrier(gate: Gate, barrier: Barrier, job: Job) -> Result<Log> {
    gate.pass(job.processor)?;
    // One wait a turn for each of the two.
    play(job, || (), || barrier.wait().map(drop))
}

fn with_lines(gate: Gate, job: Job) -> Result<Log> {
    let board = Board::from_stdin();
    gate.pass(job.processor)?;
    let [mine, other] = [board.line(job.index), board.line(1 - job.index)];
    let wait = || {
        mine.wait(true);
        Ok(())
    };
    play(job, || other.ring(), wait)
}

fn barriers(jobs: [Job; 2]) -> Result<Vec<Log>> {
    let barrier = Barrier::new(2)?;
    let mut team = Team::new()?;
    for job in jobs {
        let gate = team.gate().clone();
        team.spawn(with_barrier, (&gate, &barrier, job))?;
    }
    team.run()
}

fn lines(jobs: [Job; 2]) -> Result<Vec<Log>> {
    let board = Board::new();
    let mut team = Team::new()?;
    for job in jobs {
        let gate = team.gate().clone();
        let input = Some(OwnedFd::from(board.file()));
        team.spawn_with(input, None, with_lines, (&gate, job))?;
    }
    team.run()
}
