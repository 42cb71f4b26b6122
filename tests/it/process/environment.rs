//! What a program may find around it: closed standard streams, a loader, raised rights, constructors, full stacks, limits.

#![allow(unsafe_code, reason = "closes and steals descriptors, changes users, constructors")]

use crate::watchdog::watch;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::process::Command;

use multiproc::Queue;

use super::*;
use crate::common::{alone, until, world_file};

const STANDARD: std::ops::Range<i32> = 0..3;

#[test]
fn closed_standard_streams_are_null_in_a_child() {
    let _watch = watch();
    let files = |path: PathBuf| -> Vec<String> {
        let open = |n| {
            File::options()
                .create(true)
                .truncate(true)
                .read(true)
                .write(true)
                .open(path.with_extension(format!("{n}")))
                .unwrap()
        };
        let files: Vec<File> = STANDARD.map(open).collect();
        println!("a line for stdout");
        eprintln!("a line for stderr");
        let read = |file: &File| fs::read_to_string(format!("/proc/self/fd/{}", file.as_raw_fd()));
        files.iter().map(|file| read(file).unwrap()).collect()
    };
    let closed = move |path: PathBuf| {
        // SAFETY: this child uses none of them from here on.
        STANDARD.for_each(|fd| _ = unsafe { libc::close(fd) });
        Process::spawn(files, (path,))?.join()
    };
    let path = scratch("closed");
    let texts = Process::spawn(closed, (&path,)).unwrap().join().unwrap();
    STANDARD.for_each(|n| fs::remove_file(path.with_extension(format!("{n}"))).unwrap());
    assert_eq!(texts.unwrap(), ["", "", ""]);
}

#[test]
fn shared_memory_is_never_a_standard_stream() {
    let _watch = watch();
    alone(|| {
        // SAFETY: an integer argument each; what is closed is put back below.
        let kept = unsafe { libc::fcntl(1, libc::F_DUPFD_CLOEXEC, 100) };
        // SAFETY: nothing is printed before it is put back.
        unsafe { libc::close(1) };
        let queue = Queue::new().unwrap();
        let child = Process::spawn(|queue: Queue<u64>| queue.put(7), (&queue,)).unwrap();
        let lowest = || fs::read_link("/proc/self/fd/1");
        let found = lowest();
        assert!(!found.is_ok_and(|it| it.to_string_lossy().contains("memfd:multiproc")));
        // For a moment, until it is moved up, what a thread of the crate opens has the lowest number.
        until("descriptor 1 is nobody's", || lowest().is_err());
        // SAFETY: puts the first descriptor back in its place.
        unsafe { libc::dup2(kept, 1) };
        child.join().unwrap().unwrap();
        assert_eq!(queue.get().unwrap(), 7);
        assert_eq!(world_file().metadata().unwrap().mode() & 0o777, 0o600);
    });
}

#[test]
fn a_descriptor_that_was_closed_and_reused_is_a_typed_error() {
    let _watch = watch();
    alone(|| {
        let queue = Queue::<Vec<u8>>::new().unwrap();
        let worlds = descriptors();
        let world = worlds.iter().find(|(_, target)| target.contains("memfd:multiproc")).unwrap().0;
        let path = scratch("stolen");
        fs::write(&path, vec![b'x'; 20 << 20]).unwrap();
        let file = File::options().read(true).write(true).open(&path).unwrap();
        // SAFETY: what a double close does: the number means the user's file from here on.
        assert_eq!(unsafe { libc::dup2(file.as_raw_fd(), world) }, world);
        let errors: Vec<Error> =
            (0..40).filter_map(|_| queue.put(vec![1; 1 << 20]).err()).collect();
        assert!(errors.iter().all(Error::is_mismatch) && errors.len() > 30, "{errors:?}");
        assert!(errors[0].to_string().contains(&format!("descriptor {world} ")), "{}", errors[0]);
        assert!(Process::spawn(greet, ("x",)).unwrap_err().is_mismatch());
        let left = fs::read(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert!(left.len() == 20 << 20 && left.iter().all(|byte| *byte == b'x'));
        while queue.try_get().is_ok() {}
        queue.put(vec![1]).unwrap();
    });
}

fn deep(n: u64) -> u64 {
    let frame = std::hint::black_box([n; 100]);
    if n == u64::MAX { 0 } else { frame[3] + deep(n + 1) }
}

#[test]
fn a_stack_overflow_is_reported_and_aborts() {
    let _watch = watch();
    let in_a_thread = || {
        let body = || {
            drop(Lock::new().unwrap().lock().unwrap());
            deep(0)
        };
        std::thread::Builder::new().name("digger".into()).spawn(body).unwrap().join().unwrap()
    };
    for name in ["main", "digger"] {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let builder = Process::builder().stderr(writer);
        let process = match name {
            "main" => builder.spawn(deep, (0,)),
            _ => builder.spawn(in_a_thread, ()),
        };
        let process = process.unwrap();
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        let error = process.join().unwrap_err();
        assert_eq!(error.child().unwrap().signal(), Some(6), "{error} {text}");
        assert!(
            text.contains(&format!("thread '{name}' has overflowed its stack\n")),
            "{error} {text}"
        );
    }
}

#[test]
fn other_faults_are_what_they_are() {
    let _watch = watch();
    // SAFETY: there is nothing at the address, so the store only ends the process.
    let fault = || unsafe { std::ptr::without_provenance_mut::<u8>(8).write_volatile(1) };
    let error = quiet().spawn(fault, ()).unwrap().join().unwrap_err();
    assert_eq!(error.child().unwrap().signal(), Some(11), "{error}");
    let sent = || nix::sys::signal::kill(Pid::this(), nix::sys::signal::Signal::SIGSEGV).unwrap();
    let error = quiet().spawn(sent, ()).unwrap().join().unwrap_err();
    assert_eq!(error.child().unwrap().signal(), Some(11), "{error}");
}

#[test]
fn a_child_is_called_by_the_programs_name() {
    let _watch = watch();
    let name = || fs::read_to_string("/proc/self/comm").unwrap();
    let found = Process::spawn(name, ()).unwrap().join().unwrap();
    let program = std::env::current_exe().unwrap();
    let program = program.file_name().unwrap().to_str().unwrap();
    assert_eq!(found.trim_end(), &program[..program.len().min(15)]);
}

/// The dynamic loader that this program was started by.
fn loader() -> Option<PathBuf> {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let paths = maps.lines().filter_map(|line| line.split_whitespace().nth(5));
    let is_loader = |path: &&str| path.contains("/ld-") && path.contains(".so");
    paths.filter(is_loader).map(PathBuf::from).next()
}

#[test]
fn a_program_started_by_the_loader_is_told_so() {
    let _watch = watch();
    const KEY: &str = "MULTIPROC_TEST_BY_LOADER";
    let _watch = watch();
    if std::env::var_os(KEY).is_some() {
        let error = Process::spawn(greet, ("x",)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
        let program = std::env::args().next().unwrap();
        for part in ["dynamic loader", "executable(..)", program.as_str()] {
            assert!(error.to_string().contains(part), "{error}");
        }
        let named = Process::builder().executable(program).spawn(greet, ("Alice",));
        return assert_eq!(named.unwrap().join().unwrap(), "hello Alice");
    }
    let Some(loader) = loader() else { return };
    let output = Command::new(loader)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "process::environment::a_program_started_by_the_loader_is_told_so"])
        .env(KEY, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("1 passed"), "{text}");
}

/// Whether the kernel heeds set-id bits of a file of ours, and we may set them for somebody else.
fn can_raise_rights(path: &PathBuf) -> bool {
    let flags = nix::sys::statvfs::statvfs(path).unwrap().flags();
    nix::unistd::getuid().is_root() && !flags.contains(nix::sys::statvfs::FsFlags::ST_NOSUID)
}

#[test]
fn raised_rights_are_refused_by_the_parent_and_by_the_child() {
    let _watch = watch();
    let copy = scratch("raised");
    let write = |to: PathBuf| fs::copy("/proc/self/exe", to).unwrap();
    Process::spawn(write, (&copy,)).unwrap().join().unwrap();
    if !can_raise_rights(&copy) {
        return fs::remove_file(&copy).unwrap();
    }
    std::os::unix::fs::chown(&copy, Some(65534), Some(65534)).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o4755)).unwrap();
    let error = Process::builder().executable(&copy).spawn(greet, ("x",)).unwrap_err();
    let ticket = format!("{}@0 1 1 0 3 1 0 0", env!("CARGO_PKG_VERSION"));
    let child = Command::new(&copy).arg("--list").env("MULTIPROC_CHILD", ticket).output().unwrap();
    fs::remove_file(&copy).unwrap();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
    assert!(error.to_string().contains("set-user-id"), "{error}");
    assert_eq!(child.status.code(), Some(121), "{child:?}");
    assert!(child.stdout.is_empty(), "it reached main: {child:?}");
    // A process that has changed its effective user, and kept the real one.
    let changed = || {
        // SAFETY: integer arguments.
        assert_eq!(unsafe { libc::seteuid(65534) }, 0);
        Process::spawn(greet, ("x",)).and_then(Process::join).unwrap_err()
    };
    let error = Process::spawn(changed, ()).unwrap().join().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
    assert!(error.to_string().contains("effective user"), "{error}");
}

#[test]
fn a_child_that_finds_the_world_damaged_says_so() {
    let _watch = watch();
    alone(|| {
        let _lock = Lock::new().unwrap();
        let file = world_file();
        let mut magic = [0; 8];
        file.read_exact_at(&mut magic, 0).unwrap();
        file.write_all_at(&[0x5a; 8], 0).unwrap();
        let error = Process::spawn(greet, ("x",)).unwrap().join().unwrap_err();
        file.write_all_at(&magic, 0).unwrap();
        assert!(error.child().is_none(), "{error:?}");
        assert!(error.is_mismatch() || error.is_corrupted(), "{error:?}");
        assert_eq!(Process::spawn(greet, ("x",)).unwrap().join().unwrap(), "hello x");
    });
}

#[test]
fn a_child_without_room_for_its_keeper_says_so() {
    let _watch = watch();
    if !nix::unistd::getuid().is_root() {
        return;
    }
    let body = || {
        let lock = Lock::new().unwrap();
        // A user of whom nobody else is, with room for this process's two threads and one more.
        // SAFETY: integer arguments.
        assert_eq!(unsafe { libc::setresuid(54321, 54321, 54321) }, 0);
        setrlimit(Resource::RLIMIT_NPROC, 3, 3).unwrap();
        let given = |_: Lock| ();
        let uses = || Lock::new().map(drop);
        [
            Process::spawn(given, (&lock,)).unwrap().join().unwrap_err(),
            // One that is given nothing shared needs a keeper when it makes something.
            Process::spawn(uses, ()).unwrap().join().unwrap().unwrap_err(),
        ]
    };
    for error in Process::spawn(body, ()).unwrap().join().unwrap() {
        assert_eq!(error.kind(), ErrorKind::Limit, "{error:?}");
        assert!(
            error.to_string().contains("keeper") && error.to_string().contains("ulimit -u"),
            "{error}"
        );
    }
}

static CALLED: [AtomicU32; 2] = [const { AtomicU32::new(0) }; 2];
static USED_THE_CRATE: AtomicU32 = AtomicU32::new(0);
/// 1 if the constructor was refused a process.
static REFUSED: AtomicU32 = AtomicU32::new(0);

/// A constructor that uses this crate, where the test asks for it.
extern "C" fn first_constructor() {
    if std::env::var_os(CONSTRUCT).is_some() {
        USED_THE_CRATE.store(u32::from(Lock::new().is_ok()), Ordering::Relaxed);
        // In a child, or it would go on for ever.
        let started = Process::spawn(greet, ("x",)).map(drop);
        REFUSED.store(
            u32::from(started.is_err_and(|error| error.is_unsupported())),
            Ordering::Relaxed,
        );
    }
    CALLED[0].fetch_add(1, Ordering::Relaxed);
}

/// Called after the one above.
extern "C" fn second_constructor() {
    CALLED[1].fetch_add(CALLED[0].load(Ordering::Relaxed), Ordering::Relaxed);
}

const CONSTRUCT: &str = "MULTIPROC_TEST_CONSTRUCT";

#[used]
#[unsafe(link_section = ".init_array.00200")]
static FIRST: extern "C" fn() = first_constructor;
#[used]
#[unsafe(link_section = ".init_array")]
static SECOND: extern "C" fn() = second_constructor;

#[test]
fn the_programs_constructors_run_before_the_function() {
    let _watch = watch();
    let look = || {
        (
            CALLED.each_ref().map(|n| n.load(Ordering::Relaxed)),
            USED_THE_CRATE.load(Ordering::Relaxed),
        )
    };
    assert_eq!(look(), ([1, 1], 0));
    assert_eq!(Process::spawn(look, ()).unwrap().join().unwrap(), ([1, 1], 0));
    let lock = Lock::new().unwrap();
    let guard = lock.lock().unwrap();
    let both = |lock: Lock| {
        let used = USED_THE_CRATE.load(Ordering::Relaxed) + REFUSED.load(Ordering::Relaxed);
        (used, lock.try_lock().is_err())
    };
    let child = Process::builder().env(CONSTRUCT, "1").spawn(both, (&lock,)).unwrap();
    assert_eq!(child.join().unwrap(), (2, true));
    drop(guard);
}

#[test]
fn a_worker_may_never_return() {
    let _watch = watch();
    fn worker(code: i32) -> ! {
        std::process::exit(code)
    }
    let process = Process::spawn(worker, (3,)).unwrap();
    let error = match process.join() {
        Ok(never) => never,
        Err(error) => error,
    };
    let child = error.child().unwrap();
    assert_eq!(child.status().unwrap().code(), Some(3));
}
