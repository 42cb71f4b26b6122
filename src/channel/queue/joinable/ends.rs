//! The counted ends of a queue of tasks: see [`JoinableQueue::split`](super::JoinableQueue::split).

use super::tasks::{getting_tasks, joining};
use crate::channel::queue::looking::looking;
use crate::channel::queue::port::Port;
use crate::channel::queue::putting::putting;
use crate::channel::queue::travelling::travelling;
use crate::handle::{CONSUMER, PRODUCER};

/// The putting end of a split [`JoinableQueue`](crate::JoinableQueue).
///
/// When the last one, in whatever process, is dropped or its process is dead, consumers get what is left and comes back, and
/// then an error with [`is_closed`](crate::Error::is_closed).
pub struct JoinableProducer<T> {
    port: Port<T>,
}

/// The getting end of a split [`JoinableQueue`](crate::JoinableQueue).
///
/// When the last one, in whatever process, is dropped or its process is dead, `put`, and `join` while tasks wait, are an error
/// with [`is_closed`](crate::Error::is_closed). Tasks in hand can be done all the same.
pub struct JoinableConsumer<T> {
    port: Port<T>,
}

impl<T> JoinableProducer<T> {
    pub(super) fn of(port: Port<T>) -> JoinableProducer<T> {
        JoinableProducer { port }
    }
}

impl<T> JoinableConsumer<T> {
    pub(super) fn of(port: Port<T>) -> JoinableConsumer<T> {
        JoinableConsumer { port }
    }
}

looking!(JoinableProducer, shutdown_tasks);
putting!(JoinableProducer, values);
joining!(JoinableProducer);
travelling!(JoinableProducer, PRODUCER, Tasks);

looking!(JoinableConsumer, shutdown_tasks);
getting_tasks!(JoinableConsumer);
joining!(JoinableConsumer);
travelling!(JoinableConsumer, CONSUMER, Tasks);
