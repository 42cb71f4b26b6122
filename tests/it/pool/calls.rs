//! Calls and their results.

use super::{builder, kill, pool, square};
use crate::common::{LONG, alone, killed, kind, park, until, world_size};
use crate::watchdog::watch;
use multiproc::{
    AsyncResult, Atomic, Barrier, Connection, ErrorKind, Event, Pipe, Pool, PoolWorker, Process,
    Producer, Queue, Result, Semaphore, StartMethod,
};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::sync::mpsc;
use std::time::Duration;

#[test]
fn every_call_brings_the_results_of_its_tasks_in_their_order() {
    let _watch = watch();
    let pool = pool();
    let expected: Vec<u64> = (0..100).map(square).collect();
    assert_eq!(pool.apply(square, (12,)).unwrap(), 144);
    assert_eq!(pool.map(square, 0..100).unwrap(), expected);
    assert_eq!(pool.chunk_size(7).map(square, 0..100).unwrap(), expected);
    assert_eq!(pool.map_async(square, 0..100).get_timeout(LONG).unwrap(), expected);
    let pairs = (0..100).map(|x| (x, 2));
    let power = |x: u64, n: u32| x.pow(n);
    assert_eq!(pool.starmap(power, pairs.clone()).unwrap(), expected);
    assert_eq!(pool.starmap_async(power, pairs).get().unwrap(), expected);
    assert_eq!(pool.imap(square, 0..100).collect::<Result<Vec<_>>>().unwrap(), expected);
    let mut unordered: Vec<u64> = pool.imap_unordered(square, 0..100).map(Result::unwrap).collect();
    unordered.sort();
    assert_eq!(unordered, expected);
    let chunked = pool.chunk_size(9).imap(square, 0..100);
    assert_eq!(chunked.collect::<Result<Vec<_>>>().unwrap(), expected);
}

#[test]
fn nothing_gives_nothing() {
    let _watch = watch();
    let pool = pool();
    assert!(pool.map(square, [0_u64; 0]).unwrap().is_empty());
    assert!(pool.map_async(square, [0_u64; 0]).get().unwrap().is_empty());
    assert!(pool.imap(square, [0_u64; 0]).next().is_none());
    assert!(pool.imap_unordered(square, [0_u64; 0]).next().is_none());
    let none: [(u64,); 0] = [];
    assert!(pool.starmap(square, none).unwrap().is_empty());
}

#[test]
fn uneven_tasks_keep_all_workers_busy() {
    let _watch = watch();
    let pool = pool();
    // The first task ends only when all others are done: the other worker does them, however many there are.
    let done = Semaphore::new(0).unwrap();
    let work = |x: u64, done: Semaphore| -> Result<u32> {
        if x > 0 {
            return done.release(1).map(|()| std::process::id());
        }
        for _ in 1..40 {
            done.acquire()?.forget();
        }
        Ok(std::process::id())
    };
    let ids = pool.chunk_size(1).starmap(work, (0..40).map(|x| (x, &done))).unwrap();
    let ids: Vec<u32> = ids.into_iter().map(Result::unwrap).collect();
    assert!(ids[1..].iter().all(|id| *id != ids[0]));
}

#[test]
fn workers_are_described() {
    let _watch = watch();
    let pool = Pool::builder().workers(3).name("describe").build().unwrap();
    pool.map(square, 0..30).unwrap();
    let workers = pool.workers();
    assert_eq!(workers.len(), 3);
    assert_eq!(workers.iter().map(|worker| worker.tasks_done()).sum::<u64>(), 30);
    let who = || (std::process::id(), multiproc::current_process().name().to_owned());
    let (id, name) = pool.apply(who, ()).unwrap();
    assert!(workers.iter().any(|worker| (worker.id(), worker.name()) == (id, &name)), "{name}");
    let comm = std::fs::read_to_string(format!("/proc/{id}/comm")).unwrap();
    assert_eq!(comm, format!("{name}\n"));
}

#[test]
fn a_result_is_taken_once() {
    let _watch = watch();
    let pool = pool();
    let gate = Event::new().unwrap();
    let work = |gate: Event| gate.wait().map(|()| 30);
    let result = pool.apply_async(work, (&gate,));
    assert!(!result.is_ready() && !result.is_successful());
    assert_eq!(kind(result.try_get()), ErrorKind::Empty);
    assert_eq!(kind(result.get_timeout(Duration::from_millis(1))), ErrorKind::Timeout);
    assert!(!result.wait_timeout(Duration::from_millis(1)).unwrap());
    gate.set();
    result.wait().unwrap();
    assert!(result.is_ready() && result.is_successful());
    assert_eq!(result.get().unwrap().unwrap(), 30);
    let again = result.get().unwrap_err();
    assert_eq!(again.to_string(), "the result of this task was taken already: get gives it once");
}

/// Writes itself and cannot be read back.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Number(u64),
}

/// Refuses to be written when it is odd.
#[derive(Debug, Deserialize)]
struct Even(u64);

impl Serialize for Even {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 % 2 {
            0 => serializer.serialize_newtype_struct("Even", &self.0),
            _ => Err(serde::ser::Error::custom(format!("{} is odd", self.0))),
        }
    }
}

#[test]
fn what_cannot_be_a_message_is_the_error_of_its_task() {
    let _watch = watch();
    let pool = pool();
    let half = |even: Even| even.0 / 2;
    let refused = pool.map(half, (0..10).map(|x| Even(2 * x + u64::from(x == 6)))).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Encode);
    assert!(refused.to_string().starts_with("item 6: argument 1: "), "{refused}");
    assert!(refused.to_string().contains("13 is odd"), "{refused}");
    let results: Vec<Result<u64>> = pool.chunk_size(4).imap(half, (0..6).map(Even)).collect();
    let found: Vec<Option<u64>> = results.into_iter().map(Result::ok).collect();
    assert_eq!(found, [Some(0), None, Some(1), None, Some(2), None]);
    // Results: the worker refuses.
    let results: Vec<Result<Even>> = pool.imap(|x: u64| Even(x), 0..4).collect();
    assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true, false]);
    assert_eq!(results[3].as_ref().unwrap_err().kind(), ErrorKind::Encode);
    assert_eq!(kind(pool.apply(Untagged::Number, (1,))), ErrorKind::Encode);
    assert_eq!(kind(pool.apply(|_: Untagged| (), (Untagged::Number(1),))), ErrorKind::Encode);
    assert_eq!(pool.apply(square, (3,)).unwrap(), 9);
}

#[test]
fn a_source_that_panics_or_ends_early_does_no_harm() {
    let _watch = watch();
    let pool = pool();
    let panics = |at: u64| (0..10).map(move |x| if x == at { panic!("source") } else { x });
    let quietly = |f: &mut dyn FnMut()| {
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).unwrap_err();
    };
    quietly(&mut || drop(pool.map(square, panics(5))));
    let mut results = pool.chunk_size(2).imap(square, panics(3));
    let mut found = Vec::new();
    // The panic passes through; the results of what came before and after it are there.
    quietly(&mut || found.push(results.next().unwrap().unwrap()));
    found.extend(results.map(Result::unwrap));
    assert_eq!(found, [0, 1, 4, 16, 25, 36, 49, 64, 81]);
    // A source that fails half-way: its own error is an item like any other.
    let source = (0..5).map(|x| if x == 2 { Err("no more".to_owned()) } else { Ok(x) });
    let results = pool.imap(|x: std::result::Result<u64, String>| x.map(square), source);
    assert_eq!(results.filter(|result| result.as_ref().unwrap().is_err()).count(), 1);
}

#[test]
fn an_endless_source_is_pulled_as_results_are_taken() {
    let _watch = watch();
    let pool = pool();
    let pulled = std::cell::Cell::new(0_u64);
    let source = (0..).inspect(|_| pulled.set(pulled.get() + 1));
    let mut taken = 0;
    for (x, result) in (0..).zip(pool.imap(square, source)).take(2000) {
        assert_eq!(result.unwrap(), square(x));
        taken += 1;
        assert!(pulled.get() - taken <= 8, "{} pulled, {taken} taken", pulled.get());
    }
    let many = pool.chunk_size(50).imap_unordered(square, 0..).take(5000);
    assert_eq!(many.map(Result::unwrap).count(), 5000);
    assert_eq!(pool.apply(square, (3,)).unwrap(), 9);
}

/// A process, and where it has its code.
type Place = (u32, usize);

/// This process's place, once both workers are here.
fn place(both: Barrier) -> Result<Place> {
    both.wait()?;
    Ok((std::process::id(), place as *const () as usize))
}

#[test]
fn workers_are_started_as_the_builder_says() {
    let _watch = watch();
    let pool = builder().start_method(StartMethod::ForkServer).build().unwrap();
    let both = Barrier::new(2).unwrap();
    let look = || [(); 2].map(|()| pool.apply_async(place, (&both,)));
    let find = |looks: [AsyncResult<Result<Place>>; 2]| {
        looks.map(|it| it.get_timeout(LONG).unwrap().unwrap())
    };
    let first = find(look());
    first.iter().for_each(|(id, _)| kill(*id));
    let is_new = |workers: Vec<PoolWorker>| {
        workers.len() == 2 && workers.iter().all(|it| first.iter().all(|(id, _)| *id != it.id()))
    };
    until("others are there", || is_new(pool.workers()));
    let all: Vec<Place> = first.into_iter().chain(find(look())).collect();
    let ids: HashSet<u32> = all.iter().map(|(id, _)| *id).collect();
    let places: HashSet<usize> = all.iter().map(|(_, place)| *place).collect();
    // One server forked all of them: executed one by one, they would have their code at places of their own.
    assert_eq!((ids.len(), places.len()), (4, 1), "{all:?}");
}

#[test]
fn two_hundred_workers() {
    let _watch = watch();
    let pool = Pool::with_workers(200).unwrap();
    assert_eq!(pool.chunk_size(1).map(square, 0..1000).unwrap().len(), 1000);
    assert_eq!(pool.workers().len(), 200);
}

#[test]
fn large_arguments_and_results() {
    let _watch = watch();
    let pool = pool();
    let items = (0..1000_u32).map(|x| vec![x as u8; 1 << 20]);
    let sums = pool.imap(|bytes: Vec<u8>| (bytes.len(), bytes[1 << 19]), items);
    for (x, sum) in (0..1000_u32).zip(sums) {
        assert_eq!(sum.unwrap(), (1 << 20, x as u8));
    }
    let made = pool.imap(|x: u8| vec![x; 3 << 20], 0..30);
    for (x, made) in (0..30).zip(made) {
        assert!(made.unwrap() == vec![x; 3 << 20]);
    }
    let items: Vec<_> = (0..40).map(|x: u8| vec![x; 1 << 20]).collect();
    let back = pool.map(|bytes: Vec<u8>| bytes, &items).unwrap();
    assert!(back == items);
}

/// They lie in shared memory until they are taken.
#[test]
fn long_results_that_wait_are_whole_after_the_thread_that_collected_them() {
    const LEN: usize = 1 << 20;
    let _watch = watch();
    alone(|| {
        let pool = pool();
        let go = Event::new().unwrap();
        // While one worker waits in the first task, the other one does those behind it.
        let make = |(x, go): (u8, Event)| {
            match x {
                0 => go.wait().unwrap(),
                3 => go.set(),
                _ => {}
            }
            vec![x; LEN]
        };
        let mut results = pool.imap(make, (0..8).map(move |x| (x, go.clone())));
        let (first, results) =
            std::thread::spawn(move || (results.next(), results)).join().unwrap();
        assert!(first.unwrap().unwrap() == vec![0; LEN]);
        // A death, and allocations that sweep after it, and that would have all blocks that seem to be free.
        let ready = Event::new().unwrap();
        let dies = |ready: Event| {
            ready.set();
            park();
        };
        let process = Process::spawn(dies, (&ready,)).unwrap();
        ready.wait().unwrap();
        killed(process);
        let queue = Queue::<Vec<u8>>::new().unwrap();
        (0..40).for_each(|_| queue.put_bytes(&[0xee; LEN]).unwrap());
        let left: Vec<Vec<u8>> = results.map(Result::unwrap).collect();
        assert!(left == (1..8).map(|x| vec![x; LEN]).collect::<Vec<_>>());
    });
}

#[test]
fn long_results_that_nobody_takes_leave_no_memory() {
    let _watch = watch();
    alone(|| {
        let in_use = || world_size().1.saturating_sub(multiproc::fuzzing::pooled());
        let pool = pool();
        let text = |x: u32| x.to_string().repeat(1 << 20);
        let mut before = 0;
        for round in 0..40 {
            let mut results = pool.imap_unordered(text, 0..9);
            let first = results.next().unwrap().unwrap();
            assert!(
                first.len() == 1 << 20 && first.bytes().all(|byte| byte == first.as_bytes()[0])
            );
            drop(results);
            if round == 3 {
                before = in_use();
            }
        }
        // Those of the last round may be under way.
        pool.close();
        pool.join().unwrap();
        let after = in_use();
        assert!(after < before + (9 << 20), "{before} -> {after}");
        drop(pool);
        assert!(in_use() < 4 << 20, "{before} -> {after} -> {}", in_use());
    });
}

#[test]
fn long_results_take_little_shared_memory_while_they_wait_or_are_wanted_no_more() {
    const LEN: usize = 1 << 20;
    let _watch = watch();
    alone(|| {
        let in_use = || world_size().1.saturating_sub(multiproc::fuzzing::pooled()) / LEN as u64;
        let pool = pool();
        let go = Event::new().unwrap();
        // While the first task waits, the other worker does two batches of twenty.
        let make = |(x, go): (u8, Event)| {
            match x {
                0 => go.wait().unwrap(),
                59 => go.set(),
                _ => {}
            }
            vec![x; if (1..20).contains(&x) { 10 } else { LEN }]
        };
        let items = (0..60).map(move |x| (x, go.clone()));
        let mut results = (0..60).zip(pool.chunk_size(20).imap(make, items));
        assert!(results.next().unwrap().1.unwrap() == vec![0; LEN]);
        // 39 have come.
        until("little of it waits", || in_use() < 20);
        for (x, result) in results {
            assert!(result.unwrap() == vec![x; if x < 20 { 10 } else { LEN }], "{x}");
        }
        let go = Event::new().unwrap();
        let make = |(x, go): (u8, Event)| {
            if x == 39 {
                go.wait().unwrap();
            }
            vec![x; LEN]
        };
        let theirs = go.clone();
        let items = (0..).map(move |x| (x, theirs.clone()));
        let mut results = pool.chunk_size(40).imap(make, items);
        assert!(results.next().unwrap().unwrap() == vec![0; LEN]);
        drop(results);
        until("nothing is kept that nobody wants", || in_use() < 4);
        go.set();
    });
}

#[test]
fn handles_travel_in_arguments_and_results() {
    let _watch = watch();
    let pool = pool();
    let counter = Atomic::<u64>::new(0).unwrap();
    let add = |x: u64, counter: Atomic<u64>| counter.fetch_add(x);
    pool.chunk_size(10).starmap(add, (0..100).map(|x| (x, &counter))).unwrap();
    assert_eq!(counter.load(), 4950);
    let make = |x: u64| -> Result<Queue<u64>> {
        let queue = Queue::new()?;
        queue.put(x)?;
        Ok(queue)
    };
    for (x, queue) in (0..20).zip(pool.map(make, 0..20).unwrap()) {
        assert_eq!(queue.unwrap().get().unwrap(), x);
    }
    // An end that is given away while its task waits for a worker stays open.
    let go = Event::new().unwrap();
    let wait = |go: Event| go.wait();
    let busy = [pool.apply_async(wait, (&go,)), pool.apply_async(wait, (&go,))];
    let (producer, consumer) = Queue::<u64>::new().unwrap().split();
    let put = pool.apply_async(|producer: Producer<u64>| producer.put(7), (producer,));
    assert_eq!(kind(consumer.try_get()), ErrorKind::Empty);
    go.set();
    assert_eq!(consumer.get().unwrap(), 7);
    put.get().unwrap().unwrap();
    assert_eq!(kind(consumer.get_timeout(LONG)), ErrorKind::Closed);
    // An end of a pipe moves.
    let (mut here, there) = Pipe::duplex::<u64, u64>().unwrap();
    let echo = pool.apply_async(
        |mut end: Connection<u64, u64>| -> Result<()> { end.recv().and_then(|x| end.send(x + 1)) },
        (there,),
    );
    here.send(5).unwrap();
    assert_eq!(here.recv().unwrap(), 6);
    echo.get().unwrap().unwrap();
    busy.into_iter().for_each(|result| result.get().unwrap().unwrap());
}

#[test]
fn callbacks_hear_of_results_and_of_errors_before_those_who_wait() {
    let _watch = watch();
    let pool = pool();
    let (sender, receiver) = mpsc::channel();
    let errors = sender.clone();
    let fine = pool.map_async(square, 0..10).on_done(move |all| sender.send(all.len()).unwrap());
    assert_eq!(fine.get().unwrap().len(), 10);
    assert_eq!(receiver.try_recv(), Ok(10));
    let bad = pool
        .apply_async(|| std::process::exit(4), ())
        .on_done(|_: &()| panic!("no result"))
        .on_error(move |error| {
            errors.send(error.child().unwrap().exit_code().unwrap() as usize).unwrap();
        });
    bad.wait().unwrap();
    assert!(bad.is_ready() && !bad.is_successful());
    assert_eq!(receiver.try_recv(), Ok(4));
    // One that comes late is called at once.
    let bad = bad.on_error(|error| assert!(error.is_child()));
    assert_eq!(kind(bad.get()), ErrorKind::Child);
}

#[test]
fn a_short_call_does_not_wait_for_all_of_a_long_one() {
    let _watch = watch();
    let pool = pool();
    const MANY: u64 = 300;
    // Each task of the long call needs a permit, and says that it had it.
    let (permits, done) = (Semaphore::new(0).unwrap(), Atomic::new(0u64).unwrap());
    let task = |(permits, done): (Semaphore, Atomic<u64>)| {
        permits.acquire().unwrap().forget();
        done.fetch_add(1);
    };
    let items = (0..MANY).map(|_| (permits.clone(), done.clone())).collect::<Vec<_>>();
    let long = pool.chunk_size(1).map_async(task, items);
    let short = pool.apply_async(square, (5,));
    let mut given = 0;
    while !short.is_ready() {
        permits.release(1).unwrap();
        given += 1;
        until("a task is done", || done.load() == given || short.is_ready());
    }
    assert_eq!(short.get().unwrap(), 25);
    assert!(given < MANY / 2 && !long.is_ready(), "after {given} tasks of the long call");
    permits.release((MANY - given) as u32).unwrap();
    assert_eq!(long.get().unwrap().len(), MANY as usize);
}

#[test]
fn several_threads_use_one_pool() {
    let _watch = watch();
    let pool = pool();
    std::thread::scope(|scope| {
        for start in 0..4_u64 {
            let pool = &pool;
            scope.spawn(move || {
                for x in start * 100..start * 100 + 50 {
                    assert_eq!(pool.apply(square, (x,)).unwrap(), square(x));
                }
                let squares = pool.map(square, start..start + 100).unwrap();
                assert!(squares.into_iter().eq((start..start + 100).map(square)));
            });
        }
    });
}

#[test]
fn what_makes_no_sense_is_refused() {
    let _watch = watch();
    let refused = |builder: multiproc::PoolBuilder, kind: ErrorKind, text: &str| {
        let error = builder.build().unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (kind, text));
    };
    let invalid = ErrorKind::InvalidInput;
    let text = "a pool of 0 workers would never do a task: give at least 1, or leave it out for one per processor";
    refused(builder().workers(0), invalid, text);
    let text = "max_tasks_per_child(0) would replace workers that did nothing: give at least 1, or leave it out for no limit";
    refused(builder().max_tasks_per_child(0), invalid, text);
    let text = "task_timeout of 0 would kill every worker: give the longest time that a task may take, or leave it out";
    refused(builder().task_timeout(Duration::ZERO), invalid, text);
    let text = "a pool of 1024 workers is more than a tree of processes can have: at most 1023 in this version";
    refused(builder().workers(1024), ErrorKind::Limit, text);
    let (here, there) = Pipe::duplex::<u64, u64>().unwrap();
    let text = "an end of a pipe cannot be an argument of an initializer: it moves, and there are several workers";
    refused(builder().initializer(|_: Connection<u64, u64>| (), (there,)), invalid, text);
    drop(here);
    let pool = pool();
    let text = "chunks of 0 tasks would never hold one: give chunk_size at least 1, or leave it out for the usual size";
    let none = pool.chunk_size(0);
    for error in [
        none.map(square, 0..3).unwrap_err(),
        none.map_async(square, 0..3).get().unwrap_err(),
        none.imap(square, 0..3).next().unwrap().unwrap_err(),
    ] {
        assert_eq!((error.kind(), error.to_string().as_str()), (invalid, text));
    }
    assert!(none.imap(square, 0..3).nth(1).is_none());
}
