//! The atomics of every protocol come from here, so that a model checker can replace them.

pub(crate) use core::hint::spin_loop;
pub(crate) use core::sync::atomic::{
    AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence,
};

/// Whether an atomic is as large as its value. It is not under a model checker, where no layout is asserted.
pub(crate) const NATIVE: bool = true;

/// Asks for a cache line that will be read. It may be anywhere.
#[allow(unsafe_code, reason = "a hint that takes a pointer")]
#[inline]
pub(crate) fn prefetch(place: *const u8) {
    #[cfg(target_arch = "x86_64")]
    {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: nothing is read as far as the language is concerned, and any address may be named.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(place.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

/// Asks for a cache line that will be written. It may be anywhere.
///
/// Written as the instruction: plain x86-64 does not promise `prefetchw`, so that a compiler makes a prefetch for reading of its own hint.
/// Processors of 64 bits that do not have it take the opcode for one that does nothing. Other architectures than x86-64 ask for nothing.
///
/// Source: AMD64 Architecture Programmer's Manual, volume 3, PREFETCHW.
#[allow(unsafe_code, reason = "an instruction")]
#[inline]
pub(crate) fn prefetch_write(place: *const u8) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: nothing is read or written as far as the language is concerned, and any address may be named.
    unsafe {
        core::arch::asm!(
            "prefetchw [{}]",
            in(reg) place,
            options(nostack, preserves_flags, readonly)
        );
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

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
