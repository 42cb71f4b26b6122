//! More than one copy of this crate in a process: two versions of it in one program, a fork of it with the same version, and
//! one in a shared library. Everything works, or is a typed error; no program starts itself without end.
//!
//! The programs are built for it, from `tests/copies/`: `program` has three copies and loads `plugin`, a shared library with one of its
//! own; `host` has none and loads it too.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where the programs are built.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("copies")
}

/// Makes a folder with a package of the same sources, of another name or version.
fn copy(to: &Path, name: &str, version: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = fs::read_to_string(root.join("Cargo.toml")).unwrap();
    // What only this package's own tests need is left out, and with it the workspace.
    let (manifest, _) = manifest.split_once("[dev-dependencies]").unwrap();
    let own = format!("version = \"{}\"", env!("CARGO_PKG_VERSION"));
    assert!(manifest.contains(&own));
    fs::create_dir_all(to).unwrap();
    let manifest = manifest.replacen(&own, &format!("version = \"{version}\""), 1);
    let manifest = manifest.replacen("name = \"multiproc\"", &format!("name = \"{name}\""), 1);
    write(&to.join("Cargo.toml"), &manifest);
    if !to.join("src").exists() {
        symlink(root.join("src"), to.join("src")).unwrap();
    }
}

/// Writes a file, unless it says that already: what has not changed is not built again.
fn write(path: &Path, text: &str) {
    if fs::read_to_string(path).ok().as_deref() != Some(text) {
        fs::write(path, text).unwrap();
    }
}

/// Builds the programs; the folder where they are.
fn build() -> PathBuf {
    let (folder, root) = (folder(), Path::new(env!("CARGO_MANIFEST_DIR")));
    copy(&folder.join("newer"), "multiproc", "7.0.0");
    copy(&folder.join("twin"), "multiproc-twin", env!("CARGO_PKG_VERSION"));
    copy(&folder.join("first"), "multiproc", env!("CARGO_PKG_VERSION"));
    for package in ["program", "plugin", "host"] {
        fs::create_dir_all(folder.join(package)).unwrap();
        // Under another name: a `Cargo.toml` would keep its folder out of the published package.
        for (from, to) in [("manifest.toml", "Cargo.toml"), ("main.rs", "main.rs")] {
            let text = fs::read_to_string(root.join("tests/copies").join(package).join(from));
            write(&folder.join(package).join(to), &text.unwrap());
        }
    }
    let workspace = "[workspace]\nresolver = \"3\"\nmembers = [\"program\", \"plugin\", \"host\"]\n\
                     exclude = [\"first\", \"newer\", \"twin\"]\n";
    write(&folder.join("Cargo.toml"), workspace);
    // The same versions of all others, which are there.
    if !folder.join("Cargo.lock").exists() {
        fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--workspace", "--quiet"])
        .current_dir(&folder)
        .env("CARGO_TARGET_DIR", folder.join("target"))
        .output()
        .expect("cargo can be started");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the programs do not build:\n{said}");
    folder.join("target/debug")
}

/// Runs a program; what it and all that it started have said.
fn run(folder: &Path, program: &str, what: &str, environment: &[(&str, &str)]) -> String {
    // Whatever starts itself without end is stopped by its number of processor seconds, and the test says what it said.
    let output = Command::new("/bin/sh")
        .args(["-c", "ulimit -t 60; exec \"$0\" \"$@\""])
        .arg(folder.join(program))
        .args([what, folder.join("libplugin.so").to_str().unwrap()])
        .envs(environment.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {what}: {}\n{said}\n{errors}", output.status);
    said
}

#[test]
fn copies_of_the_crate_live_side_by_side() {
    let folder = build();
    let plugin = folder.join("libplugin.so");
    let preload = [("LD_PRELOAD", plugin.to_str().unwrap())];
    let refused = "plugin: a lock works; a process is Unsupported: multiproc itself is in a shared \
                   library and not in the main executable: a child runs the main executable and finds only what is linked \
                   into it; link it statically, or start the process from the program\n";
    // Each says "main" once: no child, of any copy, comes to it.
    assert_eq!(run(&folder, "program", "copies", &[]), "main\nall is well\n");
    assert_eq!(run(&folder, "program", "copies", &preload), "main\nall is well\n");
    assert_eq!(run(&folder, "program", "plugin", &[]), format!("main\n{refused}all is well\n"));
    assert_eq!(run(&folder, "host", "plugin", &[]), format!("main\n{refused}"));
    // As a child that has lost its way: a ticket for a program without this crate.
    let ticket = format!("{}@1 1 1 1 3 1 0", env!("CARGO_PKG_VERSION"));
    let said = run(&folder, "host", "plugin", &[("MULTIPROC_CHILD", &ticket)]);
    assert!(said.starts_with("main\nplugin: a lock works; a process is Unsupported"), "{said}");
}
