//! Counting: never more at a time than there are.

use multiproc::{BoundedSemaphore, ErrorKind, Event, Process, Queue, Result, Semaphore};

use super::{holder, waiter};
use crate::common::{LONG, SHORT, killed, kind, park, until};
use crate::watchdog::watch;

#[test]
fn as_many_as_there_are() {
    let _watch = watch();
    let semaphore = Semaphore::new(3).unwrap();
    assert_eq!(semaphore.available(), 3);
    let one = semaphore.acquire().unwrap();
    let two = semaphore.try_acquire().unwrap();
    let three = semaphore.acquire_owned().unwrap();
    assert_eq!(semaphore.available(), 0);
    assert_eq!(kind(semaphore.try_acquire()), ErrorKind::Busy);
    let ask = |semaphore: Semaphore| (semaphore.available(), kind(semaphore.try_acquire()));
    let seen = Process::spawn(ask, (&semaphore,)).unwrap().join().unwrap();
    assert_eq!(seen, (0, ErrorKind::Busy));
    drop(two);
    assert_eq!(semaphore.available(), 1);
    drop(one);
    drop(three);
    assert_eq!(semaphore.available(), 3);
    assert_eq!(Semaphore::new(0).unwrap().available(), 0);
    assert_eq!(Semaphore::new(u32::MAX).unwrap().available(), u32::MAX);
}

fn work(semaphore: Semaphore, inside: Queue<u8>, most: usize, rounds: u32) -> Result<()> {
    for _ in 0..rounds {
        let _permit = semaphore.acquire()?;
        inside.put(0)?;
        assert!(inside.len() <= most);
        inside.get()?;
    }
    Ok(())
}

#[test]
fn never_more_at_a_time_between_processes_and_threads() {
    let _watch = watch();
    for most in [1, 2] {
        let semaphore = Semaphore::new(most).unwrap();
        let inside = Queue::new().unwrap();
        let args = (&semaphore, &inside, most as usize, 500);
        let children = [(); 3].map(|()| Process::spawn(work, args).unwrap());
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| work(semaphore.clone(), inside.clone(), most as usize, 500));
            }
        });
        for child in children {
            child.join().unwrap().unwrap();
        }
        assert_eq!(semaphore.available(), most);
    }
}

/// More than have their entries in the semaphore's own object.
#[test]
#[cfg_attr(feature = "raw-sync", ignore = "it kills: raw_sync is not robust")]
fn many_processes_hold_permits_at_a_time() {
    let _watch = watch();
    let semaphore = Semaphore::new(6).unwrap();
    for _ in 0..2 {
        let own = semaphore.acquire().unwrap();
        let mut holders: Vec<_> = (0..4).map(|_| holder(&semaphore, 1)).collect();
        // One more, in a process whose first one stands elsewhere by now.
        let second = semaphore.acquire().unwrap();
        assert_eq!(semaphore.available(), 0);
        assert_eq!(kind(semaphore.try_acquire()), ErrorKind::Busy);
        for available in 1..=2 {
            killed(holders.swap_remove(0));
            until("the permit of the dead comes back", || semaphore.available() == available);
        }
        drop(own);
        assert_eq!(semaphore.available(), 3);
        // Places of the dead and of those who gave back are used again.
        let others: Vec<_> = (0..2).map(|_| holder(&semaphore, 1)).collect();
        assert_eq!(semaphore.available(), 1);
        second.forget();
        semaphore.release(1).unwrap();
        assert_eq!(semaphore.available(), 2);
        holders.into_iter().chain(others).for_each(killed);
        until("all come back", || semaphore.available() == 6);
    }
    let give_back = |semaphore: Semaphore, all: Event, held: Queue<()>| {
        let permit = semaphore.acquire().unwrap();
        held.put(()).unwrap();
        all.wait().unwrap();
        drop(permit);
    };
    let (all, held) = (Event::new().unwrap(), Queue::new().unwrap());
    let args = (&semaphore, &all, &held);
    let children = [(); 6].map(|()| Process::spawn(give_back, args).unwrap());
    for _ in &children {
        held.get().unwrap();
    }
    assert_eq!(kind(semaphore.try_acquire()), ErrorKind::Busy);
    all.set();
    for child in children {
        child.join().unwrap();
    }
    assert_eq!(semaphore.available(), 6);
}

/// More than one process has room for in the semaphore's own object.
#[test]
fn one_process_holds_hundreds_of_permits() {
    let _watch = watch();
    let semaphore = BoundedSemaphore::new(300).unwrap();
    for _ in 0..2 {
        let mut held: Vec<_> = (0..300).map(|_| semaphore.acquire().unwrap()).collect();
        assert_eq!(semaphore.available(), 0);
        assert_eq!(kind(semaphore.try_acquire()), ErrorKind::Busy);
        assert!(semaphore.release(1).unwrap_err().is_limit());
        drop(held.split_off(100));
        assert_eq!(semaphore.available(), 200);
        held.drain(..50).for_each(|permit| permit.forget());
        assert_eq!(semaphore.available(), 200);
        assert!(semaphore.release(51).unwrap_err().is_limit());
        semaphore.release(50).unwrap();
        assert!(semaphore.release(1).unwrap_err().is_limit());
        assert_eq!(semaphore.available(), 250);
        drop(held);
        assert_eq!(semaphore.available(), 300);
    }
}

/// So many can be taken, and no more.
#[track_caller]
fn assert_exactly(semaphore: &Semaphore, count: u32) {
    assert_eq!(semaphore.available(), count);
    let taken: Vec<_> = (0..count).map(|_| semaphore.try_acquire().unwrap()).collect();
    assert!(semaphore.try_acquire().unwrap_err().is_busy());
    drop(taken);
    assert_eq!(semaphore.available(), count);
}

/// The same in the hands of two: what one holds in the object is given back and forgotten while the other holds more than fits there.
#[test]
#[cfg_attr(feature = "raw-sync", ignore = "it kills: raw_sync is not robust")]
fn hundreds_of_permits_in_two_processes_are_exact() {
    let _watch = watch();
    let semaphore = Semaphore::new(1080).unwrap();
    let other = holder(&semaphore, 200);
    let mut own: Vec<_> = (0..200).map(|_| semaphore.try_acquire().unwrap()).collect();
    assert_exactly(&semaphore, 680);
    // What a third one forgot, in the object and outside of it, does not come back with its death.
    let forget = |semaphore: Semaphore, done: Event| {
        let mut permits: Vec<_> = (0..200).map(|_| semaphore.acquire().unwrap()).collect();
        permits.drain(..80).for_each(|permit| permit.forget());
        done.set();
        park();
    };
    let done = Event::new().unwrap();
    let third = Process::spawn(forget, (&semaphore, &done)).unwrap();
    done.wait().unwrap();
    killed(third);
    assert_exactly(&semaphore, 600);
    own.drain(..10).for_each(|permit| permit.forget());
    assert_exactly(&semaphore, 600);
    own.truncate(100);
    assert_exactly(&semaphore, 690);
    own.drain(..10).for_each(|permit| permit.forget());
    assert_exactly(&semaphore, 690);
    own.truncate(50);
    assert_exactly(&semaphore, 730);
    semaphore.release(7).unwrap();
    assert_exactly(&semaphore, 737);
    killed(other);
    assert_exactly(&semaphore, 937);
    drop(own);
    assert_exactly(&semaphore, 987);
}

#[test]
fn release_from_elsewhere_and_forget_count_signals() {
    let _watch = watch();
    let semaphore = Semaphore::new(0).unwrap();
    let signal = |semaphore: Semaphore| {
        semaphore.release(2).unwrap();
        semaphore.release(0).unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| semaphore.release(1).unwrap());
        });
    };
    Process::spawn(signal, (&semaphore,)).unwrap().join().unwrap();
    assert_eq!(semaphore.available(), 3, "they stay, although their maker is gone");
    semaphore.acquire().unwrap().forget();
    semaphore.acquire_owned().unwrap().forget();
    assert_eq!(semaphore.available(), 1);
    drop(semaphore.acquire().unwrap());
    assert_eq!(semaphore.available(), 1);
    // As in Python, nothing stops a release without an acquire.
    semaphore.release(10).unwrap();
    assert_eq!(semaphore.available(), 11);
}

#[test]
fn one_release_wakes_as_many_as_it_is_for() {
    let _watch = watch();
    let semaphore = Semaphore::new(0).unwrap();
    let got = Queue::new().unwrap();
    let waiters = [(); 4].map(|()| waiter(&semaphore, &got));
    semaphore.release(3).unwrap();
    for _ in 0..3 {
        got.get_timeout(LONG).unwrap();
    }
    assert_eq!(kind(got.get_timeout(SHORT)), ErrorKind::Timeout);
    semaphore.release(1).unwrap();
    for waiter in waiters {
        waiter.join().unwrap();
    }
    assert_eq!((got.len(), semaphore.available()), (1, 0));
}

#[test]
fn more_permits_than_can_be_counted_are_refused() {
    let semaphore = Semaphore::new(u32::MAX - 1).unwrap();
    let permit = semaphore.acquire().unwrap();
    let error = semaphore.release(2).unwrap_err();
    assert!(error.is_limit(), "{error}");
    assert_eq!(semaphore.available(), u32::MAX - 2, "nothing changed");
    semaphore.release(1).unwrap();
    drop(permit);
    assert_eq!(semaphore.available(), u32::MAX);
    assert!(semaphore.release(1).unwrap_err().is_limit());
    assert!(semaphore.release(u32::MAX).unwrap_err().is_limit());
}

#[test]
fn a_bounded_one_is_not_released_past_its_start() {
    let _watch = watch();
    let semaphore = BoundedSemaphore::new(2).unwrap();
    let error = semaphore.release(1).unwrap_err();
    assert!(error.is_limit(), "{error}");
    assert!(error.to_string().starts_with("released too often"), "{error}");
    assert_eq!(semaphore.available(), 2, "nothing changed");
    // What is held will be given back, and counts.
    let permit = semaphore.acquire().unwrap();
    assert!(semaphore.release(1).unwrap_err().is_limit());
    drop(permit);
    semaphore.acquire().unwrap().forget();
    semaphore.acquire_owned().unwrap().forget();
    assert!(semaphore.release(3).unwrap_err().is_limit());
    assert_eq!(semaphore.available(), 0);
    let release = |semaphore: BoundedSemaphore| {
        semaphore.release(1).unwrap();
        semaphore.release(1).unwrap();
        kind(semaphore.release(1))
    };
    let third = Process::spawn(release, (&semaphore,)).unwrap().join().unwrap();
    assert_eq!((third, semaphore.available()), (ErrorKind::Limit, 2));
    assert!(BoundedSemaphore::new(0).unwrap().release(1).unwrap_err().is_limit());
}

#[test]
#[cfg_attr(feature = "raw-sync", ignore = "it kills: raw_sync is not robust")]
fn a_bounded_one_is_a_semaphore_otherwise() {
    let _watch = watch();
    let semaphore = BoundedSemaphore::new(1).unwrap();
    let hold = |semaphore: BoundedSemaphore, held: Event| {
        let _permit = semaphore.acquire().unwrap();
        held.set();
        park();
    };
    let held = Event::new().unwrap();
    let process = Process::spawn(hold, (&semaphore, &held)).unwrap();
    held.wait().unwrap();
    assert_eq!(kind(semaphore.try_acquire()), ErrorKind::Busy);
    assert_eq!(kind(semaphore.acquire_timeout(SHORT)), ErrorKind::Timeout);
    killed(process);
    drop(semaphore.acquire_timeout(LONG).unwrap());
    assert!(semaphore.release(1).unwrap_err().is_limit(), "it came back by itself");
    assert_eq!(
        format!("{semaphore:?}"),
        "BoundedSemaphore { available: 1, permits: 1, waiters: false }"
    );
}
