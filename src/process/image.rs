//! Where the main executable lies in memory, and which one it is.
//!
//! Parent and child are the same file, mapped at different addresses. A place in it is named by its offset from the
//! base, which means the same in both. [`identity`] tells one executable from another, so that an offset is never
//! taken into an image for which it was not meant: the layout of the loaded parts and the linker's build id, or,
//! without one, the file's device, inode, size and time of change. A file replaced while its program runs is no
//! matter: `/proc/self/exe` remains the file that was started.

use std::ffi::CString;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use crate::error::{Error, Result};
use crate::sys::image as sys;
use crate::sys::per_process::SetOnce;
use crate::sys::program::{FileRights, has_interpreter, name_of_file};

/// The main executable of this process; looked up once.
pub(super) fn main() -> &'static sys::Image {
    static IMAGE: SetOnce<sys::Image> = SetOnce::new();
    IMAGE.get_or_make(sys::main_image)
}

/// Is where this copy of the crate is. Not zero, so that it is a variable of its own in every copy.
static HERE: AtomicU8 = AtomicU8::new(1);

/// Whether this copy of the crate is part of that image, the main executable, and not of a shared library.
pub(super) fn is_of_this_crate(image: &sys::Image) -> bool {
    static IS_PART: AtomicBool = AtomicBool::new(false);
    // ORDERING: Relaxed: it stands for itself, and is true for ever.
    if IS_PART.load(Ordering::Relaxed) {
        return true;
    }
    let is_part = image.holds((&raw const HERE) as usize, 1);
    IS_PART.store(is_part, Ordering::Relaxed);
    is_part
}

/// Where this copy of the crate is in the main executable: the same in every process that runs it, and another one for another copy.
pub(super) fn place_of_this_crate() -> usize {
    ((&raw const HERE) as usize).wrapping_sub(main().base)
}

/// FNV-1a: short, and the same in every process of one program.
#[derive(Debug, Clone, Copy)]
pub(super) struct Checksum(u64);

const PRIME: u64 = 0x0100_0000_01b3;

impl Checksum {
    pub(super) const fn new() -> Checksum {
        Checksum(0xcbf2_9ce4_8422_2325)
    }

    pub(super) fn of(bytes: &[u8]) -> u64 {
        let mut sum = Checksum::new();
        sum.add(bytes);
        sum.0
    }

    pub(super) fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(PRIME);
        }
    }
}

impl std::hash::Hasher for Checksum {
    fn write(&mut self, bytes: &[u8]) {
        self.add(bytes);
    }

    /// In one step, where `add` takes eight: what is hashed so is a hash already.
    #[inline]
    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0 ^ number).wrapping_mul(PRIME);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// A number that another executable, or another build of this one, does not have.
///
/// # Errors
///
/// `/proc/self/exe` cannot be looked at, and there is no build id.
pub(super) fn identity() -> Result<u64> {
    static IDENTITY: SetOnce<u64> = SetOnce::new();
    if let Some(identity) = IDENTITY.get() {
        return Ok(*identity);
    }
    let image = main();
    let mut sum = Checksum::new();
    for part in &image.segments {
        sum.add(&part.start.wrapping_sub(image.base).to_le_bytes());
        sum.add(&part.len.to_le_bytes());
        sum.add(&[u8::from(part.readable), u8::from(part.executable)]);
    }
    match &image.build_id {
        Some(id) => sum.add(id),
        None => {
            let file = std::fs::metadata(FILE).map_err(|error| {
                Error::os("cannot look at /proc/self/exe, which names the running program", error)
            })?;
            for number in [file.dev(), file.ino(), file.size()] {
                sum.add(&number.to_le_bytes());
            }
            sum.add(&file.mtime().to_le_bytes());
            sum.add(&file.mtime_nsec().to_le_bytes());
        }
    }
    Ok(*IDENTITY.set(sum.0))
}

/// The file that a child executes. It is the one that was started, also if it was replaced or removed since.
pub(super) const FILE: &str = "/proc/self/exe";

/// The name of that file, looked up once: to ask is dear in a process that has just begun.
pub(super) fn file_name() -> Option<&'static [u8]> {
    static NAME: SetOnce<Option<Vec<u8>>> = SetOnce::new();
    NAME.get_or_make(name_of_file).as_deref()
}

/// What rights the file gives, looked up once. A child that finds it changed since refuses.
pub(super) fn file_rights() -> Option<&'static FileRights> {
    static RIGHTS: SetOnce<Option<FileRights>> = SetOnce::new();
    RIGHTS.get_or_make(|| FileRights::of(&CString::new(FILE).ok()?)).as_ref()
}

/// Whether [`FILE`] is the main executable: started through the dynamic loader, as in `ld-linux.so.2 ./program`, it is the
/// loader, which would take the program's first argument for a program to run. Looked up once.
///
/// # Errors
///
/// What is wrong, and what helps.
pub(super) fn check_file() -> Result<(), String> {
    static WRONG: SetOnce<Option<String>> = SetOnce::new();
    match WRONG.get_or_make(other_file) {
        None => Ok(()),
        Some(why) => Err(why.clone()),
    }
}

fn other_file() -> Option<String> {
    // The kernel has loaded the program itself, and its loader with it.
    if has_interpreter() {
        return None;
    }
    let mapped = sys::file_at(main as fn() -> &'static sys::Image as usize)?;
    let executed = std::fs::read_link(FILE).ok()?;
    // By name, or else by number: on file systems in layers, the numbers in the list of mappings are those of a layer.
    let is_same = mapped.path == executed
        || std::fs::metadata(FILE)
            .is_ok_and(|file| (file.dev(), file.ino()) == (mapped.device, mapped.inode));
    (!is_same).then(|| {
        format!(
            "this program, {}, was started through {}, the dynamic loader, so {FILE} is not the program: start the program \
             by its own name, or name its file with Process::builder().executable(..)",
            mapped.path.display(),
            executed.display()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_identity_stays() {
        assert_eq!(identity().unwrap(), identity().unwrap());
        assert_ne!(identity().unwrap(), Checksum::of(b""));
    }

    #[test]
    fn the_checksum_is_the_published_one() {
        assert_eq!(Checksum::of(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(Checksum::of(b"a"), 0xaf63_dc4c_8601_ec8c);
    }
}
