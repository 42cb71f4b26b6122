//! The event: whoever waits returns once it was set, even if it is cleared at once, and sees what was written before.

use super::{check, check_deaths};
use crate::sim;
use crate::sync::event::Event;
use crate::world;
use loom::cell::UnsafeCell;

/// Two wait while one sets and clears.
pub(super) fn two_wait_for_set_and_clear() {
    let worlds = world::make(&[&[0, 1, 2]]);
    let (world, cell) = (worlds[0], Event::new_cell());
    let setter = sim::spawn(2, move || {
        let event = Event::of(world, cell);
        event.set();
        event.clear();
        // Those who come too late for the first need this one.
        event.set();
    });
    let waiter = sim::spawn(1, move || Event::of(world, cell).wait());
    Event::of(world, cell).wait();
    sim::join(waiter);
    sim::join(setter);
}

pub fn nobody_misses_a_set_that_is_cleared_at_once() {
    check("event, set and cleared under two waiters", 2, two_wait_for_set_and_clear);
}

/// A pulse reaches whoever already waited: the count is what tells.
pub(super) fn pulse_reaches_a_sleeper() {
    let worlds = world::make(&[&[0, 1]]);
    let (world, cell) = (worlds[0], Event::new_cell());
    let waiter = sim::spawn(1, move || {
        let event = Event::of(world, cell);
        event.wait();
    });
    let event = Event::of(world, cell);
    // Until the waiter has announced itself nothing is promised to it.
    while !event.has_waiters() {
        crate::sys::thread::yield_now();
    }
    event.set();
    event.clear();
    sim::join(waiter);
}

pub fn a_pulse_reaches_a_sleeper() {
    check("event, a pulse", 3, pulse_reaches_a_sleeper);
}

/// What was written before the set is read after the wait.
pub(super) fn set_publishes() {
    let worlds = world::make(&[&[0, 1]]);
    let (world, cell) = (worlds[0], Event::new_cell());
    let data = sim::keep(UnsafeCell::new(0));
    let setter = sim::spawn(1, move || {
        // SAFETY: loom finds out whether anybody reads meanwhile.
        data.with_mut(|data| unsafe { *data = 1 });
        Event::of(world, cell).set();
    });
    Event::of(world, cell).wait();
    // SAFETY: as above.
    assert_eq!(data.with(|data| unsafe { *data }), 1);
    sim::join(setter);
}

pub fn what_was_written_before_the_set_is_seen() {
    check("event, publication", 3, set_publishes);
}

/// One of two setters dies at any step while one waits.
pub(super) fn setter_dies(steps: u32) -> bool {
    let worlds = world::make(&[&[0, 1], &[2]]);
    let (world, other, cell) = (worlds[0], worlds[1], Event::new_cell());
    let died = sim::keep(core::cell::Cell::new(false));
    let victim = sim::spawn(2, move || {
        let id = other.me();
        died.set(sim::dying_at(steps, || Event::of(other, cell).set()));
        if died.get() {
            other.kernel_marks(id);
            world.alarm();
        }
    });
    let setter = sim::spawn(1, move || Event::of(world, cell).set());
    Event::of(world, cell).wait();
    sim::join(setter);
    sim::join(victim);
    died.get()
}

pub fn a_setter_that_dies_leaves_no_sleeper() {
    check_deaths("event, the setter dies", 2, setter_dies);
}
