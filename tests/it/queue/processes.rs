//! Many processes, and some that are killed.

use multiproc::{Event, Process, Queue, Result};
use serde::{Deserialize, Serialize};

use super::{blocked_get, blocked_put};
use crate::common::{Chance, LONG, killed, park};
use crate::watchdog::watch;

#[derive(Serialize, Deserialize)]
struct Numbered {
    producer: u32,
    number: u32,
    body: Vec<u8>,
    sum: u64,
}

fn sum(producer: u32, number: u32, body: &[u8]) -> u64 {
    body.iter().fold(u64::from(producer) << 32 | u64::from(number), |sum, &byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}

fn produce(queue: Queue<Option<Numbered>>, producer: u32, count: u32) -> Result<()> {
    let mut chance = Chance::new(u64::from(producer) + 11);
    for number in 0..count {
        // Now and then one that has a block of its own.
        let len = if chance.below(50) == 0 { 6000 } else { chance.below(300) };
        let body: Vec<u8> = (0..len).map(|_| chance.next() as u8).collect();
        let sum = sum(producer, number, &body);
        queue.put(Some(Numbered { producer, number, body, sum }))?;
    }
    Ok(())
}

/// How many of each producer it got, and the sum of their numbers.
fn consume(queue: Queue<Option<Numbered>>, producers: u32) -> Result<Vec<(u64, u64)>> {
    let mut seen: Vec<Option<u32>> = vec![None; producers as usize];
    let mut got = vec![(0, 0); producers as usize];
    while let Some(item) = queue.get()? {
        assert_eq!(item.sum, sum(item.producer, item.number, &item.body), "torn");
        let last = seen[item.producer as usize].replace(item.number);
        assert!(last < Some(item.number), "{} after {last:?}", item.number);
        got[item.producer as usize].0 += 1;
        got[item.producer as usize].1 += u64::from(item.number);
    }
    Ok(got)
}

fn many_to_many(queue: Queue<Option<Numbered>>, producers: u32, consumers: usize, count: u32) {
    let getters: Vec<_> =
        (0..consumers).map(|_| Process::spawn(consume, (&queue, producers)).unwrap()).collect();
    let putters: Vec<_> = (0..producers)
        .map(|producer| Process::spawn(produce, (&queue, producer, count)).unwrap())
        .collect();
    for putter in putters {
        putter.join().unwrap().unwrap();
    }
    for _ in 0..consumers {
        queue.put(None).unwrap();
    }
    let mut total = vec![(0, 0); producers as usize];
    for getter in getters {
        for (total, got) in total.iter_mut().zip(getter.join().unwrap().unwrap()) {
            *total = (total.0 + got.0, total.1 + got.1);
        }
    }
    let count = u64::from(count);
    assert_eq!(total, vec![(count, count * (count - 1) / 2); producers as usize]);
    assert!(queue.is_empty());
}

#[test]
fn two_to_two_in_order_whole_and_once() {
    let _watch = watch();
    many_to_many(Queue::new().unwrap(), 2, 2, 4000);
}

#[test]
fn three_to_three_through_few_places() {
    let _watch = watch();
    many_to_many(Queue::bounded(3).unwrap(), 3, 3, 1500);
}

#[test]
fn threads_of_one_process_share_a_handle() {
    let _watch = watch();
    let queue = Queue::bounded(16).unwrap();
    let total = std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| (1..=2000_u64).for_each(|n| queue.put(n).unwrap()));
        }
        let getters: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| (0..2000).map(|_| queue.get().unwrap()).sum::<u64>()))
            .collect();
        getters.into_iter().map(|getter| getter.join().unwrap()).sum::<u64>()
    });
    assert_eq!(total, 3 * 2000 * 2001 / 2);
}

#[test]
fn killed_getters_and_putters_hold_nobody_up() {
    let _watch = watch();
    let get = |queue: Queue<u32>| {
        queue.get().unwrap();
        park();
    };
    let queue = Queue::new().unwrap();
    let getters: Vec<_> = (0..3).map(|_| Process::spawn(get, (&queue,)).unwrap()).collect();
    blocked_get(&queue);
    getters.into_iter().for_each(killed);
    queue.put(1).unwrap();
    assert_eq!(queue.get_timeout(LONG).unwrap(), 1);
    let put = |queue: Queue<u32>| {
        queue.put(2).unwrap();
        park();
    };
    let queue = Queue::bounded(1).unwrap();
    queue.put(1).unwrap();
    let putters: Vec<_> = (0..3).map(|_| Process::spawn(put, (&queue,)).unwrap()).collect();
    blocked_put(&queue);
    putters.into_iter().for_each(killed);
    assert_eq!(queue.get_timeout(LONG).unwrap(), 1);
    queue.put_timeout(3, LONG).unwrap();
    assert_eq!(queue.get_timeout(LONG).unwrap(), 3, "the killed put nothing");
}

#[test]
fn what_a_killed_process_had_put_stays() {
    let _watch = watch();
    let put = |queue: Queue<Vec<u8>>, done: Event| {
        for n in 0..50 {
            queue.put(vec![n; usize::from(n) * 1000]).unwrap();
        }
        done.set();
        park();
    };
    let (queue, done) = (Queue::new().unwrap(), Event::new().unwrap());
    let process = Process::spawn(put, (&queue, &done)).unwrap();
    done.wait().unwrap();
    killed(process);
    // What would be freed with the dead is handed out again.
    let other = Queue::new().unwrap();
    for _ in 0..50 {
        other.put(vec![0xee; 50_000]).unwrap();
    }
    for n in 0..50 {
        assert!(queue.try_get().unwrap() == vec![n; usize::from(n) * 1000]);
    }
}
