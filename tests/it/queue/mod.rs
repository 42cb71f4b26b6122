//! `Queue`: order, forms, limits, what can be put, and what is left when something goes wrong.

#![allow(clippy::needless_borrows_for_generic_args, reason = "references are what is tried")]

mod bad_input;
mod closing;
mod handles;
mod in_place;
mod limits;
mod processes;
mod soak;
mod trouble;
mod values;
mod wakes;

use multiproc::{Queue, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::common::until;

pub(super) fn blocked_get<T>(queue: &Queue<T>) {
    until("a getter sleeps", || format!("{queue:?}").contains("waiting_to_get: true"));
}

pub(super) fn blocked_put<T>(queue: &Queue<T>) {
    until("a putter sleeps", || format!("{queue:?}").contains("waiting_to_put: true"));
}

pub(super) fn echo<T: Serialize + DeserializeOwned>(
    input: Queue<T>,
    output: Queue<T>,
) -> Result<()> {
    for item in &input {
        output.put(item?)?;
    }
    output.close().unwrap();
    Ok(())
}
