//! Orders: giving them, waiting for what comes of them, with a deadline.

use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::board::{BEFORE, RESULTS, Seat};
use super::director::{Director, name};
use super::order::{Code, Order};
use super::patience::Patience;
use super::threads;
use super::trouble::{Outcome, Trouble};

/// How long others wait for a stopped victim that may hold something, before it is let go.
const GRACE: Duration = Duration::from_millis(60);

/// What an actor answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: Code,
    pub(crate) results: Vec<u64>,
}

impl Director {
    /// Gives an order and does not wait.
    pub(crate) fn order(&mut self, seat: usize, order: Order) {
        self.give(seat, order, false);
    }

    /// Gives the order under test.
    pub(crate) fn mark(&mut self, seat: usize, order: Order) {
        self.give(seat, order, true);
    }

    fn give(&mut self, seat: usize, order: Order, marked: bool) {
        let place = self.seat(seat);
        place.tell(order);
        place.marked.store(marked.into(), Relaxed);
        place.stage.store(BEFORE, Relaxed);
        place.command();
    }

    /// Waits for the end of an order.
    pub(crate) fn finish(&mut self, seat: usize) -> Outcome<Answer> {
        let place = self.seat(seat);
        self.wait_for(
            |_| place.is_finished(),
            |_, nap| {
                place.await_finished(Instant::now() + nap);
            },
            || format!("{} does not finish {}", name(seat), doing(place)),
        )?;
        Ok(Answer { code: Code::of(place.code.load(Relaxed)), results: self.results(seat) })
    }

    /// What the actor has answered so far; it may have died since.
    pub(crate) fn results(&self, seat: usize) -> Vec<u64> {
        let place = self.seat(seat);
        let count = (place.count.load(Relaxed) as usize).min(RESULTS);
        place.results[..count].iter().map(|result| result.load(Relaxed)).collect()
    }

    /// Gives an order and waits for its end.
    pub(crate) fn call(&mut self, seat: usize, order: Order) -> Outcome<Answer> {
        self.order(seat, order);
        self.finish(seat)
    }

    /// The same, and it must end well.
    pub(crate) fn must(&mut self, seat: usize, order: Order) -> Outcome<Vec<u64>> {
        self.order(seat, order);
        self.finish_well(seat)
    }

    pub(crate) fn finish_well(&mut self, seat: usize) -> Outcome<Vec<u64>> {
        let answer = self.finish(seat)?;
        if answer.code == Code::Fine {
            return Ok(answer.results);
        }
        Err(self.unexpected(seat, &answer))
    }

    pub(crate) fn unexpected(&self, seat: usize, answer: &Answer) -> Trouble {
        let place = self.seat(seat);
        let said = if answer.code == Code::Failed { place.said() } else { String::new() };
        Trouble::Violation(format!(
            "{}: {} ended with {:?} {said}",
            name(seat),
            doing(place),
            answer.code
        ))
    }

    pub(crate) fn is_finished(&self, seat: usize) -> bool {
        self.seat(seat).is_finished()
    }

    /// Waits until the actor sleeps in its order; false if it finished instead.
    pub(crate) fn asleep(&mut self, seat: usize) -> Outcome<bool> {
        let place = self.seat(seat);
        let (pid, tid) = (self.pid(seat), self.tid(seat));
        let mut patience = Patience::new(self.settings.patience);
        let mut seen = 0;
        while !patience.is_over() {
            if place.is_finished() {
                return Ok(false);
            }
            seen = if threads::sleeps(pid, tid) { seen + 1 } else { 0 };
            if seen == 3 {
                return Ok(true);
            }
            std::thread::yield_now();
        }
        Err(Trouble::Hang(format!(
            "{} neither sleeps in {} nor finishes it",
            name(seat),
            doing(place)
        )))
    }

    /// Gives an order that is expected to block, and waits until it does.
    pub(crate) fn lull(&mut self, seat: usize, order: Order) -> Outcome<bool> {
        self.order(seat, order);
        self.asleep(seat)
    }

    /// Waits until `done`.
    pub(crate) fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) -> Outcome {
        self.wait_for(
            done,
            |_, nap| std::thread::sleep(nap.min(Duration::from_micros(30))),
            || what.to_owned(),
        )
    }

    fn wait_for(
        &mut self,
        done: impl Fn(&Self) -> bool,
        nap: impl Fn(&Self, Duration),
        what: impl Fn() -> String,
    ) -> Outcome {
        let started = Instant::now();
        let mut patience = Patience::new(self.settings.patience);
        loop {
            if done(self) {
                return Ok(());
            }
            if self.stopped.is_some() && self.is_excused() && started.elapsed() >= GRACE {
                self.excused += 1;
                self.let_go()?;
                patience = Patience::new(self.settings.patience);
            }
            let Some(left) = patience.left() else {
                let what = what();
                let victim = if self.stopped.is_some() { " (the victim stands still)" } else { "" };
                return Err(Trouble::Hang(format!("{what} within {:?}{victim}", self.patience())));
            };
            nap(self, if self.stopped.is_some() { left.min(GRACE / 4) } else { left });
        }
    }
}

/// The order that an actor was given last.
pub(super) fn doing(seat: &Seat) -> String {
    format!("{:?}", seat.told())
}
