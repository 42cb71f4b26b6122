//! A batch that meets a message which it cannot decode: every message is delivered or told of, exactly once.

use std::time::Instant;

use multiproc::{Error, ErrorKind, Queue, Result};
use serde::{Deserialize, Deserializer, Serialize, de};

use crate::common::{LONG, kind};
use crate::watchdog::watch;

#[derive(Debug, PartialEq, Serialize)]
struct Even(u32);

impl<'de> Deserialize<'de> for Even {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Even, D::Error> {
        let n = u32::deserialize(from)?;
        if n % 2 == 0 { Ok(Even(n)) } else { Err(de::Error::custom("odd")) }
    }
}

/// A queue in which the third of four messages cannot be decoded.
fn queue() -> Queue<Even> {
    let queue = Queue::new().unwrap();
    for n in [2, 4, 5, 6] {
        queue.put(Even(n)).unwrap();
    }
    queue
}

fn is_odd(error: &Error) {
    assert!(error.is_decode() && error.to_string().ends_with("odd"), "{error:?}");
}

type GetMany = fn(&Queue<Even>) -> Result<Vec<Even>>;
type Get = fn(&Queue<Even>) -> Result<()>;

const BATCHES: [GetMany; 4] = [
    |queue| queue.get_many(10),
    |queue| queue.try_get_many(10),
    |queue| queue.get_many_timeout(10, LONG),
    |queue| queue.get_many_deadline(10, Instant::now() + LONG),
];

/// What a handle can do next, in whatever form.
const NEXT: [Get; 11] = [
    |queue| queue.get().map(drop),
    |queue| queue.try_get().map(drop),
    |queue| queue.get_timeout(LONG).map(drop),
    |queue| queue.get_many(10).map(drop),
    |queue| queue.try_get_many(1).map(drop),
    |queue| queue.get_bytes().map(drop),
    |queue| queue.try_get_bytes().map(drop),
    |queue| queue.get_with(drop_bytes),
    |queue| queue.iter().next().unwrap().map(drop),
    |queue| queue.try_iter().next().unwrap().map(drop),
    |queue| queue.into_iter().next().unwrap().map(drop),
];

fn drop_bytes(_: &[u8]) {}

#[test]
fn the_message_that_ends_a_batch_is_told_of_once_in_every_form() {
    let _watch = watch();
    for batch in BATCHES {
        for next in NEXT {
            let queue = queue();
            assert_eq!(batch(&queue).unwrap(), [Even(2), Even(4)]);
            is_odd(&next(&queue).unwrap_err());
            assert_eq!(queue.get_many(10).unwrap(), [Even(6)]);
            assert_eq!(kind(queue.try_get()), ErrorKind::Empty);
        }
    }
}

#[test]
fn a_batch_that_begins_with_it_is_its_error() {
    let _watch = watch();
    for batch in BATCHES {
        let queue = Queue::new().unwrap();
        queue.put(Even(2)).unwrap();
        queue.put(Even(5)).unwrap();
        queue.put(Even(7)).unwrap();
        assert_eq!(queue.get().unwrap(), Even(2));
        is_odd(&batch(&queue).unwrap_err());
        is_odd(&batch(&queue).unwrap_err());
        assert!(queue.is_empty());
    }
}

#[test]
fn what_is_to_be_told_goes_along_with_the_handle() {
    let _watch = watch();
    let whole = queue();
    whole.get_many(10).unwrap();
    let (_producer, consumer) = whole.split();
    is_odd(&consumer.get().unwrap_err());
    assert_eq!(consumer.get().unwrap(), Even(6));

    let whole = queue();
    whole.get_many(10).unwrap();
    let other = whole.clone();
    assert_eq!(other.get().unwrap(), Even(6), "the other handle has nothing to tell");
    whole.close().unwrap();
    let (_producer, consumer) = whole.split();
    let mut rest = consumer.into_iter();
    is_odd(&rest.next().unwrap().unwrap_err());
    assert!(rest.next().is_none());

    let whole = queue();
    whole.get_many(10).unwrap();
    whole.shutdown().unwrap();
    assert!(whole.is_empty() && whole.get().unwrap_err().is_closed(), "shut down, it is dropped");
}

#[test]
fn a_message_of_another_form_stays() {
    let _watch = watch();
    let queue = Queue::new().unwrap();
    queue.put(Even(2)).unwrap();
    queue.put_bytes(b"bytes").unwrap();
    queue.put(Even(4)).unwrap();
    assert_eq!(queue.get_many(10).unwrap(), [Even(2)]);
    assert_eq!(kind(queue.get_many(10)), ErrorKind::Mismatch);
    assert_eq!(queue.get_bytes().unwrap(), b"bytes");
    assert_eq!(queue.get_many(10).unwrap(), [Even(4)]);
}
