//! What this room needs of the foundation, and nothing else here does: objects with 48 bytes of payload, a block of bytes that
//! lives as long as its object, how both travel, and who is dead.
//!
//! # If a process dies
//!
//! - After an object is made, before its handle is: the object goes with the process, which alone refers to it.
//! - After the block is allocated, before it is given to the object: the block goes with the thread that allocated it.
//! - After it is given, before the payload names it: object and block go together.
//! - With the last handle, or in the middle of dropping it: object and block go together, at once or with the next sweep.

#![allow(unsafe_code, reason = "addresses of blocks")]

use crate::error::{Error, ErrorKind, Result};
use crate::handle::{self, ObjectRef};
use crate::liveness::Id;
pub(crate) use crate::memory::Object as MemoryObject;
use crate::memory::walk::{self, Met, Walker};
use crate::memory::{Block, Memory};
use crate::message;
use crate::sys::atomic::{AtomicU32, AtomicU64, Ordering};
pub(crate) use crate::sys::shared::Shared as Words;
pub(crate) use crate::world::Kind;
use crate::world::World;
use core::marker::PhantomData;
use std::sync::Arc;

/// What is the same for all objects of one kind.
pub(crate) trait OfKind: 'static {
    const KIND: Kind;

    /// The word of the payload that names the block; `None` if there is none.
    fn block(object: &'static MemoryObject) -> Option<&'static AtomicU32>;

    /// Whether the block may say that a process holds something.
    fn may_hold(_: &'static MemoryObject) -> bool {
        false
    }
}

/// Makes known what objects of a kind have: their block goes with the last handle.
fn register<K: OfKind>() {
    walk::register(
        K::KIND as u32,
        Walker { walk: walk_block::<K>, may_carry: |_| false, takers: 0, may_hold: K::may_hold },
    );
}

fn walk_block<K: OfKind>(_: &Memory, object: &'static MemoryObject, tell: &mut dyn FnMut(Met)) {
    let block = K::block(object).map_or(0, |word| word.load(Ordering::Relaxed));
    if block != 0 {
        tell(Met::Block(block));
    }
}

/// A handle to an object, and to its block if it has one.
pub(crate) struct Object<K> {
    reference: Arc<ObjectRef>,
    block: Option<Block>,
    kind: PhantomData<fn() -> K>,
}

impl<K: OfKind> Object<K> {
    /// Makes an object whose payload is zero.
    pub(crate) fn create() -> Result<Object<K>> {
        register::<K>();
        let reference = ObjectRef::create(crate::world::world()?, K::KIND, 0)?;
        Ok(Object { reference, block: None, kind: PhantomData })
    }

    fn world(&self) -> &'static World {
        self.reference.world
    }

    /// Gives the object a block of `len` bytes, whatever is in them.
    pub(crate) fn make_block(&mut self, len: usize) -> Result<()> {
        if let Some(word) = K::block(self.reference.object) {
            self.block = Some(self.reference.make_block(word, len)?);
        }
        Ok(())
    }

    /// Finds the block that the payload names, which must have room for `len` bytes.
    pub(crate) fn find_block(&mut self, len: usize) -> Result<()> {
        let id = K::block(self.reference.object).map_or(0, |word| word.load(Ordering::Relaxed));
        let block = self.world().memory.block(id)?;
        if block.len() < len {
            return Err(Error::of(
                ErrorKind::Corrupted,
                format!(
                    "shared memory is corrupted: {len} bytes are said to be in a block of {}",
                    block.len()
                ),
            ));
        }
        self.block = Some(block);
        Ok(())
    }

    /// Makes the first `len` bytes of the block zero; before anybody else has a handle.
    pub(crate) fn clear(&self, len: usize) -> Result<()> {
        self.block.map_or(Ok(()), |block| self.world().memory.clear(&block, len))
    }

    /// Where the block starts, aligned to 64 bytes; where nothing is if there is no block.
    pub(crate) fn base(&self) -> *mut u8 {
        self.block.map_or(core::ptr::without_provenance_mut(64), |block| block.payload())
    }

    /// How many bytes the block has room for.
    pub(crate) fn capacity(&self) -> usize {
        self.block.map_or(0, |block| block.len())
    }

    /// A structure of atomics at an offset of the block.
    pub(crate) fn at<T: Words>(&self, offset: usize) -> Result<&'static T> {
        let none = || Error::of(ErrorKind::Corrupted, "shared memory is corrupted: no block");
        self.block.ok_or_else(none)?.get(offset)
    }

    /// The first `count` words of the block.
    pub(crate) fn words(&self, count: usize) -> Result<&'static [AtomicU64]> {
        if count.checked_mul(8).is_none_or(|len| len > self.capacity()) {
            return Err(Error::of(
                ErrorKind::Corrupted,
                format!("shared memory is corrupted: {count} words in {} bytes", self.capacity()),
            ));
        }
        // SAFETY:
        // - the words were just checked against the block, which is aligned to 64 bytes and never unmapped;
        // - any bytes are atomics, whatever a peer writes.
        Ok(unsafe { core::slice::from_raw_parts(self.base().cast::<AtomicU64>(), count) })
    }

    /// The payload as a structure of atomics.
    pub(crate) fn view<T: Words>(&self) -> &'static T {
        self.reference.object.view()
    }

    /// The payload: 48 bytes, aligned to 8.
    pub(crate) fn payload(&self) -> &'static [AtomicU64; 6] {
        &self.reference.object.payload
    }

    /// The number of the object, for error texts and for telling two apart.
    pub(crate) fn index(&self) -> u32 {
        self.reference.id.index
    }

    /// An error in a forked child that inherited the handle.
    #[inline]
    pub(crate) fn check(&self) -> Result<()> {
        if self.is_current() { Ok(()) } else { self.world().liveness.me().map(drop) }
    }

    /// False in a forked child that inherited the handle.
    #[inline]
    pub(crate) fn is_current(&self) -> bool {
        self.world().is_current()
    }

    /// This process, for a claim.
    pub(crate) fn process(&self) -> u32 {
        self.world().liveness.this_process().to_bits()
    }

    /// Whether the process with this id is gone, with all its threads.
    pub(crate) fn is_gone(&self, process: u32) -> bool {
        Id::from_bits(process).is_none_or(|id| self.world().liveness.registry.is_gone(id))
    }
}

impl<K> Clone for Object<K> {
    fn clone(&self) -> Object<K> {
        Object { reference: Arc::clone(&self.reference), block: self.block, kind: PhantomData }
    }
}

impl<K: OfKind> serde::Serialize for Object<K> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        handle::serialize(&self.reference, 0, serializer)
    }
}

impl<'de, K: OfKind> serde::Deserialize<'de> for Object<K> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Object<K>, D::Error> {
        let (reference, _) = handle::deserialize(deserializer, K::KIND)?;
        register::<K>();
        Ok(Object { reference, block: None, kind: PhantomData })
    }
}

/// What a type travels with, so that the other end can see that it expects the same.
pub(crate) fn check_name<T: ?Sized, E: serde::de::Error>(what: &str, holds: &str) -> Result<(), E> {
    let opened = core::any::type_name::<T>();
    if opened == holds {
        return Ok(());
    }
    Err(message::refuse_to_deserialize(Error::of(
        ErrorKind::Mismatch,
        format!(
            "a shared object was opened as {what}<{opened}>, holds {what}<{holds}>: send and receive the same type"
        ),
    )))
}

/// Turns an error of this crate into the decoder's.
pub(crate) fn refuse<E: serde::de::Error>(error: Error) -> E {
    message::refuse_to_deserialize(error)
}
