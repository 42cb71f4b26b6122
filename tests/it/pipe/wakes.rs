//! Who sleeps at an end of a pipe is woken by whatever the other end does. The keepers' poll, which would wake it within a second, and
//! a death, which wakes everybody, play no part.

use multiproc::{Event, Pipe, Process, Queue, Receiver, Result, Sender};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::common::{LONG, alone, asleep, until_asleep, without_poll};

/// Waits for a message, and for the end.
fn receive(mut receiver: Receiver<u32>, ready: Event, ended: Queue<bool>) -> Result<()> {
    without_poll();
    ready.set();
    loop {
        let is_over = receiver.recv().is_err();
        ended.put(is_over)?;
        if is_over {
            return Ok(());
        }
    }
}

/// Sends until there is no room, and until there is nobody.
fn send(mut sender: Sender<u32>, ready: Event, ended: Queue<bool>) -> Result<()> {
    without_poll();
    while sender.try_send(7).is_ok() {}
    ready.set();
    let first = sender.send(8).is_err();
    ended.put(first)
}

/// How an end goes while its process lives on.
#[derive(Clone, Copy)]
enum Way {
    Dropped,
    /// With a message that nobody gets.
    Sent,
}

impl Way {
    fn go<T: Serialize + DeserializeOwned>(self, end: T) {
        match self {
            Way::Dropped => drop(end),
            Way::Sent => {
                let mail = Queue::new().unwrap();
                mail.put(end).unwrap();
                mail.shutdown().unwrap();
            }
        }
    }
}

#[test]
fn an_end_that_goes_wakes_who_sleeps_at_the_other() {
    let is_over = |ended: &Queue<bool>| ended.get_timeout(LONG).expect("it was not woken");
    alone(|| {
        without_poll();
        for way in [Way::Dropped, Way::Sent] {
            let (mut sender, receiver) = Pipe::simplex().unwrap();
            let (ready, ended) = (Event::new().unwrap(), Queue::new().unwrap());
            let process = Process::spawn(receive, (receiver, &ready, &ended)).unwrap();
            let process = asleep(&ready, process);
            sender.send(1).unwrap();
            assert!(!is_over(&ended));
            until_asleep(&process.handle());
            way.go(sender);
            assert!(is_over(&ended));
            process.join().unwrap().unwrap();

            let (sender, receiver) = Pipe::simplex().unwrap();
            let ready = Event::new().unwrap();
            let process = asleep(&ready, Process::spawn(send, (sender, &ready, &ended)).unwrap());
            way.go(receiver);
            assert!(is_over(&ended));
            process.join().unwrap().unwrap();
        }
    });
}
