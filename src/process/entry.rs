//! What stands for a function in the program's image, by which a child finds the one it is to run.
//!
//! [`Entry`] is a constant of the program's image for each function that some `spawn`, or some call to a manager's server,
//! names. Whoever calls says where it lies: its offset from the image's base. Whoever runs it believes the offset only if
//!
//! - E1 it runs the same image ([`image::identity`]; a server and those who call it are of one tree of processes, in which a
//!   child with another image runs no function);
//! - E2 the whole entry lies in one readable part of the main executable, and is aligned;
//! - E3 it starts with the two magic words of its sort ([`Target`]), and the checksum of the type id behind them is the one in
//!   the call.
//!
//! Nothing is called before all three hold, so a damaged call cannot jump: it is an error of `join`, or of the call.

#![allow(unsafe_code, reason = "entries by offset, a function without its value")]

use std::any::TypeId;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::mem::offset_of;

use super::function::private::Token;
use super::function::{Function, Outcome, Parameters};
use super::image::{self, Checksum};
use crate::error::{Error, ErrorKind, Result};
use crate::handle;
use crate::sys::image::NO_START;
use crate::world::World;

/// A sort of functions to which entries lead: each sort has magic words of its own, so that none is taken for another.
pub(crate) trait Target: Copy + 'static {
    /// How an entry of this sort begins.
    const MAGIC: [u64; 2];
}

/// Decodes the arguments, with the handles in them, runs the function, and puts down what it returns; the handles in that.
pub(super) type Trampoline = fn(handle::Claimed, &[u8], &mut Output<'_>) -> Result<handle::Parcel>;

/// Where the result of a function goes.
pub(crate) struct Output<'a> {
    /// It is appended here,
    pub(crate) bytes: &'a mut Vec<u8>,
    /// or goes here instead, if it is long and lies in memory as it travels: one copy less.
    pub(crate) long: Option<&'a mut PutLong<'a>>,
}

/// Takes the bytes of a long result.
pub(crate) type PutLong<'a> = dyn FnMut(&[u8]) -> Result<()> + 'a;

/// So many bytes are long.
const LONG: usize = 64 << 10;

/// What a function returned, as it travels, and the handles in it.
pub(super) struct Reply {
    pub(super) bytes: Vec<u8>,
    pub(super) handles: handle::Parcel,
}

impl Target for Trampoline {
    const MAGIC: [u64; 2] = [0x9c1f_27d0_6b3e_58a4, 0x41e6_b80d_f25a_937c];
}

const _: () = assert!(offset_of!(Entry<Trampoline>, magic) == 0);

/// What stands for one function in the image.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Entry<T> {
    magic: [u64; 2],
    function: TypeId,
    pub(crate) trampoline: T,
}

/// Carries the constant of one function.
struct EntryOf<F, P, O>(PhantomData<(F, P, O)>);

impl<F, P, O> EntryOf<F, P, O>
where
    F: Function<P, Output: Outcome<O>>,
    P: Parameters,
{
    const ENTRY: &'static Entry<Trampoline> =
        &Entry::leading_to(TypeId::of::<F>(), trampoline::<F, P, O>);
}

/// The checksum of a type id. No number that means the same in two builds, and the same in every process of one.
fn checksum(id: TypeId) -> u64 {
    let mut sum = Checksum::new();
    id.hash(&mut sum);
    sum.finish()
}

/// Takes a function that another process is to run: it has no bytes, so that process can make one for itself.
pub(crate) fn hand_over<F: Copy>(f: F) {
    const {
        assert!(
            size_of::<F>() == 0 && !std::mem::needs_drop::<F>(),
            "the function for another process captures something, or is a function pointer: another process \
             cannot see this one's variables. Name a `fn` item, or a closure that captures nothing, and \
             pass what it needs in the arguments: Process::spawn(|n: u64| n + 1, (n,))"
        );
    }
    // Nothing to drop, and nothing to keep: it moves.
    let _ = f;
}

/// The function that was given to [`hand_over`].
///
/// # Safety
///
/// A value of the very type `F` was given to [`hand_over`], in this process or in the one that made the call which is run.
pub(crate) unsafe fn taken_over<F: Copy + Send + 'static>() -> F {
    // SAFETY:
    // - `F` has no bytes (`hand_over` asserts it), so there is nothing to initialise, and a dangling aligned pointer is
    //   valid to read;
    // - a value of it existed, says the caller. It is `Copy`: this is a copy;
    // - `F` is Send and 'static, so the value may be used by another thread at any later time.
    unsafe { std::ptr::NonNull::<F>::dangling().read() }
}

impl Entry<Trampoline> {
    /// The entry of the function `f`, which is thereby moved into whatever process runs it.
    pub(super) fn of<F, P, O>(f: F) -> &'static Entry<Trampoline>
    where
        F: Function<P, Output: Outcome<O>>,
        P: Parameters,
    {
        hand_over(f);
        EntryOf::<F, P, O>::ENTRY
    }

    /// Runs the function with sealed arguments.
    pub(super) fn call(&self, world: &'static World, args: &[u8]) -> Result<Reply> {
        reply(world, args, |given, args, bytes| {
            (self.trampoline)(given, args, &mut Output { bytes, long: None })
        })
    }
}

impl<T: Target> Entry<T> {
    /// An entry for a function of this type.
    pub(crate) const fn leading_to(function: TypeId, trampoline: T) -> Entry<T> {
        Entry { magic: T::MAGIC, function, trampoline }
    }

    /// Where it lies in the image, and its checksum.
    ///
    /// # Errors
    ///
    /// `Unsupported` if the function, or this crate, is not part of the main executable, and on systems where it is not looked up.
    pub(crate) fn name(&'static self) -> Result<(u64, u64)> {
        if let Some(why) = NO_START {
            return Err(Error::of(ErrorKind::Unsupported, why));
        }
        let image = image::main();
        let outside = |what: &str| {
            Error::of(
                ErrorKind::Unsupported,
                format!(
                    "{what} is in a shared library and not in the main executable: a child runs the main executable \
                     and finds only what is linked into it; link it statically, or start the process from the program"
                ),
            )
        };
        if !image::is_of_this_crate(image) {
            return Err(outside("multiproc itself"));
        }
        let place = std::ptr::from_ref(self) as usize;
        if !image.holds(place, size_of::<Entry<T>>()) {
            return Err(outside("the function of the process"));
        }
        Ok((place.wrapping_sub(image.base) as u64, checksum(self.function)))
    }

    /// The entry at an offset that another process named.
    ///
    /// # Errors
    ///
    /// `Corrupted` if there is none with this checksum.
    pub(crate) fn find(offset: u64, sum: u64) -> Result<&'static Entry<T>> {
        let image = image::main();
        let wrong = |what: &str| {
            let text = format!(
                "the call names a function at offset {offset:#x} of the program, {what}: the call is damaged"
            );
            Err(Error::of(ErrorKind::Corrupted, text))
        };
        let Ok(offset) = usize::try_from(offset) else {
            return wrong("which is no address");
        };
        let place = image.base.wrapping_add(offset);
        if !place.is_multiple_of(align_of::<Entry<T>>())
            || !image.holds(place, size_of::<Entry<T>>())
        {
            return wrong("which is outside of it");
        }
        let entry = place as *const Entry<T>;
        // SAFETY:
        // - E2: the place is aligned and lies, whole, in a readable segment of this program, which stays mapped;
        // - the first field is a pair of integers, for which any bytes are a value;
        // - volatile, because the bytes may be somebody's variable if the offset is wrong; they are only compared.
        let magic = unsafe { entry.cast::<[u64; 2]>().read_volatile() };
        if magic != T::MAGIC {
            return wrong("where the program has no function to run");
        }
        // SAFETY: as above; behind the magic words stands a constant that the compiler made, and a type id
        // is a plain number in any case.
        let function = unsafe {
            entry.wrapping_byte_add(offset_of!(Entry<T>, function)).cast::<TypeId>().read_volatile()
        };
        if checksum(function) != sum {
            return wrong("where the program has another function");
        }
        // SAFETY:
        // - E1 to E3: same image, inside of it, magic words and type id of the entry that the caller named;
        // - so this is a constant of the program of this very sort: initialised, never written, alive as long as the program;
        // - the caller's bytes chose which entry it is, and nothing else: the pointer in it is the program's own.
        Ok(unsafe { &*entry })
    }
}

/// Opens sealed arguments, runs the function, and seals what it returned.
pub(super) fn reply(
    world: &'static World,
    args: &[u8],
    run: impl FnOnce(handle::Claimed, &[u8], &mut Vec<u8>) -> Result<handle::Parcel>,
) -> Result<Reply> {
    let (args, given) = handle::open(world, args)?;
    let mut bytes = Vec::new();
    let handles = run(given, args, &mut bytes)?;
    handle::seal(&mut bytes, &handles);
    Ok(Reply { bytes, handles })
}

/// The child's half of one call: everything that depends on its types.
fn trampoline<F, P, O>(
    given: handle::Claimed,
    args: &[u8],
    out: &mut Output<'_>,
) -> Result<handle::Parcel>
where
    F: Function<P, Output: Outcome<O>>,
    P: Parameters,
{
    let parameters = handle::unpack(given, || P::decode(args, Token))?;
    // SAFETY: `Entry::of` handed one over before anyone could name this trampoline, in the process that made this call.
    let f = unsafe { taken_over::<F>() };
    let output = f.call(parameters, Token);
    if let Some(put) = &mut out.long
        && let Some(bytes) = output.raw(Token).filter(|bytes| bytes.len() >= LONG)
    {
        return put(bytes).map(|()| handle::Parcel::default());
    }
    put_down(&output, out.bytes)
}

/// Appends what a function returned; the handles in it.
pub(super) fn put_down<R: Outcome<O>, O>(output: &R, out: &mut Vec<u8>) -> Result<handle::Parcel> {
    let ((), handles) = handle::pack(|| output.put_down(out, Token))?;
    Ok(handles)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn double(n: u64) -> u64 {
        2 * n
    }

    fn triple(n: u64) -> u64 {
        3 * n
    }

    #[test]
    fn a_function_is_found_by_its_name_and_no_other() {
        let entry = Entry::of(double);
        let (offset, sum) = entry.name().unwrap();
        let found = Entry::<Trampoline>::find(offset, sum).unwrap();
        assert_eq!(found.trampoline as usize, entry.trampoline as usize);
        let other = Entry::of(triple).name().unwrap();
        assert_ne!(other, (offset, sum));
        assert!(Entry::<Trampoline>::find(other.0, sum).unwrap_err().is_corrupted());
    }

    #[test]
    fn a_damaged_name_is_an_error() {
        let (offset, sum) = Entry::of(double).name().unwrap();
        for bit in 0..64 {
            assert!(
                Entry::<Trampoline>::find(offset ^ (1 << bit), sum).unwrap_err().is_corrupted()
            );
            assert!(
                Entry::<Trampoline>::find(offset, sum ^ (1 << bit)).unwrap_err().is_corrupted()
            );
        }
        let code = (double as fn(u64) -> u64 as usize).wrapping_sub(image::main().base);
        assert!(Entry::<Trampoline>::find(code as u64 & !15, sum).unwrap_err().is_corrupted());
        for offset in [u64::MAX, u64::MAX - 7, 1 << 63] {
            assert!(Entry::<Trampoline>::find(offset, sum).unwrap_err().is_corrupted());
        }
    }

    #[test]
    fn every_place_of_the_image_can_be_asked_for() {
        let sum = checksum(TypeId::of::<u8>());
        let image = image::main();
        for part in image.segments.iter().filter(|part| part.readable) {
            for place in (part.start..part.start + part.len).step_by(4096 / 8 * 8 + 8) {
                assert!(
                    Entry::<Trampoline>::find(place.wrapping_sub(image.base) as u64, sum).is_err()
                );
            }
        }
    }
}
