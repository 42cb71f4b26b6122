//! Waiting until every task has ended, and shutting down.

use super::ending::{note_end, reap};
use crate::channel::queue::port::Port;
use crate::channel::queue::store::QueueStore;
use crate::error::{Error, ErrorKind, Result};
use crate::liveness::Wait;
use crate::raw::records::{Records, Side, Store};
use crate::sys::atomic::Ordering;
use crate::sys::clock::Deadline;

/// Whether at some moment during the call no task waited and none was in hand.
fn is_all_done(records: &Records<QueueStore>) -> Result<bool> {
    let leases = records.store.leases()?;
    // A task that was put meanwhile may have gone past: then there are others than before.
    let put = records.puts();
    Ok(records.len() == 0 && !leases.has_open()? && records.puts() == put)
}

impl<T> Port<T> {
    /// Waits until every task that was put is done or has failed.
    pub(super) fn join(&self, until: Deadline) -> Result<()> {
        let records = self.records();
        let store = &records.store;
        let liveness = store.reference.world.liveness;
        let (event, ends) = store.leases()?.joiners();
        liveness.me()?;
        loop {
            reap(records)?;
            if is_all_done(records)? {
                return Ok(());
            }
            let left = records.len();
            if left != 0 && store.is_gone(Side::Takers) {
                let text = format!("{left} tasks are left, and no consumer to take them");
                return Err(Error::of(ErrorKind::Closed, text));
            }
            if until.is_over() {
                return Err(Error::simple(ErrorKind::Timeout));
            }
            let prepared = event.prepare_wait();
            let wait = Wait::Change([Some((ends, ends.load(Ordering::Relaxed))), None]);
            let blocked = || {
                store.reaped.load(Ordering::Relaxed) == store.now()
                    && !is_all_done(records).unwrap_or(true)
            };
            liveness.sleep(event.word(), prepared, until, wait, blocked);
        }
    }

    /// Closes the queue, drops what waits, and what is given back from now on.
    pub(super) fn shutdown_tasks(&self) -> Result<()> {
        let records = self.records();
        let leases = records.store.leases()?;
        // First: of an open queue nothing is dropped. Whoever is killed behind this leaves a closed one.
        records.close()?;
        records.with_head_lock(|me, count| leases.shut(me, count))??;
        self.shutdown()?;
        note_end(records);
        Ok(())
    }
}
