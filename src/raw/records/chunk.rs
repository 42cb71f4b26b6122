//! Chunks: the blocks of 64 KiB in which records stand, and the only code that touches their bytes.
//!
//! Positions, records and who may write what: see [`super`]. Every access is checked against the chunk, whatever
//! position or length was read from shared memory.

#![allow(unsafe_code, reason = "copies records to and from shared memory")]

use super::head::{Form, NEXT, RecordHead, damaged};
use crate::error::{Error, Result};
use crate::sys::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering, prefetch, prefetch_write};
use crate::sys::bytes::{self, Buffer};

/// Positions of a chunk; the first 8 stand for the block's head.
const CHUNK: u32 = 8192;
const CHUNK_FIRST: u32 = 8;
/// How many numbers chunks can have.
pub(super) const CHUNKS: u32 = u32::MAX / CHUNK + 1;
/// Bytes of payload of a chunk.
pub(crate) const CHUNK_BYTES: usize = (CHUNK - CHUNK_FIRST) as usize * 8;

/// How many bytes behind the next record the lines end for which a putter asks. They are as many bytes as its record has: what it asks
/// for begins where what the record before asked for ends, whatever their lengths up to 640 bytes.
const AHEAD: usize = 768;
/// At least so many bytes behind the next record they begin.
const LEAST_AHEAD: usize = 128;

/// The position of the first record of chunk `number`.
pub(crate) fn chunk_start(number: u32) -> u32 {
    number.wrapping_mul(CHUNK).wrapping_add(CHUNK_FIRST)
}

/// The position at which chunk `number` ends.
pub(crate) fn after_chunk(number: u32) -> u32 {
    number.wrapping_add(1).wrapping_mul(CHUNK)
}

/// The number of the chunk in which the record at `position` begins.
pub(super) fn chunk_at(position: u32) -> u32 {
    position / CHUNK
}

/// The number of the chunk in which a head or tail at `position` is. One at the very end belongs to the chunk before it.
pub(super) fn chunk_before(position: u32) -> u32 {
    chunk_at(position.wrapping_sub(1))
}

/// Whether a position is the end of its chunk.
pub(super) fn is_at_end(position: u32) -> bool {
    position.is_multiple_of(CHUNK)
}

/// Whether a record of so many units that begins at `position` ends within its chunk. None begins at the end itself.
pub(super) fn fits_in_chunk(position: u32, units: u32) -> bool {
    let offset = position % CHUNK;
    offset != 0 && offset + units <= CHUNK
}

/// Positions that a record with `len` bytes of payload takes.
pub(super) fn units(len: usize) -> u32 {
    1 + len.div_ceil(8) as u32
}

/// A chunk as the store knows it.
#[derive(Clone, Copy)]
pub(crate) struct ChunkBlock {
    pub(crate) id: u32,
    pub(crate) link: &'static AtomicU32,
    /// In which life of the block it was met: once the queue is past it, the block may be handed out again.
    pub(crate) life: u32,
    payload: *mut u8,
}

impl ChunkBlock {
    /// A chunk with its payload of `len` bytes, in a mapping that is never unmapped, aligned to 64.
    pub(crate) fn new(
        id: u32,
        life: u32,
        link: &'static AtomicU32,
        payload: *mut u8,
        len: usize,
    ) -> Result<ChunkBlock> {
        if len < CHUNK_BYTES {
            return Err(damaged(format!("a chunk of {len} bytes")));
        }
        Ok(ChunkBlock { id, link, life, payload })
    }

    pub(super) fn chunk(&self) -> Chunk {
        Chunk(self.payload)
    }
}

/// The chunk that this handle met last, so that it need not be looked up for every record. Used under the lock of its side
/// only, and for hints, where a base that belongs to another id does no harm.
#[derive(Default)]
pub(super) struct Cached {
    id: AtomicU32,
    base: AtomicPtr<u8>,
}

impl Cached {
    #[inline]
    pub(super) fn get(&self, id: u32) -> Option<Chunk> {
        let base = self.base.load(Ordering::Relaxed);
        (self.id.load(Ordering::Relaxed) == id && !base.is_null()).then_some(Chunk(base))
    }

    /// The chunk with this number; `find` looks it up if it is another one than last time.
    pub(super) fn chunk(
        &self,
        id: u32,
        find: impl FnOnce(u32) -> Result<ChunkBlock>,
    ) -> Result<Chunk> {
        self.get(id).map_or_else(|| self.look_up_slow(find(id)?), Ok)
    }

    #[cold]
    fn look_up_slow(&self, block: ChunkBlock) -> Result<Chunk> {
        let (id, chunk) = (block.id, block.chunk());
        // Null in between: a thread may end here while it holds the lock.
        self.base.store(core::ptr::null_mut(), Ordering::Relaxed);
        self.id.store(id, Ordering::Relaxed);
        self.base.store(chunk.0, Ordering::Relaxed);
        Ok(chunk)
    }
}

/// The payload of a chunk: CHUNK_BYTES in a mapping that is never unmapped.
#[derive(Clone, Copy)]
pub(super) struct Chunk(*mut u8);

impl Chunk {
    /// The first word of a record.
    #[inline]
    fn word(self, position: u32) -> Result<&'static AtomicU64> {
        let word = self.0.wrapping_add(offset(position, 0)?).cast();
        // SAFETY:
        // - `offset` answers multiples of 8 with 8 bytes left in the chunk, whose base is aligned to 64;
        // - all access to first words is atomic, by whatever process.
        Ok(unsafe { AtomicU64::from_ptr(word) })
    }

    /// Asks for the lines of a short record at `position`.
    #[inline]
    pub(super) fn prefetch(self, position: u32) {
        if let Ok(offset) = offset(position, 0) {
            let place = self.0.wrapping_add(offset).cast_const();
            prefetch(place);
            prefetch(place.wrapping_add(64));
        }
    }

    /// Asks for lines, to write them: for as many bytes as a record of so many units has, some way behind `position`, where the next
    /// record comes; as far as the chunk goes.
    #[inline]
    pub(super) fn prefetch_ahead(self, position: u32, units: u32) {
        let len = units as usize * 8;
        // At the very end it wraps, and nothing is asked for.
        let at = (position % CHUNK).wrapping_sub(CHUNK_FIRST) as usize * 8;
        let from = at + AHEAD.saturating_sub(len).max(LEAST_AHEAD);
        let to = (from + len).min(CHUNK_BYTES);
        for line in (from.next_multiple_of(64)..to).step_by(64) {
            prefetch_write(self.0.wrapping_add(line));
        }
    }

    /// The length of the record at `position`, if it is all in the chunk and of this form.
    #[inline]
    pub(super) fn plain_len(self, position: u32, form: Form) -> Option<usize> {
        // Relaxed: behind the load of the tail, which the record came before (I1).
        RecordHead::plain_len(self.word(position).ok()?.load(Ordering::Relaxed), form)
    }

    /// The head of the record at `position`; `None` if the rest of the chunk is unused.
    pub(super) fn head(self, position: u32) -> Result<Option<RecordHead>> {
        // Relaxed: behind the load of the tail, which the record came before (I1).
        match self.word(position)?.load(Ordering::Relaxed) {
            NEXT => Ok(None),
            word => RecordHead::from_word(word).map(Some),
        }
    }

    /// Says that the rest of the chunk is unused.
    pub(super) fn end(self, position: u32) -> Result<()> {
        self.word(position)?.store(NEXT, Ordering::Relaxed);
        Ok(())
    }

    /// Writes a record: its payload and its head.
    #[inline]
    pub(super) fn write(self, position: u32, head: RecordHead, payload: &[u8]) -> Result<()> {
        let to = self.0.wrapping_add(offset(position, payload.len())? + 8);
        // SAFETY:
        // - in the chunk, as `offset` checked; private memory does not overlap shared memory;
        // - only the holder of the tail lock writes behind the tail, and nobody reads there (I1); a peer that does all the
        //   same sees or makes garbage, which readers check.
        unsafe { bytes::copy_in(payload, to) };
        self.word(position)?.store(head.to_word(), Ordering::Relaxed);
        Ok(())
    }

    /// Copies a payload out, appending it.
    #[inline]
    pub(super) fn read(self, position: u32, len: usize, out: &mut impl Buffer) -> Result<()> {
        let from = self.0.wrapping_add(offset(position, len)? + 8);
        // SAFETY:
        // - the source is in the chunk, as `offset` checked;
        // - bytes between head and tail are not written (I1); if a peer writes all the same, the copy differs, and it is the
        //   copy that is checked.
        unsafe { out.append_from(from, len) };
        Ok(())
    }
}

/// The byte offset of a position in its chunk, if a record with `len` bytes of payload has room there.
#[inline]
fn offset(position: u32, len: usize) -> Result<usize> {
    let at = (position % CHUNK).wrapping_sub(CHUNK_FIRST) as usize * 8;
    if at + 8 + len <= CHUNK_BYTES { Ok(at) } else { Err(no_room(position, len)) }
}

#[cold]
fn no_room(position: u32, len: usize) -> Error {
    damaged(format!("a record of {len} bytes at position {position}"))
}
