//! The sealed file that a process tree shares: making it, growing it, giving pages back.
//!
//! A descriptor is a number that any code of the program can close, and the next file that is opened gets the number. Then
//! growing "the world" would grow the user's own file. So [`SharedFile`] remembers which file it is, by device and inode, and
//! every call on it compares first; a number that means another file by now is a typed error. (Code that closes the number
//! between the comparison and the call is not noticed.)
//!
//! Source: `fstat(2)`.

use std::ffi::CStr;
use std::fs::{File, Metadata, Permissions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use crate::error::{Error, ErrorKind, Result};
use crate::sys::descriptor::keep_high;
use crate::sys::memfd;

/// The file of a world, as this process holds it.
#[derive(Debug)]
pub(crate) struct SharedFile {
    file: File,
    device: u64,
    inode: u64,
}

impl SharedFile {
    /// Makes an empty memory file, close-on-exec, never executable, and for this user alone.
    pub(crate) fn create(name: &CStr) -> io::Result<SharedFile> {
        let file = File::from(keep_high(memfd::create(name)?)?);
        // Others of the machine could open it through /proc otherwise, if they may look there at all.
        file.set_permissions(Permissions::from_mode(0o600))?;
        SharedFile::new(file)
    }

    /// The file behind a descriptor that was handed over.
    pub(crate) fn adopt(fd: OwnedFd) -> io::Result<SharedFile> {
        SharedFile::new(File::from(keep_high(fd)?))
    }

    fn new(file: File) -> io::Result<SharedFile> {
        let data = file.metadata()?;
        Ok(SharedFile { file, device: data.dev(), inode: data.ino() })
    }

    /// What the system says of the file, once it is certain that it is the file.
    fn metadata(&self) -> Result<Metadata> {
        let data =
            self.file.metadata().map_err(|error| self.lost("is closed").with_source(error))?;
        if (data.dev(), data.ino()) == (self.device, self.inode) {
            Ok(data)
        } else {
            Err(self.lost("means another file by now"))
        }
    }

    #[cold]
    fn lost(&self, how: &str) -> Error {
        Error::of(
            ErrorKind::Mismatch,
            format!(
                "descriptor {} of shared memory {how}: some code of this program closed it (a double close, closefrom): \
                 what is mapped works on, but nothing can grow and no process can start",
                self.file.as_raw_fd()
            ),
        )
    }

    /// The file, for a call that maps it, measures it or passes it on.
    pub(crate) fn checked(&self) -> Result<&File> {
        self.metadata().map(|_| &self.file)
    }

    /// How long it is, in bytes.
    pub(crate) fn size(&self) -> Result<u64> {
        self.measured().map(|(_, size)| size)
    }

    /// The file, for a call that maps it, and how long it is.
    pub(crate) fn measured(&self) -> Result<(&File, u64)> {
        self.metadata().map(|data| (&self.file, data.len()))
    }

    /// Another descriptor of the same file.
    pub(crate) fn try_clone(&self) -> Result<SharedFile> {
        let copy = self.checked()?.as_fd().try_clone_to_owned().and_then(SharedFile::adopt);
        copy.map_err(|error| Error::os("cannot duplicate the descriptor of shared memory", error))
    }

    /// The descriptor, to be passed on.
    pub(crate) fn descriptor(&self) -> Result<BorrowedFd<'_>> {
        self.checked().map(AsFd::as_fd)
    }

    /// Nobody can shrink the file from now on, so a mapping never loses its pages; nor add or take seals.
    pub(crate) fn seal(&self) -> io::Result<()> {
        memfd::seal(self.file.as_fd())
    }

    /// Whether the file can never shrink.
    pub(crate) fn is_sealed(&self) -> bool {
        memfd::is_sealed(self.file.as_fd())
    }

    /// Makes the file at least `size` bytes long; asks the limit first, because past it the kernel would send SIGXFSZ.
    pub(crate) fn grow(&self, size: u64) -> Result<()> {
        use nix::sys::resource::{Resource, getrlimit};
        let now = self.size()?;
        if now >= size {
            return Ok(());
        }
        let allowed = getrlimit(Resource::RLIMIT_FSIZE).map_or(u64::MAX, |(soft, _)| soft as _);
        let grown = if size > allowed {
            Err(io::Error::from_raw_os_error(libc::EFBIG))
        } else {
            self.file.set_len(size)
        };
        grown.map_err(|error| {
            Error::os(format!("cannot grow shared memory from {now} to {size} bytes"), error)
        })
    }

    /// Gives the pages of a range back to the system; they read as zero afterwards. Best effort.
    pub(crate) fn punch(&self, offset: u64, len: u64) {
        if let Ok(file) = self.checked() {
            memfd::punch(file, offset, len);
        }
    }
}

#[cfg(test)]
#[allow(unsafe_code, reason = "some code closes a descriptor that is not its own")]
mod tests {
    use super::*;

    #[test]
    fn it_is_private_sealed_and_keeps_away_from_low_numbers() {
        let file = SharedFile::create(c"test").unwrap();
        assert_eq!(file.metadata().unwrap().mode() & 0o777, 0o600);
        assert!(file.file.as_raw_fd() >= crate::sys::descriptor::lowest());
        assert!(!file.is_sealed());
        file.seal().unwrap();
        assert!(file.is_sealed() && file.try_clone().unwrap().is_sealed());
        file.grow(100).unwrap();
        assert_eq!(file.size().unwrap(), 100);
    }

    #[test]
    fn a_number_that_means_another_file_is_a_typed_error() {
        let file = SharedFile::create(c"test").unwrap();
        let number = file.file.as_raw_fd();
        let other = File::open("/dev/null").unwrap();
        // SAFETY: nobody but this test uses the number, which it then owns through `file`.
        assert_eq!(unsafe { libc::dup2(other.as_raw_fd(), number) }, number);
        for error in [
            file.grow(100).unwrap_err(),
            file.size().map(drop).unwrap_err(),
            file.descriptor().map(drop).unwrap_err(),
            file.try_clone().map(drop).unwrap_err(),
        ] {
            assert!(error.is_mismatch(), "{error}");
            assert!(error.to_string().contains(&format!("descriptor {number} ")), "{error}");
        }
    }
}
