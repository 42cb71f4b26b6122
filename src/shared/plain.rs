//! What may stand in shared memory: plain old data, checked when it is read.

#![allow(unsafe_code, reason = "copies bits into values that were checked")]

use crate::error::{Error, ErrorKind, Result};
use crate::sys::atomic::{AtomicU64, Ordering};
use bytemuck::{CheckedBitPattern, NoUninit};
use core::mem::MaybeUninit;

/// Plain old data: what a [`Value`](crate::Value) or an [`Array`](crate::Array) can hold.
///
/// All integers and floats, arrays of them, `bool`, `char`, and structures with [`Pod`](crate::Pod) and
/// [`Zeroable`](crate::Zeroable). It is implemented for whatever bytemuck calls `CheckedBitPattern` and `NoUninit`: no pointer,
/// no padding, and a way to tell whether bits that another process wrote are a value. What is not is
/// [`is_corrupted`](crate::Error::is_corrupted).
///
/// # Examples
///
/// A structure of one's own, with the derives of this crate; the second attribute is needed unless bytemuck is among your own
/// dependencies:
///
/// ```
/// use multiproc::{Pod, Value, Zeroable};
///
/// #[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
/// #[bytemuck(crate = "multiproc::bytemuck")]
/// #[repr(C)]
/// struct Point {
///     x: f64,
///     y: f64,
/// }
///
/// let point = Value::new(Point { x: 1.0, y: 2.0 })?;
/// point.update(|point| point.x += 1.0)?;
/// assert_eq!(point.get()?, Point { x: 2.0, y: 2.0 });
/// # Ok::<(), multiproc::Error>(())
/// ```
///
/// A pointer means nothing in another process:
///
/// ```compile_fail
/// let value = multiproc::Value::new(&5)?;
/// # Ok::<(), multiproc::Error>(())
/// ```
pub trait Plain: CheckedBitPattern + NoUninit + 'static {}

impl<T: CheckedBitPattern + NoUninit + 'static> Plain for T {}

/// How many words a value takes.
pub(super) const fn words<T>() -> usize {
    size_of::<T>().div_ceil(8)
}

/// Reads a value from words in shared memory.
#[inline]
pub(super) fn load<T: Plain>(words: &[AtomicU64]) -> Result<T> {
    let mut bits = MaybeUninit::<T::Bits>::uninit();
    let to = bits.as_mut_ptr().cast::<u8>();
    for index in 0..self::words::<T>() {
        // Relaxed: the lock orders one holder after the other.
        let word = words.get(index).map_or(0, |word| word.load(Ordering::Relaxed)).to_ne_bytes();
        let start = index * 8;
        let len = (size_of::<T>() - start).min(8);
        // SAFETY:
        // - `Bits` has the layout of `T`, of which bytes `start..start + len` are a part;
        // - `word` is private and has 8 bytes.
        unsafe { core::ptr::copy_nonoverlapping(word.as_ptr(), to.wrapping_add(start), len) };
    }
    // SAFETY: all bytes were written, and any bytes are a value of `Bits`, which is `AnyBitPattern`.
    checked(unsafe { bits.assume_init() })
}

/// Writes a value to words in shared memory.
#[inline]
pub(super) fn store<T: Plain>(words: &[AtomicU64], value: &T) {
    let bytes = bytemuck::bytes_of(value);
    for (word, chunk) in words.iter().zip(bytes.chunks(8)) {
        let mut whole = [0; 8];
        whole[..chunk.len()].copy_from_slice(chunk);
        word.store(u64::from_ne_bytes(whole), Ordering::Relaxed);
    }
}

/// The value that the bits are, if they are one.
#[inline]
pub(super) fn checked<T: Plain>(bits: T::Bits) -> Result<T> {
    if !T::is_valid_bit_pattern(&bits) {
        return Err(no_value::<T>());
    }
    // SAFETY: `Bits` has the layout of `T`, and these bits were just found to be a value.
    Ok(unsafe { core::mem::transmute_copy(&bits) })
}

/// Checks `len` elements that nobody else writes to at the moment.
pub(super) fn check_all<T: Plain>(first: *const T, len: usize) -> Result<()> {
    for index in 0..len {
        // SAFETY:
        // - the caller says that `len` elements are there, mapped for as long as the process lives;
        // - any bytes are a value of `Bits`, and reading them as such needs no more than the alignment of `T`.
        let bits = unsafe { first.cast::<T::Bits>().wrapping_add(index).read_unaligned() };
        if !T::is_valid_bit_pattern(&bits) {
            return Err(no_value::<T>());
        }
    }
    Ok(())
}

#[cold]
fn no_value<T>() -> Error {
    Error::of(
        ErrorKind::Corrupted,
        format!(
            "the shared memory holds bits that are no {}: another process wrote them past this crate",
            core::any::type_name::<T>()
        ),
    )
}
