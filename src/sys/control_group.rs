//! How much memory the control group of this process may use.
//!
//! The kernel tells in two files what is needed: `/proc/self/cgroup` has the group's path in each hierarchy, and
//! `/proc/self/mountinfo` says where a hierarchy is mounted and which of its groups is the root of the mount. A limit holds for
//! everything below it, so every group from this process's own up to the root of the mount is asked, in both versions, and the
//! smallest answer counts.
//!
//! Source: `cgroups(7)`; `proc_pid_mountinfo(5)`; the kernel's `Documentation/admin-guide/cgroup-v2.rst`.

use std::fs;
use std::path::{Component, Path, PathBuf};

/// One version of control groups.
struct Version {
    /// The type of file system under which the kernel mounts it.
    file_system: &'static str,
    /// The file in a group's directory that has the limit in bytes, or a word.
    limit: &'static str,
    /// Where it is mounted if nothing says so.
    usual: &'static str,
}

const FIRST: Version = Version {
    file_system: "cgroup",
    limit: "memory.limit_in_bytes",
    usual: "/sys/fs/cgroup/memory",
};
const SECOND: Version =
    Version { file_system: "cgroup2", limit: "memory.max", usual: "/sys/fs/cgroup" };

/// A mounted hierarchy: which of its groups is mounted, and where.
struct Mount {
    group: PathBuf,
    place: PathBuf,
}

/// The smallest limit that this process's own control groups set, in bytes; `None` if there is none. All paths start at `root`, which
/// is `/` but in tests.
pub(crate) fn memory_limit(root: &Path) -> Option<u64> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).ok()?;
    let mounts = fs::read_to_string(root.join("proc/self/mountinfo")).unwrap_or_default();
    groups.lines().filter_map(|line| limit_in_hierarchy(line, &mounts, root)).min()
}

/// The smallest limit in the hierarchy of which a line of `/proc/self/cgroup` tells.
fn limit_in_hierarchy(line: &str, mounts: &str, root: &Path) -> Option<u64> {
    let mut parts = line.splitn(3, ':').skip(1);
    let (controllers, group) = (parts.next()?, Path::new(parts.next()?));
    let version = match controllers {
        "" => SECOND,
        list if list.split(',').any(|it| it == "memory") => FIRST,
        _ => return None,
    };
    let mut found: Vec<Mount> =
        mounts.lines().filter_map(|line| mount_of(line, &version)).collect();
    if found.is_empty() {
        found.push(Mount { group: "/".into(), place: version.usual.into() });
    }
    let limit = |mount: Mount| limit_below(&mount, group, version.limit, root);
    found.into_iter().filter_map(limit).min()
}

/// What a line of `/proc/self/mountinfo` says, if it is about the memory of this version.
fn mount_of(line: &str, version: &Version) -> Option<Mount> {
    // 35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
    let (front, back) = line.split_once(" - ")?;
    let mut front = front.split(' ').skip(3);
    let (group, place) = (front.next()?, front.next()?);
    let mut back = back.split(' ');
    let file_system = back.next()?;
    let is_about_memory = back.nth(1)?.split(',').any(|option| option == "memory");
    let is_it = file_system == version.file_system
        && (version.file_system == SECOND.file_system || is_about_memory);
    is_it.then(|| Mount { group: unescaped(group), place: unescaped(place) })
}

/// A path of `mountinfo`, where spaces and their like are written as three octal digits.
fn unescaped(text: &str) -> PathBuf {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        let digits = behind.get(..3).and_then(|it| std::str::from_utf8(it).ok());
        match digits.and_then(|it| u8::from_str_radix(it, 8).ok()).filter(|_| first == b'\\') {
            Some(byte) => {
                bytes.push(byte);
                rest = &behind[3..];
            }
            None => {
                bytes.push(first);
                rest = behind;
            }
        }
    }
    PathBuf::from(String::from_utf8_lossy(&bytes).into_owned())
}

/// The smallest limit of a group and of those above it, as far as the mount shows them.
fn limit_below(mount: &Mount, group: &Path, file: &str, root: &Path) -> Option<u64> {
    let inside = |path: &Path| path.strip_prefix("/").map(Path::to_owned).unwrap_or_default();
    let place = root.join(inside(&mount.place));
    // A group that the mount does not show, or that lies outside this process's namespace (`/../x`): its root is the nearest one.
    let below = group.strip_prefix(&mount.group).ok();
    let below =
        below.filter(|path| path.components().all(|part| matches!(part, Component::Normal(_))));
    let mut folder = place.join(below.unwrap_or(Path::new("")));
    let mut smallest = None;
    loop {
        let limit = fs::read_to_string(folder.join(file)).ok();
        // "max", which means none, is no number.
        let limit = limit.and_then(|text| text.trim().parse::<u64>().ok());
        smallest = smallest.into_iter().chain(limit).min();
        if folder == place || !folder.pop() {
            return smallest;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    /// A root folder with the two files of the kernel, and with limits.
    struct Tree(PathBuf);

    impl Tree {
        fn new(cgroup: &str, mountinfo: &str, limits: &[(&str, &str)]) -> Tree {
            static COUNT: AtomicU32 = AtomicU32::new(0);
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            let name = format!("multiproc-{}-{number}-groups", std::process::id());
            let tree = Tree(std::env::temp_dir().join(name));
            tree.write("proc/self/cgroup", cgroup);
            tree.write("proc/self/mountinfo", mountinfo);
            limits.iter().for_each(|(path, limit)| tree.write(path, limit));
            tree
        }

        fn write(&self, path: &str, text: &str) {
            let path = self.0.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }

        fn limit(&self) -> Option<u64> {
            memory_limit(&self.0)
        }
    }

    impl Drop for Tree {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    const V1: &str = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n\
        32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n\
        35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory\n";
    const V2: &str = "31 23 0:28 / /sys/fs/cgroup rw,relatime shared:4 - cgroup2 cgroup2 rw\n";
    const UNLIMITED: &str = "9223372036854771712\n";

    #[test]
    fn the_limit_is_that_of_the_processs_own_group() {
        let cgroup = "9:name=systemd:/\n4:memory:/a.slice/b.service\n1:cpu:/other\n0::/\n";
        let tree = Tree::new(
            cgroup,
            V1,
            &[
                ("sys/fs/cgroup/memory/memory.limit_in_bytes", UNLIMITED),
                ("sys/fs/cgroup/memory/a.slice/b.service/memory.limit_in_bytes", "268435456\n"),
                ("sys/fs/cgroup/memory/other/memory.limit_in_bytes", "4096\n"),
            ],
        );
        assert_eq!(tree.limit(), Some(268435456));
        let tree = Tree::new(
            "0::/a.slice/b.service\n",
            V2,
            &[
                ("sys/fs/cgroup/a.slice/b.service/memory.max", "1000000\n"),
                ("sys/fs/cgroup/other/memory.max", "4096\n"),
            ],
        );
        assert_eq!(tree.limit(), Some(1000000));
    }

    #[test]
    fn the_smallest_limit_up_the_chain_counts() {
        let limits = [
            ("sys/fs/cgroup/a/memory.max", "500\n"),
            ("sys/fs/cgroup/a/b/memory.max", "700\n"),
            ("sys/fs/cgroup/a/b/c/memory.max", "max\n"),
        ];
        assert_eq!(Tree::new("0::/a/b/c\n", V2, &limits).limit(), Some(500));
        assert_eq!(Tree::new("0::/a/b/c\n", V2, &limits[1..]).limit(), Some(700));
        assert_eq!(Tree::new("0::/a/b/c\n", V2, &limits[2..]).limit(), None);
        assert_eq!(Tree::new("0::/a/b/c\n", V2, &[]).limit(), None);
    }

    #[test]
    fn the_smaller_of_both_versions_counts() {
        let mounts = format!("{V1}41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
        let limits = [
            ("sys/fs/cgroup/memory/x/memory.limit_in_bytes", "600\n"),
            ("sys/fs/cgroup/unified/y/memory.max", "400\n"),
        ];
        let cgroup = "4:memory,blkio:/x\n0::/y\n";
        assert_eq!(Tree::new(cgroup, &mounts, &limits).limit(), Some(400));
        assert_eq!(Tree::new(cgroup, &mounts, &limits[..1]).limit(), Some(600));
    }

    #[test]
    fn paths_are_relative_to_what_is_mounted() {
        // A container without a namespace of its own sees its own group at the mount.
        let mounts =
            "9 8 0:1 /docker/abc /sys/fs/cgroup ro master:7 - cgroup2 cgroup rw,nsdelegate\n";
        let limits =
            [("sys/fs/cgroup/memory.max", "900\n"), ("sys/fs/cgroup/inner/memory.max", "300\n")];
        assert_eq!(Tree::new("0::/docker/abc/inner\n", mounts, &limits).limit(), Some(300));
        assert_eq!(Tree::new("0::/docker/abc\n", mounts, &limits).limit(), Some(900));
        // What the mount does not show: its root is the nearest that can be seen.
        assert_eq!(Tree::new("0::/elsewhere/inner\n", mounts, &limits).limit(), Some(900));
        assert_eq!(Tree::new("0::/../inner\n", V2, &limits).limit(), Some(900));
    }

    #[test]
    fn odd_files_are_no_limits() {
        let limits = [("sys/fs/cgroup/my group/memory.max", "800\n")];
        let mounts = "1 2 0:1 / /sys/fs/cgroup\\040x rw - cgroup2 cgroup2 rw\n";
        assert_eq!(Tree::new("0::/my group\n", V2, &limits).limit(), Some(800));
        assert_eq!(Tree::new("0::/my group\n", mounts, &limits).limit(), None);
        // Nothing mounted that anybody told of: where it usually is.
        assert_eq!(Tree::new("0::/my group\n", "", &limits).limit(), Some(800));
        for cgroup in ["", "0", "0:", "0::", "::::", "x:memory", "\u{0}", "4:memory:relative"] {
            assert_eq!(Tree::new(cgroup, "- - -\n 1 - cgroup", &[]).limit(), None, "{cgroup:?}");
        }
        assert_eq!(unescaped("a\\040b\\011c\\"), Path::new("a b\tc\\"));
    }
}
