//! What can be put into a queue or passed to a process, and how it becomes bytes.
//!
//! [`Message<T>`] says in which forms a `T` may be given. [`encode`] and [`decode`] are the codec:
//! postcard for everything, except that text, bytes and vectors of plain numbers are copied as
//! they lie in memory, which is 15 times faster for a large one.
//!
//! Which of the two ways a message takes is decided by the message type `T` alone, never by the
//! form it was given in, so that putter and getter agree: both are the same program, and what is
//! in a world never leaves its machine. The decision is a comparison of constants; the compiler
//! removes it.
//!
//! | `T` | bytes |
//! |---|---|
//! | `String` | its UTF-8 |
//! | `Vec<N>`, `N` one of `u8` to `u128`, `i8` to `i128`, `usize`, `isize`, `f32`, `f64` | its elements in the machine's own order (little-endian wherever this was tried), no length |
//! | anything else, also these inside something else | postcard's wire format |
//!
//! postcard drops the text of an error that a `Serialize` implementation makes. [`Encoder`] keeps
//! it: it hands each value on to postcard and itself only carries the error. An error of our own
//! handles keeps its kind as well, see [`refuse_to_serialize`].

use std::any::{TypeId, type_name};
use std::cell::Cell;
use std::fmt;

use bytemuck::Pod;
use serde::de::{self, DeserializeOwned};
use serde::ser::{self, Serialize};

use crate::error::{Error, ErrorKind, Result};

// ---------------------------------------------------------------------------------------------
// Message
// ---------------------------------------------------------------------------------------------

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
/// # Examples
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

mod private {
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

// ---------------------------------------------------------------------------------------------
// What bypasses serde
// ---------------------------------------------------------------------------------------------

/// Calls the macro `$each` with the number types of which a vector is sent as it lies in memory.
macro_rules! numbers {
    ($each:ident) => {
        $each! { u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize f32 f64 }
    };
}

/// The bytes of `item`, if a `T` is sent without serde.
#[inline]
fn raw_value<T>(item: &T) -> Option<&[u8]> {
    let one = std::slice::from_ref(item);
    if let Some([text]) = same::slice::<T, String>(one) {
        return Some(text.as_bytes());
    }
    macro_rules! vectors {
        ($($N:ty)*) => {$(
            if let Some([numbers]) = same::slice::<T, Vec<$N>>(one) {
                return Some(bytemuck::cast_slice(numbers));
            }
        )*};
    }
    numbers!(vectors);
    None
}

/// The bytes of `elements`, if a `Vec<U>` is sent without serde.
#[inline]
fn raw_elements<U>(elements: &[U]) -> Option<&[u8]> {
    macro_rules! slices {
        ($($N:ty)*) => {$(
            if let Some(numbers) = same::slice::<U, $N>(elements) {
                return Some(bytemuck::cast_slice(numbers));
            }
        )*};
    }
    numbers!(slices);
    None
}

/// The value of `bytes`, if a `T` is sent without serde.
#[inline]
fn from_raw<T>(bytes: &[u8]) -> Option<Result<T>> {
    /// `wire` gives the very type that `T` was just found to be.
    fn as_asked<C: same::Concrete, T>(wire: Result<C>) -> Option<Result<T>> {
        match wire {
            Ok(value) => same::value(value).map(Ok),
            Err(error) => Some(Err(error)),
        }
    }
    if same::is::<T, String>() {
        return as_asked(text_from(bytes));
    }
    macro_rules! vectors {
        ($($N:ty)*) => {$(
            if same::is::<T, Vec<$N>>() {
                return as_asked(numbers_from::<$N>(bytes));
            }
        )*};
    }
    numbers!(vectors);
    None
}

fn text_from(bytes: &[u8]) -> Result<String> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        undecodable::<String>(bytes.len(), "the bytes are not UTF-8").with_source(error)
    })?;
    let mut string = String::new();
    string.try_reserve_exact(text.len()).map_err(|_| no_memory(text.len()))?;
    string.push_str(text);
    Ok(string)
}

/// `bytes` may lie at any address.
fn numbers_from<N: Pod>(bytes: &[u8]) -> Result<Vec<N>> {
    let chunks = bytes.chunks_exact(size_of::<N>());
    if !chunks.remainder().is_empty() {
        let why = format_args!("an element has {}", size_of::<N>());
        return Err(undecodable::<Vec<N>>(bytes.len(), why));
    }
    let mut numbers = Vec::new();
    numbers.try_reserve_exact(chunks.len()).map_err(|_| no_memory(bytes.len()))?;
    match bytemuck::try_cast_slice(bytes) {
        Ok(aligned) => numbers.extend_from_slice(aligned),
        Err(_) => numbers.extend(chunks.map(bytemuck::pod_read_unaligned::<N>)),
    }
    Ok(numbers)
}

/// Finding out that a type parameter is in fact a certain type.
mod same {
    #![allow(unsafe_code, reason = "a type parameter that was compared is used as what it is")]

    use super::*;

    /// A type in which no lifetime occurs. Type ids do not tell lifetimes apart, so that for such
    /// a type alone, equal ids mean the same type.
    pub(super) trait Concrete: 'static {}

    macro_rules! concrete {
        ($($N:ty)*) => {$(
            impl Concrete for $N {}
            impl Concrete for Vec<$N> {}
        )*};
    }
    numbers!(concrete);
    impl Concrete for String {}

    /// Whether `A` is `C`. A constant to the compiler.
    #[inline(always)]
    pub(super) fn is<A, C: Concrete>() -> bool {
        typeid::of::<A>() == TypeId::of::<C>()
    }

    /// `slice`, if `A` is `C`.
    #[inline(always)]
    pub(super) fn slice<A, C: Concrete>(slice: &[A]) -> Option<&[C]> {
        if !is::<A, C>() {
            return None;
        }
        // SAFETY:
        // - `A` and `C` are the same type: their ids are equal, and `C` holds no lifetime in which
        //   they could differ (`Concrete`). So pointer, length, alignment and content are right.
        // - The lifetime of the result is that of the argument, and both are shared.
        // - The peer: nothing new is read; whoever made the argument had the right to these bytes,
        //   also if they lie in shared memory under a guard.
        Some(unsafe { std::slice::from_raw_parts(slice.as_ptr().cast::<C>(), slice.len()) })
    }

    /// `value`, if `A` is `C`.
    #[inline(always)]
    pub(super) fn value<C: Concrete, A>(value: C) -> Option<A> {
        if !is::<A, C>() {
            return None;
        }
        let value = std::mem::ManuallyDrop::new(value);
        // SAFETY:
        // - `A` and `C` are the same type, as above, and `ManuallyDrop<C>` has the layout of `C`:
        //   the bits are a valid `A`.
        // - The value is moved, not doubled: `ManuallyDrop` never drops the original.
        // - The peer: the value lies on this stack, out of reach of other processes.
        Some(unsafe { std::mem::transmute_copy::<std::mem::ManuallyDrop<C>, A>(&value) })
    }
}

// ---------------------------------------------------------------------------------------------
// Codec
// ---------------------------------------------------------------------------------------------

/// The bytes of a message that needs no encoding, as [`encode`] would copy them.
pub(crate) fn raw<T, M: Message<T>>(item: &M) -> Option<&[u8]> {
    item.raw(private::Token)
}

/// Appends the message that stands for `item` to `out`.
///
/// A value that panics while it is serialised leaves a part of itself at the end of `out`.
///
/// # Errors
///
/// `Encode` if the value refuses, or cannot be written without knowing its length first;
/// `OutOfMemory`; what a handle inside the value refused with. `out` then has its old length.
#[inline]
pub(crate) fn encode<T, M: Message<T>>(item: &M, out: &mut Vec<u8>) -> Result<()> {
    if let Some(bytes) = item.raw(private::Token) {
        reserve(out, bytes.len()).map_err(|_| no_memory(bytes.len()))?;
        out.extend_from_slice(bytes);
        return Ok(());
    }
    let before = out.len();
    let mut encoder = Encoder { inner: postcard::Serializer { output: Tail(out) } };
    match item.form(private::Token).serialize(&mut encoder) {
        Ok(()) => Ok(()),
        Err(refused) => {
            let needed = out.len() - before;
            out.truncate(before);
            Err(refused.into_error(type_name::<T>(), needed))
        }
    }
}

/// The value that the message `bytes` stands for.
///
/// # Errors
///
/// `Decode` if the bytes are no `T`, or more than one; `OutOfMemory`; what a handle inside the
/// value refused with.
#[inline]
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T> {
    if let Some(value) = from_raw(bytes) {
        return value;
    }
    // What is left from an attempt that did not fail in the end, or in another format.
    REFUSED.take();
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        Ok((_, rest)) => {
            let why = format_args!("{} of them are left over", rest.len());
            Err(undecodable::<T>(bytes.len(), why))
        }
        Err(cause) => Err(decode_failed::<T>(bytes.len(), cause)),
    }
}

/// Checks that `bytes`, just encoded, can be turned back into a `T`, so that a type which cannot
/// be brought back is an error of the putter and not of the getter.
///
/// # Errors
///
/// `Encode`, with what to do.
#[cold]
pub(crate) fn verify<T: DeserializeOwned>(bytes: &[u8]) -> Result<()> {
    let Err(error) = decode::<T>(bytes) else {
        return Ok(());
    };
    if !error.is_decode() {
        return Err(error);
    }
    let message = format!(
        "{} can be written but not read back, because messages do not describe themselves: for an \
         untagged or flattened type, or one that skips fields, derive serde's traits without these \
         attributes; for a free-form value such as serde_json::Value send its text",
        type_name::<T>()
    );
    Err(Error::new(ErrorKind::Encode, message).with_source(error))
}

#[cold]
fn decode_failed<T>(len: usize, cause: postcard::Error) -> Error {
    use postcard::Error::*;
    if let Some(error) = REFUSED.take() {
        return error;
    }
    let why = match cause {
        DeserializeUnexpectedEnd => "they end too early",
        DeserializeBadUtf8 => "a text in it is not UTF-8",
        DeserializeBadBool | DeserializeBadChar | DeserializeBadOption | DeserializeBadEnum
        | DeserializeBadVarint => "a part of it has no such value",
        SerdeDeCustom => "the type's own Deserialize refused them",
        WontImplement | NotYetImplemented => {
            "the type wants to be told what comes next (deserialize_any), which messages do not do"
        }
        _ => "they are not well formed",
    };
    undecodable::<T>(len, why).with_source(cause)
}

#[cold]
fn undecodable<T>(len: usize, why: impl fmt::Display) -> Error {
    let message = format!("a message of {len} bytes is no {}: {why}", type_name::<T>());
    Error::new(ErrorKind::Decode, message)
}

#[cold]
fn no_memory(len: usize) -> Error {
    let message = format!("no memory for a message of {len} bytes in this process");
    Error::new(ErrorKind::OutOfMemory, message)
}

/// Room for `more` bytes, or an error where `Vec` would abort.
#[inline]
fn reserve(out: &mut Vec<u8>, more: usize) -> postcard::Result<()> {
    #[cold]
    #[inline(never)]
    fn grow(out: &mut Vec<u8>, more: usize) -> postcard::Result<()> {
        out.try_reserve(more).map_err(|_| postcard::Error::SerializeBufferFull)
    }
    if more > out.capacity() - out.len() { grow(out, more) } else { Ok(()) }
}

/// postcard's output: the end of a vector.
struct Tail<'a>(&'a mut Vec<u8>);

impl postcard::ser_flavors::Flavor for Tail<'_> {
    type Output = ();

    #[inline]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        reserve(self.0, 1)?;
        self.0.push(byte);
        Ok(())
    }

    #[inline]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        // Small numbers and lengths come as one byte, for which a copy of unknown length is slow.
        if let [byte] = bytes {
            return self.try_push(*byte);
        }
        reserve(self.0, bytes.len())?;
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

// ---------------------------------------------------------------------------------------------
// Keeping the reason
// ---------------------------------------------------------------------------------------------

thread_local! {
    /// What a handle refused to be serialised or deserialised with, until the codec picks it up.
    static REFUSED: Cell<Option<Error>> = const { Cell::new(None) };
}

/// For a handle's `Serialize`: makes the serializer's error, and [`encode`] return `error` as it
/// is, with its kind, if it is the one that serialises.
#[cold]
pub(crate) fn refuse_to_serialize<E: ser::Error>(error: Error) -> E {
    let refusal = E::custom(&error);
    REFUSED.set(Some(error));
    refusal
}

/// For a handle's `Deserialize`: the same with [`decode`].
#[cold]
pub(crate) fn refuse_to_deserialize<E: de::Error>(error: Error) -> E {
    let refusal = E::custom(&error);
    REFUSED.set(Some(error));
    refusal
}

/// Why a value could not be serialised. One word, so that `Result<(), Refused>` is one too.
#[derive(Debug)]
struct Refused(Box<Reason>);

#[derive(Debug)]
enum Reason {
    Format(postcard::Error),
    Text(String),
}

impl Refused {
    #[cold]
    fn into_error(self, type_name: &str, written: usize) -> Error {
        let refused = REFUSED.take();
        let why = match *self.0 {
            Reason::Text(text) => match refused {
                // Another's text: what is in `REFUSED` is left from an earlier attempt.
                Some(error) if error.to_string() == text => return error,
                _ => text,
            },
            Reason::Format(postcard::Error::SerializeBufferFull) => return no_memory(written),
            Reason::Format(postcard::Error::SerializeSeqLengthUnknown) => {
                "a sequence or map in it does not know its length beforehand; collect it first, \
                 and derive Serialize without flatten"
                    .to_owned()
            }
            Reason::Format(postcard::Error::CollectStrError) => {
                "a Display in it failed, or wrote another text the second time".to_owned()
            }
            Reason::Format(cause) => cause.to_string(),
        };
        let message = format!("{type_name} cannot be turned into a message: {why}");
        Error::new(ErrorKind::Encode, message)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Reason::Format(cause) => cause.fmt(f),
            Reason::Text(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Refused {}

impl ser::Error for Refused {
    #[cold]
    fn custom<T: fmt::Display>(message: T) -> Refused {
        Refused(Box::new(Reason::Text(message.to_string())))
    }
}

impl From<postcard::Error> for Refused {
    #[cold]
    fn from(cause: postcard::Error) -> Refused {
        Refused(Box::new(Reason::Format(cause)))
    }
}

/// postcard's serializer, with an error that has a text.
///
/// Numbers, texts, lengths and variant indices are written by postcard. A compound value is its
/// head and then its parts one after the other, with nothing between them and no end; each part
/// comes back through this type.
struct Encoder<'a> {
    inner: postcard::Serializer<Tail<'a>>,
}

/// Methods of `Serializer` that hand on to postcard.
macro_rules! hand_on {
    ($($method:ident($($arg:ident: $type:ty),*);)*) => {$(
        #[inline]
        fn $method(self, $($arg: $type),*) -> Result<(), Refused> {
            Ok((&mut self.inner).$method($($arg),*)?)
        }
    )*};
}

/// Methods that have postcard write the head of a compound value.
macro_rules! open {
    ($($method:ident($($arg:ident: $type:ty),*);)*) => {$(
        #[inline]
        fn $method(self, $($arg: $type),*) -> Result<Self, Refused> {
            (&mut self.inner).$method($($arg),*)?;
            Ok(self)
        }
    )*};
}

impl ser::Serializer for &mut Encoder<'_> {
    type Ok = ();
    type Error = Refused;
    type SerializeSeq = Self;
    type SerializeTuple = Self;
    type SerializeTupleStruct = Self;
    type SerializeTupleVariant = Self;
    type SerializeMap = Self;
    type SerializeStruct = Self;
    type SerializeStructVariant = Self;

    #[inline]
    fn is_human_readable(&self) -> bool {
        false
    }

    hand_on! {
        serialize_bool(v: bool);
        serialize_i8(v: i8);
        serialize_i16(v: i16);
        serialize_i32(v: i32);
        serialize_i64(v: i64);
        serialize_i128(v: i128);
        serialize_u8(v: u8);
        serialize_u16(v: u16);
        serialize_u32(v: u32);
        serialize_u64(v: u64);
        serialize_u128(v: u128);
        serialize_f32(v: f32);
        serialize_f64(v: f64);
        serialize_char(v: char);
        serialize_str(v: &str);
        serialize_bytes(v: &[u8]);
        serialize_none();
        serialize_unit();
        serialize_unit_struct(name: &'static str);
        serialize_unit_variant(name: &'static str, index: u32, variant: &'static str);
    }

    open! {
        serialize_seq(len: Option<usize>);
        serialize_tuple(len: usize);
        serialize_tuple_struct(name: &'static str, len: usize);
        serialize_tuple_variant(name: &'static str, index: u32, variant: &'static str, len: usize);
        serialize_map(len: Option<usize>);
        serialize_struct(name: &'static str, len: usize);
        serialize_struct_variant(name: &'static str, index: u32, variant: &'static str, len: usize);
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Refused> {
        // postcard's head of an option is a byte, 0 for none and 1 for some.
        (&mut self.inner).serialize_u8(1)?;
        value.serialize(self)
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Refused> {
        value.serialize(self)
    }

    #[inline]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Refused> {
        (&mut self.inner).serialize_unit_variant(name, index, variant)?;
        value.serialize(self)
    }

    fn collect_str<T: fmt::Display + ?Sized>(self, value: &T) -> Result<(), Refused> {
        Ok((&mut self.inner).collect_str(value)?)
    }
}

/// The traits of serde through which the parts of a compound value come.
macro_rules! parts {
    ($($part:ident: $method:ident($($name:ident: $type:ty)?);)*) => {$(
        impl ser::$part for &mut Encoder<'_> {
            type Ok = ();
            type Error = Refused;

            #[inline]
            fn $method<T: Serialize + ?Sized>(
                &mut self,
                $($name: $type,)?
                value: &T,
            ) -> Result<(), Refused> {
                value.serialize(&mut **self)
            }

            #[inline]
            fn end(self) -> Result<(), Refused> {
                Ok(())
            }
        }
    )*};
}

parts! {
    SerializeSeq: serialize_element();
    SerializeTuple: serialize_element();
    SerializeTupleStruct: serialize_field();
    SerializeTupleVariant: serialize_field();
    SerializeStruct: serialize_field(_name: &'static str);
    SerializeStructVariant: serialize_field(_name: &'static str);
}

impl ser::SerializeMap for &mut Encoder<'_> {
    type Ok = ();
    type Error = Refused;

    #[inline]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Refused> {
        key.serialize(&mut **self)
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Refused> {
        value.serialize(&mut **self)
    }

    #[inline]
    fn end(self) -> Result<(), Refused> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::*;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Job {
        id: u64,
        name: String,
        notes: Option<Vec<String>>,
        place: (i16, f32),
        state: State,
        parts: BTreeMap<char, u128>,
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    enum State {
        Idle,
        Wrapped(Unit),
        Pair(i8, bool),
        Named { depth: i64, inner: Box<Option<State>> },
    }

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Unit;

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Wrapper(u32);

    #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
    struct Pair(u32, [u8; 3]);

    fn job() -> Job {
        let inner = Box::new(Some(State::Pair(-3, true)));
        Job {
            id: u64::MAX,
            name: "ünïcode".into(),
            notes: Some(vec![String::new(), "x".repeat(300)]),
            place: (-300, 0.5),
            state: State::Named { depth: -1 << 40, inner },
            parts: [('a', 1), ('€', u128::MAX)].into(),
        }
    }

    fn bytes<T>(item: impl Message<T>) -> Vec<u8> {
        let mut out = Vec::new();
        encode::<T, _>(&item, &mut out).unwrap();
        out
    }

    fn roundtrip<T: Serialize + DeserializeOwned>(item: &T) -> T {
        let bytes = bytes::<T>(item);
        verify::<T>(&bytes).unwrap();
        decode(&bytes).unwrap()
    }

    #[track_caller]
    fn same_both_ways<T: Serialize + DeserializeOwned + PartialEq + fmt::Debug>(item: T) {
        assert_eq!(roundtrip(&item), item);
        // By value, by reference, and as postcard itself writes it.
        let wire = postcard::to_stdvec(&item).unwrap();
        assert_eq!(bytes::<T>(&item), wire);
        assert_eq!(bytes::<T>(item), wire);
    }

    #[test]
    fn each_form_of_a_type_has_the_same_bytes() {
        let text = String::from("xyz");
        assert_eq!(bytes::<String>("xyz"), b"xyz");
        assert_eq!(bytes::<String>(&text), b"xyz");
        assert_eq!(bytes::<String>(text), b"xyz");

        let raw = [1, 0, 2, 0];
        if cfg!(target_endian = "little") {
            assert_eq!(bytes::<Vec<u16>>(&[1, 2]), raw);
        }
        assert_eq!(bytes::<Vec<u16>>(&[1, 2][..]), bytes::<Vec<u16>>(&[1, 2]));
        assert_eq!(bytes::<Vec<u16>>(vec![1, 2]), bytes::<Vec<u16>>(&[1, 2]));
        assert_eq!(bytes::<Vec<u16>>(&vec![1, 2]), bytes::<Vec<u16>>(&[1, 2]));

        // Not plain: these go through serde, a slice with its length, an array without.
        let wire = [2, 1, 0];
        assert_eq!(bytes::<Vec<bool>>(&[true, false]), wire);
        assert_eq!(bytes::<Vec<bool>>(&[true, false][..]), wire);
        assert_eq!(bytes::<Vec<bool>>(vec![true, false]), wire);
        assert_eq!(bytes::<[bool; 2]>(&[true, false]), wire[1..]);
        assert_eq!(bytes::<[u8; 4]>([1, 2, 3, 4]), [1, 2, 3, 4]);
        let names: Vec<String> = decode(&bytes::<Vec<String>>(&["a".to_owned()])).unwrap();
        assert_eq!(names, ["a"]);
    }

    /// Stands for `Queue<T>` and `Process::spawn`: what must compile with literals inferred.
    #[test]
    fn literals_find_their_type() {
        struct Queue<T>(std::marker::PhantomData<T>);
        impl<T: Serialize + DeserializeOwned> Queue<T> {
            fn new() -> Queue<T> {
                Queue(std::marker::PhantomData)
            }
            fn put(&self, item: impl Message<T>) -> T {
                decode(&bytes::<T>(item)).unwrap()
            }
        }
        trait Arguments<P> {}
        impl<P, A: Message<P>> Arguments<(P,)> for (A,) {}
        impl<P, Q, A: Message<P>, B: Message<Q>> Arguments<(P, Q)> for (A, B) {}
        trait Function<P> {}
        impl<P, R, F: Fn(P) -> R> Function<(P,)> for F {}
        impl<P, Q, R, F: Fn(P, Q) -> R> Function<(P, Q)> for F {}
        fn spawn<P, F: Function<P>>(_: F, _: impl Arguments<P>) {}

        fn greet(_: String) {}
        fn add(_: u64, _: Wrapper) {}
        fn sum(_: Vec<f64>) {}

        assert_eq!(Queue::<String>::new().put("xyz"), "xyz");
        assert_eq!(Queue::<i32>::new().put(5), 5);
        assert_eq!(Queue::<f32>::new().put(0.5), 0.5);
        let numbers = Queue::<Option<i32>>::new();
        assert_eq!(numbers.put(None), None);
        assert_eq!(numbers.put(Some(7)), Some(7));
        let item = job();
        assert_eq!(Queue::<Job>::new().put(&item), item);
        assert_eq!(Queue::<Job>::new().put(item.clone()), item);
        assert_eq!(Queue::<Vec<u8>>::new().put(b"abc"), b"abc");
        assert_eq!(Queue::<Vec<u8>>::new().put(&[][..]), b"");
        Queue::<()>::new().put(());
        let counter = Wrapper(1);
        spawn(greet, ("Alice",));
        spawn(add, (1_000_000, &counter));
        spawn(sum, (&[1.0, 2.0],));
        spawn(|_: Option<String>, _: i8| (), (None, 1));
    }

    #[test]
    fn what_serde_carries_comes_back_and_is_postcard() {
        same_both_ways(job());
        same_both_ways(State::Idle);
        same_both_ways(State::Wrapped(Unit));
        same_both_ways(Some(Some(State::Pair(i8::MIN, false))));
        same_both_ways((Wrapper(u32::MAX), Pair(127, [128, 0, 255])));
        same_both_ways((1u8, 2u16, 3u32, 4u64, 5u128, 'x', (), Unit, [0usize; 3]));
        same_both_ways((-1i8, -2i16, -3i32, -4i64, i128::MIN, 1.5f32, f64::MIN, true));
        same_both_ways(vec![Some(vec![1u8, 2]), None, Some(vec![])]);
        same_both_ways(Vec::<()>::new());
        same_both_ways(std::net::IpAddr::from([127, 0, 0, 1]));
        same_both_ways(std::time::Duration::from_millis(1500));
        same_both_ways(Option::<String>::None);
        same_both_ways(Box::new(vec!["x".to_owned()]));
    }

    #[test]
    fn text_and_numbers_come_back() {
        macro_rules! there_and_back {
            ($($N:ty)*) => {$(
                for numbers in [vec![], vec![<$N>::MIN], vec![1 as $N, <$N>::MAX, 0 as $N]] {
                    assert_eq!(bytes::<Vec<$N>>(&numbers).len(), numbers.len() * size_of::<$N>());
                    assert_eq!(roundtrip(&numbers), numbers);
                }
            )*};
        }
        numbers!(there_and_back);
        for text in ["", "a", "grüße", "\0"] {
            assert_eq!(roundtrip(&text.to_owned()), text);
            assert_eq!(bytes::<String>(text).len(), text.len());
        }
        let large = vec![7u8; 1 << 20];
        assert_eq!(roundtrip(&large), large);
    }

    #[test]
    fn every_bit_of_a_nan_survives() {
        let odd = [0x7ff8_0000_0000_0001, 0xfff0_0000_0000_dead, 0x8000_0000_0000_0000];
        let numbers: Vec<f64> = odd.iter().copied().map(f64::from_bits).collect();
        let back: Vec<u64> = roundtrip(&numbers).into_iter().map(f64::to_bits).collect();
        assert_eq!(back, odd);
        assert_eq!(roundtrip(&Some(numbers[1])).unwrap().to_bits(), odd[1]);
    }

    #[test]
    fn numbers_are_read_from_any_address() {
        let numbers: Vec<u64> = (0..9).map(|n| n * 0x0102_0304_0506_0708).collect();
        let message = bytes::<Vec<u64>>(&numbers);
        let mut buffer = vec![0; message.len() + 16];
        for shift in 0..16 {
            buffer[shift..][..message.len()].copy_from_slice(&message);
            let back: Vec<u64> = decode(&buffer[shift..][..message.len()]).unwrap();
            assert_eq!(back, numbers);
        }
    }

    #[test]
    fn encoding_appends() {
        let mut out = b"head".to_vec();
        encode::<u8, _>(&1, &mut out).unwrap();
        encode::<String, _>(&"é", &mut out).unwrap();
        encode::<Option<u8>, _>(&None, &mut out).unwrap();
        assert_eq!(out, b"head\x01\xc3\xa9\x00");
    }

    #[test]
    fn a_message_that_does_not_fit_the_type_is_a_decode_error() {
        #[track_caller]
        fn refused<T: DeserializeOwned>(bytes: &[u8], expected: &str) {
            let Err(error) = decode::<T>(bytes) else {
                panic!("{bytes:?} was taken");
            };
            assert!(error.is_decode(), "{error:?}");
            let text = error.to_string();
            assert!(text.contains(type_name::<T>()), "{text}");
            assert!(text.contains(expected), "{text}");
        }
        refused::<Vec<u32>>(&[1, 2, 3, 4, 5], "5 bytes");
        refused::<Vec<u32>>(&[1, 2, 3, 4, 5], "an element has 4");
        refused::<String>(&[b'a', 0xff], "not UTF-8");
        refused::<Option<String>>(&[1, 1, 0xff], "not UTF-8");
        refused::<u8>(&[1, 2, 3], "2 of them are left over");
        refused::<()>(&[1], "left over");
        refused::<Job>(&[], "end too early");
        refused::<(u8, u8)>(&[1], "end too early");
        refused::<Vec<String>>(&[0xff, 0xff, 0xff, 0xff, 0x0f], "end too early");
        refused::<bool>(&[2], "no such value");
        refused::<State>(&[9], "own Deserialize");
        refused::<std::num::NonZero<u8>>(&[0], "own Deserialize");
    }

    #[test]
    fn damaged_messages_are_errors_and_nothing_worse() {
        let message = bytes::<Job>(job());
        for at in 0..message.len() {
            assert!(decode::<Job>(&message[..at]).unwrap_err().is_decode());
            for bit in 0..8 {
                let mut damaged = message.clone();
                damaged[at] ^= 1 << bit;
                if let Err(error) = decode::<Job>(&damaged) {
                    assert!(error.is_decode(), "{error:?}");
                }
            }
        }
    }

    /// Refuses after two fields were written.
    struct Secret(Option<Error>);

    impl Serialize for Secret {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            use ser::SerializeTuple;
            let mut tuple = serializer.serialize_tuple(3)?;
            tuple.serialize_element("written")?;
            tuple.serialize_element(&1u8)?;
            struct Refusing<'a>(&'a Option<Error>);
            impl Serialize for Refusing<'_> {
                fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
                    Err(match self.0 {
                        None => ser::Error::custom("this state is secret"),
                        Some(error) => {
                            refuse_to_serialize(Error::new(error.kind(), error.to_string()))
                        }
                    })
                }
            }
            tuple.serialize_element(&Some([Refusing(&self.0)]))?;
            tuple.end()
        }
    }

    #[test]
    fn a_refusing_value_keeps_its_reason_and_leaves_nothing() {
        let mut out = b"before".to_vec();
        let error = encode::<Secret, _>(&Secret(None), &mut out).unwrap_err();
        assert!(error.is_encode(), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("tests::Secret") && text.ends_with("this state is secret"), "{text}");
        assert_eq!(out, b"before");

        let list = &[Secret(None)];
        let error = encode::<Vec<Secret>, _>(&list, &mut out).unwrap_err();
        assert!(error.is_encode() && error.to_string().contains("Vec<"), "{error:?}");
        assert_eq!(out, b"before");
    }

    #[test]
    fn a_handle_that_refuses_keeps_its_kind() {
        let mut out = Vec::new();
        let lock = Secret(Some(Error::new(ErrorKind::Foreign, "lock: of another world")));
        let error = encode::<Secret, _>(&lock, &mut out).unwrap_err();
        assert!(error.is_foreign(), "{error:?}");
        assert_eq!(error.to_string(), "lock: of another world");

        // A refusal that another format met does not colour a later one.
        assert!(postcard::to_stdvec(&lock).is_err());
        let error = encode::<Secret, _>(&Secret(None), &mut out).unwrap_err();
        assert!(error.is_encode(), "{error:?}");
        assert!(out.is_empty());

        #[derive(Debug)]
        struct Handle;
        impl<'de> Deserialize<'de> for Handle {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Handle, D::Error> {
                u8::deserialize(deserializer)?;
                Err(refuse_to_deserialize(Error::new(ErrorKind::Closed, "the lock is gone")))
            }
        }
        let error = decode::<Option<Handle>>(&[1, 5]).unwrap_err();
        assert!(error.is_closed(), "{error:?}");
        assert!(postcard::from_bytes::<Handle>(&[5]).is_err());
        let error = decode::<std::num::NonZero<u8>>(&[0]).unwrap_err();
        assert!(error.is_decode(), "{error:?}");
    }

    #[test]
    fn a_length_unknown_beforehand_is_an_error_with_advice() {
        struct Stream;
        impl Serialize for Stream {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use ser::SerializeSeq;
                serializer.serialize_seq(None)?.end()
            }
        }
        let error = encode::<Stream, _>(&Stream, &mut Vec::new()).unwrap_err();
        assert!(error.is_encode() && error.to_string().contains("collect it first"), "{error}");
    }

    #[test]
    fn a_type_that_cannot_be_read_back_is_the_putters_error() {
        #[derive(Debug, Serialize, Deserialize)]
        #[serde(untagged)]
        enum Free {
            Number(u32),
            Text(String),
        }
        for free in [Free::Number(1), Free::Text("x".into())] {
            let error = verify::<Free>(&bytes::<Free>(&free)).unwrap_err();
            assert!(error.is_encode(), "{error:?}");
            let text = error.to_string();
            assert!(text.contains("Free") && text.contains("untagged"), "{text}");
            let source = std::error::Error::source(&error).unwrap();
            assert!(source.to_string().contains("deserialize_any"), "{source}");
        }
        #[derive(Debug, Serialize, Deserialize)]
        struct Skips {
            #[serde(skip_serializing_if = "Option::is_none")]
            sometimes: Option<u8>,
        }
        let error = verify::<Skips>(&bytes::<Skips>(Skips { sometimes: None })).unwrap_err();
        assert!(error.is_encode(), "{error:?}");
        verify::<Job>(&bytes::<Job>(job())).unwrap();
        verify::<String>(b"raw").unwrap();
    }

    #[test]
    fn a_display_that_is_collected() {
        struct Shown(&'static str);
        impl Serialize for Shown {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self.0)
            }
        }
        assert_eq!(bytes::<Shown>(Shown("ab")), b"\x02ab");
    }
}
