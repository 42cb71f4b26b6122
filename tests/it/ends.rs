//! `Queue::split`: when an end's last holder goes, the other side learns it.

use multiproc::{Consumer, ErrorKind, Event, Process, Producer, Queue, Result};

use crate::common::{LONG, killed, kind, park, until, until_asleep};
use crate::watchdog::watch;

fn ends<T>() -> (Producer<T>, Consumer<T>) {
    Queue::new().unwrap().split()
}

fn blocked_get<T>(consumer: &Consumer<T>) {
    until("a getter sleeps", || format!("{consumer:?}").contains("waiting_to_get: true"));
}

fn blocked_put<T>(producer: &Producer<T>) {
    until("a putter sleeps", || format!("{producer:?}").contains("waiting_to_put: true"));
}

#[test]
fn consumers_drain_and_then_learn_that_no_producer_is_left() {
    let (producer, consumer) = ends();
    producer.put_many(1..=3).unwrap();
    assert_eq!((producer.len(), consumer.len()), (3, 3));
    drop(producer);
    assert_eq!(consumer.get().unwrap(), 1);
    assert_eq!(consumer.get_many(10).unwrap(), [2, 3]);
    assert!(consumer.get().unwrap_err().is_closed());
    assert!(consumer.try_get().unwrap_err().is_closed());
    assert!(consumer.get_timeout(LONG).unwrap_err().is_closed());
    assert!(consumer.get_many(5).unwrap_err().is_closed());
    assert!(consumer.get_bytes().unwrap_err().is_closed());
    assert_eq!(consumer.iter().count(), 0);
}

#[test]
fn producers_learn_that_no_consumer_is_left() {
    let (producer, consumer) = ends::<u32>();
    producer.put(1).unwrap();
    drop(consumer);
    assert!(producer.put(2).unwrap_err().is_closed());
    assert!(producer.try_put(2).unwrap_err().is_closed());
    assert!(producer.put_bytes(b"x").unwrap_err().is_closed());
    assert!(producer.put_many([1, 2]).unwrap_err().is_closed());
}

#[test]
fn clones_count() {
    let (producer, consumer) = ends();
    let second = producer.clone();
    drop(producer);
    assert!(consumer.try_get().unwrap_err().is_empty());
    second.put(1).unwrap();
    let other = consumer.clone();
    drop(consumer);
    second.put(2).unwrap();
    assert_eq!(other.get_many(2).unwrap(), [1, 2]);
    drop(second);
    assert!(other.try_get().unwrap_err().is_closed());
}

#[test]
fn another_handle_of_the_queue_counts_as_both() {
    let queue = Queue::new().unwrap();
    let (producer, consumer) = queue.clone().split();
    drop(producer);
    assert!(consumer.try_get().unwrap_err().is_empty());
    queue.put(1).unwrap();
    assert_eq!(consumer.get().unwrap(), 1);
    drop(queue);
    assert!(consumer.get().unwrap_err().is_closed());
}

#[test]
fn a_getter_asleep_is_released_when_the_last_producer_is_dropped() {
    let _watch = watch();
    let (producer, consumer) = ends::<u32>();
    std::thread::scope(|scope| {
        let getter = scope.spawn(|| kind(consumer.get()));
        blocked_get(&consumer);
        drop(producer);
        assert_eq!(getter.join().unwrap(), ErrorKind::Closed);
    });
}

#[test]
fn a_putter_asleep_is_released_when_the_last_consumer_is_dropped() {
    let _watch = watch();
    let (producer, consumer) = Queue::bounded(1).unwrap().split();
    producer.put(1).unwrap();
    std::thread::scope(|scope| {
        let putter = scope.spawn(|| kind(producer.put(2)));
        blocked_put(&producer);
        drop(consumer);
        assert_eq!(putter.join().unwrap(), ErrorKind::Closed);
    });
}

fn produce_then_park(producer: Producer<u32>, count: u32) {
    producer.put_many(0..count).unwrap();
    park();
}

#[test]
fn a_killed_producer_is_a_dropped_one() {
    let _watch = watch();
    let (producer, consumer) = ends();
    let process = Process::spawn(produce_then_park, (producer, 3)).unwrap();
    for n in 0..3 {
        assert_eq!(consumer.get_timeout(LONG).unwrap(), n);
    }
    std::thread::scope(|scope| {
        let getter = scope.spawn(|| kind(consumer.get()));
        blocked_get(&consumer);
        killed(process);
        assert_eq!(getter.join().unwrap(), ErrorKind::Closed);
    });
}

#[test]
fn what_a_killed_producer_put_is_drained() {
    let _watch = watch();
    let (producer, consumer) = ends();
    let process = Process::spawn(produce_then_park, (producer, 100)).unwrap();
    until("all are there", || consumer.len() == 100);
    killed(process);
    let got: Vec<u32> = consumer.iter().collect::<Result<_>>().unwrap();
    assert!(got.into_iter().eq(0..100));
    assert!(consumer.try_get().unwrap_err().is_closed());
}

#[test]
fn one_of_two_killed_producers_is_not_the_end() {
    let _watch = watch();
    let (producer, consumer) = ends();
    let one = Process::spawn(produce_then_park, (&producer, 1)).unwrap();
    let two = Process::spawn(produce_then_park, (producer, 1)).unwrap();
    for _ in 0..2 {
        assert_eq!(consumer.get_timeout(LONG).unwrap(), 0);
    }
    killed(one);
    assert!(consumer.try_get().unwrap_err().is_empty());
    killed(two);
    assert!(consumer.get_timeout(LONG).unwrap_err().is_closed());
}

fn consume_one_then_park(consumer: Consumer<u32>) {
    consumer.get().unwrap();
    park();
}

#[test]
fn a_killed_consumer_is_a_dropped_one() {
    let _watch = watch();
    let (producer, consumer) = Queue::bounded(1).unwrap().split();
    let process = Process::spawn(consume_one_then_park, (consumer,)).unwrap();
    producer.put(1).unwrap();
    producer.put(2).unwrap();
    std::thread::scope(|scope| {
        let putter = scope.spawn(|| kind(producer.put(3)));
        blocked_put(&producer);
        until_asleep(&process.handle());
        killed(process);
        assert_eq!(putter.join().unwrap(), ErrorKind::Closed);
    });
}

#[test]
fn a_child_that_ends_gives_its_end_up() {
    let _watch = watch();
    let produce = |producer: Producer<String>| producer.put("last words").unwrap();
    let (producer, consumer) = ends();
    let process = Process::spawn(produce, (producer,)).unwrap();
    let all: Vec<String> = consumer.iter().collect::<Result<_>>().unwrap();
    assert_eq!(all, ["last words"]);
    process.join().unwrap();
}

#[test]
fn both_ends_in_children() {
    let _watch = watch();
    let produce = |producer: Producer<u64>, count: u64| producer.put_many(0..count);
    let consume = |consumer: Consumer<u64>| -> Result<u64> {
        consumer.iter().try_fold(0, |sum, n| Ok(sum + n?))
    };
    let (producer, consumer) = ends();
    let consumers: Vec<_> =
        (0..2).map(|_| Process::spawn(consume, (&consumer,)).unwrap()).collect();
    let producers: Vec<_> =
        (0..3).map(|_| Process::spawn(produce, (&producer, 1000)).unwrap()).collect();
    drop((producer, consumer));
    for producer in producers {
        producer.join().unwrap().unwrap();
    }
    let sum: u64 = consumers.into_iter().map(|consumer| consumer.join().unwrap().unwrap()).sum();
    assert_eq!(sum, 3 * 999 * 500);
}

#[test]
fn a_child_that_cannot_start_gives_its_end_up() {
    let _watch = watch();
    let (producer, consumer) = ends::<u32>();
    let none = |_: Producer<u32>| ();
    let error = Process::builder().executable("/no/such").spawn(none, (producer,)).unwrap_err();
    assert!(error.is_spawn());
    assert!(consumer.get_timeout(LONG).unwrap_err().is_closed());
}

#[test]
fn an_end_travels_through_a_queue() {
    let _watch = watch();
    let (producer, consumer) = ends();
    let carrier = Queue::new().unwrap();
    carrier.put(producer).unwrap();
    assert!(consumer.try_get().unwrap_err().is_empty(), "on its way it counts");
    let use_it = |carrier: Queue<Producer<u32>>| -> Result<()> {
        let producer = carrier.get()?;
        producer.put(7)
    };
    let process = Process::spawn(use_it, (&carrier,)).unwrap();
    assert_eq!(consumer.get_timeout(LONG).unwrap(), 7);
    assert!(consumer.get_timeout(LONG).unwrap_err().is_closed());
    process.join().unwrap().unwrap();
}

#[test]
fn an_end_comes_back_as_a_result() {
    let _watch = watch();
    let make = || -> (Producer<u32>, Consumer<u32>) { Queue::new().unwrap().split() };
    let (producer, consumer) = Process::spawn(make, ()).unwrap().join().unwrap();
    producer.put(1).unwrap();
    assert_eq!(consumer.get().unwrap(), 1);
    drop(producer);
    assert!(consumer.get_timeout(LONG).unwrap_err().is_closed());
}

/// A result with an end in it, and one who looks once the end is dropped.
struct Passing {
    consumer: Consumer<u32>,
    _looker: Option<Looker>,
}

struct Looker(Producer<u32>, Queue<bool>);

impl Drop for Looker {
    fn drop(&mut self) {
        let is_closed = self.0.try_put(7).is_err_and(|error| error.is_closed());
        self.1.put(is_closed).unwrap();
    }
}

impl serde::Serialize for Passing {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.consumer.serialize(serializer)
    }
}

impl<'de> serde::Deserialize<'de> for Passing {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Passing, D::Error> {
        let consumer = Consumer::deserialize(deserializer)?;
        Ok(Passing { consumer, _looker: None })
    }
}

/// What a function returned is dropped in the child before the result is there. In between the end is nobody else's.
#[test]
fn an_end_in_a_result_is_never_gone() {
    let _watch = watch();
    let pass =
        |consumer, producer, said| Passing { consumer, _looker: Some(Looker(producer, said)) };
    let (producer, consumer) = ends();
    let said = Queue::new().unwrap();
    let passed = Process::spawn(pass, (consumer, producer, &said)).unwrap().join().unwrap();
    assert!(!said.get_timeout(LONG).unwrap(), "closed, though the consumer is on its way");
    assert_eq!(passed.consumer.get_timeout(LONG).unwrap(), 7);
}

#[test]
fn an_end_in_a_queue_that_is_dropped_is_gone() {
    let _watch = watch();
    let (producer, consumer) = ends::<u32>();
    let carrier = Queue::new().unwrap();
    carrier.put(producer).unwrap();
    drop(carrier);
    assert!(consumer.get_timeout(LONG).unwrap_err().is_closed());
}

#[test]
fn an_end_in_a_queue_that_is_shut_down_is_gone() {
    let _watch = watch();
    let (producer, consumer) = ends::<u32>();
    let carrier = Queue::new().unwrap();
    carrier.put(producer).unwrap();
    carrier.shutdown().unwrap();
    assert!(consumer.get_timeout(LONG).unwrap_err().is_closed());
}

#[test]
fn a_putter_that_is_killed_leaves_its_passenger_on_the_way() {
    let _watch = watch();
    let (producer, consumer) = ends();
    let carrier = Queue::new().unwrap();
    let send = |carrier: Queue<Producer<u32>>, producer: Producer<u32>, sent: Event| {
        carrier.put(producer).unwrap();
        sent.set();
        park();
    };
    let sent = Event::new().unwrap();
    let process = Process::spawn(send, (&carrier, producer, &sent)).unwrap();
    sent.wait().unwrap();
    killed(process);
    assert!(consumer.try_get().unwrap_err().is_empty());
    let producer = carrier.try_get().unwrap();
    producer.put(1).unwrap();
    drop(producer);
    assert_eq!(consumer.get().unwrap(), 1);
    assert!(consumer.get_timeout(LONG).unwrap_err().is_closed());
}

#[test]
fn a_closed_queue_is_closed_for_its_ends() {
    let queue = Queue::new().unwrap();
    let (producer, consumer) = queue.clone().split();
    producer.put(1).unwrap();
    queue.close().unwrap();
    assert!(producer.is_closed() && consumer.is_closed());
    assert!(producer.put(2).unwrap_err().is_closed());
    assert_eq!(consumer.get().unwrap(), 1);
    assert!(consumer.get().unwrap_err().is_closed());
}

#[test]
fn ends_show_their_state() {
    let (producer, consumer) = Queue::<u32>::bounded(2).unwrap().split();
    producer.put(1).unwrap();
    let state = "{ len: 1, capacity: Some(2), closed: false, waiting_to_get: false, waiting_to_put: false }";
    assert_eq!(format!("{producer:?}"), format!("Producer {state}"));
    assert_eq!(format!("{consumer:?}"), format!("Consumer {state}"));
    assert_eq!((producer.capacity(), consumer.capacity()), (Some(2), Some(2)));
    assert!(!producer.is_full() && !consumer.is_empty());
}
