//! The woken one does not act.

use multiproc::{Event, Lock, Process, Queue};
use nix::unistd::Pid;

use super::{Cure, Play, end, pid_of, show, states};
use crate::common::{alone, asleep, park, until};
use crate::watchdog::watch;

/// What libc takes for the number of a request.
#[cfg(target_env = "musl")]
type Request = libc::c_int;
#[cfg(not(target_env = "musl"))]
type Request = libc::c_uint;

/// A thread that is asleep in a system call, and will stop as soon as that returns.
pub(super) struct Traced(Pid);

impl Traced {
    pub(super) fn request(&self, request: Request, data: libc::c_int) -> std::io::Result<()> {
        let (address, data) = (0_usize, data as usize);
        // SAFETY: the requests made here take numbers.
        let result = unsafe { libc::ptrace(request, self.0.as_raw(), address, data) };
        if result == -1 { Err(std::io::Error::last_os_error()) } else { Ok(()) }
    }

    pub(super) fn stops(&self) {
        until("the traced thread stops", || {
            let (mut status, flags) = (0, libc::__WALL | libc::WNOHANG);
            // SAFETY: `status` is valid to write.
            let found = unsafe { libc::waitpid(self.0.as_raw(), &mut status, flags) };
            assert_ne!(found, -1, "{}", std::io::Error::last_os_error());
            found != 0 && libc::WIFSTOPPED(status)
        });
    }

    /// Of the main thread of a process that sleeps. `None` where the system does not allow it.
    pub(super) fn asleep<R>(process: &Process<R>) -> Option<Traced> {
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
    alone(|| show(Cure::ChangePoll, woken_getter_is_stopped));
}
