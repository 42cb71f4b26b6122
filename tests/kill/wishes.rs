//! What is wanted of a run: by the arguments, which are those of any test, and by the environment.

use super::broken::{BROKEN, Variant};
use super::sampler::{self, Reach};
use super::scenarios::{ALL, Scenario};
use super::walks::walks;

/// The name of the test of the sampler itself.
pub(crate) const WEEK: &str = "a_week_covers_every_operation";
/// Harnesses for each processor: each waits most of its time, for starts, wakes and ends of processes.
const JOBS: usize = 4;

/// What is wanted.
#[derive(Debug)]
pub(crate) struct Wishes {
    pub(crate) list: bool,
    /// Which operations, and how many points of each.
    pub(crate) reach: Reach,
    /// Where chance starts.
    pub(crate) seed: u64,
    /// Every operation has its line.
    pub(crate) verbose: bool,
    /// How many harnesses work side by side.
    pub(crate) jobs: usize,
    filters: Vec<String>,
    skip: Vec<String>,
    exact: bool,
    nothing: bool,
}

impl Wishes {
    pub(crate) fn read() -> Self {
        let text = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
        let number = |name: &str| text(name).and_then(|text| text.parse::<u64>().ok());
        let mut wishes = Self {
            list: false,
            reach: Reach::of(text("KILL").as_deref()),
            seed: number("KILL_SEED").unwrap_or_else(sampler::today),
            verbose: text("KILL_VERBOSE").is_some(),
            jobs: JOBS * std::thread::available_parallelism().map_or(1, usize::from),
            filters: text("KILL_ONLY").into_iter().collect(),
            skip: Vec::new(),
            exact: false,
            nothing: false,
        };
        wishes.read_arguments();
        if !wishes.filters.is_empty() && wishes.reach == Reach::Day {
            // What is named is wanted today.
            wishes.reach = Reach::Operations;
        }
        wishes
    }

    fn read_arguments(&mut self) {
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--list" => self.list = true,
                "--exact" => self.exact = true,
                // There is nothing that would be ignored.
                "--ignored" | "--bench" => self.nothing = true,
                "--skip" => self.skip.extend(arguments.next()),
                "--test-threads" => {
                    let threads = arguments.next().and_then(|text| text.parse().ok());
                    self.jobs = threads.unwrap_or(self.jobs);
                }
                "--format" | "--color" | "--logfile" | "--shuffle-seed" | "-Z" => {
                    drop(arguments.next())
                }
                other if other.starts_with('-') => {}
                _ => self.filters.push(argument),
            }
        }
    }

    /// The names of what could be wanted and has the right name, in order, today or not.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        let scenarios = ALL.iter().map(|scenario| scenario.name);
        let broken = BROKEN.iter().map(|broken| broken.name);
        let walks = walks().map(|walk| walk.name);
        scenarios.chain(broken).chain(walks).chain([WEEK]).filter(|name| self.wants(name))
    }

    /// Whether something has the right name.
    pub(crate) fn wants(&self, name: &str) -> bool {
        let matches = |filter: &String| {
            if self.exact { name == filter } else { name.contains(filter.as_str()) }
        };
        !self.nothing
            && !self.skip.iter().any(matches)
            && (self.filters.is_empty() || self.filters.iter().any(matches))
    }

    /// The scenarios to be played.
    pub(crate) fn scenarios(&self) -> impl Iterator<Item = &'static Scenario> {
        self.of_today(&ALL).filter(|scenario| self.wants(scenario.name))
    }

    /// What must be caught.
    pub(crate) fn variants(&self) -> impl Iterator<Item = &'static Variant> {
        self.of_today(&BROKEN).filter(|variant| self.wants(variant.name))
    }

    fn of_today<T>(&self, all: &'static [T]) -> impl Iterator<Item = &'static T> {
        let is_wanted = |index: usize| self.reach != Reach::Day || sampler::is_of(self.seed, index);
        all.iter().enumerate().filter(move |(index, _)| is_wanted(*index)).map(|(_, one)| one)
    }
}
