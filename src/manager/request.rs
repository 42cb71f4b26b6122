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
//! a part      how many bytes; its bytes
//! ```
//!
//! How many bytes is a number as [`length`] writes it; of calls and results it is doubled, and the flag is its lowest bit. It may be
//! REST for a request's only call, and for the last result. Everything else but arguments, results and the bytes of parts is words
//! of 8 bytes, little-endian. Whoever reads them checks each length.

use crate::error::{Error, ErrorKind, Result};
use crate::message::{self, length};

pub(super) const CALLS: u64 = 1;
pub(super) const DROPPED: u64 = 2;
pub(super) const LEFT: u64 = 3;

/// With the length of a call's arguments: its target is that of the call before.
const SAME: u64 = 1;
/// With the length of a result: it is an error.
const FAILED: u64 = 1;

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
    let start = length::begin(out);
    write(out).inspect_err(|_| out.truncate(start))?;
    let len = length::since(out, start);
    length::end(out, start, len);
    Ok(())
}

/// What a call is about, and what it does there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) object: u64,
    /// Where the function's entry lies, and its checksum.
    pub(super) entry: (u64, u64),
}

impl Target {
    #[inline]
    fn put(self, out: &mut Vec<u8>) {
        let words = [self.object, self.entry.0, self.entry.1].map(u64::to_le_bytes);
        out.extend_from_slice(words.as_flattened());
    }

    #[inline]
    fn take(bytes: &mut &[u8]) -> Result<Target> {
        let (words, rest) = bytes.split_first_chunk::<24>().ok_or_else(cut_off)?;
        let ([object, offset, sum], _) = words.as_chunks() else { return Err(cut_off()) };
        *bytes = rest;
        let [object, offset, sum] = [object, offset, sum].map(|word| u64::from_le_bytes(*word));
        Ok(Target { object, entry: (offset, sum) })
    }
}

/// Appends the only call of a request, whose arguments `write` writes.
pub(super) fn put_only_call(
    out: &mut Vec<u8>,
    target: Target,
    write: impl FnOnce(&mut Vec<u8>) -> Result<()>,
) -> Result<()> {
    out.push(length::REST);
    target.put(out);
    write(out)
}

/// Appends a call, whose arguments `write` writes; without a target, that of the call before is meant. If it fails, nothing is
/// appended.
#[inline]
pub(super) fn put_call(
    out: &mut Vec<u8>,
    target: Option<Target>,
    write: impl FnOnce(&mut Vec<u8>) -> Result<()>,
) -> Result<()> {
    let start = length::begin(out);
    let flag = target.map_or(SAME, |target| {
        target.put(out);
        0
    });
    put_behind(out, start, flag, write)
}

/// Appends what `write` writes, and makes the number at `start` its length, with `flag`. If it fails, all from `start` on is gone.
#[inline]
fn put_behind(
    out: &mut Vec<u8>,
    start: usize,
    flag: u64,
    write: impl FnOnce(&mut Vec<u8>) -> Result<()>,
) -> Result<()> {
    let from = out.len();
    write(out).inspect_err(|_| out.truncate(start))?;
    let len = (out.len() - from) as u64;
    length::end(out, start, len << 1 | flag);
    Ok(())
}

/// Appends the result of one call, which `run` writes, or the error that it ends with.
#[inline]
fn put_result(out: &mut Vec<u8>, is_last: bool, run: impl FnOnce(&mut Vec<u8>) -> Result<()>) {
    let start = length::begin(out);
    let put = if is_last {
        out[start] = length::REST;
        run(out).inspect_err(|_| out.truncate(start))
    } else {
        put_behind(out, start, 0, run)
    };
    if let Err(error) = put {
        put_error(out, &error);
    }
}

/// Appends the error that a call ended with.
#[cold]
pub(super) fn put_error(out: &mut Vec<u8>, error: &Error) {
    // An error is text and numbers: there is nothing in it that refuses. Without memory for it, the caller finds an error that
    // cannot be read.
    let start = length::begin(out);
    if put_behind(out, start, FAILED, |out| message::encode::<Error, _>(error, out)).is_err() {
        length::put(out, FAILED);
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
    let len = length::take(bytes).ok_or_else(cut_off)?;
    length::take_part(bytes, len).ok_or_else(cut_off)
}

/// Takes the number off the front that says how long the part behind it is, and its flag; the length is `None` for the rest.
#[inline]
fn take_len(bytes: &mut &[u8]) -> Result<(Option<u64>, u64)> {
    if let Some(number) = length::take(bytes) {
        return Ok((Some(number >> 1), number & 1));
    }
    match bytes.split_first() {
        Some((&length::REST, rest)) => {
            *bytes = rest;
            Ok((None, 0))
        }
        _ => Err(cut_off()),
    }
}

/// Takes so many bytes off the front, or all.
#[inline]
fn take_bytes<'a>(bytes: &mut &'a [u8], len: Option<u64>) -> Result<&'a [u8]> {
    match len {
        Some(len) => length::take_part(bytes, len).ok_or_else(cut_off),
        None => Ok(std::mem::take(bytes)),
    }
}

/// Takes the result of one call off the front: its bytes, and whether they are the error that it ended with.
#[inline]
pub(super) fn take_result<'a>(bytes: &mut &'a [u8]) -> Result<(&'a [u8], bool)> {
    let (len, flag) = take_len(bytes)?;
    Ok((take_bytes(bytes, len)?, flag == FAILED))
}

/// The error that a call ended with.
#[cold]
pub(super) fn error_of(bytes: &[u8]) -> Error {
    message::decode::<Error>(bytes).unwrap_or_else(|undecodable| undecodable)
}

/// The calls of a request, and where their results go: a walk over the targets, and at each of them over the calls of it.
pub(super) struct Calls<'a> {
    /// What has not been taken off.
    rest: &'a [u8],
    /// The arguments of a call that was taken off and not begun.
    at_hand: Option<&'a [u8]>,
    out: &'a mut Vec<u8>,
    /// Where the result of the call that was begun last is to stand.
    start: usize,
    count: usize,
}

impl<'a> Calls<'a> {
    pub(super) fn of(calls: &'a [u8], out: &'a mut Vec<u8>) -> Calls<'a> {
        Calls { rest: calls, at_hand: None, out, start: 0, count: 0 }
    }

    /// How many calls were begun.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// What the next call is about; an error if it does not say so. To be asked when the calls before it were run.
    pub(super) fn next_target(&mut self) -> Option<Result<Target>> {
        if self.rest.is_empty() {
            return None;
        }
        let target = self.take_call();
        if target.is_err() {
            self.rest = &[];
            self.at_hand = Some(&[]);
        }
        Some(target)
    }

    fn take_call(&mut self) -> Result<Target> {
        let (len, flag) = take_len(&mut self.rest)?;
        if flag == SAME {
            // There is none before it.
            return Err(cut_off());
        }
        let target = Target::take(&mut self.rest)?;
        self.at_hand = Some(take_bytes(&mut self.rest, len)?);
        Ok(target)
    }

    /// The arguments of the next call of the same target.
    #[inline]
    fn next_of_target(&mut self) -> Option<&'a [u8]> {
        if let Some(args) = self.at_hand.take() {
            return Some(args);
        }
        // What cannot be read stays, and is the next call.
        let mut rest = self.rest;
        let number = length::take(&mut rest).filter(|number| number & 1 == SAME)?;
        let args = length::take_part(&mut rest, number >> 1)?;
        self.rest = rest;
        Some(args)
    }

    /// Runs all calls of the target, one after the other: `run` is given the arguments of each, and appends its result. After a
    /// panic in it, [`fail`](Calls::fail) and this again go on with the next one.
    #[inline]
    pub(super) fn each(&mut self, mut run: impl FnMut(&[u8], &mut Vec<u8>) -> Result<()>) {
        while let Some(args) = self.next_of_target() {
            (self.start, self.count) = (self.out.len(), self.count + 1);
            put_result(self.out, self.rest.is_empty(), |out| run(args, out));
        }
    }

    /// The call that was begun last ended with this error.
    #[cold]
    pub(super) fn fail(&mut self, error: &Error) {
        self.out.truncate(self.start);
        put_error(self.out, error);
    }
}

/// Any bytes, as calls and as results, to their end.
#[cfg(feature = "testing")]
pub(crate) fn read_anything(bytes: &[u8]) {
    let mut answers = Vec::new();
    let mut calls = Calls::of(bytes, &mut answers);
    while calls.next_target().is_some() {
        calls.each(|args, out| {
            out.extend_from_slice(args);
            Ok(())
        });
    }
    let (mut results, mut parts) = (bytes, bytes);
    while !results.is_empty() && take_result(&mut results).is_ok_and(|(_, is_error)| !is_error) {}
    while !parts.is_empty() && take_part(&mut parts).is_ok() {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result<'a>(bytes: &mut &'a [u8]) -> Result<Result<&'a [u8]>> {
        let (result, is_error) = take_result(bytes)?;
        Ok(if is_error { Err(error_of(result)) } else { Ok(result) })
    }

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
        for is_last in [false, true] {
            let mut bytes = Vec::new();
            put_result(&mut bytes, false, |out| {
                out.extend_from_slice(b"half");
                Err(Error::simple(ErrorKind::Full))
            });
            put_result(&mut bytes, is_last, |out| write_all(out, b"whole"));
            let mut rest = &bytes[..];
            assert!(result(&mut rest).unwrap().unwrap_err().is_full());
            assert_eq!(result(&mut rest).unwrap().unwrap(), b"whole");
            assert!(rest.is_empty());
            bytes.clear();
            put_result(&mut bytes, is_last, |_| Err(Error::simple(ErrorKind::Full)));
            assert!(result(&mut &bytes[..]).unwrap().unwrap_err().is_full());
        }
        let mut odd = &[0xff; 8][..];
        assert!(result(&mut odd).unwrap_err().is_corrupted());
    }

    const TARGET: Target = Target { object: 1, entry: (2, 3) };

    /// Two calls of one target and one of another; how long the first one is.
    fn three_calls() -> (Vec<u8>, usize) {
        let mut bytes = Vec::new();
        put_call(&mut bytes, Some(TARGET), |out| write_all(out, b"first")).unwrap();
        let first = bytes.len();
        let refused = put_call(&mut bytes, None, |out| {
            out.push(1);
            Err(Error::simple(ErrorKind::Encode))
        });
        assert!(refused.unwrap_err().is_encode() && bytes.len() == first);
        put_call(&mut bytes, None, |out| write_all(out, &[7; 300])).unwrap();
        put_call(&mut bytes, Some(Target { object: 9, ..TARGET }), |_| Ok(())).unwrap();
        (bytes, first)
    }

    /// Runs calls that give their arguments back; the objects they were about, and the results.
    fn echo(calls: &[u8]) -> (Vec<u64>, Vec<Result<Vec<u8>>>) {
        let (mut out, mut objects, mut results) = (Vec::new(), Vec::new(), Vec::new());
        let mut calls = Calls::of(calls, &mut out);
        while let Some(target) = calls.next_target() {
            calls.each(|args, out| {
                let target = target.as_ref().map_err(Error::again)?;
                objects.push(target.object);
                write_all(out, args)
            });
        }
        let count = calls.count();
        let mut rest = &out[..];
        for _ in 0..count {
            results.push(result(&mut rest).unwrap().map(<[u8]>::to_vec));
        }
        assert!(rest.is_empty());
        (objects, results)
    }

    #[test]
    fn calls_come_back_and_cut_ones_are_errors() {
        let (bytes, first) = three_calls();
        let (objects, results) = echo(&bytes);
        assert_eq!(objects, [1, 1, 9]);
        let results: Vec<_> = results.into_iter().map(Result::unwrap).collect();
        assert_eq!(results, [b"first".to_vec(), vec![7; 300], Vec::new()]);
        for len in (1..bytes.len()).filter(|len| *len != first && *len != bytes.len() - 25) {
            let (_, mut results) = echo(&bytes[..len]);
            assert!(results.pop().unwrap().unwrap_err().is_corrupted(), "{len}");
            assert!(results.into_iter().all(|result| result.is_ok()), "{len}");
        }
        let (_, results) = echo(&bytes[first..]);
        assert!(results[0].as_ref().unwrap_err().is_corrupted(), "the call of no target");
        let mut only = Vec::new();
        put_only_call(&mut only, TARGET, |out| write_all(out, &[8; 300])).unwrap();
        let (objects, results) = echo(&only);
        assert_eq!((objects, results[0].as_ref().unwrap()), (vec![1], &vec![8; 300]));
    }

    #[test]
    fn a_call_that_panics_has_an_error_and_the_next_ones_are_run() {
        use std::panic::{AssertUnwindSafe, catch_unwind};
        let (bytes, _) = three_calls();
        let mut out = Vec::new();
        let mut calls = Calls::of(&bytes, &mut out);
        let mut ran = 0;
        while calls.next_target().is_some() {
            while catch_unwind(AssertUnwindSafe(|| {
                calls.each(|_, out| {
                    ran += 1;
                    out.push(ran);
                    std::panic::resume_unwind(Box::new(()));
                });
            }))
            .is_err()
            {
                calls.fail(&Error::simple(ErrorKind::Child));
            }
        }
        assert_eq!((ran, calls.count()), (3, 3));
        let mut rest = &out[..];
        for _ in 0..3 {
            assert!(result(&mut rest).unwrap().unwrap_err().is_child());
        }
        assert!(rest.is_empty());
    }
}
