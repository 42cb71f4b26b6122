//! What each system has in its own way, in small calls; these are those of other Unix systems, by what POSIX has, or without effect.
//!
//! Sources: `poll(2)`, `pthread_atfork(3)`, `getentropy(3)`.

#![allow(unsafe_code, reason = "system calls")]

use std::cell::Cell;
use std::ffi::CStr;
use std::io;
use std::os::fd::RawFd;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use memmap2::{MmapMut, MmapRaw};

use crate::sys::robust::TID_MASK;

/// There is no cheaper clock.
pub(crate) const COARSE: libc::clockid_t = libc::CLOCK_MONOTONIC;
/// A folder is opened to be read.
pub(crate) const PATH: libc::c_int = libc::O_RDONLY;

/// # Safety
///
/// None: it does nothing, and says so.
pub(crate) unsafe fn close_range(_first: RawFd, _last: RawFd) -> bool {
    false
}

/// Waits until one of the list is ready or so much time is over, or a millisecond more; `None` is for ever.
pub(crate) fn poll(list: &mut [libc::pollfd], left: Option<libc::timespec>) -> libc::c_int {
    let wait = left.map_or(-1, |left| {
        let started = i64::from(left.tv_nsec > 0);
        let ms =
            left.tv_sec.saturating_mul(1000).saturating_add(left.tv_nsec / 1_000_000 + started);
        ms.min(i64::from(libc::c_int::MAX)) as libc::c_int
    });
    // SAFETY: `list` is valid to read and write for its length.
    unsafe { libc::poll(list.as_mut_ptr(), list.len() as libc::nfds_t, wait) }
}

/// A mapping that a forked child wipes.
struct Wiped {
    start: *mut u8,
    len: usize,
    next: *mut Wiped,
}

static WIPED: AtomicPtr<Wiped> = AtomicPtr::new(ptr::null_mut());

/// Has a private mapping read as zero in a forked child: a handler of `fork` wipes it. The mapping stays for ever.
pub(crate) fn wipe_on_fork(map: &mut MmapMut) -> io::Result<()> {
    // Before the mapping is on the list, and each time: to wipe twice is to wipe, and nobody waits for anybody.
    // SAFETY: the handler unwinds nowhere, and calls nothing.
    let error = unsafe { libc::pthread_atfork(None, None, Some(wipe)) };
    if error != 0 {
        return Err(io::Error::from_raw_os_error(error));
    }
    let (start, len) = (map.as_mut_ptr(), map.len());
    let new = Box::into_raw(Box::new(Wiped { start, len, next: WIPED.load(Ordering::Acquire) }));
    loop {
        // SAFETY: made above, and shown to nobody yet.
        let next = unsafe { (*new).next };
        // ORDERING: Release: the entry before the pointer; `wipe` runs in a copy of this memory.
        match WIPED.compare_exchange(next, new, Ordering::Release, Ordering::Acquire) {
            Ok(_) => return Ok(()),
            // SAFETY: as above.
            Err(first) => unsafe { (*new).next = first },
        }
    }
}

/// Runs in each forked child, before `fork` returns there.
extern "C" fn wipe() {
    let mut at = WIPED.load(Ordering::Acquire);
    // SAFETY: null, or an entry that is never freed.
    while let Some(wiped) = unsafe { at.as_ref() } {
        // SAFETY: a private mapping that is never unmapped, in a process of one thread; zeroes are a value of all that is there.
        unsafe { ptr::write_bytes(wiped.start, 0, wiped.len) };
        at = wiped.next;
    }
}

/// A forked child has the mapping.
pub(crate) fn keep_from_forks(_map: &MmapRaw) {}

/// The mapping is in core dumps.
pub(crate) fn keep_out_of_dumps(_map: &MmapRaw) {}

/// 64 random bits, if the system has some.
pub(crate) fn random() -> Option<u64> {
    let mut bits = [0u8; 8];
    // SAFETY: the buffer is valid for its 8 bytes.
    let got = unsafe { libc::getentropy(bits.as_mut_ptr().cast(), bits.len()) } == 0;
    got.then_some(u64::from_ne_bytes(bits))
}

/// Whether the program runs with rights its caller does not have.
pub(crate) fn is_privileged() -> bool {
    nix::unistd::getuid() != nix::unistd::geteuid()
        || nix::unistd::getgid() != nix::unistd::getegid()
}

pub(crate) fn has_interpreter() -> bool {
    true
}

pub(crate) fn has_capabilities(_program: &CStr) -> bool {
    false
}

pub(crate) fn gives_no_rights() -> bool {
    false
}

/// No program is started.
///
/// # Safety
///
/// None: it does nothing, and says so.
pub(crate) unsafe fn add_directory(
    _actions: *mut libc::posix_spawn_file_actions_t,
    _to: &CStr,
) -> libc::c_int {
    libc::ENOTSUP
}

/// A number that no other thread of this process has had.
pub(crate) fn thread_id() -> u32 {
    static COUNT: AtomicU32 = AtomicU32::new(1);
    thread_local! {
        static ID: Cell<u32> = const { Cell::new(0) };
    }
    let id = ID.get();
    if id != 0 {
        return id;
    }
    // ORDERING: Relaxed: only the number itself matters.
    let id = (COUNT.fetch_add(1, Ordering::Relaxed) & TID_MASK).max(1);
    ID.set(id);
    id
}

/// The system is asked for processes only.
pub(crate) fn is_thread_gone(_pid: u32, _tid: u32) -> bool {
    false
}

pub(crate) fn name_thread(_name: &CStr) {}

pub(crate) fn processor() -> Option<u32> {
    None
}

pub(crate) fn take_short_turns() {}
