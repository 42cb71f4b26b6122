//! One message back and forth between two, over any pair of wires; and over queues as the bare yardsticks of
//! [`super::common::turns`] do it.

use std::cell::Cell;
use std::fs::File;
use std::hint::black_box;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::mpsc;

use multiproc::{Queue, Result};
use serde::{Deserialize, Serialize};

use super::common::team::{self, Gate, Team};
use super::common::turns;
use super::common::{Sample, os};
use super::one_way::{number, set_number};

/// So long that the other side is asleep, in nanoseconds.
pub(crate) const PAUSE: u64 = 200_000;

type Message = [u8; 64];

/// What messages go out on, and what they come in on.
trait Wires {
    fn send(&mut self, message: &Message) -> Result<()>;
    /// The number of the message that comes.
    fn receive(&mut self) -> Result<u64>;
}

/// One of the two.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Job {
    index: usize,
    turns: u64,
    pause: u64,
    processor: Option<usize>,
}

fn jobs(turns: u64, pause: u64) -> [Job; 2] {
    let processors = os::two_processors();
    [0, 1].map(|index| Job { index, turns, pause, processor: processors[index] })
}

/// When it began and ended, and, asleep, how long each message was on its way to it.
#[derive(Serialize, Deserialize)]
pub(crate) struct Log {
    turns: u64,
    from: u64,
    to: u64,
    times: Vec<u64>,
}

fn play(job: Job, from: u64, mut wires: impl Wires) -> Result<Log> {
    let mut log = Log { turns: job.turns, from, to: from, times: Vec::new() };
    let mut message = [7; 64];
    for turn in 0..job.turns {
        if job.index == 1 {
            receive(job, turn, &mut wires, &mut log)?;
        }
        if job.pause > 0 {
            // Asleep, the message says when it was sent.
            os::pause(job.pause);
            set_number(&mut message, os::now());
        } else {
            set_number(&mut message, turn);
        }
        wires.send(black_box(&message))?;
        if job.index == 0 {
            receive(job, turn, &mut wires, &mut log)?;
        }
    }
    log.to = os::now();
    Ok(log)
}

fn receive(job: Job, turn: u64, wires: &mut impl Wires, log: &mut Log) -> Result<()> {
    let number = wires.receive()?;
    if job.pause > 0 {
        let now = os::now();
        assert!(now > number, "received before it was sent");
        log.times.push(now - number);
    } else {
        assert_eq!(number, turn, "no answer to the last question");
    }
    Ok(())
}

/// The time of a round trip.
pub(crate) fn awake(logs: Vec<Log>) -> Sample {
    Sample::new(logs[0].turns, logs[0].to - logs[0].from)
}

/// The times of all messages.
pub(crate) fn asleep(logs: Vec<Log>) -> Sample {
    let times: Vec<u64> = logs.iter().flat_map(|log| log.times.iter().copied()).collect();
    assert_eq!(times.len() as u64, 2 * logs[0].turns, "a message was lost");
    Sample::of_each(times)
}

// Queues between processes.

struct Queues {
    out: Queue<u64>,
    back: Queue<u64>,
}

impl Wires for Queues {
    fn send(&mut self, message: &Message) -> Result<()> {
        self.out.put_bytes(message)
    }

    fn receive(&mut self) -> Result<u64> {
        self.back.get_with(|message| {
            assert_eq!(message.len(), size_of::<Message>());
            number(black_box(message))
        })
    }
}

pub(crate) fn by_queues(turns: u64, pause: u64) -> Result<Vec<Log>> {
    fn child(gate: Gate, out: Queue<u64>, back: Queue<u64>, job: Job) -> Result<Log> {
        let from = gate.pass(job.processor)?;
        play(job, from, Queues { out, back })
    }
    let [one, other] = [Queue::<u64>::new()?, Queue::<u64>::new()?];
    let [first, second] = jobs(turns, pause);
    let mut team = Team::new()?;
    let gate = team.gate().clone();
    team.spawn(child, (&gate, &one, &other, first))?;
    team.spawn(child, (&gate, &other, &one, second))?;
    team.run()
}

// Pipes between processes.

struct Pipes {
    out: File,
    back: File,
}

impl Wires for Pipes {
    fn send(&mut self, message: &Message) -> Result<()> {
        Ok(self.out.write_all(message)?)
    }

    fn receive(&mut self) -> Result<u64> {
        let mut message = [0; 64];
        self.back.read_exact(&mut message)?;
        Ok(number(&message))
    }
}

pub(crate) fn by_pipes(turns: u64, pause: u64) -> Result<Vec<Log>> {
    fn child(gate: Gate, job: Job) -> Result<Log> {
        let out = File::from(io::stdout().as_fd().try_clone_to_owned()?);
        let back = File::from(io::stdin().as_fd().try_clone_to_owned()?);
        let from = gate.pass(job.processor)?;
        play(job, from, Pipes { out, back })
    }
    let (questions, ask) = io::pipe()?;
    let (answers, answer) = io::pipe()?;
    let [first, second] = jobs(turns, pause);
    let mut team = Team::new()?;
    let gate = team.gate().clone();
    let mut spawn = |input, output, job| {
        team.spawn_with(
            Some(OwnedFd::from(input)),
            Some(OwnedFd::from(output)),
            child,
            (&gate, job),
        )
    };
    spawn(answers, ask, first)?;
    spawn(questions, answer, second)?;
    team.run()
}

// Channels between threads.

struct Channels<S, R> {
    out: S,
    back: R,
}

/// The sending end of a channel between threads.
pub(crate) trait Sender: Send {
    fn send(&self, message: Message);
}

/// The receiving end of a channel between threads.
pub(crate) trait Receiver: Send {
    fn receive(&self) -> Message;
}

impl Sender for mpsc::Sender<Message> {
    fn send(&self, message: Message) {
        mpsc::Sender::send(self, message).expect("a receiver");
    }
}

impl Receiver for mpsc::Receiver<Message> {
    fn receive(&self) -> Message {
        self.recv().expect("a sender")
    }
}

impl Sender for crossbeam_channel::Sender<Message> {
    fn send(&self, message: Message) {
        crossbeam_channel::Sender::send(self, message).expect("a receiver");
    }
}

impl Receiver for crossbeam_channel::Receiver<Message> {
    fn receive(&self) -> Message {
        self.recv().expect("a sender")
    }
}

impl<S: Sender, R: Receiver> Wires for Channels<S, R> {
    fn send(&mut self, message: &Message) -> Result<()> {
        self.out.send(*message);
        Ok(())
    }

    fn receive(&mut self) -> Result<u64> {
        Ok(number(black_box(&self.back.receive())))
    }
}

pub(crate) fn by_channel<S: Sender, R: Receiver>(
    turns: u64,
    pause: u64,
    [one, other]: [(S, R); 2],
) -> Vec<Log> {
    let run = |job: Job, out: S, back: R| {
        let run =
            move || play(job, os::now(), Channels { out, back }).expect("channels do not fail");
        (job.processor, Box::new(run) as team::Run<'_, Log>)
    };
    let [first, second] = jobs(turns, pause);
    team::threads(vec![run(first, one.0, other.1), run(second, other.0, one.1)])
}

// Beside the bare yardsticks.

fn with_queues(
    gate: Gate,
    out: Queue<u64>,
    back: Queue<u64>,
    job: turns::Job,
) -> Result<turns::Log> {
    gate.pass(job.processor)?;
    let turn = Cell::new(0_u8);
    let put = || out.put_bytes(black_box(&[turn.get(); 64])).expect("there is room");
    let wait = || {
        let got = back.get_with(|message| (message.len(), message[0], message[63]))?;
        assert_eq!(got, (64, turn.get(), turn.get()));
        // The one who asks first goes on when the answer has come, the other one before it answers the next time.
        turn.set(turn.get().wrapping_add(u8::from(job.index == 0)));
        Ok(())
    };
    if job.index == 0 {
        return turns::play(job, put, wait);
    }
    let answer = || {
        put();
        turn.set(turn.get().wrapping_add(1));
    };
    turns::play(job, answer, wait)
}

/// The same bytes as over `Pipe`.
pub(crate) fn queues(jobs: [turns::Job; 2]) -> Result<Vec<turns::Log>> {
    let [one, other] = [Queue::<u64>::new()?, Queue::<u64>::new()?];
    let [first, second] = jobs;
    let mut team = Team::new()?;
    let gate = team.gate().clone();
    team.spawn(with_queues, (&gate, &one, &other, first))?;
    team.spawn(with_queues, (&gate, &other, &one, second))?;
    team.run()
}
