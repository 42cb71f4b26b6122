//! What an actor does with ends of pipes that travel inside messages of another pipe, and with a duplex end that it takes apart; see
//! `actor`.
//!
//! The director makes the pipes of a point, and hands each actor a bag.

use std::collections::VecDeque;

use multiproc::{Connection, Receiver, Sender};
use serde::{Deserialize, Serialize};

use super::actor::{Mark, answer};
use super::board::Seat;
use super::order::Verb;
use super::pipe_verbs::{CLOSED, SAID};
use super::props::{Props, TORN};

/// An end of a pipe for numbers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Ware {
    Sender(Sender<u64>),
    Receiver(Receiver<u64>),
    Connection(Connection<u64, u64>),
}

/// A message with an end in it.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Crate {
    pub(crate) before: u64,
    pub(crate) ware: Ware,
    pub(crate) after: Vec<u64>,
}

impl Crate {
    pub(crate) fn of(ware: Ware) -> Self {
        Self { before: SAID, ware, after: vec![SAID; 3] }
    }

    fn open(self) -> Option<Ware> {
        (self.before == SAID && self.after == [SAID; 3]).then_some(self.ware)
    }
}

/// What an actor has: ends, and the two ends of the pipe in which others travel.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Bag {
    pub(crate) wares: VecDeque<Ware>,
    pub(crate) out: Option<Sender<Crate>>,
    pub(crate) inn: Option<Receiver<Crate>>,
}

/// Performs what concerns such ends; `number` is that of the actor's seat.
pub(super) fn perform(
    seat: &Seat,
    mark: Mark,
    verb: Verb,
    number: usize,
    props: &Props,
    bag: &mut Bag,
) -> multiproc::Result<()> {
    match verb {
        Verb::BagFetch => {
            *bag = Bag::default();
            *bag = props.bags[number].get()?;
        }
        Verb::BagSend => {
            let ware = bag.wares.pop_front();
            if let (Some(out), Some(ware)) = (&mut bag.out, ware) {
                let message = Crate::of(ware);
                mark.around(|| out.send(message))?;
            }
        }
        Verb::BagTake => {
            let Some(inn) = &mut bag.inn else { return Ok(()) };
            mark.begin();
            let told = match inn.recv() {
                Ok(message) => match message.open() {
                    Some(ware) => {
                        bag.wares.push_back(ware);
                        1
                    }
                    None => TORN,
                },
                Err(error) if error.is_closed() => CLOSED,
                Err(error) => return Err(error),
            };
            // Before the end: who was killed behind it has told.
            answer(seat, told);
            mark.end();
        }
        Verb::BagSplit => {
            if let Some(Ware::Connection(both)) = bag.wares.pop_front() {
                let (sender, receiver) = mark.around(|| both.split());
                bag.wares.extend([Ware::Sender(sender), Ware::Receiver(receiver)]);
            }
        }
        Verb::BagListen => {
            while let Some(ware) = bag.wares.pop_front() {
                listen(seat, ware)?;
            }
        }
        Verb::BagUse => {
            for ware in &mut bag.wares {
                match ware {
                    Ware::Sender(sender) => sender.send(SAID)?,
                    Ware::Connection(both) => both.send(SAID)?,
                    Ware::Receiver(receiver) => answer(seat, receiver.recv()?),
                }
            }
        }
        Verb::BagDrop => {
            let mine = std::mem::take(bag);
            mark.around(|| drop(mine));
        }
        _ => {}
    }
    Ok(())
}

/// Receives, or sends, until that is no more possible, and tells what was received and that it was told of the end.
fn listen(seat: &Seat, ware: Ware) -> multiproc::Result<()> {
    let over = match ware {
        Ware::Sender(mut sender) => loop {
            if let Err(error) = sender.send(SAID) {
                break error;
            }
        },
        Ware::Receiver(mut receiver) => loop {
            match receiver.recv() {
                Ok(said) => answer(seat, said),
                Err(error) => break error,
            }
        },
        Ware::Connection(mut both) => loop {
            match both.recv() {
                Ok(said) => answer(seat, said),
                Err(error) => break error,
            }
        },
    };
    if !over.is_closed() {
        return Err(over);
    }
    answer(seat, CLOSED);
    Ok(())
}
