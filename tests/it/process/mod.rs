//! Processes: starting, joining, failing, watching, and what a child inherits.
//!
//! Nothing here is decided by a sleep: children that must still run are parked until they are killed, and what depends
//! on this process as a whole (descriptors, limits, children of its own) is tried in a child.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use multiproc::{
    Error, ErrorKind, Lock, Process, ProcessHandle, Result, Run, active_children, cpu_count,
    current_process, parent_process,
};
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

fn null() -> OwnedFd {
    File::options().read(true).write(true).open("/dev/null").unwrap().into()
}

/// A child that says nothing when it panics.
fn quiet() -> multiproc::ProcessBuilder {
    Process::builder().stderr(null())
}

fn park() {
    loop {
        std::thread::park();
    }
}

/// Waits for the end of a pipe; how many bytes came through it.
fn until_stdin_closes() -> usize {
    std::io::read_to_string(std::io::stdin()).unwrap().len()
}

fn greet(name: String) -> String {
    format!("hello {name}")
}

// ---------------------------------------------------------------------------------------------
// Arguments and results
// ---------------------------------------------------------------------------------------------

#[test]
fn a_function_and_a_closure_run_elsewhere() {
    let process = Process::spawn(greet, ("Alice",)).unwrap();
    assert_ne!(process.id(), std::process::id());
    assert_eq!(process.join().unwrap(), "hello Alice");
    let process = Process::spawn(std::process::id, ()).unwrap();
    let id = process.id();
    assert_eq!(process.join().unwrap(), id);
}

#[test]
fn arguments_are_literals_values_and_references() {
    fn mixed(count: u64, text: String, list: Vec<f64>, maybe: Option<i8>) -> String {
        format!("{count} {text} {list:?} {maybe:?}")
    }
    let list = vec![0.5, 1.5];
    let process = Process::spawn(mixed, (1_000_000, "x", &list, None)).unwrap();
    assert_eq!(process.join().unwrap(), "1000000 x [0.5, 1.5] None");
    let process = Process::spawn(mixed, (7, String::from("y"), &[1.0], Some(-1))).unwrap();
    assert_eq!(process.join().unwrap(), "7 y [1.0] Some(-1)");
    drop(list);
}

#[test]
fn a_shared_object_travels_in_and_out() {
    let lock = Lock::new().unwrap();
    let guard = lock.lock().unwrap();
    let taken = |lock: Lock| lock.try_lock().unwrap_err().kind() == ErrorKind::Busy;
    let process = Process::spawn(taken, (&lock,)).unwrap();
    assert!(process.join().unwrap(), "the child uses another lock");
    drop(guard);
    let process = Process::spawn(|| Lock::new().unwrap(), ()).unwrap();
    let made_there = process.join().unwrap();
    let guard = made_there.lock().unwrap();
    let process = Process::spawn(taken, (&made_there,)).unwrap();
    assert!(process.join().unwrap(), "the lock that came back is another one");
    drop(guard);
}

#[test]
fn large_arguments_and_results_come_through() {
    let bytes: Vec<u8> = (0..10 << 20).map(|i: u32| (i % 251) as u8).collect();
    let flip = |bytes: Vec<u8>| bytes.iter().rev().copied().collect::<Vec<u8>>();
    let back = Process::spawn(flip, (&bytes,)).unwrap().join().unwrap();
    assert!(back.iter().rev().eq(&bytes));
    let made = Process::spawn(|len: usize| vec![7_u64; len], (10 << 17,)).unwrap();
    assert!(made.join().unwrap() == vec![7; 10 << 17]);
}

#[test]
fn a_task_carries_its_data() {
    #[derive(Serialize, Deserialize)]
    struct Sum(Vec<u64>);
    impl Run for Sum {
        type Output = u64;
        fn run(self) -> u64 {
            self.0.iter().sum()
        }
    }
    assert_eq!(Process::run(Sum(vec![1, 2, 3])).unwrap().join().unwrap(), 6);
    let named = Process::builder().name("adder").run(Sum(vec![4])).unwrap();
    assert_eq!(named.name(), "adder");
    assert_eq!(named.join().unwrap(), 4);
}

#[test]
fn a_function_may_return_this_crates_error() {
    let fail = || -> Result<()> { Err(Error::other("no luck")) };
    let error = Process::spawn(fail, ()).unwrap().join().unwrap().unwrap_err();
    assert!(error.is_other());
    assert_eq!(error.to_string(), "no luck");
}

/// Refuses to be written, or to be read.
#[derive(Debug)]
enum Stubborn {
    Unwritable,
    Unreadable,
}

impl Serialize for Stubborn {
    fn serialize<S: serde::Serializer>(
        &self,
        serializer: S,
    ) -> std::result::Result<S::Ok, S::Error> {
        match self {
            Stubborn::Unwritable => Err(serde::ser::Error::custom("not today")),
            Stubborn::Unreadable => serializer.serialize_unit(),
        }
    }
}

impl<'de> Deserialize<'de> for Stubborn {
    fn deserialize<D: serde::Deserializer<'de>>(_: D) -> std::result::Result<Stubborn, D::Error> {
        Err(serde::de::Error::custom("never"))
    }
}

#[test]
fn values_that_serde_refuses_are_typed_errors() {
    fn take(_: u8, _: Stubborn) {}
    let error = Process::spawn(take, (1, Stubborn::Unwritable)).unwrap_err();
    assert!(error.is_encode(), "{error:?}");
    assert!(error.to_string().contains("argument 2"), "{error}");
    let error = Process::spawn(take, (1, Stubborn::Unreadable)).unwrap().join().unwrap_err();
    assert!(error.is_decode(), "{error:?}");
    assert!(error.to_string().contains("argument 2"), "{error}");
    let error = Process::spawn(|| Stubborn::Unwritable, ()).unwrap().join().unwrap_err();
    assert!(error.is_encode(), "{error:?}");
    let error = Process::spawn(|| Stubborn::Unreadable, ()).unwrap().join().unwrap_err();
    assert!(error.is_decode(), "{error:?}");
}

// ---------------------------------------------------------------------------------------------
// Failures
// ---------------------------------------------------------------------------------------------

#[test]
fn a_panic_comes_back_with_message_place_and_code() {
    let fail = |n: u32| -> u32 { panic!("number {n} is bad") };
    let line = line!() - 1;
    let process = quiet().name("worker").spawn(fail, (7,)).unwrap();
    let (id, handle) = (process.id(), process.handle());
    let error = process.join().unwrap_err();
    assert!(error.is_child());
    let child = error.child().unwrap();
    assert_eq!((child.name(), child.pid()), ("worker", id));
    assert_eq!(child.message(), Some("number 7 is bad"));
    assert!(child.location().unwrap().contains(&format!("process.rs:{line}:")), "{child:?}");
    assert_eq!((child.exit_code(), child.signal()), (Some(101), None));
    assert_eq!(handle.wait().unwrap().code(), Some(101));
}

#[test]
fn a_panic_is_reported_on_stderr_in_one_block() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let process = Process::builder()
        .name("worker")
        .stderr(writer)
        .env("RUST_BACKTRACE", "0")
        .spawn(|| -> () { panic!("it broke") }, ())
        .unwrap();
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    let head = format!("\nprocess 'worker' ({}) panicked at ", process.id());
    assert!(text.starts_with(&head), "{text}");
    assert!(text.contains("process.rs:"), "{text}");
    assert!(text.contains("\nit broke\nnote: run with `RUST_BACKTRACE=1`"), "{text}");
    let error = process.join().unwrap_err();
    assert_eq!(error.child().unwrap().backtrace(), None);
}

#[test]
fn a_backtrace_comes_back_if_it_is_asked_for() {
    let process = quiet().env("RUST_BACKTRACE", "1").spawn(|| -> () { panic!("x") }, ()).unwrap();
    let error = process.join().unwrap_err();
    let backtrace = error.child().unwrap().backtrace().unwrap();
    // The names of the frames depend on how the test was built.
    assert!(backtrace.lines().count() > 1, "{backtrace}");
}

#[test]
fn a_panic_that_is_caught_or_elsewhere_is_no_failure() {
    let calm = || {
        let caught = std::panic::catch_unwind(|| panic!("inner")).is_err();
        let thread = std::thread::spawn(|| panic!("other thread")).join().is_err();
        caught && thread
    };
    assert!(quiet().spawn(calm, ()).unwrap().join().unwrap());
    let again = || -> () {
        let payload = std::panic::catch_unwind(|| panic!("first")).unwrap_err();
        std::panic::resume_unwind(payload)
    };
    let error = quiet().spawn(again, ()).unwrap().join().unwrap_err();
    assert_eq!(error.child().unwrap().message(), Some("first"));
    let odd = || -> () { std::panic::panic_any(5_u8) };
    let error = quiet().spawn(odd, ()).unwrap().join().unwrap_err();
    assert_eq!(error.child().unwrap().message(), Some("a value that is not text"));
}

#[test]
fn a_signal_is_named() {
    let process = Process::spawn(park, ()).unwrap();
    let handle = process.handle();
    handle.kill().unwrap();
    let error = process.join().unwrap_err();
    let child = error.child().unwrap();
    assert_eq!((child.signal(), child.exit_code()), (Some(9), None));
    assert!(error.to_string().contains("signal 9 (SIGKILL)"), "{error}");
    // To one that has ended, nothing happens.
    handle.kill().unwrap();
    handle.terminate().unwrap();
    assert_eq!(handle.wait().unwrap().signal(), Some(9));
    let error = Process::spawn(|| -> () { std::process::abort() }, ()).unwrap().join().unwrap_err();
    assert_eq!(error.child().unwrap().signal(), Some(6));
}

#[test]
fn terminate_and_interrupt_end_a_child() {
    for (signal, number) in [
        (ProcessHandle::terminate as fn(&ProcessHandle) -> Result<()>, 15),
        (ProcessHandle::interrupt, 2),
    ] {
        let process = Process::spawn(park, ()).unwrap();
        signal(&process.handle()).unwrap();
        assert_eq!(process.handle().wait().unwrap().signal(), Some(number));
    }
}

#[test]
fn an_exit_inside_the_function_is_an_error_with_its_code() {
    for code in [0, 3, 255] {
        let leave = |code: i32| -> u8 { std::process::exit(code) };
        let process = Process::spawn(leave, (code,)).unwrap();
        let handle = process.handle();
        let error = process.join().unwrap_err();
        assert_eq!(error.child().unwrap().exit_code(), Some(code));
        let end = format!("ended with exit code {code}: it ended before its function returned");
        assert!(error.to_string().ends_with(&end), "{error}");
        assert_eq!(handle.wait().unwrap().code(), Some(code));
    }
}

#[test]
fn an_executable_that_cannot_start_is_named() {
    for (path, kind) in [
        ("/no/such", std::io::ErrorKind::NotFound),
        ("/dev/null", std::io::ErrorKind::PermissionDenied),
        ("/", std::io::ErrorKind::PermissionDenied),
    ] {
        let error = Process::builder().executable(path).spawn(greet, ("x",)).unwrap_err();
        assert!(error.is_spawn(), "{error:?}");
        let cause = std::io::Error::from(kind).to_string();
        let text = error.to_string();
        assert!(text.contains(&format!("cannot execute {path}: ")), "{text}");
        let source = std::error::Error::source(&error).unwrap();
        assert_eq!(source.downcast_ref::<std::io::Error>().unwrap().kind(), kind, "{cause}");
    }
    let error = Process::builder().current_dir("/no/such").spawn(greet, ("x",)).unwrap_err();
    assert!(error.is_spawn() && error.to_string().contains("/no/such"), "{error}");
    let error = Process::builder().current_dir("/dev/null").spawn(greet, ("x",)).unwrap_err();
    assert!(error.is_spawn() && error.to_string().contains("/dev/null"), "{error}");
}

#[test]
fn a_program_without_the_hook_does_not_take_its_function() {
    let process = Process::builder().executable("/bin/true").spawn(greet, ("x",)).unwrap();
    let error = process.join().unwrap_err();
    assert_eq!(error.child().unwrap().exit_code(), Some(0));
    assert!(error.to_string().contains("without taking its function"), "{error}");
    assert!(error.to_string().contains("start-up hook"), "{error}");
}

#[test]
fn another_build_is_told_apart() {
    // The same bytes at another place are the same program; with a byte more they may be too, by their build id.
    // A child copies: a process that another test starts meanwhile would inherit the descriptor that is written to, for a
    // moment, and a file that is written to is not executed.
    let copy = scratch("copy");
    let write = |to: PathBuf| fs::copy("/proc/self/exe", to).unwrap();
    Process::spawn(write, (&copy,)).unwrap().join().unwrap();
    let outcome =
        Process::builder().executable(&copy).spawn(greet, ("Alice",)).and_then(Process::join);
    fs::remove_file(&copy).unwrap();
    match outcome {
        Ok(text) => assert_eq!(text, "hello Alice"),
        // Without a build id, it is the file that counts.
        Err(error) => assert!(error.is_mismatch(), "{error:?}"),
    }
}

#[test]
fn names_that_the_environment_cannot_hold_are_refused() {
    for (key, value) in [("", "x"), ("a=b", "x"), ("a\0b", "x"), ("a", "x\0")] {
        let error = Process::builder().env(key, value).spawn(greet, ("x",)).unwrap_err();
        assert!(error.is_invalid_input(), "{error:?}");
    }
}

// ---------------------------------------------------------------------------------------------
// What a child inherits
// ---------------------------------------------------------------------------------------------

fn scratch(name: &str) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    std::env::temp_dir().join(format!("multiproc-{}-{count}-{name}", std::process::id()))
}

/// The numbers of the open descriptors and what they are.
fn descriptors() -> Vec<(i32, String)> {
    let list = fs::read_dir("/proc/self/fd").unwrap();
    let mut found: Vec<(i32, String)> = list
        .filter_map(|entry| {
            let entry = entry.unwrap();
            let number = entry.file_name().to_str()?.parse().ok()?;
            // The descriptor of the list itself is gone by now.
            Some((number, fs::read_link(entry.path()).ok()?.to_str()?.to_owned()))
        })
        .filter(|(_, target)| !target.starts_with("/proc/"))
        .collect();
    found.sort();
    found
}

#[test]
fn a_child_has_the_standard_descriptors_and_the_world() {
    // One that a program would leak: open in every child that is started in the usual way.
    let leaky = File::open("/dev/zero").unwrap();
    fcntl(&leaky, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
    let child = Process::spawn(descriptors, ()).unwrap().join().unwrap();
    let numbers: Vec<i32> = child.iter().map(|(number, _)| *number).collect();
    assert_eq!(numbers, [0, 1, 2, 3], "{child:?}");
    assert!(child[3].1.contains("memfd:"), "{child:?}");
    drop(leaky);
}

#[test]
fn the_worlds_descriptor_is_not_passed_to_other_programs() {
    let list = || {
        let output = std::process::Command::new("/bin/ls").arg("/proc/self/fd").output().unwrap();
        let ticket = std::env::var_os("MULTIPROC_CHILD");
        (String::from_utf8(output.stdout).unwrap(), ticket.is_some())
    };
    let (listed, ticket) = Process::spawn(list, ()).unwrap().join().unwrap();
    // Three standard ones and that of the list itself.
    assert_eq!(listed.split_whitespace().count(), 4, "{listed}");
    assert!(!ticket, "the ticket stayed in the environment");
}

#[test]
fn name_environment_and_directory_are_set() {
    let look = || {
        (
            current_process().name().to_owned(),
            std::env::var("COLOUR").ok(),
            std::env::var("PATH").ok(),
            std::env::current_dir().unwrap(),
            std::env::args().collect::<Vec<_>>(),
        )
    };
    let process = Process::builder()
        .name("looker")
        .env("COLOUR", "red")
        .env("COLOUR", "blue")
        .current_dir("/usr")
        .spawn(look, ())
        .unwrap();
    assert_eq!(process.name(), "looker");
    assert_eq!(process.handle().name(), "looker");
    let (name, colour, path, directory, args) = process.join().unwrap();
    assert_eq!(name, "looker");
    assert_eq!(colour.as_deref(), Some("blue"));
    assert_eq!(path, std::env::var("PATH").ok());
    assert_eq!(directory, PathBuf::from("/usr"));
    assert_eq!(args, std::env::args().collect::<Vec<_>>());
}

#[test]
fn standard_streams_are_redirected() {
    let (mut from_child, out) = std::io::pipe().unwrap();
    let (input, mut to_child) = std::io::pipe().unwrap();
    let echo = || {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).unwrap();
        print!("got {line}");
        eprintln!("done");
    };
    let err = out.try_clone().unwrap();
    let process = Process::builder().stdin(input).stdout(out).stderr(err).spawn(echo, ()).unwrap();
    to_child.write_all(b"this\n").unwrap();
    let mut text = String::new();
    from_child.read_to_string(&mut text).unwrap();
    process.join().unwrap();
    assert_eq!(text, "got this\ndone\n");
}

#[test]
fn signals_are_as_main_would_find_them() {
    let look = || {
        let status = fs::read_to_string("/proc/self/status").unwrap();
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            u64::from_str_radix(line.split_whitespace().nth(1).unwrap(), 16).unwrap()
        };
        (field("SigBlk:"), field("SigIgn:"))
    };
    // Not libc's own, 32 and 33: what posix_spawn does with them differs from one libc to the next.
    const OURS: u64 = !(0b11 << 31);
    let here = look();
    let (blocked, ignored) = Process::spawn(look, ()).unwrap().join().unwrap();
    assert_eq!(blocked & OURS, 0);
    assert_eq!(
        ignored & OURS,
        here.1 & OURS,
        "SIGPIPE ignored as in main, the rest as in the parent"
    );
    assert_ne!(ignored & 1 << 12, 0);
}

// ---------------------------------------------------------------------------------------------
// Watching
// ---------------------------------------------------------------------------------------------

#[test]
fn join_timeout_gives_none_then_the_result() {
    let (reader, writer) = std::io::pipe().unwrap();
    let mut process = Process::builder().stdin(reader).spawn(until_stdin_closes, ()).unwrap();
    assert!(process.is_alive());
    assert_eq!(process.try_join().unwrap(), None);
    assert_eq!(process.join_timeout(Duration::from_millis(5)).unwrap(), None);
    assert_eq!(process.join_deadline(Instant::now() + Duration::from_millis(5)).unwrap(), None);
    let handle = process.handle();
    assert_eq!(handle.try_wait().unwrap(), None);
    assert_eq!(handle.wait_timeout(Duration::from_millis(5)).unwrap(), None);
    drop(writer);
    assert_eq!(process.join_timeout(Duration::MAX).unwrap(), Some(0));
    assert!(!process.is_alive() && !handle.is_alive());
    assert!(handle.wait_deadline(Instant::now()).unwrap().unwrap().success());
    let error = process.join().unwrap_err();
    assert!(error.is_invalid_input(), "taken twice: {error:?}");
}

#[test]
fn many_wait_for_one() {
    let (reader, writer) = std::io::pipe().unwrap();
    let wait = || {
        until_stdin_closes();
        std::process::exit(5)
    };
    let process: Process<()> = Process::builder().stdin(reader).spawn(wait, ()).unwrap();
    let waiters: Vec<_> = (0..4)
        .map(|_| {
            let handle = process.handle();
            std::thread::spawn(move || handle.wait().unwrap().code())
        })
        .collect();
    drop(writer);
    assert_eq!(process.join().unwrap_err().child().unwrap().exit_code(), Some(5));
    for waiter in waiters {
        assert_eq!(waiter.join().unwrap(), Some(5));
    }
}

#[test]
fn the_pidfd_can_be_polled() {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    let process = Process::spawn(|| 1, ()).unwrap();
    let handle = process.handle();
    let mut fds = [PollFd::new(handle.as_fd(), PollFlags::POLLIN)];
    assert_eq!(poll(&mut fds, PollTimeout::NONE).unwrap(), 1);
    assert_eq!(process.as_fd().as_raw_fd(), handle.as_fd().as_raw_fd());
    assert_eq!(process.join().unwrap(), 1);
}

#[test]
fn debug_shows_who_and_whether() {
    let process = Process::builder().name("seen").spawn(park, ()).unwrap();
    let text = format!("{process:?} {:?}", process.handle());
    assert!(text.contains("Process { name: \"seen\", id: "), "{text}");
    assert!(text.contains("ProcessHandle { name: \"seen\""), "{text}");
    assert!(text.contains("alive: true"), "{text}");
    process.handle().kill().unwrap();
    process.handle().wait().unwrap();
    assert!(format!("{process:?}").contains("alive: false"));
}

/// Whether this process has a child that has ended and was not reaped.
fn has_zombie() -> bool {
    let id = std::process::id();
    let children = fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
    children.split_whitespace().any(|child| {
        fs::read_to_string(format!("/proc/{child}/stat"))
            .is_ok_and(|stat| stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" Z")))
    })
}

/// Waits until no child is watched: the reaper closes its descriptors a moment after the last one has ended.
fn wait_for_reaper() {
    while descriptors().iter().any(|(_, target)| target.contains("pidfd")) {
        std::thread::yield_now();
    }
}

#[test]
fn dropped_processes_leave_no_zombie_no_descriptor_and_no_memory() {
    let body = || {
        // The first start makes the world, the first drop the reaper with its bell.
        drop(Process::spawn(park, ()).map(|process| process.handle().kill()));
        wait_for_reaper();
        let before = descriptors();
        let mut handles = Vec::new();
        for round in 0..8 {
            let process = Process::spawn(|bytes: Vec<u8>| bytes, (vec![1; 100_000],)).unwrap();
            let parked = Process::spawn(park, ()).unwrap();
            handles.push(parked.handle());
            if round % 2 == 0 {
                process.handle().wait().unwrap();
            }
            drop(process);
            drop(parked);
        }
        for handle in &handles {
            assert!(handle.is_alive(), "a detached process runs on");
            handle.kill().unwrap();
            assert_eq!(handle.wait().unwrap().signal(), Some(9));
        }
        handles.clear();
        wait_for_reaper();
        assert_eq!(descriptors(), before);
        let none = waitpid(Pid::from_raw(-1), Some(WaitPidFlag::WNOHANG));
        assert_eq!(none, Err(nix::errno::Errno::ECHILD), "a child is left");
    };
    Process::spawn(body, ()).unwrap().join().unwrap();
}

#[test]
fn a_status_that_somebody_else_took_is_unknown_and_the_result_is_not() {
    let body = || {
        let process = Process::spawn(greet, ("Alice",)).unwrap();
        let handle = process.handle();
        let taken = waitpid(Pid::from_raw(process.id() as i32), None).unwrap();
        assert!(matches!(taken, WaitStatus::Exited(_, 0)));
        assert!(!handle.is_alive());
        assert_eq!(process.join().unwrap(), "hello Alice");
        let error = handle.wait().unwrap_err();
        assert!(error.is_child() && error.to_string().contains("SIGCHLD"), "{error}");
        assert!(!has_zombie());
    };
    Process::spawn(body, ()).unwrap().join().unwrap();
}

#[test]
fn the_children_that_run_are_listed() {
    let body = || {
        assert!(active_children().is_empty());
        let first = Process::builder().name("first").spawn(park, ()).unwrap();
        let second = Process::builder().name("second").spawn(park, ()).unwrap();
        let names = || active_children().iter().map(|c| c.name().to_owned()).collect::<Vec<_>>();
        assert_eq!(names(), ["first", "second"]);
        first.handle().kill().unwrap();
        first.join().unwrap_err();
        assert_eq!(names(), ["second"]);
        let handle = second.handle();
        drop(second);
        assert_eq!(names(), ["second"], "a detached child is a child");
        handle.kill().unwrap();
        handle.wait().unwrap();
        assert!(active_children().is_empty());
    };
    Process::spawn(body, ()).unwrap().join().unwrap();
}

// ---------------------------------------------------------------------------------------------
// Families
// ---------------------------------------------------------------------------------------------

#[test]
fn children_have_children_and_pythons_names() {
    fn name() -> String {
        current_process().to_string()
    }
    fn names() -> Vec<String> {
        let mut all = vec![name()];
        for _ in 0..2 {
            all.push(Process::spawn(name, ()).unwrap().join().unwrap());
        }
        all
    }
    let body = || {
        let first = Process::spawn(names, ()).unwrap().join().unwrap();
        let second = Process::builder().name("other").spawn(names, ()).unwrap().join().unwrap();
        (first, second)
    };
    assert_eq!(current_process().name(), "MainProcess");
    assert_eq!(current_process().id(), std::process::id());
    let process = Process::spawn(body, ()).unwrap();
    let own = process.name().to_owned();
    assert!(own.starts_with("Process-"));
    let (first, second) = process.join().unwrap();
    assert_eq!(first, [format!("{own}:1"), format!("{own}:1:1"), format!("{own}:1:2")]);
    assert_eq!(second, ["other".to_owned(), format!("{own}:2:1"), format!("{own}:2:2")]);
}

#[test]
fn a_child_knows_its_parent() {
    assert!(parent_process().is_none());
    let look = || {
        let parent = parent_process().unwrap();
        (parent.id(), parent.name().to_owned(), parent.is_alive())
    };
    let seen = Process::spawn(look, ()).unwrap().join().unwrap();
    assert_eq!(seen, (std::process::id(), "MainProcess".to_owned(), true));
}

#[test]
fn the_end_of_a_parent_is_seen_and_its_status_is_not() {
    // The parent in the middle is killed; its child sees that and tells through a pipe.
    let (mut reader, writer) = std::io::pipe().unwrap();
    let middle = || {
        let watch = || {
            let parent = parent_process().unwrap();
            println!("watching");
            let error = parent.wait().unwrap_err();
            println!("{} {}", parent.is_alive(), error.is_child());
        };
        let _watcher = Process::spawn(watch, ()).unwrap();
        park();
    };
    let process = Process::builder().stdout(writer).spawn(middle, ()).unwrap();
    let mut text = [0; 9];
    reader.read_exact(&mut text).unwrap();
    process.handle().kill().unwrap();
    process.join().unwrap_err();
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "false true\n");
}

#[test]
fn an_orphan_runs_to_its_end() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let (gate, open_gate) = std::io::pipe().unwrap();
    let middle = || {
        let slow = || {
            println!("started");
            until_stdin_closes();
            println!("ended");
            vec![1_u8; 1 << 20]
        };
        Process::spawn(slow, ()).unwrap().join().unwrap();
    };
    let process = Process::builder().stdin(gate).stdout(writer).spawn(middle, ()).unwrap();
    let mut text = [0; 8];
    reader.read_exact(&mut text).unwrap();
    process.handle().kill().unwrap();
    process.join().unwrap_err();
    drop(open_gate);
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "ended\n");
}

#[test]
fn a_program_waits_for_children_and_ends_daemons() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let (gate, open_gate) = std::io::pipe().unwrap();
    let body = || {
        let say = || {
            until_stdin_closes();
            println!("child ended");
        };
        drop(Process::spawn(say, ()).unwrap());
        let daemon = Process::builder().daemon(true).spawn(park, ()).unwrap();
        println!("{}", daemon.id());
        std::mem::forget(daemon);
    };
    let process = Process::builder().stdin(gate).stdout(writer).spawn(body, ()).unwrap();
    let handle = process.handle();
    let mut id = String::new();
    while !id.ends_with('\n') {
        let mut byte = [0];
        reader.read_exact(&mut byte).unwrap();
        id.push(byte[0] as char);
    }
    assert!(handle.is_alive(), "it waits for its child");
    drop(open_gate);
    process.join().unwrap();
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "child ended\n");
    let daemon = Pid::from_raw(id.trim().parse().unwrap());
    assert_eq!(nix::sys::signal::kill(daemon, None), Err(nix::errno::Errno::ESRCH));
}

#[test]
fn sixty_four_at_once() {
    let processes: Vec<_> =
        (0..64_u64).map(|n| Process::spawn(|n: u64| n * n, (n,)).unwrap()).collect();
    for (n, process) in processes.into_iter().enumerate() {
        assert_eq!(process.join().unwrap(), (n * n) as u64);
    }
}

#[test]
fn several_threads_start_at_once() {
    let threads: Vec<_> = (0..4)
        .map(|n: u64| {
            std::thread::spawn(move || {
                for m in 0..8 {
                    let process = Process::spawn(|n: u64, m: u64| (n, m), (n, m)).unwrap();
                    assert_eq!(process.join().unwrap(), (n, m));
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn a_full_descriptor_table_is_a_limit_and_leaks_nothing() {
    let body = || {
        // Everything that opens a descriptor once is there before the table is made small.
        Process::spawn(greet, ("x",)).unwrap().join().unwrap();
        let before = descriptors();
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        for room in 0..3 {
            let limit = before.last().unwrap().0 as u64 + 1 + room;
            setrlimit(Resource::RLIMIT_NOFILE, limit, hard).unwrap();
            let outcome = quiet_start(room);
            setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
            match outcome {
                Ok(text) => assert!(room > 0 && text == "hello x"),
                Err(error) => {
                    assert!(error.is_limit(), "{error:?}");
                    assert!(
                        error.to_string().contains(&format!("RLIMIT_NOFILE is {limit}")),
                        "{error}"
                    );
                }
            }
            assert_eq!(descriptors(), before);
            let none = waitpid(Pid::from_raw(-1), Some(WaitPidFlag::WNOHANG));
            assert_eq!(none, Err(nix::errno::Errno::ECHILD));
        }
        Process::spawn(greet, ("x",)).unwrap().join().unwrap();
    };
    fn quiet_start(_room: u64) -> Result<String> {
        Process::spawn(greet, ("x",))?.join()
    }
    Process::spawn(body, ()).unwrap().join().unwrap();
}

#[test]
fn there_is_a_processor() {
    assert!(cpu_count() >= 1);
    let here = std::thread::available_parallelism().unwrap().get();
    assert_eq!(Process::spawn(cpu_count, ()).unwrap().join().unwrap(), here);
}
