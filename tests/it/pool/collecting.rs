//! Who collects a pool's results, what callbacks may do meanwhile, and what a pool costs that has nothing to do.

use super::{builder, pool, square};
use crate::common::{alone, park, until, until_thread_asleep};
use crate::watchdog::watch;
use multiproc::{AsyncResult, Event, Progress, Result};
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, mpsc};
use std::time::{Duration, Instant};

/// The pool's thread, which the first call has rung for, goes to rest about when the second one is given.
#[test]
fn whoever_stops_collecting_leaves_nobody_waiting() {
    let _watch = watch();
    let pool = pool();
    for x in 0..4000 {
        assert_eq!(pool.apply_async(square, (x,)).get().unwrap(), square(x));
        assert_eq!(pool.apply(square, (x,)).unwrap(), square(x));
    }
}

/// It waits while another thread collects, which then goes.
#[test]
fn whoever_iterates_does_not_depend_on_who_collects_now() {
    let _watch = watch();
    let pool = pool();
    let wait = |(x, go): (u64, Event)| {
        go.wait().unwrap();
        x
    };
    let (first, second) = (Event::new().unwrap(), Event::new().unwrap());
    let (sender, receiver) = mpsc::channel();
    let tell = || sender.send(nix::unistd::gettid()).unwrap();
    std::thread::scope(|scope| {
        let applies = scope.spawn(|| {
            tell();
            pool.apply(|go: Event| go.wait(), (&first,)).unwrap().unwrap();
        });
        until_thread_asleep(receiver.recv().unwrap());
        let iterates = scope.spawn(|| {
            tell();
            let go = second.clone();
            pool.imap(wait, (0..3).map(move |x| (x, go.clone()))).collect::<Result<Vec<u64>>>()
        });
        until_thread_asleep(receiver.recv().unwrap());
        first.set();
        applies.join().unwrap();
        second.set();
        assert_eq!(iterates.join().unwrap().unwrap(), [0, 1, 2]);
    });
}

#[test]
fn a_pool_that_has_nothing_to_do_costs_nothing() {
    alone(|| {
        let pool = pool();
        assert_eq!(pool.apply_async(square, (3,)).get().unwrap(), 9);
        // In ticks of 10 ms, of all threads.
        let run = || -> u64 {
            let text = fs::read_to_string("/proc/self/stat").unwrap();
            let fields = text.rsplit(')').next().unwrap().split_whitespace();
            fields.skip(11).take(2).map(|ticks| ticks.parse::<u64>().unwrap()).sum()
        };
        let never = Event::new().unwrap();
        let rests = || {
            let before = run();
            never.wait_timeout(Duration::from_millis(400)).unwrap();
            run() - before <= 1
        };
        until("it rests", rests);
        // It waits for a task, and does nothing else meanwhile.
        let waits = pool.apply_async(|go: Event| go.wait(), (&never,));
        until("it rests while a worker works", rests);
        never.set();
        waits.get().unwrap().unwrap();
    });
}

#[test]
fn a_callback_may_ask_its_own_result_and_a_late_one_is_called_at_once() {
    let _watch = watch();
    let pool = pool();
    let go = Event::new().unwrap();
    let this = Arc::new(OnceLock::<AsyncResult<u64>>::new());
    let (sender, receiver) = mpsc::channel();
    let (theirs, late) = (Arc::clone(&this), sender.clone());
    let wait = |go: Event| {
        go.wait().unwrap();
        7_u64
    };
    let result = pool.apply_async(wait, (&go,)).on_done(move |seven| {
        let this = theirs.get().unwrap();
        sender.send((*seven, this.is_ready() || this.is_successful())).unwrap();
    });
    this.set(result).unwrap();
    go.set();
    assert_eq!(receiver.recv().unwrap(), (7, false), "before those are woken who wait for it");
    let this = this.get().unwrap();
    this.wait().unwrap();
    assert!(this.is_ready() && this.is_successful());
    let other = pool.apply_async(square, (3,));
    other.wait().unwrap();
    let other = other.on_done(move |nine| late.send((*nine, true)).unwrap());
    assert_eq!(receiver.try_recv().unwrap(), (9, true));
    assert_eq!(other.get().unwrap(), 9);
}

#[test]
fn progress_counts_all_tasks() {
    let _watch = watch();
    let last = Arc::new((AtomicU64::new(0), AtomicU64::new(0)));
    let is_wrong = Arc::new(AtomicBool::new(false));
    let (seen, wrong) = (Arc::clone(&last), Arc::clone(&is_wrong));
    let progress = move |state: Progress| {
        let is_right = state.failed() <= state.done() && state.done() <= state.given();
        wrong.fetch_or(!is_right, Ordering::Relaxed);
        seen.0.fetch_max(state.done(), Ordering::Relaxed);
        seen.1.fetch_max(state.failed(), Ordering::Relaxed);
    };
    let pool = builder().progress(progress).build().unwrap();
    let told = |done, failed| {
        until("it is told", || {
            (last.0.load(Ordering::Relaxed), last.1.load(Ordering::Relaxed)) == (done, failed)
        });
    };
    pool.map(square, 0..1000).unwrap();
    told(1000, 0);
    // One is lost, and one brings its error.
    pool.apply(|| std::process::exit(1), ()).unwrap_err();
    told(1001, 1);
    pool.apply(|x: u64| -> u64 { panic!("no {x}") }, (1,)).unwrap_err();
    told(1002, 2);
    assert!(!is_wrong.load(Ordering::Relaxed));
}

/// The pool looks after as long as a task may take, and finds the second one, which has begun meanwhile.
#[test]
fn a_task_within_its_time_is_left_alone() {
    let _watch = watch();
    let time = Duration::from_secs(2);
    let pool = builder().workers(1).task_timeout(time).build().unwrap();
    let task = |go: Event| go.wait().is_ok();
    loop {
        let never = Event::new().unwrap();
        let go = [Event::new().unwrap(), Event::new().unwrap()];
        let mut start = Instant::now();
        let results = pool.chunk_size(2).map_async(task, &go);
        let mut is_in_time = true;
        for go in &go {
            never.wait_timeout(time * 7 / 10).unwrap();
            go.set();
            is_in_time &= start.elapsed() < time * 8 / 10;
            start = Instant::now();
        }
        let results = results.get();
        // On a machine that was busy with something else they were late.
        if is_in_time {
            return assert_eq!(results.unwrap(), [true, true]);
        }
    }
}

#[test]
fn a_task_is_timed_while_whoever_takes_its_result_is_away() {
    let _watch = watch();
    let pool = builder().workers(1).task_timeout(Duration::from_secs(1)).build().unwrap();
    let mut results = pool.imap(|_: u32| park(), [1]);
    let worker = pool.workers()[0].id();
    assert!(results.try_next().unwrap().unwrap_err().is_empty());
    until("its worker is another one", || pool.workers().iter().all(|it| it.id() != worker));
    assert!(results.next().unwrap().unwrap_err().is_timeout());
}
