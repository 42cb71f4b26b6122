//! Consumers that stand where nobody can get them: `put` is closed, and does not wait for ever.

use multiproc::{Consumer, Event, Process, Producer, Queue, Result};
use serde::{Deserialize, Serialize};

use crate::common::{LONG, park, until_asleep};
use crate::watchdog::watch;

/// A message that may hold an end.
#[derive(Debug, Serialize, Deserialize)]
enum Item {
    Plain,
    Consumer(Consumer<Item>),
    Producer(Producer<Item>),
}

/// Ends of a queue that holds two messages.
fn ends() -> (Producer<Item>, Consumer<Item>) {
    Queue::bounded(2).unwrap().split()
}

/// Every form of `put` says that nobody is left.
fn is_closed(producer: &Producer<Item>) {
    assert!(producer.put(Item::Plain).unwrap_err().is_closed());
    assert!(producer.try_put(Item::Plain).unwrap_err().is_closed());
    assert!(producer.put_timeout(Item::Plain, LONG).unwrap_err().is_closed());
}

#[test]
fn the_only_consumer_in_its_own_queue_is_none() {
    let _watch = watch();
    let (producer, consumer) = ends();
    producer.put(Item::Consumer(consumer)).unwrap();
    is_closed(&producer);
}

#[test]
fn a_second_consumer_outside_keeps_it_open() {
    let _watch = watch();
    let (producer, consumer) = ends();
    let other = consumer.clone();
    producer.put(Item::Consumer(consumer)).unwrap();
    producer.put(Item::Plain).unwrap();
    let Item::Consumer(inner) = other.get().unwrap() else { panic!("the consumer comes first") };
    drop(other);
    assert!(matches!(inner.get().unwrap(), Item::Plain));
    producer.put(Item::Plain).unwrap();
    drop(inner);
    is_closed(&producer);
}

#[test]
fn consumers_in_each_others_queues_are_none() {
    let _watch = watch();
    for count in [2, 3, 5] {
        let (producers, consumers): (Vec<_>, Vec<_>) = (0..count).map(|_| ends()).unzip();
        for (n, consumer) in consumers.into_iter().enumerate() {
            producers[(n + 1) % count].put(Item::Consumer(consumer)).unwrap();
        }
        producers.iter().for_each(is_closed);
    }
}

#[test]
fn a_consumer_that_can_be_got_through_others_keeps_it_open() {
    let _watch = watch();
    let (first, to_first) = ends();
    let (second, to_second) = ends();
    let (third, to_third) = ends();
    third.put(Item::Consumer(to_second)).unwrap();
    second.put(Item::Consumer(to_first)).unwrap();
    first.put(Item::Plain).unwrap();
    second.put(Item::Plain).unwrap();
    // Whoever had the last way in goes.
    drop(to_third);
    [&first, &second, &third].into_iter().for_each(is_closed);
}

#[test]
fn a_putter_asleep_learns_of_it() {
    let _watch = watch();
    let (producer, consumer) = ends();
    producer.put(Item::Plain).unwrap();
    producer.put(Item::Plain).unwrap();
    let wait = |producer: Producer<Item>, ready: Event| {
        ready.set();
        producer.put(Item::Plain).unwrap_err().is_closed()
    };
    let ready = Event::new().unwrap();
    let putter = Process::spawn(wait, (&producer, &ready)).unwrap();
    ready.wait().unwrap();
    until_asleep(&putter.handle());
    // The consumer goes into a queue of which nobody can take it.
    let (carrier, to_carrier) = ends();
    drop((to_carrier, carrier.put(Item::Consumer(consumer))));
    drop(carrier);
    assert!(putter.join().unwrap());
}

#[test]
fn a_consumer_in_a_result_counts_until_the_result_is_gone() {
    let _watch = watch();
    let give_back = |consumer: Consumer<Item>| consumer;
    let (producer, consumer) = ends();
    let child = Process::spawn(give_back, (consumer,)).unwrap();
    child.handle().wait().unwrap();
    producer.put(Item::Plain).unwrap();
    let consumer = child.join().unwrap();
    assert!(matches!(consumer.get().unwrap(), Item::Plain));

    // A result that nobody takes.
    let child = Process::spawn(give_back, (consumer,)).unwrap();
    child.handle().wait().unwrap();
    producer.put(Item::Plain).unwrap();
    drop(child);
    is_closed(&producer);

    // The parent is killed, and with it whoever could take the result.
    let (producer, consumer) = ends();
    let parent = |consumer: Consumer<Item>, ready: Event| -> Result<()> {
        let child = Process::spawn(|consumer: Consumer<Item>| consumer, (consumer,))?;
        child.handle().wait()?;
        ready.set();
        park();
        drop(child);
        Ok(())
    };
    let ready = Event::new().unwrap();
    let process = Process::spawn(parent, (consumer, &ready)).unwrap();
    ready.wait().unwrap();
    producer.put(Item::Plain).unwrap();
    process.handle().kill().unwrap();
    assert!(process.join().is_err());
    is_closed(&producer);
}

#[test]
fn a_producer_in_its_own_queue_counts_for_getters() {
    let _watch = watch();
    let (producer, consumer) = ends();
    let other = producer.clone();
    producer.put(Item::Producer(other)).unwrap();
    drop(producer);
    let Item::Producer(producer) = consumer.get().unwrap() else { panic!("a producer was put") };
    producer.put(Item::Plain).unwrap();
    drop(producer);
    assert!(matches!(consumer.get().unwrap(), Item::Plain));
    assert!(consumer.get_timeout(LONG).unwrap_err().is_closed());
}
