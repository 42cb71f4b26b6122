//! The objects of a round.

use multiproc::{
    Array, Atomic, Barrier, BoundedSemaphore, Condition, Dict, Event, JoinableQueue, Lock, Manager,
    Proxy, Queue, RLock, Receiver, Result, Semaphore, Sender, Shared, SharedList, Value,
};
use serde::{Deserialize, Serialize};

use super::ledger::Ledger;

/// Room in the queues: seldom enough.
const ROOM: usize = 8;
/// Elements of the arrays.
pub(crate) const LEN: usize = 64;
/// More often a task is not delivered than its workers are killed in a round.
const DELIVERIES: u32 = 1000;

/// One of each, and some twice.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Objects {
    pub(crate) ledger: Shared<Ledger>,
    /// The end of the round.
    pub(crate) stop: Event,
    pub(crate) lock: Lock,
    pub(crate) rlock: RLock,
    pub(crate) one: BoundedSemaphore,
    pub(crate) two: Semaphore,
    pub(crate) event: Event,
    pub(crate) gate: Lock,
    pub(crate) condition: Condition,
    pub(crate) barrier: Barrier,
    pub(crate) small: Queue<(u64, u64)>,
    pub(crate) large: Queue<Vec<u8>>,
    pub(crate) tasks: JoinableQueue<u64>,
    /// Ends of pipes that nobody has in hand, and the number that comes next.
    pub(crate) senders: Queue<(Sender<u64>, u64)>,
    pub(crate) receivers: Queue<(Receiver<u64>, u64)>,
    pub(crate) value: Value<[u64; 4]>,
    pub(crate) number: Atomic<u64>,
    pub(crate) whole: Array<u64>,
    pub(crate) parts: Array<u64>,
    pub(crate) list: SharedList,
    pub(crate) manager: Manager,
    pub(crate) total: Proxy<u64>,
    pub(crate) dict: Dict<u64, Vec<u8>>,
}

impl Objects {
    pub(crate) fn new() -> Result<Self> {
        let manager = Manager::new()?;
        Ok(Self {
            ledger: Shared::new(Ledger::new())?,
            stop: Event::new()?,
            lock: Lock::new()?,
            rlock: RLock::new()?,
            one: BoundedSemaphore::new(1)?,
            two: Semaphore::new(2)?,
            event: Event::new()?,
            gate: Lock::new()?,
            condition: Condition::new()?,
            barrier: Barrier::new(2)?,
            small: Queue::bounded(ROOM)?,
            large: Queue::bounded(ROOM)?,
            tasks: JoinableQueue::builder().max_items(ROOM).max_deliveries(DELIVERIES).build()?,
            senders: Queue::new()?,
            receivers: Queue::new()?,
            value: Value::new([0; 4])?,
            number: Atomic::new(0)?,
            whole: Array::zeroed(LEN)?,
            parts: Array::zeroed(LEN)?,
            list: SharedList::new([super::data::item(0)])?,
            total: manager.host(0)?,
            dict: manager.dict()?,
            manager,
        })
    }
}
