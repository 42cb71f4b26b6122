//! What is said of the main executable as it lies in memory, in the same words on every system; `image` finds it out.

use std::ffi::{c_char, c_int};
use std::path::PathBuf;

/// A part of the main executable as it lies in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) start: usize,
    pub(crate) len: usize,
    pub(crate) readable: bool,
    pub(crate) executable: bool,
}

#[cfg_attr(
    any(not(target_os = "linux"), elsewhere),
    expect(dead_code, reason = "no part is known")
)]
impl Segment {
    /// Whether the range lies in it, and can be read.
    pub(crate) fn holds(&self, start: usize, len: usize) -> bool {
        let end = start.checked_sub(self.start).and_then(|offset| offset.checked_add(len));
        self.readable && end.is_some_and(|end| end <= self.len)
    }
}

/// What libc gives to a constructor.
pub(crate) type Constructor = extern "C" fn(c_int, *const *const c_char, *const *const c_char);

/// The arguments of a constructor.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(
    any(not(target_os = "linux"), elsewhere),
    expect(dead_code, reason = "no constructor is called")
)]
pub(crate) struct Arguments {
    pub(crate) count: c_int,
    pub(crate) values: *const *const c_char,
    pub(crate) environment: *const *const c_char,
}

/// A file that is mapped into this process.
#[derive(Debug)]
pub(crate) struct MappedFile {
    pub(crate) path: PathBuf,
    pub(crate) device: u64,
    pub(crate) inode: u64,
}
