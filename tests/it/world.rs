//! What lies behind all objects: one file for a process tree, that does not grow and leaves nothing.

use std::collections::BTreeSet;
use std::fs;

use multiproc::{ErrorKind, Event, Lock, Process, Queue, Result, Semaphore};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::common::{LONG, alone, descriptors, killed, kind, park, world_size};
use crate::watchdog::watch;

fn limit_descriptors(limit: u64) {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, limit, hard).unwrap();
}

#[test]
fn ten_thousand_locks_live_at_once_under_256_descriptors() {
    let _watch = watch();
    alone(|| {
        limit_descriptors(256);
        let locks: Vec<Lock> = (0..10_000).map(|_| Lock::new().unwrap()).collect();
        let guards: Vec<_> = locks.iter().map(|lock| lock.lock().unwrap()).collect();
        assert!(locks.iter().all(Lock::is_locked));
        let check = |locks: Vec<Lock>, expected: ErrorKind| {
            locks.iter().filter(|lock| kind(lock.try_lock()) == expected).count()
        };
        let process = Process::spawn(check, (&locks, ErrorKind::Busy)).unwrap();
        assert_eq!(process.join().unwrap(), 10_000);
        drop(guards);
        let take = |locks: Vec<Lock>| {
            let held = locks.iter().filter(|lock| lock.try_lock().map(std::mem::forget).is_ok());
            held.count()
        };
        assert_eq!(Process::spawn(take, (&locks,)).unwrap().join().unwrap(), 10_000);
        assert!(locks.iter().all(|lock| kind(lock.lock()) == ErrorKind::OwnerDied));
        assert!(descriptors().len() < 20, "{:?}", descriptors());
    });
}

#[test]
fn locks_made_and_dropped_leave_nothing() {
    let _watch = watch();
    alone(|| {
        let before = descriptors();
        let round = || {
            let locks: Vec<Lock> = (0..10_000).map(|_| Lock::new().unwrap()).collect();
            drop(locks.last().unwrap().lock().unwrap());
        };
        round();
        let (len, blocks) = world_size();
        for _ in 0..5 {
            round();
        }
        assert_eq!(world_size(), (len, blocks));
        assert_eq!(descriptors().len(), before.len() + 1, "the world's");
    });
}

#[test]
fn what_the_killed_made_is_used_again() {
    let _watch = watch();
    alone(|| {
        let make = |ready: Event| {
            let locks: Vec<Lock> = (0..2000).map(|_| Lock::new().unwrap()).collect();
            let queues: Vec<Queue<Vec<u8>>> = (0..20).map(|_| Queue::new().unwrap()).collect();
            for queue in &queues {
                queue.put(vec![1; 20_000]).unwrap();
                queue.put(vec![1; 100]).unwrap();
            }
            let guards: Vec<_> = locks.iter().map(Lock::lock).collect();
            ready.set();
            park();
            drop(guards);
        };
        let round = || {
            let ready = Event::new().unwrap();
            let process = Process::spawn(make, (&ready,)).unwrap();
            ready.wait().unwrap();
            killed(process);
        };
        for _ in 0..4 {
            round();
        }
        let (len, blocks) = world_size();
        for _ in 0..20 {
            round();
        }
        let after = world_size();
        // As much again may wait for the next sweep.
        assert!(after.0 <= 2 * len && after.1 <= 2 * blocks, "{len} {blocks} -> {after:?}");
    });
}

#[test]
fn a_semaphore_takes_no_more_room_than_a_lock() {
    let _watch = watch();
    alone(|| {
        let first = Semaphore::new(1).unwrap();
        drop(first.acquire().unwrap());
        let before = world_size();
        let semaphores: Vec<_> = (0..10_000).map(|_| Semaphore::new(1).unwrap()).collect();
        for semaphore in &semaphores {
            drop(semaphore.acquire().unwrap());
        }
        let after = world_size();
        // 64 bytes each, and a presence bit.
        assert!(after.1 - before.1 < 10_000 * 80, "{before:?} -> {after:?}");
    });
}

#[test]
fn a_hundred_thousand_messages_take_no_more_room_than_a_few() {
    let _watch = watch();
    alone(|| {
        let queue: Queue<Vec<u8>> = Queue::new().unwrap();
        let message = vec![7_u8; 1024];
        let round = |at_once: usize, times: usize| {
            for _ in 0..times {
                for _ in 0..at_once {
                    queue.put(&message).unwrap();
                }
                for _ in 0..at_once {
                    assert_eq!(queue.get().unwrap().len(), message.len());
                }
            }
        };
        round(1, 1000);
        round(500, 4);
        let before = world_size();
        round(1, 50_000);
        round(500, 100);
        let after = world_size();
        assert!(after.0 <= 2 * before.0, "{before:?} -> {after:?}");
        assert!(after.1 <= 2 * before.1, "{before:?} -> {after:?}");
    });
}

#[test]
fn large_messages_give_their_memory_back() {
    let _watch = watch();
    alone(|| {
        let queue: Queue<Vec<u8>> = Queue::new().unwrap();
        let round = |len: usize| {
            queue.put(vec![7_u8; len]).unwrap();
            assert_eq!(queue.get().unwrap().len(), len);
        };
        round(1000);
        let (_, before) = world_size();
        for _ in 0..30 {
            round(10 << 20);
        }
        let (len, blocks) = world_size();
        assert!(len <= 100 << 20, "{len}");
        assert!(blocks <= before + (20 << 20), "{before} -> {blocks}");
        // The same by a getter that is killed with the message in hand, or never gets it.
        let take = |queue: Queue<Vec<u8>>, ready: Event| {
            queue.get().unwrap();
            ready.set();
            park();
        };
        for _ in 0..5 {
            let ready = Event::new().unwrap();
            let process = Process::spawn(take, (&queue, &ready)).unwrap();
            queue.put(vec![7; 10 << 20]).unwrap();
            ready.wait().unwrap();
            killed(process);
            let dropped = Queue::new().unwrap();
            dropped.put(vec![7_u8; 10 << 20]).unwrap();
        }
        let (len, _) = world_size();
        assert!(len <= 200 << 20, "{len}");
    });
}

#[test]
fn handles_in_messages_that_nobody_got_leave_nothing() {
    let _watch = watch();
    alone(|| {
        let round = || {
            for _ in 0..300 {
                let carrier = Queue::new().unwrap();
                carrier.put((Lock::new().unwrap(), Event::new().unwrap())).unwrap();
            }
        };
        round();
        let (_, before) = world_size();
        for _ in 0..10 {
            round();
        }
        // 6,000 objects of 64 bytes would be 384 KiB.
        let (_, after) = world_size();
        assert!(after <= before + (150 << 10), "{before} -> {after}");
    });
}

#[test]
fn a_thousand_queues_need_few_descriptors() {
    let _watch = watch();
    alone(|| {
        limit_descriptors(32);
        let queues: Vec<Queue<u64>> = (0..1000).map(|_| Queue::new().unwrap()).collect();
        for (n, queue) in queues.iter().enumerate() {
            queue.put(n as u64).unwrap();
        }
        let sum = |queues: Vec<Queue<u64>>| -> Result<u64> {
            queues.iter().try_fold(0, |sum, queue| Ok(sum + queue.try_get()?))
        };
        let process = Process::spawn(sum, (&queues,)).unwrap();
        assert_eq!(process.join().unwrap().unwrap(), 999 * 500);
        assert!(queues.iter().all(Queue::is_empty));
        let (len, _) = world_size();
        drop(queues);
        for _ in 0..3 {
            let queues: Vec<Queue<u64>> = (0..1000).map(|_| Queue::new().unwrap()).collect();
            queues[999].put(1).unwrap();
        }
        assert!(world_size().0 <= 2 * len, "{len} -> {:?}", world_size());
    });
}

#[test]
fn nothing_is_left_in_the_file_system() {
    let _watch = watch();
    let names = || -> BTreeSet<_> {
        fs::read_dir("/dev/shm").into_iter().flatten().flatten().map(|e| e.file_name()).collect()
    };
    let before = names();
    let lock = Lock::new().unwrap();
    let queue = Queue::new().unwrap();
    queue.put(vec![1_u8; 1 << 20]).unwrap();
    Process::spawn(|lock: Lock| drop(lock.lock().unwrap()), (&lock,)).unwrap().join().unwrap();
    // Others may make and remove names of theirs; none is ours.
    let new: Vec<_> = names().difference(&before).cloned().collect();
    assert!(!new.iter().any(|name| name.to_string_lossy().contains("multiproc")), "{new:?}");
}

#[test]
fn generations_of_processes_share_one_world() {
    let _watch = watch();
    fn deeper(lock: Lock, queue: Queue<u32>, levels: u32) -> Result<()> {
        if levels == 0 {
            assert_eq!(kind(lock.try_lock()), ErrorKind::Busy);
        } else {
            Process::spawn(deeper, (&lock, &queue, levels - 1))?.join()??;
        }
        queue.put(levels)
    }
    let (lock, queue) = (Lock::new().unwrap(), Queue::new().unwrap());
    let _guard = lock.lock().unwrap();
    Process::spawn(deeper, (&lock, &queue, 5)).unwrap().join().unwrap().unwrap();
    assert_eq!(queue.get_many(9).unwrap(), [0, 1, 2, 3, 4, 5]);
}

#[test]
fn orphans_go_on_sharing() {
    let _watch = watch();
    let middle = |queue: Queue<u32>, go: Event| {
        let orphan = |queue: Queue<u32>, go: Event| {
            queue.put(1).unwrap();
            go.wait().unwrap();
            queue.put(2).unwrap();
        };
        let _child = Process::spawn(orphan, (&queue, &go)).unwrap();
        park();
    };
    let (queue, go) = (Queue::new().unwrap(), Event::new().unwrap());
    let process = Process::spawn(middle, (&queue, &go)).unwrap();
    assert_eq!(queue.get_timeout(LONG).unwrap(), 1);
    killed(process);
    go.set();
    assert_eq!(queue.get_timeout(LONG).unwrap(), 2);
}

#[test]
fn many_threads_come_and_go() {
    let _watch = watch();
    alone(|| {
        let lock = Lock::new().unwrap();
        // Far more, one after the other, than there are slots for threads.
        for _ in 0..5000 {
            std::thread::scope(|scope| {
                scope.spawn(|| drop(lock.lock().unwrap()));
            });
        }
        let queue = Queue::new().unwrap();
        std::thread::scope(|scope| {
            for n in 0..200 {
                let queue = &queue;
                scope.spawn(move || queue.put(n).unwrap());
            }
        });
        assert_eq!(queue.len(), 200);
    });
}

#[test]
fn many_processes_come_and_go() {
    let _watch = watch();
    alone(|| {
        let queue = Queue::new().unwrap();
        let put = |queue: Queue<u32>, n: u32| queue.put(n);
        for start in 0..10 {
            let some: Vec<_> =
                (0..15).map(|n| Process::spawn(put, (&queue, start * 15 + n)).unwrap()).collect();
            for process in some {
                process.join().unwrap().unwrap();
            }
        }
        let got: BTreeSet<u32> = queue.get_many(2000).unwrap().into_iter().collect();
        assert!(got.into_iter().eq(0..150));
    });
}
