//! Bad input and exhausted limits: each a typed error that says what was expected and found, and nothing is broken after it.

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use multiproc::{Error, ErrorKind, Event, Lock, Process, Queue, RLock, Semaphore};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::common::{Chance, LONG, alone, kind, world_file, world_size};
use crate::watchdog::watch;

/// A value of /proc/self/status in KiB.
fn status(key: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(key)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// The memory of the machine or control group, in bytes, read as a user would.
fn memory() -> u64 {
    let info = fs::read_to_string("/proc/meminfo").unwrap();
    let total = info.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024;
    let group = fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    total.min(group.and_then(|group| group.trim().parse().ok()).unwrap_or(u64::MAX))
}

/// Ends this process if it takes more memory than any of these tests should, before the machine suffers.
fn watch_memory() {
    const MOST: u64 = 400 << 10;
    std::thread::spawn(|| {
        while status("VmRSS:") < MOST {
            std::thread::sleep(Duration::from_millis(1));
        }
        let _ = writeln!(std::io::stderr(), "more than {MOST} KiB of memory were touched");
        std::process::abort();
    });
}

fn fill_descriptors() -> Vec<OwnedFd> {
    let null = File::open("/dev/null").unwrap();
    let copies: Vec<_> = std::iter::from_fn(|| null.as_fd().try_clone_to_owned().ok()).collect();
    copies.into_iter().chain([null.into()]).collect()
}

#[track_caller]
fn says(error: &Error, kind: ErrorKind, parts: &[&str]) {
    assert_eq!(error.kind(), kind, "{error:?}");
    let text = error.to_string();
    for part in parts {
        assert!(text.contains(part), "{text:?} does not say {part:?}");
    }
}

// ---------------------------------------------------------------------------------------------
// Descriptors
// ---------------------------------------------------------------------------------------------

#[test]
fn a_full_descriptor_table_is_a_limit_and_passes() {
    let _watch = watch();
    alone(|| {
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, 32, hard).unwrap();
        let full = fill_descriptors();
        // The first use makes the world, which needs one.
        for error in [
            Lock::new().map(drop).unwrap_err(),
            Event::new().map(drop).unwrap_err(),
            Queue::<u32>::new().map(drop).unwrap_err(),
            Process::spawn(|| 1, ()).map(drop).unwrap_err(),
        ] {
            says(&error, ErrorKind::Limit, &["ulimit -n"]);
        }
        drop(full);
        let lock = Lock::new().unwrap();
        let queue = Queue::new().unwrap();
        // What exists needs no more.
        let full = fill_descriptors();
        let locks: Vec<Lock> = (0..2000).map(|_| Lock::new().unwrap()).collect();
        for lock in &locks {
            drop(lock.lock().unwrap());
        }
        for n in 0..5000 {
            queue.put((n, lock.clone())).unwrap();
        }
        for n in 0..5000 {
            assert_eq!(queue.get().unwrap().0, n);
        }
        let large: Queue<Vec<u8>> = Queue::new().unwrap();
        large.put(vec![1; 20 << 20]).unwrap();
        assert_eq!(large.get().unwrap().len(), 20 << 20);
        let error = Process::spawn(|| 1, ()).map(drop).unwrap_err();
        says(&error, ErrorKind::Limit, &["NOFILE"]);
        drop(full);
        assert_eq!(Process::spawn(|| 1, ()).unwrap().join().unwrap(), 1);
        drop(lock.lock().unwrap());
    });
}

// ---------------------------------------------------------------------------------------------
// Sizes
// ---------------------------------------------------------------------------------------------

#[test]
fn a_message_larger_than_memory_is_refused_untouched() {
    let _watch = watch();
    alone(|| {
        let queue: Queue<Vec<u8>> = Queue::new().unwrap();
        queue.put(vec![1]).unwrap();
        watch_memory();
        for len in [memory() / 4 + (1 << 20), memory() / 2, memory() + 1, 1 << 40, 1 << 60] {
            let len = len as usize;
            let error = queue.put_with(len, |_| panic!("it was called")).unwrap_err();
            says(&error, ErrorKind::TooLarge, &[&len.to_string(), "in parts"]);
            assert_eq!(kind(queue.try_put_with(len, |_| ())), ErrorKind::TooLarge);
            assert_eq!(kind(queue.put_with_timeout(len, |_| (), LONG)), ErrorKind::TooLarge);
        }
        assert_eq!(kind(queue.put_with(usize::MAX, |_| ())), ErrorKind::TooLarge);
        assert_eq!(queue.len(), 1);
        queue.put(vec![2]).unwrap();
        assert_eq!(queue.get_many(9).unwrap(), [vec![1], vec![2]]);
    });
}

#[test]
fn bytes_above_the_ceiling_are_refused_untouched() {
    let _watch = watch();
    alone(|| {
        let queue: Queue<Vec<u8>> = Queue::new().unwrap();
        watch_memory();
        // Zeroed memory that nobody wrote takes no room.
        let bytes = vec![0_u8; memory() as usize / 4 + (1 << 20)];
        let len = bytes.len().to_string();
        let error = queue.put_bytes(&bytes).unwrap_err();
        says(&error, ErrorKind::TooLarge, &[&len, "a quarter of the memory", "in parts"]);
        assert!(queue.is_empty());
        queue.put(vec![1]).unwrap();
        assert_eq!(queue.get().unwrap(), [1]);
    });
}

#[test]
fn a_value_above_the_ceiling_is_refused_untouched() {
    let _watch = watch();
    alone(|| {
        let queue: Queue<Vec<u8>> = Queue::new().unwrap();
        watch_memory();
        let value = vec![0_u8; memory() as usize / 4 + (1 << 20)];
        let error = queue.put(&value).unwrap_err();
        says(&error, ErrorKind::TooLarge, &[&value.len().to_string()]);
        assert!(queue.is_empty());
        queue.put(vec![1]).unwrap();
        assert_eq!(queue.get().unwrap(), [1]);
    });
}

#[test]
fn an_argument_larger_than_memory_is_refused_untouched() {
    let _watch = watch();
    alone(|| {
        drop(Lock::new().unwrap());
        watch_memory();
        let bytes = vec![0_u8; (memory() / 4 * 3) as usize];
        let error = Process::spawn(|bytes: Vec<u8>| bytes.len(), (&bytes,)).map(drop).unwrap_err();
        assert!(error.is_too_large() || error.is_out_of_memory(), "{error:?}");
    });
}

#[test]
fn the_limit_of_a_file_is_an_error_and_no_signal() {
    let _watch = watch();
    alone(|| {
        let (_, hard) = getrlimit(Resource::RLIMIT_FSIZE).unwrap();
        setrlimit(Resource::RLIMIT_FSIZE, 100 << 10, hard).unwrap();
        let error = Lock::new().map(drop).unwrap_err();
        says(&error, ErrorKind::Limit, &["ulimit -f"]);
        setrlimit(Resource::RLIMIT_FSIZE, 4 << 20, hard).unwrap();
        let queue = Queue::new().unwrap();
        queue.put(vec![0_u8; 10]).unwrap();
        let error = queue.put(vec![1; 8 << 20]).unwrap_err();
        says(&error, ErrorKind::Limit, &["ulimit -f"]);
        // Until it is full: then an error, and what is in it can be got.
        let mut count = 0;
        let error = loop {
            match queue.put(vec![2; 1000]) {
                Ok(()) => count += 1,
                Err(error) => break error,
            }
            assert!(count < 10_000, "it holds more than the file");
        };
        says(&error, ErrorKind::Limit, &["ulimit -f"]);
        assert!(count > 100, "{count}");
        assert!(world_size().0 <= 4 << 20);
        assert_eq!(queue.len(), count + 1);
        assert_eq!(queue.get().unwrap(), [0; 10]);
        for _ in 0..count {
            assert_eq!(queue.get().unwrap(), [2; 1000]);
        }
        queue.put(vec![3]).unwrap();
        assert_eq!(queue.get().unwrap(), [3]);
    });
}

#[test]
fn too_many_objects_are_a_limit() {
    let _watch = watch();
    alone(|| {
        let mut locks = Vec::new();
        let error = loop {
            match Lock::new() {
                Ok(lock) => locks.push(lock),
                Err(error) => break error,
            }
            assert!(locks.len() < 2_000_000);
        };
        says(&error, ErrorKind::Limit, &["shared objects", "in use"]);
        assert!(locks.len() > 10_000);
        locks.truncate(locks.len() - 10);
        drop(Lock::new().unwrap().lock().unwrap());
        drop(locks.last().unwrap().lock().unwrap());
        // The end of the process gives the rest back, and faster.
        std::mem::forget(locks);
    });
}

// ---------------------------------------------------------------------------------------------
// Shared memory that others wrote
// ---------------------------------------------------------------------------------------------

/// Starts a child and gives what came of it.
fn start() -> multiproc::Result<u32> {
    let null = File::options().write(true).open("/dev/null").unwrap();
    Process::builder().stderr(OwnedFd::from(null)).spawn(|| 1, ()).and_then(Process::join)
}

#[test]
fn a_child_refuses_memory_that_is_not_what_it_expects() {
    let _watch = watch();
    alone(|| {
        let lock = Lock::new().unwrap();
        assert_eq!(start().unwrap(), 1);
        let file = world_file();
        // Magic number, layout version, size of a word, kind.
        for (offset, len) in [(0, 8), (8, 4), (12, 4), (16, 4)] {
            let mut before = vec![0; len];
            file.read_exact_at(&mut before, offset).unwrap();
            for byte in [0, 0x5a, 0xff] {
                file.write_all_at(&vec![byte; len], offset).unwrap();
                let error = start().unwrap_err();
                assert!(
                    error.is_child() || error.is_mismatch() || error.is_corrupted(),
                    "at {offset}: {error:?}"
                );
                drop(lock.lock().unwrap());
            }
            file.write_all_at(&before, offset).unwrap();
            assert_eq!(start().unwrap(), 1, "as before");
        }
    });
}

#[test]
fn a_semaphore_with_a_wrong_block_says_so_and_does_not_wait() {
    let _watch = watch();
    alone(|| {
        const PERMITS: u32 = 0x5eed_1234;
        let semaphore = Semaphore::new(PERMITS).unwrap();
        let file = world_file();
        let mut bytes = vec![0; file.metadata().unwrap().len() as usize];
        file.read_exact_at(&mut bytes, 0).unwrap();
        // Its cell: all permits, twice, and at most u32::MAX of them.
        let is_cell = |cell: &[u8]| {
            cell[8..16] == [PERMITS.to_le_bytes(); 2].concat() && cell[24..28] == [0xff; 4]
        };
        let cell = bytes.chunks(64).position(is_cell).unwrap() as u64 * 64;
        // Nothing is available, as far as the cache knows, and there is a block that is none.
        file.write_all_at(&0_u32.to_le_bytes(), cell + 12).unwrap();
        file.write_all_at(&0x00f0_0001_u32.to_le_bytes(), cell + 20).unwrap();
        let start = Instant::now();
        for result in
            [semaphore.acquire_timeout(LONG), semaphore.acquire(), semaphore.try_acquire()]
        {
            says(&result.unwrap_err(), ErrorKind::Corrupted, &["segment 15", "no such place"]);
        }
        assert!(start.elapsed() < LONG, "it waited until the time was over");
        file.write_all_at(&0_u32.to_le_bytes(), cell + 20).unwrap();
        drop(semaphore.acquire().unwrap());
        assert_eq!(semaphore.available(), PERMITS);
    });
}

/// Uses everything without waiting; errors do not matter, hangs, signals and panics do.
fn use_all(
    (lock, rlock, semaphore): (&Lock, &RLock, &Semaphore),
    event: &Event,
    queue: &Queue<String>,
) {
    const SOON: Duration = Duration::from_millis(1);
    let _ = format!("{rlock:?} {semaphore:?} {} {}", rlock.depth(), semaphore.available());
    let _ = rlock.lock_timeout(SOON).map(drop);
    let _ = rlock.recover_timeout(SOON).map(drop);
    let _ = semaphore.acquire_timeout(SOON).map(drop);
    let _ = semaphore.acquire_timeout(SOON).map(|permit| permit.forget());
    let _ = semaphore.release(1);
    let _ = format!("{lock:?} {event:?} {queue:?} {:?} {}", lock.owner(), queue.len());
    let _ = lock.lock_timeout(SOON).map(drop);
    let _ = lock.recover_timeout(SOON).map(drop);
    let _ = event.wait_timeout(SOON);
    event.set();
    event.clear();
    let _ = queue.put_timeout("text", SOON);
    let _ = queue.put_bytes_timeout(&[1; 9000], SOON);
    let _ = queue.get_timeout(SOON);
    let _ = queue.get_bytes_timeout(SOON);
    let _ = queue.is_full();
}

/// Writes nonsense into parts of the world's file while it is used.
fn scribble(seed: u64) {
    let (lock, event) = (Lock::new().unwrap(), Event::new().unwrap());
    let (rlock, semaphore) = (RLock::new().unwrap(), Semaphore::new(2).unwrap());
    let queue = Queue::new().unwrap();
    use_all((&lock, &rlock, &semaphore), &event, &queue);
    let file = world_file();
    let size = file.metadata().unwrap().len();
    let mut chance = Chance::new(seed);
    // Not the registry of who is alive: one that says that nobody is cannot be survived, and need not be.
    const TABLES: u64 = 388 << 10;
    for _ in 0..150 {
        let offset = TABLES + chance.below((size - TABLES) / 8) * 8;
        let used = chance.below(4) > 0;
        // Most of the file is unused; near the start of the first segment lies what is in use.
        let offset = if used { TABLES + offset % (192 << 10) / 8 * 8 } else { offset };
        let word = match chance.below(4) {
            0 => 0,
            1 => u64::MAX,
            2 => chance.below(1 << 16),
            _ => chance.next(),
        };
        let at = offset.min(size - 8);
        file.write_all_at(&word.to_le_bytes(), at).unwrap();
        use_all((&lock, &rlock, &semaphore), &event, &queue);
    }
}

/// Each in a world of its own.
macro_rules! nonsense {
    ($($name:ident $seed:literal)*) => {$(
        #[test]
        fn $name() {
            let _watch = watch();
            alone(|| scribble($seed));
        }
    )*};
}

nonsense! {
    nonsense_in_shared_memory_is_survived_1 1
    nonsense_in_shared_memory_is_survived_2 2
    nonsense_in_shared_memory_is_survived_3 3
    nonsense_in_shared_memory_is_survived_4 4
}
