//! `ArrayPart`: claims of several processes, of the dead, and of parts that moved.

use multiproc::{Array, ArrayPart, ErrorKind, Event, Process, Queue, Result};

use crate::common::{SHORT, killed, kind, park, until, until_asleep};
use crate::watchdog::watch;

fn array() -> Array<u32> {
    Array::from_fn(10, |index| index as u32).unwrap()
}

#[test]
fn ranges_cover_the_array_once() {
    for len in [0, 1, 2, 7, 10] {
        let array = Array::from_fn(len, |index| index as u32).unwrap();
        for count in [1, 2, 3, 10, 11] {
            let parts = array.partition(count).unwrap();
            assert_eq!(parts.len(), count);
            let all: Vec<usize> = parts.iter().flat_map(ArrayPart::range).collect();
            assert_eq!(all, (0..len).collect::<Vec<_>>());
            let lengths = parts.iter().map(ArrayPart::len);
            assert!(lengths.clone().max().unwrap() - lengths.min().unwrap() <= 1);
            let chunks = array.chunks(count).unwrap();
            assert_eq!(chunks.len(), len.div_ceil(count));
            assert!(chunks.iter().rev().skip(1).all(|chunk| chunk.len() == count));
            let all: Vec<usize> = chunks.iter().flat_map(ArrayPart::range).collect();
            assert_eq!(all, (0..len).collect::<Vec<_>>());
            for part in &parts {
                assert_eq!(part.claim().unwrap().len(), part.len());
            }
        }
    }
}

#[test]
fn processes_write_at_the_same_time() {
    fn fill(part: ArrayPart<u32>, claimed: Queue<()>, go: Event) -> Result<ArrayPart<u32>> {
        let mut guard = part.claim()?;
        claimed.put(())?;
        go.wait()?;
        for number in guard.iter_mut() {
            *number += 100;
        }
        drop(guard);
        Ok(part)
    }
    let _watch = watch();
    let array = array();
    let (claimed, go) = (Queue::new().unwrap(), Event::new().unwrap());
    let mut children = Vec::new();
    for part in array.partition(3).unwrap() {
        children.push(Process::spawn(fill, (part, &claimed, &go)).unwrap());
    }
    for _ in 0..3 {
        claimed.get().unwrap();
    }
    assert_eq!(kind(array.get(0)), ErrorKind::Busy);
    go.set();
    let parts: Vec<_> = children.into_iter().map(|child| child.join().unwrap().unwrap()).collect();
    assert_eq!(array.to_vec().unwrap(), (100..110).collect::<Vec<u32>>());
    // They came back with the results, and can be claimed here.
    assert_eq!(parts[2].claim().unwrap()[0], 107);
}

#[test]
fn a_claim_shuts_everybody_else_out() {
    let _watch = watch();
    let array = array();
    let (parts, others) = (array.partition(2).unwrap(), array.chunks(5).unwrap());
    let guard = parts[0].claim().unwrap();
    for error in [
        parts[0].claim().map(drop).unwrap_err(),
        others[1].claim().map(drop).unwrap_err(),
        array.lock().map(drop).unwrap_err(),
        array.try_lock().map(drop).unwrap_err(),
        array.recover().map(drop).unwrap_err(),
        array.get(9).map(drop).unwrap_err(),
        array.set(9, 1).unwrap_err(),
        array.update(9, |_| ()).unwrap_err(),
        array.read(8..).map(drop).unwrap_err(),
        array.write(8, &[1]).unwrap_err(),
        array.fill(1).unwrap_err(),
        array.freeze().map(drop).unwrap_err(),
    ] {
        assert!(error.is_busy(), "{error}");
        assert!(error.to_string().contains("claim"), "{error}");
    }
    // The lock alone gives no access to the data.
    drop(array.get_lock().lock().unwrap());
    let second = parts[1].claim().unwrap();
    assert_eq!((guard.range(), second.range()), (0..5, 5..10));
    drop(guard);
    assert_eq!(kind(array.get(0)), ErrorKind::Busy);
    drop(second);
    assert_eq!(others[1].claim().unwrap()[0], 5);
    assert_eq!(array.get(0).unwrap(), 0);
}

#[test]
fn a_guard_of_the_whole_shuts_claims_out() {
    let _watch = watch();
    let array = array();
    let part = array.partition(2).unwrap().remove(0);
    let guard = array.lock().unwrap();
    assert_eq!(kind(part.claim()), ErrorKind::Busy);
    std::thread::scope(|scope| {
        let other = scope.spawn(|| kind(part.claim()));
        assert_eq!(other.join().unwrap(), ErrorKind::Busy);
    });
    let claim = |part: ArrayPart<u32>| kind(part.claim());
    assert_eq!(Process::spawn(claim, (part,)).unwrap().join().unwrap(), ErrorKind::Busy);
    drop(guard);
    let part = array.partition(2).unwrap().remove(1);
    let nested = array.update(0, |_| kind(part.claim())).unwrap();
    assert_eq!(nested, ErrorKind::Busy);
    let _held = array.get_lock().lock().unwrap();
    assert_eq!(part.claim().unwrap()[0], 5);
}

fn die(part: ArrayPart<u32>, claimed: Event) {
    let mut guard = part.claim().unwrap();
    guard[0] = 99;
    claimed.set();
    park();
}

#[test]
fn a_dead_claim_is_told_until_it_is_repaired() {
    let _watch = watch();
    for repair in 0..3 {
        let array = array();
        let part = array.partition(2).unwrap().remove(0);
        let claimed = Event::new().unwrap();
        let dead = Process::spawn(die, (part, &claimed)).unwrap();
        claimed.wait().unwrap();
        assert_eq!(kind(array.get(0)), ErrorKind::Busy);
        killed(dead);
        until("the claim is free", || !array.get(0).is_err_and(|e| e.is_busy()));
        let error = array.get(0).unwrap_err();
        assert!(error.is_owner_died() && error.to_string().contains("recover"), "{error}");
        match repair {
            0 => drop(array.recover().unwrap()),
            1 => array.fill(0).unwrap(),
            // Another partition does the work again; the mark goes with a recovery.
            _ => {
                for part in array.partition(5).unwrap() {
                    part.claim().unwrap().fill(1);
                }
                assert_eq!(kind(array.get(0)), ErrorKind::OwnerDied);
                assert_eq!(*array.recover().unwrap(), [1; 10]);
            }
        }
        array.get(0).unwrap();
    }
}

#[test]
fn whoever_claims_a_dead_ones_part_does_its_work_again() {
    let _watch = watch();
    let array = array();
    let parts: Queue<ArrayPart<u32>> = Queue::new().unwrap();
    let claimed = Event::new().unwrap();
    let part = array.partition(2).unwrap().remove(0);
    let take = |part: ArrayPart<u32>, claimed: Event, back: Queue<ArrayPart<u32>>| {
        std::mem::forget(part.claim().unwrap());
        back.put(part).unwrap();
        claimed.set();
        park();
    };
    let dead = Process::spawn(take, (part, &claimed, &parts)).unwrap();
    claimed.wait().unwrap();
    let part = parts.get().unwrap();
    assert_eq!(kind(part.claim()), ErrorKind::Busy);
    killed(dead);
    until("it is free", || !part.claim().is_err_and(|error| error.is_busy()));
    assert_eq!(array.get(0).unwrap(), 0, "done again and given back: nothing is half written");
}

#[test]
fn a_claim_after_a_death_says_so() {
    let _watch = watch();
    let array = array();
    let parts: Queue<ArrayPart<u32>> = Queue::new().unwrap();
    let part = array.partition(2).unwrap().remove(0);
    let take = |part: ArrayPart<u32>, back: Queue<ArrayPart<u32>>| {
        std::mem::forget(part.claim().unwrap());
        back.put(part).unwrap();
    };
    Process::spawn(take, (part, &parts)).unwrap().join().unwrap();
    let part = parts.get().unwrap();
    until("it is free", || !array.get(0).is_err_and(|error| error.is_busy()));
    // The look has marked the array and forgotten the claim; the part itself is free.
    assert!(!part.claim().unwrap().is_taken_over());
    assert_eq!(kind(array.get(0)), ErrorKind::OwnerDied);
    drop(array.recover().unwrap());
    assert_eq!(array.get(0).unwrap(), 0);
}

#[test]
fn a_claim_waits_for_the_lock_alone() {
    let _watch = watch();
    let array = array();
    let part = array.partition(1).unwrap().remove(0);
    let held = array.get_lock().lock().unwrap();
    std::thread::scope(|scope| {
        let other = scope.spawn(|| {
            assert_eq!(kind(part.try_claim()), ErrorKind::Busy);
            assert_eq!(kind(part.claim_timeout(SHORT)), ErrorKind::Timeout);
        });
        other.join().unwrap();
    });
    let claimer = Process::spawn(|part: ArrayPart<u32>| part.claim().map(drop), (part,)).unwrap();
    until_asleep(&claimer.handle());
    drop(held);
    claimer.join().unwrap().unwrap();
}

#[test]
fn a_part_moves_to_one_place() {
    let _watch = watch();
    let array = array();
    let queue: Queue<ArrayPart<u32>> = Queue::new().unwrap();
    let part = array.partition(2).unwrap().remove(0);
    // By reference, twice: the handle stays usable until the first has arrived.
    queue.put(&part).unwrap();
    queue.put(&part).unwrap();
    drop(part.claim().unwrap());
    let arrived = queue.get().unwrap();
    let error = queue.get().unwrap_err();
    assert!(error.is_closed() && error.to_string().contains("has moved"), "{error}");
    let error = part.claim().unwrap_err();
    assert!(error.is_closed() && error.to_string().contains("has moved"), "{error}");
    drop(arrived.claim().unwrap());
    // And on, and back.
    let pass = |part: ArrayPart<u32>| part;
    let back = Process::spawn(pass, (arrived,)).unwrap().join().unwrap();
    assert_eq!(back.claim().unwrap().len(), 5);
}

#[test]
fn a_forgotten_claim_stays_until_the_process_ends() {
    let _watch = watch();
    let array = array();
    let part = array.partition(1).unwrap().remove(0);
    std::mem::forget(part.claim().unwrap());
    assert_eq!(kind(part.claim()), ErrorKind::Busy);
    assert_eq!(kind(array.lock()), ErrorKind::Busy);
    drop(part);
    assert_eq!(kind(array.lock()), ErrorKind::Busy);
}

#[test]
fn a_guard_can_be_lent_to_threads() {
    let array = array();
    let part = array.partition(1).unwrap().remove(0);
    let mut guard = part.claim().unwrap();
    let (left, right) = guard.split_at_mut(5);
    std::thread::scope(|scope| {
        scope.spawn(|| left.fill(1));
        scope.spawn(|| right.fill(2));
    });
    std::thread::scope(|scope| {
        scope.spawn(move || drop(guard));
    });
    assert_eq!(array.read(4..6).unwrap(), [1, 2]);
}

#[test]
fn more_claims_than_there_is_room_for() {
    let array: Array<u8> = Array::zeroed(2000).unwrap();
    let parts = array.chunks(1).unwrap();
    let guards: Vec<_> = parts[..1024].iter().map(|part| part.claim().unwrap()).collect();
    let error = parts[1024].claim().unwrap_err();
    assert!(error.is_limit() && error.to_string().contains("1024 parts"), "{error}");
    drop(guards);
    drop(parts[1024].claim().unwrap());
}

#[test]
fn the_dead_do_not_fill_the_table() {
    let _watch = watch();
    // As many entries as elements.
    let array = Array::from_slice(&[1, 2]).unwrap();
    for _ in 0..2 {
        let claim = |parts: Vec<ArrayPart<i32>>| {
            parts.iter().for_each(|part| {
                std::mem::forget(part.claim().unwrap());
            })
        };
        Process::spawn(claim, (array.partition(2).unwrap(),)).unwrap().join().unwrap();
        let part = array.partition(1).unwrap().remove(0);
        until("they are gone", || !part.claim().is_err_and(|error| error.is_busy()));
        part.claim().unwrap().fill(7);
        assert_eq!(kind(array.get(0)), ErrorKind::OwnerDied);
    }
    drop(array.recover().unwrap());
    assert_eq!(array.to_vec().unwrap(), [7, 7]);
}

#[test]
fn only_processes_that_are_gone_lose_their_claims() {
    let _watch = watch();
    let array = array();
    let part = array.partition(1).unwrap().remove(0);
    // The thread that claimed ends; the process lives.
    let guard = std::thread::scope(|scope| scope.spawn(|| part.claim().unwrap()).join().unwrap());
    assert_eq!(kind(part.claim()), ErrorKind::Busy);
    drop(guard);
    drop(part.claim().unwrap());
}
