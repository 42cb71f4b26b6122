//! The memory of a world: one file, cut into blocks and objects, and what of it is in use.
//!
//! Lowest first:
//!
//! - `segments`: mapping the file; `id`: the name of an object; `record`: what belongs to a process slot;
//! - `block`: pieces of it, with heads; `store`: this process's view, and the arena lock;
//! - `arena`: free blocks and new ones; `objects`: 64 bytes for every lock and queue; `presence`: who has to do with which object;
//! - `walk`: what an object has; `sweep`: what is in use;
//! - `alloc`: handing out and giving back.
//!
//! The arena knows no protocol. What a queue, a pipe or a result refers to is told to it through one table by kind.

mod alloc;
mod arena;
mod block;
mod id;
mod objects;
mod presence;
mod record;
mod segments;
mod store;
mod sweep;
pub(crate) mod walk;

pub(crate) use block::{Block, HEAD};
pub(crate) use id::ObjectId;
pub(crate) use objects::Object;
pub(crate) use segments::Segments;
pub(crate) use store::{Memory, MemoryTable};
