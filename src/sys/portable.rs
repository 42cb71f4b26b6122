//! Sleeping on a word without the kernel's help: the portable backend, over the crate `raw_sync`. It is what sleeps on other systems
//! than Linux, and on Linux with the feature `raw-sync`.
//!
//! # Why here
//!
//! All of the crate sleeps through two functions, [`Sleep`]: on a word while it has a value, and waking those who do. All protocols
//! above take it that a sleep ends for no reason. So what a Unix without Linux's futexes needs is those two functions over what POSIX has,
//! once. Locks, events and the rest stay the machines that the models check; locks of another kind behind `Lock` and `Event` would
//! be a second set of protocols with weaker promises. Over it the crate also does without robust lists and
//! `futex_waitv`: keepers ask the system who lives, as on a kernel that has neither.
//!
//! # What is promised, and what is not
//!
//! - Everything that the crate promises of processes that live, and of such that die where they neither sleep nor wake.
//! - **Not robust**: a process that is killed, or ends by `_exit`, while it wakes another thread, in the few instructions in which
//!   `raw_sync` holds the mutex of that thread's event, stops that thread for ever. So does none that ends by `exit`
//!   ([`be_quiet`]), none that is killed asleep, or holding one of the crate's
//!   locks: nobody sleeps on an event but its owner. (One event for many would stop all of them when a waiter is killed:
//!   glibc's conditions wait for waiters to leave.)
//! - A wake may come up to [`SLICE`] late, when a signal was lost to a race.
//! - It allocates: nothing of the crate can be used in a signal handler.
//! - Deaths are seen by asking, up to 50 ms late: what a dead process leaves may be taken for a live one's so long. Everything
//!   is some ten times slower than over futexes, and a wake wakes all who sleep on words at the same place of any page.
//!
//! # On other systems than Linux
//!
//! The files of `elsewhere/` stand in for Linux's own. They are built for macOS and FreeBSD, and run on Linux, by `.ci/targets`; on
//! those systems themselves nothing has run. There
//!
//! - processes are started by `Process::fork` alone: a program that is started does not find its function, so `spawn`, the fork
//!   server, pools and managers are `Unsupported`;
//! - shared memory is a file without a name, whose pages the system may write to the disk. Nothing seals it: a process of the family
//!   that makes it shorter ends the others by SIGBUS. Freed pages are written over with zeroes, and stay;
//! - the end of a child is seen by asking every 2 ms, and a signal to a stranger may reach another process that has its number by now;
//! - what a process holds that has died is given up when its parent has seen its end, or has ended too;
//! - no control group's limit is looked up, no stack overflow reported, and a core dump has the shared memory in it.
//!
//! # Layout
//!
//! The table stands in the first segment of the world, behind everything else, where this backend is.
//!
//! ```text
//! 0    4    used    entries that were ever taken                        whoever takes one
//! 64   …    1,024 entries of 256 bytes:
//!   0    4  owner   the process to whose thread it belongs; 0: free      whoever takes it (CAS), its owner
//!   4    4  key     where in its page the word is on which the owner sleeps, and a bit; 0: it does not     the owner
//!   64  192 event   an event of raw_sync: a mutex and a condition        raw_sync, for the owner and wakers
//! ```
//!
//! # Protocol
//!
//! A word has another address in each process, but the same place in its page. That place is its *key*.
//!
//! - *Sleep*: 1. clear the event of one's own entry; 2. store the key, full barrier; 3. check the word: changed, then leave; 4. wait
//!   for the event in slices, and check again; 5. put back the key that was there before (a sleep in a signal handler).
//! - *Wake*: the word was changed; 1. full barrier; 2. set the event of each entry with the key.
//!
//! Either the waker sees the key, or the sleeper sees the changed word in step 3; a signal stays until the owner's next sleep.
//! A thread for which there is no entry, and one before there is a world, naps for a millisecond and checks.
//!
//! # If a process dies
//!
//! - Asleep, or between the steps: its entry has a key and nobody waits; wakers set an event for nothing. Whoever needs an entry
//!   and finds the owner's process gone makes the event anew.
//! - In `raw_sync`, holding the mutex of its own event: wakers wait for it for [`PATIENCE`], and pass the entry over.
//! - In `raw_sync`, holding the mutex of another's event: that one is stopped if it was asleep, and takes another entry if it was not.
//!
//! # raw_sync's defects, and what is done about them
//!
//! - It adds nanoseconds without a carry, and waits with such a sum are EINVAL at once: no slice reaches past the end of a
//!   second of the wall clock ([`slice`]).
//! - It waits by the wall clock, which can be set: no slice is longer than [`SLICE`], and deadlines are this crate's.
//! - Its errors are texts: [`errno`] reads the number out of one, here and nowhere else. Its events' have none: they mean that
//!   the slice is over.
//! - Its `set` waits for the event's mutex for ever: it is called only when that could just be had.

#![allow(unsafe_code, reason = "objects of raw_sync in shared memory")]

use crate::sys::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering, fence};
use crate::sys::clock::Deadline;
use crate::sys::shared::Shared;
use crate::sys::sleep::Sleep;
use core::cell::Cell;
use core::sync::atomic::AtomicBool;
use raw_sync::Timeout;
use raw_sync::events::{Event, EventImpl, EventInit, EventState};
use raw_sync::locks::{LockInit, Mutex};
use std::time::{Duration, Instant, SystemTime};

/// The longest wait without a check of the word.
const SLICE: Duration = Duration::from_millis(20);
/// How long one waits for the mutex of an event before one takes it for dead.
const PATIENCE: Duration = Duration::from_millis(50);
/// How far from the end of a second a slice ends.
const MARGIN: Duration = Duration::from_millis(2);
const ENTRIES: usize = 1024;
/// Room for an event, in words: 96 bytes on Linux, 120 on macOS.
const EVENT: usize = 24;
/// In a key, so that none is 0: words are aligned to four bytes.
const ASLEEP: u32 = 1;

/// A thread that may sleep.
#[repr(C, align(64))]
struct Entry {
    owner: AtomicU32,
    key: AtomicU32,
    reserved: [AtomicU64; 7],
    event: [AtomicU64; EVENT],
}

/// The threads that may sleep.
#[repr(C, align(64))]
pub(crate) struct Table {
    used: AtomicU32,
    reserved: [AtomicU32; 15],
    entries: [Entry; ENTRIES],
}

// SAFETY: a structure of atomics only; the bytes of events are used through raw pointers, by raw_sync.
unsafe impl Shared for Table {}

const _: () = assert!(size_of::<Entry>() == 256 && size_of::<Table>() == 64 + 256 * ENTRIES);

/// The table of the world; null before there is one.
static TABLE: AtomicPtr<Table> = AtomicPtr::new(core::ptr::null_mut());

/// Threads of this process that are waking others at the moment.
static WAKING: AtomicU32 = AtomicU32::new(0);
/// This process is about to end, and wakes nobody any more.
static QUIET: AtomicBool = AtomicBool::new(false);

/// Called when this process ends by itself, which would end its other threads in the middle of a wake: from now on they wake nobody.
/// Those who are not woken look within [`SLICE`].
pub(crate) fn be_quiet() {
    // ORDERING(portable quiet): SeqCst, with the count in `wake`: it sees the word, or this sees the count.
    QUIET.store(true, Ordering::SeqCst);
    let end = Instant::now() + PATIENCE * 2;
    while WAKING.load(Ordering::SeqCst) != 0 && Instant::now() < end {
        std::thread::sleep(Duration::from_micros(50));
    }
}

/// From now on this process sleeps by the table, which is in a mapping that is never unmapped, a forked child's too.
pub(crate) fn use_table(table: &'static Table) {
    // ORDERING(portable table): Release, pairs with the Acquire in `table`.
    TABLE.store(core::ptr::from_ref(table).cast_mut(), Ordering::Release);
}

fn table() -> Option<&'static Table> {
    // ORDERING(portable table): Acquire, pairs with the Release in `use_table`.
    // SAFETY: null, or a table in a mapping that is never unmapped; whatever a peer writes there, its fields are atomics.
    unsafe { TABLE.load(Ordering::Acquire).as_ref() }
}

/// The entry of the calling thread, and the process in which it was taken.
struct Mine(Cell<Option<(u32, &'static Entry)>>);

thread_local! {
    static MINE: Mine = const { Mine(Cell::new(None)) };
}

impl Drop for Mine {
    fn drop(&mut self) {
        if let Some((pid, entry)) = self.0.get()
            && pid == std::process::id()
        {
            // ORDERING(portable entry): Release, pairs with the Acquire in `Table::take`; the owner has done with the event.
            entry.owner.store(0, Ordering::Release);
        }
    }
}

/// The calling thread's entry, taken when it first sleeps; not one that was its parent's before a fork.
fn mine() -> Option<&'static Entry> {
    let table = table()?;
    let pid = std::process::id();
    MINE.try_with(|mine| match mine.0.get() {
        Some((owner, entry)) if owner == pid => Some(entry),
        _ => {
            let entry = table.take(pid)?;
            mine.0.set(Some((pid, entry)));
            Some(entry)
        }
    })
    .ok()
    .flatten()
}

impl Table {
    fn take(&'static self, pid: u32) -> Option<&'static Entry> {
        for (index, entry) in self.entries.iter().enumerate() {
            let owner = entry.owner.load(Ordering::Relaxed);
            if owner != 0 && (owner == pid || is_there(owner)) {
                continue;
            }
            // ORDERING(portable entry): Acquire, pairs with the Release in `Mine::drop`.
            let taken =
                entry.owner.compare_exchange(owner, pid, Ordering::Acquire, Ordering::Relaxed);
            if taken.is_err() {
                continue;
            }
            entry.key.store(0, Ordering::SeqCst);
            if entry.make_event() {
                self.used.fetch_max(index as u32 + 1, Ordering::SeqCst);
                return Some(entry);
            }
            return None;
        }
        None
    }

    fn used(&self) -> &[Entry] {
        &self.entries[..(self.used.load(Ordering::SeqCst) as usize).min(ENTRIES)]
    }
}

/// Whether there is a process with this number.
fn is_there(pid: u32) -> bool {
    let pid = nix::unistd::Pid::from_raw(pid as i32);
    nix::sys::signal::kill(pid, None) != Err(nix::errno::Errno::ESRCH)
}

impl Entry {
    fn bytes(&self) -> *mut u8 {
        self.event.as_ptr().cast_mut().cast()
    }

    /// Makes the event anew, by the owner; whether there is room for one.
    fn make_event(&self) -> bool {
        let bytes = self.bytes();
        if <Event as EventInit>::size_of(Some(bytes)) > size_of_val(&self.event) {
            return false;
        }
        // SAFETY:
        // - the bytes are aligned to 64, there is room, and they stay mapped;
        // - they are the owner's; a waker that read the key of an owner who died is turned away by `event`, or sets what is new.
        unsafe { <Event as EventInit>::new(bytes, false) }.is_ok()
    }

    /// The event, if its mutex can be had: if nobody died with it. Else the entry is of no use.
    fn event(&self) -> Option<Box<dyn EventImpl>> {
        // SAFETY:
        // - an event was made here before the entry could be found, and an event of raw_sync begins with its mutex;
        // - whatever a peer scribbles there, libc takes it for numbers and follows no pointer in it (glibc; others: the module's promise).
        let (mutex, _) =
            unsafe { Mutex::from_existing(self.bytes(), core::ptr::null_mut()) }.ok()?;
        let until = Instant::now() + PATIENCE;
        loop {
            let refused = match mutex.try_lock(Timeout::Val(slice(until)?)) {
                Ok(_) => break,
                Err(refused) => errno(&*refused),
            };
            // The slice is over, or was refused for a carry; anything else stays as it is.
            if !matches!(refused, Some(libc::ETIMEDOUT | libc::EINVAL)) {
                return None;
            }
        }
        // SAFETY: as above.
        unsafe { Event::from_existing(self.bytes()) }.ok().map(|(event, _)| event)
    }
}

/// How long the next wait may be; `None` once the time is over. Near the end of a second of the wall clock it naps first: no slice
/// reaches past it.
fn slice(until: Instant) -> Option<Duration> {
    let left = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
    let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let second = Duration::from_secs(1) - Duration::from_nanos(u64::from(clock.subsec_nanos()));
    match second.checked_sub(MARGIN).filter(|room| *room > MARGIN) {
        Some(room) => Some(SLICE.min(left).min(room)),
        None => {
            std::thread::sleep(second.min(left));
            Some(SLICE.min(MARGIN))
        }
    }
}

/// The number in a text of raw_sync, as `Failed to acquire mutex : 110`.
fn errno(error: &dyn std::error::Error) -> Option<i32> {
    error.to_string().rsplit(' ').next()?.parse().ok()
}

/// What a word has in common with itself in other processes.
fn key(word: &AtomicU32) -> u32 {
    (word.as_ptr() as usize % 4096) as u32 | ASLEEP
}

/// The backend.
pub(crate) enum Portable {}

impl Sleep for Portable {
    fn wait(word: &AtomicU32, expected: u32, until: Deadline) {
        let end = until.instant();
        let over = |end: Option<Instant>| end.is_some_and(|end| Instant::now() >= end);
        let slice_end = || {
            let slice = Instant::now() + SLICE;
            end.map_or(slice, |end| end.min(slice))
        };
        let Some(entry) = mine() else { return nap(word, expected) };
        let Some(event) = entry.event() else {
            // Somebody died with its mutex: it stays taken, and this thread takes another one when it next sleeps.
            let _ = MINE.try_with(|mine| mine.0.set(None));
            return nap(word, expected);
        };
        if event.set(EventState::Clear).is_err() {
            return nap(word, expected);
        }
        let outer = entry.key.load(Ordering::Relaxed);
        // ORDERING(portable sleep): SeqCst, with the barrier in `wake`: the key before the word.
        entry.key.store(key(word), Ordering::SeqCst);
        fence(Ordering::SeqCst);
        while word.load(Ordering::SeqCst) == expected && !over(end) {
            let Some(slice) = slice(slice_end()) else { continue };
            if event.wait(Timeout::Val(slice)).is_ok() {
                break;
            }
        }
        entry.key.store(outer, Ordering::SeqCst);
    }

    fn wake(word: &AtomicU32, _: u32) -> u32 {
        // ORDERING(portable quiet): SeqCst, with the word in `be_quiet`.
        WAKING.fetch_add(1, Ordering::SeqCst);
        let woken = if QUIET.load(Ordering::SeqCst) { 1 } else { wake_all(word) };
        WAKING.fetch_sub(1, Ordering::SeqCst);
        woken
    }
}

/// No kernel is asked for it: keepers poll.
pub(crate) fn has_wait_any() -> bool {
    false
}

/// Waits for the first of the words.
pub(crate) fn wait_any(words: &[(&AtomicU32, u32)], until: Deadline) {
    if let Some((word, expected)) = words.first() {
        Portable::wait(word, *expected, until);
    }
}

/// Wakes those who may sleep on the word; how many there were.
fn wake_all(word: &AtomicU32) -> u32 {
    // ORDERING(portable sleep): SeqCst, with the store of the key in `wait`: the caller's change before the keys.
    fence(Ordering::SeqCst);
    let key = key(word);
    let mut woken = 0;
    for entry in table().map_or(&[][..], Table::used) {
        if entry.key.load(Ordering::SeqCst) == key
            && entry.event().is_some_and(|event| event.set(EventState::Signaled).is_ok())
        {
            woken += 1;
        }
    }
    woken
}

/// What a thread does that cannot be woken.
fn nap(word: &AtomicU32, expected: u32) {
    if word.load(Ordering::SeqCst) == expected {
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_slice_reaches_past_a_second() {
        let end = Instant::now() + Duration::from_millis(1500);
        while let Some(slice) = slice(end) {
            assert!(!slice.is_zero() && slice <= SLICE);
            let clock = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
            let sum = clock.subsec_nanos() + slice.subsec_nanos();
            // Unless this thread was held up for the whole margin in between.
            assert!(sum < 1_000_000_000 || clock.subsec_millis() > 997, "{clock:?} {slice:?}");
            std::thread::sleep(slice.min(Duration::from_millis(1)));
        }
    }

    #[test]
    fn numbers_are_read_out_of_texts() {
        let error = |text: &str| errno(&*Box::<dyn std::error::Error>::from(text));
        assert_eq!(error("Failed to acquire mutex : 110"), Some(110));
        assert_eq!(error("Failed waiting for signal"), None);
    }

    #[test]
    fn a_sleeper_is_woken_and_a_dead_ones_entry_passed_over() {
        let table: &'static Table = {
            // SAFETY: zeroes are a value of atomics.
            let table = unsafe { Box::<Table>::new_zeroed().assume_init() };
            Box::leak(table)
        };
        let entry = table.take(std::process::id()).unwrap();
        // No process has that number.
        let dead = table.take(i32::MAX as u32).unwrap();
        assert!(!core::ptr::eq(entry, dead));
        let again = table.take(std::process::id()).unwrap();
        assert!(core::ptr::eq(again, dead), "its entry is taken over");
        // Whoever died with the mutex of an event is waited for in vain, and not for long.
        // SAFETY: the event was made when the entry was taken.
        let (mutex, _) =
            unsafe { Mutex::from_existing(dead.bytes(), core::ptr::null_mut()) }.unwrap();
        let held = mutex.lock().unwrap();
        assert!(dead.event().is_none());
        drop(held);
        assert!(dead.event().is_some());
        assert!(entry.event().is_some());
    }
}
