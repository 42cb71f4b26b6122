//! SIGKILL: of the server, and of those who call it.

use std::thread;
use std::time::{Duration, Instant, SystemTime};

use multiproc::{Dict, Event, Manager, Process, Proxy, Queue, Result};

use crate::common::{Chance, killed, park};
use crate::watchdog::watch;

use super::{server, until_left};

/// How late a caller may learn that the server is dead.
const SOON: Duration = Duration::from_millis(100);

/// Calls until the server is gone, and says when that was, in a clock that all processes share.
fn call_until_closed(number: Proxy<u64>, begun: Queue<()>) -> Result<Duration> {
    begun.put(())?;
    loop {
        match number.call(|n: &mut u64| *n += 1, ()) {
            Ok(()) => {}
            Err(error) if error.is_closed() => return Ok(now()),
            Err(error) => return Err(error),
        }
    }
}

fn now() -> Duration {
    SystemTime::UNIX_EPOCH.elapsed().unwrap()
}

#[test]
fn a_killed_server_closes_every_call() {
    let _watch = watch();
    for round in 0..5 {
        let manager = Manager::new().unwrap();
        let number = manager.host(0_u64).unwrap();
        let (process, begun) = (server(&manager), Queue::new().unwrap());
        let workers: Vec<_> =
            (0..2).map(|_| Process::spawn(call_until_closed, (&number, &begun)).unwrap()).collect();
        thread::scope(|scope| {
            let threads: Vec<_> = (0..2)
                .map(|_| {
                    let (number, begun) = (number.clone(), begun.clone());
                    scope.spawn(move || call_until_closed(number, begun))
                })
                .collect();
            (0..4).for_each(|_| begun.get().unwrap());
            if round % 2 == 1 {
                // All wait behind a call that never ends.
                let stuck = number.with_timeout(Duration::ZERO);
                assert!(stuck.call(|_: &mut u64| park(), ()).is_err());
            }
            let killed = now();
            process.kill().unwrap();
            let mut ended: Vec<Duration> =
                threads.into_iter().map(|thread| thread.join().unwrap().unwrap()).collect();
            ended.extend(workers.into_iter().map(|worker| worker.join().unwrap().unwrap()));
            for ended in ended {
                let late = ended.saturating_sub(killed);
                assert!(late < SOON, "told {late:?} after the server was killed");
            }
        });
        let before = Instant::now();
        assert!(number.call(|n: &mut u64| *n, ()).unwrap_err().is_closed());
        assert!(manager.host(5_u32).unwrap_err().is_closed());
        assert!(manager.shutdown().unwrap_err().is_closed());
        assert!(before.elapsed() < SOON);
    }
}

/// The first call of a process brings its channel along; nobody ever took it out of the queue.
#[test]
fn a_first_call_behind_a_stuck_one_is_closed_too() {
    let _watch = watch();
    let manager = Manager::new().unwrap();
    let number = manager.host(0_u64).unwrap();
    assert!(number.with_timeout(Duration::ZERO).call(|_: &mut u64| park(), ()).is_err());
    let begun = Queue::new().unwrap();
    let worker = Process::spawn(call_until_closed, (&number, &begun)).unwrap();
    begun.get().unwrap();
    crate::common::until_asleep(&worker.handle());
    let process = server(&manager);
    let killed = now();
    process.kill().unwrap();
    let late = worker.join().unwrap().unwrap().saturating_sub(killed);
    assert!(late < SOON, "told {late:?} after the server was killed");
}

/// Calls of every kind, until it is killed.
fn victim(manager: Manager, dict: Dict<u64, Vec<u8>>, total: Proxy<u64>, seed: u64) -> Result<()> {
    let mut chance = Chance::new(seed);
    let held = manager.dict::<u64, Proxy<u64>>()?;
    loop {
        let key = chance.below(8);
        match chance.below(6) {
            0 => drop(dict.insert(key, vec![seed as u8; chance.below(20_000) as usize])?),
            1 => drop(dict.get(key)?),
            2 => held.insert(key, manager.host(key)?).map(drop)?,
            3 => drop(held.get(key)?),
            4 => total.call(|n: &mut u64| *n += 1, ())?,
            _ => drop(manager.batch(|batch| {
                (batch.dict(&dict).remove(key), batch.call(&total, |n: &mut u64| *n, ()))
            })?),
        }
    }
}

#[test]
fn clients_killed_in_the_middle_of_calls_disturb_nobody() {
    let _watch = watch();
    const KILLS: u64 = 200;
    let manager = Manager::new().unwrap();
    let dict = manager.dict::<u64, Vec<u8>>().unwrap();
    let total = manager.host(0_u64).unwrap();
    let (survivor, stop) = (manager.host(0_u64).unwrap(), Event::new().unwrap());
    let count = |number: Proxy<u64>, stop: Event| -> Result<u64> {
        let mut count = 0;
        while !stop.is_set() {
            count += 1;
            let seen = number.call(
                |n: &mut u64| {
                    *n += 1;
                    *n
                },
                (),
            )?;
            assert_eq!(seen, count, "each call was done once, and answered to its caller");
        }
        Ok(count)
    };
    let other = Process::spawn(count, (&survivor, &stop)).unwrap();
    let mut chance = Chance::new(11);
    let mut victims = std::collections::VecDeque::new();
    for seed in 0..KILLS {
        victims.push_back(Process::spawn(victim, (&manager, &dict, &total, seed)).unwrap());
        if victims.len() > 3 {
            // A moment by chance; what it is in the middle of is left to the scheduler.
            let moment = Instant::now() + Duration::from_micros(chance.below(3000));
            while Instant::now() < moment {
                total.call(|n: &mut u64| *n, ()).unwrap();
            }
            killed(victims.pop_front().unwrap());
        }
    }
    victims.into_iter().for_each(killed);
    stop.set();
    assert!(other.join().unwrap().unwrap() > 0);
    // Whole, or not at all.
    for value in dict.values().unwrap() {
        assert!(value.iter().all(|byte| *byte == value[0]));
    }
    until_left(&manager, 3);
    drop((dict, total, survivor));
    until_left(&manager, 0);
}
