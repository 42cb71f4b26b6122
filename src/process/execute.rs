//! What a child executes: whether a child can run this program, with what it starts, and by which method.

use std::ffi::{CStr, CString, OsStr, OsString};
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use super::builder::ProcessBuilder;
use super::ending::NO_RAISED_RIGHTS;
use super::fork_server::{self, Failure, Settings};
use super::method::StartMethod;
use super::ticket::{self, Ticket};
use super::{current, hook, image};
use crate::error::{Error, ErrorKind, Result};
use crate::sys::counter::Counter;
use crate::sys::program::FileRights;
use crate::sys::{descriptor, pidfd, posix_spawn, program, reap};

/// A start under way.
pub(super) struct Start {
    pub(super) name: String,
    pub(super) builder: ProcessBuilder,
}

impl Start {
    /// The program to execute, if a child that executes it can find its function.
    pub(super) fn program(&self) -> Result<CString> {
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
        self.method()?;
        let program = match &self.builder.executable {
            None => {
                image::check_file().map_err(|why| self.unsupported(&why))?;
                PathBuf::from(image::FILE)
            }
            Some(path) => std::path::absolute(path).map_err(|error| self.cannot(error))?,
        };
        let program = c_string(program.into_os_string(), "the path of the executable")?;
        let other = self.builder.executable.as_ref().and_then(|_| FileRights::of(&program));
        let rights = match self.builder.executable {
            None => image::file_rights(),
            Some(_) => other.as_ref(),
        };
        match program::raises_rights(&program, rights) {
            None => Ok(program),
            Some(why) => Err(self.unsupported(&format!("{why}: {NO_RAISED_RIGHTS}"))),
        }
    }

    /// Whether this process may start others at all.
    pub(super) fn check_may_start(&self) -> Result<()> {
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
        Ok(())
    }

    /// Makes a process that runs the program and finds the ticket; its number and its pidfd.
    pub(super) fn execute(
        &self,
        program: &CStr,
        ticket: Ticket,
        world: BorrowedFd<'_>,
    ) -> Result<(u32, OwnedFd)> {
        let directory = match &self.builder.current_dir {
            None => None,
            Some(path) => {
                check_directory(&self.name, path)?;
                Some(c_string(path.clone().into_os_string(), "the working directory")?)
            }
        };
        let env = self.builder.environment()?;
        match self.method()? {
            StartMethod::Spawn => {
                let aside = self.set_aside()?;
                let pid = self.spawn(program, ticket, world, directory.as_deref(), env)?;
                Ok((pid, self.watch(pid, aside)?))
            }
            StartMethod::ForkServer => {
                self.ask_server(program, ticket, world, directory.as_deref(), &env)
            }
        }
    }

    fn method(&self) -> Result<StartMethod> {
        match (self.builder.start_method, &self.builder.executable) {
            (Some(StartMethod::ForkServer), Some(_)) => Err(Error::of(
                ErrorKind::InvalidInput,
                format!(
                    "cannot start process {:?}: a fork server runs this very program; another executable needs \
                     StartMethod::Spawn",
                    self.name
                ),
            )),
            (Some(method), _) => Ok(method),
            (None, _) => Ok(StartMethod::Spawn),
        }
    }

    /// By the fork server.
    fn ask_server(
        &self,
        program: &CStr,
        ticket: Ticket,
        world: BorrowedFd<'_>,
        directory: Option<&CStr>,
        env: &[CString],
    ) -> Result<(u32, OwnedFd)> {
        let folder =
            descriptor::folder(directory.unwrap_or(c".")).map_err(|error| self.cannot(error))?;
        let given = self.builder.standard.each_ref().map(|fd| fd.as_ref().map(AsFd::as_fd));
        let own = descriptor::standard();
        let streams = std::array::from_fn(|number| given[number].or(own[number]));
        let settings = Settings { env, directory: folder.as_fd(), streams };
        fork_server::start(program, &arguments(), ticket, world, &settings).map_err(|failure| match failure {
            Failure::System(error) => self.cannot(error),
            Failure::Other(error) => error,
            Failure::Unable(why) => self.unsupported(&format!(
                "this program can have no fork server, because {why}: use StartMethod::Spawn"
            )),
            Failure::Dies => Error::of(
                ErrorKind::Spawn,
                format!(
                    "cannot start process {:?}: the fork server died whenever it was asked (killed, or ended by a constructor \
                     of a library)",
                    self.name
                ),
            ),
        })
    }

    /// By executing the program, with the ticket in its environment.
    fn spawn(
        &self,
        program: &CStr,
        ticket: Ticket,
        world: BorrowedFd<'_>,
        directory: Option<&CStr>,
        mut env: Vec<CString>,
    ) -> Result<u32> {
        let variable = format!("{}={}", ticket::TICKET, ticket.to_text());
        env.push(c_string(variable.into(), "the ticket")?);
        let args = arguments();
        // Above the standard numbers, so that no copy overwrites the source of a later one.
        let mut standard = Vec::new();
        for (number, fd) in self.builder.standard.iter().enumerate() {
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
            directory,
            descriptors: &descriptors,
        })
        .map_err(|error| self.cannot(error))
    }

    pub(super) fn set_aside(&self) -> Result<OwnedFd> {
        Counter::full().map_err(|error| self.cannot(error))
    }

    /// The pidfd of a child that was just started, which is ended if there is none. `aside` is a descriptor that makes room.
    pub(super) fn watch(&self, pid: u32, aside: OwnedFd) -> Result<OwnedFd> {
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
        reap::kill_unseen(pid);
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
    pub(super) fn cannot(&self, error: io::Error) -> Error {
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

/// The arguments of this program, which are those of its children.
fn arguments() -> Vec<CString> {
    // They came as C strings.
    std::env::args_os().filter_map(|arg| CString::new(arg.into_vec()).ok()).collect()
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

impl ProcessBuilder {
    pub(super) fn ends_with_parent(&self) -> bool {
        self.end_with_parent || self.daemon || self.is_helper
    }

    /// This process's environment, with what was set and no ticket, in the form of `execve`.
    fn environment(&self) -> Result<Vec<CString>> {
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
        let is_set =
            |key: &OsStr| key == ticket::TICKET || self.env.iter().any(|(set, _)| set == key);
        let mut env: Vec<(OsString, OsString)> =
            std::env::vars_os().filter(|(key, _)| !is_set(key)).collect();
        for (at, (key, value)) in self.env.iter().enumerate() {
            if key != ticket::TICKET && !self.env[at + 1..].iter().any(|(later, _)| later == key) {
                env.push((key.clone(), value.clone()));
            }
        }
        env.into_iter()
            .map(|(key, value)| {
                // With room for the zero byte: no variable is moved.
                let mut variable = OsString::with_capacity(key.len() + value.len() + 2);
                variable.push(key);
                variable.push("=");
                variable.push(value);
                c_string(variable, "an environment variable")
            })
            .collect()
    }
}
