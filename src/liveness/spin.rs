//! Polling before sleeping: how long a `pause` takes on this machine, and in what rhythm each kind of wait polls.
//!
//! A sleep avoided is worth some twenty transfers of a cache line. The same polling on a machine with one processor only keeps
//! the other side from running. So nothing polls there. Nor is there a poll where the one that is waited for was last seen on the
//! processor of the waiter ([`Spot`](crate::liveness::Spot)). Those who wait for a lock do not ask: its holder is on their processor
//! only if it lost it under the lock, which is rare. Nor do those who wait for a permit that somebody holds: the last to wake others
//! may have been themselves.
//!
//! # Measured
//!
//! A `pause` takes between 3 and some 60 ns by processor, so it is measured when a world is made. Polling a held lock every 10
//! `pause`s allowed 22 million locks a second between two processes, every 250 ns 32 to 37, every microsecond 52: faster polling
//! takes the line from the holder. Two that hand something to and fro are quick: polling shortly at first takes 150 ns a turn
//! instead of 400.

use crate::sys::atomic::{AtomicU32, Ordering, spin_loop};
use crate::sys::{clock, thread};
use crate::testing;

/// A `pause` of one nanosecond would be the shortest.
const MOST_PAUSES: u32 = 250;

/// What spinning is like on this machine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pauses {
    /// Whether another processor may be doing what is waited for.
    several: bool,
    /// How many `pause` instructions take about 250 ns.
    quarter: u32,
}

impl Pauses {
    /// Asks the machine.
    pub(crate) fn measure() -> Pauses {
        const SAMPLE: u64 = 200;
        let best = (0..3)
            .map(|_| {
                let start = clock::now();
                for _ in 0..SAMPLE {
                    spin_loop();
                }
                clock::now() - start
            })
            .min()
            .unwrap_or(0);
        let several = std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1);
        Pauses::new(several, (250 * SAMPLE / best.max(1)) as u32)
    }

    /// What the creator of the world found out, as it stands in shared memory.
    pub(crate) fn new(several: bool, quarter: u32) -> Pauses {
        Pauses { several, quarter: quarter.clamp(1, MOST_PAUSES) }
    }

    /// The same where nobody else runs meanwhile.
    pub(crate) fn for_one_processor(self) -> Pauses {
        Pauses { several: false, ..self }
    }

    pub(crate) fn several(&self) -> bool {
        self.several
    }

    pub(crate) fn quarter(&self) -> u32 {
        self.quarter
    }

    /// Whether polling can help.
    pub(crate) fn helps(&self) -> bool {
        self.several && testing::spin()
    }

    /// Pauses for about 250 ns times two to the power of `step`.
    pub(crate) fn pause(&self, step: u32) {
        for _ in 0..self.quarter << step {
            spin_loop();
        }
    }

    /// The shortest pause between two polls: about 16 ns, or one `pause` instruction where that takes longer.
    pub(crate) fn pause_shortly(&self) {
        for _ in 0..self.short() {
            spin_loop();
        }
    }

    fn short(&self) -> u32 {
        (self.quarter / 16).max(1)
    }

    /// How many of the shortest pauses take about 250 ns.
    pub(crate) fn shorts_in_quarter(&self) -> u32 {
        (self.quarter / self.short()).max(1)
    }
}

/// Giving the processor away to whoever wants it, before one sleeps. Mostly that is the other side, on the same processor: it comes to an
/// answer without a wake, or messages gather. If it takes long and little gathers, somebody has the processor who has nothing to do with
/// what is waited for, and may keep it for milliseconds, while one that sleeps is woken within microseconds. Then giving way is off for
/// some waits, twice as many each time.
///
/// Hints of one handle; nothing depends on them.
#[derive(Default)]
pub(crate) struct GiveWay {
    off: Off,
    /// The count of messages when it took long the last time; 0: it did not.
    long_at: AtomicU32,
}

/// Longer than this, in nanoseconds, is long.
const LONG: u64 = 50_000;
/// Fewer messages are little.
pub(crate) const WORTH: u32 = 4;

/// For how many waits something is off that was not worth it: twice as many each time.
#[derive(Default)]
pub(crate) struct Off {
    left: AtomicU32,
    /// How many it was the last time.
    before: AtomicU32,
}

impl Off {
    pub(crate) const LEAST: u32 = 32;
    const MOST: u32 = 1 << 14;

    /// Whether it is off for this wait.
    pub(crate) fn is_off(&self) -> bool {
        let left = self.left.load(Ordering::Relaxed);
        self.left.store(left.saturating_sub(1), Ordering::Relaxed);
        left > 0
    }

    /// Begins with the next wait.
    pub(crate) fn begin(&self) {
        let off = (self.before.load(Ordering::Relaxed) * 2).clamp(Off::LEAST, Off::MOST);
        self.before.store(off, Ordering::Relaxed);
        self.left.store(off, Ordering::Relaxed);
    }

    /// The next time is off for this part of the waits of the last time; 0: for the fewest.
    pub(crate) fn shorten(&self, part: u32) {
        let before = self.before.load(Ordering::Relaxed);
        self.before.store(before.checked_div(part).unwrap_or(0), Ordering::Relaxed);
    }
}

impl GiveWay {
    /// Gives way up to so many times while `is_blocked`; whether that has ended. `moved` counts the messages so far.
    pub(crate) fn wait(&self, turns: u32, moved: u32, is_blocked: impl Fn() -> bool) -> bool {
        if !self.is_on(moved) {
            return false;
        }
        let start = clock::now();
        let has_ended = (0..turns).any(|_| {
            thread::yield_now();
            !is_blocked()
        });
        self.note(clock::now() - start > LONG, moved);
        has_ended
    }

    fn is_on(&self, moved: u32) -> bool {
        if self.off.is_off() {
            return false;
        }
        let long_at = self.long_at.load(Ordering::Relaxed);
        let is_worth = long_at == 0 || moved.wrapping_sub(long_at) >= WORTH;
        if !is_worth {
            self.off.begin();
            self.long_at.store(0, Ordering::Relaxed);
        }
        // If it begins, this wait is the first one.
        is_worth || !self.off.is_off()
    }

    fn note(&self, took_long: bool, moved: u32) {
        if !took_long {
            self.off.shorten(2);
        }
        self.long_at.store(if took_long { moved.max(1) } else { 0 }, Ordering::Relaxed);
    }
}

/// In what rhythm a wait polls.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Rhythm {
    /// A lock: 8 polls, 250 ns apart at first and then 1 us.
    Lock,
    /// A lock for short sections: 8 polls, 250 ns apart.
    Section,
    /// An event or a permit: 8 quick polls, then 20 that are 250 ns apart.
    Signal,
    /// Messages: as quickly as pausing allows for about 5 us.
    Stream,
}

/// The polls of one wait.
pub(crate) struct Spin {
    pauses: Pauses,
    rhythm: Rhythm,
    polls: u32,
    most: u32,
}

impl Spin {
    /// Begins a wait. Without another processor there is not a single poll.
    pub(crate) fn new(pauses: Pauses, rhythm: Rhythm) -> Spin {
        let most = match rhythm {
            _ if !pauses.helps() => 0,
            Rhythm::Lock | Rhythm::Section => 8,
            Rhythm::Signal => 28,
            Rhythm::Stream => 20 * pauses.shorts_in_quarter(),
        };
        Spin { pauses, rhythm, polls: 0, most }
    }

    /// Pauses before the next poll; false once it is time to sleep.
    pub(crate) fn poll(&mut self) -> bool {
        if self.polls >= self.most {
            return false;
        }
        match self.rhythm {
            Rhythm::Lock => self.pauses.pause(self.polls.min(2)),
            Rhythm::Signal if self.polls < 8 => self.pauses.pause_shortly(),
            Rhythm::Section | Rhythm::Signal => self.pauses.pause(0),
            Rhythm::Stream => self.pauses.pause_shortly(),
        }
        self.polls += 1;
        true
    }

    /// How often it has polled.
    pub(crate) fn polls(&self) -> u32 {
        self.polls
    }

    /// Begins anew after a sleep.
    pub(crate) fn reset(&mut self) {
        self.polls = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn giving_way_is_off_after_it_took_long_and_little_gathered() {
        let give_way = GiveWay::default();
        for off in [Off::LEAST, 2 * Off::LEAST, 4 * Off::LEAST] {
            assert!(give_way.is_on(10));
            give_way.note(true, 10);
            assert!((0..off).all(|_| !give_way.is_on(10 + WORTH - 1)));
        }
        // Once it was quick.
        give_way.note(false, 10);
        assert!(give_way.is_on(10));
        give_way.note(true, 10);
        assert!((0..4 * Off::LEAST).all(|_| !give_way.is_on(10)));
        assert!(give_way.is_on(10));
    }

    #[test]
    fn giving_way_stays_on_while_much_gathers() {
        let give_way = GiveWay::default();
        for count in (0..100 * WORTH).step_by(WORTH as usize) {
            assert!(give_way.is_on(count + 1));
            give_way.note(true, count + 1);
        }
    }

    #[test]
    fn a_wait_ends_with_what_it_waits_for() {
        let give_way = GiveWay::default();
        let polls = core::cell::Cell::new(0);
        let is_blocked = || {
            polls.set(polls.get() + 1);
            polls.get() < 3
        };
        assert!(give_way.wait(4, 0, is_blocked));
        assert_eq!(polls.get(), 3);
        assert!(!GiveWay::default().wait(4, 0, || true));
    }
}
