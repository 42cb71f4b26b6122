//! Workers that die and tasks that fail: each costs its own result, and no other.

use super::{builder, kill, pool, square};
use crate::common::{Chance, LONG, kind, park, quiet, until};
use crate::watchdog::watch;
use multiproc::{ErrorKind, Pool, Process, Queue, Result};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

fn bad_at_seven(x: u64, how: String) -> u64 {
    if x == 7 {
        match how.as_str() {
            "exits" => std::process::exit(3),
            "exits in order" => std::process::exit(0),
            "aborts" => std::process::abort(),
            "is killed" => kill(std::process::id()),
            _ => panic!("seven is {how}"),
        }
        park();
    }
    x * x
}

#[test]
fn a_task_that_ends_its_worker_costs_its_own_result() {
    let _watch = watch();
    let pool = pool();
    for (how, code, signal) in [
        ("exits", Some(3), None),
        ("exits in order", Some(0), None),
        ("aborts", None, Some(6)),
        ("is killed", None, Some(9)),
    ] {
        let tasks: Vec<_> =
            (0..20).map(|x: u64| pool.apply_async(bad_at_seven, (x, how))).collect();
        for (x, task) in (0..20).zip(tasks) {
            match task.get_timeout(LONG) {
                Ok(found) => assert_eq!(found, square(x)),
                Err(error) => {
                    let child = error.child().unwrap_or_else(|| panic!("{how}: {error}"));
                    assert_eq!(
                        (x, child.exit_code(), child.signal()),
                        (7, code, signal),
                        "{error}"
                    );
                    assert!(child.name().starts_with(pool.name()), "{error}");
                }
            }
        }
        until("the worker is replaced", || pool.workers().len() == 2);
    }
}

#[test]
fn the_other_tasks_of_a_chunk_are_done() {
    let _watch = watch();
    let pool = pool();
    let dies = |x: u64| bad_at_seven(x, "aborts".to_owned());
    let results: Vec<Result<u64>> = pool.chunk_size(20).imap(dies, 0..20).collect();
    for (x, result) in (0..).zip(&results) {
        match result {
            Ok(found) => assert_eq!(*found, square(x)),
            Err(error) => assert_eq!((x, error.child().unwrap().signal()), (7, Some(6))),
        }
    }
    assert_eq!(results.iter().filter(|result| result.is_err()).count(), 1);
}

#[test]
fn map_gives_the_first_error_after_all_tasks_were_tried() {
    let _watch = watch();
    let pool = pool();
    let ran = Queue::<u64>::new().unwrap();
    let work = |x: u64, ran: Queue<u64>| {
        ran.put(x).unwrap();
        if x % 10 == 3 {
            std::process::exit(x as i32);
        }
    };
    let tasks: Vec<_> = (0..40).map(|x: u64| (x, &ran)).collect();
    let error = pool.starmap(work, tasks).unwrap_err();
    assert_eq!(error.child().unwrap().exit_code(), Some(3), "{error}");
    let mut ran: Vec<u64> = ran.try_iter().map(Result::unwrap).collect();
    ran.sort();
    assert_eq!(ran, (0..40).collect::<Vec<_>>());
}

#[test]
fn a_panic_is_the_error_of_its_task_and_the_worker_goes_on() {
    let _watch = watch();
    // In a process whose standard error goes nowhere.
    let work = || -> Result<()> {
        let pool = Pool::with_workers(1)?;
        let before = pool.workers()[0].id();
        let error = pool.apply(bad_at_seven, (7, "unlucky")).unwrap_err();
        let child = error.child().unwrap();
        assert_eq!(child.message(), Some("seven is unlucky"));
        assert!(child.location().unwrap().contains("deaths.rs"), "{error}");
        assert_eq!(child.pid(), before);
        assert_eq!(pool.apply(std::process::id, ())?, before);
        Ok(())
    };
    quiet().spawn(work, ()).unwrap().join().unwrap().unwrap();
}

#[test]
fn a_task_that_never_returns_costs_its_worker_and_itself() {
    let _watch = watch();
    let pool = builder().task_timeout(Duration::from_millis(100)).name("patient").build().unwrap();
    let work = |x: u64| {
        if x == 3 {
            park();
        }
        x
    };
    let results: Vec<Result<u64>> = pool.chunk_size(8).imap(work, 0..16).collect();
    for (x, result) in (0..).zip(results) {
        match result {
            Ok(found) => assert_eq!(found, x),
            Err(error) => {
                assert_eq!((x, error.kind()), (3, ErrorKind::Timeout));
                let text = "a task took longer than the 100ms that pool \"patient\" gives it: its worker was killed";
                assert_eq!(error.to_string(), text);
            }
        }
    }
    until("the worker is replaced", || pool.workers().len() == 2);
    assert_eq!(pool.map(square, 0..3).unwrap(), [0, 1, 4]);
}

#[test]
fn a_lost_task_is_run_again_as_often_as_asked() {
    let _watch = watch();
    let pool = builder().retries(3).build().unwrap();
    let (tries, work) = (Queue::<u64>::new().unwrap(), |enough: usize, tries: Queue<u64>| {
        tries.put(0).unwrap();
        if tries.len() < enough {
            std::process::abort();
        }
        tries.len()
    });
    assert_eq!(pool.apply(work, (4, &tries)).unwrap(), 4);
    let tries = Queue::new().unwrap();
    let error = pool.apply(work, (5, &tries)).unwrap_err();
    assert_eq!(error.child().unwrap().signal(), Some(6));
    assert_eq!(tries.len(), 4);
}

#[test]
fn idle_workers_that_are_killed_are_replaced() {
    let _watch = watch();
    let pool = pool();
    for round in 0..100 {
        pool.workers().iter().for_each(|worker| kill(worker.id()));
        match pool.apply_async(square, (round,)).get_timeout(LONG) {
            Ok(found) => assert_eq!(found, square(round)),
            Err(error) => assert!(error.child().is_some(), "{error}"),
        }
    }
    until("all are replaced", || pool.workers().len() == 2);
}

/// Runs `body` while workers are killed, until so many were.
fn while_killing(pool: &Pool, count: usize, mut body: impl FnMut()) {
    let (is_over, mut chance) = (AtomicBool::new(false), Chance::new(12));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..count {
                std::thread::sleep(Duration::from_micros(chance.below(4000)));
                let workers = pool.workers();
                if !workers.is_empty() {
                    kill(workers[chance.below(workers.len() as u64) as usize].id());
                }
            }
            is_over.store(true, Ordering::Relaxed);
        });
        while !is_over.load(Ordering::Relaxed) {
            body();
        }
    });
}

#[test]
fn map_is_right_or_a_typed_error_whenever_workers_are_killed() {
    let _watch = watch();
    let pool = builder().retries(2).build().unwrap();
    let expected: Vec<u64> = (0..300).map(square).collect();
    while_killing(&pool, 200, || match pool.chunk_size(10).map(square, 0..300) {
        Ok(found) => assert_eq!(found, expected),
        Err(error) => {
            assert_eq!(error.child().and_then(|child| child.signal()), Some(9), "{error:?}")
        }
    });
    assert_eq!(pool.map(square, 0..300).unwrap(), expected);
    until("all are replaced", || pool.workers().len() == 2);
}

#[test]
fn imap_is_right_or_a_typed_error_whenever_workers_are_killed() {
    let _watch = watch();
    let pool = pool();
    while_killing(&pool, 200, || {
        let mut count = 0;
        for (x, result) in (0..).zip(pool.chunk_size(3).imap(square, 0..100)) {
            count += 1;
            match result {
                Ok(found) => assert_eq!(found, square(x)),
                Err(error) => {
                    assert_eq!(
                        error.child().and_then(|child| child.signal()),
                        Some(9),
                        "{error:?}"
                    );
                }
            }
        }
        assert_eq!(count, 100);
    });
    until("all are replaced", || pool.workers().len() == 2);
}

#[test]
fn the_workers_of_a_killed_process_are_gone_at_once() {
    let _watch = watch();
    let told = Queue::<Vec<u32>>::new().unwrap();
    let work = |told: Queue<Vec<u32>>| -> Result<()> {
        let pool = Pool::with_workers(3)?;
        // One of them has a task that takes no notice.
        let busy = pool.apply_async(park, ());
        pool.apply(square, (1,))?;
        told.put(pool.workers().iter().map(|worker| worker.id()).collect::<Vec<_>>())?;
        busy.wait()
    };
    let parent = multiproc::Process::spawn(work, (&told,)).unwrap();
    let workers = told.get().unwrap();
    assert_eq!(workers.len(), 3);
    parent.handle().kill().unwrap();
    let before = Instant::now();
    until("they are gone", || workers.iter().all(|id| !is_alive(*id)));
    assert!(before.elapsed() < Duration::from_secs(1), "{:?}", before.elapsed());
    assert!(parent.join().is_err());
}

/// Whether there is such a process, and it is no zombie that nobody has waited for yet.
fn is_alive(id: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    !stat.is_empty() && !stat.rsplit(')').next().unwrap().trim_start().starts_with('Z')
}

#[test]
fn an_initializer_that_fails_is_the_error_of_the_pool() {
    let _watch = watch();
    let failing = |how: String| -> Result<()> {
        match how.as_str() {
            "exits" => std::process::exit(5),
            "errs" => Err(multiproc::Error::other("no such model")),
            _ => panic!("no such model"),
        }
    };
    let work = move || -> Result<Vec<String>> {
        ["errs", "exits", "panics"]
            .into_iter()
            .map(|how| {
                let pool =
                    Pool::builder().workers(2).name("init").initializer(failing, (how,)).build()?;
                let first = pool.apply(square, (3,)).unwrap_err().to_string();
                assert_eq!(pool.map(square, 0..3).unwrap_err().to_string(), first);
                assert_eq!(pool.imap(square, 0..3).next().unwrap().unwrap_err().to_string(), first);
                pool.close();
                pool.join_timeout(LONG)?;
                assert!(pool.workers().is_empty(), "none is started again");
                Ok(first)
            })
            .collect()
    };
    let texts = quiet().spawn(work, ()).unwrap().join().unwrap().unwrap();
    assert_eq!(texts[0], "the initializer of pool \"init\" failed: no such model");
    let what = "the initializer of pool \"init\" failed: process \"init:";
    assert!(texts[1].starts_with(what), "{}", texts[1]);
    assert!(
        texts[1].ends_with("ended with exit code 5: it ran the initializer of its pool"),
        "{}",
        texts[1]
    );
    assert!(texts[2].starts_with(what) && texts[2].ends_with(": no such model"), "{}", texts[2]);
}

#[test]
fn a_worker_is_replaced_after_so_many_tasks() {
    let _watch = watch();
    let pool = Pool::builder().workers(1).max_tasks_per_child(3).build().unwrap();
    // Also in the middle of a chunk.
    let ids = pool.chunk_size(10).map(|_: u64| std::process::id(), 0..10).unwrap();
    let mut runs: Vec<usize> = Vec::new();
    let mut last = 0;
    for id in ids {
        if id != last {
            runs.push(0);
        }
        *runs.last_mut().unwrap() += 1;
        last = id;
    }
    assert_eq!(runs, [3, 3, 3, 1]);
    assert_eq!(kind(pool.try_join()), ErrorKind::InvalidInput);
}

#[test]
fn a_worker_that_cannot_be_started_is_tried_again_for_a_while() {
    let _watch = watch();
    let body = || {
        let pool = builder().workers(1).retries(1).build().unwrap();
        assert_eq!(pool.apply(square, (3,)).unwrap(), 9);
        let worker = pool.workers()[0].id();
        // From here on there is no descriptor for another one.
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, 1, hard).unwrap();
        kill(worker);
        until("the worker is gone", || pool.workers().iter().all(|it| it.id() != worker));
        let result = pool.apply_async(square, (5,));
        assert!(!result.wait_timeout(Duration::from_millis(30)).unwrap());
        setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
        assert_eq!(result.get_timeout(LONG).unwrap(), 25);
        // After a second of it the pool gives up.
        let worker = pool.workers()[0].id();
        setrlimit(Resource::RLIMIT_NOFILE, 1, hard).unwrap();
        kill(worker);
        until("the worker is gone", || pool.workers().iter().all(|it| it.id() != worker));
        let error = pool.apply(square, (7,)).unwrap_err();
        let text = format!("the workers of pool {:?} cannot start: ", pool.name());
        assert!(error.is_limit() && error.to_string().starts_with(&text), "{error}");
        setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
    };
    Process::spawn(body, ()).unwrap().join().unwrap();
}
