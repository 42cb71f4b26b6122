//! The one error type of this crate.
//!
//! [`Error`] is opaque and small: a kind, a message, what happened in a child if a child is what
//! failed, and what caused it. Look at it with the predicates ([`Error::is_timeout`] and its
//! siblings) or with [`Error::kind`]. It holds no guard and no value, so that `?` works in every
//! function that returns `Box<dyn std::error::Error>` and the like.
//!
//! An error that a polling loop makes over and over (`try_get` on an empty queue) allocates nothing.
//! Errors travel between processes. On the way, causes become text: a message received is
//! `Serialize`, an arbitrary `dyn Error` is not.
//!
//! - `kind`: the kinds;
//! - `os`: which kind an error of the system has, and what helps against it;
//! - `child`: how a child process failed;
//! - `repr`: what an error consists of, behind one word;
//! - `travel`: an error on its way between processes.

mod child;
mod kind;
mod os;
mod repr;
#[cfg(test)]
mod tests;
mod travel;

use std::error::Error as StdError;
use std::fmt;

use kind::kinds;
use repr::{Inner, Repr};

pub use child::ChildFailure;
pub use kind::ErrorKind;

/// What calls of this crate return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The error of every call in this crate.
///
/// `Send + Sync + 'static`, and `Serialize + Deserialize`, so that a process function can return
/// `multiproc::Result<T>`. Causes arrive on the other side as text.
///
/// [`Display`](fmt::Display) is one line. [`Debug`](fmt::Debug) is what `fn main() -> Result<()>`
/// prints: that line, the kind, the chain of causes, and the backtrace of a child that panicked.
pub struct Error(Repr);

impl Error {
    /// Wraps any error, or a text, that comes from outside this crate.
    ///
    /// The kind is [`ErrorKind::Other`], the message that of `error`, and
    /// [`source`](StdError::source) gives `error` itself back.
    ///
    /// # Examples
    ///
    /// ```
    /// use multiproc::{Error, Result};
    ///
    /// fn port(text: &str) -> Result<u16> {
    ///     text.parse().map_err(Error::other)
    /// }
    ///
    /// let error = port("http").unwrap_err();
    /// assert!(error.is_other());
    /// assert_eq!(error.to_string(), "invalid digit found in string");
    /// ```
    pub fn other(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Error {
        let source = error.into();
        Error::of(ErrorKind::Other, source.to_string()).with_source(source)
    }

    /// The category of the error.
    #[inline]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// How the child process failed, if that is what the error is about.
    pub fn child(&self) -> Option<&ChildFailure> {
        self.0.child.as_ref()
    }

    /// An error of which only the kind is known. It allocates nothing.
    #[inline]
    pub(crate) const fn simple(kind: ErrorKind) -> Error {
        Error(Repr::simple(kind))
    }

    /// An error with a message: lower case, no full stop; what was expected, what was found, what
    /// to do.
    #[cold]
    pub(crate) fn of(kind: ErrorKind, message: impl Into<String>) -> Error {
        Error(Repr::boxed(Inner { message: Some(message.into()), ..Inner::of(kind) }))
    }

    /// The same error with a cause. A cause that was there before is replaced.
    #[cold]
    pub(crate) fn with_source(self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Error {
        Error(Repr::boxed(Inner { source: Some(source.into()), ..self.0.into_inner() }))
    }

    /// The same, saying first what it is about.
    #[cold]
    pub(crate) fn about(self, what: &str) -> Error {
        let mut inner = self.0.into_inner();
        inner.message = Some(match (inner.message.as_deref(), &inner.child) {
            (None, None) => format!("{what}: {}", inner.kind.text()),
            (None | Some(""), _) => what.to_owned(),
            (Some(message), _) => format!("{what}: {message}"),
        });
        Error(Repr::boxed(inner))
    }

    /// The same, as another kind.
    pub(crate) fn with_kind(self, kind: ErrorKind) -> Error {
        if self.0.is_simple() {
            return Error::simple(kind);
        }
        Error(Repr::boxed(Inner { kind, ..self.0.into_inner() }))
    }

    /// A child process failed.
    #[cold]
    pub(crate) fn from_child(failure: ChildFailure) -> Error {
        Error(Repr::boxed(Inner { child: Some(failure), ..Inner::of(ErrorKind::Child) }))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { kind, message, child, .. } = &*self.0;
        match (message, child) {
            (None, None) => f.write_str(kind.text()),
            (None, Some(child)) => child.fmt(f),
            (Some(message), None) => f.write_str(message),
            (Some(message), Some(child)) => write!(f, "{message}: {child}"),
        }
    }
}

/// The message, the kind in brackets, a line for each cause that says something new, and the
/// backtrace of a child that panicked. Written for people: `unwrap` and `main` print it.
impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let message = self.to_string();
        write!(f, "{message} [{:?}]", self.kind())?;
        // `os` and `other` put the text of the cause into the message: not twice.
        let mut told = message;
        let mut cause = self.source();
        while let Some(error) = cause {
            let text = error.to_string();
            if !told.contains(&text) {
                write!(f, "\n  caused by: {text}")?;
            }
            told = text;
            cause = error.source();
        }
        if let Some(backtrace) = self.child().and_then(ChildFailure::backtrace) {
            write!(f, "\n  backtrace of the child:\n{}", backtrace.trim_end())?;
        }
        Ok(())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

impl From<ErrorKind> for Error {
    /// An error with the standard text of the kind. It allocates nothing.
    fn from(kind: ErrorKind) -> Error {
        Error::simple(kind)
    }
}

macro_rules! predicates {
    ($($(#[doc = $doc:literal])+ $kind:ident, $predicate:ident, $text:literal;)+) => {
        /// One question for each [`ErrorKind`].
        impl Error {
            $(
                #[doc = concat!("Whether the kind is [`ErrorKind::", stringify!($kind), "`].")]
                #[doc = ""]
                $(#[doc = $doc])+
                #[inline]
                pub fn $predicate(&self) -> bool {
                    self.kind() == ErrorKind::$kind
                }
            )+
        }

        #[cfg(test)]
        const PREDICATES: &[fn(&Error) -> bool] = &[$(Error::$predicate,)+];
    };
}

kinds!(predicates);
