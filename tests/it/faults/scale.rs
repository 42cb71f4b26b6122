//! A larger family costs nobody more: a start and an orderly end wake few, however many are alive.

use std::fs;

use multiproc::{Event, Process, Result};

use crate::common::{alone, killed, until, until_asleep};
use crate::watchdog::watch;

const ALIVE: usize = 40;
const STARTS: usize = 20;

fn wait(gate: Event) -> Result<()> {
    gate.wait()
}

/// How often the keeper of each of these processes went to sleep so far.
fn sleeps_of_keepers(processes: &[Process<Result<()>>]) -> Vec<u64> {
    let of = |process: &Process<Result<()>>| -> u64 {
        let tasks = fs::read_dir(format!("/proc/{}/task", process.id())).unwrap();
        let is_keeper = |folder: &std::path::PathBuf| {
            fs::read_to_string(folder.join("comm")).is_ok_and(|name| name.trim_end() == "keeper")
        };
        let folders = tasks.flatten().map(|task| task.path()).filter(is_keeper);
        folders.map(|folder| sleeps(&folder)).sum()
    };
    processes.iter().map(of).collect()
}

fn sleeps(folder: &std::path::Path) -> u64 {
    let status = fs::read_to_string(folder.join("status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// A family of idle children, and how often their keepers were woken while `body` ran. It can ask whether all were.
fn wakes_during(body: impl FnOnce(&dyn Fn() -> bool)) -> u64 {
    let gate = Event::new().unwrap();
    let children: Vec<_> = (0..ALIVE).map(|_| Process::spawn(wait, (&gate,)).unwrap()).collect();
    children.iter().for_each(|child| until_asleep(&child.handle()));
    let before = sleeps_of_keepers(&children);
    let start = std::time::Instant::now();
    body(&|| sleeps_of_keepers(&children).iter().zip(&before).all(|(now, before)| now > before));
    let seconds = start.elapsed().as_secs() + 1;
    let woken = sleeps_of_keepers(&children).iter().sum::<u64>() - before.iter().sum::<u64>();
    gate.set();
    children.into_iter().for_each(|child| child.join().unwrap().unwrap());
    // Each looks once a second by itself.
    woken.saturating_sub(seconds * ALIVE as u64)
}

#[test]
fn a_start_and_an_orderly_end_wake_few_of_many() {
    let _watch = watch();
    alone(|| {
        let woken = wakes_during(|_| {
            for _ in 0..STARTS {
                Process::spawn(|| 1, ()).unwrap().join().unwrap();
            }
        });
        // The two that are to watch the new one, at its start and at its end, twice each at most.
        assert!(woken <= STARTS as u64 * 8, "{woken} wakes of {ALIVE} keepers at {STARTS} starts");
    });
}

#[test]
fn a_death_is_told_to_all() {
    let _watch = watch();
    alone(|| {
        let woken = wakes_during(|were_all_woken| {
            let (gate, never) = (Event::new().unwrap(), Event::new().unwrap());
            let idle = |ready: Event, gate: Event| {
                ready.set();
                gate.wait().unwrap();
            };
            let process = Process::spawn(idle, (&gate, &never)).unwrap();
            gate.wait().unwrap();
            killed(process);
            until("every keeper was woken", were_all_woken);
            // No end can be waited for: more wakes than these would come by now.
            std::thread::sleep(std::time::Duration::from_millis(100));
        });
        assert!(woken <= ALIVE as u64 * 30, "{woken} wakes of {ALIVE} keepers at one death");
    });
}
