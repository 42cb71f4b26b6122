//! The rooms of the house: arrows between files point down only, and no files use each other in a circle.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Lowest first. A file may use those of its own room and of rooms before it.
const ROOMS: [&str; 17] = [
    "testing", "error", "sys", "message", "forms", "liveness", "raw", "memory", "world", "handle",
    "sync", "shared", "channel", "process", "pool", "manager", "fuzzing",
];
/// The manual and the re-exports.
const ROOT: &str = "lib.rs";

/// All files below a folder, by their path from it.
pub(crate) fn sources(folder: &Path) -> BTreeMap<String, String> {
    fn collect(folder: &Path, from: &Path, found: &mut BTreeMap<String, String>) {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            if path.is_dir() {
                collect(&path, from, found);
            } else if path.extension().is_some_and(|it| it == "rs") {
                let name = path.strip_prefix(from).unwrap().to_str().unwrap().to_owned();
                found.insert(name, fs::read_to_string(&path).unwrap());
            }
        }
    }
    let mut found = BTreeMap::new();
    collect(folder, folder, &mut found);
    found
}

/// The code of a file: without comments, and without the unit tests at its end.
fn code(text: &str) -> String {
    let lines = text.lines().take_while(|line| line.trim() != "mod tests {");
    let lines = lines.map(|line| line.split("//").next().unwrap());
    lines.collect::<Vec<_>>().join("\n")
}

/// The module that a file is, as a path from the root.
fn module(file: &str) -> Vec<String> {
    let path = file.trim_end_matches(".rs").trim_end_matches("/mod");
    path.split('/').map(str::to_owned).collect()
}

/// The file that defines a module, or the nearest one above it.
fn file_of(module: &[String], files: &BTreeMap<String, String>) -> Option<String> {
    (1..=module.len()).rev().find_map(|len| {
        let path = module[..len].join("/");
        let names = [format!("{path}.rs"), format!("{path}/mod.rs")];
        names.into_iter().find(|name| files.contains_key(name))
    })
}

/// Whether a file is exactly this module.
fn module_is(file: &str, wanted: &[String]) -> bool {
    module(file) == wanted
}

/// Every path in `text` that begins with `start`: the names behind it, with braces taken apart.
fn paths(text: &str, start: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices(start) {
        let before = text[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
            continue;
        }
        read(&text[at + start.len()..], &mut Vec::new(), &mut found);
    }
    found
}

/// Reads one path or a list in braces; gives the rest of the text.
fn read<'a>(mut text: &'a str, prefix: &mut Vec<String>, found: &mut Vec<Vec<String>>) -> &'a str {
    let len = prefix.len();
    loop {
        text = text.trim_start();
        if let Some(mut inner) = text.strip_prefix('{') {
            loop {
                inner = read(inner, prefix, found).trim_start();
                match inner.strip_prefix(',') {
                    Some(rest) => inner = rest,
                    None => break,
                }
            }
            prefix.truncate(len);
            return inner.trim_start_matches('}');
        }
        let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
        if end > 0 {
            prefix.push(text[..end].to_owned());
        }
        text = &text[end..];
        match text.strip_prefix("::") {
            Some(rest) if end > 0 => text = rest,
            _ => {
                found.push(prefix.clone());
                prefix.truncate(len);
                return text;
            }
        }
    }
}

/// Which files each file uses.
fn arrows(files: &BTreeMap<String, String>) -> BTreeMap<String, BTreeSet<String>> {
    let mut arrows = BTreeMap::new();
    for (file, text) in files.iter().filter(|(file, _)| *file != ROOT) {
        let text = code(text);
        let here = module(file);
        let above = here[..here.len() - 1].to_vec();
        let mut used: Vec<Vec<String>> = paths(&text, "crate::");
        used.extend(paths(&text, "super::").into_iter().map(|path| [above.clone(), path].concat()));
        // Names of the module's own files, in a `use` line of a folder's `mod.rs`.
        let own = if file.ends_with("/mod.rs") { &here } else { &above };
        for line in text.split(';').filter(|line| {
            line.trim_start().starts_with("use ")
                || line.contains("pub use ")
                || line.contains(") use ")
        }) {
            let path = line.rsplit_once("use ").unwrap().1;
            let mut relative = Vec::new();
            read(path, &mut Vec::new(), &mut relative);
            let is_own = |path: &Vec<String>| {
                let module =
                    path.first().map(|name| [&own[..], std::slice::from_ref(name)].concat());
                module.is_some_and(|module| {
                    file_of(&module, files).is_some_and(|it| module_is(&it, &module))
                })
            };
            let relative = relative.into_iter().filter(is_own);
            used.extend(relative.map(|path| [own.clone(), path].concat()));
        }
        let targets = used.iter().filter_map(|path| file_of(path, files));
        let targets: BTreeSet<String> =
            targets.filter(|target| target != file && target != ROOT).collect();
        arrows.insert(file.clone(), targets);
    }
    arrows
}

/// What is wrong with the arrows: one line each.
fn faults(files: &BTreeMap<String, String>) -> Vec<String> {
    let rank = |file: &str| {
        let room = module(file).remove(0);
        ROOMS.iter().position(|it| *it == room).unwrap_or_else(|| panic!("{file} has no room"))
    };
    let arrows = arrows(files);
    let mut faults = Vec::new();
    for (from, targets) in &arrows {
        for to in targets.iter().filter(|to| rank(to) > rank(from)) {
            faults.push(format!("up: {from} uses {to}"));
        }
    }
    for file in arrows.keys() {
        if let Some(circle) = circle(file, &arrows) {
            faults.push(format!("circle: {}", circle.join(" -> ")));
        }
    }
    faults
}

/// The shortest way from a file back to itself.
fn circle(start: &str, arrows: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    let mut ways = std::collections::VecDeque::from([vec![start.to_owned()]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        for next in arrows.get(way.last()?).into_iter().flatten() {
            let way = [way.clone(), vec![next.clone()]].concat();
            if next == start {
                return Some(way);
            }
            if seen.insert(next.clone()) {
                ways.push_back(way);
            }
        }
    }
    None
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

#[test]
fn arrows_point_down_only_and_nowhere_in_a_circle() {
    let files = sources(&source());
    let count: usize = arrows(&files).values().map(BTreeSet::len).sum();
    assert!(count > 200, "{count} arrows found: is this where the sources are?");
    let faults = faults(&files);
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn an_arrow_upwards_and_a_circle_are_found() {
    let mut files = sources(&source());
    files.get_mut("liveness/slot.rs").unwrap().push_str("\nuse crate::memory::Block;\n");
    assert!(faults(&files).iter().any(|it| it.starts_with("up: liveness/slot.rs")));
    let mut files = sources(&source());
    files.get_mut("liveness/slot.rs").unwrap().push_str("\nuse super::registry::Registry;\n");
    assert!(faults(&files).iter().any(|it| it.starts_with("circle: ")));
}
