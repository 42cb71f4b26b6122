//! What `.ci/builds` builds in each way: processes by every method, what they share, and how they fail.

use multiproc::{Error, Lock, Process, ProcessBuilder, Queue, Result, StartMethod};

fn greet(queue: Queue<String>, name: String) -> Result<usize> {
    queue.put(format!("hello {name}"))?;
    Ok(name.len())
}

fn fails(error: &Error) -> String {
    let child = error.child().expect("a child has failed");
    format!("{:?} {:?} {:?}", child.message(), child.exit_code(), child.signal())
}

/// A child that says nothing when it panics.
fn quiet(method: StartMethod) -> ProcessBuilder {
    let null = std::fs::File::options().write(true).open("/dev/null").expect("it is there");
    Process::builder().start_method(method).stderr(std::os::fd::OwnedFd::from(null))
}

fn by(method: StartMethod) -> Result<()> {
    let builder = || quiet(method);
    assert_eq!(builder().spawn(|a: u64, b: u64| a * b, (6, 7))?.join()?, 42);
    let queue = Queue::new()?;
    assert_eq!(builder().spawn(greet, (&queue, "Alice"))?.join()??, 5);
    assert_eq!(queue.get()?, "hello Alice");
    assert_eq!(builder().spawn(|len: usize| vec![7_u8; len], (1 << 20,))?.join()?.len(), 1 << 20);
    let panics = builder().spawn(|| -> () { panic!("as usual") }, ())?.join().unwrap_err();
    let ended = if cfg!(panic = "abort") { "None Some(6)" } else { "Some(101) None" };
    assert_eq!(fails(&panics), format!("Some(\"as usual\") {ended}"));
    // It dies with the lock, and the next one is told.
    let lock = Lock::new()?;
    let dies = |lock: Lock| {
        let _guard = lock.lock();
        std::process::abort()
    };
    let dies: Process<()> = builder().spawn(dies, (&lock,))?;
    assert_eq!(fails(&dies.join().unwrap_err()), "None None Some(6)");
    assert!(lock.lock().is_err_and(|error| error.is_owner_died()));
    drop(lock.recover()?);
    Ok(())
}

fn main() -> Result<()> {
    multiproc::init();
    by(StartMethod::Spawn)?;
    println!("spawn: well");
    match by(StartMethod::ForkServer) {
        Ok(()) => println!("fork server: well"),
        Err(error) if error.is_unsupported() => println!("fork server: {error}"),
        Err(error) => return Err(error),
    }
    Ok(())
}
