//! Someone is stopped for ever, and not dead: at any step, or asleep, where it goes on taking the wakes of others. If it holds
//! nothing then, the others get through all the same: to a lock by the slices of their sleep, to news by their keeper's look.
//! If it holds a lock it is killed, as a user would do who wants the others to go on.

use super::event::{event, wait};
use super::queue::{self, get, put};
use super::semaphore::semaphore;
use super::{check, check_deaths, check_some_deaths, keep, lock};
use crate::channel::queue::Queue;
use crate::sim;
use crate::world::{self, World};

/// Sleeps for a lock have slices, and fairness has an end.
fn let_time_pass() {
    sim::set_slices();
    sim::set_tick(2_000_000);
}

/// Runs `others` with the keeper of `world`, which looks by the clock, as thread 3.
fn with_keeper(world: &'static World, others: impl FnOnce()) {
    sim::set_long_waits();
    let keeper = sim::spawn(3, keep(world));
    others();
    sim::set_over();
    world.wake_keeper();
    sim::join(keeper);
}

pub(super) fn a_locker(steps: u32) -> bool {
    let worlds = world::make(&[&[0, 1], &[2]]);
    let_time_pass();
    let (world, other, guarded) = (worlds[0], worlds[1], lock::guarded());
    let stopped = sim::keep(core::cell::Cell::new(false));
    let victim = sim::spawn(2, move || {
        let id = other.me();
        stopped.set(sim::stopping_at(steps, || guarded.use_once(other)));
        if stopped.get() && guarded.lock().owner() == Some(id) {
            other.kernel_marks(id);
            world.alarm();
        }
    });
    let one = sim::spawn(1, move || guarded.use_once(world));
    guarded.use_once(world);
    sim::join(one);
    sim::join(victim);
    stopped.get()
}

pub fn a_stopped_locker_stops_nobody() {
    check_some_deaths("stopped, a locker", 2, 500, a_locker);
}

/// One of two who wait for a lock is stopped asleep, and woken for it.
pub(super) fn a_waiter_for_a_lock() {
    let worlds = world::make(&[&[0, 1], &[2]]);
    let_time_pass();
    let (world, other, guarded) = (worlds[0], worlds[1], lock::guarded());
    let me = world.me();
    assert!(guarded.lock().try_lock(me));
    let victim = sim::spawn(2, move || {
        assert!(sim::stopping_asleep(|| guarded.use_once(other)), "the lock was not free");
    });
    sim::join(victim);
    let waiter = sim::spawn(1, move || guarded.use_once(world));
    // The other may be asleep, behind the first.
    crate::sys::thread::yield_now();
    guarded.lock().unlock(me);
    sim::join(waiter);
}

pub fn a_stopped_waiter_for_a_lock_stops_nobody() {
    check("stopped, a waiter for a lock", 3, a_waiter_for_a_lock);
}

/// Between setting the event and waking those who wait.
pub(super) fn a_setter(steps: u32) -> bool {
    let worlds = world::make(&[&[0, 1], &[2]]);
    let world = worlds[0];
    let events = event(&worlds);
    let (event, theirs) = (events[0], events[1]);
    let stopped = sim::keep(core::cell::Cell::new(false));
    with_keeper(world, || {
        let setter = sim::spawn(2, move || {
            stopped.set(sim::stopping_at(steps, || theirs.set()));
            if !theirs.is_set() {
                // Someone else does it.
                theirs.set();
            }
        });
        wait(event);
        sim::join(setter);
    });
    stopped.get()
}

pub fn a_stopped_setter_stops_nobody() {
    check_deaths("stopped, a setter", 1, a_setter);
}

/// One passes a message on while another, in a process of its own, is stopped when it does the same; the queue has the only
/// message.
pub(super) fn a_user_of_a_queue(steps: u32) -> bool {
    let worlds = world::make(&[&[0, 1], &[2]]);
    let (world, other) = (worlds[0], worlds[1]);
    let queues = queue::small(&[world, world, other], 0);
    let_time_pass();
    let stopped = sim::keep(core::cell::Cell::new(false));
    let pass_on = |queue: &Queue<u64>| {
        get(queue);
        put(queue);
    };
    let (ours, theirs, locks) = (queues.of(1), queues.of(2), queues.clone());
    let victim = sim::spawn(2, move || {
        let id = other.me();
        stopped.set(sim::stopping_at(steps, || pass_on(theirs)));
        if stopped.get() && locks.is_held_by(id) {
            other.kernel_marks(id);
            world.alarm();
        }
    });
    let done = sim::keep(core::cell::Cell::new(false));
    let user = sim::spawn(1, move || {
        pass_on(ours);
        done.set(true);
    });
    put(queues.of(0));
    sim::join(victim);
    let (before, got) = queues.counts();
    if before == got {
        // It was stopped with the message in its hands.
        put(queues.of(0));
    }
    while !done.get() {
        // Between two looks stores become visible, which loom would put off for ever.
        queues.peek();
        world.look_for_old_news();
    }
    sim::join(user);
    stopped.get()
}

pub fn a_stopped_user_of_a_queue_stops_nobody() {
    check_some_deaths("stopped, a user of a queue", 1, 400, a_user_of_a_queue);
}

/// One of two who wait for the only permit is stopped asleep, and woken for it.
pub(super) fn a_waiter_for_a_permit() {
    let worlds = world::make(&[&[0, 1], &[2]]);
    let permits = semaphore(&worlds, 1);
    let_time_pass();
    let (ours, theirs) = (permits[0], permits[1]);
    let permit = ours.acquire().expect("a permit");
    let victim = sim::spawn(2, move || {
        assert!(sim::stopping_asleep(|| _ = theirs.acquire()), "there was no permit");
    });
    sim::join(victim);
    let waiter = sim::spawn(1, move || {
        drop(ours.acquire().expect("a permit"));
    });
    // The other may be asleep, behind the first.
    crate::sys::thread::yield_now();
    drop(permit);
    sim::join(waiter);
}

pub fn a_stopped_waiter_for_a_permit_stops_nobody() {
    check("stopped, a waiter for a permit", 3, a_waiter_for_a_permit);
}

/// Between closing a queue and telling those who wait for a message.
pub(super) fn a_closer(steps: u32) -> bool {
    let worlds = world::make(&[&[0, 1], &[2]]);
    let (world, other) = (worlds[0], worlds[1]);
    let queues = queue::small(&[world, world, other], 0);
    let stopped = sim::keep(core::cell::Cell::new(false));
    let (ours, others, theirs) = (queues.of(0), queues.of(1), queues.of(2));
    let locks = queues.clone();
    with_keeper(world, || {
        let closer = sim::spawn(2, move || {
            let id = other.me();
            stopped.set(sim::stopping_at(steps, || theirs.close().expect("a lock for a moment")));
            if stopped.get() && locks.is_held_by(id) {
                other.kernel_marks(id);
                world.alarm();
            }
            if !theirs.is_closed() {
                // Someone else does it.
                sim::as_thread(1, || others.close().expect("a lock for a moment"));
            }
        });
        assert!(ours.get_bytes().is_err_and(|error| error.is_closed()), "there is no message");
        sim::join(closer);
    });
    stopped.get()
}

pub fn a_stopped_closer_stops_nobody() {
    check_some_deaths("stopped, a closer", 1, 400, a_closer);
}
