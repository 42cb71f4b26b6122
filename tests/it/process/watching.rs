//! Watching children: timeouts, handles, who takes the status.

use super::*;

#[test]
fn join_timeout_gives_none_then_the_result() {
    let _watch = watch();
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
    let _watch = watch();
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
    let _watch = watch();
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
    let _watch = watch();
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
    let _watch = watch();
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
    let _watch = watch();
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
    let _watch = watch();
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
