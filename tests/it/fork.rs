//! `fork`: what a forked child finds that inherits handles and guards.
//!
//! Forking is done by children made for it, whose only other thread is the crate's own.

// fork cannot be called without.
#![allow(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind};

use multiproc::{ErrorKind, Event, Lock, Process, Queue};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::common::{LONG, kind, park};
use crate::watchdog::watch;

/// Forks; the child runs `body`, which gets its pid, and ends with 0, or with 1 after a panic, by `_exit`.
fn fork(body: impl FnOnce()) -> Pid {
    // SAFETY:
    // - the process has one thread of its own, this one, and the crate's keeper, which is asleep and holds no lock of the
    //   allocator then, as glibc's fork sees to;
    // - the child leaves by `_exit` below and never returns into the caller's frames.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "{}", std::io::Error::last_os_error());
    if pid > 0 {
        return Pid::from_raw(pid);
    }
    let code = i32::from(catch_unwind(AssertUnwindSafe(body)).is_err());
    // SAFETY: ends the process; nothing follows.
    unsafe { libc::_exit(code) }
}

/// The forked child ended well.
fn ended_well(pid: Pid) {
    assert_eq!(waitpid(pid, None).unwrap(), WaitStatus::Exited(pid, 0));
}

fn killed(pid: Pid) {
    nix::sys::signal::kill(pid, Signal::SIGKILL).unwrap();
    assert_eq!(waitpid(pid, None).unwrap(), WaitStatus::Signaled(pid, Signal::SIGKILL, false));
}

fn new() -> (Lock, Event, Queue<String>) {
    (Lock::new().unwrap(), Event::new().unwrap(), Queue::new().unwrap())
}

#[test]
fn an_inherited_guard_is_not_the_childs_to_drop() {
    let _watch = watch();
    let body = || {
        let (lock, dropped, _) = new();
        let guard = lock.lock().unwrap();
        let owned = Lock::new().unwrap().lock_owned().unwrap();
        let mine = (guard, owned);
        let owner = lock.owner();
        // Both processes own a copy of the guards from here on.
        let mut copy = Some(mine);
        let child = fork(|| {
            drop(copy.take());
            dropped.set();
        });
        assert!(dropped.wait_timeout(LONG).unwrap());
        assert_eq!(lock.owner(), owner);
        assert_eq!(kind(lock.try_lock()), ErrorKind::Deadlock, "held here still");
        ended_well(child);
        assert_eq!(lock.owner(), owner);
        let tried = Process::spawn(|lock: Lock| kind(lock.try_lock()), (&lock,)).unwrap();
        assert_eq!(tried.join().unwrap(), ErrorKind::Busy);
        let (guard, owned) = copy.unwrap();
        drop(guard);
        drop(owned);
        drop(lock.lock().unwrap());
    };
    Process::spawn(body, ()).unwrap().join().unwrap();
}

#[test]
fn a_forked_child_locks_with_an_inherited_handle() {
    let _watch = watch();
    let body = || {
        let (lock, held, _) = new();
        let release = Event::new().unwrap();
        let child = fork(|| {
            let guard = lock.lock().unwrap();
            assert_eq!(lock.owner().unwrap().pid, std::process::id());
            held.set();
            release.wait().unwrap();
            drop(guard);
            drop(lock.lock().unwrap());
        });
        held.wait().unwrap();
        assert_eq!(kind(lock.try_lock()), ErrorKind::Busy);
        assert_eq!(lock.owner().unwrap().pid, child.as_raw() as u32);
        release.set();
        drop(lock.lock_timeout(LONG).unwrap());
        ended_well(child);
        drop(lock.lock().unwrap());
    };
    Process::spawn(body, ()).unwrap().join().unwrap();
}

#[test]
fn a_forked_child_is_excluded() {
    let _watch = watch();
    let body = || {
        let (lock, tried, _) = new();
        let guard = lock.lock().unwrap();
        let child = fork(|| {
            assert_eq!(kind(lock.try_lock()), ErrorKind::Busy, "not its own");
            tried.set();
            drop(lock.lock_timeout(LONG).unwrap());
        });
        tried.wait().unwrap();
        drop(guard);
        ended_well(child);
    };
    Process::spawn(body, ()).unwrap().join().unwrap();
}

#[test]
fn a_forked_child_puts_and_gets_with_inherited_handles() {
    let _watch = watch();
    let body = || {
        let (_, _, queue) = new();
        let back = Queue::new().unwrap();
        queue.put("before").unwrap();
        let child = fork(|| {
            assert_eq!(queue.get().unwrap(), "before");
            back.put(1).unwrap();
            assert_eq!(queue.get_timeout(LONG).unwrap(), "after");
            back.put(2).unwrap();
            back.put_bytes(&[3; 100_000]).unwrap();
        });
        assert_eq!(back.get_timeout(LONG).unwrap(), 1);
        queue.put("after").unwrap();
        assert_eq!(back.get_timeout(LONG).unwrap(), 2);
        assert!(back.get_bytes_timeout(LONG).unwrap() == vec![3; 100_000]);
        ended_well(child);
        queue.put("still").unwrap();
        assert_eq!(queue.get().unwrap(), "still");
    };
    Process::spawn(body, ()).unwrap().join().unwrap();
}

#[test]
fn the_death_of_a_forked_child_is_seen() {
    let _watch = watch();
    let body = || {
        let (lock, held, _) = new();
        let child = fork(|| {
            let _guard = lock.lock().unwrap();
            held.set();
            park();
        });
        held.wait().unwrap();
        std::thread::scope(|scope| {
            let waiter = scope.spawn(|| kind(lock.lock_timeout(LONG)));
            crate::common::until("a waiter sleeps", || {
                format!("{lock:?}").contains("waiters: true")
            });
            killed(child);
            assert_eq!(waiter.join().unwrap(), ErrorKind::OwnerDied);
        });
        let guard = lock.recover().unwrap();
        assert_eq!(guard.dead_owner().unwrap().pid, child.as_raw() as u32);
        drop(guard);
        // One that ends as usual, too.
        let child = fork(|| std::mem::forget(lock.lock().unwrap()));
        ended_well(child);
        assert_eq!(kind(lock.lock()), ErrorKind::OwnerDied);
    };
    Process::spawn(body, ()).unwrap().join().unwrap();
}

#[test]
fn the_death_of_the_parent_is_seen_by_its_forked_child() {
    let _watch = watch();
    let body = |outcome: Queue<ErrorKind>, ready: Event| {
        let lock = Lock::new().unwrap();
        let _guard = lock.lock().unwrap();
        fork(|| {
            ready.set();
            outcome.put(kind(lock.lock_timeout(LONG))).unwrap();
        });
        park();
    };
    let (outcome, ready) = (Queue::new().unwrap(), Event::new().unwrap());
    let process = Process::spawn(body, (&outcome, &ready)).unwrap();
    ready.wait().unwrap();
    crate::common::killed(process);
    assert_eq!(outcome.get_timeout(LONG).unwrap(), ErrorKind::OwnerDied);
}

#[test]
fn a_forked_child_makes_objects_of_its_own_and_passes_them() {
    let _watch = watch();
    let body = || {
        let locks: Queue<Lock> = Queue::new().unwrap();
        let release = Event::new().unwrap();
        let child = fork(|| {
            let lock = Lock::new().unwrap();
            let _guard = lock.lock().unwrap();
            locks.put(&lock).unwrap();
            release.wait().unwrap();
        });
        let lock = locks.get_timeout(LONG).unwrap();
        assert_eq!(lock.owner().unwrap().pid, child.as_raw() as u32);
        assert_eq!(kind(lock.try_lock()), ErrorKind::Busy);
        release.set();
        ended_well(child);
        drop(lock.lock().unwrap());
    };
    Process::spawn(body, ()).unwrap().join().unwrap();
}

#[test]
fn what_a_forked_child_drops_stays_the_parents() {
    let _watch = watch();
    let body = || {
        let (lock, _, queue) = new();
        queue.put("inside").unwrap();
        let (producer, consumer) = Queue::<u32>::new().unwrap().split();
        let mut all = Some((lock.clone(), queue.clone(), producer, consumer));
        drop((lock, queue));
        let child = fork(|| drop(all.take()));
        ended_well(child);
        // What would be free now is handed out again.
        let others: Vec<Queue<u32>> = (0..20).map(|_| Queue::new().unwrap()).collect();
        let (lock, queue, producer, consumer) = all.unwrap();
        drop(lock.try_lock().unwrap());
        assert_eq!(queue.get().unwrap(), "inside");
        producer.put(1).unwrap();
        assert_eq!(consumer.get().unwrap(), 1);
        assert_eq!(kind(consumer.try_get()), ErrorKind::Empty);
        drop(producer);
        assert_eq!(kind(consumer.get_timeout(LONG)), ErrorKind::Closed);
        drop(others);
    };
    Process::spawn(body, ()).unwrap().join().unwrap();
}

#[test]
fn a_fork_of_a_fork_works_alike() {
    let _watch = watch();
    let body = || {
        let (lock, _, queue) = new();
        let child = fork(|| {
            let inner = fork(|| {
                let _guard = lock.lock().unwrap();
                queue.put("from the grandchild").unwrap();
            });
            ended_well(inner);
            let _guard = lock.lock().unwrap();
            queue.put("from the child").unwrap();
        });
        assert_eq!(queue.get_timeout(LONG).unwrap(), "from the grandchild");
        assert_eq!(queue.get_timeout(LONG).unwrap(), "from the child");
        ended_well(child);
        drop(lock.lock().unwrap());
    };
    Process::spawn(body, ()).unwrap().join().unwrap();
}

#[test]
fn more_processes_come_and_go_than_there_are_places() {
    let _watch = watch();
    let body = || {
        let queue: Queue<u32> = Queue::new().unwrap();
        for start in 0..110 {
            let some: Vec<Pid> =
                (0..10).map(|n| fork(|| queue.put(start * 10 + n).unwrap())).collect();
            some.into_iter().for_each(ended_well);
        }
        let mut got = queue.get_many(2000).unwrap();
        got.sort_unstable();
        assert!(got.into_iter().eq(0..1100));
    };
    Process::spawn(body, ()).unwrap().join().unwrap();
}
