//! Errors between processes: everything but the causes' types arrives; causes become text.

use std::error::Error as StdError;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{ChildFailure, Error, ErrorKind, Inner, Repr};

/// So many causes travel. They are dropped one inside the other, and the list is read from shared memory: a long one would use up the
/// stack.
const CAUSES: usize = 64;

/// An [`Error`] as it travels.
#[derive(Serialize, Deserialize)]
struct Wire {
    kind: ErrorKind,
    message: Option<String>,
    child: Option<ChildFailure>,
    /// The nearest cause first.
    causes: Vec<String>,
}

/// A cause that came from another process: its text is left, its type is not.
#[derive(Debug)]
struct Text {
    text: String,
    source: Option<Box<Text>>,
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl StdError for Text {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

impl Wire {
    fn of(error: &Error) -> Wire {
        let Inner { message, child, .. } = &*error.0;
        let (message, child) = (message.clone(), child.clone());
        let causes = std::iter::successors(error.source(), |error| (*error).source())
            .take(CAUSES)
            .map(ToString::to_string);
        Wire { kind: error.kind(), message, child, causes: causes.collect() }
    }

    fn arrive(self) -> Error {
        let Wire { kind, message, child, causes } = self;
        if message.is_none() && child.is_none() && causes.is_empty() {
            return Error::simple(kind);
        }
        let source = causes
            .into_iter()
            .take(CAUSES)
            .rev()
            .fold(None, |source, text| Some(Box::new(Text { text, source })))
            .map(|text| text as Box<dyn StdError + Send + Sync>);
        Error(Repr::boxed(Inner { message, child, source, ..Inner::of(kind) }))
    }
}

impl Error {
    /// The same error once more, as another process would get it.
    pub(crate) fn again(&self) -> Error {
        Wire::of(self).arrive()
    }
}

impl Serialize for Error {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Wire::of(self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Error {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Error, D::Error> {
        Wire::deserialize(deserializer).map(Wire::arrive)
    }
}
