//! Starting a child: everything that happens in the parent until it runs.
//!
//! Steps, each of which undoes the ones before it when it fails:
//!
//! 1. the child's slot is reserved in the world ([`Embryo`]), and the handles in the arguments are given to it;
//! 2. the call is written into shared memory;
//! 3. the program is looked at: a child must run this very image, with no more rights than this process;
//! 4. the process is made (`execute`): by `posix_spawn` of the running image, with the world's descriptor under the number it
//!    has here and a ticket in the environment, after a descriptor is set aside, so that a table too full for a pidfd is noticed
//!    before there is a process; or by the fork server (`fork_server`);
//! 5. the child is registered, with its pidfd.
//!
//! If the parent is killed, the child goes on without it; one that had not started gives up when it finds its slot
//! taken back. Whatever was given to it is freed with its slot.

use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use super::builder::ProcessBuilder;
use super::call::{Call, Request};
use super::child::{Child, Started};
use super::children;
use super::entry::{Entry, Trampoline};
use super::execute::Start;
use super::ticket::Ticket;
use super::{current, image};
use crate::error::{Error, Result};
use crate::handle::{self, Claimed, Parcel};
use crate::liveness::ProcessId;
use crate::world::{World, world};

impl ProcessBuilder {
    /// Starts a child that runs the function of `entry` with the arguments that `encode` writes.
    pub(super) fn launch(
        self,
        entry: &'static Entry<Trampoline>,
        encode: &dyn Fn(&mut Vec<u8>) -> Result<()>,
        discard: fn(&[u8], Claimed),
    ) -> Result<Arc<Child>> {
        let name = entry.name()?;
        let image = image::identity()?;
        let prepared = Prepared::new(self, name, encode)?;
        let program = prepared.start.program()?;
        let world = prepared.descriptor()?;
        let ticket = Ticket {
            process: prepared.child().to_bits(),
            call: prepared.call(),
            place: prepared.place(),
            world: world.as_raw_fd() as u32,
            image,
            ends_with_parent: prepared.start.builder.ends_with_parent(),
            alone: prepared.is_alone(),
        };
        let (pid, fd) = prepared.start.execute(&program, ticket, world)?;
        Ok(prepared.started(pid, fd, discard))
    }
}

/// All that a child needs but a process.
pub(super) struct Prepared {
    start: Start,
    world: &'static World,
    embryo: Embryo,
    call: Unstarted,
    handles: Parcel,
}

impl Prepared {
    /// `entry` is the name of the function.
    pub(super) fn new(
        builder: ProcessBuilder,
        entry: (u64, u64),
        encode: &dyn Fn(&mut Vec<u8>) -> Result<()>,
    ) -> Result<Prepared> {
        let number = current::next_number();
        let name = builder.name.clone().unwrap_or_else(|| format!("Process-{number}"));
        let start = Start { name, builder };
        start.check_may_start()?;
        children::sweep();
        let world = world()?;
        let embryo = Embryo::reserve(world)?;
        let mut args = Vec::new();
        let ((), handles) = handle::pack(|| encode(&mut args))?;
        handle::seal(&mut args, &handles);
        handles.give_to(world, embryo.child)?;
        let request = request(embryo.child, entry, &start, number);
        if start.builder.ends_with_parent() {
            world.liveness.be_untidy();
        }
        let call = Unstarted(Some(Call::create(world, embryo.child, &request, &args)?));
        Ok(Prepared { start, world, embryo, call, handles })
    }

    /// The child, as the world knows it.
    pub(super) fn child(&self) -> ProcessId {
        self.embryo.child
    }

    /// Whether it runs alone at first: it is given nothing shared, and has nobody to watch.
    fn is_alone(&self) -> bool {
        self.handles.is_empty() && !self.start.builder.ends_with_parent()
    }

    /// The number of its call.
    pub(super) fn call(&self) -> u32 {
        self.call.0.as_ref().map_or(0, Call::id)
    }

    /// Where its call stands in the file of the world.
    pub(super) fn place(&self) -> u64 {
        self.call.0.as_ref().map_or(0, Call::place)
    }

    /// The descriptor of the world.
    pub(super) fn descriptor(&self) -> Result<BorrowedFd<'static>> {
        self.world.descriptor()
    }

    /// Why the process could not be made.
    pub(super) fn cannot(&self, error: io::Error) -> Error {
        self.start.cannot(error)
    }

    /// A descriptor that makes room in the table for a pidfd: a full table is noticed before there is a process.
    pub(super) fn set_aside(&self) -> Result<OwnedFd> {
        self.start.set_aside()
    }

    /// The pidfd of the process that was made; without one it is ended.
    pub(super) fn watch(&self, pid: u32, aside: OwnedFd) -> Result<OwnedFd> {
        self.start.watch(pid, aside)
    }

    /// There is a process, and its pidfd: nothing may fail from here on.
    pub(super) fn started(self, pid: u32, fd: OwnedFd, discard: fn(&[u8], Claimed)) -> Arc<Child> {
        let is_alone = self.is_alone();
        let process = self.embryo.started();
        self.world.liveness.embryo_started(process, pid, is_alone);
        self.handles.depart();
        let Start { name, builder } = self.start;
        children::register(Started {
            pid,
            process: Some(process),
            name,
            daemon: builder.daemon || builder.is_helper,
            is_other_program: builder.executable.is_some(),
            unattended: builder.unattended,
            fd,
            call: self.call.take(),
            discard,
        })
    }
}

/// What the child is to know before it runs its function.
fn request(child: ProcessId, entry: (u64, u64), start: &Start, number: String) -> Request {
    let this = current::current_process();
    Request {
        child: child.to_bits(),
        parent_pid: this.id(),
        parent_name: this.name().to_owned(),
        offset: entry.0,
        checksum: entry.1,
        name: start.name.clone(),
        number,
        daemon: start.builder.daemon,
        program: match start.builder.executable {
            None => image::file_name().map(<[u8]>::to_vec),
            Some(_) => None,
        },
    }
}

/// A slot reserved for a child; given back unless the child starts.
struct Embryo {
    world: &'static World,
    child: ProcessId,
}

impl Embryo {
    fn reserve(world: &'static World) -> Result<Embryo> {
        Ok(Embryo { world, child: world.embryo()? })
    }

    fn started(self) -> ProcessId {
        let child = self.child;
        std::mem::forget(self);
        child
    }
}

impl Drop for Embryo {
    fn drop(&mut self) {
        self.world.liveness.embryo_failed(self.child);
    }
}

/// A call whose child may not start; freed in that case.
struct Unstarted(Option<Call>);

impl Unstarted {
    fn take(mut self) -> Option<Call> {
        self.0.take()
    }
}

impl Drop for Unstarted {
    fn drop(&mut self) {
        if let Some(call) = self.0.take() {
            call.free();
        }
    }
}

impl fmt::Debug for Unstarted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Unstarted").field(&self.0.as_ref().map(Call::id)).finish()
    }
}
