//! An outcome: whoever finds a state finds what belongs to it, while the child still runs and after it died at any step.

use super::{check, check_deaths};
use crate::raw::outcome::{Outcome, OutcomeWords};
use crate::sim;
use crate::sys::atomic::AtomicU64;
use crate::world;
use core::cell::Cell;
use loom::cell::UnsafeCell;

const RETURNED: u64 = 2;
const LEFT: Outcome = Outcome { state: RETURNED, len: 5, place: 7 };

struct Call {
    words: [AtomicU64; 3],
    bytes: UnsafeCell<u64>,
}

impl Call {
    fn new() -> &'static Call {
        let words = core::array::from_fn(|_| AtomicU64::new(0));
        sim::keep(Call { words, bytes: UnsafeCell::new(0) })
    }

    fn outcome(&'static self) -> &'static OutcomeWords {
        // SAFETY: these are three words.
        unsafe { &*core::ptr::from_ref(&self.words).cast::<OutcomeWords>() }
    }

    /// The child's.
    fn leave(&'static self) {
        self.outcome().note(1);
        sim::step(|| {
            // SAFETY: loom finds out whether anybody reads meanwhile.
            self.bytes.with_mut(|bytes| unsafe { *bytes = LEFT.len });
        });
        self.outcome().publish(LEFT);
    }

    /// Whoever looks; whether something was left.
    fn look(&'static self) -> bool {
        let found = self.outcome().read();
        if found.state != RETURNED {
            return false;
        }
        assert_eq!(found, LEFT);
        // SAFETY: as above.
        assert_eq!(self.bytes.with(|bytes| unsafe { *bytes }), LEFT.len);
        true
    }
}

/// A sweep looks while the child leaves its outcome.
pub(super) fn looked_at_meanwhile() {
    let _worlds = world::make(&[&[0, 1]]);
    let call = Call::new();
    let child = sim::spawn(1, move || call.leave());
    call.look();
    call.look();
    sim::join(child);
    assert!(call.look());
}

pub fn a_state_comes_with_what_belongs_to_it() {
    check("outcome, looked at meanwhile", 3, looked_at_meanwhile);
}

/// The child dies at any step; then the parent looks.
pub(super) fn child_dies(steps: u32) -> bool {
    let _worlds = world::make(&[&[0], &[1]]);
    let call = Call::new();
    let died = sim::keep(Cell::new(false));
    let child = sim::spawn(1, move || died.set(sim::dying_at(steps, || call.leave())));
    call.look();
    sim::join(child);
    let is_left = call.look();
    assert!(is_left || died.get(), "a child that lived left nothing");
    died.get()
}

pub fn a_child_that_dies_leaves_all_or_nothing() {
    check_deaths("outcome, the child dies", 2, child_dies);
}
