//! Walking what an object has: its blocks, and the references in its messages. A table by kind, which the rooms above fill.

use crate::memory::id::ObjectId;
use crate::memory::objects::Object;
use crate::memory::store::Memory;
use std::sync::OnceLock;

/// Kinds of objects, with room for some more. Larger numbers have no walk.
const KINDS: usize = 32;

/// What a walk meets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Met {
    /// A block that belongs to the object, by its id.
    Block(u32),
    /// A reference in a message, with its roles.
    Reference(ObjectId, u32),
}

/// How to walk objects of one kind.
#[derive(Clone, Copy)]
pub(crate) struct Walker {
    /// Tells what the object has. In doubt it tells nothing more: shared memory is damaged then. References are exact under
    /// the arena lock, where no message with references moves; blocks are exact when nobody uses the object.
    pub(crate) walk: fn(&Memory, &'static Object, &mut dyn FnMut(Met)),
    /// Whether there may be a reference in its messages. Costs next to nothing, however many messages there are.
    pub(crate) may_carry: fn(&'static Object) -> bool,
    /// Whoever has one of these presence bits can take messages out of the object.
    pub(crate) takers: u32,
    /// Whether a block of the object may say that a process holds something, as words of the payload do.
    pub(crate) may_hold: fn(&'static Object) -> bool,
}

static WALKERS: [OnceLock<Walker>; KINDS] = [const { OnceLock::new() }; KINDS];

/// Makes known how to walk objects of `kind`. A process that does not know takes what is in flight for used.
pub(crate) fn register(kind: u32, walker: Walker) {
    if let Some(entry) = WALKERS.get(kind as usize) {
        let _ = entry.set(walker);
    }
}

/// How to walk objects of `kind`.
pub(crate) fn of(kind: u32) -> Option<&'static Walker> {
    WALKERS.get(kind as usize)?.get()
}
