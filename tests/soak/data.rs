//! Values, numbers, arrays and their parts, lists; objects that come and go.

use multiproc::{Array, Error, Event, ListItem, Lock, Queue, Result, Value};

use super::actor::{Actor, SHORT, unless};
use super::ledger::count;
use super::objects::LEN;

/// Told of a death; the caller does the rest, or it comes too late.
fn is_told(error: &Error) -> bool {
    error.is_owner_died() || error.is_busy() || error.is_timeout()
}

pub(crate) fn value(actor: &mut Actor) -> Result<()> {
    let value = &actor.objects.value;
    let add = |all: &mut [u64; 4]| {
        assert!(all.iter().all(|one| *one == all[0]), "torn: {all:?}");
        all.iter_mut().for_each(|one| *one += 1);
    };
    match value.update(add) {
        Err(error) if error.is_owner_died() => {
            let mut guard = value.recover()?;
            let most = guard.iter().copied().max().unwrap_or(0);
            *guard = [most + 1; 4];
        }
        updated => updated?,
    }
    count(&actor.log.valued);
    Ok(())
}

pub(crate) fn number(actor: &mut Actor) -> Result<()> {
    actor.objects.number.fetch_add(1);
    count(&actor.log.added);
    Ok(())
}

pub(crate) fn whole(actor: &mut Actor) -> Result<()> {
    let array = &actor.objects.whole;
    let number = actor.chance.below(u64::MAX);
    let done = match actor.chance.below(4) {
        0 => array.copy_from_slice(&[number; LEN]),
        1 => array.fill(number),
        2 => array.lock().map(|mut guard| guard.fill(number)),
        _ => {
            array.to_vec().map(|all| assert!(all.iter().all(|one| *one == all[0]), "torn: {all:?}"))
        }
    };
    match done {
        Err(error) if error.is_owner_died() => array.recover().map(|mut guard| guard.fill(number)),
        done => done,
    }
}

pub(crate) fn parts(actor: &mut Actor) -> Result<()> {
    let array = &actor.objects.parts;
    let number = actor.chance.below(u64::MAX);
    let cut = array.partition(1 + actor.chance.below(4) as usize)?;
    let part = &cut[actor.chance.below(cut.len() as u64) as usize];
    let done = match part.claim_timeout(SHORT) {
        Ok(mut guard) => {
            guard.fill(number);
            assert!(
                guard.iter().all(|one| *one == number),
                "somebody else wrote to a claimed part"
            );
            Ok(())
        }
        Err(error) if error.is_owner_died() => array.recover_timeout(SHORT).map(drop),
        Err(error) => Err(error),
    };
    unless(is_told, done)
}

/// An item of the list that says a number.
pub(crate) fn item(number: u64) -> ListItem {
    ListItem::Bytes(number.to_le_bytes().repeat(3))
}

pub(crate) fn list(actor: &mut Actor) -> Result<()> {
    let list = &actor.objects.list;
    let number = actor.chance.below(u64::MAX);
    let done = if actor.chance.below(2) == 0 {
        list.set(0, item(number))
    } else {
        list.get(0).map(|found| {
            let ListItem::Bytes(bytes) = &found else { panic!("not bytes: {found:?}") };
            let (words, rest) = bytes.as_chunks::<8>();
            assert!(
                rest.is_empty() && words.iter().all(|word| *word == words[0]),
                "torn: {bytes:?}"
            );
        })
    };
    match done {
        Err(error) if error.is_owner_died() => {
            drop(list.recover()?);
            unless(is_told, list.set(0, item(number)))
        }
        done => done,
    }
}

pub(crate) fn made(actor: &mut Actor) -> Result<()> {
    match actor.chance.below(5) {
        0 => drop(Lock::new()?.clone().lock_owned()?),
        1 => Event::new()?.set(),
        2 => assert_eq!(Value::new([7; 8])?.get()?, [7; 8]),
        3 => {
            let array = Array::from_slice(&[3_u64; 10_000])?;
            assert_eq!(array.get(9_999)?, 3);
        }
        _ => {
            let queue = Queue::new()?;
            queue.put(vec![5_u8; 30_000])?;
            assert_eq!(queue.get()?.len(), 30_000);
            // Left in it.
            queue.put(vec![5_u8; 10])?;
        }
    }
    Ok(())
}
