//! Blocks that this thread holds: the bytes of a large message, written before it is put and read after it was taken, where they
//! lie.
//!
//! Nobody else touches a block between the moment at which this thread becomes its holder and the moment at which it gives the
//! block away. If the thread dies in between, the block is free, its holder being dead. A block that outlives the call is the
//! process's, and free when that is dead.

#![allow(unsafe_code, reason = "bytes in shared memory, in place")]

use crate::error::{Error, ErrorKind, Result};
use crate::liveness::Id;
use crate::memory::{Block, Memory};
use core::mem::ManuallyDrop;

/// A block that this thread holds, or this process; freed when it is dropped, also by a panic.
pub(crate) struct HeldBlock {
    memory: &'static Memory,
    block: Block,
    /// Bytes of the message, at most the block's.
    len: usize,
}

impl HeldBlock {
    /// A new block for a message of `len` bytes. Something stands in it.
    pub(super) fn alloc(memory: &'static Memory, len: usize, me: Id) -> Result<HeldBlock> {
        let block = memory.alloc_for_message(len, me)?;
        HeldBlock::of(memory, block, len)
    }

    /// A block of which this thread has become the holder, and which its queue has no more.
    pub(super) fn of(memory: &'static Memory, block: Block, len: usize) -> Result<HeldBlock> {
        if len > block.len() {
            let text = format!("a message of {len} bytes in a block of {}", block.len());
            return Err(Error::of(ErrorKind::Corrupted, text));
        }
        Ok(HeldBlock { memory, block, len })
    }

    pub(super) fn block(&self) -> &Block {
        &self.block
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY:
        // - `len` bytes of the block, which lies in a mapping that is never unmapped; bytes have no invalid values;
        // - this thread or process holds the block, and this value, which alone stands for it, makes no other slice of it while
        //   this one is borrowed. A peer that writes there all the same breaks the protocol; it garbles data, which callers that
        //   check copy first.
        unsafe { core::slice::from_raw_parts(self.block.payload(), self.len) }
    }

    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above; the exclusive borrow makes this the only slice.
        unsafe { core::slice::from_raw_parts_mut(self.block.payload(), self.len) }
    }

    /// From now on the process holds it: the thread that took the message may end before this is dropped.
    pub(crate) fn keep(&self) {
        self.block.set_holder(Some(self.memory.liveness.this_process()));
    }

    /// The queue has it now.
    pub(super) fn given(self) {
        let _ = ManuallyDrop::new(self);
    }
}

impl Drop for HeldBlock {
    fn drop(&mut self) {
        self.memory.free(self.block);
    }
}
