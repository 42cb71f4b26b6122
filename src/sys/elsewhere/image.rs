//! The main executable: how it lies in memory is not looked up, so nothing is found in it by its place, and no program is started.

#![allow(unsafe_code, reason = "the declaration of a method")]

use std::ffi::{c_char, c_int};
use std::path::PathBuf;

/// Why a child that executes this program would not find its function, if it would not.
pub(crate) const NO_START: Option<&str> = Some(
    "cannot start a process: a program that is started finds its function on Linux alone; make a copy of this one with \
     Process::fork",
);

/// A part of the main executable.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) start: usize,
    pub(crate) len: usize,
    pub(crate) readable: bool,
    pub(crate) executable: bool,
}

/// The main executable, of which nothing is known.
#[derive(Debug, Default)]
pub(crate) struct Image {
    pub(crate) base: usize,
    pub(crate) segments: Vec<Segment>,
    pub(crate) build_id: Option<Vec<u8>>,
}

pub(crate) fn main_image() -> Image {
    Image::default()
}

impl Image {
    /// Whether the range lies in it: nothing does.
    pub(crate) fn holds(&self, _start: usize, _len: usize) -> bool {
        false
    }

    pub(crate) fn holds_data(&self, _start: usize, _len: usize) -> bool {
        false
    }

    /// # Safety
    ///
    /// None: it does nothing.
    pub(crate) unsafe fn call_constructors_after(&self, _own: usize, _arguments: Arguments) {}
}

/// What libc gives to a constructor.
pub(crate) type Constructor = extern "C" fn(c_int, *const *const c_char, *const *const c_char);

/// The arguments of a constructor.
#[derive(Debug, Clone, Copy)]
#[expect(dead_code, reason = "no constructor is called")]
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

pub(crate) fn file_at(_address: usize) -> Option<MappedFile> {
    None
}
