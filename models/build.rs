//! Says where the package's files are, for `src/lib.rs`; for those with weakened variants, a copy with all of them.
//!
//! A weakened variant stands beside the original behind a switch, which a model turns on. `src/weakened.rs` lists them all.
//! The build fails where a text is not found exactly once.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

#[path = "src/weakened.rs"]
mod weakened;
use weakened::{WEAKENED, Weakened};

/// The package's files are looked after by the package's lints.
const LINTS: &str = "#[allow(unused, unreachable_pub, private_interfaces, clippy::all)]";

/// The package's files by room. What ends in `/` is a folder, with a `mod.rs`.
const ROOMS: &[(&str, &[&str])] = &[
    ("", &["error/", "forms.rs", "handle/", "message/", "sync/"]),
    (
        "liveness",
        &[
            "keeper.rs",
            "registry.rs",
            "sleepers.rs",
            "slot.rs",
            "spin.rs",
            "spot.rs",
            "thread.rs",
            "view.rs",
        ],
    ),
    (
        "raw",
        &[
            "barrier.rs",
            "batch.rs",
            "claims.rs",
            "condition.rs",
            "event_count.rs",
            "fairness.rs",
            "flag.rs",
            "lock.rs",
            "outcome.rs",
            "permits/",
            "records/",
            "reentry.rs",
            "ring/",
            "short_lock.rs",
        ],
    ),
    (
        "memory",
        &[
            "alloc.rs",
            "arena.rs",
            "block.rs",
            "id.rs",
            "objects.rs",
            "presence.rs",
            "record.rs",
            "store.rs",
            "sweep.rs",
            "walk.rs",
        ],
    ),
    ("shared", &["borrow.rs"]),
    ("channel", &["pipe/", "queue/", "tag.rs"]),
    ("manager", &["number.rs", "replies.rs"]),
    ("sys", &["shared.rs"]),
    ("world", &["kind.rs"]),
];

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../src");
    let root = root.canonicalize().expect("the package's sources");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=src/weakened.rs");
    println!("cargo::rerun-if-changed={}", REPLACED.1);
    println!("cargo::rerun-if-changed={}", root.display());
    for (room, entries) in ROOMS {
        let mut modules = String::new();
        for entry in *entries {
            let relative = Path::new(room).join(entry);
            let from = if is_weakened(&relative) {
                copy(&root, &out, &relative);
                out.join(&relative)
            } else {
                root.join(&relative)
            };
            let name = entry.trim_end_matches('/').trim_end_matches(".rs");
            let file = if entry.ends_with('/') { from.join("mod.rs") } else { from };
            writeln!(modules, "{LINTS}\n#[path = \"{}\"]\npub(crate) mod {name};", file.display())
                .expect("a String");
        }
        let name = if room.is_empty() { "root" } else { room };
        write(&out.join(format!("{name}_modules.rs")), &modules);
    }
}

fn is_weakened(relative: &Path) -> bool {
    WEAKENED.iter().any(|weakened| Path::new(weakened.file).starts_with(relative))
}

/// A file of a folder in place of which the models have their own.
const REPLACED: (&str, &str) = ("channel/pipe/span.rs", "src/channel/span.rs");

/// Copies a file, or the files of a folder, with the weakened variants.
fn copy(root: &Path, out: &Path, relative: &Path) {
    let from = root.join(relative);
    if from.is_dir() {
        for entry in std::fs::read_dir(&from).expect("a folder of sources") {
            let name = entry.expect("a readable folder").file_name();
            copy(root, out, &relative.join(name));
        }
        return;
    }
    let from = match Path::new(REPLACED.0) == relative {
        true => Path::new(env!("CARGO_MANIFEST_DIR")).join(REPLACED.1),
        false => from,
    };
    let text = std::fs::read_to_string(&from).unwrap_or_else(|error| {
        panic!("{}: {error}: tell models/build.rs where it went", from.display())
    });
    let file = relative.to_str().expect("a path of ours");
    write(&out.join(relative), &weaken(text, file));
}

/// Puts the weakened variants beside the originals.
fn weaken(mut text: String, file: &str) -> String {
    let ours: Vec<&Weakened> = WEAKENED.iter().filter(|weakened| weakened.file == file).collect();
    let mut switches = BTreeMap::new();
    for variant in &ours {
        let Weakened { name, within, original, weak, .. } = variant;
        let context = if within.is_empty() { original } else { within };
        let times = (text.matches(context).count(), context.matches(original).count());
        assert_eq!(
            times,
            (1, 1),
            "{file}: src/weakened.rs needs this text exactly once:\n{context}"
        );
        let at = text.find(context).unwrap_or(0) + context.find(original).unwrap_or(0);
        let (_, switch) = switches.entry(at).or_insert((original.len(), String::new()));
        write!(switch, "if crate::sim::is_weakened(\"{name}\") {{ {weak} }} else ")
            .expect("a String");
    }
    // From the end, so that what comes before stays where it is.
    for (at, (len, switch)) in switches.into_iter().rev() {
        let original = text[at..at + len].to_owned();
        text.replace_range(at..at + len, &format!("({switch}{{ {original} }})"));
    }
    text
}

fn write(path: &Path, text: &str) {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("OUT_DIR is writable");
    std::fs::write(path, text).expect("OUT_DIR is writable");
}
