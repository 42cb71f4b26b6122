//! The world: one memory file that a process tree shares, and who is alive in it.
//!
//! - `header`: the layout of the first segment, and the check on attaching;
//! - `registry`: slots of processes and threads, and what counts as dead;
//! - `keeper`: the thread that sees deaths and rings;
//! - `wait`: sleeping so that no death goes unseen;
//! - `word_lock`: the lock word that everything else is built on; `brief_lock`: one for short sections;
//! - `restraint`: how a waiter that is passed over gets its turn;
//! - `news`: the word that those sleep on who wait for something that another word tells;
//! - `segments`: mapping the file;
//! - `arena`: blocks of it;
//! - `cells`: the 64 bytes of every object, and who refers to them;
//! - `handle`: references to cells, and how they travel.
//!
//! # Life
//!
//! The first use of anything shared makes the world. A spawned child is given the file and a reserved slot, and attaches
//! before its function runs. A forked child finds its parent's private tables wiped and attaches anew, with a keeper of its
//! own; handles it inherited refer to the same cells, but the references are its parent's: its drops do nothing.
//!
//! Private state stands behind one pointer and is never freed, since words in it are looked at until the process ends.

pub(crate) mod arena;
pub(crate) mod brief_lock;
pub(crate) mod cells;
pub(crate) mod handle;
mod header;
mod keeper;
pub(crate) mod news;
pub(crate) mod registry;
pub(crate) mod restraint;
mod segments;
pub(crate) mod wait;
pub(crate) mod word_lock;

use crate::error::{Error, Result};
use crate::sys::atomic::{AtomicPtr, AtomicU32, Ordering, spin_loop};
use crate::sys::memfd::SharedFile;
use crate::sys::robust::List;
use crate::sys::{clock, futex, machine, thread};
use crate::testing;
pub(crate) use header::PROCESSES;
use header::{Header, Slot};
pub(crate) use registry::ProcessId;
use registry::{Id, Registry};
pub(crate) use segments::Shared;
use std::os::fd::{BorrowedFd, OwnedFd};

/// This process's view of its world.
pub(crate) struct World {
    segments: segments::Segments,
    pub(crate) header: &'static Header,
    pub(crate) registry: Registry,
    records: &'static wait::Records,
    pub(crate) handles: handle::Table,
    /// Set once, by the keeper, before anyone else sees this.
    process: AtomicU32,
    /// How much memory the machine or control group has.
    limit: u64,
    robust: bool,
    waitv: bool,
    cores: bool,
    /// How many `pause` instructions take about 250 ns.
    pauses: u32,
}

static CURRENT: AtomicPtr<World> = AtomicPtr::new(core::ptr::null_mut());
/// The process id of whoever attaches; a forked child does not wait for its parent's thread.
static ATTACHING: AtomicU32 = AtomicU32::new(0);

/// The world of this process, made or attached on first use.
pub(crate) fn world() -> Result<&'static World> {
    match current() {
        Some(world) => Ok(world),
        None => attach(None),
    }
}

/// The world this process is attached to, if it is; nothing of a parent that forked.
#[inline]
pub(crate) fn current() -> Option<&'static World> {
    inherited().filter(|world| world.is_current())
}

fn inherited() -> Option<&'static World> {
    let world = CURRENT.load(Ordering::Acquire);
    #[allow(unsafe_code, reason = "the one pointer to private state")]
    // SAFETY: null, or a leaked box that was fully made before the Release store in `attach`.
    unsafe {
        world.as_ref()
    }
}

/// Attaches a spawned child to the world of its parent, as the process that the parent reserved.
pub(crate) fn adopt(file: OwnedFd, child: ProcessId) -> Result<&'static World> {
    let file = SharedFile::adopt(file)
        .map_err(|error| Error::os("cannot take over the descriptor of shared memory", error))?;
    attach(Some((file, child)))
}

#[cold]
fn attach(given: Option<(SharedFile, ProcessId)>) -> Result<&'static World> {
    let pid = std::process::id();
    loop {
        let holder = ATTACHING.load(Ordering::Acquire);
        if holder == pid {
            thread::yield_now();
        } else if ATTACHING
            .compare_exchange(holder, pid, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
        {
            break;
        }
    }
    let result = match current() {
        Some(world) => Ok(world),
        None => make(given),
    };
    ATTACHING.store(0, Ordering::Release);
    result
}

fn make(given: Option<(SharedFile, ProcessId)>) -> Result<&'static World> {
    let namespace = machine::pid_namespace();
    let (file, reserved) = match (given, inherited()) {
        (Some((file, child)), _) => (file, Some(child)),
        (None, Some(parent)) => (parent.segments.file().try_clone()?, None),
        (None, None) => (create(namespace)?, None),
    };
    check_file(&file)?;
    let segments = segments::Segments::open(file)?;
    let header = segments.header();
    header.check(namespace)?;
    let robust = !testing::polling() && List::of_this_thread().is_some();
    let world: &'static World = Box::leak(Box::new(World {
        header,
        registry: Registry::new(header),
        records: wait::Records::new()?,
        handles: handle::Table::default(),
        process: AtomicU32::new(0),
        limit: header.memory.load(Ordering::Relaxed),
        robust,
        waitv: robust && futex::has_wait_any(),
        cores: header.cores.load(Ordering::Relaxed) == 1,
        pauses: header.pauses.load(Ordering::Relaxed).clamp(1, MOST_PAUSES),
        segments,
    }));
    let process = keeper::start(world, reserved)?;
    world.process.store(process.to_bits(), Ordering::Release);
    CURRENT.store(core::ptr::from_ref(world).cast_mut(), Ordering::Release);
    // Whoever comes before this process in the round watches it from now on.
    world.tell_other_keepers();
    Ok(world)
}

fn create(namespace: u64) -> Result<SharedFile> {
    let file = SharedFile::create(c"multiproc")
        .map_err(|error| Error::os("cannot create shared memory", error))?;
    file.grow(header::LEN as u64)?;
    file.seal().map_err(|error| Error::os("cannot seal shared memory", error))?;
    // A mapping of its own: the tables that check references do not exist yet.
    let segments = segments::Segments::open(file.try_clone()?)?;
    let header = segments.header();
    header.memory.store(machine::limit(), Ordering::Relaxed);
    let cores = std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1);
    header.cores.store(u32::from(cores), Ordering::Relaxed);
    header.pauses.store(measure_pauses(), Ordering::Relaxed);
    header.write(machine::random(), namespace);
    Ok(file)
}

/// A file that is too short or could shrink is not mapped at all.
fn check_file(file: &SharedFile) -> Result<()> {
    let size = file.size()?;
    if size < header::LEN as u64 {
        return Err(Error::new(
            crate::ErrorKind::Corrupted,
            format!("shared memory is cut off: {size} bytes, at least {} expected", header::LEN),
        ));
    }
    if !file.is_sealed() {
        return Err(Error::new(
            crate::ErrorKind::Mismatch,
            "not shared memory of this crate: the file is not sealed against shrinking",
        ));
    }
    Ok(())
}

/// A `pause` of one nanosecond would be the shortest.
const MOST_PAUSES: u32 = 250;

/// How many `pause` instructions take about 250 ns: between 3 and some 60 by processor.
fn measure_pauses() -> u32 {
    const SAMPLE: u64 = 200;
    let best = (0..3)
        .map(|_| {
            let start = clock::now();
            for _ in 0..SAMPLE {
                spin_loop();
            }
            clock::now() - start
        })
        .min()
        .unwrap_or(0);
    (250 * SAMPLE / best.max(1)).clamp(1, u64::from(MOST_PAUSES)) as u32
}

impl World {
    /// Whether this is the calling process's own view, not one inherited by fork.
    #[inline]
    pub(crate) fn is_current(&self) -> bool {
        self.records.is_alive()
    }

    /// The descriptor of the file, close-on-exec.
    ///
    /// # Errors
    ///
    /// `Mismatch` if some code of the program closed it.
    pub(crate) fn descriptor(&self) -> Result<BorrowedFd<'_>> {
        self.segments.file().descriptor()
    }

    /// This process.
    pub(crate) fn this_process(&self) -> ProcessId {
        // Set before the world is visible; the fallback is an id that nobody has.
        Id::from_bits(self.process.load(Ordering::Acquire)).unwrap_or(NOBODY)
    }

    /// Whether the kernel marks the words of the dead.
    pub(crate) fn is_robust(&self) -> bool {
        self.robust
    }

    /// Whether the keeper is woken by deaths, rather than looking for them.
    fn is_told(&self) -> bool {
        self.waitv
    }

    /// Whether spinning can help: another processor may be doing what is waited for.
    pub(crate) fn spins(&self) -> bool {
        self.cores && testing::spin()
    }

    /// Spins for about 250 ns times two to the power of `step`.
    pub(crate) fn pause(&self, step: u32) {
        for _ in 0..self.pauses << step {
            spin_loop();
        }
    }

    /// Spins after the look number `look` for news that may be under way: shortly at first, as two that hand something to and
    /// fro are quick (150 ns a turn instead of 400), then 250 ns, so that the line is left to those who work on it.
    pub(crate) fn pause_for_news(&self, look: u32) {
        const QUICK: u32 = 8;
        if look < QUICK {
            self.pause_shortly();
        } else {
            self.pause(0);
        }
    }

    /// The shortest pause between two looks: about 16 ns, or one `pause` instruction where that takes longer.
    pub(crate) fn pause_shortly(&self) {
        for _ in 0..self.short_pauses() {
            spin_loop();
        }
    }

    fn short_pauses(&self) -> u32 {
        (self.pauses / 16).max(1)
    }

    /// How many of the shortest pauses take about 250 ns.
    pub(crate) fn looks(&self) -> u32 {
        (self.pauses / self.short_pauses()).max(1)
    }

    fn take_process(&self, list: Option<&List>, reserved: Option<ProcessId>) -> Result<ProcessId> {
        let pid = std::process::id();
        let Some(child) = reserved else {
            let process = self.registry.take_process(list, pid)?;
            self.clear_record(process);
            return Ok(process);
        };
        if self.registry.take_reserved(list, child, pid) {
            Ok(child)
        } else {
            Err(Error::new(
                crate::ErrorKind::Closed,
                "the parent process gave this child up before it started",
            ))
        }
    }

    fn take_thread(&self) -> Result<Id> {
        let list = if self.robust { List::of_this_thread() } else { None };
        self.registry.take_thread(list.as_ref(), self.this_process(), std::process::id())
    }

    /// Where the kernel marks nothing: a thread that ends says so itself.
    fn leave_thread(&self, id: Id) {
        let state = self.registry.state(id.slot());
        if state.generation() == id.generation() {
            self.registry.mark(id.slot(), state);
        }
    }

    /// Reserves a slot for a child that is about to start.
    pub(crate) fn embryo(&self) -> Result<ProcessId> {
        let child = self.registry.reserve_process(self.this_process())?;
        self.clear_record(child);
        Ok(child)
    }

    /// The child runs; from now on its keeper, or until then its parent's, sees its death.
    pub(crate) fn embryo_started(&self, child: ProcessId, pid: u32) {
        // The child may have written the same already.
        self.registry.set_pid(child, pid);
        self.bump(self.registry.slot(self.this_process().slot()));
    }

    /// The child will not start: its slot and all that was given to it are free again.
    pub(crate) fn embryo_failed(&self, child: ProcessId) {
        let state = self.registry.state(child.slot());
        if state.generation() == child.generation() && state.is_embryo() {
            self.registry.mark(child.slot(), state);
            self.raise_alarm();
        }
    }

    /// Makes every keeper ring: something that sleepers look at has changed without a word of theirs changing.
    pub(crate) fn raise_alarm(&self) {
        self.header.alarms.fetch_add(1, Ordering::SeqCst);
        self.tell_other_keepers();
        self.bump(self.registry.slot(self.this_process().slot()));
    }

    fn alarms(&self) -> u32 {
        self.header.alarms.load(Ordering::SeqCst)
    }

    /// Makes all other keepers look at all slots.
    fn tell_other_keepers(&self) {
        let own = self.this_process().slot();
        for index in (0..self.registry.processes()).filter(|&index| index != own) {
            if self.registry.state(index).is_alive() {
                self.bump(self.registry.slot(index));
            }
        }
    }

    fn bump(&self, slot: &Slot) {
        slot.control.fetch_add(1, Ordering::SeqCst);
        futex::wake(&slot.control, 1);
    }

    /// Changes with every general alarm, and with every death as soon as this process's keeper sees it; tells whether it is
    /// worth looking again.
    #[inline]
    pub(crate) fn epoch(&self) -> u32 {
        self.records.epoch().wrapping_add(self.alarms())
    }

    /// This process knows of a death before its keeper may: it has waited for a child.
    pub(crate) fn saw_death(&self) {
        self.records.raise();
    }
}

const NOBODY: Id = Id::NOBODY;

impl core::fmt::Debug for World {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("World").field("process", &self.this_process()).finish_non_exhaustive()
    }
}

impl Slot {
    /// The half of the state that the kernel marks, as a word to sleep on.
    fn robust_word(&self) -> &AtomicU32 {
        const _: () =
            assert!(cfg!(target_endian = "little"), "the robust word is the low half of the state");
        #[allow(unsafe_code, reason = "the kernel knows half of the word")]
        // SAFETY:
        // - the low half of a live, aligned 64-bit atomic, which is its first half here;
        // - it is only slept on and never accessed through this reference, so no access of two sizes meets.
        unsafe {
            AtomicU32::from_ptr(self.state.as_ptr().cast())
        }
    }
}
