//! One task aborts its worker. Its own result is an error that says so; all others are right.

use multiproc::Pool;

fn square(x: u64) -> u64 {
    if x == 7 {
        std::process::abort();
    }
    x * x
}

fn main() -> multiproc::Result<()> {
    let pool = Pool::builder().workers(2).name("squares").build()?;
    for (x, square) in pool.chunk_size(5).imap(square, 0..10).enumerate() {
        match square {
            Ok(square) => println!("{x}: {square}"),
            Err(error) => println!("{x}: {error}"),
        }
    }
    // The worker was replaced.
    println!("{:?}", pool.map(square, 10..13)?);
    Ok(())
}
