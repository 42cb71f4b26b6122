//! What the actors act with: one object of each kind, made by the director and handed to every actor.

use std::sync::atomic::AtomicU64;

use super::board::SEATS;
use super::call_verbs::Calls;
use super::data::Data;
use super::end_verbs::Ends;
use super::journey_verbs::Bag;
use multiproc::raw::Once;
use multiproc::{
    Barrier, BoundedSemaphore, Condition, Event, JoinableQueue, Lock, Queue, RLock, Receiver,
    Semaphore, Sender, Shared, shared_type,
};
use serde::{Deserialize, Serialize};

shared_type! {
    /// Something that is done once, and how often it was.
    #[derive(Debug)]
    pub(crate) struct OnceWords {
        pub(crate) once: Once,
        pub(crate) times: AtomicU64,
    }
}

/// What the actors act with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Props {
    pub(crate) lock: Lock,
    pub(crate) rlock: RLock,
    pub(crate) ignoring_lock: Lock,
    pub(crate) ignoring_rlock: RLock,
    pub(crate) semaphore: Semaphore,
    pub(crate) bounded_semaphore: BoundedSemaphore,
    /// In its state is no seat left for a victim.
    pub(crate) crowded_semaphore: Semaphore,
    /// The same, and the director has more permits of it than fit into the state.
    pub(crate) counted_semaphore: Semaphore,
    /// As the crowded one, but nobody has made its block yet.
    pub(crate) blockless_semaphore: Semaphore,
    pub(crate) event: Event,
    pub(crate) condition: Condition,
    pub(crate) once: Shared<OnceWords>,
    /// For three.
    pub(crate) barrier: Barrier,
    /// The queue of each [`Kind`].
    pub(crate) small: Queue<(u64, u64)>,
    pub(crate) bounded: Queue<(u64, u64)>,
    pub(crate) raw: Queue<u64>,
    pub(crate) big: Queue<Vec<u8>>,
    pub(crate) big_bounded: Queue<Vec<u8>>,
    pub(crate) busy: Queue<(u64, u64)>,
    pub(crate) pages: Queue<u64>,
    pub(crate) in_place: Queue<u64>,
    pub(crate) tasks: JoinableQueue<Vec<u8>>,
    /// Handles to the queue of tasks of a point, for the actor that takes them next.
    pub(crate) task_queues: Queue<JoinableQueue<Vec<u8>>>,
    /// For each seat, the ends that its actor is handed.
    pub(crate) ends: Vec<Queue<Ends>>,
    /// For each seat, what its actor has for ends on a journey.
    pub(crate) bags: Vec<Queue<Bag>>,
    /// Ends of pipes on their way.
    pub(crate) senders: Queue<Sender<Vec<u64>>>,
    pub(crate) receivers: Queue<Receiver<Vec<u64>>>,
    pub(crate) data: Data,
    /// Handles to the manager of a point, for the actor that takes them next.
    pub(crate) calls: Queue<Calls>,
}

/// Permits of the semaphores at the start of every point.
pub(crate) const PERMITS: u32 = 2;
/// Permits of the semaphore that is counted which the director has for ever: one more than it can have without a block.
pub(crate) const COUNTED: u32 = 128;
/// Items in the bounded queues.
pub(crate) const BOUND: usize = 2;
/// Nobody dies that often with the same task.
const DELIVERIES: u32 = 1 << 20;
/// Items in the queues for traffic: a putter that runs free fills memory else.
const BUSY: usize = 256;
/// Bytes of a big message: past what a queue takes in line.
pub(super) const BIG: usize = 6000;
/// Bytes of a page: of such records exactly [`PAGES`] fit into a chunk of a queue (`channel/ring.rs`),
/// and the next one begins another.
pub(super) const PAGE: usize = 4088;
pub(crate) const PAGES: usize = 15;
/// What a message that is not as it was put is reported as.
pub(crate) const TORN: u64 = u64::MAX;

/// A semaphore of which the director has one of the four seats, and had so many permits, of which it keeps some for ever.
fn with_seat_of_director(had: u32, keeps: u32) -> multiproc::Result<Semaphore> {
    let semaphore = Semaphore::new(PERMITS + keeps)?;
    semaphore.release(had - keeps)?;
    let mut permits = (0..had).map(|_| semaphore.acquire()).collect::<Result<Vec<_>, _>>()?;
    permits.drain(..keeps as usize).for_each(std::mem::forget);
    permits.into_iter().for_each(multiproc::Permit::forget);
    Ok(semaphore)
}

impl Props {
    pub(crate) fn new() -> multiproc::Result<Self> {
        Ok(Self {
            lock: Lock::new()?,
            rlock: RLock::new()?,
            ignoring_lock: Lock::builder().ignore_owner_death(true).build()?,
            ignoring_rlock: RLock::builder().ignore_owner_death(true).build()?,
            semaphore: Semaphore::new(PERMITS)?,
            bounded_semaphore: BoundedSemaphore::new(PERMITS)?,
            crowded_semaphore: with_seat_of_director(COUNTED, 0)?,
            counted_semaphore: with_seat_of_director(COUNTED, COUNTED)?,
            blockless_semaphore: with_seat_of_director(1, 0)?,
            event: Event::new()?,
            condition: Condition::new()?,
            once: Shared::new(OnceWords { once: Once::new(), times: AtomicU64::new(0) })?,
            barrier: Barrier::new(3)?,
            small: Queue::new()?,
            bounded: Queue::bounded(BOUND)?,
            raw: Queue::new()?,
            big: Queue::new()?,
            big_bounded: Queue::bounded(BOUND)?,
            busy: Queue::bounded(BUSY)?,
            pages: Queue::new()?,
            in_place: Queue::new()?,
            tasks: JoinableQueue::builder().max_items(BUSY).max_deliveries(DELIVERIES).build()?,
            ends: (0..SEATS).map(|_| Queue::new()).collect::<multiproc::Result<_>>()?,
            task_queues: Queue::new()?,
            bags: (0..SEATS).map(|_| Queue::new()).collect::<multiproc::Result<_>>()?,
            senders: Queue::new()?,
            receivers: Queue::new()?,
            data: Data::new()?,
            calls: Queue::new()?,
        })
    }
}

/// Which queue, and in which form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    /// A pair of numbers through serde.
    Small,
    /// The same, at most [`BOUND`] of them.
    Bounded,
    /// Bytes as such.
    Raw,
    /// Bytes that go by a block.
    Big,
    /// The same, at most [`BOUND`] of them.
    BigBounded,
    /// Pairs of numbers, and room for many.
    Busy,
    /// Bytes, [`PAGES`] to a chunk.
    Page,
    /// Bytes that are written and read where they lie.
    InPlace,
    /// Tasks, half of which go by a block.
    Tasks,
}

impl Kind {
    pub(crate) const ALL: [Self; 9] = [
        Self::Small,
        Self::Bounded,
        Self::Raw,
        Self::Big,
        Self::BigBounded,
        Self::Busy,
        Self::Page,
        Self::InPlace,
        Self::Tasks,
    ];

    /// Whether it holds [`BOUND`] messages at most.
    pub(crate) fn is_bounded(self) -> bool {
        matches!(self, Self::Bounded | Self::BigBounded)
    }

    /// How many messages are in it, seen from the calling process.
    pub(crate) fn len(self, props: &Props) -> usize {
        match self {
            Self::Small => props.small.len(),
            Self::Bounded => props.bounded.len(),
            Self::Raw => props.raw.len(),
            Self::Big => props.big.len(),
            Self::BigBounded => props.big_bounded.len(),
            Self::Busy => props.busy.len(),
            Self::Page => props.pages.len(),
            Self::InPlace => props.in_place.len(),
            // Those in hand, too.
            Self::Tasks => usize::from(props.tasks.try_join().is_err()).max(props.tasks.len()),
        }
    }
}
