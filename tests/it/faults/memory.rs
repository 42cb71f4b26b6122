//! What nobody uses any more goes back to the system at once; what the dead had, within a second, with nobody allocating.

use std::time::{Duration, Instant};

use multiproc::{Event, Pipe, Pool, Process, Queue, Result};
use serde::{Deserialize, Serialize};

use crate::common::{LONG, alone, killed, park, until, without_slot, world_size};
use crate::watchdog::watch;

const LARGE: usize = 64 << 20;

/// What may stay as a supply of free pages: a part of the memory.
fn pool() -> u64 {
    let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).unwrap().unwrap();
    let pages = nix::unistd::sysconf(nix::unistd::SysconfVar::_PHYS_PAGES).unwrap().unwrap();
    (page * pages) as u64 / 128
}

/// Memory that stands behind the world's file, in bytes.
fn used() -> u64 {
    world_size().1
}

/// Puts so many large messages that the pool cannot keep them.
fn put_much(queue: &Queue<Vec<u8>>) -> u64 {
    let count = pool() / LARGE as u64 * 2 + 2;
    let message = vec![7; LARGE];
    for _ in 0..count {
        queue.put(&message).unwrap();
    }
    count
}

#[track_caller]
fn only_the_pool_is_left() {
    let left = used();
    assert!(left <= pool() + (4 << 20), "{left} bytes are left, the pool has {}", pool());
}

#[test]
fn a_dropped_queue_gives_its_memory_back_at_once() {
    let _watch = watch();
    alone(|| {
        for _ in 0..3 {
            let queue = Queue::new().unwrap();
            let count = put_much(&queue);
            assert!(used() >= count * LARGE as u64);
            drop(queue);
            only_the_pool_is_left();
        }
    });
}

/// From chunk to chunk, where all messages are small; from message to message, where one is not.
#[test]
fn a_dropped_queue_of_small_messages_gives_its_memory_back_at_once() {
    let _watch = watch();
    alone(|| {
        let in_use = || used().saturating_sub(multiproc::fuzzing::pooled());
        for first in [1000, 100_000] {
            let queue = Queue::new().unwrap();
            let before = in_use();
            for len in std::iter::once(first).chain([1000; 10_000]) {
                queue.put(vec![7_u8; len]).unwrap();
            }
            assert!(in_use() > before + (9 << 20));
            drop(queue);
            let left = in_use();
            assert!(left < before + (1 << 20), "{left} bytes are left of {before}");
        }
    });
}

#[test]
fn a_queue_that_has_travelled_gives_its_memory_back_at_once() {
    let _watch = watch();
    alone(|| {
        let (mut sender, mut receiver) = Pipe::simplex::<Queue<Vec<u8>>>().unwrap();
        let carrier = Queue::<Queue<Vec<u8>>>::new().unwrap();
        for by_pipe in [true, false] {
            let queue = Queue::new().unwrap();
            let count = put_much(&queue);
            if by_pipe {
                sender.send(&queue).unwrap();
                drop(receiver.recv().unwrap());
            } else {
                carrier.put(&queue).unwrap();
                drop(carrier.get().unwrap());
            }
            assert!(used() >= count * LARGE as u64);
            drop(queue);
            only_the_pool_is_left();
        }
    });
}

/// A message that holds the queue in which it stands.
#[derive(Serialize, Deserialize)]
struct Circle(Queue<Circle>);

#[test]
fn a_queue_in_its_own_message_goes_with_the_next_allocation() {
    let _watch = watch();
    alone(|| {
        let queue = Queue::new().unwrap();
        let count = pool() / LARGE as u64 * 2 + 2;
        let message = vec![7; LARGE];
        (0..count).for_each(|_| queue.put_bytes(&message).unwrap());
        queue.put(Circle(queue.clone())).unwrap();
        drop(queue);
        assert!(used() >= count * LARGE as u64, "nobody has looked yet");
        let other = Queue::<()>::new().unwrap();
        other.put_bytes(&message).unwrap();
        drop(other);
        only_the_pool_is_left();
    });
}

#[test]
fn a_drained_queue_gives_its_memory_back_at_once() {
    let _watch = watch();
    alone(|| {
        let queue = Queue::new().unwrap();
        for drain in [true, false] {
            let count = put_much(&queue);
            if drain {
                (0..count).for_each(|_| assert_eq!(queue.get().unwrap().len(), LARGE));
            } else {
                queue.shutdown().unwrap();
            }
            only_the_pool_is_left();
        }
    });
}

#[test]
fn small_messages_in_a_deep_queue_give_theirs_back_too() {
    let _watch = watch();
    alone(|| {
        let queue = Queue::<()>::new().unwrap();
        let count = (2 * pool() + (64 << 20)) / 4000;
        for _ in 0..count {
            queue.put_bytes(&[1; 3990]).unwrap();
        }
        let before = used();
        assert!(before > 2 * pool());
        for _ in 0..count {
            queue.get_with(|bytes| assert_eq!(bytes.len(), 3990)).unwrap();
        }
        // Of each chunk of 64 KiB the page with its head stays.
        let left = used();
        assert!(left <= pool() + (4 << 20) + before / 16, "{before} -> {left}, pool {}", pool());
    });
}

#[test]
fn a_hundred_thousand_dropped_queues_leave_nothing() {
    let _watch = watch();
    alone(|| {
        let round = |count: usize| {
            for n in 0..count {
                let queue = Queue::<u64>::new().unwrap();
                queue.put(n as u64).unwrap();
            }
        };
        round(100);
        let before = world_size();
        round(100_000);
        assert_eq!(world_size(), before);
    });
}

#[test]
fn a_program_with_one_small_queue_keeps_little() {
    let _watch = watch();
    alone(|| {
        let small = Queue::<u64>::new().unwrap();
        for n in 0..4 {
            let large = Queue::new().unwrap();
            put_much(&large);
            small.put(n).unwrap();
            drop(large);
            assert_eq!(small.get().unwrap(), n);
            only_the_pool_is_left();
        }
    });
}

/// The messages that the killed one had go back within a second of the kill; nobody allocates meanwhile.
fn goes_back_without_anybody(process: Process<()>, least: u64) {
    assert!(used() >= least, "{} bytes, at least {least} expected", used());
    killed(process);
    let start = Instant::now();
    let limit = pool() + (4 << 20);
    while used() > limit {
        assert!(start.elapsed() < LONG, "{} bytes are left", used());
        std::thread::sleep(Duration::from_millis(5));
    }
    // A second is promised; a machine that is busy with other tests may take longer.
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[test]
fn the_memory_of_a_killed_putter_goes_back() {
    let _watch = watch();
    alone(|| {
        let put = |ready: Event| -> Result<()> {
            let queue = Queue::new()?;
            put_much(&queue);
            ready.set();
            park();
            drop(queue);
            Ok(())
        };
        let ready = Event::new().unwrap();
        let process = Process::spawn(move |ready: Event| put(ready).unwrap(), (&ready,)).unwrap();
        ready.wait().unwrap();
        goes_back_without_anybody(process, 2 * pool());
    });
}

#[test]
fn the_memory_of_a_killed_putter_that_waits_for_room_goes_back() {
    let _watch = watch();
    alone(|| {
        let len = pool() as usize + (128 << 20);
        let put = |full: Queue<Vec<u8>>, ready: Event, len: usize| {
            let message = vec![1; len];
            ready.set();
            full.put(message).unwrap();
        };
        let (full, ready) = (Queue::bounded(1).unwrap(), Event::new().unwrap());
        full.put(Vec::new()).unwrap();
        let process = Process::spawn(put, (&full, &ready, len)).unwrap();
        ready.wait().unwrap();
        until("the putter has its message in shared memory", || used() >= len as u64);
        goes_back_without_anybody(process, len as u64);
        assert_eq!(full.get().unwrap(), []);
        assert!(full.is_empty());
    });
}

#[test]
fn the_memory_of_a_killed_getter_goes_back() {
    let _watch = watch();
    alone(|| {
        // It has the only handle of a queue with large messages, and has got some of them.
        let get = |carrier: Queue<Queue<Vec<u8>>>, ready: Event| {
            let queue = carrier.get().unwrap();
            queue.get().unwrap();
            ready.set();
            park();
        };
        let (carrier, ready) = (Queue::new().unwrap(), Event::new().unwrap());
        let queue = Queue::new().unwrap();
        let count = put_much(&queue);
        carrier.put(queue).unwrap();
        let process = Process::spawn(get, (&carrier, &ready)).unwrap();
        ready.wait().unwrap();
        goes_back_without_anybody(process, (count - 1) * LARGE as u64);
    });
}

#[test]
fn the_memory_of_a_killed_user_of_a_pool_goes_back() {
    let _watch = watch();
    alone(|| {
        // Long results that have come, behind one that was taken.
        const COUNT: u32 = 8;
        let wait = |ready: Event| {
            let pool = Pool::with_workers(2).unwrap();
            let go = Event::new().unwrap();
            let make = |(x, go): (u32, Event)| {
                if x == 0 {
                    go.wait().unwrap()
                } else if x == COUNT - 1 {
                    go.set()
                }
                vec![1_u8; 1 << 20]
            };
            let mut results = pool.chunk_size(4).imap(make, (0..COUNT).map(|x| (x, go.clone())));
            assert!(results.next().unwrap().is_ok());
            ready.set();
            park();
            drop(results);
        };
        let in_use = || used().saturating_sub(multiproc::fuzzing::pooled());
        let ready = Event::new().unwrap();
        let before = in_use();
        let process = Process::spawn(wait, (&ready,)).unwrap();
        ready.wait().unwrap();
        assert!(in_use() > before + (2 << 20));
        killed(process);
        until("all but the pool is back", || in_use() < before + (1 << 20));
    });
}

/// The end of a process is one in order if it has given back everything.
#[test]
fn what_a_thread_without_a_slot_could_not_free_goes_back_at_the_end_of_its_process() {
    let _watch = watch();
    alone(|| {
        let end = || {
            let queue = Queue::new().unwrap();
            put_much(&queue);
            without_slot(move || drop(queue));
        };
        Process::spawn(end, ()).unwrap().join().unwrap();
        until("only the pool is left", || used() <= pool() + (4 << 20));
    });
}
