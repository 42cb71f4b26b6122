//! An actor: it does random things until the round is over, or until it is killed.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use multiproc::testing::{self, Broken};
use multiproc::{Error, Result, Shared};
use serde::{Deserialize, Serialize};

use super::ledger::{Log, count, now};
use super::objects::Objects;
use super::{data, far, locks, messages};

/// How long something is waited for that may never come.
pub(crate) const SHORT: Duration = Duration::from_millis(2);

type Work = fn(&mut Actor) -> Result<()>;

/// All that an actor does, and how often: each is as likely as its number says.
pub(crate) const WORKS: &[(&str, u64, Work)] = &[
    ("lock", 6, locks::lock),
    ("rlock", 4, locks::rlock),
    ("bounded semaphore", 4, locks::one),
    ("semaphore", 4, locks::two),
    ("event", 4, locks::event),
    ("condition", 6, locks::condition),
    ("barrier", 2, locks::barrier),
    ("queue", 10, messages::small),
    ("queue of large messages", 6, messages::large),
    ("joinable queue", 8, messages::tasks),
    ("pipe", 10, messages::pipe),
    ("value", 6, data::value),
    ("atomic", 2, data::number),
    ("array", 6, data::whole),
    ("parts", 6, data::parts),
    ("list", 4, data::list),
    ("made and dropped", 4, data::made),
    ("manager", 6, far::call),
    ("dict", 4, far::dict),
    ("process", 1, far::process),
    ("pool", 1, far::pool),
];

/// What an actor is started with.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Start {
    pub(crate) objects: Objects,
    pub(crate) log: Shared<Log>,
    pub(crate) seat: usize,
    pub(crate) life: u64,
    pub(crate) seed: u64,
    pub(crate) slices: bool,
    /// The one thing that is done in this round, if it is not everything.
    pub(crate) only: Option<usize>,
    /// A protocol that is broken on purpose.
    pub(crate) broken: Option<u32>,
}

/// One actor.
pub(crate) struct Actor {
    pub(crate) objects: Objects,
    pub(crate) log: Shared<Log>,
    pub(crate) seat: usize,
    pub(crate) life: u64,
    pub(crate) chance: Chance,
    /// Everybody does the same: waits have no limit, since somebody always comes.
    pub(crate) is_focused: bool,
}

impl Actor {
    /// How long it waits for what others do.
    pub(crate) fn patience(&self) -> Duration {
        if self.is_focused { Duration::MAX } else { SHORT }
    }

    /// Chooses between two sides of which one waits for the other. Where all do the same, each has a side.
    pub(crate) fn is_giving(&mut self) -> bool {
        if self.is_focused { self.seat % 2 == 1 } else { self.chance.below(2) == 0 }
    }
}

/// Plays until the event is set.
pub(crate) fn play(start: Start) -> Result<()> {
    let Start { objects, log, seat, life, seed, slices, only, broken } = start;
    testing::set_slices(slices);
    testing::set_broken(broken.and_then(Broken::numbered));
    let (stop, told) = (objects.stop.clone(), log.clone());
    // Asleep all the time: who is woken at the end.
    let sleeper =
        std::thread::spawn(move || stop.wait().inspect(|()| told.is_told.store(1, SeqCst)));
    let is_focused = only.is_some();
    let mut actor = Actor { objects, log, seat, life, chance: Chance(seed), is_focused };
    let sum: u64 = WORKS.iter().map(|(_, often, _)| often).sum();
    while !actor.objects.stop.is_set() {
        let chosen = only.unwrap_or_else(|| choose(actor.chance.below(sum)));
        let (name, _, work) = WORKS[chosen];
        actor.log.since.store(now(), SeqCst);
        actor.log.work.store(chosen as u64 + 1, SeqCst);
        let done = work(&mut actor);
        actor.log.work.store(0, SeqCst);
        if is_focused {
            // What a life can receive is limited.
            std::thread::sleep(Duration::from_micros(20));
        }
        count(&actor.log.turns);
        // At the end all that is waited for is closed.
        let is_over = |error: &Error| error.is_closed() && actor.objects.stop.is_set();
        if let Err(error) = done
            && !is_over(&error)
        {
            panic!("{name}: {error} ({error:?})");
        }
    }
    actor.log.since.store(now(), SeqCst);
    sleeper.join().expect("it only waits")
}

/// What a ticket stands for.
fn choose(mut ticket: u64) -> usize {
    let chosen = WORKS.iter().position(|(_, often, _)| {
        let is_it = ticket < *often;
        ticket = ticket.saturating_sub(*often);
        is_it
    });
    chosen.unwrap_or(0)
}

/// Passes over errors that may be.
pub(crate) fn unless(may_be: impl Fn(&Error) -> bool, result: Result<()>) -> Result<()> {
    match result {
        Err(error) if may_be(&error) => Ok(()),
        result => result,
    }
}

/// Numbers that look random and are the same each time.
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        // splitmix64
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }
}
