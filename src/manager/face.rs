//! `Manager`: starting a server, and making objects in it.

use super::batch::Batch;
use super::command::{TO_LIST, TO_SHUT_DOWN, to_host};
use super::dict::Dict;
use super::link::{self, Link};
use super::list::List;
use super::namespace::Namespace;
use super::proxy::{Proxy, ask, deadline};
use super::request::Request;
use super::server::serve;
use super::set::Set;
use super::share::Share;
use super::table::HostedObject;
use crate::channel::Queue;
use crate::error::Result;
use crate::message;
use crate::process::private::Token;
use crate::process::{Arguments, Function, Parameters, Process, ProcessHandle};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

/// Objects that live in a server process and are shared by any number of others, as `multiprocessing.Manager`.
///
/// The objects are ordinary Rust values: [`dict`](Manager::dict), [`list`](Manager::list), [`set`](Manager::set) and
/// [`namespace`](Manager::namespace) make collections, and [`host`](Manager::host) takes any value in. What comes back is a handle
/// ([`Proxy`]), which clones and travels; its calls run in the server, one after the other, so that each one is atomic.
/// [`Proxy`] says what a call waits for, and what a death and a panic mean.
///
/// A call costs a round trip between two processes, and the copies of what it carries. Where that is too much, use
/// [`batch`](Manager::batch), or data in shared memory: [`Value`](crate::Value), [`Array`](crate::Array).
///
/// # How long the server lives
///
/// As long as any process has a `Manager` or one of its handles, also if the process that called [`Manager::new`] has ended or was
/// killed. It ends when the last of them is dropped or dead, or by [`shutdown`](Manager::shutdown). A program that ends does not
/// wait for its server.
///
/// # Differences from Python
///
/// - Nothing is registered beforehand: any function can run on any object.
/// - A nested container that is fetched is a copy of its own, visibly so. It is changed in place by
///   [`update`](Dict::update) or [`call`](Proxy::call), or it is an object of the manager itself, as a handle inside of another.
/// - The program's end does not end the server while other processes use it.
///
/// # Examples
///
/// ```
/// use multiproc::{Dict, Manager, Process, Result};
///
/// fn count(words: Vec<String>, counts: Dict<String, u32>) -> Result<()> {
///     for word in words {
///         counts.update_or(&word, 0, |n: &mut u32| *n += 1, ())?;
///     }
///     Ok(())
/// }
///
/// # fn main() -> Result<()> {
/// let manager = Manager::new()?;
/// let counts = manager.dict::<String, u32>()?;
/// let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
/// let first = Process::spawn(count, (words("the cat and the dog"), &counts))?;
/// let second = Process::spawn(count, (words("the end"), &counts))?;
/// first.join()??;
/// second.join()??;
/// assert_eq!(counts.get("the")?, Some(3));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Manager {
    link: Arc<Link>,
    limit: Option<Duration>,
}

/// How long `Debug` waits for the server.
const GLANCE: Duration = Duration::from_millis(100);

impl Manager {
    /// Starts a server without objects. Returns as soon as its process runs: about half a millisecond.
    ///
    /// # Errors
    ///
    /// As [`Process::spawn`](crate::Process::spawn) and [`Queue::new`](crate::Queue::new).
    pub fn new() -> Result<Manager> {
        let (requests, taken) = Queue::<Request>::new()?.split();
        let builder = Process::builder().name("Manager").unattended();
        let process = builder.spawn(serve, (taken,))?;
        let link = Link::of(requests);
        link.set_process(process);
        Ok(Manager { link, limit: None })
    }

    /// Takes a value in.
    ///
    /// # Errors
    ///
    /// As [`Proxy::call`].
    pub fn host<S>(&self, state: S) -> Result<Proxy<S>>
    where
        S: Serialize + DeserializeOwned + 'static,
    {
        self.host_with(|state: S| state, (state,))
    }

    /// Takes the value in that `make` makes, in the server: one that does not travel, such as an open file.
    ///
    /// `make` is an `fn` item or a closure that captures nothing, as for [`Process::spawn`](crate::Process::spawn).
    ///
    /// # Errors
    ///
    /// As [`Proxy::call`].
    ///
    /// # Examples
    ///
    /// ```
    /// use std::sync::mpsc::{Receiver, Sender, channel};
    ///
    /// # fn main() -> multiproc::Result<()> {
    /// let manager = multiproc::Manager::new()?;
    /// let ends = manager.host_with(channel::<u32>, ())?;
    /// ends.call(|ends: &mut (Sender<u32>, Receiver<u32>), n: u32| ends.0.send(n).is_ok(), (5,))?;
    /// assert_eq!(ends.call(|ends: &mut (Sender<u32>, Receiver<u32>)| ends.1.try_recv().ok(), ())?, Some(5));
    /// # Ok(())
    /// # }
    /// ```
    pub fn host_with<S, F, P, A>(&self, make: F, args: A) -> Result<Proxy<S>>
    where
        S: 'static,
        F: Function<P, Output = S>,
        P: Parameters,
        A: Arguments<P>,
    {
        let entry = to_host::<S, F, P>(make);
        let write = |out: &mut Vec<u8>| args.encode(out, Token);
        let until = deadline(self.limit);
        let share = ask(&self.link, until, 0, entry, &write, message::decode::<Share>)?;
        Ok(Proxy::of(Arc::clone(&self.link), share, self.limit))
    }

    /// Makes an empty map, as Python's `Manager.dict()`.
    ///
    /// # Errors
    ///
    /// As [`Proxy::call`].
    pub fn dict<K, V>(&self) -> Result<Dict<K, V>>
    where
        K: Serialize + DeserializeOwned + Eq + Hash + 'static,
        V: Serialize + DeserializeOwned + 'static,
    {
        self.host_with(HashMap::<K, V>::new, ()).map(Dict::of)
    }

    /// Makes an empty list, as Python's `Manager.list()`.
    ///
    /// # Errors
    ///
    /// As [`Proxy::call`].
    pub fn list<T>(&self) -> Result<List<T>>
    where
        T: Serialize + DeserializeOwned + 'static,
    {
        self.host_with(Vec::<T>::new, ()).map(List::of)
    }

    /// Makes an empty set.
    ///
    /// # Errors
    ///
    /// As [`Proxy::call`].
    pub fn set<T>(&self) -> Result<Set<T>>
    where
        T: Serialize + DeserializeOwned + Eq + Hash + 'static,
    {
        self.host_with(HashSet::<T>::new, ()).map(Set::of)
    }

    /// Makes an empty namespace, as Python's `Manager.Namespace()`: values of any types under names.
    ///
    /// # Errors
    ///
    /// As [`Proxy::call`].
    pub fn namespace(&self) -> Result<Namespace> {
        self.host_with(HashMap::new, ()).map(Namespace::of)
    }

    /// Makes many calls in one round trip: the server runs those that `fill` makes, in their order and nobody else's in between.
    ///
    /// Each call gives a [`Later`](crate::Later), which has its result once `batch` has returned. A call that fails stops no other.
    ///
    /// # Errors
    ///
    /// As [`Proxy::call`], for the batch as a whole: nothing of it was done then if an argument refused to be a message
    /// ([`is_encode`](crate::Error::is_encode)), or an object belongs to another manager
    /// ([`is_invalid_input`](crate::Error::is_invalid_input)).
    ///
    /// # Examples
    ///
    /// ```
    /// # fn main() -> multiproc::Result<()> {
    /// let manager = multiproc::Manager::new()?;
    /// let ages = manager.dict::<String, u32>()?;
    /// let names = manager.list::<String>()?;
    /// let found = manager.batch(|batch| {
    ///     batch.dict(&ages).insert("Ada", 36);
    ///     batch.list(&names).push("Ada");
    ///     (batch.dict(&ages).get("Ada"), batch.list(&names).len())
    /// })?;
    /// assert_eq!((found.0.get()?, found.1.get()?), (Some(36), 1));
    /// # Ok(())
    /// # }
    /// ```
    pub fn batch<R>(&self, fill: impl FnOnce(&mut Batch) -> R) -> Result<R> {
        Batch::run(&self.link, deadline(self.limit), fill)
    }

    /// The objects that live in the server, and who uses them.
    ///
    /// # Errors
    ///
    /// As [`Proxy::call`].
    pub fn objects(&self) -> Result<Vec<HostedObject>> {
        let until = deadline(self.limit);
        ask(&self.link, until, 0, TO_LIST, &|_| Ok(()), message::decode)
    }

    /// The server's process, in the process that called [`Manager::new`] and until [`shutdown`](Manager::shutdown); else `None`.
    pub fn process(&self) -> Option<ProcessHandle> {
        self.link.process()
    }

    /// Ends the server, whoever uses it: calls that it has not answered by then, and all later ones, are errors with
    /// [`is_closed`](crate::Error::is_closed). Waits for the call that it is running, and in the process that started it for its end.
    ///
    /// # Errors
    ///
    /// As [`Proxy::call`].
    pub fn shutdown(&self) -> Result<()> {
        let until = deadline(self.limit);
        ask(&self.link, until, 0, TO_SHUT_DOWN, &|_| Ok(()), |_| Ok(()))?;
        match self.link.take_process() {
            Some(process) => process.join()?,
            None => Ok(()),
        }
    }

    /// Another handle to the same manager, each of whose calls waits at most `timeout` for its answer, and each of whose new
    /// objects likewise; see [`Proxy::with_timeout`].
    #[must_use = "the limit is that of the handle that is returned"]
    pub fn with_timeout(&self, timeout: Duration) -> Manager {
        Manager { link: Arc::clone(&self.link), limit: Some(timeout) }
    }
}

impl Serialize for Manager {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.link.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Manager {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Manager, D::Error> {
        Ok(Manager { link: link::deserialize(deserializer)?, limit: None })
    }
}

/// Shows the objects and who uses them, as far as the server says so within 100 ms.
impl fmt::Debug for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = f.debug_struct("Manager");
        f.field("number", &self.link.number());
        if let Some(process) = self.process() {
            f.field("process", &process.id());
        }
        match self.with_timeout(GLANCE).objects() {
            Ok(objects) => f.field("objects", &objects),
            Err(error) => f.field("objects", &format_args!("{error}")),
        };
        f.finish()
    }
}
