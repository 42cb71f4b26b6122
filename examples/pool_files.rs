//! Hashes all files of a folder in worker processes, and compares with the same work in one process.
//!
//! With `--kill` a worker is killed now and then. The files that it had at hand are hashed again by others, and the
//! result is the same.
//!
//! ```sh
//! cargo run --release --example pool_files -- --kill src
//! ```

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use multiproc::{Pool, Result};

/// How long a worker lives, with `--kill`.
const LIFE: Duration = Duration::from_millis(20);

/// FNV-1a, 64 bits.
fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn hash_file(path: PathBuf) -> Result<u64> {
    Ok(hash(&fs::read(path)?))
}

fn main() -> ExitCode {
    let (options, folders): (Vec<_>, Vec<_>) =
        env::args().skip(1).partition(|argument| argument.starts_with("--"));
    let kills = options == ["--kill"];
    let [folder] = &folders[..] else {
        eprintln!("usage: pool_files [--kill] folder");
        return ExitCode::from(2);
    };
    if !options.is_empty() && !kills {
        eprintln!("pool_files: unknown option {}", options.concat());
        return ExitCode::from(2);
    }
    match run(Path::new(folder), kills) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pool_files: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(folder: &Path, kills: bool) -> Result<()> {
    let mut files = Vec::new();
    list(folder, &mut files)?;
    let bar = ProgressBar::new(files.len() as u64);
    bar.set_style(
        ProgressStyle::with_template("[{bar:40}] {pos}/{len} files").expect("it is well formed"),
    );
    let shown = bar.clone();
    let pool = Pool::builder()
        .workers(3)
        .name("hasher")
        .retries(1000)
        .progress(move |state| shown.set_position(state.done()))
        .build()?;

    let is_done = AtomicBool::new(false);
    let (hashes, killed) = thread::scope(|scope| {
        let killer = scope.spawn(|| if kills { kill_workers(&pool, &is_done) } else { 0 });
        let hashes = pool.chunk_size(4).map(hash_file, &files);
        is_done.store(true, Ordering::Relaxed);
        (hashes, killer.join().expect("it does not panic"))
    });
    bar.finish_and_clear();

    let hashes = hashes?.into_iter().collect::<Result<Vec<u64>>>()?;
    let alone = files.iter().map(|file| hash_file(file.clone())).collect::<Result<Vec<u64>>>()?;
    assert_eq!(hashes, alone, "the workers and one process do not agree");
    println!("{} files hashed, the same as in one process", files.len());
    if kills {
        println!("{killed} workers killed");
    }
    Ok(())
}

/// Kills a worker now and then, by another program, as somebody else would; how many.
fn kill_workers(pool: &Pool, is_done: &AtomicBool) -> u32 {
    let mut killed = 0;
    // At least one, however few files there are.
    while killed == 0 || !is_done.load(Ordering::Relaxed) {
        if let Some(worker) = pool.workers().first() {
            let kill = Command::new("kill")
                .args(["-9", &worker.id().to_string()])
                .stderr(Stdio::null())
                .status();
            killed += u32::from(kill.is_ok_and(|status| status.success()));
        }
        thread::sleep(LIFE);
    }
    killed
}

/// All files below a folder, sorted.
fn list(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let mut entries = fs::read_dir(folder)?.collect::<std::io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let kind = entry.file_type()?;
        if kind.is_dir() {
            list(&entry.path(), files)?;
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
    Ok(())
}
