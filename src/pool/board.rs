//! The board: the words that a pool and its workers share, in one piece of shared memory.
//!
//! ```text
//! entry    64 bytes for each batch that is in the workers' hands
//!   0      the batch word, below
//! line     64 bytes for each worker
//!   0      phase: STARTING, INITIALIZING, READY              the worker; the pool, before it starts one
//!   8      how many tasks it has done                        the worker
//!   16     when the task at hand began, in nanoseconds; 0: none    the worker
//!   24     whose results are in the tray: entry, generation   the worker
//!   32     the tray's span: number of its first task, bytes   the worker
//! tray     TRAY bytes for each worker: results that are done and not yet on the queue    the worker
//! ```
//!
//! The batch word:
//!
//! | bits | what |
//! |---|---|
//! | 0 to 27 | the task that it is about, counted within the batch |
//! | 28 to 37 | the worker |
//! | 38, 39 | state |
//! | 40 to 63 | generation: the life of the entry |
//!
//! | state | means | may become, by whom |
//! |---|---|---|
//! | `READY` | on the queue, or taken by a worker that has not begun it | `BEGUN`, by a worker |
//! | `BEGUN` | the worker runs the task | `BEGUN` with the next task, `LEFT`, by that worker; `CONDEMNED`, by the pool |
//! | `LEFT` | the worker will run neither this task nor those behind it, and ends | |
//! | `CONDEMNED` | the worker is about to be killed: the task took too long | |
//!
//! Every change is one compare-and-exchange from the exact value that was seen, so a batch is begun once, however many
//! messages name it, and a worker that is condemned begins nothing more. The pool makes any word `READY` again, with the next
//! generation, once it has all results of the batch, or has seen the end of the worker that had it.
//!
//! The tray is a copy. A worker writes a result into it, then the span, then goes to the next task; when it has put its results on
//! the queue it makes the span empty. The pool reads the tray of a worker that has ended, and no other.

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::shared::SharedMemory;
use crate::sys::atomic::{AtomicU64, Ordering};

/// Bytes of a tray.
pub(super) const TRAY: usize = 16 << 10;
/// More workers than a tree can have processes.
pub(super) const MOST_WORKERS: usize = 1 << WORKER_BITS;
/// The most tasks of a batch.
pub(super) const MOST_TASKS: usize = (1 << TASK_BITS) - 1;

const TASK_BITS: u32 = 28;
const WORKER_BITS: u32 = 10;
const STATE_SHIFT: u32 = TASK_BITS + WORKER_BITS;
const GENERATION_SHIFT: u32 = STATE_SHIFT + 2;
/// Generations start anew after this one.
const LAST_GENERATION: u32 = (1 << (64 - GENERATION_SHIFT)) - 1;

/// Words of a line or an entry.
const LINE: usize = 8;
const PHASE: usize = 0;
const DONE: usize = 1;
const SINCE: usize = 2;
const TRAY_OF: usize = 3;
const SPAN: usize = 4;

/// How far a batch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Ready,
    Begun,
    Left,
    Condemned,
}

/// A batch word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Word(u64);

impl Word {
    fn of(generation: u32, state: State, worker: u32, task: u32) -> Word {
        Word(
            u64::from(generation) << GENERATION_SHIFT
                | (state as u64) << STATE_SHIFT
                | u64::from(worker) << TASK_BITS
                | u64::from(task),
        )
    }

    pub(super) fn state(self) -> State {
        match self.0 >> STATE_SHIFT & 3 {
            0 => State::Ready,
            1 => State::Begun,
            2 => State::Left,
            _ => State::Condemned,
        }
    }

    pub(super) fn worker(self) -> u32 {
        (self.0 >> TASK_BITS & ((1 << WORKER_BITS) - 1)) as u32
    }

    pub(super) fn task(self) -> u32 {
        (self.0 & ((1 << TASK_BITS) - 1)) as u32
    }

    fn generation(self) -> u32 {
        (self.0 >> GENERATION_SHIFT) as u32
    }

    fn with(self, state: State, task: u32) -> Word {
        Word::of(self.generation(), state, self.worker(), task)
    }
}

/// The generation after this one.
pub(super) fn next_generation(generation: u32) -> u32 {
    if generation >= LAST_GENERATION { 0 } else { generation + 1 }
}

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

    fn entry(&self, entry: u32) -> Result<&'static AtomicU64> {
        if entry >= self.entries {
            let text = format!("batch {entry} of {} is not on the board", self.entries);
            return Err(Error::of(ErrorKind::Corrupted, text));
        }
        self.word_at(entry as usize * LINE)
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

    /// The pool: the batch is about to be put on the queue.
    pub(super) fn offer(&self, entry: u32, generation: u32) -> Result<()> {
        // ORDERING: Relaxed: the message that names the entry comes later, and the queue orders the two.
        self.entry(entry)?.store(Word::of(generation, State::Ready, 0, 0).0, Ordering::Relaxed);
        Ok(())
    }

    /// How far a batch is.
    pub(super) fn look(&self, entry: u32) -> Result<Word> {
        // ORDERING(batch): Acquire, pairs with the exchanges of the worker: what it wrote before is there.
        Ok(Word(self.entry(entry)?.load(Ordering::Acquire)))
    }

    /// A worker: begins the batch with this task, unless somebody has begun it, or it is of another generation.
    pub(super) fn begin(
        &self,
        entry: u32,
        generation: u32,
        worker: u32,
        task: u32,
    ) -> Result<Option<Begun>> {
        let word = self.entry(entry)?;
        let ready = Word::of(generation, State::Ready, 0, 0);
        let begun = Word::of(generation, State::Begun, worker, task);
        Ok(exchange(word, ready, begun).then_some(Begun { word, now: begun }))
    }

    /// The pool: takes the task away from the worker that runs it, which then begins no other; false if it has gone on.
    pub(super) fn condemn(&self, entry: u32, seen: Word) -> Result<bool> {
        Ok(exchange(self.entry(entry)?, seen, seen.with(State::Condemned, seen.task())))
    }

    /// The pool: withdraws a batch that nobody has begun.
    pub(super) fn withdraw(&self, entry: u32, seen: Word) -> Result<bool> {
        Ok(exchange(self.entry(entry)?, seen, seen.with(State::Left, seen.task())))
    }
}

/// ORDERING(batch): AcqRel: what the worker wrote before (results, the time) is there for whoever sees the new word.
fn exchange(word: &AtomicU64, from: Word, to: Word) -> bool {
    word.compare_exchange(from.0, to.0, Ordering::AcqRel, Ordering::Relaxed).is_ok()
}

/// A batch that this worker has begun.
#[derive(Debug)]
pub(super) struct Begun {
    word: &'static AtomicU64,
    now: Word,
}

impl Begun {
    /// Goes on to the next task; false if this worker is condemned.
    pub(super) fn advance(&mut self, task: u32) -> bool {
        let next = self.now.with(State::Begun, task);
        let went = exchange(self.word, self.now, next);
        self.now = next;
        went
    }

    /// Leaves this task and those behind it to others.
    pub(super) fn leave(self, task: u32) {
        exchange(self.word, self.now, self.now.with(State::Left, task));
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

    #[test]
    fn a_word_tells_what_it_was_made_of() {
        let states = [State::Ready, State::Begun, State::Left, State::Condemned];
        for (generation, worker, task) in [
            (0, 0, 0),
            (LAST_GENERATION, MOST_WORKERS as u32 - 1, MOST_TASKS as u32),
            (7, 3, 12_499),
        ] {
            for state in states {
                let word = Word::of(generation, state, worker, task);
                let found = (word.generation(), word.state(), word.worker(), word.task());
                assert_eq!(found, (generation, state, worker, task));
            }
        }
        assert_eq!(next_generation(LAST_GENERATION), 0);
    }

    #[test]
    fn a_batch_is_begun_once_and_a_condemned_worker_begins_no_more() {
        let board = Board::new(3, 2).unwrap();
        board.offer(1, 5).unwrap();
        assert!(board.begin(1, 4, 0, 0).unwrap().is_none(), "another generation");
        let mut begun = board.begin(1, 5, 0, 0).unwrap().unwrap();
        assert!(board.begin(1, 5, 1, 0).unwrap().is_none(), "the message came twice");
        assert!(begun.advance(1));
        let seen = board.look(1).unwrap();
        assert!(begun.advance(2));
        assert!(!board.condemn(1, seen).unwrap(), "it has gone on");
        assert!(board.condemn(1, board.look(1).unwrap()).unwrap());
        assert!(!begun.advance(3));
        let word = board.look(1).unwrap();
        assert_eq!((word.state(), word.worker(), word.task()), (State::Condemned, 0, 2));
    }

    #[test]
    fn what_is_not_on_the_board_is_corrupted() {
        let board = Board::new(3, 2).unwrap();
        assert!(board.look(3).unwrap_err().is_corrupted());
        assert!(board.begin(u32::MAX, 0, 0, 0).unwrap_err().is_corrupted());
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
