//! What a handle refers to, in a model: one process's view of a cell that is never given back.

use crate::error::Result;
use crate::world::World;
use crate::world::cells::Cell;
use std::sync::Arc;

/// What a cell holds.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Lock,
    RLock,
}

pub(crate) struct CellRef {
    pub(crate) world: &'static World,
    pub(crate) cell: &'static Cell,
}

impl CellRef {
    pub(crate) fn create(world: &'static World, _: Kind, _: u32) -> Result<Arc<CellRef>> {
        Ok(Arc::new(CellRef { world, cell: Cell::new() }))
    }

    /// The same cell as another process sees it.
    pub(crate) fn seen_by(&self, world: &'static World) -> Arc<CellRef> {
        Arc::new(CellRef { world, cell: self.cell })
    }
}
