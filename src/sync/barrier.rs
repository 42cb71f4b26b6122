//! `Barrier`: parties wait for each other, as with `multiprocessing.Barrier`.
//!
//! An object that holds [`Rounds`], with a block for its members. The protocol, and what happens at every death, is described in
//! [`crate::raw::barrier`].

use crate::error::{Error, ErrorKind, Result};
use crate::forms::forms;
use crate::handle::{ObjectRef, travels};
use crate::memory::walk::{Met, Walker, register};
use crate::memory::{Memory, Object};
use crate::raw::barrier::{MOST_PARTIES, Members, Rounds, Words};
use crate::sys::atomic::Ordering;
use crate::sys::clock::Deadline;
use crate::world::Kind;
use std::sync::Arc;

/// A place where a fixed number of parties, threads of any processes, wait for each other; as Python's `multiprocessing.Barrier`.
///
/// Each calls [`wait`](Barrier::wait). When the last one does, all return, and the next round begins. Handles clone and travel like
/// those of a [`Lock`](crate::Lock).
///
/// # When a process dies
///
/// The barrier breaks at once if a process dies that waits, that has passed the barrier before and still has a handle to it, or that has said
/// by [`party`](Barrier::party) that it will come: everybody who waits, and who comes later, gets an error with
/// [`is_broken`](crate::Error::is_broken), until somebody calls [`reset`](Barrier::reset). A process that was never here is missed
/// by a timeout alone. A process that ends in order, its handles dropped, breaks nothing.
///
/// # Differences from Python
///
/// There is no action of the barrier: each wait may bring [one of its own](Barrier::wait_with), and that of the last to arrive runs.
/// A wait that has no time at all does not arrive, unless it is the last, and so breaks nothing.
///
/// # Examples
///
/// ```
/// use multiproc::{Atomic, Barrier, Process};
///
/// fn work(done: Atomic<u32>, all: Barrier) -> multiproc::Result<u32> {
///     done.fetch_add(1);
///     all.wait()?;
///     // Everybody has done its part by now.
///     Ok(done.load())
/// }
///
/// let (done, all) = (Atomic::new(0)?, Barrier::new(3)?);
/// let workers = [(); 3].map(|()| Process::spawn(work, (&done, &all)));
/// for worker in workers {
///     assert_eq!(worker?.join()??, 3);
/// }
/// # Ok::<(), multiproc::Error>(())
/// ```
pub struct Barrier {
    reference: Arc<ObjectRef>,
    rounds: Rounds,
}

/// That a round of a [`Barrier`] is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct BarrierWait {
    /// How many parties of the round had arrived before this one.
    pub index: usize,
}

impl BarrierWait {
    /// How many parties of the round had arrived before this one: each has another number, from 0 on.
    pub fn index(&self) -> usize {
        self.index
    }

    /// Whether this party, and no other one of the round, is to do what one of them should do.
    pub fn is_leader(&self) -> bool {
        self.index == 0
    }
}

impl Barrier {
    /// Makes a barrier for so many parties, gone with its last user.
    ///
    /// # Errors
    ///
    /// - [`is_invalid_input`](crate::Error::is_invalid_input) for no parties at all, or more than 2,147,483,647;
    /// - if this process cannot get shared memory: no descriptors, no memory, or all shared objects in use.
    pub fn new(parties: usize) -> Result<Barrier> {
        let fits = u32::try_from(parties).ok().filter(|it| (1..=MOST_PARTIES).contains(it));
        let count = fits.ok_or_else(|| wrong_number(parties))?;
        let reference = ObjectRef::create(crate::world::world()?, Kind::Barrier, 0)?;
        let words: &Words = reference.object.view();
        words.begin(count);
        let block = reference.make_block(&words.block, size_of::<Members>())?;
        block.write(0, &[0; size_of::<Members>()])?;
        Barrier::from_reference(reference)
    }

    fn from_reference(reference: Arc<ObjectRef>) -> Result<Barrier> {
        let walker = Walker { walk, may_carry: |_| false, may_hold: |_| false, takers: 0 };
        register(Kind::Barrier as u32, walker);
        let world = reference.world;
        let words: &Words = reference.object.view();
        let members = world.memory.block(words.block.load(Ordering::Relaxed))?.get(0)?;
        Ok(Barrier { rounds: Rounds::new(words, members, world.liveness), reference })
    }

    forms! {
        /// Waits until as many as there are parties have called it.
        ///
        /// Blocks until the last one comes, or the barrier breaks. A wait whose time is over breaks it for all others.
        ///
        /// # Errors
        ///
        /// - [`is_broken`](crate::Error::is_broken) if a party died, was too late, or the barrier was [aborted](Barrier::abort) or
        ///   [reset](Barrier::reset);
        /// - [`is_foreign`](crate::Error::is_foreign) in a process made by a plain `fork` that inherited the handle;
        ///   [`is_limit`](crate::Error::is_limit) if there is no slot left for this thread.
        pub fn wait, try_wait, wait_timeout, wait_deadline(&self; until) -> BarrierWait {
            self.arrive(until, None::<fn()>)
        }
        try: Busy, is_busy, "the others are not all there"
    }

    forms! {
        /// As [`wait`](Barrier::wait); if this party is the last to arrive, it runs `last` before anybody goes on.
        ///
        /// If `last` panics, or its process is killed in it, the barrier is broken.
        ///
        /// # Errors
        ///
        /// As [`wait`](Barrier::wait).
        pub fn wait_with, try_wait_with, wait_with_timeout, wait_with_deadline
        (&self, last: impl FnOnce(); until) -> BarrierWait {
            self.arrive(until, Some(last))
        }
        try: Busy, is_busy, "the others are not all there"
    }

    fn arrive(&self, until: Deadline, last: Option<impl FnOnce()>) -> Result<BarrierWait> {
        self.reference.world.liveness.me()?;
        let index = self.rounds.arrive(until, last)? as usize;
        Ok(BarrierWait { index })
    }

    /// Says that this process is a party, before it arrives: if it dies, the barrier breaks. From its first wait on it is one anyway.
    ///
    /// # Errors
    ///
    /// As [`wait`](Barrier::wait), but for a broken barrier.
    pub fn party(&self) -> Result<()> {
        self.reference.world.liveness.me()?;
        self.rounds.join();
        Ok(())
    }

    /// Breaks the barrier: everybody who waits, and who comes later, gets an error with [`is_broken`](crate::Error::is_broken), until
    /// somebody calls [`reset`](Barrier::reset). Never blocks.
    ///
    /// # Errors
    ///
    /// [`is_foreign`](crate::Error::is_foreign) in a process made by a plain `fork` that inherited the handle.
    pub fn abort(&self) -> Result<()> {
        self.reference.world.liveness.me()?;
        self.rounds.abort();
        Ok(())
    }

    /// Makes the barrier as new: nobody waits, and parties that died are forgotten. Everybody who waits gets an error with
    /// [`is_broken`](crate::Error::is_broken).
    ///
    /// # Errors
    ///
    /// As [`abort`](Barrier::abort).
    pub fn reset(&self) -> Result<()> {
        self.rounds.reset()
    }

    /// Whether the barrier is broken at this moment.
    pub fn is_broken(&self) -> bool {
        self.rounds.is_broken()
    }

    /// How many go on together.
    pub fn parties(&self) -> usize {
        self.words().parties() as usize
    }

    /// How many wait at this moment.
    pub fn waiting(&self) -> usize {
        self.rounds.waiting() as usize
    }

    fn words(&self) -> &'static Words {
        self.reference.object.view()
    }
}

/// Tells what a barrier has beside its object.
fn walk(_: &Memory, object: &'static Object, tell: &mut dyn FnMut(Met)) {
    let words: &Words = object.view();
    let block = words.block.load(Ordering::Relaxed);
    if block != 0 {
        tell(Met::Block(block));
    }
}

#[cold]
fn wrong_number(parties: usize) -> Error {
    Error::of(
        ErrorKind::InvalidInput,
        format!("a barrier for {parties} parties: it needs at least 1, and at most {MOST_PARTIES}"),
    )
}

impl Clone for Barrier {
    fn clone(&self) -> Barrier {
        Barrier { reference: self.reference.clone(), rounds: self.rounds.clone() }
    }
}

impl Drop for Barrier {
    fn drop(&mut self) {
        // The last handle of this process: it cannot come any more.
        if Arc::strong_count(&self.reference) == 1 && self.reference.world.is_current() {
            self.rounds.leave();
        }
    }
}

impl core::fmt::Debug for Barrier {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Barrier")
            .field("parties", &self.parties())
            .field("waiting", &self.waiting())
            .field("broken", &self.is_broken())
            .finish()
    }
}

travels!(Barrier);
