//! `JoinableQueue`: tasks that come again until they are done.

mod deaths;
mod ends;
mod tasks;

use std::collections::BTreeMap;

use multiproc::JoinableQueue;

/// Takes everything there is and says that it is done; how often each was delivered before and now.
fn drain(queue: &JoinableQueue<u32>) -> BTreeMap<u32, u32> {
    let tasks = queue.try_iter().map(|task| {
        let task = task.unwrap();
        let told = (*task, task.attempt());
        task.done().unwrap();
        told
    });
    tasks.collect()
}
