//! What a death costs those who wait: from `kill` in one process to ownership in another, of a lock and of a semaphore's only
//! permit; and what waiting costs while nobody dies, in wake-ups a second.
//!
//! Times are taken on `CLOCK_MONOTONIC`: just before `kill`, and when the waiter, who slept until then, has what the dead one
//! held. Wake-ups are the voluntary context switches of a thread that waits, and of the keepers of processes in which
//! nothing happens.
//!
//! ```sh
//! cargo bench --bench recovery
//! RECOVERY_KILLS=100 cargo bench --bench recovery -- lock      # fewer than 1,000
//! ```

mod common;

use std::env;
use std::fs;
use std::hint::black_box;
use std::process::exit;
use std::thread::{park, sleep};
use std::time::Duration;

use common::{Bench, Goal, Unit, os};
use multiproc::{Event, Lock, Process, Queue, Result, Semaphore};
use serde::{Deserialize, Serialize};

/// Kills in a cell, and of a victim that has much memory.
const KILLS: usize = 1000;
const LARGE_KILLS: usize = 50;
/// What counts as much, in MiB.
const LARGE: usize = 1024;
/// Where a killed holder's property reaches a waiter, in microseconds: half of the times, 99 of 100, always.
const GOALS: [f64; 3] = [200.0, 5000.0, 100_000.0];
/// Whoever takes longer hangs.
const LIMIT: Duration = Duration::from_secs(20);

fn main() -> Result<()> {
    let mut bench = Bench::start("recovery");
    let kills = match env::var("RECOVERY_KILLS").map(|text| text.parse()) {
        Ok(Ok(kills)) if kills > 0 => kills,
        Ok(_) => {
            eprintln!("RECOVERY_KILLS: expected a number of kills from 1");
            exit(2);
        }
        Err(_) => KILLS,
    };
    let large = LARGE_KILLS.min(kills);
    for what in ["lock", "permit"] {
        recovery(&mut bench, what, &format!("{what} of a killed holder"), kills, 0)?;
        let name = format!("{what} of a holder with {LARGE} MiB");
        recovery(&mut bench, what, &name, large, LARGE)?;
    }
    wake_ups(&mut bench)?;
    bench.finish();
    Ok(())
}

// ---------------------------------------------------------------------------------------------
// Recovery
// ---------------------------------------------------------------------------------------------

/// What one has and another waits for.
#[derive(Clone, Serialize, Deserialize)]
enum Thing {
    Lock(Lock),
    Permit(Semaphore),
}

impl Thing {
    fn new(what: &str) -> Result<Thing> {
        Ok(match what {
            "lock" => Thing::Lock(Lock::new()?),
            _ => Thing::Permit(Semaphore::new(1)?),
        })
    }

    /// Waits for it, does this while it has it, and gives it back.
    fn with<R>(&self, f: impl FnOnce() -> R) -> Result<R> {
        Ok(match self {
            Thing::Lock(lock) => {
                let _guard = lock.recover()?;
                f()
            }
            Thing::Permit(semaphore) => {
                let _permit = semaphore.acquire()?;
                f()
            }
        })
    }
}

/// Has the thing, and so much memory, until it is killed.
fn hold(thing: Thing, held: Event, mebibytes: usize) -> Result<()> {
    // Not zeros: every page is written to.
    let memory = vec![1_u8; mebibytes << 20];
    black_box(&memory);
    thing.with(|| {
        held.set();
        loop {
            park();
        }
    })
}

/// Waits for the thing as often as it is told to, and tells when it had it.
fn take(thing: Thing, orders: Queue<bool>, had: Queue<u64>) -> Result<()> {
    while orders.get()? {
        had.put(thing.with(os::now)?)?;
    }
    Ok(())
}

fn recovery(
    bench: &mut Bench,
    what: &str,
    name: &str,
    kills: usize,
    mebibytes: usize,
) -> Result<()> {
    if !bench.wants(name) {
        return Ok(());
    }
    let (kills, mebibytes) =
        if bench.is_quick() { (3, mebibytes / 16) } else { (kills, mebibytes) };
    let (thing, orders, had) = (Thing::new(what)?, Queue::new()?, Queue::new()?);
    let waiter = Process::builder().daemon(true).spawn(take, (&thing, &orders, &had))?;
    let mut times = Vec::new();
    for _ in 0..kills {
        let held = Event::new()?;
        let holder = Process::builder().daemon(true).spawn(hold, (&thing, &held, mebibytes))?;
        assert!(held.wait_timeout(LIMIT)?, "the victim does not hold it");
        orders.put(true)?;
        until_asleep(&waiter);
        assert!(had.is_empty(), "two have it at once");
        let start = os::now();
        holder.handle().kill()?;
        let end = had.get_timeout(LIMIT)?;
        assert!(end > start, "the waiter had it before the victim was killed");
        times.push((end - start) as f64 / 1e3);
        let killed = holder.join().expect_err("it was killed");
        assert_eq!(killed.child().and_then(|child| child.signal()), Some(9), "{killed}");
    }
    orders.put(false)?;
    waiter.join()??;

    times.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    let shares = [at(0.5), at(0.99), at(1.0)];
    let notes = format!("p99 {:.0} us, worst {:.0} us, {kills} kills", shares[1], shares[2]);
    bench.single(name, Unit::Microseconds, &times, &notes);
    for ((what, value), most) in ["median", "p99", "worst"].iter().zip(shares).zip(GOALS) {
        bench.limit(&format!("{name}, {what}"), value, "us", Goal::AtMost(most));
    }
    Ok(())
}

/// Waits until the main thread of a process that was told to wait for something sleeps, and for nothing else.
fn until_asleep<R>(process: &Process<R>) {
    let stat = format!("/proc/{0}/task/{0}/stat", process.id());
    let started = os::now();
    // More than once, since it sleeps before it has its order, too.
    let mut asleep = 0;
    while asleep < 5 {
        let text = fs::read_to_string(&stat).expect("the process lives");
        let state = text.rsplit(')').next().and_then(|rest| rest.trim_start().chars().next());
        asleep = if state == Some('S') { asleep + 1 } else { 0 };
        os::pause(20_000);
        assert!(os::now() - started < LIMIT.as_nanos() as u64, "the waiter does not sleep");
    }
}

// ---------------------------------------------------------------------------------------------
// Wake-ups
// ---------------------------------------------------------------------------------------------

fn wait_for_event(event: Event) -> Result<()> {
    event.wait()
}

fn wait_for_message(queue: Queue<()>) -> Result<()> {
    queue.get()
}

fn wait_for_lock(lock: Lock) -> Result<()> {
    lock.lock().map(drop)
}

/// The threads of a process with the count of their voluntary context switches.
fn switches(pid: u32) -> Vec<(u32, u64)> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("the process lives");
    let count = |task: fs::DirEntry| {
        let status = fs::read_to_string(task.path().join("status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        Some((task.file_name().to_str()?.parse().ok()?, line.trim().parse().ok()?))
    };
    tasks.flatten().filter_map(count).collect()
}

fn wake_ups(bench: &mut Bench) -> Result<()> {
    let name = "wake-ups";
    if !bench.wants(name) {
        return Ok(());
    }
    let time = Duration::from_millis(if bench.is_quick() { 100 } else { 5000 });
    let (event, queue, lock) = (Event::new()?, Queue::<()>::new()?, Lock::new()?);
    let guard = lock.lock()?;
    let start = || Process::builder().daemon(true);
    let waiters = [
        ("an event's waiter", 0.0, start().spawn(wait_for_event, (&event,))?),
        ("a getter", 0.0, start().spawn(wait_for_message, (&queue,))?),
        ("a lock's waiter", 20.0, start().spawn(wait_for_lock, (&lock,))?),
    ];
    for (_, _, waiter) in &waiters {
        // Every process has two threads: the one that waits and its keeper.
        while switches(waiter.id()).len() != 2 {
            os::pause(100_000);
        }
        until_asleep(waiter);
    }
    // What the starts have stirred up comes to rest.
    sleep(time / 10);

    let counts = || waiters.each_ref().map(|(_, _, waiter)| switches(waiter.id()));
    let (from, before) = (os::now(), counts());
    sleep(time);
    let (after, to) = (counts(), os::now());
    let rate = |count: u64| count as f64 * 1e9 / (to - from) as f64;
    let mut keepers = Vec::new();
    for ((before, after), (what, most, waiter)) in before.iter().zip(&after).zip(&waiters) {
        assert_eq!(before.len(), after.len(), "a thread came or went");
        for ((tid, before), (same, after)) in before.iter().zip(after) {
            assert_eq!(tid, same, "a thread came or went");
            let rate = rate(after - before);
            if *tid == waiter.id() {
                bench.single(&format!("{name} of {what}"), Unit::PerSecond, &[rate], "");
                bench.limit(&format!("{name} of {what}"), rate, "a second", Goal::AtMost(*most));
            } else {
                keepers.push(rate);
            }
        }
    }
    bench.single(&format!("{name} of idle keepers"), Unit::PerSecond, &keepers, "");
    let most = keepers.iter().copied().fold(0.0, f64::max);
    bench.limit(&format!("{name} of an idle keeper"), most, "a second", Goal::AtMost(1.0));

    event.set();
    queue.put(())?;
    drop(guard);
    for (_, _, waiter) in waiters {
        waiter.join()??;
    }
    Ok(())
}
