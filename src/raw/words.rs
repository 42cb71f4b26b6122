//! The words of [`raw`](crate::raw) as a library author meets them: a name, a place, and how zeroed memory is read. Each holds the
//! machine that the crate's own objects are made of; the calls, which know the world, stand in `shared/words/`.
//!
//! | word | size | holds | zeroes are |
//! |---|---|---|---|
//! | [`Lock`] | 8 | [`lock`](crate::raw::lock) | free |
//! | [`RLock`] | 20 | a lock and [`reentry`](crate::raw::reentry) | free |
//! | [`Once`] | 12 | a lock, and 1 in `done` behind the call | not called yet |
//! | [`EventCount`] | 4 | [`event_count`](crate::raw::event_count) | nobody waits |
//! | [`Semaphore`] | 8,320 | [`permits`](crate::raw::permits): the words, then an entry for every process | no permits, and never any |
//!
//! What a death leaves is said by the machines; of a [`Once`]: before `done` the lock of a dead thread, which the next caller takes
//! over, and calls; behind it, nothing.

#![allow(unsafe_code, reason = "words at an address that the caller knows")]

use crate::error::Result;
use crate::liveness::Id;
use crate::raw::event_count;
use crate::raw::flag::Flag;
use crate::raw::lock::RobustLock;
use crate::raw::permits::{Far, Words};
use crate::raw::reentry::Reentry;
use crate::sys::atomic::AtomicU32;
use crate::sys::shared;
use core::fmt;
use core::marker::PhantomData;

/// The beginning of words of which zeroes are a value.
macro_rules! zeroed {
    ($word:ident) => {
        impl $word {
            #[doc = concat!("A new one, all zeroes, for a structure in a [`Shared`](crate::Shared).")]
            pub const fn new() -> $word {
                // SAFETY: atomics only, of which zeroes are a value.
                unsafe { core::mem::zeroed() }
            }
        }

        impl Default for $word {
            fn default() -> $word {
                $word::new()
            }
        }
    };
}

/// The place of words of which any bytes are a value.
macro_rules! place {
    ($word:ident) => {
        impl $word {
            #[doc = concat!("The one at a place in shared memory, for which [`align_of`] `", stringify!($word), "` is enough.")]
            ///
            /// # Errors
            ///
            /// [`is_invalid_input`](crate::Error::is_invalid_input) if the place is null or not aligned.
            ///
            /// # Safety
            ///
            /// As many bytes from `place` on as the word has are as [the module](crate::raw) says.
            pub unsafe fn at(place: *mut u8) -> Result<&'static $word> {
                shared::check_place(place, align_of::<$word>())?;
                // SAFETY:
                // - not null, aligned, and mapped until the process ends, as the caller promises;
                // - atomics only: any bytes are a value, and stay one whatever another process writes or leaves at its death.
                Ok(unsafe { &*place.cast::<$word>() })
            }
        }
    };
}

/// A lock in shared memory: what a [`Lock`](crate::Lock) is, in 8 bytes. See [the module](crate::raw) for what the memory must be like.
/// Zeroes are a free lock.
///
/// It waits, costs and is fair as a [`Lock`](crate::Lock) is, and belongs to the thread that locked. For plain data with its lock
/// take a [`Guarded`](crate::raw::Guarded).
///
/// # When the holder dies
///
/// As for [`Lock`](crate::Lock#when-the-holder-dies): waiters are released at once, and [`lock`](Lock::lock) is an error with
/// [`is_owner_died`](crate::Error::is_owner_died) until [`recover`](Lock::recover) takes the lock and its guard is dropped. For what
/// cannot be half written there is [`adopt`](Lock::adopt).
///
/// # Examples
///
/// ```
/// use multiproc::raw::Lock;
/// use multiproc::{Process, Shared, shared_type};
/// use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
///
/// shared_type! {
///     struct Pair {
///         lock: Lock,
///         sum: AtomicU64,
///         count: AtomicU64,
///     }
/// }
///
/// fn add(pair: Shared<Pair>) -> multiproc::Result<()> {
///     let pair = pair.leak();
///     let _both = pair.lock.lock()?;
///     pair.sum.fetch_add(5, Relaxed);
///     pair.count.fetch_add(1, Relaxed);
///     Ok(())
/// }
///
/// let new = Pair { lock: Lock::new(), sum: AtomicU64::new(0), count: AtomicU64::new(0) };
/// let pair = Shared::new(new)?;
/// Process::spawn(add, (&pair,))?.join()??;
/// assert_eq!(pair.sum.load(Relaxed), 5);
/// # Ok::<(), multiproc::Error>(())
/// ```
#[repr(C)]
pub struct Lock {
    pub(crate) lock: RobustLock,
}

zeroed!(Lock);
place!(Lock);

/// A [`Lock`] that its holder can take again: what an [`RLock`](crate::RLock) is, in 20 bytes. Zeroes are a free one.
///
/// Each guard counts one; the lock is given back when the last one is dropped, in whatever order. Its holder's death is told as
/// that of a [`Lock`]'s.
///
/// # Examples
///
/// ```
/// use multiproc::SharedMemory;
/// use multiproc::raw::RLock;
///
/// let memory = SharedMemory::new(size_of::<RLock>())?;
/// // SAFETY: the memory is of this process tree and its handle is kept, zero at first, and used in no other way.
/// let lock = unsafe { RLock::at(memory.as_ptr()) }?;
/// let outer = lock.lock()?;
/// let inner = lock.lock()?;
/// assert_eq!(lock.depth(), 2);
/// drop((outer, inner));
/// assert_eq!(lock.depth(), 0);
/// # Ok::<(), multiproc::Error>(())
/// ```
#[repr(C)]
pub struct RLock {
    pub(crate) lock: RobustLock,
    pub(crate) reentry: Reentry,
}

zeroed!(RLock);
place!(RLock);

/// Something that is done once by one of all processes, such as filling in a header: in 12 bytes. Zeroes are: not done yet.
///
/// The process that does it may die on the way. Then the next caller does it, at once, from the beginning; so it must not mind what
/// a dead one has left half done.
///
/// # Examples
///
/// ```
/// use multiproc::raw::Once;
/// use multiproc::{Shared, shared_type};
/// use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
///
/// shared_type! {
///     struct Header {
///         ready: Once,
///         seed: AtomicU64,
///     }
/// }
///
/// let header = Shared::new(Header { ready: Once::new(), seed: AtomicU64::new(0) })?.leak();
/// let fill = || {
///     header.seed.store(42, Relaxed);
///     Ok(())
/// };
/// assert!(header.ready.call_once(fill)?, "this call did it");
/// assert!(!header.ready.call_once(fill)?, "it had been done");
/// assert_eq!(header.seed.load(Relaxed), 42);
/// # Ok::<(), multiproc::Error>(())
/// ```
#[repr(C)]
pub struct Once {
    pub(crate) lock: Lock,
    /// 1: it has been done. Written under the lock.
    pub(crate) done: AtomicU32,
}

zeroed!(Once);
place!(Once);

/// A word on which those sleep who wait for what other words say: in 4 bytes. Zeroes are one on which nobody waits.
///
/// A structure without locks is made of its own atomics, the truth, and an event count for each thing that can be waited for. Whoever
/// changes the truth [`notify`](EventCount::notify)s; whoever waits gives a function that looks at the truth to
/// [`wait`](EventCount::wait). While nobody waits a notification is a load and a barrier. No wake is lost: the function is called
/// once more between the announcement of the waiter and its sleep.
///
/// # When a process dies
///
/// After any death in the process tree the function is called again: it can look for whoever died. If the death or a stop came
/// between the change and the notification, the waiters find the change within 50 ms all the same.
///
/// # Examples
///
/// A box for one number:
///
/// ```
/// use multiproc::raw::EventCount;
/// use multiproc::{Process, Shared, shared_type};
/// use std::sync::atomic::{AtomicU64, Ordering::{Acquire, Release}};
///
/// shared_type! {
///     struct Mailbox {
///         number: AtomicU64,
///         news: EventCount,
///     }
/// }
///
/// fn send(mailbox: Shared<Mailbox>) {
///     mailbox.number.store(7, Release);
///     mailbox.news.notify_all();
/// }
///
/// let mailbox = Shared::new(Mailbox { number: AtomicU64::new(0), news: EventCount::new() })?;
/// let child = Process::spawn(send, (&mailbox,))?;
/// let mailbox = mailbox.leak();
/// let number = mailbox.news.wait(|| {
///     let number = mailbox.number.swap(0, Acquire);
///     (number != 0).then_some(number)
/// })?;
/// assert_eq!(number, 7);
/// child.join()?;
/// # Ok::<(), multiproc::Error>(())
/// ```
#[repr(C)]
pub struct EventCount {
    pub(crate) count: event_count::EventCount,
}

zeroed!(EventCount);
place!(EventCount);

/// A number of permits: what a [`Semaphore`](crate::Semaphore) is, in one piece of about 8 KiB: it has an entry for every process that
/// may hold some. It is made by [`new`](Semaphore::new) or begun by [`begin`](Semaphore::begin); zeroes are one that has no permits
/// and never gets any.
///
/// # When a holder dies
///
/// As for [`Semaphore`](crate::Semaphore#when-a-holder-dies): its permits are available again, and waiters get them at once.
///
/// # Examples
///
/// ```
/// use multiproc::SharedMemory;
/// use multiproc::raw::{Once, Semaphore};
///
/// let memory = SharedMemory::new(size_of::<Semaphore>() + size_of::<Once>())?;
/// let behind = memory.as_ptr().wrapping_add(size_of::<Semaphore>());
/// // SAFETY: the memory is of this process tree and its handle is kept, zero at first, and used in no other way.
/// let slots = unsafe { Semaphore::at(memory.as_ptr()) }?;
/// // SAFETY: as above.
/// let begun = unsafe { Once::at(behind) }?;
/// // In whichever process comes first.
/// begun.call_once(|| Ok(slots.begin(2)))?;
///
/// let slot = slots.acquire()?;
/// assert_eq!(slots.available(), 1);
/// drop(slot);
/// assert_eq!(slots.available(), 2);
/// # Ok::<(), multiproc::Error>(())
/// ```
#[repr(C, align(64))]
pub struct Semaphore {
    pub(crate) words: Words,
    pub(crate) far: Far,
}

zeroed!(Flag);
place!(Semaphore);

impl Semaphore {
    /// One with so many permits, for a structure in a [`Shared`](crate::Shared).
    pub fn new(permits: u32) -> Semaphore {
        // SAFETY: atomics only, of which zeroes are a value.
        let semaphore: Semaphore = unsafe { core::mem::zeroed() };
        semaphore.begin(permits);
        semaphore
    }

    /// Begins with so many permits. Once, before anybody uses it: see [`Once`]. If it is in use, the number of its permits is
    /// wrong afterwards.
    pub fn begin(&self, permits: u32) {
        self.words.begin(permits, u32::MAX);
    }
}

/// A held [`Lock`]; dropping it gives the lock back and wakes a waiter.
///
/// It belongs to the thread that locked. A guard that is forgotten keeps the lock until its thread ends, and then counts as a
/// death.
#[must_use = "the lock is given back as soon as the guard is dropped"]
pub struct LockGuard {
    pub(crate) lock: &'static Lock,
    pub(crate) me: Id,
    /// The poison goes with the guard.
    pub(crate) recovered: bool,
    pub(crate) not_send: PhantomData<*const ()>,
}

/// One hold of an [`RLock`]; dropping the last one gives the lock back and wakes a waiter. Else as [`LockGuard`].
#[must_use = "the lock is given back as soon as the guard is dropped"]
pub struct RLockGuard {
    pub(crate) lock: &'static RLock,
    pub(crate) me: Id,
    pub(crate) not_send: PhantomData<*const ()>,
}

/// A permit of a [`Semaphore`]; dropping it gives it back and wakes a waiter.
///
/// It belongs to the process, as a [`Permit`](crate::Permit) does.
#[must_use = "the permit is given back as soon as it is dropped"]
pub struct Permit {
    pub(crate) semaphore: &'static Semaphore,
}

impl fmt::Debug for LockGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LockGuard").field("lock", self.lock).finish()
    }
}

impl fmt::Debug for RLockGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RLockGuard").field("lock", self.lock).finish()
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").field("semaphore", self.semaphore).finish()
    }
}

impl fmt::Debug for EventCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventCount").field("waiters", &self.count.has_waiters()).finish()
    }
}

const _: () = {
    assert!(size_of::<Lock>() == 8 && size_of::<RLock>() == 20 && size_of::<Once>() == 12);
    assert!(size_of::<EventCount>() == 4 && size_of::<Flag>() == 4);
    assert!(size_of::<Semaphore>() == 8320);
};
