//! The payloads of records: a number each, in a cell that loom looks after.

use crate::sim;
use loom::cell::UnsafeCell;
use std::cell::RefCell;
use std::collections::HashMap;

type Number = UnsafeCell<[u8; 8]>;

thread_local! {
    static NUMBERS: RefCell<HashMap<usize, &'static Number>> = RefCell::default();
}

pub(crate) fn begin() {
    NUMBERS.with_borrow_mut(HashMap::clear);
}

fn number(place: *const u8) -> &'static Number {
    let known = NUMBERS.with_borrow(|numbers| numbers.get(&(place as usize)).copied());
    known.unwrap_or_else(|| {
        let number = sim::keep(UnsafeCell::new([0; 8]));
        NUMBERS.with_borrow_mut(|numbers| numbers.insert(place as usize, number));
        number
    })
}

/// Stands for a copy to shared memory.
///
/// # Safety
///
/// None is needed; it is called where the package copies.
pub(crate) unsafe fn write(bytes: &[u8], to: *mut u8) {
    if bytes.is_empty() {
        return;
    }
    let bytes = bytes.try_into().expect("numbers only");
    // The writer can die before, which is as good as in the middle: nobody reads it then.
    sim::step(|| ());
    // SAFETY: loom finds out whether anybody else is at it.
    number(to).with_mut(|number| unsafe { *number = bytes });
}

/// Stands for a copy from shared memory.
///
/// # Safety
///
/// There is room for `len` bytes at `to`.
pub(crate) unsafe fn read(from: *const u8, to: *mut u8, len: usize) {
    if len == 0 {
        return;
    }
    assert_eq!(len, 8, "numbers only");
    // SAFETY: loom finds out whether anybody writes meanwhile.
    let bytes = number(from).with(|number| unsafe { *number });
    // SAFETY: as the caller promises.
    unsafe { to.cast::<[u8; 8]>().write_unaligned(bytes) };
}

/// Somebody whose memory this is writes there.
pub(crate) fn scribble(place: *mut u8) {
    sim::step(|| ());
    // SAFETY: loom finds out whether anybody else is at it.
    number(place).with_mut(|number| unsafe { *number = [99; 8] });
}
