//! A forked child that inherits shared data: everything is inert there.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use multiproc::{Array, Atomic, ErrorKind, Process, Shared, SharedList, SharedMemory, Value};

use crate::common::kind;
use crate::fork::{ended_well, fork};
use crate::watchdog::watch;

/// Whether it panics, as the use of an inherited slice does.
fn panics<R>(body: impl FnOnce() -> R) -> bool {
    std::panic::set_hook(Box::new(|_| ()));
    catch_unwind(AssertUnwindSafe(body)).is_err()
}

#[test]
fn inherited_handles_are_refused() {
    let _watch = watch();
    let body = || {
        let value = Value::new(1).unwrap();
        let atomic = Atomic::new(1).unwrap();
        let array = Array::from_slice(&[1, 2]).unwrap();
        let frozen = Array::from_slice(&[1, 2]).unwrap().freeze().unwrap();
        let memory = SharedMemory::new(10).unwrap();
        let list = SharedList::new([1.into()]).unwrap();
        let shared = Shared::new(AtomicU32::new(1)).unwrap();
        let part = array.partition(1).unwrap().remove(0);
        let child = fork(|| {
            for kind in [
                kind(value.get()),
                kind(value.set(2)),
                kind(value.lock()),
                kind(value.recover()),
                kind(value.update(|n| *n = 2)),
                kind(array.get(0)),
                kind(array.set(0, 2)),
                kind(array.lock()),
                kind(array.to_vec()),
                kind(array.partition(1)),
                kind(array.freeze()),
                kind(part.claim()),
                kind(memory.read(0, &mut [0])),
                kind(memory.write(0, &[1])),
                kind(list.get(0)),
                kind(list.set(0, 2)),
                kind(Process::spawn(|value: Value<i32>| drop(value), (&value,))),
            ] {
                assert_eq!(kind, ErrorKind::Foreign);
            }
            assert_eq!(atomic.fetch_add(1), 1);
            atomic.store(7);
            assert!(panics(|| frozen.len()));
            assert!(panics(|| shared.load(Relaxed)));
            let text = format!(
                "{value:?} {atomic:?} {array:?} {frozen:?} {memory:?} {list:?} {shared:?} {part:?}"
            );
            assert!(text.contains("Foreign") && text.contains("inherited"), "{text}");
            drop((value.clone(), array.clone(), frozen.clone()));
        });
        ended_well(child);
        assert_eq!((value.get().unwrap(), atomic.load()), (1, 1));
        assert_eq!(array.to_vec().unwrap(), [1, 2]);
        drop(part.claim().unwrap());
        assert_eq!(frozen.len(), 2);
        assert_eq!(shared.load(Relaxed), 1);
    };
    Process::spawn(body, ()).unwrap().join().unwrap();
}

#[test]
fn inherited_guards_are_inert() {
    let _watch = watch();
    let body = || {
        let value = Value::new(1).unwrap();
        let array = Array::from_slice(&[1, 2]).unwrap();
        let other = Array::from_slice(&[1, 2]).unwrap();
        let part = other.partition(1).unwrap().remove(0);
        let mut guards =
            Some((value.lock().unwrap(), array.lock().unwrap(), part.claim().unwrap()));
        let child = fork(|| {
            let (mut value, mut array, mut part) = guards.take().unwrap();
            // A private copy.
            *value = 9;
            assert!(panics(|| array[0] = 9));
            assert!(panics(|| part[0] = 9));
            assert!(panics(|| array.len()));
            assert!(format!("{array:?} {part:?}").contains("inherited"));
        });
        ended_well(child);
        assert_eq!(kind(value.get()), ErrorKind::AlreadyBorrowed, "held here still");
        assert_eq!(kind(other.get(0)), ErrorKind::Busy, "claimed here still");
        let (mut value_guard, mut array_guard, mut part_guard) = guards.take().unwrap();
        *value_guard += 1;
        array_guard[1] += 1;
        part_guard[1] += 1;
        drop((value_guard, array_guard, part_guard));
        assert_eq!(value.get().unwrap(), 2);
        assert_eq!(array.to_vec().unwrap(), [1, 3]);
        assert_eq!(other.to_vec().unwrap(), [1, 3]);
    };
    Process::spawn(body, ()).unwrap().join().unwrap();
}
