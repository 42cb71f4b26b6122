//! Closing, shutting down, counted ends, and handles that travel.

use multiproc::{
    ErrorKind, JoinableConsumer, JoinableProducer, JoinableQueue, Process, Queue, Result,
};

use crate::common::{LONG, SHORT, kind, liar, until};
use crate::watchdog::watch;

#[test]
fn a_closed_queue_is_over_when_all_is_done() {
    let _watch = watch();
    let queue = JoinableQueue::new().unwrap();
    queue.put(1).unwrap();
    let task = queue.get().unwrap();
    queue.close().unwrap();
    assert!(queue.is_closed());
    assert_eq!(kind(queue.put(2)), ErrorKind::Closed);
    // It may come back.
    assert_eq!(kind(queue.try_get()), ErrorKind::Empty);
    assert_eq!(kind(queue.get_timeout(SHORT)), ErrorKind::Timeout);
    std::thread::scope(|scope| {
        let getters: Vec<_> = (0..3).map(|_| scope.spawn(|| queue.get().map(drop))).collect();
        until("a getter sleeps", || format!("{queue:?}").contains("waiting_to_get: true"));
        task.done().unwrap();
        for getter in getters {
            assert_eq!(kind(getter.join().unwrap()), ErrorKind::Closed);
        }
    });
    queue.join().unwrap();
    assert!(queue.iter().next().is_none());
}

#[test]
fn a_closed_queue_is_over_when_the_last_task_has_failed() {
    let _watch = watch();
    let queue = JoinableQueue::builder().max_deliveries(1).build().unwrap();
    queue.put(1).unwrap();
    let task = queue.get().unwrap();
    queue.close().unwrap();
    std::thread::scope(|scope| {
        let getter = scope.spawn(|| queue.get().map(drop));
        let joiner = scope.spawn(|| queue.join());
        until("a getter sleeps", || format!("{queue:?}").contains("waiting_to_get: true"));
        drop(task);
        assert_eq!(kind(getter.join().unwrap()), ErrorKind::Closed);
        joiner.join().unwrap().unwrap();
    });
    assert_eq!(queue.failed().unwrap(), [1]);
}

#[test]
fn a_shutdown_drops_what_waits_and_what_comes_back() {
    let _watch = watch();
    let queue = JoinableQueue::builder().max_deliveries(2).build().unwrap();
    queue.put_many(0..5).unwrap();
    for _ in 0..2 {
        assert_eq!(*queue.get().unwrap(), 0);
    }
    assert_eq!(*queue.get().unwrap(), 1, "it has failed, and waits no more");
    let (in_hand, other) = (queue.get().unwrap(), queue.get().unwrap());
    assert_eq!((*in_hand, *other, other.attempt()), (1, 2, 1));
    drop(other);
    std::thread::scope(|scope| {
        let joiner = scope.spawn(|| queue.join());
        queue.shutdown().unwrap();
        assert_eq!((queue.len(), queue.is_closed()), (0, true));
        assert_eq!(kind(queue.get()), ErrorKind::Closed);
        assert_eq!(kind(queue.put(9)), ErrorKind::Closed);
        // What is in hand is not dropped by others.
        assert_eq!(kind(queue.try_join()), ErrorKind::Busy);
        drop(in_hand);
        joiner.join().unwrap().unwrap();
    });
    assert_eq!(kind(queue.get()), ErrorKind::Closed);
    assert_eq!(queue.failed().unwrap(), [0]);
    queue.shutdown().unwrap();
}

fn work(tasks: JoinableConsumer<u32>, results: Queue<u32>) -> Result<()> {
    for task in &tasks {
        let task = task?;
        results.put(*task)?;
        task.done()?;
    }
    Ok(())
}

#[test]
fn workers_end_when_no_producer_is_left() {
    let _watch = watch();
    let (producer, consumer) = JoinableQueue::bounded(4).unwrap().split();
    let results = Queue::new().unwrap();
    let workers: Vec<_> =
        (0..3).map(|_| Process::spawn(work, (&consumer, &results)).unwrap()).collect();
    let put = |producer: JoinableProducer<u32>| producer.put_many(100..200).unwrap();
    let other = Process::spawn(put, (&producer,)).unwrap();
    producer.put_many(0..100).unwrap();
    other.join().unwrap();
    producer.join_timeout(LONG).unwrap();
    let mut got = results.get_many(1000).unwrap();
    got.sort();
    assert!(got.into_iter().eq(0..200));
    drop(producer);
    for worker in workers {
        worker.join().unwrap().unwrap();
    }
    assert!(consumer.get().unwrap_err().is_closed());
}

#[test]
fn putters_and_joiners_learn_that_no_consumer_is_left() {
    let _watch = watch();
    let (producer, consumer) = JoinableQueue::bounded(2).unwrap().split();
    producer.put_many([1, 2]).unwrap();
    let task = consumer.get().unwrap();
    std::thread::scope(|scope| {
        let joiner = scope.spawn(|| producer.join());
        let blocked = || format!("{producer:?}").contains("waiting_to_put: true");
        producer.put(3).unwrap();
        let putter = scope.spawn(|| producer.put(4));
        until("a putter sleeps", blocked);
        drop(consumer);
        assert_eq!(kind(putter.join().unwrap()), ErrorKind::Closed);
        let error = joiner.join().unwrap().unwrap_err();
        assert!(error.is_closed(), "{error:?}");
        assert_eq!(error.to_string(), "2 tasks are left, and no consumer to take them");
    });
    // A task in hand can be done all the same.
    task.done().unwrap();
    assert_eq!(kind(producer.join()), ErrorKind::Closed);
}

liar!(TasksAsMessages, JoinableQueue<u32>, Queue<u32>);
liar!(MessagesAsTasks, Queue<u32>, JoinableQueue<u32>);
liar!(OtherTasks, JoinableQueue<u32>, JoinableQueue<u64>);
liar!(OtherEnd, JoinableConsumer<u32>, JoinableProducer<u32>);

#[test]
fn a_queue_of_another_kind_is_told_by_name() {
    #[track_caller]
    fn refused<T: serde::Serialize + serde::de::DeserializeOwned>(item: T, text: &str) {
        let carrier = Queue::<T>::new().unwrap();
        carrier.put(item).unwrap();
        let error = carrier.get().map(drop).unwrap_err();
        assert!(error.is_mismatch(), "{error:?}");
        assert!(error.to_string().contains(text), "{error}");
    }
    let tasks = JoinableQueue::new().unwrap();
    let text = "opened as Queue<u32>, holds JoinableQueue<u32>";
    refused(TasksAsMessages(Some(tasks.clone())), text);
    let text = "opened as JoinableQueue<u32>, holds Queue<u32>";
    refused(MessagesAsTasks(Some(Queue::new().unwrap())), text);
    let text = "opened as JoinableQueue<u64>, holds JoinableQueue<u32>";
    refused(OtherTasks(Some(tasks.clone())), text);
    let (_producer, consumer) = tasks.split();
    let text = "opened as the JoinableProducer of a queue, which is another end than was sent";
    refused(OtherEnd(Some(consumer)), text);
}
