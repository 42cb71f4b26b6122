//! Random calls while a worker is killed every 100 ms: every result is right or a typed error, there are as many workers as asked
//! for, and neither memory nor descriptors grow. Ten minutes of it:
//! `MULTIPROC_SOAK=600 cargo test --test it pool::soak -- --ignored`.

use super::{builder, kill, square};
use crate::common::{Chance, LONG, alone, descriptors, until, world_size};
use multiproc::{Error, Pool, Result};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A worker lives this long.
const LIFE: Duration = Duration::from_millis(100);

fn is_killed(error: &Error) -> bool {
    error.child().and_then(|child| child.signal()) == Some(9)
}

fn bytes(x: u64) -> Vec<u8> {
    vec![x as u8; x as usize * 1000]
}

/// One call of some kind, checked.
fn call(pool: &Pool, chance: &mut Chance) {
    let (count, chunk) = (chance.below(200), chance.below(20) as usize + 1);
    let check = |result: Result<Vec<u64>>| match result {
        Ok(found) => assert!(found.into_iter().eq((0..count).map(square))),
        Err(error) => assert!(is_killed(&error), "{error:?}"),
    };
    match chance.below(6) {
        0 => check(pool.map(square, 0..count)),
        1 => check(pool.chunk_size(chunk).map_async(square, 0..count).get_timeout(LONG)),
        2 => {
            let mut seen = 0;
            for (x, result) in (0..).zip(pool.chunk_size(chunk).imap(square, 0..count)) {
                seen += 1;
                assert!(result.as_ref().map_or_else(is_killed, |found| *found == square(x)));
            }
            assert_eq!(seen, count);
        }
        3 => {
            // Given up half-way.
            let some = pool.imap_unordered(square, 0..).take(count as usize);
            some.for_each(|result| assert!(result.as_ref().map_or_else(is_killed, |_| true)));
        }
        4 => match pool.apply_async(bytes, (count,)).get_timeout(LONG) {
            Ok(found) => assert_eq!(found, bytes(count)),
            Err(error) => assert!(is_killed(&error), "{error:?}"),
        },
        _ => match pool.apply(|bytes: Vec<u8>| bytes.len(), (bytes(count),)) {
            Ok(len) => assert_eq!(len, count as usize * 1000),
            Err(error) => assert!(is_killed(&error), "{error:?}"),
        },
    }
}

/// Calls from three threads, for so long.
fn calls(pool: &Pool, time: Duration, seed: u64) {
    let end = Instant::now() + time;
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..3)
            .map(|caller| {
                scope.spawn(move || {
                    let mut chance = Chance::new(seed + caller);
                    while Instant::now() < end {
                        call(pool, &mut chance);
                    }
                })
            })
            .collect();
        scope.spawn(|| {
            let mut chance = Chance::new(seed + 99);
            while !is_over.load(Ordering::Relaxed) {
                std::thread::sleep(LIFE);
                let workers = pool.workers();
                if !workers.is_empty() {
                    kill(workers[chance.below(workers.len() as u64) as usize].id());
                }
            }
        });
        let results: Vec<_> = callers.into_iter().map(|caller| caller.join()).collect();
        is_over.store(true, Ordering::Relaxed);
        results.into_iter().for_each(|result| result.expect("no result is wrong"));
    });
}

#[test]
fn random_calls_while_workers_are_killed() {
    alone(|| soak(2));
}

/// `MULTIPROC_SOAK=600 cargo test --release --test it random_calls_for_long -- --ignored --nocapture`
#[test]
#[ignore = "takes as many seconds as MULTIPROC_SOAK says, and has this process for itself"]
fn random_calls_for_long() {
    let seconds = std::env::var("MULTIPROC_SOAK").ok().and_then(|text| text.parse().ok());
    soak(seconds.unwrap_or(600));
}

fn soak(seconds: u64) {
    let pool = builder().retries(1).build().unwrap();
    calls(&pool, Duration::from_millis(300), 1);
    let (descriptors_before, memory_before) = (descriptors().len(), world_size().1);
    calls(&pool, Duration::from_secs(seconds), 7);
    until("all workers are there", || pool.workers().len() == 2);
    // The descriptor of a child lives a moment longer than the child.
    until("descriptors are as many as before", || descriptors().len() <= descriptors_before + 1);
    until("shared memory is not more than before", || {
        world_size().1 <= 2 * memory_before + (8 << 20)
    });
}
