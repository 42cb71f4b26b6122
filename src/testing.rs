//! Switches for this crate's own tests, behind the feature `testing`; not part of the public surface.
//!
//! Who uses the crate never has the feature: every question below is then answered by a constant, and the compiler removes
//! both the question and what hangs on it. The feature is turned on for the package's own tests by its dependency on itself
//! in `Cargo.toml`. The switches act on the calling process alone, and are read on slow paths only.
//!
//! What unit tests and integration tests both need stands here as well: `alone`.

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

static SLICES: AtomicBool = AtomicBool::new(true);
static SPIN: AtomicBool = AtomicBool::new(true);
static POLLING: AtomicBool = AtomicBool::new(false);
static BROKEN: AtomicU32 = AtomicU32::new(0);

/// A protocol broken on purpose, which the tests must catch. This is the one list of them: other places use the names, or
/// the numbers by [`Broken::numbered`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
#[cfg_attr(not(feature = "testing"), allow(unreachable_pub, reason = "public with the feature"))]
pub enum Broken {
    /// Unlocking a contended lock forgets that others sleep.
    UnlockStoresZero = 1,
    /// The keeper sees deaths and tells nobody.
    NoAlarm = 2,
    /// `put` never wakes a sleeping getter.
    NoWakeOnPut = 3,
    /// The keeper does not ring again when the last thread of a dead process is marked.
    NoSecondAlarm = 4,
    /// The keeper takes a slot that has another owner by now for one that lived on.
    NoReuseCheck = 5,
    /// The keeper rings once and does not ask who has heard it.
    NoRepeat = 6,
    /// Notifying clears WAITERS of an event count and leaves the count as it was.
    NotifyWithoutCount = 7,
    /// Nobody asks the system for threads that the kernel left unmarked.
    NoVanishedCheck = 8,
    /// A process is taken for gone as soon as its keeper is.
    GoneAtKeeper = 9,
    /// The keeper does not poll for changes that came without a wake.
    NoChangePoll = 10,
    /// A condition counts dead waiters.
    NotifiesTheDead = 11,
    /// A condition notes that it was notified and wakes nobody.
    NotifyRingsNobody = 12,
    /// A barrier does not ask who died.
    BarrierForgetsTheDead = 13,
    /// What a dead thread left half written is read as if it were whole.
    HalfWrittenIgnored = 14,
    /// Claims of the dead are forgotten, and nobody is told of them.
    DeadClaimsForgotten = 15,
    /// Whoever died with the lock of an object is taken for one that only read.
    DeadHoldersOnlyRead = 16,
}

#[cfg(feature = "testing")]
impl Broken {
    const ALL: [Self; 16] = [
        Self::UnlockStoresZero,
        Self::NoAlarm,
        Self::NoWakeOnPut,
        Self::NoSecondAlarm,
        Self::NoReuseCheck,
        Self::NoRepeat,
        Self::NotifyWithoutCount,
        Self::NoVanishedCheck,
        Self::GoneAtKeeper,
        Self::NoChangePoll,
        Self::NotifiesTheDead,
        Self::NotifyRingsNobody,
        Self::BarrierForgetsTheDead,
        Self::HalfWrittenIgnored,
        Self::DeadClaimsForgotten,
        Self::DeadHoldersOnlyRead,
    ];

    /// The variant with this number: how a process tells another one what to break.
    #[must_use]
    pub fn numbered(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|&broken| broken as u32 == number)
    }
}

/// Whether waits for a lock check again every 50 ms.
#[cfg(feature = "testing")]
pub fn set_slices(on: bool) {
    SLICES.store(on, Ordering::Relaxed);
}

/// Whether waits spin before they sleep.
#[cfg(feature = "testing")]
pub fn set_spin(on: bool) {
    SPIN.store(on, Ordering::Relaxed);
}

/// Whether to do as if the kernel had neither robust lists nor `futex_waitv`; before the first use of anything shared.
#[cfg(feature = "testing")]
pub fn set_polling(on: bool) {
    POLLING.store(on, Ordering::Relaxed);
}

/// Breaks one protocol in this process, or mends all.
#[cfg(feature = "testing")]
pub fn set_broken(broken: Option<Broken>) {
    BROKEN.store(broken.map_or(0, |broken| broken as u32), Ordering::Relaxed);
}

/// Runs the rest of a test in a run of the test binary of its own: no other test beside it, limits that are its alone, and
/// a world that nobody else uses. To be called with a closure written in the test function itself, by whose name the test
/// is found.
#[cfg(feature = "testing")]
#[track_caller]
pub fn alone<F: FnOnce()>(body: F) {
    const KEY: &str = "MULTIPROC_TEST_ALONE";
    if std::env::var_os(KEY).is_some() {
        return body();
    }
    let path = core::any::type_name::<F>();
    let (_, name) = path.split_once("::").unwrap_or_default();
    let name = name.strip_suffix("::{{closure}}").unwrap_or_default();
    let output = std::process::Command::new("/proc/self/exe")
        .args([name, "--exact", "--nocapture", "--test-threads=1"])
        .env(KEY, "1")
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap_or_else(|error| panic!("{name} alone: {error}"));
    let out = String::from_utf8_lossy(&output.stdout);
    let err = String::from_utf8_lossy(&output.stderr);
    let passed = output.status.success() && out.contains("1 passed");
    assert!(passed, "{name} alone: {}\n{out}\n{err}", output.status);
}

/// The step of a fork server at which it is to be killed, and how often it comes there before that.
#[derive(Debug)]
pub(crate) struct FatalStep {
    step: u32,
    left: AtomicU32,
}

impl FatalStep {
    pub(crate) fn is_now(&self, step: u32) -> bool {
        step == self.step && self.left.fetch_sub(1, Ordering::Relaxed) == 1
    }
}

/// What the environment says of it: `MULTIPROC_TEST_SERVER=2:3` for the third time at step 2.
pub(crate) fn fatal_step() -> Option<FatalStep> {
    if !cfg!(feature = "testing") {
        return None;
    }
    let text = std::env::var("MULTIPROC_TEST_SERVER").ok()?;
    let (step, times) = text.split_once(':')?;
    Some(FatalStep { step: step.parse().ok()?, left: AtomicU32::new(times.parse().ok()?) })
}

/// Whether the start-up hook is to do as if the linker had left it out: the environment has `MULTIPROC_TEST_NO_HOOK`.
pub(crate) fn skips_hook() -> bool {
    cfg!(feature = "testing") && std::env::var_os("MULTIPROC_TEST_NO_HOOK").is_some()
}

#[inline]
pub(crate) fn slices() -> bool {
    !cfg!(feature = "testing") || SLICES.load(Ordering::Relaxed)
}

#[inline]
pub(crate) fn spin() -> bool {
    !cfg!(feature = "testing") || SPIN.load(Ordering::Relaxed)
}

#[inline]
pub(crate) fn polling() -> bool {
    cfg!(feature = "testing") && POLLING.load(Ordering::Relaxed)
}

#[inline]
pub(crate) fn is_broken(broken: Broken) -> bool {
    cfg!(feature = "testing") && BROKEN.load(Ordering::Relaxed) == broken as u32
}
