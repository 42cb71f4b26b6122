//! What is encoded comes back, in which bytes, and what is refused.

use std::any::type_name;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer, ser};

use super::plain::numbers;
use super::*;
use crate::error::{Error, ErrorKind, Result};

/// What a format without names would read wrongly.
mod travel;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Job {
    id: u64,
    name: String,
    notes: Option<Vec<String>>,
    place: (i16, f32),
    state: State,
    parts: BTreeMap<char, u128>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum State {
    Idle,
    Wrapped(Unit),
    Pair(i8, bool),
    Named { depth: i64, inner: Box<Option<State>> },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Unit;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Wrapper(u32);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Pair(u32, [u8; 3]);

fn job() -> Job {
    let inner = Box::new(Some(State::Pair(-3, true)));
    Job {
        id: u64::MAX,
        name: "ünïcode".into(),
        notes: Some(vec![String::new(), "x".repeat(300)]),
        place: (-300, 0.5),
        state: State::Named { depth: -1 << 40, inner },
        parts: [('a', 1), ('€', u128::MAX)].into(),
    }
}

fn bytes<T>(item: impl Message<T>) -> Vec<u8> {
    let mut out = Vec::new();
    encode::<T, _>(&item, &mut out).unwrap();
    out
}

fn roundtrip<T: Serialize + DeserializeOwned>(item: &T) -> T {
    let bytes = bytes::<T>(item);
    verify::<T>(&bytes).unwrap();
    decode(&bytes).unwrap()
}

#[track_caller]
fn same_both_ways<T: Serialize + DeserializeOwned + PartialEq + fmt::Debug>(item: T) {
    assert_eq!(roundtrip(&item), item);
    // By value, by reference, and as postcard itself writes it.
    let wire = postcard::to_stdvec(&item).unwrap();
    assert_eq!(bytes::<T>(&item), wire);
    assert_eq!(bytes::<T>(item), wire);
}

#[test]
fn each_form_of_a_type_has_the_same_bytes() {
    let text = String::from("xyz");
    assert_eq!(bytes::<String>("xyz"), b"xyz");
    assert_eq!(bytes::<String>(&text), b"xyz");
    assert_eq!(bytes::<String>(text), b"xyz");

    let raw = [1, 0, 2, 0];
    if cfg!(target_endian = "little") {
        assert_eq!(bytes::<Vec<u16>>(&[1, 2]), raw);
    }
    assert_eq!(bytes::<Vec<u16>>(&[1, 2][..]), bytes::<Vec<u16>>(&[1, 2]));
    assert_eq!(bytes::<Vec<u16>>(vec![1, 2]), bytes::<Vec<u16>>(&[1, 2]));
    assert_eq!(bytes::<Vec<u16>>(&vec![1, 2]), bytes::<Vec<u16>>(&[1, 2]));

    // Not plain: these go through serde, a slice with its length, an array without.
    let wire = [2, 1, 0];
    assert_eq!(bytes::<Vec<bool>>(&[true, false]), wire);
    assert_eq!(bytes::<Vec<bool>>(&[true, false][..]), wire);
    assert_eq!(bytes::<Vec<bool>>(vec![true, false]), wire);
    assert_eq!(bytes::<[bool; 2]>(&[true, false]), wire[1..]);
    assert_eq!(bytes::<[u8; 4]>([1, 2, 3, 4]), [1, 2, 3, 4]);
    let names: Vec<String> = decode(&bytes::<Vec<String>>(&["a".to_owned()])).unwrap();
    assert_eq!(names, ["a"]);
}

/// Stands for `Queue<T>` and `Process::spawn`: what must compile with literals inferred.
#[test]
fn literals_find_their_type() {
    struct Queue<T>(std::marker::PhantomData<T>);
    impl<T: Serialize + DeserializeOwned> Queue<T> {
        fn new() -> Queue<T> {
            Queue(std::marker::PhantomData)
        }
        fn put(&self, item: impl Message<T>) -> T {
            decode(&bytes::<T>(item)).unwrap()
        }
    }
    trait Arguments<P> {}
    impl<P, A: Message<P>> Arguments<(P,)> for (A,) {}
    impl<P, Q, A: Message<P>, B: Message<Q>> Arguments<(P, Q)> for (A, B) {}
    trait Function<P> {}
    impl<P, R, F: Fn(P) -> R> Function<(P,)> for F {}
    impl<P, Q, R, F: Fn(P, Q) -> R> Function<(P, Q)> for F {}
    fn spawn<P, F: Function<P>>(_: F, _: impl Arguments<P>) {}

    fn greet(_: String) {}
    fn add(_: u64, _: Wrapper) {}
    fn sum(_: Vec<f64>) {}

    assert_eq!(Queue::<String>::new().put("xyz"), "xyz");
    assert_eq!(Queue::<i32>::new().put(5), 5);
    assert_eq!(Queue::<f32>::new().put(0.5), 0.5);
    let numbers = Queue::<Option<i32>>::new();
    assert_eq!(numbers.put(None), None);
    assert_eq!(numbers.put(Some(7)), Some(7));
    let item = job();
    assert_eq!(Queue::<Job>::new().put(&item), item);
    assert_eq!(Queue::<Job>::new().put(item.clone()), item);
    assert_eq!(Queue::<Vec<u8>>::new().put(b"abc"), b"abc");
    assert_eq!(Queue::<Vec<u8>>::new().put(&[][..]), b"");
    Queue::<()>::new().put(());
    let counter = Wrapper(1);
    spawn(greet, ("Alice",));
    spawn(add, (1_000_000, &counter));
    spawn(sum, (&[1.0, 2.0],));
    spawn(|_: Option<String>, _: i8| (), (None, 1));
}

#[test]
fn what_serde_carries_comes_back_and_is_postcard() {
    same_both_ways(job());
    same_both_ways(State::Idle);
    same_both_ways(State::Wrapped(Unit));
    same_both_ways(Some(Some(State::Pair(i8::MIN, false))));
    same_both_ways((Wrapper(u32::MAX), Pair(127, [128, 0, 255])));
    same_both_ways((1u8, 2u16, 3u32, 4u64, 5u128, 'x', (), Unit, [0usize; 3]));
    same_both_ways((-1i8, -2i16, -3i32, -4i64, i128::MIN, 1.5f32, f64::MIN, true));
    same_both_ways(vec![Some(vec![1u8, 2]), None, Some(vec![])]);
    same_both_ways(Vec::<()>::new());
    same_both_ways(std::net::IpAddr::from([127, 0, 0, 1]));
    same_both_ways(std::time::Duration::from_millis(1500));
    same_both_ways(Option::<String>::None);
    same_both_ways(Box::new(vec!["x".to_owned()]));
}

#[test]
fn numbers_of_every_length_are_postcard() {
    for bit in 0..64 {
        let power = 1u64 << bit;
        for number in [power - 1, power, power + 1, power | 0x5555_5555_5555_5555, !power] {
            let signed = number as i64;
            same_both_ways((number, number as u32, number as u16));
            same_both_ways((signed, number as i32, number as i16));
            same_both_ways((signed.wrapping_neg(), -(i64::from(number as u32))));
            same_both_ways(vec![Some(number); 3]);
        }
    }
}

#[test]
fn text_and_numbers_come_back() {
    macro_rules! there_and_back {
        ($($N:ty)*) => {$(
            for numbers in [vec![], vec![<$N>::MIN], vec![1 as $N, <$N>::MAX, 0 as $N]] {
                assert_eq!(bytes::<Vec<$N>>(&numbers).len(), numbers.len() * size_of::<$N>());
                assert_eq!(roundtrip(&numbers), numbers);
            }
        )*};
    }
    numbers!(there_and_back);
    for text in ["", "a", "grüße", "\0"] {
        assert_eq!(roundtrip(&text.to_owned()), text);
        assert_eq!(bytes::<String>(text).len(), text.len());
    }
    let large = vec![7u8; 1 << 20];
    assert_eq!(roundtrip(&large), large);
}

#[test]
fn every_bit_of_a_nan_survives() {
    let odd = [0x7ff8_0000_0000_0001, 0xfff0_0000_0000_dead, 0x8000_0000_0000_0000];
    let numbers: Vec<f64> = odd.iter().copied().map(f64::from_bits).collect();
    let back: Vec<u64> = roundtrip(&numbers).into_iter().map(f64::to_bits).collect();
    assert_eq!(back, odd);
    assert_eq!(roundtrip(&Some(numbers[1])).unwrap().to_bits(), odd[1]);
}

#[test]
fn numbers_are_read_from_any_address() {
    let numbers: Vec<u64> = (0..9).map(|n| n * 0x0102_0304_0506_0708).collect();
    let message = bytes::<Vec<u64>>(&numbers);
    let mut buffer = vec![0; message.len() + 16];
    for shift in 0..16 {
        buffer[shift..][..message.len()].copy_from_slice(&message);
        let back: Vec<u64> = decode(&buffer[shift..][..message.len()]).unwrap();
        assert_eq!(back, numbers);
    }
}

#[test]
fn encoding_appends() {
    let mut out = b"head".to_vec();
    encode::<u8, _>(&1, &mut out).unwrap();
    encode::<String, _>(&"é", &mut out).unwrap();
    encode::<Option<u8>, _>(&None, &mut out).unwrap();
    assert_eq!(out, b"head\x01\xc3\xa9\x00");
}

#[test]
fn a_message_that_does_not_fit_the_type_is_a_decode_error() {
    #[track_caller]
    fn refused<T: DeserializeOwned>(bytes: &[u8], expected: &str) {
        let Err(error) = decode::<T>(bytes) else {
            panic!("{bytes:?} was taken");
        };
        assert!(error.is_decode(), "{error:?}");
        let text = error.to_string();
        assert!(text.contains(type_name::<T>()), "{text}");
        assert!(text.contains(expected), "{text}");
    }
    refused::<Vec<u32>>(&[1, 2, 3, 4, 5], "5 bytes");
    refused::<Vec<u32>>(&[1, 2, 3, 4, 5], "an element has 4");
    refused::<String>(&[b'a', 0xff], "not UTF-8");
    refused::<Option<String>>(&[1, 1, 0xff], "not UTF-8");
    refused::<u8>(&[1, 2, 3], "3 bytes is no u8: a number of this type has 1");
    refused::<u64>(&[0; 7], "a number of this type has 8");
    refused::<i128>(&[], "a message of 0 bytes is no i128");
    refused::<(u8,)>(&[1, 2, 3], "2 of them are left over");
    refused::<()>(&[1], "left over");
    refused::<Job>(&[], "end too early");
    refused::<(u8, u8)>(&[1], "end too early");
    refused::<Vec<String>>(&[0xff, 0xff, 0xff, 0xff, 0x0f], "end too early");
    refused::<bool>(&[2], "no such value");
    refused::<State>(&[9], "own Deserialize");
    refused::<std::num::NonZero<u8>>(&[0], "own Deserialize");
}

#[test]
fn damaged_messages_are_errors_and_nothing_worse() {
    let message = bytes::<Job>(job());
    for at in 0..message.len() {
        assert!(decode::<Job>(&message[..at]).unwrap_err().is_decode());
        for bit in 0..8 {
            let mut damaged = message.clone();
            damaged[at] ^= 1 << bit;
            if let Err(error) = decode::<Job>(&damaged) {
                assert!(error.is_decode(), "{error:?}");
            }
        }
    }
}

/// Refuses after two fields were written.
struct Secret(Option<Error>);

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use ser::SerializeTuple;
        let mut tuple = serializer.serialize_tuple(3)?;
        tuple.serialize_element("written")?;
        tuple.serialize_element(&1u8)?;
        struct Refusing<'a>(&'a Option<Error>);
        impl Serialize for Refusing<'_> {
            fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
                Err(match self.0 {
                    None => ser::Error::custom("this state is secret"),
                    Some(error) => refuse_to_serialize(Error::of(error.kind(), error.to_string())),
                })
            }
        }
        tuple.serialize_element(&Some([Refusing(&self.0)]))?;
        tuple.end()
    }
}

#[test]
fn a_refusing_value_keeps_its_reason_and_leaves_nothing() {
    let mut out = b"before".to_vec();
    let error = encode::<Secret, _>(&Secret(None), &mut out).unwrap_err();
    assert!(error.is_encode(), "{error:?}");
    let text = error.to_string();
    assert!(text.contains("tests::Secret") && text.ends_with("this state is secret"), "{text}");
    assert_eq!(out, b"before");

    let list = &[Secret(None)];
    let error = encode::<Vec<Secret>, _>(&list, &mut out).unwrap_err();
    assert!(error.is_encode() && error.to_string().contains("Vec<"), "{error:?}");
    assert_eq!(out, b"before");
}

#[test]
fn a_handle_that_refuses_keeps_its_kind() {
    let mut out = Vec::new();
    let lock = Secret(Some(Error::of(ErrorKind::Foreign, "lock: of another world")));
    let error = encode::<Secret, _>(&lock, &mut out).unwrap_err();
    assert!(error.is_foreign(), "{error:?}");
    assert_eq!(error.to_string(), "lock: of another world");

    // A refusal that another format met does not colour a later one.
    assert!(postcard::to_stdvec(&lock).is_err());
    let error = encode::<Secret, _>(&Secret(None), &mut out).unwrap_err();
    assert!(error.is_encode(), "{error:?}");
    assert!(out.is_empty());

    #[derive(Debug)]
    struct Handle;
    impl<'de> Deserialize<'de> for Handle {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Handle, D::Error> {
            u8::deserialize(deserializer)?;
            Err(refuse_to_deserialize(Error::of(ErrorKind::Closed, "the lock is gone")))
        }
    }
    let error = decode::<Option<Handle>>(&[1, 5]).unwrap_err();
    assert!(error.is_closed(), "{error:?}");
    assert!(postcard::from_bytes::<Handle>(&[5]).is_err());
    let error = decode::<std::num::NonZero<u8>>(&[0]).unwrap_err();
    assert!(error.is_decode(), "{error:?}");
}

#[test]
fn a_length_unknown_beforehand_is_an_error_with_advice() {
    struct Stream;
    impl Serialize for Stream {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            use ser::SerializeSeq;
            serializer.serialize_seq(None)?.end()
        }
    }
    let error = encode::<Stream, _>(&Stream, &mut Vec::new()).unwrap_err();
    assert!(error.is_encode() && error.to_string().contains("collect it first"), "{error}");
}

#[test]
fn a_type_that_cannot_be_read_back_is_the_putters_error() {
    #[derive(Debug, Serialize, Deserialize)]
    #[serde(untagged)]
    enum Free {
        Number(u32),
        Text(String),
    }
    for free in [Free::Number(1), Free::Text("x".into())] {
        let error = verify::<Free>(&bytes::<Free>(&free)).unwrap_err();
        assert!(error.is_encode(), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("Free") && text.contains("untagged"), "{text}");
        let source = std::error::Error::source(&error).unwrap();
        assert!(source.to_string().contains("deserialize_any"), "{source}");
    }
    verify::<Job>(&bytes::<Job>(job())).unwrap();
    verify::<String>(b"raw").unwrap();
}

#[test]
fn a_display_that_is_collected() {
    struct Shown(&'static str);
    impl Serialize for Shown {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_str(self.0)
        }
    }
    assert_eq!(bytes::<Shown>(Shown("ab")), b"\x02ab");
}
