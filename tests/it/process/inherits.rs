//! What a child inherits: descriptors, environment, signals.

use super::*;

#[test]
fn a_child_has_the_standard_descriptors_and_the_world() {
    let _watch = watch();
    // One that a program would leak: open in every child that is started in the usual way.
    let leaky = File::open("/dev/zero").unwrap();
    fcntl(&leaky, FcntlArg::F_SETFD(FdFlag::empty())).unwrap();
    let child = Process::spawn(descriptors, ()).unwrap().join().unwrap();
    let numbers: Vec<i32> = child.iter().map(|(number, _)| *number).collect();
    let [0, 1, 2, world] = numbers[..] else { panic!("{child:?}") };
    assert!(child[3].1.contains("memfd:"), "{child:?}");
    // Out of the way of programs that put their own at low numbers.
    let (limit, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    assert!(world as u64 >= (limit / 2).min(40), "{child:?}");
    drop(leaky);
}

#[test]
fn the_worlds_descriptor_is_not_passed_to_other_programs() {
    let _watch = watch();
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
    let _watch = watch();
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
    let _watch = watch();
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
    let _watch = watch();
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
