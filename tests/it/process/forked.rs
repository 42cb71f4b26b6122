//! `Process::fork`: a process that is a copy of this one.

// fork cannot be called without.
#![allow(unsafe_code)]

use super::*;
use crate::common::{LONG, kind, until};
use multiproc::{Queue, at_exit};

/// Runs a test in a process without threads but the crate's own.
fn in_a_process<F, R>(body: F) -> R
where
    F: multiproc::Function<(), Output = R>,
    R: Serialize + serde::de::DeserializeOwned,
{
    Process::spawn(body, ()).unwrap().join().unwrap()
}

#[test]
fn a_copy_has_memory_and_arguments_and_brings_a_result() {
    let _watch = watch();
    in_a_process(|| {
        let table: Vec<u64> = (0..100).collect();
        let queue = Queue::<u64>::new().unwrap();
        // SAFETY: this process has no thread but the crate's own.
        let process = unsafe {
            Process::fork((&queue, 7), |(queue, number): (Queue<u64>, usize)| {
                queue.put(table[number]).unwrap();
                let parent = parent_process().unwrap();
                (parent.id(), current_process().to_string(), table.len())
            })
        };
        let process = process.unwrap();
        let name = process.name().to_owned();
        assert_eq!(process.join().unwrap(), (std::process::id(), name, 100));
        assert_eq!(queue.try_get().unwrap(), 7);
    });
}

#[test]
fn what_a_copy_inherits_is_inert_and_it_starts_others() {
    let _watch = watch();
    in_a_process(|| {
        let (lock, queue) = (Lock::new().unwrap(), Queue::<u8>::new().unwrap());
        let child = Process::builder().end_with_parent(true).spawn(park, ()).unwrap();
        let guard = lock.lock().unwrap();
        // SAFETY: this process has no thread but the crate's own.
        let process = unsafe {
            Process::fork((), |()| {
                let kinds = (kind(queue.put(1)), kind(lock.lock()), kind(child.join()));
                let own = Process::spawn(greet, ("x",)).unwrap().join().unwrap();
                (kinds, own)
            })
        };
        let (kinds, own) = process.unwrap().join().unwrap();
        assert_eq!(kinds, (ErrorKind::Foreign, ErrorKind::Foreign, ErrorKind::Foreign));
        assert_eq!(own, "hello x");
        assert!(lock.is_locked(), "the guard is this process's");
        drop(guard);
        active_children().iter().for_each(|child| child.kill().unwrap());
    });
}

#[test]
fn a_copy_that_fails_says_how() {
    let _watch = watch();
    fn failures() -> Vec<Option<i32>> {
        let (_, null) = (0, File::options().write(true).open("/dev/null").unwrap());
        nix::unistd::dup2_stderr(&null).unwrap();
        let code = |error: Error| error.child().and_then(|child| child.exit_code());
        // SAFETY: this process has no thread but the crate's own.
        let panics: Process<()> = unsafe { Process::fork((), |()| panic!("as usual")) }.unwrap();
        // SAFETY: as above.
        let exits: Process<()> = unsafe { Process::fork((), |()| std::process::exit(3)) }.unwrap();
        // SAFETY: as above.
        let parked = unsafe { Process::fork((), |()| park()) }.unwrap();
        parked.handle().kill().unwrap();
        let signal = parked.join().unwrap_err().child().unwrap().signal();
        vec![code(panics.join().unwrap_err()), code(exits.join().unwrap_err()), signal]
    }
    assert_eq!(in_a_process(failures), [Some(101), Some(3), Some(9)]);
}

#[test]
fn the_end_of_a_copy_is_not_its_parents() {
    let _watch = watch();
    fn body(log: Queue<String>) {
        let last = log.clone();
        at_exit(move || last.put("parent").unwrap());
        print!("once ");
        // SAFETY: this process has no thread but the crate's own.
        let process = unsafe {
            Process::fork((&log,), |(log,): (Queue<String>,)| {
                at_exit(move || log.put("copy").unwrap());
                print!("copy ");
            })
        };
        process.unwrap().join().unwrap();
        print!("end");
    }
    let (mut reader, writer) = std::io::pipe().unwrap();
    let log = Queue::new().unwrap();
    Process::builder().stdout(writer).spawn(body, (&log,)).unwrap().join().unwrap();
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "once copy end");
    assert_eq!(log.get_many(10).unwrap(), ["copy", "parent"]);
}

#[test]
fn a_copy_whose_parent_is_killed_goes_on() {
    let _watch = watch();
    fn body(said: Queue<u32>) {
        // SAFETY: this process has no thread but the crate's own.
        let _copy = unsafe {
            Process::fork((&said,), |(said,): (Queue<u32>,)| {
                let parent = parent_process().unwrap();
                said.put(1).unwrap();
                parent.wait().unwrap_err();
                said.put(2).unwrap();
            })
        }
        .unwrap();
        park();
    }
    let said = Queue::new().unwrap();
    let parent = Process::spawn(body, (&said,)).unwrap();
    assert_eq!(said.get_timeout(LONG).unwrap(), 1);
    parent.handle().kill().unwrap();
    parent.join().unwrap_err();
    assert_eq!(said.get_timeout(LONG).unwrap(), 2);
    until("all have ended", || said.is_empty());
}
