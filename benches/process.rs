//! Starting a process that does nothing and joining it, by both start methods, beside programs that do nothing, a bare fork and a
//! thread; also in a parent that holds much, and while others are alive.

mod common;

use std::cell::RefCell;
use std::env;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, ExitStatus, Stdio};
use std::thread;

use common::{Bench, Goal, Sample, Unit, os};
use multiproc::{Event, Process, Result, StartMethod};

/// Tells this program to end at once.
const NOTHING: &str = "--nothing";
/// Tells this program to have so many idle children, bytes and threads, and to start and join others as it is told.
const FAMILY: &str = "--family";
/// What the fork server is to cost, beside a program that does nothing.
const SERVER: Goal = Goal::AtMost(0.6);
/// What a process is to cost, beside the same program that ends in main.
const SPAWN: Goal = Goal::AtMost(1.05);

fn main() -> ExitCode {
    if env::args().nth(1).is_some_and(|argument| argument == NOTHING) {
        return ExitCode::SUCCESS;
    }
    if env::args().nth(1).is_some_and(|argument| argument == FAMILY) {
        let number = |at| env::args().nth(at).and_then(|number| number.parse().ok()).unwrap_or(0);
        run_family(number(2), number(3), number(4)).expect("all go well");
        return ExitCode::SUCCESS;
    }
    check().expect("a process runs and brings its result");

    let mut bench = Bench::start("process");
    nothing(&mut bench);
    let big = Family::start(0, 1 << 30, 100);
    let mut cell = bench
        .cell("start and join, parent of 1 GiB and 100 threads", Unit::Microseconds)
        .fixed(40, 2)
        .side("Command /bin/true (posix_spawn)", |n| big.sample(Way::Truth, n));
    cell = cell.side("Process", |n| big.sample(Way::Spawn, n));
    cell.subject("Process, ForkServer", SERVER, |n| big.sample(Way::Server, n)).run();
    big.end();
    let families = [0, 10, 300, 500].map(|alive| Family::start(alive, 0, 0));
    let mut cell = bench
        .cell("start and join, others alive", Unit::Microseconds)
        .fixed(20, 2)
        .side("Command /bin/true (posix_spawn)", |n| families[0].sample(Way::Truth, n));
    for family in &families {
        let name = format!("Process, {} idle children", family.alive);
        cell = cell.side(&name, move |n| family.sample(Way::Spawn, n));
        let name = format!("the same, ForkServer, {}", family.alive);
        cell = cell.subject(&name, SERVER, move |n| family.sample(Way::Server, n));
    }
    cell.run();
    families.into_iter().for_each(Family::end);
    bench.finish();
    ExitCode::SUCCESS
}

fn check() -> Result<()> {
    for method in [StartMethod::Spawn, StartMethod::ForkServer] {
        let child = Process::builder()
            .start_method(method)
            .spawn(|a: u64, b: String| (a, b, std::process::id()), (6, "seven"))?;
        let id = child.id();
        assert_eq!(child.join()?, (6, "seven".to_owned(), id));
        assert_ne!(id, std::process::id());
    }
    Ok(())
}

/// A process that does nothing, in a parent that has nothing.
fn nothing(bench: &mut Bench) {
    let this = env::current_exe().expect("this program has a path");
    bench
        .cell("start and join, does nothing", Unit::Microseconds)
        .fixed(60, 2)
        .side("Command of this program, ends in main", |n| {
            each(n, || assert!(status(&this, &[NOTHING]).success()))
        })
        .subject("Process", SPAWN, |n| each(n, || Way::Spawn.once()))
        .side("std::thread", |n| each(n, || thread::spawn(|| {}).join().expect("no panic")))
        .run();
    bench
        .cell("start and join by the fork server, does nothing", Unit::Microseconds)
        .fixed(60, 2)
        .side("Command /bin/true (posix_spawn)", |n| each(n, || Way::Truth.once()))
        .subject("Process, ForkServer", SERVER, |n| each(n, || Way::Server.once()))
        .side("bare fork of this process", |n| each(n, os::fork_and_wait))
        .run();
}

/// In which way a process is started.
#[derive(Clone, Copy, Debug)]
enum Way {
    Truth,
    Spawn,
    Server,
}

impl Way {
    /// Starts a process that does nothing, and joins it.
    fn once(self) {
        let method = match self {
            Way::Truth => return assert!(status("/bin/true", &[]).success()),
            Way::Spawn => StartMethod::Spawn,
            Way::Server => StartMethod::ForkServer,
        };
        let process = Process::builder().start_method(method).spawn(|| {}, ());
        process.and_then(Process::join).expect("all go well");
    }

    fn named(name: &str) -> Option<Way> {
        [Way::Truth, Way::Spawn, Way::Server].into_iter().find(|way| format!("{way:?}") == name)
    }
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
    fn start(alive: usize, bytes: usize, threads: usize) -> Family {
        let this = env::current_exe().expect("this program has a path");
        let mut command = Command::new(this);
        command.arg(FAMILY).args([alive, bytes, threads].map(|number| number.to_string()));
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("the program starts");
        let (input, output) = (process.stdin.take(), process.stdout.take());
        let (input, output) = input.zip(output).expect("both are pipes");
        Family { alive, process, talk: RefCell::new((input, BufReader::new(output))) }
    }

    /// So many starts with their joins.
    fn sample(&self, way: Way, count: u64) -> Sample {
        let mut talk = self.talk.borrow_mut();
        writeln!(talk.0, "{way:?} {count}").expect("the family is there");
        let mut line = String::new();
        talk.1.read_line(&mut line).expect("the family answers");
        Sample::of_each(line.split_whitespace().filter_map(|time| time.parse().ok()).collect())
    }

    fn end(mut self) {
        drop(self.talk);
        self.process.wait().expect("it ends with its input");
    }
}

fn run_family(alive: usize, bytes: usize, threads: usize) -> Result<()> {
    let memory = vec![1_u8; bytes];
    for _ in 0..threads {
        thread::spawn(|| {
            loop {
                thread::park();
            }
        });
    }
    let gate = Event::new()?;
    let idle = |gate: Event| gate.wait();
    let children =
        (0..alive).map(|_| Process::spawn(idle, (&gate,))).collect::<Result<Vec<_>>>()?;
    for line in std::io::stdin().lines() {
        let line = line?;
        let Some((way, count)) = line.split_once(' ') else { continue };
        let way = Way::named(way).expect("a way to start");
        let mut times = String::new();
        for _ in 0..count.parse().unwrap_or(0) {
            let start = os::now();
            way.once();
            times.push_str(&format!("{} ", os::now() - start));
        }
        println!("{times}");
    }
    assert_eq!(std::hint::black_box(memory).len(), bytes);
    gate.set();
    children.into_iter().try_for_each(|child| child.join()?)
}

fn status(program: impl AsRef<OsStr>, arguments: &[&str]) -> ExitStatus {
    Command::new(program).args(arguments).status().expect("the program starts")
}
