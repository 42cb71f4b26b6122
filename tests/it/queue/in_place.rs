//! Messages that are written and read where they lie: closures outside the locks, deaths and panics in them.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use multiproc::{Event, Process, Queue, Result};

use crate::common::{LONG, alone, killed, kind, park, until, world_size};
use crate::watchdog::watch;
use multiproc::ErrorKind;

/// A message that has a block of its own, and one that has none.
const SIZES: [usize; 2] = [1 << 20, 100];

#[test]
fn others_put_and_get_while_a_closure_runs() {
    let _watch = watch();
    let elsewhere = |queue: Queue<u32>, expected: u8| {
        assert_eq!(queue.get_with(|bytes| bytes[0]).unwrap(), expected);
        queue.put_bytes(&[9; 5000]).unwrap();
    };
    for size in SIZES {
        let queue: Queue<u32> = Queue::new().unwrap();
        queue.put_bytes(&[1]).unwrap();
        queue
            .put_with(size, |buf| {
                buf.fill(7);
                assert_eq!(queue.len(), 1, "it is not put yet");
                Process::spawn(elsewhere, (&queue, 1)).unwrap().join().unwrap();
                // In the same thread, too.
                queue.put_with(size, |inner| inner.fill(8)).unwrap();
                assert!(queue.get_with(|bytes| bytes == [9; 5000]).unwrap());
            })
            .unwrap();
        queue.put_bytes(&[2]).unwrap();
        queue
            .get_with(|outer| {
                assert!(outer == vec![8; size]);
                assert_eq!(queue.len(), 2, "it is taken already");
                queue.get_with(|inner| assert!(inner == vec![7; size])).unwrap();
                Process::spawn(elsewhere, (&queue, 2)).unwrap().join().unwrap();
                queue.put_with(size, |buf| buf.fill(3)).unwrap();
                assert!(outer == vec![8; size], "nobody wrote there meanwhile");
            })
            .unwrap();
        assert_eq!(queue.get_bytes().unwrap(), [9; 5000]);
        assert!(queue.get_bytes().unwrap() == vec![3; size]);
    }
}

#[test]
fn a_buffer_is_used_again() {
    let queue: Queue<u32> = Queue::new().unwrap();
    let mut buffer = vec![1, 2, 3];
    for size in [100_000, 0, 5000, 3, 100_000] {
        queue.put_bytes(&vec![size as u8; size]).unwrap();
        queue.get_bytes_into(&mut buffer).unwrap();
        assert!(buffer == vec![size as u8; size]);
    }
    let (place, capacity) = (buffer.as_ptr(), buffer.capacity());
    for _ in 0..10 {
        queue.put_bytes(&[4; 100_000]).unwrap();
        queue.try_get_bytes_into(&mut buffer).unwrap();
        assert_eq!((buffer.as_ptr(), buffer.capacity()), (place, capacity));
    }
    // Whatever goes wrong, nothing of an earlier message is left in it.
    assert_eq!(kind(queue.try_get_bytes_into(&mut buffer)), ErrorKind::Empty);
    assert!(buffer.is_empty());
    buffer.push(1);
    queue.put(7).unwrap();
    assert_eq!(kind(queue.get_bytes_into_timeout(&mut buffer, LONG)), ErrorKind::Mismatch);
    assert!(buffer.is_empty());
    assert_eq!(queue.get().unwrap(), 7);
}

#[test]
fn a_panic_in_a_closure_gives_the_memory_back() {
    let _watch = watch();
    alone(|| {
        let queue: Queue<u32> = Queue::new().unwrap();
        let panics = |f: &dyn Fn() -> Result<()>| {
            assert!(catch_unwind(AssertUnwindSafe(f)).is_err());
        };
        let round = || {
            panics(&|| queue.put_with(1 << 20, |_| resume_unwind(Box::new(()))));
            assert_eq!(queue.len(), 0);
            queue.put_with(1 << 20, |buf| buf[0] = 1).unwrap();
            panics(&|| queue.get_with(|_| resume_unwind(Box::new(()))));
            assert_eq!(queue.len(), 0, "it was taken before");
        };
        (0..5).for_each(|_| round());
        let before = world_size();
        (0..100).for_each(|_| round());
        assert_eq!(world_size(), before);
    });
}

#[test]
fn a_put_that_fails_after_the_closure_gives_the_memory_back() {
    let _watch = watch();
    alone(|| {
        let queue: Queue<u32> = Queue::bounded(1).unwrap();
        queue.put(1).unwrap();
        let try_put = || assert_eq!(kind(queue.try_put_with(1 << 20, |_| ())), ErrorKind::Full);
        try_put();
        let before = world_size();
        (0..100).for_each(|_| try_put());
        queue.close().unwrap();
        for _ in 0..100 {
            assert_eq!(kind(queue.put_with(1 << 20, |_| ())), ErrorKind::Closed);
        }
        assert_eq!(world_size(), before);
        assert_eq!(queue.get().unwrap(), 1);
    });
}

#[test]
fn a_death_in_a_closure_gives_the_memory_back() {
    fn dies(queue: Queue<u32>, inside: Event, puts: bool) {
        let stop = || {
            inside.set();
            park();
        };
        if puts {
            queue.put_with(1 << 20, |buf| {
                buf[0] = 1;
                stop();
            })
        } else {
            queue.get_with(|_| stop())
        }
        .unwrap();
    }
    let _watch = watch();
    alone(|| {
        let queue: Queue<u32> = Queue::new().unwrap();
        let inside = Event::new().unwrap();
        let round = |puts: bool| {
            if !puts {
                queue.put_with(1 << 20, |buf| buf.fill(2)).unwrap();
            }
            queue.put_bytes(b"next").unwrap();
            let child = Process::spawn(dies, (&queue, &inside, puts)).unwrap();
            assert!(inside.wait_timeout(LONG).unwrap());
            inside.clear();
            assert_eq!(queue.len(), 1, "half put or taken");
            killed(child);
            assert_eq!(queue.get_bytes().unwrap(), b"next", "and that alone is gone");
            assert!(queue.is_empty());
        };
        for puts in [true, false] {
            round(puts);
            let before = world_size().0;
            (0..8).for_each(|_| round(puts));
            // What the dead had serves the next.
            until("the memory of the dead is found", || {
                queue.put_with(1 << 20, |_| ()).unwrap();
                queue.get_with(|_| ()).unwrap();
                world_size().0 <= before + (4 << 20)
            });
        }
    });
}
