//! The soak: a family of processes that do random things with every part of the crate, while one after the other is killed,
//! stopped and let go on at random moments. Nobody hangs, nothing is lost, doubled or torn but what a victim had in hand, and
//! after any time there is no more memory, descriptors and processes than after the first.
//!
//! ```text
//! cargo test --release --test soak                 ten seconds
//! cargo test --release --test soak -- 3600         an hour
//! SOAK_SEED=7 …                                    where chance starts; printed by each run
//! SOAK_BROKEN=1 …                                  with a protocol broken on purpose (`src/testing.rs`), which must be caught
//! … -- scribble 600                                nonsense in shared memory in place of kills
//! … -- once                                        everything a few times and no kills, for `.ci/faults`
//! ```
//!
//! It goes by rounds of some seconds, each with objects and actors of its own. In half of them all do the same thing, and wait for
//! each other without a limit. After a kill everybody must get on without help from newcomers. In every other round processes are killed and
//! nothing else, and the bounded slices by which waits for a lock heal themselves are off: with them a lost wake could not be
//! seen. In the rounds between there are stops, too, and the slices are on. At the end of a round all actors must leave when an
//! event is set, and the books must agree ([`books`]). Through all rounds goes one pool, whose workers are killed as well.
//!
//! Slots and objects are counted by their limits: a run has more lives than a world has places, so that places that did not
//! come back would end it.
//!
//! Everything that waits has a limit, of which the watchdog knows: an actor that is at one thing for longer is a hang, and is
//! named with what it did.
//!
//! The last line is, and the exit status is 1 if it is not so clean,
//!
//! ```text
//! soak: seconds=N rounds=N lives=N kills=N stops=N operations=N pool=N hangs=0 violations=0 SOAK_SEED=N
//! ```
//!
//! - `director.rs`: rounds, kills, stops, the watchdog; `books.rs`: what must agree at the end of a round;
//! - `actor.rs`: an actor, and the list of what it may do; `objects.rs`: with what; `ledger.rs`: what all write down;
//! - what is done, by part: `locks.rs`, `messages.rs`, `data.rs`, `far.rs`; `crowd.rs`: the pool;
//! - `once.rs`: the same without a family; `scribble.rs`: the same while somebody writes nonsense into what is shared.

// Over raw_sync there is none of it.
#[cfg(not(feature = "raw-sync"))]
#[path = "."]
mod parts {
    pub(crate) mod actor;
    pub(crate) mod books;
    pub(crate) mod crowd;
    pub(crate) mod data;
    pub(crate) mod director;
    pub(crate) mod far;
    pub(crate) mod ledger;
    pub(crate) mod locks;
    pub(crate) mod messages;
    pub(crate) mod objects;
    pub(crate) mod once;
    pub(crate) mod scribble;
}

#[cfg(not(feature = "raw-sync"))]
use parts::*;

#[cfg(not(feature = "raw-sync"))]
fn main() -> std::process::ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let number = words.get(1).and_then(|word| word.parse().ok());
    match (words.first().map(String::as_str), number) {
        (Some("once"), _) => once::main(),
        (Some("scribble"), seconds) => scribble::main(seconds.unwrap_or(10)),
        (Some("scribble-round"), Some(seed)) => scribble::round(seed),
        _ => director::main(),
    }
}

#[cfg(feature = "raw-sync")]
fn main() {
    println!("soak: skipped (raw_sync's mutex does not survive a death, as sys/portable.rs says)");
}
