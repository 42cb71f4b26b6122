//! The soak: actors that run free, and a victim among them that is killed at a random moment; after
//! every kill all others must get on, and the ledger must agree.
//!
//! Ten parts, one for each kind of victim. In each three companions keep the object busy, or keep
//! the victim waiting. A putter numbers its messages, and notes the number before and after each
//! put; a getter counts each message it got. To count up, the director says hush: putters begin
//! nothing new, getters get what is left, and then every message must have been got once, but for
//!
//! - the one that a killed putter had begun and not finished: once or not at all;
//! - one that a killed getter may have taken and not counted.
//!
//! Of tasks none may be missing, and one that a killed worker had may have come twice.
//!
//! Bounded slices are off here, too; spinning is on.

use std::sync::atomic::Ordering::{Acquire, Relaxed, SeqCst};
use std::time::{Duration, Instant};

use super::board::{self, SEATS, Shared, TALLIES};
use super::director::{Director, Settings, name};
use super::order::Order;
use super::props::Kind;
use super::resources::Resources;
use super::roles::{PARTS, Part, Role};
use super::trouble::{Outcome, Trouble};
use super::{threads, watch};

/// Where the victims of the soak sit.
const VICTIM: usize = 3;
const COMPANIONS: [usize; 3] = [0, 1, 2];

/// What a soak came to.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) kills: usize,
    /// What the companions did meanwhile.
    pub(crate) operations: u64,
    pub(crate) hangs: usize,
    pub(crate) lost: usize,
    pub(crate) doubled: usize,
    /// Everything else: torn, out of order, met under the lock, left behind.
    pub(crate) others: usize,
}

impl Tally {
    pub(crate) fn is_clean(&self) -> bool {
        self.hangs + self.lost + self.doubled + self.others == 0
    }
}

/// Kills `kills` victims of each kind.
pub(crate) fn run(kills: usize, mut seed: u64, findings: &mut Vec<String>) -> Tally {
    let mut tally = Tally::default();
    let mut before = None;
    for part in &PARTS {
        let mut left = kills;
        // A part that fails is not begun again and again.
        let mut attempts = 3;
        while left > 0 && attempts > 0 {
            attempts -= 1;
            match soak(part, &mut left, &mut seed, &mut tally) {
                Ok(()) => {}
                Err(trouble) => {
                    match &trouble {
                        Trouble::Hang(_) => tally.hangs += 1,
                        _ => tally.others += 1,
                    }
                    findings.push(format!("soak: {}: {trouble:?}", part.name));
                }
            }
        }
        // The first part has made what is made once: the world itself.
        let now = Resources::count();
        match &before {
            None => before = Some(now),
            Some(before) if now.exceed(before) => {
                tally.others += 1;
                findings.push(format!("soak: {}: left behind: {before} became {now}", part.name));
            }
            Some(_) => {}
        }
    }
    tally
}

/// Goes on with a part until `left` is 0, or something fails.
fn soak(part: &Part, left: &mut usize, seed: &mut u64, tally: &mut Tally) -> Outcome {
    let [even, odd] = part.kinds;
    let halves = if even == odd { [*left, 0] } else { [left.div_ceil(2), *left / 2] };
    for (kind, share) in part.kinds.into_iter().zip(halves) {
        if share == 0 {
            continue;
        }
        let settings =
            Settings { slices: false, spin: true, broken: None, patience: Duration::from_secs(2) };
        let mut director = Director::new(settings)?;
        let mut run = Run { part, kind, tally };
        let done = run.kills(&mut director, share, left, seed);
        let tellers = &director.board().soak.tellers;
        run.tally.operations += tellers.iter().map(|one| one.turns.load(Relaxed)).sum::<u64>();
        director.close()?;
        done?;
    }
    Ok(())
}

struct Run<'a> {
    part: &'a Part,
    kind: Kind,
    tally: &'a mut Tally,
}

impl Run<'_> {
    fn kills(
        &mut self,
        d: &mut Director,
        kills: usize,
        left: &mut usize,
        seed: &mut u64,
    ) -> Outcome {
        for (seat, role) in COMPANIONS.into_iter().zip(self.part.companions) {
            d.order(seat, Order::Soak { role, kind: self.kind });
        }
        for _ in 0..kills {
            watch::doing(&format!("soak, {}", self.part.name));
            self.tally.kills += 1;
            *left -= 1;
            self.kill(d, seed)?;
        }
        Ok(())
    }

    fn kill(&mut self, d: &mut Director, seed: &mut u64) -> Outcome {
        let board = d.board();
        d.reap(0)?;
        let turns = self.turns(d);
        d.spawn(VICTIM)?;
        if !self.part.unborn {
            d.ready(VICTIM)?;
        }
        d.order(VICTIM, Order::Soak { role: self.part.victim, kind: self.kind });
        // From before its first operation to some milliseconds into its work.
        let delay = Duration::from_nanos(random(seed) % 3_000_000);
        let until = Instant::now() + delay;
        while Instant::now() < until {
            std::thread::sleep(Duration::from_micros(20));
        }
        d.kill_unready(VICTIM)?;
        for seat in COMPANIONS {
            let went_on = |_: &Director| board.soak.tellers[seat].turns.load(Relaxed) > turns[seat];
            let what = format!("{} gets on", name(seat));
            if let Err(hang) = d.until(&what, went_on) {
                // With the others out of its way?
                board.soak.hush.store(1, SeqCst);
                d.until(&what, went_on).map_err(|_| hang)?;
                return Err(Trouble::Hang(format!("{} is starved by the others", name(seat))));
            }
        }
        // The dying process may still be inside a system call.
        d.reap(0)?;
        self.account(d)
    }

    fn turns(&self, d: &Director) -> [u64; SEATS] {
        std::array::from_fn(|seat| d.board().soak.tellers[seat].turns.load(Relaxed))
    }

    /// Says hush, waits until all is quiet, and looks at the ledger.
    fn account(&mut self, d: &mut Director) -> Outcome {
        let board = d.board();
        let soak = &board.soak;
        for teller in &soak.tellers {
            teller.parked.store(0, SeqCst);
        }
        soak.hush.store(1, SeqCst);
        let event = self.part.companions.contains(&Role::Setter);
        if event {
            // Whoever waits comes back and parks.
            d.props.event.set();
        }
        let roles = self.part.companions;
        let kind = self.kind;
        let quiet = d.until("all come to rest", |d| {
            let resting = |seat: usize| {
                let teller = &soak.tellers[seat];
                if roles[seat].gets() {
                    teller.inside.load(SeqCst) == 1 && threads::sleeps(d.pid(seat), d.tid(seat))
                } else {
                    if event {
                        d.props.event.set();
                    }
                    teller.parked.load(SeqCst) == 1
                }
            };
            let rest =
                |d: &Director| kind.len(&d.props) == 0 && COMPANIONS.into_iter().all(resting);
            rest(d) && rest(d)
        });
        if quiet.is_ok() {
            // A getter that sleeps may also have taken a message and wait for the arena, to free its block.
            let _ = d.until("every message is counted", |_| self.missing(board) <= self.own());
            self.compare(board)?;
            // A victim of the next round goes on with these numbers.
            let teller = &soak.tellers[VICTIM];
            teller.put.store(teller.begun.load(Relaxed), Relaxed);
        }
        soak.hush.store(0, SeqCst);
        board::wake(&soak.hush);
        quiet
    }

    /// How many messages the victim may have taken with it.
    fn own(&self) -> usize {
        usize::from(self.part.victim.gets() && self.kind != Kind::Tasks)
    }

    /// How many messages were put and are not counted.
    fn missing(&self, board: Shared) -> usize {
        let soak = &board.soak;
        let missing = (0..SEATS).map(|seat| {
            let teller = &soak.tellers[seat];
            let (checked, put) = (teller.checked.load(Relaxed), teller.put.load(Acquire));
            let got = |number: &u64| soak.got[seat][*number as usize % TALLIES].load(Relaxed);
            (checked + 1..=put).filter(|number| got(number) == 0).count()
        });
        missing.sum()
    }

    fn compare(&mut self, board: Shared) -> Outcome {
        let soak = &board.soak;
        let mut missing = Vec::new();
        let of_tasks = self.kind == Kind::Tasks;
        // What the victim had counted and not done.
        let mut again = usize::from(of_tasks && self.part.victim.gets());
        for seat in 0..SEATS {
            let teller = &soak.tellers[seat];
            let (begun, put) = (teller.begun.load(Acquire), teller.put.load(Acquire));
            for number in teller.checked.load(Relaxed) + 1..=begun {
                let got = soak.got[seat][number as usize % TALLIES].swap(0, Relaxed);
                match got {
                    1 => {}
                    2 if again > 0 => again -= 1,
                    0 if seat == VICTIM && number > put => {}
                    0 => missing.push((seat, number)),
                    _ => self.tally.doubled += 1,
                }
            }
            teller.checked.store(begun, Relaxed);
        }
        if missing.len() > self.own() {
            self.tally.lost += missing.len() - self.own();
            let first = &missing[..missing.len().min(8)];
            return Err(Trouble::Violation(format!("{} lost, first {first:?}", missing.len())));
        }
        let damaged = soak.damaged.swap(0, Relaxed);
        if damaged > 0 {
            return Err(Trouble::Violation(format!(
                "{damaged} messages torn or out of order, or meetings under the lock"
            )));
        }
        let failed = soak.failed.swap(0, Relaxed);
        if failed > 0 {
            let said = (0..SEATS).map(|seat| board.seat(seat).said());
            let said = said.filter(|said| !said.is_empty()).collect::<Vec<_>>();
            return Err(Trouble::Violation(format!("{failed} operations failed: {said:?}")));
        }
        Ok(())
    }
}

fn random(seed: &mut u64) -> u64 {
    // splitmix64
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut bits = *seed;
    bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ bits >> 31
}
