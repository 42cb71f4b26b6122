//! What the actors of the soak play: the roles, and the parts in which they meet; see `soak`.

use std::sync::atomic::Ordering::{Relaxed, Release, SeqCst};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::board::{self, SEATS, Shared, TALLIES, Teller};
use super::props::{Kind, Props, TORN};
use super::queue_verbs::{simply_get, simply_put, whole};

/// What a free-running actor does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Role {
    /// Locks, and holds for a while.
    Holder,
    /// Locks and unlocks.
    Locker,
    /// Waits for the event.
    Waiter,
    /// Sets and clears it.
    Setter,
    Putter,
    /// Puts now and then: the getters wait.
    SlowPutter,
    Getter,
    /// Gets now and then: the putters wait.
    SlowGetter,
}

impl Role {
    pub(super) fn gets(self) -> bool {
        matches!(self, Self::Getter | Self::SlowGetter)
    }
}

/// One kind of victim, and its company.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) name: &'static str,
    pub(super) victim: Role,
    /// The victim is killed while it comes up.
    pub(super) unborn: bool,
    pub(super) companions: [Role; 3],
    /// The queue, for even and for odd kills.
    pub(super) kinds: [Kind; 2],
}

pub(super) const PARTS: [Part; 10] = [
    Part {
        name: "lock holder",
        victim: Role::Holder,
        unborn: false,
        companions: [Role::Locker; 3],
        kinds: [Kind::Small; 2],
    },
    Part {
        name: "lock waiter",
        victim: Role::Locker,
        unborn: false,
        companions: [Role::Holder, Role::Holder, Role::Locker],
        kinds: [Kind::Small; 2],
    },
    Part {
        name: "event waiter",
        victim: Role::Waiter,
        unborn: false,
        companions: [Role::Setter, Role::Waiter, Role::Waiter],
        kinds: [Kind::Small; 2],
    },
    Part {
        name: "getter blocked",
        victim: Role::Getter,
        unborn: false,
        companions: [Role::SlowPutter, Role::Getter, Role::Getter],
        kinds: [Kind::Small, Kind::Big],
    },
    Part {
        name: "putter blocked",
        victim: Role::Putter,
        unborn: false,
        companions: [Role::SlowGetter, Role::Putter, Role::Putter],
        kinds: [Kind::Bounded, Kind::BigBounded],
    },
    Part {
        name: "busy putter",
        victim: Role::Putter,
        unborn: false,
        companions: [Role::Putter, Role::Getter, Role::Getter],
        kinds: [Kind::Busy, Kind::BigBounded],
    },
    Part {
        name: "busy getter",
        victim: Role::Getter,
        unborn: false,
        companions: [Role::Putter, Role::Putter, Role::Getter],
        kinds: [Kind::Busy, Kind::BigBounded],
    },
    Part {
        name: "task worker",
        victim: Role::Getter,
        unborn: false,
        companions: [Role::Putter, Role::Putter, Role::Getter],
        kinds: [Kind::Tasks; 2],
    },
    Part {
        name: "task putter",
        victim: Role::Putter,
        unborn: false,
        companions: [Role::Putter, Role::Getter, Role::Getter],
        kinds: [Kind::Tasks; 2],
    },
    Part {
        name: "process that starts",
        victim: Role::Getter,
        unborn: true,
        companions: [Role::Putter, Role::Getter, Role::Getter],
        kinds: [Kind::Busy, Kind::BigBounded],
    },
];

/// Plays a role until killed.
pub(crate) fn play(board: &Shared, index: usize, role: Role, kind: Kind, props: &Props) {
    let seat = board.seat(index);
    let soak = &board.soak;
    let teller = &soak.tellers[index];
    let mut last = [0; SEATS];
    loop {
        if !role.gets() {
            park(board, teller);
        }
        teller.inside.store(1, SeqCst);
        let done = match role {
            Role::Holder | Role::Locker => lock(board, index, props, role == Role::Holder),
            Role::Waiter => props.event.wait(),
            Role::Setter => {
                props.event.set();
                Ok(())
            }
            Role::Putter | Role::SlowPutter => {
                let number = teller.begun.load(Relaxed) + 1;
                while number - teller.checked.load(Relaxed) > TALLIES as u64 {
                    // The tallies are full: the director is late.
                    park(board, teller);
                    std::thread::sleep(Duration::from_micros(100));
                }
                teller.begun.store(number, Release);
                let done = simply_put(props, kind, (index as u64) << 32 | number);
                if done.is_ok() {
                    teller.put.store(number, Release);
                }
                done
            }
            // Counted before it is done: then it may come twice, and is never lost.
            Role::Getter | Role::SlowGetter if kind == Kind::Tasks => {
                props.tasks.get().and_then(|task| {
                    note(board, whole(&task, task.len()), &mut [0; SEATS]);
                    task.done()
                })
            }
            Role::Getter | Role::SlowGetter => {
                simply_get(props, kind).map(|id| note(board, id, &mut last))
            }
        };
        teller.inside.store(0, SeqCst);
        if let Err(error) = done {
            seat.say(&error.to_string());
            soak.failed.fetch_add(1, Relaxed);
            std::thread::sleep(Duration::from_millis(1));
        }
        teller.turns.fetch_add(1, Relaxed);
        let slow =
            matches!(role, Role::SlowPutter | Role::SlowGetter | Role::Setter | Role::Waiter);
        if slow && soak.hush.load(Relaxed) == 0 {
            std::thread::sleep(Duration::from_micros(20));
        }
        if role == Role::Setter {
            props.event.clear();
        }
    }
}

fn park(board: &Shared, teller: &Teller) {
    while board.soak.hush.load(SeqCst) == 1 {
        teller.parked.store(1, SeqCst);
        board::wait(&board.soak.hush, 1, Duration::from_millis(100));
    }
    teller.parked.store(0, SeqCst);
    // The director looks at `parked` only while it says hush: one more look after the store.
    if board.soak.hush.load(SeqCst) == 1 {
        park(board, teller);
    }
}

fn lock(board: &Shared, index: usize, props: &Props, hold: bool) -> multiproc::Result<()> {
    let occupant = &board.soak.occupant;
    let me = index as u32 + 1;
    let (guard, died) = match props.lock.lock() {
        Err(error) if error.is_owner_died() => {
            let guard = props.lock.recover()?;
            let died = guard.dead_owner().is_some();
            (guard, died)
        }
        guard => (guard?, false),
    };
    if occupant.swap(me, SeqCst) != 0 && !died {
        board.soak.damaged.fetch_add(1, Relaxed);
    }
    if hold {
        let until = Instant::now() + Duration::from_micros(40);
        while Instant::now() < until {
            std::hint::spin_loop();
        }
    }
    if occupant.swap(0, SeqCst) != me {
        board.soak.damaged.fetch_add(1, Relaxed);
    }
    drop(guard);
    Ok(())
}

/// Counts a message; those of one putter come in order.
fn note(board: &Shared, id: u64, last: &mut [u64; SEATS]) {
    let (putter, number) = ((id >> 32) as usize, id & u64::from(u32::MAX));
    if id == TORN || putter >= SEATS || number <= last[putter] {
        board.soak.damaged.fetch_add(1, Relaxed);
        return;
    }
    last[putter] = number;
    board.soak.got[putter][number as usize % TALLIES].fetch_add(1, Relaxed);
}
