//! Requests and replies as bytes.
//!
//! ```text
//! request     tag, then by the tag:
//!   CALLS     the caller's channel; a part: the channel's sending end, or nothing; calls up to the end
//!   DROPPED   an object: a process has no handle to it any more
//!   LEFT      channels up to the end: a process is done with them
//! a call      how many bytes of arguments; object, place of the entry, its checksum; the arguments
//!             or, if it is the call before with other arguments: how many bytes, with SAME; the arguments
//! reply       for each call: how many bytes, with FAILED for an error; the result or the error
//! a part      its length, its bytes
//! ```
//!
//! Everything but arguments, results and the bytes of parts is words of 8 bytes, little-endian. Whoever reads them checks each
//! length.

use crate::error::{Error, ErrorKind, Result};
use crate::message;

pub(super) const CALLS: u64 = 1;
pub(super) const DROPPED: u64 = 2;
pub(super) const LEFT: u64 = 3;

/// In the word before the arguments of a call: its target is that of the call before.
const SAME: u64 = 1 << 63;
/// In the word before a result: it is an error.
const FAILED: u64 = 1 << 63;

/// The type under which requests are queued. There is no value of it: requests are written as bytes.
pub(super) enum Request {}
/// The type under which replies are sent, likewise.
pub(super) enum Reply {}

#[inline]
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
    put_behind(out, start, 0, write)
}

/// What a call is about, and what it does there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) object: u64,
    /// Where the function's entry lies, and its checksum.
    pub(super) entry: (u64, u64),
}

/// Appends a call, whose arguments `write` writes; without a target, that of the call before is meant. If it fails, nothing is
/// appended.
#[inline]
pub(super) fn put_call(
    out: &mut Vec<u8>,
    target: Option<Target>,
    write: impl FnOnce(&mut Vec<u8>) -> Result<()>,
) -> Result<()> {
    let start = out.len();
    let Some(Target { object, entry: (offset, sum) }) = target else {
        put_word(out, 0);
        return put_behind(out, start, SAME, write);
    };
    let words = [0, object, offset, sum].map(u64::to_le_bytes);
    out.extend_from_slice(words.as_flattened());
    put_behind(out, start, 0, write)
}

/// Appends what `write` writes, and makes the word at `start` its length, with `flag`.
#[inline]
fn put_behind(
    out: &mut Vec<u8>,
    start: usize,
    flag: u64,
    write: impl FnOnce(&mut Vec<u8>) -> Result<()>,
) -> Result<()> {
    let from = out.len();
    write(out).inspect_err(|_| out.truncate(start))?;
    let word = (out.len() - from) as u64 | flag;
    out[start..start + 8].copy_from_slice(&word.to_le_bytes());
    Ok(())
}

/// Appends the result of one call, which `run` writes, or the error that it ends with.
#[inline]
pub(super) fn put_result(out: &mut Vec<u8>, run: impl FnOnce(&mut Vec<u8>) -> Result<()>) {
    let start = out.len();
    put_word(out, 0);
    if let Err(error) = put_behind(out, start, 0, run) {
        put_error(out, &error);
    }
}

#[cold]
fn put_error(out: &mut Vec<u8>, error: &Error) {
    let start = out.len();
    put_word(out, FAILED);
    // An error is text and numbers: there is nothing in it that refuses. Without memory for it, the caller finds an error that
    // cannot be read.
    if put_behind(out, start, FAILED, |out| message::encode::<Error, _>(error, out)).is_err() {
        put_word(out, FAILED);
    }
}

#[cold]
pub(super) fn cut_off() -> Error {
    Error::of(ErrorKind::Corrupted, "a message between a manager's server and its user is cut off")
}

#[inline]
pub(super) fn take_word(bytes: &mut &[u8]) -> Result<u64> {
    let (word, rest) = bytes.split_first_chunk().ok_or_else(cut_off)?;
    *bytes = rest;
    Ok(u64::from_le_bytes(*word))
}

pub(super) fn take_part<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8]> {
    let len = take_word(bytes)?;
    take_bytes(bytes, len)
}

#[inline]
fn take_bytes<'a>(bytes: &mut &'a [u8], len: u64) -> Result<&'a [u8]> {
    let len = usize::try_from(len).map_err(|_| cut_off())?;
    let (part, rest) = bytes.split_at_checked(len).ok_or_else(cut_off)?;
    *bytes = rest;
    Ok(part)
}

/// Takes a call off the front: its target, unless it is that of the call before, and its arguments.
#[inline]
pub(super) fn take_call<'a>(bytes: &mut &'a [u8]) -> Result<(Option<Target>, &'a [u8])> {
    let word = take_word(bytes)?;
    if word & SAME != 0 {
        return Ok((None, take_bytes(bytes, word & !SAME)?));
    }
    let object = take_word(bytes)?;
    let entry = (take_word(bytes)?, take_word(bytes)?);
    Ok((Some(Target { object, entry }), take_bytes(bytes, word)?))
}

/// Leaves the result of one call out.
#[inline]
pub(super) fn skip_result(bytes: &mut &[u8]) -> Result<()> {
    let word = take_word(bytes)?;
    take_bytes(bytes, word & !FAILED).map(drop)
}

/// Takes the result of one call off the front: its bytes, or the error that it ended with.
#[inline]
pub(super) fn take_result<'a>(bytes: &mut &'a [u8]) -> Result<Result<&'a [u8]>> {
    let word = take_word(bytes)?;
    let result = take_bytes(bytes, word & !FAILED)?;
    if word & FAILED == 0 {
        return Ok(Ok(result));
    }
    Ok(Err(message::decode::<Error>(result)?))
}

/// Any bytes, as calls and as results, to their end.
#[cfg(feature = "testing")]
pub(crate) fn read_anything(bytes: &[u8]) {
    let (mut calls, mut results, mut skipped, mut parts) = (bytes, bytes, bytes, bytes);
    while !calls.is_empty() && take_call(&mut calls).is_ok() {}
    while !results.is_empty() && take_result(&mut results).is_ok() {}
    while !skipped.is_empty() && skip_result(&mut skipped).is_ok() {}
    while !parts.is_empty() && take_part(&mut parts).is_ok() {}
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
        let mut odd = &[0xff; 8][..];
        assert!(take_result(&mut odd).unwrap_err().is_corrupted());
    }

    #[test]
    fn calls_come_back_and_cut_ones_are_errors() {
        let target = Target { object: 1, entry: (2, 3) };
        let mut bytes = Vec::new();
        put_call(&mut bytes, Some(target), |out| write_all(out, b"first")).unwrap();
        let first = bytes.len();
        let refused = put_call(&mut bytes, None, |out| {
            out.push(1);
            Err(Error::simple(ErrorKind::Encode))
        });
        assert!(refused.unwrap_err().is_encode() && bytes.len() == first);
        put_call(&mut bytes, None, |out| write_all(out, b"second")).unwrap();
        let mut rest = &bytes[..];
        assert_eq!(take_call(&mut rest).unwrap(), (Some(target), &b"first"[..]));
        assert_eq!(take_call(&mut rest).unwrap(), (None, &b"second"[..]));
        assert!(rest.is_empty());
        for len in (0..first).chain(first + 1..bytes.len()) {
            let mut cut = &bytes[..len];
            let calls = [take_call(&mut cut), take_call(&mut cut)];
            let errors = calls.into_iter().filter_map(Result::err);
            assert!(errors.last().is_some_and(|error| error.is_corrupted()), "{len}");
        }
    }
}
