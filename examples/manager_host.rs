//! A value of the program's own type in a manager's server, two methods of which are called from three processes. Expect that no
//! deposit is lost, and that a panic in the server is an error of whoever caused it.

use multiproc::{Manager, Process, Proxy, Result};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Default)]
struct Bank {
    cents: u64,
    deposits: u32,
}

impl Bank {
    fn deposit(&mut self, cents: u64) -> u64 {
        self.deposits += 1;
        self.cents += cents;
        self.cents
    }

    fn report(&mut self) -> String {
        format!("{} deposits, {}.{:02} in all", self.deposits, self.cents / 100, self.cents % 100)
    }
}

fn customer(bank: Proxy<Bank>, cents: u64) -> Result<()> {
    for _ in 0..100 {
        bank.call(Bank::deposit, (cents,))?;
    }
    Ok(())
}

fn main() -> Result<()> {
    let manager = Manager::new()?;
    let bank = manager.host(Bank::default())?;
    let customers: Vec<_> =
        (1..=3).map(|n| Process::spawn(customer, (&bank, n * 50))).collect::<Result<_>>()?;
    for customer in customers {
        customer.join()??;
    }
    println!("{}", bank.call(Bank::report, ())?);

    // A closure does as well, if it captures nothing.
    let rob = |bank: &mut Bank, cents: u64| {
        bank.cents = bank.cents.checked_sub(cents).expect("that much")
    };
    let error = bank.call(rob, (1_000_000,)).unwrap_err();
    println!("the robber is told: {}", error.child().and_then(|it| it.message()).unwrap_or("?"));
    let error = bank.call(Bank::report, ()).unwrap_err();
    println!("the next one is told: {}", error.is_owner_died());
    bank.recover()?;
    println!("{}", bank.call(Bank::report, ())?);
    Ok(())
}
