//! The watchdog over the director itself, which also uses what is under test (it starts processes
//! and asks for lengths): a thread that looks whether anything was done lately.

use std::io::Write;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicI32, AtomicU64};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::board::SEATS;
use super::patience::Patience;
use super::ptrace;
use super::sums::Sums;

/// Nothing that the director does takes so long.
const LIMIT: Duration = Duration::from_secs(40);

static BEATS: AtomicU64 = AtomicU64::new(0);
static CHILDREN: [AtomicI32; SEATS] = [const { AtomicI32::new(0) }; SEATS];
static DOING: Mutex<String> = Mutex::new(String::new());

/// What is done makes progress.
pub(crate) fn goes_on() {
    BEATS.fetch_add(1, Relaxed);
}

/// Says what is done now.
pub(crate) fn doing(what: &str) {
    goes_on();
    let mut doing = DOING.lock().unwrap_or_else(PoisonError::into_inner);
    doing.clear();
    doing.push_str(what);
}

/// Process `pid` sits at `seat`; 0: nobody does.
pub(crate) fn child(seat: usize, pid: i32) {
    CHILDREN[seat].store(pid, Relaxed);
}

/// Starts the watchdog. When it bites, all children are killed and the harness ends with 1.
pub(crate) fn start() {
    std::thread::spawn(|| {
        let (mut beats, mut patience) = (0, Patience::new(LIMIT));
        loop {
            std::thread::sleep(Duration::from_secs(1));
            let now = BEATS.load(Relaxed);
            if now != beats {
                (beats, patience) = (now, Patience::new(LIMIT));
            } else if patience.is_over() {
                let doing = DOING.lock().unwrap_or_else(PoisonError::into_inner);
                println!("kill: HANG of the director itself: {doing}");
                for child in &CHILDREN {
                    let pid = child.load(Relaxed);
                    if pid > 0 {
                        let _ = ptrace::signal_process(pid, libc::SIGKILL);
                    }
                }
                println!("{}", Sums { hangs: 1, failed: 1, ..Sums::default() });
                let _ = std::io::stdout().flush();
                // SAFETY: it ends this process. An exit in order would wait for children.
                unsafe { libc::_exit(1) };
            }
        }
    });
}
