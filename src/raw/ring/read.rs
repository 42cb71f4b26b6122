//! The reading side: steps 1 to 4 of [`super`].

use super::words::{Bytes, Damage, PAD, Record, Ring, Stamp};
use crate::sys::atomic::Ordering;

/// The reading side: its own position.
#[derive(Debug)]
pub(crate) struct Reader {
    head: Stamp,
}

impl Reader {
    /// Goes on where the last reader, which is gone, stopped.
    pub(crate) fn new<B: Bytes>(ring: &Ring<'_, B>) -> Result<Reader, Damage> {
        Ok(Reader { head: ring.load_head()? })
    }

    pub(crate) fn head(&self) -> Stamp {
        self.head
    }

    /// Whether there is no record; padding counts as one.
    #[inline]
    pub(crate) fn is_at_end<B: Bytes>(&self, ring: &Ring<'_, B>) -> bool {
        ring.load_header(self.head.offset()) == 0
    }

    /// The first record, if it is there without padding or damage; reading steps 1 and 3.
    #[inline]
    pub(crate) fn peek_fast<B: Bytes>(&self, ring: &Ring<'_, B>) -> Option<Record> {
        match ring.load_header(self.head.offset()) {
            0 => None,
            header => ring.check(self.head.offset(), header).ok(),
        }
    }

    /// The first record, if there is one; reading steps 1 to 3.
    pub(crate) fn peek<B: Bytes>(&mut self, ring: &Ring<'_, B>) -> Result<Option<Record>, Damage> {
        let header = ring.load_header(self.head.offset());
        if header == 0 {
            return Ok(None);
        }
        if header == PAD {
            return self.skip_padding(ring);
        }
        ring.check(self.head.offset(), header).map(Some)
    }

    fn skip_padding<B: Bytes>(&mut self, ring: &Ring<'_, B>) -> Result<Option<Record>, Damage> {
        if self.head.offset() == 0 {
            return Err(Damage::Header { at: 0, header: PAD });
        }
        self.go_to(ring, Stamp::new(0, self.head.count()));
        match ring.load_header(0) {
            0 => Ok(None),
            header => ring.check(self.head.offset(), header).map(Some),
        }
    }

    /// Takes the record that `peek` gave; reading step 4. Its bytes belong to the writer from now on.
    #[inline]
    pub(crate) fn take<B: Bytes>(&mut self, ring: &Ring<'_, B>, record: Record) {
        let next = ring.end_of(record);
        self.go_to(ring, Stamp::new(next, self.head.count().wrapping_add(1)));
    }

    #[inline]
    fn go_to<B: Bytes>(&mut self, ring: &Ring<'_, B>, head: Stamp) {
        self.head = head;
        // ORDERING(take): Release, pairs with the Acquire in `load_head`: the payload was read before (I2).
        ring.head.store(head.0, Ordering::Release);
    }
}
