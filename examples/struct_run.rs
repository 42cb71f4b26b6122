//! Five structures that carry their own data run in five processes, as Python's subclasses of `Process` with a `run` method do.
//!
//! Expect the squares of 0 to 4, in this order: the results are joined in the order of the starts.

use multiproc::{Process, Result, Run};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Square {
    number: u64,
}

impl Run for Square {
    type Output = u64;

    fn run(self) -> u64 {
        self.number * self.number
    }
}

fn main() -> Result<()> {
    let processes = (0..5).map(|number| Process::run(Square { number }));
    // All run at once before the first is waited for.
    let processes = processes.collect::<Result<Vec<_>>>()?;
    for process in processes {
        println!("{}", process.join()?);
    }
    Ok(())
}
