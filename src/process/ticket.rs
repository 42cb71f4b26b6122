//! The ticket: the environment variable by which a started process knows that it is a child, and what it is to find.

use std::ffi::OsStr;

/// The name of the environment variable.
pub(super) const TICKET: &str = "MULTIPROC_CHILD";

/// What the variable holds, as `0.1.0 102a 100017 4000 200 9c… 0`: the version of this crate, then these fields.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    /// The child, as the world knows it.
    pub(super) process: u32,
    /// The number of the call.
    pub(super) call: u32,
    /// Where the call stands in the file of the world, for a child that cannot join the world.
    pub(super) place: u64,
    /// The descriptor of the world.
    pub(super) world: u32,
    /// Which program the parent runs: [`image::identity`](super::image::identity).
    pub(super) image: u64,
    /// Whether the child ends when its parent has died.
    pub(super) ends_with_parent: bool,
}

impl Ticket {
    pub(super) fn to_text(&self) -> String {
        let Ticket { process, call, place, world, image, ends_with_parent } = self;
        format!(
            "{} {process:x} {call:x} {place:x} {world:x} {image:x} {:x}",
            env!("CARGO_PKG_VERSION"),
            u8::from(*ends_with_parent)
        )
    }

    /// `None` if it was made by another version of this crate, or is none.
    pub(super) fn from_text(text: &OsStr) -> Option<Ticket> {
        let mut parts = text.to_str()?.split(' ');
        if parts.next()? != env!("CARGO_PKG_VERSION") {
            return None;
        }
        let mut number = || u64::from_str_radix(parts.next()?, 16).ok();
        let ticket = Ticket {
            process: number()?.try_into().ok()?,
            call: number()?.try_into().ok()?,
            place: number()?,
            world: number()?.try_into().ok().filter(|world| (3..1 << 30).contains(world))?,
            image: number()?,
            ends_with_parent: number()? != 0,
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
        let ticket = Ticket {
            process: 0x2a,
            call: u32::MAX,
            place: 4096,
            world: 512,
            image: u64::MAX,
            ends_with_parent: true,
        };
        let text = ticket.to_text();
        assert_eq!(Ticket::from_text(text.as_ref()), Some(ticket));
        let standard = text.replace(" 200 ", " 2 ");
        for text in [
            "",
            " ",
            "0.0.0 1 2 3 4 5 1",
            "x",
            &format!("{text} 1"),
            &text[..text.len() - 2],
            &standard,
        ] {
            assert_eq!(Ticket::from_text(text.as_ref()), None, "{text:?}");
        }
    }
}
