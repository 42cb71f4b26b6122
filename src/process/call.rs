//! The record of one call: what a child is to do, and what became of it.
//!
//! The parent makes it before it starts the child; both know it by the number of its block. The block belongs to an
//! object of its own, in which parent and child are both present: so it outlives either, and a child whose parent was killed
//! never writes its outcome into memory that is somebody else's by then. It is freed by the parent after the child has
//! ended, or it is free once both are dead. The first word of the object's payload is the number of the block.
//!
//! ```text
//! offset   size       what                                                    who writes
//! 0        8          magic number                                            parent, before the start
//! 8        24         state, length and place of the outcome                  child
//! 32       8          length of the request                                   parent, before the start
//! 40       8          length of the arguments                                 parent, before the start
//! 48       8          checksum of the request                                 parent, before the start
//! 56       8          object: index, generation                               parent, before the start
//! 64       8          for which process it is                                 parent, before the start
//! 72                  request, arguments; later the outcome                   parent, then child
//! ```
//!
//! | state | the child | may become |
//! |---|---|---|
//! | `WAITING` | has not taken its function yet | `TAKEN`, `REFUSED` (also by a child that cannot join the world) |
//! | `TAKEN` | has copied request and arguments out and runs the function | `RETURNED`, `PANICKED`, `REFUSED` |
//! | `RETURNED` | left the function's result as the outcome | `COLLECTED`, by the parent |
//! | `PANICKED` | left what the panic said as the outcome | |
//! | `REFUSED` | left an error as the outcome: it could not run the function or not bring its result back | |
//! | `COLLECTED` | has ended, and the parent has taken over what its result carried | |
//!
//! The parent looks at the state once the child has ended. The child stores it last ([`crate::raw::outcome`]): killed before that
//! store it left no outcome, killed after it a whole one. The arguments are overwritten only after they were copied out, and nobody
//! else reads them. An outcome that does not fit has a block of its own, which is the child's while it is filled and
//! then the object's; the child killed in between, it is free.
//!
//! A result that carries shared objects becomes visible under the arena lock, and so does its being collected: whoever walks the
//! call there ([`crate::memory`]) finds the references in the result, or they are the parent's.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;

use serde::{Deserialize, Serialize};

use super::image::Checksum;
use crate::error::{Error, ErrorKind, Result};
use crate::handle::{self, Claimed, PRESENT, Parcel};
use crate::liveness::ProcessId;
use crate::memory::walk::{Met, Walker, register};
use crate::memory::{Block, Memory, Object, ObjectId};
use crate::raw::outcome::{Outcome, OutcomeWords};
use crate::sys::atomic::Ordering;
use crate::sys::memfd::is_sealed;
use crate::world::{Kind, World};

/// `mprocall` in the byte order of the machine.
const MAGIC: u64 = u64::from_be_bytes(*b"mprocall");

/// State, length and place of the outcome, a word each.
const OUTCOME: usize = 8;
const STATE: usize = OUTCOME;
const OUTCOME_LEN: usize = OUTCOME + 8;
const REQUEST_LEN: usize = 32;
const ARGS_LEN: usize = 40;
const REQUEST_SUM: usize = 48;
const OBJECT: usize = 56;
const CHILD: usize = 64;
const BODY: usize = 72;
/// Room for an outcome of moderate size even if the request is smaller.
const LEAST_BODY: usize = 440;

/// How far the child got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub(super) enum State {
    Waiting = 0,
    Taken = 1,
    Returned = 2,
    Panicked = 3,
    Refused = 4,
    /// The parent has taken over what the result carried.
    Collected = 5,
}

impl State {
    fn from_word(word: u64) -> Result<State> {
        Ok(match word {
            0 => State::Waiting,
            1 => State::Taken,
            2 => State::Returned,
            3 => State::Panicked,
            4 => State::Refused,
            5 => State::Collected,
            _ => return Err(corrupted(format!("the state of a call is {word}, expected 0 to 5"))),
        })
    }
}

/// What the child is to know before it runs its function.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request {
    /// For which process the call is meant, and who made it.
    pub(super) child: u32,
    pub(super) parent_pid: u32,
    pub(super) parent_name: String,
    pub(super) daemon: bool,
    /// Where the function's entry lies in the image, and the checksum that it must have.
    pub(super) offset: u64,
    pub(super) checksum: u64,
    /// `worker`, and its place in the tree of processes: `1:2`.
    pub(super) name: String,
    pub(super) number: String,
    /// The name of the program's file, for `ps`; none if the parent runs another.
    pub(super) program: Option<Vec<u8>>,
}

/// What a panic said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Panic {
    pub(super) message: String,
    pub(super) location: Option<String>,
    pub(super) backtrace: Option<String>,
}

/// One call, in either process.
pub(super) struct Call {
    world: &'static World,
    block: Block,
    /// Keeps the block while parent or child lives.
    object: ObjectId,
    child: ProcessId,
}

fn corrupted(message: String) -> Error {
    Error::of(ErrorKind::Corrupted, message)
}

impl Call {
    /// Writes a call for `child` into shared memory. The parent's.
    pub(super) fn create(
        world: &'static World,
        child: ProcessId,
        request: &Request,
        args: &[u8],
    ) -> Result<Call> {
        let request = postcard::to_stdvec(request).map_err(|error| {
            Error::of(ErrorKind::Encode, "cannot write down the call").with_source(error)
        })?;
        let len = BODY + (request.len() + args.len()).max(LEAST_BODY);
        let walker = Walker { walk, may_carry: |_| true, may_hold: |_| false, takers: PRESENT };
        register(Kind::Call as u32, walker);
        let memory = &world.memory;
        let block = memory.alloc(len, world.liveness.this_process())?;
        let (object, words) = match memory.alloc_object(Kind::Call as u32, PRESENT) {
            Ok(made) => made,
            Err(error) => {
                memory.free(block);
                return Err(error);
            }
        };
        let call = Call { world, block, object, child };
        let filled = call
            .fill(&request, args)
            .and_then(|()| memory.add_presence(child, object.index, PRESENT));
        call.block.give_for_life(object);
        words.payload[0].store(u64::from(call.block.id()), Ordering::Release);
        match filled {
            Ok(()) => Ok(call),
            Err(error) => {
                call.free();
                Err(error)
            }
        }
    }

    fn fill(&self, request: &[u8], args: &[u8]) -> Result<()> {
        // ORDERING: none needed. The child is started after these stores, by a system call.
        words(&self.block)?.clear(State::Waiting as u64);
        self.store(REQUEST_LEN, request.len() as u64)?;
        self.store(ARGS_LEN, args.len() as u64)?;
        self.store(REQUEST_SUM, Checksum::of(request))?;
        self.store(OBJECT, self.object.to_bits())?;
        self.store(CHILD, self.child.to_bits().into())?;
        self.block.write(BODY, request)?;
        self.block.write(BODY + request.len(), args)?;
        self.store(0, MAGIC)
    }

    fn store(&self, at: usize, value: u64) -> Result<()> {
        self.block.word(at)?.store(value, Ordering::Relaxed);
        Ok(())
    }

    fn load(&self, at: usize) -> Result<u64> {
        Ok(self.block.word(at)?.load(Ordering::Relaxed))
    }

    fn len(&self, at: usize) -> Result<usize> {
        checked_len(self.load(at)?)
    }

    /// The number under which the child finds the call.
    pub(super) fn id(&self) -> u32 {
        self.block.id()
    }

    /// Where it stands in the file of the world.
    pub(super) fn place(&self) -> u64 {
        self.world.memory.file_offset(&self.block).unwrap_or(u64::MAX)
    }

    /// Gives the memory back. The parent's, once the child has ended or was never started.
    pub(super) fn free(self) {
        let memory = &self.world.memory;
        // No call travels: parent and child are all that know of it.
        let released = memory.release_object_of_two(self.object, self.child);
        memory.free_released(released);
    }

    /// Finds a call that the parent wrote for `child`, and copies the request and the arguments out. The child's.
    pub(super) fn open(
        world: &'static World,
        id: u32,
        child: ProcessId,
    ) -> Result<(Call, Request, Vec<u8>)> {
        let walker = Walker { walk, may_carry: |_| true, may_hold: |_| false, takers: PRESENT };
        register(Kind::Call as u32, walker);
        let block = world.memory.block(id)?;
        let object = ObjectId::from_bits(block.word(OBJECT)?.load(Ordering::Relaxed));
        let call = Call { world, block, object, child };
        let magic = call.load(0)?;
        if magic != MAGIC {
            return Err(corrupted(format!(
                "block {id} of shared memory is no call: it starts with {magic:#018x} instead of {MAGIC:#018x}"
            )));
        }
        let len = call.len(REQUEST_LEN)?;
        let request = call.block.read(BODY, len)?;
        let (sum, found) = (call.load(REQUEST_SUM)?, Checksum::of(&request));
        if sum != found {
            return Err(corrupted(format!(
                "the call is damaged: its checksum should be {sum:#018x} and is {found:#018x}"
            )));
        }
        let request: Request = postcard::from_bytes(&request)
            .map_err(|error| corrupted("the call cannot be read".into()).with_source(error))?;
        if request.child != child.to_bits() {
            return Err(corrupted(format!(
                "the call is meant for process {:#x} of this tree, this is {:#x}",
                request.child,
                child.to_bits()
            )));
        }
        let args = call.block.read(BODY + len, call.len(ARGS_LEN)?)?;
        Ok((call, request, args))
    }

    /// The child is about to run the function.
    pub(super) fn take(&self) -> Result<()> {
        words(&self.block)?.note(State::Taken as u64);
        Ok(())
    }

    /// Leaves the outcome, and the handles in it. The child's, at most once, after it copied the arguments out.
    pub(super) fn finish(&self, state: State, outcome: &[u8], handles: &Parcel) -> Result<()> {
        let memory = &self.world.memory;
        let mut place = 0;
        if outcome.len() <= self.block.len().saturating_sub(BODY) {
            self.block.write(BODY, outcome)?;
        } else {
            // The child may have been alone so far; not with a block of its own.
            crate::world::world()?;
            let other = memory.alloc(outcome.len(), self.world.liveness.this_process())?;
            if let Err(error) = other.write(0, outcome) {
                memory.free(other);
                return Err(error);
            }
            other.give_for_life(self.object);
            place = u64::from(other.id()) + 1;
        }
        let words = words(&self.block)?;
        let outcome = Outcome { state: state as u64, len: outcome.len() as u64, place };
        let store = || words.publish(outcome);
        if handles.is_empty() {
            store();
            return Ok(());
        }
        memory.moving_references(Kind::Call as u32, || {
            handles.count_in_flight();
            store();
        })?;
        handles.depart();
        Ok(())
    }

    /// Leaves an error without having joined the world, by plain writes to its file. The child's, before it has taken
    /// its function; `place` is where the call for `child` stands in the file. Whether it worked.
    pub(super) fn refuse_from_outside(
        world: OwnedFd,
        place: u64,
        child: ProcessId,
        error: &Error,
    ) -> bool {
        // Nothing is written to the files of others, nor into a call that is not for this child: a child that was given up, its parent
        // being dead, has none any more, and there may be another one in its place. While it is not given up, its call stays.
        let file = File::from(world);
        let is_own = || is_for(&file, place, child).unwrap_or(false);
        if error.is_closed() || !is_sealed(file.as_fd()) || !is_own() {
            return false;
        }
        let fits = |bytes: &Vec<u8>| bytes.len() <= LEAST_BODY;
        let whole = postcard::to_stdvec(error).ok().filter(fits);
        let Some(bytes) = whole.or_else(|| {
            // Without its causes, and the end of a long message.
            let message: String = error.to_string().chars().take(LEAST_BODY / 5).collect();
            postcard::to_stdvec(&Error::of(error.kind(), message)).ok().filter(fits)
        }) else {
            return false;
        };
        let write = |at: usize, bytes: &[u8]| {
            place.checked_add(at as u64).is_some_and(|at| file.write_all_at(bytes, at).is_ok())
        };
        // The state last, as in `finish`; each write is a system call, and so is the end of this process.
        write(BODY, &bytes)
            && write(OUTCOME_LEN, &(bytes.len() as u64).to_ne_bytes())
            && write(STATE, &(State::Refused as u64).to_ne_bytes())
    }

    /// How far the child got, and what it left. The parent's, once the child has ended; frees the call.
    pub(super) fn outcome(self) -> Result<Left> {
        let found = self.read_outcome();
        let collected = found.and_then(|(state, bytes)| self.collect(state, bytes));
        self.free();
        collected
    }

    /// Takes over what a result carries, before the call goes.
    fn collect(&self, state: State, mut bytes: Vec<u8>) -> Result<Left> {
        let mut handles = Claimed::default();
        if state == State::Returned {
            let (body, claimed) = handle::open(self.world, &bytes)?;
            let len = body.len();
            if !claimed.is_empty() {
                let words = words(&self.block)?;
                self.world.memory.moving_references(Kind::Call as u32, || {
                    words.note(State::Collected as u64);
                    claimed.uncount_in_flight();
                })?;
            }
            bytes.truncate(len);
            handles = claimed;
        }
        Ok(Left { state, bytes, handles })
    }

    fn read_outcome(&self) -> Result<(State, Vec<u8>)> {
        let outcome = words(&self.block)?.read();
        let state = State::from_word(outcome.state)?;
        if matches!(state, State::Waiting | State::Taken) {
            return Ok((state, Vec::new()));
        }
        let len = checked_len(outcome.len)?;
        let bytes = match outcome_block(&self.world.memory, outcome)? {
            None => self.block.read(BODY, len)?,
            Some(other) => other.read(0, len)?,
        };
        Ok((state, bytes))
    }
}

/// Whether the call at this place of the world's file is for `child`.
fn is_for(file: &File, place: u64, child: ProcessId) -> Option<bool> {
    let mut head = [0; BODY];
    file.read_exact_at(&mut head, place).ok()?;
    let word = |at: usize| head[at..].first_chunk().map(|word| u64::from_ne_bytes(*word));
    Some(word(0)? == MAGIC && word(CHILD)? == u64::from(child.to_bits()))
}

/// What a child left.
pub(super) struct Left {
    pub(super) state: State,
    /// The result, a panic or an error, by the state.
    pub(super) bytes: Vec<u8>,
    /// What the result carries.
    pub(super) handles: Claimed,
}

/// State, length and place of an outcome.
fn words(block: &Block) -> Result<&'static OutcomeWords> {
    block.get(OUTCOME)
}

/// A length that one of the words holds; the bounds of the block are checked by whoever uses it.
fn checked_len(len: u64) -> Result<usize> {
    usize::try_from(len)
        .ok()
        .filter(|len| *len <= isize::MAX as usize / 4)
        .ok_or_else(|| corrupted(format!("a call holds a length of {len}")))
}

/// The block of an outcome that did not fit.
fn outcome_block(memory: &Memory, outcome: Outcome) -> Result<Option<Block>> {
    match outcome.place {
        0 => Ok(None),
        id => match u32::try_from(id - 1) {
            Ok(id) => memory.block(id).map(Some),
            Err(_) => Err(corrupted(format!("a call names block {id} of shared memory"))),
        },
    }
}

/// Tells what a call has. In doubt nothing more: shared memory is damaged then.
fn walk(memory: &Memory, object: &'static Object, tell: &mut dyn FnMut(Met)) {
    let id = object.payload[0].load(Ordering::Acquire) as u32;
    let Ok(block) = memory.block(id) else { return };
    tell(Met::Block(id));
    let _ = walk_outcome(memory, &block, tell);
}

fn walk_outcome(memory: &Memory, block: &Block, tell: &mut dyn FnMut(Met)) -> Result<()> {
    let outcome = words(block)?.read();
    let other = outcome_block(memory, outcome)?;
    if let Some(other) = &other {
        tell(Met::Block(other.id()));
    }
    if outcome.state != State::Returned as u64 {
        return Ok(());
    }
    let len = outcome.len as usize;
    let read = |from: usize, len| match &other {
        None => block.read(BODY.saturating_add(from), len),
        Some(other) => other.read(from, len),
    };
    handle::read_list(len, read, |id, roles| tell(Met::Reference(id, roles)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::world;

    #[test]
    fn a_refusal_is_written_into_no_call_but_ones_own() {
        let world = world().unwrap();
        let make = |child: ProcessId| {
            let request = Request {
                child: child.to_bits(),
                parent_pid: std::process::id(),
                parent_name: String::new(),
                daemon: false,
                offset: 0,
                checksum: 0,
                name: String::new(),
                number: String::new(),
                program: None,
            };
            Call::create(world, child, &request, b"").unwrap()
        };
        let (first, second) = (world.embryo().unwrap(), world.embryo().unwrap());
        let (call, other) = (make(first), make(second));
        let refuse = |call: &Call, kind: ErrorKind| {
            let file = world.descriptor().unwrap().try_clone_to_owned().unwrap();
            Call::refuse_from_outside(file, call.place(), first, &Error::simple(kind))
        };
        assert!(!refuse(&call, ErrorKind::Closed), "a child that was given up");
        assert!(!refuse(&other, ErrorKind::Limit), "the call is somebody else's");
        assert_eq!(other.read_outcome().unwrap().0, State::Waiting);
        assert!(refuse(&call, ErrorKind::Limit));
        assert_eq!(call.read_outcome().unwrap().0, State::Refused);
        for (call, child) in [(call, first), (other, second)] {
            world.liveness.embryo_failed(child);
            call.free();
        }
    }
}
