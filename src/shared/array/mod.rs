//! `Array`: many values of one type that processes share.
//!
//! - `elements`: the layout, the protocol, and elements one by one;
//! - `make`: making and finding it; `slices`: ranges as copies; `guard`: the whole in place.

mod elements;
mod guard;
mod make;
mod slices;

pub use elements::Array;
pub(crate) use elements::INHERITED;
pub use guard::ArrayGuard;
pub use make::ArrayBuilder;
pub use slices::ArrayIntoIter;
