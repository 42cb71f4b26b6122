//! A queue that moves to its next chunk, while others need memory: nobody is given a chunk that is still needed, the chunk
//! that was left comes back, and every message is got once, whoever dies at the change.

use super::queue::{Queues, queue as make};
use super::{check, check_deaths};
use crate::channel::queue::Queue;
use crate::memory::walk::{self, Met};
use crate::memory::{Block, segments};
use crate::raw::records::CHUNK_BYTES;
use crate::sim;
use crate::sync::Lock;
use crate::sys::atomic::Ordering;
use crate::sys::bytes;
use crate::world::{self, Kind, World};
use std::rc::Rc;

type Numbers = &'static Queue<u64>;

/// The positions of a chunk, and the first of them.
const CHUNK: usize = 8192;
const FIRST: usize = 8;
/// Where the head line says which block has the tail line, and which is the chunk of an even number.
const BLOCK: usize = 3;
const EVEN_CHUNK: usize = 6;
/// Bytes of a large record that stands in its chunk.
const LARGE: usize = 4096;

/// An empty queue that has so many positions left in its first chunk, 3 at most, and memory for so many chunks more.
fn near_the_end(worlds: &[&'static World], left: usize, more: usize) -> Rc<Queues> {
    let queues = make(worlds, 0);
    let (queue, world) = (queues.of(0), worlds[0]);
    let mut rest = CHUNK - left - FIRST - worlds.len();
    while rest > 0 {
        let units = rest.min(LARGE / 8 + 1);
        queue.put_bytes(&vec![0; (units - 1) * 8]).expect("room");
        queue.get_bytes().expect("a message");
        rest -= units;
    }
    let blocks: Vec<_> =
        (0..more).map(|_| world.memory.alloc(CHUNK_BYTES, world.me()).expect("memory")).collect();
    blocks.into_iter().for_each(|block| world.memory.free(block));
    // Positions that have first words of records, or the mark of the next chunk.
    world::name_memory(world, |word| !(6..CHUNK_BYTES / 8 - 3).contains(&word));
    Rc::new(queues.here())
}

/// Handles to a fresh queue for threads 0, 1 and 2, the last in a process of its own. The first of its messages fits the
/// chunk that it starts in.
fn queue(left: usize, more: usize) -> (Vec<&'static World>, Rc<Queues>) {
    let worlds = world::make(&[&[0, 1], &[2]]);
    let queues = near_the_end(&[worlds[0], worlds[0], worlds[1]], left, more);
    (worlds, queues)
}

fn put(queue: Numbers, number: u64) {
    queue.put_bytes(&number.to_le_bytes()).expect("put");
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_le_bytes(bytes.try_into().expect("a number"))
}

fn get(queue: Numbers) -> u64 {
    number(&queue.get_bytes().expect("a message"))
}

/// The first number, if there is one.
fn try_get(queue: Numbers) -> Option<u64> {
    match queue.try_get_bytes() {
        Ok(bytes) => Some(number(&bytes)),
        Err(error) => {
            assert!(error.is_empty(), "{error}");
            None
        }
    }
}

/// Somebody else who needs memory: takes a block, if one is free, and writes all over it. It is nobody else's meanwhile.
fn scribble(world: &'static World) -> bool {
    let me = world.me();
    let Ok(block) = world.memory.alloc_for_message(CHUNK_BYTES, me) else { return false };
    let place = |position: usize| (position - FIRST) * 8;
    for position in [FIRST, FIRST + 2, CHUNK - 3, CHUNK - 2, CHUNK - 1] {
        let word = block.word(place(position)).expect("in the chunk");
        word.store(99 << 32, Ordering::Relaxed);
    }
    for position in [FIRST, FIRST + 2, CHUNK - 3] {
        bytes::scribble(block.payload().wrapping_add(place(position) + 8));
    }
    assert_eq!(block.head.holder.peek(), me.to_bits(), "given to somebody else");
    true
}

/// How many chunks are in use.
fn used_chunks(world: &'static World) -> usize {
    world.memory.hold().expect("the arena").sweep();
    let mut used = 0;
    let mut ids = Vec::new();
    segments::for_each_block(|id, _, _, words| {
        if words >= CHUNK_BYTES / 8 {
            ids.push(id);
        }
    });
    for id in ids {
        let block = world.memory.block(id).expect("a block");
        used += usize::from(block.head.listed.load(Ordering::Relaxed) == 0);
    }
    // One is the arena's own.
    used - 1
}

/// Others take what is free and write there; then what is in the queue.
fn rest(world: &'static World, queues: &Queues) -> Vec<u64> {
    while scribble(world) {}
    core::iter::from_fn(|| try_get(queues.of(0))).collect()
}

/// One puts two messages and another gets them; a third takes the chunk that was left, or a free one.
fn one_moves_after_the_other(left: usize, more: usize) {
    let (worlds, queues) = queue(left, more);
    let putting = queues.of(1);
    let putter = sim::spawn(1, move || {
        put(putting, 1);
        put(putting, 2);
    });
    let other = worlds[1];
    let stranger = sim::spawn(2, move || _ = scribble(other));
    assert_eq!(get(queues.of(0)), 1);
    assert_eq!(get(queues.of(0)), 2);
    sim::join(putter);
    sim::join(stranger);
    assert_eq!(queues.chunk_numbers(), (1, 1));
    // Of the queue the chunk it is in now, and what the stranger has.
    assert_eq!(used_chunks(worlds[0]), 2);
    assert!(rest(worlds[0], &queues).is_empty());
}

/// After the first message there is a position left, for the mark of the next chunk.
pub(super) fn with_a_mark() {
    one_moves_after_the_other(3, 2);
}

/// The first message fills the chunk.
pub(super) fn at_the_very_end() {
    one_moves_after_the_other(2, 2);
}

pub fn a_getter_follows_a_putter() {
    check("chunks, the next after a mark", 3, with_a_mark);
    check("chunks, the next at the end", 3, at_the_very_end);
}

/// The getter is slow to free the chunk that it left, and another finds it by a sweep and takes it.
pub(super) fn left_and_taken() {
    let worlds = world::make(&[&[0, 1], &[2]]);
    let queues = near_the_end(&[worlds[0], worlds[0], worlds[1]], 2, 1);
    put(queues.of(0), 1);
    put(queues.of(0), 2);
    assert_eq!(get(queues.of(0)), 1);
    let other = worlds[1];
    let stranger = sim::spawn(2, move || _ = scribble(other));
    assert_eq!(get(queues.of(0)), 2);
    sim::join(stranger);
    assert!(rest(worlds[0], &queues).is_empty());
}

pub fn what_was_taken_meanwhile_is_not_freed() {
    check("chunks, left and taken", 3, left_and_taken);
}

/// Two getters get a message each, the first of a chunk and the first of the next one. The message behind them refers to a lock,
/// and somebody looks for such messages meanwhile.
pub(super) fn walked_meanwhile() {
    // Positions of a large record, and how many of these a chunk has.
    const UNITS: usize = LARGE / 8 + 1;
    const FULL: usize = (CHUNK - FIRST) / UNITS;
    let worlds = world::make(&[&[0, 1, 2]]);
    let world = worlds[0];
    let queue: &Queue<Lock> = sim::keep(Queue::new().expect("a queue"));
    let put = || queue.put_bytes(&[0; LARGE]).expect("room");
    let get = || _ = queue.get_bytes().expect("a message");
    for _ in 0..FULL {
        put();
        get();
    }
    (0..=FULL).for_each(|_| put());
    queue.put(sim::keep(Lock::new().expect("a lock"))).expect("room");
    let words = world.object();
    let block = |id: u64| world.memory.block(id as u32).expect("a block of the queue");
    let word = |block: &Block, record: usize| block.word(record * UNITS * 8).expect("a word");
    let tail = block(words[BLOCK].load(Ordering::Relaxed));
    let first = block(words[EVEN_CHUNK].load(Ordering::Relaxed));
    let second = block(first.link().load(Ordering::Relaxed).into());
    // It would take long to get all of the second chunk: it ends behind its first message, and there are so many fewer.
    let end = word(&first, FULL).load(Ordering::Relaxed);
    word(&second, 1).store(end, Ordering::Relaxed);
    word(&tail, 0).fetch_sub((FULL as u64 - 1) << 32, Ordering::Relaxed);
    world::name_memory(world, |word| word.is_multiple_of(UNITS));
    let object = world.memory.object(0).expect("the queue");
    let getter = sim::spawn(1, get);
    let walker = sim::spawn(2, move || {
        let mut found = 0;
        let _held = world.memory.hold().expect("the arena");
        let walker = walk::of(Kind::Queue as u32).expect("a queue is walked");
        (walker.walk)(&world.memory, object, &mut |met| {
            found += u32::from(matches!(met, Met::Reference(..)));
        });
        assert_eq!(found, 1, "the reference was not found");
    });
    get();
    sim::join(getter);
    sim::join(walker);
    assert_eq!(queue.len(), 1);
}

pub fn a_reference_is_found_behind_those_who_get() {
    check("chunks, walked meanwhile", 2, walked_meanwhile);
}

/// One who puts two messages dies, while another puts one and a third gets one.
pub(super) fn putter_dies(steps: u32) -> bool {
    let (worlds, queues) = queue(3, 2);
    let (world, other) = (worlds[0], worlds[1]);
    let died = sim::keep(core::cell::Cell::new(false));
    let (ours, theirs) = (queues.of(1), queues.of(2));
    let victim = sim::spawn(2, move || {
        let id = other.me();
        died.set(sim::dying_at(steps, || {
            put(theirs, 21);
            put(theirs, 22);
        }));
        if died.get() {
            other.kernel_marks(id);
            world.alarm();
        }
    });
    let putter = sim::spawn(1, move || put(ours, 11));
    let mut got = vec![get(queues.of(0))];
    sim::join(putter);
    sim::join(victim);
    got.extend(rest(world, &queues));
    let own: Vec<_> = got.iter().filter(|&&number| number == 11).collect();
    assert_eq!(own.len(), 1, "{got:?}");
    got.retain(|&number| number != 11);
    assert!(got == [21, 22] || died.get() && (got == [21] || got.is_empty()), "{got:?}");
    died.get()
}

pub fn a_putter_that_dies_at_the_change_loses_nothing_else() {
    check_deaths("chunks, a putter dies", 1, putter_dies);
}

/// One who gets two of three messages dies, while another gets one and takes memory.
pub(super) fn getter_dies(steps: u32) -> bool {
    let (worlds, queues) = queue(3, 2);
    let (world, other) = (worlds[0], worlds[1]);
    for number in 1..=3 {
        put(queues.of(0), number);
    }
    let died = sim::keep(core::cell::Cell::new(false));
    let got = Rc::new(core::cell::RefCell::new(Vec::new()));
    let (theirs, gets) = (queues.of(2), got.clone());
    let victim = sim::spawn(2, move || {
        let id = other.me();
        died.set(sim::dying_at(steps, || {
            for _ in 0..2 {
                let number = get(theirs);
                gets.borrow_mut().push(number);
            }
        }));
        if died.get() {
            other.kernel_marks(id);
            world.alarm();
        }
    });
    let first = get(queues.of(0));
    scribble(world);
    sim::join(victim);
    let rest = rest(world, &queues);
    let mut all = got.take();
    all.push(first);
    all.extend(&rest);
    all.sort_unstable();
    let before = all.len();
    all.dedup();
    assert_eq!(before, all.len(), "got twice");
    // What it died with may be lost: one message.
    assert!(before == 3 || died.get() && before == 2 && rest.len() < 2, "{all:?}");
    assert!(rest.is_sorted(), "{rest:?}");
    died.get()
}

pub fn a_getter_that_dies_at_the_change_loses_one_message() {
    check_deaths("chunks, a getter dies", 3, getter_dies);
}
