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
//! - In a message, each referenced cell's count of references in flight is raised before the message becomes visible
//!   ([`Parcel::post`]), and lowered after the receiver has set its own presence bit ([`Claimed::settle`]). A process killed between
//!   the two leaves the count too high: the cell is kept, never freed too early.
//!
//! A role on its way is alive too. A queue notes the roles that its messages carry where it can be told exactly whether the
//! message is still there ([`crate::channel`]); for roles in the result of a process a count in the cell's last word says so.
//! The upper half of that word counts arrivals: whoever finds no living role anywhere while it stayed the same has missed none.

use crate::error::{Error, ErrorKind, Result};
use crate::message;
use crate::sys::atomic::{AtomicU32, Ordering};
use crate::world::World;
use crate::world::arena::{Cell, CellId};
use crate::world::registry::ProcessId;
use core::cell::RefCell;
use std::sync::{Arc, Weak};

/// Presence: this process has a handle.
pub(crate) const PRESENT: u32 = 1;
/// It has one that can put.
pub(crate) const PRODUCER: u32 = 2;
/// It has one that can get.
pub(crate) const CONSUMER: u32 = 4;
const ROLES: [u32; 2] = [PRODUCER, CONSUMER];

/// In the last word of a cell's payload: one reference with roles in the result of a process, and one arrival.
const IN_RESULT: u64 = 1;
const ARRIVAL: u64 = 1 << 32;

/// How handles travel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Route {
    /// In a message, through a queue.
    Message,
    /// In the result of a process.
    Result,
}

/// What a cell holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub(crate) enum Kind {
    Lock = 1,
    Event = 2,
    Queue = 3,
}

impl Kind {
    fn name(bits: u32) -> &'static str {
        match bits {
            1 => "Lock",
            2 => "Event",
            3 => "Queue",
            _ => "nothing that this version knows",
        }
    }
}

/// This process's one reference to a cell.
pub(crate) struct CellRef {
    pub(crate) world: &'static World,
    pub(crate) id: CellId,
    pub(crate) cell: &'static Cell,
    roles: [AtomicU32; 2],
}

/// The table of this process's references.
pub(crate) type Table = parking_lot::Mutex<std::collections::HashMap<u32, Weak<CellRef>>>;

impl CellRef {
    /// Makes a cell of `kind`.
    pub(crate) fn create(
        world: &'static World,
        kind: Kind,
        type_hash: u32,
        roles: u32,
    ) -> Result<Arc<CellRef>> {
        let (id, cell) = world.alloc_cell(kind as u32, type_hash, PRESENT | roles)?;
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
        let _table = self.world.handles.lock();
        for (role, count) in ROLES.iter().zip(&self.roles) {
            if roles & role != 0 && count.fetch_add(1, Ordering::Relaxed) == 0 {
                self.world.add_presence(self.world.this_process(), self.id.index, *role)?;
            }
        }
        Ok(())
    }

    /// One handle with `roles` less.
    pub(crate) fn remove_roles(&self, roles: u32) {
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
        if ended != 0 {
            // Whoever waits for this role in any process looks again; if this process is killed before the alarm, its
            // death is one.
            self.world.raise_alarm();
        }
    }

    /// Whether this process itself has a handle with the role.
    pub(crate) fn has_role(&self, role: u32) -> bool {
        ROLES
            .iter()
            .zip(&self.roles)
            .any(|(r, count)| r & role != 0 && count.load(Ordering::Relaxed) > 0)
    }

    /// Whether a handle with the role is in a living process, or on its way; `in_message` says whether one is in a message.
    pub(crate) fn is_role_alive(&self, role: u32, in_message: impl Fn() -> bool) -> bool {
        let last = &self.cell.payload[5];
        loop {
            // A role goes from a process into a message and from there into a process. One that is missed here arrived
            // in a process already looked at, and that is counted before the message is gone.
            let before = last.load(Ordering::SeqCst);
            if before as u32 != 0 || self.is_role_in_process(role) || in_message() {
                return true;
            }
            if last.load(Ordering::SeqCst) == before {
                return false;
            }
        }
    }

    fn is_role_in_process(&self, role: u32) -> bool {
        self.has_role(role)
            || self
                .world
                .living_processes()
                .any(|process| self.world.presence(process, self.id.index) & role != 0)
    }
}

impl Drop for CellRef {
    fn drop(&mut self) {
        if !self.world.is_current() {
            // A forked child's copy: the reference is the parent's.
            return;
        }
        let mut table = self.world.handles.lock();
        // Someone may have made a new reference since this one's count reached zero.
        let replaced = table.get(&self.id.index).is_some_and(|entry| entry.strong_count() > 0);
        if replaced {
            return;
        }
        table.remove(&self.id.index);
        self.world.remove_presence(self.id.index, 0xf);
        drop(table);
        let is_queue = self.cell.kind.load(Ordering::Relaxed) == Kind::Queue as u32;
        self.world.free_cell_if_unused(self.id);
        if is_queue {
            // Roles in its messages may have ended with it.
            self.world.raise_alarm();
        }
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

enum Scope {
    Packing(Parcel),
    Unpacking(Vec<Option<Carried>>),
}

thread_local! {
    static SCOPE: RefCell<Option<Scope>> = const { RefCell::new(None) };
}

fn in_scope<R>(scope: Scope, f: impl FnOnce() -> R) -> (R, Option<Scope>) {
    /// Puts the outer scope back, also when a user's `Serialize` panics.
    struct Restore(Option<Scope>);
    impl Drop for Restore {
        fn drop(&mut self) {
            SCOPE.with(|cell| *cell.borrow_mut() = self.0.take());
        }
    }
    let restore = Restore(SCOPE.with(|cell| cell.borrow_mut().replace(scope)));
    let result = f();
    let scope = SCOPE.with(|cell| cell.borrow_mut().take());
    drop(restore);
    (result, scope)
}

/// Runs an encoder that may meet handles; gives its result and the handles.
pub(crate) fn pack<R>(f: impl FnOnce() -> Result<R>) -> Result<(R, Parcel)> {
    let (result, scope) = in_scope(Scope::Packing(Parcel::default()), f);
    match scope {
        Some(Scope::Packing(parcel)) => Ok((result?, parcel)),
        _ => Ok((result?, Parcel::default())),
    }
}

/// Runs a decoder that may meet handles from `claimed`.
pub(crate) fn unpack<R>(mut claimed: Claimed, f: impl FnOnce() -> R) -> R {
    let handles = core::mem::take(&mut claimed.handles).into_iter().map(Some).collect();
    let (result, scope) = in_scope(Scope::Unpacking(handles), f);
    if let Some(Scope::Unpacking(handles)) = scope {
        // What the decoder did not take is given up again.
        drop(Claimed { handles: handles.into_iter().flatten().collect() });
    }
    result
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

    /// The handles with roles.
    pub(crate) fn roles(&self) -> impl Iterator<Item = (&Arc<CellRef>, u32)> {
        self.handles
            .iter()
            .map(|(reference, roles)| (reference, *roles))
            .filter(|&(_, roles)| roles != 0)
    }

    /// Counts the handles as in flight; what carries them may now become visible.
    pub(crate) fn post(&self, route: Route) {
        for (reference, roles) in &self.handles {
            reference.cell.in_flight.fetch_add(1, Ordering::SeqCst);
            if route == Route::Result && *roles != 0 {
                reference.cell.payload[5].fetch_add(IN_RESULT, Ordering::SeqCst);
            }
        }
    }

    /// Takes [`Parcel::post`] back: what carries them did not become visible.
    pub(crate) fn recall(&self, route: Route) {
        settle(&self.handles, route);
    }
}

/// These handles are no longer in flight.
fn settle(handles: &[Carried], route: Route) {
    for (reference, roles) in handles {
        reference.cell.in_flight.fetch_sub(1, Ordering::SeqCst);
        if route == Route::Result && *roles != 0 {
            reference.cell.payload[5].fetch_sub(IN_RESULT, Ordering::SeqCst);
        }
    }
}

/// Appends a parcel's list to the bytes it was packed with; [`open`] takes them apart.
pub(crate) fn seal(bytes: &mut Vec<u8>, parcel: &Parcel) {
    let list = parcel.list();
    bytes.extend_from_slice(&list);
    bytes.extend_from_slice(&(list.len() as u32).to_le_bytes());
}

/// Takes sealed bytes apart, and takes their handles over.
pub(crate) fn open<'a>(world: &'static World, sealed: &'a [u8]) -> Result<(&'a [u8], Claimed)> {
    let cut = || Error::new(ErrorKind::Corrupted, "a message with shared objects is cut off");
    let (rest, len) = sealed.split_last_chunk().ok_or_else(cut)?;
    let len = u32::from_le_bytes(*len) as usize;
    let body = rest.len().checked_sub(len).ok_or_else(cut)?;
    let (body, list) = rest.split_at(body);
    Ok((body, claim(world, list)?))
}

/// Handles taken from a list, for [`unpack`].
#[derive(Default)]
pub(crate) struct Claimed {
    handles: Vec<Carried>,
}

/// Takes over the handles of a list: this process has them now, whether or not they are decoded. If they were posted,
/// [`Claimed::settle`] is to follow.
fn claim(world: &'static World, list: &[u8]) -> Result<Claimed> {
    let mut handles = Vec::new();
    let (entries, rest) = list.as_chunks::<ENTRY>();
    if !rest.is_empty() {
        return Err(Error::new(ErrorKind::Corrupted, "a message's list of handles is cut off"));
    }
    for entry in entries {
        let word = |at: usize| entry[at..at + 4].try_into().map_or(0, u32::from_le_bytes);
        let id = CellId { index: word(0), generation: word(4) };
        let roles = word(8) & (PRODUCER | CONSUMER);
        let reference = CellRef::find(world, id)?;
        reference.add_roles(roles)?;
        if roles != 0 {
            reference.cell.payload[5].fetch_add(ARRIVAL, Ordering::SeqCst);
        }
        handles.push((reference, roles));
    }
    Ok(Claimed { handles })
}

impl Claimed {
    /// What carried them is gone: they are no longer in flight.
    pub(crate) fn settle(&self, route: Route) {
        settle(&self.handles, route);
    }
}

impl Drop for Claimed {
    fn drop(&mut self) {
        for (reference, roles) in self.handles.drain(..) {
            reference.remove_roles(roles);
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
    let place = SCOPE.with(|cell| match &mut *cell.borrow_mut() {
        Some(Scope::Packing(parcel)) => {
            parcel.handles.push((reference.clone(), roles));
            Some(parcel.handles.len() as u32 - 1)
        }
        _ => None,
    });
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
    let carried = SCOPE.with(|cell| match &mut *cell.borrow_mut() {
        Some(Scope::Unpacking(handles)) => {
            Some(handles.get_mut(place as usize).and_then(Option::take))
        }
        _ => None,
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
        reference.remove_roles(roles);
        return Err(message::refuse_to_deserialize(Error::new(ErrorKind::Mismatch, text)));
    }
    Ok((reference, roles))
}
