//! Four processes run at the same time, each with its own number.
//!
//! Expect `Process 1: 1` to `Process 4: 4`, in any order.

use multiproc::{Process, Result};

fn print_number(number: u32) {
    println!("Process {number}: {number}");
}

fn main() -> Result<()> {
    let processes = (1..=4).map(|number| Process::spawn(print_number, (number,)));
    let processes = processes.collect::<Result<Vec<_>>>()?;
    for process in processes {
        process.join()?;
    }
    Ok(())
}
