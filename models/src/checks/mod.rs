//! The models. Each says in its name what holds; `weakened` shows that each can fail.

use crate::liveness::keeper::Keeper;
use crate::sim;
use crate::world::World;
use std::time::Instant;

pub mod alarm;
pub mod arena;
pub mod barrier;
pub mod batch;
pub mod chunks;
pub mod claims;
pub mod condition;
pub mod event;
pub mod event_count;
pub mod guarded;
pub mod joinable;
pub mod lock;
pub mod outcome;
pub mod pipe;
pub mod queue;
pub mod recover;
pub mod registry;
pub mod replies;
pub mod ring;
pub mod rlock;
pub mod semaphore;
pub mod stopped;
pub mod weakened;

/// No more executions than about so many, of a model and of each step of a death: the first in loom's order. Most models have
/// fewer; the bound keeps the large ones within seconds.
const MOST: usize = 40_000;
const MOST_FOR_EACH_STEP: usize = 1_000;

/// Checks `model` in the executions with at most so many preemptions, up to [`MOST`], and says how many there were.
fn check(name: &str, preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let before = sim::executions();
    let start = Instant::now();
    explore_some(preemptions, MOST, model);
    println!("{name}: {} executions, {:.1?}", sim::executions() - before, start.elapsed());
}

fn builder(preemptions: usize) -> loom::model::Builder {
    let mut builder = loom::model::Builder::new();
    builder.max_threads = sim::THREADS;
    builder.max_branches = 20_000;
    builder.preemption_bound = Some(preemptions);
    builder
}

fn explore(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    builder(preemptions).check(move || {
        sim::begin();
        model();
    });
}

/// The same, but no more than about so many executions: the first in loom's order.
fn check_some(name: &str, preemptions: usize, most: usize, model: fn()) {
    let before = sim::executions();
    let start = Instant::now();
    explore_some(preemptions, most, model);
    println!("{name}: {} executions, {:.1?}", sim::executions() - before, start.elapsed());
}

fn explore_some(preemptions: usize, most: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = builder(preemptions);
    builder.checkpoint_interval = most;
    builder.max_permutations = Some(most);
    builder.check(move || {
        sim::begin();
        model();
    });
}

/// Checks `model(steps)`, in which someone dies before step `steps`, for every number of steps until nobody does any more.
/// `model` tells by its answer whether someone died.
fn check_deaths(
    name: &str,
    preemptions: usize,
    model: impl Fn(u32) -> bool + Sync + Send + Copy + 'static,
) {
    check_some_deaths(name, preemptions, MOST_FOR_EACH_STEP, model);
}

/// The same, but no more than about so many executions for each step: the first in loom's order.
fn check_some_deaths(
    name: &str,
    preemptions: usize,
    most: usize,
    model: impl Fn(u32) -> bool + Sync + Send + Copy + 'static,
) {
    let before = sim::executions();
    let start = Instant::now();
    let mut steps = 0;
    loop {
        let died = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let some = died.clone();
        explore_some(preemptions, most, move || {
            if model(steps) {
                some.store(true, std::sync::atomic::Ordering::Relaxed);
            }
        });
        if !died.load(std::sync::atomic::Ordering::Relaxed) {
            break;
        }
        steps += 1;
    }
    println!(
        "{name}: an end at each of {steps} steps, {} executions, {:.1?}",
        sim::executions() - before,
        start.elapsed()
    );
}

/// The work of the keeper of `world`, for a thread of its own, until the model is over. It has looked at all slots, as it has
/// before its process uses anything shared.
fn keep(world: &'static World) -> impl FnOnce() {
    keep_of(world, world.registry().processes())
}

/// The same where there may be so many processes.
fn keep_of(world: &'static World, processes: usize) -> impl FnOnce() {
    let mut keeper = Keeper::new(
        world.liveness,
        world.process(),
        Vec::with_capacity(processes),
        Vec::with_capacity(processes),
    );
    move || {
        loop {
            let control = keeper.turn();
            if sim::is_over() {
                return;
            }
            keeper.sleep(control);
        }
    }
}
