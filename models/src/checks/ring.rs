//! The ring: records come in order and whole, whoever dies; nothing stale is taken for a record, and nothing unread is written over.
//!
//! The bytes are few words, so that the records soon meet the end: at it, in front of it, and across. A word of a payload holds what
//! looks like a header, and what is in it besides is kept in a cell that loom looks after.

use super::{check, check_deaths, check_some};
use crate::raw::ring::{Bytes, Reader, Ring, Writer};
use crate::sim;
use crate::sys::atomic::{AtomicU32, AtomicU64, Ordering, spin_loop};
use core::cell::Cell;
use loom::cell::UnsafeCell;

/// Words of a ring. A record takes one or two, and one word is free.
const WORDS: usize = 5;

/// Bytes of a record's payload, by its number.
fn len(number: u64) -> u32 {
    if number.is_multiple_of(2) { 0 } else { 8 }
}

/// What a payload's word looks like: the header of an empty record.
const STALE: u64 = 99 << 32;

struct Memory {
    head: AtomicU64,
    tail: AtomicU64,
    words: [AtomicU64; WORDS],
    payloads: [UnsafeCell<u64>; WORDS],
}

impl Bytes for &Memory {
    fn capacity(&self) -> u32 {
        WORDS as u32 * 8
    }

    fn word(&self, at: u32) -> &AtomicU64 {
        &self.words[at as usize / 8]
    }
}

impl Memory {
    fn ring(&self) -> Ring<'_, &Memory> {
        Ring { head: &self.head, tail: &self.tail, bytes: self }
    }

    /// Writes the record number `number`, if there is room.
    fn write(&self, writer: &mut Writer, number: u64) -> bool {
        let ring = self.ring();
        let len = len(number);
        let room = match writer.reserve_fast(&ring, len) {
            Some(room) => Some(room),
            None => writer.reserve(&ring, len).expect("nothing is damaged"),
        };
        let Some(room) = room else { return false };
        if len > 0 {
            let at = room.payload() / 8;
            self.words[at].store(STALE, Ordering::Relaxed);
            // SAFETY: loom finds out whether the reader is here at the same time.
            self.payloads[at].with_mut(|payload| unsafe { *payload = number });
        }
        writer.commit(&ring, room, number as u32);
        true
    }

    fn write_surely(&self, writer: &mut Writer, number: u64) {
        while !self.write(writer, number) {
            spin_loop();
        }
    }

    /// The number in the next record, if there is one.
    fn read(&self, reader: &mut Reader) -> Option<u64> {
        let ring = self.ring();
        let record = match reader.peek_fast(&ring) {
            Some(record) => record,
            None => reader.peek(&ring).expect("nothing is damaged")?,
        };
        let number = u64::from(record.info());
        assert!(record.len() == len(number) as usize, "something stale was taken for a record");
        if record.len() > 0 {
            // SAFETY: loom finds out whether the writer is here at the same time.
            let payload = self.payloads[record.payload() / 8].with(|payload| unsafe { *payload });
            assert_eq!(payload, number, "a record is torn");
        }
        reader.take(&ring, record);
        Some(number)
    }

    fn read_surely(&self, reader: &mut Reader) -> u64 {
        loop {
            if let Some(number) = self.read(reader) {
                return number;
            }
            spin_loop();
        }
    }

    /// What is there and not yet taken, once neither side moves.
    fn rest(&self) -> Vec<u64> {
        let mut reader = Reader::new(&self.ring()).expect("nothing is damaged");
        let mut counted = 0;
        self.ring().walk(|_| counted += 1).expect("nothing is damaged");
        let rest: Vec<u64> = std::iter::from_fn(|| self.read(&mut reader)).collect();
        assert_eq!(counted, rest.len(), "whoever looks from outside sees the same");
        rest
    }
}

/// A ring in which so many records of two words have come and gone.
fn memory(before: u32) -> &'static Memory {
    let memory = sim::keep(Memory {
        head: AtomicU64::new(0),
        tail: AtomicU64::new(0),
        words: core::array::from_fn(|_| AtomicU64::new(STALE)),
        payloads: core::array::from_fn(|_| UnsafeCell::new(0)),
    });
    memory.ring().clear();
    let (mut writer, mut reader) = sides(memory);
    for _ in 0..before {
        memory.write(&mut writer, 99);
        memory.read(&mut reader);
    }
    memory
}

fn sides(memory: &Memory) -> (Writer, Reader) {
    let ring = memory.ring();
    (Writer::new(&ring).expect("a ring"), Reader::new(&ring).expect("a ring"))
}

/// Records from one to the other, so many that they pass the end.
fn pass(before: u32, numbers: &'static [u64]) {
    let memory = memory(before);
    let (mut writer, mut reader) = sides(memory);
    let other = sim::spawn(1, move || {
        numbers.iter().for_each(|&number| memory.write_surely(&mut writer, number));
    });
    for &number in numbers {
        assert_eq!(memory.read_surely(&mut reader), number);
    }
    sim::join(other);
    assert_eq!(memory.rest(), []);
}

/// The third one ends at the end.
pub(super) fn up_to_the_end() {
    pass(0, &[1, 2, 3]);
}

/// The second one ends at the end, and the third is in front of what may be unread.
pub(super) fn around_the_end() {
    pass(1, &[1, 2, 3]);
}

/// The first one does not fit at the end.
pub(super) fn behind_padding() {
    pass(2, &[1, 2, 3]);
}

/// The third one is written over the first.
pub(super) fn over_the_first() {
    pass(0, &[1, 3, 5]);
}

pub fn records_come_in_order_and_whole() {
    check("ring, three records up to the end", 3, up_to_the_end);
    check("ring, three records around the end", 3, around_the_end);
    check("ring, three records behind padding", 3, behind_padding);
    check("ring, three records, the last over the first", 3, over_the_first);
}

/// The writing end moves to another process between two records, and the reading end, too.
pub(super) fn ends_move() {
    let memory = memory(1);
    let (mut writer, mut reader) = sides(memory);
    let moved = sim::keep(AtomicU32::new(0));
    let first = sim::spawn(1, move || {
        memory.write_surely(&mut writer, 1);
        // As a message with the end in it.
        moved.store(1, Ordering::Release);
    });
    let second = sim::spawn(2, move || {
        while moved.load(Ordering::Acquire) == 0 {
            spin_loop();
        }
        let mut writer = Writer::new(&memory.ring()).expect("it goes on where the other stopped");
        memory.write_surely(&mut writer, 2);
    });
    assert_eq!(memory.read_surely(&mut reader), 1);
    let mut reader = Reader::new(&memory.ring()).expect("it goes on where the other stopped");
    assert_eq!(memory.read_surely(&mut reader), 2);
    sim::join(first);
    sim::join(second);
}

pub fn ends_that_move_go_on_where_they_were() {
    check_some("ring, ends move", 2, 5_000, ends_move);
}

/// The writer dies at any step. What the reader gets is the first records, whole, and all whose writing had returned.
pub(super) fn writer_dies(steps: u32) -> bool {
    let memory = memory(1);
    let (mut writer, mut reader) = sides(memory);
    let (died, written) = (sim::keep(Cell::new(false)), sim::keep(Cell::new(0)));
    let victim = sim::spawn(1, move || {
        died.set(sim::dying_at(steps, || {
            for number in 1..=3 {
                memory.write_surely(&mut writer, number);
                written.set(number);
            }
        }));
    });
    let mut got = Vec::new();
    for _ in 0..3 {
        got.extend(memory.read(&mut reader));
        spin_loop();
    }
    sim::join(victim);
    got.extend(std::iter::from_fn(|| memory.read(&mut reader)));
    let whole: Vec<u64> = (1..=3).take(got.len()).collect();
    assert_eq!(got, whole);
    let count = got.len() as u64;
    assert!(died.get() || count == 3 || written.get() == count);
    assert!((written.get()..=written.get() + 1).contains(&count), "{} of {count}", written.get());
    died.get()
}

pub fn a_writer_that_dies_leaves_whole_records() {
    check_deaths("ring, the writer dies", 2, writer_dies);
}

/// The reader dies at any step. What it had not taken is there, unwritten over.
pub(super) fn reader_dies(steps: u32) -> bool {
    let memory = memory(1);
    let (mut writer, mut reader) = sides(memory);
    let (died, taken) = (sim::keep(Cell::new(false)), sim::keep(Cell::new(0)));
    let victim = sim::spawn(1, move || {
        died.set(sim::dying_at(steps, || {
            for number in 1..=2 {
                let got = memory.read_surely(&mut reader);
                // What a thread loads while it dies is nothing.
                assert!(!sim::is_alive() || got == number, "{got} instead of {number}");
                taken.set(number);
            }
        }));
    });
    let mut written = 0;
    for _ in 0..5 {
        written += u64::from(written < 4 && memory.write(&mut writer, written + 1));
        spin_loop();
    }
    sim::join(victim);
    let rest = memory.rest();
    // Between the store of the head and the return one more has gone.
    let gone = written - rest.len() as u64;
    assert!((taken.get()..=taken.get() + 1).contains(&gone), "{gone} gone of {}", taken.get());
    let expected: Vec<u64> = (gone + 1..=written).collect();
    assert_eq!(rest, expected);
    died.get()
}

pub fn a_reader_that_dies_leaves_the_rest() {
    check_deaths("ring, the reader dies", 2, reader_dies);
}
