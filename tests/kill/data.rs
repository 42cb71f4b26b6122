//! Shared data with which the actors act, what is done with it, and how it is told; see `data_verbs`.
//!
//! All of an object's data says one number, in several places. What writes puts the number of its order there, so that
//! whoever reads can tell what was written and what is torn.

use std::sync::atomic::AtomicU64;

use multiproc::{
    Array, ArrayGuard, ArrayPart, Atomic, FrozenArray, ListItem, Owner, Queue, RLock, RLockGuard,
    Shared, SharedList, SharedMemory, Value, ValueGuard, shared_type,
};
use serde::{Deserialize, Serialize};

use super::actor::{Mark, answer};
use super::board::{HOLDING, LEAVING, Seat};
use super::forms::is_refusal;
use super::sync_verbs::REFUSED;

/// Which object.
pub(crate) const VALUE: u64 = 0;
pub(crate) const LARGE_VALUE: u64 = 1;
pub(crate) const ARRAY: u64 = 2;
pub(crate) const LIST: u64 = 3;
pub(crate) const MEMORY: u64 = 4;
pub(crate) const NUMBER: u64 = 5;
pub(crate) const STRUCTURE: u64 = 6;

/// The answer of who was told of a death.
pub(crate) const DIED: u64 = u64::MAX - 1;
/// The answer of who was told that a part is claimed.
pub(crate) const CLAIMED: u64 = u64::MAX - 2;
/// The answer of who was told that the array is frozen.
pub(crate) const FROZEN: u64 = u64::MAX - 3;

/// Elements of the array, and of its first part.
pub(crate) const LEN: usize = 32;
pub(crate) const PART: usize = LEN / 2;
/// Bytes of an item of the list, and of the memory.
pub(super) const ITEM: usize = 24;
pub(super) const BYTES: usize = 64;

/// What is done with an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Op {
    /// Read the whole. Result: the number, or what it was told instead.
    Get,
    /// Write the whole.
    Set,
    Swap,
    Update,
    /// Borrow it and write through the guard.
    Borrow,
    /// The same, recovering.
    Recover,
    /// As Python's `with value.get_lock()`.
    Counted,
    Describe,
    /// Of an array or a list: one element, or a range.
    GetOne,
    SetOne,
    UpdateOne,
    Read,
    Write,
    CopyOut,
    Fill,
    Count,
    Index,
    Freeze,
    /// Read a frozen array in place.
    Slice,
    CloneFrozen,
    /// Cut the array and drop the parts.
    Partition,
    Chunks,
    /// Of the number.
    FetchSub,
    CompareExchange,
    /// Cut the array in two, and put the parts in the queue.
    Cut,
    TakePart,
    /// Send the part that this actor has, or a reference to it.
    SendPart,
    OfferPart,
    DropPart,
    /// Claim it, write to it, give it back. Result: whether a dead process had had it.
    Claim,
    /// The same, and only giving it back is under test.
    GiveClaim,
    /// Borrow it and keep it. If the number is not 0 it is written.
    Hold,
    /// Let go of it.
    LetGo,
    /// Take the array's lock and keep it, or let go of it; recover it and let go.
    HoldLock,
    FreeLock,
    RecoverLock,
    /// Read the whole, recover it if somebody died, write what it says. Results: [`DIED`] or [`CLAIMED`] or 0, the least and the
    /// greatest number that was found.
    Check,
}

shared_type! {
    /// What all see in place.
    #[derive(Debug)]
    pub(crate) struct Numbers {
        pub(crate) first: AtomicU64,
        pub(crate) plain: u64,
    }
}

/// An object of each kind.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Data {
    pub(super) value: Value<[u64; 4]>,
    pub(super) large_value: Value<[u64; 8]>,
    pub(super) array: Array<u64>,
    pub(super) list: SharedList,
    pub(super) memory: SharedMemory,
    pub(super) number: Atomic<u64>,
    pub(super) structure: Shared<Numbers>,
    /// Parts on their way.
    pub(super) parts: Queue<ArrayPart<u64>>,
    pub(super) frozen: FrozenArray<u64>,
}

impl Data {
    pub(crate) fn new() -> multiproc::Result<Self> {
        let numbers = || Numbers { first: AtomicU64::new(0), plain: 7 };
        Ok(Self {
            value: Value::new([0; 4])?,
            large_value: Value::new([0; 8])?,
            array: Array::zeroed(LEN)?,
            list: SharedList::new([item(0), item(0)])?,
            memory: SharedMemory::new(BYTES)?,
            number: Atomic::new(0)?,
            structure: Shared::new(numbers())?,
            parts: Queue::new()?,
            frozen: Array::from_slice(&[7; LEN])?.freeze()?,
        })
    }

    pub(super) fn lock(&self, which: u64) -> &RLock {
        match which {
            VALUE => self.value.get_lock(),
            LARGE_VALUE => self.large_value.get_lock(),
            LIST => self.list.get_lock(),
            _ => self.array.get_lock(),
        }
    }

    /// Whether the process holds one of the locks.
    pub(crate) fn is_held_by(&self, pid: i32) -> bool {
        let is_owner = |owner: Owner| i64::from(owner.pid) == i64::from(pid);
        [VALUE, LARGE_VALUE, ARRAY, LIST]
            .iter()
            .any(|&which| self.lock(which).owner().is_some_and(is_owner))
    }
}

/// What an actor holds from one order to the next.
#[derive(Debug, Default)]
pub(crate) struct Grip<'a> {
    pub(super) value: Option<ValueGuard<'a, [u64; 4]>>,
    pub(super) large_value: Option<ValueGuard<'a, [u64; 8]>>,
    pub(super) array: Option<ArrayGuard<'a, u64>>,
    pub(super) list: Option<RLockGuard<'a>>,
    pub(super) lock: Option<RLockGuard<'a>>,
    pub(super) part: Option<ArrayPart<u64>>,
}

/// One order.
#[derive(Clone, Copy)]
pub(super) struct Call<'s> {
    pub(super) seat: &'s Seat,
    pub(super) mark: Mark<'s>,
    pub(super) op: Op,
    pub(super) form: u64,
    pub(super) number: u64,
}

/// What a call told: `done`'s number, or why it did nothing.
#[inline(always)]
pub(super) fn told<R>(
    form: u64,
    result: multiproc::Result<R>,
    done: impl FnOnce(R) -> u64,
) -> multiproc::Result<u64> {
    match result {
        Ok(result) => Ok(done(result)),
        Err(error) if error.is_owner_died() => Ok(DIED),
        Err(error) if error.is_permission_denied() => Ok(FROZEN),
        Err(error) if is_refusal(form, &error) => Ok(REFUSED),
        Err(error) if error.is_busy() => Ok(CLAIMED),
        Err(error) => Err(error),
    }
}

/// The number that all say.
pub(super) fn one(numbers: &[u64]) -> u64 {
    let (least, greatest) = spread(numbers);
    if least == greatest { least } else { super::props::TORN }
}

pub(super) fn spread(numbers: &[u64]) -> (u64, u64) {
    (numbers.iter().copied().min().unwrap_or(0), numbers.iter().copied().max().unwrap_or(0))
}

/// The answers of [`Op::Check`].
pub(super) fn tell(seat: &Seat, how: u64, numbers: &[u64]) {
    let (least, greatest) = spread(numbers);
    [how, least, greatest].into_iter().for_each(|told| answer(seat, told));
}

/// Does something with the lock held.
#[inline(always)]
pub(super) fn counted<G>(
    mark: Mark,
    guard: multiproc::Result<G>,
    work: impl FnOnce() -> multiproc::Result<()>,
) -> multiproc::Result<u64> {
    let guard = match guard {
        Ok(guard) => guard,
        Err(error) if error.is_owner_died() => return Ok(DIED),
        Err(error) => return Err(error),
    };
    mark.at(HOLDING);
    let done = work();
    mark.at(LEAVING);
    drop(guard);
    told(0, done, |()| 0)
}

/// An item of the list that says a number.
pub(super) fn item(number: u64) -> ListItem {
    ListItem::Bytes(number.to_le_bytes().repeat(ITEM / 8))
}
