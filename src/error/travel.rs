//! Errors between processes: everything but the causes' types arrives; causes become text.

use std::error::Error as StdError;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{ChildFailure, Error, ErrorKind, Inner, Repr};

/// An [`Error`] as it travels.
#[derive(Serialize, Deserialize)]
struct Wire {
    kind: ErrorKind,
    /// `None` for a simple one.
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

impl Serialize for Error {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (message, child) = match &self.0 {
            Repr::Simple(_) => (None, None),
            Repr::Full(inner) => (Some(inner.message.clone()), inner.child.clone()),
        };
        let causes = std::iter::successors(self.source(), |error| (*error).source())
            .map(ToString::to_string);
        Wire { kind: self.kind(), message, child, causes: causes.collect() }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Error {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Error, D::Error> {
        let Wire { kind, message, child, causes } = Wire::deserialize(deserializer)?;
        let Some(message) = message else {
            return Ok(Error::simple(kind));
        };
        let source = causes
            .into_iter()
            .rev()
            .fold(None, |source, text| Some(Box::new(Text { text, source })))
            .map(|text| text as Box<dyn StdError + Send + Sync>);
        Ok(Error(Repr::Full(Box::new(Inner { kind, message, child, source }))))
    }
}
