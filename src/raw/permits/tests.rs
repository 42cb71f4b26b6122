//! The machine step by step, in memory of the test: what the caches say is compared with the truth after each.

use super::*;
use crate::liveness::{Liveness, Pauses, RegistryTable};
use std::sync::OnceLock;
use std::time::Duration;

/// A structure of zeros that lives for ever.
fn blank<T: crate::sys::shared::Shared>() -> &'static T {
    let zeroed = Box::<T>::new_zeroed();
    // SAFETY: zero is a value of what may be in shared memory.
    #[allow(unsafe_code, reason = "words of zeros")]
    let words = unsafe { zeroed.assume_init() };
    Box::leak(words)
}

/// A process, and its view of the semaphore.
struct Process {
    words: &'static Words,
    block: &'static Far,
    liveness: &'static Liveness,
    seat: OnceLock<Seat>,
}

/// So many processes with a semaphore that has so many permits.
fn processes<const COUNT: usize>(permits: u32) -> [Process; COUNT] {
    let table: &RegistryTable = blank();
    let (words, block): (&Words, &Far) = (blank(), blank());
    words.begin(permits, permits);
    [(); COUNT].map(|()| {
        let liveness = Liveness::new(table, Pauses::new(false, 1)).unwrap();
        liveness.set_process(liveness.take_process(None, None).unwrap());
        let seat = OnceLock::new();
        Process { words, block, liveness: Box::leak(Box::new(liveness)), seat }
    })
}

impl View for Process {
    fn words(&self) -> &'static Words {
        self.words
    }

    fn liveness(&self) -> &'static Liveness {
        self.liveness
    }

    fn process(&self) -> u32 {
        self.me().to_bits()
    }

    fn own_seat(&self) -> &OnceLock<Seat> {
        &self.seat
    }

    fn far(&self) -> Result<Option<&'static Far>> {
        Ok(self.words.block().map(|_| self.block))
    }

    fn add_far(&self, me: Id, until: Deadline) -> Result<()> {
        self.publish(me, until, 1, || ()).map(drop)
    }
}

impl Process {
    fn me(&self) -> Id {
        self.liveness.this_process()
    }

    fn take(&self, permits: u32) {
        (0..permits).for_each(|_| self.acquire(Deadline::NOW).unwrap());
    }

    fn give(&self, permits: u32) {
        (0..permits).for_each(|_| self.give_back());
    }

    /// What the process holds, in its seat and outside.
    fn held(&self) -> (u32, u32) {
        let entry = self.block.of(self.me().slot()).load(Ordering::Relaxed);
        let entry = if (entry >> 32) as u32 == self.process() { entry as u32 } else { 0 };
        (self.seat().map_or(0, |seat| self.words.state().held(seat)), entry)
    }

    fn dies(&self) {
        self.liveness.registry.mark_process(self.me());
    }
}

/// So many permits exist, and so many are available, by the state and the entries and by the caches.
#[track_caller]
fn assert_exact(processes: &[&Process], total: u32, available: u32) {
    let (words, block) = (processes[0].words, processes[0].block);
    let (state, counted) = (words.state(), block.available.load(Ordering::Relaxed));
    let outside: u32 = processes.iter().map(|process| process.held().1).sum();
    assert_eq!(state.total(), total);
    assert_eq!(total - state.held_by_all() - outside, available);
    assert_eq!(if state.is_counted() { counted } else { state.count() }, available);
    assert_eq!(block.held.load(Ordering::Relaxed), outside);
    assert_eq!(state.is_counted(), outside != 0, "COUNTED for as long as it must be");
    assert!(!state.is_stale());
}

#[test]
fn all_that_is_counted_is_exact_at_every_step() {
    let [one, two] = processes(200);
    let both = [&one, &two];
    one.take(127);
    assert_eq!(one.held(), (127, 0));
    for taken in 1..=3 {
        one.take(1);
        assert_eq!(one.held(), (127, taken));
        assert_exact(&both, 200, 73 - taken);
    }
    two.take(3);
    assert_exact(&both, 200, 67);
    two.give(1);
    assert_exact(&both, 200, 68);
    two.forget();
    assert_eq!(two.held(), (1, 0));
    assert_exact(&both, 199, 68);
    one.forget();
    assert_eq!(one.held(), (127, 2));
    assert_exact(&both, 198, 68);
    one.give(1);
    assert_exact(&both, 198, 69);
    two.release(2).unwrap();
    assert_exact(&both, 200, 71);
    assert!(two.release(1).unwrap_err().is_limit());
    one.give(1);
    assert_exact(&both, 200, 72);
    one.give(127);
    assert_exact(&both, 200, 199);
    // While it is open, what stands in the block counts for nothing.
    one.block.held.store(u32::MAX, Ordering::Relaxed);
    one.take(128);
    assert_exact(&both, 200, 71);
}

#[test]
fn who_takes_the_lock_from_the_dead_makes_the_caches_anew() {
    let [one, two, three] = processes(200);
    one.take(129);
    // They die under the lock: between a step and what they would have noted of it, too little or too much.
    for (dead, held) in [(&two, 1), (&three, 4)] {
        dead.take(2);
        dead.lock(dead.me(), Deadline::NOW).unwrap();
        one.block.held.store(held, Ordering::Relaxed);
        one.block.available.store(0, Ordering::Relaxed);
        one.words.store(one.words.state().with_stale(true));
        dead.dies();
        one.lock(one.me(), Deadline::NOW).unwrap();
        one.unlock();
        assert_exact(&[&one], 200, 71);
    }
}

#[test]
fn a_waiter_is_told_of_permits_whose_seat_has_another_process_by_now() {
    let [one, two] = processes(2);
    one.take(2);
    let prepared = one.words.event_count.prepare_wait();
    one.dies();
    two.take(1);
    assert_eq!(two.seat(), one.seat());
    assert_ne!(one.words.event_count.word().load(Ordering::Relaxed), prepared);
    assert_exact(&[&two], 2, 1);
}

/// As in a signal handler that interrupted its own thread. What must not be done without the lock is refused.
#[test]
fn who_has_the_lock_already_is_refused_and_changes_nothing() {
    let [one] = processes(130);
    one.take(130);
    one.forget();
    let me = one.liveness.me().unwrap();
    one.lock(me, Deadline::NOW).unwrap();
    assert!(one.publish(me, Deadline::NEVER, 2, || unreachable!()).unwrap_err().is_deadlock());
    assert!(one.release(1).unwrap_err().is_deadlock());
    one.give_back();
    // It is no reason to wait either.
    let until = Deadline::after(Duration::from_secs(10));
    assert!(one.acquire(until).unwrap_err().is_deadlock());
    assert!(!until.is_over());
    assert!(!one.words.lock.try_lock(me), "nobody gave it back");
    one.unlock();
    assert_exact(&[&one], 129, 0);
    one.release(1).unwrap();
    assert_exact(&[&one], 130, 1);
}
