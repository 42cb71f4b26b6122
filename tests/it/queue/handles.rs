//! Handles as messages.

use multiproc::{ErrorKind, Lock, Process, Queue, Result};

use crate::common::{LONG, kind};
use crate::watchdog::watch;

#[test]
fn a_queue_goes_through_a_queue() {
    let _watch = watch();
    let serve = |requests: Queue<(u64, Queue<u64>)>| -> Result<()> {
        for request in &requests {
            let (number, reply) = request?;
            reply.put(number * number)?;
        }
        Ok(())
    };
    let requests = Queue::new().unwrap();
    let server = Process::spawn(serve, (&requests,)).unwrap();
    for n in 0..200 {
        let reply = Queue::new().unwrap();
        requests.put((n, reply.clone())).unwrap();
        assert_eq!(reply.get_timeout(LONG).unwrap(), n * n);
    }
    requests.close().unwrap();
    server.join().unwrap().unwrap();
}

#[test]
fn a_queue_with_content_outlives_its_maker() {
    let _watch = watch();
    let make = |out: Queue<Queue<String>>| {
        let queue = Queue::new().unwrap();
        queue.put("inside").unwrap();
        queue.put("x".repeat(100_000)).unwrap();
        out.put(queue).unwrap();
    };
    let out = Queue::new().unwrap();
    Process::spawn(make, (&out,)).unwrap().join().unwrap();
    // It was on its way alone, and is alive.
    let others: Vec<Queue<u8>> = (0..50).map(|_| Queue::new().unwrap()).collect();
    let queue = out.try_get().unwrap();
    assert_eq!(queue.try_get().unwrap(), "inside");
    assert!(queue.try_get().unwrap() == "x".repeat(100_000));
    drop(others);
}

#[test]
fn a_large_message_carries_handles() {
    let queue: Queue<(Vec<u8>, Lock, String)> = Queue::new().unwrap();
    let lock = Lock::new().unwrap();
    let guard = lock.lock().unwrap();
    queue.put((vec![5; 1 << 20], lock.clone(), "tail".to_owned())).unwrap();
    let (bytes, back, text) = queue.get().unwrap();
    assert!(bytes == vec![5; 1 << 20]);
    assert_eq!(text, "tail");
    assert_eq!(kind(back.try_lock()), ErrorKind::Deadlock);
    drop(guard);
}

#[test]
fn a_put_with_handles_that_fails_gives_them_back() {
    let queue: Queue<Lock> = Queue::bounded(1).unwrap();
    let lock = Lock::new().unwrap();
    queue.put(&lock).unwrap();
    assert_eq!(kind(queue.try_put(&lock)), ErrorKind::Full);
    queue.close().unwrap();
    assert_eq!(kind(queue.put(&lock)), ErrorKind::Closed);
    drop(queue.get().unwrap().lock().unwrap());
    drop(lock.lock().unwrap());
}
