//! Forking a sibling: no system but Linux does it.

#![allow(unsafe_code, reason = "the declaration of a method")]

use std::io;

/// Why a process cannot be forked.
pub(crate) const REASONS: [&str; 1] = ["this system cannot fork a sibling"];

/// What forking needs to know of this process: there is none.
#[derive(Debug)]
pub(crate) enum Forker {}

impl Forker {
    /// # Errors
    ///
    /// The number of one of the [`REASONS`].
    pub(crate) fn of_this_process() -> Result<Forker, u32> {
        Err(0)
    }

    /// # Safety
    ///
    /// None: it is never called.
    pub(crate) unsafe fn fork(&self, _number: *mut u32) -> io::Result<bool> {
        match *self {}
    }
}
