//! The calling thread: its id in the world, taken on first use, and its entry among the sleepers.

use crate::error::{Error, ErrorKind, Result};
use crate::liveness::sleepers::{Sleeper, Wait};
use crate::liveness::slot::Id;
use crate::liveness::view::Liveness;
use crate::sys::atomic::{AtomicU32, Ordering};
use crate::sys::clock::Deadline;
use crate::sys::overflow;
use crate::sys::robust::List;
use core::cell::Cell;

thread_local! {
    /// The thread's entry in the table of its process. Without a destructor, so it can be asked until the thread ends.
    static SLEEPER: Cell<Option<&'static Sleeper>> = const { Cell::new(None) };
}

/// The calling thread's entry.
#[inline]
fn sleeper() -> Option<&'static Sleeper> {
    SLEEPER.get()
}

/// Whether the calling thread is the one with this id, in the process that took it.
#[inline]
pub(crate) fn is_me(id: Id) -> bool {
    sleeper().is_some_and(|sleeper| sleeper.id.load(Ordering::Relaxed) == id.to_bits())
}

impl Liveness {
    /// The calling thread's id. Takes a slot on first use.
    #[inline]
    pub(crate) fn me(&'static self) -> Result<Id> {
        match self.me_fast() {
            Some(id) => Ok(id),
            None => self.me_slow(),
        }
    }

    /// The calling thread's id in this view, if it has one; so the process has not forked since.
    #[inline]
    pub(crate) fn me_fast(&self) -> Option<Id> {
        let sleeper = sleeper()?;
        // One line for both: an entry of this process names this process's view, and one that fork wiped names none.
        let view = core::ptr::from_ref(self).cast::<u8>();
        let same = core::ptr::eq(sleeper.view.load(Ordering::Relaxed), view);
        // An entry that fork wiped reads 0, which is no id.
        Id::from_private(sleeper.id.load(Ordering::Relaxed)).filter(|_| same)
    }

    #[cold]
    fn me_slow(&'static self) -> Result<Id> {
        if !self.is_current() {
            return Err(Error::of(
                ErrorKind::Foreign,
                "the object was inherited over a fork, and belongs to the process that forked: start processes with \
                 Process::spawn and pass the object in its arguments",
            ));
        }
        overflow::report_in_this_thread();
        let list = if self.is_robust() { List::of_this_thread() } else { None };
        let id =
            self.registry.take_thread(list.as_ref(), self.this_process(), std::process::id())?;
        // This process may have said that it leaves in order, and does not after all. Behind the slot: whoever says it now counts
        // this thread.
        self.registry.stay(self.this_process());
        let sleeper = self.sleepers.take(id, &self.registry)?;
        sleeper.view.store(core::ptr::from_ref(self).cast_mut().cast(), Ordering::Relaxed);
        SLEEPER.set(Some(sleeper));
        if !self.is_robust() {
            // In another thread-local's destructor there may be no leaver any more: the slot then goes with the process.
            let _ = LEAVER.try_with(|leaver| leaver.0.set(Some((self, id))));
        }
        Ok(id)
    }

    /// Sleeps while `*word == expected`; see [`crate::liveness::sleepers`]. `check` says whether sleeping still makes sense.
    ///
    /// Returns for any reason.
    pub(crate) fn sleep(
        &self,
        word: &'static AtomicU32,
        expected: u32,
        until: Deadline,
        wait: Wait,
        check: impl FnOnce() -> bool,
    ) {
        self.sleepers.sleep(sleeper(), word, expected, until, wait, check);
    }

    /// Says that this process leaves in order, if no other thread of it uses anything shared: its end will be no death. The
    /// caller found that the process holds nothing for which others could wait. If the process uses something shared all the
    /// same, [`Liveness::me`] takes the word back first.
    pub(crate) fn leave_in_order(&self) {
        let process = self.this_process();
        let own = usize::from(self.me_fast().is_some());
        let is_alone = || self.registry.live_threads_of(process) <= own;
        if !self.is_current() || self.is_untidy() || !is_alone() {
            return;
        }
        SLEEPER.set(None);
        self.registry.leave(process);
        // A thread takes its slot before it takes the word back: one of the two sees the other.
        if self.is_untidy() || !is_alone() {
            self.registry.stay(process);
        }
    }

    /// Where the kernel marks nothing: a thread that ends says so itself.
    fn leave_thread(&self, id: Id) {
        let state = self.registry.state(id.slot());
        if state.generation() == id.generation() {
            self.registry.mark(id.slot(), state);
        }
    }
}

/// Where the kernel has no robust list: marks the thread's own word when it ends.
struct Leaver(Cell<Option<(&'static Liveness, Id)>>);

impl Drop for Leaver {
    fn drop(&mut self) {
        if let Some((liveness, id)) = self.0.get()
            && is_me(id)
            && liveness.is_current()
        {
            SLEEPER.set(None);
            liveness.leave_thread(id);
        }
    }
}

thread_local! {
    static LEAVER: Leaver = const { Leaver(Cell::new(None)) };
}
