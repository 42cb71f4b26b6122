//! `Pipe`: one sender and one receiver.

mod bad_input;
mod calls;
mod deaths;
mod moves;
mod python;
mod wakes;

use std::fmt::Debug;

use crate::common::until;

/// Waits until the other end sleeps, by what an end shows.
#[track_caller]
fn until_other_waits(end: &impl Debug, side: &str) {
    until("the other end sleeps", || format!("{end:?}").contains(&format!("{side}_waits: true")));
}
