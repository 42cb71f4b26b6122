//! Bytes in shared memory, and the only code that touches them: of a ring, or of a message in a block of its own.
//!
//! Every access is checked against the length, whatever offset or length was read from shared memory.

#![allow(unsafe_code, reason = "bytes in shared memory")]

use super::layout::CAPACITY;
use crate::error::{Error, ErrorKind, Result};
use crate::raw::ring::Bytes;
use crate::sys::atomic::{AtomicU64, prefetch, prefetch_write};

/// Bytes in shared memory that are never unmapped: of a ring, or of a message in a block of its own.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    base: *mut u8,
    len: usize,
}

// SAFETY: shared memory that is never unmapped; who may access which bytes when is what the pipe's protocol says.
unsafe impl Send for Span {}
// SAFETY: as above.
unsafe impl Sync for Span {}

impl Span {
    /// Everything from `base` on, which has `len` bytes, is mapped for ever.
    pub(super) fn new(base: *mut u8, len: usize) -> Span {
        Span { base, len }
    }

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// A part of it.
    #[inline]
    pub(super) fn part(self, at: usize, len: usize) -> Result<Span> {
        if at.checked_add(len).is_none_or(|end| end > self.len) {
            return Err(beyond(at, len, self.len));
        }
        Ok(Span { base: self.base.wrapping_add(at), len })
    }

    /// Bytes that the pipe's protocol gives the caller to read.
    #[inline]
    pub(super) fn bytes(&self, at: usize, len: usize) -> Result<&[u8]> {
        let part = self.part(at, len)?;
        // SAFETY:
        // - `part` lies in a mapping that is never unmapped, and bytes have no invalid values;
        // - nobody writes there: the reader has not moved the head past the record (I2 of the ring), or is the only one who
        //   knows the block. A peer that breaks the protocol garbles data, which callers decode from a private copy.
        Ok(unsafe { core::slice::from_raw_parts(part.base, part.len) })
    }

    /// Bytes that the pipe's protocol gives the caller to write.
    #[inline]
    #[expect(clippy::mut_from_ref, reason = "the bytes are the writer's alone until it commits")]
    pub(super) fn bytes_mut(&self, at: usize, len: usize) -> Result<&mut [u8]> {
        let part = self.part(at, len)?;
        // SAFETY:
        // - `part` lies in a mapping that is never unmapped, and bytes have no invalid values;
        // - nobody else accesses them: they are behind the tail (I2 of the ring), where the one writer, which the caller
        //   has exclusively, makes one slice at a time; or in a block that the reader does not know yet. A peer that breaks
        //   the protocol garbles data, which readers check.
        Ok(unsafe { core::slice::from_raw_parts_mut(part.base, part.len) })
    }

    /// Copies bytes in.
    #[inline]
    pub(super) fn write(&self, at: usize, bytes: &[u8]) -> Result<()> {
        self.bytes_mut(at, bytes.len())?.copy_from_slice(bytes);
        Ok(())
    }
}

/// How many bytes behind the start of the next record a sender begins to ask for lines: as many as its message has, within these.
const AHEAD: [usize; 2] = [128, 2048];
/// For how many bytes it asks at most.
const MOST_ASKED: usize = 4096;

impl Span {
    /// Asks for the line behind the one at this offset of a ring.
    #[inline]
    pub(super) fn prefetch_behind(&self, at: u32) {
        prefetch(self.base.wrapping_add(at as usize + 64));
    }

    /// Asks for lines, to write them: as many as a message of `len` bytes has, beginning as far behind this offset of a ring, where the
    /// next record comes, as [`AHEAD`] says. The lines before were asked for by the messages before, if they were as long; without
    /// their headers, which makes one line in nine that nobody asked for at 64 bytes. To ask for that one as well was no gain.
    #[inline]
    pub(super) fn prefetch_ahead(&self, at: u32, len: usize) {
        let from = len.clamp(AHEAD[0], AHEAD[1]);
        for ahead in (from..from + len.clamp(1, MOST_ASKED)).step_by(64) {
            let at = at as usize + ahead;
            // Behind the end the ring goes on at its start.
            let at = if at < CAPACITY as usize { at } else { at - CAPACITY as usize };
            prefetch_write(self.base.wrapping_add(at));
        }
    }

    /// The word at this offset of a ring.
    #[inline]
    pub(super) fn ring_word(&self, at: u32) -> &'static AtomicU64 {
        // The ring asks for nothing else; this only makes it safe to ask.
        let at = at.min(CAPACITY - 8) & !7;
        let word = self.base.wrapping_add(at as usize).cast();
        // SAFETY:
        // - 8 bytes of the ring, aligned to 8, in a mapping that is never unmapped;
        // - header words are accessed atomically by whatever process; payload bytes are not accessed as words.
        unsafe { AtomicU64::from_ptr(word) }
    }
}

impl Bytes for Span {
    #[inline]
    fn capacity(&self) -> u32 {
        CAPACITY
    }

    #[inline]
    fn word(&self, at: u32) -> &AtomicU64 {
        self.ring_word(at)
    }
}

/// Takes the numbers: what an error borrows is stored on every call, in case it comes to that.
#[cold]
fn beyond(at: usize, len: usize, end: usize) -> Error {
    damaged(format_args!("{len} bytes at {at} of {end}"))
}

#[cold]
pub(super) fn damaged(what: impl core::fmt::Display) -> Error {
    Error::of(
        ErrorKind::Corrupted,
        format!("the pipe is corrupted: {what}: drop its ends and make it anew"),
    )
}
