//! In which forms a message may be given.

use serde::ser::Serialize;

use super::plain::{raw_elements, raw_value};

/// A value in a form in which it can be put where a `T` is expected.
///
/// Every call that sends takes `impl Message<T>`: `Queue::put`, and each argument of
/// `Process::spawn`. The forms are
///
/// | expected | may be given |
/// |---|---|
/// | `T` | `T`, `&T` |
/// | `String` | also `&str` |
/// | `Vec<U>` | also `&[U]`, `&[U; N]` |
///
/// A value given by reference stays with the caller, for a retry. Given by value it is used up,
/// also when the call fails. The getter sees no difference between the forms.
///
/// The trait is sealed: `T` only has to implement serde's `Serialize` and `DeserializeOwned`.
///
/// # What does not travel
///
/// A message has no names: it is the values of the fields one after the other, and both sides know
/// from the type what comes next. serde's attributes and hand-written implementations can break
/// that. What the putter's side can see is refused there, on every message, with
/// [`ErrorKind::Encode`](crate::ErrorKind::Encode):
///
/// - a field that `skip_serializing_if` leaves out: drop the attribute, a `None` takes one byte;
/// - `flatten`, and every sequence or map that does not know its length beforehand: collect it
///   first;
/// - a sequence, map, tuple or struct that writes another number of parts than it declares;
/// - a value nested more than 128 levels deep, counted in structs, enum variants with content,
///   sequences, maps, newtypes and `Some`s: send a long list as a `Vec`, a tree as a `Vec` of nodes
///   that name one another by index;
/// - a `Serialize` that goes on after one of its parts has failed.
///
/// Types that want to be told what comes next cannot be read at all: `untagged` enums, enums with
/// a `tag` (also with `content`), `serde_json::Value`. The first message of each `Queue` handle is read
/// back by the putter, and the first argument or result of each type by the process that sends it, up
/// to a length of 1 MiB; it then gets [`ErrorKind::Encode`](crate::ErrorKind::Encode). Messages that
/// hold shared objects are not read back. Where such a value occurs only in a message that is not read
/// back, the receiver gets [`ErrorKind::Decode`](crate::ErrorKind::Decode). The same holds for a `Deserialize` that goes on
/// after one of its parts has failed ("use the default then"), and for one that leaves elements of
/// a sequence unread.
///
/// Neither side can see that the two halves of a type differ. The receiver may then get
/// [`ErrorKind::Decode`](crate::ErrorKind::Decode), **or other data than were sent**. Do not send a
/// type with
///
/// - `skip_serializing` without `skip_deserializing` on a field, or the other way round (`skip` is
///   both: the field is not sent, and the receiver has its default);
/// - `skip` or `skip_deserializing` on an enum's variant that others follow: serde counts the
///   variants differently when it writes and when it reads; move such variants to the end;
/// - `serialize_with`, `deserialize_with`, `into` or `from`, unless both write and read the same
///   shape when the format is not human-readable;
/// - an implementation of one of the two traits that was written by hand for another shape.
///
/// What travels by value loses its identity: two `Rc`s to one value arrive as two values.
///
/// # Examples
///
/// A field that is left out is refused:
///
/// ```
/// use multiproc::Queue;
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Job {
///     #[serde(skip_serializing_if = "Option::is_none")]
///     limit: Option<u32>,
///     name: String,
/// }
///
/// let queue = Queue::<Job>::new()?;
/// queue.put(Job { limit: Some(1), name: "a".into() })?;
/// let error = queue.put(Job { limit: None, name: "b".into() }).unwrap_err();
/// assert!(error.is_encode());
/// assert!(error.to_string().contains("Job leaves out its field limit"));
/// # Ok::<(), multiproc::Error>(())
/// ```
///
/// Literals find their type:
///
/// ```
/// use multiproc::Message;
///
/// fn put<T>(_item: impl Message<T>) {}
///
/// put::<String>("xyz");
/// put::<i32>(5);
/// put::<Option<i32>>(None);
/// put::<Vec<f64>>(&[0.5, 1.0]);
/// ```
///
/// An array is not taken from a slice, whose length may be another:
///
/// ```compile_fail,E0277
/// use multiproc::Message;
///
/// fn put<T>(_item: impl Message<T>) {}
///
/// let bytes: &[u8] = &[1, 2, 3];
/// put::<[u8; 4]>(bytes);
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be sent where `{T}` is expected",
    label = "expected `{T}`, or a form of it",
    note = "the forms are `T` and `&T`, `&str` for `String`, `&[U]` and `&[U; N]` for `Vec<U>`",
    note = "a message must implement `serde::Serialize` and `serde::Deserialize` and own its data"
)]
pub trait Message<T: ?Sized> {
    /// What is serialised.
    #[doc(hidden)]
    type Form: Serialize + ?Sized;

    #[doc(hidden)]
    fn form(&self, _: private::Token) -> &Self::Form;

    /// The bytes of the message, if a `T` is sent without serde.
    #[doc(hidden)]
    fn raw(&self, _: private::Token) -> Option<&[u8]>;
}

pub(super) mod private {
    /// Cannot be named elsewhere: [`Message`](super::Message) can be implemented only here.
    #[derive(Debug)]
    pub struct Token;
}

impl<T: Serialize> Message<T> for T {
    type Form = T;

    #[inline]
    fn form(&self, _: private::Token) -> &T {
        self
    }

    #[inline]
    fn raw(&self, _: private::Token) -> Option<&[u8]> {
        raw_value(self)
    }
}

impl<T: Serialize> Message<T> for &T {
    type Form = T;

    #[inline]
    fn form(&self, _: private::Token) -> &T {
        self
    }

    #[inline]
    fn raw(&self, _: private::Token) -> Option<&[u8]> {
        raw_value(*self)
    }
}

impl Message<String> for &str {
    type Form = str;

    #[inline]
    fn form(&self, _: private::Token) -> &str {
        self
    }

    #[inline]
    fn raw(&self, _: private::Token) -> Option<&[u8]> {
        Some(self.as_bytes())
    }
}

impl<U: Serialize> Message<Vec<U>> for &[U] {
    type Form = [U];

    #[inline]
    fn form(&self, _: private::Token) -> &[U] {
        self
    }

    #[inline]
    fn raw(&self, _: private::Token) -> Option<&[u8]> {
        raw_elements(self)
    }
}

/// The form is the slice: serde would write an array without its length.
impl<U: Serialize, const N: usize> Message<Vec<U>> for &[U; N] {
    type Form = [U];

    #[inline]
    fn form(&self, _: private::Token) -> &[U] {
        self.as_slice()
    }

    #[inline]
    fn raw(&self, _: private::Token) -> Option<&[u8]> {
        raw_elements(self.as_slice())
    }
}
