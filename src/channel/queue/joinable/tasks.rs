//! The methods of whatever can get tasks, and of whatever can wait for their end; the iterators.

use super::task::Task;
use crate::channel::queue::port::Port;
use crate::error::Result;
use crate::sys::clock::Deadline;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Implements getting for a handle with a `port`.
macro_rules! getting_tasks {
    ($Type:ident) => {
        impl<T: ::serde::Serialize + ::serde::de::DeserializeOwned> $Type<T> {
            $crate::forms::forms! {
                /// Takes a task: one that is to be delivered again, or else the first that waits. Waits while there is none. Woken
                /// by a putter, by whoever gives a task back, and by the death of a process that has one.
                ///
                /// While others have tasks in hand, a queue that is closed or has no producer is not over: these tasks may come
                /// back. So do not wait for more tasks on a closed queue while this thread has one in hand.
                ///
                /// # Errors
                ///
                /// [`is_closed`](crate::Error::is_closed) if the queue is closed or no producer is left, and no task waits or is in
                /// hand;
                /// [`is_decode`](crate::Error::is_decode) if the bytes are no `T`: that counts as a delivery, and the task is
                /// delivered again;
                /// [`is_limit`](crate::Error::is_limit) if about 124,000 tasks are in hand or have failed: the task stays.
                pub fn get, try_get, get_timeout, get_deadline(&self; until) -> $crate::channel::queue::joinable::task::Task<T> {
                    self.port.get_task(until)
                }
                try: Empty, is_empty, "there is no task"
            }

            /// Tasks as they come, until the queue is closed or no producer is left, and every task is done or has failed.
            pub fn iter(&self) -> $crate::channel::queue::joinable::tasks::TaskIter<'_, T> {
                $crate::channel::queue::joinable::tasks::TaskIter::of(&self.port)
            }

            /// The tasks that are there, without waiting for more.
            pub fn try_iter(&self) -> $crate::channel::queue::joinable::tasks::TryTaskIter<'_, T> {
                $crate::channel::queue::joinable::tasks::TryTaskIter::of(&self.port)
            }
        }

        impl<'a, T: ::serde::Serialize + ::serde::de::DeserializeOwned> IntoIterator
            for &'a $Type<T>
        {
            type Item = $crate::error::Result<$crate::channel::queue::joinable::task::Task<T>>;
            type IntoIter = $crate::channel::queue::joinable::tasks::TaskIter<'a, T>;

            fn into_iter(self) -> $crate::channel::queue::joinable::tasks::TaskIter<'a, T> {
                self.iter()
            }
        }
    };
}

/// Implements joining for a handle with a `port`.
macro_rules! joining {
    ($Type:ident) => {
        impl<T> $Type<T> {
            $crate::forms::forms! {
                /// Waits until every task that was put is done or has failed: until at some moment none waits and none is in hand.
                ///
                /// Woken by the last [`done`](crate::Task::done), and by deaths, after which tasks may have failed.
                ///
                /// # Errors
                ///
                /// [`is_closed`](crate::Error::is_closed) if tasks wait and no consumer is left to take them.
                pub fn join, try_join, join_timeout, join_deadline(&self; until) -> () {
                    self.port.join(until)
                }
                try: Busy, is_busy, "not every task is done"
            }
        }

        impl<T: ::serde::Serialize + ::serde::de::DeserializeOwned> $Type<T> {
            /// The tasks that were delivered as often as they may be and were never done, in no particular order. They stay listed.
            ///
            /// # Errors
            ///
            /// [`is_decode`](crate::Error::is_decode) if the bytes of one are no `T`.
            pub fn failed(&self) -> $crate::error::Result<Vec<T>> {
                self.port.failed()
            }
        }
    };
}

pub(super) use {getting_tasks, joining};

/// Tasks of a [`JoinableQueue`](crate::JoinableQueue) as they come; ends when it is closed or no producer is left, and every task
/// has ended.
pub struct TaskIter<'a, T> {
    port: &'a Port<T>,
}

/// Tasks that are there.
pub struct TryTaskIter<'a, T> {
    port: &'a Port<T>,
}

impl<'a, T> TaskIter<'a, T> {
    pub(super) fn of(port: &'a Port<T>) -> TaskIter<'a, T> {
        TaskIter { port }
    }
}

impl<'a, T> TryTaskIter<'a, T> {
    pub(super) fn of(port: &'a Port<T>) -> TryTaskIter<'a, T> {
        TryTaskIter { port }
    }
}

impl<T: Serialize + DeserializeOwned> Iterator for TaskIter<'_, T> {
    type Item = Result<Task<T>>;

    fn next(&mut self) -> Option<Result<Task<T>>> {
        match self.port.get_task(Deadline::NEVER) {
            Err(error) if error.is_closed() => None,
            result => Some(result),
        }
    }
}

impl<T: Serialize + DeserializeOwned> Iterator for TryTaskIter<'_, T> {
    type Item = Result<Task<T>>;

    fn next(&mut self) -> Option<Result<Task<T>>> {
        match self.port.get_task(Deadline::NOW) {
            Err(error) if error.is_closed() || error.is_timeout() => None,
            result => Some(result),
        }
    }
}

impl<T> core::fmt::Debug for TaskIter<'_, T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.port.describe("TaskIter", f)
    }
}

impl<T> core::fmt::Debug for TryTaskIter<'_, T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.port.describe("TryTaskIter", f)
    }
}
