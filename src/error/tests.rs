//! Errors of every kind: their texts, their journeys.

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;

use serde::Serialize;

use super::{ChildFailure, Error, ErrorKind, PREDICATES, Result};

fn roundtrip<T: Serialize + serde::de::DeserializeOwned>(value: &T) -> T {
    postcard::from_bytes(&postcard::to_stdvec(value).unwrap()).unwrap()
}

fn worker() -> ChildFailure {
    ChildFailure::of("worker", 123)
}

#[test]
fn it_is_small_and_goes_anywhere() {
    fn anywhere<T: Send + Sync + Clone + 'static>() {}
    fn error<T: StdError + Send + Sync + 'static>() {}
    error::<Error>();
    anywhere::<ChildFailure>();
    assert_eq!(size_of::<Error>(), size_of::<usize>());
    assert_eq!(size_of::<Result<()>>(), size_of::<usize>());
    fn boxed() -> std::result::Result<(), Box<dyn StdError + Send + Sync>> {
        Err(Error::simple(ErrorKind::Full))?
    }
    assert!(boxed().unwrap_err().downcast::<Error>().unwrap().is_full());
}

#[test]
fn what_an_error_consists_of_is_dropped_once() {
    #[derive(Debug)]
    struct Cause {
        _alive: Arc<()>,
    }
    impl fmt::Display for Cause {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("cause")
        }
    }
    impl StdError for Cause {}
    let alive = Arc::new(());
    let caused = || Error::simple(ErrorKind::Io).with_source(Cause { _alive: Arc::clone(&alive) });
    drop(caused());
    assert_eq!(Arc::strong_count(&alive), 1);
    let error = caused().about("this").with_kind(ErrorKind::Limit);
    assert_eq!(Arc::strong_count(&alive), 2);
    let again = error.with_source("another one").with_source(Cause { _alive: Arc::clone(&alive) });
    assert_eq!(Arc::strong_count(&alive), 2);
    let thread = std::thread::spawn(move || again.is_limit());
    assert!(thread.join().unwrap());
    assert_eq!(Arc::strong_count(&alive), 1);
    // One of which only the kind is known is the same one again afterwards.
    drop(Error::simple(ErrorKind::Io));
    let changed = Error::simple(ErrorKind::Io).about("that");
    assert_eq!(changed.to_string(), format!("that: {}", ErrorKind::Io));
    assert_eq!(Error::simple(ErrorKind::Io).to_string(), ErrorKind::Io.to_string());
    assert!(Error::simple(ErrorKind::Io).with_kind(ErrorKind::Full).is_full());
}

#[test]
fn a_text_may_be_empty_and_is_told_from_none() {
    assert_eq!(Error::other("").to_string(), "");
    assert_eq!(Error::other("").about("this").to_string(), "this");
    assert_eq!(roundtrip(&Error::of(ErrorKind::Io, "")).to_string(), "");
    let caused = Error::simple(ErrorKind::Io).with_source("cause");
    let text = format!("{} [Io]\n  caused by: cause", ErrorKind::Io);
    assert_eq!(format!("{caused:?}"), text);
    assert_eq!(format!("{:?}", roundtrip(&caused)), text);
}

#[test]
fn each_kind_has_its_predicate_and_a_text_in_the_house_style() {
    assert_eq!(ErrorKind::ALL.len(), PREDICATES.len());
    for (at, kind) in ErrorKind::ALL.iter().enumerate() {
        let error = Error::simple(*kind);
        assert_eq!(error.kind(), *kind);
        for (other, predicate) in PREDICATES.iter().enumerate() {
            assert_eq!(predicate(&error), at == other, "{kind:?}");
            assert_eq!(predicate(&Error::of(*kind, "x")), at == other, "{kind:?}");
        }
        let text = error.to_string();
        assert_eq!(text, kind.to_string());
        assert!(text.starts_with(|c: char| c.is_lowercase()), "{text}");
        assert!(!text.ends_with('.') && !text.contains("  "), "{text}");
    }
    assert!(Error::from(ErrorKind::Busy).is_busy());
}

#[test]
fn display_and_debug_of_simple_and_told_errors() {
    let error = Error::simple(ErrorKind::Timeout);
    assert_eq!(error.to_string(), "timed out");
    assert_eq!(format!("{error:?}"), "timed out [Timeout]");
    let error = Error::of(ErrorKind::InvalidInput, "0 parties").with_source("no reason");
    assert_eq!(error.to_string(), "0 parties");
    assert_eq!(format!("{error:?}"), "0 parties [InvalidInput]\n  caused by: no reason");
    let error = Error::simple(ErrorKind::Spawn).with_source(Error::simple(ErrorKind::Limit));
    assert!(error.is_spawn());
    assert_eq!(error.to_string(), ErrorKind::Spawn.text());
    assert!(error.source().unwrap().downcast_ref::<Error>().unwrap().is_limit());
}

#[test]
fn an_error_of_the_system_has_its_kind_text_and_source() {
    let error = Error::os("cannot map the world", io::Error::from_raw_os_error(12));
    assert!(error.is_out_of_memory());
    let text = error.to_string();
    // Each libc has its own words.
    let words = io::Error::from_raw_os_error(12);
    assert!(text.starts_with(&format!("cannot map the world: {words}; ")), "{text}");
    assert!(text.contains("memory.max") && text.contains("ulimit -v"), "{text}");
    assert_eq!(format!("{error:?}"), format!("{error} [OutOfMemory]"));
    let source = error.source().unwrap().downcast_ref::<io::Error>().unwrap();
    assert_eq!(source.raw_os_error(), Some(12));
}

#[test]
fn an_error_of_the_system_says_what_helps_against_this_very_error() {
    const HINTS: [(i32, ErrorKind, &str); 8] = [
        (1, ErrorKind::PermissionDenied, "seccomp"),
        (12, ErrorKind::OutOfMemory, "ulimit -v"),
        (23, ErrorKind::Limit, "fs.file-max"),
        (24, ErrorKind::Limit, "ulimit -n"),
        (27, ErrorKind::Limit, "ulimit -f"),
        (28, ErrorKind::Limit, "is full"),
        (38, ErrorKind::Unsupported, "Linux 5.4"),
        (122, ErrorKind::Limit, "quota"),
    ];
    for (number, kind, _) in HINTS {
        let told = Error::os("cannot open it", io::Error::from_raw_os_error(number));
        let bare = Error::from(io::Error::from_raw_os_error(number));
        for error in [&told, &bare] {
            let text = error.to_string();
            assert_eq!(error.kind(), kind, "{text}");
            for (other, _, of_other) in HINTS {
                assert_eq!(text.contains(of_other), number == other, "{number}: {text}");
            }
            assert!(!text.ends_with('.') && !text.contains("  "), "{text}");
        }
    }
    let plain = Error::os("cannot look", io::Error::from_raw_os_error(2)).to_string();
    assert_eq!(plain, "cannot look: No such file or directory (os error 2)");
}

#[test]
fn kinds_follow_errno() {
    for (errno, kind) in [
        (1, ErrorKind::PermissionDenied),
        (2, ErrorKind::NotFound),
        (5, ErrorKind::Io),
        (7, ErrorKind::TooLarge),
        (11, ErrorKind::Io),
        (13, ErrorKind::PermissionDenied),
        (16, ErrorKind::Busy),
        (17, ErrorKind::AlreadyExists),
        (22, ErrorKind::InvalidInput),
        (28, ErrorKind::Limit),
        (32, ErrorKind::Closed),
        (35, ErrorKind::Deadlock),
        (38, ErrorKind::Unsupported),
        (104, ErrorKind::Closed),
        (110, ErrorKind::Timeout),
    ] {
        let error = Error::from(io::Error::from_raw_os_error(errno));
        assert_eq!(error.kind(), kind, "{error}");
    }
}

#[test]
fn an_error_inside_an_io_error_comes_out_again() {
    let inside = io::Error::other(Error::simple(ErrorKind::OwnerDied));
    assert!(Error::from(inside).is_owner_died());
    let text = Error::from(io::Error::other("odd"));
    assert!(text.is_io());
    assert_eq!(text.to_string(), "odd");
}

#[test]
fn other_keeps_what_it_wraps() {
    let error = Error::other("x".parse::<u8>().unwrap_err());
    assert!(error.is_other());
    assert_eq!(error.to_string(), "invalid digit found in string");
    assert_eq!(format!("{error:?}"), "invalid digit found in string [Other]");
    assert!(error.source().unwrap().is::<std::num::ParseIntError>());
    assert_eq!(Error::other("just text").to_string(), "just text");
}

#[test]
fn a_simple_error_arrives_simple() {
    for kind in ErrorKind::ALL {
        let error = roundtrip(&Error::simple(*kind));
        assert_eq!(error.kind(), *kind);
        assert!(error.0.is_simple());
    }
}

#[test]
fn causes_arrive_as_text() {
    let cause = Error::of(ErrorKind::Io, "middle").with_source("deepest");
    let error = roundtrip(&Error::of(ErrorKind::Spawn, "outer").with_source(cause));
    assert!(error.is_spawn());
    assert_eq!(error.to_string(), "outer");
    let middle = error.source().unwrap();
    assert_eq!(middle.to_string(), "middle");
    assert_eq!(middle.source().unwrap().to_string(), "deepest");
    assert!(middle.source().unwrap().source().is_none());
    let debug = "outer [Spawn]\n  caused by: middle\n  caused by: deepest";
    assert_eq!(format!("{error:?}"), debug);
    // Once text, text for ever: a second journey changes nothing.
    assert_eq!(format!("{:?}", roundtrip(&error)), debug);
}

#[test]
fn a_panic_of_a_child() {
    let failure = worker().with_status(ExitStatus::from_raw(101 << 8)).with_panic(
        "boom",
        Some("src/x.rs:3:5".into()),
        Some("   0: work\n".into()),
    );
    let error = roundtrip(&Error::from_child(failure.clone()));
    assert!(error.is_child());
    let child = error.child().unwrap();
    assert_eq!(*child, failure);
    assert_eq!((child.name(), child.pid()), ("worker", 123));
    assert_eq!((child.exit_code(), child.signal()), (Some(101), None));
    assert_eq!(child.status().and_then(|status| status.code()), Some(101));
    assert_eq!(child.message(), Some("boom"));
    assert_eq!(child.location(), Some("src/x.rs:3:5"));
    assert_eq!(child.backtrace(), Some("   0: work\n"));
    let line = "process \"worker\" (pid 123) panicked at src/x.rs:3:5: boom";
    assert_eq!(error.to_string(), line);
    assert_eq!(
        format!("{error:?}"),
        format!("{line} [Child]\n  backtrace of the child:\n   0: work")
    );
    assert_eq!(
        worker().with_panic("boom", None, None).to_string(),
        "process \"worker\" (pid 123) panicked: boom"
    );
}

#[test]
fn other_ends_of_a_child() {
    let killed = worker().with_status(ExitStatus::from_raw(9));
    assert_eq!(killed.to_string(), "process \"worker\" (pid 123) was killed by signal 9 (SIGKILL)");
    assert_eq!(killed.signal(), Some(9));
    assert!(
        worker()
            .with_status(ExitStatus::from_raw(40))
            .to_string()
            .ends_with("was killed by signal 40")
    );
    let ended = worker().with_status(ExitStatus::from_raw(3 << 8));
    assert_eq!(ended.to_string(), "process \"worker\" (pid 123) ended with exit code 3");
    assert!(worker().to_string().ends_with("ended without a result"));
    let early = ended.with_note("it ended before its function returned");
    let line = "process \"worker\" (pid 123) ended with exit code 3: it ended before its function returned";
    assert_eq!(early.to_string(), line);
    let error = roundtrip(&Error::from_child(early));
    assert_eq!(error.to_string(), line);
    assert_eq!(format!("{error:?}"), format!("{line} [Child]"));
    assert!(worker().with_note("and why").to_string().ends_with("without a result: and why"));
    assert!(Error::simple(ErrorKind::Child).child().is_none());
}

#[test]
fn a_list_of_causes_without_end_is_cut_and_dropped() {
    let causes = vec![String::new(); 200_000];
    let bytes = postcard::to_stdvec(&(ErrorKind::Other, Some("why"), None::<ChildFailure>, causes));
    let error: Error = postcard::from_bytes(&bytes.unwrap()).unwrap();
    let first: &dyn StdError = &error;
    let causes = std::iter::successors(first.source(), |error| (*error).source()).count();
    assert_eq!((error.to_string().lines().next(), causes), (Some("why"), 64));
}
