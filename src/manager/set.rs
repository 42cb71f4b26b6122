//! `Set`: a set in a manager's server.

use super::method::Method;
use super::operations::{collection, operations};
use super::proxy::Proxy;
use crate::error::Result;
use crate::process::private::Token;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::HashSet;
use std::hash::Hash;

/// A [`HashSet`] that lives in a manager's server: [`Manager::set`](crate::Manager::set) makes one.
///
/// Every method is one call and atomic; [`Proxy`] says what a call waits for, and its errors ([`Proxy::call`]).
///
/// # Examples
///
/// ```
/// # fn main() -> multiproc::Result<()> {
/// let seen = multiproc::Manager::new()?.set::<String>()?;
/// assert!(seen.insert("a")?);
/// assert!(!seen.insert("a")?, "it was there");
/// seen.extend(["b".to_owned()])?;
/// assert!(seen.contains("b")?);
/// assert_eq!(seen.len()?, 2);
/// # Ok(())
/// # }
/// ```
pub struct Set<T> {
    proxy: Proxy<HashSet<T>>,
}

collection! {
    Set<T> [T: Serialize + DeserializeOwned + Eq + Hash + 'static], SetBatch, HashSet<T>, set
}

operations! {
    Set<T> [T: Serialize + DeserializeOwned + Eq + Hash + 'static], SetBatch, HashSet<T>;

    /// Puts an item in; whether it was not there before.
    fn insert(set, item: T) -> bool { set.insert(item) }

    /// Takes an item out; whether it was there.
    fn remove(set, item: T) -> bool { set.remove(&item) }

    /// Takes some item out; which one is not specified.
    fn pop(set) -> Option<T> where { T: Clone } {
        let item = set.iter().next()?.clone();
        set.take(&item)
    }

    /// Whether an item is there.
    fn contains(set, item: T) -> bool { set.contains(&item) }

    /// How many items there are.
    fn len(set) -> usize { set.len() }

    /// Whether there is no item.
    fn is_empty(set) -> bool { set.is_empty() }

    /// Drops all items.
    fn clear(set) -> () { set.clear() }

    /// Copies of all items, as they were at one moment, in no order: what to iterate over.
    fn items(set) -> Vec<T> where { T: Clone } { set.iter().cloned().collect() }

    /// Takes all items out, in no order. Nobody else gets one of them, too.
    fn take_all(set) -> Vec<T> { set.drain().collect() }
}

/// Keeps the items of which a function says so.
#[derive(Clone, Copy)]
struct Retain<F>(F);

impl<T, F: Fn(&T) -> bool + Copy + Send + 'static> Method<HashSet<T>, ()> for Retain<F> {
    type Output = ();

    fn call(self, set: &mut HashSet<T>, (): (), _: Token) {
        set.retain(self.0);
    }
}

impl<T: Serialize + DeserializeOwned + Eq + Hash + 'static> Set<T> {
    /// Puts many items in at once.
    ///
    /// # Errors
    ///
    /// As [`Proxy::call`]. If one of the items refuses to be a message, none is put in.
    pub fn extend(&self, items: impl IntoIterator<Item = T>) -> Result<()> {
        let items: Vec<T> = items.into_iter().collect();
        self.proxy.call(HashSet::<T>::extend::<Vec<T>>, (items,))
    }

    /// Keeps the items for which `f` is true, and drops the others. `f` captures nothing; where it needs something, use
    /// [`call`](Proxy::call) of [`proxy`](Set::proxy).
    ///
    /// # Errors
    ///
    /// As [`Proxy::call`].
    pub fn retain<F>(&self, f: F) -> Result<()>
    where
        F: Fn(&T) -> bool + Copy + Send + 'static,
    {
        self.proxy.call::<_, (), _>(Retain(f), ())
    }

    /// A copy of the whole set, as it was at one moment.
    ///
    /// # Errors
    ///
    /// As [`Proxy::call`].
    pub fn to_set(&self) -> Result<HashSet<T>>
    where
        T: Clone,
    {
        Ok(self.items()?.into_iter().collect())
    }
}
