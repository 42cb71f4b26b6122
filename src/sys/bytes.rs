//! Copies between private and shared memory, and private memory for short ones: the seam at which models look after the bytes.

#![allow(unsafe_code, reason = "copies by address")]

use core::mem::MaybeUninit;

/// Copies bytes into shared memory.
///
/// # Safety
///
/// `to` has room for `bytes` in mapped shared memory, and the caller's protocol gives it these bytes alone.
#[inline]
pub(crate) unsafe fn copy_in(bytes: &[u8], to: *mut u8) {
    // SAFETY: the caller vouches for the target; private memory does not overlap shared memory. A peer that writes there all the
    // same only makes other bytes.
    unsafe { copy(bytes.as_ptr(), to, bytes.len()) };
}

/// Private memory to which bytes are copied.
pub(crate) trait Buffer {
    /// Copies `len` bytes out of shared memory, behind what is in it. The caller bounds `len`.
    ///
    /// # Safety
    ///
    /// The `len` bytes at `from` are mapped shared memory, and the caller's protocol keeps writers away.
    unsafe fn append_from(&mut self, from: *const u8, len: usize);
}

impl Buffer for Vec<u8> {
    /// Aborts without memory, as `Vec` does.
    #[inline]
    unsafe fn append_from(&mut self, from: *const u8, len: usize) {
        self.reserve(len);
        let end = self.len();
        let to = self.spare_capacity_mut().as_mut_ptr().cast::<u8>();
        // SAFETY: the caller vouches for the source; the target has just been reserved. If a peer writes all the same, the copy
        // differs, and it is the copy that is checked.
        unsafe { copy(from, to, len) };
        // SAFETY: these bytes were just written, within the capacity; bytes have no invalid values.
        unsafe { self.set_len(end + len) };
    }
}

/// At most so many bytes on the stack, to which callers keep. For short messages: one that moves through memory which is kept from call
/// to call costs more than its copy.
#[repr(C, align(16))]
pub(crate) struct Local<const MOST: usize> {
    /// Written up to `len`. Aligned as memory from the heap.
    bytes: [MaybeUninit<u8>; MOST],
    len: usize,
}

impl<const MOST: usize> Local<MOST> {
    #[inline]
    pub(crate) fn new() -> Local<MOST> {
        Local { bytes: [MaybeUninit::uninit(); MOST], len: 0 }
    }

    /// With `len` zeroes in it.
    #[inline]
    pub(crate) fn zeroed(len: usize) -> Local<MOST> {
        let mut local = Local::new();
        local.bytes[..len].fill(MaybeUninit::new(0));
        local.len = len;
        local
    }

    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: `len` is at most MOST, and the bytes up to there were written.
        unsafe { core::slice::from_raw_parts(self.bytes.as_ptr().cast(), self.len) }
    }

    #[inline]
    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `bytes`.
        unsafe { core::slice::from_raw_parts_mut(self.bytes.as_mut_ptr().cast(), self.len) }
    }
}

impl<const MOST: usize> Buffer for Local<MOST> {
    #[inline]
    unsafe fn append_from(&mut self, from: *const u8, len: usize) {
        let room = &mut self.bytes[self.len..][..len];
        // SAFETY: the caller vouches for the source; the target has room. If a peer writes all the same, the copy differs, and it is
        // the copy that is checked.
        unsafe { copy(from, room.as_mut_ptr().cast(), len) };
        self.len += len;
    }
}

/// Copies `len` bytes: 4 to 64 of them without a call, which takes as long as the copy.
///
/// # Safety
///
/// As of `copy_nonoverlapping`.
#[inline]
unsafe fn copy(from: *const u8, to: *mut u8, len: usize) {
    match len {
        // SAFETY: the caller vouches for `len` bytes, which are enough, here and below.
        4..=7 => unsafe { copy_ends::<4>(from, to, len) },
        // SAFETY: as above.
        8..=15 => unsafe { copy_ends::<8>(from, to, len) },
        // SAFETY: as above.
        16..=32 => unsafe { copy_ends::<16>(from, to, len) },
        // SAFETY: as above.
        33..=64 => unsafe { copy_ends::<32>(from, to, len) },
        // SAFETY: as above.
        _ => unsafe { core::ptr::copy_nonoverlapping(from, to, len) },
    }
}

/// Copies the first and the last `N` of `len` bytes, which are all if there are no more than twice as many.
///
/// # Safety
///
/// As of `copy_nonoverlapping`, and `len` is at least `N`.
#[inline(always)]
unsafe fn copy_ends<const N: usize>(from: *const u8, to: *mut u8, len: usize) {
    let last = len - N;
    // SAFETY: the caller vouches for all of the `len` bytes.
    unsafe { core::ptr::copy_nonoverlapping(from, to, N) };
    // SAFETY: as above.
    unsafe { core::ptr::copy_nonoverlapping(from.wrapping_add(last), to.wrapping_add(last), N) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_is_copied_whole_and_no_further() {
        let from: Vec<u8> = (1..=100).collect();
        for len in 0..from.len() {
            let mut to = [0; 100];
            // SAFETY: both have more bytes.
            unsafe { copy(from.as_ptr(), to.as_mut_ptr(), len) };
            assert_eq!((&to[..len], &to[len..]), (&from[..len], &[0; 100][len..]), "{len}");
        }
    }

    fn append(buffer: &mut impl Buffer, bytes: &[u8]) {
        // SAFETY: it may read these bytes.
        unsafe { buffer.append_from(bytes.as_ptr(), bytes.len()) };
    }

    #[test]
    fn bytes_are_appended_to_either_kind() {
        let (mut heap, mut stack) = (Vec::new(), Local::<8>::new());
        assert_eq!(stack.bytes(), b"");
        for part in [&b"one"[..], b"", b"three"] {
            append(&mut heap, part);
            append(&mut stack, part);
        }
        assert_eq!((&heap[..], stack.bytes()), (&b"onethree"[..], &b"onethree"[..]));
        assert!(stack.bytes().as_ptr().cast::<u128>().is_aligned());
    }

    #[test]
    fn zeroes_are_there_to_be_written_over() {
        let mut local = Local::<8>::zeroed(3);
        local.bytes_mut()[1] = 1;
        assert_eq!(local.bytes(), [0, 1, 0]);
    }

    #[test]
    #[should_panic(expected = "out of range")]
    fn no_more_than_the_stack_has_room_for() {
        append(&mut Local::<8>::new(), &[0; 9]);
    }
}
