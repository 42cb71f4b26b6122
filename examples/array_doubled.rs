//! Two processes double an array, each its own part, at the same time and without a lock.
//!
//! Expect the array before and after.

use multiproc::{Array, ArrayPart, Process, Result};

fn double(part: ArrayPart<i32>) -> Result<()> {
    for number in part.claim()?.iter_mut() {
        *number *= 2;
    }
    Ok(())
}

fn main() -> Result<()> {
    let numbers = Array::from_slice(&[1, 2, 3, 4, 5])?;
    println!("Before: {:?}", numbers.to_vec()?);
    let workers: Vec<_> = numbers
        .partition(2)?
        .into_iter()
        .map(|part| Process::spawn(double, (part,)))
        .collect::<Result<_>>()?;
    for worker in workers {
        worker.join()??;
    }
    println!("After: {:?}", numbers.to_vec()?);
    Ok(())
}
