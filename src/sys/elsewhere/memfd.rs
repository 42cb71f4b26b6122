//! A file without a name, in place of one in memory: made in the folder for temporary files, and removed at once.
//!
//! POSIX's own shared memory would do on some systems. On macOS it can be made longer only once.

use std::ffi::CStr;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};

use crate::sys::machine::random;

/// An empty file, close-on-exec, for this user alone.
pub(crate) fn create(name: &CStr) -> io::Result<OwnedFd> {
    loop {
        let name = format!("{}-{:016x}", name.to_string_lossy(), random());
        let path = std::env::temp_dir().join(name);
        let opened =
            File::options().read(true).write(true).create_new(true).mode(0o600).open(&path);
        match opened {
            Ok(file) => {
                fs::remove_file(&path)?;
                return Ok(file.into());
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
}

/// There are no seals: nobody can open the file by name, and whoever was given it is trusted.
pub(crate) fn seal(_file: BorrowedFd<'_>) -> io::Result<()> {
    Ok(())
}

/// Whether the descriptor is of a file that [`create`] may have made: an own one without a name.
pub(crate) fn is_sealed(fd: BorrowedFd<'_>) -> bool {
    let file = fd.try_clone_to_owned().map(File::from);
    file.and_then(|file| file.metadata()).is_ok_and(|data| {
        data.is_file() && data.nlink() == 0 && data.uid() == nix::unistd::geteuid().as_raw()
    })
}

/// Writes zeroes to a range. The system keeps the pages.
pub(crate) fn punch(file: &File, offset: u64, len: u64) {
    let zeroes = [0; 64 << 10];
    let mut done = 0;
    while done < len {
        let part = (len - done).min(zeroes.len() as u64);
        if file.write_all_at(&zeroes[..part as usize], offset + done).is_err() {
            return;
        }
        done += part;
    }
}
