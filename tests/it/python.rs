//! The lock family beside Python's own: the same orders, by chance, to two processes here and to two of Python's
//! `multiprocessing`, and the same answers.
//!
//! What differs on purpose is not asked for: nobody but its holder releases a `Lock` here. A semaphore that is released from
//! elsewhere is one whose permits are forgotten. Skipped where there is no `python3` with `multiprocessing`.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use multiproc::{
    BoundedSemaphore, Error, Event, Lock, OwnedLockGuard, OwnedRLockGuard, Process, Queue, RLock,
    Semaphore,
};
use serde::{Deserialize, Serialize};

use crate::common::Chance;
use crate::watchdog::watch;

/// Permits of both semaphores at the start.
const PERMITS: u32 = 2;

/// Reads who, what, order and time; answers as the other side does.
const PYTHON: &str = r#"
import multiprocessing, sys
multiprocessing = multiprocessing.get_context("fork")
permits = int(sys.argv[1])
objects = {
    "lock": multiprocessing.Lock(),
    "rlock": multiprocessing.RLock(),
    "semaphore": multiprocessing.Semaphore(permits),
    "bounded": multiprocessing.BoundedSemaphore(permits),
    "event": multiprocessing.Event(),
}

def perform(name, order, time):
    it = objects[name]
    try:
        if order == "try":
            return it.acquire(False)
        if order in ("acquire", "wait"):
            return getattr(it, order)(timeout=float(time))
        if order == "depth":
            return it._semlock._count() if it._semlock._is_mine() else 0
        return getattr(it, order)()
    except (AssertionError, ValueError):
        return "refused"

def work(pipe):
    while (order := pipe.recv()) is not None:
        pipe.send(perform(*order))

here, there = multiprocessing.Pipe()
child = multiprocessing.Process(target=work, args=(there,), daemon=True)
child.start()
for line in sys.stdin:
    who, *order = line.split()
    if who == "child":
        here.send(order)
        answer = here.recv()
    else:
        answer = perform(*order)
    print(line.strip(), "->", answer)
here.send(None)
child.join()
"#;

#[derive(Clone, Serialize, Deserialize)]
struct Objects {
    lock: Lock,
    rlock: RLock,
    semaphore: Semaphore,
    bounded: BoundedSemaphore,
    event: Event,
}

/// What a process holds.
#[derive(Default)]
struct Hands {
    locks: Vec<OwnedLockGuard>,
    rlocks: Vec<OwnedRLockGuard>,
}

/// An order: what, do what, how long.
type Order = (String, String, f64);

/// As Python prints it.
fn told(is_so: bool) -> String {
    if is_so { "True" } else { "False" }.into()
}

fn had<T>(result: Result<T, Error>, keep: impl FnOnce(T)) -> String {
    match result {
        Ok(thing) => {
            keep(thing);
            told(true)
        }
        // A thread that would wait for itself is told at once; Python lets it wait.
        Err(error) if error.is_busy() || error.is_timeout() || error.is_deadlock() => told(false),
        Err(error) => error.to_string(),
    }
}

fn done(is_done: bool) -> String {
    if is_done { "None" } else { "refused" }.into()
}

impl Objects {
    fn perform(&self, hands: &mut Hands, (what, order, seconds): &Order) -> String {
        /// The form that fits the time: without waiting, a moment that is over, a time.
        macro_rules! timed {
            ($object:expr, $try:ident, $timeout:ident, $deadline:ident) => {
                match (order.as_str(), *seconds) {
                    ("try", _) => $object.$try(),
                    (_, seconds) if seconds < 0.0 => {
                        $object.$deadline(Instant::now() - Duration::from_secs_f64(-seconds))
                    }
                    (_, seconds) => $object.$timeout(Duration::from_secs_f64(seconds)),
                }
            };
        }
        macro_rules! semaphore {
            ($object:expr) => {
                match order.as_str() {
                    "release" => done($object.release(1).is_ok()),
                    "get_value" => $object.available().to_string(),
                    _ => had(
                        timed!($object, try_acquire, acquire_timeout, acquire_deadline),
                        |permit| permit.forget(),
                    ),
                }
            };
        }
        match (what.as_str(), order.as_str()) {
            ("lock", "release") => done(hands.locks.pop().is_some()),
            ("lock", _) => had(
                timed!(self.lock, try_lock_owned, lock_owned_timeout, lock_owned_deadline),
                |guard| hands.locks.push(guard),
            ),
            ("rlock", "release") => done(hands.rlocks.pop().is_some()),
            ("rlock", "depth") => hands.rlocks.last().map_or(0, |_| self.rlock.depth()).to_string(),
            ("rlock", _) => had(
                timed!(self.rlock, try_lock_owned, lock_owned_timeout, lock_owned_deadline),
                |guard| hands.rlocks.push(guard),
            ),
            ("semaphore", _) => semaphore!(self.semaphore),
            ("bounded", _) => semaphore!(self.bounded),
            (_, "set") => {
                self.event.set();
                done(true)
            }
            (_, "clear") => {
                self.event.clear();
                done(true)
            }
            (_, "is_set") => told(self.event.is_set()),
            _ if *seconds < 0.0 => {
                let over = Instant::now() - Duration::from_secs_f64(-seconds);
                told(self.event.wait_deadline(over).unwrap())
            }
            _ => told(self.event.wait_timeout(Duration::from_secs_f64(*seconds)).unwrap()),
        }
    }
}

fn follow(objects: Objects, orders: Queue<Option<Order>>, answers: Queue<String>) {
    let mut hands = Hands::default();
    while let Some(order) = orders.get().unwrap() {
        answers.put(objects.perform(&mut hands, &order)).unwrap();
    }
}

/// So many orders by chance with the answers given here, a line each, as Python prints them.
fn play(count: usize, chance: &mut Chance) -> Vec<String> {
    const SAME: [&str; 3] = ["try", "acquire", "release"];
    let objects = Objects {
        lock: Lock::new().unwrap(),
        rlock: RLock::new().unwrap(),
        semaphore: Semaphore::new(PERMITS).unwrap(),
        bounded: BoundedSemaphore::new(PERMITS).unwrap(),
        event: Event::new().unwrap(),
    };
    let (orders, answers) = (Queue::new().unwrap(), Queue::new().unwrap());
    let child = Process::spawn(follow, (&objects, &orders, &answers)).unwrap();
    let mut hands = Hands::default();
    let mut lock_of = None;
    let mut lines = Vec::new();
    while lines.len() < count {
        let who = if chance.below(2) == 0 { "child" } else { "parent" };
        let (what, own): (_, &[_]) = match chance.below(5) {
            0 => ("lock", &[]),
            1 => ("rlock", &["depth"]),
            2 => ("semaphore", &["get_value"]),
            3 => ("bounded", &["get_value"]),
            _ => ("event", &["set", "clear", "is_set", "wait"]),
        };
        let common: &[_] = if what == "event" { &[] } else { &SAME };
        let order = chance.of(&[common, own].concat());
        if (what, order) == ("lock", "release") && lock_of.is_some_and(|holder| holder != who) {
            continue;
        }
        let seconds = chance.of(&[-1.0, 0.0, 0.002]);
        let full = (what.to_owned(), order.to_owned(), seconds);
        let answer = if who == "child" {
            orders.put(Some(full)).unwrap();
            answers.get().unwrap()
        } else {
            objects.perform(&mut hands, &full)
        };
        match (what, order, answer.as_str()) {
            ("lock", "release", _) => lock_of = None,
            ("lock", _, "True") => lock_of = Some(who),
            _ => {}
        }
        lines.push(format!("{who} {what} {order} {seconds} -> {answer}"));
    }
    orders.put(None).unwrap();
    child.join().unwrap();
    lines
}

#[test]
fn the_family_answers_as_python_does() {
    let _watch = watch();
    let python = |code: &str| {
        let mut python = Command::new("python3");
        python.args(["-c", code]).arg(PERMITS.to_string());
        python
    };
    if !python("import multiprocessing.synchronize").status().is_ok_and(|status| status.success()) {
        println!("skipped: no python3 with multiprocessing");
        return;
    }
    for seed in 0..3 {
        let here = play(400, &mut Chance::new(seed));
        for answer in ["True", "False", "None", "refused", "0", "1", "2"] {
            assert!(here.iter().any(|line| line.ends_with(&format!("-> {answer}"))), "{answer}");
        }
        let mut python =
            python(PYTHON).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut input = python.stdin.take().unwrap();
        let orders = here.iter().filter_map(|line| line.split(" -> ").next());
        let orders = orders.map(|order| format!("{order}\n")).collect::<String>();
        let feeder = std::thread::spawn(move || input.write_all(orders.as_bytes()).unwrap());
        let output = python.wait_with_output().unwrap();
        feeder.join().unwrap();
        assert!(output.status.success());
        let there = String::from_utf8(output.stdout).unwrap();
        for (index, (ours, theirs)) in here.iter().zip(there.lines()).enumerate() {
            let before = here[index.saturating_sub(20)..index].join("\n");
            assert_eq!(ours, theirs, "order {index} of seed {seed}, after\n{before}");
        }
        assert_eq!(here.len(), there.lines().count());
    }
}
