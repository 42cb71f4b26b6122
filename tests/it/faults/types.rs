//! Types whose messages a format without names would read wrongly: through a queue, as an argument and as a result.

use multiproc::{Error, Process, Queue};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::watchdog::watch;

#[derive(Serialize, Deserialize, Debug, Clone, Default)]
struct Skips {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u32>,
    parts: Vec<Vec<u32>>,
}

fn names_field(error: &Error) {
    assert!(error.is_encode(), "{error:?}");
    assert!(error.to_string().contains("Skips leaves out its field limit"), "{error}");
}

#[test]
fn a_field_that_is_left_out_is_refused_and_named_in_every_message() {
    let _watch = watch();
    let whole = Skips { name: "a".into(), limit: Some(1), parts: vec![vec![1]] };
    let cut = Skips { name: "b".into(), limit: None, parts: vec![vec![2, 0, 0]] };
    let queue = Queue::<Skips>::new().unwrap();
    for _ in 0..3 {
        queue.put(&whole).unwrap();
        names_field(&queue.put(&cut).unwrap_err());
        names_field(&queue.try_put(&cut).unwrap_err());
        assert_eq!(queue.get().unwrap().limit, Some(1));
        assert!(queue.is_empty());
    }
    fn take(n: u8, skips: Skips) -> usize {
        usize::from(n) + skips.parts.len()
    }
    assert_eq!(Process::spawn(take, (1, &whole)).unwrap().join().unwrap(), 2);
    let error = Process::spawn(take, (1, &cut)).unwrap_err();
    names_field(&error);
    assert!(error.to_string().contains("argument 2"), "{error}");
    names_field(&Process::spawn(Skips::default, ()).unwrap().join().unwrap_err());
}

#[derive(Serialize, Deserialize, Debug, Clone)]
#[serde(tag = "kind")]
enum Tagged {
    One { n: u32 },
}

#[derive(Serialize, Deserialize, Debug, Clone)]
#[serde(untagged)]
enum Untagged {
    Number(u32),
}

#[derive(Serialize, Deserialize, Debug, Clone)]
struct Flat {
    #[serde(flatten)]
    rest: std::collections::BTreeMap<String, u32>,
}

/// Such a type is an error of whoever sends its first value.
macro_rules! refused {
    ($($name:ident: $Type:ty = $value:expr;)*) => {$(
        #[test]
        fn $name() {
            let _watch = watch();
            let queue = Queue::<$Type>::new().unwrap();
            let error = queue.put($value).unwrap_err();
            assert!(error.is_encode(), "{error:?}");
            assert!(queue.is_empty());
            let error = Process::spawn(|_: $Type| (), ($value,)).unwrap_err();
            assert!(error.is_encode() && error.to_string().contains("argument 1"), "{error:?}");
            let error = Process::spawn(|| -> $Type { $value }, ()).unwrap().join().unwrap_err();
            assert!(error.is_encode(), "{error:?}");
        }
    )*};
}

refused! {
    a_tagged_enum_is_the_senders_error: Tagged = Tagged::One { n: 1 };
    an_untagged_enum_is_the_senders_error: Untagged = Untagged::Number(1);
    a_flattened_field_is_the_senders_error: Flat = Flat { rest: [("a".to_owned(), 1)].into() };
}

/// Refuses with words of its own.
#[derive(Debug)]
struct Picky(bool);

impl Serialize for Picky {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(to)
    }
}

impl<'de> Deserialize<'de> for Picky {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Picky, D::Error> {
        let is_fine = bool::deserialize(from)?;
        if is_fine { Ok(Picky(true)) } else { Err(serde::de::Error::custom("no picky one today")) }
    }
}

#[test]
fn the_words_of_a_types_own_deserialize_reach_the_receiver() {
    let _watch = watch();
    let queue = Queue::<Picky>::new().unwrap();
    queue.put(Picky(true)).unwrap();
    queue.put(Picky(false)).unwrap();
    assert!(queue.get().unwrap().0);
    let error = queue.get().unwrap_err();
    assert!(error.is_decode() && error.to_string().contains("no picky one today"), "{error}");
    // The first of a type is read back by the sender, a later one by the receiver.
    fn take(all: Vec<Picky>) -> usize {
        all.len()
    }
    assert_eq!(Process::spawn(take, (vec![Picky(true)],)).unwrap().join().unwrap(), 1);
    let error = Process::spawn(take, (vec![Picky(false)],)).unwrap().join().unwrap_err();
    assert!(error.is_decode() && error.to_string().contains("no picky one today"), "{error}");
    let error = Process::spawn(|| Picky(false), ()).unwrap().join().unwrap_err();
    let text = format!("{error:?}");
    assert!(error.is_encode() && text.contains("no picky one today"), "{text}");
}

#[derive(Serialize, Deserialize)]
enum List {
    Nil,
    Cons(Box<List>),
}

fn list(levels: usize) -> List {
    (0..levels).fold(List::Nil, |list, _| List::Cons(Box::new(list)))
}

#[test]
fn a_value_nested_too_deeply_is_a_typed_error() {
    let _watch = watch();
    let body = || {
        let (queue, deep) = (Queue::<List>::new().unwrap(), list(100_000));
        let spawned = Process::spawn(|_: List| (), (&deep,));
        let errors = [queue.put(&deep).unwrap_err(), spawned.map(drop).unwrap_err()];
        // Its drop alone would need that much stack.
        std::mem::forget(deep);
        assert!(queue.is_empty());
        errors
    };
    let thread = std::thread::Builder::new().stack_size(256 << 20).spawn(body).unwrap();
    for error in thread.join().unwrap() {
        assert!(error.is_encode() && error.to_string().contains("nested"), "{error:?}");
    }
    let error = Process::spawn(|| list(1000), ()).unwrap().join().map(drop).unwrap_err();
    assert!(error.is_encode() && error.to_string().contains("nested"), "{error:?}");
}

/// A queue of one of two types that have the same name, sent as the other.
macro_rules! namesakes {
    ($Sent:ty, $Read:ty) => {{
        struct Liar(Option<Queue<$Sent>>);
        impl Serialize for Liar {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                self.0.serialize(to)
            }
        }
        impl<'de> Deserialize<'de> for Liar {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Liar, D::Error> {
                Option::<Queue<$Read>>::deserialize(from).map(|_| Liar(None))
            }
        }
        let carrier = Queue::new().unwrap();
        carrier.put(Liar(Some(Queue::new().unwrap()))).unwrap();
        carrier.get().map(drop)
    }};
}

trait Other {
    type Item: Serialize + for<'de> Deserialize<'de>;
}

#[test]
fn two_types_of_one_name_in_one_function_are_two_types() {
    let _watch = watch();
    struct Carrier;
    {
        #[derive(Serialize, Deserialize)]
        struct Item(#[allow(dead_code)] u32);
        impl Other for Carrier {
            type Item = Item;
        }
    }
    {
        #[derive(Serialize, Deserialize)]
        struct Item(#[allow(dead_code)] String);
        type First = <Carrier as Other>::Item;
        let name = std::any::type_name::<Item>;
        assert_eq!(name(), std::any::type_name::<First>(), "the test is about one name");
        let error = namesakes!(First, Item).unwrap_err();
        assert!(error.is_mismatch(), "{error:?}");
        assert!(error.to_string().contains("another type of that name"), "{error}");
        namesakes!(Item, Item).unwrap();
        namesakes!(First, First).unwrap();
    }
}
