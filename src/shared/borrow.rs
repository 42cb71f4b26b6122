//! Who may touch an object's data: a lock that several objects may share, and a word that says what its holder does.
//!
//! # Layout
//!
//! The first 8 bytes of the object's payload:
//!
//! ```text
//! 0  4  state   what is being done to the data, and by which thread       the lock's holder writes, under the lock
//! 4  4  lock    which `RLock` guards it; bit 31: the user gave it; 30: the data is in a block          the creator writes, once
//! ```
//!
//! | state | meaning |
//! |---|---|
//! | 0 | the data is whole and nobody touches it |
//! | `READING`, thread | the thread reads, or writes with one store: whole at every instruction |
//! | `WRITING`, thread | the thread writes: half written until it is done |
//! | `GUARD`, thread | the thread has a guard, or runs a closure on the data |
//! | `POISONED` | a panic went through a guard |
//!
//! # Protocol
//!
//! 1. Take the lock, unless the calling thread holds it already (`get_lock().lock()`, or a guard).
//! 2. Read the state. It names this thread: the data is borrowed already. It is 0 or `READING`: go on. Anything else: whoever
//!    it names held the lock and does so no longer, so it died, or its thread ended: the data may be half written, and only
//!    what writes the whole of it, or means to repair it, goes on.
//! 3. Store the state. A thread that only reads, inside a hold of its user, stores nothing: see below.
//! 4. Touch the data.
//! 5. Store 0 (a panic: `POISONED`).
//! 6. Give the lock back, if it was taken in step 1.
//!
//! # Invariants
//!
//! - I1: only the lock's holder stores the state or touches the data. Guards lend the data to user code, so a second borrow by
//!   the same thread is refused in step 2.
//! - I2: the state tells of unfinished writing from before the first byte until after the last.
//!
//! # If a process dies
//!
//! - after step 1: the lock names a dead thread, which is its poison: an error for all but those who recover or overwrite.
//! - after step 3, reading: the state names the same dead thread as the lock; whoever comes next sees that the data is whole and
//!   takes the poison of the lock away. (Had the dead thread held the lock for its user, the user's work would be cut in the middle.
//!   That is why it stores nothing then.)
//! - after step 3 or in step 4, writing, or with a guard: state and lock both tell. The state stays although the lock may be
//!   recovered by itself.
//! - after step 5: the poison of the lock alone is left; the data is whole, but somebody died with the lock held.
//!
//! A guard with which its thread waits for a condition ends before the lock is let go of, and begins anew when it is taken again. If
//! that cannot be, it holds the lock alone (*spoiled*): nothing is written through it, and it ends with the poison that it found.
//!
//! Repair: `recover`, or writing the whole. Both clear the state; the poison of the lock goes with `recover`, and with writing the
//! whole if the lock is the object's own.

use crate::error::{Error, ErrorKind, Result};
use crate::liveness::{Id, is_me};
use crate::raw::lock::Outcome;
use crate::sync::{Depth, RLock};
use crate::sys::atomic::{AtomicU32, Ordering, fence};
use crate::sys::clock::Deadline;
use crate::sys::thread;
use crate::testing::{self, Broken};
use core::marker::PhantomData;

const KIND: u32 = 3 << 30;
const GUARD: u32 = 0;
const READING: u32 = 1 << 30;
const WRITING: u32 = 2 << 30;
const POISONED: u32 = 3 << 30;
/// In `lock`: the user gave it, other objects may be under it too.
const GIVEN: u32 = 1 << 31;
/// In `lock`: the data of a value stands in a block of its own.
const IN_BLOCK: u32 = 1 << 30;

/// The words in the object.
#[repr(C)]
pub(crate) struct Borrow {
    state: AtomicU32,
    lock: AtomicU32,
}

impl Borrow {
    /// Notes that the data is in a block; while the object is made.
    pub(crate) fn set_in_block(&self) {
        self.lock.fetch_or(IN_BLOCK, Ordering::Relaxed);
    }

    /// Whether the data is in a block.
    pub(crate) fn is_in_block(&self) -> bool {
        self.lock.load(Ordering::Relaxed) & IN_BLOCK != 0
    }
}

/// What the data is wanted for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Purpose {
    /// To read it, or to change it with one store.
    Read,
    /// To write to some of it.
    Write,
    /// To write all of it.
    Overwrite,
    /// For a guard.
    Guard,
    /// For a guard, although it may be half written.
    Recover,
    /// Not at all: to claim a part, which says itself who may touch what. For the data it is a read.
    Claim,
}

impl Purpose {
    /// Whether half-written data is no hindrance.
    pub(crate) fn takes_all(self) -> bool {
        matches!(self, Purpose::Overwrite | Purpose::Recover | Purpose::Claim)
    }
}

/// The words and the lock that guards them.
#[derive(Clone)]
pub(crate) struct Guarded {
    lock: RLock,
    borrow: &'static Borrow,
    is_given: bool,
}

impl Guarded {
    /// For a new object: under the user's lock, or one of its own.
    pub(crate) fn create(borrow: &'static Borrow, given: Option<RLock>) -> Result<Guarded> {
        let is_given = given.is_some();
        let lock = given.map_or_else(RLock::new, Ok)?;
        let bits = lock.index() | if is_given { GIVEN } else { 0 };
        borrow.lock.fetch_or(bits, Ordering::Relaxed);
        Ok(Guarded { lock, borrow, is_given })
    }

    /// For an object that has arrived with its lock.
    pub(crate) fn attach(borrow: &'static Borrow, lock: RLock) -> Result<Guarded> {
        let bits = borrow.lock.load(Ordering::Relaxed);
        if bits & !(GIVEN | IN_BLOCK) != lock.index() {
            return Err(Error::of(
                ErrorKind::Corrupted,
                "shared memory is corrupted: the object is guarded by another lock than it came with",
            ));
        }
        Ok(Guarded { lock, borrow, is_given: bits & GIVEN != 0 })
    }

    pub(crate) fn lock(&self) -> &RLock {
        &self.lock
    }

    /// Steps 1 to 3. `check` runs between 2 and 3, may read, and may refuse.
    #[inline]
    pub(crate) fn enter<R>(
        &self,
        purpose: Purpose,
        until: Deadline,
        check: impl FnOnce() -> Result<R>,
    ) -> Result<(Section<'_>, R)> {
        let me = self.lock.me()?;
        let is_nested = self.lock.is_held_by(me);
        let clear = !is_nested && !self.lock.try_take(me) && self.take_slow(me, purpose, until)?;
        let found = match self.admit(me, is_nested, purpose, check) {
            Ok(found) => found,
            Err(error) => {
                if !is_nested {
                    self.lock.give(me, false);
                }
                return Err(error);
            }
        };
        // Made at once and not changed afterwards: it stays in registers.
        let is_begun = self.begin(me, is_nested, purpose);
        let not_send = PhantomData;
        Ok((Section { guarded: self, me, is_nested, clear, is_begun, not_send }, found))
    }

    /// Step 2.
    #[inline]
    fn admit<R>(
        &self,
        me: Id,
        is_nested: bool,
        purpose: Purpose,
        check: impl FnOnce() -> Result<R>,
    ) -> Result<R> {
        let state = self.borrow.state.load(Ordering::Relaxed);
        if state != 0 {
            judge(state, me, is_nested, purpose)?;
        }
        check()
    }

    /// Step 3; whether anything was stored.
    #[inline]
    fn begin(&self, me: Id, is_nested: bool, purpose: Purpose) -> bool {
        let kind = match purpose {
            Purpose::Read | Purpose::Claim if is_nested => return false,
            // What is half written stays so.
            Purpose::Claim if self.is_half_written() => return false,
            Purpose::Read | Purpose::Claim => READING,
            Purpose::Write | Purpose::Overwrite => WRITING,
            Purpose::Guard | Purpose::Recover => GUARD,
        };
        self.borrow.state.store(kind | me.to_bits(), Ordering::Relaxed);
        // ORDERING(half written): Release: no byte of the data is written before the state says so (I2). Who reads it after
        // a death reads behind the mark of the kernel.
        fence(Ordering::Release);
        true
    }

    /// Takes the lock, which is held or poisoned; whether its poison is to go.
    #[cold]
    fn take_slow(&self, me: Id, purpose: Purpose, until: Deadline) -> Result<bool> {
        if self.lock.take(me, until, false)? != Outcome::OwnerDied {
            return Ok(false);
        }
        let is_reading = || {
            self.borrow.state.load(Ordering::Relaxed) & KIND == READING
                || testing::is_broken(Broken::DeadHoldersOnlyRead)
        };
        if !purpose.takes_all() && !is_reading() {
            return Err(Error::simple(ErrorKind::OwnerDied));
        }
        let Outcome::Adopted(dead) = self.lock.take(me, until, true)? else { return Ok(false) };
        let state = self.borrow.state.load(Ordering::Relaxed);
        // The very thread that the lock names only read the data, and did nothing else under the lock.
        let only_read = dead.is_some_and(|dead| state == READING | dead.to_bits())
            || testing::is_broken(Broken::DeadHoldersOnlyRead);
        let overwrites = purpose == Purpose::Overwrite && !self.is_given;
        if only_read || overwrites || purpose == Purpose::Recover {
            return Ok(true);
        }
        if purpose.takes_all() {
            return Ok(false);
        }
        self.lock.give(me, false);
        Err(Error::simple(ErrorKind::OwnerDied))
    }

    /// Takes the lock again for the guard of a thread that let go of it, and begins anew if `check` finds nothing against it. In an
    /// error, too, the calling thread holds the lock then.
    fn take_again<R>(&self, me: Id, check: impl FnOnce() -> Result<R>) -> Result<R> {
        if !self.lock.try_take(me)
            && let Err(error) = self.take_slow(me, Purpose::Guard, Deadline::NEVER)
        {
            self.lock.take(me, Deadline::NEVER, true)?;
            return Err(error);
        }
        let found = self.admit(me, false, Purpose::Guard, check)?;
        self.begin(me, true, Purpose::Guard);
        Ok(found)
    }

    /// Whether a live thread has a guard, or runs a closure on the data.
    pub(crate) fn is_borrowed(&self) -> bool {
        let state = self.borrow.state.load(Ordering::Relaxed);
        state != 0 && state & KIND == GUARD && self.lock.is_locked()
    }

    /// Whether the data may be half written, as far as can be seen without the lock.
    pub(crate) fn is_left_half_written(&self) -> bool {
        let state = self.borrow.state.load(Ordering::Relaxed);
        state & KIND == POISONED
            || (state != 0 && state & KIND != READING && !self.lock.is_locked())
    }

    /// Under the lock, between two sections: whether the data is not whole.
    fn is_half_written(&self) -> bool {
        let state = self.borrow.state.load(Ordering::Relaxed);
        state != 0 && state & KIND != READING
    }

    /// Poisons the data. Under the lock.
    pub(crate) fn poison(&self) {
        self.borrow.state.store(POISONED, Ordering::Relaxed);
    }
}

/// Step 2, when the state is not 0.
#[cold]
fn judge(state: u32, me: Id, is_nested: bool, purpose: Purpose) -> Result<()> {
    if state & KIND == READING {
        return Ok(());
    }
    if state & KIND != POISONED && is_nested && state & !KIND == me.to_bits() {
        return Err(match purpose {
            Purpose::Claim => Error::of(
                ErrorKind::Busy,
                "the whole array is borrowed through a guard of this thread: drop it before a part is claimed",
            ),
            _ => Error::simple(ErrorKind::AlreadyBorrowed),
        });
    }
    if purpose.takes_all() || testing::is_broken(Broken::HalfWrittenIgnored) {
        Ok(())
    } else {
        Err(half_written())
    }
}

/// The data is not whole.
#[cold]
pub(crate) fn half_written() -> Error {
    Error::of(
        ErrorKind::OwnerDied,
        "a process died, or a thread panicked, while it wrote to the data, which may be half written: call recover() to repair it, or write the whole of it",
    )
}

/// The calling thread may touch the data until this is dropped. No user code runs meanwhile.
pub(crate) struct Section<'a> {
    guarded: &'a Guarded,
    me: Id,
    is_nested: bool,
    clear: bool,
    is_begun: bool,
    not_send: PhantomData<*const ()>,
}

impl<'a> Section<'a> {
    /// Leaves the data poisoned, which [`Guarded::poison`] has done meanwhile.
    pub(crate) fn leave_poisoned(&mut self) {
        self.is_begun = false;
    }

    /// Makes a hold of it, under which user code may run.
    #[inline]
    pub(crate) fn hold(self) -> Result<Hold<'a>> {
        self.guarded.lock.begin_hold(self.is_nested)?;
        let section = core::mem::ManuallyDrop::new(self);
        Ok(Hold {
            guarded: section.guarded,
            me: section.me,
            was_panicking: thread::is_panicking(),
            is_spoiled: false,
            not_send: PhantomData,
        })
    }
}

impl Drop for Section<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.is_begun {
            // ORDERING(half written): Release: after the last byte of the data (I2).
            self.guarded.borrow.state.store(0, Ordering::Release);
        }
        if !self.is_nested {
            self.guarded.lock.give(self.me, self.clear);
        }
    }
}

/// The calling thread has the data borrowed, and counts as a holder of the lock, until [`Hold::end`].
pub(crate) struct Hold<'a> {
    guarded: &'a Guarded,
    me: Id,
    was_panicking: bool,
    /// It let go of the data and could not have them back: it holds the lock alone.
    is_spoiled: bool,
    not_send: PhantomData<*const ()>,
}

impl Hold<'_> {
    /// Whether it holds the lock alone, without the data.
    #[inline]
    pub(crate) fn is_spoiled(&self) -> bool {
        self.is_spoiled
    }

    /// The number of the lock, if the calling thread may let go of it: nobody else's guard, and no other one under the same lock.
    pub(crate) fn may_let_go(&self) -> Result<u32> {
        if !self.is_mine() {
            return Err(Error::simple(ErrorKind::Foreign));
        }
        self.guarded.lock.check_lent_beside(1)?;
        Ok(self.guarded.lock.index())
    }

    /// Gives the data back, after `write` has written to it what is to be written, and the lock at every depth.
    pub(crate) fn let_go(&mut self, write: impl FnOnce()) -> Depth {
        if !self.is_spoiled {
            write();
            // ORDERING(half written): as for a section.
            self.guarded.borrow.state.store(0, Ordering::Release);
        }
        self.guarded.lock.let_go_of(self.me)
    }

    /// Takes the lock again, as deep as it was, and the data, if `check` finds nothing against it.
    pub(crate) fn take_again<R>(
        &mut self,
        depth: Depth,
        check: impl FnOnce() -> Result<R>,
    ) -> Result<R> {
        let found = self.guarded.take_again(self.me, check);
        self.is_spoiled = found.is_err();
        self.guarded.lock.deepen_to(depth, self.is_spoiled);
        found
    }

    /// False in a forked child that inherited it: nothing is borrowed there.
    #[inline]
    pub(crate) fn is_mine(&self) -> bool {
        is_me(self.me)
    }

    /// Gives the data back, after `write` has written to it what is to be written; a panic that goes through it leaves the data
    /// as it is, and poisoned. The one thing to be done when a guard is dropped.
    #[inline]
    pub(crate) fn end(&self, write: impl FnOnce()) {
        if !self.is_mine() {
            return;
        }
        if self.is_spoiled {
            return self.guarded.lock.end_hold(self.me, true);
        }
        let is_broken = thread::is_panicking() && !self.was_panicking;
        if !is_broken {
            write();
        }
        // ORDERING(half written): as for a section.
        let state = if is_broken { POISONED } else { 0 };
        self.guarded.borrow.state.store(state, Ordering::Release);
        self.guarded.lock.end_hold(self.me, is_broken);
    }
}
