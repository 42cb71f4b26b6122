//! The batch word of a pool: a batch is begun once, a condemned worker begins nothing more, and after a worker's death at any step
//! the word tells which task it ran.

use super::{check, check_deaths};
use crate::raw::batch::{Place, State, next_generation};
use crate::sim;
use crate::sys::atomic::{AtomicU64, Ordering};
use core::cell::Cell;

const TASKS: usize = 3;
const FIRST: u32 = 5;

/// A batch of three tasks that was offered, and what its workers leave behind.
struct Batch {
    word: AtomicU64,
    /// When the task at hand began: its number and one, as it is here.
    since: AtomicU64,
    /// Results, where the pool finds them after a death.
    results: [AtomicU64; TASKS],
    /// How often each task ran; seen by the model alone.
    ran: [Cell<u32>; TASKS],
}

fn batch() -> &'static Batch {
    let batch = sim::keep(Batch {
        word: AtomicU64::new(0),
        since: AtomicU64::new(0),
        results: core::array::from_fn(|_| AtomicU64::new(0)),
        ran: Default::default(),
    });
    batch.place().offer(FIRST);
    batch
}

impl Batch {
    fn place(&'static self) -> Place {
        Place(&self.word)
    }

    fn run(&self, task: usize) {
        self.ran[task].set(self.ran[task].get() + 1);
        self.results[task].store(1, Ordering::Relaxed);
    }

    /// What a worker does with a message; whether it began the batch.
    fn work(&'static self, generation: u32, worker: u32, from: usize) -> bool {
        self.since.store(from as u64 + 1, Ordering::Relaxed);
        let Some(mut begun) = self.place().begin(generation, worker, from as u32) else {
            return false;
        };
        for task in from..TASKS {
            self.run(task);
            if task + 1 == TASKS {
                break;
            }
            self.since.store(task as u64 + 2, Ordering::Relaxed);
            if !begun.advance(task as u32 + 1) {
                break;
            }
        }
        true
    }

    /// How many tasks have results.
    fn done(&self) -> usize {
        let results = self.results.iter().map(|result| result.load(Ordering::Relaxed));
        results.take_while(|result| *result == 1).count()
    }
}

/// The message was put twice.
pub(super) fn two_begin() {
    let batch = batch();
    let other = sim::spawn(1, move || {
        batch.work(FIRST, 1, 0);
    });
    batch.work(FIRST, 0, 0);
    sim::join(other);
    for ran in &batch.ran {
        assert_eq!(ran.get(), 1, "a task ran so often");
    }
}

/// The pool takes a task that takes too long from its worker.
pub(super) fn one_is_condemned() {
    let batch = batch();
    let worker = sim::spawn(1, move || {
        batch.work(FIRST, 1, 0);
    });
    let seen = batch.place().look();
    let mut last = TASKS - 1;
    if seen.state() == State::Begun {
        let since = batch.since.load(Ordering::Relaxed);
        assert!(since > u64::from(seen.task()), "the time is that of an earlier task");
        if batch.place().condemn(seen) {
            last = seen.task() as usize;
        }
    }
    sim::join(worker);
    for (task, ran) in batch.ran.iter().enumerate() {
        assert_eq!(ran.get() == 1, task <= last, "task {task} of {last} ran {} times", ran.get());
    }
}

/// A worker dies; the pool judges by the word and gives another one what is left, while the first message is still about.
pub(super) fn worker_dies(steps: u32) -> bool {
    let batch = batch();
    let died = sim::keep(Cell::new(false));
    let worker = sim::spawn(1, move || {
        died.set(sim::dying_at(steps, || {
            batch.work(FIRST, 1, 0);
        }));
    });
    sim::join(worker);
    let (word, done) = (batch.place().look(), batch.done());
    let mut from = done;
    if word.state() == State::Begun {
        let task = word.task() as usize;
        assert!(done >= task, "a task before number {task} has no result");
        // It is lost, unless its result is there.
        from = from.max(task + 1);
    }
    for ran in &batch.ran[from..] {
        assert_eq!(ran.get(), 0, "a task that had begun is given away");
    }
    if from < TASKS {
        let next = next_generation(FIRST);
        batch.place().offer(next);
        let late = sim::spawn(2, move || assert!(!batch.work(FIRST, 2, from), "a late message"));
        assert!(batch.work(next, 0, from), "the batch is offered");
        sim::join(late);
    }
    for ran in &batch.ran {
        assert_eq!(ran.get(), 1, "a task ran so often");
    }
    died.get()
}

pub fn a_batch_is_begun_once() {
    check("batch, two begin", 3, two_begin);
}

pub fn a_condemned_worker_begins_no_more() {
    check("batch, one is condemned", 3, one_is_condemned);
}

pub fn a_worker_that_dies_costs_the_task_that_it_ran() {
    check_deaths("batch, a worker dies", 2, worker_dies);
}
