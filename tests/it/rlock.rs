//! `RLock`: what it has beyond a `Lock`, depth and its owner, and that the rest is the same.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use multiproc::{
    ErrorKind, Event, OwnedRLockGuard, Owner, Process, Queue, RLock, RLockGuard, Result,
};

use crate::common::{LONG, SHORT, killed, kind, park, quiet, until, until_asleep};
use crate::watchdog::watch;

fn here() -> Owner {
    Owner { pid: std::process::id(), tid: nix::unistd::gettid().as_raw() as u32 }
}

fn hold(lock: RLock, depth: u32, held: Event) {
    let guards: Vec<_> = (0..depth).map(|_| lock.lock().unwrap()).collect();
    held.set();
    park();
    drop(guards);
}

/// A child that holds the lock so often until it is killed.
fn holder(lock: &RLock, depth: u32) -> Process<()> {
    let held = Event::new().unwrap();
    let process = Process::spawn(hold, (lock, depth, &held)).unwrap();
    held.wait().unwrap();
    process
}

fn tried_elsewhere(lock: &RLock) -> Result<()> {
    let try_it = |lock: RLock| lock.try_lock().map(drop);
    Process::spawn(try_it, (lock,)).unwrap().join().unwrap()
}

fn asked_elsewhere(lock: &RLock) -> (u32, bool) {
    let ask = |lock: RLock| (lock.depth(), lock.is_locked());
    Process::spawn(ask, (lock,)).unwrap().join().unwrap()
}

// ---------------------------------------------------------------------------------------------
// Depth
// ---------------------------------------------------------------------------------------------

#[test]
fn each_guard_counts_one_in_whatever_order_they_go() {
    let _watch = watch();
    let lock = RLock::new().unwrap();
    assert_eq!((lock.depth(), lock.is_locked()), (0, false));
    let one = lock.lock().unwrap();
    assert_eq!(lock.depth(), 1);
    let two = lock.try_lock().unwrap();
    let three = lock.lock_owned().unwrap();
    let four = lock.lock_timeout(Duration::ZERO).unwrap();
    let five = lock.recover().unwrap();
    assert_eq!((lock.depth(), lock.owner()), (5, Some(here())));
    assert_eq!(asked_elsewhere(&lock), (5, true), "everyone can ask");
    drop(one);
    drop(three);
    assert_eq!(lock.depth(), 3);
    drop(five);
    drop(two);
    assert!(tried_elsewhere(&lock).unwrap_err().is_busy(), "one is left");
    drop(four);
    assert_eq!((lock.depth(), lock.owner()), (0, None));
    tried_elsewhere(&lock).unwrap();
}

#[test]
fn only_the_holding_thread_can_enter_again() {
    let _watch = watch();
    let lock = RLock::new().unwrap();
    let guard = lock.lock().unwrap();
    std::thread::scope(|scope| {
        let kinds = scope.spawn(|| {
            assert_eq!(kind(lock.lock_timeout(SHORT)), ErrorKind::Timeout);
            assert_eq!(kind(lock.lock_owned_timeout(SHORT)), ErrorKind::Timeout);
            assert_eq!(kind(lock.recover_timeout(SHORT)), ErrorKind::Timeout);
            [kind(lock.try_lock()), kind(lock.try_lock_owned()), kind(lock.try_recover())]
        });
        assert_eq!(kinds.join().unwrap(), [ErrorKind::Busy; 3]);
    });
    assert_eq!(lock.depth(), 1);
    drop(guard);
}

fn count(lock: RLock, counter: Queue<u64>, rounds: u32) -> Result<()> {
    for round in 0..rounds {
        let _outer = lock.lock()?;
        let _inner = if round % 2 == 0 { Some(lock.lock()?) } else { None };
        // Whoever is in here together with another finds nothing.
        let count = counter.try_get()?;
        counter.put(count + 1)?;
    }
    Ok(())
}

#[test]
fn one_at_a_time_between_processes_and_threads() {
    let _watch = watch();
    let lock = RLock::new().unwrap();
    let counter = Queue::new().unwrap();
    counter.put(0_u64).unwrap();
    let children = [(); 3].map(|()| Process::spawn(count, (&lock, &counter, 1000)).unwrap());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| count(lock.clone(), counter.clone(), 500).unwrap());
        }
    });
    for child in children {
        child.join().unwrap().unwrap();
    }
    assert_eq!(counter.try_get().unwrap(), 4000);
    assert_eq!(lock.depth(), 0);
}

#[test]
fn a_waiter_gets_it_after_the_last_guard() {
    let _watch = watch();
    let lock = RLock::new().unwrap();
    let (outer, inner) = (lock.lock().unwrap(), lock.lock().unwrap());
    let wait = |lock: RLock, ready: Event| {
        ready.set();
        let _guard = lock.lock().unwrap();
        lock.depth()
    };
    let ready = Event::new().unwrap();
    let waiter = Process::spawn(wait, (&lock, &ready)).unwrap();
    ready.wait().unwrap();
    until_asleep(&waiter.handle());
    drop(inner);
    assert!(format!("{lock:?}").contains("waiters: true"));
    assert!(waiter.is_alive());
    drop(outer);
    assert_eq!(waiter.join().unwrap(), 1);
}

#[test]
fn guards_stay_on_their_thread() {
    trait NotSend<Answer> {
        fn is_not_send() {}
    }
    struct Sends;
    impl<T: ?Sized> NotSend<()> for T {}
    impl<T: ?Sized + Send> NotSend<Sends> for T {}
    // Compiles only as long as the second does not apply.
    RLockGuard::<'_>::is_not_send();
    OwnedRLockGuard::is_not_send();
    fn shared<T: Send + Sync + Clone>() {}
    shared::<RLock>();
}

#[test]
fn debug_shows_the_live_state() {
    let lock = RLock::new().unwrap();
    let free = "RLock { owner: None, depth: 0, owner_died: false, waiters: false }";
    assert_eq!(format!("{lock:?}"), free);
    let (one, two) = (lock.lock().unwrap(), lock.lock_owned().unwrap());
    let Owner { pid, tid } = here();
    let held = format!(
        "RLock {{ owner: Some(Owner {{ pid: {pid}, tid: {tid} }}), depth: 2, owner_died: false, waiters: false }}"
    );
    assert_eq!(format!("{one:?}"), format!("RLockGuard {{ lock: {held} }}"));
    assert_eq!(format!("{two:?}"), format!("OwnedRLockGuard {{ lock: {held} }}"));
}

#[test]
fn a_forgotten_guard_keeps_the_lock() {
    let _watch = watch();
    let lock = RLock::new().unwrap();
    let guard = lock.lock().unwrap();
    std::mem::forget(lock.lock().unwrap());
    drop(guard);
    assert_eq!(lock.depth(), 1);
    assert!(tried_elsewhere(&lock).unwrap_err().is_busy());
    drop(lock);
    // Not the next one's concern.
    for _ in 0..100 {
        assert_eq!(RLock::new().unwrap().depth(), 0);
    }
}

// ---------------------------------------------------------------------------------------------
// The holder goes
// ---------------------------------------------------------------------------------------------

#[test]
#[cfg_attr(feature = "raw-sync", ignore = "it kills: raw_sync is not robust")]
fn a_killed_holder_is_told_and_recovered_however_deep_it_was() {
    let _watch = watch();
    let lock = RLock::new().unwrap();
    let process = holder(&lock, 3);
    assert_eq!(lock.depth(), 3);
    let dead = process.id();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| kind(lock.lock()));
        until("a waiter sleeps", || format!("{lock:?}").contains("waiters: true"));
        killed(process);
        assert_eq!(waiter.join().unwrap(), ErrorKind::OwnerDied);
    });
    assert_eq!((lock.depth(), lock.is_locked()), (0, false), "the dead hold nothing");
    assert!(format!("{lock:?}").contains("owner_died: true"));
    assert!(lock.try_lock().unwrap_err().is_owner_died());
    assert!(lock.lock_owned().unwrap_err().is_owner_died());
    assert!(tried_elsewhere(&lock).unwrap_err().is_owner_died());
    let guard = lock.recover().unwrap();
    assert_eq!(guard.dead_owner().map(|owner| owner.pid), Some(dead));
    assert_eq!(lock.depth(), 1);
    // Who recovers may enter again, in every way.
    let inner = lock.lock().unwrap();
    let again = lock.recover().unwrap();
    assert_eq!((lock.depth(), again.dead_owner()), (3, None));
    drop(guard);
    drop(again);
    assert!(tried_elsewhere(&lock).unwrap_err().is_owner_died(), "until the last guard");
    drop(inner);
    tried_elsewhere(&lock).unwrap();
    assert_eq!(lock.recover().unwrap().dead_owner(), None);
}

#[test]
#[cfg_attr(feature = "raw-sync", ignore = "it kills: raw_sync is not robust")]
fn a_recovery_that_panics_or_dies_leaves_the_poison() {
    let _watch = watch();
    let lock = RLock::new().unwrap();
    killed(holder(&lock, 1));
    // The panic passes the inner guard only; the outer one is dropped as usual.
    let outer = lock.recover().unwrap();
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        let _inner = lock.lock().unwrap();
        resume_unwind(Box::new(()));
    }));
    assert!(unwound.is_err());
    drop(outer);
    assert!(lock.lock().unwrap_err().is_owner_died());
    let recover = |lock: RLock, held: Event| {
        let _guards = (lock.recover().unwrap(), lock.lock().unwrap());
        held.set();
        park();
    };
    let held = Event::new().unwrap();
    let process = Process::spawn(recover, (&lock, &held)).unwrap();
    held.wait().unwrap();
    killed(process);
    assert!(lock.lock().unwrap_err().is_owner_died());
    drop(lock.recover().unwrap());
    // An ordinary panic marks nothing.
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        let _guards = (lock.lock().unwrap(), lock.lock().unwrap());
        resume_unwind(Box::new(()));
    }));
    assert!(unwound.is_err());
    assert_eq!(lock.depth(), 0);
    tried_elsewhere(&lock).unwrap();
}

#[test]
#[cfg_attr(feature = "raw-sync", ignore = "it kills: raw_sync is not robust")]
fn a_thread_that_ends_deep_inside_is_dead() {
    let _watch = watch();
    let lock = RLock::new().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| std::mem::forget([lock.lock().unwrap(), lock.lock().unwrap()]));
    });
    assert!(lock.lock_timeout(LONG).unwrap_err().is_owner_died());
    drop(lock.recover().unwrap());
    drop(lock.lock().unwrap());
}

#[test]
#[cfg_attr(feature = "raw-sync", ignore = "it kills: raw_sync is not robust")]
fn a_lock_that_guards_nothing_ignores_death() {
    let _watch = watch();
    let lock = RLock::builder().ignore_owner_death(true).build().unwrap();
    killed(holder(&lock, 2));
    let guard = lock.lock().unwrap();
    assert_eq!(lock.depth(), 1, "the dead one's depth is gone with it");
    let inner = lock.lock().unwrap();
    drop(guard);
    drop(inner);
    tried_elsewhere(&lock).unwrap();
}

#[test]
fn a_child_that_panics_releases_it() {
    let _watch = watch();
    let lock = RLock::new().unwrap();
    let fail = |lock: RLock| -> () {
        let _guards = (lock.lock().unwrap(), lock.lock_owned().unwrap());
        panic!("while it holds")
    };
    assert!(quiet().spawn(fail, (&lock,)).unwrap().join().unwrap_err().is_child());
    drop(lock.lock().unwrap());
}

// ---------------------------------------------------------------------------------------------
// Travelling
// ---------------------------------------------------------------------------------------------

#[test]
fn it_travels_and_is_no_lock() {
    let _watch = watch();
    let locks = Queue::new().unwrap();
    let make = |locks: Queue<RLock>| locks.put(RLock::new().unwrap()).unwrap();
    Process::spawn(make, (&locks,)).unwrap().join().unwrap();
    let lock = locks.try_get().unwrap();
    let _guards = (lock.lock().unwrap(), lock.lock().unwrap());
    assert_eq!(asked_elsewhere(&lock), (2, true));
}
