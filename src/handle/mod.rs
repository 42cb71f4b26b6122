//! Handles: references to shared objects, and how they travel.
//!
//! - `reference`: what a `Lock` or `Queue` value holds;
//! - `travel`: handles inside messages, arguments and results;
//! - `face`: what the types have in common that are handles.

pub(crate) mod face;
pub(crate) mod reference;
pub(crate) mod travel;

pub(crate) use face::{in_object, travels};
pub(crate) use reference::{CONSUMER, Found, ObjectRef, PRESENT, PRODUCER};
pub(crate) use travel::{
    Claimed, Parcel, Passenger, count_packed, deserialize, list_of, open, pack, read_list, seal,
    serialize, serialize_owned, unpack, unpack_some,
};
