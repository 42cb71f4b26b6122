//! What can run on an object in a server.

use crate::error::Result;
use crate::message::Message;
use crate::process::private::Token;
use crate::process::{Arguments, Parameters, put_argument, take_argument};
use serde::de::DeserializeOwned;

/// A function that can run on an object of type `S` in a manager's server: an `fn` item, or a closure that captures nothing. Its
/// first parameter is `&mut S`.
///
/// `P` is the tuple of its other parameters, up to seven, each of which implements serde's `Serialize` and `Deserialize` and owns
/// its data. The trait is sealed and implemented for every such function. What it returns travels, too, and cannot borrow from the
/// object.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be run on a `{S}` in a manager's server with these arguments",
    label = "expected a function of `&mut {S}` with one more parameter for each element of the argument tuple",
    note = "a closure must say the types of its parameters: `|state: &mut Vec<u32>, n: u32| state.push(n)`",
    note = "arguments are a tuple also when there is one of them: `(x,)`, and `()` when there is none"
)]
pub trait Method<S, P>: Copy + Send + 'static {
    /// What the function returns.
    type Output;

    #[doc(hidden)]
    fn call(self, state: &mut S, parameters: P, _: Token) -> Self::Output;
}

macro_rules! methods {
    ($(($($P:ident),*);)*) => {$(
        impl<Function_, Output_, State_, $($P),*> Method<State_, ($($P,)*)> for Function_
        where
            Function_: FnOnce(&mut State_ $(, $P)*) -> Output_ + Copy + Send + 'static,
        {
            type Output = Output_;

            #[allow(non_snake_case)]
            fn call(self, state: &mut State_, ($($P,)*): ($($P,)*), _: Token) -> Output_ {
                self(state $(, $P)*)
            }
        }
    )*};
}

methods! {
    ();
    (P1);
    (P1, P2);
    (P1, P2, P3);
    (P1, P2, P3, P4);
    (P1, P2, P3, P4, P5);
    (P1, P2, P3, P4, P5, P6);
    (P1, P2, P3, P4, P5, P6, P7);
}

/// Parameters with one more in front, which says of what part of an object the rest is to be done.
pub(super) struct Behind<K, P>(pub(super) K, pub(super) P);

impl<K: DeserializeOwned, P: Parameters> Parameters for Behind<K, P> {
    fn decode(mut bytes: &[u8], token: Token) -> Result<Behind<K, P>> {
        let first = take_argument(&mut bytes, 1)?;
        Ok(Behind(first, P::decode(bytes, token)?))
    }
}

/// The arguments for [`Behind`].
pub(super) struct Front<M, A>(pub(super) M, pub(super) A);

impl<K: DeserializeOwned, P, M: Message<K>, A: Arguments<P>> Arguments<Behind<K, P>>
    for Front<M, A>
{
    fn encode(&self, out: &mut Vec<u8>, token: Token) -> Result<()> {
        put_argument::<K, M>(&self.0, 1, out)?;
        self.1.encode(out, token)
    }
}
