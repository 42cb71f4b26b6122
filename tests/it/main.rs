//! What the crate promises, tried through its public surface: in one process, between threads, and between processes that
//! are killed.
//!
//! Nothing here waits for a length of time and hopes. Processes tell each other with the primitives how far they are; where
//! the state "asleep" is needed, `/proc` is asked until it says so. Tests that need a process tree, limits or a world of
//! their own run the test binary once more (`common::alone`). A watchdog ends a run that hangs, and names the test.
//!
//! With the feature `raw-sync` it is the synchronisation suite alone, over the portable backend (`sys/portable.rs`). What is left out
//! is about other objects, counts the kernel's wakes, scribbles over everything, or kills at an instruction.

#[cfg(not(feature = "raw-sync"))]
mod bad_input;
mod barrier;
#[cfg_attr(feature = "raw-sync", allow(unused, reason = "some is for what is left out"))]
mod common;
mod condition;
#[cfg(not(feature = "raw-sync"))]
mod ends;
mod event;
#[cfg(not(feature = "raw-sync"))]
mod fallback;
#[cfg(not(feature = "raw-sync"))]
mod faults;
mod fork;
#[cfg(not(feature = "raw-sync"))]
mod joinable;
mod layers;
mod lock;
#[cfg(not(feature = "raw-sync"))]
mod manager;
mod pages;
#[cfg(not(feature = "raw-sync"))]
mod pipe;
#[cfg(not(feature = "raw-sync"))]
mod pool;
#[cfg(not(feature = "raw-sync"))]
mod process;
mod proof;
#[cfg(not(feature = "raw-sync"))]
mod python;
#[cfg(not(feature = "raw-sync"))]
mod queue;
mod raw;
mod rlock;
#[cfg(not(feature = "raw-sync"))]
mod rules;
#[cfg_attr(feature = "raw-sync", allow(unused, reason = "some is for what is left out"))]
mod semaphore;
#[cfg(not(feature = "raw-sync"))]
mod shared;
#[cfg(not(feature = "raw-sync"))]
mod signals;
mod surface;
mod watchdog;
mod words;
#[cfg(not(feature = "raw-sync"))]
mod world;
