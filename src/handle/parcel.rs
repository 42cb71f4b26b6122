//! Handles that leave: how a value's are collected, and go with its bytes.
//!
//! Handles serialise only inside [`pack`], which collects them beside the bytes; the bytes hold the position in the list.
//!
//! - For a child about to start, the parent sets the child's presence bits ([`Parcel::give_to`]): if either dies, the bits
//!   die with the child's slot.
//! - In a message of a queue, and in the result of a process, they are references as long as the message is there
//!   ([`crate::memory`]).
//!
//! A handle of which there is one at a time is *owned*: it moves ([`Passenger`]). The call that sends it tells it when the message is
//! there ([`Parcel::depart`]); until then it is still this process's.
//!
//! # If a process dies
//!
//! - The putter, before its message is put: the handles were its own, and go with it.
//! - A parent, after it gave handles to a child that has not started: they go with the child's slot.

use crate::error::{Error, ErrorKind, Result};
use crate::handle::claimed::{Claimed, ENTRY, InFlight};
use crate::handle::reference::{ObjectRef, PRESENT};
use crate::liveness::ProcessId;
use crate::message;
use crate::world::World;
use core::cell::{Cell, RefCell};
use core::mem::ManuallyDrop;
use std::sync::Arc;

/// An owned handle: one that moves when it travels, and of which there is one at a time.
pub(crate) trait Passenger: Send + Sync {
    /// It is about to travel; false if it is on its way already, or gone.
    fn board(&self) -> bool;
    /// It travels: from now on this process has it no more.
    fn depart(&self);
    /// It does not travel after all, unless it has departed.
    fn stay(&self);
}

/// A passenger of a value that is being packed or was packed.
struct Boarded(Arc<dyn Passenger>);

impl Drop for Boarded {
    fn drop(&mut self) {
        self.0.stay();
    }
}

/// The handles inside one packed value.
///
/// While it is there, this process has their roles, whatever becomes of the value: what a function returned is dropped before its
/// bytes are in the result. One without handles, as nearly all are, is a word.
#[derive(Default)]
pub(crate) struct Parcel(Option<Box<Contents>>);

/// What is in a parcel that has handles.
#[derive(Default)]
struct Contents {
    handles: Vec<InFlight>,
    passengers: Vec<Boarded>,
    kept: Claimed,
}

/// A handle that was packed, and what travels with it.
type Packed = (InFlight, Option<Boarded>);

thread_local! {
    /// Where in `PACKED` the handles of the value being packed begin; `None` outside.
    static PACKING: Cell<Option<usize>> = const { Cell::new(None) };
    /// How many handles `PACKED` holds; asked for every value, while the list is touched only for handles.
    static COUNT: Cell<usize> = const { Cell::new(0) };
    // Without a destructor: it can be used until the thread ends, in its last destructors and in what the program has called at its
    // end. Nothing is left in it outside `pack`.
    static PACKED: ManuallyDrop<RefCell<Vec<Packed>>> =
        const { ManuallyDrop::new(RefCell::new(Vec::new())) };
}

/// Runs an encoder that may meet handles; gives its result and the handles. It may be called by an encoder, too.
#[inline]
pub(crate) fn pack<R>(f: impl FnOnce() -> Result<R>) -> Result<(R, Parcel)> {
    /// Ends the packing, also when a user's `Serialize` fails or panics.
    struct Packing {
        outer: Option<usize>,
        start: usize,
    }
    impl Packing {
        #[inline]
        fn take(&self) -> Result<Parcel> {
            if COUNT.get() == self.start { Ok(Parcel::default()) } else { self.take_some() }
        }

        #[cold]
        fn take_some(&self) -> Result<Parcel> {
            COUNT.set(self.start);
            let packed = PACKED.try_with(|packed| match self.start {
                // With its capacity: nobody frees that when the thread ends.
                0 => packed.take(),
                start => packed.borrow_mut().split_off(start),
            });
            let packed = packed.unwrap_or_default();
            let mut kept = Claimed::default();
            // A passenger knows itself when it departs.
            for ((reference, roles), _) in packed.iter().filter(|(_, boarded)| boarded.is_none()) {
                kept.keep(reference, *roles)?;
            }
            let (handles, boarded): (Vec<_>, Vec<_>) = packed.into_iter().unzip();
            let passengers = boarded.into_iter().flatten().collect();
            Ok(Parcel(Some(Box::new(Contents { handles, passengers, kept }))))
        }
    }
    impl Drop for Packing {
        #[inline]
        fn drop(&mut self) {
            PACKING.set(self.outer);
            if COUNT.get() != self.start {
                drop(self.take_some());
            }
        }
    }
    let start = COUNT.get();
    let packing = Packing { outer: PACKING.replace(Some(start)), start };
    let result = f()?;
    Ok((result, packing.take()?))
}

/// How many handles the value being packed holds so far; for whoever wants to know whether a part of it holds any.
#[inline]
pub(crate) fn count_packed() -> usize {
    COUNT.get()
}

/// Notes a handle of the value being packed: its place in the list.
fn pack_one(reference: &Arc<ObjectRef>, roles: u32, boarded: Option<Boarded>) -> Option<u32> {
    let start = PACKING.get()?;
    let packed = ((reference.clone(), roles), boarded);
    PACKED.try_with(|list| list.borrow_mut().push(packed)).ok()?;
    COUNT.set(COUNT.get() + 1);
    u32::try_from(COUNT.get() - start - 1).ok()
}

impl Parcel {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.handles().is_empty()
    }

    /// How many handles there are.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.handles().len()
    }

    #[inline]
    fn handles(&self) -> &[InFlight] {
        self.0.as_ref().map_or(&[], |contents| &contents.handles)
    }

    #[inline]
    fn passengers(&self) -> &[Boarded] {
        self.0.as_ref().map_or(&[], |contents| &contents.passengers)
    }

    /// Whether an owned handle is among them: such a value can be sent once.
    pub(crate) fn moves(&self) -> bool {
        !self.passengers().is_empty()
    }

    /// Adds the handles of another packed value behind these.
    pub(crate) fn append(&mut self, other: Parcel) {
        let Some(mut other) = other.0 else { return };
        let contents = self.0.get_or_insert_default();
        contents.handles.append(&mut other.handles);
        contents.passengers.append(&mut other.passengers);
        contents.kept.append(&mut other.kept);
    }

    /// The list as bytes, for behind the packed value.
    pub(crate) fn list(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.len() * ENTRY);
        for (reference, roles) in self.handles() {
            for word in [reference.id.index, reference.id.generation, *roles, 0] {
                bytes.extend_from_slice(&word.to_le_bytes());
            }
        }
        bytes
    }

    /// Gives the handles to a child that has not started: its presence bits are set now.
    pub(crate) fn give_to(&self, world: &World, child: ProcessId) -> Result<()> {
        for (reference, roles) in self.handles() {
            world.memory.add_presence(child, reference.id.index, PRESENT | roles)?;
        }
        Ok(())
    }

    /// The value is on its way: what travels as owned is this process's no more. Without this call, what was given by value
    /// is dropped, and what was given by reference stays.
    pub(crate) fn depart(&self) {
        for boarded in self.passengers() {
            boarded.0.depart();
        }
    }

    /// Counts the handles as in flight: in a message or result. Under the arena lock.
    pub(crate) fn count_in_flight(&self) {
        for (reference, _) in self.handles() {
            reference.object.count_in_flight(true);
        }
    }
}

/// Appends a parcel's list to the bytes it was packed with; [`open`](crate::handle::claimed::open) takes them apart.
pub(crate) fn seal(bytes: &mut Vec<u8>, parcel: &Parcel) {
    let list = parcel.list();
    bytes.extend_from_slice(&list);
    bytes.extend_from_slice(&(list.len() as u32).to_le_bytes());
}

/// Serialises a handle: its position in the list, with the world's id to tell strangers apart.
pub(crate) fn serialize<S: serde::Serializer>(
    reference: &Arc<ObjectRef>,
    roles: u32,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serialize_with(reference, roles, None, serializer)
}

/// Serialises an owned handle, which moves.
pub(crate) fn serialize_owned<S: serde::Serializer>(
    reference: &Arc<ObjectRef>,
    roles: u32,
    passenger: Arc<dyn Passenger>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    if !passenger.board() {
        return Err(message::refuse_to_serialize(Error::of(
            ErrorKind::Foreign,
            "this end of a pipe was sent away, or is being sent: an end has one owner and can be sent once",
        )));
    }
    serialize_with(reference, roles, Some(Boarded(passenger)), serializer)
}

fn serialize_with<S: serde::Serializer>(
    reference: &Arc<ObjectRef>,
    roles: u32,
    boarded: Option<Boarded>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    use serde::Serialize as _;
    let is_current = reference.world.is_current();
    let position = if is_current { pack_one(reference, roles, boarded) } else { None };
    let Some(position) = position else {
        return Err(message::refuse_to_serialize(Error::of(
            ErrorKind::Foreign,
            "a shared object can travel only in the arguments and results of a process, or through a queue of its own process tree",
        )));
    };
    let world = reference.world.id();
    (world, position).serialize(serializer)
}
