//! Making a world and attaching to one.
//!
//! The first use of anything shared makes the world. A spawned child is given the file and a reserved slot, and attaches
//! before its function runs. One that was given nothing shared runs *alone* at first: it has the file mapped and reads its call,
//! but it has no keeper and does not take the slot before it uses something shared. It would have a thread, and its end be watched,
//! for nothing. A forked child finds its parent's private tables wiped and attaches anew, with a keeper of its
//! own. Objects that it inherited are its parent's: they answer `is_foreign`, and their drops do nothing.
//!
//! Private state stands behind one pointer and is never freed, since words in it are read until the process ends.
//!
//! # Order
//!
//! 1. One thread of the process attaches; others sleep until it has. A forked child does not wait for its parent's thread.
//! 2. The file is made, or checked, and mapped; its header is checked.
//! 3. The keeper starts and takes the process's slot.
//! 4. The process's record begins: an earlier process's tables in this slot are freed.
//! 5. The view becomes visible in this process.
//! 6. The keepers that are to watch this process are told.
//!
//! A child that is to run alone does step 2, and says in the slot's word that it runs; the slot stays reserved, and so does whatever
//! its parent gave it: its call. The other steps follow at its first use of something shared, after it has told its parent's keeper.
//!
//! # If a process dies
//!
//! - Making the file: nobody else has it, and it goes with its maker.
//! - Before step 3: nobody knew of it. A slot that was reserved is an embryo's, and its parent's keeper frees it.
//! - After step 3: the kernel marks the slot. A record that was not begun carries another generation, and counts for nothing.
//! - Alone: nobody waits for anything that it has. Its parent frees the slot when it has waited for the child; else a keeper finds
//!   within a second that it has ended: its parent's, and if its parent is gone, any.
//! - After step 3, before step 6: perhaps no keeper watches the slot yet. The keeper of a child's parent, which follows the
//!   embryo, checks within 20 ms; others at their next turn, within a second.

use crate::error::{Error, ErrorKind, Result};
use crate::liveness::{self, Liveness, Pauses, ProcessId, Registry, Reserved};
use crate::memory::{Memory, Segments};
use crate::sys::atomic::{AtomicPtr, AtomicU32, Ordering};
use crate::sys::clock::Deadline;
use crate::sys::per_process::SetOnce;
use crate::sys::shared_file::SharedFile;
use crate::sys::{descriptor, futex, machine, program, thread};
use crate::world::header::{Header, LEN};
use std::any::Any;
use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, MutexGuard, PoisonError, Weak};

/// This process's view of its world.
pub(crate) struct World {
    pub(crate) liveness: &'static Liveness,
    pub(crate) memory: Memory,
    header: &'static Header,
    /// This process's references to objects, by index. What they are is the business of `handle`. Without a hash: its random numbers
    /// would be drawn in a fork server, and be the same in all its children.
    /// A lock of the standard library: a fork copies nothing half-changed of it.
    references: Mutex<BTreeMap<u32, Weak<dyn Any + Send + Sync>>>,
}

static CURRENT: AtomicPtr<World> = AtomicPtr::new(core::ptr::null_mut());
/// The view of a child that was given nothing shared, and the slot that it has not taken.
static ALONE: SetOnce<(&'static World, Reserved)> = SetOnce::new();
/// The process id of whoever attaches, 0 if nobody does.
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
    // ORDERING(current): Acquire, pairs with the Release in `join`; the view was whole before it was stored.
    let world = CURRENT.load(Ordering::Acquire);
    #[allow(unsafe_code, reason = "the one pointer to private state")]
    // SAFETY: null, or a leaked box that was fully made before the Release store in `join`; private to this process.
    unsafe {
        world.as_ref()
    }
}

/// What a child is given of its parent's world.
pub(crate) enum Given {
    File(OwnedFd),
    /// Mapped and checked before the child had its slot.
    View(&'static World),
}

impl Given {
    /// The file once more, for a child that joins in vain.
    pub(crate) fn duplicate(&self) -> io::Result<OwnedFd> {
        match self {
            Given::File(file) => descriptor::duplicate_above(file.as_fd(), 3),
            Given::View(world) => {
                let file = world.descriptor().map_err(io::Error::other)?;
                descriptor::duplicate_above(file, 3)
            }
        }
    }

    /// The same in a process that was forked by the one that prepared it, and that did nothing else with it.
    pub(crate) fn inherit(self) -> Given {
        if let Given::View(world) = &self {
            world.liveness.sleepers.inherit();
        }
        self
    }

    fn view(self, child: ProcessId) -> Result<&'static World> {
        match self {
            Given::File(file) => view(take_over(file)?, |header| namespace(header, Some(child))),
            Given::View(world) => Ok(world),
        }
    }
}

fn take_over(file: OwnedFd) -> Result<SharedFile> {
    SharedFile::adopt(file)
        .map_err(|error| Error::os("cannot take over the descriptor of shared memory", error))
}

/// Maps the file of a world before anybody knows as which process: this one, or one that it forks, will be a child of a process that
/// is in the world, in the same pid namespace.
pub(crate) fn prepare(file: OwnedFd) -> Result<Given> {
    let world = view(take_over(file)?, Header::pid_namespace)?;
    // Most calls stand in the first segment of the arena.
    let _ = world.memory.segments.get::<AtomicU32>(1, 0);
    Ok(Given::View(world))
}

/// Attaches a spawned child to the world of its parent, as the process that the parent reserved.
pub(crate) fn adopt(given: Given, child: Reserved) -> Result<&'static World> {
    attach(Some((given, child)))
}

/// The same for a child that was given nothing shared: it attaches at its first use of something shared. Until then its view is
/// good for nothing but to read its call, and to leave a short outcome in it. To be called once, before the child has other threads.
pub(crate) fn adopt_alone(given: Given, child: Reserved) -> Result<&'static World> {
    let world = given.view(child.child)?;
    world.liveness.run_alone(child.child)?;
    ALONE.set((world, child));
    Ok(world)
}

#[cold]
fn attach(given: Option<(Given, Reserved)>) -> Result<&'static World> {
    let pid = std::process::id();
    loop {
        // ORDERING(attaching): Acquire, here and below, pairs with the Release at the end.
        let holder = ATTACHING.load(Ordering::Acquire);
        if holder == pid {
            // Asleep, not yielding: the thread that attaches may have a lower priority.
            futex::wait(&ATTACHING, pid, Deadline::NEVER);
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
    // ORDERING(attaching): Release, pairs with the Acquire of the next one.
    ATTACHING.store(0, Ordering::Release);
    futex::wake_all(&ATTACHING);
    result
}

fn make(given: Option<(Given, Reserved)>) -> Result<&'static World> {
    if let Some((given, child)) = given {
        return join(given.view(child.child)?, Some(child));
    }
    let alone = ALONE.get();
    if let Some((world, child)) = alone.filter(|(world, _)| world.is_current()) {
        world.liveness.end_alone(child.child);
        return join(world, Some(Reserved { has_begun: true, ..*child }));
    }
    // Inherited over a fork, perhaps from a process that was alone.
    let file = match inherited().or(alone.map(|(world, _)| *world)) {
        Some(parent) => parent.memory.segments.file().try_clone()?,
        None => create(machine::pid_namespace())?,
    };
    join(view(file, |header| namespace(header, None))?, None)
}

/// Maps a file and makes what this process has of its own for it. Nobody else sees the view yet. `namespace` says in which pid
/// namespace this process is.
fn view(
    file: SharedFile,
    namespace: impl FnOnce(&'static Header) -> u64,
) -> Result<&'static World> {
    check_file(&file)?;
    let segments = Segments::open(file, LEN)?;
    let header: &'static Header = segments.get(0, 0)?;
    header.check(|| namespace(header))?;
    #[cfg(any(feature = "raw-sync", not(target_os = "linux")))]
    crate::sys::portable::use_table(&header.sleepers);
    let liveness = Liveness::new(&header.registry, header.pauses())?;
    let liveness: &'static Liveness = Box::leak(Box::new(liveness));
    let limit = header.memory_limit.load(Ordering::Relaxed);
    Ok(Box::leak(Box::new(World {
        liveness,
        memory: Memory::new(liveness, segments, &header.memory, limit),
        header,
        references: Mutex::default(),
    })))
}

/// Steps 3 to 6.
fn join(world: &'static World, reserved: Option<Reserved>) -> Result<&'static World> {
    let liveness = world.liveness;
    let process = liveness::start(liveness, reserved, sweep_soon)?;
    liveness.set_process(process);
    if reserved.is_none() {
        world.memory.begin_process(process);
    }
    // ORDERING(current): Release, pairs with the Acquire in `inherited`.
    CURRENT.store(core::ptr::from_ref(world).cast_mut(), Ordering::Release);
    liveness.tell_watchers(process.slot());
    static AT_EXIT: AtomicBool = AtomicBool::new(false);
    if !AT_EXIT.swap(true, Ordering::Relaxed) {
        // Without it the end of this process is an alarm, which costs time and nothing else.
        program::at_exit(at_exit);
    }
    Ok(world)
}

/// The pid namespace of this process. A child that its parent has started is in the parent's if it sees the parent under the
/// number that the parent has given itself: out of a namespace of its own it would not see it. To ask the system is dear: a
/// process that has just begun has no files in `/proc` yet.
fn namespace(header: &'static Header, reserved: Option<ProcessId>) -> u64 {
    let registry = Registry::new(&header.registry);
    let parent = reserved.and_then(|child| registry.state(child.slot()).parent());
    let pid = parent.and_then(|parent| registry.numbers(parent)).map(|numbers| numbers.pid);
    if pid == Some(program::parent_id()) {
        header.pid_namespace()
    } else {
        machine::pid_namespace()
    }
}

fn create(namespace: u64) -> Result<SharedFile> {
    let file = SharedFile::create(c"multiproc")
        .map_err(|error| Error::os("cannot create shared memory", error))?;
    file.grow(LEN as u64)?;
    file.seal().map_err(|error| Error::os("cannot seal shared memory", error))?;
    // A mapping of its own: the tables that check references do not exist yet.
    let segments = Segments::open(file.try_clone()?, LEN)?;
    let header: &'static Header = segments.get(0, 0)?;
    header.note_machine(machine::limit(), Pauses::measure());
    header.write(machine::random(), namespace);
    Ok(file)
}

/// A file that is too short or could shrink is not mapped at all.
fn check_file(file: &SharedFile) -> Result<()> {
    let size = file.size()?;
    if size < LEN as u64 {
        return Err(Error::of(
            ErrorKind::Corrupted,
            format!("shared memory is cut off: {size} bytes, at least {LEN} expected"),
        ));
    }
    if !file.is_sealed() {
        return Err(Error::of(
            ErrorKind::Mismatch,
            "not shared memory of this crate: the file is not sealed against shrinking",
        ));
    }
    Ok(())
}

/// Called by the keepers of the first processes when others have died: one of them sweeps up what they left, though nobody
/// allocates.
fn sweep_soon() {
    let Some(world) = current() else { return };
    if !world.memory.is_sweep_due() {
        return;
    }
    // The keeper itself locks nothing.
    let thread = std::thread::Builder::new().name("multiproc-sweep".into()).stack_size(256 << 10);
    let sweep = move || {
        let _ = world.memory.sweep_if_due();
    };
    // Without a thread the next allocation sweeps.
    let _ = thread::with_signals_blocked(|| thread.spawn(sweep));
}

extern "C" fn at_exit() {
    leave_in_order();
    #[cfg(any(feature = "raw-sync", not(target_os = "linux")))]
    crate::sys::portable::be_quiet();
}

/// Called when this process ends by itself: if it holds nothing, its end interests nobody.
pub(crate) fn leave_in_order() {
    let Some(world) = current() else { return };
    if world.references.try_lock().is_ok_and(|table| table.is_empty()) {
        world.liveness.leave_in_order();
    }
}

impl World {
    /// Whether this is the calling process's own view, not one inherited by fork.
    #[inline]
    pub(crate) fn is_current(&self) -> bool {
        self.liveness.is_current()
    }

    /// Random; tells this world's handles from another's.
    pub(crate) fn id(&self) -> u64 {
        self.header.id.load(Ordering::Relaxed)
    }

    /// The table of this process's references, locked.
    pub(crate) fn references(&self) -> MutexGuard<'_, BTreeMap<u32, Weak<dyn Any + Send + Sync>>> {
        self.references.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The descriptor of the file, close-on-exec.
    ///
    /// # Errors
    ///
    /// `Mismatch` if some code of the program closed it.
    pub(crate) fn descriptor(&self) -> Result<BorrowedFd<'_>> {
        self.memory.segments.file().descriptor()
    }

    /// Reserves a slot for a child that is about to start.
    pub(crate) fn embryo(&self) -> Result<ProcessId> {
        let child = self.liveness.registry.reserve_process(self.liveness.this_process())?;
        self.memory.begin_process(child);
        Ok(child)
    }
}

impl core::fmt::Debug for World {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("World")
            .field("process", &self.liveness.this_process())
            .finish_non_exhaustive()
    }
}
