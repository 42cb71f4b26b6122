//! Tasks in one process: what is delivered again, how often, and what is listed as failed.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

use multiproc::{ErrorKind, JoinableQueue, Lock, Queue};
use serde::{Deserialize, Deserializer, Serialize};

use super::drain;
use crate::common::{SHORT, alone, kind, until, world_size};
use crate::watchdog::watch;

#[test]
fn tasks_come_in_order_and_are_done_once() {
    let _watch = watch();
    let queue = JoinableQueue::new().unwrap();
    queue.join().unwrap();
    queue.put_many(0..5).unwrap();
    assert_eq!((queue.len(), queue.is_empty(), queue.capacity()), (5, false, None));
    for n in 0..5 {
        let task = queue.get().unwrap();
        assert_eq!((*task, task.attempt()), (n, 1));
        assert_eq!(kind(queue.try_join()), ErrorKind::Busy);
        task.done().unwrap();
    }
    queue.join().unwrap();
    assert_eq!(queue.failed().unwrap(), [0; 0]);
}

#[test]
fn every_form_of_a_call_answers_by_kind() {
    let _watch = watch();
    let queue = JoinableQueue::<u32>::bounded(1).unwrap();
    let past = Instant::now().checked_sub(Duration::from_secs(1)).unwrap();
    assert_eq!(kind(queue.try_get()), ErrorKind::Empty);
    assert_eq!(kind(queue.get_timeout(SHORT)), ErrorKind::Timeout);
    assert_eq!(kind(queue.get_deadline(past)), ErrorKind::Timeout);
    queue.put(1).unwrap();
    assert_eq!(kind(queue.try_put(2)), ErrorKind::Full);
    assert_eq!(kind(queue.put_timeout(2, SHORT)), ErrorKind::Timeout);
    assert_eq!(kind(queue.put_many_deadline([2], past)), ErrorKind::Timeout);
    assert_eq!(kind(queue.try_join()), ErrorKind::Busy);
    assert_eq!(kind(queue.join_timeout(SHORT)), ErrorKind::Timeout);
    assert_eq!(kind(queue.join_deadline(past)), ErrorKind::Timeout);
    let task = queue.try_get().unwrap();
    // A task in hand takes no room.
    queue.try_put(2).unwrap();
    task.done().unwrap();
    queue.get().unwrap().done().unwrap();
    queue.try_join().unwrap();
    queue.join_timeout(Duration::MAX).unwrap();
    queue.join_deadline(past).unwrap();
}

#[test]
fn a_task_dropped_undone_comes_again_until_it_has_failed() {
    let _watch = watch();
    let queue = JoinableQueue::new().unwrap();
    queue.put_many([7, 8]).unwrap();
    for attempt in 1..=3 {
        let task = queue.get().unwrap();
        assert_eq!((*task, task.attempt()), (7, attempt));
    }
    assert_eq!(queue.failed().unwrap(), [7]);
    assert_eq!(drain(&queue), [(8, 1)].into());
    queue.join().unwrap();
    assert_eq!(queue.failed().unwrap(), [7], "it stays listed");

    for most in [1, 2, 5] {
        let queue = JoinableQueue::builder().max_deliveries(most).build().unwrap();
        queue.put(7).unwrap();
        for attempt in 1..=most {
            assert_eq!(queue.get().unwrap().attempt(), attempt);
        }
        assert_eq!(kind(queue.try_get()), ErrorKind::Empty);
        queue.join().unwrap();
        assert_eq!(queue.failed().unwrap(), [7]);
    }
}

#[test]
fn a_panic_gives_the_task_back_as_it_was_put() {
    let queue = JoinableQueue::<Vec<u32>>::new().unwrap();
    queue.put(vec![1, 2]).unwrap();
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        let mut task = queue.get().unwrap();
        task.push(3);
        resume_unwind(Box::new(()))
    }));
    assert!(unwound.is_err());
    let task = queue.get().unwrap();
    assert_eq!((&**task, task.attempt()), (&[1, 2][..], 2));
    assert_eq!(format!("{task:?}"), "Task { value: [1, 2], attempt: 2 }");
    task.done().unwrap();
}

#[test]
fn whoever_sleeps_is_woken_by_a_task_that_comes_back() {
    let _watch = watch();
    let queue = JoinableQueue::new().unwrap();
    queue.put(1).unwrap();
    let first = queue.get().unwrap();
    std::thread::scope(|scope| {
        let getter = scope.spawn(|| queue.get().map(|task| (task.attempt(), task.done().is_ok())));
        let joiner = scope.spawn(|| queue.join());
        until("a getter sleeps", || format!("{queue:?}").contains("waiting_to_get: true"));
        drop(first);
        assert_eq!(getter.join().unwrap().unwrap(), (2, true));
        joiner.join().unwrap().unwrap();
    });
}

/// In its slot, in a block that the slot has, in the block of its record.
const SIZES: [usize; 8] = [0, 1, 192, 193, 4096, 4097, 100_000, 1 << 20];

#[test]
fn tasks_of_any_size_come_again_whole() {
    for len in SIZES {
        let queue = JoinableQueue::<Vec<u8>>::builder().max_deliveries(4).build().unwrap();
        let item = |n: usize| (0..len).map(|at| (at * 7 + n) as u8).collect::<Vec<u8>>();
        for n in 0..3 {
            queue.put(item(n)).unwrap();
        }
        for attempt in 1..=4 {
            let tasks: Vec<_> = (0..3).map(|_| queue.get().unwrap()).collect();
            for (n, task) in tasks.iter().enumerate() {
                assert!(**task == item(n), "{len} bytes, attempt {attempt}");
                assert_eq!(task.attempt(), attempt);
            }
        }
        assert!(queue.failed().unwrap() == [item(0), item(1), item(2)]);
        queue.join().unwrap();
    }
}

#[test]
fn done_tasks_leave_no_memory() {
    let _watch = watch();
    alone(|| {
        let queue = JoinableQueue::<Vec<u8>>::new().unwrap();
        let round = || {
            for len in SIZES {
                queue.put(vec![1; len]).unwrap();
                queue.put(vec![2; len]).unwrap();
                let (first, second) = (queue.get().unwrap(), queue.get().unwrap());
                drop(first);
                second.done().unwrap();
                queue.get().unwrap().done().unwrap();
            }
            queue.join().unwrap();
        };
        (0..5).for_each(|_| round());
        let before = world_size();
        (0..100).for_each(|_| round());
        // The pages of the chunks through which small tasks go are touched one after the other.
        let (len, pages) = world_size();
        assert!(len == before.0 && pages <= before.1 + (1 << 20), "{before:?} {:?}", (len, pages));
        drop(queue);
        for _ in 0..100 {
            let queue = JoinableQueue::<Vec<u8>>::new().unwrap();
            queue.put(vec![1; 1 << 20]).unwrap();
            queue.put(vec![1; 1000]).unwrap();
            // A task in hand is the queue's, too.
            let task = queue.get().unwrap();
            drop((queue, task));
        }
        assert!(world_size().0 <= before.0 + (4 << 20), "{before:?} {:?}", world_size());
    });
}

#[test]
fn many_tasks_can_be_in_hand() {
    let queue = JoinableQueue::new().unwrap();
    queue.put_many(0..1000).unwrap();
    let mut tasks: Vec<_> = (0..1000).map(|_| queue.get().unwrap()).collect();
    assert!(tasks.iter().map(|task| **task).eq(0..1000));
    assert_eq!(kind(queue.try_get()), ErrorKind::Empty);
    // Every other one comes again.
    let again = tasks.extract_if(.., |task| **task % 2 == 0).count();
    assert_eq!(again, 500);
    tasks.into_iter().for_each(|task| task.done().unwrap());
    let got = drain(&queue);
    assert!(got.keys().copied().eq((0..1000).step_by(2)));
    assert!(got.values().all(|&attempt| attempt == 2));
    queue.join().unwrap();
}

/// A number that can be read only if it is even.
#[derive(Serialize, Debug, PartialEq)]
struct Even(u32);

impl<'de> Deserialize<'de> for Even {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Even, D::Error> {
        let number = u32::deserialize(deserializer)?;
        let odd = || serde::de::Error::custom(format!("{number} is odd"));
        if number % 2 == 0 { Ok(Even(number)) } else { Err(odd()) }
    }
}

#[test]
fn a_task_that_cannot_be_read_is_told_and_fails_like_any_other() {
    let queue = JoinableQueue::builder().max_deliveries(2).build().unwrap();
    queue.put(Even(2)).unwrap();
    queue.put(Even(3)).unwrap();
    queue.get().unwrap().done().unwrap();
    for _ in 0..2 {
        let error = queue.get().map(drop).unwrap_err();
        assert!(error.is_decode(), "{error:?}");
        assert!(error.to_string().contains("Even: "), "{error}");
    }
    assert_eq!(kind(queue.try_get()), ErrorKind::Empty);
    queue.join().unwrap();
    let error = queue.failed().map(drop).unwrap_err();
    assert!(error.is_decode(), "{error:?}");
    assert!(error.to_string().starts_with("a task that failed cannot be read: "), "{error}");
}

#[test]
fn what_is_in_a_task_lives_until_it_is_done() {
    let _watch = watch();
    let queue = JoinableQueue::<(Lock, Vec<u8>)>::new().unwrap();
    let inner = Queue::<u32>::new().unwrap();
    let carrier = JoinableQueue::<Queue<u32>>::new().unwrap();
    for len in SIZES {
        queue.put((Lock::new().unwrap(), vec![1; len])).unwrap();
    }
    carrier.put(&inner).unwrap();
    inner.put(5).unwrap();
    drop(inner);
    // Once more for all of them.
    let dropped = (0..SIZES.len()).map(|_| queue.get().unwrap()).collect::<Vec<_>>();
    drop((dropped, carrier.get().unwrap()));
    for len in SIZES {
        let task = queue.get().unwrap();
        assert_eq!((task.1.len(), task.attempt()), (len, 2));
        drop(task.0.lock().unwrap());
        task.done().unwrap();
    }
    let task = carrier.get().unwrap();
    assert_eq!(task.try_get().unwrap(), 5);
    task.done().unwrap();
    queue.join().unwrap();
    carrier.join().unwrap();
}

thread_local! {
    /// The queue of what is dropped, and what it said of its tasks then.
    static SEEN: RefCell<Option<(JoinableQueue<Last>, Vec<ErrorKind>)>> = const { RefCell::new(None) };
}

#[derive(Serialize, Deserialize)]
struct Last;

impl Drop for Last {
    fn drop(&mut self) {
        SEEN.with_borrow_mut(|seen| {
            if let Some((queue, seen)) = seen {
                seen.push(kind(queue.try_join()));
            }
        });
    }
}

/// Whoever joins may rely on it that nobody uses what was in the tasks.
#[test]
fn what_is_in_a_task_is_dropped_before_the_task_ends() {
    let queue = JoinableQueue::new().unwrap();
    queue.put(Last).unwrap();
    let task = queue.get().unwrap();
    SEEN.set(Some((queue.clone(), Vec::new())));
    task.done().unwrap();
    let (_, seen) = SEEN.take().unwrap();
    assert_eq!(seen, [ErrorKind::Busy]);
    queue.join().unwrap();
}

#[test]
fn numbers_that_make_no_sense_are_refused() {
    for deliveries in [0, 1 << 24, u32::MAX] {
        let error = JoinableQueue::<u32>::builder().max_deliveries(deliveries).build().unwrap_err();
        assert!(error.is_invalid_input(), "{error:?}");
        let text = format!(
            "tasks that are delivered at most {deliveries} times: give max_deliveries a number from 1 to 16777215, or leave it out for 3"
        );
        assert_eq!(error.to_string(), text);
    }
    assert!(JoinableQueue::<u32>::bounded(0).unwrap_err().is_invalid_input());
    let builder = JoinableQueue::<u32>::builder().capacity_bytes(0);
    assert!(builder.clone().build().unwrap_err().is_invalid_input());
}

#[test]
fn bytes_are_limited_as_those_of_a_queue() {
    let queue = JoinableQueue::<Vec<u8>>::builder().capacity_bytes(10_000).build().unwrap();
    assert_eq!(queue.capacity_bytes(), Some(10_000));
    queue.try_put(vec![1; 6000]).unwrap();
    assert_eq!(kind(queue.try_put(vec![2; 4001])), ErrorKind::Full);
    let task = queue.get().unwrap();
    queue.try_put(vec![2; 10_000]).unwrap();
    drop(task);
    assert_eq!(kind(queue.try_put(vec![2; 1])), ErrorKind::Full);
    assert_eq!(queue.put(vec![0; 10_001]).unwrap_err().kind(), ErrorKind::TooLarge);
    assert_eq!(queue.get().unwrap().len(), 6000);
}
