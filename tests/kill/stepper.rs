//! One victim, one point: brings it there by single steps, lets its fate strike, lets the script
//! judge. And the choice of the points.
//!
//! The first victim of a scenario is stepped to the end of its operation, and the way it takes is
//! noted ([`Trace`]): every address, where it slept, which instructions are worth a kill on both
//! sides (locked ones, system calls). A later victim is run by a debug register to an address shortly
//! before its point, as many times as the noted way comes there, and stepped from there; so a point
//! costs about the same wherever it lies, behind many turns of a loop too. That needs the same
//! addresses in every victim, hence no address space randomisation (`main` sees to it); where that,
//! or the register, is not to be had, every step is made.
//!
//! A victim may leave the noted way: what it finds in shared memory differs. Then the point is tried
//! once more by plain steps.

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use super::board::AFTER;
use super::director::Director;
use super::fates::Fate;
use super::order::Verb;
use super::patience::Patience;
use super::ptrace::{self, Halt, Running, Stopped, Tracee};
use super::remains::Changes;
use super::sampler::Choice;
use super::scenarios::Scenario;
use super::threads;
use super::trouble::{Outcome, Trouble};
use super::watch;

/// More instructions than this are not stepped.
pub(crate) const ENDLESS: usize = 300_000;
/// After so many the watchdog is told that there was one more.
const BEAT: usize = 1000;

/// Where fate strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Point {
    /// After so many instructions of the operation.
    After(usize),
    /// In its sleep of this number, counted from 1.
    Asleep(usize),
}

impl std::fmt::Display for Point {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::After(usize::MAX) => write!(f, "after the operation"),
            Self::After(count) => write!(f, "after instruction {count}"),
            Self::Asleep(count) => write!(f, "asleep for the {count}. time"),
        }
    }
}

/// The way of a victim through its operation.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    /// The address of the next instruction, after so many.
    addresses: Vec<usize>,
    /// What is at each address, and when the victim was there.
    places: HashMap<usize, Place>,
    /// The steps that slept, by the number of instructions before.
    sleeps: Vec<usize>,
    /// How many instructions before those that are worth a kill on both sides.
    keen: Vec<usize>,
    changes: Changes,
}

/// An address on the way of a victim.
#[derive(Debug)]
struct Place {
    /// After how many instructions it is the next one.
    visits: Vec<usize>,
    /// Whether a kill is worth it on both sides of the instruction.
    is_keen: bool,
}

impl Trace {
    /// One that also tells which points differ to others.
    pub(crate) fn with_changes() -> Self {
        Self { changes: Changes::wanted(), ..Self::default() }
    }

    /// Instructions of the operation.
    pub(crate) fn len(&self) -> usize {
        self.addresses.len().saturating_sub(1)
    }

    /// The points that are wanted.
    pub(crate) fn points(&self, choice: Choice, seed: u64) -> Vec<Point> {
        let after: Vec<usize> = match choice {
            Choice::Sample(count) if count <= self.len() => return self.sample(count, seed),
            Choice::Sample(_) | Choice::Each => (0..=self.len()).collect(),
            Choice::Different(most) => self.changes.some(most, seed),
        };
        after.into_iter().map(Point::After).chain(self.naps()).collect()
    }

    /// Whether these are all at which a death leaves something different.
    pub(crate) fn is_whole(&self, choice: Choice) -> bool {
        match choice {
            Choice::Sample(_) => false,
            Choice::Different(most) => self.changes.steps().len() <= most,
            Choice::Each => true,
        }
    }

    /// All points, those far apart first and the ones in between later.
    pub(crate) fn finer_and_finer(&self) -> impl Iterator<Item = Point> {
        let gaps = (0..usize::BITS).rev().map(|bit| 1 << bit).filter(|&gap| gap <= self.len());
        gaps.flat_map(|gap| (gap..=self.len()).step_by(2 * gap)).map(Point::After)
    }

    fn naps(&self) -> impl Iterator<Item = Point> {
        (1..=self.sleeps.len()).map(Point::Asleep)
    }

    /// About `count` points: both sides of what is worth it, every sleep and what follows it, and the
    /// rest evenly. Where there are more, `seed` says which of them.
    pub(crate) fn sample(&self, count: usize, seed: u64) -> Vec<Point> {
        let mut after = HashSet::new();
        let first = (seed % self.keen.len().max(1) as u64) as usize;
        for &step in self.keen.iter().cycle().skip(first).take(self.keen.len().min(count / 2)) {
            after.extend([step, step + 1]);
        }
        for &step in &self.sleeps {
            after.extend([step + 1, step + 2, step + 8]);
        }
        let rest = count.saturating_sub(after.len()).max(count / 3).max(2);
        // The ends always; in between they begin elsewhere each day.
        let gap = (self.len() / (rest - 1)).max(1);
        let offset = (seed % gap as u64) as usize;
        after.extend((0..rest).map(|index| index * self.len() / (rest - 1) + offset));
        after.extend([0, self.len()]);
        let mut after = after.into_iter().filter(|&step| step <= self.len()).collect::<Vec<_>>();
        after.sort_unstable();
        after.into_iter().map(Point::After).chain(self.naps()).collect()
    }

    fn note(&mut self, tracee: &Stopped) -> Outcome {
        self.changes.note(tracee, self.addresses.len())?;
        let address = tracee.next();
        let place = self.places.entry(address).or_insert_with(|| {
            let code = tracee.code(address).unwrap_or_default();
            let is_keen = ptrace::is_locked(&code) || ptrace::is_call(&code);
            Place { visits: Vec::new(), is_keen }
        });
        if place.is_keen {
            self.keen.push(self.addresses.len());
        }
        place.visits.push(self.addresses.len());
        self.addresses.push(address);
        Ok(())
    }

    /// How far a victim that is at `from` is best run on its way to `to`, and how many times it comes to the address there: so that
    /// these and the steps that are left are few.
    fn run_to(&self, from: usize, to: usize) -> Option<(usize, usize)> {
        let barrier = self.sleeps.iter().copied().find(|&step| step >= from).unwrap_or(usize::MAX);
        let to = to.min(barrier).min(self.len());
        let mut best = (None, to.saturating_sub(from));
        for step in (from + 4..=to).rev() {
            if to - step >= best.1 {
                break;
            }
            let address = self.addresses[step];
            let visits = &self.places[&address].visits;
            let hits =
                visits.partition_point(|&it| it <= step) - visits.partition_point(|&it| it <= from);
            // To a place in a loop another victim may come more often or less. If that is found out, all steps are made.
            let doubt = if hits == 1 { 0 } else { hits + self.len() / 50 };
            // Where it stands, the register would stop it at once.
            if address != self.addresses[from] && to - step + doubt < best.1 {
                best = (Some((step, hits)), to - step + doubt);
            }
        }
        best.0
    }
}

/// Where the victim ended up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reached {
    /// It came to the end of its operation before the point.
    pub(crate) over: bool,
    /// It did not take the noted way.
    pub(crate) strayed: bool,
    /// The next instruction; 0 if it slept.
    pub(crate) address: usize,
}

/// Plays one point. Without a trace all steps are made, and `record` notes them.
pub(crate) fn play(
    director: &mut Director,
    scenario: &Scenario,
    point: Point,
    trace: Option<&Trace>,
    record: Option<&mut Trace>,
    reached: &mut Option<Reached>,
) -> Outcome {
    watch::doing(&format!("{} {:?} {point}", scenario.name, director.fate));
    director.begin_point();
    let victim = director.victim(scenario.cold)?;
    director.prepare_next()?;
    scenario.arrange(director, victim)?;
    let (pid, tid) = (director.pid(victim), director.tid(victim));
    let tracee = Running::seize(pid, tid)?;
    let (all, here) = threads::processors();
    // On one processor a step costs half.
    threads::run_on(tid, &here);
    director.mark(victim, scenario.order(director));
    let at = begun(tracee)?;
    if director.fate == Fate::Late {
        at.watch_exit()?;
    }
    threads::run_on(0, &here);
    let mut walk =
        Walk { director, scenario, victim, trace, record, step: 0, naps: 0, address: at.next() };
    let walked = walk.to(at, point);
    let Walk { director, step, address, .. } = walk;
    threads::run_on(0, &all);
    threads::run_on(tid, &all);
    let (tracee, over, strayed) = match walked {
        Ok(Arrived::Here(at)) => (Tracee::Stopped(at), false, false),
        Ok(Arrived::Asleep(sleeper)) => (Tracee::Running(sleeper), false, false),
        Ok(Arrived::Over { strayed, at }) => (Tracee::Stopped(at), true, strayed),
        Err(trouble) => {
            *reached = Some(Reached { over: false, strayed: false, address });
            return Err(trouble);
        }
    };
    let slept = matches!(tracee, Tracee::Running(_));
    *reached = Some(Reached { over, strayed, address: tracee.next() });
    let is_woken = trace.is_some_and(|trace| trace.sleeps.iter().any(|&nap| step == nap + 1));
    let is_outside = slept || step == 0 || is_woken || director.reached(victim) == AFTER;
    // Nobody may wait for a victim that has not begun, that sleeps, that has just been woken (a
    // sleeper holds nothing), or that has finished. Whether it has the lock, the lock tells; an event
    // is never held. Elsewhere it may be inside a queue or a semaphore.
    let strict = is_outside || !scenario.may_be_inside();
    director.strike(tracee, strict)?;
    scenario.after(director, victim)
}

/// Waits until the victim stands at the beginning of its operation.
fn begun(victim: Running) -> Outcome<Stopped> {
    match victim.wait_awake(Instant::now() + ptrace::SLOW)? {
        Halt::Trap(at) => Ok(at),
        halt => Err(Trouble::Fault(format!("the victim does not begin: {halt:?}"))),
    }
}

/// Where a walk ended.
enum Arrived {
    /// At its point, standing.
    Here(Stopped),
    /// At its point, asleep.
    Asleep(Running),
    /// Not at its point: the operation is over, or the way was another one.
    Over { strayed: bool, at: Stopped },
}

/// Where a step ended: the victim stands behind it, or sleeps in it, which is its point.
type Stepped = ControlFlow<Running, Stopped>;

struct Walk<'a> {
    director: &'a mut Director,
    scenario: &'a Scenario,
    victim: usize,
    trace: Option<&'a Trace>,
    record: Option<&'a mut Trace>,
    step: usize,
    naps: usize,
    /// The next instruction when the victim stood last.
    address: usize,
}

impl Walk<'_> {
    fn is_over(&self) -> bool {
        self.director.reached(self.victim) == AFTER
    }

    /// Brings the victim, which stands at its beginning, to its point.
    fn to(&mut self, mut at: Stopped, point: Point) -> Outcome<Arrived> {
        let mut segment = true;
        loop {
            self.address = at.next();
            if self.is_over() {
                return Ok(Arrived::Over { strayed: false, at });
            }
            if let Some(record) = self.record.as_deref_mut() {
                record.note(&at)?;
            }
            let left = match point {
                Point::After(step) if step == self.step => return Ok(Arrived::Here(at)),
                Point::After(step) => step,
                Point::Asleep(_) => usize::MAX,
            };
            let trace = self.trace.filter(|_| segment);
            segment = false;
            let target = trace.and_then(|trace| trace.run_to(self.step, left));
            if let (Some((target, hits)), Some(trace)) = (target, trace) {
                let address = trace.addresses[target];
                at = run_to(at, address, hits, self.scenario.verb == Verb::Start)?;
                if at.next() != address {
                    return Ok(Arrived::Over { strayed: true, at });
                }
                self.step = target;
                continue;
            }
            if self.step.is_multiple_of(BEAT) {
                watch::goes_on();
            }
            let naps = self.naps;
            at = match at.step_by(|victim| self.advance(victim, point))? {
                Stepped::Continue(at) => at,
                Stepped::Break(sleeper) => return Ok(Arrived::Asleep(sleeper)),
            };
            if self.step == ENDLESS {
                return Err(Trouble::Fault(format!("{ENDLESS} instructions and no end")));
            }
            if self.naps != naps {
                segment = true;
                if let Some(record) = self.record.as_deref_mut() {
                    record.sleeps.push(self.step);
                }
            }
            self.step += 1;
        }
    }

    /// Waits for the trap; meanwhile somebody wakes a victim that sleeps, unless that is its point.
    fn advance(&mut self, victim: Running, point: Point) -> Outcome<Stepped> {
        let mut patience = Patience::new(self.director.patience().max(Duration::from_secs(1)));
        let mut running = victim;
        let mut sleeper = loop {
            let left = patience.left();
            running = match running.wait(Instant::now() + left.unwrap_or_default())? {
                Halt::Asleep(sleeper) => break sleeper,
                Halt::Late(running) if left.is_some() => running,
                halt => return trapped(halt).map(Stepped::Continue),
            };
        };
        self.naps += 1;
        if point == Point::Asleep(self.naps) {
            return Ok(Stepped::Break(sleeper));
        }
        let mut turn = self.naps;
        loop {
            self.scenario.asleep(self.director, turn)?;
            turn += 1;
            sleeper = match sleeper.wait_awake(Instant::now() + Duration::from_millis(10))? {
                Halt::Late(sleeper) if !patience.is_over() => sleeper,
                Halt::Late(_) => return Err(Trouble::Hang("the victim is not woken".into())),
                halt => return trapped(halt).map(Stepped::Continue),
            };
        }
    }
}

/// Runs a victim to the instruction at `address`, to which it comes for the so-manieth time then, or to where it sleeps: not where
/// the first one slept. When woken it would run on, and nobody would stop it. But one that `awaits_child` is woken by the end of the
/// process that it has started, and goes on to the address; the first one was so slow that it found the process ended.
fn run_to(at: Stopped, address: usize, hits: usize, awaits_child: bool) -> Outcome<Stopped> {
    let mut running = at.run_to(address)?;
    let mut hit = 1;
    loop {
        let at = match running.wait(Instant::now() + ptrace::SLOW)? {
            Halt::Asleep(sleeper) if awaits_child => {
                match sleeper.wait_awake(Instant::now() + ptrace::SLOW)? {
                    Halt::Late(sleeper) => sleeper.stop_process()?,
                    halt => trapped(halt)?,
                }
            }
            Halt::Asleep(sleeper) => sleeper.stop_process()?,
            halt => trapped(halt)?,
        };
        if hit == hits || at.next() != address {
            at.clear_run_to()?;
            return Ok(at);
        }
        hit += 1;
        running = at.run()?;
    }
}

/// The victim at its trap, where everything else is wrong.
fn trapped(halt: Halt) -> Outcome<Stopped> {
    match halt {
        Halt::Trap(at) => Ok(at),
        Halt::Late(_) => Err(Trouble::Hang("the victim neither traps nor sleeps".into())),
        Halt::Gone(status) => {
            Err(Trouble::Violation(format!("the victim ended with wait status {status:#x}")))
        }
        halt => Err(Trouble::Violation(format!("the victim ended: {halt:?}"))),
    }
}
