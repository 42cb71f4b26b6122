//! `RLock`: a lock that its holder can take again, as `multiprocessing.RLock`.
//!
//! # The cell
//!
//! ```text
//! 0  8  word         the lock word ([`crate::world::word_lock`]): who holds it      THE TRUTH
//! 8  4  depth        how often the holder holds it; written by the holder alone
//! 12 4  unfinished   1: a guard of the holder was dropped by a panic; written by the holder alone
//! 16 4  ignore_owner_death
//! ```
//!
//! - *Lock*: if the word names the caller, depth + 1. Else take the word; then depth = 1, unfinished = 0.
//! - *Drop of a guard*: if depth is above 1, depth - 1. Else depth = 0 and give the word back: with its mark if unfinished
//!   is 1, without it if not. Guards may be dropped in any order.
//!
//! # If a process dies
//!
//! Depth and unfinished mean something only to the thread that the word names. Whatever they are when it dies, whoever takes
//! the word over writes both before it does anything else. The rest is as for the word itself.

use crate::error::{Error, ErrorKind, Result};
use crate::sync::forms::{forms, guards, in_cell, lock_methods};
use crate::sync::lock::{Holding, Owner};
use crate::sys::atomic::{AtomicU32, Ordering};
use crate::sys::clock::Deadline;
use crate::world::Shared;
use crate::world::handle::CellRef;
use crate::world::registry::Id;
use crate::world::wait::is_me;
use crate::world::word_lock::{Policy, WordLock};
use core::marker::PhantomData;
use std::sync::Arc;

#[repr(C)]
struct RLockCell {
    word: WordLock,
    depth: AtomicU32,
    unfinished: AtomicU32,
    ignore_owner_death: AtomicU32,
}

#[allow(unsafe_code, reason = "lives in shared memory")]
// SAFETY: a structure of atomics only.
unsafe impl Shared for RLockCell {}

/// Mutual exclusion that the holding thread can enter again, as Python's `multiprocessing.RLock`.
///
/// Like [`Lock`](crate::Lock) in everything else: how it waits, how it travels, how much it costs. Each guard counts one; the
/// lock is released when the last one is dropped, in whatever order.
///
/// # When the holder dies
///
/// As for [`Lock`](crate::Lock#when-the-holder-dies), however deep the holder was: waiters are released at once with
/// [`is_owner_died`], until [`recover`] takes the lock and all guards that its thread has from then on are dropped. The
/// recovering thread may lock again meanwhile.
///
/// # Differences from Python
///
/// It belongs to a thread, not to a process with a thread number that another process may have too. Only guards release it,
/// so it cannot be released too often or by another. Timeouts are measured on the monotonic clock.
///
/// # In a signal handler
///
/// Not to be used there. An [`Event`](crate::Event) can be set in one.
///
/// # Examples
///
/// ```
/// use multiproc::{Process, RLock};
///
/// fn add(lock: &RLock, line: &str) -> multiproc::Result<()> {
///     let _guard = lock.lock()?;
///     println!("{line}");
///     Ok(())
/// }
///
/// fn verse(lock: RLock) -> multiproc::Result<()> {
///     // Both lines together; each locks again.
///     let _guard = lock.lock()?;
///     add(&lock, "roses are red")?;
///     add(&lock, "violets are blue")
/// }
///
/// let lock = RLock::new()?;
/// let children = [Process::spawn(verse, (&lock,))?, Process::spawn(verse, (&lock,))?];
/// for child in children {
///     child.join()??;
/// }
/// # Ok::<(), multiproc::Error>(())
/// ```
///
/// [`recover`]: RLock::recover
/// [`is_owner_died`]: Error::is_owner_died
#[derive(Clone)]
pub struct RLock {
    reference: Arc<CellRef>,
    cell: &'static RLockCell,
}

guards!(RLock, RLockBuilder, RLockGuard, OwnedRLockGuard);

impl RLock {
    /// Makes a free lock, gone with its last user. No system call once the process uses shared objects at all.
    ///
    /// # Errors
    ///
    /// If this process cannot get shared memory: no descriptors, no memory, or all shared objects in use.
    pub fn new() -> Result<RLock> {
        RLock::create()
    }

    lock_methods!(RLock, RLockBuilder, RLockGuard, OwnedRLockGuard);

    /// Waits for the lock and takes it, or takes it once more.
    ///
    /// Blocks while another live thread of any process holds it; woken when it is released or its holder dies.
    ///
    /// # Errors
    ///
    /// [`is_owner_died`](Error::is_owner_died) if the last holder died with it and nobody has recovered it yet;
    /// [`is_limit`](Error::is_limit) if the calling thread holds it 4,294,967,295 times.
    #[inline]
    pub fn lock(&self) -> Result<RLockGuard<'_>> {
        let me = self.reference.world.me()?;
        if self.cell.word.try_lock(me) {
            self.enter();
            return Ok(RLockGuard::new(self, Holding::new(me)));
        }
        self.lock_until(Deadline::NEVER)
    }

    forms!(
        lock_until -> RLockGuard<'_>: lock, try_lock, lock_timeout, lock_deadline;
        "another thread holds it"
    );

    /// As [`lock`](RLock::lock), with a guard that owns a handle to the lock and can be kept in a structure.
    ///
    /// # Errors
    ///
    /// As [`lock`](RLock::lock).
    pub fn lock_owned(&self) -> Result<OwnedRLockGuard> {
        self.lock_owned_until(Deadline::NEVER)
    }

    forms!(
        lock_owned_until -> OwnedRLockGuard:
        lock_owned, try_lock_owned, lock_owned_timeout, lock_owned_deadline;
        "another thread holds it"
    );

    /// Takes the lock although its last holder died with it, to repair what it guards; waits while someone holds it.
    ///
    /// The mark goes with the last guard of the recovering thread; until then [`lock`](RLock::lock) goes on answering all
    /// others that the owner died. If that thread dies too, or a panic drops one of its guards, the mark stays. A lock that
    /// is not marked is simply taken.
    ///
    /// # Errors
    ///
    /// [`is_limit`](Error::is_limit) if the calling thread holds it 4,294,967,295 times.
    pub fn recover(&self) -> Result<RLockGuard<'_>> {
        self.recover_until(Deadline::NEVER)
    }

    forms!(
        recover_until -> RLockGuard<'_>: recover, try_recover, recover_timeout, recover_deadline;
        "another live thread holds it"
    );

    /// How often the live thread that holds the lock holds it; 0 if it is free.
    pub fn depth(&self) -> u32 {
        // The holder counts a moment after it has taken the word.
        self.live_owner().map_or(0, |_| self.cell.depth.load(Ordering::Relaxed).max(1))
    }

    fn acquire(&self, until: Deadline, policy: Policy) -> Result<Holding> {
        let (cell, world) = (self.cell, self.reference.world);
        let me = world.me()?;
        if cell.word.owner() != Some(me) {
            let holding = Holding::take(&cell.word, world, me, until, policy)?;
            self.enter();
            return Ok(holding);
        }
        let Some(depth) = cell.depth.load(Ordering::Relaxed).checked_add(1) else {
            return Err(Error::new(
                ErrorKind::Limit,
                format!("this thread holds the lock {} times already: drop some guards", u32::MAX),
            ));
        };
        cell.depth.store(depth, Ordering::Relaxed);
        Ok(Holding::new(me))
    }

    /// The word has just been taken.
    #[inline]
    fn enter(&self) {
        self.cell.depth.store(1, Ordering::Relaxed);
        self.cell.unfinished.store(0, Ordering::Relaxed);
    }

    #[inline]
    fn release(&self, holding: &Holding) {
        let cell = self.cell;
        if !is_me(holding.me) {
            return;
        }
        // Relaxed, as everywhere: depth and unfinished are the holder's own, and the word orders one holder after the other.
        if std::thread::panicking() {
            cell.unfinished.store(1, Ordering::Relaxed);
        }
        let outer = cell.depth.load(Ordering::Relaxed).saturating_sub(1);
        cell.depth.store(outer, Ordering::Relaxed);
        if outer == 0 {
            let finished = cell.unfinished.load(Ordering::Relaxed) == 0;
            let recovered = finished && cell.word.is_marked();
            Holding { recovered, ..*holding }.give_back(&cell.word);
        }
    }
}

impl core::fmt::Debug for RLock {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("RLock")
            .field("owner", &self.owner())
            .field("depth", &self.depth())
            .field("owner_died", &self.is_left_by_the_dead())
            .field("waiters", &self.cell.word.has_waiters())
            .finish()
    }
}

in_cell!(RLock);
