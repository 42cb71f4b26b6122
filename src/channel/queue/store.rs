//! What the records of a queue need: its object and block, its chunks, and who is on the other side.
//!
//! # The queue's block
//!
//! ```text
//! 0    128  the tail line ([`crate::raw::records`])
//! 128       name of the message type, its length first; never written after the start
//! ```

use super::joinable::leases::{self, Leases};
use crate::channel::tag::TypeTag;
use crate::error::{Error, ErrorKind, Result};
use crate::handle::{self, CONSUMER, Found, ObjectRef, PRODUCER};
use crate::liveness::{Id, Liveness};
use crate::memory::walk::{Met, Walker, register};
use crate::memory::{Block, Memory, Object};
use crate::raw::records::{
    self, CHUNK_BYTES, ChunkBlock, HeadLine, NamedBlock, RecordHead, Records, Side, Store,
    TailLine, Walk, after_chunk,
};
use crate::sys::atomic::{AtomicU32, Ordering, fence};
use crate::world::{Kind, World};
use std::sync::Arc;

/// Bytes of the queue's block.
const BLOCK_BYTES: usize = 512;
const NAME_AT: usize = 128;
const NAME_MOST: usize = 256;
/// Which word of the queue's object holds its position: the head.
const FLOOR: usize = 0;

/// One handle's side of the memory of a queue.
pub(super) struct QueueStore {
    pub(super) reference: Arc<ObjectRef>,
    /// The world's, at hand for every call.
    liveness: &'static Liveness,
    pub(super) roles: u32,
    tail: &'static TailLine,
    /// The alarm epoch at which the other ends were last seen alive; 0: never.
    epoch: AtomicU32,
    /// Where tasks stand that were taken, if this is a queue of tasks.
    pub(super) leases: Option<Leases<'static>>,
    /// The alarm epoch at which the tasks of the dead were given back last; 0: never.
    pub(super) reaped: AtomicU32,
}

impl QueueStore {
    fn world(&self) -> &'static World {
        self.reference.world
    }

    /// A number that changes when a process died, or an end went.
    #[inline]
    pub(super) fn now(&self) -> u32 {
        let gone = self.tail.ends_gone.load(Ordering::Relaxed);
        self.liveness.epoch().wrapping_add(gone).wrapping_add(1)
    }

    /// The same for whoever looks for the dead after it: who is dead at this number is seen to be dead.
    pub(super) fn now_before_looking(&self) -> u32 {
        let now = self.now();
        // ORDERING(alarm): Acquire, pairs with the SeqCst in `Sleepers::raise`; the marks of the dead come before the epoch. Without
        // it a sleeper could have acknowledged an epoch for which it has looked too early.
        fence(Ordering::Acquire);
        now
    }

    /// Gives a block to the queue until the head is past `position`.
    pub(super) fn give_until(&self, block: &Block, position: u32) {
        block.give_until(self.reference.id, FLOOR, position);
    }
}

impl Store for QueueStore {
    #[inline]
    fn liveness(&self) -> &'static Liveness {
        self.liveness
    }

    fn chunk(&self, id: u32) -> Result<ChunkBlock> {
        chunk(&self.world().memory, id)
    }

    fn new_chunk(&self, me: Id, until: u32) -> Result<ChunkBlock> {
        let memory = &self.world().memory;
        let block = memory.alloc_for_message(CHUNK_BYTES, me)?;
        self.give_until(&block, until);
        chunk(memory, block.id())
    }

    fn free_chunk(&self, left: ChunkBlock) {
        let memory = &self.world().memory;
        if let Ok(block) = memory.block(left.id) {
            // A sweep may have freed it since, and somebody else may have it by now.
            memory.free(block.in_life(left.life));
        }
    }

    #[inline]
    fn has_other(&self) -> bool {
        self.leases.is_some_and(|leases| {
            leases.may_be_returned() || self.reaped.load(Ordering::Relaxed) != self.now()
        })
    }

    fn may_come_back(&self) -> bool {
        // In doubt nothing comes: whoever takes is told what is damaged.
        self.leases.is_some_and(|leases| !leases.is_shut() && leases.has_open().unwrap_or(false))
    }

    fn is_gone(&self, side: Side) -> bool {
        // A handle with both roles keeps the queue open; the others exist only where ends are counted.
        if self.was_there(side) {
            return false;
        }
        let now = self.now_before_looking();
        let found = self.reference.find_role(role_of(side));
        if found == Found::InProcess {
            // Until the next alarm: there it ends only with one.
            self.epoch.store(now, Ordering::Relaxed);
        }
        found == Found::Nowhere
    }

    #[inline]
    fn was_there(&self, side: Side) -> bool {
        self.roles & role_of(side) != 0 || self.epoch.load(Ordering::Relaxed) == self.now()
    }
}

fn role_of(side: Side) -> u32 {
    match side {
        Side::Putters => PRODUCER,
        Side::Takers => CONSUMER,
    }
}

fn chunk(memory: &Memory, id: u32) -> Result<ChunkBlock> {
    let block = memory.block(id)?;
    ChunkBlock::new(id, block.life(), block.link(), block.payload(), block.len())
}

/// What limits a queue.
#[derive(Clone, Copy, Default)]
pub(super) struct Limits {
    /// The most records; 0: no limit.
    pub(super) items: u32,
    /// The most bytes; 0: no limit.
    pub(super) bytes: u64,
    /// If it is a queue of tasks: how often each is delivered at most.
    pub(super) deliveries: Option<u32>,
}

/// Makes an empty queue whose first chunk has the given number.
pub(super) fn make(number: u32, tag: &TypeTag<'_>, limits: Limits) -> Result<Records<QueueStore>> {
    let world = crate::world::world()?;
    let me = world.liveness.me()?;
    let roles = PRODUCER | CONSUMER;
    let reference = ObjectRef::create(world, Kind::Queue, roles)?;
    let block = world.memory.alloc(BLOCK_BYTES, me)?;
    let chunk = world.memory.alloc(CHUNK_BYTES, me)?;
    let table = limits.deliveries.map(|most| leases::make(&world.memory, me, most)).transpose()?;
    block.write(0, &[0; BLOCK_BYTES])?;
    let name = &tag.name.as_bytes()[..tag.name.len().min(NAME_MOST)];
    block.word(NAME_AT)?.store(name.len() as u64, Ordering::Relaxed);
    block.write(NAME_AT + 8, name)?;
    let head: &HeadLine = reference.object.view();
    let tail: &TailLine = block.get(0)?;
    tail.type_hash.store(tag.hash, Ordering::Relaxed);
    records::begin(head, tail, number, chunk.id(), limits.items, limits.bytes);
    head.block.store(block.id(), Ordering::Relaxed);
    if let Some(table) = &table {
        head.leases.store(table.id(), Ordering::Relaxed);
        table.give_for_life(reference.id);
    }
    reference.add_roles(roles)?;
    block.give_for_life(reference.id);
    chunk.give_until(reference.id, FLOOR, after_chunk(number));
    let leases = leases_of(&reference, head)?;
    Ok(with(reference, head, tail, roles, leases))
}

/// A handle with `roles`, which the reference already counts.
pub(super) fn from_reference(reference: Arc<ObjectRef>, roles: u32) -> Result<Records<QueueStore>> {
    let head: &HeadLine = reference.object.view();
    let block = reference.world.memory.block(head.block.load(Ordering::Relaxed))?;
    let leases = leases_of(&reference, head)?;
    Ok(with(reference, head, block.get(0)?, roles, leases))
}

/// The leases of a queue of tasks.
fn leases_of(reference: &ObjectRef, head: &HeadLine) -> Result<Option<Leases<'static>>> {
    match head.leases.load(Ordering::Relaxed) {
        0 => Ok(None),
        block => Leases::open(&reference.world.memory, block).map(Some),
    }
}

fn with(
    reference: Arc<ObjectRef>,
    head: &'static HeadLine,
    tail: &'static TailLine,
    roles: u32,
    leases: Option<Leases<'static>>,
) -> Records<QueueStore> {
    let walker = Walker { walk, may_carry, may_hold: |_| false, takers: CONSUMER };
    register(Kind::Queue as u32, walker);
    let liveness = reference.world.liveness;
    let (epoch, reaped) = (AtomicU32::new(0), AtomicU32::new(0));
    let store = QueueStore { reference, liveness, roles, tail, epoch, leases, reaped };
    Records::new(store, head, tail)
}

/// Another handle to the same queue, with other roles.
pub(super) fn with_roles(records: &Records<QueueStore>, roles: u32) -> Records<QueueStore> {
    let (head, tail) = records.lines();
    let reference = &records.store.reference;
    // A process that has a handle has a table for its presence bits; only damaged shared memory refuses, and then every call
    // on the new handle says so.
    let _ = reference.add_roles(roles);
    if roles != records.store.roles {
        tail.split.store(1, Ordering::SeqCst);
    }
    with(reference.clone(), head, tail, roles, records.store.leases)
}

/// What a task in hand needs of its queue: no role, which need not be given back.
pub(super) fn without_roles(records: &Records<QueueStore>) -> Records<QueueStore> {
    let (head, tail) = records.lines();
    with(records.store.reference.clone(), head, tail, 0, records.store.leases)
}

/// A handle is dropped. Who waits for a role to end is woken where ends are counted.
pub(super) fn drop_roles(records: &Records<QueueStore>) {
    let (_, tail) = records.lines();
    let ended = records.store.reference.remove_roles(records.store.roles);
    if ended != 0 && tail.split.load(Ordering::SeqCst) != 0 {
        tail.ends_gone.fetch_add(1, Ordering::SeqCst);
        records.notify_all();
        if let Some(leases) = &records.store.leases {
            leases.note_end();
        }
    }
}

/// The name of the message type, as the maker of the queue gave it.
pub(super) fn type_name(records: &Records<QueueStore>) -> Result<String> {
    let (head, _) = records.lines();
    let block = records.store.world().memory.block(head.block.load(Ordering::Relaxed))?;
    let len = (block.word(NAME_AT)?.load(Ordering::Relaxed) as usize).min(NAME_MOST);
    Ok(String::from_utf8_lossy(&block.read(NAME_AT + 8, len)?).into_owned())
}

fn may_carry(object: &'static Object) -> bool {
    object.view::<HeadLine>().may_carry()
}

/// Tells what a queue has.
fn walk(memory: &Memory, object: &'static Object, tell: &mut dyn FnMut(Met)) {
    struct Teller<'a> {
        memory: &'a Memory,
        tell: &'a mut dyn FnMut(Met),
    }

    impl Walk for Teller<'_> {
        fn chunk(&mut self, id: u32) -> Result<ChunkBlock> {
            chunk(self.memory, id)
        }

        fn block(&mut self, id: u32) {
            (self.tell)(Met::Block(id));
        }

        fn message(&mut self, head: RecordHead, payload: &[u8]) -> Result<()> {
            let mut tell = |id, roles| (self.tell)(Met::Reference(id, roles));
            if !head.names_block {
                handle::list_of(payload)?.1.for_each(|(id, roles)| tell(id, roles));
                return Ok(());
            }
            let named = NamedBlock::from_bytes(payload)?;
            let block = self.memory.block(named.id)?;
            handle::read_list(named.len as usize, |from, len| block.read(from, len), tell)
        }
    }

    let head: &HeadLine = object.view();
    let block = head.block.load(Ordering::Relaxed);
    let Ok(tail) = memory.block(block).and_then(|block| block.get::<TailLine>(0)) else { return };
    tell(Met::Block(block));
    let _ = records::walk(head, tail, &mut Teller { memory, tell });
    let leases = head.leases.load(Ordering::Relaxed);
    if leases != 0
        && let Ok(open) = Leases::open(memory, leases)
    {
        let _ = open.walk(leases, head.count(), tell);
    }
}

/// The error of a getter that finds a message of another form.
#[cold]
pub(super) fn other_form(found: records::Form, type_name: &str) -> Error {
    let text = match found {
        records::Form::Bytes => {
            format!("the next message was put as bytes, not as {type_name}: take it with get_bytes")
        }
        records::Form::Typed => {
            format!("the next message was put as {type_name}, not as bytes: take it with get")
        }
    };
    Error::of(ErrorKind::Mismatch, text)
}
