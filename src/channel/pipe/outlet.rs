//! The sending end, without a type: the steps of writing in [`super`].
//!
//! What is done for every message passes all it needs in registers, and looks nothing up (`room_fast`). A processor holds some 64 stores
//! that wait for a line which the receiver has; a message that spilled twenty words on its way filled it up, and the sender stood still
//! instead of going on with the next ones (8 bytes one way: 55 million messages a second then, 78 now).

use super::ends::End;
use super::records::{CARRIES, Form, INLINE, LARGE_IN_FLIGHT, NAMED, NAMES_BLOCK, name_block};
use super::span::damaged;
use super::store::{Large, SENDER, Store};
use super::wait::{Pace, Wanted, note_processor, notify};
use crate::error::{Error, ErrorKind, Result};
use crate::handle::{self, Parcel};
use crate::message::{self, Message};
use crate::raw::ring::{Room, Writer};
use crate::sys::atomic::Ordering;
use crate::sys::clock::Deadline;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Scratch memory larger than this is given back after use.
pub(super) const KEPT: usize = 1 << 20;

/// After so many messages the sender notes where it runs; else it does when it waits, and when it wakes the receiver.
const NOTE_EVERY: u32 = 32;

/// A connection that has sent more messages than this since it last received one is taken for a stream.
const FEW: u32 = 4;

/// The sending end of a pipe.
pub(super) struct Outlet {
    pub(super) end: End,
    writer: Option<Writer>,
    pace: Pace,
    pub(super) scratch: Vec<u8>,
    /// Whether a message was read back from its own bytes.
    verified: bool,
    /// How many messages the other half of a connection had received when that was noted last.
    received: u32,
    /// How many messages were sent before the last one that was an answer. A hint.
    answered_at: u32,
}

impl Outlet {
    pub(super) fn new(end: End) -> Outlet {
        let (writer, pace, scratch) = (None, Pace::default(), Vec::new());
        Outlet { end, writer, pace, scratch, verified: false, received: 0, answered_at: 0 }
    }

    /// Notes how many messages the other half of a connection has received.
    #[inline]
    pub(super) fn note_received(&mut self, received: u32) {
        if received != self.received {
            self.received = received;
            self.note_answer();
        }
    }

    /// Notes that the next message is an answer.
    #[inline]
    pub(super) fn note_answer(&mut self) {
        self.answered_at = self.writer.as_ref().map_or(0, |writer| writer.tail().count());
    }

    /// Sends a value.
    #[inline]
    pub(super) fn send<T: Serialize + DeserializeOwned, M: Message<T>>(
        &mut self,
        item: &M,
        until: Deadline,
    ) -> Result<()> {
        if let Some(bytes) = message::raw(item) {
            return self.send_raw(Form::Typed, bytes, until);
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        let result = self.encode_and_send::<T, M>(item, &mut scratch, until);
        if scratch.capacity() <= KEPT {
            self.scratch = scratch;
        }
        result
    }

    #[inline]
    fn encode_and_send<T: Serialize + DeserializeOwned, M: Message<T>>(
        &mut self,
        item: &M,
        scratch: &mut Vec<u8>,
        until: Deadline,
    ) -> Result<()> {
        let ((), parcel) = handle::pack(|| message::encode::<T, M>(item, scratch))?;
        if parcel.is_empty() && !self.verified {
            message::verify::<T>(scratch)?;
            self.verified = true;
        }
        self.send_packed(scratch, &parcel, until)
    }

    /// Sends a value that is encoded already, with the handles that were packed with it.
    #[inline]
    pub(super) fn send_packed(
        &mut self,
        bytes: &mut Vec<u8>,
        parcel: &Parcel,
        until: Deadline,
    ) -> Result<()> {
        if parcel.is_empty() {
            return self.send_raw(Form::Typed, bytes, until);
        }
        handle::seal(bytes, parcel);
        self.send_parcel(bytes, parcel, until)
    }

    /// Sends bytes in the given form.
    #[inline]
    pub(super) fn send_raw(&mut self, form: Form, bytes: &[u8], until: Deadline) -> Result<()> {
        self.send_in_place(form, bytes.len(), |place| place.copy_from_slice(bytes), until)
    }

    /// Sends `len` bytes that `fill` writes where they are to stand.
    #[inline]
    pub(super) fn send_in_place<R>(
        &mut self,
        form: Form,
        len: usize,
        fill: impl FnOnce(&mut [u8]) -> R,
        until: Deadline,
    ) -> Result<R> {
        match self.room_fast(len) {
            Some(room) => self.send_in(room, form, len, fill),
            None => self.send_in_place_slow(form, len, fill, until),
        }
    }

    #[inline(never)]
    fn send_in_place_slow<R>(
        &mut self,
        form: Form,
        len: usize,
        fill: impl FnOnce(&mut [u8]) -> R,
        until: Deadline,
    ) -> Result<R> {
        if len > INLINE {
            return self.send_large(form, len, fill, until);
        }
        let room = self.room(len as u32, 0, until)?;
        self.send_in(room, form, len, fill)
    }

    #[inline]
    fn send_in<R>(
        &mut self,
        room: Room,
        form: Form,
        len: usize,
        fill: impl FnOnce(&mut [u8]) -> R,
    ) -> Result<R> {
        let result = fill(self.end.store.span.bytes_mut(room.payload(), len)?);
        self.commit(room, form as u32);
        Ok(result)
    }

    /// The record in `room` is sent.
    #[inline]
    fn commit(&mut self, room: Room, info: u32) {
        if let Some(writer) = &mut self.writer {
            writer.commit(&self.end.store.ring(), room, info);
            let tail = writer.tail();
            if tail.count().wrapping_sub(self.answered_at) > FEW {
                self.end.store.span.prefetch_ahead(tail.offset(), room.len());
            }
            if tail.count().is_multiple_of(NOTE_EVERY) {
                note_processor(self.end.store.control, SENDER);
            }
        }
        notify(self.end.store.control, SENDER);
    }

    #[inline(never)]
    fn send_large<R>(
        &mut self,
        form: Form,
        len: usize,
        fill: impl FnOnce(&mut [u8]) -> R,
        until: Deadline,
    ) -> Result<R> {
        let room = self.room_for_large(len, until)?;
        let held = Held::new(&self.end.store, len)?;
        let result = fill(held.large.span.bytes_mut(0, len)?);
        let large = held.keep();
        self.name(room, &large, len)?;
        self.count(len);
        self.commit(room, form as u32 | NAMES_BLOCK);
        Ok(result)
    }

    /// Sends sealed bytes with the handles in them, which stand in a block of their own whatever their length.
    #[cold]
    fn send_parcel(&mut self, sealed: &[u8], parcel: &Parcel, until: Deadline) -> Result<()> {
        let len = sealed.len();
        let room = self.room_for_large(len, until)?;
        let held = Held::new(&self.end.store, len)?;
        held.large.span.write(0, sealed)?;
        let large = held.keep();
        self.name(room, &large, len)?;
        self.count(len);
        let info = Form::Typed as u32 | NAMES_BLOCK | CARRIES;
        if let Some(writer) = &mut self.writer {
            let (store, count) = (&self.end.store, writer.tail().count());
            let ring = store.ring();
            store.carry(&large, parcel, count, || writer.commit(&ring, room, info))?;
        }
        notify(self.end.store.control, SENDER);
        parcel.depart();
        Ok(())
    }

    /// Writes the name of a filled block where the record comes, and gives the block to the pipe.
    fn name(&self, room: Room, large: &Large, len: usize) -> Result<()> {
        let store = &self.end.store;
        let name = name_block(store.give(large), len);
        store.span.write(room.payload(), &name)
    }

    fn count(&self, len: usize) {
        // Only the sender writes it.
        let large = &self.end.store.control.sender.large;
        large.store(large.load(Ordering::Relaxed).wrapping_add(len as u64), Ordering::Relaxed);
    }

    /// Room for the record that names a block of `len` bytes.
    fn room_for_large(&mut self, len: usize, until: Deadline) -> Result<Room> {
        self.end.store.check_len(len)?;
        self.room(NAMED as u32, len as u64, until)
    }

    /// Room for a record of `len` bytes, if nothing has to be looked up or waited for.
    #[inline]
    fn room_fast(&self, len: usize) -> Option<Room> {
        let is_plain = len <= INLINE && self.end.is_here() && self.end.is_accompanied();
        let writer = self.writer.as_ref().filter(|_| is_plain)?;
        writer.reserve_fast(&self.end.store.ring(), len as u32)
    }

    /// Room for a record, waited for until `until`; `large` is how many bytes go in a block of their own.
    #[cold]
    fn room(&mut self, len: u32, large: u64, until: Deadline) -> Result<Room> {
        self.end.check()?;
        let (end, store) = (&self.end, &self.end.store);
        if end.is_alone() {
            return Err(Error::simple(ErrorKind::Closed));
        }
        let ring = store.ring();
        let mut writer = match self.writer.take() {
            Some(writer) => writer,
            None => Writer::new(&ring).map_err(damaged)?,
        };
        let head = &store.control.receiver.stamp;
        loop {
            let (seen, departures) = (head.load(Ordering::Acquire), store.departures());
            if large == 0 || has_room_for_large(store) {
                let room = writer.reserve(&ring, len).map_err(damaged);
                if let Some(room) = room? {
                    self.writer = Some(writer);
                    return Ok(room);
                }
            }
            if end.is_alone() {
                self.writer = Some(writer);
                return Err(Error::simple(ErrorKind::Closed));
            }
            let result = if until == Deadline::NOW {
                Err(Error::simple(ErrorKind::Timeout))
            } else {
                let wanted = Wanted {
                    role: SENDER,
                    truth: (head, seen),
                    departures,
                    count: writer.tail().count(),
                    is_there: || head.load(Ordering::Acquire) != seen,
                    is_hopeless: || end.is_alone(),
                    store,
                };
                self.pace.wait(&wanted, until)
            };
            if let Err(error) = result {
                self.writer = Some(writer);
                return Err(error);
            }
        }
    }

    /// For `Debug`: how many messages the other end has not received, and whether it waits or did since it was woken last.
    pub(super) fn describe(&self, f: &mut core::fmt::DebugStruct<'_, '_>) {
        f.field("unreceived", &self.end.store.ring().len())
            .field("receiver_waits", &self.end.store.control.sender.events.has_waiters());
    }
}

/// Whether another message may be put in a block of its own.
fn has_room_for_large(store: &Store) -> bool {
    let sent = store.control.sender.large.load(Ordering::Relaxed);
    let received = store.control.receiver.large.load(Ordering::Acquire);
    // With nothing in the pipe there is room for any, whatever a damaged word says.
    sent.wrapping_sub(received) <= LARGE_IN_FLIGHT || store.ring().len() == 0
}

/// A block that is given back unless it is kept: also when a user's closure panics.
struct Held<'a> {
    store: &'a Store,
    large: Large,
}

impl Held<'_> {
    fn new(store: &Store, len: usize) -> Result<Held<'_>> {
        Ok(Held { store, large: store.alloc(len)? })
    }

    fn keep(self) -> Large {
        let large = self.large;
        std::mem::forget(self);
        large
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.store.free(&self.large);
    }
}
