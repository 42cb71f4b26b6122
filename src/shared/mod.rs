//! Data that processes share: values, arrays and bytes.
//!
//! - `store`: what this room needs of the foundation;
//! - `plain`: what may stand in shared memory; `bytes`: bytes that anybody may write to at any time;
//! - `borrow`: who may touch an object's data;
//! - `value`, `array` with `part`, `claimed` and `frozen`, `list`: data under a lock;
//! - `atomic`, `structure`, `memory`: data without one;
//! - `guarded`: the calls of a cell of [`raw`](crate::raw); `words`: those of its other words;
//! - `views`: shapes, for `ndarray`.

mod array;
mod atomic;
mod borrow;
mod bytes;
mod claimed;
mod frozen;
mod guarded;
mod list;
mod memory;
mod part;
mod plain;
mod store;
mod structure;
mod value;
#[cfg(feature = "ndarray")]
mod views;
mod words;

pub use array::{Array, ArrayBuilder, ArrayGuard, ArrayIntoIter};
pub use atomic::{Atomic, AtomicInteger, AtomicValue};
/// The crate that says what plain old data is, for its derives: see [`Plain`].
pub use bytemuck;
pub use bytemuck::{Pod, Zeroable};
pub use claimed::PartGuard;
pub use frozen::FrozenArray;
pub use list::{ListItem, SharedList};
pub use memory::SharedMemory;
pub use part::ArrayPart;
pub use plain::Plain;
pub use structure::{Shared, SharedType};
pub use value::{Value, ValueBuilder, ValueGuard};
