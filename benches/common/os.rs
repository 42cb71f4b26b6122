//! What the benchmarks need of the system and neither std nor this crate's surface gives: a clock that all processes share,
//! processors to stay on, and plain shared words with a bare futex, as a yardstick.

#![allow(unsafe_code, reason = "system calls, and atomics in a shared mapping")]

use std::fs::File;
use std::io;
use std::mem;
use std::os::fd::AsFd;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use memmap2::{MmapOptions, MmapRaw};
use nix::sys::memfd::{MFdFlags, memfd_create};

/// Nanoseconds on `CLOCK_MONOTONIC`, the same clock in every process.
pub(crate) fn now() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid timespec to write; the clock exists on every Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Keeps this processor busy for so many nanoseconds.
pub(crate) fn pause(nanoseconds: u64) {
    let until = now() + nanoseconds;
    while now() < until {
        std::hint::spin_loop();
    }
}

/// The processors that this process may use, as they were at the first call.
pub(crate) fn processors() -> &'static [usize] {
    static PROCESSORS: OnceLock<Vec<usize>> = OnceLock::new();
    PROCESSORS.get_or_init(|| {
        // SAFETY: a cpu_set_t is a plain bit mask, for which all zeros is the empty set.
        let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
        // SAFETY: the size is that of the set, which is valid to write; 0 is the calling thread.
        let result = unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set) };
        if result != 0 {
            return Vec::new();
        }
        // SAFETY: every number is below CPU_SETSIZE, the length of the set.
        let is_in = |&cpu: &usize| unsafe { libc::CPU_ISSET(cpu, &set) };
        (0..libc::CPU_SETSIZE as usize).filter(is_in).collect()
    })
}

/// Where the two sides of a pinned cell run; `None`, not pinned, where there are no two processors.
pub(crate) fn two_processors() -> [Option<usize>; 2] {
    match *processors() {
        [first, second, ..] => [Some(first), Some(second)],
        _ => [None, None],
    }
}

/// Keeps the calling thread on one processor, and whatever it starts from then on.
pub(crate) fn stay_on(processor: Option<usize>) {
    let Some(cpu) = processor else { return };
    // SAFETY: a cpu_set_t is a plain bit mask, for which all zeros is the empty set.
    let mut set: libc::cpu_set_t = unsafe { mem::zeroed() };
    // SAFETY: the number came out of a set of the same length.
    unsafe { libc::CPU_SET(cpu, &mut set) };
    // SAFETY: the size is that of the set, which is valid to read; 0 is the calling thread.
    let result = unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set) };
    assert_eq!(result, 0, "cannot stay on processor {cpu}: {}", io::Error::last_os_error());
}

/// Forks this process, and waits for the new one, which does nothing: what the system takes for that.
pub(crate) fn fork_and_wait() {
    // SAFETY: the new process makes no call but the one that ends it.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "cannot fork: {}", io::Error::last_os_error());
    if pid == 0 {
        // SAFETY: ends the process; nothing follows.
        unsafe { libc::_exit(0) };
    }
    let mut status = -1;
    // SAFETY: `status` is valid to write.
    let waited = unsafe { libc::waitpid(pid, &mut status, 0) };
    assert_eq!((waited, status), (pid, 0));
}

/// Two cache lines, as processors fetch them, with the word of a bell for one waiter, and a number.
#[derive(Default)]
#[repr(C, align(128))]
pub(crate) struct Line {
    word: AtomicU32,
    number: AtomicU64,
}

/// The values of a line's word: nothing; someone sleeps, or is about to; rung, and not yet heard.
const QUIET: u32 = 0;
const ASLEEP: u32 = 1;
const RUNG: u32 = 2;

/// Looks at a word before sleeping, about 5 us.
const SPINS: u32 = 200;

impl Line {
    /// Adds one in two steps, as a lock's holder may.
    pub(crate) fn count(&self) {
        // Relaxed: the lock that is measured orders the two.
        self.number.store(self.number.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// How far it was counted, once nobody counts any more.
    pub(crate) fn read(&self) -> u64 {
        self.number.load(Ordering::Relaxed)
    }

    /// Sleeps until it is rung for, and takes the ring away. May spin first.
    pub(crate) fn wait(&self, spins: bool) {
        for _ in 0..if spins { SPINS } else { 0 } {
            if self.word.load(Ordering::Relaxed) == RUNG {
                break;
            }
            std::hint::spin_loop();
        }
        // Acquire, pairs with the Release in `ring`.
        while self.word.swap(QUIET, Ordering::Acquire) != RUNG {
            let asleep =
                self.word.compare_exchange(QUIET, ASLEEP, Ordering::Relaxed, Ordering::Relaxed);
            if asleep.is_ok() {
                futex(&self.word, libc::FUTEX_WAIT, ASLEEP);
            }
        }
    }

    /// Rings, and wakes who sleeps.
    pub(crate) fn ring(&self) {
        // Release, pairs with the Acquire in `wait`.
        if self.word.swap(RUNG, Ordering::Release) == ASLEEP {
            futex(&self.word, libc::FUTEX_WAKE, 1);
        }
    }
}

/// The same line as a ball that two throw to each other.
impl Line {
    /// Throws it for the so manyth time.
    pub(crate) fn throw(&self, count: u64) {
        // Release, pairs with `catch`.
        self.number.store(count, Ordering::Release);
    }

    /// Waits until it was thrown that often, looking all the time.
    pub(crate) fn catch(&self, count: u64) {
        // Acquire, pairs with `throw`.
        while self.number.load(Ordering::Acquire) != count {
            std::hint::spin_loop();
        }
    }
}

/// The same line as a bare semaphore: the word counts permits, the number those who sleep or are about to.
impl Line {
    /// Adds a permit, and wakes one who sleeps.
    pub(crate) fn post(&self) {
        // SeqCst, as in `take`: either the sleeper sees the permit, or this sees the sleeper.
        self.word.fetch_add(1, Ordering::SeqCst);
        if self.number.load(Ordering::SeqCst) > 0 {
            futex(&self.word, libc::FUTEX_WAKE, 1);
        }
    }

    /// Takes a permit, sleeping until there is one. May spin first.
    pub(crate) fn take(&self, spins: bool) {
        let mut spins_left = if spins { SPINS } else { 0 };
        loop {
            let permits = self.word.load(Ordering::Relaxed);
            if permits > 0 {
                // Acquire, pairs with `post`.
                let taken = self.word.compare_exchange(
                    permits,
                    permits - 1,
                    Ordering::Acquire,
                    Ordering::Relaxed,
                );
                if taken.is_ok() {
                    return;
                }
            } else if spins_left > 0 {
                spins_left -= 1;
                std::hint::spin_loop();
            } else {
                self.number.fetch_add(1, Ordering::SeqCst);
                futex(&self.word, libc::FUTEX_WAIT, 0);
                self.number.fetch_sub(1, Ordering::SeqCst);
            }
        }
    }
}

/// Not private: the word is seen through other mappings.
fn futex(word: &AtomicU32, operation: libc::c_int, value: u32) {
    let forever = ptr::null::<libc::timespec>();
    // SAFETY:
    // - the word is valid for the whole call, and the kernel only reads it;
    // - no timeout; the other arguments are ignored by both operations.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), operation, value, forever) };
}

const LINES: usize = 4;

/// Four lines in memory of their own that processes share, for yardsticks and for checks on the subject.
pub(crate) struct Board {
    file: File,
    map: MmapRaw,
}

impl Board {
    pub(crate) fn new() -> Board {
        let file = memfd_create("bench", MFdFlags::MFD_CLOEXEC).expect("a memory file");
        let file = File::from(file);
        file.set_len((LINES * size_of::<Line>()) as u64).expect("room in the memory file");
        Board::map(file)
    }

    /// The board that a child was given as its standard input.
    pub(crate) fn from_stdin() -> Board {
        let descriptor = io::stdin().as_fd().try_clone_to_owned().expect("a descriptor");
        Board::map(File::from(descriptor))
    }

    /// For a child's standard input.
    pub(crate) fn file(&self) -> File {
        self.file.try_clone().expect("a descriptor")
    }

    fn map(file: File) -> Board {
        let map = MmapOptions::new()
            .len(LINES * size_of::<Line>())
            .map_raw(&file)
            .expect("the memory file can be mapped");
        Board { file, map }
    }

    pub(crate) fn line(&self, index: usize) -> &Line {
        assert!(index < LINES);
        // SAFETY: the sum is within the mapping, see the assertion.
        let line = unsafe { self.map.as_mut_ptr().cast::<Line>().add(index) };
        // SAFETY:
        // - the mapping is page aligned and lives as long as `self`; the file is never cut;
        // - a line is atomics only, for which all bytes are values; other processes write them atomically, too.
        unsafe { &*line }
    }
}

/// The same line as a bare lock: free, taken, or taken while others sleep.
impl Line {
    /// Takes it, sleeping until it is free.
    pub(crate) fn lock(&self) {
        let (free, taken, contended) = (0, 1, 2);
        // Acquire, pairs with the Release in `unlock`.
        let first = self.word.compare_exchange(free, taken, Ordering::Acquire, Ordering::Relaxed);
        if first.is_err() {
            while self.word.swap(contended, Ordering::Acquire) != free {
                futex(&self.word, libc::FUTEX_WAIT, contended);
            }
        }
    }

    /// Gives it back, and wakes one who sleeps.
    pub(crate) fn unlock(&self) {
        // Release, pairs with `lock`.
        if self.word.swap(0, Ordering::Release) == 2 {
            futex(&self.word, libc::FUTEX_WAKE, 1);
        }
    }
}
