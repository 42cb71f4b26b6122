//! `Semaphore` and `BoundedSemaphore`: permits that processes take and give back, as in `multiprocessing`.
//!
//! An object that holds [`Words`]; the protocol, and what happens at every death, is described in [`crate::raw::permits`]. Once a
//! fifth process wants a permit, or one wants more than 127, the semaphore has a block too, for life.

use crate::error::Result;
use crate::forms::forms;
use crate::handle::{ObjectRef, travels};
use crate::liveness::{Id, Liveness};
use crate::memory::walk::{Met, Walker, register};
use crate::memory::{Memory, Object};
use crate::raw::permits::{Far, Locked as _, Permits as _, Seat, View, Words};
use crate::sys::clock::Deadline;
use crate::world::Kind;
use std::sync::{Arc, OnceLock};

/// This process's view of a semaphore.
#[derive(Clone)]
struct Permits {
    reference: Arc<ObjectRef>,
    words: &'static Words,
    /// The semaphore's block, once it was needed here.
    far: OnceLock<&'static Far>,
    /// Where this process stands in the semaphore's state, once it has acquired.
    seat: OnceLock<Seat>,
    process: u32,
}

impl Permits {
    fn new(kind: Kind, permits: u32, most: u32) -> Result<Permits> {
        let reference = ObjectRef::create(crate::world::world()?, kind, 0)?;
        let view = Permits::from_reference(reference);
        view.words.begin(permits, most);
        Ok(view)
    }

    fn from_reference(reference: Arc<ObjectRef>) -> Permits {
        for kind in [Kind::Semaphore, Kind::BoundedSemaphore] {
            let walker = Walker { walk, may_carry: |_| false, may_hold: |_| false, takers: 0 };
            register(kind as u32, walker);
        }
        let process = reference.world.liveness.this_process().to_bits();
        let words = reference.object.view();
        Permits { reference, words, far: OnceLock::new(), seat: OnceLock::new(), process }
    }

    fn fmt(&self, name: &str, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct(name)
            .field("available", &self.available())
            .field("permits", &self.words.total())
            .field("waiters", &self.words.has_waiters())
            .finish()
    }
}

impl View for Permits {
    #[inline]
    fn words(&self) -> &'static Words {
        self.words
    }

    #[inline]
    fn liveness(&self) -> &'static Liveness {
        self.reference.world.liveness
    }

    #[inline]
    fn process(&self) -> u32 {
        self.process
    }

    #[inline]
    fn own_seat(&self) -> &OnceLock<Seat> {
        &self.seat
    }

    fn far(&self) -> Result<Option<&'static Far>> {
        if let Some(far) = self.far.get() {
            return Ok(Some(far));
        }
        let Some(block) = self.words.block() else { return Ok(None) };
        let far = self.reference.world.memory.block(block)?.get(0)?;
        Ok(Some(self.far.get_or_init(|| far)))
    }

    #[cold]
    fn add_far(&self, me: Id, until: Deadline) -> Result<()> {
        let memory = &self.reference.world.memory;
        let block = memory.alloc(size_of::<Far>(), me)?;
        block.write(0, &[0; size_of::<Far>()])?;
        let give = || block.give_for_life(self.reference.id);
        let published = self.publish(me, until, block.id(), give);
        if !matches!(published, Ok(true)) {
            memory.free(block);
        }
        published.map(drop)
    }
}

/// Tells what a semaphore has beside its object.
fn walk(_: &Memory, object: &'static Object, tell: &mut dyn FnMut(Met)) {
    let words: &Words = object.view();
    if let Some(block) = words.block() {
        tell(Met::Block(block));
    }
}

/// What both kinds of semaphores can do.
macro_rules! semaphore {
    ($semaphore:ident) => {
        impl $semaphore {
            forms! {
                /// Waits for a permit and takes it.
                ///
                /// Blocks while none is available; woken when one is given back or released, or when a process that holds some is
                /// dead.
                ///
                /// # Errors
                ///
                /// [`is_foreign`](crate::Error::is_foreign) in a process made by a plain `fork` that inherited the handle;
                /// [`is_limit`](crate::Error::is_limit) or [`is_out_of_memory`](crate::Error::is_out_of_memory) if there is no room
                /// left for this thread, or for the permits of a fifth process, or for more than 127 of one.
                pub fn acquire, try_acquire, acquire_timeout, acquire_deadline(&self; until) -> Permit<'_> {
                    self.permits.acquire(until)?;
                    Ok(Permit { permits: &self.permits })
                }
                try: Busy, is_busy, "none is available"
            }

            forms! {
                #[doc = concat!("As [`acquire`](", stringify!($semaphore), "::acquire), with a permit that owns a handle to the")]
                /// semaphore and can be kept in a structure.
                ///
                /// # Errors
                ///
                #[doc = concat!("As [`acquire`](", stringify!($semaphore), "::acquire).")]
                pub fn acquire_owned, try_acquire_owned, acquire_owned_timeout, acquire_owned_deadline
                (&self; until) -> OwnedPermit {
                    self.permits.acquire(until)?;
                    Ok(OwnedPermit { permits: self.permits.clone(), is_held: true })
                }
                try: Busy, is_busy, "none is available"
            }

            /// How many permits are available at this moment. Permits that dead processes held count as available.
            pub fn available(&self) -> u32 {
                self.permits.available()
            }

            fn from_reference(reference: Arc<ObjectRef>) -> Result<$semaphore> {
                let permits = Permits::from_reference(reference.clone());
                Ok($semaphore { permits, reference })
            }
        }

        impl core::fmt::Debug for $semaphore {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                self.permits.fmt(stringify!($semaphore), f)
            }
        }

        travels!($semaphore);
    };
}

/// A number of permits that the processes of a tree share, as Python's `multiprocessing.Semaphore`.
///
/// Cloning gives another handle to the same semaphore; handles travel to other processes in the arguments of
/// [`Process::spawn`](crate::Process::spawn) and through a [`Queue`](crate::Queue). While a permit is available, taking it and
/// giving it back makes no system call; a waiter spins for some microseconds, where there is another processor, and then
/// sleeps.
///
/// It is used in two ways. To let so many in at a time: [`acquire`](Semaphore::acquire) gives a [`Permit`], and dropping it
/// gives it back. To count signals from one process to another: the one calls [`release`](Semaphore::release), the other
/// acquires and [`forget`](Permit::forget)s.
///
/// # When a holder dies
///
/// A permit belongs to the process that acquired it. When the process has ended, been killed or replaced by `exec`, its
/// permits are available again, and waiters get them at once; those that it forgot are not. A waiter that dies or is stopped
/// holds nobody up for longer than a moment. A process that is stopped in the very middle of its first acquire, or, while more than four
/// processes use the semaphore, of taking or giving back, may hold up the others until it goes on or is killed; forms without
/// waiting, and with a time, give up 100 ms later than usual then.
///
/// # Differences from Python
///
/// Permits come back from the dead; in Python the count stays low for ever. A pair of acquire and release in different
/// processes is therefore written with [`forget`](Permit::forget): a permit that is not forgotten is given back when it is
/// dropped. Timeouts are measured on the monotonic clock.
///
/// # In a signal handler
///
/// Not to be used there. An [`Event`](crate::Event) can be set in one.
///
/// # Examples
///
/// At most two at a time:
///
/// ```
/// use multiproc::{Process, Semaphore};
///
/// fn download(slots: Semaphore, number: u32) -> multiproc::Result<()> {
///     let _slot = slots.acquire()?;
///     println!("downloading {number}");
///     Ok(())
/// }
///
/// let slots = Semaphore::new(2)?;
/// let children: Vec<_> =
///     (0..4).map(|number| Process::spawn(download, (&slots, number))).collect::<Result<_, _>>()?;
/// for child in children {
///     child.join()??;
/// }
/// assert_eq!(slots.available(), 2);
/// # Ok::<(), multiproc::Error>(())
/// ```
///
/// Signals that are counted:
///
/// ```
/// use multiproc::{Process, Semaphore};
///
/// fn work(done: Semaphore) -> multiproc::Result<()> {
///     (0..3).try_for_each(|_| done.release(1))
/// }
///
/// let done = Semaphore::new(0)?;
/// let child = Process::spawn(work, (&done,))?;
/// for _ in 0..3 {
///     done.acquire()?.forget();
/// }
/// child.join()??;
/// assert_eq!(done.available(), 0);
/// # Ok::<(), multiproc::Error>(())
/// ```
#[derive(Clone)]
pub struct Semaphore {
    permits: Permits,
    reference: Arc<ObjectRef>,
}

impl Semaphore {
    /// Makes a semaphore with so many permits available, gone with its last user. Makes a system call only for the first
    /// shared object in a process.
    ///
    /// # Errors
    ///
    /// If this process cannot get shared memory: no descriptors, no memory, or all shared objects in use.
    pub fn new(permits: u32) -> Result<Semaphore> {
        let permits = Permits::new(Kind::Semaphore, permits, u32::MAX)?;
        Ok(Semaphore { reference: permits.reference.clone(), permits })
    }

    /// Adds permits, and wakes as many waiters. From any thread of any process, with or without a permit.
    ///
    /// # Errors
    ///
    /// [`is_limit`](crate::Error::is_limit) if there would be more than 4,294,967,295 permits, those that are held included; nothing
    /// is added then. [`is_foreign`](crate::Error::is_foreign) in a process made by a plain `fork`.
    pub fn release(&self, permits: u32) -> Result<()> {
        self.permits.release(permits)
    }
}

semaphore!(Semaphore);

/// A [`Semaphore`] that never has more permits than at the start, as Python's `multiprocessing.BoundedSemaphore`: releasing
/// one too often, which is mostly a mistake in the program, is an error.
///
/// Everything else is as for a [`Semaphore`].
///
/// # Differences from Python
///
/// A permit that someone holds counts, since it will be given back: only for one that was [forgotten](Permit::forget) is
/// there anything to release. The permits of a dead process come back by themselves; releasing in its stead is an error.
///
/// # Examples
///
/// ```
/// use multiproc::BoundedSemaphore;
///
/// let semaphore = BoundedSemaphore::new(1)?;
/// semaphore.acquire()?.forget();
/// semaphore.release(1)?;
/// assert!(semaphore.release(1).unwrap_err().is_limit());
/// assert_eq!(semaphore.available(), 1);
/// # Ok::<(), multiproc::Error>(())
/// ```
#[derive(Clone)]
pub struct BoundedSemaphore {
    permits: Permits,
    reference: Arc<ObjectRef>,
}

impl BoundedSemaphore {
    /// Makes a semaphore with so many permits available, and never more.
    ///
    /// # Errors
    ///
    /// As [`Semaphore::new`].
    pub fn new(permits: u32) -> Result<BoundedSemaphore> {
        let permits = Permits::new(Kind::BoundedSemaphore, permits, permits)?;
        Ok(BoundedSemaphore { reference: permits.reference.clone(), permits })
    }

    /// Gives back permits that were [forgotten](Permit::forget), and wakes as many waiters. From any thread of any process.
    ///
    /// # Errors
    ///
    /// [`is_limit`](crate::Error::is_limit) if there would be more permits than at the start, those that are held included; nothing
    /// is added then. [`is_foreign`](crate::Error::is_foreign) in a process made by a plain `fork`.
    pub fn release(&self, permits: u32) -> Result<()> {
        self.permits.release(permits)
    }
}

semaphore!(BoundedSemaphore);

/// A permit of a [`Semaphore`] or [`BoundedSemaphore`]; dropping it gives it back and wakes a waiter.
///
/// It belongs to the process, not to the thread: it can go to another thread and be dropped there. When the process ends, by
/// whatever death, all its permits are given back. In a child made by a plain `fork`, the copy of a permit counts for
/// nothing.
#[must_use = "the permit is given back as soon as it is dropped"]
pub struct Permit<'a> {
    permits: &'a Permits,
}

impl Permit<'_> {
    /// Uses the permit up. It is never given back, not even when the process dies. [`release`](Semaphore::release) makes a new
    /// one.
    pub fn forget(self) {
        self.permits.forget();
        core::mem::forget(self);
    }
}

impl Drop for Permit<'_> {
    #[inline]
    fn drop(&mut self) {
        self.permits.give_back();
    }
}

impl core::fmt::Debug for Permit<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.permits.fmt("Permit", f)
    }
}

/// A [`Permit`] with a handle to its semaphore, for keeping in a structure.
#[must_use = "the permit is given back as soon as it is dropped"]
pub struct OwnedPermit {
    permits: Permits,
    is_held: bool,
}

impl OwnedPermit {
    /// As [`Permit::forget`].
    pub fn forget(mut self) {
        self.permits.forget();
        self.is_held = false;
    }
}

impl Drop for OwnedPermit {
    fn drop(&mut self) {
        if self.is_held {
            self.permits.give_back();
        }
    }
}

impl core::fmt::Debug for OwnedPermit {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.permits.fmt("OwnedPermit", f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_block_stays_when_the_thread_that_made_it_ends() {
        let semaphore = Semaphore::new(200).unwrap();
        let take = || (0..200).map(|_| semaphore.acquire().unwrap()).collect::<Vec<_>>();
        let held = std::thread::scope(|scope| scope.spawn(take).join().unwrap());
        let memory = &semaphore.reference.world.memory;
        memory.sweep().unwrap();
        let block = memory.block(semaphore.permits.words.block().unwrap()).unwrap();
        assert!(block.is_of(semaphore.reference.id));
        assert_eq!(held.len(), 200);
    }
}
