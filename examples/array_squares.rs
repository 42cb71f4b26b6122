//! A process squares the elements of an array in place, with its lock held all the time.
//!
//! Expect the squares of 2, 3, 6, 7, 8, 8, 9, 3, 3, 3.

use multiproc::{Array, Process, Result};

fn square(numbers: Array<i32>) -> Result<()> {
    for number in numbers.lock()?.iter_mut() {
        *number *= *number;
    }
    Ok(())
}

fn main() -> Result<()> {
    let numbers = Array::from_slice(&[2, 3, 6, 7, 8, 8, 9, 3, 3, 3])?;
    Process::spawn(square, (&numbers,))?.join()??;
    println!("{:?}", numbers.to_vec()?);
    Ok(())
}
