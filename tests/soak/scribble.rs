//! Nonsense in shared memory while a family works on it: whatever any process wrote there, by a bug or on purpose, others get wrong
//! data or a typed error. A signal, a panic in the crate, or memory without bounds is a finding.
//!
//! A round is a run of its own, with a world of its own, which is not to be used afterwards: the supervisor starts it, and sees how it
//! ended. Whoever waits for a lock that nonsense says is held by somebody who lives waits on: that is no finding, and all end with
//! the round.
//!
//! The registry of who is alive is left alone: one that says that nobody is cannot be survived.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use multiproc::{Process, Result, Shared};
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::{Pid, getpid};

use super::actor::{Actor, Chance, Start, WORKS};
use super::director::wish;
use super::ledger::{Log, count, now};
use super::objects::Objects;

/// Of each round: the actors, how long nonsense is written, and for how long it is waited for.
const ACTORS: u64 = 3;
const TIME: Duration = Duration::from_millis(1500);
const LIMIT: Duration = Duration::from_secs(30);
/// Where the registry ends, as in `tests/it/bad_input/scribbled.rs`.
const TABLES: u64 = 388 << 10;
/// What lies behind it is used most.
const NEAR: u64 = 192 << 10;
/// What the round says at its end.
const DONE: &str = "scribble: done";

/// Plays rounds for so many seconds.
pub(crate) fn main(seconds: u64) -> ExitCode {
    let seed = wish(std::env::var("SOAK_SEED").ok()).unwrap_or_else(now);
    let end = Instant::now() + Duration::from_secs(seconds);
    let (mut rounds, mut findings, mut late) = (0, 0, 0);
    while Instant::now() < end {
        rounds += 1;
        let seed = seed.wrapping_add(rounds);
        match supervise(seed) {
            Ok(true) => {}
            Ok(false) => late += 1,
            Err(said) => {
                findings += 1;
                println!("scribble: FINDING with SOAK_SEED={seed}:\n{said}");
            }
        }
    }
    println!("scribble: rounds={rounds} late={late} findings={findings} SOAK_SEED={seed}");
    ExitCode::from(u8::from(findings > 0))
}

/// Plays a round. True if it came to its end, false if it did not in time, or what was wrong.
fn supervise(seed: u64) -> std::result::Result<bool, String> {
    let output = std::env::temp_dir().join(format!("scribble-{}-{seed}", std::process::id()));
    let file = File::create(&output).expect("a file for what it says");
    let both = file.try_clone().expect("the same once more");
    let mut round = Command::new("/proc/self/exe");
    round.args(["scribble-round", &seed.to_string()]).process_group(0);
    let round = round.stdin(Stdio::null()).stdout(file).stderr(both).spawn();
    let mut round = round.expect("the program itself");
    let limit = Instant::now() + LIMIT;
    let status = loop {
        match round.try_wait().expect("it is a child") {
            Some(status) => break Some(status),
            None if Instant::now() > limit => break None,
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    let _ = killpg(Pid::from_raw(round.id().cast_signed()), Signal::SIGKILL);
    let _ = round.wait();
    let said = std::fs::read_to_string(&output).unwrap_or_default();
    let _ = std::fs::remove_file(&output);
    let wrong = said.lines().filter(|line| {
        let is_of_crate = line.contains("panicked at src/") || line.contains("/rustc/");
        (line.contains("panicked at") && is_of_crate)
            || line.contains("WRONG")
            || line.contains("memory allocation of")
            || line.contains("stack overflow")
    });
    let wrong: Vec<_> = wrong.collect();
    let is_well = status.is_none_or(|status| status.signal() == Some(9) && said.contains(DONE));
    if wrong.is_empty() && is_well {
        return Ok(status.is_some());
    }
    Err(format!("{status:?}\n{}", wrong.join("\n")))
}

/// One round; its process ends by a signal of its own, without a look at what is left.
pub(crate) fn round(seed: u64) -> ExitCode {
    let mut chance = Chance(seed);
    let objects = Objects::new().expect("nothing is wrong yet");
    let start = |life: u64| {
        let log = Shared::new(Log::new())?;
        let start = Start {
            objects: objects.clone(),
            log: log.clone(),
            seat: life as usize,
            life,
            seed: seed ^ life,
            slices: true,
            only: None,
            broken: None,
        };
        Ok((Process::spawn(play, (start,))?, log))
    };
    let actors: Result<Vec<_>> = (0..ACTORS).map(start).collect();
    let actors = actors.expect("nothing is wrong yet");
    while actors.iter().any(|(_, log)| log.turns.load(SeqCst) < 20) {
        std::thread::sleep(Duration::from_millis(1));
    }
    scribble(&mut chance);
    for (process, _) in actors {
        let _ = kill(Pid::from_raw(process.id().cast_signed()), Signal::SIGKILL);
        if let Ok(status) = process.handle().wait()
            && status.signal().is_some_and(|signal| signal != 9)
        {
            println!("WRONG: an actor ended with {status:?}");
        }
    }
    if let Some(server) = objects.manager.process()
        && !server.is_alive()
        && let Ok(status) = server.wait()
        && status.signal().is_some()
    {
        println!("WRONG: the manager's server ended with {status:?}");
    }
    println!("{DONE}");
    let _ = kill(getpid(), Signal::SIGKILL);
    ExitCode::FAILURE
}

/// Writes nonsense into the world's file.
fn scribble(chance: &mut Chance) {
    let Some(file) = world() else { return };
    let end = Instant::now() + TIME;
    while Instant::now() < end {
        let size = file.metadata().map_or(TABLES + NEAR, |data| data.len());
        let within = if chance.below(4) > 0 { NEAR } else { size - TABLES };
        let at = TABLES + chance.below(within / 8) * 8;
        let word = match chance.below(5) {
            0 => 0,
            1 => u64::MAX,
            2 => chance.below(1 << 16),
            // A bit of what is there.
            3 => {
                let mut word = [0; 8];
                let _ = file.read_at(&mut word, at);
                u64::from_le_bytes(word) ^ 1 << chance.below(64)
            }
            _ => chance.below(u64::MAX),
        };
        let _ = file.write_at(&word.to_le_bytes(), at);
        std::thread::sleep(Duration::from_micros(chance.below(400)));
    }
}

/// The file of this process's world.
fn world() -> Option<File> {
    let entries = std::fs::read_dir("/proc/self/fd").ok()?.flatten();
    let is_world = |path: &std::path::PathBuf| {
        let target = std::fs::read_link(path).unwrap_or_default();
        target.to_string_lossy().starts_with("/memfd:multiproc")
    };
    let path = entries.map(|entry| entry.path()).find(is_world)?;
    File::options().read(true).write(true).open(path).ok()
}

/// An actor to whom anything may happen but a signal and a panic in the crate.
fn play(start: Start) {
    let Start { objects, log, seat, life, seed, .. } = start;
    let mut actor = Actor { objects, log, seat, life, chance: Chance(seed), is_focused: false };
    loop {
        let chosen = actor.chance.below(WORKS.len() as u64) as usize;
        let _ = catch_unwind(AssertUnwindSafe(|| (WORKS[chosen].2)(&mut actor)));
        count(&actor.log.turns);
    }
}
