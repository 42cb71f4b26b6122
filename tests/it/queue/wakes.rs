//! Who sleeps at a queue is woken by whoever has changed something for it. The keepers' poll, which would wake them all within a
//! second, is off.

use multiproc::{Consumer, Event, Process, Producer, Queue};

use crate::common::{LONG, alone, asleep, without_poll};

/// What somebody does who sleeps at the queue.
#[derive(Clone, Copy, serde::Serialize, serde::Deserialize)]
enum Call {
    Get,
    GetBytes,
    Put,
}

fn call(call: Call, queue: Queue<u32>, ready: Event, ended: Queue<bool>) {
    without_poll();
    ready.set();
    let result = match call {
        Call::Get => queue.get().map(drop),
        Call::GetBytes => queue.get_bytes().map(drop),
        Call::Put => queue.put(2),
    };
    ended.put(result.is_ok()).unwrap();
}

/// A process that is asleep in the call.
fn sleeper(which: Call, queue: &Queue<u32>, ended: &Queue<bool>) -> Process<()> {
    let ready = Event::new().unwrap();
    asleep(&ready, Process::spawn(call, (which, queue, &ready, ended)).unwrap())
}

/// The message wakes the one who has slept longest, and it is not for that one.
#[test]
fn who_is_woken_for_a_message_of_the_other_form_passes_the_wake_on() {
    alone(|| {
        without_poll();
        let (queue, ended) = (Queue::new().unwrap(), Queue::new().unwrap());
        let _first = sleeper(Call::GetBytes, &queue, &ended);
        let _second = sleeper(Call::Get, &queue, &ended);
        queue.put(1).unwrap();
        let mut both = [(); 2].map(|()| ended.get_timeout(LONG).expect("the wake is lost"));
        both.sort_unstable();
        assert_eq!(both, [false, true]);
    });
}

#[test]
fn closing_wakes_those_who_wait_for_room_or_for_messages() {
    alone(|| {
        without_poll();
        for which in [Call::Put, Call::Get, Call::GetBytes] {
            let (queue, ended) = (Queue::bounded(1).unwrap(), Queue::new().unwrap());
            if let Call::Put = which {
                queue.put(1).unwrap();
            }
            let sleepers = [(); 2].map(|()| sleeper(which, &queue, &ended));
            queue.close().unwrap();
            for _ in &sleepers {
                assert!(!ended.get_timeout(LONG).expect("a sleeper was not woken"));
            }
        }
    });
}

/// The last end of a side is dropped, and nobody dies.
#[test]
fn dropping_the_last_end_wakes_those_who_wait_for_that_side() {
    fn get(consumer: Consumer<u32>, ready: Event, ended: Queue<bool>) {
        without_poll();
        ready.set();
        ended.put(consumer.get().is_ok()).unwrap();
    }
    fn put(producer: Producer<u32>, ready: Event, ended: Queue<bool>) {
        without_poll();
        ready.set();
        ended.put(producer.put(2).is_ok()).unwrap();
    }
    alone(|| {
        without_poll();
        let (ready, ended) = (Event::new().unwrap(), Queue::new().unwrap());
        let (producer, consumer) = Queue::new().unwrap().split();
        let getter = asleep(&ready, Process::spawn(get, (consumer, &ready, &ended)).unwrap());
        drop(producer);
        assert!(!ended.get_timeout(LONG).expect("the getter was not woken"));
        getter.join().unwrap();

        let ready = Event::new().unwrap();
        let (producer, consumer) = Queue::bounded(1).unwrap().split();
        producer.put(1).unwrap();
        let putter = asleep(&ready, Process::spawn(put, (producer, &ready, &ended)).unwrap());
        drop(consumer);
        assert!(!ended.get_timeout(LONG).expect("the putter was not woken"));
        putter.join().unwrap();
    });
}
