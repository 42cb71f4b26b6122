//! `List`: a vector in a manager's server.

#![allow(clippy::ptr_arg, reason = "the object is a Vec, whatever a function does with it")]

use super::method::{Behind, Front, Method};
use super::operations::{collection, operations};
use super::proxy::Proxy;
use crate::error::{Error, ErrorKind, Result};
use crate::message::Message;
use crate::process::private::Token;
use crate::process::{Arguments, Parameters};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::ops::{Bound, RangeBounds};

/// A [`Vec`] that lives in a manager's server, as Python's `Manager.list()`: [`Manager::list`](crate::Manager::list) makes one.
///
/// Every method is one call and atomic; [`Proxy`] says what a call waits for, and its errors ([`Proxy::call`]). What comes back is
/// a copy: an item is changed in place by [`update`](List::update), several by [`call`](Proxy::call) of [`proxy`](List::proxy). An
/// index that the list has not is an error with [`is_invalid_input`](crate::Error::is_invalid_input) that names both.
///
/// # Examples
///
/// ```
/// # fn main() -> multiproc::Result<()> {
/// let manager = multiproc::Manager::new()?;
/// let rows = manager.list::<Vec<u32>>()?;
/// rows.extend([vec![1], vec![2, 3]])?;
///
/// // The wrong way: the copy grows, the list does not.
/// rows.get(0)?.unwrap().push(9);
/// assert_eq!(rows.get(0)?.unwrap(), [1]);
///
/// // The right way: the change goes to the item.
/// rows.update(0, |row: &mut Vec<u32>, n: u32| row.push(n), (9,))?;
/// assert_eq!(rows.get(0)?.unwrap(), [1, 9]);
/// # Ok(())
/// # }
/// ```
pub struct List<T> {
    proxy: Proxy<Vec<T>>,
}

collection! {
    List<T> [T: Serialize + DeserializeOwned + 'static], ListBatch, Vec<T>, list
}

#[cold]
fn out_of_range(index: usize, len: usize) -> Error {
    Error::of(
        ErrorKind::InvalidInput,
        format!("index {index} is out of range: the list has {len} items"),
    )
}

/// The item at an index.
fn item_at<T>(list: &mut [T], index: usize) -> Result<&mut T> {
    let len = list.len();
    list.get_mut(index).ok_or_else(|| out_of_range(index, len))
}

operations! {
    List<T> [T: Serialize + DeserializeOwned + 'static], ListBatch, Vec<T>;

    /// Appends an item.
    fn push(list, item: T) -> () { list.push(item) }

    /// Takes the last item.
    fn pop(list) -> Option<T> { list.pop() }

    /// A copy of the item at an index, if there is one.
    fn get(list, index: usize) -> Option<T> where { T: Clone } { list.get(index).cloned() }

    /// A copy of the first item, if there is one.
    fn first(list) -> Option<T> where { T: Clone } { list.first().cloned() }

    /// A copy of the last item, if there is one.
    fn last(list) -> Option<T> where { T: Clone } { list.last().cloned() }

    /// Puts an item in the place of another one; the one that was there before.
    try fn set(list, index: usize, item: T) -> T {
        Ok(std::mem::replace(item_at(list, index)?, item))
    }

    /// Puts an item in front of the one at an index; at the end if that is the length.
    try fn insert(list, index: usize, item: T) -> () {
        if index > list.len() {
            return Err(out_of_range(index, list.len()));
        }
        list.insert(index, item);
        Ok(())
    }

    /// Takes the item at an index; those behind it move up.
    try fn remove(list, index: usize) -> T {
        item_at(list, index)?;
        Ok(list.remove(index))
    }

    /// Takes the item at an index and puts the last one in its place.
    try fn swap_remove(list, index: usize) -> T {
        item_at(list, index)?;
        Ok(list.swap_remove(index))
    }

    /// Exchanges two items.
    try fn swap(list, a: usize, b: usize) -> () {
        item_at(list, a)?;
        item_at(list, b)?;
        list.swap(a, b);
        Ok(())
    }

    /// How many items there are.
    fn len(list) -> usize { list.len() }

    /// Whether there is no item.
    fn is_empty(list) -> bool { list.is_empty() }

    /// Drops all items.
    fn clear(list) -> () { list.clear() }

    /// Drops all items but the first `len`.
    fn truncate(list, len: usize) -> () { list.truncate(len) }

    /// Whether there is such an item.
    fn contains(list, item: T) -> bool where { T: PartialEq } { list.contains(&item) }

    /// The index of the first such item.
    fn index_of(list, item: T) -> Option<usize> where { T: PartialEq } {
        list.iter().position(|it| *it == item)
    }

    /// How many such items there are.
    fn count(list, item: T) -> usize where { T: PartialEq } {
        list.iter().filter(|it| **it == item).count()
    }

    /// Sorts the list; equal items keep their order.
    fn sort(list) -> () where { T: Ord } { list.sort() }

    /// Turns the list round.
    fn reverse(list) -> () { list.reverse() }

    /// Copies of all items, as they were at one moment: what to iterate over.
    fn to_vec(list) -> Vec<T> where { T: Clone } { list.clone() }

    /// Takes all items out. Nobody else gets one of them, too.
    fn take_all(list) -> Vec<T> { std::mem::take(list) }
}

/// Runs a function on the item at an index.
#[derive(Clone, Copy)]
struct Update<F>(F);

impl<T, P, F: Method<T, P>> Method<Vec<T>, Behind<usize, P>> for Update<F> {
    type Output = Result<F::Output>;

    fn call(self, list: &mut Vec<T>, with: Behind<usize, P>, token: Token) -> Self::Output {
        Ok(self.0.call(item_at(list, with.0)?, with.1, token))
    }
}

/// Keeps the items of which a function says so.
#[derive(Clone, Copy)]
struct Retain<F>(F);

impl<T, F: Fn(&T) -> bool + Copy + Send + 'static> Method<Vec<T>, ()> for Retain<F> {
    type Output = ();

    fn call(self, list: &mut Vec<T>, (): (), _: Token) {
        list.retain(self.0);
    }
}

/// Sorts by the key that a function gives.
#[derive(Clone, Copy)]
struct SortByKey<F>(F);

impl<T, K: Ord, F: Fn(&T) -> K + Copy + Send + 'static> Method<Vec<T>, ()> for SortByKey<F> {
    type Output = ();

    fn call(self, list: &mut Vec<T>, (): (), _: Token) {
        list.sort_by_key(self.0);
    }
}

impl<T: Serialize + DeserializeOwned + 'static> List<T> {
    /// Runs `f` on the item at an index, in the server, and brings back what it returns.
    ///
    /// `f` and `args` are as for [`Proxy::call`], with `&mut T` as the first parameter.
    ///
    /// # Errors
    ///
    /// As [`Proxy::call`]; [`is_invalid_input`](crate::Error::is_invalid_input) if there is no such item.
    pub fn update<F, P, A>(&self, index: usize, f: F, args: A) -> Result<F::Output>
    where
        F: Method<T, P, Output: Serialize + DeserializeOwned>,
        P: Parameters,
        A: Arguments<P>,
    {
        self.proxy.call::<_, Behind<usize, P>, _>(Update(f), Front(index, args))?
    }

    /// Appends many items at once.
    ///
    /// # Errors
    ///
    /// As [`Proxy::call`]. If one of the items refuses to be a message, none is put.
    pub fn extend(&self, items: impl IntoIterator<Item = T>) -> Result<()> {
        let items: Vec<T> = items.into_iter().collect();
        self.extend_from_slice(items)
    }

    /// Appends many items at once that stand in a row already: a `Vec`, a slice, an array by reference.
    ///
    /// # Errors
    ///
    /// As [`extend`](List::extend).
    pub fn extend_from_slice(&self, items: impl Message<Vec<T>>) -> Result<()> {
        self.proxy.call(Vec::<T>::extend::<Vec<T>>, (items,))
    }

    /// Copies of the items in a range of indices; less where the list ends earlier, as Python's slices.
    ///
    /// # Errors
    ///
    /// As [`Proxy::call`].
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> multiproc::Result<()> {
    /// let list = multiproc::Manager::new()?.list::<u32>()?;
    /// list.extend(0..5)?;
    /// assert_eq!(list.slice(1..3)?, [1, 2]);
    /// assert_eq!(list.slice(3..)?, [3, 4]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn slice(&self, range: impl RangeBounds<usize>) -> Result<Vec<T>>
    where
        T: Clone,
    {
        fn run<T: Clone>(list: &mut Vec<T>, start: usize, end: usize) -> Vec<T> {
            let end = end.min(list.len());
            list[start.min(end)..end].to_vec()
        }
        let start = match range.start_bound() {
            Bound::Included(&start) => start,
            Bound::Excluded(&start) => start.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(&end) => end.saturating_add(1),
            Bound::Excluded(&end) => end,
            Bound::Unbounded => usize::MAX,
        };
        self.proxy.call(run::<T>, (start, end))
    }

    /// Keeps the items for which `f` is true, and drops the others. `f` captures nothing; where it needs something, use
    /// [`call`](Proxy::call) of [`proxy`](List::proxy).
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

    /// Sorts the list by the key that `f` gives for each item; items with equal keys keep their order.
    ///
    /// # Errors
    ///
    /// As [`Proxy::call`].
    pub fn sort_by_key<K, F>(&self, f: F) -> Result<()>
    where
        K: Ord,
        F: Fn(&T) -> K + Copy + Send + 'static,
    {
        self.proxy.call::<_, (), _>(SortByKey(f), ())
    }
}
