//! `Namespace`: values of any types under names, in a manager's server.

use super::method::{Behind, Front, Method};
use super::proxy::Proxy;
use crate::error::{Error, ErrorKind, Result};
use crate::message::Message;
use crate::process::private::Token;
use crate::process::{Arguments, Parameters};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::any::{Any, type_name};
use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

/// Values of any types under names, in a manager's server, as Python's `Manager.Namespace()`:
/// [`Manager::namespace`](crate::Manager::namespace) makes one.
///
/// Every method is one call and atomic; [`Proxy`] says what a call waits for, and its errors ([`Proxy::call`]). Reading a value as
/// another type than it has is an error with [`is_mismatch`](crate::Error::is_mismatch) that names both.
///
/// # Examples
///
/// ```
/// # fn main() -> multiproc::Result<()> {
/// let settings = multiproc::Manager::new()?.namespace()?;
/// settings.set("limit", 5_u32)?;
/// settings.set("title", "report".to_owned())?;
/// assert_eq!(settings.get::<u32>("limit")?, Some(5));
/// assert_eq!(settings.get::<String>("title")?.unwrap(), "report");
///
/// // In the server, so that nobody's change is lost:
/// settings.update("limit", |limit: &mut u32, by: u32| *limit += by, (2,))?;
/// assert_eq!(settings.get::<u32>("limit")?, Some(7));
///
/// let error = settings.get::<f64>("limit").unwrap_err();
/// assert_eq!(error.to_string(), r#"namespace: "limit" opened as f64, holds u32"#);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Namespace {
    proxy: Proxy<Names>,
}

/// What a namespace is in the server.
pub(super) type Names = HashMap<String, Named>;

/// A value, and the name of its type.
pub(super) struct Named {
    type_name: &'static str,
    value: Box<dyn Any>,
}

impl Named {
    fn of<T: 'static>(value: T) -> Named {
        Named { type_name: type_name::<T>(), value: Box::new(value) }
    }

    fn as_mut<T: 'static>(&mut self, name: &str) -> Result<&mut T> {
        let holds = self.type_name;
        self.value.downcast_mut().ok_or_else(|| {
            let text = format!("namespace: {name:?} opened as {}, holds {holds}", type_name::<T>());
            Error::of(ErrorKind::Mismatch, text)
        })
    }
}

/// Runs a function on the value under a name, which is a `T`.
struct Update<F, T>(F, PhantomData<fn(T) -> T>);

impl<F: Copy, T> Clone for Update<F, T> {
    fn clone(&self) -> Update<F, T> {
        *self
    }
}

impl<F: Copy, T> Copy for Update<F, T> {}

impl<F: Method<T, P>, T: 'static, P> Method<Names, Behind<String, P>> for Update<F, T> {
    type Output = Result<Option<F::Output>>;

    fn call(self, names: &mut Names, with: Behind<String, P>, token: Token) -> Self::Output {
        let Behind(name, rest) = with;
        let Some(named) = names.get_mut(&name) else { return Ok(None) };
        Ok(Some(self.0.call(named.as_mut::<T>(&name)?, rest, token)))
    }
}

impl Namespace {
    pub(super) fn of(proxy: Proxy<Names>) -> Namespace {
        Namespace { proxy }
    }

    /// Puts a value under a name, whatever was there before.
    ///
    /// # Errors
    ///
    /// As [`Proxy::call`].
    pub fn set<T>(&self, name: impl Message<String>, value: T) -> Result<()>
    where
        T: Serialize + DeserializeOwned + 'static,
    {
        fn run<T: 'static>(names: &mut Names, name: String, value: T) {
            names.insert(name, Named::of(value));
        }
        self.proxy.call(run::<T>, (name, value))
    }

    /// A copy of the value under a name, if there is one.
    ///
    /// # Errors
    ///
    /// As [`Proxy::call`]; [`is_mismatch`](crate::Error::is_mismatch) if the value has another type.
    pub fn get<T>(&self, name: impl Message<String>) -> Result<Option<T>>
    where
        T: Serialize + DeserializeOwned + Clone + 'static,
    {
        fn run<T: Clone + 'static>(names: &mut Names, name: String) -> Result<Option<T>> {
            let named = names.get_mut(&name);
            named.map(|named| named.as_mut::<T>(&name).cloned()).transpose()
        }
        self.proxy.call(run::<T>, (name,))?
    }

    /// Runs `f` on the value under a name, in the server, and brings back what it returns; `None` if there is no such name.
    ///
    /// `f` and `args` are as for [`Proxy::call`], with `&mut T` as the first parameter.
    ///
    /// # Errors
    ///
    /// As [`get`](Namespace::get).
    pub fn update<T, F, P, A>(
        &self,
        name: impl Message<String>,
        f: F,
        args: A,
    ) -> Result<Option<F::Output>>
    where
        T: 'static,
        F: Method<T, P, Output: Serialize + DeserializeOwned>,
        P: Parameters,
        A: Arguments<P>,
    {
        let update = Update::<F, T>(f, PhantomData);
        self.proxy.call::<_, Behind<String, P>, _>(update, Front(name, args))?
    }

    /// Drops the value under a name; whether there was one.
    ///
    /// # Errors
    ///
    /// As [`Proxy::call`].
    pub fn remove(&self, name: impl Message<String>) -> Result<bool> {
        self.proxy.call(|names: &mut Names, name: String| names.remove(&name).is_some(), (name,))
    }

    /// Whether there is a value under a name.
    ///
    /// # Errors
    ///
    /// As [`Proxy::call`].
    pub fn contains(&self, name: impl Message<String>) -> Result<bool> {
        self.proxy.call(|names: &mut Names, name: String| names.contains_key(&name), (name,))
    }

    /// All names, sorted.
    ///
    /// # Errors
    ///
    /// As [`Proxy::call`].
    pub fn names(&self) -> Result<Vec<String>> {
        let run = |names: &mut Names| {
            let mut names: Vec<String> = names.keys().cloned().collect();
            names.sort();
            names
        };
        self.proxy.call(run, ())
    }

    /// Takes the mark of a panic away; see [`Proxy::recover`].
    ///
    /// # Errors
    ///
    /// As [`Proxy::call`].
    pub fn recover(&self) -> Result<()> {
        self.proxy.recover()
    }

    /// Another handle to the same namespace, each of whose calls waits at most `timeout` for its answer; see
    /// [`Proxy::with_timeout`].
    #[must_use = "the limit is that of the handle that is returned"]
    pub fn with_timeout(&self, timeout: Duration) -> Namespace {
        Namespace { proxy: self.proxy.with_timeout(timeout) }
    }
}

impl Serialize for Namespace {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.proxy.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Namespace {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Namespace, D::Error> {
        Proxy::deserialize(deserializer).map(Namespace::of)
    }
}

/// Which object of which manager; asks nobody.
impl fmt::Debug for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Namespace").field(&self.proxy).finish()
    }
}
