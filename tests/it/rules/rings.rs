//! Slots that are taken again, and rings that nobody heard.

use std::io::{Read, Write};

use multiproc::{Event, Lock, Process, Queue};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, sigaction};

use super::{Cure, Play, end, pass, pid_of, show, states};
use crate::common::{LONG, alone, asleep, park, until};
use crate::watchdog::watch;

/// A process dies and another takes its slot while the waiter's keeper stands still.
fn slot_is_reused(play: Play) -> bool {
    let (lock, through) = (Lock::new().unwrap(), Queue::new().unwrap());
    let [ready, start] = [(); 2].map(|()| Event::new().unwrap());
    let late = |play: Play, lock: Lock, ready: Event, start: Event, through: Queue<()>| {
        start.wait().unwrap();
        pass(play, lock, ready, through);
    };
    // The first free slot is taken: the waiter's is below the holder's.
    let waiter = Process::spawn(late, (play, &lock, &ready, &start, &through)).unwrap();
    let holder = play.holder(&lock);
    start.set();
    let waiter = asleep(&ready, waiter);
    kill(pid_of(&waiter), Signal::SIGSTOP).unwrap();
    until("the waiter stands still", || states(waiter.id()).chars().all(|state| state == 'T'));
    end(holder);
    // Given something shared, it takes the slot at once.
    let heir = Process::spawn(|_: Event| park(), (&ready,)).unwrap();
    until("the slot is taken", || states(heir.id()).len() == 2);
    kill(pid_of(&waiter), Signal::SIGCONT).unwrap();
    let through = play.all_through(&through, 1);
    end(waiter);
    end(heir);
    through
}

#[test]
fn a_death_is_seen_although_its_slot_was_taken_again() {
    let _watch = watch();
    alone(|| show(Cure::ReuseCheck, slot_is_reused));
}

/// Tells on standard output that it runs, and ends when there is something on standard input.
extern "C" fn linger(_: i32) {
    let mut byte = 0_u8;
    // SAFETY: `byte` is one byte, valid to read.
    unsafe { libc::write(1, (&raw const byte).cast(), 1) };
    // SAFETY: `byte` is one byte, valid to write.
    unsafe { libc::read(0, (&raw mut byte).cast(), 1) };
}

/// Waits for one lock in the main thread, which a signal handler can keep from its sleep, and for another in a second one.
fn pass_two(play: Play, locks: [Lock; 2], ready: Event, rung: Event, through: Queue<()>) {
    play.begin();
    let action = SigAction::new(SigHandler::Handler(linger), SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: the handler makes two system calls that a handler may make.
    unsafe { sigaction(Signal::SIGUSR1, &action) }.unwrap();
    let [first, second] = locks;
    std::thread::spawn(move || {
        SigSet::all().thread_block().unwrap();
        drop(second.recover().unwrap());
        rung.set();
    });
    pass(play, first, ready, through);
}

fn hold_two(play: Play, locks: [Lock; 2], held: Event) {
    play.begin();
    let _guards = [locks[0].lock().unwrap(), locks[1].lock().unwrap()];
    held.set();
    park();
}

/// The ring comes while the sleeper is not asleep: it has checked, and its system call begins after the ring.
fn ring_is_missed(play: Play) -> bool {
    let locks = [Lock::new().unwrap(), Lock::new().unwrap()];
    let through = Queue::new().unwrap();
    let [held, ready, rung] = [(); 3].map(|()| Event::new().unwrap());
    let holder = Process::spawn(hold_two, (play, &locks, &held)).unwrap();
    held.wait().unwrap();
    let (input, mut let_go) = std::io::pipe().unwrap();
    let (mut lingers, output) = std::io::pipe().unwrap();
    let waiter = Process::builder().stdin(input).stdout(output);
    let waiter = waiter.spawn(pass_two, (play, &locks, &ready, &rung, &through)).unwrap();
    ready.wait().unwrap();
    until("both threads wait", || {
        states(waiter.id()) == "SSS"
            && locks.iter().all(|lock| format!("{lock:?}").contains("waiters: true"))
    });
    kill(pid_of(&waiter), Signal::SIGUSR1).unwrap();
    lingers.read_exact(&mut [0]).unwrap();
    end(holder);
    assert!(rung.wait_timeout(LONG).unwrap(), "the keeper has rung for the other thread");
    let_go.write_all(&[0]).unwrap();
    let through = play.all_through(&through, 1);
    end(waiter);
    through
}

#[test]
fn a_ring_that_nobody_heard_is_repeated() {
    let _watch = watch();
    alone(|| show(Cure::Repeat, ring_is_missed));
}
