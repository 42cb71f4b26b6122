//! The collector: whichever thread gets the news of a pool's workers.
//!
//! A thread that waits for a result collects by itself, so a worker wakes it and no other thread comes between. When it leaves
//! and tasks are still under way, when tasks are given by somebody who does not wait, and when a worker has ended, the pool's own
//! thread is called ([`Bell`](super::crew::Bell)) and collects until nothing is under way. One thread at a time collects: it has the duty.
//! Results of `imap` wait for their user: no more tasks are under way than the workers can have, so nothing stands still for it, and
//! the results are decoded in the thread that uses them.
//!
//! It gets the news of the workers, one queue for all of them, hands results to the calls that wait for them, and puts the next
//! batches on the tasks queue. The process's reaper puts the end of a worker on the same queue, so it comes after all that the
//! worker has put there. Then the collector takes what is left in the worker's tray, judges the batch that it had, puts what
//! it may have taken once more, and starts another worker.
//!
//! # Why somebody always collects
//!
//! Whoever gives tasks then rings the bell, or tries to take the duty. If another thread has it, be it the pool's own, that thread
//! gives the duty back first and then looks at the desk ([`Core::leave`]): it finds the tasks, and rings. It does not for tasks of
//! `imap`; so whoever waits for one of these and cannot have the duty rings by himself. While it has the duty, the
//! pool's thread takes the bell's mark away first and then looks at the desk: it finds the tasks, or is rung again.

use std::sync::Arc;
use std::time::Duration;

use super::board::Phase as Started;
use super::call::{self, Help, Taken};
use super::core::{Core, Duty};
use super::desk::{Expected, Judgement, Phase};
use super::frame::{Kind, Long, NewsHead, Results};
use crate::channel::{Body, HeldBlock};
use crate::error::{Error, ErrorKind, Result};
use crate::handle::Claimed;
use crate::raw::batch::State;
use crate::sys::clock::{self, Deadline};
use crate::sys::thread::{cannot_start, with_signals_blocked};
use parking_lot::MutexGuard;

/// How long it is until a worker that could not be started is tried again.
const AGAIN: Duration = Duration::from_millis(100);
/// After so many starts that failed, none of which did anything, a pool without workers gives up.
const TRIES: u32 = 10;
/// The same where somebody else kills them: that may end.
const TRIES_AMONG_KILLS: u32 = 1000;

/// The pool's thread: collects whenever it is called, until all workers have ended for good.
fn run(core: &Core) {
    loop {
        core.bell.wait();
        let mut duty = core.duty.lock();
        let mut collector = Collector { core, duty: &mut duty };
        call::as_collector(core.id, || collector.collect());
        if collector.is_over() {
            return core.set_over();
        }
        core.leave(duty);
    }
}

impl Help for Core {
    /// The thread that waits for a result collects by itself: the worker wakes it, and no other thread comes between.
    fn help(&self, is_over: &mut dyn FnMut() -> bool, until: Deadline) {
        let Some(mut duty) = self.duty.try_lock() else {
            // Whoever has the duty leaves it before it looks whether there is more to come, and so it sees this thread's tasks,
            // unless they are of a stream.
            if self.desk.lock().has_streams() {
                self.call_collector();
            }
            return;
        };
        call::as_collector(self.id, || {
            let mut collector = Collector { core: self, duty: &mut duty };
            while !is_over() && !collector.is_over() {
                collector.turn(until);
                if until.is_over() {
                    break;
                }
            }
        });
        self.leave(duty);
    }
}

impl Core {
    /// Gives the duty back, then looks whether anything is to come: whoever gave tasks while another thread had the duty waits for
    /// somebody to collect.
    fn leave(&self, duty: MutexGuard<'_, Duty>) {
        let is_starting = duty.start_at != Deadline::NEVER;
        drop(duty);
        if is_starting || self.needs_collector() {
            self.call_collector();
        }
    }
}

/// A thread that collects.
struct Collector<'a> {
    core: &'a Core,
    duty: &'a mut Duty,
}

impl Collector<'_> {
    /// Whether all workers have ended, and no more will start.
    fn is_over(&self) -> bool {
        self.duty.ended.is_empty() && !self.core.wants_workers() && self.core.crew.lock().is_gone()
    }

    /// Collects as long as anything is to come.
    fn collect(&mut self) {
        loop {
            self.core.bell.reset();
            // What came before the reset is there now; what comes later rings once more.
            while self.turn(Deadline::NOW) {}
            if self.is_over()
                || !(self.core.is_expecting() || self.duty.start_at != Deadline::NEVER)
            {
                return;
            }
            self.core.bell.ring();
            self.turn(Deadline::NEVER);
        }
    }

    /// Waits for news and does what follows; whether there was any.
    fn turn(&mut self, until: Deadline) -> bool {
        self.try_turn(until).unwrap_or_else(|error| {
            self.core.stop(Phase::Broken(error.about("the pool cannot go on")));
            true
        })
    }

    fn try_turn(&mut self, until: Deadline) -> Result<bool> {
        let found = self.get(until.earlier(self.duty.start_at).earlier(self.duty.check_at))?;
        if !self.duty.ended.is_empty() {
            // Deaths come together: as many more of them as there may be, without waiting.
            let more = self.core.crew.lock().size();
            for _ in 0..more {
                if !self.get(Deadline::NOW)? {
                    break;
                }
            }
            self.bury();
        }
        if self.duty.start_at.is_over() {
            self.start_missing();
        }
        self.check_times();
        Ok(found)
    }

    /// Takes the next message, if there is one in time; whether there was.
    fn get(&mut self, until: Deadline) -> Result<bool> {
        let news = Arc::clone(&self.duty.news);
        match news.get_parcel(|message, given| self.hear(message, given), until) {
            Err(error) if error.is_timeout() => Ok(false),
            result => result?.map(|()| true),
        }
    }

    /// Does what a message asks for.
    fn hear(&mut self, message: Body<'_>, given: Claimed) -> Result<()> {
        let (head, rest) = NewsHead::read(message.bytes())?;
        if head.kind == Kind::Long
            && let Body::Block(block) = message
        {
            self.long_result(&head, block);
            return Ok(());
        }
        match head.kind {
            Kind::Results | Kind::Long => self.results(&head, rest, given),
            Kind::Ready => self.ready(rest),
            Kind::Failed => {
                let error = postcard::from_bytes(rest).unwrap_or_else(|_| {
                    Error::of(ErrorKind::Corrupted, "an error that cannot be read")
                });
                self.initializer_failed(error);
            }
            Kind::Ended => self.duty.ended.push((head.worker, head.entry)),
            Kind::Wake => {}
        }
        Ok(())
    }

    /// Hands results to their call. Those that it has already are left out: a worker that died may have told them twice.
    fn results(&mut self, head: &NewsHead, bytes: &[u8], given: Claimed) {
        self.hand_over(head, |expected, skip| {
            let left = expected.count - expected.next;
            let results = Results::of(bytes, head.count).range(skip, left);
            expected.call.take(expected.first + expected.next as usize, results, given)
        });
    }

    /// Hands a long result to its call, which may leave it where it lies.
    fn long_result(&mut self, head: &NewsHead, block: HeldBlock) {
        self.hand_over(head, |expected, _| {
            expected.call.take_long(expected.first + expected.next as usize, Long::of(block))
        });
    }

    /// Has `hand` give the results of a message to the call that expects them, but for so many that it has.
    fn hand_over(&mut self, head: &NewsHead, hand: impl FnOnce(&Expected, u32) -> Taken) {
        let core = self.core;
        let expected = core.desk.lock().find(head.entry, head.generation);
        let Some(expected) = expected else { return };
        let Some(skip) = expected.next.checked_sub(head.first).filter(|skip| *skip < head.count)
        else {
            return;
        };
        let taken = hand(&expected, skip);
        self.duty.failed_starts = 0;
        let (done, losses) = {
            let mut desk = core.desk.lock();
            let done = desk.settle(head.entry, head.generation, taken);
            (done, core.refill(&mut desk))
        };
        drop(done);
        core.lose(losses);
        core.tell_progress();
    }

    /// A worker's initializer has returned.
    fn ready(&mut self, result: &[u8]) {
        self.duty.failed_starts = 0;
        let check = self.core.crew.lock().initializer().map(|initializer| initializer.check);
        if let Some(Err(error)) = check.map(|check| check(result)) {
            self.initializer_failed(error);
        }
    }

    fn initializer_failed(&mut self, error: Error) {
        let what = format!("the initializer of pool {:?} failed", self.core.name);
        self.core.stop(Phase::Broken(error.about(&what)));
    }

    /// What follows from the ends of workers.
    fn bury(&mut self) {
        let core = self.core;
        let mut judgements = Vec::new();
        for (worker, number) in std::mem::take(&mut self.duty.ended) {
            let end = core.crew.lock().part(worker, number);
            let Some(end) = end else { continue };
            if end.phase != Started::Ready && !end.is_in_order {
                self.duty.failed_starts += 1;
                let is_initializer = end.phase == Started::Initializing;
                let most = if end.is_killed { TRIES_AMONG_KILLS } else { TRIES };
                if (is_initializer && !end.is_killed) || self.duty.failed_starts >= most {
                    self.start_failed(end.why.again(), is_initializer);
                }
            }
            let tray = core.link.board.line(worker).ok().and_then(|line| line.tray());
            if let Some(tray) = tray {
                let count = Results::count(&tray.bytes);
                let head = NewsHead {
                    kind: Kind::Results,
                    worker,
                    entry: tray.entry,
                    generation: tray.generation,
                    first: tray.first,
                    count,
                };
                self.results(&head, &tray.bytes, Claimed::default());
            }
            let too_long = self.too_long();
            judgements.push((worker, Judgement { retries: core.retries, why: end.why, too_long }));
        }
        let losses = {
            let mut desk = core.desk.lock();
            let mut losses = Vec::new();
            for (worker, judgement) in &judgements {
                losses.extend(desk.judge(&core.link.board, *worker, judgement));
            }
            if let Some((_, judgement)) = judgements.last() {
                losses.extend(desk.put_again(&core.link, &judgement.why));
            }
            losses.extend(core.refill(&mut desk));
            losses
        };
        core.lose(losses);
        core.tell_progress();
        self.start_missing();
    }

    fn too_long(&self) -> Error {
        let time = self.core.timeout.unwrap_or_default();
        let text = format!(
            "a task took longer than the {time:?} that pool {:?} gives it: its worker was killed",
            self.core.name
        );
        Error::of(ErrorKind::Timeout, text)
    }

    fn start_failed(&mut self, why: Error, is_initializer: bool) {
        let what = if is_initializer {
            format!("the initializer of pool {:?} failed", self.core.name)
        } else {
            format!("the workers of pool {:?} cannot start", self.core.name)
        };
        self.core.stop(Phase::Broken(why.about(&what)));
    }

    /// Starts the workers that are missing, unless the pool needs none.
    fn start_missing(&mut self) {
        self.duty.start_at = Deadline::NEVER;
        let missing = self.core.crew.lock().missing();
        for worker in missing {
            // Asked with the crew in hand: whoever stops the pool kills those that are in it.
            let mut crew = self.core.crew.lock();
            if !self.core.wants_workers() {
                return;
            }
            let Err(error) = crew.start(worker) else { continue };
            let is_gone = crew.is_gone();
            drop(crew);
            self.duty.failed_starts += 1;
            if is_gone && self.duty.failed_starts >= TRIES {
                return self.start_failed(error, false);
            }
            self.duty.start_at = Deadline::after(AGAIN);
            return;
        }
    }

    /// Ends the workers whose tasks take too long.
    fn check_times(&mut self) {
        let Some(time) = self.core.timeout else { return };
        if self.duty.check_at != Deadline::NEVER && !self.duty.check_at.is_over() {
            return;
        }
        let limit = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let words = self.core.desk.lock().words(&self.core.link.board);
        let (now, mut left) = (clock::now(), if words.is_empty() { None } else { Some(limit) });
        for (entry, word) in words {
            let Ok(line) = self.core.link.board.line(word.worker()) else { continue };
            let since = line.since();
            if word.state() != State::Begun || since == 0 {
                continue;
            }
            let spent = now.saturating_sub(since);
            if spent < limit {
                left = left.map(|left| left.min(limit - spent));
            } else if self.core.link.board.entry(entry).is_ok_and(|place| place.condemn(word)) {
                self.core.crew.lock().kill(word.worker());
            }
        }
        self.duty.check_at =
            left.map_or(Deadline::NEVER, |left| Deadline::after(Duration::from_nanos(left.max(1))));
    }
}

/// Starts the pool's thread.
pub(super) fn start(core: &Arc<Core>) -> Result<()> {
    let theirs = Arc::clone(core);
    let thread = std::thread::Builder::new().name("multiproc-pool".to_owned());
    let started = with_signals_blocked(|| thread.spawn(move || run(&theirs)));
    started.map(drop).map_err(|error| cannot_start("the thread of a pool", error))
}

#[cfg(test)]
mod tests {
    use crate::pool::Pool;

    #[test]
    fn a_message_that_cannot_be_read_ends_the_pool_with_an_error() {
        let pool = Pool::with_workers(1).unwrap();
        pool.core.tell(b"nonsense");
        let error = pool.map(|x: u32| x, 0..10).unwrap_err();
        assert!(error.is_corrupted(), "{error:?}");
        assert!(error.to_string().starts_with("the pool cannot go on: "), "{error}");
        assert!(pool.apply(|x: u32| x, (1,)).unwrap_err().is_corrupted());
        pool.join().unwrap();
    }
}
