//! Workers that die: nothing is lost, nobody waits for ever.

use std::collections::BTreeMap;
use std::time::Duration;

use multiproc::{Event, JoinableConsumer, JoinableQueue, Lock, Process, Queue, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::drain;
use crate::common::{
    Chance, LONG, alone, killed, park, until, until_asleep, without_slot, world_size,
};
use crate::watchdog::watch;

/// Takes some tasks and keeps them until it is killed.
fn hold(tasks: JoinableQueue<u32>, count: usize, held: Event) -> Result<()> {
    let _tasks = (0..count).map(|_| tasks.get()).collect::<Result<Vec<_>>>()?;
    held.set();
    park();
    Ok(())
}

#[test]
fn the_tasks_of_the_dead_come_again_and_others_are_not_held_up() {
    let _watch = watch();
    let queue = JoinableQueue::new().unwrap();
    let held = Event::new().unwrap();
    queue.put_many(0..4).unwrap();
    let child = Process::spawn(hold, (&queue, 2_usize, &held)).unwrap();
    assert!(held.wait_timeout(LONG).unwrap());
    // The long tasks hold up nobody.
    assert_eq!(drain(&queue), [(2, 1), (3, 1)].into());
    assert!(queue.try_get().unwrap_err().is_empty());
    killed(child);
    let first = queue.get_timeout(LONG).unwrap();
    let second = queue.get_timeout(LONG).unwrap();
    assert_eq!([(*first, first.attempt()), (*second, second.attempt())], [(0, 2), (1, 2)]);
    first.done().unwrap();
    second.done().unwrap();
    queue.join_timeout(LONG).unwrap();
}

#[test]
fn a_getter_asleep_gets_what_the_dead_had() {
    let _watch = watch();
    let get = |tasks: JoinableConsumer<u32>| {
        let task = tasks.get().unwrap();
        let told = (*task, task.attempt());
        task.done().unwrap();
        told
    };
    let queue = JoinableQueue::new().unwrap();
    let held = Event::new().unwrap();
    queue.put_many([5, 6]).unwrap();
    let child = Process::spawn(hold, (&queue, 2_usize, &held)).unwrap();
    assert!(held.wait_timeout(LONG).unwrap());
    let (producer, consumer) = queue.split();
    let getters: Vec<_> = (0..2).map(|_| Process::spawn(get, (&consumer,)).unwrap()).collect();
    getters.iter().for_each(|getter| until_asleep(&getter.handle()));
    killed(child);
    let mut got: Vec<_> = getters.into_iter().map(|getter| getter.join().unwrap()).collect();
    got.sort();
    assert_eq!(got, [(5, 2), (6, 2)]);
    producer.join_timeout(LONG).unwrap();
}

#[test]
fn a_task_that_kills_its_workers_fails_and_join_ends() {
    let _watch = watch();
    let die = |tasks: JoinableQueue<u32>| {
        let _task = tasks.get().unwrap();
        std::process::abort()
    };
    let queue = JoinableQueue::new().unwrap();
    queue.put(666).unwrap();
    std::thread::scope(|scope| {
        let joiner = scope.spawn(|| queue.join());
        for _ in 0..3 {
            assert!(crate::common::quiet().spawn(die, (&queue,)).unwrap().join().is_err());
        }
        joiner.join().unwrap().unwrap();
    });
    assert_eq!(queue.failed().unwrap(), [666]);
}

#[test]
fn what_the_dead_had_is_listed_as_failed() {
    let _watch = watch();
    let queue = JoinableQueue::builder().max_deliveries(1).build().unwrap();
    let held = Event::new().unwrap();
    queue.put(7).unwrap();
    let child = Process::spawn(hold, (&queue, 1_usize, &held)).unwrap();
    assert!(held.wait_timeout(LONG).unwrap());
    assert_eq!(queue.failed().unwrap(), [0; 0]);
    killed(child);
    until("it has failed", || queue.failed().unwrap() == [7]);
}

#[test]
fn the_end_of_a_process_gives_its_tasks_back() {
    let _watch = watch();
    let queue = JoinableQueue::builder().max_deliveries(9).build().unwrap();
    queue.put(1).unwrap();
    let leave = |tasks: JoinableQueue<u32>| std::mem::forget(tasks.get().unwrap());
    Process::spawn(leave, (&queue,)).unwrap().join().unwrap();
    assert_eq!(queue.get_timeout(LONG).unwrap().attempt(), 2);
    let exit = |tasks: JoinableQueue<u32>| {
        let _task = tasks.get().unwrap();
        std::process::exit(0);
    };
    let child = Process::spawn(exit, (&queue,)).unwrap();
    assert!(child.handle().wait().unwrap().success());
    let task = queue.get_timeout(LONG).unwrap();
    assert_eq!(task.attempt(), 4, "forgotten, dropped undone, left behind");
    task.done().unwrap();
}

/// What task `n` carries, for all three places that a task may be in.
fn text(n: u32) -> String {
    char::from(n as u8 % 128).to_string().repeat([10, 300, 6000][n as usize % 3])
}

/// Works as fast as it can.
fn work(tasks: JoinableConsumer<(u32, String)>, done: Queue<u32>) -> Result<()> {
    for task in &tasks {
        let task = task?;
        assert!(task.1 == text(task.0));
        done.put(task.0)?;
        task.done()?;
    }
    Ok(())
}

#[test]
fn nothing_is_lost_while_workers_are_killed_at_random() {
    let _watch = watch();
    alone(|| {
        const TASKS: u32 = 20_000;
        let queue = JoinableQueue::builder().max_items(64).max_deliveries(1000).build().unwrap();
        let (producer, consumer) = queue.split();
        let done = Queue::new().unwrap();
        let mut chance = Chance::new(5);
        let feed = std::thread::spawn(move || {
            for n in 0..TASKS {
                producer.put((n, text(n))).unwrap();
            }
            producer.join().unwrap();
        });
        let spawn = || Process::spawn(work, (&consumer, &done)).unwrap();
        let mut workers: Vec<_> = (0..3).map(|_| spawn()).collect();
        let (mut counts, mut kills) = (BTreeMap::new(), 0);
        let mut before = None;
        while !feed.is_finished() {
            std::thread::sleep(Duration::from_micros(chance.below(4000)));
            let victim = std::mem::replace(&mut workers[chance.below(3) as usize], spawn());
            victim.handle().kill().unwrap();
            drop(victim.join());
            kills += 1;
            for n in done.try_iter() {
                *counts.entry(n.unwrap()).or_insert(0) += 1;
            }
            if kills == 40 {
                before = Some(world_size().0);
            }
        }
        feed.join().unwrap();
        for n in done.try_iter() {
            *counts.entry(n.unwrap()).or_insert(0) += 1;
        }
        assert!(counts.keys().copied().eq(0..TASKS), "lost");
        let more: usize = counts.values().map(|times| times - 1).sum();
        assert!(more <= kills, "{more} done again after {kills} kills: one at a time has one task");
        if let Some(before) = before {
            assert!(world_size().0 <= before + (8 << 20), "{before} {:?}", world_size());
        }
        assert!(consumer.failed().unwrap().is_empty());
        for worker in workers {
            worker.join().unwrap().unwrap();
        }
    });
}

/// Takes a task, which a thread drops for which there is no slot, and lives on. Other tests of this process tree would get none either.
fn drop_one<T: Serialize + DeserializeOwned + Send>(tasks: JoinableConsumer<T>, taken: Event) {
    let task = tasks.get().unwrap();
    taken.set();
    without_slot(move || drop(task));
    park();
}

#[test]
fn a_task_comes_again_that_a_thread_without_a_slot_drops() {
    let _watch = watch();
    alone(|| {
        let (producer, consumer) = JoinableQueue::new().unwrap().split();
        let taken = Event::new().unwrap();
        producer.put(7).unwrap();
        let child = Process::spawn(drop_one::<u32>, (&consumer, &taken)).unwrap();
        assert!(taken.wait_timeout(LONG).unwrap());
        assert_eq!(consumer.get_timeout(LONG).unwrap().attempt(), 2);
        killed(child);
    });
}

#[test]
fn the_last_task_that_a_thread_without_a_slot_drops_is_the_end() {
    let _watch = watch();
    alone(|| {
        let queue = JoinableQueue::builder().max_deliveries(1).build().unwrap();
        let ((producer, consumer), taken) = (queue.split(), Event::new().unwrap());
        producer.put(7).unwrap();
        let child = Process::spawn(drop_one::<u32>, (&consumer, &taken)).unwrap();
        assert!(taken.wait_timeout(LONG).unwrap());
        drop(producer);
        assert!(consumer.get().unwrap_err().is_closed());
        killed(child);
    });
}

#[test]
fn joiners_of_a_shut_queue_do_not_wait_for_a_thread_without_a_slot() {
    let _watch = watch();
    alone(|| {
        let (producer, consumer) = JoinableQueue::new().unwrap().split();
        producer.put(Lock::new().unwrap()).unwrap();
        let taken = Event::new().unwrap();
        let child = Process::spawn(drop_one::<Lock>, (&consumer, &taken)).unwrap();
        assert!(taken.wait_timeout(LONG).unwrap());
        producer.shutdown().unwrap();
        consumer.join().unwrap();
        killed(child);
    });
}
