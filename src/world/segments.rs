//! The file of a world, mapped piece by piece.
//!
//! A segment is a range of the file that never moves, shrinks or goes; each process maps it when it first needs it and
//! never unmaps it, so a reference into a segment lives as long as the process. Where a segment lies is read from shared
//! memory and checked against the size of the file, which is sealed against shrinking: no SIGBUS.

#![allow(unsafe_code, reason = "turns addresses in the file into references")]

use crate::error::{Error, ErrorKind, Result};
use crate::sys::atomic::{AtomicPtr, AtomicUsize, Ordering};
use crate::sys::memfd::SharedFile;
use crate::world::header::{Header, LEN, SEGMENTS};

/// Types of which every bit pattern is a value and every field is an atomic: references to them are sound whatever other
/// processes write.
///
/// # Safety
///
/// Only `repr(C)` structures of atomics (and arrays of them) may implement it.
pub(crate) unsafe trait Shared: 'static {}

// SAFETY: a structure of atomics only.
unsafe impl Shared for Header {}
// SAFETY: an atomic.
unsafe impl Shared for crate::sys::atomic::AtomicU32 {}
// SAFETY: an atomic.
unsafe impl Shared for crate::sys::atomic::AtomicU64 {}

struct Mapped {
    base: AtomicPtr<u8>,
    len: AtomicUsize,
}

/// The private table of mapped segments.
pub(crate) struct Segments {
    file: SharedFile,
    mapped: Box<[Mapped]>,
    mapping: parking_lot::Mutex<()>,
}

impl Segments {
    /// Maps the first segment of a checked or new file.
    pub(crate) fn open(file: SharedFile) -> Result<Segments> {
        let mapped = (0..SEGMENTS)
            .map(|_| Mapped { base: AtomicPtr::default(), len: AtomicUsize::new(0) })
            .collect();
        let segments = Segments { file, mapped, mapping: parking_lot::Mutex::new(()) };
        segments.map(0, 0, LEN as u64)?;
        Ok(segments)
    }

    pub(crate) fn file(&self) -> &SharedFile {
        &self.file
    }

    pub(crate) fn header(&self) -> &'static Header {
        let base = self.mapped[0].base.load(Ordering::Acquire);
        // SAFETY:
        // - `open` mapped the first segment, page aligned and LEN bytes long, and it is never unmapped;
        // - a Header consists of atomics: whatever a peer writes is a value of it.
        unsafe { &*base.cast::<Header>() }
    }

    /// Maps segment `index`, which the file must hold whole.
    #[cold]
    fn map(&self, index: usize, offset: u64, len: u64) -> Result<*mut u8> {
        let _one_at_a_time = self.mapping.lock();
        let mapped = &self.mapped[index];
        let base = mapped.base.load(Ordering::Acquire);
        if !base.is_null() {
            return Ok(base);
        }
        let size = self.file.size()?;
        if len == 0
            || !offset.is_multiple_of(4096)
            || offset.checked_add(len).is_none_or(|end| end > size)
        {
            return Err(Error::new(
                ErrorKind::Corrupted,
                format!(
                    "shared memory is corrupted: a segment of {len} bytes at {offset} in a file of {size}"
                ),
            ));
        }
        let map = memmap2::MmapOptions::new()
            .offset(offset)
            .len(len as usize)
            .map_raw(self.file.checked()?)
            .map_err(|e| Error::os(format!("cannot map {len} bytes of shared memory"), e))?;
        // Not in core dumps: the memory of a whole process tree would be in every one of them. Best effort.
        let _ = map.advise(memmap2::Advice::DontDump);
        let base = map.as_mut_ptr();
        // Never unmapped: references into it live as long as the process.
        core::mem::forget(map);
        mapped.len.store(len as usize, Ordering::Relaxed);
        // ORDERING(map): Release, pairs with the Acquire in `at`; the length before the address.
        mapped.base.store(base, Ordering::Release);
        Ok(base)
    }

    /// The address of `len` bytes at `offset` in segment `index`; bounds-checked, mapped if need be.
    pub(crate) fn at(&self, index: usize, offset: u64, len: u64) -> Result<*mut u8> {
        let Some(mapped) = self.mapped.get(index) else {
            return Err(corrupted(index, offset, len));
        };
        // ORDERING(map): Acquire, pairs with the Release in `map`.
        let mut base = mapped.base.load(Ordering::Acquire);
        if base.is_null() {
            let count = self.header().arena.segments.load(Ordering::Acquire) as usize;
            if index >= count {
                return Err(corrupted(index, offset, len));
            }
            let entry = &self.header().segments[index];
            base = self.map(
                index,
                entry.offset.load(Ordering::Relaxed),
                entry.len.load(Ordering::Relaxed),
            )?;
        }
        let size = mapped.len.load(Ordering::Relaxed) as u64;
        if offset.checked_add(len).is_none_or(|end| end > size) {
            return Err(corrupted(index, offset, len));
        }
        Ok(base.wrapping_add(offset as usize))
    }

    /// A reference to a structure of atomics in a segment.
    pub(crate) fn get<T: Shared>(&self, index: usize, offset: u64) -> Result<&'static T> {
        let address = self.at(index, offset, size_of::<T>() as u64)?;
        if !(address as usize).is_multiple_of(align_of::<T>()) {
            return Err(corrupted(index, offset, size_of::<T>() as u64));
        }
        // SAFETY:
        // - `at` checked that the bytes lie in a mapping that is never unmapped; aligned as just checked;
        // - `T: Shared` makes every bit pattern valid and every field an atomic, whatever a peer writes meanwhile.
        Ok(unsafe { &*address.cast::<T>() })
    }

    /// Makes the file at least `size` bytes long.
    pub(crate) fn grow(&self, size: u64) -> Result<()> {
        self.file.grow(size)
    }
}

#[cold]
fn corrupted(index: usize, offset: u64, len: u64) -> Error {
    Error::new(
        ErrorKind::Corrupted,
        format!(
            "shared memory is corrupted: a reference to {len} bytes at {offset} of segment {index}, which has no such place"
        ),
    )
}
