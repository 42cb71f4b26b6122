//! The methods of hosted collections: each one a function that runs in the server, as a call of its own and as part of a batch.

/// Makes the methods of a handle and of its face in a batch out of functions on the state.
///
/// ```ignore
/// operations! {
///     List<T> [T: Serialize + DeserializeOwned + 'static], ListBatch, Vec<T>;
///     /// Appends an item.
///     fn push(list, item: T) -> () { list.push(item) }
/// }
/// ```
///
/// Each parameter is taken in any form of its type. A method that says `try fn` has a body that gives a `Result`.
macro_rules! operations {
    (
        $Type:ident<$($param:ident),*> [$($generics:tt)*], $Batched:ident, $State:ty;
        $($body:tt)*
    ) => {
        $crate::manager::operations::operations! {
            @next $Type $Batched [$($param),*] [$($generics)*] [$State] $($body)*
        }
    };
    (@next $Type:ident $Batched:ident $params:tt $generics:tt $State:tt) => {};
    (
        @next $Type:ident $Batched:ident $params:tt $generics:tt $State:tt
        $(#[$doc:meta])*
        fn $name:ident $arguments:tt -> $Out:ty $(where {$($bound:tt)*})? $body:block
        $($rest:tt)*
    ) => {
        $crate::manager::operations::operations! {
            @method $Type $Batched $params $generics $State [$(#[$doc])*] $name $arguments [$Out] [$($($bound)*)?] $body
            [$Out] [] [$crate::message::decode::<$Out>]
        }
        $crate::manager::operations::operations! {
            @next $Type $Batched $params $generics $State $($rest)*
        }
    };
    (
        @next $Type:ident $Batched:ident $params:tt $generics:tt $State:tt
        $(#[$doc:meta])*
        try fn $name:ident $arguments:tt -> $Out:ty $(where {$($bound:tt)*})? $body:block
        $($rest:tt)*
    ) => {
        $crate::manager::operations::operations! {
            @method $Type $Batched $params $generics $State [$(#[$doc])*] $name $arguments [$Out] [$($($bound)*)?] $body
            [$crate::error::Result<$Out>] [?]
            [|bytes: &[u8]| $crate::message::decode::<$crate::error::Result<$Out>>(bytes)?]
        }
        $crate::manager::operations::operations! {
            @next $Type $Batched $params $generics $State $($rest)*
        }
    };
    // What the body gives, what makes `$Out` of the result of a call, and what reads `$Out` in a batch.
    (
        @method $Type:ident $Batched:ident [$($param:ident),*] [$($generics:tt)*] [$State:ty]
        [$($doc:tt)*] $name:ident ($state:ident $(, $arg:ident: $Arg:ty)*) [$Out:ty] [$($bound:tt)*] $body:block
        [$Gives:ty] [$($flat:tt)?] [$read:expr]
    ) => {
        const _: () = {
            #[allow(clippy::multiple_bound_locations, reason = "one list for all methods, and some have more")]
            fn run<$($generics)*>($state: &mut $State $(, $arg: $Arg)*) -> $Gives where $($bound)* $body

            impl<$($generics)*> $Type<$($param),*> {
                $($doc)*
                ///
                /// # Errors
                ///
                /// As [`Proxy::call`](crate::Proxy::call).
                pub fn $name(&self $(, $arg: impl $crate::message::Message<$Arg>)*) -> $crate::error::Result<$Out>
                where $($bound)*
                {
                    self.proxy.call(run::<$($param),*>, ($($arg,)*)) $($flat)?
                }
            }

            impl<$($generics)*> $Batched<'_, $($param),*> {
                #[doc = concat!("In the batch, [`", stringify!($Type), "::", stringify!($name), "`].")]
                pub fn $name(&mut self $(, $arg: impl $crate::message::Message<$Arg>)*)
                    -> $crate::manager::batch::Later<$Out>
                where $($bound)*
                {
                    self.proxy.call_later(self.batch, run::<$($param),*>, ($($arg,)*), $read)
                }
            }
        };
    };
}

/// What the handles of hosted collections have in common: making one, its clones, its way through messages, its limit of time; and
/// the type that has their methods in a batch.
macro_rules! collection {
    ($Type:ident<$($param:ident),*> [$($generics:tt)*], $Batched:ident, $State:ty, $in_batch:ident) => {
        impl<$($generics)*> $Type<$($param),*> {
            pub(super) fn of(proxy: $crate::manager::proxy::Proxy<$State>) -> Self {
                $Type { proxy }
            }

            /// The handle to the collection as what it is in the server, for [`call`](crate::Proxy::call).
            pub fn proxy(&self) -> &$crate::manager::proxy::Proxy<$State> {
                &self.proxy
            }

            /// Another handle to the same collection, each of whose calls waits at most `timeout` for its answer; see
            /// [`Proxy::with_timeout`](crate::Proxy::with_timeout).
            #[must_use = "the limit is that of the handle that is returned"]
            pub fn with_timeout(&self, timeout: ::std::time::Duration) -> Self {
                $Type { proxy: self.proxy.with_timeout(timeout) }
            }
        }

        impl<$($param),*> Clone for $Type<$($param),*> {
            fn clone(&self) -> Self {
                $Type { proxy: self.proxy.clone() }
            }
        }

        impl<$($param),*> ::serde::Serialize for $Type<$($param),*> {
            fn serialize<Serializer_: ::serde::Serializer>(
                &self,
                serializer: Serializer_,
            ) -> $crate::error::Result<Serializer_::Ok, Serializer_::Error> {
                self.proxy.serialize(serializer)
            }
        }

        impl<'de, $($param: 'static),*> ::serde::Deserialize<'de> for $Type<$($param),*> {
            fn deserialize<Deserializer_: ::serde::Deserializer<'de>>(
                deserializer: Deserializer_,
            ) -> $crate::error::Result<Self, Deserializer_::Error> {
                $crate::manager::proxy::Proxy::deserialize(deserializer).map(|proxy| $Type { proxy })
            }
        }

        /// Which object of which manager; asks nobody.
        impl<$($param),*> ::core::fmt::Debug for $Type<$($param),*> {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                f.debug_tuple(stringify!($Type)).field(&self.proxy).finish()
            }
        }

        #[doc = concat!("The methods of a [`", stringify!($Type), "`] in a batch: each gives a [`Later`](crate::Later).")]
        pub struct $Batched<'a, $($param),*> {
            batch: &'a mut $crate::manager::batch::Batch,
            proxy: &'a $crate::manager::proxy::Proxy<$State>,
        }

        impl<$($param),*> ::core::fmt::Debug for $Batched<'_, $($param),*> {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                f.debug_struct(stringify!($Batched)).field("batch", self.batch).field("of", self.proxy).finish()
            }
        }

        impl $crate::manager::batch::Batch {
            #[doc = concat!("The methods of a [`", stringify!($Type), "`] as parts of this batch.")]
            pub fn $in_batch<'a, $($param),*>(
                &'a mut self,
                of: &'a $Type<$($param),*>,
            ) -> $Batched<'a, $($param),*> {
                $Batched { batch: self, proxy: &of.proxy }
            }
        }
    };
}

pub(crate) use {collection, operations};
