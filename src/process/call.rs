//! The record of one call: what a child is to do, and what became of it.
//!
//! The parent makes it before it starts the child; both know it by the number of its block. The block belongs to a
//! cell of its own, in which parent and child are both present: so it outlives either, and a child whose parent was killed
//! never writes its outcome into memory that is somebody else's by then. It is freed by the parent after the child has
//! ended, or it is free once both are dead.
//!
//! ```text
//! offset   size       what                                                    who writes
//! 0        8          magic number                                            parent, before the start
//! 8        8          state                                                   child
//! 16       8          length of the request                                   parent, before the start
//! 24       8          length of the arguments                                 parent, before the start
//! 32       8          checksum of the request                                 parent, before the start
//! 40       8          length of the outcome                                   child
//! 48       8          block that holds the outcome, plus one; 0: this one    child
//! 56       8          cell: index, generation                                 parent, before the start
//! 64                  request, arguments; later the outcome                   parent, then child
//! ```
//!
//! | state | the child | may become |
//! |---|---|---|
//! | `WAITING` | has not taken its function yet | `TAKEN`, `REFUSED` |
//! | `TAKEN` | has copied request and arguments out and runs the function | `RETURNED`, `PANICKED`, `REFUSED` |
//! | `RETURNED` | left the function's result as the outcome | |
//! | `PANICKED` | left what the panic said as the outcome | |
//! | `REFUSED` | left an error as the outcome: it could not run the function or not bring its result back | |
//!
//! The parent looks at the state once the child has ended. The child stores it last: killed before that store it left
//! no outcome, killed after it a whole one. The arguments are overwritten only after they were copied out, and nobody
//! else reads them. An outcome that does not fit has an block of its own, which is the child's while it is filled and
//! then the cell's; the child killed in between, it is free.

use serde::{Deserialize, Serialize};

use super::image::Checksum;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::atomic::Ordering;
use crate::handle::{self, PRESENT, Parcel};
use crate::liveness::ProcessId;
use crate::memory::walk::{Met, Walker, register};
use crate::memory::{Block, Memory, Object, ObjectId};
use crate::world::{Kind, World};

/// `mprocall` in the byte order of the machine.
const MAGIC: u64 = u64::from_be_bytes(*b"mprocall");

const STATE: usize = 8;
const REQUEST_LEN: usize = 16;
const ARGS_LEN: usize = 24;
const REQUEST_SUM: usize = 32;
const OUTCOME_LEN: usize = 40;
const OUTCOME_EXTENT: usize = 48;
const CELL: usize = 56;
const BODY: usize = 64;
/// What the cell of a call says it holds: no kind of handle.
const KIND: u32 = u32::from_be_bytes(*b"call");
/// Room for an outcome of moderate size even if the request is smaller.
const LEAST_BODY: usize = 448;

/// How far the child got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
pub(super) enum State {
    Waiting = 0,
    Taken = 1,
    Returned = 2,
    Panicked = 3,
    Refused = 4,
}

impl State {
    fn from_word(word: u64) -> Result<State> {
        Ok(match word {
            0 => State::Waiting,
            1 => State::Taken,
            2 => State::Returned,
            3 => State::Panicked,
            4 => State::Refused,
            _ => return Err(corrupted(format!("the state of a call is {word}, expected 0 to 4"))),
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
    /// Where the function's entry lies in the image, and the checksum that it must have.
    pub(super) offset: u64,
    pub(super) checksum: u64,
    /// `worker`, and its place in the tree of processes: `1:2`.
    pub(super) name: String,
    pub(super) number: String,
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
    cell: ObjectId,
}

fn corrupted(message: String) -> Error {
    Error::new(ErrorKind::Corrupted, message)
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
            Error::new(ErrorKind::Encode, "cannot write down the call").with_source(error)
        })?;
        let len = BODY + (request.len() + args.len()).max(LEAST_BODY);
        let block = world.alloc(len, world.this_process())?;
        let cell = match world.alloc_cell(KIND, PRESENT) {
            Ok((cell, _)) => cell,
            Err(error) => {
                world.free(block);
                return Err(error);
            }
        };
        let call = Call { world, block, cell };
        let filled =
            call.fill(&request, args).and_then(|()| world.add_presence(child, cell.index, PRESENT));
        match filled {
            Ok(()) => {
                // Until 0: never behind the cell's floor, which nobody moves.
                call.block.give_to(cell, 0);
                Ok(call)
            }
            Err(error) => {
                call.free();
                Err(error)
            }
        }
    }

    fn fill(&self, request: &[u8], args: &[u8]) -> Result<()> {
        // ORDERING: none needed. The child is started after these stores, by a system call.
        self.store(STATE, State::Waiting as u64)?;
        self.store(REQUEST_LEN, request.len() as u64)?;
        self.store(ARGS_LEN, args.len() as u64)?;
        self.store(REQUEST_SUM, Checksum::of(request))?;
        self.store(OUTCOME_LEN, 0)?;
        self.store(OUTCOME_EXTENT, 0)?;
        self.store(CELL, u64::from(self.cell.generation) << 32 | u64::from(self.cell.index))?;
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

    /// A length that one of the words holds; the bounds of the block are checked by whoever uses it.
    fn len(&self, at: usize) -> Result<usize> {
        let len = self.load(at)?;
        usize::try_from(len)
            .ok()
            .filter(|len| *len <= isize::MAX as usize / 4)
            .ok_or_else(|| corrupted(format!("a call holds a length of {len}")))
    }

    /// The number under which the child finds the call.
    pub(super) fn id(&self) -> u32 {
        self.block.id()
    }

    /// Gives the memory back. The parent's, once the child has ended or was never started.
    pub(super) fn free(self) {
        self.world.free(self.block);
        self.world.remove_presence(self.cell.index, PRESENT);
        self.world.free_cell_if_unused(self.cell, false);
    }

    /// Finds a call that the parent wrote for `child`, and copies the request and the arguments out. The child's.
    pub(super) fn open(
        world: &'static World,
        id: u32,
        child: ProcessId,
    ) -> Result<(Call, Request, Vec<u8>)> {
        let block = world.block(id)?;
        let bits = block.word(CELL)?.load(Ordering::Relaxed);
        let cell = ObjectId { index: bits as u32, generation: (bits >> 32) as u32 };
        let call = Call { world, block, cell };
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
        // ORDERING: Relaxed: the state says only how far the child got, nothing else was written.
        self.store(STATE, State::Taken as u64)
    }

    /// Leaves the outcome. The child's, at most once, after it copied the arguments out.
    pub(super) fn finish(&self, state: State, outcome: &[u8]) -> Result<()> {
        if outcome.len() <= self.block.len().saturating_sub(BODY) {
            self.block.write(BODY, outcome)?;
        } else {
            let other = self.world.alloc(outcome.len(), self.world.this_process())?;
            if let Err(error) = other.write(0, outcome) {
                self.world.free(other);
                return Err(error);
            }
            other.give_to(self.cell, 0);
            self.store(OUTCOME_EXTENT, u64::from(other.id()) + 1)?;
        }
        self.store(OUTCOME_LEN, outcome.len() as u64)?;
        // ORDERING(outcome): Release, pairs with the Acquire in `outcome`; place, length and bytes before the state.
        self.block.word(STATE)?.store(state as u64, Ordering::Release);
        Ok(())
    }

    /// How far the child got, and what it left. The parent's, once the child has ended; frees the call.
    pub(super) fn outcome(self) -> Result<(State, Vec<u8>)> {
        let found = self.read_outcome();
        if let Ok(Some(other)) = self.outcome_block() {
            self.world.free(other);
        }
        self.free();
        found
    }

    /// The block of an outcome that did not fit; also one that a child left and then was killed.
    fn outcome_block(&self) -> Result<Option<Block>> {
        match self.load(OUTCOME_EXTENT)? {
            0 => Ok(None),
            id => match u32::try_from(id - 1) {
                Ok(id) => self.world.block(id).map(Some),
                Err(_) => Err(corrupted(format!("a call names block {id} of shared memory"))),
            },
        }
    }

    fn read_outcome(&self) -> Result<(State, Vec<u8>)> {
        // ORDERING(outcome): Acquire, pairs with the Release in `finish`.
        let state = State::from_word(self.block.word(STATE)?.load(Ordering::Acquire))?;
        if matches!(state, State::Waiting | State::Taken) {
            return Ok((state, Vec::new()));
        }
        let len = self.len(OUTCOME_LEN)?;
        let bytes = match self.outcome_block()? {
            None => self.block.read(BODY, len)?,
            Some(other) => other.read(0, len)?,
        };
        Ok((state, bytes))
    }
}
