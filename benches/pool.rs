//! A pool beside rayon, which has its threads in this process, beside the time that the tasks themselves take, and beside a pipe.
//!
//! Where the start is included, both make their pool, use it, and end it within the time measured.

mod common;

use std::hint::black_box;
use std::thread;
use std::time::Duration;

use common::{Bench, Fold, Goal, Sample, Unit, os};
use multiproc::{Connection, Pipe, Pool, Process, Result};
use rayon::ThreadPoolBuilder;
use rayon::prelude::*;

const WORKERS: usize = 2;
/// A result of this many bytes.
const LARGE: usize = 1 << 20;
/// So long that the other side sleeps.
const PAUSE: Duration = Duration::from_micros(500);

fn main() -> Result<()> {
    let mut bench = Bench::start("pool");
    tiny(&mut bench);
    one_millisecond(&mut bench);
    round_trip(&mut bench)?;
    large(&mut bench)?;
    starting(&mut bench);
    bench.finish();
    Ok(())
}

fn square(x: u64) -> u64 {
    x.wrapping_mul(x)
}

fn check(squares: &[u64], count: u64) {
    assert_eq!(squares.len() as u64, count);
    assert!((0..count).zip(squares).all(|(x, found)| square(x) == *found));
}

/// One of it, as it took.
fn timed(once: impl FnOnce()) -> Sample {
    let start = os::now();
    once();
    Sample::new(1, os::now() - start)
}

fn rayon() -> rayon::ThreadPool {
    ThreadPoolBuilder::new().num_threads(WORKERS).build().expect("threads start")
}

fn tiny(bench: &mut Bench) {
    let by_pool = |count, chunk: Option<usize>| {
        let pool = Pool::with_workers(WORKERS).expect("workers start");
        let squares = match chunk {
            None => pool.map(square, 0..count),
            Some(tasks) => pool.chunk_size(tasks).map(square, 0..count),
        };
        check(&squares.expect("no task fails"), count);
    };
    let by_rayon = |count: u64, most| {
        let squares: Vec<u64> = rayon().install(|| {
            (0..count as usize)
                .into_par_iter()
                .with_max_len(most)
                .map(|x| square(x as u64))
                .collect()
        });
        check(&squares, count);
    };
    bench
        .cell("map of 100,000 tiny tasks, 2 workers, start included", Unit::Microseconds)
        .fixed(100_000, 1000)
        .side("rayon, a task for each", |n| timed(|| by_rayon(n, 1)))
        .side("rayon, split as it likes", |n| timed(|| by_rayon(n, usize::MAX)))
        .subject("Pool", Goal::AtMost(4.0), |n| timed(|| by_pool(n, None)))
        .side("Pool, chunks of 100", |n| timed(|| by_pool(n, Some(100))))
        .run();
    let pool = Pool::with_workers(WORKERS).expect("workers start");
    bench
        .cell("map of 100,000 tiny tasks, 2 workers, started before", Unit::Microseconds)
        .fixed(100_000, 1000)
        .side("rayon, a task for each", |n| {
            let threads = rayon();
            timed(|| {
                let squares: Vec<u64> = threads.install(|| {
                    (0..n as usize)
                        .into_par_iter()
                        .with_max_len(1)
                        .map(|x| square(x as u64))
                        .collect()
                });
                check(&squares, n);
            })
        })
        .side("Pool", |n| timed(|| check(&pool.map(square, 0..n).expect("no task fails"), n)))
        .side("Pool, one at a time", |n| {
            timed(|| check(&pool.chunk_size(1).map(square, 0..n).expect("no task fails"), n))
        })
        .run();
}

/// A millisecond of work.
fn work(x: u64) -> u64 {
    os::pause(1_000_000);
    x
}

fn one_millisecond(bench: &mut Bench) {
    // What the tasks take, spread evenly, is all of the time if nothing is lost.
    let share = |count: u64, sample: Sample, elapsed: u64| {
        let ideal = count * 1_000_000 / WORKERS as u64;
        sample.note("of the ideal", ideal as f64 / elapsed as f64, "", Fold::Median)
    };
    let measure = |count, once: &dyn Fn(u64)| {
        let start = os::now();
        once(count);
        let elapsed = os::now() - start;
        share(count, Sample::new(1, elapsed), elapsed)
    };
    bench
        .cell("1,000 tasks of 1 ms, 2 workers, start included", Unit::Microseconds)
        .fixed(1000, 10)
        .side("rayon", move |n| {
            measure(n, &|n| {
                let done: Vec<u64> = rayon().install(|| (0..n).into_par_iter().map(work).collect());
                assert_eq!(done.len() as u64, n);
            })
        })
        .side("Pool", move |n| {
            measure(n, &|n| {
                let pool = Pool::with_workers(WORKERS).expect("workers start");
                let done = pool.map(work, 0..n).expect("no task fails");
                assert!(done.into_iter().eq(0..n));
            })
        })
        .bound("of the ideal", Goal::AtLeast(0.97))
        .run();
}

fn echo(mut end: Connection<u64, u64>) -> Result<()> {
    while let Ok(number) = end.recv() {
        end.send(number)?;
    }
    Ok(())
}

/// The times of calls before each of which the other side falls asleep.
fn asleep(count: u64, mut once: impl FnMut(u64)) -> Sample {
    let time = |number| {
        thread::sleep(PAUSE);
        let start = os::now();
        once(number);
        os::now() - start
    };
    Sample::of_each((0..count).map(time).collect())
}

fn round_trip(bench: &mut Bench) -> Result<()> {
    let (mut here, there) = Pipe::duplex::<u64, u64>()?;
    let child = Process::spawn(echo, (there,))?;
    let pool = Pool::with_workers(1)?;
    pool.apply(square, (3,))?;
    bench
        .cell("a round trip, the other side asleep", Unit::Microseconds)
        .fixed(400, 5)
        .side("Pipe", |n| {
            asleep(n, |number| {
                here.send(number).expect("the child is there");
                assert_eq!(here.recv().expect("the child answers"), number);
            })
        })
        .subject("Pool::apply", Goal::AtMost(2.5), |n| {
            asleep(n, |number| {
                assert_eq!(pool.apply(square, (number,)).expect("it is done"), square(number))
            })
        })
        .run();
    drop(here);
    child.join()?
}

fn large(bench: &mut Bench) -> Result<()> {
    let pool = Pool::with_workers(WORKERS)?;
    let (from, mut to) = (vec![1_u8; LARGE], vec![0_u8; LARGE]);
    bench
        .cell("1 GiB in pieces of 1 MiB", Unit::Gigabytes(LARGE))
        .fixed(1024, 4)
        .side("memcpy", |n| {
            let start = os::now();
            for _ in 0..n {
                black_box(&mut to).copy_from_slice(black_box(&from));
            }
            Sample::new(n, os::now() - start)
        })
        .subject("results of a Pool", Goal::AtLeast(0.5), |n| {
            let start = os::now();
            let make = |x: u64| vec![x as u8; LARGE];
            for (x, piece) in pool.imap(make, 0..n).enumerate() {
                let piece = piece.expect("it is made");
                assert!(piece.len() == LARGE && piece[LARGE / 2] == x as u8);
            }
            Sample::new(n, os::now() - start)
        })
        .run();
    Ok(())
}

fn starting(bench: &mut Bench) {
    let start = |workers: usize| {
        timed(|| {
            let pool = Pool::with_workers(workers).expect("workers start");
            pool.chunk_size(1).map(square, 0..workers as u64).expect("no task fails");
        })
    };
    bench
        .cell("start, use and end of a pool, for each worker", Unit::Microseconds)
        .fixed(1, 1)
        .side("2 workers", |_| start(2).for_each(2))
        .side("200 workers", |_| start(200).for_each(200))
        .run();
}
