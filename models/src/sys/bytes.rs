//! The bytes of payloads, each copy in a cell of its own that loom looks after, by the place where it starts. A copy is one step.

use crate::sim;
use loom::cell::UnsafeCell;
use std::cell::RefCell;
use std::collections::HashMap;

type Copied = UnsafeCell<Vec<u8>>;

std::thread_local! {
    static PLACES: RefCell<HashMap<usize, &'static Copied>> = RefCell::default();
    /// The same during the preparation.
    static PLAIN: RefCell<HashMap<usize, Vec<u8>>> = RefCell::default();
}

pub(crate) fn begin() {
    PLACES.with_borrow_mut(HashMap::clear);
    PLAIN.with_borrow_mut(HashMap::clear);
}

/// What the preparation has copied is there for all threads: made before they are.
pub(crate) fn start() {
    for (place, bytes) in PLAIN.take() {
        let copied: &'static Copied = sim::keep(UnsafeCell::new(bytes));
        PLACES.with_borrow_mut(|places| places.insert(place, copied));
    }
}

fn at(place: *const u8) -> &'static Copied {
    let known = PLACES.with_borrow(|places| places.get(&(place as usize)).copied());
    known.unwrap_or_else(|| {
        let copied = sim::keep(UnsafeCell::new(Vec::new()));
        PLACES.with_borrow_mut(|places| places.insert(place as usize, copied));
        copied
    })
}

/// Stands for a copy into shared memory.
///
/// # Safety
///
/// None is needed; it is called where the package copies.
pub(crate) unsafe fn copy_in(bytes: &[u8], to: *mut u8) {
    if bytes.is_empty() {
        return;
    }
    if !sim::is_started() {
        PLAIN.with_borrow_mut(|plain| plain.insert(to as usize, bytes.to_vec()));
        return;
    }
    // The writer can die before, which is as good as in the middle: nobody reads it then.
    sim::step(|| ());
    // SAFETY: loom finds out whether anybody else is at it.
    at(to).with_mut(|copied| unsafe { *copied = bytes.to_vec() });
}

/// Stands for private memory to which bytes are copied.
pub(crate) trait Buffer {
    /// Stands for a copy out of shared memory.
    ///
    /// # Safety
    ///
    /// None is needed; it is called where the package copies.
    unsafe fn append_from(&mut self, from: *const u8, len: usize);
}

impl Buffer for Vec<u8> {
    unsafe fn append_from(&mut self, from: *const u8, len: usize) {
        if len == 0 {
            return;
        }
        let end = self.len();
        if sim::is_started() {
            // SAFETY: loom finds out whether anybody writes meanwhile.
            at(from).with(|copied| self.extend(unsafe { &*copied }.iter().take(len)));
        } else {
            PLAIN.with_borrow(|plain| {
                self.extend(plain.get(&(from as usize)).into_iter().flatten().take(len));
            });
        }
        self.resize(end + len, 0);
    }
}

/// Stands for bytes on the stack.
pub(crate) struct Local<const MOST: usize>(Vec<u8>);

impl<const MOST: usize> Local<MOST> {
    pub(crate) fn new() -> Local<MOST> {
        Local(Vec::new())
    }

    pub(crate) fn zeroed(len: usize) -> Local<MOST> {
        Local(vec![0; len])
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

impl<const MOST: usize> Buffer for Local<MOST> {
    unsafe fn append_from(&mut self, from: *const u8, len: usize) {
        // SAFETY: as of the vector.
        unsafe { self.0.append_from(from, len) };
        assert!(self.0.len() <= MOST, "no room");
    }
}

/// Somebody whose memory this is writes there.
pub(crate) fn scribble(place: *mut u8) {
    sim::step(|| ());
    // SAFETY: loom finds out whether anybody else is at it.
    at(place).with_mut(|copied| unsafe { *copied = vec![99; 8] });
}
