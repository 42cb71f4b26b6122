//! The queue's commit and its news: every message is got once, nobody sleeps while there is one (or room), whoever dies.

use super::{check, check_deaths};
use crate::channel::Ring;
use crate::sim;
use crate::world;
use std::rc::Rc;

/// Handles to a fresh queue for threads 0, 1 and 2, the last in a process of its own.
fn three(most_items: u32) -> (Vec<&'static world::World>, Rc<Vec<Ring>>) {
    let worlds = world::make(&[&[0, 1], &[2]]);
    let rings = Ring::make(&[worlds[0], worlds[0], worlds[1]], most_items);
    (worlds, Rc::new(rings))
}

/// Runs one closure on each of threads 1 and 2, and the last here.
fn run(rings: &Rc<Vec<Ring>>, one: fn(&Ring), two: fn(&Ring), here: fn(&Ring)) {
    let (r1, r2) = (rings.clone(), rings.clone());
    let one = sim::spawn(1, move || one(&r1[1]));
    let two = sim::spawn(2, move || two(&r2[2]));
    here(&rings[0]);
    sim::join(one);
    sim::join(two);
}

pub(super) fn one_put_one_get() {
    let worlds = world::make(&[&[0, 1]]);
    let rings = Rc::new(Ring::make(&[worlds[0], worlds[0]], 0));
    let other = rings.clone();
    let putter = sim::spawn(1, move || other[1].put());
    rings[0].get();
    sim::join(putter);
    assert_eq!(rings[0].counts(), (1, 1));
}

pub fn a_message_reaches_its_getter() {
    check("queue, one put and one get", 3, one_put_one_get);
}

pub(super) fn two_getters() {
    let (_, rings) = three(0);
    let twice = |ring: &Ring| {
        ring.put();
        ring.put();
    };
    run(&rings, Ring::get, Ring::get, twice);
    assert_eq!(rings[0].counts(), (2, 2));
}

pub fn two_getters_get_one_each() {
    check("queue, two getters and two messages", 2, two_getters);
}

pub(super) fn two_putters() {
    let (_, rings) = three(0);
    let twice = |ring: &Ring| {
        ring.get();
        ring.get();
    };
    run(&rings, Ring::put, Ring::put, twice);
    assert_eq!(rings[0].counts(), (2, 2));
}

pub fn two_putters_and_one_who_gets_both() {
    check("queue, two putters", 2, two_putters);
}

pub(super) fn room_for_one() {
    let (_, rings) = three(1);
    let twice = |ring: &Ring| {
        ring.get();
        ring.get();
    };
    run(&rings, Ring::put, Ring::put, twice);
    assert_eq!(rings[0].counts(), (2, 2));
}

pub fn room_for_one_lets_both_through() {
    check("queue, room for one", 2, room_for_one);
}

/// One who puts (or gets) dies; another puts enough for the getter that is left.
fn someone_dies(steps: u32, victim: fn(&Ring), one: fn(&Ring), here: fn(&Ring)) -> bool {
    let (worlds, rings) = three(0);
    let (world, other) = (worlds[0], worlds[1]);
    let died = Rc::new(core::cell::Cell::new(false));
    let (r1, r2, tell) = (rings.clone(), rings.clone(), died.clone());
    let victim = sim::spawn(2, move || {
        let id = other.me();
        tell.set(sim::dying_at(steps, || victim(&r2[2])));
        if tell.get() {
            other.kernel_marks(id);
            world.alarm();
        }
    });
    let one = sim::spawn(1, move || one(&r1[1]));
    here(&rings[0]);
    sim::join(one);
    sim::join(victim);
    let (put, got) = rings[0].counts();
    assert!(put >= got, "{got} of {put} messages");
    died.get()
}

pub(super) fn putter_dies(steps: u32) -> bool {
    someone_dies(steps, Ring::put, Ring::put, Ring::get)
}

pub fn a_putter_that_dies_stops_nobody() {
    check_deaths("queue, a putter dies", 1, putter_dies);
}

pub(super) fn getter_dies(steps: u32) -> bool {
    let twice = |ring: &Ring| {
        ring.put();
        ring.put();
    };
    someone_dies(steps, Ring::get, Ring::get, twice)
}

pub fn a_getter_that_dies_stops_nobody() {
    check_deaths("queue, a getter dies", 1, getter_dies);
}
