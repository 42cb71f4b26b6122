//! What an actor does with a queue that is there for one point alone: it gets its handles from a queue of its own, and closes,
//! drops or misuses them; see `actor`.

use multiproc::{Consumer, Producer};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::actor::{Mark, answer};
use super::board::Seat;
use super::order::Verb;
use super::props::Props;

/// What such a queue holds.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Item {
    Even(Even),
    Large(Vec<u8>),
    Consumer(Consumer<Item>),
}

/// A number that cannot be read if it is odd.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Even(pub(crate) u64);

impl Serialize for Even {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(to)
    }
}

impl<'de> Deserialize<'de> for Even {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Even, D::Error> {
        let number = u64::deserialize(from)?;
        if number % 2 == 0 { Ok(Even(number)) } else { Err(de::Error::custom("odd")) }
    }
}

/// The ends of the queue that an actor has.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Ends {
    pub(crate) producer: Option<Producer<Item>>,
    pub(crate) consumer: Option<Consumer<Item>>,
}

/// What stands for a message that cannot be read.
pub(crate) const UNREADABLE: u64 = 1;
/// What stands for the end of the queue.
pub(crate) const CLOSED: u64 = u64::MAX - 1;

/// Performs what concerns such a queue; `seat` is the actor's number.
pub(super) fn perform(
    place: &Seat,
    mark: Mark,
    verb: Verb,
    seat: usize,
    props: &Props,
    ends: &mut Ends,
) -> multiproc::Result<()> {
    match verb {
        Verb::FetchEnds => {
            *ends = Ends::default();
            *ends = props.ends[seat].get()?;
        }
        Verb::CloseEnds => {
            if let Some(producer) = &ends.producer {
                mark.around(|| producer.close())?;
            }
        }
        Verb::ShutDown => {
            if let Some(producer) = &ends.producer {
                mark.around(|| producer.shutdown())?;
            }
        }
        Verb::DropEnds => {
            let mine = std::mem::take(ends);
            mark.around(|| drop(mine));
        }
        Verb::PutIntoItself => {
            if let (Some(producer), Some(consumer)) = (&ends.producer, ends.consumer.take()) {
                mark.around(|| producer.put(Item::Consumer(consumer)))?;
            }
        }
        Verb::AwaitEndOfGets => {
            let over = ends.consumer.as_ref().map(|consumer| consumer.get().map(drop));
            tell_closed(place, over)?;
        }
        Verb::AwaitEndOfPuts => {
            let put = |producer: &Producer<Item>| producer.put(Item::Even(Even(0)));
            tell_closed(place, ends.producer.as_ref().map(put))?;
        }
        Verb::GetBatch => {
            if let Some(consumer) = &ends.consumer {
                let batch = mark.around(|| consumer.get_many(10))?;
                batch.iter().for_each(|item| answer(place, number(item)));
                // What the batch ended with is told by the next call.
                let told = consumer.try_get();
                answer(place, told.map_or(UNREADABLE, |item| number(&item)));
            }
        }
        _ => {}
    }
    Ok(())
}

pub(crate) fn number(item: &Item) -> u64 {
    match item {
        Item::Even(even) => even.0,
        Item::Large(bytes) => bytes.len() as u64,
        Item::Consumer(_) => 0,
    }
}

fn tell_closed(place: &Seat, over: Option<multiproc::Result<()>>) -> multiproc::Result<()> {
    match over {
        Some(Err(error)) if error.is_closed() => {
            answer(place, CLOSED);
            Ok(())
        }
        Some(other) => other,
        None => Ok(()),
    }
}
