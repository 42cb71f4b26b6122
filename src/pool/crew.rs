//! The crew: the processes of the workers, and what is known of them.

use std::os::unix::process::ExitStatusExt;
use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use super::board::{Board, Phase};
use super::call::wait_for;
use super::frame::{BATCH_HEAD, BatchHead, Kind, NewsHead};
use super::worker::{Orders, work};
use crate::channel::{Consumer, Producer, Queue};
use crate::error::{ChildFailure, Error, ErrorKind, Result};
use crate::handle::Parcel;
use crate::process::{Process, StartMethod, TaskName};
use crate::sys::clock::Deadline;

/// What each worker runs first.
pub(super) struct Initializer {
    bytes: Vec<u8>,
    /// The handles in its arguments, which it keeps for every worker.
    parcel: Parcel,
    /// Whether what it returned is an error.
    pub(super) check: fn(&[u8]) -> Result<()>,
    /// Where workers find it, one message for each start.
    ends: Option<(Producer<()>, Consumer<()>)>,
}

impl Initializer {
    pub(super) fn new(
        task: TaskName,
        check: fn(&[u8]) -> Result<()>,
        encode: impl FnOnce(&mut Vec<u8>) -> Result<Parcel>,
    ) -> Result<Initializer> {
        let mut bytes = vec![0; BATCH_HEAD];
        let head = BatchHead { entry: 0, generation: 0, first: 0, count: 1, task };
        head.write(&mut bytes);
        let parcel = encode(&mut bytes)?;
        if parcel.moves() {
            let text = "an end of a pipe cannot be an argument of an initializer: it moves, and there are several workers";
            return Err(Error::of(ErrorKind::InvalidInput, text));
        }
        Ok(Initializer { bytes, parcel, check, ends: None })
    }

    /// One more worker will look for it; where.
    fn offer(&mut self) -> Result<Consumer<()>> {
        let (producer, consumer) = match &self.ends {
            Some(ends) => ends,
            None => self.ends.insert(Queue::new()?.split()),
        };
        producer.put_parcel(&mut self.bytes, &self.parcel)?;
        Ok(consumer.clone())
    }
}

/// What all workers of a pool have in common.
pub(super) struct Setup {
    pub(super) pool: String,
    pub(super) board: Board,
    /// The end of the tasks queue that new workers get.
    pub(super) tasks: Consumer<()>,
    pub(super) news: Producer<()>,
    pub(super) initializer: Option<Initializer>,
    pub(super) max_tasks: u64,
    /// As the user said.
    pub(super) start_method: Option<StartMethod>,
    pub(super) is_timed: bool,
    pub(super) bell: Arc<Bell>,
}

/// Calls the pool's thread to collect.
#[derive(Default)]
pub(super) struct Bell {
    has_rung: Mutex<bool>,
    rung: Condvar,
}

impl Bell {
    /// The thread will come, if it is not there already.
    pub(super) fn ring(&self) {
        let mut has_rung = self.has_rung.lock();
        if !*has_rung {
            *has_rung = true;
            self.rung.notify_one();
        }
    }

    /// The thread is about to leave. Afterwards it looks once more whether there is something to do, so that no ring is lost.
    pub(super) fn reset(&self) {
        *self.has_rung.lock() = false;
    }

    pub(super) fn wait(&self) {
        wait_for(&self.rung, &mut self.has_rung.lock(), Deadline::NEVER, |rung| *rung);
    }
}

/// The process of a worker.
pub(super) struct Member {
    /// Counts the workers that the pool has had.
    number: u32,
    pub(super) process: Process<Result<()>>,
}

/// How a worker has ended.
pub(super) struct End {
    /// How far it was.
    pub(super) phase: Phase,
    /// It ended as it should.
    pub(super) is_in_order: bool,
    /// Somebody else ended it: SIGKILL.
    pub(super) is_killed: bool,
    /// For the tasks that it had.
    pub(super) why: Error,
}

/// The workers of a pool.
pub(super) struct Crew {
    setup: Setup,
    members: Vec<Option<Member>>,
    started: u32,
}

impl Crew {
    pub(super) fn new(setup: Setup, workers: usize) -> Crew {
        Crew { setup, members: (0..workers).map(|_| None).collect(), started: 0 }
    }

    pub(super) fn size(&self) -> usize {
        self.members.len()
    }

    /// Starts the worker at this place.
    pub(super) fn start(&mut self, worker: usize) -> Result<()> {
        let setup = &mut self.setup;
        self.started += 1;
        let number = self.started;
        let line = setup.board.line(worker as u32)?;
        line.reset();
        let initializer = setup.initializer.as_mut().map(Initializer::offer).transpose()?;
        let name = format!("{}:{number}", setup.pool);
        let orders = Orders {
            tasks: setup.tasks.clone(),
            results: setup.news.clone(),
            board: setup.board.clone(),
            worker: worker as u32,
            name: name.clone(),
            initializer,
            max_tasks: setup.max_tasks,
            is_timed: setup.is_timed,
        };
        let mut builder = Process::builder().name(name).helper();
        if let Some(method) = setup.start_method {
            builder = builder.start_method(method);
        }
        let process = builder.spawn(work, (orders,))?;
        let (news, head) =
            (setup.news.clone(), NewsHead::plain(Kind::Ended, worker as u32, number));
        let bell = Arc::clone(&setup.bell);
        let told = process.when_ended(move || {
            // Fails only if nobody is there to get it.
            let _ = news.put_bytes(&head.message());
            bell.ring();
        });
        if !told {
            let _ = process.handle().kill();
            let text =
                format!("cannot watch the workers of pool {:?}: no thread is left", setup.pool);
            return Err(Error::of(ErrorKind::Limit, text));
        }
        self.members[worker] = Some(Member { number, process });
        Ok(())
    }

    /// The places without a worker.
    pub(super) fn missing(&self) -> Vec<usize> {
        (0..self.size()).filter(|worker| self.members[*worker].is_none()).collect()
    }

    pub(super) fn is_gone(&self) -> bool {
        self.members.iter().all(Option::is_none)
    }

    /// A worker has ended: its place is free. `None` if that was known.
    pub(super) fn part(&mut self, worker: u32, number: u32) -> Option<End> {
        let place = self.members.get_mut(worker as usize)?;
        let member = place.take_if(|member| member.number == number)?;
        let phase = self.setup.board.line(worker).map_or(Phase::Ready, |line| line.phase());
        Some(End::of(member, phase))
    }

    pub(super) fn kill(&self, worker: u32) {
        if let Some(Some(member)) = self.members.get(worker as usize) {
            let _ = member.process.handle().kill();
        }
    }

    pub(super) fn kill_all(&self) {
        (0..self.size() as u32).for_each(|worker| self.kill(worker));
    }

    pub(super) fn board(&self) -> &Board {
        &self.setup.board
    }

    pub(super) fn initializer(&self) -> Option<&Initializer> {
        self.setup.initializer.as_ref()
    }

    /// The workers that there are, with their places.
    pub(super) fn members(&self) -> impl Iterator<Item = (u32, &Member)> {
        let members = self.members.iter().enumerate();
        members.filter_map(|(at, member)| Some((at as u32, member.as_ref()?)))
    }
}

impl End {
    fn of(member: Member, phase: Phase) -> End {
        let mut process = member.process;
        let about = |failure: ChildFailure| {
            let note = match phase {
                Phase::Ready => "it was a worker of a pool",
                Phase::Initializing => "it ran the initializer of its pool",
                Phase::Starting => "it was about to start as a worker of a pool",
            };
            Error::from_child(failure.with_note(note))
        };
        let (is_in_order, why) = match process.try_join() {
            Ok(Some(Ok(()))) => (true, Error::of(ErrorKind::Closed, "the worker has ended")),
            Ok(Some(Err(error))) => (false, error.about("a worker of the pool has given up")),
            Ok(None) => (false, about(ChildFailure::of(process.name(), process.id()))),
            Err(error) => match error.child() {
                Some(failure) => (false, about(failure.clone())),
                None => (false, error),
            },
        };
        let status = why.child().and_then(ChildFailure::status);
        let is_killed = status.is_some_and(|status| status.signal() == Some(9));
        End { phase, is_in_order, is_killed, why }
    }
}
