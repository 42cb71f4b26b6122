//! The main executable: how it lies in memory is not looked up, so nothing is found in it by its place, and no program is started.

#![allow(unsafe_code, reason = "the declaration of a method")]

pub(crate) use crate::sys::loaded::{Arguments, Constructor, MappedFile, Segment};

/// Why a child that executes this program would not find its function, if it would not.
pub(crate) const NO_START: Option<&str> = Some(
    "cannot start a process: a program that is started finds its function on Linux alone; make a copy of this one with \
     Process::fork",
);

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

    /// # Safety
    ///
    /// None: it does nothing.
    pub(crate) unsafe fn call_constructors_after(&self, _own: usize, _arguments: Arguments) {}
}

pub(crate) fn file_at(_address: usize) -> Option<MappedFile> {
    None
}
