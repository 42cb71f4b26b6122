//! Families: names, parents, orphans, the end of the program, many at once.

use super::*;
use multiproc::StartMethod;

const METHODS: [StartMethod; 2] = [StartMethod::Spawn, StartMethod::ForkServer];

#[test]
fn children_have_children_and_pythons_names() {
    let _watch = watch();
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
    let _watch = watch();
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
    let _watch = watch();
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
    let _watch = watch();
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
    let _watch = watch();
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
    let _watch = watch();
    let processes: Vec<_> =
        (0..64_u64).map(|n| Process::spawn(|n: u64| n * n, (n,)).unwrap()).collect();
    for (n, process) in processes.into_iter().enumerate() {
        assert_eq!(process.join().unwrap(), (n * n) as u64);
    }
}

#[test]
fn several_threads_start_at_once() {
    let _watch = watch();
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
    let _watch = watch();
    fn start(method: u32) -> Result<String> {
        Process::builder().start_method(METHODS[method as usize]).spawn(greet, ("x",))?.join()
    }
    fn body(method: u32) {
        // Everything that opens a descriptor once is there before the table is made small.
        start(method).unwrap();
        let before = descriptors();
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        for room in 0..5 {
            let limit = before.last().unwrap().0 as u64 + 1 + room;
            // All numbers but `room` are taken.
            let full: Vec<_> = std::iter::from_fn(|| File::open("/dev/null").ok())
                .take_while(|file| (file.as_raw_fd() as u64) < limit - room)
                .collect();
            setrlimit(Resource::RLIMIT_NOFILE, limit, hard).unwrap();
            let outcome = start(method);
            setrlimit(Resource::RLIMIT_NOFILE, soft, hard).unwrap();
            drop(full);
            match outcome {
                Ok(text) => assert!(room > 0 && text == "hello x"),
                Err(error) => {
                    assert!(error.is_limit(), "{error:?}");
                    assert!(
                        error.to_string().contains(&format!("RLIMIT_NOFILE is {limit}")),
                        "{error}"
                    );
                    assert!(room < 4, "{error}");
                }
            }
            assert_eq!(descriptors(), before, "method {method}, room for {room}");
            // The server has no status, either, nor has its spare child.
            let none = waitpid(Pid::from_raw(-1), Some(WaitPidFlag::WNOHANG));
            let expected = [Err(nix::errno::Errno::ECHILD), Ok(WaitStatus::StillAlive)];
            assert_eq!(none, expected[method as usize], "method {method}, room for {room}");
        }
        start(method).unwrap();
    }
    for method in 0..2 {
        Process::spawn(body, (method,)).unwrap().join().unwrap();
    }
}

#[test]
fn there_is_a_processor() {
    let _watch = watch();
    assert!(cpu_count() >= 1);
    let here = std::thread::available_parallelism().unwrap().get();
    assert_eq!(Process::spawn(cpu_count, ()).unwrap().join().unwrap(), here);
}
