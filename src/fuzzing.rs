//! Doors for `fuzz/` and the soak, behind the feature `testing`; not part of the public surface.
//!
//! Each but the last takes any bytes and gives them to all that reads such bytes from shared memory, a socket or the environment.
//! What comes of it does not matter; a panic, an abort or a read out of bounds does.

use crate::error::{ChildFailure, Error};
use crate::{Event, Lock, Queue, Semaphore, Sender};
use crate::{handle, manager, message, pool, process, world};
use serde::de::DeserializeOwned;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// Reads bytes as a message of one type.
type Read = fn(&[u8]);

/// The types that are tried, for every way of the decoder; a message's first byte chooses among them.
const MESSAGES: [Read; 14] = [
    read::<String>,
    read::<Vec<u64>>,
    read::<Vec<Vec<u8>>>,
    read::<(u8, i16, u32, i64, u128, f32, f64, bool, char)>,
    read::<Option<Box<[Option<u16>]>>>,
    read::<HashMap<String, Vec<i32>>>,
    read::<BTreeMap<(u8, String), Option<()>>>,
    read::<Result<String, Error>>,
    read::<ChildFailure>,
    read::<Duration>,
    read::<(std::net::SocketAddr, std::path::PathBuf)>,
    read::<(Lock, Vec<Event>)>,
    read::<Vec<Option<Queue<u8>>>>,
    read::<(Semaphore, Sender<String>)>,
];

fn read<T: DeserializeOwned>(bytes: &[u8]) {
    let _ = message::verify::<T>(bytes);
    drop(message::decode::<T>(bytes));
}

/// A message, alone and with handles.
pub fn message(bytes: &[u8]) {
    let Some((first, bytes)) = bytes.split_first() else { return };
    let read = MESSAGES[usize::from(*first) % MESSAGES.len()];
    read(bytes);
    let Ok(world) = world::world() else { return };
    let part = |from: usize, len: usize| {
        Ok(bytes.get(from..).and_then(|bytes| bytes.get(..len)).unwrap_or_default().to_vec())
    };
    let _ = handle::read_list(bytes.len(), part, |_, _| ());
    if let Ok((body, claimed)) = handle::open(world, bytes) {
        handle::unpack(claimed, || read(body));
    }
}

/// What a child finds in its environment.
pub fn ticket(bytes: &[u8]) {
    process::read_ticket(bytes);
}

/// What the fork server is sent.
pub fn socket(bytes: &[u8]) {
    process::read_request(bytes);
}

/// What a manager's server and its users send each other.
pub fn manager(bytes: &[u8]) {
    manager::read_anything(bytes);
}

/// What a pool and its workers send each other.
pub fn pool(bytes: &[u8]) {
    pool::read_anything(bytes);
}

/// How many bytes of this process's world are in free blocks that keep their pages.
pub fn pooled() -> u64 {
    world::current().map_or(0, |world| world.memory.pooled())
}
