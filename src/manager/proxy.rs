//! `Proxy`: a handle to an object in a manager's server.

use super::batch::{Batch, Later};
use super::command::{TO_RECOVER, to_call};
use super::link::{self, Link};
use super::method::Method;
use super::request::{Target, error_of, put_only_call, take_result};
use super::server::Command;
use super::share::Share;
use crate::error::Result;
use crate::handle;
use crate::message;
use crate::process::private::Token;
use crate::process::{Arguments, Entry, Parameters};
use crate::sys::clock::Deadline;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

/// A handle to a value of type `S` that lives in a manager's server: [`Manager::host`](crate::Manager::host) makes one.
///
/// [`call`](Proxy::call) runs a function on the value, in the server. Calls run one after the other, so each one is atomic:
/// nobody sees a value that is half changed, and no change is lost. What the function returns is a copy of its own.
///
/// Handles clone and travel in the arguments and results of processes, through queues and pipes, and inside the objects of a
/// manager. All threads of all processes can use them at the same time. The value is dropped, in the server, when its last
/// handle is: in whatever process it was, and however that process ended. Objects that hold handles to each other in a circle stay
/// until the server ends.
///
/// # What blocks, and what happens at a death
///
/// A call waits for the server, and for the calls that the server got before it. A function that takes its time, or waits for a
/// lock, holds up everybody else: let the server change values, and do the work outside of it. If the server is killed or shut
/// down, every call in flight and every later one is an error with [`is_closed`](crate::Error::is_closed), at once. If a caller is
/// killed in the middle of a call, the server runs the call or does not; everybody else goes on.
///
/// # Panics
///
/// A function that panics ends with its call, not with the server: the caller gets an error whose
/// [`child`](crate::Error::child) has message and place. The object may be half changed then. So later calls, by anybody, are
/// errors with [`is_owner_died`](crate::Error::is_owner_died), as for a lock whose owner died, until somebody calls
/// [`recover`](Proxy::recover). A program that is built to abort on panics loses the server instead.
///
/// # Calls inside calls
///
/// A function that runs in the server may call the same manager, by handles that it was given or finds in the object. Such calls
/// run at once, inside of it. A call on the object that it is working on is an error with
/// [`is_deadlock`](crate::Error::is_deadlock), and so is one from a thread that it started. What it must not do is wait for
/// another process that calls this manager: that one waits for the server.
///
/// # Examples
///
/// ```
/// use multiproc::{Manager, Process, Proxy, Result};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Account {
///     cents: i64,
/// }
///
/// impl Account {
///     fn pay_in(&mut self, cents: i64) -> i64 {
///         self.cents += cents;
///         self.cents
///     }
/// }
///
/// fn work(account: Proxy<Account>) -> Result<()> {
///     for _ in 0..10 {
///         account.call(Account::pay_in, (5,))?;
///     }
///     Ok(())
/// }
///
/// # fn main() -> Result<()> {
/// let manager = Manager::new()?;
/// let account = manager.host(Account { cents: 100 })?;
/// let worker = Process::spawn(work, (&account,))?;
/// worker.join()??;
/// assert_eq!(account.call(|account: &mut Account| account.cents, ())?, 150);
/// # Ok(())
/// # }
/// ```
pub struct Proxy<S> {
    handle: Arc<Handle>,
    limit: Option<Duration>,
    state: PhantomData<fn(S) -> S>,
}

/// What all clones of a proxy share.
struct Handle {
    // Before the link: the server is told while there is a way to it.
    share: Share,
    link: Arc<Link>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        if !self.share.is_foreign() && self.share.give_up() {
            self.link.note_given_up(self.share.object());
        }
    }
}

/// Until when a call that begins now may take.
pub(super) fn deadline(limit: Option<Duration>) -> Deadline {
    limit.map_or(Deadline::NEVER, Deadline::after)
}

/// Has the server run one call. `read` is given its result.
pub(super) fn ask<R>(
    link: &Link,
    until: Deadline,
    object: u64,
    entry: &'static Entry<Command>,
    args: &dyn Fn(&mut Vec<u8>) -> Result<()>,
    read: fn(&[u8]) -> Result<R>,
) -> Result<R> {
    let target = Target { object, entry: entry.name()? };
    let write = |out: &mut Vec<u8>| put_only_call(out, target, args).map(|()| 1);
    link.transact(until, write, |mut bytes, given| {
        let (result, is_error) = take_result(&mut bytes)?;
        if is_error {
            return Err(error_of(result));
        }
        handle::unpack(given, || read(result))
    })
}

impl<S: 'static> Proxy<S> {
    pub(super) fn of(link: Arc<Link>, share: Share, limit: Option<Duration>) -> Proxy<S> {
        Proxy { handle: Arc::new(Handle { share, link }), limit, state: PhantomData }
    }

    /// Runs `f` on the object, in the server, and brings back what it returns.
    ///
    /// `f` is an `fn` item or a closure that captures nothing; its first parameter is `&mut S`. `args` is a tuple with one element
    /// for each further parameter, in any form in which a [`Message`](crate::Message) can be given, as for
    /// [`Process::spawn`](crate::Process::spawn). Up to seven.
    ///
    /// # Errors
    ///
    /// - [`is_closed`](crate::Error::is_closed): the server is gone. If that happened during the call, nobody knows whether `f`
    ///   ran, and it does not matter any more;
    /// - [`is_child`](crate::Error::is_child): `f` panicked; [`child`](crate::Error::child) says how;
    /// - [`is_owner_died`](crate::Error::is_owner_died): a call on this object panicked before, and nobody has recovered it;
    /// - [`is_encode`](crate::Error::is_encode): an argument or the result refuses to be a message. If it was an argument, nothing
    ///   was done; if it was the result, `f` has run;
    /// - [`is_timeout`](crate::Error::is_timeout): the time of [`with_timeout`](Proxy::with_timeout) is over. `f` may run yet;
    /// - [`is_deadlock`](crate::Error::is_deadlock): a function in the server calls the object that it is working on;
    /// - [`is_mismatch`](crate::Error::is_mismatch): the object is no `S`;
    /// - [`is_foreign`](crate::Error::is_foreign): the handle was inherited over a fork;
    /// - as [`Queue::put`](crate::Queue::put), where there is no memory or no thread slot left.
    ///
    /// # Examples
    ///
    /// What is changed outside of the server is a copy, and the object never learns of it. Change it in the server:
    ///
    /// ```
    /// # fn main() -> multiproc::Result<()> {
    /// let manager = multiproc::Manager::new()?;
    /// let numbers = manager.host(vec![3, 1, 2])?;
    ///
    /// // The wrong way: a copy is sorted.
    /// let mut copy = numbers.call(|numbers: &mut Vec<i32>| numbers.clone(), ())?;
    /// copy.sort();
    /// assert_eq!(numbers.call(|numbers: &mut Vec<i32>| numbers[0], ())?, 3);
    ///
    /// // The right way: the function goes to the data.
    /// numbers.call(|numbers: &mut Vec<i32>| numbers.sort(), ())?;
    /// assert_eq!(numbers.call(|numbers: &mut Vec<i32>| numbers[0], ())?, 1);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// A closure that captures something does not compile. What it needs goes into the arguments:
    ///
    /// ```compile_fail
    /// # fn main() -> multiproc::Result<()> {
    /// # let numbers = multiproc::Manager::new()?.host(vec![3, 1, 2])?;
    /// let limit = 2;
    /// numbers.call(move |numbers: &mut Vec<i32>| numbers.retain(|n| *n > limit), ())?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn call<F, P, A>(&self, f: F, args: A) -> Result<F::Output>
    where
        F: Method<S, P, Output: Serialize + DeserializeOwned>,
        P: Parameters,
        A: Arguments<P>,
    {
        let Handle { share, link } = &*self.handle;
        let entry = to_call::<S, F, P>(f);
        let write = |out: &mut Vec<u8>| args.encode(out, Token);
        let until = deadline(self.limit);
        ask(link, until, share.object(), entry, &write, message::decode::<F::Output>)
    }

    /// The same call as a part of a batch; `read` reads its result. Inlined as [`Batch::add`].
    #[inline(always)]
    pub(super) fn call_later<F, P, A, T>(
        &self,
        batch: &mut Batch,
        f: F,
        args: A,
        read: fn(&[u8]) -> Result<T>,
    ) -> Later<T>
    where
        F: Method<S, P, Output: Serialize + DeserializeOwned>,
        P: Parameters,
        A: Arguments<P>,
        T: 'static,
    {
        let Handle { share, link } = &*self.handle;
        let entry = to_call::<S, F, P>(f);
        batch.add(link, share.object(), entry, read, |out| args.encode(out, Token))
    }

    /// Takes the mark away that a panic in the middle of a change has left, and takes the object as it is. What is half changed, the
    /// caller repairs by a [`call`](Proxy::call).
    ///
    /// # Errors
    ///
    /// As [`call`](Proxy::call).
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> multiproc::Result<()> {
    /// let manager = multiproc::Manager::new()?;
    /// let numbers = manager.host(vec![1, 2])?;
    /// let error = numbers.call(|numbers: &mut Vec<i32>| numbers[7], ()).unwrap_err();
    /// assert!(error.child().unwrap().message().unwrap().contains("out of bounds"));
    /// assert!(numbers.call(|numbers: &mut Vec<i32>| numbers.len(), ()).unwrap_err().is_owner_died());
    /// numbers.recover()?;
    /// assert_eq!(numbers.call(|numbers: &mut Vec<i32>| numbers.len(), ())?, 2);
    /// # Ok(())
    /// # }
    /// ```
    pub fn recover(&self) -> Result<()> {
        let Handle { share, link } = &*self.handle;
        let until = deadline(self.limit);
        ask(link, until, share.object(), TO_RECOVER, &|_| Ok(()), |_| Ok(()))
    }
}

impl<S> Proxy<S> {
    /// Another handle to the same object, each of whose calls waits at most `timeout` for its answer. Then it is an error with
    /// [`is_timeout`](crate::Error::is_timeout), and the call may be done later, or be done already. Handles that are cloned from
    /// this one have the same limit; one that has travelled has none.
    #[must_use = "the limit is that of the handle that is returned"]
    pub fn with_timeout(&self, timeout: Duration) -> Proxy<S> {
        Proxy { limit: Some(timeout), ..self.clone() }
    }
}

impl<S> Clone for Proxy<S> {
    fn clone(&self) -> Proxy<S> {
        Proxy { handle: Arc::clone(&self.handle), limit: self.limit, state: PhantomData }
    }
}

impl<S> Serialize for Proxy<S> {
    fn serialize<T: Serializer>(&self, serializer: T) -> Result<T::Ok, T::Error> {
        (&*self.handle.link, &self.handle.share).serialize(serializer)
    }
}

impl<'de, S: 'static> Deserialize<'de> for Proxy<S> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Proxy<S>, D::Error> {
        let (ToServer(link), share) = Deserialize::deserialize(deserializer)?;
        Ok(Proxy::of(link, share, None))
    }
}

/// A link that has travelled.
struct ToServer(Arc<Link>);

impl<'de> Deserialize<'de> for ToServer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<ToServer, D::Error> {
        link::deserialize(deserializer).map(ToServer)
    }
}

/// Which object of which manager; asks nobody.
impl<S> fmt::Debug for Proxy<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy")
            .field("state", &format_args!("{}", std::any::type_name::<S>()))
            .field("number", &(self.handle.share.object() as u32))
            .field("manager", &self.handle.link.number())
            .finish()
    }
}

impl Batch {
    /// Runs `f` on an object when the batch is run; else as [`Proxy::call`].
    pub fn call<S, F, P, A>(&mut self, proxy: &Proxy<S>, f: F, args: A) -> Later<F::Output>
    where
        S: 'static,
        F: Method<S, P, Output: Serialize + DeserializeOwned + 'static>,
        P: Parameters,
        A: Arguments<P>,
    {
        proxy.call_later(self, f, args, message::decode::<F::Output>)
    }
}
