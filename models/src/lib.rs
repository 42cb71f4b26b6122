#![allow(dead_code, reason = "the models use more or less of the seams as the package changes")]
/// The models' own kind of thread-local variables, also for the package's files: this stands before them and hides the standard one.
macro_rules! thread_local {
    ($($(#[$attribute:meta])* static $name:ident: $type:ty = const $init:block;)*) => {
        $($(#[$attribute])* static $name: $crate::sim::Local<$type> = $crate::sim::Local::new(|| $init);)*
    };
}

/// The package's files of a room, whole.
macro_rules! package {
    ($room:literal) => {
        include!(concat!(env!("OUT_DIR"), "/", $room, "_modules.rs"));
    };
}

mod sim;
mod sys;
mod testing;
mod weakened;
mod world;

package!("root");

pub(crate) mod liveness {
    package!("liveness");

    pub(crate) use sleepers::Wait;
    pub(crate) use slot::{Id, PROCESSES, ProcessId};
    pub(crate) use spin::{Pauses, Rhythm};
    pub(crate) use thread::is_me;
    pub(crate) use view::Liveness;
}

pub(crate) mod raw {
    package!("raw");
}

pub(crate) mod memory {
    package!("memory");
    pub(crate) mod segments;

    pub(crate) use block::Block;
    pub(crate) use id::ObjectId;
    pub(crate) use objects::Object;
    pub(crate) use store::{Memory, MemoryTable};
}

pub(crate) mod channel {
    package!("channel");
}

#[allow(unused_imports, reason = "the package's files name them")]
pub(crate) use error::{Error, ErrorKind, Result};

pub mod checks;
