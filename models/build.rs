//! Copies the protocols from the package's sources, so that the models drive the very code that is shipped.
//!
//! Three things differ in the copies, all of them written down here, and the build fails where a text to be changed is no
//! longer in the source:
//!
//! - inner documentation and unit tests are left out, and a file that leans on too much else is copied by functions;
//! - *changes*: what cannot be under a model checker (sizes of loom's atomics, a keeper that never ends);
//! - *mutants*: deliberately weakened variants. Each stands beside the original behind a switch that the models turn on
//!   one at a time. They must catch every one.

use std::fmt::Write;
use std::path::{Path, PathBuf};

/// A module of the models and where it comes from.
struct Module {
    name: &'static str,
    /// A file, or a folder whose files are taken together.
    from: &'static str,
    /// Where given: only these functions, each in an `impl` of the type.
    functions: &'static [(&'static str, &'static [&'static str])],
    changes: &'static [(&'static str, &'static str)],
}

const MODULES: &[Module] = &[
    Module { name: "error", from: "src/error/mod.rs", functions: &[], changes: &[] },
    Module {
        name: "testing",
        from: "src/testing.rs",
        functions: &[],
        // Models run side by side, and some have slices.
        changes: &[("SLICES.load(Ordering::Relaxed)", "crate::sim::has_slices()")],
    },
    Module {
        name: "header",
        from: "src/world/header.rs",
        functions: &[],
        // Loom's atomics have a size of their own.
        changes: &[(
            "const _: () = {\n    assert!(size_of",
            "#[cfg(any())]\nconst _: () = {\n    assert!(size_of",
        )],
    },
    Module { name: "registry", from: "src/world/registry.rs", functions: &[], changes: &[] },
    Module { name: "word_lock", from: "src/world/word_lock.rs", functions: &[], changes: &[] },
    Module { name: "restraint", from: "src/world/restraint.rs", functions: &[], changes: &[] },
    Module {
        name: "brief_lock",
        from: "src/world/brief_lock.rs",
        functions: &[],
        // A nap has no end under a model checker, and `waiters` is a hint alone: here who gives back wakes all. And
        // loom may order a plain store before the read-modify-write of a sleeper's look that came before it.
        changes: &[
            ("let end = Deadline::after(nap);", "let end = Deadline::NEVER;"),
            ("self.waiters.store(1, Ordering::Relaxed);", ""),
            ("self.waiters.load(Ordering::Relaxed) != 0", "false"),
            (
                "self.word.store(0, Ordering::Release);",
                "self.word.swap(0, Ordering::Release);\n        crate::sys::futex::wake_all(&self.word);",
            ),
        ],
    },
    Module {
        name: "news",
        from: "src/world/news.rs",
        functions: &[],
        // Loom does not know that a locked instruction is a barrier.
        changes: &[(
            "core::sync::atomic::compiler_fence(Ordering::SeqCst)",
            "crate::sys::atomic::fence(Ordering::SeqCst)",
        )],
    },
    Module { name: "wait", from: "src/world/wait.rs", functions: &[], changes: &[] },
    Module {
        name: "keeper",
        from: "src/world/keeper.rs",
        functions: &[],
        changes: &[
            ("fn run(&mut self) -> ! {", "pub(super) fn run(&mut self) {"),
            (
                "            self.sleep(expected);",
                "            if crate::sim::is_over() {\n                return;\n            }\n            self.sleep(expected);",
            ),
            // A model's world has few processes, and all from the start.
            ("(0..PROCESSES)", "(0..registry.processes())"),
            ("\nstruct Keeper {", "\npub(super) struct Keeper {"),
            ("\nstruct Dying {", "\npub(super) struct Dying {"),
            ("    fn new(\n", "    pub(super) fn new(\n"),
        ],
    },
    Module {
        name: "world",
        from: "src/world/mod.rs",
        functions: &[
            (
                "World",
                &[
                    "fn is_current",
                    "fn this_process",
                    "fn raise_alarm",
                    "fn alarms",
                    "fn tell_other_keepers",
                    "fn bump",
                    "fn epoch",
                ],
            ),
            ("Slot", &["fn robust_word"]),
        ],
        changes: &[],
    },
    Module {
        name: "arena",
        from: "src/world/arena.rs",
        functions: &[
            ("Block", &["fn link", "fn give_to", "fn set_holder"]),
            ("World", &["fn hold", "fn free"]),
            ("Held<'_>", &["fn alloc", "fn push", "fn is_block_used"]),
        ],
        // Some models look without the lock.
        changes: &[("Held { world: self, me }", "Held { world: self, me: Some(me) }")],
    },
    Module {
        name: "forms",
        from: "src/sync/forms.rs",
        functions: &[],
        // Handles do not travel here.
        changes: &[("        $crate::sync::forms::travels!($handle);\n", "")],
    },
    Module {
        name: "lock",
        from: "src/sync/lock.rs",
        functions: &[],
        // A model says which of its threads panics.
        changes: &[("std::thread::panicking()", "crate::sim::is_unwinding()")],
    },
    Module {
        name: "rlock",
        from: "src/sync/rlock.rs",
        functions: &[],
        changes: &[("std::thread::panicking()", "crate::sim::is_unwinding()")],
    },
    Module {
        name: "event",
        from: "src/sync/event.rs",
        functions: &[
            ("", &["const SET", "const SLEEPERS", "const COUNT", "const ONE", "const LOOKS"]),
            ("Event", &["fn set", "fn clear", "fn is_set", "fn wait_until"]),
        ],
        changes: &[],
    },
    Module {
        name: "semaphore",
        from: "src/sync/semaphore.rs",
        functions: &[
            ("", &["const LOOKS", "const PATIENCE", "const LINE"]),
            ("Far", &["fn of"]),
            (
                "Permits",
                &[
                    "fn acquire",
                    "fn is_left_to_sleepers",
                    "fn leave_to_sleepers",
                    "fn take_at_hand",
                    "fn take",
                    "fn entry_to_take",
                    "fn is_gone",
                    "fn acquire_slowly",
                    "fn lock",
                    "fn derive",
                    "fn give_back",
                    "fn end",
                    "fn is_own",
                    "fn far_entry_to_end",
                    "fn lock_to_end",
                    "fn release",
                ],
            ),
        ],
        changes: &[],
    },
    Module {
        name: "chunk",
        from: "src/channel/ring/chunk.rs",
        functions: &[],
        // Loom looks after the bytes.
        changes: &[
            (
                "core::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len())",
                "crate::channel::payload::write(bytes, to)",
            ),
            (
                "core::ptr::copy_nonoverlapping(from, to, len)",
                "crate::channel::payload::read(from, to, len)",
            ),
        ],
    },
    Module {
        name: "ring",
        from: "src/channel/ring",
        functions: &[
            ("Mark", &["fn new", "fn position", "fn count", "fn parity"]),
            (
                "Ring",
                &[
                    "fn load_head",
                    "fn load_tail",
                    "fn load_both",
                    "fn is_closed",
                    "fn lock",
                    "fn tell_of_message",
                    "fn push_at_hand",
                    "fn push_with",
                    "fn push_locked",
                    "fn store_tail",
                    "fn fits",
                    "fn has_room",
                    "fn place",
                    "fn place_in_next",
                    "fn pop_at_hand",
                    "fn pop_slowly",
                    "fn pop_locked",
                    "fn first_record",
                    "fn first_of_next",
                    "fn finish",
                    "fn wait_for_messages",
                    "fn wait_for_room",
                    "fn bytes",
                    "fn has_room_for",
                ],
            ),
            ("After", &["fn copy_large"]),
        ],
        changes: &[],
    },
];

/// A weakened variant: the module, its name, and what stands there instead.
const MUTANTS: &[(&str, &str, &str, &str)] = &[
    (
        "word_lock",
        "unlock_stores_zero",
        "self.word.fetch_sub(me.to_bits(), Ordering::Release)",
        "self.word.swap(0, Ordering::Release)",
    ),
    (
        "word_lock",
        "unlock_is_relaxed",
        "self.word.fetch_sub(me.to_bits(), Ordering::Release)",
        "self.word.fetch_sub(me.to_bits(), Ordering::Relaxed)",
    ),
    (
        "word_lock",
        "lock_is_relaxed",
        "self.word.compare_exchange(0, me.to_bits(), Ordering::AcqRel, Ordering::Relaxed)",
        "self.word.compare_exchange(0, me.to_bits(), Ordering::Release, Ordering::Relaxed)",
    ),
    ("word_lock", "no_second_wake", "futex::wake_all(&self.word)", "0"),
    ("word_lock", "no_look_before_sleep", "!world.registry.is_dead(owner)", "true"),
    ("word_lock", "reports_at_first_sight", "word.load(Ordering::Relaxed) != now", "false"),
    ("word_lock", "recover_clears_the_mark", "policy == Policy::Recover", "false"),
    (
        "word_lock",
        "taker_clears_the_mark",
        "if policy == Policy::Adopt { 0 } else { now & MARKED }",
        "0",
    ),
    ("word_lock", "report_takes_over", "policy == Policy::Report", "false"),
    (
        "word_lock",
        "recovered_keeps_the_mark",
        "self.word.fetch_sub(me.to_bits() | MARKED, Ordering::Release)",
        "self.word.fetch_sub(me.to_bits(), Ordering::Release)",
    ),
    (
        "word_lock",
        "taker_forgets_waiters",
        "now & WAITERS\n                    | me.to_bits()",
        "me.to_bits()",
    ),
    (
        "lock",
        "panic_clears_the_mark",
        "self.recovered && !crate::sim::is_unwinding()",
        "self.recovered",
    ),
    (
        "rlock",
        "depth_counts_on",
        "self.cell.depth.store(1, Ordering::Relaxed)",
        "self.cell.depth.store(self.cell.depth.load(Ordering::Relaxed) + 1, Ordering::Relaxed)",
    ),
    ("rlock", "unfinished_stays", "self.cell.unfinished.store(0, Ordering::Relaxed)", "()"),
    ("rlock", "inner_panic_forgotten", "cell.unfinished.load(Ordering::Relaxed) == 0", "true"),
    ("rlock", "inner_guard_releases", "outer == 0", "true"),
    ("news", "cleared_without_count", "now.wrapping_add(step)", "now"),
    ("news", "no_barrier_in_tell", "crate::sys::atomic::fence(Ordering::SeqCst)", "()"),
    (
        "news",
        "no_barrier_in_arm",
        "self.0.fetch_or(SLEEPERS, Ordering::SeqCst)",
        "return self.0.fetch_or(SLEEPERS, Ordering::Relaxed) | SLEEPERS",
    ),
    ("event", "set_does_not_count", "(now & COUNT).wrapping_add(ONE) | SET", "(now & COUNT) | SET"),
    (
        "event",
        "set_is_relaxed",
        "word.compare_exchange_weak(now, next, Ordering::Release, Ordering::Relaxed)",
        "word.compare_exchange_weak(now, next, Ordering::Relaxed, Ordering::Relaxed)",
    ),
    ("event", "set_wakes_nobody", "now & SLEEPERS != 0", "false"),
    (
        "wait",
        "acknowledges_unpublished",
        "record.address.store(core::ptr::from_ref(word).cast_mut(), Ordering::SeqCst)",
        "()",
    ),
    (
        "wait",
        "looks_before_publishing",
        "look()",
        "{ record.address.store(core::ptr::null_mut(), Ordering::SeqCst); let sleeps = look(); record.address.store(core::ptr::from_ref(word).cast_mut(), Ordering::SeqCst); sleeps }",
    ),
    (
        "wait",
        "raises_relaxed_without_barrier",
        "self.epoch.fetch_add(1, Ordering::SeqCst)",
        "self.epoch.fetch_add(1, Ordering::Relaxed)",
    ),
    ("wait", "no_slices", "testing::slices()", "false"),
    (
        "wait",
        "truth_of_news_ignored",
        "truth.load(Ordering::Relaxed) != record.seen.load(Ordering::Relaxed)",
        "false",
    ),
    ("keeper", "no_news_look", "self.world.records.ring_for_old_news()", "()"),
    ("keeper", "rings_once", "self.world.records.ring()", "{ self.world.records.ring(); false }"),
    ("keeper", "no_second_alarm", "gone |= is_gone", "()"),
    ("registry", "gone_with_its_keeper", "self.live_thread_of(process).is_none()", "true"),
    (
        "registry",
        "generation_ignored",
        "state.generation() != id.generation() || !state.is_alive()",
        "!state.is_alive()",
    ),
    (
        "brief_lock",
        "brief_unlock_is_relaxed",
        "self.word.swap(0, Ordering::Release)",
        "self.word.swap(0, Ordering::Relaxed)",
    ),
    ("brief_lock", "the_dead_keep_the_lock", "world.registry.is_dead(owner)", "false"),
    ("semaphore", "gives_back_silently", "self.cell.news.wake(1)", "()"),
    ("semaphore", "the_dead_keep_theirs", "self.world.registry.is_gone(process)", "false"),
    (
        "semaphore",
        "sleeps_without_a_look",
        "available.is_ok_and(|available| available == 0)",
        "true",
    ),
    ("arena", "holder_seen_once", "block.head.holder.load(Ordering::Acquire) != holder", "false"),
    (
        "arena",
        "holder_cleared_first",
        "self.head.until.store(until, Ordering::Relaxed)",
        "{ self.head.holder.store(0, Ordering::Release); self.head.until.store(until, Ordering::Relaxed) }",
    ),
    ("arena", "free_ignores_life", "block.head.life.load(Ordering::Relaxed) == block.life", "true"),
    (
        "ring",
        "left_freed_before_the_head",
        "after.get_or_insert_default().left = Some(left)",
        "self.world().free(left)",
    ),
    ("ring", "chunk_not_given", "next.give_to(self.reference.id, end.wrapping_add(CHUNK))", "()"),
    (
        "ring",
        "chunk_given_too_short",
        "next.give_to(self.reference.id, end.wrapping_add(CHUNK))",
        "next.give_to(self.reference.id, end)",
    ),
    (
        "ring",
        "tail_is_relaxed",
        "self.tail.tail.store(next.0, Ordering::Release)",
        "self.tail.tail.store(next.0, Ordering::Relaxed)",
    ),
];

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={}", root.join("src").display());
    let mut names = String::from("pub(crate) const MUTANTS: &[&str] = &[\n");
    for (_, name, _, _) in MUTANTS {
        writeln!(names, "    \"{name}\",").expect("a String");
    }
    names.push_str("];\n");
    std::fs::write(out.join("mutants.rs"), names).expect("OUT_DIR is writable");
    for module in MODULES {
        let mut text = read(&root.join(module.from));
        if !module.functions.is_empty() {
            text = functions(&text, module);
        }
        for (from, to) in module.changes {
            text = replace(&text, from, to, module);
        }
        for (name, from, to) in mutants(module.name) {
            text = weaken(&text, name, from, to, module);
        }
        std::fs::write(out.join(format!("{}.rs", module.name)), text).expect("OUT_DIR is writable");
    }
}

fn mutants(module: &str) -> impl Iterator<Item = (&'static str, &'static str, &'static str)> {
    let mut all: Vec<_> =
        MUTANTS.iter().filter(|m| m.0 == module).map(|m| (m.1, m.2, m.3)).collect();
    // Several of one text: the first is wrapped last and stands outermost.
    all.sort_by_key(|m| m.1);
    all.into_iter()
}

/// The text of a file or of a folder's files, without inner documentation and unit tests.
fn read(path: &Path) -> String {
    let mut files = vec![path.to_path_buf()];
    if path.is_dir() {
        let entries = std::fs::read_dir(path).expect("a folder of sources");
        files = entries.map(|entry| entry.expect("a readable folder").path()).collect();
        files.retain(|file| !file.ends_with("tests.rs"));
        files.sort();
    }
    let mut text = String::new();
    for file in files {
        let source = std::fs::read_to_string(&file).unwrap_or_else(|e| {
            panic!(
                "{}: {e}: the models copy it, tell models/build.rs where it went",
                file.display()
            )
        });
        let code = source.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
        for line in code.lines().filter(|line| !line.starts_with("//!") && !line.starts_with("#!["))
        {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

/// The functions named, each with the attributes left out, in an `impl` of their type.
fn functions(text: &str, module: &Module) -> String {
    let mut out = String::new();
    for (owner, names) in module.functions {
        if owner.is_empty() {
            for name in *names {
                let line = text.lines().find(|line| {
                    line.strip_prefix(name).is_some_and(|rest| rest.starts_with(':'))
                        && line.ends_with(';')
                });
                out.push_str(line.unwrap_or_else(|| panic!("{}: no `{name}`", module.from)));
                out.push('\n');
            }
            continue;
        }
        writeln!(out, "impl {owner} {{").expect("a String");
        for name in *names {
            let lines: Vec<_> = text.lines().collect();
            let starts = |line: &str| {
                let code = line.trim_start();
                let code = code.find("fn ").map_or(code, |at| &code[at..]);
                line.starts_with("    ")
                    && !line.starts_with("     ")
                    && code.strip_prefix(name).is_some_and(|rest| rest.starts_with(['(', '<']))
            };
            let in_owner = |at: &usize| {
                let head = lines[..*at].iter().rev().find(|line| line.starts_with("impl"));
                head.is_some_and(|head| {
                    let head = head.trim_start_matches("impl").trim_end_matches('{').trim();
                    head == *owner || head.ends_with(&format!(" {owner}"))
                })
            };
            let start = (0..lines.len())
                .filter(|&at| starts(lines[at]))
                .find(in_owner)
                .unwrap_or_else(|| {
                    panic!(
                        "{}: no `{name}` of {owner}: tell models/build.rs where it went",
                        module.from
                    )
                });
            let end = (start..lines.len())
                .find(|&at| lines[at] == "    }" || (at == start && lines[at].ends_with('}')))
                .expect("a function that ends");
            let head = lines[start];
            out.push_str("    pub(crate) ");
            out.push_str(&head[head.find("fn ").unwrap_or(0)..]);
            out.push('\n');
            for line in &lines[start + 1..=end] {
                out.push_str(line);
                out.push('\n');
            }
        }
        out.push_str("}\n");
    }
    out
}

fn replace(text: &str, from: &str, to: &str, module: &Module) -> String {
    assert!(
        text.contains(from),
        "{}: no longer has the text that models/build.rs changes:\n{from}",
        module.from
    );
    text.replace(from, to)
}

/// Puts the weakened variant beside the original.
fn weaken(text: &str, name: &str, from: &str, to: &str, module: &Module) -> String {
    let both = format!("(if crate::sim::mutant(\"{name}\") {{ {to} }} else {{ {from} }})");
    replace(text, from, &both, module)
}
