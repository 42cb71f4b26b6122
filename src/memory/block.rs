//! Blocks: pieces of shared memory with a head that says whose they are.
//!
//! ```text
//! the head of a block, one cache line; the payload follows
//! 0   4  magic      the constant in the high bytes, the size class in the low byte      whoever carves the block, once
//! 4   4  holder     the thread or process that holds it; 0: nobody; 1: the arena itself   holders of the arena lock; its holder
//! 8   8  owner      the object to which it belongs (index, generation); 0: none           its holder, before it lets go
//! 16  4  until      the position up to which it belongs to its owner                     its holder, before it lets go
//! 20  4  floor      which word of the owner's payload holds the owner's position; 0xff: the block is the owner's for life
//! 24  8  len        bytes of payload asked for                                          whoever hands it out
//! 32  4  link       the next chunk of a queue                                           its user
//! 36  4  life       how often the block was handed out                                  holders of the arena lock
//! 40  4  next_free  the next block in its free list (cache)                              holders of the arena lock
//! 44  4  listed     whether it stands in a free list, and has pages then (cache)          holders of the arena lock
//! 48 16  unused
//! ```
//!
//! A block is 4 KiB times a power of two, and is never split or joined. So an id (segment, page) names a block for ever.

#![allow(unsafe_code, reason = "copies bytes to and from shared memory")]

use crate::error::{Error, ErrorKind, Result};
use crate::liveness::Id;
use crate::memory::id::ObjectId;
use crate::memory::segments::Segments;
use crate::sys::atomic::{AtomicU32, AtomicU64, NATIVE, Ordering};
use crate::sys::bytes::{self, Buffer};
use crate::sys::shared::Shared;

pub(crate) const PAGE: u64 = 4096;
/// The low byte of a block's magic word is its class.
const MAGIC: u32 = 0x4d50_4200;
/// Size classes.
pub(crate) const CLASSES: usize = 32;
/// What `listed` says.
pub(crate) const NOT_LISTED: u32 = 0;
pub(crate) const LISTED_EMPTY: u32 = 1;
pub(crate) const LISTED_WITH_PAGES: u32 = 2;
/// The holder of blocks that belong to the arena itself. No id has a generation of 0.
pub(crate) const PERMANENT: u32 = 1;
/// The floor of a block that is its owner's wherever the owner's position is.
const FOR_LIFE: u32 = 0xff;
/// Bytes of a block's head.
pub(crate) const HEAD: u64 = 64;

/// The head of a block; see the module.
#[repr(C, align(64))]
pub(crate) struct Head {
    /// A constant in the high bytes, the size class in the low byte. Written once, by whoever carves the block.
    magic: AtomicU32,
    /// The thread or process that holds the block; 0: nobody. Written under the arena lock, and by the holder.
    pub(crate) holder: AtomicU32,
    /// The object to which it belongs; 0: none. Written by the holder before it lets go.
    pub(crate) owner: AtomicU64,
    /// Up to which position it belongs to the owner. Written before `owner`.
    until: AtomicU32,
    /// Which word of the owner's payload holds the owner's position, or [`FOR_LIFE`]. Written before `owner`.
    floor: AtomicU32,
    /// Bytes of payload asked for. Written by whoever hands it out.
    len: AtomicU64,
    /// The next chunk of a queue. Written by its user.
    link: AtomicU32,
    /// How often the block was handed out. Written under the arena lock.
    life: AtomicU32,
    /// The next block in its free list (cache). Written under the arena lock.
    pub(crate) next_free: AtomicU32,
    /// Whether it is in a free list, and has pages then (cache). Written under the arena lock.
    pub(crate) listed: AtomicU32,
    reserved: [AtomicU32; 4],
}

// SAFETY: a structure of atomics only.
unsafe impl Shared for Head {}

const _: () = assert!(!NATIVE || size_of::<Head>() == HEAD as usize);

/// A block of shared memory. What it means is up to its user.
#[derive(Clone, Copy)]
pub(crate) struct Block {
    id: u32,
    pub(crate) head: &'static Head,
    payload: *mut u8,
    capacity: u64,
    /// The life in which it was met. A block that was handed out again since is another one.
    life: u32,
}

// SAFETY: the payload is shared memory that is never unmapped; all access through this type is by atomics or by copies
// whose exclusiveness the callers' protocols argue.
unsafe impl Send for Block {}
// SAFETY: as above.
unsafe impl Sync for Block {}

impl core::fmt::Debug for Block {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Block").field("id", &self.id).field("capacity", &self.capacity).finish()
    }
}

/// Until when a block is its owner's, as read at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Term {
    ForLife,
    /// Until the low half of this word of the owner's payload is past the position.
    Until {
        floor: usize,
        position: u32,
    },
}

impl Block {
    /// The block that an id names.
    pub(crate) fn find(segments: &Segments, id: u32) -> Result<Block> {
        let (segment, offset) = address(id);
        if segment == 0 {
            return Err(no_block(id));
        }
        let head: &Head = segments.get(segment, offset)?;
        // ORDERING(carve): Acquire, pairs with the Release in `carve`.
        let class = head.magic.load(Ordering::Acquire) ^ MAGIC;
        if class >= CLASSES as u32 {
            return Err(no_block(id));
        }
        let capacity = class_size(class) - HEAD;
        let payload = segments.at(segment, offset + HEAD, capacity)?;
        let life = head.life.load(Ordering::Relaxed);
        Ok(Block { id, head, payload, capacity, life })
    }

    /// Makes a free block of the bytes at `offset` in `segment`. Under the arena lock.
    pub(crate) fn carve(
        segments: &Segments,
        segment: usize,
        offset: u64,
        class: u32,
    ) -> Result<Block> {
        let head: &Head = segments.get(segment, offset)?;
        let id = (segment as u32) << 20 | (offset / PAGE) as u32;
        head.holder.store(0, Ordering::Relaxed);
        head.owner.store(0, Ordering::Relaxed);
        head.listed.store(LISTED_EMPTY, Ordering::Relaxed);
        // ORDERING(carve): Release, pairs with the Acquire in `find` and `is_carved`; the head before its magic.
        head.magic.store(MAGIC | class, Ordering::Release);
        Block::find(segments, id)
    }

    /// Whether there is a block at `offset` in `segment`, or something that cannot be read.
    pub(crate) fn is_carved(segments: &Segments, segment: usize, offset: u64) -> bool {
        // Only a zero head is not carved yet.
        // ORDERING(carve): Acquire, pairs with the Release in `carve`.
        !matches!(segments.get::<Head>(segment, offset),
            Ok(head) if head.magic.load(Ordering::Acquire) == 0)
    }

    /// The life in which the block was met.
    pub(crate) fn life(&self) -> u32 {
        self.life
    }

    /// The block as it was met in an earlier look.
    pub(crate) fn in_life(self, life: u32) -> Block {
        Block { life, ..self }
    }

    /// Whether the block was handed out again since it was met.
    pub(crate) fn is_reused(&self) -> bool {
        self.head.life.load(Ordering::Relaxed) != self.life
    }

    /// Begins a new life of the block: `holder` has it, for `len` bytes. Under the arena lock.
    pub(crate) fn hand_out(&mut self, len: u64, holder: u32) {
        self.life = self.life.wrapping_add(1);
        self.head.life.store(self.life, Ordering::Relaxed);
        self.head.owner.store(0, Ordering::Relaxed);
        self.head.len.store(len, Ordering::Relaxed);
        self.head.link.store(0, Ordering::Relaxed);
        // ORDERING(hand over): Release, as in `give_until`: no old owner under the new holder.
        self.head.holder.store(holder, Ordering::Release);
    }

    /// Ends the life of the block. Under the arena lock.
    pub(crate) fn clear(&self) {
        self.head.owner.store(0, Ordering::Relaxed);
        self.head.holder.store(0, Ordering::Relaxed);
    }

    /// The size class, which is in bounds while nobody scribbles.
    pub(crate) fn class(&self) -> usize {
        (self.head.magic.load(Ordering::Relaxed) ^ MAGIC) as usize
    }

    /// Segment and offset of the payload.
    pub(crate) fn payload_address(&self) -> (usize, u64) {
        let (segment, offset) = address(self.id);
        (segment, offset + HEAD)
    }

    /// Segment and offset of the payload's pages behind the one with the head, and their length.
    pub(crate) fn spare_pages(&self) -> (usize, u64, u64) {
        let (segment, offset) = address(self.id);
        (segment, offset + PAGE, self.capacity + HEAD - PAGE)
    }

    /// What the block counts for: the pages that its payload touches.
    pub(crate) fn footprint(&self) -> u64 {
        (self.head.len.load(Ordering::Relaxed).min(self.capacity) + HEAD).next_multiple_of(PAGE)
    }

    /// Bytes of the block, head included.
    pub(crate) fn size(&self) -> u64 {
        self.capacity + HEAD
    }

    pub(crate) fn id(&self) -> u32 {
        self.id
    }

    /// Bytes of payload that the block has room for.
    pub(crate) fn len(&self) -> usize {
        self.capacity as usize
    }

    fn check(&self, offset: usize, len: usize) -> Result<()> {
        if offset.checked_add(len).is_none_or(|end| end > self.len()) {
            return Err(out_of_block(self, offset, len));
        }
        Ok(())
    }

    /// Copies bytes in.
    pub(crate) fn write(&self, offset: usize, bytes: &[u8]) -> Result<()> {
        self.check(offset, bytes.len())?;
        let to = self.payload.wrapping_add(offset);
        // SAFETY:
        // - the range was checked against the block, which lies in a mapping that is never unmapped;
        // - `bytes` is private memory and does not overlap;
        // - the caller's protocol gives it these bytes alone; a peer that breaks it garbles only data, which is checked
        //   when it is read.
        unsafe { bytes::copy_in(bytes, to) };
        Ok(())
    }

    /// Copies bytes out into `to`.
    pub(crate) fn read_into(&self, offset: usize, len: usize, to: &mut Vec<u8>) -> Result<()> {
        self.check(offset, len)?;
        to.try_reserve(len).map_err(|_| {
            Error::of(ErrorKind::OutOfMemory, format!("no memory for a message of {len} bytes"))
        })?;
        let from = self.payload.wrapping_add(offset);
        // SAFETY:
        // - the range was checked; the source is mapped for ever;
        // - the caller's protocol keeps writers away, and if a peer writes all the same, only the copied bytes differ.
        unsafe { to.append_from(from, len) };
        Ok(())
    }

    /// Copies bytes out.
    pub(crate) fn read(&self, offset: usize, len: usize) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.read_into(offset, len, &mut bytes)?;
        Ok(bytes)
    }

    /// A word of the payload; `offset` must be a multiple of 8.
    pub(crate) fn word(&self, offset: usize) -> Result<&'static AtomicU64> {
        self.get(offset)
    }

    /// A structure of atomics in the payload.
    #[inline]
    pub(crate) fn get<T: Shared>(&self, offset: usize) -> Result<&'static T> {
        self.check(offset, size_of::<T>())?;
        let address = self.payload.wrapping_add(offset);
        if !(address as usize).is_multiple_of(align_of::<T>()) {
            return Err(out_of_block(self, offset, size_of::<T>()));
        }
        // SAFETY:
        // - checked against the block just now, aligned, in a mapping that is never unmapped;
        // - `T: Shared`: any bytes are a value, all access is atomic.
        Ok(unsafe { &*address.cast::<T>() })
    }

    /// Where the payload starts; for the queue's fast path, which checks its own bounds.
    pub(crate) fn payload(&self) -> *mut u8 {
        self.payload
    }

    /// The next chunk of a queue.
    pub(crate) fn link(&self) -> &'static AtomicU32 {
        &self.head.link
    }

    /// Gives the block from its holder to an object, for as long as the position in the object's payload word `floor` is not
    /// beyond `until`.
    pub(crate) fn give_until(&self, owner: ObjectId, floor: usize, until: u32) {
        self.head.until.store(until, Ordering::Relaxed);
        self.head.floor.store(floor as u32, Ordering::Relaxed);
        // ORDERING(hand over): Release in this order, pairs with the Acquire loads in `is_block_used`: a sweep that sees no holder
        // sees the owner, and one that sees the owner sees `until`.
        self.head.owner.store(owner.to_bits(), Ordering::Release);
        self.head.holder.store(0, Ordering::Release);
    }

    /// Gives the block from its holder to an object, for as long as the object lives.
    pub(crate) fn give_for_life(&self, owner: ObjectId) {
        self.give_until(owner, FOR_LIFE as usize, 0);
    }

    /// Until when the block is its owner's.
    pub(crate) fn term(&self) -> Term {
        match self.head.floor.load(Ordering::Relaxed) {
            FOR_LIFE => Term::ForLife,
            floor => Term::Until {
                floor: floor as usize,
                position: self.head.until.load(Ordering::Relaxed),
            },
        }
    }

    /// Whether the block was given to this object for life, and nobody has it in hand.
    pub(crate) fn is_of(&self, owner: ObjectId) -> bool {
        self.is_kept_by(owner) && self.head.holder.load(Ordering::Acquire) == 0
    }

    /// Whether the block was given to this object for life.
    pub(crate) fn is_kept_by(&self, owner: ObjectId) -> bool {
        self.head.owner.load(Ordering::Acquire) == owner.to_bits() && self.term() == Term::ForLife
    }

    /// Whether the block was given for life to whom the other one belongs.
    pub(crate) fn is_kept_with(&self, other: &Block) -> bool {
        let owner = other.head.owner.load(Ordering::Acquire);
        self.head.owner.load(Ordering::Acquire) == owner && self.term() == Term::ForLife
    }

    /// The block is its owner's for life, which was its owner's until a position. The caller has become its holder and stays it:
    /// a sweep that has read the old position finds another holder than before.
    pub(crate) fn keep_for_life(&self) {
        // ORDERING(hand over): Release, as in `give_until`.
        self.head.floor.store(FOR_LIFE, Ordering::Release);
    }

    /// The block is the caller's alone, which has become its holder.
    pub(crate) fn disown(&self) {
        self.head.owner.store(0, Ordering::Release);
    }

    /// Names or clears the holder.
    pub(crate) fn set_holder(&self, holder: Option<Id>) {
        // ORDERING(claim): Release, pairs with the second load of the holder in `is_block_used`; before the owner's position moves.
        self.head.holder.store(holder.map_or(0, Id::to_bits), Ordering::Release);
    }
}

/// Segment and offset that an id names.
fn address(id: u32) -> (usize, u64) {
    ((id >> 20) as usize, u64::from(id & 0xf_ffff) * PAGE)
}

#[cold]
fn out_of_block(block: &Block, offset: usize, len: usize) -> Error {
    Error::of(
        ErrorKind::Corrupted,
        format!(
            "shared memory is corrupted: {len} bytes at {offset} do not fit a block of {} bytes",
            block.capacity
        ),
    )
}

#[cold]
pub(crate) fn no_block(id: u32) -> Error {
    Error::of(
        ErrorKind::Corrupted,
        format!("shared memory is corrupted: there is no block {id:#x}"),
    )
}

pub(crate) fn class_size(class: u32) -> u64 {
    PAGE << class
}

/// The class of the smallest block for `len` bytes of payload.
pub(crate) fn class_of(len: u64) -> Option<u32> {
    let pages = len.checked_add(HEAD)?.div_ceil(PAGE).checked_next_power_of_two()?;
    let class = pages.trailing_zeros();
    (class < CLASSES as u32).then_some(class)
}
