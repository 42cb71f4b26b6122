//! The world that the copies find: processes with threads, a keeper each if the model wants one, and a few cells.

#[allow(unused, private_interfaces, clippy::all, reason = "a copy")]
pub(crate) mod header {
    copied!("header");
}
#[allow(unused, private_interfaces, clippy::all, reason = "a copy")]
pub(crate) mod registry {
    copied!("registry");

    /// The slot number `slot` in its first life.
    pub(crate) fn first(slot: usize) -> Id {
        Id::new(slot, 1)
    }
}
#[allow(unused, private_interfaces, clippy::all, reason = "a copy")]
pub(crate) mod wait {
    use crate::sim::model_local as thread_local;
    copied!("wait");
}
#[allow(unused, private_interfaces, clippy::all, reason = "a copy")]
pub(crate) mod word_lock {
    copied!("word_lock");
}
#[allow(unused, private_interfaces, clippy::all, reason = "a copy")]
pub(crate) mod restraint {
    copied!("restraint");
}
#[allow(unused, private_interfaces, clippy::all, reason = "a copy")]
pub(crate) mod brief_lock {
    copied!("brief_lock");
}
#[allow(unused, private_interfaces, clippy::all, reason = "a copy")]
pub(crate) mod news {
    copied!("news");
}
#[allow(unused, private_interfaces, clippy::all, reason = "a copy")]
pub(crate) mod keeper {
    copied!("keeper");

    /// The keeper of `world`, which has looked at all slots, as it has before its process uses anything shared. What it
    /// gives back is its work, for a thread of its own, until the model is over.
    pub(crate) fn keep(world: &'static World) -> impl FnOnce() {
        let mut keeper =
            Keeper::new(world, world.this_process(), Vec::new(), Vec::with_capacity(8));
        move || keeper.run()
    }
}
pub(crate) mod arena;
pub(crate) mod cells;
pub(crate) mod handle;

use crate::error::Result;
use crate::sim;
use crate::sys::atomic::{AtomicU32, Ordering};
use crate::sys::futex;
use crate::sys::robust::{List, OWNER_DIED, WAITERS};
use header::{Header, PROCESSES, Slot};
pub(crate) use registry::ProcessId;
use registry::{Id, Registry};

/// One process's view of the world.
pub(crate) struct World {
    pub(crate) header: &'static Header,
    pub(crate) registry: Registry,
    records: &'static wait::Records,
    process: AtomicU32,
}

/// The first slot for threads.
pub(crate) const FIRST_THREAD: usize = PROCESSES;

const NOBODY: Id = Id::NOBODY;

/// What may be laid over shared memory.
///
/// # Safety
///
/// A structure of atomics.
pub(crate) unsafe trait Shared {}

#[allow(unused, private_interfaces, clippy::all, reason = "a copy")]
mod copy {
    use super::*;
    copied!("world");
}

/// The world of the running thread's process.
static OWN: sim::Local<core::cell::Cell<Option<&'static World>>> =
    sim::Local::new(|| core::cell::Cell::new(None));

pub(crate) fn world() -> Result<&'static World> {
    Ok(OWN.get().expect("the model gives each thread a process"))
}

/// Makes the shared header with slots for `processes` processes, all alive, each with the threads named: their numbers in
/// the model. Each thread has an id and a record, as if it had used something shared before.
pub(crate) fn make(processes: &[&[usize]]) -> Vec<&'static World> {
    crate::testing::set_spin(false);
    let memory = sim::memory(size_of::<Header>() / 8);
    // SAFETY: as large as a Header and aligned to a line; zero is a value of every field.
    let header: &'static Header = unsafe { &*memory.cast::<Header>() };
    sim::create(&header.processes, processes.len() as u64);
    sim::create(&header.thread_cursor, 0);
    sim::create(&header.alarms, 0);
    sim::create(&header.threads, 0);
    let threads = processes.iter().map(|threads| threads.len()).sum::<usize>();
    assert!(threads <= sim::THREADS);
    for index in 0..processes.len() {
        // Alive in the first life, with a keeper that has some number.
        create_slot(&header.slots[index], 1 << 32 | u64::from(WAITERS) | (100 + index as u64));
    }
    for index in 0..sim::THREADS {
        create_slot(&header.slots[PROCESSES + index], 0);
    }
    let mut worlds = Vec::new();
    for (index, threads) in processes.iter().enumerate() {
        let world: &'static World = sim::keep(World {
            header,
            registry: Registry::new(header),
            records: wait::Records::new().expect("memory"),
            process: AtomicU32::new(registry::first(index).to_bits()),
        });
        for &thread in *threads {
            sim::as_thread(thread, || {
                OWN.set(Some(world));
                wait::me().expect("a free slot");
            });
        }
        worlds.push(world);
    }
    worlds
}

fn create_slot(slot: &Slot, state: u64) {
    sim::create(&slot.state, state);
    sim::create(&slot.process, 0);
    sim::create(&slot.pid, 0);
    sim::create(&slot.control, 0);
    sim::create(&slot.gone, 0);
}

impl World {
    pub(crate) fn spins(&self) -> bool {
        false
    }

    pub(crate) fn pause(&self, _: u32) {}

    pub(crate) fn pause_for_news(&self, _: u32) {}

    pub(crate) fn is_robust(&self) -> bool {
        true
    }

    fn is_told(&self) -> bool {
        true
    }

    fn take_process(&self, _: Option<&List>, _: Option<ProcessId>) -> Result<ProcessId> {
        unreachable!("the processes of a model are there from the start")
    }

    pub(crate) fn take_thread(&self) -> Result<Id> {
        self.registry.take_thread(None, self.this_process(), self.process.peek())
    }

    fn leave_thread(&self, _: Id) {}

    /// What the kernel does when a thread dies: marks its word, wakes one who sleeps on that.
    pub(crate) fn kernel_marks(&self, id: Id) {
        let slot = self.registry.slot(id.slot());
        slot.state.fetch_or(u64::from(OWNER_DIED), Ordering::SeqCst);
        // The sleeper sleeps on the low half, by its address.
        let word = &slot.state;
        // SAFETY: the address is a key here; both types have one form.
        let word = unsafe { AtomicU32::from_ptr(word.as_ptr().cast()) };
        futex::wake(word, 1);
    }

    /// A keeper's look for news that came without a wake, when all others have come as far as they can.
    pub(crate) fn look_for_old_news(&self) {
        crate::sys::thread::yield_now();
        self.records.ring_for_old_news();
    }

    /// A keeper's alarm that every sleeper of this process has heard: the short form of `keeper`, for models of other
    /// protocols.
    pub(crate) fn alarm(&self) {
        self.records.raise();
        while self.records.ring() {
            crate::sys::thread::yield_now();
        }
    }
}
