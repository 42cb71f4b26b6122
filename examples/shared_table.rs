//! A small hash table in shared memory, made of `raw::Guarded` cells: how a library builds its own structure for many processes.
//! Three workers count numbers in it; another one is killed while it holds a cell, and the next one that needs the cell
//! recovers it.
//!
//! Expect every number to have been counted as often as it was added.

// Cells at addresses of one's own cannot be had without.
#![allow(unsafe_code)]

use multiproc::raw::Guarded;
use multiproc::{Event, Process, Result, SharedMemory};
use serde::{Deserialize, Serialize};

/// A number and how often it was added; 0: nothing yet.
type Cell = Guarded<[u64; 2]>;

const CELLS: usize = 64;
const NUMBERS: u64 = 40;
const TIMES: u64 = 200;

#[derive(Clone, Serialize, Deserialize)]
struct Table(SharedMemory);

impl Table {
    fn new() -> Result<Table> {
        Ok(Table(SharedMemory::new(CELLS * size_of::<Cell>())?))
    }

    fn cell(&self, at: usize) -> Result<&'static Cell> {
        let place = self.0.as_ptr().wrapping_add(at % CELLS * size_of::<Cell>());
        // SAFETY: in memory that all processes of this program share, zero at first; `self` keeps it, and in this program
        // nobody keeps a cell for longer; it is used as cells alone.
        unsafe { Cell::at(place) }
    }

    /// Counts a number; in the first cell that is its own or free, from its usual one on.
    fn add(&self, number: u64) -> Result<()> {
        for step in 0..CELLS {
            let cell = self.cell(number as usize * 7 + step)?;
            let mut entry = match cell.lock() {
                // Whoever died had counted or not: both are whole.
                Err(error) if error.is_owner_died() => cell.recover()?,
                outcome => outcome?,
            };
            if entry[0] == 0 || entry[0] == number {
                *entry = [number, entry[1] + 1];
                return Ok(());
            }
        }
        Err(multiproc::Error::other("the table is full"))
    }

    fn counts(&self) -> Result<Vec<[u64; 2]>> {
        let mut counts = Vec::new();
        for at in 0..CELLS {
            let entry = *self.cell(at)?.lock()?;
            counts.extend((entry[0] != 0).then_some(entry));
        }
        Ok(counts)
    }
}

fn count(table: Table) -> Result<()> {
    (0..TIMES).try_for_each(|_| (1..=NUMBERS).try_for_each(|number| table.add(number)))
}

fn hold(table: Table, held: Event) -> Result<()> {
    let _entry = table.cell(7)?.lock()?;
    held.set();
    loop {
        std::thread::park();
    }
}

fn main() -> Result<()> {
    let (table, held) = (Table::new()?, Event::new()?);
    let victim = Process::spawn(hold, (&table, &held))?;
    held.wait()?;
    let workers = [(); 3].map(|()| Process::spawn(count, (&table,)));
    victim.handle().kill()?;
    drop(victim.join());
    for worker in workers {
        worker?.join()??;
    }
    let counts = table.counts()?;
    assert!(counts.iter().all(|&[_, count]| count == 3 * TIMES));
    println!("{} numbers, each counted {} times", counts.len(), 3 * TIMES);
    Ok(())
}
