//! `fork`: what a forked child finds that inherits handles and guards.
//!
//! Forking is done by children made for it, whose only other thread is the crate's own.

// fork cannot be called without.
#![allow(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind};

use multiproc::{
    Barrier, Condition, Connection, ErrorKind, Event, JoinableQueue, Lock, Manager, Pipe, Pool,
    Process, Queue, RLock,
};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::common::{LONG, kind, park};
use crate::watchdog::watch;

/// Forks; the child runs `body`, which gets its pid, and ends with 0, or with 1 after a panic, by `_exit`.
pub(crate) fn fork(body: impl FnOnce()) -> Pid {
    // SAFETY:
    // - the process has one thread of its own, this one, and the crate's: its keeper, which is asleep, and perhaps a pool's. None
    //   holds a lock of the allocator then, as glibc's fork sees to, and the child asks before any other lock who it is;
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
pub(crate) fn ended_well(pid: Pid) {
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
        let (lock, _, _) = new();
        let guard = lock.lock().unwrap();
        let owned = Lock::new().unwrap().lock_owned().unwrap();
        let mine = (guard, owned);
        let owner = lock.owner();
        // Both processes own a copy of the guards from here on.
        let mut copy = Some(mine);
        let child = fork(|| drop(copy.take()));
        ended_well(child);
        assert_eq!(kind(lock.try_lock()), ErrorKind::Deadlock, "held here still");
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
fn inherited_handles_are_refused() {
    let _watch = watch();
    let body = || {
        let (lock, event, queue) = new();
        let (producer, consumer) = Queue::<u32>::new().unwrap().split();
        let child = fork(|| {
            let error = lock.lock().unwrap_err();
            assert!(
                error.is_foreign() && error.to_string().contains("inherited over a fork"),
                "{error}"
            );
            assert_eq!(kind(lock.try_lock()), ErrorKind::Foreign);
            assert_eq!(kind(lock.lock_owned()), ErrorKind::Foreign);
            assert_eq!(kind(lock.recover()), ErrorKind::Foreign);
            assert_eq!(kind(event.wait()), ErrorKind::Foreign);
            event.set();
            assert_eq!(kind(queue.put("text")), ErrorKind::Foreign);
            assert_eq!(kind(queue.put_bytes(&[0; 100_000])), ErrorKind::Foreign);
            assert_eq!(kind(queue.get()), ErrorKind::Foreign);
            assert_eq!(kind(queue.clone().try_get()), ErrorKind::Foreign);
            assert_eq!(kind(producer.put(1)), ErrorKind::Foreign);
            assert_eq!(kind(consumer.get_timeout(LONG)), ErrorKind::Foreign);
            assert_eq!(kind(queue.close()), ErrorKind::Foreign);
            let started = Process::spawn(|lock: Lock| drop(lock), (&lock,));
            assert_eq!(kind(started), ErrorKind::Foreign);
            assert!(!format!("{lock:?} {event:?} {queue:?} {producer:?} {consumer:?}").is_empty());
        });
        ended_well(child);
        assert!(!event.is_set());
        assert!(!queue.is_closed() && queue.is_empty());
        drop(lock.lock().unwrap());
    };
    Process::spawn(body, ()).unwrap().join().unwrap();
}

#[test]
fn what_many_use_together_is_refused_too() {
    let _watch = watch();
    let body = || {
        let (rlock, condition) = (RLock::new().unwrap(), Condition::new().unwrap());
        let barrier = Barrier::new(2).unwrap();
        let tasks = JoinableQueue::<u32>::new().unwrap();
        tasks.put(1).unwrap();
        let task = tasks.get().unwrap();
        let guard = rlock.lock().unwrap();
        let mut inherited = Some((task, guard));
        let child = fork(|| {
            let (task, mut guard) = inherited.take().unwrap();
            assert_eq!(kind(rlock.lock()), ErrorKind::Foreign);
            assert_eq!(kind(condition.wait(&mut guard)), ErrorKind::Foreign);
            condition.notify_all();
            assert_eq!(kind(barrier.wait()), ErrorKind::Foreign);
            assert_eq!(kind(barrier.party()), ErrorKind::Foreign);
            assert_eq!(kind(tasks.put(2)), ErrorKind::Foreign);
            assert_eq!(kind(tasks.try_get()), ErrorKind::Foreign);
            assert_eq!(kind(tasks.join()), ErrorKind::Foreign);
            assert_eq!(kind(task.done()), ErrorKind::Foreign);
            drop(guard);
            assert!(!format!("{rlock:?} {condition:?} {barrier:?} {tasks:?}").is_empty());
        });
        ended_well(child);
        assert!(!barrier.is_broken());
        let (task, guard) = inherited.unwrap();
        assert_eq!(kind(tasks.try_get()), ErrorKind::Empty, "the task is here still");
        task.done().unwrap();
        tasks.join().unwrap();
        drop(guard);
        drop(rlock.lock().unwrap());
    };
    Process::spawn(body, ()).unwrap().join().unwrap();
}

#[test]
fn inherited_pools_and_managers_are_inert() {
    let _watch = watch();
    let body = || {
        let pool = Pool::with_workers(1).unwrap();
        assert_eq!(pool.apply(|n: u32| n + 1, (1,)).unwrap(), 2);
        let manager = Manager::new().unwrap();
        let dict = manager.dict::<String, u32>().unwrap();
        dict.insert("a", 1).unwrap();
        // Two results behind the one that is taken wait in shared memory.
        let go = Event::new().unwrap();
        let make = |(x, go): (u8, Event)| {
            match x {
                0 => go.wait().unwrap(),
                3 => go.set(),
                _ => {}
            }
            vec![x; 100_000]
        };
        let two = Pool::with_workers(2).unwrap();
        let mut results = two.imap(make, (0..4).map(move |x| (x, go.clone())));
        assert!(results.next().unwrap().unwrap() == [0; 100_000]);
        let result = pool.apply_async(|n: u32| n + 1, (3,));
        let mut inherited = Some((pool, manager, dict, results));
        let child = fork(|| {
            let (pool, manager, dict, mut results) = inherited.take().unwrap();
            assert_eq!(kind(results.next().unwrap()), ErrorKind::Foreign);
            assert!(results.next().is_none());
            drop(results);
            assert_eq!(kind(pool.apply(|n: u32| n + 1, (1,))), ErrorKind::Foreign);
            assert_eq!(kind(result.wait_timeout(LONG)), ErrorKind::Foreign);
            assert!(!result.is_ready());
            assert_eq!(kind(dict.get("a")), ErrorKind::Foreign);
            assert_eq!(kind(manager.list::<u32>()), ErrorKind::Foreign);
            drop((pool, manager, dict));
        });
        ended_well(child);
        let (pool, manager, dict, mut results) = inherited.unwrap();
        assert_eq!(result.get().unwrap(), 4);
        assert_eq!(pool.apply(|n: u32| n + 1, (2,)).unwrap(), 3);
        assert_eq!(dict.get("a").unwrap(), Some(1));
        for (x, result) in (1..4).zip(results.by_ref()) {
            assert!(result.unwrap() == [x; 100_000]);
        }
        assert!(results.next().is_none());
        drop(manager);
    };
    Process::spawn(body, ()).unwrap().join().unwrap();
}

#[test]
fn inherited_ends_of_pipes_are_inert() {
    let _watch = watch();
    let body = || {
        let (mut a, mut b) = Pipe::duplex::<u32, u32>().unwrap();
        let queue = Queue::<u32>::new().unwrap();
        a.send(1).unwrap();
        let child = fork(|| {
            assert_eq!(kind(a.send(2)), ErrorKind::Foreign);
            assert_eq!(kind(a.send_bytes(&[0; 100_000])), ErrorKind::Foreign);
            assert_eq!(kind(b.recv()), ErrorKind::Foreign);
            assert_eq!(kind(b.try_recv_with(|_| ())), ErrorKind::Foreign);
            assert_eq!(kind(b.poll(LONG)), ErrorKind::Foreign);
            let started = Process::spawn(|_: Connection<u32, u32>| (), (&b,));
            assert_eq!(kind(started), ErrorKind::Foreign);
            assert!(!format!("{a:?} {b:?} {queue:?}").is_empty());
        });
        ended_well(child);
        // Neither its attempts nor its end did anything to the ends here.
        a.send(3).unwrap();
        assert_eq!((b.recv().unwrap(), b.recv().unwrap()), (1, 3));
        let mut both = Some((a, b));
        let child = fork(|| drop(both.take()));
        ended_well(child);
        let (mut a, mut b) = both.unwrap();
        b.send(4).unwrap();
        assert_eq!(a.recv().unwrap(), 4);
    };
    Process::spawn(body, ()).unwrap().join().unwrap();
}

#[test]
#[cfg_attr(feature = "raw-sync", ignore = "it kills: raw_sync is not robust")]
fn a_forked_child_shares_objects_of_its_own() {
    let _watch = watch();
    let body = || {
        drop(new());
        let child = fork(|| {
            let (lock, event, queue) = new();
            let held = |lock: Lock, event: Event, queue: Queue<String>| {
                let _guard = lock.lock().unwrap();
                event.set();
                queue.put("held").unwrap();
                park();
            };
            let holder = Process::spawn(held, (&lock, &event, &queue)).unwrap();
            event.wait().unwrap();
            assert_eq!(queue.get().unwrap(), "held");
            assert_eq!(kind(lock.try_lock()), ErrorKind::Busy);
            crate::common::killed(holder);
            assert_eq!(kind(lock.lock()), ErrorKind::OwnerDied);
            drop(lock.recover().unwrap());
            let inner = fork(|| {
                assert_eq!(kind(lock.lock()), ErrorKind::Foreign);
                drop(Lock::new().unwrap().lock().unwrap());
            });
            ended_well(inner);
            drop(lock.lock().unwrap());
        });
        ended_well(child);
    };
    Process::spawn(body, ()).unwrap().join().unwrap();
}

#[test]
#[cfg_attr(feature = "raw-sync", ignore = "it kills: raw_sync is not robust")]
fn a_forked_child_that_is_killed_disturbs_nobody() {
    let _watch = watch();
    let body = || {
        let (lock, _, queue) = new();
        let _guard = lock.lock().unwrap();
        let child = fork(|| {
            let _mine = Lock::new().unwrap().lock_owned().unwrap();
            park();
        });
        killed(child);
        queue.put("as before").unwrap();
        assert_eq!(queue.get().unwrap(), "as before");
        assert_eq!(kind(lock.try_lock()), ErrorKind::Deadlock, "held here still");
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
#[cfg_attr(feature = "raw-sync", ignore = "its processes end by _exit: raw_sync is not robust")]
fn more_processes_come_and_go_than_there_are_places() {
    let _watch = watch();
    let body = || {
        drop(new());
        for _ in 0..110 {
            let some: Vec<Pid> =
                (0..10).map(|_| fork(|| drop(Lock::new().unwrap().lock().unwrap()))).collect();
            some.into_iter().for_each(ended_well);
        }
    };
    Process::spawn(body, ()).unwrap().join().unwrap();
}

#[test]
#[cfg_attr(feature = "raw-sync", ignore = "its processes end by _exit: raw_sync is not robust")]
fn a_process_forked_while_others_start_children_starts_anew() {
    let _watch = watch();
    let body = || {
        drop(new());
        std::thread::spawn(|| {
            loop {
                drop(Process::spawn(|| 1, ()));
            }
        });
        std::thread::spawn(|| {
            loop {
                std::hint::black_box(multiproc::active_children());
            }
        });
        for _ in 0..60 {
            let child = fork(|| {
                // SAFETY: an integer argument. What hangs is ended by a signal.
                unsafe { libc::alarm(20) };
                assert!(multiproc::parent_process().is_none());
                assert!(multiproc::active_children().is_empty());
                drop(Lock::new().unwrap().lock().unwrap());
                assert_eq!(Process::spawn(|| 5, ()).unwrap().join().unwrap(), 5);
            });
            ended_well(child);
        }
        // SAFETY: ends the process at once, whatever its threads are starting.
        unsafe { libc::_exit(0) }
    };
    let error = Process::spawn(body, ()).unwrap().join().map(|(): ()| ()).unwrap_err();
    assert_eq!(error.child().unwrap().exit_code(), Some(0), "{error}");
}

#[test]
#[cfg_attr(feature = "raw-sync", ignore = "it kills: raw_sync is not robust")]
fn an_inherited_process_can_be_watched_and_not_joined() {
    let _watch = watch();
    let body = || {
        let process = Process::spawn(park, ()).unwrap();
        let handle = process.handle();
        let mut copy = Some(process);
        let child = fork(|| {
            assert!(handle.is_alive());
            assert_eq!(kind(copy.take().unwrap().join()), ErrorKind::Foreign);
            handle.kill().unwrap();
            assert_eq!(kind(handle.wait()), ErrorKind::Child, "the status is the parent's");
        });
        ended_well(child);
        crate::common::killed(copy.unwrap());
    };
    Process::spawn(body, ()).unwrap().join().unwrap();
}
