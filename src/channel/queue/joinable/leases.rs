//! Leases: where a task stands from the moment at which it is taken until it is done, and who has it.
//!
//! A [record](crate::raw::records) that is taken from a `JoinableQueue` moves into a *slot*, in which it stays for all its
//! deliveries. Nothing is lost by any death: the task is in its record until the head is past it, and in its slot from then on
//! until it is done.
//!
//! # Taking a record, under the head lock
//!
//! 1. If the slot that was filled last is LEASED and has the count of the head, its taker died before the head moved (or gave
//!    up): make it FREE.
//! 2. Find a free slot, in a new page if there is none. If it names a block of its own still, free that.
//! 3. Copy the task into the slot; or into a new block (holder: this thread) that the slot names and that is given to the queue
//!    then. A large task keeps the record's block: this thread becomes its holder, and the block the queue's for life.
//! 4. Write the count, and which slot is filled. Store LEASED.
//! 5. Store the head. *The task is taken.*
//!
//! A slot as in step 1 is no lease: whoever goes through the slots leaves it out, or has done step 1 before.
//!
//! # Delivering again, ending
//!
//! Each under the head lock, by one store of the state. *That is when it happens.* A task that carries references ends under the
//! arena lock, so that whoever asks there sees its references or not. A task that ended gives its block back:
//!
//! 1. The slot counts as one that may be free; the block as its own. This thread becomes its holder. Store FREE.
//! 2. The block has no owner any more; the slot names it no more; it is freed.
//!
//! Who is gone is looked for when the alarm has come since the last time; then its tasks are given back. The look comes behind an
//! Acquire fence after the load of the epoch: else a sleeper could acknowledge an epoch for which it has looked too early.
//!
//! # If a process dies
//!
//! | in | the others see |
//! |---|---|
//! | taking, up to 4 | the record, and take it; a new block is free (its holder is dead) or freed by step 2; a page that is named and not counted is taken by the next who needs one |
//! | taking, after 5 | a lease of the dead: delivered again |
//! | a task in hand | the same |
//! | ending, before the store | the same: a task that was all but done is done again |
//! | ending, after the store | a free slot; its block is freed by the next taker of the slot, or is free |
//! | giving back | LEASED, as above, or RETURNED: the alarm wakes whoever waits for it |

use super::slots::{CARRIES, Content, OF_RECORD, Slot, Slots, State, Table, damaged};
use crate::error::Result;
use crate::liveness::{Id, ProcessId};
use crate::memory::walk::Met;
use crate::memory::{Block, Memory};
use crate::raw::event_count::EventCount;
use crate::sys::atomic::{AtomicU64, Ordering};
use crate::world::Kind;

/// A task that this process has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lease {
    index: u32,
    state: State,
}

impl Lease {
    /// How often the task was delivered, this time included.
    pub(crate) fn deliveries(&self) -> u32 {
        match self.state {
            State::Leased { deliveries, .. } => deliveries,
            _ => 0,
        }
    }
}

/// What became of a task that was given back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fate {
    /// It is to be delivered again.
    Again,
    /// It is not: it failed, or was dropped with all others.
    Over,
}

/// A block with an empty table, which this thread holds; each task is delivered `most` times at most.
pub(crate) fn make(memory: &Memory, me: Id, most: u32) -> Result<Block> {
    let block = memory.alloc(size_of::<Table>(), me)?;
    block.write(0, &[0; size_of::<Table>()])?;
    block.get::<Table>(0)?.most.store(most, Ordering::Relaxed);
    Ok(block)
}

/// The leases of a queue.
#[derive(Clone, Copy)]
pub(crate) struct Leases<'a> {
    slots: Slots<'a>,
}

impl<'a> Leases<'a> {
    /// Those in the block with this number, which was given to its queue for life.
    pub(crate) fn open(memory: &'a Memory, block: u32) -> Result<Leases<'a>> {
        Ok(Leases { slots: Slots::open(memory, block)? })
    }

    fn table(&self) -> &'static Table {
        self.slots.table
    }

    fn memory(&self) -> &'a Memory {
        self.slots.memory
    }

    /// Step 1 of taking: what was filled last and is no lease, the head being at `count`.
    fn clear_stale(&self, count: u32) -> Result<()> {
        let Some(index) = self.table().filled.load(Ordering::Relaxed).checked_sub(1) else {
            return Ok(());
        };
        let slot = self.slots.slot(index)?;
        if self.slots.is_stale(&slot, count) {
            self.table().lowest.fetch_min(index, Ordering::Relaxed);
            slot.set(State::Free);
        }
        Ok(())
    }

    /// Leases the record that is about to be taken, the head being at `count`; under its lock, after
    /// [`Leases::take_again`].
    pub(crate) fn take_record(
        &self,
        me: Id,
        count: u32,
        task: &Content<'_>,
        carries: bool,
    ) -> Result<Lease> {
        let slot = self.slots.find_free(me)?;
        if let Some(block) = self.slots.take_block(me, &slot) {
            self.memory().free(block);
        }
        self.slots.fill(me, &slot, task, carries)?;
        slot.head.count.store(count, Ordering::Relaxed);
        let end = slot.index + 1;
        self.table().used.fetch_max(end, Ordering::Release);
        self.table().filled.store(end, Ordering::Relaxed);
        let lease = self.lease(&slot, 1);
        self.table().lowest.store(end, Ordering::Relaxed);
        Ok(lease)
    }

    fn lease(&self, slot: &Slot, deliveries: u32) -> Lease {
        let owner = self.memory().liveness.this_process().to_bits();
        let state = State::Leased { deliveries, owner };
        slot.set(state);
        Lease { index: slot.index, state }
    }

    /// Leases a task that is to be delivered again; under the head lock, the head being at `count`. Those of the dead are given
    /// back first, if `reaps`.
    pub(crate) fn take_again(&self, me: Id, count: u32, reaps: bool) -> Result<Option<Lease>> {
        self.clear_stale(count)?;
        if reaps {
            self.reap(me)?;
        }
        if self.table().returned.load(Ordering::Relaxed) == 0 {
            return Ok(None);
        }
        for slot in self.slots.slots() {
            let slot = slot?;
            if let State::Returned { deliveries } = slot.state() {
                return Ok(Some(self.lease(&slot, deliveries.saturating_add(1))));
            }
        }
        self.table().returned.store(0, Ordering::Relaxed);
        Ok(None)
    }

    /// Gives back what the dead had; under the head lock, the head being at `count`.
    pub(crate) fn reap_at(&self, me: Id, count: u32) -> Result<()> {
        self.clear_stale(count)?;
        self.reap(me)
    }

    fn reap(&self, me: Id) -> Result<()> {
        let mut any_over = false;
        for slot in self.slots.slots() {
            let slot = slot?;
            if let State::Leased { deliveries, owner } = slot.state()
                && ProcessId::from_bits(owner)
                    .is_none_or(|it| self.memory().liveness.registry.is_gone(it))
            {
                any_over |= self.back(me, &slot, deliveries)? == Fate::Over;
            }
        }
        if any_over {
            self.note_end();
        }
        Ok(())
    }

    /// The task is not done, and this process has it no more; under the head lock.
    pub(crate) fn give_back(&self, me: Id, lease: &Lease) -> Result<Fate> {
        let slot = self.leased(lease)?;
        self.back(me, &slot, lease.deliveries())
    }

    fn back(&self, me: Id, slot: &Slot, deliveries: u32) -> Result<Fate> {
        if self.is_shut() {
            if let Some(block) = self.end(me, slot)? {
                self.memory().free(block);
            }
            return Ok(Fate::Over);
        }
        if deliveries >= self.table().most.load(Ordering::Relaxed) {
            slot.set(State::Failed);
            return Ok(Fate::Over);
        }
        self.table().returned.store(1, Ordering::Relaxed);
        slot.set(State::Returned { deliveries });
        Ok(Fate::Again)
    }

    /// The task is done; under the head lock. The block is to be freed.
    pub(crate) fn finish(&self, me: Id, lease: &Lease) -> Result<Option<Block>> {
        let slot = self.leased(lease)?;
        self.end(me, &slot)
    }

    /// The slot of a lease.
    fn leased(&self, lease: &Lease) -> Result<Slot> {
        let slot = self.slots.slot(lease.index)?;
        match slot.state() {
            state if state == lease.state => Ok(slot),
            state => Err(damaged(format!("a task in hand is {state:?}, not {:?}", lease.state))),
        }
    }

    fn end(&self, me: Id, slot: &Slot) -> Result<Option<Block>> {
        self.table().lowest.fetch_min(slot.index, Ordering::Relaxed);
        slot.head.flags.fetch_and(!OF_RECORD, Ordering::Relaxed);
        if slot.has(CARRIES) {
            let mut references = Vec::new();
            self.slots.references(slot, &mut |id, _| references.push(id))?;
            let freed = self.memory().moving_references(Kind::Queue as u32, || {
                slot.set(State::Free);
                for id in references {
                    if let Ok(object) = self.memory().object(id.index)
                        && object.is(id)
                    {
                        object.count_in_flight(false);
                    }
                }
            });
            if freed.is_err() {
                // A thread without a slot has no arena lock. A sweep finds that the references count too much.
                slot.set(State::Free);
            }
        } else {
            slot.set(State::Free);
        }
        Ok(self.slots.take_block(me, slot))
    }

    /// Ends all tasks that wait to be delivered again; nothing is from now on.
    pub(crate) fn shut(&self, me: Id, count: u32) -> Result<()> {
        self.clear_stale(count)?;
        self.table().is_shut.store(1, Ordering::SeqCst);
        for slot in self.slots.slots() {
            let slot = slot?;
            if matches!(slot.state(), State::Returned { .. })
                && let Some(block) = self.end(me, &slot)?
            {
                self.memory().free(block);
            }
        }
        Ok(())
    }

    pub(crate) fn is_shut(&self) -> bool {
        self.table().is_shut.load(Ordering::Relaxed) != 0
    }

    /// Whether there may be a task to deliver again.
    pub(crate) fn may_be_returned(&self) -> bool {
        self.table().returned.load(Ordering::Relaxed) != 0
    }

    /// Whether a task is in hand, or to be delivered again. A task stays in one slot until it ends: so those that were taken
    /// before this call are found, also without the lock.
    pub(crate) fn has_open(&self) -> Result<bool> {
        for slot in self.slots.slots() {
            if matches!(slot?.state(), State::Leased { .. } | State::Returned { .. }) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The tasks that failed. They stay where they are.
    pub(crate) fn failed(&self) -> Result<Vec<Lease>> {
        let mut failed = Vec::new();
        for slot in self.slots.slots() {
            let (index, state) = slot.map(|slot| (slot.index, slot.state()))?;
            if state == State::Failed {
                failed.push(Lease { index, state });
            }
        }
        Ok(failed)
    }

    /// Appends the task of a lease; whether it carries references.
    pub(crate) fn read(&self, lease: &Lease, out: &mut Vec<u8>) -> Result<bool> {
        let slot = self.leased(lease)?;
        self.slots.read_part(&slot, 0, slot.head.len.load(Ordering::Relaxed) as usize, out)?;
        Ok(slot.has(CARRIES))
    }

    /// Tells what the queue has here, the head being at `count`; see [`crate::memory::walk`].
    pub(crate) fn walk(&self, block: u32, count: u32, tell: &mut dyn FnMut(Met)) -> Result<()> {
        self.slots.walk(block, count, tell)
    }

    /// The event count of those who join, and the word that says how often a task ended.
    pub(crate) fn joiners(&self) -> (&'static EventCount, &'static AtomicU64) {
        (&self.table().joiners, &self.table().ends)
    }

    /// A task has ended: whoever joins checks.
    pub(crate) fn note_end(&self) {
        // ORDERING(event count): SeqCst, a full barrier between the end and the look for waiters.
        self.table().ends.fetch_add(1, Ordering::SeqCst);
        if self.table().joiners.has_waiters() {
            self.table().joiners.notify_all();
        }
    }
}
