//! `Dict`: a map in a manager's server.

use super::method::{Behind, Front, Method};
use super::operations::{collection, operations};
use super::proxy::Proxy;
use crate::error::Result;
use crate::message::Message;
use crate::process::private::Token;
use crate::process::{Arguments, Parameters};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::hash::Hash;

/// A [`HashMap`] that lives in a manager's server, as Python's `Manager.dict()`: [`Manager::dict`](crate::Manager::dict) makes one.
///
/// Every method is one call and atomic; [`Proxy`] says what a call waits for, and its errors
/// ([`Proxy::call`]). Keys and values are taken in any form in which a [`Message`] can be given. What comes back is a copy:
///
/// ```
/// # fn main() -> multiproc::Result<()> {
/// let manager = multiproc::Manager::new()?;
/// let scores = manager.dict::<String, Vec<u32>>()?;
/// scores.insert("Ada", [7].as_slice())?;
///
/// // The wrong way: the copy gets the new score, the dict does not.
/// scores.get("Ada")?.unwrap().push(9);
/// assert_eq!(scores.get("Ada")?.unwrap(), [7]);
///
/// // Not wrong, but two calls: what somebody else changes in between is lost.
/// let mut copy = scores.get("Ada")?.unwrap();
/// copy.push(9);
/// scores.insert("Ada", copy)?;
///
/// // The right way: the change goes to the value.
/// scores.update("Ada", |scores: &mut Vec<u32>, score: u32| scores.push(score), (10,))?;
/// assert_eq!(scores.get("Ada")?.unwrap(), [7, 9, 10]);
/// # Ok(())
/// # }
/// ```
pub struct Dict<K, V> {
    proxy: Proxy<HashMap<K, V>>,
}

collection! {
    Dict<K, V> [
        K: Serialize + DeserializeOwned + Eq + Hash + 'static, V: Serialize + DeserializeOwned + 'static
    ], DictBatch, HashMap<K, V>, dict
}

operations! {
    Dict<K, V> [
        K: Serialize + DeserializeOwned + Eq + Hash + 'static, V: Serialize + DeserializeOwned + 'static
    ], DictBatch, HashMap<K, V>;

    /// Puts a value under a key; the one that was there before.
    fn insert(map, key: K, value: V) -> Option<V> { map.insert(key, value) }

    /// A copy of the value under a key.
    fn get(map, key: K) -> Option<V> where { V: Clone } { map.get(&key).cloned() }

    /// The value under a key; `value` is put there first if there is none. Python's `setdefault`.
    fn get_or_insert(map, key: K, value: V) -> V where { V: Clone } {
        map.entry(key).or_insert(value).clone()
    }

    /// Takes a value out.
    fn remove(map, key: K) -> Option<V> { map.remove(&key) }

    /// Takes some entry out, as Python's `popitem`; which one is not specified.
    fn pop(map) -> Option<(K, V)> where { K: Clone } {
        let key = map.keys().next()?.clone();
        map.remove_entry(&key)
    }

    /// Whether there is a value under a key.
    fn contains_key(map, key: K) -> bool { map.contains_key(&key) }

    /// How many entries there are.
    fn len(map) -> usize { map.len() }

    /// Whether there is no entry.
    fn is_empty(map) -> bool { map.is_empty() }

    /// Drops all entries.
    fn clear(map) -> () { map.clear() }

    /// Copies of all keys, in no order.
    fn keys(map) -> Vec<K> where { K: Clone } { map.keys().cloned().collect() }

    /// Copies of all values, in no order.
    fn values(map) -> Vec<V> where { V: Clone } { map.values().cloned().collect() }

    /// Copies of all entries, as they were at one moment, in no order: what to iterate over.
    fn items(map) -> Vec<(K, V)> where { K: Clone, V: Clone } {
        map.iter().map(|(key, value)| (key.clone(), value.clone())).collect()
    }

    /// Takes all entries out, in no order. Nobody else gets one of them, too.
    fn take_all(map) -> Vec<(K, V)> { map.drain().collect() }
}

/// Runs a function on the value under a key.
#[derive(Clone, Copy)]
struct Update<F>(F);

impl<K, V, P, F> Method<HashMap<K, V>, Behind<K, P>> for Update<F>
where
    K: Eq + Hash,
    F: Method<V, P>,
{
    type Output = Option<F::Output>;

    fn call(self, map: &mut HashMap<K, V>, with: Behind<K, P>, token: Token) -> Self::Output {
        Some(self.0.call(map.get_mut(&with.0)?, with.1, token))
    }
}

/// The same, where a value is put first if there is none.
#[derive(Clone, Copy)]
struct UpdateOr<F>(F);

impl<K, V, P, F> Method<HashMap<K, V>, Behind<K, Behind<V, P>>> for UpdateOr<F>
where
    K: Eq + Hash,
    F: Method<V, P>,
{
    type Output = F::Output;

    fn call(
        self,
        map: &mut HashMap<K, V>,
        with: Behind<K, Behind<V, P>>,
        token: Token,
    ) -> F::Output {
        let Behind(key, Behind(value, rest)) = with;
        self.0.call(map.entry(key).or_insert(value), rest, token)
    }
}

/// Keeps the entries of which a function says so.
#[derive(Clone, Copy)]
struct Retain<F>(F);

impl<K, V, F> Method<HashMap<K, V>, ()> for Retain<F>
where
    F: Fn(&K, &mut V) -> bool + Copy + Send + 'static,
{
    type Output = ();

    fn call(self, map: &mut HashMap<K, V>, (): (), _: Token) {
        map.retain(self.0);
    }
}

impl<K, V> Dict<K, V>
where
    K: Serialize + DeserializeOwned + Eq + Hash + 'static,
    V: Serialize + DeserializeOwned + 'static,
{
    /// Runs `f` on the value under a key, in the server, and brings back what it returns; `None` if there is no such key.
    ///
    /// `f` and `args` are as for [`Proxy::call`], with `&mut V` as the first parameter. To work on several values at once, use
    /// [`call`](Proxy::call) of [`proxy`](Dict::proxy).
    ///
    /// # Errors
    ///
    /// As [`Proxy::call`].
    pub fn update<F, P, A>(&self, key: impl Message<K>, f: F, args: A) -> Result<Option<F::Output>>
    where
        F: Method<V, P, Output: Serialize + DeserializeOwned>,
        P: Parameters,
        A: Arguments<P>,
    {
        self.proxy.call::<_, Behind<K, P>, _>(Update(f), Front(key, args))
    }

    /// As [`update`](Dict::update), but that `default` is put under the key first if there is nothing.
    ///
    /// # Errors
    ///
    /// As [`Proxy::call`].
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> multiproc::Result<()> {
    /// let counts = multiproc::Manager::new()?.dict::<char, u32>()?;
    /// for letter in "hello".chars() {
    ///     counts.update_or(letter, 0, |n: &mut u32| *n += 1, ())?;
    /// }
    /// assert_eq!(counts.get('l')?, Some(2));
    /// # Ok(())
    /// # }
    /// ```
    pub fn update_or<F, P, A>(
        &self,
        key: impl Message<K>,
        default: impl Message<V>,
        f: F,
        args: A,
    ) -> Result<F::Output>
    where
        F: Method<V, P, Output: Serialize + DeserializeOwned>,
        P: Parameters,
        A: Arguments<P>,
    {
        let args = Front(key, Front(default, args));
        self.proxy.call::<_, Behind<K, Behind<V, P>>, _>(UpdateOr(f), args)
    }

    /// Keeps the entries for which `f` is true, and drops the others. `f` captures nothing; where it needs something, use
    /// [`call`](Proxy::call) of [`proxy`](Dict::proxy).
    ///
    /// # Errors
    ///
    /// As [`Proxy::call`].
    pub fn retain<F>(&self, f: F) -> Result<()>
    where
        F: Fn(&K, &mut V) -> bool + Copy + Send + 'static,
    {
        self.proxy.call::<_, (), _>(Retain(f), ())
    }

    /// Puts many entries at once.
    ///
    /// # Errors
    ///
    /// As [`Proxy::call`]. If one of the entries refuses to be a message, none is put.
    pub fn extend(&self, entries: impl IntoIterator<Item = (K, V)>) -> Result<()> {
        let entries: Vec<(K, V)> = entries.into_iter().collect();
        self.proxy.call(HashMap::<K, V>::extend::<Vec<(K, V)>>, (entries,))
    }

    /// A copy of the whole map, as it was at one moment.
    ///
    /// # Errors
    ///
    /// As [`Proxy::call`].
    pub fn to_map(&self) -> Result<HashMap<K, V>>
    where
        K: Clone,
        V: Clone,
    {
        Ok(self.items()?.into_iter().collect())
    }
}

impl<K, V> DictBatch<'_, K, V>
where
    K: Serialize + DeserializeOwned + Eq + Hash + 'static,
    V: Serialize + DeserializeOwned + 'static,
{
    /// In the batch, [`Dict::update_or`].
    pub fn update_or<F, P, A>(
        &mut self,
        key: impl Message<K>,
        default: impl Message<V>,
        f: F,
        args: A,
    ) -> super::batch::Later<F::Output>
    where
        F: Method<V, P, Output: Serialize + DeserializeOwned + 'static>,
        P: Parameters,
        A: Arguments<P>,
    {
        let args = Front(key, Front(default, args));
        let read = crate::message::decode::<F::Output>;
        self.proxy.call_later::<_, Behind<K, Behind<V, P>>, _, _>(
            self.batch,
            UpdateOr(f),
            args,
            read,
        )
    }
}
