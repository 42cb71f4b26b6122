//! The memory of a model: a head and a payload for each block, as soon as the package asks for them. All processes see the same.
//! New memory is there during the preparation only.

use crate::error::{Error, ErrorKind, Result};
use crate::memory::block::{HEAD, PAGE};
use crate::sim;
use crate::sys::atomic::{AtomicU32, NATIVE};
use crate::sys::shared::Shared;
use std::cell::RefCell;
use std::collections::BTreeMap;

const _: () = assert!(!NATIVE);

/// Words of a block's head.
const HEAD_WORDS: usize = 16;

/// The table of segments is this module's own.
#[repr(C)]
pub(crate) struct SegmentTable {
    unused: AtomicU32,
}

#[derive(Clone, Copy)]
struct Place {
    head: *mut u64,
    payload: *mut u64,
    len: u64,
}

#[derive(Default)]
struct Segment {
    len: u64,
    blocks: BTreeMap<u64, Place>,
}

std::thread_local! {
    static SEGMENTS: RefCell<Vec<Segment>> = const { RefCell::new(Vec::new()) };
}

pub(crate) fn begin() {
    SEGMENTS.with_borrow_mut(|segments| {
        segments.clear();
        segments.push(Segment::default());
    });
}

/// Calls `f` with head and payload of each block, and how long the payload is in words.
pub(crate) fn for_each_block(mut f: impl FnMut(u32, *mut u64, *mut u64, usize)) {
    SEGMENTS.with_borrow(|segments| {
        for (index, segment) in segments.iter().enumerate() {
            for (offset, place) in &segment.blocks {
                let id = (index as u32) << 20 | (offset / PAGE) as u32;
                f(id, place.head, place.payload, place.len as usize / 8);
            }
        }
    });
}

pub(crate) struct Segments;

impl Segments {
    pub(crate) fn set_table(&self, _: &'static SegmentTable) {}

    pub(crate) fn count(&self) -> usize {
        SEGMENTS.with_borrow(Vec::len)
    }

    pub(crate) fn len_of(&self, index: usize) -> u64 {
        SEGMENTS.with_borrow(|segments| segments.get(index).map_or(0, |segment| segment.len))
    }

    pub(crate) fn append(&self, len: u64) -> Result<usize> {
        if sim::is_started() {
            return Err(Error::of(ErrorKind::Limit, "a model has no more memory"));
        }
        SEGMENTS.with_borrow_mut(|segments| {
            segments.push(Segment { len, blocks: BTreeMap::new() });
            Ok(segments.len() - 1)
        })
    }

    pub(crate) fn file_offset(&self, index: usize, offset: u64) -> Option<u64> {
        Some((index as u64) << 32 | offset)
    }

    pub(crate) fn punch(&self, _: usize, _: u64, _: u64) {}

    pub(crate) fn at(&self, index: usize, offset: u64, len: u64) -> Result<*mut u8> {
        let nothing = || Error::of(ErrorKind::Corrupted, format!("nothing at {index}:{offset}"));
        let start = offset / PAGE * PAGE;
        SEGMENTS.with_borrow_mut(|segments| {
            let segment = segments.get_mut(index).ok_or_else(nothing)?;
            let place = match segment.blocks.get_mut(&start) {
                Some(place) => place,
                None if sim::is_started() => return Err(nothing()),
                None => {
                    let new = Place {
                        head: sim::memory(HEAD_WORDS),
                        payload: core::ptr::null_mut(),
                        len: 0,
                    };
                    segment.blocks.entry(start).or_insert(new)
                }
            };
            if offset == start {
                return Ok(place.head.cast());
            }
            if place.payload.is_null() && offset == start + HEAD && !sim::is_started() {
                *place = Place { payload: sim::memory(len as usize / 8), len, ..*place };
            }
            if offset != start + HEAD || len != place.len {
                return Err(nothing());
            }
            Ok(place.payload.cast())
        })
    }

    pub(crate) fn get<T: Shared>(&self, index: usize, offset: u64) -> Result<&'static T> {
        let address = self.at(index, offset, size_of::<T>() as u64)?;
        // SAFETY: a structure of atomics in memory of atomics, aligned to two lines, which is never freed; a head has room in
        // HEAD_WORDS.
        Ok(unsafe { &*address.cast::<T>() })
    }
}
