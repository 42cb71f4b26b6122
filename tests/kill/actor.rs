//! What a process of the harness does: it sits at its seat and does what it is told, one verb at a
//! time. Sleepers, bargers and victims are the same; a victim is told to mark its operation, by an
//! `int3` before and one after it, for the director that steps it.

use std::arch::asm;
use std::sync::atomic::Ordering::{Relaxed, Release};
use std::sync::atomic::{Ordering, compiler_fence};

use multiproc::testing::{self, Broken};
use multiproc::{BoundedSemaphore, Error, Event, Lock, Queue, RLock, Semaphore};
use serde::{Deserialize, Serialize};

use super::board::{AFTER, BEFORE, RESULTS, Seat, Shared, WITHIN};
use super::make_verbs::{self, Made};
use super::soak;
use super::sync_verbs::{self, Hands};

/// What the actors act with.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Props {
    pub(crate) lock: Lock,
    pub(crate) rlock: RLock,
    pub(crate) ignoring_lock: Lock,
    pub(crate) ignoring_rlock: RLock,
    pub(crate) semaphore: Semaphore,
    pub(crate) bounded_semaphore: BoundedSemaphore,
    pub(crate) event: Event,
    /// The queue of each [`Kind`].
    pub(crate) small: Queue<(u64, u64)>,
    pub(crate) bounded: Queue<(u64, u64)>,
    pub(crate) raw: Queue<u64>,
    pub(crate) big: Queue<Vec<u8>>,
    pub(crate) big_bounded: Queue<Vec<u8>>,
    pub(crate) busy: Queue<(u64, u64)>,
    pub(crate) pages: Queue<u64>,
}

/// Permits of the semaphores at the start of every point.
pub(crate) const PERMITS: u32 = 2;
/// Items in the bounded queues.
pub(crate) const BOUND: usize = 2;
/// Items in the queue for traffic.
const BUSY: usize = 256;
/// Bytes of a big message: past what a queue takes in line.
const BIG: usize = 6000;
/// Bytes of a page: of such records exactly [`PAGES`] fit into a chunk of a queue (`channel/ring.rs`),
/// and the next one begins another.
const PAGE: usize = 4088;
pub(crate) const PAGES: usize = 15;
/// What a message that is not as it was put is reported as.
pub(crate) const TORN: u64 = u64::MAX;

impl Props {
    pub(crate) fn new() -> multiproc::Result<Self> {
        Ok(Self {
            lock: Lock::new()?,
            rlock: RLock::new()?,
            ignoring_lock: Lock::builder().ignore_owner_death(true).build()?,
            ignoring_rlock: RLock::builder().ignore_owner_death(true).build()?,
            semaphore: Semaphore::new(PERMITS)?,
            bounded_semaphore: BoundedSemaphore::new(PERMITS)?,
            event: Event::new()?,
            small: Queue::new()?,
            bounded: Queue::bounded(BOUND)?,
            raw: Queue::new()?,
            big: Queue::new()?,
            big_bounded: Queue::bounded(BOUND)?,
            busy: Queue::bounded(BUSY)?,
            pages: Queue::new()?,
        })
    }
}

/// Which queue, and in which form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(crate) enum Kind {
    /// A pair of numbers through serde.
    Small,
    /// The same, at most [`BOUND`] of them.
    Bounded,
    /// Bytes as such.
    Raw,
    /// Bytes that go by an extent.
    Big,
    /// The same, at most [`BOUND`] of them.
    BigBounded,
    /// Pairs of numbers, and room for many.
    Busy,
    /// Bytes, [`PAGES`] to a chunk.
    Page,
}

impl Kind {
    const ALL: [Self; 7] = [
        Self::Small,
        Self::Bounded,
        Self::Raw,
        Self::Big,
        Self::BigBounded,
        Self::Busy,
        Self::Page,
    ];

    /// What the number in an order means.
    pub(crate) fn of(number: u64) -> Self {
        Self::ALL[number as usize]
    }

    /// Whether it holds [`BOUND`] messages at most.
    pub(crate) fn is_bounded(self) -> bool {
        matches!(self, Self::Bounded | Self::BigBounded)
    }

    /// How many messages are in it, seen from the calling process.
    pub(crate) fn len(self, props: &Props) -> usize {
        match self {
            Self::Small => props.small.len(),
            Self::Bounded => props.bounded.len(),
            Self::Raw => props.raw.len(),
            Self::Big => props.big.len(),
            Self::BigBounded => props.big_bounded.len(),
            Self::Busy => props.busy.len(),
            Self::Page => props.pages.len(),
        }
    }
}

macro_rules! verbs {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What an actor can be told.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u32)]
        pub(crate) enum Verb { $($(#[$doc])* $name,)* }

        impl Verb {
            const ALL: &[Self] = &[$(Self::$name,)*];

            /// What the number on a seat means.
            pub(crate) fn of(number: u32) -> Self {
                Self::ALL.get(number as usize).copied().unwrap_or(Self::Quit)
            }
        }
    };
}

verbs! {
    /// Leave.
    Quit,
    /// Touch everything once, so that nothing is first in what follows.
    Warm,
    /// Of a lock; arguments: which, and in which form (`sync_verbs`). Take it and keep it.
    Hold,
    /// Recover it and keep it.
    RecoverHold,
    /// Try to take the lock, again and again, at most this many times; keep it.
    Barge,
    /// Let go of it, once.
    Unlock,
    /// Let go of it and try to have it back at once, ahead of whom that woke.
    UnlockBarge,
    /// Lock, recover if the owner had died, unlock. Result: whether it had.
    Cycle,
    /// Recover, unlock. Result: the process of the dead owner.
    Recover,
    /// Of the re-entrant lock: lock twice, recover if the owner had died, unlock. Result: whether it
    /// had.
    Nested,
    /// A lock that is held: lock once more and unlock. Result: whether it was to be had.
    Relock,
    /// Of a re-entrant lock: lock it three times, unlock. Result: the depths.
    Depths,
    /// Second argument, here and below: the question. Result: the answer.
    AskLock,
    Set,
    Clear,
    AskEvent,
    /// Second argument: in which form. Result: whether it was set.
    Wait,
    /// Of a semaphore; arguments: which, and in which form. Take a permit and keep it. Result:
    /// whether there was one.
    Acquire,
    /// Drop a permit.
    GiveBack,
    /// Drop a permit and try to have it back at once. Result: whether it has.
    GiveBarge,
    /// Drop all permits.
    GiveAll,
    /// Forget a permit.
    Forget,
    /// Arguments: which, how many. Result: whether so many were not too many.
    Release,
    /// Result: how many permits are available.
    Available,
    AskSemaphore,
    /// Arguments: the kind of object, what to do (`make_verbs`).
    Make,
    /// Arguments: the kind of object, how many to make. Keep them.
    Hoard,
    /// Drop what was made and kept.
    DropAll,
    /// Make and use and drop one of each kind.
    MakeAll,
    /// Arguments: kind, id.
    Put,
    TryPut,
    /// Arguments: kind, id of the first of three.
    PutMany,
    /// Argument: kind. Result: the id.
    Get,
    TryGet,
    /// Argument: kind. Result: the ids, at most two.
    GetMany,
    /// Argument: kind. Result: all ids that are there.
    Drain,
    Len,
    /// Argument: the role. Ends when the board says so.
    Soak,
}

/// How an order ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Code {
    Fine,
    OwnerDied,
    Full,
    Empty,
    Busy,
    /// Anything else; the seat has the text.
    Failed,
}

impl Code {
    const ALL: [Self; 6] =
        [Self::Fine, Self::OwnerDied, Self::Full, Self::Empty, Self::Busy, Self::Failed];

    /// What the number on a seat means.
    pub(crate) fn of(number: u32) -> Self {
        Self::ALL.get(number as usize).copied().unwrap_or(Self::Failed)
    }
}

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
        // The keeper's look for old news, once a second, is a slice as well.
        None if !slices => Some(Broken::NoNewsLook),
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
    let mut made = make_verbs::room();
    loop {
        last = seat.await_order(last);
        let verb = Verb::of(seat.verb.load(Relaxed));
        seat.count.store(0, Relaxed);
        match verb {
            Verb::Quit => return seat.report(last),
            Verb::Soak => soak::play(&board, index, &props),
            _ => {
                let code = match perform(seat, verb, &props, &mut hands, &mut made) {
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

impl Mark<'_> {
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

fn perform<'a>(
    seat: &Seat,
    verb: Verb,
    props: &'a Props,
    hands: &mut Hands<'a>,
    made: &mut Vec<Made>,
) -> multiproc::Result<()> {
    let mark = Mark(seat);
    seat.stage.store(BEFORE, Relaxed);
    let queue = || Kind::of(seat.argument(0));
    match verb {
        Verb::Quit | Verb::Soak => {}
        Verb::Warm => warm(props)?,
        Verb::Put => return put(mark, props, queue(), seat.argument(1), true),
        Verb::TryPut => return put(mark, props, queue(), seat.argument(1), false),
        Verb::PutMany => {
            let first = seat.argument(1);
            let items = (first..first + 3).map(|id| (id, !id)).collect::<Vec<_>>();
            mark.begin();
            let done = props.small.put_many(items);
            mark.end();
            return done.map(drop);
        }
        Verb::Get => answer(seat, get(mark, props, queue(), true)?),
        Verb::TryGet => answer(seat, get(mark, props, queue(), false)?),
        Verb::GetMany => {
            mark.begin();
            let done = props.small.get_many(2);
            mark.end();
            for pair in done? {
                answer(seat, paired(pair));
            }
        }
        Verb::Drain => loop {
            match get(mark, props, queue(), false) {
                Ok(id) => answer(seat, id),
                Err(error) if error.is_empty() => break,
                Err(error) => return Err(error),
            }
        },
        Verb::Len => answer(seat, queue().len(props) as u64),
        Verb::Make | Verb::Hoard | Verb::DropAll | Verb::MakeAll => {
            return make_verbs::perform(seat, mark, verb, made);
        }
        _ => return sync_verbs::perform(seat, mark, verb, props, hands),
    }
    Ok(())
}

pub(super) fn answer(seat: &Seat, result: u64) {
    let index = seat.count.load(Relaxed) as usize;
    if index < RESULTS {
        seat.results[index].store(result, Relaxed);
        seat.count.store(index as u32 + 1, Relaxed);
    }
}

/// Everything used once, while nobody else uses it.
fn warm(props: &Props) -> multiproc::Result<()> {
    sync_verbs::warm(props)?;
    make_verbs::perform(&Seat::nowhere(), Mark(&Seat::nowhere()), Verb::MakeAll, &mut Vec::new())?;
    // Not the pages: they are counted.
    for kind in Kind::ALL.into_iter().filter(|&kind| kind != Kind::Page) {
        for block in [true, false] {
            simply_put(props, kind, 1)?;
            get(Mark(&Seat::nowhere()), props, kind, block)?;
        }
    }
    Ok(())
}

/// Puts a message without marks.
pub(crate) fn simply_put(props: &Props, kind: Kind, id: u64) -> multiproc::Result<()> {
    put(Mark(&Seat::nowhere()), props, kind, id, true)
}

/// Gets a message without marks.
pub(crate) fn simply_get(props: &Props, kind: Kind) -> multiproc::Result<u64> {
    get(Mark(&Seat::nowhere()), props, kind, true)
}

fn put(mark: Mark, props: &Props, kind: Kind, id: u64, block: bool) -> multiproc::Result<()> {
    let pair = (id, !id);
    match (kind, block) {
        (Kind::Small, true) => marked(mark, || props.small.put(pair)),
        (Kind::Small, false) => marked(mark, || props.small.try_put(pair)),
        (Kind::Bounded, true) => marked(mark, || props.bounded.put(pair)),
        (Kind::Bounded, false) => marked(mark, || props.bounded.try_put(pair)),
        (Kind::Raw, _) => {
            let item = bytes(id, 16);
            marked(mark, || props.raw.put_bytes(&item))
        }
        (Kind::Big, _) => {
            let item = bytes(id, BIG);
            marked(mark, || props.big.put(item))
        }
        (Kind::BigBounded, true) => {
            let item = bytes(id, BIG);
            marked(mark, || props.big_bounded.put(item))
        }
        (Kind::BigBounded, false) => {
            let item = bytes(id, BIG);
            marked(mark, || props.big_bounded.try_put(item))
        }
        (Kind::Busy, _) => marked(mark, || props.busy.put(pair)),
        (Kind::Page, _) => {
            let item = bytes(id, PAGE);
            marked(mark, || props.pages.put_bytes(&item))
        }
    }
}

fn get(mark: Mark, props: &Props, kind: Kind, block: bool) -> multiproc::Result<u64> {
    match (kind, block) {
        (Kind::Small, true) => marked(mark, || props.small.get()).map(paired),
        (Kind::Small, false) => marked(mark, || props.small.try_get()).map(paired),
        (Kind::Bounded, true) => marked(mark, || props.bounded.get()).map(paired),
        (Kind::Bounded, false) => marked(mark, || props.bounded.try_get()).map(paired),
        (Kind::Raw, true) => marked(mark, || props.raw.get_bytes()).map(|item| whole(&item, 16)),
        (Kind::Raw, false) => {
            marked(mark, || props.raw.try_get_bytes()).map(|item| whole(&item, 16))
        }
        (Kind::Big, true) => marked(mark, || props.big.get()).map(|item| whole(&item, BIG)),
        (Kind::Big, false) => marked(mark, || props.big.try_get()).map(|item| whole(&item, BIG)),
        (Kind::BigBounded, true) => {
            marked(mark, || props.big_bounded.get()).map(|item| whole(&item, BIG))
        }
        (Kind::BigBounded, false) => {
            marked(mark, || props.big_bounded.try_get()).map(|item| whole(&item, BIG))
        }
        (Kind::Page, true) => {
            marked(mark, || props.pages.get_bytes()).map(|item| whole(&item, PAGE))
        }
        (Kind::Page, false) => {
            marked(mark, || props.pages.try_get_bytes()).map(|item| whole(&item, PAGE))
        }
        (Kind::Busy, true) => marked(mark, || props.busy.get()).map(paired),
        (Kind::Busy, false) => marked(mark, || props.busy.try_get()).map(paired),
    }
}

#[inline(always)]
fn marked<R>(mark: Mark, operation: impl FnOnce() -> R) -> R {
    mark.begin();
    let done = operation();
    mark.end();
    done
}

/// The bytes of message `id`: the number and its complement in turn.
fn bytes(id: u64, len: usize) -> Vec<u8> {
    let word = |index: usize| if index & 1 == 0 { id } else { !id };
    (0..len / 8).flat_map(|index| word(index).to_le_bytes()).collect()
}

/// The number of the message that these bytes are, if they are just that.
fn whole(item: &[u8], len: usize) -> u64 {
    let id = item.first_chunk().map_or(TORN, |first| u64::from_le_bytes(*first));
    if item == bytes(id, len) { id } else { TORN }
}

fn paired((id, not): (u64, u64)) -> u64 {
    if id == !not { id } else { TORN }
}
