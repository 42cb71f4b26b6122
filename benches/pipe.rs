//! `Pipe` between processes, beside `rtrb` between threads, one bare cache line, and a bare futex in shared memory.
//!
//! - Round trips: 64 bytes go back and forth. Awake, beside one cache line that two processes write in turns. Asleep, each side
//!   pauses for 200 us before it sends, so that the other one sleeps by then. On one processor, both are pinned to the same.
//! - One way: messages are numbered; what was received must be what was sent, in count, order and sum.
//!
//! All are pinned to two processors where nothing else is said.

mod common;

#[path = "pipe/one_way.rs"]
mod one_way;
#[path = "pipe/round_trip.rs"]
mod round_trip;

use common::turns::{asleep, awake, together};
use common::{Bench, Goal, Unit};
use multiproc::Result;

fn main() -> Result<()> {
    let mut bench = Bench::start("pipe");
    round_trips(&mut bench);
    one_way::check()?;
    bench
        .cell("pipe, send and receive alone, 64 B, one thread", Unit::Nanoseconds)
        .side("rtrb(1024)", one_way::alone_by_rtrb)
        .side("Pipe in place", one_way::alone)
        .run();
    sized::<64>(&mut bench, Goal::AtLeast(0.7));
    sized::<8>(&mut bench, Goal::AtLeast(0.5));
    bench
        .cell("pipe, one way, 64 B in batches of 16", Unit::Millions)
        .side("rtrb(1024), threads", one_way::by_rtrb::<64>)
        .subject("Pipe, processes", Goal::AtLeast(1.4), |n| {
            one_way::in_batches(n).expect("all go well")
        })
        .run();
    bench
        .cell("pipe, one way, struct by serde", Unit::Millions)
        .side("rtrb(1024) with postcard, threads", one_way::records_by_rtrb)
        .subject("Pipe, processes", Goal::AtLeast(0.9), |n| {
            one_way::records(n).expect("all go well")
        })
        .run();
    for size in [64 << 10, 1 << 20] {
        let name = format!("pipe, one way, {} KiB", size >> 10);
        bench
            .cell(&name, Unit::Gigabytes(size))
            .at_most((1 << 30) / size as u64)
            .side("system's pipe, processes", move |n| {
                one_way::by_system(size, n).expect("all go well")
            })
            .side("Pipe into a buffer, processes", move |n| {
                one_way::by_buffer(size, n).expect("all go well")
            })
            .side("Pipe in place, processes", move |n| {
                one_way::in_place(size, n).expect("all go well")
            })
            .run();
    }
    bench.finish();
    Ok(())
}

fn sized<const SIZE: usize>(bench: &mut Bench, goal: Goal) {
    bench
        .cell(&format!("pipe, one way, {SIZE} B"), Unit::Millions)
        .side("rtrb(1024), threads", one_way::by_rtrb::<SIZE>)
        .subject("Pipe in place, processes", goal, |n| {
            one_way::small::<SIZE>(n).expect("all go well")
        })
        .run();
}

fn round_trips(bench: &mut Bench) {
    use round_trip::{balls, futexes, pipes};
    bench
        .cell("pipe, round trip, 64 B, awake", Unit::Nanoseconds)
        .side("bare cache line, processes", |n| awake(n, balls).expect("all go well"))
        .subject("Pipe, processes", Goal::AtMost(1.8), |n| awake(n, pipes).expect("all go well"))
        .run();
    bench
        .cell("pipe, send to received, 64 B, asleep", Unit::Microseconds)
        .fixed(250, 5)
        .side("bare futex, processes", |n| asleep(n, futexes).expect("all go well"))
        .subject("Pipe, processes", Goal::AtMost(1.15), |n| asleep(n, pipes).expect("all go well"))
        .run();
    bench
        .cell("pipe, round trip, 64 B, one processor", Unit::Microseconds)
        .side("bare futex, processes", |n| together(n, futexes).expect("all go well"))
        .subject("Pipe, processes", Goal::AtMost(1.15), |n| {
            together(n, pipes).expect("all go well")
        })
        .run();
}
