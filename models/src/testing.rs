//! The package's switches for tests, but that each model has its own.

#[allow(unused, clippy::all, reason = "the package's")]
#[path = "../../src/testing.rs"]
mod package;

pub(crate) use package::Broken;

pub(crate) fn slices() -> bool {
    crate::sim::has_slices()
}

pub(crate) fn spin() -> bool {
    false
}

pub(crate) fn polling() -> bool {
    false
}

pub(crate) fn is_broken(_: Broken) -> bool {
    false
}
