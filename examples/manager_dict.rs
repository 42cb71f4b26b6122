//! Four processes fill one dict in a manager's server. Expect 400 squares, the right sum, and each word counted by all of them.

use multiproc::{Dict, Manager, Process, Result};

fn fill(squares: Dict<u64, u64>, words: Dict<String, u32>, from: u64) -> Result<()> {
    squares.extend((from..from + 100).map(|n| (n, n * n)))?;
    for word in ["the", "quick", "fox", "the"] {
        // In the server, so that no other process's count is lost.
        words.update_or(word, 0, |count: &mut u32| *count += 1, ())?;
    }
    Ok(())
}

fn main() -> Result<()> {
    let manager = Manager::new()?;
    let (squares, words) = (manager.dict()?, manager.dict()?);
    let workers: Vec<_> =
        (0..4).map(|n| Process::spawn(fill, (&squares, &words, n * 100))).collect::<Result<_>>()?;
    for worker in workers {
        worker.join()??;
    }
    let sum: u64 = squares.values()?.iter().sum();
    println!("{} squares, their sum is {sum}", squares.len()?);
    assert_eq!(sum, (0..400).map(|n| n * n).sum());
    let mut counts = words.items()?;
    counts.sort();
    for (word, count) in counts {
        println!("{word}: {count}");
    }
    Ok(())
}
