//! Values that make trouble, and handles that are not what they say.

use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::OnceLock;

use multiproc::{ErrorKind, Event, Lock, Producer, Queue};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::common::{kind, liar};
use crate::watchdog::watch;

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
