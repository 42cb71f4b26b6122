//! Children of the fork server, and the server killed in every state.

use std::os::unix::fs::FileExt;

use super::*;
use crate::common::{LONG, alone, until, world_file};
use multiproc::{Queue, StartMethod};
use nix::sys::signal::{SigSet, SigmaskHow, Signal, kill, pthread_sigmask};

use multiproc::ProcessBuilder;

fn server() -> ProcessBuilder {
    Process::builder().start_method(StartMethod::ForkServer)
}

/// The children of this process that it did not start itself: the fork server, and its spare child.
fn hidden() -> Vec<u32> {
    let tasks = fs::read_dir("/proc/self/task").unwrap().flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    let children: Vec<u32> = lists
        .flat_map(|list| {
            list.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<_>>()
        })
        .collect();
    let own: Vec<u32> = active_children().iter().map(ProcessHandle::id).collect();
    children.into_iter().filter(|pid| !own.contains(pid)).collect()
}

fn is_spare(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name == "multiproc-spare\n")
}

/// The server, and the child that waits for the next start.
fn server_and_spare() -> [u32; 2] {
    let both = || -> Option<[u32; 2]> {
        let found: [u32; 2] = hidden().try_into().ok()?;
        (!is_spare(found[0]) && is_spare(found[1])).then_some(found)
    };
    until("there is a server with a spare child", || both().is_some());
    both().unwrap()
}

fn end(pid: u32) {
    kill(Pid::from_raw(pid as i32), Signal::SIGKILL).unwrap();
}

/// What `ps` says of it.
fn state(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(')').next()?.trim_start().chars().next()
}

/// Whether a process is there, dead or alive.
fn is_there(pid: u32) -> bool {
    fs::exists(format!("/proc/{pid}")).unwrap()
}

#[test]
fn functions_run_and_bring_their_results() {
    let _watch = watch();
    let process = server().spawn(greet, ("Alice",)).unwrap();
    assert_eq!(process.join().unwrap(), "hello Alice");
    let queue = Queue::<u32>::new().unwrap();
    let look = |queue: Queue<u32>| {
        queue.put(7).unwrap();
        let parent = parent_process().unwrap();
        (parent.id(), std::os::unix::process::parent_id(), current_process().to_string())
    };
    let process = server().name("looks").spawn(look, (&queue,)).unwrap();
    let id = std::process::id();
    assert_eq!(process.join().unwrap(), (id, id, "looks".to_owned()), "it is a child as any other");
    assert_eq!(queue.try_get().unwrap(), 7);
}

#[test]
fn failures_are_as_those_of_any_child() {
    let _watch = watch();
    let quiet = || quiet().start_method(StartMethod::ForkServer);
    let panics = || -> u32 { panic!("as usual") };
    let error = quiet().spawn(panics, ()).unwrap().join().unwrap_err();
    assert_eq!(error.child().unwrap().message(), Some("as usual"));
    assert_eq!(error.child().unwrap().exit_code(), Some(101));
    let exits = || -> u32 { std::process::exit(3) };
    let error = quiet().spawn(exits, ()).unwrap().join().unwrap_err();
    assert_eq!(error.child().unwrap().exit_code(), Some(3));
    let aborts = || -> u32 { std::process::abort() };
    let error = quiet().spawn(aborts, ()).unwrap().join().unwrap_err();
    assert_eq!(error.child().unwrap().signal(), Some(6));
    for signal in [9, 15] {
        let process = quiet().spawn(park, ()).unwrap();
        kill(Pid::from_raw(process.id() as i32), Signal::try_from(signal).unwrap()).unwrap();
        let error = process.join().unwrap_err();
        assert_eq!(error.child().unwrap().signal(), Some(signal));
    }
}

type Found = (Option<String>, PathBuf, (u64, u64), bool, Vec<(i32, String)>);

/// What a process finds, as far as it can be set.
fn find() -> Found {
    let mut mask = SigSet::empty();
    pthread_sigmask(SigmaskHow::SIG_BLOCK, None, Some(&mut mask)).unwrap();
    (
        std::env::var("SERVER_TEST").ok(),
        std::env::current_dir().unwrap(),
        getrlimit(Resource::RLIMIT_CORE).unwrap(),
        mask.contains(Signal::SIGUSR1),
        descriptors(),
    )
}

#[test]
fn a_child_has_what_its_parent_has_at_the_time() {
    alone(|| {
        let (_, home, limit, _, _) = server().spawn(find, ()).unwrap().join().unwrap();
        assert_eq!(
            (home, limit),
            (std::env::current_dir().unwrap(), getrlimit(Resource::RLIMIT_CORE).unwrap())
        );
        for method in [StartMethod::ForkServer, StartMethod::Spawn] {
            // SAFETY: this test is the only thread that uses the environment.
            #[allow(unsafe_code, reason = "the environment of this process")]
            unsafe {
                std::env::set_var("SERVER_TEST", "set late")
            };
            std::env::set_current_dir("/").unwrap();
            setrlimit(Resource::RLIMIT_CORE, 0, limit.1).unwrap();
            let mut mask = SigSet::empty();
            mask.add(Signal::SIGUSR1);
            pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&mask), None).unwrap();
            let start = || Process::builder().start_method(method);
            let (variable, folder, core, blocked, fds) =
                start().spawn(find, ()).unwrap().join().unwrap();
            assert_eq!(variable.as_deref(), Some("set late"), "{method:?}");
            assert_eq!((folder, core.0, blocked), (PathBuf::from("/"), 0, true), "{method:?}");
            let numbers: Vec<i32> = fds.iter().map(|(number, _)| *number).collect();
            assert!(numbers.starts_with(&[0, 1, 2]) && numbers.len() == 4, "{method:?}: {fds:?}");
            let builder = start().env("SERVER_TEST", "set by the builder").current_dir("/tmp");
            let (variable, folder, ..) = builder.spawn(find, ()).unwrap().join().unwrap();
            assert_eq!(variable.as_deref(), Some("set by the builder"), "{method:?}");
            assert_eq!(folder, PathBuf::from("/tmp"), "{method:?}");
            pthread_sigmask(SigmaskHow::SIG_UNBLOCK, Some(&mask), None).unwrap();
            let (.., blocked, _) = start().spawn(find, ()).unwrap().join().unwrap();
            assert!(!blocked, "{method:?}");
        }
    });
}

#[test]
fn standard_streams_are_the_parents_or_the_builders() {
    let _watch = watch();
    let (mut reader, writer) = std::io::pipe().unwrap();
    let say = || println!("said");
    server().stdout(writer).spawn(say, ()).unwrap().join().unwrap();
    let mut text = String::new();
    // The end of the pipe comes although the server goes on: it has no copy.
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text, "said\n");
    let closed = || {
        nix::unistd::close(0).unwrap();
        let target = || fs::read_link("/proc/self/fd/0").unwrap();
        server().spawn(target, ()).unwrap().join().unwrap()
    };
    assert_eq!(server().spawn(closed, ()).unwrap().join().unwrap(), PathBuf::from("/dev/null"));
}

#[test]
fn a_killed_server_is_replaced_and_its_children_live_on() {
    alone(|| {
        let (reader, writer) = std::io::pipe().unwrap();
        let wait = || -> () {
            until_stdin_closes();
            std::process::exit(5)
        };
        let old = server().stdin(reader).spawn(wait, ()).unwrap();
        let [first, spare] = server_and_spare();
        end(first);
        until("the server is dead", || state(first) == Some('Z'));
        assert_eq!(server().spawn(greet, ("x",)).unwrap().join().unwrap(), "hello x");
        assert!(!is_there(first) && !is_there(spare), "they are no zombies");
        server_and_spare();
        drop(writer);
        let error = old.join().unwrap_err();
        assert_eq!(error.child().unwrap().exit_code(), Some(5), "its status is known");
    });
}

#[test]
fn a_server_killed_at_any_step_costs_no_start() {
    fn starts(numbers: Queue<u32>) {
        let before = descriptors().len();
        for number in 0..20 {
            let put = |number: u32, numbers: Queue<u32>| numbers.put(number);
            server().spawn(put, (number, &numbers)).unwrap().join().unwrap().unwrap();
        }
        until("only the server has come", || descriptors().len() <= before + 2);
        assert!(hidden().len() <= 2, "zombies: {:?}", hidden());
    }
    for step in 1..=4 {
        let _watch = watch();
        // Every server dies over its second request.
        let numbers = Queue::new().unwrap();
        let builder = Process::builder().env("MULTIPROC_TEST_SERVER", format!("{step}:2"));
        builder.spawn(starts, (&numbers,)).unwrap().join().unwrap();
        assert_eq!(numbers.get_many(100).unwrap(), (0..20).collect::<Vec<_>>(), "step {step}");
    }
}

#[test]
fn a_server_that_always_dies_is_a_typed_error() {
    let _watch = watch();
    let start = || {
        let error = server().name("x").spawn(park, ()).unwrap_err();
        (error.kind(), error.to_string(), hidden().len())
    };
    for step in [0, 1, 2, 3] {
        let builder = Process::builder().env("MULTIPROC_TEST_SERVER", format!("{step}:1"));
        let (kind, text, left) = builder.spawn(start, ()).unwrap().join().unwrap();
        assert_eq!((kind, left), (ErrorKind::Spawn, 0));
        assert_eq!(
            text,
            "cannot start process \"x\": the fork server died whenever it was asked (killed, or ended by a constructor of a \
             library)"
        );
    }
}

/// Has a child of the server put a number; whether it has.
fn puts(number: u32, numbers: &Queue<u32>) -> bool {
    let put = |number: u32, numbers: Queue<u32>| numbers.put(number);
    match server().spawn(put, (number, numbers)) {
        // Killed so many times over one start, that start fails; nothing has run then.
        Err(error) if error.kind() == ErrorKind::Spawn => false,
        Err(error) => panic!("{error}"),
        Ok(process) => match process.join() {
            Ok(put) => put.is_ok(),
            Err(error) => {
                assert_eq!(error.child().unwrap().signal(), Some(9), "{error}");
                false
            }
        },
    }
}

/// Kills a process if it is the server, or a child of it that has not begun to do anything; whether it was.
fn killed_at_the_beginning(pid: u32) -> bool {
    let signal = |signal| kill(Pid::from_raw(pid as i32), signal).is_ok();
    signal(Signal::SIGSTOP);
    until("the process stands still", || matches!(state(pid), None | Some('T' | 'Z')));
    let folder = fs::read_link(format!("/proc/{pid}/cwd"));
    if folder.is_ok_and(|folder| folder.as_os_str() == "/") {
        return signal(Signal::SIGKILL);
    }
    signal(Signal::SIGCONT);
    false
}

#[test]
fn a_server_killed_at_random_loses_and_doubles_no_start() {
    alone(|| {
        let numbers = Queue::<u32>::new().unwrap();
        let threads: Vec<_> = (0..2)
            .map(|thread| {
                let numbers = numbers.clone();
                std::thread::spawn(move || {
                    for number in 0..100 {
                        while !puts(thread * 100 + number, &numbers) {}
                    }
                })
            })
            .collect();
        let mut chance = crate::common::Chance::new(11);
        let mut kills = 0;
        while threads.iter().any(|thread| !thread.is_finished()) {
            std::thread::sleep(Duration::from_micros(chance.below(6_000)));
            kills += hidden().into_iter().filter(|pid| killed_at_the_beginning(*pid)).count();
        }
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        let mut found = numbers.get_many(1000).unwrap();
        found.sort_unstable();
        assert_eq!(found, (0..200).collect::<Vec<_>>());
        assert!(kills > 10, "{kills} kills");
    });
}

#[test]
fn the_server_is_gone_with_its_parent() {
    let _watch = watch();
    fn body(pids: Queue<u32>) {
        let _child = server().end_with_parent(true).spawn(park, ()).unwrap();
        server_and_spare().into_iter().for_each(|pid| pids.put(pid).unwrap());
        park();
    }
    let pids = Queue::new().unwrap();
    let parent = Process::builder().end_with_parent(true).spawn(body, (&pids,)).unwrap();
    let both = [(); 2].map(|()| pids.get_timeout(LONG).unwrap());
    // Ctrl-C, which the whole group gets, does not end them.
    for pid in both {
        kill(Pid::from_raw(pid as i32), Signal::SIGINT).unwrap();
        assert!(is_there(pid));
    }
    parent.handle().kill().unwrap();
    parent.join().unwrap_err();
    let is_over = |pid| state(pid).is_none_or(|state| state == 'Z');
    until("the server and its spare child have ended", || both.into_iter().all(is_over));
}

#[test]
fn a_spare_child_that_is_killed_is_replaced() {
    alone(|| {
        server().spawn(greet, ("x",)).unwrap().join().unwrap();
        for _ in 0..20 {
            let [first, spare] = server_and_spare();
            end(spare);
            until("the spare child is dead", || state(spare) == Some('Z'));
            assert_eq!(server().spawn(greet, ("y",)).unwrap().join().unwrap(), "hello y");
            assert!(!is_there(spare), "it is no zombie");
            assert_eq!(server_and_spare()[0], first, "the server goes on");
        }
    });
}

#[test]
fn signals_from_before_the_start_are_not_the_childs_and_later_ones_are() {
    alone(|| {
        server().spawn(greet, ("x",)).unwrap().join().unwrap();
        for _ in 0..20 {
            let [_, spare] = server_and_spare();
            for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGUSR1] {
                kill(Pid::from_raw(spare as i32), signal).unwrap();
            }
            let waits = |line: &str| line.starts_with("ShdPnd") && !line.ends_with("0000");
            let status = || fs::read_to_string(format!("/proc/{spare}/status")).unwrap();
            until("it has taken them", || !status().lines().any(waits));
            let process = server().spawn(std::process::id, ()).unwrap();
            assert_eq!((process.id(), process.join().unwrap()), (spare, spare));
        }
        for _ in 0..200 {
            let process = server().spawn(park, ()).unwrap();
            process.handle().terminate().unwrap();
            assert_eq!(process.join().unwrap_err().child().unwrap().signal(), Some(15));
        }
    });
}

#[test]
fn a_damaged_call_is_an_error_and_calls_nothing() {
    /// How a call begins, and where its request stands behind that.
    const MAGIC: u64 = u64::from_be_bytes(*b"mprocall");
    const REQUEST: usize = 72;
    alone(|| {
        server().spawn(greet, ("x",)).unwrap().join().unwrap();
        let [_, spare] = server_and_spare();
        kill(Pid::from_raw(spare as i32), Signal::SIGSTOP).unwrap();
        until("it stands still", || state(spare) == Some('T'));
        let process = server().spawn(greet, ("x",)).unwrap();
        let file = world_file();
        let mut bytes = vec![0; file.metadata().unwrap().len() as usize];
        file.read_exact_at(&mut bytes, 0).unwrap();
        let is_call = |at: &usize| bytes[*at..].starts_with(&MAGIC.to_ne_bytes());
        let calls: Vec<usize> = (0..bytes.len() - REQUEST).step_by(8).filter(is_call).collect();
        assert!(!calls.is_empty());
        for at in calls {
            let place = at + REQUEST;
            file.write_all_at(&[bytes[place] ^ 1], place as u64).unwrap();
        }
        kill(Pid::from_raw(spare as i32), Signal::SIGCONT).unwrap();
        let error = process.join().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Corrupted, "{error}");
        assert!(error.to_string().contains("the call is damaged"), "{error}");
    });
}

#[test]
fn a_child_killed_at_once_is_a_child_that_was_killed() {
    alone(|| {
        server().spawn(greet, ("x",)).unwrap().join().unwrap();
        for _ in 0..200 {
            let process = server().spawn(park, ()).unwrap();
            end(process.id());
            assert_eq!(process.join().unwrap_err().child().unwrap().signal(), Some(9));
        }
        server_and_spare();
    });
}

#[test]
fn another_executable_has_no_server() {
    let error = server().name("x").executable("/proc/self/exe").spawn(park, ()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_eq!(
        error.to_string(),
        "cannot start process \"x\": a fork server runs this very program; another executable needs StartMethod::Spawn"
    );
}

/// In a session of its own: as the server of a process that left its group ends, that group may be without anybody whose parent is
/// elsewhere in the session, and then the kernel sends SIGHUP to all of it if one of them stands still: the other tests here do.
#[test]
fn what_a_request_cannot_change_makes_a_new_server() {
    fn changes_its_group() {
        let group = || nix::unistd::getpgrp().as_raw();
        server().spawn(park, ()).unwrap().handle().kill().unwrap();
        nix::unistd::setpgid(Pid::from_raw(0), Pid::from_raw(0)).unwrap();
        assert_eq!(server().spawn(group, ()).unwrap().join().unwrap(), group());
    }
    alone(|| {
        nix::unistd::setsid().unwrap();
        quiet().spawn(changes_its_group, ()).unwrap().join().unwrap();
    });
}

#[test]
fn five_generations_have_a_server_each() {
    let _watch = watch();
    fn generation(left: u32) -> u32 {
        if left == 0 {
            return 1;
        }
        1 + server().spawn(generation, (left - 1,)).unwrap().join().unwrap()
    }
    assert_eq!(server().spawn(generation, (4,)).unwrap().join().unwrap(), 5);
}

#[test]
fn a_thousand_leave_nothing_and_three_hundred_live_at_once() {
    alone(|| {
        server().spawn(greet, ("x",)).unwrap().join().unwrap();
        let before = descriptors();
        let gate = multiproc::Event::new().unwrap();
        let many: Vec<_> = (0..300)
            .map(|_| server().spawn(|gate: multiproc::Event| gate.wait(), (&gate,)).unwrap())
            .collect();
        for _ in 0..700 {
            server().spawn(|| {}, ()).unwrap().join().unwrap();
        }
        assert_eq!(active_children().len(), 300);
        gate.set();
        many.into_iter().for_each(|process| process.join().unwrap().unwrap());
        assert_eq!(descriptors(), before);
        server_and_spare();
    });
}
