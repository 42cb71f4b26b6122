//! The kinds of errors: declared once, with their documentation, predicates and standard texts.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Calls a macro with all kinds: the variant with its documentation, its predicate, its standard text.
macro_rules! kinds {
    ($call:ident) => {
        $call! {
            /// The time given to the call ran out. Nothing was done.
            Timeout, is_timeout, "timed out";
            /// Somebody else holds it at the moment, and the call was one that does not wait.
            Busy, is_busy, "held by somebody else at the moment: wait for it or try again";
            /// There is no room at the moment.
            Full, is_full, "full: no room for another item at the moment";
            /// There is nothing to take at the moment.
            Empty, is_empty, "empty: no item at the moment";
            /// The other side is gone, or the object was closed. It will not change any more.
            Closed, is_closed, "closed: the other side is gone, or it was closed on purpose";
            /// The process or thread that held the lock died. `recover` takes the lock.
            OwnerDied, is_owner_died, "the process or thread that held the lock died; the data it guarded \
                may be half written: call recover() to take the lock and repair it";
            /// The barrier is broken: a party died or was too late, or somebody aborted or reset it.
            Broken, is_broken, "the barrier is broken: a party died or was too late, or somebody aborted \
                or reset it; call reset() to use it again";
            /// Shared memory holds what this crate never writes.
            Corrupted, is_corrupted, "the shared memory holds what is never written there: stop using it \
                and make it anew";
            /// The calling thread already holds what it asks for and would wait for itself.
            Deadlock, is_deadlock, "this thread holds the lock already and would wait for itself";
            /// The calling thread already has the data borrowed through a guard.
            AlreadyBorrowed, is_already_borrowed, "this thread has the data borrowed already: drop its \
                guard first";
            /// The object or the record is of another kind, type, version or size than was asked for.
            Mismatch, is_mismatch, "it is not of the kind, type or size that was asked for";
            /// A message or an object is larger than what is to hold it can ever be.
            TooLarge, is_too_large, "too large for what is to hold it";
            /// There is no memory left for it.
            OutOfMemory, is_out_of_memory, "out of memory: free some, or raise the limit of the control \
                group or of the object";
            /// A limit on descriptors, processes, threads or sizes is reached. The message says which one
            /// and how to raise it.
            Limit, is_limit, "a limit of the system or of the object is reached";
            /// Nothing has that name.
            NotFound, is_not_found, "not found";
            /// Something has that name already.
            AlreadyExists, is_already_exists, "it exists already";
            /// The system does not allow it to this process.
            PermissionDenied, is_permission_denied, "permission denied";
            /// An argument makes no sense. The message says which one and why.
            InvalidInput, is_invalid_input, "an argument is not valid";
            /// A value could not be turned into a message. Nothing of it was sent.
            Encode, is_encode, "the value cannot be turned into a message";
            /// A message could not be turned back into a value of the type asked for.
            Decode, is_decode, "the message cannot be turned into a value of the type asked for";
            /// The system, or this version of the crate, cannot do that.
            Unsupported, is_unsupported, "not supported by this system or by this version";
            /// The object belongs to another process or tree of processes: it was inherited over a fork,
            /// or a handle was serialised outside its world.
            Foreign, is_foreign, "it belongs to another process: an object inherited over a fork, or a \
                handle serialised outside its tree of processes; pass it in the arguments of a process, \
                or through a queue";
            /// A process could not be started.
            Spawn, is_spawn, "the process could not be started";
            /// A child process failed: it panicked, was killed, or ended without a result.
            /// [`Error::child`](crate::Error::child) has the details.
            Child, is_child, "the child process failed";
            /// The system refused an operation for a reason that has no kind of its own.
            Io, is_io, "an operation of the system failed";
            /// An error from outside this crate, wrapped by [`Error::other`](crate::Error::other).
            Other, is_other, "another error";
        }
    };
}

pub(super) use kinds;

macro_rules! declare {
    ($($(#[doc = $doc:literal])+ $kind:ident, $predicate:ident, $text:literal;)+) => {
        /// The category of an [`Error`](crate::Error).
        ///
        /// Its [`Display`](fmt::Display) is the text that an error of the kind carries when
        /// nothing more is known.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum ErrorKind {
            $($(#[doc = $doc])+ $kind,)+
        }

        impl ErrorKind {
            /// The message of an error of which only the kind is known.
            pub(super) const fn text(self) -> &'static str {
                match self {
                    $(ErrorKind::$kind => $text,)+
                }
            }

            #[cfg(test)]
            pub(super) const ALL: &[ErrorKind] = &[$(ErrorKind::$kind,)+];
        }
    };
}

kinds!(declare);

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.text())
    }
}
