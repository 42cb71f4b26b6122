//! Queues, tasks, pipes.

use multiproc::{Error, Pipe, Result};

use super::actor::{Actor, SHORT, unless};
use super::ledger::Channel;

/// Pipes that are there at a time.
const PIPES: usize = 4;
/// What is sent and received before an end goes back into its queue.
const RUN: u64 = 8;

fn is_over(error: &Error) -> bool {
    error.is_timeout() || error.is_full() || error.is_empty()
}

pub(crate) fn small(actor: &mut Actor) -> Result<()> {
    let (is_giving, patience) = (actor.is_giving(), actor.patience());
    let Actor { objects, log, life, .. } = actor;
    let queue = &objects.small;
    let done = if is_giving {
        log.putting(Channel::Small, *life, |id| queue.put_timeout((id, !id), patience))
    } else if log.has_room() {
        log.taking(Channel::Small, || {
            let (id, other) = queue.get_timeout(patience)?;
            assert!(id == !other, "torn: {id:x} {other:x}");
            Ok(id)
        })
    } else {
        Ok(())
    };
    unless(is_over, done)
}

pub(crate) fn large(actor: &mut Actor) -> Result<()> {
    let (is_giving, patience) = (actor.is_giving(), actor.patience());
    let Actor { objects, log, life, chance, .. } = actor;
    let queue = &objects.large;
    let words = 600 + chance.below(2000) as usize;
    let done = match (is_giving, chance.below(2)) {
        (true, 0) => log.putting(Channel::Large, *life, |id| {
            queue.put_bytes_timeout(&id.to_le_bytes().repeat(words), patience)
        }),
        (true, _) => log.putting(Channel::Large, *life, |id| {
            queue.put_with_timeout(
                words * 8,
                |bytes| bytes.copy_from_slice(&id.to_le_bytes().repeat(words)),
                SHORT,
            )
        }),
        _ if !log.has_room() => Ok(()),
        (_, 0) => log.taking(Channel::Large, || {
            queue.get_bytes_timeout(patience).map(|bytes| whole(&bytes).expect("torn"))
        }),
        _ => log.taking(Channel::Large, || {
            queue.get_with_timeout(whole, patience).map(|id| id.expect("torn"))
        }),
    };
    unless(is_over, done)
}

/// The message that bytes are, if all say the same.
fn whole(bytes: &[u8]) -> Option<u64> {
    let (words, rest) = bytes.as_chunks::<8>();
    let first = *words.first()?;
    (rest.is_empty() && words.iter().all(|word| *word == first)).then(|| u64::from_le_bytes(first))
}

pub(crate) fn tasks(actor: &mut Actor) -> Result<()> {
    let (is_giving, patience) = (actor.is_giving(), actor.patience());
    let Actor { objects, log, life, chance, .. } = actor;
    let tasks = &objects.tasks;
    let done = match chance.below(4) {
        _ if is_giving => log.putting(Channel::Tasks, *life, |id| tasks.put_timeout(id, patience)),
        // Given back undone.
        0 => tasks.get_timeout(patience).map(drop),
        _ if !log.has_room() => Ok(()),
        // Noted before it is done: it may come twice, and is never lost.
        _ => tasks.get_timeout(patience).and_then(|task| {
            log.note(Channel::Tasks, *task);
            task.done()
        }),
    };
    unless(is_over, done)
}

pub(crate) fn pipe(actor: &mut Actor) -> Result<()> {
    let objects = &actor.objects;
    if objects.senders.len() + objects.receivers.len() < PIPES {
        let (sender, receiver) = Pipe::simplex()?;
        objects.senders.put((sender, 0))?;
        objects.receivers.put((receiver, 0))?;
    }
    unless(is_over, if actor.chance.below(2) == 0 { send(actor) } else { receive(actor) })
}

fn send(actor: &mut Actor) -> Result<()> {
    let (mut sender, mut next) = actor.objects.senders.get_timeout(SHORT)?;
    for _ in 0..RUN {
        match sender.send_timeout(next, SHORT) {
            Ok(()) => next += 1,
            Err(error) if is_over(&error) => break,
            // Whoever had the other end died.
            Err(error) if error.is_closed() => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    actor.objects.senders.put((sender, next))
}

fn receive(actor: &mut Actor) -> Result<()> {
    let (mut receiver, mut next) = actor.objects.receivers.get_timeout(SHORT)?;
    for _ in 0..RUN {
        match receiver.recv_timeout(SHORT) {
            Ok(number) => {
                assert!(number == next, "{number} came through a pipe after {next}");
                next += 1;
            }
            Err(error) if is_over(&error) => break,
            Err(error) if error.is_closed() => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    actor.objects.receivers.put((receiver, next))
}
