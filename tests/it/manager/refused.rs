//! What is refused, and by which error; panics in the server.

use std::thread;
use std::time::Duration;

use multiproc::{Error, Manager, Process, Proxy, Queue};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::watchdog::watch;

/// Refuses to be written where it is negative, and to be read where it is above 99.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Picky(i32);

impl Serialize for Picky {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 < 0 {
            return Err(serde::ser::Error::custom(format!("{} is negative", self.0)));
        }
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Picky {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Picky, D::Error> {
        let number = i32::deserialize(deserializer)?;
        if number > 99 {
            return Err(serde::de::Error::custom(format!("{number} is above 99")));
        }
        Ok(Picky(number))
    }
}

#[test]
fn what_serde_refuses_is_the_callers_error() {
    let _watch = watch();
    let manager = Manager::new().unwrap();
    let dict = manager.dict::<Picky, Picky>().unwrap();
    dict.insert(Picky(1), Picky(2)).unwrap();
    let error = dict.insert(Picky(-1), Picky(2)).unwrap_err();
    assert!(error.is_encode() && error.to_string().contains("-1 is negative"), "{error}");
    assert!(error.to_string().starts_with("argument 1: "), "{error}");
    let error = dict.insert(Picky(1), Picky(-2)).unwrap_err();
    assert!(error.to_string().starts_with("argument 2: "), "{error}");
    // Written here, but not readable there.
    let error = dict.insert(Picky(1), Picky(100)).unwrap_err();
    assert!(error.is_decode() && error.to_string().contains("100 is above 99"), "{error}");
    // A result that refuses to be written there, and one that cannot be read here.
    let make = |_: &mut std::collections::HashMap<Picky, Picky>, n: i32| Picky(n);
    let error = dict.proxy().call(make, (-5,)).unwrap_err();
    assert!(error.is_encode() && error.to_string().contains("-5 is negative"), "{error}");
    dict.proxy().call(make, (5,)).unwrap();
    let error = dict.proxy().call(make, (500,)).unwrap_err();
    assert!(error.is_decode() && error.to_string().contains("500 is above 99"), "{error}");
    // In a batch nothing of it is done.
    let error = manager
        .batch(|batch| {
            drop(batch.dict(&dict).insert(Picky(7), Picky(7)));
            drop(batch.dict(&dict).insert(Picky(8), Picky(-8)));
        })
        .unwrap_err();
    assert!(error.is_encode(), "{error}");
    assert_eq!(dict.items().unwrap(), [(Picky(1), Picky(2))]);
}

#[test]
fn a_panic_comes_back_and_marks_its_object_alone() {
    let _watch = watch();
    let manager = Manager::new().unwrap();
    let (list, other) = (manager.host(vec![1, 2]).unwrap(), manager.host(5_u32).unwrap());
    let half = |list: &mut Vec<i32>, item: i32| {
        list.push(item);
        if item > 2 {
            panic!("{item} is too much");
        }
    };
    let error = list.call(half, (3,)).unwrap_err();
    let failure = error.child().unwrap();
    assert_eq!(failure.message(), Some("3 is too much"));
    assert!(failure.location().unwrap().starts_with("tests/it/manager/refused.rs:"));
    assert_eq!(failure.name(), "Manager");
    assert_eq!(failure.pid(), manager.process().unwrap().id());
    assert!(error.to_string().contains("panicked at tests/it/manager/refused.rs"), "{error}");
    // For everybody, until somebody recovers it.
    let read = |list: &mut Vec<i32>| list.clone();
    let ask = |list: Proxy<Vec<i32>>| list.call(|list: &mut Vec<i32>| list.len(), ());
    let error = Process::spawn(ask, (&list,)).unwrap().join().unwrap().unwrap_err();
    assert!(error.is_owner_died());
    let text = error.to_string();
    assert!(
        text.starts_with(
            "a call panicked while it changed this object (3 is too much at tests/it/manager"
        ),
        "{text}"
    );
    assert!(text.ends_with("look at it after recover(), which takes it as it is"), "{text}");
    assert!(manager.objects().unwrap().iter().any(|object| object.is_poisoned()));
    assert_eq!(other.call(|n: &mut u32| *n, ()).unwrap(), 5, "the server lives");
    list.recover().unwrap();
    assert_eq!(list.call(read, ()).unwrap(), [1, 2, 3]);
    assert!(manager.objects().unwrap().iter().all(|object| !object.is_poisoned()));
}

/// A panic that changes nothing marks nothing: while the argument is read, and while the result is written.
#[test]
fn a_panic_outside_of_the_function_marks_nothing() {
    let _watch = watch();
    #[derive(Clone, Debug)]
    struct Jumpy(u32);
    impl Serialize for Jumpy {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            assert_ne!(self.0, 13, "cannot write it");
            self.0.serialize(serializer)
        }
    }
    impl<'de> Deserialize<'de> for Jumpy {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Jumpy, D::Error> {
            let number = u32::deserialize(deserializer)?;
            assert_ne!(number, 14, "cannot read it");
            Ok(Jumpy(number))
        }
    }
    let manager = Manager::new().unwrap();
    let number = manager.host(0_u32).unwrap();
    // The first of a type is read back by its sender: that one must be harmless.
    number.call(|n: &mut u32, new: Jumpy| *n = new.0, (Jumpy(1),)).unwrap();
    let error = number.call(|n: &mut u32, new: Jumpy| *n = new.0, (Jumpy(14),)).unwrap_err();
    assert!(error.child().unwrap().message().unwrap().contains("cannot read it"), "{error}");
    let error = number.call(|_: &mut u32| Jumpy(13), ()).unwrap_err();
    assert!(error.child().unwrap().message().unwrap().contains("cannot write it"), "{error}");
    assert_eq!(number.call(|n: &mut u32| *n, ()).unwrap(), 1);
    // Here, too: a result that panics while it is decoded leaves the handle usable.
    let decoded = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _ = number.call(|_: &mut u32| 14_u32, ()).map(|n| assert_ne!(n, 14));
    }));
    assert!(decoded.is_err());
    assert_eq!(number.call(|n: &mut u32| *n, ()).unwrap(), 1);
}

/// Written as one handle, and read as another.
struct Twisted(Proxy<u32>, Option<Proxy<String>>);

impl Serialize for Twisted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Twisted {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Twisted, D::Error> {
        let wrong = Proxy::<String>::deserialize(deserializer)?;
        let nothing = Manager::new().and_then(|manager| manager.host(0_u32));
        Ok(Twisted(nothing.map_err(serde::de::Error::custom)?, Some(wrong)))
    }
}

#[test]
fn a_handle_of_another_type_is_a_mismatch() {
    let _watch = watch();
    let manager = Manager::new().unwrap();
    let number = manager.host(5_u32).unwrap();
    let queue = Queue::<Twisted>::new().unwrap();
    queue.put(Twisted(number.clone(), None)).unwrap();
    let wrong = queue.get().unwrap().1.unwrap();
    let error = wrong.call(|text: &mut String| text.len(), ()).unwrap_err();
    assert!(error.is_mismatch());
    assert_eq!(error.to_string(), "manager: opened as alloc::string::String, holds u32");
    assert_eq!(number.call(|n: &mut u32| *n, ()).unwrap(), 5);
}

#[test]
fn handles_travel_only_in_their_tree() {
    let _watch = watch();
    let manager = Manager::new().unwrap();
    let number = manager.host(5_u32).unwrap();
    let error = postcard::to_stdvec(&number).unwrap_err();
    assert!(matches!(error, postcard::Error::SerdeSerCustom), "{error}");
    assert!(postcard::to_stdvec(&manager).is_err());
    assert!(postcard::from_bytes::<Proxy<u32>>(&[0; 32]).is_err());
    assert_eq!(number.call(|n: &mut u32| *n, ()).unwrap(), 5);
}

#[test]
fn dropping_the_manager_leaves_calls_in_flight_alone() {
    let _watch = watch();
    let manager = Manager::new().unwrap();
    let number = manager.host(1_u64).unwrap();
    let process = manager.process().unwrap();
    thread::scope(|scope| {
        for _ in 0..4 {
            let number = number.clone();
            scope.spawn(move || {
                for _ in 0..1000 {
                    number.call(|n: &mut u64| *n += 1, ()).unwrap();
                }
                let hasty = number.with_timeout(Duration::ZERO);
                // The answer may be there at once; the call is made in any case.
                let answer = hasty.call(|n: &mut u64| *n += 1, ());
                assert!(answer.as_ref().err().is_none_or(Error::is_timeout), "{answer:?}");
            });
        }
        drop(manager);
    });
    assert_eq!(number.call(|n: &mut u64| *n, ()).unwrap(), 4005);
    drop(number);
    assert!(process.wait().unwrap().success());
}
