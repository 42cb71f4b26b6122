//! The first queue of Python's tutorial: a process puts five names, the parent adds `xyz`, and a consumer prints what it gets.
//!
//! Nobody tells the consumer how many names there are, and nobody puts a `None` behind the last one: it ends because no producer
//! is left. In Python it waits there for ever.

use multiproc::{Consumer, Process, Producer, Queue, Result};

fn produce(names: Producer<String>) -> Result<()> {
    for name in ["Alice", "Bob", "Carol", "Dave", "Eve"] {
        names.put(name)?;
    }
    Ok(())
}

fn consume(names: Consumer<String>) -> Result<()> {
    for name in &names {
        println!("got {}", name?);
    }
    Ok(())
}

fn main() -> Result<()> {
    let (producer, consumer) = Queue::new()?.split();
    let reader = Process::spawn(consume, (consumer,))?;
    Process::spawn(produce, (&producer,))?.join()??;
    producer.put("xyz")?;
    // The last producer.
    drop(producer);
    reader.join()?
}
