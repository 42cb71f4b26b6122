//! News by itself: the word below is the truth, and those who find nothing there sleep.

use super::check;
use crate::sim;
use crate::sys::atomic::{AtomicU32, Ordering};
use crate::sys::clock::Deadline;
use crate::sys::futex;
use crate::world::news::News;

struct Items {
    count: AtomicU32,
    news: AtomicU32,
}

fn items() -> &'static Items {
    sim::keep(Items { count: AtomicU32::new(0), news: AtomicU32::new(0) })
}

impl Items {
    fn news(&self) -> &News {
        // SAFETY: News is this one word.
        unsafe { &*core::ptr::from_ref(&self.news).cast::<News>() }
    }

    fn put(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.news().tell();
    }

    fn take_one(&self) -> bool {
        let less = |count: u32| count.checked_sub(1);
        self.count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }

    fn get(&self) {
        while !self.take_one() {
            let armed = self.news().arm();
            if self.count.load(Ordering::Relaxed) == 0 {
                futex::wait(self.news().word(), armed, Deadline::NEVER);
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

/// One gets two items while another arms the word and goes its way, having found what it wanted elsewhere.
pub(super) fn two_items_and_a_passer_by() {
    let items = items();
    let putter = sim::spawn(1, move || {
        items.put();
        items.put();
    });
    let passer_by = sim::spawn(2, move || {
        items.news().arm();
    });
    items.get();
    items.get();
    sim::join(putter);
    sim::join(passer_by);
}

pub fn nobody_sleeps_while_there_is_one() {
    check("news, one item", 5, one_and_one);
    check("news, two items and a passer-by", 4, two_items_and_a_passer_by);
    check("news, three items for two", 2, three_items);
}
