//! Four producers and four consumers, of which one is killed and replaced every 50 ms: nothing is lost or doubled but what a victim
//! had in hand, of tasks nothing is lost at all, and neither memory nor descriptors grow. Ten minutes of it:
//! `MULTIPROC_SOAK=600 cargo test --release --test it queue::soak -- --ignored --nocapture`.

use std::time::{Duration, Instant};

use crate::common::{Chance, LONG, alone, descriptors, killed, until, world_size};
use multiproc::{
    Atomic, Consumer, Event, JoinableConsumer, JoinableProducer, JoinableQueue, Process, Producer,
    Queue, Result,
};
use serde::{Deserialize, Serialize};

/// A victim comes this long after the last one.
const LIFE: Duration = Duration::from_millis(50);
/// How many of each there are at a time, and victims before all is counted.
const SIDES: usize = 4;
const VICTIMS: usize = 20;
/// The most messages in the queue: both sides wait for each other.
const BOUND: usize = 64;

/// A message: which producer, and its how manyth.
type Message = (u32, u64);

/// What one producer has put, told before and after each put, and what was got of it: count and sum of the numbers, in one word.
#[derive(Clone, Serialize, Deserialize)]
struct Record {
    begun: Atomic<u64>,
    put: Atomic<u64>,
    got: Atomic<u64>,
}

/// In [`Record::got`], one message. Below it are the sums, which may run over into it: only differences are read, of few messages.
const ONE: u64 = 1 << 40;

fn up_to(last: u64) -> u64 {
    last.wrapping_mul(ONE).wrapping_add(last * (last + 1) / 2)
}

impl Record {
    fn new() -> Result<Record> {
        Ok(Record { begun: Atomic::new(0)?, put: Atomic::new(0)?, got: Atomic::new(0)? })
    }

    fn count(records: &[Record], (producer, number): Message) {
        records[producer as usize].got.fetch_add(ONE + number);
    }

    /// How many messages are missing (or, below zero, came once too often), and whether the sums agree where none is.
    fn missing(&self) -> i64 {
        let (begun, put, got) = (self.begun.load(), self.put.load(), self.got.load());
        assert!(begun == put || begun == put + 1, "{begun} begun and {put} put");
        // What a killed producer had begun and not finished came, or did not.
        if got == up_to(begun) || got == up_to(put) {
            return 0;
        }
        match up_to(put).wrapping_sub(got) as i64 / ONE as i64 {
            // What had begun came, and another one is missing.
            0 if begun > put => 1,
            0 => panic!("the right number of messages, but not the right ones"),
            missing => missing,
        }
    }
}

/// The ends of one kind of queue.
trait Ends: Clone + Serialize + for<'de> Deserialize<'de> {
    fn new() -> Result<(Self, Self)>;
    fn put(&self, message: Message) -> Result<()>;
    /// Gets until nobody is left who puts.
    fn get_all(&self, count: impl Fn(Message)) -> Result<()>;
    /// How many messages may be missing at most, and may have come twice, after so many dead consumers.
    fn bounds(dead: i64) -> [i64; 2];
}

#[derive(Clone, Serialize, Deserialize)]
enum Plain {
    Producer(Producer<Message>),
    Consumer(Consumer<Message>),
}

impl Ends for Plain {
    fn new() -> Result<(Plain, Plain)> {
        let (producer, consumer) = Queue::bounded(BOUND)?.split();
        Ok((Plain::Producer(producer), Plain::Consumer(consumer)))
    }

    fn put(&self, message: Message) -> Result<()> {
        let Plain::Producer(producer) = self else { return Ok(()) };
        producer.put(message)
    }

    fn get_all(&self, count: impl Fn(Message)) -> Result<()> {
        let Plain::Consumer(consumer) = self else { return Ok(()) };
        consumer.iter().try_for_each(|message| message.map(&count))
    }

    fn bounds(dead: i64) -> [i64; 2] {
        [dead, 0]
    }
}

#[derive(Clone, Serialize, Deserialize)]
enum Tasks {
    Producer(JoinableProducer<Message>),
    Consumer(JoinableConsumer<Message>),
}

impl Ends for Tasks {
    fn new() -> Result<(Tasks, Tasks)> {
        // A message may go down with more than one of its getters.
        let queue = JoinableQueue::builder().max_items(BOUND).max_deliveries(1000).build()?;
        let (producer, consumer) = queue.split();
        Ok((Tasks::Producer(producer), Tasks::Consumer(consumer)))
    }

    fn put(&self, message: Message) -> Result<()> {
        let Tasks::Producer(producer) = self else { return Ok(()) };
        producer.put(message)
    }

    fn get_all(&self, count: impl Fn(Message)) -> Result<()> {
        let Tasks::Consumer(consumer) = self else { return Ok(()) };
        consumer.iter().try_for_each(|task| {
            let task = task?;
            count(*task);
            task.done()
        })
    }

    fn bounds(dead: i64) -> [i64; 2] {
        [0, dead]
    }
}

fn produce<E: Ends>(to: E, number: u32, record: Record, over: Event) -> Result<()> {
    let mut last = 0;
    while !over.is_set() {
        last += 1;
        record.begun.store(last);
        to.put((number, last))?;
        record.put.store(last);
    }
    Ok(())
}

fn consume<E: Ends>(from: E, records: Vec<Record>) -> Result<()> {
    from.get_all(|message| Record::count(&records, message))
}

/// A queue, some victims, and then all that is left is counted. How many messages there were.
fn round<E: Ends + 'static>(chance: &mut Chance) -> u64 {
    let (to, from) = E::new().unwrap();
    let over = Event::new().unwrap();
    let records: Vec<Record> = (0..SIDES + VICTIMS).map(|_| Record::new().unwrap()).collect();
    let mut next = 0;
    let mut producer = || {
        next += 1;
        let record = &records[next - 1];
        Process::spawn(produce::<E>, (&to, next as u32 - 1, record, &over)).unwrap()
    };
    let consumer = || Process::spawn(consume::<E>, (&from, &records)).unwrap();
    let mut producers: Vec<_> = (0..SIDES).map(|_| producer()).collect();
    let mut consumers: Vec<_> = (0..SIDES).map(|_| consumer()).collect();
    let mut dead = 0;
    for _ in 0..VICTIMS {
        std::thread::sleep(LIFE);
        let index = chance.below(SIDES as u64) as usize;
        if chance.below(2) == 0 {
            killed(std::mem::replace(&mut producers[index], producer()));
        } else {
            killed(std::mem::replace(&mut consumers[index], consumer()));
            dead += 1;
        }
    }
    over.set();
    let ended = |mut process: Process<Result<()>>| {
        process.join_timeout(LONG).unwrap().expect("it hangs").unwrap();
    };
    producers.into_iter().for_each(ended);
    // Whoever gets learns that nobody is left.
    drop(to);
    consumers.into_iter().for_each(ended);
    let missing: Vec<i64> = records.iter().map(Record::missing).collect();
    let sum = |sign: i64| missing.iter().map(|it| (it * sign).max(0)).sum::<i64>();
    let [most_missing, most_double] = E::bounds(dead);
    assert!(sum(1) <= most_missing, "{missing:?} are missing after {dead} dead consumers");
    assert!(sum(-1) <= most_double, "{missing:?} came twice after {dead} dead consumers");
    records.iter().map(|record| record.put.load()).sum()
}

fn soak<E: Ends + 'static>(seconds: u64) {
    let mut chance = Chance::new(7);
    round::<E>(&mut chance);
    let (descriptors_before, memory_before) = (descriptors().len(), world_size().1);
    let end = Instant::now() + Duration::from_secs(seconds);
    let (mut rounds, mut messages) = (0, 0);
    while rounds == 0 || Instant::now() < end {
        rounds += 1;
        messages += round::<E>(&mut chance);
    }
    let kills = rounds * VICTIMS;
    println!("{kills} killed, {messages} messages, nothing lost or doubled beyond theirs");
    until("descriptors are as many as before", || descriptors().len() <= descriptors_before + 1);
    until("shared memory is not more than before", || {
        world_size().1 <= 2 * memory_before + (8 << 20)
    });
}

#[test]
fn messages_while_one_is_killed_every_50_ms() {
    alone(|| soak::<Plain>(0));
}

#[test]
fn tasks_while_one_is_killed_every_50_ms() {
    alone(|| soak::<Tasks>(0));
}

fn long() -> u64 {
    let seconds = std::env::var("MULTIPROC_SOAK").ok().and_then(|text| text.parse().ok());
    seconds.unwrap_or(600)
}

#[test]
#[ignore = "takes minutes: MULTIPROC_SOAK=600 cargo test --release --test it for_long -- --ignored --nocapture --test-threads=1"]
fn messages_for_long() {
    soak::<Plain>(long());
}

#[test]
#[ignore = "takes minutes: MULTIPROC_SOAK=600 cargo test --release --test it for_long -- --ignored --nocapture --test-threads=1"]
fn tasks_for_long() {
    soak::<Tasks>(long());
}
