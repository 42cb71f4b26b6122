//! What all write down: who lives, what each did, and what is under the locks.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::time::{SystemTime, UNIX_EPOCH};

use multiproc::shared_type;

/// Actors at a time.
pub(crate) const SEATS: usize = 5;
/// Lives in a round: an actor that is killed has a successor with another number.
pub(crate) const LIVES: usize = 1024;
/// What a life may receive.
pub(crate) const RECEIPTS: usize = 8192;

/// Whose messages are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Channel {
    Small,
    Large,
    Tasks,
}

pub(crate) const CHANNELS: [Channel; 3] = [Channel::Small, Channel::Large, Channel::Tasks];

shared_type! {
    /// What belongs to all.
    #[derive(Debug)]
    pub(crate) struct Ledger {
        /// 1 for each life that is about to be killed.
        pub(crate) condemned: [AtomicU64; LIVES],
        /// Who is inside: life + 1.
        pub(crate) in_lock: AtomicU64,
        pub(crate) in_rlock: AtomicU64,
        pub(crate) in_one: AtomicU64,
        pub(crate) in_two: [AtomicU64; SEATS],
        /// Counted under the lock, one after the other.
        pub(crate) locked: [AtomicU64; 2],
        /// Under the condition's lock.
        pub(crate) credits: AtomicU64,
    }
}

shared_type! {
    /// What one life did.
    #[derive(Debug)]
    pub(crate) struct Log {
        /// What it is at, by its number in the list, and since when; 0 between two things.
        pub(crate) work: AtomicU64,
        pub(crate) since: AtomicU64,
        pub(crate) turns: AtomicU64,
        /// The second thread, which waits for the end of the round.
        pub(crate) is_told: AtomicU64,
        /// By channel: the number of the last message that was begun, that was put, and how many it may be taking.
        pub(crate) begun: [AtomicU64; 3],
        pub(crate) put: [AtomicU64; 3],
        pub(crate) taking: [AtomicU64; 3],
        /// What it got: channel and message.
        pub(crate) receipts: AtomicU64,
        pub(crate) got: [[AtomicU64; 2]; RECEIPTS],
        /// How often it did what is counted in other places, too.
        pub(crate) locked: AtomicU64,
        pub(crate) credited: AtomicU64,
        pub(crate) spent: AtomicU64,
        pub(crate) valued: AtomicU64,
        pub(crate) added: AtomicU64,
        pub(crate) called: AtomicU64,
    }
}

impl Ledger {
    pub(crate) fn new() -> Self {
        Self {
            condemned: [const { AtomicU64::new(0) }; LIVES],
            in_lock: AtomicU64::new(0),
            in_rlock: AtomicU64::new(0),
            in_one: AtomicU64::new(0),
            in_two: [const { AtomicU64::new(0) }; SEATS],
            locked: [const { AtomicU64::new(0) }; 2],
            credits: AtomicU64::new(0),
        }
    }

    pub(crate) fn is_condemned(&self, life: u64) -> bool {
        self.condemned[life as usize].load(SeqCst) == 1
    }
}

impl Log {
    pub(crate) fn new() -> Self {
        Self {
            work: AtomicU64::new(0),
            since: AtomicU64::new(now()),
            turns: AtomicU64::new(0),
            is_told: AtomicU64::new(0),
            begun: Default::default(),
            put: Default::default(),
            taking: Default::default(),
            receipts: AtomicU64::new(0),
            got: [const { [const { AtomicU64::new(0) }; 2] }; RECEIPTS],
            locked: AtomicU64::new(0),
            credited: AtomicU64::new(0),
            spent: AtomicU64::new(0),
            valued: AtomicU64::new(0),
            added: AtomicU64::new(0),
            called: AtomicU64::new(0),
        }
    }

    /// Puts message `life << 32 | number` with the next number; whoever dies in it may have put it or not.
    pub(crate) fn putting<E>(
        &self,
        channel: Channel,
        life: u64,
        put: impl FnOnce(u64) -> Result<(), E>,
    ) -> Result<(), E> {
        let at = channel as usize;
        let number = self.put[at].load(Relaxed) + 1;
        self.begun[at].store(number, SeqCst);
        let done = put(life << 32 | number);
        match done {
            Ok(()) => self.put[at].store(number, SeqCst),
            Err(_) => self.begun[at].store(number - 1, SeqCst),
        }
        done
    }

    /// Takes one message and notes it; whoever dies in it may have taken it and not noted.
    pub(crate) fn taking<E>(
        &self,
        channel: Channel,
        take: impl FnOnce() -> Result<u64, E>,
    ) -> Result<(), E> {
        let at = channel as usize;
        self.taking[at].store(1, SeqCst);
        let taken = take().map(|message| self.note(channel, message));
        self.taking[at].store(0, SeqCst);
        taken
    }

    /// Whether another message can be noted.
    pub(crate) fn has_room(&self) -> bool {
        self.receipts.load(Relaxed) < RECEIPTS as u64
    }

    pub(crate) fn note(&self, channel: Channel, message: u64) {
        let at = self.receipts.load(Relaxed) as usize;
        self.got[at][0].store(channel as u64, Relaxed);
        self.got[at][1].store(message, Relaxed);
        self.receipts.store(at as u64 + 1, SeqCst);
    }
}

/// Once more.
pub(crate) fn count(of: &AtomicU64) {
    of.fetch_add(1, SeqCst);
}

/// Milliseconds, the same for all processes.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_millis() as u64)
}
