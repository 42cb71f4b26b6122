//! What an actor does with queues; see `actor`.

use super::actor::{Mark, answer};
use super::board::Seat;
use super::order::Verb;
use super::props::{BIG, Kind, PAGE, Props, TORN};

/// Performs what concerns a queue.
pub(super) fn perform(
    seat: &Seat,
    mark: Mark,
    verb: Verb,
    kind: Kind,
    id: u64,
    props: &Props,
) -> multiproc::Result<()> {
    match verb {
        Verb::Put => return put(mark, props, kind, id, true),
        Verb::TryPut => return put(mark, props, kind, id, false),
        Verb::PutMany => {
            let items = (id..id + 3).map(|id| (id, !id)).collect::<Vec<_>>();
            return mark.around(|| props.small.put_many(items)).map(drop);
        }
        Verb::Get => answer(seat, get(mark, props, kind, true)?),
        Verb::TryGet => answer(seat, get(mark, props, kind, false)?),
        Verb::GetMany => {
            for pair in mark.around(|| props.small.get_many(2))? {
                answer(seat, paired(pair));
            }
        }
        Verb::Drain => loop {
            match get(mark, props, kind, false) {
                Ok(id) => answer(seat, id),
                Err(error) if error.is_empty() => break,
                Err(error) => return Err(error),
            }
        },
        Verb::Len => answer(seat, kind.len(props) as u64),
        _ => {}
    }
    Ok(())
}

/// Everything used once, while nobody else uses it.
pub(super) fn warm(props: &Props) -> multiproc::Result<()> {
    // Not the pages: they are counted.
    for kind in Kind::ALL.into_iter().filter(|&kind| kind != Kind::Page) {
        // Two at a time: then there are free blocks for the victim's message and for one beside it.
        for id in [1, 2] {
            simply_put(props, kind, id)?;
        }
        for block in [true, false] {
            get(Mark::new(&Seat::nowhere()), props, kind, block)?;
        }
    }
    Ok(())
}

/// Puts a message without marks.
pub(crate) fn simply_put(props: &Props, kind: Kind, id: u64) -> multiproc::Result<()> {
    put(Mark::new(&Seat::nowhere()), props, kind, id, true)
}

fn put(mark: Mark, props: &Props, kind: Kind, id: u64, block: bool) -> multiproc::Result<()> {
    let pair = (id, !id);
    match (kind, block) {
        (Kind::Small, true) => mark.around(|| props.small.put(pair)),
        (Kind::Small, false) => mark.around(|| props.small.try_put(pair)),
        (Kind::Bounded, true) => mark.around(|| props.bounded.put(pair)),
        (Kind::Bounded, false) => mark.around(|| props.bounded.try_put(pair)),
        (Kind::Raw, _) => {
            let item = bytes(id, 16);
            mark.around(|| props.raw.put_bytes(&item))
        }
        (Kind::Big, _) => {
            let item = bytes(id, BIG);
            mark.around(|| props.big.put(item))
        }
        (Kind::BigBounded, true) => {
            let item = bytes(id, BIG);
            mark.around(|| props.big_bounded.put(item))
        }
        (Kind::BigBounded, false) => {
            let item = bytes(id, BIG);
            mark.around(|| props.big_bounded.try_put(item))
        }
        (Kind::Tasks, _) => {
            let item = bytes(id, if id & 1 == 0 { 16 } else { BIG });
            mark.around(|| props.tasks.put(&item))
        }
        (Kind::Busy, _) => mark.around(|| props.busy.put(pair)),
        (Kind::Page, _) => {
            let item = bytes(id, PAGE);
            mark.around(|| props.pages.put_bytes(&item))
        }
        (Kind::InPlace, _) => {
            let item = bytes(id, BIG);
            mark.around(|| props.in_place.put_with(BIG, |buf| buf.copy_from_slice(&item)))
        }
    }
}

fn get(mark: Mark, props: &Props, kind: Kind, block: bool) -> multiproc::Result<u64> {
    match (kind, block) {
        (Kind::Small, true) => mark.around(|| props.small.get()).map(paired),
        (Kind::Small, false) => mark.around(|| props.small.try_get()).map(paired),
        (Kind::Bounded, true) => mark.around(|| props.bounded.get()).map(paired),
        (Kind::Bounded, false) => mark.around(|| props.bounded.try_get()).map(paired),
        (Kind::Raw, true) => mark.around(|| props.raw.get_bytes()).map(|item| whole(&item, 16)),
        (Kind::Raw, false) => {
            mark.around(|| props.raw.try_get_bytes()).map(|item| whole(&item, 16))
        }
        (Kind::Big, true) => mark.around(|| props.big.get()).map(|item| whole(&item, BIG)),
        (Kind::Big, false) => mark.around(|| props.big.try_get()).map(|item| whole(&item, BIG)),
        (Kind::BigBounded, true) => {
            mark.around(|| props.big_bounded.get()).map(|item| whole(&item, BIG))
        }
        (Kind::BigBounded, false) => {
            mark.around(|| props.big_bounded.try_get()).map(|item| whole(&item, BIG))
        }
        (Kind::Page, true) => {
            mark.around(|| props.pages.get_bytes()).map(|item| whole(&item, PAGE))
        }
        (Kind::Page, false) => {
            mark.around(|| props.pages.try_get_bytes()).map(|item| whole(&item, PAGE))
        }
        (Kind::InPlace, true) => {
            mark.around(|| props.in_place.get_with(<[u8]>::to_vec)).map(|item| whole(&item, BIG))
        }
        (Kind::InPlace, false) => {
            let item = mark.around(|| props.in_place.try_get_with(<[u8]>::to_vec));
            item.map(|item| whole(&item, BIG))
        }
        (Kind::Tasks, _) => {
            let task = mark.around(|| props.tasks.get())?;
            let id = whole(&task, task.len());
            task.done().map(|()| id)
        }
        (Kind::Busy, true) => mark.around(|| props.busy.get()).map(paired),
        (Kind::Busy, false) => mark.around(|| props.busy.try_get()).map(paired),
    }
}

/// The bytes of message `id`: the number and its complement in turn.
pub(super) fn bytes(id: u64, len: usize) -> Vec<u8> {
    let pair = [id.to_le_bytes(), (!id).to_le_bytes()].concat();
    let mut bytes = pair.repeat(len.div_ceil(pair.len()));
    bytes.truncate(len / 8 * 8);
    bytes
}

/// The number of the message that these bytes are, if they are just that.
pub(super) fn whole(item: &[u8], len: usize) -> u64 {
    let id = item.first_chunk().map_or(TORN, |first| u64::from_le_bytes(*first));
    if item == bytes(id, len) { id } else { TORN }
}

fn paired((id, not): (u64, u64)) -> u64 {
    if id == !not { id } else { TORN }
}
