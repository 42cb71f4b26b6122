//! The director: makes the actors, gives orders, and waits for them with a deadline.
//!
//! Seats 0 and 1 are the *sleepers*, seat 2 is the *barger*; the seats above are for *victims*, of
//! which the next one is always being started while the last one is still in use. What the scripts
//! of `scenarios` are written in is here: [`Director::call`], [`Director::asleep`],
//! [`Director::until`], [`Director::conclude`], [`Director::balance`].

use std::fs::File;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use multiproc::testing::Broken;
use multiproc::{Consumer, JoinableQueue, Process};

use super::actor::act;
use super::board::{BEFORE, SEATS, Seat, Shared};
use super::end_verbs::Item;
use super::fates::Fate;
use super::ledger::Ledger;
use super::order::Order;
use super::patience::Patience;
use super::props::Props;
use super::ptrace::{self, Tracee};
use super::trouble::{Outcome, Trouble};
use super::watch;

pub(crate) const FIRST: usize = 0;
pub(crate) const SECOND: usize = 1;
pub(crate) const BARGER: usize = 2;
const VICTIMS: std::ops::Range<usize> = 3..8;

/// How long an actor may take to come up, and to use everything for the first time.
const START: Duration = Duration::from_secs(10);

/// How the actors are set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Bounded slices: waits for a baton that check again by themselves.
    pub(crate) slices: bool,
    /// Looking around before sleeping. Off where instructions are counted.
    pub(crate) spin: bool,
    /// What is broken on purpose.
    pub(crate) broken: Option<Broken>,
    /// How long anybody may take.
    pub(crate) patience: Duration,
}

/// See the head of this file.
#[derive(Debug)]
pub(crate) struct Director {
    board: Shared,
    _file: File,
    path: String,
    pub(crate) props: Props,
    pub(super) settings: Settings,
    players: [Option<Process<()>>; SEATS],
    /// Killed ones that have to be reaped.
    dying: Vec<(usize, Process<()>)>,
    /// The seat of the victim in use.
    pub(super) victim: Option<usize>,
    /// The seat of the next one, which is coming up.
    next: Option<usize>,
    /// The victim, while it stands still.
    pub(super) stopped: Option<Tracee>,
    /// Nobody may wait for the victim that stands.
    pub(super) strict: bool,
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
    /// The director's own end of a queue that is there for one point.
    pub(crate) single: Option<Consumer<Item>>,
    /// The same of a queue of tasks.
    pub(crate) tasks: Option<JoinableQueue<Vec<u8>>>,
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
            dying: Vec::new(),
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
            single: None,
            tasks: None,
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

    pub(crate) fn patience(&self) -> Duration {
        self.settings.patience
    }

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
        let mut patience = Patience::new(START);
        while !self.seat(seat).await_finished(Instant::now() + Duration::from_millis(20)) {
            if patience.is_over() {
                return Err(Trouble::Hang(format!("{} does not come up", name(seat))));
            }
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

    /// The seat of the victim in use.
    pub(crate) fn victim_seat(&self) -> usize {
        self.victim.unwrap_or(VICTIMS.start)
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
        let patience = std::mem::replace(&mut self.settings.patience, START);
        let done = self.must(seat, Order::Warm);
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
            director.players[seat].is_some() || director.dying.iter().any(|one| one.0 == seat)
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
    pub(crate) fn leave_to_reap(&mut self, seat: usize) {
        if let Some(process) = self.players[seat].take() {
            self.dying.push((seat, process));
        }
        if self.victim == Some(seat) {
            self.victim = None;
        }
        watch::child(seat, 0);
    }

    /// Kills the actor of `seat`.
    pub(crate) fn kill(&mut self, seat: usize) -> Outcome {
        if self.players[seat].is_some() {
            let (pid, tid) = (self.pid(seat), self.tid(seat));
            if tid == pid {
                ptrace::end(pid)?;
            } else {
                ptrace::signal_process(pid, libc::SIGKILL)?;
                ptrace::reap_thread(pid, tid)?;
            }
            self.leave_to_reap(seat);
        }
        Ok(())
    }

    /// How many actors there are that nobody has killed.
    pub(crate) fn living(&self) -> usize {
        self.players.iter().flatten().count()
    }

    /// Puts another actor in the place of the one that died there.
    pub(crate) fn recast(&mut self, seat: usize) -> Outcome {
        self.reap(0)?;
        self.spawn(seat)?;
        self.ready(seat)
    }

    /// Waits for all but the `keep` last of the dead.
    pub(crate) fn reap(&mut self, keep: usize) -> Outcome {
        while self.dying.len() > keep {
            let (seat, process) = self.dying.remove(0);
            watch::doing(&format!("reaping actor {seat}"));
            if process.join().is_ok() {
                return Err(Trouble::Fault(format!("{} left in order", name(seat))));
            }
        }
        Ok(())
    }

    /// Kills the actor of `seat`, which may not have come up yet.
    pub(crate) fn kill_unready(&mut self, seat: usize) -> Outcome {
        if let Some(process) = &self.players[seat] {
            process.handle().kill()?;
            self.leave_to_reap(seat);
        }
        Ok(())
    }

    /// Ends all actors, the hung ones too.
    pub(crate) fn close(mut self) -> Outcome {
        self.stopped = None;
        for seat in 0..SEATS {
            // One that never came up has told no number.
            if self.pid(seat) == 0 { self.kill_unready(seat)? } else { self.kill(seat)? }
        }
        self.reap(0)
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
