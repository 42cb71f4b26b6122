//! Children that were given nothing shared: they run without a keeper until they use something shared.

use std::os::unix::fs::FileExt;

use super::*;
use crate::common::{Chance, alone, killed, until, world_file};
use multiproc::{Event, Pipe, Queue, StartMethod};

const METHODS: [StartMethod; 2] = [StartMethod::Spawn, StartMethod::ForkServer];

fn threads() -> usize {
    fs::read_dir("/proc/self/task").unwrap().count()
}

fn uses() -> (usize, usize, u64, Queue<u64>) {
    let before = threads();
    let queue = Queue::new().unwrap();
    queue.put(7).unwrap();
    // A child of its own, which has something shared.
    let get = |queue: Queue<u64>| queue.get().unwrap();
    let got = Process::spawn(get, (&queue,)).unwrap().join().unwrap();
    queue.put(8).unwrap();
    (before, threads(), got, queue)
}

#[test]
fn a_child_has_no_keeper_until_it_uses_something_shared() {
    let _watch = watch();
    for method in METHODS {
        let builder = || Process::builder().start_method(method);
        let (before, after, got, queue) = builder().spawn(uses, ()).unwrap().join().unwrap();
        assert_eq!((before, after, got), (1, 2, 7), "{method:?}");
        assert_eq!(queue.try_get().unwrap(), 8, "it brings what it made");
        let given = |_: Queue<u64>| threads();
        assert_eq!(builder().spawn(given, (&queue,)).unwrap().join().unwrap(), 2, "{method:?}");
        let ends = builder().end_with_parent(true).spawn(threads, ()).unwrap();
        assert_eq!(ends.join().unwrap(), 2, "it watches its parent: {method:?}");
    }
}

#[test]
fn what_is_long_or_fails_comes_back_as_well() {
    let _watch = watch();
    for method in METHODS {
        let builder = || quiet().start_method(method);
        let long = |len: usize| vec![3_u8; len];
        for len in [0, 400, 5_000, 3 << 20] {
            assert!(builder().spawn(long, (len,)).unwrap().join().unwrap() == vec![3; len]);
        }
        let panics = || -> u32 { panic!("{}", "long ".repeat(2_000)) };
        let error = builder().spawn(panics, ()).unwrap().join().unwrap_err();
        assert!(error.child().unwrap().message().unwrap().len() == 10_000, "{method:?}");
    }
}

#[test]
fn more_are_killed_than_there_are_places() {
    let _watch = watch();
    alone(|| {
        let ends = || -> () { std::process::abort() };
        for at in 0..1_100 {
            let process = Process::builder().start_method(StartMethod::ForkServer);
            let process = process.spawn(park, ()).unwrap();
            if at % 2 == 0 {
                killed(process);
            } else {
                process.handle().kill().unwrap();
                // Nobody waits for it but the reaper.
                drop(process);
            }
        }
        assert_eq!(
            quiet().spawn(ends, ()).unwrap().join().unwrap_err().child().unwrap().signal(),
            Some(6)
        );
    });
}

/// How many slots of processes are taken: in the file of the world, 1,024 from byte 128 on, of 64 bytes each.
fn places_taken() -> usize {
    const DEAD: u32 = 1 << 30;
    let mut slots = vec![0; 1024 * 64];
    world_file().read_exact_at(&mut slots, 128).unwrap();
    let words = slots.chunks_exact(64).map(|slot| u32::from_ne_bytes(*slot.first_chunk().unwrap()));
    words.filter(|word| *word != 0 && word & DEAD == 0).count()
}

#[test]
fn one_that_is_killed_while_it_takes_its_place_leaves_it() {
    let _watch = watch();
    alone(|| {
        let mut chance = Chance::new(11);
        let makes = || {
            loop {
                drop(Queue::<u64>::new().unwrap());
            }
        };
        let before = Queue::<u64>::new().unwrap();
        assert_eq!(places_taken(), 1);
        for _ in 0..200 {
            let process = Process::builder().start_method(StartMethod::ForkServer);
            let process: Process<()> = process.spawn(makes, ()).unwrap();
            let end = Instant::now() + Duration::from_micros(chance.below(1_500));
            while Instant::now() < end {
                std::thread::yield_now();
            }
            killed(process);
        }
        until("all places are free", || places_taken() == 1);
        before.put(1).unwrap();
        assert_eq!(before.get().unwrap(), 1);
    });
}

/// Starts one that outlives it and then uses something shared, and is killed.
fn leaves(file: PathBuf) {
    let goes_on = |file: PathBuf| {
        let parent = parent_process().unwrap();
        fs::write(&file, "started").unwrap();
        parent.wait().unwrap_err();
        let before = threads();
        let (_, after, got, _) = uses();
        fs::write(&file, format!("{before} {after} {got}")).unwrap();
    };
    let child = Process::spawn(goes_on, (&file,)).unwrap();
    until("it has started", || fs::read_to_string(&file).is_ok_and(|text| text == "started"));
    std::mem::forget(child);
    nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL).unwrap();
}

#[test]
fn an_orphan_that_was_alone_takes_its_place_later() {
    let _watch = watch();
    let file = scratch("orphan");
    let process = Process::spawn(leaves, (&file,)).unwrap();
    assert_eq!(process.join().unwrap_err().child().unwrap().signal(), Some(9));
    until("the orphan has used the crate", || {
        fs::read_to_string(&file).is_ok_and(|text| text == "1 2 7")
    });
    fs::remove_file(&file).unwrap();
}

/// How often the calling thread has waited for something.
fn waits() -> u64 {
    let status = fs::read_to_string("/proc/thread-self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// How often a process waits when it makes its first channels.
fn waits_for_channels() -> u64 {
    let before = waits();
    let queue = Queue::new().unwrap();
    queue.put(1_u64).unwrap();
    let (mut sender, _receiver) = Pipe::simplex().unwrap();
    sender.send(1_u64).unwrap();
    waits() - before
}

/// The same in a process that had nothing shared until now, and has a second thread.
fn beside_a_thread() -> u64 {
    let (go, end) = std::sync::mpsc::channel::<()>();
    let other = std::thread::spawn(move || end.recv().is_err());
    let waited = waits_for_channels();
    drop(go);
    assert!(other.join().unwrap());
    waited
}

/// To register for barriers beside a second thread is to wait for every processor to pass through its scheduler.
#[test]
fn the_first_channels_of_a_process_wait_for_nothing() {
    let _watch = watch();
    let event = Event::new().unwrap();
    for method in METHODS {
        let builder = || Process::builder().start_method(method);
        let given = || builder().spawn(|_: Event| waits_for_channels(), (&event,)).unwrap();
        let alone = || builder().spawn(beside_a_thread, ()).unwrap();
        // A keeper may have a lock of the memory for a moment: not in each of five.
        // One that ran alone waits for its keeper to begin.
        for (start, most) in [(&given as &dyn Fn() -> Process<u64>, 0), (&alone, 1)] {
            let fewest = (0..5).map(|_| start().join().unwrap()).min().unwrap();
            assert!(fewest <= most, "{method:?}: {fewest} times, not {most}");
        }
    }
}
