#![doc = include_str!("README.md")]

mod keeper;
mod registry;
mod sleepers;
mod slot;
mod spin;
mod spot;
mod start;
mod thread;
mod view;

pub(crate) use registry::Registry;
pub(crate) use sleepers::Wait;
pub(crate) use slot::{Id, PROCESSES, ProcessId, RegistryTable, SLOTS};
pub(crate) use spin::{GiveWay, Off, Pauses, Rhythm, WORTH};
pub(crate) use spot::Spot;
pub(crate) use start::{Reserved, start};
pub(crate) use thread::is_me;
pub(crate) use view::Liveness;
