//! The one that closes stops between its store and its wake.

use multiproc::{Event, Process, Queue};

use super::woken::Traced;
use super::{Cure, Play, end, show};
use crate::common::{alone, asleep, park};
use crate::watchdog::watch;

fn close_one(play: Play, queue: Queue<u32>, ready: Event, go: Event) {
    play.begin();
    // What is used first makes system calls that do not belong here.
    Queue::<u32>::new().unwrap().close().unwrap();
    ready.set();
    go.wait().unwrap();
    queue.close().unwrap();
    park();
}

fn wait_for_the_end(play: Play, queue: Queue<u32>, ready: Event, through: Queue<()>, put: bool) {
    play.begin();
    ready.set();
    let over = if put { queue.put(1) } else { queue.get().map(drop) };
    assert!(over.unwrap_err().is_closed());
    through.put(()).unwrap();
    park();
}

/// A closer stops when the queue says that it is closed, and before anybody was woken. One waits for a message, or for room.
fn closer_is_stopped(play: Play, put: bool) -> bool {
    let (queue, through) = (Queue::bounded(1).unwrap(), Queue::new().unwrap());
    if put {
        queue.put(0).unwrap();
    }
    let (ready, go) = (Event::new().unwrap(), Event::new().unwrap());
    let closer = asleep(&ready, Process::spawn(close_one, (play, &queue, &ready, &go)).unwrap());
    let ready = Event::new().unwrap();
    let waiter = Process::spawn(wait_for_the_end, (play, &queue, &ready, &through, put)).unwrap();
    let waiter = asleep(&ready, waiter);
    let Some(traced) = Traced::asleep(&closer) else {
        end(closer);
        end(waiter);
        return play.on;
    };
    go.set();
    traced.stops();
    while !queue.is_closed() {
        traced.request(libc::PTRACE_SYSCALL, 0).unwrap();
        traced.stops();
    }
    let through = play.all_through(&through, 1);
    end(closer);
    end(waiter);
    through
}

#[test]
fn a_closer_is_stopped_while_a_getter_waits() {
    let _watch = watch();
    alone(|| show(Cure::ChangePoll, |play| closer_is_stopped(play, false)));
}

#[test]
fn a_closer_is_stopped_while_a_putter_waits() {
    let _watch = watch();
    alone(|| show(Cure::ChangePoll, |play| closer_is_stopped(play, true)));
}
