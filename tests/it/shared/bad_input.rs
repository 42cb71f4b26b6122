//! Bad input: each a typed error that says what was expected and found, and nothing is written.

use std::os::unix::fs::FileExt;

use multiproc::{Array, Atomic, ErrorKind, Process, Queue, SharedList, SharedMemory, Value};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::Large;
use crate::common::{Chance, alone, kind, world_file, world_size};
use crate::watchdog::watch;

#[track_caller]
fn says<T>(result: multiproc::Result<T>, kind: ErrorKind, parts: &[&str]) {
    let Err(error) = result else { panic!("no error") };
    crate::common::says(&error, kind, parts);
}

#[test]
fn an_index_out_of_range() {
    let array = Array::from_slice(&[1, 2, 3]).unwrap();
    let parts = ["index 3 is out of range", "3 elements"];
    says(array.get(3), ErrorKind::InvalidInput, &parts);
    says(array.set(3, 0), ErrorKind::InvalidInput, &parts);
    says(array.update(3, |_| ()), ErrorKind::InvalidInput, &parts);
    says(array.get(usize::MAX), ErrorKind::InvalidInput, &["out of range"]);
    let bounds = ["not within an array of 3 elements"];
    says(array.read(2..5), ErrorKind::InvalidInput, &bounds);
    says(array.read(4..), ErrorKind::InvalidInput, &bounds);
    #[allow(clippy::reversed_empty_ranges)]
    let reversed = array.read(2..1);
    says(reversed, ErrorKind::InvalidInput, &bounds);
    says(array.read(..=usize::MAX), ErrorKind::InvalidInput, &bounds);
    says(array.write(2, &[0, 0]), ErrorKind::InvalidInput, &bounds);
    says(array.write(usize::MAX, &[0, 0]), ErrorKind::InvalidInput, &bounds);
    assert_eq!(array.to_vec().unwrap(), [1, 2, 3]);
}

#[test]
fn a_slice_of_another_length() {
    let array = Array::from_slice(&[1, 2, 3]).unwrap();
    let parts = ["a slice of 2 elements", "an array of 3"];
    says(array.copy_from_slice(&[7, 7]), ErrorKind::InvalidInput, &parts);
    says(array.copy_to_slice(&mut [7, 7]), ErrorKind::InvalidInput, &parts);
    assert_eq!(array.to_vec().unwrap(), [1, 2, 3]);
}

#[test]
fn a_part_claimed_twice() {
    let array = Array::from_slice(&[1, 2, 3]).unwrap();
    let parts = array.partition(3).unwrap();
    let _guard = parts[1].claim().unwrap();
    let expected = ["part 1 of the array (1..2)", "is claimed already", "try again"];
    says(parts[1].claim(), ErrorKind::Busy, &expected);
}

#[test]
fn no_parts_at_all() {
    let array = Array::from_slice(&[1, 2, 3]).unwrap();
    says(array.partition(0), ErrorKind::InvalidInput, &["0 parts", "at least 1"]);
    says(array.chunks(0), ErrorKind::InvalidInput, &["0 elements", "at least 1"]);
}

/// Written as one type and read as another, as by programs built from different sources.
enum Crossing<A, B> {
    Sent(A),
    Received(B),
}

impl<A: serde::Serialize, B> serde::Serialize for Crossing<A, B> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Crossing::Sent(item) => item.serialize(serializer),
            Crossing::Received(_) => unreachable!("it is not sent on"),
        }
    }
}

impl<'de, A, B: serde::Deserialize<'de>> serde::Deserialize<'de> for Crossing<A, B> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        B::deserialize(deserializer).map(Crossing::Received)
    }
}

fn as_other<A: serde::Serialize + Clone, B: serde::de::DeserializeOwned>(
    item: &A,
) -> multiproc::Result<B> {
    let queue = Queue::new()?;
    queue.put(Crossing::Sent(item.clone()))?;
    match queue.get()? {
        Crossing::Received(item) => Ok(item),
        Crossing::Sent(_) => unreachable!("it was read"),
    }
}

#[test]
fn another_type_at_the_receiving_end() {
    let _watch = watch();
    let value = Value::new(1u32).unwrap();
    let parts = ["opened as Value<f32>", "holds Value<u32>"];
    says(as_other::<_, Value<f32>>(&value), ErrorKind::Mismatch, &parts);
    let parts = ["opened as Value<[u8; 99]>", "holds Value<u32>"];
    says(as_other::<_, Value<[u8; 99]>>(&value), ErrorKind::Mismatch, &parts);
    let array = Array::from_slice(&[1u32]).unwrap();
    let parts = ["opened as Array<u8>", "holds Array<u32>"];
    says(as_other::<_, Array<u8>>(&array), ErrorKind::Mismatch, &parts);
    let atomic = Atomic::new(1u32).unwrap();
    let parts = ["opened as Atomic<u64>", "holds Atomic<u32>"];
    says(as_other::<_, Atomic<u64>>(&atomic), ErrorKind::Mismatch, &parts);
    let memory = SharedMemory::new(1).unwrap();
    let parts = ["opened as Lock", "holds SharedMemory"];
    says(as_other::<_, multiproc::Lock>(&memory), ErrorKind::Mismatch, &parts);
    // What was refused is as it was.
    assert_eq!((value.get().unwrap(), array.get(0).unwrap(), atomic.load()), (1, 1, 1));
}

#[test]
fn an_array_that_is_not_frozen_is_no_frozen_one() {
    let array = Array::from_slice(&[1u32]).unwrap();
    let thawed = as_other::<_, multiproc::FrozenArray<u32>>(&array);
    says(thawed, ErrorKind::Mismatch, &["not frozen", "freeze()"]);
}

#[test]
fn outside_of_a_process_tree() {
    let value = Value::new(1).unwrap();
    let array = Array::from_slice(&[1]).unwrap();
    assert!(postcard::to_stdvec(&value).is_err());
    assert!(postcard::to_stdvec(&array).is_err());
    assert!(postcard::to_stdvec(&array.partition(1).unwrap()).is_err());
    assert!(postcard::to_stdvec(&array.freeze().unwrap()).is_err());
}

#[test]
fn nothing_is_something() {
    let _watch = watch();
    let array: Array<u64> = Array::from_slice(&[]).unwrap();
    let work = |array: Array<u64>| {
        array.copy_from_slice(&[]).unwrap();
        array.fill(1).unwrap();
        assert!(array.lock().unwrap().is_empty());
        assert!(array.read(..).unwrap().is_empty());
        assert_eq!(kind(array.get(0)), ErrorKind::InvalidInput);
        assert!(array.chunks(3).unwrap().is_empty());
        let parts = array.partition(2).unwrap();
        assert!(parts[0].claim().unwrap().is_empty() && parts[1].claim().unwrap().is_empty());
        array.freeze().unwrap()
    };
    assert!(Process::spawn(work, (&array,)).unwrap().join().unwrap().is_empty());
    assert_eq!(array.len(), 0);
    assert!(Array::<bool>::zeroed(0).unwrap().is_empty());
    assert_eq!(Array::from_fn(3, |_| ()).unwrap().to_vec().unwrap(), [(); 3]);
}

/// The memory of the machine or control group, in bytes, read as a user would.
fn memory() -> u64 {
    let info = std::fs::read_to_string("/proc/meminfo").unwrap();
    let total = info.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024;
    let group = std::fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    total.min(group.and_then(|group| group.trim().parse().ok()).unwrap_or(u64::MAX))
}

#[test]
fn more_than_the_memory_leaves() {
    let _watch = watch();
    alone(|| {
        let all = memory() as usize;
        for len in [all + 1, 1 << 45, usize::MAX / 2, usize::MAX] {
            let text = len.to_string();
            says(Array::<u8>::zeroed(len), ErrorKind::TooLarge, &["memory"]);
            says(SharedMemory::new(len), ErrorKind::TooLarge, &[&text, "memory"]);
        }
        says(Array::<u64>::zeroed(usize::MAX / 4), ErrorKind::TooLarge, &["of 8 bytes"]);
        // What others have counts.
        let first = SharedMemory::new(all / 10 * 7).unwrap();
        says(SharedMemory::new(all / 2), ErrorKind::TooLarge, &["in use by shared objects"]);
        assert!(world_size().1 < 10 << 20, "nothing was touched");
        drop(first);
        drop(SharedMemory::new(all / 2).unwrap());
    });
}

#[test]
fn the_limit_of_a_file_is_an_error_and_no_signal() {
    let _watch = watch();
    alone(|| {
        let value = Value::new(1).unwrap();
        let (_, hard) = getrlimit(Resource::RLIMIT_FSIZE).unwrap();
        setrlimit(Resource::RLIMIT_FSIZE, 4 << 20, hard).unwrap();
        says(Array::<u8>::zeroed(8 << 20), ErrorKind::Limit, &["ulimit -f"]);
        says(SharedMemory::new(8 << 20), ErrorKind::Limit, &["ulimit -f"]);
        says(SharedList::new([vec![0u8; 8 << 20].into()]), ErrorKind::Limit, &["ulimit -f"]);
        assert_eq!(value.get().unwrap(), 1);
        assert_eq!(Array::from_slice(&[1, 2]).unwrap().to_vec().unwrap(), [1, 2]);
    });
}

#[test]
fn the_limit_of_addresses_is_an_error() {
    let _watch = watch();
    alone(|| {
        let value = Value::new(1).unwrap();
        let status = std::fs::read_to_string("/proc/self/statm").unwrap();
        let pages: u64 = status.split_whitespace().next().unwrap().parse().unwrap();
        let (_, hard) = getrlimit(Resource::RLIMIT_AS).unwrap();
        setrlimit(Resource::RLIMIT_AS, pages * 4096 + (32 << 20), hard).unwrap();
        let refused = || {
            says(Array::<u8>::zeroed(64 << 20), ErrorKind::OutOfMemory, &["cannot map"]);
            says(SharedMemory::new(64 << 20), ErrorKind::OutOfMemory, &["cannot map"]);
        };
        refused();
        // What was refused leaves no entry behind: neither memory nor a place in a table.
        let before = world_size();
        (0..300).for_each(|_| refused());
        assert_eq!(world_size(), before);
        assert_eq!(value.get().unwrap(), 1);
        assert_eq!(Array::from_slice(&[1, 2]).unwrap().to_vec().unwrap(), [1, 2]);
    });
}

/// Writes over every place in the world's file that holds `pattern`; how many there were.
fn overwrite(pattern: &[u8], with: &[u8]) -> usize {
    let file = world_file();
    let mut bytes = vec![0; file.metadata().unwrap().len() as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    let found: Vec<usize> = (0..bytes.len() - pattern.len())
        .step_by(4)
        .filter(|at| bytes[*at..].starts_with(pattern))
        .collect();
    for at in &found {
        file.write_all_at(with, *at as u64).unwrap();
    }
    found.len()
}

#[test]
fn bits_that_are_no_value() {
    let _watch = watch();
    alone(|| {
        let chars = Array::from_slice(&['\u{10aaaa}'; 4]).unwrap();
        let value = Value::new('\u{10bbbb}').unwrap();
        let flags = Array::from_slice(&[true; 11]).unwrap();
        let part = chars.partition(2).unwrap().remove(1);
        let pattern = 0x0010_bbbb_u32.to_le_bytes();
        assert_eq!(overwrite(&pattern, &0xd800_u32.to_le_bytes()), 1);
        let corrupted = ErrorKind::Corrupted;
        says(value.get(), corrupted, &["are no char"]);
        says(value.lock(), corrupted, &["are no char"]);
        says(value.recover(), corrupted, &["are no char"]);
        value.set('x').unwrap();
        assert_eq!(value.get().unwrap(), 'x');
        let pattern = 0x0010_aaaa_u32.to_le_bytes();
        assert_eq!(overwrite(&pattern, &u32::MAX.to_le_bytes()), 4);
        says(chars.get(0), corrupted, &["are no char"]);
        says(chars.to_vec(), corrupted, &["are no char"]);
        says(chars.lock(), corrupted, &["are no char"]);
        says(chars.update(0, |_| ()), corrupted, &["are no char"]);
        says(chars.freeze(), corrupted, &["are no char"]);
        says(part.claim(), corrupted, &["are no char"]);
        says(chars.recover(), corrupted, &["are no char"]);
        chars.copy_from_slice(&['x'; 4]).unwrap();
        assert_eq!(*part.claim().unwrap(), ['x', 'x'], "the claim that failed was given back");
        assert_eq!(overwrite(&[1; 11], &[2; 11]), 1);
        says(flags.get(10), corrupted, &["are no bool"]);
        says(flags.copy_to_slice(&mut [true; 11]), corrupted, &["are no bool"]);
    });
}

/// Uses everything without waiting; errors do not matter, hangs, signals and panics do.
fn use_all(value: &Value<Large>, array: &Array<char>, list: &SharedList, memory: &SharedMemory) {
    let soon = std::time::Duration::from_millis(1);
    let _ = format!("{value:?} {array:?} {list:?} {memory:?}");
    let _ = value.set_timeout(Large::of(7), soon);
    let _ = value.get_timeout(soon);
    let _ = value.recover_timeout(soon).map(drop);
    let _ = array.write_timeout(1, &['a'], soon);
    let _ = array.to_vec_timeout(soon);
    let _ = array.recover_timeout(soon).map(|mut guard| guard.fill('x'));
    for part in array.partition(3).into_iter().flatten() {
        if !array.get_lock().is_locked() {
            let _ = part.claim().map(|mut guard| guard.fill('y'));
        }
    }
    let _ = list.get_timeout(1, soon);
    let _ = list.set_timeout(1, "text", soon);
    let _ = memory.write(5, &[1; 20]);
    let queue = Queue::new().unwrap();
    let all = (value.clone(), array.clone(), list.clone(), memory.clone());
    if queue.put_timeout(all, soon).is_ok() {
        let _ = queue.get_timeout(soon);
    }
}

#[test]
fn nonsense_in_objects_and_blocks() {
    let _watch = watch();
    // In worlds of their own.
    alone(|| {
        for seed in 1..=6 {
            scribble(seed);
        }
    });
}

fn scribble(seed: u64) {
    let value = Value::new(Large::of(0x5eed)).unwrap();
    let array = Array::from_slice(&['\u{10aaaa}'; 50]).unwrap();
    let list = SharedList::new(["seed".into(), "much longer".into()]).unwrap();
    let memory = SharedMemory::new(100).unwrap();
    use_all(&value, &array, &list, &memory);
    let file = world_file();
    let mut chance = Chance::new(seed);
    let mut bytes = vec![0; file.metadata().unwrap().len() as usize];
    file.read_exact_at(&mut bytes, 0).unwrap();
    // Objects are told by their kind, in the 14th word of their 64 bytes.
    let objects: Vec<usize> = (64 << 10..bytes.len())
        .step_by(64)
        .filter(|at| matches!(bytes[at + 52], 9..=15) && bytes[at + 53..at + 56] == [0; 3])
        .collect();
    assert!(objects.len() >= 4);
    for _ in 0..300 {
        let at = chance.of(&objects) + 4 * chance.below(12) as usize;
        let word = match chance.below(3) {
            0 => 0,
            1 => u32::MAX,
            _ => chance.next() as u32,
        };
        file.write_all_at(&word.to_le_bytes(), at as u64).unwrap();
        use_all(&value, &array, &list, &memory);
    }
}
