//! The scripts about calls to a manager's server: whatever becomes of a caller, the server does its call or does not, others go on,
//! and what the caller had is given back; see `scenarios`.

use std::time::Duration;

use multiproc::Manager;

use super::board::{AFTER, BEFORE};
use super::call_verbs::Calls;
use super::director::{BARGER, Director};
use super::order::{Order, Verb};
use super::patience::Patience;
use super::scenarios::Scenario;
use super::trouble::{Outcome, Trouble};

/// For a victim that has never called.
pub(super) const NEW: u64 = 1;

/// A server with one number, for the victim and the barger.
pub(super) fn arrange(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    let manager = Manager::new()?;
    let number = manager.host(0_u64)?;
    let calls = Calls { manager, number };
    for seat in [BARGER, victim] {
        d.props.calls.put(&calls)?;
        d.must(seat, Order::Call { verb: Verb::CallFetch })?;
    }
    // Nobody else has it: the server ends with the two.
    drop(calls);
    read(d)?;
    if s.which != NEW {
        d.must(victim, Order::Call { verb: Verb::CallRead })?;
    }
    Ok(())
}

fn read(d: &mut Director) -> Outcome<u64> {
    Ok(d.must(BARGER, Order::Call { verb: Verb::CallRead })?[0])
}

/// The barger's calls go on, the victim's is done whole or not at all, and its objects go.
pub(super) fn after(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    read(d)?;
    d.conclude(victim, |_| Ok(()))?;
    let reached = if d.fate.is_mild() { AFTER } else { d.reached(victim) };
    let found = read(d)?;
    let added = match s.verb {
        Verb::CallAdd => 1,
        Verb::CallBatch => 2,
        _ => 0,
    };
    let is_right = match reached {
        BEFORE => found == 0,
        AFTER => found == added,
        _ => found == 0 || found == added,
    };
    if !is_right {
        let text = format!("the number is {found}, and {added} was added at stage {reached}");
        return Err(Trouble::Violation(text));
    }
    let mut patience = Patience::new(d.patience());
    while d.must(BARGER, Order::Call { verb: Verb::CallObjects })? != [1] {
        if patience.is_over() {
            return Err(Trouble::Violation("an object of the victim stays".into()));
        }
        std::thread::sleep(Duration::from_micros(100));
    }
    Ok(())
}
