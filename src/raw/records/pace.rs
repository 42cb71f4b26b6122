//! How getters and putters wait before they sleep.

use crate::sys::atomic::{AtomicU32, Ordering};
use crate::sys::thread;
use crate::world::World;

/// Looks for some microseconds whether `blocked` has ended: as fast as pausing allows for about 5 us, then four times after
/// giving the processor away. How many looks it took, if it has.
fn spin(world: &World, blocked: impl Fn() -> bool) -> Option<u32> {
    let looks = 20 * world.looks();
    for look in 0..looks {
        if !blocked() {
            return Some(look);
        }
        world.pause_shortly();
    }
    for _ in 0..4 {
        thread::yield_now();
        if !blocked() {
            return Some(looks);
        }
    }
    None
}

/// How a getter waits for messages, and a putter for room. When each message comes just as the getter looks for one, both
/// sides pay two cache lines a message; then it holds off for 2 us at the next empty queue, and takes what has gathered
/// meanwhile in one go. (A prototype went from 11 to 30 million messages a second.) If little gathers, it stops holding off
/// for a while. The same goes for a putter at a full queue.
///
/// Hints of one handle, shared by its threads; nothing depends on them.
#[derive(Default)]
pub(super) struct Pace {
    /// Waits in a row that ended at once.
    quick: AtomicU32,
    /// Waits for which holding off is off.
    forbidden: AtomicU32,
    /// The count of records taken or put when it last held off.
    held_at: AtomicU32,
}

/// Waits in a row that call for holding off.
const QUICK_WAITS: u32 = 4;
/// A wait that took no more than this part of 250 ns was quick.
const QUICK: u32 = 4;
/// Fewer messages after holding off are not worth it.
const WORTH: u32 = 4;
/// For how many waits it is off then.
const FORBIDDEN: u32 = 32;

impl Pace {
    /// Waits for some microseconds while `is_blocked`; whether that has ended. `moved` counts the records so far.
    pub(super) fn spin(&self, world: &World, moved: u32, is_blocked: impl Fn() -> bool) -> bool {
        let forbidden = self.forbidden.load(Ordering::Relaxed);
        if forbidden > 0 {
            self.forbidden.store(forbidden - 1, Ordering::Relaxed);
        } else if self.quick.load(Ordering::Relaxed) >= QUICK_WAITS {
            let held_at = self.held_at.load(Ordering::Relaxed);
            if held_at != 0 && moved.wrapping_sub(held_at) < WORTH {
                self.forbidden.store(FORBIDDEN, Ordering::Relaxed);
                self.quick.store(0, Ordering::Relaxed);
            } else {
                // 250 ns times 8.
                world.pause(3);
            }
            self.held_at.store(moved.max(1), Ordering::Relaxed);
            return spin(world, is_blocked).is_some();
        }
        self.held_at.store(0, Ordering::Relaxed);
        match spin(world, is_blocked) {
            Some(looks) => {
                let quick = if looks <= (world.looks() / QUICK).max(1) {
                    self.quick.load(Ordering::Relaxed) + 1
                } else {
                    0
                };
                self.quick.store(quick, Ordering::Relaxed);
                true
            }
            None => {
                self.quick.store(0, Ordering::Relaxed);
                false
            }
        }
    }
}
