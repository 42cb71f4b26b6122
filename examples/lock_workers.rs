//! Four workers take turns under one lock, five times each. Whoever has it says three things, and nobody speaks in between.
//!
//! Expect twenty groups of three lines: each group is of one worker, the groups come in any order.

use multiproc::{Lock, Process, Result, current_process};

fn work(lock: Lock) -> Result<()> {
    let name = current_process();
    for round in 1..=5 {
        let _guard = lock.lock()?;
        println!("{name}: begins round {round}");
        println!("{name}: works on it");
        println!("{name}: ends round {round}");
    }
    Ok(())
}

fn main() -> Result<()> {
    let lock = Lock::new()?;
    let worker = |number| {
        let builder = Process::builder().name(format!("Worker-{number}"));
        builder.spawn(work, (&lock,))
    };
    let workers = (1..=4).map(worker).collect::<Result<Vec<_>>>()?;
    for worker in workers {
        worker.join()??;
    }
    Ok(())
}
