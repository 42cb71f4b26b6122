//! A small hash table in shared memory, made of the words in `multiproc::raw`: how a library builds its own structure for many
//! processes. Three workers count numbers in it; another one is killed while it holds a cell, and the next one that needs the
//! cell recovers it. The main process sleeps until all numbers are there.
//!
//! Expect every number to have been counted as often as it was added.

use multiproc::raw::{EventCount, Flag, Guarded};
use multiproc::{Process, Result, Shared, shared_type};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

const CELLS: usize = 64;
const NUMBERS: u64 = 40;
const TIMES: u64 = 200;
const WORKERS: u64 = 3;

shared_type! {
    struct Table {
        /// A number and how often it was added; 0: nothing yet.
        cells: [Guarded<[u64; 2]>; CELLS],
        /// How many numbers have been added, and those who wait for it.
        added: AtomicU64,
        more: EventCount,
        /// One of the cells is held by the process that is to be killed.
        held: Flag,
    }
}

impl Table {
    fn new() -> Result<Shared<Table>> {
        let cells = [const { Guarded::new([0; 2]) }; CELLS];
        let (added, more, held) = (AtomicU64::new(0), EventCount::new(), Flag::new());
        Shared::new(Table { cells, added, more, held })
    }

    /// Counts a number; in the first cell that is its own or free, from its usual one on.
    fn add(&'static self, number: u64) -> Result<()> {
        for step in 0..CELLS {
            let cell = &self.cells[(number as usize * 7 + step) % CELLS];
            let mut entry = match cell.lock() {
                // Whoever died had counted or not: both are whole.
                Err(error) if error.is_owner_died() => cell.recover()?,
                outcome => outcome?,
            };
            if entry[0] == 0 || entry[0] == number {
                *entry = [number, entry[1] + 1];
                self.added.fetch_add(1, Relaxed);
                self.more.notify_all();
                return Ok(());
            }
        }
        Err(multiproc::Error::other("the table is full"))
    }
}

fn count(table: Shared<Table>) -> Result<()> {
    let table = table.leak();
    (0..TIMES).try_for_each(|_| (1..=NUMBERS).try_for_each(|number| table.add(number)))
}

fn hold(table: Shared<Table>) -> Result<()> {
    let table = table.leak();
    let _entry = table.cells[7].lock()?;
    table.held.set();
    loop {
        std::thread::park();
    }
}

fn main() -> Result<()> {
    let shared = Table::new()?;
    let victim = Process::spawn(hold, (&shared,))?;
    let table = shared.clone().leak();
    table.held.wait()?;
    let workers = [(); WORKERS as usize].map(|()| Process::spawn(count, (&shared,)));
    victim.handle().kill()?;
    drop(victim.join());
    let all = WORKERS * TIMES * NUMBERS;
    table.more.wait(|| (table.added.load(Relaxed) == all).then_some(()))?;
    for worker in workers {
        worker?.join()??;
    }
    let mut numbers = 0;
    for cell in &table.cells {
        let [number, count] = *cell.lock()?;
        assert!(number == 0 || count == WORKERS * TIMES);
        numbers += u64::from(number != 0);
    }
    println!("{numbers} numbers, each counted {} times", WORKERS * TIMES);
    Ok(())
}
