//! Who sleeps at an end of a pipe is woken by whatever the other end does. The keepers' poll, which would wake it within a second, and
//! a death, which wakes everybody, play no part.

use multiproc::testing::{self, Broken};
use multiproc::{Event, Pipe, Process, Queue, Receiver, Result, Sender};

use crate::common::{LONG, alone, until_asleep};

fn without_poll() {
    testing::set_broken(Some(Broken::NoChangePoll));
}

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

#[test]
fn dropping_or_sending_away_an_end_wakes_who_sleeps_at_the_other() {
    alone(|| {
        without_poll();
        for is_sent_away in [false, true] {
            let end = |is_over: &Queue<bool>| is_over.get_timeout(LONG).expect("it was not woken");

            let (mut sender, receiver) = Pipe::simplex().unwrap();
            let (ready, ended) = (Event::new().unwrap(), Queue::new().unwrap());
            let process = Process::spawn(receive, (receiver, &ready, &ended)).unwrap();
            ready.wait().unwrap();
            until_asleep(&process.handle());
            sender.send(1).unwrap();
            assert!(!end(&ended));
            until_asleep(&process.handle());
            let mail = Queue::new().unwrap();
            if is_sent_away {
                mail.put(sender).unwrap();
                // Nobody gets it out: the end goes with its message.
                mail.shutdown().unwrap();
            } else {
                drop(sender);
            }
            assert!(end(&ended));
            process.join().unwrap().unwrap();

            let (sender, receiver) = Pipe::simplex().unwrap();
            let (ready, ended) = (Event::new().unwrap(), Queue::new().unwrap());
            let process = Process::spawn(send, (sender, &ready, &ended)).unwrap();
            ready.wait().unwrap();
            until_asleep(&process.handle());
            let mail = Queue::new().unwrap();
            if is_sent_away {
                mail.put(receiver).unwrap();
                mail.shutdown().unwrap();
            } else {
                drop(receiver);
            }
            assert!(end(&ended));
            process.join().unwrap().unwrap();
        }
    });
}
