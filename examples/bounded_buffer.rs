//! A buffer of four numbers by hand: one lock for the data, a condition for each of the two things that are waited for. (A
//! `Queue` does this and more; here one sees how.)
//!
//! Expect the sum of 1 to 1000: two producers and two consumers lose nothing and take nothing twice.

use multiproc::{Array, Condition, Process, Result};
use serde::{Deserialize, Serialize};

/// How many numbers the buffer has room for. Behind them stands how many there are.
const ROOM: usize = 4;

#[derive(Clone, Serialize, Deserialize)]
struct Buffer {
    items: Array<u32>,
    not_full: Condition,
    not_empty: Condition,
}

impl Buffer {
    fn new() -> Result<Buffer> {
        Ok(Buffer {
            items: Array::zeroed(ROOM + 1)?,
            not_full: Condition::new()?,
            not_empty: Condition::new()?,
        })
    }

    fn put(&self, item: u32) -> Result<()> {
        let mut items = self.items.lock()?;
        self.not_full.wait_while(&mut items, |items| items[ROOM] as usize == ROOM)?;
        let count = items[ROOM] as usize;
        items[count] = item;
        items[ROOM] += 1;
        self.not_empty.notify_one();
        Ok(())
    }

    fn get(&self) -> Result<u32> {
        let mut items = self.items.lock()?;
        self.not_empty.wait_while(&mut items, |items| items[ROOM] == 0)?;
        let item = items[0];
        items.copy_within(1..ROOM, 0);
        items[ROOM] -= 1;
        self.not_full.notify_one();
        Ok(item)
    }
}

fn produce(buffer: Buffer, first: u32) -> Result<()> {
    (first..first + 500).try_for_each(|item| buffer.put(item))
}

fn consume(buffer: Buffer) -> Result<u32> {
    (0..500).map(|_| buffer.get()).sum()
}

fn main() -> Result<()> {
    let buffer = Buffer::new()?;
    let producers = [1, 501].map(|first| Process::spawn(produce, (&buffer, first)));
    let consumers = [(); 2].map(|()| Process::spawn(consume, (&buffer,)));
    for producer in producers {
        producer?.join()??;
    }
    let mut sum = 0;
    for consumer in consumers {
        sum += consumer?.join()??;
    }
    println!("the consumers took {sum} in all");
    Ok(())
}
