//! A handle's side of a queue, with the message type: messages become bytes before anything is locked, because their size is
//! unknown and a user's `Serialize` may block, panic or put something itself. They are decoded from a private copy, because
//! another process could change shared bytes between a check and a use.

use super::held::HeldBlock;
use super::special::{Incoming, Outgoing, Taken};
use super::store::{self, QueueStore};
use crate::error::{Error, Result};
use crate::handle::{self, Claimed, Parcel};
use crate::message::{self, Message};
use crate::raw::records::{
    CARRIES, Form, INLINE, LARGE, NamedBlock, Put, RecordHead, Records, Store,
};
use crate::sys::atomic::{AtomicU32, Ordering};
use crate::sys::bytes::{Buffer, Local};
use crate::sys::clock::Deadline;
use core::any::type_name;
use core::cell::Cell;
use core::marker::PhantomData;
use core::ops::{Deref, DerefMut};
use parking_lot::Mutex;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What the fast path takes is copied to the stack; what the slow path copies goes to scratch memory.
type Short = Local<INLINE>;

/// Scratch memory larger than this is given back after use.
pub(super) const KEPT: usize = 1 << 20;

thread_local! {
    /// Moved out and back as a whole: the result of a closure that ran here would be moved through several layers, in parts, and a
    /// load of parts that were stored apart waits (14 ns a message). In a box for the same reason: what moves is one word.
    #[allow(clippy::box_collection, reason = "a pointer is moved, and not the parts of a vector")]
    static SCRATCH: Cell<Option<Box<Vec<u8>>>> = const { Cell::new(None) };
}

/// Scratch memory of this thread, empty until it is dropped. A nested call gets its own, and so does one in another thread-local's
/// destructor.
#[allow(clippy::box_collection, reason = "as above")]
pub(super) struct Scratch(Option<Box<Vec<u8>>>);

#[inline]
pub(super) fn scratch() -> Scratch {
    Scratch(SCRATCH.try_with(Cell::take).unwrap_or_default())
}

impl Deref for Scratch {
    type Target = Vec<u8>;

    #[inline]
    fn deref(&self) -> &Vec<u8> {
        const NOTHING: &Vec<u8> = &Vec::new();
        self.0.as_deref().unwrap_or(NOTHING)
    }
}

impl DerefMut for Scratch {
    #[inline]
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        self.0.get_or_insert_default()
    }
}

impl Drop for Scratch {
    #[inline]
    fn drop(&mut self) {
        let Some(mut bytes) = self.0.take() else { return };
        bytes.clear();
        if bytes.capacity() <= KEPT {
            let _ = SCRATCH.try_with(|place| place.set(Some(bytes)));
        }
    }
}

/// The bytes of a message that was taken.
pub(crate) enum Body<'a> {
    /// A copy of a small one, for this call.
    Copy(&'a [u8]),
    /// A large one, where it lies.
    Block(HeldBlock),
}

impl Body<'_> {
    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Body::Copy(bytes) => bytes,
            Body::Block(block) => block.bytes(),
        }
    }
}

/// A handle's side of a queue whose typed messages are `T`.
pub(super) struct Port<T> {
    records: Records<QueueStore>,
    /// 1 once a message of this type was read back from its own bytes.
    verified: AtomicU32,
    /// Why a message in the middle of a batch could not be decoded; the next getter of this handle is told.
    undecodable: Mutex<Option<Error>>,
    /// 1 while there is such an error.
    has_undecodable: AtomicU32,
    message: PhantomData<fn(T) -> T>,
}

impl<T> Port<T> {
    pub(super) fn new(records: Records<QueueStore>) -> Port<T> {
        Port {
            records,
            verified: AtomicU32::new(0),
            undecodable: Mutex::new(None),
            has_undecodable: AtomicU32::new(0),
            message: PhantomData,
        }
    }

    pub(super) fn records(&self) -> &Records<QueueStore> {
        &self.records
    }

    pub(super) fn roles(&self) -> u32 {
        self.records.store.roles
    }

    /// The same handle with `roles` instead of its own: what is to be told to its getter goes along.
    pub(super) fn into_roles(self, roles: u32) -> Port<T> {
        let port = self.with_roles(roles);
        *port.undecodable.lock() = self.undecodable.lock().take();
        port.has_undecodable.store(self.has_undecodable.load(Ordering::Relaxed), Ordering::Relaxed);
        port
    }

    /// Another handle to the same queue.
    pub(super) fn with_roles(&self, roles: u32) -> Port<T> {
        Port::new(store::with_roles(&self.records, roles))
    }

    /// Puts a message without handles.
    #[inline]
    fn push(&self, form: Form, bytes: &[u8], until: Deadline) -> Result<()> {
        let me = self.records.store.liveness().me()?;
        if self.records.try_put_fast(me, form, bytes) {
            return Ok(());
        }
        self.push_slow(form, bytes, None, until)
    }

    #[inline(never)]
    fn push_slow(
        &self,
        form: Form,
        bytes: &[u8],
        parcel: Option<&Parcel>,
        until: Deadline,
    ) -> Result<()> {
        let store = &self.records.store;
        let memory = &store.reference.world.memory;
        let me = store.reference.world.liveness.me()?;
        let total = bytes.len();
        self.records.check_len(total)?;
        if total > INLINE {
            let mut large = HeldBlock::alloc(memory, total, me)?;
            large.bytes_mut().copy_from_slice(bytes);
            return self.push_large(large, form, parcel, until);
        }
        let carries = parcel.is_some();
        self.records.lines().0.note(if carries { CARRIES } else { 0 });
        let outgoing = Outgoing { store, large: None, parcel };
        let head = RecordHead { carries, ..RecordHead::plain(form, total) };
        let attached = carries.then_some(&outgoing as _);
        let put = Put { head, payload: bytes, total, attached };
        self.records.put_slow(me, &put, until)
    }

    /// Puts a message that stands in a block of its own.
    fn push_large(
        &self,
        large: HeldBlock,
        form: Form,
        parcel: Option<&Parcel>,
        until: Deadline,
    ) -> Result<()> {
        let store = &self.records.store;
        let me = store.reference.world.liveness.me()?;
        let carries = parcel.is_some();
        self.records.lines().0.note(if carries { CARRIES | LARGE } else { LARGE });
        let outgoing = Outgoing { store, large: Some(*large.block()), parcel };
        let name = NamedBlock { id: large.block().id(), len: large.len() as u64 }.to_bytes();
        let head = RecordHead { carries, names_block: true, ..RecordHead::plain(form, name.len()) };
        let total = large.len();
        let put = Put { head, payload: &name, total, attached: Some(&outgoing) };
        self.records.put_slow(me, &put, until)?;
        large.given();
        Ok(())
    }

    /// The fast path: takes a plain message, waiting for one, and appends it to `out`. False: what is there is for
    /// [`Port::pop_slow`].
    #[inline]
    fn pop_plain(&self, form: Form, until: Deadline, out: &mut impl Buffer) -> Result<bool> {
        loop {
            if self.try_pop_plain(form, out) {
                return Ok(true);
            }
            if !self.wait(until)? {
                return Ok(false);
            }
        }
    }

    #[inline]
    fn try_pop_plain(&self, form: Form, out: &mut impl Buffer) -> bool {
        if self.has_undecodable.load(Ordering::Relaxed) != 0 {
            return false;
        }
        let Ok(me) = self.records.store.liveness().me() else { return false };
        self.records.try_take_fast(me, form, out)
    }

    /// Waits while there is nothing to take; whether it has.
    #[inline(never)]
    fn wait(&self, until: Deadline) -> Result<bool> {
        self.records.store.liveness().me()?;
        if self.has_undecodable.load(Ordering::Relaxed) != 0 || !self.records.has_nothing() {
            return Ok(false);
        }
        self.records.wait_for_messages(until, || false).map(|()| true)
    }

    /// Takes the first message and appends it to `out`, or all but a large one. That is to be copied, too, if `copies`.
    #[inline(never)]
    fn pop_slow(
        &self,
        form: Form,
        copies: bool,
        until: Deadline,
        out: &mut Vec<u8>,
    ) -> Result<Taken> {
        if self.has_undecodable.load(Ordering::Relaxed) != 0 {
            self.report_undecodable()?;
        }
        let world = self.records.store.reference.world;
        let me = world.liveness.me()?;
        let mut incoming = Incoming::of(world, copies);
        let mismatch = |found| store::other_form(found, type_name::<T>());
        self.records.take_slow(me, form, until, out, &mut incoming, mismatch)?;
        incoming.finish()
    }

    /// The error of a message that ended a batch, once.
    #[cold]
    fn report_undecodable(&self) -> Result<()> {
        let mut undecodable = self.undecodable.lock();
        self.has_undecodable.store(0, Ordering::Relaxed);
        undecodable.take().map_or(Ok(()), Err)
    }

    pub(super) fn put_bytes(&self, bytes: &[u8], until: Deadline) -> Result<()> {
        self.push(Form::Bytes, bytes, until)
    }

    /// Puts bytes with the handles of the values in them.
    pub(super) fn put_parcel(&self, bytes: &mut Vec<u8>, parcel: &Parcel) -> Result<()> {
        if parcel.is_empty() {
            return self.put_bytes(bytes, Deadline::NEVER);
        }
        let len = bytes.len();
        handle::seal(bytes, parcel);
        let result = self.push_slow(Form::Bytes, bytes, Some(parcel), Deadline::NEVER);
        bytes.truncate(len);
        result.inspect(|()| parcel.depart())
    }

    /// Gives `read` the first message, with the handles in it.
    pub(super) fn get_parcel<R>(
        &self,
        read: impl FnOnce(Body<'_>, Claimed) -> R,
        until: Deadline,
    ) -> Result<R> {
        let mut short = Short::new();
        if self.pop_plain(Form::Bytes, until, &mut short)? {
            return Ok(read(Body::Copy(short.bytes()), Claimed::default()));
        }
        let scratch = &mut *scratch();
        match self.pop_slow(Form::Bytes, false, until, scratch)? {
            Taken::Whole => Ok(read(Body::Copy(scratch), Claimed::default())),
            Taken::Large(large) => Ok(read(Body::Block(large), Claimed::default())),
            Taken::Carrying(claimed) => Ok(read(Body::Copy(scratch), claimed)),
        }
    }

    pub(super) fn put_with<R>(
        &self,
        len: usize,
        fill: impl FnOnce(&mut [u8]) -> R,
        until: Deadline,
    ) -> Result<R> {
        self.records.check_len(len)?;
        let world = self.records.store.reference.world;
        if len > INLINE {
            let mut large = HeldBlock::alloc(&world.memory, len, world.liveness.me()?)?;
            let result = fill(large.bytes_mut());
            return self.push_large(large, Form::Bytes, None, until).map(|()| result);
        }
        let mut short = Short::zeroed(len);
        let result = fill(short.bytes_mut());
        self.put_bytes(short.bytes(), until).map(|()| result)
    }

    pub(super) fn get_bytes_into(&self, out: &mut Vec<u8>, until: Deadline) -> Result<()> {
        out.clear();
        if self.pop_plain(Form::Bytes, until, out)? {
            return Ok(());
        }
        let taken = self.pop_slow(Form::Bytes, true, until, out).inspect_err(|_| out.clear())?;
        // Plain bytes carry nothing.
        taken.copy_to(out);
        Ok(())
    }

    pub(super) fn get_bytes(&self, until: Deadline) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.get_bytes_into(&mut bytes, until)?;
        Ok(bytes)
    }

    pub(super) fn get_with<R>(&self, read: impl FnOnce(&[u8]) -> R, until: Deadline) -> Result<R> {
        let mut short = Short::new();
        if self.pop_plain(Form::Bytes, until, &mut short)? {
            return Ok(read(short.bytes()));
        }
        let scratch = &mut *scratch();
        match self.pop_slow(Form::Bytes, false, until, scratch)? {
            Taken::Large(large) => Ok(read(large.bytes())),
            _ => Ok(read(scratch)),
        }
    }

    /// Closes the queue, and takes and drops what is left.
    pub(super) fn shutdown(&self) -> Result<()> {
        self.records.close()?;
        // What is known of a message that is gone already is dropped, too.
        let _ = self.report_undecodable();
        let scratch = &mut *scratch();
        let mut form = Form::Typed;
        loop {
            scratch.clear();
            // Of a closed queue this waits for nothing but those who are inside.
            match self.pop_slow(form, false, Deadline::NEVER, scratch) {
                Ok(_) => {}
                Err(error) if error.is_mismatch() => form = form.other(),
                Err(error) if error.is_closed() => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Live state, for `Debug`.
    pub(super) fn describe(
        &self,
        name: &str,
        f: &mut core::fmt::Formatter<'_>,
    ) -> core::fmt::Result {
        let records = &self.records;
        let (to_get, to_put) = records.has_waiters();
        f.debug_struct(name)
            .field("len", &records.len())
            .field("capacity", &records.most_items())
            .field("closed", &records.is_closed())
            .field("waiting_to_get", &to_get)
            .field("waiting_to_put", &to_put)
            .finish()
    }
}

impl<T: Serialize + DeserializeOwned> Port<T> {
    #[inline]
    pub(super) fn put<M: Message<T>>(&self, item: &M, until: Deadline) -> Result<()> {
        if let Some(bytes) = message::raw(item) {
            return self.push(Form::Typed, bytes, until);
        }
        let scratch = &mut *scratch();
        let ((), parcel) = handle::pack(|| message::encode::<T, M>(item, scratch))?;
        if !parcel.is_empty() {
            handle::seal(scratch, &parcel);
            self.push_slow(Form::Typed, scratch, Some(&parcel), until)?;
            parcel.depart();
            return Ok(());
        }
        if self.verified.load(Ordering::Relaxed) == 0 {
            message::verify::<T>(scratch)?;
            self.verified.store(1, Ordering::Relaxed);
        }
        self.push(Form::Typed, scratch, until)
    }

    pub(super) fn put_many<M: Message<T>>(
        &self,
        items: impl IntoIterator<Item = M>,
        until: Deadline,
    ) -> Result<()> {
        items.into_iter().try_for_each(|item| self.put(&item, until))
    }

    /// Takes the first message: the outer error leaves it in the queue, the inner one says why it could not be decoded.
    #[inline]
    fn take(&self, until: Deadline) -> Result<Result<T>> {
        let mut short = Short::new();
        if self.pop_plain(Form::Typed, until, &mut short)? {
            return Ok(message::decode(short.bytes()));
        }
        let scratch = &mut *scratch();
        let taken = self.pop_slow(Form::Typed, true, until, scratch)?;
        Ok(match taken.copy_to(scratch) {
            None => message::decode(scratch),
            Some(claimed) => handle::unpack(claimed, || message::decode(scratch)),
        })
    }

    #[inline]
    pub(super) fn get(&self, until: Deadline) -> Result<T> {
        self.take(until)?
    }

    pub(super) fn get_many(&self, max: usize, until: Deadline) -> Result<Vec<T>> {
        let mut items = Vec::new();
        if max == 0 {
            return Ok(items);
        }
        items.push(self.get(until)?);
        while items.len() < max {
            match self.take(Deadline::NOW) {
                Ok(Ok(item)) => items.push(item),
                Ok(Err(error)) => {
                    // That message is gone: the next call tells of it.
                    *self.undecodable.lock() = Some(error);
                    self.has_undecodable.store(1, Ordering::Relaxed);
                    break;
                }
                // The rest stays for the next call, which also tells what is wrong.
                Err(_) => break,
            }
        }
        Ok(items)
    }
}

impl<T> Drop for Port<T> {
    fn drop(&mut self) {
        store::drop_roles(&self.records);
    }
}
