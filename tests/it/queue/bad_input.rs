//! Bad input and exhausted limits: each a typed error that says what was expected and found, and nothing is broken after it.
//! What stands in shared memory is changed by the tests in `src/channel/queue/tests.rs`.

use multiproc::{Error, ErrorKind, Queue};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::common::{Four, alone, says, world_size};
use crate::watchdog::watch;

/// Puts a good message, then this one, then a good one; the error of the second.
fn second_of_three(second: Vec<u8>) -> Error {
    let queue = Queue::new().unwrap();
    for four in [vec![1; 4], second, vec![3; 4]] {
        queue.put(Four(four)).unwrap();
    }
    assert_eq!(queue.get().unwrap().0, [1; 4]);
    let error = queue.get().unwrap_err();
    assert_eq!(queue.get().unwrap().0, [3; 4]);
    assert!(queue.is_empty());
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
fn the_ceiling_reached_while_growing_is_an_error_and_passes() {
    let _watch = watch();
    alone(|| {
        let queue = Queue::<u64>::new().unwrap();
        let (_, hard) = getrlimit(Resource::RLIMIT_FSIZE).unwrap();
        setrlimit(Resource::RLIMIT_FSIZE, 4 << 20, hard).unwrap();
        let message = |number: u64| number.to_le_bytes().repeat(128);
        let mut puts = 0;
        let error = loop {
            match queue.put_bytes(&message(puts)) {
                Ok(()) => puts += 1,
                Err(error) => break error,
            }
            assert!(puts < 10_000, "more than the file holds");
        };
        says(&error, ErrorKind::Limit, &["ulimit -f"]);
        says(&queue.put_bytes(&[2; 1 << 20]).unwrap_err(), ErrorKind::Limit, &["ulimit -f"]);
        assert!(puts > 1000 && world_size().0 <= 4 << 20);
        // What is there comes, in order; and then there is room again.
        assert_eq!(queue.len() as u64, puts);
        for number in 0..puts {
            assert_eq!(queue.try_get_bytes().unwrap(), message(number));
        }
        (0..1000).for_each(|number| queue.put_bytes(&message(number)).unwrap());
        assert_eq!(queue.get_bytes().unwrap(), message(0));
    });
}
