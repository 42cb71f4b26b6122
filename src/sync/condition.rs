//! `Condition`: waiting for what others do under the same lock, as `multiprocessing.Condition`.
//!
//! An object that holds a [`WaitList`], with a block for its entries. The protocol, and what happens at every death, is described in
//! [`crate::raw::condition`].

use crate::error::Result;
use crate::handle::{ObjectRef, travels};
use crate::memory::walk::{Met, Walker, register};
use crate::memory::{Memory, Object};
use crate::raw::condition::{Entries, WaitList, Words};
use crate::sync::guard::WaitGuard;
use crate::sync::guard::sealed::LetGo;
use crate::sys::atomic::Ordering;
use crate::sys::clock::Deadline;
use crate::world::Kind;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Waiting, with a lock that is let go meanwhile, until another process says that something has changed; as Python's
/// `multiprocessing.Condition`.
///
/// A waiter holds a lock, looks at what the lock guards, and [`wait`](Condition::wait)s if it is not yet as it should be. `wait` lets go
/// of the lock and takes it again before it returns, always, also with an error. Whoever changes what the lock guards
/// [notifies](Condition::notify_one) after that, with or without the lock. A waiter may also return without a notification, and
/// another thread may be faster: so look again after each wait, or use [`wait_while`](Condition::wait_while).
///
/// The lock may be a [`Lock`](crate::Lock), an [`RLock`](crate::RLock), that of a [`Value`](crate::Value) or that of an
/// [`Array`](crate::Array); a lock that can be taken several times is let go at every depth. All who wait at the same time wait with
/// the same lock. Several conditions may go with one lock.
///
/// Handles clone and travel like those of a [`Lock`](crate::Lock).
///
/// # When a process dies
///
/// A notification is for living waiters: one that is dead is not counted, and what a waiter was notified of and died with, before it
/// had the lock again, reaches the next one. Whoever notifies never waits for the waiters. If it is killed half-way, either all
/// that it notifies go on, or none.
///
/// If somebody dies with the lock while a thread waits, `wait` is an error with [`is_owner_died`](crate::Error::is_owner_died). The
/// guard holds the lock then, poisoned as it is; drop it and `recover`.
///
/// # Differences from Python
///
/// The lock is not part of the condition: its guard is given to each wait. Notifying needs no lock. In Python a waiter that is killed
/// makes the next `notify` wait for ever.
///
/// # In a signal handler
///
/// Not to be used there. An [`Event`](crate::Event) can be set in one.
///
/// # Examples
///
/// ```
/// use multiproc::{Condition, Process, Value};
///
/// fn work(jobs: Value<u32>, changed: Condition) -> multiproc::Result<()> {
///     let mut jobs = jobs.lock()?;
///     changed.wait_while(&mut jobs, |jobs| *jobs == 0)?;
///     *jobs -= 1;
///     Ok(())
/// }
///
/// let (jobs, changed) = (Value::new(0)?, Condition::new()?);
/// let workers = [(); 2].map(|()| Process::spawn(work, (&jobs, &changed)));
/// *jobs.lock()? += 2;
/// changed.notify_all();
/// for worker in workers {
///     worker?.join()??;
/// }
/// assert_eq!(jobs.get()?, 0);
/// # Ok::<(), multiproc::Error>(())
/// ```
#[derive(Clone)]
pub struct Condition {
    reference: Arc<ObjectRef>,
    list: WaitList,
}

impl Condition {
    /// Makes a condition that nobody waits for, gone with its last user.
    ///
    /// # Errors
    ///
    /// If this process cannot get shared memory: no descriptors, no memory, or all shared objects in use.
    pub fn new() -> Result<Condition> {
        let reference = ObjectRef::create(crate::world::world()?, Kind::Condition, 0)?;
        let words: &Words = reference.object.view();
        // What is in the block does not matter: no entry is in use.
        reference.make_block(&words.block, size_of::<Entries>())?;
        Condition::from_reference(reference)
    }

    fn from_reference(reference: Arc<ObjectRef>) -> Result<Condition> {
        let walker = Walker { walk, may_carry: |_| false, may_hold: |_| false, takers: 0 };
        register(Kind::Condition as u32, walker);
        let world = reference.world;
        let words: &Words = reference.object.view();
        let entries = world.memory.block(words.block.load(Ordering::Relaxed))?.get(0)?;
        Ok(Condition { list: WaitList::new(words, entries, world.liveness), reference })
    }

    /// Lets go of the guard's lock, waits until notified, and takes the lock again.
    ///
    /// Blocks until a notification reaches this waiter and nobody else holds the lock. It may also return without a
    /// notification.
    ///
    /// # Errors
    ///
    /// The guard holds the lock after each of them.
    ///
    /// - [`is_owner_died`](crate::Error::is_owner_died) if somebody died with the lock meanwhile, or wrote half of the guard's data.
    ///   What is done through the guard after that is not kept, and the poison stays when it is dropped.
    /// - [`is_invalid_input`](crate::Error::is_invalid_input) if others wait for the condition with another lock. Nothing was let go
    ///   then, here and below.
    /// - [`is_already_borrowed`](crate::Error::is_already_borrowed) if this thread has another guard of data under the same lock.
    /// - [`is_busy`](crate::Error::is_busy) if the guard is an [`ArrayGuard`](crate::ArrayGuard), and a part of the array was claimed
    ///   while its lock was let go; [`is_permission_denied`](crate::Error::is_permission_denied) if it was frozen. The guard has no
    ///   elements then.
    /// - [`is_foreign`](crate::Error::is_foreign) in a process made by a plain `fork` that inherited the guard; it holds nothing.
    pub fn wait<G: WaitGuard>(&self, guard: &mut G) -> Result<()> {
        self.wait_until(guard, Deadline::NEVER).map(drop)
    }

    /// As [`wait`](Condition::wait), for at most `timeout`; whether there was a notification.
    ///
    /// The lock is waited for without a limit, so the call may take longer.
    ///
    /// # Errors
    ///
    /// As [`wait`](Condition::wait).
    pub fn wait_timeout<G: WaitGuard>(&self, guard: &mut G, timeout: Duration) -> Result<bool> {
        self.wait_until(guard, Deadline::after(timeout))
    }

    /// As [`wait`](Condition::wait), until `deadline` at most; whether there was a notification.
    ///
    /// # Errors
    ///
    /// As [`wait`](Condition::wait).
    pub fn wait_deadline<G: WaitGuard>(&self, guard: &mut G, deadline: Instant) -> Result<bool> {
        self.wait_until(guard, Deadline::at(deadline))
    }

    /// Waits as long as `is_waiting` says so of the guard's data; Python's `wait_for` with the question turned round.
    ///
    /// The question is asked with the lock held: at once, and after each notification.
    ///
    /// # Errors
    ///
    /// As [`wait`](Condition::wait).
    pub fn wait_while<G: WaitGuard>(
        &self,
        guard: &mut G,
        is_waiting: impl FnMut(&mut G::Data) -> bool,
    ) -> Result<()> {
        self.wait_while_until(guard, is_waiting, Deadline::NEVER).map(drop)
    }

    /// As [`wait_while`](Condition::wait_while), for at most `timeout`; false if `is_waiting` still says so then.
    ///
    /// # Errors
    ///
    /// As [`wait`](Condition::wait).
    pub fn wait_while_timeout<G: WaitGuard>(
        &self,
        guard: &mut G,
        is_waiting: impl FnMut(&mut G::Data) -> bool,
        timeout: Duration,
    ) -> Result<bool> {
        self.wait_while_until(guard, is_waiting, Deadline::after(timeout))
    }

    /// As [`wait_while`](Condition::wait_while), until `deadline` at most; false if `is_waiting` still says so then.
    ///
    /// # Errors
    ///
    /// As [`wait`](Condition::wait).
    pub fn wait_while_deadline<G: WaitGuard>(
        &self,
        guard: &mut G,
        is_waiting: impl FnMut(&mut G::Data) -> bool,
        deadline: Instant,
    ) -> Result<bool> {
        self.wait_while_until(guard, is_waiting, Deadline::at(deadline))
    }

    fn wait_while_until<G: WaitGuard>(
        &self,
        guard: &mut G,
        mut is_waiting: impl FnMut(&mut G::Data) -> bool,
        until: Deadline,
    ) -> Result<bool> {
        while is_waiting(guard.data()) {
            if !self.wait_until(guard, until)? && until.is_over() {
                return Ok(!is_waiting(guard.data()));
            }
        }
        Ok(true)
    }

    fn wait_until(&self, guard: &mut impl LetGo, until: Deadline) -> Result<bool> {
        let lock = guard.may_let_go()?;
        let place = self.list.enter(self.reference.world.liveness.me()?, lock)?;
        let depth = guard.let_go();
        self.list.sleep(&place, until);
        let again = guard.take_again(depth);
        // Only now: if this process dies before, its notification is the next waiter's.
        let is_notified = self.list.leave(&place)?;
        again.map(|()| is_notified)
    }

    /// Notifies the waiter that has waited longest. Never blocks for longer than a moment; does nothing if nobody waits.
    pub fn notify_one(&self) {
        self.list.notify(1);
    }

    /// Notifies so many waiters, the oldest first; all there are, if there are fewer.
    pub fn notify(&self, waiters: usize) {
        self.list.notify(waiters);
    }

    /// Notifies everyone who waits.
    pub fn notify_all(&self) {
        self.list.notify(usize::MAX);
    }
}

/// Tells what a condition has beside its object.
fn walk(_: &Memory, object: &'static Object, tell: &mut dyn FnMut(Met)) {
    let words: &Words = object.view();
    let block = words.block.load(Ordering::Relaxed);
    if block != 0 {
        tell(Met::Block(block));
    }
}

impl core::fmt::Debug for Condition {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Condition").field("waiters", &self.list.waiters()).finish()
    }
}

travels!(Condition);
