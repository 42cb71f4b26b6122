//! Shared data: values, arrays and their parts, bytes, lists.

mod array;
mod bad_input;
mod fork;
mod memory;
mod part;
mod soak;
mod value;

use multiproc::{Pod, Zeroable};

/// A structure too large for an object.
#[derive(Clone, Copy, Debug, PartialEq, Pod, Zeroable)]
#[bytemuck(crate = "multiproc::bytemuck")]
#[repr(C)]
pub(crate) struct Large {
    numbers: [u64; 5],
    letters: [u8; 8],
}

impl Large {
    /// One of which every part says the same.
    pub(crate) fn of(n: u64) -> Large {
        Large { numbers: [n; 5], letters: [n as u8; 8] }
    }

    pub(crate) fn is_whole(&self) -> bool {
        *self == Large::of(self.numbers[0])
    }
}
