//! `Value` and `Atomic`.

use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

use multiproc::{Atomic, ErrorKind, Event, Plain, Process, Queue, RLock, Value};

use super::Large;
use crate::common::{LONG, SHORT, alone, killed, kind, park, until_asleep};
use crate::watchdog::watch;

/// There and back: to another process and by its hand, through a queue, in a result.
fn round_trip<T: Plain + PartialEq + Debug>(first: T, second: T) {
    fn exchange<T: Plain>(value: Value<T>, both: Queue<Value<T>>) -> Value<T> {
        let given = both.get().unwrap();
        let (a, b) = (value.get().unwrap(), given.get().unwrap());
        value.set(b).unwrap();
        given.set(a).unwrap();
        value
    }
    let (a, b) = (Value::new(first).unwrap(), Value::new(second).unwrap());
    let queue = Queue::new().unwrap();
    queue.put(&b).unwrap();
    let back = Process::spawn(exchange::<T>, (&a, &queue)).unwrap().join().unwrap();
    assert_eq!(a.get().unwrap(), second);
    assert_eq!(b.get().unwrap(), first);
    assert_eq!(back.swap(first).unwrap(), second);
    assert_eq!(a.get().unwrap(), first, "the same value");
}

#[test]
fn every_type_makes_the_round_trip() {
    let _watch = watch();
    round_trip::<i8>(-1, i8::MIN);
    round_trip::<u8>(1, u8::MAX);
    round_trip::<i16>(-1, i16::MIN);
    round_trip::<u16>(1, u16::MAX);
    round_trip::<i32>(-1, i32::MIN);
    round_trip::<u32>(1, u32::MAX);
    round_trip::<i64>(-1, i64::MIN);
    round_trip::<u64>(1, u64::MAX);
    round_trip::<usize>(1, usize::MAX);
    round_trip::<u128>(1, u128::MAX);
    round_trip::<f32>(0.5, f32::MIN_POSITIVE);
    round_trip::<f64>(0.5, -0.0);
    round_trip::<bool>(true, false);
    round_trip::<char>('a', '\u{10ffff}');
    round_trip::<[u8; 3]>([1, 2, 3], [4, 5, 6]);
    round_trip::<()>((), ());
}

#[test]
fn a_structure_of_48_bytes_makes_the_round_trip() {
    let _watch = watch();
    assert_eq!(size_of::<Large>(), 48);
    let value = Value::new(Large::of(1)).unwrap();
    let child = |value: Value<Large>| value.set(Large::of(value.get().unwrap().numbers[0] + 1));
    Process::spawn(child, (&value,)).unwrap().join().unwrap().unwrap();
    assert_eq!(value.get().unwrap(), Large::of(2));
}

#[test]
fn a_copy_is_not_affected_by_later_changes() {
    let value = Value::new(1).unwrap();
    let copy = value.get().unwrap();
    value.set(2).unwrap();
    assert_eq!((copy, value.get().unwrap()), (1, 2));
}

#[test]
fn no_read_is_torn() {
    let _watch = watch();
    let value = Value::new(Large::of(0)).unwrap();
    let stop = Event::new().unwrap();
    let writer = |value: Value<Large>, stop: Event, mine: u64| {
        let mut n = mine;
        while !stop.is_set() {
            value.set(Large::of(n)).unwrap();
            n += 2;
        }
    };
    let writers = [0, 1].map(|n| Process::spawn(writer, (&value, &stop, n)).unwrap());
    for _ in 0..20_000 {
        assert!(value.get().unwrap().is_whole());
    }
    stop.set();
    for writer in writers {
        writer.join().unwrap();
    }
}

#[test]
fn four_processes_count_exactly_in_every_way() {
    let _watch = watch();
    const EACH: u32 = 20_000;
    let counters = [(); 3].map(|()| Value::new(0u32).unwrap());
    let atomic = Atomic::new(0u32).unwrap();
    let work = |[by_update, by_guard, by_lock]: [Value<u32>; 3], atomic: Atomic<u32>| {
        for _ in 0..EACH {
            by_update.update(|n| *n += 1).unwrap();
            *by_guard.lock().unwrap() += 1;
            let _held = by_lock.get_lock().lock().unwrap();
            by_lock.set(by_lock.get().unwrap() + 1).unwrap();
            atomic.fetch_add(1);
        }
    };
    let workers = [(); 4].map(|()| Process::spawn(work, (&counters, &atomic)).unwrap());
    for worker in workers {
        worker.join().unwrap();
    }
    for counter in &counters {
        assert_eq!(counter.get().unwrap(), 4 * EACH);
    }
    assert_eq!(atomic.load(), 4 * EACH);
}

#[test]
fn one_borrow_at_a_time() {
    let _watch = watch();
    let value = Value::new(5).unwrap();
    let clone = value.clone();
    let guard = value.lock().unwrap();
    for error in [
        clone.lock().map(drop).unwrap_err(),
        clone.try_lock().map(drop).unwrap_err(),
        clone.recover().map(drop).unwrap_err(),
        clone.get().map(drop).unwrap_err(),
        clone.set(1).unwrap_err(),
        clone.swap(1).map(drop).unwrap_err(),
        clone.update(|n| *n = 1).unwrap_err(),
    ] {
        assert!(error.is_already_borrowed(), "{error}");
    }
    let _held = clone.get_lock().lock().unwrap();
    assert_eq!(value.get_lock().depth(), 2);
    drop(guard);
    assert_eq!(clone.get().unwrap(), 5);
    let nested = value.update(|_| kind(clone.get())).unwrap();
    assert_eq!(nested, ErrorKind::AlreadyBorrowed);
    std::thread::scope(|scope| {
        let other = scope.spawn(|| {
            assert_eq!(kind(value.try_lock()), ErrorKind::Busy);
            assert_eq!(kind(value.try_get()), ErrorKind::Busy);
            assert_eq!(kind(value.try_set(1)), ErrorKind::Busy);
            assert_eq!(kind(value.try_swap(1)), ErrorKind::Busy);
            assert_eq!(kind(value.try_update(|_| ())), ErrorKind::Busy);
            assert_eq!(kind(value.update_timeout(|_| (), SHORT)), ErrorKind::Timeout);
            assert_eq!(kind(value.get_timeout(SHORT)), ErrorKind::Timeout);
            assert_eq!(kind(value.set_timeout(1, SHORT)), ErrorKind::Timeout);
            assert_eq!(kind(value.lock_timeout(SHORT)), ErrorKind::Timeout);
        });
        other.join().unwrap();
    });
}

#[test]
fn several_objects_under_one_lock() {
    let _watch = watch();
    let lock = RLock::new().unwrap();
    let a = Value::builder(1).lock(&lock).build().unwrap();
    let b = Value::builder(Large::of(2)).lock(&lock).build().unwrap();
    let a_guard = a.lock().unwrap();
    // The lock may be taken again, the data of another object too.
    assert_eq!(b.get().unwrap(), Large::of(2));
    assert_eq!(lock.depth(), 1);
    let in_other = |b: Value<Large>, lock: RLock| (kind(b.try_get()), kind(lock.try_lock()));
    let seen = Process::spawn(in_other, (&b, &lock)).unwrap().join().unwrap();
    assert_eq!(seen, (ErrorKind::Busy, ErrorKind::Busy));
    drop(a_guard);
    // One dies with `a` borrowed.
    let dead = Process::spawn(die_with_guard, (&a, &Event::new().unwrap())).unwrap();
    until_held(&a);
    killed(dead);
    assert_eq!(kind(a.get()), ErrorKind::OwnerDied);
    assert_eq!(kind(b.get()), ErrorKind::OwnerDied, "the lock is marked");
    a.set(7).unwrap();
    assert_eq!(kind(b.get()), ErrorKind::OwnerDied, "the lock is still marked");
    drop(lock.recover().unwrap());
    assert_eq!((a.get().unwrap(), b.get().unwrap()), (7, Large::of(2)));
}

fn die_with_guard(value: Value<i32>, held: Event) {
    let mut guard = value.lock().unwrap();
    *guard = -1;
    held.set();
    park();
}

fn until_held(value: &Value<i32>) {
    crate::common::until("it is held", || value.get_lock().is_locked());
}

#[test]
fn a_killed_borrower_is_told_and_repaired() {
    let _watch = watch();
    for repair in [true, false] {
        let (value, held) = (Value::new(5).unwrap(), Event::new().unwrap());
        let dead = Process::spawn(die_with_guard, (&value, &held)).unwrap();
        held.wait().unwrap();
        let ready = Event::new().unwrap();
        let waits = |value: Value<i32>, ready: Event| {
            ready.set();
            kind(value.get_timeout(LONG))
        };
        let waiter = Process::spawn(waits, (&value, &ready)).unwrap();
        ready.wait().unwrap();
        until_asleep(&waiter.handle());
        killed(dead);
        assert_eq!(waiter.join().unwrap(), ErrorKind::OwnerDied);
        for kind in [
            kind(value.get()),
            kind(value.lock()),
            kind(value.update(|_| ())),
            kind(value.swap(1)),
            kind(value.get_lock().lock()),
        ] {
            assert_eq!(kind, ErrorKind::OwnerDied);
        }
        if repair {
            let mut guard = value.recover().unwrap();
            assert_eq!(*guard, 5, "what it was before the guard");
            *guard += 1;
            drop(guard);
        } else {
            value.set(6).unwrap();
        }
        assert_eq!(value.get().unwrap(), 6);
        drop(value.get_lock().lock().unwrap());
    }
}

#[test]
fn one_killed_with_the_lock_is_told_too() {
    let _watch = watch();
    let (value, held) = (Value::new(5).unwrap(), Event::new().unwrap());
    let hold = |value: Value<i32>, held: Event| {
        let _held = value.get_lock().lock().unwrap();
        value.set(value.get().unwrap() + 1).unwrap();
        held.set();
        park();
    };
    let dead = Process::spawn(hold, (&value, &held)).unwrap();
    held.wait().unwrap();
    killed(dead);
    assert_eq!(kind(value.get()), ErrorKind::OwnerDied);
    drop(value.get_lock().recover().unwrap());
    assert_eq!(value.get().unwrap(), 6);
}

#[test]
fn a_panic_marks_like_a_death() {
    let _watch = watch();
    let value = Value::new(5).unwrap();
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        value.update(|n| {
            *n = 6;
            panic!("in the middle")
        })
    }));
    assert!(panicked.is_err());
    assert_eq!(kind(value.get()), ErrorKind::OwnerDied);
    assert!(format!("{value:?}").contains("half_written: true"), "{value:?}");
    assert_eq!(*value.recover().unwrap(), 5);
    assert_eq!(value.get().unwrap(), 5);
    // One that is made while a panic goes on, and ends well, is no panic of its own.
    struct InDrop<'a>(&'a Value<i32>);
    impl Drop for InDrop<'_> {
        fn drop(&mut self) {
            self.0.update(|n| *n += 1).unwrap();
        }
    }
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let _in_drop = InDrop(&value);
        panic!("elsewhere")
    }));
    assert!(panicked.is_err());
    assert_eq!(value.get().unwrap(), 6);
}

#[test]
fn a_forgotten_guard_ends_with_its_thread() {
    let _watch = watch();
    let value = Value::new(5).unwrap();
    std::thread::scope(|scope| {
        let forgets = scope.spawn(|| {
            std::mem::forget(value.lock().unwrap());
            assert_eq!(kind(value.get()), ErrorKind::AlreadyBorrowed);
        });
        forgets.join().unwrap();
    });
    assert_eq!(kind(value.get_timeout(LONG)), ErrorKind::OwnerDied);
    value.set(1).unwrap();
    assert_eq!(value.get().unwrap(), 1);
}

/// In a thread that may make no system call but reading and writing: any other ends it.
#[test]
#[allow(unsafe_code, reason = "a system call that forbids others")]
fn small_values_cost_no_system_call() {
    static DONE: AtomicBool = AtomicBool::new(false);
    let work = |count: usize, values: &mut Vec<Value<u64>>| {
        for _ in 0..count {
            let value = Value::new(1).unwrap();
            value.set(value.get().unwrap() + 1).unwrap();
            value.update(|n| *n += 1).unwrap();
            *value.lock().unwrap() += 1;
            let atomic = Atomic::new(1u8).unwrap();
            atomic.fetch_add(1);
            values.push(value);
        }
        values.clear();
    };
    let body = move || {
        std::thread::spawn(move || {
            // The world, a place for the thread, and what private memory it takes.
            let mut values = Vec::with_capacity(200);
            work(200, &mut values);
            // SAFETY: integer arguments only; from here on this thread calls the system in no other way.
            let strict = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_STRICT) };
            assert_eq!(strict, 0);
            work(100, &mut values);
            DONE.store(true, Ordering::SeqCst);
            // The usual end of a thread is not allowed either.
            // SAFETY: ends this thread alone, whose frames nobody refers to.
            unsafe { libc::syscall(libc::SYS_exit, 0) };
        });
        crate::common::until("it is done", || DONE.load(Ordering::SeqCst));
    };
    // In a world of its own: a lock that another test has is a reason to sleep.
    alone(move || Process::spawn(body, ()).unwrap().join().unwrap());
}

#[test]
fn atomics_of_every_size() {
    let _watch = watch();
    let byte = Atomic::new(250u8).unwrap();
    assert_eq!(byte.fetch_add(10), 250);
    assert_eq!(byte.load(), 4);
    assert_eq!(byte.fetch_sub(5), 4);
    assert_eq!(byte.swap(7), 255);
    assert_eq!(byte.compare_exchange(7, 8), Ok(7));
    assert_eq!(byte.compare_exchange(7, 9), Err(8));
    let flag = Atomic::new(false).unwrap();
    Process::spawn(|flag: Atomic<bool>| flag.store(true), (&flag,)).unwrap().join().unwrap();
    assert!(flag.load());
    assert_eq!(flag.compare_exchange(true, false), Ok(true));
    let long = Atomic::new(i64::MAX).unwrap();
    long.fetch_add(1);
    assert_eq!(long.load(), i64::MIN);
    assert_eq!(format!("{long:?}"), format!("Atomic({})", i64::MIN));
}

#[test]
fn debug_shows_the_value_and_who_has_it() {
    let _watch = watch();
    let value = Value::new(5).unwrap();
    assert!(format!("{value:?}").contains("value: 5"), "{value:?}");
    let guard = value.lock().unwrap();
    assert_eq!(format!("{guard:?}"), "ValueGuard(5)");
    assert!(format!("{value:?}").contains("AlreadyBorrowed"), "{value:?}");
}
