//! Types of every make on a journey: what arrives as it was, and what is refused.

use std::collections::HashMap;
use std::num::NonZero;

use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::ser::{SerializeMap, SerializeSeq, SerializeStruct, SerializeTuple};

use super::*;

/// The text of the error with which the putter is refused.
#[track_caller]
fn refused<T: Serialize>(item: T) -> String {
    let mut out = b"before".to_vec();
    let error = encode::<T, T>(&item, &mut out).unwrap_err();
    assert!(error.is_encode(), "{error:?}");
    assert_eq!(out, b"before");
    let text = error.to_string();
    assert!(text.contains(type_name::<T>()), "{text}");
    text
}

/// The text of the error that the getter of `bytes` has.
#[track_caller]
fn unread<T: DeserializeOwned>(bytes: &[u8]) -> String {
    let Err(error) = decode::<T>(bytes) else {
        panic!("{bytes:?} was taken");
    };
    assert!(error.is_decode(), "{error:?}");
    error.to_string()
}

#[test]
fn a_field_left_out_is_refused_in_every_message() {
    #[derive(Serialize, Deserialize)]
    struct Limits {
        name: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        limit: Option<u32>,
        parts: Vec<Vec<u32>>,
    }
    #[derive(Serialize, Deserialize)]
    enum Order {
        Stop {
            #[serde(skip_serializing_if = "Vec::is_empty")]
            why: Vec<u8>,
        },
    }
    let limits = |limit| Limits { name: "a".into(), limit, parts: vec![vec![2, 0, 0]] };
    let whole: Limits = decode(&bytes::<Limits>(limits(Some(1)))).unwrap();
    assert_eq!(whole.limit, Some(1));
    for _ in 0..2 {
        let text = refused(limits(None));
        assert!(text.contains("Limits leaves out its field limit"), "{text}");
        assert!(text.contains("skip_serializing_if"), "{text}");
    }
    refused(vec![(1u8, Some(limits(None)))]);
    bytes::<Order>(Order::Stop { why: vec![1] });
    let text = refused(Order::Stop { why: vec![] });
    assert!(text.contains("Order::Stop leaves out its field why"), "{text}");
}

#[test]
fn flattened_fields_are_refused() {
    #[derive(Serialize, Deserialize)]
    struct Inner {
        n: u8,
    }
    #[derive(Serialize, Deserialize)]
    struct Outer {
        id: u8,
        #[serde(flatten)]
        inner: Inner,
    }
    let text = refused(Outer { id: 1, inner: Inner { n: 2 } });
    assert!(text.contains("flatten"), "{text}");
}

#[test]
fn types_that_want_to_be_told_what_comes_next_are_refused_at_the_first_message() {
    #[derive(Serialize, Deserialize)]
    #[serde(tag = "kind")]
    enum Tagged {
        Stop { why: u8 },
    }
    let message = bytes::<Tagged>(Tagged::Stop { why: 1 });
    let error = verify::<Tagged>(&message).unwrap_err();
    assert!(error.is_encode() && error.to_string().contains("has a tag"), "{error}");
    assert!(unread::<Tagged>(&message).contains("deserialize_any"));
    #[derive(Serialize, Deserialize)]
    #[serde(tag = "kind", content = "data")]
    enum Adjacent {
        Pair(u8, u8),
        Idle,
    }
    for item in [Adjacent::Pair(1, 2), Adjacent::Idle] {
        let error = verify::<Adjacent>(&bytes::<Adjacent>(&item)).unwrap_err();
        assert!(error.is_encode() && error.to_string().contains("has a tag"), "{error}");
    }
    // Met only later: an error of the getter, never another value.
    let later = bytes::<Option<Tagged>>(&Some(Tagged::Stop { why: 1 }));
    verify::<Option<Tagged>>(&bytes::<Option<Tagged>>(None)).unwrap();
    assert!(unread::<Option<Tagged>>(&later).contains("deserialize_any"));
    assert!(unread::<IgnoredAny>(&[1]).contains("deserialize_any"));
}

/// Declares one number of parts and writes another.
struct Miscounted {
    shape: &'static str,
    declared: usize,
    written: u32,
}

impl Serialize for Miscounted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.shape {
            "a sequence" => {
                let mut parts = serializer.serialize_seq(Some(self.declared))?;
                (0..self.written).try_for_each(|n| parts.serialize_element(&n))?;
                parts.end()
            }
            "a tuple" => {
                let mut parts = serializer.serialize_tuple(self.declared)?;
                (0..self.written).try_for_each(|n| parts.serialize_element(&n))?;
                parts.end()
            }
            "a map" => {
                let mut parts = serializer.serialize_map(Some(self.declared))?;
                (0..self.written).try_for_each(|n| parts.serialize_entry(&n, "value"))?;
                parts.end()
            }
            name => {
                let mut parts = serializer.serialize_struct(name, self.declared)?;
                (0..self.written).try_for_each(|n| parts.serialize_field("field", &n))?;
                parts.end()
            }
        }
    }
}

#[test]
fn a_wrong_number_of_parts_is_refused() {
    for shape in ["a sequence", "a tuple", "a map", "Named"] {
        let whole = Miscounted { shape, declared: 3, written: 3 };
        assert!(encode::<Miscounted, _>(&whole, &mut Vec::new()).is_ok());
        for written in [2, 4] {
            let text = refused(Miscounted { shape, declared: 3, written });
            assert!(text.contains(shape) && text.contains("declares"), "{text}");
            refused((Miscounted { shape, declared: 3, written }, 1u8));
        }
        refused(Miscounted { shape, declared: usize::MAX, written: 0 });
    }
}

/// Writes a string and fails; the one around it goes on.
struct Swallows(bool);

impl Serialize for Swallows {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Fails;
        impl Serialize for Fails {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut parts = serializer.serialize_tuple(2)?;
                parts.serialize_element("half")?;
                Err(ser::Error::custom("the rest is gone"))
            }
        }
        let mut parts = serializer.serialize_tuple(1)?;
        if parts.serialize_element(&Fails).is_err() && self.0 {
            parts.serialize_element("instead")?;
        }
        parts.end()
    }
}

#[test]
fn a_serialize_that_swallows_an_error_is_refused() {
    assert!(refused(Swallows(true)).contains("went on"));
    assert!(refused(Swallows(false)).contains("went on"));
    refused(vec![Swallows(true)]);
}

#[test]
fn a_deserialize_that_swallows_an_error_is_refused() {
    #[derive(Debug, PartialEq)]
    struct Lenient<T>(T);
    impl<'de, T: Deserialize<'de> + Default> Deserialize<'de> for Lenient<T> {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Lenient<T>, D::Error> {
            Ok(Lenient(T::deserialize(deserializer).unwrap_or_default()))
        }
    }
    type Odd = Lenient<Option<(NonZero<u8>, NonZero<u8>)>>;
    assert_eq!(decode::<(Lenient<u8>, u8)>(&[7, 2]).unwrap(), (Lenient(7), 2));
    // The first of the pair failed, the second was not read.
    assert!(unread::<(Odd, u8)>(&[1, 0, 5, 6]).contains("went on"));
    assert!(unread::<Lenient<bool>>(&[2]).contains("went on"));
    assert!(unread::<(Lenient<Option<u8>>, u8)>(&[9, 1]).contains("went on"));
    assert!(unread::<Lenient<String>>(&[2, b'a']).contains("went on"));
}

#[test]
fn elements_left_unread_are_an_error() {
    #[derive(Debug)]
    struct First;
    impl<'de> Deserialize<'de> for First {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<First, D::Error> {
            struct TakesOne;
            impl<'de> Visitor<'de> for TakesOne {
                type Value = First;
                fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str("a list")
                }
                fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<First, A::Error> {
                    list.next_element::<u8>()?;
                    Ok(First)
                }
            }
            deserializer.deserialize_seq(TakesOne)
        }
    }
    decode::<(First, u8)>(&[1, 5, 9]).unwrap();
    let text = unread::<(First, u8)>(&[3, 5, 6, 7, 9]);
    assert!(text.contains("left 2 elements of 3 unread"), "{text}");
}

#[test]
fn the_text_of_a_deserialize_reaches_the_getter() {
    #[derive(Debug)]
    struct Even;
    impl<'de> Deserialize<'de> for Even {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Even, D::Error> {
            match u32::deserialize(deserializer)? {
                n if n % 2 == 0 => Ok(Even),
                n => Err(serde::de::Error::custom(format_args!("{n} is odd"))),
            }
        }
    }
    let text = unread::<Vec<(Even, u8)>>(&[1, 5, 0]);
    assert!(text.ends_with("the type's own Deserialize refused them: 5 is odd"), "{text}");
    // serde's own texts, from scalars, from lengths and from enums.
    assert!(unread::<NonZero<u8>>(&[0]).contains("expected a nonzero u8"));
    assert!(unread::<State>(&[9]).contains("variant index 0 <= i < 4"));
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
enum List {
    #[default]
    Nil,
    Cons(Box<List>),
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Node {
    place: (u64, u64),
    names: Vec<String>,
    next: Option<Box<Node>>,
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Tree(HashMap<u8, Tree>);

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
struct Chain(Option<Box<Chain>>);

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Nest(Vec<Nest>);

/// A value as deep as it may be travels; one step more is refused at either end.
fn is_bounded<T>(grow: impl Fn(T) -> T, levels: usize, last: usize, step: &[u8])
where
    T: Serialize + DeserializeOwned + Default + PartialEq + fmt::Debug,
{
    let most = (128 - last) / levels;
    let deep = (0..most).fold(T::default(), |item, _| grow(item));
    assert_eq!(roundtrip(&deep), deep);
    let deeper = grow(deep);
    let text = refused(&deeper);
    assert!(text.contains("more than 128 levels"), "{text}");
    let leaf = bytes::<T>(T::default());
    let forged = [step.repeat(most + 1), leaf.clone()].concat();
    assert!(unread::<T>(&forged).contains("more than 128 levels"));
    let hostile = [step.repeat(100_000), leaf].concat();
    assert!(unread::<T>(&hostile).contains("more than 128 levels"));
}

#[test]
fn depth_is_bounded_at_both_ends() {
    is_bounded(|list| List::Cons(Box::new(list)), 1, 0, &[1]);
    is_bounded(|chain| Chain(Some(Box::new(chain))), 1, 0, &[1]);
    is_bounded(|nest| Nest(vec![nest]), 2, 2, &[1]);
    is_bounded(|tree| Tree([(0, tree)].into()), 2, 2, &[1, 0]);
    let node = |next| Node { next: Some(Box::new(next)), ..Node::default() };
    is_bounded(node, 2, 2, &[0, 0, 0, 1]);
}

#[test]
fn a_very_deep_value_is_an_error_of_the_putter() {
    let mut list = (0..100_000).fold(List::Nil, |list, _| List::Cons(Box::new(list)));
    assert!(refused(&list).contains("levels"));
    // Its own drop would need a deep stack.
    while let List::Cons(rest) = &mut list {
        list = std::mem::take(&mut **rest);
    }
}

/// Half a MiB is enough, of the 2 MiB that a thread has.
#[test]
fn the_deepest_value_leaves_most_of_a_stack() {
    let deep = (0..62)
        .fold(Node::default(), |next, _| Node { next: Some(Box::new(next)), ..Node::default() });
    let message = bytes::<Node>(&deep);
    let quarter = std::thread::Builder::new().stack_size(512 << 10);
    let back = quarter.spawn(move || {
        let back: Node = decode(&message).unwrap();
        (bytes::<Node>(&back) == message, back)
    });
    let (is_same, back) = back.unwrap().join().unwrap();
    assert!(is_same);
    assert_eq!(back, deep);
}

#[test]
fn empty_things_and_skipped_fields_travel() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Skip {
        #[serde(skip)]
        cache: Option<u8>,
        #[serde(default, rename = "b")]
        a: u8,
    }
    let items = (Some(()), vec![(), ()], None::<()>, [Some(Some(())), Some(None), None]);
    same_both_ways((items, HashMap::from([((), Unit)])));
    let item = Skip { cache: Some(1), a: 2 };
    assert_eq!(bytes::<Skip>(&item), [2]);
    assert_eq!(roundtrip(&(item, 3u8)), (Skip { cache: None, a: 2 }, 3));
    same_both_ways((std::ffi::OsString::from("x"), std::path::PathBuf::from("/x"), 1..5u8));
}

#[test]
fn halves_that_differ_are_found_by_reading_back_where_they_can_be() {
    #[derive(Debug, Serialize, Deserialize)]
    struct OneSided {
        #[serde(skip_serializing)]
        _secret: u32,
    }
    #[derive(Debug, Serialize, Deserialize)]
    struct Unread {
        #[serde(skip_deserializing)]
        _cache: u32,
    }
    #[derive(Debug, Serialize, Deserialize)]
    enum Shorter {
        #[allow(dead_code, reason = "what is skipped in front of others is the point")]
        #[serde(skip)]
        Local,
        Sent,
    }
    #[derive(Debug, Serialize, Deserialize)]
    struct Shaped(#[serde(serialize_with = "as_text")] u32);
    fn as_text<S: Serializer>(n: &u32, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(n)
    }
    #[track_caller]
    fn is_found<T: Serialize + DeserializeOwned>(item: T) {
        let error = verify::<T>(&bytes::<T>(&item)).unwrap_err();
        assert!(error.is_encode() && error.to_string().contains("one side only"), "{error}");
    }
    is_found(OneSided { _secret: 1 });
    is_found(Unread { _cache: 1 });
    is_found(Shorter::Sent);
    is_found(Shaped(10));
    assert!(refused(Shorter::Local).contains("cannot be serialized"));
}

/// A format says the same on both sides, so that types with two shapes agree.
#[test]
fn both_sides_say_that_they_are_not_human_readable() {
    #[derive(Debug, PartialEq)]
    struct Says;
    impl Serialize for Says {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let is_human_readable = serializer.is_human_readable();
            serializer.serialize_bool(is_human_readable)
        }
    }
    impl<'de> Deserialize<'de> for Says {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Says, D::Error> {
            let is_human_readable = deserializer.is_human_readable();
            assert_eq!(bool::deserialize(deserializer)?, is_human_readable);
            Ok(Says)
        }
    }
    same_both_ways(Says);
}

#[test]
fn late_destructors_can_encode_and_decode() {
    struct Late;
    impl Drop for Late {
        fn drop(&mut self) {
            let message = bytes::<(u32, String)>((2, "farewell".to_owned()));
            let back: (u32, String) = decode(&message).unwrap();
            assert_eq!(back.1, "farewell");
            let error = Error::of(ErrorKind::Foreign, "lock: of another world");
            let error = encode::<Secret, _>(&Secret(Some(error)), &mut Vec::new()).unwrap_err();
            assert!(error.is_foreign(), "{error:?}");
        }
    }
    thread_local!(static LAST: Late = const { Late });
    // A panic in such a destructor would abort the whole process.
    std::thread::spawn(|| LAST.with(|_| ())).join().unwrap();
}
