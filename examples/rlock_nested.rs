//! A function that locks calls another one that locks the same: with an `RLock` both may, in four processes at once.
//!
//! Expect the depth of each step, and a balance that is right in the end.

use multiproc::{Process, Queue, RLock, Result};
use serde::{Deserialize, Serialize};

#[derive(Clone, Serialize, Deserialize)]
struct Account {
    lock: RLock,
    balance: Queue<i64>,
}

impl Account {
    fn add(&self, amount: i64) -> Result<u32> {
        let _guard = self.lock.lock()?;
        let balance = self.balance.get()?;
        self.balance.put(balance + amount)?;
        Ok(self.lock.depth())
    }

    /// Calls `add` twice; nobody else comes in between.
    fn swap(&self, amount: i64) -> Result<u32> {
        let _guard = self.lock.lock()?;
        self.add(-amount)?;
        self.add(amount)
    }
}

fn work(account: Account) -> Result<()> {
    for amount in 0..1000 {
        account.swap(amount)?;
        account.add(1)?;
    }
    Ok(())
}

fn main() -> Result<()> {
    let account = Account { lock: RLock::new()?, balance: Queue::new()? };
    account.balance.put(0)?;
    println!("free: depth {}", account.lock.depth());
    println!("add: depth {}", account.add(0)?);
    println!("add inside swap: depth {}", account.swap(5)?);
    let workers: Vec<_> =
        (0..4).map(|_| Process::spawn(work, (&account,))).collect::<Result<_>>()?;
    for worker in workers {
        worker.join()??;
    }
    println!("free again: depth {}", account.lock.depth());
    println!("balance after 4 times 1000: {}", account.balance.get()?);
    Ok(())
}
