//! The ledger of one point: which messages were put, which were got, and whether that agrees; and the
//! orders that are entered there.

use super::board::{AFTER, BEFORE, SEATS};
use super::director::{BARGER, Director, name};
use super::fates::Fate;
use super::order::{Code, Order, Verb};
use super::props::{Kind, PAGES, TORN};
use super::trouble::{Outcome, Trouble};

/// The ledger of one point.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Messages put by others than the victim, in order; those with the same turn were put at once.
    due: Vec<(u64, usize)>,
    turn: usize,
    /// Messages got, by whom.
    seen: Vec<(usize, u64)>,
    /// What the victim puts.
    pub(crate) own: Vec<u64>,
    /// Tasks put by others than the victim.
    pub(crate) tasks: Vec<u64>,
    /// How many the victim gets at most.
    pub(crate) takes: usize,
    /// Pages of these that are counted already.
    counted: usize,
    /// Whether the sleepers were given their part.
    pub(crate) started: bool,
    /// Whether the barger holds the lock, or permits.
    pub(crate) barger_holds: bool,
    /// Whether the event was set before the victim began.
    pub(crate) was_set: bool,
    /// Permits that were forgotten before the victim began.
    pub(crate) forgotten: u32,
    /// Permits that were released before the victim began.
    pub(crate) released: u32,
    /// The number that shared data said before the victim began.
    pub(crate) number: u64,
}

impl Director {
    /// A number that no message had.
    pub(crate) fn id(&mut self) -> u64 {
        self.next_id += 4;
        self.next_id
    }

    /// Has `seat` put a message, and waits for it.
    pub(crate) fn put(&mut self, seat: usize, kind: Kind) -> Outcome {
        let id = self.due(1);
        self.must(seat, Order::put(Verb::Put, kind, id)).map(drop)
    }

    /// Has `seat` put a message if there is room.
    pub(crate) fn try_put(&mut self, seat: usize, kind: Kind) -> Outcome {
        let id = self.id();
        let answer = self.call(seat, Order::put(Verb::TryPut, kind, id))?;
        match answer.code {
            Code::Fine => {
                // Others may be in the middle of a put: no order among them.
                self.ledger.due.push((id, self.ledger.turn));
                Ok(())
            }
            Code::Full => Ok(()),
            Code::Busy if self.stopped.is_some() => Ok(()),
            _ => Err(self.unexpected(seat, &answer)),
        }
    }

    /// Has `seat` put a message, and waits until that blocks.
    pub(crate) fn lull_put(&mut self, seat: usize, kind: Kind, at_once: bool) -> Outcome<bool> {
        let id = self.due(usize::from(!at_once));
        self.lull(seat, Order::put(Verb::Put, kind, id))
    }

    fn due(&mut self, turns: usize) -> u64 {
        let id = self.id();
        self.ledger.turn += turns;
        self.ledger.due.push((id, self.ledger.turn));
        id
    }

    /// Has `seat` get one, which must be there or come.
    pub(crate) fn get(&mut self, seat: usize, kind: Kind) -> Outcome {
        let got = self.must(seat, Order::of(Verb::Get, kind))?;
        self.saw(seat, &got);
        Ok(())
    }

    /// Has `seat` get one if there is one.
    pub(crate) fn try_get(&mut self, seat: usize, kind: Kind) -> Outcome {
        let answer = self.call(seat, Order::of(Verb::TryGet, kind))?;
        match answer.code {
            Code::Fine => self.saw(seat, &answer.results),
            Code::Empty => {}
            Code::Busy if self.stopped.is_some() => {}
            _ => return Err(self.unexpected(seat, &answer)),
        }
        Ok(())
    }

    /// Has the barger get all there is; how many there were.
    pub(crate) fn drain(&mut self, kind: Kind) -> Outcome<usize> {
        let mut answer = self.call(BARGER, Order::of(Verb::Drain, kind))?;
        let mut got = std::mem::take(&mut answer.results);
        if answer.code == Code::Busy && self.stopped.is_some() {
            // The stopped victim is inside; what it holds up is had later.
            self.excused += 1;
            self.let_go()?;
            answer = self.call(BARGER, Order::of(Verb::Drain, kind))?;
            got.append(&mut answer.results);
        }
        self.saw(BARGER, &got);
        if answer.code == Code::Fine {
            Ok(got.len())
        } else {
            Err(self.unexpected(BARGER, &answer))
        }
    }

    /// Notes what a getter of before brought back.
    pub(crate) fn saw(&mut self, seat: usize, got: &[u64]) {
        self.ledger.seen.extend(got.iter().map(|&id| (seat, id)));
    }

    /// Puts and gets pages until the next one put, or got, is the first of a chunk.
    pub(crate) fn turn_pages(&mut self) -> Outcome {
        while self.pages == 0 || !self.pages.is_multiple_of(PAGES) {
            let id = self.id();
            self.must(BARGER, Order::put(Verb::Put, Kind::Page, id))?;
            if self.must(BARGER, Order::of(Verb::Get, Kind::Page))? != [id] {
                return Err(Trouble::Violation("a page was not got as it was put".into()));
            }
            self.pages += 1;
        }
        Ok(())
    }

    /// Every message was delivered once and in order, but for the victim's own.
    pub(crate) fn balance(&mut self, victim: usize, kind: Kind) -> Outcome {
        let Ledger { due, seen, own, takes, .. } = &self.ledger;
        let count = |id: u64| seen.iter().filter(|entry| entry.1 == id).count();
        let say = |what: String| {
            Err(Trouble::Violation(format!("{what}; put {due:?}, own {own:?}, got {seen:?}")))
        };
        if count(TORN) > 0 {
            return say("a message is torn".into());
        }
        for &(_, id) in seen {
            if !own.contains(&id) && !due.iter().any(|entry| entry.0 == id) {
                return say(format!("message {id} was never put"));
            }
            if count(id) > 1 {
                return say(format!("message {id} was delivered {} times", count(id)));
            }
        }
        let missing = due.iter().filter(|entry| count(entry.0) == 0).count();
        let (least, most) = match (self.fate, self.reached(victim)) {
            // What it got was seen, and added.
            (Fate::Stop, _) => (0, 0),
            (_, BEFORE) => (0, 0),
            (_, AFTER) => ((*takes).min(1), *takes),
            _ if self.slept => (0, 0),
            _ => (0, *takes),
        };
        if missing < least || missing > most {
            return say(format!("{missing} messages are missing, {least} to {most} may be"));
        }
        let arrived = own.iter().take_while(|&&id| count(id) == 1).count();
        if own.iter().skip(arrived).any(|&id| count(id) > 0) {
            return say("a later message of the victim arrived without an earlier one".into());
        }
        let (least, most) = match (self.fate, self.reached(victim)) {
            (Fate::Stop, _) | (_, AFTER) => (own.len(), own.len()),
            (_, BEFORE) => (0, 0),
            _ if self.slept => (0, 0),
            _ => (0, own.len()),
        };
        if arrived < least || arrived > most {
            return say(format!("{arrived} of the victim's messages arrived"));
        }
        for seat in 0..SEATS {
            let turns = seen.iter().filter(|entry| entry.0 == seat);
            let turns = turns.filter_map(|entry| due.iter().find(|due| due.0 == entry.1));
            if !turns.map(|due| due.1).is_sorted() {
                return say(format!("{} got messages out of order", name(seat)));
            }
        }
        if kind.len(&self.props) != 0 {
            let left = kind.len(&self.props);
            return say(format!("an emptied queue says it holds {left}"));
        }
        if kind == Kind::Page {
            let records = due.len() + arrived;
            self.pages += records - self.ledger.counted;
            self.ledger.counted = records;
        }
        Ok(())
    }
}
