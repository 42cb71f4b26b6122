//! A thread with a real-time policy sleeps while it waits for others: on its processor nobody else runs until it does, however
//! often it yields.
//!
//! Such a thread could starve the machine. So it shares one processor with the thread that it waits for, and the kernel kills
//! the process if it runs for a tenth of a second and does not sleep (`RLIMIT_RTTIME`, for which yielding is no sleep).

#![allow(unsafe_code, reason = "asks the scheduler")]

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use multiproc::{Barrier, Condition, Event, JoinableQueue, Lock, Pipe, Queue, RLock, Semaphore};

use crate::common::alone;
use crate::watchdog::watch;

/// How often each wait is tried: polling and giving way are on and off by turns.
const RUNS: usize = 100;
/// How long a real-time thread may run without a sleep, in microseconds.
const MOST: u64 = 100_000;
/// How long it goes on where nobody is let in: it should be a few milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);

fn checked(result: i32) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The processor on which the calling thread is.
fn processor() -> usize {
    // SAFETY: takes nothing.
    unsafe { libc::sched_getcpu() }.max(0) as usize
}

/// Puts the calling thread on one processor.
fn run_on(processor: usize) {
    // SAFETY: all zeroes is an empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: a set of this frame; the number is one that the system gave.
    unsafe { libc::CPU_SET(processor, &mut set) };
    // SAFETY: the set is read, and as long as said.
    checked(unsafe { libc::sched_setaffinity(0, size_of_val(&set), &raw const set) }).unwrap();
}

/// Gives the calling thread the lowest real-time priority.
fn be_real_time() -> io::Result<()> {
    // The kernel's structure. Not by the C library: musl's function refuses everything.
    let (call, priority) = (libc::SYS_sched_setscheduler, 1_i32);
    // SAFETY: the structure, which is one number, is read.
    checked(unsafe { libc::syscall(call, 0, libc::SCHED_FIFO, &raw const priority) } as i32)
}

/// From here on a real-time thread that does not sleep ends this process.
fn limit_real_time() -> io::Result<()> {
    let limit = libc::rlimit { rlim_cur: MOST, rlim_max: MOST };
    // SAFETY: the structure is read.
    checked(unsafe { libc::setrlimit(libc::RLIMIT_RTTIME, &raw const limit) })
}

/// A real-time thread waits by `wait` for what another thread, on the same processor, does by `act`, with what it made by
/// `prepare` before the wait.
fn sleeps<T>(
    processor: usize,
    prepare: impl Fn() -> T + Sync,
    act: impl Fn(T) + Sync,
    wait: impl Fn() + Sync,
) {
    let waiting = AtomicUsize::new(0);
    let (prepared, is_prepared) = mpsc::channel();
    let (waited, has_waited) = mpsc::channel();
    let (waiting, prepare, act, wait) = (&waiting, &prepare, &act, &wait);
    thread::scope(|scope| {
        scope.spawn(move || {
            run_on(processor);
            for run in 1..=RUNS {
                let made = prepare();
                prepared.send(()).unwrap();
                while waiting.load(Ordering::Acquire) < run {
                    thread::yield_now();
                }
                act(made);
                has_waited.recv().unwrap();
            }
        });
        scope.spawn(move || {
            run_on(processor);
            be_real_time().unwrap();
            for run in 1..=RUNS {
                is_prepared.recv().unwrap();
                waiting.store(run, Ordering::Release);
                wait();
                waited.send(()).unwrap();
            }
        });
    });
}

/// Whether a real-time thread lets one in that has waited for long, on the same processor, for what it takes again and again.
fn lets_in<T>(processor: usize, take: impl Fn() -> T + Sync) {
    let (is_in, is_taken) = (AtomicBool::new(false), AtomicBool::new(false));
    let take = &take;
    thread::scope(|scope| {
        scope.spawn(|| {
            run_on(processor);
            while !is_taken.load(Ordering::Acquire) {
                thread::yield_now();
            }
            drop(take());
            is_in.store(true, Ordering::Release);
        });
        scope.spawn(|| {
            run_on(processor);
            be_real_time().unwrap();
            let end = Instant::now() + PATIENCE;
            while !is_in.load(Ordering::Acquire) {
                assert!(Instant::now() < end, "not let in within {PATIENCE:?}");
                let taken = take();
                is_taken.store(true, Ordering::Release);
                thread::sleep(Duration::from_millis(1));
                drop(taken);
            }
        });
    });
}

#[test]
fn a_real_time_thread_sleeps_while_it_waits() {
    let _watch = watch();
    alone(|| {
        // The world first: on a single processor nothing would ever poll.
        let (lock, rlock) = (Lock::new().unwrap(), RLock::new().unwrap());
        let asked = thread::spawn(|| limit_real_time().and_then(|()| be_real_time()));
        if let Err(error) = asked.join().unwrap() {
            println!("skipped: no real-time priority: {error}");
            return;
        }
        let here = processor();
        sleeps(here, || lock.lock().unwrap(), drop, || drop(lock.lock().unwrap()));
        sleeps(here, || rlock.lock().unwrap(), drop, || drop(rlock.lock().unwrap()));
        lets_in(here, || lock.lock().unwrap());
        lets_in(here, || rlock.lock().unwrap());

        let permits = Semaphore::new(1).unwrap();
        sleeps(here, || permits.acquire().unwrap(), drop, || drop(permits.acquire().unwrap()));
        lets_in(here, || permits.acquire().unwrap());

        let event = Event::new().unwrap();
        sleeps(here, || event.clear(), |()| event.set(), || event.wait().unwrap());

        let (queue, full) = (Queue::new().unwrap(), Queue::bounded(1).unwrap());
        sleeps(here, || (), |()| queue.put(1).unwrap(), || assert_eq!(queue.get().unwrap(), 1));
        let put = || full.put(1).unwrap();
        let get = || assert_eq!(full.get().unwrap(), 1);
        let put_and_get = || {
            put();
            get();
        };
        sleeps(here, put, |()| get(), put_and_get);

        let tasks = JoinableQueue::<u8>::new().unwrap();
        let done = || tasks.get().unwrap().done();
        sleeps(here, || tasks.put(1).unwrap(), |()| _ = done(), || tasks.join().unwrap());

        let (condition, is_told) = (Condition::new().unwrap(), AtomicBool::new(false));
        let tell = |()| {
            let _guard = lock.lock().unwrap();
            is_told.store(true, Ordering::Relaxed);
            condition.notify_one();
        };
        let be_told = || {
            let mut guard = lock.lock().unwrap();
            while !is_told.swap(false, Ordering::Relaxed) {
                condition.wait(&mut guard).unwrap();
            }
        };
        sleeps(here, || (), tell, be_told);

        let barrier = Barrier::new(2).unwrap();
        let meet = || _ = barrier.wait().unwrap();
        sleeps(here, || (), |()| meet(), meet);

        let (sender, receiver) = Pipe::simplex().unwrap();
        let (sender, receiver) = (std::sync::Mutex::new(sender), std::sync::Mutex::new(receiver));
        let send = |()| sender.lock().unwrap().send(1).unwrap();
        let receive = || assert_eq!(receiver.lock().unwrap().recv().unwrap(), 1);
        sleeps(here, || (), send, receive);
    });
}

/// Yielding is for a bounded number of times, before a sleep; this one file does it.
#[test]
fn nothing_but_polling_yields() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = crate::layers::sources(&source);
    let is_shipped = |name: &str| !name.ends_with("tests.rs");
    let yields =
        files.iter().filter(|(name, text)| is_shipped(name) && text.contains("yield_now()"));
    let names: Vec<_> = yields.map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["liveness/spin.rs", "sys/thread.rs"]);
}
