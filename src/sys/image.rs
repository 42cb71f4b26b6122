//! The main executable as it lies in memory, and its build id.
//!
//! Sources: `dl_iterate_phdr(3)`, `elf(5)`.

#![allow(
    unsafe_code,
    reason = "reads the description that the dynamic linker gives, calls constructors"
)]

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

pub(crate) use crate::sys::loaded::{Arguments, Constructor, MappedFile, Segment};

/// Why a child that executes this program would not find its function, if it would not.
pub(crate) const NO_START: Option<&str> = None;

/// The main executable as it lies in memory.
#[derive(Debug, Default)]
pub(crate) struct Image {
    /// What to subtract from an address to get the one that the linker gave.
    pub(crate) base: usize,
    pub(crate) segments: Vec<Segment>,
    /// What the linker stamped it with, if it did.
    pub(crate) build_id: Option<Vec<u8>>,
    /// Where the pointers to its constructors stand, and how many bytes they take.
    constructors: Option<(usize, usize)>,
}

/// Looks up where the main executable lies.
pub(crate) fn main_image() -> Image {
    let mut image = Image::default();
    // SAFETY:
    // - the callback has the type that is asked for and unwinds nowhere;
    // - the pointer is valid for the whole call, and only the callback uses it meanwhile.
    unsafe { libc::dl_iterate_phdr(Some(first_object), (&raw mut image).cast()) };
    image
}

/// The main executable is the first object reported; the result other than zero ends the walk.
unsafe extern "C" fn first_object(
    info: *mut libc::dl_phdr_info,
    _size: libc::size_t,
    data: *mut libc::c_void,
) -> libc::c_int {
    // SAFETY: `main_image` passes a pointer to its `Image` and does not touch it during the call.
    let image = unsafe { &mut *data.cast::<Image>() };
    // SAFETY: the linker hands over a valid description for the duration of the call.
    let info = unsafe { &*info };
    image.base = info.dlpi_addr as usize;
    if info.dlpi_phdr.is_null() {
        return 1;
    }
    // SAFETY: the linker reports that many headers at that place; they are part of the mapped image.
    let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()) };
    for header in headers.iter().filter(|header| header.p_type == libc::PT_LOAD) {
        image.segments.push(Segment {
            start: image.base.wrapping_add(header.p_vaddr as usize),
            len: header.p_memsz as usize,
            readable: header.p_flags & libc::PF_R != 0,
            executable: header.p_flags & libc::PF_X != 0,
        });
    }
    for header in headers.iter().filter(|header| header.p_type == libc::PT_DYNAMIC) {
        let start = image.base.wrapping_add(header.p_vaddr as usize);
        image.constructors = constructors(image, start, header.p_memsz as usize);
    }
    for header in headers.iter().filter(|header| header.p_type == libc::PT_NOTE) {
        let start = image.base.wrapping_add(header.p_vaddr as usize);
        let len = header.p_memsz as usize;
        if !image.holds(start, len) {
            continue;
        }
        // SAFETY:
        // - the range lies in a readable loaded segment of this program, as just checked, so it is mapped;
        // - notes are constants: nobody writes them while the program runs.
        let notes = unsafe { std::slice::from_raw_parts(start as *const u8, len) };
        if image.build_id.is_none() {
            image.build_id = build_id(notes, header.p_align as usize);
        }
    }
    1
}

impl Image {
    /// Whether the range lies in one readable part. That may be code: where the linker gives constants no part of their own, as on
    /// aarch64, they are in one with it.
    pub(crate) fn holds(&self, start: usize, len: usize) -> bool {
        self.segments.iter().any(|part| part.holds(start, len))
    }

    /// Calls the constructors that the dynamic linker calls after the one whose pointer stands at `own`, in its order and with
    /// its arguments. A program without a dynamic section (static, and not position-independent) tells nobody where its
    /// constructors are: then none is called.
    ///
    /// # Safety
    ///
    /// The constructor at `own` is running, and will never return to the dynamic linker.
    pub(crate) unsafe fn call_constructors_after(&self, own: usize, arguments: Arguments) {
        let Some((start, len)) = self.constructors else { return };
        let is_ours = own >= start && own < start + len && self.holds(start, len);
        if !is_ours {
            return;
        }
        let first = own + size_of::<usize>();
        for place in (first..start + len).step_by(size_of::<usize>()) {
            // SAFETY: the place lies in the table that the program's dynamic section names, in mapped memory, aligned as the
            // entry at `own` is; it was relocated before the first constructor ran.
            let pointer = unsafe { (place as *const usize).read() };
            if pointer == 0 || pointer == usize::MAX {
                continue;
            }
            // SAFETY: an entry of the table is a function with this signature; ones with fewer parameters ignore the rest.
            let constructor = unsafe { std::mem::transmute::<usize, Constructor>(pointer) };
            constructor(arguments.count, arguments.values, arguments.environment);
        }
    }
}

/// Reads from the dynamic section where the pointers to the constructors stand.
fn constructors(image: &Image, start: usize, len: usize) -> Option<(usize, usize)> {
    const DT_NULL: usize = 0;
    const DT_INIT_ARRAY: usize = 25;
    const DT_INIT_ARRAYSZ: usize = 27;
    if !image.holds(start, len) || !start.is_multiple_of(align_of::<[usize; 2]>()) {
        return None;
    }
    let count = len / size_of::<[usize; 2]>();
    // SAFETY:
    // - the range lies in a readable loaded segment of this program, as just checked, and is aligned;
    // - the dynamic linker has done with it before the first constructor runs.
    let entries = unsafe { std::slice::from_raw_parts(start as *const [usize; 2], count) };
    let entries = entries.iter().take_while(|[tag, _]| *tag != DT_NULL);
    let value = |wanted| entries.clone().find(|[tag, _]| *tag == wanted).map(|[_, value]| *value);
    let at = image.base.wrapping_add(value(DT_INIT_ARRAY)?);
    Some((at, value(DT_INIT_ARRAYSZ)?)).filter(|(at, len)| image.holds(*at, *len))
}

/// The file that is mapped at an address.
pub(crate) fn file_at(address: usize) -> Option<MappedFile> {
    let maps = std::fs::read("/proc/self/maps").ok()?;
    maps.split(|byte| *byte == b'\n').find_map(|line| {
        let (range, rest) = line.split_at_checked(line.iter().position(|byte| *byte == b' ')?)?;
        let (start, end) = str::from_utf8(range).ok()?.split_once('-')?;
        let number = |text| usize::from_str_radix(text, 16).ok();
        if !(number(start)?..number(end)?).contains(&address) {
            return None;
        }
        // Rights, offset, device, inode; then the path, behind any number of spaces.
        let mut fields = rest.splitn(6, |byte| *byte == b' ').skip(1);
        let (_rights, _offset) = (fields.next()?, fields.next()?);
        let (major, minor) = str::from_utf8(fields.next()?).ok()?.split_once(':')?;
        let inode = str::from_utf8(fields.next()?).ok()?.parse().ok()?;
        let path = OsStr::from_bytes(fields.next()?.trim_ascii_start());
        let device = libc::makedev(number(major)? as u32, number(minor)? as u32);
        Some(MappedFile { path: path.into(), device, inode })
    })
}

/// Finds the build id among the notes of an image.
fn build_id(mut notes: &[u8], align: usize) -> Option<Vec<u8>> {
    const NT_GNU_BUILD_ID: u32 = 3;
    let align = if align == 8 { 8 } else { 4 };
    while let Some((head, rest)) = notes.split_at_checked(12) {
        let word = |at: usize| Some(u32::from_ne_bytes(head[at..at + 4].try_into().ok()?));
        let (name_len, len, kind) = (word(0)? as usize, word(4)? as usize, word(8)?);
        // Offsets are rounded from the start of the note, of which the head is 12 bytes.
        let at = name_len.checked_add(12)?.checked_next_multiple_of(align)? - 12;
        let end = at.checked_add(len)?;
        if kind == NT_GNU_BUILD_ID && rest.get(..name_len)? == b"GNU\0" {
            return Some(rest.get(at..end)?.to_vec());
        }
        notes = rest.get(end.checked_add(12)?.checked_next_multiple_of(align)? - 12..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_image_holds_its_own_constants_and_no_memory_of_others() {
        let image = main_image();
        let constant = std::ptr::from_ref(&0x1234_u64) as usize;
        assert!(image.holds(constant, 8));
        assert!(image.holds(main_image as fn() -> Image as usize, 1));
        assert!(!image.holds(constant, usize::MAX));
        assert!(!image.holds(std::ptr::from_ref(&Box::new(1_u8)) as usize, 1));
    }

    #[test]
    fn the_image_is_mapped_from_the_file_that_runs() {
        use std::os::unix::fs::MetadataExt;
        let found = file_at(main_image as fn() -> Image as usize).unwrap();
        let runs = std::fs::read_link("/proc/self/exe").unwrap();
        let data = std::fs::metadata(&runs).unwrap();
        assert_eq!(found.path, runs);
        assert_eq!(found.inode, data.ino());
        assert!(file_at(8).is_none());
    }

    #[test]
    fn the_constructors_are_found() {
        let image = main_image();
        let (start, len) = image.constructors.unwrap();
        assert!(image.holds(start, len) && len >= size_of::<usize>());
    }

    #[test]
    fn notes_are_read_and_cut_ones_are_not() {
        let mut notes = Vec::new();
        for (kind, name, data) in [(1_u32, &b"GNU\0"[..], &[1_u8; 16][..]), (3, b"GNU\0", &[7; 20])]
        {
            notes.extend((name.len() as u32).to_ne_bytes());
            notes.extend((data.len() as u32).to_ne_bytes());
            notes.extend(kind.to_ne_bytes());
            notes.extend(name);
            notes.extend(data);
        }
        assert_eq!(build_id(&notes, 4), Some(vec![7; 20]));
        for len in 0..notes.len() {
            assert_eq!(build_id(&notes[..len], 4), None);
        }
        assert_eq!(build_id(&[0xff; 64], 4), None);
    }
}
