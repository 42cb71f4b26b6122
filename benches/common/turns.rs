//! Two pinned processes that ring for each other in turns: asleep, each pauses for 200 us before it rings, so that the other
//! one is asleep by then; awake, they ring back at once.

use std::os::fd::OwnedFd;

use multiproc::Result;
use serde::{Deserialize, Serialize};

use super::os::{self, Board};
use super::team::{Gate, Team};
use super::{Fold, Sample};

/// So long that the other side is asleep, in nanoseconds.
const PAUSE: u64 = 200_000;

/// One of the two.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) index: usize,
    turns: u64,
    pause: u64,
    pub(crate) processor: Option<usize>,
}

impl Job {
    /// Whether the other one rings back at once.
    pub(crate) fn is_awake(&self) -> bool {
        self.pause == 0
    }
}

/// When it rang and when it was rung for, and how long ringing took.
#[derive(Serialize, Deserialize)]
pub(crate) struct Log {
    from: u64,
    to: u64,
    rang: Vec<u64>,
    woke: Vec<u64>,
    ringing: u64,
}

/// What one of the two does.
pub(crate) fn play(job: Job, ring: impl Fn(), wait: impl Fn() -> Result<()>) -> Result<Log> {
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

fn jobs(turns: u64, pause: u64) -> [Job; 2] {
    let processors = os::two_processors();
    [0, 1].map(|index| Job { index, turns, pause, processor: processors[index] })
}

/// From a ring to the one that slept going on.
pub(crate) fn asleep(turns: u64, run: impl Fn([Job; 2]) -> Result<Vec<Log>>) -> Result<Sample> {
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

/// There and back again, both on one processor.
pub(crate) fn together(turns: u64, run: impl Fn([Job; 2]) -> Result<Vec<Log>>) -> Result<Sample> {
    let mut jobs = jobs(turns, 0);
    jobs[1].processor = jobs[0].processor;
    let logs = run(jobs)?;
    Ok(Sample::new(turns, logs[0].to - logs[0].from))
}

/// There and back again.
pub(crate) fn awake(turns: u64, run: impl Fn([Job; 2]) -> Result<Vec<Log>>) -> Result<Sample> {
    let logs = run(jobs(turns, 0))?;
    Ok(Sample::new(turns, logs[0].to - logs[0].from))
}

fn with_futexes(gate: Gate, job: Job) -> Result<Log> {
    let board = Board::from_stdin();
    gate.pass(job.processor)?;
    let [mine, other] = [board.line(job.index), board.line(1 - job.index)];
    let wait = || {
        mine.wait(job.is_awake());
        Ok(())
    };
    play(job, || other.ring(), wait)
}

/// The yardstick: two processes that wake each other by bare futexes.
pub(crate) fn futexes(jobs: [Job; 2]) -> Result<Vec<Log>> {
    let board = Board::new();
    let mut team = Team::new()?;
    for job in jobs {
        let gate = team.gate().clone();
        let input = Some(OwnedFd::from(board.file()));
        team.spawn_with(input, None, with_futexes, (&gate, job))?;
    }
    team.run()
}
