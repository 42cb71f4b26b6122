//! The state word of a semaphore: how many permits there are, and how many of them each of four processes holds, in one word that
//! changes by one compare-and-swap.
//!
//! ```text
//! bit 63       COUNTED  the rest is changed under the semaphore's lock alone
//! bit 62       STALE    COUNTED: what the block has of caches is to be made anew
//! bits 32..60  held     four fields of 7 bits: the permits that the process in each seat holds
//! bits 0..32   count    open: the permits that are available; COUNTED: the permits that exist
//! ```
//!
//! A word of zeroes is open, without a permit. Whatever a peer scribbles is a state: nothing here fails or indexes by it.

/// How many processes hold permits in the word.
const SEATS: usize = 4;
/// Bits of the field of each.
const WIDTH: u32 = 7;
/// The most permits that one process holds in the word.
pub(super) const MOST_HELD: u32 = (1 << WIDTH) - 1;
const COUNTED: u64 = 1 << 63;
const STALE: u64 = 1 << 62;

const _: () = assert!(32 + SEATS as u32 * WIDTH <= 62);

/// One of the fields, and of the words that say whose they are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Seat(u32);

impl Seat {
    pub(super) fn all() -> impl Iterator<Item = Seat> {
        (0..SEATS as u32).map(Seat)
    }

    pub(super) fn index(self) -> usize {
        self.0 as usize % SEATS
    }

    /// One permit in the field.
    fn one(self) -> u64 {
        1 << (32 + self.0 * WIDTH)
    }
}

/// The word as read at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct State(u64);

impl State {
    /// Open, with so many permits that nobody holds.
    pub(super) fn open(permits: u32) -> State {
        State(permits.into())
    }

    pub(super) fn from_bits(bits: u64) -> State {
        State(bits)
    }

    pub(super) fn to_bits(self) -> u64 {
        self.0
    }

    /// Whether only who has the lock may change it.
    pub(super) fn is_counted(self) -> bool {
        self.0 & COUNTED != 0
    }

    pub(super) fn is_stale(self) -> bool {
        self.0 & STALE != 0
    }

    /// While open, how many permits are available.
    pub(super) fn count(self) -> u32 {
        self.0 as u32
    }

    pub(super) fn held(self, seat: Seat) -> u32 {
        (self.0 / seat.one()) as u32 & MOST_HELD
    }

    pub(super) fn held_by_all(self) -> u32 {
        Seat::all().map(|seat| self.held(seat)).sum()
    }

    /// How many permits exist.
    pub(super) fn total(self) -> u32 {
        if self.is_counted() {
            self.count()
        } else {
            self.count().saturating_add(self.held_by_all())
        }
    }

    /// Open: whether a permit is available to the process in this seat.
    pub(super) fn is_to_be_had(self, seat: Seat) -> bool {
        !self.is_counted() && self.count() != 0 && self.has_room(seat)
    }

    /// Whether one more fits into the field.
    pub(super) fn has_room(self, seat: Seat) -> bool {
        self.held(seat) < MOST_HELD
    }

    /// One permit is taken. There is one, and room in the field.
    pub(super) fn taken(self, seat: Seat) -> State {
        let available = if self.is_counted() { 0 } else { 1 };
        State(self.0.wrapping_add(seat.one()).wrapping_sub(available))
    }

    /// A permit that is held is given back.
    pub(super) fn given(self, seat: Seat) -> State {
        let available = if self.is_counted() { 0 } else { 1 };
        State(self.0.wrapping_sub(seat.one()).wrapping_add(available))
    }

    /// A permit that is held exists no longer.
    pub(super) fn forgotten(self, seat: Seat) -> State {
        let existing = u64::from(self.is_counted() && self.count() != 0);
        State(self.0.wrapping_sub(seat.one()).wrapping_sub(existing))
    }

    /// What the process in the seat held is given back.
    pub(super) fn without(self, seat: Seat) -> State {
        let held = self.held(seat);
        let count =
            if self.is_counted() { self.count() } else { self.count().saturating_add(held) };
        State((self.0 - u64::from(held) * seat.one()) >> 32 << 32 | u64::from(count))
    }

    /// So many more exist, if that makes no more than `most`.
    pub(super) fn released(self, permits: u32, most: u32) -> Option<State> {
        self.total().checked_add(permits).filter(|&total| total <= most)?;
        Some(State(self.0 + u64::from(permits)))
    }

    /// COUNTED: one permit less exists, which somebody holds outside of this word.
    pub(super) fn one_less(self) -> State {
        State(self.0 - u64::from(self.count() != 0))
    }

    /// The same, COUNTED.
    pub(super) fn counted(self) -> State {
        State(COUNTED | self.0 >> 32 << 32 | u64::from(self.total()))
    }

    /// COUNTED: the same, STALE or not.
    pub(super) fn with_stale(self, is_stale: bool) -> State {
        State(if is_stale { self.0 | STALE } else { self.0 & !STALE })
    }

    /// The same, open. Nobody holds a permit outside of this word.
    pub(super) fn opened(self) -> State {
        let available = self.total().saturating_sub(self.held_by_all());
        State((self.0 & !COUNTED & !STALE) >> 32 << 32 | u64::from(available))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Seat = Seat(0);
    const LAST: Seat = Seat(SEATS as u32 - 1);

    #[test]
    fn steps_change_what_they_say() {
        let state = State::open(3).taken(ONE).taken(LAST).taken(LAST);
        assert_eq!((state.count(), state.held(ONE), state.held(LAST)), (0, 1, 2));
        assert_eq!((state.total(), state.held_by_all()), (3, 3));
        assert!(!state.is_to_be_had(ONE));
        let state = state.given(LAST).forgotten(ONE);
        assert_eq!((state.count(), state.held(ONE), state.held(LAST)), (1, 0, 1));
        assert_eq!(state.total(), 2);
        let state = state.without(LAST);
        assert_eq!((state.count(), state.held_by_all()), (2, 0));
    }

    #[test]
    fn counted_and_opened_are_the_same_permits() {
        let open = State::open(5).taken(ONE).taken(LAST);
        let counted = open.counted();
        assert!(counted.is_counted() && !counted.is_to_be_had(ONE));
        assert_eq!((counted.count(), counted.total(), counted.held(LAST)), (5, 5, 1));
        assert_eq!(counted.opened(), open);
        assert_eq!(counted.counted(), counted);
        assert_eq!(counted.given(ONE).opened(), open.given(ONE));
        assert_eq!(counted.taken(ONE).opened(), open.taken(ONE));
        assert_eq!(counted.forgotten(ONE).opened(), open.forgotten(ONE));
        assert_eq!(counted.without(LAST).opened(), open.without(LAST));
        assert_eq!(counted.one_less().total(), 4);
        let stale = counted.with_stale(true);
        assert!(stale.is_stale() && stale.is_counted() && !counted.is_stale());
        assert_eq!((stale.with_stale(false), stale.opened()), (counted, open));
    }

    #[test]
    fn the_most_is_never_exceeded() {
        let state = State::open(u32::MAX - 1).taken(ONE);
        assert_eq!(state.released(2, u32::MAX), None);
        let full = state.released(1, u32::MAX).unwrap();
        assert_eq!((full.total(), full.held(ONE)), (u32::MAX, 1));
        assert_eq!(full.released(1, u32::MAX), None);
        assert_eq!(full.released(u32::MAX, u32::MAX), None);
        assert_eq!(full.counted().released(1, u32::MAX), None);
        assert_eq!(full.given(ONE).count(), u32::MAX);
    }

    #[test]
    fn a_full_field_does_not_run_over() {
        let full = (0..MOST_HELD).fold(State::open(200), |state, _| state.taken(ONE));
        assert!(!full.has_room(ONE) && !full.is_to_be_had(ONE) && full.is_to_be_had(LAST));
        assert_eq!((full.held(ONE), full.held_by_all()), (MOST_HELD, MOST_HELD));
    }

    #[test]
    fn any_bits_are_a_state() {
        for bits in [u64::MAX, u64::MAX >> 1, COUNTED, 1 << 62, 0x7fff_ffff_0000_0000] {
            let state = State::from_bits(bits);
            for seat in Seat::all() {
                let _ = (
                    state.taken(seat),
                    state.given(seat),
                    state.forgotten(seat),
                    state.without(seat),
                );
            }
            let _ = (state.counted(), state.opened(), state.released(u32::MAX, u32::MAX));
            let _ = (state.one_less(), state.total());
        }
    }
}
