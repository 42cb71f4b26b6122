//! What can be put, and in which form.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use multiproc::{ErrorKind, Process, Queue};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::echo;
use crate::common::{Chance, LONG, kind};
use crate::watchdog::watch;

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

#[test]
fn first_in_first_out_between_processes() {
    let _watch = watch();
    let (input, output) = (Queue::new().unwrap(), Queue::new().unwrap());
    let process = Process::spawn(echo::<(u32, String)>, (&input, &output)).unwrap();
    for n in 0..5000 {
        input.put((n, format!("number {n}"))).unwrap();
    }
    input.close().unwrap();
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
    let body = |len: usize| {
        let turn: Vec<u8> = (0..256).map(|at| (at * 7 + len) as u8).collect();
        let mut body = turn.repeat(len.div_ceil(256));
        body.truncate(len);
        body
    };
    std::thread::scope(|scope| {
        scope.spawn(|| sizes.iter().for_each(|&len| input.put(body(len)).unwrap()));
        for &len in &sizes {
            assert!(output.get_timeout(LONG).unwrap() == body(len), "{len} bytes");
        }
    });
    input.close().unwrap();
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
    // The longest that stands in a chunk, and one that does not.
    for len in [100, 4096, 4097, 100] {
        queue.put_with(len, |buf| buf.fill(4)).unwrap();
        queue.put_bytes(&vec![5; len]).unwrap();
        queue.get_with(|bytes| assert!(bytes == vec![4; len])).unwrap();
        queue.get_with(|bytes| assert!(bytes == vec![5; len])).unwrap();
    }
    // Short ones begin with zeroes, though nothing says so.
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
