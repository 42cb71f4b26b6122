//! The death of a parent: children that end with it, and those that do not.

use super::*;
use crate::common::{LONG, until, until_asleep};
use multiproc::{Event, Queue};

/// Whether a process is there and not dead.
fn lives(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" Z")))
}

/// In what a child waits while its parent dies.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
enum Waits {
    InPark,
    InGet,
    InLock,
    InEvent,
    InRead,
    Spinning,
}

const ALL: [Waits; 6] =
    [Waits::InPark, Waits::InGet, Waits::InLock, Waits::InEvent, Waits::InRead, Waits::Spinning];

fn wait(how: Waits, pids: Queue<u32>, lock: Lock) {
    pids.put(std::process::id()).unwrap();
    let queue = Queue::<u8>::new().unwrap();
    match how {
        Waits::InPark => park(),
        Waits::InGet => drop(queue.get()),
        Waits::InLock => drop(lock.lock()),
        Waits::InEvent => drop(Event::new().unwrap().wait()),
        Waits::InRead => drop(until_stdin_closes()),
        Waits::Spinning => loop {
            std::hint::spin_loop();
        },
    }
    panic!("the wait for nothing has ended");
}

/// Starts children that wait, and waits itself.
fn has_children(daemons: bool, pids: Queue<u32>, lock: Lock) {
    let children: Vec<_> = ALL
        .into_iter()
        .map(|how| {
            let builder = quiet().daemon(daemons).end_with_parent(!daemons);
            builder.spawn(wait, (how, &pids, &lock)).unwrap()
        })
        .collect();
    park();
    drop(children);
}

fn the_parent_is_killed(daemons: bool) {
    let (pids, lock) = (Queue::new().unwrap(), Lock::new().unwrap());
    let (reader, _writer) = std::io::pipe().unwrap();
    let _guard = lock.lock().unwrap();
    let parent = Process::builder().stdin(reader);
    let parent = parent.spawn(has_children, (daemons, &pids, &lock)).unwrap();
    let pids: Vec<u32> = ALL.iter().map(|_| pids.get_timeout(LONG).unwrap()).collect();
    assert!(pids.iter().all(|pid| lives(*pid)));
    parent.handle().kill().unwrap();
    parent.join().unwrap_err();
    let killed = Instant::now();
    until("all children have ended", || !pids.iter().any(|pid| lives(*pid)));
    assert!(killed.elapsed() < Duration::from_secs(1), "{:?}", killed.elapsed());
}

#[test]
fn children_end_with_a_parent_that_is_killed() {
    let _watch = watch();
    the_parent_is_killed(false);
}

#[test]
fn daemons_end_with_a_parent_that_is_killed() {
    let _watch = watch();
    the_parent_is_killed(true);
}

#[test]
fn a_child_that_had_not_begun_ends_with_its_parent() {
    let _watch = watch();
    fn start(pids: Queue<u32>) {
        let child = Process::builder().end_with_parent(true).spawn(park, ()).unwrap();
        // Wherever its start has come to: in the loader, in the hook, in its function.
        let pid = Pid::from_raw(child.id() as i32);
        nix::sys::signal::kill(pid, nix::sys::signal::SIGSTOP).unwrap();
        pids.put(child.id()).unwrap();
        park();
    }
    let pids = Queue::new().unwrap();
    for _ in 0..20 {
        let parent = Process::spawn(start, (&pids,)).unwrap();
        let pid = pids.get_timeout(LONG).unwrap();
        parent.handle().kill().unwrap();
        parent.join().unwrap_err();
        let _ = nix::sys::signal::kill(Pid::from_raw(pid as i32), nix::sys::signal::SIGCONT);
        until("the child has ended", || !lives(pid));
    }
}

#[test]
fn a_whole_line_of_descendants_ends_with_the_first() {
    let _watch = watch();
    fn line(left: u32, pids: Queue<u32>) {
        pids.put(std::process::id()).unwrap();
        let builder = || Process::builder().end_with_parent(true);
        let _next = (left > 0).then(|| builder().spawn(line, (left - 1, &pids)).unwrap());
        park();
    }
    let pids = Queue::new().unwrap();
    let first = Process::spawn(line, (4, &pids)).unwrap();
    let pids: Vec<u32> = (0..5).map(|_| pids.get_timeout(LONG).unwrap()).collect();
    first.handle().kill().unwrap();
    first.join().unwrap_err();
    until("all five generations have ended", || !pids.iter().any(|pid| lives(*pid)));
}

#[test]
fn a_child_that_ends_with_its_parent_is_waited_for_at_the_end_of_the_program() {
    let _watch = watch();
    fn start(gate: Event, said: Queue<u32>) {
        let slow = |gate: Event, said: Queue<u32>| {
            gate.wait().unwrap();
            said.put(7).unwrap();
        };
        drop(Process::builder().end_with_parent(true).spawn(slow, (&gate, &said)).unwrap());
    }
    let (gate, said) = (Event::new().unwrap(), Queue::new().unwrap());
    let parent = Process::spawn(start, (&gate, &said)).unwrap();
    until_asleep(&parent.handle());
    assert!(said.is_empty());
    gate.set();
    parent.join().unwrap();
    assert_eq!(said.try_get().unwrap(), 7);
}

#[test]
fn a_child_outlives_a_parent_without_the_option() {
    let _watch = watch();
    fn start(gate: Event, said: Queue<u32>) {
        let stays = |gate: Event, said: Queue<u32>| {
            let parent = parent_process().unwrap();
            said.put(std::process::id()).unwrap();
            assert!(parent.wait().is_err(), "its status is another's to take");
            gate.wait().unwrap();
            said.put(7).unwrap();
        };
        let _child = Process::spawn(stays, (&gate, &said)).unwrap();
        park();
    }
    let (gate, said) = (Event::new().unwrap(), Queue::new().unwrap());
    let parent = Process::spawn(start, (&gate, &said)).unwrap();
    let child = said.get_timeout(LONG).unwrap();
    parent.handle().kill().unwrap();
    parent.join().unwrap_err();
    assert!(lives(child));
    gate.set();
    assert_eq!(said.get_timeout(LONG).unwrap(), 7);
}

#[test]
fn a_daemon_can_start_no_process() {
    let _watch = watch();
    let body = || Process::spawn(park, ()).unwrap_err();
    let error = Process::builder().daemon(true).spawn(body, ()).unwrap().join().unwrap();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert_eq!(
        error.to_string(),
        "cannot start process \"".to_owned()
            + error.to_string().split('"').nth(1).unwrap()
            + "\": this process is a daemon, and daemons can have no children: they would be left behind when it is ended. \
               Start it without daemon(true), with end_with_parent(true) if it is to die with its parent"
    );
}
