//! Five processes share two slots; one is killed in its slot, and the slot is there for the next one at once.
//!
//! Expect five workers that are in a slot, never more than two at a time, and no slot lost in the end.

use multiproc::{Event, Process, Queue, Result, Semaphore};

fn work(slots: Semaphore, inside: Queue<u32>) -> Result<usize> {
    // Waits until a slot is free; it is given back when `_slot` is dropped.
    let _slot = slots.acquire()?;
    inside.put(0)?;
    let together = inside.len();
    inside.get()?;
    Ok(together)
}

fn stay(slots: Semaphore, inside: Event) -> Result<()> {
    let _slot = slots.acquire()?;
    inside.set();
    loop {
        std::thread::park();
    }
}

fn main() -> Result<()> {
    let slots = Semaphore::new(2)?;
    println!("{} slots", slots.available());

    // One worker takes a slot and would keep it for ever.
    let taken = Event::new()?;
    let stuck = Process::spawn(stay, (&slots, &taken))?;
    taken.wait()?;
    println!("{} slot left while worker 0 is in one", slots.available());

    let inside = Queue::new()?;
    let workers: Vec<_> =
        (1..5).map(|_| Process::spawn(work, (&slots, &inside))).collect::<Result<_>>()?;
    stuck.handle().kill()?;
    for (number, worker) in workers.into_iter().enumerate() {
        let together = worker.join()??;
        assert!((1..=2).contains(&together));
        println!("worker {} was in a slot", number + 1);
    }
    drop(stuck.join());
    println!("{} slots again, although worker 0 was killed in one", slots.available());
    Ok(())
}
