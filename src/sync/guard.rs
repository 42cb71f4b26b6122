//! Guards of locks, and what a lock must offer for them.

use crate::error::{Error, ErrorKind, Result};
use crate::liveness::{Id, Liveness, is_me};
use crate::raw::lock::{Outcome, Policy, RobustLock};
use crate::raw::reentry::Reentry;
use crate::sys::clock::Deadline;
use crate::sys::thread;
use core::fmt;
use core::marker::PhantomData;

/// A thread that holds or held a lock, in the system's numbering.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    /// Its process.
    pub pid: u32,
    /// The thread itself.
    pub tid: u32,
}

impl Owner {
    pub(super) fn of(liveness: &Liveness, id: Id) -> Option<Owner> {
        liveness.registry.numbers(id).map(|numbers| Owner { pid: numbers.pid, tid: numbers.tid })
    }

    /// The live thread that holds a lock at this moment.
    pub(crate) fn live(lock: &RobustLock, liveness: &Liveness) -> Option<Owner> {
        let owner = lock.owner().filter(|&id| !liveness.registry.is_dead(id));
        Owner::of(liveness, owner?)
    }
}

/// What a lock offers to its guards. Sealed: [`Lock`](crate::Lock) and [`RLock`](crate::RLock) implement it.
pub trait Lockable: Clone + fmt::Debug + sealed::Release {}

impl<L: Clone + fmt::Debug + sealed::Release> Lockable for L {}

/// A guard with which a thread can wait for a [`Condition`](crate::Condition): one that can be let go and taken again. Sealed: the
/// guards of [`Lock`](crate::Lock) and [`RLock`](crate::RLock), [`ValueGuard`](crate::ValueGuard) and
/// [`ArrayGuard`](crate::ArrayGuard) implement it.
pub trait WaitGuard: sealed::LetGo {
    /// What [`wait_while`](crate::Condition::wait_while) shows its predicate: the data of the guard, `()` if it has none.
    type Data: ?Sized;

    #[doc(hidden)]
    fn data(&mut self) -> &mut Self::Data;
}

pub(crate) mod sealed {
    use crate::error::Result;
    use crate::sync::guard::Holding;

    /// Gives a hold back.
    #[allow(unnameable_types, reason = "the trait is sealed by it")]
    pub trait Release {
        /// What the guard and the guard with a handle are called.
        const GUARDS: [&'static str; 2];

        /// The guard that knows `holding` is dropped by the thread that locked.
        fn release(&self, holding: &Holding);

        /// The lock's object, by number.
        fn number(&self) -> u32;

        /// Whether the calling thread, which holds the lock, may let go of it: an error if it lends out data under it.
        fn check_lent(&self) -> Result<()>;

        /// Lets go of the lock at every depth. The calling thread holds it.
        fn let_go(&self, holding: &mut Holding) -> Depth;

        /// Takes the lock again, waiting for ever, as deep as it was. In an error, too, the calling thread holds it then.
        fn take_again(&self, holding: &Holding, depth: Depth) -> Result<()>;
    }

    /// How deep a thread was in a lock of which it let go.
    #[derive(Clone, Copy, Debug, Default)]
    #[allow(unnameable_types, reason = "a part of the sealed trait")]
    pub struct Depth {
        pub(crate) depth: u32,
        pub(crate) unfinished: bool,
        pub(crate) lent: u32,
    }

    /// Lets go of what a guard holds, and takes it again.
    #[allow(unnameable_types, reason = "the trait is sealed by it")]
    pub trait LetGo {
        /// The number of the lock. An error if the guard is not the calling thread's, or cannot be let go.
        fn may_let_go(&self) -> Result<u32>;

        /// Lets go of the lock at every depth.
        fn let_go(&mut self) -> Depth;

        /// Takes the lock again. In an error, too, the guard holds the lock then.
        fn take_again(&mut self, depth: Depth) -> Result<()>;
    }
}

/// The guards of a lock itself.
macro_rules! wait_guard {
    ($guard:ty) => {
        impl<L: Lockable> sealed::LetGo for $guard {
            fn may_let_go(&self) -> Result<u32> {
                if !self.holding.is_mine() {
                    return Err(Error::simple(ErrorKind::Foreign));
                }
                self.lock.check_lent()?;
                Ok(self.lock.number())
            }

            fn let_go(&mut self) -> sealed::Depth {
                self.lock.let_go(&mut self.holding)
            }

            fn take_again(&mut self, depth: sealed::Depth) -> Result<()> {
                self.lock.take_again(&self.holding, depth)
            }
        }

        impl<L: Lockable> WaitGuard for $guard {
            type Data = ();

            fn data(&mut self) -> &mut () {
                // Of no size: nothing is allocated.
                Box::leak(Box::new(()))
            }
        }
    };
}

wait_guard!(Guard<'_, L>);
wait_guard!(OwnedGuard<L>);

/// What a guard knows about its hold.
#[derive(Clone, Copy, Debug)]
#[allow(unnameable_types, reason = "a part of the sealed trait")]
pub struct Holding {
    pub(crate) me: Id,
    pub(crate) recovered: bool,
    pub(crate) dead: Option<Owner>,
}

impl Holding {
    /// Takes the lock, waiting until `until`.
    pub(crate) fn take(
        lock: &'static RobustLock,
        liveness: &Liveness,
        me: Id,
        until: Deadline,
        policy: Policy,
    ) -> Result<Holding> {
        match lock.lock(me, liveness, until, policy) {
            Outcome::Locked => Ok(Holding::new(me)),
            Outcome::Adopted(dead) => {
                let recovered = policy == Policy::Recover;
                Ok(Holding { me, recovered, dead: dead.and_then(|id| Owner::of(liveness, id)) })
            }
            Outcome::OwnerDied => Err(Error::simple(ErrorKind::OwnerDied)),
            Outcome::Deadlock => Err(Error::simple(ErrorKind::Deadlock)),
            Outcome::TimedOut => Err(Error::simple(ErrorKind::Timeout)),
        }
    }

    /// An ordinary hold.
    #[inline]
    pub(crate) fn new(me: Id) -> Holding {
        Holding { me, recovered: false, dead: None }
    }

    /// Whether the hold is the calling thread's. It is not in a forked child, nor after the thread has lost its slot.
    #[inline]
    pub(crate) fn is_mine(&self) -> bool {
        is_me(self.me)
    }

    /// Gives the lock back. The caller is the thread that took it.
    #[inline]
    pub(crate) fn give_back(&self, lock: &RobustLock) {
        if self.recovered && !thread::is_panicking() {
            lock.unlock_recovered(self.me);
        } else {
            // Not recovered, or the repair was not finished: the poison, if there is one, stays.
            lock.unlock(self.me);
        }
    }

    /// Ends one hold of a lock that counts them. The outermost gives it back: without its poison, unless a panic ended one of them.
    #[inline]
    pub(crate) fn leave(&self, lock: &RobustLock, reentry: &Reentry) {
        if let Some(finished) = reentry.leave(thread::is_panicking()) {
            let recovered = finished && lock.is_poisoned();
            Holding { recovered, ..*self }.give_back(lock);
        }
    }
}

/// A held lock; dropping it releases the lock and wakes a waiter.
///
/// It belongs to the thread that locked. A guard that is forgotten keeps the lock until its thread ends.
#[must_use = "the lock is released as soon as the guard is dropped"]
pub struct Guard<'a, L: Lockable> {
    lock: &'a L,
    pub(super) holding: Holding,
    not_send: PhantomData<*const ()>,
}

impl<'a, L: Lockable> Guard<'a, L> {
    #[inline]
    pub(super) fn of(lock: &'a L, holding: Holding) -> Guard<'a, L> {
        Guard { lock, holding, not_send: PhantomData }
    }

    /// The holder that died with the lock, in a guard of `recover`. `None` also when another thread has had its slot since.
    pub fn dead_owner(&self) -> Option<Owner> {
        self.holding.dead
    }
}

impl<L: Lockable> Drop for Guard<'_, L> {
    #[inline]
    fn drop(&mut self) {
        self.lock.release(&self.holding);
    }
}

impl<L: Lockable> fmt::Debug for Guard<'_, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(L::GUARDS[0]).field("lock", self.lock).finish()
    }
}

/// A held lock with a handle to it, for keeping in a structure; else as [`Guard`].
#[must_use = "the lock is released as soon as the guard is dropped"]
pub struct OwnedGuard<L: Lockable> {
    lock: L,
    holding: Holding,
    not_send: PhantomData<*const ()>,
}

impl<L: Lockable> OwnedGuard<L> {
    pub(super) fn of(lock: &L, holding: Holding) -> OwnedGuard<L> {
        OwnedGuard { lock: lock.clone(), holding, not_send: PhantomData }
    }
}

impl<L: Lockable> Drop for OwnedGuard<L> {
    fn drop(&mut self) {
        self.lock.release(&self.holding);
    }
}

impl<L: Lockable> fmt::Debug for OwnedGuard<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(L::GUARDS[1]).field("lock", &self.lock).finish()
    }
}

/// The builder of a lock that has `make`, and `ignore_owner_death` in its object; and what both kinds of locks can do: they have an
/// `object` with a `lock`, `acquire` and `policy`.
macro_rules! lock_face {
    ($lock:ident, $builder:ident, $guard:ident, $owned:ident) => {
        #[doc = concat!("A held [`", stringify!($lock), "`]; see [`Guard`](crate::Guard).")]
        pub type $guard<'a> = $crate::sync::guard::Guard<'a, $lock>;
        #[doc = concat!("A held [`", stringify!($lock), "`] with a handle to it; see [`OwnedGuard`](crate::OwnedGuard).")]
        pub type $owned = $crate::sync::guard::OwnedGuard<$lock>;

        #[doc = concat!("How a [`", stringify!($lock), "`] is to be made; see [`", stringify!($lock), "::builder`].")]
        #[derive(Clone, Debug, Default)]
        #[must_use = "a builder makes nothing until `build` is called"]
        pub struct $builder {
            ignore_owner_death: bool,
        }

        impl $builder {
            /// Whether a dead holder's lock simply becomes free, without an error and without poison. For locks that guard no
            /// data.
            pub fn ignore_owner_death(mut self, ignore: bool) -> $builder {
                self.ignore_owner_death = ignore;
                self
            }

            /// Makes the lock.
            ///
            /// # Errors
            ///
            #[doc = concat!("As [`", stringify!($lock), "::new`].")]
            pub fn build(self) -> Result<$lock> {
                let lock = $lock::make()?;
                let ignore = u32::from(self.ignore_owner_death);
                lock.object.ignore_owner_death.store(ignore, Ordering::Relaxed);
                Ok(lock)
            }
        }

        impl $lock {
            /// Makes a free lock, gone with its last user. Makes a system call only for the first shared object in a process.
            ///
            /// # Errors
            ///
            /// If this process cannot get shared memory: no descriptors, no memory, or all shared objects in use.
            pub fn new() -> Result<$lock> {
                $lock::make()
            }

            /// A builder, for a lock that is to be taken over from the dead in silence.
            pub fn builder() -> $builder {
                $builder::default()
            }

            $crate::forms::forms! {
                #[doc = concat!("As [`lock`](", stringify!($lock), "::lock), with a guard that owns a handle to the lock and")]
                /// can be kept in a structure.
                ///
                /// # Errors
                ///
                #[doc = concat!("As [`lock`](", stringify!($lock), "::lock).")]
                pub fn lock_owned, try_lock_owned, lock_owned_timeout, lock_owned_deadline
                (&self; until) -> $owned {
                    let holding = self.acquire(until, self.policy())?;
                    Ok($owned::of(self, holding))
                }
                try: Busy, is_busy, "another thread holds it"
            }

            fn policy(&self) -> Policy {
                if self.object.ignore_owner_death.load(Ordering::Relaxed) == 1 {
                    Policy::Adopt
                } else {
                    Policy::Report
                }
            }

            /// Whether a live thread holds the lock at this moment.
            pub fn is_locked(&self) -> bool {
                self.live_owner().is_some()
            }

            /// The live thread that holds the lock at this moment.
            pub fn owner(&self) -> Option<Owner> {
                Owner::of(self.liveness(), self.live_owner()?)
            }

            fn live_owner(&self) -> Option<Id> {
                self.object.lock.owner().filter(|&id| !self.liveness().registry.is_dead(id))
            }

            fn liveness(&self) -> &'static Liveness {
                self.reference.world.liveness
            }

            /// Whether the last holder died with the lock and nobody has finished recovering it.
            fn is_left_by_the_dead(&self) -> bool {
                let (lock, registry) = (&self.object.lock, self.liveness().registry);
                // Checked twice: an owner that unlocked and then died did not die with the lock.
                let is_dead = |id| registry.is_dead(id) && lock.owner() == Some(id);
                lock.is_poisoned() || lock.owner().is_some_and(is_dead)
            }
        }
    };
}

pub(super) use lock_face;
