//! How a channel tells its message type from another one.

use core::any::type_name;
use std::hash::{DefaultHasher, Hash, Hasher};

/// The name of a message type, for error messages, and its hash.
#[derive(Clone, Copy)]
pub(super) struct TypeTag<'a> {
    pub(super) name: &'a str,
    pub(super) hash: u32,
}

/// The tag of tasks `T`: another one than that of messages `T`.
pub(super) fn task_tag_of<T>() -> TypeTag<'static> {
    /// Tells the two apart.
    struct Task<T>(T);
    TypeTag { name: type_name::<T>(), ..tag_of::<Task<T>>() }
}

/// The tag of the message type `T`. All processes of a family run the same image, so a type id means the same in each; it tells
/// types of one name apart.
pub(super) fn tag_of<T>() -> TypeTag<'static> {
    let mut hasher = DefaultHasher::new();
    typeid::of::<T>().hash(&mut hasher);
    TypeTag { name: type_name::<T>(), hash: hasher.finish() as u32 }
}
