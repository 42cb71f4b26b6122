//! An end of a pipe: who has it, whether the other one is there, and how it travels.
//!
//! The process that has an end has its role's presence bit ([`crate::memory`]); on its way an end is a reference in a
//! message, or in a result. So an end is nowhere for good once its process is dead, it was dropped, or nobody can receive
//! the message in which it stands. In the process that has it, an end is one value, which has a [`Seat`]:
//!
//! | seat | meaning |
//! |---|---|
//! | `HERE` | the value can be used |
//! | `LEAVING` | a call that sends it is under way |
//! | `GONE` | it was sent: the value is an empty shell |
//!
//! A call that sends an end makes the message visible and then empties the seat; if it fails, the end is here again. The
//! receiver of the message takes the role before it moves the head past the message, so the end is never nowhere in between.

use super::span::damaged;
use super::store::{RECEIVER, SENDER, Store};
use crate::channel::tag::tag_of;
use crate::error::{Error, ErrorKind, Result};
use crate::handle::{self, Found, ObjectRef, Passenger};
use crate::message;
use crate::sys::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::world::Kind;
use std::sync::Arc;

const HERE: u32 = 0;
const LEAVING: u32 = 1;
const GONE: u32 = 2;

/// A place for one end in this process.
struct Seat {
    store: Store,
    role: u32,
    state: AtomicU32,
}

impl Passenger for Seat {
    fn board(&self) -> bool {
        self.state.compare_exchange(HERE, LEAVING, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    fn depart(&self) {
        if self.state.swap(GONE, Ordering::AcqRel) != GONE {
            self.store.leave(self.role);
        }
    }

    fn stay(&self) {
        let _ = self.state.compare_exchange(LEAVING, HERE, Ordering::AcqRel, Ordering::Relaxed);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.depart();
    }
}

/// An end of a pipe in this process.
pub(super) struct End {
    pub(super) store: Store,
    seat: Arc<Seat>,
    pub(super) role: u32,
    /// The epoch at which the other end was last seen in a process; `CLOSED` once it was nowhere.
    other: AtomicU64,
}

/// No epochs that come: see [`End::is_alone`].
const UNSEEN: u64 = u64::MAX;
const CLOSED: u64 = u64::MAX - 1;

impl End {
    pub(super) fn new(store: Store, role: u32) -> End {
        let seat = Seat { store: store.clone(), role, state: AtomicU32::new(HERE) };
        End { store, seat: Arc::new(seat), role, other: AtomicU64::new(UNSEEN) }
    }

    fn other_role(&self) -> u32 {
        if self.role == SENDER { RECEIVER } else { SENDER }
    }

    /// Whether the end is this process's.
    #[inline]
    pub(super) fn is_here(&self) -> bool {
        self.store.is_current() && self.seat.state.load(Ordering::Relaxed) == HERE
    }

    /// An error if it is not.
    #[inline]
    pub(super) fn check(&self) -> Result<()> {
        if self.is_here() { Ok(()) } else { Err(self.not_here()) }
    }

    #[cold]
    fn not_here(&self) -> Error {
        if !self.store.is_current() {
            return Error::of(
                ErrorKind::Foreign,
                "the end of a pipe was inherited over a fork, and belongs to the process that forked: pass it in the arguments of Process::spawn",
            );
        }
        Error::of(
            ErrorKind::Foreign,
            "this end of a pipe was sent away and belongs to who received it: make another pipe",
        )
    }

    /// Whether the other end was seen in a process, and nothing has changed since.
    #[inline]
    pub(super) fn is_accompanied(&self) -> bool {
        self.other.load(Ordering::Relaxed) == self.store.epoch()
    }

    /// Whether the other end is gone for good.
    pub(super) fn is_alone(&self) -> bool {
        let (epoch, other) = (self.store.epoch(), self.other.load(Ordering::Relaxed));
        if other == CLOSED || other == epoch {
            return other == CLOSED;
        }
        match self.store.find(self.other_role()) {
            // Until the epoch changes: an end leaves a process only with that.
            Found::InProcess => self.other.store(epoch, Ordering::Relaxed),
            Found::UnderWay => {}
            Found::Nowhere => self.other.store(CLOSED, Ordering::Relaxed),
        }
        self.other.load(Ordering::Relaxed) == CLOSED
    }

    pub(super) fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let passenger = Arc::clone(&self.seat) as Arc<dyn Passenger>;
        handle::serialize_owned(self.store.reference(), self.role, passenger, serializer)
    }

    /// Brings an end back that travelled, if it has this role and is for messages of type `T`.
    pub(super) fn deserialize<'de, T, D: serde::Deserializer<'de>>(
        deserializer: D,
        role: u32,
    ) -> Result<End, D::Error> {
        let end = End::deserialize_any(deserializer)?;
        if end.role == role && end.store.is_of(&tag_of::<T>()) {
            return Ok(end);
        }
        Err(message::refuse_to_deserialize(end.mismatch(role, tag_of::<T>().name)))
    }

    /// The same for messages of any type, which the caller checks.
    pub(super) fn deserialize_any_type<'de, D: serde::Deserializer<'de>>(
        deserializer: D,
        role: u32,
    ) -> Result<End, D::Error> {
        let end = End::deserialize_any(deserializer)?;
        if end.role == role {
            return Ok(end);
        }
        Err(message::refuse_to_deserialize(end.mismatch(role, "_")))
    }

    fn deserialize_any<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<End, D::Error> {
        let (reference, roles) = handle::deserialize(deserializer, Kind::Pipe)?;
        End::arrive(reference, roles).map_err(message::refuse_to_deserialize)
    }

    fn arrive(reference: Arc<ObjectRef>, roles: u32) -> Result<End> {
        let opened = match roles {
            SENDER | RECEIVER => Store::open(Arc::clone(&reference)),
            _ => Err(damaged(format_args!("an end has the roles {roles:#x}"))),
        };
        // From here on the seat gives the role back.
        opened.map(|store| End::new(store, roles)).inspect_err(|_| {
            reference.remove_roles(roles);
            reference.world.liveness.raise_alarm();
        })
    }

    #[cold]
    fn mismatch(&self, role: u32, type_name: &str) -> Error {
        let holds = match self.store.type_name() {
            Ok(holds) => holds,
            Err(error) => return error,
        };
        let (opened, found) = (name(role), name(self.role));
        let text = format!("pipe: opened as {opened}<{type_name}>, holds {found}<{holds}>");
        Error::of(ErrorKind::Mismatch, text)
    }
}

fn name(role: u32) -> &'static str {
    match role {
        SENDER => "Sender",
        _ => "Receiver",
    }
}
