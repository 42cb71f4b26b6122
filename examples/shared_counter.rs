//! Four processes add one to the same value, a million times each, with its lock held: Python's
//! `with counter.get_lock(): counter.value += 1`.
//!
//! Expect 4000000: nothing is lost.

use multiproc::{Process, Result, Value};

fn count(times: u32, counter: Value<u32>) -> Result<()> {
    for _ in 0..times {
        let _held = counter.get_lock().lock()?;
        counter.set(counter.get()? + 1)?;
    }
    Ok(())
}

fn main() -> Result<()> {
    let counter = Value::new(0)?;
    let workers: Vec<_> =
        (0..4).map(|_| Process::spawn(count, (1_000_000, &counter))).collect::<Result<_>>()?;
    for worker in workers {
        worker.join()??;
    }
    println!("{}", counter.get()?);
    Ok(())
}
