//! `SharedMemory`: bytes that processes share, as `multiprocessing.shared_memory.SharedMemory`, without a lock.
//!
//! ```text
//! 0  8  len     bytes                                       the creator, once
//! 8  4  block   the number of the block; 0: no bytes        the creator, once
//! ```
//!
//! Reading and writing is by atomic words ([`super::bytes`]), so that they need no order among each other. A process that dies
//! in the middle has written some of its bytes.

#![allow(
    unsafe_code,
    reason = "slices of shared bytes for those who promise an order of their own"
)]

use super::bytes;
use super::store::{self, Kind, MemoryObject, Object, OfKind, Words};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::atomic::{AtomicU32, AtomicU64, Ordering};

#[repr(C)]
struct Payload {
    len: AtomicU64,
    block: AtomicU32,
}

// SAFETY: a structure of atomics only.
unsafe impl Words for Payload {}

/// Objects of this kind.
pub(super) enum MemoryKind {}

impl OfKind for MemoryKind {
    const KIND: Kind = Kind::SharedMemory;

    fn block(object: &'static MemoryObject) -> Option<&'static AtomicU32> {
        Some(&object.view::<Payload>().block)
    }
}

/// Bytes that processes share, without a lock, as Python's `multiprocessing.shared_memory.SharedMemory`.
///
/// It has exactly the length asked for, and only pages that somebody writes to take memory. Cloning gives another handle to the
/// same bytes; handles travel as those of a [`Value`](crate::Value) do. It goes with its last user; there is nothing to unlink.
///
/// Nothing orders one process after another here: whoever reads while another writes gets some mixture of old and new bytes.
/// Use a [`Lock`](crate::Lock) or an [`Event`](crate::Event) beside it, or an [`Array`](crate::Array) instead.
///
/// # Examples
///
/// ```
/// use multiproc::{Process, SharedMemory};
///
/// let memory = SharedMemory::new(11)?;
/// Process::spawn(|memory: SharedMemory| memory.write(6, b"world"), (&memory,))?.join()??;
/// memory.write(0, b"hello ")?;
/// let mut text = [0; 11];
/// memory.read(0, &mut text)?;
/// assert_eq!(&text, b"hello world");
/// # Ok::<(), multiproc::Error>(())
/// ```
#[derive(Clone)]
pub struct SharedMemory {
    object: Object<MemoryKind>,
    words: &'static [AtomicU64],
    len: usize,
}

impl SharedMemory {
    /// Makes `len` bytes that are 0. However many, only what is touched later takes memory.
    ///
    /// # Errors
    ///
    /// [`is_too_large`](crate::Error::is_too_large) if it is more than the memory of this machine or control group leaves;
    /// [`is_limit`](crate::Error::is_limit) if it is more than `ulimit -f` allows; or if this process cannot get shared memory.
    pub fn new(len: usize) -> Result<SharedMemory> {
        let mut object = Object::create()?;
        let payload: &Payload = object.view();
        payload.len.store(len as u64, Ordering::Relaxed);
        if len > 0 {
            object.make_block(len)?;
            // Whole words, for which a block always has room.
            object.clear(len.next_multiple_of(8))?;
        }
        SharedMemory::from_object(object)
    }

    fn from_object(object: Object<MemoryKind>) -> Result<SharedMemory> {
        let len = object.view::<Payload>().len.load(Ordering::Relaxed) as usize;
        let words = if len > 0 { object.words(len.div_ceil(8))? } else { &[] };
        Ok(SharedMemory { object, words, len })
    }

    fn attach(mut object: Object<MemoryKind>) -> Result<SharedMemory> {
        let payload: &Payload = object.view();
        if payload.len.load(Ordering::Relaxed) > 0 {
            object.find_block(0)?;
        }
        SharedMemory::from_object(object)
    }

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Copies the bytes from `offset` on into `to`. Never waits.
    ///
    /// # Errors
    ///
    /// [`is_invalid_input`](crate::Error::is_invalid_input) if they are not all there; `to` is unchanged then.
    pub fn read(&self, offset: usize, to: &mut [u8]) -> Result<()> {
        self.check(offset, to.len())?;
        bytes::read(self.words, offset, to);
        Ok(())
    }

    /// Copies `from` to the bytes from `offset` on. Never waits.
    ///
    /// # Errors
    ///
    /// [`is_invalid_input`](crate::Error::is_invalid_input) if there is no room for all; nothing is written then.
    pub fn write(&self, offset: usize, from: &[u8]) -> Result<()> {
        self.check(offset, from.len())?;
        bytes::write(self.words, offset, from);
        Ok(())
    }

    fn check(&self, offset: usize, len: usize) -> Result<()> {
        self.object.check()?;
        if offset.checked_add(len).is_some_and(|end| end <= self.len) {
            return Ok(());
        }
        Err(Error::of(
            ErrorKind::InvalidInput,
            format!("{len} bytes at {offset} are not within shared memory of {} bytes", self.len),
        ))
    }

    /// The bytes as atomic words; what is left behind the last whole one is not there.
    pub(crate) fn words(&self) -> &'static [AtomicU64] {
        &self.words[..self.len / 8]
    }

    /// Where the bytes start, aligned to 64; they are there as long as a handle is. Nothing may be read or written there if
    /// there are none.
    pub fn as_ptr(&self) -> *mut u8 {
        self.object.base()
    }

    /// The bytes in place.
    ///
    /// # Safety
    ///
    /// As long as the slice is used, no thread of any process may write to the bytes, and this process may not be a forked child
    /// that inherited the handle.
    pub unsafe fn as_slice(&self) -> &[u8] {
        // SAFETY:
        // - `len` bytes were checked against the block, which is never unmapped, and lives as long as this handle;
        // - the caller promises that nobody writes to them.
        unsafe { core::slice::from_raw_parts(self.as_ptr(), self.len) }
    }

    /// The bytes in place, to be written to.
    ///
    /// # Safety
    ///
    /// As long as the slice is used, no thread of any process may touch the bytes in any other way, and this process may not be
    /// a forked child that inherited the handle.
    #[allow(clippy::mut_from_ref, reason = "the caller promises that it is the only one")]
    pub unsafe fn as_mut_slice(&self) -> &mut [u8] {
        // SAFETY:
        // - as in `as_slice`;
        // - the caller promises that nobody else touches them.
        unsafe { core::slice::from_raw_parts_mut(self.as_ptr(), self.len) }
    }
}

impl core::fmt::Debug for SharedMemory {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("SharedMemory").field("len", &self.len).finish()
    }
}

impl serde::Serialize for SharedMemory {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.object.serialize(serializer)
    }
}

impl<'de> serde::Deserialize<'de> for SharedMemory {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<SharedMemory, D::Error> {
        SharedMemory::attach(Object::deserialize(deserializer)?).map_err(store::refuse)
    }
}
