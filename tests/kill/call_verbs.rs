//! What an actor does with a manager that is there for one point alone: it gets its handles from a queue, and calls; see `actor`.

use multiproc::{Manager, Proxy};
use serde::{Deserialize, Serialize};

use super::actor::{Mark, answer};
use super::board::Seat;
use super::order::Verb;
use super::props::Props;

/// The handles of an actor.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Calls {
    pub(crate) manager: Manager,
    pub(crate) number: Proxy<u64>,
}

fn add(number: &mut u64) -> u64 {
    *number += 1;
    *number
}

/// Performs what concerns a manager.
pub(super) fn perform(
    seat: &Seat,
    mark: Mark,
    verb: Verb,
    props: &Props,
    kept: &mut Option<Calls>,
) -> multiproc::Result<()> {
    if verb == Verb::CallFetch {
        *kept = None;
        *kept = Some(props.calls.get()?);
        return Ok(());
    }
    let Some(Calls { manager, number }) = kept else { return Ok(()) };
    let found = match verb {
        Verb::CallAdd => mark.around(|| number.call(add, ()))?,
        Verb::CallBatch => {
            let results = mark.around(|| {
                manager.batch(|batch| [batch.call(number, add, ()), batch.call(number, add, ())])
            })?;
            results.map(multiproc::Later::get).into_iter().collect::<Result<Vec<_>, _>>()?[1]
        }
        Verb::CallHost => {
            mark.around(|| manager.host(7_u64).map(drop))?;
            0
        }
        Verb::CallRead => number.call(|number: &mut u64| *number, ())?,
        Verb::CallObjects => manager.objects()?.len() as u64,
        _ => 0,
    };
    answer(seat, found);
    Ok(())
}
