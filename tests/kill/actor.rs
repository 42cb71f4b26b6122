//! What a process of the harness does: it sits at its seat and does what it is told, one verb at a
//! time. Sleepers, bargers and victims are the same; a victim is told to mark its operation, by an
//! `int3` before and one after it, for the director that steps it.

use std::arch::asm;
use std::sync::atomic::Ordering::{Relaxed, Release};
use std::sync::atomic::{Ordering, compiler_fence};

use multiproc::Error;
use multiproc::testing::{self, Broken};

use super::board::{AFTER, BEFORE, RESULTS, Seat, Shared, WITHIN};
use super::call_verbs::{self, Calls};
use super::director::BARGER;
use super::end_verbs::{self, Ends};
use super::journey_verbs::{self, Bag};
use super::make_verbs::{self, Made};
use super::order::{Code, Order};
use super::props::Props;
use super::sync_verbs::{self, Hands};
use super::{data_verbs, pipe_verbs, queue_verbs, semaphore_verbs, start_verbs, task_verbs};

/// The function of every process that the harness starts.
pub(crate) fn act(board: String, seat: u32, props: Props) {
    // The director is the parent; without it there is nobody to tell us to leave.
    // SAFETY: prctl(2), PR_SET_PDEATHSIG
    // - takes a number.
    unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
    let board = match Shared::open(&board) {
        Ok(board) => board,
        Err(error) => panic!("cannot open the board of the harness at {board}: {error}"),
    };
    let slices = board.slices.load(Relaxed) != 0;
    testing::set_slices(slices);
    testing::set_spin(board.spin.load(Relaxed) != 0);
    testing::set_broken(match Broken::numbered(board.broken.load(Relaxed)) {
        // The keeper's poll for missed changes, once a second, is a slice as well.
        None if !slices => Some(Broken::NoChangePoll),
        broken => broken,
    });
    let index = seat as usize;
    let seat = &board.seats[index];
    seat.pid.store(std::process::id().cast_signed(), Relaxed);
    // SAFETY: gettid(2)
    // - takes nothing.
    seat.tid.store(unsafe { libc::gettid() }, Relaxed);
    let mut last = seat.finished.load(Relaxed);
    seat.report(last.wrapping_add(1));
    last = last.wrapping_add(1);
    let mut hands = Hands::new();
    let mut kept = Kept {
        made: make_verbs::room(),
        ends: Ends::default(),
        pipe_ends: pipe_verbs::Ends::default(),
        tasks: task_verbs::InHand::default(),
        bag: Bag::default(),
        calls: None,
        is_victim: index > BARGER,
    };
    loop {
        last = seat.await_order(last);
        let order = seat.told();
        seat.count.store(0, Relaxed);
        match order {
            Order::Quit => return seat.report(last),
            _ => {
                let code = match perform(seat, order, &props, &mut hands, &mut kept) {
                    Ok(()) => Code::Fine,
                    Err(error) => coded(seat, &error),
                };
                seat.code.store(code as u32, Relaxed);
            }
        }
        seat.report(last);
    }
}

fn coded(seat: &Seat, error: &Error) -> Code {
    if error.is_owner_died() {
        Code::OwnerDied
    } else if error.is_full() {
        Code::Full
    } else if error.is_empty() {
        Code::Empty
    } else if error.is_busy() || error.is_timeout() {
        Code::Busy
    } else {
        seat.say(&error.to_string());
        Code::Failed
    }
}

/// The two ends of the operation under test.
#[derive(Clone, Copy)]
pub(super) struct Mark<'a>(&'a Seat);

impl<'a> Mark<'a> {
    pub(super) fn new(seat: &'a Seat) -> Self {
        Self(seat)
    }

    /// Around one call.
    #[inline(always)]
    pub(super) fn around<R>(self, operation: impl FnOnce() -> R) -> R {
        self.begin();
        let done = operation();
        self.end();
        done
    }

    #[inline(always)]
    pub(super) fn begin(self) {
        if self.0.marked.load(Relaxed) != 0 {
            trap();
            self.0.stage.store(WITHIN, Release);
        }
    }

    #[inline(always)]
    pub(super) fn at(self, stage: u32) {
        // The compiler may not move the operation across: it reads and writes shared memory.
        compiler_fence(Ordering::SeqCst);
        self.0.stage.store(stage, Release);
        compiler_fence(Ordering::SeqCst);
    }

    #[inline(always)]
    pub(super) fn end(self) {
        self.at(AFTER);
        // A stopped victim is let go untraced, and then nobody would take the trap.
        if self.0.marked.load(Relaxed) != 0 {
            trap();
        }
    }
}

#[inline(always)]
fn trap() {
    // SAFETY: int3
    // - changes nothing; the tracer takes the SIGTRAP. It is not marked as leaving memory alone, so
    //   that the operation stays between the two.
    unsafe { asm!("int3") };
}

/// What an actor keeps from one order to the next, beside locks and permits.
struct Kept {
    made: Vec<Made>,
    ends: Ends,
    pipe_ends: pipe_verbs::Ends,
    tasks: task_verbs::InHand,
    bag: Bag,
    calls: Option<Calls>,
    is_victim: bool,
}

fn perform<'a>(
    seat: &Seat,
    order: Order,
    props: &'a Props,
    hands: &mut Hands<'a>,
    kept: &mut Kept,
) -> multiproc::Result<()> {
    let mark = Mark(seat);
    seat.stage.store(BEFORE, Relaxed);
    match order {
        Order::Quit => Ok(()),
        Order::Warm => warm(props, kept.is_victim),
        Order::Sync { verb, which, form } => {
            sync_verbs::perform(seat, mark, verb, which, form, props, hands)
        }
        Order::Release { which, permits } => {
            semaphore_verbs::release(seat, mark, props, which, permits)
        }
        Order::Whole { verb, kind, what } => {
            make_verbs::perform(mark, verb, kind, what, &mut kept.made)
        }
        Order::Ends { verb, seat: number } => {
            end_verbs::perform(seat, mark, verb, number, props, &mut kept.ends)
        }
        Order::Pipe { verb, how } => {
            pipe_verbs::perform(seat, mark, verb, how, props, &mut kept.pipe_ends)
        }
        Order::Task { verb, size, id } => {
            task_verbs::perform(seat, mark, verb, size, id, props, &mut kept.tasks)
        }
        Order::Bag { verb, seat: number } => {
            journey_verbs::perform(seat, mark, verb, number, props, &mut kept.bag)
        }
        Order::Call { verb } => call_verbs::perform(seat, mark, verb, props, &mut kept.calls),
        Order::Start { how } => start_verbs::perform(seat, mark, how),
        Order::Data { .. } => data_verbs::perform(seat, mark, order, &props.data, &mut hands.data),
        Order::Queue { verb, kind, id } => queue_verbs::perform(seat, mark, verb, kind, id, props),
    }
}

/// Everything used once, while nobody else uses it.
fn warm(props: &Props, is_victim: bool) -> multiproc::Result<()> {
    sync_verbs::warm(props, is_victim)?;
    make_verbs::make_all()?;
    pipe_verbs::warm()?;
    data_verbs::warm(&props.data)?;
    queue_verbs::warm(props)
}

pub(super) fn answer(seat: &Seat, result: u64) {
    let index = seat.count.load(Relaxed) as usize;
    if index < RESULTS {
        seat.results[index].store(result, Relaxed);
        seat.count.store(index as u32 + 1, Relaxed);
    }
}
