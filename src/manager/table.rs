//! The objects of a server: ordinary values, by number.
//!
//! A call takes the value of its object, which has it back at the end of the call. So a call inside a call finds every other object,
//! and is told that this one is in use. A panic in between marks the object.

use super::number::ByNumber;
use super::share::USER;
use crate::error::{Error, ErrorKind, Result};
use crate::handle::{Found, ObjectRef};
use crate::world::{Kind, world};
use serde::{Deserialize, Serialize};
use std::any::{Any, type_name};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

/// An object of a server.
struct Hosted {
    /// The server's own reference: it has no role.
    reference: Arc<ObjectRef>,
    type_name: &'static str,
    /// `None` while a call has it.
    state: Cell<Option<Box<dyn Any>>>,
    /// A call panicked in the middle of a change.
    is_poisoned: Cell<bool>,
    /// What it said.
    why: RefCell<String>,
}

/// What is known of a hosted object, for [`Manager::objects`](super::Manager::objects).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HostedObject {
    pub(super) number: u32,
    pub(super) type_name: String,
    pub(super) users: usize,
    pub(super) poisoned: bool,
}

impl HostedObject {
    /// The number that `Debug` of its handles shows. After the object is gone, another one may have it.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The Rust type of the value.
    pub fn type_name(&self) -> &str {
        &self.type_name
    }

    /// How many processes have a handle to it. The server counts if another of its objects holds one. Handles in messages that
    /// nobody has received do not count, and keep the object all the same.
    pub fn users(&self) -> usize {
        self.users
    }

    /// Whether a call panicked in the middle of a change, and nobody has recovered the object since.
    pub fn is_poisoned(&self) -> bool {
        self.poisoned
    }
}

/// The objects of a server.
#[derive(Default)]
pub(super) struct Table {
    objects: RefCell<ByNumber<Rc<Hosted>>>,
}

impl Table {
    /// Takes a value in; the reference by which it can be reached.
    pub(super) fn add<S: 'static>(&self, state: S) -> Result<Arc<ObjectRef>> {
        let reference = ObjectRef::create(world()?, Kind::Hosted, 0)?;
        let hosted = Hosted {
            reference: Arc::clone(&reference),
            type_name: type_name::<S>(),
            state: Cell::new(Some(Box::new(state))),
            is_poisoned: Cell::new(false),
            why: RefCell::default(),
        };
        self.objects.borrow_mut().insert(reference.id.to_bits(), Rc::new(hosted));
        Ok(reference)
    }

    /// An object, for calls on it.
    #[inline]
    pub(super) fn find(&self, object: u64) -> Result<InUse> {
        self.objects.borrow().get(&object).cloned().map(InUse).ok_or_else(not_here)
    }

    /// Says why a call panicked that has just ended, if it left its object marked.
    pub(super) fn explain(&self, object: u64, why: &str) {
        if let Ok(InUse(hosted)) = &self.find(object)
            && hosted.is_poisoned.get()
            && hosted.why.borrow().is_empty()
        {
            why.clone_into(&mut hosted.why.borrow_mut());
        }
    }

    /// Takes the mark of a panic away.
    pub(super) fn recover(&self, object: u64) -> Result<()> {
        let InUse(hosted) = &self.find(object)?;
        hosted.is_poisoned.set(false);
        hosted.why.take();
        Ok(())
    }

    pub(super) fn numbers(&self) -> Vec<u64> {
        self.objects.borrow().keys().copied().collect()
    }

    /// Drops an object that nobody can reach.
    pub(super) fn drop_if_unused(&self, object: u64) {
        let is_unused = self
            .objects
            .borrow()
            .get(&object)
            .is_some_and(|hosted| hosted.reference.find_role(USER) == Found::Nowhere);
        if is_unused {
            // The value is a user's: its destructor may come back here.
            let hosted = self.objects.borrow_mut().remove(&object);
            drop_quietly(hosted);
        }
    }

    /// Drops all.
    pub(super) fn clear(&self) {
        let all = self.objects.take();
        all.into_values().for_each(drop_quietly);
    }

    pub(super) fn list(&self) -> Vec<HostedObject> {
        let objects = self.objects.borrow();
        let mut list: Vec<HostedObject> = objects.values().map(describe).collect();
        list.sort_by_key(HostedObject::number);
        list
    }
}

/// Drops what a user made. Its panic is reported by the hook, and is nobody's.
fn drop_quietly<T>(value: T) {
    let drop = std::panic::AssertUnwindSafe(|| drop(value));
    if let Err(payload) = std::panic::catch_unwind(drop) {
        std::mem::forget(payload);
    }
}

fn describe(hosted: &Rc<Hosted>) -> HostedObject {
    let memory = &hosted.reference.world.memory;
    let index = hosted.reference.id.index;
    let users = memory.living_processes().filter(|&it| memory.presence(it, index) & USER != 0);
    HostedObject {
        number: index,
        type_name: hosted.type_name.to_owned(),
        users: users.count(),
        poisoned: hosted.is_poisoned.get(),
    }
}

#[cold]
fn not_here() -> Error {
    Error::of(ErrorKind::NotFound, "the manager's server has no such object")
}

#[cold]
fn in_use() -> Error {
    Error::of(
        ErrorKind::Deadlock,
        "a function that runs on this object calls it again, through its manager: the outer call has it; use the reference \
         that the function was given",
    )
}

impl Hosted {
    /// Puts a value back that is no `wanted`.
    #[cold]
    fn other(&self, state: Box<dyn Any>, wanted: &str) -> Error {
        self.state.set(Some(state));
        let text = format!("manager: opened as {wanted}, holds {}", self.type_name);
        Error::of(ErrorKind::Mismatch, text)
    }

    #[cold]
    fn marked(&self) -> Error {
        let text = format!(
            "a call panicked while it changed this object ({}): it may be half changed; look at it after recover(), which takes \
             it as it is",
            self.why.borrow()
        );
        Error::of(ErrorKind::OwnerDied, text)
    }
}

/// An object that calls are about to work on.
pub(super) struct InUse(Rc<Hosted>);

impl InUse {
    /// Lets `f` work on the object, which is an `S`.
    #[inline]
    pub(super) fn with<S: 'static, R>(&self, f: impl FnOnce(&mut S) -> R) -> Result<R> {
        let mut taken = self.take::<S>()?;
        let state = taken.state.as_mut().ok_or_else(not_here)?;
        let result = f(state);
        taken.is_whole = true;
        Ok(result)
    }

    /// Takes the value of the object, which is an `S`.
    #[inline]
    fn take<S: 'static>(&self) -> Result<Taken<'_, S>> {
        let hosted = &*self.0;
        if hosted.is_poisoned.get() {
            return Err(hosted.marked());
        }
        let Some(state) = hosted.state.take() else { return Err(in_use()) };
        match state.downcast::<S>() {
            Ok(state) => Ok(Taken { hosted, state: Some(state), is_whole: false }),
            Err(state) => Err(hosted.other(state, type_name::<S>())),
        }
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        if Rc::strong_count(&self.0) == 1 {
            // Meanwhile it was dropped from the table.
            drop_quietly(self.0.state.take());
        }
    }
}

/// The value of an object, which a call has. The object has it back at the end of the call, marked if the call did not come to its
/// end.
struct Taken<'a, S: 'static> {
    hosted: &'a Hosted,
    state: Option<Box<S>>,
    is_whole: bool,
}

impl<S: 'static> Drop for Taken<'_, S> {
    #[inline]
    fn drop(&mut self) {
        if !self.is_whole {
            self.hosted.is_poisoned.set(true);
        }
        self.hosted.state.set(self.state.take().map(|state| state as Box<dyn Any>));
    }
}
