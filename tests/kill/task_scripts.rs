//! The scripts about tasks, of which no death may lose one; see `scenarios`.

use multiproc::JoinableQueue;

use super::board::{AFTER, BEFORE};
use super::director::{BARGER, Director, FIRST, SECOND};
use super::order::{Order, Verb};
use super::queue_verbs::bytes;
use super::scenarios::Scenario;
use super::trouble::{Outcome, Trouble};

/// How many tasks wait before the victim begins.
const WAITING: usize = 3;

/// Has the barger put a task.
fn put(d: &mut Director, s: &Scenario) -> Outcome {
    let id = d.id();
    d.ledger.tasks.push(id);
    d.must(BARGER, Order::task(Verb::TaskPut, s.which, id)).map(drop)
}

fn order(s: &Scenario, verb: Verb) -> Order {
    Order::task(verb, s.which, 0)
}

/// Some tasks wait. The victim has the first, if it is to end it.
pub(super) fn arrange(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    let id = d.id();
    d.ledger.own = vec![id];
    for _ in 0..WAITING {
        put(d, s)?;
    }
    if matches!(s.verb, Verb::TaskDone | Verb::TaskDrop) {
        d.must(victim, order(s, Verb::TaskTake))?;
    }
    Ok(())
}

/// Every task comes, and nothing else: but one that the victim was putting, or had all but ended.
pub(super) fn after(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    d.conclude(victim, |_| Ok(()))?;
    if d.fate.is_mild() {
        d.must(victim, order(s, Verb::TaskDrop))?;
    }
    let mut got = d.must(BARGER, order(s, Verb::TaskDrain))?;
    let (mut due, own) = (d.ledger.tasks.clone(), d.ledger.own[0]);
    let reached = if d.fate.is_mild() { AFTER } else { d.reached(victim) };
    // What may be there or not.
    let open = match s.verb {
        Verb::TaskPut => Some((own, reached == AFTER, reached == BEFORE)),
        Verb::TaskDone => Some((due[0], reached == BEFORE, reached == AFTER)),
        _ => None,
    };
    if let Some((id, must, must_not)) = open {
        due.retain(|&other| other != id);
        let there = got.contains(&id);
        got.retain(|&other| other != id);
        if (must && !there) || (must_not && there) {
            return Err(Trouble::Violation(format!("task {id} was delivered: {there}")));
        }
    }
    got.sort_unstable();
    if got != due {
        return Err(Trouble::Violation(format!("{due:?} were due, {got:?} came")));
    }
    d.must(BARGER, order(s, Verb::TaskJoin)).map(drop)
}

/// The victim has the only task; one waits for a task, and one until all is done.
pub(super) fn wakes_arrange(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    put(d, s)?;
    d.must(victim, order(s, Verb::TaskTake))?;
    d.lull(FIRST, order(s, Verb::TaskTake))?;
    d.lull(SECOND, order(s, Verb::TaskJoin))?;
    Ok(())
}

/// The one gets the task, or the other is told of its end, by itself.
pub(super) fn wakes_after(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    d.conclude(victim, |_| Ok(()))?;
    let reached = if d.fate.is_mild() { AFTER } else { d.reached(victim) };
    let is_back = s.verb == Verb::TaskDrop || reached == BEFORE;
    let is_done = s.verb == Verb::TaskDone && reached == AFTER;
    d.until("a task that is not done comes again, or all is done and told", |d| {
        let (taken, joined) = (d.is_finished(FIRST), d.is_finished(SECOND));
        (taken && !is_done) || (joined && !is_back)
    })?;
    if !d.is_finished(FIRST) {
        put(d, s)?;
    }
    let got = d.finish_well(FIRST)?;
    if got != d.ledger.tasks[d.ledger.tasks.len() - 1..] {
        return Err(Trouble::Violation(format!("{got:?} came of {:?}", d.ledger.tasks)));
    }
    d.must(FIRST, order(s, Verb::TaskDone))?;
    d.finish_well(SECOND)?;
    let left = d.must(BARGER, order(s, Verb::TaskDrain))?;
    if !left.is_empty() {
        return Err(Trouble::Violation(format!("{left:?} were left")));
    }
    Ok(())
}

/// One has the only task. Another one waits, like the victim, until all is done.
pub(super) fn join_arrange(d: &mut Director, s: &Scenario, _: usize) -> Outcome {
    put(d, s)?;
    d.must(FIRST, order(s, Verb::TaskTake))?;
    d.lull(SECOND, order(s, Verb::TaskJoin)).map(drop)
}

pub(super) fn join_asleep(d: &mut Director, s: &Scenario, _: usize) -> Outcome {
    end_the_task(d, s)
}

fn end_the_task(d: &mut Director, s: &Scenario) -> Outcome {
    if std::mem::replace(&mut d.ledger.started, true) {
        return Ok(());
    }
    d.must(FIRST, order(s, Verb::TaskDone)).map(drop)
}

/// The other one is told of the end, by itself; so is the victim, if it lives.
pub(super) fn join_after(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    end_the_task(d, s)?;
    d.finish_well(SECOND)?;
    d.conclude(victim, |_| Ok(()))?;
    let left = d.must(BARGER, order(s, Verb::TaskDrain))?;
    if !left.is_empty() {
        return Err(Trouble::Violation(format!("{left:?} were left")));
    }
    d.must(BARGER, order(s, Verb::TaskJoin)).map(drop)
}

/// In a queue that is there for this point alone one has a task, one task was given back, and others wait. Another one joins.
pub(super) fn shutdown_arrange(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    let queue = JoinableQueue::new()?;
    for _ in 0..=WAITING {
        let id = d.id();
        d.ledger.tasks.push(id);
        queue.put(bytes(id, s.which as usize))?;
    }
    for seat in [FIRST, SECOND, BARGER, victim] {
        d.props.task_queues.put(&queue)?;
        d.must(seat, order(s, Verb::TaskFetch))?;
    }
    d.must(FIRST, order(s, Verb::TaskTake))?;
    drop(queue.get()?);
    d.tasks = Some(queue);
    d.lull(SECOND, order(s, Verb::TaskJoin)).map(drop)
}

/// As long as the queue is open no task is lost; once it is closed none comes twice, and none at all when it is shut down. Whoever
/// joins is told by itself.
pub(super) fn shutdown_after(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    d.conclude(victim, |_| Ok(()))?;
    let is_closed = d.tasks.take().is_some_and(|queue| queue.is_closed());
    d.must(FIRST, order(s, Verb::TaskDrop))?;
    let mut got = d.must(BARGER, order(s, Verb::TaskDrain))?;
    d.finish_well(SECOND)?;
    got.sort_unstable();
    let due = &d.ledger.tasks;
    let reached = if d.fate.is_mild() { AFTER } else { d.reached(victim) };
    let is_right = match reached {
        BEFORE => !is_closed && got == *due,
        AFTER => is_closed && got.is_empty(),
        _ if !is_closed => got == *due,
        _ => got.iter().all(|id| due.contains(id)) && got.windows(2).all(|two| two[0] != two[1]),
    };
    if !is_right {
        let text = format!("closed: {is_closed}; {due:?} were put, {got:?} came");
        return Err(Trouble::Violation(text));
    }
    let live = d.fate.is_mild().then_some(victim);
    for seat in [FIRST, SECOND, BARGER].into_iter().chain(live) {
        d.must(seat, order(s, Verb::TaskLeave))?;
    }
    Ok(())
}
