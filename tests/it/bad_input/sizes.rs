//! Messages, limits and files that are too large.

use super::*;

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

/// It would wait for ever for room that there cannot be.
#[test]
fn a_message_larger_than_its_queue_is_refused_untouched() {
    let _watch = watch();
    let queue: Queue<Vec<u8>> = Queue::builder().capacity_bytes(10_000).build().unwrap();
    for len in [10_001, 1 << 20] {
        let error = queue.put(vec![0; len]).unwrap_err();
        says(&error, ErrorKind::TooLarge, &["10000"]);
        assert_eq!(kind(queue.put_bytes(&vec![0; len])), ErrorKind::TooLarge);
        let error = queue.put_with(len, |_| panic!("it was called")).unwrap_err();
        says(&error, ErrorKind::TooLarge, &[&len.to_string(), "10000"]);
    }
    assert!(queue.is_empty());
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
