//! The forms of a call: a number in an order, and a word in the name of a scenario.
//!
//! Most calls that wait have eight: for ever, for a time, until a moment, not at all; and the same
//! with an owned guard or permit. For a scenario it makes two of one whether the time is long enough
//! or runs out.

use std::time::{Duration, Instant};

use multiproc::Error;

macro_rules! forms {
    ($($(#[$doc:meta])* $form:ident = $number:expr, $name:literal;)*) => {
        $($(#[$doc])* pub(crate) const $form: u64 = $number;)*

        /// What the name of a scenario says of a form.
        pub(crate) fn name(form: u64) -> &'static str {
            match form {
                $($form => $name,)*
                _ => "",
            }
        }
    };
}

forms! {
    /// Waits for ever.
    PLAIN = 0, "";
    /// Waits long enough.
    TIMEOUT = 1, "timeout";
    DEADLINE = 2, "deadline";
    /// The time runs out.
    BRIEF = 3, "timeout";
    BRIEF_DEADLINE = 4, "deadline";
    /// Does not wait.
    TRY = 5, "try";
    /// This bit: gives an owned guard or permit; and what it was asked of is one.
    OWNED = 8, "owned";
    OWNED_TIMEOUT = OWNED | TIMEOUT, "owned_timeout";
    OWNED_DEADLINE = OWNED | DEADLINE, "owned_deadline";
    OWNED_BRIEF = OWNED | BRIEF, "owned_timeout";
    OWNED_BRIEF_DEADLINE = OWNED | BRIEF_DEADLINE, "owned_deadline";
    OWNED_TRY = OWNED | TRY, "owned_try";
    /// Questions.
    IS_LOCKED = 16, "is_locked";
    OWNER = 17, "owner";
    DEPTH = 18, "depth";
    IS_SET = 19, "is_set";
    DEBUG = 20, "debug";
    /// Of the guard or permit that is held.
    DEBUG_HELD = 21, "debug_guard";
    DEBUG_OWNED = OWNED | DEBUG_HELD, "debug_owned_guard";
    /// What is done to objects themselves.
    NEW = 32, "new";
    CLONE = 33, "clone";
    DROP = 34, "drop";
}

/// Whether it differs from another form by a handle, or by how a moment is told, and no more; or is a
/// question. The sample has fewer points of these.
pub(crate) fn is_minor(form: u64) -> bool {
    matches!(form, DEADLINE | BRIEF_DEADLINE) || form > OWNED && form < NEW
}

/// Whether it is about owned guards or permits.
pub(crate) fn is_owned(form: u64) -> bool {
    form & OWNED != 0
}

/// How long a form waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Time {
    pub(crate) timeout: Duration,
    pub(crate) deadline: Instant,
}

impl Time {
    const LONG: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(8);

    pub(crate) fn of(form: u64) -> Self {
        let timeout = if runs_out(form) { Self::SHORT } else { Self::LONG };
        Self { timeout, deadline: Instant::now() + timeout }
    }
}

fn runs_out(form: u64) -> bool {
    matches!(form & !OWNED, BRIEF | BRIEF_DEADLINE)
}

/// Whether a call in this form may be refused so: what is taken is busy, or the time is over.
pub(crate) fn is_refusal(form: u64, error: &Error) -> bool {
    match form & !OWNED {
        TRY => error.is_busy(),
        _ => runs_out(form) && error.is_timeout(),
    }
}

/// Makes the call that a form says.
macro_rules! call {
    (
        $object:ident, $form:expr, $time:ident:
        $plain:ident, $timeout:ident, $deadline:ident $(, $try:ident)?
    ) => {
        match $form & !$crate::harness::forms::OWNED {
            $crate::harness::forms::TIMEOUT | $crate::harness::forms::BRIEF => {
                $object.$timeout($time.timeout)
            }
            $crate::harness::forms::DEADLINE | $crate::harness::forms::BRIEF_DEADLINE => {
                $object.$deadline($time.deadline)
            }
            $($crate::harness::forms::TRY => $object.$try(),)?
            _ => $object.$plain(),
        }
    };
    (
        $object:ident, $form:expr, $time:ident:
        $plain:ident, $timeout:ident, $deadline:ident, $try:ident; $($argument:expr),+
    ) => {
        match $form {
            $crate::harness::forms::TIMEOUT | $crate::harness::forms::BRIEF => {
                $object.$timeout($($argument,)+ $time.timeout)
            }
            $crate::harness::forms::DEADLINE | $crate::harness::forms::BRIEF_DEADLINE => {
                $object.$deadline($($argument,)+ $time.deadline)
            }
            $crate::harness::forms::TRY => $object.$try($($argument),+),
            _ => $object.$plain($($argument),+),
        }
    };
}

pub(crate) use call;
