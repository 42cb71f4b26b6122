//! `SharedList`: a fixed number of mixed values, as `multiprocessing.shared_memory.ShareableList`, under a lock.
//!
//! # Layout
//!
//! The object's payload:
//!
//! ```text
//! 0   8  borrow   who touches the data ([`super::borrow`])             under the lock
//! 8   8  len      how many items                                       the creator, once
//! 16  4  block    the number of the block; 0: no items                 the creator, once
//! 24  8  size     bytes of the block that are used                     the creator, once
//! ```
//!
//! The block has a slot for each item, and behind them their bytes, from multiples of 8 on:
//!
//! ```text
//! 0   8  place    where the item's bytes start                         the creator, once
//! 8   8  room     how many bytes it has room for                       the creator, once
//! 16  8  kind     what it is, in the low half; bytes used, in the high half                   under the lock
//! ```
//!
//! # If a process dies
//!
//! As [`super::borrow`] says: in the middle of writing an item the list is poisoned. Bytes are written before the slot says what
//! they are, and what is read is checked: a kind that is none, a length beyond the room and text that is no UTF-8 are errors.

use super::borrow::{Borrow, Guarded, Purpose};
use super::bytes;
use super::store::{self, Kind, MemoryObject, Object, OfKind, Words};
use crate::error::{Error, ErrorKind, Result};
use crate::forms::forms;
use crate::sync::RLock;
use crate::sys::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::sys::clock::Deadline;

const SLOT: usize = 24;

const NONE: u32 = 0;
const INT: u32 = 1;
const FLOAT: u32 = 2;
const BOOL: u32 = 3;
const TEXT: u32 = 4;
const BYTES: u32 = 5;

#[repr(C)]
struct Payload {
    borrow: Borrow,
    len: AtomicU64,
    block: AtomicU32,
    reserved: AtomicU32,
    size: AtomicU64,
}

#[allow(unsafe_code, reason = "lives in shared memory")]
// SAFETY: a structure of atomics only.
unsafe impl Words for Payload {}

/// Objects of this kind.
pub(super) enum ListKind {}

impl OfKind for ListKind {
    const KIND: Kind = Kind::SharedList;

    fn block(object: &'static MemoryObject) -> Option<&'static AtomicU32> {
        Some(&object.view::<Payload>().block)
    }
}

/// An item of a [`SharedList`].
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum ListItem {
    /// Nothing, as Python's `None`.
    #[default]
    None,
    /// An integer.
    Int(i64),
    /// A floating-point number.
    Float(f64),
    /// True or false.
    Bool(bool),
    /// Text.
    Str(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

macro_rules! from {
    ($($type:ty => |$value:ident| $item:expr;)*) => {
        $(
            impl From<$type> for ListItem {
                fn from($value: $type) -> ListItem {
                    $item
                }
            }
        )*
    };
}

from! {
    i64 => |n| ListItem::Int(n);
    i32 => |n| ListItem::Int(n.into());
    u32 => |n| ListItem::Int(n.into());
    f64 => |x| ListItem::Float(x);
    f32 => |x| ListItem::Float(x.into());
    bool => |b| ListItem::Bool(b);
    &str => |text| ListItem::Str(text.to_owned());
    String => |text| ListItem::Str(text);
    &[u8] => |bytes| ListItem::Bytes(bytes.to_owned());
    Vec<u8> => |bytes| ListItem::Bytes(bytes);
    () => |_unit| ListItem::None;
}

impl<T: Into<ListItem>> From<Option<T>> for ListItem {
    fn from(item: Option<T>) -> ListItem {
        item.map_or(ListItem::None, Into::into)
    }
}

impl ListItem {
    /// Its kind and its bytes.
    fn encode(&self) -> (u32, Vec<u8>) {
        match self {
            ListItem::None => (NONE, Vec::new()),
            ListItem::Int(n) => (INT, n.to_le_bytes().to_vec()),
            ListItem::Float(x) => (FLOAT, x.to_le_bytes().to_vec()),
            ListItem::Bool(b) => (BOOL, vec![u8::from(*b)]),
            ListItem::Str(text) => (TEXT, text.as_bytes().to_vec()),
            ListItem::Bytes(bytes) => (BYTES, bytes.clone()),
        }
    }

    fn decode(kind: u32, bytes: Vec<u8>) -> Option<ListItem> {
        Some(match (kind, &bytes[..]) {
            (NONE, []) => ListItem::None,
            (INT, &[a, b, c, d, e, f, g, h]) => {
                ListItem::Int(i64::from_le_bytes([a, b, c, d, e, f, g, h]))
            }
            (FLOAT, &[a, b, c, d, e, f, g, h]) => {
                ListItem::Float(f64::from_le_bytes([a, b, c, d, e, f, g, h]))
            }
            (BOOL, [0]) => ListItem::Bool(false),
            (BOOL, [1]) => ListItem::Bool(true),
            (TEXT, _) => ListItem::Str(String::from_utf8(bytes).ok()?),
            (BYTES, _) => ListItem::Bytes(bytes),
            _ => return None,
        })
    }
}

/// A fixed number of mixed values that processes share, as Python's `ShareableList`: integers, floats, booleans, text, bytes, and
/// nothing.
///
/// The items can be replaced, also by those of another kind, as long as the new one fits into the slot: one has room for what
/// it was made with, rounded up to a multiple of 8 bytes, and for 8 bytes at least. Every call takes the list's lock. Handles
/// travel as those of a [`Value`](crate::Value) do.
///
/// # When a process dies
///
/// If a process is killed in the middle of [`set`](SharedList::set), all others are told with
/// [`is_owner_died`](crate::Error::is_owner_died), until [`recover`](SharedList::recover).
///
/// # Differences from Python
///
/// Text and bytes come back exactly as they were, with NULs at their end; text that does not fit is an error that names both
/// sizes; reading and writing are under a lock.
///
/// # Examples
///
/// ```
/// use multiproc::{ListItem, Process, SharedList};
///
/// let list = SharedList::new(["pets".into(), 7.into(), 2.5.into(), true.into(), ListItem::None])?;
/// Process::spawn(|list: SharedList| list.set(1, "seven"), (&list,))?.join()??;
/// assert_eq!(list.get(1)?, "seven".into());
/// assert!(list.set(1, "much too long a text").is_err_and(|error| error.is_too_large()));
/// # Ok::<(), multiproc::Error>(())
/// ```
#[derive(Clone)]
pub struct SharedList {
    object: Object<ListKind>,
    guarded: Guarded,
    words: &'static [AtomicU64],
    len: usize,
}

impl SharedList {
    /// Makes a list of these items, gone with its last user.
    ///
    /// # Errors
    ///
    /// [`is_too_large`](crate::Error::is_too_large) if it is more than the memory of this machine or control group leaves; or if
    /// this process cannot get shared memory.
    pub fn new(items: impl IntoIterator<Item = ListItem>) -> Result<SharedList> {
        let items: Vec<_> = items.into_iter().map(|item| item.encode()).collect();
        let room = |bytes: &[u8]| bytes.len().next_multiple_of(8).max(8);
        let size = items.iter().map(|(_, bytes)| SLOT + room(bytes)).sum();
        let mut object = Object::<ListKind>::create()?;
        let payload: &Payload = object.view();
        payload.len.store(items.len() as u64, Ordering::Relaxed);
        payload.size.store(size as u64, Ordering::Relaxed);
        if size > 0 {
            object.make_block(size)?;
            object.clear(size)?;
        }
        let list = SharedList::from_parts(object, Guarded::create(&payload.borrow, None)?)?;
        let mut place = items.len() * SLOT;
        for (index, (kind, bytes)) in items.iter().enumerate() {
            let [start, capacity, what] = list.slot(index)?;
            start.store(place as u64, Ordering::Relaxed);
            capacity.store(room(bytes) as u64, Ordering::Relaxed);
            bytes::write(list.words, place, bytes);
            what.store(tag(*kind, bytes.len()), Ordering::Relaxed);
            place += room(bytes);
        }
        Ok(list)
    }

    fn from_parts(object: Object<ListKind>, guarded: Guarded) -> Result<SharedList> {
        let payload: &Payload = object.view();
        let len = payload.len.load(Ordering::Relaxed) as usize;
        let size = payload.size.load(Ordering::Relaxed) as usize;
        let words = if size > 0 { object.words(size / 8)? } else { &[] };
        if len.checked_mul(SLOT).is_none_or(|slots| slots > words.len() * 8) {
            return Err(corrupted("it has more items than room"));
        }
        Ok(SharedList { object, guarded, words, len })
    }

    fn attach(mut object: Object<ListKind>, lock: RLock) -> Result<SharedList> {
        let payload: &Payload = object.view();
        if payload.size.load(Ordering::Relaxed) > 0 {
            object.find_block(0)?;
        }
        let guarded = Guarded::attach(&payload.borrow, lock)?;
        SharedList::from_parts(object, guarded)
    }

    /// How many items there are; that never changes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    forms! {
        /// A copy of item `index`.
        ///
        /// Blocks while another live thread holds the lock; woken when it is released or its holder dies.
        ///
        /// # Errors
        ///
        /// [`is_invalid_input`](crate::Error::is_invalid_input) if there is no such item;
        /// [`is_owner_died`](crate::Error::is_owner_died) if somebody died in the middle of writing;
        /// [`is_corrupted`](crate::Error::is_corrupted) if what is there is no item.
        pub fn get, try_get, get_timeout, get_deadline(&self, index: usize; until) -> ListItem {
            self.get_until(index, until)
        }
        try: Busy, is_busy, "another thread holds the lock"
    }

    fn get_until(&self, index: usize, until: Deadline) -> Result<ListItem> {
        self.check(index)?;
        let (_section, ()) = self.guarded.enter(Purpose::Read, until, || Ok(()))?;
        self.load(index)
    }

    forms! {
        /// Replaces item `index`.
        ///
        /// Blocks as [`get`](SharedList::get).
        ///
        /// # Errors
        ///
        /// [`is_too_large`](crate::Error::is_too_large) if it does not fit into the slot; else as [`get`](SharedList::get). Nothing
        /// is written then.
        pub fn set, try_set, set_timeout, set_deadline
        (&self, index: usize, item: impl Into<ListItem>; until) -> () {
            self.set_until(index, item, until)
        }
        try: Busy, is_busy, "another thread holds the lock"
    }

    fn set_until(&self, index: usize, item: impl Into<ListItem>, until: Deadline) -> Result<()> {
        self.check(index)?;
        let (kind, bytes) = item.into().encode();
        let [start, capacity, what] = self.slot(index)?;
        let room = capacity.load(Ordering::Relaxed) as usize;
        if bytes.len() > room {
            return Err(Error::of(
                ErrorKind::TooLarge,
                format!(
                    "an item of {} bytes does not fit into slot {index} of the list, which has room for {room}: make the list with longer items",
                    bytes.len()
                ),
            ));
        }
        let (_section, ()) = self.guarded.enter(Purpose::Write, until, || Ok(()))?;
        if !bytes::write(self.words, start.load(Ordering::Relaxed) as usize, &bytes) {
            return Err(corrupted("a slot lies outside of it"));
        }
        what.store(tag(kind, bytes.len()), Ordering::Relaxed);
        Ok(())
    }

    forms! {
        /// Copies of all items, taken under one lock.
        ///
        /// Blocks as [`get`](SharedList::get).
        ///
        /// # Errors
        ///
        /// As [`get`](SharedList::get).
        pub fn to_vec, try_to_vec, to_vec_timeout, to_vec_deadline(&self; until) -> Vec<ListItem> {
            self.to_vec_until(until)
        }
        try: Busy, is_busy, "another thread holds the lock"
    }

    fn to_vec_until(&self, until: Deadline) -> Result<Vec<ListItem>> {
        let (_section, ()) = self.guarded.enter(Purpose::Read, until, || Ok(()))?;
        (0..self.len).map(|index| self.load(index)).collect()
    }

    /// How many items are equal to this one.
    ///
    /// Blocks as [`get`](SharedList::get).
    ///
    /// # Errors
    ///
    /// As [`get`](SharedList::get).
    pub fn count(&self, item: impl Into<ListItem>) -> Result<usize> {
        let item = item.into();
        Ok(self.to_vec()?.iter().filter(|found| **found == item).count())
    }

    /// Where the first item equal to this one is, if there is one.
    ///
    /// Blocks as [`get`](SharedList::get).
    ///
    /// # Errors
    ///
    /// As [`get`](SharedList::get).
    pub fn index(&self, item: impl Into<ListItem>) -> Result<Option<usize>> {
        let item = item.into();
        Ok(self.to_vec()?.iter().position(|found| *found == item))
    }

    forms! {
        /// Goes on although somebody died in the middle of writing: the poison goes, and the items, as far as they can be read, are
        /// given to be examined. Around this call and those of [`set`](SharedList::set), a guard of
        /// [`get_lock().recover()`](crate::RLock::recover) keeps others from the items until they are repaired.
        ///
        /// Blocks as [`get`](SharedList::get).
        ///
        /// # Errors
        ///
        /// As [`get`](SharedList::get), but for the owner's death.
        pub fn recover, try_recover, recover_timeout, recover_deadline
        (&self; until) -> Vec<Result<ListItem>> {
            self.recover_until(until)
        }
        try: Busy, is_busy, "another live thread holds the lock"
    }

    fn recover_until(&self, until: Deadline) -> Result<Vec<Result<ListItem>>> {
        let (section, ()) = self.guarded.enter(Purpose::Recover, until, || Ok(()))?;
        let items = (0..self.len).map(|index| self.load(index)).collect();
        drop(section);
        Ok(items)
    }

    /// The lock of the list, as that of a [`Value`](crate::Value::get_lock).
    pub fn get_lock(&self) -> &RLock {
        self.guarded.lock()
    }

    fn check(&self, index: usize) -> Result<()> {
        if index < self.len {
            return Ok(());
        }
        Err(Error::of(
            ErrorKind::InvalidInput,
            format!("index {index} is out of range for a list of {} items", self.len),
        ))
    }

    fn slot(&self, index: usize) -> Result<&'static [AtomicU64; 3]> {
        let slots = self.words.as_chunks::<3>().0;
        slots.get(index).ok_or_else(|| corrupted("a slot lies outside of it"))
    }

    /// Under the lock.
    fn load(&self, index: usize) -> Result<ListItem> {
        let [start, capacity, what] = self.slot(index)?;
        let what = what.load(Ordering::Relaxed);
        let (kind, len) = (what as u32, (what >> 32) as usize);
        if len as u64 > capacity.load(Ordering::Relaxed) || len > self.words.len() * 8 {
            return Err(corrupted("an item is longer than its slot"));
        }
        let mut bytes = vec![0; len];
        if !bytes::read(self.words, start.load(Ordering::Relaxed) as usize, &mut bytes) {
            return Err(corrupted("a slot lies outside of it"));
        }
        ListItem::decode(kind, bytes).ok_or_else(|| corrupted("an item is none of the known kinds"))
    }
}

fn tag(kind: u32, len: usize) -> u64 {
    (len as u64) << 32 | u64::from(kind)
}

#[cold]
fn corrupted(what: &str) -> Error {
    Error::of(
        ErrorKind::Corrupted,
        format!("the shared memory of a list holds what is never written there: {what}"),
    )
}

impl core::fmt::Debug for SharedList {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let mut text = f.debug_struct("SharedList");
        match self.try_to_vec() {
            Ok(items) => text.field("items", &items),
            Err(error) => {
                text.field("len", &self.len).field("items", &format_args!("<{:?}>", error.kind()))
            }
        };
        text.field("half_written", &self.guarded.is_left_half_written())
            .field("lock", self.get_lock())
            .finish()
    }
}

impl serde::Serialize for SharedList {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.get_lock(), &self.object).serialize(serializer)
    }
}

impl<'de> serde::Deserialize<'de> for SharedList {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<SharedList, D::Error> {
        let (lock, object) = <(RLock, Object<ListKind>)>::deserialize(deserializer)?;
        SharedList::attach(object, lock).map_err(store::refuse)
    }
}
