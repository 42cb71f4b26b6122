//! Four processes make random numbers, and bring them back over a queue.
//!
//! Each process starts with its own state, so no two make the same numbers, as processes of a careless `fork` do.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, RandomState};

use multiproc::{Process, Producer, Queue, Result};

const PROCESSES: u64 = 4;
const NUMBERS: u64 = 5;

fn make_numbers(process: u64, results: Producer<(u64, Vec<u64>)>) -> Result<()> {
    // Seeded by the system in each process.
    let random = RandomState::new();
    let numbers = (0..NUMBERS).map(|at| random.hash_one(at) % 1_000_000_000).collect();
    results.put((process, numbers))
}

fn main() -> Result<()> {
    let (producer, consumer) = Queue::new()?.split();
    let processes = (1..=PROCESSES).map(|n| Process::spawn(make_numbers, (n, &producer)));
    let processes = processes.collect::<Result<Vec<_>>>()?;
    // From now on the children have the only producers: when they end, so do the results.
    drop(producer);
    let mut results = consumer.into_iter().collect::<Result<Vec<_>>>()?;
    for process in processes {
        process.join()??;
    }
    results.sort();
    for (process, numbers) in &results {
        println!("Process {process}: {numbers:?}");
    }
    let different: BTreeSet<_> = results.iter().map(|(_, numbers)| numbers).collect();
    println!("{} different lists", different.len());
    Ok(())
}
