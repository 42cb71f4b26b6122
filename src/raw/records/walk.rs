//! Walking the messages of a queue, to find the handles in them; see [`crate::world::cells`].

use super::chunk::{CHUNK, CHUNK_FIRST, Chunk, NEXT, chunk_of, no_room, units};
use super::{CARRIES, HeadLine, INLINE, Mark, NAMES_BLOCK, TailLine, named};
use crate::error::Result;
use crate::sys::atomic::Ordering;
use crate::world::World;
use crate::world::cells::{Cell, CellId};
use crate::world::handle;

/// Tells the handles in the messages of the queue in `cell`; under the arena lock, so that none of these messages moves.
pub(super) fn walk(world: &World, cell: &'static Cell, tell: &mut dyn FnMut(CellId, u32)) {
    // In doubt nothing more is told: shared memory is damaged then.
    let _ = try_walk(world, cell, tell);
}

fn try_walk(world: &World, cell: &'static Cell, tell: &mut dyn FnMut(CellId, u32)) -> Result<()> {
    let line: &HeadLine = cell.view();
    let tail: &TailLine = world.extent(line.block.load(Ordering::Relaxed))?.get(0)?;
    let tail = Mark(tail.tail.load(Ordering::Acquire));
    let mut head = Mark(line.head.load(Ordering::Acquire));
    // Getters of plain messages go on; the chunk they leave is not given away while the arena lock is held. Only number
    // and head have to fit together.
    let mut id = 0;
    for _ in 0..64 {
        id = line.chunks[chunk_of(head.position().wrapping_sub(1)) as usize & 1]
            .load(Ordering::Acquire);
        let again = Mark(line.head.load(Ordering::Acquire));
        if again == head {
            break;
        }
        head = again;
    }
    let mut position = head.position();
    let mut chunk = world.extent(id)?;
    for _ in 0..tail.count().wrapping_sub(head.count()) {
        let at_end = position.is_multiple_of(CHUNK);
        if at_end || Chunk::of(&chunk)?.word(position)?.load(Ordering::Relaxed) == NEXT {
            let number = chunk_of(position.wrapping_sub(1)).wrapping_add(1);
            chunk = world.extent(chunk.link().load(Ordering::Relaxed))?;
            position = number.wrapping_mul(CHUNK).wrapping_add(CHUNK_FIRST);
        }
        let here = Chunk::of(&chunk)?;
        let word = here.word(position)?.load(Ordering::Relaxed);
        let (len, info) = (word as u32 as usize, (word >> 32) as u32);
        if len > INLINE {
            return Err(no_room(position, len));
        }
        if info & CARRIES != 0 {
            let mut bytes = Vec::new();
            here.read(position, len, &mut bytes)?;
            if info & NAMES_BLOCK != 0 {
                let (id, len) = named(&bytes);
                bytes = world.extent(id)?.read(0, len as usize)?;
            }
            handle::list_of(&bytes)?.1.for_each(|(id, roles)| tell(id, roles));
        }
        position = position.wrapping_add(units(len));
    }
    Ok(())
}
