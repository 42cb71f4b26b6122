//! A pool with one worker for each processor that this process may use.

use multiproc::{Pool, cpu_count};

fn main() -> multiproc::Result<()> {
    let pool = Pool::new()?;
    assert_eq!(pool.workers().len(), cpu_count());
    println!("{:?}", pool.map(|x: u32| 2 * x, 1..=10)?);
    Ok(())
}
