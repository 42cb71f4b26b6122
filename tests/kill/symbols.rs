//! Names for addresses in reports: the symbol table of the running image, which is also the
//! victim's, read when the first report is made. Without address space randomisation the victim has
//! everything where this process has it.

use std::ops::Range;
use std::path::Path;
use std::sync::LazyLock;

/// Where the kernel's page of functions (vdso) is; empty where there is none.
pub(crate) fn vdso() -> &'static Range<usize> {
    static PAGE: LazyLock<Range<usize>> = LazyLock::new(|| {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
        let line = maps.lines().find(|line| line.ends_with("[vdso]"));
        line.and_then(|line| range(line.split_once(' ')?.0)).unwrap_or_default()
    });
    &PAGE
}

/// Both ends of `7f00-7fff`.
fn range(text: &str) -> Option<Range<usize>> {
    let (start, end) = text.split_once('-')?;
    let number = |text| usize::from_str_radix(text, 16).ok();
    Some(number(start)?..number(end)?)
}

/// `name+0x12` of the function around `address`, or the mapping it is in, or the number alone.
pub(crate) fn name(address: usize) -> String {
    let Ok(maps) = std::fs::read_to_string("/proc/self/maps") else {
        return format!("{address:#x}");
    };
    let mut base = None;
    for line in maps.lines() {
        let Some((ends, rest)) = line.split_once(' ') else { continue };
        let Some(range) = range(ends) else { continue };
        let file = rest.split_whitespace().nth(4).unwrap_or("");
        match base {
            Some((name, _)) if name == file => {}
            _ => base = Some((file, range.start)),
        }
        if !range.contains(&address) {
            continue;
        }
        let (file, base) = base.unwrap_or(("", 0));
        let offset = address - base;
        let known = if file.starts_with('/') { lookup(file, offset) } else { None };
        let file = Path::new(file).file_name().unwrap_or_default().to_string_lossy();
        return known.unwrap_or_else(|| format!("{file}+{offset:#x}"));
    }
    format!("{address:#x}")
}

/// The function around `offset` in an ELF file for 64 bits.
fn lookup(file: &str, offset: usize) -> Option<String> {
    let image = std::fs::read(file).ok()?;
    let bytes = |at: usize, len: usize| image.get(at..at.checked_add(len)?);
    let half = |at: usize| Some(u16::from_le_bytes(bytes(at, 2)?.try_into().ok()?) as usize);
    let word = |at: usize| Some(u32::from_le_bytes(bytes(at, 4)?.try_into().ok()?) as usize);
    let long = |at: usize| Some(u64::from_le_bytes(bytes(at, 8)?.try_into().ok()?) as usize);
    let (sections, size, count) = (long(40)?, half(58)?, half(60)?);
    // The full table if there is one, else what is exported.
    for wanted in [2, 11] {
        for index in 0..count {
            let section = sections + index * size;
            if word(section + 4)? != wanted {
                continue;
            }
            let (at, len) = (long(section + 24)?, long(section + 32)?);
            let names = long(sections + word(section + 40)? * size + 24)?;
            for symbol in (at..at + len).step_by(24) {
                let (start, len) = (long(symbol + 8)?, long(symbol + 16)?);
                if bytes(symbol + 4, 1)?[0] & 15 == 2 && (start..start + len).contains(&offset) {
                    let name = image.get(names + word(symbol)?..)?;
                    let name = name.split(|&byte| byte == 0).next()?;
                    let name = readable(&String::from_utf8_lossy(name));
                    return Some(format!("{name}+{:#x}", offset - start));
                }
            }
        }
    }
    None
}

/// The path in a mangled name (`_ZN4core3fmt5write17h0123456789abcdefE`), as far as it is simple.
fn readable(name: &str) -> String {
    let Some(mut rest) = name.strip_prefix("_ZN") else { return name.to_owned() };
    let mut parts = Vec::new();
    while let Some(end) = rest.find(|letter: char| !letter.is_ascii_digit()) {
        let Ok(len) = rest[..end].parse::<usize>() else { break };
        let Some(part) = rest.get(end..end + len) else { break };
        parts.push(part);
        rest = &rest[end + len..];
    }
    if parts.len() > 1 {
        parts.pop()
    } else {
        None
    };
    parts.join("::").replace("$LT$", "<").replace("$GT$", ">").replace("..", "::")
}
