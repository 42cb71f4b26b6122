//! The scripts about queues that are there for one point alone: closed, left by their last counted end, put into themselves,
//! dropped with large messages in them, and read in a batch that meets what cannot be read; see `scenarios`.

use multiproc::{Consumer, Producer, Queue};

use super::board::{AFTER, BEFORE};
use super::director::{BARGER, Director, FIRST, SECOND};
use super::end_verbs::{CLOSED, Ends, Even, Item, UNREADABLE, number};
use super::order::{Order, Verb};
use super::resources;
use super::scenarios::Scenario;
use super::trouble::{Outcome, Trouble};

/// Bytes of a large message, and how many there are of them.
const LARGE: usize = 1 << 20;
const LARGES: usize = 3;
/// How much more memory there may be after any number of points: what a few victims leave waits for the next sweep.
const GROWTH: u64 = 24 << 20;
/// A batch: the third cannot be read.
const BATCH: [u64; 4] = [2, 4, 5, 6];

/// Whether the sleepers wait for room, and not for messages.
pub(super) const PUTTERS: u64 = 1;

fn hand(
    d: &mut Director,
    seat: usize,
    producer: Option<Producer<Item>>,
    consumer: Option<Consumer<Item>>,
) -> Outcome {
    d.props.ends[seat].put(Ends { producer, consumer })?;
    d.must(seat, Order::ends(Verb::FetchEnds, seat)).map(drop)
}

/// Two wait for messages, or for room. The victim has the other end, and with `both` the other one, too.
fn with_sleepers(d: &mut Director, s: &Scenario, victim: usize, both: bool) -> Outcome {
    let (producer, consumer) = Queue::bounded(1)?.split();
    let putters = s.which == PUTTERS;
    if putters {
        producer.put(Item::Even(Even(2)))?;
    }
    let keep = |is: bool| (is || both).then(|| (producer.clone(), consumer.clone()));
    hand(d, victim, keep(!putters).map(|it| it.0), keep(putters).map(|it| it.1))?;
    for seat in [FIRST, SECOND] {
        let ends = (putters.then(|| producer.clone()), (!putters).then(|| consumer.clone()));
        hand(d, seat, ends.0, ends.1)?;
    }
    d.single = Some(consumer.clone()).filter(|_| both);
    drop((producer, consumer));
    let verb = if putters { Verb::AwaitEndOfPuts } else { Verb::AwaitEndOfGets };
    for seat in [FIRST, SECOND] {
        d.lull(seat, Order::ends(verb, seat))?;
    }
    Ok(())
}

/// The victim has both ends, and closes.
pub(super) fn close_arrange(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    with_sleepers(d, s, victim, true)
}

/// The victim has the last end of the other side, and drops it.
pub(super) fn last_end_arrange(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    with_sleepers(d, s, victim, false)
}

/// If it was closed, or the last end is gone with the victim, the sleepers learn it by themselves.
pub(super) fn sleepers_after(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    match d.single.take() {
        Some(consumer) if consumer.is_closed() => {}
        Some(consumer) => {
            // The victim closes it when it is let go, if it lives.
            d.conclude(victim, |_| Ok(()))?;
            consumer.close()?;
        }
        // As long as it stands it may have its end.
        None => d.conclude(victim, |_| Ok(())).map(drop)?,
    }
    for seat in [FIRST, SECOND] {
        let told = d.finish_well(seat)?;
        if told != [CLOSED] {
            return Err(Trouble::Violation(format!("a sleeper was told {told:?}, not of the end")));
        }
        d.must(seat, Order::ends(Verb::DropEnds, seat))?;
    }
    d.conclude(victim, |_| Ok(()))?;
    leave(d, s, victim)
}

/// A victim that lives lets go of what it has; nothing piles up.
fn leave(d: &mut Director, _: &Scenario, victim: usize) -> Outcome {
    if d.fate.is_mild() {
        d.must(victim, Order::ends(Verb::DropEnds, victim))?;
    }
    let queue = Queue::new()?;
    queue.put(vec![1_u8; LARGE])?;
    drop(queue);
    let now = resources::memory();
    let before = *d.memory.get_or_insert(now);
    if now > before + GROWTH {
        let (before, now) = (before >> 10, now >> 10);
        return Err(Trouble::Violation(format!("{before} KiB of shared memory became {now}")));
    }
    Ok(())
}

/// The victim has the only consumer, which it puts into its own queue; a producer is with the barger.
pub(super) fn itself_arrange(d: &mut Director, _: &Scenario, victim: usize) -> Outcome {
    let (producer, consumer) = Queue::bounded(1)?.split();
    hand(d, BARGER, Some(producer.clone()), None)?;
    hand(d, victim, Some(producer), Some(consumer))
}

/// In the queue or dead with the victim: there is no consumer, and whoever puts learns it.
pub(super) fn itself_after(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    d.conclude(victim, |_| Ok(()))?;
    d.order(BARGER, Order::ends(Verb::AwaitEndOfPuts, BARGER));
    let told = d.finish_well(BARGER)?;
    // A message may go in while the victim is dying; the next put waits for room, and is told.
    let told = if told == [CLOSED] {
        told
    } else {
        d.must(BARGER, Order::ends(Verb::AwaitEndOfPuts, BARGER))?
    };
    if told != [CLOSED] {
        return Err(Trouble::Violation(format!("a putter was told {told:?}, not of the end")));
    }
    d.must(BARGER, Order::ends(Verb::DropEnds, BARGER))?;
    leave(d, s, victim)
}

/// The victim has the only handle of a queue with large messages, and drops it.
pub(super) fn large_arrange(d: &mut Director, _: &Scenario, victim: usize) -> Outcome {
    let (producer, consumer) = Queue::new()?.split();
    for _ in 0..LARGES {
        producer.put(Item::Large(vec![7; LARGE]))?;
    }
    hand(d, victim, Some(producer), Some(consumer))
}

pub(super) fn large_after(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    d.conclude(victim, |_| Ok(()))?;
    leave(d, s, victim)
}

/// There are messages, of which the third cannot be read.
pub(super) fn batch_arrange(d: &mut Director, _: &Scenario, victim: usize) -> Outcome {
    let (producer, consumer) = Queue::new()?.split();
    for number in BATCH {
        producer.put(Item::Even(Even(number)))?;
    }
    d.single = Some(consumer.clone());
    hand(d, victim, Some(producer), Some(consumer))
}

/// What the victim has not taken is there, in order, and told of once.
pub(super) fn batch_after(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    let told = d.conclude(victim, |_| Ok(()))?;
    let read = |consumer: Consumer<Item>| -> Vec<u64> {
        let all = consumer.try_iter();
        all.map(|item| item.map_or(UNREADABLE, |item| number(&item))).collect()
    };
    let left = d.single.take().map_or(Vec::new(), read);
    let batch = BATCH.map(|number| if number % 2 == 0 { number } else { UNREADABLE });
    let is_right = if d.fate.is_mild() {
        told == [2, 4, UNREADABLE] && left == [6]
    } else {
        match d.reached(victim) {
            BEFORE => left == batch,
            AFTER => left == [6] || left.is_empty(),
            _ => batch.ends_with(&left) && !left.is_empty(),
        }
    };
    if !is_right {
        let text = format!("of {batch:?} the victim was told {told:?}, and {left:?} were left");
        return Err(Trouble::Violation(text));
    }
    leave(d, s, victim)
}
