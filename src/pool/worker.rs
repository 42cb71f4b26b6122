//! A worker: what runs in each process of a pool.
//!
//! It takes a batch from the tasks queue, begins it on the board, and runs its tasks one after the other. Results gather in a
//! message of its own and, as a copy, in its tray; the message is put on the results queue at the end of the batch, when it is
//! large, or when 10 ms have passed. A result that is large or carries handles goes at once.
//!
//! A worker ends when the tasks queue is closed, when the pool's process is dead (nobody can put tasks any more), when it has done
//! as many tasks as it should, and when it finds itself condemned.

use serde::{Deserialize, Serialize};

use super::board::{Board, Line, Phase, TRAY};
use super::frame::{self, BatchHead, ITEM_HEAD, Kind, NEWS_HEAD, NewsHead, TaskFrame};
use crate::channel::{Body, Consumer, Producer};
use crate::error::{Error, ErrorKind, Result};
use crate::handle::{Claimed, Parcel};
use crate::process::{Output, Task, TaskName};
use crate::raw::batch::Begun;
use crate::sys::clock::{self, Deadline};
use crate::sys::program;

/// Larger results have a message of their own.
const SMALL: usize = 2 << 10;
/// Results are put on the queue before they wait longer than this, in nanoseconds.
const PATIENCE: u64 = 10_000_000;
/// A buffer that has grown beyond this is given back.
const KEPT: usize = 8 << 20;

/// What a worker is told at its start.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Orders {
    pub(super) tasks: Consumer<()>,
    pub(super) results: Producer<()>,
    pub(super) board: Board,
    /// Its place on the board.
    pub(super) worker: u32,
    pub(super) name: String,
    /// Where it finds what to run first.
    pub(super) initializer: Option<Consumer<()>>,
    /// It ends after so many tasks.
    pub(super) max_tasks: u64,
    /// Somebody looks at the time of each task.
    pub(super) is_timed: bool,
}

/// What the process of a worker runs.
pub(super) fn work(orders: Orders) -> Result<()> {
    program::take_name(orders.name.as_bytes());
    let line = orders.board.line(orders.worker)?;
    let mut worker = Worker::of(orders, line);
    if !worker.initialize()? {
        return Ok(());
    }
    let tasks = worker.orders.tasks.clone();
    loop {
        let run = |batch: Body<'_>, claimed| worker.run_batch(batch.bytes(), claimed);
        match tasks.get_parcel(run, Deadline::NEVER).and_then(|after| after) {
            Ok(After::Next) => {}
            Ok(After::End) => return Ok(()),
            // No more tasks will come, or nobody is there to get the results.
            Err(error) if error.is_closed() => return Ok(()),
            Err(error) => return Err(error),
        }
    }
}

fn give_back(buffer: &mut Vec<u8>) {
    if buffer.capacity() > KEPT {
        *buffer = Vec::new();
    }
}

/// What a worker does after a batch.
#[derive(Debug, PartialEq, Eq)]
enum After {
    Next,
    End,
}

struct Worker {
    orders: Orders,
    line: Line,
    done: u64,
    /// The function of the last batch.
    known: Option<(TaskName, Task)>,
    /// The results that are done and not put: a head, and the results.
    out: Vec<u8>,
    /// The number of the first task in `out`.
    first: u32,
    count: u32,
    /// When results were put last.
    put: u64,
    /// One result, behind room for a head.
    one: Vec<u8>,
}

impl Worker {
    fn of(orders: Orders, line: Line) -> Worker {
        Worker {
            orders,
            line,
            done: 0,
            known: None,
            out: vec![0; NEWS_HEAD],
            first: 0,
            count: 0,
            put: 0,
            one: vec![0; NEWS_HEAD],
        }
    }

    /// Runs the initializer, if there is one, and tells the pool; false if that failed.
    fn initialize(&mut self) -> Result<bool> {
        let number = self.orders.worker;
        if let Some(initializer) = &self.orders.initializer {
            self.line.set_phase(Phase::Initializing);
            let mut news = NewsHead::plain(Kind::Ready, number, 0).message().to_vec();
            let run = |batch: Body<'_>, claimed| {
                let (head, arguments) = BatchHead::read(batch.bytes())?;
                let output = Output { bytes: &mut news, long: None };
                Task::find(head.task)?.run(claimed, arguments, output).map(drop)
            };
            if let Err(error) = initializer.get_parcel(run, Deadline::NEVER)? {
                let head = NewsHead::plain(Kind::Failed, number, 0).message();
                news.clear();
                news.extend(head);
                news.extend(error_bytes(&error));
                self.orders.results.put_bytes(&news)?;
                return Ok(false);
            }
            // Its result may be an error, which only the pool can read.
            self.line.set_phase(Phase::Ready);
            self.orders.results.put_bytes(&news)?;
            return Ok(true);
        }
        self.line.set_phase(Phase::Ready);
        Ok(true)
    }

    fn now(&self) -> u64 {
        if self.orders.is_timed { clock::now() } else { clock::coarse() }
    }

    fn find(&mut self, name: TaskName) -> Result<Task> {
        match self.known {
            Some((known, task)) if known == name => Ok(task),
            _ => {
                let task = Task::find(name)?;
                self.known = Some((name, task));
                Ok(task)
            }
        }
    }

    fn run_batch(&mut self, batch: &[u8], mut claimed: Claimed) -> Result<After> {
        let (head, mut tasks) = BatchHead::read(batch)?;
        let now = self.now();
        // Before the word: who sees this worker in the word finds a time that is not older than the task.
        self.line.set_since(now);
        let place = self.orders.board.entry(head.entry)?;
        let begun = place.begin(head.generation, self.orders.worker, head.first);
        let Some(begun) = begun else {
            // Somebody else has begun it: this message was put once more, because of a death.
            self.line.set_since(0);
            return Ok(After::Next);
        };
        self.line.take_tray(head.entry, head.generation);
        self.put = now;
        for _ in 0..head.first {
            let skipped = TaskFrame::take(&mut tasks)?;
            claimed.take(skipped.handles);
        }
        let after = self.run_tasks(&head, tasks, claimed, begun);
        self.line.set_since(0);
        give_back(&mut self.one);
        after
    }

    fn run_tasks(
        &mut self,
        head: &BatchHead,
        mut tasks: &[u8],
        mut claimed: Claimed,
        mut begun: Begun,
    ) -> Result<After> {
        let task = self.find(head.task);
        self.first = head.first;
        for number in head.first..head.count {
            let frame = TaskFrame::take(&mut tasks)?;
            let given = claimed.take(frame.handles);
            let handles = match &task {
                Ok(task) => self.run_one(head, number, *task, given, frame.arguments),
                Err(error) => Some(self.refuse(error)),
            };
            if let Some(handles) = handles {
                self.deliver(head, number, handles)?;
            }
            self.done += 1;
            self.line.set_done(self.done);
            let (next, now) = (number + 1, self.now());
            if next == head.count {
                break;
            }
            if self.done == self.orders.max_tasks {
                self.put_results(head)?;
                begun.leave(next);
                return Ok(After::End);
            }
            self.line.set_since(now);
            if !begun.advance(next) {
                self.put_results(head)?;
                return Ok(After::End);
            }
            if now.saturating_sub(self.put) >= PATIENCE {
                self.put_results(head)?;
                self.put = now;
            }
        }
        self.put_results(head)?;
        let is_enough = self.done == self.orders.max_tasks;
        Ok(if is_enough { After::End } else { After::Next })
    }

    /// Runs one task; its result, or its error, is in `one`, and its handles are given. `None` if the result has gone already.
    fn run_one(
        &mut self,
        head: &BatchHead,
        number: u32,
        task: Task,
        given: Claimed,
        arguments: &[u8],
    ) -> Option<Parcel> {
        let mut one = std::mem::take(&mut self.one);
        one.truncate(NEWS_HEAD);
        one.extend([0; ITEM_HEAD]);
        let mut has_gone = false;
        let mut put_long = |bytes: &[u8]| {
            check_len(bytes.len())?;
            self.put_results(head)?;
            self.put_long(head, number, bytes)?;
            has_gone = true;
            Ok(())
        };
        let output = Output { bytes: &mut one, long: Some(&mut put_long) };
        let handles = task.run(given, arguments, output);
        self.one = one;
        let handles = handles.and_then(|handles| check_len(self.one.len()).map(|()| handles));
        match handles {
            Ok(_) if has_gone => None,
            Ok(handles) => {
                frame::close_result(&mut self.one, NEWS_HEAD, false);
                Some(handles)
            }
            Err(error) => Some(self.refuse(&error)),
        }
    }

    /// Puts a long result, from where it lies into the queue's own memory.
    fn put_long(&self, head: &BatchHead, number: u32, bytes: &[u8]) -> Result<()> {
        let start = NEWS_HEAD + ITEM_HEAD;
        self.orders.results.put_with(start + bytes.len(), |message| {
            NewsHead { kind: Kind::Long, ..self.news(head, number, 1) }.write(message);
            message[start..].copy_from_slice(bytes);
            frame::close_result(message, NEWS_HEAD, false);
        })
    }

    /// The task has this error.
    #[cold]
    fn refuse(&mut self, error: &Error) -> Parcel {
        self.one.truncate(NEWS_HEAD);
        self.one.extend([0; ITEM_HEAD]);
        self.one.extend(error_bytes(error));
        frame::close_result(&mut self.one, NEWS_HEAD, true);
        Parcel::default()
    }

    /// What is in `one` is the result of task `number`: it stands with the others, or goes at once.
    fn deliver(&mut self, head: &BatchHead, number: u32, handles: Parcel) -> Result<()> {
        let len = self.one.len() - NEWS_HEAD;
        if !handles.is_empty() || len > SMALL {
            self.put_results(head)?;
            return self.put_alone(head, number, &handles);
        }
        if self.out.len() - NEWS_HEAD + SMALL + ITEM_HEAD > TRAY {
            self.put_results(head)?;
        }
        if self.count == 0 {
            self.first = number;
        }
        let start = self.out.len();
        self.out.extend_from_slice(&self.one[NEWS_HEAD..]);
        self.out.resize(self.out.len().next_multiple_of(8), 0);
        self.count += 1;
        self.line.put_in_tray(self.first, start - NEWS_HEAD, &self.out[start..]);
        Ok(())
    }

    fn news(&self, head: &BatchHead, first: u32, count: u32) -> NewsHead {
        NewsHead {
            kind: Kind::Results,
            worker: self.orders.worker,
            entry: head.entry,
            generation: head.generation,
            first,
            count,
        }
    }

    /// Puts all results that stand in `out`.
    fn put_results(&mut self, head: &BatchHead) -> Result<()> {
        if self.count == 0 {
            return Ok(());
        }
        self.news(head, self.first, self.count).write(&mut self.out);
        self.orders.results.put_bytes(&self.out)?;
        self.line.clear_tray();
        self.out.truncate(NEWS_HEAD);
        self.count = 0;
        Ok(())
    }

    /// Puts the one result as a message of its own.
    fn put_alone(&mut self, head: &BatchHead, number: u32, handles: &Parcel) -> Result<()> {
        let news = self.news(head, number, 1);
        news.write(&mut self.one);
        let put = self.orders.results.put_parcel(&mut self.one, handles);
        match put {
            Err(error) if !error.is_closed() => {
                self.refuse(&error);
                news.write(&mut self.one);
                self.orders.results.put_bytes(&self.one)
            }
            put => put,
        }
    }
}

fn check_len(len: usize) -> Result<()> {
    if u32::try_from(len).is_ok() {
        return Ok(());
    }
    let text = format!("the result of a task takes {len} bytes: 4 GiB are too many");
    Err(Error::of(ErrorKind::TooLarge, text))
}

fn error_bytes(error: &Error) -> Vec<u8> {
    postcard::to_stdvec(error).unwrap_or_default()
}
