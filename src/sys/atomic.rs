//! The atomics of every protocol come from here, so that a model checker can replace them.

pub(crate) use core::hint::spin_loop;
pub(crate) use core::sync::atomic::{
    AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
};

/// Whether an atomic is as large as its value. It is not under a model checker, where no layout is asserted.
pub(crate) const NATIVE: bool = true;

/// A full barrier for code that has just done an atomic read-modify-write.
#[inline]
pub(crate) fn fence_after_read_modify_write() {
    // On x86-64 the locked instruction was a full barrier, and only the compiler has to be told.
    if cfg!(target_arch = "x86_64") {
        core::sync::atomic::compiler_fence(Ordering::SeqCst);
    } else {
        fence(Ordering::SeqCst);
    }
}
