//! Arguments and results: what travels, in which forms.

use super::*;

#[test]
fn a_function_and_a_closure_run_elsewhere() {
    let _watch = watch();
    let process = Process::spawn(greet, ("Alice",)).unwrap();
    assert_ne!(process.id(), std::process::id());
    assert_eq!(process.join().unwrap(), "hello Alice");
    let process = Process::spawn(std::process::id, ()).unwrap();
    let id = process.id();
    assert_eq!(process.join().unwrap(), id);
}

#[test]
fn arguments_are_literals_values_and_references() {
    let _watch = watch();
    fn mixed(count: u64, text: String, list: Vec<f64>, maybe: Option<i8>) -> String {
        format!("{count} {text} {list:?} {maybe:?}")
    }
    let list = vec![0.5, 1.5];
    let process = Process::spawn(mixed, (1_000_000, "x", &list, None)).unwrap();
    assert_eq!(process.join().unwrap(), "1000000 x [0.5, 1.5] None");
    let process = Process::spawn(mixed, (7, String::from("y"), &[1.0], Some(-1))).unwrap();
    assert_eq!(process.join().unwrap(), "7 y [1.0] Some(-1)");
    drop(list);
}

#[test]
fn a_shared_object_travels_in_and_out() {
    let _watch = watch();
    let lock = Lock::new().unwrap();
    let guard = lock.lock().unwrap();
    let taken = |lock: Lock| lock.try_lock().unwrap_err().kind() == ErrorKind::Busy;
    let process = Process::spawn(taken, (&lock,)).unwrap();
    assert!(process.join().unwrap(), "the child uses another lock");
    drop(guard);
    let process = Process::spawn(|| Lock::new().unwrap(), ()).unwrap();
    let made_there = process.join().unwrap();
    let guard = made_there.lock().unwrap();
    let process = Process::spawn(taken, (&made_there,)).unwrap();
    assert!(process.join().unwrap(), "the lock that came back is another one");
    drop(guard);
}

#[test]
fn large_arguments_and_results_come_through() {
    let _watch = watch();
    let bytes: Vec<u8> = (0..10 << 20).map(|i: u32| (i % 251) as u8).collect();
    let flip = |bytes: Vec<u8>| bytes.iter().rev().copied().collect::<Vec<u8>>();
    let back = Process::spawn(flip, (&bytes,)).unwrap().join().unwrap();
    assert!(back.iter().rev().eq(&bytes));
    let made = Process::spawn(|len: usize| vec![7_u64; len], (10 << 17,)).unwrap();
    assert!(made.join().unwrap() == vec![7; 10 << 17]);
}

#[test]
fn a_task_carries_its_data() {
    let _watch = watch();
    #[derive(Serialize, Deserialize)]
    struct Sum(Vec<u64>);
    impl Run for Sum {
        type Output = u64;
        fn run(self) -> u64 {
            self.0.iter().sum()
        }
    }
    assert_eq!(Process::run(Sum(vec![1, 2, 3])).unwrap().join().unwrap(), 6);
    let named = Process::builder().name("adder").run(Sum(vec![4])).unwrap();
    assert_eq!(named.name(), "adder");
    assert_eq!(named.join().unwrap(), 4);
}

#[test]
fn a_function_may_return_this_crates_error() {
    let _watch = watch();
    let fail = || -> Result<()> { Err(Error::other("no luck")) };
    let error = Process::spawn(fail, ()).unwrap().join().unwrap().unwrap_err();
    assert!(error.is_other());
    assert_eq!(error.to_string(), "no luck");
}

/// Refuses to be written, or to be read.
#[derive(Debug)]
enum Stubborn {
    Unwritable,
    Unreadable,
}

impl Serialize for Stubborn {
    fn serialize<S: serde::Serializer>(
        &self,
        serializer: S,
    ) -> std::result::Result<S::Ok, S::Error> {
        match self {
            Stubborn::Unwritable => Err(serde::ser::Error::custom("not today")),
            Stubborn::Unreadable => serializer.serialize_unit(),
        }
    }
}

impl<'de> Deserialize<'de> for Stubborn {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> std::result::Result<Stubborn, D::Error> {
        Err(serde::de::Error::custom("never"))
    }
}

#[test]
fn values_that_serde_refuses_are_typed_errors() {
    let _watch = watch();
    fn take(_: u8, _: Stubborn) {}
    let error = Process::spawn(take, (1, Stubborn::Unwritable)).unwrap_err();
    assert!(error.is_encode(), "{error:?}");
    assert!(error.to_string().contains("argument 2"), "{error}");
    let error = Process::spawn(take, (1, Stubborn::Unreadable)).unwrap_err();
    assert!(error.is_encode(), "{error:?}");
    for part in ["argument 2", "Stubborn can be written but not read back"] {
        assert!(error.to_string().contains(part), "{error}");
    }
    let error = Process::spawn(|| Stubborn::Unwritable, ()).unwrap().join().unwrap_err();
    assert!(error.is_encode(), "{error:?}");
    let error = Process::spawn(|| Stubborn::Unreadable, ()).unwrap().join().unwrap_err();
    assert!(error.is_encode(), "{error:?}");
    // One that comes later, or is long, is not read back: then it is the receiver's error.
    fn count(all: Vec<Stubborn>) -> usize {
        all.len()
    }
    assert_eq!(Process::spawn(count, (Vec::new(),)).unwrap().join().unwrap(), 0);
    let error = Process::spawn(count, (vec![Stubborn::Unreadable],)).unwrap().join().unwrap_err();
    assert!(error.is_decode(), "{error:?}");
    assert!(error.to_string().contains("argument 1"), "{error}");
}
