//! Walking the records of a queue: its chunks, the blocks that records name, and the messages that carry references.

use super::chunk::{CHUNKS, ChunkBlock, chunk_before, chunk_start, is_at_end, units};
use super::head::{NamedBlock, RecordHead, damaged};
use super::lines::{HeadLine, Stamp, TailLine};
use crate::error::Result;
use crate::sys::atomic::Ordering;

/// What a walk needs, and whom it tells.
pub(crate) trait Walk {
    /// The chunk with this number.
    fn chunk(&mut self, id: u32) -> Result<ChunkBlock>;

    /// The queue has this block.
    fn block(&mut self, id: u32);

    /// A message that carries references; `payload` is what stands in the chunk.
    fn message(&mut self, head: RecordHead, payload: &[u8]) -> Result<()>;
}

/// Walks the records between head and tail. Under the arena lock no message with references moves meanwhile, and no chunk is
/// given away.
pub(crate) fn walk(head: &HeadLine, tail: &TailLine, walker: &mut impl Walk) -> Result<()> {
    // ORDERING(put): Acquire, as in `load_tail`.
    let tail = Stamp(tail.tail.load(Ordering::Acquire));
    let (start, id) = start(head);
    let chunk = walker.chunk(id)?;
    walker.block(chunk.id);
    // Takers of plain messages may have gone past a tail that was loaded earlier: nothing is left of them then.
    let count = tail.count().wrapping_sub(start.count());
    if count as i32 <= 0 {
        return Ok(());
    }
    let plain = head.special.load(Ordering::Relaxed) == 0;
    if plain { chunks(start, tail, chunk, walker) } else { records(start, count, chunk, walker) }
}

/// Without special records there are only chunks to tell of: from one to the next by their links.
fn chunks(start: Stamp, tail: Stamp, mut chunk: ChunkBlock, walker: &mut impl Walk) -> Result<()> {
    let more = chunk_before(tail.position()).wrapping_sub(chunk_before(start.position()));
    for _ in 0..more % CHUNKS {
        chunk = walker.chunk(chunk.link.load(Ordering::Relaxed))?;
        walker.block(chunk.id);
    }
    Ok(())
}

fn records(
    start: Stamp,
    mut left: u32,
    mut chunk: ChunkBlock,
    walker: &mut impl Walk,
) -> Result<()> {
    let mut position = start.position();
    while left > 0 {
        let at_end = is_at_end(position);
        let record = if at_end { None } else { chunk.chunk().head(position)? };
        let Some(record) = record else {
            let number = chunk_before(position).wrapping_add(1);
            chunk = walker.chunk(chunk.link.load(Ordering::Relaxed))?;
            walker.block(chunk.id);
            position = chunk_start(number);
            if at_end && chunk.chunk().head(position)?.is_none() {
                return Err(damaged(format!("chunk {number} has no record")));
            }
            continue;
        };
        if !record.is_plain() {
            let mut payload = Vec::new();
            chunk.chunk().read(position, record.len, &mut payload)?;
            if record.names_block {
                walker.block(NamedBlock::from_bytes(&payload)?.id);
            }
            if record.carries {
                walker.message(record, &payload)?;
            }
        }
        position = position.wrapping_add(units(record.len));
        left -= 1;
    }
    Ok(())
}

/// The head, and the chunk in which it is. Takers of plain messages go on meanwhile; only number and head have to fit together.
fn start(line: &HeadLine) -> (Stamp, u32) {
    // ORDERING(take): Acquire, as in `load_head`: the chunk's id was stored before the head moved into it.
    let mut head = Stamp(line.head.load(Ordering::Acquire));
    let mut id = 0;
    for _ in 0..64 {
        id = line.chunks[chunk_before(head.position()) as usize & 1].load(Ordering::Acquire);
        let again = Stamp(line.head.load(Ordering::Acquire));
        if again == head {
            break;
        }
        head = again;
    }
    (head, id)
}
