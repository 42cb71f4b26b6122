//! The world that the package finds in a model: processes with threads, and memory.

package!("world");

use crate::error::Result;
use crate::handle;
use crate::liveness::registry::Registry;
use crate::liveness::slot::{Id, PROCESSES, ProcessId, RegistryTable, Slot};
use crate::liveness::{Liveness, Pauses};
use crate::memory::objects::{OBJECTS, PAYLOAD};
use crate::memory::segments::{self, Segments};
use crate::memory::{Memory, MemoryTable};
use crate::raw::records::CHUNK_BYTES;
use crate::sim;
use crate::sys::atomic::{AtomicU64, Ordering};
use crate::sys::futex;
use crate::sys::robust::{List, OWNER_DIED};
pub(crate) use kind::Kind;
use std::any::Any;
use std::cell::{RefCell, RefMut};
use std::collections::HashMap;
use std::sync::Weak;

/// One process's view of its world.
pub(crate) struct World {
    pub(crate) liveness: &'static Liveness,
    pub(crate) memory: Memory,
    table: &'static RegistryTable,
    /// The first of its threads.
    thread: usize,
    references: RefCell<HashMap<u32, Weak<dyn Any + Send + Sync>>>,
}

// SAFETY: loom runs one thread at a time, all on one thread of the system.
unsafe impl Send for World {}
// SAFETY: as above.
unsafe impl Sync for World {}

/// The first slot for threads.
pub(crate) const FIRST_THREAD: usize = PROCESSES;

/// So many words of a small block are used.
const BLOCK_WORDS: usize = 17;

/// How much memory there is.
const LIMIT: u64 = 1 << 40;

/// The world of the running thread's process.
static OWN: sim::Local<core::cell::Cell<Option<&'static World>>> =
    sim::Local::new(|| core::cell::Cell::new(None));

std::thread_local! {
    static OBJECT: core::cell::Cell<Option<&'static [AtomicU64]>> =
        const { core::cell::Cell::new(None) };
}

pub(crate) fn world() -> Result<&'static World> {
    Ok(OWN.get().expect("the model gives each thread a process"))
}

/// The slot number `slot` in its first life.
pub(crate) fn first(slot: usize) -> Id {
    Id::new(slot, 1)
}

/// Makes a world with so many processes, all alive, each with the threads named: their numbers in the model. Each thread has an
/// id and an entry among the sleepers, as if it had used something shared before. Of the memory nothing is used after the
/// preparation but what the model names.
pub(crate) fn make(processes: &[&[usize]]) -> Vec<&'static World> {
    let (registry, memory) = (table::<RegistryTable>(), table::<MemoryTable>());
    name_registry(registry, processes.len());
    processes.iter().map(|threads| join(registry, memory, threads)).collect()
}

/// Another process of the same world, with its threads; its slot is the next one.
fn join(
    registry: &'static RegistryTable,
    memory: &'static MemoryTable,
    threads: &[usize],
) -> &'static World {
    // One more may join.
    sim::set_room(threads.len() + 1);
    let liveness = Liveness::new(registry, Pauses::new(false, 1)).expect("memory");
    let liveness: &'static Liveness = sim::keep(liveness);
    let process = liveness.take_process(Some(&List), None).expect("a slot");
    liveness.set_process(process);
    let world: &'static World = sim::keep(World {
        liveness,
        memory: Memory::new(liveness, Segments, memory, LIMIT),
        table: registry,
        thread: threads.first().copied().unwrap_or(0),
        references: RefCell::default(),
    });
    world.memory.begin_process(process);
    for &thread in threads {
        sim::as_thread(thread, || {
            OWN.set(Some(world));
            liveness.me().expect("a free slot");
        });
    }
    world
}

/// A zeroed table.
fn table<T>() -> &'static T {
    let memory = sim::memory(size_of::<T>() / 8);
    // SAFETY: as large as the table and aligned to two lines; a structure of atomics, for which zero is a value.
    unsafe { &*memory.cast::<T>() }
}

fn name_registry(table: &RegistryTable, processes: usize) {
    for word in
        [&table.processes, &table.thread_cursor, &table.alarms, &table.threads, &table.losses]
    {
        sim::exist(word, 1);
    }
    for slot in &table.slots[..processes] {
        name_slot(slot);
    }
    for slot in &table.slots[PROCESSES..PROCESSES + sim::THREADS] {
        name_slot(slot);
    }
}

fn name_slot(slot: &Slot) {
    sim::exist(&slot.state, 1);
    sim::exist(&slot.process, 1);
    sim::exist(&slot.pid, 1);
    for word in [&slot.control, &slot.gone, &slot.left, &slot.died, &slot.told] {
        sim::exist(word, 1);
    }
}

impl World {
    pub(crate) fn is_current(&self) -> bool {
        self.liveness.is_current()
    }

    pub(crate) fn id(&self) -> u64 {
        7
    }

    /// The table of this process's references.
    pub(crate) fn references(&self) -> RefMut<'_, HashMap<u32, Weak<dyn Any + Send + Sync>>> {
        self.references.borrow_mut()
    }

    pub(crate) fn registry(&self) -> Registry {
        self.liveness.registry
    }

    pub(crate) fn process(&self) -> ProcessId {
        self.liveness.this_process()
    }

    /// Where the next search for a thread's slot starts.
    pub(crate) fn set_cursor(&self, slot: u32) {
        self.table.thread_cursor.store(slot, Ordering::Relaxed);
    }

    /// A process that joins after the preparation takes this slot.
    pub(crate) fn name_process(&self, slot: usize) {
        name_slot(&self.table.slots[slot]);
    }

    /// A thread with this number joins this process after the preparation.
    pub(crate) fn name_thread(&'static self, thread: usize) {
        sim::as_thread(thread, || OWN.set(Some(self)));
    }

    /// A view of the same registry for a process that joins after the preparation.
    pub(crate) fn another_view(&self) -> &'static Liveness {
        sim::set_room(0);
        sim::keep(Liveness::new(self.table, Pauses::new(false, 1)).expect("memory"))
    }

    /// Makes the keeper take a turn.
    pub(crate) fn wake_keeper(&self) {
        let control = &self.registry().slot(self.process().slot()).control;
        control.fetch_add(1, Ordering::SeqCst);
        futex::wake(control, 1);
    }

    /// The id of the running thread.
    pub(crate) fn me(&self) -> Id {
        self.liveness.me_fast().expect("a thread of the model")
    }

    /// The id of a thread.
    pub(crate) fn id_of(&self, thread: usize) -> Id {
        sim::as_thread(thread, || self.me())
    }

    /// The payload of the object that the model has made first.
    pub(crate) fn object(&self) -> &'static [AtomicU64] {
        if !sim::is_started() {
            let object = self.memory.object(0).expect("an object");
            OBJECT.set(Some(&object.payload));
        }
        OBJECT.get().expect("looked at during the preparation")
    }

    /// What the kernel does when a thread dies: marks its word, wakes one who sleeps on that.
    pub(crate) fn kernel_marks(&self, id: Id) {
        let slot = self.registry().slot(id.slot());
        slot.state.fetch_or(u64::from(OWNER_DIED), Ordering::SeqCst);
        futex::wake(slot.robust_word(), 1);
    }

    /// A keeper's look for news that came without a wake, when all others have come as far as they can.
    pub(crate) fn look_for_old_news(&self) {
        crate::sys::thread::yield_now();
        self.liveness.sleepers.ring_for_missed_changes();
    }

    /// A keeper's alarm that every sleeper of this process has heard: the short form of the keeper, for models of other
    /// protocols.
    pub(crate) fn alarm(&self) {
        self.liveness.sleepers.raise();
        while self.liveness.sleepers.ring() {
            crate::sys::thread::yield_now();
        }
    }
}

/// Runs `f` as the first thread of a process.
pub(crate) fn within<R>(world: &'static World, f: impl FnOnce() -> R) -> R {
    sim::as_thread(world.thread, f)
}

/// The payload of the only object of a model, which is used after the preparation.
pub(crate) fn only_object(world: &World) -> &'static [AtomicU64] {
    let words = world.object();
    sim::exist(words.as_ptr(), words.len());
    words
}

/// The same object as another process sees it: its handle travels there.
pub(crate) fn seen_by<H>(handle: &H, world: &'static World) -> &'static H
where
    H: serde::Serialize + serde::de::DeserializeOwned + 'static,
{
    let packed = handle::pack(|| Ok(postcard::to_stdvec(handle).expect("a handle")));
    let (mut bytes, parcel) = packed.expect("a handle");
    handle::seal(&mut bytes, &parcel);
    within(world, || {
        let (body, claimed) = handle::open(world, &bytes).expect("a sealed handle");
        let there = handle::unpack(claimed, || postcard::from_bytes::<H>(body));
        sim::keep(there.expect("a handle"))
    })
}

/// The end of a pipe, which is another process's from now on.
pub(crate) fn moved_to<H>(end: H, world: &'static World) -> H
where
    H: serde::Serialize + serde::de::DeserializeOwned,
{
    let packed = handle::pack(|| Ok(postcard::to_stdvec(&end).expect("an end")));
    let (mut bytes, parcel) = packed.expect("an end");
    handle::seal(&mut bytes, &parcel);
    let there = within(world, || {
        let (body, claimed) = handle::open(world, &bytes).expect("a sealed end");
        handle::unpack(claimed, || postcard::from_bytes::<H>(body))
    });
    parcel.depart();
    there.expect("an end")
}

/// Words of an object.
const WORDS: usize = size_of::<crate::memory::Object>() / 8;

/// The memory of `world` is used after the preparation: the arena, all objects, the first words of presence tables and of the
/// blocks of queues and calls, and those words of chunks that `is_word` names.
pub(crate) fn name_memory(world: &World, is_word: impl Fn(usize) -> bool) {
    let table = world.memory.table;
    sim::exist(&table.arena, 10);
    sim::exist(&table.free, table.free.len());
    sim::exist(&table.object_blocks, 1);
    for record in &table.processes[..world.registry().processes()] {
        sim::exist(record, 2);
    }
    let objects = table.object_blocks[0].load(Ordering::Relaxed);
    segments::for_each_block(|id, head, payload, words| {
        sim::exist(head, 10);
        let is_chunk = words >= CHUNK_BYTES / 8;
        for word in 0..words {
            let is_used = match () {
                () if id == objects => {
                    word < WORDS * OBJECTS as usize && word % WORDS < PAYLOAD + 3
                }
                () if is_chunk => is_word(word),
                () => word < BLOCK_WORDS,
            };
            if is_used {
                sim::exist(payload.wrapping_add(word), 1);
            }
        }
    });
}
