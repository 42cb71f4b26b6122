//! What the types have in common that are handles to objects without roles.

/// Lets a handle without roles travel. It has `reference`, and `from_reference` makes one, or says why not.
macro_rules! travels {
    ($handle:ident) => {
        impl ::serde::Serialize for $handle {
            fn serialize<S: ::serde::Serializer>(
                &self,
                serializer: S,
            ) -> $crate::error::Result<S::Ok, S::Error> {
                $crate::handle::parcel::serialize(&self.reference, 0, serializer)
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $handle {
            fn deserialize<D: ::serde::Deserializer<'de>>(
                deserializer: D,
            ) -> $crate::error::Result<$handle, D::Error> {
                let kind = $crate::world::Kind::$handle;
                let (reference, _) = $crate::handle::claimed::deserialize(deserializer, kind)?;
                $handle::from_reference(reference).map_err($crate::message::refuse_to_deserialize)
            }
        }
    };
}

/// A handle to an object that is all in its 64 bytes, in `object`.
macro_rules! in_object {
    ($handle:ident) => {
        impl $handle {
            fn make() -> $crate::error::Result<$handle> {
                let world = $crate::world::world()?;
                let kind = $crate::world::Kind::$handle;
                $handle::from_reference($crate::handle::reference::ObjectRef::create(
                    world, kind, 0,
                )?)
            }

            fn from_reference(
                reference: ::std::sync::Arc<$crate::handle::reference::ObjectRef>,
            ) -> $crate::error::Result<$handle> {
                let object = reference.object.view();
                Ok($handle { reference, object })
            }
        }

        $crate::handle::face::travels!($handle);
    };
}

pub(crate) use {in_object, travels};
