//! Pages that a process will need, brought in before anybody waits for it.
//!
//! A forked process has none of its program's code mapped, and shares every page that it could write with the one it was forked
//! from: each first touch is a page fault, one or two microseconds. Whoever has time to spare asks the kernel for many pages at once.
//! What was not brought in comes when it is touched.
//!
//! Sources: `madvise(2)` (`MADV_POPULATE_READ`, `MADV_POPULATE_WRITE`, from Linux 5.14 on), `dl_iterate_phdr(3)`.

#![allow(
    unsafe_code,
    reason = "reads the description that the dynamic linker gives, advises the kernel"
)]

use std::ops::Range;

/// What is brought in of each part of a program or library, at most: a large program does not use all of it at once.
const MOST_CODE: usize = 512 << 10;
const MOST_DATA: usize = 16 << 10;
/// Of a file, a page brings those around it that are in the page cache: a window of so many bytes (`fault_around_bytes` of the kernel,
/// unless it was changed). To ask for each of them takes as long again.
const AROUND: usize = 64 << 10;
/// What is brought in of the stack, below and above the caller.
const STACK: usize = 8 << 10;

/// The pages of the program and its libraries that every process of this program uses.
#[derive(Debug)]
pub(crate) struct Pages {
    list: Vec<(Range<usize>, libc::c_int)>,
    /// How large a page is: 4 KiB on x86-64, up to 64 KiB on aarch64.
    size: usize,
}

impl Pages {
    pub(crate) fn of_this_process() -> Pages {
        let size = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE);
        let size = size.ok().flatten().map_or(4096, |size| size as usize);
        let mut pages = Pages { list: Vec::new(), size };
        // SAFETY:
        // - the callback has the type that is asked for and unwinds nowhere;
        // - the pointer is valid for the whole call, and only the callback uses it meanwhile.
        unsafe { libc::dl_iterate_phdr(Some(each_object), (&raw mut pages).cast()) };
        pages
    }

    /// Brings them into this process, and the stack around the caller, until the process is `wanted`.
    pub(crate) fn bring(&self, wanted: impl Fn() -> bool) {
        let local = 0_u8;
        let here = &raw const local as usize;
        let stack = here - STACK..here + STACK;
        let all = [(stack, libc::MADV_POPULATE_WRITE)].into_iter().chain(self.list.iter().cloned());
        for (range, advice) in all {
            if wanted() {
                return;
            }
            let start = range.start & !(self.size - 1);
            let is_code = advice == libc::MADV_POPULATE_READ;
            let mut at = start;
            while at < range.end {
                // To the next window, whose beginning is a multiple of its size.
                let next = if is_code { (at | (AROUND - 1)) + 1 } else { range.end };
                let len = if is_code { self.size } else { next - at };
                // SAFETY: the advice changes no byte, wherever the range lies; what is not mapped, or may not be written, is an error.
                unsafe { libc::madvise(at as *mut _, len, advice) };
                at = next;
            }
        }
    }

    /// Adds what is wanted of a loaded part. What is written by the linker alone stands before `protected`.
    fn add(&mut self, flags: u32, part: Range<usize>, protected: usize) {
        if flags & libc::PF_W != 0 {
            let start = part.start.max(protected);
            let end = part.end.min(start.saturating_add(MOST_DATA));
            if start < end {
                self.list.push((start..end, libc::MADV_POPULATE_WRITE));
            }
        } else if flags & libc::PF_X != 0 {
            let own = Pages::of_this_process as *const () as usize;
            let first =
                if part.contains(&own) { own.saturating_sub(MOST_CODE / 2) } else { part.start };
            let first = first.max(part.start);
            self.list.push((first..part.end.min(first + MOST_CODE), libc::MADV_POPULATE_READ));
        }
    }
}

/// Adds what every object has; the result zero goes on to the next one.
unsafe extern "C" fn each_object(
    info: *mut libc::dl_phdr_info,
    _size: libc::size_t,
    data: *mut libc::c_void,
) -> libc::c_int {
    // SAFETY: `of_this_process` passes a pointer to its `Pages` and does not touch it during the call.
    let pages = unsafe { &mut *data.cast::<Pages>() };
    // SAFETY: the linker hands over a valid description for the duration of the call.
    let info = unsafe { &*info };
    if info.dlpi_phdr.is_null() {
        return 0;
    }
    // SAFETY: the linker reports that many headers at that place; they are part of the mapped image.
    let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
    let base = info.dlpi_addr as usize;
    let parts = |kind: u32| {
        headers.iter().filter(move |header| header.p_type == kind).map(move |header| {
            let start = base.wrapping_add(header.p_vaddr as usize);
            (header.p_flags, start..start.saturating_add(header.p_memsz as usize))
        })
    };
    let last = !(pages.size - 1);
    let protected = parts(libc::PT_GNU_RELRO).map(|(_, part)| part.end & last).max();
    for (flags, part) in parts(libc::PT_LOAD) {
        pages.add(flags, part, protected.unwrap_or(0));
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn what_was_written_stays_as_it_is() {
        static DATA: AtomicU64 = AtomicU64::new(6);
        DATA.store(7, Ordering::Relaxed);
        let pages = Pages::of_this_process();
        let of = |wanted| pages.list.iter().filter(move |(_, advice)| *advice == wanted).count();
        assert!(of(libc::MADV_POPULATE_READ) > 0 && of(libc::MADV_POPULATE_WRITE) > 0);
        let local = std::hint::black_box(8_u64);
        pages.bring(|| false);
        assert_eq!((DATA.load(Ordering::Relaxed), std::hint::black_box(local)), (7, 8));
    }
}
