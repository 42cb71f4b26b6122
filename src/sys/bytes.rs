//! Copies between private and shared memory: the seam at which models look after the bytes.

#![allow(unsafe_code, reason = "copies by address")]

use crate::sys::atomic::{AtomicU64, Ordering};

/// Copies bytes into shared memory.
///
/// # Safety
///
/// `to` has room for `bytes` in mapped shared memory, and the caller's protocol gives it these bytes alone.
#[inline]
pub(crate) unsafe fn copy_in(bytes: &[u8], to: *mut u8) {
    // SAFETY: the caller vouches for the target; private memory does not overlap shared memory. A peer that writes there all the
    // same only makes other bytes.
    unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
}

/// Copies `len` bytes out of shared memory, behind what is in `out`. Aborts without memory, as `Vec` does; the caller bounds `len`.
///
/// # Safety
///
/// The `len` bytes at `from` are mapped shared memory, and the caller's protocol keeps writers away.
#[inline]
pub(crate) unsafe fn append(from: *const u8, len: usize, out: &mut Vec<u8>) {
    out.reserve(len);
    let end = out.len();
    let to = out.spare_capacity_mut().as_mut_ptr().cast::<u8>();
    // SAFETY: the caller vouches for the source; the target has just been reserved. If a peer writes all the same, the copy differs,
    // and it is the copy that is checked.
    unsafe { core::ptr::copy_nonoverlapping(from, to, len) };
    // SAFETY: these bytes were just written, within the capacity; bytes have no invalid values.
    unsafe { out.set_len(end + len) };
}

/// From so many words on, one instruction copies them all: below, its start costs more than the words.
#[cfg(target_arch = "x86_64")]
const MANY: usize = 64;

/// Copies words that anybody may write to meanwhile, as far as there are bytes for them. What is written meanwhile comes as some
/// mixture of old and new bytes.
#[inline]
pub(crate) fn copy_racing_out(words: &[AtomicU64], to: &mut [[u8; 8]]) {
    #[cfg(target_arch = "x86_64")]
    if to.len().min(words.len()) >= MANY {
        let len = to.len().min(words.len());
        // SAFETY: see `copy_by_machine`
        // - both slices have `len` words, and the target is private and borrowed for writing.
        // - the source may change meanwhile, as atomics may.
        return unsafe { copy_by_machine(words.as_ptr().cast(), to.as_mut_ptr().cast(), len * 8) };
    }
    for (to, word) in to.iter_mut().zip(words) {
        *to = word.load(Ordering::Relaxed).to_ne_bytes();
    }
}

/// Copies to words that anybody may read and write meanwhile, as far as there are words.
#[inline]
pub(crate) fn copy_racing_in(from: &[[u8; 8]], words: &[AtomicU64]) {
    #[cfg(target_arch = "x86_64")]
    if from.len().min(words.len()) >= MANY {
        let len = from.len().min(words.len());
        // SAFETY: see `copy_by_machine`
        // - both slices have `len` words, and atomics may be written through a shared reference.
        return unsafe {
            copy_by_machine(from.as_ptr().cast(), words.as_ptr().cast_mut().cast(), len * 8)
        };
    }
    for (from, word) in from.iter().zip(words) {
        word.store(u64::from_ne_bytes(*from), Ordering::Relaxed);
    }
}

/// Copies bytes by an instruction of the machine, whose accesses are no accesses of the language: they may race with those of
/// others, as atomics may. A loop over atomics is three times slower, since no compiler joins them.
///
/// # Safety
///
/// `from` may be read and `to` written for `len` bytes, which do not overlap.
#[cfg(target_arch = "x86_64")]
#[inline]
unsafe fn copy_by_machine(from: *const u8, to: *mut u8, len: usize) {
    // SAFETY: the caller vouches for both ranges
    // - the direction flag is clear, as the ABI has it; nothing else is changed but the three registers.
    unsafe {
        core::arch::asm!(
            "rep movsb",
            inout("rcx") len => _,
            inout("rdi") to => _,
            inout("rsi") from => _,
            options(nostack, preserves_flags)
        );
    }
}
