//! The blackboard over which the director of the harness and its actors talk: a memfd of the
//! harness's own, so that nothing under test is needed to command, to answer or to count.
//!
//! ```text
//! Board   settings         written by the director before the first actor starts
//!         seats[SEATS]     one actor each
//!           order          number of the last order          director   futex
//!           finished       number of the last order done     actor      futex
//!           told, marked     the order                       director, before `order`
//!           stage          how far a marked operation is     actor
//!           code, results, text                              actor, before `finished`
//! ```
//!
//! The memfd is opened by the actors through `/proc`, because they inherit no descriptor.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd};
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicI32, AtomicU8, AtomicU32, AtomicU64};
use std::time::{Duration, Instant};

use super::order::Order;

/// Actors at one time, victims included.
pub(crate) const SEATS: usize = 12;
/// What an order takes at most: four numbers of ten bytes.
const TOLD: usize = 40;
/// What one answer can hold.
pub(crate) const RESULTS: usize = 256;

/// Before the operation under test.
pub(crate) const BEFORE: u32 = 0;
/// In it.
pub(crate) const WITHIN: u32 = 1;
/// In it, and known to hold the lock.
pub(crate) const HOLDING: u32 = 2;
/// In it, and known to have let go of the lock again, or to be about to.
pub(crate) const LEAVING: u32 = 3;
/// After it.
pub(crate) const AFTER: u32 = 4;

/// One actor's place.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct Seat {
    pub(crate) order: AtomicU32,
    pub(crate) finished: AtomicU32,
    pub(crate) marked: AtomicU32,
    pub(crate) stage: AtomicU32,
    pub(crate) pid: AtomicI32,
    pub(crate) tid: AtomicI32,
    pub(crate) code: AtomicU32,
    pub(crate) count: AtomicU32,
    /// The order, as postcard writes it.
    told: [AtomicU8; TOLD],
    pub(crate) results: [AtomicU64; RESULTS],
    pub(crate) text: [AtomicU8; 240],
}

impl Seat {
    /// Notes the order that is given next.
    pub(crate) fn tell(&self, order: Order) {
        let mut bytes = [0; TOLD];
        postcard::to_slice(&order, &mut bytes).expect("an order has few and small fields");
        for (place, byte) in self.told.iter().zip(bytes) {
            place.store(byte, Relaxed);
        }
    }

    /// The order given last; that of a new board is to leave.
    pub(crate) fn told(&self) -> Order {
        let bytes: [u8; TOLD] = std::array::from_fn(|index| self.told[index].load(Relaxed));
        postcard::from_bytes(&bytes).unwrap_or(Order::Quit)
    }

    /// A seat in no board, for what is neither commanded nor marked.
    pub(crate) fn nowhere() -> Self {
        Self {
            order: AtomicU32::new(0),
            finished: AtomicU32::new(0),
            marked: AtomicU32::new(0),
            stage: AtomicU32::new(0),
            pid: AtomicI32::new(0),
            tid: AtomicI32::new(0),
            code: AtomicU32::new(0),
            count: AtomicU32::new(0),
            told: [const { AtomicU8::new(0) }; TOLD],
            results: [const { AtomicU64::new(0) }; RESULTS],
            text: [const { AtomicU8::new(0) }; 240],
        }
    }

    /// Notes the text of an unexpected error, cut to what there is room for.
    pub(crate) fn say(&self, text: &str) {
        for (place, byte) in self.text.iter().zip(text.bytes().chain(std::iter::repeat(0))) {
            place.store(byte, Relaxed);
        }
    }

    /// The text noted last.
    pub(crate) fn said(&self) -> String {
        let bytes = self.text.iter().map(|place| place.load(Relaxed));
        String::from_utf8_lossy(&bytes.take_while(|&byte| byte != 0).collect::<Vec<_>>()).into()
    }

    /// Gives an order.
    pub(crate) fn command(&self) -> u32 {
        let number = self.order.load(Relaxed).wrapping_add(1);
        // ORDERING(order): Release, pairs with the Acquire in `await_order`; what is told
        // before the number.
        self.order.store(number, Release);
        wake(&self.order);
        number
    }

    /// The actor's side: waits for the order after `last`.
    pub(crate) fn await_order(&self, last: u32) -> u32 {
        loop {
            // ORDERING(order): Acquire, pairs with the Release in `command`.
            let number = self.order.load(Acquire);
            if number != last {
                return number;
            }
            wait(&self.order, last, Duration::from_secs(1));
        }
    }

    /// The actor's side: the order numbered `number` is done.
    pub(crate) fn report(&self, number: u32) {
        // ORDERING(answer): Release, pairs with the Acquire in `is_finished`; code and results
        // before the number.
        self.finished.store(number, Release);
        wake(&self.finished);
    }

    /// Whether the last order is done.
    pub(crate) fn is_finished(&self) -> bool {
        // ORDERING(answer): Acquire, pairs with the Release in `report`. `order` is written by the
        // caller's own thread.
        self.finished.load(Acquire) == self.order.load(Relaxed)
    }

    /// Waits until the last order is done.
    pub(crate) fn await_finished(&self, deadline: Instant) -> bool {
        while !self.is_finished() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            let seen = self.finished.load(Relaxed);
            if seen != self.order.load(Relaxed) {
                wait(&self.finished, seen, left.min(Duration::from_millis(100)));
            }
        }
        true
    }
}

/// The whole board.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Board {
    pub(crate) slices: AtomicU32,
    pub(crate) spin: AtomicU32,
    /// Which deliberately broken variant the actors shall run.
    pub(crate) broken: AtomicU32,
    pub(crate) seats: [Seat; SEATS],
}

/// A mapped board; the mapping lives as long as the process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shared(&'static Board);

impl std::ops::Deref for Shared {
    type Target = Board;

    fn deref(&self) -> &Board {
        self.0
    }
}

impl Shared {
    /// Makes a board; also the file, which must live as long as actors shall open it.
    pub(crate) fn create() -> io::Result<(Self, File)> {
        // SAFETY: memfd_create(2)
        // - the name is a string that ends in a zero byte.
        let descriptor = unsafe { libc::memfd_create(c"kill-board".as_ptr(), libc::MFD_CLOEXEC) };
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a descriptor of our own
        // - just made, and owned by nobody else.
        let file = unsafe { File::from_raw_fd(descriptor) };
        file.set_len(size_of::<Board>() as u64)?;
        Ok((Self::map(&file)?, file))
    }

    /// One actor's place.
    pub(crate) fn seat(self, index: usize) -> &'static Seat {
        &self.0.seats[index]
    }

    /// What an actor opens it by.
    pub(crate) fn path(file: &File) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd())
    }

    /// The actor's side.
    pub(crate) fn open(path: &str) -> io::Result<Self> {
        Self::map(&File::options().read(true).write(true).open(path)?)
    }

    fn map(file: &File) -> io::Result<Self> {
        // SAFETY: mmap(2)
        // - a new mapping at an address of the kernel's choice touches no memory in use.
        let address = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                size_of::<Board>(),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                file.as_raw_fd(),
                0,
            )
        };
        if address == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a reference to the mapping
        // - page aligned, as long as a Board, never unmapped, never shortened;
        // - all of it atomics, for which every byte pattern is valid, so that others may write it.
        Ok(Self(unsafe { &*address.cast::<Board>() }))
    }
}

/// Sleeps while `word` is `seen`, at most `limit`.
pub(crate) fn wait(word: &AtomicU32, seen: u32, limit: Duration) {
    let limit = libc::timespec {
        tv_sec: limit.as_secs().cast_signed(),
        tv_nsec: i64::from(limit.subsec_nanos()),
    };
    // SAFETY: futex(2), FUTEX_WAIT, shared
    // - the word and the time limit are live references; the word is only read.
    unsafe {
        libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, seen, &raw const limit)
    };
}

/// Wakes all who sleep on `word`.
pub(crate) fn wake(word: &AtomicU32) {
    // SAFETY: futex(2), FUTEX_WAKE, shared
    // - the word's address is only a key.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, i32::MAX) };
}
