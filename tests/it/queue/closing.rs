//! Closing, shutting down, and the end of an iteration.

use multiproc::{Consumer, ErrorKind, Lock, Process, Producer, Queue};

use super::{blocked_get, blocked_put};
use crate::common::{LONG, kind, until};
use crate::watchdog::watch;

#[test]
fn a_closed_queue_is_drained() {
    let queue = Queue::new().unwrap();
    queue.put_many(0..3).unwrap();
    queue.put_bytes(b"x").unwrap();
    assert!(!queue.is_closed());
    queue.close().unwrap();
    queue.close().unwrap();
    assert!(queue.is_closed());
    assert_eq!(kind(queue.put(9)), ErrorKind::Closed);
    assert_eq!(kind(queue.try_put(9)), ErrorKind::Closed);
    assert_eq!(kind(queue.put_bytes(b"x")), ErrorKind::Closed);
    assert_eq!(queue.len(), 4);
    assert_eq!(queue.get().unwrap(), 0);
    assert_eq!(queue.get_many(9).unwrap(), [1, 2]);
    assert_eq!(queue.get_bytes().unwrap(), b"x");
    for _ in 0..2 {
        assert_eq!(kind(queue.get()), ErrorKind::Closed);
        assert_eq!(kind(queue.try_get()), ErrorKind::Closed);
        assert_eq!(kind(queue.get_timeout(LONG)), ErrorKind::Closed);
        assert_eq!(kind(queue.get_bytes()), ErrorKind::Closed);
    }
}

#[test]
fn closing_releases_everyone_asleep() {
    let _watch = watch();
    let get = |queue: Queue<u32>| kind(queue.get());
    let empty = Queue::new().unwrap();
    let getters: Vec<_> = (0..3).map(|_| Process::spawn(get, (&empty,)).unwrap()).collect();
    blocked_get(&empty);
    empty.close().unwrap();
    for getter in getters {
        assert_eq!(getter.join().unwrap(), ErrorKind::Closed);
    }
    let put = |queue: Queue<u32>| kind(queue.put(2));
    let full = Queue::bounded(1).unwrap();
    full.put(1).unwrap();
    let putters: Vec<_> = (0..3).map(|_| Process::spawn(put, (&full,)).unwrap()).collect();
    blocked_put(&full);
    let close = |queue: Queue<u32>| queue.close().unwrap();
    Process::spawn(close, (&full,)).unwrap().join().unwrap();
    for putter in putters {
        assert_eq!(putter.join().unwrap(), ErrorKind::Closed);
    }
    assert_eq!(full.get().unwrap(), 1);
}

#[test]
fn a_shutdown_drops_what_is_left() {
    let queue: Queue<Option<Lock>> = Queue::new().unwrap();
    let lock = Lock::new().unwrap();
    queue.put(None).unwrap();
    queue.put_bytes(b"x").unwrap();
    queue.put(Some(lock.clone())).unwrap();
    queue.put_bytes(&[1; 100_000]).unwrap();
    queue.shutdown().unwrap();
    assert_eq!(queue.len(), 0);
    assert!(queue.is_closed());
    assert_eq!(kind(queue.get().map(drop)), ErrorKind::Closed);
    assert_eq!(kind(queue.put(None)), ErrorKind::Closed);
    drop(lock.lock().unwrap());
}

#[test]
fn a_shutdown_of_an_end_closes_for_all_and_wakes_them() {
    let _watch = watch();
    let put = |queue: Producer<Vec<u8>>| kind(queue.put(vec![2; 50_000]));
    let get = |queue: Consumer<Vec<u8>>| kind(queue.get());
    for by_producer in [true, false] {
        let (producer, consumer) = Queue::bounded(1).unwrap().split();
        producer.put(vec![1; 50_000]).unwrap();
        let putters: Vec<_> = (0..2).map(|_| Process::spawn(put, (&producer,)).unwrap()).collect();
        until("a putter sleeps", || format!("{producer:?}").contains("waiting_to_put: true"));
        if by_producer {
            producer.shutdown().unwrap()
        } else {
            consumer.shutdown().unwrap()
        }
        for putter in putters {
            assert_eq!(putter.join().unwrap(), ErrorKind::Closed);
        }
        assert_eq!((consumer.len(), consumer.is_closed()), (0, true));
        assert_eq!(kind(consumer.get()), ErrorKind::Closed);
        assert_eq!(kind(producer.put(vec![])), ErrorKind::Closed);
        producer.shutdown().unwrap();

        let (producer, consumer) = Queue::<Vec<u8>>::new().unwrap().split();
        let getters: Vec<_> = (0..2).map(|_| Process::spawn(get, (&consumer,)).unwrap()).collect();
        until("a getter sleeps", || format!("{producer:?}").contains("waiting_to_get: true"));
        if by_producer {
            producer.shutdown().unwrap()
        } else {
            consumer.shutdown().unwrap()
        }
        for getter in getters {
            assert_eq!(getter.join().unwrap(), ErrorKind::Closed);
        }
    }
}

#[test]
fn iteration_ends_with_the_queue() {
    let _watch = watch();
    let feed = |queue: Queue<String>| {
        for n in 0..100 {
            queue.put(format!("{n}")).unwrap();
        }
        queue.close().unwrap();
    };
    let queue = Queue::new().unwrap();
    let process = Process::spawn(feed, (&queue,)).unwrap();
    let mut expected = 0;
    for item in &queue {
        assert_eq!(item.unwrap(), expected.to_string());
        expected += 1;
    }
    assert_eq!(expected, 100);
    assert!(queue.iter().next().is_none());
    process.join().unwrap();
}

#[test]
fn debug_shows_the_live_state() {
    let queue: Queue<u32> = Queue::bounded(3).unwrap();
    queue.put(1).unwrap();
    assert_eq!(
        format!("{queue:?}"),
        "Queue { len: 1, capacity: Some(3), closed: false, waiting_to_get: false, waiting_to_put: false }"
    );
    queue.close().unwrap();
    assert!(format!("{queue:?}").contains("closed: true"));
}
