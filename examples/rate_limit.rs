//! Six downloaders share a budget: at most so many requests in each period, however many processes there are. Permits are
//! used up (`forget`), and a clock releases new ones.
//!
//! Expect 12 downloads in 3 periods of 4, and nobody above the limit although one downloader is killed with its permit.

use multiproc::{Event, Process, Queue, Result, Semaphore};

/// Requests in a period.
const BUDGET: u32 = 4;

fn download(budget: Semaphore, done: Queue<u32>, jobs: Queue<u32>) -> Result<()> {
    for job in &jobs {
        // Waits for the next period if this one is used up.
        budget.acquire()?.forget();
        done.put(job?)?;
    }
    Ok(())
}

/// Has a permit in its hand when it is killed: the permit comes back.
fn stuck(budget: Semaphore, has_it: Event) -> Result<()> {
    let _permit = budget.acquire()?;
    has_it.set();
    loop {
        std::thread::park();
    }
}

fn main() -> Result<()> {
    let (budget, jobs, done) = (Semaphore::new(0)?, Queue::new()?, Queue::new()?);
    jobs.put_many(0..3 * BUDGET)?;
    jobs.close()?;

    budget.release(1)?;
    let has_it = Event::new()?;
    let victim = Process::spawn(stuck, (&budget, &has_it))?;
    has_it.wait()?;
    victim.handle().kill()?;
    drop(victim.join());
    println!("{} permit came back from the dead", budget.available());
    budget.acquire()?.forget();

    let workers = [(); 6].map(|()| Process::spawn(download, (&budget, &done, &jobs)));
    let mut finished = 0;
    for period in 1..=3 {
        budget.release(BUDGET)?;
        for _ in 0..BUDGET {
            done.get()?;
            finished += 1;
        }
        assert!(done.is_empty(), "more than the budget allows");
        println!("period {period}: {finished} downloads in all");
    }
    for worker in workers {
        worker?.join()??;
    }
    Ok(())
}
