//! `Barrier`: rounds in step, who leads, breaking and resetting, and what deaths do.

use std::thread;
use std::time::Duration;

use multiproc::{Atomic, Barrier, Event, Process, Queue, Result};

use crate::common::{LONG, SHORT, asleep, killed, park, quiet, until};
use crate::fork::{ended_well, fork};
use crate::watchdog::watch;

/// Parties that are processes.
const PARTIES: usize = 5;

/// Goes through so many rounds, in each of which all have counted when anybody goes on.
fn rounds(barrier: Barrier, counts: Atomic<u32>, count: u32) -> Result<()> {
    let parties = barrier.parties() as u32;
    for round in 0..count {
        counts.fetch_add(1);
        barrier.wait()?;
        let now = counts.load();
        if now < (round + 1) * parties || now > (round + 2) * parties {
            return Err(multiproc::Error::other(format!("{now} in round {round}")));
        }
    }
    Ok(())
}

#[test]
fn five_processes_stay_in_step_for_a_thousand_rounds() {
    let _watch = watch();
    let (barrier, counts) = (Barrier::new(PARTIES).unwrap(), Atomic::new(0).unwrap());
    let arguments = (&barrier, &counts, 1000);
    let children = [(); PARTIES].map(|()| Process::spawn(rounds, arguments).unwrap());
    for child in children {
        child.join().unwrap().unwrap();
    }
    assert!(!barrier.is_broken());
    // Those who ended in order broke nothing: others can take their places.
    let children = [(); PARTIES]
        .map(|()| Process::spawn(|barrier: Barrier| barrier.wait().map(drop), (&barrier,)));
    for child in children {
        child.unwrap().join().unwrap().unwrap();
    }
}

/// Waits once; how many came before, or that it was broken.
fn wait_once(barrier: Barrier) -> Option<usize> {
    match barrier.wait() {
        Ok(wait) => Some(wait.index()),
        Err(error) => {
            assert!(error.is_broken(), "{error:?}");
            None
        }
    }
}

fn spawn(barrier: &Barrier, count: usize) -> Vec<Process<Option<usize>>> {
    (0..count).map(|_| Process::spawn(wait_once, (barrier,)).unwrap()).collect()
}

#[track_caller]
fn until_waiting(barrier: &Barrier, count: usize) {
    until("so many wait", || barrier.waiting() == count);
}

#[track_caller]
fn all_are_told_it_is_broken(children: Vec<Process<Option<usize>>>) {
    for child in children {
        assert_eq!(child.join().unwrap(), None);
    }
}

#[test]
fn each_has_another_number_and_one_leads() {
    let _watch = watch();
    let barrier = Barrier::new(PARTIES).unwrap();
    let children = spawn(&barrier, PARTIES - 1);
    let own = barrier.wait().unwrap();
    assert_eq!(own.is_leader(), own.index == 0);
    let mut numbers: Vec<_> = children.into_iter().map(|it| it.join().unwrap().unwrap()).collect();
    numbers.push(own.index());
    numbers.sort_unstable();
    assert_eq!(numbers, [0, 1, 2, 3, 4]);
}

#[test]
fn alone_one_passes_at_once() {
    let barrier = Barrier::new(1).unwrap();
    for _ in 0..3 {
        assert!(barrier.wait().unwrap().is_leader());
        assert!(barrier.try_wait().is_ok() && barrier.wait_timeout(Duration::ZERO).is_ok());
    }
    let mut runs = 0;
    barrier.wait_with(|| runs += 1).unwrap();
    assert_eq!(runs, 1);
    assert_eq!((barrier.parties(), barrier.waiting(), barrier.is_broken()), (1, 0, false));
}

#[test]
fn a_number_of_parties_that_makes_no_sense_is_refused() {
    for parties in [0, 1 << 31, usize::MAX] {
        let error = Barrier::new(parties).unwrap_err();
        assert!(error.is_invalid_input());
        assert_eq!(
            error.to_string(),
            format!("a barrier for {parties} parties: it needs at least 1, and at most 2147483647")
        );
    }
}

#[test]
fn the_last_one_runs_its_closure_before_anybody_goes_on() {
    let _watch = watch();
    let count = |barrier: Barrier, runs: Atomic<u32>| -> Result<Vec<u32>> {
        let mut seen = Vec::new();
        for _ in 0..50 {
            barrier.wait_with(|| {
                thread::yield_now();
                runs.fetch_add(1);
            })?;
            seen.push(runs.load());
            barrier.wait()?;
        }
        Ok(seen)
    };
    let (barrier, runs) = (Barrier::new(3).unwrap(), Atomic::new(0).unwrap());
    let children = [(); 3].map(|()| Process::spawn(count, (&barrier, &runs)).unwrap());
    for child in children {
        assert_eq!(child.join().unwrap().unwrap(), (1..=50).collect::<Vec<_>>());
    }
}

#[test]
fn who_comes_while_the_closure_runs_waits_for_its_end() {
    let _watch = watch();
    let barrier = &Barrier::new(1).unwrap();
    thread::scope(|scope| {
        let mut late = None;
        barrier
            .wait_with(|| {
                late = Some(scope.spawn(|| barrier.wait()));
                assert!(barrier.try_wait().unwrap_err().is_busy());
                assert!(barrier.wait_timeout(SHORT).unwrap_err().is_timeout());
            })
            .unwrap();
        late.unwrap().join().unwrap().unwrap();
    });
    assert!(!barrier.is_broken());
}

#[test]
fn a_barrier_that_is_broken_in_the_closure_is_broken() {
    let _watch = watch();
    let barrier = Barrier::new(1).unwrap();
    assert!(barrier.wait_with(|| barrier.abort().unwrap()).unwrap_err().is_broken());
    assert!(barrier.is_broken());
}

#[test]
fn a_closure_that_panics_breaks_the_barrier() {
    let _watch = watch();
    let barrier = Barrier::new(2).unwrap();
    let children = spawn(&barrier, 1);
    until_waiting(&barrier, 1);
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        barrier.wait_with(|| std::panic::resume_unwind(Box::new("on purpose")))
    }));
    assert!(outcome.is_err() && barrier.is_broken());
    all_are_told_it_is_broken(children);
}

#[test]
fn abort_breaks_it_and_reset_makes_it_new() {
    let _watch = watch();
    let barrier = Barrier::new(3).unwrap();
    for _ in 0..6 {
        let children = spawn(&barrier, 2);
        until_waiting(&barrier, 2);
        barrier.abort().unwrap();
        assert!(barrier.is_broken());
        let error = barrier.wait().unwrap_err();
        assert!(error.is_broken() && error.to_string().contains("call reset()"), "{error}");
        all_are_told_it_is_broken(children);
        barrier.reset().unwrap();
        assert!(!barrier.is_broken());
        let children = spawn(&barrier, 2);
        barrier.wait().unwrap();
        for child in children {
            assert!(child.join().unwrap().is_some());
        }
    }
}

#[test]
fn reset_tells_those_who_wait() {
    let _watch = watch();
    let barrier = Barrier::new(3).unwrap();
    barrier.reset().unwrap();
    for _ in 0..6 {
        let children = spawn(&barrier, 2);
        until_waiting(&barrier, 2);
        barrier.reset().unwrap();
        assert_eq!((barrier.waiting(), barrier.is_broken()), (0, false));
        all_are_told_it_is_broken(children);
    }
}

#[test]
fn a_wait_that_is_too_late_breaks_it_for_all() {
    let _watch = watch();
    let barrier = Barrier::new(3).unwrap();
    assert!(barrier.try_wait().unwrap_err().is_busy());
    assert!(barrier.wait_timeout(Duration::ZERO).unwrap_err().is_timeout());
    assert!(!barrier.is_broken(), "whoever has no time does not arrive");
    let children = spawn(&barrier, 1);
    until_waiting(&barrier, 1);
    assert!(barrier.wait_timeout(SHORT).unwrap_err().is_timeout());
    all_are_told_it_is_broken(children);
    assert!(barrier.wait_timeout(LONG).unwrap_err().is_broken());
    assert!(barrier.wait_deadline(std::time::Instant::now() + LONG).unwrap_err().is_broken());
    assert!(barrier.try_wait_with(|| ()).unwrap_err().is_broken());
    barrier.reset().unwrap();
    let children = spawn(&barrier, 2);
    until_waiting(&barrier, 2);
    assert!(barrier.try_wait().is_ok(), "the last one need not wait");
    for child in children {
        assert!(child.join().unwrap().is_some());
    }
}

#[test]
fn debug_shows_the_live_state() {
    let _watch = watch();
    let barrier = Barrier::new(2).unwrap();
    assert_eq!(format!("{barrier:?}"), "Barrier { parties: 2, waiting: 0, broken: false }");
    let children = spawn(&barrier, 1);
    until_waiting(&barrier, 1);
    assert_eq!(format!("{barrier:?}"), "Barrier { parties: 2, waiting: 1, broken: false }");
    barrier.abort().unwrap();
    assert_eq!(format!("{barrier:?}"), "Barrier { parties: 2, waiting: 0, broken: true }");
    all_are_told_it_is_broken(children);
}

// ---------------------------------------------------------------------------------------------
// Deaths
// ---------------------------------------------------------------------------------------------

#[test]
#[cfg_attr(feature = "raw-sync", ignore = "it kills: raw_sync is not robust")]
fn a_party_that_dies_while_it_waits_breaks_it() {
    let _watch = watch();
    let barrier = Barrier::new(4).unwrap();
    let mut children = spawn(&barrier, 3);
    until_waiting(&barrier, 3);
    killed(children.remove(1));
    assert!(barrier.wait().unwrap_err().is_broken());
    all_are_told_it_is_broken(children);
    barrier.reset().unwrap();
    assert!(!barrier.is_broken(), "the dead one is forgotten");
    let children = spawn(&barrier, 3);
    barrier.wait().unwrap();
    for child in children {
        assert!(child.join().unwrap().is_some());
    }
}

/// Passes and stays.
fn pass_and_park(barrier: Barrier) -> Result<()> {
    barrier.wait()?;
    park();
    Ok(())
}

#[test]
#[cfg_attr(feature = "raw-sync", ignore = "it kills: raw_sync is not robust")]
fn a_party_that_has_passed_before_breaks_it_for_those_who_wait() {
    let _watch = watch();
    let barrier = Barrier::new(2).unwrap();
    let party = Process::spawn(pass_and_park, (&barrier,)).unwrap();
    barrier.wait().unwrap();
    let children = spawn(&barrier, 1);
    until_waiting(&barrier, 1);
    killed(party);
    all_are_told_it_is_broken(children);
    assert!(barrier.is_broken());
}

#[test]
#[cfg_attr(feature = "raw-sync", ignore = "it kills: raw_sync is not robust")]
fn a_party_that_died_before_breaks_it_for_those_who_come() {
    let _watch = watch();
    let barrier = Barrier::new(2).unwrap();
    let party = Process::spawn(pass_and_park, (&barrier,)).unwrap();
    barrier.wait().unwrap();
    killed(party);
    // Nobody waits for one who will not come, not even as long as it takes to look.
    assert!(barrier.try_wait().unwrap_err().is_broken());
    assert!(barrier.wait().unwrap_err().is_broken());
}

#[test]
#[cfg_attr(feature = "raw-sync", ignore = "it kills: raw_sync is not robust")]
fn whoever_asks_is_told_of_a_party_that_died() {
    let _watch = watch();
    let barrier = Barrier::new(2).unwrap();
    let party = Process::spawn(pass_and_park, (&barrier,)).unwrap();
    barrier.wait().unwrap();
    assert!(!barrier.is_broken());
    killed(party);
    until("it is broken", || barrier.is_broken());
}

#[test]
#[cfg_attr(feature = "raw-sync", ignore = "it kills: raw_sync is not robust")]
fn a_party_is_missed_by_the_process_that_has_its_slot_next() {
    let _watch = watch();
    let barrier = Barrier::new(2).unwrap();
    let party = Process::spawn(pass_and_park, (&barrier,)).unwrap();
    barrier.wait().unwrap();
    killed(party);
    let is_broken = |barrier: Barrier| barrier.try_wait().is_err_and(|error| error.is_broken());
    assert!(Process::spawn(is_broken, (&barrier,)).unwrap().join().unwrap());
}

#[test]
#[cfg_attr(feature = "raw-sync", ignore = "it kills: raw_sync is not robust")]
fn a_party_that_said_that_it_will_come_is_missed_at_once() {
    let _watch = watch();
    let register = |barrier: Barrier, ready: Event| -> Result<()> {
        barrier.party()?;
        ready.set();
        park();
        Ok(())
    };
    let (barrier, ready) = (Barrier::new(2).unwrap(), Event::new().unwrap());
    let children = spawn(&barrier, 1);
    until_waiting(&barrier, 1);
    let party = Process::spawn(register, (&barrier, &ready)).unwrap();
    ready.wait().unwrap();
    assert!(!barrier.is_broken());
    killed(party);
    all_are_told_it_is_broken(children);
}

#[test]
#[cfg_attr(feature = "raw-sync", ignore = "it kills: raw_sync is not robust")]
fn one_that_never_came_is_missed_by_the_timeout() {
    let _watch = watch();
    let stay = |_barrier: Barrier, ready: Event| {
        ready.set();
        park();
    };
    let (barrier, ready) = (Barrier::new(2).unwrap(), Event::new().unwrap());
    let party = Process::spawn(stay, (&barrier, &ready)).unwrap();
    ready.wait().unwrap();
    killed(party);
    assert!(barrier.wait_timeout(SHORT).unwrap_err().is_timeout());
}

#[test]
#[cfg_attr(feature = "raw-sync", ignore = "it kills: raw_sync is not robust")]
fn a_party_that_gave_its_handles_up_is_missed_by_nobody() {
    let _watch = watch();
    let pass = |barrier: Barrier, gone: Event| -> Result<()> {
        barrier.wait()?;
        drop(barrier.clone());
        drop(barrier);
        gone.set();
        park();
        Ok(())
    };
    let (barrier, gone) = (Barrier::new(2).unwrap(), Event::new().unwrap());
    let party = Process::spawn(pass, (&barrier, &gone)).unwrap();
    barrier.wait().unwrap();
    gone.wait().unwrap();
    killed(party);
    let children = spawn(&barrier, 1);
    barrier.wait().unwrap();
    all_pass(children);
}

fn all_pass(children: Vec<Process<Option<usize>>>) {
    for child in children {
        assert!(child.join().unwrap().is_some());
    }
}

#[test]
fn one_that_dies_in_its_closure_breaks_it() {
    let _watch = watch();
    let die = |barrier: Barrier| barrier.wait_with(|| std::process::abort()).map(drop);
    let barrier = Barrier::new(2).unwrap();
    let children = spawn(&barrier, 1);
    until_waiting(&barrier, 1);
    let last = quiet().spawn(die, (&barrier,)).unwrap();
    all_are_told_it_is_broken(children);
    assert!(last.join().is_err());
}

#[test]
#[cfg_attr(feature = "raw-sync", ignore = "it kills: raw_sync is not robust")]
fn one_that_dies_in_its_closure_is_missed_by_those_of_the_next_round() {
    let _watch = watch();
    let run = |barrier: Barrier, runs: Event| -> Result<()> {
        let stay = || {
            runs.set();
            park();
        };
        barrier.wait_with(stay).map(drop)
    };
    let come = |barrier: Barrier, ready: Event| {
        ready.set();
        wait_once(barrier)
    };
    let (barrier, runs, ready) =
        (Barrier::new(1).unwrap(), Event::new().unwrap(), Event::new().unwrap());
    let runner = Process::spawn(run, (&barrier, &runs)).unwrap();
    runs.wait().unwrap();
    let late = asleep(&ready, Process::spawn(come, (&barrier, &ready)).unwrap());
    killed(runner);
    all_are_told_it_is_broken(vec![late]);
}

/// One of three dies at some moment of many rounds: the two others are told, and nobody hangs.
#[test]
#[cfg_attr(feature = "raw-sync", ignore = "it kills: raw_sync is not robust")]
fn a_kill_at_any_moment_stops_nobody() {
    let _watch = watch();
    let run = |barrier: Barrier, started: Queue<()>| -> u32 {
        let mut rounds = 0;
        while barrier.wait().is_ok() {
            rounds += 1;
            if rounds == 1 {
                started.put(()).unwrap();
            }
        }
        rounds
    };
    let barrier = Barrier::new(3).unwrap();
    for turn in 0..15 {
        let started = Queue::new().unwrap();
        let mut children: Vec<_> =
            (0..3).map(|_| Process::spawn(run, (&barrier, &started)).unwrap()).collect();
        for _ in 0..3 {
            started.get_timeout(LONG).unwrap();
        }
        thread::yield_now();
        killed(children.remove(turn % 3));
        let rounds: Vec<u32> = children.into_iter().map(|it| it.join().unwrap()).collect();
        assert!(rounds[0].abs_diff(rounds[1]) <= 1, "{rounds:?}");
        barrier.reset().unwrap();
    }
}

#[test]
fn what_a_forked_child_inherits_is_not_its_own() {
    let _watch = watch();
    let body = || {
        let barrier = Barrier::new(2).unwrap();
        barrier.party().unwrap();
        let child = fork(|| {
            assert!(barrier.wait().unwrap_err().is_foreign());
            assert!(barrier.party().unwrap_err().is_foreign());
            assert!(barrier.abort().unwrap_err().is_foreign());
            assert!(barrier.reset().unwrap_err().is_foreign());
            assert!(!barrier.is_broken() && !format!("{barrier:?}").is_empty());
        });
        ended_well(child);
        // Its end was the end of no party.
        assert!(!barrier.is_broken());
        let children = spawn(&barrier, 1);
        barrier.wait().unwrap();
        all_pass(children);
    };
    Process::spawn(body, ()).unwrap().join().unwrap();
}
