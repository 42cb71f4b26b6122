//! Tasks: each is done once by somebody, comes again after a death at any step, and whoever waits learns that all is done.

use super::{check, check_deaths};
use crate::channel::queue::JoinableQueue;
use crate::sim;
use crate::world::{self, World};
use core::cell::Cell;
use std::rc::Rc;

type Tasks = JoinableQueue<()>;

/// Words of records, and of slots, that a model uses.
const WORDS: usize = 48;

/// A queue in which one task waits, as two processes see it. Each has used everything once.
fn one_task_in_an_open_queue() -> (Vec<&'static World>, [&'static Tasks; 2]) {
    let worlds = world::make(&[&[0], &[1]]);
    let queue: &Tasks = sim::keep(JoinableQueue::new().expect("a queue"));
    let handles = [world::seen_by(queue, worlds[0]), world::seen_by(queue, worlds[1])];
    for (handle, world) in handles.iter().zip(&worlds) {
        world::within(world, || {
            handle.put(()).expect("put");
            handle.get().expect("a task").done().expect("done");
        });
    }
    handles[0].put(()).expect("put");
    world::name_memory(worlds[0], |word| word < WORDS);
    (worlds, handles)
}

/// The same, and it is closed.
fn one_task() -> (Vec<&'static World>, [&'static Tasks; 2]) {
    let (worlds, handles) = one_task_in_an_open_queue();
    handles[0].close().expect("closed");
    (worlds, handles)
}

/// Does tasks until there are none any more; how many.
fn work(queue: &Tasks) -> u32 {
    let mut done = 0;
    loop {
        match queue.get() {
            Ok(task) => {
                assert!(task.attempt() <= 2, "delivered {} times", task.attempt());
                task.done().expect("done");
                done += 1;
            }
            Err(error) if error.is_closed() => return done,
            Err(error) => panic!("{error}"),
        }
    }
}

pub(super) fn two_workers() {
    let (_, [ours, theirs]) = one_task();
    let done = Rc::new(Cell::new(0));
    let tell = done.clone();
    let other = sim::spawn(1, move || tell.set(work(theirs)));
    let here = work(ours);
    sim::join(other);
    assert_eq!(here + done.get(), 1, "the task was done so often");
    ours.try_join().expect("all is done");
}

pub fn two_workers_do_a_task_once() {
    check("tasks, two workers and one task", 2, two_workers);
}

pub(super) fn given_back() {
    let (_, [ours, theirs]) = one_task();
    let other = sim::spawn(1, move || drop(theirs.get()));
    let here = work(ours);
    sim::join(other);
    // The other one may have come too late for any.
    assert_eq!(here, 1, "the task was done so often");
    ours.try_join().expect("all is done");
}

pub fn a_task_that_is_given_back_is_done_by_another() {
    check("tasks, one is given back", 2, given_back);
}

pub fn an_open_queue_drops_no_task() {
    check("tasks, given back beside a shutdown", 2, || {
        let (_, [ours, theirs]) = one_task_in_an_open_queue();
        let other = sim::spawn(1, move || theirs.shutdown().expect("shut down"));
        if let Ok(task) = ours.try_get() {
            drop(task);
            match ours.try_get() {
                Ok(again) => drop(again),
                Err(error) => assert!(error.is_closed(), "it was dropped: {error}"),
            }
        }
        sim::join(other);
        ours.try_join().expect("all is done");
    });
}

pub fn a_task_that_is_done_leaves_its_slot_to_the_next() {
    check("tasks, two threads of a process and two tasks", 2, || {
        let worlds = world::make(&[&[0, 1]]);
        let queue: &Tasks = sim::keep(JoinableQueue::new().expect("a queue"));
        let work = || queue.get().expect("a task").done().expect("done");
        for thread in [0, 1] {
            queue.put(()).expect("put");
            sim::as_thread(thread, work);
        }
        queue.put_many([(), ()]).expect("put");
        world::name_memory(worlds[0], |word| word < WORDS);
        let other = sim::spawn(1, work);
        work();
        sim::join(other);
        queue.try_join().expect("all is done");
    });
}

/// How far the victim came.
const TAKEN: u32 = 1;
const DONE: u32 = 2;

pub(super) fn worker_dies(steps: u32) -> bool {
    let (worlds, [ours, theirs]) = one_task();
    let (world, other) = (worlds[0], worlds[1]);
    let (died, stage) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(0)));
    let (tell, come) = (died.clone(), stage.clone());
    let victim = sim::spawn(1, move || {
        let (thread, process) = (other.me(), other.process());
        tell.set(sim::dying_at(steps, || {
            if let Ok(task) = theirs.get() {
                come.set(TAKEN);
                task.done().expect("done");
                come.set(DONE);
            }
        }));
        if tell.get() {
            other.kernel_marks(process);
            other.kernel_marks(thread);
            world.alarm();
        }
    });
    let here = work(ours);
    sim::join(victim);
    match (here, stage.get()) {
        // Killed in the middle of `done`, or later.
        (0, stage) => assert!(stage >= TAKEN, "the task is lost"),
        (1, stage) => assert!(stage != DONE, "the task was done twice"),
        (times, _) => panic!("one worker did the task {times} times"),
    }
    ours.try_join().expect("all is done");
    died.get()
}

pub fn a_worker_that_dies_loses_no_task() {
    check_deaths("tasks, a worker dies", 1, worker_dies);
}
