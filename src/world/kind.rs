//! What objects there are.

/// What an object holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub(crate) enum Kind {
    Lock = 1,
    Event = 2,
    Queue = 3,
    RLock = 4,
    Semaphore = 5,
    BoundedSemaphore = 6,
    /// One call of a process: what it is to do, and what became of it.
    Call = 7,
    Pipe = 8,
    Value = 9,
    Atomic = 10,
    Array = 11,
    /// How an array is divided into parts.
    Partition = 12,
    SharedMemory = 13,
    Shared = 14,
    SharedList = 15,
    Condition = 16,
    Barrier = 17,
    /// What a manager's server hosts: who has a handle to it.
    Hosted = 18,
}

impl Kind {
    const ALL: [Kind; 18] = [
        Kind::Lock,
        Kind::Event,
        Kind::Queue,
        Kind::RLock,
        Kind::Semaphore,
        Kind::BoundedSemaphore,
        Kind::Call,
        Kind::Pipe,
        Kind::Value,
        Kind::Atomic,
        Kind::Array,
        Kind::Partition,
        Kind::SharedMemory,
        Kind::Shared,
        Kind::SharedList,
        Kind::Condition,
        Kind::Barrier,
        Kind::Hosted,
    ];

    /// The kind with this number, which was read from shared memory.
    pub(crate) fn from_bits(bits: u32) -> Option<Kind> {
        Kind::ALL.into_iter().find(|&kind| kind as u32 == bits)
    }

    /// How errors call what this number stands for.
    pub(crate) fn name_of(bits: u32) -> String {
        Kind::from_bits(bits).map_or_else(
            || "nothing that this version knows".to_owned(),
            |kind| format!("{kind:?}"),
        )
    }
}
