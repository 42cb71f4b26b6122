//! The queue's commit and its event counts: every message is got once, nobody sleeps while there is one (or room), whoever dies.

use super::{check, check_deaths};
use crate::channel::queue::Queue;
use crate::liveness::Id;
use crate::sim;
use crate::sys::atomic::{AtomicU64, Ordering};
use crate::world::{self, World};
use std::rc::Rc;

/// A queue, with a handle for each thread.
pub(super) struct Queues {
    handles: Vec<&'static Queue<u64>>,
    head: &'static [AtomicU64],
    /// Tail, and the lock of the tail.
    tail: [&'static AtomicU64; 2],
    /// How many messages were put and got in the preparation.
    before: u32,
}

/// Where the head line says which block has the tail line.
const BLOCK: usize = 3;
/// Words of the tail line that are used.
const TAIL_WORDS: usize = 17;

/// An empty queue with room for so many messages (0: no limit), and a handle to it for each of `worlds`, each of which has put and
/// got a message.
pub(super) fn queue(worlds: &[&'static World], most_items: usize) -> Queues {
    let builder = Queue::builder();
    let builder = if most_items == 0 { builder } else { builder.max_items(most_items) };
    let queue: &Queue<u64> = sim::keep(builder.build().expect("a queue"));
    let handles: Vec<_> = worlds.iter().map(|world| world::seen_by(queue, world)).collect();
    for (handle, world) in handles.iter().zip(worlds) {
        world::within(world, || {
            put(handle);
            get(handle);
        });
    }
    let head = worlds[0].object();
    let block = head[BLOCK].load(Ordering::Relaxed) as u32;
    let block = worlds[0].memory.block(block).expect("the queue's block");
    let word = |at: usize| block.word(at * 8).expect("a word of the tail line");
    Queues { handles, head, tail: [word(0), word(1)], before: worlds.len() as u32 }
}

impl Queues {
    /// Head line, tail line and the words of some records are used after the preparation, and nothing else of the memory.
    fn name(self, world: &World) -> Queues {
        sim::exist(self.head.as_ptr(), self.head.len());
        sim::exist(self.tail[0], TAIL_WORDS);
        let chunk = world.memory.block(self.head[CHUNK].load(Ordering::Relaxed) as u32);
        let next = self.tail[0].load(Ordering::Relaxed) as u32 as usize - FIRST;
        let word = chunk.and_then(|chunk| chunk.word(next * 8)).expect("a word of a chunk");
        sim::exist(word, 4);
        self
    }

    /// All messages so far were of the preparation.
    pub(super) fn here(mut self) -> Queues {
        self.before = (self.tail[0].load(Ordering::Relaxed) >> 32) as u32;
        self
    }

    /// In which chunk the next message is got, and in which the next is put.
    pub(super) fn chunk_numbers(&self) -> (u32, u32) {
        let number =
            |word: &AtomicU64| (word.load(Ordering::Acquire) as u32).wrapping_sub(1) / 8192;
        (number(&self.head[0]), number(self.tail[0]))
    }

    /// The handle of a thread.
    pub(super) fn of(&self, thread: usize) -> &'static Queue<u64> {
        self.handles[thread]
    }

    /// How many messages were put, and got.
    pub(super) fn counts(&self) -> (u32, u32) {
        let count = |word: &AtomicU64| (word.load(Ordering::Acquire) >> 32) as u32 - self.before;
        (count(self.tail[0]), count(&self.head[0]))
    }

    /// What is stored by now is visible to whoever this thread wakes.
    pub(super) fn peek(&self) {
        self.head[0].peek();
        self.tail[0].peek();
    }

    /// Whether this thread is in the middle of putting or getting.
    pub(super) fn is_held_by(&self, id: Id) -> bool {
        let locks = [&self.head[1], self.tail[1]];
        locks.iter().any(|lock| lock.load(Ordering::Relaxed) as u32 & Id::MASK == id.to_bits())
    }
}

/// Where the head line says which is its chunk of an even number, and the position at which that begins.
const CHUNK: usize = 6;
const FIRST: usize = 8;

/// A queue for as many threads, of which the preparation has used everything once.
pub(super) fn small(worlds: &[&'static World], most_items: usize) -> Rc<Queues> {
    Rc::new(queue(worlds, most_items).name(worlds[0]))
}

/// Puts an empty message.
pub(super) fn put(queue: &Queue<u64>) {
    queue.put_bytes(&[]).expect("put");
}

/// Gets an empty message.
pub(super) fn get(queue: &Queue<u64>) {
    queue.get_bytes().expect("a message");
}

/// Handles to a fresh queue for threads 0, 1 and 2, the last in a process of its own.
fn three(most_items: usize) -> (Vec<&'static World>, Rc<Queues>) {
    let worlds = world::make(&[&[0, 1], &[2]]);
    let queues = small(&[worlds[0], worlds[0], worlds[1]], most_items);
    (worlds, queues)
}

type Use = fn(&Queue<u64>);

/// Runs one closure on each of threads 1 and 2, and the last here.
fn run(queues: &Queues, one: Use, two: Use, here: Use) {
    let (q1, q2) = (queues.of(1), queues.of(2));
    let one = sim::spawn(1, move || one(q1));
    let two = sim::spawn(2, move || two(q2));
    here(queues.of(0));
    sim::join(one);
    sim::join(two);
}

pub(super) fn one_put_one_get() {
    let worlds = world::make(&[&[0, 1]]);
    let queues = small(&[worlds[0], worlds[0]], 0);
    let other = queues.of(1);
    let putter = sim::spawn(1, move || put(other));
    get(queues.of(0));
    sim::join(putter);
    assert_eq!(queues.counts(), (1, 1));
}

pub fn a_message_reaches_its_getter() {
    check("queue, one put and one get", 3, one_put_one_get);
}

pub(super) fn two_getters() {
    let (_, queues) = three(0);
    let twice: Use = |queue| {
        put(queue);
        put(queue);
    };
    run(&queues, get, get, twice);
    assert_eq!(queues.counts(), (2, 2));
}

pub fn two_getters_get_one_each() {
    check("queue, two getters and two messages", 2, two_getters);
}

pub(super) fn two_putters() {
    let (_, queues) = three(0);
    let twice: Use = |queue| {
        get(queue);
        get(queue);
    };
    run(&queues, put, put, twice);
    assert_eq!(queues.counts(), (2, 2));
}

pub fn two_putters_and_one_who_gets_both() {
    check("queue, two putters", 2, two_putters);
}

pub(super) fn room_for_one() {
    let (_, queues) = three(1);
    let twice: Use = |queue| {
        get(queue);
        get(queue);
    };
    run(&queues, put, put, twice);
    assert_eq!(queues.counts(), (2, 2));
}

pub fn room_for_one_lets_both_through() {
    check("queue, room for one", 2, room_for_one);
}

/// One puts while another closes; a third gets all there is before it is told of the end.
pub(super) fn put_and_close() {
    let (_, queues) = three(0);
    let put: Use = |queue| _ = queue.put_bytes(&[]).is_err_and(|error| error.is_closed());
    let close: Use = |queue| queue.close().expect("a lock for a moment");
    let get_all: Use = |queue| while queue.get_bytes().is_ok() {};
    run(&queues, put, close, get_all);
    let (put, got) = queues.counts();
    assert_eq!(put, got, "put behind the end");
}

pub fn nothing_is_put_behind_the_end() {
    check("queue, one puts and one closes", 2, put_and_close);
}

/// One gets the only message that there is room for and puts another, while somebody asks how many there are.
pub(super) fn counted_meanwhile() {
    let worlds = world::make(&[&[0, 1]]);
    let queues = small(&[worlds[0], worlds[0]], 1);
    put(queues.of(0));
    let other = queues.of(1);
    let asker = sim::spawn(1, move || assert!(other.len() <= 1, "more than there is room for"));
    get(queues.of(0));
    put(queues.of(0));
    sim::join(asker);
}

pub fn messages_are_counted_at_one_moment() {
    check("queue, counted meanwhile", 3, counted_meanwhile);
}

/// One who puts (or gets) dies; another puts enough for the getter that is left.
fn someone_dies(steps: u32, victim: Use, one: Use, here: Use) -> bool {
    let (worlds, queues) = three(0);
    let (world, other) = (worlds[0], worlds[1]);
    let died = Rc::new(core::cell::Cell::new(false));
    let (q1, q2, tell) = (queues.of(1), queues.of(2), died.clone());
    let victim = sim::spawn(2, move || {
        let id = other.me();
        tell.set(sim::dying_at(steps, || victim(q2)));
        if tell.get() {
            other.kernel_marks(id);
            world.alarm();
        }
    });
    let one = sim::spawn(1, move || one(q1));
    here(queues.of(0));
    sim::join(one);
    sim::join(victim);
    let (put, got) = queues.counts();
    assert!(put >= got, "{got} of {put} messages");
    died.get()
}

pub(super) fn putter_dies(steps: u32) -> bool {
    someone_dies(steps, put, put, get)
}

pub fn a_putter_that_dies_stops_nobody() {
    check_deaths("queue, a putter dies", 1, putter_dies);
}

pub(super) fn getter_dies(steps: u32) -> bool {
    let twice: Use = |queue| {
        put(queue);
        put(queue);
    };
    someone_dies(steps, get, get, twice)
}

pub fn a_getter_that_dies_stops_nobody() {
    check_deaths("queue, a getter dies", 1, getter_dies);
}
