//! The deliberately broken variants, which the harness must catch: each must make somebody hang, or find what nobody may find.

use std::time::Duration;

use multiproc::testing::Broken;

use super::case::{Case, Finding, Stage};
use super::director::Settings;
use super::fates::Fate;
use super::scenarios::ALL;
use super::trouble::Trouble;

/// How long a survivor may take where a hang is what is looked for.
const SHORT: Duration = Duration::from_millis(250);

/// A variant.
#[derive(Debug)]
pub(crate) struct Variant {
    broken: Option<Broken>,
    pub(crate) name: &'static str,
    /// The scenarios that show it.
    shows: &'static [&'static str],
    fate: Fate,
    /// Whether somebody finds what nobody may find, and does not hang.
    misleads: bool,
}

impl Variant {
    const fn new(
        broken: Option<Broken>,
        name: &'static str,
        shows: &'static [&'static str],
        fate: Fate,
    ) -> Self {
        Self { broken, name, shows, fate, misleads: false }
    }

    /// One that makes nobody hang.
    const fn misleads(broken: Broken, name: &'static str, shows: &'static [&'static str]) -> Self {
        Self { broken: Some(broken), name, shows, fate: Fate::Kill, misleads: true }
    }

    fn is_shown_by(&self, finding: &Finding) -> bool {
        // Not those in which the victim had not even begun: these show nothing.
        finding.begun
            && match finding.trouble {
                Trouble::Hang(_) => !self.misleads,
                Trouble::Violation(_) => self.misleads,
                Trouble::Fault(_) => false,
            }
    }
}

/// All of them.
pub(crate) static BROKEN: [Variant; 13] = [
    Variant::new(
        Some(Broken::UnlockStoresZero),
        "unlock-stores-zero",
        &["lock_contended", "unlock_sleepers"],
        Fate::Kill,
    ),
    Variant::new(
        Some(Broken::NoAlarm),
        "no-alarm",
        &["lock_contended", "unlock_sleepers"],
        Fate::Kill,
    ),
    Variant::new(
        Some(Broken::NoWakeOnPut),
        "no-wake-on-put",
        &["get_empty", "put_wakes"],
        Fate::Kill,
    ),
    Variant::new(
        Some(Broken::NoSecondAlarm),
        "no-second-alarm",
        &["unlock_sleepers", "lock_contended", "put_full"],
        Fate::Late,
    ),
    // Nothing is broken but that bounded slices are off, as under the other fates.
    Variant::new(None, "no-slices", &["lock_contended"], Fate::Stop),
    Variant::new(Some(Broken::NoChangePoll), "no-change-poll", &["event_set"], Fate::Stop),
    Variant::new(
        Some(Broken::NotifiesTheDead),
        "notifies-the-dead",
        &["condition_wait"],
        Fate::Kill,
    ),
    Variant::new(
        Some(Broken::NotifyRingsNobody),
        "notify-rings-nobody",
        &["notify_one", "notify_all"],
        Fate::Stop,
    ),
    Variant::new(
        Some(Broken::BarrierForgetsTheDead),
        "barrier-forgets-the-dead",
        &["barrier_wait", "barrier_last"],
        Fate::Kill,
    ),
    Variant::new(Some(Broken::NoAlarm), "no-alarm-seen", &["lock_witness_alone"], Fate::Witness),
    Variant::misleads(
        Broken::HalfWrittenIgnored,
        "half-written-ignored",
        &["array_fill_lock_recovered", "array_copy_lock_recovered"],
    ),
    Variant::misleads(
        Broken::DeadClaimsForgotten,
        "dead-claims-forgotten",
        &["part_drop_claim", "part_claim"],
    ),
    Variant::misleads(Broken::DeadHoldersOnlyRead, "dead-holders-only-read", &["value_with_lock"]),
];

impl Variant {
    /// Plays the scenarios with this variant until it is seen: the finding, or what else was seen. `fixed`: every victim has
    /// everything at the same address.
    pub(crate) fn catch(&self, seed: u64, fixed: bool) -> Result<Finding, Vec<Finding>> {
        let mut others = Vec::new();
        for scenario in ALL.iter().filter(|one| self.shows.contains(&one.name)) {
            let settings =
                Settings { slices: false, spin: false, broken: self.broken, patience: SHORT };
            let mut case = Case::new(scenario, Stage::new(settings));
            if let Some(trace) = case.trace(false) {
                // What a sample misses is looked for everywhere.
                for point in
                    trace.sample(30, seed).into_iter().chain(trace.finer_and_finer().take(100))
                {
                    case.play_along(self.fate, point, fixed.then_some(&trace));
                    if !case.findings.is_empty() {
                        break;
                    }
                }
            }
            case.set(settings);
            for finding in case.findings {
                if self.is_shown_by(&finding) {
                    return Ok(finding);
                }
                others.push(finding);
            }
        }
        Err(others)
    }
}
