//! The board: the words that a pool and its workers share, in one piece of shared memory.
//!
//! ```text
//! entry    64 bytes for each batch that is in the workers' hands
//!   0      the batch word
//! line     64 bytes for each worker
//!   0      phase: STARTING, INITIALIZING, READY              the worker; the pool, before it starts one
//!   8      how many tasks it has done                        the worker
//!   16     when the task at hand began, in nanoseconds; 0: none    the worker
//!   24     whose results are in the tray: entry, generation   the worker
//!   32     the tray's span: number of its first task, bytes   the worker
//! tray     TRAY bytes for each worker: results that are done and not yet on the queue    the worker
//! ```
//!
//! The batch word says which worker runs which task: [`crate::raw::batch`].
//!
//! The tray is a copy. A worker writes a result into it, then the span, then goes to the next task; when it has put its results on
//! the queue it makes the span empty. The pool reads the tray of a worker that has ended, and no other.

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::raw::batch::Place;
use crate::shared::SharedMemory;
use crate::sys::atomic::{AtomicU64, Ordering};

/// Bytes of a tray.
pub(super) const TRAY: usize = 16 << 10;
/// Words of a line or an entry.
const LINE: usize = 8;
const PHASE: usize = 0;
const DONE: usize = 1;
const SINCE: usize = 2;
const TRAY_OF: usize = 3;
const SPAN: usize = 4;

/// How far a worker is with its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Starting,
    Initializing,
    Ready,
}

/// Results that a worker had done when it ended, and had not put on the queue.
pub(super) struct Tray {
    pub(super) entry: u32,
    pub(super) generation: u32,
    pub(super) first: u32,
    pub(super) bytes: Vec<u8>,
}

/// The shared words of a pool.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Board {
    memory: SharedMemory,
    entries: u32,
    workers: u32,
}

impl Board {
    pub(super) fn new(entries: usize, workers: usize) -> Result<Board> {
        let len = (entries + workers) * LINE * 8 + workers * TRAY;
        let memory = SharedMemory::new(len)?;
        Ok(Board { memory, entries: entries as u32, workers: workers as u32 })
    }

    fn word_at(&self, at: usize) -> Result<&'static AtomicU64> {
        let none = || Error::of(ErrorKind::Corrupted, "the words of the pool are cut off");
        self.memory.words().get(at).ok_or_else(none)
    }

    /// The word of a batch.
    pub(super) fn entry(&self, entry: u32) -> Result<Place> {
        if entry >= self.entries {
            let text = format!("batch {entry} of {} is not on the board", self.entries);
            return Err(Error::of(ErrorKind::Corrupted, text));
        }
        self.word_at(entry as usize * LINE).map(Place)
    }

    /// One worker's line and tray.
    pub(super) fn line(&self, worker: u32) -> Result<Line> {
        let start = (self.entries + worker) as usize * LINE;
        let tray = (self.entries + self.workers) as usize * LINE + worker as usize * (TRAY / 8);
        let words = self.memory.words();
        match (words.get(start..start + LINE), words.get(tray..tray + TRAY / 8)) {
            (Some(line), Some(tray)) if worker < self.workers => Ok(Line { line, tray }),
            _ => {
                let text = format!("worker {worker} of {} is not on the board", self.workers);
                Err(Error::of(ErrorKind::Corrupted, text))
            }
        }
    }
}

/// One worker's words.
#[derive(Debug, Clone, Copy)]
pub(super) struct Line {
    line: &'static [AtomicU64],
    tray: &'static [AtomicU64],
}

impl Line {
    fn get(&self, word: usize) -> u64 {
        // ORDERING: Acquire, pairs with the Release of `set`.
        self.line[word].load(Ordering::Acquire)
    }

    fn set(&self, word: usize, value: u64) {
        // ORDERING: Release: the words are in order for whoever reads them after the worker's death.
        self.line[word].store(value, Ordering::Release);
    }

    /// The pool: a new worker will have the line.
    pub(super) fn reset(&self) {
        (0..LINE).for_each(|word| self.set(word, 0));
    }

    pub(super) fn phase(&self) -> Phase {
        match self.get(PHASE) {
            0 => Phase::Starting,
            1 => Phase::Initializing,
            _ => Phase::Ready,
        }
    }

    pub(super) fn set_phase(&self, phase: Phase) {
        self.set(PHASE, phase as u64);
    }

    pub(super) fn done(&self) -> u64 {
        self.get(DONE)
    }

    pub(super) fn set_done(&self, count: u64) {
        self.set(DONE, count);
    }

    /// When the task at hand began; 0: there is none.
    pub(super) fn since(&self) -> u64 {
        self.get(SINCE)
    }

    pub(super) fn set_since(&self, time: u64) {
        self.set(SINCE, time);
    }

    /// The tray is empty, and for this batch from now on.
    pub(super) fn take_tray(&self, entry: u32, generation: u32) {
        self.set(SPAN, 0);
        self.set(TRAY_OF, u64::from(entry) << 32 | u64::from(generation));
    }

    /// The tray's results are on the queue.
    pub(super) fn clear_tray(&self) {
        self.set(SPAN, 0);
    }

    /// Puts one more result into the tray, at `start`, which is a multiple of 8; `first` is the number of the first task in it. One
    /// for which there is no room is not put: the caller puts results on the queue before that.
    pub(super) fn put_in_tray(&self, first: u32, start: usize, bytes: &[u8]) {
        let words = bytes.chunks(8);
        let end = start + words.len() * 8;
        let Some(room) = self.tray.get(start / 8..end / 8) else { return };
        for (word, bytes) in room.iter().zip(words) {
            let mut whole = [0; 8];
            whole[..bytes.len()].copy_from_slice(bytes);
            // ORDERING: Relaxed: the span comes later.
            word.store(u64::from_le_bytes(whole), Ordering::Relaxed);
        }
        self.set(SPAN, u64::from(first) << 32 | end as u64);
    }

    /// What is in the tray of a worker that has ended.
    pub(super) fn tray(&self) -> Option<Tray> {
        let (span, of) = (self.get(SPAN), self.get(TRAY_OF));
        let len = span as u32 as usize;
        let words = self.tray.get(..len / 8).filter(|words| !words.is_empty())?;
        let bytes = words.iter().flat_map(|word| word.load(Ordering::Relaxed).to_le_bytes());
        Some(Tray {
            entry: (of >> 32) as u32,
            generation: of as u32,
            first: (span >> 32) as u32,
            bytes: bytes.collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raw::batch::State;

    #[test]
    fn a_batch_is_begun_once_and_a_condemned_worker_begins_no_more() {
        let board = Board::new(3, 2).unwrap();
        let place = board.entry(1).unwrap();
        place.offer(5);
        assert!(place.begin(4, 0, 0).is_none(), "another generation");
        let mut begun = place.begin(5, 0, 0).unwrap();
        assert!(place.begin(5, 1, 0).is_none(), "the message came twice");
        assert!(begun.advance(1));
        let seen = place.look();
        assert!(begun.advance(2));
        assert!(!place.condemn(seen), "it has gone on");
        assert!(place.condemn(place.look()));
        assert!(!begun.advance(3));
        let word = place.look();
        assert_eq!((word.state(), word.worker(), word.task()), (State::Condemned, 0, 2));
    }

    #[test]
    fn what_is_not_on_the_board_is_corrupted() {
        let board = Board::new(3, 2).unwrap();
        assert!(board.entry(3).is_err_and(|error| error.is_corrupted()));
        assert!(board.entry(u32::MAX).is_err_and(|error| error.is_corrupted()));
        assert!(board.line(2).unwrap_err().is_corrupted());
    }

    #[test]
    fn a_tray_has_what_was_put_and_no_more_than_there_is_room_for() {
        let board = Board::new(3, 2).unwrap();
        let line = board.line(1).unwrap();
        assert!(line.tray().is_none());
        line.take_tray(2, 9);
        line.put_in_tray(4, 0, &[1; 16]);
        line.put_in_tray(4, 16, &[2; 8]);
        let tray = line.tray().unwrap();
        assert_eq!((tray.entry, tray.generation, tray.first), (2, 9, 4));
        assert_eq!(tray.bytes, [[1; 8], [1; 8], [2; 8]].concat());
        line.put_in_tray(4, TRAY - 8, &[3; 16]);
        assert_eq!(line.tray().unwrap().bytes.len(), 24, "there is no room for that");
        // A span that no worker writes.
        line.set(SPAN, u64::from(u32::MAX));
        assert!(line.tray().is_none());
        line.clear_tray();
        assert!(line.tray().is_none());
    }
}
