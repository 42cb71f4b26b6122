//! `Condition`: from the change under a lock to the waiter that has seen it under the lock, beside a bare futex in shared memory,
//! which has no lock at all.

mod common;

use std::time::Duration;

use common::team::{Gate, Team};
use common::turns::{Job, Log, asleep, awake, futexes, play};
use common::{Bench, Goal, Unit};
use multiproc::{Condition, Result, Value};

fn main() -> Result<()> {
    let mut bench = Bench::start("condition");
    check()?;
    bench
        .cell("condition, notify to wake, asleep", Unit::Microseconds)
        .fixed(250, 5)
        .side("bare futex, processes", |n| asleep(n, futexes).expect("all go well"))
        .subject("Condition with its lock, processes", Goal::AtMost(1.15), |n| {
            asleep(n, conditions).expect("all go well")
        })
        .run();
    bench
        .cell("condition, round trip, awake", Unit::Nanoseconds)
        .side("bare futex that spins first, processes", |n| awake(n, futexes).expect("all go well"))
        .side("Condition with its lock, processes", |n| awake(n, conditions).expect("all go well"))
        .run();
    bench.finish();
    Ok(())
}

fn check() -> Result<()> {
    let (value, condition) = (Value::new(0_u32)?, Condition::new()?);
    condition.notify_one();
    let mut guard = value.lock()?;
    assert!(!condition.wait_timeout(&mut guard, Duration::from_micros(1))?);
    assert!(condition.wait_while_timeout(&mut guard, |rings| *rings != 0, Duration::ZERO)?);
    Ok(())
}

/// How often one was rung for, and what it waits on.
type Bell = (Value<u32>, Condition);

fn with_conditions(gate: Gate, bells: [Bell; 2], job: Job) -> Result<Log> {
    gate.pass(job.processor)?;
    let [mine, other] = [&bells[job.index], &bells[1 - job.index]];
    let wait = || {
        let mut rings = mine.0.lock()?;
        mine.1.wait_while(&mut rings, |rings| *rings == 0)?;
        *rings -= 1;
        Ok(())
    };
    let ring = || {
        *other.0.lock().expect("nobody dies") += 1;
        other.1.notify_one();
    };
    play(job, ring, wait)
}

fn conditions(jobs: [Job; 2]) -> Result<Vec<Log>> {
    let bells = [(Value::new(0)?, Condition::new()?), (Value::new(0)?, Condition::new()?)];
    let mut team = Team::new()?;
    for job in jobs {
        let gate = team.gate().clone();
        team.spawn(with_conditions, (&gate, &bells, job))?;
    }
    team.run()
}
