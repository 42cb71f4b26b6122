//! Three processes let heat flow along a rod, each in its own part, in step: nobody begins a step before all have done the last one.
//! Then one of them is killed, and the two others are told at once instead of waiting for ever.
//!
//! Expect the middle of the rod to have warmed up, and two workers that were told.

use multiproc::{Array, Barrier, Process, Queue, Result};

const LENGTH: usize = 30;
const STEPS: usize = 500;

/// Computes its third of the rod, step by step, from the one array into the other.
fn work(number: usize, rods: [Array<f64>; 2], barrier: Barrier) -> Result<()> {
    let part = number * LENGTH / 3..(number + 1) * LENGTH / 3;
    for step in 0..STEPS {
        let (from, to) = (rods[step % 2].to_vec()?, &rods[1 - step % 2]);
        for at in part.clone().filter(|&at| at > 0 && at < LENGTH - 1) {
            to.set(at, (from[at - 1] + 2.0 * from[at] + from[at + 1]) / 4.0)?;
        }
        let wait = barrier.wait()?;
        if wait.is_leader() && step == STEPS - 1 {
            println!("{STEPS} steps");
        }
    }
    Ok(())
}

/// Goes on until the barrier breaks.
fn go_on(barrier: Barrier, through: Queue<()>) -> Result<()> {
    loop {
        if let Err(error) = barrier.wait() {
            assert!(error.is_broken());
            println!("told that the barrier is broken");
            return Ok(());
        }
        through.put(())?;
    }
}

fn main() -> Result<()> {
    let mut cold = [0.0; LENGTH];
    // Both ends are kept at 100 degrees.
    (cold[0], cold[LENGTH - 1]) = (100.0, 100.0);
    let rods = [Array::from_slice(&cold)?, Array::from_slice(&cold)?];
    let barrier = Barrier::new(3)?;
    let workers = [0, 1, 2].map(|number| Process::spawn(work, (number, &rods, &barrier)));
    for worker in workers {
        worker?.join()??;
    }
    println!("{:.0} degrees in the middle", rods[STEPS % 2].get(LENGTH / 2)?);

    // Those who left in order broke nothing: others can use the barrier.
    let through = Queue::new()?;
    let victim = Process::spawn(go_on, (&barrier, &through))?;
    let others = [(); 2].map(|()| Process::spawn(go_on, (&barrier, &through)));
    // When one round is complete, all three have been there.
    through.get()?;
    victim.handle().kill()?;
    drop(victim.join());
    for other in others {
        other?.join()??;
    }
    Ok(())
}
