//! Every call in every form, in one process and between processes.

use std::time::{Duration, Instant};

use multiproc::{Connection, ErrorKind, Pipe, Process, Receiver, Result, Sender};
use serde::{Deserialize, Serialize};

use super::until_other_waits;
use crate::common::{LONG, SHORT, alone, descriptors, kind, world_size};
use crate::watchdog::watch;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Order {
    number: u64,
    price: f64,
    text: String,
    parts: [u32; 8],
}

fn order(number: u64) -> Order {
    Order { number, price: 0.5, text: "x".repeat(number as usize % 50), parts: [7; 8] }
}

#[test]
fn values_come_in_order_and_as_they_were() {
    let (mut sender, mut receiver) = Pipe::simplex::<Order>().unwrap();
    for round in 0..200 {
        for number in 0..100 {
            sender.send(order(round + number)).unwrap();
        }
        for number in 0..100 {
            assert_eq!(receiver.recv().unwrap(), order(round + number));
        }
    }
    assert!(receiver.try_recv().unwrap_err().is_empty());
}

#[test]
fn both_directions_have_their_own_types() {
    let (mut a, mut b) = Pipe::duplex::<u64, String>().unwrap();
    a.send(7).unwrap();
    b.send("seven").unwrap();
    let eight = "eight".to_owned();
    b.send(&eight).unwrap();
    assert_eq!(eight, "eight");
    assert_eq!(b.recv().unwrap(), 7);
    assert_eq!(a.recv().unwrap(), "seven");
    assert_eq!(a.recv().unwrap(), "eight");
}

#[test]
fn without_waiting_full_and_empty_are_errors() {
    let (mut sender, mut receiver) = Pipe::simplex::<Vec<u8>>().unwrap();
    let message = vec![1; 1000];
    let mut count = 0;
    while sender.try_send(&message).is_ok() {
        count += 1;
    }
    assert!((60..66).contains(&count), "{count} messages of 1000 bytes");
    assert_eq!(kind(sender.try_send(&message)), ErrorKind::Full);
    assert_eq!(kind(sender.try_send_bytes(&message)), ErrorKind::Full);
    assert_eq!(kind(sender.try_send_with(1000, |_| ())), ErrorKind::Full);
    assert_eq!(kind(sender.send_timeout(&message, SHORT)), ErrorKind::Timeout);
    assert_eq!(kind(sender.send_timeout(&message, Duration::ZERO)), ErrorKind::Timeout);
    assert_eq!(kind(sender.send_deadline(&message, Instant::now() + SHORT)), ErrorKind::Timeout);
    assert_eq!(kind(sender.send_bytes_timeout(&message, SHORT)), ErrorKind::Timeout);
    assert_eq!(kind(sender.send_bytes_deadline(&message, Instant::now())), ErrorKind::Timeout);
    assert_eq!(kind(sender.send_with_timeout(1000, |_| (), SHORT)), ErrorKind::Timeout);
    assert_eq!(kind(sender.send_with_deadline(1000, |_| (), Instant::now())), ErrorKind::Timeout);
    for _ in 0..count {
        assert_eq!(receiver.try_recv().unwrap(), message);
    }
    assert_eq!(kind(receiver.try_recv()), ErrorKind::Empty);
    assert_eq!(kind(receiver.try_recv_bytes()), ErrorKind::Empty);
    assert_eq!(kind(receiver.try_recv_bytes_max(1)), ErrorKind::Empty);
    assert_eq!(kind(receiver.try_recv_bytes_into(&mut [])), ErrorKind::Empty);
    assert_eq!(kind(receiver.try_recv_with(|_| ())), ErrorKind::Empty);
    assert_eq!(kind(receiver.recv_timeout(SHORT)), ErrorKind::Timeout);
    assert_eq!(kind(receiver.recv_deadline(Instant::now())), ErrorKind::Timeout);
    assert_eq!(kind(receiver.recv_bytes_timeout(SHORT)), ErrorKind::Timeout);
    assert_eq!(kind(receiver.recv_bytes_deadline(Instant::now())), ErrorKind::Timeout);
    assert_eq!(kind(receiver.recv_bytes_max_timeout(1, SHORT)), ErrorKind::Timeout);
    assert_eq!(kind(receiver.recv_bytes_max_deadline(1, Instant::now())), ErrorKind::Timeout);
    assert_eq!(kind(receiver.recv_bytes_into_timeout(&mut [], SHORT)), ErrorKind::Timeout);
    let now = Instant::now();
    assert_eq!(kind(receiver.recv_bytes_into_deadline(&mut [], now)), ErrorKind::Timeout);
    assert_eq!(kind(receiver.recv_with_timeout(|_| (), SHORT)), ErrorKind::Timeout);
    assert_eq!(kind(receiver.recv_with_deadline(|_| (), now)), ErrorKind::Timeout);
    assert!(!receiver.poll(SHORT).unwrap() && !receiver.poll(Duration::ZERO).unwrap());
    assert!(!receiver.poll_deadline(now).unwrap());
    sender.send(message).unwrap();
    assert!(receiver.poll(Duration::ZERO).unwrap() && receiver.poll_deadline(now).unwrap());
    assert_eq!(receiver.recv_timeout(Duration::MAX).unwrap().len(), 1000);
}

#[test]
fn bytes_of_every_length_come_whole() {
    let (mut sender, mut receiver) = Pipe::simplex::<u32>().unwrap();
    let lengths = (0..300).chain([4095, 4096, 16383, 16384, 16385, 65536, 1 << 20, (1 << 20) + 1]);
    for len in lengths {
        let bytes: Vec<u8> = (0..len).map(|at| (at * 7 + len) as u8).collect();
        sender.send_bytes(&bytes).unwrap();
        assert_eq!(receiver.recv_bytes().unwrap(), bytes);
        sender.send_with(len, |place| place.copy_from_slice(&bytes)).unwrap();
        let seen = receiver.recv_with(|read| (read.len(), read == bytes)).unwrap();
        assert_eq!(seen, (len, true));
        sender.send_bytes(&bytes).unwrap();
        let mut buffer = vec![0; len + 3];
        assert_eq!(receiver.recv_bytes_into(&mut buffer).unwrap(), len);
        assert_eq!(buffer[..len], bytes);
        sender.send_bytes(&bytes).unwrap();
        assert_eq!(receiver.recv_bytes_max(len).unwrap(), bytes);
    }
}

#[test]
fn closures_give_results_back() {
    let (mut sender, mut receiver) = Pipe::simplex::<()>().unwrap();
    let len = sender.send_with(5, |place| {
        place.copy_from_slice(b"hello");
        place.len()
    });
    assert_eq!(len.unwrap(), 5);
    assert_eq!(receiver.recv_with(|bytes| bytes.to_vec()).unwrap(), b"hello");
}

#[test]
fn a_closure_that_panics_sends_nothing_and_takes_what_it_saw() {
    let (mut sender, mut receiver) = Pipe::simplex::<()>().unwrap();
    let panics = |f: &mut dyn FnMut()| {
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(f)).unwrap_err();
    };
    for len in [10, 100_000] {
        panics(&mut || sender.send_with(len, |_| panic!("on purpose")).unwrap());
        assert!(receiver.try_recv_bytes().unwrap_err().is_empty());
        sender.send_bytes(&vec![1; len]).unwrap();
        sender.send_bytes(b"second").unwrap();
        panics(&mut || receiver.recv_with(|_| panic!("on purpose")).unwrap());
        assert_eq!(receiver.recv_bytes().unwrap(), b"second");
    }
}

#[test]
fn a_closure_that_panics_leaves_no_memory() {
    let _watch = watch();
    alone(|| {
        let (mut sender, _receiver) = Pipe::simplex::<()>().unwrap();
        let mut panics = || {
            let fill = |place: &mut [u8]| {
                place.fill(1);
                panic!("on purpose");
            };
            let send = std::panic::AssertUnwindSafe(|| sender.send_with(1 << 20, fill));
            std::panic::catch_unwind(send).map(drop).unwrap_err();
        };
        panics();
        let before = world_size().1;
        (0..20).for_each(|_| panics());
        assert!(world_size().1 <= before + (1 << 20), "{} bytes more", world_size().1 - before);
    });
}

#[test]
fn large_messages_that_were_received_leave_room() {
    let _watch = watch();
    let (mut sender, mut receiver) = Pipe::simplex::<()>().unwrap();
    let message = vec![1; 100_000];
    for _ in 0..40 {
        sender.send_bytes(&message).unwrap();
        assert!(receiver.recv_bytes().unwrap() == message);
    }
    // As in a new pipe several go before anybody receives.
    for _ in 0..5 {
        sender.try_send_bytes(&message).unwrap();
    }
}

#[test]
fn a_record_in_the_other_form_stays() {
    let (mut sender, mut receiver) = Pipe::simplex::<u32>().unwrap();
    sender.send_bytes(b"raw").unwrap();
    sender.send(5).unwrap();
    let error = receiver.recv().unwrap_err();
    assert!(error.is_mismatch() && error.to_string().contains("recv_bytes"), "{error}");
    assert_eq!(receiver.recv_bytes().unwrap(), b"raw");
    let error = receiver.recv_bytes().unwrap_err();
    assert!(error.is_mismatch() && error.to_string().contains("u32"), "{error}");
    assert_eq!(kind(receiver.recv_with(|_| ())), ErrorKind::Mismatch);
    assert_eq!(receiver.recv().unwrap(), 5);
}

#[test]
fn a_buffer_too_small_leaves_the_message_and_names_its_size() {
    let (mut sender, mut receiver) = Pipe::simplex::<u32>().unwrap();
    for len in [100, 200_000] {
        sender.send_bytes(&vec![3; len]).unwrap();
        let error = receiver.recv_bytes_into(&mut [0; 99]).unwrap_err();
        assert!(error.is_too_large() && error.to_string().contains(&len.to_string()), "{error}");
        let error = receiver.recv_bytes_max(99).unwrap_err();
        assert!(error.is_too_large() && error.to_string().contains("99"), "{error}");
        assert_eq!(receiver.recv_bytes_max(len).unwrap().len(), len);
    }
}

#[test]
fn iterators_end_with_the_other_end() {
    let (mut sender, mut receiver) = Pipe::simplex::<u32>().unwrap();
    for n in 0..5 {
        sender.send(n).unwrap();
    }
    assert_eq!(receiver.iter().next().unwrap().unwrap(), 0);
    drop(sender);
    let all: Vec<u32> = (&mut receiver).into_iter().collect::<Result<_>>().unwrap();
    assert_eq!(all, [1, 2, 3, 4]);
    assert_eq!(kind(receiver.recv()), ErrorKind::Closed);
    let (mut a, b) = Pipe::duplex::<(), u32>().unwrap();
    drop(b);
    assert_eq!(a.iter().count(), 0);
}

fn echo(mut connection: Connection<Vec<u8>, Vec<u8>>) -> Result<()> {
    while let Ok(message) = connection.recv() {
        connection.send(message)?;
    }
    Ok(())
}

#[test]
fn processes_answer_each_other() {
    let _watch = watch();
    let (mut here, there) = Pipe::duplex().unwrap();
    let child = Process::spawn(echo, (there,)).unwrap();
    for len in (0..2000).chain([16384, 16385, 100_000, 1 << 20]) {
        let message = vec![len as u8; len];
        here.send(&message).unwrap();
        assert_eq!(here.recv_timeout(LONG).unwrap(), message);
    }
    drop(here);
    child.join().unwrap().unwrap();
}

fn count_up(mut sender: Sender<u64>, count: u64) -> Result<()> {
    (0..count).try_for_each(|n| sender.send(n))
}

#[test]
fn a_long_stream_comes_whole_and_in_order() {
    let _watch = watch();
    const COUNT: u64 = 300_000;
    let (sender, mut receiver) = Pipe::simplex().unwrap();
    let child = Process::spawn(count_up, (sender, COUNT)).unwrap();
    let mut expected = 0;
    for n in &mut receiver {
        assert_eq!(n.unwrap(), expected);
        expected += 1;
    }
    assert_eq!(expected, COUNT);
    child.join().unwrap().unwrap();
}

fn sum(mut receiver: Receiver<u64>) -> Result<u64> {
    receiver.iter().sum()
}

#[test]
fn a_slow_receiver_holds_the_sender_up() {
    let _watch = watch();
    let (mut sender, receiver) = Pipe::simplex().unwrap();
    let child = Process::spawn(sum, (receiver,)).unwrap();
    for n in 0..100_000 {
        sender.send(n).unwrap();
    }
    drop(sender);
    assert_eq!(child.join().unwrap().unwrap(), 99_999 * 50_000);
}

#[test]
fn halves_go_different_ways() {
    let _watch = watch();
    let (here, there) = Pipe::duplex::<u64, u64>().unwrap();
    let (mut to, mut from) = here.split();
    let child = Process::spawn(
        |mut there: Connection<u64, u64>| -> Result<()> {
            while let Ok(n) = there.recv() {
                there.send(n + 1)?;
            }
            Ok(())
        },
        (there,),
    )
    .unwrap();
    let feeder = std::thread::spawn(move || (0..1000).try_for_each(|n| to.send(n)));
    for n in 0..1000 {
        assert_eq!(from.recv_timeout(LONG).unwrap(), n + 1);
    }
    feeder.join().unwrap().unwrap();
    child.join().unwrap().unwrap();
}

#[test]
fn a_receiver_asleep_is_woken_by_a_message() {
    let _watch = watch();
    let (mut sender, mut receiver) = Pipe::simplex::<u32>().unwrap();
    for n in 0..20 {
        std::thread::scope(|scope| {
            let getter = scope.spawn(|| receiver.recv());
            until_other_waits(&sender, "receiver");
            sender.send(n).unwrap();
            assert_eq!(getter.join().unwrap().unwrap(), n);
        });
    }
}

#[test]
fn a_sender_asleep_is_woken_by_room() {
    let _watch = watch();
    let (mut sender, mut receiver) = Pipe::simplex::<Vec<u8>>().unwrap();
    for len in [1000, 1 << 20] {
        while sender.try_send(vec![1; len]).is_ok() {}
        std::thread::scope(|scope| {
            let putter = scope.spawn(|| sender.send(vec![2; len]));
            until_other_waits(&receiver, "sender");
            // Two: the ring's end may be too short for the next one, so that the first leaves too little room.
            assert_eq!(receiver.recv().unwrap(), vec![1; len]);
            assert_eq!(receiver.recv().unwrap(), vec![1; len]);
            putter.join().unwrap().unwrap();
        });
        while receiver.try_recv().is_ok_and(|message| message[0] == 1) {}
        while receiver.try_recv().is_ok() {}
    }
}

#[test]
fn both_ends_send_a_megabyte_at_once_and_nobody_hangs() {
    let _watch = watch();
    fn pump(end: Connection<Vec<u8>, Vec<u8>>) -> Result<(u32, u32)> {
        let (mut to, mut from) = end.split();
        let mut sent = 0;
        for _ in 0..6 {
            match to.send_timeout(vec![5; 1 << 20], SHORT) {
                Ok(()) => sent += 1,
                Err(error) if error.is_timeout() => {}
                Err(error) => return Err(error),
            }
        }
        drop(to);
        let mut received = 0;
        for message in &mut from {
            received += u32::from(message? == [5; 1 << 20]);
        }
        Ok((sent, received))
    }
    let (here, there) = Pipe::duplex().unwrap();
    let child = Process::spawn(pump, (there,)).unwrap();
    let ours = pump(here).unwrap();
    let theirs = child.join().unwrap().unwrap();
    assert_eq!(ours, (theirs.1, theirs.0));
    assert!(ours.0 >= 2 && theirs.0 >= 2, "{ours:?} {theirs:?}");
}

#[test]
fn a_thousand_pipes_cost_no_descriptor_and_little_memory() {
    let _watch = watch();
    alone(|| {
        let first = Pipe::duplex::<u64, u64>().unwrap();
        let (before, (_, memory)) = (descriptors().len(), world_size());
        let mut pipes: Vec<_> = (0..1000).map(|_| Pipe::duplex::<u64, u64>().unwrap()).collect();
        for (a, b) in &mut pipes {
            a.send(1).unwrap();
            let is_there = b.poll(Duration::ZERO).unwrap();
            b.send(u64::from(is_there)).unwrap();
        }
        for (a, b) in &mut pipes {
            assert_eq!((a.recv().unwrap(), b.recv().unwrap()), (1, 1));
        }
        assert_eq!(descriptors().len(), before);
        let more = world_size().1 - memory;
        assert!(more < 12 << 20, "{more} bytes for 1,000 duplex pipes");
        drop((pipes, first));
    });
}

#[test]
fn memory_stays_flat_over_many_pipes_and_large_messages() {
    let _watch = watch();
    alone(|| {
        let use_one = |n: u32| {
            let (mut sender, mut receiver) = Pipe::simplex::<Vec<u8>>().unwrap();
            sender.send(vec![n as u8; 50_000]).unwrap();
            sender.send(vec![n as u8; 100]).unwrap();
            assert_eq!(receiver.recv().unwrap().len(), 50_000);
            // The second one is dropped with the pipe.
        };
        (0..300).for_each(use_one);
        let before = world_size();
        (0..3000).for_each(use_one);
        assert_eq!(world_size().0, before.0);
    });
}

#[test]
fn ends_are_send_and_sync_whatever_they_carry() {
    fn is_send_and_sync<T: Send + Sync>() {}
    type Local = std::rc::Rc<std::cell::Cell<u8>>;
    is_send_and_sync::<Sender<Local>>();
    is_send_and_sync::<Receiver<Local>>();
    is_send_and_sync::<Connection<Local, Local>>();
}

#[test]
fn ends_show_their_state() {
    let (mut sender, mut receiver) = Pipe::simplex::<u32>().unwrap();
    sender.send(1).unwrap();
    assert_eq!(format!("{sender:?}"), "Sender { unreceived: 1, receiver_waits: false }");
    assert_eq!(format!("{receiver:?}"), "Receiver { to_receive: 1, sender_waits: false }");
    assert_eq!(format!("{:?}", receiver.iter()), "Incoming { to_receive: 1, sender_waits: false }");
    let (mut a, _b) = Pipe::duplex::<u32, ()>().unwrap();
    a.send(1).unwrap();
    let state = "unreceived: 1, receiver_waits: false, to_receive: 0, sender_waits: false";
    assert_eq!(format!("{a:?}"), format!("Connection {{ {state} }}"));
}
