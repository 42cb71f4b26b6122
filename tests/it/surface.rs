//! The public surface, as the sources say it: every method that a user can call.
//!
//! What is read is `pub fn` in the `impl` blocks of exported types, and outside of them; what macros of this package make is
//! taken apart by their own patterns ([`Macros::expand`]). Traits and what implements them (clones, iterators, `Drop`) are not
//! read. The forms of a call (`try_get`, `get_timeout`, `get_deadline`) are the call (`get`).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::layers::sources;

/// Macros that do not say `pub fn NAME` for each method: theirs are those that are called `fn` in their arguments.
const LISTS: [&str; 2] = ["call", "operations"];
/// What is made from a list that is too clever for [`Macros::expand`]: questions of an `Error`.
const IGNORED: [&str; 1] = ["predicates"];

/// Methods: the type, if there is one, and the name.
type Found = Vec<(Option<String>, String)>;

/// All of it: `Type::method`, `raw::Type::method` or `function`.
pub(crate) fn surface() -> BTreeSet<String> {
    let files = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    of(&files)
}

/// The same of these files, by their path from the folder.
pub(crate) fn of(files: &BTreeMap<String, String>) -> BTreeSet<String> {
    // Not the unit tests, nor what is hidden behind the feature `testing`.
    let hidden = ["tests", "testing.rs", "fuzzing.rs"];
    let clean = files.iter().filter(|(file, _)| !hidden.iter().any(|hidden| file.contains(hidden)));
    let clean = clean.map(|(file, text)| (file, bare(text)));
    let clean: BTreeMap<&String, String> = clean.collect();
    let macros = Macros::of(clean.values());
    let exports = |file: &str| exports(&files[file]);
    let mut plain = exports("lib.rs");
    for room in ["manager", "pool", "process", "shared"] {
        plain.extend(exports(&format!("{room}/mod.rs")));
    }
    let raw = exports("raw/mod.rs");
    let mut surface = BTreeSet::new();
    for (file, text) in &clean {
        // Some names are exported twice.
        let is_raw = |name: &String| {
            raw.contains(name)
                && (!plain.contains(name)
                    || file.starts_with("raw/")
                    || file.starts_with("shared/words/"))
        };
        let mut found = Vec::new();
        macros.read(text, None, &mut found);
        for (of, name) in found {
            let owner = of.as_ref().unwrap_or(&name);
            let is_raw = is_raw(owner);
            if is_raw || plain.contains(owner) {
                let prefix = if is_raw { "raw::" } else { "" };
                let of = of.map(|of| of + "::").unwrap_or_default();
                surface.insert(format!("{prefix}{of}{name}"));
            }
        }
    }
    let forms: Vec<_> = surface.iter().filter(|it| is_form(it, &surface)).cloned().collect();
    forms.iter().for_each(|form| _ = surface.remove(form));
    surface
}

/// Whether it is another form of a call that is there, too.
fn is_form(method: &str, surface: &BTreeSet<String>) -> bool {
    let (of, name) = method.rsplit_once("::").unwrap_or(("", method));
    let plain =
        [name.strip_prefix("try_"), name.strip_suffix("_timeout"), name.strip_suffix("_deadline")];
    plain.into_iter().flatten().any(|plain| surface.contains(&format!("{of}::{plain}")))
}

/// The names that a file exports.
fn exports(text: &str) -> BTreeSet<String> {
    let lists =
        text.split(';').filter_map(|line| line.split_once("pub use ")).map(|(_, list)| list);
    let names = lists.flat_map(|list| list.split(|c: char| !c.is_alphanumeric() && c != '_'));
    names.map(str::to_owned).collect()
}

/// The code without comments, strings and unit tests.
fn bare(text: &str) -> String {
    let text =
        text.replace("'{'", "' '").replace("'}'", "' '").replace("'\"'", "' '").replace("\\\"", "");
    let text = text
        .replace("'('", "' '")
        .replace("')'", "' '")
        .replace("'['", "' '")
        .replace("']'", "' '");
    let lines = text.lines().take_while(|line| line.trim() != "mod tests {");
    let lines = lines.map(|line| line.split("//").next().unwrap());
    let code = lines.collect::<Vec<_>>().join("\n");
    code.split('"').step_by(2).collect::<Vec<_>>().join("\"\"")
}

/// The inside of the brackets with which `text` begins, and what follows.
fn group(text: &str) -> (&str, &str) {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return (&text[1..at], &text[at + 1..]);
        }
    }
    panic!("brackets without an end: {}", &text[..text.len().min(200)]);
}

/// What stands behind `<…>`, if the text begins so.
fn behind_generics(text: &str) -> &str {
    let mut depth = 0;
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        match c {
            '<' => depth += 1,
            '>' if before != '-' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return text[at..].trim_start_matches('>').trim_start();
        }
        before = c;
    }
    text
}

/// The word with which `text` begins, and what follows.
fn word(text: &str) -> (&str, &str) {
    let is_of_word = |c: char| c.is_alphanumeric() || c == '_' || c == '$';
    text.split_at(text.find(|c| !is_of_word(c)).unwrap_or(text.len()))
}

/// The parts between commas and semicolons that stand in no brackets; `<…>` are brackets.
fn parts(text: &str) -> Vec<&str> {
    let (mut depth, mut start, mut before) = (0, 0, ' ');
    let mut parts = Vec::new();
    for (at, c) in text.char_indices() {
        match c {
            '(' | '[' | '{' | '<' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            '>' if before != '-' && before != '=' => depth -= 1,
            ',' | ';' if depth == 0 => {
                parts.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
        before = c;
    }
    parts.push(text[start..].trim());
    parts.retain(|part| !part.is_empty());
    parts
}

/// Moves `text` behind its next word that stands in no brackets, and gives the word.
fn next_word<'a>(text: &mut &'a str) -> Option<&'a str> {
    loop {
        *text = &text[text.find(|c: char| c.is_alphanumeric() || "_$([{".contains(c))?..];
        if text.starts_with(['(', '[', '{']) {
            *text = group(text).1;
            continue;
        }
        let (name, rest) = word(text);
        *text = rest;
        return Some(name);
    }
}

/// The names of functions that stand in no brackets.
fn functions(mut text: &str) -> Vec<&str> {
    let mut names = Vec::new();
    while let Some(name) = next_word(&mut text) {
        if name == "fn" {
            names.push(word(text.trim_start()).0);
        }
    }
    names
}

/// The macros of the package: the arms of each, pattern and body.
struct Macros(BTreeMap<String, Vec<(String, String)>>);

impl Macros {
    fn of<'a>(texts: impl Iterator<Item = &'a String>) -> Self {
        let mut all = BTreeMap::new();
        for text in texts {
            for (at, start) in text.match_indices("macro_rules! ") {
                let (name, rest) = word(&text[at + start.len()..]);
                let mut arms = Vec::new();
                let mut rest = group(rest.trim_start()).0;
                while let Some(at) = rest.find('(') {
                    let (pattern, behind) = group(&rest[at..]);
                    let (body, behind) = group(&behind[behind.find('{').unwrap()..]);
                    arms.push((pattern.to_owned(), body.to_owned()));
                    rest = behind;
                }
                all.insert(name.to_owned(), arms);
            }
        }
        Self(all)
    }

    /// Notes the methods of `text`, which stands in the `impl` of a type, or outside of any.
    fn read(&self, mut text: &str, of: Option<&str>, found: &mut Found) {
        while let Some(name) = next_word(&mut text) {
            if let Some(call) = text.strip_prefix('!') {
                let call = call.trim_start();
                if name == "macro_rules" {
                    let (_, behind) = word(call);
                    text = group(behind.trim_start()).1;
                } else if call.starts_with(['(', '[', '{']) {
                    let (arguments, behind) = group(call);
                    text = behind;
                    self.expand(name, arguments, of, found);
                }
            } else if name == "impl" {
                let Some(open) = text.find('{') else { break };
                let (body, behind) = group(&text[open..]);
                let head = behind_generics(text[..open].trim_start());
                text = behind;
                if !head.contains(" for ") {
                    let path = head.split(['<', ' ', '\n']).next().unwrap();
                    self.read(body, path.rsplit("::").next(), found);
                }
            } else if name == "pub" {
                let mut rest = text.trim_start();
                loop {
                    let (next, behind) = word(rest);
                    rest = behind.trim_start();
                    match next {
                        "const" | "unsafe" => {}
                        "fn" => {
                            found.push((of.map(str::to_owned), word(rest).0.to_owned()));
                            break;
                        }
                        _ => break,
                    }
                }
            }
        }
    }

    /// Notes the methods that a call of a macro makes.
    fn expand(&self, name: &str, arguments: &str, of: Option<&str>, found: &mut Found) {
        let given = parts(arguments);
        if name == "forms" {
            return self.read(arguments, of, found);
        }
        if LISTS.contains(&name) {
            let types = match of {
                Some(of) => vec![of],
                None => given[..2].iter().map(|part| word(part).0).collect(),
            };
            for name in functions(arguments) {
                found.extend(types.iter().map(|of| (Some((*of).to_owned()), name.to_owned())));
            }
            return;
        }
        let Some(arms) = self.0.get(name) else { return };
        for (pattern, body) in arms {
            let wanted = parts(pattern);
            let fits = |(wanted, given): (&&str, &&str)| wanted.starts_with('$') || wanted == given;
            if wanted.len() != given.len() || !wanted.iter().zip(&given).all(fits) {
                continue;
            }
            // The longest names first: one may be the beginning of another.
            let mut bound: Vec<_> =
                wanted.iter().zip(&given).map(|(w, g)| (word(w).0, word(g).0)).collect();
            bound.retain(|(name, _)| name.starts_with('$'));
            bound.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
            let text =
                bound.iter().fold(body.clone(), |text, (name, value)| text.replace(name, value));
            return self.read(&text, of, found);
        }
        let makes_methods = arms.iter().any(|(_, body)| body.contains("pub fn"));
        assert!(
            !makes_methods || IGNORED.contains(&name),
            "how is {name}!({arguments}) to be read?"
        );
    }
}
