//! What an actor does with an array and its parts; see `data_verbs`.

use std::time::{Duration, Instant};

use multiproc::{Array, ArrayGuard, ArrayPart};

use super::actor::answer;
use super::board::{HOLDING, LEAVING, Seat};
use super::data::{CLAIMED, Call, DIED, Data, LEN, Op, PART, counted, one, spread, tell, told};
use super::forms::{Time, call};
use super::sync_verbs::{described, end, room};

pub(super) fn array<'a>(
    call: Call,
    data: &'a Data,
    held: &mut Option<ArrayGuard<'a, u64>>,
) -> multiproc::Result<()> {
    let Call { seat, mark, op, number, .. } = call;
    let array = &data.array;
    match op {
        Op::Hold => {
            let guard = held.insert(array.lock()?);
            if number != 0 {
                guard.fill(number);
            }
            return Ok(());
        }
        Op::LetGo => {
            let guard = held.take();
            mark.around(|| drop(guard));
            return Ok(());
        }
        Op::Check => return check_array(seat, array),
        _ => {}
    }
    let mut text = room();
    mark.begin();
    let done = match op {
        Op::Describe => Ok(described(&mut text, array)),
        Op::Borrow | Op::Recover => borrow(call, array),
        Op::Slice => Ok(one(&data.frozen)),
        Op::CloneFrozen => Ok(one(&data.frozen.clone())),
        Op::Set | Op::Fill | Op::Write | Op::SetOne | Op::UpdateOne | Op::Counted => {
            write(call, array)
        }
        _ => read(call, array),
    };
    end(seat, mark, done)
}

#[inline(always)]
fn read(call: Call, array: &Array<u64>) -> multiproc::Result<u64> {
    let Call { op, form, .. } = call;
    let (time, mut copy) = (Time::of(form), [0; LEN]);
    match op {
        Op::CopyOut => {
            let done = call!(
                array, form, time: copy_to_slice, copy_to_slice_timeout, copy_to_slice_deadline,
                try_copy_to_slice; &mut copy
            );
            told(form, done, |()| one(&copy))
        }
        Op::Read => {
            let some = call!(
                array, form, time: read, read_timeout, read_deadline, try_read; 1..PART
            );
            told(form, some, |found| one(&found))
        }
        Op::GetOne => {
            let one = call!(array, form, time: get, get_timeout, get_deadline, try_get; 1);
            told(form, one, |found| found)
        }
        Op::Freeze => {
            let done =
                call!(array, form, time: freeze, freeze_timeout, freeze_deadline, try_freeze);
            told(form, done, |frozen| one(&frozen))
        }
        Op::Partition => told(form, array.partition(3), |parts| parts.len() as u64),
        Op::Chunks => told(form, array.chunks(3), |parts| parts.len() as u64),

        _ => {
            let all = call!(array, form, time: to_vec, to_vec_timeout, to_vec_deadline, try_to_vec);
            told(form, all, |found| one(&found))
        }
    }
}

#[inline(always)]
fn write(call: Call, array: &Array<u64>) -> multiproc::Result<u64> {
    let Call { mark, op, form, number, .. } = call;
    let (time, new) = (Time::of(form), [number; LEN]);
    match op {
        Op::Fill => {
            let done =
                call!(array, form, time: fill, fill_timeout, fill_deadline, try_fill; number);
            told(form, done, |()| 0)
        }
        Op::Write => {
            let done = call!(
                array, form, time: write, write_timeout, write_deadline, try_write; 1, &new[..PART]
            );
            told(form, done, |()| 0)
        }
        Op::SetOne => {
            let done = call!(array, form, time: set, set_timeout, set_deadline, try_set; 1, number);
            told(form, done, |()| 0)
        }
        Op::UpdateOne => {
            let change = |element: &mut u64| {
                mark.at(HOLDING);
                *element = number;
                mark.at(LEAVING);
            };
            let done = call!(
                array, form, time: update, update_timeout, update_deadline, try_update; 1, change
            );
            told(form, done, |()| 0)
        }
        Op::Counted => counted(mark, array.get_lock().lock(), || {
            array.to_vec()?;
            array.copy_from_slice(&new)
        }),
        _ => {
            let done = call!(
                array, form, time: copy_from_slice, copy_from_slice_timeout,
                copy_from_slice_deadline, try_copy_from_slice; &new
            );
            told(form, done, |()| 0)
        }
    }
}

#[inline(always)]
fn borrow(call: Call, array: &Array<u64>) -> multiproc::Result<u64> {
    let Call { mark, op, form, number, .. } = call;
    let time = Time::of(form);

    let guard = if op == Op::Borrow {
        call!(array, form, time: lock, lock_timeout, lock_deadline, try_lock)
    } else {
        call!(array, form, time: recover, recover_timeout, recover_deadline, try_recover)
    };
    told(form, guard, |mut guard| {
        mark.at(HOLDING);
        guard.fill(number);
        mark.at(LEAVING);
        0
    })
}

/// As [`Op::Check`] says. A claim of the dead lasts until their process has ended altogether.
fn check_array(seat: &Seat, array: &Array<u64>) -> multiproc::Result<()> {
    let end = Instant::now() + Duration::from_secs(1);
    loop {
        let found = array.to_vec().map(|found| tell(seat, 0, &found));
        let found = match found {
            Err(error) if error.is_owner_died() => array.recover().map(|mut guard| {
                tell(seat, DIED, &guard);
                let greatest = spread(&guard).1;
                guard.fill(greatest);
            }),
            found => found,
        };
        match found {
            Err(error) if error.is_busy() && Instant::now() < end => std::thread::yield_now(),
            Err(error) if error.is_busy() => {
                tell(seat, CLAIMED, &[]);
                return Ok(());
            }
            found => return found,
        }
    }
}

pub(super) fn parts(
    call: Call,
    data: &Data,
    place: &mut Option<ArrayPart<u64>>,
) -> multiproc::Result<()> {
    let Call { seat, mark, op, form, number } = call;
    match op {
        Op::Cut => {
            while data.parts.try_get().is_ok() {}
            for part in data.array.partition(2)? {
                data.parts.put(part)?;
            }
            return Ok(());
        }
        Op::OfferPart => return place.as_ref().map_or(Ok(()), |part| data.parts.put(part)),
        Op::SendPart => {
            return place.take().map_or(Ok(()), |part| mark.around(|| data.parts.put(part)));
        }
        Op::DropPart => {
            let old = place.take();
            mark.around(|| drop(old));
            return Ok(());
        }
        Op::TakePart => {
            let was_there = match mark.around(|| data.parts.try_get()) {
                Ok(part) => {
                    *place = Some(part);
                    1
                }
                Err(error) if error.is_empty() => 0,
                Err(error) => return Err(error),
            };
            answer(seat, was_there);
            return Ok(());
        }
        _ => {}
    }
    let Some(part) = place else {
        return Err(multiproc::Error::other("it has no part to claim"));
    };
    let time = Time::of(form);
    if op == Op::GiveClaim {
        let mut guard = part.claim()?;
        guard.fill(number);
        mark.begin();
        drop(guard);
        return end(seat, mark, Ok(0));
    }
    mark.begin();
    let claim = call!(part, form, time: claim, claim_timeout, claim_deadline, try_claim);
    let done = told(form, claim, |mut guard| {
        mark.at(HOLDING);
        guard.fill(number);
        mark.at(LEAVING);
        guard.is_taken_over().into()
    });
    end(seat, mark, done)
}
