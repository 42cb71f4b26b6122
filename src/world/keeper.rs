//! The keeper: one quiet thread per process that holds the process's word, sees deaths, and rings for its sleepers.
//!
//! # Protocol
//!
//! The keeper sleeps in one `futex_waitv` on the words of the next two live processes (in slot order, round and round) and
//! on its own control word. The kernel marks the word of a killed process and wakes one sleeper on it. Whoever wakes
//!
//! 1. looks at *all* process slots and compares with what it saw last; a generation that moved is a death too, since the
//!    slot may have been taken again in between;
//! 2. if there was one, raises its process's alarm epoch and rings ([`crate::world::wait`]): at once if the words of all threads
//!    of the dead process are marked, else 50 us later, as they mostly are by then; again 50, 150 and 450 us after that and at
//!    pauses that double from 5 to 40 ms, until every sleeper has acknowledged;
//! 3. bumps the control words of all other keepers, which then look as well, and mostly find all marked (told before the ring,
//!    they only get in its way: half of the deaths were known after 130 us then, and after 70 us so, with two processors);
//! 4. follows the dead process, asleep on the word of one of its threads, and raises the alarm again when the last one is
//!    marked, and 1 ms after any other: a sleeper that looked before the mark saw a live owner. Threads not marked after 1 ms
//!    are looked up in the system.
//!
//! # Why no death is missed
//!
//! Every live process is in the watch of its two live predecessors, or one of these has been told to look (a process that
//! joins bumps all control words after its slot is visible). If the keeper that the kernel woke is killed before step 3, its
//! own death wakes *its* predecessors, which look at all slots. So as long as one keeper lives, it is woken. (If it is stopped
//! just then, the others look by themselves within a second, and who waits for a lock or a permit within 50 ms.)
//!
//! Every second it also looks for news that came without a wake (a stopped sender). Otherwise an idle keeper sleeps.
//!
//! Where the kernel lacks `futex_waitv` it looks every 50 ms; where it lacks robust lists it asks after each process by
//! descriptor and marks the words itself.
//!
//! The thread blocks all signals, and allocates nothing and locks nothing after its start. It asks the scheduler for the
//! shortest turns: it is often woken on the very processor on which the dead one's memory is torn down, and would have to
//! wait there for the end of the teardown's turn. (50 kills of a process with 1 GiB, two processors: 20 were told of after
//! 3.6 to 6.2 ms, and 7 with short turns; the others after 0.1 to 0.3 ms.) A process under a system call filter does without:
//! filters that end whoever asks are common.

use crate::error::{Error, ErrorKind, Result};
use crate::sys::atomic::Ordering;
use crate::sys::clock::{self, Deadline};
use crate::sys::robust::List;
use crate::sys::{futex, pidfd, thread};
use crate::testing::{self, Broken};
use crate::world::World;
use crate::world::header::PROCESSES;
use crate::world::registry::{ProcessId, State};
use std::time::Duration;

/// When to ring again after each ring, in microseconds. The last pause stays: it is for a sleeper that looks for long.
const RINGS: [u64; 7] = [50, 100, 300, 5_000, 10_000, 20_000, 40_000];
/// How long the first alarm waits for the marks of all threads of a dead process, and how long another one waits for more
/// marks, in nanoseconds.
const MARKED_SOON: u64 = 50_000;
const MARKED_LATER: u64 = 1_000_000;
/// How long a dead process's threads may stay unmarked before the system is asked.
const VANISHED: u64 = 1_000_000;
/// How often to look after a process that is dying, or a child that has not started.
const DYING_LOOK: Duration = Duration::from_micros(100);
const SLOW_DEATH: u64 = 20_000_000;
const SLOW_LOOK: Duration = Duration::from_millis(5);
const EMBRYO_LOOK: Duration = Duration::from_millis(20);
/// How often to look where the kernel does not tell.
const POLL: Duration = Duration::from_millis(50);
/// How often to look for news that came without a wake.
const NEWS_LOOK: Duration = Duration::from_secs(1);
const STACK: usize = 64 * 1024;

/// Starts the keeper, which takes `reserved` or a new slot; returns when the process is registered.
pub(crate) fn start(world: &'static World, reserved: Option<ProcessId>) -> Result<ProcessId> {
    let (tell, told) = std::sync::mpsc::sync_channel(1);
    // All memory is taken here: the thread allocates nothing, which also spares it an arena of the allocator.
    let seen = Vec::with_capacity(PROCESSES);
    let dying = Vec::with_capacity(PROCESSES);
    let body = move || {
        thread::take_short_turns();
        let list = if world.is_robust() { List::of_this_thread() } else { None };
        match world.take_process(list.as_ref(), reserved) {
            Ok(process) => {
                let mut keeper = Keeper::new(world, process, seen, dying);
                let _ = tell.send(Ok(process));
                drop(tell);
                keeper.run();
            }
            Err(error) => {
                let _ = tell.send(Err(error));
            }
        }
    };
    let keeper = std::thread::Builder::new().name("keeper".into()).stack_size(STACK);
    let started = thread::with_signals_blocked(|| keeper.spawn(body));
    started.map_err(|error| {
        thread::cannot_start(
            "the keeper thread, which every process with shared objects has",
            error,
        )
    })?;
    told.recv().unwrap_or_else(|_| {
        Err(Error::new(
            ErrorKind::Other,
            "the keeper thread ended before it registered the process",
        ))
    })
}

/// A dead process of which not every thread is marked.
struct Dying {
    process: ProcessId,
    /// When it was seen first.
    since: u64,
    /// How many of its threads were not marked at the last look.
    live: usize,
}

impl Dying {
    fn new(process: ProcessId) -> Dying {
        Dying { process, since: clock::now(), live: usize::MAX }
    }
}

struct Keeper {
    world: &'static World,
    process: ProcessId,
    /// What each process slot held at the last look.
    seen: Vec<State>,
    dying: Vec<Dying>,
    /// The next ring: when, and its number.
    ring: Option<(u64, usize)>,
    next_news_look: u64,
    /// A death was seen, and not told to the other keepers.
    untold: bool,
    embryos: bool,
    /// The count of general alarms at the last look.
    alarms: u32,
}

impl Keeper {
    fn new(
        world: &'static World,
        process: ProcessId,
        mut seen: Vec<State>,
        mut dying: Vec<Dying>,
    ) -> Keeper {
        let registry = world.registry;
        seen.extend((0..PROCESSES).map(|index| registry.state(index)));
        // Others have told of these deaths, but not yet that the last thread is dead.
        let dead = (0..PROCESSES).filter(|&index| seen[index].is_marked());
        let dead = dead.filter_map(|index| ProcessId::in_slot(index, seen[index]));
        dying.extend(dead.filter(|&id| !registry.is_gone(id)).map(Dying::new));
        Keeper {
            world,
            process,
            seen,
            dying,
            ring: None,
            next_news_look: 0,
            untold: false,
            embryos: false,
            alarms: world.alarms(),
        }
    }

    fn run(&mut self) -> ! {
        loop {
            let control = &self.world.registry.slot(self.process.slot()).control;
            // Before the look: a bump that comes during it ends the sleep at once.
            let expected = control.load(Ordering::SeqCst);
            let alarms = self.world.alarms();
            if self.look() {
                self.raise(if self.dying.is_empty() { 0 } else { clock::now() + MARKED_SOON });
                self.untold = true;
            } else if alarms != self.alarms {
                self.raise(0);
            }
            self.alarms = alarms;
            self.follow_the_dying();
            self.ring_if_due();
            self.look_for_old_news();
            self.sleep(expected);
        }
    }

    /// Looks at all process slots; whether one died since the last look.
    fn look(&mut self) -> bool {
        let registry = self.world.registry;
        let mut death = false;
        self.embryos = false;
        for index in 0..registry.processes() {
            let state = registry.state(index);
            let before = self.seen[index];
            if state.is_embryo() {
                self.embryos = true;
                self.look_at_embryo(index, state);
            } else if !self.world.is_robust() && state.is_alive() && index != self.process.slot() {
                self.ask_after(index, state);
            }
            if state == before {
                continue;
            }
            self.seen[index] = state;
            if testing::is_broken(Broken::NoReuseCheck) && state.is_alive() {
                continue;
            }
            if is_death(before, state) {
                death = true;
                let ids = [before, state].map(|state| ProcessId::in_slot(index, state));
                let dying = ids
                    .into_iter()
                    .flatten()
                    .find(|&id| registry.is_dead(id) && !registry.is_gone(id));
                if let Some(id) = dying.filter(|_| self.dying.len() < self.dying.capacity()) {
                    self.dying.push(Dying::new(id));
                }
            }
        }
        death
    }

    /// A child that has not started is dead when its process has ended, or its parent died before it knew its number.
    fn look_at_embryo(&self, index: usize, state: State) {
        let registry = self.world.registry;
        let over = match registry.pid(index, state) {
            Some(pid) => pidfd::is_over(pid),
            None => state.parent().is_none_or(|parent| registry.is_gone(parent)),
        };
        if over && registry.mark(index, state) {
            // The next look sees it; make that soon.
            registry.slot(self.process.slot()).control.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Without robust lists: marks a process that has ended.
    fn ask_after(&self, index: usize, state: State) {
        let registry = self.world.registry;
        if let (Some(pid), Some(process)) =
            (registry.pid(index, state), ProcessId::in_slot(index, state))
            && pidfd::is_over(pid)
        {
            registry.mark_process(process);
            registry.slot(self.process.slot()).control.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Raises the alarm, and rings from the moment `at` on.
    fn raise(&mut self, at: u64) {
        self.world.records.raise();
        self.ring = Some((self.ring.map_or(at, |(before, _)| before.min(at)), 0));
    }

    fn follow_the_dying(&mut self) {
        let registry = self.world.registry;
        let now = clock::now();
        let (mut marked, mut gone) = (false, false);
        self.dying.retain_mut(|dying| {
            if now.saturating_sub(dying.since) > VANISHED
                && !testing::is_broken(Broken::NoVanishedLook)
            {
                registry.mark_vanished_threads(dying.process);
            }
            let live = registry.live_threads_of(dying.process);
            marked |= dying.live != usize::MAX && live < dying.live;
            dying.live = live;
            let is_gone = registry.is_gone(dying.process);
            gone |= is_gone;
            !is_gone
        });
        if testing::is_broken(Broken::NoSecondAlarm) {
            return;
        }
        if gone {
            self.raise(0);
        } else if marked {
            self.raise(now + MARKED_LATER);
        }
    }

    fn ring_if_due(&mut self) {
        let Some((at, number)) = self.ring else { return };
        if clock::now() < at || testing::is_broken(Broken::NoAlarm) {
            return;
        }
        if number == 0 && at != 0 {
            // What was marked since it was raised counts, too.
            self.world.records.raise();
        }
        let unheard = self.world.records.ring() && !testing::is_broken(Broken::NoRepeat);
        self.ring = unheard.then(|| {
            let pause = RINGS[number.min(RINGS.len() - 1)] * 1000;
            (clock::now() + pause, number + 1)
        });
        if std::mem::take(&mut self.untold) {
            self.world.tell_other_keepers();
        }
    }

    fn look_for_old_news(&mut self) {
        let now = clock::now();
        if now >= self.next_news_look {
            self.next_news_look = now + NEWS_LOOK.as_nanos() as u64;
            if testing::is_broken(Broken::NoNewsLook) {
                return;
            }
            self.world.records.ring_for_old_news();
        }
    }

    fn sleep(&self, control: u32) {
        let registry = self.world.registry;
        let mut pause = NEWS_LOOK;
        if let Some((at, _)) = self.ring {
            pause = pause.min(Duration::from_nanos(at.saturating_sub(clock::now())));
        }
        if let Some(youngest) = self.dying.iter().map(|dying| dying.since).max() {
            // One that takes long takes very long: a thread that the kernel cannot end at the moment.
            let is_slow = clock::now().saturating_sub(youngest) > SLOW_DEATH;
            pause = pause.min(if is_slow { SLOW_LOOK } else { DYING_LOOK });
        }
        if self.embryos {
            pause = pause.min(EMBRYO_LOOK);
        }
        let until = Deadline::after(pause.max(Duration::from_nanos(1)));
        let control = (&registry.slot(self.process.slot()).control, control);
        if !self.world.is_told() {
            futex::wait(control.0, control.1, until.earlier(Deadline::after(POLL)));
            return;
        }
        let mut words = [control; 4];
        let mut count = 1;
        // The kernel wakes one sleeper on the word of a thread, too.
        if let Some(dying) = self.dying.first() {
            let Some((index, state)) = registry.live_thread_of(dying.process) else {
                // Marked just now.
                return;
            };
            words[count] = (registry.slot(index).robust_word(), state.word());
            count += 1;
        }
        let watched = count + 2;
        let processes = registry.processes();
        for step in 1..processes {
            let index = (self.process.slot() + step) % processes;
            let state = self.seen[index];
            if state.is_alive() && !state.is_embryo() {
                words[count] = (registry.slot(index).robust_word(), state.word());
                count += 1;
                if count == watched {
                    break;
                }
            }
        }
        futex::wait_any(&words[..count], until);
    }
}

/// Whether a slot that held `before` and holds `now` had a death in between.
fn is_death(before: State, now: State) -> bool {
    let steps = now.generation().wrapping_sub(before.generation());
    (before.is_alive() && (steps != 0 || !now.is_alive()))
        || (steps != 0 && !now.is_alive())
        || steps > 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_death_is_seen_through_reuse() {
        let alive = |generation: u64| State::from_bits(generation << 32 | 0x8000_0007);
        let dead = |generation: u64| State::from_bits(generation << 32 | 0xc000_0007);
        let free = State::from_bits(0);
        assert!(is_death(alive(1), dead(1)));
        assert!(is_death(alive(1), alive(2)), "taken again before the look");
        assert!(is_death(dead(1), dead(2)), "lived and died between two looks");
        assert!(is_death(dead(1), alive(3)), "one lived and died, the next lives");
        assert!(!is_death(dead(1), alive(2)));
        assert!(!is_death(free, alive(1)));
        assert!(is_death(free, dead(1)));
    }
}
