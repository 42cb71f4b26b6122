//! Copies between private and shared memory: the seam at which models look after the bytes.

#![allow(unsafe_code, reason = "copies by address")]

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
