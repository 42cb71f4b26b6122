//! The lowest layer of the models; each module has the interface of the package's.

pub(crate) mod atomic;
pub(crate) mod bytes;
pub(crate) mod clock;
pub(crate) mod futex;
package!("sys");

/// A barrier that one side passes for the other is beyond loom: each side passes its own.
pub(crate) mod barrier {
    use crate::sys::atomic::{Ordering, fence};

    pub(crate) fn light() {
        fence(Ordering::SeqCst);
    }

    pub(crate) fn heavy() -> bool {
        fence(Ordering::SeqCst);
        true
    }
}

/// The words that the kernel marks.
pub(crate) mod robust {
    pub(crate) const OWNER_DIED: u32 = 0x4000_0000;
    pub(crate) const WAITERS: u32 = 0x8000_0000;
    pub(crate) const TID_MASK: u32 = 0x3fff_ffff;

    /// Linking has no place in a model: a thread that dies is marked, linked or pending.
    pub(crate) struct List;

    impl List {
        pub(crate) fn of_this_thread() -> Option<List> {
            Some(List)
        }

        pub(crate) fn link(&self, _: *mut u8, take: impl FnOnce() -> bool) -> bool {
            take()
        }
    }
}

/// Threads as the system sees them.
pub(crate) mod thread {
    use crate::error::Error;

    pub(crate) fn id() -> u32 {
        crate::sim::current() as u32 + 1
    }

    pub(crate) fn is_gone(_: u32, _: u32) -> bool {
        false
    }

    pub(crate) fn take_short_turns() {}

    /// Nobody knows, unless a model says that each thread has its own.
    pub(crate) fn processor() -> Option<u32> {
        crate::sim::has_processors().then(|| crate::sim::current() as u32)
    }

    pub(crate) fn yield_now() {
        crate::sim::step(loom::thread::yield_now);
    }

    pub(crate) fn nap() {
        yield_now();
    }

    /// A model says which of its threads panics.
    pub(crate) fn is_panicking() -> bool {
        crate::sim::is_unwinding()
    }

    pub(crate) fn cannot_start(what: &str, error: std::io::Error) -> Error {
        Error::os(what.to_owned(), error)
    }

    /// A model has its keepers on its own threads.
    pub(crate) fn start_bare(
        _: &'static std::ffi::CStr,
        _: usize,
        _: impl FnOnce() + Send + 'static,
    ) -> std::io::Result<()> {
        Err(std::io::ErrorKind::Unsupported.into())
    }

    pub(crate) fn with_signals_blocked<R>(f: impl FnOnce() -> R) -> R {
        f()
    }
}

/// Processes as the system sees them: a model has none that is not known by its words.
pub(crate) mod pidfd {
    pub(crate) fn is_over(_: u32) -> bool {
        false
    }
}

/// Memory that fork wipes; nobody forks here.
pub(crate) mod per_process {
    use crate::sim;

    /// Words at the start of the table of a process's threads, and of each entry; lines in between.
    const HEAD: usize = 3;
    const ENTRY: usize = 10;
    const LINES: [usize; 2] = [8, 16];

    pub(crate) fn wiped_on_fork(len: usize) -> std::io::Result<*mut u8> {
        let start = sim::memory(len / 8);
        sim::exist(start, HEAD);
        for entry in 0..sim::room() {
            sim::exist(start.wrapping_add(LINES[0] + LINES[1] * entry), ENTRY);
        }
        Ok(start.cast())
    }
}

/// Threads of a model do not overflow their stacks.
pub(crate) mod overflow {
    pub(crate) fn report_in_this_thread() {}
}
