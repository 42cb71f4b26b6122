//! Exclusion: one at a time, between threads and processes.

use std::time::{Duration, Instant};

use multiproc::{ErrorKind, Lock, LockGuard, OwnedLockGuard, Process, Queue, Result};

use crate::common::{LONG, killed, kind};
use crate::watchdog::watch;

fn count(lock: Lock, counter: Queue<u64>, rounds: u32) -> Result<()> {
    for _ in 0..rounds {
        let _guard = lock.lock()?;
        // Whoever is in here together with another finds nothing.
        let count = counter.try_get()?;
        counter.put(count + 1)?;
    }
    Ok(())
}

#[test]
fn one_at_a_time_between_processes() {
    let _watch = watch();
    let lock = Lock::new().unwrap();
    let counter = Queue::new().unwrap();
    counter.put(0_u64).unwrap();
    let children: Vec<_> =
        (0..4).map(|_| Process::spawn(count, (&lock, &counter, 1000)).unwrap()).collect();
    for child in children {
        child.join().unwrap().unwrap();
    }
    assert_eq!(counter.try_get().unwrap(), 4000);
}

/// A process that has the lock all the time, each time for some milliseconds, and counts how often.
fn greedy(lock: Lock, turns: Queue<()>) {
    loop {
        let _guard = lock.lock().unwrap();
        turns.put(()).unwrap();
        let end = Instant::now() + Duration::from_millis(5);
        while Instant::now() < end {
            std::hint::spin_loop();
        }
    }
}

#[test]
#[cfg_attr(feature = "raw-sync", ignore = "it kills: raw_sync is not robust")]
fn nobody_starves_beside_a_greedy_process() {
    let _watch = watch();
    let (lock, turns) = (Lock::new().unwrap(), Queue::new().unwrap());
    let child = Process::spawn(greedy, (&lock, &turns)).unwrap();
    turns.get().unwrap();
    for _ in 0..10 {
        drop(lock.lock_timeout(LONG).unwrap());
    }
    killed(child);
    // Passed over now and then, but not again and again.
    let turns = turns.len();
    assert!(turns <= 100, "{turns} turns of the other to 10 of one's own");
}

#[test]
fn one_at_a_time_between_threads() {
    let _watch = watch();
    let lock = Lock::new().unwrap();
    let counter = Queue::new().unwrap();
    counter.put(0_u64).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| count(lock.clone(), counter.clone(), 1000).unwrap());
        }
    });
    assert_eq!(counter.try_get().unwrap(), 4000);
}

#[test]
fn clones_are_one_lock_and_new_ones_are_not() {
    let lock = Lock::new().unwrap();
    let clone = lock.clone();
    let _guard = lock.lock().unwrap();
    assert_eq!(kind(clone.try_lock()), ErrorKind::Deadlock);
    drop(Lock::new().unwrap().try_lock().unwrap());
}

#[test]
fn locking_again_is_an_error_and_no_hang() {
    let _watch = watch();
    let lock = Lock::new().unwrap();
    let guard = lock.lock().unwrap();
    assert!(lock.lock().unwrap_err().is_deadlock());
    assert!(lock.try_lock().unwrap_err().is_deadlock());
    assert!(lock.lock_timeout(LONG).unwrap_err().is_deadlock());
    assert!(lock.lock_owned().unwrap_err().is_deadlock());
    assert!(lock.recover().unwrap_err().is_deadlock());
    drop(guard);
    drop(lock.lock().unwrap());
}

#[test]
fn handles_are_for_threads_and_guards_are_not() {
    fn shared<T: Send + Sync + Clone>() {}
    shared::<Lock>();
    trait NotSend<Answer> {
        fn is_not_send() {}
    }
    struct Sends;
    impl<T: ?Sized> NotSend<()> for T {}
    impl<T: ?Sized + Send> NotSend<Sends> for T {}
    // Compiles only as long as the second does not apply.
    LockGuard::<'_>::is_not_send();
    OwnedLockGuard::is_not_send();
}
