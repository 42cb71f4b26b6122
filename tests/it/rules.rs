//! What keeps waiters from hanging, cure by cure: each scene has one death (or one process that stops) and then quiet, plays
//! with the cure and must end well, and plays without it and must not. So the cure is needed, and the scene would notice.
//!
//! A random soak does not show most of these: the next death's alarm heals what an earlier one broke. The kill harness
//! plays others, instruction by instruction (`tests/kill.rs`).
//!
//! Where a thread has to stand still between being woken and acting on it, it is traced and stops as its system call
//! returns. Where a process has to lose its keeper and live on, a seccomp filter ends the thread that calls `futex_waitv`.

#![allow(unsafe_code, reason = "ptrace, a seccomp filter, a signal handler")]

use std::fs;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use multiproc::testing::{self, Broken};
use multiproc::{Consumer, Event, Lock, Process, Producer, Queue};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, kill, sigaction};
use nix::unistd::Pid;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::common::{LONG, alone, park, until, until_asleep};
use crate::watchdog::watch;

/// What a scene is about.
#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
enum Cure {
    /// A keeper rings again when the last thread of a dead process is marked.
    SecondAlarm,
    /// A slot with another owner than at the last look tells of a death.
    ReuseCheck,
    /// A keeper rings until every sleeper has heard it.
    Repeat,
    /// Unlocking keeps the bit that says that others sleep.
    KeptBit,
    /// Who waits for a lock looks again every 50 ms.
    Slices,
    /// Keepers look once a second for news that came without a wake.
    NewsLook,
    /// Keepers ask the system for threads that the kernel left unmarked.
    VanishedLook,
    /// A process is gone when all its threads are.
    AllThreads,
}

/// A play of a scene, with the cure or without it.
#[derive(Clone, Copy, Serialize, Deserialize)]
struct Play {
    cure: Cure,
    on: bool,
}

impl Play {
    /// To be called in every process of the play. Slices would heal nearly everything, if late.
    fn begin(self) {
        testing::set_slices(self.on && self.cure == Cure::Slices);
        let broken = match self.cure {
            Cure::SecondAlarm => Some(Broken::NoSecondAlarm),
            Cure::ReuseCheck => Some(Broken::NoReuseCheck),
            Cure::Repeat => Some(Broken::NoRepeat),
            Cure::KeptBit => Some(Broken::UnlockStoresZero),
            Cure::Slices => None,
            Cure::NewsLook => Some(Broken::NoNewsLook),
            Cure::VanishedLook => Some(Broken::NoVanishedLook),
            Cure::AllThreads => Some(Broken::GoneAtKeeper),
        };
        testing::set_broken(broken.filter(|_| !self.on));
    }

    /// When a wait counts as a hang.
    fn patience(self) -> Duration {
        match (self.on, self.cure) {
            (true, _) => LONG,
            (false, Cure::NewsLook) => Duration::from_millis(2500),
            (false, _) => Duration::from_millis(400),
        }
    }

    /// Whether so many tell in time that they got through.
    fn all_through(self, through: &Queue<()>, count: usize) -> bool {
        (0..count).all(|_| through.get_timeout(self.patience()).is_ok())
    }

    fn holder(self, lock: &Lock) -> Process<()> {
        let held = Event::new().unwrap();
        let process = Process::spawn(hold, (self, lock, &held)).unwrap();
        held.wait().unwrap();
        process
    }

    /// A process that is asleep in a wait for the lock.
    fn waiter(self, lock: &Lock, through: &Queue<()>) -> Process<()> {
        let ready = Event::new().unwrap();
        asleep(&ready, Process::spawn(pass, (self, lock, &ready, through)).unwrap())
    }
}

/// Plays a scene both ways. Without the cure it may go well by luck, but not for ever.
fn show(cure: Cure, scene: fn(Play) -> bool) {
    let play = |on| {
        let play = Play { cure, on };
        play.begin();
        scene(play)
    };
    for _ in 0..3 {
        assert!(play(true), "the scene does not end well with the cure");
    }
    assert!((0..8).any(|_| !play(false)), "the scene does not notice that the cure is off");
}

fn asleep<R: DeserializeOwned>(ready: &Event, process: Process<R>) -> Process<R> {
    ready.wait().unwrap();
    until_asleep(&process.handle());
    process
}

fn end<R: Serialize + DeserializeOwned>(process: Process<R>) {
    process.handle().kill().unwrap();
    let _ = process.join();
}

fn hold(play: Play, lock: Lock, held: Event) {
    play.begin();
    let _guard = lock.lock().unwrap();
    held.set();
    park();
}

/// Takes the lock, whatever became of its last owner, and gives it back.
fn pass(play: Play, lock: Lock, ready: Event, through: Queue<()>) {
    play.begin();
    ready.set();
    drop(lock.recover().unwrap());
    through.put(()).unwrap();
    park();
}

/// What `/proc` says of the states of all threads: one letter for each.
fn states(pid: u32) -> String {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let stats =
        tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join("stat")).ok());
    stats.filter_map(|stat| stat.rsplit(')').next()?.trim_start().chars().next()).collect()
}

fn pid_of<R>(process: &Process<R>) -> Pid {
    Pid::from_raw(process.id() as i32)
}

// ---------------------------------------------------------------------------------------------
// A keeper dies before the threads of its process
// ---------------------------------------------------------------------------------------------

/// Ends this process's keeper at its next sleep, and returns when it is dead.
fn lose_keeper() {
    let statement =
        |code: u32, jf: u8, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf, k };
    let mut filter = [
        statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0),
        statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 1, libc::SYS_futex_waitv as u32),
        statement(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_KILL_THREAD),
        statement(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
    // SAFETY: integer arguments only.
    let quiet = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
    assert_eq!(quiet, 0);
    let (mode, all_threads) = (libc::SECCOMP_SET_MODE_FILTER, libc::SECCOMP_FILTER_FLAG_TSYNC);
    // SAFETY: `program` and the filter it points to outlive the call, which copies them.
    let set = unsafe { libc::syscall(libc::SYS_seccomp, mode, all_threads, &program) };
    assert_eq!(set, 0, "{}", std::io::Error::last_os_error());
    // An end that goes wakes all keepers.
    drop(Queue::<()>::new().unwrap().split());
    until("the keeper is dead", || states(std::process::id()).len() == 1);
}

/// The kernel knows the system call by which keepers are told from other threads.
fn has_waitv() -> bool {
    // SAFETY: no words are given, which is refused before anything is read.
    let result = unsafe { libc::syscall(libc::SYS_futex_waitv, 0, 0, 0, 0, 0) };
    let error = std::io::Error::last_os_error().raw_os_error();
    let has = !(result == -1 && error == Some(libc::ENOSYS));
    if !has {
        println!("skipped: no futex_waitv");
    }
    has
}

fn hold_without_keeper(play: Play, lock: Lock, held: Event, go: Event, lost: Event) {
    play.begin();
    let _guard = lock.lock().unwrap();
    held.set();
    go.wait().unwrap();
    lose_keeper();
    lost.set();
    park();
}

/// The process word is marked, the holder's not yet: the sleeper looks, sees a live owner, and sleeps again.
fn keeper_first(play: Play) -> bool {
    let (lock, through) = (Lock::new().unwrap(), Queue::new().unwrap());
    let [held, go, lost] = [(); 3].map(|()| Event::new().unwrap());
    let holder = Process::spawn(hold_without_keeper, (play, &lock, &held, &go, &lost)).unwrap();
    held.wait().unwrap();
    let waiter = play.waiter(&lock, &through);
    go.set();
    lost.wait().unwrap();
    assert!(lock.try_lock().unwrap_err().is_busy(), "the holder lives, without a keeper");
    until_asleep(&waiter.handle());
    end(holder);
    let through = play.all_through(&through, 1);
    end(waiter);
    through
}

#[test]
fn a_thread_that_dies_after_its_keeper_is_told() {
    let _watch = watch();
    alone(|| {
        if has_waitv() {
            show(Cure::SecondAlarm, keeper_first);
        }
    });
}

fn put_without_keeper(play: Play, producer: Producer<u32>, lost: Event, go: Event) {
    play.begin();
    lose_keeper();
    lost.set();
    go.wait().unwrap();
    producer.put(7).unwrap();
    park();
}

/// The keeper of the only producer is dead, another thread of the process puts.
fn writes_after_keeper(play: Play) -> bool {
    let (producer, consumer): (_, Consumer<u32>) = Queue::new().unwrap().split();
    let (lost, go) = (Event::new().unwrap(), Event::new().unwrap());
    let putter = Process::spawn(put_without_keeper, (play, producer, &lost, &go)).unwrap();
    lost.wait().unwrap();
    let early = consumer.try_get().unwrap_err();
    go.set();
    let is_whole = early.is_empty() && consumer.get_timeout(LONG).is_ok_and(|number| number == 7);
    end(putter);
    if is_whole {
        assert!(consumer.get_timeout(LONG).unwrap_err().is_closed());
    }
    is_whole
}

#[test]
fn what_a_thread_writes_after_its_keeper_died_is_not_lost() {
    let _watch = watch();
    alone(|| {
        if has_waitv() {
            show(Cure::AllThreads, writes_after_keeper);
        }
    });
}

// ---------------------------------------------------------------------------------------------
// Slots, rings
// ---------------------------------------------------------------------------------------------

/// A process dies and another takes its slot while the waiter's keeper stands still.
fn slot_is_reused(play: Play) -> bool {
    let (lock, through) = (Lock::new().unwrap(), Queue::new().unwrap());
    let [ready, start] = [(); 2].map(|()| Event::new().unwrap());
    let late = |play: Play, lock: Lock, ready: Event, start: Event, through: Queue<()>| {
        start.wait().unwrap();
        pass(play, lock, ready, through);
    };
    // The first free slot is taken: the waiter's is below the holder's.
    let waiter = Process::spawn(late, (play, &lock, &ready, &start, &through)).unwrap();
    let holder = play.holder(&lock);
    start.set();
    let waiter = asleep(&ready, waiter);
    kill(pid_of(&waiter), Signal::SIGSTOP).unwrap();
    until("the waiter stands still", || states(waiter.id()).chars().all(|state| state == 'T'));
    end(holder);
    let heir = Process::spawn(park, ()).unwrap();
    until("the slot is taken", || states(heir.id()).len() == 2);
    kill(pid_of(&waiter), Signal::SIGCONT).unwrap();
    let through = play.all_through(&through, 1);
    end(waiter);
    end(heir);
    through
}

#[test]
fn a_death_is_seen_although_its_slot_was_taken_again() {
    let _watch = watch();
    alone(|| show(Cure::ReuseCheck, slot_is_reused));
}

/// Tells on standard output that it runs, and ends when there is something on standard input.
extern "C" fn linger(_: i32) {
    let mut byte = 0_u8;
    // SAFETY: `byte` is one byte, valid to read.
    unsafe { libc::write(1, (&raw const byte).cast(), 1) };
    // SAFETY: `byte` is one byte, valid to write.
    unsafe { libc::read(0, (&raw mut byte).cast(), 1) };
}

/// Waits for one lock in the main thread, which a signal handler can keep from its sleep, and for another in a second one.
fn pass_two(play: Play, locks: [Lock; 2], ready: Event, rung: Event, through: Queue<()>) {
    play.begin();
    let action = SigAction::new(SigHandler::Handler(linger), SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: the handler makes two system calls that a handler may make.
    unsafe { sigaction(Signal::SIGUSR1, &action) }.unwrap();
    let [first, second] = locks;
    std::thread::spawn(move || {
        SigSet::all().thread_block().unwrap();
        drop(second.recover().unwrap());
        rung.set();
    });
    pass(play, first, ready, through);
}

fn hold_two(play: Play, locks: [Lock; 2], held: Event) {
    play.begin();
    let _guards = [locks[0].lock().unwrap(), locks[1].lock().unwrap()];
    held.set();
    park();
}

/// The ring comes while the sleeper is not asleep: it has looked, and its system call begins after the ring.
fn ring_is_missed(play: Play) -> bool {
    let locks = [Lock::new().unwrap(), Lock::new().unwrap()];
    let through = Queue::new().unwrap();
    let [held, ready, rung] = [(); 3].map(|()| Event::new().unwrap());
    let holder = Process::spawn(hold_two, (play, &locks, &held)).unwrap();
    held.wait().unwrap();
    let (input, mut let_go) = std::io::pipe().unwrap();
    let (mut lingers, output) = std::io::pipe().unwrap();
    let waiter = Process::builder().stdin(input).stdout(output);
    let waiter = waiter.spawn(pass_two, (play, &locks, &ready, &rung, &through)).unwrap();
    ready.wait().unwrap();
    until("both threads wait", || {
        states(waiter.id()) == "SSS"
            && locks.iter().all(|lock| format!("{lock:?}").contains("waiters: true"))
    });
    kill(pid_of(&waiter), Signal::SIGUSR1).unwrap();
    lingers.read_exact(&mut [0]).unwrap();
    end(holder);
    assert!(rung.wait_timeout(LONG).unwrap(), "the keeper has rung for the other thread");
    let_go.write_all(&[0]).unwrap();
    let through = play.all_through(&through, 1);
    end(waiter);
    through
}

#[test]
fn a_ring_that_nobody_heard_is_repeated() {
    let _watch = watch();
    alone(|| show(Cure::Repeat, ring_is_missed));
}

// ---------------------------------------------------------------------------------------------
// The woken one does not act
// ---------------------------------------------------------------------------------------------

/// A thread that is asleep in a system call, and will stop as soon as that returns.
struct Traced(Pid);

impl Traced {
    fn request(&self, request: libc::c_uint, data: libc::c_int) -> std::io::Result<()> {
        let (address, data) = (0_usize, data as usize);
        // SAFETY: the requests made here take numbers.
        let result = unsafe { libc::ptrace(request, self.0.as_raw(), address, data) };
        if result == -1 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
    }

    fn stops(&self) {
        until("the traced thread stops", || {
            let (mut status, flags) = (0, libc::__WALL | libc::WNOHANG);
            // SAFETY: `status` is valid to write.
            let found = unsafe { libc::waitpid(self.0.as_raw(), &mut status, flags) };
            assert_ne!(found, -1, "{}", std::io::Error::last_os_error());
            found != 0 && libc::WIFSTOPPED(status)
        });
    }

    /// Of the main thread of a process that sleeps. `None` where the system does not allow it.
    fn asleep<R>(process: &Process<R>) -> Option<Traced> {
        let traced = Traced(pid_of(process));
        if let Err(error) = traced.request(libc::PTRACE_SEIZE, libc::PTRACE_O_TRACESYSGOOD) {
            println!("skipped: ptrace: {error}");
            return None;
        }
        traced.request(libc::PTRACE_INTERRUPT, 0).unwrap();
        traced.stops();
        // To the beginning of the call, which starts once more.
        traced.request(libc::PTRACE_SYSCALL, 0).unwrap();
        traced.stops();
        traced.request(libc::PTRACE_SYSCALL, 0).unwrap();
        until("the traced thread sleeps", || states(process.id()).starts_with('S'));
        Some(traced)
    }
}

/// The lock is held here; the first of the waiters will stop as it is woken.
fn queue_up(
    play: Play,
    lock: &Lock,
    others: usize,
) -> Option<(Vec<Process<()>>, Traced, Queue<()>)> {
    let through = Queue::new().unwrap();
    // Its own slices would end its sleep.
    let victim = Play { on: play.on && play.cure != Cure::Slices, ..play };
    let mut waiters = vec![victim.waiter(lock, &through)];
    let Some(traced) = Traced::asleep(&waiters[0]) else {
        waiters.into_iter().for_each(end);
        return None;
    };
    waiters.extend((0..others).map(|_| play.waiter(lock, &through)));
    Some((waiters, traced, through))
}

/// The one that was woken is killed, and meanwhile another, who came by, has the lock.
fn woken_is_killed(play: Play) -> bool {
    let lock = Lock::new().unwrap();
    let guard = lock.lock().unwrap();
    let Some((mut waiters, woken, through)) = queue_up(play, &lock, 2) else { return play.on };
    drop(guard);
    woken.stops();
    let guard = lock.try_lock().unwrap();
    end(waiters.remove(0));
    until("both wait", || {
        format!("{lock:?}").contains("waiters: true")
            && waiters.iter().all(|waiter| states(waiter.id()) == "SS")
    });
    drop(guard);
    let through = play.all_through(&through, 2);
    waiters.into_iter().for_each(end);
    through
}

#[test]
fn a_woken_waiter_is_killed_while_another_barges() {
    let _watch = watch();
    alone(|| show(Cure::KeptBit, woken_is_killed));
}

/// The one that was woken stops.
fn woken_is_stopped(play: Play) -> bool {
    let lock = Lock::new().unwrap();
    let guard = lock.lock().unwrap();
    let Some((waiters, woken, through)) = queue_up(play, &lock, 1) else { return play.on };
    drop(guard);
    woken.stops();
    let through = play.all_through(&through, 1);
    waiters.into_iter().for_each(end);
    through
}

#[test]
fn a_woken_waiter_is_stopped() {
    let _watch = watch();
    alone(|| show(Cure::Slices, woken_is_stopped));
}

fn get_one(play: Play, queue: Queue<u32>, ready: Event, through: Queue<()>) {
    play.begin();
    ready.set();
    queue.get().unwrap();
    through.put(()).unwrap();
    park();
}

/// The getter that was woken for a message stops, and another one waits.
fn woken_getter_is_stopped(play: Play) -> bool {
    let (queue, through) = (Queue::new().unwrap(), Queue::new().unwrap());
    let getter = || {
        let ready = Event::new().unwrap();
        asleep(&ready, Process::spawn(get_one, (play, &queue, &ready, &through)).unwrap())
    };
    let first = getter();
    let Some(woken) = Traced::asleep(&first) else {
        end(first);
        return play.on;
    };
    let second = getter();
    queue.put(1).unwrap();
    woken.stops();
    let through = play.all_through(&through, 1);
    end(first);
    end(second);
    through
}

#[test]
fn a_woken_getter_is_stopped() {
    let _watch = watch();
    alone(|| show(Cure::NewsLook, woken_getter_is_stopped));
}

// ---------------------------------------------------------------------------------------------
// A holder goes and its process stays
// ---------------------------------------------------------------------------------------------

/// Holds the lock in another thread than the first, which ends, or becomes another program.
fn hold_in_a_thread(lock: Lock, held: Event, go: Event, execs: bool) {
    std::thread::spawn(move || {
        std::mem::forget(lock.lock().unwrap());
        held.set();
        go.wait().unwrap();
        if execs {
            panic!("{}", Command::new("/bin/cat").exec());
        }
    });
    park();
}

fn thread_goes(play: Play, execs: bool) -> bool {
    let (lock, through) = (Lock::new().unwrap(), Queue::new().unwrap());
    let (held, go) = (Event::new().unwrap(), Event::new().unwrap());
    // The other program runs until its input ends.
    let (input, _open) = std::io::pipe().unwrap();
    let holder = Process::builder().stdin(input);
    let holder = holder.spawn(hold_in_a_thread, (&lock, &held, &go, execs)).unwrap();
    held.wait().unwrap();
    let waiter = play.waiter(&lock, &through);
    go.set();
    let through = play.all_through(&through, 1);
    assert!(holder.is_alive());
    end(waiter);
    end(holder);
    through
}

#[test]
fn a_holder_is_a_thread_and_ends() {
    let _watch = watch();
    alone(|| show(Cure::Slices, |play| thread_goes(play, false)));
}

#[test]
fn a_holder_is_a_thread_and_becomes_another_program() {
    let _watch = watch();
    alone(|| show(Cure::VanishedLook, |play| thread_goes(play, true)));
}
