//! The first segment of a world's file: header, registry and tables, and the check that whoever attaches makes.
//!
//! ```text
//! offset   size      what                          who writes
//! 0        64        identity                      the creator, before anyone else can see the file
//! 64       64        arena line                    holders of the arena lock
//! 128      64        registry line                 whoever takes a slot
//! 192      256       free lists, a word a class    holders of the arena lock (caches)
//! 448      2,816     blocks of cells, by number     holders of the arena lock, once each
//! 3,264    832       unused
//! 4 KiB    256 KiB   4,096 slots of 64 bytes       each by its owner; the kernel and keepers mark deaths
//! 260 KiB  64 KiB    1,024 process records         each by its process, or by the parent before it starts
//! 324 KiB  64 KiB    4,096 segment entries         holders of the arena lock, once each
//! 388 KiB            end
//! ```
//!
//! Everything is zero at first and every word is an atomic, so a reference to these structures is sound whatever other
//! processes write. The magic number is stored last, with Release: a file without it was never finished.

use crate::error::{Error, ErrorKind, Result};
use crate::sys::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::world::word_lock::WordLock;

/// `mltiproc` in the byte order of the machine that made the file.
const MAGIC: u64 = u64::from_be_bytes(*b"mltiproc");
/// Raised with every change of the layout of anything shared.
pub(crate) const VERSION: u32 = 2;
/// What this file is; named objects will have kinds of their own.
const KIND_WORLD: u32 = 1;
const WORD_BYTES: u32 = size_of::<usize>() as u32;

/// How many slots processes may take; they are the first ones.
pub(crate) const PROCESSES: usize = 1024;
/// How many slots there are for processes and threads together.
pub(crate) const SLOTS: usize = 4096;
/// How many segments a file can have.
pub(crate) const SEGMENTS: usize = 4096;
/// Size classes of the arena.
pub(crate) const CLASSES: usize = 32;
/// Tables of presence bits per process.
pub(crate) const PRESENCE_BLOCKS: usize = 8;
/// Blocks of cells.
pub(crate) const CELL_BLOCKS: usize = 704;

/// One registry slot; [`crate::world::registry`] has the protocol.
#[repr(C, align(64))]
pub(crate) struct Slot {
    /// Low half: the robust word. High half: the generation.
    pub(crate) state: AtomicU64,
    /// The process that a thread belongs to; high half: the generation for which this was written.
    pub(crate) process: AtomicU64,
    /// The process id in the system's numbering; high half: the generation for which this was written.
    pub(crate) pid: AtomicU64,
    /// Private pointers of the owner's robust list; never read by this crate.
    robust: [AtomicU64; 2],
    /// Bumped to make this process's keeper look at all slots.
    pub(crate) control: AtomicU32,
    /// The last generation of which all threads were seen dead; of a process (cache).
    pub(crate) gone: AtomicU32,
    reserved: [AtomicU32; 2],
}

/// What belongs to a process; valid while `generation` is that of its slot.
#[repr(C, align(64))]
pub(crate) struct ProcessRecord {
    pub(crate) generation: AtomicU32,
    /// Blocks of presence bits, by cell index.
    pub(crate) presence: [AtomicU32; PRESENCE_BLOCKS],
    reserved: [AtomicU32; 7],
}

/// Where a segment lies in the file.
#[repr(C)]
pub(crate) struct SegmentEntry {
    pub(crate) offset: AtomicU64,
    pub(crate) len: AtomicU64,
}

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
    pub(crate) memory: AtomicU64,
    pub(crate) cores: AtomicU32,
    pub(crate) pauses: AtomicU32,
    identity_rest: AtomicU64,

    pub(crate) arena: ArenaLine,

    /// One more than the highest process slot ever taken.
    pub(crate) processes: AtomicU32,
    /// Where the next search for a thread slot starts.
    pub(crate) thread_cursor: AtomicU32,
    /// Raised to make every keeper ring although nobody died.
    pub(crate) alarms: AtomicU32,
    /// One more than the highest thread slot ever taken, counted from the first of them.
    pub(crate) threads: AtomicU32,
    registry_rest: [AtomicU64; 6],

    pub(crate) free: [AtomicU32; CLASSES],
    free_rest: [AtomicU64; 16],

    /// Blocks of cells, in order of their making.
    pub(crate) cell_blocks: [AtomicU32; CELL_BLOCKS],
    rest: [AtomicU64; 104],

    pub(crate) slots: [Slot; SLOTS],
    pub(crate) records: [ProcessRecord; PROCESSES],
    pub(crate) segments: [SegmentEntry; SEGMENTS],
}

/// The arena's own words, on one line; only under its lock but for `lock`.
#[repr(C, align(64))]
pub(crate) struct ArenaLine {
    pub(crate) lock: WordLock,
    /// How many entries of `segments` are valid; the truth.
    pub(crate) segments: AtomicU32,
    /// How many bytes of the newest common segment are carved (cache).
    pub(crate) carved: AtomicU32,
    /// The segment being carved; the truth.
    pub(crate) carving: AtomicU32,
    /// First free cell plus one (cache).
    pub(crate) free_cell: AtomicU32,
    /// How many blocks of cells there are; the truth.
    pub(crate) cell_blocks: AtomicU32,
    /// Blocks in use at the last sweep and handed out since (cache).
    pub(crate) live: AtomicU32,
    pub(crate) fresh: AtomicU32,
    /// Bytes carved in all blocks (cache); compared with the ceiling.
    pub(crate) bytes: AtomicU64,
    /// Cells alive at the last sweep and handed out since (caches).
    pub(crate) live_cells: AtomicU32,
    pub(crate) fresh_cells: AtomicU32,
    /// Bytes of free blocks that still have pages (cache).
    pub(crate) pooled: AtomicU64,
}

/// Size of the first segment in bytes.
pub(crate) const LEN: usize = size_of::<Header>();

const _: () = {
    assert!(size_of::<Slot>() == 64);
    assert!(core::mem::offset_of!(Slot, robust) == 24);
    assert!(size_of::<ProcessRecord>() == 64);
    assert!(size_of::<ArenaLine>() == 64);
    assert!(core::mem::offset_of!(Header, arena) == 64);
    assert!(core::mem::offset_of!(Header, processes) == 128);
    assert!(core::mem::offset_of!(Header, free) == 192);
    assert!(core::mem::offset_of!(Header, slots) == 4096);
    assert!(core::mem::offset_of!(Header, records) == 4096 + 64 * SLOTS);
    assert!(LEN == 388 * 1024);
};

impl Header {
    /// Writes the identity of a new world; the magic number last.
    pub(crate) fn write(&self, id: u64, pid_namespace: u64) {
        self.version.store(VERSION, Ordering::Relaxed);
        self.word_bytes.store(WORD_BYTES, Ordering::Relaxed);
        self.kind.store(KIND_WORLD, Ordering::Relaxed);
        self.id.store(id, Ordering::Relaxed);
        self.pid_namespace.store(pid_namespace, Ordering::Relaxed);
        self.arena.segments.store(1, Ordering::Relaxed);
        self.segments[0].len.store(LEN as u64, Ordering::Relaxed);
        // ORDERING(attach): Release, pairs with the Acquire in `check`; the identity before the magic number.
        self.magic.store(MAGIC, Ordering::Release);
    }

    /// Whether this is a world that this program understands; the error says what it is instead.
    pub(crate) fn check(&self, pid_namespace: u64) -> Result<()> {
        let mismatch = |text: String| Err(Error::new(ErrorKind::Mismatch, text));
        // ORDERING(attach): Acquire, pairs with the Release in `write`.
        let magic = self.magic.load(Ordering::Acquire);
        if magic == MAGIC.swap_bytes() {
            return mismatch("shared memory was made on a machine of the other byte order".into());
        }
        if magic != MAGIC {
            return Err(Error::new(
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
        let namespace = self.pid_namespace.load(Ordering::Relaxed);
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
        header.check(11).unwrap();
        assert_eq!(header.id.load(Ordering::Relaxed), 7);
    }

    #[test]
    fn an_unfinished_or_random_header_is_corrupted() {
        let header = blank();
        assert!(header.check(0).unwrap_err().is_corrupted());
        let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
        for _ in 0..1000 {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            header.magic.store(seed, Ordering::Relaxed);
            assert!(header.check(0).unwrap_err().is_corrupted());
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
            let error = header.check(2).unwrap_err();
            assert!(error.is_mismatch(), "{error}");
            assert!(error.to_string().contains(text), "{error}");
        }
    }
}
