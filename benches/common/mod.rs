//! The runner of the benchmarks: cells of a subject beside its yardsticks, measured in turns, and one plain table.
//!
//! All sides of a cell run once in every round, in another order each time, so that what the machine does besides hits
//! all of them. A row shows the median of the rounds and their spread; the ratio is the median of the ratios of each
//! round. Every run counts and checks what it did.
//!
//! ```sh
//! cargo bench                                  # everything
//! cargo bench --bench queue -- "64 B"          # the cells whose name contains this
//! BENCH_ROUNDS=15 cargo bench --bench lock
//! cargo test --benches                         # each side once, with tiny counts: does it work?
//! ```

#![allow(dead_code, reason = "each benchmark uses a part of it")]

pub(crate) mod contest;
pub(crate) mod os;
pub(crate) mod team;
pub(crate) mod turns;

use std::env;
use std::io::{self, Write};
use std::mem;
use std::time::Instant;

use os::now;

/// How long a calibrated run should take.
const TARGET: u64 = 100_000_000;
/// How often each side runs, unless `BENCH_ROUNDS` says otherwise.
const ROUNDS: usize = 7;

/// One benchmark program: its arguments, its table, its goals.
pub(crate) struct Bench {
    name: &'static str,
    rounds: usize,
    quick: bool,
    filters: Vec<String>,
    goals: Vec<String>,
    has_head: bool,
    started: Instant,
}

impl Bench {
    /// Reads the arguments.
    ///
    /// cargo gives `--bench` for `cargo bench` and nothing for `cargo test`. Other options, which are for the standard
    /// harness, are ignored.
    pub(crate) fn start(name: &'static str) -> Bench {
        let arguments: Vec<String> = env::args().skip(1).collect();
        let is_given = |option: &str| arguments.iter().any(|argument| argument == option);
        let quick = is_given("--test") || !is_given("--bench");
        let rounds = match env::var("BENCH_ROUNDS") {
            Ok(text) => match text.parse() {
                Ok(rounds) if rounds > 0 => rounds,
                _ => {
                    eprintln!("BENCH_ROUNDS: expected a number of rounds from 1, found {text:?}");
                    std::process::exit(2);
                }
            },
            Err(_) => ROUNDS,
        };
        let filters = arguments.iter().filter(|argument| !argument.starts_with('-')).cloned();
        Bench {
            name,
            rounds: if quick { 1 } else { rounds },
            quick,
            filters: filters.collect(),
            goals: Vec::new(),
            has_head: false,
            started: Instant::now(),
        }
    }

    /// Before the first rows.
    fn print_head(&mut self, how: &str) {
        if mem::replace(&mut self.has_head, true) {
            return;
        }
        let pinned = match os::two_processors() {
            [Some(first), Some(second)] => format!("pinned cells on {first} and {second}"),
            _ => "too few to pin anything".to_owned(),
        };
        print(&format!(
            "\n{}: {how}\nprocessors: {}, {pinned}\n\n{}\n",
            self.name,
            os::processors().len(),
            row(["", "median", "unit", "min..max", "ratio", "notes"]),
        ));
    }

    /// Begins a cell; nothing runs before [`Cell::run`].
    pub(crate) fn cell<'a>(&'a mut self, name: &str, unit: Unit) -> Cell<'a> {
        let work = Work::Calibrated { most: u64::MAX };
        Cell { bench: self, name: name.to_owned(), unit, work, sides: Vec::new() }
    }

    /// Whether the arguments ask for a cell of this name.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.filters.is_empty() || self.filters.iter().any(|filter| name.contains(filter.as_str()))
    }

    /// Whether this is a test: does it work?
    pub(crate) fn is_quick(&self) -> bool {
        self.quick
    }

    /// A row of what was measured once and has no yardstick beside it: the median of these values, and notes.
    pub(crate) fn single(&mut self, name: &str, unit: Unit, values: &[f64], notes: &str) {
        if self.quick {
            return print(&format!("bench {name} ... ok\n"));
        }
        self.print_head("medians of all that were measured");
        let least = values.iter().copied().fold(f64::INFINITY, f64::min);
        let most = values.iter().copied().fold(0.0, f64::max);
        let range = format!("{}..{}", short(least), short(most));
        let middle = short(median(values.to_vec()));
        print(&format!("{}\n", row([name, &middle, unit.name(), &range, "", notes])));
    }

    /// A goal for a value by itself.
    pub(crate) fn limit(&mut self, what: &str, value: f64, unit: &str, goal: Goal) {
        self.goals.push(format!("{what}: {} {unit} ({})", short(value), goal.verdict(value)));
    }

    /// Prints the goals.
    pub(crate) fn finish(self) {
        if !self.has_head {
            return;
        }
        let mut text = String::from("\n");
        for goal in &self.goals {
            text += &format!("goal: {goal}\n");
        }
        print(&format!("{text}{:.0} s\n", self.started.elapsed().as_secs_f64()));
    }
}

/// What a row counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Nanoseconds for one.
    Nanoseconds,
    /// Microseconds for one.
    Microseconds,
    /// Millions a second.
    Millions,
    /// So many a second.
    PerSecond,
    /// Gigabytes a second, of messages of so many bytes.
    Gigabytes(usize),
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Unit::Nanoseconds => "ns",
            Unit::Microseconds => "us",
            Unit::Millions => "M/s",
            Unit::PerSecond => "/s",
            Unit::Gigabytes(_) => "GB/s",
        }
    }

    /// So many in so many nanoseconds.
    fn of(self, count: u64, elapsed: u64) -> f64 {
        let (count, elapsed) = (count as f64, elapsed.max(1) as f64);
        match self {
            Unit::Nanoseconds => elapsed / count,
            Unit::Microseconds => elapsed / count / 1e3,
            Unit::Millions => count * 1e3 / elapsed,
            Unit::PerSecond => count * 1e9 / elapsed,
            Unit::Gigabytes(size) => count * size as f64 / elapsed,
        }
    }
}

/// What one run of one side gave.
pub(crate) struct Sample {
    count: u64,
    elapsed: u64,
    notes: Vec<Note>,
}

impl Sample {
    /// So many operations in so many nanoseconds.
    pub(crate) fn new(count: u64, elapsed: u64) -> Sample {
        Sample { count, elapsed, notes: Vec::new() }
    }

    /// From times that were taken one by one, in nanoseconds: their median, with the tail as notes.
    pub(crate) fn of_each(mut times: Vec<u64>) -> Sample {
        times.sort_unstable();
        let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
        Sample::new(1, at(0.5)).note("p99", at(0.99) as f64 / 1e3, "us", Fold::Median).note(
            "worst",
            at(1.0) as f64 / 1e3,
            "us",
            Fold::Most,
        )
    }

    /// The same, of which each is so many.
    pub(crate) fn for_each(mut self, count: u64) -> Sample {
        self.count *= count;
        self
    }

    /// Adds something to the end of the row.
    pub(crate) fn note(
        mut self,
        name: &'static str,
        value: f64,
        unit: &'static str,
        fold: Fold,
    ) -> Sample {
        self.notes.push(Note { name, value, unit, fold });
        self
    }
}

/// Another figure of a run.
struct Note {
    name: &'static str,
    value: f64,
    unit: &'static str,
    fold: Fold,
}

/// Which of the rounds' figures is shown.
#[derive(Clone, Copy)]
pub(crate) enum Fold {
    Least,
    Median,
    Most,
}

/// What a side's ratio is held against.
#[derive(Clone, Copy)]
pub(crate) enum Goal {
    AtMost(f64),
    AtLeast(f64),
}

impl Goal {
    /// `goal: at most 1.5, missed`
    fn verdict(self, value: f64) -> String {
        let (wanted, reached) = match self {
            Goal::AtMost(most) => (format!("at most {most}"), value <= most),
            Goal::AtLeast(least) => (format!("at least {least}"), value >= least),
        };
        format!("goal: {wanted}{}", if reached { "" } else { ", missed" })
    }
}

/// How much is done in a run.
enum Work {
    /// What takes about [`TARGET`], found out by trying, but no more than this.
    Calibrated { most: u64 },
    /// So much, or that little as a test.
    Fixed { full: u64, quick: u64 },
}

type Run<'a> = Box<dyn FnMut(u64) -> Sample + 'a>;

struct Side<'a> {
    name: String,
    goal: Option<Goal>,
    run: Run<'a>,
    amount: u64,
    values: Vec<f64>,
    notes: Vec<Vec<Note>>,
    /// Goals for its notes.
    bounds: Vec<(&'static str, Goal)>,
}

/// Some sides that do the same thing; the first one is the yardstick.
pub(crate) struct Cell<'a> {
    bench: &'a mut Bench,
    name: String,
    unit: Unit,
    work: Work,
    sides: Vec<Side<'a>>,
}

impl<'a> Cell<'a> {
    /// Never more than this in one run.
    pub(crate) fn at_most(mut self, most: u64) -> Cell<'a> {
        self.work = Work::Calibrated { most };
        self
    }

    /// Always this much in one run, and so much as a test.
    pub(crate) fn fixed(mut self, full: u64, quick: u64) -> Cell<'a> {
        self.work = Work::Fixed { full, quick };
        self
    }

    /// One more side, the yardstick if it is the first. `run` does as much as it is told, checks it, and measures.
    pub(crate) fn side(self, name: &str, run: impl FnMut(u64) -> Sample + 'a) -> Cell<'a> {
        self.add(name, None, Box::new(run))
    }

    /// One more side, whose ratio has a goal.
    pub(crate) fn subject(
        self,
        name: &str,
        goal: Goal,
        run: impl FnMut(u64) -> Sample + 'a,
    ) -> Cell<'a> {
        self.add(name, Some(goal), Box::new(run))
    }

    fn add(mut self, name: &str, goal: Option<Goal>, run: Run<'a>) -> Cell<'a> {
        self.sides.push(Side {
            name: name.to_owned(),
            goal,
            run,
            amount: 0,
            values: Vec::new(),
            notes: Vec::new(),
            bounds: Vec::new(),
        });
        self
    }

    /// A goal for a note of the last side.
    pub(crate) fn bound(mut self, note: &'static str, goal: Goal) -> Cell<'a> {
        self.sides.last_mut().expect("a side").bounds.push((note, goal));
        self
    }

    /// Whether the arguments ask for this cell.
    pub(crate) fn is_wanted(&self) -> bool {
        self.bench.wants(&self.name)
    }

    /// Measures and prints.
    pub(crate) fn run(mut self) {
        if !self.is_wanted() {
            return;
        }
        if self.bench.quick {
            for side in &mut self.sides {
                (side.run)(match self.work {
                    Work::Calibrated { most } => most.min(200),
                    Work::Fixed { quick, .. } => quick,
                });
            }
            return print(&format!("bench {} ... ok\n", self.name));
        }
        let rounds = self.bench.rounds;
        self.bench.print_head(&format!(
            "medians of {rounds} interleaved rounds, ratios to the row marked = in the same round"
        ));
        for side in &mut self.sides {
            side.amount = match self.work {
                Work::Calibrated { most } => calibrate(&mut side.run, most),
                Work::Fixed { full, .. } => full,
            };
        }
        for round in 0..self.bench.rounds {
            for turn in 0..self.sides.len() {
                let index = (round + turn) % self.sides.len();
                let side = &mut self.sides[index];
                let sample = (side.run)(side.amount);
                side.values.push(self.unit.of(sample.count, sample.elapsed));
                side.notes.push(sample.notes);
            }
        }
        self.report();
    }

    fn report(self) {
        let unit = self.unit.name();
        let mut text = format!("{}\n", self.name);
        for (index, side) in self.sides.iter().enumerate() {
            let ratios = side.values.iter().zip(&self.sides[0].values).map(|(a, b)| a / b);
            let ratio = median(ratios.collect());
            let least = side.values.iter().copied().fold(f64::INFINITY, f64::min);
            let most = side.values.iter().copied().fold(0.0, f64::max);
            text += &row([
                &format!("  {}", side.name),
                &short(median(side.values.clone())),
                unit,
                &format!("{}..{}", short(least), short(most)),
                &if index == 0 { "=".to_owned() } else { format!("{ratio:.2}") },
                &notes(&side.notes),
            ]);
            text.push('\n');
            if let Some(goal) = side.goal {
                let what = format!("{}, {}", self.name, side.name);
                let unit = format!("x {}", self.sides[0].name);
                self.bench.limit(&what, ratio, &unit, goal);
            }
            for &(name, goal) in &side.bounds {
                let (value, unit) = folded(&side.notes, name).expect("a note with this name");
                self.bench.limit(
                    &format!("{}, {}, {name}", self.name, side.name),
                    value,
                    unit,
                    goal,
                );
            }
        }
        print(&text);
    }
}

/// How much to do so that a run takes about [`TARGET`]. What it runs to find that out warms everything up.
fn calibrate(run: &mut Run<'_>, most: u64) -> u64 {
    let mut amount = most.min(1000);
    loop {
        let start = now();
        let elapsed = run(amount).elapsed.max(1);
        // Starting the sides is not part of it, but must not take for ever either.
        if elapsed >= TARGET / 2 || amount == most || now() - start > 20 * TARGET {
            let fitting = amount as f64 * TARGET as f64 / elapsed as f64;
            return (fitting as u64).clamp(1, most);
        }
        let factor = (TARGET as f64 / elapsed as f64).clamp(2.0, 16.0);
        amount = most.min((amount as f64 * factor) as u64);
    }
}

/// The notes of all rounds in one line.
fn notes(rounds: &[Vec<Note>]) -> String {
    let mut text = Vec::new();
    for Note { name, .. } in &rounds[0] {
        if let Some((value, unit)) = folded(rounds, name) {
            text.push(format!("{name} {} {unit}", short(value)).trim_end().to_owned());
        }
    }
    text.join(", ")
}

/// What all rounds' notes of this name come to, and its unit.
fn folded(rounds: &[Vec<Note>], name: &str) -> Option<(f64, &'static str)> {
    let notes = || rounds.iter().flatten().filter(|note| note.name == name);
    let values = notes().map(|note| note.value);
    let first = notes().next()?;
    let value = match first.fold {
        Fold::Least => values.fold(f64::INFINITY, f64::min),
        Fold::Median => median(values.collect()),
        Fold::Most => values.fold(0.0, f64::max),
    };
    Some((value, first.unit))
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 { values[middle] } else { (values[middle - 1] + values[middle]) / 2.0 }
}

/// Three digits that count.
fn short(value: f64) -> String {
    match value {
        _ if value >= 99.95 => format!("{value:.0}"),
        _ if value >= 9.995 => format!("{value:.1}"),
        _ if value >= 0.0995 => format!("{value:.2}"),
        0.0 => "0".to_owned(),
        _ => format!("{value:.4}"),
    }
}

fn row([what, median, unit, range, ratio, notes]: [&str; 6]) -> String {
    let text = format!("{what:<46}{median:>8} {unit:<5}{range:>16}{ratio:>8}   {notes}");
    text.trim_end().to_owned()
}

/// An output that was closed is no reason to panic: the figures are wanted by nobody.
fn print(text: &str) {
    let mut out = io::stdout();
    if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
        std::process::exit(1);
    }
}
