//! What an actor does with lists; see `data_verbs`.

use multiproc::{ListItem, RLockGuard, SharedList};

use super::data::{Call, DIED, ITEM, Op, counted, item, one, spread, tell, told};
use super::forms::{Time, call};
use super::sync_verbs::{described, end, room};

/// What the items say; whatever is no item says nothing.
fn numbers(items: impl IntoIterator<Item = ListItem>) -> Vec<u64> {
    let words = |item| match item {
        ListItem::Bytes(bytes) if bytes.len() == ITEM => {
            bytes.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)).collect()
        }
        _ => vec![super::props::TORN],
    };
    items.into_iter().flat_map(words).collect()
}

pub(super) fn list<'a>(
    call: Call,
    list: &'a SharedList,
    held: &mut Option<RLockGuard<'a>>,
) -> multiproc::Result<()> {
    let Call { seat, mark, op, form, number } = call;
    let (time, new) = (Time::of(form), item(number));
    let set_all = |number: u64| (0..list.len()).try_for_each(|index| list.set(index, item(number)));
    match op {
        Op::Hold => {
            *held = Some(list.get_lock().lock()?);
            return if number == 0 { Ok(()) } else { set_all(number) };
        }
        Op::LetGo => {
            let guard = held.take();
            mark.around(|| drop(guard));
            return Ok(());
        }
        Op::Check => {
            match list.to_vec() {
                Ok(items) => tell(seat, 0, &numbers(items)),
                Err(error) if error.is_owner_died() => {
                    let _held = list.get_lock().recover()?;
                    let found = numbers(list.recover()?.into_iter().flatten());
                    tell(seat, DIED, &found);
                    return set_all(spread(&found).1);
                }
                Err(error) => return Err(error),
            }
            return Ok(());
        }
        _ => {}
    }
    let mut text = room();
    mark.begin();
    let done = match op {
        Op::Get => {
            let all = call!(list, form, time: to_vec, to_vec_timeout, to_vec_deadline, try_to_vec);
            told(form, all, |items| one(&numbers(items)))
        }
        Op::GetOne => {
            let item = call!(list, form, time: get, get_timeout, get_deadline, try_get; 1);
            told(form, item, |item| one(&numbers([item])))
        }
        Op::SetOne => {
            let done = call!(list, form, time: set, set_timeout, set_deadline, try_set; 1, new);
            told(form, done, |()| 0)
        }
        Op::Recover => {
            let items =
                call!(list, form, time: recover, recover_timeout, recover_deadline, try_recover);
            told(form, items, |items| items.len() as u64)
        }
        Op::Counted => counted(mark, list.get_lock().lock(), || set_all(number)),
        Op::Count => told(form, list.count(ListItem::None), |count| count as u64),
        Op::Index => told(form, list.index(ListItem::None), |found| found.is_some().into()),
        _ => Ok(described(&mut text, list)),
    };
    end(seat, mark, done)
}
