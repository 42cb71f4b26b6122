//! Forked children, and semaphores that travel.

use multiproc::{BoundedSemaphore, ErrorKind, Process, Queue, Semaphore};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::common::{kind, until};
use crate::watchdog::watch;

#[test]
fn in_a_forked_child_inherited_permits_count_for_nothing() {
    let _watch = watch();
    let body = || {
        let semaphore = Semaphore::new(3).unwrap();
        let mut copy = Some((
            semaphore.acquire().unwrap(),
            semaphore.acquire_owned().unwrap(),
            semaphore.acquire().unwrap(),
        ));
        // SAFETY: this thread is the only one but the keeper, which is asleep; the child leaves by `_exit` below.
        let child = unsafe { libc::fork() };
        assert!(child >= 0);
        if child == 0 {
            let refused = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                let (one, two, three) = copy.take().unwrap();
                drop(one);
                drop(two);
                three.forget();
                assert_eq!(kind(semaphore.acquire()), ErrorKind::Foreign);
                assert_eq!(kind(semaphore.try_acquire_owned()), ErrorKind::Foreign);
                assert_eq!(kind(semaphore.release(1)), ErrorKind::Foreign);
                assert_eq!(semaphore.available(), 0);
            }));
            // SAFETY: ends the process; nothing follows.
            unsafe { libc::_exit(i32::from(refused.is_err())) };
        }
        let child = Pid::from_raw(child);
        assert_eq!(waitpid(child, None).unwrap(), WaitStatus::Exited(child, 0));
        assert_eq!(semaphore.available(), 0);
        drop(copy);
        assert_eq!(semaphore.available(), 3);
    };
    Process::spawn(body, ()).unwrap().join().unwrap();
}

#[derive(Serialize, Deserialize)]
struct Gym {
    lockers: Semaphore,
    showers: BoundedSemaphore,
}

#[test]
fn they_travel_inside_a_structure_and_outlive_their_maker() {
    let _watch = watch();
    let gyms = Queue::new().unwrap();
    let build = |gyms: Queue<Gym>| {
        let gym =
            Gym { lockers: Semaphore::new(5).unwrap(), showers: BoundedSemaphore::new(2).unwrap() };
        gym.lockers.acquire().unwrap().forget();
        // Comes back when this process has ended.
        std::mem::forget(gym.showers.acquire().unwrap());
        gyms.put(gym).unwrap();
    };
    Process::spawn(build, (&gyms,)).unwrap().join().unwrap();
    let gym = gyms.try_get().unwrap();
    assert_eq!(gym.lockers.available(), 4);
    until("the shower is free", || gym.showers.available() == 2);
    assert!(gym.showers.release(1).unwrap_err().is_limit());
}
