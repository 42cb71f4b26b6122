//! How each call gets its own answer: the channels of those who call, and their other ends at the server.
//!
//! A *channel* is a way for one answer at a time, which one call has for itself. What its two ends are is the business of
//! [`super::link`] and [`super::server`]: pipes. Here is only who has them.
//!
//! # Steps
//!
//! A call:
//!
//! 1. takes a channel that is free, or makes one;
//! 2. puts its request. The channel's first request takes the sending end along;
//! 3. waits for the answer. Then the channel is free. A call that gives up drops its channel.
//!
//! The server:
//!
//! 4. keeps the sending end, under the channel's number;
//! 5. sends the answer there. An end that takes none is dropped.
//!
//! # Invariants
//!
//! 1. What comes in a channel answers the call that has it: a channel becomes free only when its answer was taken, or when its request
//!    was not put.
//! 2. A sending end is in one place: with its channel, in a request, or at the server. If that place goes, the channel is closed, and
//!    whoever waits at it is told.
//!
//! # If a process dies
//!
//! - The caller, before step 2 is done: nobody knows of the call. After it: the server does the call, and finds the channel closed.
//! - The server, at any step: by invariant 2 all who wait are told. An answer that it has sent is taken all the same.

use super::number::ByNumber;
use crate::error::Result;
use std::cell::RefCell;
use std::sync::{Mutex, PoisonError};

/// By which the answers of one call after the other come.
pub(crate) struct Channel<S, R> {
    pub(crate) number: u64,
    /// Until the first request has taken it to the server.
    pub(crate) sender: Option<S>,
    receiver: R,
    /// Memory for requests.
    pub(crate) bytes: Vec<u8>,
}

impl<S, R> Channel<S, R> {
    pub(crate) fn of(number: u64, (sender, receiver): (S, R)) -> Channel<S, R> {
        Channel { number, sender: Some(sender), receiver, bytes: Vec::new() }
    }

    /// Whether the sending end is at the server.
    pub(crate) fn is_known(&self) -> bool {
        self.sender.is_none()
    }
}

/// The channels of a process that no call has.
#[allow(
    clippy::vec_box,
    reason = "each call takes a channel out and puts it back: a pointer is moved, and not the channel"
)]
pub(crate) struct Channels<S, R> {
    free: Mutex<Vec<Box<Channel<S, R>>>>,
}

impl<S, R> Default for Channels<S, R> {
    fn default() -> Channels<S, R> {
        Channels { free: Mutex::default() }
    }
}

impl<S, R> Channels<S, R> {
    /// One call: `ask` puts its request, `hear` takes its answer from a channel that it has for itself.
    #[inline]
    pub(crate) fn exchange<T>(
        &self,
        make: impl FnOnce() -> Result<Channel<S, R>>,
        ask: impl FnOnce(&mut Channel<S, R>) -> Result<()>,
        hear: impl FnOnce(&mut R) -> Result<T>,
    ) -> Result<T> {
        let mut channel = match self.free().pop() {
            Some(channel) => channel,
            None => Box::new(make()?),
        };
        if let Err(error) = ask(&mut channel) {
            self.free().push(channel);
            return Err(error);
        }
        channel.sender = None;
        // Without an answer it goes: a later call would take what comes for this one.
        let answer = hear(&mut channel.receiver)?;
        self.free().push(channel);
        Ok(answer)
    }

    fn free(&self) -> std::sync::MutexGuard<'_, Vec<Box<Channel<S, R>>>> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes all out.
    pub(crate) fn end(&self) -> Vec<Box<Channel<S, R>>> {
        std::mem::take(&mut *self.free())
    }
}

/// The sending ends at the server.
pub(crate) struct Senders<S>(RefCell<ByNumber<S>>);

impl<S> Default for Senders<S> {
    fn default() -> Senders<S> {
        Senders(RefCell::default())
    }
}

impl<S> Senders<S> {
    /// A request brought the sending end of a channel.
    pub(crate) fn keep(&self, channel: u64, sender: S) {
        self.0.borrow_mut().insert(channel, sender);
    }

    /// Sends an answer by `send`, which says whether it went; whether it did.
    pub(crate) fn answer(&self, channel: u64, send: impl FnOnce(&mut S) -> bool) -> bool {
        let mut senders = self.0.borrow_mut();
        // If there is none, the caller died before its request was taken.
        let Some(sender) = senders.get_mut(&channel) else { return false };
        if send(sender) {
            return true;
        }
        // Whoever waits at its other end is told so.
        drop(senders.remove(&channel));
        false
    }

    /// The other end of this channel is gone.
    pub(crate) fn forget(&self, channel: u64) {
        self.0.borrow_mut().remove(&channel);
    }

    /// Drops those of which `is_alone` says that nobody has the other end.
    pub(crate) fn drop_alone(&self, is_alone: impl Fn(&S) -> bool) {
        self.0.borrow_mut().retain(|_, sender| !is_alone(sender));
    }

    /// Nobody is answered any more.
    pub(crate) fn end(&self) {
        self.0.borrow_mut().clear();
    }
}
