//! Copies between private memory and words that anybody may read and write meanwhile. What is written meanwhile comes as some mixture
//! of old and new bytes.
//!
//! Few words are copied as atomics, many by instructions of the machine: their accesses are no accesses of the language, so they may
//! race with those of others as atomics may. The shapes are those of a good `memcpy`: a block at each end, wherever it starts, and
//! blocks of four vector registers between them, stored at aligned addresses, upwards, or downwards where that is faster. A copy that would wash everything else out of the cache
//! goes past it.
//!
//! # Measured
//!
//! On a Zen with AVX, beside glibc's `memcpy`: 64 KiB 0.91 to 1.02, 80 MB 0.88 to 1.02; a page at a time the latter had 0.78 to 0.97, and
//! through the cache 0.6. `rep movsb`, which that processor does not hurry, had 0.6 to 0.85. A loop over atomics is three times slower,
//! since no compiler joins them. Upwards, with what is stored less than 512 bytes ahead of what is loaded, modulo 4096, 64 KiB had 0.75.

#![allow(unsafe_code, reason = "instructions that copy by address")]

use crate::sys::atomic::{AtomicU64, Ordering};

/// From so many words on, vectors copy them.
const MANY: usize = 32;

/// Copies words out, as far as there is room for them.
#[inline]
pub(crate) fn copy_out(words: &[AtomicU64], to: &mut [[u8; 8]]) {
    let count = to.len().min(words.len());
    let mut done = 0;
    if count >= MANY {
        // SAFETY: see `vectors::copy`
        // - both slices have `count` words, the target is private and borrowed for writing, and they do not overlap;
        // - the source may change meanwhile, as atomics may.
        done = unsafe { vectors::copy(words.as_ptr().cast(), to.as_mut_ptr().cast(), count) };
    }
    for (to, word) in to.iter_mut().zip(words).skip(done) {
        *to = word.load(Ordering::Relaxed).to_ne_bytes();
    }
}

/// Copies to words, as far as there are words.
#[inline]
pub(crate) fn copy_in(from: &[[u8; 8]], words: &[AtomicU64]) {
    let count = from.len().min(words.len());
    let mut done = 0;
    if count >= MANY {
        let to = words.as_ptr().cast_mut().cast();
        // SAFETY: see `vectors::copy`
        // - both slices have `count` words, which do not overlap, and atomics may be written through a shared reference;
        // - others may read and write them meanwhile, as atomics may be.
        done = unsafe { vectors::copy(from.as_ptr().cast(), to, count) };
    }
    for (from, word) in from.iter().zip(words).skip(done) {
        word.store(u64::from_ne_bytes(*from), Ordering::Relaxed);
    }
}

#[cfg(target_arch = "x86_64")]
mod vectors {
    use core::arch::asm;

    /// A copy of so many bytes goes past the cache: three quarters of a last-level cache of 8 MiB.
    const LARGE: usize = 6 << 20;

    /// Copies words; how many.
    ///
    /// # Safety
    ///
    /// `from` may be read and `to` written for so many words, [`MANY`](super::MANY) at least, which do not overlap.
    #[inline]
    pub(super) unsafe fn copy(from: *const u8, to: *mut u8, words: usize) -> usize {
        let len = words * 8;
        if is_x86_feature_detected!("avx") {
            // SAFETY: the caller vouches for the ranges; the processor has the instructions.
            unsafe { copy_by_32(from, to, len, len >= LARGE) };
        } else {
            // SAFETY: the caller vouches for the ranges; every x86-64 has the instructions.
            unsafe { copy_by_16(from, to, len, len >= LARGE) };
        }
        words
    }

    /// Whether going up would be slow: the processor compares the low 12 bits of addresses, and takes what is loaded next for what was
    /// just stored.
    fn is_in_the_way(from: *const u8, to: *mut u8) -> bool {
        (1..512).contains(&((to as usize).wrapping_sub(from as usize) % 4096))
    }

    /// The text of a copy of four registers of some width, at the addresses or so many bytes behind them.
    macro_rules! block {
        ($register:literal, $width:literal, $load:literal, $store:literal) => {
            block!($register, $width, $load, $store, "0")
        };
        ($register:literal, $width:literal, $load:literal, $store:literal, $at:literal) => {
            concat!(
                concat!($load, " ", $register, "0, [{from} + ", $at, "]\n"),
                concat!($load, " ", $register, "1, [{from} + ", $at, " + ", $width, "]\n"),
                concat!($load, " ", $register, "2, [{from} + ", $at, " + 2 * ", $width, "]\n"),
                concat!($load, " ", $register, "3, [{from} + ", $at, " + 3 * ", $width, "]\n"),
                concat!($store, " [{to} + ", $at, "], ", $register, "0\n"),
                concat!($store, " [{to} + ", $at, " + ", $width, "], ", $register, "1\n"),
                concat!($store, " [{to} + ", $at, " + 2 * ", $width, "], ", $register, "2\n"),
                concat!($store, " [{to} + ", $at, " + 3 * ", $width, "], ", $register, "3\n"),
            )
        };
    }

    /// Runs texts with `from`, `to` and other operands in registers.
    macro_rules! run {
        ($($text:expr),+; $from:expr, $to:expr $(, $name:ident = $operand:expr)*) => {
            asm!(
                $($text),+,
                from = inout(reg) $from => _,
                to = inout(reg) $to => _,
                $($name = in(reg) $operand,)*
                out("xmm0") _, out("xmm1") _, out("xmm2") _, out("xmm3") _,
                options(nostack)
            )
        };
    }

    /// Makes a function that copies bytes by registers of so many bytes: `$any` stores anywhere, `$aligned` to aligned addresses,
    /// `$past` too, and past the cache. `$end` ends the use of the registers.
    macro_rules! copy_by {
        ($copy:ident, $width:literal, $register:literal, $load:literal, $any:literal, $aligned:literal, $past:literal, $end:literal) => {
            /// Copies at least a block of bytes.
            ///
            /// # Safety
            ///
            /// `from` may be read and `to` written for so many bytes, which do not overlap. The processor has the instructions.
            pub(super) unsafe fn $copy(from: *const u8, to: *mut u8, len: usize, past: bool) {
                const BLOCK: usize = 4 * $width;
                debug_assert!(len >= BLOCK, "{len} bytes are less than a block");
                let skip = $width - to as usize % $width;
                let end = skip + (len - skip) / BLOCK * BLOCK;
                let (mut first, beyond, step) = if !past && is_in_the_way(from, to) {
                    (end.wrapping_sub(BLOCK), skip.wrapping_sub(BLOCK), BLOCK.wrapping_neg())
                } else {
                    (skip, end, BLOCK)
                };
                // SAFETY: every block is within the ranges for which the caller vouches
                // - those between `skip` and `end`, as pairs while two pages are left, the first one, and the one that ends with the range;
                // - a store that must be aligned is, since `skip` makes it so and a block keeps it so;
                // - a prefetch beyond the end does nothing;
                // - if others write meanwhile, other bytes are copied, and nothing else changes.
                unsafe {
                    run!(block!($register, $width, $load, $any); from, to);
                    // Two pages at a time: the memory has more ways than one.
                    while past && end - first >= 8192 {
                        run!(
                            "2: prefetcht0 [{from} + 1024]", "prefetcht0 [{from} + 1088]",
                            "prefetcht0 [{from} + 5120]", "prefetcht0 [{from} + 5184]",
                            block!($register, $width, $load, $past),
                            block!($register, $width, $load, $past, "4096"),
                            "add {from}, {step}", "add {to}, {step}", "cmp {to}, {end}", "jne 2b";
                            from.add(first), to.add(first), end = to.add(first + 4096), step = step
                        );
                        first += 8192;
                    }
                    if past {
                        // What went past the cache comes before all that this thread writes later.
                        asm!("sfence", options(nostack, preserves_flags));
                    }
                    if skip < end && first != beyond {
                        run!(
                            ".p2align 5", "2:",
                            block!($register, $width, $load, $aligned),
                            "add {from}, {step}", "add {to}, {step}", "cmp {to}, {end}", "jne 2b";
                            from.add(first), to.add(first), end = to.wrapping_add(beyond), step = step
                        );
                    }
                    let last = len - BLOCK;
                    run!(block!($register, $width, $load, $any); from.add(last), to.add(last));
                    // It changes the registers that a copy does not use, too.
                    asm!($end, clobber_abi("C"), options(nomem, nostack, preserves_flags));
                }
            }
        };
    }

    copy_by!(copy_by_16, 16, "xmm", "movdqu", "movdqu", "movdqa", "movntdq", "");
    copy_by!(copy_by_32, 32, "ymm", "vmovdqu", "vmovdqu", "vmovdqa", "vmovntdq", "vzeroupper");
}

#[cfg(target_arch = "aarch64")]
mod vectors {
    /// Copies words; how many.
    ///
    /// # Safety
    ///
    /// `from` may be read and `to` written for so many words, [`MANY`](super::MANY) at least, which do not overlap.
    pub(super) unsafe fn copy(from: *const u8, to: *mut u8, words: usize) -> usize {
        let whole = words / 4 * 4;
        // SAFETY: the caller vouches for both ranges, of which whole pairs of registers are copied, one at least
        // - if others write meanwhile, other bytes are copied, and nothing else changes.
        unsafe {
            core::arch::asm!(
                "2: ldp {a:q}, {b:q}, [{from}], #32",
                "stp {a:q}, {b:q}, [{to}], #32",
                "cmp {to}, {end}",
                "b.ne 2b",
                from = inout(reg) from => _,
                to = inout(reg) to => _,
                end = in(reg) to.add(whole * 8),
                a = out(vreg) _,
                b = out(vreg) _,
                options(nostack)
            );
        }
        whole
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod vectors {
    /// Copies no words: there are no vectors here.
    ///
    /// # Safety
    ///
    /// None is needed.
    pub(super) unsafe fn copy(_: *const u8, _: *mut u8, _: usize) -> usize {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that tell the places apart.
    fn pattern(len: usize, seed: usize) -> Vec<u8> {
        (0..len).map(|at| (at * 7 + at / 251 + seed) as u8).collect()
    }

    #[cfg(target_arch = "x86_64")]
    #[test]
    fn vectors_copy_every_length_from_and_to_everywhere() {
        type Copy = unsafe fn(*const u8, *mut u8, usize, bool);
        let old = pattern(1 << 16, 1);
        // Eight pages apart, so that of two places either is ahead, modulo a page.
        let check = |copy: Copy, len: usize, skips: (usize, usize), past: bool| {
            let mut bytes = old.clone();
            let (from, to) = (64 + skips.0, 64 + (1 << 15) + skips.1);
            let (left, right) = bytes.split_at_mut(1 << 15);
            let (source, target) = (left[from..].as_ptr(), right[to - (1 << 15)..].as_mut_ptr());
            // SAFETY: there is room for so many bytes at both places, and they are apart.
            unsafe { copy(source, target, len, past) };
            let mut expected = old.clone();
            expected.copy_within(from..from + len, to);
            assert!(bytes == expected, "{len} bytes, {skips:?}, past the cache: {past}");
        };
        for past in [false, true] {
            for len in (64..=300).chain([8191, 8192, 8400, 16_384, 17_000]) {
                for skip in 0..32 {
                    check(vectors::copy_by_16, len, (skip, len % 32), past);
                    check(vectors::copy_by_16, len, (len % 32, skip), past);
                    if len >= 128 && is_x86_feature_detected!("avx") {
                        check(vectors::copy_by_32, len, (skip, len % 32), past);
                        check(vectors::copy_by_32, len, (len % 32, skip), past);
                    }
                }
            }
        }
    }

    #[test]
    fn words_are_copied_as_bytes_are() {
        for count in (0..=300).chain([1 << 10, 1 << 20]) {
            let (new, old) = (pattern(count * 8, 1), pattern(count * 8 + 16, 2));
            let words: Vec<AtomicU64> = old
                .as_chunks::<8>()
                .0
                .iter()
                .map(|bytes| AtomicU64::new(u64::from_ne_bytes(*bytes)))
                .collect();
            copy_in(new.as_chunks::<8>().0, &words[1..=count]);
            // At an odd address.
            let mut back = vec![0; old.len() + 1];
            copy_out(&words, back[1..].as_chunks_mut::<8>().0);
            assert!(back[9..9 + new.len()] == new, "{count} words");
            assert_eq!((&back[1..9], &back[9 + new.len()..]), (&old[..8], &old[8 + new.len()..]));
        }
    }
}
