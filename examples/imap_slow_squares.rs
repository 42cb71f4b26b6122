//! Results one by one: in the order of the numbers, each as soon as it and those before it are there.

use multiproc::Pool;
use std::time::Duration;

fn slow_square(x: u64) -> u64 {
    std::thread::sleep(Duration::from_millis(50));
    x * x
}

fn main() -> multiproc::Result<()> {
    let pool = Pool::with_workers(4)?;
    for (x, square) in pool.imap(slow_square, 0..8).enumerate() {
        println!("{x} squared is {}", square?);
    }
    Ok(())
}
