//! What several tests need: killing, asking `/proc` who sleeps, a process tree of one's own.

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use multiproc::testing::{self, Broken};
use multiproc::{Error, ErrorKind, Event, Process, ProcessBuilder, ProcessHandle};
use nix::unistd::Pid;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::watchdog::watch;

/// A time that no test should ever need; what takes longer hangs.
pub(crate) const LONG: Duration = Duration::from_secs(20);
/// A time that is waited out where the answer is that nothing came.
pub(crate) const SHORT: Duration = Duration::from_millis(20);

/// Does nothing until it is killed.
pub(crate) fn park() {
    loop {
        std::thread::park();
    }
}

/// A child that says nothing when it panics.
pub(crate) fn quiet() -> ProcessBuilder {
    let null = File::options().read(true).write(true).open("/dev/null").unwrap();
    Process::builder().stderr(OwnedFd::from(null))
}

/// Kills a child and sees that it was this that ended it.
pub(crate) fn killed<R: Serialize + DeserializeOwned>(process: Process<R>) {
    process.handle().kill().unwrap();
    let Err(error) = process.join() else { panic!("it ended before it was killed") };
    assert_eq!(error.child().unwrap().signal(), Some(9), "{error:?}");
}

/// The kind of the error of a result that is one.
pub(crate) fn kind<T>(result: Result<T, Error>) -> ErrorKind {
    match result {
        Ok(_) => panic!("no error"),
        Err(error) => error.kind(),
    }
}

/// Asks until it is so.
#[track_caller]
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + LONG;
    while !is_so() {
        assert!(Instant::now() < end, "not within {LONG:?}: {what}");
        std::thread::sleep(Duration::from_micros(500));
    }
}

/// Waits until every thread of a process sleeps. Right after a thread has told that it is about to wait for something,
/// it sleeps for nothing else.
#[track_caller]
pub(crate) fn until_asleep(process: &ProcessHandle) {
    until("every thread of the process sleeps", || {
        assert!(process.is_alive(), "it has ended");
        let tasks = fs::read_dir(format!("/proc/{}/task", process.id())).unwrap();
        tasks
            .flatten()
            .all(|task| state(&task.path().join("stat")).is_none_or(|state| state == 'S'))
    });
}

/// The same of one thread of this process.
#[track_caller]
pub(crate) fn until_thread_asleep(thread: Pid) {
    let stat = format!("/proc/self/task/{thread}/stat");
    until("the thread sleeps", || state(stat.as_ref()) == Some('S'));
}

/// A process that has told that it is about to wait, once it is asleep.
#[track_caller]
pub(crate) fn asleep<R: DeserializeOwned>(ready: &Event, process: Process<R>) -> Process<R> {
    ready.wait().unwrap();
    until_asleep(&process.handle());
    process
}

/// From now on the keeper of this process does not poll for changes that came without a wake: within a second it would hide that
/// a wake is missing.
pub(crate) fn without_poll() {
    testing::set_broken(Some(Broken::NoChangePoll));
}

fn state(stat: &std::path::Path) -> Option<char> {
    let text = fs::read_to_string(stat).ok()?;
    text.rsplit(')').next()?.trim_start().chars().next()
}

/// [`testing::alone`], with a watchdog in both runs.
#[track_caller]
pub(crate) fn alone<F: FnOnce()>(body: F) {
    let _watch = watch();
    testing::alone(body);
}

/// The open descriptors: number and what it is.
pub(crate) fn descriptors() -> Vec<(i32, String)> {
    let mut found: Vec<(i32, String)> = fs::read_dir("/proc/self/fd")
        .unwrap()
        .flatten()
        .filter_map(|entry| {
            let number = entry.file_name().to_str()?.parse().ok()?;
            // The descriptor of the list itself is gone by now.
            Some((number, fs::read_link(entry.path()).ok()?.to_str()?.to_owned()))
        })
        .filter(|(_, target)| !target.starts_with("/proc/"))
        .collect();
    found.sort();
    found
}

/// The file of this process's world, opened anew.
pub(crate) fn world_file() -> File {
    let worlds: Vec<i32> = descriptors()
        .into_iter()
        .filter(|(_, target)| target.starts_with("/memfd:multiproc"))
        .map(|(number, _)| number)
        .collect();
    let [number] = worlds[..] else { panic!("{} worlds", worlds.len()) };
    File::options().read(true).write(true).open(format!("/proc/self/fd/{number}")).unwrap()
}

/// Length of the world's file, and how much memory stands behind it, in bytes.
pub(crate) fn world_size() -> (u64, u64) {
    let data = world_file().metadata().unwrap();
    (data.len(), data.blocks() * 512)
}

/// Numbers that look random and are the same each time.
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Chance {
        Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub(crate) fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }
}

/// Written as one kind of handle, read as another.
macro_rules! liar {
    ($Name:ident, $Written:ty, $Read:ty) => {
        struct $Name(Option<$Written>);

        impl serde::Serialize for $Name {
            fn serialize<S: serde::Serializer>(
                &self,
                s: S,
            ) -> std::result::Result<S::Ok, S::Error> {
                serde::Serialize::serialize(self.0.as_ref().unwrap(), s)
            }
        }

        impl<'de> serde::Deserialize<'de> for $Name {
            fn deserialize<D: serde::Deserializer<'de>>(
                d: D,
            ) -> std::result::Result<$Name, D::Error> {
                <$Read as serde::Deserialize>::deserialize(d).map(|_| $Name(None))
            }
        }
    };
}

pub(crate) use liar;

/// The error is of this kind, and its text has these parts.
#[track_caller]
pub(crate) fn says(error: &Error, kind: ErrorKind, parts: &[&str]) {
    assert_eq!(error.kind(), kind, "{error:?}");
    let text = error.to_string();
    for part in parts {
        assert!(text.contains(part), "{text:?} does not say {part:?}");
    }
}

/// Serialises as so many bytes and is read as four.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Four(pub(crate) Vec<u8>);

impl serde::Serialize for Four {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeTuple;
        let mut tuple = serializer.serialize_tuple(self.0.len())?;
        self.0.iter().try_for_each(|byte| tuple.serialize_element(byte))?;
        tuple.end()
    }
}

impl<'de> serde::Deserialize<'de> for Four {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Four, D::Error> {
        let four = <[u8; 4]>::deserialize(deserializer)?;
        if four == [9; 4] {
            return Err(serde::de::Error::custom("nine is no number for me"));
        }
        Ok(Four(four.to_vec()))
    }
}

/// Runs `f` in a thread for which there is no slot: other threads of this process have all, so it must stand `alone`.
pub(crate) fn without_slot(f: impl FnOnce() + Send) {
    let (gate, lock) = (&std::sync::RwLock::new(()), &multiproc::Lock::new().unwrap());
    let small = || std::thread::Builder::new().stack_size(64 << 10);
    std::thread::scope(|scope| {
        let shut = gate.write().unwrap();
        let mut others = Vec::new();
        loop {
            let (tell, told) = std::sync::mpsc::channel();
            let take_slot = move || {
                tell.send(lock.lock().map(drop)).unwrap();
                drop(gate.read());
            };
            others.push(small().spawn_scoped(scope, take_slot).unwrap());
            if told.recv().unwrap().is_err_and(|error| error.is_limit()) {
                break;
            }
        }
        small().spawn_scoped(scope, f).unwrap().join().unwrap();
        drop(shut);
        // Their slots are free behind this.
        others.into_iter().for_each(|other| other.join().unwrap());
    });
}
