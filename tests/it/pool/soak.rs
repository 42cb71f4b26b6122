//! Random calls while a worker is killed every 100 ms: every result is right or a typed error, there are as many workers as asked
//! for, and neither memory nor descriptors grow. Ten minutes of it, with a line for what happened:
//!
//! ```text
//! MULTIPROC_SOAK=600 cargo test --release --test it random_calls_for_long -- --ignored --nocapture
//! ```

use super::{builder, kill, square};
use crate::common::{Chance, LONG, alone, descriptors, until, world_size};
use multiproc::{Error, Pool, Result};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A worker lives this long.
const LIFE: Duration = Duration::from_millis(100);

fn is_killed(error: &Error) -> bool {
    error.child().and_then(|child| child.signal()) == Some(9)
}

fn bytes(x: u64) -> Vec<u8> {
    vec![x as u8; x as usize * 1000]
}

/// What happened.
#[derive(Default)]
struct Counts {
    calls: AtomicU64,
    /// Results that were right, and those that were errors of a death.
    right: AtomicU64,
    lost: AtomicU64,
    kills: AtomicU64,
}

/// One more.
fn count(of: &AtomicU64) {
    of.fetch_add(1, Ordering::Relaxed);
}

/// One call of some kind, checked.
fn call(pool: &Pool, chance: &mut Chance, counts: &Counts) {
    let (most, chunk) = (chance.below(200), chance.below(20) as usize + 1);
    count(&counts.calls);
    // A value that is right, or an error that names the signal.
    fn check<R>(counts: &Counts, result: Result<R>, is_right: impl FnOnce(R) -> bool) {
        match result {
            Ok(found) => {
                assert!(is_right(found), "a result is wrong");
                count(&counts.right);
            }
            Err(error) => {
                assert!(is_killed(&error), "{error:?}");
                count(&counts.lost);
            }
        }
    }
    let squares = |found: Vec<u64>| found.into_iter().eq((0..most).map(square));
    match chance.below(7) {
        0 => check(counts, pool.map(square, 0..most), squares),
        1 => {
            let result = pool.chunk_size(chunk).map_async(square, 0..most).get_timeout(LONG);
            check(counts, result, squares);
        }
        2 => {
            let mut seen = 0;
            for (x, result) in (0..).zip(pool.chunk_size(chunk).imap(square, 0..most)) {
                seen += 1;
                check(counts, result, |found| found == square(x));
            }
            assert_eq!(seen, most);
        }
        3 => {
            // Given up half-way.
            let some = pool.imap_unordered(square, 0..).take(most as usize);
            some.for_each(|result| check(counts, result, |_| true));
        }
        4 => {
            // Short and long ones, some of which wait in shared memory; perhaps given up.
            let (lens, taken) = ((0..=most).step_by(8), chance.below(40) as usize);
            for (x, result) in lens.clone().zip(pool.imap(bytes, lens)).take(taken) {
                check(counts, result, |found| found == bytes(x));
            }
        }
        5 => {
            let result = pool.apply_async(bytes, (most,)).get_timeout(LONG);
            check(counts, result, |found| found == bytes(most));
        }
        _ => {
            let result = pool.apply(|bytes: Vec<u8>| bytes.len(), (bytes(most),));
            check(counts, result, |len| len == most as usize * 1000);
        }
    }
}

/// Calls from three threads, for so long.
fn calls(pool: &Pool, time: Duration, seed: u64, counts: &Counts) {
    let end = Instant::now() + time;
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..3)
            .map(|caller| {
                scope.spawn(move || {
                    let mut chance = Chance::new(seed + caller);
                    while Instant::now() < end {
                        call(pool, &mut chance, counts);
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
                    count(&counts.kills);
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

#[test]
#[ignore = "takes minutes: MULTIPROC_SOAK=600 cargo test --release --test it for_long -- --ignored --nocapture --test-threads=1"]
fn random_calls_for_long() {
    let seconds = std::env::var("MULTIPROC_SOAK").ok().and_then(|text| text.parse().ok());
    soak(seconds.unwrap_or(600));
}

fn soak(seconds: u64) {
    let pool = builder().retries(1).build().unwrap();
    calls(&pool, Duration::from_millis(300), 1, &Counts::default());
    let (descriptors_before, memory_before) = (descriptors().len(), world_size().1);
    let counts = Counts::default();
    calls(&pool, Duration::from_secs(seconds), 7, &counts);
    until("all workers are there", || pool.workers().len() == 2);
    // The descriptor of a child lives a moment longer than the child.
    until("descriptors are as many as before", || descriptors().len() <= descriptors_before + 1);
    until("shared memory is not more than before", || {
        world_size().1 <= 2 * memory_before + (8 << 20)
    });
    let Counts { calls, right, lost, kills } = counts;
    println!(
        "pool soak: {seconds} s, {calls:?} calls, {right:?} results right, {lost:?} lost, {kills:?} kills, descriptors \
         {descriptors_before} then {}, shared memory {memory_before} then {} bytes",
        descriptors().len(),
        world_size().1
    );
}
