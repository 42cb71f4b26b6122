//! What is called when a process ends in order.

use super::*;
use multiproc::{Event, Queue, at_exit};

fn say(log: &Queue<String>, what: &str) {
    let (log, what) = (log.clone(), what.to_owned());
    at_exit(move || log.put(what).unwrap());
}

/// What a child has said by the time it is joined, and how it ended.
fn said(how: u32) -> (Vec<String>, Option<i32>) {
    fn body(how: u32, log: Queue<String>) {
        say(&log, "first");
        let again = log.clone();
        at_exit(move || say(&again, "from one at the end"));
        at_exit(|| panic!("one of them panics"));
        say(&log, "last");
        match how {
            0 => {}
            1 => std::process::exit(3),
            _ => panic!("the function panics"),
        }
    }
    let log = Queue::new().unwrap();
    let process = quiet().spawn(body, (how, &log)).unwrap();
    let handle = process.handle();
    let _ = process.join();
    (log.get_many(10).unwrap(), handle.wait().unwrap().code())
}

#[test]
fn functions_at_the_end_run_last_first_and_before_join_returns() {
    let _watch = watch();
    let all = ["last", "from one at the end", "first"].map(str::to_owned).to_vec();
    assert_eq!(said(0), (all.clone(), Some(0)));
    assert_eq!(said(1), (all.clone(), Some(3)));
    assert_eq!(said(2), (all, Some(101)));
}

#[test]
fn a_child_has_none_of_its_parents_and_they_run_while_children_do() {
    let _watch = watch();
    fn body(log: Queue<String>, gate: Event) {
        let opens = gate.clone();
        let child = |log: Queue<String>, gate: Event| {
            gate.wait().unwrap();
            log.put("child").unwrap();
        };
        at_exit(move || opens.set());
        say(&log, "parent");
        // Waited for after the functions: one of them opens the gate.
        drop(Process::spawn(child, (&log, &gate)).unwrap());
    }
    let (log, gate) = (Queue::new().unwrap(), Event::new().unwrap());
    Process::spawn(body, (&log, &gate)).unwrap().join().unwrap();
    assert_eq!(log.get_many(10).unwrap(), ["parent", "child"]);
}

#[test]
fn an_abort_calls_nothing() {
    let _watch = watch();
    fn body(log: Queue<String>) {
        say(&log, "never");
        std::process::abort();
    }
    let log = Queue::<String>::new().unwrap();
    quiet().spawn(body, (&log,)).unwrap().join().unwrap_err();
    assert!(log.try_get().unwrap_err().is_empty());
}
