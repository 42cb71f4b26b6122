//! Squares of a list that is there already: the pool borrows it, and its order is kept.

use multiproc::Pool;

fn main() -> multiproc::Result<()> {
    let numbers = vec![3, 4, 5, 6, 6, 7, 87, 8, 8];
    let pool = Pool::with_workers(3)?;
    println!("{:?}", pool.map(|x: i64| x * x, &numbers)?);
    Ok(())
}
