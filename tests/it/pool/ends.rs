//! How pools end.

use super::{pool, sleep, square};
use crate::common::{LONG, alone, descriptors, kind, park, until};
use crate::watchdog::{descendants, watch};
use multiproc::{ErrorKind, Pool, Process, Result};
use std::sync::{Arc, LazyLock, mpsc};
use std::time::{Duration, Instant};

#[test]
fn a_dropped_pool_ends_at_once_whatever_its_workers_do() {
    let _watch = watch();
    let pool = pool();
    let results = [pool.apply_async(sleep, (60_000,)), pool.apply_async(sleep, (60_000,))];
    let before = Instant::now();
    drop(pool);
    assert!(before.elapsed() < Duration::from_secs(2), "{:?}", before.elapsed());
    for result in results {
        assert_eq!(kind(result.get()), ErrorKind::Closed);
    }
}

#[test]
fn a_closed_pool_does_what_it_has() {
    let _watch = watch();
    let pool = Pool::builder().workers(2).name("closing").build().unwrap();
    let result = pool.map_async(square, 0..1000);
    let open = pool.join().unwrap_err();
    let text =
        "pool \"closing\" is open: call close or terminate before join, or it would wait for ever";
    assert_eq!((open.kind(), open.to_string().as_str()), (ErrorKind::InvalidInput, text));
    pool.close();
    let closed = pool.apply(square, (1,)).unwrap_err();
    let text = "pool \"closing\" was closed and takes no more tasks: make another one";
    assert_eq!((closed.kind(), closed.to_string().as_str()), (ErrorKind::Closed, text));
    pool.join_timeout(LONG).unwrap();
    assert_eq!(result.get().unwrap().len(), 1000);
    assert!(pool.workers().is_empty());
}

#[test]
fn close_join_and_terminate_in_every_order() {
    let _watch = watch();
    let orders: [&[&str]; 8] = [
        &["close", "join"],
        &["close", "join", "close", "join", "terminate", "join"],
        &["terminate", "join"],
        &["terminate", "close", "join"],
        &["close", "terminate", "join", "join"],
        &["join", "close", "join"],
        &["terminate"],
        &["close"],
    ];
    for order in orders {
        let pool = pool();
        let task = pool.apply_async(sleep, (5,));
        for step in order {
            match *step {
                "close" => pool.close(),
                "terminate" => pool.terminate(),
                _ => match pool.join_timeout(LONG) {
                    Ok(()) => assert!(order[0] != "join" || pool.workers().is_empty()),
                    Err(error) => {
                        assert_eq!((order[0], error.kind()), ("join", ErrorKind::InvalidInput));
                    }
                },
            }
        }
        drop(pool);
        match task.get_timeout(LONG) {
            Ok(found) => assert_eq!(found, 5),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Closed),
        }
    }
}

#[test]
fn a_callback_may_use_and_end_the_pool_and_must_not_wait_for_it() {
    let _watch = watch();
    let pool = Arc::new(pool());
    let (sender, receiver) = mpsc::channel();
    let theirs = Arc::clone(&pool);
    let blocked = pool.apply_async(park, ());
    let result = pool.apply_async(square, (3,)).on_done(move |nine| {
        let next = theirs.apply_async(square, (*nine,));
        let waits =
            [kind(next.get()), kind(theirs.apply(square, (1,))), kind(theirs.map(square, 0..3))];
        theirs.terminate();
        sender.send((waits, kind(theirs.join()))).unwrap();
    });
    assert_eq!(result.get_timeout(LONG).unwrap(), 9);
    let deadlock = ErrorKind::Deadlock;
    assert_eq!(receiver.recv().unwrap(), ([deadlock; 3], deadlock));
    assert_eq!(kind(blocked.get_timeout(LONG)), ErrorKind::Closed);
    pool.join_timeout(LONG).unwrap();
}

#[test]
fn a_pool_dropped_in_its_own_callback_ends() {
    let _watch = watch();
    let pool = pool();
    let (sender, receiver) = mpsc::channel();
    let result =
        pool.apply_async(sleep, (30,)).on_error(move |error| sender.send(error.kind()).unwrap());
    // The callback has the last handle.
    let kept = Arc::new(std::sync::Mutex::new(None));
    let theirs = Arc::clone(&kept);
    let quick = pool.apply_async(square, (2,)).on_done(move |_| {
        until("the pool is handed over", || theirs.lock().unwrap().is_some());
        drop(theirs.lock().unwrap().take());
    });
    *kept.lock().unwrap() = Some(pool);
    assert_eq!(quick.get_timeout(LONG).unwrap(), 4);
    match receiver.recv_timeout(LONG) {
        Ok(error) => assert_eq!(error, ErrorKind::Closed),
        Err(_) => assert_eq!(result.get_timeout(LONG).unwrap(), 30),
    }
}

#[test]
fn a_pool_leaves_nothing_behind() {
    alone(|| {
        let round = || {
            let pool = pool();
            pool.map(square, 0..100).unwrap();
            let first = pool.imap(square, 0..).next().unwrap().unwrap();
            assert_eq!(first, 0);
        };
        round();
        let before = descriptors().len();
        for _ in 0..10 {
            round();
        }
        until("descriptors are closed", || descriptors().len() <= before);
        until("processes are gone", || descendants().is_empty());
    });
}

#[test]
fn a_pool_in_a_static_ends_with_its_program() {
    static POOL: LazyLock<Pool> = LazyLock::new(|| Pool::with_workers(2).unwrap());
    let _watch = watch();
    let work = || -> Result<u64> {
        let squares = POOL.map(square, 0..4)?;
        Ok(squares.iter().sum())
    };
    let before = Instant::now();
    assert_eq!(Process::spawn(work, ()).unwrap().join().unwrap().unwrap(), 14);
    assert!(before.elapsed() < Duration::from_secs(5), "{:?}", before.elapsed());
}

#[test]
fn a_pool_inside_a_worker_works_and_ends_with_it() {
    let _watch = watch();
    let pool = pool();
    let nested = |n: u64| -> Result<u64> {
        let inner = Pool::with_workers(2)?;
        Ok(inner.map(square, 0..n)?.iter().sum())
    };
    assert_eq!(pool.apply(nested, (4,)).unwrap().unwrap(), 14);
    let dies = || {
        let inner = Pool::with_workers(2).unwrap();
        let _busy = inner.apply_async(park, ());
        super::kill(std::process::id());
        park();
    };
    let error = pool.apply(dies, ()).unwrap_err();
    assert_eq!(error.child().unwrap().signal(), Some(9));
}
