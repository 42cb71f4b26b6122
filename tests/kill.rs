//! The kill harness: any process may be SIGKILLed after any instruction, and nobody else hangs and
//! nothing is lost, doubled or torn.
//!
//! A **victim** process performs one operation under `ptrace`, one instruction at a time, and is
//! killed after the first, the second, the third … to its end, a new victim each time; then the
//! **survivors** carry out a script in a given time (`kill/scenarios.rs`). Two variants run at a
//! part of the points: the victim's thread dies some milliseconds after its process, and the victim
//! is stopped by SIGSTOP instead. In other scenarios the victim is a **witness**: it lives, and while
//! it stands after its first, second, third … instruction somebody else dies. Bounded slices, by which waits for a lock heal themselves, are off
//! but for the stopped ones: with them nothing could fail. Then deliberately broken variants run,
//! and must be caught. Kills at random moments among actors that run free are the soak's (`tests/soak/`).
//!
//! ```text
//! cargo test --test kill                      the operations and broken variants of this day, a sample of points
//! KILL=operations …                           every operation and variant, and every instruction of nearly all: one point for those
//!                                             at which a death leaves the same (kill/remains.rs); of witnesses a sample
//! KILL=all …                                  every instruction of every operation, and of witnesses
//! KILL=each …                                 the same, each instruction by itself: hours
//! KILL_ONLY=put …                             what has that in its name; an argument does the same
//! KILL_SEED=20784 …                           the day, from which chance starts; printed by each run
//! KILL_VERBOSE=1 …                            a line for each operation
//! KILL_ON_HANG=./look …                       a command that is run at each hang, before anybody is ended
//! … -- --test-threads=1                       in one process, one after the other
//! ```
//!
//! The last line, after what failed, is
//!
//! ```text
//! kill: operations=N whole=N points=N broken=N hangs=0 violations=0 failed=0 KILL_SEED=N
//! ```
//!
//! and the exit status is 1 if anything failed. Where `ptrace` is refused, and on other machines than
//! x86-64, the steps are skipped, and a line says so.
//!
//! The files, lowest first:
//!
//! - one thread under steps: `ptrace.rs`, `threads.rs`; names for addresses: `symbols.rs`; what a hang is: `patience.rs`, `group.rs`;
//! - what is said over the `board.rs`: `order.rs`, `forms.rs`; with what it is done: `props.rs`,
//!   `data.rs`;
//! - how an actor does it: `actor.rs`, `sync_verbs.rs`, `lock_verbs.rs`, `semaphore_verbs.rs`, `round_verbs.rs`,
//!   `queue_verbs.rs`, `end_verbs.rs`, `pipe_verbs.rs`, `journey_verbs.rs`, `task_verbs.rs`, `data_verbs.rs`,
//!   `value_verbs.rs`, `array_verbs.rs`, `list_verbs.rs`, `call_verbs.rs`, `make_verbs.rs`, `start_verbs.rs`;
//! - the words that scripts are written in: `resources.rs` (shared memory), `director.rs` (actors), `commands.rs` (orders), `fates.rs`
//!   (the victim), `ledger.rs` (messages), `trouble.rs` (why a point failed);
//! - the scripts: `*_scripts.rs`; the lists of them: `family.rs`, `data_family.rs`, `scenarios.rs`;
//! - one point, and which points: `stepper.rs`, `sampler.rs`, `remains.rs`; one scenario: `case.rs`; what must be
//!   caught: `broken.rs`;
//! - ways of processes that are no actors, in `walks.rs`: the fork server's in `server_loop.rs` and `spare_child.rs`, a pool's in
//!   `pool_worker.rs`;
//! - a run: `wishes.rs`, `system.rs`, `run.rs`, `jobs.rs` (some harnesses for each processor), `sums.rs`, and `watch.rs`, the
//!   watchdog over the harness itself.

// ptrace, a shared mapping and int3 cannot be had without.
#![allow(unsafe_code)]

#[cfg(all(target_arch = "x86_64", not(feature = "raw-sync")))]
#[path = "kill"]
mod harness {
    pub(crate) mod actor;
    pub(crate) mod array_verbs;
    pub(crate) mod board;
    pub(crate) mod broken;
    pub(crate) mod call_scripts;
    pub(crate) mod call_verbs;
    pub(crate) mod case;
    pub(crate) mod commands;
    pub(crate) mod data;
    pub(crate) mod data_family;
    pub(crate) mod data_scripts;
    pub(crate) mod data_verbs;
    pub(crate) mod director;
    pub(crate) mod end_scripts;
    pub(crate) mod end_verbs;
    pub(crate) mod family;
    pub(crate) mod fates;
    pub(crate) mod forms;
    pub(crate) mod group;
    pub(crate) mod jobs;
    pub(crate) mod journey_scripts;
    pub(crate) mod journey_verbs;
    pub(crate) mod ledger;
    pub(crate) mod list_verbs;
    pub(crate) mod lock_scripts;
    pub(crate) mod lock_verbs;
    pub(crate) mod make_scripts;
    pub(crate) mod make_verbs;
    pub(crate) mod once_scripts;
    pub(crate) mod order;
    pub(crate) mod part_scripts;
    pub(crate) mod patience;
    pub(crate) mod pipe_scripts;
    pub(crate) mod pipe_verbs;
    pub(crate) mod pool_worker;
    pub(crate) mod props;
    pub(crate) mod ptrace;
    pub(crate) mod queue_scripts;
    pub(crate) mod queue_verbs;
    pub(crate) mod remains;
    pub(crate) mod resources;
    pub(crate) mod round_scripts;
    pub(crate) mod round_verbs;
    pub(crate) mod run;
    pub(crate) mod sampler;
    pub(crate) mod scenarios;
    pub(crate) mod semaphore_scripts;
    pub(crate) mod semaphore_verbs;
    pub(crate) mod server_loop;
    pub(crate) mod spare_child;
    pub(crate) mod start_scripts;
    pub(crate) mod start_verbs;
    pub(crate) mod stepper;
    pub(crate) mod sums;
    pub(crate) mod symbols;
    pub(crate) mod sync_verbs;
    pub(crate) mod system;
    pub(crate) mod task_scripts;
    pub(crate) mod task_verbs;
    pub(crate) mod threads;
    pub(crate) mod trouble;
    pub(crate) mod value_verbs;
    pub(crate) mod walks;
    pub(crate) mod watch;
    pub(crate) mod wishes;
    pub(crate) mod witness_scripts;
}

#[cfg(all(target_arch = "x86_64", not(feature = "raw-sync")))]
fn main() {
    harness::run::main();
}

#[cfg(feature = "raw-sync")]
fn main() {
    println!(
        "kill: skipped (raw_sync's mutex does not survive a death at any instruction, as sys/portable.rs says)"
    );
}

#[cfg(all(not(target_arch = "x86_64"), not(feature = "raw-sync")))]
fn main() {
    println!("kill: skipped (single steps are made on x86-64 alone)");
}
