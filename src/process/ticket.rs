//! The ticket: the environment variable by which a started process knows that it is a child, and what it is to find.

use std::ffi::OsStr;

/// The environment variable by which a child knows that it is one.
pub(super) const TICKET: &str = "MULTIPROC_CHILD";

/// The descriptor of the world has this number in every child.
pub(super) const WORLD_FD: i32 = 3;

/// What the environment variable holds, `0.1.0 102a 100017 9c…`: version, process, call, identity of the image.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    pub(super) process: u32,
    pub(super) call: u32,
    pub(super) image: u64,
}

impl Ticket {
    pub(super) fn to_text(&self) -> String {
        let Ticket { process, call, image } = self;
        format!("{} {process:x} {call:x} {image:x}", env!("CARGO_PKG_VERSION"))
    }

    /// `None` if it was made by another version of this crate, or is none.
    pub(super) fn from_text(text: &OsStr) -> Option<Ticket> {
        let mut parts = text.to_str()?.split(' ');
        if parts.next()? != env!("CARGO_PKG_VERSION") {
            return None;
        }
        let ticket = Ticket {
            process: u32::from_str_radix(parts.next()?, 16).ok()?,
            call: u32::from_str_radix(parts.next()?, 16).ok()?,
            image: u64::from_str_radix(parts.next()?, 16).ok()?,
        };
        parts.next().is_none().then_some(ticket)
    }
}

/// Whether this process was started to run a function and the hook did not see it: it must not start others, or a
/// program without the hook would start itself for ever.
pub(super) fn hook_was_skipped() -> bool {
    std::env::var_os(TICKET).is_some_and(|text| Ticket::from_text(&text).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_read_back_and_others_are_not() {
        let ticket = Ticket { process: 0x2a, call: u32::MAX, image: u64::MAX };
        let text = ticket.to_text();
        assert_eq!(Ticket::from_text(text.as_ref()), Some(ticket));
        for text in ["", " ", "0.0.0 1 2 3", "x", &format!("{text} 1"), &text[..text.len() - 17]] {
            assert_eq!(Ticket::from_text(text.as_ref()), None, "{text:?}");
        }
    }
}
