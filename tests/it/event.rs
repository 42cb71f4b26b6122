//! `Event`: set, clear and wait between processes, also in a signal handler.

// A signal handler cannot be installed without.
#![allow(unsafe_code)]

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use multiproc::{Event, Process, Queue, Result};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, sigaction};
use nix::unistd::Pid;

use crate::common::{LONG, SHORT, killed, park, until, until_asleep};
use crate::watchdog::watch;

/// Tells that it is there, waits, tells that it is through.
fn pass(event: Event, here: Queue<u32>, through: Queue<bool>, threads: u32) -> Result<()> {
    std::thread::scope(|scope| {
        for number in 1..threads {
            let (event, here, through) = (&event, &here, &through);
            scope.spawn(move || {
                here.put(number).unwrap();
                through.put(event.wait_timeout(LONG).unwrap()).unwrap();
            });
        }
        here.put(0)?;
        event.wait()?;
        through.put(true)
    })
}

/// Children with waiters that are asleep, and where those report.
struct Crowd {
    children: Vec<Process<Result<()>>>,
    through: Queue<bool>,
    waiters: usize,
}

fn crowd(event: &Event, children: usize, threads: u32) -> Crowd {
    let (here, through) = (Queue::new().unwrap(), Queue::new().unwrap());
    let children: Vec<_> = (0..children)
        .map(|_| Process::spawn(pass, (event, &here, &through, threads)).unwrap())
        .collect();
    let waiters = children.len() * threads as usize;
    for _ in 0..waiters {
        here.get().unwrap();
    }
    for child in &children {
        until_asleep(&child.handle());
    }
    Crowd { children, through, waiters }
}

impl Crowd {
    fn all_pass(self) {
        for _ in 0..self.waiters {
            assert!(self.through.get_timeout(LONG).unwrap());
        }
        for child in self.children {
            child.join().unwrap().unwrap();
        }
    }
}

#[test]
fn set_clear_and_is_set() {
    let event = Event::new().unwrap();
    let clone = event.clone();
    assert!(!event.is_set());
    event.clear();
    assert!(!event.is_set());
    for _ in 0..3 {
        event.set();
        event.set();
        assert!(event.is_set() && clone.is_set());
        event.wait().unwrap();
        clone.clear();
        clone.clear();
        assert!(!event.is_set());
    }
}

#[test]
fn a_wait_answers_whether_it_was_set() {
    let _watch = watch();
    let event = Event::new().unwrap();
    let past = Instant::now().checked_sub(Duration::from_secs(1)).unwrap();
    for time in [Duration::ZERO, Duration::from_nanos(1), SHORT] {
        let start = Instant::now();
        assert!(!event.wait_timeout(time).unwrap());
        assert!(start.elapsed() >= time);
    }
    for deadline in [past, Instant::now(), Instant::now() + SHORT] {
        assert!(!event.wait_deadline(deadline).unwrap());
        assert!(Instant::now() >= deadline);
    }
    event.set();
    assert!(event.wait_timeout(Duration::ZERO).unwrap());
    assert!(event.wait_timeout(Duration::MAX).unwrap());
    assert!(event.wait_deadline(past).unwrap());
    event.clear();
    assert!(!event.wait_timeout(Duration::ZERO).unwrap());
}

#[test]
fn a_timeout_that_overflows_is_for_ever() {
    let _watch = watch();
    let event = Event::new().unwrap();
    let far = Instant::now().checked_add(Duration::from_secs(1 << 33)).unwrap();
    std::thread::scope(|scope| {
        let one = scope.spawn(|| event.wait_timeout(Duration::MAX));
        let two = scope.spawn(|| event.wait_timeout(Duration::from_secs(u64::MAX / 2)));
        let three = scope.spawn(|| event.wait_deadline(far));
        until("someone sleeps", || format!("{event:?}").contains("waiters: true"));
        event.set();
        for waiter in [one, two, three] {
            assert!(waiter.join().unwrap().unwrap());
        }
    });
}

#[test]
fn debug_shows_the_live_state() {
    let _watch = watch();
    let event = Event::new().unwrap();
    assert_eq!(format!("{event:?}"), "Event { set: false, waiters: false }");
    let crowd = crowd(&event, 1, 1);
    assert_eq!(format!("{event:?}"), "Event { set: false, waiters: true }");
    event.set();
    assert_eq!(format!("{event:?}"), "Event { set: true, waiters: false }");
    crowd.all_pass();
}

#[test]
fn one_set_releases_all_waiters_of_all_processes() {
    let _watch = watch();
    let event = Event::new().unwrap();
    let crowd = crowd(&event, 3, 4);
    event.set();
    crowd.all_pass();
    assert!(event.is_set(), "it stays set");
}

#[test]
fn a_pulse_releases_those_who_waited() {
    let _watch = watch();
    let event = Event::new().unwrap();
    let crowd = crowd(&event, 2, 3);
    event.set();
    event.clear();
    crowd.all_pass();
    assert!(!event.is_set());
    assert!(!event.wait_timeout(Duration::ZERO).unwrap(), "whoever comes later waits");
}

#[test]
fn it_opens_and_closes_many_times() {
    let _watch = watch();
    let answer = |ping: Event, pong: Event, rounds: u32| -> Result<()> {
        for _ in 0..rounds {
            ping.wait()?;
            ping.clear();
            pong.set();
        }
        Ok(())
    };
    let (ping, pong) = (Event::new().unwrap(), Event::new().unwrap());
    let process = Process::spawn(answer, (&ping, &pong, 2000)).unwrap();
    for _ in 0..2000 {
        ping.set();
        assert!(pong.wait_timeout(LONG).unwrap());
        pong.clear();
    }
    process.join().unwrap().unwrap();
}

#[test]
fn what_was_done_before_the_set_is_seen_after_the_wait() {
    let _watch = watch();
    let write = |ready: Event, queue: Queue<u32>| {
        queue.put(1).unwrap();
        ready.set();
    };
    let (ready, queue) = (Event::new().unwrap(), Queue::new().unwrap());
    let process = Process::spawn(write, (&ready, &queue)).unwrap();
    ready.wait().unwrap();
    assert_eq!(queue.try_get().unwrap(), 1);
    process.join().unwrap();
}

#[test]
#[cfg_attr(feature = "raw-sync", ignore = "it kills: raw_sync is not robust")]
fn killed_waiters_hold_nobody_up() {
    let _watch = watch();
    let event = Event::new().unwrap();
    let mut crowd = crowd(&event, 4, 1);
    killed(crowd.children.remove(0));
    killed(crowd.children.remove(1));
    crowd.waiters = 2;
    event.set();
    crowd.all_pass();
    // And it still works for others.
    event.clear();
    let crowd = self::crowd(&event, 2, 1);
    event.set();
    crowd.all_pass();
}

#[test]
fn a_stopped_waiter_holds_nobody_up() {
    let _watch = watch();
    let event = Event::new().unwrap();
    let crowd = crowd(&event, 2, 1);
    let stopped = Pid::from_raw(crowd.children[0].id() as i32);
    kill(stopped, Signal::SIGSTOP).unwrap();
    event.set();
    assert!(crowd.through.get_timeout(LONG).unwrap());
    kill(stopped, Signal::SIGCONT).unwrap();
    Crowd { waiters: 1, ..crowd }.all_pass();
}

// ---------------------------------------------------------------------------------------------
// Signals
// ---------------------------------------------------------------------------------------------

static ON_SIGNAL: OnceLock<Event> = OnceLock::new();

extern "C" fn on_signal(_: i32) {
    if let Some(event) = ON_SIGNAL.get() {
        event.set();
    }
}

fn install(event: Event) {
    ON_SIGNAL.set(event).unwrap();
    let action = SigAction::new(SigHandler::Handler(on_signal), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler does what a handler may: it reads a cell that is set by now, and sets an event, which is atomics
    // and one system call.
    unsafe { sigaction(Signal::SIGUSR1, &action) }.unwrap();
}

fn set_when_told(event: Event, ready: Event, quit: Event) {
    install(event);
    ready.set();
    quit.wait().unwrap();
}

#[test]
fn it_is_set_in_a_signal_handler() {
    let _watch = watch();
    let [event, ready, quit] = [(); 3].map(|()| Event::new().unwrap());
    let process = Process::spawn(set_when_told, (&event, &ready, &quit)).unwrap();
    ready.wait().unwrap();
    // Asleep in a wait of its own, which the signal interrupts and does not end.
    until_asleep(&process.handle());
    for _ in 0..20 {
        assert!(!event.is_set());
        kill(Pid::from_raw(process.id() as i32), Signal::SIGUSR1).unwrap();
        assert!(event.wait_timeout(LONG).unwrap());
        event.clear();
    }
    assert!(process.is_alive());
    quit.set();
    process.join().unwrap();
}

fn wait_for_own_signal(event: Event, ready: Event) -> bool {
    install(event.clone());
    ready.set();
    event.wait_timeout(LONG).unwrap()
}

#[test]
fn a_waiter_is_released_by_its_own_handler() {
    let _watch = watch();
    let (event, ready) = (Event::new().unwrap(), Event::new().unwrap());
    let process = Process::spawn(wait_for_own_signal, (&event, &ready)).unwrap();
    ready.wait().unwrap();
    until_asleep(&process.handle());
    kill(Pid::from_raw(process.id() as i32), Signal::SIGUSR1).unwrap();
    assert!(process.join().unwrap());
}

/// Locks, puts and gets while signals rain.
fn work_in_the_rain(event: Event, queue: Queue<u32>, ready: Event, quit: Event) -> Result<u32> {
    install(event);
    let lock = multiproc::Lock::new()?;
    ready.set();
    let mut rounds = 0;
    while !quit.is_set() {
        let _guard = lock.lock()?;
        queue.put(rounds)?;
        if queue.get_timeout(LONG)? != rounds {
            return Err(multiproc::Error::other("out of order"));
        }
        let _ = queue.get_timeout(Duration::from_micros(50));
        rounds += 1;
    }
    Ok(rounds)
}

#[test]
fn signals_disturb_no_other_call() {
    let _watch = watch();
    let [event, ready, quit] = [(); 3].map(|()| Event::new().unwrap());
    let queue = Queue::new().unwrap();
    let process = Process::spawn(work_in_the_rain, (&event, &queue, &ready, &quit)).unwrap();
    ready.wait().unwrap();
    for _ in 0..500 {
        kill(Pid::from_raw(process.id() as i32), Signal::SIGUSR1).unwrap();
        assert!(event.wait_timeout(LONG).unwrap());
        event.clear();
    }
    quit.set();
    assert!(process.join().unwrap().unwrap() > 0);
}

#[test]
#[cfg_attr(feature = "raw-sync", ignore = "it kills: raw_sync is not robust")]
fn a_setter_that_is_killed_after_the_set_leaves_it_set() {
    let _watch = watch();
    let set = |event: Event| {
        event.set();
        park();
    };
    let event = Event::new().unwrap();
    let process = Process::spawn(set, (&event,)).unwrap();
    event.wait().unwrap();
    killed(process);
    assert!(event.is_set());
}
