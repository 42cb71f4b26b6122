//! How a child fails, and what `join` says then.

use super::*;

#[test]
fn a_panic_comes_back_with_message_place_and_code() {
    let _watch = watch();
    let fail = |n: u32| -> u32 { panic!("number {n} is bad") };
    let line = line!() - 1;
    let process = quiet().name("worker").spawn(fail, (7,)).unwrap();
    let (id, handle) = (process.id(), process.handle());
    let error = process.join().unwrap_err();
    assert!(error.is_child());
    let child = error.child().unwrap();
    assert_eq!((child.name(), child.pid()), ("worker", id));
    assert_eq!(child.message(), Some("number 7 is bad"));
    assert!(child.location().unwrap().contains(&format!("failures.rs:{line}:")), "{child:?}");
    assert_eq!((child.exit_code(), child.signal()), (Some(101), None));
    assert_eq!(handle.wait().unwrap().code(), Some(101));
}

#[test]
fn a_panic_is_reported_on_stderr_in_one_block() {
    let _watch = watch();
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
    assert!(text.contains("failures.rs:"), "{text}");
    assert!(text.contains("\nit broke\nnote: run with `RUST_BACKTRACE=1`"), "{text}");
    let error = process.join().unwrap_err();
    assert_eq!(error.child().unwrap().backtrace(), None);
}

#[test]
fn a_backtrace_comes_back_if_it_is_asked_for() {
    let _watch = watch();
    let process = quiet().env("RUST_BACKTRACE", "1").spawn(|| -> () { panic!("x") }, ()).unwrap();
    let error = process.join().unwrap_err();
    let backtrace = error.child().unwrap().backtrace().unwrap();
    // The names of the frames depend on how the test was built.
    assert!(backtrace.lines().count() > 1, "{backtrace}");
}

#[test]
fn a_panic_that_is_caught_or_elsewhere_is_no_failure() {
    let _watch = watch();
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
    let _watch = watch();
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
    let _watch = watch();
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
    let _watch = watch();
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
    let _watch = watch();
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
    let _watch = watch();
    let process = Process::builder().executable("/bin/true").spawn(greet, ("x",)).unwrap();
    let error = process.join().unwrap_err();
    assert_eq!(error.child().unwrap().exit_code(), Some(0));
    assert!(error.to_string().contains("without taking its function"), "{error}");
    assert!(error.to_string().contains("start-up hook"), "{error}");
}

#[test]
fn another_build_is_told_apart() {
    let _watch = watch();
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
    let _watch = watch();
    for (key, value) in [("", "x"), ("a=b", "x"), ("a\0b", "x"), ("a", "x\0")] {
        let error = Process::builder().env(key, value).spawn(greet, ("x",)).unwrap_err();
        assert!(error.is_invalid_input(), "{error:?}");
    }
}
