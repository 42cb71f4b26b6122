//! Starting a process that does nothing and joining it, beside programs that do nothing and a thread.

mod common;

use std::env;
use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, ExitCode, ExitStatus};
use std::thread;

use common::{Bench, Sample, Unit, os};
use multiproc::{Process, Result};

/// Tells this program to end at once.
const NOTHING: &str = "--nothing";

fn main() -> ExitCode {
    if env::args().nth(1).is_some_and(|argument| argument == NOTHING) {
        return ExitCode::SUCCESS;
    }
    check().expect("a process runs and brings its result");

    let truth = ["/bin/true", "/usr/bin/true"].into_iter().find(|path| Path::new(path).exists());
    let this = env::current_exe().expect("this program has a path");
    let mut bench = Bench::start("process");
    let mut cell = bench.cell("start and join, does nothing", Unit::Microseconds).fixed(60, 2);
    if let Some(truth) = truth {
        cell = cell.side(&format!("Command {truth} (posix_spawn)"), move |n| {
            each(n, || assert!(status(truth, &[]).success()))
        });
    }
    cell.side("Command of this program, ends in main", |n| {
        each(n, || assert!(status(&this, &[NOTHING]).success()))
    })
    .side("std::thread", |n| each(n, || thread::spawn(|| {}).join().expect("no panic")))
    .side("Process", |n| {
        each(n, || Process::spawn(|| {}, ()).and_then(Process::join).expect("all go well"))
    })
    .run();
    bench.finish();
    ExitCode::SUCCESS
}

fn check() -> Result<()> {
    let child = Process::spawn(|a: u64, b: String| (a, b, std::process::id()), (6, "seven"))?;
    let id = child.id();
    assert_eq!(child.join()?, (6, "seven".to_owned(), id));
    assert_ne!(id, std::process::id());
    Ok(())
}

fn each(count: u64, mut once: impl FnMut()) -> Sample {
    let time = |_| {
        let start = os::now();
        once();
        os::now() - start
    };
    Sample::of_each((0..count).map(time).collect())
}

fn status(program: impl AsRef<OsStr>, arguments: &[&str]) -> ExitStatus {
    Command::new(program).args(arguments).status().expect("the program starts")
}
