//! The order of events: which scenarios and points, the broken variants, the soak, the sums.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

use multiproc::testing::Broken;

use super::director::{Director, Fate, Outcome, Settings, Trouble};
use super::ptrace;
use super::scenarios::{ALL, Scenario};
use super::stepper::{ENDLESS, Point, Reached, Trace, play};
use super::{soak, symbols, watch};

/// How long a survivor may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// The same where a hang is what is looked for.
const SHORT: Duration = Duration::from_millis(250);
/// Points of one scenario in a sample, for each fate.
const SAMPLE: &[(Fate, usize)] = &[(Fate::Kill, 30), (Fate::Late, 4), (Fate::Stop, 6)];
/// The same of what is hardly different from another scenario.
const MINOR_SAMPLE: &[(Fate, usize)] = &[(Fate::Kill, 10), (Fate::Late, 2), (Fate::Stop, 3)];
/// The same with `KILL=all`; every point is killed there.
const WHOLE: &[(Fate, usize)] = &[(Fate::Kill, usize::MAX), (Fate::Late, 60), (Fate::Stop, 60)];
/// The same where the victim is a witness.
const SEEN_SAMPLE: &[(Fate, usize)] = &[(Fate::Witness, 24)];
const SEEN_WHOLE: &[(Fate, usize)] = &[(Fate::Witness, usize::MAX)];

/// A scenario with more findings than this is given up: each may have cost the whole patience.
const ENOUGH: usize = 5;

/// What the harness must catch: what is broken, its name, the scenarios that show it, by what fate.
const BROKEN: [(Option<Broken>, &str, &[&str], Fate); 7] = [
    (
        Some(Broken::UnlockStoresZero),
        "unlock-stores-zero",
        &["lock_contended", "unlock_sleepers"],
        Fate::Kill,
    ),
    (Some(Broken::NoAlarm), "no-alarm", &["lock_contended", "unlock_sleepers"], Fate::Kill),
    (Some(Broken::NoWakeOnPut), "no-wake-on-put", &["get_empty", "put_wakes"], Fate::Kill),
    (
        Some(Broken::NoSecondAlarm),
        "no-second-alarm",
        &["unlock_sleepers", "lock_contended", "put_full"],
        Fate::Late,
    ),
    // Nothing is broken but that bounded slices are off, as under the other fates.
    (None, "no-slices", &["lock_contended"], Fate::Stop),
    (Some(Broken::NoNewsLook), "no-news-look", &["event_set"], Fate::Stop),
    (Some(Broken::NoAlarm), "no-alarm-seen", &["lock_witness_alone"], Fate::Witness),
];

/// The sums.
#[derive(Debug, Default)]
struct Sums {
    operations: usize,
    points: usize,
    hangs: usize,
    violations: usize,
    passed: usize,
    failed: usize,
}

pub(crate) fn main() {
    let wishes = Wishes::read();
    if wishes.list {
        for name in wishes.names() {
            println!("{name}: test");
        }
        return;
    }
    let names = wishes.names().collect::<Vec<_>>();
    if names.is_empty() {
        println!("kill: skipped (nothing here has that name)");
        return;
    }
    let fixed = fix_addresses();
    ptrace::hold_child_signals();
    watch::start();
    let mut sums = Sums::default();
    let traced = may_trace();
    if let Err(why) = &traced {
        println!("kill: skipped ({why})");
    } else {
        for scenario in ALL.iter().filter(|scenario| names.contains(&scenario.name)) {
            run_scenario(scenario, wishes.all, fixed && ptrace::has_registers(), &mut sums);
        }
        for (broken, name, shows, fate) in BROKEN {
            if names.contains(&name) {
                run_broken(broken, name, shows, fate, &mut sums);
            }
        }
    }
    if names.contains(&"soak") {
        run_soak(wishes.kills, wishes.seed, &mut sums);
    }
    println!("kill: {} passed, {} failed", sums.passed, sums.failed);
    if traced.is_ok() {
        println!(
            "kill: operations={} points={} hangs={} violations={}",
            sums.operations, sums.points, sums.hangs, sums.violations
        );
    }
    // Nothing of what is under test shall have a say in how this ends.
    let _ = std::io::stdout().flush();
    std::process::exit(i32::from(sums.failed > 0));
}

// What is wanted.

struct Wishes {
    list: bool,
    all: bool,
    filters: Vec<String>,
    skip: Vec<String>,
    exact: bool,
    nothing: bool,
    kills: usize,
    seed: u64,
}

impl Wishes {
    fn read() -> Self {
        let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
        let chance = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let mut wishes = Self {
            list: false,
            all: std::env::var("KILL").is_ok_and(|value| value == "all"),
            filters: std::env::var("KILL_ONLY")
                .into_iter()
                .filter(|name| !name.is_empty())
                .collect(),
            skip: Vec::new(),
            exact: false,
            nothing: false,
            kills: number("SOAK").unwrap_or(10) as usize,
            seed: number("SOAK_SEED")
                .unwrap_or_else(|| chance.map_or(1, |time| time.as_nanos() as u64 & 0xffff_ffff)),
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--list" => wishes.list = true,
                "--exact" => wishes.exact = true,
                // There is nothing that would be ignored.
                "--ignored" | "--bench" => wishes.nothing = true,
                "--skip" => wishes.skip.extend(arguments.next()),
                "--test-threads" | "--format" | "--color" | "--logfile" | "--shuffle-seed"
                | "-Z" => drop(arguments.next()),
                other if other.starts_with('-') => {}
                _ => wishes.filters.push(argument),
            }
        }
        wishes
    }

    /// The names of what is wanted, in order.
    fn names(&self) -> impl Iterator<Item = &'static str> {
        let scenarios = ALL.iter().map(|scenario| scenario.name);
        let all = scenarios.chain(BROKEN.iter().map(|broken| broken.1)).chain(["soak"]);
        all.filter(|name| {
            let matches = |filter: &String| {
                if self.exact { name == filter } else { name.contains(filter.as_str()) }
            };
            !self.nothing
                && !self.skip.iter().any(matches)
                && (self.filters.is_empty() || self.filters.iter().any(matches))
        })
    }
}

// What can be had.

/// Sees to it that every process of the harness has everything at the same address: starts this
/// program anew without address space randomisation. False if that is not allowed.
fn fix_addresses() -> bool {
    const QUERY: libc::c_ulong = 0xffff_ffff;
    // SAFETY: personality(2)
    // - takes a number.
    let now = unsafe { libc::personality(QUERY) };
    if now & libc::ADDR_NO_RANDOMIZE != 0 {
        return true;
    }
    // SAFETY: see above.
    // - concerns this process and those it starts.
    let set = unsafe { libc::personality((now | libc::ADDR_NO_RANDOMIZE) as libc::c_ulong) };
    if set < 0 {
        return false;
    }
    let mut arguments = std::env::args_os();
    let mut again = Command::new("/proc/self/exe");
    if let Some(name) = arguments.next() {
        again.arg0(name);
    }
    let error = again.args(arguments).exec();
    println!("kill: {error}: addresses differ");
    false
}

/// Whether this process may trace a child of its own.
fn may_trace() -> Result<(), String> {
    // SAFETY: fork(2)
    // - the child calls nothing but pause(2), which is safe whatever other threads were doing.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        loop {
            // SAFETY: pause(2)
            // - takes nothing.
            unsafe { libc::pause() };
        }
    }
    ptrace::probe(pid).map_err(|error| format!("ptrace is refused here: {error}"))
}

// Scenarios.

/// A director, made when needed, and made anew after a failure.
struct Stage {
    settings: Settings,
    director: Option<Director>,
}

impl Stage {
    fn director(&mut self, fate: Fate) -> Outcome<&mut Director> {
        let mut director = match self.director.take() {
            Some(director) => director,
            None => Director::new(self.settings)?,
        };
        director.fate = fate;
        Ok(self.director.insert(director))
    }

    fn close(&mut self) -> Outcome {
        self.director.take().map_or(Ok(()), Director::close)
    }
}

/// A scenario while it is played.
struct Case<'a> {
    scenario: &'a Scenario,
    stage: Stage,
    findings: Vec<Finding>,
    points: usize,
    /// Waits that ended only after the stopped victim was let go.
    excused: usize,
}

impl<'a> Case<'a> {
    fn new(scenario: &'a Scenario, stage: Stage) -> Self {
        Self { scenario, stage, findings: Vec::new(), points: 0, excused: 0 }
    }

    /// The first victim goes the whole way, and shows it. Another one may, if the first came into a
    /// sweep of all shared memory, which is too long to be stepped.
    fn trace(&mut self) -> Option<Trace> {
        let fate = if self.scenario.is_witness { Fate::Witness } else { Fate::Kill };
        for _ in 0..3 {
            let mut trace = Trace::default();
            self.findings.clear();
            self.play(fate, Point::After(usize::MAX), None, Some(&mut trace));
            if self.findings.is_empty() {
                return Some(trace);
            }
            if trace.len() < ENDLESS {
                break;
            }
        }
        None
    }

    /// Plays one point; what is wrong with it goes to the findings, and the next begins afresh.
    fn play(
        &mut self,
        fate: Fate,
        point: Point,
        trace: Option<&Trace>,
        record: Option<&mut Trace>,
    ) -> Option<Reached> {
        let mut reached = None;
        let played = self
            .stage
            .director(fate)
            .and_then(|director| play(director, self.scenario, point, trace, record, &mut reached));
        self.points += 1;
        if let Err(trouble) = played {
            let address = reached.map(|reached: Reached| reached.address);
            self.findings.push(Finding::new(self.scenario, fate, point, address, trouble));
            self.set(self.stage.settings);
        } else if self.scenario.fresh {
            self.set(self.stage.settings);
        }
        reached
    }

    /// Ends all actors; the next are made with these settings.
    fn set(&mut self, settings: Settings) {
        self.excused += self.stage.director.as_ref().map_or(0, |director| director.excused);
        if let Err(trouble) = self.stage.close() {
            let start = Point::After(0);
            self.findings.push(Finding::new(self.scenario, Fate::Kill, start, None, trouble));
        }
        self.stage.settings = settings;
    }

    /// Plays the points chosen, and with `further` those behind the end that was seen, until three
    /// victims in a row have come to theirs.
    fn walk(&mut self, fate: Fate, points: Vec<Point>, further: bool, way: &Trace, fixed: bool) {
        let len = way.len();
        let beyond = if further { len + 1..len * 4 } else { 0..0 };
        let mut overs = 0;
        for point in points.into_iter().chain(beyond.map(Point::After)) {
            if self.findings.len() >= ENOUGH || overs == 3 {
                break;
            }
            let mut reached = self.play(fate, point, fixed.then_some(way), None);
            if reached.is_some_and(|reached| reached.strayed) {
                reached = self.play(fate, point, None, None);
            }
            let over = reached.is_none_or(|reached| reached.over);
            let beyond = matches!(point, Point::After(step) if step > len);
            overs = if beyond && over { overs + 1 } else { 0 };
        }
    }
}

fn run_scenario(scenario: &Scenario, all: bool, fixed: bool, sums: &mut Sums) {
    let started = Instant::now();
    let settings = Settings { slices: false, spin: false, broken: None, patience: PATIENCE };
    let mut case = Case::new(scenario, Stage { settings, director: None });
    let trace = case.trace().unwrap_or_default();
    let len = trace.len();
    let fates = match (scenario.is_witness, all) {
        (false, false) if scenario.is_minor => MINOR_SAMPLE,
        (false, false) => SAMPLE,
        (false, true) => WHOLE,
        (true, false) => SEEN_SAMPLE,
        (true, true) => SEEN_WHOLE,
    };
    for &(fate, count) in fates {
        // A victim that is stopped lives on: nothing is the first thing in its life.
        if len == 0 || fate == Fate::Stop && scenario.cold {
            continue;
        }
        if fate == Fate::Stop {
            case.set(Settings { slices: true, ..settings });
        }
        // Without the short way a late point costs all the steps before it.
        let count = if fixed { count } else { count.min(300_000 / len).max(8) };
        let every = count == usize::MAX || count > len;
        let points = if every { trace.every() } else { trace.sample(count) };
        case.walk(fate, points, count == usize::MAX, &trace, fixed);
    }
    case.set(settings);
    let Case { findings, points, excused, .. } = case;
    let took = started.elapsed().as_secs_f64();
    println!(
        "kill: {} ... {} ({len} instructions, {points} points, {excused} waited for a stopped \
         victim, {took:.1} s)",
        scenario.name,
        if findings.is_empty() { "ok" } else { "FAILED" }
    );
    for finding in &findings {
        println!("kill: {}", finding.text());
        match finding.trouble {
            Trouble::Hang(_) => sums.hangs += 1,
            Trouble::Violation(_) => sums.violations += 1,
            Trouble::Fault(_) => {}
        }
    }
    sums.operations += 1;
    sums.points += points;
    if findings.is_empty() { sums.passed += 1 } else { sums.failed += 1 }
}

struct Finding {
    scenario: &'static str,
    fate: Fate,
    point: Point,
    /// The victim had begun its operation.
    begun: bool,
    place: String,
    trouble: Trouble,
}

impl Finding {
    fn new(
        scenario: &Scenario,
        fate: Fate,
        point: Point,
        address: Option<usize>,
        trouble: Trouble,
    ) -> Self {
        let place = match address {
            Some(0) | None => String::new(),
            Some(address) => format!(" at {}", symbols::name(address)),
        };
        let begun = address.is_some();
        Self { scenario: scenario.name, fate, point, begun, place, trouble }
    }

    fn text(&self) -> String {
        let (kind, what) = match &self.trouble {
            Trouble::Hang(what) => ("HANG", what),
            Trouble::Violation(what) => ("VIOLATION", what),
            Trouble::Fault(what) => ("FAULT", what),
        };
        format!("{kind} in {}, {:?} {}{}: {what}", self.scenario, self.fate, self.point, self.place)
    }
}

// Broken variants.

/// Runs scenarios with a deliberately broken variant until a hang is seen, which must be.
fn run_broken(broken: Option<Broken>, name: &str, shows: &[&str], fate: Fate, sums: &mut Sums) {
    let settings = Settings { slices: false, spin: false, broken, patience: SHORT };
    let mut caught = None;
    for scenario in ALL.iter().filter(|one| shows.contains(&one.name)) {
        let mut case = Case::new(scenario, Stage { settings, director: None });
        if let Some(trace) = case.trace() {
            for point in trace.sample(30) {
                case.play(fate, point, None, None);
                if !case.findings.is_empty() {
                    break;
                }
            }
        }
        case.set(settings);
        for finding in case.findings {
            // Not those in which the victim had not even begun: these show nothing.
            if finding.begun && matches!(finding.trouble, Trouble::Hang(_)) {
                caught = Some(finding);
                break;
            }
            println!("kill: broken variant {name}: {}", finding.text());
        }
        if caught.is_some() {
            break;
        }
    }
    match caught {
        Some(finding) => {
            println!("kill: broken variant {name} caught ({})", finding.text());
            sums.passed += 1;
        }
        None => {
            println!("kill: broken variant {name} NOT CAUGHT");
            sums.failed += 1;
        }
    }
}

// The soak.

fn run_soak(kills: usize, seed: u64, sums: &mut Sums) {
    println!("soak: {kills} kills of each kind, SOAK_SEED={seed}");
    let mut findings = Vec::new();
    let tally = soak::run(kills, seed, &mut findings);
    for finding in &findings {
        println!("{finding}");
    }
    println!(
        "soak: kills={} hangs={} lost={} doubled={}",
        tally.kills, tally.hangs, tally.lost, tally.doubled
    );
    sums.hangs += tally.hangs;
    sums.violations += tally.lost + tally.doubled + tally.others;
    if tally.is_clean() { sums.passed += 1 } else { sums.failed += 1 }
}
