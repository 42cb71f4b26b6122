//! `Condition`: who is woken by which notification, with which guards, and what deaths change about it.

use std::time::{Duration, Instant};

use multiproc::{
    Array, Atomic, Condition, Event, Lock, OwnedLockGuard, Process, Queue, RLock, Result, Value,
};

use crate::common::{Chance, LONG, SHORT, killed, park, until};
use crate::fork::{ended_well, fork};
use crate::watchdog::watch;

/// How many wait.
fn waiters(condition: &Condition) -> usize {
    let text = format!("{condition:?}");
    let number = text.strip_prefix("Condition { waiters: ").unwrap().strip_suffix(" }").unwrap();
    number.parse().unwrap()
}

#[track_caller]
fn until_waiting(condition: &Condition, count: usize) {
    until("so many wait", || waiters(condition) == count);
}

/// Waits again and again, and tells each time with its number; until it is told to stop.
fn wait_on(
    lock: Lock,
    condition: Condition,
    number: u32,
    woken: Queue<u32>,
    stop: Event,
) -> Result<()> {
    let mut guard = lock.lock()?;
    while !stop.is_set() {
        condition.wait(&mut guard)?;
        woken.put(number)?;
    }
    Ok(())
}

/// Children that wait.
struct Crowd {
    lock: Lock,
    condition: Condition,
    woken: Queue<u32>,
    stop: Event,
    children: Vec<Process<Result<()>>>,
    next: u32,
}

impl Crowd {
    fn new(children: usize) -> Crowd {
        let mut crowd = Crowd {
            lock: Lock::new().unwrap(),
            condition: Condition::new().unwrap(),
            woken: Queue::new().unwrap(),
            stop: Event::new().unwrap(),
            children: Vec::new(),
            next: 0,
        };
        for _ in 0..children {
            crowd.grow();
        }
        crowd
    }

    /// One more, which waits when this returns: the last one.
    fn grow(&mut self) {
        let (lock, condition) = (&self.lock, &self.condition);
        let arguments = (lock, condition, self.next, &self.woken, &self.stop);
        self.children.push(Process::spawn(wait_on, arguments).unwrap());
        self.next += 1;
        until_waiting(&self.condition, self.children.len());
    }

    /// Who was woken, when so many have been, and all wait again.
    #[track_caller]
    fn woken(&self, count: usize) -> Vec<u32> {
        let woken = (0..count).map(|_| self.woken.get_timeout(LONG).unwrap()).collect();
        until_waiting(&self.condition, self.children.len());
        assert_eq!(self.woken.len(), 0, "more were woken");
        woken
    }

    fn end(self) {
        self.stop.set();
        self.condition.notify_all();
        for child in self.children {
            child.join().unwrap().unwrap();
        }
    }
}

#[test]
fn notify_wakes_so_many_and_the_oldest_first() {
    let _watch = watch();
    let crowd = Crowd::new(6);
    crowd.condition.notify(2);
    let mut first = crowd.woken(2);
    first.sort_unstable();
    assert_eq!(first, [0, 1]);
    crowd.condition.notify(4);
    let mut rest = crowd.woken(4);
    rest.sort_unstable();
    assert_eq!(rest, [2, 3, 4, 5]);
    crowd.condition.notify(0);
    crowd.woken(0);
    crowd.condition.notify_one();
    assert!(crowd.woken(1)[0] < 2);
    crowd.condition.notify_all();
    crowd.woken(6);
    crowd.condition.notify(100);
    crowd.woken(6);
    crowd.end();
}

#[test]
fn a_notification_that_finds_nobody_is_forgotten() {
    let _watch = watch();
    let (lock, condition) = (Lock::new().unwrap(), Condition::new().unwrap());
    condition.notify(3);
    condition.notify_all();
    let mut guard = lock.lock().unwrap();
    assert!(!condition.wait_timeout(&mut guard, SHORT).unwrap());
    condition.notify_one();
    assert!(!condition.wait_timeout(&mut guard, SHORT).unwrap());
    assert_eq!(waiters(&condition), 0);
}

/// As CPython's `test_notify_n`: six wait, each once.
#[test]
fn six_wait_once_and_two_and_four_and_none_are_woken() {
    let _watch = watch();
    let once = |lock: Lock, condition: Condition, woken: Queue<()>| -> Result<()> {
        let mut guard = lock.lock()?;
        condition.wait(&mut guard)?;
        woken.put(())
    };
    let (lock, condition) = (Lock::new().unwrap(), Condition::new().unwrap());
    let woken = Queue::new().unwrap();
    let arguments = (&lock, &condition, &woken);
    let children = [(); 6].map(|()| Process::spawn(once, arguments).unwrap());
    until_waiting(&condition, 6);
    for (notified, left) in [(2, 4), (4, 0), (3, 0)] {
        let guard = lock.lock().unwrap();
        condition.notify(notified);
        drop(guard);
        until_waiting(&condition, left);
        until("they have told", || woken.len() == 6 - left);
    }
    for child in children {
        child.join().unwrap().unwrap();
    }
}

#[test]
fn many_threads_are_woken_at_once_and_each_once() {
    let _watch = watch();
    const THREADS: usize = 150;
    let (lock, condition) = (Lock::new().unwrap(), Condition::new().unwrap());
    let woken = Atomic::new(0_u32).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                let mut guard = lock.lock().unwrap();
                condition.wait(&mut guard).unwrap();
                woken.fetch_add(1);
            });
        }
        until_waiting(&condition, THREADS);
        condition.notify(70);
        until("seventy are woken", || woken.load() == 70);
        assert_eq!(waiters(&condition), THREADS - 70);
        condition.notify_all();
    });
    assert_eq!(woken.load(), THREADS as u32);
    assert_eq!(waiters(&condition), 0);
}

#[test]
fn a_wait_answers_whether_it_was_notified() {
    let _watch = watch();
    let (lock, condition) = (Lock::new().unwrap(), Condition::new().unwrap());
    let mut guard = lock.lock().unwrap();
    for time in [Duration::ZERO, Duration::from_nanos(1), SHORT] {
        let start = Instant::now();
        assert!(!condition.wait_timeout(&mut guard, time).unwrap());
        assert!(start.elapsed() >= time && lock.is_locked());
    }
    let past = Instant::now().checked_sub(Duration::from_secs(1)).unwrap();
    for deadline in [past, Instant::now() + SHORT] {
        assert!(!condition.wait_deadline(&mut guard, deadline).unwrap());
        assert!(Instant::now() >= deadline);
    }
    std::thread::scope(|scope| {
        // It has the lock as soon as the waiter has let go of it.
        scope.spawn(|| {
            let _guard = lock.lock().unwrap();
            condition.notify_one();
        });
        assert!(condition.wait_timeout(&mut guard, Duration::MAX).unwrap());
    });
}

#[test]
fn a_predicate_is_asked_until_it_is_content() {
    let _watch = watch();
    let count_down = |value: Value<i32>, condition: Condition| -> Result<()> {
        for _ in 0..4 {
            let mut value = value.lock()?;
            condition.wait_while(&mut value, |value| *value % 2 == 1)?;
            *value -= 1;
            condition.notify_one();
        }
        Ok(())
    };
    let (value, condition) = (Value::new(8).unwrap(), Condition::new().unwrap());
    let child = Process::spawn(count_down, (&value, &condition)).unwrap();
    for _ in 0..4 {
        let mut value = value.lock().unwrap();
        condition.wait_while(&mut value, |value| *value % 2 == 0).unwrap();
        *value -= 1;
        condition.notify_one();
    }
    child.join().unwrap().unwrap();
    let mut guard = value.lock().unwrap();
    assert_eq!(*guard, 0);
    assert!(condition.wait_while_timeout(&mut guard, |value| *value != 0, SHORT).unwrap());
    assert!(!condition.wait_while_timeout(&mut guard, |value| *value == 0, SHORT).unwrap());
    let soon = Instant::now() + SHORT;
    assert!(!condition.wait_while_deadline(&mut guard, |value| *value == 0, soon).unwrap());
    assert!(condition.wait_while_deadline(&mut guard, |value| *value != 0, soon).unwrap());
}

#[test]
fn every_guard_can_wait() {
    let _watch = watch();
    let condition = Condition::new().unwrap();
    let lock = Lock::new().unwrap();
    let mut guard: OwnedLockGuard = lock.lock_owned().unwrap();
    assert!(!condition.wait_timeout(&mut guard, SHORT).unwrap());
    assert!(lock.is_locked());

    let array = Array::from_slice(&[1, 2, 3]).unwrap();
    let change = |array: Array<i32>, condition: Condition| -> Result<()> {
        array.set(1, 20)?;
        condition.notify_all();
        Ok(())
    };
    let mut guard = array.lock().unwrap();
    guard[0] = 10;
    let child = Process::spawn(change, (&array, &condition)).unwrap();
    condition.wait_while(&mut guard, |numbers| numbers[1] == 2).unwrap();
    guard[2] = 30;
    drop(guard);
    assert_eq!(array.to_vec().unwrap(), [10, 20, 30]);
    child.join().unwrap().unwrap();
}

#[test]
fn a_reentrant_lock_is_let_go_at_every_depth() {
    let _watch = watch();
    let (lock, condition) = (RLock::new().unwrap(), Condition::new().unwrap());
    let enter = |lock: RLock, condition: Condition| -> Result<u32> {
        let _guard = lock.lock()?;
        condition.notify_one();
        Ok(lock.depth())
    };
    let guards = [(); 2].map(|()| lock.lock().unwrap());
    let mut guard = lock.lock().unwrap();
    let child = Process::spawn(enter, (&lock, &condition)).unwrap();
    condition.wait(&mut guard).unwrap();
    assert_eq!(lock.depth(), 3);
    drop(guards);
    assert_eq!(lock.depth(), 1);
    drop(guard);
    assert!(!lock.is_locked());
    assert_eq!(child.join().unwrap().unwrap(), 1);
}

#[test]
fn a_value_is_written_back_before_the_wait_and_read_after_it() {
    let _watch = watch();
    let double = |value: Value<[u64; 8]>, condition: Condition| -> Result<()> {
        value.update(|numbers| numbers.iter_mut().for_each(|number| *number *= 2))?;
        condition.notify_one();
        Ok(())
    };
    let (value, condition) = (Value::new([0; 8]).unwrap(), Condition::new().unwrap());
    let _held = value.get_lock().lock().unwrap();
    let mut guard = value.lock().unwrap();
    *guard = [7; 8];
    let child = Process::spawn(double, (&value, &condition)).unwrap();
    condition.wait_while(&mut guard, |numbers| numbers[7] != 14).unwrap();
    assert_eq!(*guard, [14; 8]);
    assert_eq!(value.get_lock().depth(), 2);
    child.join().unwrap().unwrap();
}

#[test]
fn two_locks_are_an_error() {
    let _watch = watch();
    let (one, other) = (Lock::new().unwrap(), RLock::new().unwrap());
    let condition = Condition::new().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| condition.wait(&mut one.lock().unwrap()).unwrap());
        until_waiting(&condition, 1);
        let mut guard = other.lock().unwrap();
        let error = condition.wait(&mut guard).unwrap_err();
        assert!(error.is_invalid_input());
        assert_eq!(
            error.to_string(),
            "other threads wait for the condition with another lock: use the same lock in every wait of one condition"
        );
        assert!(other.is_locked(), "nothing was let go");
        drop(guard);
        condition.notify_one();
    });
    // When nobody waits, another one will do.
    assert!(!condition.wait_timeout(&mut other.lock().unwrap(), SHORT).unwrap());
}

#[test]
fn data_that_another_guard_has_is_not_let_go() {
    let _watch = watch();
    let (value, condition) = (Value::new(1).unwrap(), Condition::new().unwrap());
    let mut held = value.get_lock().lock().unwrap();
    let other = Value::builder(2).lock(value.get_lock()).build().unwrap();
    let mut guard = value.lock().unwrap();
    let text = "this thread has another guard of data under the lock, which would be let go, too: \
                drop that guard first, or wait with it";
    let error = condition.wait(&mut held).unwrap_err();
    assert!(error.is_already_borrowed());
    assert_eq!(error.to_string(), text);
    assert!(!condition.wait_timeout(&mut guard, SHORT).unwrap());
    let second = other.lock().unwrap();
    assert_eq!(condition.wait(&mut guard).unwrap_err().to_string(), text);
    drop(second);
    drop(guard);
    assert!(!condition.wait_timeout(&mut held, SHORT).unwrap());
}

// ---------------------------------------------------------------------------------------------
// Deaths
// ---------------------------------------------------------------------------------------------

#[test]
#[cfg_attr(feature = "raw-sync", ignore = "it kills: raw_sync is not robust")]
fn the_dead_are_not_counted() {
    let _watch = watch();
    let mut crowd = Crowd::new(4);
    killed(crowd.children.remove(0));
    killed(crowd.children.remove(1));
    assert_eq!(waiters(&crowd.condition), 2);
    crowd.condition.notify(2);
    let mut woken = crowd.woken(2);
    woken.sort_unstable();
    assert_eq!(woken, [1, 3]);
    crowd.end();
}

#[test]
#[cfg_attr(feature = "raw-sync", ignore = "it kills: raw_sync is not robust")]
fn what_a_waiter_dies_with_reaches_the_next_one() {
    let _watch = watch();
    let mut crowd = Crowd::new(3);
    let guard = crowd.lock.lock().unwrap();
    crowd.condition.notify(1);
    // The oldest is woken, and cannot have the lock.
    killed(crowd.children.remove(0));
    drop(guard);
    assert_eq!(crowd.woken(1), [1]);
    // With the last one it is gone: nobody who comes later gets it.
    let guard = crowd.lock.lock().unwrap();
    crowd.condition.notify_all();
    for child in crowd.children.drain(..) {
        killed(child);
    }
    drop(guard);
    let mut guard = crowd.lock.lock().unwrap();
    assert!(!crowd.condition.wait_timeout(&mut guard, SHORT).unwrap());
}

/// One of eight dies with each notification, before it or after it, and cannot have the lock meanwhile. So exactly as many of the
/// others are woken as the notification was for, and each once.
fn kill_among_eight(kills: u32, seed: u64) {
    let mut crowd = Crowd::new(8);
    let mut numbers: Vec<u32> = (0..8).collect();
    let mut chance = Chance::new(seed);
    for round in 0..kills {
        let index = chance.below(8) as usize;
        let victim = crowd.children.remove(index);
        numbers.remove(index);
        let notified = 1 + chance.below(9) as usize;
        let guard = crowd.lock.lock().unwrap();
        if chance.below(2) == 0 {
            victim.handle().kill().unwrap();
            crowd.condition.notify(notified);
        } else {
            crowd.condition.notify(notified);
            for _ in 0..chance.below(3000) {
                std::hint::spin_loop();
            }
            victim.handle().kill().unwrap();
        }
        assert!(victim.join().is_err());
        drop(guard);
        let mut woken = crowd.woken(notified.min(7));
        woken.sort_unstable();
        woken.dedup();
        assert_eq!(woken.len(), notified.min(7), "round {round}: each once");
        assert!(woken.iter().all(|number| numbers.contains(number)), "round {round}: {woken:?}");
        numbers.push(crowd.next);
        crowd.grow();
    }
    crowd.end();
}

#[test]
#[cfg_attr(feature = "raw-sync", ignore = "it kills: raw_sync is not robust")]
fn random_kills_among_eight_change_no_count() {
    let _watch = watch();
    kill_among_eight(60, 14);
}

#[test]
#[ignore = "takes a minute: cargo test --release --test it thousand_random_kills -- --ignored"]
fn a_thousand_random_kills_among_eight_change_no_count() {
    for seed in 0..40 {
        let _watch = watch();
        kill_among_eight(25, seed);
    }
}

/// Takes the lock when somebody waits, and dies with it.
fn die_with(lock: Lock, condition: Condition) -> Result<()> {
    until_waiting(&condition, 1);
    let _guard = lock.lock()?;
    condition.notify_all();
    std::process::abort()
}

#[test]
#[cfg_attr(feature = "raw-sync", ignore = "it kills: raw_sync is not robust")]
fn a_wait_returns_with_the_lock_though_its_owner_died() {
    let _watch = watch();
    let (lock, condition) = (Lock::new().unwrap(), Condition::new().unwrap());
    let mut guard = lock.lock().unwrap();
    let child = crate::common::quiet().spawn(die_with, (&lock, &condition)).unwrap();
    assert!(condition.wait(&mut guard).unwrap_err().is_owner_died());
    assert!(lock.owner().is_some(), "the guard holds it");
    assert!(lock.try_lock().unwrap_err().is_owner_died() || lock.is_locked());
    drop(guard);
    assert!(lock.lock().unwrap_err().is_owner_died(), "the poison stays");
    let mut guard = lock.recover().unwrap();
    // Waiting lets go of what is repaired.
    assert!(!condition.wait_timeout(&mut guard, SHORT).unwrap());
    drop(guard);
    drop(lock.lock().unwrap());
    assert!(child.join().is_err());
}

/// The same with the lock of a value.
fn die_with_value(value: Value<u32>, condition: Condition) -> Result<()> {
    until_waiting(&condition, 1);
    let mut guard = value.lock()?;
    *guard += 1;
    condition.notify_all();
    std::process::abort()
}

#[test]
#[cfg_attr(feature = "raw-sync", ignore = "it kills: raw_sync is not robust")]
fn a_value_that_was_spoiled_meanwhile_is_not_written() {
    let _watch = watch();
    let (value, condition) = (Value::new(5).unwrap(), Condition::new().unwrap());
    let mut guard = value.lock().unwrap();
    let child = crate::common::quiet().spawn(die_with_value, (&value, &condition)).unwrap();
    assert!(condition.wait(&mut guard).unwrap_err().is_owner_died());
    assert!(value.get_lock().is_locked());
    *guard = 99;
    drop(guard);
    assert!(value.get().unwrap_err().is_owner_died());
    let guard = value.recover().unwrap();
    assert_eq!(*guard, 5);
    drop(guard);
    assert_eq!(value.get().unwrap(), 5);
    assert!(child.join().is_err());
}

#[test]
fn an_array_of_which_a_part_was_claimed_lends_nothing() {
    let _watch = watch();
    let claim = |array: Array<u8>, condition: Condition, done: Event| -> Result<()> {
        let parts = array.partition(2).unwrap();
        // Busy as long as the guard is there, which ends when its thread waits.
        let part = loop {
            match parts[0].claim() {
                Err(error) if error.is_busy() => std::thread::yield_now(),
                claimed => break claimed.unwrap(),
            }
        };
        condition.notify_one();
        done.wait()?;
        drop(part);
        Ok(())
    };
    let (array, condition) = (Array::from_slice(&[1, 2]).unwrap(), Condition::new().unwrap());
    let done = Event::new().unwrap();
    let mut guard = array.lock().unwrap();
    let child = Process::spawn(claim, (&array, &condition, &done)).unwrap();
    let error = condition.wait(&mut guard).unwrap_err();
    assert!(error.is_busy(), "{error:?}");
    assert!(guard.is_empty() && guard.iter_mut().next().is_none());
    assert!(array.get_lock().is_locked());
    drop(guard);
    done.set();
    child.join().unwrap().unwrap();
    assert_eq!(array.to_vec().unwrap(), [1, 2]);
}

#[test]
fn a_stopped_waiter_holds_nobody_up() {
    use nix::sys::signal::{Signal, kill};
    let _watch = watch();
    let crowd = Crowd::new(3);
    let stopped = nix::unistd::Pid::from_raw(crowd.children[0].id() as i32);
    kill(stopped, Signal::SIGSTOP).unwrap();
    crowd.condition.notify(2);
    assert_eq!(crowd.woken.get_timeout(LONG).unwrap(), 1);
    kill(stopped, Signal::SIGCONT).unwrap();
    assert_eq!(crowd.woken(1), [0]);
    crowd.end();
}

#[test]
#[cfg_attr(feature = "raw-sync", ignore = "it kills: raw_sync is not robust")]
fn it_travels_and_goes_with_its_last_user() {
    let _watch = watch();
    let queue = Queue::new().unwrap();
    queue.put(Condition::new().unwrap()).unwrap();
    let condition = queue.get().unwrap();
    let hold = |condition: Condition, ready: Event| {
        drop(condition.clone());
        ready.set();
        park();
    };
    let ready = Event::new().unwrap();
    let child = Process::spawn(hold, (&condition, &ready)).unwrap();
    ready.wait().unwrap();
    drop(condition);
    killed(child);
    assert_eq!(waiters(&Condition::new().unwrap()), 0);
}

#[test]
fn what_a_forked_child_inherits_is_not_its_own() {
    let _watch = watch();
    let body = || {
        let (lock, condition) = (Lock::new().unwrap(), Condition::new().unwrap());
        let mut guard = lock.lock().unwrap();
        let child = fork(|| {
            assert!(condition.wait(&mut guard).unwrap_err().is_foreign());
            condition.notify_all();
            assert!(!format!("{condition:?}").is_empty());
        });
        ended_well(child);
        assert!(lock.is_locked());
        assert!(!condition.wait_timeout(&mut guard, SHORT).unwrap());
    };
    Process::spawn(body, ()).unwrap().join().unwrap();
}
