//! Ends that move, and what the other end sees when an end is dropped, its process is killed, or nobody can receive it.

use multiproc::{
    Connection, ErrorKind, Event, Pipe, Process, Producer, Queue, Receiver, Result, Sender,
};
use serde::{Deserialize, Serialize};

use super::until_other_waits;
use crate::common::{LONG, killed, kind, park, until_asleep};
use crate::watchdog::watch;

#[test]
fn a_receiver_drains_and_then_learns_that_the_sender_is_gone() {
    let (mut sender, mut receiver) = Pipe::simplex().unwrap();
    sender.send(1).unwrap();
    sender.send(2).unwrap();
    drop(sender);
    assert!(receiver.poll(LONG).unwrap());
    assert_eq!(receiver.recv().unwrap(), 1);
    assert_eq!(receiver.try_recv().unwrap(), 2);
    // A call that receives would return at once.
    assert!(receiver.poll(LONG).unwrap());
    assert_eq!(kind(receiver.recv()), ErrorKind::Closed);
    assert_eq!(kind(receiver.try_recv()), ErrorKind::Closed);
    assert_eq!(kind(receiver.recv_timeout(LONG)), ErrorKind::Closed);
    assert_eq!(kind(receiver.recv_bytes()), ErrorKind::Closed);
    assert_eq!(kind(receiver.recv_with(|_| ())), ErrorKind::Closed);
}

#[test]
fn a_sender_learns_that_the_receiver_is_gone() {
    let (mut sender, receiver) = Pipe::simplex::<Vec<u8>>().unwrap();
    sender.send(vec![1]).unwrap();
    drop(receiver);
    assert_eq!(kind(sender.send(vec![2])), ErrorKind::Closed);
    assert_eq!(kind(sender.try_send(vec![2])), ErrorKind::Closed);
    assert_eq!(kind(sender.send(vec![2; 1 << 20])), ErrorKind::Closed);
    assert_eq!(kind(sender.send_with(1, |_| panic!("it was called"))), ErrorKind::Closed);
}

#[test]
fn a_receiver_asleep_is_released_when_the_sender_is_dropped() {
    let _watch = watch();
    let (sender, mut receiver) = Pipe::simplex::<u32>().unwrap();
    std::thread::scope(|scope| {
        let getter = scope.spawn(|| kind(receiver.recv()));
        until_other_waits(&sender, "receiver");
        drop(sender);
        assert_eq!(getter.join().unwrap(), ErrorKind::Closed);
    });
}

#[test]
fn a_sender_asleep_is_released_when_the_receiver_is_dropped() {
    let _watch = watch();
    for len in [1000, 1 << 20] {
        let (mut sender, receiver) = Pipe::simplex::<Vec<u8>>().unwrap();
        while sender.try_send(vec![1; len]).is_ok() {}
        std::thread::scope(|scope| {
            let putter = scope.spawn(|| kind(sender.send(vec![2; len])));
            until_other_waits(&receiver, "sender");
            drop(receiver);
            assert_eq!(putter.join().unwrap(), ErrorKind::Closed);
        });
    }
}

fn send_then_park(mut sender: Sender<u32>, count: u32) -> Result<()> {
    (0..count).try_for_each(|n| sender.send(n))?;
    park();
    Ok(())
}

#[test]
fn a_killed_sender_is_a_dropped_one() {
    let _watch = watch();
    let (sender, mut receiver) = Pipe::simplex().unwrap();
    let process = Process::spawn(send_then_park, (sender, 3)).unwrap();
    assert_eq!(receiver.recv_timeout(LONG).unwrap(), 0);
    assert_eq!(receiver.recv_timeout(LONG).unwrap(), 1);
    std::thread::scope(|scope| {
        let getter = scope.spawn(|| [receiver.recv(), receiver.recv()].map(|got| got.ok()));
        until_asleep(&process.handle());
        killed(process);
        assert_eq!(getter.join().unwrap(), [Some(2), None]);
    });
}

#[test]
fn a_killed_receiver_is_a_dropped_one() {
    let _watch = watch();
    fn receive_then_park(mut receiver: Receiver<Vec<u8>>, received: Event) -> Result<()> {
        receiver.recv()?;
        received.set();
        park();
        Ok(())
    }
    let (mut sender, receiver) = Pipe::simplex::<Vec<u8>>().unwrap();
    let received = Event::new().unwrap();
    let process = Process::spawn(receive_then_park, (receiver, &received)).unwrap();
    sender.send(vec![1]).unwrap();
    received.wait().unwrap();
    while sender.try_send(vec![1; 1000]).is_ok() {}
    let putter = std::thread::spawn(move || kind(sender.send(vec![1; 1000])));
    killed(process);
    assert_eq!(putter.join().unwrap(), ErrorKind::Closed);
}

#[test]
fn a_child_that_ends_gives_its_end_up() {
    let _watch = watch();
    let say = |mut sender: Sender<String>| sender.send("last words").unwrap();
    let (sender, mut receiver) = Pipe::simplex().unwrap();
    let process = Process::spawn(say, (sender,)).unwrap();
    let all: Vec<String> = receiver.iter().collect::<Result<_>>().unwrap();
    assert_eq!(all, ["last words"]);
    process.join().unwrap();
}

#[test]
fn a_child_that_cannot_start_drops_what_it_was_given() {
    let (sender, mut receiver) = Pipe::simplex::<u32>().unwrap();
    let none = |_: Sender<u32>| ();
    let error = Process::builder().executable("/no/such").spawn(none, (sender,)).unwrap_err();
    assert!(error.is_spawn());
    assert_eq!(kind(receiver.recv_timeout(LONG)), ErrorKind::Closed);
}

#[test]
fn a_child_that_cannot_start_leaves_what_was_lent() {
    let (mut sender, mut receiver) = Pipe::simplex::<u32>().unwrap();
    let none = |_: Sender<u32>| ();
    Process::builder().executable("/no/such").spawn(none, (&sender,)).unwrap_err();
    sender.send(1).unwrap();
    assert_eq!(receiver.recv().unwrap(), 1);
}

#[test]
fn an_end_that_was_sent_by_reference_has_moved() {
    let _watch = watch();
    let (mut sender, mut receiver) = Pipe::simplex::<u32>().unwrap();
    let say = |mut sender: Sender<u32>| sender.send(5);
    let process = Process::spawn(say, (&sender,)).unwrap();
    let error = sender.send(6).unwrap_err();
    assert!(error.is_foreign() && error.to_string().contains("sent away"), "{error}");
    assert_eq!(receiver.recv().unwrap(), 5);
    assert_eq!(kind(receiver.recv()), ErrorKind::Closed);
    process.join().unwrap().unwrap();
}

#[test]
fn an_end_used_after_it_was_sent_away_is_an_error_in_every_form() {
    let _watch = watch();
    let carrier = Queue::new().unwrap();
    let (mut a, mut b) = Pipe::duplex::<u32, u32>().unwrap();
    carrier.put(&a).unwrap();
    for kind in [
        kind(a.send(1)),
        kind(a.try_send(1)),
        kind(a.send_bytes(b"x")),
        kind(a.send_bytes(&[0; 1 << 20])),
        kind(a.send_with(1, |_| ())),
        kind(a.recv()),
        kind(a.try_recv()),
        kind(a.recv_bytes()),
        kind(a.recv_with(|_| ())),
        kind(a.poll(LONG)),
        kind(carrier.put(&a)),
        kind(Process::spawn(|_: Connection<u32, u32>| (), (&a,))),
    ] {
        assert_eq!(kind, ErrorKind::Foreign);
    }
    // The same object may come back, as another value.
    let mut back: Connection<u32, u32> = carrier.get().unwrap();
    drop(a);
    back.send(1).unwrap();
    b.send(2).unwrap();
    assert_eq!((b.recv().unwrap(), back.recv().unwrap()), (1, 2));
}

/// Serialises its end twice.
#[derive(Deserialize)]
struct Twice(Sender<u32>);

impl Serialize for Twice {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (&self.0, &self.0).serialize(serializer)
    }
}

#[test]
fn an_end_cannot_be_twice_in_one_message() {
    let queue = Queue::<Twice>::new().unwrap();
    let (sender, mut receiver) = Pipe::simplex::<u32>().unwrap();
    let mut twice = Twice(sender);
    let error = queue.put(&twice).unwrap_err();
    assert!(error.is_foreign() && error.to_string().contains("one owner"), "{error}");
    assert!(queue.is_empty());
    twice.0.send(1).unwrap();
    assert_eq!(receiver.recv().unwrap(), 1);
}

/// Takes its end twice from a message.
#[derive(Serialize)]
struct TakenTwice(Sender<u32>, u8);

impl<'de> Deserialize<'de> for TakenTwice {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<TakenTwice, D::Error> {
        /// The place of the first handle in a message is the last byte of the end.
        struct Again(Sender<u32>);
        use serde::de::value::SeqDeserializer;
        impl<'de> Deserialize<'de> for Again {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Again, D::Error> {
                let bytes = <(u64, u32)>::deserialize(d)?;
                let wire = SeqDeserializer::<_, serde::de::value::Error>::new(
                    [bytes.0, u64::from(bytes.1)].into_iter(),
                );
                let first = Sender::deserialize(Pair(wire.clone()));
                let first = first.map_err(serde::de::Error::custom)?;
                Sender::<u32>::deserialize(Pair(wire)).map_err(serde::de::Error::custom)?;
                Ok(Again(first))
            }
        }
        let (again, rest) = <(Again, u8)>::deserialize(deserializer)?;
        Ok(TakenTwice(again.0, rest))
    }
}

/// Gives a pair of numbers.
struct Pair<I>(I);

impl<'de, I: serde::de::SeqAccess<'de>> serde::Deserializer<'de> for Pair<I> {
    type Error = I::Error;
    fn deserialize_any<V: serde::de::Visitor<'de>>(self, visitor: V) -> Result<V::Value, I::Error> {
        visitor.visit_seq(self.0)
    }
    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct newtype_struct seq
        tuple tuple_struct map struct enum identifier ignored_any
    }
}

#[test]
fn an_end_cannot_be_taken_twice_from_one_message() {
    let (mut carrier, mut carried) = Pipe::simplex::<TakenTwice>().unwrap();
    let (sender, mut receiver) = Pipe::simplex::<u32>().unwrap();
    carrier.send(TakenTwice(sender, 1)).map(drop).unwrap();
    let error = carried.recv().map(drop).unwrap_err();
    assert!(error.is_decode() || error.is_corrupted(), "{error:?}");
    assert_eq!(kind(receiver.recv_timeout(LONG)), ErrorKind::Closed);
}

#[test]
fn an_end_travels_through_a_queue() {
    let _watch = watch();
    let (sender, mut receiver) = Pipe::simplex().unwrap();
    let carrier = Queue::new().unwrap();
    carrier.put(sender).unwrap();
    assert_eq!(kind(receiver.try_recv()), ErrorKind::Empty, "on its way it counts");
    let use_it = |carrier: Queue<Sender<u32>>| -> Result<()> {
        let mut sender = carrier.get()?;
        sender.send(7)
    };
    let process = Process::spawn(use_it, (&carrier,)).unwrap();
    assert_eq!(receiver.recv_timeout(LONG).unwrap(), 7);
    assert_eq!(kind(receiver.recv_timeout(LONG)), ErrorKind::Closed);
    process.join().unwrap().unwrap();
}

#[derive(Serialize, Deserialize)]
struct Job {
    name: String,
    answers: Sender<u64>,
    others: Vec<Connection<u8, u8>>,
}

fn work(mut jobs: Receiver<Job>) -> Result<()> {
    for job in &mut jobs {
        let mut job = job?;
        for other in &mut job.others {
            other.send(job.name.len() as u8)?;
        }
        job.answers.send(job.others.len() as u64)?;
    }
    Ok(())
}

#[test]
fn ends_travel_through_a_pipe_inside_a_structure() {
    let _watch = watch();
    let (mut jobs, receiver) = Pipe::simplex().unwrap();
    let process = Process::spawn(work, (receiver,)).unwrap();
    for count in 0..10 {
        let (answers, mut answer) = Pipe::simplex().unwrap();
        let (others, mut kept): (Vec<_>, Vec<_>) =
            (0..count).map(|_| Pipe::duplex().unwrap()).unzip();
        jobs.send(Job { name: "x".repeat(count), answers, others }).unwrap();
        assert_eq!(answer.recv_timeout(LONG).unwrap(), count as u64);
        assert_eq!(kind(answer.recv_timeout(LONG)), ErrorKind::Closed);
        for end in &mut kept {
            assert_eq!(end.recv_timeout(LONG).unwrap(), count as u8);
            assert_eq!(kind(end.recv_timeout(LONG)), ErrorKind::Closed);
        }
    }
    drop(jobs);
    process.join().unwrap().unwrap();
}

#[test]
fn ends_come_back_as_a_result() {
    let _watch = watch();
    fn make() -> Result<(Sender<u32>, Receiver<u32>)> {
        let (mut sender, receiver) = Pipe::simplex()?;
        sender.send(1)?;
        Ok((sender, receiver))
    }
    let (mut sender, mut receiver) = Process::spawn(make, ()).unwrap().join().unwrap().unwrap();
    sender.send(2).unwrap();
    assert_eq!((receiver.recv().unwrap(), receiver.recv().unwrap()), (1, 2));
    drop(sender);
    assert_eq!(kind(receiver.recv_timeout(LONG)), ErrorKind::Closed);
}

#[test]
fn a_receiver_moves_with_what_was_not_received() {
    let _watch = watch();
    let sum = |mut receiver: Receiver<u64>| -> Result<u64> { receiver.iter().sum() };
    let (mut sender, mut receiver) = Pipe::simplex().unwrap();
    for n in 0..100 {
        sender.send(n).unwrap();
    }
    assert_eq!(receiver.recv().unwrap(), 0);
    assert_eq!(receiver.recv().unwrap(), 1);
    let process = Process::spawn(sum, (receiver,)).unwrap();
    sender.send(1000).unwrap();
    drop(sender);
    assert_eq!(process.join().unwrap().unwrap(), 99 * 50 - 1 + 1000);
}

#[test]
fn a_failed_call_drops_what_it_was_given_and_leaves_what_it_was_lent() {
    let (mut carrier, _held) = Pipe::simplex::<Sender<u32>>().unwrap();
    let (filler, _filling) = Pipe::simplex::<u32>().unwrap();
    // Full: each message with an end names a block.
    carrier.send(filler).unwrap();
    while carrier.try_send_bytes(&[0; 4000]).is_ok() {}
    while carrier.try_send_bytes(&[]).is_ok() {}
    let (mut sender, mut receiver) = Pipe::simplex::<u32>().unwrap();
    assert_eq!(kind(carrier.try_send(&sender)), ErrorKind::Full);
    sender.send(1).unwrap();
    assert_eq!(receiver.recv().unwrap(), 1);
    assert_eq!(kind(carrier.try_send(sender)), ErrorKind::Full);
    assert_eq!(kind(receiver.recv()), ErrorKind::Closed);
}

#[test]
fn an_end_in_a_carrier_that_is_dropped_is_closed() {
    let _watch = watch();
    // The carrier is a queue, or a pipe of which one end is dropped before the other.
    let (sender, mut receiver) = Pipe::simplex::<u32>().unwrap();
    let carrier = Queue::new().unwrap();
    carrier.put(sender).unwrap();
    drop(carrier);
    assert_eq!(kind(receiver.recv_timeout(LONG)), ErrorKind::Closed);

    let (sender, mut receiver) = Pipe::simplex::<u32>().unwrap();
    let (mut carrier, its_receiver) = Pipe::simplex().unwrap();
    carrier.send(sender).unwrap();
    std::thread::scope(|scope| {
        let getter = scope.spawn(|| kind(receiver.recv()));
        drop(its_receiver);
        assert_eq!(getter.join().unwrap(), ErrorKind::Closed);
    });

    let (sender, mut receiver) = Pipe::simplex::<u32>().unwrap();
    let (mut carrier, mut its_receiver) = Pipe::simplex().unwrap();
    carrier.send(sender).unwrap();
    drop(carrier);
    // What was sent before the end can still be received.
    assert_eq!(kind(receiver.try_recv()), ErrorKind::Empty);
    let mut sender = its_receiver.recv().unwrap();
    sender.send(1).unwrap();
    assert_eq!(receiver.recv().unwrap(), 1);
}

#[test]
fn a_killed_carrier_closes_what_it_has_in_hand_and_what_only_it_could_receive() {
    let _watch = watch();
    fn hold(in_hand: Sender<u32>, in_pipe: Receiver<Sender<u32>>, ready: Event) -> Result<()> {
        ready.set();
        park();
        drop((in_hand, in_pipe));
        Ok(())
    }
    let (in_hand, mut first) = Pipe::simplex().unwrap();
    let (in_message, mut second) = Pipe::simplex().unwrap();
    let (mut carrier, carried) = Pipe::simplex().unwrap();
    carrier.send(in_message).unwrap();
    let ready = Event::new().unwrap();
    let process = Process::spawn(hold, (in_hand, carried, &ready)).unwrap();
    ready.wait().unwrap();
    std::thread::scope(|scope| {
        let first = scope.spawn(|| kind(first.recv()));
        let second = scope.spawn(|| kind(second.recv()));
        until_asleep(&process.handle());
        killed(process);
        assert_eq!(first.join().unwrap(), ErrorKind::Closed);
        assert_eq!(second.join().unwrap(), ErrorKind::Closed);
    });
}

#[test]
fn a_killed_sender_leaves_its_passenger_on_the_way() {
    let _watch = watch();
    let send = |mut carrier: Sender<Sender<u32>>, sender: Sender<u32>, sent: Event| {
        carrier.send(sender).unwrap();
        sent.set();
        park();
    };
    let (sender, mut receiver) = Pipe::simplex().unwrap();
    let (carrier, mut carried) = Pipe::simplex().unwrap();
    let sent = Event::new().unwrap();
    let process = Process::spawn(send, (carrier, sender, &sent)).unwrap();
    sent.wait().unwrap();
    killed(process);
    assert_eq!(kind(receiver.try_recv()), ErrorKind::Empty);
    let mut sender = carried.try_recv().unwrap();
    sender.send(1).unwrap();
    drop(sender);
    assert_eq!(receiver.recv().unwrap(), 1);
    assert_eq!(kind(receiver.recv_timeout(LONG)), ErrorKind::Closed);
}

/// What can stand in itself.
#[derive(Serialize, Deserialize)]
struct Any(Option<Receiver<Any>>);

#[test]
fn a_receiver_in_its_own_pipe_is_gone() {
    let _watch = watch();
    let (mut sender, receiver) = Pipe::simplex::<Any>().unwrap();
    sender.send(Any(Some(receiver))).unwrap();
    assert_eq!(kind(sender.send(Any(None))), ErrorKind::Closed);
}

#[test]
fn receivers_in_each_others_pipes_are_gone() {
    let _watch = watch();
    let (mut one, first) = Pipe::simplex::<Any>().unwrap();
    let (mut two, second) = Pipe::simplex::<Any>().unwrap();
    one.send(Any(Some(second))).unwrap();
    two.send(Any(None)).unwrap();
    std::thread::scope(|scope| {
        // Asleep while the cycle is closed by another one.
        let putter = scope.spawn(move || {
            while one.send_bytes(&[0; 1000]).is_ok() {}
            kind(one.send(Any(None)))
        });
        until_other_waits(&first, "sender");
        two.send(Any(Some(first))).unwrap();
        assert_eq!(putter.join().unwrap(), ErrorKind::Closed);
    });
    assert_eq!(kind(two.send(Any(None))), ErrorKind::Closed);
}

#[test]
fn a_cycle_that_somebody_can_enter_is_open() {
    let _watch = watch();
    let (mut one, first) = Pipe::simplex::<Any>().unwrap();
    let (mut two, second) = Pipe::simplex::<Any>().unwrap();
    let (mut three, mut third) = Pipe::simplex::<Any>().unwrap();
    two.send(Any(Some(first))).unwrap();
    three.send(Any(Some(second))).unwrap();
    one.send(Any(None)).unwrap();
    let mut second = third.recv().unwrap().0.unwrap();
    let mut first = second.recv().unwrap().0.unwrap();
    assert!(first.recv().unwrap().0.is_none());
    drop((second, third));
    assert_eq!(kind(two.send(Any(None))), ErrorKind::Closed);
}

#[test]
fn ends_of_queues_travel_through_pipes() {
    let _watch = watch();
    let (producer, consumer) = Queue::<u32>::new().unwrap().split();
    let (mut carrier, mut carried) = Pipe::simplex::<Producer<u32>>().unwrap();
    carrier.send(producer).unwrap();
    assert_eq!(kind(consumer.try_get()), ErrorKind::Empty, "on its way it counts");
    let producer = carried.recv().unwrap();
    producer.put(1).unwrap();
    drop(producer);
    assert_eq!(consumer.get().unwrap(), 1);
    assert_eq!(kind(consumer.get_timeout(LONG)), ErrorKind::Closed);
}

#[test]
fn an_end_passes_through_many_hands() {
    let _watch = watch();
    fn pass(mut from: Receiver<Sender<u64>>, mut to: Sender<Sender<u64>>) -> Result<()> {
        let mut sender = from.recv()?;
        sender.send(u64::from(std::process::id()))?;
        to.send(sender)
    }
    let (mut first, mut from) = Pipe::simplex().unwrap();
    let mut processes = Vec::new();
    for _ in 0..5 {
        let (to, next) = Pipe::simplex().unwrap();
        processes.push(Process::spawn(pass, (from, to)).unwrap());
        from = next;
    }
    let (sender, mut receiver) = Pipe::simplex().unwrap();
    first.send(sender).unwrap();
    for process in &processes {
        assert_eq!(receiver.recv_timeout(LONG).unwrap(), u64::from(process.id()));
    }
    let mut sender = from.recv_timeout(LONG).unwrap();
    sender.send(7).unwrap();
    drop(sender);
    assert_eq!(receiver.recv().unwrap(), 7);
    assert_eq!(kind(receiver.recv_timeout(LONG)), ErrorKind::Closed);
    for process in processes {
        process.join().unwrap().unwrap();
    }
}
