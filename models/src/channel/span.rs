//! Stands for `channel/pipe/span.rs`: the bytes of a pipe, each copy in a cell that loom looks after ([`crate::sys::bytes`]).
//!
//! Models send ends of pipes, and messages without bytes: nothing is written in place.

use super::layout::CAPACITY;
use crate::error::{Error, ErrorKind, Result};
use crate::raw::ring::Bytes;
use crate::sim;
use crate::sys::atomic::AtomicU64;
use crate::sys::bytes::{self, Buffer};

#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    base: *mut u8,
    len: usize,
}

// SAFETY: loom runs one thread at a time, all on one thread of the system.
unsafe impl Send for Span {}
// SAFETY: as above.
unsafe impl Sync for Span {}

impl Span {
    pub(super) fn new(base: *mut u8, len: usize) -> Span {
        Span { base, len }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn part(self, at: usize, len: usize) -> Result<Span> {
        if at.checked_add(len).is_none_or(|end| end > self.len) {
            return Err(damaged(format_args!("{len} bytes at {at} of {}", self.len)));
        }
        Ok(Span { base: self.base.wrapping_add(at), len })
    }

    pub(super) fn bytes(&self, at: usize, len: usize) -> Result<&[u8]> {
        let part = self.part(at, len)?;
        let mut copy = Vec::new();
        // SAFETY: none is needed.
        unsafe { copy.append_from(part.base, part.len) };
        Ok(sim::keep(copy))
    }

    pub(super) fn bytes_mut(&self, at: usize, len: usize) -> Result<&mut [u8]> {
        self.part(at, len)?;
        assert_eq!(len, 0, "a model writes nothing in place");
        Ok(&mut [])
    }

    pub(super) fn write(&self, at: usize, bytes: &[u8]) -> Result<()> {
        let part = self.part(at, bytes.len())?;
        // SAFETY: none is needed.
        unsafe { bytes::copy_in(bytes, part.base) };
        Ok(())
    }

    pub(super) fn prefetch_behind(&self, _: u32) {}

    pub(super) fn prefetch_ahead(&self, _: u32, _: usize) {}

    pub(super) fn ring_word(&self, at: u32) -> &'static AtomicU64 {
        let at = at.min(CAPACITY - 8) & !7;
        let word = self.base.wrapping_add(at as usize).cast();
        // SAFETY: a place of an atomic, in memory that is never freed.
        unsafe { AtomicU64::from_ptr(word) }
    }
}

impl Bytes for Span {
    fn capacity(&self) -> u32 {
        CAPACITY
    }

    fn word(&self, at: u32) -> &AtomicU64 {
        self.ring_word(at)
    }
}

pub(super) fn damaged(what: impl core::fmt::Display) -> Error {
    Error::of(ErrorKind::Corrupted, format!("the pipe is corrupted: {what}"))
}
