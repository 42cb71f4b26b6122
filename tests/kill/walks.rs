//! Ways of processes that are no actors: the fork server's, its spare child's, a pool's worker's. Each is killed at points of its way,
//! while the harness is its parent and waits for what it does.

use super::trouble::Outcome;
use super::{pool_worker, server_loop, spare_child, watch};

/// How many instructions a way has, at how many points it was cut short, and what was found wrong.
pub(crate) type Walked = Outcome<(usize, usize, Vec<String>)>;

/// A way: its name, and what kills its process at so many points of it, the first of which chance says.
pub(crate) struct Walk {
    pub(crate) name: &'static str,
    pub(crate) run: fn(&str, usize, u64) -> Walked,
    /// Points in a sample, and at most: each costs all the steps before it, for which some ways are too long to be tried often, or at
    /// every instruction.
    pub(crate) sample: usize,
    pub(crate) most: usize,
    /// Without optimisation it has more instructions than are stepped.
    is_long: bool,
}

const WALK: Walk =
    Walk { name: "", run: server_loop::run, sample: 60, most: usize::MAX, is_long: true };

/// All of them.
const WALKS: &[Walk] = &[
    Walk { name: "server_loop", is_long: false, ..WALK },
    Walk { name: "spare_child_forked", run: spare_child::run_forked, ..WALK },
    Walk {
        name: "spare_child_started",
        run: spare_child::run_started,
        sample: 12,
        most: 2000,
        ..WALK
    },
    Walk { name: "pool_worker", run: pool_worker::run, ..WALK },
];

/// Those that are gone in this build.
pub(crate) fn walks() -> impl Iterator<Item = &'static Walk> {
    WALKS.iter().filter(|walk| !walk.is_long || !cfg!(debug_assertions))
}

/// Goes a way to its end, and then to `count` points of it, or to all. `play` tells how many instructions it came to.
pub(super) fn points(
    name: &str,
    count: usize,
    seed: u64,
    mut play: impl FnMut(usize) -> Outcome<usize>,
) -> Walked {
    let mut findings = Vec::new();
    watch::doing(&format!("{name}: the whole way"));
    let len = play(usize::MAX)?;
    let count = count.min(len + 1);
    for index in 0..count {
        let gap = (len / count).max(1);
        let step = (index * len / count + seed as usize % gap).min(len);
        watch::doing(&format!("{name}: after instruction {step}"));
        if let Err(trouble) = play(step) {
            findings.push(format!("after instruction {step}: {trouble:?}"));
        }
    }
    Ok((len, count, findings))
}
