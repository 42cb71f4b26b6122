//! A queue with one chunk, or with a few: the copies of putting, getting and waiting, without large records, handles and
//! counted ends.

#[allow(unused, private_interfaces, clippy::all, reason = "a copy")]
mod chunk {
    copied!("chunk");
}

pub(crate) mod payload;

use crate::error::{Error, ErrorKind, Result};
use crate::sim;
use crate::sys::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::sys::clock::Deadline;
use crate::testing::{self, Broken};
use crate::world::World;
use crate::world::arena::{self, Block};
use crate::world::cells::{self, Cell, CellId};
use crate::world::news::News;
use crate::world::registry::Id;
use crate::world::wait::Wait;
use crate::world::word_lock::{Outcome, Policy, WordLock};
use chunk::{CHUNK, CHUNK_BYTES, CHUNK_FIRST, Chunk, Found, NEXT, chunk_of, no_room, units};
use std::time::Duration;

const INLINE: usize = 4096;
const PATIENCE: Duration = Duration::from_secs(100);
const MOST_POSITIONS: u32 = 1 << 30;
const FORM: u32 = 0xff;
const NAMES_BLOCK: u32 = 1 << 8;
const CARRIES: u32 = 1 << 9;
const CONSUMER: u32 = 2;
const PRODUCER: u32 = 1;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
enum Form {
    Typed = 1,
}

#[repr(C)]
struct HeadLine {
    head: AtomicU64,
    lock: WordLock,
    room: News,
    tail_seen: AtomicU64,
    chunks: [AtomicU32; 2],
}

#[repr(C)]
struct TailLine {
    tail: AtomicU64,
    lock: WordLock,
    closed: AtomicU32,
    messages: News,
    head_seen: AtomicU64,
    chunks: [AtomicU32; 2],
    bytes_put: [AtomicU64; 2],
    bytes_taken: [AtomicU64; 2],
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Mark(u64);

struct Pace;

impl Pace {
    fn spin(&self, _: &World, _: u32, _: impl Fn() -> bool) -> bool {
        false
    }
}

/// What only records have that no model puts.
struct Parcel;
struct Claimed;

impl Claimed {
    fn uncarry(&self) {}
}

#[derive(Default)]
struct After {
    left: Option<Block>,
    large: Option<(Block, usize)>,
    claimed: Option<Claimed>,
}

/// Which cell has the queue's head.
struct Reference {
    id: CellId,
}

struct Item<'a> {
    form: Form,
    bytes: &'a [u8],
    parcel: Option<&'a Parcel>,
}

/// A handle to the queue, of one process.
pub(crate) struct Ring {
    world: &'static World,
    reference: Reference,
    head: &'static HeadLine,
    tail: &'static TailLine,
    most_items: u32,
    most_bytes: u64,
    message_pace: Pace,
    room_pace: Pace,
    tail_chunk: Found,
    head_chunk: Found,
}

fn damaged(what: String) -> Error {
    Error::of(ErrorKind::Corrupted, what)
}

fn other_form(found: u32, _: Form, _: &str) -> Error {
    damaged(format!("a record has form {found}: it was read before it was written"))
}

#[allow(unused, private_interfaces, clippy::all, reason = "a copy")]
mod copy {
    use super::*;
    copied!("ring");
}

impl Ring {
    /// An empty queue with room for so many messages (0: no limit), and a handle to it for each of `worlds`.
    pub(crate) fn make(worlds: &[&'static World], most_items: u32) -> Vec<Ring> {
        // Of the records only the first few words are used.
        let chunk = Block::held_by(Id::NOBODY, CHUNK_BYTES, |word| word < 4);
        Ring::starting_at(worlds, most_items, chunk, CHUNK_FIRST)
    }

    /// An empty queue that has so many positions left in its first chunk, 3 at most, and memory for so many chunks more.
    pub(crate) fn near_the_end(worlds: &[&'static World], left: u32, more: usize) -> Vec<Ring> {
        arena::open(worlds[0]);
        // Positions that have first words of records, or the mark of the next chunk.
        let last = CHUNK_BYTES / 8 - 3;
        let block = || Block::held_by(Id::NOBODY, CHUNK_BYTES, |word| word >= last || word < 6);
        let chunk = block();
        (0..more).for_each(|_| block().set_holder(None));
        chunk.give_to(CellId::ONLY, CHUNK);
        let rings = Ring::starting_at(worlds, 0, chunk, CHUNK - left);
        assert_eq!(worlds[0].used_blocks(), 1);
        rings
    }

    fn starting_at(
        worlds: &[&'static World],
        most_items: u32,
        chunk: Block,
        start: u32,
    ) -> Vec<Ring> {
        let cell = Cell::new();
        for thread in 0..sim::THREADS {
            sim::as_thread(thread, || cells::ONLY.set(Some(cell)));
        }
        let memory = sim::memory(size_of::<TailLine>() / 8);
        for word in 0..size_of::<TailLine>() / 8 {
            sim::create(memory.wrapping_add(word), 0);
        }
        let head: &'static HeadLine = cell.line();
        // SAFETY: a structure of atomics in memory of atomics.
        let tail: &'static TailLine = unsafe { &*memory.cast::<TailLine>() };
        for word in [&head.head, &head.tail_seen, &tail.tail, &tail.head_seen] {
            word.store(u64::from(start), Ordering::Relaxed);
        }
        for word in [&head.chunks[0], &tail.chunks[0]] {
            word.store(chunk.id(), Ordering::Relaxed);
        }
        let ring = |world: &&'static World| {
            let ring = Ring {
                world,
                reference: Reference { id: CellId::ONLY },
                head,
                tail,
                most_items,
                most_bytes: 0,
                message_pace: Pace,
                room_pace: Pace,
                tail_chunk: Found::default(),
                head_chunk: Found::default(),
            };
            ring.tail_chunk.chunk(chunk.id(), world).expect("the chunk");
            ring.head_chunk.chunk(chunk.id(), world).expect("the chunk");
            ring
        };
        worlds.iter().map(ring).collect()
    }

    /// Puts an empty message.
    pub(crate) fn put(&self) {
        self.put_bytes(&[]);
    }

    /// Gets an empty message.
    pub(crate) fn get(&self) {
        self.get_bytes(Deadline::NEVER);
    }

    pub(crate) fn put_number(&self, number: u64) {
        self.put_bytes(&number.to_le_bytes());
    }

    pub(crate) fn get_number(&self) -> u64 {
        let bytes = self.get_bytes(Deadline::NEVER).expect("a message");
        u64::from_le_bytes(bytes.try_into().expect("a number"))
    }

    /// The first number, if there is one.
    pub(crate) fn try_get_number(&self) -> Option<u64> {
        let bytes = self.get_bytes(Deadline::NOW)?;
        Some(u64::from_le_bytes(bytes.try_into().expect("a number")))
    }

    /// Puts a message, as `put` does it.
    fn put_bytes(&self, bytes: &[u8]) {
        let me = self.world.me().expect("a thread of the model");
        let item = Item { form: Form::Typed, bytes, parcel: None };
        // The first lines of `push`.
        if self.tail.lock.try_lock(me) {
            let put = self.push_at_hand(&item);
            self.tail.lock.unlock(me);
            if put {
                self.tell_of_message();
                return;
            }
        }
        self.push_with(me, &item, None, Deadline::NEVER).expect("put");
    }

    /// Gets a message, as `get` does it.
    fn get_bytes(&self, until: Deadline) -> Option<Vec<u8>> {
        let me = self.world.me().expect("a thread of the model");
        let mut out = Vec::new();
        // The first lines of `pop`.
        if self.head.lock.try_lock(me) {
            let got = self.pop_at_hand(Form::Typed, &mut out);
            self.head.lock.unlock(me);
            if got {
                self.head.room.tell();
                return Some(out);
            }
        }
        match self.pop_slowly(me, Form::Typed, "()", until, &mut out) {
            Ok(_) => Some(out),
            Err(error) if until == Deadline::NOW && error.is_empty() => None,
            Err(error) => panic!("get: {error}"),
        }
    }

    /// In which chunk the next message is got, and in which the next is put.
    pub(crate) fn chunk_numbers(&self) -> (u32, u32) {
        let number = |mark: Mark| chunk_of(mark.position().wrapping_sub(1));
        (number(self.load_head()), number(self.load_tail()))
    }

    /// How many messages were put, and got.
    pub(crate) fn counts(&self) -> (u32, u32) {
        (self.load_tail().count(), self.load_head().count())
    }

    /// What is stored by now is visible to whoever this thread wakes.
    pub(crate) fn peek(&self) {
        self.head.head.peek();
        self.tail.tail.peek();
    }

    /// Whether this thread is in the middle of putting or getting.
    pub(crate) fn is_held_by(&self, id: Id) -> bool {
        [&self.head.lock, &self.tail.lock].iter().any(|lock| lock.owner() == Some(id))
    }

    fn world(&self) -> &'static World {
        self.world
    }

    fn is_deserted_by(&self, _: u32) -> bool {
        false
    }

    fn push_special(&self, _: Id, _: &Item<'_>, _: Option<&Block>, _: Mark) -> Result<bool> {
        unreachable!("no large records in a model")
    }

    #[expect(clippy::too_many_arguments, reason = "as in the package")]
    fn take_special(
        &self,
        _: Id,
        _: Chunk,
        _: u32,
        _: usize,
        _: u32,
        _: &mut Vec<u8>,
        _: &mut Option<Box<After>>,
    ) -> Result<u64> {
        unreachable!("no large records in a model")
    }
}

/// Somebody else who needs memory: takes a block, if one is free, and writes all over it. It is nobody else's meanwhile.
pub(crate) fn scribble(world: &'static World) -> bool {
    let me = world.me().expect("a thread of the model");
    let Ok(block) = world.alloc_for_queue(CHUNK_BYTES, me) else { return false };
    let chunk = Chunk::of(&block).expect("as large as a chunk");
    for position in [CHUNK_FIRST, CHUNK_FIRST + 2, CHUNK - 3, CHUNK - 2, CHUNK - 1] {
        chunk.word(position).expect("in the chunk").store(99 << 32, Ordering::Relaxed);
    }
    for position in [CHUNK_FIRST, CHUNK_FIRST + 2, CHUNK - 3] {
        payload::scribble(block.payload().wrapping_add((position - CHUNK_FIRST) as usize * 8 + 8));
    }
    assert!(block.is_held_by(me), "given to somebody else");
    true
}
