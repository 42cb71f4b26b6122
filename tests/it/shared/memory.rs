//! `SharedMemory`, `Shared` and `SharedList`.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use multiproc::{
    ErrorKind, Event, ListItem, Process, Queue, Shared, SharedList, SharedMemory, shared_type,
};

use crate::common::{alone, killed, kind, park, world_size};
use crate::watchdog::watch;

#[test]
fn bytes_at_every_offset() {
    let _watch = watch();
    let memory = SharedMemory::new(100).unwrap();
    assert_eq!((memory.len(), memory.is_empty()), (100, false));
    let write = |memory: SharedMemory| memory.write(93, b"the end").unwrap();
    Process::spawn(write, (&memory,)).unwrap().join().unwrap();
    let queue = Queue::new().unwrap();
    queue.put(&memory).unwrap();
    let memory: SharedMemory = queue.get().unwrap();
    let mut text = [0; 8];
    memory.read(92, &mut text).unwrap();
    assert_eq!(&text, b"\0the end");
    for (offset, len) in [(93, 8), (101, 0), (usize::MAX, 1), (0, 101)] {
        let error = memory.read(offset, &mut vec![0; len]).unwrap_err();
        assert!(error.is_invalid_input() && error.to_string().contains("100 bytes"), "{error}");
        assert_eq!(kind(memory.write(offset, &vec![1; len])), ErrorKind::InvalidInput);
    }
    memory.read(100, &mut []).unwrap();
    assert_eq!(format!("{memory:?}"), "SharedMemory { len: 100 }");
}

#[test]
#[allow(unsafe_code)]
fn bytes_in_place() {
    let _watch = watch();
    let memory = SharedMemory::new(5000).unwrap();
    assert!(memory.as_ptr().addr().is_multiple_of(64));
    // SAFETY: nobody else has a handle.
    unsafe { memory.as_mut_slice() }.fill(7);
    let sum = |memory: SharedMemory| {
        // SAFETY: the parent waits for the result.
        unsafe { memory.as_slice() }.iter().map(|byte| u32::from(*byte)).sum::<u32>()
    };
    assert_eq!(Process::spawn(sum, (&memory,)).unwrap().join().unwrap(), 35_000);
}

#[test]
fn no_bytes_at_all() {
    let _watch = watch();
    let memory = SharedMemory::new(0).unwrap();
    let there = |memory: SharedMemory| (memory.len(), memory.write(0, &[]).is_ok());
    assert_eq!(Process::spawn(there, (&memory,)).unwrap().join().unwrap(), (0, true));
    assert_eq!(kind(memory.write(0, &[1])), ErrorKind::InvalidInput);
}

#[test]
fn huge_memory_costs_what_is_touched_and_is_zero() {
    let _watch = watch();
    alone(|| {
        for _ in 0..3 {
            let memory = SharedMemory::new((256 << 20) + 3).unwrap();
            let mut bytes = vec![1; 1 << 20];
            for offset in [0, (128 << 20) + 1, (255 << 20) + 3] {
                memory.read(offset, &mut bytes).unwrap();
                assert!(bytes.iter().all(|byte| *byte == 0));
                memory.write(offset, &vec![9; 1 << 20]).unwrap();
            }
            assert!(world_size().1 < 8 << 20);
        }
    });
}

shared_type! {
    /// More than fits into an object.
    #[derive(Debug)]
    struct Statistics {
        workers: u32,
        done: AtomicU64,
        by_size: [AtomicU32; 10],
        scale: f64,
    }
}

shared_type! {
    struct Small {
        hits: AtomicU32,
    }
}

#[test]
fn a_structure_of_atomics() {
    let _watch = watch();
    let statistics = Shared::new(Statistics {
        workers: 3,
        done: AtomicU64::new(5),
        by_size: Default::default(),
        scale: 0.5,
    })
    .unwrap();
    let small = Shared::new(Small { hits: AtomicU32::new(0) }).unwrap();
    let work = |statistics: Shared<Statistics>, small: Shared<Small>| {
        assert_eq!((statistics.workers, statistics.scale), (3, 0.5));
        statistics.done.fetch_add(1, Relaxed);
        statistics.by_size[9].fetch_add(1, Relaxed);
        small.hits.fetch_add(1, Relaxed);
    };
    let workers = [(); 2].map(|()| Process::spawn(work, (&statistics, &small)).unwrap());
    for worker in workers {
        worker.join().unwrap();
    }
    assert_eq!(statistics.done.load(Relaxed), 7);
    assert_eq!(statistics.by_size[9].load(Relaxed), 2);
    assert_eq!(small.hits.load(Relaxed), 2);
    assert!(format!("{statistics:?}").contains("done: 7"), "{statistics:?}");
}

#[test]
fn mixed_items_come_back_exactly() {
    let _watch = watch();
    let items: Vec<ListItem> = vec![
        "héllo\0\0".into(),
        i64::MIN.into(),
        (-0.0).into(),
        true.into(),
        ListItem::None,
        vec![1u8, 0, 0].into(),
        "".into(),
    ];
    let list = SharedList::new(items.clone()).unwrap();
    let elsewhere = |list: SharedList| {
        let items = list.to_vec().unwrap();
        list.set(1, "8 bytes!").unwrap();
        list.set(4, 7).unwrap();
        list.set(6, false).unwrap();
        list.set(0, ListItem::None).unwrap();
        items == [list.to_vec().unwrap()].concat()
    };
    assert_eq!(list.to_vec().unwrap(), items);
    assert!(!Process::spawn(elsewhere, (&list,)).unwrap().join().unwrap());
    assert_eq!(list.get(1).unwrap(), "8 bytes!".into());
    assert_eq!(list.get(4).unwrap(), ListItem::Int(7));
    assert_eq!(list.get(6).unwrap(), ListItem::Bool(false));
    assert_eq!(list.get(0).unwrap(), ListItem::None);
    list.set(0, "héllo\0\0").unwrap();
    assert_eq!(list.get(0).unwrap(), items[0]);
    assert_eq!(list.count(7).unwrap(), 1);
    assert_eq!(list.index(false).unwrap(), Some(6));
    assert_eq!(list.index("no").unwrap(), None);
    let error = list.set(1, "9 bytes!!").unwrap_err();
    assert!(error.is_too_large() && error.to_string().contains("9 bytes"), "{error}");
    assert!(error.to_string().contains("room for 8"), "{error}");
    assert_eq!(list.get(1).unwrap(), "8 bytes!".into(), "nothing was written");
    let error = list.get(7).unwrap_err();
    assert!(error.is_invalid_input() && error.to_string().contains("index 7"), "{error}");
    assert_eq!(kind(list.set(7, 1)), ErrorKind::InvalidInput);
    let empty = SharedList::new([]).unwrap();
    assert!(empty.is_empty() && empty.to_vec().unwrap().is_empty());
    assert!(format!("{list:?}").contains("Int(7)"), "{list:?}");
}

/// Changes an item under the lock and keeps that.
fn hold(list: SharedList, held: Event) {
    let _held = list.get_lock().lock().unwrap();
    list.set(0, 10).unwrap();
    held.set();
    park();
}

#[test]
fn a_list_is_locked_and_tells_of_deaths() {
    let _watch = watch();
    let (list, held) = (SharedList::new([1.into(), 2.into()]).unwrap(), Event::new().unwrap());
    let dead = Process::spawn(hold, (&list, &held)).unwrap();
    held.wait().unwrap();
    assert_eq!(kind(list.try_get(0)), ErrorKind::Busy);
    assert_eq!(kind(list.try_set(0, 1)), ErrorKind::Busy);
    killed(dead);
    assert_eq!(kind(list.get(0)), ErrorKind::OwnerDied);
    let seen: Vec<_> = list.recover().unwrap().into_iter().map(Result::unwrap).collect();
    assert_eq!(seen, [ListItem::Int(10), ListItem::Int(2)]);
    assert_eq!(list.get(0).unwrap(), 10.into());
}

#[test]
fn a_list_is_repaired_before_others_see_it() {
    let _watch = watch();
    let (list, held) = (SharedList::new([1.into(), 2.into()]).unwrap(), Event::new().unwrap());
    let dead = Process::spawn(hold, (&list, &held)).unwrap();
    held.wait().unwrap();
    killed(dead);
    let repairing = list.get_lock().recover().unwrap();
    assert_eq!(list.recover().unwrap().len(), 2);
    let other = || std::thread::scope(|scope| scope.spawn(|| list.try_get(0)).join().unwrap());
    assert_eq!(kind(other()), ErrorKind::OwnerDied);
    list.set(0, 11).unwrap();
    drop(repairing);
    assert_eq!(other().unwrap(), 11.into());
}
