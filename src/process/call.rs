//! The record of one call: what a child is to do, and what became of it.
//!
//! The parent makes it before it starts the child; both know it by the number of its extent. The extent belongs to a
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
//! 48       8          extent that holds the outcome, plus one; 0: this one    child
//! 56       8          cell: index, generation                                 parent, before the start
//! 64                  request, arguments; later the outcome                   parent, then child
//! ```
//!
//! | state | the child | may become |
//! |---|---|---|
//! | `WAITING` | has not taken its function yet | `TAKEN`, `REFUSED` (also by a child that cannot join the world) |
//! | `TAKEN` | has copied request and arguments out and runs the function | `RETURNED`, `PANICKED`, `REFUSED` |
//! | `RETURNED` | left the function's result as the outcome | |
//! | `PANICKED` | left what the panic said as the outcome | |
//! | `REFUSED` | left an error as the outcome: it could not run the function or not bring its result back | |
//!
//! The parent looks at the state once the child has ended. The child stores it last: killed before that store it left
//! no outcome, killed after it a whole one. The arguments are overwritten only after they were copied out, and nobody
//! else reads them. An outcome that does not fit has an extent of its own, which is the child's while it is filled and
//! then the cell's; the child killed in between, it is free.

use std::fs::File;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::FileExt;

use serde::{Deserialize, Serialize};

use super::image::Checksum;
use crate::error::{Error, ErrorKind, Result};
use crate::sys::atomic::Ordering;
use crate::sys::memfd::is_sealed;
use crate::world::arena::Extent;
use crate::world::cells::CellId;
use crate::world::handle::PRESENT;
use crate::world::{ProcessId, World};

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
    extent: Extent,
    /// Keeps the extent while parent or child lives.
    cell: CellId,
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
        let extent = world.alloc(len, world.this_process())?;
        let cell = match world.alloc_cell(KIND, PRESENT) {
            Ok((cell, _)) => cell,
            Err(error) => {
                world.free(extent);
                return Err(error);
            }
        };
        let call = Call { world, extent, cell };
        let filled =
            call.fill(&request, args).and_then(|()| world.add_presence(child, cell.index, PRESENT));
        match filled {
            Ok(()) => {
                // Until 0: never behind the cell's floor, which nobody moves.
                call.extent.give_to(cell, 0);
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
        self.extent.write(BODY, request)?;
        self.extent.write(BODY + request.len(), args)?;
        self.store(0, MAGIC)
    }

    fn store(&self, at: usize, value: u64) -> Result<()> {
        self.extent.word(at)?.store(value, Ordering::Relaxed);
        Ok(())
    }

    fn load(&self, at: usize) -> Result<u64> {
        Ok(self.extent.word(at)?.load(Ordering::Relaxed))
    }

    /// A length that one of the words holds; the bounds of the extent are checked by whoever uses it.
    fn len(&self, at: usize) -> Result<usize> {
        let len = self.load(at)?;
        usize::try_from(len)
            .ok()
            .filter(|len| *len <= isize::MAX as usize / 4)
            .ok_or_else(|| corrupted(format!("a call holds a length of {len}")))
    }

    /// The number under which the child finds the call.
    pub(super) fn id(&self) -> u32 {
        self.extent.id()
    }

    /// Where it stands in the file of the world.
    pub(super) fn place(&self) -> u64 {
        self.world.file_offset(&self.extent)
    }

    /// Gives the memory back. The parent's, once the child has ended or was never started.
    pub(super) fn free(self) {
        self.world.free(self.extent);
        self.world.remove_presence(self.cell.index, PRESENT);
        self.world.free_cell_if_unused(self.cell, false);
    }

    /// Finds a call that the parent wrote for `child`, and copies the request and the arguments out. The child's.
    pub(super) fn open(
        world: &'static World,
        id: u32,
        child: ProcessId,
    ) -> Result<(Call, Request, Vec<u8>)> {
        let extent = world.extent(id)?;
        let bits = extent.word(CELL)?.load(Ordering::Relaxed);
        let cell = CellId { index: bits as u32, generation: (bits >> 32) as u32 };
        let call = Call { world, extent, cell };
        let magic = call.load(0)?;
        if magic != MAGIC {
            return Err(corrupted(format!(
                "block {id} of shared memory is no call: it starts with {magic:#018x} instead of {MAGIC:#018x}"
            )));
        }
        let len = call.len(REQUEST_LEN)?;
        let request = call.extent.read(BODY, len)?;
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
        let args = call.extent.read(BODY + len, call.len(ARGS_LEN)?)?;
        Ok((call, request, args))
    }

    /// The child is about to run the function.
    pub(super) fn take(&self) -> Result<()> {
        // ORDERING: Relaxed: the state says only how far the child got, nothing else was written.
        self.store(STATE, State::Taken as u64)
    }

    /// Leaves the outcome. The child's, at most once, after it copied the arguments out.
    pub(super) fn finish(&self, state: State, outcome: &[u8]) -> Result<()> {
        if outcome.len() <= self.extent.len().saturating_sub(BODY) {
            self.extent.write(BODY, outcome)?;
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
        self.extent.word(STATE)?.store(state as u64, Ordering::Release);
        Ok(())
    }

    /// Leaves an error without having joined the world, by plain writes to its file. The child's, before it has taken
    /// its function; `place` is where the call stands in the file. Whether it worked.
    pub(super) fn refuse_from_outside(world: BorrowedFd<'_>, place: u64, error: &Error) -> bool {
        // Not at the number, or not a world: nothing is written to the files of others.
        if !is_sealed(world) {
            return false;
        }
        let Ok(file) = world.try_clone_to_owned().map(File::from) else {
            return false;
        };
        let fits = |bytes: &Vec<u8>| bytes.len() <= LEAST_BODY;
        let whole = postcard::to_stdvec(error).ok().filter(fits);
        let Some(bytes) = whole.or_else(|| {
            // Without its causes, and the end of a long message.
            let message: String = error.to_string().chars().take(LEAST_BODY / 5).collect();
            postcard::to_stdvec(&Error::new(error.kind(), message)).ok().filter(fits)
        }) else {
            return false;
        };
        let write = |at: usize, bytes: &[u8]| {
            place.checked_add(at as u64).is_some_and(|at| file.write_all_at(bytes, at).is_ok())
        };
        let mut magic = [0; 8];
        let is_call = file.read_exact_at(&mut magic, place).is_ok() && magic == MAGIC.to_ne_bytes();
        // The state last, as in `finish`; each write is a system call, and so is the end of this process.
        is_call
            && write(BODY, &bytes)
            && write(OUTCOME_LEN, &(bytes.len() as u64).to_ne_bytes())
            && write(STATE, &(State::Refused as u64).to_ne_bytes())
    }

    /// How far the child got, and what it left. The parent's, once the child has ended; frees the call.
    pub(super) fn outcome(self) -> Result<(State, Vec<u8>)> {
        let found = self.read_outcome();
        if let Ok(Some(other)) = self.outcome_extent() {
            self.world.free(other);
        }
        self.free();
        found
    }

    /// The extent of an outcome that did not fit; also one that a child left and then was killed.
    fn outcome_extent(&self) -> Result<Option<Extent>> {
        match self.load(OUTCOME_EXTENT)? {
            0 => Ok(None),
            id => match u32::try_from(id - 1) {
                Ok(id) => self.world.extent(id).map(Some),
                Err(_) => Err(corrupted(format!("a call names block {id} of shared memory"))),
            },
        }
    }

    fn read_outcome(&self) -> Result<(State, Vec<u8>)> {
        // ORDERING(outcome): Acquire, pairs with the Release in `finish`.
        let state = State::from_word(self.extent.word(STATE)?.load(Ordering::Acquire))?;
        if matches!(state, State::Waiting | State::Taken) {
            return Ok((state, Vec::new()));
        }
        let len = self.len(OUTCOME_LEN)?;
        let bytes = match self.outcome_extent()? {
            None => self.extent.read(BODY, len)?,
            Some(other) => other.read(0, len)?,
        };
        Ok((state, bytes))
    }
}
