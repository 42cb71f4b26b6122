//! A scenario while it is played: its actors, its points, what was found wrong.

use super::director::{Director, Settings};
use super::fates::Fate;
use super::scenarios::Scenario;
use super::stepper::{ENDLESS, Point, Reached, Trace, play};
use super::symbols;
use super::trouble::{Outcome, Trouble};

/// A scenario with more findings than this is given up: each may have cost the whole patience.
const ENOUGH: usize = 5;

/// A director, made when needed, and made anew after a failure.
pub(crate) struct Stage {
    settings: Settings,
    director: Option<Director>,
}

impl Stage {
    pub(crate) fn new(settings: Settings) -> Self {
        Self { settings, director: None }
    }

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
pub(crate) struct Case<'a> {
    scenario: &'a Scenario,
    stage: Stage,
    pub(crate) findings: Vec<Finding>,
    pub(crate) points: usize,
    /// Waits that ended only after the stopped victim was let go.
    pub(crate) excused: usize,
}

impl<'a> Case<'a> {
    pub(crate) fn new(scenario: &'a Scenario, stage: Stage) -> Self {
        Self { scenario, stage, findings: Vec::new(), points: 0, excused: 0 }
    }

    /// The first victim goes the whole way, and shows it. Another one may, if the first came into a
    /// sweep of all shared memory, which is too long to be stepped.
    pub(crate) fn trace(&mut self, with_changes: bool) -> Option<Trace> {
        let fate = if self.scenario.is_witness { Fate::Witness } else { Fate::Kill };
        for _ in 0..3 {
            let mut trace = if with_changes { Trace::with_changes() } else { Trace::default() };
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
    pub(crate) fn play(
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
            if let Trouble::Hang(what) = &trouble {
                show(self.scenario, what);
            }
            let address = reached.map(|reached: Reached| reached.address);
            self.findings.push(Finding::new(self.scenario, fate, point, address, trouble));
            self.set(self.stage.settings);
        } else if self.scenario.fresh {
            self.set(self.stage.settings);
        }
        reached
    }

    /// Plays one point, by the noted way if there is one; if the victim leaves that, once more by plain steps.
    pub(crate) fn play_along(
        &mut self,
        fate: Fate,
        point: Point,
        way: Option<&Trace>,
    ) -> Option<Reached> {
        let reached = self.play(fate, point, way, None);
        if reached.is_some_and(|reached| reached.strayed) {
            return self.play(fate, point, None, None);
        }
        reached
    }

    /// Ends all actors; the next are made with these settings.
    pub(crate) fn set(&mut self, settings: Settings) {
        self.excused += self.stage.director.as_ref().map_or(0, |director| director.excused);
        if let Err(trouble) = self.stage.close() {
            let start = Point::After(0);
            self.findings.push(Finding::new(self.scenario, Fate::Kill, start, None, trouble));
        }
        self.stage.settings = settings;
    }

    /// Plays the points chosen, and with `further` those behind the end that was seen, until three
    /// victims in a row have come to theirs.
    pub(crate) fn walk(
        &mut self,
        fate: Fate,
        points: Vec<Point>,
        further: bool,
        way: &Trace,
        fixed: bool,
    ) {
        let len = way.len();
        let beyond = if further { len + 1..len * 4 } else { 0..0 };
        let mut overs = 0;
        for point in points.into_iter().chain(beyond.map(Point::After)) {
            if self.findings.len() >= ENOUGH || overs == 3 {
                break;
            }
            let reached = self.play_along(fate, point, fixed.then_some(way));
            let over = reached.is_none_or(|reached| reached.over);
            let beyond = matches!(point, Point::After(step) if step > len);
            overs = if beyond && over { overs + 1 } else { 0 };
        }
    }
}

/// Has a command of the user's look at a hang while all stand as they stood: it is told the number of this process, the name of the
/// scenario, and who does not do what.
fn show(scenario: &Scenario, what: &str) {
    if let Some(command) = std::env::var_os("KILL_ON_HANG") {
        let own = std::process::id().to_string();
        let shown = std::process::Command::new(command).args([&own, scenario.name, what]).status();
        if let Err(error) = shown {
            println!("kill: KILL_ON_HANG: {error}");
        }
    }
}

/// What was wrong at a point.
#[derive(Debug)]
pub(crate) struct Finding {
    scenario: &'static str,
    fate: Fate,
    point: Point,
    /// The victim had begun its operation.
    pub(crate) begun: bool,
    place: String,
    pub(crate) trouble: Trouble,
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

    pub(crate) fn text(&self) -> String {
        let (kind, what) = match &self.trouble {
            Trouble::Hang(what) => ("HANG", what),
            Trouble::Violation(what) => ("VIOLATION", what),
            Trouble::Fault(what) => ("FAULT", what),
        };
        format!("{kind} in {}, {:?} {}{}: {what}", self.scenario, self.fate, self.point, self.place)
    }
}
