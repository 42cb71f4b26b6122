//! The event count by itself: the word below is the truth, and those who find nothing there sleep.

use super::check;
use crate::raw::event_count::EventCount;
use crate::sim;
use crate::sys::atomic::{AtomicU32, Ordering};
use crate::sys::clock::Deadline;
use crate::sys::futex;

struct Items {
    count: AtomicU32,
    event_count: AtomicU32,
}

fn items() -> &'static Items {
    sim::keep(Items { count: AtomicU32::new(0), event_count: AtomicU32::new(0) })
}

impl Items {
    fn event_count(&self) -> &EventCount {
        // SAFETY: EventCount is this one word.
        unsafe { &*core::ptr::from_ref(&self.event_count).cast::<EventCount>() }
    }

    fn put(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.event_count().notify_one();
    }

    fn take_one(&self) -> bool {
        let less = |count: u32| count.checked_sub(1);
        self.count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }

    fn get(&self) {
        while !self.take_one() {
            let prepared = self.event_count().prepare_wait();
            if self.count.load(Ordering::Relaxed) == 0 {
                futex::wait(self.event_count().word(), prepared, Deadline::NEVER);
            }
        }
    }
}

pub(super) fn one_and_one() {
    let items = items();
    let putter = sim::spawn(1, move || items.put());
    items.get();
    sim::join(putter);
}

/// The same, each on a processor of its own: whoever wakes leaves its spot.
pub(super) fn one_and_one_apart() {
    sim::set_processors();
    one_and_one();
}

/// One gets two and another one, while three are put.
pub(super) fn three_items() {
    let items = items();
    let two = sim::spawn(1, move || {
        items.get();
        items.get();
    });
    let one = sim::spawn(2, move || items.get());
    for _ in 0..3 {
        items.put();
    }
    sim::join(two);
    sim::join(one);
}

/// One gets two items while another prepares to wait and goes its way, having found what it wanted elsewhere.
pub(super) fn two_items_and_a_passer_by() {
    let items = items();
    let putter = sim::spawn(1, move || {
        items.put();
        items.put();
    });
    let passer_by = sim::spawn(2, move || {
        items.event_count().prepare_wait();
    });
    items.get();
    items.get();
    sim::join(putter);
    sim::join(passer_by);
}

pub fn nobody_sleeps_while_there_is_one() {
    check("event count, one item", 5, one_and_one);
    check("event count, one item from another processor", 4, one_and_one_apart);
    check("event count, two items and a passer-by", 4, two_items_and_a_passer_by);
    check("event count, three items for two", 2, three_items);
}
