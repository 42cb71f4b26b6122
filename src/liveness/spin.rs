//! Polling before sleeping: how long a `pause` takes on this machine, and in what rhythm each kind of wait polls.
//!
//! A sleep avoided is worth some twenty transfers of a cache line. The same polling on a machine with one processor only keeps
//! the other side from running. So nothing polls there.
//!
//! # Measured
//!
//! A `pause` takes between 3 and some 60 ns by processor, so it is measured when a world is made. Polling a held lock every 10
//! `pause`s allowed 22 million locks a second between two processes, every 250 ns 32 to 37, every microsecond 52: faster polling
//! takes the line from the holder. Two that hand something to and fro are quick: polling shortly at first takes 150 ns a turn
//! instead of 400.

use crate::sys::atomic::spin_loop;
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

/// In what rhythm a wait polls.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Rhythm {
    /// A lock: 8 polls, 250 ns apart at first and then 1 us.
    Lock,
    /// A lock for short sections: 8 polls, 250 ns apart.
    Section,
    /// An event or a permit: 8 quick polls, then 20 that are 250 ns apart.
    Signal,
    /// Messages: as quickly as pausing allows for about 5 us, then 4 polls after giving the processor away.
    Stream,
}

/// Processor time given away at the end of [`Rhythm::Stream`].
const YIELDS: u32 = 4;

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
            Rhythm::Stream => 20 * pauses.shorts_in_quarter() + YIELDS,
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
            Rhythm::Stream if self.polls + YIELDS < self.most => self.pauses.pause_shortly(),
            Rhythm::Stream => thread::yield_now(),
        }
        self.polls += 1;
        true
    }

    /// How often it has polled.
    pub(crate) fn polls(&self) -> u32 {
        self.polls
    }

    /// Whether it has given the processor away, which is another thing than polling.
    pub(crate) fn has_yielded(&self) -> bool {
        self.rhythm == Rhythm::Stream && self.polls + YIELDS > self.most
    }

    /// Begins anew after a sleep.
    pub(crate) fn reset(&mut self) {
        self.polls = 0;
    }
}
