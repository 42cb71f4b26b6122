//! The scripts about starting processes; see `scenarios`.
//!
//! The victim starts a process and joins it. Killed anywhere in that, it may leave a process behind, which runs its function and
//! ends, and is missed by nobody: no process stays, no slot of the registry, and no memory piles up.

use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::{fs, io};

use super::director::Director;
use super::order::Order;
use super::resources;
use super::scenarios::Scenario;
use super::start_verbs::ANSWER;
use super::trouble::{Outcome, Trouble};

/// How much more memory there may be after any number of points: what a few victims leave waits for the next sweep.
const GROWTH: u64 = 24 << 20;
/// Where the slots of processes stand in the file of the world, and how many there are (`liveness/slot.rs`).
const SLOTS: u64 = 128;
const PROCESSES: usize = 1024;
const SLOT: usize = 64;
/// In the low half of a slot's state: its owner is dead.
const DEAD: u32 = 1 << 30;

/// The victim has done it before: its fork server is there.
pub(super) fn arrange(d: &mut Director, s: &Scenario, victim: usize) -> Outcome {
    d.must(victim, Order::Start { how: s.which }).map(drop)
}

/// Nothing is left of what the victim began.
pub(super) fn after(d: &mut Director, _: &Scenario, victim: usize) -> Outcome {
    let told = d.conclude(victim, |_| Ok(()))?;
    if d.fate.is_mild() && told != [ANSWER] {
        return Err(Trouble::Violation(format!("the process of the victim answered {told:?}")));
    }
    let world = world()?;
    let file = fs::File::open(&world)?;
    let inode = file.metadata()?.ino();
    d.until("the process that the victim started does not end", |_| orphans(inode).is_empty())?;
    let slots = |d: &Director| taken(&file).is_ok_and(|taken| taken == d.living() + 1);
    d.until("the slot of the process that the victim started stays taken", slots)?;
    let now = resources::memory();
    let before = *d.memory.get_or_insert(now);
    if now > before + GROWTH {
        let (before, now) = (before >> 10, now >> 10);
        return Err(Trouble::Violation(format!("{before} KiB of shared memory became {now}")));
    }
    Ok(())
}

/// The file of the world.
fn world() -> io::Result<PathBuf> {
    let is_world = |path: &PathBuf| {
        fs::read_link(path).is_ok_and(|to| to.to_string_lossy().starts_with("/memfd:multiproc"))
    };
    let mut all = fs::read_dir("/proc/self/fd")?.flatten().map(|entry| entry.path());
    all.find(is_world).ok_or_else(|| io::ErrorKind::NotFound.into())
}

/// How many process slots are taken.
fn taken(file: &fs::File) -> io::Result<usize> {
    let mut slots = vec![0; PROCESSES * SLOT];
    file.read_exact_at(&mut slots, SLOTS)?;
    let words = slots.chunks_exact(SLOT).filter_map(|slot| slot.first_chunk());
    let words = words.map(|word| u32::from_ne_bytes(*word));
    Ok(words.filter(|&word| word != 0 && word & DEAD == 0).count())
}

/// The processes that have the world and no parent of this tree.
fn orphans(inode: u64) -> Vec<i32> {
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let all = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let has_world = |pid: i32| {
        let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        files.into_iter().any(|file| fs::metadata(file.path()).is_ok_and(|it| it.ino() == inode))
    };
    let own = std::process::id().cast_signed();
    let members: Vec<i32> = all.filter(|&pid| has_world(pid)).collect();
    let is_orphan =
        |pid: &i32| *pid != own && parent(*pid).is_some_and(|it| !members.contains(&it));
    members.iter().copied().filter(is_orphan).collect()
}

fn parent(pid: i32) -> Option<i32> {
    let text = fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).ok()?;
    // Behind the name in parentheses and the state.
    text.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}
