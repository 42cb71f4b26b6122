//! How an end waits for the other one: it spins where that pays, then it sleeps.
//!
//! # Spinning
//!
//! - Spinning is pointless where the other end was last seen on the very processor of this one: then the processor is given
//!   away, and the other end gets its turn ([`GiveWay`]).
//! - It is pointless as well where it has not helped several times in a row: then it is tried only now and then, and longer.
//! - When each message comes just as the receiver polls for one, both sides pay for each cache line twice. Then the receiver
//!   holds off for 2 us, and takes what has gathered meanwhile in one go. The same goes for a sender at a full pipe.
//! - When question and answer go to and fro, nothing gathers. Then holding off is off, twice as long each time, and the
//!   receiver first polls some times without any pause between.
//!
//! # Sleeping
//!
//! 1. The end that waits prepares the event count: WAITERS is on.
//! 2. It passes a *heavy* barrier, for itself and for the other side ([`crate::sys::barrier`]).
//! 3. It checks the truth: a header, or a head.
//! 4. It sleeps on the exact value that it prepared; before that, with its address published, it checks once more whether the
//!    other end is there ([`crate::liveness`]).
//!
//! The other end changes the truth, passes a *light* barrier, and loads the event count. With WAITERS it counts up and wakes.
//! The two barriers together are full on both sides: either the sleeper sees the change, or the other end sees WAITERS. So
//! a message to an end that does not sleep costs neither a system call nor a barrier instruction.

use super::layout::{Control, Side};
use super::store::{RECEIVER, SENDER, Store};
use crate::error::{Error, ErrorKind, Result};
use crate::liveness::GiveWay;
use crate::sys::atomic::{AtomicU64, Ordering, spin_loop};
use crate::sys::clock::Deadline;
use crate::sys::{barrier, thread};

/// Polls as fast as pausing allows, for about 5 us: so many times 250 ns.
const SPINS: u32 = 20;
/// Spins in vain after which spinning is tried only now and then; how seldom, and how much longer: an end that sleeps takes its
/// time to wake up and answer, and both would go on sleeping for each other for ever.
const VAIN: u32 = 8;
const SELDOM: u32 = 8;
const LONGER: u32 = 4;
/// Waits in a row that ended soon, and call for holding off; how soon, in parts of 250 ns.
const QUICK: u32 = 4;
const SOON: u32 = 2;
/// Holding off takes 250 ns times two to the power of this: 2 us.
const HOLD_OFF: u32 = 3;
/// Fewer messages after holding off are not worth it. Then it is off for so many waits, twice as many each time.
const WORTH: u32 = 4;
const LEAST_OFF: u32 = 32;
const MOST_OFF: u32 = 1 << 14;
/// Polls without a pause, where question and answer go to and fro.
const GLANCES: u32 = 200;

/// What an end remembers of its waits.
#[derive(Default)]
pub(super) struct Pace {
    /// Spins in vain in a row.
    vain: u32,
    /// Waits in a row that ended soon.
    quick: u32,
    /// Waits for which holding off is off, and how long it was off the last time.
    off: u32,
    was_off: u32,
    /// The count of records when it last held off.
    held_at: Option<u32>,
    give_way: GiveWay,
    /// By so many times 250 ns what is waited for takes longer than usual, says the caller.
    pub(super) longer: u32,
}

/// What an end waits for.
pub(super) struct Wanted<'a, F, G> {
    /// Which end waits.
    pub(super) role: u32,
    /// The word that changes, and what it held.
    pub(super) truth: (&'static AtomicU64, u64),
    /// The word that changes when an end leaves, and what it held.
    pub(super) departures: (&'static AtomicU64, u64),
    /// How many records have passed so far.
    pub(super) count: u32,
    /// Whether it is there.
    pub(super) is_there: F,
    /// Whether it cannot come any more.
    pub(super) is_hopeless: G,
    pub(super) store: &'a Store,
}

/// The line that the end with this role writes.
#[inline]
fn side(control: &'static Control, role: u32) -> &'static Side {
    if role == SENDER { &control.sender } else { &control.receiver }
}

/// Notes where the calling thread runs.
pub(super) fn note_processor(control: &Control, role: u32) -> u32 {
    let here = thread::processor().map_or(0, |processor| processor + 1);
    let ours = &control.processors[usize::from(role != SENDER)];
    // The line is read by both for every message: it is written only when something changes.
    if ours.load(Ordering::Relaxed) != here {
        ours.store(here, Ordering::Relaxed);
    }
    here
}

/// Notes where the calling thread runs; whether that is where the other side was last.
fn is_together(control: &Control, role: u32) -> bool {
    let here = note_processor(control, role);
    here != 0 && control.processors[usize::from(role == SENDER)].load(Ordering::Relaxed) == here
}

/// Wakes the other side if it sleeps on this side's event count; after this side has changed the truth.
#[inline]
pub(super) fn notify(control: &'static Control, role: u32) {
    barrier::light();
    let ours = side(control, role);
    if ours.events.has_waiters() {
        note_processor(control, role);
        ours.events.notify_slow(1);
    }
}

impl Pace {
    /// Waits until it may be there, or hopeless, or time is over.
    pub(super) fn wait<F: Fn() -> bool, G: Fn() -> bool>(
        &mut self,
        wanted: &Wanted<'_, F, G>,
        until: Deadline,
    ) -> Result<()> {
        let is_together = is_together(wanted.store.control, wanted.role);
        if !is_together && wanted.store.pauses().helps() && self.spin(wanted) {
            return Ok(());
        }
        if self.give_way.wait(1, wanted.count, || !(wanted.is_there)()) {
            return Ok(());
        }
        self.sleep(wanted, until)
    }

    /// Polls some more times without any pause between, where nothing gathers by holding off.
    #[inline]
    pub(super) fn glance(&mut self, is_there: impl Fn() -> bool) {
        if self.off == 0 {
            return;
        }
        for _ in 0..GLANCES {
            if is_there() {
                self.off -= 1;
                return;
            }
            spin_loop();
        }
    }

    fn sleep<F: Fn() -> bool, G: Fn() -> bool>(
        &mut self,
        wanted: &Wanted<'_, F, G>,
        until: Deadline,
    ) -> Result<()> {
        wanted.store.prepare_to_sleep()?;
        let theirs = if wanted.role == SENDER { RECEIVER } else { SENDER };
        let events = &side(wanted.store.control, theirs).events;
        let (prepared, at_most) = events.prepare_wait_heavy(until);
        if (wanted.is_there)() {
            return Ok(());
        }
        if until.is_over() {
            return Err(Error::simple(ErrorKind::Timeout));
        }
        let check = || !(wanted.is_there)() && !(wanted.is_hopeless)();
        wanted.store.sleep(events, prepared, [wanted.truth, wanted.departures], at_most, check);
        note_processor(wanted.store.control, wanted.role);
        Ok(())
    }

    /// Spins for some microseconds; whether it has come.
    #[inline]
    fn spin<F: Fn() -> bool, G>(&mut self, wanted: &Wanted<'_, F, G>) -> bool {
        let mut spins = SPINS + self.longer;
        if self.vain >= VAIN {
            if !self.vain.is_multiple_of(SELDOM) {
                self.vain += 1;
                return false;
            }
            spins *= LONGER;
        }
        let pauses = wanted.store.pauses();
        let holds_off = self.quick >= QUICK && self.holds_off(wanted.count);
        if holds_off {
            pauses.pause(HOLD_OFF);
        }
        let polls = pauses.shorts_in_quarter();
        for poll in 0..spins * polls {
            if (wanted.is_there)() {
                self.vain = 0;
                if !holds_off {
                    self.quick = if poll <= SOON * polls { self.quick + 1 } else { 0 };
                }
                return true;
            }
            pauses.pause_shortly();
        }
        // Back to a multiple of SELDOM before it overflows.
        self.vain = if self.vain > u32::MAX / 2 { VAIN } else { self.vain + 1 };
        self.quick = 0;
        false
    }

    /// Whether to let messages, or room, gather first.
    fn holds_off(&mut self, count: u32) -> bool {
        if self.off > 0 {
            self.off -= 1;
            return false;
        }
        match self.held_at.replace(count) {
            Some(held_at) if count.wrapping_sub(held_at) < WORTH => {
                // As when question and answer go to and fro: nothing gathers.
                self.off = (self.was_off * 2).clamp(LEAST_OFF, MOST_OFF);
                self.was_off = self.off;
                self.held_at = None;
                false
            }
            Some(_) => {
                self.was_off = 0;
                true
            }
            None => true,
        }
    }
}
