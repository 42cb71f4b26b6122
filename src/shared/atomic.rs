//! `Atomic`: a number that processes change without a lock.
//!
//! The first bytes of the object's payload are the number, and every access is one atomic instruction of its size. A death
//! leaves the number before the instruction or after it.

#![allow(unsafe_code, reason = "a view of the payload as an atomic of another size")]

use super::store::{self, Kind, MemoryObject, Object, OfKind};
use crate::error::Result;
use crate::sys::atomic::{AtomicU32, Ordering};
use core::marker::PhantomData;

/// Objects of this kind.
pub(super) enum AtomicKind {}

impl OfKind for AtomicKind {
    const KIND: Kind = Kind::Atomic;

    fn block(_: &'static MemoryObject) -> Option<&'static AtomicU32> {
        None
    }
}

mod sealed {
    /// What the atomic of a type can do.
    pub trait Sealed: Copy + 'static {
        fn load(at: *mut u64) -> Self;
        fn swap(at: *mut u64, value: Self) -> Self;
        fn compare_exchange(at: *mut u64, current: Self, new: Self) -> Result<Self, Self>;
        fn add(at: *mut u64, value: Self) -> Self;
        fn sub(at: *mut u64, value: Self) -> Self;
    }
}
use sealed::Sealed;

/// What an [`Atomic`] can hold: all integers of up to 64 bits, and `bool`.
pub trait AtomicValue: Sealed {}

/// What an [`Atomic`] can add to and subtract from: all integers of up to 64 bits.
pub trait AtomicInteger: AtomicValue {}

macro_rules! integers {
    ($($int:ident: $atomic:ident),*) => {
        $(
            impl Sealed for $int {
                #[inline]
                fn load(at: *mut u64) -> $int {
                    atomic!(at, $atomic).load(Ordering::SeqCst)
                }

                #[inline]
                fn swap(at: *mut u64, value: $int) -> $int {
                    atomic!(at, $atomic).swap(value, Ordering::SeqCst)
                }

                #[inline]
                fn compare_exchange(at: *mut u64, current: $int, new: $int) -> Result<$int, $int> {
                    let (success, failure) = (Ordering::SeqCst, Ordering::SeqCst);
                    atomic!(at, $atomic).compare_exchange(current, new, success, failure)
                }

                #[inline]
                fn add(at: *mut u64, value: $int) -> $int {
                    atomic!(at, $atomic).fetch_add(value, Ordering::SeqCst)
                }

                #[inline]
                fn sub(at: *mut u64, value: $int) -> $int {
                    atomic!(at, $atomic).fetch_sub(value, Ordering::SeqCst)
                }
            }

            impl AtomicValue for $int {}
            impl AtomicInteger for $int {}
        )*
    };
}

macro_rules! atomic {
    ($at:ident, $atomic:ident) => {{
        // SAFETY:
        // - the payload is 48 bytes, aligned to 8, in a mapping that is never unmapped;
        // - every access to these bytes, by any process, is by an atomic of this one type: handles of another type are refused.
        unsafe { core::sync::atomic::$atomic::from_ptr($at.cast()) }
    }};
}

integers! {
    i8: AtomicI8, i16: AtomicI16, i32: AtomicI32, i64: AtomicI64, isize: AtomicIsize,
    u8: AtomicU8, u16: AtomicU16, u32: AtomicU32, u64: AtomicU64, usize: AtomicUsize
}

/// A byte; whatever a peer wrote, it is true unless it is 0.
impl Sealed for bool {
    #[inline]
    fn load(at: *mut u64) -> bool {
        u8::load(at) != 0
    }

    #[inline]
    fn swap(at: *mut u64, value: bool) -> bool {
        u8::swap(at, value.into()) != 0
    }

    #[inline]
    fn compare_exchange(at: *mut u64, current: bool, new: bool) -> Result<bool, bool> {
        let result = u8::compare_exchange(at, current.into(), new.into());
        result.map(|byte| byte != 0).map_err(|byte| byte != 0)
    }

    fn add(at: *mut u64, _: bool) -> bool {
        bool::load(at)
    }

    fn sub(at: *mut u64, _: bool) -> bool {
        bool::load(at)
    }
}

impl AtomicValue for bool {}

/// An integer or a `bool` that processes read and change without a lock.
///
/// Cloning gives another handle to the same number; handles travel to other processes in the arguments of
/// [`Process::spawn`](crate::Process::spawn) and through a [`Queue`](crate::Queue). Every call is one atomic instruction, never
/// waits, and is sequentially consistent.
///
/// # When a process dies
///
/// Nothing is to repair: each change happened or did not.
///
/// # After a fork
///
/// In a forked child that inherited the handle, reading gives what is there, and changing does nothing.
///
/// # Examples
///
/// ```
/// use multiproc::{Atomic, Process};
///
/// fn count(counter: Atomic<u64>) {
///     for _ in 0..1000 {
///         counter.fetch_add(1);
///     }
/// }
///
/// let counter = Atomic::new(0)?;
/// let children = [Process::spawn(count, (&counter,))?, Process::spawn(count, (&counter,))?];
/// for child in children {
///     child.join()?;
/// }
/// assert_eq!(counter.load(), 2000);
/// # Ok::<(), multiproc::Error>(())
/// ```
pub struct Atomic<T> {
    object: Object<AtomicKind>,
    value: PhantomData<fn(T) -> T>,
}

impl<T: AtomicValue> Atomic<T> {
    /// Makes a number, gone with its last user. No system call once the process uses shared objects.
    ///
    /// # Errors
    ///
    /// If this process cannot get shared memory: no descriptors, no memory, or all shared objects in use.
    pub fn new(value: T) -> Result<Atomic<T>> {
        let atomic = Atomic { object: Object::create()?, value: PhantomData };
        atomic.store(value);
        Ok(atomic)
    }

    #[inline]
    fn at(&self) -> *mut u64 {
        self.object.payload()[0].as_ptr()
    }

    /// The number.
    #[inline]
    pub fn load(&self) -> T {
        T::load(self.at())
    }

    /// Replaces the number.
    #[inline]
    pub fn store(&self, value: T) {
        self.swap(value);
    }

    /// Replaces the number and gives the one that was there.
    #[inline]
    pub fn swap(&self, value: T) -> T {
        if self.object.is_current() { T::swap(self.at(), value) } else { self.load() }
    }

    /// Replaces the number if it is `current`.
    ///
    /// # Errors
    ///
    /// The number that it is instead; nothing was changed.
    #[inline]
    pub fn compare_exchange(&self, current: T, new: T) -> Result<T, T> {
        if self.object.is_current() {
            T::compare_exchange(self.at(), current, new)
        } else {
            Err(self.load())
        }
    }
}

impl<T: AtomicInteger> Atomic<T> {
    /// Adds, wrapping around, and gives the number that was there.
    #[inline]
    pub fn fetch_add(&self, value: T) -> T {
        if self.object.is_current() { T::add(self.at(), value) } else { self.load() }
    }

    /// Subtracts, wrapping around, and gives the number that was there.
    #[inline]
    pub fn fetch_sub(&self, value: T) -> T {
        if self.object.is_current() { T::sub(self.at(), value) } else { self.load() }
    }
}

impl<T> Clone for Atomic<T> {
    fn clone(&self) -> Atomic<T> {
        Atomic { object: self.object.clone(), value: PhantomData }
    }
}

impl<T: AtomicValue + core::fmt::Debug> core::fmt::Debug for Atomic<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("Atomic").field(&self.load()).finish()
    }
}

impl<T: AtomicValue> serde::Serialize for Atomic<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (core::any::type_name::<T>(), &self.object).serialize(serializer)
    }
}

impl<'de, T: AtomicValue> serde::Deserialize<'de> for Atomic<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Atomic<T>, D::Error> {
        let (name, object) = <(String, Object<AtomicKind>)>::deserialize(deserializer)?;
        store::check_name::<T, _>("Atomic", &name)?;
        Ok(Atomic { object, value: PhantomData })
    }
}
