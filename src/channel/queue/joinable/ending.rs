//! How a task ends or goes back, and who is told.

use super::leases::{Fate, Lease, Leases};
use crate::channel::queue::store::QueueStore;
use crate::error::{Error, ErrorKind, Result};
use crate::raw::records::{Records, Side, Store};
use crate::sys::atomic::Ordering;

/// Gives back what the dead had, if somebody may have died since the last time.
pub(super) fn reap(records: &Records<QueueStore>) -> Result<()> {
    let store = &records.store;
    let now = store.now_before_looking();
    if store.reaped.load(Ordering::Relaxed) == now {
        return Ok(());
    }
    records.with_head_lock(|me, count| store.leases()?.reap_at(me, count))??;
    store.reaped.store(now, Ordering::Relaxed);
    Ok(())
}

/// The task is done.
pub(super) fn finish(records: &Records<QueueStore>, lease: &Lease) -> Result<()> {
    let leases = records.store.leases()?;
    let block = records.with_head_lock(|me, _| leases.finish(me, lease))??;
    if let Some(block) = block {
        records.store.reference.world.memory.free(block);
    }
    note_end(records);
    Ok(())
}

/// The task is not done, and this process has it no more.
pub(super) fn give_back(records: &Records<QueueStore>, lease: &Lease) -> Result<()> {
    let leases = records.store.leases()?;
    match records.with_head_lock_surely(|me| leases.give_back(me, lease))?? {
        Fate::Again => records.notify_takers(1),
        Fate::Over => {
            note_end(records);
            // A thread without a slot cannot find out whether the putters are gone: whoever waits looks.
            records.notify_takers(u32::MAX);
        }
    }
    Ok(())
}

/// A task has ended, or several: whoever joins checks, and whoever waits for tasks, if there are none any more.
pub(super) fn note_end(records: &Records<QueueStore>) {
    if records.len() != 0 {
        return;
    }
    if let Some(leases) = &records.store.leases {
        leases.note_end();
    }
    if records.is_closed() || records.store.is_gone(Side::Putters) {
        records.notify_takers(u32::MAX);
    }
}

impl QueueStore {
    /// The leases of a queue of tasks.
    pub(super) fn leases(&self) -> Result<&Leases<'static>> {
        self.leases.as_ref().ok_or_else(|| Error::simple(ErrorKind::Corrupted))
    }
}
