//! Loom's atomics behind the interface of the standard ones, each access a step at which its thread can die.
//!
//! An atomic is an address, so that zeroed memory holds atomics that do not exist yet, and a word has one size whatever its
//! type: the package's structures can be laid over [`crate::sim::memory`].

use crate::sim;
use core::cell::UnsafeCell;
use core::marker::PhantomData;
pub(crate) use core::sync::atomic::Ordering;
use loom::sync::atomic as model;

/// An atomic is larger than its value here.
pub(crate) const NATIVE: bool = false;

/// A hint: nothing to a model.
pub(crate) fn prefetch(_: *const u8) {}

/// The same for writing.
pub(crate) fn prefetch_write(_: *const u8) {}

pub(crate) fn spin_loop() {
    sim::step(loom::thread::yield_now);
}

pub(crate) fn fence(order: Ordering) {
    if sim::is_started() {
        sim::step(|| model::fence(order));
    }
}

/// Loom does not know that a locked instruction is a barrier.
pub(crate) fn fence_after_read_modify_write() {
    fence(Ordering::SeqCst);
}

/// What stands for the order of a store or read-modify-write; a `SeqCst` one is followed by the barrier that it is on
/// x86-64.
fn barrier(order: Ordering) -> Ordering {
    if order == Ordering::SeqCst { Ordering::AcqRel } else { order }
}

fn barrier_after(order: Ordering) {
    if order == Ordering::SeqCst {
        model::fence(Ordering::SeqCst);
    }
}

macro_rules! atomic {
    ($name:ident, $int:ty) => {
        #[repr(transparent)]
        pub(crate) struct $name(UnsafeCell<*mut model::$name>);

        // SAFETY: loom runs one thread at a time, all on one thread of the system; the address is not changed in between.
        unsafe impl Send for $name {}
        // SAFETY: as above.
        unsafe impl Sync for $name {}

        impl Default for $name {
            fn default() -> $name {
                $name::new(0)
            }
        }

        impl $name {
            #[track_caller]
            pub(crate) fn new(value: $int) -> $name {
                const { assert!(size_of::<model::$name>() == size_of::<model::AtomicU64>()) };
                // Loom's atomics are all an index to a state that holds 64 bits.
                $name(UnsafeCell::new(sim::word(value as u64).cast()))
            }

            #[track_caller]
            fn get(&self) -> &model::$name {
                // SAFETY: written before the model's threads started.
                let word = unsafe { *self.0.get() };
                assert!(!word.is_null(), "a word that the model has not made");
                // SAFETY: lives until the next execution begins.
                unsafe { &*word }
            }

            #[track_caller]
            pub(crate) fn load(&self, order: Ordering) -> $int {
                if let Some(place) = self.plain(false) {
                    // SAFETY: as `plain` says.
                    return unsafe { *place } as $int;
                }
                let order = if order == Ordering::SeqCst { Ordering::Acquire } else { order };
                sim::step(|| self.get().load(order))
            }

            #[track_caller]
            pub(crate) fn store(&self, value: $int, order: Ordering) {
                if let Some(place) = self.plain(true) {
                    // SAFETY: as `plain` says.
                    unsafe { *place = value as u64 };
                    return;
                }
                sim::step(|| {
                    if size_of::<$int>() == 4 && order != Ordering::Relaxed {
                        // The kernel may look at the word: its look and this store have an order.
                        self.get().swap(value, barrier(order));
                    } else {
                        let weaker =
                            if order == Ordering::SeqCst { Ordering::Release } else { order };
                        self.get().store(value, weaker);
                    }
                    crate::sys::futex::changed(core::ptr::from_ref(self).cast());
                    barrier_after(order);
                });
            }

            #[track_caller]
            pub(crate) fn compare_exchange(
                &self,
                old: $int,
                new: $int,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$int, $int> {
                if let Some(place) = self.plain(true) {
                    // SAFETY: as `plain` says.
                    let now = unsafe { *place } as $int;
                    if now == old {
                        // SAFETY: as `plain` says.
                        unsafe { *place = new as u64 };
                    }
                    return if now == old { Ok(now) } else { Err(now) };
                }
                sim::step(|| {
                    let failed = if failure == Ordering::SeqCst { Ordering::Acquire } else { failure };
                    let result = self.get().compare_exchange(old, new, barrier(success), failed);
                    if result.is_ok() && old != new {
                        crate::sys::futex::changed(core::ptr::from_ref(self).cast());
                    }
                    barrier_after(if result.is_ok() { success } else { failure });
                    Some(result)
                })
                .unwrap_or(Err(0))
            }

            #[track_caller]
            pub(crate) fn compare_exchange_weak(
                &self,
                old: $int,
                new: $int,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$int, $int> {
                self.compare_exchange(old, new, success, failure)
            }

            /// What the word holds now, in the one order of its changes.
            #[track_caller]
            pub(crate) fn peek(&self) -> $int {
                self.fetch_or(0, Ordering::Relaxed)
            }

            atomic!(rmw $int:
                swap(|_, new| new)
                fetch_add(<$int>::wrapping_add)
                fetch_sub(<$int>::wrapping_sub)
                fetch_or(|old, bits| old | bits)
                fetch_and(|old, bits| old & bits)
                fetch_max(<$int>::max)
                fetch_min(<$int>::min)
            );

            /// Where the number is that stands for this word during the preparation, when only one thread runs.
            fn plain(&self, write: bool) -> Option<*mut u64> {
                sim::plain(self.0.get().cast(), write)
            }

            #[track_caller]
            pub(crate) fn fetch_update(
                &self,
                success: Ordering,
                failure: Ordering,
                mut f: impl FnMut($int) -> Option<$int>,
            ) -> Result<$int, $int> {
                let mut old = self.load(failure);
                while let Some(new) = f(old) {
                    match self.compare_exchange(old, new, success, failure) {
                        Ok(old) => return Ok(old),
                        Err(changed) => old = changed,
                    }
                }
                Err(old)
            }

            /// The place of the word; another type's `from_ptr` gives the same word.
            pub(crate) fn as_ptr(&self) -> *mut $int {
                core::ptr::from_ref(self).cast_mut().cast()
            }

            /// # Safety
            ///
            /// A place of an atomic of this module.
            pub(crate) unsafe fn from_ptr<'a>(place: *mut $int) -> &'a $name {
                // SAFETY: as the caller promises; all types of this module have the same form.
                unsafe { &*place.cast::<$name>() }
            }
        }
    };
    (rmw $int:ty: $($rmw:ident($change:expr))+) => {
        $(
            #[track_caller]
            pub(crate) fn $rmw(&self, value: $int, order: Ordering) -> $int {
                if let Some(place) = self.plain(true) {
                    // SAFETY: as `plain` says.
                    let old = unsafe { *place } as $int;
                    let change: fn($int, $int) -> $int = $change;
                    // SAFETY: as `plain` says.
                    unsafe { *place = change(old, value) as u64 };
                    return old;
                }
                sim::step(|| {
                    let old = self.get().$rmw(value, barrier(order));
                    let change: fn($int, $int) -> $int = $change;
                    if change(old, value) != old {
                        crate::sys::futex::changed(core::ptr::from_ref(self).cast());
                    }
                    barrier_after(order);
                    old
                })
            }
        )+
    };
}

atomic!(AtomicU32, u32);
atomic!(AtomicU64, u64);
atomic!(AtomicUsize, usize);

/// An address in a word.
#[repr(transparent)]
pub(crate) struct AtomicPtr<T>(AtomicUsize, PhantomData<*mut T>);

// SAFETY: as for the numbers.
unsafe impl<T> Send for AtomicPtr<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for AtomicPtr<T> {}

impl<T> Default for AtomicPtr<T> {
    fn default() -> AtomicPtr<T> {
        AtomicPtr::new(core::ptr::null_mut())
    }
}

impl<T> AtomicPtr<T> {
    pub(crate) fn new(value: *mut T) -> AtomicPtr<T> {
        AtomicPtr(AtomicUsize::new(value as usize), PhantomData)
    }

    #[track_caller]
    pub(crate) fn load(&self, order: Ordering) -> *mut T {
        self.0.load(order) as *mut T
    }

    #[track_caller]
    pub(crate) fn store(&self, value: *mut T, order: Ordering) {
        self.0.store(value as usize, order);
    }

    #[track_caller]
    pub(crate) fn swap(&self, value: *mut T, order: Ordering) -> *mut T {
        self.0.swap(value as usize, order) as *mut T
    }
}
