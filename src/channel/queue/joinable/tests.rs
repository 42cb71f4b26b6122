//! Slots and the blocks of their tasks, step by step and as a death leaves them; who is told of an end.

use super::leases::{Fate, Lease, Leases};
use super::slots::{Content, Head, Slots, State};
use crate::channel::queue::port::Port;
use crate::channel::queue::{JoinableQueue, store};
use crate::channel::tag::task_tag_of;
use crate::error::ErrorKind;
use crate::liveness::Id;
use crate::memory::{Block, Memory};
use crate::raw::records::{CHUNK_BYTES, after_chunk};
use crate::sync::RLock;
use crate::sys::atomic::Ordering;
use crate::sys::clock::Deadline;

/// More than a slot has room for.
const LARGE: [u8; 1000] = [7; 1000];

fn memory() -> &'static Memory {
    &crate::world::world().unwrap().memory
}

fn me() -> Id {
    memory().liveness.me().unwrap()
}

/// A queue of tasks that are delivered twice at most.
fn queue<T>() -> Port<T> {
    let limits = store::Limits { deliveries: Some(2), ..Default::default() };
    Port::new(store::make(0, &task_tag_of::<T>(), limits).unwrap())
}

fn leases<T>(queue: &Port<T>) -> &Leases<'static> {
    queue.records().store.leases().unwrap()
}

/// The block with the table.
fn table<T>(queue: &Port<T>) -> Block {
    let (head, _) = queue.records().lines();
    memory().block(head.leases.load(Ordering::Relaxed)).unwrap()
}

fn slots<T>(queue: &Port<T>) -> Slots<'static> {
    Slots::open(memory(), table(queue).id()).unwrap()
}

/// Leases a record, the head being at `count`. The head does not move.
fn take<T>(queue: &Port<T>, count: u32, task: &Content<'_>) -> Lease {
    leases(queue).take_record(me(), count, task, false).unwrap()
}

fn read<T>(queue: &Port<T>, lease: &Lease) -> Vec<u8> {
    let mut bytes = Vec::new();
    leases(queue).read(lease, &mut bytes).unwrap();
    bytes
}

/// The blocks that slots name.
fn blocks<T>(queue: &Port<T>) -> Vec<Block> {
    let slots = slots(queue);
    slots.slots().filter_map(|slot| slots.block_of(&slot.unwrap())).collect()
}

/// Whether the block is nobody's, or somebody else's by now.
fn is_free(block: &Block) -> bool {
    block.is_reused() || (holder(block), block.head.owner.load(Ordering::Relaxed)) == (0, 0)
}

fn holder(block: &Block) -> u32 {
    block.head.holder.load(Ordering::Relaxed)
}

/// Its taker died, or gave up, before the head moved.
#[test]
fn a_slot_whose_record_was_not_taken_is_found_and_used_again() {
    type Look = fn(&Leases<'_>, u32);
    let looks: [Look; 3] = [
        |leases, count| assert!(leases.take_again(me(), count, false).unwrap().is_none()),
        |leases, count| leases.reap_at(me(), count).unwrap(),
        |leases, count| leases.shut(me(), count).unwrap(),
    ];
    for look in looks {
        let queue = queue::<()>();
        let first = take(&queue, 0, &Content::Bytes(b"first"));
        take(&queue, 1, &Content::Bytes(b"second"));
        assert_eq!(slots(&queue).table.lowest.load(Ordering::Relaxed), 2);
        look(leases(&queue), 1);
        let second = take(&queue, 1, &Content::Bytes(b"second"));
        assert_eq!(slots(&queue).slots().count(), 2);
        for lease in [first, second] {
            assert!(leases(&queue).has_open().unwrap());
            leases(&queue).finish(me(), &lease).unwrap();
        }
        assert!(!leases(&queue).has_open().unwrap());
    }
}

#[test]
fn the_slot_of_a_task_that_is_done_is_used_again() {
    let queue = queue::<()>();
    for count in 0..3 {
        let lease = take(&queue, count, &Content::Bytes(b"task"));
        leases(&queue).finish(me(), &lease).unwrap();
    }
    assert_eq!(slots(&queue).slots().count(), 1);
}

/// Else a getter would never sleep again.
#[test]
fn that_nothing_is_to_be_delivered_again_is_noted() {
    let queue = queue::<()>();
    let lease = take(&queue, 0, &Content::Bytes(b"task"));
    assert!(leases(&queue).give_back(me(), &lease).unwrap() == Fate::Again);
    assert!(leases(&queue).may_be_returned());
    assert!(leases(&queue).take_again(me(), 1, false).unwrap().is_some());
    assert!(leases(&queue).take_again(me(), 1, false).unwrap().is_none());
    assert!(!leases(&queue).may_be_returned());
}

#[test]
fn the_block_of_a_task_that_ends_is_freed() {
    let task = Content::Bytes(&LARGE);
    // Done: until it is freed it is this thread's alone.
    let done = queue::<()>();
    let lease = take(&done, 0, &task);
    let block = leases(&done).finish(me(), &lease).unwrap().unwrap();
    assert_eq!(holder(&block), me().to_bits());
    assert_eq!(block.head.owner.load(Ordering::Relaxed), 0);
    memory().free(block);
    // Its record was not taken, and the next taker gets the slot.
    let stale = queue::<()>();
    take(&stale, 0, &task);
    let [block] = blocks(&stale)[..] else { panic!("one block") };
    leases(&stale).reap_at(me(), 0).unwrap();
    take(&stale, 0, &Content::Bytes(b"small"));
    assert!(is_free(&block));
    // The queue is shut down: what waits, and what is given back later.
    let shut = queue::<()>();
    let (waits, later) = (take(&shut, 0, &task), take(&shut, 1, &task));
    let [first, second] = blocks(&shut)[..] else { panic!("two blocks") };
    assert!(leases(&shut).give_back(me(), &waits).unwrap() == Fate::Again);
    leases(&shut).shut(me(), 2).unwrap();
    assert_eq!((is_free(&first), is_free(&second)), (true, false));
    assert!(leases(&shut).give_back(me(), &later).unwrap() == Fate::Over);
    assert!(is_free(&second));
}

#[test]
fn a_slot_forgets_the_block_of_a_record_that_another_slot_has() {
    let queue = queue::<()>();
    let large = memory().alloc(LARGE.len(), me()).unwrap();
    large.write(0, &LARGE).unwrap();
    // As a message that waits: the head is not past it.
    queue.records().store.give_until(&large, after_chunk(0));
    let large = Content::Block(large, LARGE.len());
    let first = take(&queue, 0, &Content::Bytes(b"first"));
    // Its record is not taken.
    take(&queue, 1, &large);
    leases(&queue).reap_at(me(), 1).unwrap();
    leases(&queue).finish(me(), &first).unwrap();
    // The first slot has it now, and the next task gets the other one.
    let again = take(&queue, 1, &large);
    let next = take(&queue, 2, &Content::Bytes(b"next"));
    assert_eq!(read(&queue, &next), b"next");
    assert!(leases(&queue).finish(me(), &next).unwrap().is_none());
    assert_eq!(read(&queue, &again), LARGE);
    // A sweep that has seen whose it was in the record sees another holder.
    assert!(blocks(&queue).iter().all(|block| holder(block) == me().to_bits()));
}

/// A page that somebody named before it died, and what stood in its memory before.
#[test]
fn what_stands_in_a_new_page_names_no_block() {
    let queue = queue::<()>();
    let (table, page) = (table(&queue), memory().alloc(CHUNK_BYTES, me()).unwrap());
    let head: &Head = page.get(0).unwrap();
    head.flags.store(0, Ordering::Relaxed);
    head.life.store(table.life(), Ordering::Relaxed);
    head.block.store(table.id(), Ordering::Relaxed);
    page.give_for_life(queue.records().store.reference.id);
    let name = u64::from(page.life()) << 32 | u64::from(page.id());
    slots(&queue).table.names[0].store(name, Ordering::Relaxed);
    let lease = take(&queue, 0, &Content::Bytes(b"task"));
    assert!(!is_free(&table));
    assert_eq!(read(&queue, &lease), b"task");
}

#[test]
fn a_dropped_queue_frees_its_slots() {
    let queue = queue::<()>();
    take(&queue, 0, &Content::Bytes(&LARGE));
    let page = slots(&queue).slot(0).unwrap().page;
    let all = [vec![table(&queue), page], blocks(&queue)].concat();
    assert_eq!(all.len(), 3);
    drop(queue);
    assert!(all.iter().all(is_free));
}

#[test]
fn what_is_in_a_task_is_in_use_until_the_task_ends() {
    for size in [0, 1000, 100_000] {
        let queue = JoinableQueue::<(Vec<u8>, RLock)>::new().unwrap();
        let (lock, kept) = (RLock::new().unwrap(), RLock::new().unwrap());
        let (index, kept_object) = (lock.index(), memory().object(kept.index()).unwrap());
        // A sweep counts anew, under the lock.
        let in_flight = || memory().hold().map(|_held| kept_object.in_flight()).unwrap();
        queue.put((vec![1; size], lock)).unwrap();
        queue.put((vec![2; size], kept.clone())).unwrap();
        // In their slots, and in nobody's hand.
        let tasks = [queue.get().unwrap(), queue.get().unwrap()];
        drop(tasks);
        memory().sweep().unwrap();
        let later: Vec<RLock> = (0..8).map(|_| RLock::new().unwrap()).collect();
        assert!(later.iter().all(|lock| lock.index() != index), "the lock was given away");
        let task = queue.get().unwrap();
        assert_eq!(task.1.index(), index, "in {size} bytes");
        assert_eq!(in_flight(), 1);
        task.done().unwrap();
        queue.get().unwrap().done().unwrap();
        assert_eq!(in_flight(), 0);
    }
}

/// Whoever looks for references under the arena lock must not find one half moved.
#[test]
fn a_task_with_references_is_taken_under_the_arena_lock() {
    let (queue, lock) = (queue::<RLock>(), RLock::new().unwrap());
    let get = || queue.get_task(Deadline::NEVER).unwrap();
    // From now on there is a page.
    queue.put(&lock, Deadline::NOW).unwrap();
    get().done().unwrap();
    queue.put(&lock, Deadline::NOW).unwrap();
    std::thread::scope(|scope| {
        let held = memory().hold().unwrap();
        let getter = scope.spawn(get);
        while !leases(&queue).has_open().unwrap() {
            std::thread::yield_now();
        }
        // It stays in the middle of taking.
        let error = queue.get_task(Deadline::NOW).unwrap_err();
        assert_eq!((error.kind(), queue.records().len()), (ErrorKind::Busy, 1));
        drop(held);
        getter.join().unwrap().done().unwrap();
    });
}

#[test]
fn joiners_are_told_of_the_last_end_and_of_a_shutdown() {
    let last_is_done = |queue: &Port<u32>| {
        queue.get_task(Deadline::NOW).unwrap().done().unwrap();
    };
    let is_shut_down = |queue: &Port<u32>| queue.shutdown_tasks().unwrap();
    for end in [last_is_done, is_shut_down] {
        let queue = queue();
        queue.put(&1, Deadline::NOW).unwrap();
        let (event, ends) = leases(&queue).joiners();
        let before = (event.prepare_wait(), ends.load(Ordering::Relaxed));
        end(&queue);
        assert_ne!(event.word().load(Ordering::Relaxed), before.0, "who sleeps is woken");
        assert_ne!(ends.load(Ordering::Relaxed), before.1, "a keeper sees it by this word");
        queue.join(Deadline::NOW).unwrap();
    }
}

/// Whoever had it left in order, or its alarm is yet to come.
#[test]
fn joiners_are_told_that_the_last_task_has_failed() {
    let queue = queue::<()>();
    take(&queue, 0, &Content::Bytes(b"task"));
    let nobodys = State::Leased { deliveries: 2, owner: 0 };
    slots(&queue).slot(0).unwrap().set(nobodys);
    let event = leases(&queue).joiners().0;
    let prepared = event.prepare_wait();
    leases(&queue).reap_at(me(), 1).unwrap();
    assert_eq!(leases(&queue).failed().unwrap().len(), 1);
    assert_ne!(event.word().load(Ordering::Relaxed), prepared, "who sleeps is woken");
}

/// As in a signal handler that interrupted its own thread.
#[test]
fn who_has_the_lock_already_gives_nothing_back() {
    let queue = queue::<()>();
    let give_back = || queue.records().with_head_lock_surely(|_| ());
    let refused = queue.records().with_head_lock(|_, _| give_back().is_err());
    assert!(refused.unwrap());
    give_back().unwrap();
}
