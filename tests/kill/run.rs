//! The order of events: which scenarios and points, the broken variants, the sums.

use std::io::Write;
use std::time::{Duration, Instant};

use super::broken::Variant;
use super::case::{Case, Stage};
use super::director::Settings;
use super::fates::Fate;
use super::sampler::Choice;
use super::scenarios::{ALL, Scenario};
use super::sums::Sums;
use super::trouble::Trouble;
use super::walks::{Walk, Way, walks};
use super::wishes::{WEEK, Wishes};
use super::{jobs, ptrace, sampler, system, watch};

/// How long a survivor may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// One thing to do.
#[derive(Clone, Copy)]
enum Item {
    Step(&'static Scenario),
    Catch(&'static Variant),
    Walk(&'static Walk),
}

/// What is wanted, and what came of it so far.
#[derive(Debug)]
struct Run {
    wishes: Wishes,
    /// Every victim has everything at the same address, and debug registers.
    fixed: bool,
    sums: Sums,
}

pub(crate) fn main() {
    let wishes = Wishes::read();
    let names = wishes.names().collect::<Vec<_>>();
    if wishes.list {
        names.iter().for_each(|name| println!("{name}: test"));
        return;
    }
    if names.is_empty() {
        println!("kill: skipped (nothing here has that name)");
        return;
    }
    let is_fixed = system::fix_addresses();
    system::default_signals();
    ptrace::hold_child_signals();
    // It also finds out about the registers.
    let traced = system::may_trace();
    let fixed = is_fixed && ptrace::has_registers();
    let mut run = Run { wishes, fixed, sums: Sums::default() };
    let is_told = if jobs::is_worker() {
        jobs::end_with_lead();
        run.play(jobs::items());
        true
    } else {
        run.lead(names.contains(&WEEK), traced)
    };
    if is_told {
        println!("{} KILL_SEED={}", run.sums, run.wishes.seed);
    }
    // Nothing of what is under test shall have a say in how this ends.
    let _ = std::io::stdout().flush();
    std::process::exit(i32::from(run.sums.failed > 0));
}

impl Run {
    fn say(&self, line: &str) {
        if self.wishes.verbose {
            println!("{line}");
        }
    }

    /// Counts one that passed or failed, and says which.
    fn judge(&mut self, passed: bool, line: &str) {
        self.sums.failed += usize::from(!passed);
        if passed { self.say(line) } else { println!("{line}") }
    }

    /// All that is wanted: the scenarios, then what must be caught.
    fn items(&self) -> Vec<Item> {
        let wishes = &self.wishes;
        // Those that take longest first: nobody waits for one of them in the end.
        let walks = walks().filter(|walk| wishes.wants(walk.name)).map(Item::Walk);
        let (starts, rest): (Vec<_>, Vec<_>) =
            wishes.scenarios().partition(|scenario| scenario.name.starts_with("start_"));
        walks
            .chain(starts.into_iter().chain(rest).map(Item::Step))
            .chain(wishes.variants().map(Item::Catch))
            .collect()
    }

    /// Does all, in this process or by workers; whether anything was stepped.
    fn lead(&mut self, week: bool, traced: Result<(), String>) -> bool {
        if week {
            self.check_week();
        }
        if let Err(why) = &traced {
            println!("kill: skipped ({why})");
        }
        let items = self.items();
        let chosen = (0..if traced.is_ok() { items.len() } else { 0 }).collect::<Vec<_>>();
        let jobs = self.wishes.jobs.min(chosen.len());
        if jobs < 2 {
            self.play(chosen.into_iter());
        } else {
            match jobs::run(jobs, &chosen, self.wishes.seed) {
                Ok(sums) => self.sums += sums,
                Err(error) => self.judge(false, &format!("kill: no workers: {error}")),
            }
        }
        traced.is_ok()
    }

    /// Plays items by their numbers.
    fn play(&mut self, numbers: impl Iterator<Item = usize>) {
        watch::start();
        let items = self.items();
        for number in numbers {
            match items[number] {
                Item::Step(scenario) => self.step(scenario),
                Item::Catch(variant) => self.catch(variant),
                Item::Walk(walk) => self.walk(walk),
            }
        }
    }

    fn check_week(&mut self) {
        match sampler::week_covers(ALL.len()) {
            Ok(()) => self.judge(true, "kill: a week covers every operation"),
            Err(what) => self.judge(false, &format!("kill: {what}")),
        }
    }

    /// Plays a scenario at the points that are chosen.
    fn step(&mut self, scenario: &Scenario) {
        let started = Instant::now();
        let settings = Settings { slices: false, spin: false, broken: None, patience: PATIENCE };
        let mut case = Case::new(scenario, Stage::new(settings));
        let choices = self.wishes.reach.points(scenario);
        let asks = choices.iter().any(|(_, choice)| matches!(choice, Choice::Different(_)));
        let trace = case.trace(asks).unwrap_or_default();
        let len = trace.len();
        let mut is_whole = false;
        for &(fate, choice) in choices {
            // A victim that is stopped lives on: nothing is the first thing in its life.
            if len == 0 || fate == Fate::Stop && scenario.cold {
                continue;
            }
            if fate == Fate::Stop {
                case.set(Settings { slices: true, ..settings });
            }
            // Without the short way a late point costs all the steps before it.
            let choice = if self.fixed { choice } else { choice.at_most((300_000 / len).max(8)) };
            let points = trace.points(choice, self.wishes.seed);
            case.walk(fate, points, choice.is_whole(), &trace, self.fixed);
            is_whole |= trace.is_whole(choice);
        }
        self.sums.whole += usize::from(is_whole);
        case.set(settings);
        self.count(scenario, &case, len, started.elapsed());
    }

    fn count(&mut self, scenario: &Scenario, case: &Case, len: usize, took: Duration) {
        let Case { findings, points, excused, .. } = case;
        self.sums.operations += 1;
        self.sums.points += points;
        let line = format!(
            "kill: {} ... {} ({len} instructions, {points} points, {excused} waited for a stopped \
             victim, {:.1} s)",
            scenario.name,
            if findings.is_empty() { "ok" } else { "FAILED" },
            took.as_secs_f64()
        );
        self.judge(findings.is_empty(), &line);
        for finding in findings {
            println!("kill: {}", finding.text());
            match finding.trouble {
                Trouble::Hang(_) => self.sums.hangs += 1,
                Trouble::Violation(_) => self.sums.violations += 1,
                Trouble::Fault(_) => {}
            }
        }
    }

    /// A broken variant must be caught.
    fn catch(&mut self, variant: &Variant) {
        let name = variant.name;
        match variant.catch(self.wishes.seed, self.fixed) {
            Ok(finding) => {
                self.sums.broken += 1;
                let line = format!("kill: broken variant {name} caught ({})", finding.text());
                self.judge(true, &line);
            }
            Err(others) => {
                for finding in others {
                    println!("kill: broken variant {name}: {}", finding.text());
                }
                self.judge(false, &format!("kill: broken variant {name} NOT CAUGHT"));
            }
        }
    }

    /// Kills a process at points of its way.
    fn walk(&mut self, walk: &Walk) {
        let started = Instant::now();
        let choice = walk.choice(self.wishes.reach);
        let way = (walk.run)(walk.name, choice, self.wishes.seed).unwrap_or_else(|trouble| Way {
            findings: vec![format!("{trouble:?}")],
            ..Way::default()
        });
        let Way { instructions: len, points, is_whole, findings } = way;
        self.sums.operations += 1;
        self.sums.whole += usize::from(is_whole);
        self.sums.points += points;
        self.sums.violations += findings.len();
        let name = walk.name;
        for finding in &findings {
            println!("kill: VIOLATION in {name}, {finding}");
        }
        let verdict = if findings.is_empty() { "ok" } else { "FAILED" };
        let line = format!(
            "kill: {name} ... {verdict} ({len} instructions, {points} points, {:.1} s)",
            started.elapsed().as_secs_f64()
        );
        self.judge(findings.is_empty(), &line);
    }
}
