//! Handles: what a `Lock` or `Queue` value holds, and how it travels.
//!
//! A handle refers to a cell in one of its lives. Per process and cell there is one [`CellRef`], shared by all handles;
//! while it lives, the process's presence bit keeps the cell. Roles (producer, consumer) are counted by handle in private
//! memory; the process has the role's bit in shared memory while the count is not zero.
//!
//! # Travelling
//!
//! Handles serialise only inside [`pack`], which collects them beside the bytes; the bytes hold the place in the list.
//!
//! - For a child about to start, the parent sets the child's presence bits ([`Parcel::give_to`]): if either dies, the bits
//!   die with the child's slot.
//! - In a message of a queue they are references as long as the message is there ([`crate::world::cells`]).
//! - In the result of a process they are counted until the parent has taken them over ([`Parcel::post`], [`Claimed::settle`]).
//!
//! The receiver sets its own presence bits ([`open`]) before the message or result is gone.

use crate::error::{Error, ErrorKind, Result};
use crate::message;
use crate::sys::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::world::World;
use crate::world::cells::{self, CellId};
use crate::world::registry::ProcessId;
use core::cell::{Cell, RefCell};
use std::sync::{Arc, Weak};

/// Presence: this process has a handle.
pub(crate) const PRESENT: u32 = 1;
/// It has one that can put.
pub(crate) const PRODUCER: u32 = 2;
/// It has one that can get.
pub(crate) const CONSUMER: u32 = 4;
const ROLES: [u32; 2] = [PRODUCER, CONSUMER];

/// What a cell holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub(crate) enum Kind {
    Lock = 1,
    Event = 2,
    Queue = 3,
    RLock = 4,
    Semaphore = 5,
    BoundedSemaphore = 6,
}

impl Kind {
    fn name(bits: u32) -> &'static str {
        match bits {
            1 => "Lock",
            2 => "Event",
            3 => "Queue",
            4 => "RLock",
            5 => "Semaphore",
            6 => "BoundedSemaphore",
            _ => "nothing that this version knows",
        }
    }
}

/// This process's one reference to a cell.
pub(crate) struct CellRef {
    pub(crate) world: &'static World,
    pub(crate) id: CellId,
    pub(crate) cell: &'static cells::Cell,
    roles: [AtomicU32; 2],
}

/// The table of this process's references.
pub(crate) type Table = parking_lot::Mutex<std::collections::HashMap<u32, Weak<CellRef>>>;

impl CellRef {
    /// Makes a cell of `kind`.
    pub(crate) fn create(world: &'static World, kind: Kind, roles: u32) -> Result<Arc<CellRef>> {
        let (id, cell) = world.alloc_cell(kind as u32, PRESENT | roles)?;
        let reference = Arc::new(CellRef { world, id, cell, roles: Default::default() });
        world.handles.lock().insert(id.index, Arc::downgrade(&reference));
        Ok(reference)
    }

    /// The reference to a cell for which this process has, or has been given, a presence bit.
    fn find(world: &'static World, id: CellId) -> Result<Arc<CellRef>> {
        let cell = world.cell(id.index)?;
        if cell.generation.load(Ordering::Acquire) != id.generation {
            return Err(Error::new(
                ErrorKind::Corrupted,
                "a handle refers to a shared object that is gone",
            ));
        }
        let mut table = world.handles.lock();
        if let Some(found) =
            table.get(&id.index).and_then(Weak::upgrade).filter(|found| found.id == id)
        {
            return Ok(found);
        }
        world.add_presence(world.this_process(), id.index, PRESENT)?;
        let reference = Arc::new(CellRef { world, id, cell, roles: Default::default() });
        table.insert(id.index, Arc::downgrade(&reference));
        Ok(reference)
    }

    /// One more handle with `roles` in this process.
    pub(crate) fn add_roles(&self, roles: u32) -> Result<()> {
        if !self.world.is_current() {
            return Err(Error::simple(ErrorKind::Foreign));
        }
        let _table = self.world.handles.lock();
        for (role, count) in ROLES.iter().zip(&self.roles) {
            if roles & role != 0 && count.fetch_add(1, Ordering::Relaxed) == 0 {
                self.world.add_presence(self.world.this_process(), self.id.index, *role)?;
            }
        }
        Ok(())
    }

    /// One handle with `roles` less; `alarm` says whether somebody may wait for a role to end.
    pub(crate) fn remove_roles(&self, roles: u32, alarm: bool) {
        if !self.world.is_current() {
            return;
        }
        let mut ended = 0;
        {
            let _table = self.world.handles.lock();
            for (role, count) in ROLES.iter().zip(&self.roles) {
                if roles & role != 0 && count.fetch_sub(1, Ordering::Relaxed) == 1 {
                    ended |= role;
                }
            }
            if ended != 0 {
                self.world.remove_presence(self.id.index, ended);
            }
        }
        if ended != 0 && alarm {
            // Whoever waits for this role in any process looks again; if this process is killed before the alarm, its
            // death is one.
            self.world.raise_alarm();
        }
    }

    /// Whether this process itself has a handle with the role.
    fn has_role(&self, role: u32) -> bool {
        ROLES
            .iter()
            .zip(&self.roles)
            .any(|(r, count)| r & role != 0 && count.load(Ordering::Relaxed) > 0)
    }

    /// Where a handle with the role is; exact.
    pub(crate) fn find_role(&self, role: u32) -> Found {
        if self.has_role(role) || self.world.is_role_in_process(self.id.index, role) {
            return Found::InProcess;
        }
        match self.world.is_role_anywhere(self.id, role) {
            Ok(false) => Found::Nowhere,
            // In doubt, a wait goes on; the next alarm asks again.
            Ok(true) | Err(_) => Found::UnderWay,
        }
    }
}

/// Where a role is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Found {
    InProcess,
    /// In a message or a result; it may end without an alarm of its own.
    UnderWay,
    Nowhere,
}

impl Drop for CellRef {
    fn drop(&mut self) {
        if !self.world.is_current() {
            // A forked child's copy: the reference is the parent's.
            return;
        }
        let mut table = self.world.handles.lock();
        // Only the table's own entry gives the bits back: another may have taken the cell's place in the table by now.
        if !table.get(&self.id.index).is_some_and(|entry| core::ptr::eq(entry.as_ptr(), self)) {
            return;
        }
        table.remove(&self.id.index);
        // Whether there may be messages that carry handles; other objects than queues use the word as they like.
        let is_queue = self.cell.kind.load(Ordering::Relaxed) == Kind::Queue as u32;
        let carrier = is_queue && self.carries().load(Ordering::Relaxed) != 0;
        self.world.remove_presence(self.id.index, 0xf);
        drop(table);
        self.world.free_cell_if_unused(self.id, carrier);
        if carrier {
            // Roles in its messages may have ended with it.
            self.world.raise_alarm();
        }
    }
}

impl CellRef {
    /// The last word of a queue's payload: not zero once a message with handles was put into it.
    pub(crate) fn carries(&self) -> &'static AtomicU64 {
        &self.cell.payload[5]
    }
}

/// A handle on its way: the reference and what it may do.
type Carried = (Arc<CellRef>, u32);

/// The handles inside one packed value.
#[derive(Default)]
pub(crate) struct Parcel {
    handles: Vec<Carried>,
}

/// Bytes of one entry of a posted list.
const ENTRY: usize = 16;

thread_local! {
    /// Where in `PACKED` the handles of the value being packed begin; `None` outside.
    static PACKING: Cell<Option<usize>> = const { Cell::new(None) };
    /// How many handles `PACKED` holds; asked for every value, while the list is touched only for handles.
    static COUNT: Cell<usize> = const { Cell::new(0) };
    static PACKED: RefCell<Vec<Carried>> = const { RefCell::new(Vec::new()) };
    static UNPACKING: RefCell<Option<Claimed>> = const { RefCell::new(None) };
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
        fn take(&self) -> Parcel {
            if COUNT.get() == self.start {
                return Parcel::default();
            }
            COUNT.set(self.start);
            Parcel { handles: PACKED.with(|packed| packed.borrow_mut().split_off(self.start)) }
        }
    }
    impl Drop for Packing {
        fn drop(&mut self) {
            PACKING.set(self.outer);
            drop(self.take());
        }
    }
    let start = COUNT.get();
    let packing = Packing { outer: PACKING.replace(Some(start)), start };
    let result = f()?;
    Ok((result, packing.take()))
}

/// Notes a handle of the value being packed: its place in the list.
fn pack_one(reference: &Arc<CellRef>, roles: u32) -> Option<u32> {
    let start = PACKING.get()?;
    PACKED.with(|packed| packed.borrow_mut().push((reference.clone(), roles)));
    COUNT.set(COUNT.get() + 1);
    u32::try_from(COUNT.get() - start - 1).ok()
}

/// Runs a decoder that may meet handles from `claimed`; what it does not take is given up.
pub(crate) fn unpack<R>(claimed: Claimed, f: impl FnOnce() -> R) -> R {
    /// Puts the outer list back, also when a user's `Deserialize` panics.
    struct Unpacking(Option<Claimed>);
    impl Drop for Unpacking {
        fn drop(&mut self) {
            let rest = UNPACKING.with(|cell| cell.replace(self.0.take()));
            drop(rest);
        }
    }
    let _unpacking = Unpacking(UNPACKING.with(|cell| cell.replace(Some(claimed))));
    f()
}

impl Parcel {
    pub(crate) fn is_empty(&self) -> bool {
        self.handles.is_empty()
    }

    /// The list as bytes, for behind the packed value.
    pub(crate) fn list(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.handles.len() * ENTRY);
        for (reference, roles) in &self.handles {
            for word in [reference.id.index, reference.id.generation, *roles, 0] {
                bytes.extend_from_slice(&word.to_le_bytes());
            }
        }
        bytes
    }

    /// Gives the handles to a child that has not started: its presence bits are set now.
    pub(crate) fn give_to(&self, world: &World, child: ProcessId) -> Result<()> {
        for (reference, roles) in &self.handles {
            world.add_presence(child, reference.id.index, PRESENT | roles)?;
        }
        Ok(())
    }

    /// Counts the handles as being in a message.
    pub(crate) fn carry(&self) {
        for (reference, _) in &self.handles {
            reference.cell.count_carried(true);
        }
    }

    /// Counts the handles as being in a result, which may now become visible.
    pub(crate) fn post(&self) {
        for (reference, _) in &self.handles {
            reference.cell.count_in_results(true);
        }
    }

    /// Takes [`Parcel::post`] back: the result did not become visible.
    pub(crate) fn recall(&self) {
        for (reference, _) in &self.handles {
            reference.cell.count_in_results(false);
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
pub(crate) fn list_of(sealed: &[u8]) -> Result<(usize, impl Iterator<Item = (CellId, u32)> + '_)> {
    let cut = || Error::new(ErrorKind::Corrupted, "a message with shared objects is cut off");
    let (rest, len) = sealed.split_last_chunk().ok_or_else(cut)?;
    let len = u32::from_le_bytes(*len) as usize;
    let body = rest.len().checked_sub(len).filter(|_| len.is_multiple_of(ENTRY)).ok_or_else(cut)?;
    let entries = rest[body..].as_chunks::<ENTRY>().0.iter().map(|entry| {
        let word = |at: usize| entry[at..at + 4].try_into().map_or(0, u32::from_le_bytes);
        (CellId { index: word(0), generation: word(4) }, word(8) & (PRODUCER | CONSUMER))
    });
    Ok((body, entries))
}

/// Takes sealed bytes apart, and takes their handles over: this process has them now, whether or not they are decoded.
pub(crate) fn open<'a>(world: &'static World, sealed: &'a [u8]) -> Result<(&'a [u8], Claimed)> {
    let (body, entries) = list_of(sealed)?;
    let mut claimed = Claimed::default();
    for (id, roles) in entries {
        let reference = CellRef::find(world, id)?;
        reference.add_roles(roles)?;
        claimed.handles.push(Some((reference, roles)));
    }
    Ok((&sealed[..body], claimed))
}

/// Handles taken over from a list, for [`unpack`]; those not decoded are given back.
#[derive(Default)]
pub(crate) struct Claimed {
    handles: Vec<Option<Carried>>,
}

impl Claimed {
    /// The message that carried them is gone.
    pub(crate) fn uncarry(&self) {
        for (reference, _) in self.handles.iter().flatten() {
            reference.cell.count_carried(false);
        }
    }

    /// The result that carried them is gone.
    pub(crate) fn settle(&self) {
        for (reference, _) in self.handles.iter().flatten() {
            reference.cell.count_in_results(false);
        }
    }
}

impl Drop for Claimed {
    fn drop(&mut self) {
        for (reference, roles) in self.handles.drain(..).flatten() {
            reference.remove_roles(roles, true);
        }
    }
}

/// Serialises a handle: its place in the list, with the world's id to tell strangers apart.
pub(crate) fn serialize<S: serde::Serializer>(
    reference: &Arc<CellRef>,
    roles: u32,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    use serde::Serialize as _;
    let place = if reference.world.is_current() { pack_one(reference, roles) } else { None };
    let Some(place) = place else {
        return Err(message::refuse_to_serialize(Error::new(
            ErrorKind::Foreign,
            "a shared object can travel only in the arguments and results of a process, or through a queue of its own process tree",
        )));
    };
    let world = reference.world.header.id.load(Ordering::Relaxed);
    (world, place).serialize(serializer)
}

/// Brings a handle of `kind` back; the roles it came with are the caller's to count off.
pub(crate) fn deserialize<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
    kind: Kind,
) -> Result<(Arc<CellRef>, u32), D::Error> {
    use serde::Deserialize as _;
    let (world, place) = <(u64, u32)>::deserialize(deserializer)?;
    let carried = UNPACKING.with(|cell| {
        let mut claimed = cell.borrow_mut();
        Some(claimed.as_mut()?.handles.get_mut(place as usize).and_then(Option::take))
    });
    let Some(carried) = carried else {
        return Err(message::refuse_to_deserialize(Error::new(
            ErrorKind::Foreign,
            "a shared object can be read only from a message of its own process tree",
        )));
    };
    let Some((reference, roles)) = carried else {
        return Err(message::refuse_to_deserialize(Error::new(
            ErrorKind::Corrupted,
            "a shared object was taken twice from one message",
        )));
    };
    let found = reference.cell.kind.load(Ordering::Relaxed);
    if found != kind as u32 || world != reference.world.header.id.load(Ordering::Relaxed) {
        let text = format!("opened as {}, holds {}", Kind::name(kind as u32), Kind::name(found));
        reference.remove_roles(roles, true);
        return Err(message::refuse_to_deserialize(Error::new(ErrorKind::Mismatch, text)));
    }
    Ok((reference, roles))
}
