//! Putting: the steps of [`super`], and waiting for room.

use super::chunk::{Chunk, after_chunk, chunk_at, chunk_before, chunk_start, fits_in_chunk, units};
use super::head::{Form, INLINE, RecordHead};
use super::lines::{CLOSED, Stamp};
use super::queue::Records;
use super::store::{Side, Store};
use crate::error::{Error, ErrorKind, Result};
use crate::liveness::{Id, Wait};
use crate::sys::atomic::Ordering;
use crate::sys::clock::Deadline;

/// With more positions than this between head and tail, a difference of two could be read as negative.
const MOST_POSITIONS: u32 = 1 << 30;

/// What a record carries beside its payload.
pub(crate) trait Attached {
    /// The record will stand at this position. What it names is given to the queue.
    fn placed(&self, position: u32);

    /// Puts the record by `store`, so that nobody sees the references in it half moved.
    fn move_in(&self, store: &mut dyn FnMut()) -> Result<()>;
}

/// A record to put.
pub(crate) struct Put<'a> {
    pub(crate) head: RecordHead,
    /// What stands in the chunk: as long as the head says.
    pub(crate) payload: &'a [u8],
    /// Bytes of the whole message.
    pub(crate) total: usize,
    pub(crate) attached: Option<&'a dyn Attached>,
}

impl<S: Store> Records<S> {
    /// The fast path: puts a plain record if it fits the chunk that this handle has cached, and nobody has the lock; whether it
    /// did. [`Records::put_slow`] has the rarer cases.
    #[inline]
    pub(crate) fn try_put_fast(&self, me: Id, form: Form, payload: &[u8]) -> bool {
        if self.most_bytes != 0
            || !self.store.was_there(Side::Takers)
            || !self.tail.lock.try_lock(me)
        {
            return false;
        }
        let put = self.put_fast_locked(form, payload);
        self.unlock(&self.tail.lock);
        if put {
            self.tail.messages.notify_one_lightly();
        }
        put
    }

    #[inline]
    fn put_fast_locked(&self, form: Form, payload: &[u8]) -> bool {
        let tail = Stamp(self.tail.tail.load(Ordering::Relaxed));
        let seen = Stamp(self.tail.head_seen.load(Ordering::Relaxed));
        let position = tail.position();
        let units = units(payload.len().min(INLINE + 1));
        let id = self.tail.chunks[chunk_at(position) as usize & 1].load(Ordering::Relaxed);
        if self.tail.closed.load(Ordering::Relaxed) & CLOSED != 0
            || !self.fits(tail, seen)
            || payload.len() > INLINE
            || !fits_in_chunk(position, units)
        {
            return false;
        }
        let Some(chunk) = self.tail_chunk.get(id) else { return false };
        if chunk.write(position, RecordHead::plain(form, payload.len()), payload).is_err() {
            return false;
        }
        let next = tail.next(position.wrapping_add(units));
        // ORDERING(put): Release, as in `store_tail`.
        self.tail.tail.store(next.0, Ordering::Release);
        chunk.prefetch_ahead(next.position(), units);
        true
    }

    /// Whether a message of `len` bytes can ever be put here.
    pub(crate) fn check_len(&self, len: usize) -> Result<()> {
        let limit = self.most_bytes;
        if limit == 0 || len as u64 <= limit {
            return Ok(());
        }
        Err(Error::of(
            ErrorKind::TooLarge,
            format!(
                "a message of {len} bytes does not fit a queue of {limit} bytes: raise capacity_bytes or send it in parts"
            ),
        ))
    }

    /// Puts one record, waiting for room until `until`.
    pub(crate) fn put_slow(&self, me: Id, put: &Put<'_>, until: Deadline) -> Result<()> {
        if self.store.is_gone(Side::Takers) {
            return Err(Error::simple(ErrorKind::Closed));
        }
        loop {
            self.lock(&self.tail.lock, me, until)
                .inspect_err(|_| self.head.room.notify_one_lightly())?;
            let result = self.put_locked(me, put);
            self.unlock(&self.tail.lock);
            match result {
                Ok(true) => {
                    self.tail.messages.notify_one_lightly();
                    if self.most_bytes != 0 {
                        // One large message less may be room for several: whoever got in lets the next one check.
                        self.head.room.notify_one_lightly();
                    }
                    return Ok(());
                }
                Ok(false) => self.wait_for_room(put.total, until)?,
                Err(error) => {
                    // It may have been woken for room that it does not take.
                    self.head.room.notify_one_lightly();
                    return Err(error);
                }
            }
        }
    }

    /// Puts one record if there is room; under the tail lock.
    fn put_locked(&self, me: Id, put: &Put<'_>) -> Result<bool> {
        if self.tail.closed.load(Ordering::Relaxed) & CLOSED != 0 {
            return Err(Error::simple(ErrorKind::Closed));
        }
        let tail = Stamp(self.tail.tail.load(Ordering::Relaxed));
        if !self.has_room(tail, put.total) {
            return Ok(false);
        }
        let units = units(put.payload.len());
        let (chunk, position) = self.place(me, tail.position(), units)?;
        chunk.write(position, put.head, put.payload)?;
        let mut store = || self.store_tail(tail, position.wrapping_add(units), put.total);
        match put.attached {
            None => store(),
            Some(attached) => {
                attached.placed(position);
                attached.move_in(&mut store)?;
            }
        }
        Ok(true)
    }

    /// The record up to `position` is put.
    #[inline]
    fn store_tail(&self, tail: Stamp, position: u32, bytes: usize) {
        let next = tail.next(position);
        if self.most_bytes != 0 {
            let put = self.tail.bytes_put[tail.parity()].load(Ordering::Relaxed);
            let put = put.wrapping_add(bytes as u64);
            self.tail.bytes_put[next.parity()].store(put, Ordering::Relaxed);
        }
        // ORDERING(put): Release, pairs with the Acquire in `load_tail`; everything above before the tail (I1).
        self.tail.tail.store(next.0, Ordering::Release);
    }

    /// Whether the counts leave room for a record between `head` and `tail`.
    #[inline]
    fn fits(&self, tail: Stamp, head: Stamp) -> bool {
        let most = if self.most_items == 0 { i32::MAX as u32 } else { self.most_items };
        tail.count().wrapping_sub(head.count()) < most
            && tail.position().wrapping_sub(head.position()) < MOST_POSITIONS
    }

    /// Whether a record may be put behind `tail`.
    fn has_room(&self, tail: Stamp, len: usize) -> bool {
        let seen = Stamp(self.tail.head_seen.load(Ordering::Relaxed));
        if !self.fits(tail, seen) {
            let head = self.load_head();
            self.tail.head_seen.store(head.0, Ordering::Relaxed);
            if !self.fits(tail, head) {
                return false;
            }
        }
        let limit = self.most_bytes;
        limit == 0 || self.bytes(tail).saturating_add(len as u64) <= limit
    }

    /// Bytes in the queue before `tail`, which is the present one.
    fn bytes(&self, tail: Stamp) -> u64 {
        let put = self.tail.bytes_put[tail.parity()].load(Ordering::Relaxed);
        // The words of the head change two records later at the earliest; then the head has changed.
        for _ in 0..64 {
            let head = self.load_head();
            // ORDERING(bytes): Acquire, pairs with the Release in `store_head`.
            let taken = self.tail.bytes_taken[head.parity()].load(Ordering::Acquire);
            if self.load_head() == head {
                return put.wrapping_sub(taken);
            }
        }
        // Takers are that busy: there is room soon, and they notify.
        u64::MAX
    }

    /// Where a record of `units` goes: in this chunk or the next. Under the tail lock.
    fn place(&self, me: Id, tail: u32, units: u32) -> Result<(Chunk, u32)> {
        let number = chunk_before(tail);
        let end = after_chunk(number);
        if end.wrapping_sub(tail) >= units {
            let id = self.tail.chunks[number as usize & 1].load(Ordering::Relaxed);
            return Ok((self.tail_chunk.chunk(id, |id| self.store.chunk(id))?, tail));
        }
        self.place_slow(me, tail, number)
    }

    /// Begins the next chunk.
    #[cold]
    fn place_slow(&self, me: Id, tail: u32, number: u32) -> Result<(Chunk, u32)> {
        let id = self.tail.chunks[number as usize & 1].load(Ordering::Relaxed);
        let full = self.store.chunk(id)?;
        let next_number = number.wrapping_add(1);
        let next = self.store.new_chunk(me, after_chunk(next_number))?;
        if after_chunk(number) != tail {
            full.chunk().end(tail)?;
        }
        full.link.store(next.id, Ordering::Relaxed);
        self.tail.chunks[next_number as usize & 1].store(next.id, Ordering::Relaxed);
        Ok((self.tail_chunk.chunk(next.id, |id| self.store.chunk(id))?, chunk_start(next_number)))
    }

    /// Waits until there may be room for `len` bytes.
    fn wait_for_room(&self, len: usize, until: Deadline) -> Result<()> {
        let is_full = || !self.has_room_for(len);
        let is_over = || self.is_closed() || self.store.is_gone(Side::Takers);
        if is_over() {
            return Err(Error::simple(ErrorKind::Closed));
        }
        if until.is_over() {
            return Err(Error::simple(ErrorKind::Timeout));
        }
        let liveness = self.store.liveness();
        if self.pace.spin(liveness, &self.head.room, self.load_tail().count(), is_full) {
            return Ok(());
        }
        let (prepared, until) = self.head.room.prepare_wait_heavy(until);
        let seen = self.load_head();
        if is_full() {
            let closed = self.tail.closed.load(Ordering::Relaxed);
            let wait =
                Wait::Change([Some((&self.head.head, seen.0)), Some((&self.tail.closed, closed))]);
            let blocked = || is_full() && !is_over();
            liveness.sleep(self.head.room.word(), prepared, until, wait, blocked);
        }
        Ok(())
    }

    /// Whether there was room for `len` bytes at some moment during the call; without the lock.
    pub(crate) fn has_room_for(&self, len: usize) -> bool {
        let (head, tail) = self.load_both();
        let limit = self.most_bytes;
        self.fits(tail, head)
            && (limit == 0 || self.bytes(tail).saturating_add(len as u64) <= limit)
    }
}
