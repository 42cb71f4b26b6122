//! What can run in another process: functions with their arguments, and tasks.
//!
//! A call names its parameter types twice, once in the function ([`Function<P>`]) and once in the arguments
//! ([`Arguments<P>`]), where `P` is the tuple of parameters. The number of arguments fixes the shape of `P`, the
//! function's signature fills it, and literals among the arguments take their types from there.
//!
//! Each argument becomes a message of its own, behind its length, so that forms without a length (text, bytes, numbers) can
//! stand side by side.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, ErrorKind, Result};
use crate::handle;
use crate::message::{self, Message, length};
use crate::world::world;

/// Shorter arguments are never too large for a message.
const LONG: usize = 64 << 10;

/// A function that [`Process::spawn`](crate::Process::spawn) can run: an `fn` item, or a closure that captures nothing.
///
/// `P` is the tuple of its parameters, up to eight, each of which implements serde's `Serialize` and `Deserialize` and
/// owns its data. The trait is sealed and implemented for every such function.
///
/// A closure that captures a variable is refused when the program is compiled, if the variable has a size. A captured value
/// *without* a size (a marker, a token) is not: the type system has no bound that tells such a closure from one that captures
/// nothing. It must at least be `Copy`. Do not capture one that stands for something about this process, such as "the library
/// is initialised here": in the child it would stand for something that never happened. Make it there, inside the closure.
///
/// ```compile_fail,E0277
/// struct Token; // not `Copy`
/// let token = Token;
/// let _ = multiproc::Process::spawn(move || drop(&token), ());
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be run in another process with these arguments",
    label = "expected a function with one parameter for each element of the argument tuple",
    note = "arguments are a tuple also when there is one of them: `(x,)`, and `()` when there is none",
    note = "each parameter must own its data and implement `serde::Deserialize`: `String`, not `&str`"
)]
pub trait Function<P>: Copy + Send + 'static {
    /// What the function returns.
    type Output;

    #[doc(hidden)]
    fn call(self, parameters: P, _: private::Token) -> Self::Output;
}

/// Arguments for parameters `P`: a tuple with one [`Message`] for each parameter.
///
/// The trait is sealed and implemented for tuples of up to eight.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no argument tuple for parameters `{P}`",
    note = "arguments are a tuple also when there is one of them: `(x,)`, and `()` when there is none"
)]
pub trait Arguments<P> {
    #[doc(hidden)]
    fn encode(&self, out: &mut Vec<u8>, _: private::Token) -> Result<()>;
}

/// Parameters as they come out of a message. Sealed; implemented for tuples of up to eight.
pub trait Parameters: Sized {
    #[doc(hidden)]
    fn decode(bytes: &[u8], _: private::Token) -> Result<Self>;
}

/// What a function brings back: a value with serde's traits, or nothing, as a function that never returns (`-> !`).
///
/// The trait is sealed and implemented for all such types. `Form` tells the two apart and is found by the compiler.
///
/// # Examples
///
/// ```compile_fail,E0277
/// fn read() -> std::io::Result<String> {
///     std::fs::read_to_string("/etc/hostname")
/// }
/// let _ = multiproc::Process::spawn(read, ());
/// ```
///
/// ```
/// fn read() -> multiproc::Result<String> {
///     Ok(std::fs::read_to_string("/proc/self/comm")?)
/// }
///
/// fn watch() -> ! {
///     loop {
///         std::thread::park();
///     }
/// }
///
/// # fn main() -> multiproc::Result<()> {
/// assert!(!multiproc::Process::spawn(read, ())?.join()??.is_empty());
/// let watcher = multiproc::Process::spawn(watch, ())?;
/// watcher.handle().kill()?;
/// # Ok(())
/// # }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be brought back from another process",
    label = "the result of the function must implement `serde::Serialize` and `serde::Deserialize` and own its data",
    note = "for your own type: `#[derive(serde::Serialize, serde::Deserialize)]`; for text: `String`, not `&str`",
    note = "`std::io::Error`, `anyhow::Error` and `Box<dyn Error>` do not travel: let the function return \
            `multiproc::Result<T>`, in which `?` takes an `io::Error`, and `.map_err(multiproc::Error::other)` takes any error"
)]
pub trait Outcome<Form>: Sized {
    #[doc(hidden)]
    fn put_down(&self, out: &mut Vec<u8>, _: private::Token) -> Result<()>;

    /// The bytes that `put_down` would copy, if it does nothing else.
    #[doc(hidden)]
    fn raw(&self, _: private::Token) -> Option<&[u8]> {
        None
    }

    #[doc(hidden)]
    fn take_up(bytes: &[u8], _: private::Token) -> Result<Self>;
}

impl<T: Serialize + DeserializeOwned> Outcome<private::Value> for T {
    fn put_down(&self, out: &mut Vec<u8>, _: private::Token) -> Result<()> {
        encode::<T, T>(self, out)
    }

    fn raw(&self, _: private::Token) -> Option<&[u8]> {
        message::raw::<T, T>(self)
    }

    fn take_up(bytes: &[u8], _: private::Token) -> Result<T> {
        message::decode(bytes)
    }
}

impl<T: private::Never> Outcome<private::Nothing> for T {
    fn put_down(&self, _: &mut Vec<u8>, _: private::Token) -> Result<()> {
        Ok(())
    }

    fn take_up(_: &[u8], _: private::Token) -> Result<T> {
        let text = "a function that never returns left a result: the call is damaged";
        Err(Error::of(ErrorKind::Corrupted, text))
    }
}

pub(crate) mod private {
    /// Cannot be named outside: the traits can be implemented and called only here.
    #[derive(Debug, Clone, Copy)]
    pub struct Token;

    /// A value comes back.
    #[derive(Debug)]
    pub struct Value;

    /// Nothing does.
    #[derive(Debug)]
    pub struct Nothing;

    /// The type of which there is no value, `!`, which stable Rust names only as what a function returns.
    pub trait Never {}

    /// What a function pointer returns.
    pub trait Returns {
        type Output;
    }

    impl<R> Returns for fn() -> R {
        type Output = R;
    }

    impl Never for <fn() -> ! as Returns>::Output {}
}

/// A task that carries its own data: what [`Process::run`](crate::Process::run) runs.
///
/// # Examples
///
/// ```
/// use multiproc::{Process, Result, Run};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Sum {
///     numbers: Vec<u64>,
/// }
///
/// impl Run for Sum {
///     type Output = u64;
///
///     fn run(self) -> u64 {
///         self.numbers.iter().sum()
///     }
/// }
///
/// # fn main() -> Result<()> {
/// let process = Process::run(Sum { numbers: vec![1, 2, 3] })?;
/// assert_eq!(process.join()?, 6);
/// # Ok(())
/// # }
/// ```
pub trait Run {
    /// What the task brings back.
    type Output;

    /// Does the work, in the other process.
    fn run(self) -> Self::Output;
}

/// Appends an argument or a result. The first of each type is read back, so that a type which cannot be brought back is an error of
/// the sender.
#[inline]
pub(crate) fn encode<T: DeserializeOwned, M: Message<T>>(
    item: &M,
    out: &mut Vec<u8>,
) -> Result<()> {
    let (start, handles) = (out.len(), handle::count_packed());
    message::encode::<T, M>(item, out)?;
    if message::raw(item).is_some() || handle::count_packed() != handles {
        // Without serde nothing can go wrong, and handles can be read only by the receiver.
        return Ok(());
    }
    message::verify_once::<T>(&out[start..]).inspect_err(|_| out.truncate(start))
}

/// Appends one argument, behind its length.
#[inline]
pub(crate) fn put<T: DeserializeOwned, M: Message<T>>(
    item: &M,
    at: usize,
    out: &mut Vec<u8>,
) -> Result<()> {
    if let Some(bytes) = message::raw(item) {
        if bytes.len() > LONG {
            // Known before it is copied.
            let checked = world().and_then(|world| world.memory.check_message(bytes.len()));
            checked.map_err(|error| about(at, error))?;
        }
        length::put(out, bytes.len() as u64);
        return encode::<T, M>(item, out).map_err(|error| about(at, error));
    }
    let start = length::begin(out);
    encode::<T, M>(item, out).map_err(|error| about(at, error))?;
    let len = length::since(out, start);
    length::end(out, start, len);
    Ok(())
}

/// Takes one argument off the front.
#[inline]
pub(crate) fn take<T: DeserializeOwned>(bytes: &mut &[u8], at: usize) -> Result<T> {
    let len = length::take(bytes);
    let item = len.and_then(|len| length::take_part(bytes, len)).ok_or_else(|| cut_off(at))?;
    message::decode(item).map_err(|error| about(at, error))
}

#[cold]
fn cut_off(at: usize) -> Error {
    Error::of(ErrorKind::Corrupted, format!("argument {at} is cut off"))
}

/// The same error, saying which argument it is about.
#[cold]
fn about(at: usize, error: Error) -> Error {
    Error::of(error.kind(), format!("argument {at}: {error}")).with_source(error)
}

macro_rules! functions {
    ($(($($P:ident $A:ident $at:literal),*);)*) => {$(
        impl<Function_, Output_, $($P),*> Function<($($P,)*)> for Function_
        where
            Function_: FnOnce($($P),*) -> Output_ + Copy + Send + 'static,
        {
            type Output = Output_;

            #[allow(non_snake_case)]
            fn call(self, ($($P,)*): ($($P,)*), _: private::Token) -> Output_ {
                self($($P),*)
            }
        }

        impl<$($P: DeserializeOwned, $A: Message<$P>),*> Arguments<($($P,)*)> for ($($A,)*) {
            #[allow(non_snake_case, unused_variables)]
            fn encode(&self, out: &mut Vec<u8>, _: private::Token) -> Result<()> {
                let ($($A,)*) = self;
                $(put::<$P, $A>($A, $at, out)?;)*
                Ok(())
            }
        }

        impl<$($P: DeserializeOwned),*> Parameters for ($($P,)*) {
            #[allow(unused_mut)]
            fn decode(mut bytes: &[u8], _: private::Token) -> Result<Self> {
                let parameters = ($(take::<$P>(&mut bytes, $at)?,)*);
                if bytes.is_empty() {
                    return Ok(parameters);
                }
                let text = format!("{} bytes are left behind the last argument", bytes.len());
                Err(Error::of(ErrorKind::Corrupted, text))
            }
        }
    )*};
}

functions! {
    ();
    (P1 A1 1);
    (P1 A1 1, P2 A2 2);
    (P1 A1 1, P2 A2 2, P3 A3 3);
    (P1 A1 1, P2 A2 2, P3 A3 3, P4 A4 4);
    (P1 A1 1, P2 A2 2, P3 A3 3, P4 A4 4, P5 A5 5);
    (P1 A1 1, P2 A2 2, P3 A3 3, P4 A4 4, P5 A5 5, P6 A6 6);
    (P1 A1 1, P2 A2 2, P3 A3 3, P4 A4 4, P5 A5 5, P6 A6 6, P7 A7 7);
    (P1 A1 1, P2 A2 2, P3 A3 3, P4 A4 4, P5 A5 5, P6 A6 6, P7 A7 7, P8 A8 8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use private::Token;

    fn through<F, P, A>(f: F, args: A) -> Result<F::Output>
    where
        F: Function<P>,
        P: Parameters,
        A: Arguments<P>,
    {
        let mut bytes = Vec::new();
        args.encode(&mut bytes, Token)?;
        Ok(f.call(P::decode(&bytes, Token)?, Token))
    }

    #[test]
    fn literals_take_the_types_of_the_parameters() {
        fn greet(name: String) -> String {
            format!("hello {name}")
        }
        fn mixed(a: u64, b: Vec<f64>, c: Option<i8>, d: &'static str) -> String {
            format!("{a} {b:?} {c:?} {d}")
        }
        let _ = mixed;
        assert_eq!(through(greet, ("Alice",)).unwrap(), "hello Alice");
        assert_eq!(through(|| 5, ()).unwrap(), 5);
        assert_eq!(through(|a: u64, b: Vec<u8>| a + b.len() as u64, (40, &[1, 2])).unwrap(), 42);
        assert_eq!(through(|text: String, more: String| text + &more, ("ab", "c")).unwrap(), "abc");
    }

    #[test]
    fn eight_arguments_keep_their_order() {
        let join =
            |a: u8, b: u8, c: u8, d: u8, e: u8, f: u8, g: u8, h: u8| [a, b, c, d, e, f, g, h];
        assert_eq!(through(join, (1, 2, 3, 4, 5, 6, 7, 8)).unwrap(), [1, 2, 3, 4, 5, 6, 7, 8]);
    }

    #[test]
    fn cut_or_stretched_bytes_are_errors() {
        let mut bytes = Vec::new();
        Arguments::<(String, u32)>::encode(&("xyz", 7), &mut bytes, Token).unwrap();
        assert_eq!(<(String, u32)>::decode(&bytes, Token).unwrap(), ("xyz".to_owned(), 7));
        for len in 0..bytes.len() {
            assert!(<(String, u32)>::decode(&bytes[..len], Token).is_err(), "{len}");
        }
        bytes.push(0);
        assert!(<(String, u32)>::decode(&bytes, Token).unwrap_err().is_corrupted());
        let error = <(String, u32)>::decode(&[0xff; 64], Token).unwrap_err();
        assert_eq!(error.to_string(), "argument 1 is cut off");
    }
}
