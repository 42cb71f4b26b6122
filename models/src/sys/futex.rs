//! A futex: a table of those who sleep.
//!
//! The kernel checks the word and enters the sleeper under one lock, which a waker takes too. Here both begin with a
//! read-modify-write of the word that changes nothing, and loom switches threads only before such an access: check and entry
//! are one step, a wake is another, and loom knows that their order matters. The read-modify-write is relaxed, so it hides no
//! missing ordering. To loom a plain store and a read-modify-write beside it have no order; so a store that is not relaxed, to a
//! word of the size that the kernel looks at, is a swap (`sys::atomic`). A wake orders what the waker did before what the woken
//! one does, as the kernel's lock does.
//!
//! Sleepers are woken in the order in which they came. A sleep on one word that ends by time ends when somebody changes the word;
//! one on several lets others run first.

use crate::sim;
use crate::sys::atomic::{AtomicU32, AtomicU64};
use crate::sys::clock::Deadline;
use std::cell::{Cell, RefCell};
use std::rc::Rc;

struct Sleeper {
    words: Vec<*const AtomicU32>,
    number: usize,
    thread: loom::thread::Thread,
    awake: Rc<Cell<bool>>,
    /// When the sleep ends by time, if it does.
    ends: Option<u64>,
}

std::thread_local! {
    static TABLE: RefCell<Vec<Sleeper>> = const { RefCell::new(Vec::new()) };
}

/// A thread that is dead sleeps no more.
pub(crate) fn forget(number: usize) {
    TABLE.with_borrow_mut(|table| table.retain(|sleeper| sleeper.number != number));
}

pub(crate) fn begin() {
    // Handles of a failed execution must not be dropped outside of it.
    TABLE.with_borrow_mut(|table| table.drain(..).for_each(core::mem::forget));
}

pub(crate) fn wait(word: &AtomicU32, expected: u32, until: Deadline) {
    match until.moment() {
        None => wait_any(&[(word, expected)], until),
        Some(at) => nap(word, expected, at),
    }
}

/// A sleep with an end: it takes wakes like any other until then. Its end comes with the next change of the word: one that
/// came earlier would find what this one found, and two who look again and again would be all that loom runs.
fn nap(word: &AtomicU32, expected: u32, at: u64) {
    if peek(word) != expected {
        return;
    }
    let awake = Rc::new(Cell::new(false));
    enter(vec![core::ptr::from_ref(word)], &awake);
    TABLE.with_borrow_mut(|table| table.last_mut().expect("just entered").ends = Some(at));
    sim::asleep();
    while !awake.get() {
        sim::step(loom::thread::park);
    }
}

/// Somebody has changed the word: sleeps on it with an end are over.
pub(crate) fn changed(word: *const u8) {
    TABLE.with_borrow_mut(|table| {
        for sleeper in table.extract_if(.., |sleeper| {
            sleeper.ends.is_some() && sleeper.words.iter().any(|&it| it.cast() == word)
        }) {
            if let Some(at) = sleeper.ends {
                sim::wait_until(at);
            }
            sleeper.awake.set(true);
            sleeper.thread.unpark();
        }
    });
}

pub(crate) fn wait_any(words: &[(&AtomicU32, u32)], until: Deadline) {
    if let Some(at) = until.moment() {
        // A short sleep: others run, then its time has come.
        sim::step(loom::thread::yield_now);
        sim::wait_until(at);
        return;
    }
    let awake = Rc::new(Cell::new(false));
    // Entered before the check, word by word; between the last check and the sleep nothing can come.
    let mut entered = Vec::new();
    for (word, expected) in words {
        if peek(word) != *expected || awake.get() {
            leave(&awake);
            return;
        }
        entered.push(core::ptr::from_ref(*word));
        leave(&awake);
        enter(entered.clone(), &awake);
    }
    sim::asleep();
    while !awake.get() {
        sim::step(loom::thread::park);
    }
}

fn enter(words: Vec<*const AtomicU32>, awake: &Rc<Cell<bool>>) {
    TABLE.with_borrow_mut(|table| {
        table.push(Sleeper {
            words,
            number: sim::current(),
            thread: loom::thread::current(),
            awake: awake.clone(),
            ends: None,
        });
    });
}

/// What the word holds now. It may be the low half of one of 64 bits.
fn peek(word: &AtomicU32) -> u32 {
    // SAFETY: all atomics have one form.
    unsafe { AtomicU64::from_ptr(word.as_ptr().cast()) }.peek() as u32
}

/// No longer asleep.
fn leave(awake: &Rc<Cell<bool>>) {
    TABLE.with_borrow_mut(|table| table.retain(|sleeper| !Rc::ptr_eq(&sleeper.awake, awake)));
}

pub(crate) fn wake(word: &AtomicU32, count: u32) -> u32 {
    peek(word);
    if !sim::is_alive() {
        return 0;
    }
    let mut woken = 0;
    TABLE.with_borrow_mut(|table| {
        while woken < count {
            let at = table
                .iter()
                .position(|sleeper| sleeper.words.iter().any(|&w| w == core::ptr::from_ref(word)));
            let Some(at) = at else { break };
            let sleeper = table.remove(at);
            sleeper.awake.set(true);
            sleeper.thread.unpark();
            woken += 1;
        }
    });
    woken
}

pub(crate) fn wake_all(word: &AtomicU32) -> u32 {
    wake(word, u32::MAX)
}

pub(crate) fn has_wait_any() -> bool {
    true
}
