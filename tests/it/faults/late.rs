//! Late users: the destructors of thread-locals, and what the program has called at its end.

#![allow(unsafe_code, reason = "atexit")]

use std::cell::RefCell;
use std::sync::OnceLock;

use multiproc::{Error, Event, Lock, Process, Queue, Semaphore};

use crate::common::LONG;
use crate::watchdog::watch;

type Farewell = (u32, String);

/// Uses everything as its thread ends, and puts how that went.
struct Last {
    queue: Queue<Farewell>,
    told: Queue<Result<(), Error>>,
}

impl Drop for Last {
    fn drop(&mut self) {
        let _ = self.told.put(say_farewell(&self.queue));
    }
}

fn say_farewell(queue: &Queue<Farewell>) -> Result<(), Error> {
    queue.put((2, "farewell".to_owned()))?;
    queue.put_with(10_000, |bytes| bytes.fill(1))?;
    let carrier = Queue::<Lock>::new()?;
    let lock = Lock::new()?;
    carrier.put(&lock)?;
    drop(carrier.get()?.lock()?);
    drop(Semaphore::new(1)?.acquire()?);
    Event::new()?.wait_timeout(std::time::Duration::from_millis(1)).map(drop).or(Ok(()))
}

thread_local!(static LAST: RefCell<Option<Last>> = const { RefCell::new(None) });

/// Uses the crate before the destructor is registered, and after it, or not at all.
fn end_a_thread(before: bool, after: bool) {
    let _watch = watch();
    let (queue, told) = (Queue::new().unwrap(), Queue::new().unwrap());
    let last = Last { queue: queue.clone(), told: told.clone() };
    let theirs = queue.clone();
    let hello = move || theirs.put((1, "hello".to_owned())).unwrap();
    let thread = std::thread::spawn(move || {
        before.then(&hello);
        LAST.with(|place| *place.borrow_mut() = Some(last));
        after.then(&hello);
    });
    thread.join().unwrap();
    told.get_timeout(LONG).unwrap().unwrap();
    let mut all = vec![(1, "hello".to_owned()); usize::from(before) + usize::from(after)];
    all.push((2, "farewell".to_owned()));
    assert_eq!(queue.get_many(10).unwrap(), all);
    assert_eq!(queue.get_bytes().unwrap(), [1; 10_000]);
}

#[test]
fn a_late_destructor_of_a_thread_that_used_nothing_works() {
    end_a_thread(false, false);
}

#[test]
fn a_late_destructor_works_that_is_older_than_the_crates_own() {
    end_a_thread(false, true);
}

#[test]
fn a_late_destructor_works_that_is_younger_than_the_crates_own() {
    end_a_thread(true, false);
    end_a_thread(true, true);
}

static AT_EXIT: OnceLock<(Queue<Farewell>, Queue<Farewell>)> = OnceLock::new();

extern "C" fn at_exit() {
    let (input, output) = AT_EXIT.get().unwrap();
    let (number, text) = input.get_timeout(LONG).unwrap();
    output.put((number + 1, text)).unwrap();
    let told = say_farewell(output);
    output.put((8, format!("{told:?}"))).unwrap();
}

#[test]
fn put_and_get_work_at_the_end_of_the_program() {
    let _watch = watch();
    for early in [true, false] {
        let body = move |input: Queue<Farewell>, output: Queue<Farewell>, early: bool| {
            // Called before what the crate has called, or after it: the crate's own is older here.
            // SAFETY: a function that takes nothing and, as `extern "C"`, unwinds nowhere.
            let register = || assert_eq!(unsafe { libc::atexit(at_exit) }, 0);
            early.then(register);
            AT_EXIT.set((input, output)).unwrap();
            (!early).then(register);
        };
        let (input, output) = (Queue::new().unwrap(), Queue::new().unwrap());
        let child = Process::spawn(body, (&input, &output, early)).unwrap();
        input.put((5, "at exit".to_owned())).unwrap();
        child.join().unwrap();
        let got = output.get_many(10).unwrap();
        let expected = [(6, "at exit"), (2, "farewell")].map(|(n, text)| (n, text.to_owned()));
        assert_eq!(got, expected);
        assert_eq!(output.get_bytes().unwrap().len(), 10_000);
        assert_eq!(output.get_timeout(LONG).unwrap(), (8, "Ok(())".to_owned()));
    }
}
