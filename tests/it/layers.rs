//! The layers of the sources: arrows point down only.

use std::fs;
use std::path::Path;

/// Lowest first. A layer may use those before it.
const LAYERS: [&str; 6] = ["sys", "world", "sync", "shared", "channel", "process"];
/// What stands beside them and may be used from everywhere.
const BESIDE: [&str; 5] = ["error", "message", "testing", "Error", "ErrorKind"];

#[test]
fn arrows_point_down_only() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut seen = 0;
    for (rank, layer) in LAYERS.iter().enumerate() {
        for (path, text) in sources(&source.join(layer)) {
            // Documentation may point anywhere.
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            for used in code.flat_map(|line| line.split("crate::").skip(1)) {
                let name = used.split(|c: char| !c.is_alphanumeric()).next().unwrap();
                let is_below = LAYERS[..=rank].contains(&name) || BESIDE.contains(&name);
                assert!(is_below, "{}: {layer} uses crate::{name}", path.display());
                seen += 1;
            }
        }
    }
    assert!(seen > 100, "{seen} uses found: is this where the sources are?");
}

/// The texts of all sources of a layer: a folder, or a file.
fn sources(path: &Path) -> Vec<(std::path::PathBuf, String)> {
    let Ok(entries) = fs::read_dir(path) else {
        let file = path.with_extension("rs");
        return fs::read_to_string(&file).map(|text| (file, text)).into_iter().collect();
    };
    entries.flatten().flat_map(|entry| sources(&entry.path())).collect()
}
