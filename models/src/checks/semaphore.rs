//! The semaphore: never more inside than permits, every permit comes back, nobody sleeps while there is one.

use super::{check, check_deaths, check_some};
use crate::memory::segments;
use crate::sim;
use crate::sync::{Permit, Semaphore};
use crate::sys::atomic::Ordering;
use crate::world::{self, World, first};
use loom::cell::UnsafeCell;

/// Words of the object: the state, the number of the block, the processes in the seats.
const STATE: usize = 2;
const BLOCK: usize = 4;
const SEATS: core::ops::Range<usize> = 7..11;
/// Words of the block: what is counted, and the entries of the first two processes.
const FAR: [usize; 4] = [0, 1, 16, 24];

/// A semaphore with so many permits, as each of `worlds` sees it.
pub(super) fn semaphore(worlds: &[&'static World], permits: u32) -> Vec<&'static Semaphore> {
    let semaphore = sim::keep(Semaphore::new(permits).expect("a semaphore"));
    world::only_object(worlds[0]);
    worlds.iter().map(|world| world::seen_by(semaphore, world)).collect()
}

/// How many permits exist, and how many are available.
fn counts(world: &World, semaphore: &Semaphore) -> (u32, u32) {
    let available = semaphore.available();
    let state = world.object()[STATE].load(Ordering::SeqCst);
    let held: u32 = (0..4).map(|seat| (state >> (32 + 7 * seat)) as u32 % 128).sum();
    (state as u32 + if state >> 63 == 1 { 0 } else { held }, available)
}

/// All seats but the first are this process's.
fn fill_seats(world: &World, from: usize) {
    for seat in &world.object()[SEATS][from..] {
        seat.store(world.process().to_bits().into(), Ordering::Relaxed);
    }
}

/// A semaphore with so many permits, as each of two `worlds` sees it; the first has all seats.
fn with_one_unseated(worlds: &[&'static World], permits: u32) -> Vec<&'static Semaphore> {
    let permits = semaphore(worlds, permits);
    fill_seats(worlds[0], 0);
    let held = world::within(worlds[1], || permits[1].acquire().expect("a permit"));
    // Both have seen the block.
    world::within(worlds[0], || permits[0].available());
    let block = worlds[0].object()[BLOCK].load(Ordering::Relaxed) as u32;
    segments::for_each_block(|id, head, payload, _| {
        if id == block {
            sim::exist(head, 10);
            for word in FAR {
                sim::exist(payload.wrapping_add(word), 1);
            }
        }
    });
    world::within(worlds[1], || drop(held));
    permits
}

/// A semaphore with so many permits, as each of two `worlds` sees it. A process that is dead held some; only its seat is free.
fn with_one_dead(worlds: &[&'static World], permits: u32, held: u32) -> Vec<&'static Semaphore> {
    let (dead, id) = (worlds[2], worlds[2].id_of(3));
    let semaphores = semaphore(worlds, permits);
    for _ in 0..held {
        world::within(dead, || {
            std::mem::forget(semaphores[2].acquire().expect("a permit"));
        });
    }
    fill_seats(worlds[0], 1);
    dead.kernel_marks(first(2));
    dead.kernel_marks(id);
    semaphores
}

/// What the one permit guards.
fn data() -> &'static UnsafeCell<u32> {
    sim::keep(UnsafeCell::new(0))
}

/// Takes the permit, looks whether it is alone, gives it back.
fn use_once(permits: &Semaphore, data: &UnsafeCell<u32>) {
    let permit = permits.acquire().expect("a permit");
    if sim::is_alive() {
        // SAFETY: loom finds out whether anybody else is here.
        data.with_mut(|data| unsafe { *data += 1 });
    }
    drop(permit);
}

pub(super) fn three_share_one() {
    let worlds = world::make(&[&[0, 1], &[2]]);
    let permits = semaphore(&worlds, 1);
    let (data, ours, theirs) = (data(), permits[0], permits[1]);
    let one = sim::spawn(1, move || use_once(ours, data));
    let two = sim::spawn(2, move || use_once(theirs, data));
    use_once(permits[0], data);
    sim::join(one);
    sim::join(two);
    assert_eq!(counts(worlds[0], permits[0]), (1, 1));
}

pub fn three_share_one_permit() {
    check("semaphore, three share one permit", 1, three_share_one);
    check_some("the same, with more preemptions", 2, 40_000, three_share_one);
}

/// One with a seat and one without share the permit: the state is open and COUNTED in turns.
pub(super) fn one_is_unseated() {
    let worlds = world::make(&[&[0], &[2]]);
    let permits = with_one_unseated(&worlds, 1);
    let (data, theirs) = (data(), permits[1]);
    let other = sim::spawn(2, move || use_once(theirs, data));
    use_once(permits[0], data);
    sim::join(other);
    assert_eq!(counts(worlds[0], permits[0]), (1, 1));
}

fn one_of_three_is_unseated() {
    let worlds = world::make(&[&[0, 1], &[2]]);
    let permits = with_one_unseated(&worlds, 1);
    let (data, ours, theirs) = (data(), permits[0], permits[1]);
    let one = sim::spawn(1, move || use_once(ours, data));
    let two = sim::spawn(2, move || use_once(theirs, data));
    use_once(permits[0], data);
    sim::join(one);
    sim::join(two);
    assert_eq!(counts(worlds[0], permits[0]), (1, 1));
}

pub fn three_share_one_and_one_has_no_seat() {
    check("semaphore, one of two has no seat", 3, one_is_unseated);
    check("semaphore, one of three has no seat", 1, one_of_three_is_unseated);
}

/// A dead process held both permits. Who takes its seat uses one of them up; the other one is for who waits.
pub(super) fn seat_of_the_dead() {
    one_for_each(2);
}

/// The same, and it held one of them.
pub(super) fn seat_of_the_dead_and_a_permit() {
    one_for_each(1);
}

fn one_for_each(held: u32) {
    let worlds = world::make(&[&[2], &[0], &[3]]);
    let permits = with_one_dead(&worlds, 2, held);
    let theirs = permits[0];
    let other = sim::spawn(2, move || drop(theirs.acquire().expect("a permit")));
    permits[1].acquire().map(Permit::forget).expect("a permit");
    sim::join(other);
    assert_eq!(counts(worlds[1], permits[1]), (1, 1));
}

pub fn permits_of_the_dead_are_for_its_successor_and_for_others() {
    check("semaphore, the seat of a dead holder", 3, seat_of_the_dead);
    check("semaphore, the seat of a dead holder and a permit", 3, seat_of_the_dead_and_a_permit);
}

/// The same, and the successor dies at any step.
pub(super) fn successor_dies(steps: u32) -> bool {
    let worlds = world::make(&[&[0], &[2], &[3]]);
    let permits = with_one_dead(&worlds, 1, 1);
    dies_with(&worlds, &permits, steps)
}

pub fn a_successor_that_dies_leaves_the_permit() {
    check_deaths("semaphore, the successor of a dead holder dies", 2, successor_dies);
}

/// One without a seat dies at any step, or one with a seat beside it.
pub(super) fn unseated_dies(steps: u32) -> bool {
    let worlds = world::make(&[&[0], &[2]]);
    let permits = with_one_unseated(&worlds, 1);
    dies_with(&worlds, &permits, steps)
}

pub(super) fn seated_dies(steps: u32) -> bool {
    let worlds = world::make(&[&[2], &[0]]);
    let permits = with_one_unseated(&worlds, 1);
    dies_with(&[worlds[1], worlds[0]], &[permits[1], permits[0]], steps)
}

pub fn a_permit_outside_of_the_state_comes_back() {
    check_deaths("semaphore, one without a seat dies", 2, unseated_dies);
    check_deaths("semaphore, one dies beside one without a seat", 2, seated_dies);
}

pub(super) fn one_of_two_dies(steps: u32) -> bool {
    let worlds = world::make(&[&[0], &[2]]);
    let permits = semaphore(&worlds, 1);
    dies_with(&worlds, &permits, steps)
}

/// The second process dies at any step of a turn; the first one has one, too, and all is well.
fn dies_with(worlds: &[&'static World], permits: &[&'static Semaphore], steps: u32) -> bool {
    let (world, other) = (worlds[0], worlds[1]);
    let (data, theirs) = (data(), permits[1]);
    let died = sim::keep(core::cell::Cell::new(false));
    let victim = sim::spawn(2, move || {
        let id = other.me();
        died.set(sim::dying_at(steps, || use_once(theirs, data)));
        if died.get() {
            other.kernel_marks(other.process());
            other.kernel_marks(id);
            world.alarm();
        }
    });
    use_once(permits[0], data);
    sim::join(victim);
    assert_eq!(counts(world, permits[0]), (1, 1));
    died.get()
}

pub fn the_permit_of_the_dead_comes_back() {
    check_deaths("semaphore, one of two dies", 2, one_of_two_dies);
}

/// One of two who release dies at any step; one waits.
pub(super) fn releaser_dies(steps: u32) -> bool {
    let worlds = world::make(&[&[0, 1], &[2]]);
    let (world, other) = (worlds[0], worlds[1]);
    let permits = semaphore(&worlds, 0);
    let (ours, theirs) = (permits[0], permits[1]);
    let died = sim::keep(core::cell::Cell::new(false));
    let victim = sim::spawn(2, move || {
        let id = other.me();
        died.set(sim::dying_at(steps, || theirs.release(1).expect("not too many")));
        if died.get() {
            other.kernel_marks(first(1));
            other.kernel_marks(id);
            world.alarm();
        }
    });
    let releaser = sim::spawn(1, move || ours.release(1).expect("not too many"));
    let permit = ours.acquire().expect("a permit");
    sim::join(victim);
    sim::join(releaser);
    let (total, available) = counts(worlds[0], permits[0]);
    assert_eq!(available + 1, total);
    assert!(total == 2 || died.get());
    drop(permit);
    died.get()
}

pub fn a_releaser_that_dies_leaves_no_sleeper() {
    check_deaths("semaphore, a releaser dies", 1, releaser_dies);
}
