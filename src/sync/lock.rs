//! `Lock`: mutual exclusion between processes, as `multiprocessing.Lock`, that no death can wedge.
//!
//! A cell that holds one [`WordLock`]; the protocol and what happens at every death is described there.

use crate::error::{Error, ErrorKind, Result};
use crate::sync::forms::{forms, guards, in_cell, lock_methods};
use crate::sys::atomic::{AtomicU32, Ordering};
use crate::sys::clock::Deadline;
use crate::world::handle::CellRef;
use crate::world::registry::Id;
use crate::world::wait::is_me;
use crate::world::word_lock::{Outcome, Policy, WordLock};
use crate::world::{Shared, World};
use core::marker::PhantomData;
use std::sync::Arc;

/// What a lock's cell holds.
#[repr(C)]
struct LockCell {
    word: WordLock,
    /// 1: the dead are taken over from in silence.
    ignore_owner_death: AtomicU32,
}

#[allow(unsafe_code, reason = "lives in shared memory")]
// SAFETY: a structure of atomics only.
unsafe impl Shared for LockCell {}

/// A thread that holds or held a lock, in the system's numbering.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    /// Its process.
    pub pid: u32,
    /// The thread itself.
    pub tid: u32,
}

impl Owner {
    pub(super) fn of(world: &World, id: Id) -> Option<Owner> {
        world.registry.numbers(id).map(|numbers| Owner { pid: numbers.pid, tid: numbers.tid })
    }
}

/// Mutual exclusion between the processes of a tree, as Python's `multiprocessing.Lock`.
///
/// Cloning gives another handle to the same lock; handles travel to other processes in the arguments of
/// [`Process::spawn`](crate::Process::spawn) and through a [`Queue`](crate::Queue). Uncontended, locking and unlocking is
/// two atomic instructions; a waiter spins for some microseconds, where there is another processor, and then sleeps.
///
/// # When the holder dies
///
/// If the thread that holds the lock ends, is killed or replaced by `exec`, all waiters are released at once: [`lock`] is an
/// error with [`is_owner_died`], because what the lock guards may be half written. The lock is free but stays marked for
/// everyone until [`recover`] takes it and its guard is dropped. Locks that guard nothing which can be half written are
/// made with [`LockBuilder::ignore_owner_death`].
///
/// # Differences from Python
///
/// The guard belongs to the thread that locked: locking again from it is an error with
/// [`is_deadlock`](Error::is_deadlock) where Python hangs, and no other thread can release it. Timeouts are measured on the
/// monotonic clock.
///
/// # In a signal handler
///
/// Not to be used there. An [`Event`](crate::Event) can be set in one.
///
/// # Examples
///
/// ```
/// use multiproc::{Lock, Process};
///
/// fn worker(lock: Lock) -> multiproc::Result<()> {
///     let _guard = lock.lock()?;
///     println!("one at a time");
///     Ok(())
/// }
///
/// let lock = Lock::new()?;
/// let children = [Process::spawn(worker, (&lock,))?, Process::spawn(worker, (&lock,))?];
/// for child in children {
///     child.join()??;
/// }
/// # Ok::<(), multiproc::Error>(())
/// ```
///
/// [`lock`]: Lock::lock
/// [`recover`]: Lock::recover
/// [`is_owner_died`]: Error::is_owner_died
#[derive(Clone)]
pub struct Lock {
    reference: Arc<CellRef>,
    cell: &'static LockCell,
}

guards!(Lock, LockBuilder, LockGuard, OwnedLockGuard);

impl Lock {
    /// Makes a free lock, gone with its last user. No system call once the process uses shared objects at all.
    ///
    /// # Errors
    ///
    /// If this process cannot get shared memory: no descriptors, no memory, or all shared objects in use.
    pub fn new() -> Result<Lock> {
        Lock::create()
    }

    lock_methods!(Lock, LockBuilder, LockGuard, OwnedLockGuard);

    /// Waits for the lock and takes it.
    ///
    /// Blocks while another live thread of any process holds it; woken when it is released or its holder dies.
    ///
    /// # Errors
    ///
    /// [`is_owner_died`](Error::is_owner_died) if the last holder died with it and nobody has recovered it yet;
    /// [`is_deadlock`](Error::is_deadlock) if the calling thread holds it.
    #[inline]
    pub fn lock(&self) -> Result<LockGuard<'_>> {
        let me = self.reference.world.me()?;
        if self.cell.word.try_lock(me) {
            return Ok(LockGuard::new(self, Holding::new(me)));
        }
        self.lock_until(Deadline::NEVER)
    }

    forms!(
        lock_until -> LockGuard<'_>: lock, try_lock, lock_timeout, lock_deadline;
        "another thread holds it"
    );

    /// As [`lock`](Lock::lock), with a guard that owns a handle to the lock and can be kept in a structure.
    ///
    /// # Errors
    ///
    /// As [`lock`](Lock::lock).
    pub fn lock_owned(&self) -> Result<OwnedLockGuard> {
        self.lock_owned_until(Deadline::NEVER)
    }

    forms!(
        lock_owned_until -> OwnedLockGuard:
        lock_owned, try_lock_owned, lock_owned_timeout, lock_owned_deadline;
        "another thread holds it"
    );

    /// Takes the lock although its last holder died with it, to repair what it guards; waits while someone holds it.
    ///
    /// The mark goes when the guard is dropped; until then [`lock`](Lock::lock) goes on answering that the owner died. If
    /// the guard's thread dies too, or panics, the mark stays. A lock that is not marked is simply taken.
    ///
    /// # Errors
    ///
    /// [`is_deadlock`](Error::is_deadlock) if the calling thread holds it.
    pub fn recover(&self) -> Result<LockGuard<'_>> {
        self.recover_until(Deadline::NEVER)
    }

    forms!(
        recover_until -> LockGuard<'_>: recover, try_recover, recover_timeout, recover_deadline;
        "another live thread holds it"
    );

    fn acquire(&self, until: Deadline, policy: Policy) -> Result<Holding> {
        let world = self.reference.world;
        Holding::take(&self.cell.word, world, world.me()?, until, policy)
    }

    #[inline]
    fn release(&self, holding: &Holding) {
        if is_me(holding.me) {
            holding.give_back(&self.cell.word);
        }
    }
}

impl core::fmt::Debug for Lock {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Lock")
            .field("owner", &self.owner())
            .field("owner_died", &self.is_left_by_the_dead())
            .field("waiters", &self.cell.word.has_waiters())
            .finish()
    }
}

in_cell!(Lock);

/// What a guard knows about its hold.
#[derive(Clone, Copy)]
pub(super) struct Holding {
    pub(super) me: Id,
    pub(super) recovered: bool,
    pub(super) dead: Option<Owner>,
}

impl Holding {
    /// Takes the word, waiting until `until`.
    pub(super) fn take(
        word: &'static WordLock,
        world: &World,
        me: Id,
        until: Deadline,
        policy: Policy,
    ) -> Result<Holding> {
        match word.lock(me, world, until, policy) {
            Outcome::Locked => Ok(Holding::new(me)),
            Outcome::Adopted(dead) => {
                let recovered = policy == Policy::Recover;
                Ok(Holding { me, recovered, dead: dead.and_then(|id| Owner::of(world, id)) })
            }
            Outcome::OwnerDied => Err(Error::simple(ErrorKind::OwnerDied)),
            Outcome::Deadlock => Err(Error::simple(ErrorKind::Deadlock)),
            Outcome::TimedOut => Err(Error::simple(ErrorKind::Timeout)),
        }
    }

    /// An ordinary hold.
    #[inline]
    pub(super) fn new(me: Id) -> Holding {
        Holding { me, recovered: false, dead: None }
    }

    /// Gives the word back. The caller is the thread that took it: in a forked child, or after the thread's place was lost,
    /// the hold is not its to give back.
    #[inline]
    pub(super) fn give_back(&self, word: &WordLock) {
        if self.recovered && !std::thread::panicking() {
            word.unlock_recovered(self.me);
        } else {
            // Not recovered, or the repair was not finished: the mark, if there is one, stays.
            word.unlock(self.me);
        }
    }
}
