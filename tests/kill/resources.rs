//! What the harness's own process has: descriptors, children, shared memory.

use super::threads;

/// How much more memory may be there later on: the parts of the soak use queues of different kinds,
/// whose memory stays in the world for the next.
const GROWTH: u64 = 8 << 20;

/// What this process has, and what should not grow.
#[derive(Debug)]
pub(crate) struct Resources {
    pub(crate) descriptors: usize,
    pub(crate) shared_files: usize,
    pub(crate) children: usize,
    /// Bytes of all memfds but the harness's own.
    pub(crate) memory: u64,
}

impl Resources {
    pub(crate) fn count() -> Self {
        use std::os::unix::fs::MetadataExt;
        let entries = |path: &str| std::fs::read_dir(path).map_or(0, Iterator::count);
        let mut memory = 0;
        for entry in std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten() {
            let target = std::fs::read_link(entry.path()).unwrap_or_default();
            let target = target.to_string_lossy();
            if target.starts_with("/memfd:") && !target.contains("kill-board") {
                memory += std::fs::metadata(entry.path()).map_or(0, |data| data.blocks() * 512);
            }
        }
        let children = threads::threads(std::process::id().cast_signed()).into_iter().map(|tid| {
            let path = format!("/proc/self/task/{tid}/children");
            std::fs::read_to_string(path).map_or(0, |list| list.split_whitespace().count())
        });
        Self {
            descriptors: entries("/proc/self/fd"),
            shared_files: entries("/dev/shm"),
            children: children.sum(),
            memory,
        }
    }

    pub(crate) fn exceed(&self, before: &Self) -> bool {
        self.descriptors > before.descriptors
            || self.shared_files > before.shared_files
            || self.children > before.children
            || self.memory > before.memory + GROWTH
    }
}

impl std::fmt::Display for Resources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { descriptors, shared_files, children, memory } = self;
        write!(
            f,
            "{descriptors} descriptors, {shared_files} files in /dev/shm, {children} children, \
             {} KiB of shared memory",
            memory >> 10
        )
    }
}
