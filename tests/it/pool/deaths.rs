//! Workers that die, tasks that fail.

use super::{builder, pool, square};
use crate::common::{LONG, until};
use crate::watchdog::watch;
use multiproc::{Pool, Result};

fn dies_at_seven(x: u64) -> u64 {
    if x == 7 {
        std::process::abort();
    }
    x * x
}

#[test]
fn the_other_tasks_of_a_chunk_are_done() {
    let _watch = watch();
    let pool = pool();
    let results: Vec<Result<u64>> = pool.chunk_size(20).imap(dies_at_seven, 0..20).collect();
    for (at, result) in results.iter().enumerate() {
        match result {
            Ok(found) => assert_eq!(*found, square(at as u64)),
            Err(error) => {
                assert_eq!(at, 7);
                assert_eq!(error.child().unwrap().signal(), Some(6), "{error}");
            }
        }
    }
    assert_eq!(results.iter().filter(|result| result.is_err()).count(), 1);
    until("the worker is replaced", || pool.workers().len() == 2);
    assert_eq!(pool.map(square, 0..3).unwrap(), [0, 1, 4]);
}

#[test]
fn idle_workers_that_are_killed_are_replaced() {
    let _watch = watch();
    let pool = pool();
    for round in 0..100 {
        for worker in pool.workers() {
            let _ = nix::sys::signal::kill(
                nix::unistd::Pid::from_raw(worker.id() as i32),
                nix::sys::signal::Signal::SIGKILL,
            );
        }
        let result = pool.apply_async(square, (round,));
        match result.get_timeout(LONG) {
            Ok(found) => assert_eq!(found, square(round)),
            Err(error) => assert!(error.child().is_some(), "{error}"),
        }
    }
    let _ = (builder(), Pool::builder());
}
