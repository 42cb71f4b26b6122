//! What keeps waiters from hanging, cure by cure: each scene has one death (or one process that stops) and then quiet, plays
//! with the cure and must end well, and plays without it and must not. So the cure is needed, and the scene would notice.
//!
//! A random soak does not show most of these: the next death's alarm heals what an earlier one broke. The kill harness
//! plays others, instruction by instruction (`tests/kill.rs`).
//!
//! Where a thread has to stand still between being woken and acting on it, it is traced and stops as its system call
//! returns. Where a process has to lose its keeper and live on, a seccomp filter ends the thread that calls `futex_waitv`.

#![allow(unsafe_code, reason = "ptrace, a seccomp filter, a signal handler")]

mod closer;
mod holder;
mod keeper;
mod rings;
mod woken;

use std::fs;
use std::time::Duration;

use multiproc::testing::{self, Broken};
use multiproc::{Event, Lock, Process, Queue};
use nix::unistd::Pid;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::common::{LONG, asleep, park};

/// What a scene is about.
#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) enum Cure {
    /// A keeper rings again when the last thread of a dead process is marked.
    SecondAlarm,
    /// A slot with another owner than at the last turn shows a death.
    ReuseCheck,
    /// A keeper rings until every sleeper has heard it.
    Repeat,
    /// Unlocking keeps the bit that says that others sleep.
    KeptBit,
    /// Who waits for a lock checks again every 50 ms.
    Slices,
    /// Keepers poll once a second for changes that came without a wake.
    ChangePoll,
    /// Keepers ask the system for threads that the kernel left unmarked.
    VanishedCheck,
    /// A process is gone when all its threads are.
    AllThreads,
}

/// A play of a scene, with the cure or without it.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub(super) struct Play {
    pub(super) cure: Cure,
    pub(super) on: bool,
}

impl Play {
    /// To be called in every process of the play. Slices would heal nearly everything, if late.
    pub(super) fn begin(self) {
        testing::set_slices(self.on && self.cure == Cure::Slices);
        let broken = match self.cure {
            Cure::SecondAlarm => Some(Broken::NoSecondAlarm),
            Cure::ReuseCheck => Some(Broken::NoReuseCheck),
            Cure::Repeat => Some(Broken::NoRepeat),
            Cure::KeptBit => Some(Broken::UnlockStoresZero),
            Cure::Slices => None,
            Cure::ChangePoll => Some(Broken::NoChangePoll),
            Cure::VanishedCheck => Some(Broken::NoVanishedCheck),
            Cure::AllThreads => Some(Broken::GoneAtKeeper),
        };
        testing::set_broken(broken.filter(|_| !self.on));
    }

    /// When a wait counts as a hang.
    pub(super) fn patience(self) -> Duration {
        match (self.on, self.cure) {
            (true, _) => LONG,
            (false, Cure::ChangePoll) => Duration::from_millis(2500),
            (false, _) => Duration::from_millis(400),
        }
    }

    /// Whether so many tell in time that they got through.
    pub(super) fn all_through(self, through: &Queue<()>, count: usize) -> bool {
        (0..count).all(|_| through.get_timeout(self.patience()).is_ok())
    }

    pub(super) fn holder(self, lock: &Lock) -> Process<()> {
        let held = Event::new().unwrap();
        let process = Process::spawn(hold, (self, lock, &held)).unwrap();
        held.wait().unwrap();
        process
    }

    /// A process that is asleep in a wait for the lock.
    pub(super) fn waiter(self, lock: &Lock, through: &Queue<()>) -> Process<()> {
        let ready = Event::new().unwrap();
        asleep(&ready, Process::spawn(pass, (self, lock, &ready, through)).unwrap())
    }
}

/// Plays a scene both ways. Without the cure it may go well by luck, but not for ever.
pub(super) fn show(cure: Cure, scene: fn(Play) -> bool) {
    let play = |on| {
        let play = Play { cure, on };
        play.begin();
        scene(play)
    };
    for _ in 0..3 {
        assert!(play(true), "the scene does not end well with the cure");
    }
    assert!((0..8).any(|_| !play(false)), "the scene does not notice that the cure is off");
}

pub(super) fn end<R: Serialize + DeserializeOwned>(process: Process<R>) {
    process.handle().kill().unwrap();
    let _ = process.join();
}

fn hold(play: Play, lock: Lock, held: Event) {
    play.begin();
    let _guard = lock.lock().unwrap();
    held.set();
    park();
}

/// Takes the lock, whatever became of its last owner, and gives it back.
pub(super) fn pass(play: Play, lock: Lock, ready: Event, through: Queue<()>) {
    play.begin();
    ready.set();
    drop(lock.recover().unwrap());
    through.put(()).unwrap();
    park();
}

/// What `/proc` says of the states of all threads: one letter for each.
pub(super) fn states(pid: u32) -> String {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let stats =
        tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join("stat")).ok());
    stats.filter_map(|stat| stat.rsplit(')').next()?.trim_start().chars().next()).collect()
}

pub(super) fn pid_of<R>(process: &Process<R>) -> Pid {
    Pid::from_raw(process.id() as i32)
}
