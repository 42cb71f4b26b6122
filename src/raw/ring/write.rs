//! The writing side: steps 1 to 6 of [`super`].

use super::words::{Bytes, Damage, PAD, Ring, Stamp, WORD, footprint};
use crate::sys::atomic::Ordering;

/// Room for one record, which only its writer sees.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Room {
    at: usize,
    len: usize,
}

impl Room {
    /// Bytes of the payload.
    #[inline]
    pub(crate) fn len(self) -> usize {
        self.len
    }

    /// The offset of the payload.
    #[inline]
    pub(crate) fn payload(self) -> usize {
        self.at + WORD as usize
    }
}

/// The writing side: its own position, and the head that it saw last.
#[derive(Debug)]
pub(crate) struct Writer {
    tail: Stamp,
    head_seen: Stamp,
}

impl Writer {
    /// Goes on where the last writer, which is gone, stopped.
    pub(crate) fn new<B: Bytes>(ring: &Ring<'_, B>) -> Result<Writer, Damage> {
        let (tail, head_seen) = (ring.load_tail()?, ring.load_head()?);
        match ring.load_header(tail.offset()) {
            0 => Ok(Writer { tail, head_seen }),
            header => Err(Damage::Header { at: tail.offset(), header }),
        }
    }

    pub(crate) fn tail(&self) -> Stamp {
        self.tail
    }

    /// Room for a payload of `len` bytes, at most [`largest`](super::largest), at the tail, if the head seen last leaves some there;
    /// writing steps 1 and 3.
    #[inline]
    pub(crate) fn reserve_fast<B: Bytes>(&self, ring: &Ring<'_, B>, len: u32) -> Option<Room> {
        let at = self.fit(ring.bytes.capacity(), len)?;
        (at == self.tail.offset()).then(|| open(ring, at, len))
    }

    /// Finds room for a payload of `len` bytes, at most [`largest`](super::largest); writing steps 1 to 3.
    pub(crate) fn reserve<B: Bytes>(
        &mut self,
        ring: &Ring<'_, B>,
        len: u32,
    ) -> Result<Option<Room>, Damage> {
        let capacity = ring.bytes.capacity();
        if self.fit(capacity, len).is_none() {
            self.head_seen = ring.load_head()?;
        }
        let Some(at) = self.fit(capacity, len) else { return Ok(None) };
        if at != self.tail.offset() {
            self.pad(ring);
        }
        Ok(Some(open(ring, at, len)))
    }

    /// Where a record fits by what is known of the head: at the tail, or at 0 behind padding.
    #[inline]
    fn fit(&self, capacity: u32, len: u32) -> Option<u32> {
        let (tail, head) = (self.tail.offset(), self.head_seen.offset());
        let needed = footprint(len);
        if tail < head {
            // The word behind the record stays free (I3).
            return (needed + WORD <= head - tail).then_some(tail);
        }
        let left = capacity - tail;
        // A record that ends at the very end has the word at 0 behind it.
        if needed < left || (needed == left && head > 0) {
            return Some(tail);
        }
        (needed + WORD <= head).then_some(0)
    }

    fn pad<B: Bytes>(&mut self, ring: &Ring<'_, B>) {
        ring.bytes.word(0).store(0, Ordering::Relaxed);
        // ORDERING(write): Release, as in `commit`: the 0 before the padding.
        ring.bytes.word(self.tail.offset()).store(PAD, Ordering::Release);
        self.tail = Stamp::new(0, self.tail.count());
        ring.tail.store(self.tail.0, Ordering::Relaxed);
    }

    /// Makes the record in `room` visible, whose payload has been written; writing steps 5 and 6. `info` is not 0.
    #[inline]
    pub(crate) fn commit<B: Bytes>(&mut self, ring: &Ring<'_, B>, room: Room, info: u32) {
        let (at, len) = (room.at as u32, room.len as u32);
        let header = u64::from(info) << 32 | u64::from(len);
        // ORDERING(write): Release, pairs with the Acquire in `load_header`: payload and the 0 behind it first (I1).
        ring.bytes.word(at).store(header, Ordering::Release);
        self.tail = Stamp::new(ring.behind(at, len), self.tail.count().wrapping_add(1));
        // ORDERING: Relaxed: who goes on from here has been told so by other means.
        ring.tail.store(self.tail.0, Ordering::Relaxed);
    }
}

/// Room at `at`, and no record behind it.
#[inline]
fn open<B: Bytes>(ring: &Ring<'_, B>, at: u32, len: u32) -> Room {
    ring.bytes.word(ring.behind(at, len)).store(0, Ordering::Relaxed);
    Room { at: at as usize, len: len as usize }
}
