//! Switches for this crate's own harness; not part of the public surface.
//!
//! They act on the calling process alone and are read on slow paths only.

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

static SLICES: AtomicBool = AtomicBool::new(true);
static SPIN: AtomicBool = AtomicBool::new(true);
static POLLING: AtomicBool = AtomicBool::new(false);
static BROKEN: AtomicU32 = AtomicU32::new(0);

/// A protocol broken on purpose, which the harness must catch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Broken {
    /// Unlocking a contended lock forgets that others sleep.
    UnlockStoresZero = 1,
    /// The keeper sees deaths and tells nobody.
    NoAlarm = 2,
    /// `put` never wakes a sleeping getter.
    NoWakeOnPut = 3,
    /// The keeper does not ring again when the last thread of a dead process is marked.
    NoSecondAlarm = 4,
    /// The keeper takes a slot that has another owner by now for one that lived on.
    NoReuseCheck = 5,
    /// The keeper rings once and does not ask who has heard it.
    NoRepeat = 6,
    /// Telling news clears the sleepers' bit and leaves the count as it was.
    NewsWithoutCount = 7,
    /// Nobody asks the system for threads that the kernel left unmarked.
    NoVanishedLook = 8,
    /// A process is taken for gone as soon as its keeper is.
    GoneAtKeeper = 9,
    /// The keeper does not look for news that came without a wake.
    NoNewsLook = 10,
}

/// Whether waits for a lock look again every 50 ms.
pub fn set_slices(on: bool) {
    SLICES.store(on, Ordering::Relaxed);
}

/// Whether waits spin before they sleep.
pub fn set_spin(on: bool) {
    SPIN.store(on, Ordering::Relaxed);
}

/// Whether to do as if the kernel had neither robust lists nor `futex_waitv`; before the first use of anything shared.
pub fn set_polling(on: bool) {
    POLLING.store(on, Ordering::Relaxed);
}

/// Breaks one protocol in this process, or mends all.
pub fn set_broken(broken: Option<Broken>) {
    BROKEN.store(broken.map_or(0, |broken| broken as u32), Ordering::Relaxed);
}

pub(crate) fn slices() -> bool {
    SLICES.load(Ordering::Relaxed)
}

pub(crate) fn spin() -> bool {
    SPIN.load(Ordering::Relaxed)
}

pub(crate) fn polling() -> bool {
    POLLING.load(Ordering::Relaxed)
}

pub(crate) fn is_broken(broken: Broken) -> bool {
    BROKEN.load(Ordering::Relaxed) == broken as u32
}
