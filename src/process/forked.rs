//! A process that is a copy of this one: [`Process::fork`].
//!
//! The parent prepares it as a child that it spawns (`spawn`): a reserved slot, the arguments written down, the handles in them
//! given to it. Then it forks. The copy finds nothing of the parent's world but the descriptor (`world::attach`), takes the
//! reserved slot with a keeper of its own, reads the arguments, and runs the closure, which is the one thing that it has without
//! their being written down. It never returns into the caller's code.
//!
//! It ends without libc's `exit`: what the program asked to be called at the end was meant for the parent. Its own functions of
//! `at_exit` are called, and its own children are waited for.
//!
//! If either dies at any moment, all is as with a child that was spawned.

#![allow(unsafe_code, reason = "fork")]

use std::io::{self, Write};
use std::os::fd::AsFd;

use super::builder::{ProcessBuilder, discard};
use super::call::Call;
use super::entry::{self, Reply};
use super::function::private::Token;
use super::function::{Arguments, Outcome, Parameters};
use super::join::{Process, unpack};
use super::spawn::Prepared;
use super::{at_exit, current, work};
use crate::error::Result;
use crate::handle;
use crate::liveness::Reserved;
use crate::sys::program;
use crate::world::{self, Given, World};

impl<R> Process<R> {
    /// Starts a process that is a copy of this one, and runs `f` there with `args`, as Python's start method `fork` does.
    ///
    /// The copy has all memory of this process as it is at the moment: what `f` captures, large tables, caches. Of this crate's
    /// objects it has those in `args` and no other: `args` is a tuple as for [`spawn`](Process::spawn), and travels as messages
    /// do. Handles, ends and guards that the copy has inherited otherwise are inert: their calls are
    /// [`Foreign`](crate::ErrorKind::Foreign), and dropping them changes nothing. The result comes back as that of any process.
    ///
    /// When `f` has returned or panicked, the process ends without returning to the caller. The functions that it gave to
    /// [`at_exit`](crate::at_exit) are called, and nothing else that is called at the end of a program. What this process had not
    /// written yet of standard output is written before the fork.
    ///
    /// It costs as much as the system needs to copy the tables of this process's memory: 14 ms for 1 GiB. A process that is only
    /// to run a function is better spawned, or forked from a [server](crate::StartMethod::ForkServer).
    ///
    /// # Errors
    ///
    /// Those of [`spawn`](Process::spawn), as far as they concern arguments, limits and the registry.
    ///
    /// # Safety
    ///
    /// Only the calling thread goes on in the copy. Whatever another thread had locked or half changed at the moment stays so for
    /// ever. If this process has other threads, `f` may do only what does not depend on any of it: libc's allocator may be used,
    /// and so may this crate; of everything else its author must know. What the program owns once, such as connections and files
    /// whose position counts, is owned twice afterwards.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiproc::{Process, Queue};
    ///
    /// # fn main() -> multiproc::Result<()> {
    /// let table: Vec<u64> = (0..1_000_000).collect();
    /// let found = Queue::<u64>::new()?;
    /// // SAFETY: this process has no other thread that holds anything that the closure needs.
    /// let process = unsafe {
    ///     Process::fork((&found, 7), |(found, number): (Queue<u64>, usize)| found.put(table[number]))
    /// }?;
    /// process.join()??;
    /// assert_eq!(found.try_get()?, 7);
    /// # Ok(())
    /// # }
    /// ```
    pub unsafe fn fork<F, P, A, O>(args: A, f: F) -> Result<Process<R>>
    where
        F: FnOnce(P) -> R,
        R: Outcome<O>,
        P: Parameters,
        A: Arguments<P>,
    {
        // A place in the image where no function is: nobody looks for it.
        let prepared =
            Prepared::new(ProcessBuilder::default(), (0, 0), &|out| args.encode(out, Token))?;
        let aside = prepared.set_aside()?;
        let _ = std::io::stdout().flush();
        // SAFETY: the caller vouches for what the copy does. It leaves this function by ending the process.
        match unsafe { program::fork() } {
            Err(error) => Err(prepared.cannot(error)),
            Ok(0) => {
                // Whatever is dropped from here on would belong to the parent.
                let kept = std::mem::ManuallyDrop::new((prepared, args, aside));
                end(run(&kept.0, |world, args| {
                    entry::reply(world, args, |given, args, out| {
                        let parameters = handle::unpack(given, || P::decode(args, Token))?;
                        entry::put_down(&f(parameters), out)
                    })
                }))
            }
            Ok(pid) => {
                let fd = prepared.watch(pid, aside)?;
                let child = prepared.started(pid, fd, discard::<R, O>);
                drop(args);
                Ok(Process::of(child, unpack::<R, O>))
            }
        }
    }
}

/// Joins the world and does the work, in the copy; the exit code.
fn run(prepared: &Prepared, work: impl FnOnce(&'static World, &[u8]) -> Result<Reply>) -> i32 {
    let joined = || {
        let file = prepared.descriptor()?.as_fd().try_clone_to_owned()?;
        let reserved =
            Reserved { child: prepared.child(), end_with_parent: None, has_begun: false };
        let world = world::adopt(Given::File(file), reserved)?;
        let (call, request, args) = Call::open(world, prepared.call(), prepared.child())?;
        call.take()?;
        Ok((world, call, request, args))
    };
    match joined() {
        Ok((world, call, request, args)) => {
            current::set(&request);
            work::run(call, &request.name, || work(world, &args))
        }
        Err(error) => {
            let file = prepared.descriptor().map_err(io::Error::other);
            let file = file.and_then(|file| file.as_fd().try_clone_to_owned());
            work::refuse_from_outside(file, prepared.place(), Some(prepared.child()), &error)
        }
    }
}

/// Ends the copy.
fn end(code: i32) -> ! {
    at_exit::call_all();
    world::leave_in_order();
    let _ = std::io::stdout().flush();
    program::leave(code)
}
