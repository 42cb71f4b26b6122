//! Programs without the start-up hook: they are told what is missing, and `init` takes its place.
//!
//! This test has a `main` of its own, since a child comes to its first line. It runs itself three times.

use std::process::{Command, ExitCode};

use multiproc::{Process, Result, current_process, parent_process};

/// As if the linker had left the hook out.
const NO_HOOK: (&str, &str) = ("MULTIPROC_TEST_NO_HOOK", "1");

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["init"] => {
            multiproc::init();
            println!("main");
            has_children().expect("children run and bring their results");
        }
        ["nothing"] => {
            let error = Process::spawn(|| {}, ()).expect_err("there is no hook");
            assert_eq!(error.kind(), multiproc::ErrorKind::Unsupported);
            println!("{error}");
        }
        // Whatever the test runner asks for.
        _ => test(),
    }
    ExitCode::SUCCESS
}

fn has_children() -> Result<()> {
    let child = || {
        let has_parent = parent_process().is_some();
        let inner = Process::spawn(|| current_process().to_string(), ()).and_then(Process::join);
        // What it starts does not take itself for a child.
        let is_marked = std::env::var_os("MULTIPROC_CHILD").is_some();
        (has_parent, is_marked, inner)
    };
    let (has_parent, is_marked, inner) = Process::spawn(child, ())?.join()?;
    assert_eq!((has_parent, is_marked, inner?.as_str()), (true, false, "Process-1:1"));
    let error = Process::spawn(|| panic!("as usual"), ())?.join().unwrap_err();
    assert_eq!(error.child().and_then(|child| child.message()), Some("as usual"));
    Ok(())
}

fn test() {
    // Each process reaches `init`, and the child returns from it never: one `main`.
    for environment in [None, Some(NO_HOOK)] {
        assert_eq!(run("init", environment), "main\n");
    }
    let said = run("nothing", Some(NO_HOOK));
    let expected = "cannot start process \"Process-1\": multiproc's start-up hook in .init_array was not called: the linker has \
         removed it, or whatever started this program skips constructors. Call multiproc::init() in the first line of main\n";
    assert_eq!(said, expected);
    println!("test init ... ok");
}

fn run(what: &str, environment: Option<(&str, &str)>) -> String {
    let output = Command::new("/proc/self/exe").arg(what).envs(environment).output().unwrap();
    assert!(output.status.success(), "{what} {environment:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}
