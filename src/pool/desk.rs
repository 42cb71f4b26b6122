//! The desk: which batches of tasks there are, and which of them the workers have.
//!
//! At most as many batches as the board has entries are with the workers: on the tasks queue, or begun. The others wait here, call
//! by call, and the calls take turns. So a short call does not stand behind all of a long one, and what is to be done once more
//! after a death is known.

use std::collections::VecDeque;
use std::sync::Arc;

use super::board::Board;
use super::call::{Call, Taken};
use super::frame::{BATCH_HEAD, BatchHead, ITEM_HEAD, TaskFrame};
use crate::channel::Producer;
use crate::error::{Error, ErrorKind, Result};
use crate::handle::Parcel;
use crate::process::TaskName;
use crate::raw::batch::{State, Word, next_generation};

/// Consecutive tasks of a call, which one worker takes at once.
pub(super) struct Batch {
    pub(super) call: Arc<dyn Call>,
    /// The number of its first task within the call.
    pub(super) first: usize,
    pub(super) count: u32,
    /// So many of them have their results.
    pub(super) next: u32,
    /// How often a worker has died of the task at `next`.
    deaths: u32,
    task: TaskName,
    bytes: Vec<u8>,
    /// The handles in it, which are kept for another worker.
    parcel: Parcel,
}

impl Batch {
    /// An empty batch, for tasks of `call` from number `first` on.
    pub(super) fn new(call: Arc<dyn Call>, first: usize, task: TaskName) -> Batch {
        Batch {
            call,
            first,
            count: 0,
            next: 0,
            deaths: 0,
            task,
            bytes: vec![0; BATCH_HEAD],
            parcel: Parcel::default(),
        }
    }

    /// Adds the task whose arguments `encode` appends. After an error the batch is as before.
    pub(super) fn add(
        &mut self,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<Parcel>,
    ) -> Result<()> {
        let start = self.bytes.len();
        self.bytes.extend([0; ITEM_HEAD]);
        let added = encode(&mut self.bytes).and_then(|parcel| {
            TaskFrame::close(&mut self.bytes, start, parcel.len()).map(|()| parcel)
        });
        match added {
            Ok(parcel) => {
                if !parcel.is_empty() {
                    self.parcel.append(parcel);
                }
                self.count += 1;
                Ok(())
            }
            Err(error) => {
                self.bytes.truncate(start);
                Err(error)
            }
        }
    }

    /// Bytes of its tasks.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// All tasks that have no results are lost.
    pub(super) fn lost(self, why: Error) -> Loss {
        Loss { count: self.count.saturating_sub(self.next), batch: self, why }
    }
}

/// Whether the pool takes calls.
#[derive(Debug)]
pub(super) enum Phase {
    Open,
    /// No more calls; those that are there are done.
    Closed,
    Terminated,
    /// Its workers cannot work.
    Broken(Error),
}

/// Where the workers get their tasks.
pub(super) struct Link {
    pub(super) board: Board,
    pub(super) tasks: Producer<()>,
}

impl Link {
    fn put(&self, entry: u32, generation: u32, batch: &mut Batch) -> Result<()> {
        let Batch { count, next, task, .. } = *batch;
        let head = BatchHead { entry, generation, first: next, count, task };
        head.write(&mut batch.bytes);
        self.board.entry(entry)?.offer(generation);
        self.tasks.put_parcel(&mut batch.bytes, &batch.parcel)
    }
}

#[derive(Default)]
struct Entry {
    generation: u32,
    batch: Option<Batch>,
}

/// The batches of one call that wait.
struct Waiting {
    call: Arc<dyn Call>,
    batches: VecDeque<Batch>,
}

/// How many tasks were given to the pool, and what became of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) given: u64,
    /// Have a result or an error.
    pub(super) settled: u64,
    /// Have an error.
    pub(super) failed: u64,
}

/// Tasks that a death or a refusal has cost their results.
pub(super) struct Loss {
    batch: Batch,
    /// How many, from the next one on.
    count: u32,
    why: Error,
}

impl Loss {
    /// Tells the call. To be called without the desk: the user's callbacks run.
    pub(super) fn tell(&self) {
        let Loss { batch, count, why } = self;
        batch.call.fail(batch.first + batch.next as usize, *count as usize, why);
    }
}

/// What is known of a batch whose results come.
pub(super) struct Expected {
    pub(super) call: Arc<dyn Call>,
    pub(super) first: usize,
    pub(super) next: u32,
    pub(super) count: u32,
}

/// What a worker's end means for the tasks that it ran.
pub(super) struct Judgement {
    /// The task that a worker died of is run again so often.
    pub(super) retries: u32,
    /// Why it ended.
    pub(super) why: Error,
    /// What to say instead, of a task that took too long.
    pub(super) too_long: Error,
}

pub(super) struct Desk {
    pub(super) phase: Phase,
    pub(super) totals: Totals,
    /// Tasks without a result whose users collect for themselves.
    streamed: u64,
    /// Threads that wait until they may give more.
    pub(super) feeders: u32,
    entries: Vec<Entry>,
    free: Vec<u32>,
    /// What comes before all that waits: it was begun once.
    urgent: Vec<Batch>,
    waiting: VecDeque<Waiting>,
}

/// By which calls are told apart while they live.
pub(super) fn address(call: &Arc<dyn Call>) -> *const () {
    Arc::as_ptr(call).cast()
}

impl Desk {
    pub(super) fn new(entries: usize) -> Desk {
        Desk {
            phase: Phase::Open,
            totals: Totals::default(),
            streamed: 0,
            feeders: 0,
            entries: (0..entries).map(|_| Entry::default()).collect(),
            free: (0..entries as u32).rev().collect(),
            urgent: Vec::new(),
            waiting: VecDeque::new(),
        }
    }

    /// An error unless the pool takes calls.
    pub(super) fn check(&self, name: &str) -> Result<()> {
        let closed = |what: &str| {
            let text = format!("pool {name:?} {what}: make another one");
            Err(Error::of(ErrorKind::Closed, text))
        };
        match &self.phase {
            Phase::Open => Ok(()),
            Phase::Closed => closed("was closed and takes no more tasks"),
            Phase::Terminated => closed("was terminated"),
            Phase::Broken(error) => Err(error.again()),
        }
    }

    /// How many batches of a call wait here.
    pub(super) fn waiting(&self, call: *const ()) -> usize {
        let mut calls = self.waiting.iter();
        calls.find(|it| address(&it.call) == call).map_or(0, |waiting| waiting.batches.len())
    }

    /// Takes a batch of tasks.
    pub(super) fn give(&mut self, batch: Batch) {
        self.totals.given += u64::from(batch.count);
        if batch.call.is_collected_by_its_user() {
            self.streamed += u64::from(batch.count);
        }
        match self.waiting.iter_mut().find(|waiting| address(&waiting.call) == address(&batch.call))
        {
            Some(waiting) => waiting.batches.push_back(batch),
            None => {
                let call = Arc::clone(&batch.call);
                self.waiting.push_back(Waiting { call, batches: VecDeque::from([batch]) });
            }
        }
    }

    /// The batch whose turn it is.
    fn next_batch(&mut self) -> Option<Batch> {
        if !self.urgent.is_empty() {
            return Some(self.urgent.remove(0));
        }
        let mut first = self.waiting.pop_front()?;
        let batch = first.batches.pop_front();
        if !first.batches.is_empty() {
            self.waiting.push_back(first);
        }
        batch
    }

    /// Puts batches on the queue as long as the board has room; those that cannot be put are losses.
    pub(super) fn refill(&mut self, link: &Link) -> Vec<Loss> {
        let mut losses = Vec::new();
        while let Some(entry) = self.free.pop() {
            let Some(mut batch) = self.next_batch() else {
                self.free.push(entry);
                break;
            };
            let place = &mut self.entries[entry as usize];
            place.generation = next_generation(place.generation);
            match link.put(entry, place.generation, &mut batch) {
                Ok(()) => place.batch = Some(batch),
                Err(why) => {
                    self.free.push(entry);
                    if why.is_out_of_memory() && self.free.len() < self.entries.len() {
                        // Room comes with the results of the others.
                        self.urgent.insert(0, batch);
                        break;
                    }
                    losses.push(batch.lost(why));
                }
            }
        }
        losses
    }

    /// The batch that results are for, if it still waits for them.
    pub(super) fn find(&self, entry: u32, generation: u32) -> Option<Expected> {
        let entry = self.entries.get(entry as usize)?;
        let batch = entry.batch.as_ref().filter(|_| entry.generation == generation)?;
        let Batch { first, next, count, .. } = *batch;
        Some(Expected { call: Arc::clone(&batch.call), first, next, count })
    }

    /// So many results of the batch were taken. One that has them all leaves.
    pub(super) fn settle(&mut self, entry: u32, generation: u32, taken: Taken) -> Option<Batch> {
        let place = self.entries.get_mut(entry as usize)?;
        let batch = place.batch.as_mut().filter(|_| place.generation == generation)?;
        batch.next += taken.count;
        batch.deaths = 0;
        let is_streamed = batch.call.is_collected_by_its_user();
        self.totals.settled += u64::from(taken.count);
        self.totals.failed += u64::from(taken.failed);
        if is_streamed {
            self.streamed -= u64::from(taken.count);
        }
        if batch.next < batch.count {
            return None;
        }
        self.free.push(entry);
        place.batch.take()
    }

    /// The entries that are with the workers, and their words.
    pub(super) fn words(&self, board: &Board) -> Vec<(u32, Word)> {
        let taken = self.entries.iter().enumerate().filter(|(_, entry)| entry.batch.is_some());
        taken.filter_map(|(at, _)| Some((at as u32, board.entry(at as u32).ok()?.look()))).collect()
    }

    /// A worker has ended, and all its results were taken: the task that it ran is lost or run again, those behind it are for others.
    pub(super) fn judge(&mut self, board: &Board, worker: u32, how: &Judgement) -> Vec<Loss> {
        let mut losses = Vec::new();
        for (entry, word) in self.words(board) {
            if word.state() == State::Ready || word.worker() != worker {
                continue;
            }
            let Some(mut batch) = self.entries[entry as usize].batch.take() else { continue };
            self.free.push(entry);
            // A result that was there before the worker died counts, so that the next task may not have begun.
            let has_begun = word.state() != State::Left && word.task() >= batch.next;
            if !has_begun && !batch.parcel.moves() {
                self.urgent.push(batch);
                continue;
            }
            let is_too_long = word.state() == State::Condemned;
            if !is_too_long && batch.deaths < how.retries && !batch.parcel.moves() {
                batch.deaths += 1;
                self.urgent.push(batch);
                continue;
            }
            let why = if is_too_long { how.too_long.again() } else { how.why.again() };
            // What moved went with the worker, so the tasks behind it are lost as well.
            let loss = batch.lost(why);
            losses.push(if loss.batch.parcel.moves() { loss } else { Loss { count: 1, ..loss } });
        }
        losses
    }

    /// Tasks are lost, and their call was told. What is left of the batch is for others, unless the pool has stopped.
    pub(super) fn lose(&mut self, loss: Loss, name: &str) -> Option<Loss> {
        let Loss { mut batch, count, .. } = loss;
        self.totals.settled += u64::from(count);
        self.totals.failed += u64::from(count);
        if batch.call.is_collected_by_its_user() {
            self.streamed -= u64::from(count);
        }
        batch.next += count;
        batch.deaths = 0;
        if batch.next >= batch.count {
            return None;
        }
        match (&self.phase, self.check(name)) {
            (Phase::Terminated | Phase::Broken(_), Err(why)) => Some(batch.lost(why)),
            _ => {
                self.urgent.push(batch);
                None
            }
        }
    }

    /// Puts what nobody has begun once more: a worker that died may have taken it from the queue. Who takes the second message finds
    /// the batch begun. What cannot be put again, because ends of pipes moved with it, is lost.
    pub(super) fn put_again(&mut self, link: &Link, why: &Error) -> Vec<Loss> {
        let mut losses = Vec::new();
        for (at, word) in self.words(&link.board) {
            let place = &mut self.entries[at as usize];
            let Some(batch) = place.batch.as_mut().filter(|_| word.state() == State::Ready) else {
                continue;
            };
            if !batch.parcel.moves() {
                // If there is no memory for it, the next death or result brings another try; the first message may be there.
                let _ = link.tasks.put_parcel(&mut batch.bytes, &batch.parcel);
            } else if link.board.entry(at).is_ok_and(|place| place.withdraw(word))
                && let Some(batch) = place.batch.take()
            {
                self.free.push(at);
                losses.push(batch.lost(why.again()));
            }
        }
        losses
    }

    /// Takes out all batches of a call that are not with the workers.
    pub(super) fn withdraw(&mut self, call: *const ()) -> Vec<Batch> {
        let mut out = Vec::new();
        while let Some(at) = self.waiting.iter().position(|it| address(&it.call) == call) {
            out.extend(self.waiting.remove(at).into_iter().flat_map(|waiting| waiting.batches));
        }
        out.extend(self.urgent.extract_if(.., |batch| address(&batch.call) == call));
        // Nobody waits for their results.
        for batch in &out {
            let tasks = u64::from(batch.count - batch.next);
            self.totals.given -= tasks;
            if batch.call.is_collected_by_its_user() {
                self.streamed -= tasks;
            }
        }
        out
    }

    /// Takes out all there is.
    pub(super) fn clear(&mut self) -> Vec<Batch> {
        let mut out = std::mem::take(&mut self.urgent);
        for waiting in std::mem::take(&mut self.waiting) {
            out.extend(waiting.batches);
        }
        for (at, entry) in self.entries.iter_mut().enumerate() {
            if let Some(batch) = entry.batch.take() {
                entry.generation = next_generation(entry.generation);
                self.free.push(at as u32);
                out.push(batch);
            }
        }
        out
    }

    /// Whether there are results to come that no user collects for himself.
    pub(super) fn needs_collector(&self) -> bool {
        self.totals.given - self.totals.settled > self.streamed
    }

    /// Whether there are results to come that a user collects for himself.
    pub(super) fn has_streams(&self) -> bool {
        self.streamed > 0
    }

    /// Whether all tasks have their results.
    pub(super) fn is_idle(&self) -> bool {
        self.totals.given == self.totals.settled
    }
}
