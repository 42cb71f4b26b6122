//! The wait list: what a condition is. Threads wait in it, and each notification lets the oldest of them go on.
//!
//! A notification reaches exactly so many live waiters as it is for, or all there are. One that a waiter dies with reaches the
//! next one. Whoever notifies waits for nobody.
//!
//! # Layout
//!
//! ```text
//! the condition's object (48 bytes of one cache line)
//! 0  8  lock     for all that follows; held for a few instructions, adopted from the dead
//! 8  8  given    low half: notifications that no waiter has used up; high half: a count of changes     THE TRUTH
//! 16 4  used     one more than the highest entry in use
//! 20 4  tickets  the ticket of the next waiter
//! 24 4  guarded  the number of the lock that the waiters let go of
//! 28 4  block    the number of the condition's block                            the maker, once
//! the condition's block
//! 0  24576       entries, one for each waiter                                   THE TRUTH
//! ```
//!
//! An entry is one word of 64 bits; 0 is free. Its low half is also the word on which its waiter sleeps, alone:
//!
//! ```text
//! bits 0..30   thread   the id of the waiting thread          the waiter, under the lock
//! bit  30      SLEEPS   it sleeps, or is about to             the waiter, without the lock
//! bit  31      RUNG     it is one of those who may go on      whoever notifies, under the lock
//! bits 32..64  ticket   orders waiters by age                 the waiter, under the lock
//! ```
//!
//! # Who may go on
//!
//! Of the entries of *living* threads the `given` first ones: those that are rung, and then the oldest. So a waiter that died
//! is not counted, and what it was given is the next one's, without a store of anybody. `given` is never more than there are
//! living waiters while someone enters or notifies: what was given to the dead alone is forgotten.
//!
//! # Protocol
//!
//! - *Wait*: the caller holds a lock of its own. Under the lock of the list: W1 given = what the living need at most;
//!   W2 the ticket; W3 the entry; W4 `used`: *the thread waits*. Then W5 the caller's lock is let go of. W6 poll, set SLEEPS by
//!   CAS, and sleep, until the entry is rung or the time is over. W7 the caller's lock is taken again. Under the lock of the list:
//!   W8 if the thread may go on, given - 1: *a notification is used up*; W9 the entry is free; W10 `used` is lowered.
//! - *Notify n*: under the lock: N1 given + n, as far as there are living waiters: *they may go on*. N2 RUNG for up to 64 of
//!   them, oldest first. Without the lock: N3 a wake for each of those that sleep. If there are more, again from N2.
//!
//! # Why no wake is lost
//!
//! SLEEPS and RUNG are in one word, on whose exact value the waiter sleeps: either RUNG came first, and the waiter does not
//! fall asleep, or the notifier sees SLEEPS and wakes it. Whoever was given something and is not rung (the notifier died after
//! N1, or another waiter died after it was rung) finds that out at the alarm: the check of its sleep counts, under the lock. If
//! the notifier is stopped between N1 and N2, the keepers of the sleepers see within a second that `given` has changed.
//!
//! # If a process dies
//!
//! | in | after step | the others see |
//! |---|---|---|
//! | wait | 0 to W3 | nothing; the lock of a dead owner, which they adopt, here and below |
//! | | W4 to W7 | the entry of a dead thread, which does not count, and which the next count clears |
//! | | W8 | the same; its notification is used up, as if it had died after the wait |
//! | | W9, W10 | nothing; `used` is too high at most |
//! | notify | 0 | nothing |
//! | | N1 | all n may go on: the alarm wakes them, and they count |
//! | | N2, N3 | the same |
//!
//! The caller's lock is that of the caller: see [`crate::raw::lock`].

use crate::error::{Error, ErrorKind, Result};
use crate::liveness::{Id, Liveness, PROCESSES, Rhythm, SLOTS, Wait};
use crate::raw::lock::Outcome;
use crate::raw::short_lock::{self, ShortLock};
use crate::sys::atomic::{AtomicU32, AtomicU64, NATIVE, Ordering};
use crate::sys::clock::Deadline;
use crate::sys::futex;
use crate::sys::shared::{Shared, low_half};
use crate::testing::{self, Broken};

const SLEEPS: u32 = 1 << 30;
const RUNG: u32 = 1 << 31;
/// An entry for each thread that can be: none waits twice.
const MOST: usize = SLOTS - PROCESSES;
/// How many are rung in one section under the lock.
const BATCH: usize = 64;

/// The words in the condition's object.
#[repr(C)]
pub(crate) struct Words {
    /// For all that follows.
    lock: ShortLock,
    /// Low half: notifications that are not used up: the truth. High half: a count of changes. Written under the lock.
    given: AtomicU64,
    /// One more than the highest entry in use. Written under the lock, read by anybody.
    used: AtomicU32,
    /// The ticket of the next waiter. Written under the lock.
    tickets: AtomicU32,
    /// Which lock the waiters let go of. Written under the lock, by the first of them.
    guarded: AtomicU32,
    /// The id of the condition's block. Written once, by the maker.
    pub(crate) block: AtomicU32,
}

/// What the condition's block holds.
#[repr(transparent)]
pub(crate) struct Entries([AtomicU64; MOST]);

#[allow(unsafe_code, reason = "lives in shared memory")]
// SAFETY: a structure of atomics only.
unsafe impl Shared for Words {}
#[allow(unsafe_code, reason = "lives in shared memory")]
// SAFETY: atomics only.
unsafe impl Shared for Entries {}

const _: () = {
    use core::mem::offset_of;
    assert!(!NATIVE || (offset_of!(Words, given) == 8 && offset_of!(Words, block) == 28));
    assert!(SLEEPS > Id::MASK && RUNG > SLEEPS);
};

/// An entry as read at one moment.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Entry(u64);

impl Entry {
    const FREE: Entry = Entry(0);

    fn new(me: Id, ticket: u32) -> Entry {
        Entry(u64::from(ticket) << 32 | u64::from(me.to_bits()))
    }

    /// The half on which its waiter sleeps.
    fn low(self) -> u32 {
        self.0 as u32
    }

    /// Whose it is.
    fn thread(self) -> Option<Id> {
        Id::from_bits(self.low() & Id::MASK)
    }

    fn is_rung(self) -> bool {
        self.low() & RUNG != 0
    }

    fn sleeps(self) -> bool {
        self.low() & SLEEPS != 0
    }

    /// The same, asleep.
    fn asleep(self) -> Entry {
        Entry(self.0 | u64::from(SLEEPS))
    }

    /// Stands in `word` from now on. A swap, so that it has a place among all changes of the word and the looks of the kernel.
    fn put(self, word: &AtomicU64) {
        word.swap(self.0, Ordering::Relaxed);
    }

    /// How many tickets were given since, where `next` is the next one.
    fn age(self, next: u32) -> u32 {
        next.wrapping_sub((self.0 >> 32) as u32)
    }
}

/// Where a thread waits.
pub(crate) struct Place {
    index: usize,
    me: Id,
}

/// What a count found: the entries of living threads, and how many of them are rung.
struct Count {
    living: u32,
    rung: u32,
}

/// One process's view of a condition.
#[derive(Clone, Copy)]
pub(crate) struct WaitList {
    words: &'static Words,
    entries: &'static Entries,
    liveness: &'static Liveness,
}

impl WaitList {
    pub(crate) fn new(
        words: &'static Words,
        entries: &'static Entries,
        liveness: &'static Liveness,
    ) -> WaitList {
        WaitList { words, entries, liveness }
    }

    /// The entries that may be in use; whatever a peer wrote, within the table.
    fn used(&self) -> &'static [AtomicU64] {
        &self.entries.0[..(self.words.used.load(Ordering::Relaxed) as usize).min(MOST)]
    }

    /// Takes the lock. From a dead holder it is simply taken: nothing is ever half done.
    fn lock(&self, me: Id) -> Result<()> {
        if self.words.lock.try_lock(me) {
            return Ok(());
        }
        match self.words.lock.lock_contended(me, self.liveness, Deadline::NEVER) {
            Outcome::Locked | Outcome::Adopted(_) => Ok(()),
            // A signal handler that interrupted its own thread in here.
            _ => Err(Error::simple(ErrorKind::Deadlock)),
        }
    }

    /// W1 to W4: the calling thread, which holds the lock with the number `guarded`, is about to let go of it and wait.
    pub(crate) fn enter(&self, me: Id, guarded: u32) -> Result<Place> {
        self.lock(me)?;
        let place = self.insert(me, guarded);
        self.words.lock.unlock();
        place
    }

    /// Under the lock.
    fn insert(&self, me: Id, guarded: u32) -> Result<Place> {
        // Relaxed, as all that is done under the lock but where a comment says otherwise.
        let words = self.words;
        if words.guarded.load(Ordering::Relaxed) != guarded {
            if self.count().living != 0 {
                return Err(two_locks());
            }
            words.guarded.store(guarded, Ordering::Relaxed);
        }
        self.give(0);
        let index = match self.free_entry() {
            Some(index) => index,
            None => {
                // The dead have some: there are as many entries as threads.
                self.count();
                self.free_entry().ok_or_else(|| Error::simple(ErrorKind::Corrupted))?
            }
        };
        let ticket = words.tickets.load(Ordering::Relaxed);
        words.tickets.store(ticket.wrapping_add(1), Ordering::Relaxed);
        Entry::new(me, ticket).put(&self.entries.0[index]);
        if index >= self.used().len() {
            // Behind the entry: what stood there before it meant nothing.
            words.used.store(index as u32 + 1, Ordering::Release);
        }
        Ok(Place { index, me })
    }

    /// A free entry, or the first one that was not used yet. Under the lock.
    fn free_entry(&self) -> Option<usize> {
        let used = self.used();
        let free = used.iter().position(|it| Entry(it.load(Ordering::Relaxed)) == Entry::FREE);
        free.or((used.len() < MOST).then_some(used.len()))
    }

    /// Counts the living, and clears the entries of the dead. Under the lock.
    fn count(&self) -> Count {
        let mut count = Count { living: 0, rung: 0 };
        for word in self.used() {
            let entry = Entry(word.load(Ordering::Relaxed));
            match entry.thread() {
                Some(thread) if !self.is_dead(thread) => {
                    count.living += 1;
                    count.rung += u32::from(entry.is_rung());
                }
                _ if entry == Entry::FREE => {}
                // The dead write no more; and nonsense is nobody's.
                _ => Entry::FREE.put(word),
            }
        }
        count
    }

    fn is_dead(&self, thread: Id) -> bool {
        !testing::is_broken(Broken::NotifiesTheDead) && self.liveness.registry.is_dead(thread)
    }

    /// Notifications that are not used up. Under the lock.
    fn given(&self) -> u32 {
        self.words.given.load(Ordering::Relaxed) as u32
    }

    /// N1, and W1 with none: gives so many more, as far as there are living waiters; how many of these are to be rung yet. Under
    /// the lock.
    fn give(&self, more: u32) -> u32 {
        if more == 0 && self.given() == 0 {
            return 0;
        }
        let count = self.count();
        let given = self.given().saturating_add(more).min(count.living);
        self.set_given(given);
        given.saturating_sub(count.rung)
    }

    fn set_given(&self, given: u32) {
        let changes = (self.words.given.load(Ordering::Relaxed) >> 32).wrapping_add(1);
        self.words.given.store(changes << 32 | u64::from(given), Ordering::Relaxed);
    }

    /// Lets the `most` oldest waiters go on that were not notified yet, or all there are.
    pub(crate) fn notify(&self, most: usize) {
        // A waiter that the caller could know of entered under a lock that the caller has held since, or entered before what
        // brought the caller here.
        if most == 0 || self.words.used.load(Ordering::Relaxed) == 0 {
            return;
        }
        let mut more = most.min(MOST) as u32;
        loop {
            if !short_lock::lock_surely(self.liveness, |me| self.lock(me)) {
                return;
            }
            let due = self.give(more);
            let sleepers = self.ring_oldest(due);
            self.words.lock.unlock();
            for entry in sleepers.into_iter().flatten() {
                futex::wake(low_half(entry), 1);
            }
            if due as usize <= BATCH {
                return;
            }
            more = 0;
        }
    }

    /// N2: rings the `due` oldest waiters that are not rung yet, up to [`BATCH`]; those of them that sleep. Under the lock.
    fn ring_oldest(&self, due: u32) -> [Option<&'static AtomicU64>; BATCH] {
        let mut chosen = [None; BATCH];
        if due == 0 || testing::is_broken(Broken::NotifyRingsNobody) {
            return chosen;
        }
        let next = self.words.tickets.load(Ordering::Relaxed);
        let mut ages = [0; BATCH];
        let (mut len, most) = (0, (due as usize).min(BATCH));
        for word in self.used() {
            let entry = Entry(word.load(Ordering::Relaxed));
            if entry == Entry::FREE || entry.is_rung() {
                continue;
            }
            let age = entry.age(next);
            let at = ages[..len].partition_point(|&other| other >= age);
            if at < most {
                len = (len + 1).min(most);
                ages[at..len].rotate_right(1);
                chosen[at..len].rotate_right(1);
                (ages[at], chosen[at]) = (age, Some(word));
            }
        }
        for choice in &mut chosen[..len] {
            *choice = choice
                .filter(|word| Entry(word.fetch_or(u64::from(RUNG), Ordering::Relaxed)).sleeps());
        }
        chosen
    }

    /// Whether the waiter at `place` may go on. Under the lock.
    fn may_go_on(&self, place: &Place) -> bool {
        let own = Entry(self.entries.0[place.index].load(Ordering::Relaxed));
        if own.thread() != Some(place.me) {
            return false;
        }
        if own.is_rung() || self.given() == 0 {
            return own.is_rung();
        }
        let due = self.given().saturating_sub(self.count().rung);
        let next = self.words.tickets.load(Ordering::Relaxed);
        let is_before = |entry: Entry| {
            entry != Entry::FREE && !entry.is_rung() && entry.age(next) > own.age(next)
        };
        let entries = self.used().iter().map(|word| Entry(word.load(Ordering::Relaxed)));
        entries.filter(|&entry| is_before(entry)).count() < due as usize
    }

    /// W6: waits until the thread may go on, or until `until`.
    pub(crate) fn sleep(&self, place: &Place, until: Deadline) {
        let word = &self.entries.0[place.index];
        let given = &self.words.given;
        let mut spin = self.liveness.spin(Rhythm::Signal);
        loop {
            // Relaxed: what the notifier did before is seen behind the lock, in `leave`.
            let now = Entry(word.load(Ordering::Relaxed));
            // An entry that is another's by now is what only scribbling leaves.
            if now.is_rung() || until.is_over() || now.thread() != Some(place.me) {
                return;
            }
            if spin.poll() {
                continue;
            }
            let asleep = now.asleep();
            let relaxed = Ordering::Relaxed;
            if now != asleep && word.compare_exchange(now.0, asleep.0, relaxed, relaxed).is_err() {
                continue;
            }
            let wait = Wait::Change([Some((given, given.load(Ordering::Relaxed))), None]);
            let mut goes_on = false;
            self.liveness.sleep(low_half(word), asleep.low(), until, wait, || {
                goes_on = self.check(place);
                !goes_on
            });
            if goes_on {
                return;
            }
        }
    }

    /// The check of a sleep: whether the thread may go on although nobody rang.
    fn check(&self, place: &Place) -> bool {
        // ORDERING(death): Relaxed, behind the load of the epoch: what a notifier stored comes before its mark.
        if self.given() == 0 || self.lock(place.me).is_err() {
            return false;
        }
        let goes_on = self.may_go_on(place);
        self.words.lock.unlock();
        goes_on
    }

    /// W8 to W10: ends a wait, with the caller's lock taken again; whether it was notified.
    pub(crate) fn leave(&self, place: &Place) -> Result<bool> {
        self.lock(place.me)?;
        let goes_on = self.may_go_on(place);
        if goes_on {
            self.set_given(self.given().saturating_sub(1));
        }
        let word = &self.entries.0[place.index];
        if Entry(word.load(Ordering::Relaxed)).thread() == Some(place.me) {
            Entry::FREE.put(word);
        }
        let is_free = |it: &AtomicU64| Entry(it.load(Ordering::Relaxed)) == Entry::FREE;
        let used = self.used().iter().rposition(|it| !is_free(it)).map_or(0, |last| last + 1);
        self.words.used.store(used as u32, Ordering::Release);
        self.words.lock.unlock();
        Ok(goes_on)
    }

    /// How many live threads wait at this moment and were not notified. While one of those leaves it may be one too many or too few:
    /// this takes no lock.
    pub(crate) fn waiters(&self) -> usize {
        let registry = &self.liveness.registry;
        let threads =
            self.used().iter().filter_map(|it| Entry(it.load(Ordering::Relaxed)).thread());
        let living = threads.filter(|&thread| !registry.is_dead(thread)).count();
        living.saturating_sub(self.given() as usize)
    }
}

#[cold]
fn two_locks() -> Error {
    Error::of(
        ErrorKind::InvalidInput,
        "other threads wait for the condition with another lock: use the same lock in every wait of one condition",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A list in which nobody waits, and the calling thread.
    fn empty() -> (WaitList, Id) {
        let word = || AtomicU32::new(0);
        let words = Words {
            lock: ShortLock::default(),
            given: AtomicU64::new(0),
            used: word(),
            tickets: word(),
            guarded: word(),
            block: word(),
        };
        let entries = Entries([const { AtomicU64::new(0) }; MOST]);
        let liveness = crate::world::world().unwrap().liveness;
        let list =
            WaitList::new(Box::leak(Box::new(words)), Box::leak(Box::new(entries)), liveness);
        (list, liveness.me().unwrap())
    }

    /// They died one after another, and nobody notified in all that time.
    #[test]
    fn who_enters_a_list_full_of_the_dead_takes_a_place_of_theirs() {
        let (list, me) = empty();
        let wait = move || {
            let me = list.liveness.me().unwrap();
            (0..MOST).for_each(|_| _ = list.enter(me, 1).unwrap());
            assert!(list.enter(me, 1).is_err(), "a living thread's place was taken");
        };
        std::thread::spawn(wait).join().unwrap();
        assert_eq!(list.used().len(), MOST);
        let place = list.enter(me, 1).unwrap();
        assert_eq!(list.waiters(), 1);
        list.notify(1);
        assert!(list.leave(&place).unwrap());
    }

    #[test]
    fn nobody_enters_while_another_changes_the_list() {
        let (list, me) = empty();
        list.lock(me).unwrap();
        // Whoever interrupted this very thread is told so, and does not wait for ever.
        assert!(list.enter(me, 1).is_err_and(|error| error.is_deadlock()));
        assert_eq!(list.used().len(), 0);
        list.words.lock.unlock();
        assert!(list.enter(me, 1).is_ok());
    }

    #[test]
    fn who_leaves_last_leaves_nothing_to_look_through() {
        let (list, me) = empty();
        let places = [(); 3].map(|()| list.enter(me, 1).unwrap());
        for (place, used) in places.iter().zip([3, 3, 0]) {
            list.leave(place).unwrap();
            assert_eq!(list.used().len(), used);
        }
    }
}
