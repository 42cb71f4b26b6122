//! Three runners wait at a gate, an `Event`; one `set` lets all of them through, in whatever process they are.
//!
//! Expect nobody to be through before the gate is open, and then everybody. Whoever comes later finds it open.

use std::time::Duration;

use multiproc::{Event, Process, Queue, Result};

fn run(number: u32, gate: Event, arrived: Queue<u32>) -> Result<()> {
    arrived.put(number)?;
    gate.wait()?;
    println!("runner {number} is through");
    Ok(())
}

fn look(gate: Event) -> Result<bool> {
    gate.wait_timeout(Duration::from_millis(20))
}

fn main() -> Result<()> {
    let gate = Event::new()?;
    let arrived = Queue::new()?;
    let runners: Vec<_> = (1..=3)
        .map(|number| Process::spawn(run, (number, &gate, &arrived)))
        .collect::<Result<_>>()?;
    for _ in &runners {
        arrived.get()?;
    }
    println!("the gate is open: {}", Process::spawn(look, (&gate,))?.join()??);

    gate.set();
    for runner in runners {
        runner.join()??;
    }
    println!("the gate is open: {}", Process::spawn(look, (&gate,))?.join()??);

    gate.clear();
    println!("the gate is open: {}", gate.is_set());
    Ok(())
}
