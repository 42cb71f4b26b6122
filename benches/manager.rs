//! Calls of a manager, beside round trips of a `Pipe`.
//!
//! - One caller: a `get` of a dict beside a question and its answer of the same size, awake, and with a pause of 200 us before each,
//!   so that the other side sleeps by then. Both sides are pinned to two processors.
//! - A batch of 100 `get`s beside one `get`, awake and asleep.
//! - Several processes of callers, and several threads on one handle, beside one process with one thread.

mod common;

use std::thread;

use common::team::{Gate, Team};
use common::{Bench, Goal, Sample, Unit, os};
use multiproc::{Connection, Dict, Manager, Pipe, Process, Result};

/// So long that the other side is asleep, in nanoseconds.
const PAUSE: u64 = 200_000;

/// A manager whose server stays on the second of two processors, with a dict of one entry.
fn manager() -> Result<(Manager, Dict<u64, u64>)> {
    let manager = Manager::new()?;
    let place = manager.host(())?;
    place.call(|_: &mut (), on: Option<usize>| os::stay_on(on), (os::two_processors()[1],))?;
    let dict = manager.dict()?;
    dict.insert(7, 49)?;
    Ok((manager, dict))
}

/// Asks `turns` times; by themselves and after a pause each, or all in a row.
fn ask(turns: u64, pause: bool, mut once: impl FnMut() -> Result<u64>) -> Result<Vec<u64>> {
    let mut times = Vec::new();
    let start = os::now();
    for _ in 0..turns {
        if pause {
            os::pause(PAUSE);
            let start = os::now();
            assert_eq!(once()?, 49);
            times.push(os::now() - start);
        } else {
            assert_eq!(once()?, 49);
        }
    }
    if !pause {
        times.push(os::now() - start);
    }
    Ok(times)
}

fn by_dict(gate: Gate, dict: Dict<u64, u64>, turns: u64, pause: bool) -> Result<Vec<u64>> {
    dict.get(7)?;
    gate.pass(os::two_processors()[0])?;
    ask(turns, pause, || Ok(dict.get(7)?.unwrap_or(0)))
}

fn by_pipe(
    gate: Gate,
    mut pipe: Connection<u64, u64>,
    turns: u64,
    pause: bool,
) -> Result<Vec<u64>> {
    gate.pass(os::two_processors()[0])?;
    ask(turns, pause, || {
        pipe.send(7)?;
        pipe.recv()
    })
}

fn echo(gate: Gate, mut pipe: Connection<u64, u64>) -> Result<Vec<u64>> {
    gate.pass(os::two_processors()[1])?;
    while let Ok(n) = pipe.recv() {
        pipe.send(n * n)?;
    }
    Ok(Vec::new())
}

fn sample(turns: u64, pause: bool, times: Vec<u64>) -> Sample {
    if pause { Sample::of_each(times) } else { Sample::new(turns, times[0]) }
}

fn pipe(turns: u64, pause: bool) -> Result<Sample> {
    let (one, other) = Pipe::duplex()?;
    let mut team = Team::new()?;
    let gate = team.gate().clone();
    team.spawn(by_pipe, (&gate, one, turns, pause))?;
    team.spawn(echo, (&gate, other))?;
    Ok(sample(turns, pause, team.run()?.swap_remove(0)))
}

fn dict(turns: u64, pause: bool) -> Result<Sample> {
    let (_manager, dict) = manager()?;
    let mut team = Team::new()?;
    let gate = team.gate().clone();
    team.spawn(by_dict, (&gate, &dict, turns, pause))?;
    Ok(sample(turns, pause, team.run()?.swap_remove(0)))
}

/// So many batches of 100.
fn batches(count: u64, pause: bool) -> Result<Sample> {
    let (manager, dict) = manager()?;
    os::stay_on(os::two_processors()[0]);
    let times = ask(count, pause, || {
        let gets = manager
            .batch(|batch| (0..100).map(|_| batch.dict(&dict).get(7)).collect::<Vec<_>>())?;
        for get in gets {
            assert_eq!(get.get()?, Some(49));
        }
        Ok(49)
    })?;
    Ok(sample(count, pause, times))
}

fn singles(count: u64, pause: bool) -> Result<Sample> {
    let (_manager, dict) = manager()?;
    os::stay_on(os::two_processors()[0]);
    let times = ask(count, pause, || Ok(dict.get(7)?.unwrap_or(0)))?;
    Ok(sample(count, pause, times))
}

/// All calls that so many processes make at the same time.
fn processes(many: u64, count: u64) -> Result<Sample> {
    fn calls(gate: Gate, dict: Dict<u64, u64>, turns: u64) -> Result<(u64, u64)> {
        dict.get(7)?;
        let from = gate.pass(None)?;
        ask(turns, false, || Ok(dict.get(7)?.unwrap_or(0)))?;
        Ok((from, os::now()))
    }
    let manager = Manager::new()?;
    let dict = manager.dict()?;
    dict.insert(7, 49)?;
    let mut team = Team::new()?;
    let gate = team.gate().clone();
    for _ in 0..many {
        team.spawn(calls, (&gate, &dict, count.div_ceil(many)))?;
    }
    let times = team.run()?;
    let from = times.iter().map(|time| time.0).min().unwrap_or(0);
    let to = times.iter().map(|time| time.1).max().unwrap_or(0);
    Ok(Sample::new(count.div_ceil(many) * many, to - from))
}

/// All calls of so many threads on one handle, in a process of its own.
fn threads(many: u64, count: u64) -> Result<Sample> {
    fn calls(dict: Dict<u64, u64>, many: u64, turns: u64) -> Result<u64> {
        let start = os::now();
        thread::scope(|scope| {
            let run = || ask(turns, false, || Ok(dict.get(7)?.unwrap_or(0))).map(drop);
            let all: Vec<_> = (0..many).map(|_| scope.spawn(run)).collect();
            all.into_iter().try_for_each(|thread| thread.join().expect("no panic"))
        })?;
        Ok(os::now() - start)
    }
    let manager = Manager::new()?;
    let dict = manager.dict()?;
    dict.insert(7, 49)?;
    let turns = count.div_ceil(many);
    let elapsed = Process::spawn(calls, (&dict, many, turns))?.join()??;
    Ok(Sample::new(turns * many, elapsed))
}

fn main() -> Result<()> {
    let mut bench = Bench::start("manager");
    for (name, pause) in [("awake", false), ("asleep", true)] {
        let cell = bench.cell(&format!("manager, get of a dict, {name}"), Unit::Nanoseconds);
        let cell = if pause { cell.fixed(500, 5) } else { cell };
        cell.side("Pipe, question and answer", |n| pipe(n, pause).expect("all go well"))
            .subject("Dict::get", Goal::AtMost(2.5), |n| dict(n, pause).expect("all go well"))
            .run();
    }
    for (name, pause) in [("awake", false), ("asleep", true)] {
        let cell = bench.cell(&format!("manager, batch of 100 gets, {name}"), Unit::Nanoseconds);
        let cell = if pause { cell.fixed(500, 5) } else { cell };
        cell.side("one get", |n| singles(n, pause).expect("all go well"))
            .subject("batch of 100", Goal::AtMost(5.0), |n| batches(n, pause).expect("all go well"))
            .run();
    }
    bench
        .cell("manager, gets of several callers", Unit::Millions)
        .side("1 process", |n| processes(1, n).expect("all go well"))
        .side("4 processes", |n| processes(4, n).expect("all go well"))
        .side("8 threads on one handle", |n| threads(8, n).expect("all go well"))
        .run();
    bench.finish();
    Ok(())
}
