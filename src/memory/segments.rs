//! The file of a world, mapped piece by piece.
//!
//! A segment is a range of the file that never moves, shrinks or goes. Each process maps it when it first needs it, or with the
//! first segment if it is near, and never unmaps it. So a reference into a segment lives as long as the process. Where a segment
//! lies is read from shared memory and checked against the size of the file, which is sealed against shrinking: no SIGBUS.

#![allow(unsafe_code, reason = "turns addresses in the file into references")]

use crate::error::{Error, ErrorKind, Result};
use crate::sys::atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, NATIVE, Ordering};
use crate::sys::shared::Shared;
use crate::sys::shared_file::SharedFile;
use crate::sys::system::keep_out_of_dumps;
use std::sync::{Mutex, PoisonError};

/// How many segments a file can have.
pub(crate) const SEGMENTS: usize = 4096;
/// How much is mapped with the first segment, if the file is that long: the first segment of the arena, which every process needs.
const AHEAD: u64 = 1 << 20;

/// Where a segment lies in the file. Written once, by a holder of the arena lock.
#[repr(C)]
pub(crate) struct SegmentEntry {
    pub(crate) offset: AtomicU64,
    pub(crate) len: AtomicU64,
}

/// All segments of a file.
#[repr(C, align(64))]
pub(crate) struct SegmentTable {
    /// How many entries are valid; the truth.
    pub(crate) count: AtomicU32,
    reserved: [AtomicU32; 15],
    pub(crate) entries: [SegmentEntry; SEGMENTS],
}

const _: () = assert!(!NATIVE || size_of::<SegmentTable>() == 64 + 16 * SEGMENTS);

struct Mapped {
    base: AtomicPtr<u8>,
    len: AtomicUsize,
}

/// Where all segments are mapped: private memory of which only the pages cost anything that are used.
struct MappedTable(memmap2::MmapRaw);

impl MappedTable {
    fn new() -> Result<MappedTable> {
        let map = memmap2::MmapOptions::new().len(SEGMENTS * size_of::<Mapped>()).map_anon();
        let map = map.map_err(|error| Error::os("no memory for the table of segments", error))?;
        Ok(MappedTable(map.into()))
    }
}

impl core::ops::Deref for MappedTable {
    type Target = [Mapped];

    fn deref(&self) -> &[Mapped] {
        // SAFETY:
        // - a mapping of that many bytes, page-aligned, that lives as long as `self`;
        // - it is zero at first, which is a value of atomics, and only accessed as such.
        unsafe { core::slice::from_raw_parts(self.0.as_ptr().cast(), SEGMENTS) }
    }
}

/// The private table of mapped segments.
pub(crate) struct Segments {
    file: SharedFile,
    /// In the first segment; null before [`Segments::set_table`].
    table: AtomicPtr<SegmentTable>,
    mapped: MappedTable,
    /// Held to map something: how much of the file, from its beginning, the mapping of the first segment covers.
    /// Of the standard library: a fork copies nothing half-changed of it.
    mapping: Mutex<u64>,
}

impl Segments {
    /// Maps the first segment, `len` bytes, of a checked or new file.
    pub(crate) fn open(file: SharedFile, len: usize) -> Result<Segments> {
        let mapped = MappedTable::new()?;
        let segments =
            Segments { file, table: AtomicPtr::default(), mapped, mapping: Mutex::new(0) };
        segments.map(0, 0, len as u64)?;
        Ok(segments)
    }

    /// Says where the other segments are listed.
    pub(crate) fn set_table(&self, table: &'static SegmentTable) {
        // ORDERING(segment table): Release, pairs with the Acquire in `entry`, `count` and `append`.
        self.table.store(core::ptr::from_ref(table).cast_mut(), Ordering::Release);
    }

    pub(crate) fn file(&self) -> &SharedFile {
        &self.file
    }

    /// Where segment `index` lies, if there is one.
    fn entry(&self, index: usize) -> Option<&'static SegmentEntry> {
        // ORDERING(segment table): Acquire, pairs with the Release in `set_table`; likewise below.
        // SAFETY: null, or the reference that `set_table` was given: a structure of atomics, mapped for ever.
        let table = unsafe { self.table.load(Ordering::Acquire).as_ref() }?;
        // ORDERING(segment): Acquire, pairs with the Release in `append`.
        let count = table.count.load(Ordering::Acquire) as usize;
        table.entries[..count.min(SEGMENTS)].get(index)
    }

    /// How many segments there are.
    pub(crate) fn count(&self) -> usize {
        // SAFETY: as in `entry`.
        let table = unsafe { self.table.load(Ordering::Acquire).as_ref() };
        // ORDERING(segment): Acquire, as in `entry`.
        table.map_or(1, |table| (table.count.load(Ordering::Acquire) as usize).min(SEGMENTS))
    }

    /// The length of segment `index`, 0 if there is none.
    pub(crate) fn len_of(&self, index: usize) -> u64 {
        self.entry(index).map_or(0, |entry| entry.len.load(Ordering::Relaxed))
    }

    /// Appends a segment to the file. Under the arena lock.
    pub(crate) fn append(&self, len: u64) -> Result<usize> {
        // SAFETY: as in `entry`.
        let table = unsafe { self.table.load(Ordering::Acquire).as_ref() };
        let count = self.count();
        let Some((table, entry)) = table.and_then(|table| Some((table, table.entries.get(count)?)))
        else {
            return Err(Error::of(
                ErrorKind::Limit,
                format!("shared memory has all its {SEGMENTS} segments: free something first"),
            ));
        };
        let end = |entry: &SegmentEntry| {
            entry.offset.load(Ordering::Relaxed).saturating_add(entry.len.load(Ordering::Relaxed))
        };
        let offset = table.entries[..count].iter().map(end).max().unwrap_or(0);
        self.file.grow(offset.saturating_add(len))?;
        // Before anybody is told of it: a segment that this process cannot map leaves no entry behind, and the next one begins
        // at the same offset. Nobody else appends meanwhile, and the mapping goes with the process.
        self.map(count, offset, len)?;
        entry.offset.store(offset, Ordering::Relaxed);
        entry.len.store(len, Ordering::Relaxed);
        // ORDERING(segment): Release, pairs with the Acquire in `entry`; the entry before the count.
        table.count.store(count as u32 + 1, Ordering::Release);
        Ok(count)
    }

    /// Where an offset in a segment stands in the file.
    pub(crate) fn file_offset(&self, index: usize, offset: u64) -> Option<u64> {
        Some(self.entry(index)?.offset.load(Ordering::Relaxed).saturating_add(offset))
    }

    /// Gives the pages of a range of a segment back to the system.
    pub(crate) fn punch(&self, index: usize, offset: u64, len: u64) {
        if let Some(entry) = self.entry(index).filter(|_| len > 0) {
            let start = entry.offset.load(Ordering::Relaxed).saturating_add(offset);
            self.file.punch(start, len);
        }
    }

    /// Maps a range of the file, if there is one up to `end`, and as much more of the file as it has up to `more` behind that. Says
    /// where, and where in the file the mapping ends.
    fn map_file(
        &self,
        offset: u64,
        len: u64,
        end: Option<u64>,
        more: u64,
    ) -> Result<(*mut u8, u64)> {
        let (file, size) = self.file.measured()?;
        let Some(end) = end.filter(|&end| end <= size) else {
            return Err(Error::of(
                ErrorKind::Corrupted,
                format!(
                    "shared memory is corrupted: a segment of {len} bytes at {offset} in a file of {size}"
                ),
            ));
        };
        let end = end.saturating_add(more).min(size);
        let map = memmap2::MmapOptions::new()
            .offset(offset)
            .len((end - offset) as usize)
            .map_raw(file)
            .map_err(|e| Error::os(format!("cannot map {len} bytes of shared memory"), e))?;
        // Not in core dumps: the memory of a whole process tree would be in every one of them. Best effort.
        keep_out_of_dumps(&map);
        let base = map.as_mut_ptr();
        // Never unmapped: references into it live as long as the process.
        core::mem::forget(map);
        Ok((base, end))
    }

    /// Maps segment `index`, which the file must hold whole.
    #[cold]
    fn map(&self, index: usize, offset: u64, len: u64) -> Result<*mut u8> {
        let mut ahead = self.mapping.lock().unwrap_or_else(PoisonError::into_inner);
        let mapped = &self.mapped[index];
        // ORDERING(map): Acquire, as in `at`; another thread may have mapped it meanwhile.
        let base = mapped.base.load(Ordering::Acquire);
        if !base.is_null() {
            return Ok(base);
        }
        let end = offset.checked_add(len).filter(|_| len != 0 && offset.is_multiple_of(4096));
        let base = if index == 0 {
            // It stands at the beginning of the file.
            let (base, end) = self.map_file(offset, len, end, AHEAD)?;
            *ahead = end;
            base
        } else if end.is_some_and(|end| end <= *ahead) {
            // Stored under the lock.
            let first = self.mapped[0].base.load(Ordering::Relaxed);
            first.wrapping_add(offset as usize)
        } else {
            self.map_file(offset, len, end, 0)?.0
        };
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
            let Some(entry) = self.entry(index) else {
                return Err(corrupted(index, offset, len));
            };
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
}

#[cold]
fn corrupted(index: usize, offset: u64, len: u64) -> Error {
    Error::of(
        ErrorKind::Corrupted,
        format!(
            "shared memory is corrupted: a reference to {len} bytes at {offset} of segment {index}, which has no such place"
        ),
    )
}
