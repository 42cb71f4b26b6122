//! A list that processes share: nested lists, the wrong way to change one, the right ways, and a batch. Expect that only the copy
//! is changed by the wrong way.

use multiproc::{List, Manager, Process, Result};

fn append(rows: List<Vec<u32>>, n: u32) -> Result<()> {
    rows.update(0, |row: &mut Vec<u32>, n: u32| row.push(n), (n,))
}

fn main() -> Result<()> {
    let manager = Manager::new()?;
    let rows = manager.list::<Vec<u32>>()?;
    rows.push(&[1, 2])?;

    // The wrong way: what `get` brings is a copy.
    let mut copy = rows.get(0)?.unwrap();
    copy.push(99);
    println!("the copy: {copy:?}, the list: {:?}", rows.to_vec()?);

    // The right way: the change goes to the row.
    for n in 3..6 {
        Process::spawn(append, (&rows, n))?.join()??;
    }
    println!("three processes later: {:?}", rows.to_vec()?);

    // Or each row is an object of its own, and the outer list holds handles.
    let outer = manager.list::<List<u32>>()?;
    outer.extend([manager.list()?, manager.list()?])?;
    let first = outer.get(0)?.unwrap();
    first.push(7)?;
    println!("through a handle: {:?}", outer.get(0)?.unwrap().to_vec()?);

    // A hundred calls in one round trip.
    let last = manager.batch(|batch| {
        for n in 0..100 {
            drop(batch.list(&first).push(n));
        }
        batch.list(&first).last()
    })?;
    println!("{} items, the last is {:?}", first.len()?, last.get()?);
    Ok(())
}
