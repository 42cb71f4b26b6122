//! How handles travel.
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
//! The receiver sets its own presence bits ([`open`]) before the message or result is gone.
//!
//! # If a process dies
//!
//! - The putter, before its message is put: the handles were its own, and go with it.
//! - The getter, after [`open`] and before the message is gone: the message still counts, and the next getter opens it again.
//! - A parent, after it gave handles to a child that has not started: they go with the child's slot.

use crate::error::{Error, ErrorKind, Result};
use crate::handle::reference::{CONSUMER, ObjectRef, PRESENT, PRODUCER};
use crate::liveness::ProcessId;
use crate::memory::ObjectId;
use crate::message;
use crate::sys::atomic::Ordering;
use crate::world::{Kind, World};
use core::cell::{Cell, RefCell};
use core::mem::ManuallyDrop;
use std::sync::Arc;

/// A handle in flight: the reference and what it may do.
type InFlight = (Arc<ObjectRef>, u32);

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

/// Bytes of one entry of the list.
const ENTRY: usize = 16;

thread_local! {
    /// Where in `PACKED` the handles of the value being packed begin; `None` outside.
    static PACKING: Cell<Option<usize>> = const { Cell::new(None) };
    /// How many handles `PACKED` holds; asked for every value, while the list is touched only for handles.
    static COUNT: Cell<usize> = const { Cell::new(0) };
    // Without a destructor both: they can be used until the thread ends, in its last destructors and in what the program has called
    // at its end. Nothing is left in them outside `pack` and `unpack`.
    static PACKED: ManuallyDrop<RefCell<Vec<Packed>>> =
        const { ManuallyDrop::new(RefCell::new(Vec::new())) };
    static UNPACKING: ManuallyDrop<RefCell<Option<Claimed>>> =
        const { ManuallyDrop::new(RefCell::new(None)) };
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

/// While it lives, a decoder on this thread takes its handles from what is lent here.
struct Unpacking<'a> {
    outer: Option<Claimed>,
    claimed: &'a mut Claimed,
}

impl Unpacking<'_> {
    fn begin(claimed: &mut Claimed) -> Unpacking<'_> {
        let mut lent = Some(std::mem::take(claimed));
        let outer = UNPACKING.try_with(|cell| cell.replace(lent.take()));
        Unpacking { outer: outer.ok().flatten(), claimed }
    }
}

/// Puts both lists back, also when a user's `Deserialize` panics.
impl Drop for Unpacking<'_> {
    fn drop(&mut self) {
        let rest = UNPACKING.try_with(|cell| cell.replace(self.outer.take()));
        *self.claimed = rest.ok().flatten().unwrap_or_default();
    }
}

/// Runs a decoder that may meet handles from `claimed`; what it does not take is given up.
#[inline]
pub(crate) fn unpack<R>(mut claimed: Claimed, f: impl FnOnce() -> R) -> R {
    if claimed.is_empty() && !is_unpacking() {
        // Nearly every value: it finds no handles either way.
        return f();
    }
    unpack_some(&mut claimed, f)
}

/// Whether this thread is inside [`unpack`], with handles that are another value's.
#[inline]
fn is_unpacking() -> bool {
    UNPACKING.try_with(|cell| cell.borrow().is_some()).unwrap_or(false)
}

/// The same; what it does not take stays in `claimed`, for another one.
pub(crate) fn unpack_some<R>(claimed: &mut Claimed, f: impl FnOnce() -> R) -> R {
    let _unpacking = Unpacking::begin(claimed);
    f()
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
        contents.kept.handles.append(&mut other.kept.handles);
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

/// Appends a parcel's list to the bytes it was packed with; [`open`] takes them apart.
pub(crate) fn seal(bytes: &mut Vec<u8>, parcel: &Parcel) {
    let list = parcel.list();
    bytes.extend_from_slice(&list);
    bytes.extend_from_slice(&(list.len() as u32).to_le_bytes());
}

/// Takes sealed bytes apart: the length of the packed value, and the handles.
pub(crate) fn list_of(
    sealed: &[u8],
) -> Result<(usize, impl Iterator<Item = (ObjectId, u32)> + '_)> {
    let cut = || Error::of(ErrorKind::Corrupted, "a message with shared objects is cut off");
    let (rest, len) = sealed.split_last_chunk().ok_or_else(cut)?;
    let len = u32::from_le_bytes(*len) as usize;
    let body = rest.len().checked_sub(len).filter(|_| len.is_multiple_of(ENTRY)).ok_or_else(cut)?;
    let entries = rest[body..].as_chunks::<ENTRY>().0.iter().map(|entry| {
        let word = |at: usize| entry[at..at + 4].try_into().map_or(0, u32::from_le_bytes);
        (ObjectId { index: word(0), generation: word(4) }, word(8) & (PRODUCER | CONSUMER))
    });
    Ok((body, entries))
}

/// Tells the list of `len` sealed bytes, of which `read` gives a part from a place on, without reading the packed value: it may be
/// large, and whoever asks holds a lock.
pub(crate) fn read_list(
    len: usize,
    read: impl Fn(usize, usize) -> Result<Vec<u8>>,
    mut tell: impl FnMut(ObjectId, u32),
) -> Result<()> {
    let last = read(len.saturating_sub(4), len.min(4))?;
    let list = last.first_chunk().map_or(0, |len| u32::from_le_bytes(*len) as usize);
    // A list that is longer than all there is, is found out by `list_of`.
    let list = list.saturating_add(4).min(len);
    let bytes = read(len - list, list)?;
    list_of(&bytes)?.1.for_each(|(id, roles)| tell(id, roles));
    Ok(())
}

/// Takes sealed bytes apart, and takes their handles over: this process has them now, whether or not they are decoded.
pub(crate) fn open<'a>(world: &'static World, sealed: &'a [u8]) -> Result<(&'a [u8], Claimed)> {
    let (body, entries) = list_of(sealed)?;
    let mut claimed = Claimed::default();
    for (id, roles) in entries {
        let reference = ObjectRef::find(world, id)?;
        reference.add_roles(roles)?;
        claimed.handles.push(Some((reference, roles)));
    }
    Ok((&sealed[..body], claimed))
}

/// Handles taken over from a list, for [`unpack`]; those not decoded are given back.
#[derive(Default)]
pub(crate) struct Claimed {
    handles: Vec<Option<InFlight>>,
}

impl Claimed {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.handles.is_empty()
    }

    /// Has this process keep the roles of a handle too.
    fn keep(&mut self, reference: &Arc<ObjectRef>, roles: u32) -> Result<()> {
        if roles != 0 {
            reference.add_roles(roles)?;
            self.handles.push(Some((Arc::clone(reference), roles)));
        }
        Ok(())
    }

    /// Takes the first `count` handles off: those of the first of several packed values.
    #[inline]
    pub(crate) fn take(&mut self, count: usize) -> Claimed {
        if count == 0 {
            return Claimed::default();
        }
        let count = count.min(self.handles.len());
        Claimed { handles: self.handles.drain(..count).collect() }
    }

    /// Gives up the roles of all that were not taken.
    #[cold]
    fn give_back(&mut self) {
        for (reference, roles) in self.handles.drain(..).flatten() {
            give_back(&reference, roles);
        }
    }

    /// Counts the handles as no longer in flight: the message or result with them is gone. Under the arena lock.
    pub(crate) fn uncount_in_flight(&self) {
        for (reference, _) in self.handles.iter().flatten() {
            reference.object.count_in_flight(false);
        }
    }
}

impl Drop for Claimed {
    #[inline]
    fn drop(&mut self) {
        // Of most messages there are none, and this is part of their way.
        if !self.is_empty() {
            self.give_back();
        }
    }
}

/// Gives up the roles of a handle that arrived and was not taken.
fn give_back(reference: &ObjectRef, roles: u32) {
    if reference.remove_roles(roles) != 0 {
        // Whoever waits for the role to end checks again; which words they sleep on is not known here.
        reference.world.liveness.raise_alarm();
    }
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

/// Brings a handle of `kind` back; the roles it came with are the caller's to count off.
pub(crate) fn deserialize<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
    kind: Kind,
) -> Result<(Arc<ObjectRef>, u32), D::Error> {
    use serde::Deserialize as _;
    let (world, position) = <(u64, u32)>::deserialize(deserializer)?;
    let found = UNPACKING.try_with(|cell| {
        let mut claimed = cell.borrow_mut();
        Some(claimed.as_mut()?.handles.get_mut(position as usize).and_then(Option::take))
    });
    let Some(found) = found.ok().flatten() else {
        return Err(message::refuse_to_deserialize(Error::of(
            ErrorKind::Foreign,
            "a shared object can be read only from a message of its own process tree",
        )));
    };
    let Some((reference, roles)) = found else {
        return Err(message::refuse_to_deserialize(Error::of(
            ErrorKind::Corrupted,
            "a shared object was taken twice from one message",
        )));
    };
    let kind_found = reference.object.kind.load(Ordering::Relaxed);
    if kind_found != kind as u32 || world != reference.world.id() {
        let text = format!("opened as {kind:?}, holds {}", Kind::name_of(kind_found));
        give_back(&reference, roles);
        return Err(message::refuse_to_deserialize(Error::of(ErrorKind::Mismatch, text)));
    }
    Ok((reference, roles))
}
