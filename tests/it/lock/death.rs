//! Every way in which a holder, or a waiter, can go.

use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::Command;
use std::time::Duration;

use multiproc::{ErrorKind, Event, Lock, Process, Queue};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{holder, tried_elsewhere};
use crate::common::{LONG, killed, kind, park, quiet, until, until_asleep};
use crate::watchdog::watch;

fn report(lock: Lock, ready: Event, outcome: Queue<ErrorKind>) {
    ready.set();
    match lock.lock() {
        Ok(_) => outcome.put(ErrorKind::Other).unwrap(),
        Err(error) => outcome.put(error.kind()).unwrap(),
    }
}

/// Everything about a poisoned lock, and that it is as new once it is recovered.
fn check_poisoned_then_recover(lock: &Lock, dead: Option<u32>) {
    assert!(lock.lock().unwrap_err().is_owner_died());
    assert!(lock.try_lock().unwrap_err().is_owner_died());
    assert!(lock.lock_timeout(LONG).unwrap_err().is_owner_died());
    assert!(lock.lock_owned().unwrap_err().is_owner_died());
    assert!(tried_elsewhere(lock).unwrap_err().is_owner_died(), "for everyone");
    let guard = lock.recover().unwrap();
    if dead.is_some() {
        assert_eq!(guard.dead_owner().map(|owner| owner.pid), dead);
    }
    assert!(tried_elsewhere(lock).unwrap_err().is_owner_died(), "until it is recovered");
    drop(guard);
    let guard = lock.lock().unwrap();
    assert_eq!(guard.dead_owner(), None);
    assert!(tried_elsewhere(lock).unwrap_err().is_busy());
    drop(guard);
    tried_elsewhere(lock).unwrap();
    assert_eq!(lock.recover().unwrap().dead_owner(), None, "one that is not poisoned");
}

#[test]
fn a_killed_holder_is_told_to_those_asleep_and_to_later_ones() {
    let _watch = watch();
    let lock = Lock::new().unwrap();
    let process = holder(&lock);
    let outcome = Queue::new().unwrap();
    let waiters: Vec<_> = (0..3)
        .map(|_| {
            let ready = Event::new().unwrap();
            let waiter = Process::spawn(report, (&lock, &ready, &outcome)).unwrap();
            ready.wait().unwrap();
            until_asleep(&waiter.handle());
            waiter
        })
        .collect();
    assert!(format!("{lock:?}").contains("waiters: true"));
    let dead = process.id();
    killed(process);
    for _ in 0..3 {
        assert_eq!(outcome.get_timeout(LONG).unwrap(), ErrorKind::OwnerDied);
    }
    for waiter in waiters {
        waiter.join().unwrap();
    }
    check_poisoned_then_recover(&lock, Some(dead));
}

#[test]
fn a_recoverer_asleep_gets_the_lock_of_the_killed() {
    let _watch = watch();
    let lock = Lock::new().unwrap();
    let process = holder(&lock);
    let dead = process.id();
    std::thread::scope(|scope| {
        let recoverer = scope.spawn(|| lock.recover().unwrap().dead_owner());
        until("a waiter sleeps", || format!("{lock:?}").contains("waiters: true"));
        killed(process);
        assert_eq!(recoverer.join().unwrap().map(|owner| owner.pid), Some(dead));
    });
    drop(lock.lock().unwrap());
}

#[test]
fn a_recovery_that_panics_or_dies_leaves_the_poison() {
    let _watch = watch();
    let lock = Lock::new().unwrap();
    killed(holder(&lock));
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        let _guard = lock.recover().unwrap();
        resume_unwind(Box::new(()));
    }));
    assert!(unwound.is_err());
    assert!(lock.lock().unwrap_err().is_owner_died());
    let recover = |lock: Lock, held: Event| {
        let _guard = lock.recover().unwrap();
        held.set();
        park();
    };
    let held = Event::new().unwrap();
    let process = Process::spawn(recover, (&lock, &held)).unwrap();
    held.wait().unwrap();
    assert_eq!(kind(lock.try_recover()), ErrorKind::Busy);
    let dead = process.id();
    killed(process);
    check_poisoned_then_recover(&lock, Some(dead));
}

#[test]
fn a_lock_that_guards_nothing_ignores_death() {
    let _watch = watch();
    let lock = Lock::builder().ignore_owner_death(true).build().unwrap();
    killed(holder(&lock));
    let guard = lock.lock().unwrap();
    assert!(tried_elsewhere(&lock).unwrap_err().is_busy());
    drop(guard);
    tried_elsewhere(&lock).unwrap();
    // And one that sleeps simply gets it.
    let process = holder(&lock);
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| lock.lock().map(drop));
        until("a waiter sleeps", || format!("{lock:?}").contains("waiters: true"));
        killed(process);
        waiter.join().unwrap().unwrap();
    });
    let ordinary = Lock::builder().ignore_owner_death(false).build().unwrap();
    killed(holder(&ordinary));
    assert!(ordinary.lock().unwrap_err().is_owner_died());
}

#[test]
fn a_killed_waiter_holds_nobody_up() {
    let _watch = watch();
    let lock = Lock::new().unwrap();
    let guard = lock.lock().unwrap();
    let outcome = Queue::new().unwrap();
    let mut waiters = Vec::new();
    for _ in 0..4 {
        let ready = Event::new().unwrap();
        let waiter = Process::spawn(report, (&lock, &ready, &outcome)).unwrap();
        ready.wait().unwrap();
        until_asleep(&waiter.handle());
        waiters.push(waiter);
    }
    killed(waiters.remove(0));
    killed(waiters.remove(1));
    drop(guard);
    for waiter in waiters {
        assert_eq!(outcome.get_timeout(LONG).unwrap(), ErrorKind::Other, "it locked");
        waiter.join().unwrap();
    }
    drop(lock.lock().unwrap());
}

#[test]
fn a_stopped_waiter_holds_nobody_up() {
    let _watch = watch();
    let lock = Lock::new().unwrap();
    let guard = lock.lock().unwrap();
    let outcome = Queue::new().unwrap();
    let waiters = [(); 3].map(|()| {
        let ready = Event::new().unwrap();
        let waiter = Process::spawn(report, (&lock, &ready, &outcome)).unwrap();
        ready.wait().unwrap();
        until_asleep(&waiter.handle());
        waiter
    });
    // Whichever the unlocking wakes first, one that runs gets it.
    let stopped = [&waiters[0], &waiters[1]].map(|waiter| Pid::from_raw(waiter.id() as i32));
    for pid in stopped {
        kill(pid, Signal::SIGSTOP).unwrap();
    }
    drop(guard);
    assert_eq!(outcome.get_timeout(LONG).unwrap(), ErrorKind::Other, "it locked");
    for pid in stopped {
        kill(pid, Signal::SIGCONT).unwrap();
    }
    for waiter in waiters {
        waiter.join().unwrap();
    }
    assert_eq!(outcome.get_many(9).unwrap(), [ErrorKind::Other; 2]);
}

#[test]
fn a_stopped_holder_is_waited_for() {
    let _watch = watch();
    let lock = Lock::new().unwrap();
    let process = holder(&lock);
    let pid = Pid::from_raw(process.id() as i32);
    kill(pid, Signal::SIGSTOP).unwrap();
    assert_eq!(kind(lock.lock_timeout(Duration::from_millis(200))), ErrorKind::Timeout);
    assert_eq!(lock.owner().unwrap().pid, process.id(), "it lives");
    // Killed while it is stopped.
    killed(process);
    assert!(lock.lock().unwrap_err().is_owner_died());
}

#[test]
fn a_thread_that_ends_while_it_holds_is_dead() {
    let _watch = watch();
    let lock = Lock::new().unwrap();
    let end = |lock: Lock| std::mem::forget(lock.lock().unwrap());
    std::thread::spawn({
        let lock = lock.clone();
        move || end(lock)
    })
    .join()
    .unwrap();
    check_poisoned_then_recover(&lock, None);
    // The same with one that waits for it.
    let (held, go) = (Event::new().unwrap(), Event::new().unwrap());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::mem::forget(lock.lock().unwrap());
            held.set();
            go.wait().unwrap();
        });
        held.wait().unwrap();
        let waiter = scope.spawn(|| kind(lock.lock()));
        until("a waiter sleeps", || format!("{lock:?}").contains("waiters: true"));
        go.set();
        assert_eq!(waiter.join().unwrap(), ErrorKind::OwnerDied);
    });
    drop(lock.recover().unwrap());
    // And in a process that lives on.
    let in_thread = |lock: Lock, gone: Event, quit: Event| {
        std::thread::scope(|scope| {
            scope.spawn(|| std::mem::forget(lock.lock().unwrap()));
        });
        gone.set();
        quit.wait().unwrap();
    };
    let (gone, quit) = (Event::new().unwrap(), Event::new().unwrap());
    let process = Process::spawn(in_thread, (&lock, &gone, &quit)).unwrap();
    gone.wait().unwrap();
    assert!(lock.lock().unwrap_err().is_owner_died());
    assert!(process.is_alive());
    quit.set();
    process.join().unwrap();
    check_poisoned_then_recover(&lock, None);
}

#[test]
fn a_child_that_ends_as_usual_while_it_holds_is_dead() {
    let _watch = watch();
    let forget = |lock: Lock| std::mem::forget(lock.lock().unwrap());
    let leave = |lock: Lock| -> () {
        let _guard = lock.lock().unwrap();
        std::process::exit(0)
    };
    for process in [false, true] {
        let lock = Lock::new().unwrap();
        let builder = Process::builder();
        let process = if process {
            builder.spawn(leave, (&lock,)).unwrap()
        } else {
            builder.spawn(forget, (&lock,)).unwrap()
        };
        let dead = process.id();
        process.handle().wait().unwrap();
        check_poisoned_then_recover(&lock, Some(dead));
    }
}

#[test]
fn a_child_that_panics_releases_its_lock() {
    let _watch = watch();
    let lock = Lock::new().unwrap();
    let fail = |lock: Lock| -> () {
        let _guard = lock.lock().unwrap();
        panic!("while it holds")
    };
    let error = quiet().spawn(fail, (&lock,)).unwrap().join().unwrap_err();
    assert_eq!(error.child().unwrap().message(), Some("while it holds"));
    drop(lock.lock().unwrap());
}

/// Becomes another program that runs until its input ends.
fn become_cat(lock: &Lock, held: &Event) {
    let _guard = lock.lock().unwrap();
    held.set();
    let error = Command::new("/bin/cat").exec();
    panic!("{error}");
}

#[test]
fn an_exec_while_holding_is_a_death() {
    let _watch = watch();
    let main = |lock: Lock, held: Event| become_cat(&lock, &held);
    let thread = |lock: Lock, held: Event| {
        std::thread::spawn(move || become_cat(&lock, &held));
        park();
    };
    for from_main in [true, false] {
        let lock = Lock::new().unwrap();
        let held = Event::new().unwrap();
        let (input, gate) = std::io::pipe().unwrap();
        let builder = Process::builder().stdin(input);
        let process = if from_main {
            builder.spawn(main, (&lock, &held)).unwrap()
        } else {
            builder.spawn(thread, (&lock, &held)).unwrap()
        };
        held.wait().unwrap();
        // It sleeps until the program is another one, which lives on.
        assert_eq!(kind(lock.lock_timeout(LONG)), ErrorKind::OwnerDied, "main: {from_main}");
        assert!(process.is_alive());
        drop(gate);
        let error = process.join().unwrap_err();
        assert_eq!(error.child().unwrap().exit_code(), Some(0), "{error:?}");
        check_poisoned_then_recover(&lock, None);
    }
}
