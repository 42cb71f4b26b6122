//! Taking a task: the lease is made under the head lock, and what is in it is decoded after that.

use super::ending::reap;
use super::leases::Lease;
use super::slots::{Content, damaged};
use super::task::{InHand, Task};
use crate::channel::queue::port::{Port, scratch};
use crate::channel::queue::store::{self, QueueStore};
use crate::error::{Error, Result};
use crate::handle;
use crate::liveness::Id;
use crate::message;
use crate::raw::records::{Form, NamedBlock, RecordHead, Special};
use crate::sys::atomic::Ordering;
use crate::sys::clock::Deadline;
use crate::world::Kind;
use core::any::type_name;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Leases what is taken.
struct Taking<'a> {
    store: &'a QueueStore,
    lease: Option<Lease>,
    /// Whether the getter's memory holds the task already, which carries no references.
    is_whole: bool,
    carries: bool,
}

impl Special for Taking<'_> {
    fn take_other(&mut self, me: Id, count: u32) -> Result<bool> {
        let leases = self.store.leases()?;
        let now = self.store.now_before_looking();
        let reaps = self.store.reaped.load(Ordering::Relaxed) != now;
        self.lease = leases.take_again(me, count, reaps)?;
        self.store.reaped.store(now, Ordering::Relaxed);
        Ok(self.lease.is_some())
    }

    fn claims_plain(&self) -> bool {
        true
    }

    fn claim(&mut self, me: Id, count: u32, head: RecordHead, out: &mut Vec<u8>) -> Result<u64> {
        let memory = &self.store.reference.world.memory;
        let content = if head.names_block {
            let named = NamedBlock::from_bytes(out)?;
            let block = memory.block(named.id)?;
            if named.len > block.len() as u64 {
                let text = format!("a task of {} bytes in a block of {}", named.len, block.len());
                return Err(damaged(text));
            }
            Content::Block(block, named.len as usize)
        } else {
            Content::Bytes(out)
        };
        let len = content.len() as u64;
        self.lease = Some(self.store.leases()?.take_record(me, count, &content, head.carries)?);
        self.is_whole = head.is_plain();
        self.carries = head.carries;
        Ok(len)
    }

    fn move_out(&mut self, store: &mut dyn FnMut()) -> Result<()> {
        if !self.carries {
            store();
            return Ok(());
        }
        self.store.reference.world.memory.moving_references(Kind::Queue as u32, store)
    }
}

impl<T: Serialize + DeserializeOwned> Port<T> {
    pub(super) fn get_task(&self, until: Deadline) -> Result<Task<T>> {
        let scratch = &mut *scratch();
        let records = self.records();
        let store = &records.store;
        let me = store.reference.world.liveness.me()?;
        let mut taking = Taking { store, lease: None, is_whole: false, carries: false };
        let other_form = |found| store::other_form(found, type_name::<T>());
        records.take_slow(me, Form::Typed, until, scratch, &mut taking, other_form)?;
        let lease = taking.lease.ok_or_else(|| damaged("nothing was leased".to_owned()))?;
        // From here on whatever goes wrong gives it back.
        let in_hand = InHand::of(store::without_roles(records), lease);
        if taking.is_whole {
            return Ok(Task::of(message::decode(scratch)?, in_hand));
        }
        scratch.clear();
        Ok(Task::of(read(store, &lease, scratch)?, in_hand))
    }

    /// The tasks that failed.
    pub(super) fn failed(&self) -> Result<Vec<T>> {
        let store = &self.records().store;
        reap(self.records())?;
        let failed = self.records().with_head_lock(|_, _| store.leases()?.failed())??;
        failed
            .iter()
            .map(|lease| {
                read(store, lease, &mut scratch()).map_err(|error| {
                    let text = format!("a task that failed cannot be read: {error}");
                    Error::of(error.kind(), text)
                })
            })
            .collect()
    }
}

/// What stands in the slot of a lease.
fn read<T: DeserializeOwned>(
    store: &QueueStore,
    lease: &Lease,
    scratch: &mut Vec<u8>,
) -> Result<T> {
    if !store.leases()?.read(lease, scratch)? {
        return message::decode(scratch);
    }
    let (body, claimed) = handle::open(store.reference.world, scratch)?;
    handle::unpack(claimed, || message::decode(body))
}
