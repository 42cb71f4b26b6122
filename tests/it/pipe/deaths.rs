//! Kills at random moments: what was sent comes whole and in order, and then the pipe is closed, never silent.

use std::time::Duration;

use multiproc::{Connection, ErrorKind, Pipe, Process, Receiver, Result, Sender};

use crate::common::{Chance, LONG, kind};
use crate::watchdog::watch;

/// Messages of lengths on both sides of every limit, by their number.
fn message(number: u64) -> Vec<u8> {
    let lens = [0, 1, 8, 63, 64, 500, 4000, 16384, 16385, 40_000];
    let mut bytes = vec![number as u8; 8 + lens[number as usize % lens.len()]];
    bytes[..8].copy_from_slice(&number.to_le_bytes());
    bytes
}

fn send_on(mut sender: Sender<Vec<u8>>) -> Result<()> {
    (0..).try_for_each(|number| {
        if number % 3 == 0 {
            return sender.send(message(number));
        }
        // In place, by halves.
        let bytes = message(number);
        sender.send_with(bytes.len(), |place| {
            let (front, back) = place.split_at_mut(bytes.len() / 2);
            back.copy_from_slice(&bytes[front.len()..]);
            front.copy_from_slice(&bytes[..front.len()]);
        })
    })
}

fn receive(receiver: &mut Receiver<Vec<u8>>, number: u64) -> Result<()> {
    let bytes = if number.is_multiple_of(3) {
        receiver.recv_timeout(LONG)?
    } else {
        receiver.recv_bytes_timeout(LONG)?
    };
    assert!(bytes == message(number), "message {number} is torn");
    Ok(())
}

#[test]
fn a_sender_killed_at_any_moment_leaves_whole_messages_and_the_end() {
    let _watch = watch();
    let mut chance = Chance::new(7);
    for _ in 0..25 {
        let (sender, mut receiver) = Pipe::simplex().unwrap();
        let process = Process::spawn(send_on, (sender,)).unwrap();
        let kill_at = chance.below(2000);
        let mut number = 0;
        let error = loop {
            if number == kill_at {
                process.handle().kill().unwrap();
            }
            match receive(&mut receiver, number) {
                Ok(()) => number += 1,
                Err(error) => break error,
            }
        };
        assert!(error.is_closed(), "{error:?}");
        assert!(number >= kill_at);
        process.join().unwrap_err();
    }
}

fn receive_on(mut receiver: Receiver<Vec<u8>>, mut progress: Sender<u64>) -> Result<()> {
    for number in 0.. {
        receive(&mut receiver, number)?;
        progress.send(number)?;
    }
    Ok(())
}

#[test]
fn a_receiver_killed_at_any_moment_closes_the_pipe() {
    let _watch = watch();
    let mut chance = Chance::new(8);
    for _ in 0..25 {
        let (mut sender, receiver) = Pipe::simplex().unwrap();
        let (progress, mut seen) = Pipe::simplex().unwrap();
        let process = Process::spawn(receive_on, (receiver, progress)).unwrap();
        let kill_at = chance.below(2000);
        let sending = std::thread::spawn(move || {
            for number in 0.. {
                let bytes = message(number);
                let sent = if number % 3 == 0 {
                    sender.send_timeout(&bytes, LONG)
                } else {
                    sender.send_bytes_timeout(&bytes, LONG)
                };
                if let Err(error) = sent {
                    return error;
                }
            }
            unreachable!("it was told that the receiver is gone")
        });
        while seen.recv_timeout(LONG).unwrap() != kill_at {}
        process.handle().kill().unwrap();
        assert!(sending.join().unwrap().is_closed());
        // Each message was received once.
        let rest: Vec<u64> = seen.iter().collect::<Result<_>>().unwrap();
        assert!(rest.into_iter().zip(kill_at + 1..).all(|(seen, expected)| seen == expected));
        process.join().unwrap_err();
    }
}

/// Passes every end on that comes, until it is killed.
fn pass_on(mut here: Connection<Sender<u32>, Sender<u32>>) -> Result<()> {
    loop {
        let mut end = here.recv()?;
        end.send(1)?;
        here.send(end)?;
    }
}

#[test]
fn an_end_is_somewhere_or_closed_when_a_carrier_is_killed_at_any_moment() {
    let _watch = watch();
    let mut chance = Chance::new(9);
    for _ in 0..25 {
        let (mut here, there) = Pipe::duplex::<Sender<u32>, Sender<u32>>().unwrap();
        let process = Process::spawn(pass_on, (there,)).unwrap();
        let (sender, mut receiver) = Pipe::simplex::<u32>().unwrap();
        here.send(sender).unwrap();
        receiver.recv_timeout(LONG).unwrap();
        let handle = process.handle();
        let wait = Duration::from_micros(chance.below(800));
        let killer = std::thread::spawn(move || {
            std::thread::sleep(wait);
            handle.kill().unwrap();
        });
        let mut kept = None;
        loop {
            match here.recv_timeout(LONG) {
                Ok(mut end) => {
                    end.send(2).unwrap();
                    kept = match here.try_send(&end) {
                        Ok(()) => None,
                        Err(_) => Some(end),
                    };
                }
                Err(error) => {
                    assert!(error.is_closed(), "{error:?}");
                    break;
                }
            }
        }
        killer.join().unwrap();
        drop(here);
        // Here, and open; or nowhere, and closed.
        while receiver.try_recv().is_ok() {}
        match kept {
            Some(mut end) => {
                end.send(3).unwrap();
                assert_eq!(receiver.recv().unwrap(), 3);
            }
            None => assert_eq!(kind(receiver.recv_timeout(LONG)), ErrorKind::Closed),
        }
        process.join().unwrap_err();
    }
}
