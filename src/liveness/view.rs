//! This process's view of who is alive, and how it makes keepers take a turn.

use crate::error::{Error, ErrorKind, Result};
use crate::liveness::registry::Registry;
use crate::liveness::sleepers::Sleepers;
use crate::liveness::slot::{Id, ProcessId, RegistryTable, Slot};
use crate::liveness::spin::{Pauses, Rhythm, Spin};
use crate::liveness::spot::Spot;
use crate::sys::atomic::{AtomicU32, Ordering};
use crate::sys::futex;
use crate::sys::robust::List;
use crate::testing;
use core::sync::atomic::AtomicBool;

/// This process's view of who is alive. A lock needs this and its word, and nothing else.
pub(crate) struct Liveness {
    pub(crate) registry: Registry,
    pub(crate) sleepers: &'static Sleepers,
    /// This process. Set once, by its keeper, before anyone else sees this.
    process: AtomicU32,
    /// Whether the kernel marks the words of the dead.
    robust: bool,
    /// Whether the kernel wakes the keeper at a death; otherwise the keeper polls.
    waitv: bool,
    pauses: Pauses,
    /// The end of this process is not one in order.
    untidy: AtomicBool,
}

impl Liveness {
    /// A view for a process that has no slot yet.
    pub(crate) fn new(table: &'static RegistryTable, pauses: Pauses) -> Result<Liveness> {
        let robust = !testing::polling() && List::of_this_thread().is_some();
        Ok(Liveness {
            registry: Registry::new(table),
            sleepers: Sleepers::new()?,
            process: AtomicU32::new(0),
            robust,
            waitv: robust && futex::has_wait_any(),
            pauses,
            untidy: AtomicBool::new(false),
        })
    }

    /// Whether this is the calling process's own view, not one inherited by fork.
    #[inline]
    pub(crate) fn is_current(&self) -> bool {
        self.sleepers.is_alive()
    }

    /// This process.
    pub(crate) fn this_process(&self) -> ProcessId {
        // Set before the view is visible; the fallback is an id that nobody has.
        // ORDERING(this process): Acquire, pairs with the Release in `set_process`.
        Id::from_bits(self.process.load(Ordering::Acquire)).unwrap_or(Id::NOBODY)
    }

    pub(crate) fn set_process(&self, process: ProcessId) {
        // ORDERING(this process): Release, pairs with the Acquire in `this_process`; its slot is taken by then.
        self.process.store(process.to_bits(), Ordering::Release);
    }

    /// This process holds something to which it has no handle any more, or could not give something back, or others are to end with
    /// it: its end is a death, at which they look.
    pub(crate) fn be_untidy(&self) {
        self.untidy.store(true, Ordering::SeqCst);
        if self.is_current() {
            // It may have said just now that it leaves. One of the two sees the other.
            self.registry.stay(self.this_process());
        }
    }

    pub(crate) fn is_untidy(&self) -> bool {
        self.untidy.load(Ordering::SeqCst)
    }

    pub(crate) fn is_robust(&self) -> bool {
        self.robust
    }

    pub(crate) fn is_told(&self) -> bool {
        self.waitv
    }

    pub(crate) fn pauses(&self) -> Pauses {
        self.pauses
    }

    /// Begins to poll in a rhythm.
    #[inline]
    pub(crate) fn spin(&self, rhythm: Rhythm) -> Spin {
        Spin::new(self.pauses, rhythm)
    }

    /// The same for what one may have to sleep for on a word that holds a [`Spot`]: without a poll if that is the caller's own.
    pub(crate) fn spin_for(&self, word: u32, rhythm: Rhythm) -> Spin {
        let pauses = self.pauses;
        Spin::new(if Spot::is_here(word) { pauses.for_one_processor() } else { pauses }, rhythm)
    }

    /// Takes the process slot that the parent reserved, or a new one, for the calling thread.
    pub(crate) fn take_process(
        &self,
        list: Option<&List>,
        reserved: Option<ProcessId>,
    ) -> Result<ProcessId> {
        let pid = std::process::id();
        let Some(child) = reserved else { return self.registry.take_process(list, pid) };
        if self.registry.take_reserved(list, child, pid) { Ok(child) } else { Err(given_up()) }
    }

    /// The child runs. From now on its keeper, or until then its parent's, sees its death. One that is `alone` has nothing for
    /// which others wait: whoever waits for it sees its death ([`Liveness::child_ended`]), and the keeper looks now and then.
    pub(crate) fn embryo_started(&self, child: ProcessId, pid: u32, alone: bool) {
        // The child may have written the same already.
        self.registry.set_pid(child, pid);
        if !alone {
            self.bump(self.registry.slot(self.this_process().slot()));
        }
    }

    /// The calling process is the child for which its parent reserved a slot, and runs alone: without a keeper, as long as it
    /// uses nothing shared.
    pub(crate) fn run_alone(&self, child: ProcessId) -> Result<()> {
        if !self.registry.run_reserved(child, std::process::id(), true) {
            return Err(given_up());
        }
        self.set_process(child);
        Ok(())
    }

    /// The calling process runs alone no longer: it is about to take its slot. Its parent's keeper follows it meanwhile.
    pub(crate) fn end_alone(&self, child: ProcessId) {
        let parent = self.registry.state(child.slot()).parent();
        self.registry.run_reserved(child, std::process::id(), false);
        if let Some(parent) = parent {
            self.bump(self.registry.slot(parent.slot()));
        }
    }

    /// A child of this process has ended. If it had not taken its slot, the kernel has marked nothing.
    pub(crate) fn child_ended(&self, child: ProcessId) {
        let state = self.registry.state(child.slot());
        if state.generation() != child.generation() || !state.is_embryo() {
            return;
        }
        if state.is_alone() {
            self.registry.leave_alone(child);
            self.registry.mark(child.slot(), state);
        } else if self.registry.mark(child.slot(), state) {
            // What it was given is free: a death like others.
            self.bump(self.registry.slot(self.this_process().slot()));
        }
    }

    /// The child will not start: its slot and all that was given to it are free again.
    pub(crate) fn embryo_failed(&self, child: ProcessId) {
        let state = self.registry.state(child.slot());
        if state.generation() == child.generation() && state.is_embryo() {
            self.registry.leave(child);
            self.registry.mark(child.slot(), state);
            self.raise_alarm();
        }
    }

    /// Makes every keeper ring: something that sleepers check has changed without a word of theirs changing.
    pub(crate) fn raise_alarm(&self) {
        self.registry.alarms().fetch_add(1, Ordering::SeqCst);
        self.tell_other_keepers();
        self.bump(self.registry.slot(self.this_process().slot()));
    }

    #[inline]
    pub(crate) fn alarms(&self) -> u32 {
        self.registry.alarms().load(Ordering::SeqCst)
    }

    /// Makes all other keepers take a turn.
    pub(crate) fn tell_other_keepers(&self) {
        let own = self.this_process().slot();
        for index in (0..self.registry.processes()).filter(|&index| index != own) {
            if self.registry.state(index).is_alive() {
                self.bump(self.registry.slot(index));
            }
        }
    }

    /// Makes those other keepers take a turn that are to watch the process in slot `index`.
    pub(crate) fn tell_watchers(&self, index: usize) {
        let own = self.this_process().slot();
        for slot in self.watchers(index).filter(|&slot| slot != own) {
            self.bump(self.registry.slot(slot));
        }
    }

    /// Whether the keeper of `process` is to watch slot `index`.
    pub(crate) fn watches(&self, process: ProcessId, index: usize) -> bool {
        self.watchers(index).any(|slot| slot == process.slot())
    }

    /// Whose keepers are to watch slot `index`: the two live processes before it, round and round.
    fn watchers(&self, index: usize) -> impl Iterator<Item = usize> {
        let registry = self.registry;
        let count = registry.processes().max(index + 1);
        let before = (1..count).map(move |step| (index + count - step) % count);
        let is_live = move |&slot: &usize| {
            let state = registry.state(slot);
            state.is_alive() && !state.is_embryo()
        };
        before.filter(is_live).take(2)
    }

    /// Whether this process is among the first `most` of those that live, and how many are before it.
    pub(crate) fn rank_below(&self, most: usize) -> Option<usize> {
        let registry = self.registry;
        let is_live = |&index: &usize| {
            let state = registry.state(index);
            state.is_alive() && !state.is_embryo()
        };
        let own = self.this_process().slot();
        (0..registry.processes()).filter(is_live).take(most).position(|index| index == own)
    }

    fn bump(&self, slot: &Slot) {
        slot.control.fetch_add(1, Ordering::SeqCst);
        futex::wake(&slot.control, 1);
    }

    /// Changes with every general alarm, and with every death as soon as this process's keeper sees it. Tells whether it is
    /// worth checking again.
    #[inline]
    pub(crate) fn epoch(&self) -> u32 {
        self.sleepers.epoch().wrapping_add(self.alarms())
    }

    /// For paths on which each load counts: the word that is 1 unless the process has forked since, and the two of which
    /// [`Liveness::epoch`] is the sum.
    pub(crate) fn watched_words(&self) -> [&'static AtomicU32; 3] {
        let [alive, epoch] = self.sleepers.words();
        [alive, epoch, self.registry.alarms()]
    }

    /// This process knows of a death before its keeper may: it has waited for a child.
    pub(crate) fn saw_death(&self) {
        self.sleepers.raise();
    }
}

#[cold]
fn given_up() -> Error {
    Error::of(ErrorKind::Closed, "the parent process gave this child up before it started")
}

impl core::fmt::Debug for Liveness {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Liveness").field("process", &self.this_process()).finish_non_exhaustive()
    }
}
