//! What an actor does with shared data: values, arrays and their parts, lists, bytes and numbers; see `actor`.

use std::sync::atomic::Ordering;

use super::actor::Mark;
use super::array_verbs::{array, parts};
use super::board::Seat;
use super::data::{
    ARRAY, BYTES, Call, Data, Grip, LARGE_VALUE, LIST, MEMORY, NUMBER, Op, STRUCTURE, VALUE, one,
    tell,
};
use super::list_verbs::list;
use super::order::Order;
use super::sync_verbs::{REFUSED, described, end, room};
use super::value_verbs::value;

/// Performs what concerns shared data.
pub(super) fn perform<'a>(
    seat: &Seat,
    mark: Mark,
    order: Order,
    data: &'a Data,
    grip: &mut Grip<'a>,
) -> multiproc::Result<()> {
    let Order::Data { op, which, form, number } = order else { return Ok(()) };
    let call = Call { seat, mark, op, form, number };
    match which {
        _ if op == Op::HoldLock => data.lock(which).lock().map(|guard| grip.lock = Some(guard)),
        _ if op == Op::RecoverLock => data.lock(which).recover().map(drop),
        _ if op == Op::FreeLock => {
            grip.lock = None;
            Ok(())
        }
        VALUE => value(call, &data.value, &mut grip.value),
        LARGE_VALUE => value(call, &data.large_value, &mut grip.large_value),
        ARRAY if is_of_parts(op) => parts(call, data, &mut grip.part),
        ARRAY => array(call, data, &mut grip.array),
        LIST => list(call, &data.list, &mut grip.list),
        _ => unlocked(call, which, data),
    }
}

fn is_of_parts(op: Op) -> bool {
    use Op::{Claim, Cut, DropPart, GiveClaim, OfferPart, SendPart, TakePart};
    matches!(op, Cut | TakePart | SendPart | OfferPart | DropPart | Claim | GiveClaim)
}

/// Bytes, a number, a structure: nobody waits for anybody.
fn unlocked(call: Call, which: u64, data: &Data) -> multiproc::Result<()> {
    let Call { seat, mark, op, number, .. } = call;
    let (atomic, memory) = (&data.number, &data.memory);
    let mut bytes = [0; BYTES];
    let words = |bytes: &[u8]| -> Vec<u64> {
        bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)).collect()
    };
    if op == Op::Check {
        match which {
            MEMORY => {
                memory.read(0, &mut bytes)?;
                tell(seat, 0, &words(&bytes));
            }
            NUMBER => tell(seat, 0, &[atomic.load()]),
            _ => tell(seat, 0, &[data.structure.first.load(Ordering::SeqCst)]),
        }
        return Ok(());
    }
    let (new, mut text) = (number.to_le_bytes().repeat(BYTES / 8), room());
    mark.begin();
    let done = match (which, op) {
        (MEMORY, Op::Get) => memory.read(0, &mut bytes).map(|()| one(&words(&bytes))),
        (MEMORY, Op::Set) => memory.write(0, &new).map(|()| 0),
        (MEMORY, _) => Ok(described(&mut text, memory)),
        (NUMBER, Op::Get) => Ok(atomic.load()),
        (NUMBER, Op::Set) => {
            atomic.store(number);
            Ok(0)
        }
        (NUMBER, Op::Swap) => Ok(atomic.swap(number)),
        (NUMBER, Op::Update) => Ok(atomic.fetch_add(1)),
        (NUMBER, Op::FetchSub) => Ok(atomic.fetch_sub(1_u64.wrapping_neg())),
        (NUMBER, Op::CompareExchange) => {
            Ok(atomic.compare_exchange(number.wrapping_sub(1), number).unwrap_or(REFUSED))
        }
        (NUMBER, _) => Ok(described(&mut text, atomic)),
        (_, Op::Get) => Ok(data.structure.first.load(Ordering::SeqCst)),
        (_, Op::Set) => {
            data.structure.first.store(number, Ordering::SeqCst);
            Ok(data.structure.plain)
        }
        _ => Ok(described(&mut text, &data.structure)),
    };
    end(seat, mark, done)
}

/// Everything used once.
pub(crate) fn warm(data: &Data) -> multiproc::Result<()> {
    let seat = Seat::nowhere();
    let mut grip = Grip::default();
    let mut perform = |op, which| {
        let order = Order::Data { op, which, form: 0, number: data.number.load() };
        perform(&seat, Mark::new(&seat), order, data, &mut grip)
    };
    for which in [VALUE, LARGE_VALUE, ARRAY, LIST] {
        for op in [Op::Get, Op::Borrow, Op::Recover, Op::Counted, Op::Describe, Op::Check] {
            if which != LIST || op != Op::Borrow {
                perform(op, which)?;
            }
        }
    }
    for which in [MEMORY, NUMBER, STRUCTURE] {
        [Op::Get, Op::Describe].into_iter().try_for_each(|op| perform(op, which))?;
    }
    perform(Op::Slice, ARRAY)?;
    for part in data.array.partition(2)? {
        drop(part.claim()?);
    }
    Ok(())
}
