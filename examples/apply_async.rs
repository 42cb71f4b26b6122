//! A task in the background, and a callback that hears of its result.

use multiproc::Pool;

fn main() -> multiproc::Result<()> {
    let pool = Pool::with_workers(2)?;
    let square = pool
        .apply_async(|x: u64| x * x, (20,))
        .on_done(|square| println!("the callback got {square}"))
        .on_error(|error| println!("the callback got an error: {error}"));
    println!("{}", square.get()?);
    Ok(())
}
