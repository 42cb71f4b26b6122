//! `Queue`: order, forms, limits, what can be put, and what is left when something goes wrong.

#![allow(clippy::needless_borrows_for_generic_args, reason = "references are what is tried")]

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use multiproc::{ErrorKind, Event, Lock, Process, Producer, Queue, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::common::{Chance, LONG, SHORT, killed, kind, park, until};
use crate::watchdog::watch;

fn blocked_get<T>(queue: &Queue<T>) {
    until("a getter sleeps", || format!("{queue:?}").contains("waiting_to_get: true"));
}

fn blocked_put<T>(queue: &Queue<T>) {
    until("a putter sleeps", || format!("{queue:?}").contains("waiting_to_put: true"));
}

// ---------------------------------------------------------------------------------------------
// What can be put
// ---------------------------------------------------------------------------------------------

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone, Default)]
struct Point {
    x: f64,
    y: f64,
    name: Option<String>,
}

#[derive(Serialize, Deserialize, PartialEq, Debug, Clone)]
enum Shape {
    Empty,
    Circle(Point, f32),
    Polygon { points: Vec<Point>, tags: BTreeMap<String, Vec<u8>> },
}

fn through<T: Serialize + DeserializeOwned + PartialEq + Debug>(
    items: impl IntoIterator<Item = T>,
) {
    let queue: Queue<T> = Queue::new().unwrap();
    let items: Vec<T> = items.into_iter().collect();
    for item in &items {
        queue.put(item).unwrap();
    }
    assert_eq!(queue.len(), items.len());
    for item in &items {
        assert_eq!(&queue.get().unwrap(), item);
    }
    assert!(queue.is_empty());
}

#[test]
fn values_of_many_types_go_through() {
    through([()]);
    through([true, false]);
    through(['a', '\0', '\u{10ffff}']);
    through([0, 1, u64::MAX]);
    through([i128::MIN, -1, i128::MAX]);
    through([0.0, -0.0, f64::MIN_POSITIVE, f64::INFINITY]);
    through([Some(1), None, Some(i32::MIN)]);
    through([None, Some(None), Some(Some(()))]);
    through(["", "xyz", "grüße\0日本"].map(String::from));
    through([vec![], vec![0_u8], vec![255; 5000]]);
    through([vec![], vec![1.5_f32, -2.0]]);
    through([vec![i64::MIN; 3]]);
    through([vec![String::new(), "x".to_owned()], vec![]]);
    through([[1_u8, 2, 3, 4]]);
    through([(1_u8, "x".to_owned(), Some(2.5_f32))]);
    through([Ok(1), Err("no".to_owned())]);
    through([Box::new(7_u16)]);
    through([Duration::from_nanos(1), Duration::MAX]);
    through([HashMap::from([("a".to_owned(), 1), ("b".to_owned(), 2)]), HashMap::new()]);
    through([Point::default()]);
    let point = Point { x: 1.0, y: -2.5, name: Some("p".to_owned()) };
    through([
        Shape::Empty,
        Shape::Circle(point.clone(), 0.5),
        Shape::Polygon {
            points: vec![point; 3],
            tags: BTreeMap::from([("t".to_owned(), vec![1, 2, 3])]),
        },
    ]);
}

#[test]
#[expect(clippy::needless_borrows_for_generic_args, reason = "references are what is tried")]
fn literals_and_references_find_their_type() {
    let text: Queue<String> = Queue::new().unwrap();
    text.put("xyz").unwrap();
    text.put(String::from("abc")).unwrap();
    let def = String::from("def");
    text.put(&def).unwrap();
    assert_eq!(def, "def", "it stayed here");
    text.put_many(["g", "h"]).unwrap();
    assert_eq!(text.get_many(9).unwrap(), ["xyz", "abc", "def", "g", "h"]);
    let number: Queue<i64> = Queue::new().unwrap();
    number.put(5).unwrap();
    let (six, rest) = (6, [9, 10]);
    number.put(&six).unwrap();
    number.put_many(7..9).unwrap();
    number.put_many(&rest).unwrap();
    assert_eq!(number.get_many(9).unwrap(), [5, 6, 7, 8, 9, 10]);
    let maybe: Queue<Option<i32>> = Queue::new().unwrap();
    maybe.put(Some(0)).unwrap();
    maybe.put(None).unwrap();
    assert_eq!(maybe.get_many(2).unwrap(), [Some(0), None]);
    let bytes: Queue<Vec<u8>> = Queue::new().unwrap();
    bytes.put(b"raw").unwrap();
    bytes.put(&b"slice"[..]).unwrap();
    bytes.put(vec![1]).unwrap();
    assert_eq!(bytes.get_many(3).unwrap(), [&b"raw"[..], b"slice", &[1]]);
    let floats: Queue<Vec<f64>> = Queue::new().unwrap();
    floats.put(&[0.5, 1.5]).unwrap();
    assert_eq!(floats.get().unwrap(), [0.5, 1.5]);
    let points: Queue<Vec<Point>> = Queue::new().unwrap();
    points.put(&[Point::default(), Point::default()]).unwrap();
    assert_eq!(points.get().unwrap().len(), 2);
}

fn echo<T: Serialize + DeserializeOwned>(input: Queue<T>, output: Queue<T>) -> Result<()> {
    for item in &input {
        output.put(item?)?;
    }
    output.close();
    Ok(())
}

#[test]
fn first_in_first_out_between_processes() {
    let _watch = watch();
    let (input, output) = (Queue::new().unwrap(), Queue::new().unwrap());
    let process = Process::spawn(echo::<(u32, String)>, (&input, &output)).unwrap();
    for n in 0..5000 {
        input.put((n, format!("number {n}"))).unwrap();
    }
    input.close();
    for (n, item) in output.iter().enumerate() {
        assert_eq!(item.unwrap(), (n as u32, format!("number {n}")));
    }
    assert_eq!(kind(output.get()), ErrorKind::Closed);
    process.join().unwrap().unwrap();
}

#[test]
fn messages_of_any_size_go_through() {
    let _watch = watch();
    let (input, output) = (Queue::new().unwrap(), Queue::new().unwrap());
    let process = Process::spawn(echo::<Vec<u8>>, (&input, &output)).unwrap();
    let mut chance = Chance::new(1);
    // Around each border there could be: a word, the largest in line, a page, a chunk.
    let mut sizes: Vec<usize> = [0_usize, 8, 4096, 8192, 65472, 65536, 1 << 20]
        .into_iter()
        .flat_map(|size| size.saturating_sub(9)..size + 9)
        .collect();
    sizes.extend((0..200).map(|_| chance.below(20_000) as usize));
    sizes.push(10 << 20);
    let body = |len: usize| (0..len).map(|at| (at * 7 + len) as u8).collect::<Vec<u8>>();
    std::thread::scope(|scope| {
        scope.spawn(|| sizes.iter().for_each(|&len| input.put(body(len)).unwrap()));
        for &len in &sizes {
            assert!(output.get_timeout(LONG).unwrap() == body(len), "{len} bytes");
        }
    });
    input.close();
    process.join().unwrap().unwrap();
}

#[test]
fn large_values_go_through() {
    let _watch = watch();
    let queue: Queue<String> = Queue::new().unwrap();
    let text = "0123456789".repeat(1 << 20);
    for _ in 0..3 {
        queue.put(&text).unwrap();
    }
    for _ in 0..3 {
        assert!(queue.get().unwrap() == text);
    }
    let queue: Queue<Vec<(String, f64)>> = Queue::new().unwrap();
    let parts = vec![("x".repeat(100), 1.5_f64); 50_000];
    queue.put(&parts).unwrap();
    assert!(queue.get().unwrap() == parts);
}

// ---------------------------------------------------------------------------------------------
// Forms
// ---------------------------------------------------------------------------------------------

#[test]
fn bytes_go_in_and_out_in_every_form() {
    let queue: Queue<String> = Queue::new().unwrap();
    queue.put_bytes(b"one").unwrap();
    queue.put_bytes(b"").unwrap();
    let answer = queue.put_with(4, |buf| {
        assert_eq!(buf, [0; 4], "zeroed");
        buf.copy_from_slice(b"four");
        "back"
    });
    assert_eq!(answer.unwrap(), "back");
    queue.put_with(0, |buf| assert!(buf.is_empty())).unwrap();
    queue.put_with(70_000, |buf| buf.fill(3)).unwrap();
    assert_eq!(queue.len(), 5);
    assert_eq!(queue.get_bytes().unwrap(), b"one");
    assert_eq!(queue.get_with(|bytes| bytes.len()).unwrap(), 0);
    assert_eq!(queue.get_with(<[u8]>::to_vec).unwrap(), b"four");
    assert_eq!(queue.get_bytes().unwrap(), b"");
    assert!(queue.get_bytes().unwrap() == vec![3; 70_000]);
    // Scratch memory that was used is zeroed again.
    queue.put_with(100, |buf| assert_eq!(buf, [0; 100])).unwrap();
    assert_eq!(queue.get_bytes().unwrap(), [0; 100]);
}

#[test]
fn the_wrong_form_is_an_error_and_leaves_the_message() {
    let queue: Queue<u32> = Queue::new().unwrap();
    queue.put(7).unwrap();
    queue.put_bytes(b"raw").unwrap();
    for _ in 0..2 {
        let error = queue.get_bytes().unwrap_err();
        assert!(error.is_mismatch());
        let text = "the next message was put as u32, not as bytes: take it with get";
        assert_eq!(error.to_string(), text);
        assert!(queue.get_with(|_| ()).unwrap_err().is_mismatch());
        assert_eq!(queue.len(), 2);
    }
    assert_eq!(queue.get().unwrap(), 7);
    for _ in 0..2 {
        let error = queue.get().unwrap_err();
        assert!(error.is_mismatch());
        let text = "the next message was put as bytes, not as u32: take it with get_bytes";
        assert_eq!(error.to_string(), text);
        assert!(queue.try_get().unwrap_err().is_mismatch());
        assert!(queue.get_many(3).unwrap_err().is_mismatch());
        assert_eq!(queue.len(), 1);
    }
    assert_eq!(queue.get_bytes().unwrap(), b"raw");
    // get_many stops in front of one of the other form.
    queue.put_many([1, 2]).unwrap();
    queue.put_bytes(b"x").unwrap();
    queue.put(3).unwrap();
    assert_eq!(queue.get_many(9).unwrap(), [1, 2]);
    assert_eq!(queue.get_bytes().unwrap(), b"x");
    assert_eq!(queue.get().unwrap(), 3);
}

#[test]
fn a_closure_that_panics_breaks_nothing() {
    let queue: Queue<u32> = Queue::new().unwrap();
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        queue.put_with(10, |_| -> () { resume_unwind(Box::new(())) })
    }));
    assert!(unwound.is_err());
    assert_eq!(queue.len(), 0, "nothing was put");
    queue.put_bytes(b"one").unwrap();
    queue.put_bytes(b"two").unwrap();
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        queue.get_with(|_| -> () { resume_unwind(Box::new(())) })
    }));
    assert!(unwound.is_err());
    assert_eq!(queue.get_bytes().unwrap(), b"two", "the first was taken before the closure ran");
}

// ---------------------------------------------------------------------------------------------
// Limits and time
// ---------------------------------------------------------------------------------------------

#[test]
fn an_empty_queue_answers_by_kind() {
    let _watch = watch();
    let queue: Queue<u32> = Queue::new().unwrap();
    let past = Instant::now().checked_sub(Duration::from_secs(1)).unwrap();
    assert_eq!(kind(queue.try_get()), ErrorKind::Empty);
    assert_eq!(kind(queue.try_get_many(3)), ErrorKind::Empty);
    assert_eq!(kind(queue.try_get_bytes()), ErrorKind::Empty);
    assert_eq!(kind(queue.try_get_with(|_| ())), ErrorKind::Empty);
    for time in [Duration::ZERO, Duration::from_nanos(1), SHORT] {
        let start = Instant::now();
        assert_eq!(kind(queue.get_timeout(time)), ErrorKind::Timeout);
        assert!(start.elapsed() >= time);
        assert_eq!(kind(queue.get_many_timeout(3, time)), ErrorKind::Timeout);
        assert_eq!(kind(queue.get_bytes_timeout(time)), ErrorKind::Timeout);
        assert_eq!(kind(queue.get_with_timeout(|_| (), time)), ErrorKind::Timeout);
    }
    for deadline in [past, Instant::now() + SHORT] {
        assert_eq!(kind(queue.get_deadline(deadline)), ErrorKind::Timeout);
        assert!(Instant::now() >= deadline);
        assert_eq!(kind(queue.get_many_deadline(3, deadline)), ErrorKind::Timeout);
        assert_eq!(kind(queue.get_bytes_deadline(deadline)), ErrorKind::Timeout);
        assert_eq!(kind(queue.get_with_deadline(|_| (), deadline)), ErrorKind::Timeout);
    }
    assert_eq!(queue.get_many(0).unwrap(), [0; 0]);
    assert_eq!(queue.try_get_many(0).unwrap(), [0; 0]);
    // What is there is taken however little time there is.
    queue.put_many(0..3).unwrap();
    assert_eq!(queue.get_timeout(Duration::ZERO).unwrap(), 0);
    assert_eq!(queue.get_deadline(past).unwrap(), 1);
    assert_eq!(queue.get_timeout(Duration::MAX).unwrap(), 2);
}

#[test]
fn a_full_queue_answers_by_kind() {
    let _watch = watch();
    let queue: Queue<u32> = Queue::bounded(2).unwrap();
    let past = Instant::now().checked_sub(Duration::from_secs(1)).unwrap();
    assert_eq!((queue.capacity(), queue.is_full(), queue.is_empty()), (Some(2), false, true));
    queue.put_timeout(1, Duration::ZERO).unwrap();
    queue.put_deadline(2, past).unwrap();
    assert_eq!((queue.len(), queue.is_full(), queue.is_empty()), (2, true, false));
    assert_eq!(kind(queue.try_put(3)), ErrorKind::Full);
    assert_eq!(kind(queue.try_put_bytes(b"x")), ErrorKind::Full);
    assert_eq!(kind(queue.try_put_with(1, |_| ())), ErrorKind::Full);
    assert_eq!(kind(queue.try_put_many([3, 4])), ErrorKind::Full);
    for time in [Duration::ZERO, Duration::from_nanos(1), SHORT] {
        let start = Instant::now();
        assert_eq!(kind(queue.put_timeout(3, time)), ErrorKind::Timeout);
        assert!(start.elapsed() >= time);
        assert_eq!(kind(queue.put_bytes_timeout(b"x", time)), ErrorKind::Timeout);
        assert_eq!(kind(queue.put_with_timeout(1, |_| (), time)), ErrorKind::Timeout);
        assert_eq!(kind(queue.put_many_timeout([3], time)), ErrorKind::Timeout);
    }
    for deadline in [past, Instant::now() + SHORT] {
        assert_eq!(kind(queue.put_deadline(3, deadline)), ErrorKind::Timeout);
        assert!(Instant::now() >= deadline);
        assert_eq!(kind(queue.put_bytes_deadline(b"x", deadline)), ErrorKind::Timeout);
        assert_eq!(kind(queue.put_with_deadline(1, |_| (), deadline)), ErrorKind::Timeout);
        assert_eq!(kind(queue.put_many_deadline([3], deadline)), ErrorKind::Timeout);
    }
    assert_eq!(queue.get_many(9).unwrap(), [1, 2], "nothing of all that was put");
    assert_eq!(kind(queue.try_put_many(0..5)), ErrorKind::Full);
    assert_eq!(queue.get_many(9).unwrap(), [0, 1], "those before the first that did not fit");
    // A large message that finds no room leaves nothing.
    let queue: Queue<Vec<u8>> = Queue::bounded(1).unwrap();
    queue.put(vec![1; 100_000]).unwrap();
    assert_eq!(kind(queue.try_put(vec![2; 100_000])), ErrorKind::Full);
    assert!(queue.get().unwrap() == vec![1; 100_000]);
}

#[test]
fn a_queue_without_limit_is_never_full() {
    let queue = Queue::new().unwrap();
    assert_eq!(queue.capacity(), None);
    for n in 0..20_000 {
        queue.try_put(n).unwrap();
    }
    assert!(!queue.is_full());
    assert_eq!(queue.len(), 20_000);
    for n in 0..20_000 {
        assert_eq!(queue.try_get().unwrap(), n);
    }
}

#[test]
fn a_limit_of_nothing_is_refused() {
    for queue in [
        Queue::<u32>::bounded(0),
        Queue::builder().max_items(0).build(),
        Queue::builder().max_items(usize::MAX).build(),
        Queue::builder().capacity_bytes(0).build(),
    ] {
        let error = queue.unwrap_err();
        assert!(error.is_invalid_input(), "{error:?}");
        assert!(error.to_string().contains("no limit"), "{error}");
    }
}

#[test]
fn bytes_can_be_limited() {
    let _watch = watch();
    let queue: Queue<Vec<u8>> = Queue::builder().capacity_bytes(10_000).build().unwrap();
    assert_eq!(queue.capacity(), None);
    queue.try_put(vec![1; 6000]).unwrap();
    assert_eq!(kind(queue.try_put(vec![2; 4001])), ErrorKind::Full);
    assert_eq!(kind(queue.put_timeout(vec![2; 4001], SHORT)), ErrorKind::Timeout);
    queue.try_put(vec![3; 4000]).unwrap();
    assert_eq!(kind(queue.try_put(vec![4])), ErrorKind::Full);
    let error = queue.put(vec![0; 10_001]).unwrap_err();
    assert!(error.is_too_large(), "{error:?}");
    assert!(error.to_string().contains("10001 bytes") && error.to_string().contains("10000"));
    assert_eq!(queue.get().unwrap().len(), 6000);
    assert_eq!(queue.get().unwrap().len(), 4000);
    // The count of bytes does not drift.
    let mut chance = Chance::new(7);
    for _ in 0..2000 {
        let len = chance.below(5000) as usize;
        queue.try_put(vec![0; len]).unwrap();
        queue.try_put(vec![0; 10_000 - len]).unwrap();
        assert_eq!(kind(queue.try_put(vec![0])), ErrorKind::Full);
        assert_eq!(queue.get().unwrap().len() + queue.get().unwrap().len(), 10_000);
    }
    // And both limits at once.
    let queue: Queue<Vec<u8>> = Queue::builder().capacity_bytes(10).max_items(2).build().unwrap();
    queue.try_put(vec![0; 4]).unwrap();
    assert_eq!(kind(queue.try_put(vec![0; 7])), ErrorKind::Full);
    queue.try_put(vec![0; 1]).unwrap();
    assert_eq!(kind(queue.try_put(vec![0; 1])), ErrorKind::Full);
}

#[test]
fn a_putter_asleep_is_woken_by_room() {
    let _watch = watch();
    let fill = |queue: Queue<u32>, bytes: Queue<Vec<u8>>| {
        queue.put_many(0..5).unwrap();
        for n in 0..5 {
            bytes.put(vec![n; 60]).unwrap();
        }
    };
    let queue = Queue::bounded(2).unwrap();
    let bytes = Queue::builder().capacity_bytes(100).build().unwrap();
    let process = Process::spawn(fill, (&queue, &bytes)).unwrap();
    blocked_put(&queue);
    assert!(queue.is_full());
    for n in 0..5 {
        assert_eq!(queue.get_timeout(LONG).unwrap(), n);
    }
    blocked_put(&bytes);
    assert_eq!(bytes.len(), 1);
    for n in 0..5 {
        assert_eq!(bytes.get_timeout(LONG).unwrap(), [n; 60]);
    }
    process.join().unwrap();
}

#[test]
fn a_getter_asleep_is_woken_by_a_message() {
    let _watch = watch();
    let queue = Queue::new().unwrap();
    let output = Queue::new().unwrap();
    let process = Process::spawn(echo::<u32>, (&queue, &output)).unwrap();
    for n in 0..20 {
        blocked_get(&queue);
        queue.put(n).unwrap();
        assert_eq!(output.get_timeout(LONG).unwrap(), n);
    }
    queue.close();
    process.join().unwrap().unwrap();
}

#[test]
fn get_many_takes_what_is_there() {
    let _watch = watch();
    let queue = Queue::new().unwrap();
    queue.put_many(0..10).unwrap();
    assert_eq!(queue.get_many(3).unwrap(), [0, 1, 2]);
    assert_eq!(queue.try_get_many(3).unwrap(), [3, 4, 5]);
    assert_eq!(queue.get_many_timeout(100, LONG).unwrap(), [6, 7, 8, 9]);
    std::thread::scope(|scope| {
        let getter = scope.spawn(|| queue.get_many(5));
        blocked_get(&queue);
        queue.put(1).unwrap();
        assert_eq!(getter.join().unwrap().unwrap(), [1], "it waits for the first alone");
    });
}

#[test]
fn what_was_put_is_seen_at_once_in_every_process() {
    let _watch = watch();
    let put = |queue: Queue<u32>, rounds: Queue<u32>, seen: Queue<usize>| {
        for n in &rounds {
            let n = n.unwrap();
            queue.put_many(0..n).unwrap();
            seen.put(queue.len()).unwrap();
        }
    };
    let (queue, rounds, seen) =
        (Queue::new().unwrap(), Queue::new().unwrap(), Queue::new().unwrap());
    let process = Process::spawn(put, (&queue, &rounds, &seen)).unwrap();
    for n in (0..500).map(|n| n % 7) {
        rounds.put(n).unwrap();
        assert_eq!(seen.get_timeout(LONG).unwrap(), n as usize);
        assert_eq!((queue.len(), queue.is_empty()), (n as usize, n == 0));
        for m in 0..n {
            assert_eq!(queue.try_get().unwrap(), m);
            assert_eq!(queue.len(), (n - m - 1) as usize);
        }
        assert_eq!(kind(queue.try_get()), ErrorKind::Empty);
    }
    rounds.close();
    process.join().unwrap();
}

// ---------------------------------------------------------------------------------------------
// Closing
// ---------------------------------------------------------------------------------------------

#[test]
fn a_closed_queue_is_drained() {
    let queue = Queue::new().unwrap();
    queue.put_many(0..3).unwrap();
    queue.put_bytes(b"x").unwrap();
    assert!(!queue.is_closed());
    queue.close();
    queue.close();
    assert!(queue.is_closed());
    assert_eq!(kind(queue.put(9)), ErrorKind::Closed);
    assert_eq!(kind(queue.try_put(9)), ErrorKind::Closed);
    assert_eq!(kind(queue.put_bytes(b"x")), ErrorKind::Closed);
    assert_eq!(queue.len(), 4);
    assert_eq!(queue.get().unwrap(), 0);
    assert_eq!(queue.get_many(9).unwrap(), [1, 2]);
    assert_eq!(queue.get_bytes().unwrap(), b"x");
    for _ in 0..2 {
        assert_eq!(kind(queue.get()), ErrorKind::Closed);
        assert_eq!(kind(queue.try_get()), ErrorKind::Closed);
        assert_eq!(kind(queue.get_timeout(LONG)), ErrorKind::Closed);
        assert_eq!(kind(queue.get_bytes()), ErrorKind::Closed);
    }
}

#[test]
fn closing_releases_everyone_asleep() {
    let _watch = watch();
    let get = |queue: Queue<u32>| kind(queue.get());
    let empty = Queue::new().unwrap();
    let getters: Vec<_> = (0..3).map(|_| Process::spawn(get, (&empty,)).unwrap()).collect();
    blocked_get(&empty);
    empty.close();
    for getter in getters {
        assert_eq!(getter.join().unwrap(), ErrorKind::Closed);
    }
    let put = |queue: Queue<u32>| kind(queue.put(2));
    let full = Queue::bounded(1).unwrap();
    full.put(1).unwrap();
    let putters: Vec<_> = (0..3).map(|_| Process::spawn(put, (&full,)).unwrap()).collect();
    blocked_put(&full);
    let close = |queue: Queue<u32>| queue.close();
    Process::spawn(close, (&full,)).unwrap().join().unwrap();
    for putter in putters {
        assert_eq!(putter.join().unwrap(), ErrorKind::Closed);
    }
    assert_eq!(full.get().unwrap(), 1);
}

#[test]
fn a_shutdown_drops_what_is_left() {
    let queue: Queue<Option<Lock>> = Queue::new().unwrap();
    let lock = Lock::new().unwrap();
    queue.put(None).unwrap();
    queue.put_bytes(b"x").unwrap();
    queue.put(Some(lock.clone())).unwrap();
    queue.put_bytes(&[1; 100_000]).unwrap();
    queue.shutdown();
    assert_eq!(queue.len(), 0);
    assert!(queue.is_closed());
    assert_eq!(kind(queue.get().map(drop)), ErrorKind::Closed);
    assert_eq!(kind(queue.put(None)), ErrorKind::Closed);
    drop(lock.lock().unwrap());
}

#[test]
fn iteration_ends_with_the_queue() {
    let _watch = watch();
    let feed = |queue: Queue<String>| {
        for n in 0..100 {
            queue.put(format!("{n}")).unwrap();
        }
        queue.close();
    };
    let queue = Queue::new().unwrap();
    let process = Process::spawn(feed, (&queue,)).unwrap();
    let mut expected = 0;
    for item in &queue {
        assert_eq!(item.unwrap(), expected.to_string());
        expected += 1;
    }
    assert_eq!(expected, 100);
    assert!(queue.iter().next().is_none());
    process.join().unwrap();
}

#[test]
fn debug_shows_the_live_state() {
    let queue: Queue<u32> = Queue::bounded(3).unwrap();
    queue.put(1).unwrap();
    assert_eq!(
        format!("{queue:?}"),
        "Queue { len: 1, capacity: Some(3), closed: false, waiting_to_get: false, waiting_to_put: false }"
    );
    queue.close();
    assert!(format!("{queue:?}").contains("closed: true"));
}

// ---------------------------------------------------------------------------------------------
// Values that make trouble
// ---------------------------------------------------------------------------------------------

#[derive(Clone, Copy, PartialEq, Debug)]
enum Mood {
    Fine,
    Refuses,
    Panics,
    Unreadable,
}

/// Writes a part of itself and then does what its mood says.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Moody(Mood);

impl Serialize for Moody {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        use serde::ser::SerializeTuple;
        let mut tuple = serializer.serialize_tuple(2)?;
        tuple.serialize_element(&[7_u64; 20])?;
        match self.0 {
            Mood::Fine | Mood::Unreadable => tuple.serialize_element(&(self.0 == Mood::Fine))?,
            Mood::Refuses => return Err(serde::ser::Error::custom("not today")),
            Mood::Panics => resume_unwind(Box::new("a panic in serialize")),
        }
        tuple.end()
    }
}

impl<'de> Deserialize<'de> for Moody {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Moody, D::Error> {
        let (_, fine) = <([u64; 20], bool)>::deserialize(deserializer)?;
        if fine { Ok(Moody(Mood::Fine)) } else { Err(serde::de::Error::custom("never")) }
    }
}

fn spoil(queue: &Queue<Moody>) {
    let error = queue.put(Moody(Mood::Refuses)).unwrap_err();
    assert!(error.is_encode(), "{error:?}");
    assert!(format!("{error:?}").contains("not today"), "{error:?}");
    let unwound = catch_unwind(AssertUnwindSafe(|| queue.put(Moody(Mood::Panics))));
    let payload = unwound.unwrap_err();
    assert_eq!(*payload.downcast::<&str>().unwrap(), "a panic in serialize");
}

#[test]
fn a_value_that_refuses_or_panics_leaves_nothing() {
    let queue = Queue::new().unwrap();
    spoil(&queue);
    assert_eq!(queue.len(), 0);
    queue.put(Moody(Mood::Fine)).unwrap();
    spoil(&queue);
    let error = queue.put_many([Mood::Fine, Mood::Refuses, Mood::Fine].map(Moody)).unwrap_err();
    assert!(error.is_encode());
    assert_eq!(queue.get_many(9).unwrap(), [Moody(Mood::Fine); 2]);
    assert_eq!(kind(queue.try_get()), ErrorKind::Empty);
}

#[test]
fn a_value_that_cannot_be_read_back_is_the_putters_error_at_first() {
    let queue = Queue::new().unwrap();
    let error = queue.put(Moody(Mood::Unreadable)).unwrap_err();
    assert!(error.is_encode(), "{error:?}");
    assert!(error.to_string().contains("Moody can be written but not read back"), "{error}");
    assert_eq!(queue.len(), 0);
    // Later ones are not tried: then it is the getter's, and the message is gone.
    queue.put(Moody(Mood::Fine)).unwrap();
    queue.put(Moody(Mood::Unreadable)).unwrap();
    queue.put(Moody(Mood::Fine)).unwrap();
    assert_eq!(queue.get().unwrap(), Moody(Mood::Fine));
    let error = queue.get().unwrap_err();
    assert!(error.is_decode(), "{error:?}");
    assert_eq!(queue.get().unwrap(), Moody(Mood::Fine));
}

#[test]
fn a_type_that_wants_to_be_told_is_refused_with_advice() {
    #[derive(Serialize, Deserialize, Debug)]
    #[serde(untagged)]
    enum Untagged {
        Number(u32),
        Text(String),
    }
    let queue = Queue::new().unwrap();
    for item in [Untagged::Number(1), Untagged::Text("x".to_owned())] {
        let error = queue.put(item).unwrap_err();
        assert!(error.is_encode(), "{error:?}");
        assert!(error.to_string().contains("untagged"), "{error}");
    }
    assert_eq!(queue.len(), 0);
}

static NESTED: OnceLock<(Queue<Nested>, Queue<u32>)> = OnceLock::new();

/// Puts something itself while it is put.
struct Nested(u32);

impl Serialize for Nested {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let (own, other) = NESTED.get().unwrap();
        other.put(self.0).map_err(serde::ser::Error::custom)?;
        if self.0 > 0 {
            own.put(Nested(self.0 - 1)).map_err(serde::ser::Error::custom)?;
        }
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Nested {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Nested, D::Error> {
        Ok(Nested(u32::deserialize(deserializer)?))
    }
}

#[test]
fn a_serialize_may_use_queues_itself() {
    let _watch = watch();
    let (own, other) = NESTED.get_or_init(|| (Queue::new().unwrap(), Queue::new().unwrap()));
    own.put(Nested(3)).unwrap();
    assert_eq!(other.get_many(9).unwrap(), [3, 2, 1, 0]);
    let got: Vec<u32> = own.get_many(9).unwrap().into_iter().map(|nested| nested.0).collect();
    assert_eq!(got, [0, 1, 2, 3]);
}

/// Written as one kind of handle, read as another.
macro_rules! liar {
    ($Name:ident, $Written:ty, $Read:ty) => {
        struct $Name(Option<$Written>);

        impl Serialize for $Name {
            fn serialize<S: Serializer>(&self, s: S) -> std::result::Result<S::Ok, S::Error> {
                self.0.as_ref().unwrap().serialize(s)
            }
        }

        impl<'de> Deserialize<'de> for $Name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> std::result::Result<$Name, D::Error> {
                <$Read>::deserialize(d).map(|_| $Name(None))
            }
        }
    };
}

liar!(TextAsNumbers, Queue<String>, Queue<u64>);
liar!(LockAsEvent, Lock, Event);
liar!(QueueAsProducer, Queue<u64>, Producer<u64>);

#[test]
fn a_handle_of_another_type_is_told_by_name() {
    let carrier = Queue::new().unwrap();
    let inner = Queue::new().unwrap();
    carrier.put(TextAsNumbers(Some(inner.clone()))).unwrap();
    let error = carrier.get().map(drop).unwrap_err();
    assert!(error.is_mismatch(), "{error:?}");
    let text = error.to_string();
    assert!(text.starts_with("queue: opened as Queue<u64>, holds Queue<"), "{text}");
    assert!(text.ends_with("String>"), "{text}");
    inner.put("still fine").unwrap();
    assert_eq!(inner.get().unwrap(), "still fine");
}

#[test]
fn a_handle_of_another_kind_is_told_by_name() {
    let carrier = Queue::new().unwrap();
    let lock = Lock::new().unwrap();
    carrier.put(LockAsEvent(Some(lock.clone()))).unwrap();
    let error = carrier.get().map(drop).unwrap_err();
    assert!(error.is_mismatch(), "{error:?}");
    assert!(error.to_string().contains("opened as Event, holds Lock"), "{error}");
    drop(lock.lock().unwrap());
}

#[test]
fn a_handle_with_another_role_is_told() {
    let carrier = Queue::new().unwrap();
    let queue = Queue::new().unwrap();
    let (_producer, consumer) = queue.clone().split();
    carrier.put(QueueAsProducer(Some(queue))).unwrap();
    let error = carrier.get().map(drop).unwrap_err();
    assert!(error.is_mismatch(), "{error:?}");
    assert!(error.to_string().contains("Producer"), "{error}");
    assert_eq!(kind(consumer.try_get()), ErrorKind::Empty);
}

// ---------------------------------------------------------------------------------------------
// Many processes
// ---------------------------------------------------------------------------------------------

#[derive(Serialize, Deserialize)]
struct Numbered {
    producer: u32,
    number: u32,
    body: Vec<u8>,
    sum: u64,
}

fn sum(producer: u32, number: u32, body: &[u8]) -> u64 {
    body.iter().fold(u64::from(producer) << 32 | u64::from(number), |sum, &byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}

fn produce(queue: Queue<Option<Numbered>>, producer: u32, count: u32) -> Result<()> {
    let mut chance = Chance::new(u64::from(producer) + 11);
    for number in 0..count {
        // Now and then one that has a block of its own.
        let len = if chance.below(50) == 0 { 6000 } else { chance.below(300) };
        let body: Vec<u8> = (0..len).map(|_| chance.next() as u8).collect();
        let sum = sum(producer, number, &body);
        queue.put(Some(Numbered { producer, number, body, sum }))?;
    }
    Ok(())
}

/// How many of each producer it got, and the sum of their numbers.
fn consume(queue: Queue<Option<Numbered>>, producers: u32) -> Result<Vec<(u64, u64)>> {
    let mut seen: Vec<Option<u32>> = vec![None; producers as usize];
    let mut got = vec![(0, 0); producers as usize];
    while let Some(item) = queue.get()? {
        assert_eq!(item.sum, sum(item.producer, item.number, &item.body), "torn");
        let last = seen[item.producer as usize].replace(item.number);
        assert!(last < Some(item.number), "{} after {last:?}", item.number);
        got[item.producer as usize].0 += 1;
        got[item.producer as usize].1 += u64::from(item.number);
    }
    Ok(got)
}

fn many_to_many(queue: Queue<Option<Numbered>>, producers: u32, consumers: usize, count: u32) {
    let getters: Vec<_> =
        (0..consumers).map(|_| Process::spawn(consume, (&queue, producers)).unwrap()).collect();
    let putters: Vec<_> = (0..producers)
        .map(|producer| Process::spawn(produce, (&queue, producer, count)).unwrap())
        .collect();
    for putter in putters {
        putter.join().unwrap().unwrap();
    }
    for _ in 0..consumers {
        queue.put(None).unwrap();
    }
    let mut total = vec![(0, 0); producers as usize];
    for getter in getters {
        for (total, got) in total.iter_mut().zip(getter.join().unwrap().unwrap()) {
            *total = (total.0 + got.0, total.1 + got.1);
        }
    }
    let count = u64::from(count);
    assert_eq!(total, vec![(count, count * (count - 1) / 2); producers as usize]);
    assert!(queue.is_empty());
}

#[test]
fn two_to_two_in_order_whole_and_once() {
    let _watch = watch();
    many_to_many(Queue::new().unwrap(), 2, 2, 4000);
}

#[test]
fn three_to_three_through_few_places() {
    let _watch = watch();
    many_to_many(Queue::bounded(3).unwrap(), 3, 3, 1500);
}

#[test]
fn threads_of_one_process_share_a_handle() {
    let _watch = watch();
    let queue = Queue::bounded(16).unwrap();
    let total = std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| (1..=2000_u64).for_each(|n| queue.put(n).unwrap()));
        }
        let getters: Vec<_> = (0..3)
            .map(|_| scope.spawn(|| (0..2000).map(|_| queue.get().unwrap()).sum::<u64>()))
            .collect();
        getters.into_iter().map(|getter| getter.join().unwrap()).sum::<u64>()
    });
    assert_eq!(total, 3 * 2000 * 2001 / 2);
}

#[test]
fn killed_getters_and_putters_hold_nobody_up() {
    let _watch = watch();
    let get = |queue: Queue<u32>| {
        queue.get().unwrap();
        park();
    };
    let queue = Queue::new().unwrap();
    let getters: Vec<_> = (0..3).map(|_| Process::spawn(get, (&queue,)).unwrap()).collect();
    blocked_get(&queue);
    getters.into_iter().for_each(killed);
    queue.put(1).unwrap();
    assert_eq!(queue.get_timeout(LONG).unwrap(), 1);
    let put = |queue: Queue<u32>| {
        queue.put(2).unwrap();
        park();
    };
    let queue = Queue::bounded(1).unwrap();
    queue.put(1).unwrap();
    let putters: Vec<_> = (0..3).map(|_| Process::spawn(put, (&queue,)).unwrap()).collect();
    blocked_put(&queue);
    putters.into_iter().for_each(killed);
    assert_eq!(queue.get_timeout(LONG).unwrap(), 1);
    queue.put_timeout(3, LONG).unwrap();
    assert_eq!(queue.get_timeout(LONG).unwrap(), 3, "the killed put nothing");
}

#[test]
fn what_a_killed_process_had_put_stays() {
    let _watch = watch();
    let put = |queue: Queue<Vec<u8>>, done: Event| {
        for n in 0..50 {
            queue.put(vec![n; usize::from(n) * 1000]).unwrap();
        }
        done.set();
        park();
    };
    let (queue, done) = (Queue::new().unwrap(), Event::new().unwrap());
    let process = Process::spawn(put, (&queue, &done)).unwrap();
    done.wait().unwrap();
    killed(process);
    // What would be freed with the dead is handed out again.
    let other = Queue::new().unwrap();
    for _ in 0..50 {
        other.put(vec![0xee; 50_000]).unwrap();
    }
    for n in 0..50 {
        assert!(queue.try_get().unwrap() == vec![n; usize::from(n) * 1000]);
    }
}

// ---------------------------------------------------------------------------------------------
// Handles as messages
// ---------------------------------------------------------------------------------------------

#[test]
fn a_queue_goes_through_a_queue() {
    let _watch = watch();
    let serve = |requests: Queue<(u64, Queue<u64>)>| -> Result<()> {
        for request in &requests {
            let (number, reply) = request?;
            reply.put(number * number)?;
        }
        Ok(())
    };
    let requests = Queue::new().unwrap();
    let server = Process::spawn(serve, (&requests,)).unwrap();
    for n in 0..200 {
        let reply = Queue::new().unwrap();
        requests.put((n, reply.clone())).unwrap();
        assert_eq!(reply.get_timeout(LONG).unwrap(), n * n);
    }
    requests.close();
    server.join().unwrap().unwrap();
}

#[test]
fn a_queue_with_content_outlives_its_maker() {
    let _watch = watch();
    let make = |out: Queue<Queue<String>>| {
        let queue = Queue::new().unwrap();
        queue.put("inside").unwrap();
        queue.put("x".repeat(100_000)).unwrap();
        out.put(queue).unwrap();
    };
    let out = Queue::new().unwrap();
    Process::spawn(make, (&out,)).unwrap().join().unwrap();
    // It was on its way alone, and is alive.
    let others: Vec<Queue<u8>> = (0..50).map(|_| Queue::new().unwrap()).collect();
    let queue = out.try_get().unwrap();
    assert_eq!(queue.try_get().unwrap(), "inside");
    assert!(queue.try_get().unwrap() == "x".repeat(100_000));
    drop(others);
}

#[test]
fn a_large_message_carries_handles() {
    let queue: Queue<(Vec<u8>, Lock, String)> = Queue::new().unwrap();
    let lock = Lock::new().unwrap();
    let guard = lock.lock().unwrap();
    queue.put((vec![5; 1 << 20], lock.clone(), "tail".to_owned())).unwrap();
    let (bytes, back, text) = queue.get().unwrap();
    assert!(bytes == vec![5; 1 << 20]);
    assert_eq!(text, "tail");
    assert_eq!(kind(back.try_lock()), ErrorKind::Deadlock);
    drop(guard);
}

#[test]
fn a_put_with_handles_that_fails_gives_them_back() {
    let queue: Queue<Lock> = Queue::bounded(1).unwrap();
    let lock = Lock::new().unwrap();
    queue.put(&lock).unwrap();
    assert_eq!(kind(queue.try_put(&lock)), ErrorKind::Full);
    queue.close();
    assert_eq!(kind(queue.put(&lock)), ErrorKind::Closed);
    drop(queue.get().unwrap().lock().unwrap());
    drop(lock.lock().unwrap());
}
