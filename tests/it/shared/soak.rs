//! Kills at random moments: whoever is left gets whole data, or is told, and is not kept waiting.

use std::time::Duration;

use multiproc::{Array, Atomic, Error, Event, Process, Result, Value};

use super::Large;
use crate::common::{Chance, LONG, killed};
use crate::watchdog::watch;

const ELEMENTS: usize = 3000;

#[derive(Clone, serde::Serialize, serde::Deserialize)]
struct Objects {
    small: Value<u64>,
    large: Value<Large>,
    array: Array<u64>,
    rounds: Atomic<u64>,
}

/// Does the rest if the owner died: that is told, and nothing else is wrong.
fn repaired<T>(result: Result<T>, repair: impl FnOnce() -> Result<()>) -> Option<T> {
    match result {
        Ok(value) => Some(value),
        Err(error) if error.is_owner_died() => {
            repair().unwrap_or_else(|error| assert!(is_told(&error), "{error:?}"));
            None
        }
        Err(error) => {
            assert!(is_told(&error), "{error:?}");
            None
        }
    }
}

/// Somebody else died meanwhile, or has a part.
fn is_told(error: &Error) -> bool {
    error.is_owner_died() || error.is_busy()
}

impl Objects {
    fn round(&self, n: u64) {
        let Objects { small, large, array, rounds } = self;
        repaired(small.update(|n| *n += 1), || small.set(0));
        if let Some(value) = repaired(large.get(), || large.recover().map(drop)) {
            assert!(value.is_whole(), "{value:?}");
        }
        repaired(large.set(Large::of(n)), || Ok(()));
        repaired(large.lock().map(|mut guard| *guard = Large::of(n + 1)), || {
            large.set(Large::of(n))
        });
        repaired(array.copy_from_slice(&[n; ELEMENTS]), || Ok(()));
        let copy = repaired(array.to_vec(), || array.fill(n));
        if let Some(values) = copy {
            assert!(values.iter().all(|value| *value == values[0]), "torn");
        }
        // Parts break the rule that all are equal, and say so by a death; at the end of the round all are equal again.
        let held = array.get_lock().lock_timeout(LONG);
        repaired(held.map(drop), || array.get_lock().recover().map(drop));
        if let Ok(mut guard) = array.lock() {
            guard[0] = n + 1;
            guard.fill(n);
        }
        rounds.fetch_add(1);
    }
}

fn work(objects: Objects, started: Event, seed: u64) {
    started.set();
    for n in seed.. {
        objects.round(n);
    }
}

#[test]
fn kills_at_random_moments() {
    let _watch = watch();
    let objects = Objects {
        small: Value::new(0).unwrap(),
        large: Value::new(Large::of(0)).unwrap(),
        array: Array::from_slice(&[0; ELEMENTS]).unwrap(),
        rounds: Atomic::new(0).unwrap(),
    };
    let mut chance = Chance::new(7);
    let start = |seed: u64| {
        let started = Event::new().unwrap();
        let worker = Process::spawn(work, (&objects, &started, seed)).unwrap();
        started.wait().unwrap();
        worker
    };
    let survivor = start(1000);
    for seed in 0..80 {
        let victim = start(seed);
        std::thread::sleep(Duration::from_micros(chance.below(1500)));
        killed(victim);
        // The survivor goes on, and so can we.
        let before = objects.rounds.load();
        crate::common::until("somebody gets on", || objects.rounds.load() > before);
        objects.round(seed);
    }
    assert!(survivor.handle().is_alive(), "it met something that must not be");
    killed(survivor);
}

fn claims(array: Array<u64>, started: Event, seed: u64) {
    started.set();
    let mut chance = Chance::new(seed);
    loop {
        let parts = array.partition(1 + chance.below(4) as usize).unwrap();
        let part = chance.below(parts.len() as u64) as usize;
        match parts[part].claim() {
            Ok(mut guard) => guard.fill(seed),
            Err(error) => assert!(error.is_busy(), "{error:?}"),
        }
    }
}

#[test]
fn kills_of_claimants_at_random_moments() {
    let _watch = watch();
    let array = Array::from_slice(&[0u64; ELEMENTS]).unwrap();
    let mut chance = Chance::new(8);
    let mut dead_claims = 0;
    for seed in 1..80 {
        let started = Event::new().unwrap();
        let victim: Process<()> = Process::spawn(claims, (&array, &started, seed)).unwrap();
        started.wait().unwrap();
        std::thread::sleep(Duration::from_micros(chance.below(1500)));
        killed(victim);
        // Nobody has anything now: the array is whole, or says that it is not, and is never busy.
        if let Err(error) = array.get(0) {
            assert!(error.is_owner_died(), "{error:?}");
            drop(array.recover().unwrap());
            dead_claims += 1;
        }
        array.get(0).unwrap();
        for part in array.partition(3).unwrap() {
            part.claim().unwrap().fill(0);
        }
        assert_eq!(array.to_vec().unwrap(), [0; ELEMENTS]);
    }
    assert!(dead_claims > 0, "no kill hit a claim");
}
