//! `Manager`: objects that live in a server process, as `multiprocessing.Manager`.
//!
//! The server is a child that owns ordinary Rust values and runs calls on them, one after the other, on its one thread. A call names
//! an object, a function of the program, and arguments; there is one mechanism for all: `dict.insert(k, v)` is a call whose function
//! is `HashMap::insert`. Nobody has a helper thread, neither the server nor those who call it.
//!
//! Lowest first:
//!
//! - `request`: requests and replies as bytes;
//! - `number`: maps by numbers; `replies`: how each call gets its own answer;
//! - `share`: whose a hosted object is;
//! - `table`: the objects of a server;
//! - `server`: its loop, and how a call runs;
//! - `method`: what can run on an object; `command`: what a server can be told, by entries of the program;
//! - `link`: a process's way to a server; `batch`: many calls in one request;
//! - `proxy`: a handle to an object;
//! - `operations`: how the methods of collections are made; `dict`, `list`, `set`, `namespace`: these;
//! - `face`: starting a server and making objects.
//!
//! # Who has what
//!
//! ```text
//! user's process                                 server
//!   Link        one for each manager               Server
//!     Producer  ---- one queue of requests ---->     Consumer, the only one
//!     Channel   <--- one pipe of answers -------     Sender, by the channel's number
//!     Channel   <--- …                               …
//!   Share       role USER at the object of 64 B    ObjectRef without a role, and the value
//! ```
//!
//! - The queue has counted ends ([`crate::channel`]). The server is its only consumer; every process that has a handle is a producer.
//!   So a put is refused as soon as the server is dead, and the server's get ends with the last process that could ask.
//! - A channel is used by one call at a time. It is made when no other is free, and its sending end goes to the server in the
//!   first request that uses it.
//! - A hosted object is in use while any process, or any message that can still be received, has the role USER for it
//!   ([`crate::memory`]).
//!
//! # A call
//!
//! 1. The caller takes a free channel, or makes one.
//! 2. It encodes object, entry and arguments and puts the request. *The call is made*: from here on it is done, unless the server
//!    ends first. Handles in the arguments are in flight in the queue.
//! 3. It waits at its channel.
//! 4. The server takes the request. It believes the entry only if the program has one there ([`crate::process`]), decodes the
//!    arguments, takes the object's value, and runs the function. A panic ends here. In a batch, calls of the same entry on the same
//!    object are run in a row, for which both are found once; each takes the value and puts it back.
//! 5. It puts the value back, encodes the result, and sends it into the channel, without waiting: the channel has one request at a
//!    time, so it is empty. A caller that never takes its answer blocks nobody.
//! 6. The caller decodes the answer and frees the channel. One that gave up drops it instead, so that no later call gets a wrong
//!    answer.
//!
//! The server wakes for requests, and for alarms ([`crate::liveness`]); idle, it sleeps without end.
//!
//! # When an object goes
//!
//! Whoever gives up the last handle of its process takes the role away and puts a request that says so. It is a hint. The server
//! drops an object when it finds the role nowhere: after such a hint for this object, and after any alarm for all. Every other
//! way in which a role ends is an alarm: a death, a message with handles that is dropped unread. Once the role is nowhere it
//! never comes back, since only its holders, and the server in the answer to [`Manager::host`], can pass it on. Handles inside the
//! server's own values are roles of the server's process; the server is told of their end in private memory. A circle of such
//! handles stays until the server ends.
//!
//! In the server no handle counts as producer of the queue, so its own objects never keep it alive.
//!
//! Steps 1, 3 and 6, and the server's part of 5, are one file, which is driven by models as it is: `replies`.
//!
//! # If a process dies
//!
//! | the caller dies after step | what happens |
//! |---|---|
//! | 1 | its pipe goes with it |
//! | 2, 3 | the server does the call, and finds nobody to answer: handles in the answer are dropped with it, and looked after |
//! | 5 | the answer goes with the pipe; if it carried handles that is an alarm, and the server drops what nobody has |
//! | 6 | its handles go with its process; the server looks after all objects at the alarm |
//!
//! | the server dies after step | the caller sees |
//! |---|---|
//! | before 2 | that the queue is closed |
//! | 2, 3 | that its channel is closed: its sending end was the server's, or stands in a request that nobody can take any more |
//! | 5 | the answer, and at the next call that the queue is closed |
//!
//! The creator's death is that of a user like others. The server is its child, and goes on.
//!
//! # What is left out
//!
//! A hosted function that waits, waits for everybody. More threads in the server would make calls on one object wait for each other
//! all the same, and make every other call depend on locks that a user's function may hold; what needs to wait belongs into a
//! process of its own.
//!
//! # Measured
//!
//! By `benches/manager.rs` on an AMD EPYC with two virtual processors, caller and server pinned to one each. A cache line between the two
//! takes 70 to 130 ns at some times and 450 ns and more at others; hence two values:
//!
//! | | manager | yardstick | ratio |
//! |---|---|---|---|
//! | get of a dict, awake | 0.41 / 1.0 us | Pipe there and back 0.17 / 0.55 us | 1.9 to 2.3 |
//! | get of a dict, asleep | 26 us | Pipe there and back 24 us | 1.03 to 1.15 |
//! | batch of 100 gets, awake | 5.0 / 8 us | one get 0.36 / 1.0 us | 14 / 8 |
//! | batch of 100 gets, asleep | 39 us | one get 26 us | 1.0 to 1.5 |
//!
//! A batch took 44 us, with a get of 1.5 us beside it, where each of its calls looked the entry and the object up, caught panics by itself,
//! and had lists of handles without handles. Of the 5.0 us now the caller writes for 1.2, waits for 2.8 and reads for 1.0. Stepped, a
//! get in a batch is 317 instructions of the caller and 333 of the server, of which 118 are the look-up in a `HashMap`. It was as many
//! when it took 6.2 us: words were read back then while parts of them were on their way to the cache ([`crate::error`] has more).
//! Request and reply are 1 KB each, 16 lines that the other side has read.

mod batch;
mod command;
mod dict;
mod face;
mod link;
mod list;
mod method;
mod namespace;
mod number;
mod operations;
mod proxy;
mod replies;
mod request;
mod server;
mod set;
mod share;
mod table;

pub use batch::{Batch, Later};
pub use dict::{Dict, DictBatch};
pub use face::Manager;
pub use list::{List, ListBatch};
pub use method::Method;
pub use namespace::Namespace;
pub use proxy::Proxy;
#[cfg(feature = "testing")]
pub(crate) use request::read_anything;
pub use set::{Set, SetBatch};
pub use table::HostedObject;
