//! The scripts about making, cloning and dropping whole objects; see `scenarios`.
//!
//! The victim has made many objects of the kind, which go when it goes: what the dead leave behind
//! would add up soon.

use super::director::{BARGER, Director, FIRST, SECOND};
use super::forms::{CLONE, NEW};
use super::order::{Order, Verb};
use super::resources;
use super::scenarios::Scenario;
use super::trouble::{Outcome, Trouble};

/// Objects that the victim has.
const HOARD: u64 = 100;
/// How much more shared memory there may be after any number of points: what the dead leave behind is
/// taken again when as much was handed out as was in use before (`world/arena.rs`). What every victim
/// has would be beyond that after a few semaphores, or a thousand other objects, had piled up.
const GROWTH: u64 = 4 << 20;

/// The victim has many objects.
pub(super) fn hoard_arrange(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    d.must(victim, Order::on(Verb::Hoard, s.which, HOARD)).map(drop)
}

/// And one of them twice.
pub(super) fn clone_arrange(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    hoard_arrange(d, s, victim)?;
    d.must(victim, Order::on(Verb::Make, s.which, CLONE)).map(drop)
}

/// All can make, use and drop one of each kind, at the same time, and nothing piles up.
pub(super) fn make_after(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    let others = [FIRST, SECOND, BARGER];
    for seat in others {
        d.order(seat, Order::on(Verb::MakeAll, 0, NEW));
    }
    for seat in others {
        d.finish_well(seat)?;
    }
    d.conclude(victim, |_| Ok(()))?;
    if d.fate.is_mild() {
        d.must(victim, s.usual(Verb::DropAll))?;
    }
    d.must(BARGER, Order::on(Verb::MakeAll, 0, NEW))?;
    let now = resources::memory();
    let before = *d.memory.get_or_insert(now);
    if now > before + GROWTH {
        let (before, now) = (before >> 10, now >> 10);
        return Err(Trouble::Violation(format!("{before} KiB of shared memory became {now}")));
    }
    Ok(())
}
