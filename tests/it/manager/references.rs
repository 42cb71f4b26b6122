//! How long objects live, and the server itself.

use std::thread;

use multiproc::{Dict, Event, List, Manager, Process, Proxy, Queue, Result};
use serde::{Deserialize, Serialize};

use crate::common::{killed, park, until};
use crate::watchdog::watch;

use super::{server, until_left};

#[test]
fn a_thousand_nested_objects_come_and_go() {
    let _watch = watch();
    let manager = Manager::new().unwrap();
    let outer = manager.dict::<u32, List<Proxy<u32>>>().unwrap();
    for n in 0..500 {
        let list = manager.list().unwrap();
        list.push(manager.host(n).unwrap()).unwrap();
        outer.insert(n, list).unwrap();
        if n % 3 == 0 {
            outer.remove(n / 3).unwrap();
        }
    }
    let first = outer.get(200).unwrap().unwrap().get(0).unwrap().unwrap();
    assert_eq!(first.call(|n: &mut u32| *n, ()).unwrap(), 200);
    outer.clear().unwrap();
    until_left(&manager, 2);
    assert_eq!(first.call(|n: &mut u32| *n, ()).unwrap(), 200, "it is still held here");
    drop((first, outer));
    until_left(&manager, 0);
}

/// Makes objects, some of them inside others, and is killed while it goes on with it.
fn makes(manager: Manager, outer: Dict<u64, List<u64>>, begun: Event) -> Result<()> {
    let held: Proxy<u64> = manager.host(1)?;
    for n in 0.. {
        let list = manager.list()?;
        list.push(n)?;
        outer.insert(n % 16, list)?;
        held.call(|n: &mut u64| *n += 1, ())?;
        if n == 20 {
            begun.set();
        }
    }
    Ok(())
}

#[test]
fn what_killed_processes_held_is_given_back() {
    let _watch = watch();
    let manager = Manager::new().unwrap();
    for _ in 0..10 {
        let outer = manager.dict().unwrap();
        let begun = Event::new().unwrap();
        let workers: Vec<_> =
            (0..2).map(|_| Process::spawn(makes, (&manager, &outer, &begun)).unwrap()).collect();
        begun.wait().unwrap();
        workers.into_iter().for_each(killed);
        assert!(outer.len().unwrap() <= 16);
        drop(outer);
    }
    until_left(&manager, 0);
}

#[test]
fn an_object_lives_in_a_message_and_goes_with_it() {
    let _watch = watch();
    let manager = Manager::new().unwrap();
    let queue = Queue::<Proxy<u32>>::new().unwrap();
    queue.put(manager.host(7).unwrap()).unwrap();
    assert_eq!(manager.objects().unwrap().len(), 1);
    assert_eq!(manager.objects().unwrap()[0].users(), 0, "nobody has it at the moment");
    let number = queue.get().unwrap();
    assert_eq!(number.call(|n: &mut u32| *n, ()).unwrap(), 7);
    assert_eq!(manager.objects().unwrap()[0].users(), 1);
    queue.put(number).unwrap();
    drop(queue);
    until_left(&manager, 0);
}

#[test]
fn debug_shows_objects_and_their_users() {
    let _watch = watch();
    let manager = Manager::new().unwrap();
    let number = manager.host(7_u32).unwrap();
    let hold = |number: Proxy<u32>, begun: Event| -> () {
        begun.set();
        let _number = number;
        park()
    };
    let begun = Event::new().unwrap();
    let worker = Process::spawn(hold, (&number, &begun)).unwrap();
    begun.wait().unwrap();
    let objects = manager.objects().unwrap();
    assert_eq!((objects[0].type_name(), objects[0].users()), ("u32", 2));
    assert!(format!("{number:?}").contains(&format!("number: {}", objects[0].number())));
    let text = format!("{manager:?}");
    let process = server(&manager).id();
    assert!(text.contains(&format!("process: {process}")) && text.contains("users: 2"), "{text}");
    killed(worker);
    until("the dead one counts no more", || manager.objects().unwrap()[0].users() == 1);
}

#[test]
fn the_server_ends_with_its_last_user() {
    let _watch = watch();
    let manager = Manager::new().unwrap();
    let process = server(&manager);
    let number = manager.host(1_u32).unwrap();
    let copy = manager.clone();
    drop(manager);
    assert_eq!(copy.objects().unwrap().len(), 1);
    drop(copy);
    assert_eq!(number.call(|n: &mut u32| *n, ()).unwrap(), 1);
    drop(number);
    assert!(process.wait().unwrap().success());
}

#[test]
fn a_circle_of_objects_keeps_no_server_alive() {
    #[derive(Clone, Serialize, Deserialize)]
    struct Node(List<Node>);

    let _watch = watch();
    let manager = Manager::new().unwrap();
    let process = server(&manager);
    let list = manager.list::<Node>().unwrap();
    list.push(Node(list.clone())).unwrap();
    let inner = list.get(0).unwrap().unwrap().0;
    assert_eq!(inner.len().unwrap(), 1);
    drop((inner, list));
    assert_eq!(manager.objects().unwrap().len(), 1, "a circle stays");
    drop(manager);
    assert!(process.wait().unwrap().success());
}

/// Makes a manager, hands it on, and never ends.
fn creates(out: Queue<(Proxy<u32>, u32)>) -> Result<()> {
    let manager = Manager::new()?;
    out.put((manager.host(5)?, server(&manager).id()))?;
    park();
    Ok(())
}

#[test]
fn the_server_outlives_its_creator() {
    let _watch = watch();
    let queue = Queue::new().unwrap();
    let creator = Process::spawn(creates, (&queue,)).unwrap();
    let (number, server) = queue.get().unwrap();
    killed(creator);
    number.call(|n: &mut u32| *n += 1, ()).unwrap();
    assert_eq!(number.call(|n: &mut u32| *n, ()).unwrap(), 6);
    drop(number);
    until("the server is gone", || !std::path::Path::new(&format!("/proc/{server}/exe")).exists());
}

#[test]
fn a_creator_that_ends_in_order_waits_for_nobody() {
    let _watch = watch();
    let queue = Queue::new().unwrap();
    let leave = |queue: Queue<Proxy<u32>>| -> Result<()> {
        let manager = Manager::new()?;
        queue.put(manager.host(5)?)?;
        // Held to the end, and beyond.
        std::mem::forget(manager);
        Ok(())
    };
    Process::spawn(leave, (&queue,)).unwrap().join().unwrap().unwrap();
    assert_eq!(queue.get().unwrap().call(|n: &mut u32| *n, ()).unwrap(), 5);
}

#[test]
fn a_shutdown_is_for_all() {
    let _watch = watch();
    let manager = Manager::new().unwrap();
    let (process, number) = (server(&manager), manager.host(1_u32).unwrap());
    let (begun, go_on) = (Event::new().unwrap(), Event::new().unwrap());
    thread::scope(|scope| {
        let wait = |n: &mut u32, begun: Event, go_on: Event| {
            begun.set();
            go_on.wait().unwrap();
            *n
        };
        let (slow, begun, go_on) = (number.clone(), &begun, &go_on);
        let slow = scope.spawn(move || slow.call(wait, (begun, go_on)));
        begun.wait().unwrap();
        let end = scope.spawn(|| manager.shutdown());
        go_on.set();
        assert_eq!(slow.join().unwrap().unwrap(), 1, "what runs is answered");
        end.join().unwrap().unwrap();
    });
    assert!(process.wait().unwrap().success() && manager.process().is_none());
    let error = number.call(|n: &mut u32| *n, ()).unwrap_err();
    assert!(error.is_closed());
    assert_eq!(
        error.to_string(),
        "the manager's server is gone: it was shut down, or it was killed"
    );
    assert!(manager.shutdown().unwrap_err().is_closed());
    assert!(manager.list::<u32>().unwrap_err().is_closed());
    assert!(manager.batch(|_| ()).unwrap_err().is_closed());
    assert!(format!("{manager:?}").contains("the manager's server is gone"));
}

/// Threads that make one call each leave no channels behind, whatever they leave in the server.
#[test]
fn many_threads_one_after_the_other_share_their_channels() {
    let _watch = watch();
    let manager = Manager::new().unwrap();
    let number = manager.host(0_u64).unwrap();
    for _ in 0..200 {
        let number = &number;
        thread::scope(|scope| {
            scope.spawn(|| number.call(|n: &mut u64| *n += 1, ()).unwrap());
        });
    }
    assert_eq!(number.call(|n: &mut u64| *n, ()).unwrap(), 200);
}
