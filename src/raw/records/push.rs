//! Putting: the steps of [`super`], and waiting for room.

use super::chunk::{CHUNK, CHUNK_BYTES, CHUNK_FIRST, Chunk, NEXT, chunk_of, units};
use super::{CARRIES, INLINE, Item, MOST_POSITIONS, Mark, NAMED, NAMES_BLOCK, Ring};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::atomic::Ordering;
use crate::sys::clock::Deadline;
use crate::testing::{self, Broken};
use crate::world::arena::Block;
use crate::world::handle::CONSUMER;
use crate::world::registry::Id;
use crate::world::wait::Wait;

impl Ring {
    /// Puts one record, waiting for room until `until`.
    #[inline]
    pub(in crate::channel) fn push(&self, item: &Item<'_>, until: Deadline) -> Result<()> {
        let me = self.world().me()?;
        let plain =
            item.parcel.is_none() && self.most_bytes == 0 && self.was_kept_open_by(CONSUMER);
        if plain && self.tail.lock.try_lock(me) {
            let put = self.push_at_hand(item);
            self.tail.lock.unlock(me);
            if put {
                self.tell_of_message();
                return Ok(());
            }
        }
        self.push_slowly(me, item, until)
    }

    #[inline]
    fn tell_of_message(&self) {
        if !testing::is_broken(Broken::NoWakeOnPut) {
            self.tail.messages.tell();
        }
    }

    /// Puts a plain record if that needs nothing but what is at hand: [`Ring::push_locked`] without its rarer cases.
    #[inline]
    fn push_at_hand(&self, item: &Item<'_>) -> bool {
        let tail = Mark(self.tail.tail.load(Ordering::Relaxed));
        let seen = Mark(self.tail.head_seen.load(Ordering::Relaxed));
        let position = tail.position();
        let (place, units) = (position % CHUNK, units(item.bytes.len().min(INLINE + 1)));
        let id = self.tail.chunks[chunk_of(position) as usize & 1].load(Ordering::Relaxed);
        if self.tail.closed.load(Ordering::Relaxed) != 0
            || !self.fits(tail, seen)
            || item.bytes.len() > INLINE
            || place == 0
            || place + units > CHUNK
        {
            return false;
        }
        let Some(chunk) = self.tail_chunk.at_hand(id) else { return false };
        if chunk.write(position, item.form as u32, item.bytes).is_err() {
            return false;
        }
        let next = Mark::new(position.wrapping_add(units), tail.count().wrapping_add(1));
        // ORDERING(put): Release, as in `store_tail`.
        self.tail.tail.store(next.0, Ordering::Release);
        true
    }

    #[inline(never)]
    fn push_slowly(&self, me: Id, item: &Item<'_>, until: Deadline) -> Result<()> {
        if self.is_deserted_by(CONSUMER) {
            return Err(Error::simple(ErrorKind::Closed));
        }
        self.check_len(item.bytes.len())?;
        if item.bytes.len() <= INLINE {
            return self.push_with(me, item, None, until);
        }
        let large = self.world().alloc_for_queue(item.bytes.len(), me)?;
        let result =
            large.write(0, item.bytes).and_then(|()| self.push_with(me, item, Some(&large), until));
        if result.is_err() {
            self.world().free(large);
        }
        result
    }

    /// Whether a message of `len` bytes can ever be put here.
    pub(in crate::channel) fn check_len(&self, len: usize) -> Result<()> {
        let limit = self.most_bytes;
        if limit != 0 && len as u64 > limit {
            return Err(Error::new(
                ErrorKind::TooLarge,
                format!(
                    "a message of {len} bytes does not fit a queue of {limit} bytes: raise capacity_bytes or send it in parts"
                ),
            ));
        }
        self.world().check_message(len)
    }

    fn push_with(
        &self,
        me: Id,
        item: &Item<'_>,
        large: Option<&Block>,
        until: Deadline,
    ) -> Result<()> {
        loop {
            self.lock(&self.tail.lock, me, until).inspect_err(|_| self.head.room.tell())?;
            let result = self.push_locked(me, item, large);
            self.tail.lock.unlock(me);
            match result {
                Ok(true) => {
                    self.tell_of_message();
                    if self.most_bytes != 0 {
                        // One large message less may be room for several: whoever got in lets the next one look.
                        self.head.room.tell();
                    }
                    return Ok(());
                }
                Ok(false) => self.wait_for_room(item.bytes.len(), until)?,
                Err(error) => {
                    // It may have been woken for room that it does not take.
                    self.head.room.tell();
                    return Err(error);
                }
            }
        }
    }

    /// Puts one record if there is room; under the tail lock.
    fn push_locked(&self, me: Id, item: &Item<'_>, large: Option<&Block>) -> Result<bool> {
        if self.tail.closed.load(Ordering::Relaxed) != 0 {
            return Err(Error::simple(ErrorKind::Closed));
        }
        let tail = Mark(self.tail.tail.load(Ordering::Relaxed));
        if !self.has_room(tail, item.bytes.len()) {
            return Ok(false);
        }
        if large.is_some() || item.parcel.is_some() {
            return self.push_special(me, item, large, tail);
        }
        let units = units(item.bytes.len());
        let (chunk, position) = self.place(me, tail.position(), units)?;
        chunk.write(position, item.form as u32, item.bytes)?;
        self.store_tail(tail, position.wrapping_add(units), item.bytes.len());
        Ok(true)
    }

    /// Puts a record that names a block or carries shared objects.
    #[cold]
    fn push_special(
        &self,
        me: Id,
        item: &Item<'_>,
        large: Option<&Block>,
        tail: Mark,
    ) -> Result<bool> {
        let mut info = item.form as u32;
        let mut name = [0; NAMED];
        let mut payload = item.bytes;
        if let Some(large) = large {
            info |= NAMES_BLOCK;
            name[..4].copy_from_slice(&large.id().to_le_bytes());
            name[8..].copy_from_slice(&(item.bytes.len() as u64).to_le_bytes());
            payload = &name;
        }
        if item.parcel.is_some() {
            info |= CARRIES;
        }
        let units = units(payload.len());
        let (chunk, position) = self.place(me, tail.position(), units)?;
        chunk.write(position, info, payload)?;
        if let Some(large) = large {
            large.give_to(self.reference.id, position);
        }
        let store = || self.store_tail(tail, position.wrapping_add(units), item.bytes.len());
        match item.parcel {
            None => store(),
            Some(parcel) => {
                self.reference.carries().store(1, Ordering::Relaxed);
                self.world().moving_references(|| {
                    parcel.carry();
                    store();
                })?;
            }
        }
        Ok(true)
    }

    /// The record up to `position` is put.
    #[inline]
    fn store_tail(&self, tail: Mark, position: u32, bytes: usize) {
        let next = Mark::new(position, tail.count().wrapping_add(1));
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
    fn fits(&self, tail: Mark, head: Mark) -> bool {
        let most = if self.most_items == 0 { i32::MAX as u32 } else { self.most_items };
        tail.count().wrapping_sub(head.count()) < most
            && tail.position().wrapping_sub(head.position()) < MOST_POSITIONS
    }

    /// Whether a record may be put behind `tail`.
    fn has_room(&self, tail: Mark, len: usize) -> bool {
        let seen = Mark(self.tail.head_seen.load(Ordering::Relaxed));
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
    fn bytes(&self, tail: Mark) -> u64 {
        let put = self.tail.bytes_put[tail.parity()].load(Ordering::Relaxed);
        // The words of the head change two records later at the earliest; a changed head tells.
        for _ in 0..64 {
            let head = self.load_head();
            let taken = self.tail.bytes_taken[head.parity()].load(Ordering::Acquire);
            if self.load_head() == head {
                return put.wrapping_sub(taken);
            }
        }
        // Getters are that busy: there is room soon, and they tell.
        u64::MAX
    }

    /// Where a record of `units` goes: in this chunk or the next. Under the tail lock.
    fn place(&self, me: Id, tail: u32, units: u32) -> Result<(Chunk, u32)> {
        // The last position of the chunk in which the tail is: a tail at the very end belongs to the chunk before.
        let number = chunk_of(tail.wrapping_sub(1));
        let end = number.wrapping_add(1).wrapping_mul(CHUNK);
        if end.wrapping_sub(tail) >= units {
            let id = self.tail.chunks[number as usize & 1].load(Ordering::Relaxed);
            return Ok((self.tail_chunk.chunk(id, self.world())?, tail));
        }
        self.place_in_next(me, tail, number, end)
    }

    #[cold]
    fn place_in_next(&self, me: Id, tail: u32, number: u32, end: u32) -> Result<(Chunk, u32)> {
        let world = self.world();
        let block = world.extent(self.tail.chunks[number as usize & 1].load(Ordering::Relaxed))?;
        let next = world.alloc_for_queue(CHUNK_BYTES, me)?;
        next.give_to(self.reference.id, end.wrapping_add(CHUNK));
        if end != tail {
            Chunk::of(&block)?.word(tail)?.store(NEXT, Ordering::Relaxed);
        }
        block.link().store(next.id(), Ordering::Relaxed);
        self.tail.chunks[number.wrapping_add(1) as usize & 1].store(next.id(), Ordering::Relaxed);
        Ok((self.tail_chunk.chunk(next.id(), world)?, end.wrapping_add(CHUNK_FIRST)))
    }

    /// Waits until there may be room for `len` bytes.
    fn wait_for_room(&self, len: usize, until: Deadline) -> Result<()> {
        let world = self.world();
        let is_full = || !self.has_room_for(len);
        let is_over = || self.is_closed() || self.is_deserted_by(CONSUMER);
        if is_over() {
            return Err(Error::simple(ErrorKind::Closed));
        }
        if until == Deadline::NOW {
            return Err(Error::simple(ErrorKind::Full));
        }
        if world.spins() && self.room_pace.spin(world, self.load_tail().count(), is_full) {
            return Ok(());
        }
        let armed = self.head.room.arm();
        let seen = self.load_head();
        if is_full() {
            if until.is_over() {
                return Err(Error::simple(ErrorKind::Timeout));
            }
            let wait = Wait::News(Some((&self.head.head, seen.0)));
            world.sleep(self.head.room.word(), armed, until, wait, || is_full() && !is_over());
        }
        Ok(())
    }

    /// Whether there was room at some moment during the call; without the lock.
    pub(in crate::channel) fn has_room_for(&self, len: usize) -> bool {
        let (head, tail) = self.load_both();
        let limit = self.most_bytes;
        self.fits(tail, head)
            && (limit == 0 || self.bytes(tail).saturating_add(len as u64) <= limit)
    }
}
