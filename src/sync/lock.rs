//! `Lock`: mutual exclusion between processes, as `multiprocessing.Lock`, that no death can wedge.
//!
//! A cell that holds one [`WordLock`]; the protocol and what happens at every death is described there.

use crate::error::{Error, ErrorKind, Result};
use crate::sys::atomic::{AtomicU32, Ordering};
use crate::sys::clock::Deadline;
use crate::world::handle::{self, CellRef, Kind};
use crate::world::registry::Id;
use crate::world::wait::is_me;
use crate::world::word_lock::{Outcome, Policy, WordLock};
use crate::world::{Shared, World};
use core::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant};

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
    fn of(world: &World, id: Id) -> Option<Owner> {
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

/// How a [`Lock`] is to be made; see [`Lock::builder`].
#[derive(Clone, Debug, Default)]
#[must_use = "a builder makes nothing until `build` is called"]
pub struct LockBuilder {
    ignore_owner_death: bool,
}

impl LockBuilder {
    /// Whether a dead holder's lock simply becomes free, without an error and a mark. For locks that guard no data.
    pub fn ignore_owner_death(mut self, ignore: bool) -> LockBuilder {
        self.ignore_owner_death = ignore;
        self
    }

    /// Makes the lock.
    ///
    /// # Errors
    ///
    /// As [`Lock::new`].
    pub fn build(self) -> Result<Lock> {
        let lock = Lock::new()?;
        lock.cell.ignore_owner_death.store(u32::from(self.ignore_owner_death), Ordering::Relaxed);
        Ok(lock)
    }
}

impl Lock {
    /// Makes a free lock, gone with its last user. No system call once the process uses shared objects at all.
    ///
    /// # Errors
    ///
    /// If this process cannot get shared memory: no descriptors, no memory, or all shared objects in use.
    pub fn new() -> Result<Lock> {
        let world = crate::world::world()?;
        Ok(Lock::from_reference(CellRef::create(world, Kind::Lock, 0)?))
    }

    /// For the less common choices.
    pub fn builder() -> LockBuilder {
        LockBuilder::default()
    }

    fn from_reference(reference: Arc<CellRef>) -> Lock {
        let cell = reference.cell.view();
        Lock { reference, cell }
    }

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
            return Ok(LockGuard::new(self, Holding { me, recovered: false, dead: None }));
        }
        self.lock_until(Deadline::NEVER)
    }

    /// Takes the lock if it is free.
    ///
    /// # Errors
    ///
    /// [`is_busy`](Error::is_busy) if another thread holds it; else as [`lock`](Lock::lock).
    pub fn try_lock(&self) -> Result<LockGuard<'_>> {
        busy(self.lock_until(Deadline::NOW))
    }

    /// Waits at most `timeout` for the lock.
    ///
    /// # Errors
    ///
    /// [`is_timeout`](Error::is_timeout) if it was not to be had in time; else as [`lock`](Lock::lock).
    pub fn lock_timeout(&self, timeout: Duration) -> Result<LockGuard<'_>> {
        self.lock_until(Deadline::after(timeout))
    }

    /// Waits at most until `deadline` for the lock.
    ///
    /// # Errors
    ///
    /// As [`lock_timeout`](Lock::lock_timeout).
    pub fn lock_deadline(&self, deadline: Instant) -> Result<LockGuard<'_>> {
        self.lock_until(Deadline::at(deadline))
    }

    fn lock_until(&self, until: Deadline) -> Result<LockGuard<'_>> {
        let holding = self.acquire(until, self.policy())?;
        Ok(LockGuard::new(self, holding))
    }

    /// As [`lock`](Lock::lock), with a guard that owns a handle to the lock and can be kept in a structure.
    ///
    /// # Errors
    ///
    /// As [`lock`](Lock::lock).
    pub fn lock_owned(&self) -> Result<OwnedLockGuard> {
        self.lock_owned_until(Deadline::NEVER)
    }

    /// As [`try_lock`](Lock::try_lock), with an owned guard.
    ///
    /// # Errors
    ///
    /// As [`try_lock`](Lock::try_lock).
    pub fn try_lock_owned(&self) -> Result<OwnedLockGuard> {
        busy(self.lock_owned_until(Deadline::NOW))
    }

    /// As [`lock_timeout`](Lock::lock_timeout), with an owned guard.
    ///
    /// # Errors
    ///
    /// As [`lock_timeout`](Lock::lock_timeout).
    pub fn lock_owned_timeout(&self, timeout: Duration) -> Result<OwnedLockGuard> {
        self.lock_owned_until(Deadline::after(timeout))
    }

    /// As [`lock_deadline`](Lock::lock_deadline), with an owned guard.
    ///
    /// # Errors
    ///
    /// As [`lock_deadline`](Lock::lock_deadline).
    pub fn lock_owned_deadline(&self, deadline: Instant) -> Result<OwnedLockGuard> {
        self.lock_owned_until(Deadline::at(deadline))
    }

    fn lock_owned_until(&self, until: Deadline) -> Result<OwnedLockGuard> {
        let holding = self.acquire(until, self.policy())?;
        Ok(OwnedLockGuard { lock: self.clone(), holding, not_send: PhantomData })
    }

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

    /// As [`recover`](Lock::recover), without waiting.
    ///
    /// # Errors
    ///
    /// [`is_busy`](Error::is_busy) if another live thread holds it; else as [`recover`](Lock::recover).
    pub fn try_recover(&self) -> Result<LockGuard<'_>> {
        busy(self.recover_until(Deadline::NOW))
    }

    /// As [`recover`](Lock::recover), waiting at most `timeout`.
    ///
    /// # Errors
    ///
    /// [`is_timeout`](Error::is_timeout) if it was not to be had in time; else as [`recover`](Lock::recover).
    pub fn recover_timeout(&self, timeout: Duration) -> Result<LockGuard<'_>> {
        self.recover_until(Deadline::after(timeout))
    }

    /// As [`recover`](Lock::recover), waiting at most until `deadline`.
    ///
    /// # Errors
    ///
    /// As [`recover_timeout`](Lock::recover_timeout).
    pub fn recover_deadline(&self, deadline: Instant) -> Result<LockGuard<'_>> {
        self.recover_until(Deadline::at(deadline))
    }

    fn recover_until(&self, until: Deadline) -> Result<LockGuard<'_>> {
        let holding = self.acquire(until, Policy::Recover)?;
        Ok(LockGuard::new(self, holding))
    }

    fn policy(&self) -> Policy {
        if self.cell.ignore_owner_death.load(Ordering::Relaxed) == 1 {
            Policy::Adopt
        } else {
            Policy::Report
        }
    }

    fn acquire(&self, until: Deadline, policy: Policy) -> Result<Holding> {
        let world = self.reference.world;
        let me = world.me()?;
        match self.cell.word.lock(me, world, until, policy) {
            Outcome::Locked => Ok(Holding { me, recovered: false, dead: None }),
            Outcome::Adopted(dead) => {
                let recovered = policy == Policy::Recover;
                Ok(Holding { me, recovered, dead: dead.and_then(|id| Owner::of(world, id)) })
            }
            Outcome::OwnerDied => Err(Error::simple(ErrorKind::OwnerDied)),
            Outcome::Deadlock => Err(Error::simple(ErrorKind::Deadlock)),
            Outcome::TimedOut => Err(Error::simple(ErrorKind::Timeout)),
        }
    }

    /// Whether a live thread holds the lock at this moment.
    pub fn is_locked(&self) -> bool {
        self.live_owner().is_some()
    }

    /// The live thread that holds the lock at this moment.
    pub fn owner(&self) -> Option<Owner> {
        Owner::of(self.reference.world, self.live_owner()?)
    }

    fn live_owner(&self) -> Option<Id> {
        self.cell.word.owner().filter(|&id| !self.reference.world.registry.is_dead(id))
    }
}

/// A look without waiting that found the lock held is `Busy`, not a timeout.
fn busy<T>(result: Result<T>) -> Result<T> {
    result.map_err(|error| if error.is_timeout() { Error::simple(ErrorKind::Busy) } else { error })
}

impl core::fmt::Debug for Lock {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let owner = self.live_owner();
        let dead =
            self.cell.word.is_marked() || (owner.is_none() && self.cell.word.owner().is_some());
        f.debug_struct("Lock")
            .field("owner", &owner.and_then(|id| Owner::of(self.reference.world, id)))
            .field("owner_died", &dead)
            .field("waiters", &self.cell.word.has_waiters())
            .finish()
    }
}

impl serde::Serialize for Lock {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        handle::serialize(&self.reference, 0, serializer)
    }
}

impl<'de> serde::Deserialize<'de> for Lock {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Lock, D::Error> {
        let (reference, _) = handle::deserialize(deserializer, Kind::Lock)?;
        Ok(Lock::from_reference(reference))
    }
}

/// What a guard knows about its hold.
#[derive(Clone, Copy)]
struct Holding {
    me: Id,
    recovered: bool,
    dead: Option<Owner>,
}

impl Holding {
    #[inline]
    fn release(&self, cell: &LockCell) {
        // In a forked child, or after the thread's place was lost, the hold is not this thread's to give back.
        if !is_me(self.me) {
            return;
        }
        if !self.recovered {
            cell.word.unlock(self.me);
        } else if std::thread::panicking() {
            // The repair was not finished: the mark stays.
            cell.word.unlock(self.me);
        } else {
            cell.word.unlock_recovered(self.me);
        }
    }
}

/// A held [`Lock`]; dropping it releases the lock and wakes a waiter.
///
/// It belongs to the thread that locked. A guard that is forgotten keeps the lock until its thread ends.
#[must_use = "the lock is released as soon as the guard is dropped"]
pub struct LockGuard<'a> {
    lock: &'a Lock,
    holding: Holding,
    not_send: PhantomData<*const ()>,
}

impl<'a> LockGuard<'a> {
    #[inline]
    fn new(lock: &'a Lock, holding: Holding) -> LockGuard<'a> {
        LockGuard { lock, holding, not_send: PhantomData }
    }

    /// The holder that died with the lock, in a guard of [`Lock::recover`]; `None` also when the system has given its place
    /// to another thread since.
    pub fn dead_owner(&self) -> Option<Owner> {
        self.holding.dead
    }
}

impl Drop for LockGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        self.holding.release(self.lock.cell);
    }
}

impl core::fmt::Debug for LockGuard<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("LockGuard").field("lock", self.lock).finish()
    }
}

/// A held [`Lock`] with a handle to it, for keeping in a structure; else as [`LockGuard`].
#[must_use = "the lock is released as soon as the guard is dropped"]
pub struct OwnedLockGuard {
    lock: Lock,
    holding: Holding,
    not_send: PhantomData<*const ()>,
}

impl Drop for OwnedLockGuard {
    fn drop(&mut self) {
        self.holding.release(self.lock.cell);
    }
}

impl core::fmt::Debug for OwnedLockGuard {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("OwnedLockGuard").field("lock", &self.lock).finish()
    }
}
