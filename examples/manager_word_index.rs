//! Workers build one inverted index of text files in a manager's server: word to files. One of them is killed on the way, and
//! the files that it had not finished are indexed by another. Then come the queries. Expect the same answers every time.

use std::collections::BTreeSet;
use std::path::Path;

use multiproc::{Dict, Event, Manager, Process, Queue, Result, Set};

type Index = Dict<String, BTreeSet<String>>;

/// The words of a file, each once.
fn words(path: &str) -> Result<BTreeSet<String>> {
    let text = std::fs::read_to_string(path)?.to_lowercase();
    let words = text.split(|c: char| !c.is_alphabetic()).filter(|word| word.len() > 2);
    Ok(words.map(str::to_owned).collect())
}

/// Indexes files until none is left. A file counts as done once all its words are in.
fn work(files: Queue<String>, index: Index, done: Set<String>, manager: Manager) -> Result<()> {
    for file in &files {
        let file = file?;
        let name = Path::new(&file).file_name().unwrap_or_default().to_string_lossy().into_owned();
        let add = |files: &mut BTreeSet<String>, name: String| files.insert(name);
        let words = words(&file)?;
        // One round trip for the whole file, and nobody sees a part of it.
        manager.batch(|batch| {
            for word in words {
                drop(batch.dict(&index).update_or(word, BTreeSet::new(), add, (&name,)));
            }
            drop(batch.set(&done).insert(&file));
        })?;
    }
    Ok(())
}

/// Takes a file, and is killed before it has done anything with it.
fn doomed(files: Queue<String>, taken: Event) -> Result<()> {
    files.get()?;
    taken.set();
    loop {
        std::thread::park();
    }
}

fn main() -> Result<()> {
    let mut all: Vec<String> = std::env::args().skip(1).collect();
    if all.is_empty() {
        all = ["LICENSE-APACHE", "LICENSE-MIT", "README.md"].map(str::to_owned).to_vec();
    }

    let manager = Manager::new()?;
    let (index, done) = (manager.dict()?, manager.set::<String>()?);
    let (files, taken) = (Queue::new()?, Event::new()?);
    files.put_many(&all)?;
    let victim = Process::spawn(doomed, (&files, &taken))?;
    taken.wait()?;
    victim.handle().kill()?;
    println!("one worker was killed: {}", victim.join().is_err());

    // What was taken and is not done, is put again, until all is done.
    files.close()?;
    let mut queue = files;
    loop {
        let workers: Vec<_> = (0..3)
            .map(|_| Process::spawn(work, (&queue, &index, &done, &manager)))
            .collect::<Result<_>>()?;
        for worker in workers {
            worker.join()??;
        }
        let finished = done.to_set()?;
        let left: Vec<_> = all.iter().filter(|file| !finished.contains(*file)).collect();
        println!("{} of {} files are indexed", finished.len(), all.len());
        if left.is_empty() {
            break;
        }
        queue = Queue::new()?;
        queue.put_many(left)?;
        queue.close()?;
    }

    for word in ["copyright", "perpetual", "naïve", "whale"] {
        let found = index.get(word)?.unwrap_or_default();
        let found = found.into_iter().collect::<Vec<_>>().join(", ");
        println!("{word}: {}", if found.is_empty() { "in none of them" } else { &found });
    }
    Ok(())
}
