//! What a server can be told to do, each by an entry in the program's image.

#![allow(unsafe_code, reason = "a function without its value")]

use super::method::Method;
use super::request::Calls;
use super::server::{Command, Server};
use super::share::Given;
use super::table::HostedObject;
use crate::error::Error;
use crate::message;
use crate::process::private::Token;
use crate::process::{Entry, Function, Parameters, encode_result, hand_over, taken_over};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::any::TypeId;
use std::marker::PhantomData;

/// Carries the constant of one function.
struct EntryOf<S, F, P>(PhantomData<(S, F, P)>);

/// Tells entries of different use apart, though they name the same function.
struct Call<S, F>(PhantomData<(S, F)>);
struct Host<S, F>(PhantomData<(S, F)>);
struct Recover;
struct List;
struct Shutdown;

impl<S, F, P> EntryOf<S, F, P>
where
    S: 'static,
    F: Method<S, P, Output: Serialize + DeserializeOwned>,
    P: Parameters,
{
    const CALL: &'static Entry<Command> =
        &Entry::leading_to(TypeId::of::<Call<S, F>>(), call::<S, F, P> as Command);
}

impl<S, F, P> EntryOf<S, F, P>
where
    S: 'static,
    F: Function<P, Output = S>,
    P: Parameters,
{
    const HOST: &'static Entry<Command> =
        &Entry::leading_to(TypeId::of::<Host<S, F>>(), host::<S, F, P> as Command);
}

/// Runs `f` on an object that is an `S`.
pub(super) fn to_call<S, F, P>(f: F) -> &'static Entry<Command>
where
    S: 'static,
    F: Method<S, P, Output: Serialize + DeserializeOwned>,
    P: Parameters,
{
    hand_over(f);
    EntryOf::<S, F, P>::CALL
}

/// Hosts what `f` makes.
pub(super) fn to_host<S, F, P>(f: F) -> &'static Entry<Command>
where
    S: 'static,
    F: Function<P, Output = S>,
    P: Parameters,
{
    hand_over(f);
    EntryOf::<S, F, P>::HOST
}

/// Takes the mark of a panic off an object.
pub(super) const TO_RECOVER: &Entry<Command> =
    &Entry::leading_to(TypeId::of::<Recover>(), recover as Command);

/// Says which objects there are.
pub(super) const TO_LIST: &Entry<Command> =
    &Entry::leading_to(TypeId::of::<List>(), list as Command);

/// Ends the server.
pub(super) const TO_SHUT_DOWN: &Entry<Command> =
    &Entry::leading_to(TypeId::of::<Shutdown>(), shut_down as Command);

fn call<S, F, P>(server: &Server, object: u64, calls: &mut Calls<'_>)
where
    S: 'static,
    F: Method<S, P, Output: Serialize + DeserializeOwned>,
    P: Parameters,
{
    let hosted = server.table.find(object);
    calls.each(|args, out| {
        let parameters = P::decode(args, Token)?;
        // SAFETY: `to_call` handed one over before anyone could name this command, in the process that made this call.
        let f = unsafe { taken_over::<F>() };
        let hosted = hosted.as_ref().map_err(Error::again)?;
        let output = hosted.with(|state: &mut S| f.call(state, parameters, Token))?;
        encode_result::<F::Output, _>(&output, out)
    });
}

fn host<S, F, P>(server: &Server, _: u64, calls: &mut Calls<'_>)
where
    S: 'static,
    F: Function<P, Output = S>,
    P: Parameters,
{
    calls.each(|args, out| {
        let parameters = P::decode(args, Token)?;
        // SAFETY: `to_host` handed one over before anyone could name this command, in the process that made this call.
        let f = unsafe { taken_over::<F>() };
        let reference = server.table.add(f.call(parameters, Token))?;
        let given = Given(&reference);
        message::encode::<Given<'_>, _>(&given, out)
    });
}

fn recover(server: &Server, object: u64, calls: &mut Calls<'_>) {
    calls.each(|_, _| server.table.recover(object));
}

fn list(server: &Server, _: u64, calls: &mut Calls<'_>) {
    calls.each(|_, out| message::encode::<Vec<HostedObject>, _>(&server.table.list(), out));
}

fn shut_down(server: &Server, _: u64, calls: &mut Calls<'_>) {
    calls.each(|_, _| {
        server.end_soon();
        Ok(())
    });
}
