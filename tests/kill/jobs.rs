//! Several scenarios at a time: some harnesses for each processor, each with processes and shared memory of its own.
//!
//! A scenario is a play of turns: one process runs, all others wait. So the harness that was called starts workers, which are
//! this program once more, and writes the numbers of the items into one pipe. Each worker takes its next item from there, and
//! says at its end what its items came to.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Result, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use super::sums::Sums;

/// Set for workers.
const WORKER: &str = "KILL_WORKER";

/// Has this process, a worker, end with the harness that started it: an interrupt from the terminal reaches only that one's group.
pub(crate) fn end_with_lead() {
    // SAFETY: prctl(2), PR_SET_PDEATHSIG
    // - takes numbers.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
}

/// Whether this process is a worker.
pub(crate) fn is_worker() -> bool {
    std::env::var_os(WORKER).is_some()
}

/// The numbers of the items that this worker is to play, each taken when it is asked for.
pub(crate) fn items() -> impl Iterator<Item = usize> {
    // Not through a buffer, which would take what is for others.
    let pipe = std::io::stdin().as_fd().try_clone_to_owned().map(File::from);
    let mut pipe = pipe.expect("a worker has a pipe");
    std::iter::from_fn(move || {
        let mut number = [0; 2];
        pipe.read_exact(&mut number).ok()?;
        Some(usize::from(u16::from_le_bytes(number)))
    })
}

/// Has `items` played by `jobs` workers.
pub(crate) fn run(jobs: usize, items: &[usize], seed: u64) -> Result<Sums> {
    let (numbers, mut pipe) = std::io::pipe()?;
    let numbers = OwnedFd::from(numbers);
    let workers = (0..jobs).map(|_| start(numbers.try_clone()?, seed));
    let workers = workers.collect::<Result<Vec<_>>>()?;
    drop(numbers);
    let listeners = workers.into_iter().map(|worker| std::thread::spawn(|| listen(worker)));
    let listeners = listeners.collect::<Vec<_>>();
    for &item in items {
        let number = u16::try_from(item).expect("some hundred scenarios");
        // If all workers are gone, their sums say so.
        if pipe.write_all(&number.to_le_bytes()).is_err() {
            break;
        }
    }
    drop(pipe);
    let mut sums = Sums::default();
    for listener in listeners {
        sums += listener.join().expect("a listener only reads");
    }
    Ok(sums)
}

fn start(numbers: OwnedFd, seed: u64) -> Result<Child> {
    let mut worker = Command::new("/proc/self/exe");
    worker.args(std::env::args_os().skip(1)).env(WORKER, "1");
    // Midnight may come before the worker does.
    worker.env("KILL_SEED", seed.to_string());
    // Its family, by this group; see `group`.
    worker.process_group(0);
    worker.stdin(numbers).stdout(Stdio::piped()).spawn()
}

/// Passes on what a worker prints, but for its sums. A worker that ends without them has failed.
fn listen(mut worker: Child) -> Sums {
    let mut sums = None;
    for line in BufReader::new(worker.stdout.take().expect("piped")).lines() {
        match line {
            Ok(line) => match Sums::read(&line) {
                Some(read) => sums = Some(read),
                None => println!("{line}"),
            },
            Err(_) => break,
        }
    }
    let status = worker.wait();
    let sums = sums.unwrap_or_else(|| {
        println!("kill: a worker ended early: {status:?}");
        Sums { failed: 1, ..Sums::default() }
    });
    // The watchdog's last words name no failure.
    let is_failed = !status.is_ok_and(|status| status.success());
    Sums { failed: sums.failed.max(usize::from(is_failed)), ..sums }
}
