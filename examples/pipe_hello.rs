//! A child says hello through a pipe: the first example of every introduction to pipes.
//!
//! Expect the three things that the child sent.

use multiproc::{Connection, Pipe, Process, Result};

type Hello = (u32, Option<String>, String);

fn hello(mut parent: Connection<Hello, ()>) -> Result<()> {
    parent.send((42, None, "hello".to_owned()))
}

fn main() -> Result<()> {
    let (mut child, parent) = Pipe::duplex::<(), Hello>()?;
    let process = Process::spawn(hello, (parent,))?;
    println!("{:?}", child.recv()?);
    process.join()?
}
