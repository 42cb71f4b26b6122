//! `Array` and `FrozenArray` as a whole.

use std::panic::{AssertUnwindSafe, catch_unwind};

use multiproc::{
    Array, ErrorKind, Event, FrozenArray, Plain, Process, Queue, RLock, Result, Value,
};
use serde::{Deserialize, Serialize};

use super::Large;
use crate::common::{SHORT, alone, killed, kind, park, quiet, until_asleep, world_size};
use crate::watchdog::watch;

fn round_trip<T: Plain + PartialEq + std::fmt::Debug>(values: &[T]) {
    fn reverse<T: Plain>(array: Array<T>) -> Array<T> {
        array.lock().unwrap().reverse();
        array
    }
    let array = Array::from_slice(values).unwrap();
    let queue: Queue<Array<T>> = Queue::new().unwrap();
    queue.put(&array).unwrap();
    let back = Process::spawn(reverse::<T>, (queue.get().unwrap(),)).unwrap().join().unwrap();
    let reversed: Vec<T> = values.iter().rev().copied().collect();
    assert_eq!(array.to_vec().unwrap(), reversed);
    assert_eq!(back.to_vec().unwrap(), reversed);
    back.copy_from_slice(values).unwrap();
    assert_eq!(array.to_vec().unwrap(), values);
}

#[test]
fn every_type_makes_the_round_trip() {
    let _watch = watch();
    round_trip(&[1i8, -2, 3]);
    round_trip(&[1u8, 2, 255]);
    round_trip(&[1i16, -2, 3]);
    round_trip(&[1u16, 2, 3]);
    round_trip(&[1i32, -2, 3]);
    round_trip(&[1u32, 2, 3]);
    round_trip(&[1i64, -2, i64::MAX]);
    round_trip(&[1u64, 2, 3]);
    round_trip(&[1usize, 2, 3]);
    round_trip(&[0.5f32, -0.0, 3.0]);
    round_trip(&[0.5f64, -0.0, 3.0]);
    round_trip(&[true, false, true]);
    round_trip(&['a', 'é', '\u{10ffff}']);
    round_trip(&[Large::of(1), Large::of(2)]);
    round_trip(&[1u128, 2]);
}

#[test]
fn elements_and_ranges() {
    let array = Array::from_fn(10, |index| index as u32).unwrap();
    assert_eq!((array.len(), array.is_empty()), (10, false));
    assert_eq!(array.get(3).unwrap(), 3);
    array.set(3, 30).unwrap();
    assert_eq!(array.update(3, |n| std::mem::replace(n, 31)).unwrap(), 30);
    assert_eq!(array.read(2..5).unwrap(), [2, 31, 4]);
    assert_eq!(array.read(8..).unwrap(), [8, 9]);
    assert_eq!(array.read(..=1).unwrap(), [0, 1]);
    assert_eq!(array.read(4..4).unwrap(), []);
    array.write(8, &[80, 90]).unwrap();
    let mut sum = 0;
    for number in &array {
        sum += number.unwrap();
    }
    assert_eq!(sum, 1 + 2 + 31 + 4 + 5 + 6 + 7 + 80 + 90);
    let mut copy = [0; 10];
    array.copy_to_slice(&mut copy).unwrap();
    array.fill(7).unwrap();
    assert_eq!(copy[9], 90, "a copy is not affected");
    assert_eq!(array.to_vec().unwrap(), [7; 10]);
    assert!(format!("{array:?}").starts_with("Array { values: [7, 7, 7"), "{array:?}");
}

#[test]
fn in_a_users_structure() {
    #[derive(Clone, Serialize, Deserialize)]
    struct Job {
        numbers: Array<u32>,
        sum: Value<u32>,
        name: String,
    }
    fn work(job: Job) -> Result<Job> {
        job.sum.set(job.numbers.to_vec()?.iter().sum())?;
        assert_eq!(job.name, "sum");
        Ok(job)
    }
    let _watch = watch();
    let job = Job {
        numbers: Array::from_slice(&[1, 2, 3]).unwrap(),
        sum: Value::new(0).unwrap(),
        name: "sum".to_owned(),
    };
    let back = Process::spawn(work, (&job,)).unwrap().join().unwrap().unwrap();
    assert_eq!(job.sum.get().unwrap(), 6);
    back.numbers.set(0, 9).unwrap();
    assert_eq!(job.numbers.get(0).unwrap(), 9);
}

#[test]
fn zeroed_is_zero_after_dirty_reuse() {
    let _watch = watch();
    alone(|| {
        for round in 0..3 {
            for len in [1, 500, 5_000, 20_000, 300_000, 3_000_000] {
                let array: Array<u64> = Array::zeroed(len).unwrap();
                assert!(array.lock().unwrap().iter().all(|n| *n == 0), "{len} in round {round}");
                array.fill(u64::MAX).unwrap();
                // The next one finds the claims dirty, too.
                let part = array.partition(1).unwrap().remove(0);
                std::mem::forget(part.claim().unwrap());
            }
        }
        let array = Array::from_slice(&[1u8; 100]).unwrap();
        assert_eq!(array.to_vec().unwrap(), [1; 100], "no claim of an earlier array is left");
    });
}

#[test]
fn pages_come_when_touched_and_go_with_the_last_handle() {
    let _watch = watch();
    alone(|| {
        drop(RLock::new().unwrap());
        let before = world_size().1;
        let array: Array<u8> = Array::zeroed(256 << 20).unwrap();
        array.set(200 << 20, 1).unwrap();
        assert!(world_size().1 < before + (1 << 20), "nothing was touched but two pages");
        array.write(0, &vec![1; 200 << 20]).unwrap();
        assert!(world_size().1 > 200 << 20);
        let clone = array.clone();
        drop(array);
        assert_eq!(clone.get(200 << 20).unwrap(), 1);
        drop(clone);
        let left = world_size().1;
        assert!(left < 200 << 20, "{left} bytes are left");
        for _ in 0..1000 {
            drop(Array::from_slice(&[1u8; 5000]).unwrap());
        }
        assert!(world_size().1 < left + (1 << 20));
    });
}

#[test]
fn one_borrow_at_a_time() {
    let _watch = watch();
    let array = Array::from_slice(&[1, 2, 3]).unwrap();
    let clone = array.clone();
    let mut guard = array.lock().unwrap();
    guard[0] = 10;
    for error in [
        clone.lock().map(drop).unwrap_err(),
        clone.get(0).map(drop).unwrap_err(),
        clone.set(0, 1).unwrap_err(),
        clone.update(0, |_| ()).unwrap_err(),
        clone.read(..).map(drop).unwrap_err(),
        clone.write(0, &[1]).unwrap_err(),
        clone.to_vec().map(drop).unwrap_err(),
        clone.fill(1).unwrap_err(),
        clone.freeze().map(drop).unwrap_err(),
        (&clone).into_iter().next().unwrap().map(drop).unwrap_err(),
    ] {
        assert!(error.is_already_borrowed(), "{error}");
    }
    assert_eq!(format!("{guard:?}"), "ArrayGuard([10, 2, 3])");
    drop(guard);
    assert_eq!(array.update(1, |_| kind(clone.get(0))).unwrap(), ErrorKind::AlreadyBorrowed);
    let _held = array.get_lock().lock().unwrap();
    array.set(1, array.get(1).unwrap() + 1).unwrap();
    assert_eq!(clone.to_vec().unwrap(), [10, 3, 3]);
    std::thread::scope(|scope| {
        let other = scope.spawn(|| {
            assert_eq!(kind(array.try_get(0)), ErrorKind::Busy);
            assert_eq!(kind(array.try_set(0, 1)), ErrorKind::Busy);
            assert_eq!(kind(array.try_update(0, |_| ())), ErrorKind::Busy);
            assert_eq!(kind(array.try_read(1..)), ErrorKind::Busy);
            assert_eq!(kind(array.try_write(0, &[1])), ErrorKind::Busy);
            assert_eq!(kind(array.try_copy_to_slice(&mut [0; 3])), ErrorKind::Busy);
            assert_eq!(kind(array.try_copy_from_slice(&[0; 3])), ErrorKind::Busy);
            assert_eq!(kind(array.try_fill(0)), ErrorKind::Busy);
            assert_eq!(kind(array.try_freeze()), ErrorKind::Busy);
            assert_eq!(kind(array.try_recover()), ErrorKind::Busy);
            assert_eq!(kind(array.read_timeout(.., SHORT)), ErrorKind::Timeout);
            assert_eq!(kind(array.lock_timeout(SHORT)), ErrorKind::Timeout);
        });
        other.join().unwrap();
    });
}

#[test]
fn under_a_lock_of_the_users() {
    let lock = RLock::new().unwrap();
    let array = Array::builder(&[1, 2]).lock(&lock).build().unwrap();
    let value = Value::builder(3).lock(&lock).build().unwrap();
    let guard = array.lock().unwrap();
    assert_eq!(value.get().unwrap(), 3);
    assert!(lock.is_locked());
    drop(guard);
    assert!(!lock.is_locked());
}

#[test]
fn a_killed_writer_is_told_and_repaired() {
    let _watch = watch();
    for repair in 0..3 {
        let (array, held) = (Array::from_slice(&[1, 2, 3]).unwrap(), Event::new().unwrap());
        let write = |array: Array<i32>, held: Event| {
            let mut guard = array.lock().unwrap();
            guard[1] = 20;
            held.set();
            park();
        };
        let dead = Process::spawn(write, (&array, &held)).unwrap();
        held.wait().unwrap();
        killed(dead);
        assert_eq!(kind(array.get(0)), ErrorKind::OwnerDied);
        assert_eq!(kind(array.set(0, 1)), ErrorKind::OwnerDied, "one element is not the whole");
        assert_eq!(kind(array.lock()), ErrorKind::OwnerDied);
        assert_eq!(kind(array.freeze()), ErrorKind::OwnerDied);
        match repair {
            0 => array.recover().unwrap()[1] = 2,
            1 => array.copy_from_slice(&[1, 2, 3]).unwrap(),
            _ => array.fill(2).unwrap(),
        }
        assert_eq!(array.get(1).unwrap(), 2);
        drop(array.get_lock().lock().unwrap());
    }
}

#[test]
fn a_killed_reader_leaves_nothing() {
    let _watch = watch();
    // Copying takes some milliseconds; one kill in a few hits the middle of it.
    let array = Array::from_fn(2_000_000, |index| index as u64).unwrap();
    let read = |array: Array<u64>, ready: Event| {
        // The first time, pages come between any two instructions.
        array.to_vec().unwrap();
        ready.set();
        loop {
            array.to_vec().unwrap();
        }
    };
    let (mut in_the_middle, mut unsaid) = (0, 0);
    for _ in 0..20 {
        let ready = Event::new().unwrap();
        let reader: Process<()> = Process::spawn(read, (&array, &ready)).unwrap();
        ready.wait().unwrap();
        crate::common::until("it reads", || array.get_lock().is_locked());
        killed(reader);
        in_the_middle +=
            usize::from(format!("{:?}", array.get_lock()).contains("owner_died: true"));
        match array.get(7) {
            Ok(found) => assert_eq!(found, 7, "reading alone leaves no mark"),
            // Between taking the lock and saying that it only reads; a matter of nanoseconds.
            Err(error) => {
                assert!(error.is_owner_died(), "{error:?}");
                unsaid += 1;
                drop(array.recover().unwrap());
            }
        }
        drop(array.get_lock().lock().unwrap());
    }
    assert!(in_the_middle > 0, "no kill hit a reader");
    assert!(unsaid <= 2, "{unsaid} of 20 left a mark");
}

#[test]
fn a_panic_marks_like_a_death() {
    let _watch = watch();
    let array = Array::from_slice(&[1, 2, 3]).unwrap();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let mut guard = array.lock().unwrap();
        guard[0] = 10;
        let beyond = 3;
        guard[beyond] = 40;
    }));
    assert!(panicked.is_err());
    assert_eq!(kind(array.get(0)), ErrorKind::OwnerDied);
    assert_eq!(*array.recover().unwrap(), [10, 2, 3]);
    let panicked = catch_unwind(AssertUnwindSafe(|| array.update(0, |_| panic!("no"))));
    assert!(panicked.is_err());
    assert_eq!(kind(array.get(0)), ErrorKind::OwnerDied);
}

#[test]
fn a_slice_outlives_the_thread_that_forgot_its_guard() {
    let _watch = watch();
    let forgets = |array: Array<i32>, forgotten: Event, other: Event| {
        let array = &array;
        let part = array.partition(1).unwrap().remove(0);
        let slice: &mut [i32] = std::thread::scope(|scope| {
            // Safe code: the guard is never dropped, and the slice is lent for as long as the array.
            let leak = || -> &mut [i32] { &mut *Box::leak(Box::new(array.lock().unwrap())) };
            scope.spawn(leak).join().unwrap()
        });
        // The thread has ended with the lock, and here is still its slice.
        slice[0] = 10;
        for kind in [
            kind(array.recover()),
            kind(array.fill(0)),
            kind(array.copy_from_slice(&[0, 0])),
            kind(part.claim()),
        ] {
            assert_eq!(kind, ErrorKind::Busy);
        }
        assert_eq!(kind(array.get(0)), ErrorKind::OwnerDied);
        slice[1] = 20;
        forgotten.set();
        other.wait().unwrap();
        assert_eq!(slice, [10, 20]);
    };
    let array = Array::from_slice(&[1, 2]).unwrap();
    let (forgotten, other) = (Event::new().unwrap(), Event::new().unwrap());
    let child = Process::spawn(forgets, (&array, &forgotten, &other)).unwrap();
    forgotten.wait().unwrap();
    let error = array.recover().unwrap_err();
    assert!(error.is_busy() && error.to_string().contains("until that process ends"), "{error}");
    assert_eq!(kind(array.try_recover()), ErrorKind::Busy);
    other.set();
    child.join().unwrap();
    assert_eq!(*array.recover().unwrap(), [10, 20]);
    assert_eq!(array.get(1).unwrap(), 20);
}

#[test]
fn frozen_is_for_ever_and_for_everyone() {
    let _watch = watch();
    let array = Array::from_slice(&['a', 'b', 'c']).unwrap();
    let parts = array.partition(2).unwrap();
    let frozen = array.freeze().unwrap();
    assert_eq!(frozen.iter().collect::<String>(), "abc");
    let elsewhere = |frozen: FrozenArray<char>, array: Array<char>| {
        let error = array.set(0, 'x').unwrap_err();
        assert!(error.to_string().contains("frozen"), "{error}");
        (frozen.to_vec(), error.kind(), kind(array.lock()), array.get(2).unwrap())
    };
    let seen = Process::spawn(elsewhere, (&frozen, &array)).unwrap().join().unwrap();
    let denied = ErrorKind::PermissionDenied;
    assert_eq!(seen, (vec!['a', 'b', 'c'], denied, denied, 'c'));
    assert_eq!(kind(parts[0].claim()), denied);
    assert_eq!(kind(array.recover()), denied);
    assert_eq!(kind(array.fill('x')), denied);
    assert_eq!(array.to_vec().unwrap(), ['a', 'b', 'c']);
    assert_eq!(&*array.freeze().unwrap(), &*frozen, "again is no error");
    assert_eq!(format!("{frozen:?}"), "FrozenArray(['a', 'b', 'c'])");
    assert_eq!((&frozen).into_iter().count(), 3);
}

#[test]
fn who_dies_with_the_lock_of_a_frozen_array_keeps_nobody_from_it() {
    let _watch = watch();
    let array = Array::from_slice(&[1, 2, 3]).unwrap();
    array.freeze().unwrap();
    let die = |array: Array<i32>| {
        std::mem::forget(array.get_lock().lock().unwrap());
        std::process::abort()
    };
    assert!(quiet().spawn(die, (&array,)).unwrap().join().is_err());
    assert_eq!(*array.freeze().unwrap(), [1, 2, 3]);
    assert_eq!(array.to_vec().unwrap(), [1, 2, 3]);
}

#[test]
fn freezing_waits_for_whoever_has_it() {
    let _watch = watch();
    let (array, held, go) =
        (Array::from_slice(&[1, 2]).unwrap(), Event::new().unwrap(), Event::new().unwrap());
    let write = |array: Array<i32>, held: Event, go: Event| {
        let mut guard = array.lock().unwrap();
        held.set();
        go.wait().unwrap();
        guard[1] = 20;
    };
    let writer = Process::spawn(write, (&array, &held, &go)).unwrap();
    held.wait().unwrap();
    let freezer = Process::spawn(|array: Array<i32>| array.freeze().unwrap(), (&array,)).unwrap();
    until_asleep(&freezer.handle());
    go.set();
    assert_eq!(*freezer.join().unwrap(), [1, 20]);
    writer.join().unwrap();
}

#[cfg(feature = "ndarray")]
#[test]
fn views_have_shapes() {
    let array = Array::from_fn(6, |index| index as f64).unwrap();
    let mut guard = array.lock().unwrap();
    guard.view_mut((2, 3)).unwrap()[[1, 2]] = 50.0;
    assert_eq!(guard.view((3, 2)).unwrap().row(2).sum(), 54.0);
    let error = guard.view((2, 2)).unwrap_err();
    assert!(error.is_invalid_input() && error.to_string().contains("6 elements"), "{error}");
    drop(guard);
    let parts = array.partition(2).unwrap();
    let mut part = parts[1].claim().unwrap();
    part.view_mut((1, 3)).unwrap().fill(1.0);
    assert_eq!(part.view(3).unwrap().sum(), 3.0);
    drop(part);
    assert_eq!(array.freeze().unwrap().view((6,)).unwrap().sum(), 6.0);
}
