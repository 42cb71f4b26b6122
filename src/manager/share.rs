//! Whose a hosted object is: the handle that users of it have.
//!
//! Each hosted object has a shared object of 64 bytes, of kind `Hosted`. A process that has a handle to the hosted object has the
//! user's role ([`USER`]) there, and so has a message in which such a handle stands; the server itself is present without the
//! role. So whether anybody can still reach the object is a question to the presence bits, which die with their process
//! ([`crate::memory`]).

use crate::error::{Error, ErrorKind, Result};
use crate::handle::{self, ObjectRef, PRODUCER};
use crate::message;
use crate::world::Kind;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::sync::Arc;

/// The role of whoever can reach a hosted object.
pub(super) const USER: u32 = PRODUCER;

/// A handle to a hosted object in this process.
pub(super) struct Share {
    reference: Arc<ObjectRef>,
    has_role: bool,
}

impl Share {
    /// The number by which the server knows the object.
    pub(super) fn object(&self) -> u64 {
        self.reference.id.to_bits()
    }

    pub(super) fn is_foreign(&self) -> bool {
        !self.reference.world.is_current()
    }

    /// Gives the handle up; whether this process has no other one to the same object.
    pub(super) fn give_up(&mut self) -> bool {
        std::mem::take(&mut self.has_role) && self.reference.remove_roles(USER) != 0
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        if self.give_up() {
            // Nobody told the server: it looks at every alarm.
            self.reference.world.liveness.raise_alarm();
        }
    }
}

/// A handle as it travels.
pub(super) struct Given<'a>(pub(super) &'a Arc<ObjectRef>);

impl Serialize for Given<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        handle::serialize(self.0, USER, serializer)
    }
}

impl Serialize for Share {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Given(&self.reference).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Share, D::Error> {
        let (reference, roles) = handle::deserialize(deserializer, Kind::Hosted)?;
        if roles == USER {
            return Ok(Share { reference, has_role: true });
        }
        reference.remove_roles(roles);
        let text = format!("a handle to a manager's object has the roles {roles:#x}");
        Err(message::refuse_to_deserialize(Error::of(ErrorKind::Corrupted, text)))
    }
}
