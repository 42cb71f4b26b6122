//! A keeper dies before the threads of its process.

use multiproc::{Consumer, Event, Lock, Process, Producer, Queue};

use super::{Cure, Play, end, show, states};
use crate::common::{LONG, alone, park, until, until_asleep};
use crate::watchdog::watch;

/// Ends this process's keeper at its next sleep, and returns when it is dead.
fn lose_keeper() {
    let statement =
        |code: u32, jf: u8, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf, k };
    let mut filter = [
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0),
        statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 1, libc::SYS_futex_waitv as u32),
        statement(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_KILL_THREAD),
        statement(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: integer arguments only.
    let quiet = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    assert_eq!(quiet, 0);
    let (mode, all_threads) = (libc::SECCOMP_SET_MODE_FILTER, libc::SECCOMP_FILTER_FLAG_TSYNC);
    // SAFETY: `program` and the filter it points to outlive the call, which copies them.
    let set = unsafe { libc::syscall(libc::SYS_seccomp, mode, all_threads, &program) };
    assert_eq!(set, 0, "{}", std::io::Error::last_os_error());
    // An end that goes wakes all keepers.
    drop(Queue::<()>::new().unwrap().split());
    until("the keeper is dead", || states(std::process::id()).len() == 1);
}

/// The kernel knows the system call by which keepers are told from other threads.
fn has_waitv() -> bool {
    // SAFETY: no words are given, which is refused before anything is read.
    let result = unsafe { libc::syscall(libc::SYS_futex_waitv, 0, 0, 0, 0, 0) };
    let error = std::io::Error::last_os_error().raw_os_error();
    let has = !(result == -1 && error == Some(libc::ENOSYS));
    if !has {
        println!("skipped: no futex_waitv");
    }
    has
}

fn hold_without_keeper(play: Play, lock: Lock, held: Event, go: Event, lost: Event) {
    play.begin();
    let _guard = lock.lock().unwrap();
    held.set();
    go.wait().unwrap();
    lose_keeper();
    lost.set();
    park();
}

/// The process word is marked, the holder's not yet: the sleeper checks, sees a live owner, and sleeps again.
fn keeper_first(play: Play) -> bool {
    let (lock, through) = (Lock::new().unwrap(), Queue::new().unwrap());
    let [held, go, lost] = [(); 3].map(|()| Event::new().unwrap());
    let holder = Process::spawn(hold_without_keeper, (play, &lock, &held, &go, &lost)).unwrap();
    held.wait().unwrap();
    let waiter = play.waiter(&lock, &through);
    go.set();
    lost.wait().unwrap();
    assert!(lock.try_lock().unwrap_err().is_busy(), "the holder lives, without a keeper");
    until_asleep(&waiter.handle());
    end(holder);
    let through = play.all_through(&through, 1);
    end(waiter);
    through
}

#[test]
fn a_thread_that_dies_after_its_keeper_is_told() {
    let _watch = watch();
    alone(|| {
        if has_waitv() {
            show(Cure::SecondAlarm, keeper_first);
        }
    });
}

fn put_without_keeper(play: Play, producer: Producer<u32>, lost: Event, go: Event) {
    play.begin();
    lose_keeper();
    lost.set();
    go.wait().unwrap();
    producer.put(7).unwrap();
    park();
}

/// The keeper of the only producer is dead, another thread of the process puts.
fn writes_after_keeper(play: Play) -> bool {
    let (producer, consumer): (_, Consumer<u32>) = Queue::new().unwrap().split();
    let (lost, go) = (Event::new().unwrap(), Event::new().unwrap());
    let putter = Process::spawn(put_without_keeper, (play, producer, &lost, &go)).unwrap();
    lost.wait().unwrap();
    let early = consumer.try_get().unwrap_err();
    go.set();
    let is_whole = early.is_empty() && consumer.get_timeout(LONG).is_ok_and(|number| number == 7);
    end(putter);
    if is_whole {
        assert!(consumer.get_timeout(LONG).unwrap_err().is_closed());
    }
    is_whole
}

#[test]
fn what_a_thread_writes_after_its_keeper_died_is_not_lost() {
    let _watch = watch();
    alone(|| {
        if has_waitv() {
            show(Cure::AllThreads, writes_after_keeper);
        }
    });
}
