//! A futex: a table of those who sleep.
//!
//! The kernel checks the word and enters the sleeper under one lock, which a waker takes too. Here both begin with a
//! read-modify-write of the word that changes nothing, and loom switches threads only before such an access: check and entry
//! are one step, a wake is another, and loom knows that their order matters. The read-modify-write is relaxed, so it hides no
//! missing ordering (but a word that threads sleep on must be changed by such accesses alone, as all those of the package
//! are: loom would let a check read what was there before a plain store); a wake orders what the waker did before what the woken one does, as the kernel's lock does.
//!
//! Sleepers are woken in the order in which they came. A sleep ends by time only if nothing else can run.

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
}

thread_local! {
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
    wait_any(&[(word, expected)], until);
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
        TABLE.with_borrow_mut(|table| {
            table.push(Sleeper {
                words: entered.clone(),
                number: sim::current(),
                thread: loom::thread::current(),
                awake: awake.clone(),
            });
        });
    }
    while !awake.get() {
        sim::step(loom::thread::park);
    }
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
