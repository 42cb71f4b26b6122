//! What an actor does with values; see `data_verbs`.

use multiproc::{Plain, Value, ValueGuard};

use super::board::{HOLDING, LEAVING};
use super::data::{Call, DIED, Op, counted, one, spread, tell, told};
use super::forms::{Time, call};
use super::sync_verbs::{described, end, room};

pub(super) fn value<'a, const N: usize>(
    call: Call,
    value: &'a Value<[u64; N]>,
    held: &mut Option<ValueGuard<'a, [u64; N]>>,
) -> multiproc::Result<()>
where
    [u64; N]: Plain,
{
    let Call { seat, mark, op, form, number } = call;
    let (time, new) = (Time::of(form), [number; N]);
    match op {
        Op::Hold => {
            let guard = held.insert(value.lock()?);
            if number != 0 {
                **guard = new;
            }
            return Ok(());
        }
        Op::LetGo => {
            let guard = held.take();
            mark.around(|| drop(guard));
            return Ok(());
        }
        Op::Check => match value.get() {
            Ok(found) => tell(seat, 0, &found),
            Err(error) if error.is_owner_died() => {
                let mut guard = value.recover()?;
                tell(seat, DIED, &*guard);
                *guard = [spread(&*guard).1; N];
            }
            Err(error) => return Err(error),
        },
        _ => {}
    }
    if op == Op::Check {
        return Ok(());
    }
    let mut text = room();
    mark.begin();
    let done = match op {
        Op::Get => {
            told(form, call!(value, form, time: get, get_timeout, get_deadline, try_get), |found| {
                one(&found)
            })
        }
        Op::Set => told(
            form,
            call!(value, form, time: set, set_timeout, set_deadline, try_set; new),
            |()| 0,
        ),
        Op::Swap => told(
            form,
            call!(value, form, time: swap, swap_timeout, swap_deadline, try_swap; new),
            |found| one(&found),
        ),
        Op::Update => {
            let change = |data: &mut [u64; N]| {
                mark.at(HOLDING);
                *data = new;
                mark.at(LEAVING);
            };
            told(
                form,
                call!(
                    value, form, time: update, update_timeout, update_deadline, try_update; change
                ),
                |()| 0,
            )
        }
        Op::Borrow | Op::Recover => {
            let guard = if op == Op::Borrow {
                call!(value, form, time: lock, lock_timeout, lock_deadline, try_lock)
            } else {
                call!(value, form, time: recover, recover_timeout, recover_deadline, try_recover)
            };
            told(form, guard, |mut guard| {
                mark.at(HOLDING);
                *guard = new;
                mark.at(LEAVING);
                0
            })
        }
        Op::Counted => counted(mark, value.get_lock().lock(), || {
            value.get()?;
            value.set(new)
        }),
        _ => Ok(described(&mut text, value)),
    };
    end(seat, mark, done)
}
