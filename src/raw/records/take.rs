//! Taking: the steps of [`super`], and waiting for messages.

use super::chunk::{Chunk, ChunkBlock, chunk_at, chunk_before, chunk_start, is_at_end, units};
use super::head::{Form, RecordHead, damaged};
use super::lines::Stamp;
use super::queue::Records;
use super::store::{Side, Store};
use crate::error::{Error, ErrorKind, Result};
use crate::liveness::{Id, Wait};
use crate::sys::atomic::Ordering;
use crate::sys::bytes::Buffer;
use crate::sys::clock::Deadline;

/// What takes a record that is not all in its chunk: one that names a block, or carries references.
pub(crate) trait Special {
    /// Takes something else before any record, under the head lock at this count; whether there was something.
    fn take_other(&mut self, _me: Id, _count: u32) -> Result<bool> {
        Ok(false)
    }

    /// Whether a record that is all in its chunk is claimed, too.
    fn claims_plain(&self) -> bool {
        false
    }

    /// The payload that stands in the chunk was appended to `out`. Makes the message this thread's before the record is gone; the
    /// bytes of the whole message. The head is at `count`.
    fn claim(&mut self, me: Id, count: u32, head: RecordHead, out: &mut Vec<u8>) -> Result<u64>;

    /// Takes the record by `store`, so that nobody sees the references in it half moved.
    fn move_out(&mut self, store: &mut dyn FnMut()) -> Result<()>;
}

impl<S: Store> Records<S> {
    /// The fast path: takes a plain record from the chunk that this handle has cached, if nobody has the lock, and appends its
    /// payload, at most [`INLINE`](super::INLINE) bytes, to `out`; whether it did.
    /// [`Records::take_slow`] has the rarer cases.
    #[inline]
    pub(crate) fn try_take_fast(&self, me: Id, form: Form, out: &mut impl Buffer) -> bool {
        if self.most_bytes != 0 || !self.head.lock.try_lock(me) {
            return false;
        }
        let taken = self.take_fast_locked(form, out).is_some();
        self.unlock(&self.head.lock);
        if taken {
            self.head.room.notify_one_lightly();
        }
        taken
    }

    #[inline]
    fn take_fast_locked(&self, form: Form, out: &mut impl Buffer) -> Option<()> {
        let head = Stamp(self.head.head.load(Ordering::Relaxed));
        if head.0 == self.head.tail_seen.load(Ordering::Relaxed) {
            let tail = self.load_tail();
            if tail == head {
                return None;
            }
            self.head.tail_seen.store(tail.0, Ordering::Relaxed);
        }
        let position = head.position();
        let id = self.head.chunks[chunk_at(position) as usize & 1].load(Ordering::Relaxed);
        let chunk = self.head_chunk.get(id)?;
        let len = chunk.plain_len(position, form)?;
        chunk.read(position, len, out).ok()?;
        let next = head.next(position.wrapping_add(units(len)));
        // ORDERING(take): Release, as in `store_head`.
        self.head.head.store(next.0, Ordering::Release);
        Some(())
    }

    /// Takes the first record, waiting for one until `until`, and appends the payload in its chunk to `out`. A record in another
    /// form than `form` stays, and is `mismatch`.
    pub(crate) fn take_slow(
        &self,
        me: Id,
        form: Form,
        until: Deadline,
        out: &mut Vec<u8>,
        special: &mut dyn Special,
        mismatch: impl Fn(Form) -> Error,
    ) -> Result<()> {
        loop {
            self.lock(&self.head.lock, me, until)
                .inspect_err(|_| self.tail.messages.notify_one_lightly())?;
            let mut left = None;
            let result = self.take_locked(me, form, out, special, &mut left, &mismatch);
            self.unlock(&self.head.lock);
            // It may have been woken for a message that it does not take.
            let taken = result.inspect_err(|_| self.tail.messages.notify_one_lightly())?;
            if let Some(left) = left {
                self.store.free_chunk(left);
            }
            if taken {
                self.head.room.notify_one_lightly();
                return Ok(());
            }
            self.wait_for_messages(until, || false)?;
        }
    }

    /// Whether there was nothing to take a moment ago.
    pub(crate) fn has_nothing(&self) -> bool {
        self.load_tail() == self.load_head() && !self.store.has_other()
    }

    /// Takes the first record if there is one; under the head lock. `left` is the chunk that the head leaves with it.
    fn take_locked(
        &self,
        me: Id,
        form: Form,
        out: &mut Vec<u8>,
        special: &mut dyn Special,
        left: &mut Option<ChunkBlock>,
        mismatch: &impl Fn(Form) -> Error,
    ) -> Result<bool> {
        let head = Stamp(self.head.head.load(Ordering::Relaxed));
        if special.take_other(me, head.count())? {
            return Ok(true);
        }
        if head.0 == self.head.tail_seen.load(Ordering::Relaxed) {
            let tail = self.load_tail();
            self.head.tail_seen.store(tail.0, Ordering::Relaxed);
            if tail == head {
                return Ok(false);
            }
        }
        let first = self.first_record(head.position())?;
        let (position, record) = (first.position, first.head);
        if record.form != form {
            return Err(mismatch(record.form));
        }
        first.chunk.read(position, record.len, out)?;
        let next = head.next(position.wrapping_add(units(record.len)));
        if record.is_plain() && !special.claims_plain() {
            self.store_head(head, next, record.len as u64);
        } else {
            let total = special.claim(me, head.count(), record, out)?;
            special.move_out(&mut || self.store_head(head, next, total))?;
        }
        *left = first.left;
        Ok(true)
    }

    /// The record up to `next` is taken.
    #[inline]
    fn store_head(&self, head: Stamp, next: Stamp, bytes: u64) {
        if self.most_bytes != 0 {
            let taken = self.tail.bytes_taken[head.parity()].load(Ordering::Relaxed);
            // ORDERING(bytes): Release, pairs with the Acquire in `bytes`.
            self.tail.bytes_taken[next.parity()]
                .store(taken.wrapping_add(bytes), Ordering::Release);
        }
        // ORDERING(take): Release, pairs with the Acquire in `load_head`; the copy before the head (I1).
        self.head.head.store(next.0, Ordering::Release);
    }

    /// Where the first record is, in this chunk or the next.
    fn first_record(&self, position: u32) -> Result<First> {
        let number = chunk_before(position);
        let id = self.head.chunks[number as usize & 1].load(Ordering::Relaxed);
        if !is_at_end(position) {
            let chunk = self.head_chunk.chunk(id, |id| self.store.chunk(id))?;
            if let Some(head) = chunk.head(position)? {
                return Ok(First { chunk, position, head, left: None });
            }
        }
        self.first_record_slow(id, number.wrapping_add(1))
    }

    /// Follows the link to chunk `number`.
    #[cold]
    fn first_record_slow(&self, id: u32, number: u32) -> Result<First> {
        let left: ChunkBlock = self.store.chunk(id)?;
        let next = left.link.load(Ordering::Relaxed);
        let chunk = self.head_chunk.chunk(next, |id| self.store.chunk(id))?;
        // ORDERING(take): Release, pairs with the Acquire in a walk's `start`: whoever reads this number finds that the head has moved.
        self.head.chunks[number as usize & 1].store(next, Ordering::Release);
        let position = chunk_start(number);
        match chunk.head(position)? {
            Some(head) => Ok(First { chunk, position, head, left: Some(left) }),
            None => Err(damaged(format!("chunk {number} has no record"))),
        }
    }

    /// Waits until there may be a record, or `is_due` says that the caller has something else to do. Whatever makes it true must be an
    /// alarm, or it is seen late.
    pub(crate) fn wait_for_messages(
        &self,
        until: Deadline,
        is_due: impl Fn() -> bool,
    ) -> Result<()> {
        let is_over = || {
            // Closed first: what was put before the closing is seen by the load of the tail after it.
            let over = self.is_closed() || self.store.is_gone(Side::Putters);
            // The head before what may come back: what was taken is there by then.
            over && self.load_tail() == self.load_head() && !self.store.may_come_back()
        };
        if is_over() {
            return Err(Error::simple(ErrorKind::Closed));
        }
        if until.is_over() {
            return Err(Error::simple(ErrorKind::Timeout));
        }
        let liveness = self.store.liveness();
        let events = &self.tail.messages;
        if self.pace.spin(liveness, events, self.load_head().count(), || self.has_nothing()) {
            // Its lines come while this thread takes the lock.
            self.prefetch_first();
            return Ok(());
        }
        let (prepared, until) = events.prepare_wait_heavy(until);
        let (seen, closed) = (self.load_tail(), self.tail.closed.load(Ordering::Relaxed));
        if self.has_nothing() {
            let wait =
                Wait::Change([Some((&self.tail.tail, seen.0)), Some((&self.tail.closed, closed))]);
            let blocked = || self.has_nothing() && !is_over() && !is_due();
            liveness.sleep(events.word(), prepared, until, wait, blocked);
        }
        Ok(())
    }
}

/// The first record of a queue.
struct First {
    chunk: Chunk,
    position: u32,
    head: RecordHead,
    /// The chunk that the head leaves with it.
    left: Option<ChunkBlock>,
}
