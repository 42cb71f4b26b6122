//! Questions and answers on one duplex pipe, each direction with its own type; and what happens when the one who answers is
//! killed.
//!
//! Expect three answers, and then that the pipe is closed: the one who asks does not wait for ever.

use multiproc::{Connection, Pipe, Process, Result};

fn answer(mut questions: Connection<usize, String>) -> Result<()> {
    while let Ok(text) = questions.recv() {
        questions.send(text.chars().count())?;
    }
    Ok(())
}

fn main() -> Result<()> {
    let (mut here, there) = Pipe::duplex::<String, usize>()?;
    let process = Process::spawn(answer, (there,))?;
    for text in ["pipe", "größer", ""] {
        here.send(text)?;
        println!("{text:?} has {} characters", here.recv()?);
    }

    process.handle().kill()?;
    match here.recv() {
        Ok(answer) => println!("an answer to nothing: {answer}"),
        Err(error) => println!("killed: {error}"),
    }
    Ok(())
}
