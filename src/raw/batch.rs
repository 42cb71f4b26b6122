//! The batch word: which worker runs which task of a batch.
//!
//! A pool gives its workers batches of tasks. Each batch has a word, and whoever survives a worker reads in it how far the worker was.
//!
//! # The word
//!
//! | bits | what |
//! |---|---|
//! | 0 to 27 | the task that it is about, counted within the batch |
//! | 28 to 37 | the worker |
//! | 38, 39 | state |
//! | 40 to 63 | generation: the life of the batch's place |
//!
//! | state | means | may become, by whom |
//! |---|---|---|
//! | `READY` | in a message, or taken by a worker that has not begun it | `BEGUN`, by a worker; `LEFT`, by the pool |
//! | `BEGUN` | the worker runs the task | `BEGUN` with the next task, `LEFT`, by that worker; `CONDEMNED`, by the pool |
//! | `LEFT` | the worker will run neither this task nor those behind it | |
//! | `CONDEMNED` | the worker is about to be killed: the task took too long | |
//!
//! Every change is one compare-and-exchange from the exact value that was seen. The pool makes any word `READY` again, with the next
//! generation, by a store: once it has all results of the batch, or has seen the end of the worker that had it.
//!
//! # Steps
//!
//! 1. The pool stores READY and sends a message with the place and the generation. It may send the same message again.
//! 2. A worker makes READY of this generation BEGUN. **The batch is this worker's.**
//! 3. It runs the task, writes the result down, and makes the word BEGUN with the next task. **That task has begun.**
//!
//! # Invariants
//!
//! - I1: a batch is begun once in each generation, however many messages name it.
//! - I2: when the word tells a task, what was written before it began (the results of those before it, the time) is there.
//! - I3: a worker that is condemned begins no other task.
//!
//! # If a process dies
//!
//! A worker, before step 2: the word is READY, and the pool sends the message again. In step 3: the word tells the task that it ran,
//! none behind it has begun, and those before it have results. The pool: nobody needs the word any more.

use crate::sys::atomic::{AtomicU64, Ordering};

/// More workers than a tree can have processes.
pub(crate) const MOST_WORKERS: usize = 1 << WORKER_BITS;
/// The most tasks of a batch.
pub(crate) const MOST_TASKS: usize = (1 << TASK_BITS) - 1;

const TASK_BITS: u32 = 28;
const WORKER_BITS: u32 = 10;
const STATE_SHIFT: u32 = TASK_BITS + WORKER_BITS;
const GENERATION_SHIFT: u32 = STATE_SHIFT + 2;
/// Generations start anew after this one.
const LAST_GENERATION: u32 = (1 << (64 - GENERATION_SHIFT)) - 1;

/// How far a batch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Ready,
    Begun,
    Left,
    Condemned,
}

/// A batch word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Word(u64);

impl Word {
    fn of(generation: u32, state: State, worker: u32, task: u32) -> Word {
        Word(
            u64::from(generation) << GENERATION_SHIFT
                | (state as u64) << STATE_SHIFT
                | u64::from(worker) << TASK_BITS
                | u64::from(task),
        )
    }

    pub(crate) fn state(self) -> State {
        match self.0 >> STATE_SHIFT & 3 {
            0 => State::Ready,
            1 => State::Begun,
            2 => State::Left,
            _ => State::Condemned,
        }
    }

    pub(crate) fn worker(self) -> u32 {
        (self.0 >> TASK_BITS & ((1 << WORKER_BITS) - 1)) as u32
    }

    pub(crate) fn task(self) -> u32 {
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
pub(crate) fn next_generation(generation: u32) -> u32 {
    if generation >= LAST_GENERATION { 0 } else { generation + 1 }
}

/// The word of a batch's place.
#[derive(Clone, Copy)]
pub(crate) struct Place(pub(crate) &'static AtomicU64);

impl Place {
    /// The pool: the batch is about to be put in a message.
    pub(crate) fn offer(self, generation: u32) {
        // ORDERING: Relaxed: the message that names the place comes later, and the queue orders the two.
        self.0.store(Word::of(generation, State::Ready, 0, 0).0, Ordering::Relaxed);
    }

    /// How far the batch is.
    pub(crate) fn look(self) -> Word {
        // ORDERING(batch): Acquire, pairs with the exchanges of the worker: what it wrote before is there (I2).
        Word(self.0.load(Ordering::Acquire))
    }

    /// A worker: begins the batch with this task, unless somebody has begun it, or it is of another generation.
    pub(crate) fn begin(self, generation: u32, worker: u32, task: u32) -> Option<Begun> {
        let ready = Word::of(generation, State::Ready, 0, 0);
        let begun = Word::of(generation, State::Begun, worker, task);
        exchange(self.0, ready, begun).then_some(Begun { word: self.0, now: begun })
    }

    /// The pool: takes the task away from the worker that runs it, which then begins no other; false if it has gone on.
    pub(crate) fn condemn(self, seen: Word) -> bool {
        exchange(self.0, seen, seen.with(State::Condemned, seen.task()))
    }

    /// The pool: withdraws a batch that nobody has begun.
    pub(crate) fn withdraw(self, seen: Word) -> bool {
        exchange(self.0, seen, seen.with(State::Left, seen.task()))
    }
}

/// ORDERING(batch): AcqRel: what the worker wrote before (results, the time) is there for whoever sees the new word.
fn exchange(word: &AtomicU64, from: Word, to: Word) -> bool {
    word.compare_exchange(from.0, to.0, Ordering::AcqRel, Ordering::Relaxed).is_ok()
}

/// A batch that this worker has begun.
pub(crate) struct Begun {
    word: &'static AtomicU64,
    now: Word,
}

impl Begun {
    /// Goes on to the next task; false if this worker is condemned.
    pub(crate) fn advance(&mut self, task: u32) -> bool {
        let next = self.now.with(State::Begun, task);
        let went = exchange(self.word, self.now, next);
        self.now = next;
        went
    }

    /// Leaves this task and those behind it to others.
    pub(crate) fn leave(self, task: u32) {
        exchange(self.word, self.now, self.now.with(State::Left, task));
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
    fn a_batch_goes_from_task_to_task_and_ends_where_its_worker_leaves_it() {
        let place = Place(Box::leak(Box::default()));
        let seen = || (place.look().state(), place.look().worker(), place.look().task());
        place.offer(7);
        assert!(place.begin(8, 3, 0).is_none(), "another generation");
        let mut begun = place.begin(7, 3, 10).unwrap();
        assert!(place.begin(7, 4, 10).is_none(), "somebody has begun it");
        assert_eq!(seen(), (State::Begun, 3, 10));
        assert!(begun.advance(11));
        assert_eq!(seen(), (State::Begun, 3, 11));
        begun.leave(12);
        assert_eq!(seen(), (State::Left, 3, 12));
        place.offer(7);
        let mut begun = place.begin(7, 3, 10).unwrap();
        assert!(place.condemn(place.look()));
        assert!(!begun.advance(11), "the task was taken away");
        assert_eq!(seen(), (State::Condemned, 3, 10));
    }
}
