//! Batches: many calls in one round trip.
//!
//! A batch writes its calls as they are made, one behind the other, into the request that is put when its closure returns. A call of
//! the same function on the same object as the one before does not name them again. The reply is kept as it came, for all calls
//! together, and each [`Later`] decodes its own part when it is asked for it: so a call costs no allocation.

use super::link::Link;
use super::request::{Target, error_of, put_call, take_result};
use super::server::Command;
use crate::error::{Error, ErrorKind, Result};
use crate::handle::{self, Claimed};
use crate::process::Entry;
use crate::sys::clock::Deadline;
use std::cell::{Cell, OnceCell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

/// Calls that go to the server together: [`Manager::batch`](crate::Manager::batch) gives one to its closure.
///
/// [`dict`](Batch::dict), [`list`](Batch::list) and [`set`](Batch::set) give the methods of these types, and
/// [`call`](Batch::call) runs any function. Nothing is done before the closure returns. Then the server runs the calls in
/// their order, and nobody else's in between.
pub struct Batch {
    link: Arc<Link>,
    out: Vec<u8>,
    count: usize,
    /// The object and the function of the last call.
    last: Option<(u64, *const Entry<Command>)>,
    results: Rc<Results>,
    failed: Option<Error>,
}

/// The results of a batch, once they are there.
#[derive(Default)]
struct Results(OnceCell<Answer>);

struct Answer {
    reply: Vec<u8>,
    /// Where in the reply each result is.
    places: Vec<Place>,
    handles: RefCell<Claimed>,
}

struct Place {
    start: usize,
    end: usize,
    is_error: bool,
}

impl Answer {
    /// The results of so many calls.
    fn of(reply: &[u8], handles: Claimed, count: usize) -> Result<Answer> {
        let mut rest = reply;
        let mut places = Vec::with_capacity(count);
        for _ in 0..count {
            let (result, is_error) = take_result(&mut rest)?;
            let end = reply.len() - rest.len();
            places.push(Place { start: end - result.len(), end, is_error });
        }
        Ok(Answer { reply: reply.to_vec(), places, handles: RefCell::new(handles) })
    }

    fn read<T>(&self, at: usize, read: fn(&[u8]) -> Result<T>) -> Result<T> {
        let Place { start, end, is_error } = self.places[at];
        let result = &self.reply[start..end];
        if is_error {
            return Err(error_of(result));
        }
        if self.handles.borrow().is_empty() {
            return read(result);
        }
        // For a moment they are here: a `Deserialize` may ask for another result.
        let mut handles = self.handles.take();
        let result = handle::unpack_some(&mut handles, || read(result));
        self.handles.replace(handles);
        result
    }
}

/// The result of a call in a batch: there once [`Manager::batch`](crate::Manager::batch) has returned.
///
/// It is decoded when it is asked for. What the server answered to the whole batch is kept until the last of its results is taken or
/// dropped; handles in results that nobody takes are given back then.
pub struct Later<T> {
    results: Rc<Results>,
    at: usize,
    read: fn(&[u8]) -> Result<T>,
}

impl<T> Later<T> {
    /// The result of the call.
    ///
    /// # Errors
    ///
    /// Those of the call: each one in a batch can fail by itself. [`is_invalid_input`](crate::Error::is_invalid_input) if the batch
    /// was not run: its closure is still at work, or `batch` failed.
    pub fn get(self) -> Result<T> {
        let answer = self.results.0.get().ok_or_else(|| {
            Error::of(
                ErrorKind::InvalidInput,
                "a call in a batch has a result once `batch` has returned without an error: ask then",
            )
        })?;
        answer.read(self.at, self.read)
    }
}

impl Batch {
    /// Has the server run the calls that `fill` makes; gives what `fill` returns once their results are there.
    pub(super) fn run<R>(
        link: &Arc<Link>,
        until: Deadline,
        fill: impl FnOnce(&mut Batch) -> R,
    ) -> Result<R> {
        let mut filled = None;
        let results = Rc::new(Results::default());
        let count = Cell::new(0);
        let answer = link.transact(
            until,
            |out| {
                let mut batch = Batch {
                    link: Arc::clone(link),
                    out: std::mem::take(out),
                    count: 0,
                    last: None,
                    results: Rc::clone(&results),
                    failed: None,
                };
                filled = Some(fill(&mut batch));
                *out = batch.out;
                count.set(batch.count);
                batch.failed.map_or(Ok(batch.count), Err)
            },
            |reply, handles| Answer::of(reply, handles, count.get()),
        )?;
        let _ = results.0.set(answer);
        filled.ok_or_else(|| Error::simple(ErrorKind::Corrupted))
    }

    /// Appends a call, whose arguments `write` writes, and whose result `read` reads.
    ///
    /// Inlined, because what it returns has several words, which would go through memory.
    #[inline(always)]
    pub(super) fn add<T>(
        &mut self,
        link: &Arc<Link>,
        object: u64,
        entry: &'static Entry<Command>,
        read: fn(&[u8]) -> Result<T>,
        write: impl FnOnce(&mut Vec<u8>) -> Result<()>,
    ) -> Later<T> {
        let later = Later { results: Rc::clone(&self.results), at: self.count, read };
        if self.failed.is_none() {
            self.failed = self.put(link, object, entry, write).err();
        }
        later
    }

    #[inline(never)]
    fn put(
        &mut self,
        link: &Arc<Link>,
        object: u64,
        entry: &'static Entry<Command>,
        write: impl FnOnce(&mut Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        if !Arc::ptr_eq(&self.link, link) {
            return Err(of_another_manager());
        }
        let this = Some((object, std::ptr::from_ref(entry)));
        let target = match self.last == this {
            true => None,
            false => Some(Target { object, entry: entry.name()? }),
        };
        put_call(&mut self.out, target, write)?;
        self.last = this;
        self.count += 1;
        Ok(())
    }
}

#[cold]
fn of_another_manager() -> Error {
    Error::of(
        ErrorKind::InvalidInput,
        "an object of another manager in a batch: a batch goes to one server; make one for each",
    )
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("calls", &self.count).finish()
    }
}

impl<T> fmt::Debug for Later<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_there = self.results.0.get().is_some();
        f.debug_struct("Later").field("is_there", &is_there).finish()
    }
}
