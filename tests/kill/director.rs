//! The director: makes the actors, gives orders, and waits for them with a deadline.
//!
//! Seats 0 and 1 are the *sleepers*, seat 2 is the *barger*; the seats above are for *victims*, of
//! which the next one is always being started while the last one is still in use. What the scripts
//! of `scenarios` are written in is here: [`Director::call`], [`Director::asleep`],
//! [`Director::until`], [`Director::conclude`], [`Director::balance`].
//!
//! **A stopped victim.** Under [`Fate::Stop`] a wait that takes long asks whether the stopped victim
//! may legitimately hold what is waited for. If so it is let go, and the wait starts anew; if not,
//! the wait must end while the victim stands.
//!
//! **A witness.** Under [`Fate::Witness`] the victim, which lives, stands at its point while the
//! script kills somebody else; then it is let go as a stopped one is.

use std::fs::File;
use std::sync::atomic::Ordering::{Acquire, Relaxed};
use std::time::{Duration, Instant};

use multiproc::Process;
use multiproc::testing::Broken;

use super::actor::{Code, Props, Verb, act};
use super::board::{AFTER, BEFORE, RESULTS, SEATS, Seat, Shared, WITHIN};
use super::ledger::Ledger;
use super::ptrace::{self, Halt, Tracee};
use super::sync_verbs::LOCKS;
use super::watch;

pub(crate) const FIRST: usize = 0;
pub(crate) const SECOND: usize = 1;
pub(crate) const BARGER: usize = 2;
const VICTIMS: std::ops::Range<usize> = 3..8;

/// How long others wait for a stopped victim that may hold something, before it is let go.
const GRACE: Duration = Duration::from_millis(60);

/// Why a point failed.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// Somebody who must finish did not.
    Hang(String),
    /// Somebody finished with the wrong result.
    Violation(String),
    /// The harness itself could not go on.
    Fault(String),
}

impl From<std::io::Error> for Trouble {
    fn from(error: std::io::Error) -> Self {
        Self::Fault(format!("tracing: {error}"))
    }
}

impl From<multiproc::Error> for Trouble {
    fn from(error: multiproc::Error) -> Self {
        Self::Fault(format!("setting up: {error}"))
    }
}

pub(crate) type Outcome<T = ()> = Result<T, Trouble>;

/// What happens to the victim at its point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// SIGKILL.
    Kill,
    /// SIGKILL, but the thread under test dies some milliseconds after the rest of its process.
    Late,
    /// SIGSTOP, and SIGCONT when the others have done what they can.
    Stop,
    /// None: it stands still, under the tracer's hand, while somebody else dies.
    Witness,
}

impl Fate {
    /// Whether the victim lives on.
    pub(crate) fn is_mild(self) -> bool {
        matches!(self, Self::Stop | Self::Witness)
    }
}

/// How the actors are set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Bounded slices: waits for a baton that look again by themselves.
    pub(crate) slices: bool,
    /// Looking around before sleeping. Off where instructions are counted.
    pub(crate) spin: bool,
    /// What is broken on purpose.
    pub(crate) broken: Option<Broken>,
    /// How long anybody may take.
    pub(crate) patience: Duration,
}

/// What an actor answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: Code,
    pub(crate) results: Vec<u64>,
}

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Director {
    board: Shared,
    _file: File,
    path: String,
    pub(crate) props: Props,
    settings: Settings,
    players: [Option<Process<()>>; SEATS],
    /// Killed ones that have to be reaped.
    graves: Vec<(usize, Process<()>)>,
    /// The seat of the victim in use.
    victim: Option<usize>,
    /// The seat of the next one, which is coming up.
    next: Option<usize>,
    /// The victim, while it stands still.
    pub(super) stopped: Option<Tracee>,
    /// Nobody may wait for the victim that stands.
    strict: bool,
    pub(crate) fate: Fate,
    /// Killed or stopped in its sleep.
    pub(crate) slept: bool,
    /// For `ledger`: the last message's number, and the records that went through the queue of pages,
    /// in which nothing is left.
    pub(super) next_id: u64,
    pub(super) pages: usize,
    /// Waits that ended only after the stopped victim was let go.
    pub(crate) excused: usize,
    /// Shared memory that there was when the first victim had made its objects.
    pub(super) memory: Option<u64>,
    pub(crate) ledger: Ledger,
}

impl Director {
    /// A board, the props, and the three who stay.
    pub(crate) fn new(settings: Settings) -> Outcome<Self> {
        let (board, file) = Shared::create()?;
        board.slices.store(settings.slices.into(), Relaxed);
        board.spin.store(settings.spin.into(), Relaxed);
        board.broken.store(settings.broken.map_or(0, |broken| broken as u32), Relaxed);
        let mut director = Self {
            board,
            path: Shared::path(&file),
            _file: file,
            props: Props::new()?,
            settings,
            players: [const { None }; SEATS],
            graves: Vec::new(),
            victim: None,
            next: None,
            stopped: None,
            strict: false,
            fate: Fate::Kill,
            slept: false,
            next_id: 1,
            pages: 0,
            excused: 0,
            memory: None,
            ledger: Ledger::default(),
        };
        match director.cast() {
            Ok(()) => Ok(director),
            Err(trouble) => director.close().and(Err(trouble)),
        }
    }

    fn cast(&mut self) -> Outcome {
        for seat in [FIRST, SECOND, BARGER] {
            self.spawn(seat)?;
        }
        for seat in [FIRST, SECOND, BARGER] {
            self.ready(seat)?;
            self.warm(seat)?;
        }
        Ok(())
    }

    pub(crate) fn seat(&self, seat: usize) -> &'static Seat {
        self.board.seat(seat)
    }

    pub(crate) fn board(&self) -> Shared {
        self.board
    }

    pub(crate) fn patience(&self) -> Duration {
        self.settings.patience
    }

    // Actors.

    /// Starts an actor; it may be commanded once [`Director::ready`].
    pub(crate) fn spawn(&mut self, seat: usize) -> Outcome {
        let place = self.seat(seat);
        place.pid.store(0, Relaxed);
        place.marked.store(0, Relaxed);
        place.stage.store(BEFORE, Relaxed);
        place.order.store(place.finished.load(Relaxed).wrapping_add(1), Relaxed);
        watch::doing(&format!("starting actor {seat}"));
        let arguments = (self.path.clone(), seat as u32, self.props.clone());
        self.players[seat] = Some(Process::spawn(act, arguments)?);
        Ok(())
    }

    pub(crate) fn ready(&mut self, seat: usize) -> Outcome {
        if !self.seat(seat).await_finished(Instant::now() + Duration::from_secs(10)) {
            return Err(Trouble::Hang(format!("{} does not come up", name(seat))));
        }
        watch::child(seat, self.pid(seat));
        Ok(())
    }

    pub(crate) fn pid(&self, seat: usize) -> i32 {
        self.seat(seat).pid.load(Relaxed)
    }

    pub(crate) fn tid(&self, seat: usize) -> i32 {
        self.seat(seat).tid.load(Relaxed)
    }

    /// The seat of a live victim, used to everything unless `cold`.
    pub(crate) fn victim(&mut self, cold: bool) -> Outcome<usize> {
        if let Some(seat) = self.victim {
            return Ok(seat);
        }
        self.reap(2)?;
        let seat = match self.next.take() {
            Some(seat) => seat,
            None => {
                let seat = self.free_seat()?;
                self.spawn(seat)?;
                seat
            }
        };
        self.ready(seat)?;
        if !cold {
            self.warm(seat)?;
        }
        self.victim = Some(seat);
        Ok(seat)
    }

    /// Makes `seat` use everything once. That is not what is under test: there is time for it.
    fn warm(&mut self, seat: usize) -> Outcome {
        let patience = std::mem::replace(&mut self.settings.patience, Duration::from_secs(10));
        let done = self.must(seat, Verb::Warm, [0; 2]);
        self.settings.patience = patience;
        done.map(drop)
    }

    /// Starts the next victim, so that it comes up while this one is at work.
    pub(crate) fn prepare_next(&mut self) -> Outcome {
        if self.next.is_none() && !self.fate.is_mild() {
            let seat = self.free_seat()?;
            self.spawn(seat)?;
            self.next = Some(seat);
        }
        Ok(())
    }

    fn free_seat(&mut self) -> Outcome<usize> {
        let taken = |director: &Self, seat: usize| {
            director.players[seat].is_some() || director.graves.iter().any(|grave| grave.0 == seat)
        };
        if let Some(seat) = VICTIMS.into_iter().find(|&seat| !taken(self, seat)) {
            return Ok(seat);
        }
        self.reap(0)?;
        VICTIMS
            .into_iter()
            .find(|&seat| !taken(self, seat))
            .ok_or_else(|| Trouble::Fault("no free seat for a victim".into()))
    }

    /// Puts the actor of `seat`, which is dead or dying, among those to be reaped.
    pub(crate) fn dead(&mut self, seat: usize) {
        if let Some(process) = self.players[seat].take() {
            self.graves.push((seat, process));
        }
        if self.victim == Some(seat) {
            self.victim = None;
        }
        watch::child(seat, 0);
    }

    /// Kills the actor of `seat`.
    pub(crate) fn bury(&mut self, seat: usize) -> Outcome {
        if self.players[seat].is_some() {
            ptrace::signal_process(self.pid(seat), libc::SIGKILL)?;
            ptrace::bury(self.pid(seat), self.tid(seat))?;
            self.dead(seat);
        }
        Ok(())
    }

    /// Kills the actor of `seat` in the middle of an operation: behind its first locked instruction,
    /// by which it has taken or let go of something, and has told nobody yet.
    pub(crate) fn kill_halfway(&mut self, seat: usize, verb: Verb, arguments: [u64; 2]) -> Outcome {
        let mut tracee = Tracee::seize(self.pid(seat), self.tid(seat))?;
        self.mark(seat, verb, arguments);
        let deadline = Instant::now() + Duration::from_secs(5);
        let mut is_done = false;
        loop {
            match tracee.wait_awake(deadline)? {
                Halt::Trap if is_done => break,
                Halt::Trap if self.reached(seat) != AFTER => {}
                halt => {
                    return Err(Trouble::Fault(format!("no locked instruction: {halt:?}")));
                }
            }
            // Not those before the operation.
            is_done = self.reached(seat) == WITHIN && tracee.is_locked_next();
            tracee.step()?;
        }
        tracee.kill()?;
        self.dead(seat);
        Ok(())
    }

    /// Puts another actor in the place of the one that died there.
    pub(crate) fn recast(&mut self, seat: usize) -> Outcome {
        self.reap(0)?;
        self.spawn(seat)?;
        self.ready(seat)
    }

    /// Waits for all but the `keep` last of the dead.
    pub(crate) fn reap(&mut self, keep: usize) -> Outcome {
        while self.graves.len() > keep {
            let (seat, process) = self.graves.remove(0);
            watch::doing(&format!("reaping actor {seat}"));
            if process.join().is_ok() {
                return Err(Trouble::Fault(format!("{} left in order", name(seat))));
            }
        }
        Ok(())
    }

    /// Kills the actor of `seat`, which may not have come up yet.
    pub(crate) fn slay(&mut self, seat: usize) -> Outcome {
        if let Some(process) = &self.players[seat] {
            process.handle().kill()?;
            self.dead(seat);
        }
        Ok(())
    }

    /// Ends all actors, the hung ones too.
    pub(crate) fn close(mut self) -> Outcome {
        self.stopped = None;
        for seat in 0..SEATS {
            // One that never came up has told no number.
            if self.pid(seat) == 0 { self.slay(seat)? } else { self.bury(seat)? }
        }
        self.reap(0)
    }

    // Orders.

    /// Gives an order and does not wait.
    pub(crate) fn order(&mut self, seat: usize, verb: Verb, arguments: [u64; 2]) {
        self.give(seat, verb, arguments, false);
    }

    /// Gives the order under test.
    pub(crate) fn mark(&mut self, seat: usize, verb: Verb, arguments: [u64; 2]) {
        self.give(seat, verb, arguments, true);
    }

    fn give(&mut self, seat: usize, verb: Verb, arguments: [u64; 2], marked: bool) {
        let place = self.seat(seat);
        place.verb.store(verb as u32, Relaxed);
        place.marked.store(marked.into(), Relaxed);
        place.stage.store(BEFORE, Relaxed);
        for (place, argument) in place.arguments.iter().zip(arguments) {
            place.store(argument, Relaxed);
        }
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
    pub(crate) fn call(&mut self, seat: usize, verb: Verb, arguments: [u64; 2]) -> Outcome<Answer> {
        self.order(seat, verb, arguments);
        self.finish(seat)
    }

    /// The same, and it must end well.
    pub(crate) fn must(
        &mut self,
        seat: usize,
        verb: Verb,
        arguments: [u64; 2],
    ) -> Outcome<Vec<u64>> {
        self.order(seat, verb, arguments);
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
        let deadline = Instant::now() + self.settings.patience;
        let mut seen = 0;
        while Instant::now() < deadline {
            if place.is_finished() {
                return Ok(false);
            }
            seen = if ptrace::sleeps(pid, tid) { seen + 1 } else { 0 };
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
    pub(crate) fn lull(&mut self, seat: usize, verb: Verb, arguments: [u64; 2]) -> Outcome<bool> {
        self.order(seat, verb, arguments);
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
        let mut deadline = started + self.settings.patience;
        loop {
            if done(self) {
                return Ok(());
            }
            let now = Instant::now();
            if self.stopped.is_some() && self.is_excused() && now >= started + GRACE {
                self.excused += 1;
                self.let_go()?;
                deadline = Instant::now() + self.settings.patience;
            }
            if now >= deadline {
                let what = what();
                let victim = if self.stopped.is_some() { " (the victim stands still)" } else { "" };
                return Err(Trouble::Hang(format!("{what} within {:?}{victim}", self.patience())));
            }
            nap(
                self,
                (deadline - now).min(if self.stopped.is_some() {
                    GRACE / 4
                } else {
                    self.settings.patience
                }),
            );
        }
    }

    // The victim's fate.

    /// Clears the ledger and the rest of what is known about the last point.
    pub(crate) fn begin_point(&mut self) {
        self.ledger = Ledger::default();
        self.slept = false;
        self.strict = false;
    }

    /// Lets fate strike. `slept`: the victim was found asleep. `strict`: nobody may depend on it.
    pub(crate) fn strike(&mut self, mut tracee: Tracee, slept: bool, strict: bool) -> Outcome {
        self.slept = slept;
        self.strict = strict;
        let Some(seat) = self.victim else { return Ok(()) };
        match self.fate {
            Fate::Kill => tracee.kill()?,
            Fate::Late => tracee.kill_late(Duration::from_millis(8))?,
            Fate::Stop => {
                tracee.stop(slept)?;
                self.seat(seat).marked.store(0, Relaxed);
                self.stopped = Some(tracee);
                return Ok(());
            }
            Fate::Witness => {
                self.seat(seat).marked.store(0, Relaxed);
                self.stopped = Some(tracee);
                return Ok(());
            }
        }
        self.dead(seat);
        Ok(())
    }

    /// Whether a victim that stands may hold what others wait for.
    pub(crate) fn is_excused(&self) -> bool {
        let Some(seat) = self.victim else { return false };
        !self.strict || (0..LOCKS).any(|which| self.has_lock(seat, which))
    }

    /// Whether the actor holds the lock with this number.
    pub(crate) fn has_lock(&self, seat: usize, which: u64) -> bool {
        let owner = self.props.owner(which);
        owner.is_some_and(|owner| i64::from(owner.pid) == i64::from(self.pid(seat)))
    }

    /// Lets a victim that stands go on; one that sleeps under the tracer's hand has to wake up first.
    pub(super) fn let_go(&mut self) -> Outcome {
        let Some(mut tracee) = self.stopped.take() else { return Ok(()) };
        if self.fate == Fate::Witness && self.slept {
            match tracee.wait_awake(Instant::now() + self.settings.patience)? {
                Halt::Trap => {}
                Halt::Late => {
                    return Err(Trouble::Hang("the witness sleeps, and nobody wakes it".into()));
                }
                halt => return Err(Trouble::Violation(format!("the witness ended: {halt:?}"))),
            }
        }
        Ok(tracee.release()?)
    }

    /// How far the victim came.
    pub(crate) fn reached(&self, seat: usize) -> u32 {
        self.seat(seat).stage.load(Acquire)
    }

    /// Lets a victim that stands go on, and waits until it has done its operation; `help` is called
    /// when that takes long. What it got goes into the ledger. Gives what it answered; a dead one is
    /// not asked.
    pub(crate) fn conclude(
        &mut self,
        seat: usize,
        mut help: impl FnMut(&mut Self) -> Outcome,
    ) -> Outcome<Vec<u64>> {
        if !self.fate.is_mild() {
            return Ok(Vec::new());
        }
        self.let_go()?;
        let deadline = Instant::now() + self.settings.patience;
        while !self.seat(seat).await_finished(Instant::now() + Duration::from_millis(20)) {
            if Instant::now() >= deadline {
                let what = doing(self.seat(seat));
                return Err(Trouble::Hang(format!("the victim, let go, does not finish {what}")));
            }
            help(self)?;
        }
        let results = self.finish_well(seat)?;
        if self.ledger.takes > 0 {
            self.saw(seat, &results);
        }
        Ok(results)
    }
}

/// What an actor is called in a report.
pub(crate) fn name(seat: usize) -> String {
    match seat {
        FIRST => "the first sleeper".into(),
        SECOND => "the second sleeper".into(),
        BARGER => "the barger".into(),
        seat if VICTIMS.contains(&seat) => "the victim".into(),
        seat => format!("actor {seat}"),
    }
}

fn doing(seat: &Seat) -> String {
    format!("{:?}", Verb::of(seat.verb.load(Relaxed)))
}
