//! The report of a stack overflow in a child that was started as a program, of which there is none: a copy of this process has the
//! report of Rust's own start.

pub(crate) fn report() {}

pub(crate) fn report_in_this_thread() {}
