//! Calls: what goes through and what comes back, from threads and from processes.

use std::thread;
use std::time::{Duration, Instant};

use multiproc::{Dict, ErrorKind, Event, Manager, Process, Proxy, Queue, Result};
use serde::{Deserialize, Serialize};

use crate::common::{LONG, kind};
use crate::watchdog::watch;

#[derive(Serialize, Deserialize, Default)]
struct Account {
    cents: i64,
    log: Vec<String>,
}

impl Account {
    fn pay(&mut self, who: String, cents: i64) -> i64 {
        self.log.push(who);
        self.cents += cents;
        self.cents
    }
}

#[test]
fn methods_and_closures_run_on_the_one_value() {
    let _watch = watch();
    let manager = Manager::new().unwrap();
    let account = manager.host(Account::default()).unwrap();
    assert_eq!(account.call(Account::pay, ("Ada", 5)).unwrap(), 5);
    let pay = |account: Proxy<Account>| account.call(Account::pay, ("Bob", 7));
    assert_eq!(Process::spawn(pay, (&account,)).unwrap().join().unwrap().unwrap(), 12);
    let log = account.call(|account: &mut Account| account.log.clone(), ()).unwrap();
    assert_eq!(log, ["Ada", "Bob"]);
    let many = |n: &mut u64, a: u64, b: u64, c: u64, d: u64, e: u64, f: u64, g: u64| {
        *n += a + b + c + d + e + f + g;
        *n
    };
    let number = manager.host(1_u64).unwrap();
    assert_eq!(number.call(many, (1, 2, 3, 4, 5, 6, 7)).unwrap(), 29);
}

/// Calls by eight threads on one handle, each of which must get the answer to its own question.
#[test]
fn threads_on_one_handle_get_their_own_answers() {
    let _watch = watch();
    const THREADS: u64 = 8;
    const CALLS: u64 = 100_000;
    let manager = Manager::new().unwrap();
    let total = manager.host(0_u64).unwrap();
    thread::scope(|scope| {
        for number in 0..THREADS {
            let total = &total;
            scope.spawn(move || {
                for n in 0..CALLS / THREADS {
                    let question = number << 32 | n;
                    let ask = |total: &mut u64, question: u64| {
                        *total += 1;
                        question
                    };
                    assert_eq!(total.call(ask, (question,)).unwrap(), question);
                }
            });
        }
    });
    assert_eq!(total.call(|total: &mut u64| *total, ()).unwrap(), CALLS);
}

fn fill(dict: Dict<u64, u64>, total: Proxy<u64>, from: u64, to: u64) -> Result<()> {
    for n in from..to {
        assert_eq!(dict.insert(n, n * n)?, None);
        assert_eq!(dict.get(n)?, Some(n * n));
        total.call(|total: &mut u64, n: u64| *total += n, (n,))?;
    }
    Ok(())
}

#[test]
fn processes_fill_one_dict_and_no_change_is_lost() {
    let _watch = watch();
    let manager = Manager::new().unwrap();
    let (dict, total) = (manager.dict::<u64, u64>().unwrap(), manager.host(0_u64).unwrap());
    let workers: Vec<_> = (0..4)
        .map(|n| Process::spawn(fill, (&dict, &total, n * 500, (n + 1) * 500)).unwrap())
        .collect();
    workers.into_iter().for_each(|worker| worker.join().unwrap().unwrap());
    assert_eq!(dict.len().unwrap(), 2000);
    let sum: u64 = dict.values().unwrap().iter().sum();
    assert_eq!(sum, (0..2000).map(|n| n * n).sum());
    assert_eq!(total.call(|total: &mut u64| *total, ()).unwrap(), 1999 * 1000);
}

#[test]
fn large_values_go_both_ways() {
    let _watch = watch();
    const LEN: usize = 100 << 20;
    let manager = Manager::new().unwrap();
    let dict = manager.dict::<String, String>().unwrap();
    let large = "x".repeat(LEN);
    dict.insert("large", &large).unwrap();
    dict.insert("small", "y").unwrap();
    assert!(dict.get("large").unwrap().unwrap() == large);
    assert!(dict.remove("large").unwrap().unwrap() == large);
    assert_eq!(dict.keys().unwrap(), ["small"]);
    // In either direction alone, through the forms past serde, and at the borders of messages of several sizes.
    let bytes = manager.host(Vec::<u8>::new()).unwrap();
    for len in [0, 1, 4000, 4096, 4097, 16 << 10, (16 << 10) + 1, 64 << 10, 1 << 20] {
        bytes.call(|bytes: &mut Vec<u8>, new: Vec<u8>| *bytes = new, (vec![3; len],)).unwrap();
        assert_eq!(bytes.call(|bytes: &mut Vec<u8>| bytes.clone(), ()).unwrap(), vec![3; len]);
    }
}

#[test]
fn a_function_makes_what_does_not_travel() {
    let _watch = watch();
    let manager = Manager::new().unwrap();
    let open = |path: String| std::fs::File::open(path).unwrap();
    let file = manager.host_with(open, ("/proc/self/comm",)).unwrap();
    let read = |file: &mut std::fs::File| std::io::read_to_string(file).unwrap();
    assert!(!file.call(read, ()).unwrap().is_empty());
    let error = manager.host_with(open, ("/no/such/file",)).unwrap_err();
    assert!(error.child().unwrap().message().unwrap().contains("No such file"), "{error}");
    assert_eq!(manager.objects().unwrap().len(), 1);
}

/// The server works on one call; another one waits for it no longer than it is willing to.
#[test]
fn a_call_gives_up_after_its_time_and_disturbs_nobody() {
    let _watch = watch();
    let manager = Manager::new().unwrap();
    let (begun, go_on) = (Event::new().unwrap(), Event::new().unwrap());
    let number = manager.host(1_u32).unwrap();
    thread::scope(|scope| {
        let slow = scope.spawn(|| {
            let wait = |number: &mut u32, begun: Event, go_on: Event| {
                begun.set();
                go_on.wait().unwrap();
                *number
            };
            number.call(wait, (&begun, &go_on))
        });
        begun.wait().unwrap();
        let hasty = number.with_timeout(Duration::from_millis(10));
        let double = |number: &mut u32| *number *= 2;
        let before = Instant::now();
        assert_eq!(kind(hasty.call(double, ())), ErrorKind::Timeout);
        assert!(before.elapsed() < LONG);
        assert_eq!(kind(manager.with_timeout(Duration::ZERO).objects()), ErrorKind::Timeout);
        assert!(format!("{:?}", &manager).contains("timed out"), "Debug does not wait long");
        go_on.set();
        assert_eq!(slow.join().unwrap().unwrap(), 1);
    });
    // It was done all the same, once, and nobody got an answer that was not his.
    assert_eq!(number.call(|number: &mut u32| *number, ()).unwrap(), 2);
}

#[test]
fn shared_objects_are_values_like_others() {
    let _watch = watch();
    let manager = Manager::new().unwrap();
    let queues = manager.dict::<String, Queue<u32>>().unwrap();
    queues.insert("jobs", Queue::new().unwrap()).unwrap();
    let work = |queues: Dict<String, Queue<u32>>| {
        let jobs = queues.get("jobs")?.unwrap();
        jobs.put(123)
    };
    Process::spawn(work, (&queues,)).unwrap().join().unwrap().unwrap();
    assert_eq!(queues.get("jobs").unwrap().unwrap().get().unwrap(), 123);

    // A lock guards what it guards, in whatever process it was fetched.
    let locks = manager.list::<multiproc::Lock>().unwrap();
    let lock = multiproc::Lock::new().unwrap();
    locks.push(&lock).unwrap();
    let guard = lock.lock().unwrap();
    let fetched = locks.get(0).unwrap().unwrap();
    let is_locked = |lock: multiproc::Lock| lock.try_lock().is_err_and(|error| error.is_busy());
    assert!(Process::spawn(is_locked, (fetched,)).unwrap().join().unwrap());
    drop(guard);

    // An end of a pipe has one owner: it moves into the list, and out again.
    let (mut sender, receiver) = multiproc::Pipe::simplex::<String>().unwrap();
    let ends = manager.list::<multiproc::Receiver<String>>().unwrap();
    ends.push(receiver).unwrap();
    sender.send("through").unwrap();
    let mut receiver = ends.pop().unwrap().unwrap();
    assert_eq!(receiver.recv().unwrap(), "through");
    ends.push(receiver).unwrap();
    ends.clear().unwrap();
    assert!(sender.send("nobody").unwrap_err().is_closed());
}

#[test]
fn handles_travel_through_queues_and_results_and_each_other() {
    let _watch = watch();
    let manager = Manager::new().unwrap();
    let queue = Queue::<Proxy<u32>>::new().unwrap();
    queue.put(manager.host(5).unwrap()).unwrap();
    let number = queue.get().unwrap();
    assert_eq!(number.call(|n: &mut u32| *n, ()).unwrap(), 5);

    // A worker can make objects, too, and gives them back as its result.
    let make = |manager: Manager| manager.host(6_u32);
    let made = Process::spawn(make, (&manager,)).unwrap().join().unwrap().unwrap();
    assert_eq!(made.call(|n: &mut u32| *n, ()).unwrap(), 6);
    let text = format!("{made:?}");
    assert!(text.starts_with("Proxy { state: u32, number: "), "{text}");

    let outer = manager.dict::<String, Proxy<u32>>().unwrap();
    outer.insert("made", made).unwrap();
    let fetched = outer.get("made").unwrap().unwrap();
    fetched.call(|n: &mut u32| *n += 1, ()).unwrap();
    let again = outer.get("made").unwrap().unwrap();
    assert_eq!(again.call(|n: &mut u32| *n, ()).unwrap(), 7);
}
