//! The pool: tasks for worker processes.
//!
//! ```text
//!   user's threads            whoever collects          workers
//!   ─ calls ─▶ desk ─ batches ─▶ [tasks queue] ──────▶ take, begin on the board, run
//!   ◀─ results ── calls ◀──────── [results queue] ◀──── results; the reaper: "worker 3 has ended"
//! ```
//!
//! - `board`: the words that pool and workers share, with the machine of [`crate::raw::batch`]; `frame`: their messages;
//! - `worker`: what runs in a worker's process;
//! - `call`: a user's call, and where its results go; `stream`: one whose results are taken one by one;
//! - `desk`: which batches of tasks there are, and who has them; `crew`: the processes of the workers;
//! - `core`: what the user's threads share with the collector; `collector`: getting the news of the workers, by whichever thread;
//! - `many`: calls with many tasks; `imap`: their results one by one; `answer`: the result of a call that does not wait;
//! - `builder`: how a pool is to be; `face`: the pool itself.
//!
//! # The way of a task
//!
//! 1. A call encodes its tasks into *batches* (users say chunks) and gives them to the desk, which keeps the bytes.
//! 2. The desk writes READY into a free entry of the board and puts the batch on the tasks queue. There are three entries for each
//!    worker: one batch to run and two to come. The others wait at the desk, where calls take turns.
//! 3. A worker takes the batch from the queue and makes the word BEGUN by one compare-and-exchange. **The batch is this worker's.**
//! 4. For each task it runs the function, puts the result into its tray (**the result is delivered**), and stores the number of the
//!    next task in the word. **That task has begun.**
//! 5. At the end of the batch, or after 10 ms, it puts the tray's results on the results queue and empties the tray.
//! 6. The collector gives the results to the call. When the batch has all of them, its entry is free, and the next one goes out.
//!    A long result of `imap` stays in the block in which it came, which the pool's process holds from then on, until it is taken.
//!
//! # If a worker dies
//!
//! The process's reaper sees the end of the process (its pidfd) and puts it on the results queue, behind all that the worker put
//! there. When the collector meets it, those results are with their calls. Then it looks at the board. The worker died
//!
//! - before step 3: the word is READY. The message may be gone with the worker, or still on the queue: the collector puts every
//!   READY batch on the queue once more. Whoever takes it second finds the word changed and drops it (invariant 1);
//! - in step 4, while the function ran: the word tells the task. It is lost, or run again if the pool has retries. Those before
//!   it are delivered (invariant 2), those behind it make a batch of their own;
//! - between the tray and the word: the tray has the result of the task that the word tells. It is delivered, and the next one has
//!   not begun;
//! - in step 5, after the put and before the tray is empty: the results come twice. The second time they are behind the number that
//!   the desk expects next, and are left out;
//! - after step 5, before it takes another batch: nothing is missing.
//!
//! If the pool's process dies, the tasks queue has no producer any more, and the workers' keepers see their parent die: they
//! end at once.
//!
//! # Invariants
//!
//! 1. A batch begins once in each generation of its entry: only READY becomes BEGUN, and only the collector makes READY.
//! 2. When the word tells a task, the results of all tasks before it are on the results queue or in the tray. Results of a batch
//!    arrive in the order of its tasks, so one number says which are there.
//! 3. The collector reads the tray of a worker only after its end, and only the collector changes what the desk expects.
//! 4. No lock is held while code of the user runs: callbacks, progress, `Deserialize`.
//!
//! # Measured
//!
//! `benches/pool.rs` on an AMD EPYC with two virtual processors, medians of seven rounds, nothing else running:
//!
//! | | pool | yardstick | ratio |
//! |---|---|---|---|
//! | `map` of 100,000 tiny tasks, start included | 15 ms | rayon, a job for each: 5.5 ms | 2.7 |
//! | the same, started before | 12 to 14 ms | 5.5 ms | 2.1 to 2.4 |
//! | the same, a batch for each task | 107 to 119 ms | 5.7 ms | 18 to 21 |
//! | `apply`, the worker asleep | | a round trip over a pipe | 1.9 to 2.4 |
//! | 1,000 tasks of 1 ms, start included | 505 ms | rayon: 501 ms | 1.0 |
//! | start, one use and end, of 2 workers | 2.1 ms | | |
//! | 1 GiB of results in pieces of 1 MiB | 20 to 23 GB/s, far apart 10 | memcpy within the cache: 33 to 36 GB/s | 0.6, 0.3 |
//!
//! - rayon that splits as it likes takes 0.36 ms for the tiny tasks, which stay in their process. A quarter of the time of a tiny task
//!   went into lists of handles that were empty; without them, and with one lock for the results of a message, it takes half of before.
//! - A large result is copied twice, from the task's memory into a block and from there into the caller's. These copies, and the task
//!   that fills its memory, are nine tenths of the samples. Half of them move cache lines between the two processors: it matters most
//!   where the host has these, near (a line goes to and fro in some 100 ns) or far apart (in 450 and more), which it changes within
//!   seconds. Copied as they came, and with three tasks under way, results came at 3.7 to 8.0 GB/s: a quarter of the time went into
//!   pages that `malloc` had given back, and who had nothing to do slept.
//!
//! `tests/it/pool/soak.rs`, ten minutes: 2.75 million calls, 84 million results right and none lost, 5,985 workers killed and none
//! missing at the end, 9 descriptors before and after.

mod answer;
mod board;
mod builder;
mod call;
mod collector;
mod core;
mod crew;
mod desk;
mod face;
mod frame;
mod imap;
mod many;
mod stream;
mod worker;

pub use answer::AsyncResult;
pub use builder::{Initialized, PoolBuilder};
pub use core::Progress;
pub use face::{Pool, PoolWorker, WorkerState};
#[cfg(feature = "testing")]
pub(crate) use frame::read_anything;
pub use imap::Imap;
pub use many::Chunked;
