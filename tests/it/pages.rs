//! The developers' pages: every file that they name exists, and every file is named. And the list of mutants: each text is there.

use std::fs;
use std::path::{Path, PathBuf};

/// What stands in backticks and ends as a file of this package does.
fn named(page: &str) -> impl Iterator<Item = &str> {
    let quoted = page.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    quoted.filter(|name| name.ends_with(".rs") || name.ends_with(".md"))
}

#[test]
fn every_file_that_a_page_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut count = 0;
    for page in ["src/README.md", "src/liveness/README.md"] {
        let text = fs::read_to_string(root.join(page)).unwrap();
        for name in named(&text) {
            let exists = root.join("src").join(name).exists() || root.join(name).exists();
            assert!(exists, "{page} names {name}, which is neither in src nor beside it");
            count += 1;
        }
    }
    assert!(count > 100, "{count} files named: are these the pages?");
}

#[test]
fn every_room_is_on_the_page() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let page = fs::read_to_string(source.join("README.md")).unwrap();
    for room in fs::read_dir(&source).unwrap().flatten() {
        let name = room.file_name().into_string().unwrap();
        let row =
            if room.path().is_dir() { format!("| `{name}/` |") } else { format!("| `{name}` |") };
        assert!(name == "README.md" || page.contains(&row), "src/README.md has no row for {name}");
    }
}

/// All sources below a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = paths.flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] });
    files.filter(|path| path.extension().is_some_and(|it| it == "rs")).collect()
}

#[test]
fn every_source_file_is_listed_by_its_folder_or_the_page() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let page = fs::read_to_string(source.join("README.md")).unwrap();
    for path in sources(&source) {
        let (folder, stem) = (path.parent().unwrap(), path.file_stem().unwrap().to_str().unwrap());
        let name = path.strip_prefix(&source).unwrap().to_str().unwrap();
        if stem == "mod" || name.contains("tests") || page.contains(&format!("`{name}`")) {
            continue;
        }
        let lists = ["mod.rs", "README.md"].map(|list| fs::read_to_string(folder.join(list)));
        let is_listed = lists.iter().flatten().any(|list| list.contains(&format!("`{stem}`")));
        assert!(is_listed, "{name} has no line in the head of its folder's module");
    }
}

#[test]
fn every_mutant_changes_one_place() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    // The published package has none.
    let Ok(list) = fs::read_to_string(root.join(".ci/mutants.list")) else { return };
    let mut count = 0;
    for block in list.split("\n\n") {
        let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name));
        let Some(name) = field("name: ") else { continue };
        let (file, text) = (field("file: ").unwrap(), field("text: ").unwrap());
        let source = fs::read_to_string(root.join(file)).unwrap();
        let places = source.matches(&text.replace("\\n", "\n")).count();
        assert_eq!(places, 1, "{name}: so many places in {file} are {text}");
        count += 1;
    }
    assert!(count > 5, "{count} mutants: is this the list?");
}
