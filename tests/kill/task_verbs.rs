//! What an actor does with tasks; see `actor`.

use std::time::Duration;

use multiproc::{JoinableQueue, Task};

use super::actor::{Mark, answer};
use super::board::Seat;
use super::order::Verb;
use super::props::Props;
use super::queue_verbs::{bytes, whole};

/// How long whoever drains waits before it asks whether all is done.
const LULL: Duration = Duration::from_millis(2);

/// The tasks that an actor has, and the queue of a point, if it has one.
#[derive(Debug, Default)]
pub(super) struct InHand {
    tasks: Vec<Task<Vec<u8>>>,
    queue: Option<JoinableQueue<Vec<u8>>>,
}

/// Performs what concerns tasks; those that are put have `size` bytes.
pub(super) fn perform(
    seat: &Seat,
    mark: Mark,
    verb: Verb,
    size: u64,
    id: u64,
    props: &Props,
    in_hand: &mut InHand,
) -> multiproc::Result<()> {
    match verb {
        Verb::TaskFetch => {
            in_hand.queue = Some(props.task_queues.get()?);
            return Ok(());
        }
        Verb::TaskLeave => {
            *in_hand = InHand::default();
            return Ok(());
        }
        _ => {}
    }
    let InHand { tasks: in_hand, queue } = in_hand;
    let tasks = queue.as_ref().unwrap_or(&props.tasks);
    match verb {
        Verb::TaskPut => {
            let item = bytes(id, size as usize);
            return mark.around(|| tasks.put(&item));
        }
        Verb::TaskTake => {
            let task = mark.around(|| tasks.get())?;
            answer(seat, whole(&task, task.len()));
            in_hand.push(task);
        }
        Verb::TaskDone => {
            if let Some(task) = in_hand.pop() {
                return mark.around(|| task.done());
            }
        }
        Verb::TaskDrop => mark.around(|| drop(in_hand.pop())),
        Verb::TaskJoin => return mark.around(|| tasks.join()),
        Verb::TaskShutDown => return mark.around(|| tasks.shutdown()),
        Verb::TaskDrain => loop {
            match tasks.get_timeout(LULL) {
                Ok(task) => {
                    answer(seat, whole(&task, task.len()));
                    task.done()?;
                }
                Err(error) if error.is_closed() => break,
                Err(error) if !error.is_timeout() => return Err(error),
                Err(_) if tasks.try_join().is_ok() => break,
                Err(_) => {}
            }
        },
        _ => {}
    }
    Ok(())
}
