//! The receiving end, without a type: the steps of reading in [`super`].

use super::ends::End;
use super::outlet::KEPT;
use super::records::{CARRIES, FORM, Form, NAMES_BLOCK, named};
use super::span::damaged;
use super::store::{Large, RECEIVER};
use super::wait::{Pace, Wanted, notify};
use crate::error::{Error, ErrorKind, Result};
use crate::handle::{self, Claimed};
use crate::message;
use crate::raw::ring::{Reader, Record};
use crate::sys::atomic::Ordering;
use crate::sys::clock::Deadline;
use core::any::type_name;
use serde::de::DeserializeOwned;

/// The receiving end of a pipe.
pub(super) struct Inlet {
    pub(super) end: End,
    reader: Option<Reader>,
    pace: Pace,
    pub(super) scratch: Vec<u8>,
}

impl Inlet {
    pub(super) fn new(end: End) -> Inlet {
        Inlet { end, reader: None, pace: Pace::default(), scratch: Vec::new() }
    }

    /// How many messages were received, modulo 2^32.
    #[inline]
    pub(super) fn received(&self) -> u32 {
        self.reader.as_ref().map_or(0, |reader| reader.head().count())
    }

    /// Receives a value.
    #[inline]
    pub(super) fn recv<T: DeserializeOwned>(&mut self, until: Deadline) -> Result<T> {
        self.recv_as(until, type_name::<T>, |bytes, given| {
            if given.is_empty() {
                return message::decode(bytes);
            }
            handle::unpack(given, || message::decode(bytes))
        })
    }

    /// Receives a value that `decode` reads, which is given the handles in it.
    #[inline]
    pub(super) fn recv_as<R>(
        &mut self,
        until: Deadline,
        type_name: fn() -> &'static str,
        decode: impl FnOnce(&[u8], Claimed) -> Result<R>,
    ) -> Result<R> {
        let record = self.first(until)?;
        if record.info() & CARRIES != 0 {
            return self.recv_parcel(record, decode);
        }
        // From a private copy: a peer that wrote after a check would make invalid values.
        let mut copy = std::mem::take(&mut self.scratch);
        copy.clear();
        let copied = self.take(record, Form::Typed, type_name, |bytes| append(&mut copy, bytes));
        let result = copied.and_then(|()| decode(&copy, Claimed::default()));
        if copy.capacity() <= KEPT {
            self.scratch = copy;
        }
        result
    }

    pub(super) fn recv_bytes<T>(&mut self, until: Deadline) -> Result<Vec<u8>> {
        self.recv_bytes_max::<T>(usize::MAX, until)
    }

    #[inline]
    pub(super) fn recv_bytes_max<T>(&mut self, most: usize, until: Deadline) -> Result<Vec<u8>> {
        self.first_bytes::<T, _>(until, |bytes| {
            check_len(bytes, most)?;
            let mut copy = Vec::new();
            append(&mut copy, bytes)?;
            Ok(copy)
        })
    }

    #[inline]
    pub(super) fn recv_bytes_into<T>(&mut self, to: &mut [u8], until: Deadline) -> Result<usize> {
        self.first_bytes::<T, _>(until, |bytes| {
            check_len(bytes, to.len())?;
            to[..bytes.len()].copy_from_slice(bytes);
            Ok(bytes.len())
        })
    }

    #[inline]
    pub(super) fn recv_with<T, R>(
        &mut self,
        read: impl FnOnce(&[u8]) -> R,
        until: Deadline,
    ) -> Result<R> {
        self.first_bytes::<T, _>(until, |bytes| Ok(read(bytes)))
    }

    /// Lets `read` see the first message, which was sent as bytes, waiting for one until `until`.
    #[inline]
    fn first_bytes<T, R>(
        &mut self,
        until: Deadline,
        read: impl FnOnce(&[u8]) -> Result<R>,
    ) -> Result<R> {
        let record = self.first(until)?;
        self.take(record, Form::Bytes, type_name::<T>, read)
    }

    /// Whether a call that receives would return at once, waiting until `until` for that.
    pub(super) fn poll(&mut self, until: Deadline) -> Result<bool> {
        match self.first(until) {
            Ok(_) => Ok(true),
            Err(error) if error.is_closed() => Ok(true),
            Err(error) if error.is_timeout() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Lets `read` see the message in `record`, if it has this form. Unless `read` fails the message is taken then, and also
    /// when `read` panics.
    #[inline]
    fn take<R>(
        &mut self,
        record: Record,
        form: Form,
        type_name: fn() -> &'static str,
        read: impl FnOnce(&[u8]) -> Result<R>,
    ) -> Result<R> {
        if record.info() != form as u32 {
            return self.take_special(record, form, type_name(), read);
        }
        let Inlet { end, reader, .. } = self;
        let bytes = end.store.span.bytes(record.payload(), record.len())?;
        let taking = Taking { end, reader, record };
        let result = read(bytes);
        if result.is_err() {
            std::mem::forget(taking);
        }
        result
    }

    /// The same for a message in a block of its own, or of another form.
    #[inline(never)]
    fn take_special<R>(
        &mut self,
        record: Record,
        form: Form,
        type_name: &str,
        read: impl FnOnce(&[u8]) -> Result<R>,
    ) -> Result<R> {
        if record.info() & FORM != form as u32 {
            return Err(other_form(record.info(), form, type_name));
        }
        let (large, len) = self.find_block(record)?;
        let bytes = large.span.bytes(0, len)?;
        let taking = TakingLarge { inlet: self, record, large, len };
        let result = read(bytes);
        if result.is_err() {
            std::mem::forget(taking);
        }
        result
    }

    /// The block that a record names, and the length of the message in it.
    #[cold]
    fn find_block(&self, record: Record) -> Result<(Large, usize)> {
        if record.info() & !(FORM | CARRIES) != NAMES_BLOCK {
            return Err(damaged(format_args!("a record says {:#x}", record.info())));
        }
        let store = &self.end.store;
        let name = store.span.bytes(record.payload(), record.len())?;
        let Some((id, len)) = named(name) else {
            return Err(damaged(format_args!("the name of a block has {} bytes", record.len())));
        };
        Ok((store.large(id, len)?, len as usize))
    }

    fn take_record(&mut self, record: Record) {
        drop(Taking { end: &self.end, reader: &mut self.reader, record });
    }

    /// Notes that a message in a block of its own is taken; before the head.
    fn count(&self, len: usize) {
        let received = &self.end.store.control.receiver.large;
        let sum = received.load(Ordering::Relaxed).wrapping_add(len as u64);
        // Only the receiver writes it. ORDERING: Release, so that who sees it sees the block free or about to be.
        received.store(sum, Ordering::Release);
    }

    /// Takes a message with handles: this process has them before the head is past it.
    #[cold]
    fn recv_parcel<R>(
        &mut self,
        record: Record,
        decode: impl FnOnce(&[u8], Claimed) -> Result<R>,
    ) -> Result<R> {
        if record.info() & FORM != Form::Typed as u32 {
            return Err(damaged(format_args!("a record says {:#x}", record.info())));
        }
        let (large, len) = self.find_block(record)?;
        let mut sealed = Vec::new();
        append(&mut sealed, large.span.bytes(0, len)?)?;
        let store = self.end.store.clone();
        let (body, claimed) = store.claim(&sealed)?;
        store.uncarry(&large, &claimed, || {
            self.count(len);
            self.take_record(record);
        })?;
        store.free(&large);
        decode(body, claimed)
    }

    /// The first record, waited for until `until`.
    #[inline]
    fn first(&mut self, until: Deadline) -> Result<Record> {
        match self.first_fast() {
            Some(record) => Ok(record),
            None => self.first_slow(until),
        }
    }

    /// The first record, if it is there and nothing has to be looked up.
    #[inline]
    fn first_fast(&self) -> Option<Record> {
        let reader = self.reader.as_ref().filter(|_| self.end.is_here())?;
        reader.peek_fast(&self.end.store.ring())
    }

    /// Polling lasts so many times 250 ns longer.
    pub(super) fn expect_later(&mut self, by: u32) {
        self.pace.longer = by;
    }

    #[cold]
    fn first_slow(&mut self, until: Deadline) -> Result<Record> {
        self.end.check()?;
        let (end, store) = (&self.end, &self.end.store);
        let ring = store.ring();
        let reader = match &mut self.reader {
            Some(reader) => reader,
            empty => empty.insert(Reader::new(&ring).map_err(damaged)?),
        };
        // A message mostly goes on in the next line, which comes together with the first one then.
        let is_there = |reader: &Reader| {
            store.span.prefetch_behind(reader.head().offset());
            !reader.is_at_end(&ring)
        };
        if until != Deadline::NOW {
            self.pace.glance(|| is_there(reader));
        }
        loop {
            let departures = store.departures();
            if let Some(record) = reader.peek(&ring).map_err(damaged)? {
                return Ok(record);
            }
            if end.is_alone() {
                // What was sent before the other end went is there now.
                return reader
                    .peek(&ring)
                    .map_err(damaged)?
                    .ok_or_else(|| Error::simple(ErrorKind::Closed));
            }
            if until == Deadline::NOW {
                return Err(Error::simple(ErrorKind::Timeout));
            }
            let wanted = Wanted {
                role: RECEIVER,
                truth: (store.header_at(reader.head().offset()), 0),
                departures,
                count: reader.head().count(),
                is_there: || is_there(reader),
                is_hopeless: || end.is_alone(),
                store,
            };
            self.pace.wait(&wanted, until)?;
        }
    }

    /// For `Debug`.
    pub(super) fn describe(&self, f: &mut core::fmt::DebugStruct<'_, '_>) {
        f.field("to_receive", &self.end.store.ring().len())
            .field("sender_waits", &self.end.store.control.receiver.events.has_waiters());
    }
}

/// Takes a record when it is dropped: its bytes are the sender's again.
struct Taking<'a> {
    end: &'a End,
    reader: &'a mut Option<Reader>,
    record: Record,
}

impl Drop for Taking<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(reader) = self.reader {
            reader.take(&self.end.store.ring(), self.record);
        }
        notify(self.end.store.control, RECEIVER);
    }
}

/// Takes a message in a block of its own when it is dropped, and frees the block.
struct TakingLarge<'a> {
    inlet: &'a mut Inlet,
    record: Record,
    large: Large,
    len: usize,
}

impl Drop for TakingLarge<'_> {
    fn drop(&mut self) {
        self.inlet.count(self.len);
        self.inlet.take_record(self.record);
        self.inlet.end.store.free(&self.large);
    }
}

/// Appends a message to `out`, or says that there is no memory for it.
#[inline]
fn append(out: &mut Vec<u8>, bytes: &[u8]) -> Result<()> {
    if out.capacity() - out.len() < bytes.len() {
        out.try_reserve_exact(bytes.len()).map_err(|_| no_memory(bytes.len()))?;
    }
    out.extend_from_slice(bytes);
    Ok(())
}

#[inline]
fn check_len(bytes: &[u8], most: usize) -> Result<()> {
    if bytes.len() <= most { Ok(()) } else { Err(too_long(bytes.len(), most)) }
}

#[cold]
fn other_form(info: u32, wanted: Form, type_name: &str) -> Error {
    let found = info & FORM;
    let text = match wanted {
        Form::Typed if found == Form::Bytes as u32 => {
            format!(
                "the next message was sent as bytes, not as {type_name}: take it with recv_bytes"
            )
        }
        Form::Bytes if found == Form::Typed as u32 => {
            format!("the next message was sent as {type_name}, not as bytes: take it with recv")
        }
        _ => return damaged(format_args!("a record has form {found}")),
    };
    Error::of(ErrorKind::Mismatch, text)
}

#[cold]
fn too_long(len: usize, most: usize) -> Error {
    Error::of(
        ErrorKind::TooLarge,
        format!(
            "the next message has {len} bytes, and at most {most} were asked for: it stays in the pipe"
        ),
    )
}

#[cold]
fn no_memory(len: usize) -> Error {
    Error::of(
        ErrorKind::OutOfMemory,
        format!("no memory for a message of {len} bytes in this process: it stays in the pipe"),
    )
}
