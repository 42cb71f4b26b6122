//! From bytes to a value: postcard's wire format, with errors that have a text and a limit for the
//! depth.
//!
//! postcard reads numbers, texts and lengths. What is made of them goes through [`Decoder`], so
//! that an error of a type's own `Deserialize` is a [`Refusal`] and not postcard's, which has no
//! place for the text.
//!
//! A `Deserialize` may swallow the error of a part and go on. The decoder then stands in the middle
//! of that part, and everything behind it would be read from the wrong bytes. [`Input`] remembers that
//! a part was not read to its end, and the message is refused.

use postcard::de_flavors::Slice;
use serde::de::{
    self, Deserialize, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess,
    Visitor,
};

use super::refusal::{MAX_DEPTH, Refusal};

/// The value at the start of `bytes`, and what follows it.
#[inline]
pub(super) fn read<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<(T, &'de [u8]), Refusal> {
    let inner = postcard::Deserializer::from_bytes(bytes);
    let mut input = Input { inner, len: bytes.len(), is_broken: false };
    let value = T::deserialize(Decoder { input: &mut input, depth: 0 })?;
    if input.is_broken {
        return Err(went_on());
    }
    Ok((value, input.inner.finalize()?))
}

#[cold]
#[inline(never)]
fn went_on() -> Refusal {
    Refusal::new(
        "a Deserialize in it went on after a part could not be read, and messages have no marks \
         by which to find the next part",
    )
}

struct Input<'de> {
    inner: postcard::Deserializer<'de, Slice<'de>>,
    /// Length of the whole message. No sequence in it is longer, unless its elements are empty.
    len: usize,
    /// A part was not read to its end. What follows would be read from the wrong bytes.
    is_broken: bool,
}

impl<'de> Input<'de> {
    /// A value that postcard reads alone: a number, a text, a length.
    #[inline]
    fn read<T: Deserialize<'de>>(&mut self) -> Result<T, Refusal> {
        match T::deserialize(&mut self.inner) {
            Ok(value) => Ok(value),
            Err(cause) => Err(self.broken(cause)),
        }
    }

    /// Notes that a part was not read to its end.
    #[inline]
    fn broken(&mut self, cause: impl Into<Refusal>) -> Refusal {
        self.is_broken = true;
        cause.into()
    }
}

/// Where a value is read. Passed by value, so that the depth lives in a register.
struct Decoder<'a, 'de> {
    input: &'a mut Input<'de>,
    /// Levels around the value.
    depth: u32,
}

impl<'a, 'de> Decoder<'a, 'de> {
    /// One level deeper.
    #[inline]
    fn enter(self) -> Result<Self, Refusal> {
        if self.depth >= MAX_DEPTH {
            return Err(self.input.broken(Refusal::too_deep()));
        }
        Ok(Decoder { input: self.input, depth: self.depth + 1 })
    }

    /// Reads the parts of a compound value, `len` of them.
    #[inline]
    fn parts<R>(
        self,
        len: usize,
        read: impl FnOnce(&mut Parts<'_, 'de>) -> Result<R, Refusal>,
    ) -> Result<(R, usize), Refusal> {
        let inside = self.enter()?;
        let mut parts = Parts { input: &mut *inside.input, depth: inside.depth, left: len };
        match read(&mut parts) {
            Ok(value) => Ok((value, parts.left)),
            Err(refusal) => Err(inside.input.broken(refusal)),
        }
    }

    /// Reads `len` parts, a number that the type knows and the message does not hold.
    #[inline]
    fn tuple<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Refusal> {
        Ok(self.parts(len, |parts| visitor.visit_seq(parts))?.0)
    }

    /// Reads as many elements as the message says there are: all of them must be read.
    #[inline]
    fn list<R>(
        self,
        read: impl FnOnce(&mut Parts<'_, 'de>) -> Result<R, Refusal>,
    ) -> Result<R, Refusal> {
        let len = self.input.read()?;
        match self.parts(len, read)? {
            (value, 0) => Ok(value),
            (_, left) => Err(some_left(left, len)),
        }
    }
}

#[cold]
#[inline(never)]
fn some_left(left: usize, len: usize) -> Refusal {
    Refusal::new(format_args!("a Deserialize in it left {left} elements of {len} unread"))
}

/// Methods that read one value and show it to the visitor.
macro_rules! read {
    ($($method:ident: $type:ty => $visit:ident;)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
            let value: $type = self.input.read()?;
            visitor.$visit(value)
        }
    )*};
}

/// Methods for types that want to be told what comes next.
macro_rules! not_told {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Refusal> {
            Err(self.input.broken(postcard::Error::WontImplement))
        }
    )*};
}

impl<'de> Deserializer<'de> for Decoder<'_, 'de> {
    type Error = Refusal;

    #[inline]
    fn is_human_readable(&self) -> bool {
        false
    }

    read! {
        deserialize_bool: bool => visit_bool;
        deserialize_i8: i8 => visit_i8;
        deserialize_i16: i16 => visit_i16;
        deserialize_i32: i32 => visit_i32;
        deserialize_i64: i64 => visit_i64;
        deserialize_i128: i128 => visit_i128;
        deserialize_u8: u8 => visit_u8;
        deserialize_u16: u16 => visit_u16;
        deserialize_u32: u32 => visit_u32;
        deserialize_u64: u64 => visit_u64;
        deserialize_u128: u128 => visit_u128;
        deserialize_f32: f32 => visit_f32;
        deserialize_f64: f64 => visit_f64;
        deserialize_char: char => visit_char;
        deserialize_str: &'de str => visit_borrowed_str;
        deserialize_string: &'de str => visit_str;
        deserialize_bytes: &'de [u8] => visit_borrowed_bytes;
        deserialize_byte_buf: &'de [u8] => visit_bytes;
    }

    not_told! { deserialize_any deserialize_identifier deserialize_ignored_any }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        match self.input.read::<u8>()? {
            0 => visitor.visit_none(),
            1 => visitor.visit_some(self.enter()?),
            _ => Err(self.input.broken(postcard::Error::DeserializeBadOption)),
        }
    }

    #[inline]
    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_unit()
    }

    #[inline]
    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        visitor.visit_unit()
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        visitor.visit_newtype_struct(self.enter()?)
    }

    #[inline]
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        self.list(|parts| visitor.visit_seq(parts))
    }

    #[inline]
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        self.list(|parts| visitor.visit_map(parts))
    }

    #[inline]
    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        self.tuple(len, visitor)
    }

    #[inline]
    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        self.tuple(len, visitor)
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        self.tuple(fields.len(), visitor)
    }

    #[inline]
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        visitor.visit_enum(self)
    }
}

/// The parts of a compound value, one after the other.
struct Parts<'a, 'de> {
    input: &'a mut Input<'de>,
    depth: u32,
    left: usize,
}

impl<'de> Parts<'_, 'de> {
    #[inline]
    fn next<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Refusal> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        self.part(seed).map(Some)
    }

    #[inline]
    fn part<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Refusal> {
        seed.deserialize(Decoder { input: &mut *self.input, depth: self.depth })
    }

    /// How much room to make beforehand: a damaged length asks for no more than the message has.
    #[inline]
    fn hint(&self) -> Option<usize> {
        (self.left <= self.input.len).then_some(self.left)
    }
}

impl<'de> SeqAccess<'de> for &mut Parts<'_, 'de> {
    type Error = Refusal;

    #[inline]
    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Refusal> {
        self.next(seed)
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        self.hint()
    }
}

impl<'de> MapAccess<'de> for &mut Parts<'_, 'de> {
    type Error = Refusal;

    #[inline]
    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Refusal> {
        self.next(seed)
    }

    #[inline]
    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Refusal> {
        self.part(seed)
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        self.hint()
    }
}

impl<'de> de::EnumAccess<'de> for Decoder<'_, 'de> {
    type Error = Refusal;
    type Variant = Self;

    #[inline]
    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Refusal> {
        let index: u32 = self.input.read()?;
        match seed.deserialize(IntoDeserializer::<Refusal>::into_deserializer(index)) {
            Ok(variant) => Ok((variant, self)),
            Err(refusal) => Err(self.input.broken(refusal)),
        }
    }
}

impl<'de> de::VariantAccess<'de> for Decoder<'_, 'de> {
    type Error = Refusal;

    #[inline]
    fn unit_variant(self) -> Result<(), Refusal> {
        Ok(())
    }

    #[inline]
    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Refusal> {
        seed.deserialize(self.enter()?)
    }

    #[inline]
    fn tuple_variant<V: Visitor<'de>>(self, len: usize, visitor: V) -> Result<V::Value, Refusal> {
        self.tuple(len, visitor)
    }

    #[inline]
    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        self.tuple(fields.len(), visitor)
    }
}
