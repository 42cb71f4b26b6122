//! Permits are exact after any number of kills at random moments.

use multiproc::{Atomic, Event, Process, Result, Semaphore};

use crate::common::{Chance, LONG, kind, until};
use crate::watchdog::watch;

/// Takes permits in every way, one at a time, until it is killed. Where there is but one, its holder is alone.
fn churn(
    semaphore: Semaphore,
    is_alone: bool,
    holder: Atomic<u64>,
    number: u64,
    wrong: Event,
) -> Result<()> {
    let mut chance = Chance::new(number);
    loop {
        let permit = match chance.below(3) {
            0 => semaphore.acquire()?,
            1 => match semaphore.try_acquire() {
                Ok(permit) => permit,
                Err(_) => continue,
            },
            _ => semaphore.acquire_timeout(LONG)?,
        };
        holder.store(number);
        for _ in 0..chance.below(300) {
            std::hint::spin_loop();
        }
        if is_alone && holder.load() != number {
            wrong.set();
        }
        drop(permit);
    }
}

/// Some children take and give back `permits`; one after the other is killed. After each tenth kill all are, and then the permits
/// are all there, and no more.
fn kill(kills: u32, permits: u32, seed: u64) {
    let semaphore = Semaphore::new(permits).unwrap();
    let (holder, wrong) = (Atomic::new(0_u64).unwrap(), Event::new().unwrap());
    let mut chance = Chance::new(seed);
    let mut next = 1;
    let mut children: Vec<Process<Result<()>>> = Vec::new();
    for round in 1..=kills {
        while children.len() < 4 {
            let arguments = (&semaphore, permits == 1, &holder, next, &wrong);
            children.push(Process::spawn(churn, arguments).unwrap());
            next += 1;
        }
        for _ in 0..chance.below(60_000) {
            std::hint::spin_loop();
        }
        let victim = children.remove(chance.below(4) as usize);
        victim.handle().kill().unwrap();
        assert!(victim.join().is_err());
        if round % 10 == 0 {
            for child in children.drain(..) {
                child.handle().kill().unwrap();
                assert!(child.join().is_err());
            }
            until("all permits come back", || semaphore.available() == permits);
            let all: Vec<_> = (0..permits).map(|_| semaphore.try_acquire().unwrap()).collect();
            assert_eq!(kind(semaphore.try_acquire()), multiproc::ErrorKind::Busy, "round {round}");
            drop(all);
        }
        assert!(!wrong.is_set(), "round {round}: two held the one permit");
    }
    children.iter().for_each(|child| child.handle().kill().unwrap());
}

#[test]
fn permits_are_exact_after_random_kills() {
    let _watch = watch();
    kill(20, 1, 5);
    kill(20, 3, 6);
}

#[test]
#[ignore = "takes a minute: cargo test --release --test it thousands_of_random_kills -- --ignored"]
fn permits_are_exact_after_thousands_of_random_kills() {
    for seed in 0..50 {
        let _watch = watch();
        kill(20, 1, seed);
        kill(20, 3, seed + 100);
    }
}
