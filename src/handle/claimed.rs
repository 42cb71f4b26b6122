//! Handles that arrive: how a message's are taken over, and come back as values.
//!
//! The receiver sets its own presence bits ([`open`]) before the message or result is gone.
//!
//! # If the receiver dies
//!
//! After [`open`] and before the message is gone: the message still counts, and the next getter opens it again.

use crate::error::{Error, ErrorKind, Result};
use crate::handle::reference::{CONSUMER, ObjectRef, PRODUCER};
use crate::memory::ObjectId;
use crate::message;
use crate::sys::atomic::Ordering;
use crate::world::{Kind, World};
use core::cell::RefCell;
use core::mem::ManuallyDrop;
use std::sync::Arc;

/// A handle in flight: the reference and what it may do.
pub(super) type InFlight = (Arc<ObjectRef>, u32);

/// Bytes of one entry of the list.
pub(super) const ENTRY: usize = 16;

thread_local! {
    /// What the decoder of this thread takes its handles from; `None` outside [`unpack`]. Without a destructor: it can be used until
    /// the thread ends, in its last destructors and in what the program has called at its end.
    static UNPACKING: ManuallyDrop<RefCell<Option<Claimed>>> =
        const { ManuallyDrop::new(RefCell::new(None)) };
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
    pub(super) fn keep(&mut self, reference: &Arc<ObjectRef>, roles: u32) -> Result<()> {
        if roles != 0 {
            reference.add_roles(roles)?;
            self.handles.push(Some((Arc::clone(reference), roles)));
        }
        Ok(())
    }

    /// Adds those of another list behind these.
    pub(super) fn append(&mut self, other: &mut Claimed) {
        self.handles.append(&mut other.handles);
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
