//! What is done under the semaphore's lock: seats, what the dead held, and all that is COUNTED; see [the protocol](super).

use super::state::{Seat, State};
use super::words::{Far, View};
use crate::error::{Error, ErrorKind, Result};
use crate::liveness::Id;
use crate::raw::lock::Outcome;
use crate::raw::short_lock;
use crate::sys::atomic::{AtomicU64, Ordering};
use crate::sys::clock::Deadline;
use std::time::Duration;

/// How long one waits at least for whoever has the lock: only who is stopped, or gets no processor, has it that long.
const PATIENCE: Duration = Duration::from_millis(100);

/// How an attempt to take a permit ended.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Attempt {
    Taken,
    NoneLeft,
    /// There is one, but no seat, and no block in which to enter it.
    NoEntry,
}

/// What becomes of a permit that its holder wants no longer.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum End {
    Given,
    Forgotten,
}

pub(crate) trait Locked: View {
    /// Takes the lock.
    fn lock(&self, me: Id, until: Deadline) -> Result<()> {
        if self.words().lock.try_lock(me) {
            return Ok(());
        }
        // Others have it for a moment only: that much time is always left.
        let patience = until.later(Deadline::after(PATIENCE));
        match self.words().lock.lock_contended(me, self.liveness(), patience) {
            Outcome::Locked => Ok(()),
            Outcome::Adopted(_) => self.recount().map(drop).inspect_err(|_| {
                // This process cannot see the block: whoever takes a permit next counts again.
                self.words().store(self.words().state().with_stale(true));
                self.words().lock.unlock();
            }),
            Outcome::TimedOut => Err(Error::of(
                ErrorKind::Timeout,
                "another process is in the middle of taking or giving back a permit, and does not go on: if it is stopped, continue or kill it",
            )),
            // A signal handler that interrupted its own thread in here.
            _ => Err(Error::simple(ErrorKind::Deadlock)),
        }
    }

    /// Takes the lock for what must be done; whether it has it.
    #[cold]
    fn lock_to_end(&self) -> bool {
        // In a signal handler that interrupted its own thread in here the permit comes back with the process's end.
        short_lock::lock_surely(self.liveness(), |me| self.lock(me, Deadline::NEVER))
    }

    /// Opens the state, if it need not be COUNTED any longer, and gives the lock back.
    fn unlock(&self) {
        let state = self.words().state();
        if state.is_counted()
            && !state.is_stale()
            && let Ok(Some(far)) = self.far()
            && far.held.load(Ordering::Relaxed) == 0
        {
            self.words().store(state.opened());
        }
        self.words().lock.unlock();
    }

    /// Makes `block` the semaphore's, if it has none; `give` is called just before that. Whether it is.
    fn publish(&self, me: Id, until: Deadline, block: u32, give: impl FnOnce()) -> Result<bool> {
        self.lock(me, until)?;
        let words = self.words();
        let is_wanted = words.block().is_none();
        if is_wanted {
            give();
            // ORDERING(block): the lock orders it for all who read it under the lock; a walk reads the id and nothing more.
            words.block.store(block, Ordering::Release);
        }
        self.unlock();
        Ok(is_wanted)
    }

    /// Whether what the process holds counts no longer.
    fn is_gone(&self, process: u32) -> bool {
        // ORDERING(death): SeqCst in `Registry::state`: what a holder did last comes before its mark.
        Id::from_bits(process).is_none_or(|process| self.liveness().registry.is_gone(process))
    }

    /// The process that a seat is for.
    fn process_in(&self, seat: Seat) -> u32 {
        // ORDERING(seat): Relaxed, behind the lock, or the Acquire in `Words::state`.
        self.words().seat(seat).load(Ordering::Relaxed)
    }

    /// The seat of this process, if it has one.
    #[inline]
    fn seat(&self) -> Option<Seat> {
        self.own_seat().get().copied().or_else(|| self.find_seat())
    }

    /// The same, of which another handle of this process may know.
    #[cold]
    fn find_seat(&self) -> Option<Seat> {
        let seat = Seat::all().find(|&seat| self.process_in(seat) == self.process())?;
        Some(*self.own_seat().get_or_init(|| seat))
    }

    /// The seat of this process, or one that nobody has or who is gone. Under the lock.
    fn take_seat(&self) -> Option<Seat> {
        if let Some(seat) = self.seat() {
            return Some(seat);
        }
        let seat = Seat::all().find(|&seat| self.is_gone(self.process_in(seat)))?;
        self.take_from_dead(seat);
        // ORDERING(seat): Relaxed: the Release in `Words::replace` comes before a permit of this process is seen.
        self.words().seat(seat).store(self.process(), Ordering::Relaxed);
        self.find_seat()
    }

    /// Gives back what a process that is gone held in its seat. Under the lock.
    #[cold]
    fn take_from_dead(&self, seat: Seat) {
        let words = self.words();
        // Nobody else changes the field any more.
        let held = words.state().held(seat);
        if held != 0 && words.change(|state| Some(state.without(seat))).is_some() {
            // A waiter whose check saw the field as it was, and then another process in the seat, is not told by an alarm.
            words.event_count.notify(held);
        }
    }

    /// Gives back what processes that are gone held, and counts how many permits are available. Under the lock.
    #[cold]
    fn recount(&self) -> Result<u32> {
        for seat in Seat::all() {
            if self.words().state().held(seat) != 0 && self.is_gone(self.process_in(seat)) {
                self.take_from_dead(seat);
            }
        }
        let state = self.words().state();
        if !state.is_counted() {
            return Ok(state.count());
        }
        let mut held = 0_u64;
        if let Some(far) = self.far()? {
            for slot in 0..self.liveness().registry.processes() {
                let entry = far.of(slot);
                // ORDERING(forget): Relaxed, behind the load of the dead owner's mark, which came after its stores.
                let (process, count) = split(entry.load(Ordering::Relaxed));
                if count != 0 && self.is_gone(process) {
                    entry.store(0, Ordering::Relaxed);
                } else {
                    held += u64::from(count);
                }
            }
            far.held.store(held.try_into().unwrap_or(u32::MAX), Ordering::Relaxed);
            far.available.store(left(state, held), Ordering::Relaxed);
            self.words().store(state.with_stale(false));
        } else {
            // Only scribbling leaves it COUNTED without a block.
            self.words().store(state.opened());
        }
        Ok(left(state, held))
    }

    /// Takes a permit if there is one. Under the lock.
    fn take(&self) -> Result<Attempt> {
        let words = self.words();
        let seat = self.take_seat();
        loop {
            let state = words.state();
            if self.available_now(state)? == 0 && self.recount()? == 0 {
                return Ok(Attempt::NoneLeft);
            }
            // Counting may have changed it.
            let state = words.state();
            let seat = seat.filter(|&seat| state.has_room(seat));
            if state.is_counted() {
                let Some(far) = self.far()? else { continue };
                self.take_counted(far, state, seat);
                return Ok(Attempt::Taken);
            }
            if let Some(seat) = seat {
                // Others may take the last one, or give some back, in between.
                if state.is_to_be_had(seat) && words.replace(state, state.taken(seat)) {
                    return Ok(Attempt::Taken);
                }
            } else {
                let Some(far) = self.far()? else { return Ok(Attempt::NoEntry) };
                self.begin_counting(far, state);
            }
        }
    }

    /// How many permits are available in this state for sure, without what the dead held. Under the lock.
    fn available_now(&self, state: State) -> Result<u32> {
        if !state.is_counted() || state.is_stale() {
            return Ok(if state.is_stale() { 0 } else { state.count() });
        }
        Ok(self.far()?.map_or(0, |far| far.available.load(Ordering::Relaxed)))
    }

    /// Makes an open state COUNTED, unless somebody interferes. Under the lock.
    fn begin_counting(&self, far: &Far, state: State) {
        // Should this thread die before these caches are right, its successor makes them.
        far.held.store(0, Ordering::Relaxed);
        far.available.store(state.count(), Ordering::Relaxed);
        // ORDERING(event count): a waiter that found none in the open state said before this step that it waits. Whoever gives back
        // under the lock later has a barrier before its check for waiters, or has passed a locked instruction; see the module.
        self.words().replace(state, state.counted());
    }

    /// Takes one of the permits that are available. COUNTED, under the lock.
    fn take_counted(&self, far: &Far, state: State, seat: Option<Seat>) {
        let mut available = far.available.load(Ordering::Relaxed).wrapping_sub(1);
        if let Some(seat) = seat {
            self.words().store(state.taken(seat));
        } else {
            let entry = far.of(self.liveness().this_process().slot());
            let (process, count) = split(entry.load(Ordering::Relaxed));
            let is_own = process == self.process();
            // What another process left there counts no longer: it is gone, as this one has its slot.
            let (own, foreign) = if is_own { (count, 0) } else { (0, count) };
            entry.store(joined(self.process(), own.wrapping_add(1)), Ordering::Relaxed);
            let held = far.held.load(Ordering::Relaxed).wrapping_sub(foreign).wrapping_add(1);
            far.held.store(held, Ordering::Relaxed);
            available = available.wrapping_add(foreign);
        }
        far.available.store(available, Ordering::Relaxed);
    }

    /// Does away with a permit of this process, if it holds one. Under the lock.
    fn end(&self, how: End) {
        let words = self.words();
        let seat = self.seat();
        if let Some(seat) = seat {
            let is_open_and_held = |state: State| !state.is_counted() && state.held(seat) != 0;
            let ended = |state: State| match how {
                End::Given => state.given(seat),
                End::Forgotten => state.forgotten(seat),
            };
            if words.change(|state| is_open_and_held(state).then(|| ended(state))).is_some() {
                return;
            }
        }
        let state = words.state();
        let (true, Ok(Some(far))) = (state.is_counted(), self.far()) else { return };
        let entry = far.of(self.liveness().this_process().slot());
        if self.end_far(far, entry, how) {
            return;
        }
        let Some(seat) = seat.filter(|&seat| state.held(seat) != 0) else { return };
        if how == End::Given {
            words.store(state.given(seat));
            count_up(far, 1);
        } else {
            words.store(state.forgotten(seat));
        }
    }

    /// The same, of a permit that is entered in the block; whether it is.
    fn end_far(&self, far: &Far, entry: &AtomicU64, how: End) -> bool {
        let (process, count) = split(entry.load(Ordering::Relaxed));
        if process != self.process() || count == 0 {
            return false;
        }
        if how == End::Forgotten {
            self.words().store(self.words().state().one_less());
        }
        // ORDERING(forget): Release, pairs with the load in `recount` of whoever adopts the lock in between; the state first.
        entry.store(joined(process, count - 1), Ordering::Release);
        far.held.store(far.held.load(Ordering::Relaxed).wrapping_sub(1), Ordering::Relaxed);
        if how == End::Given {
            count_up(far, 1);
        }
        true
    }

    /// Adds permits, if that makes no more than may exist. Under the lock. If it does, how many there are.
    fn add(&self, permits: u32) -> core::result::Result<(), u32> {
        let words = self.words();
        let most = words.most.load(Ordering::Relaxed);
        let Some(new) = words.change(|state| state.released(permits, most)) else {
            return Err(words.total());
        };
        if new.is_counted()
            && let Ok(Some(far)) = self.far()
        {
            count_up(far, permits);
        }
        Ok(())
    }
}

impl<V: View> Locked for V {}

/// More permits are available.
fn count_up(far: &Far, permits: u32) {
    let available = far.available.load(Ordering::Relaxed);
    far.available.store(available.wrapping_add(permits), Ordering::Relaxed);
}

/// How many permits are available in a COUNTED state of which so many are held outside of it.
fn left(state: State, held: u64) -> u32 {
    u64::from(state.total()).saturating_sub(u64::from(state.held_by_all()) + held) as u32
}

/// The process that an entry names, and how many permits it counts.
fn split(entry: u64) -> (u32, u32) {
    ((entry >> 32) as u32, entry as u32)
}

fn joined(process: u32, count: u32) -> u64 {
    u64::from(process) << 32 | u64::from(count)
}
