//! Locks, semaphores, events, conditions, barriers.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use multiproc::{Error, LockGuard, Result};

use super::actor::{Actor, unless};
use super::ledger::count;

/// How long something is held where all want the same.
const HOLD: Duration = Duration::from_micros(60);

impl Actor {
    /// Is inside alone: nobody else is but whoever died there.
    fn enter(&self, inside: &AtomicU64) {
        let before = inside.swap(self.life + 1, SeqCst);
        let is_free = before == 0 || self.objects.ledger.is_condemned(before - 1);
        assert!(is_free, "life {} meets life {} inside", self.life, before - 1);
        // Kills are to meet holders for whom all others wait.
        let until = Instant::now() + HOLD;
        while self.is_focused && Instant::now() < until {
            std::hint::spin_loop();
        }
    }

    fn leave(&self, inside: &AtomicU64) {
        let now = inside.swap(0, SeqCst);
        assert!(now == self.life + 1, "life {} finds {now} inside", self.life);
    }
}

/// Locks, and recovers if the owner died.
fn locked<G>(lock: Result<G>, recover: impl FnOnce() -> Result<G>) -> Result<G> {
    match lock {
        Err(error) if error.is_owner_died() => recover(),
        lock => lock,
    }
}

pub(crate) fn lock(actor: &mut Actor) -> Result<()> {
    let objects = &actor.objects;
    let guard = locked(objects.lock.lock(), || objects.lock.recover())?;
    let ledger = &*objects.ledger;
    actor.enter(&ledger.in_lock);
    let [first, second] = ledger.locked.each_ref().map(|number| number.load(SeqCst));
    let died = guard.dead_owner().is_some();
    assert!(first == second || (died && first == second + 1), "half of a count: {first}, {second}");
    let next = first + 1;
    ledger.locked[0].store(next, SeqCst);
    ledger.locked[1].store(next, SeqCst);
    actor.leave(&ledger.in_lock);
    drop(guard);
    count(&actor.log.locked);
    Ok(())
}

pub(crate) fn rlock(actor: &mut Actor) -> Result<()> {
    let objects = &actor.objects;
    let outer = locked(objects.rlock.lock(), || objects.rlock.recover())?;
    let inner = objects.rlock.lock_owned()?;
    actor.enter(&objects.ledger.in_rlock);
    assert_eq!(objects.rlock.depth(), 2);
    actor.leave(&objects.ledger.in_rlock);
    drop((inner, outer));
    Ok(())
}

pub(crate) fn one(actor: &mut Actor) -> Result<()> {
    let permit = actor.objects.one.acquire()?;
    actor.enter(&actor.objects.ledger.in_one);
    actor.leave(&actor.objects.ledger.in_one);
    drop(permit);
    Ok(())
}

pub(crate) fn two(actor: &mut Actor) -> Result<()> {
    let ledger = &*actor.objects.ledger;
    let mine = &ledger.in_two[actor.seat];
    let permit = match actor.objects.two.acquire_timeout(actor.patience()) {
        Err(error) if error.is_timeout() => return Ok(()),
        permit => permit?,
    };
    mine.store(actor.life + 1, SeqCst);
    let is_inside = |life: &AtomicU64| match life.load(SeqCst) {
        0 => false,
        life => !ledger.is_condemned(life - 1),
    };
    let inside = ledger.in_two.iter().filter(|life| is_inside(life)).count();
    assert!(inside <= 2, "{inside} have one of two permits");
    mine.store(0, SeqCst);
    drop(permit);
    Ok(())
}

pub(crate) fn event(actor: &mut Actor) -> Result<()> {
    if actor.is_giving() {
        // Those who waited are woken, though it is clear again.
        actor.objects.event.set();
        actor.objects.event.clear();
        Ok(())
    } else {
        actor.objects.event.wait_timeout(actor.patience()).map(drop)
    }
}

/// The condition's lock.
fn gate(actor: &Actor) -> Result<LockGuard<'_>> {
    locked(actor.objects.gate.lock(), || actor.objects.gate.recover())
}

pub(crate) fn condition(actor: &mut Actor) -> Result<()> {
    let (is_giving, patience) = (actor.is_giving(), actor.patience());
    let objects = &actor.objects;
    let credits = &objects.ledger.credits;
    let mut guard = gate(actor)?;
    if is_giving {
        credits.fetch_add(1, SeqCst);
        objects.condition.notify_one();
        drop(guard);
        count(&actor.log.credited);
        return Ok(());
    }
    let waited =
        objects.condition.wait_while_timeout(&mut guard, |_| credits.load(SeqCst) == 0, patience);
    let has_some = match waited {
        // Somebody died with the lock: it is not ours again.
        Err(error) if error.is_owner_died() => false,
        waited => waited?,
    };
    if has_some {
        let before = credits.fetch_sub(1, SeqCst);
        assert!(before > 0, "a credit was spent twice");
        drop(guard);
        count(&actor.log.spent);
    }
    Ok(())
}

pub(crate) fn barrier(actor: &mut Actor) -> Result<()> {
    let barrier = &actor.objects.barrier;
    match barrier.wait_timeout(actor.patience()) {
        Err(error) if error.is_timeout() || error.is_broken() => {
            unless(Error::is_broken, barrier.reset())
        }
        waited => waited.map(drop),
    }
}
