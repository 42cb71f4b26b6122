//! The words of `raw` in a shared structure: locks, what is done once, event counts and permits, and the deaths of those who hold
//! them.

// Words at an address, and fork, cannot be had without.
#![allow(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use multiproc::raw::{EventCount, Flag, Guarded, Lock, Once, RLock, Semaphore};
use multiproc::{Error, Process, Result, Shared, SharedMemory, shared_type};

use crate::common::{LONG, SHORT, killed, kind, park, quiet, until_asleep};
use crate::fork::{ended_well, fork};
use crate::watchdog::watch;
use multiproc::ErrorKind::{Busy, Deadlock, Empty, InvalidInput, Limit, OwnerDied, Timeout};

shared_type! {
    struct Words {
        lock: Lock,
        rlock: RLock,
        once: Once,
        news: EventCount,
        held: Flag,
        number: AtomicU32,
        cell: Guarded<[u64; 2]>,
        slots: Semaphore,
    }
}

fn new(permits: u32) -> Shared<Words> {
    let words = Words {
        lock: Lock::new(),
        rlock: RLock::new(),
        once: Once::default(),
        news: EventCount::new(),
        held: Flag::new(),
        number: AtomicU32::new(0),
        cell: Guarded::new([5, 6]),
        slots: Semaphore::new(permits),
    };
    Shared::new(words).unwrap()
}

/// Kills a process as soon as it holds what it holds.
fn dies_holding(words: &'static Words, process: Process<Result<()>>) {
    words.held.wait().unwrap();
    killed(process);
    words.held.clear();
}

/// In another thread.
fn elsewhere<R: Send>(body: impl FnOnce() -> R + Send) -> R {
    std::thread::scope(|scope| scope.spawn(body).join().unwrap())
}

#[test]
fn zeroes_are_words_at_any_place() {
    let memory = SharedMemory::new(size_of::<Semaphore>() * 2).unwrap();
    let place = |at: usize| memory.as_ptr().wrapping_add(at);
    // SAFETY: here and below: memory of this process tree, kept until the end, zero at first; no two words overlap.
    let lock = unsafe { Lock::at(place(4)) }.unwrap();
    drop(lock.lock().unwrap());
    // SAFETY: as above.
    let rlock = unsafe { RLock::at(place(12)) }.unwrap();
    drop(rlock.lock().unwrap());
    // SAFETY: as above.
    let once = unsafe { Once::at(place(32)) }.unwrap();
    assert!(!once.is_done());
    // SAFETY: as above.
    let count = unsafe { EventCount::at(place(44)) }.unwrap();
    count.notify_all();
    // SAFETY: as above.
    let semaphore = unsafe { Semaphore::at(place(size_of::<Semaphore>())) }.unwrap();
    assert_eq!(kind(semaphore.try_acquire()), Busy);
    assert_eq!(kind(semaphore.release(1)), Limit, "it has not begun");
    semaphore.begin(3);
    assert_eq!(semaphore.available(), 3);
    // SAFETY: nothing is at this place, which is what is asked.
    assert_eq!(kind(unsafe { Once::at(place(2)) }), InvalidInput);
    assert_eq!(format!("{lock:?}"), "Lock { owner: None, waiters: false }");
    assert_eq!(format!("{rlock:?}"), "RLock { owner: None, depth: 0, waiters: false }");
    assert_eq!(format!("{once:?} {count:?}"), "Once { done: false } EventCount { waiters: false }");
    assert_eq!(format!("{semaphore:?}"), "Semaphore { permits: 3, waiters: false, .. }");
}

#[test]
fn words_of_a_structure_exclude_processes() {
    let _watch = watch();
    let count = |words: Shared<Words>| -> Result<()> {
        let words = words.leak();
        for _ in 0..3000 {
            let _guard = words.lock.lock()?;
            let number = words.number.load(Relaxed);
            let _outer = words.rlock.lock()?;
            let _inner = words.rlock.lock()?;
            words.number.store(number + 1, Relaxed);
            words.cell.lock()?[1] += 1;
        }
        Ok(())
    };
    let words = new(1);
    let children = [(); 3].map(|()| Process::spawn(count, (&words,)).unwrap());
    for child in children {
        child.join().unwrap().unwrap();
    }
    assert_eq!(words.number.load(Relaxed), 9000);
    assert_eq!(*words.leak().cell.lock().unwrap(), [5, 9006]);
}

#[test]
#[cfg_attr(feature = "raw-sync", ignore = "it kills: raw_sync is not robust")]
fn the_death_of_a_locks_holder_is_told_recovered_or_adopted() {
    let _watch = watch();
    let hold = |words: Shared<Words>| -> Result<()> {
        let words = words.leak();
        let _guard = words.lock.adopt()?;
        words.held.set();
        park();
        Ok(())
    };
    let shared = new(1);
    let words = shared.clone().leak();
    dies_holding(words, quiet().spawn(hold, (&shared,)).unwrap());
    assert_eq!(kind(words.lock.lock()), OwnerDied);
    assert_eq!(kind(words.lock.try_lock()), OwnerDied);
    assert!(!words.lock.is_locked());
    let guard = words.lock.recover().unwrap();
    assert_eq!(words.lock.owner().unwrap().pid, std::process::id());
    assert_eq!(kind(words.lock.lock()), OwnerDied, "until it is repaired");
    drop(guard);
    let guard = words.lock.lock().unwrap();
    assert_eq!(kind(words.lock.lock_timeout(SHORT)), Deadlock);
    elsewhere(|| {
        assert_eq!(kind(words.lock.try_lock()), Busy);
        assert_eq!(kind(words.lock.recover_timeout(SHORT)), Timeout);
        assert_eq!(kind(words.lock.try_adopt()), Busy);
    });
    drop(guard);
    dies_holding(words, quiet().spawn(hold, (&shared,)).unwrap());
    drop(words.lock.adopt().unwrap());
    drop(words.lock.lock_timeout(LONG).unwrap());
}

#[test]
#[cfg_attr(feature = "raw-sync", ignore = "it kills: raw_sync is not robust")]
fn an_rlock_is_given_back_by_its_last_guard_or_its_death() {
    let _watch = watch();
    let hold = |words: Shared<Words>| -> Result<()> {
        let words = words.leak();
        let _guards = [words.rlock.lock()?, words.rlock.lock()?, words.rlock.lock()?];
        words.held.set();
        park();
        Ok(())
    };
    let shared = new(1);
    let words = shared.clone().leak();
    let (first, second) = (words.rlock.lock().unwrap(), words.rlock.try_lock().unwrap());
    drop(first);
    assert_eq!(words.rlock.depth(), 1);
    elsewhere(|| assert_eq!(kind(words.rlock.try_lock()), Busy));
    drop(second);
    assert_eq!(words.rlock.depth(), 0);
    dies_holding(words, quiet().spawn(hold, (&shared,)).unwrap());
    assert_eq!(kind(words.rlock.lock()), OwnerDied);
    let panics = || {
        let _guards = (words.rlock.recover().unwrap(), words.rlock.recover().unwrap());
        std::panic::resume_unwind(Box::new(()));
    };
    assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
    assert_eq!(kind(words.rlock.lock()), OwnerDied, "it was not repaired");
    drop((words.rlock.recover().unwrap(), words.rlock.lock().unwrap()));
    assert_eq!(words.rlock.lock_timeout(LONG).unwrap().lock_depth(), 1);
}

/// What a guard's lock says.
trait LockDepth {
    fn lock_depth(&self) -> u32;
}

impl LockDepth for multiproc::raw::RLockGuard {
    fn lock_depth(&self) -> u32 {
        let text = format!("{self:?}");
        text.split("depth: ").nth(1).unwrap()[..1].parse().unwrap()
    }
}

#[test]
fn one_of_many_processes_does_it_once() {
    let _watch = watch();
    let call = |words: Shared<Words>| -> Result<bool> {
        let words = words.leak();
        words.once.call_once(|| {
            words.number.fetch_add(1, Relaxed);
            Ok(())
        })
    };
    let words = new(1);
    let children = [(); 4].map(|()| Process::spawn(call, (&words,)).unwrap());
    let done = children.map(|child| child.join().unwrap().unwrap());
    assert_eq!(done.iter().filter(|&&done| done).count(), 1);
    assert!(words.once.is_done());
    assert_eq!(words.number.load(Relaxed), 1);
}

#[test]
#[cfg_attr(feature = "raw-sync", ignore = "it kills: raw_sync is not robust")]
fn what_a_dead_process_was_doing_once_the_next_one_does() {
    let _watch = watch();
    let die = |words: Shared<Words>| -> Result<()> {
        let words = words.leak();
        words.once.call_once(|| {
            words.held.set();
            park();
            Ok(())
        })?;
        Ok(())
    };
    let wait = |words: Shared<Words>| words.leak().once.call_once(|| Ok(()));
    let shared = new(1);
    let words = shared.clone().leak();
    let first = quiet().spawn(die, (&shared,)).unwrap();
    words.held.wait().unwrap();
    assert_eq!(kind(words.once.try_call_once(|| Ok(()))), Busy);
    assert_eq!(kind(words.once.call_once_timeout(|| Ok(()), SHORT)), Timeout);
    let waiter = Process::spawn(wait, (&shared,)).unwrap();
    until_asleep(&waiter.handle());
    killed(first);
    assert!(waiter.join().unwrap().unwrap(), "the waiter did it");
    assert!(!words.once.call_once(|| panic!("it has been done")).unwrap());
}

#[test]
fn what_fails_is_done_by_the_next_caller() {
    let _watch = watch();
    let words = new(1).leak();
    let fails = words.once.call_once(|| Err(Error::other("not today")));
    assert_eq!(fails.unwrap_err().to_string(), "not today");
    let panics = || words.once.call_once(|| std::panic::resume_unwind(Box::new(())));
    assert!(catch_unwind(AssertUnwindSafe(panics)).is_err());
    let again = words.once.call_once(|| words.once.call_once(|| Ok(())).map(drop));
    assert_eq!(kind(again), Deadlock);
    assert!(elsewhere(|| words.once.call_once(|| Ok(()))).unwrap());
}

#[test]
fn what_an_event_count_stands_for_is_waited_for() {
    let _watch = watch();
    let echo = |words: Shared<Words>| -> Result<()> {
        let words = words.leak();
        for turn in (1..2000).step_by(2) {
            words.news.wait(|| (words.number.load(Relaxed) == turn).then_some(()))?;
            words.number.store(turn + 1, Relaxed);
            words.news.notify(1);
        }
        Ok(())
    };
    let shared = new(1);
    let words = shared.clone().leak();
    assert_eq!(kind(words.news.try_wait(|| None::<()>)), Empty);
    assert_eq!(kind(words.news.wait_timeout(|| None::<()>, SHORT)), Timeout);
    let child = Process::spawn(echo, (&shared,)).unwrap();
    for turn in (0..2000).step_by(2) {
        words.news.wait(|| (words.number.load(Relaxed) == turn).then_some(())).unwrap();
        words.number.store(turn + 1, Relaxed);
        words.news.notify(1);
    }
    child.join().unwrap().unwrap();
}

#[test]
#[cfg_attr(feature = "raw-sync", ignore = "it kills: raw_sync is not robust")]
fn a_change_without_a_notification_is_found_when_its_maker_is_killed_or_stopped() {
    let _watch = watch();
    let change = |words: Shared<Words>| {
        words.number.store(1, Relaxed);
        park();
    };
    let wait = |words: Shared<Words>| -> Result<u32> {
        let words = words.leak();
        words.held.set();
        words.news.wait(|| Some(words.number.load(Relaxed)).filter(|&number| number != 0))
    };
    let shared = new(1);
    let waiter = Process::spawn(wait, (&shared,)).unwrap();
    shared.clone().leak().held.wait().unwrap();
    until_asleep(&waiter.handle());
    // It never notifies anybody, as if it had been stopped just before.
    let changer = quiet().spawn(change, (&shared,)).unwrap();
    assert_eq!(waiter.join().unwrap().unwrap(), 1);
    killed(changer);
}

#[test]
fn a_check_may_lock_and_may_panic() {
    let _watch = watch();
    let shared = new(1);
    let words = shared.clone().leak();
    // A panic in every place from which the check is called: the first look, the polls, and the last one before the sleep.
    for calls in 1..40 {
        let mut left = calls;
        let check = || {
            left -= 1;
            if left == 0 { std::panic::resume_unwind(Box::new(())) } else { None::<()> }
        };
        assert!(catch_unwind(AssertUnwindSafe(|| words.news.wait(check))).is_err());
    }
    let change = |words: Shared<Words>| -> Result<()> {
        let words = words.leak();
        *words.cell.lock()? = [7, 8];
        words.news.notify_all();
        Ok(())
    };
    let child = Process::spawn(change, (&shared,)).unwrap();
    let find = || Some(*words.cell.lock().unwrap()).filter(|data| data[0] == 7);
    assert_eq!(words.news.wait(find).unwrap(), [7, 8]);
    child.join().unwrap().unwrap();
}

#[test]
fn permits_come_back_from_many_dead_processes() {
    let _watch = watch();
    let hold = |words: Shared<Words>| -> Result<()> {
        let words = words.leak();
        let _permits = [words.slots.acquire()?, words.slots.acquire()?];
        words.number.fetch_add(1, Relaxed);
        words.news.notify_all();
        park();
        Ok(())
    };
    let shared = new(8);
    let words = shared.clone().leak();
    let holders = [(); 4].map(|()| Process::spawn(hold, (&shared,)).unwrap());
    words.news.wait(|| (words.number.load(Relaxed) == 4).then_some(())).unwrap();
    assert_eq!((words.slots.available(), kind(words.slots.try_acquire())), (0, Busy));
    assert_eq!(kind(words.slots.acquire_timeout(SHORT)), Timeout);
    holders.into_iter().for_each(killed);
    let permits = [(); 8].map(|()| words.slots.acquire_timeout(LONG).unwrap());
    assert_eq!(words.slots.available(), 0);
    assert!(format!("{:?}", permits[0]).starts_with("Permit { semaphore: Semaphore { permits: 8"));
    drop(permits);
    words.slots.acquire().unwrap().forget();
    assert_eq!(words.slots.available(), 7);
    words.slots.release(3).unwrap();
    assert_eq!(words.slots.available(), 10);
}

#[test]
#[cfg_attr(feature = "raw-sync", ignore = "it kills: raw_sync is not robust")]
fn words_work_in_a_forked_child_and_inherited_guards_are_inert() {
    let _watch = watch();
    let body = || {
        let words = new(2).leak();
        let guards = (
            words.lock.lock().unwrap(),
            words.rlock.lock().unwrap(),
            words.slots.acquire().unwrap(),
            words.cell.lock().unwrap(),
        );
        let mut inherited = Some(guards);
        let child = fork(|| {
            assert_eq!(kind(words.lock.try_lock()), Busy);
            assert_eq!(kind(words.rlock.try_lock()), Busy);
            let mut guards = inherited.take().unwrap();
            guards.3[0] = 99;
            drop(guards);
            assert_eq!(kind(words.lock.lock_timeout(SHORT)), Timeout, "held by the parent still");
            assert_eq!(kind(words.rlock.try_lock()), Busy);
            assert_eq!(words.slots.available(), 1);
            words.held.set();
            words.news.wait(|| (words.number.load(Relaxed) == 1).then_some(())).unwrap();
            let guards = (words.lock.lock().unwrap(), words.slots.acquire().unwrap());
            assert_eq!(
                words.cell.lock().unwrap()[0],
                5,
                "what its copy of the guard said is nobody's"
            );
            // It ends, holding both.
            std::mem::forget(guards);
        });
        words.held.wait().unwrap();
        assert_eq!(kind(words.lock.lock()), Deadlock, "held here still");
        drop(inherited.take());
        words.number.store(1, Relaxed);
        words.news.notify_all();
        ended_well(child);
        assert_eq!(kind(words.lock.lock()), OwnerDied);
        assert!(words.once.call_once(|| Ok(())).unwrap());
        let _both = [words.slots.acquire().unwrap(), words.slots.acquire_timeout(LONG).unwrap()];
    };
    Process::spawn(body, ()).unwrap().join().unwrap();
}
