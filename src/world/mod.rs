//! The world: one memory file that a process tree shares, and this process's view of it.
//!
//! - [`header`]: the layout of the first segment, and the check on attaching;
//! - [`kind`]: what objects there are;
//! - [`attach`]: making a world, attaching to one, and what a fork leaves of it.
//!
//! A world is liveness and memory, side by side: who is alive, and what there is.

pub(crate) mod attach;
mod header;
pub(crate) mod kind;

pub(crate) use attach::{
    Given, World, adopt, adopt_alone, current, leave_in_order, prepare, world,
};
pub(crate) use kind::Kind;
