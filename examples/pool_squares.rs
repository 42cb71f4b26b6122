//! The first program with a pool: prints the squares of 0 to 9.

use multiproc::Pool;

fn square(x: u64) -> u64 {
    x * x
}

fn main() -> multiproc::Result<()> {
    let pool = Pool::with_workers(4)?;
    println!("{:?}", pool.map(square, 0..10)?);
    Ok(())
}
