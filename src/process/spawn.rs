//! Starting a child: everything that happens in the parent until it runs.
//!
//! Steps, each of which undoes the ones before it when it fails:
//!
//! 1. the program is looked at: a child must run this very image, with no more rights than this process;
//!    a descriptor is set aside, so that a full table is noticed before anything is started;
//! 2. the child's slot is reserved in the world ([`Embryo`]), and the handles in the arguments are given to it;
//! 3. the call is written into shared memory;
//! 4. `posix_spawn`: the running image again, with the world's descriptor under the number it has here, and a ticket in
//!    the environment;
//! 5. the descriptor set aside becomes the child's pidfd, and the child is registered.
//!
//! If the parent is killed, the child goes on without it; one that had not started gives up when it finds its slot
//! taken back. Whatever was given to it is freed with its slot.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::fmt;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::builder::ProcessBuilder;
use super::call::{Call, Request};
use super::child::{Child, Started};
use super::children;
use super::ending::NO_RAISED_RIGHTS;
use super::entry::Entry;
use super::ticket::{self, Ticket};
use super::{current, hook, image};
use crate::error::{Error, ErrorKind, Result};
use crate::handle::{self, Claimed};
use crate::liveness::ProcessId;
use crate::sys::{descriptor, pidfd, posix_spawn, program};
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

        let pid = start.execute(&program, &ticket, descriptor)?;
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

    fn ends_with_parent(&self) -> bool {
        self.end_with_parent || self.daemon || self.is_helper
    }

    /// This process's environment, with what was set and the ticket, in the form of `execve`.
    fn environment(&self, ticket: &Ticket) -> Result<Vec<CString>> {
        for (key, _) in &self.env {
            if key.is_empty() || key.as_encoded_bytes().contains(&b'=') {
                return Err(Error::of(
                    ErrorKind::InvalidInput,
                    format!(
                        "an environment variable cannot be named {key:?}: expected a name without `=`"
                    ),
                ));
            }
        }
        let ticket = [(OsString::from(ticket::TICKET), OsString::from(ticket.to_text()))];
        let is_set = |key: &OsStr| self.env.iter().chain(&ticket).any(|(set, _)| set == key);
        let mut env: Vec<(OsString, OsString)> =
            std::env::vars_os().filter(|(key, _)| !is_set(key)).collect();
        for (at, (key, value)) in self.env.iter().enumerate() {
            if key != ticket::TICKET && !self.env[at + 1..].iter().any(|(later, _)| later == key) {
                env.push((key.clone(), value.clone()));
            }
        }
        env.into_iter()
            .chain(ticket)
            .map(|(mut variable, value)| {
                variable.push("=");
                variable.push(value);
                c_string(variable, "an environment variable")
            })
            .collect()
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

/// A start under way.
struct Start {
    name: String,
    builder: ProcessBuilder,
}

impl Start {
    /// The program to execute, if a child that executes it can find its function.
    fn program(&self) -> Result<CString> {
        if ticket::hook_was_skipped() {
            return Err(self.unsupported(
                "this process was itself started to run a function and reached main instead: multiproc's start-up hook in \
                 .init_array was not called or was removed by the linker",
            ));
        }
        if !hook::was_reached() {
            return Err(self.unsupported(
                "multiproc's start-up hook in .init_array was not called: the linker has removed it, or whatever started this \
                 program skips constructors. Call multiproc::init() in the first line of main",
            ));
        }
        if current::is_daemon() {
            return Err(self.unsupported(
                "this process is a daemon, and daemons can have no children: they would be left behind when it is ended. \
                 Start it without daemon(true), with end_with_parent(true) if it is to die with its parent",
            ));
        }
        if hook::is_constructing() {
            return Err(self.unsupported(
                "a constructor of the program, which runs before main, starts it, and would do so again in each child: start \
                 processes from main, or where multiproc::parent_process() is None",
            ));
        }
        let program = match &self.builder.executable {
            None => {
                image::check_file().map_err(|why| self.unsupported(&why))?;
                PathBuf::from(image::FILE)
            }
            Some(path) => std::path::absolute(path).map_err(|error| self.cannot(error))?,
        };
        let program = c_string(program.into_os_string(), "the path of the executable")?;
        match program::raises_rights(&program) {
            None => Ok(program),
            Some(why) => Err(self.unsupported(&format!("{why}: {NO_RAISED_RIGHTS}"))),
        }
    }

    /// Runs the program with the ticket in its environment.
    fn execute(&self, program: &CStr, ticket: &Ticket, world: BorrowedFd<'_>) -> Result<u32> {
        let builder = &self.builder;
        let directory = match &builder.current_dir {
            None => None,
            Some(path) => {
                check_directory(&self.name, path)?;
                Some(c_string(path.clone().into_os_string(), "the working directory")?)
            }
        };
        let args = std::env::args_os()
            .map(|arg| c_string(arg, "an argument of this program"))
            .collect::<Result<Vec<_>>>()?;
        let env = builder.environment(ticket)?;
        // Above the standard numbers, so that no copy overwrites the source of a later one.
        let mut standard = Vec::new();
        for (number, fd) in builder.standard.iter().enumerate() {
            if let Some(fd) = fd {
                let copy = descriptor::duplicate_above(fd.as_fd(), 3)
                    .map_err(|error| self.cannot(error))?;
                standard.push((copy, number as i32));
            }
        }
        // The world has the same number there as here. A copy to its own number only makes it stay open.
        let mut descriptors = vec![(world, world.as_raw_fd())];
        descriptors.extend(standard.iter().map(|(fd, number)| (fd.as_fd(), *number)));
        posix_spawn::start(&posix_spawn::Start {
            program,
            args: &args,
            env: &env,
            directory: directory.as_deref(),
            descriptors: &descriptors,
        })
        .map_err(|error| self.cannot(error))
    }

    /// The pidfd of a child that was just started, which is ended if there is none. `aside` is a descriptor that makes room.
    fn watch(&self, pid: u32, aside: OwnedFd) -> Result<OwnedFd> {
        let error = match pidfd::open(pid) {
            Ok(fd) => return Ok(fd),
            // It ended already, and somebody else took its status. Its result may be there.
            Err(error) if pidfd::is_no_process(&error) => return Ok(aside),
            Err(error) => error,
        };
        drop(aside);
        let error = if descriptor::is_descriptor_limit(&error) {
            match pidfd::open(pid) {
                Ok(fd) => return Ok(fd),
                Err(again) => again,
            }
        } else {
            error
        };
        pidfd::kill_unseen(pid);
        if descriptor::is_descriptor_limit(&error) {
            return Err(self.cannot(error));
        }
        let text = format!("cannot start process {:?}: cannot watch it (pidfd_open)", self.name);
        Err(Error::os(text, error).with_kind(ErrorKind::Spawn))
    }

    fn unsupported(&self, why: &str) -> Error {
        let text = format!("cannot start process {:?}: {why}", self.name);
        Error::of(ErrorKind::Unsupported, text)
    }

    /// Why the child could not be started; limits are named with their value.
    #[cold]
    fn cannot(&self, error: io::Error) -> Error {
        let name = &self.name;
        let (descriptors, processes) = program::limits();
        if descriptor::is_descriptor_limit(&error) {
            let text = format!(
                "cannot start process {name:?}: the descriptor table is full (RLIMIT_NOFILE is {descriptors}, or the \
                 system's own limit is met)"
            );
            return Error::os(text, error);
        }
        if posix_spawn::is_process_limit(&error) {
            let text = format!(
                "cannot start process {name:?}: the system allows no more processes (RLIMIT_NPROC is {processes}; the \
                 control group may allow fewer): wait for some to end, or raise the limit with ulimit -u"
            );
            return Error::of(ErrorKind::Limit, text).with_source(error);
        }
        let (path, hint) = match &self.builder.executable {
            Some(path) => (path.as_path(), ""),
            None => (Path::new(image::FILE), " (is /proc mounted?)"),
        };
        let hint = if error.kind() == io::ErrorKind::NotFound { hint } else { "" };
        let text =
            format!("cannot start process {name:?}: cannot execute {}{hint}", path.display());
        Error::os(text, error).with_kind(ErrorKind::Spawn)
    }
}

fn c_string(text: OsString, what: &str) -> Result<CString> {
    CString::new(text.into_vec()).map_err(|error| {
        Error::of(ErrorKind::InvalidInput, format!("{what} holds a zero byte")).with_source(error)
    })
}

/// A directory in which the child cannot start, in words: the error of the start would not say which path it means.
fn check_directory(name: &str, path: &Path) -> Result<()> {
    let error = match fs::metadata(path) {
        Ok(found) if found.is_dir() => return Ok(()),
        Ok(_) => io::Error::from(io::ErrorKind::NotADirectory),
        Err(error) => error,
    };
    let text = format!("cannot start process {name:?}: cannot work in {}: {error}", path.display());
    Err(Error::of(ErrorKind::Spawn, text).with_source(error))
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
