//! Processes: starting them with a function, watching them, bringing results back.
//!
//! - `function`: what can run elsewhere, and how arguments become bytes;
//! - `image`: the main executable in memory;
//! - `call`: the record of one call in shared memory;
//! - `entry`: what stands for a function in the image;
//! - `ticket`: what a child is told in its environment;
//! - `hook`: the start-up hook, which makes a process a child;
//! - `at_exit`: what is called when a process ends in order;
//! - `work`: what a child does with its call;
//! - `panic`: what a child does with a panic; `ending`: how a child says that it could not begin;
//! - `forked`: a process that is a copy of this one;
//! - `fork_server`: the clean process that forks children on request;
//! - `join`: a started process, and its result;
//! - `builder`: what can be set about a process; `method`: how it can be started;
//! - `spawn`: starting it; `execute`: what it executes, and by which method;
//! - `child`: one child, and its exit status;
//! - `children`: those of this process, the reaper, the end of the program;
//! - `handle`: watching and signalling;
//! - `task`: functions with arguments that other rooms have run;
//! - `current`: who this process is.

mod at_exit;
mod builder;
mod call;
mod child;
mod children;
mod current;
mod ending;
mod entry;
mod execute;
mod fork_server;
mod forked;
mod function;
mod handle;
mod hook;
mod image;
mod join;
mod method;
mod panic;
mod spawn;
mod task;
mod ticket;
mod work;

pub use at_exit::at_exit;
pub use builder::ProcessBuilder;
pub(crate) use children::is_ending;
pub use current::{CurrentProcess, cpu_count, current_process, parent_process};
pub(crate) use entry::{Entry, Output, Target, hand_over, taken_over};
#[cfg(feature = "testing")]
pub(crate) use fork_server::read_request;
pub use function::{Arguments, Function, Outcome, Parameters, Run};
pub(crate) use function::{
    encode as encode_result, private, put as put_argument, take as take_argument,
};
pub use handle::{ProcessHandle, active_children};
pub use hook::init;
pub use join::Process;
pub use method::StartMethod;
pub(crate) use task::{Task, TaskName, arguments, panicked, result};
#[cfg(feature = "testing")]
pub(crate) use ticket::read_ticket;
