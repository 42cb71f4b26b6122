//! Sleeping so that no death goes unseen: the private table of every thread that may sleep.
//!
//! # Protocol
//!
//! Each process has a private *epoch*, which its keeper raises after any death in the world, and a table of its threads. A
//! sleeper
//!
//! 1. publishes the address of the word on which it will sleep;
//! 2. loads the epoch and acknowledges it;
//! 3. checks whatever a death could have changed (an owner, the ends of a queue);
//! 4. sleeps, if the check found nothing, while the word has the expected value;
//! 5. withdraws the address.
//!
//! The keeper raises the epoch, then wakes every published word whose thread has not acknowledged it, again and again.
//! Steps 1 and 2 and the keeper's two are `SeqCst`: either the keeper sees the address and rings until the thread has been
//! through step 3 once more, or the thread loads the new epoch and checks after the death.
//!
//! A sleep may stand inside another one of its thread: in a signal handler (an `Event`), or in a check that takes a lock. The
//! inner sleep acknowledges nothing, since it does not make the outer check, and puts the outer address back. So the keeper goes
//! on ringing until the outer sleep has checked.
//!
//! # If a process dies
//!
//! The table is private: it goes with its process, at whatever step, and nobody else knew of it.
//!
//! # Fork
//!
//! The table is wiped in a forked child: its threads find no id there, and attach anew.

#![allow(unsafe_code, reason = "the table lives in a private mapping that fork wipes")]

use crate::error::{Error, ErrorKind, Result};
use crate::liveness::registry::Registry;
use crate::liveness::slot::Id;
use crate::sys::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering, fence};
use crate::sys::clock::Deadline;
use crate::sys::{futex, per_process};
use crate::testing;
use std::time::Duration;

/// How often a wait for something that is handed from one to the next checks again, in case the one who was woken for it
/// is stopped.
pub(crate) const SLICE: Duration = Duration::from_millis(50);
/// How many threads of one process can use a world.
const THREADS: usize = 3072;

/// What a sleeper waits for.
#[derive(Clone, Copy)]
pub(crate) enum Wait {
    /// Something that one waiter takes and passes on, such as a lock. The sleeper checks again in slices.
    Baton,
    /// Something that happens, such as an event or a message. The sleep has no slices. The sleeper's keeper checks once a
    /// second whether the word, or one of the truths for which it stands, is no longer what the sleeper saw.
    Change([Option<Truth>; 2]),
}

/// A word, and what it was when the sleeper checked it.
pub(crate) type Truth = (&'static AtomicU64, u64);

/// A thread of this process, as its keeper sees it.
#[repr(C, align(64))]
pub(crate) struct Sleeper {
    /// The thread's id. 0: the entry is nobody's.
    pub(crate) id: AtomicU32,
    acknowledged: AtomicU32,
    /// The word on which this thread sleeps, or is about to.
    address: AtomicPtr<AtomicU32>,
    expected: AtomicU32,
    /// 1 while the thread waits for a change, 0 for a baton.
    for_change: AtomicU32,
    /// What the word stands for, and what that was when the thread checked.
    truths: [AtomicPtr<AtomicU64>; 2],
    seen: [AtomicU64; 2],
    /// Which view of the world the thread has joined; null after a fork, like everything here. Only compared.
    pub(crate) view: AtomicPtr<u8>,
}

/// The private table of one process's threads, wiped by fork.
#[repr(C, align(64))]
pub(crate) struct Sleepers {
    /// 1 in the process whose table it is; 0 after a fork, until `inherit`.
    alive: AtomicU32,
    /// The alarm epoch.
    epoch: AtomicU32,
    /// One more than the highest entry ever used.
    used: AtomicU32,
    list: [Sleeper; THREADS],
}

impl Sleepers {
    pub(crate) fn new() -> Result<&'static Sleepers> {
        let memory = per_process::wiped_on_fork(size_of::<Sleepers>()).map_err(|e| {
            Error::os("cannot prepare memory that fork wipes (Linux 4.14 or later)", e)
        })?;
        // SAFETY:
        // - the memory begins at a cache line, as the table does, is as large, private and never unmapped;
        // - zero, which it holds now and again after a fork, is a value of every field; all fields are atomics.
        let sleepers: &'static Sleepers = unsafe { &*memory.cast::<Sleepers>() };
        // ORDERING(table alive): Release, pairs with the Acquire in `is_alive`; nothing is written before it but zeroes.
        sleepers.alive.store(1, Ordering::Release);
        Ok(sleepers)
    }

    /// Makes the table, which fork has wiped, this process's: it was forked by the one that made the table, which had not used it.
    pub(crate) fn inherit(&self) {
        // ORDERING(table alive): Release, as in `new`.
        self.alive.store(1, Ordering::Release);
    }

    /// False in a child that was forked since, and did not inherit it.
    pub(crate) fn is_alive(&self) -> bool {
        // ORDERING(table alive): Acquire, pairs with the Release in `new` and `inherit`.
        self.alive.load(Ordering::Acquire) == 1
    }

    /// The word that is 1 in this process and 0 in a child that was forked since, and the alarm epoch.
    pub(crate) fn words(&self) -> [&AtomicU32; 2] {
        [&self.alive, &self.epoch]
    }

    fn used(&self) -> &[Sleeper] {
        &self.list[..(self.used.load(Ordering::SeqCst) as usize).min(THREADS)]
    }

    /// Takes an entry for the thread `id`.
    pub(crate) fn take(&self, id: Id, registry: &Registry) -> Result<&Sleeper> {
        for (index, sleeper) in self.list.iter().enumerate() {
            let old = sleeper.id.load(Ordering::Relaxed);
            let free = Id::from_bits(old).is_none_or(|owner| registry.is_dead(owner));
            let taken = free
                && sleeper
                    .id
                    .compare_exchange(old, id.to_bits(), Ordering::AcqRel, Ordering::Relaxed)
                    .is_ok();
            if taken {
                sleeper.address.store(core::ptr::null_mut(), Ordering::SeqCst);
                self.used.fetch_max(index as u32 + 1, Ordering::SeqCst);
                return Ok(sleeper);
            }
        }
        Err(Error::of(
            ErrorKind::Limit,
            format!("more than {THREADS} threads of one process use shared objects"),
        ))
    }

    #[inline]
    pub(crate) fn epoch(&self) -> u32 {
        self.epoch.load(Ordering::Relaxed)
    }

    /// A death was seen: everyone who sleeps has to check again.
    pub(crate) fn raise(&self) {
        // ORDERING(alarm): SeqCst, with the publication and the load in `sleep`; see the protocol.
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }

    /// Wakes every sleeper that has not acknowledged the epoch; whether there was one.
    pub(crate) fn ring(&self) -> bool {
        // ORDERING(alarm): SeqCst, here and below, with the publication in `sleep`.
        let epoch = self.epoch.load(Ordering::SeqCst);
        let mut any = false;
        for sleeper in self.used() {
            if let Some(word) = sleeper.word()
                && sleeper.acknowledged.load(Ordering::SeqCst) != epoch
            {
                any = true;
                futex::wake_all(word);
            }
        }
        any
    }

    /// Wakes those who wait for a change that came without a wake: whoever made it was stopped or killed before it.
    pub(crate) fn ring_for_missed_changes(&self) {
        for sleeper in self.used() {
            let Some(word) = sleeper.word() else { continue };
            if sleeper.for_change.load(Ordering::Relaxed) == 0 {
                continue;
            }
            let is_missed = word.load(Ordering::Relaxed)
                != sleeper.expected.load(Ordering::Relaxed)
                || (0..2).any(|which| sleeper.truth_changed(which));
            if is_missed {
                futex::wake_all(word);
            }
        }
    }

    /// Sleeps while `*word == expected`; see the protocol. `check` says whether sleeping still makes sense. Returns for any
    /// reason. A thread without an entry is woken by nobody's alarm and sleeps in slices.
    pub(crate) fn sleep(
        &self,
        sleeper: Option<&Sleeper>,
        word: &'static AtomicU32,
        expected: u32,
        until: Deadline,
        wait: Wait,
        check: impl FnOnce() -> bool,
    ) {
        let Some(sleeper) = sleeper else {
            if check() {
                futex::wait(word, expected, until.earlier(Deadline::after(SLICE)));
            }
            return;
        };
        let outer = sleeper.address.load(Ordering::Relaxed);
        let before = Sleep::of(sleeper);
        Sleep::new(expected, wait).write(sleeper);
        // ORDERING(alarm): SeqCst, with the keeper's `raise` and its load of the address in `ring`.
        sleeper.address.store(core::ptr::from_ref(word).cast_mut(), Ordering::SeqCst);
        fence(Ordering::SeqCst);
        let epoch = self.epoch.load(Ordering::SeqCst);
        if outer.is_null() {
            sleeper.acknowledged.store(epoch, Ordering::SeqCst);
        }
        if check() {
            let slice = match wait {
                Wait::Baton if testing::slices() => Deadline::after(SLICE),
                _ => Deadline::NEVER,
            };
            futex::wait(word, expected, until.earlier(slice));
        }
        before.write(sleeper);
        sleeper.address.store(outer, Ordering::SeqCst);
    }
}

impl Sleeper {
    /// Whether one of the truths is no longer what the thread saw.
    fn truth_changed(&self, which: usize) -> bool {
        // ORDERING(truth): Acquire, pairs with the Release in `Sleep::write`; the value seen before the address.
        let truth = self.truths[which].load(Ordering::Acquire);
        // SAFETY: null, or a word of a segment, which is never unmapped; whatever a peer writes there is a value.
        let truth = unsafe { truth.as_ref() };
        truth.is_some_and(|truth| {
            truth.load(Ordering::Relaxed) != self.seen[which].load(Ordering::Relaxed)
        })
    }

    /// The word on which the thread sleeps, or is about to.
    fn word(&self) -> Option<&'static AtomicU32> {
        let address = self.address.load(Ordering::SeqCst);
        // SAFETY: null, or a word of a segment, which is never unmapped; whatever a peer writes there is a value.
        unsafe { address.as_ref() }
    }
}

/// What an entry says of a sleep, beside the address.
struct Sleep {
    expected: u32,
    for_change: u32,
    truths: [(*mut AtomicU64, u64); 2],
}

impl Sleep {
    fn new(expected: u32, wait: Wait) -> Sleep {
        let (for_change, truths) = match wait {
            Wait::Baton => (0, [None; 2]),
            Wait::Change(truths) => (1, truths),
        };
        let truths = truths.map(|truth| {
            truth.map_or((core::ptr::null_mut(), 0), |(word, seen)| {
                (core::ptr::from_ref(word).cast_mut(), seen)
            })
        });
        Sleep { expected, for_change, truths }
    }

    fn of(sleeper: &Sleeper) -> Sleep {
        let truth = |which: usize| {
            let word = sleeper.truths[which].load(Ordering::Relaxed);
            (word, sleeper.seen[which].load(Ordering::Relaxed))
        };
        Sleep {
            expected: sleeper.expected.load(Ordering::Relaxed),
            for_change: sleeper.for_change.load(Ordering::Relaxed),
            truths: [truth(0), truth(1)],
        }
    }

    fn write(&self, sleeper: &Sleeper) {
        sleeper.expected.store(self.expected, Ordering::Relaxed);
        sleeper.for_change.store(self.for_change, Ordering::Relaxed);
        for (which, (word, seen)) in self.truths.into_iter().enumerate() {
            sleeper.seen[which].store(seen, Ordering::Relaxed);
            // ORDERING(truth): Release, pairs with the Acquire in `truth_changed`.
            sleeper.truths[which].store(word, Ordering::Release);
        }
    }
}
