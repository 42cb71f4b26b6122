//! Owners and guards: what can be asked, and how a guard lets go.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use multiproc::{Lock, OwnedLockGuard, Owner, Process};

use super::{here, holder, tried_elsewhere};
use crate::common::killed;
use crate::watchdog::watch;

#[test]
#[cfg_attr(feature = "raw-sync", ignore = "it kills: raw_sync is not robust")]
fn the_owner_is_known_everywhere() {
    let _watch = watch();
    let lock = Lock::new().unwrap();
    assert_eq!((lock.owner(), lock.is_locked()), (None, false));
    let guard = lock.lock().unwrap();
    assert_eq!((lock.owner(), lock.is_locked()), (Some(here()), true));
    let ask = |lock: Lock| {
        let owner = lock.owner().unwrap();
        (owner.pid, owner.tid, lock.is_locked())
    };
    let seen = Process::spawn(ask, (&lock,)).unwrap().join().unwrap();
    assert_eq!(seen, (here().pid, here().tid, true));
    drop(guard);
    assert_eq!((lock.owner(), lock.is_locked()), (None, false));
    let process = holder(&lock);
    let owner = lock.owner().unwrap();
    assert_eq!((owner.pid, owner.tid), (process.id(), process.id()), "a child's main thread");
    killed(process);
    assert_eq!((lock.owner(), lock.is_locked()), (None, false), "the dead hold nothing");
}

#[test]
#[cfg_attr(feature = "raw-sync", ignore = "it kills: raw_sync is not robust")]
fn debug_shows_the_live_state() {
    let _watch = watch();
    let lock = Lock::new().unwrap();
    assert_eq!(format!("{lock:?}"), "Lock { owner: None, owner_died: false, waiters: false }");
    let guard = lock.lock().unwrap();
    let Owner { pid, tid } = here();
    let held = format!(
        "Lock {{ owner: Some(Owner {{ pid: {pid}, tid: {tid} }}), owner_died: false, waiters: false }}"
    );
    assert_eq!(format!("{lock:?}"), held);
    assert_eq!(format!("{guard:?}"), format!("LockGuard {{ lock: {held} }}"));
    drop(guard);
    let guard = lock.lock_owned().unwrap();
    assert_eq!(format!("{guard:?}"), format!("OwnedLockGuard {{ lock: {held} }}"));
    drop(guard);
    killed(holder(&lock));
    assert_eq!(format!("{lock:?}"), "Lock { owner: None, owner_died: true, waiters: false }");
    let guard = lock.recover().unwrap();
    assert!(format!("{lock:?}").contains("owner_died: true"), "until it is recovered");
    drop(guard);
    assert_eq!(format!("{lock:?}"), "Lock { owner: None, owner_died: false, waiters: false }");
}

#[test]
fn an_owned_guard_lives_in_a_structure() {
    struct Session {
        _guard: OwnedLockGuard,
    }
    let lock = Lock::new().unwrap();
    let session = Session { _guard: lock.lock_owned().unwrap() };
    assert!(tried_elsewhere(&lock).unwrap_err().is_busy());
    drop(session);
    tried_elsewhere(&lock).unwrap();
}

#[test]
fn an_owned_guard_keeps_the_lock_that_nobody_else_has() {
    let lock = Lock::new().unwrap();
    let guard = lock.lock_owned().unwrap();
    drop(lock);
    // Its object is not given to another lock.
    let others: Vec<Lock> = (0..100).map(|_| Lock::new().unwrap()).collect();
    for other in &others {
        drop(other.try_lock().unwrap());
    }
    assert!(format!("{guard:?}").contains(&format!("pid: {}", here().pid)));
}

#[test]
fn a_panic_releases_the_lock() {
    let lock = Lock::new().unwrap();
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        let _guard = lock.lock().unwrap();
        resume_unwind(Box::new(()));
    }));
    assert!(unwound.is_err());
    drop(lock.lock().unwrap());
}

#[test]
fn a_forgotten_guard_does_not_reach_the_next_lock() {
    let _watch = watch();
    for _ in 0..10 {
        let lock = Lock::new().unwrap();
        std::mem::forget(lock.lock().unwrap());
        drop(lock);
    }
    // Whether or not the objects are used again, these are new locks.
    for _ in 0..3000 {
        let lock = Lock::new().unwrap();
        assert_eq!((lock.owner(), lock.is_locked()), (None, false));
        drop(lock.try_lock().unwrap());
    }
}
