//! The ticket: the environment variable by which a started process knows that it is a child, and what it is to find.

use std::ffi::OsStr;

use super::image;
use serde::{Deserialize, Serialize};

/// The name of the environment variable.
pub(super) const TICKET: &str = "MULTIPROC_CHILD";

/// What the variable holds, as `0.1.0@2f10 102a 100017 4000 200 9c… 0 1`: which copy of this crate wrote it ([`copy`]), then these
/// fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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
    /// Whether the child was given nothing shared, and is to run alone: `world::adopt_alone`.
    pub(super) alone: bool,
}

impl Ticket {
    pub(super) fn to_text(self) -> String {
        let Ticket { process, call, place, world, image, ends_with_parent, alone } = self;
        format!(
            "{} {process:x} {call:x} {place:x} {world:x} {image:x} {:x} {:x}",
            copy(),
            u8::from(ends_with_parent),
            u8::from(alone)
        )
    }

    /// `None` if it was made by another version of this crate, by another copy of it in this very program, or is none.
    pub(super) fn from_text(text: &OsStr) -> Option<Ticket> {
        let mut parts = text.to_str()?.split(' ');
        let (version, place) = parts.next()?.split_once('@')?;
        if version != env!("CARGO_PKG_VERSION") {
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
            alone: number()? != 0,
        };
        // In another program the same copy lies elsewhere; that the child runs one is for it to say.
        let is_of_this_copy = place == format!("{:x}", image::place_of_this_crate())
            || image::identity().ok() != Some(ticket.image);
        (is_of_this_copy && parts.next().is_none()).then_some(ticket)
    }
}

/// Any bytes, as both kinds of ticket: as such, and behind the copy, which is hard to guess.
#[cfg(feature = "testing")]
pub(crate) fn read_ticket(bytes: &[u8]) {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let behind = std::ffi::OsString::from_vec([copy().as_bytes(), b" ", bytes].concat());
    for text in [OsStr::from_bytes(bytes), &behind] {
        Ticket::from_text(text);
        ServerTicket::from_text(text);
    }
}

/// The copy of this crate: its version, and where in the program it is. Two versions of the crate in one program, or a fork of it,
/// have a hook each, and a child is for one of them.
fn copy() -> String {
    format!("{}@{:x}", env!("CARGO_PKG_VERSION"), image::place_of_this_crate())
}

/// What the variable holds for a fork server, as `0.1.0@2f10 server 28 29 200 7f1`: the copy, then these fields.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ServerTicket {
    /// The descriptors of the socket, of the page and of the world.
    pub(super) socket: u32,
    pub(super) page: u32,
    pub(super) world: u32,
    /// The number of the parent in the system.
    pub(super) parent: u32,
}

impl ServerTicket {
    pub(super) fn to_text(&self) -> String {
        let ServerTicket { socket, page, world, parent } = self;
        format!("{} server {socket:x} {page:x} {world:x} {parent:x}", copy())
    }

    /// `None` if it is the ticket of a child, was made by another copy of this crate, or is none.
    pub(super) fn from_text(text: &OsStr) -> Option<ServerTicket> {
        let rest = text.to_str()?.strip_prefix(&copy())?;
        let mut parts = rest.strip_prefix(" server ")?.split(' ');
        let mut number = || u32::from_str_radix(parts.next()?, 16).ok();
        let mut descriptor = || number().filter(|number| (3..1 << 30).contains(number));
        let (socket, page, world) = (descriptor()?, descriptor()?, descriptor()?);
        let ticket = ServerTicket { socket, page, world, parent: number()? };
        parts.next().is_none().then_some(ticket)
    }
}

/// Whether this process was started to run a function and the hook did not see it: it must not start others, or a
/// program without the hook would start itself for ever.
pub(super) fn hook_was_skipped() -> bool {
    std::env::var_os(TICKET).is_some_and(|text| {
        Ticket::from_text(&text).is_some() || ServerTicket::from_text(&text).is_some()
    })
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
            alone: true,
        };
        let text = ticket.to_text();
        assert_eq!(Ticket::from_text(text.as_ref()), Some(ticket));
        let standard = text.replace(" 200 ", " 2 ");
        // Another copy in the same program is meant; in another program it may be this one.
        let elsewhere = text.replacen('@', "@f", 1);
        assert_eq!(Ticket::from_text(elsewhere.as_ref()), Some(ticket));
        let here = Ticket { image: image::identity().unwrap(), ..ticket };
        assert_eq!(Ticket::from_text(here.to_text().as_ref()), Some(here));
        assert_eq!(Ticket::from_text(here.to_text().replacen('@', "@f", 1).as_ref()), None);
        for text in [
            "",
            " ",
            "0.0.0@1 1 2 3 4 5 1",
            &text.replacen('@', " ", 1),
            "x",
            &format!("{text} 1"),
            &text[..text.len() - 2],
            &standard,
        ] {
            assert_eq!(Ticket::from_text(text.as_ref()), None, "{text:?}");
        }
    }

    #[test]
    fn a_servers_ticket_is_read_back_and_no_childs() {
        let ticket = ServerTicket { socket: 40, page: 41, world: 3, parent: u32::MAX };
        let text = ticket.to_text();
        assert_eq!(ServerTicket::from_text(text.as_ref()), Some(ticket));
        assert_eq!(Ticket::from_text(text.as_ref()), None);
        for text in [
            "",
            "0.1.0 server",
            &text.replacen('@', "@f", 1),
            &format!("{text} 1"),
            &text.replace(" 3 ", " 2 "),
            &text[1..],
        ] {
            assert_eq!(ServerTicket::from_text(text.as_ref()), None, "{text:?}");
        }
    }
}
