//! One process sends four messages, another one receives them, and nobody says which is the last.
//!
//! Expect the four in order, and the end: the receiver learns that the sender is gone. In Python the same program waits for
//! ever, because the parent and the receiver still hold copies of the sending end.

use multiproc::{Pipe, Process, Receiver, Result, Sender};

fn send(mut sender: Sender<String>) -> Result<()> {
    for message in ["hello", "hey", "how are you?", "bye"] {
        sender.send(message)?;
    }
    Ok(())
}

fn receive(mut receiver: Receiver<String>) -> Result<()> {
    for message in &mut receiver {
        println!("received: {}", message?);
    }
    println!("the sender is gone");
    Ok(())
}

fn main() -> Result<()> {
    let (sender, receiver) = Pipe::simplex()?;
    let sending = Process::spawn(send, (sender,))?;
    let receiving = Process::spawn(receive, (receiver,))?;
    sending.join()??;
    receiving.join()?
}
