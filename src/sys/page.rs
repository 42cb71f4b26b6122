//! A page with one number, that two processes share.

#![allow(unsafe_code, reason = "a word in a mapping")]

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};

use memmap2::{MmapOptions, MmapRaw};

use crate::error::Result;
use crate::sys::shared_file::SharedFile;
use crate::sys::system;

const LEN: usize = 4096;

/// The page as one process has it mapped.
#[derive(Debug)]
pub(crate) struct NumberPage(MmapRaw);

impl NumberPage {
    /// A page, and the descriptor by which another process maps it.
    pub(crate) fn create() -> Result<(NumberPage, SharedFile)> {
        let file = SharedFile::create(c"mproc-number")?;
        file.grow(LEN as u64)?;
        file.seal()?;
        Ok((NumberPage::map(file.descriptor()?)?, file))
    }

    /// Maps the page that another process made, and closes the descriptor.
    pub(crate) fn open(fd: OwnedFd) -> Result<NumberPage> {
        let file = SharedFile::adopt(fd)?;
        // One that is too short, or could become so, would end this process.
        if file.size()? < LEN as u64 || !file.is_sealed() {
            return Err(io::Error::from(io::ErrorKind::InvalidData).into());
        }
        Ok(NumberPage::map(file.descriptor()?)?)
    }

    fn map(fd: BorrowedFd<'_>) -> io::Result<NumberPage> {
        MmapOptions::new().len(LEN).map_raw(&fd.as_fd()).map(NumberPage)
    }

    /// Has processes that are forked from this one not have the page.
    pub(crate) fn keep_from_forks(&self) {
        // One that has it all the same uses it for nothing.
        system::keep_from_forks(&self.0);
    }

    fn word(&self) -> &AtomicU32 {
        // SAFETY: the mapping is LEN bytes long, page-aligned and lives as long as `self`; all access to the word is atomic, but
        // for the kernel's, which is one store.
        unsafe { AtomicU32::from_ptr(self.as_ptr()) }
    }

    /// Where the number stands.
    pub(crate) fn as_ptr(&self) -> *mut u32 {
        self.0.as_mut_ptr().cast()
    }

    pub(crate) fn number(&self) -> u32 {
        // ORDERING: Acquire, pairs with the kernel's store in `clone`; the other process has answered, or ended, since.
        self.word().load(Ordering::Acquire)
    }

    pub(crate) fn clear(&self) {
        // ORDERING: Release, before the request is sent by a system call.
        self.word().store(0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_see_the_number() {
        let (page, file) = NumberPage::create().unwrap();
        let other = NumberPage::open(file.descriptor().unwrap().try_clone_to_owned().unwrap());
        let other = other.unwrap();
        other.word().store(7, Ordering::Release);
        assert_eq!(page.number(), 7);
        page.clear();
        assert_eq!(other.number(), 0);
        assert!(NumberPage::open(std::fs::File::open("/dev/null").unwrap().into()).is_err());
    }
}
