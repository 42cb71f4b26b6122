//! Ends of pipes that move: whoever has the other end gets what is sent and then finds the pipe closed, wherever a death leaves the
//! end that moves; it never waits for ever, and an end never has two owners.
//!
//! Three processes: the first watches, by the receiver of a pipe whose sender moves; the second has that sender, and sends it away
//! through another pipe; the third receives it there, and uses it.

use super::{check_some, check_some_deaths, keep};
use crate::channel::pipe::{Pipe, Receiver, Sender};
use crate::sim;
use crate::world::{self, World};
use core::cell::{Cell, RefCell};
use std::rc::Rc;

/// Words of a pipe's block that a model uses: those before the ring, and the headers of its first records.
const WORDS: usize = 82;
/// Executions of a model, and for each step of a death: each has many more steps than those of other models.
const MOST: usize = 1_000;
const MOST_FOR_EACH_STEP: usize = 40;

type End = Sender<()>;

/// Who has what, each in a process of its own.
struct Journey {
    worlds: Vec<&'static World>,
    watched: Receiver<()>,
    moves: End,
    out: Sender<End>,
    inn: Receiver<End>,
}

/// Everybody has used everything once.
fn journey() -> Journey {
    let worlds = world::make(&[&[0], &[1], &[2]]);
    let (moves, watched) = Pipe::simplex().expect("a pipe");
    let (out, inn) = Pipe::simplex().expect("a pipe");
    let moves = world::moved_to(moves, worlds[1]);
    let mut out = world::moved_to(out, worlds[1]);
    let mut inn = world::moved_to(inn, worlds[2]);
    // A block for a message is left.
    world::within(worlds[1], || {
        let (end, _) = Pipe::simplex().expect("a pipe");
        out.send(end).expect("sent");
    });
    world::within(worlds[2], || drop(inn.recv().expect("an end")));
    world::name_memory(worlds[0], |word| word < WORDS);
    Journey { worlds, watched, moves, out, inn }
}

/// The same, and the end is on its way, in a pipe of which the first process has the sender.
fn under_way() -> (Vec<&'static World>, Receiver<()>, Sender<End>, Receiver<End>) {
    let worlds = world::make(&[&[0], &[1], &[2]]);
    let (moves, watched) = Pipe::simplex().expect("a pipe");
    let (mut out, inn) = Pipe::simplex().expect("a pipe");
    let mut inn = world::moved_to(inn, worlds[2]);
    let (end, _) = Pipe::simplex().expect("a pipe");
    out.send(end).expect("sent");
    world::within(worlds[2], || drop(inn.recv().expect("an end")));
    out.send(moves).expect("sent");
    world::name_memory(worlds[0], |word| word < WORDS);
    (worlds, watched, out, inn)
}

/// How many messages come until the pipe is closed.
fn watch(mut watched: Receiver<()>) -> u32 {
    let mut got = 0;
    loop {
        match watched.recv() {
            Ok(()) => got += 1,
            Err(error) => {
                assert!(error.is_closed(), "{error}");
                return got;
            }
        }
    }
}

/// Receives the end, uses it once and drops it; notes that it came.
fn take(inn: &mut Receiver<End>, came: &Cell<bool>) {
    match inn.recv() {
        Ok(mut end) => {
            came.set(true);
            end.send(()).expect("somebody watches");
        }
        // What a thread finds while it dies is nothing.
        Err(error) => assert!(!sim::is_alive() || error.is_closed(), "{error}"),
    }
}

/// Sends the end away, after which it is nobody's here; notes that it was sent.
fn send_away(mut out: Sender<End>, mut end: End, sent: &Cell<bool>) {
    if out.send(&end).is_ok() {
        sent.set(true);
        let again = end.send(());
        assert!(!sim::is_alive() || again.is_err(), "an end with two owners");
    }
}

/// A process with one thread is dead, and the others hear of it.
fn bury(dead: &World, others: &[&World]) {
    let (process, thread) = (dead.process(), dead.me());
    dead.kernel_marks(process);
    dead.kernel_marks(thread);
    others.iter().for_each(|world| world.alarm());
}

/// Nobody dies.
pub(super) fn moves() {
    let Journey { watched, moves, out, mut inn, .. } = journey();
    let sent = Rc::new(Cell::new(false));
    let tell = sent.clone();
    let carrier = sim::spawn(1, move || send_away(out, moves, &tell));
    let came = Rc::new(Cell::new(false));
    let tell = came.clone();
    let taker = sim::spawn(2, move || take(&mut inn, &tell));
    let got = watch(watched);
    sim::join(carrier);
    sim::join(taker);
    assert!(sent.get() && came.get(), "sent: {}, came: {}", sent.get(), came.get());
    assert_eq!(got, 1, "so much was received");
}

pub fn an_end_moves_to_one_owner() {
    check_some("pipe, an end moves", 1, MOST, moves);
}

/// Somebody looks while the end is sent away: it is somewhere all the time.
pub(super) fn looked_at_meanwhile() {
    let Journey { mut watched, moves, out, inn, .. } = journey();
    // Theirs, who do nothing; the carrier's when it has sent the end away.
    sim::keep(inn);
    let sent = Rc::new(Cell::new(false));
    let tell = sent.clone();
    let carrier = sim::spawn(1, move || send_away(out, moves, &tell));
    match watched.try_recv() {
        Err(error) => assert!(error.is_empty(), "{error}"),
        Ok(()) => panic!("nobody has sent anything"),
    }
    sim::join(carrier);
    assert!(sent.get(), "nobody keeps it from that");
}

pub fn an_end_that_moves_is_somewhere() {
    check_some("pipe, looked at meanwhile", 2, MOST, looked_at_meanwhile);
}

/// Whoever sends the end away dies at any step; then the others go on, one after the other.
pub(super) fn carrier_has_died(steps: u32) -> bool {
    let Journey { worlds, watched, moves, out, inn } = journey();
    // As long as somebody has it, what is in the pipe counts.
    let inn = sim::keep(RefCell::new(inn));
    let (died, sent) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(false)));
    let (tell, tell_sent) = (died.clone(), sent.clone());
    let (dead, others) = (worlds[1], [worlds[0], worlds[2]]);
    sim::join(sim::spawn(1, move || {
        tell.set(sim::dying_at(steps, || send_away(out, moves, &tell_sent)));
        if tell.get() {
            bury(dead, &others);
        }
    }));
    let came = Rc::new(Cell::new(false));
    let tell = came.clone();
    sim::join(sim::spawn(2, move || take(&mut inn.borrow_mut(), &tell)));
    assert!(came.get() || !sent.get(), "an end that was sent is lost");
    assert_eq!(watch(watched), u32::from(came.get()), "so much was received");
    died.get()
}

/// Whoever sends the end away dies at any step, while the others are at it.
pub(super) fn carrier_dies(steps: u32) -> bool {
    let Journey { worlds, watched, moves, out, mut inn } = journey();
    let (died, sent) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(false)));
    let (tell, tell_sent) = (died.clone(), sent.clone());
    let (dead, others) = (worlds[1], [worlds[0], worlds[2]]);
    let victim = sim::spawn(1, move || {
        tell.set(sim::dying_at(steps, || send_away(out, moves, &tell_sent)));
        if tell.get() {
            bury(dead, &others);
        }
    });
    let came = Rc::new(Cell::new(false));
    let tell = came.clone();
    let taker = sim::spawn(2, move || take(&mut inn, &tell));
    let got = watch(watched);
    sim::join(victim);
    sim::join(taker);
    assert!(came.get() || !sent.get(), "an end that was sent is lost");
    assert_eq!(got, u32::from(came.get()), "so much was received");
    died.get()
}

pub fn a_carrier_that_dies_leaves_the_end_with_one_or_nobody() {
    check_some_deaths("pipe, a carrier dies", 1, MOST_FOR_EACH_STEP, carrier_dies);
    check_some_deaths("pipe, a carrier has died", 1, MOST_FOR_EACH_STEP, carrier_has_died);
}

/// Whoever receives the end dies at any step.
pub(super) fn taker_dies(steps: u32) -> bool {
    let (worlds, watched, out, inn) = under_way();
    drop(out);
    let (died, came) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(false)));
    let (tell, tell_came) = (died.clone(), came.clone());
    let (dead, others) = (worlds[2], [worlds[0]]);
    let victim = sim::spawn(2, move || {
        tell.set(sim::dying_at(steps, move || {
            // Here: who is dead drops nothing.
            let mut inn = inn;
            take(&mut inn, &tell_came);
        }));
        if tell.get() {
            bury(dead, &others);
        }
    });
    let got = watch(watched);
    sim::join(victim);
    assert!(got <= u32::from(came.get()), "received {got} by an end that did not come");
    assert!(died.get() || got == 1, "nobody died, and received: {got}");
    died.get()
}

pub fn a_taker_that_dies_takes_the_end_along() {
    check_some_deaths("pipe, a taker dies", 1, MOST_FOR_EACH_STEP, taker_dies);
}

/// Whoever could receive the end drops the receiver, with the end in the pipe.
pub(super) fn carrier_is_dropped() {
    let (worlds, watched, out, inn) = under_way();
    // So the pipe itself stays.
    sim::keep(out);
    let world = worlds[0];
    let keeper = sim::spawn(3, keep(world));
    let dropper = sim::spawn(2, move || drop(inn));
    assert_eq!(watch(watched), 0, "nobody can have sent anything");
    sim::set_over();
    world.wake_keeper();
    sim::join(dropper);
    sim::join(keeper);
}

pub fn an_end_that_nobody_can_receive_is_closed() {
    check_some("pipe, a receiver with an end in it is dropped", 1, MOST, carrier_is_dropped);
}

/// A message is sent while its receiver goes to sleep. The sender stays: no other wake comes.
pub(super) fn wakes() {
    let worlds = world::make(&[&[0], &[1]]);
    let (sender, mut receiver) = Pipe::simplex().expect("a pipe");
    let mut sender = world::moved_to(sender, worlds[1]);
    // Both have used their ends.
    world::within(worlds[1], || sender.send(()).expect("sent"));
    receiver.recv().expect("a message");
    world::name_memory(worlds[0], |word| word < WORDS);
    let sending = sim::spawn(1, move || {
        sender.send(()).expect("sent");
        sim::keep(sender);
    });
    receiver.recv().expect("a message");
    sim::join(sending);
}

pub fn a_receiver_that_goes_to_sleep_is_woken() {
    check_some("pipe, a receiver goes to sleep", 2, MOST, wakes);
}

/// The end is dropped while its peer waits.
pub(super) fn is_dropped() {
    let Journey { watched, moves, out, inn, .. } = journey();
    // Theirs, who do nothing.
    sim::keep((out, inn));
    let dropper = sim::spawn(1, move || drop(moves));
    assert_eq!(watch(watched), 0, "nobody has sent anything");
    sim::join(dropper);
}

pub fn a_dropped_end_is_seen_by_its_peer() {
    check_some("pipe, an end is dropped", 2, MOST, is_dropped);
}
