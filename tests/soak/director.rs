//! The director: rounds, kills and stops, the watchdog.

use std::process::ExitCode;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use multiproc::{Pool, Process, Result, Shared, testing};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::actor::{Chance, Start, WORKS, play};
use super::books::{GIFT, Has, Past, faults};
use super::crowd;
use super::ledger::{LIVES, Log, SEATS, count, now};
use super::objects::Objects;

/// A round takes so long, or a quarter of the whole if that is less.
const ROUND: Duration = Duration::from_secs(3);
/// Between two kills or stops.
const PAUSE: Duration = Duration::from_millis(12);
/// A process is stopped for at most so long.
const STOP: Duration = Duration::from_millis(80);
/// Whoever is longer at one thing hangs. All that is done takes milliseconds, and the machine has others to serve.
const PATIENCE: Duration = Duration::from_secs(30);
/// After so long a run has what it will always have.
const WARM: Duration = Duration::from_secs(60);

/// Stopped processes, and when they are to go on. A thread that uses nothing shared sees to it: whoever is stopped may hold what the
/// director needs.
static STOPPED: Mutex<Vec<(Pid, Instant)>> = Mutex::new(Vec::new());

/// What other threads look at.
pub(crate) struct State {
    /// The director was at work then.
    beat: AtomicU64,
    pub(crate) pool_since: AtomicU64,
    pub(crate) pool_calls: AtomicU64,
}

static STATE: State =
    State { beat: AtomicU64::new(0), pool_since: AtomicU64::new(0), pool_calls: AtomicU64::new(0) };
static IS_OVER: AtomicBool = AtomicBool::new(false);

/// What a run came to.
#[derive(Debug, Default)]
struct Tally {
    rounds: u64,
    lives: u64,
    kills: u64,
    stops: u64,
    operations: u64,
    hangs: u64,
    violations: u64,
}

/// An actor that lives.
struct Actor {
    process: Process<Result<()>>,
    past: Past,
}

impl Actor {
    fn pid(&self) -> Pid {
        Pid::from_raw(self.process.id().cast_signed())
    }

    fn signal(&self, signal: Signal) {
        // It may have ended; that is seen when it is joined.
        let _ = kill(self.pid(), signal);
    }

    /// What it has been at for too long.
    fn hangs_in(&self) -> Option<String> {
        let waited = now().saturating_sub(self.past.log.since.load(SeqCst));
        (Duration::from_millis(waited) >= PATIENCE).then(|| self.is_at())
    }

    /// What it is at, and for how long.
    fn is_at(&self) -> String {
        let log = &self.past.log;
        let waited = now().saturating_sub(log.since.load(SeqCst));
        let work = match log.work.load(SeqCst) {
            0 => "nothing",
            work => WORKS[work as usize - 1].0,
        };
        let id = self.process.id();
        let asleep = std::fs::read_to_string(format!("/proc/{id}/wchan")).unwrap_or_default();
        let life = self.past.life;
        format!("life {life}, process {id}, is at: {work}, for {waited} ms, in {asleep}")
    }
}

struct Round<'a> {
    objects: Objects,
    actors: Vec<Actor>,
    past: Vec<Past>,
    slices: bool,
    only: Option<usize>,
    chance: &'a mut Chance,
    tally: &'a mut Tally,
}

/// The number that somebody asked for.
pub(crate) fn wish(text: Option<String>) -> Option<u64> {
    text.and_then(|text| text.parse().ok())
}

pub(crate) fn main() -> ExitCode {
    let seconds = wish(std::env::args().nth(1)).unwrap_or(10);
    let seed = wish(std::env::var("SOAK_SEED").ok()).unwrap_or_else(now);
    println!("soak: {seconds} s, SOAK_SEED={seed}");
    watch();
    let (pool, user) = crowd::start(&STATE, &IS_OVER);
    let mut tally = Tally::default();
    let begun = Instant::now();
    let end = begun + Duration::from_secs(seconds);
    let round = ROUND.min(Duration::from_secs(seconds) / 4);
    let (mut chance, mut before) = (Chance(seed), None);
    while Instant::now() < end && tally.hangs + tally.violations == 0 {
        if let Err(error) = play_round(round, &pool, &mut chance, &mut tally) {
            tally.violations += 1;
            println!("soak: VIOLATION: {error}");
        }
        tally.rounds += 1;
        let is_warm = begun.elapsed() >= WARM.min(Duration::from_secs(seconds) / 3);
        compare(&mut before, is_warm, &mut tally);
    }
    IS_OVER.store(true, SeqCst);
    if let Err(error) = user.join().expect("no result of the pool is wrong") {
        tally.violations += 1;
        println!("soak: VIOLATION: pool: {error}");
    }
    let Tally { rounds, lives, kills, stops, operations, hangs, violations } = tally;
    let calls = STATE.pool_calls.load(SeqCst);
    println!(
        "soak: seconds={} rounds={rounds} lives={lives} kills={kills} stops={stops} operations={operations} \
         pool={calls} hangs={hangs} violations={violations} SOAK_SEED={seed}",
        begun.elapsed().as_secs()
    );
    ExitCode::from(u8::from(hangs + violations > 0))
}

fn stopped() -> MutexGuard<'static, Vec<(Pid, Instant)>> {
    STOPPED.lock().expect("nobody panics with it")
}

/// Has stopped processes go on when it is time.
fn let_go() {
    while !IS_OVER.load(SeqCst) {
        std::thread::sleep(Duration::from_millis(1));
        stopped().retain(|&(pid, until)| {
            let is_early = Instant::now() < until;
            if !is_early {
                let _ = kill(pid, Signal::SIGCONT);
            }
            is_early
        });
    }
}

/// Ends the run if the director itself, or the pool, does nothing for long.
fn watch() {
    for word in [&STATE.beat, &STATE.pool_since] {
        word.store(now(), SeqCst);
    }
    std::thread::spawn(let_go);
    std::thread::spawn(|| {
        while !IS_OVER.load(SeqCst) {
            std::thread::sleep(Duration::from_secs(1));
            for (who, word) in [("the director", &STATE.beat), ("the pool", &STATE.pool_since)] {
                let waited = Duration::from_millis(now().saturating_sub(word.load(SeqCst)));
                if waited > 2 * PATIENCE {
                    println!("soak: HANG: {who} does nothing for {waited:?}");
                    std::process::abort();
                }
            }
        }
    });
}

/// Compares what there is with what there was when the run was warm. What the dead had goes within moments.
fn compare(before: &mut Option<Has>, is_warm: bool, tally: &mut Tally) {
    let mut has = Has::now();
    let limit = Instant::now() + PATIENCE;
    while before.is_some_and(|before| has.exceeds(&before)) && Instant::now() < limit {
        STATE.beat.store(now(), SeqCst);
        std::thread::sleep(Duration::from_millis(5));
        has = Has::now();
    }
    match before {
        None if is_warm => {
            println!("soak: warm: {has}");
            *before = Some(has);
        }
        Some(before) if has.exceeds(before) => {
            tally.violations += 1;
            println!("soak: VIOLATION: left behind: {before} became {has}");
        }
        _ if tally.rounds.is_multiple_of(12) => {
            println!(
                "soak: {} rounds, {} kills, {} stops: {has}",
                tally.rounds, tally.kills, tally.stops
            );
        }
        _ => {}
    }
}

fn play_round(time: Duration, pool: &Pool, chance: &mut Chance, tally: &mut Tally) -> Result<()> {
    let slices = tally.rounds % 2 == 1;
    testing::set_slices(slices);
    let objects = Objects::new()?;
    let (actors, past) = (Vec::new(), Vec::new());
    let only = choose(chance);
    let mut round = Round { objects, actors, past, slices, only, chance, tally };
    for seat in 0..SEATS {
        let actor = round.start(seat)?;
        round.actors.push(actor);
    }
    let end = Instant::now() + time;
    while Instant::now() < end && round.past.len() + SEATS < LIVES && round.tally.hangs == 0 {
        STATE.beat.store(now(), SeqCst);
        std::thread::sleep(PAUSE.mul_f64(round.chance.below(1000) as f64 / 500.0));
        round.strike(pool)?;
        if round.chance.below(2) == 0 {
            round.all_get_on();
        }
        round.look();
    }
    round.end()
}

/// What the next round is about: everything, or one thing, which all do at once.
fn choose(chance: &mut Chance) -> Option<usize> {
    let chosen = chance.below(2 * WORKS.len() as u64) as usize;
    // Starting processes is slow, and is met often enough.
    WORKS.get(chosen).filter(|(_, often, _)| *often > 1).map(|_| chosen)
}

impl Round<'_> {
    fn start(&mut self, seat: usize) -> Result<Actor> {
        let life = (self.past.len() + self.actors.len()) as u64;
        let log = Shared::new(Log::new())?;
        let start = Start {
            objects: self.objects.clone(),
            log: log.clone(),
            seat,
            life,
            seed: self.chance.below(u64::MAX),
            slices: self.slices,
            only: self.only,
            broken: wish(std::env::var("SOAK_BROKEN").ok()).map(|number| number as u32),
        };
        self.objects.ledger.in_two[seat].store(0, SeqCst);
        let process = Process::spawn(play, (start,))?;
        self.tally.lives += 1;
        Ok(Actor { process, past: Past { life, log, was_killed: false } })
    }

    /// Kills or stops somebody.
    fn strike(&mut self, pool: &Pool) -> Result<()> {
        let full = self.actors.iter().position(|actor| !actor.past.log.has_room());
        let seat = full.unwrap_or(self.chance.below(SEATS as u64) as usize);
        let ticket = if full.is_some() { 9 } else { self.chance.below(10) };
        if ticket == 0 {
            let workers = pool.workers();
            if let Some(worker) = workers.get(self.chance.below(8) as usize) {
                let _ = kill(Pid::from_raw(worker.id().cast_signed()), Signal::SIGKILL);
                self.tally.kills += 1;
            }
        } else if self.slices && ticket < 6 {
            let time = STOP.mul_f64(self.chance.below(1000) as f64 / 1000.0);
            let actor = &self.actors[seat];
            actor.signal(Signal::SIGSTOP);
            stopped().push((actor.pid(), Instant::now() + time));
            self.tally.stops += 1;
        } else {
            let life = self.actors[seat].past.life;
            self.objects.ledger.condemned[life as usize].store(1, SeqCst);
            self.actors[seat].signal(Signal::SIGKILL);
            self.actors[seat].past.was_killed = true;
            let next = self.start(seat)?;
            let dead = std::mem::replace(&mut self.actors[seat], next);
            self.bury(dead);
            self.tally.kills += 1;
        }
        Ok(())
    }

    /// Joins an actor: it was killed, or left without an error.
    fn bury(&mut self, actor: Actor) {
        let Actor { mut process, past, .. } = actor;
        let ended = process.join_timeout(PATIENCE);
        let is_well = match &ended {
            Ok(Some(ended)) => ended.is_ok(),
            Err(error) => {
                past.was_killed && error.child().and_then(|child| child.signal()) == Some(9)
            }
            Ok(None) => false,
        };
        if !is_well {
            self.tally.violations += 1;
            println!("soak: VIOLATION: life {}: {ended:?}", past.life);
        }
        self.tally.operations += past.log.turns.load(SeqCst);
        self.past.push(past);
    }

    /// Sees to it that everybody gets on.
    fn look(&mut self) {
        for actor in &mut self.actors {
            if let Some(hang) = actor.hangs_in() {
                self.tally.hangs += 1;
                println!("soak: HANG: {hang}");
            }
        }
    }

    /// Without help from anybody who comes new, all do something.
    fn all_get_on(&mut self) {
        let turns = |actor: &Actor| actor.past.log.turns.load(SeqCst);
        let before: Vec<_> = self.actors.iter().map(turns).collect();
        let limit = Instant::now() + PATIENCE;
        loop {
            STATE.beat.store(now(), SeqCst);
            // Who can receive no more is in the others' way.
            let is_full = self.actors.iter().any(|actor| !actor.past.log.has_room());
            let late: Vec<_> = self
                .actors
                .iter()
                .zip(&before)
                .filter(|(actor, before)| turns(actor) == **before)
                .collect();
            if late.is_empty() || is_full {
                return;
            }
            if Instant::now() > limit {
                for (actor, _) in late {
                    println!("soak: HANG: {}", actor.is_at());
                    self.tally.hangs += 1;
                }
                return;
            }
            std::thread::sleep(Duration::from_micros(50));
        }
    }

    /// Ends all waits that have no limit.
    fn close(&self) -> Result<()> {
        let objects = &self.objects;
        objects.stop.set();
        objects.small.close()?;
        objects.large.close()?;
        objects.tasks.close()?;
        let gate = objects.gate.lock().or_else(|_| objects.gate.recover())?;
        objects.ledger.credits.fetch_add(GIFT, SeqCst);
        objects.condition.notify_all();
        drop(gate);
        objects.barrier.abort()
    }

    /// All leave, and the books agree.
    fn end(mut self) -> Result<()> {
        self.all_get_on();
        self.close()?;
        let limit = Instant::now() + PATIENCE;
        while self.actors.iter().any(|actor| actor.process.is_alive()) && Instant::now() < limit {
            STATE.beat.store(now(), SeqCst);
            // Somebody may have cleared it, and reset the barrier.
            self.objects.event.set();
            self.objects.barrier.abort()?;
            std::thread::sleep(Duration::from_millis(1));
        }
        for actor in std::mem::take(&mut self.actors) {
            if actor.process.is_alive() {
                self.tally.hangs += 1;
                println!("soak: HANG: does not leave: {}", actor.is_at());
                if actor.past.log.is_told.load(SeqCst) == 0 {
                    println!("soak: its sleeper was not told of the end");
                }
                actor.signal(Signal::SIGABRT);
            } else {
                self.bury(actor);
            }
        }
        if self.tally.hangs == 0 {
            for fault in faults(&self.objects, &self.past)? {
                self.tally.violations += 1;
                println!("soak: VIOLATION: {fault}");
            }
        }
        count(&STATE.beat);
        Ok(())
    }
}

/// Nobody outlives a round that failed.
impl Drop for Round<'_> {
    fn drop(&mut self) {
        self.actors.iter().for_each(|actor| actor.signal(Signal::SIGKILL));
    }
}
