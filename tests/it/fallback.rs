//! Where the kernel or a sandbox lacks `futex_waitv` or robust lists: a seccomp filter answers ENOSYS, as old kernels do, in
//! a process of its own and all its children.

#![allow(unsafe_code, reason = "the filter is installed by a system call")]

use crate::watchdog::watch;
use multiproc::{Event, Lock, Process, Queue};
use std::process::Command;
use std::time::Duration;

/// Names the system calls that the re-run process is to do without.
const VARIABLE: &str = "MULTIPROC_TEST_WITHOUT";

/// Runs the test `body` of this file in a process of its own, without the system calls named.
fn without(calls: &str, body: &str) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", body, "--nocapture"])
        .env(VARIABLE, calls)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "without {calls}: {}\n{text}\n{errors}", output.status);
    assert!(
        text.contains("1 passed") && text.contains("the body ran"),
        "without {calls}: {text}\n{errors}"
    );
}

#[test]
fn deaths_are_seen_without_waitv() {
    let _watch = watch();
    without("waitv", "fallback::body");
}

#[test]
fn deaths_are_seen_without_robust_lists() {
    let _watch = watch();
    without("waitv,robust", "fallback::body");
}

/// Answers ENOSYS to the system calls named, in this thread and whatever it starts.
#[cfg(target_pointer_width = "64")]
fn forbid(calls: &str) {
    let mut numbers = Vec::new();
    for call in calls.split(',') {
        match call {
            "waitv" => numbers.push(libc::SYS_futex_waitv),
            "robust" => numbers.push(libc::SYS_get_robust_list),
            other => panic!("no such call: {other}"),
        }
    }
    let statement = |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    // Load the number; each comparison skips the allowing return of the others.
    let mut program = vec![statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0)];
    for number in numbers {
        program.push(libc::sock_filter {
            code: (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16,
            jt: 0,
            jf: 1,
            k: number as u32,
        });
        let refuse = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
        program.push(statement(libc::BPF_RET | libc::BPF_K, refuse));
    }
    program.push(statement(libc::BPF_RET | libc::BPF_K, libc::SECCOMP_RET_ALLOW));
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: integer arguments only.
    let quiet = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    assert_eq!(quiet, 0);
    // SAFETY: `program` and the filter it points to outlive the call, which copies them.
    let set = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program) };
    assert_eq!(set, 0, "{}", std::io::Error::last_os_error());
}

fn hold(lock: Lock, held: Event) -> multiproc::Result<()> {
    let _guard = lock.lock()?;
    held.set();
    // Until it is killed.
    Event::new()?.wait()
}

fn hold_in_a_thread(lock: Lock, held: Event, go_on: Event) -> multiproc::Result<()> {
    std::thread::scope(|scope| {
        scope.spawn(|| std::mem::forget(lock.lock().expect("free")));
    });
    held.set();
    go_on.wait()
}

fn wait_for(lock: Lock, waiting: Event) -> multiproc::Result<bool> {
    waiting.set();
    Ok(lock.lock_timeout(Duration::from_secs(20)).is_err_and(|error| error.is_owner_died()))
}

fn put_for_ever(producer: multiproc::Producer<u32>) -> multiproc::Result<()> {
    (0..).try_for_each(|n| producer.put(n))
}

/// Not a test of its own: does nothing unless it was re-run by [`without`].
#[test]
fn body() {
    let Ok(calls) = std::env::var(VARIABLE) else { return };
    forbid(&calls);
    a_killed_holder();
    a_thread_that_ends();
    a_killed_producer();
    println!("the body ran");
}

fn a_killed_holder() {
    let lock = Lock::new().unwrap();
    let (held, waiting) = (Event::new().unwrap(), Event::new().unwrap());
    let holder = Process::spawn(hold, (&lock, &held)).unwrap();
    held.wait().unwrap();
    let waiter = Process::spawn(wait_for, (&lock, &waiting)).unwrap();
    waiting.wait().unwrap();
    holder.handle().kill().unwrap();
    assert!(waiter.join().unwrap().unwrap(), "the waiter is told that the owner died");
    drop(lock.recover().unwrap());
    drop(lock.lock().unwrap());
}

fn a_thread_that_ends() {
    let lock = Lock::new().unwrap();
    let (held, go_on) = (Event::new().unwrap(), Event::new().unwrap());
    let holder = Process::spawn(hold_in_a_thread, (&lock, &held, &go_on)).unwrap();
    held.wait().unwrap();
    let error = lock.lock_timeout(Duration::from_secs(20)).unwrap_err();
    assert!(error.is_owner_died(), "{error}");
    go_on.set();
    holder.join().unwrap().unwrap();
}

fn a_killed_producer() {
    let (producer, consumer) = Queue::<u32>::bounded(10).unwrap().split();
    let child = Process::spawn(put_for_ever, (producer,)).unwrap();
    assert_eq!(consumer.get().unwrap(), 0);
    child.handle().kill().unwrap();
    let rest: Vec<u32> = consumer.iter().collect::<multiproc::Result<_>>().unwrap();
    assert!(rest.iter().zip(1..).all(|(&got, expected)| got == expected), "{rest:?}");
    assert!(consumer.get().unwrap_err().is_closed());
}
