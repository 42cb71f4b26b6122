//! A producer process puts 0 to 4 on a queue, a consumer process prints what it gets.
//!
//! Expect `got 0` to `got 4` and `no more`, in this order.

use multiproc::{Process, Queue, Result};

fn produce(queue: Queue<Option<i32>>) -> Result<()> {
    for number in 0..5 {
        queue.put(Some(number))?;
    }
    Ok(())
}

fn consume(queue: Queue<Option<i32>>) -> Result<()> {
    while let Some(number) = queue.get()? {
        println!("got {number}");
    }
    println!("no more");
    Ok(())
}

fn main() -> Result<()> {
    let queue = Queue::<Option<i32>>::new()?;
    // Each function runs in a process of its own; both are given the same queue.
    let producer = Process::spawn(produce, (&queue,))?;
    let consumer = Process::spawn(consume, (&queue,))?;
    // The first `?` is for a process that died, the second for the error its function returned.
    producer.join()??;
    // All five numbers are in the queue by now, so `None` comes behind them.
    queue.put(None)?;
    consumer.join()??;
    Ok(())
}
