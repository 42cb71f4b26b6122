//! `Lock`: exclusion, time, owners, and every way in which a holder can go.

use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::Command;
use std::time::{Duration, Instant};

use multiproc::{ErrorKind, Event, Lock, LockGuard, OwnedLockGuard, Owner, Process, Queue, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::ser::Impossible;
use serde::{Deserialize, Serialize, Serializer};

use crate::common::{LONG, SHORT, killed, kind, park, quiet, until, until_asleep};
use crate::watchdog::watch;

fn here() -> Owner {
    Owner { pid: std::process::id(), tid: nix::unistd::gettid().as_raw() as u32 }
}

fn hold(lock: Lock, held: Event) {
    let _guard = lock.lock().unwrap();
    held.set();
    park();
}

/// A child that holds the lock until it is killed.
fn holder(lock: &Lock) -> Process<()> {
    let held = Event::new().unwrap();
    let process = Process::spawn(hold, (lock, &held)).unwrap();
    held.wait().unwrap();
    process
}

fn hold_until(lock: Lock, held: Event, release: Event) {
    let _guard = lock.lock().unwrap();
    held.set();
    release.wait().unwrap();
}

fn try_it(lock: Lock) -> Result<()> {
    lock.try_lock().map(drop)
}

/// What another process gets that tries the lock.
fn tried_elsewhere(lock: &Lock) -> Result<()> {
    Process::spawn(try_it, (lock,)).unwrap().join().unwrap()
}

// ---------------------------------------------------------------------------------------------
// Exclusion
// ---------------------------------------------------------------------------------------------

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

// ---------------------------------------------------------------------------------------------
// Time
// ---------------------------------------------------------------------------------------------

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

// ---------------------------------------------------------------------------------------------
// What can be asked
// ---------------------------------------------------------------------------------------------

#[test]
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

// ---------------------------------------------------------------------------------------------
// Guards
// ---------------------------------------------------------------------------------------------

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
    // Its cell is not given to another lock.
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
    // Whether or not the cells are used again, these are new locks.
    for _ in 0..3000 {
        let lock = Lock::new().unwrap();
        assert_eq!((lock.owner(), lock.is_locked()), (None, false));
        drop(lock.try_lock().unwrap());
    }
}

// ---------------------------------------------------------------------------------------------
// The holder goes
// ---------------------------------------------------------------------------------------------

fn report(lock: Lock, ready: Event, outcome: Queue<ErrorKind>) {
    ready.set();
    match lock.lock() {
        Ok(_) => outcome.put(ErrorKind::Other).unwrap(),
        Err(error) => outcome.put(error.kind()).unwrap(),
    }
}

/// Everything about a marked lock, and that it is as new once it is recovered.
fn check_marked_then_recover(lock: &Lock, dead: Option<u32>) {
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
    assert_eq!(lock.recover().unwrap().dead_owner(), None, "one that is not marked");
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
    check_marked_then_recover(&lock, Some(dead));
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
fn a_recovery_that_panics_or_dies_leaves_the_mark() {
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
    check_marked_then_recover(&lock, Some(dead));
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
    check_marked_then_recover(&lock, None);
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
    check_marked_then_recover(&lock, None);
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
        check_marked_then_recover(&lock, Some(dead));
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
        check_marked_then_recover(&lock, None);
    }
}

// ---------------------------------------------------------------------------------------------
// Travelling
// ---------------------------------------------------------------------------------------------

fn make_and_hold(out: Queue<Lock>, release: Event) {
    let lock = Lock::new().unwrap();
    let _guard = lock.lock().unwrap();
    out.put(&lock).unwrap();
    release.wait().unwrap();
}

#[test]
fn a_lock_made_by_a_child_goes_to_its_sibling() {
    let _watch = watch();
    let (locks, release) = (Queue::new().unwrap(), Event::new().unwrap());
    let maker = Process::spawn(make_and_hold, (&locks, &release)).unwrap();
    let pid = maker.id();
    let use_it = |locks: Queue<Lock>, release: Event, maker: u32| {
        let lock = locks.get().unwrap();
        assert_eq!(lock.owner().unwrap().pid, maker);
        assert_eq!(kind(lock.try_lock()), ErrorKind::Busy);
        release.set();
        drop(lock.lock().unwrap());
        locks.put(lock).unwrap();
    };
    let sibling = Process::spawn(use_it, (&locks, &release, pid)).unwrap();
    maker.join().unwrap();
    sibling.join().unwrap();
    // Both that ever had it are gone; it was on its way.
    let lock = locks.try_get().unwrap();
    drop(lock.lock().unwrap());
}

#[derive(Serialize, Deserialize)]
struct Shop {
    name: String,
    doors: Vec<Lock>,
    open: Option<Event>,
    back: Queue<Shop>,
}

#[test]
fn handles_travel_inside_a_structure() {
    let _watch = watch();
    let shop = Shop {
        name: "corner".to_owned(),
        doors: (0..3).map(|_| Lock::new().unwrap()).collect(),
        open: Some(Event::new().unwrap()),
        back: Queue::new().unwrap(),
    };
    let visit = |mut shop: Shop| {
        assert_eq!(kind(shop.doors[1].try_lock()), ErrorKind::Busy);
        drop(shop.doors[2].try_lock().unwrap());
        shop.open.as_ref().unwrap().set();
        shop.doors.swap(0, 1);
        shop.name.push_str(" shop");
        let back = shop.back.clone();
        back.put(shop).unwrap();
    };
    let guard = shop.doors[1].lock().unwrap();
    let process = Process::spawn(visit, (&shop,)).unwrap();
    let returned = shop.back.get().unwrap();
    process.join().unwrap();
    assert!(shop.open.as_ref().unwrap().is_set());
    assert_eq!(returned.name, "corner shop");
    assert_eq!(kind(returned.doors[0].try_lock()), ErrorKind::Deadlock, "held here");
    drop(guard);
    drop(returned.doors[0].try_lock().unwrap());
}

#[test]
fn one_handle_twice_in_a_message_is_one_lock() {
    let lock = Lock::new().unwrap();
    let queue: Queue<(Lock, Lock)> = Queue::new().unwrap();
    queue.put((lock.clone(), lock.clone())).unwrap();
    let (one, two) = queue.get().unwrap();
    let _guard = one.lock().unwrap();
    assert_eq!(kind(two.try_lock()), ErrorKind::Deadlock);
    assert_eq!(kind(lock.try_lock()), ErrorKind::Deadlock);
}

/// A format of our own, as JSON would be: refuses everything but tells what it was told.
struct Elsewhere;

#[derive(Debug)]
struct Told(String);

impl std::fmt::Display for Told {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Told {}

impl serde::ser::Error for Told {
    fn custom<T: std::fmt::Display>(text: T) -> Told {
        Told(text.to_string())
    }
}

macro_rules! written {
    ($($method:ident($($type:ty),*);)*) => {$(
        fn $method(self, $(_: $type),*) -> std::result::Result<(), Told> {
            Err(Told("it was written".to_owned()))
        }
    )*};
}

macro_rules! opened {
    ($($method:ident($($type:ty),*) -> $answer:ident;)*) => {$(
        fn $method(self, $(_: $type),*) -> std::result::Result<Self::$answer, Told> {
            Err(Told("it was written".to_owned()))
        }
    )*};
}

impl Serializer for Elsewhere {
    type Ok = ();
    type Error = Told;
    type SerializeSeq = Impossible<(), Told>;
    type SerializeTuple = Impossible<(), Told>;
    type SerializeTupleStruct = Impossible<(), Told>;
    type SerializeTupleVariant = Impossible<(), Told>;
    type SerializeMap = Impossible<(), Told>;
    type SerializeStruct = Impossible<(), Told>;
    type SerializeStructVariant = Impossible<(), Told>;

    written! {
        serialize_bool(bool); serialize_char(char); serialize_str(&str); serialize_bytes(&[u8]);
        serialize_i8(i8); serialize_i16(i16); serialize_i32(i32); serialize_i64(i64);
        serialize_u8(u8); serialize_u16(u16); serialize_u32(u32); serialize_u64(u64);
        serialize_f32(f32); serialize_f64(f64); serialize_none(); serialize_unit();
        serialize_unit_struct(&'static str); serialize_unit_variant(&'static str, u32, &'static str);
    }
    opened! {
        serialize_seq(Option<usize>) -> SerializeSeq;
        serialize_tuple(usize) -> SerializeTuple;
        serialize_tuple_struct(&'static str, usize) -> SerializeTupleStruct;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> SerializeTupleVariant;
        serialize_map(Option<usize>) -> SerializeMap;
        serialize_struct(&'static str, usize) -> SerializeStruct;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> SerializeStructVariant;
    }

    fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> std::result::Result<(), Told> {
        self.serialize_unit()
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: &T,
    ) -> std::result::Result<(), Told> {
        self.serialize_unit()
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> std::result::Result<(), Told> {
        self.serialize_unit()
    }
}

#[test]
fn a_handle_written_elsewhere_is_a_clear_error() {
    let (lock, event, queue) =
        (Lock::new().unwrap(), Event::new().unwrap(), Queue::<u8>::new().unwrap());
    let (producer, consumer) = Queue::<u8>::new().unwrap().split();
    for refused in [
        lock.serialize(Elsewhere),
        event.serialize(Elsewhere),
        queue.serialize(Elsewhere),
        producer.serialize(Elsewhere),
        consumer.serialize(Elsewhere),
    ] {
        let text = refused.unwrap_err().0;
        assert!(text.contains("a shared object can travel only in"), "{text}");
    }
    assert!(postcard::to_stdvec(&lock).is_err());
}

#[test]
fn a_handle_read_from_elsewhere_is_a_clear_error() {
    use serde::de::value::{Error, SeqDeserializer};
    fn read<'de, T: Deserialize<'de>>() -> String {
        let bytes = SeqDeserializer::<_, Error>::new([0_u64, 0].into_iter());
        T::deserialize(bytes).map(drop).unwrap_err().to_string()
    }
    for text in [read::<Lock>(), read::<Event>(), read::<Queue<u8>>()] {
        assert!(text.contains("only from a message of its own process tree"), "{text}");
    }
    assert!(postcard::from_bytes::<Lock>(&[0; 16]).is_err());
}
