//! Everything a few times, in one process that nobody kills: the program over which `.ci/faults` lets system calls fail.
//!
//! First a call may be refused with an error; then the script takes strace away, and all must succeed. A panic, a signal or a hang is a
//! finding, and so is an error that stays.

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use multiproc::{Result, Shared};

use super::actor::{Actor, Chance, WORKS};
use super::ledger::Log;
use super::objects::Objects;

/// How often each is done.
const TIMES: usize = 4;

fn alone(seed: u64) -> Result<Actor> {
    let (objects, log) = (Objects::new()?, Shared::new(Log::new())?);
    Ok(Actor { objects, log, seat: 0, life: 0, chance: Chance(seed), is_focused: false })
}

/// Prints a line, also while writing fails.
fn say(what: &str) {
    while writeln!(std::io::stdout(), "once: {what}").is_err() {}
}

/// Waits until strace is there, or until it is gone. What fails before is the loader's and the standard library's.
fn wait_for_tracer(wanted: bool) {
    let is_traced = |status: String| {
        let line = status.lines().find(|line| line.starts_with("TracerPid:")).map(str::to_owned);
        line.is_some_and(|line| !line.ends_with("\t0"))
    };
    // It cannot be read while the system calls for that fail.
    while std::fs::read_to_string("/proc/self/status").map(is_traced).ok() != Some(wanted) {
        std::thread::yield_now();
    }
}

/// Does everything so often; says whether nothing was refused, or nothing if there was a panic.
fn all(times: usize, seed: u64) -> Option<bool> {
    let (mut actor, mut is_well) = (None, true);
    for (name, _, work) in WORKS {
        for _ in 0..times {
            let attempt = catch_unwind(AssertUnwindSafe(|| {
                let actor = match &mut actor {
                    Some(actor) => actor,
                    none => none.insert(alone(seed)?),
                };
                work(actor)
            }));
            match attempt {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    say(&format!("{name}: refused: {error} [{:?}]", error.kind()));
                    actor = None;
                    is_well = false;
                }
                Err(_) => {
                    say(&format!("{name}: PANIC"));
                    return None;
                }
            }
        }
    }
    Some(is_well)
}

pub(crate) fn main() -> ExitCode {
    let is_traced = std::env::args().any(|word| word == "traced");
    if is_traced {
        wait_for_tracer(true);
    }
    let first = all(TIMES, 7);
    if is_traced {
        say("enough");
        wait_for_tracer(false);
    }
    match (first, all(1, 8)) {
        (Some(_), Some(true)) => {
            say("all is well");
            ExitCode::SUCCESS
        }
        (_, Some(false)) => {
            say("BROKEN: no system call fails any more");
            ExitCode::FAILURE
        }
        _ => ExitCode::FAILURE,
    }
}
