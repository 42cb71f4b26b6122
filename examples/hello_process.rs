//! A function runs in a process of its own.
//!
//! Expect `Hello from a child process!`, then `The child process has completed.`

use multiproc::{Process, Result};

fn hello() {
    println!("Hello from a child process!");
}

fn main() -> Result<()> {
    let process = Process::spawn(hello, ())?;
    process.join()?;
    println!("The child process has completed.");
    Ok(())
}
