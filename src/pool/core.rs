//! The core of a pool: what its user's threads and its collector share.
//!
//! Order of locks: `duty`, `crew`, `desk`, and any other last. Only `duty` is held while code of the user runs or anything is waited
//! for: it belongs to whoever collects.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::call::{self, Help, foreign, wait_for};
use super::crew::{Bell, Crew};
use super::desk::{Batch, Desk, Link, Loss, Phase, Totals};
use super::frame::{Kind, NewsHead};
use crate::channel::{Consumer, Producer};
use crate::error::{Error, ErrorKind, Result};
use crate::process::is_ending;
use crate::sys::clock::Deadline;
use crate::sys::per_process;

/// How far a pool is with all the tasks that it was given.
///
/// It goes to the function that [`PoolBuilder::progress`](crate::PoolBuilder::progress) sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    totals: Totals,
}

impl Progress {
    /// How many tasks the pool was given since it was made. `imap` gives its tasks one by one, as it goes.
    pub fn given(&self) -> u64 {
        self.totals.given
    }

    /// How many tasks are done: they have a result or an error.
    pub fn done(&self) -> u64 {
        self.totals.settled
    }

    /// How many of those have an error.
    pub fn failed(&self) -> u64 {
        self.totals.failed
    }
}

/// Told how far the pool is.
pub(super) type OnProgress = Box<dyn Fn(Progress) + Send + Sync>;

pub(super) struct Core {
    /// Tells pools of this process apart.
    pub(super) id: u64,
    /// The process that made it.
    process: u64,
    pub(super) name: String,
    pub(super) link: Link,
    pub(super) desk: Mutex<Desk>,
    pub(super) crew: Mutex<Crew>,
    pub(super) retries: u32,
    pub(super) timeout: Option<Duration>,
    pub(super) progress: Option<OnProgress>,
    news: Producer<()>,
    /// Whether all workers have ended and no others will start.
    over: Mutex<bool>,
    is_over: Condvar,
    /// What the collecting thread knows, whichever it is; held as long as it collects.
    pub(super) duty: Mutex<Duty>,
    pub(super) bell: Arc<Bell>,
    /// For calls that make their batches as there is room.
    room: Condvar,
}

/// A call that waits for its results has so many batches ready.
const FEW: usize = 4;

/// What a core is made of.
pub(super) struct Parts {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) link: Link,
    pub(super) entries: usize,
    pub(super) crew: Crew,
    pub(super) retries: u32,
    pub(super) timeout: Option<Duration>,
    pub(super) progress: Option<OnProgress>,
    pub(super) news: Producer<()>,
    /// Where the news come.
    pub(super) ours: Consumer<()>,
    pub(super) bell: Arc<Bell>,
}

/// What a thread that collects needs to know.
pub(super) struct Duty {
    pub(super) news: Arc<Consumer<()>>,
    /// Workers whose end was told: place and number.
    pub(super) ended: Vec<(u32, u32)>,
    /// Starts that failed since a worker was last ready.
    pub(super) failed_starts: u32,
    /// When missing workers are started.
    pub(super) start_at: Deadline,
    /// When a task may have taken too long.
    pub(super) check_at: Deadline,
}

impl Core {
    pub(super) fn new(parts: Parts) -> Core {
        Core {
            id: parts.id,
            process: per_process::process(),
            name: parts.name,
            link: parts.link,
            desk: Mutex::new(Desk::new(parts.entries)),
            crew: Mutex::new(parts.crew),
            retries: parts.retries,
            timeout: parts.timeout,
            progress: parts.progress,
            news: parts.news,
            over: Mutex::new(false),
            is_over: Condvar::new(),
            room: Condvar::new(),
            duty: Mutex::new(Duty {
                news: Arc::new(parts.ours),
                ended: Vec::new(),
                failed_starts: 0,
                start_at: Deadline::NEVER,
                check_at: Deadline::NEVER,
            }),
            bell: parts.bell,
        }
    }

    /// Whether this is the process that made the pool.
    pub(super) fn is_ours(&self) -> bool {
        self.process == per_process::process()
    }

    pub(super) fn check(&self) -> Result<()> {
        if self.is_ours() { Ok(()) } else { Err(foreign("the pool")) }
    }

    /// Starts all workers.
    pub(super) fn start_all(&self) -> Result<()> {
        let mut crew = self.crew.lock();
        (0..crew.size()).try_for_each(|worker| crew.start(worker))
    }

    /// An error unless the pool takes tasks.
    pub(super) fn check_open(&self) -> Result<()> {
        self.check()?;
        self.desk.lock().check(&self.name)
    }

    /// Takes a batch of tasks and hands out what can be.
    pub(super) fn give(&self, batch: Batch) -> Result<()> {
        self.check()?;
        let losses = {
            let mut desk = self.desk.lock();
            desk.check(&self.name)?;
            desk.give(batch);
            self.refill(&mut desk)
        };
        self.lose(losses);
        Ok(())
    }

    /// Waits until only few batches of a call wait for a worker, or the pool takes none.
    pub(super) fn wait_for_room(&self, call: *const ()) {
        let has_room =
            |desk: &mut Desk| desk.waiting(call) < FEW || desk.check(&self.name).is_err();
        self.help(&mut || has_room(&mut self.desk.lock()), Deadline::NEVER);
        let mut desk = self.desk.lock();
        desk.feeders += 1;
        wait_for(&self.room, &mut desk, Deadline::NEVER, has_room);
        desk.feeders -= 1;
    }

    /// Has the pool's thread collect results, unless it does already. Whoever gives tasks and does not collect himself calls this
    /// afterwards.
    pub(super) fn call_collector(&self) {
        self.bell.ring();
    }

    /// Whether results, or ends of workers, are to come.
    pub(super) fn is_expecting(&self) -> bool {
        let desk = self.desk.lock();
        !desk.is_idle() || !matches!(desk.phase, Phase::Open)
    }

    /// Whether somebody has to collect while no user does.
    pub(super) fn needs_collector(&self) -> bool {
        if self.timeout.is_some() || self.progress.is_some() {
            return self.is_expecting();
        }
        let desk = self.desk.lock();
        desk.needs_collector() || !matches!(desk.phase, Phase::Open)
    }

    /// Puts what waits on the tasks queue, as much as there is room for.
    pub(super) fn refill(&self, desk: &mut Desk) -> Vec<Loss> {
        let losses = desk.refill(&self.link);
        if desk.feeders > 0 {
            self.room.notify_all();
        }
        self.close_if_idle(desk);
        losses
    }

    /// Tasks are lost: their calls are told, what is left of their batches goes to others.
    pub(super) fn lose(&self, mut losses: Vec<Loss>) {
        while let Some(loss) = losses.pop() {
            loss.tell();
            let mut desk = self.desk.lock();
            losses.extend(desk.lose(loss, &self.name));
            losses.extend(self.refill(&mut desk));
        }
    }

    /// Nobody wants the results of this call any more: what has not gone to a worker is dropped.
    /// `call` is its address.
    pub(super) fn withdraw(&self, call: *const ()) {
        if !self.is_ours() {
            return;
        }
        let batches = {
            let mut desk = self.desk.lock();
            let batches = desk.withdraw(call);
            self.close_if_idle(&desk);
            batches
        };
        drop(batches);
    }

    /// Lets the workers go once a closed pool has nothing more to do.
    pub(super) fn close_if_idle(&self, desk: &Desk) {
        if matches!(desk.phase, Phase::Closed) && desk.is_idle() {
            let _ = self.link.tasks.close();
        }
    }

    /// Takes no more tasks.
    pub(super) fn close(&self) {
        {
            let mut desk = self.desk.lock();
            if !matches!(desk.phase, Phase::Open) {
                return;
            }
            desk.phase = Phase::Closed;
            self.close_if_idle(&desk);
        }
        self.wake();
    }

    /// Has whoever collects look at how things are.
    pub(super) fn wake(&self) {
        self.tell(&NewsHead::plain(Kind::Wake, 0, 0).message());
    }

    /// Gives whoever collects a message.
    pub(super) fn tell(&self, news: &[u8]) {
        let _ = self.news.put_bytes(news);
        self.call_collector();
    }

    /// Ends the workers at once, whatever they do; all tasks without results are lost.
    pub(super) fn stop(&self, phase: Phase) {
        let losses: Vec<Loss> = {
            let mut desk = self.desk.lock();
            if matches!(desk.phase, Phase::Terminated | Phase::Broken(_)) {
                return;
            }
            desk.phase = phase;
            let batches = desk.clear();
            self.room.notify_all();
            match desk.check(&self.name) {
                Ok(()) => return,
                Err(why) => batches.into_iter().map(|batch| batch.lost(why.again())).collect(),
            }
        };
        let _ = self.link.tasks.close();
        self.crew.lock().kill_all();
        self.lose(losses);
        self.wake();
    }

    /// Whether workers that are missing are to be started.
    pub(super) fn wants_workers(&self) -> bool {
        let desk = self.desk.lock();
        let has_work = match desk.phase {
            Phase::Open => true,
            Phase::Closed => !desk.is_idle(),
            Phase::Terminated | Phase::Broken(_) => false,
        };
        has_work && !is_ending()
    }

    pub(super) fn tell_progress(&self) {
        if let Some(progress) = &self.progress {
            let totals = self.desk.lock().totals;
            call::run(|| progress(Progress { totals }));
        }
    }

    /// All workers have ended.
    pub(super) fn set_over(&self) {
        *self.over.lock() = true;
        self.is_over.notify_all();
    }

    /// Waits until all workers have ended and the collector with them; whether they have.
    pub(super) fn wait_over(&self, until: Deadline) -> bool {
        wait_for(&self.is_over, &mut self.over.lock(), until, |over| *over)
    }

    /// The same as `join` asks for it.
    pub(super) fn join(&self, until: Deadline) -> Result<()> {
        self.check()?;
        if matches!(self.desk.lock().phase, Phase::Open) {
            let text = format!(
                "pool {:?} is open: call close or terminate before join, or it would wait for ever",
                self.name
            );
            return Err(Error::of(ErrorKind::InvalidInput, text));
        }
        call::check_waiting(self.id)?;
        if self.wait_over(until) { Ok(()) } else { Err(Error::simple(ErrorKind::Timeout)) }
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (phase, totals) = {
            let desk = self.desk.lock();
            (format!("{:?}", desk.phase), desk.totals)
        };
        f.debug_struct("Pool")
            .field("name", &self.name)
            .field("phase", &phase)
            .field("given", &totals.given)
            .field("done", &totals.settled)
            .finish_non_exhaustive()
    }
}
