//! Permits, and the time in which they are to be had.

use std::time::{Duration, Instant};

use multiproc::{BoundedSemaphore, ErrorKind, OwnedPermit, Permit, Result, Semaphore};

use super::until_waiting;
use crate::common::{SHORT, kind, quiet};
use crate::watchdog::watch;

#[test]
fn an_available_permit_is_taken_however_little_time_there_is() {
    let semaphore = Semaphore::new(1).unwrap();
    let past = Instant::now().checked_sub(Duration::from_secs(1)).unwrap();
    drop(semaphore.try_acquire().unwrap());
    drop(semaphore.acquire_timeout(Duration::ZERO).unwrap());
    drop(semaphore.acquire_deadline(past).unwrap());
    drop(semaphore.try_acquire_owned().unwrap());
    drop(semaphore.acquire_owned_timeout(Duration::ZERO).unwrap());
    drop(semaphore.acquire_owned_deadline(past).unwrap());
    assert_eq!(semaphore.available(), 1);
}

#[test]
fn without_a_permit_it_is_busy_or_times_out() {
    let _watch = watch();
    let semaphore = Semaphore::new(1).unwrap();
    let permit = semaphore.acquire().unwrap();
    let past = Instant::now().checked_sub(Duration::from_secs(1)).unwrap();
    assert_eq!(kind(semaphore.try_acquire()), ErrorKind::Busy);
    assert_eq!(kind(semaphore.try_acquire_owned()), ErrorKind::Busy);
    for time in [Duration::ZERO, Duration::from_nanos(1), SHORT] {
        let start = Instant::now();
        assert_eq!(kind(semaphore.acquire_timeout(time)), ErrorKind::Timeout);
        assert!(start.elapsed() >= time);
        assert_eq!(kind(semaphore.acquire_owned_timeout(time)), ErrorKind::Timeout);
    }
    for deadline in [past, Instant::now() + SHORT] {
        assert_eq!(kind(semaphore.acquire_deadline(deadline)), ErrorKind::Timeout);
        assert!(Instant::now() >= deadline);
        assert_eq!(kind(semaphore.acquire_owned_deadline(deadline)), ErrorKind::Timeout);
    }
    drop(permit);
    assert_eq!(semaphore.available(), 1);
}

#[test]
fn a_timeout_that_overflows_is_for_ever() {
    let _watch = watch();
    let semaphore = Semaphore::new(0).unwrap();
    let far = Instant::now().checked_add(Duration::from_secs(1 << 33)).unwrap();
    let ways: [fn(&Semaphore, Instant) -> Result<Permit<'_>>; 3] = [
        |semaphore, _| semaphore.acquire_timeout(Duration::MAX),
        |semaphore, _| semaphore.acquire_timeout(Duration::from_secs(u64::MAX / 2)),
        |semaphore, far| semaphore.acquire_deadline(far),
    ];
    for way in ways {
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| way(&semaphore, far).map(Permit::forget));
            until_waiting(&semaphore);
            semaphore.release(1).unwrap();
            waiter.join().unwrap().unwrap();
        });
    }
}

#[test]
fn handles_and_permits_are_for_threads() {
    let _watch = watch();
    fn shared<T: Send + Sync + Clone>() {}
    fn sent<T: Send + Sync>() {}
    shared::<Semaphore>();
    shared::<BoundedSemaphore>();
    sent::<Permit<'_>>();
    sent::<OwnedPermit>();
    let semaphore = Semaphore::new(3).unwrap();
    let (one, two) = (semaphore.acquire().unwrap(), semaphore.acquire_owned().unwrap());
    // A thread that never used anything shared gives them back, and one that ends keeps none from the process.
    std::thread::scope(|scope| {
        scope.spawn(move || drop((one, two)));
    });
    assert_eq!(semaphore.available(), 3);
    let permit =
        std::thread::scope(|scope| scope.spawn(|| semaphore.acquire().unwrap()).join().unwrap());
    assert_eq!(semaphore.available(), 2, "the thread is gone, the process holds it");
    drop(permit);
    assert_eq!(semaphore.available(), 3);
}

#[test]
fn an_owned_permit_keeps_the_semaphore_that_nobody_else_has() {
    let semaphore = Semaphore::new(1).unwrap();
    let permit = semaphore.acquire_owned().unwrap();
    drop(semaphore);
    let others: Vec<_> = (0..50).map(|_| Semaphore::new(1).unwrap()).collect();
    assert_eq!(format!("{permit:?}"), "OwnedPermit { available: 0, permits: 1, waiters: false }");
    drop(permit);
    assert!(others.iter().all(|other| other.available() == 1));
}

#[test]
fn permits_lost_in_memory_do_not_reach_the_next_semaphore() {
    let _watch = watch();
    for _ in 0..50 {
        let semaphore = Semaphore::new(2).unwrap();
        std::mem::forget(semaphore.acquire().unwrap());
        assert_eq!(semaphore.available(), 1, "held as long as the process lives");
    }
    for _ in 0..2000 {
        let semaphore = Semaphore::new(2).unwrap();
        assert_eq!(semaphore.available(), 2);
        drop(semaphore.try_acquire().unwrap());
    }
}

#[test]
fn debug_shows_the_live_state() {
    let _watch = watch();
    let semaphore = Semaphore::new(2).unwrap();
    assert_eq!(format!("{semaphore:?}"), "Semaphore { available: 2, permits: 2, waiters: false }");
    let permit = semaphore.acquire().unwrap();
    assert_eq!(format!("{permit:?}"), "Permit { available: 1, permits: 2, waiters: false }");
    let _other = semaphore.acquire().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| drop(semaphore.acquire().unwrap()));
        until_waiting(&semaphore);
        drop(permit);
    });
}

#[test]
fn a_panic_gives_the_permit_back() {
    let _watch = watch();
    let semaphore = Semaphore::new(1).unwrap();
    let fail = |semaphore: Semaphore| -> () {
        let _permit = semaphore.acquire().unwrap();
        panic!("while it holds one")
    };
    assert!(quiet().spawn(fail, (&semaphore,)).unwrap().join().unwrap_err().is_child());
    assert_eq!(semaphore.available(), 1);
}
