//! What must agree at the end of a round, and what a process has.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;

use multiproc::{Result, Shared};

use super::ledger::{CHANNELS, Channel, Log};
use super::objects::Objects;

/// Bytes of shared memory in use that may come and go: what a victim had waits for the next sweep.
const SWING: u64 = 4 << 20;
/// The same of free blocks that keep their pages for the next who need some.
const POOL: u64 = 16 << 20;

/// Credits that the director gives at the end, for whoever waits for one.
pub(crate) const GIFT: u64 = 100;

/// A life that is over.
pub(crate) struct Past {
    pub(crate) life: u64,
    pub(crate) log: Shared<Log>,
    pub(crate) was_killed: bool,
}

/// What is wrong at the end of a round; nobody but the caller uses the objects.
pub(crate) fn faults(objects: &Objects, lives: &[Past]) -> Result<Vec<String>> {
    let (mut faults, mut left) = (Vec::new(), HashMap::new());
    while let Ok((id, _)) = objects.small.try_get() {
        *left.entry((Channel::Small as u64, id)).or_insert(0) += 1;
    }
    while let Ok(id) = objects
        .large
        .try_get_with(|bytes| u64::from_le_bytes(*bytes.first_chunk().expect("8 bytes")))
    {
        *left.entry((Channel::Large as u64, id)).or_insert(0) += 1;
    }
    while let Ok(task) = objects.tasks.try_get() {
        *left.entry((Channel::Tasks as u64, *task)).or_insert(0) += 1;
        task.done()?;
    }
    if objects.tasks.try_join().is_err() || !objects.tasks.failed()?.is_empty() {
        faults.push("tasks are missing that nobody has".into());
    }
    for past in lives {
        for entry in &past.log.got[..past.log.receipts.load(SeqCst) as usize] {
            *left.entry((entry[0].load(SeqCst), entry[1].load(SeqCst))).or_insert(0) += 1;
        }
    }
    for channel in CHANNELS {
        messages(channel, &left, lives, &mut faults);
    }
    sums(objects, lives, &mut faults)?;
    Ok(faults)
}

/// Each message came once, but for what victims had in hand.
fn messages(
    channel: Channel,
    came: &HashMap<(u64, u64), u64>,
    lives: &[Past],
    faults: &mut Vec<String>,
) {
    let at = channel as usize;
    let (mut missing, mut again) = (Vec::new(), Vec::new());
    let mut known = 0;
    for past in lives {
        let (begun, put) = (past.log.begun[at].load(SeqCst), past.log.put[at].load(SeqCst));
        for number in 1..=begun {
            let id = past.life << 32 | number;
            let times = came.get(&(at as u64, id)).copied().unwrap_or(0);
            known += times;
            match times {
                1 => {}
                0 if number > put && past.was_killed => {}
                0 => missing.push(id),
                _ => again.extend((1..times).map(|_| id)),
            }
        }
    }
    let killed = lives.iter().filter(|past| past.was_killed);
    let in_hand = killed.clone().filter(|past| past.log.taking[at].load(SeqCst) == 1).count();
    // A worker that was killed may have noted its task and not done it.
    let (may_miss, may_repeat) =
        if channel == Channel::Tasks { (0, killed.count()) } else { (in_hand, 0) };
    if missing.len() > may_miss {
        faults.push(format!(
            "{channel:?}: {} lost, {may_miss} were in hands: {missing:x?}",
            missing.len()
        ));
    }
    if again.len() > may_repeat {
        faults.push(format!("{channel:?}: {} twice, {may_repeat} may be: {again:x?}", again.len()));
    }
    let all: u64 =
        came.iter().filter(|((of, _), _)| *of == at as u64).map(|(_, times)| times).sum();
    if all != known {
        faults.push(format!("{channel:?}: {} that nobody put", all - known));
    }
}

/// What was counted in shared objects is what the actors counted, and one more or less for each victim.
fn sums(objects: &Objects, lives: &[Past], faults: &mut Vec<String>) -> Result<()> {
    let kills = lives.iter().filter(|past| past.was_killed).count() as u64;
    let sum = |of: fn(&Log) -> &AtomicU64| {
        lives.iter().map(|past| of(&past.log).load(SeqCst)).sum::<u64>()
    };
    let value = match objects.value.get() {
        Err(error) if error.is_owner_died() => {
            let guard = objects.value.recover()?;
            guard.iter().copied().max().unwrap_or(0)
        }
        value => value?[0],
    };
    let ledger = &objects.ledger;
    let pairs = [
        ("lock", ledger.locked[0].load(SeqCst), sum(|log| &log.locked), kills),
        ("value", value, sum(|log| &log.valued), kills),
        ("atomic", objects.number.load(), sum(|log| &log.added), kills),
        // A batch adds twice.
        (
            "manager",
            objects.total.call(|total: &mut u64| *total, ())?,
            sum(|log| &log.called),
            2 * kills,
        ),
        (
            "condition",
            ledger.credits.load(SeqCst) + sum(|log| &log.spent) + kills,
            sum(|log| &log.credited) + GIFT,
            2 * kills,
        ),
    ];
    for (what, found, least, more) in pairs {
        if found < least || found > least + more {
            faults.push(format!("{what}: {found}, not {least} to {}", least + more));
        }
    }
    if objects.one.available() != 1 || objects.two.available() != 2 {
        faults.push(format!("permits: {}, {}", objects.one.available(), objects.two.available()));
    }
    Ok(())
}

/// What the whole family has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Has {
    pub(crate) memory: u64,
    /// Of it in free blocks.
    pub(crate) pooled: u64,
    pub(crate) descriptors: usize,
    pub(crate) processes: usize,
    pub(crate) threads: usize,
}

impl Has {
    pub(crate) fn now() -> Has {
        let list = |path: &str| std::fs::read_dir(path).into_iter().flatten().flatten();
        let mut memory = 0;
        for entry in list("/proc/self/fd") {
            let target = std::fs::read_link(entry.path()).unwrap_or_default();
            if target.to_string_lossy().starts_with("/memfd:multiproc") {
                memory = std::fs::metadata(entry.path()).map_or(0, |data| data.blocks() * 512);
            }
        }
        let program = std::fs::read_link("/proc/self/exe").ok();
        let group = |stat: String| stat.rsplit_once(')')?.1.split(' ').nth(3).map(str::to_owned);
        let group = |path: &Path| std::fs::read_to_string(path.join("stat")).ok().and_then(group);
        // Orphans, too, and no other runs.
        let own = group(Path::new("/proc/self"));
        let is_one = |entry: &std::fs::DirEntry| {
            let path = entry.path();
            std::fs::read_link(path.join("exe")).ok() == program && group(&path) == own
        };
        Has {
            memory,
            pooled: multiproc::fuzzing::pooled(),
            descriptors: list("/proc/self/fd").count(),
            processes: list("/proc").filter(is_one).count(),
            threads: list("/proc/self/task").count(),
        }
    }

    /// Whether it is more than that, and not by chance.
    pub(crate) fn exceeds(&self, before: &Has) -> bool {
        let used = |has: &Has| has.memory.saturating_sub(has.pooled);
        used(self) > used(before) + SWING
            || self.pooled > before.pooled + POOL
            || self.descriptors > before.descriptors
            || self.processes > before.processes
            || self.threads > before.threads
    }
}

impl std::fmt::Display for Has {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Has { memory, pooled, descriptors, processes, threads } = self;
        let (memory, pooled) = (memory >> 10, pooled >> 10);
        write!(
            f,
            "{memory} KiB shared, {pooled} of them in free blocks, {descriptors} descriptors, {processes} processes, \
             {threads} threads"
        )
    }
}
