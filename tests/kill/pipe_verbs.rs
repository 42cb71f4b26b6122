//! What an actor does with pipes; see `actor`.
//!
//! An actor has one end of a pipe at most, and the other end is with another actor or in one of the two queues for ends. A
//! message is the same number, once or many times.

use std::time::Duration;

use multiproc::{Pipe, Queue, Receiver, Sender};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::actor::{Mark, answer};
use super::board::Seat;
use super::order::Verb;
use super::props::{Props, TORN};
use super::sync_verbs::end;

/// In an order: the victim's end is the receiver; messages are too large for the ring; they are written and read where they stand.
pub(crate) const RECEIVES: u64 = 1;
pub(crate) const LARGE: u64 = 2;
pub(crate) const IN_PLACE: u64 = 4;
/// What all messages say.
pub(crate) const SAID: u64 = 0x1234_5678_9abc_def0;
/// The answer of who found the pipe closed.
pub(crate) const CLOSED: u64 = u64::MAX - 1;
/// Messages in a pipe from which a victim is to receive.
pub(crate) const WAITING: usize = 3;

type Message = Vec<u64>;

/// The ends that an actor has.
#[derive(Debug, Default)]
pub(crate) struct Ends {
    sender: Option<Sender<Message>>,
    receiver: Option<Receiver<Message>>,
}

/// Words of a message.
fn words(how: u64) -> usize {
    if how & LARGE == 0 { 1 } else { 2500 }
}

fn message(how: u64) -> Message {
    vec![SAID; words(how)]
}

/// The bytes of a message that is written in place.
fn bytes(how: u64) -> Vec<u8> {
    SAID.to_le_bytes().repeat(words(how))
}

/// Sends a message, in place if the order says so.
#[inline(always)]
fn send(sender: &mut Sender<Message>, how: u64, message: &Message) -> multiproc::Result<()> {
    if how & IN_PLACE == 0 {
        return sender.send(message);
    }
    let bytes = bytes(how);
    sender.send_with(bytes.len(), |place| place.copy_from_slice(&bytes))
}

/// Receives a message; what it says.
#[inline(always)]
fn recv(receiver: &mut Receiver<Message>, how: u64) -> multiproc::Result<u64> {
    if how & IN_PLACE == 0 {
        return receiver.recv().map(|message| read(&message));
    }
    let got = receiver.recv_with(<[u8]>::to_vec)?;
    Ok(if got == bytes(how) { SAID } else { TORN })
}

fn read(message: &[u64]) -> u64 {
    let whole = matches!(message.len(), 1 | 2500) && message.iter().all(|&word| word == SAID);
    if whole { SAID } else { TORN }
}

/// What a call told, or that the pipe is closed.
#[inline(always)]
fn told(result: multiproc::Result<u64>) -> multiproc::Result<u64> {
    match result {
        Err(error) if error.is_closed() => Ok(CLOSED),
        result => result,
    }
}

/// Performs what concerns a pipe.
pub(super) fn perform(
    seat: &Seat,
    mark: Mark,
    verb: Verb,
    how: u64,
    props: &Props,
    ends: &mut Ends,
) -> multiproc::Result<()> {
    match verb {
        Verb::MakePipe => make(how, props, ends),
        Verb::UsePipe => warm(),
        Verb::FillPipe => fill(how, ends),
        Verb::SendOut => send_out(how, ends),
        Verb::RecvAll => recv_all(seat, how, ends),
        Verb::Send => {
            let Some(sender) = &mut ends.sender else { return Ok(()) };
            let message = message(how);
            mark.begin();
            let done = told(send(sender, how, &message).map(|()| SAID));
            end(seat, mark, done)
        }
        Verb::Recv => {
            let Some(receiver) = &mut ends.receiver else { return Ok(()) };
            mark.begin();
            let done = told(recv(receiver, how));
            end(seat, mark, done)
        }
        Verb::Poll => {
            let Some(receiver) = &mut ends.receiver else { return Ok(()) };
            mark.begin();
            let done = receiver.poll(Duration::MAX);
            end(seat, mark, done.map(u64::from))
        }
        _ if how & RECEIVES == 0 => move_end(seat, mark, verb, &props.senders, &mut ends.sender),
        _ => move_end(seat, mark, verb, &props.receivers, &mut ends.receiver),
    }
}

/// Drops an end, sends it away, or takes one.
#[inline(always)]
fn move_end<E>(
    seat: &Seat,
    mark: Mark,
    verb: Verb,
    queue: &Queue<E>,
    place: &mut Option<E>,
) -> multiproc::Result<()>
where
    E: Serialize + DeserializeOwned + multiproc::Message<E>,
{
    match (verb, place.take()) {
        (Verb::DropEnd, old) => {
            mark.around(|| drop(old));
        }
        (Verb::SendEnd, Some(old)) => mark.around(|| queue.put(old))?,
        (Verb::TakeEnd, _) => {
            let told = match mark.around(|| queue.try_get()) {
                Ok(new) => {
                    *place = Some(new);
                    1
                }
                Err(error) if error.is_empty() => 0,
                Err(error) => return Err(error),
            };
            answer(seat, told);
        }
        _ => {}
    }
    Ok(())
}

/// Makes a pipe, and puts the end that the victim is to have in its queue.
fn make(how: u64, props: &Props, ends: &mut Ends) -> multiproc::Result<()> {
    let (mut sender, receiver) = Pipe::simplex()?;
    if how & RECEIVES == 0 {
        *ends = Ends { sender: None, receiver: Some(receiver) };
        props.senders.put(sender)
    } else {
        for _ in 0..how >> 8 {
            send(&mut sender, how, &message(how))?;
        }
        *ends = Ends { sender: Some(sender), receiver: None };
        props.receivers.put(receiver)
    }
}

/// Sends until the pipe is full.
fn fill(how: u64, ends: &mut Ends) -> multiproc::Result<()> {
    let Some(sender) = &mut ends.sender else { return Ok(()) };
    loop {
        let sent = if how & IN_PLACE == 0 {
            sender.try_send(message(how))
        } else {
            let bytes = bytes(how);
            sender.try_send_with(bytes.len(), |place| place.copy_from_slice(&bytes))
        };
        match sent {
            Ok(()) => {}
            Err(error) if error.is_full() => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

/// Sends until the pipe is closed.
fn send_out(how: u64, ends: &mut Ends) -> multiproc::Result<()> {
    let Some(sender) = &mut ends.sender else { return Ok(()) };
    while told(send(sender, how, &message(how)).map(|()| SAID))? != CLOSED {}
    ends.sender = None;
    Ok(())
}

/// Receives until the pipe is closed.
fn recv_all(seat: &Seat, how: u64, ends: &mut Ends) -> multiproc::Result<()> {
    let Some(receiver) = &mut ends.receiver else { return Ok(()) };
    loop {
        match told(recv(receiver, how))? {
            CLOSED => break,
            got => answer(seat, got),
        }
    }
    ends.receiver = None;
    Ok(())
}

/// Makes, uses and drops a pipe.
pub(super) fn warm() -> multiproc::Result<()> {
    let (mut sender, mut receiver) = Pipe::simplex::<Message>()?;
    for how in [0, LARGE] {
        sender.send(message(how))?;
        if !receiver.poll(Duration::ZERO)? || read(&receiver.recv()?) != SAID {
            return Err(multiproc::Error::other("a pipe that was just made does not work"));
        }
    }
    // Ends travel as well, by queues that nobody else uses.
    let (senders, receivers) = (Queue::new()?, Queue::new()?);
    senders.put(sender)?;
    receivers.put(receiver)?;
    let (mut sender, mut receiver) = (senders.get()?, receivers.get()?);
    sender.send(message(0))?;
    receiver.recv()?;
    drop(sender);
    match receiver.recv() {
        Err(error) if error.is_closed() => Ok(()),
        other => Err(multiproc::Error::other(format!("a dropped sender left {other:?}"))),
    }
}
