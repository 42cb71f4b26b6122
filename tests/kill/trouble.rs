//! Why a point failed.

/// Why a point failed.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// Somebody who must finish did not.
    Hang(String),
    /// Somebody finished with the wrong result.
    Violation(String),
    /// The harness itself could not go on.
    Fault(String),
}

impl From<std::io::Error> for Trouble {
    fn from(error: std::io::Error) -> Self {
        Self::Fault(format!("tracing: {error}"))
    }
}

impl From<multiproc::Error> for Trouble {
    fn from(error: multiproc::Error) -> Self {
        Self::Fault(format!("setting up: {error}"))
    }
}

pub(crate) type Outcome<T = ()> = Result<T, Trouble>;
