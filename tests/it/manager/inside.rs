//! Calls that a function makes while it runs in the server: they work or are typed errors, and never hang.

use multiproc::{Dict, ErrorKind, List, Manager, Proxy, Result};

use crate::common::kind;
use crate::watchdog::watch;

use super::until_left;

#[test]
fn a_function_calls_other_objects_of_its_manager() {
    let _watch = watch();
    let manager = Manager::new().unwrap();
    let (from, to) = (manager.host(10_i64).unwrap(), manager.host(0_i64).unwrap());
    // One transaction over two objects.
    let pay = |from: &mut i64, to: Proxy<i64>, cents: i64| -> Result<i64> {
        *from -= cents;
        to.call(|to: &mut i64, cents: i64| *to += cents, (cents,))?;
        to.call(|to: &mut i64| *to, ())
    };
    assert_eq!(from.call(pay, (&to, 4)).unwrap().unwrap(), 4);
    assert_eq!(from.call(|n: &mut i64| *n, ()).unwrap(), 6);
    // Handles that it finds in its object, and a batch.
    let all = manager.list().unwrap();
    all.extend([from.clone(), to.clone()]).unwrap();
    let sum = |all: &mut Vec<Proxy<i64>>, manager: Manager| -> Result<i64> {
        let parts = manager.batch(|batch| {
            all.iter().map(|it| batch.call(it, |n: &mut i64| *n, ())).collect::<Vec<_>>()
        })?;
        parts.into_iter().map(|part| part.get()).sum()
    };
    assert_eq!(all.proxy().call(sum, (&manager,)).unwrap().unwrap(), 10);
}

#[test]
fn a_function_makes_objects_and_they_live_as_long_as_they_are_held() {
    let _watch = watch();
    let manager = Manager::new().unwrap();
    let lists = manager.dict::<String, List<u32>>().unwrap();
    let push = |lists: Dict<String, List<u32>>, manager: Manager, name: String, n: u32| {
        // In a process of its own, for two round trips.
        let list = lists.get_or_insert(&name, manager.list()?)?;
        list.push(n)
    };
    push(lists.clone(), manager.clone(), "a".into(), 1).unwrap();
    push(lists.clone(), manager.clone(), "a".into(), 2).unwrap();
    until_left(&manager, 2);
    // In the server, in one.
    type Lists = std::collections::HashMap<String, List<u32>>;
    let push = |lists: &mut Lists, manager: Manager, name: String, n: u32| -> Result<()> {
        if !lists.contains_key(&name) {
            lists.insert(name.clone(), manager.list()?);
        }
        lists[&name].push(n)
    };
    lists.proxy().call(push, (&manager, "b", 3)).unwrap().unwrap();
    lists.proxy().call(push, (&manager, "a", 3)).unwrap().unwrap();
    assert_eq!(lists.get("a").unwrap().unwrap().to_vec().unwrap(), [1, 2, 3]);
    until_left(&manager, 3);
    lists.clear().unwrap();
    until_left(&manager, 1);
}

#[test]
fn a_call_on_the_object_at_work_is_a_deadlock_and_no_hang() {
    let _watch = watch();
    let manager = Manager::new().unwrap();
    let number = manager.host(1_u32).unwrap();
    let again = |_: &mut u32, itself: Proxy<u32>| itself.call(|n: &mut u32| *n, ());
    let error = number.call(again, (&number,)).unwrap().unwrap_err();
    assert!(error.is_deadlock());
    let text = error.to_string();
    assert!(text.starts_with("a function that runs on this object calls it again"), "{text}");
    // By way of another one.
    let other = manager.host(2_u32).unwrap();
    let around = |_: &mut u32, itself: Proxy<u32>, other: Proxy<u32>| {
        let again = |_: &mut u32, first: Proxy<u32>| first.call(|n: &mut u32| *n, ());
        other.call(again, (&itself,))?
    };
    assert_eq!(kind(number.call(around, (&number, &other)).unwrap()), ErrorKind::Deadlock);
    // From a thread that it started and waits for.
    let threaded = |_: &mut u32, other: Proxy<u32>| {
        std::thread::spawn(move || other.call(|n: &mut u32| *n, ())).join().unwrap()
    };
    let error = number.call(threaded, (&other,)).unwrap().unwrap_err();
    assert!(error.is_deadlock());
    let text = error.to_string();
    assert!(text.starts_with("a thread in the manager's server calls the same manager"), "{text}");
    assert_eq!(number.call(|n: &mut u32| *n, ()).unwrap(), 1, "nothing is marked");
    assert_eq!(other.call(|n: &mut u32| *n, ()).unwrap(), 2);
}

#[test]
fn a_panic_inside_a_call_inside_a_call_marks_what_it_went_through() {
    let _watch = watch();
    let manager = Manager::new().unwrap();
    let (outer, inner) = (manager.host(1_u32).unwrap(), manager.host(2_u32).unwrap());
    let fail = |_: &mut u32, inner: Proxy<u32>| {
        let error = inner.call(|_: &mut u32| panic!("inner") as (), ()).unwrap_err();
        assert_eq!(error.child().unwrap().message(), Some("inner"));
    };
    outer.call(fail, (&inner,)).unwrap();
    assert!(inner.call(|n: &mut u32| *n, ()).unwrap_err().to_string().contains("(inner at "));
    assert_eq!(outer.call(|n: &mut u32| *n, ()).unwrap(), 1, "it went on");
    inner.recover().unwrap();
    let fail = |_: &mut u32, inner: Proxy<u32>| {
        inner.call(|_: &mut u32| panic!("inner") as (), ()).unwrap();
    };
    outer.call(fail, (&inner,)).unwrap_err();
    assert!(outer.call(|n: &mut u32| *n, ()).unwrap_err().is_owner_died());
}

#[test]
fn a_manager_in_a_manager() {
    let _watch = watch();
    let (one, other) = (Manager::new().unwrap(), Manager::new().unwrap());
    let number = other.host(5_u32).unwrap();
    let holder = one.host(Some(number)).unwrap();
    let process = other.process().unwrap();
    drop(other);
    let ask = |holder: &mut Option<Proxy<u32>>| holder.as_ref().unwrap().call(|n: &mut u32| *n, ());
    assert_eq!(
        holder.call(ask, ()).unwrap().unwrap(),
        5,
        "the first server is a user of the other"
    );
    assert!(process.is_alive());
    holder.call(|holder: &mut Option<Proxy<u32>>| drop(holder.take()), ()).unwrap();
    assert!(process.wait().unwrap().success(), "it was its last");
}
