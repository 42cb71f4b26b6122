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
//! and must be caught. At last comes the **soak** (`kill/soak.rs`): kills at random moments among
//! actors that run free.
//!
//! ```text
//! cargo test --release --test kill            a sample, the same each time
//! KILL=all …                                  every instruction
//! KILL_ONLY=put …                             what has that in its name; an argument does the same
//! SOAK=200 SOAK_SEED=1 …                      kills of each kind, and where chance starts
//! ```
//!
//! The last lines are
//!
//! ```text
//! soak: kills=N hangs=0 lost=0 doubled=0
//! kill: operations=N points=N hangs=0 violations=0
//! ```
//!
//! and the exit status is 1 if any of the zeroes is none. Where `ptrace` is refused, and on other
//! machines than x86-64, the steps are skipped, and a line says so.
//!
//! The files: `ptrace.rs` one thread under steps; `board.rs`, `actor.rs`, `forms.rs`, `sync_verbs.rs`
//! and `make_verbs.rs` how processes are told what to do, and do it; `director.rs` and `ledger.rs` the
//! words that scripts are written in; `lock_scripts.rs`, `semaphore_scripts.rs`, `make_scripts.rs`,
//! `witness_scripts.rs` and `queue_scripts.rs` the scripts; `family.rs` and `scenarios.rs` the lists
//! of them; `stepper.rs` one point, and which points; `run.rs` the order of events; `soak.rs`;
//! `watch.rs` the watchdog over the harness itself; `resources.rs` and `symbols.rs` what it has, and
//! names for addresses.

// ptrace, a shared mapping and int3 cannot be had without.
#![allow(unsafe_code)]

#[cfg(target_arch = "x86_64")]
#[path = "kill"]
mod harness {
    pub(crate) mod actor;
    pub(crate) mod board;
    pub(crate) mod broken;
    pub(crate) mod case;
    pub(crate) mod director;
    pub(crate) mod family;
    pub(crate) mod forms;
    pub(crate) mod ledger;
    pub(crate) mod lock_scripts;
    pub(crate) mod make_scripts;
    pub(crate) mod make_verbs;
    pub(crate) mod ptrace;
    pub(crate) mod queue_scripts;
    pub(crate) mod resources;
    pub(crate) mod run;
    pub(crate) mod sampler;
    pub(crate) mod scenarios;
    pub(crate) mod semaphore_scripts;
    pub(crate) mod soak;
    pub(crate) mod stepper;
    pub(crate) mod symbols;
    pub(crate) mod sync_verbs;
    pub(crate) mod system;
    pub(crate) mod watch;
    pub(crate) mod wishes;
    pub(crate) mod witness_scripts;
}

#[cfg(target_arch = "x86_64")]
fn main() {
    harness::run::main();
}

#[cfg(not(target_arch = "x86_64"))]
fn main() {
    println!("kill: skipped (single steps are made on x86-64 alone)");
}
