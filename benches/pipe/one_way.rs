//! Messages in one direction: how many a second, and whether they are all there.

use std::fs::File;
use std::hint::{black_box, spin_loop};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};

use multiproc::{Pipe, Receiver, Result, Sender};
use serde::{Deserialize, Serialize};

use super::common::team::{self, Gate, Team};
use super::common::{Sample, os};

/// Messages in the rings of `rtrb`.
const RING: usize = 1024;
const BATCH: u64 = 16;

#[derive(Clone, Copy, Serialize, Deserialize)]
struct Job {
    count: u64,
    size: usize,
    processor: Option<usize>,
}

/// When one side began and ended, and what it sent or received.
#[derive(Serialize, Deserialize)]
pub(crate) struct Tally {
    count: u64,
    sum: u64,
    from: u64,
    to: u64,
}

impl Tally {
    fn start(from: u64) -> Tally {
        Tally { count: 0, sum: 0, from, to: from }
    }

    fn add(&mut self, number: u64) {
        self.count += 1;
        self.sum = self.sum.wrapping_add(number ^ self.count);
    }

    fn end(mut self) -> Tally {
        self.to = os::now();
        self
    }
}

/// The time from the first sent to the last received, once both agree.
fn result(count: u64, tallies: &[Tally]) -> Sample {
    let [sent, received] = tallies else { panic!("two sides") };
    assert_eq!((sent.count, received.count), (count, count));
    assert_eq!(sent.sum, received.sum, "what was received is not what was sent");
    Sample::new(count, received.to - sent.from)
}

fn number(message: &[u8]) -> u64 {
    u64::from_le_bytes(*message.first_chunk().expect("8 bytes or more"))
}

/// Runs both sides in processes of their own.
macro_rules! run {
    ($T:ty, $count:expr, $size:expr, $send:expr, $receive:expr) => {{
        let [first, second] = os::two_processors();
        let (sender, receiver) = Pipe::simplex::<$T>()?;
        let mut team = Team::new()?;
        let gate = team.gate().clone();
        let job = |processor| Job { count: $count, size: $size, processor };
        team.spawn($send, (sender, &gate, job(first)))?;
        team.spawn($receive, (receiver, &gate, job(second)))?;
        Ok(result($count, &team.run()?))
    }};
}

fn send_small<const SIZE: usize>(mut to: Sender<()>, gate: Gate, job: Job) -> Result<Tally> {
    let mut tally = Tally::start(gate.pass(job.processor)?);
    let mut message = [7; SIZE];
    for number in 0..job.count {
        message[..8].copy_from_slice(&number.to_le_bytes());
        to.send_bytes(black_box(&message))?;
        tally.add(number);
    }
    Ok(tally.end())
}

fn receive_small<const SIZE: usize>(mut from: Receiver<()>, gate: Gate, job: Job) -> Result<Tally> {
    let mut tally = Tally::start(gate.pass(job.processor)?);
    for _ in 0..job.count {
        let number = from.recv_with(|message| {
            let message: &[u8; SIZE] = message.try_into().expect("the right length");
            number(&black_box(*message))
        })?;
        tally.add(number);
    }
    Ok(tally.end())
}

pub(crate) fn small<const SIZE: usize>(count: u64) -> Result<Sample> {
    run!((), count, SIZE, send_small::<SIZE>, receive_small::<SIZE>)
}

pub(crate) fn check() -> Result<()> {
    small::<64>(5000)?;
    small::<8>(5000)?;
    in_batches(1000)?;
    records(1000)?;
    Ok(())
}

/// `rtrb` by two threads, which look all the time.
pub(crate) fn by_rtrb<const SIZE: usize>(count: u64) -> Sample {
    let (mut to, mut from) = rtrb::RingBuffer::<[u8; SIZE]>::new(RING);
    let send = move || {
        let mut tally = Tally::start(os::now());
        let mut message = [7; SIZE];
        for number in 0..count {
            message[..8].copy_from_slice(&number.to_le_bytes());
            while to.push(*black_box(&message)).is_err() {
                spin_loop();
            }
            tally.add(number);
        }
        tally.end()
    };
    let receive = move || {
        let mut tally = Tally::start(os::now());
        for _ in 0..count {
            let message = loop {
                match from.pop() {
                    Ok(message) => break message,
                    Err(_) => spin_loop(),
                }
            };
            tally.add(number(black_box(&message)));
        }
        tally.end()
    };
    by_threads(count, send, receive)
}

fn by_threads(
    count: u64,
    send: impl FnOnce() -> Tally + Send,
    receive: impl FnOnce() -> Tally + Send,
) -> Sample {
    let [first, second] = os::two_processors();
    let runs: team::Runs<'_, Tally> = vec![(first, Box::new(send)), (second, Box::new(receive))];
    result(count, &team::threads(runs))
}

// Sixteen messages of 64 bytes written in place as one.

fn send_batches(mut to: Sender<()>, gate: Gate, job: Job) -> Result<Tally> {
    let mut tally = Tally::start(gate.pass(job.processor)?);
    let mut message = [7; 64];
    for first in (0..job.count).step_by(BATCH as usize) {
        let batch = BATCH.min(job.count - first);
        to.send_with(64 * batch as usize, |place| {
            for (place, number) in place.chunks_exact_mut(64).zip(first..) {
                message[..8].copy_from_slice(&number.to_le_bytes());
                place.copy_from_slice(black_box(&message));
                tally.add(number);
            }
        })?;
    }
    Ok(tally.end())
}

fn receive_batches(mut from: Receiver<()>, gate: Gate, job: Job) -> Result<Tally> {
    let mut tally = Tally::start(gate.pass(job.processor)?);
    while tally.count < job.count {
        from.recv_with(|batch| {
            for message in batch.chunks_exact(64) {
                let message: &[u8; 64] = message.try_into().expect("the right length");
                tally.add(number(&black_box(*message)));
            }
        })?;
    }
    Ok(tally.end())
}

pub(crate) fn in_batches(count: u64) -> Result<Sample> {
    run!((), count, 64, send_batches, receive_batches)
}

// A structure by serde.

/// Six fields, as of an order.
#[derive(Clone, Serialize, Deserialize)]
struct Record {
    number: u64,
    price: f64,
    text: String,
    parts: [u32; 8],
}

impl Record {
    fn new() -> Record {
        Record {
            number: 0,
            price: 99.5,
            text: "twenty-four characters..".to_owned(),
            parts: [1, 200, 30_000, 4, 5, 6, 7, 80_000_000],
        }
    }
}

fn send_records(mut to: Sender<Record>, gate: Gate, job: Job) -> Result<Tally> {
    let mut tally = Tally::start(gate.pass(job.processor)?);
    let mut record = Record::new();
    for number in 0..job.count {
        record.number = number;
        to.send(black_box(&record))?;
        tally.add(number);
    }
    Ok(tally.end())
}

fn receive_records(mut from: Receiver<Record>, gate: Gate, job: Job) -> Result<Tally> {
    let mut tally = Tally::start(gate.pass(job.processor)?);
    for _ in 0..job.count {
        let record = black_box(from.recv()?);
        assert_eq!(record.text.len(), 24);
        tally.add(record.number);
    }
    Ok(tally.end())
}

pub(crate) fn records(count: u64) -> Result<Sample> {
    run!(Record, count, 0, send_records, receive_records)
}

/// The same bytes by postcard in slots that hold the longest.
pub(crate) fn records_by_rtrb(count: u64) -> Sample {
    const SLOT: usize = 120;
    type Slot = (usize, [u8; SLOT]);
    let (mut to, mut from) = rtrb::RingBuffer::<Slot>::new(RING);
    let send = move || {
        let mut tally = Tally::start(os::now());
        let mut record = Record::new();
        for number in 0..count {
            record.number = number;
            let mut slot = (0, [0; SLOT]);
            slot.0 = postcard::to_slice(black_box(&record), &mut slot.1).expect("it fits").len();
            while to.push(slot).is_err() {
                spin_loop();
            }
            tally.add(number);
        }
        tally.end()
    };
    let receive = move || {
        let mut tally = Tally::start(os::now());
        for _ in 0..count {
            let (len, bytes) = loop {
                match from.pop() {
                    Ok(slot) => break slot,
                    Err(_) => spin_loop(),
                }
            };
            let record: Record = postcard::from_bytes(&bytes[..len]).expect("a record");
            let record = black_box(record);
            assert_eq!(record.text.len(), 24);
            tally.add(record.number);
        }
        tally.end()
    };
    by_threads(count, send, receive)
}

// Large messages.

fn send_large(mut to: Sender<()>, gate: Gate, job: Job) -> Result<Tally> {
    let mut message = vec![7; job.size];
    let mut tally = Tally::start(gate.pass(job.processor)?);
    for number in 0..job.count {
        message[..8].copy_from_slice(&number.to_le_bytes());
        to.send_bytes(black_box(&message))?;
        tally.add(number);
    }
    Ok(tally.end())
}

fn receive_into_buffer(mut from: Receiver<()>, gate: Gate, job: Job) -> Result<Tally> {
    let mut buffer = vec![0; job.size];
    let mut tally = Tally::start(gate.pass(job.processor)?);
    for _ in 0..job.count {
        assert_eq!(from.recv_bytes_into(&mut buffer)?, job.size);
        tally.add(number(black_box(&buffer)));
    }
    Ok(tally.end())
}

/// Looks at one byte in each page only.
fn receive_in_place(mut from: Receiver<()>, gate: Gate, job: Job) -> Result<Tally> {
    let mut tally = Tally::start(gate.pass(job.processor)?);
    for _ in 0..job.count {
        tally.add(from.recv_with(|bytes| {
            assert_eq!(bytes.len(), job.size);
            assert!(bytes.iter().step_by(4096).skip(1).all(|&byte| byte == 7));
            number(bytes)
        })?);
    }
    Ok(tally.end())
}

pub(crate) fn by_buffer(size: usize, count: u64) -> Result<Sample> {
    run!((), count, size, send_large, receive_into_buffer)
}

pub(crate) fn in_place(size: usize, count: u64) -> Result<Sample> {
    run!((), count, size, send_large, receive_in_place)
}

fn write(gate: Gate, job: Job) -> Result<Tally> {
    let mut to = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let mut message = vec![7; job.size];
    let mut tally = Tally::start(gate.pass(job.processor)?);
    for number in 0..job.count {
        message[..8].copy_from_slice(&number.to_le_bytes());
        to.write_all(&message)?;
        tally.add(number);
    }
    Ok(tally.end())
}

fn read(gate: Gate, job: Job) -> Result<Tally> {
    let mut from = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut message = vec![0; job.size];
    let mut tally = Tally::start(gate.pass(job.processor)?);
    for _ in 0..job.count {
        from.read_exact(&mut message)?;
        tally.add(number(black_box(&message)));
    }
    Ok(tally.end())
}

pub(crate) fn by_system(size: usize, count: u64) -> Result<Sample> {
    let (output, input) = io::pipe()?;
    let [first, second] = os::two_processors();
    let job = |processor| Job { count, size, processor };
    let mut team = Team::new()?;
    let gate = team.gate().clone();
    team.spawn_with(None, Some(OwnedFd::from(input)), write, (&gate, job(first)))?;
    team.spawn_with(Some(OwnedFd::from(output)), None, read, (&gate, job(second)))?;
    Ok(result(count, &team.run()?))
}

/// Sends and receives in batches, both by one thread, which so never waits.
pub(crate) fn alone(count: u64) -> Sample {
    let (mut to, mut from) = Pipe::simplex::<()>().expect("shared memory");
    team::alone(|| {
        let mut message = [7; 64];
        let (start, mut sum) = (os::now(), 0);
        for first in (0..count).step_by(64) {
            for number in first..first + 64 {
                message[..8].copy_from_slice(&number.to_le_bytes());
                to.send_bytes(black_box(&message)).expect("there is room");
            }
            for expected in first..first + 64 {
                let got = from.recv_with(|message| {
                    let message: &[u8; 64] = message.try_into().expect("the right length");
                    number(&black_box(*message))
                });
                sum += u64::from(got.expect("there is one") == expected);
            }
        }
        assert_eq!(sum, count.next_multiple_of(64));
        Sample::new(sum, os::now() - start)
    })
}

pub(crate) fn alone_by_rtrb(count: u64) -> Sample {
    let (mut to, mut from) = rtrb::RingBuffer::<[u8; 64]>::new(RING);
    team::alone(|| {
        let mut message = [7; 64];
        let (start, mut sum) = (os::now(), 0);
        for first in (0..count).step_by(64) {
            for number in first..first + 64 {
                message[..8].copy_from_slice(&number.to_le_bytes());
                to.push(*black_box(&message)).expect("there is room");
            }
            for expected in first..first + 64 {
                let got = number(&black_box(from.pop().expect("there is one")));
                sum += u64::from(got == expected);
            }
        }
        assert_eq!(sum, count.next_multiple_of(64));
        Sample::new(sum, os::now() - start)
    })
}
