//! A queue near the ends of its ranges, its memory, and shared memory that others wrote.
//!
//! Where numbers of blocks may be written over, the test is alone: what they name by chance may be another test's.

use super::Queue;
use super::port::{KEPT, Port, scratch};
use super::store;
use crate::channel::tag::tag_of;
use crate::error::Result;
use crate::raw::records::{CHUNK_BYTES, INLINE};
use crate::sync::RLock;
use crate::sys::atomic::{AtomicU64, Ordering};
use crate::sys::clock::Deadline;
use crate::testing::alone;
use std::collections::BTreeSet;
use std::time::Duration;

/// One-word records of a chunk.
const WORDS: usize = CHUNK_BYTES / 8;
/// The number of the last chunk before positions start from 0 again.
const LAST_CHUNK: u32 = u32::MAX / 8192;

/// A queue whose first chunk has this number.
fn starting_at(number: u32, most_bytes: u64) -> Port<u64> {
    let limits = store::Limits { bytes: most_bytes, ..Default::default() };
    Port::new(store::make(number, &tag_of::<u64>(), limits).unwrap())
}

fn push(port: &Port<u64>, bytes: &[u8]) {
    port.put_bytes(bytes, Deadline::NOW).unwrap();
}

fn pop(port: &Port<u64>) -> Result<Vec<u8>> {
    port.get_bytes(Deadline::NOW)
}

/// Writes over one word of the queue's object.
fn scribble(port: &Port<u64>, word: usize, value: u64) {
    port.records().store.reference.object.payload[word].store(value, Ordering::Relaxed);
}

/// A word of the tail line.
fn tail_word(port: &Port<u64>, word: usize) -> &'static AtomicU64 {
    let block = port.records().lines().0.block.load(Ordering::Relaxed);
    crate::world::world().unwrap().memory.block(block).unwrap().word(8 * word).unwrap()
}

/// A payload that tells its number and its length.
fn payload(number: u32, len: usize) -> Vec<u8> {
    let mut bytes = vec![number as u8; len];
    for (byte, digit) in bytes.iter_mut().zip(number.to_le_bytes()) {
        *byte = digit;
    }
    bytes
}

#[test]
fn positions_wrap_around() {
    let queue = starting_at(LAST_CHUNK - 1, 0);
    let tail = || queue.records().lines().1.tail_position();
    let before = tail();
    for round in 0..40 {
        for number in 0..100 {
            push(&queue, &payload(number + round, 700));
        }
        assert_eq!(queue.records().len(), 100);
        for number in 0..100 {
            assert_eq!(pop(&queue).unwrap(), payload(number + round, 700));
        }
    }
    assert!(tail() < before, "the positions have wrapped");
    assert!(pop(&queue).unwrap_err().is_timeout());
}

#[test]
fn a_backlog_across_the_wrap_survives_a_sweep() {
    let queue = starting_at(LAST_CHUNK, 0);
    let len = |number: u32| if number.is_multiple_of(50) { 20_000 } else { 900 };
    for number in 0..1000 {
        push(&queue, &payload(number, len(number)));
    }
    crate::world::world().unwrap().memory.sweep().unwrap();
    for number in 0..1000 {
        assert_eq!(pop(&queue).unwrap(), payload(number, len(number)));
    }
}

#[test]
fn every_length_at_every_place_of_a_chunk() {
    let queue = starting_at(0, 0);
    let mut number = 0;
    // Lengths that share no factor with the chunk's, and those around the limits.
    for len in [0, 1, 7, 8, 9, 63, 64, 65, 1000, INLINE - 1, INLINE, INLINE + 1] {
        for _ in 0..200 {
            for len in [len, 0] {
                push(&queue, &payload(number, len));
                assert_eq!(pop(&queue).unwrap(), payload(number, len));
                number += 1;
            }
        }
    }
    assert_eq!(queue.records().len(), 0);
}

#[test]
fn an_empty_record_may_be_the_last_of_a_chunk() {
    let queue = starting_at(0, 0);
    // One word each: the records end exactly with the chunk.
    for _ in 0..3 * WORDS {
        push(&queue, b"");
    }
    assert_eq!(queue.records().len(), 3 * WORDS);
    for _ in 0..3 * WORDS {
        assert_eq!(pop(&queue).unwrap(), b"");
    }
    assert_eq!(queue.records().len(), 0);
}

#[test]
fn bytes_are_counted_to_the_last() {
    let queue = starting_at(0, 100);
    push(&queue, &[1; 60]);
    push(&queue, &[2; 40]);
    let full = || queue.put_bytes(&[3], Deadline::NOW).unwrap_err().is_timeout();
    assert!(full() && !queue.records().has_room_for(1));
    assert_eq!(pop(&queue).unwrap().len(), 60);
    push(&queue, &[3; 60]);
    assert!(full());
    assert!(queue.put_bytes(&[3; 101], Deadline::NOW).unwrap_err().is_too_large());
}

#[test]
fn scribbled_records_are_corrupted_not_followed() {
    alone(|| {
        let words =
            [0, 1, u64::MAX - 1, u64::MAX, 1 << 32, 2 << 32 | 0xffff, (1 << 8 | 2) << 32 | 16];
        for word in words {
            let queue = starting_at(0, 0);
            push(&queue, &[0xff; 16]);
            let id =
                queue.records().store.reference.object.payload[4].load(Ordering::Relaxed) as u32;
            let chunk = crate::world::world().unwrap().memory.block(id).unwrap();
            chunk.word(0).unwrap().store(word, Ordering::Relaxed);
            match pop(&queue) {
                Ok(bytes) => assert!(bytes.is_empty(), "{word:#x}: {bytes:?}"),
                Err(error) => {
                    assert!(error.is_corrupted() || error.is_mismatch(), "{word:#x}: {error}")
                }
            }
        }
        for head in [0u64, 7, u64::MAX, 0x5555_5555_5555_5555] {
            let queue = starting_at(0, 0);
            push(&queue, &[1; 16]);
            scribble(&queue, 0, head);
            // Whatever it finds: an answer, and no wait.
            let _ = pop(&queue);
            let _ = queue.records().len();
        }
        for chunk in [0, 1, 1 << 20 | 0xf_ffff, u64::from(u32::MAX)] {
            let queue = starting_at(0, 0);
            push(&queue, &[1; 16]);
            scribble(&queue, 4, chunk);
            assert!(pop(&queue).unwrap_err().is_corrupted());
        }
    });
}

/// Numbers that look random and are the same each time; small ones and near misses come more often.
fn another(chance: &mut u64, before: u64) -> u64 {
    *chance ^= *chance << 13;
    *chance ^= *chance >> 7;
    *chance ^= *chance << 17;
    match *chance >> 60 {
        0..4 => *chance,
        4..6 => *chance >> 40,
        6..8 => before.wrapping_add(8),
        8..11 => before ^ 1 << (*chance & 63),
        11 => before.wrapping_sub(1 << 32),
        12 => before.rotate_left(32),
        13 => 0,
        14 => u64::MAX,
        _ => before.wrapping_add(1 << 32),
    }
}

/// Uses a queue with some messages in it after `set` has changed its words; errors do not matter, hangs, panics and errors of the
/// wrong kind do.
fn use_scribbled(limit: u64, set: impl Fn(&[&AtomicU64])) {
    let queue = starting_at(0, limit);
    let large = vec![2; INLINE + 1];
    for bytes in [&[1; 100][..], &large, &[3; 8]] {
        push(&queue, bytes);
    }
    let object = queue.records().store.reference.object;
    let tail = (0..16).map(|word| tail_word(&queue, word));
    let words: Vec<&AtomicU64> = object.payload.iter().take(6).chain(tail).collect();
    set(&words);
    let soon = || Deadline::after(Duration::from_micros(200));
    for _ in 0..3 {
        let results = [
            queue.put_bytes(&[4; 100], soon()),
            queue.put_bytes(&large, soon()),
            queue.get_bytes(soon()).map(drop),
            queue.get_bytes(Deadline::NOW).map(drop),
            queue.get(soon()).map(drop),
        ];
        for error in results.into_iter().filter_map(Result::err) {
            use crate::error::ErrorKind::*;
            let kind = error.kind();
            let is_typed = matches!(kind, Corrupted | Timeout | Closed | Decode | Mismatch | Busy)
                || matches!(kind, TooLarge | OutOfMemory | Limit | Empty | Full | Deadlock);
            assert!(is_typed, "{error:?}");
        }
        let _ = (queue.records().len(), queue.records().is_closed(), queue.records().most_items());
    }
}

#[test]
fn any_word_of_the_lines_is_a_typed_error_or_harmless() {
    alone(|| {
        let mut chance = 0x0123_4567_89ab_cdef;
        let other = starting_at(0, 0);
        for index in 0..22 {
            for time in 0..8 {
                let number = another(&mut chance, time);
                use_scribbled(time % 2 * 100_000, |words| {
                    let mut chance = number | 1;
                    let word = words[index];
                    word.store(
                        another(&mut chance, word.load(Ordering::Relaxed)),
                        Ordering::Relaxed,
                    );
                });
                push(&other, &[5; 100]);
                assert_eq!(pop(&other).unwrap(), [5; 100]);
            }
        }
    });
}

#[test]
fn dropped_queues_leave_nothing() {
    let world = crate::world::world().unwrap();
    let used = || world.memory.sweep().unwrap();
    // Other tests run beside this one: a leak would grow with every round.
    let before = used();
    for _ in 0..500 {
        let queue = starting_at(0, 0);
        for _ in 0..20 {
            push(&queue, &[1; 10_000]);
        }
    }
    let grown = used().saturating_sub(before);
    assert!(grown < 50 << 20, "{grown} bytes are still in use of at least {}", 500 * 20 * 10_000);
}

/// An object to which only a dropped message referred is free for whoever comes first: the one that drops, or a sweep.
#[test]
fn what_a_dropped_queue_carried_is_freed_once() {
    let memory = &crate::world::world().unwrap().memory;
    let drop_some = || {
        for _ in 0..200 {
            let queue = Queue::new().unwrap();
            for _ in 0..4 {
                queue.put(RLock::new().unwrap()).unwrap();
            }
            drop(queue);
            let locks: Vec<RLock> = (0..8).map(|_| RLock::new().unwrap()).collect();
            let different: BTreeSet<u32> = locks.iter().map(RLock::index).collect();
            assert_eq!(different.len(), locks.len(), "an object was given twice");
        }
    };
    std::thread::scope(|scope| {
        let dropper = scope.spawn(drop_some);
        while !dropper.is_finished() {
            memory.sweep().unwrap();
        }
    });
}

/// A getter reads a large message where it lies, and the queue has it no more: it is the getter's.
#[test]
fn a_message_that_is_read_in_place_is_not_swept_away() {
    let memory = &crate::world::world().unwrap().memory;
    let (queue, others) = (starting_at(0, 0), starting_at(0, 0));
    let sizes = [INLINE + 1, 100_000, 1 << 20];
    for size in sizes {
        push(&queue, &vec![1; size]);
        let read = queue.get_with(
            |bytes| {
                memory.sweep().unwrap();
                for _ in 0..4 {
                    push(&others, &vec![2; size]);
                }
                bytes.iter().all(|&byte| byte == 1)
            },
            Deadline::NOW,
        );
        assert!(read.unwrap(), "somebody else has the block of {size} bytes");
    }
}

/// What stands behind a name in the record is searched as well.
#[test]
fn a_sweep_leaves_what_a_message_refers_to() {
    let memory = &crate::world::world().unwrap().memory;
    for size in [0, INLINE + 1, 100_000] {
        let queue: Queue<(Vec<u8>, RLock)> = Queue::new().unwrap();
        let lock = RLock::new().unwrap();
        let index = lock.index();
        queue.put((vec![1; size], lock)).unwrap();
        memory.sweep().unwrap();
        let later: Vec<RLock> = (0..8).map(|_| RLock::new().unwrap()).collect();
        assert!(later.iter().all(|lock| lock.index() != index), "the lock was given away");
        assert_eq!(queue.try_get().unwrap().1.index(), index, "in {size} bytes");
    }
}

/// The wake was for a message that is still there, and perhaps somebody else sleeps who could take it.
#[test]
fn a_getter_whose_time_is_over_at_the_lock_passes_its_wake_on() {
    let queue = starting_at(0, 0);
    let records = queue.records();
    std::thread::scope(|scope| {
        let getter = scope.spawn(|| queue.get_bytes(Deadline::after(Duration::from_millis(500))));
        while !records.has_waiters().0 {
            std::thread::yield_now();
        }
        let under_lock = records.with_head_lock(|_, _| {
            push(&queue, b"for somebody");
            // Somebody else is about to sleep.
            let prepared = records.messages().prepare_wait();
            assert!(getter.join().unwrap().unwrap_err().is_timeout());
            let now = records.messages().word().load(Ordering::Relaxed);
            assert_ne!(now, prepared, "nobody else is woken");
        });
        under_lock.unwrap();
    });
    assert_eq!(pop(&queue).unwrap(), b"for somebody");
}

/// Whether somebody who waits for room at the queue is woken by `put`.
fn wakes_for_room(queue: &Port<u64>, put: impl FnOnce()) -> bool {
    let room = queue.records().room();
    let prepared = room.prepare_wait();
    put();
    room.word().load(Ordering::Relaxed) != prepared
}

/// One large message less may be room for several small ones.
#[test]
fn a_putter_lets_the_next_one_check_what_room_is_left() {
    let queue = starting_at(0, 100);
    push(&queue, &[1; 100]);
    pop(&queue).unwrap();
    assert!(wakes_for_room(&queue, || push(&queue, &[2; 50])));
    let queue = starting_at(0, 0);
    // Here each message that is got is room for one, and wakes one.
    assert!(!wakes_for_room(&queue, || push(&queue, &[2; 50])));
}

/// The room is still there, and perhaps somebody else sleeps who could use it.
#[test]
fn a_putter_that_fails_passes_its_wake_on() {
    let queue = starting_at(0, 0);
    // Another chunk than there is.
    tail_word(&queue, 5).store(0, Ordering::Relaxed);
    let fails = || assert!(queue.put_bytes(&[1], Deadline::NOW).unwrap_err().is_corrupted());
    assert!(wakes_for_room(&queue, fails));
}

#[test]
fn scratch_memory_is_kept_if_it_is_small() {
    // With a limit in bytes nothing takes the fast path, which needs none.
    let queue = Queue::builder().capacity_bytes(4 << 20).build().unwrap();
    for (len, is_kept) in [(100, true), (KEPT + 1, false)] {
        queue.put((7_u8, "x".repeat(len))).unwrap();
        assert_eq!(scratch().capacity() != 0, is_kept, "after {len} bytes were put");
        assert_eq!(queue.get().unwrap().1.len(), len);
        assert_eq!(scratch().capacity() != 0, is_kept, "after {len} bytes were got");
    }
}

/// A pool may put them once more.
#[test]
fn bytes_that_are_put_with_handles_stay_as_they_were() {
    let (queue, lock, mut bytes) = (starting_at(0, 0), RLock::new().unwrap(), Vec::new());
    let encode = || crate::message::encode::<RLock, _>(&lock, &mut bytes);
    let ((), parcel) = crate::handle::pack(encode).unwrap();
    let before = bytes.clone();
    queue.put_parcel(&mut bytes, &parcel).unwrap();
    assert_eq!(bytes, before);
}
