//! Starting a process that does nothing and joining it, beside programs that do nothing and a thread.

mod common;

use std::cell::RefCell;
use std::env;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, ExitStatus, Stdio};
use std::thread;

use common::{Bench, Sample, Unit, os};
use multiproc::{Event, Process, Result};

/// Tells this program to end at once.
const NOTHING: &str = "--nothing";
/// Tells this program to have so many idle children, and to start and join others as it is told.
const FAMILY: &str = "--family";

fn main() -> ExitCode {
    if env::args().nth(1).is_some_and(|argument| argument == NOTHING) {
        return ExitCode::SUCCESS;
    }
    if env::args().nth(1).is_some_and(|argument| argument == FAMILY) {
        let alive = env::args().nth(2).and_then(|count| count.parse().ok()).unwrap_or(0);
        run_family(alive).expect("all go well");
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
    let families = [10, 300, 500].map(Family::start);
    let mut cell = bench.cell("start and join, others alive", Unit::Microseconds).fixed(20, 5);
    for family in &families {
        let name = format!("Process, {} idle children", family.alive);
        cell = cell.side(&name, move |n| Sample::of_each(family.starts(n)));
    }
    cell.run();
    families.into_iter().for_each(Family::end);
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

/// A process with idle children, that starts and joins others.
struct Family {
    alive: usize,
    process: Child,
    talk: RefCell<(ChildStdin, BufReader<ChildStdout>)>,
}

impl Family {
    fn start(alive: usize) -> Family {
        let this = env::current_exe().expect("this program has a path");
        let mut command = Command::new(this);
        command.args([FAMILY, &alive.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("the program starts");
        let (input, output) = (process.stdin.take(), process.stdout.take());
        let (input, output) = input.zip(output).expect("both are pipes");
        Family { alive, process, talk: RefCell::new((input, BufReader::new(output))) }
    }

    /// The times of so many starts with their joins.
    fn starts(&self, count: u64) -> Vec<u64> {
        let mut talk = self.talk.borrow_mut();
        writeln!(talk.0, "{count}").expect("the family is there");
        let mut line = String::new();
        talk.1.read_line(&mut line).expect("the family answers");
        line.split_whitespace().filter_map(|time| time.parse().ok()).collect()
    }

    fn end(mut self) {
        drop(self.talk);
        self.process.wait().expect("it ends with its input");
    }
}

fn run_family(alive: usize) -> Result<()> {
    let gate = Event::new()?;
    let idle = |gate: Event| gate.wait();
    let children =
        (0..alive).map(|_| Process::spawn(idle, (&gate,))).collect::<Result<Vec<_>>>()?;
    for line in std::io::stdin().lines() {
        let count: u64 = line?.trim().parse().unwrap_or(0);
        let mut times = String::new();
        for _ in 0..count {
            let start = os::now();
            Process::spawn(|| {}, ())?.join()?;
            times.push_str(&format!("{} ", os::now() - start));
        }
        println!("{times}");
    }
    gate.set();
    children.into_iter().try_for_each(|child| child.join()?)
}

fn status(program: impl AsRef<OsStr>, arguments: &[&str]) -> ExitStatus {
    Command::new(program).args(arguments).status().expect("the program starts")
}
