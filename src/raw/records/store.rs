//! What the records need of the rooms above.

use super::chunk::ChunkBlock;
use crate::error::Result;
use crate::liveness::{Id, Liveness};

/// A side of a queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Side {
    Putters,
    Takers,
}

/// What the records need of the rooms above: memory, and who is on the other side.
pub(crate) trait Store {
    fn liveness(&self) -> &'static Liveness;

    /// The chunk with this number.
    fn chunk(&self, id: u32) -> Result<ChunkBlock>;

    /// A new chunk, the queue's for as long as the head is not past `until`.
    fn new_chunk(&self, me: Id, until: u32) -> Result<ChunkBlock>;

    /// The head has left this chunk for good.
    fn free_chunk(&self, left: ChunkBlock);

    /// Whether a side is gone for good, where ends are counted. Not under a lock.
    fn is_gone(&self, side: Side) -> bool;

    /// Whether there is something to take that is no record, or may be. Not under a lock.
    fn has_other(&self) -> bool {
        false
    }

    /// Whether what was taken may come back, to be taken again. Not under a lock.
    fn may_come_back(&self) -> bool {
        false
    }

    /// Whether a side was there when last checked, and nothing has happened since. Costs two loads.
    fn was_there(&self, side: Side) -> bool;
}
