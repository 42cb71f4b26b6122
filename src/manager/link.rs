//! One process's way to a manager's server.
//!
//! All handles of a process to one manager share a [`Link`]. It can put requests, and it has the *channels* by which answers come:
//! a pipe each ([`super::replies`]). So any number of threads can call at the same time, each call gets its own answer, and a process
//! has as many channels as it ever had calls under way at once. A call that gives up, because its time is over or its result panics
//! while it is decoded, drops its channel.
//!
//! In the server itself a link leads back to the server: calls run at once, inside the call that makes them.

use super::replies;
use super::request::{CALLS, DROPPED, LEFT, Reply, Request, put_part, put_word};
use super::server;
use crate::channel::{Pipe, Producer, Receiver, Sender};
use crate::error::{Error, ErrorKind, Result};
use crate::handle::{self, Claimed, ObjectRef, PRODUCER, Parcel};
use crate::message::{self, length};
use crate::process::{Process, ProcessHandle};
use crate::sys::clock::Deadline;
use crate::sys::per_process::PerProcess;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::cell::Cell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// The links of this process, by the queue of requests.
static LINKS: PerProcess<Mutex<HashMap<u64, Weak<Link>>>> = PerProcess::new();

/// A process's way to a server.
pub(super) struct Link {
    /// The queue of requests.
    reference: Arc<ObjectRef>,
    way: Way,
    /// In the process that started the server.
    process: Mutex<Option<Process<Result<()>>>>,
}

#[allow(
    clippy::large_enum_variant,
    reason = "there is one for each manager, in an allocation of its own"
)]
enum Way {
    /// This is the server.
    Here,
    There {
        requests: Producer<Request>,
        channels: Channels,
    },
}

type Channel = replies::Channel<Sender<Reply>, Receiver<Reply>>;
type Channels = replies::Channels<Sender<Reply>, Receiver<Reply>>;

/// So many nanoseconds the server takes for each call of a batch at least; and how much longer than usual an answer is polled for.
const EACH: usize = 100;
const LONGEST: usize = 20_000;
/// Memory larger than this is given back after use.
const KEPT: usize = 64 << 10;

fn new_channel(reference: &ObjectRef) -> Result<Channel> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let process = u64::from(reference.world.liveness.this_process().to_bits());
    // ORDERING: Relaxed: only the number itself must be new.
    let number = process << 32 | COUNT.fetch_add(1, Ordering::Relaxed) & u64::from(u32::MAX);
    Ok(Channel::of(number, Pipe::simplex()?))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Link {
    /// The link of this process to the server that takes its requests from the other end of `requests`.
    pub(super) fn of(requests: Producer<Request>) -> Arc<Link> {
        let queue = requests.reference().id.to_bits();
        let mut links = lock(LINKS.get_or_make());
        if let Some(link) = links.get(&queue).and_then(Weak::upgrade) {
            return link;
        }
        let reference = Arc::clone(requests.reference());
        let way = if server::is_served_here(queue) {
            // The server itself keeps no manager alive.
            Way::Here
        } else {
            Way::There { requests, channels: Channels::default() }
        };
        let link = Arc::new(Link { reference, way, process: Mutex::default() });
        links.insert(queue, Arc::downgrade(&link));
        link
    }

    /// Notes that this process started the server.
    pub(super) fn set_process(&self, process: Process<Result<()>>) {
        *lock(&self.process) = Some(process);
    }

    /// The server's process, in the process that started it.
    pub(super) fn process(&self) -> Option<ProcessHandle> {
        lock(&self.process).as_ref().map(Process::handle)
    }

    /// The server's process, to be joined.
    pub(super) fn take_process(&self) -> Option<Process<Result<()>>> {
        lock(&self.process).take()
    }

    /// A number for the manager: the same in every process.
    pub(super) fn number(&self) -> u32 {
        self.reference.id.index
    }

    /// Has the server run the calls that `write` appends, which says how many there are, and `read` their results, with the handles in
    /// them.
    pub(super) fn transact<R>(
        &self,
        until: Deadline,
        write: impl FnOnce(&mut Vec<u8>) -> Result<usize>,
        read: impl FnOnce(&[u8], Claimed) -> Result<R>,
    ) -> Result<R> {
        match &self.way {
            Way::Here => self.transact_here(write, read),
            Way::There { requests, channels } => {
                self.transact_there(requests, channels, until, write, read)
            }
        }
    }

    fn transact_there<R>(
        &self,
        requests: &Producer<Request>,
        channels: &Channels,
        until: Deadline,
        write: impl FnOnce(&mut Vec<u8>) -> Result<usize>,
        read: impl FnOnce(&[u8], Claimed) -> Result<R>,
    ) -> Result<R> {
        self.check_current()?;
        let calls = Cell::new(0);
        let ask = |channel: &mut Channel| {
            let Channel { number, sender, bytes, .. } = channel;
            bytes.clear();
            let packed = handle::pack(|| {
                put_word(bytes, CALLS);
                put_word(bytes, *number);
                match sender {
                    Some(sender) => {
                        put_part(bytes, |out| message::encode::<Sender<Reply>, _>(sender, out))?
                    }
                    None => length::put(bytes, 0),
                }
                write(bytes)
            });
            let asked = packed.and_then(|(count, parcel)| {
                calls.set(count);
                requests.put_parcel(bytes, &parcel)
            });
            if bytes.capacity() > KEPT {
                *bytes = Vec::new();
            }
            asked
        };
        // What `read` says is inside: the channel itself is good then.
        let hear = |receiver: &mut Receiver<Reply>| {
            receiver.expect_later(
                calls.get().saturating_sub(1).saturating_mul(EACH).min(LONGEST) as u32
            );
            receiver.recv_as(until, |bytes, given| Ok(read(bytes, given)))
        };
        let answer = channels.exchange(|| new_channel(&self.reference), ask, hear);
        answer.map_err(explain)?
    }

    fn transact_here<R>(
        &self,
        write: impl FnOnce(&mut Vec<u8>) -> Result<usize>,
        read: impl FnOnce(&[u8], Claimed) -> Result<R>,
    ) -> Result<R> {
        self.check_current()?;
        let server = server::server()?;
        let mut calls = Vec::new();
        let (_, parcel) = handle::pack(|| write(&mut calls))?;
        self.carry(calls, &parcel, |calls, given| {
            let mut results = Vec::new();
            let run = || Ok(server.run_calls(calls, &mut results));
            let (_, parcel) = handle::unpack(given, || handle::pack(run))?;
            self.carry(results, &parcel, read)
        })
    }

    /// Lets `read` read what was packed in this very process.
    fn carry<R>(
        &self,
        mut bytes: Vec<u8>,
        parcel: &Parcel,
        read: impl FnOnce(&[u8], Claimed) -> Result<R>,
    ) -> Result<R> {
        handle::seal(&mut bytes, parcel);
        let (body, claimed) = handle::open(self.reference.world, &bytes)?;
        parcel.depart();
        read(body, claimed)
    }

    fn check_current(&self) -> Result<()> {
        if self.reference.world.is_current() {
            return Ok(());
        }
        Err(Error::of(
            ErrorKind::Foreign,
            "a handle to a manager's object was inherited over a fork, and belongs to the process that forked: pass it in the \
             arguments of Process::spawn",
        ))
    }

    /// This process has no handle to the object any more.
    pub(super) fn note_given_up(&self, object: u64) {
        let Way::There { requests, .. } = &self.way else { return server::note_given_up(object) };
        self.tell(requests, DROPPED, &[object]);
    }

    /// Puts a request that is not answered. If it cannot be put, the next alarm says as much.
    fn tell(&self, requests: &Producer<Request>, tag: u64, words: &[u64]) {
        let mut bytes = Vec::new();
        put_word(&mut bytes, tag);
        words.iter().for_each(|&word| put_word(&mut bytes, word));
        let told = requests.put_parcel(&mut bytes, &Parcel::default());
        if told.is_err_and(|error| !error.is_closed()) {
            self.reference.world.liveness.raise_alarm();
        }
    }
}

/// The error of a call whose server is gone says so.
fn explain(error: Error) -> Error {
    if !error.is_closed() {
        return error;
    }
    Error::of(ErrorKind::Closed, "the manager's server is gone: it was shut down, or it was killed")
}

impl Drop for Link {
    fn drop(&mut self) {
        if !self.reference.world.is_current() {
            return;
        }
        let queue = self.reference.id.to_bits();
        let mut links = lock(LINKS.get_or_make());
        // Another one may have been made since the last handle went.
        if links.get(&queue).is_some_and(|link| std::ptr::eq(link.as_ptr(), self)) {
            links.remove(&queue);
        }
        drop(links);
        if let Way::There { requests, channels } = &self.way {
            let channels = channels.end();
            let known = channels.iter().filter(|channel| channel.is_known());
            let numbers: Vec<u64> = known.map(|channel| channel.number).collect();
            if !numbers.is_empty() {
                self.tell(requests, LEFT, &numbers);
            }
        }
    }
}

/// A link as it travels: the right to make requests.
impl Serialize for Link {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        handle::serialize(&self.reference, PRODUCER, serializer)
    }
}

/// Brings a link back that travelled.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Arc<Link>, D::Error> {
    Producer::deserialize(deserializer).map(Link::of)
}
