//! What the crate promises, tried through its public surface: in one process, between threads, and between processes that
//! are killed.
//!
//! Nothing here waits for a length of time and hopes. Processes tell each other with the primitives how far they are; where
//! the state "asleep" is needed, `/proc` is asked until it says so. Tests that need a process tree, limits or a world of
//! their own run the test binary once more (`common::alone`). A watchdog ends a run that hangs, and names the test.

mod bad_input;
mod barrier;
mod common;
mod condition;
mod ends;
mod event;
mod fallback;
mod faults;
mod fork;
mod joinable;
mod layers;
mod lock;
mod manager;
mod pages;
mod pipe;
mod pool;
mod process;
mod python;
mod queue;
mod raw;
mod rlock;
mod rules;
mod semaphore;
mod shared;
mod signals;
mod watchdog;
mod words;
mod world;
