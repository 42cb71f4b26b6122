//! What the handles of this layer have in common: the forms of calls that wait, travelling, guards of locks.

use crate::error::{ErrorKind, Result};

/// A look without waiting that found it taken is `Busy`, not a timeout.
pub(super) fn busy<T>(result: Result<T>) -> Result<T> {
    result
        .map_err(|error| if error.is_timeout() { error.with_kind(ErrorKind::Busy) } else { error })
}

/// Gives a call that waits its other forms: without waiting, for a time, until a moment.
///
/// `forms!(lock_until -> LockGuard<'_>: lock, try_lock, lock_timeout, lock_deadline; "another thread holds it")`
macro_rules! forms {
    (
        $until:ident -> $guard:ty:
        $plain:ident, $try:ident, $timeout:ident, $deadline:ident; $busy:literal
    ) => {
        #[doc = concat!("As [`", stringify!($plain), "`](Self::", stringify!($plain), "), without waiting.")]
        ///
        /// # Errors
        ///
        #[doc = concat!("[`is_busy`](crate::Error::is_busy) if ", $busy, ";")]
        #[doc = concat!("else as [`", stringify!($plain), "`](Self::", stringify!($plain), ").")]
        pub fn $try(&self) -> $crate::error::Result<$guard> {
            $crate::sync::forms::busy(self.$until($crate::sys::clock::Deadline::NOW))
        }

        #[doc = concat!("As [`", stringify!($plain), "`](Self::", stringify!($plain), "), waiting at most `timeout`.")]
        ///
        /// # Errors
        ///
        /// [`is_timeout`](crate::Error::is_timeout) if it was not to be had in time;
        #[doc = concat!("else as [`", stringify!($plain), "`](Self::", stringify!($plain), ").")]
        pub fn $timeout(&self, timeout: ::std::time::Duration) -> $crate::error::Result<$guard> {
            self.$until($crate::sys::clock::Deadline::after(timeout))
        }

        #[doc = concat!("As [`", stringify!($plain), "`](Self::", stringify!($plain), "), waiting at most until `deadline`.")]
        ///
        /// # Errors
        ///
        #[doc = concat!("As [`", stringify!($timeout), "`](Self::", stringify!($timeout), ").")]
        pub fn $deadline(&self, deadline: ::std::time::Instant) -> $crate::error::Result<$guard> {
            self.$until($crate::sys::clock::Deadline::at(deadline))
        }
    };
}

/// Lets a handle without roles travel. It has `reference`, and `from_reference` makes one, or says why not.
macro_rules! travels {
    ($handle:ident) => {
        impl ::serde::Serialize for $handle {
            fn serialize<S: ::serde::Serializer>(
                &self,
                serializer: S,
            ) -> $crate::error::Result<S::Ok, S::Error> {
                $crate::world::handle::serialize(self.reference(), 0, serializer)
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $handle {
            fn deserialize<D: ::serde::Deserializer<'de>>(
                deserializer: D,
            ) -> $crate::error::Result<$handle, D::Error> {
                let kind = $crate::world::handle::Kind::$handle;
                let (reference, _) = $crate::world::handle::deserialize(deserializer, kind)?;
                $handle::from_reference(reference).map_err($crate::message::refuse_to_deserialize)
            }
        }
    };
}

/// A handle to an object that is all in its cell.
macro_rules! in_cell {
    ($handle:ident) => {
        impl $handle {
            fn create() -> $crate::error::Result<$handle> {
                let world = $crate::world::world()?;
                let kind = $crate::world::handle::Kind::$handle;
                $handle::from_reference($crate::world::handle::CellRef::create(world, kind, 0)?)
            }

            fn from_reference(
                reference: ::std::sync::Arc<$crate::world::handle::CellRef>,
            ) -> $crate::error::Result<$handle> {
                let cell = reference.cell.view();
                Ok($handle { reference, cell })
            }

            fn reference(&self) -> &::std::sync::Arc<$crate::world::handle::CellRef> {
                &self.reference
            }
        }

        $crate::sync::forms::travels!($handle);
    };
}

/// The builder and the guards of a lock, which has `new`, `release`, and `ignore_owner_death` in its cell.
macro_rules! guards {
    ($lock:ident, $builder:ident, $guard:ident, $owned:ident) => {
        #[doc = concat!("How a [`", stringify!($lock), "`] is to be made; see [`", stringify!($lock), "::builder`].")]
        #[derive(Clone, Debug, Default)]
        #[must_use = "a builder makes nothing until `build` is called"]
        pub struct $builder {
            ignore_owner_death: bool,
        }

        impl $builder {
            /// Whether a dead holder's lock simply becomes free, without an error and a mark. For locks that guard no data.
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
                let lock = $lock::new()?;
                let ignore = u32::from(self.ignore_owner_death);
                lock.cell.ignore_owner_death.store(ignore, Ordering::Relaxed);
                Ok(lock)
            }
        }

        #[doc = concat!("A held [`", stringify!($lock), "`]; dropping it releases the lock and wakes a waiter.")]
        ///
        /// It belongs to the thread that locked. A guard that is forgotten keeps the lock until its thread ends.
        #[must_use = "the lock is released as soon as the guard is dropped"]
        pub struct $guard<'a> {
            lock: &'a $lock,
            holding: Holding,
            not_send: PhantomData<*const ()>,
        }

        impl<'a> $guard<'a> {
            #[inline]
            fn new(lock: &'a $lock, holding: Holding) -> $guard<'a> {
                $guard { lock, holding, not_send: PhantomData }
            }

            #[doc = concat!("The holder that died with the lock, in a guard of [`", stringify!($lock), "::recover`]; `None`")]
            /// also when the system has given its place to another thread since.
            pub fn dead_owner(&self) -> Option<Owner> {
                self.holding.dead
            }
        }

        impl Drop for $guard<'_> {
            #[inline]
            fn drop(&mut self) {
                self.lock.release(&self.holding);
            }
        }

        impl core::fmt::Debug for $guard<'_> {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.debug_struct(stringify!($guard)).field("lock", self.lock).finish()
            }
        }

        #[doc = concat!("A held [`", stringify!($lock), "`] with a handle to it, for keeping in a structure; else as")]
        #[doc = concat!("[`", stringify!($guard), "`].")]
        #[must_use = "the lock is released as soon as the guard is dropped"]
        pub struct $owned {
            lock: $lock,
            holding: Holding,
            not_send: PhantomData<*const ()>,
        }

        impl $owned {
            fn new(lock: &$lock, holding: Holding) -> $owned {
                $owned { lock: lock.clone(), holding, not_send: PhantomData }
            }
        }

        impl Drop for $owned {
            fn drop(&mut self) {
                self.lock.release(&self.holding);
            }
        }

        impl core::fmt::Debug for $owned {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.debug_struct(stringify!($owned)).field("lock", &self.lock).finish()
            }
        }
    };
}

/// What both kinds of locks can be asked, and their `until` forms; they have a `cell` with a word, `acquire` and `policy`.
macro_rules! lock_methods {
    ($lock:ident, $builder:ident, $guard:ident, $owned:ident) => {
        /// For the less common choices.
        pub fn builder() -> $builder {
            $builder::default()
        }

        fn lock_until(&self, until: Deadline) -> Result<$guard<'_>> {
            let holding = self.acquire(until, self.policy())?;
            Ok($guard::new(self, holding))
        }

        fn lock_owned_until(&self, until: Deadline) -> Result<$owned> {
            let holding = self.acquire(until, self.policy())?;
            Ok($owned::new(self, holding))
        }

        fn recover_until(&self, until: Deadline) -> Result<$guard<'_>> {
            let holding = self.acquire(until, Policy::Recover)?;
            Ok($guard::new(self, holding))
        }

        fn policy(&self) -> Policy {
            if self.cell.ignore_owner_death.load(Ordering::Relaxed) == 1 {
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
            Owner::of(self.reference.world, self.live_owner()?)
        }

        fn live_owner(&self) -> Option<Id> {
            self.cell.word.owner().filter(|&id| !self.reference.world.registry.is_dead(id))
        }

        /// Whether the last holder died with the lock and nobody has finished recovering it.
        fn is_left_by_the_dead(&self) -> bool {
            let (word, registry) = (&self.cell.word, self.reference.world.registry);
            // Looked at twice: an owner that let go and then died did not die with it.
            let is_dead = |id| registry.is_dead(id) && word.owner() == Some(id);
            word.is_marked() || word.owner().is_some_and(is_dead)
        }
    };
}

pub(super) use {forms, guards, in_cell, lock_methods, travels};
