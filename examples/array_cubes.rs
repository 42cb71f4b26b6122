//! One process for each element of an array raises it to its cube.
//!
//! Expect the cubes of 2 to 16, in order.

use multiproc::{Array, Process, Result};

fn cube(numbers: Array<u32>, index: usize) -> Result<()> {
    numbers.update(index, |number| *number = number.pow(3))
}

fn main() -> Result<()> {
    let numbers = Array::from_fn(15, |index| index as u32 + 2)?;
    let workers: Vec<_> = (0..numbers.len())
        .map(|index| Process::spawn(cube, (&numbers, index)))
        .collect::<Result<_>>()?;
    for worker in workers {
        worker.join()??;
    }
    println!("{:?}", numbers.to_vec()?);
    Ok(())
}
