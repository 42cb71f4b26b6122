//! Time: locks that are free, held, and waited for.

use std::time::{Duration, Instant};

use multiproc::{ErrorKind, Event, Lock, LockGuard, Process, Result};

use super::{hold_until, holder};
use crate::common::{SHORT, killed, kind, until};
use crate::watchdog::watch;

#[test]
fn a_free_lock_is_taken_however_little_time_there_is() {
    let lock = Lock::new().unwrap();
    let past = Instant::now().checked_sub(Duration::from_secs(1)).unwrap();
    drop(lock.try_lock().unwrap());
    drop(lock.lock_timeout(Duration::ZERO).unwrap());
    drop(lock.lock_deadline(past).unwrap());
    drop(lock.try_lock_owned().unwrap());
    drop(lock.lock_owned_timeout(Duration::ZERO).unwrap());
    drop(lock.lock_owned_deadline(past).unwrap());
    drop(lock.try_recover().unwrap());
    drop(lock.recover_timeout(Duration::ZERO).unwrap());
    drop(lock.recover_deadline(past).unwrap());
}

#[test]
#[cfg_attr(feature = "raw-sync", ignore = "it kills: raw_sync is not robust")]
fn a_held_lock_is_busy_or_times_out() {
    let _watch = watch();
    let lock = Lock::new().unwrap();
    let process = holder(&lock);
    let past = Instant::now().checked_sub(Duration::from_secs(1)).unwrap();
    assert_eq!(kind(lock.try_lock()), ErrorKind::Busy);
    assert_eq!(kind(lock.try_lock_owned()), ErrorKind::Busy);
    assert_eq!(kind(lock.try_recover()), ErrorKind::Busy);
    for time in [Duration::ZERO, Duration::from_nanos(1), SHORT] {
        let start = Instant::now();
        assert_eq!(kind(lock.lock_timeout(time)), ErrorKind::Timeout);
        assert!(start.elapsed() >= time);
        assert_eq!(kind(lock.lock_owned_timeout(time)), ErrorKind::Timeout);
        assert_eq!(kind(lock.recover_timeout(time)), ErrorKind::Timeout);
    }
    for deadline in [past, Instant::now() + SHORT] {
        assert_eq!(kind(lock.lock_deadline(deadline)), ErrorKind::Timeout);
        assert!(Instant::now() >= deadline);
        assert_eq!(kind(lock.lock_owned_deadline(deadline)), ErrorKind::Timeout);
        assert_eq!(kind(lock.recover_deadline(deadline)), ErrorKind::Timeout);
    }
    killed(process);
}

#[test]
fn a_timeout_that_overflows_is_for_ever() {
    let _watch = watch();
    let far = Instant::now().checked_add(Duration::from_secs(1 << 33)).unwrap();
    let ways: [fn(&Lock, Instant) -> Result<LockGuard<'_>>; 4] = [
        |lock, _| lock.lock_timeout(Duration::MAX),
        |lock, _| lock.lock_timeout(Duration::from_secs(u64::MAX / 2)),
        |lock, far| lock.lock_deadline(far),
        |lock, _| lock.recover_timeout(Duration::MAX),
    ];
    for way in ways {
        let lock = Lock::new().unwrap();
        let (held, release) = (Event::new().unwrap(), Event::new().unwrap());
        let process = Process::spawn(hold_until, (&lock, &held, &release)).unwrap();
        held.wait().unwrap();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| way(&lock, far).map(drop));
            until("a waiter sleeps", || format!("{lock:?}").contains("waiters: true"));
            release.set();
            waiter.join().unwrap().unwrap();
        });
        process.join().unwrap();
    }
}
