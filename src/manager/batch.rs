//! Batches: many calls in one round trip.
//!
//! A batch writes its calls as they are made, one behind the other, into the request that is put when its closure returns. For each
//! call it remembers what is to be done with the result.

use super::link::Link;
use super::request::take_result;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::clock::Deadline;
use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

/// What is to be done with the result of one call.
type Reader = Box<dyn FnOnce(Result<&[u8]>)>;

/// Calls that go to the server together: [`Manager::batch`](crate::Manager::batch) gives one to its closure.
///
/// [`dict`](Batch::dict), [`list`](Batch::list) and [`set`](Batch::set) give the methods of these types, and
/// [`call`](Batch::call) runs any function. Nothing is done before the closure returns. Then the server runs the calls in
/// their order, and nobody else's in between.
pub struct Batch {
    link: Arc<Link>,
    out: Vec<u8>,
    readers: Vec<Reader>,
    failed: Option<Error>,
}

/// The result of a call in a batch: there once [`Manager::batch`](crate::Manager::batch) has returned.
pub struct Later<T>(Rc<RefCell<Option<Result<T>>>>);

impl<T> Later<T> {
    /// The result of the call.
    ///
    /// # Errors
    ///
    /// Those of the call: each one in a batch can fail by itself. [`is_invalid_input`](crate::Error::is_invalid_input) if the batch
    /// was not run: its closure is still at work, or `batch` failed.
    pub fn get(self) -> Result<T> {
        self.0.take().unwrap_or_else(|| {
            Err(Error::of(
                ErrorKind::InvalidInput,
                "a call in a batch has a result once `batch` has returned without an error: ask then",
            ))
        })
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
        let readers = RefCell::new(Vec::new());
        link.transact(
            until,
            |out| {
                let mut batch = Batch {
                    link: Arc::clone(link),
                    out: std::mem::take(out),
                    readers: Vec::new(),
                    failed: None,
                };
                filled = Some(fill(&mut batch));
                *out = batch.out;
                readers.replace(batch.readers);
                batch.failed.map_or(Ok(()), Err)
            },
            |mut results| {
                for reader in readers.take() {
                    reader(take_result(&mut results)?);
                }
                Ok(())
            },
        )?;
        filled.ok_or_else(|| Error::simple(ErrorKind::Corrupted))
    }

    /// Appends a call, which `write` writes, and whose result `read` reads.
    pub(super) fn add<T: 'static>(
        &mut self,
        link: &Arc<Link>,
        read: fn(&[u8]) -> Result<T>,
        write: impl FnOnce(&mut Vec<u8>) -> Result<()>,
    ) -> Later<T> {
        let later = Rc::new(RefCell::new(None));
        if self.failed.is_none() {
            let is_ours = Arc::ptr_eq(&self.link, link);
            let written = if is_ours { write(&mut self.out) } else { Err(of_another_manager()) };
            self.failed = written.err();
            let place = Rc::clone(&later);
            let fill = move |bytes: Result<&[u8]>| *place.borrow_mut() = Some(bytes.and_then(read));
            self.readers.push(Box::new(fill));
        }
        Later(later)
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
        f.debug_struct("Batch").field("calls", &self.readers.len()).finish()
    }
}

impl<T> fmt::Debug for Later<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_there = self.0.try_borrow().is_ok_and(|result| result.is_some());
        f.debug_struct("Later").field("is_there", &is_there).finish()
    }
}
