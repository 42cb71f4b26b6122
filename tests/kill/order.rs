//! What an actor can be told, and how it answers.
//!
//! An [`Order`] goes over the board as the bytes that postcard makes of it.

use serde::{Deserialize, Serialize};

use super::data::Op;
use super::props::Kind;

/// What an actor is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Order {
    /// Leave.
    Quit,
    /// Touch everything once, so that nothing is first in what follows.
    Warm,
    /// Do something with a lock, a semaphore or the event: which one (`sync_verbs`), in which form
    /// (`forms`).
    Sync { verb: Verb, which: u64, form: u64 },
    /// Release permits of a semaphore.
    Release { which: u64, permits: u32 },
    /// Do something with whole objects of a kind (`make_verbs`); what, or with how many.
    Whole { verb: Verb, kind: u64, what: u64 },
    /// Do something with a queue; `id` is that of the first message put.
    Queue { verb: Verb, kind: Kind, id: u64 },
    /// Do something with the ends of a queue that is there for one point; the actor's own seat.
    Ends { verb: Verb, seat: usize },
    /// Do something with the end of a pipe; how is told in `pipe_verbs`.
    Pipe { verb: Verb, how: u64 },
    /// Do something with shared data (`data_verbs`): which object, in which form, and the number that is written.
    Data { op: Op, which: u64, form: u64, number: u64 },
    /// Do something with tasks of so many bytes; `id` is that of one put.
    Task { verb: Verb, size: u64, id: u64 },
    /// Do something with ends of pipes on a journey; the actor's own seat.
    Bag { verb: Verb, seat: usize },
    /// Do something with a manager.
    Call { verb: Verb },
    /// Start a process and join it; how is told in `start_verbs`.
    Start { how: u64 },
}

impl Order {
    /// What `verb` says, with the lock, semaphore or kind of object `which`, in this form.
    pub(crate) fn on(verb: Verb, which: u64, form: u64) -> Self {
        match verb {
            Verb::Data(op) => Self::Data { op, which, form, number: 0 },
            Verb::Release => Self::Release { which, permits: form as u32 },
            Verb::Make | Verb::Hoard | Verb::DropAll | Verb::MakeAll => {
                Self::Whole { verb, kind: which, what: form }
            }
            _ => Self::Sync { verb, which, form },
        }
    }

    /// The same with the ends that the actor of `seat` has.
    pub(crate) fn ends(verb: Verb, seat: usize) -> Self {
        Self::Ends { verb, seat }
    }

    /// The same with tasks of so many bytes.
    pub(crate) fn task(verb: Verb, size: u64, id: u64) -> Self {
        Self::Task { verb, size, id }
    }

    /// The same with a queue, from which something is taken.
    pub(crate) fn of(verb: Verb, kind: Kind) -> Self {
        Self::put(verb, kind, 0)
    }

    /// The same with a queue, into which message `id` is put.
    pub(crate) fn put(verb: Verb, kind: Kind, id: u64) -> Self {
        Self::Queue { verb, kind, id }
    }
}

/// What is done: by an actor, and by the victim of a scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Verb {
    /// Of a lock. Take it and keep it.
    Hold,
    /// Recover it and keep it.
    RecoverHold,
    /// Try to take the lock, again and again, at most as often as the form says; keep it.
    Barge,
    /// Let go of it, once.
    Unlock,
    /// Let go of it and try to have it back at once, ahead of whom that woke.
    UnlockBarge,
    /// Lock, recover if the owner had died, unlock. Result: whether it had.
    Cycle,
    /// Recover, unlock. Result: the process of the dead owner.
    Recover,
    /// Of the re-entrant lock: lock twice, recover if the owner had died, unlock. Result: whether it
    /// had.
    Nested,
    /// A lock that is held: lock once more and unlock. Result: whether it was to be had.
    Relock,
    /// Of a re-entrant lock: lock it three times, unlock. Result: the depths.
    Depths,
    /// The form, here and below, is the question. Result: the answer.
    AskLock,
    Set,
    Clear,
    AskEvent,
    /// Result: whether it was set.
    Wait,
    /// Of a semaphore. Take a permit and keep it. Result: whether there was one.
    Acquire,
    /// Drop a permit.
    GiveBack,
    /// Drop a permit and try to have it back at once. Result: whether it has.
    GiveBarge,
    /// Drop all permits.
    GiveAll,
    /// Forget a permit.
    Forget,
    /// Result: whether so many were not too many.
    Release,
    /// Result: how many permits are available.
    Available,
    AskSemaphore,
    /// Make an object, clone the last one, or drop it.
    Make,
    /// Make many, and keep them.
    Hoard,
    /// Drop what was made and kept.
    DropAll,
    /// Make and use and drop one of each kind.
    MakeAll,
    /// Of the condition, with the first lock. Result: whether it was notified, or told that a holder died.
    Await,
    /// Notify; so many as the number of the object says, all if that is 0.
    Notify,
    /// Of the barrier. Result: whether the round is complete; it is broken otherwise.
    Arrive,
    Party,
    Abort,
    Reset,
    /// Of the once. Result: whether it was done by this call.
    CallOnce,
    Put,
    TryPut,
    /// Put three, of which the first has the id.
    PutMany,
    /// Result: the id.
    Get,
    TryGet,
    /// Result: the ids, at most two.
    GetMany,
    /// Result: all ids that are there.
    Drain,
    Len,
    /// Of a queue that is there for one point. Take the ends that are handed to this actor.
    FetchEnds,
    CloseEnds,
    /// Shut the queue down.
    ShutDown,
    /// Drop all ends.
    DropEnds,
    /// Put the consumer into its own queue.
    PutIntoItself,
    /// Get, or put, until that is no more possible. Result: that it was told of the end.
    AwaitEndOfGets,
    AwaitEndOfPuts,
    /// Get a batch, and what comes next. Result: the numbers.
    GetBatch,
    /// Of a pipe. Make one, and put one end in a queue.
    MakePipe,
    /// Make another one, use it and drop it.
    UsePipe,
    /// Send until it is full; until it is closed.
    FillPipe,
    SendOut,
    /// Receive until it is closed. Result: what was received.
    RecvAll,
    /// Result: what was sent, or that the pipe is closed.
    Send,
    /// Result: what was received, or that the pipe is closed.
    Recv,
    Poll,
    DropEnd,
    /// Put the end in a queue.
    SendEnd,
    /// Take one out of it, if there is one. Result: whether there was.
    TakeEnd,
    /// Of ends on a journey. Take the bag that is handed to this actor.
    BagFetch,
    /// Send the end away in a message; take one out of a message. Result: that there was one, or that the pipe is closed.
    BagSend,
    BagTake,
    /// Take a duplex end apart.
    BagSplit,
    /// Receive, or send, until the pipe is closed. Result: what was received, and that it was told of the end.
    BagListen,
    /// Send one message, or receive one. Result: what was received.
    BagUse,
    BagDrop,
    /// Start a process and join it. Result: what it answered.
    Start,
    /// Something with shared data.
    Data(Op),
    /// Of tasks. Put one.
    TaskPut,
    /// Take one and keep it. Result: the id.
    TaskTake,
    /// The one taken last is done; is dropped.
    TaskDone,
    TaskDrop,
    /// Wait until all are done.
    TaskJoin,
    /// Of a queue of tasks that is there for one point. Take the handle that is handed to this actor; give it up.
    TaskFetch,
    TaskLeave,
    /// Shut it down.
    TaskShutDown,
    /// Do them, until all are done. Result: the ids.
    TaskDrain,
    /// Of a manager that is there for one point. Take the handles that are handed to this actor.
    CallFetch,
    /// Have the number counted up. Result: the number.
    CallAdd,
    /// The same twice, in a batch.
    CallBatch,
    /// Have another object hosted, and give it up.
    CallHost,
    /// Result: the number.
    CallRead,
    /// Result: how many objects there are.
    CallObjects,
}

/// How an order ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Code {
    Fine,
    OwnerDied,
    Full,
    Empty,
    Busy,
    /// Anything else; the seat has the text.
    Failed,
}

impl Code {
    const ALL: [Self; 6] =
        [Self::Fine, Self::OwnerDied, Self::Full, Self::Empty, Self::Busy, Self::Failed];

    /// What the number on a seat means.
    pub(crate) fn of(number: u32) -> Self {
        Self::ALL.get(number as usize).copied().unwrap_or(Self::Failed)
    }
}
