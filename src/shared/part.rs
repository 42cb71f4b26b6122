//! Parts of an array: `&mut [T]` for several processes at the same time, without a lock.
//!
//! # Layout
//!
//! A partition is an object whose payload says how the array is cut:
//!
//! ```text
//! 0   8  base     elements of a part                                    the creator, once
//! 8   8  extra    so many of the first parts have one more              the creator, once
//! 16  4  count    how many parts                                        the creator, once
//! 20  4  number   tells it from the array's other partitions            the creator, once
//! 24  4  block    the number of its block                               the creator, once
//! 28  4  array    the array's object, by number                         the creator, once
//! ```
//!
//! Its block holds a *ticket* of 4 bytes for each part: how often the part has arrived somewhere. A handle is valid while it has
//! the current one. Who claimed a part stands in the array's block ([`crate::raw::claims`]).
//!
//! # Protocol
//!
//! - *Moving*: the sender writes its ticket into the message. Whoever decodes it raises the ticket by CAS; so of two messages
//!   with the same part only the first is one, and the sender's own handle is void from then on.
//! - *Claiming*: under the array's lock, as [`crate::raw::claims`] says. It waits for those who have the lock for a moment, or
//!   through `get_lock()`; it does not wait for a guard of the array.
//!
//! # If a process dies
//!
//! - with a part that it has not claimed: the part is lost, not its elements: partition the array anew.
//! - with a claimed part: the claim names a dead process, see [`crate::raw::claims`].
//! - decoding, after the CAS: the same as with a part that it has.

#![allow(unsafe_code, reason = "elements in shared memory")]

use super::array::Array;
use super::borrow::Purpose;
use super::claimed::PartGuard;
use super::plain::{self, Plain};
use super::store::{self, Kind, MemoryObject, Object, OfKind, Words};
use crate::error::{Error, ErrorKind, Result};
use crate::forms::forms;
use crate::raw::claims::{Outcome, Part};
use crate::sys::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::sys::clock::Deadline;
use core::ops::Range;
use std::time::Duration;

/// How soon a claim that waits for the array's lock checks whether somebody has a guard by now; then after twice the time, and so
/// on, up to the time after which all who wait for a lock check again.
const FIRST_SLICE: Duration = Duration::from_millis(1);
const LONGEST_SLICE: Duration = Duration::from_millis(50);

/// What the object of a partition holds.
#[repr(C)]
struct Cut {
    base: AtomicU64,
    extra: AtomicU64,
    count: AtomicU32,
    number: AtomicU32,
    block: AtomicU32,
    array: AtomicU32,
}

// SAFETY: a structure of atomics only.
unsafe impl Words for Cut {}

/// Objects of this kind.
pub(super) enum PartitionKind {}

impl OfKind for PartitionKind {
    const KIND: Kind = Kind::Partition;

    fn block(object: &'static MemoryObject) -> Option<&'static AtomicU32> {
        Some(&object.view::<Cut>().block)
    }
}

impl Cut {
    /// Where part `index` of an array of `len` elements lies; whatever a peer wrote, within the array.
    fn range(&self, index: u32, len: usize) -> Range<usize> {
        let base = self.base.load(Ordering::Relaxed) as usize;
        let extra = self.extra.load(Ordering::Relaxed) as usize;
        let at =
            |index: usize| base.saturating_mul(index).saturating_add(index.min(extra)).min(len);
        let index = index as usize;
        at(index)..at(index.saturating_add(1))
    }
}

impl<T: Plain> Array<T> {
    /// Divides the array into `parts` parts of nearly the same length, in order; some are empty if there are fewer elements.
    ///
    /// Nothing is claimed yet, and the array can be used as before. The parts go to other processes by value, one each. There may
    /// be millions of them; 1,024 can be claimed at the same time.
    ///
    /// # Errors
    ///
    /// [`is_invalid_input`](crate::Error::is_invalid_input) for no parts at all; or if there is no shared memory left.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiproc::{Array, ArrayPart, Process};
    ///
    /// fn square(part: ArrayPart<u64>) -> multiproc::Result<()> {
    ///     for number in part.claim()?.iter_mut() {
    ///         *number *= *number;
    ///     }
    ///     Ok(())
    /// }
    ///
    /// let numbers = Array::from_fn(6, |index| index as u64)?;
    /// let children: Vec<_> = numbers
    ///     .partition(2)?
    ///     .into_iter()
    ///     .map(|part| Process::spawn(square, (part,)))
    ///     .collect::<multiproc::Result<_>>()?;
    /// for child in children {
    ///     child.join()??;
    /// }
    /// assert_eq!(numbers.to_vec()?, [0, 1, 4, 9, 16, 25]);
    /// # Ok::<(), multiproc::Error>(())
    /// ```
    pub fn partition(&self, parts: usize) -> Result<Vec<ArrayPart<T>>> {
        if parts == 0 {
            return Err(Error::of(
                ErrorKind::InvalidInput,
                "an array cannot be divided into 0 parts: it takes at least 1",
            ));
        }
        self.cut(self.len() / parts, self.len() % parts, parts)
    }

    /// Divides the array into parts of `len` elements, in order; the last one may have fewer. Else as
    /// [`partition`](Array::partition).
    ///
    /// # Errors
    ///
    /// [`is_invalid_input`](crate::Error::is_invalid_input) for a length of 0; or if there is no shared memory left.
    pub fn chunks(&self, len: usize) -> Result<Vec<ArrayPart<T>>> {
        if len == 0 {
            return Err(Error::of(
                ErrorKind::InvalidInput,
                "an array cannot be divided into chunks of 0 elements: it takes at least 1",
            ));
        }
        self.cut(len, 0, self.len().div_ceil(len))
    }

    fn cut(&self, base: usize, extra: usize, count: usize) -> Result<Vec<ArrayPart<T>>> {
        self.object.check()?;
        let count = u32::try_from(count).map_err(|_| {
            let text = format!("{count} parts are more than an array can be divided into");
            Error::of(ErrorKind::TooLarge, text)
        })?;
        if count == 0 {
            return Ok(Vec::new());
        }
        let mut object = Object::<PartitionKind>::create()?;
        let cut: &Cut = object.view();
        object.make_block(count as usize * size_of::<AtomicU32>())?;
        object.clear(count as usize * size_of::<AtomicU32>())?;
        let number = self.payload.partitions.fetch_add(1, Ordering::Relaxed);
        cut.base.store(base as u64, Ordering::Relaxed);
        cut.extra.store(extra as u64, Ordering::Relaxed);
        cut.count.store(count, Ordering::Relaxed);
        cut.number.store(number, Ordering::Relaxed);
        cut.array.store(self.object.index(), Ordering::Relaxed);
        let part = |index| ArrayPart::new(self.clone(), object.clone(), index, 0);
        (0..count).map(part).collect()
    }
}

/// A part of an [`Array`], which one process at a time can write to without a lock; made by [`Array::partition`] and
/// [`Array::chunks`].
///
/// It is not `Clone`. It travels by value, and moves: once it has arrived, handles that were left behind are void. A part sent
/// by reference stays usable until then, so that a failed call can be repeated.
///
/// ```compile_fail,E0599
/// # let array = multiproc::Array::from_slice(&[1, 2]).unwrap();
/// let part = array.partition(1).unwrap().remove(0);
/// let again = part.clone();
/// # drop(multiproc::Process::spawn(|_: multiproc::ArrayPart<i32>| (), (again,)));
/// ```
pub struct ArrayPart<T> {
    array: Array<T>,
    partition: Object<PartitionKind>,
    part: Part,
    range: Range<usize>,
    ticket: u32,
}

impl<T: Plain> ArrayPart<T> {
    fn new(
        array: Array<T>,
        partition: Object<PartitionKind>,
        index: u32,
        ticket: u32,
    ) -> Result<ArrayPart<T>> {
        let cut: &Cut = partition.view();
        let range = cut.range(index, array.len());
        let part = Part { partition: cut.number.load(Ordering::Relaxed), part: index };
        Ok(ArrayPart { array, partition, part, range, ticket })
    }

    /// A part that has arrived: it is this process's from here on.
    fn arrive(
        array: Array<T>,
        mut partition: Object<PartitionKind>,
        index: u32,
        ticket: u32,
    ) -> Result<ArrayPart<T>> {
        let cut: &Cut = partition.view();
        let count = cut.count.load(Ordering::Relaxed);
        if cut.array.load(Ordering::Relaxed) != array.object.index() || index >= count {
            return Err(Error::of(
                ErrorKind::Corrupted,
                format!("shared memory is corrupted: the array has no part {index} of {count}"),
            ));
        }
        let len = count as usize * size_of::<AtomicU32>();
        partition.find_block(len)?;
        let tickets: &AtomicU32 = partition.at(index as usize * size_of::<AtomicU32>())?;
        let next = ticket.wrapping_add(1);
        let (success, failure) = (Ordering::AcqRel, Ordering::Relaxed);
        if tickets.compare_exchange(ticket, next, success, failure).is_err() {
            return Err(moved(index));
        }
        ArrayPart::new(array, partition, index, next)
    }

    /// Which elements of the array these are.
    pub fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.range.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }

    /// The array that this is a part of.
    pub fn array(&self) -> &Array<T> {
        &self.array
    }

    forms! {
        /// Takes the elements for this process alone until the guard is dropped, without holding the array's lock.
        ///
        /// Waits for calls of the array that are going on, and for whoever holds its lock through
        /// [`get_lock`](Array::get_lock), but not for guards and other claims. If the process is killed, the part is free again at
        /// once; what it left is told by the array as half written, until the same part was claimed again and given back.
        ///
        /// # Errors
        ///
        /// [`is_busy`](crate::Error::is_busy) if the part is claimed already, a part of another partition of the array is, or somebody
        /// has a guard of the whole array; [`is_closed`](crate::Error::is_closed) if the part has moved to another place;
        /// [`is_limit`](crate::Error::is_limit) if 1,024 parts are claimed; [`is_permission_denied`](crate::Error::is_permission_denied) if the array is
        /// frozen; [`is_corrupted`](crate::Error::is_corrupted) if its bits are no `T`.
        pub fn claim, try_claim, claim_timeout, claim_deadline(&self; until) -> PartGuard<'_, T> {
            self.claim_until(until)
        }
        try: Busy, is_busy, "another thread holds the array's lock"
    }

    fn claim_until(&self, until: Deadline) -> Result<PartGuard<'_, T>> {
        let mut slice = FIRST_SLICE;
        loop {
            if self.array.guarded.is_borrowed() {
                return Err(Error::of(
                    ErrorKind::Busy,
                    "somebody has a guard of the whole array: claim the part when it is dropped",
                ));
            }
            match self.claim_once(until.earlier(Deadline::after(slice))) {
                Err(error) if error.is_timeout() && !until.is_over() => {}
                result => return result,
            }
            slice = (slice * 2).min(LONGEST_SLICE);
        }
    }

    fn claim_once(&self, until: Deadline) -> Result<PartGuard<'_, T>> {
        let (array, me) = (&self.array, self.partition.process());
        let check = || {
            array.check_frozen()?;
            array.check_holder(Purpose::Claim, until)
        };
        let (mut section, ()) = array.guarded.enter(Purpose::Claim, until, check)?;
        let ticket: &AtomicU32 = self.partition.at(self.ticket_offset())?;
        if ticket.load(Ordering::Acquire) != self.ticket {
            return Err(moved(self.part.part));
        }
        let range = self.range();
        let mut guard = PartGuard { array, range, entry: None, me, is_taken_over: false };
        if self.is_empty() {
            return Ok(guard);
        }
        let claim = || array.claims().claim(me, self.part, |owner| array.object.is_gone(owner));
        let mut outcome = claim();
        if outcome == Outcome::Full {
            // The dead may fill it.
            array.settle_dead_claims();
            section.leave_poisoned();
            outcome = claim();
        }
        match outcome {
            Outcome::Claimed(entry) => guard.entry = Some(entry),
            Outcome::TakenOver(entry) => {
                guard.entry = Some(entry);
                guard.is_taken_over = true;
            }
            Outcome::Taken => return Err(busy(self, "is claimed already")),
            Outcome::OtherPartition => {
                return Err(busy(self, "may overlap with a claimed part of another partition"));
            }
            Outcome::Full => {
                return Err(Error::of(
                    ErrorKind::Limit,
                    format!(
                        "{} parts of the array are claimed, as many as can be at the same time: give some back first",
                        array.claims().entries.len()
                    ),
                ));
            }
        }
        // An error drops the guard, which gives the claim back.
        plain::check_all(guard.first(), self.len())?;
        Ok(guard)
    }

    fn ticket_offset(&self) -> usize {
        self.part.part as usize * size_of::<AtomicU32>()
    }
}

#[cold]
fn busy<T: Plain>(part: &ArrayPart<T>, why: &str) -> Error {
    let text = format!(
        "part {} of the array ({:?}) {why}: try again when that claim is given back",
        part.part.part, part.range
    );
    Error::of(ErrorKind::Busy, text)
}

#[cold]
fn moved(index: u32) -> Error {
    Error::of(
        ErrorKind::Closed,
        format!("part {index} of the array has moved: it was sent, and arrived somewhere else"),
    )
}

impl<T> core::fmt::Debug for ArrayPart<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("ArrayPart")
            .field("partition", &self.part.partition)
            .field("part", &self.part.part)
            .field("range", &self.range)
            .finish()
    }
}

impl<T: Plain> serde::Serialize for ArrayPart<T> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (&self.array, &self.partition, self.part.part, self.ticket).serialize(serializer)
    }
}

impl<'de, T: Plain> serde::Deserialize<'de> for ArrayPart<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<ArrayPart<T>, D::Error> {
        let (array, partition, index, ticket) =
            <(Array<T>, Object<PartitionKind>, u32, u32)>::deserialize(deserializer)?;
        ArrayPart::arrive(array, partition, index, ticket).map_err(store::refuse)
    }
}
