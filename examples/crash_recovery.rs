//! Worker 2 is killed while it holds a lock; worker 3, who waits for the lock, is told so and takes over.
//!
//! Expect worker 1 to come and go, and then a line that says how long the death kept worker 3 waiting: well under 1,000 us.

use std::thread;
use std::time::{Duration, SystemTime};

use multiproc::{Event, Lock, Process, Result};

fn come_and_go(lock: Lock) -> Result<()> {
    let _guard = lock.lock()?;
    println!("worker 1 held the lock and gave it back");
    Ok(())
}

fn hold_for_ever(lock: Lock, held: Event) -> Result<()> {
    let _guard = lock.lock()?;
    held.set();
    loop {
        thread::park();
    }
}

fn take_over(lock: Lock, waits: Event) -> Result<SystemTime> {
    waits.set();
    let guard = match lock.lock() {
        Ok(guard) => guard,
        // What the lock guards may be half written. Here would be the place to repair it.
        Err(error) if error.is_owner_died() => lock.recover()?,
        Err(error) => return Err(error),
    };
    let now = SystemTime::now();
    // From here on the lock is like any other again.
    drop(guard);
    Ok(now)
}

fn main() -> Result<()> {
    let lock = Lock::new()?;
    Process::spawn(come_and_go, (&lock,))?.join()??;

    let (held, waits) = (Event::new()?, Event::new()?);
    let second = Process::spawn(hold_for_ever, (&lock, &held))?;
    held.wait()?;
    let third = Process::spawn(take_over, (&lock, &waits))?;
    waits.wait()?;
    // Time to fall asleep.
    thread::sleep(Duration::from_millis(20));

    let killed = SystemTime::now();
    second.handle().kill()?;
    let took_over = third.join()??;
    let late = took_over.duration_since(killed).unwrap_or_default().as_micros();
    println!("worker 2 was killed while it held the lock; worker 3 took over {late} us later");
    println!("{}", second.join().expect_err("it was killed"));
    assert!(lock.try_lock().is_ok());
    Ok(())
}
