//! Batches: many calls in one round trip.

use multiproc::{ErrorKind, Later, Manager, Proxy};

use crate::common::{kind, until};
use crate::watchdog::watch;

#[test]
fn all_calls_of_a_batch_run_in_their_order() {
    let _watch = watch();
    let manager = Manager::new().unwrap();
    let dict = manager.dict::<u32, String>().unwrap();
    let list = manager.list::<u32>().unwrap();
    let set = manager.set::<u32>().unwrap();
    let number = manager.host(10_u32).unwrap();
    let (gets, rest) = manager
        .batch(|batch| {
            for n in 0..100 {
                batch.dict(&dict).insert(n, format!("{n}"));
                batch.list(&list).push(n);
                batch.set(&set).insert(n % 7);
            }
            let gets: Vec<Later<Option<String>>> =
                (0..100).map(|n| batch.dict(&dict).get(n)).collect();
            let double = batch.call(&number, |n: &mut u32, by: u32| *n * by, (2,));
            (gets, (batch.list(&list).len(), batch.set(&set).len(), double))
        })
        .unwrap();
    for (n, get) in gets.into_iter().enumerate() {
        assert_eq!(get.get().unwrap(), Some(n.to_string()));
    }
    assert_eq!(rest.0.get().unwrap(), 100);
    assert_eq!(rest.1.get().unwrap(), 7);
    assert_eq!(rest.2.get().unwrap(), 20);
}

#[test]
fn a_call_that_fails_stops_no_other() {
    let _watch = watch();
    let manager = Manager::new().unwrap();
    let list = manager.list::<u32>().unwrap();
    let number = manager.host(1_u32).unwrap();
    let fail = |n: &mut u32| assert_eq!(*n, 0, "not in a batch");
    let (range, panicked, marked, pushed) = manager
        .batch(|batch| {
            (
                batch.list(&list).set(5, 1),
                batch.call(&number, fail, ()),
                batch.call(&number, |n: &mut u32| *n, ()),
                batch.list(&list).push(3),
            )
        })
        .unwrap();
    let error = range.get().unwrap_err();
    assert_eq!(error.to_string(), "index 5 is out of range: the list has 0 items");
    let error = panicked.get().unwrap_err();
    assert!(error.child().unwrap().message().unwrap().contains("not in a batch"), "{error}");
    assert!(marked.get().unwrap_err().is_owner_died());
    pushed.get().unwrap();
    assert_eq!(list.to_vec().unwrap(), [3]);
}

#[test]
fn results_are_taken_in_any_order_or_not_at_all() {
    let _watch = watch();
    let manager = Manager::new().unwrap();
    let inner: Vec<Proxy<u32>> = (0..4).map(|n| manager.host(n).unwrap()).collect();
    let outer = manager.list::<Proxy<u32>>().unwrap();
    outer.extend(inner).unwrap();
    let mut pops = manager
        .batch(|batch| (0..4).map(|_| batch.list(&outer).pop()).collect::<Vec<_>>())
        .unwrap();
    // What the batch brought, nobody else has.
    let (last, second) = (pops.pop().unwrap(), pops.remove(1));
    for (pop, number) in [(last, 0), (second, 2)] {
        let proxy = pop.get().unwrap().unwrap();
        assert_eq!(proxy.call(|n: &mut u32| *n, ()).unwrap(), number);
    }
    until("what was taken is gone", || manager.objects().unwrap().len() == 3);
    drop(pops);
    until("what was not taken is gone as well", || manager.objects().unwrap().len() == 1);
}

#[test]
fn results_carry_handles_and_an_empty_batch_is_one() {
    let _watch = watch();
    let manager = Manager::new().unwrap();
    manager.batch(|_| ()).unwrap();
    let inner = manager.host(5_u32).unwrap();
    let outer = manager.list::<Proxy<u32>>().unwrap();
    outer.push(&inner).unwrap();
    let (a, b) =
        manager.batch(|batch| (batch.list(&outer).get(0), batch.list(&outer).pop())).unwrap();
    let (a, b) = (a.get().unwrap().unwrap(), b.get().unwrap().unwrap());
    drop(inner);
    assert_eq!(a.call(|n: &mut u32| *n, ()).unwrap(), 5);
    drop(a);
    assert_eq!(b.call(|n: &mut u32| *n, ()).unwrap(), 5);
}

#[test]
fn a_batch_of_two_managers_is_refused_whole() {
    let _watch = watch();
    let (one, other) = (Manager::new().unwrap(), Manager::new().unwrap());
    let (ours, theirs) = (one.list::<u32>().unwrap(), other.list::<u32>().unwrap());
    let error = one
        .batch(|batch| {
            drop(batch.list(&ours).push(1));
            drop(batch.list(&theirs).push(1));
        })
        .unwrap_err();
    assert!(error.is_invalid_input());
    assert_eq!(
        error.to_string(),
        "an object of another manager in a batch: a batch goes to one server; make one for each"
    );
    assert!(ours.is_empty().unwrap() && theirs.is_empty().unwrap());
    // A result is asked for too early.
    let mut early = None;
    one.batch(|batch| early = Some(kind(batch.list(&ours).len().get()))).unwrap();
    assert_eq!(early, Some(ErrorKind::InvalidInput));
}
