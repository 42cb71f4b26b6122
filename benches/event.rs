//! `Event`: from `set` to the waiter going on, asleep and awake, beside a bare futex in shared memory.

mod common;

use common::team::{Gate, Team};
use common::turns::{Job, Log, asleep, awake, futexes, play};
use common::{Bench, Unit};
use multiproc::{Event, Result};

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

fn events(jobs: [Job; 2]) -> Result<Vec<Log>> {
    let events = [Event::new()?, Event::new()?];
    let mut team = Team::new()?;
    for job in jobs {
        let gate = team.gate().clone();
        team.spawn(with_events, (&gate, &events, job))?;
    }
    team.run()
}
