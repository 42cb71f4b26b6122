//! One thread of another process under single steps: what is needed of `ptrace`, and no more.
//!
//! A thread is seized by its id; the other threads of its process (the crate's keeper) run free. One
//! that is [`Stopped`] is moved by [`Stopped::step`] or [`Stopped::run_to`]; then it is [`Running`],
//! and of it is known what [`Running::wait`] tells, which tells a trap from a thread that has gone to sleep inside a system call:
//! a step over a `futex` wait does not come back until somebody wakes the sleeper.
//!
//! All requests must come from the thread that seized. That thread keeps SIGCHLD blocked
//! ([`hold_child_signals`]), so that it can wait for a stop with a time limit.

use std::cell::OnceCell;
use std::io;
use std::ops::ControlFlow;
use std::sync::LazyLock;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::symbols;
use super::threads::{sleeps, state, threads};

/// How long a step may take before the thread is looked at: is it asleep?
const PATIENCE: Duration = Duration::from_micros(150);
/// How long it may take what needs nobody else.
pub(crate) const SLOW: Duration = Duration::from_secs(5);

/// Whether debug registers can be had; found out by [`probe`].
static REGISTERS: AtomicBool = AtomicBool::new(false);

/// Whether [`Stopped::run_to`] works here.
pub(crate) fn has_registers() -> bool {
    REGISTERS.load(Relaxed)
}

/// What a wait came back with.
#[derive(Debug)]
pub(crate) enum Halt {
    /// A step, a breakpoint or an `int3` trapped.
    Trap(Stopped),
    /// The process is stopped by SIGSTOP.
    Stopped(Stopped),
    /// The thread sleeps in a system call; nothing is reported until it goes on.
    Asleep(Running),
    /// The thread is about to die (only when asked for by [`Stopped::watch_exit`]).
    Exiting(Stopped),
    /// The thread has made a process, which has this number, is traced as well and stands (only when asked for by
    /// [`Running::seize_with_forks`]).
    Forked(Stopped, i32),
    /// The thread is no more; the wait status, if there was one.
    Gone(i32),
    /// None of these before the deadline.
    Late(Running),
}

/// A traced thread and its process.
#[derive(Clone, Copy, Debug)]
struct Thread {
    pid: i32,
    tid: i32,
}

/// A traced thread that runs, or sleeps in the kernel: it can be waited for, and no more. Dropping it
/// does nothing.
#[derive(Debug)]
pub(crate) struct Running {
    thread: Thread,
    /// The request that set it going, to repeat it after a signal that means nothing here.
    going: libc::c_uint,
}

/// A traced thread that stands still: it can be looked at and set going. Dropping it does nothing: end
/// it by [`Tracee::kill`] or [`Stopped::release`].
#[derive(Debug)]
pub(crate) struct Stopped {
    thread: Thread,
    /// The address of the next instruction, once it was asked for.
    next: OnceCell<usize>,
}

/// A traced thread in either state.
#[derive(Debug)]
pub(crate) enum Tracee {
    Running(Running),
    Stopped(Stopped),
}

impl Thread {
    /// It stands.
    fn stopped(self) -> Stopped {
        Stopped { thread: self, next: OnceCell::new() }
    }

    fn send(self, signal: i32) -> io::Result<()> {
        signal_process(self.pid, signal)
    }

    /// Waits until every thread of the process stands.
    fn await_standing(self, deadline: Instant) -> io::Result<()> {
        let states = || threads(self.pid).into_iter().map(|tid| state(self.pid, tid));
        while !states().all(|state| matches!(state, b'T' | b't')) {
            if Instant::now() >= deadline {
                let states = states().map(char::from).collect::<String>();
                return Err(io::Error::other(format!(
                    "a stopped process does not stand still: {states}"
                )));
            }
            std::thread::yield_now();
        }
        Ok(())
    }
}

impl Running {
    /// Seizes thread `tid` of process `pid`; it runs on. If this process ends, whatever it has seized is killed.
    pub(crate) fn seize(pid: i32, tid: i32) -> io::Result<Self> {
        request(libc::PTRACE_SEIZE, tid, 0, libc::PTRACE_O_EXITKILL as usize)?;
        Ok(Self::of(pid, tid))
    }

    /// The same; a process that it makes is traced from its first instruction on.
    pub(crate) fn seize_with_forks(pid: i32) -> io::Result<Self> {
        const FORKS: i32 =
            libc::PTRACE_O_TRACEFORK | libc::PTRACE_O_TRACEVFORK | libc::PTRACE_O_TRACECLONE;
        request(libc::PTRACE_SEIZE, pid, 0, (FORKS | libc::PTRACE_O_EXITKILL) as usize)?;
        Ok(Self::of(pid, pid))
    }

    /// The process that [`Halt::Forked`] told of, at its first instruction.
    pub(crate) fn first_stop(pid: i32, deadline: Instant) -> io::Result<Stopped> {
        Self::of(pid, pid).event_stop(deadline)
    }

    /// Makes it stand, wherever it is; a system call in which it sleeps begins anew. Unlike a process that was stopped by SIGSTOP
    /// it can begin threads afterwards.
    pub(crate) fn interrupt(self, deadline: Instant) -> io::Result<Stopped> {
        request(libc::PTRACE_INTERRUPT, self.thread.tid, 0, 0)?;
        self.event_stop(deadline)
    }

    /// Waits for a stop that is due to the tracer.
    fn event_stop(self, deadline: Instant) -> io::Result<Stopped> {
        loop {
            let mut status = 0;
            let options = libc::__WALL | libc::WNOHANG;
            // SAFETY: waitpid(2)
            // - `status` is a live i32 of this frame.
            let answer = unsafe { libc::waitpid(self.thread.tid, &raw mut status, options) };
            match answer {
                0 if Instant::now() < deadline => {
                    await_child_signal(PATIENCE);
                }
                0 => return Err(io::Error::other("a traced thread does not stop")),
                -1 => return Err(io::Error::last_os_error()),
                _ if libc::WIFSTOPPED(status) && status >> 16 == libc::PTRACE_EVENT_STOP => {
                    return Ok(self.thread.stopped());
                }
                _ => return Err(io::Error::other(format!("a traced thread: {status:#x}"))),
            }
        }
    }

    fn of(pid: i32, tid: i32) -> Self {
        Self { thread: Thread { pid, tid }, going: libc::PTRACE_CONT }
    }

    /// Waits until something happens to it. Signals other than traps are handed on to it.
    pub(crate) fn wait(self, deadline: Instant) -> io::Result<Halt> {
        // Mostly it is on this processor, and a step is over when it has had its turn: no timer is set up for that.
        std::thread::yield_now();
        if let Some(halt) = self.check()? {
            return Ok(halt);
        }
        loop {
            // The signal first: what was set going a moment ago has not come back yet.
            let is_told = await_child_signal(PATIENCE);
            if let Some(halt) = self.check()? {
                return Ok(halt);
            }
            if is_told {
                continue;
            }
            if sleeps(self.thread.pid, self.thread.tid) {
                // It may have stopped between the two looks.
                return Ok(self.check()?.unwrap_or(Halt::Asleep(self)));
            }
            if Instant::now() >= deadline {
                return Ok(Halt::Late(self));
            }
        }
    }

    /// Waits for it to come out of a sleep.
    pub(crate) fn wait_awake(mut self, deadline: Instant) -> io::Result<Halt> {
        loop {
            match self.wait(deadline)? {
                Halt::Asleep(sleeper) if Instant::now() >= deadline => {
                    return Ok(Halt::Late(sleeper));
                }
                Halt::Asleep(sleeper) => self = sleeper,
                other => return Ok(other),
            }
        }
    }

    /// What has happened to it, if anything.
    fn check(&self) -> io::Result<Option<Halt>> {
        let stands = || self.thread.stopped();
        let mut status = 0;
        // SAFETY: waitpid(2)
        // - `status` is a live i32 of this frame.
        let answer = unsafe {
            libc::waitpid(self.thread.tid, &raw mut status, libc::__WALL | libc::WNOHANG)
        };
        match answer {
            0 => Ok(None),
            -1 => match io::Error::last_os_error() {
                error if error.raw_os_error() == Some(libc::ECHILD) => Ok(Some(Halt::Gone(0))),
                error if error.kind() == io::ErrorKind::Interrupted => Ok(None),
                error => Err(error),
            },
            _ if !libc::WIFSTOPPED(status) => Ok(Some(Halt::Gone(status))),
            _ => match (status >> 16, libc::WSTOPSIG(status)) {
                (0, libc::SIGTRAP) => Ok(Some(Halt::Trap(stands()))),
                (0, signal) => self.repeat(signal).map(|()| None),
                (libc::PTRACE_EVENT_EXIT, _) => Ok(Some(Halt::Exiting(stands()))),
                (
                    libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK | libc::PTRACE_EVENT_CLONE,
                    _,
                ) => stands().message().map(|child| Some(Halt::Forked(stands(), child))),
                (libc::PTRACE_EVENT_STOP, libc::SIGSTOP) => Ok(Some(Halt::Stopped(stands()))),
                _ => self.repeat(0).map(|()| None),
            },
        }
    }

    /// Sets it going as before, with a signal that is its own.
    fn repeat(&self, signal: i32) -> io::Result<()> {
        request(self.going, self.thread.tid, 0, signal as usize).map(drop)
    }

    /// Stops the process of a sleeper by SIGSTOP, and waits until every thread of it stands.
    pub(crate) fn stop_process(mut self) -> io::Result<Stopped> {
        self.thread.send(libc::SIGSTOP)?;
        let deadline = Instant::now() + SLOW;
        loop {
            match self.wait(deadline)? {
                Halt::Stopped(stopped) => {
                    stopped.thread.await_standing(deadline)?;
                    return Ok(stopped);
                }
                Halt::Asleep(sleeper) => self = sleeper,
                // The step that slept is over; the signal, still pending, comes before the next.
                Halt::Trap(stopped) => self = stopped.step()?,
                halt => return Err(io::Error::other(format!("a stopped process: {halt:?}"))),
            }
        }
    }
}

impl Stopped {
    /// From now on a dying thread stops once more, just before it lets go of its memory and of
    /// what the kernel keeps for it.
    pub(crate) fn watch_exit(&self) -> io::Result<()> {
        let exit = (libc::PTRACE_O_TRACEEXIT | libc::PTRACE_O_EXITKILL) as usize;
        request(libc::PTRACE_SETOPTIONS, self.thread.tid, 0, exit).map(drop)
    }

    /// The number that goes with an event.
    fn message(&self) -> io::Result<i32> {
        let mut message: libc::c_ulong = 0;
        request(libc::PTRACE_GETEVENTMSG, self.thread.tid, 0, (&raw mut message) as usize)?;
        Ok(message as i32)
    }

    /// Executes one instruction.
    pub(crate) fn step(self) -> io::Result<Running> {
        self.go(libc::PTRACE_SINGLESTEP)
    }

    /// Executes one instruction, and waits for what comes of it.
    pub(crate) fn step_whole(self, deadline: Instant) -> io::Result<Halt> {
        let wait = |running: Running| match running.wait(deadline)? {
            Halt::Trap(at) => Ok::<_, io::Error>(ControlFlow::Continue(at)),
            halt => Ok(ControlFlow::Break(halt)),
        };
        Ok(match self.step_by(wait)? {
            ControlFlow::Continue(at) => Halt::Trap(at),
            ControlFlow::Break(halt) => halt,
        })
    }

    /// Executes one instruction; `wait` waits for what comes of it. A repeated one traps each time around: it is one step. So is a
    /// look at the clock.
    pub(crate) fn step_by<T, E: From<io::Error>>(
        self,
        mut wait: impl FnMut(Running) -> Result<ControlFlow<T, Stopped>, E>,
    ) -> Result<ControlFlow<T, Stopped>, E> {
        let address = self.next();
        let mut at = self;
        loop {
            at = match wait(at.step()?)? {
                ControlFlow::Continue(at) => at,
                other => return Ok(other),
            };
            let next = at.next();
            let is_repeated = next == address;
            let behind =
                if is_repeated { at.behind_repetition(address) } else { at.behind_clock(next) };
            if let Some(behind) = behind {
                let stepped = wait(at.run_to(behind)?)?;
                if let ControlFlow::Continue(at) = &stepped {
                    at.clear_run_to()?;
                }
                return Ok(stepped);
            }
            if !is_repeated {
                return Ok(ControlFlow::Continue(at));
            }
        }
    }

    /// Lets it run.
    pub(crate) fn run(self) -> io::Result<Running> {
        self.go(libc::PTRACE_CONT)
    }

    fn go(self, going: libc::c_uint) -> io::Result<Running> {
        let running = Running { thread: self.thread, going };
        running.repeat(0).map(|()| running)
    }

    /// The address of the next instruction; 0 if it cannot be told.
    pub(crate) fn next(&self) -> usize {
        const RIP: usize = std::mem::offset_of!(libc::user, regs)
            + std::mem::offset_of!(libc::user_regs_struct, rip);
        let ask = || request(libc::PTRACE_PEEKUSER, self.thread.tid, RIP, 0);
        *self.next.get_or_init(|| ask().map_or(0, |word| word as usize))
    }

    /// The eight bytes at `address`; nothing if they cannot be read.
    pub(crate) fn code(&self, address: usize) -> Option<[u8; 8]> {
        request(libc::PTRACE_PEEKTEXT, self.thread.tid, address, 0).ok().map(i64::to_le_bytes)
    }

    pub(crate) fn pid(&self) -> i32 {
        self.thread.pid
    }

    /// The head of the list of its robust locks: the first one, how far their words are from it, and the one that is about to be
    /// taken or left.
    pub(crate) fn robust_list(&self) -> io::Result<[u64; 3]> {
        let (mut head, mut len) = (0_usize, 0_usize);
        // SAFETY: get_robust_list(2)
        // - both places are live words of this frame.
        let answer = unsafe {
            libc::syscall(libc::SYS_get_robust_list, self.thread.tid, &raw mut head, &raw mut len)
        };
        if answer != 0 {
            return Err(io::Error::last_os_error());
        }
        // A thread that has none yet.
        let word = |index: usize| self.code(head + index * 8).map_or(0, u64::from_le_bytes);
        Ok(std::array::from_fn(word))
    }

    /// Whether the next instruction is locked, by a prefix or as an exchange with memory: no other
    /// takes a lock, or makes something known.
    pub(crate) fn is_locked_next(&self) -> bool {
        self.code(self.next()).is_some_and(|code| is_locked(&code))
    }

    /// Runs until the instruction at `address` is the next one, by a debug register, which neither
    /// changes the text nor concerns the other threads. The caller waits, and then clears it.
    pub(crate) fn run_to(self, address: usize) -> io::Result<Running> {
        self.debug_register(0, address)?;
        self.debug_register(7, 1)?;
        self.run()
    }

    /// Undoes [`Stopped::run_to`].
    pub(crate) fn clear_run_to(&self) -> io::Result<()> {
        self.debug_register(7, 0)
    }

    /// The address behind a string instruction with a repetition prefix (`rep stosb`, `rep movsq`).
    fn behind_repetition(&self, address: usize) -> Option<usize> {
        if !has_registers() {
            return None;
        }
        let is_string = |code| matches!(code, 0xa4..=0xa7 | 0xaa..=0xaf);
        match self.code(address)? {
            [0xf2 | 0xf3, code, ..] if is_string(code) => Some(address + 2),
            [0xf2 | 0xf3, 0x48, code, ..] if is_string(code) => Some(address + 3),
            _ => None,
        }
    }

    /// Where a function of the kernel's page (vdso) returns to, if its first instruction is the next one, at `next`.
    ///
    /// Its clocks look again when the kernel wrote meanwhile, which it does some hundred times a second: on a busy machine single
    /// steps never come to the end of it.
    fn behind_clock(&self, next: usize) -> Option<usize> {
        if !symbols::vdso().contains(&next) || !has_registers() {
            return None;
        }
        let offset = std::mem::offset_of!(libc::user, regs.rsp);
        let stack = request(libc::PTRACE_PEEKUSER, self.thread.tid, offset, 0).ok()?;
        self.code(stack as usize).map(usize::from_le_bytes)
    }

    /// Whether it has debug registers.
    fn try_registers(&self) -> bool {
        self.debug_register(0, self.next()).and_then(|()| self.debug_register(7, 0)).is_ok()
    }

    fn debug_register(&self, index: usize, value: usize) -> io::Result<()> {
        let offset = std::mem::offset_of!(libc::user, u_debugreg) + index * 8;
        request(libc::PTRACE_POKEUSER, self.thread.tid, offset, value).map(drop)
    }

    /// Stops its process by SIGSTOP, and waits until every thread of it stands.
    fn stop_process(self) -> io::Result<Self> {
        self.thread.send(libc::SIGSTOP)?;
        self.thread.await_standing(Instant::now() + SLOW)?;
        Ok(self)
    }

    /// Lets it go on, untraced.
    pub(crate) fn detach(self) -> io::Result<()> {
        request(libc::PTRACE_DETACH, self.thread.tid, 0, 0).map(drop)
    }

    /// Lets a stopped process go on, untraced.
    pub(crate) fn release(self) -> io::Result<()> {
        self.thread.send(libc::SIGCONT)?;
        self.detach()
    }
}

impl Tracee {
    fn thread(&self) -> Thread {
        match self {
            Self::Running(running) => running.thread,
            Self::Stopped(stopped) => stopped.thread,
        }
    }

    /// The address of the next instruction; 0 while it runs or sleeps.
    pub(crate) fn next(&self) -> usize {
        match self {
            Self::Running(_) => 0,
            Self::Stopped(stopped) => stopped.next(),
        }
    }

    /// Kills its process by SIGKILL. Whoever made the process reaps it.
    pub(crate) fn kill(self) -> io::Result<()> {
        let Thread { pid, tid } = self.thread();
        signal_process(pid, libc::SIGKILL)?;
        reap_thread(pid, tid)
    }

    /// Kills its process, but keeps this one thread in the kernel, dying, for `delay`: the others
    /// of the process, and their words, are gone before it.
    pub(crate) fn kill_late(self, delay: Duration) -> io::Result<()> {
        let Thread { pid, tid } = self.thread();
        signal_process(pid, libc::SIGKILL)?;
        let deadline = Instant::now() + SLOW;
        let mut dying = Running::of(pid, tid);
        let exiting = loop {
            dying = match dying.wait(deadline)? {
                Halt::Exiting(exiting) => break exiting,
                Halt::Gone(_) => return Ok(()),
                Halt::Late(_) => return Err(io::Error::other("a killed thread does not exit")),
                Halt::Trap(_) | Halt::Stopped(_) | Halt::Forked(..) => Running::of(pid, tid),
                Halt::Asleep(sleeper) => sleeper,
            }
        };
        std::thread::sleep(delay);
        match exiting.run() {
            Err(error) if error.raw_os_error() != Some(libc::ESRCH) => Err(error),
            _ => reap_thread(pid, tid),
        }
    }

    /// Stops its process by SIGSTOP, and waits until every thread of it stands.
    pub(crate) fn stop_process(self) -> io::Result<Self> {
        match self {
            Self::Running(running) => running.stop_process().map(Self::Stopped),
            Self::Stopped(stopped) => stopped.stop_process().map(Self::Stopped),
        }
    }
}

/// A hold on a traced process whose walk may fail: it is killed by SIGKILL when this is dropped, unless it was let go. A process that
/// stayed stopped would keep whoever waits for it, or for the end of its output, for ever.
#[derive(Debug)]
pub(crate) struct Leash(Option<i32>);

impl Leash {
    /// On process `pid`, a child of this one, whose first thread is traced.
    pub(crate) fn new(pid: i32) -> Self {
        Self(Some(pid))
    }

    /// It has been killed, or goes on by itself.
    pub(crate) fn let_go(mut self) {
        self.0 = None;
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        if let Some(pid) = self.0 {
            let _ = end(pid);
        }
    }
}

/// Kills process `pid`, whose first thread is traced, and waits until that is dead; whoever made it takes its status.
pub(crate) fn end(pid: i32) -> io::Result<()> {
    signal_process(pid, libc::SIGKILL)?;
    let deadline = Instant::now() + SLOW;
    // One that is to stop once more at its exit waits there to be let on.
    while !matches!(state(pid, pid), b'Z' | b'X') && Instant::now() < deadline {
        let _ = request(libc::PTRACE_CONT, pid, 0, 0);
        std::thread::yield_now();
    }
    Ok(())
}

/// Whether an instruction is locked, as far as that can be told by its first bytes.
pub(crate) fn is_locked(code: &[u8]) -> bool {
    // An exchange of two registers has both upper bits of its last byte set.
    let exchanges = |mode: u8| mode < 0xc0;
    match *code {
        [0xf0, ..] => true,
        [0x86 | 0x87, mode, ..] | [0x40..=0x4f, 0x86 | 0x87, mode, ..] => exchanges(mode),
        _ => false,
    }
}

/// Whether an instruction is a system call.
pub(crate) fn is_call(code: &[u8]) -> bool {
    code.starts_with(&[0x0f, 0x05])
}

/// Whether an instruction may write to memory other than its thread's stack, as far as that can be told by its first bytes: in doubt
/// it may.
pub(crate) fn may_write(code: &[u8]) -> bool {
    // What is not about where to: the width, or the kind of a vector instruction.
    let code = match *code {
        [0x66, ..] | [0xf2 | 0xf3, 0x0f, ..] | [0xf2 | 0xf3, 0x40..=0x4f, 0x0f, ..] => &code[1..],
        _ => code,
    };
    let (wide, code) = match *code {
        [wide @ 0x40..=0x4f, ..] => (wide, &code[1..]),
        _ => (0, code),
    };
    // The operand behind this opcode: memory, unless it is a register, or a fixed place from the stack pointer.
    let to_operand = |at: usize| match code[at..] {
        [mode, sib, ..] => mode < 0xc0 && !(mode & 7 == 4 && sib & 0x3f == 0x24 && wide & 3 == 0),
        _ => true,
    };
    let extension = |mode: u8| mode >> 3 & 7;
    match *code {
        // Arithmetic on a register; comparing; and on an operand.
        [0x00..=0x3f, ..] if matches!(code[0] & 7, 2..=5) => false,
        [0x38 | 0x39 | 0x84 | 0x85, ..] => false,
        [0x00..=0x3f, ..] if code[0] & 7 < 2 => to_operand(1),
        [0x80 | 0x81 | 0x83, mode, ..] => extension(mode) != 7 && to_operand(1),
        [0xf6 | 0xf7, mode, ..] => matches!(extension(mode), 2 | 3) && to_operand(1),
        [0xfe | 0xff, mode, ..] => extension(mode) < 2 && to_operand(1),
        [0xc0 | 0xc1 | 0xd0..=0xd3, ..] => to_operand(1),
        // Pushing and popping a register, calling, jumping, returning.
        [0x50..=0x5f | 0x70..=0x7f | 0xc3 | 0xe8 | 0xe9 | 0xeb, ..] => false,
        // Loading, and storing.
        [0x63 | 0x69 | 0x6b | 0x8a | 0x8b | 0x8d | 0x90 | 0xa8 | 0xa9 | 0xb0..=0xbf, ..] => false,
        [0x88 | 0x89 | 0xc6 | 0xc7, ..] => to_operand(1),
        // The same of vectors; jumping and moving by a condition, and setting.
        [0x0f, 0x10 | 0x28 | 0x57 | 0x6f | 0x6e | 0x6c | 0xef, ..] => false,
        [0x0f, 0x11 | 0x29 | 0x7f | 0x90..=0x9f, ..] => to_operand(2),
        [0x0f, 0x1f | 0x40..=0x4f | 0x80..=0x8f | 0xaf | 0xb6 | 0xb7 | 0xbe | 0xbf, ..] => false,
        _ => true,
    }
}

/// Waits for a killed thread that may have been traced: one that is not the first of its process has
/// to be waited for by its tracer, or its process never ends.
pub(crate) fn reap_thread(pid: i32, tid: i32) -> io::Result<()> {
    if tid == pid {
        return Ok(());
    }
    let mut dying = Running::of(pid, tid);
    let deadline = Instant::now() + SLOW;
    loop {
        dying = match dying.wait(deadline)? {
            Halt::Gone(_) => return Ok(()),
            Halt::Exiting(exiting) => exiting.run()?,
            Halt::Late(_) => return Err(io::Error::other("a killed thread does not end")),
            Halt::Trap(_) | Halt::Stopped(_) | Halt::Forked(..) => Running::of(pid, tid),
            Halt::Asleep(sleeper) => sleeper,
        }
    }
}

/// Whether this process may trace `pid`, a child that sleeps; which is killed and reaped.
pub(crate) fn probe(pid: i32) -> io::Result<()> {
    let seized = Running::seize(pid, pid);
    if seized.is_ok() && request(libc::PTRACE_INTERRUPT, pid, 0, 0).is_ok() {
        let mut status = 0;
        // SAFETY: waitpid(2)
        // - `status` is a live i32 of this frame.
        unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL) };
        REGISTERS.store(Thread { pid, tid: pid }.stopped().try_registers(), Relaxed);
    }
    signal_process(pid, libc::SIGKILL)?;
    reap(pid)?;
    seized.map(drop)
}

/// Waits for the end of a child that nobody else waits for.
fn reap(pid: i32) -> io::Result<()> {
    match Running::of(pid, pid).wait(Instant::now() + SLOW)? {
        Halt::Gone(_) => Ok(()),
        halt => Err(io::Error::other(format!("a killed child: {halt:?}"))),
    }
}

/// Sends `signal` to process `pid`, which must be a child of this one that was not reaped yet.
pub(crate) fn signal_process(pid: i32, signal: i32) -> io::Result<()> {
    // SAFETY: kill(2)
    // - takes no pointers; `pid` is an unreaped child, so it names no other process.
    match unsafe { libc::kill(pid, signal) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn request(what: libc::c_uint, tid: i32, address: usize, data: usize) -> io::Result<i64> {
    // SAFETY: errno is this thread's own
    // - the location is valid as long as the thread lives.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: see above
    // - no other reference to it exists.
    unsafe { errno.write(0) };
    // SAFETY: ptrace(2)
    // - `address` and `data` are numbers, or addresses in the tracee, which is a victim made for this; but for PTRACE_GETEVENTMSG,
    //   for which `data` is a live word of the caller's.
    let answer = unsafe { libc::ptrace(what, tid, address, data) };
    if answer != -1 {
        return Ok(answer);
    }
    // A word that was asked for may be -1, too.
    let error = io::Error::last_os_error();
    if error.raw_os_error() == Some(0) { Ok(answer) } else { Err(error) }
}

/// Blocks SIGCHLD in the calling thread and in those it starts, for [`Running::wait`].
pub(crate) fn hold_child_signals() {
    let set: &libc::sigset_t = &CHILD_SIGNAL;
    // SAFETY: sigprocmask(2)
    // - `set` is an initialised set; the old one is not asked for.
    unsafe { libc::sigprocmask(libc::SIG_BLOCK, set, std::ptr::null_mut()) };
}

/// SIGCHLD alone.
static CHILD_SIGNAL: LazyLock<libc::sigset_t> = LazyLock::new(child_signal);

fn child_signal() -> libc::sigset_t {
    let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset(3)
    // - writes the set it is given, which lives in this frame.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: sigaddset(3)
    // - the set was initialised above.
    unsafe { libc::sigaddset(set.as_mut_ptr(), libc::SIGCHLD) };
    // SAFETY: see above
    // - sigemptyset initialised it.
    unsafe { set.assume_init() }
}

/// Whether a child changed its state within `patience`.
fn await_child_signal(patience: Duration) -> bool {
    let set: &libc::sigset_t = &CHILD_SIGNAL;
    let limit = libc::timespec {
        tv_sec: patience.as_secs().cast_signed(),
        tv_nsec: i64::from(patience.subsec_nanos()),
    };
    // SAFETY: sigtimedwait(2)
    // - the set is a static, the time limit lives in this frame; the details are not asked for.
    unsafe { libc::sigtimedwait(set, std::ptr::null_mut(), &raw const limit) > 0 }
}
