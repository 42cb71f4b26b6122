//! Starting a child: everything that happens in the parent until it runs.
//!
//! Steps, each of which undoes the ones before it when it fails:
//!
//! 1. the program is looked at: a child must run this very image, with no more rights than this process;
//!    a descriptor is set aside, so that a full table is noticed before anything is started;
//! 2. the child's slot is reserved in the world ([`Embryo`]), and the handles in the arguments are given to it;
//! 3. the call is written into shared memory;
//! 4. the process is made (`execute`): by `posix_spawn` of the running image, with the world's descriptor under the number it
//!    has here and a ticket in the environment; or by the fork server (`fork_server`);
//! 5. the descriptor set aside becomes the child's pidfd, and the child is registered.
//!
//! If the parent is killed, the child goes on without it; one that had not started gives up when it finds its slot
//! taken back. Whatever was given to it is freed with its slot.

use std::fmt;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::builder::ProcessBuilder;
use super::call::{Call, Request};
use super::child::{Child, Started};
use super::children;
use super::entry::Entry;
use super::execute::Start;
use super::ticket::Ticket;
use super::{current, image};
use crate::error::Result;
use crate::handle::{self, Claimed};
use crate::liveness::ProcessId;
use crate::sys::descriptor;
use crate::world::{World, world};

impl ProcessBuilder {
    /// Starts a child that runs the function of `entry` with the arguments that `encode` writes.
    pub(super) fn launch(
        self,
        entry: &'static Entry,
        encode: &dyn Fn(&mut Vec<u8>) -> Result<()>,
        discard: fn(&[u8], Claimed),
    ) -> Result<Arc<Child>> {
        let name = entry.name()?;
        let image = image::identity()?;
        let number = current::next_number();
        let start = Start {
            name: self.name.clone().unwrap_or_else(|| format!("Process-{number}")),
            builder: self,
        };
        let program = start.program()?;
        children::sweep();
        let aside = descriptor::counter(1).map_err(|error| start.cannot(error))?;
        let world = world()?;
        let descriptor = world.descriptor()?;
        let embryo = Embryo::reserve(world)?;

        let mut args = Vec::new();
        let ((), handles) = handle::pack(|| encode(&mut args))?;
        handle::seal(&mut args, &handles);
        handles.give_to(world, embryo.child)?;
        let request = request(embryo.child, name, &start, number);
        let ends_with_parent = start.builder.ends_with_parent();
        if ends_with_parent {
            world.untidy.store(true, Ordering::Relaxed);
        }
        let call = Unstarted::new(Call::create(world, embryo.child, &request, &args)?);
        drop(args);
        let ticket = Ticket {
            process: embryo.child.to_bits(),
            call: call.id(),
            place: call.place(),
            world: descriptor.as_raw_fd() as u32,
            image,
            ends_with_parent,
        };

        let pid = start.execute(&program, ticket, descriptor)?;
        // From here on there is a child: nothing may fail without ending it.
        let fd = start.watch(pid, aside)?;
        world.liveness.embryo_started(embryo.started(), pid);
        handles.depart();
        let Start { name, builder } = start;
        let is_other_program = builder.executable.is_some();
        Ok(children::register(Started {
            pid,
            name,
            daemon: builder.daemon || builder.is_helper,
            is_other_program,
            fd,
            call: call.take(),
            discard,
        }))
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
    fn new(call: Call) -> Unstarted {
        Unstarted(Some(call))
    }

    fn id(&self) -> u32 {
        self.0.as_ref().map_or(0, Call::id)
    }

    fn place(&self) -> u64 {
        self.0.as_ref().map_or(0, Call::place)
    }

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
        f.debug_tuple("Unstarted").field(&self.id()).finish()
    }
}
