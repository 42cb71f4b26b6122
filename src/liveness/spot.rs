//! The spot: where a waker ran, in six bits of the word on which others sleep.
//!
//! To poll for somebody on one's own processor keeps them from doing what is waited for. The two may share a processor because they
//! are pinned there, because the scheduler put them there, or because there are more processes than processors. So whoever wakes a
//! sleeper leaves its spot in the word that it changes anyway. Whoever waits on that word the next time compares: its own spot means
//! to sleep at once.
//!
//! A spot is a hint. It is as old as the last wake, and it need not be younger: who sleeps is woken, and the wake brings the spot up
//! to date; who polls in vain, because the waker has come to its processor meanwhile, sleeps then. Where several may wake, it is that of
//! the last one. Two processors whose numbers differ by a multiple of 63 have one spot; who is mistaken for the other's neighbour
//! sleeps where it could have polled.

use crate::sys::thread;

/// Where a spot stands in a word.
const SHIFT: u32 = 26;
/// How many spots there are. 0 is none of them: nobody knows.
const SPOTS: u32 = 63;

/// The processor on which a thread runs, or ran.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Spot(u32);

impl Spot {
    /// The bits of a word that hold a spot.
    pub(crate) const MASK: u32 = SPOTS << SHIFT;

    /// That of the calling thread.
    pub(crate) fn here() -> Spot {
        Spot(thread::processor().map_or(0, |processor| processor % SPOTS + 1))
    }

    /// The same word with this spot.
    pub(crate) fn put_in(self, word: u32) -> u32 {
        word & !Spot::MASK | self.0 << SHIFT
    }

    /// Whether the spot in a word is that of the calling thread.
    pub(crate) fn is_here(word: u32) -> bool {
        let spot = Spot(word >> SHIFT);
        spot.0 != 0 && spot == Spot::here()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_keeps_its_other_bits() {
        for word in [0, u32::MAX, 0x5555_5555, 0x1234_5678] {
            let with = Spot(63).put_in(word);
            assert_eq!(with & !Spot::MASK, word & !Spot::MASK);
            assert_eq!(Spot(0).put_in(with), word & !Spot::MASK);
            assert_eq!(with >> SHIFT, 63);
        }
    }

    #[test]
    fn nobody_knows_is_not_here() {
        assert!(!Spot::is_here(0));
        assert!(!Spot::is_here(!Spot::MASK));
        // The thread may be moved between two calls: not for ever.
        assert!((0..1000).any(|_| Spot::is_here(Spot::here().put_in(7))));
    }
}
