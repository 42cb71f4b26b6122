//! How a child says that it could not begin, where it has no other way than its exit code.

/// Exit code of a child that runs with raised rights.
pub(super) const RAISED_RIGHTS: i32 = 121;
/// Exit code of a child that could neither run its function nor leave an error.
pub(super) const CANNOT_TELL: i32 = 122;

/// What helps a program whose children would run with raised rights.
pub(super) const NO_RAISED_RIGHTS: &str = "a child would run with raised rights and trust nothing that it is given; start \
     processes from a program without them (for file capabilities, ambient ones can take their place), or give the rights up \
     for good, real ids included";
