//! The alarm: with the real keeper, whoever sleeps for something that a death decides looks after that death.

use super::{check, check_deaths, keep, keep_of};
use crate::liveness::Wait;
use crate::sim;
use crate::sys::atomic::AtomicU32;
use crate::sys::clock::Deadline;
use crate::sys::robust::List;
use crate::world::{self, World, first};

/// Sleeps until `over`, which only deaths decide.
fn sleep_until(world: &World, word: &'static AtomicU32, over: impl Fn() -> bool) {
    while !over() {
        world.liveness.sleep(word, 0, Deadline::NEVER, Wait::Change([None; 2]), || !over());
    }
}

/// Another process joins, and dies once it has told the keepers that are to watch it.
pub(super) fn joins_and_dies() {
    let worlds = world::make(&[&[0]]);
    let (world, word) = (worlds[0], word());
    world.name_process(1);
    let view = world.another_view();
    let keeper = sim::spawn(1, keep_of(world, 2));
    let joining = sim::spawn(2, move || {
        let process = view.take_process(Some(&List), None).expect("a slot");
        view.set_process(process);
        view.tell_watchers(process.slot());
        world.kernel_marks(process);
    });
    sleep_until(world, word, || world.registry().is_dead(first(1)) && has_joined(world));
    end(&[world]);
    sim::join(joining);
    sim::join(keeper);
}

fn has_joined(world: &World) -> bool {
    world.registry().processes() == 2
}

pub fn a_process_that_has_just_joined_is_watched() {
    check("alarm, a process joins and dies", 2, joins_and_dies);
}

/// A process dies, and another takes its slot before anybody has seen that.
pub(super) fn another_takes_the_slot() {
    let worlds = world::make(&[&[0], &[]]);
    let (world, word) = (worlds[0], word());
    let keeper = sim::spawn(1, keep(world));
    let other = sim::spawn(2, move || {
        world.kernel_marks(first(1));
        let process = world.registry().take_process(Some(&List), 1).expect("a slot");
        assert_eq!(process.slot(), 1);
    });
    sleep_until(world, word, || world.registry().is_gone(first(1)));
    end(&[world]);
    sim::join(other);
    sim::join(keeper);
}

pub fn a_death_is_seen_through_reuse() {
    check("alarm, another takes the slot", 2, another_takes_the_slot);
}

/// A thread joins while the main thread of its process leaves in order. Then all of them die: that is a death.
pub(super) fn a_thread_joins_while_another_leaves() {
    let worlds = world::make(&[&[0], &[2]]);
    let (world, other, word) = (worlds[0], worlds[1], word());
    let thread = sim::keep(core::cell::Cell::new(None));
    other.name_thread(3);
    let keeper = sim::spawn(1, keep(world));
    let joining = sim::spawn(3, move || thread.set(other.liveness.me().ok()));
    let leaving = sim::spawn(2, move || {
        let main = other.me();
        other.liveness.leave_in_order();
        sim::join(joining);
        for id in [Some(main), thread.get(), Some(first(1))] {
            other.kernel_marks(id.expect("a slot"));
        }
    });
    sleep_until(world, word, || world.registry().is_gone(first(1)));
    end(&[world]);
    sim::join(leaving);
    sim::join(keeper);
}

pub fn a_thread_that_joins_a_leaving_process_counts() {
    check("alarm, a thread joins a leaving process", 1, a_thread_joins_while_another_leaves);
}

/// The keepers may end.
fn end(worlds: &[&'static World]) {
    sim::set_over();
    for world in worlds {
        world.wake_keeper();
    }
}

fn word() -> &'static AtomicU32 {
    sim::keep(AtomicU32::new(0))
}

/// A thread of another process dies, with its keeper or after it, while one sleeps until it is dead.
fn thread_dies(keeper_first: bool) {
    let worlds = world::make(&[&[0], &[2]]);
    let (world, other, word) = (worlds[0], worlds[1], word());
    let thread = other.id_of(2);
    let keeper = sim::spawn(1, keep(world));
    let kernel = sim::spawn(3, move || {
        let (one, two) = if keeper_first { (first(1), thread) } else { (thread, first(1)) };
        other.kernel_marks(one);
        other.kernel_marks(two);
    });
    sleep_until(world, word, || world.registry().is_dead(thread));
    end(&[world]);
    sim::join(kernel);
    sim::join(keeper);
}

pub(super) fn keeper_then_thread() {
    thread_dies(true);
}

pub(super) fn thread_then_keeper() {
    thread_dies(false);
}

pub fn a_dead_owner_is_seen() {
    check("alarm, the keeper's word first", 2, keeper_then_thread);
    check("alarm, the thread's word first", 2, thread_then_keeper);
}

/// The same for the whole process: what it had is free only when all its threads are marked.
pub(super) fn process_dies() {
    let worlds = world::make(&[&[0], &[2]]);
    let (world, other, word) = (worlds[0], worlds[1], word());
    let thread = other.id_of(2);
    let keeper = sim::spawn(1, keep(world));
    let kernel = sim::spawn(3, move || {
        other.kernel_marks(first(1));
        other.kernel_marks(thread);
    });
    sleep_until(world, word, || world.registry().is_gone(first(1)));
    end(&[world]);
    sim::join(kernel);
    sim::join(keeper);
}

pub fn a_process_that_is_gone_is_seen() {
    check("alarm, the whole process", 2, process_dies);
}

/// The keeper that the kernel woke dies itself, at any step, before it has told the others.
pub(super) fn the_first_to_know_dies(steps: u32) -> bool {
    // Process 0 sleeps and has a keeper, process 1 has the keeper that dies, process 2 dies first.
    let worlds = world::make(&[&[0], &[], &[]]);
    let (world, next, word) = (worlds[0], worlds[1], word());
    let died = sim::keep(core::cell::Cell::new(false));
    let its_keeper = keep(next);
    let keeper = sim::spawn(1, keep(world));
    let victim = sim::spawn(2, move || {
        died.set(sim::dying_at(steps, its_keeper));
        if died.get() {
            next.kernel_marks(first(1));
        }
    });
    let kernel = sim::spawn(3, move || next.kernel_marks(first(2)));
    sleep_until(world, word, || world.registry().is_gone(first(2)));
    end(&[world, next]);
    sim::join(kernel);
    sim::join(keeper);
    sim::join(victim);
    died.get()
}

pub fn a_keeper_that_dies_with_the_news_is_replaced() {
    check_deaths("alarm, a keeper dies too", 0, the_first_to_know_dies);
}
