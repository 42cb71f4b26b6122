//! Limits and time: empty and full queues, and those who wait for either.

use std::time::{Duration, Instant};

use multiproc::{ErrorKind, Process, Queue};

use super::{blocked_get, blocked_put, echo};
use crate::common::{Chance, LONG, SHORT, kind};
use crate::watchdog::watch;

#[test]
fn an_empty_queue_answers_by_kind() {
    let _watch = watch();
    let queue: Queue<u32> = Queue::new().unwrap();
    let past = Instant::now().checked_sub(Duration::from_secs(1)).unwrap();
    assert_eq!(kind(queue.try_get()), ErrorKind::Empty);
    assert_eq!(kind(queue.try_get_many(3)), ErrorKind::Empty);
    assert_eq!(kind(queue.try_get_bytes()), ErrorKind::Empty);
    assert_eq!(kind(queue.try_get_with(|_| ())), ErrorKind::Empty);
    let buffer = &mut Vec::new();
    assert_eq!(kind(queue.try_get_bytes_into(buffer)), ErrorKind::Empty);
    for time in [Duration::ZERO, Duration::from_nanos(1), SHORT] {
        let start = Instant::now();
        assert_eq!(kind(queue.get_timeout(time)), ErrorKind::Timeout);
        assert!(start.elapsed() >= time);
        assert_eq!(kind(queue.get_many_timeout(3, time)), ErrorKind::Timeout);
        assert_eq!(kind(queue.get_bytes_timeout(time)), ErrorKind::Timeout);
        assert_eq!(kind(queue.get_with_timeout(|_| (), time)), ErrorKind::Timeout);
        assert_eq!(kind(queue.get_bytes_into_timeout(buffer, time)), ErrorKind::Timeout);
    }
    for deadline in [past, Instant::now() + SHORT] {
        assert_eq!(kind(queue.get_deadline(deadline)), ErrorKind::Timeout);
        assert!(Instant::now() >= deadline);
        assert_eq!(kind(queue.get_many_deadline(3, deadline)), ErrorKind::Timeout);
        assert_eq!(kind(queue.get_bytes_deadline(deadline)), ErrorKind::Timeout);
        assert_eq!(kind(queue.get_with_deadline(|_| (), deadline)), ErrorKind::Timeout);
        assert_eq!(kind(queue.get_bytes_into_deadline(buffer, deadline)), ErrorKind::Timeout);
    }
    assert_eq!(queue.get_many(0).unwrap(), [0; 0]);
    assert_eq!(queue.try_get_many(0).unwrap(), [0; 0]);
    // What is there is taken however little time there is.
    queue.put_many(0..3).unwrap();
    assert_eq!(queue.get_timeout(Duration::ZERO).unwrap(), 0);
    assert_eq!(queue.get_deadline(past).unwrap(), 1);
    assert_eq!(queue.get_timeout(Duration::MAX).unwrap(), 2);
}

#[test]
fn a_full_queue_answers_by_kind() {
    let _watch = watch();
    let queue: Queue<u32> = Queue::bounded(2).unwrap();
    let past = Instant::now().checked_sub(Duration::from_secs(1)).unwrap();
    assert_eq!((queue.capacity(), queue.is_full(), queue.is_empty()), (Some(2), false, true));
    queue.put_timeout(1, Duration::ZERO).unwrap();
    queue.put_deadline(2, past).unwrap();
    assert_eq!((queue.len(), queue.is_full(), queue.is_empty()), (2, true, false));
    assert_eq!(kind(queue.try_put(3)), ErrorKind::Full);
    assert_eq!(kind(queue.try_put_bytes(b"x")), ErrorKind::Full);
    assert_eq!(kind(queue.try_put_with(1, |_| ())), ErrorKind::Full);
    assert_eq!(kind(queue.try_put_many([3, 4])), ErrorKind::Full);
    for time in [Duration::ZERO, Duration::from_nanos(1), SHORT] {
        let start = Instant::now();
        assert_eq!(kind(queue.put_timeout(3, time)), ErrorKind::Timeout);
        assert!(start.elapsed() >= time);
        assert_eq!(kind(queue.put_bytes_timeout(b"x", time)), ErrorKind::Timeout);
        assert_eq!(kind(queue.put_with_timeout(1, |_| (), time)), ErrorKind::Timeout);
        assert_eq!(kind(queue.put_many_timeout([3], time)), ErrorKind::Timeout);
    }
    for deadline in [past, Instant::now() + SHORT] {
        assert_eq!(kind(queue.put_deadline(3, deadline)), ErrorKind::Timeout);
        assert!(Instant::now() >= deadline);
        assert_eq!(kind(queue.put_bytes_deadline(b"x", deadline)), ErrorKind::Timeout);
        assert_eq!(kind(queue.put_with_deadline(1, |_| (), deadline)), ErrorKind::Timeout);
        assert_eq!(kind(queue.put_many_deadline([3], deadline)), ErrorKind::Timeout);
    }
    assert_eq!(queue.get_many(9).unwrap(), [1, 2], "nothing of all that was put");
    assert_eq!(kind(queue.try_put_many(0..5)), ErrorKind::Full);
    assert_eq!(queue.get_many(9).unwrap(), [0, 1], "those before the first that did not fit");
    // A large message that finds no room leaves nothing.
    let queue: Queue<Vec<u8>> = Queue::bounded(1).unwrap();
    queue.put(vec![1; 100_000]).unwrap();
    assert_eq!(kind(queue.try_put(vec![2; 100_000])), ErrorKind::Full);
    assert!(queue.get().unwrap() == vec![1; 100_000]);
}

#[test]
fn a_queue_without_limit_is_never_full() {
    let queue = Queue::new().unwrap();
    assert_eq!(queue.capacity(), None);
    for n in 0..20_000 {
        queue.try_put(n).unwrap();
    }
    assert!(!queue.is_full());
    assert_eq!(queue.len(), 20_000);
    for n in 0..20_000 {
        assert_eq!(queue.try_get().unwrap(), n);
    }
}

#[test]
fn a_limit_of_nothing_is_refused() {
    for queue in [
        Queue::<u32>::bounded(0),
        Queue::builder().max_items(0).build(),
        Queue::builder().max_items(usize::MAX).build(),
        Queue::builder().capacity_bytes(0).build(),
    ] {
        let error = queue.unwrap_err();
        assert!(error.is_invalid_input(), "{error:?}");
        assert!(error.to_string().contains("no limit"), "{error}");
    }
}

#[test]
fn bytes_can_be_limited() {
    let _watch = watch();
    let queue: Queue<Vec<u8>> = Queue::builder().capacity_bytes(10_000).build().unwrap();
    assert_eq!(queue.capacity(), None);
    queue.try_put(vec![1; 6000]).unwrap();
    assert_eq!(kind(queue.try_put(vec![2; 4001])), ErrorKind::Full);
    assert_eq!(kind(queue.put_timeout(vec![2; 4001], SHORT)), ErrorKind::Timeout);
    queue.try_put(vec![3; 4000]).unwrap();
    assert_eq!(kind(queue.try_put(vec![4])), ErrorKind::Full);
    let error = queue.put(vec![0; 10_001]).unwrap_err();
    assert!(error.is_too_large(), "{error:?}");
    assert!(error.to_string().contains("10001 bytes") && error.to_string().contains("10000"));
    assert_eq!(queue.get().unwrap().len(), 6000);
    assert_eq!(queue.get().unwrap().len(), 4000);
    // The count of bytes does not drift.
    let mut chance = Chance::new(7);
    for _ in 0..2000 {
        let len = chance.below(5000) as usize;
        queue.try_put(vec![0; len]).unwrap();
        queue.try_put(vec![0; 10_000 - len]).unwrap();
        assert_eq!(kind(queue.try_put(vec![0])), ErrorKind::Full);
        assert_eq!(queue.get().unwrap().len() + queue.get().unwrap().len(), 10_000);
    }
    // And both limits at once.
    let queue: Queue<Vec<u8>> = Queue::builder().capacity_bytes(10).max_items(2).build().unwrap();
    queue.try_put(vec![0; 4]).unwrap();
    assert_eq!(kind(queue.try_put(vec![0; 7])), ErrorKind::Full);
    queue.try_put(vec![0; 1]).unwrap();
    assert_eq!(kind(queue.try_put(vec![0; 1])), ErrorKind::Full);
}

#[test]
fn a_putter_asleep_is_woken_by_room() {
    let _watch = watch();
    let fill = |queue: Queue<u32>, bytes: Queue<Vec<u8>>| {
        queue.put_many(0..5).unwrap();
        for n in 0..5 {
            bytes.put(vec![n; 60]).unwrap();
        }
    };
    let queue = Queue::bounded(2).unwrap();
    let bytes = Queue::builder().capacity_bytes(100).build().unwrap();
    let process = Process::spawn(fill, (&queue, &bytes)).unwrap();
    blocked_put(&queue);
    assert!(queue.is_full());
    for n in 0..5 {
        assert_eq!(queue.get_timeout(LONG).unwrap(), n);
    }
    blocked_put(&bytes);
    assert_eq!(bytes.len(), 1);
    for n in 0..5 {
        assert_eq!(bytes.get_timeout(LONG).unwrap(), [n; 60]);
    }
    process.join().unwrap();
}

#[test]
fn a_getter_asleep_is_woken_by_a_message() {
    let _watch = watch();
    let queue = Queue::new().unwrap();
    let output = Queue::new().unwrap();
    let process = Process::spawn(echo::<u32>, (&queue, &output)).unwrap();
    for n in 0..20 {
        blocked_get(&queue);
        queue.put(n).unwrap();
        assert_eq!(output.get_timeout(LONG).unwrap(), n);
    }
    queue.close().unwrap();
    process.join().unwrap().unwrap();
}

#[test]
fn get_many_takes_what_is_there() {
    let _watch = watch();
    let queue = Queue::new().unwrap();
    queue.put_many(0..10).unwrap();
    assert_eq!(queue.get_many(3).unwrap(), [0, 1, 2]);
    assert_eq!(queue.try_get_many(3).unwrap(), [3, 4, 5]);
    assert_eq!(queue.get_many_timeout(100, LONG).unwrap(), [6, 7, 8, 9]);
    std::thread::scope(|scope| {
        let getter = scope.spawn(|| queue.get_many(5));
        blocked_get(&queue);
        queue.put(1).unwrap();
        assert_eq!(getter.join().unwrap().unwrap(), [1], "it waits for the first alone");
    });
}

#[test]
fn what_was_put_is_seen_at_once_in_every_process() {
    let _watch = watch();
    let put = |queue: Queue<u32>, rounds: Queue<u32>, seen: Queue<usize>| {
        for n in &rounds {
            let n = n.unwrap();
            queue.put_many(0..n).unwrap();
            seen.put(queue.len()).unwrap();
        }
    };
    let (queue, rounds, seen) =
        (Queue::new().unwrap(), Queue::new().unwrap(), Queue::new().unwrap());
    let process = Process::spawn(put, (&queue, &rounds, &seen)).unwrap();
    for n in (0..500).map(|n| n % 7) {
        rounds.put(n).unwrap();
        assert_eq!(seen.get_timeout(LONG).unwrap(), n as usize);
        assert_eq!((queue.len(), queue.is_empty()), (n as usize, n == 0));
        for m in 0..n {
            assert_eq!(queue.try_get().unwrap(), m);
            assert_eq!(queue.len(), (n - m - 1) as usize);
        }
        assert_eq!(kind(queue.try_get()), ErrorKind::Empty);
    }
    rounds.close().unwrap();
    process.join().unwrap();
}
