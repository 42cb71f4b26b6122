//! `Event`: from `set` to the waiter going on, asleep and awake, beside a bare futex in shared memory.
//!
//! Two pinned processes ring for each other. Asleep: each pauses for 200 us before it rings, so that the other one is
//! asleep by then. Awake: they ring back at once.

mod common;

use std::os::fd::OwnedFd;

use common::os::{self, Board};
use common::team::{Gate, Team};
use common::{Bench, Fold, Sample, Unit};
use multiproc::{Event, Result};
use serde::{Deserialize, Serialize};

/// So long that the other side is asleep, in nanoseconds.
const PAUSE: u64 = 200_000;

fn main() -> Result<()> {
    let mut bench = Bench::start("event");
    check()?;
    bench
        .cell("event, set to wake, asleep", Unit::Microseconds)
        .fixed(250, 5)
        .side("bare futex, processes", |n| asleep(n, futexes).expect("all go well"))
        .side("Event, processes", |n| asleep(n, events).expect("all go well"))
        .run();
    bench
        .cell("event, round trip, awake", Unit::Nanoseconds)
        .side("bare futex that spins first, processes", |n| awake(n, futexes).expect("all go well"))
        .side("Event, processes", |n| awake(n, events).expect("all go well"))
        .run();
    bench.finish();
    Ok(())
}

fn check() -> Result<()> {
    let event = Event::new()?;
    assert!(!event.is_set());
    event.set();
    event.wait()?;
    assert!(event.is_set());
    event.clear();
    assert!(!event.is_set());
    Ok(())
}

/// One of the two.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Job {
    index: usize,
    turns: u64,
    pause: u64,
    processor: Option<usize>,
}

/// When it rang and when it was rung for, and how long ringing took.
#[derive(Serialize, Deserialize)]
struct Log {
    from: u64,
    to: u64,
    rang: Vec<u64>,
    woke: Vec<u64>,
    ringing: u64,
}

fn play(job: Job, ring: impl Fn(), wait: impl Fn() -> Result<()>) -> Result<Log> {
    let from = os::now();
    let mut log = Log { from, to: from, rang: Vec::new(), woke: Vec::new(), ringing: 0 };
    for _ in 0..job.turns {
        if job.index == 1 {
            wait()?;
            note(&mut log.woke, job);
        }
        if job.pause > 0 {
            os::pause(job.pause);
            let start = os::now();
            ring();
            log.ringing += os::now() - start;
            log.rang.push(start);
        } else {
            ring();
        }
        if job.index == 0 {
            wait()?;
            note(&mut log.woke, job);
        }
    }
    log.to = os::now();
    Ok(log)
}

/// Awake, the clock would cost more than the ring.
fn note(times: &mut Vec<u64>, job: Job) {
    if job.pause > 0 {
        times.push(os::now());
    }
}

fn with_events(gate: Gate, events: [Event; 2], job: Job) -> Result<Log> {
    gate.pass(job.processor)?;
    let [mine, other] = [&events[job.index], &events[1 - job.index]];
    let wait = || {
        mine.wait()?;
        mine.clear();
        Ok(())
    };
    play(job, || other.set(), wait)
}

fn with_futexes(gate: Gate, job: Job) -> Result<Log> {
    let board = Board::from_stdin();
    gate.pass(job.processor)?;
    let [mine, other] = [board.line(job.index), board.line(1 - job.index)];
    let wait = || {
        mine.wait(job.pause == 0);
        Ok(())
    };
    play(job, || other.ring(), wait)
}

fn events(jobs: [Job; 2]) -> Result<Vec<Log>> {
    let events = [Event::new()?, Event::new()?];
    let mut team = Team::new()?;
    for job in jobs {
        let gate = team.gate().clone();
        team.spawn(with_events, (&gate, &events, job))?;
    }
    team.run()
}

fn futexes(jobs: [Job; 2]) -> Result<Vec<Log>> {
    let board = Board::new();
    let mut team = Team::new()?;
    for job in jobs {
        let gate = team.gate().clone();
        let input = Some(OwnedFd::from(board.file()));
        team.spawn_with(input, None, with_futexes, (&gate, job))?;
    }
    team.run()
}

fn jobs(turns: u64, pause: u64) -> [Job; 2] {
    let processors = os::two_processors();
    [0, 1].map(|index| Job { index, turns, pause, processor: processors[index] })
}

fn asleep(turns: u64, run: impl Fn([Job; 2]) -> Result<Vec<Log>>) -> Result<Sample> {
    let logs = run(jobs(turns, PAUSE))?;
    let mut times = Vec::new();
    for [from, to] in [[0, 1], [1, 0]] {
        let (rang, woke) = (&logs[from].rang, &logs[to].woke);
        assert_eq!([rang.len() as u64, woke.len() as u64], [turns; 2], "a ring was lost");
        times.extend(rang.iter().zip(woke).map(|(rang, woke)| {
            assert!(woke > rang, "woken before the ring");
            woke - rang
        }));
    }
    let ringing = (logs[0].ringing + logs[1].ringing) as f64 / 2.0 / turns as f64;
    Ok(Sample::of_each(times).note("the call itself", ringing / 1e3, "us", Fold::Median))
}

fn awake(turns: u64, run: impl Fn([Job; 2]) -> Result<Vec<Log>>) -> Result<Sample> {
    let logs = run(jobs(turns, 0))?;
    Ok(Sample::new(turns, logs[0].to - logs[0].from))
}
