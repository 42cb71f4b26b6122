//! Every way in which a holder, or a waiter, can go.

use std::time::{Duration, Instant};

use multiproc::{ErrorKind, Event, Process, Queue, Semaphore};
use nix::sys::signal::{Signal, kill};

use super::{holder, pid, waiter};
use crate::common::{LONG, SHORT, killed, kind, park, until, until_asleep};
use crate::watchdog::watch;

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
fn hundreds_of_permits_of_the_killed_come_back() {
    let _watch = watch();
    let semaphore = Semaphore::new(200).unwrap();
    for own in [0, 1, 150] {
        let held: Vec<_> = (0..own).map(|_| semaphore.acquire().unwrap()).collect();
        let process = holder(&semaphore, 200 - own);
        assert_eq!(kind(semaphore.try_acquire()), ErrorKind::Busy);
        killed(process);
        until("they are back", || semaphore.available() == 200 - own);
        drop(held);
        assert_eq!(semaphore.available(), 200);
    }
}

#[test]
fn an_attempt_without_waiting_finds_what_the_dead_held() {
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
