//! Values and arrays beside what threads of one process have: a mutex with its number, an atomic, rayon, plain copies.
//!
//! Processes are started before the clock, which runs from the moment when all of them are let go until the last has ended.

mod common;

use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering};

use common::os;
use common::team::{self, Gate, Team};
use common::{Bench, Goal, Sample, Unit};
use multiproc::{Array, ArrayPart, Atomic, Lock, Process, Result, SharedMemory, Value};
use rayon::prelude::*;

/// Elements of 8 bytes in 80 MB.
const ELEMENTS: usize = 10_000_000;

fn main() -> Result<()> {
    let mut bench = Bench::start("shared");
    alone(&mut bench)?;
    counting(&mut bench);
    squares(&mut bench)?;
    copies(&mut bench)?;
    bytes(&mut bench)?;
    making(&mut bench)?;
    bench.finish();
    Ok(())
}

fn each(count: u64, once: impl Fn() + Sync) -> Sample {
    let elapsed = team::alone(|| {
        // The first use by a thread may cost more.
        once();
        let start = os::now();
        for _ in 0..count {
            once();
        }
        os::now() - start
    });
    Sample::new(count, elapsed)
}

fn alone(bench: &mut Bench) -> Result<()> {
    let (lock, value) = (Lock::new()?, Value::new(7u64)?);
    bench
        .cell("8 bytes, one thread", Unit::Nanoseconds)
        .side("Lock, a pair", |n| each(n, || drop(black_box(&lock).lock().expect("free"))))
        .subject("Value::get", Goal::AtMost(2.0), |n| {
            each(n, || assert_eq!(black_box(&value).get().expect("free"), 7))
        })
        .side("Value::set", |n| each(n, || black_box(&value).set(7).expect("free")))
        .side("Value::update", |n| {
            each(n, || black_box(&value).update(|n| *n = black_box(7)).expect("free"))
        })
        .run();
    bench
        .cell("made and dropped, one thread", Unit::Nanoseconds)
        .side("Lock::new", |n| each(n, || drop(Lock::new().expect("room"))))
        .side("Value::new", |n| each(n, || drop(Value::new(1u64).expect("room"))))
        .side("Array::from_slice of 10", |n| {
            each(n, || drop(Array::from_slice(&[1u64; 10]).expect("room")))
        })
        .run();
    Ok(())
}

/// When the first of them began and the last ended.
fn span(count: u64, times: Vec<(u64, u64)>) -> Sample {
    let start = times.iter().map(|(start, _)| *start).min().expect("one");
    let end = times.iter().map(|(_, end)| *end).max().expect("one");
    Sample::new(count, end - start)
}

fn by_threads(contenders: u64, each: u64, once: impl Fn() + Sync) -> Sample {
    let once = &once;
    let run = || {
        let run = move || {
            let start = os::now();
            (0..each).for_each(|_| once());
            (start, os::now())
        };
        (None, Box::new(run) as team::Run<'_, (u64, u64)>)
    };
    span(contenders * each, team::threads((0..contenders).map(|_| run()).collect()))
}

#[derive(Clone, Copy, serde::Serialize, serde::Deserialize)]
enum Way {
    Lock,
    Guard,
    Update,
}

fn count(gate: Gate, value: Value<u64>, way: Way, each: u64) -> Result<(u64, u64)> {
    let start = gate.pass(None)?;
    for _ in 0..each {
        match way {
            Way::Lock => {
                let _held = value.get_lock().lock()?;
                value.set(value.get()? + 1)?;
            }
            Way::Guard => *value.lock()? += 1,
            Way::Update => value.update(|n| *n += 1)?,
        }
    }
    Ok((start, os::now()))
}

fn by_processes(contenders: u64, each: u64, way: Way) -> Result<Sample> {
    let (value, mut team) = (Value::new(0)?, Team::new()?);
    for _ in 0..contenders {
        let gate = team.gate().clone();
        team.spawn(count, (&gate, &value, way, each))?;
    }
    let times = team.run()?;
    assert_eq!(value.get()?, contenders * each);
    Ok(span(contenders * each, times))
}

fn counting(bench: &mut Bench) {
    const FOUR: u64 = 4;
    let processes = |way| move |each| by_processes(FOUR, each, way).expect("all go well");
    bench
        .cell("counter, 4 x 1,000,000", Unit::Nanoseconds)
        .fixed(1_000_000, 1000)
        .side("parking_lot::Mutex, threads", |each| {
            let counter = parking_lot::Mutex::new(0);
            let sample = by_threads(FOUR, each, || *counter.lock() += 1);
            assert_eq!(*counter.lock(), FOUR * each);
            sample
        })
        .subject("get_lock, get, set, processes", Goal::AtMost(1.3), processes(Way::Lock))
        .subject("update, processes", Goal::AtMost(1.3), processes(Way::Update))
        .side("guard, processes", processes(Way::Guard))
        .run();
    // Call by call: left alone, the compiler makes one loop of eight adds a turn of the threads' calls, and another one of single adds
    // of the processes', and where two processors fight for a line such loops differ by half.
    fn add(gate: Gate, atomic: Atomic<u64>, each: u64) -> Result<(u64, u64)> {
        let start = gate.pass(None)?;
        (0..each).for_each(|_| {
            black_box(&atomic).fetch_add(1);
        });
        Ok((start, os::now()))
    }
    bench
        .cell("fetch_add, 4 x 10,000,000", Unit::Nanoseconds)
        .fixed(10_000_000, 1000)
        .side("AtomicU64, threads", |each| {
            let atomic = AtomicU64::new(0);
            by_threads(FOUR, each, || {
                black_box(&atomic).fetch_add(1, Ordering::SeqCst);
            })
        })
        .subject("Atomic, processes", Goal::AtMost(1.2), |each| {
            let run = || {
                let (atomic, mut team) = (Atomic::new(0)?, Team::new()?);
                for _ in 0..FOUR {
                    let gate = team.gate().clone();
                    team.spawn(add, (&gate, &atomic, each))?;
                }
                let sample = span(FOUR * each, team.run()?);
                assert_eq!(atomic.load(), FOUR * each);
                Ok::<_, multiproc::Error>(sample)
            };
            run().expect("all go well")
        })
        .run();
}

/// Squares in place, and their sum.
fn square(numbers: &mut [f64]) -> f64 {
    let mut sum = 0.0;
    for number in numbers {
        *number *= *number;
        sum += *number;
    }
    sum
}

fn squares(bench: &mut Bench) -> Result<()> {
    fn part(gate: Gate, part: ArrayPart<f64>, times: u64) -> Result<(u64, u64, f64)> {
        // Pages that are mapped for the first time are no part of the work, for neither side.
        let mut sum: f64 = part.claim()?.iter().sum();
        let start = gate.pass(None)?;
        for _ in 0..times {
            sum = square(&mut part.claim()?);
        }
        Ok((start, os::now(), sum))
    }
    let mut private = vec![1.0f64; ELEMENTS];
    let array = Array::from_slice(&private)?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(2).build().expect("two threads");
    bench
        .cell("squares of 80 MB in place, by two", Unit::Gigabytes(ELEMENTS * 8))
        .fixed(20, 1)
        .side("rayon", |times| {
            let start = os::now();
            for _ in 0..times {
                let chunks = private.par_chunks_mut(ELEMENTS / 2);
                let sum: f64 = pool.install(|| chunks.map(square).sum());
                assert_eq!(sum, ELEMENTS as f64);
            }
            Sample::new(times, os::now() - start)
        })
        .subject("parts, processes", Goal::AtLeast(0.95), |times| {
            let run = || {
                let mut team = Team::new()?;
                for part_of in array.partition(2)? {
                    let gate = team.gate().clone();
                    team.spawn(part, (&gate, part_of, times))?;
                }
                let done = team.run()?;
                assert_eq!(done.iter().map(|(_, _, sum)| sum).sum::<f64>(), ELEMENTS as f64);
                let times_of = done.iter().map(|&(start, end, _)| (start, end)).collect();
                Ok::<_, multiproc::Error>(span(times, times_of))
            };
            run().expect("all go well")
        })
        .run();
    Ok(())
}

fn copies(bench: &mut Bench) -> Result<()> {
    for (name, len) in [("64 KiB", 8 << 10), ("80 MB", ELEMENTS)] {
        let from = vec![1u64; len];
        let mut to = vec![0u64; len];
        let array = Array::from_slice(&from)?;
        let mut back = vec![0u64; len];
        bench
            .cell(&format!("copy {name}"), Unit::Gigabytes(len * 8))
            .side("memcpy", |n| {
                let start = os::now();
                (0..n).for_each(|_| black_box(&mut to[..]).copy_from_slice(black_box(&from)));
                Sample::new(n, os::now() - start)
            })
            .subject("Array::copy_from_slice", Goal::AtLeast(0.95), |n| {
                let start = os::now();
                (0..n).for_each(|_| array.copy_from_slice(black_box(&from)).expect("free"));
                Sample::new(n, os::now() - start)
            })
            .subject("Array::copy_to_slice", Goal::AtLeast(0.95), |n| {
                let start = os::now();
                (0..n).for_each(|_| array.copy_to_slice(black_box(&mut back)).expect("free"));
                Sample::new(n, os::now() - start)
            })
            .run();
    }
    Ok(())
}

/// Bytes without a lock, which are copied as words.
fn bytes(bench: &mut Bench) -> Result<()> {
    for (name, len) in [("64 KiB", 64 << 10), ("80 MB", 80_000_000)] {
        let from = vec![1u8; len];
        let (mut to, mut back) = (vec![0u8; len], vec![0u8; len]);
        let memory = SharedMemory::new(len)?;
        memory.write(0, &from)?;
        bench
            .cell(&format!("bytes, {name}"), Unit::Gigabytes(len))
            .side("memcpy", |n| {
                let start = os::now();
                (0..n).for_each(|_| black_box(&mut to[..]).copy_from_slice(black_box(&from)));
                Sample::new(n, os::now() - start)
            })
            .subject("SharedMemory::write", Goal::AtLeast(0.95), |n| {
                let start = os::now();
                (0..n).for_each(|_| memory.write(0, black_box(&from)).expect("in range"));
                Sample::new(n, os::now() - start)
            })
            .subject("SharedMemory::read", Goal::AtLeast(0.95), |n| {
                let start = os::now();
                (0..n).for_each(|_| memory.read(0, black_box(&mut back)).expect("in range"));
                Sample::new(n, os::now() - start)
            })
            .run();
    }
    Ok(())
}

fn making(bench: &mut Bench) -> Result<()> {
    let gib: usize = if bench.is_quick() { 1 << 20 } else { 1 << 30 };
    if !bench.wants("1 GiB made and attached") {
        return Ok(());
    }
    // How long it takes until the child has the array, and until it has none: what a start costs anyway.
    let attach = |array: Array<u8>| array.len();
    let nothing = || 0;
    let (mut made, mut attached, mut touched) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..3 {
        let start = os::now();
        let array: Array<u8> = Array::zeroed(gib)?;
        made.push((os::now() - start) as f64 / 1e3);
        let start = os::now();
        assert_eq!(Process::spawn(attach, (&array,))?.join()?, gib);
        let middle = os::now();
        assert_eq!(Process::spawn(nothing, ())?.join()?, 0);
        let end = os::now();
        attached.push((middle - start).saturating_sub(end - middle) as f64 / 1e3);
        let start = os::now();
        array.lock()?.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
        touched.push((os::now() - start) as f64 / 1e3);
    }
    bench.single("1 GiB made and attached", Unit::Microseconds, &made, "made, without touching it");
    bench.single("1 GiB attached", Unit::Microseconds, &attached, "beyond the start of a process");
    bench.single("1 GiB touched for the first time", Unit::Microseconds, &touched, "a byte a page");
    let mut anonymous = Vec::new();
    for _ in 0..3 {
        let mut map = memmap2::MmapMut::map_anon(gib)?;
        let start = os::now();
        map.iter_mut().step_by(4096).for_each(|byte| *byte = 1);
        anonymous.push((os::now() - start) as f64 / 1e3);
    }
    bench.single("the same of private memory", Unit::Microseconds, &anonymous, "the yardstick");
    Ok(())
}
