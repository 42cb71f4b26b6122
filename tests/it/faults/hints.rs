//! What the compiler says to whoever writes the wrong thing first: what is wrong, and what helps.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Words, and how a program that has them must be refused: at a line, one after the other.
const REFUSED: [(&str, &[&[&str]]); 3] = [
    (
        "use multiproc::{Event, Lock, Process, Queue};

        mod anyhow {
            #[derive(Debug)]
            pub struct Error;
        }

        fn io() -> std::io::Result<u8> { Ok(1) }
        fn boxed() -> Result<u8, Box<dyn std::error::Error>> { Ok(1) }
        fn any() -> Result<u8, anyhow::Error> { Ok(1) }
        fn one(n: u8) -> u8 { n }

        fn main() {
            let _ = Process::spawn(io, ());
            let _ = Process::spawn(boxed, ());
            let _ = Process::spawn(any, ());
            let _ = Process::spawn(one, 1);
            let _ = Process::<u8>::new();
            let _ = Process::<u8>::start();
            let _ = Lock::create();
            let _ = Event::create();
            let _ = Queue::<u8>::create();
        }",
        &[
            &["Result<u8, std::io::Error>` cannot be brought back", TRAVELS, ANY_TRAVELS],
            &["dyn std::error::Error + 'static)>>` cannot be brought back", TRAVELS, ANY_TRAVELS],
            &["anyhow::Error>` cannot be brought back", TRAVELS, ANY_TRAVELS],
            &["is no argument tuple for parameters `(u8,)`", "`(x,)`, and `()` when there is none"],
            &["no function or associated item named `new` found for struct `Process"],
            &["no function or associated item named `start` found for struct `Process"],
            &["no function or associated item named `create` found for struct"],
            &["no function or associated item named `create` found for struct"],
            &["no function or associated item named `create` found for struct"],
        ],
    ),
    // What borrows is found in a later pass. These are the compiler's words, which the documentation of `spawn` explains.
    (
        "fn len(text: &'static str) -> usize { text.len() }
        fn main() { let _ = multiproc::Process::spawn(len, (\"x\",)); }",
        &[&["Deserialize` is not general enough"]],
    ),
    (
        "fn len(text: &str) -> usize { text.len() }
        fn main() { let _ = multiproc::Process::spawn(len, (\"x\",)); }",
        &[&["Deserialize` is not general enough"]],
    ),
];

const TRAVELS: &str =
    "let the function return `multiproc::Result<T>`, in which `?` takes an `io::Error`";
const ANY_TRAVELS: &str = "`.map_err(multiproc::Error::other)` takes any error";

/// Compiles and links nothing; whether it is a program, and what the compiler says.
fn check(text: &str, library: &Path) -> (bool, String) {
    let name = format!("multiproc-hints-{}", std::process::id());
    let source = std::env::temp_dir().join(name);
    fs::write(&source, text).unwrap();
    let cargo = std::env::var_os("CARGO").map(PathBuf::from);
    let compiler = cargo.map_or("rustc".into(), |cargo| cargo.with_file_name("rustc"));
    let result = source.with_extension("rmeta");
    let output = Command::new(compiler)
        .args(["--edition", "2024", "--crate-name", "hints", "--crate-type", "bin"])
        .args(["--emit", "metadata", "-L"])
        .arg(format!("dependency={}", library.parent().unwrap().display()))
        .arg("--extern")
        .arg(format!("multiproc={}", library.display()))
        .arg("-o")
        .args([&result, &source])
        .output();
    let _ = (fs::remove_file(&source), fs::remove_file(&result));
    let output = output.expect("the compiler can be started");
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// The library with which this test was built, or another one that lies there: whichever was made last and can be used.
fn library() -> Option<PathBuf> {
    let program = std::env::current_exe().unwrap();
    let files = fs::read_dir(program.parent().unwrap()).unwrap().flatten();
    let mut found: Vec<_> = files
        .filter(|file| {
            let name = file.file_name().into_string().unwrap_or_default();
            name.starts_with("libmultiproc-") && name.ends_with(".rlib")
        })
        .filter_map(|file| Some((file.metadata().ok()?.modified().ok()?, file.path())))
        .collect();
    found.sort();
    let works = |path: &PathBuf| {
        check("fn main() { let _ = multiproc::Process::spawn(|| 1, ()); }", path).0
    };
    found.into_iter().rev().map(|(_, path)| path).take(8).find(works)
}

#[test]
fn the_compiler_says_what_helps() {
    let Some(library) = library() else {
        println!("skipped: no library beside this program that its compiler can use");
        return;
    };
    for (text, expected) in REFUSED {
        let (compiles, said) = check(text, &library);
        assert!(!compiles, "it compiles: {text}");
        let mut errors = said.split("\nerror").filter(|part| part.contains("-->"));
        for parts in expected {
            let error = errors.next().unwrap_or_default();
            for part in *parts {
                assert!(error.contains(part), "no {part:?} in {error}\nin\n{said}");
            }
        }
        assert_eq!(errors.next(), None, "one more\n{said}");
        assert!(!said.contains("private"), "{said}");
    }
}
