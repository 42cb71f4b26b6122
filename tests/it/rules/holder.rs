//! A holder goes and its process stays.

use std::os::unix::process::CommandExt;
use std::process::Command;

use multiproc::{Event, Lock, Process, Queue};

use super::{Cure, Play, end, show};
use crate::common::{alone, park};
use crate::watchdog::watch;

/// Holds the lock in another thread than the first, which ends, or becomes another program.
fn hold_in_a_thread(lock: Lock, held: Event, go: Event, execs: bool) {
    std::thread::spawn(move || {
        std::mem::forget(lock.lock().unwrap());
        held.set();
        go.wait().unwrap();
        if execs {
            panic!("{}", Command::new("/bin/cat").exec());
        }
    });
    park();
}

fn thread_goes(play: Play, execs: bool) -> bool {
    let (lock, through) = (Lock::new().unwrap(), Queue::new().unwrap());
    let (held, go) = (Event::new().unwrap(), Event::new().unwrap());
    // The other program runs until its input ends.
    let (input, _open) = std::io::pipe().unwrap();
    let holder = Process::builder().stdin(input);
    let holder = holder.spawn(hold_in_a_thread, (&lock, &held, &go, execs)).unwrap();
    held.wait().unwrap();
    let waiter = play.waiter(&lock, &through);
    go.set();
    let through = play.all_through(&through, 1);
    assert!(holder.is_alive());
    end(waiter);
    end(holder);
    through
}

#[test]
fn a_holder_is_a_thread_and_ends() {
    let _watch = watch();
    alone(|| show(Cure::Slices, |play| thread_goes(play, false)));
}

#[test]
fn a_holder_is_a_thread_and_becomes_another_program() {
    let _watch = watch();
    alone(|| show(Cure::VanishedCheck, |play| thread_goes(play, true)));
}
