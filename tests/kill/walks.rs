//! Ways of processes that are no actors: the fork server's, its spare child's, a pool's worker's. Each is killed at points of its way,
//! while the harness is its parent and waits for what it does.

use super::remains::Changes;
use super::sampler::{Choice, Reach, spread};
use super::trouble::Outcome;
use super::{pool_worker, server_loop, spare_child, watch};

/// What came of a way.
#[derive(Default)]
pub(crate) struct Way {
    pub(crate) instructions: usize,
    /// At how many points it was cut short.
    pub(crate) points: usize,
    /// Whether those are all that differ.
    pub(crate) is_whole: bool,
    pub(crate) findings: Vec<String>,
}

pub(crate) type Walked = Outcome<Way>;

/// A way: its name, and what kills its process at points of it.
pub(crate) struct Walk {
    pub(crate) name: &'static str,
    pub(crate) run: fn(&str, Choice, u64) -> Walked,
    /// Points in a sample, at most: each costs all the steps before it.
    sample: usize,
    /// Without optimisation it has more instructions than are stepped.
    is_long: bool,
}

const WALK: Walk = Walk { name: "", run: server_loop::run, sample: 60, is_long: true };

/// All of them.
const WALKS: &[Walk] = &[
    Walk { name: "server_loop", is_long: false, ..WALK },
    Walk { name: "spare_child_forked", run: spare_child::run_forked, ..WALK },
    Walk { name: "spare_child_started", run: spare_child::run_started, sample: 8, ..WALK },
    Walk { name: "pool_worker", run: pool_worker::run, ..WALK },
];

/// Those that are gone in this build.
pub(crate) fn walks() -> impl Iterator<Item = &'static Walk> {
    WALKS.iter().filter(|walk| !walk.is_long || !cfg!(debug_assertions))
}

impl Walk {
    /// Which points are wanted.
    pub(crate) fn choice(&self, reach: Reach) -> Choice {
        match reach {
            Reach::Day => Choice::Sample(12),
            Reach::Operations => Choice::Different(self.sample),
            Reach::Changes => Choice::Different(usize::MAX),
            Reach::Instructions => Choice::Each,
        }
    }
}

/// Goes a way to its end, and then to the points of it that are wanted. `play` tells how many instructions it came to, and what they
/// changed.
pub(super) fn points(
    name: &str,
    choice: Choice,
    seed: u64,
    mut play: impl FnMut(usize, &mut Changes) -> Outcome<usize>,
) -> Walked {
    let mut findings = Vec::new();
    watch::doing(&format!("{name}: the whole way"));
    let is_asked = matches!(choice, Choice::Different(_));
    let mut changes = if is_asked { Changes::wanted() } else { Changes::default() };
    let len = play(usize::MAX, &mut changes)?;
    let steps: Vec<usize> = match choice {
        Choice::Sample(count) => spread(len + 1, count.min(len + 1), seed).collect(),
        Choice::Different(most) => changes.some(most, seed),
        Choice::Each => (0..=len).collect(),
    };
    for &step in &steps {
        watch::doing(&format!("{name}: after instruction {step}"));
        if let Err(trouble) = play(step, &mut Changes::default()) {
            findings.push(format!("after instruction {step}: {trouble:?}"));
        }
    }
    let is_whole =
        steps.len() >= changes.steps().len().max(1) && !matches!(choice, Choice::Sample(_));
    Ok(Way { instructions: len, points: steps.len(), is_whole, findings })
}
