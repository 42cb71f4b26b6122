//! `Semaphore` and `BoundedSemaphore`: counts, time, signals, and permits of the dead.

// fork cannot be called without.
#![allow(unsafe_code)]

use std::time::{Duration, Instant};

use multiproc::{
    BoundedSemaphore, ErrorKind, Event, OwnedPermit, Permit, Process, Queue, Result, Semaphore,
};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::common::{LONG, SHORT, killed, kind, park, quiet, until, until_asleep};
use crate::watchdog::watch;

fn hold(semaphore: Semaphore, permits: u32, held: Event) {
    let permits: Vec<_> = (0..permits).map(|_| semaphore.acquire().unwrap()).collect();
    held.set();
    park();
    drop(permits);
}

/// A child that holds so many permits until it is killed.
fn holder(semaphore: &Semaphore, permits: u32) -> Process<()> {
    let held = Event::new().unwrap();
    let process = Process::spawn(hold, (semaphore, permits, &held)).unwrap();
    held.wait().unwrap();
    process
}

fn take_one(semaphore: Semaphore, ready: Event, got: Queue<u32>) {
    ready.set();
    semaphore.acquire().unwrap().forget();
    got.put(std::process::id()).unwrap();
}

/// A child that sleeps until it can take a permit for good, and says so.
fn waiter(semaphore: &Semaphore, got: &Queue<u32>) -> Process<()> {
    let ready = Event::new().unwrap();
    let process = Process::spawn(take_one, (semaphore, &ready, got)).unwrap();
    ready.wait().unwrap();
    until_asleep(&process.handle());
    process
}

fn until_waiting(semaphore: &Semaphore) {
    until("a waiter sleeps", || format!("{semaphore:?}").contains("waiters: true"));
}

fn pid<R>(process: &Process<R>) -> Pid
where
    R: Serialize + serde::de::DeserializeOwned,
{
    Pid::from_raw(process.id() as i32)
}

// ---------------------------------------------------------------------------------------------
// Counting
// ---------------------------------------------------------------------------------------------

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

/// More than have their entries in the semaphore's own cell.
#[test]
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

// ---------------------------------------------------------------------------------------------
// Time
// ---------------------------------------------------------------------------------------------

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

// ---------------------------------------------------------------------------------------------
// Permits
// ---------------------------------------------------------------------------------------------

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

// ---------------------------------------------------------------------------------------------
// The holder goes
// ---------------------------------------------------------------------------------------------

#[test]
fn permits_of_the_killed_reach_those_asleep() {
    let _watch = watch();
    let semaphore = Semaphore::new(2).unwrap();
    let process = holder(&semaphore, 2);
    let got = Queue::new().unwrap();
    let waiters = [(); 2].map(|()| waiter(&semaphore, &got));
    killed(process);
    for _ in 0..2 {
        got.get_timeout(LONG).unwrap();
    }
    for waiter in waiters {
        waiter.join().unwrap();
    }
    assert_eq!(semaphore.available(), 0, "two existed, and both were used up");
    assert_eq!(kind(semaphore.try_acquire()), ErrorKind::Busy);
}

#[test]
fn permits_of_the_killed_are_there_for_later_ones() {
    let _watch = watch();
    let semaphore = Semaphore::new(3).unwrap();
    for round in 0..20 {
        let process = holder(&semaphore, 1 + round % 3);
        assert_eq!(semaphore.available(), 2 - round % 3);
        killed(process);
        // The process is reaped, so its threads are gone too.
        until("they are back", || semaphore.available() == 3);
        drop([(); 3].map(|()| semaphore.try_acquire().unwrap()));
    }
}

#[test]
fn a_look_without_waiting_finds_what_the_dead_held() {
    let _watch = watch();
    let semaphore = Semaphore::new(1).unwrap();
    killed(holder(&semaphore, 1));
    until("it is back", || semaphore.try_acquire().is_ok());
}

#[test]
fn permits_of_a_child_that_ends_as_usual_come_back() {
    let _watch = watch();
    let forget = |semaphore: Semaphore| std::mem::forget(semaphore.acquire().unwrap());
    let leave = |semaphore: Semaphore| -> () {
        let _permit = semaphore.acquire().unwrap();
        std::process::exit(0)
    };
    let semaphore = Semaphore::new(1).unwrap();
    Process::spawn(forget, (&semaphore,)).unwrap().join().unwrap();
    drop(semaphore.acquire_timeout(LONG).unwrap());
    let process = Process::spawn(leave, (&semaphore,)).unwrap();
    process.handle().wait().unwrap();
    drop(semaphore.acquire_timeout(LONG).unwrap());
    assert_eq!(semaphore.available(), 1);
}

#[test]
fn forgotten_ones_never_come_back() {
    let _watch = watch();
    let semaphore = Semaphore::new(3).unwrap();
    let use_up = |semaphore: Semaphore, held: Event| {
        semaphore.acquire().unwrap().forget();
        semaphore.acquire_owned().unwrap().forget();
        let _permit = semaphore.acquire().unwrap();
        held.set();
        park();
    };
    let held = Event::new().unwrap();
    let process = Process::spawn(use_up, (&semaphore, &held)).unwrap();
    held.wait().unwrap();
    killed(process);
    drop(semaphore.acquire_timeout(LONG).unwrap());
    assert_eq!(semaphore.available(), 1, "the one that was not forgotten");
    let permit = semaphore.try_acquire().unwrap();
    assert_eq!(kind(semaphore.acquire_timeout(SHORT)), ErrorKind::Timeout);
    drop(permit);
}

#[test]
fn killed_waiters_leave_the_counts_right() {
    let _watch = watch();
    let semaphore = Semaphore::new(0).unwrap();
    let got = Queue::new().unwrap();
    let [one, two, three] = [(); 3].map(|()| waiter(&semaphore, &got));
    killed(one);
    killed(two);
    semaphore.release(1).unwrap();
    got.get_timeout(LONG).unwrap();
    three.join().unwrap();
    assert_eq!(semaphore.available(), 0);
    semaphore.release(1).unwrap();
    drop(semaphore.try_acquire().unwrap());
    assert_eq!(semaphore.available(), 1);
}

#[test]
fn a_waiter_killed_just_as_it_is_woken_strands_no_permit() {
    let _watch = watch();
    let pass = |semaphore: Semaphore, ready: Event| {
        ready.set();
        drop(semaphore.acquire().unwrap());
    };
    let semaphore = Semaphore::new(0).unwrap();
    for _ in 0..30 {
        let [victim, other] = [(); 2].map(|()| {
            let ready = Event::new().unwrap();
            let process = Process::spawn(pass, (&semaphore, &ready)).unwrap();
            ready.wait().unwrap();
            until_asleep(&process.handle());
            process
        });
        let handle = victim.handle();
        semaphore.release(1).unwrap();
        handle.kill().unwrap();
        drop(victim.join());
        other.join().unwrap();
        semaphore.acquire_timeout(LONG).unwrap().forget();
        assert_eq!(semaphore.available(), 0);
    }
}

#[test]
fn stopped_waiters_strand_no_permit() {
    let _watch = watch();
    let semaphore = Semaphore::new(1).unwrap();
    let permit = semaphore.acquire().unwrap();
    let got = Queue::new().unwrap();
    let waiters = [(); 3].map(|()| waiter(&semaphore, &got));
    // Whichever is woken first, one that runs gets it.
    let stopped = [pid(&waiters[0]), pid(&waiters[1])];
    for pid in stopped {
        kill(pid, Signal::SIGSTOP).unwrap();
    }
    drop(permit);
    assert_eq!(got.get_timeout(LONG).unwrap(), waiters[2].id());
    for pid in stopped {
        kill(pid, Signal::SIGCONT).unwrap();
    }
    semaphore.release(2).unwrap();
    for waiter in waiters {
        waiter.join().unwrap();
    }
    assert_eq!(semaphore.available(), 0);
}

#[test]
fn a_stopped_holder_keeps_its_permit() {
    let _watch = watch();
    let semaphore = Semaphore::new(1).unwrap();
    let process = holder(&semaphore, 1);
    kill(pid(&process), Signal::SIGSTOP).unwrap();
    assert_eq!(kind(semaphore.acquire_timeout(Duration::from_millis(120))), ErrorKind::Timeout);
    killed(process);
    drop(semaphore.acquire_timeout(LONG).unwrap());
}

#[test]
fn processes_killed_at_random_lose_and_double_nothing() {
    let _watch = watch();
    let semaphore = Semaphore::new(2).unwrap();
    let busy = |semaphore: Semaphore, ready: Event| -> () {
        ready.set();
        loop {
            let one = semaphore.acquire().unwrap();
            let two = semaphore.try_acquire();
            drop((one, two));
        }
    };
    for round in 0..60 {
        let ready = Event::new().unwrap();
        let children = [(); 2].map(|()| Process::spawn(busy, (&semaphore, &ready)).unwrap());
        ready.wait().unwrap();
        std::thread::sleep(Duration::from_micros(137 * (round % 11)));
        for child in children {
            killed(child);
        }
        let permits = [(); 2].map(|()| semaphore.acquire_timeout(LONG).unwrap());
        assert_eq!(kind(semaphore.try_acquire()), ErrorKind::Busy, "no more than there were");
        drop(permits);
        assert_eq!(semaphore.available(), 2);
    }
}

/// A process that has the permit all the time, each time for some milliseconds or for a moment, and counts how often.
fn greedy(semaphore: Semaphore, hold: Duration, turns: Queue<()>) {
    loop {
        let _permit = semaphore.acquire().unwrap();
        turns.put(()).unwrap();
        let end = Instant::now() + hold;
        while Instant::now() < end {
            std::hint::spin_loop();
        }
    }
}

#[test]
fn nobody_starves_beside_a_greedy_process() {
    let _watch = watch();
    for (hold, times) in [(Duration::ZERO, 200), (Duration::from_millis(5), 10)] {
        let (semaphore, turns) = (Semaphore::new(1).unwrap(), Queue::new().unwrap());
        let child = Process::spawn(greedy, (&semaphore, hold, &turns)).unwrap();
        turns.get().unwrap();
        for _ in 0..times {
            drop(semaphore.acquire_timeout(LONG).unwrap());
        }
        killed(child);
        if !hold.is_zero() {
            // Passed over now and then, but not again and again.
            let turns = turns.len();
            assert!(turns <= 10 * times, "{turns} turns of the other to {times} of one's own");
        }
    }
}

// ---------------------------------------------------------------------------------------------
// Fork
// ---------------------------------------------------------------------------------------------

#[test]
fn in_a_forked_child_inherited_permits_count_for_nothing() {
    let _watch = watch();
    let body = || {
        let semaphore = Semaphore::new(3).unwrap();
        let mut copy = Some((
            semaphore.acquire().unwrap(),
            semaphore.acquire_owned().unwrap(),
            semaphore.acquire().unwrap(),
        ));
        // SAFETY: this thread is the only one but the keeper, which is asleep; the child leaves by `_exit` below.
        let child = unsafe { libc::fork() };
        assert!(child >= 0);
        if child == 0 {
            let refused = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                let (one, two, three) = copy.take().unwrap();
                drop(one);
                drop(two);
                three.forget();
                assert_eq!(kind(semaphore.acquire()), ErrorKind::Foreign);
                assert_eq!(kind(semaphore.try_acquire_owned()), ErrorKind::Foreign);
                assert_eq!(kind(semaphore.release(1)), ErrorKind::Foreign);
                assert_eq!(semaphore.available(), 0);
            }));
            // SAFETY: ends the process; nothing follows.
            unsafe { libc::_exit(i32::from(refused.is_err())) };
        }
        let child = Pid::from_raw(child);
        assert_eq!(waitpid(child, None).unwrap(), WaitStatus::Exited(child, 0));
        assert_eq!(semaphore.available(), 0);
        drop(copy);
        assert_eq!(semaphore.available(), 3);
    };
    Process::spawn(body, ()).unwrap().join().unwrap();
}

// ---------------------------------------------------------------------------------------------
// Travelling
// ---------------------------------------------------------------------------------------------

#[derive(Serialize, Deserialize)]
struct Gym {
    lockers: Semaphore,
    showers: BoundedSemaphore,
}

#[test]
fn they_travel_inside_a_structure_and_outlive_their_maker() {
    let _watch = watch();
    let gyms = Queue::new().unwrap();
    let build = |gyms: Queue<Gym>| {
        let gym =
            Gym { lockers: Semaphore::new(5).unwrap(), showers: BoundedSemaphore::new(2).unwrap() };
        gym.lockers.acquire().unwrap().forget();
        // Comes back when this process has ended.
        std::mem::forget(gym.showers.acquire().unwrap());
        gyms.put(gym).unwrap();
    };
    Process::spawn(build, (&gyms,)).unwrap().join().unwrap();
    let gym = gyms.try_get().unwrap();
    assert_eq!(gym.lockers.available(), 4);
    until("the shower is free", || gym.showers.available() == 2);
    assert!(gym.showers.release(1).unwrap_err().is_limit());
}
