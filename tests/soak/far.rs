//! What is done in other processes: calls of a manager, processes that are started.

use multiproc::{Pool, Process, Result, StartMethod};

use super::actor::Actor;
use super::ledger::count;

fn add(total: &mut u64) -> u64 {
    *total += 1;
    *total
}

pub(crate) fn call(actor: &mut Actor) -> Result<()> {
    let objects = &actor.objects;
    if actor.chance.below(8) == 0 {
        let two = objects.manager.batch(|batch| {
            [batch.call(&objects.total, add, ()), batch.call(&objects.total, add, ())]
        })?;
        for one in two {
            one.get()?;
            count(&actor.log.called);
        }
        return Ok(());
    }
    objects.total.call(add, ())?;
    count(&actor.log.called);
    Ok(())
}

pub(crate) fn dict(actor: &mut Actor) -> Result<()> {
    let dict = &actor.objects.dict;
    let key = actor.chance.below(8);
    match actor.chance.below(3) {
        0 => drop(dict.insert(key, vec![key as u8; 1 + actor.chance.below(9000) as usize])?),
        1 => drop(dict.remove(key)?),
        _ => {
            let found = dict.get(key)?.unwrap_or_default();
            assert!(found.iter().all(|byte| u64::from(*byte) == key), "torn");
        }
    }
    Ok(())
}

pub(crate) fn process(actor: &mut Actor) -> Result<()> {
    let method =
        if actor.chance.below(2) == 0 { StartMethod::Spawn } else { StartMethod::ForkServer };
    let number = actor.chance.below(1000);
    let child =
        Process::builder().start_method(method).spawn(|number: u64| number * 2, (number,))?;
    assert_eq!(child.join()?, number * 2);
    Ok(())
}

/// A pool that is there for one call, and goes with its process.
pub(crate) fn pool(actor: &mut Actor) -> Result<()> {
    let pool = Pool::with_workers(2)?;
    let most = actor.chance.below(50);
    let found = pool.map(|number: u64| number * 3, 0..most)?;
    assert!(found.into_iter().eq((0..most).map(|number| number * 3)), "wrong results of a pool");
    Ok(())
}
