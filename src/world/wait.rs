//! Sleeping so that no death goes unseen, and the private record of every thread that may sleep.
//!
//! # Protocol
//!
//! Each process has a private *alarm epoch*, raised by its keeper after any death in the world, and a table of its
//! threads. A sleeper
//!
//! 1. publishes the address of the word it will sleep on;
//! 2. loads the epoch and acknowledges it;
//! 3. looks at whatever a death could have changed (an owner, the ends of a queue);
//! 4. sleeps, if the look found nothing, while the word has the expected value;
//! 5. withdraws the address.
//!
//! The keeper raises the epoch, then wakes every published word whose thread has not acknowledged it, again and again.
//! Steps 1 and 2 and the keeper's two are `SeqCst`: either the keeper sees the address and rings until the thread has been
//! through step 3 once more, or the thread loads the new epoch and looks after the death. So a lost, swallowed or never
//! sent wake costs at most the time to the next alarm, whoever should have sent it died.
//!
//! A sleep may stand inside another of its thread: in a signal handler (an `Event`), or in a look that takes a lock. It
//! acknowledges nothing, since it does not make the outer look, and puts the outer address back; so the keeper goes on
//! ringing until the outer sleep has looked.
//!
//! # Fork
//!
//! The table is wiped in a forked child: its threads find no id there, and attach anew. See [`crate::world`].

#![allow(unsafe_code, reason = "the table lives in a private mapping that fork wipes")]

use crate::error::{Error, ErrorKind, Result};
use crate::sys::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering, fence};
use crate::sys::clock::Deadline;
use crate::sys::{futex, per_process};
use crate::testing;
use crate::world::World;
use crate::world::registry::{Id, Registry};
use core::cell::Cell;
use std::time::Duration;

/// How often a wait for something that is handed from one to the next looks again, in case the one who was woken for it
/// is stopped.
const SLICE: Duration = Duration::from_millis(50);
/// How many threads of one process can use a world.
const THREADS: usize = 3072;

/// What a sleeper waits for.
#[derive(Clone, Copy)]
pub(crate) enum Wait {
    /// Something that one waiter takes and passes on: a lock. Looks again in slices.
    Baton,
    /// Something that happens: an event, a message. Sleeps undisturbed; its keeper looks once a second whether the word, or
    /// the truth that it stands for, is no longer what the sleeper saw.
    News(Option<(&'static AtomicU64, u64)>),
}

/// A thread of this process, as its keeper sees it.
#[repr(C, align(64))]
struct Record {
    /// 0: nobody's.
    id: AtomicU32,
    acknowledged: AtomicU32,
    /// The word this thread sleeps on, or is about to.
    address: AtomicPtr<AtomicU32>,
    expected: AtomicU32,
    /// 1 while it waits for news.
    news: AtomicU32,
    /// What the news are about, and what it was when the thread looked.
    truth: AtomicPtr<AtomicU64>,
    seen: AtomicU64,
    /// This process's view of the world; null after a fork, like everything here.
    world: AtomicPtr<World>,
}

/// The private table of one process's threads, wiped by fork.
#[repr(C, align(64))]
pub(crate) struct Records {
    /// 1 in the process that made the table, 0 in a forked child.
    alive: AtomicU32,
    /// The alarm epoch.
    epoch: AtomicU32,
    /// One more than the highest record ever used.
    used: AtomicU32,
    list: [Record; THREADS],
}

thread_local! {
    static RECORD: Cell<Option<&'static Record>> = const { Cell::new(None) };
}

impl Records {
    pub(crate) fn new() -> Result<&'static Records> {
        let memory = per_process::wiped_on_fork(size_of::<Records>()).map_err(|e| {
            Error::os("cannot prepare memory that fork wipes (Linux 4.14 or later)", e)
        })?;
        // SAFETY:
        // - the mapping is page aligned, as large as Records, private and never unmapped;
        // - zero, which it holds now and again after a fork, is a value of every field; all fields are atomics.
        let records: &'static Records = unsafe { &*memory.cast::<Records>() };
        records.alive.store(1, Ordering::Release);
        Ok(records)
    }

    /// False in a child that was forked since.
    pub(crate) fn is_alive(&self) -> bool {
        self.alive.load(Ordering::Acquire) == 1
    }

    fn used(&self) -> &[Record] {
        &self.list[..(self.used.load(Ordering::SeqCst) as usize).min(THREADS)]
    }

    fn take(&self, id: Id, registry: &Registry) -> Result<&Record> {
        for (index, record) in self.list.iter().enumerate() {
            let old = record.id.load(Ordering::Relaxed);
            let free = Id::from_bits(old).is_none_or(|owner| registry.is_dead(owner));
            let taken = free
                && record
                    .id
                    .compare_exchange(old, id.to_bits(), Ordering::AcqRel, Ordering::Relaxed)
                    .is_ok();
            if taken {
                record.address.store(core::ptr::null_mut(), Ordering::SeqCst);
                self.used.fetch_max(index as u32 + 1, Ordering::SeqCst);
                return Ok(record);
            }
        }
        Err(Error::new(
            ErrorKind::Limit,
            format!("more than {THREADS} threads of one process use shared objects"),
        ))
    }

    pub(crate) fn epoch(&self) -> u32 {
        self.epoch.load(Ordering::Relaxed)
    }

    /// A death was seen: everyone who sleeps has to look again.
    pub(crate) fn raise(&self) {
        // ORDERING(alarm): SeqCst with the sleeper's publication and load; see the protocol.
        self.epoch.fetch_add(1, Ordering::SeqCst);
    }

    /// Wakes every sleeper that has not acknowledged the epoch; whether there was one.
    pub(crate) fn ring(&self) -> bool {
        let epoch = self.epoch.load(Ordering::SeqCst);
        let mut any = false;
        for record in self.used() {
            let address = record.address.load(Ordering::SeqCst);
            if !address.is_null() && record.acknowledged.load(Ordering::SeqCst) != epoch {
                any = true;
                wake_at(address);
            }
        }
        any
    }

    /// Wakes those who wait for news that has come without a wake: its sender was stopped or killed before it.
    pub(crate) fn ring_for_old_news(&self) {
        for record in self.used() {
            let address = record.address.load(Ordering::SeqCst);
            if address.is_null() || record.news.load(Ordering::Relaxed) == 0 {
                continue;
            }
            // SAFETY: published addresses are words of segments, which are never unmapped.
            let word = unsafe { &*address };
            // SAFETY: as above; or null.
            let truth = unsafe { record.truth.load(Ordering::Acquire).as_ref() };
            let is_old = word.load(Ordering::Relaxed) != record.expected.load(Ordering::Relaxed)
                || truth.is_some_and(|truth| {
                    truth.load(Ordering::Relaxed) != record.seen.load(Ordering::Relaxed)
                });
            if is_old {
                futex::wake_all(word);
            }
        }
    }
}

fn wake_at(address: *mut AtomicU32) {
    // SAFETY: published addresses are words of segments, which are never unmapped.
    let word = unsafe { &*address };
    futex::wake_all(word);
}

/// The calling thread's id in the world; takes a slot on first use.
#[inline]
pub(crate) fn me() -> Result<Id> {
    match me_at_hand() {
        Some(id) => Ok(id),
        None => join(),
    }
}

/// The calling thread's id, if it has taken a slot.
#[inline]
pub(crate) fn me_at_hand() -> Option<Id> {
    // A record that fork wiped reads 0, which is no id.
    Id::from_private(RECORD.get()?.id.load(Ordering::Relaxed))
}

/// Whether the calling thread is the one with this id, in the process that took it.
#[inline]
pub(crate) fn is_me(id: Id) -> bool {
    RECORD.get().is_some_and(|record| record.id.load(Ordering::Relaxed) == id.to_bits())
}

#[cold]
fn inherited() -> Error {
    Error::new(
        ErrorKind::Foreign,
        "the object was inherited over a fork, and belongs to the process that forked: start processes with Process::spawn and pass the object in its arguments",
    )
}

#[cold]
fn join() -> Result<Id> {
    let world = crate::world::world()?;
    let id = world.take_thread()?;
    let record = world.records.take(id, &world.registry)?;
    record.world.store(core::ptr::from_ref(world).cast_mut(), Ordering::Relaxed);
    RECORD.set(Some(record));
    if !world.is_robust() {
        // In another thread-local's destructor there may be no leaver any more: the slot then goes with the process.
        let _ = LEAVER.try_with(|leaver| leaver.set(Some(id)));
    }
    Ok(id)
}

/// Where the kernel has no robust list: marks the thread's own word when it ends.
struct Leaver(Cell<Option<Id>>);

impl Leaver {
    fn set(&self, id: Option<Id>) {
        self.0.set(id);
    }
}

impl Drop for Leaver {
    fn drop(&mut self) {
        if let (Some(id), Some(record)) = (self.0.get(), RECORD.get())
            && record.id.load(Ordering::Relaxed) == id.to_bits()
            && let Ok(world) = crate::world::world()
        {
            RECORD.set(None);
            world.leave_thread(id);
        }
    }
}

thread_local! {
    static LEAVER: Leaver = const { Leaver(Cell::new(None)) };
}

impl World {
    /// The calling thread's id, for an operation on an object of this world.
    #[inline]
    pub(crate) fn me(&self) -> Result<Id> {
        match self.me_at_hand() {
            Some(id) => Ok(id),
            None if self.is_current() => me(),
            None => Err(inherited()),
        }
    }

    /// The calling thread's id in this view of the world, if it has one; so the process has not forked since.
    #[inline]
    pub(crate) fn me_at_hand(&self) -> Option<Id> {
        let record = RECORD.get()?;
        // One line for both: a record of this process names this process's view, and one that fork wiped names none.
        let same = core::ptr::eq(record.world.load(Ordering::Relaxed), self);
        Id::from_private(record.id.load(Ordering::Relaxed)).filter(|_| same)
    }

    /// Sleeps while `*word == expected`; see the module's protocol. `look` says whether sleeping still makes sense.
    ///
    /// Returns for any reason.
    pub(crate) fn sleep(
        &self,
        word: &'static AtomicU32,
        expected: u32,
        until: Deadline,
        wait: Wait,
        look: impl FnOnce() -> bool,
    ) {
        let Some(record) = RECORD.get() else { return sleep_unseen(word, expected, until, look) };
        let outer = record.address.load(Ordering::Relaxed);
        let before = Sleep::of(record);
        let (news, truth) = match wait {
            Wait::Baton => (0, None),
            Wait::News(truth) => (1, truth),
        };
        let (truth, seen) =
            truth.map_or((core::ptr::null(), 0), |(word, seen)| (core::ptr::from_ref(word), seen));
        Sleep { expected, news, truth: truth.cast_mut(), seen }.write(record);
        // ORDERING(alarm): SeqCst, with the keeper's raise and its load of the address.
        record.address.store(core::ptr::from_ref(word).cast_mut(), Ordering::SeqCst);
        fence(Ordering::SeqCst);
        let epoch = self.records.epoch.load(Ordering::SeqCst);
        if outer.is_null() {
            record.acknowledged.store(epoch, Ordering::SeqCst);
        }
        if look() {
            let slice = match wait {
                Wait::Baton if testing::slices() => Deadline::after(SLICE),
                _ => Deadline::NEVER,
            };
            futex::wait(word, expected, until.earlier(slice));
        }
        before.write(record);
        record.address.store(outer, Ordering::SeqCst);
    }
}

/// The sleep of a thread for which there was no place: nobody rings for it.
#[cold]
fn sleep_unseen(
    word: &AtomicU32,
    expected: u32,
    until: Deadline,
    is_worth_it: impl FnOnce() -> bool,
) {
    if is_worth_it() {
        futex::wait(word, expected, until.earlier(Deadline::after(SLICE)));
    }
}

/// What a record says of a sleep, beside the address.
struct Sleep {
    expected: u32,
    news: u32,
    truth: *mut AtomicU64,
    seen: u64,
}

impl Sleep {
    fn of(record: &Record) -> Sleep {
        Sleep {
            expected: record.expected.load(Ordering::Relaxed),
            news: record.news.load(Ordering::Relaxed),
            truth: record.truth.load(Ordering::Relaxed),
            seen: record.seen.load(Ordering::Relaxed),
        }
    }

    fn write(&self, record: &Record) {
        record.expected.store(self.expected, Ordering::Relaxed);
        record.news.store(self.news, Ordering::Relaxed);
        record.seen.store(self.seen, Ordering::Relaxed);
        record.truth.store(self.truth, Ordering::Release);
    }
}
