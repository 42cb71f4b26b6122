//! Bad input and exhausted limits: each a typed error that says what was expected and found, and nothing is broken after it.
//! What stands in shared memory is changed by the tests in `src/channel/pipe/tests.rs`.

use multiproc::{Connection, Error, ErrorKind, Pipe, Process, Queue, Receiver, Sender};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::common::{Four, LONG, alone, killed, kind, park, quiet, says, until, world_size};
use crate::watchdog::watch;

/// Sends a good message, then this one, then a good one; the error of the second.
fn second_of_three(second: Vec<u8>) -> Error {
    let (mut sender, mut receiver) = Pipe::simplex().unwrap();
    sender.send(Four(vec![1; 4])).unwrap();
    sender.send(Four(second)).unwrap();
    sender.send(Four(vec![3; 4])).unwrap();
    assert_eq!(receiver.recv().unwrap().0, [1; 4]);
    let error = receiver.recv().unwrap_err();
    assert_eq!(receiver.recv().unwrap().0, [3; 4]);
    error
}

#[test]
fn a_message_too_short_is_a_decode_error_and_gone() {
    says(&second_of_three(vec![2; 3]), ErrorKind::Decode, &["3 bytes", "Four", "end too early"]);
    says(&second_of_three(vec![]), ErrorKind::Decode, &["0 bytes", "end too early"]);
}

#[test]
fn a_message_too_long_is_a_decode_error_and_gone() {
    says(&second_of_three(vec![2; 7]), ErrorKind::Decode, &["7 bytes", "3 of them are left over"]);
    let large = second_of_three(vec![2; 100_000]);
    says(&large, ErrorKind::Decode, &["100000 bytes", "99996 of them"]);
}

#[test]
fn a_message_that_cannot_be_decoded_is_a_decode_error_and_gone() {
    says(&second_of_three(vec![9; 4]), ErrorKind::Decode, &["Four", "own Deserialize refused"]);
}

#[test]
fn a_type_that_cannot_be_read_back_is_the_senders_error() {
    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Free {
        Number(u32),
    }
    let (mut sender, mut receiver) = Pipe::simplex::<Free>().unwrap();
    says(&sender.send(Free::Number(1)).unwrap_err(), ErrorKind::Encode, &["Free", "untagged"]);
    assert_eq!(kind(receiver.try_recv()), ErrorKind::Empty);
}

#[test]
fn a_message_larger_than_memory_is_refused_untouched() {
    let (mut sender, mut receiver) = Pipe::simplex::<Vec<u8>>().unwrap();
    for len in [1 << 40, 1 << 60, usize::MAX - 4096, usize::MAX] {
        let error = sender.send_with(len, |_| panic!("it was called")).unwrap_err();
        says(&error, ErrorKind::TooLarge, &[&len.to_string(), "in parts"]);
    }
    sender.send(vec![1]).unwrap();
    assert_eq!(receiver.recv().unwrap(), [1]);
}

#[test]
fn the_ceiling_reached_while_growing_is_an_error_and_passes() {
    let _watch = watch();
    alone(|| {
        let (mut sender, mut receiver) = Pipe::simplex::<Vec<u8>>().unwrap();
        sender.send(vec![1]).unwrap();
        let (_, hard) = getrlimit(Resource::RLIMIT_FSIZE).unwrap();
        setrlimit(Resource::RLIMIT_FSIZE, 4 << 20, hard).unwrap();
        let error = sender.send(vec![2; 8 << 20]).unwrap_err();
        says(&error, ErrorKind::Limit, &["ulimit -f"]);
        let error = sender.send_with(8 << 20, |_| panic!("it was called")).unwrap_err();
        says(&error, ErrorKind::Limit, &["ulimit -f"]);
        // Pipes until there is no room for one more.
        let mut pipes = Vec::new();
        let error = loop {
            match Pipe::duplex::<u8, u8>() {
                Ok(pipe) => pipes.push(pipe),
                Err(error) => break error,
            }
            assert!(pipes.len() < 1000, "more than the file holds");
        };
        says(&error, ErrorKind::Limit, &["ulimit -f"]);
        assert!(pipes.len() > 10 && world_size().0 <= 4 << 20);
        // Those that are there go on.
        sender.send(vec![3; 1000]).unwrap();
        assert_eq!((receiver.recv().unwrap(), receiver.recv().unwrap()), (vec![1], vec![3; 1000]));
        for (a, b) in &mut pipes {
            a.send(1).unwrap();
            assert_eq!(b.recv().unwrap(), 1);
        }
        drop(pipes);
        let (mut a, mut b) = Pipe::duplex::<u8, u8>().unwrap();
        a.send(2).unwrap();
        assert_eq!(b.recv().unwrap(), 2);
    });
}

/// What is sent as one end and opened as another.
macro_rules! disguised {
    ($name:ident, $sent:ty, $opened:ty) => {
        struct $name(Option<$sent>);

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.0.as_ref().unwrap().serialize(serializer)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$name, D::Error> {
                <$opened>::deserialize(deserializer).map(|_| $name(None))
            }
        }
    };
}

disguised!(TypeOfReceiver, Receiver<String>, Receiver<u64>);
disguised!(OtherEnd, Sender<u64>, Receiver<u64>);
disguised!(TypesOfConnection, Connection<u64, String>, Connection<String, u64>);
disguised!(NoPipe, Queue<u64>, Sender<u64>);

/// Sends an end in disguise; the error with which it arrives.
fn arrives<T: Serialize + for<'de> Deserialize<'de>>(item: T) -> Error {
    let queue = Queue::<T>::new().unwrap();
    queue.put(item).unwrap();
    let Err(error) = queue.get() else { panic!("it was taken for what it is not") };
    error
}

#[test]
fn an_end_of_another_type_is_a_mismatch_when_it_arrives() {
    let (mut sender, receiver) = Pipe::simplex::<String>().unwrap();
    let error = arrives(TypeOfReceiver(Some(receiver)));
    assert!(error.is_mismatch(), "{error:?}");
    assert_eq!(
        error.to_string(),
        "pipe: opened as Receiver<u64>, holds Receiver<alloc::string::String>"
    );
    assert_eq!(kind(sender.send("x")), ErrorKind::Closed, "it was dropped");
}

#[test]
fn the_other_end_is_a_mismatch_when_it_arrives() {
    let (sender, mut receiver) = Pipe::simplex::<u64>().unwrap();
    let error = arrives(OtherEnd(Some(sender)));
    says(&error, ErrorKind::Mismatch, &["pipe: opened as Receiver<u64>, holds Sender<u64>"]);
    assert_eq!(kind(receiver.recv_timeout(LONG)), ErrorKind::Closed, "it was dropped");
}

#[test]
fn a_connection_of_other_types_is_a_mismatch_when_it_arrives() {
    let (a, mut b) = Pipe::duplex::<u64, String>().unwrap();
    let error = arrives(TypesOfConnection(Some(a)));
    says(&error, ErrorKind::Mismatch, &["opened as Connection<", "u64>, holds Connection<u64, "]);
    assert_eq!(kind(b.recv_timeout(LONG)), ErrorKind::Closed, "it was dropped");
}

#[test]
fn what_is_no_pipe_is_a_mismatch_when_it_arrives() {
    let error = arrives(NoPipe(Some(Queue::new().unwrap())));
    says(&error, ErrorKind::Mismatch, &["opened as Pipe, holds Queue"]);
}

#[test]
fn an_end_serialised_outside_its_tree_is_an_error() {
    let (sender, mut receiver) = Pipe::simplex::<u64>().unwrap();
    let mut sender = sender;
    assert!(postcard::to_stdvec(&sender).is_err());
    sender.send(1).unwrap();
    assert_eq!(receiver.recv().unwrap(), 1);
}

#[test]
fn a_receiver_killed_with_a_message_half_read_closes_the_pipe() {
    let _watch = watch();
    fn read_slowly(mut receiver: Receiver<u8>, mut told: Sender<()>) -> multiproc::Result<()> {
        receiver.recv_with(|_| {
            told.send(()).unwrap();
            park();
        })
    }
    for len in [10, 100_000] {
        let (mut sender, receiver) = Pipe::simplex().unwrap();
        let (told, mut tells) = Pipe::simplex().unwrap();
        let process = quiet().spawn(read_slowly, (receiver, told)).unwrap();
        sender.send_bytes(&vec![1; len]).unwrap();
        tells.recv().unwrap();
        killed(process);
        until("the sender sees that", || sender.send_bytes(b"x").is_err());
        assert_eq!(kind(sender.send_bytes(b"x")), ErrorKind::Closed);
    }
}

#[test]
fn a_sender_killed_with_a_message_half_written_sends_nothing_of_it() {
    let _watch = watch();
    fn write_slowly(
        mut sender: Sender<u8>,
        mut told: Sender<()>,
        len: usize,
    ) -> multiproc::Result<()> {
        sender.send(5)?;
        sender.send_with(len, |place| {
            place.fill(7);
            told.send(()).unwrap();
            park();
        })
    }
    for len in [10, 100_000] {
        let (sender, mut receiver) = Pipe::simplex().unwrap();
        let (told, mut tells) = Pipe::simplex().unwrap();
        let process = Process::spawn(write_slowly, (sender, told, len)).unwrap();
        tells.recv().unwrap();
        assert_eq!(receiver.recv().unwrap(), 5);
        killed(process);
        assert_eq!(kind(receiver.recv_timeout(LONG)), ErrorKind::Closed);
    }
}
