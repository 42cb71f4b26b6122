//! The first segment of a world's file: identity, registry and tables, and the check that whoever attaches makes.
//!
//! ```text
//! offset   size      what                          who writes
//! 0        64        identity                      the creator, before anyone else can see the file
//! 64       64        registry line                 whoever takes a slot
//! 128      256 KiB   4,096 slots of 64 bytes       each by its owner; the kernel and keepers mark deaths
//! then     64        arena line                    holders of the arena lock
//!          128       free lists, a word a class    holders of the arena lock (caches)
//!          2,816     blocks of objects, by number  holders of the arena lock, once each
//!          384 KiB   1,024 process records         holders of the arena lock; generation: its process or its parent
//!          64 KiB    4,096 segment entries         holders of the arena lock, once each
//! then     256 KiB   threads that may sleep        where `sys/portable.rs` is what sleeps
//! ```
//!
//! Everything is zero at first and every word is an atomic, so a reference to these structures is sound whatever other
//! processes write. The magic number is stored last, with Release: a file without it was never finished.

#![allow(unsafe_code, reason = "a structure in shared memory")]

use crate::error::{Error, ErrorKind, Result};
use crate::liveness::{Pauses, RegistryTable};
use crate::memory::MemoryTable;
use crate::sys::atomic::{AtomicU32, AtomicU64, NATIVE, Ordering};
use crate::sys::shared::Shared;

/// `mltiproc` in the byte order of the machine that made the file.
const MAGIC: u64 = u64::from_be_bytes(*b"mltiproc");
/// Raised with every change of the layout of anything shared.
pub(crate) const VERSION: u32 = 6;
/// What this file is; named objects will have kinds of their own.
const KIND_WORLD: u32 = 1;
const WORD_BYTES: u32 = size_of::<usize>() as u32;

/// The first segment.
#[repr(C)]
pub(crate) struct Header {
    magic: AtomicU64,
    version: AtomicU32,
    word_bytes: AtomicU32,
    kind: AtomicU32,
    reserved: AtomicU32,
    /// Random; tells this world's handles from another's.
    pub(crate) id: AtomicU64,
    pid_namespace: AtomicU64,
    /// What the creator found out about the machine, so that its children need not: bytes of memory, 1 for more than one
    /// processor, and how many `pause` instructions take 250 ns.
    pub(crate) memory_limit: AtomicU64,
    several: AtomicU32,
    quarter: AtomicU32,
    reserved_too: AtomicU64,

    pub(crate) registry: RegistryTable,
    pub(crate) memory: MemoryTable,
    /// By which threads sleep where the kernel does not help them.
    #[cfg(any(feature = "raw-sync", not(target_os = "linux")))]
    pub(crate) sleepers: crate::sys::portable::Table,
}

// SAFETY: a structure of atomics only.
unsafe impl Shared for Header {}

/// Size of the first segment in bytes.
pub(crate) const LEN: usize = size_of::<Header>().next_multiple_of(4096);

const _: () = {
    assert!(!NATIVE || core::mem::offset_of!(Header, registry) == 64);
    assert!(!NATIVE || core::mem::offset_of!(Header, memory) == 128 + 64 * crate::liveness::SLOTS);
};

impl Header {
    /// Writes the identity of a new world; the magic number last.
    pub(crate) fn write(&self, id: u64, pid_namespace: u64) {
        self.version.store(VERSION, Ordering::Relaxed);
        self.word_bytes.store(WORD_BYTES, Ordering::Relaxed);
        self.kind.store(KIND_WORLD, Ordering::Relaxed);
        self.id.store(id, Ordering::Relaxed);
        self.pid_namespace.store(pid_namespace, Ordering::Relaxed);
        let segments = &self.memory.segments;
        segments.entries[0].len.store(LEN as u64, Ordering::Relaxed);
        segments.count.store(1, Ordering::Relaxed);
        // ORDERING(attach): Release, pairs with the Acquire in `check`; the identity before the magic number.
        self.magic.store(MAGIC, Ordering::Release);
    }

    /// Notes what the creator found out about the machine.
    pub(crate) fn note_machine(&self, memory_limit: u64, pauses: Pauses) {
        self.memory_limit.store(memory_limit, Ordering::Relaxed);
        self.several.store(u32::from(pauses.several()), Ordering::Relaxed);
        self.quarter.store(pauses.quarter(), Ordering::Relaxed);
    }

    /// That of the processes which have attached so far.
    pub(crate) fn pid_namespace(&self) -> u64 {
        self.pid_namespace.load(Ordering::Relaxed)
    }

    /// What spinning is like on this machine.
    pub(crate) fn pauses(&self) -> Pauses {
        let several = self.several.load(Ordering::Relaxed) == 1;
        Pauses::new(several, self.quarter.load(Ordering::Relaxed))
    }

    /// Whether this is a world that this program understands; the error says what it is instead. `pid_namespace` gives that of this
    /// process.
    pub(crate) fn check(&self, pid_namespace: impl FnOnce() -> u64) -> Result<()> {
        let mismatch = |text: String| Err(Error::of(ErrorKind::Mismatch, text));
        // ORDERING(attach): Acquire, pairs with the Release in `write`.
        let magic = self.magic.load(Ordering::Acquire);
        if magic == MAGIC.swap_bytes() {
            return mismatch("shared memory was made on a machine of the other byte order".into());
        }
        if magic != MAGIC {
            return Err(Error::of(
                ErrorKind::Corrupted,
                format!(
                    "not shared memory of this crate: it starts with {magic:#018x} instead of {MAGIC:#018x}"
                ),
            ));
        }
        let version = self.version.load(Ordering::Relaxed);
        if version != VERSION {
            return mismatch(format!(
                "shared memory has layout version {version}, this program has {VERSION}: build all programs that share it with one version of multiproc"
            ));
        }
        let bytes = self.word_bytes.load(Ordering::Relaxed);
        if bytes != WORD_BYTES {
            return mismatch(format!(
                "shared memory was made by a program with words of {bytes} bytes, this one has {WORD_BYTES}"
            ));
        }
        let kind = self.kind.load(Ordering::Relaxed);
        if kind != KIND_WORLD {
            return mismatch(format!(
                "shared memory is of kind {kind}, expected {KIND_WORLD} (the memory of a process tree)"
            ));
        }
        let namespace = self.pid_namespace();
        let pid_namespace = pid_namespace();
        if namespace != pid_namespace {
            return mismatch(format!(
                "shared memory belongs to pid namespace {namespace}, this process lives in {pid_namespace}: processes that share it must see each other's process ids"
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A zeroed header on the heap; all fields are atomics, for which zero is a value.
    fn blank() -> Box<Header> {
        let zeroed = Box::<Header>::new_zeroed();
        // SAFETY: zero is a valid value of every field, all of which are integers.
        #[allow(unsafe_code, reason = "a header of zeros")]
        unsafe {
            zeroed.assume_init()
        }
    }

    #[test]
    fn a_written_header_checks() {
        let header = blank();
        header.write(7, 11);
        header.check(|| 11).unwrap();
        assert_eq!(header.id.load(Ordering::Relaxed), 7);
    }

    #[test]
    fn an_unfinished_or_random_header_is_corrupted() {
        let header = blank();
        assert!(header.check(|| 0).unwrap_err().is_corrupted());
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..1000 {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            header.magic.store(seed, Ordering::Relaxed);
            assert!(header.check(|| 0).unwrap_err().is_corrupted());
        }
    }

    #[test]
    fn every_other_field_has_its_own_sentence() {
        type Damage = fn(&Header);
        let cases: [(Damage, &str); 5] = [
            (|h| h.magic.store(MAGIC.swap_bytes(), Ordering::Relaxed), "byte order"),
            (|h| h.version.store(99, Ordering::Relaxed), "layout version 99, this program has"),
            (|h| h.word_bytes.store(2, Ordering::Relaxed), "words of 2 bytes"),
            (|h| h.kind.store(5, Ordering::Relaxed), "kind 5, expected 1"),
            (|h| h.pid_namespace.store(5, Ordering::Relaxed), "pid namespace 5"),
        ];
        for (damage, text) in cases {
            let header = blank();
            header.write(1, 2);
            damage(&header);
            let error = header.check(|| 2).unwrap_err();
            assert!(error.is_mismatch(), "{error}");
            assert!(error.to_string().contains(text), "{error}");
        }
    }
}
