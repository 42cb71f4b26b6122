//! What Python's own tests ask of connections (`Lib/test/_test_multiprocessing.py`: `_TestConnection`, `_TestPoll`,
//! `TestIgnoreEINTR`), between processes.

// A signal handler cannot be installed without.
#![allow(unsafe_code, reason = "installs a signal handler")]

use std::time::{Duration, Instant};

use multiproc::{Connection, ErrorKind, Event, Pipe, Process, Receiver, Result, Sender};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, sigaction};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::common::{LONG, SHORT, kind, until_asleep};
use crate::watchdog::watch;

const BIG: usize = 16 << 20;

/// `_TestConnection._echo`: sends back the bytes it is sent, until they are none.
fn echo(mut connection: Connection<Vec<f64>, Vec<f64>>) -> Result<()> {
    loop {
        let message = match connection.recv_bytes() {
            Err(error) if error.is_mismatch() => {
                let values = connection.recv()?;
                connection.send(values)?;
                continue;
            }
            message => message?,
        };
        if message.is_empty() {
            return Ok(());
        }
        connection.send_bytes(&message)?;
    }
}

#[test]
fn test_connection() {
    let _watch = watch();
    let (mut connection, theirs) = Pipe::duplex().unwrap();
    let process = Process::builder().daemon(true).spawn(echo, (theirs,)).unwrap();

    let values = vec![1.0, 1.25, f64::MIN_POSITIVE];
    connection.send(&values).unwrap();
    assert_eq!(connection.recv().unwrap(), values);

    let message = b"hello world".as_slice();
    connection.send_bytes(message).unwrap();
    assert_eq!(connection.recv_bytes().unwrap(), message);

    let mut buffer = [0; 40];
    connection.send_bytes(message).unwrap();
    assert_eq!(connection.recv_bytes_into(&mut buffer).unwrap(), message.len());
    assert_eq!(buffer[..message.len()], *message);
    connection.send_bytes(message).unwrap();
    assert_eq!(connection.recv_bytes_into(&mut buffer[24..]).unwrap(), message.len());
    assert_eq!(buffer[24..24 + message.len()], *message);

    let long = message.repeat(10);
    connection.send_bytes(&long).unwrap();
    let error = connection.recv_bytes_into(&mut buffer).unwrap_err();
    assert!(error.is_too_large() && error.to_string().contains("110"), "{error}");
    assert_eq!(connection.recv_bytes().unwrap(), long);

    assert!(!connection.poll(Duration::ZERO).unwrap());
    let before = Instant::now();
    assert!(!connection.poll(SHORT).unwrap());
    assert!(before.elapsed() >= SHORT);
    connection.send_bytes(b"x").unwrap();
    assert!(connection.poll(LONG).unwrap());
    assert_eq!(connection.recv_bytes().unwrap(), b"x");

    let big = vec![b'X'; BIG];
    connection.send_bytes(&big).unwrap();
    assert!(connection.recv_bytes().unwrap() == big);

    connection.send_bytes(b"").unwrap();
    assert_eq!(kind(connection.recv_bytes()), ErrorKind::Closed);
    assert_eq!(kind(connection.recv()), ErrorKind::Closed);
    assert!(connection.poll(LONG).unwrap());
    process.join().unwrap().unwrap();
}

#[test]
fn test_big_messages_come_back() {
    let _watch = watch();
    let (mut connection, theirs) = Pipe::duplex().unwrap();
    let process = Process::spawn(echo, (theirs,)).unwrap();
    for round in 0..5 {
        let mut bytes = vec![round; BIG];
        for (at, piece) in bytes.chunks_mut(256).enumerate() {
            piece.fill(at as u8 ^ round);
        }
        connection.send_bytes(&bytes).unwrap();
        assert!(connection.recv_with(|back| back == bytes).unwrap());
        let values = vec![f64::from(round); BIG / 8];
        connection.send(&values).unwrap();
        assert!(connection.recv().unwrap() == values);
    }
    connection.send_bytes(b"").unwrap();
    process.join().unwrap().unwrap();
}

#[test]
fn test_duplex_false() {
    let (mut writer, mut reader) = Pipe::simplex::<u8>().unwrap();
    writer.send(1).unwrap();
    assert_eq!(reader.recv().unwrap(), 1);
}

#[test]
fn test_spawn_close() {
    let _watch = watch();
    let (mut connection, theirs) = Pipe::duplex().unwrap();
    let process = Process::spawn(echo, (theirs,)).unwrap();
    // Nothing has to be closed here: the other end is the child's.
    connection.send_bytes(b"hello").unwrap();
    assert_eq!(connection.recv_bytes().unwrap(), b"hello");
    connection.send_bytes(b"").unwrap();
    process.join().unwrap().unwrap();
}

#[test]
fn test_sendbytes() {
    let (mut a, mut b) = Pipe::duplex::<(), ()>().unwrap();
    let message = b"abcdefghijklmnopqrstuvwxyz";
    for part in [&message[..], &message[5..], &message[7..15], &message[26..]] {
        a.send_bytes(part).unwrap();
        assert_eq!(b.recv_bytes().unwrap(), part);
    }
}

#[test]
fn test_poll_empty_string() {
    let (mut a, mut b) = Pipe::duplex::<(), ()>().unwrap();
    assert!(!a.poll(Duration::ZERO).unwrap());
    b.send_bytes(b"").unwrap();
    assert!(a.poll(Duration::ZERO).unwrap());
    assert!(a.poll(Duration::ZERO).unwrap());
    assert_eq!(a.recv_bytes().unwrap(), b"");
    assert!(!a.poll(Duration::ZERO).unwrap());
}

const STRINGS: [&[u8]; 6] = [b"hello", b"", b"a", b"b", b"", b"bye"];

#[test]
fn test_strings() {
    let _watch = watch();
    let say = |mut sender: Sender<()>, texts: Vec<Vec<u8>>| -> Result<()> {
        texts.iter().try_for_each(|text| sender.send_bytes(text))
    };
    let (sender, mut receiver) = Pipe::simplex().unwrap();
    let texts: Vec<Vec<u8>> = STRINGS.iter().map(|text| text.to_vec()).collect();
    let process = Process::spawn(say, (sender, &texts)).unwrap();
    for text in texts {
        assert!(receiver.poll(LONG).unwrap());
        assert_eq!(receiver.recv_bytes().unwrap(), text);
    }
    process.join().unwrap().unwrap();
}

/// Lengths to either side of every boundary that there is.
fn lengths() -> Vec<usize> {
    let powers = (0..=20).map(|power| 1 << power);
    let around = powers.flat_map(|n: usize| (n.saturating_sub(9)..n + 9).collect::<Vec<_>>());
    around.collect()
}

#[test]
fn test_boundaries() {
    let _watch = watch();
    let say = |mut sender: Sender<()>| -> Result<()> {
        for (number, len) in lengths().into_iter().enumerate() {
            sender.send_bytes(&vec![number as u8; len])?;
        }
        Ok(())
    };
    let (sender, mut receiver) = Pipe::simplex().unwrap();
    let process = Process::spawn(say, (sender,)).unwrap();
    for (number, len) in lengths().into_iter().enumerate() {
        let is_right = receiver.recv_with(|bytes| {
            bytes.len() == len && bytes.iter().all(|&byte| byte == number as u8)
        });
        assert!(is_right.unwrap(), "{len} bytes");
    }
    assert_eq!(kind(receiver.recv_bytes()), ErrorKind::Closed);
    process.join().unwrap().unwrap();
}

#[test]
fn test_dont_merge() {
    let _watch = watch();
    let say = |mut sender: Sender<()>| -> Result<()> {
        sender.send_bytes(b"a")?;
        sender.send_bytes(b"b")?;
        sender.send_bytes(b"cd")
    };
    let (sender, mut receiver) = Pipe::simplex().unwrap();
    assert!(!receiver.poll(Duration::ZERO).unwrap());
    let process = Process::spawn(say, (sender,)).unwrap();
    for text in [b"a".as_slice(), b"b", b"cd"] {
        assert!(receiver.poll(LONG).unwrap());
        assert_eq!(receiver.recv_bytes().unwrap(), text);
    }
    process.join().unwrap().unwrap();
    // Nothing is left, and the other end is gone.
    assert!(receiver.poll(Duration::ZERO).unwrap());
    assert_eq!(kind(receiver.recv_bytes()), ErrorKind::Closed);
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Mixed {
    Nothing,
    Number(f64),
    List(Vec<Option<u8>>),
}

#[test]
fn test_recursive_values() {
    let (mut a, mut b) = Pipe::duplex::<Mixed, ()>().unwrap();
    for item in [Mixed::Nothing, Mixed::Number(1.25), Mixed::List(vec![Some(1), None])] {
        a.send(&item).unwrap();
        assert_eq!(b.recv().unwrap(), item);
    }
}

extern "C" fn nothing(_: i32) {}

/// Without restarting: what was interrupted returns to whoever called it.
fn catch_signals() {
    let action = SigAction::new(SigHandler::Handler(nothing), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler does nothing at all.
    unsafe { sigaction(Signal::SIGUSR1, &action) }.unwrap();
}

fn interrupt<R>(process: &Process<R>) {
    for _ in 0..100 {
        kill(Pid::from_raw(process.id() as i32), Signal::SIGUSR1).unwrap();
    }
}

#[test]
fn test_a_signal_during_a_blocked_receive_loses_nothing() {
    let _watch = watch();
    let (mut sender, receiver) = Pipe::simplex::<u32>().unwrap();
    let ready = Event::new().unwrap();
    let wait = |mut receiver: Receiver<u32>, ready: Event| -> Result<Vec<u32>> {
        catch_signals();
        ready.set();
        receiver.iter().collect()
    };
    let process = Process::spawn(wait, (receiver, &ready)).unwrap();
    ready.wait().unwrap();
    for n in 0..10 {
        until_asleep(&process.handle());
        interrupt(&process);
        sender.send(n).unwrap();
        interrupt(&process);
    }
    drop(sender);
    assert!(process.join().unwrap().unwrap().into_iter().eq(0..10));
}

#[test]
fn test_a_signal_during_a_blocked_send_loses_nothing() {
    let _watch = watch();
    for len in [1000, BIG] {
        let (sender, mut receiver) = Pipe::simplex::<()>().unwrap();
        let ready = Event::new().unwrap();
        let fill = |mut sender: Sender<()>, ready: Event, len: usize| -> Result<u8> {
            catch_signals();
            ready.set();
            // The large ones first.
            let lens = (0..200).map(|n| (n, if n < 10 { len } else { 1000 }));
            lens.into_iter().try_for_each(|(n, len)| sender.send_bytes(&vec![n; len]))?;
            Ok(7)
        };
        let process = Process::spawn(fill, (sender, &ready, len)).unwrap();
        ready.wait().unwrap();
        for n in 0..200 {
            if n < 20 {
                until_asleep(&process.handle());
                interrupt(&process);
            }
            assert!(receiver.recv_with(|bytes| bytes[0] == n && bytes.ends_with(&[n])).unwrap());
        }
        assert_eq!(process.join().unwrap().unwrap(), 7);
    }
}
