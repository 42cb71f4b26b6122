//! Messages in one direction: how many a second, and whether they are all there.

use std::fs::File;
use std::hint::{black_box, spin_loop};
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering};

use crossbeam_queue::ArrayQueue;
use multiproc::{Consumer, Error, Producer, Queue, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::common::team::{self, Gate, Team};
use super::common::{Sample, os};

/// The most messages in a queue; `None` for no limit.
pub(crate) type Limit = Option<usize>;

/// How many put and how many get.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) putters: usize,
    pub(crate) getters: usize,
}

impl Shape {
    pub(crate) const ONE_TO_ONE: Shape = Shape { putters: 1, getters: 1 };

    /// One to one is pinned.
    fn processors(self) -> [Option<usize>; 2] {
        if self == Shape::ONE_TO_ONE { os::two_processors() } else { [None, None] }
    }

    fn jobs(self, count: u64, size: usize, checked: bool) -> impl Iterator<Item = Job> {
        let putters = self.putters as u64;
        (0..putters).map(move |putter| Job {
            putter,
            // The first ones put the rest.
            count: count / putters + u64::from(putter < count % putters),
            size,
            checked,
            processor: self.processors()[0],
        })
    }
}

/// What a putter is to do.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Job {
    putter: u64,
    count: u64,
    size: usize,
    checked: bool,
    processor: Option<usize>,
}

impl Job {
    /// The numbers of its messages. No two putters have one in common.
    fn numbers(self) -> impl Iterator<Item = u64> {
        (0..self.count).map(move |count| self.putter << PUTTER | count)
    }
}

/// The putter's index is in the bits from here.
const PUTTER: u32 = 48;

/// The number in a message's first bytes.
pub(crate) fn number(message: &[u8]) -> u64 {
    u64::from_le_bytes(*message.first_chunk().expect("a message of 8 bytes or more"))
}

pub(crate) fn set_number(message: &mut [u8], number: u64) {
    message[..8].copy_from_slice(&number.to_le_bytes());
}

/// What one side put or got.
#[derive(Serialize, Deserialize)]
struct Tally {
    count: u64,
    sum: u64,
    from: u64,
    to: u64,
    /// The last number from each putter, kept only in checked runs.
    last: Vec<Option<u64>>,
}

impl Tally {
    fn start(from: u64) -> Tally {
        Tally { count: 0, sum: 0, from, to: from, last: Vec::new() }
    }

    fn add(&mut self, number: u64) {
        self.count += 1;
        self.sum = self.sum.wrapping_add(number);
    }

    /// A getter sees the messages of each putter in the order in which they were put.
    fn follow(&mut self, number: u64) {
        let putter = (number >> PUTTER) as usize;
        if self.last.len() <= putter {
            self.last.resize(putter + 1, None);
        }
        assert!(self.last[putter].is_none_or(|last| last < number), "out of order");
        self.last[putter] = Some(number);
    }

    fn end(mut self) -> Tally {
        self.to = os::now();
        self
    }
}

/// The bytes behind the number, in a checked run.
fn filling(number: u64, at: usize) -> u8 {
    (number.wrapping_mul(31).wrapping_add(at as u64) >> 3) as u8
}

fn fill(message: &mut [u8], number: u64) {
    set_number(message, number);
    for (at, byte) in message.iter_mut().enumerate().skip(8) {
        *byte = filling(number, at);
    }
}

fn assert_filled(message: &[u8]) {
    let number = number(message);
    for (at, &byte) in message.iter().enumerate().skip(8) {
        assert_eq!(byte, filling(number, at), "byte {at} of message {number:#x}");
    }
}

/// The time from the first that put to the last that got, once both agree.
fn result(shape: Shape, count: u64, mut tallies: Vec<Tally>) -> Sample {
    let got = tallies.split_off(shape.putters);
    let sums = |tallies: &[Tally]| {
        tallies
            .iter()
            .fold((0, 0_u64), |(count, sum), t| (count + t.count, sum.wrapping_add(t.sum)))
    };
    assert_eq!(sums(&tallies).0, count, "not everything was put");
    assert_eq!(sums(&got), sums(&tallies), "what was got is not what was put");
    let from = tallies.iter().map(|tally| tally.from).min().expect("a putter");
    let to = got.iter().map(|tally| tally.to).max().expect("a getter");
    Sample::new(count, to - from)
}

fn queue<T>(limit: Limit) -> Result<Queue<T>> {
    limit.map_or_else(Queue::new, Queue::bounded)
}

// The subject.

fn put_bytes(to: Producer<u64>, gate: Gate, job: Job) -> Result<Tally> {
    let mut message = vec![7; job.size];
    let mut tally = Tally::start(gate.pass(job.processor)?);
    for number in job.numbers() {
        if job.checked {
            fill(&mut message, number);
        } else {
            set_number(&mut message, number);
        }
        to.put_bytes(black_box(&message))?;
        tally.add(number);
    }
    Ok(tally.end())
}

fn get_bytes(from: Consumer<u64>, gate: Gate, job: Job) -> Result<Tally> {
    let mut tally = Tally::start(gate.pass(job.processor)?);
    loop {
        let got = from.get_with(|message| {
            assert_eq!(message.len(), job.size);
            let number = number(black_box(message));
            if job.checked {
                assert_filled(message);
                tally.follow(number);
            }
            tally.add(number);
        });
        match got {
            Ok(()) => {}
            Err(error) if error.is_closed() => return Ok(tally.end()),
            Err(error) => return Err(error),
        }
    }
}

pub(crate) fn by_queue(shape: Shape, limit: Limit, size: usize, count: u64) -> Result<Sample> {
    bytes(shape, limit, size, count, false)
}

/// How many messages a checked run has.
pub(crate) const CHECKED: u64 = 1000;

/// Whether messages arrive whole and in order, also when every getter has waited and every putter was held up.
pub(crate) fn check(shape: Shape, limit: Limit, size: usize) -> Result<()> {
    bytes(shape, limit, size, CHECKED, true)?;
    bytes(shape, Some(2), size, CHECKED / 10, true)?;
    Ok(())
}

fn bytes(shape: Shape, limit: Limit, size: usize, count: u64, checked: bool) -> Result<Sample> {
    let (producer, consumer) = queue::<u64>(limit)?.split();
    let mut team = Team::new()?;
    let gate = team.gate().clone();
    for job in shape.jobs(count, size, checked) {
        team.spawn(put_bytes, (&producer, &gate, job))?;
    }
    for _ in 0..shape.getters {
        let job = Job { putter: 0, count, size, checked, processor: shape.processors()[1] };
        team.spawn(get_bytes, (&consumer, &gate, job))?;
    }
    // Getters learn that it is over when no producer is left.
    drop((producer, consumer));
    Ok(result(shape, count, team.run()?))
}

// In place.

/// Writes the number only: what is to stand there is the caller's to write.
fn put_in_place(to: Producer<u64>, gate: Gate, job: Job) -> Result<Tally> {
    let mut tally = Tally::start(gate.pass(job.processor)?);
    for number in job.numbers() {
        to.put_with(job.size, |message| set_number(black_box(message), number))?;
        tally.add(number);
    }
    Ok(tally.end())
}

/// Looks at both ends of the message, however long it is.
fn get_in_place(from: Consumer<u64>, gate: Gate, job: Job) -> Result<Tally> {
    let mut tally = Tally::start(gate.pass(job.processor)?);
    for _ in 0..job.count {
        from.get_with(|message| {
            assert_eq!(message.len(), job.size);
            black_box(message.last());
            tally.add(number(message));
        })?;
    }
    Ok(tally.end())
}

pub(crate) fn in_place(limit: usize, size: usize, count: u64) -> Result<Sample> {
    let (producer, consumer) = queue::<u64>(Some(limit))?.split();
    let [first, second] = os::two_processors();
    let job = |processor| Job { putter: 0, count, size, checked: false, processor };
    let mut team = Team::new()?;
    let gate = team.gate().clone();
    team.spawn(put_in_place, (&producer, &gate, job(first)))?;
    team.spawn(get_in_place, (&consumer, &gate, job(second)))?;
    drop((producer, consumer));
    Ok(result(Shape::ONE_TO_ONE, count, team.run()?))
}

/// A message that serde carries.
pub(crate) trait Record:
    Serialize
    + DeserializeOwned
    + Clone
    + Send
    + Sync
    + PartialEq
    + std::fmt::Debug
    + Numbered
    + 'static
{
    /// One to put again and again, with other numbers.
    fn sample() -> Self;

    fn set_number(&mut self, number: u64);
}

/// A message that crossbeam can carry as well.
pub(crate) trait Numbered {
    fn number(&self) -> u64;
}

impl<const SIZE: usize> Numbered for [u8; SIZE] {
    fn number(&self) -> u64 {
        number(self)
    }
}

impl Numbered for Vec<u8> {
    fn number(&self) -> u64 {
        number(self)
    }
}

/// A message that is a number and nothing else.
pub(crate) type Number = u64;

impl Numbered for Number {
    fn number(&self) -> u64 {
        *self
    }
}

impl Record for Number {
    fn sample() -> Number {
        0
    }

    fn set_number(&mut self, number: u64) {
        *self = number;
    }
}

/// A message as programs have them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Order {
    id: u64,
    customer: String,
    side: Direction,
    price: f64,
    amounts: Vec<u32>,
    note: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Direction {
    Buy,
    Sell { short: bool },
}

impl Numbered for Order {
    fn number(&self) -> u64 {
        self.id
    }
}

impl Record for Order {
    fn sample() -> Order {
        Order {
            id: 0,
            customer: "somebody in particular".to_owned(),
            side: Direction::Sell { short: true },
            price: 99.75,
            amounts: vec![1, 200, 30_000, 4_000_000],
            note: None,
        }
    }

    fn set_number(&mut self, number: u64) {
        self.id = number;
        self.side = match number % 2 {
            0 => Direction::Buy,
            _ => Direction::Sell { short: number % 4 == 1 },
        };
    }
}

fn put_typed<T: Record>(to: Producer<T>, gate: Gate, job: Job) -> Result<Tally> {
    let mut message = T::sample();
    let mut tally = Tally::start(gate.pass(job.processor)?);
    for number in job.numbers() {
        message.set_number(number);
        to.put(black_box(&message))?;
        tally.add(number);
    }
    Ok(tally.end())
}

fn get_typed<T: Record>(from: Consumer<T>, gate: Gate, job: Job) -> Result<Tally> {
    let mut expected = T::sample();
    let mut tally = Tally::start(gate.pass(job.processor)?);
    for message in &from {
        let message = black_box(message?);
        let number = message.number();
        if job.checked {
            expected.set_number(number);
            assert_eq!(message, expected);
            tally.follow(number);
        }
        tally.add(number);
    }
    Ok(tally.end())
}

pub(crate) fn typed<T: Record>(limit: Limit, count: u64, checked: bool) -> Result<Sample> {
    let (producer, consumer) = queue::<T>(limit)?.split();
    let processors = os::two_processors();
    let mut team = Team::new()?;
    let gate = team.gate().clone();
    let job =
        |index: usize| Job { putter: 0, count, size: 0, checked, processor: processors[index] };
    team.spawn(put_typed::<T>, (&producer, &gate, job(0)))?;
    team.spawn(get_typed::<T>, (&consumer, &gate, job(1)))?;
    drop((producer, consumer));
    Ok(result(Shape::ONE_TO_ONE, count, team.run()?))
}

// The yardsticks.

/// Between threads; `number_it` makes a message out of the sample.
pub(crate) fn by_crossbeam<T: Numbered + Clone + Send + Sync>(
    shape: Shape,
    limit: usize,
    count: u64,
    sample: T,
    number_it: impl Fn(&mut T, u64) -> T + Sync,
) -> Sample {
    let (sender, receiver) = crossbeam_channel::bounded::<T>(limit);
    let number_it = &number_it;
    let mut runs: team::Runs<'_, Tally> = Vec::new();
    for job in shape.jobs(count, 0, false) {
        let (sender, mut message) = (sender.clone(), sample.clone());
        let run = move || {
            let mut tally = Tally::start(os::now());
            for number in job.numbers() {
                sender.send(number_it(black_box(&mut message), number)).expect("a receiver");
                tally.add(number);
            }
            tally.end()
        };
        runs.push((job.processor, Box::new(run)));
    }
    for _ in 0..shape.getters {
        let receiver = receiver.clone();
        let run = move || {
            let mut tally = Tally::start(os::now());
            for message in &receiver {
                tally.add(black_box(&message).number());
            }
            tally.end()
        };
        runs.push((shape.processors()[1], Box::new(run)));
    }
    drop((sender, receiver));
    result(shape, count, team::threads(runs))
}

/// Tries again and again; gives the processor away where that takes long.
fn polled<R>(mut attempt: impl FnMut() -> Option<R>) -> R {
    /// Attempts before that.
    const ATTEMPTS: u32 = 64;
    loop {
        for _ in 0..ATTEMPTS {
            if let Some(result) = attempt() {
                return result;
            }
            spin_loop();
        }
        std::thread::yield_now();
    }
}

/// Between threads, by a queue at which nobody can wait.
pub(crate) fn by_array<T: Numbered + Clone + Send + Sync>(
    shape: Shape,
    limit: usize,
    count: u64,
    sample: T,
    number_it: impl Fn(&mut T, u64) -> T + Sync,
) -> Sample {
    let queue = ArrayQueue::<T>::new(limit);
    let putting = AtomicUsize::new(shape.putters);
    let (queue, putting, number_it) = (&queue, &putting, &number_it);
    let mut runs: team::Runs<'_, Tally> = Vec::new();
    for job in shape.jobs(count, 0, false) {
        let mut message = sample.clone();
        let run = move || {
            let mut tally = Tally::start(os::now());
            for number in job.numbers() {
                let mut message = Some(number_it(black_box(&mut message), number));
                polled(|| {
                    message = queue.push(message.take()?).err();
                    message.is_none().then_some(())
                });
                tally.add(number);
            }
            // Release, pairs with the Acquire below: all of its messages are there.
            putting.fetch_sub(1, Ordering::Release);
            tally.end()
        };
        runs.push((job.processor, Box::new(run)));
    }
    for _ in 0..shape.getters {
        let run = move || {
            let mut tally = Tally::start(os::now());
            loop {
                let message = polled(|| {
                    // Acquire, pairs with the Release above.
                    let is_last = putting.load(Ordering::Acquire) == 0;
                    queue.pop().map(Some).or(is_last.then_some(None))
                });
                let Some(message) = message else { return tally.end() };
                tally.add(black_box(&message).number());
            }
        };
        runs.push((shape.processors()[1], Box::new(run)));
    }
    result(shape, count, team::threads(runs))
}

fn write_all(gate: Gate, job: Job) -> Result<Tally> {
    let mut to = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let mut message = vec![7; job.size];
    let mut tally = Tally::start(gate.pass(job.processor)?);
    for number in job.numbers() {
        set_number(&mut message, number);
        to.write_all(&message)?;
        tally.add(number);
    }
    Ok(tally.end())
}

fn read_all(gate: Gate, job: Job) -> Result<Tally> {
    let mut from = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut message = vec![0; job.size];
    let mut tally = Tally::start(gate.pass(job.processor)?);
    while tally.count < job.count {
        match from.read_exact(&mut message) {
            Ok(()) => tally.add(number(&message)),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => break,
            Err(error) => return Err(Error::from(error)),
        }
    }
    Ok(tally.end())
}

/// One `write` and one `read` for each message, between two processes.
pub(crate) fn by_pipe(size: usize, count: u64) -> Result<Sample> {
    let (reader, writer) = io::pipe()?;
    let [first, second] = os::two_processors();
    let job = Job { putter: 0, count, size, checked: false, processor: first };
    let mut team = Team::new()?;
    let gate = team.gate().clone();
    team.spawn_with(None, Some(OwnedFd::from(writer)), write_all, (&gate, job))?;
    let job = Job { processor: second, ..job };
    team.spawn_with(Some(OwnedFd::from(reader)), None, read_all, (&gate, job))?;
    Ok(result(Shape::ONE_TO_ONE, count, team.run()?))
}
