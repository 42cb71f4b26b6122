//! What of a process is still there when it is dead: the memory that it shares, and the list of a thread's robust locks, which the
//! kernel follows when the thread dies. Everything else of it goes with it, but for what the kernel did for it, and that takes a
//! system call.
//!
//! So two points between which there was no system call, and none of this has changed, are one point to all others: a death at the
//! second leaves what a death at the first has left. `KILL=all` tries one of them, the first, and that is every instruction. While
//! the way is noted, all that is shared is compared after each instruction that could have written there; a change by somebody else
//! meanwhile makes one point more. A process that lives on, stopped or as a witness, goes on with what it has read, which
//! nobody sees: of a witness every single point is tried.
//!
//! `KILL=each` tries every point of all, and chance picks among all of them in every sample.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;

use memmap2::{MmapOptions, MmapRaw};
use nix::sys::stat;
use nix::unistd::{Whence, lseek};

use super::ptrace::{Stopped, is_call, may_write};
use super::sampler::spread;

/// After which instructions something has changed that outlives the process.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// `None`: nobody wants to know.
    watched: Option<Watched>,
    steps: Vec<usize>,
}

/// The last look.
#[derive(Debug, Default)]
struct Watched {
    remains: Option<Remains>,
    /// The first bytes of the instruction that comes next.
    code: [u8; 8],
}

impl Changes {
    /// To be noted.
    pub(crate) fn wanted() -> Self {
        Self { watched: Some(Watched::default()), steps: Vec::new() }
    }

    /// The points that differ: after no instruction at all, and after each that changed something.
    pub(crate) fn steps(&self) -> &[usize] {
        &self.steps
    }

    /// The same, but for so many at most, others each day.
    pub(crate) fn some(&self, most: usize, seed: u64) -> Vec<usize> {
        let len = self.steps.len();
        spread(len, len.min(most), seed).map(|index| self.steps[index]).collect()
    }

    /// Looks at a process that stands after so many instructions.
    pub(crate) fn note(&mut self, at: &Stopped, step: usize) -> io::Result<()> {
        let Some(watched) = &mut self.watched else { return Ok(()) };
        let next = at.code(at.next()).unwrap_or_default();
        let code = std::mem::replace(&mut watched.code, next);
        let has_changed = match &mut watched.remains {
            Some(_) if !may_write(&code) => false,
            Some(remains) if !is_call(&code) => remains.have_changed(at)?,
            // It may have mapped something else.
            remains => {
                *remains = Some(Remains::of(at)?);
                true
            }
        };
        if has_changed {
            self.steps.push(step);
        }
        Ok(())
    }
}

/// See the head of this file.
#[derive(Debug)]
struct Remains {
    shown: Vec<Shown>,
    locks: [u64; 3],
}

/// What is shared, and what was in it.
#[derive(Debug)]
struct Shown {
    file: File,
    /// Maps it here, where that can be done.
    view: Option<MmapRaw>,
    /// Its size, and how much memory it has: as long as they are the same, so are the parts that have memory.
    extent: (u64, u64),
    parts: Vec<Part>,
}

/// What was in a part, from this offset on.
#[derive(Debug)]
struct Part {
    start: u64,
    seen: Vec<u8>,
}

impl Remains {
    fn of(at: &Stopped) -> io::Result<Self> {
        Ok(Self { shown: shared(at.pid())?, locks: at.robust_list()? })
    }

    /// Whether anything is different from the last look.
    fn have_changed(&mut self, at: &Stopped) -> io::Result<bool> {
        let locks = at.robust_list()?;
        let mut changed = std::mem::replace(&mut self.locks, locks) != locks;
        for shown in &mut self.shown {
            changed |= shown.has_changed()?;
        }
        Ok(changed)
    }
}

impl Shown {
    /// A file: those parts of it that have memory, since to read the others would give them some.
    fn of_file(file: File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        let mut parts = Vec::new();
        let mut end = 0;
        while let Ok(start) = lseek(&file, end, Whence::SeekData) {
            end = lseek(&file, start, Whence::SeekHole)?;
            parts.push(Part::of(&file, start as u64, (end - start) as usize)?);
        }
        let view = Some(MmapOptions::new().map_raw_read_only(&file)?);
        Ok(Self { file, view, extent: (metadata.size(), metadata.blocks()), parts })
    }

    /// So many bytes of a process.
    fn of_memory(pid: i32, start: u64, len: usize) -> io::Result<Self> {
        let file = File::open(format!("/proc/{pid}/mem"))?;
        let parts = vec![Part::of(&file, start, len)?];
        Ok(Self { file, view: None, extent: (0, 0), parts })
    }

    fn has_changed(&mut self) -> io::Result<bool> {
        let metadata = self.file.metadata()?;
        if (metadata.size(), metadata.blocks()) != self.extent {
            let file = self.file.try_clone()?;
            *self = Self::of_file(file)?;
            return Ok(true);
        }
        let mut changed = false;
        for part in &mut self.parts {
            let Part { start, seen } = part;
            let is_same = self.view.as_ref().is_some_and(|view| {
                let now = view.as_ptr().wrapping_add(*start as usize);
                // SAFETY: memcmp(3)
                // - both have that many bytes: the file has not changed its size, which is mapped as a whole; that others
                //   write there meanwhile is what this is about, and no reference is made.
                unsafe { libc::memcmp(now.cast(), seen.as_ptr().cast(), seen.len()) == 0 }
            });
            if !is_same {
                let now = Part::of(&self.file, *start, seen.len())?;
                changed |= now.seen != *seen;
                *part = now;
            }
        }
        Ok(changed)
    }
}

impl Part {
    fn of(file: &File, start: u64, len: usize) -> io::Result<Self> {
        let mut seen = vec![0; len];
        file.read_exact_at(&mut seen, start)?;
        Ok(Self { start, seen })
    }
}

/// What a process shares: the files, or where it closed their descriptors the memory.
fn shared(pid: i32) -> io::Result<Vec<Shown>> {
    let (mut shown, mut known) = (Vec::new(), HashSet::new());
    for line in std::fs::read_to_string(format!("/proc/{pid}/maps"))?.lines() {
        let fields = line.split_whitespace().collect::<Vec<_>>();
        let [range, mode, _, device, inode, ..] = fields[..] else { continue };
        if !mode.ends_with('s') {
            continue;
        }
        match descriptor(pid, device, inode) {
            Some(path) if known.insert((device, inode)) => {
                shown.push(Shown::of_file(File::open(path)?)?)
            }
            Some(_) => {}
            None => {
                let number = |text: &str| u64::from_str_radix(text, 16).map_err(io::Error::other);
                let (from, to) = range.split_once('-').unwrap_or(("", ""));
                let (from, to) = (number(from)?, number(to)?);
                shown.push(Shown::of_memory(pid, from, (to - from) as usize)?);
            }
        }
    }
    Ok(shown)
}

/// A descriptor of this file, of that process or of this one.
fn descriptor(pid: i32, device: &str, inode: &str) -> Option<PathBuf> {
    let descriptors = |who: &str| std::fs::read_dir(format!("/proc/{who}/fd"));
    let is_it = |path: &PathBuf| {
        std::fs::metadata(path).is_ok_and(|it| {
            let (major, minor) = (stat::major(it.dev()), stat::minor(it.dev()));
            format!("{major:02x}:{minor:02x}") == device && it.ino().to_string() == inode
        })
    };
    let all = [pid.to_string().as_str(), "self"].map(descriptors).into_iter().flatten().flatten();
    all.flatten().map(|entry| entry.path()).find(is_it)
}
