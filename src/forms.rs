//! The four forms of a call that waits.

use crate::error::{ErrorKind, Result};

/// An attempt without waiting that found nothing is `kind`, not a timeout.
pub(crate) fn tried<T>(attempt: impl FnOnce() -> Result<T>, kind: ErrorKind) -> Result<T> {
    attempt().map_err(|error| if error.is_timeout() { error.with_kind(kind) } else { error })
}

/// Makes the four forms of a call that waits: for ever, without waiting, for a time, until a moment.
///
/// The body is that of the plain form, with the deadline by name. It reports that the time is over as a timeout; the form that does
/// not wait reports the kind of error that is named here.
///
/// ```ignore
/// forms! {
///     /// Waits for the lock and takes it.
///     pub fn lock, try_lock, lock_timeout, lock_deadline(&self; until) -> LockGuard<'_> { self.lock_until(until) }
///     try: Busy, is_busy, "another thread holds it"
/// }
/// ```
macro_rules! forms {
    (
        $(#[$attribute:meta])*
        pub fn $plain:ident, $try:ident, $timeout:ident, $deadline:ident $([$($generic:tt)+])?
        (&$($lifetime:lifetime)? $($this:ident)+ $(, $argument:ident: $type:ty)*; $until:ident) -> $out:ty $body:block
        try: $kind:ident, $is_kind:ident, $why:literal
    ) => {
        $(#[$attribute])*
        #[inline]
        pub fn $plain $(<$($generic)+>)? (&$($lifetime)? $($this)+ $(, $argument: $type)*) -> $crate::error::Result<$out> {
            let $until = $crate::sys::clock::Deadline::NEVER;
            $body
        }

        #[doc = concat!("As [`", stringify!($plain), "`](Self::", stringify!($plain), "), without waiting.")]
        ///
        /// A process that is stopped in the very middle of the same object can hold up the attempt for up to 100 ms.
        ///
        /// # Errors
        ///
        #[doc = concat!("[`", stringify!($is_kind), "`](crate::Error::", stringify!($is_kind), ") if ", $why, ";")]
        #[doc = concat!("else as [`", stringify!($plain), "`](Self::", stringify!($plain), ").")]
        pub fn $try $(<$($generic)+>)? (&$($lifetime)? $($this)+ $(, $argument: $type)*) -> $crate::error::Result<$out> {
            let $until = $crate::sys::clock::Deadline::NOW;
            // In a closure, so that an early return of the body comes by here, too.
            let attempt = || -> $crate::error::Result<$out> { $body };
            $crate::forms::tried(attempt, $crate::error::ErrorKind::$kind)
        }

        #[doc = concat!("As [`", stringify!($plain), "`](Self::", stringify!($plain), "), waiting at most `timeout`.")]
        ///
        /// # Errors
        ///
        #[doc = concat!("[`is_timeout`](crate::Error::is_timeout) if ", $why, " when the time is over;")]
        #[doc = concat!("else as [`", stringify!($plain), "`](Self::", stringify!($plain), ").")]
        pub fn $timeout $(<$($generic)+>)? (
            &$($lifetime)? $($this)+ $(, $argument: $type)*, timeout: ::std::time::Duration
        ) -> $crate::error::Result<$out> {
            let $until = $crate::sys::clock::Deadline::after(timeout);
            $body
        }

        #[doc = concat!("As [`", stringify!($plain), "`](Self::", stringify!($plain), "), waiting at most until `deadline`.")]
        ///
        /// # Errors
        ///
        #[doc = concat!("As [`", stringify!($timeout), "`](Self::", stringify!($timeout), ").")]
        pub fn $deadline $(<$($generic)+>)? (
            &$($lifetime)? $($this)+ $(, $argument: $type)*, deadline: ::std::time::Instant
        ) -> $crate::error::Result<$out> {
            let $until = $crate::sys::clock::Deadline::at(deadline);
            $body
        }
    };
}

pub(crate) use forms;
