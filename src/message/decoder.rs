//! From bytes to a value: postcard's wire format, with errors that have a text and a limit for the
//! depth.
//!
//! postcard reads numbers, texts and lengths. What is made of them goes through [`Decoder`], so
//! that an error of a type's own `Deserialize` is a [`Refusal`] and not postcard's, which has no
//! place for the text.
//!
//! A `Deserialize` may swallow the error of a part and go on. The decoder then stands in the middle
//! of that part, and everything behind it would be read from the wrong bytes. For this reason an
//! error leaves the counter of levels one too high, and [`Decoder::finish`] refuses the message.

use postcard::de_flavors::Slice;
use serde::de::{
    self, Deserialize, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess,
    Visitor,
};

use super::refusal::{MAX_DEPTH, Refusal};

pub(super) struct Decoder<'de> {
    inner: postcard::Deserializer<'de, Slice<'de>>,
    /// Length of the whole message. No sequence in it is longer, unless its elements are empty.
    len: usize,
    /// Levels that were entered and not left. More than there are, after an error.
    depth: u32,
}

impl<'de> Decoder<'de> {
    #[inline]
    pub(super) fn new(bytes: &'de [u8]) -> Decoder<'de> {
        let inner = postcard::Deserializer::from_bytes(bytes);
        Decoder { inner, len: bytes.len(), depth: 0 }
    }

    /// The bytes behind the value.
    #[inline]
    pub(super) fn finish(self) -> Result<&'de [u8], Refusal> {
        if self.depth != 0 {
            return Err(Refusal::new(
                "a Deserialize in it went on after a part could not be read, and messages have no \
                 marks by which to find the next part",
            ));
        }
        Ok(self.inner.finalize()?)
    }

    /// A value that postcard reads alone: a number, a text, a length.
    #[inline]
    fn read<T: Deserialize<'de>>(&mut self) -> Result<T, Refusal> {
        match T::deserialize(&mut self.inner) {
            Ok(value) => Ok(value),
            Err(cause) => Err(self.broken(cause)),
        }
    }

    /// Notes that the decoder stands in the middle of something.
    #[cold]
    #[inline(never)]
    fn broken(&mut self, cause: impl Into<Refusal>) -> Refusal {
        self.depth = self.depth.saturating_add(1);
        cause.into()
    }

    /// Reads the content of a value by `read`, one level deeper.
    #[inline]
    fn nested<R>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<R, Refusal>,
    ) -> Result<R, Refusal> {
        if self.depth >= MAX_DEPTH {
            return Err(self.broken(Refusal::too_deep()));
        }
        self.depth += 1;
        let value = read(self)?;
        self.depth -= 1;
        Ok(value)
    }

    /// Reads `len` parts, which the type knows.
    #[inline]
    fn tuple<V: Visitor<'de>>(&mut self, len: usize, visitor: V) -> Result<V::Value, Refusal> {
        self.nested(|decoder| visitor.visit_seq(Parts { decoder, left: &mut { len } }))
    }

    /// All `len` elements, which the message has, must have been read.
    #[inline]
    fn all_read(left: usize, len: usize) -> Result<(), Refusal> {
        if left == 0 { Ok(()) } else { Err(some_left(left, len)) }
    }
}

#[cold]
fn some_left(left: usize, len: usize) -> Refusal {
    Refusal::new(format_args!("a Deserialize in it left {left} elements of {len} unread"))
}

/// Methods that read one value and show it to the visitor.
macro_rules! read {
    ($($method:ident: $type:ty => $visit:ident;)*) => {$(
        #[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
            let value: $type = self.read()?;
            visitor.$visit(value)
        }
    )*};
}

/// Methods for types that want to be told what comes next.
macro_rules! not_told {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Refusal> {
            Err(self.broken(postcard::Error::WontImplement))
        }
    )*};
}

impl<'de> Deserializer<'de> for &mut Decoder<'de> {
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
        match self.read::<u8>()? {
            0 => visitor.visit_none(),
            1 => self.nested(|decoder| visitor.visit_some(decoder)),
            _ => Err(self.broken(postcard::Error::DeserializeBadOption)),
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
        self.nested(|decoder| visitor.visit_newtype_struct(decoder))
    }

    #[inline]
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        let len = self.read()?;
        self.nested(|decoder| {
            let mut left = len;
            let value = visitor.visit_seq(Parts { decoder, left: &mut left })?;
            Decoder::all_read(left, len)?;
            Ok(value)
        })
    }

    #[inline]
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        let len = self.read()?;
        self.nested(|decoder| {
            let mut left = len;
            let value = visitor.visit_map(Parts { decoder, left: &mut left })?;
            Decoder::all_read(left, len)?;
            Ok(value)
        })
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
    decoder: &'a mut Decoder<'de>,
    left: &'a mut usize,
}

impl Parts<'_, '_> {
    /// Counts one more part. False if there is none.
    #[inline]
    fn next(&mut self) -> bool {
        let is_one = *self.left > 0;
        *self.left -= usize::from(is_one);
        is_one
    }

    /// How much room to make beforehand: a damaged length asks for no more than the message has.
    #[inline]
    fn hint(&self) -> Option<usize> {
        (*self.left <= self.decoder.len).then_some(*self.left)
    }
}

impl<'de> SeqAccess<'de> for Parts<'_, 'de> {
    type Error = Refusal;

    #[inline]
    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Refusal> {
        if self.next() { seed.deserialize(&mut *self.decoder).map(Some) } else { Ok(None) }
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        self.hint()
    }
}

impl<'de> MapAccess<'de> for Parts<'_, 'de> {
    type Error = Refusal;

    #[inline]
    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Refusal> {
        if self.next() { seed.deserialize(&mut *self.decoder).map(Some) } else { Ok(None) }
    }

    #[inline]
    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Refusal> {
        seed.deserialize(&mut *self.decoder)
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        self.hint()
    }
}

impl<'de> de::EnumAccess<'de> for &mut Decoder<'de> {
    type Error = Refusal;
    type Variant = Self;

    #[inline]
    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Refusal> {
        let index: u32 = self.read()?;
        match seed.deserialize(IntoDeserializer::<Refusal>::into_deserializer(index)) {
            Ok(variant) => Ok((variant, self)),
            Err(refusal) => Err(self.broken(refusal)),
        }
    }
}

impl<'de> de::VariantAccess<'de> for &mut Decoder<'de> {
    type Error = Refusal;

    #[inline]
    fn unit_variant(self) -> Result<(), Refusal> {
        Ok(())
    }

    #[inline]
    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Refusal> {
        self.nested(|decoder| seed.deserialize(decoder))
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
