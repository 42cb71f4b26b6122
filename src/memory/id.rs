//! The name of a shared object.

/// An object in one of its lives.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub(crate) struct ObjectId {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl ObjectId {
    pub(crate) fn to_bits(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    pub(crate) fn from_bits(bits: u64) -> ObjectId {
        ObjectId { index: bits as u32, generation: (bits >> 32) as u32 }
    }
}
