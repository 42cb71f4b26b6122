//! Counts the words of real text in several processes.
//!
//! This process reads the files and puts blocks of text on a bounded queue; worker processes count
//! what they get and return their tables; this process adds them up and prints the 20 most frequent
//! words. The last line compares with the same reading and the same counting in one process, done in
//! the same run over the same files (which were all read once before, so that no side pays for the
//! disk):
//!
//! ```text
//! 200 MB in 4 passes, 24000000 words, 2 workers: 1.9 s, 105 MB/s, 1.8 x one process (3.4 s)
//! ```
//!
//! With `--kill` a worker is killed every 100 ms and replaced. The blocks then go through a
//! `JoinableQueue`: what a killed worker had comes again. A block whose words were told and which was
//! not yet done comes twice, and counts once. A line says how it went:
//!
//! ```text
//! killed 17 workers, 0 words lost
//! ```
//!
//! A word is a longest run of letters and digits (as Unicode defines them), in lower case. A MB is
//! 1,000,000 bytes.
//!
//! ```sh
//! cargo run --release --example word_count                    # 200 MB of Rust sources
//! cargo run --release --example word_count -- --check src     # the text under one folder
//! cargo run --release --example word_count -- --kill --check  # while workers are killed
//! ```

use std::collections::{HashMap, HashSet};
use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::fs::{self, File};
use std::hash::{BuildHasher, BuildHasherDefault, Hasher};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use multiproc::{Consumer, JoinableConsumer, JoinableQueue, Process, Producer, Queue};

const HELP: &str = "\
Counts the words of text files in several processes.

usage: word_count [options] [file or folder]...

Folders are searched to the bottom; links inside them are not followed. Without
a file or folder: the sources of the crates that cargo has downloaded, or else
this crate's own, read again and again until 200 MB are counted.

  --workers N   how many processes count (default: one per usable CPU)
  --repeat N    read everything N times
  --kill        kill a worker every 100 ms, and start another one in its place
  --check       count again in one process, in another way, and compare;
                the exit code is 1 if the tables differ
  --help        print this text
";

/// How much is counted when no file is named.
const DEFAULT_BYTES: u64 = 200 * MB;
const MB: u64 = 1_000_000;
/// Text travels in blocks of about this many bytes.
const BLOCK: usize = 256 * 1024;
/// So many blocks may be on the queue before the reader waits for the workers.
const BLOCKS_AHEAD: usize = 16;
/// With `--kill`, how often.
const KILL_EVERY: Duration = Duration::from_millis(100);
/// How many words are printed.
const TOP: usize = 20;

type Result<T, E = Box<dyn Error>> = std::result::Result<T, E>;

fn main() -> ExitCode {
    let input =
        parse(env::args_os().skip(1)).and_then(|options| options.map(Input::survey).transpose());
    let result = match &input {
        Ok(Some(input)) => run(input),
        Ok(None) => print(HELP),
        Err(error) => return complain(error.as_ref(), ExitCode::from(2)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => complain(error.as_ref(), ExitCode::FAILURE),
    }
}

fn complain(error: &dyn Error, code: ExitCode) -> ExitCode {
    eprintln!("word_count: {error}");
    code
}

/// Writes to standard output; unlike `print!`, an output that was closed is an error and no panic.
fn print(text: &str) -> Result<()> {
    Ok(io::stdout().write_all(text.as_bytes())?)
}

/// The whole job, from the first block to the last line.
fn run(input: &Input) -> Result<()> {
    if let Some(name) = input.by_default {
        let files = plural(input.files.len() as u64, "file", "files");
        let megabytes = short(input.pass_bytes as f64 / MB as f64);
        let again = match input.goal {
            Some(goal) if input.passes > 1 => {
                format!(", read again until {} MB are counted", goal / MB)
            }
            Some(goal) => format!(", enough for {} MB", goal / MB),
            None => String::new(),
        };
        print(&format!("no file named: {name}, {files} of {megabytes} MB{again}\n"))?;
    }

    let start = Instant::now();
    let (counts, kills) = if input.kill {
        count_among_kills(input).map(|(counts, kills)| (counts, Some(kills)))?
    } else {
        (count_in_processes(input)?, None)
    };
    let shared = start.elapsed();

    let start = Instant::now();
    let mut alone = Counts::default();
    read_blocks(input, |block| {
        count(block, &mut alone);
        Ok(())
    })?;
    let single = start.elapsed();
    if let Some(kills) = kills {
        let lost: u64 = alone
            .iter()
            .map(|(word, times)| times.saturating_sub(counts.get(word).copied().unwrap_or(0)))
            .sum();
        let (workers, words) = (plural(kills, "worker", "workers"), plural(lost, "word", "words"));
        print(&format!("killed {workers}, {words} lost\n"))?;
    }
    compare("the workers", &counts, "one process", &alone)?;

    if input.check {
        compare("the workers", &counts, "the check", &count_simply(input)?)?;
    }
    print(&report(input, &counts, shared, single))
}

// The processes.

/// Reads in this process, counts in worker processes, adds up what they return.
fn count_in_processes(input: &Input) -> Result<Counts> {
    let (producer, consumer) = Queue::bounded(BLOCKS_AHEAD)?.split();
    let workers = (0..input.workers)
        .map(|_| Process::spawn(worker, (&consumer,)))
        .collect::<multiproc::Result<Vec<_>>>()?;
    // From here on only the workers hold this end: should all of them die, `put` says so.
    drop(consumer);

    let progress = progress_bar(input.total_bytes);
    let reading = read_blocks(input, |block| {
        producer.put(&*block)?;
        progress.inc(block.len() as u64);
        Ok(())
    });
    progress.finish_and_clear();
    // The workers count what is left on the queue, then see that nobody can put any more.
    drop(producer);

    // A worker's own error comes before that of the `put` which found nobody to get.
    let mut counts = Counts::default();
    for worker in workers {
        merge(&mut counts, worker.join()??);
    }
    reading.map(|()| counts)
}

/// What a worker process runs: counts blocks until there are no more.
fn worker(blocks: Consumer<String>) -> multiproc::Result<Counts> {
    let mut counts = Counts::default();
    for block in &blocks {
        count(&mut block?, &mut counts);
    }
    Ok(counts)
}

/// A block of text, or its words, and its number.
type Numbered<T> = (u64, T);

/// The same while a worker is killed every now and then: the words, and how many were killed.
fn count_among_kills(input: &Input) -> Result<(Counts, u64)> {
    // A block may be with a worker that is killed again and again.
    let blocks = JoinableQueue::builder().max_items(BLOCKS_AHEAD).max_deliveries(10_000).build()?;
    let (producer, consumer) = blocks.split();
    let (teller, told) = Queue::bounded(BLOCKS_AHEAD)?.split();
    let progress = progress_bar(input.total_bytes);
    let (over, wait) = channel();
    thread::scope(|scope| {
        let adder = scope.spawn(|| add_up(told));
        let killer = scope.spawn(|| kill_and_replace(input.workers, &consumer, teller, wait));
        let mut number = 0;
        let mut reading = read_blocks(input, |block| {
            producer.put((number, block.to_owned()))?;
            number += 1;
            progress.inc(block.len() as u64);
            Ok(())
        });
        if reading.is_ok() {
            // Until every block is done.
            reading = producer.join().map_err(Into::into);
        }
        progress.finish_and_clear();
        drop((over, producer));
        let (workers, kills) = killer.join().expect("it does not panic")?;
        for worker in workers {
            worker.join()??;
        }
        let counts = adder.join().expect("it does not panic")?;
        reading.map(|()| (counts, kills))
    })
}

/// What a worker process runs: tells the words of a block, and then says that it is done.
fn careful_worker(
    blocks: JoinableConsumer<Numbered<String>>,
    teller: Producer<Numbered<Counts>>,
) -> multiproc::Result<()> {
    for task in &blocks {
        let mut task = task?;
        let mut counts = Counts::default();
        count(&mut task.1, &mut counts);
        teller.put((task.0, counts))?;
        task.done()?;
    }
    Ok(())
}

/// Kills one worker after the other and starts another one in its place, until `over` is dropped; those that are left, and how many
/// were killed.
fn kill_and_replace(
    workers: usize,
    blocks: &JoinableConsumer<Numbered<String>>,
    teller: Producer<Numbered<Counts>>,
    over: Receiver<()>,
) -> multiproc::Result<(Vec<Process<multiproc::Result<()>>>, u64)> {
    let start = || Process::spawn(careful_worker, (blocks, &teller));
    let mut workers = (0..workers).map(|_| start()).collect::<multiproc::Result<Vec<_>>>()?;
    let mut kills = 0;
    while over.recv_timeout(KILL_EVERY) == Err(RecvTimeoutError::Timeout) {
        let next = kills as usize % workers.len();
        let victim = std::mem::replace(&mut workers[next], start()?);
        victim.handle().kill()?;
        // Says that it was killed.
        let _ = victim.join();
        kills += 1;
    }
    Ok((workers, kills))
}

/// Adds up what the workers tell, each block once.
fn add_up(told: Consumer<Numbered<Counts>>) -> multiproc::Result<Counts> {
    let (mut counts, mut known) = (Counts::default(), HashSet::new());
    for block in &told {
        let (number, more) = block?;
        if known.insert(number) {
            merge(&mut counts, more);
        }
    }
    Ok(counts)
}

fn merge(counts: &mut Counts, mut more: Counts) {
    if counts.len() < more.len() {
        std::mem::swap(counts, &mut more);
    }
    for (word, times) in more {
        *counts.entry(word).or_default() += times;
    }
}

/// A bar on a terminal; nothing where standard error is none.
fn progress_bar(bytes: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("counting [{bar:40}] {percent:>3} %")
        .expect("the template is well formed");
    ProgressBar::new(bytes).with_style(style.progress_chars("=> "))
}

// Counting.

type Counts = HashMap<String, u64, BuildHasherDefault<WordHasher>>;

/// Adds the words of a block to the table; leaves the block in lower case.
fn count(block: &mut str, counts: &mut Counts) {
    block.make_ascii_lowercase();
    let mut rest = &*block;
    while let Some(start) = rest.bytes().position(|byte| CLASS[byte as usize] != SEPARATOR) {
        // Both cuts are beside ASCII bytes, or at the ends, and so between characters.
        let mut ascii = true;
        let length = rest.as_bytes()[start..]
            .iter()
            .position(|&byte| {
                ascii &= CLASS[byte as usize] != BEYOND_ASCII;
                CLASS[byte as usize] == SEPARATOR
            })
            .unwrap_or(rest.len() - start);
        let (run, behind) = rest[start..].split_at(length);
        if ascii {
            add(counts, run);
        } else {
            let words = run.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
            words.for_each(|word| add(counts, &word.to_lowercase()));
        }
        rest = behind;
    }
}

fn add(counts: &mut Counts, word: &str) {
    match counts.get_mut(word) {
        Some(times) => *times += 1,
        None => {
            counts.insert(word.to_owned(), 1);
        }
    }
}

const SEPARATOR: u8 = 0;
const WORD: u8 = 1;
/// Part of a character that only Unicode's tables can tell.
const BEYOND_ASCII: u8 = 2;

/// What a byte means to the words around it.
static CLASS: [u8; 256] = {
    let mut class = [SEPARATOR; 256];
    let mut byte = 0;
    while byte < 256 {
        if byte >= 128 {
            class[byte] = BEYOND_ASCII;
        } else if (byte as u8).is_ascii_alphanumeric() {
            class[byte] = WORD;
        }
        byte += 1;
    }
    class
};

/// Multiplies and folds, eight bytes at a time: fast for short words, and nobody here chooses words
/// in order to make them collide, which is what the standard library's hasher guards against.
#[derive(Default)]
struct WordHasher(u64);

impl WordHasher {
    fn mix(&mut self, bits: u64) {
        let product = u128::from(self.0 ^ bits) * 0x9e37_79b9_7f4a_7c15;
        self.0 = (product >> 64) as u64 ^ product as u64;
    }
}

impl Hasher for WordHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (eights, rest) = bytes.as_chunks::<8>();
        for eight in eights {
            self.mix(u64::from_le_bytes(*eight));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.mix(u64::from_le_bytes(last) ^ (bytes.len() as u64) << 56);
    }

    /// The mark that a `str` puts behind its bytes; the length does that here.
    fn write_u8(&mut self, _: u8) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

/// The same words found in the simplest way, line by line, for `--check`.
fn count_simply(input: &Input) -> Result<HashMap<String, u64>> {
    let mut counts = HashMap::new();
    for path in input.readings() {
        for line in BufReader::new(open(path)?).lines() {
            let line = line.map_err(|error| unreadable(path, &error))?;
            for word in line.split(|c: char| !c.is_alphanumeric()) {
                if !word.is_empty() {
                    *counts.entry(word.to_lowercase()).or_default() += 1;
                }
            }
        }
    }
    Ok(counts)
}

/// Fails with the first word, in alphabetical order, that two tables do not count alike.
fn compare(
    name: &str,
    counts: &Counts,
    other_name: &str,
    others: &HashMap<String, u64, impl BuildHasher>,
) -> Result<()> {
    let differs = |word: &&String| counts.get(*word) != others.get(*word);
    match counts.keys().chain(others.keys()).filter(differs).min() {
        None => Ok(()),
        Some(word) => {
            let times = |n: Option<&u64>| n.copied().unwrap_or(0);
            Err(format!(
                "the counts differ: {name} found {word:?} {} times, {other_name} {} times",
                times(counts.get(word)),
                times(others.get(word)),
            )
            .into())
        }
    }
}

// Reading.

/// What is counted, and how; known before the clock starts.
struct Input {
    /// Every text file once, in the order in which they are read.
    files: Vec<PathBuf>,
    /// How many files are read in all passes together; the last pass may end early.
    readings: usize,
    passes: usize,
    pass_bytes: u64,
    total_bytes: u64,
    /// Files that are not UTF-8.
    skipped: usize,
    /// What is read when nothing was named.
    by_default: Option<&'static str>,
    /// How much is to be counted, where the number of passes follows from that.
    goal: Option<u64>,
    workers: usize,
    kill: bool,
    check: bool,
}

impl Input {
    /// Lists the files and reads each of them once, to know which are text and how long they are;
    /// no more of them than are needed.
    fn survey(options: Options) -> Result<Input> {
        let mut roots = options.paths;
        let mut by_default = None;
        if roots.is_empty() {
            let (name, root) = default_root();
            by_default = Some(name);
            roots.push(root);
        }
        let mut found = Vec::new();
        for root in &roots {
            list(root, &mut found)?;
        }

        let goal = match (by_default, options.repeat) {
            (Some(_), None) => Some(DEFAULT_BYTES),
            _ => None,
        };

        let mut files = Vec::new();
        let mut lengths = Vec::new();
        let (mut pass_bytes, mut skipped) = (0, 0);
        let mut buffer = vec![0; BLOCK];
        for path in found {
            match text_length(&path, &mut buffer).map_err(|error| unreadable(&path, &error))? {
                Some(length) => {
                    files.push(path);
                    lengths.push(length);
                    pass_bytes += length;
                }
                None => skipped += 1,
            }
            if goal.is_some_and(|goal| pass_bytes >= goal) {
                break;
            }
        }
        let (readings, total_bytes) = match goal {
            Some(goal) if pass_bytes > 0 => {
                let (mut readings, mut bytes) = (0, 0);
                while bytes < goal {
                    bytes += lengths[readings % lengths.len()];
                    readings += 1;
                }
                (readings, bytes)
            }
            _ => {
                let repeat = options.repeat.unwrap_or(1);
                (files.len().saturating_mul(repeat), pass_bytes.saturating_mul(repeat as u64))
            }
        };
        Ok(Input {
            passes: readings.div_ceil(files.len().max(1)).max(1),
            files,
            readings,
            pass_bytes,
            total_bytes,
            skipped,
            by_default,
            goal,
            workers: options.workers.unwrap_or_else(multiproc::cpu_count),
            kill: options.kill,
            check: options.check,
        })
    }

    /// The files of all passes, one after the other.
    fn readings(&self) -> impl Iterator<Item = &Path> {
        self.files.iter().cycle().take(self.readings).map(PathBuf::as_path)
    }
}

/// Cargo's downloads where there are some, else the sources of this crate.
fn default_root() -> (&'static str, PathBuf) {
    let cargo_home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| env::home_dir().map(|home| home.join(".cargo")));
    match cargo_home.map(|home| home.join("registry/src")) {
        Some(sources) if sources.is_dir() => ("cargo's registry sources", sources),
        _ => ("this crate's sources", Path::new(env!("CARGO_MANIFEST_DIR")).join("src")),
    }
}

/// Appends a file, or all files under a folder sorted by name, without following links in it.
fn list(path: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let metadata = fs::metadata(path).map_err(|error| unreadable(path, &error))?;
    if metadata.is_file() {
        files.push(path.to_owned());
        return Ok(());
    }
    if !metadata.is_dir() {
        return Err(format!("cannot read {}: neither a file nor a folder", path.display()).into());
    }
    let mut entries = fs::read_dir(path)
        .and_then(|entries| entries.collect::<io::Result<Vec<_>>>())
        .map_err(|error| unreadable(path, &error))?;
    entries.sort_by_key(|entry| entry.file_name());
    for entry in entries {
        let path = entry.path();
        let kind = entry.file_type().map_err(|error| unreadable(&path, &error))?;
        if kind.is_file() || kind.is_dir() {
            list(&path, files)?;
        }
    }
    Ok(())
}

/// The length of a file that is UTF-8 from end to end, `None` for any other.
fn text_length(path: &Path, buffer: &mut [u8]) -> io::Result<Option<u64>> {
    let mut file = File::open(path)?;
    let (mut filled, mut length) = (0, 0);
    loop {
        let got = read_some(&mut file, &mut buffer[filled..])?;
        length += got as u64;
        filled += got;
        match str::from_utf8(&buffer[..filled]) {
            Ok(_) => filled = 0,
            // A character that the end of the buffer cut in two: its rest is still to come.
            Err(error) if error.error_len().is_none() && got > 0 => {
                buffer.copy_within(error.valid_up_to()..filled, 0);
                filled -= error.valid_up_to();
            }
            Err(_) => return Ok(None),
        }
        if got == 0 {
            return Ok(Some(length));
        }
    }
}

/// Hands out the text of all files in blocks that end between two words.
fn read_blocks(input: &Input, mut each: impl FnMut(&mut str) -> Result<()>) -> Result<()> {
    let mut buffer = vec![0; BLOCK];
    let mut filled = 0;
    let mut hand_out = |bytes: &mut [u8], path: &Path| match str::from_utf8_mut(bytes) {
        Ok(block) => each(block),
        Err(_) => {
            Err(format!("{} is not the text that it was a moment ago", path.display()).into())
        }
    };
    for path in input.readings() {
        let mut file = open(path)?;
        loop {
            if filled == buffer.len() {
                // An ASCII byte that is no letter or digit is a boundary whatever is around it.
                match buffer.iter().rposition(|&byte| CLASS[byte as usize] == SEPARATOR) {
                    Some(last) => {
                        hand_out(&mut buffer[..=last], path)?;
                        buffer.copy_within(last + 1.., 0);
                        filled -= last + 1;
                    }
                    None => buffer.resize(2 * filled, 0),
                }
            }
            let got = read_some(&mut file, &mut buffer[filled..])
                .map_err(|error| unreadable(path, &error))?;
            filled += got;
            if got == 0 {
                // The last word of a file does not run on into the next; there is room for a byte.
                buffer[filled] = b'\n';
                filled += 1;
                break;
            }
        }
    }
    match input.files.last() {
        Some(path) => hand_out(&mut buffer[..filled], path),
        None => Ok(()),
    }
}

/// One read, begun again if a signal came in between; 0 at the end.
fn read_some(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match file.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => return read,
        }
    }
}

fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &io::Error) -> Box<dyn Error> {
    format!("cannot read {}: {error}", path.display()).into()
}

// The command line and the report.

#[derive(Default)]
struct Options {
    paths: Vec<PathBuf>,
    workers: Option<usize>,
    repeat: Option<usize>,
    kill: bool,
    check: bool,
}

/// The options, or `None` if the help text was asked for.
fn parse(mut arguments: impl Iterator<Item = OsString>) -> Result<Option<Options>> {
    let mut options = Options::default();
    let mut only_paths = false;
    while let Some(argument) = arguments.next() {
        match argument.to_str() {
            _ if only_paths => options.paths.push(argument.into()),
            Some("--") => only_paths = true,
            Some("--help" | "-h") => return Ok(None),
            Some("--kill") => options.kill = true,
            Some("--check") => options.check = true,
            Some("--workers") => options.workers = Some(number("--workers", arguments.next())?),
            Some("--repeat") => options.repeat = Some(number("--repeat", arguments.next())?),
            Some(unknown) if unknown.starts_with('-') => {
                return Err(format!("unknown option {unknown}, --help lists the options").into());
            }
            _ => options.paths.push(argument.into()),
        }
    }
    Ok(Some(options))
}

fn number(option: &str, value: Option<OsString>) -> Result<usize> {
    let value = value.ok_or_else(|| format!("{option} expects a number behind it"))?;
    match value.to_str().and_then(|text| text.parse().ok()) {
        Some(number) if number > 0 => Ok(number),
        _ => Err(format!("{option} expects a number from 1 on, found {value:?}").into()),
    }
}

/// The most frequent words, what was skipped, and the last line.
fn report(input: &Input, counts: &Counts, shared: Duration, single: Duration) -> String {
    let mut words: Vec<_> = counts.iter().map(|(word, &times)| (times, word)).collect();
    words.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(b.1)));
    let mut lines: Vec<_> =
        words.iter().take(TOP).map(|(times, word)| format!("{times:>10}  {word}")).collect();
    if input.skipped > 0 {
        lines.push(format!("{} skipped: not text", plural(input.skipped as u64, "file", "files")));
    }
    let megabytes = input.total_bytes as f64 / MB as f64;
    lines.push(format!(
        "{} MB in {}, {}, {}: {} s, {} MB/s, {:.1} x one process ({} s)\n",
        short(megabytes),
        plural(input.passes as u64, "pass", "passes"),
        plural(words.iter().map(|(times, _)| times).sum(), "word", "words"),
        plural(input.workers as u64, "worker", "workers"),
        short(shared.as_secs_f64()),
        short(megabytes / shared.as_secs_f64()),
        single.as_secs_f64() / shared.as_secs_f64(),
        short(single.as_secs_f64()),
    ));
    lines.join("\n")
}

fn plural(n: u64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// A number in two digits or more: 200, 3.4, 0.12.
fn short(number: f64) -> String {
    let decimals = match number {
        10.0.. => 0,
        1.0.. => 1,
        0.1.. => 2,
        _ => 4,
    };
    format!("{number:.decimals$}")
}
