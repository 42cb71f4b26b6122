//! A tour of a pool's calls, after the introduction of Python's documentation.

use multiproc::Pool;
use std::time::Duration;

fn square(x: u64) -> u64 {
    x * x
}

fn main() -> multiproc::Result<()> {
    let pool = Pool::with_workers(4)?;

    // All results at once, in order.
    println!("{:?}", pool.map(square, 0..10)?);

    // Each as it comes, in whatever order.
    for square in pool.imap_unordered(square, 0..10) {
        println!("{}", square?);
    }

    // One task in the background, and a limit on waiting for it.
    println!("{}", pool.apply_async(square, (20,)).get_timeout(Duration::from_secs(1))?);

    // Several of them, on whichever workers are free.
    let ids: Vec<_> = (0..4).map(|_| pool.apply_async(std::process::id, ())).collect();
    for id in ids {
        assert_ne!(id.get()?, std::process::id());
    }

    // A worker that sleeps is not waited for.
    let sleep = || std::thread::sleep(Duration::from_secs(10));
    match pool.apply_async(sleep, ()).get_timeout(Duration::from_millis(100)) {
        Err(error) if error.is_timeout() => println!("We lacked patience and got a timeout"),
        other => other?,
    }

    pool.terminate();
    assert!(pool.apply(square, (3,)).unwrap_err().is_closed());
    println!("Now pool is no longer available");
    Ok(())
}
