//! What everything that sleeps needs of a system: two functions. `futex` has them from Linux, `portable` from what POSIX has.

use crate::sys::atomic::AtomicU32;
use crate::sys::clock::Deadline;

/// How threads of all processes sleep on a word.
pub(crate) trait Sleep {
    /// Sleeps while `*word == expected`, until woken or `until`. Returns for any reason: the caller checks again and decides.
    fn wait(word: &AtomicU32, expected: u32, until: Deadline);

    /// Wakes at most `count` sleepers on `word` in any process, or more; how many were woken, or 1 if it may have been some.
    fn wake(word: &AtomicU32, count: u32) -> u32;
}
