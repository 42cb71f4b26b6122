//! Shared memory that others wrote.

use super::*;

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
        // Its object: all permits are available, and at most u32::MAX of them.
        let state = u64::from(PERMITS).to_le_bytes();
        let is_object = |object: &[u8]| object[8..16] == state && object[24..28] == [0xff; 4];
        let object = bytes.chunks(64).position(is_object).unwrap() as u64 * 64;
        // All permits are counted in a block, and there is one that is none.
        const COUNTED: u64 = 1 << 63;
        file.write_all_at(&(COUNTED | u64::from(PERMITS)).to_le_bytes(), object + 8).unwrap();
        file.write_all_at(&0x00f0_0001_u32.to_le_bytes(), object + 20).unwrap();
        let start = Instant::now();
        for result in
            [semaphore.acquire_timeout(LONG), semaphore.acquire(), semaphore.try_acquire()]
        {
            says(&result.unwrap_err(), ErrorKind::Corrupted, &["segment 15", "no such place"]);
        }
        assert!(start.elapsed() < LONG, "it waited until the time was over");
        file.write_all_at(&0_u32.to_le_bytes(), object + 20).unwrap();
        drop(semaphore.acquire().unwrap());
        assert_eq!(semaphore.available(), PERMITS);
    });
}

const SOON: Duration = Duration::from_millis(1);

/// Uses everything without waiting; errors do not matter, hangs, signals and panics do.
fn use_all(
    (lock, rlock, semaphore): (&Lock, &RLock, &Semaphore),
    event: &Event,
    queue: &Queue<String>,
) {
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

/// The same with a condition and a barrier.
fn meet(lock: &Lock, condition: &Condition, barrier: &Barrier) {
    condition.notify(2);
    if let Ok(mut guard) = lock.try_lock() {
        let _ = condition.wait_timeout(&mut guard, SOON);
    }
    condition.notify_all();
    let _ = barrier.wait_timeout(SOON);
    let _ = barrier.wait_with_timeout(|| (), SOON);
    let _ = barrier.party();
    let _ = barrier.abort();
    let _ = barrier.reset();
    let _ = format!("{condition:?} {barrier:?}");
}

/// Writes nonsense into parts of the world's file while it is used.
fn scribble(seed: u64) {
    let (lock, event) = (Lock::new().unwrap(), Event::new().unwrap());
    let (rlock, semaphore) = (RLock::new().unwrap(), Semaphore::new(2).unwrap());
    let (condition, barrier) = (Condition::new().unwrap(), Barrier::new(2).unwrap());
    let queue = Queue::new().unwrap();
    use_all((&lock, &rlock, &semaphore), &event, &queue);
    meet(&lock, &condition, &barrier);
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
        meet(&lock, &condition, &barrier);
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
