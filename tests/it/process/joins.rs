//! Joining: by several at once, under signals, with much to bring back, and what is refused.

use super::*;
use crate::common::{alone, until_asleep};
use multiproc::StartMethod;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, sigaction};
use std::sync::{Barrier, OnceLock};
use std::thread;

const METHODS: [StartMethod; 2] = [StartMethod::Spawn, StartMethod::ForkServer];

/// Bytes that tell where they stand.
fn bytes(len: usize) -> Vec<u8> {
    let mut bytes = (0..251).collect::<Vec<u8>>().repeat(len.div_ceil(251));
    bytes.truncate(len);
    bytes
}

#[test]
fn a_mebibyte_and_a_hundred_go_in_and_out() {
    let _watch = watch();
    for method in METHODS {
        for len in [1 << 20, 100 << 20] {
            let given = bytes(len);
            let turn = |mut bytes: Vec<u8>| {
                bytes.rotate_left(1);
                bytes
            };
            let builder = Process::builder().start_method(method);
            let mut back = builder.spawn(turn, (&given,)).unwrap().join().unwrap();
            back.rotate_right(1);
            assert!(back == given, "{method:?}, {len} bytes");
        }
    }
}

#[test]
fn a_start_does_not_wait_for_the_child_to_read() {
    let _watch = watch();
    // Stopped in its start, it reads nothing.
    let process = Process::builder().end_with_parent(true);
    let process = process.spawn(|bytes: Vec<u8>| bytes.len(), (bytes(8 << 20),)).unwrap();
    kill(Pid::from_raw(process.id() as i32), Signal::SIGSTOP).unwrap();
    let again = Process::spawn(|bytes: Vec<u8>| bytes.len(), (bytes(8 << 20),)).unwrap();
    assert_eq!(again.join().unwrap(), 8 << 20);
    kill(Pid::from_raw(process.id() as i32), Signal::SIGCONT).unwrap();
    assert_eq!(process.join().unwrap(), 8 << 20);
}

#[test]
fn two_threads_wait_for_one_a_thousand_times() {
    let _watch = watch();
    for round in 0..1_000_i32 {
        let builder = Process::builder().start_method(StartMethod::ForkServer);
        let process = builder.spawn(|round: i32| round, (round,)).unwrap();
        let handle = process.handle();
        let other = std::thread::spawn(move || handle.wait().unwrap().code());
        assert_eq!(process.join().unwrap(), round);
        assert_eq!(other.join().unwrap(), Some(0));
    }
}

#[test]
fn a_signal_does_not_end_a_join() {
    alone(|| {
        static HEARD: AtomicU32 = AtomicU32::new(0);
        extern "C" fn hear(_: i32) {
            HEARD.fetch_add(1, Ordering::Relaxed);
        }
        let action = SigAction::new(SigHandler::Handler(hear), SaFlags::empty(), SigSet::empty());
        // SAFETY: the handler
        // - only adds to a number.
        #[allow(unsafe_code, reason = "a signal handler")]
        unsafe {
            sigaction(Signal::SIGUSR1, &action).unwrap()
        };
        let (reader, writer) = std::io::pipe().unwrap();
        let process = Process::builder().stdin(reader).spawn(until_stdin_closes, ()).unwrap();
        let waits = std::thread::spawn(move || process.join());
        let thread = std::os::unix::thread::JoinHandleExt::as_pthread_t(&waits);
        for heard in 1..=20 {
            // SAFETY: the thread is joined below, and waits until then.
            #[allow(unsafe_code, reason = "a signal to one thread")]
            unsafe {
                libc::pthread_kill(thread as _, libc::SIGUSR1)
            };
            crate::common::until("it was heard", || HEARD.load(Ordering::Relaxed) >= heard);
        }
        assert!(!waits.is_finished());
        drop(writer);
        assert_eq!(waits.join().unwrap().unwrap(), 0);
    });
}

#[test]
fn five_generations_by_either_method() {
    let _watch = watch();
    fn generation(method: u32, left: u32) -> u32 {
        let builder = Process::builder().start_method(METHODS[method as usize]);
        let next = || builder.spawn(generation, (method, left - 1)).unwrap().join().unwrap();
        if left == 0 { 1 } else { 1 + next() }
    }
    for method in 0..2 {
        assert_eq!(generation(method, 5), 6);
    }
}

#[test]
fn a_process_outlives_its_children_and_is_idle_meanwhile() {
    let _watch = watch();
    let (reader, writer) = std::io::pipe().unwrap();
    let parent = || {
        let ended: Vec<u32> =
            (0..4).map(|n| Process::spawn(|n: u32| n, (n,)).unwrap().join().unwrap()).collect();
        println!();
        until_stdin_closes();
        (ended, active_children().len())
    };
    let (mut said, says) = std::io::pipe().unwrap();
    let process = Process::builder().stdin(reader).stdout(says).spawn(parent, ()).unwrap();
    said.read_exact(&mut [0]).unwrap();
    until_asleep(&process.handle());
    drop(writer);
    assert_eq!(process.join().unwrap(), (vec![0, 1, 2, 3], 0));
}

#[test]
fn the_thousand_and_twenty_fifth_process_is_a_limit() {
    alone(|| {
        // Places that nobody lives in: a start reserves one before it fails.
        let error = (0..1100)
            .map(|_| {
                let builder = Process::builder().start_method(StartMethod::ForkServer);
                builder.end_with_parent(true).spawn(park, ())
            })
            .scan((), |(), process| Some(process.map(std::mem::forget)))
            .find_map(Result::err)
            .unwrap();
        let count = active_children().len();
        active_children().iter().for_each(|child| child.kill().unwrap());
        assert!(error.is_limit(), "{error:?}");
        // This process has one of the places; a user, or a group, may be allowed fewer.
        let is_ours = error.to_string().contains("all 1024 slots for processes");
        assert!(!is_ours || count == 1023, "{count}: {error}");
        active_children().iter().for_each(|child| drop(child.wait()));
        Process::spawn(greet, ("x",)).unwrap().join().unwrap();
    });
}

/// A start that its process does not survive: it has reserved a place by then.
struct Deadly;

impl serde::Serialize for Deadly {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let starters: &Barrier = STARTERS.get().unwrap();
        starters.wait();
        // The last of them ends all.
        kill(nix::unistd::Pid::this(), Signal::SIGKILL).unwrap();
        serializer.serialize_unit()
    }
}

impl<'de> serde::Deserialize<'de> for Deadly {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <()>::deserialize(deserializer).map(|()| Deadly)
    }
}

static STARTERS: OnceLock<Barrier> = OnceLock::new();

/// More places are reserved than there are, by processes that die before they start anybody.
#[test]
fn places_reserved_by_the_dead_are_free_again() {
    const AT_ONCE: usize = 100;
    alone(|| {
        let die = || {
            STARTERS.set(Barrier::new(AT_ONCE)).unwrap();
            let start = || drop(Process::spawn(|_: Deadly| (), (Deadly,)));
            thread::scope(|scope| (0..AT_ONCE).for_each(|_| drop(scope.spawn(start))));
        };
        for _ in 0..11 {
            let error = quiet().spawn(die, ()).unwrap().join().unwrap_err();
            assert!(error.to_string().contains("SIGKILL"), "{error}");
        }
        Process::spawn(greet, ("x",)).unwrap().join().unwrap();
    });
}

#[test]
fn signals_after_the_end_do_nothing_and_reach_nobody() {
    let _watch = watch();
    let process = Process::spawn(|| 7, ()).unwrap();
    let handle = process.handle();
    assert!(handle.wait().unwrap().success());
    for _ in 0..3 {
        handle.terminate().unwrap();
        handle.kill().unwrap();
        handle.interrupt().unwrap();
    }
    assert_eq!(process.join().unwrap(), 7);
}
