//! Calls and their results.

use super::{builder, pool, sleep, square};
use crate::common::{LONG, kind};
use crate::watchdog::watch;
use multiproc::{ErrorKind, Pool, Result};
use std::time::Duration;

#[test]
fn every_call_brings_the_results_of_its_tasks_in_their_order() {
    let _watch = watch();
    let pool = pool();
    let expected: Vec<u64> = (0..100).map(square).collect();
    assert_eq!(pool.apply(square, (12,)).unwrap(), 144);
    assert_eq!(pool.map(square, 0..100).unwrap(), expected);
    assert_eq!(pool.chunk_size(7).map(square, 0..100).unwrap(), expected);
    assert_eq!(pool.map_async(square, 0..100).get_timeout(LONG).unwrap(), expected);
    let pairs = (0..100).map(|x| (x, 2));
    let power = |x: u64, n: u32| x.pow(n);
    assert_eq!(pool.starmap(power, pairs.clone()).unwrap(), expected);
    assert_eq!(pool.starmap_async(power, pairs).get().unwrap(), expected);
    assert_eq!(pool.imap(square, 0..100).collect::<Result<Vec<_>>>().unwrap(), expected);
    let mut unordered: Vec<u64> = pool.imap_unordered(square, 0..100).map(Result::unwrap).collect();
    unordered.sort();
    assert_eq!(unordered, expected);
    let chunked = pool.chunk_size(9).imap(square, 0..100);
    assert_eq!(chunked.collect::<Result<Vec<_>>>().unwrap(), expected);
}

#[test]
fn nothing_gives_nothing() {
    let _watch = watch();
    let pool = pool();
    assert!(pool.map(square, [0_u64; 0]).unwrap().is_empty());
    assert!(pool.map_async(square, [0_u64; 0]).get().unwrap().is_empty());
    assert!(pool.imap(square, [0_u64; 0]).next().is_none());
    assert!(pool.imap_unordered(square, [0_u64; 0]).next().is_none());
    let none: [(u64,); 0] = [];
    assert!(pool.starmap(square, none).unwrap().is_empty());
}

#[test]
fn uneven_tasks_keep_all_workers_busy() {
    let _watch = watch();
    let pool = pool();
    // One worker has the long task; the other does all else.
    let times = [300].into_iter().chain([3; 40]);
    let before = std::time::Instant::now();
    assert_eq!(pool.chunk_size(1).map(sleep, times).unwrap().len(), 41);
    assert!(before.elapsed() < Duration::from_millis(420), "{:?}", before.elapsed());
}

#[test]
fn workers_are_described() {
    let _watch = watch();
    let pool = Pool::builder().workers(3).name("describe").build().unwrap();
    pool.map(square, 0..30).unwrap();
    let workers = pool.workers();
    assert_eq!(workers.len(), 3);
    assert_eq!(workers.iter().map(|worker| worker.tasks_done()).sum::<u64>(), 30);
    let name = pool.apply(|| multiproc::current_process().name().to_owned(), ()).unwrap();
    assert!(workers.iter().any(|worker| worker.name() == name), "{name}");
    let comm = std::fs::read_to_string(format!("/proc/{}/comm", workers[0].id())).unwrap();
    assert_eq!(comm, format!("{}\n", workers[0].name()));
}

#[test]
fn a_result_is_taken_once() {
    let _watch = watch();
    let pool = pool();
    let result = pool.apply_async(sleep, (30,));
    assert!(!result.is_ready() && !result.is_successful());
    assert_eq!(kind(result.try_get()), ErrorKind::Empty);
    assert_eq!(kind(result.get_timeout(Duration::from_millis(1))), ErrorKind::Timeout);
    assert!(!result.wait_timeout(Duration::from_millis(1)).unwrap());
    result.wait().unwrap();
    assert!(result.is_ready() && result.is_successful());
    assert_eq!(result.get().unwrap(), 30);
    let again = result.get().unwrap_err();
    assert_eq!(again.to_string(), "the result of this task was taken already: get gives it once");
    let _ = builder();
}
