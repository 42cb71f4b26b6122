//! What a model needs beside loom: which thread runs, who dies when, which weakened variant is on, and memory that is zero at
//! first.
//!
//! A model begins with a *preparation*: up to [`start`] (or the first [`spawn`]) its memory holds plain numbers. What is prepared
//! runs the package's code at full speed, is no step at which anyone dies, and is seen by every thread. Then those words become
//! loom's that the model has named by [`exist`]; whoever uses another one from then on fails the model.
//!
//! Loom runs all threads of a model one at a time on the thread of the test, and switches only in its own calls. So this state
//! needs no lock, and code between two such calls is one step.

use crate::weakened::WEAKENED;
use loom::sync::atomic::AtomicU64 as Word;
use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::mem::ManuallyDrop;

/// Slots for threads in a model.
pub(crate) const THREADS: usize = 5;

/// What ends a thread that dies.
struct Killed;

#[derive(Default)]
struct Sim {
    /// Steps that each thread has left before it dies.
    left: [Option<u32>; THREADS],
    dead: [bool; THREADS],
    unwinding: [bool; THREADS],
    /// Who stops when it falls asleep.
    sleepy: [bool; THREADS],
    over: bool,
    slices: bool,
    long_waits: bool,
    processors: bool,
    /// How many threads the process has that joins next.
    room: usize,
    /// Memory, and whether this execution uses it.
    regions: Vec<(Box<[u64]>, bool)>,
    /// Words made in this execution.
    words: Vec<*mut Word>,
    /// Words of the memory that the model has named: where their addresses stand, after the preparation.
    existing: Vec<*mut u64>,
    /// Words of the memory that the preparation has written.
    written: Vec<*mut u64>,
    /// Dropped when the next execution begins, and not with the thread of the test.
    kept: Vec<ManuallyDrop<Box<dyn Any>>>,
    locals: HashMap<(usize, usize), Box<dyn Any>>,
}

std::thread_local! {
    static SIM: RefCell<Sim> = RefCell::default();
    static CURRENT: Cell<usize> = const { Cell::new(0) };
    static PHASE: Cell<Phase> = const { Cell::new(Phase::Over) };
    static WEAK: Cell<Option<&'static str>> = const { Cell::new(None) };
    static CLOCK: Cell<u64> = const { Cell::new(0) };
    static TICK: Cell<u64> = const { Cell::new(0) };
    static TURNS: Cell<u64> = const { Cell::new(0) };
}

/// How far an execution is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// It has come to its end: whatever is still dropped does nothing.
    Over,
    Preparation,
    Threads,
}

/// Begins an execution: nothing is left of the last one.
pub(crate) fn begin() {
    PHASE.set(Phase::Over);
    CURRENT.set(0);
    CLOCK.set(0);
    TICK.set(0);
    TURNS.set(TURNS.get() + 1);
    let (locals, mut kept) = SIM
        .with_borrow_mut(|sim| (core::mem::take(&mut sim.locals), core::mem::take(&mut sim.kept)));
    drop(locals);
    // The last first: handles before their world.
    while let Some(value) = kept.pop() {
        drop(ManuallyDrop::into_inner(value));
    }
    SIM.with_borrow_mut(|sim| {
        sim.left = Default::default();
        sim.dead = Default::default();
        sim.unwinding = Default::default();
        sim.sleepy = Default::default();
        sim.over = false;
        sim.slices = false;
        sim.long_waits = false;
        sim.processors = false;
        for word in sim.words.drain(..) {
            // SAFETY: made by `Box::into_raw` in `word`, once; the execution that used it is over.
            drop(unsafe { Box::from_raw(word) });
        }
        for place in sim.existing.drain(..).chain(sim.written.drain(..)) {
            // SAFETY: a word of one of `regions`, which are never freed.
            unsafe { *place = 0 };
        }
        for region in &mut sim.regions {
            region.1 = false;
        }
    });
    crate::sys::futex::begin();
    crate::sys::bytes::begin();
    crate::memory::segments::begin();
    PHASE.set(Phase::Preparation);
}

/// Ends the preparation, if that was not done yet.
pub(crate) fn start() {
    if PHASE.get() != Phase::Preparation {
        return;
    }
    PHASE.set(Phase::Threads);
    let (mut existing, written) = SIM.with_borrow_mut(|sim| {
        (core::mem::take(&mut sim.existing), core::mem::take(&mut sim.written))
    });
    existing.sort_unstable();
    existing.dedup();
    for place in written {
        if existing.binary_search(&place).is_err() {
            // SAFETY: a word of one of the regions, which are never freed; nobody else uses it.
            unsafe { *place = 0 };
        }
    }
    for &place in &existing {
        // SAFETY: as above.
        let value = unsafe { *place };
        // SAFETY: as above.
        unsafe { *place = word(value) as u64 };
    }
    SIM.with_borrow_mut(|sim| sim.existing = existing);
    crate::sys::bytes::start();
}

/// A new atomic that lives as long as this execution.
pub(crate) fn word(value: u64) -> *mut Word {
    let word = Box::into_raw(Box::new(Word::new(value)));
    SIM.with_borrow_mut(|sim| sim.words.push(word));
    word
}

/// Zeroed memory of `words` words, on a line.
pub(crate) fn memory(words: usize) -> *mut u64 {
    SIM.with_borrow_mut(|sim| {
        // One line more, to start on a line.
        let len = words + 16;
        let free = sim.regions.iter().position(|(region, used)| !used && region.len() == len);
        let at = free.unwrap_or_else(|| {
            sim.regions.push((vec![0; len].into_boxed_slice(), false));
            sim.regions.len() - 1
        });
        let (region, used) = &mut sim.regions[at];
        *used = true;
        let start = region.as_mut_ptr();
        start.wrapping_add(start.align_offset(128))
    })
}

/// The word that is, or begins, at this place of [`memory`] is used after the preparation, with so many behind it.
pub(crate) fn exist<T>(place: *const T, words: usize) {
    assert!(PHASE.get() == Phase::Preparation, "words are named in the preparation");
    let place = place.cast_mut().cast::<u64>();
    SIM.with_borrow_mut(|sim| {
        sim.existing.extend((0..words).map(|word| place.wrapping_add(word)));
    });
}

/// Whether the preparation is over.
pub(crate) fn is_started() -> bool {
    PHASE.get() == Phase::Threads
}

/// The plain number that stands for an atomic at this place during the preparation, unless it is a word by itself.
pub(crate) fn plain(place: *mut u64, write: bool) -> Option<*mut u64> {
    if PHASE.get() != Phase::Preparation {
        return None;
    }
    SIM.with_borrow_mut(|sim| {
        let is_in = |(region, used): &(Box<[u64]>, bool)| {
            *used && region.as_ptr_range().contains(&place.cast_const())
        };
        if !sim.regions.iter().any(is_in) {
            return None;
        }
        if write {
            sim.written.push(place);
        }
        Some(place)
    })
}

/// A value that lives as long as this execution.
pub(crate) fn keep<T: 'static>(value: T) -> &'static T {
    let value = Box::new(value);
    let address = core::ptr::from_ref(&*value);
    SIM.with_borrow_mut(|sim| sim.kept.push(ManuallyDrop::new(value)));
    // SAFETY: in a box that lives until the next execution begins; nothing of this one is used after that.
    unsafe { &*address }
}

/// One step of the running thread: `f` unless it is dead, and its death if that is now.
pub(crate) fn step<R: Default>(f: impl FnOnce() -> R) -> R {
    let me = CURRENT.get();
    if std::thread::panicking() || PHASE.get() == Phase::Over {
        return R::default();
    }
    let dies = SIM.with_borrow_mut(|sim| {
        if sim.dead[me] {
            return None;
        }
        let dies = sim.left[me] == Some(0);
        sim.dead[me] = dies;
        sim.left[me] = sim.left[me].map(|left| left.saturating_sub(1));
        Some(dies)
    });
    match dies {
        None => return R::default(),
        Some(true) => std::panic::resume_unwind(Box::new(Killed)),
        Some(false) => {}
    }
    let result = f();
    CURRENT.set(me);
    result
}

/// Runs `f` in a new thread of the model with this number.
pub(crate) fn spawn(number: usize, f: impl FnOnce() + 'static) -> loom::thread::JoinHandle<()> {
    start();
    let me = CURRENT.get();
    let handle = loom::thread::spawn(move || {
        CURRENT.set(number);
        f();
    });
    CURRENT.set(me);
    handle
}

/// Waits for the end of a thread.
pub(crate) fn join(handle: loom::thread::JoinHandle<()>) {
    let me = CURRENT.get();
    handle.join().expect("threads of a model return");
    CURRENT.set(me);
}

/// Runs `f`, which dies before its step number `steps`; whether it did. Counts from 0.
pub(crate) fn dying_at(steps: u32, f: impl FnOnce()) -> bool {
    let died = stopping_at(steps, f);
    crate::sys::futex::forget(CURRENT.get());
    died
}

/// Runs `f`, which stops for ever before its step number `steps`; whether it did. Nobody marks its words, and if it is
/// asleep it goes on taking wakes.
pub(crate) fn stopping_at(steps: u32, f: impl FnOnce()) -> bool {
    let me = CURRENT.get();
    SIM.with_borrow_mut(|sim| sim.left[me] = Some(steps));
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(f));
    SIM.with_borrow_mut(|sim| {
        sim.left[me] = None;
        sim.sleepy[me] = false;
        // What comes now is done by the kernel and by other processes.
        sim.dead[me] = false;
    });
    match result {
        Ok(()) => false,
        Err(payload) if payload.is::<Killed>() => true,
        Err(payload) => std::panic::resume_unwind(payload),
    }
}

/// Runs `f`, which stops for ever when it falls asleep; whether it did.
pub(crate) fn stopping_asleep(f: impl FnOnce()) -> bool {
    SIM.with_borrow_mut(|sim| sim.sleepy[CURRENT.get()] = true);
    stopping_at(u32::MAX, f)
}

/// The running thread is asleep from now on.
pub(crate) fn asleep() {
    let me = CURRENT.get();
    SIM.with_borrow_mut(|sim| {
        if sim.sleepy[me] {
            sim.left[me] = Some(0);
        }
    });
}

/// Prepares something on behalf of another thread.
pub(crate) fn as_thread<R>(number: usize, f: impl FnOnce() -> R) -> R {
    let me = CURRENT.replace(number);
    let result = f();
    CURRENT.set(me);
    result
}

/// Whether what the running thread does still happens.
pub(crate) fn is_alive() -> bool {
    !std::thread::panicking()
        && PHASE.get() != Phase::Over
        && !SIM.with_borrow(|sim| sim.dead[CURRENT.get()])
}

/// Runs `f` as a destructor that a panic of the running thread calls.
pub(crate) fn unwinding(f: impl FnOnce()) {
    let me = CURRENT.get();
    SIM.with_borrow_mut(|sim| sim.unwinding[me] = true);
    f();
    SIM.with_borrow_mut(|sim| sim.unwinding[me] = false);
}

/// Stands for `std::thread::panicking`.
pub(crate) fn is_unwinding() -> bool {
    SIM.with_borrow(|sim| sim.unwinding[CURRENT.get()])
}

pub(crate) fn current() -> usize {
    CURRENT.get()
}

/// The model needs its keepers no more.
pub(crate) fn set_over() {
    SIM.with_borrow_mut(|sim| sim.over = true);
}

pub(crate) fn is_over() -> bool {
    SIM.with_borrow(|sim| sim.over)
}

/// Sleeps for what is passed from one to the next end by time.
pub(crate) fn set_slices() {
    SIM.with_borrow_mut(|sim| sim.slices = true);
}

pub(crate) fn has_slices() -> bool {
    SIM.with_borrow(|sim| sim.slices)
}

/// The process that joins next has so many threads.
pub(crate) fn set_room(threads: usize) {
    SIM.with_borrow_mut(|sim| sim.room = threads);
}

pub(crate) fn room() -> usize {
    SIM.with_borrow(|sim| sim.room)
}

/// Sleeps of a second and more end by time too.
pub(crate) fn set_long_waits() {
    SIM.with_borrow_mut(|sim| sim.long_waits = true);
}

pub(crate) fn has_long_waits() -> bool {
    SIM.with_borrow(|sim| sim.long_waits)
}

/// Each thread runs on a processor of its own, and may ask for it.
pub(crate) fn set_processors() {
    SIM.with_borrow_mut(|sim| sim.processors = true);
}

pub(crate) fn has_processors() -> bool {
    SIM.with_borrow(|sim| sim.processors)
}

/// How many executions there were on this thread.
pub(crate) fn executions() -> u64 {
    TURNS.get()
}

pub(crate) fn clock() -> u64 {
    CLOCK.replace(CLOCK.get() + TICK.get())
}

/// The clock moves to `at`.
pub(crate) fn wait_until(at: u64) {
    CLOCK.set(CLOCK.get().max(at));
}

/// From now on each look at the clock moves it.
pub(crate) fn set_tick(nanoseconds: u64) {
    TICK.set(nanoseconds);
}

/// Whether this weakened variant is on.
pub(crate) fn is_weakened(name: &str) -> bool {
    WEAK.get() == Some(name)
}

/// Runs `f` with a weakened variant.
pub(crate) fn weakened<R>(name: &'static str, f: impl FnOnce() -> R) -> R {
    assert!(WEAKENED.iter().any(|it| it.name == name), "no variant {name} in weakened.rs");
    WEAK.set(Some(name));
    let result = f();
    WEAK.set(None);
    result
}

/// A thread-local variable of a model's threads.
pub(crate) struct Local<T> {
    new: fn() -> T,
}

impl<T: 'static> Local<T> {
    pub(crate) const fn new(new: fn() -> T) -> Local<T> {
        Local { new }
    }

    /// Nothing ends here before its threads do: always there.
    pub(crate) fn try_with<R>(
        &'static self,
        f: impl FnOnce(&T) -> R,
    ) -> Result<R, std::thread::AccessError> {
        Ok(self.with(f))
    }

    pub(crate) fn with<R>(&'static self, f: impl FnOnce(&T) -> R) -> R {
        let key = (core::ptr::from_ref(self) as usize, CURRENT.get());
        let value = SIM.with_borrow_mut(|sim| {
            let value = sim.locals.entry(key).or_insert_with(|| Box::new((self.new)()));
            core::ptr::from_ref(value.downcast_ref::<T>().expect("one type for one variable"))
        });
        // SAFETY: in a box of its own that lives until the next execution begins, on this same thread.
        f(unsafe { &*value })
    }
}

impl<T: 'static> Local<Cell<T>> {
    pub(crate) fn get(&'static self) -> T
    where
        T: Copy,
    {
        self.with(Cell::get)
    }

    pub(crate) fn set(&'static self, value: T) {
        self.with(|cell| cell.set(value));
    }

    pub(crate) fn replace(&'static self, value: T) -> T {
        self.with(|cell| cell.replace(value))
    }
}
