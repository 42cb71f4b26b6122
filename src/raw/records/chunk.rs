//! Chunks: the blocks of 64 KiB in which the records of a queue stand, and the only code that touches their bytes.
//!
//! Positions, records and who may write what: see [`super`]. Every access is checked against the chunk, whatever
//! position or length was read from shared memory.

#![allow(unsafe_code, reason = "copies records to and from shared memory")]

use super::damaged;
use crate::error::{Error, Result};
use crate::sys::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};
use crate::world::World;
use crate::world::arena::{Block, HEAD};

/// Positions of a chunk; the first 8 stand for the block's head.
pub(super) const CHUNK: u32 = 8192;
pub(super) const CHUNK_FIRST: u32 = HEAD as u32 / 8;
pub(super) const CHUNK_BYTES: usize = (CHUNK - CHUNK_FIRST) as usize * 8;
/// The rest of the chunk is unused. No record has this length.
pub(super) const NEXT: u64 = u64::MAX;

/// The number of the chunk in which `position` lies; its end belongs to the next.
pub(super) fn chunk_of(position: u32) -> u32 {
    position / CHUNK
}

/// Positions that a record with `len` bytes of payload takes.
pub(super) fn units(len: usize) -> u32 {
    1 + len.div_ceil(8) as u32
}

/// The chunk that this handle met last, so that it need not be looked up for every record. Used under the lock of its side
/// only.
#[derive(Default)]
pub(super) struct Found {
    id: AtomicU32,
    base: AtomicPtr<u8>,
}

impl Found {
    #[inline]
    pub(super) fn at_hand(&self, id: u32) -> Option<Chunk> {
        let base = self.base.load(Ordering::Relaxed);
        (self.id.load(Ordering::Relaxed) == id && !base.is_null()).then_some(Chunk(base))
    }

    pub(super) fn chunk(&self, id: u32, world: &World) -> Result<Chunk> {
        self.at_hand(id).map_or_else(|| self.look_up(id, world), Ok)
    }

    #[cold]
    fn look_up(&self, id: u32, world: &World) -> Result<Chunk> {
        let chunk = Chunk::of(&world.extent(id)?)?;
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
    pub(super) fn of(block: &Block) -> Result<Chunk> {
        if block.len() < CHUNK_BYTES {
            return Err(damaged(format!("a chunk of {} bytes", block.len())));
        }
        Ok(Chunk(block.payload()))
    }

    /// The first word of a record.
    #[inline]
    pub(super) fn word(self, position: u32) -> Result<&'static AtomicU64> {
        let word = self.0.wrapping_add(offset(position, 0)?).cast();
        // SAFETY:
        // - `offset` answers multiples of 8 with 8 bytes left in the chunk, whose base is aligned to 64;
        // - all access to first words is atomic, by whatever process.
        Ok(unsafe { AtomicU64::from_ptr(word) })
    }

    /// Writes a record: its payload and its first word.
    #[inline]
    pub(super) fn write(self, position: u32, info: u32, bytes: &[u8]) -> Result<()> {
        let to = self.0.wrapping_add(offset(position, bytes.len())? + 8);
        // SAFETY:
        // - in the chunk, as `offset` checked; private memory does not overlap shared memory;
        // - only the holder of the tail lock writes behind the tail, and nobody reads there (I1); a peer that does all the
        //   same sees or makes garbage, which readers check.
        unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
        self.word(position)?.store(u64::from(info) << 32 | bytes.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Copies a payload out, appending it.
    #[inline]
    pub(super) fn read(self, position: u32, len: usize, out: &mut Vec<u8>) -> Result<()> {
        let from = self.0.wrapping_add(offset(position, len)? + 8);
        out.reserve(len);
        let end = out.len();
        let to = out.spare_capacity_mut().as_mut_ptr().cast::<u8>();
        // SAFETY:
        // - the source is in the chunk, as `offset` checked; the target has just been reserved;
        // - bytes between head and tail are not written (I1); if a peer writes all the same, the copy differs, and it is the
        //   copy that is checked.
        unsafe { core::ptr::copy_nonoverlapping(from, to, len) };
        // SAFETY: these bytes were just written, within the capacity.
        unsafe { out.set_len(end + len) };
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
pub(super) fn no_room(position: u32, len: usize) -> Error {
    damaged(format!("a record of {len} bytes at position {position}"))
}
