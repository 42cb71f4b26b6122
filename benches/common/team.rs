//! Processes, or threads, that start together and are measured by one clock.

use std::os::fd::OwnedFd;
use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use multiproc::{Arguments, Event, Function, Parameters, Process, Queue, Result};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::os;

/// A run that takes longer hangs.
const LIMIT: Duration = Duration::from_secs(60);

/// Where the processes of a run wait for each other.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Gate {
    arrived: Queue<u32>,
    open: Event,
}

impl Gate {
    pub(crate) fn new() -> Result<Gate> {
        Ok(Gate { arrived: Queue::new()?, open: Event::new()? })
    }

    /// In a child: goes to its processor, if it has one, waits until all are there, and says when it was let go.
    pub(crate) fn pass(&self, processor: Option<usize>) -> Result<u64> {
        os::stay_on(processor);
        self.arrived.put(0)?;
        self.open.wait()?;
        Ok(os::now())
    }
}

/// The children of one run. They are daemons: a benchmark that fails leaves none behind.
pub(crate) struct Team<R> {
    gate: Gate,
    children: Vec<Process<Result<R>>>,
}

impl<R: Serialize + DeserializeOwned> Team<R> {
    pub(crate) fn new() -> Result<Team<R>> {
        Ok(Team { gate: Gate::new()?, children: Vec::new() })
    }

    pub(crate) fn gate(&self) -> &Gate {
        &self.gate
    }

    /// One more child.
    pub(crate) fn spawn<F, P, A>(&mut self, f: F, args: A) -> Result<()>
    where
        F: Function<P, Output = Result<R>>,
        P: Parameters,
        A: Arguments<P>,
    {
        self.spawn_with(None, None, f, args)
    }

    /// One more child, with these as its standard input and output.
    pub(crate) fn spawn_with<F, P, A>(
        &mut self,
        input: Option<OwnedFd>,
        output: Option<OwnedFd>,
        f: F,
        args: A,
    ) -> Result<()>
    where
        F: Function<P, Output = Result<R>>,
        P: Parameters,
        A: Arguments<P>,
    {
        let mut builder = Process::builder().daemon(true);
        if let Some(input) = input {
            builder = builder.stdin(input);
        }
        if let Some(output) = output {
            builder = builder.stdout(output);
        }
        self.children.push(builder.spawn(f, args)?);
        Ok(())
    }

    /// Lets all go at once, and brings their results in the order in which they were spawned.
    pub(crate) fn run(self) -> Result<Vec<R>> {
        for _ in &self.children {
            self.gate.arrived.get_timeout(LIMIT)?;
        }
        self.gate.open.set();
        let mut results = Vec::new();
        for mut child in self.children {
            let result = child.join_timeout(LIMIT)?;
            results.push(result.unwrap_or_else(|| panic!("{child:?} does not end"))?);
        }
        Ok(results)
    }
}

/// What a thread is to do.
pub(crate) type Run<'a, R> = Box<dyn FnOnce() -> R + Send + 'a>;

/// What threads are to do, and on which processors.
pub(crate) type Runs<'a, R> = Vec<(Option<usize>, Run<'a, R>)>;

/// Runs each of these in a thread of its own, all at once; gives their results.
pub(crate) fn threads<'a, R: Send + 'a>(runs: Runs<'a, R>) -> Vec<R> {
    let barrier = Barrier::new(runs.len());
    let barrier = &barrier;
    thread::scope(|scope| {
        let start = |(processor, run): (Option<usize>, Run<'a, R>)| {
            scope.spawn(move || {
                os::stay_on(processor);
                barrier.wait();
                run()
            })
        };
        let handles: Vec<_> = runs.into_iter().map(start).collect();
        handles.into_iter().map(|handle| handle.join().expect("no panic")).collect()
    })
}

/// Runs this in a thread that stays on the first processor.
pub(crate) fn alone<R: Send>(run: impl FnOnce() -> R + Send) -> R {
    let [first, _] = os::two_processors();
    thread::scope(|scope| {
        let handle = scope.spawn(move || {
            os::stay_on(first);
            run()
        });
        handle.join().expect("no panic")
    })
}
