//! The event: whoever waits returns once it was set, even if it is cleared at once, and sees what was written before.

use super::{check, check_deaths};
use crate::sim;
use crate::sync::Event;
use crate::world::{self, World};
use loom::cell::UnsafeCell;
use loom::sync::atomic::AtomicU32;
use loom::sync::atomic::Ordering::Relaxed;

/// An event, as each of `worlds` sees it.
pub(super) fn event(worlds: &[&'static World]) -> Vec<&'static Event> {
    let event = sim::keep(Event::new().expect("an event"));
    world::only_object(worlds[0]);
    worlds.iter().map(|world| world::seen_by(event, world)).collect()
}

/// Waits for ever.
pub(super) fn wait(event: &Event) {
    event.wait().expect("a thread of the model");
}

/// Two wait while one sets and clears.
pub(super) fn two_wait_for_set_and_clear() {
    let worlds = world::make(&[&[0, 1, 2]]);
    let event = event(&worlds)[0];
    let setter = sim::spawn(2, move || {
        event.set();
        event.clear();
        // Those who come too late for the first need this one.
        event.set();
    });
    let waiter = sim::spawn(1, move || wait(event));
    wait(event);
    sim::join(waiter);
    sim::join(setter);
}

pub fn nobody_misses_a_set_that_is_cleared_at_once() {
    check("event, set and cleared under two waiters", 2, two_wait_for_set_and_clear);
}

/// A pulse reaches whoever already waited: the count is what tells.
pub(super) fn pulse_reaches_a_sleeper() {
    let worlds = world::make(&[&[0, 1]]);
    let event = event(&worlds)[0];
    let word = &worlds[0].object()[0];
    let waiter = sim::spawn(1, move || {
        wait(event);
    });
    // Until the waiter has announced itself nothing is promised to it.
    while word.peek() & 2 == 0 {
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
    let event = event(&worlds)[0];
    let data = sim::keep(UnsafeCell::new(0));
    let setter = sim::spawn(1, move || {
        // SAFETY: loom finds out whether anybody reads meanwhile.
        data.with_mut(|data| unsafe { *data = 1 });
        event.set();
    });
    wait(event);
    // SAFETY: as above.
    assert_eq!(data.with(|data| unsafe { *data }), 1);
    sim::join(setter);
}

pub fn what_was_written_before_the_set_is_seen() {
    check("event, publication", 3, set_publishes);
}

/// The event is set when somebody writes and sets it again, while the waiter clears it and then reads. Either the event is still
/// set, or the waiter saw what was written.
pub(super) fn set_again_under_a_clearer() {
    let worlds = world::make(&[&[0, 1]]);
    let event = event(&worlds)[0];
    let written = sim::keep(AtomicU32::new(0));
    event.set();
    let setter = sim::spawn(1, move || {
        written.store(1, Relaxed);
        event.set();
    });
    wait(event);
    event.clear();
    let seen = written.load(Relaxed);
    sim::join(setter);
    assert!(event.is_set() || seen == 1, "what was written is seen by nobody");
}

pub fn a_second_set_is_no_less() {
    check("event, set again", 3, set_again_under_a_clearer);
}

/// One of two setters dies at any step while one waits.
pub(super) fn setter_dies(steps: u32) -> bool {
    let worlds = world::make(&[&[0, 1], &[2]]);
    let (world, other, events) = (worlds[0], worlds[1], event(&worlds));
    let (event, theirs) = (events[0], events[1]);
    let died = sim::keep(core::cell::Cell::new(false));
    let victim = sim::spawn(2, move || {
        let id = other.me();
        died.set(sim::dying_at(steps, || theirs.set()));
        if died.get() {
            other.kernel_marks(id);
            world.alarm();
        }
    });
    let setter = sim::spawn(1, move || event.set());
    wait(event);
    sim::join(setter);
    sim::join(victim);
    died.get()
}

pub fn a_setter_that_dies_leaves_no_sleeper() {
    check_deaths("event, the setter dies", 2, setter_dies);
}
