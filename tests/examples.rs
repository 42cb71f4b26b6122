//! Builds every example, runs it, and compares what it says with `examples/expected/NAME.txt`.
//!
//! Every example has such a file and every such file has an example; anything else fails. A file is
//! one or more runs:
//!
//! ```text
//! # A comment.
//! $ NAME --option examples/input
//! [stderr] a line on standard error
//! [exit 2]
//! first line of the output
//! [unordered] these two lines
//! [unordered] may come the other way round
//! took {N} ms and {*}
//! ```
//!
//! - `$ NAME arguments` starts a run: in the folder of the package, standard input empty, arguments
//!   cut at blanks, no shell.
//! - `# ` starts a comment. Empty lines behind the last line of a run are ignored.
//! - `[exit N]` is the exit status (else 0), `[stderr] ` a line on standard error (else it is empty).
//! - All other lines are the output, line by line. Adjacent lines marked `[unordered] ` match as many
//!   lines of the output in whatever order they come.
//! - `{N}` is a number, such as `7`, `1234` or `0.25`; `{*}` is any text, also none. All else is literal.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

/// No run takes longer than this on a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn every_example_says_what_is_expected() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let programs = build();
    let mut sources = names(&examples, "rs");
    sources.extend(programs.keys().cloned());
    let expectations = names(&examples.join("expected"), "txt");
    let mut faults = String::new();
    for name in sources.symmetric_difference(&expectations) {
        let missing = if sources.contains(name) {
            format!("examples/expected/{name}.txt")
        } else {
            format!("examples/{name}.rs")
        };
        writeln!(faults, "{name}: {missing} is missing").unwrap();
    }
    let mut all = Vec::new();
    for name in sources.intersection(&expectations) {
        let text = fs::read_to_string(examples.join("expected").join(format!("{name}.txt")));
        let runs = parse(name, &text.expect("an expectation is text"));
        match programs.get(name) {
            Some(program) => all.extend(runs.into_iter().map(|run| (name, program, run))),
            None => writeln!(faults, "{name}: cargo built no such example").unwrap(),
        }
    }
    let faults = Mutex::new(faults);
    let next = Mutex::new(all.iter().enumerate());
    // Most of them wait most of their time.
    let several = thread::available_parallelism().map_or(1, usize::from) + 1;
    thread::scope(|scope| {
        for _ in 0..several {
            scope.spawn(|| {
                loop {
                    let taken = next.lock().unwrap().next();
                    let Some((number, (name, program, run))) = taken else { return };
                    let found = execute(program, &format!("{name}-{number}"), &run.arguments);
                    let outcome =
                        run.check(&found).and_then(|()| check_groups(name, &found.output));
                    if let Err(fault) = outcome {
                        let command = run.arguments.join(" ");
                        writeln!(faults.lock().unwrap(), "$ {name} {command}\n{fault}").unwrap();
                    }
                }
            });
        }
    });
    let faults = faults.into_inner().unwrap();
    assert!(faults.is_empty(), "examples do not behave as expected:\n\n{faults}");
}

/// The stems of the files in a folder that end in `extension`.
fn names(folder: &Path, extension: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let paths = entries.map(|entry| entry.expect("a folder can be listed").path());
    let paths = paths.filter(|path| path.extension().is_some_and(|found| found == extension));
    paths.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

/// Has cargo build all examples, as it built this test; answers where each of them is.
fn build() -> BTreeMap<String, PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--examples", "--message-format=json-render-diagnostics"]);
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let output = command.output().expect("cargo can be started");
    let messages = String::from_utf8_lossy(&output.stdout);
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "the examples do not build:\n{complaints}");
    let artifacts = messages.lines().filter(|line| line.contains(r#""kind":["example"]"#));
    artifacts
        .filter_map(|line| {
            let executable = PathBuf::from(field(line, "executable")?);
            Some((executable.file_stem()?.to_str()?.to_owned(), executable))
        })
        .collect()
}

/// The text of a member of a JSON object; enough for paths, which cargo hardly ever has to escape.
fn field<'a>(json: &'a str, name: &str) -> Option<&'a str> {
    let (_, behind) = json.split_once(&format!(r#""{name}":""#))?;
    Some(behind.split_once('"')?.0)
}

/// One run as the expectation describes it.
#[derive(Debug, Default, PartialEq)]
struct Run {
    arguments: Vec<String>,
    status: i32,
    output: Vec<Expected>,
    errors: Vec<Expected>,
}

#[derive(Debug, PartialEq)]
enum Expected {
    Line(String),
    Unordered(Vec<String>),
}

/// What a run did.
struct Found {
    status: Option<ExitStatus>,
    output: String,
    errors: String,
}

fn parse(name: &str, text: &str) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.starts_with("# ") || line == "#" {
            continue;
        }
        if let Some(command) = line.strip_prefix("$ ") {
            let mut words = command.split_whitespace().map(str::to_owned);
            assert_eq!(words.next().as_deref(), Some(name), "{name}.txt runs something else");
            runs.push(Run { arguments: words.collect(), ..Run::default() });
            continue;
        }
        let Some(run) = runs.last_mut() else {
            assert!(line.is_empty(), "{name}.txt, line {}: a run starts with `$ `", number + 1);
            continue;
        };
        if let Some(status) = line.strip_prefix("[exit ").and_then(|rest| rest.strip_suffix(']')) {
            run.status = status.parse().expect("an exit status is a number");
        } else if let Some(line) = line.strip_prefix("[stderr] ") {
            run.errors.push(Expected::Line(line.to_owned()));
        } else if let Some(line) = line.strip_prefix("[unordered] ") {
            match run.output.last_mut() {
                Some(Expected::Unordered(lines)) => lines.push(line.to_owned()),
                _ => run.output.push(Expected::Unordered(vec![line.to_owned()])),
            }
        } else {
            run.output.push(Expected::Line(line.to_owned()));
        }
    }
    for run in &mut runs {
        while run.output.pop_if(|last| *last == Expected::Line(String::new())).is_some() {}
    }
    assert!(!runs.is_empty(), "{name}.txt has no run");
    runs
}

/// Runs a program to its end, or kills it when patience is at its end.
///
/// Its output goes to files: a process that it leaves behind cannot keep this one waiting.
fn execute(program: &Path, label: &str, arguments: &[String]) -> Found {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("examples");
    fs::create_dir_all(&folder).expect("the target folder can be written");
    let [output, errors] = ["out", "err"].map(|end| folder.join(format!("{label}.{end}")));
    let create = |path| Stdio::from(File::create(path).expect("the target folder can be written"));
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_remove("RUST_BACKTRACE")
        .stdin(Stdio::null())
        .stdout(create(&output))
        .stderr(create(&errors))
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        match child.try_wait().expect("a child can be waited for") {
            None if Instant::now() < deadline => thread::sleep(Duration::from_millis(5)),
            None => {
                child.kill().expect("a child can be killed");
                child.wait().expect("a child can be waited for");
                break None;
            }
            status => break status,
        }
    };
    let read = |path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
    Found { status, output: read(output), errors: read(errors) }
}

impl Run {
    fn check(&self, found: &Found) -> Result<(), String> {
        let mut faults = Vec::new();
        match found.status {
            Some(status) if status.code() == Some(self.status) => {}
            Some(status) => faults.push(format!("expected exit status {}: {status}", self.status)),
            None => faults.push(format!("did not end within {} s", PATIENCE.as_secs())),
        }
        faults.extend(compare("standard output", &self.output, &found.output));
        faults.extend(compare("standard error", &self.errors, &found.errors));
        if faults.is_empty() {
            return Ok(());
        }
        let Found { output, errors, .. } = found;
        Err(format!("{}\n--- output\n{output}--- errors\n{errors}---\n", faults.join("\n")))
    }
}

/// What patterns cannot say: the three lines of each group in `lock_workers` are of one worker.
fn check_groups(name: &str, output: &str) -> Result<(), String> {
    let lines: Vec<&str> = output.lines().collect();
    let worker = |line: &&str| line.split(':').next().map(str::to_owned);
    let is_mixed = |group: &&[&str]| group.iter().any(|line| worker(line) != worker(&group[0]));
    match lines.chunks(3).find(is_mixed) {
        Some(group) if name == "lock_workers" => Err(format!("of several workers: {group:?}")),
        _ => Ok(()),
    }
}

/// The first difference between the lines that are expected and those that came.
fn compare(stream: &str, expected: &[Expected], found: &str) -> Option<String> {
    let mut lines = found.lines().enumerate();
    for entry in expected {
        match entry {
            Expected::Line(pattern) => match lines.next() {
                Some((_, line)) if matches(pattern, line) => {}
                Some((number, line)) => {
                    let number = number + 1;
                    return Some(format!(
                        "{stream}, line {number}:\n  expected {pattern:?}\n  found    {line:?}"
                    ));
                }
                None => return Some(format!("{stream} ends before {pattern:?}")),
            },
            Expected::Unordered(patterns) => {
                let mut group: Vec<_> = lines.by_ref().take(patterns.len()).collect();
                for pattern in patterns {
                    match group.iter().position(|(_, line)| matches(pattern, line)) {
                        Some(index) => drop(group.remove(index)),
                        None => {
                            return Some(format!("{stream}: no {pattern:?} among the unordered"));
                        }
                    }
                }
            }
        }
    }
    let (number, line) = lines.next()?;
    Some(format!("{stream}, line {}: expected nothing more, found {line:?}", number + 1))
}

/// Whether a line is what the pattern says, `{N}` and `{*}` filled in.
fn matches(pattern: &str, line: &str) -> bool {
    let Some(start) = [pattern.find("{N}"), pattern.find("{*}")].into_iter().flatten().min() else {
        return pattern == line;
    };
    let (before, rest) = pattern.split_at(start);
    let (hole, after) = rest.split_at(3);
    let Some(line) = line.strip_prefix(before) else {
        return false;
    };
    let mut ends = line.char_indices().map(|(at, _)| at).chain([line.len()]);
    ends.any(|end| (hole == "{*}" || is_number(&line[..end])) && matches(after, &line[end..]))
}

fn is_number(text: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    match text.split_once('.') {
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => digits(text),
    }
}

#[test]
fn patterns_match_numbers_and_text_and_nothing_else() {
    for (pattern, line, expected) in [
        ("plain", "plain", true),
        ("plain", "plain ", false),
        ("{N} MB", "200 MB", true),
        ("{N} MB", "0.25 MB", true),
        ("{N} MB", " MB", false),
        ("{N} MB", "1.2.3 MB", false),
        ("{N} MB", "x MB", false),
        ("a {N}, {N} b", "a 1, 2 b", true),
        ("a {*}b", "a b", true),
        ("a {*}b", "a b and b", true),
        ("a {*}b", "a b and c", false),
        ("{*} é {N}", "für é 7", true),
        ("{M}", "{M}", true),
    ] {
        assert_eq!(matches(pattern, line), expected, "{pattern:?} and {line:?}");
    }
}

#[test]
fn an_expectation_is_read_as_described() {
    let text =
        "# why\n\n$ x --a b\n[stderr] bad\n[exit 2]\none\n[unordered] u\n[unordered] v\n\n$ x\n";
    let line = |text: &str| Expected::Line(text.to_owned());
    let first = Run {
        arguments: vec!["--a".to_owned(), "b".to_owned()],
        status: 2,
        output: vec![line("one"), Expected::Unordered(vec!["u".to_owned(), "v".to_owned()])],
        errors: vec![line("bad")],
    };
    assert_eq!(parse("x", text), [first, Run::default()]);
}

#[test]
fn a_difference_is_found() {
    let unordered = [
        Expected::Unordered(vec!["b {N}".to_owned(), "a".to_owned()]),
        Expected::Line("end".to_owned()),
    ];
    for (found, fault) in [
        ("a\nb 1\nend\n", None),
        ("b 1\na\nend\n", None),
        ("b 1\na\n", Some("output ends before \"end\"")),
        ("b 1\nb 2\nend\n", Some("output: no \"a\" among the unordered")),
        ("b 1\na\nend\nmore\n", Some("output, line 4: expected nothing more, found \"more\"")),
        ("a\nb 1\nEnd\n", Some("output, line 3:\n  expected \"end\"\n  found    \"End\"")),
    ] {
        assert_eq!(compare("output", &unordered, found).as_deref(), fault);
    }
}
