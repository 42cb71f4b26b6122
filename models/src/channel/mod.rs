//! A queue with one chunk: the copies of putting, getting and waiting, without large records, handles and counted ends.

#[allow(unused, private_interfaces, clippy::all, reason = "a copy")]
mod chunk {
    copied!("chunk");
}

use crate::error::{Error, ErrorKind, Result};
use crate::sim;
use crate::sys::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::sys::clock::Deadline;
use crate::testing::{self, Broken};
use crate::world::World;
use crate::world::arena::{self, Block};
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
    claimed: Option<Claimed>,
}

struct Item<'a> {
    form: Form,
    bytes: &'a [u8],
    parcel: Option<&'a Parcel>,
}

/// A handle to the queue, of one process.
pub(crate) struct Ring {
    world: &'static World,
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
    Error::new(ErrorKind::Corrupted, what)
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
        let chunk = Block::held_by(Id::NOBODY, CHUNK_BYTES, 4);
        let memory = sim::memory((size_of::<HeadLine>() + size_of::<TailLine>()) / 8);
        for word in 0..(size_of::<HeadLine>() + size_of::<TailLine>()) / 8 {
            sim::create(memory.wrapping_add(word), 0);
        }
        // SAFETY: structures of atomics in memory of atomics.
        let head: &'static HeadLine = unsafe { &*memory.cast::<HeadLine>() };
        let tail = memory.wrapping_add(size_of::<HeadLine>() / 8);
        // SAFETY: as above.
        let tail: &'static TailLine = unsafe { &*tail.cast::<TailLine>() };
        let start = u64::from(CHUNK_FIRST);
        for word in [&head.head, &head.tail_seen, &tail.tail, &tail.head_seen] {
            sim::create(word, start);
        }
        for word in [&head.chunks[0], &tail.chunks[0]] {
            sim::create(word, u64::from(chunk.id()));
        }
        let ring = |world: &&'static World| {
            let ring = Ring {
                world,
                head,
                tail,
                most_items,
                most_bytes: 0,
                message_pace: Pace,
                room_pace: Pace,
                tail_chunk: Found::default(),
                head_chunk: Found::default(),
            };
            arena::ONLY.set(Some(chunk));
            ring.tail_chunk.chunk(chunk.id(), world).expect("the chunk");
            ring.head_chunk.chunk(chunk.id(), world).expect("the chunk");
            ring
        };
        worlds.iter().map(ring).collect()
    }

    /// Puts an empty message, as `put` does it.
    pub(crate) fn put(&self) {
        let me = self.world.me().expect("a thread of the model");
        let item = Item { form: Form::Typed, bytes: &[], parcel: None };
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
    pub(crate) fn get(&self) {
        let me = self.world.me().expect("a thread of the model");
        let mut out = Vec::new();
        // The first lines of `pop`.
        if self.head.lock.try_lock(me) {
            let got = self.pop_at_hand(Form::Typed, &mut out);
            self.head.lock.unlock(me);
            if got {
                self.head.room.tell();
                return;
            }
        }
        self.pop_slowly(me, Form::Typed, "()", Deadline::NEVER, &mut out).expect("get");
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

    fn place_in_next(&self, _: Id, _: u32, _: u32, _: u32) -> Result<(Chunk, u32)> {
        unreachable!("one chunk in a model")
    }

    fn first_of_next(&self, _: u32, _: &mut Option<Box<After>>) -> Result<(Chunk, u32, u64)> {
        unreachable!("one chunk in a model")
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

    fn finish(&self, after: After, _: &mut Vec<u8>) -> Result<Option<Claimed>> {
        Ok(after.claimed)
    }
}
