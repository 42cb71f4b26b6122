//! A function with an argument runs in a process of its own.
//!
//! Expect `Hello from Alice!`

use multiproc::{Process, Result};

fn hello(name: String) {
    println!("Hello from {name}!");
}

fn main() -> Result<()> {
    // A tuple with one element for each parameter, also if there is one.
    let process = Process::spawn(hello, ("Alice",))?;
    process.join()
}
