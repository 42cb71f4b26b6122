//! Numbers in front of parts of a message: lengths, perhaps with a flag.
//!
//! ```text
//! below 0xfe   1 byte
//! otherwise    0xff, and 8 bytes, little-endian
//! 0xfe         REST: the part goes up to the end of the message
//! ```
//!
//! A number that is known only when the part stands behind it is one byte until then. If it takes more, the part moves up: a copy
//! that its encoding has cost many times over. Whoever knows it beforehand, as of text and bytes, writes it so.

/// In place of a number: the part has no end of its own.
pub(crate) const REST: u8 = 0xfe;
const LONG: u8 = 0xff;

/// A number that is known.
#[inline]
pub(crate) fn put(out: &mut Vec<u8>, number: u64) {
    if number < u64::from(REST) {
        return out.push(number as u8);
    }
    out.push(LONG);
    out.extend_from_slice(&number.to_le_bytes());
}

/// Room for the number of the part that comes next; where it is.
#[inline]
pub(crate) fn begin(out: &mut Vec<u8>) -> usize {
    out.push(0);
    out.len() - 1
}

/// How long the part is that [`begin`] began at `start` and that ends the bytes.
#[inline]
pub(crate) fn since(out: &[u8], start: usize) -> u64 {
    (out.len() - start - 1) as u64
}

/// Writes the number of that part.
#[inline]
pub(crate) fn end(out: &mut Vec<u8>, start: usize, number: u64) {
    if number < u64::from(REST) {
        out[start] = number as u8;
    } else {
        end_long(out, start, number);
    }
}

#[cold]
fn end_long(out: &mut Vec<u8>, start: usize, number: u64) {
    let (from, to) = (start + 1, out.len());
    out.extend_from_slice(&[0; 8]);
    out.copy_within(from..to, from + 8);
    out[start] = LONG;
    out[from..from + 8].copy_from_slice(&number.to_le_bytes());
}

/// Takes a number off the front; `None` if it is cut off, or [`REST`] stands there.
#[inline]
pub(crate) fn take(bytes: &mut &[u8]) -> Option<u64> {
    let (&first, rest) = bytes.split_first()?;
    if first < REST {
        *bytes = rest;
        return Some(u64::from(first));
    }
    let (number, rest) = rest.split_first_chunk().filter(|_| first == LONG)?;
    *bytes = rest;
    Some(u64::from_le_bytes(*number))
}

/// Takes a part of so many bytes off the front; `None` if it is cut off.
#[inline]
pub(crate) fn take_part<'a>(bytes: &mut &'a [u8], len: u64) -> Option<&'a [u8]> {
    let (part, rest) = bytes.split_at_checked(usize::try_from(len).ok()?)?;
    *bytes = rest;
    Some(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_any_length_come_back_and_cut_ones_do_not() {
        for len in [0, 1, 0xfd, 0xfe, 0xff, 0x100, 70_000] {
            let part: Vec<u8> = (0..len).map(|n| n as u8).collect();
            let mut late = b"before".to_vec();
            let start = begin(&mut late);
            late.extend_from_slice(&part);
            let number = since(&late, start);
            end(&mut late, start, number);
            let mut known = b"before".to_vec();
            put(&mut known, number);
            known.extend_from_slice(&part);
            assert_eq!(late, known, "{len}");
            let mut rest = &late[6..];
            let number = take(&mut rest).unwrap();
            assert_eq!(take_part(&mut rest, number).unwrap(), part);
            assert!(rest.is_empty());
            let mut cut = &late[6..late.len() - 1];
            let number = take(&mut cut);
            assert!(number.and_then(|number| take_part(&mut cut, number)).is_none(), "{len}");
        }
        assert!(take(&mut &[REST, 1, 2, 3][..]).is_none());
        assert!(take(&mut &[LONG, 1, 2, 3][..]).is_none());
        assert!(take_part(&mut &[1][..], u64::MAX).is_none());
    }
}
