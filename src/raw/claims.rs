//! Claims: which process writes to which part of an array, so that no two ever write to the same element.
//!
//! The caller holds the array's lock for everything but [`Claims::release`]. So claims appear one after the other, and go at
//! any moment.
//!
//! # Layout
//!
//! ```text
//! open            4   how many entries were ever in use since the table was last empty (a hint)   under the lock
//! frozen          4   1: nobody writes to any element any more, for ever                          under the lock, once
//! entries, 16 bytes each:
//!   0  owner      4   the process that writes; 0: the entry is free                      THE TRUTH
//!   4  partition  4   which partition the part is from                                   under the lock, before `owner`
//!   8  part       4   which part of it                                                   under the lock, before `owner`
//!   12 reserved   4
//! ```
//!
//! # The owner word
//!
//! | from | to | by |
//! |---|---|---|
//! | 0 | me | a claimant, under the lock (CAS) |
//! | a dead process | me | a claimant of the same part, under the lock (CAS): it does the dead one's work again |
//! | me | 0 | the owner's guard, without the lock (CAS) |
//! | a dead process | 0 | whoever has poisoned the array, under the lock (CAS) |
//!
//! # Protocol
//!
//! - *Claim*: C1 check all entries below `open`: a live owner of another partition, or of the same part, is an answer.
//!   C2 raise `open` over a free entry. C3 write partition and part. C4 CAS the owner word from 0 to me.
//! - *Release*: R1 CAS the owner word from me to 0.
//! - *Any other use of the array*: U1 check all entries below `open`. A live owner: the array is busy. A dead one: the array
//!   is half written. None: lower `open` to 0 and go on, with the array's lock held, so that no claim can begin meanwhile.
//! - *Settling* a dead claim, for a use of the array that U1 has told of it: S1 poison the array. S2 CAS the owner word from the
//!   dead process to 0.
//! - *Freezing*: F1 U1 finds nobody. F2 store `frozen`. Whoever wants to claim or to write checks it under the lock, and whoever
//!   finds it set reads without the lock.
//!
//! # Invariants
//!
//! - I1: the parts of one partition do not overlap; so two entries with live owners never name the same element, since C1 lets
//!   only parts of one partition in, and each of them once.
//! - I2: no entry at or above `open` has an owner: C2 comes before C4, and `open` is lowered only when no entry has one.
//! - I3: from the death of a claim's owner on, until the part was done again or the array was repaired, the owner word or the
//!   poison of the array tells of it: S1 comes before S2.
//! - I4: when `frozen` is set, no element changes any more: F1 comes before F2, under one hold of the lock.
//!
//! # If a process dies
//!
//! - before C4: the entry is free.
//! - after C4, before R1: the owner word names a dead process. The part can be claimed again; until that claim is released, any
//!   other use of the array finds that it is half written (U1).
//! - after R1: nothing is left.
//! - in U1: `open` is too high at most, which costs a check.
//! - after S1, before S2: both the poison and the claim tell; whoever comes next settles it again.
//! - before F2: nothing happened. After it: the array is frozen.
//!
//! Who may be dead is the caller's question. It must answer "gone" only when no thread of the process runs any more: slices
//! of a part may have been lent to other threads than the one that claimed.

use crate::sys::atomic::{AtomicU32, NATIVE, Ordering};

/// An entry of the table.
#[repr(C)]
pub(crate) struct Claim {
    owner: AtomicU32,
    partition: AtomicU32,
    part: AtomicU32,
    reserved: AtomicU32,
}

const _: () = assert!(!NATIVE || size_of::<Claim>() == 16);

/// A part of an array: the number of the partition, and of the part in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Part {
    pub(crate) partition: u32,
    pub(crate) part: u32,
}

/// How a claim ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Outcome {
    /// The part is the caller's; this entry says so.
    Claimed(usize),
    /// The same, and the process that had it before died with it.
    TakenOver(usize),
    /// A live process has the same part.
    Taken,
    /// A live process has a part of another partition.
    OtherPartition,
    /// Every entry has an owner.
    Full,
}

/// What the table says about the array as a whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Found {
    /// Nobody writes to a part.
    Nobody,
    /// A live process does.
    Live,
    /// None does, but one died while it did.
    Dead,
}

/// The table.
pub(crate) struct Claims<'a> {
    pub(crate) entries: &'a [Claim],
    pub(crate) open: &'a AtomicU32,
    pub(crate) frozen: &'a AtomicU32,
}

impl Claims<'_> {
    /// The entries that may have an owner; whatever a peer wrote, within the table.
    fn used(&self) -> &[Claim] {
        let open = self.open.load(Ordering::Relaxed) as usize;
        &self.entries[..open.min(self.entries.len())]
    }

    /// Claims a part for process `me`. Under the array's lock.
    pub(crate) fn claim(&self, me: u32, wanted: Part, is_gone: impl Fn(u32) -> bool) -> Outcome {
        let mut free = None;
        let mut abandoned = None;
        for (index, entry) in self.used().iter().enumerate() {
            // ORDERING(part): Acquire, pairs with the Release in `release`: what the last owner wrote to the part.
            let owner = entry.owner.load(Ordering::Acquire);
            if owner == 0 {
                free = free.or(Some(index));
                continue;
            }
            let part = entry.part();
            let is_same = part == wanted;
            if !is_gone(owner) {
                if is_same {
                    return Outcome::Taken;
                }
                if part.partition != wanted.partition {
                    return Outcome::OtherPartition;
                }
            } else if is_same {
                abandoned = Some((index, owner));
            }
        }
        if let Some((index, dead)) = abandoned {
            let taken = self.entries[index].change_owner(dead, me);
            return if taken { Outcome::TakenOver(index) } else { Outcome::Taken };
        }
        let index = free.unwrap_or(self.used().len());
        let Some(entry) = self.entries.get(index) else { return Outcome::Full };
        if index >= self.used().len() {
            self.open.store(index as u32 + 1, Ordering::Relaxed);
        }
        entry.partition.store(wanted.partition, Ordering::Relaxed);
        entry.part.store(wanted.part, Ordering::Relaxed);
        // A peer that scribbles is the only reason for this to fail.
        if entry.change_owner(0, me) { Outcome::Claimed(index) } else { Outcome::Taken }
    }

    /// Gives a part back that `me` has claimed with this entry. Without the lock.
    pub(crate) fn release(&self, index: usize, me: u32) {
        if let Some(entry) = self.entries.get(index) {
            entry.change_owner(me, 0);
        }
    }

    /// Whether somebody writes to a part. Under the array's lock, and true as long as it is held.
    #[inline]
    pub(crate) fn check(&self, is_gone: impl Fn(u32) -> bool) -> Found {
        if self.open.load(Ordering::Relaxed) == 0 {
            return Found::Nobody;
        }
        self.check_slow(is_gone)
    }

    #[cold]
    fn check_slow(&self, is_gone: impl Fn(u32) -> bool) -> Found {
        let mut found = Found::Nobody;
        for entry in self.used() {
            // ORDERING(part): Acquire, pairs with the Release in `release`.
            match entry.owner.load(Ordering::Acquire) {
                0 => {}
                owner if is_gone(owner) => found = Found::Dead,
                _ => return Found::Live,
            }
        }
        if found == Found::Nobody {
            self.open.store(0, Ordering::Relaxed);
        }
        found
    }

    /// Poisons the array and forgets the claims of the dead. Under the array's lock.
    pub(crate) fn settle_dead(&self, is_gone: impl Fn(u32) -> bool, poison: impl Fn()) {
        poison();
        for entry in self.used() {
            let owner = entry.owner.load(Ordering::Acquire);
            if owner != 0 && is_gone(owner) {
                entry.change_owner(owner, 0);
            }
        }
    }

    /// Whether nobody writes any more. With the lock or without.
    #[inline]
    pub(crate) fn is_frozen(&self) -> bool {
        // ORDERING(frozen): Acquire, pairs with the Release in `freeze`: all that was ever written.
        self.frozen.load(Ordering::Acquire) == 1
    }

    /// Ends all writing. Under the array's lock, after a check that found nobody.
    pub(crate) fn freeze(&self) {
        // ORDERING(frozen): Release, pairs with the Acquire in `is_frozen`.
        self.frozen.store(1, Ordering::Release);
    }
}

impl Claim {
    fn part(&self) -> Part {
        Part {
            partition: self.partition.load(Ordering::Relaxed),
            part: self.part.load(Ordering::Relaxed),
        }
    }

    fn change_owner(&self, from: u32, to: u32) -> bool {
        // ORDERING(part): Release when it is given back, pairs with the Acquire of whoever checks; Acquire when it is taken.
        self.owner.compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEAD: u32 = 66;

    fn table() -> ([Claim; 3], [AtomicU32; 2]) {
        let claim = || Claim {
            owner: AtomicU32::new(0),
            partition: AtomicU32::new(0),
            part: AtomicU32::new(0),
            reserved: AtomicU32::new(0),
        };
        ([claim(), claim(), claim()], [AtomicU32::new(0), AtomicU32::new(0)])
    }

    fn is_gone(owner: u32) -> bool {
        owner == DEAD
    }

    fn part(partition: u32, part: u32) -> Part {
        Part { partition, part }
    }

    #[test]
    fn parts_of_one_partition_are_claimed_once_each() {
        let (entries, [open, frozen]) = table();
        let claims = Claims { entries: &entries, open: &open, frozen: &frozen };
        assert_eq!(claims.check(is_gone), Found::Nobody);
        assert_eq!(claims.claim(7, part(1, 0), is_gone), Outcome::Claimed(0));
        assert_eq!(claims.claim(8, part(1, 0), is_gone), Outcome::Taken);
        assert_eq!(claims.claim(7, part(1, 0), is_gone), Outcome::Taken);
        assert_eq!(claims.claim(8, part(1, 1), is_gone), Outcome::Claimed(1));
        assert_eq!(claims.claim(8, part(2, 5), is_gone), Outcome::OtherPartition);
        assert_eq!(claims.check(is_gone), Found::Live);
        claims.release(0, 8);
        assert_eq!(claims.claim(8, part(1, 0), is_gone), Outcome::Taken, "not 8's to release");
        claims.release(0, 7);
        claims.release(1, 8);
        assert_eq!(claims.check(is_gone), Found::Nobody);
        assert_eq!(open.load(Ordering::Relaxed), 0);
        assert_eq!(claims.claim(8, part(2, 5), is_gone), Outcome::Claimed(0));
    }

    #[test]
    fn a_dead_claim_is_told_until_its_part_is_done_again() {
        let (entries, [open, frozen]) = table();
        let claims = Claims { entries: &entries, open: &open, frozen: &frozen };
        assert_eq!(claims.claim(DEAD, part(1, 0), is_gone), Outcome::Claimed(0));
        assert_eq!(claims.check(is_gone), Found::Dead);
        assert_eq!(claims.claim(7, part(1, 1), is_gone), Outcome::Claimed(1));
        assert_eq!(claims.check(is_gone), Found::Live);
        assert_eq!(claims.claim(7, part(1, 0), is_gone), Outcome::TakenOver(0));
        claims.release(0, 7);
        claims.release(1, 7);
        assert_eq!(claims.check(is_gone), Found::Nobody);
    }

    #[test]
    fn the_dead_fill_the_table_until_they_are_forgotten() {
        let (entries, [open, frozen]) = table();
        let claims = Claims { entries: &entries, open: &open, frozen: &frozen };
        for number in 0..3 {
            let index = number as usize;
            assert_eq!(claims.claim(DEAD, part(1, number), is_gone), Outcome::Claimed(index));
        }
        assert_eq!(claims.claim(7, part(1, 3), is_gone), Outcome::Full);
        let is_poisoned = core::cell::Cell::new(false);
        claims.settle_dead(is_gone, || is_poisoned.set(true));
        assert!(is_poisoned.get());
        assert_eq!(claims.check(is_gone), Found::Nobody);
        assert_eq!(claims.claim(7, part(1, 3), is_gone), Outcome::Claimed(0));
    }

    #[test]
    fn nonsense_in_the_table_is_harmless() {
        let (entries, [open, frozen]) = table();
        let claims = Claims { entries: &entries, open: &open, frozen: &frozen };
        open.store(u32::MAX, Ordering::Relaxed);
        assert_eq!(claims.check(is_gone), Found::Nobody);
        open.store(u32::MAX, Ordering::Relaxed);
        assert_eq!(claims.claim(7, part(0, 0), is_gone), Outcome::Claimed(0));
        claims.release(99, 7);
        claims.release(0, 7);
    }
}
