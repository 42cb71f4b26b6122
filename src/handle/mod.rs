//! Handles: references to shared objects, and how they travel.
//!
//! - `reference`: what a `Lock` or `Queue` value holds;
//! - `parcel`: those that leave in messages, arguments and results;
//! - `claimed`: those that arrive in them;
//! - `face`: what the types have in common that are handles.

pub(crate) mod claimed;
pub(crate) mod face;
pub(crate) mod parcel;
pub(crate) mod reference;

pub(crate) use claimed::{Claimed, deserialize, list_of, open, read_list, unpack, unpack_some};
pub(crate) use face::{in_object, travels};
pub(crate) use parcel::{Parcel, Passenger, count_packed, pack, seal, serialize, serialize_owned};
pub(crate) use reference::{CONSUMER, Found, ObjectRef, PRESENT, PRODUCER};
