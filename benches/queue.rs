//! `Queue` between processes, beside crossbeam's queue and channel between threads, `Pipe`, and pipes between processes.
//!
//! - One way: putters number their messages, getters get until every putter is gone; what was got must be what was put, in
//!   count and in the sum of the numbers. Before each cell the subject carries messages whose every byte and whose order
//!   are checked. `ArrayQueue` never sleeps: its threads try some times and then give the processor away, again and again.
//! - In place: the number is written where the message stands, by `put_with`, and read there, by `get_with`.
//! - Round trips: one message goes back and forth; each answer must be to the last question. Awake both sides spin where
//!   the transport does; asleep each side pauses for 200 us before it sends, so that the other one sleeps by then, and
//!   the time from sending to having received is taken.
//!
//! Cells of one putter and one getter, and round trips, are pinned to two processors; those of more are not.

mod common;

#[path = "queue/one_way.rs"]
mod one_way;
#[path = "pipe/round_trip.rs"]
mod pipe;
#[path = "queue/round_trip.rs"]
mod round_trip;

use common::turns::{asleep, awake, together};
use common::{Bench, Fold, Goal, Sample, Unit, os, team};
use multiproc::{Queue, Result};
use one_way::{Limit, Number, Order, Shape};
use std::hint::black_box;

/// The limit of bounded queues and channels.
const BOUND: usize = 16384;
/// That of large messages, which would fill the memory otherwise.
const LARGE_BOUND: usize = 64;
/// No run puts more bytes than this: all may be in an unbounded queue at once.
const MOST_BYTES: usize = 256 << 20;

fn main() -> Result<()> {
    let mut bench = Bench::start("queue");
    alone(&mut bench)?;

    sized::<8>(&mut bench, Shape::ONE_TO_ONE, None)?;
    sized::<64>(&mut bench, Shape::ONE_TO_ONE, Some(Goal::AtLeast(0.9)))?;
    sized::<1024>(&mut bench, Shape::ONE_TO_ONE, None)?;
    large(&mut bench)?;
    in_place(&mut bench)?;
    typed::<Number>(&mut bench, "u64")?;
    typed::<Order>(&mut bench, "struct of 6 fields by serde")?;
    for (putters, getters, least) in
        [(2, 1, 1.0), (4, 1, 1.0), (2, 2, 1.2), (4, 4, 1.2), (8, 8, 1.2), (1, 4, 1.2)]
    {
        sized::<64>(&mut bench, Shape { putters, getters }, Some(Goal::AtLeast(least)))?;
    }

    round_trips(&mut bench);
    bench.finish();
    Ok(())
}

/// Puts so many, then gets them, again and again.
const BATCH: u64 = 256;

fn alone(bench: &mut Bench) -> Result<()> {
    let (sender, receiver) = crossbeam_channel::bounded::<[u8; 64]>(BOUND);
    let unbounded = Queue::<u64>::new()?;
    let bounded = Queue::<u64>::bounded(BOUND)?;
    let batches = |n: u64, put: &(dyn Fn(&[u8; 64]) + Sync), get: &(dyn Fn() -> u64 + Sync)| {
        team::alone(|| {
            let (mut put_ns, mut get_ns, mut sum) = (0, 0, 0);
            let mut message = [7; 64];
            let batches = n.div_ceil(BATCH);
            for batch in 0..batches {
                let start = os::now();
                for number in 0..BATCH {
                    one_way::set_number(&mut message, batch + number);
                    put(black_box(&message));
                }
                let middle = os::now();
                for number in 0..BATCH {
                    sum += u64::from(get() == batch + number);
                }
                put_ns += middle - start;
                get_ns += os::now() - middle;
            }
            let count = batches * BATCH;
            assert_eq!(sum, count, "something else was got than was put");
            Sample::new(count, put_ns + get_ns)
                .note("put", put_ns as f64 / count as f64, "ns", Fold::Median)
                .note("get", get_ns as f64 / count as f64, "ns", Fold::Median)
        })
    };
    let by = |queue: &Queue<u64>, n| {
        let put = |message: &[u8; 64]| queue.put_bytes(message).expect("there is room");
        let get = || queue.get_with(|bytes| one_way::number(black_box(bytes)));
        batches(n, &put, &|| get().expect("there is a message"))
    };
    bench
        .cell("put and get alone, 64 B, one thread", Unit::Nanoseconds)
        .side("crossbeam bounded(16384)", |n| {
            let put = |message: &[u8; 64]| sender.send(*message).expect("there is room");
            let get = || receiver.recv().map(|message| one_way::number(black_box(&message)));
            batches(n, &put, &|| get().expect("there is a message"))
        })
        .side("Queue::new", |n| by(&unbounded, n))
        .side("Queue::bounded(16384)", |n| by(&bounded, n))
        .run();
    Ok(())
}

fn sized<const SIZE: usize>(bench: &mut Bench, shape: Shape, goal: Option<Goal>) -> Result<()> {
    let name = format!("one way, {SIZE} B, {}-{}", shape.putters, shape.getters);
    let number_it = |message: &mut [u8; SIZE], number| {
        one_way::set_number(message, number);
        *message
    };
    let mut cell = bench
        .cell(&name, Unit::Millions)
        .at_most((MOST_BYTES / SIZE) as u64)
        .side("ArrayQueue(16384) polled, threads", |n| {
            one_way::by_array(shape, BOUND, n, [7; SIZE], number_it)
        })
        .side("crossbeam bounded(16384), threads", |n| {
            one_way::by_crossbeam(shape, BOUND, n, [7; SIZE], number_it)
        });
    if !cell.is_wanted() {
        return Ok(());
    }
    if shape == Shape::ONE_TO_ONE {
        cell = cell.side("pipe, processes", |n| one_way::by_pipe(SIZE, n).expect("all go well"));
    }
    for (name, limit) in [("Queue::new", None), ("Queue::bounded(16384)", Some(BOUND))] {
        one_way::check(shape, limit, SIZE)?;
        let run = move |n| one_way::by_queue(shape, limit, SIZE, n).expect("all go well");
        let name = format!("{name}, processes");
        cell = match goal {
            Some(goal) => cell.subject(&name, goal, run),
            None => cell.side(&name, run),
        };
    }
    cell.run();
    Ok(())
}

fn large(bench: &mut Bench) -> Result<()> {
    const SIZE: usize = 64 << 10;
    let shape = Shape::ONE_TO_ONE;
    let mut cell = bench
        .cell("one way, 64 KiB, 1-1", Unit::Gigabytes(SIZE))
        .at_most((MOST_BYTES / SIZE) as u64)
        .side("crossbeam bounded(64), copied once, threads", |n| {
            let message = vec![7; SIZE];
            one_way::by_crossbeam(shape, LARGE_BOUND, n, message, |message, number| {
                one_way::set_number(message, number);
                message.clone()
            })
        })
        .side("pipe, processes", |n| one_way::by_pipe(SIZE, n).expect("all go well"));
    if !cell.is_wanted() {
        return Ok(());
    }
    for (name, limit) in [("Queue::new", None), ("Queue::bounded(64)", Some(LARGE_BOUND))] {
        one_way::check(shape, limit, SIZE)?;
        cell = cell.side(&format!("{name}, processes"), move |n| {
            one_way::by_queue(shape, limit, SIZE, n).expect("all go well")
        });
    }
    cell.run();
    Ok(())
}

/// Whose cost should not depend on the size.
fn in_place(bench: &mut Bench) -> Result<()> {
    for size in [64 << 10, 1 << 20] {
        bench
            .cell(&format!("one way in place, {} KiB, 1-1", size >> 10), Unit::Nanoseconds)
            .at_most((1 << 30) / size as u64)
            .side("Queue by copies, processes", move |n| {
                one_way::by_queue(Shape::ONE_TO_ONE, Some(LARGE_BOUND), size, n)
                    .expect("all go well")
            })
            .side("Queue in place, processes", move |n| {
                one_way::in_place(LARGE_BOUND, size, n).expect("all go well")
            })
            .run();
    }
    Ok(())
}

fn typed<T: one_way::Record>(bench: &mut Bench, name: &str) -> Result<()> {
    let shape = Shape::ONE_TO_ONE;
    let run = |limit: Limit| move |n| one_way::typed::<T>(limit, n, false).expect("all go well");
    let cell = bench.cell(&format!("one way, {name}, 1-1"), Unit::Millions).at_most(1 << 21);
    if !cell.is_wanted() {
        return Ok(());
    }
    for limit in [None, Some(BOUND)] {
        one_way::typed::<T>(limit, one_way::CHECKED, true)?;
    }
    cell.side("crossbeam bounded(16384), threads", |n| {
        one_way::by_crossbeam(shape, BOUND, n, T::sample(), |message, number| {
            message.set_number(number);
            message.clone()
        })
    })
    .side("Queue::new, processes", run(None))
    .side("Queue::bounded(16384), processes", run(Some(BOUND)))
    .run();
    Ok(())
}

fn round_trips(bench: &mut Bench) {
    use pipe::{balls, futexes, pipes};
    use round_trip::{by_channel, by_pipes, by_queues, queues};
    bench
        .cell("queue, round trip, 64 B, awake", Unit::Nanoseconds)
        .side("Pipe, processes", |n| awake(n, pipes).expect("all go well"))
        .side("bare cache line, processes", |n| awake(n, balls).expect("all go well"))
        .subject("Queue::new, processes", Goal::AtMost(1.5), |n| {
            awake(n, queues).expect("all go well")
        })
        .run();
    bench
        .cell("queue, put to got, 64 B, asleep", Unit::Microseconds)
        .fixed(250, 5)
        .side("bare futex, processes", |n| asleep(n, futexes).expect("all go well"))
        .subject("Queue::new, processes", Goal::AtMost(1.15), |n| {
            asleep(n, queues).expect("all go well")
        })
        .run();
    bench
        .cell("queue, round trip, 64 B, one processor", Unit::Microseconds)
        .side("bare futex, processes", |n| together(n, futexes).expect("all go well"))
        .side("Pipe, processes", |n| together(n, pipes).expect("all go well"))
        .subject("Queue::new, processes", Goal::AtMost(1.3), |n| {
            together(n, queues).expect("all go well")
        })
        .run();
    bench
        .cell("round trip, 64 B, awake", Unit::Nanoseconds)
        .side("crossbeam bounded(16384), threads", |n| {
            let make = || crossbeam_channel::bounded(BOUND);
            round_trip::awake(by_channel(n, 0, [make(), make()]))
        })
        .side("std::sync::mpsc, threads", |n| {
            round_trip::awake(by_channel(
                n,
                0,
                [std::sync::mpsc::channel(), std::sync::mpsc::channel()],
            ))
        })
        .side("pipes, processes", |n| round_trip::awake(by_pipes(n, 0).expect("all go well")))
        .side("Queue::new, processes", |n| round_trip::awake(by_queues(n, 0).expect("all go well")))
        .run();
    let pause = round_trip::PAUSE;
    bench
        .cell("put to got, 64 B, asleep", Unit::Microseconds)
        .fixed(250, 5)
        .side("pipes, processes", |n| round_trip::asleep(by_pipes(n, pause).expect("all go well")))
        .side("std::sync::mpsc, threads", |n| {
            let channels = [std::sync::mpsc::channel(), std::sync::mpsc::channel()];
            round_trip::asleep(by_channel(n, pause, channels))
        })
        .side("crossbeam bounded(16384), threads", |n| {
            let make = || crossbeam_channel::bounded(BOUND);
            round_trip::asleep(by_channel(n, pause, [make(), make()]))
        })
        .side("Queue::new, processes", |n| {
            round_trip::asleep(by_queues(n, pause).expect("all go well"))
        })
        .run();
}
