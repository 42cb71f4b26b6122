//! Requests and replies as bytes.
//!
//! ```text
//! request     tag, then by the tag:
//!   CALLS     the caller's channel; a part: the channel's sending end, or nothing; calls up to the end
//!   DROPPED   an object: a process has no handle to it any more
//!   LEFT      channels up to the end: a process is done with them
//! a call      object, place of the entry, its checksum; a part: the arguments
//! reply       for each call: OK or FAILED; a part: the result, or an error
//! a part      its length, its bytes
//! ```
//!
//! Everything but the bytes of parts is words of 8 bytes, little-endian. Whoever reads them checks each length.

use crate::error::{Error, ErrorKind, Result};
use crate::message;

pub(super) const CALLS: u64 = 1;
pub(super) const DROPPED: u64 = 2;
pub(super) const LEFT: u64 = 3;

const OK: u64 = 0;
const FAILED: u64 = 1;

/// The type under which requests are queued. There is no value of it: requests are written as bytes.
pub(super) enum Request {}
/// The type under which replies are sent, likewise.
pub(super) enum Reply {}

pub(super) fn put_word(out: &mut Vec<u8>, word: u64) {
    out.extend_from_slice(&word.to_le_bytes());
}

/// Appends what `write` writes, behind its length. If it fails, nothing is appended.
pub(super) fn put_part(
    out: &mut Vec<u8>,
    write: impl FnOnce(&mut Vec<u8>) -> Result<()>,
) -> Result<()> {
    let start = out.len();
    put_word(out, 0);
    write(out).inspect_err(|_| out.truncate(start))?;
    let len = (out.len() - start - 8) as u64;
    out[start..start + 8].copy_from_slice(&len.to_le_bytes());
    Ok(())
}

/// Appends the result of one call, which `run` writes, or the error that it ends with.
pub(super) fn put_result(out: &mut Vec<u8>, run: impl FnOnce(&mut Vec<u8>) -> Result<()>) {
    let start = out.len();
    put_word(out, OK);
    let Err(error) = put_part(out, run) else { return };
    out.truncate(start);
    put_word(out, FAILED);
    // An error is text and numbers: there is nothing in it that refuses. If there is no memory for it, the part is cut off, and
    // the caller says so.
    let _ = put_part(out, |out| message::encode::<Error, _>(&error, out));
}

fn cut_off() -> Error {
    Error::of(ErrorKind::Corrupted, "a message between a manager's server and its user is cut off")
}

pub(super) fn take_word(bytes: &mut &[u8]) -> Result<u64> {
    let (word, rest) = bytes.split_first_chunk().ok_or_else(cut_off)?;
    *bytes = rest;
    Ok(u64::from_le_bytes(*word))
}

pub(super) fn take_part<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8]> {
    let len = usize::try_from(take_word(bytes)?).map_err(|_| cut_off())?;
    let (part, rest) = bytes.split_at_checked(len).ok_or_else(cut_off)?;
    *bytes = rest;
    Ok(part)
}

/// Takes the result of one call off the front: its bytes, or the error that it ended with.
pub(super) fn take_result<'a>(bytes: &mut &'a [u8]) -> Result<Result<&'a [u8]>> {
    let status = take_word(bytes)?;
    let part = take_part(bytes)?;
    match status {
        OK => Ok(Ok(part)),
        FAILED => Ok(Err(message::decode::<Error>(part)?)),
        _ => Err(Error::of(
            ErrorKind::Corrupted,
            format!("a manager's server answered with status {status}, expected 0 or 1"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write_all(out: &mut Vec<u8>, bytes: &[u8]) -> Result<()> {
        out.extend_from_slice(bytes);
        Ok(())
    }

    #[test]
    fn parts_come_back_and_cut_ones_are_errors() {
        let mut bytes = Vec::new();
        put_word(&mut bytes, 7);
        put_part(&mut bytes, |out| write_all(out, b"abc")).unwrap();
        let mut rest = &bytes[..];
        assert_eq!(take_word(&mut rest).unwrap(), 7);
        assert_eq!(take_part(&mut rest).unwrap(), b"abc");
        assert!(rest.is_empty());
        for len in 8..bytes.len() {
            let mut cut = &bytes[8..len];
            assert!(take_part(&mut cut).unwrap_err().is_corrupted());
        }
        let mut long = &[0xff; 16][..];
        assert!(take_part(&mut long).unwrap_err().is_corrupted());
    }

    #[test]
    fn a_call_that_fails_leaves_its_error_and_nothing_else() {
        let mut bytes = Vec::new();
        put_result(&mut bytes, |out| {
            out.extend_from_slice(b"half");
            Err(Error::simple(ErrorKind::Full))
        });
        put_result(&mut bytes, |out| write_all(out, b"whole"));
        let mut rest = &bytes[..];
        assert!(take_result(&mut rest).unwrap().unwrap_err().is_full());
        assert_eq!(take_result(&mut rest).unwrap().unwrap(), b"whole");
        assert!(rest.is_empty());
        let mut odd = &[9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0][..];
        assert!(take_result(&mut odd).unwrap_err().is_corrupted());
    }
}
