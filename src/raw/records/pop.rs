//! Getting: the steps of [`super`], and waiting for messages.

use super::chunk::{CHUNK, CHUNK_FIRST, Chunk, NEXT, chunk_of, no_room, units};
use super::{CARRIES, FORM, Form, INLINE, Mark, NAMED, NAMES_BLOCK, Ring, damaged, named};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::atomic::Ordering;
use crate::sys::clock::Deadline;
use crate::world::arena::Block;
use crate::world::handle::{self, Claimed, PRODUCER};
use crate::world::registry::Id;
use crate::world::wait::Wait;

impl Ring {
    /// Takes the first record, waiting for one until `until`, and appends its payload to `out`; the shared objects that it
    /// carried, if any.
    #[inline]
    pub(in crate::channel) fn pop(
        &self,
        form: Form,
        type_name: &str,
        until: Deadline,
        out: &mut Vec<u8>,
    ) -> Result<Option<Claimed>> {
        let me = self.world().me()?;
        if self.most_bytes == 0 && self.head.lock.try_lock(me) {
            let got = self.pop_at_hand(form, out);
            self.head.lock.unlock(me);
            if got {
                self.head.room.tell();
                return Ok(None);
            }
        }
        self.pop_slowly(me, form, type_name, until, out)
    }

    /// Takes a plain record if that needs nothing but what is at hand: [`Ring::pop_locked`] without its rarer cases.
    #[inline]
    fn pop_at_hand(&self, form: Form, out: &mut Vec<u8>) -> bool {
        let head = Mark(self.head.head.load(Ordering::Relaxed));
        if head.0 == self.head.tail_seen.load(Ordering::Relaxed) {
            let tail = self.load_tail();
            if tail == head {
                return false;
            }
            self.head.tail_seen.store(tail.0, Ordering::Relaxed);
        }
        let position = head.position();
        let id = self.head.chunks[chunk_of(position) as usize & 1].load(Ordering::Relaxed);
        let Some(chunk) = self.head_chunk.at_hand(id) else { return false };
        let Ok(word) = chunk.word(position) else { return false };
        let word = word.load(Ordering::Relaxed);
        let (len, info) = (word as u32 as usize, (word >> 32) as u32);
        // Neither a block, nor shared objects, nor the mark of the next chunk.
        if info != form as u32 || len > INLINE || chunk.read(position, len, out).is_err() {
            return false;
        }
        let next = Mark::new(position.wrapping_add(units(len)), head.count().wrapping_add(1));
        // ORDERING(take): Release, as in `pop_locked`.
        self.head.head.store(next.0, Ordering::Release);
        true
    }

    #[inline(never)]
    fn pop_slowly(
        &self,
        me: Id,
        form: Form,
        type_name: &str,
        until: Deadline,
        out: &mut Vec<u8>,
    ) -> Result<Option<Claimed>> {
        loop {
            self.lock(&self.head.lock, me, until).inspect_err(|_| self.tail.messages.tell())?;
            let mut after = None;
            let result = self.pop_locked(me, form, type_name, out, &mut after);
            self.head.lock.unlock(me);
            let taken = result.inspect_err(|_| {
                // It may have been woken for a message that it does not take.
                self.tail.messages.tell();
            });
            if taken? {
                self.head.room.tell();
                return after.map_or(Ok(None), |after| self.finish(*after, out));
            }
            self.wait_for_messages(until)?;
        }
    }

    /// Takes the first record if there is one; under the head lock.
    fn pop_locked(
        &self,
        me: Id,
        form: Form,
        type_name: &str,
        out: &mut Vec<u8>,
        after: &mut Option<Box<After>>,
    ) -> Result<bool> {
        let head = Mark(self.head.head.load(Ordering::Relaxed));
        if head.0 == self.head.tail_seen.load(Ordering::Relaxed) {
            let tail = self.load_tail();
            self.head.tail_seen.store(tail.0, Ordering::Relaxed);
            if tail == head {
                return Ok(false);
            }
        }
        let (chunk, position, word) = self.first_record(head.position(), after)?;
        let (len, info) = (word as u32 as usize, (word >> 32) as u32);
        if len > INLINE {
            return Err(no_room(position, len));
        }
        if info & FORM != form as u32 {
            return Err(other_form(info & FORM, form, type_name));
        }
        let total = if info & (NAMES_BLOCK | CARRIES) == 0 {
            chunk.read(position, len, out)?;
            len as u64
        } else {
            self.take_special(me, chunk, position, len, info, out, after)?
        };
        let next = Mark::new(position.wrapping_add(units(len)), head.count().wrapping_add(1));
        if self.most_bytes != 0 {
            let taken = self.tail.bytes_taken[head.parity()].load(Ordering::Relaxed);
            self.tail.bytes_taken[next.parity()]
                .store(taken.wrapping_add(total), Ordering::Release);
        }
        // ORDERING(take): Release, pairs with the Acquire in `load_head`; the copy before the head (I1).
        let store = || self.head.head.store(next.0, Ordering::Release);
        match after.as_ref().and_then(|after| after.claimed.as_ref()) {
            None => store(),
            Some(claimed) => self.world().moving_references(|| {
                store();
                claimed.uncarry();
            })?,
        }
        Ok(true)
    }

    /// Where the first record is, in this chunk or the next, and its first word.
    fn first_record(
        &self,
        position: u32,
        after: &mut Option<Box<After>>,
    ) -> Result<(Chunk, u32, u64)> {
        let number = chunk_of(position.wrapping_sub(1));
        if !position.is_multiple_of(CHUNK) {
            let id = self.head.chunks[number as usize & 1].load(Ordering::Relaxed);
            let chunk = self.head_chunk.chunk(id, self.world())?;
            let word = chunk.word(position)?.load(Ordering::Relaxed);
            if word != NEXT {
                return Ok((chunk, position, word));
            }
        }
        self.first_of_next(number, after)
    }

    #[cold]
    fn first_of_next(
        &self,
        number: u32,
        after: &mut Option<Box<After>>,
    ) -> Result<(Chunk, u32, u64)> {
        let left =
            self.world().extent(self.head.chunks[number as usize & 1].load(Ordering::Relaxed))?;
        let next = left.link().load(Ordering::Relaxed);
        let number = number.wrapping_add(1);
        let chunk = self.head_chunk.chunk(next, self.world())?;
        self.head.chunks[number as usize & 1].store(next, Ordering::Relaxed);
        let position = number.wrapping_mul(CHUNK).wrapping_add(CHUNK_FIRST);
        after.get_or_insert_default().left = Some(left);
        Ok((chunk, position, chunk.word(position)?.load(Ordering::Relaxed)))
    }

    /// Takes a record that names a block or carries shared objects; the length of its payload.
    #[cold]
    #[expect(clippy::too_many_arguments, reason = "the rare half of `pop_locked`")]
    fn take_special(
        &self,
        me: Id,
        chunk: Chunk,
        position: u32,
        len: usize,
        info: u32,
        out: &mut Vec<u8>,
        after: &mut Option<Box<After>>,
    ) -> Result<u64> {
        let after = after.get_or_insert_default();
        let mut total = len as u64;
        if info & NAMES_BLOCK == 0 {
            chunk.read(position, len, out)?;
        } else {
            let mut name = Vec::with_capacity(NAMED);
            chunk.read(position, len, &mut name)?;
            let (id, len) = named(&name);
            let large = self.world().extent(id)?;
            if len > large.len() as u64 {
                return Err(damaged(format!(
                    "a message of {len} bytes in a block of {}",
                    large.len()
                )));
            }
            // Before the record is gone: without memory it stays.
            out.try_reserve(len as usize).map_err(|_| {
                Error::new(
                    ErrorKind::OutOfMemory,
                    format!("no memory for a message of {len} bytes: it stays in the queue"),
                )
            })?;
            total = len;
            large.set_holder(Some(me));
            after.large = Some((large, len as usize));
        }
        if info & CARRIES != 0 {
            // Shared objects inside: this process takes them over before the record is gone.
            after.copy_large(out)?;
            let (body, claimed) = handle::open(self.world(), out)?;
            let len = body.len();
            out.truncate(len);
            after.claimed = Some(claimed);
        }
        Ok(total)
    }

    /// What can be done once the record is this process's and the lock is free.
    #[cold]
    fn finish(&self, mut after: After, out: &mut Vec<u8>) -> Result<Option<Claimed>> {
        if let Some(left) = after.left.take() {
            self.world().free(left);
        }
        let copied = after.copy_large(out);
        if let Some((large, _)) = after.large.take() {
            self.world().free(large);
        }
        copied.map(|()| after.claimed.take())
    }

    /// Waits until there may be a record.
    fn wait_for_messages(&self, until: Deadline) -> Result<()> {
        let world = self.world();
        let is_over = || {
            // Closed first: what was put before the closing is seen by the look at the tail after it.
            let over = self.is_closed() || self.is_deserted_by(PRODUCER);
            over && self.load_tail() == self.load_head()
        };
        let is_empty = || self.load_tail() == self.load_head();
        if is_over() {
            return Err(Error::simple(ErrorKind::Closed));
        }
        if until == Deadline::NOW {
            return Err(Error::simple(ErrorKind::Empty));
        }
        if world.spins() && self.message_pace.spin(world, self.load_head().count(), is_empty) {
            return Ok(());
        }
        let armed = self.tail.messages.arm();
        let seen = self.load_tail();
        if seen == self.load_head() {
            if until.is_over() {
                return Err(Error::simple(ErrorKind::Timeout));
            }
            let wait = Wait::News(Some((&self.tail.tail, seen.0)));
            world.sleep(self.tail.messages.word(), armed, until, wait, || is_empty() && !is_over());
        }
        Ok(())
    }
}

/// What is left to do once a record is taken.
#[derive(Default)]
struct After {
    /// The chunk that the head has left.
    left: Option<Block>,
    large: Option<(Block, usize)>,
    claimed: Option<Claimed>,
}

impl After {
    /// Copies a large payload out, if that was not done yet.
    fn copy_large(&self, out: &mut Vec<u8>) -> Result<()> {
        match self.large {
            Some((block, len)) if self.claimed.is_none() => block.read_into(0, len, out),
            _ => Ok(()),
        }
    }
}

#[cold]
fn other_form(found: u32, wanted: Form, type_name: &str) -> Error {
    let text = match (wanted, found) {
        (Form::Typed, 2) => {
            format!("the next message was put as bytes, not as {type_name}: take it with get_bytes")
        }
        (Form::Bytes, 1) => {
            format!("the next message was put as {type_name}, not as bytes: take it with get")
        }
        _ => return damaged(format!("a record has form {found}")),
    };
    Error::new(ErrorKind::Mismatch, text)
}
