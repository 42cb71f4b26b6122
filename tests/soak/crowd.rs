//! One pool through all rounds: a thread that gives it tasks while its workers are killed.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::SeqCst;
use std::thread::JoinHandle;

use multiproc::{Error, Pool, Result};

use super::director::State;
use super::ledger::{count, now};

/// Tasks in a call.
const TASKS: u64 = 200;

fn square(x: u64) -> u64 {
    x * x
}

fn is_killed(error: &Error) -> bool {
    error.child().and_then(|child| child.signal()) == Some(9)
}

/// The pool, and the thread that uses it until `is_over`.
pub(crate) fn start(
    state: &'static State,
    is_over: &'static AtomicBool,
) -> (Arc<Pool>, JoinHandle<Result<()>>) {
    let pool = Arc::new(Pool::with_workers(2).expect("a pool"));
    let used = Arc::clone(&pool);
    let user = std::thread::spawn(move || {
        while !is_over.load(SeqCst) {
            state.pool_since.store(now(), SeqCst);
            match used.map(square, 0..TASKS) {
                Ok(squares) => {
                    assert!(squares.into_iter().eq((0..TASKS).map(square)), "wrong squares")
                }
                Err(error) if is_killed(&error) => {}
                Err(error) => return Err(error),
            }
            for (x, found) in (0..).zip(used.chunk_size(7).imap(square, 0..TASKS)) {
                match found {
                    Ok(found) => assert_eq!(found, square(x)),
                    Err(error) if is_killed(&error) => {}
                    Err(error) => return Err(error),
                }
            }
            count(&state.pool_calls);
        }
        Ok(())
    });
    (pool, user)
}
