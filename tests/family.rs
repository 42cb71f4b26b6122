//! A family of forked processes over every object that waits: what runs on each Unix system, also where no program can be started.
//!
//! This test has a `main` of its own and no thread, since it forks. It is part of the ordinary suite; `.ci/targets` runs it once more over what
//! stands in for Linux's own calls (`--cfg elsewhere`).

#![allow(unsafe_code)]

use std::time::Duration;

use multiproc::{
    Barrier, Condition, ErrorKind, Event, JoinableQueue, Lock, Pipe, Process, Queue, Receiver,
    Result, Semaphore, Sender, Value,
};

/// A time that no part should ever need.
const LONG: Duration = Duration::from_secs(30);

/// Forks, in a process that has no other thread than those of this crate.
macro_rules! fork {
    ($args:expr, $f:expr) => {{
        // SAFETY: the other threads, which are the crate's, hold nothing that the closure needs.
        unsafe { Process::fork($args, $f) }
    }};
}

fn main() {
    // Whoever hangs is ended.
    // SAFETY: an integer.
    unsafe { libc::alarm(60) };
    type Part = (&'static str, fn() -> Result<()>);
    let parts: [Part; 6] = [
        ("exclusion", exclusion),
        ("messages", messages),
        ("waking", waking),
        ("rounds", rounds),
        ("deaths", deaths),
        ("ends", ends),
    ];
    for (name, part) in parts {
        part().unwrap_or_else(|error| panic!("{name}: {error:?}"));
        println!("test {name} ... ok");
    }
}

/// Four processes count under a lock, and two at a time under a semaphore.
fn exclusion() -> Result<()> {
    let (lock, slots, count) = (Lock::new()?, Semaphore::new(2)?, Value::new(0_u64)?);
    let counter = |(lock, slots, count): (Lock, Semaphore, Value<u64>)| -> Result<()> {
        for _ in 0..500 {
            let _permit = slots.acquire()?;
            let _guard = lock.lock()?;
            let before = count.get()?;
            count.set(before + 1)?;
        }
        Ok(())
    };
    let children: Vec<Process<Result<()>>> =
        (0..4).map(|_| fork!((&lock, &slots, &count), counter)).collect::<Result<_>>()?;
    children.into_iter().try_for_each(|child| child.join()?)?;
    assert_eq!((count.get()?, slots.available()), (2000, 2));
    Ok(())
}

/// Small and large messages by queue and pipe, tasks, a lock that travels.
fn messages() -> Result<()> {
    let (queue, tasks) = (Queue::<Vec<u8>>::new()?, JoinableQueue::<u32>::new()?);
    let (mut sender, receiver) = Pipe::simplex::<(Lock, u32)>()?;
    type Given = (Queue<Vec<u8>>, JoinableQueue<u32>, Receiver<(Lock, u32)>);
    let child =
        fork!((&queue, &tasks, receiver), |(queue, tasks, mut pipe): Given| -> Result<u32> {
            for len in [1, 100, 5_000, 300_000] {
                queue.put(vec![7; len])?;
            }
            let task = tasks.get()?;
            let (lock, number) = pipe.recv()?;
            drop(lock.lock()?);
            let sum = number + *task;
            task.done()?;
            Ok(sum)
        })?;
    tasks.put(5)?;
    sender.send((Lock::new()?, 6))?;
    for len in [1, 100, 5_000, 300_000] {
        assert_eq!(queue.get_timeout(LONG)?, vec![7; len]);
    }
    tasks.join_timeout(LONG)?;
    assert_eq!(child.join()??, 11);
    Ok(())
}

/// An event and a condition wake those who sleep.
fn waking() -> Result<()> {
    let (event, lock) = (Event::new()?, Lock::new()?);
    let (condition, asleep) = (Condition::new()?, Value::new(0_u32)?);
    type Given = (Event, Lock, Condition, Value<u32>);
    let sleeper = |(event, lock, condition, asleep): Given| {
        event.wait_timeout(LONG)?;
        let mut guard = lock.lock()?;
        asleep.set(asleep.get()? + 1)?;
        condition.wait_timeout(&mut guard, LONG)
    };
    let children = (0..3)
        .map(|_| fork!((&event, &lock, &condition, &asleep), sleeper))
        .collect::<Result<Vec<Process<Result<bool>>>>>()?;
    event.set();
    loop {
        let _guard = lock.lock()?;
        if asleep.get()? == 3 {
            condition.notify_all();
            break;
        }
    }
    for child in children {
        assert!(child.join()??, "it was woken");
    }
    Ok(())
}

/// Three processes stay in step.
fn rounds() -> Result<()> {
    let barrier = Barrier::new(3)?;
    let party = |(barrier,): (Barrier,)| -> Result<u32> {
        let mut led = 0;
        for _ in 0..100 {
            led += u32::from(barrier.wait_timeout(LONG)?.is_leader());
        }
        Ok(led)
    };
    let children = [fork!((&barrier,), party)?, fork!((&barrier,), party)?];
    let mut led = party((barrier,))?;
    for child in children {
        led += child.join()??;
    }
    assert_eq!(led, 100);
    Ok(())
}

/// A lock says that its holder was killed; a permit comes back; a receiver hears that nobody sends any more.
fn deaths() -> Result<()> {
    let (lock, slots, holds) = (Lock::new()?, Semaphore::new(1)?, Event::new()?);
    let (sender, mut receiver) = Pipe::simplex::<u32>()?;
    type Given = (Lock, Semaphore, Event, Sender<u32>);
    let child: Process<Result<()>> =
        fork!((&lock, &slots, &holds, sender), |(lock, slots, holds, _sender): Given| {
            let _guard = lock.lock()?;
            let _permit = slots.acquire()?;
            holds.set();
            loop {
                std::thread::park();
            }
        })?;
    holds.wait_timeout(LONG)?;
    assert_eq!(lock.try_lock().unwrap_err().kind(), ErrorKind::Busy);
    child.handle().kill()?;
    let death = child.join().expect_err("it was killed");
    assert_eq!(death.child().and_then(|child| child.signal()), Some(libc::SIGKILL));
    assert_eq!(lock.lock_timeout(LONG).unwrap_err().kind(), ErrorKind::OwnerDied);
    drop(lock.recover()?);
    drop(slots.acquire_timeout(LONG)?);
    assert_eq!(receiver.recv_timeout(LONG).unwrap_err().kind(), ErrorKind::Closed);
    Ok(())
}

/// Exit codes, panics, waiting with a limit, and a child that nobody joins.
fn ends() -> Result<()> {
    let exits: Process<()> = fork!((), |()| std::process::exit(3))?;
    assert_eq!(exits.join().unwrap_err().child().and_then(|child| child.exit_code()), Some(3));
    let gate = Event::new()?;
    let waits = fork!((&gate,), |(gate,): (Event,)| gate.wait_timeout(LONG))?;
    assert!(waits.handle().wait_timeout(Duration::from_millis(5))?.is_none(), "it runs");
    gate.set();
    waits.join()??;
    let told = Event::new()?;
    drop(fork!((&told,), |(told,): (Event,)| told.set())?);
    told.wait_timeout(LONG)?;
    if cfg!(any(not(target_os = "linux"), elsewhere)) {
        let error = Process::spawn(|| (), ()).expect_err("no program can be started");
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(error.to_string().contains("Process::fork"), "{error}");
    }
    Ok(())
}
