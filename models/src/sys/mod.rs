//! The lowest layer of the models; each module has the interface of the package's.

pub(crate) mod atomic;
pub(crate) mod clock;
pub(crate) mod futex;

/// The words that the kernel marks.
pub(crate) mod robust {
    pub(crate) const OWNER_DIED: u32 = 0x4000_0000;
    pub(crate) const WAITERS: u32 = 0x8000_0000;
    pub(crate) const TID_MASK: u32 = 0x3fff_ffff;

    /// Linking has no place in a model: a thread that dies is marked, linked or pending.
    pub(crate) struct List;

    impl List {
        pub(crate) fn of_this_thread() -> Option<List> {
            None
        }

        pub(crate) fn link(&self, _: *mut u8, take: impl FnOnce() -> bool) -> bool {
            take()
        }
    }
}

/// Threads as the system sees them.
pub(crate) mod thread {
    pub(crate) fn id() -> u32 {
        crate::sim::current() as u32 + 1
    }

    pub(crate) fn is_gone(_: u32, _: u32) -> bool {
        false
    }

    pub(crate) fn process_is_over(_: u32) -> bool {
        false
    }

    pub(crate) fn take_short_turns() {}

    pub(crate) fn yield_now() {
        crate::sim::step(loom::thread::yield_now);
    }

    pub(crate) fn nap() {
        yield_now();
    }

    pub(crate) fn with_signals_blocked<R>(f: impl FnOnce() -> R) -> R {
        f()
    }
}

/// Memory that fork wipes; nobody forks here.
pub(crate) mod memory {
    use crate::sim;

    pub(crate) fn wiped_on_fork(len: usize) -> std::io::Result<*mut u8> {
        let start = sim::memory(len / 8);
        // The head and the records of so many threads, each of at most a line of words.
        for word in 0..8 + 8 * (sim::THREADS - 1) {
            sim::create(start.wrapping_add(word), 0);
        }
        Ok(start.cast())
    }
}
