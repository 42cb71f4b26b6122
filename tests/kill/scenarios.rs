//! The scenarios: what is set up, what the victim does, what the survivors must then be able to do.
//! The scripts they are made of are in `lock_scripts`, `semaphore_scripts`, `make_scripts`,
//! `witness_scripts`, `round_scripts`, `once_scripts`, `queue_scripts`, `pipe_scripts`, `journey_scripts`, `task_scripts`, `call_scripts`, `start_scripts` and `data_scripts`; those of the lock family are listed in
//! `family`, object by form, and those of shared data in `data_family`.
//!
//! Every script is written for a victim that came any part of the way, nothing and everything
//! included, and was killed or stopped there. In every script in which somebody is woken, two
//! sleepers wait besides the victim, and a barger takes what the woken one has not taken yet.
//!
//! What a script never does is help before it has checked: a wake-up that died with the victim would
//! be made good by the next operation's, and nobody would see it. So after the kill comes first what
//! must happen by itself ([`Director::until`]), and only then the rest.

use std::collections::HashSet;
use std::sync::LazyLock;

use super::board::AFTER;
use super::director::{BARGER, Director};
use super::forms::{BRIEF, OWNED, PLAIN};
use super::order::{Order, Verb};
use super::pipe_verbs::{IN_PLACE, LARGE, RECEIVES};
use super::props::Kind;
use super::start_verbs::{GIVEN, SERVER};
use super::sync_verbs::REENTRANT;
use super::trouble::{Outcome, Trouble};
use super::witness_scripts::Death;
use super::{
    call_scripts, data_family, data_scripts, end_scripts, family, journey_scripts, lock_scripts,
    once_scripts, pipe_scripts, queue_scripts, round_scripts, start_scripts, task_scripts,
};

/// One script.
#[derive(Clone, Copy)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    /// Which lock, semaphore or kind of object (`sync_verbs`, `make_verbs`), and in which form the
    /// victim uses it (`forms`).
    pub(crate) which: u64,
    pub(crate) form: u64,
    /// What the victim does: the operation under test.
    pub(crate) verb: Verb,
    /// It is hardly different from another one.
    pub(crate) is_minor: bool,
    /// What it may answer if nobody dies or stands before its end; empty if that is not told.
    pub(crate) says: &'static [u64],
    /// The victim does it as the first thing in its life.
    pub(crate) cold: bool,
    /// The barger takes part before the sleepers come to it.
    pub(crate) barge: bool,
    /// Somebody died with the lock before the victim began.
    pub(crate) earlier: bool,
    /// The victim holds the lock all the time.
    pub(crate) holds_on: bool,
    /// The victim lives, and somebody else dies while it stands at its point.
    pub(crate) is_witness: bool,
    /// Who that is.
    pub(crate) dies: Death,
    /// There are no sleepers beside the witness.
    pub(crate) alone: bool,
    /// Every point is played with actors and objects that were not used before.
    pub(crate) fresh: bool,
    /// Brings everybody into place; the victim's seat is given.
    pub(super) arrange: fn(&mut Director, &Scenario, usize) -> Outcome,
    /// The victim sleeps in its operation; called again while it sleeps on.
    pub(super) asleep: fn(&mut Director, &Scenario, usize) -> Outcome,
    /// The victim is dead or stands still.
    pub(super) after: fn(&mut Director, &Scenario, usize) -> Outcome,
}

impl Scenario {
    pub(crate) fn arrange(&self, d: &mut Director, victim: usize) -> Outcome {
        (self.arrange)(d, self, victim)
    }

    pub(crate) fn asleep(&self, d: &mut Director, turn: usize) -> Outcome {
        (self.asleep)(d, self, turn)
    }

    pub(crate) fn after(&self, d: &mut Director, victim: usize) -> Outcome {
        if d.reached(victim) == AFTER && !self.says.is_empty() {
            let told = d.results(victim);
            if told.len() != 1 || !self.says.contains(&told[0]) {
                let text = format!("the victim answered {told:?}, not one of {:?}", self.says);
                return Err(Trouble::Violation(text));
            }
        }
        (self.after)(d, self, victim)
    }

    fn is_of_queue(&self) -> bool {
        matches!(self.verb, Verb::Put | Verb::PutMany | Verb::Get | Verb::GetMany)
    }

    fn is_of_ends(&self) -> bool {
        use Verb::{CloseEnds, DropEnds, GetBatch, PutIntoItself, ShutDown};
        matches!(self.verb, CloseEnds | ShutDown | DropEnds | PutIntoItself | GetBatch)
    }

    fn is_of_pipe(&self) -> bool {
        use Verb::{DropEnd, Poll, Recv, Send, SendEnd, TakeEnd};
        matches!(self.verb, Send | Recv | Poll | DropEnd | SendEnd | TakeEnd)
    }

    fn is_of_tasks(&self) -> bool {
        use Verb::{TaskDone, TaskDrop, TaskJoin, TaskPut, TaskShutDown, TaskTake};
        matches!(self.verb, TaskPut | TaskTake | TaskDone | TaskDrop | TaskJoin | TaskShutDown)
    }

    fn is_of_journeys(&self) -> bool {
        matches!(self.verb, Verb::BagSend | Verb::BagTake | Verb::BagSplit | Verb::BagDrop)
    }

    fn is_of_manager(&self) -> bool {
        matches!(self.verb, Verb::CallAdd | Verb::CallBatch | Verb::CallHost)
    }

    /// Whether the victim may be inside a queue, a semaphore or the list of all objects, where
    /// others have to wait for it.
    pub(crate) fn may_be_inside(&self) -> bool {
        use Verb::{Abort, Arrive, Await, Notify, Reset};
        use Verb::{Acquire, AskSemaphore, Available, Forget, GiveBack, Make, Release};
        // Small messages of a pipe take no lock.
        let small =
            matches!(self.verb, Verb::Send | Verb::Recv | Verb::Poll) && self.which & LARGE == 0;
        if let Verb::Data(_) = self.verb {
            return data_scripts::may_be_inside(self);
        }
        self.is_of_queue()
            || self.is_of_tasks()
            || self.is_of_ends()
            || self.is_of_manager()
            || self.is_of_journeys()
            || (self.is_of_pipe() && !small)
            || matches!(
                self.verb,
                Acquire | GiveBack | Forget | Release | Available | AskSemaphore | Make
            )
            || matches!(self.verb, Abort | Arrive | Await | Notify | Reset)
            || matches!(self.verb, Verb::CallOnce | Verb::Start)
    }

    /// Whether it is about a lock that its holder can take again.
    pub(crate) fn is_reentrant(&self) -> bool {
        self.which & REENTRANT != 0
    }

    /// What the victim is told.
    pub(crate) fn order(&self, d: &Director) -> Order {
        if let Verb::Data(op) = self.verb {
            let (which, form, number) = (self.which, self.form, d.ledger.number + 1);
            Order::Data { op, which, form, number }
        } else if self.is_of_queue() {
            Order::put(self.verb, self.kind, d.ledger.own.first().copied().unwrap_or(0))
        } else if self.is_of_ends() {
            Order::ends(self.verb, d.victim_seat())
        } else if self.verb == Verb::Start {
            Order::Start { how: self.which }
        } else if self.is_of_tasks() {
            let own = d.ledger.own.first().copied().unwrap_or(0);
            Order::task(self.verb, self.which, own)
        } else if self.is_of_journeys() {
            Order::Bag { verb: self.verb, seat: d.victim_seat() }
        } else if self.is_of_manager() {
            Order::Call { verb: self.verb }
        } else if self.is_of_pipe() {
            Order::Pipe { verb: self.verb, how: self.which }
        } else {
            Order::on(self.verb, self.which, self.form)
        }
    }

    /// Something done with the lock or semaphore, in the usual form.
    pub(crate) fn usual(&self, verb: Verb) -> Order {
        Order::on(verb, self.which, PLAIN)
    }

    /// The same, in the form in which the victim has it before it begins.
    pub(crate) fn holding(&self, verb: Verb) -> Order {
        Order::on(verb, self.which, self.form & OWNED)
    }
}

/// What the others are variations of: a free lock is taken and given back.
pub(super) const LOCK: Scenario = Scenario {
    name: "",
    kind: Kind::Small,
    which: 0,
    form: PLAIN,
    verb: Verb::Cycle,
    is_minor: false,
    says: &[],
    cold: false,
    barge: false,
    earlier: false,
    holds_on: false,
    is_witness: false,
    dies: Death { seat: BARGER, verb: None },
    alone: false,
    fresh: false,
    arrange: |_, _, _| Ok(()),
    asleep: |_, _, _| Ok(()),
    after: lock_scripts::lock_after,
};
const PUT: Scenario = Scenario {
    verb: Verb::Put,
    arrange: queue_scripts::put_arrange,
    after: queue_scripts::put_after,
    ..LOCK
};
const PUT_FULL: Scenario = Scenario {
    kind: Kind::Bounded,
    arrange: queue_scripts::put_full_arrange,
    asleep: queue_scripts::put_full_asleep,
    after: queue_scripts::put_full_after,
    ..PUT
};
const PUT_WAKES: Scenario = Scenario {
    arrange: queue_scripts::put_wakes_arrange,
    after: queue_scripts::put_wakes_after,
    ..PUT
};
const GET: Scenario = Scenario {
    verb: Verb::Get,
    arrange: queue_scripts::get_arrange,
    after: queue_scripts::get_after,
    ..LOCK
};
const GET_EMPTY: Scenario = Scenario {
    arrange: queue_scripts::get_empty_arrange,
    asleep: queue_scripts::get_empty_asleep,
    after: queue_scripts::get_empty_after,
    ..GET
};
const GET_WAKES: Scenario = Scenario {
    kind: Kind::Bounded,
    arrange: queue_scripts::get_wakes_arrange,
    after: queue_scripts::get_wakes_after,
    ..GET
};

const CLOSE: Scenario = Scenario {
    verb: Verb::CloseEnds,
    arrange: end_scripts::close_arrange,
    after: end_scripts::sleepers_after,
    ..LOCK
};
const LAST_END: Scenario = Scenario {
    verb: Verb::DropEnds,
    arrange: end_scripts::last_end_arrange,
    after: end_scripts::sleepers_after,
    ..LOCK
};

/// Those of queues that are there for one point alone.
const ENDS: &[Scenario] = &[
    Scenario { name: "close_getters", ..CLOSE },
    Scenario { name: "close_putters", which: end_scripts::PUTTERS, ..CLOSE },
    Scenario { name: "shutdown_getters", verb: Verb::ShutDown, ..CLOSE },
    Scenario {
        name: "shutdown_putters",
        verb: Verb::ShutDown,
        which: end_scripts::PUTTERS,
        ..CLOSE
    },
    Scenario {
        name: "shutdown_large",
        verb: Verb::ShutDown,
        arrange: end_scripts::large_arrange,
        after: end_scripts::large_after,
        ..LOCK
    },
    Scenario { name: "last_producer", ..LAST_END },
    Scenario { name: "last_consumer", which: end_scripts::PUTTERS, ..LAST_END },
    Scenario {
        name: "put_into_itself",
        verb: Verb::PutIntoItself,
        arrange: end_scripts::itself_arrange,
        after: end_scripts::itself_after,
        ..LOCK
    },
    Scenario {
        name: "drop_large_queue",
        verb: Verb::DropEnds,
        arrange: end_scripts::large_arrange,
        after: end_scripts::large_after,
        ..LOCK
    },
    Scenario {
        name: "get_many_unreadable",
        verb: Verb::GetBatch,
        arrange: end_scripts::batch_arrange,
        after: end_scripts::batch_after,
        ..LOCK
    },
];

const SEND: Scenario = Scenario {
    verb: Verb::Send,
    arrange: pipe_scripts::arrange,
    after: pipe_scripts::after,
    ..LOCK
};
const RECV: Scenario = Scenario { verb: Verb::Recv, which: RECEIVES, ..SEND };
const PIPE_WAKES: Scenario =
    Scenario { arrange: pipe_scripts::wakes_arrange, after: pipe_scripts::wakes_after, ..SEND };

/// All scripts.
pub(crate) static ALL: LazyLock<Vec<Scenario>> = LazyLock::new(|| {
    let mut all = family::all();
    all.extend(ROUNDS);
    all.extend(once_scripts::ALL);
    all.extend(QUEUE);
    all.extend(ENDS);
    all.extend(PIPE);
    all.extend(JOURNEYS);
    all.extend(data_family::all());
    all.extend(TASKS);
    all.extend(CALLS);
    // Without optimisation they have more instructions than are stepped.
    all.extend(STARTS.iter().filter(|_| !cfg!(debug_assertions)));
    let mut names = HashSet::new();
    for scenario in &all {
        assert!(names.insert(scenario.name), "two scenarios are called {}", scenario.name);
    }
    all
});

const NOTIFY: Scenario = Scenario {
    verb: Verb::Notify,
    arrange: round_scripts::two_wait,
    after: round_scripts::notify_after,
    ..LOCK
};
const AWAIT: Scenario = Scenario {
    verb: Verb::Await,
    asleep: round_scripts::await_asleep,
    after: round_scripts::await_after,
    ..LOCK
};
const LAST: Scenario = Scenario {
    verb: Verb::Arrive,
    arrange: round_scripts::two_arrived,
    after: round_scripts::rounds_after,
    ..LOCK
};

/// Those of conditions and barriers.
const ROUNDS: &[Scenario] = &[
    Scenario { name: "notify_one", which: 1, ..NOTIFY },
    Scenario { name: "notify_all", ..NOTIFY },
    Scenario { name: "condition_wait", ..AWAIT },
    Scenario { name: "condition_wait_timeout", form: BRIEF, ..AWAIT },
    Scenario { name: "barrier_last", ..LAST },
    Scenario {
        name: "barrier_wait",
        arrange: round_scripts::one_arrived,
        asleep: round_scripts::arrive_asleep,
        ..LAST
    },
    Scenario { name: "barrier_abort", verb: Verb::Abort, ..LAST },
    Scenario { name: "barrier_reset", verb: Verb::Reset, ..LAST },
];

/// Those of queues.
const QUEUE: &[Scenario] = &[
    Scenario { name: "put_free", ..PUT },
    Scenario { name: "put_first_use", cold: true, ..PUT },
    Scenario { name: "put_bytes", kind: Kind::Raw, ..PUT },
    Scenario { name: "put_large", kind: Kind::Big, ..PUT },
    Scenario { name: "put_in_place", kind: Kind::InPlace, ..PUT },
    Scenario {
        name: "put_next_chunk",
        kind: Kind::Page,
        arrange: queue_scripts::put_page_arrange,
        ..PUT
    },
    Scenario { name: "put_many", verb: Verb::PutMany, ..PUT },
    Scenario { name: "put_full", ..PUT_FULL },
    Scenario { name: "put_full_barger", barge: true, ..PUT_FULL },
    Scenario { name: "put_full_large", kind: Kind::BigBounded, ..PUT_FULL },
    Scenario { name: "put_wakes", ..PUT_WAKES },
    Scenario { name: "put_wakes_barger", barge: true, ..PUT_WAKES },
    Scenario { name: "put_wakes_large", kind: Kind::Big, ..PUT_WAKES },
    Scenario { name: "get_free", ..GET },
    Scenario { name: "get_first_use", cold: true, ..GET },
    Scenario { name: "get_bytes", kind: Kind::Raw, ..GET },
    Scenario { name: "get_large", kind: Kind::Big, ..GET },
    Scenario { name: "get_in_place", kind: Kind::InPlace, ..GET },
    Scenario {
        name: "get_next_chunk",
        kind: Kind::Page,
        arrange: queue_scripts::get_page_arrange,
        ..GET
    },
    Scenario { name: "get_many", verb: Verb::GetMany, ..GET },
    Scenario { name: "get_empty", ..GET_EMPTY },
    Scenario { name: "get_empty_barger", barge: true, ..GET_EMPTY },
    Scenario { name: "get_empty_large", kind: Kind::Big, ..GET_EMPTY },
    Scenario { name: "get_wakes", ..GET_WAKES },
    Scenario { name: "get_wakes_barger", barge: true, ..GET_WAKES },
    Scenario { name: "get_wakes_large", kind: Kind::BigBounded, ..GET_WAKES },
];

const TASK: Scenario =
    Scenario { which: 16, arrange: task_scripts::arrange, after: task_scripts::after, ..LOCK };
const TASK_WAKES: Scenario =
    Scenario { arrange: task_scripts::wakes_arrange, after: task_scripts::wakes_after, ..TASK };

const TASK_SHUTDOWN: Scenario = Scenario {
    verb: Verb::TaskShutDown,
    arrange: task_scripts::shutdown_arrange,
    after: task_scripts::shutdown_after,
    ..TASK
};

/// Those of tasks: in a slot, in a block of the slot's own, in that of the record.
const TASKS: &[Scenario] = &[
    Scenario { name: "task_put", verb: Verb::TaskPut, ..TASK },
    Scenario { name: "task_get", verb: Verb::TaskTake, ..TASK },
    Scenario { name: "task_get_block", verb: Verb::TaskTake, which: 1000, ..TASK },
    Scenario { name: "task_get_large", verb: Verb::TaskTake, which: 6000, ..TASK },
    Scenario { name: "task_done", verb: Verb::TaskDone, ..TASK },
    Scenario { name: "task_done_block", verb: Verb::TaskDone, which: 1000, ..TASK },
    Scenario { name: "task_done_large", verb: Verb::TaskDone, which: 6000, ..TASK },
    Scenario { name: "task_done_wakes", verb: Verb::TaskDone, ..TASK_WAKES },
    Scenario {
        name: "task_join",
        verb: Verb::TaskJoin,
        arrange: task_scripts::join_arrange,
        asleep: task_scripts::join_asleep,
        after: task_scripts::join_after,
        ..TASK
    },
    Scenario { name: "task_drop", verb: Verb::TaskDrop, ..TASK },
    Scenario { name: "task_drop_wakes", verb: Verb::TaskDrop, ..TASK_WAKES },
    Scenario { name: "task_shutdown", ..TASK_SHUTDOWN },
    Scenario { name: "task_shutdown_large", which: 6000, ..TASK_SHUTDOWN },
];

const CALL: Scenario = Scenario {
    verb: Verb::CallAdd,
    arrange: call_scripts::arrange,
    after: call_scripts::after,
    ..LOCK
};

/// Those of a caller of a manager's server.
const CALLS: &[Scenario] = &[
    Scenario { name: "call", ..CALL },
    Scenario { name: "call_first_use", which: call_scripts::NEW, ..CALL },
    Scenario { name: "call_batch", verb: Verb::CallBatch, ..CALL },
    Scenario { name: "call_host", verb: Verb::CallHost, ..CALL },
];

const START: Scenario = Scenario {
    verb: Verb::Start,
    is_minor: true,
    arrange: start_scripts::arrange,
    after: start_scripts::after,
    ..LOCK
};

/// Those of processes: they start one and join it.
const STARTS: &[Scenario] = &[
    Scenario { name: "start_spawn", ..START },
    Scenario { name: "start_spawn_given", which: GIVEN, ..START },
    Scenario { name: "start_server", which: SERVER, ..START },
    Scenario { name: "start_server_given", which: SERVER | GIVEN, ..START },
];

/// Those of pipes.
const PIPE: &[Scenario] = &[
    Scenario { name: "send", ..SEND },
    Scenario { name: "send_large", which: LARGE, ..SEND },
    Scenario { name: "send_in_place", which: IN_PLACE, ..SEND },
    Scenario { name: "send_in_place_large", which: IN_PLACE | LARGE, ..SEND },
    Scenario { name: "send_wakes", ..PIPE_WAKES },
    Scenario { name: "recv", ..RECV },
    Scenario { name: "recv_large", which: RECEIVES | LARGE, ..RECV },
    Scenario { name: "recv_in_place", which: RECEIVES | IN_PLACE, ..RECV },
    Scenario { name: "recv_in_place_large", which: RECEIVES | IN_PLACE | LARGE, ..RECV },
    Scenario {
        name: "recv_empty",
        arrange: pipe_scripts::empty_arrange,
        asleep: pipe_scripts::empty_asleep,
        ..RECV
    },
    Scenario { name: "recv_wakes", verb: Verb::Recv, which: RECEIVES, ..PIPE_WAKES },
    Scenario { name: "poll", verb: Verb::Poll, ..RECV },
    Scenario { name: "drop_sender", verb: Verb::DropEnd, ..SEND },
    Scenario { name: "drop_receiver", verb: Verb::DropEnd, ..RECV },
    Scenario { name: "drop_sender_wakes", verb: Verb::DropEnd, ..PIPE_WAKES },
    Scenario { name: "drop_receiver_wakes", verb: Verb::DropEnd, which: RECEIVES, ..PIPE_WAKES },
    Scenario { name: "send_sender_away", verb: Verb::SendEnd, ..SEND },
    Scenario { name: "send_receiver_away", verb: Verb::SendEnd, ..RECV },
    Scenario {
        name: "take_sender",
        verb: Verb::TakeEnd,
        arrange: pipe_scripts::taking_arrange,
        ..SEND
    },
    Scenario {
        name: "take_receiver",
        verb: Verb::TakeEnd,
        arrange: pipe_scripts::taking_arrange,
        ..RECV
    },
];

const SEND_END: Scenario = Scenario {
    verb: Verb::BagSend,
    arrange: journey_scripts::send_arrange,
    after: journey_scripts::send_after,
    ..LOCK
};
const TAKE_END: Scenario = Scenario {
    verb: Verb::BagTake,
    arrange: journey_scripts::take_arrange,
    after: journey_scripts::hold_after,
    ..LOCK
};
const BOTH_ENDS: Scenario = Scenario {
    which: journey_scripts::BOTH,
    arrange: journey_scripts::hold_arrange,
    after: journey_scripts::hold_after,
    ..LOCK
};

/// Those of ends inside messages of a pipe, and of duplex ends.
const JOURNEYS: &[Scenario] = &[
    Scenario { name: "pipe_carries_sender", ..SEND_END },
    Scenario { name: "pipe_carries_receiver", which: journey_scripts::RECEIVER, ..SEND_END },
    Scenario { name: "pipe_carries_both", which: journey_scripts::BOTH, ..SEND_END },
    Scenario { name: "take_carried_sender", ..TAKE_END },
    Scenario { name: "take_carried_receiver", which: journey_scripts::RECEIVER, ..TAKE_END },
    Scenario { name: "take_carried_both", which: journey_scripts::BOTH, ..TAKE_END },
    Scenario { name: "drop_carrier", verb: Verb::BagDrop, ..TAKE_END },
    Scenario { name: "split", verb: Verb::BagSplit, ..BOTH_ENDS },
    Scenario { name: "drop_both", verb: Verb::BagDrop, ..BOTH_ENDS },
];
