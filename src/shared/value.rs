//! `Value`: one value that processes share, as `multiprocessing.Value`.
//!
//! # Layout
//!
//! The object's payload:
//!
//! ```text
//! 0   8   borrow    who touches the data ([`super::borrow`])                       under the lock
//! 8   40  data      the value, if it has at most 40 bytes                          under the lock
//! 8   4   block     else: the number of the block whose first bytes it is          the creator, once
//! ```
//!
//! The lock is an [`RLock`], an object of its own, so that it can be locked, cloned and sent like any other.
//!
//! # Protocol
//!
//! Nobody ever has a reference to the shared bytes. Reading copies them out, word by word, under the lock. A guard, and the
//! closure of `update`, work on a private copy that is written back when they are done. So the value is torn at no moment but
//! while it is written back, and that the state word tells.
//!
//! # If a process dies
//!
//! As [`super::borrow`] says. Up to 8 bytes are written by one store: whole at every instruction, and poisoned like larger ones.
//! With a guard: the value is what it was before the guard, and poisoned nevertheless, since the work of which it was a part was
//! cut.

use super::borrow::{Borrow, Guarded, Hold, Purpose};
use super::plain::{self, Plain};
use super::store::{self, Kind, MemoryObject, Object, OfKind, Words};
use crate::error::Result;
use crate::forms::forms;
use crate::sync::{Depth, LetGo, RLock, WaitGuard};
use crate::sys::atomic::{AtomicU32, AtomicU64};
use crate::sys::clock::Deadline;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};

/// Bytes of a value that fit into the object itself.
const INLINE: usize = 40;

/// The payload of an object whose value is in a block.
#[repr(C)]
struct Far {
    borrow: Borrow,
    block: AtomicU32,
}

#[allow(unsafe_code, reason = "lives in shared memory")]
// SAFETY: a structure of atomics only.
unsafe impl Words for Far {}

/// Objects of this kind.
pub(super) enum ValueKind {}

impl OfKind for ValueKind {
    const KIND: Kind = Kind::Value;

    fn block(object: &'static MemoryObject) -> Option<&'static AtomicU32> {
        let far: &Far = object.view();
        far.borrow.is_in_block().then_some(&far.block)
    }
}

/// One value that processes share, as Python's `multiprocessing.Value`.
///
/// Cloning gives another handle to the same value; handles travel to other processes in the arguments of
/// [`Process::spawn`](crate::Process::spawn) and through a [`Queue`](crate::Queue). Every call takes the value's lock, unless the
/// calling thread holds it through [`get_lock`](Value::get_lock), so no read is ever torn.
///
/// # When a process dies
///
/// If a process is killed, or a thread ends or panics, while it has the value borrowed ([`lock`](Value::lock),
/// [`update`](Value::update)), all others are told with [`is_owner_died`]: the work of which the change was a part is cut. The
/// value itself is what it was before. So it is with one that dies with [`get_lock`](Value::get_lock) held. [`set`](Value::set)
/// writes the whole value and makes it good; [`recover`](Value::recover) does, too.
///
/// # Differences from Python
///
/// The lock is taken in every call, also for reading. A type takes the place of the type code:
///
/// | code | C type | Rust type |
/// |---|---|---|
/// | `b` / `B` | signed / unsigned char | `i8` / `u8` |
/// | `h` / `H` | short | `i16` / `u16` |
/// | `i` / `I` | int | `i32` / `u32` |
/// | `l` / `L` | long | `i64` / `u64` |
/// | `f` | float | `f32` |
/// | `d` | double | `f64` |
///
/// [`bool`], [`char`], [`usize`], arrays of numbers and structures do as well: see [`Plain`].
///
/// # Examples
///
/// ```
/// use multiproc::{Process, Value};
///
/// fn count(counter: Value<u32>) -> multiproc::Result<()> {
///     for _ in 0..100 {
///         // As Python's `with counter.get_lock(): counter.value += 1`.
///         let _held = counter.get_lock().lock()?;
///         counter.set(counter.get()? + 1)?;
///     }
///     Ok(())
/// }
///
/// let counter = Value::new(0)?;
/// let children = [Process::spawn(count, (&counter,))?, Process::spawn(count, (&counter,))?];
/// for child in children {
///     child.join()??;
/// }
/// assert_eq!(counter.get()?, 200);
/// // The same in one call.
/// counter.update(|n| *n += 1)?;
/// # Ok::<(), multiproc::Error>(())
/// ```
///
/// [`is_owner_died`]: crate::Error::is_owner_died
pub struct Value<T> {
    object: Object<ValueKind>,
    guarded: Guarded,
    words: &'static [AtomicU64],
    value: PhantomData<fn(T) -> T>,
}

impl<T: Plain> Value<T> {
    /// Makes a value with a lock of its own, gone with its last user. No system call once the process uses shared objects, for
    /// values of up to 40 bytes.
    ///
    /// # Errors
    ///
    /// If this process cannot get shared memory: no descriptors, no memory, or all shared objects in use.
    pub fn new(value: T) -> Result<Value<T>> {
        Value::builder(value).build()
    }

    /// For a value that shares its lock with others.
    pub fn builder(value: T) -> ValueBuilder<T> {
        ValueBuilder { value, lock: None }
    }

    fn attach(mut object: Object<ValueKind>, lock: RLock) -> Result<Value<T>> {
        if size_of::<T>() > INLINE {
            object.find_block(plain::words::<T>() * 8)?;
        }
        let guarded = Guarded::attach(&object.view::<Far>().borrow, lock)?;
        Value::from_parts(object, guarded)
    }

    fn from_parts(object: Object<ValueKind>, guarded: Guarded) -> Result<Value<T>> {
        let words = if size_of::<T>() > INLINE {
            object.words(plain::words::<T>())?
        } else {
            &object.payload()[1..]
        };
        Ok(Value { object, guarded, words, value: PhantomData })
    }

    forms! {
        /// The value, copied.
        ///
        /// Blocks while another live thread holds the lock; woken when it is released or its holder dies.
        ///
        /// # Errors
        ///
        /// [`is_owner_died`](crate::Error::is_owner_died) if somebody died, or panicked, in the middle of changing it;
        /// [`is_already_borrowed`](crate::Error::is_already_borrowed) if this thread has a guard of it;
        /// [`is_corrupted`](crate::Error::is_corrupted) if its bits are no `T`.
        pub fn get, try_get, get_timeout, get_deadline(&self; until) -> T {
            self.get_until(until)
        }
        try: Busy, is_busy, "another thread holds the lock"
    }

    #[inline]
    fn get_until(&self, until: Deadline) -> Result<T> {
        let (_section, ()) = self.guarded.enter(Purpose::Read, until, || Ok(()))?;
        plain::load(self.words)
    }

    forms! {
        /// Replaces the value. It writes the whole of it, so it also makes good what somebody left half written.
        ///
        /// Blocks as [`get`](Value::get).
        ///
        /// # Errors
        ///
        /// [`is_already_borrowed`](crate::Error::is_already_borrowed) if this thread has a guard of it.
        pub fn set, try_set, set_timeout, set_deadline(&self, value: T; until) -> () {
            self.set_until(value, until)
        }
        try: Busy, is_busy, "another thread holds the lock"
    }

    #[inline]
    fn set_until(&self, value: T, until: Deadline) -> Result<()> {
        let (_section, ()) = self.guarded.enter(Purpose::Overwrite, until, || Ok(()))?;
        plain::store(self.words, &value);
        Ok(())
    }

    forms! {
        /// Replaces the value and gives the one that was there.
        ///
        /// Blocks as [`get`](Value::get).
        ///
        /// # Errors
        ///
        /// As [`get`](Value::get).
        pub fn swap, try_swap, swap_timeout, swap_deadline(&self, value: T; until) -> T {
            let (_section, ()) = self.guarded.enter(Purpose::Write, until, || Ok(()))?;
            let before = plain::load(self.words)?;
            plain::store(self.words, &value);
            Ok(before)
        }
        try: Busy, is_busy, "another thread holds the lock"
    }

    forms! {
        /// Changes the value in place, under the lock; gives what `change` returns.
        ///
        /// Blocks as [`get`](Value::get). If `change` panics, the value is what it was before, and poisoned: as in a death, all others
        /// get [`is_owner_died`](crate::Error::is_owner_died) until it is [`set`](Value::set) or recovered.
        ///
        /// # Errors
        ///
        /// As [`get`](Value::get).
        pub fn update, try_update, update_timeout, update_deadline
        [R](&self, change: impl FnOnce(&mut T) -> R; until) -> R {
            self.update_until(change, until)
        }
        try: Busy, is_busy, "another thread holds the lock"
    }

    #[inline]
    fn update_until<R>(&self, change: impl FnOnce(&mut T) -> R, until: Deadline) -> Result<R> {
        let load = || plain::load(self.words);
        let (section, value) = self.guarded.enter(Purpose::Guard, until, load)?;
        let mut guard = ValueGuard { words: self.words, value, hold: section.hold()? };
        Ok(change(&mut guard.value))
    }

    forms! {
        /// Borrows the value for as long as the guard lives, and holds the lock meanwhile.
        ///
        /// Blocks as [`get`](Value::get). The guard has a private copy, which is written back when it is dropped.
        ///
        /// # Errors
        ///
        /// As [`get`](Value::get).
        pub fn lock, try_lock, lock_timeout, lock_deadline(&self; until) -> ValueGuard<'_, T> {
            self.lock_until(until)
        }
        try: Busy, is_busy, "another thread holds the lock"
    }

    #[inline]
    fn lock_until(&self, until: Deadline) -> Result<ValueGuard<'_, T>> {
        self.guard(Purpose::Guard, until)
    }

    forms! {
        /// As [`lock`](Value::lock), although somebody died, or panicked, in the middle of changing the value.
        ///
        /// The poison goes when the guard is dropped, that of the lock with it. If the guard's thread dies too, or panics, it stays.
        ///
        /// # Errors
        ///
        /// As [`lock`](Value::lock), but for the owner's death.
        pub fn recover, try_recover, recover_timeout, recover_deadline
        (&self; until) -> ValueGuard<'_, T> {
            self.recover_until(until)
        }
        try: Busy, is_busy, "another live thread holds the lock"
    }

    fn recover_until(&self, until: Deadline) -> Result<ValueGuard<'_, T>> {
        self.guard(Purpose::Recover, until)
    }

    #[inline]
    fn guard(&self, purpose: Purpose, until: Deadline) -> Result<ValueGuard<'_, T>> {
        let (section, value) = self.guarded.enter(purpose, until, || plain::load(self.words))?;
        Ok(ValueGuard { words: self.words, value, hold: section.hold()? })
    }

    /// The lock of the value, as Python's `get_lock()`. While this thread holds it, every call costs no lock of its own.
    pub fn get_lock(&self) -> &RLock {
        self.guarded.lock()
    }
}

/// How a [`Value`] is to be made; see [`Value::builder`].
#[derive(Clone, Debug)]
#[must_use = "a builder makes nothing until `build` is called"]
pub struct ValueBuilder<T> {
    value: T,
    lock: Option<RLock>,
}

impl<T: Plain> ValueBuilder<T> {
    /// Puts the value under this lock, which may guard other objects, too.
    ///
    /// [`Value::set`] then leaves the poison of a dead holder on the lock, because other objects may be half written; it goes with
    /// [`Value::recover`], or with that of the lock.
    pub fn lock(mut self, lock: &RLock) -> ValueBuilder<T> {
        self.lock = Some(lock.clone());
        self
    }

    /// Makes the value.
    ///
    /// # Errors
    ///
    /// As [`Value::new`]; [`is_too_large`](crate::Error::is_too_large) if there is no memory for a value of this size.
    pub fn build(self) -> Result<Value<T>> {
        let mut object = Object::<ValueKind>::create()?;
        let far: &Far = object.view();
        if size_of::<T>() > INLINE {
            far.borrow.set_in_block();
            object.make_block(plain::words::<T>() * 8)?;
        }
        let guarded = Guarded::create(&far.borrow, self.lock)?;
        let value = Value::from_parts(object, guarded)?;
        plain::store(value.words, &self.value);
        Ok(value)
    }
}

/// A borrowed [`Value`]; dropping it writes the value back and releases the lock.
///
/// It belongs to the thread that locked. A guard that is forgotten keeps the lock until its thread ends, and then counts as a
/// death. In a forked child it is a copy, of which nothing is written back.
///
/// ```compile_fail,E0277
/// let value = multiproc::Value::new(1)?;
/// let guard = value.lock()?;
/// std::thread::scope(|scope| scope.spawn(move || drop(guard)).join());
/// # Ok::<(), multiproc::Error>(())
/// ```
#[must_use = "the lock is released as soon as the guard is dropped"]
pub struct ValueGuard<'a, T: Plain> {
    words: &'static [AtomicU64],
    value: T,
    hold: Hold<'a>,
}

impl<T: Plain> Deref for ValueGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Plain> DerefMut for ValueGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T: Plain> Drop for ValueGuard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        self.hold.end(|| plain::store(self.words, &self.value));
    }
}

impl<T: Plain> LetGo for ValueGuard<'_, T> {
    fn may_let_go(&self) -> Result<u32> {
        self.hold.may_let_go()
    }

    fn let_go(&mut self) -> Depth {
        self.hold.let_go(|| plain::store(self.words, &self.value))
    }

    fn take_again(&mut self, depth: Depth) -> Result<()> {
        self.value = self.hold.take_again(depth, || plain::load(self.words))?;
        Ok(())
    }
}

impl<T: Plain> WaitGuard for ValueGuard<'_, T> {
    type Data = T;

    fn data(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<T: Plain + core::fmt::Debug> core::fmt::Debug for ValueGuard<'_, T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("ValueGuard").field(&self.value).finish()
    }
}

impl<T> Clone for Value<T> {
    fn clone(&self) -> Value<T> {
        Value {
            object: self.object.clone(),
            guarded: self.guarded.clone(),
            words: self.words,
            value: PhantomData,
        }
    }
}

impl<T: Plain + core::fmt::Debug> core::fmt::Debug for Value<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let mut text = f.debug_struct("Value");
        match self.try_get() {
            Ok(value) => text.field("value", &value),
            Err(error) => text.field("value", &format_args!("<{:?}>", error.kind())),
        };
        text.field("half_written", &self.guarded.is_left_half_written())
            .field("lock", self.get_lock())
            .finish()
    }
}

impl<T: Plain> serde::Serialize for Value<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (core::any::type_name::<T>(), self.get_lock(), &self.object).serialize(serializer)
    }
}

impl<'de, T: Plain> serde::Deserialize<'de> for Value<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Value<T>, D::Error> {
        let (name, lock, object) = <(String, RLock, Object<ValueKind>)>::deserialize(deserializer)?;
        store::check_name::<T, _>("Value", &name)?;
        Value::attach(object, lock).map_err(store::refuse)
    }
}
