//! What is built on the world: locks, an event and a semaphore with their operations. Their handles do not travel.

#[allow(unused, clippy::all, reason = "a copy")]
mod forms {
    copied!("forms");
}

#[allow(unused, private_interfaces, clippy::all, reason = "a copy")]
pub(crate) mod lock {
    copied!("lock");

    impl Lock {
        /// The same lock as another process sees it.
        pub(crate) fn seen_by(&self, world: &'static World) -> Lock {
            Lock::from_reference(self.reference.seen_by(world)).expect("no more than another view")
        }
    }

    impl LockGuard<'_> {
        /// Whether dropping it clears the mark.
        pub(crate) fn has_recovered(&self) -> bool {
            self.holding.recovered
        }
    }
}

#[allow(unused, private_interfaces, clippy::all, reason = "a copy")]
pub(crate) mod rlock {
    copied!("rlock");

    use crate::world::World;

    impl RLock {
        /// The same lock as another process sees it.
        pub(crate) fn seen_by(&self, world: &'static World) -> RLock {
            RLock::from_reference(self.reference.seen_by(world)).expect("no more than another view")
        }

        /// The depth as it stands in the cell.
        pub(crate) fn raw_depth(&self) -> u32 {
            self.cell.depth.load(Ordering::Relaxed)
        }

        pub(crate) fn is_marked(&self) -> bool {
            self.cell.word.is_marked()
        }

        pub(crate) fn is_mine(&self) -> bool {
            self.cell.word.owner() == self.reference.world.me_at_hand()
        }
    }

    impl RLockGuard<'_> {
        /// Whether this guard is the first of a recovery.
        pub(crate) fn has_recovered(&self) -> bool {
            self.holding.recovered
        }
    }
}

pub(crate) mod event {
    use crate::error::Result;
    use crate::sim;
    use crate::sys::atomic::{AtomicU32, Ordering};
    use crate::sys::clock::Deadline;
    use crate::sys::futex;
    use crate::world::World;
    use crate::world::wait::Wait;

    pub(crate) struct EventCell {
        word: AtomicU32,
    }

    struct Reference {
        world: &'static World,
    }

    /// A handle of one process.
    pub(crate) struct Event {
        reference: Reference,
        cell: &'static EventCell,
    }

    #[allow(unused, private_interfaces, clippy::all, reason = "a copy")]
    mod copy {
        use super::*;
        copied!("event");
        pub(super) const SLEEPER_BIT: u32 = SLEEPERS;
    }

    impl Event {
        pub(crate) fn new_cell() -> &'static EventCell {
            sim::keep(EventCell { word: AtomicU32::new(0) })
        }

        pub(crate) fn of(world: &'static World, cell: &'static EventCell) -> Event {
            Event { reference: Reference { world }, cell }
        }

        pub(crate) fn has_waiters(&self) -> bool {
            self.cell.word.peek() & copy::SLEEPER_BIT != 0
        }

        pub(crate) fn wait(&self) {
            assert!(self.wait_until(Deadline::NEVER).expect("a thread of the model"));
        }
    }
}

pub(crate) mod semaphore {
    use crate::error::{Error, ErrorKind, Result};
    use crate::sim;
    use crate::sys::atomic::{AtomicU32, AtomicU64, Ordering};
    use crate::sys::clock::Deadline;
    use crate::sys::thread;
    use crate::world::brief_lock::BriefLock;
    use crate::world::header::PROCESSES;
    use crate::world::news::News;
    use crate::world::registry::Id;
    use crate::world::restraint::Restraint;
    #[allow(unused_imports, reason = "by version of the copy")]
    use crate::world::wait::{Wait, me, me_at_hand};
    use crate::world::word_lock::Outcome;
    use crate::world::{ProcessId, World};
    use std::time::Duration;

    #[repr(C)]
    pub(crate) struct SemaphoreCell {
        lock: BriefLock,
        total: AtomicU32,
        available: AtomicU32,
        news: News,
        block: AtomicU32,
        most: AtomicU32,
        restraint: Restraint,
        near: [AtomicU64; 2],
    }

    struct Far([AtomicU64; PROCESSES]);

    #[derive(PartialEq)]
    pub(crate) enum Attempt {
        Taken,
        NoneLeft,
        NoEntry,
    }

    /// One process's view of a semaphore.
    pub(crate) struct Permits {
        world: &'static World,
        cell: &'static SemaphoreCell,
        /// What a block would hold; there is one as soon as the cell says so.
        block: &'static Far,
        process: u64,
    }

    #[allow(unused, private_interfaces, clippy::all, reason = "a copy")]
    mod copy {
        use super::*;
        copied!("semaphore");
    }

    fn split(word: u64) -> (u32, u32) {
        ((word >> 32) as u32, word as u32)
    }

    fn too_many(_: u32, _: u32, _: u32) -> Error {
        Error::simple(ErrorKind::Limit)
    }

    impl Permits {
        /// A semaphore with so many permits, as each of `worlds` sees it.
        pub(crate) fn make(worlds: &[&'static World], permits: u32) -> Vec<Permits> {
            let words = size_of::<SemaphoreCell>() / 8;
            let memory = sim::memory(words);
            for word in 0..words {
                sim::create(memory.wrapping_add(word), 0);
            }
            // SAFETY: a structure of atomics in memory of atomics.
            let cell: &'static SemaphoreCell = unsafe { &*memory.cast::<SemaphoreCell>() };
            for word in [&cell.total, &cell.available, &cell.most] {
                sim::create(word, u64::from(permits));
            }
            // SAFETY: zeroed memory, as large as the structure.
            let block = unsafe { &*sim::memory(PROCESSES).cast::<Far>() };
            for slot in 0..worlds.len() {
                sim::create(block.of(slot), 0);
            }
            let permits = |world: &&'static World| {
                let process: ProcessId = world.this_process();
                Permits { world, cell, block, process: u64::from(process.to_bits()) }
            };
            worlds.iter().map(permits).collect()
        }

        fn far(&self) -> Result<Option<&'static Far>> {
            Ok((self.cell.block.load(Ordering::Relaxed) != 0).then_some(self.block))
        }

        fn add_block(&self, me: Id, until: Deadline) -> Result<()> {
            self.lock(me, until)?;
            self.cell.block.store(1, Ordering::Relaxed);
            self.cell.lock.unlock();
            Ok(())
        }

        pub(crate) fn take_one(&self) {
            self.acquire(Deadline::NEVER).expect("a permit");
        }

        pub(crate) fn set_most(&self, most: u32) {
            self.cell.most.store(most, Ordering::Relaxed);
        }

        /// Total, and how many are available.
        pub(crate) fn counts(&self) -> (u32, u32) {
            let me = self.world.me().expect("an id");
            self.lock(me, Deadline::NEVER).expect("the lock");
            let available = self.derive().expect("whole memory");
            self.cell.lock.unlock();
            (self.cell.total.load(Ordering::SeqCst), available)
        }
    }
}
