//! A full descriptor table.

use super::*;

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
