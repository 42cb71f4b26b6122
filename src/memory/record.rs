//! The record of a process slot: where the presence bits of its process are.

use crate::sys::atomic::{AtomicU32, NATIVE};

/// Tables of presence bits of a process.
const TABLES: usize = 92;

/// What belongs to a process; [`crate::memory::presence`] has the layout.
#[repr(C, align(64))]
pub(crate) struct ProcessRecord {
    /// The life of the slot for which the record counts; 0: none. Written by the process, or by its parent before it starts.
    pub(super) generation: AtomicU32,
    /// The block of each table; 0: none yet. Written under the arena lock.
    pub(super) tables: [AtomicU32; TABLES],
    reserved: [AtomicU32; 3],
}

const _: () = assert!(!NATIVE || size_of::<ProcessRecord>() == 384);
