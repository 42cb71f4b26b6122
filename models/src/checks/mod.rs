//! The models. Each says in its name what holds; `weakened` shows that each can fail.
//!
//! Of the steps before which someone dies, and of the weakened variants, a run tries a third: another one each day.
//! `MODELS=all` tries all of them, and `MODELS=` with a number the third of that day.

use crate::liveness::keeper::Keeper;
use crate::sim;
use crate::world::World;
use std::sync::LazyLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

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

/// Days after which every step and every variant had its turn.
const DAYS: usize = 3;

/// Which third is tried; `None`: all.
static DAY: LazyLock<Option<usize>> = LazyLock::new(|| match std::env::var("MODELS").as_deref() {
    Ok("all") => None,
    Ok(day) => Some(day.parse().expect("MODELS is `all` or the number of a day")),
    Err(_) => {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Some(now.map_or(0, |time| time.as_secs() as usize / (24 * 60 * 60)))
    }
});

/// Whether what stands at `index` has its turn today.
fn is_of_today(index: usize) -> bool {
    DAY.is_none_or(|day| index % DAYS == day % DAYS)
}

/// How a run that failed is repeated.
fn day() -> String {
    DAY.map_or("MODELS=all".into(), |day| format!("MODELS={day}"))
}

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
    let mut tried = 0;
    for steps in (0..).filter(|&steps| is_of_today(steps as usize)) {
        println!("{name}: an end before step {steps}, {}", day());
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
        tried += 1;
    }
    println!(
        "{name}: an end at {tried} steps, {} executions, {:.1?}",
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
