//! What is built on the world: an event with its four operations. Its handles do not travel.

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
