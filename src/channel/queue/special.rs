//! Messages that are not all in their chunk: large ones, which lie in a block of their own, and those that carry shared objects.

use super::held::HeldBlock;
use super::store::QueueStore;
use crate::error::{Error, ErrorKind, Result};
use crate::handle::{self, Claimed, Parcel};
use crate::liveness::Id;
use crate::memory::Block;
use crate::raw::records::{Attached, NamedBlock, RecordHead, Special, damaged};
use crate::world::{Kind, World};

/// What a message takes with it into the queue.
pub(super) struct Outgoing<'a> {
    pub(super) store: &'a QueueStore,
    pub(super) large: Option<Block>,
    pub(super) parcel: Option<&'a Parcel>,
}

impl Attached for Outgoing<'_> {
    fn placed(&self, position: u32) {
        if let Some(large) = &self.large {
            self.store.give_until(large, position);
        }
    }

    fn move_in(&self, store: &mut dyn FnMut()) -> Result<()> {
        let Some(parcel) = self.parcel else {
            store();
            return Ok(());
        };
        let memory = &self.store.reference.world.memory;
        memory.moving_references(Kind::Queue as u32, || {
            parcel.count_in_flight();
            store();
        })
    }
}

/// What a message brings out of the queue.
pub(super) struct Incoming {
    world: &'static World,
    /// Whether a large message will be copied out, so that there must be memory for it before the record is gone.
    copies: bool,
    large: Option<(Block, usize)>,
    claimed: Option<Claimed>,
}

/// A message that was taken, beside what of it was appended to the getter's memory.
pub(super) enum Taken {
    /// All was appended.
    Whole,
    /// Nothing was: it lies in this block.
    Large(HeldBlock),
    /// All was, and these are its handles.
    Carrying(Claimed),
}

impl Incoming {
    pub(super) fn of(world: &'static World, copies: bool) -> Incoming {
        Incoming { world, copies, large: None, claimed: None }
    }

    /// The record is gone: what it named is this thread's, or free.
    pub(super) fn finish(self) -> Result<Taken> {
        let large = match self.large {
            Some((block, len)) => Some(HeldBlock::of(&self.world.memory, block, len)?),
            None => None,
        };
        Ok(match (self.claimed, large) {
            (Some(claimed), _) => Taken::Carrying(claimed),
            (None, Some(large)) => Taken::Large(large),
            (None, None) => Taken::Whole,
        })
    }
}

impl Taken {
    /// Copies what was not appended yet.
    pub(super) fn copy_to(self, out: &mut Vec<u8>) -> Option<Claimed> {
        match self {
            Taken::Whole => None,
            Taken::Large(large) => {
                out.extend_from_slice(large.bytes());
                None
            }
            Taken::Carrying(claimed) => Some(claimed),
        }
    }
}

impl Special for Incoming {
    fn claim(&mut self, me: Id, _: u32, head: RecordHead, out: &mut Vec<u8>) -> Result<u64> {
        let start = out.len() - head.len;
        let mut total = head.len as u64;
        if head.names_block {
            let named = NamedBlock::from_bytes(&out[start..])?;
            out.truncate(start);
            let large = self.world.memory.block(named.id)?;
            if named.len > large.len() as u64 {
                return Err(damaged(format!(
                    "a message of {} bytes in a block of {}",
                    named.len,
                    large.len()
                )));
            }
            let len = named.len as usize;
            if self.copies || head.carries {
                // Before the record is gone: without memory it stays.
                out.try_reserve(len).map_err(|_| {
                    Error::of(
                        ErrorKind::OutOfMemory,
                        format!("no memory for a message of {len} bytes: it stays in the queue"),
                    )
                })?;
            }
            total = named.len;
            large.set_holder(Some(me));
            if head.carries {
                large.read_into(0, len, out)?;
            }
            self.large = Some((large, len));
        }
        if head.carries {
            // This process takes the objects over before the record is gone.
            let (body, claimed) = handle::open(self.world, &out[start..])?;
            let len = body.len();
            out.truncate(start + len);
            self.claimed = Some(claimed);
        }
        Ok(total)
    }

    fn move_out(&mut self, store: &mut dyn FnMut()) -> Result<()> {
        let Some(claimed) = &self.claimed else {
            store();
            return Ok(());
        };
        self.world.memory.moving_references(Kind::Queue as u32, || {
            store();
            claimed.uncount_in_flight();
        })
    }
}
