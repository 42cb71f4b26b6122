//! Each process knows its name, which is `Process-1` and so on unless it was given another.
//!
//! Expect `Process Process-1 printed: 1`, then the same of `Process-2` and of a process with a name of its own.

use multiproc::{Process, Result, current_process};

fn print_number(number: u32) {
    println!("Process {} printed: {number}", current_process().name());
}

fn main() -> Result<()> {
    Process::spawn(print_number, (1,))?.join()?;
    Process::spawn(print_number, (2,))?.join()?;
    Process::builder().name("Printer").spawn(print_number, (3,))?.join()?;
    println!("{} has seen all of them.", current_process());
    Ok(())
}
