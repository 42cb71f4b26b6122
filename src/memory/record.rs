//! The record of a process slot: where the presence bits of its process are.

use crate::sys::atomic::{AtomicU32, NATIVE};

/// Tables of presence bits of a process.
const TABLES: usize = 92;

/// What belongs to a process; [`crate::memory::presence`] has the layout.
#[repr(C, align(64))]
pub(crate) struct ProcessRecord {
    pub(super) generation: AtomicU32,
    pub(super) tables: [AtomicU32; TABLES],
    reserved: [AtomicU32; 3],
}

const _: () = assert!(!NATIVE || size_of::<ProcessRecord>() == 384);
