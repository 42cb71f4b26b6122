//! What Python's own tests ask of its managers (`_test_multiprocessing.py`: `_TestContainers`, `TestSyncManagerTypes`,
//! `_TestMyManager`), as far as it has a counterpart here.

use std::collections::HashMap;

use multiproc::{
    BoundedSemaphore, Dict, Event, List, Lock, Manager, Namespace, Process, Proxy, Queue, RLock,
    Result, Semaphore,
};
use serde::{Deserialize, Serialize};

use crate::watchdog::watch;

#[test]
fn test_list() {
    let _watch = watch();
    let manager = Manager::new().unwrap();
    let a = manager.list::<u32>().unwrap();
    a.extend(0..10).unwrap();
    assert_eq!(a.to_vec().unwrap(), (0..10).collect::<Vec<_>>());
    let b = manager.list::<u32>().unwrap();
    assert!(b.to_vec().unwrap().is_empty());
    b.extend(0..5).unwrap();
    assert_eq!(b.get(2).unwrap(), Some(2));
    assert_eq!(b.slice(2..10).unwrap(), [2, 3, 4]);
    b.proxy().call(|b: &mut Vec<u32>| b.extend_from_within(..), ()).unwrap();
    assert_eq!(b.to_vec().unwrap(), [0, 1, 2, 3, 4, 0, 1, 2, 3, 4]);
    let e = manager.list::<List<u32>>().unwrap();
    e.extend([a.clone(), b.clone()]).unwrap();
    let inner: Vec<_> = e.to_vec().unwrap().iter().map(|it| it.to_vec().unwrap()).collect();
    assert_eq!(inner, [a.to_vec().unwrap(), b.to_vec().unwrap()]);
    let f = manager.list::<List<u32>>().unwrap();
    f.push(&a).unwrap();
    a.push(99).unwrap();
    assert_eq!(f.get(0).unwrap().unwrap().last().unwrap(), Some(99));
}

#[test]
fn test_list_proxy_in_list() {
    let _watch = watch();
    let manager = Manager::new().unwrap();
    let a = manager.list::<List<u32>>().unwrap();
    for _ in 0..3 {
        let inner = manager.list().unwrap();
        inner.extend(0..3).unwrap();
        a.push(inner).unwrap();
    }
    let at = |index: usize| a.get(index).unwrap().unwrap();
    at(0).set(2, 55).unwrap();
    assert_eq!(at(0).to_vec().unwrap(), [0, 1, 55]);
    assert_eq!(at(1).to_vec().unwrap(), [0, 1, 2]);
    assert_eq!(at(1).pop().unwrap(), Some(2));
    assert_eq!([at(0), at(1), at(2)].map(|it| it.len().unwrap()), [3, 2, 3]);
}

#[test]
fn test_dict_iter() {
    let _watch = watch();
    let manager = Manager::new().unwrap();
    let dict = manager.dict::<u32, char>().unwrap();
    for n in 65..70 {
        dict.insert(n, char::from_u32(n).unwrap()).unwrap();
    }
    let expected: HashMap<u32, char> = (65..70).map(|n| (n, char::from_u32(n).unwrap())).collect();
    assert_eq!(dict.to_map().unwrap(), expected);
    // A snapshot: what changes meanwhile does not disturb the iteration.
    let mut seen = 0;
    for (key, value) in dict.items().unwrap() {
        dict.clear().unwrap();
        assert_eq!(expected[&key], value);
        seen += 1;
    }
    assert_eq!((seen, dict.len().unwrap()), (5, 0));
}

#[test]
fn test_dict_proxy_nested() {
    let _watch = watch();
    let manager = Manager::new().unwrap();
    type Stock = Dict<String, u32>;
    let entry = |name: &str, n: u32| (name.to_owned(), n);
    let (pets, supplies) = (manager.dict().unwrap(), manager.dict().unwrap());
    pets.extend([entry("ferrets", 2), entry("hamsters", 4)]).unwrap();
    supplies.extend([entry("water", 10), entry("feed", 3)]).unwrap();
    let d = manager.dict::<String, Stock>().unwrap();
    d.extend([("pets".to_owned(), pets.clone()), ("supplies".to_owned(), supplies.clone())])
        .unwrap();
    let inner = |name: &str| d.get(name).unwrap().unwrap();
    assert_eq!(inner("supplies").get("water").unwrap(), Some(10));
    inner("supplies").insert("blankets", 5).unwrap();
    assert_eq!(supplies.get("blankets").unwrap(), Some(5));
    inner("supplies").insert("water", 7).unwrap();
    assert_eq!(supplies.get("water").unwrap(), Some(7));
    drop((pets, supplies));
    assert_eq!(inner("pets").get("ferrets").unwrap(), Some(2));
    let (pets, supplies) = (inner("pets"), inner("supplies"));
    d.clear().unwrap();
    assert_eq!(supplies.get("water").unwrap(), Some(7));
    assert_eq!(pets.get("hamsters").unwrap(), Some(4));
    let l = manager.list::<Stock>().unwrap();
    l.extend([pets.clone(), supplies.clone()]).unwrap();
    l.get(0).unwrap().unwrap().insert("marmots", 1).unwrap();
    assert_eq!(pets.get("marmots").unwrap(), Some(1));
    drop((pets, supplies));
    assert_eq!(l.get(0).unwrap().unwrap().get("marmots").unwrap(), Some(1));
    let outer = manager.list::<List<Stock>>().unwrap();
    outer.push(&l).unwrap();
    let last = outer.last().unwrap().unwrap().last().unwrap().unwrap();
    assert_eq!(last.get("feed").unwrap(), Some(3));
}

#[test]
fn test_nested_queue() {
    let _watch = watch();
    let manager = Manager::new().unwrap();
    let a = manager.list::<Queue<u32>>().unwrap();
    a.push(Queue::new().unwrap()).unwrap();
    a.get(0).unwrap().unwrap().put(123).unwrap();
    assert_eq!(a.get(0).unwrap().unwrap().get().unwrap(), 123);
    let b = manager.dict::<u32, Queue<u32>>().unwrap();
    b.insert(0, Queue::new().unwrap()).unwrap();
    b.get(0).unwrap().unwrap().put(456).unwrap();
    assert_eq!(b.get(0).unwrap().unwrap().get().unwrap(), 456);
}

#[derive(Serialize, Deserialize)]
struct FooBar;

impl FooBar {
    fn f(&mut self) -> String {
        "f()".to_owned()
    }

    fn g(&mut self) -> Result<()> {
        Err(multiproc::Error::other("a value error"))
    }
}

#[test]
fn test_mymanager() {
    let _watch = watch();
    let manager = Manager::new().unwrap();
    let foo = manager.host(FooBar).unwrap();
    assert_eq!(foo.call(FooBar::f, ()).unwrap(), "f()");
    let error = foo.call(FooBar::g, ()).unwrap().unwrap_err();
    assert_eq!(error.to_string(), "a value error");
    let squares =
        manager.host_with(|| (0..10_u32).map(|i| i * i).collect::<Vec<_>>().into_iter(), ());
    let squares = squares.unwrap();
    let next = |all: &mut std::vec::IntoIter<u32>| all.next();
    for i in 0..10 {
        assert_eq!(squares.call(next, ()).unwrap(), Some(i * i));
    }
    assert_eq!(squares.call(next, ()).unwrap(), None);
    let process = manager.process().unwrap();
    manager.shutdown().unwrap();
    assert_eq!(process.wait().unwrap().code(), Some(0));
}

/// Each primitive of the crate, fetched from a namespace by a worker.
fn test_types(n: Namespace) -> Result<()> {
    let event = n.get::<Event>("event")?.unwrap();
    assert!(event.is_set() && event.wait_timeout(std::time::Duration::ZERO)?);
    event.clear();
    drop(n.get::<Lock>("lock")?.unwrap().lock()?);
    drop(n.get::<RLock>("rlock")?.unwrap().lock()?);
    n.get::<Semaphore>("semaphore")?.unwrap().acquire()?.forget();
    n.get::<BoundedSemaphore>("bounded")?.unwrap().acquire()?.forget();
    let queue = n.get::<Queue<u32>>("queue")?.unwrap();
    assert!(queue.len() == 2 && queue.is_full());
    assert_eq!((queue.get()?, queue.get()?, queue.is_empty()), (5, 6, true));
    let list = n.get::<List<u32>>("list")?.unwrap();
    assert_eq!((list.get(0)?, list.count(5)?, list.index_of(5)?), (Some(5), 1, Some(0)));
    list.sort()?;
    list.reverse()?;
    assert_eq!(list.remove(0)?, 5);
    let dict = n.get::<Dict<String, u32>>("dict")?.unwrap();
    assert_eq!((dict.len()?, dict.get("foo")?), (1, Some(5)));
    assert_eq!(dict.pop()?, Some(("foo".to_owned(), 5)));
    let value = n.get::<Proxy<i32>>("value")?.unwrap();
    assert_eq!(value.call(|value: &mut i32| std::mem::replace(value, 2), ())?, 1);
    assert_eq!((n.get::<u32>("x")?, n.get::<u32>("y")?), (Some(0), Some(1)));
    Ok(())
}

#[test]
fn test_sync_manager_types() {
    let _watch = watch();
    let manager = Manager::new().unwrap();
    let n = manager.namespace().unwrap();
    let (event, semaphore, bounded) =
        (Event::new().unwrap(), Semaphore::new(1).unwrap(), BoundedSemaphore::new(1).unwrap());
    event.set();
    let queue = Queue::<u32>::bounded(2).unwrap();
    queue.put_many([5, 6]).unwrap();
    let list = manager.list::<u32>().unwrap();
    list.push(5).unwrap();
    let dict = manager.dict::<String, u32>().unwrap();
    dict.insert("foo", 5).unwrap();
    let value = manager.host(1_i32).unwrap();
    n.set("event", event.clone()).unwrap();
    n.set("lock", Lock::new().unwrap()).unwrap();
    n.set("rlock", RLock::new().unwrap()).unwrap();
    n.set("semaphore", semaphore.clone()).unwrap();
    n.set("bounded", bounded.clone()).unwrap();
    n.set("queue", queue.clone()).unwrap();
    n.set("list", list.clone()).unwrap();
    n.set("dict", dict.clone()).unwrap();
    n.set("value", value.clone()).unwrap();
    n.set("x", 0_u32).unwrap();
    n.set("y", 1_u32).unwrap();
    Process::spawn(test_types, (&n,)).unwrap().join().unwrap().unwrap();
    assert!(!event.is_set() && queue.is_empty() && list.is_empty().unwrap());
    assert_eq!((semaphore.available(), bounded.available()), (0, 0));
    assert_eq!(dict.len().unwrap(), 0);
    assert_eq!(value.call(|value: &mut i32| *value, ()).unwrap(), 2);
}
