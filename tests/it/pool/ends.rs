//! How pools end.

use super::{pool, sleep, square};
use crate::common::{LONG, kind};
use crate::watchdog::watch;
use multiproc::ErrorKind;
use std::time::Instant;

#[test]
fn a_dropped_pool_ends_at_once_whatever_its_workers_do() {
    let _watch = watch();
    let pool = pool();
    let results = [pool.apply_async(sleep, (60_000,)), pool.apply_async(sleep, (60_000,))];
    let before = Instant::now();
    drop(pool);
    assert!(before.elapsed() < LONG / 10, "{:?}", before.elapsed());
    for result in results {
        assert_eq!(kind(result.get()), ErrorKind::Closed);
    }
}

#[test]
fn a_closed_pool_does_what_it_has() {
    let _watch = watch();
    let pool = pool();
    let result = pool.map_async(square, 0..1000);
    assert_eq!(kind(pool.join()), ErrorKind::InvalidInput);
    pool.close();
    assert_eq!(kind(pool.apply(square, (1,))), ErrorKind::Closed);
    pool.join_timeout(LONG).unwrap();
    assert_eq!(result.get().unwrap().len(), 1000);
    assert!(pool.workers().is_empty());
}
