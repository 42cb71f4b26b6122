//! The kernel's robust list: words that it marks, and whose sleepers it wakes, when the thread that linked them dies.
//!
//! Used for liveness only: a word is linked once, is never unlinked by us, and is held until its thread ends. The list
//! head is the one that libc registered; `set_robust_list` would break libc's own robust mutexes. A node looks like
//! glibc's `pthread_mutex_t`, because the list has one offset for all nodes:
//!
//! ```text
//! offset  0  word: thread id | WAITERS, later | OWNER_DIED    written by us once, by the kernel at death
//! offset 24  previous node                                     private to the thread, for libc's unlinking
//! offset 32  next node            <- the list points here      private to the thread
//! ```
//!
//! Peers can scribble over the two pointers, since they stand in shared memory; we never read them back, and the kernel
//! stops at the first address that it cannot read.
//!
//! Sources: `set_robust_list(2)`, the kernel's `Documentation/locking/robust-futex-ABI.rst`, glibc's `nptl/descr.h`.

#![allow(unsafe_code, reason = "the list is the kernel's and libc's: raw pointers")]

use crate::sys::atomic::{AtomicUsize, Ordering};
use core::sync::atomic::compiler_fence;

/// The kernel sets this bit in the word of a dead thread.
pub(crate) const OWNER_DIED: u32 = libc::FUTEX_OWNER_DIED;
/// The kernel wakes one sleeper of a dead thread's word only if this bit is set.
pub(crate) const WAITERS: u32 = libc::FUTEX_WAITERS;
/// Where the thread id stands in the word.
pub(crate) const TID_MASK: u32 = libc::FUTEX_TID_MASK;
/// From the list pointer back to the word.
const OFFSET: isize = -32;

#[repr(C)]
struct Head {
    list: AtomicUsize,
    offset: isize,
    pending: AtomicUsize,
}

/// The calling thread's list.
pub(crate) struct List {
    head: *mut Head,
}

impl List {
    /// The list that libc registered for the calling thread; `None` where there is none or its offset is another.
    pub(crate) fn of_this_thread() -> Option<List> {
        if cfg!(feature = "raw-sync") {
            // The kernel would wake sleepers that do not sleep by it.
            return None;
        }
        let mut head: *mut Head = core::ptr::null_mut();
        let mut len: usize = 0;
        // SAFETY: pid 0 is the calling thread; both pointers are valid to write.
        let result =
            unsafe { libc::syscall(libc::SYS_get_robust_list, 0, &raw mut head, &raw mut len) };
        if result != 0 || head.is_null() || len != size_of::<Head>() {
            return None;
        }
        // SAFETY: the kernel reported this thread's own, live head; libc keeps it for the thread's life.
        let offset = unsafe { (*head).offset };
        (offset == OFFSET).then_some(List { head })
    }

    /// Takes a word and links its node, so that a death at any instruction in between marks the word or leaves it
    /// untaken. `take` stores the thread id and says whether it did.
    ///
    /// `node` is the address of the word; the two pointers of its node stand 24 and 32 bytes behind it.
    pub(crate) fn link(&self, node: *mut u8, take: impl FnOnce() -> bool) -> bool {
        // SAFETY: the head is this thread's own and lives as long as the thread.
        let head = unsafe { &*self.head };
        let next = node.wrapping_add(32) as usize;
        let before = head.pending.swap(next, Ordering::Relaxed);
        // ORDERING: the kernel reads the list at this thread's death, in program order; only the compiler could reorder.
        compiler_fence(Ordering::SeqCst);
        let taken = take();
        if taken {
            let first = head.list.load(Ordering::Relaxed);
            let (node_previous, node_next) =
                (node.wrapping_add(24).cast(), node.wrapping_add(32).cast());
            // SAFETY:
            // - the caller hands over a node of 40 bytes in a mapping that is never unmapped;
            // - only the thread that took the word writes these fields; a peer's scribbling cannot make this store unsound.
            let node_previous = unsafe { AtomicUsize::from_ptr(node_previous) };
            // SAFETY: as above.
            let node_next = unsafe { AtomicUsize::from_ptr(node_next) };
            node_next.store(first, Ordering::Relaxed);
            // Nobody unlinks this node, so nobody reads its previous field; it only must not be wild.
            node_previous.store(node as usize + 24, Ordering::Relaxed);
            if first != self.head as usize {
                // A mutex of libc that this thread holds: unlinking it later goes through its previous field.
                let previous = (first & !1).wrapping_sub(8) as *mut usize;
                // SAFETY: `first` comes from this thread's private head, so it is a node that this thread linked and
                // has not unlinked; libc keeps "previous" 8 bytes before "next".
                let previous = unsafe { AtomicUsize::from_ptr(previous) };
                previous.store(node as usize + 24, Ordering::Relaxed);
            }
            compiler_fence(Ordering::SeqCst);
            head.list.store(next, Ordering::Relaxed);
        }
        compiler_fence(Ordering::SeqCst);
        head.pending.store(before, Ordering::Relaxed);
        taken
    }
}
