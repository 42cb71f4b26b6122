//! What a user writes first.

use std::fs;
use std::path::Path;

use multiproc::{Consumer, ErrorKind, Process, Producer, Queue, Result};

use crate::common::{LONG, kind};
use crate::watchdog::watch;

fn ends() -> (Producer<u32>, Consumer<u32>) {
    Queue::new().unwrap().split()
}

#[test]
fn a_consumer_is_iterated_by_value_by_reference_and_without_waiting() {
    let _watch = watch();
    let (producer, consumer) = ends();
    producer.put_many(1..=3).unwrap();
    assert_eq!(consumer.try_iter().map(Result::unwrap).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(consumer.try_iter().count(), 0, "it does not wait");
    producer.put_many(4..=6).unwrap();
    let mut got = Vec::new();
    for item in &consumer {
        got.push(item.unwrap());
        if got.len() == 2 {
            break;
        }
    }
    drop(producer);
    // By value: the consumer goes with the loop.
    for item in consumer {
        got.push(item.unwrap());
    }
    assert_eq!(got, [4, 5, 6]);
}

#[test]
fn the_iterator_by_value_is_the_consumer() {
    let _watch = watch();
    let (producer, consumer) = ends();
    let mut all = consumer.into_iter();
    producer.put(1).unwrap();
    assert_eq!(all.next().unwrap().unwrap(), 1);
    drop(all);
    assert!(producer.put(2).unwrap_err().is_closed());
}

#[test]
fn either_end_can_close_the_queue() {
    let _watch = watch();
    let (producer, consumer) = ends();
    producer.put(1).unwrap();
    producer.close().unwrap();
    assert!(producer.put(2).unwrap_err().is_closed() && consumer.is_closed());
    assert_eq!(consumer.get().unwrap(), 1);
    assert!(consumer.get_timeout(LONG).unwrap_err().is_closed());

    let (producer, consumer) = ends();
    producer.put(1).unwrap();
    consumer.close().unwrap();
    consumer.close().unwrap();
    assert!(producer.put(2).unwrap_err().is_closed());
    assert_eq!(consumer.try_iter().map(Result::unwrap).collect::<Vec<_>>(), [1]);
}

#[test]
fn a_queue_that_is_limited_in_bytes_knows_when_it_is_full() {
    let _watch = watch();
    let queue = Queue::<Vec<u8>>::builder().capacity_bytes(10).build().unwrap();
    assert!(!queue.is_full());
    queue.put(vec![0; 9]).unwrap();
    assert!(!queue.is_full(), "there is room for one byte");
    queue.put(vec![0; 1]).unwrap();
    assert!(queue.is_full());
    assert_eq!(kind(queue.try_put(vec![0])), ErrorKind::Full);
    let (producer, consumer) = queue.split();
    assert!(producer.is_full() && consumer.is_full());
    consumer.get().unwrap();
    assert!(!producer.is_full());
}

#[test]
fn a_failure_has_the_status_of_the_child() {
    let _watch = watch();
    let error = Process::spawn(|| std::process::exit(7), ()).unwrap().join().map(|(): ()| ());
    let error = error.unwrap_err();
    assert_eq!(error.child().unwrap().status().unwrap().code(), Some(7));
}

/// The names of the public types, as the root of the crate lists them, and those that make no secret of being made inside.
fn public_types(source: &Path) -> Vec<String> {
    let root = fs::read_to_string(source.join("lib.rs")).unwrap();
    let exports = root.split("pub use ").skip(1).map(|rest| rest.split(';').next().unwrap());
    let words = exports.flat_map(|list| list.split(|c: char| !c.is_alphanumeric()));
    let mut found: Vec<String> =
        words.filter(|word| word.starts_with(char::is_uppercase)).map(str::to_owned).collect();
    // `process` exports what it exports.
    found
        .extend(["Process", "ProcessBuilder", "ProcessHandle", "CurrentProcess"].map(String::from));
    found
}

/// The type that an `impl` line is about.
fn subject(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("impl")?;
    let rest = rest.strip_prefix('<').map_or(rest, |inner| {
        let mut depth = 1;
        let end = inner.find(|c| {
            depth += i32::from(c == '<') - i32::from(c == '>');
            depth == 0
        });
        &inner[end.map_or(inner.len(), |end| end + 1)..]
    });
    let rest = rest.rsplit(" for ").next().unwrap().trim_start();
    rest.split(|c: char| !c.is_alphanumeric()).next()
}

/// A private function of a public type shadows what a user would call: the compiler says "private", and not "not found", and
/// proposes nothing.
#[test]
fn no_private_constructor_has_a_name_that_a_user_would_call() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let public = public_types(&source);
    let mut folders = vec![source];
    let mut wrong = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            let mut about = None;
            for line in text.lines() {
                about = subject(line).or(about);
                let line = line.trim_start().replace("const fn", "fn");
                let names = ["new", "create", "open", "make", "from", "start", "spawn", "build"];
                let is_private = ["fn ", "pub(crate) fn ", "pub(super) fn "].iter().any(|start| {
                    let name =
                        line.strip_prefix(start).and_then(|rest| rest.split(['(', '<']).next());
                    name.is_some_and(|name| names.contains(&name))
                });
                if is_private && about.is_some_and(|about| public.iter().any(|it| it == about)) {
                    wrong.push(format!("{}: {line}", path.display()));
                }
            }
        }
    }
    wrong.retain(|line| !line.contains("fn from("));
    assert!(wrong.is_empty(), "{wrong:#?}");
}
