//! The building blocks in memory of one's own: cells of guarded data, and flags.

// A cell at an address cannot be had without.
#![allow(unsafe_code)]

use multiproc::raw::{Flag, Guarded};
use multiproc::{Event, Process, Result, SharedMemory};

use crate::common::{LONG, SHORT, killed, park, quiet};
use crate::watchdog::watch;

type Cell = Guarded<[u64; 4]>;
/// Where the flag is, in bytes.
const FLAG: usize = size_of::<Cell>();

fn memory() -> SharedMemory {
    SharedMemory::new(FLAG + size_of::<Flag>()).unwrap()
}

fn cell(memory: &SharedMemory) -> &'static Cell {
    // SAFETY: memory of this process tree, zero at first, used as a cell alone; each test keeps its handle until the end.
    unsafe { Cell::at(memory.as_ptr()) }.unwrap()
}

fn flag(memory: &SharedMemory) -> &'static Flag {
    // SAFETY: as above, behind the cell.
    unsafe { Flag::at(memory.as_ptr().wrapping_add(FLAG)) }.unwrap()
}

#[test]
fn cells_are_small_and_hold_plain_data_of_any_size() {
    assert_eq!((size_of::<Guarded<()>>(), size_of::<Guarded<u8>>()), (8, 16));
    assert_eq!((size_of::<Cell>(), size_of::<Flag>(), align_of::<Guarded<u8>>()), (40, 4, 8));
    let memory = SharedMemory::new(64).unwrap();
    // SAFETY: one after the other, in memory that is zero again in between.
    let odd = unsafe { Guarded::<[u8; 11]>::at(memory.as_ptr()) }.unwrap();
    odd.lock().unwrap()[10] = 7;
    assert_eq!(*odd.lock().unwrap(), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]);
    assert_eq!(format!("{odd:?}"), "Guarded { held: false, waiters: false, .. }");
    let guard = odd.lock().unwrap();
    assert_eq!(format!("{odd:?}"), "Guarded { held: true, waiters: false, .. }");
    assert_eq!(format!("{guard:?}"), "Guard([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7])");
}

#[test]
fn a_place_that_is_none_is_refused() {
    let memory = memory();
    // SAFETY: nothing is at these places, which is what is asked.
    let outcome = unsafe { Cell::at(memory.as_ptr().wrapping_add(4)) };
    let error = outcome.unwrap_err();
    assert!(error.is_invalid_input());
    assert!(error.to_string().ends_with("is no place for what is aligned to 8 bytes"), "{error}");
    // SAFETY: as above.
    let error = unsafe { Flag::at(std::ptr::null_mut()) }.unwrap_err();
    assert_eq!(error.to_string(), "0x0 is no place for what is aligned to 4 bytes");
}

#[test]
fn nobody_counts_at_the_same_time() {
    let _watch = watch();
    let count = |memory: SharedMemory| -> Result<()> {
        for _ in 0..5000 {
            cell(&memory).lock()?.iter_mut().for_each(|number| *number += 1);
        }
        Ok(())
    };
    let memory = memory();
    let children = [(); 3].map(|()| Process::spawn(count, (&memory,)).unwrap());
    for child in children {
        child.join().unwrap().unwrap();
    }
    assert_eq!(*cell(&memory).lock().unwrap(), [15_000; 4]);
}

#[test]
fn a_held_cell_is_busy_and_belongs_to_its_thread() {
    let _watch = watch();
    let memory = memory();
    let cell = cell(&memory);
    let guard = cell.lock().unwrap();
    assert!(cell.lock().unwrap_err().is_deadlock());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            assert!(cell.try_lock().unwrap_err().is_busy());
            assert!(cell.lock_timeout(SHORT).unwrap_err().is_timeout());
            assert!(cell.try_recover().unwrap_err().is_busy());
        });
    });
    drop(guard);
    drop(cell.lock_timeout(LONG).unwrap());
}

#[test]
#[cfg_attr(feature = "raw-sync", ignore = "it kills: raw_sync is not robust")]
fn the_death_of_a_holder_is_told_until_it_is_recovered() {
    let _watch = watch();
    let hold = |memory: SharedMemory, held: Event| -> Result<()> {
        let mut guard = cell(&memory).lock()?;
        guard[0] = 99;
        held.set();
        park();
        Ok(())
    };
    let (memory, held) = (memory(), Event::new().unwrap());
    cell(&memory).lock().unwrap()[0] = 1;
    let holder = Process::spawn(hold, (&memory, &held)).unwrap();
    held.wait().unwrap();
    assert!(cell(&memory).try_lock().unwrap_err().is_busy());
    killed(holder);
    assert!(cell(&memory).lock().unwrap_err().is_owner_died());
    let guard = cell(&memory).recover().unwrap();
    assert_eq!(guard[0], 1, "what the dead one had not given back");
    assert!(std::thread::scope(|scope| {
        scope.spawn(|| cell(&memory).lock().unwrap_err().is_owner_died()).join().unwrap()
    }));
    drop(guard);
    assert_eq!(cell(&memory).lock().unwrap()[0], 1);
}

#[test]
fn a_flag_is_waited_for() {
    let _watch = watch();
    let pass = |memory: SharedMemory, back: Event| -> Result<()> {
        flag(&memory).wait()?;
        back.set();
        Ok(())
    };
    let (memory, back) = (memory(), Event::new().unwrap());
    let flag = flag(&memory);
    assert!(!flag.is_set() && !flag.wait_timeout(SHORT).unwrap());
    let child = quiet().spawn(pass, (&memory, &back)).unwrap();
    flag.set();
    back.wait().unwrap();
    child.join().unwrap().unwrap();
    assert!(flag.wait_deadline(std::time::Instant::now()).unwrap());
    flag.clear();
    assert_eq!(format!("{flag:?}"), "Flag { set: false, waiters: false }");
}
