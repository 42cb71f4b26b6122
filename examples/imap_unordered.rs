//! Results as they come: the short tasks do not wait for the long one.

use multiproc::Pool;
use std::time::Duration;

fn nap(ms: u64) -> u64 {
    std::thread::sleep(Duration::from_millis(ms));
    ms
}

fn main() -> multiproc::Result<()> {
    let pool = Pool::with_workers(3)?;
    for ms in pool.imap_unordered(nap, [900, 1, 300]) {
        println!("slept {} ms", ms?);
    }
    Ok(())
}
