//! Whatever stands in a pipe's words: a typed error or a message, in time, and no other pipe is harmed. What the names of blocks
//! are by chance may be another test's: so these tests are alone.

use super::store::Store;
use super::{Pipe, Receiver, Sender, outlet, records};
use crate::error::ErrorKind;
use crate::memory::walk::Met;
use crate::sys::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::testing::alone;
use std::time::Duration;

/// Numbers that look random and are the same each time; small ones and near misses come more often.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn word(&mut self, before: u64) -> u64 {
        let random = self.next();
        match random >> 60 {
            0..3 => random,
            3..5 => random >> 40,
            5..7 => random & 0xff_0000_fff8,
            7..9 => before.wrapping_add(8),
            9..11 => before ^ 1 << (random & 63),
            11 => before.wrapping_sub(8),
            12 => before.rotate_left(32),
            13 => 0,
            14 => u64::MAX,
            _ => before.wrapping_add(1 << 32),
        }
    }
}

fn is_typed(kind: ErrorKind) -> bool {
    use ErrorKind::*;
    // Foreign: a handle in a message that no longer says that it carries any.
    matches!(
        kind,
        Corrupted
            | Foreign
            | Timeout
            | Closed
            | Decode
            | Mismatch
            | TooLarge
            | OutOfMemory
            | Empty
            | Full
    )
}

/// One message of each kind, some of them with a handle.
fn fill(sender: &mut Sender<(u32, Option<crate::sync::Lock>)>) {
    let lock = crate::sync::Lock::new().unwrap();
    for n in 0..3 {
        sender.send((n, None)).unwrap();
        sender.send_bytes(&[n as u8; 100]).unwrap();
        sender.send_bytes(&vec![n as u8; INLINE + 1]).unwrap();
        sender.send((n, Some(lock.clone()))).unwrap();
    }
}

const INLINE: usize = records::INLINE;
const SOON: Duration = Duration::from_micros(200);

/// Uses both ends; errors do not matter, hangs, panics and errors of the wrong kind do.
fn use_both(
    sender: &mut Sender<(u32, Option<crate::sync::Lock>)>,
    receiver: &mut Receiver<(u32, Option<crate::sync::Lock>)>,
) {
    for _ in 0..4 {
        let kinds = [
            sender.send_timeout((7, None), SOON).err(),
            sender.send_bytes_timeout(&[1; INLINE + 1], SOON).err(),
            receiver.poll(SOON).err(),
            receiver.recv_timeout(SOON).err(),
            receiver.recv_bytes_timeout(SOON).err(),
            receiver.try_recv_bytes_into(&mut [0; 100]).err(),
            receiver.try_recv_with(|bytes| bytes.len()).err(),
        ];
        for error in kinds.into_iter().flatten() {
            assert!(is_typed(error.kind()), "{error:?}");
        }
        let _ = format!("{sender:?} {receiver:?}");
    }
}

fn check_another(sender: &mut Sender<Vec<u8>>, receiver: &mut Receiver<Vec<u8>>) {
    for len in [0, 100, INLINE, INLINE + 1] {
        sender.send(vec![3; len]).unwrap();
        assert_eq!(receiver.recv().unwrap(), vec![3; len]);
    }
}

/// The words of a pipe that others may write, and those of its first records.
fn words(store: &Store) -> Vec<&'static AtomicU64> {
    let control = store.control;
    let mut words = vec![&control.sender.stamp, &control.receiver.stamp];
    words.extend([&control.sender.large, &control.receiver.large, &control.departures]);
    // Headers, payloads and names of blocks.
    words.extend((0..32).map(|at| store.header_at(at * 8)));
    words
}

fn scribble(chance: &mut Chance, set: impl Fn(&Store, &mut Chance)) {
    let (mut other_sender, mut other_receiver) = Pipe::simplex().unwrap();
    for fresh in [true, false] {
        let (mut sender, mut receiver) = Pipe::simplex().unwrap();
        fill(&mut sender);
        if !fresh {
            // The ends have positions of their own, and the sender is somewhere in the middle.
            receiver.recv().unwrap();
        }
        let store = sender.out.end.store.clone();
        set(&store, chance);
        use_both(&mut sender, &mut receiver);
        drop((sender, receiver));
        check_another(&mut other_sender, &mut other_receiver);
    }
}

#[test]
fn any_word_of_the_ring_is_a_typed_error_or_a_message() {
    alone(|| {
        let mut chance = Chance(0x0123_4567_89ab_cdef);
        let (sender, _receiver) = Pipe::simplex::<u8>().unwrap();
        let count = words(&sender.out.end.store).len();
        for index in 0..count {
            for _ in 0..6 {
                scribble(&mut chance, |store, chance| {
                    let word = words(store)[index];
                    word.store(chance.word(word.load(Ordering::Relaxed)), Ordering::Relaxed);
                });
            }
        }
        // All at once.
        for _ in 0..50 {
            scribble(&mut chance, |store, chance| {
                for word in words(store) {
                    word.store(chance.word(word.load(Ordering::Relaxed)), Ordering::Relaxed);
                }
            });
        }
    });
}

/// The words of 32 bits in front of the ring: hash, list of messages with handles, processors, event counts.
fn small_words(store: &Store) -> Vec<&'static AtomicU32> {
    let [first, last, hash] = store.list_and_type();
    let control = store.control;
    vec![
        hash,
        first,
        last,
        &control.processors[0],
        &control.processors[1],
        control.sender.events.word(),
        control.receiver.events.word(),
    ]
}

#[test]
fn any_word_in_front_of_the_ring_is_a_typed_error_or_harmless() {
    alone(|| {
        let mut chance = Chance(0xfedc_ba98_7654_3210);
        for index in 0..7 {
            for _ in 0..20 {
                scribble(&mut chance, |store, chance| {
                    let word = small_words(store)[index];
                    word.store(
                        chance.word(u64::from(word.load(Ordering::Relaxed))) as u32,
                        Ordering::Relaxed,
                    );
                    // Whoever asks what messages refer to walks the list.
                    crate::world::world().unwrap().memory.sweep().unwrap();
                });
            }
        }
    });
}

#[test]
fn damage_is_named() {
    let (mut sender, mut receiver) = Pipe::simplex::<u8>().unwrap();
    sender.send(1).unwrap();
    let store = sender.out.end.store.clone();
    let header = store.header_at(0);
    let good = header.load(Ordering::Relaxed);
    header.store(good | 0xffff_fff0, Ordering::Relaxed);
    let error = receiver.recv().unwrap_err();
    assert!(error.is_corrupted(), "{error:?}");
    assert!(error.to_string().contains("the header at 0 is 0x1fffffff"), "{error}");
    header.store(good | 9 << 32, Ordering::Relaxed);
    let error = receiver.recv().unwrap_err();
    assert!(error.is_corrupted() && error.to_string().contains("form 9"), "{error}");
    header.store(good, Ordering::Relaxed);
    assert_eq!(receiver.recv().unwrap(), 1);
}

#[test]
fn no_other_block_is_taken_for_a_message() {
    let (mut sender, mut receiver) = Pipe::simplex::<Vec<u8>>().unwrap();
    let (mut other, mut others) = Pipe::simplex::<Vec<u8>>().unwrap();
    sender.send(vec![1; INLINE + 1]).unwrap();
    other.send(vec![2; INLINE + 1]).unwrap();
    let [name, foreign] = [&sender, &other].map(|end| end.out.end.store.header_at(8));
    let good = name.load(Ordering::Relaxed);
    let own = sender.out.end.store.reference().object.payload[0].load(Ordering::Relaxed);
    for id in [foreign.load(Ordering::Relaxed), own, 0, 1, 0xffff_ffff] {
        name.store(id, Ordering::Relaxed);
        let error = receiver.recv().unwrap_err();
        assert!(error.is_corrupted(), "{id:#x}: {error:?}");
    }
    assert_eq!(others.recv().unwrap(), vec![2; INLINE + 1]);
    name.store(good, Ordering::Relaxed);
    assert_eq!(receiver.recv().unwrap(), vec![1; INLINE + 1]);
}

#[test]
fn blocks_of_a_dropped_pipe_go_back_at_once() {
    let memory = &crate::world::world().unwrap().memory;
    let (mut sender, receiver) = Pipe::simplex().unwrap();
    fill(&mut sender);
    let store = sender.out.end.store.clone();
    let mut blocks = Vec::new();
    store.walk(&mut |met| {
        if let Met::Block(id) = met {
            blocks.push(memory.block(id).unwrap());
        }
    });
    // The pipe's own, three large messages and three with a handle.
    assert_eq!(blocks.len(), 7);
    let id = store.reference().id;
    assert!(blocks.iter().all(|block| block.is_of(id)));
    drop((store, receiver, sender));
    assert!(!blocks.iter().any(|block| block.is_of(id)));
}

#[test]
fn memory_of_a_pipe_and_its_messages_goes_with_it() {
    let before = crate::world::world().unwrap().memory.sweep().unwrap();
    for _ in 0..20 {
        let (mut sender, receiver) = Pipe::simplex().unwrap();
        fill(&mut sender);
        drop(receiver);
        drop(sender);
    }
    let after = crate::world::world().unwrap().memory.sweep().unwrap();
    // Other tests of this binary run meanwhile.
    assert!(after < before + (4 << 20), "{before} bytes before, {after} after");
}

#[test]
fn scratch_memory_is_kept_if_it_is_small() {
    let (mut sender, mut receiver) = Pipe::simplex::<(u8, String)>().unwrap();
    for (len, is_kept) in [(100, true), (outlet::KEPT + 1, false)] {
        sender.send((7, "x".repeat(len))).unwrap();
        assert_eq!(sender.out.scratch.capacity() != 0, is_kept, "by the sender, after {len} bytes");
        assert_eq!(receiver.recv().unwrap().1.len(), len);
        assert_eq!(
            receiver.inlet.scratch.capacity() != 0,
            is_kept,
            "by the receiver, after {len} bytes"
        );
    }
}

#[test]
fn messages_with_handles_count_as_large_ones_until_they_are_received() {
    let (mut sender, mut receiver) = Pipe::simplex().unwrap();
    let lock = crate::sync::Lock::new().unwrap();
    let len = records::LARGE_IN_FLIGHT as usize / 2;
    let send = |sender: &mut Sender<_>| sender.try_send(("x".repeat(len), lock.clone()));
    send(&mut sender).unwrap();
    for _ in 0..4 {
        send(&mut sender).unwrap();
        receiver.recv().unwrap();
    }
    send(&mut sender).unwrap();
    assert!(send(&mut sender).unwrap_err().is_full());
}
