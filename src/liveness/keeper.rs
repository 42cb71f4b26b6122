//! The keeper: one quiet thread per process that holds the process's word, sees deaths, and rings for its sleepers.
//!
//! The module's own page tells the whole life of a death, and why none is missed. Here is what one keeper does.
//!
//! # A turn
//!
//! The keeper sleeps in one `futex_waitv` on the words of the next two live processes (in slot order, round and round), on its
//! own control word, and on the word of one thread of a dying process. Whoever wakes takes a *turn*:
//!
//! 1. It checks *all* process slots against what it saw last. If a process left in order, it tells the two keepers that
//!    watched the slot, so that they watch the next ones, and nobody else.
//! 2. If there was a death, it raises its process's epoch and rings ([`crate::liveness::sleepers`]): at once if all threads of
//!    the dead process are marked, else 50 us later; again 50, 150 and 450 us after that, and at pauses that double from 5 to
//!    40 ms, until every sleeper has acknowledged.
//! 3. After its first ring it bumps the control words of all other keepers. Told before the ring, they would only get in its way.
//!    Only the first keeper that sees the death does so, by the slot's word `told`: among a thousand processes a thousand keepers
//!    would else tell a thousand.
//! 4. It follows the dying: it raises the alarm again when the last thread of one is marked, and 1 ms after any other. The system
//!    is asked about threads that are not marked after 1 ms.
//! 5. Once a second it rings for changes that came without a wake (whoever made them is stopped).
//! 6. 200 ms after a death it has what the dead left swept up, by another thread.
//!
//! A process that is to end with its parent ends in step 1, when its keeper finds the parent dead.
//!
//! A child that has not taken its slot (an *embryo*) is its parent's keeper's business. If the parent is gone, every keeper that
//! takes a turn follows the embryo. One that runs *alone* has nothing for which others wait. So there is no hurry: it is looked after
//! once a second, in case its parent does not wait for it.
//!
//! # If a process dies
//!
//! - The keeper's own, before step 3: its death wakes its own watchers, which check all slots.
//! - After step 3: the other keepers ring for their own processes; nobody of this one is left to be rung for.
//!
//! # The thread
//!
//! It blocks all signals, and allocates nothing and locks nothing after its start. It asks the scheduler for the shortest
//! turns: it is often woken on the very processor on which the dead one's memory is torn down, and would have to wait there
//! for the end of the teardown's turn. A process under a system call filter does without: filters that end whoever asks are
//! common.
//!
//! # Measured
//!
//! 50 kills of a process with 1 GiB, two processors: 20 were told of after 3.6 to 6.2 ms, and with short turns 7; the others
//! after 0.1 to 0.3 ms. Half of the deaths were known after 130 us when other keepers were told before the ring, and after 70 us
//! when they were told after it.

use crate::liveness::registry::Registry;
use crate::liveness::slot::{ProcessId, State};
use crate::liveness::view::Liveness;
use crate::sys::atomic::Ordering;
use crate::sys::clock::{self, Deadline};
use crate::sys::{futex, pidfd};
use crate::testing::{self, Broken};
use std::time::Duration;

/// When to ring again after each ring, in microseconds. The last pause stays: it is for a sleeper whose check takes long.
const RINGS: [u64; 7] = [50, 100, 300, 5_000, 10_000, 20_000, 40_000];
/// How long the first alarm waits for the marks of all threads of a dead process, and how long another one waits for more
/// marks, in nanoseconds.
const MARKED_SOON: u64 = 50_000;
const MARKED_LATER: u64 = 1_000_000;
/// How long a dead process's threads may stay unmarked before the system is asked.
const VANISHED: u64 = 1_000_000;
/// How often to check a process that is dying, or a child that has not started.
const DYING_POLL: Duration = Duration::from_micros(100);
/// Up to so many keepers poll that often; more of them share the polls.
const FEW: usize = 16;
const SLOW_DEATH: u64 = 20_000_000;
const SLOW_POLL: Duration = Duration::from_millis(5);
const EMBRYO_POLL: Duration = Duration::from_millis(20);
/// How often to take a turn where the kernel wakes nobody.
const POLL: Duration = Duration::from_millis(50);
/// After how many processes a keeper asks in a turn where the kernel marks nobody, besides those that it watches. All keepers ask, and
/// to ask takes some system calls: 200 keepers that all asked after all took two processors whole.
const ASKED: usize = 2;
/// How often to check for changes that came without a wake.
const CHANGE_POLL: Duration = Duration::from_secs(1);
/// How long after a death what it left is swept up, in nanoseconds: by the first process that lives; as much later by the second,
/// and the third, if nobody has done it by then.
const CLEAN_UP: u64 = 200_000_000;
const CLEANERS: usize = 3;

/// A dead process of which not every thread is marked.
pub(crate) struct Dying {
    process: ProcessId,
    /// When it was seen first.
    since: u64,
    /// How many of its threads were not marked when it was last checked.
    live: usize,
}

impl Dying {
    fn new(process: ProcessId) -> Dying {
        Dying { process, since: clock::now(), live: usize::MAX }
    }
}

/// What a process slot held when the keeper last checked it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Seen {
    state: State,
    /// The last life that ended out of order.
    died: u32,
}

impl Seen {
    /// Of a slot that was never taken.
    const NOTHING: Seen = Seen { state: State::FREE, died: 0 };

    fn of(registry: &Registry, index: usize) -> Seen {
        // The state first: whoever takes the slot notes a death before it changes the state.
        let state = registry.state(index);
        Seen { state, died: registry.last_death(index, state) }
    }

    /// Whether there was a death since `before`.
    fn shows_death(self, before: Seen) -> bool {
        self.died > before.died
    }
}

pub(crate) struct Keeper {
    liveness: &'static Liveness,
    process: ProcessId,
    seen: Vec<Seen>,
    dying: Vec<Dying>,
    /// The next ring: when, and its number.
    ring: Option<(u64, usize)>,
    next_change_poll: u64,
    /// Where the next [`ASKED`] slots begin.
    asked: usize,
    /// A death was seen, and the other keepers do not know of it yet.
    untold: bool,
    /// There are children that have not started, and this keeper follows them.
    embryos: bool,
    /// The count of general alarms at the last turn.
    alarms: u32,
    /// What to call some time after a death, and when; 0: no death.
    pub(super) after_death: Option<fn()>,
    after_death_at: u64,
    /// The parent, if this process ends with it, and what ends this process.
    pub(super) ends_with: Option<(ProcessId, fn())>,
}

impl Keeper {
    /// A keeper for `process`, which the calling thread has just taken. The lists are empty and have room for all processes.
    pub(crate) fn new(
        liveness: &'static Liveness,
        process: ProcessId,
        mut seen: Vec<Seen>,
        mut dying: Vec<Dying>,
    ) -> Keeper {
        let registry = liveness.registry;
        // Of the slots behind these nobody has taken one yet.
        let known = registry.processes().min(seen.capacity());
        seen.extend((0..known).map(|index| Seen::of(&registry, index)));
        // Others have rung for these deaths, but not yet for the last thread.
        let dead = seen.iter().map(|seen| seen.state).enumerate().filter(|(_, it)| it.is_dead());
        let dead = dead.filter_map(|(index, state)| ProcessId::in_slot(index, state));
        dying.extend(dead.filter(|&id| !registry.is_gone(id)).map(Dying::new));
        Keeper {
            liveness,
            process,
            seen,
            dying,
            ring: None,
            next_change_poll: 0,
            asked: 0,
            untold: false,
            embryos: false,
            alarms: liveness.alarms(),
            after_death: None,
            after_death_at: 0,
            ends_with: None,
        }
    }

    /// Takes turns, for ever.
    pub(super) fn run(&mut self) -> ! {
        loop {
            let control = self.turn();
            self.sleep(control);
        }
    }

    /// One turn: checks all slots, rings, follows the dying. Gives the value of the control word with which to sleep.
    pub(crate) fn turn(&mut self) -> u32 {
        let control = &self.liveness.registry.slot(self.process.slot()).control;
        // Before the checks: a bump that comes during them ends the sleep at once.
        let expected = control.load(Ordering::SeqCst);
        let alarms = self.liveness.alarms();
        let death = self.check_slots();
        self.end_with_parent();
        if death {
            // It may be gone already, with all its threads; if it is not, this is done again when it is.
            self.clean_up_soon();
            self.raise(if self.dying.is_empty() { 0 } else { clock::now() + MARKED_SOON });
        } else if alarms != self.alarms {
            self.raise(0);
        }
        self.alarms = alarms;
        self.follow_the_dying();
        self.ring_if_due();
        self.poll_for_changes();
        self.clean_up_if_due();
        expected
    }

    /// Ends this process if its parent is dead and it is to end with it. The others are told first, since this keeper may be the
    /// one whom the kernel woke; if this process is killed in between, its own death is told, and all check all slots.
    ///
    /// No end is missed: the parent's death is told to every slot that is taken, and whoever takes its slot after that finds the
    /// parent dead here, in its first turn. A parent with such children never leaves in order.
    fn end_with_parent(&mut self) {
        let Some((parent, end)) = self.ends_with else { return };
        if !self.liveness.registry.is_dead(parent) {
            return;
        }
        if std::mem::take(&mut self.untold) {
            self.liveness.tell_other_keepers();
        }
        end();
    }

    /// Checks all process slots; whether a process died since the last turn.
    fn check_slots(&mut self) -> bool {
        let registry = self.liveness.registry;
        let mut death = false;
        self.embryos = false;
        let count = registry.processes().min(self.seen.capacity());
        // Within the room that there is.
        self.seen.resize(self.seen.len().max(count), Seen::NOTHING);
        for index in 0..count {
            let now = Seen::of(&registry, index);
            if now.state.is_embryo() {
                self.follow_embryo(index, now.state);
            } else if !self.liveness.is_robust()
                && now.state.is_alive()
                && index != self.process.slot()
                && (is_in_turn(index, self.asked, count)
                    || self.liveness.watches(self.process, index))
            {
                self.ask_after(index, now.state);
            }
            death |= now != self.seen[index] && self.notice(index, now);
        }
        self.asked = (self.asked + ASKED) % count.max(1);
        death
    }

    /// Notes what a slot holds now, which is something new; whether that shows a death.
    fn notice(&mut self, index: usize, now: Seen) -> bool {
        let registry = self.liveness.registry;
        let before = std::mem::replace(&mut self.seen[index], now);
        if testing::is_broken(Broken::NoReuseCheck) && now.state.is_alive() {
            return false;
        }
        if !now.shows_death(before) {
            if now.state.is_dead() && self.liveness.watches(self.process, index) {
                // The kernel woke one of its two watchers.
                self.liveness.tell_watchers(index);
            }
            return false;
        }
        // Relaxed: whoever is first tells; if it is killed before, its own death is told.
        self.untold |= registry.slot(index).told.fetch_max(now.died, Ordering::Relaxed) < now.died;
        let ids = [before, now].map(|seen| ProcessId::in_slot(index, seen.state));
        let dying =
            ids.into_iter().flatten().find(|&id| registry.is_dead(id) && !registry.is_gone(id));
        if let Some(id) = dying.filter(|_| self.dying.len() < self.dying.capacity()) {
            self.dying.push(Dying::new(id));
        }
        true
    }

    /// A child that has not taken its slot is dead when its process has ended, or its parent died before it knew its number. As
    /// long as the parent lives, the child is the business of the parent's keeper.
    fn follow_embryo(&mut self, index: usize, state: State) {
        let registry = self.liveness.registry;
        let parent = state.parent();
        let is_orphan = parent.is_none_or(|parent| registry.is_gone(parent));
        if !is_orphan && parent != Some(self.process) {
            return;
        }
        if state.is_alone() && clock::now() < self.next_change_poll {
            return;
        }
        self.embryos |= !state.is_alone();
        let over = match registry.pid(index, state) {
            Some(pid) => pidfd::is_over(pid),
            None => is_orphan,
        };
        let ended =
            ProcessId::in_slot(index, state).filter(|_| over && state.is_alone() && !is_orphan);
        if let Some(child) = ended {
            // It had nothing but its call, which its parent frees. An orphan's call is swept up, as what the dead leave.
            self.liveness.child_ended(child);
        } else if over && registry.mark(index, state) {
            // The next turn sees it; make that soon.
            registry.slot(self.process.slot()).control.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Without robust lists: marks a process that has ended. Its watchers ask in every turn, and those that they watch become theirs when
    /// it is marked, in the same turn. That both are stopped or held up is rare: then it is another keeper's turn some time later.
    fn ask_after(&self, index: usize, state: State) {
        let registry = self.liveness.registry;
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
        self.liveness.sleepers.raise();
        self.ring = Some((self.ring.map_or(at, |(before, _)| before.min(at)), 0));
    }

    fn follow_the_dying(&mut self) {
        let registry = self.liveness.registry;
        let now = clock::now();
        let (mut marked, mut gone) = (false, false);
        self.dying.retain_mut(|dying| {
            if now.saturating_sub(dying.since) > VANISHED
                && !testing::is_broken(Broken::NoVanishedCheck)
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
            self.clean_up_soon();
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
            self.liveness.sleepers.raise();
        }
        let unheard = self.liveness.sleepers.ring() && !testing::is_broken(Broken::NoRepeat);
        self.ring = unheard.then(|| {
            let pause = RINGS[number.min(RINGS.len() - 1)] * 1000;
            (clock::now() + pause, number + 1)
        });
        if std::mem::take(&mut self.untold) {
            self.liveness.tell_other_keepers();
        }
    }

    fn poll_for_changes(&mut self) {
        let now = clock::now();
        if now >= self.next_change_poll {
            self.next_change_poll = now + CHANGE_POLL.as_nanos() as u64;
            if testing::is_broken(Broken::NoChangePoll) {
                return;
            }
            self.liveness.sleepers.ring_for_missed_changes();
        }
    }

    /// Sees to it that what the dead left is swept up.
    fn clean_up_soon(&mut self) {
        if self.after_death_at == 0
            && let Some(rank) = self.liveness.rank_below(CLEANERS)
        {
            self.after_death_at = clock::now() + CLEAN_UP * (rank as u64 + 1);
        }
    }

    /// Some time after a death, what the dead left is swept up.
    fn clean_up_if_due(&mut self) {
        if self.after_death_at != 0 && clock::now() >= self.after_death_at {
            self.after_death_at = 0;
            if let Some(after_death) = self.after_death {
                after_death();
            }
        }
    }

    /// Sleeps until the next turn, unless the control word has changed.
    pub(crate) fn sleep(&self, control: u32) {
        let registry = self.liveness.registry;
        let until = Deadline::after(self.pause().max(Duration::from_nanos(1)));
        let control = (&registry.slot(self.process.slot()).control, control);
        if !self.liveness.is_told() {
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
            // A slot that was taken since the turn: its owner tells this keeper.
            let Some(Seen { state, .. }) = self.seen.get(index).copied() else { continue };
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

    /// How long to sleep if nobody wakes this keeper.
    fn pause(&self) -> Duration {
        let mut pause = CHANGE_POLL;
        if let Some((at, _)) = self.ring {
            pause = pause.min(Duration::from_nanos(at.saturating_sub(clock::now())));
        }
        if let Some(youngest) = self.dying.iter().map(|dying| dying.since).max() {
            // One that takes long takes very long: a thread that the kernel cannot end at the moment.
            let is_slow = clock::now().saturating_sub(youngest) > SLOW_DEATH;
            // All keepers do this: among many each polls less often, or the dying would get no processor.
            let share = (self.liveness.registry.processes() / FEW).max(1) as u32;
            pause = pause.min(if is_slow { SLOW_POLL } else { DYING_POLL } * share);
        }
        if self.after_death_at != 0 {
            let left = self.after_death_at.saturating_sub(clock::now());
            pause = pause.min(Duration::from_nanos(left));
        }
        if self.embryos { pause.min(EMBRYO_POLL) } else { pause }
    }
}

/// Whether a slot is among the [`ASKED`] from `asked` on, round and round.
fn is_in_turn(index: usize, asked: usize, count: usize) -> bool {
    (index + count - asked % count) % count < ASKED
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_slot_has_its_turn() {
        for count in [1, 2, 15, 16, 17, 200, 1000] {
            let (mut asked, mut turns) = (0, vec![0; count]);
            for _ in 0..count.div_ceil(ASKED) {
                (0..count)
                    .filter(|&index| is_in_turn(index, asked, count))
                    .for_each(|index| turns[index] += 1);
                asked = (asked + ASKED) % count;
            }
            assert!(turns.iter().all(|&turns| (1..=2).contains(&turns)), "{count}: {turns:?}");
        }
    }

    #[test]
    fn a_death_is_seen_through_reuse() {
        let seen = |state: u64, died| Seen { state: State::from_bits(state), died };
        let alive = |generation: u64, died| seen(generation << 32 | 0x8000_0007, died);
        let dead = |generation: u64| seen(generation << 32 | 0xc000_0007, generation as u32);
        let left = |generation: u64, died| seen(generation << 32 | 0xc000_0007, died);
        let shows = |before, now: Seen| now.shows_death(before);
        assert!(shows(alive(1, 0), dead(1)));
        assert!(shows(alive(1, 0), alive(2, 1)), "taken again before the turn");
        assert!(shows(dead(1), dead(2)), "lived and died between two turns");
        assert!(shows(dead(1), alive(3, 2)), "one lived and died, the next lives");
        assert!(shows(alive(1, 0), left(3, 2)), "a death between two ends in order");
        assert!(!shows(dead(1), alive(2, 1)), "that death is known");
        assert!(!shows(dead(1), dead(1)));
        assert!(!shows(alive(1, 0), left(1, 0)), "an end in order");
        assert!(!shows(alive(1, 0), alive(2, 0)), "taken again after an end in order");
        assert!(!shows(seen(0, 0), alive(1, 0)));
    }
}
