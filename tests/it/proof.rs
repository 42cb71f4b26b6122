//! `tests/PROOF.md`: each public call has a row, and each row's calls and proofs are there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use crate::surface::surface;

const COLUMNS: [&str; 3] = ["stepped", "modelled", "killed at random"];
/// What an empty cell begins with; its reason follows.
const EMPTY: &str = "— ";
/// At the end of a name that stands for all that begin so.
const ALL: char = '…';

fn read(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

/// What stands in backticks.
fn names(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// The rows of the page's tables: the calls, and what proves them.
fn rows(page: &str) -> Vec<(&str, Vec<&str>)> {
    let rows = page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| calls |"));
    let cells = rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect::<Vec<_>>());
    cells.map(|cells| (cells[0], cells[1..].to_vec())).collect()
}

/// The calls that a row names: `Type Type: method, method`, or a function; `*` is every method.
fn calls(cell: &str, surface: &BTreeSet<String>) -> Vec<String> {
    let mut calls = Vec::new();
    for name in names(cell) {
        let Some((types, methods)) = name.split_once(": ") else {
            calls.push(name.to_owned());
            continue;
        };
        for of in types.split(' ') {
            let all = surface.iter().filter(|it| it.rsplit_once("::").is_some_and(|it| it.0 == of));
            match methods {
                "*" => calls.extend(all.cloned()),
                _ => calls.extend(methods.split(", ").map(|method| format!("{of}::{method}"))),
            }
        }
    }
    calls
}

/// What is wrong with the page, compared with this surface.
fn faults(page: &str, surface: &BTreeSet<String>) -> Vec<String> {
    let mut faults = Vec::new();
    let mut seen = BTreeSet::new();
    for (cell, proofs) in rows(page) {
        for call in calls(cell, surface) {
            if !surface.contains(&call) {
                faults.push(format!("{call} is gone"));
            }
            if !seen.insert(call.clone()) {
                faults.push(format!("{call} has two rows"));
            }
        }
        assert_eq!(proofs.len(), COLUMNS.len(), "cells of {cell}");
        for (column, proof) in COLUMNS.into_iter().zip(proofs) {
            let of_cell = faults_of(proof, column, page);
            faults.extend(of_cell.iter().map(|fault| format!("{cell}: {fault}")));
        }
    }
    faults.extend(surface.difference(&seen).map(|call| format!("{call} has no row")));
    let stepped: Vec<_> = rows(page).iter().flat_map(|(_, proofs)| names(proofs[0])).collect();
    let mut scenarios = SCENARIOS.clone();
    scenarios.retain(|scenario| !stepped.iter().any(|name| is_meant(name, scenario)));
    faults.extend(scenarios.iter().map(|scenario| format!("no row names scenario {scenario}")));
    faults
}

/// What is wrong with a cell of this column.
fn faults_of(proof: &str, column: &str, page: &str) -> Vec<String> {
    let reason = proof.strip_prefix(EMPTY);
    let is_reason = reason.is_some_and(|reason| page.contains(&format!("\n- *{reason}*: ")));
    let is_empty = !is_reason && names(proof).next().is_none();
    let empty = is_empty.then(|| format!("{column}: neither a proof nor a reason: {proof:?}"));
    let is_there = |name: &&str| match column {
        "stepped" => SCENARIOS.iter().any(|scenario| is_meant(name, scenario)),
        "modelled" => is_model(name),
        _ => is_killed_at_random(name),
    };
    let gone = names(proof).filter(|name| !is_there(name));
    gone.map(|name| format!("{column}: {name} is gone")).chain(empty).collect()
}

/// Whether a name stands for the scenario.
fn is_meant(name: &str, scenario: &str) -> bool {
    name.strip_suffix(ALL).map_or(scenario == name, |start| scenario.starts_with(start))
}

/// The names of the kill harness's scenarios, as its tables have them.
static SCENARIOS: LazyLock<BTreeSet<String>> = LazyLock::new(|| {
    let mut found = BTreeSet::new();
    for file in ["family.rs", "data_family.rs", "scenarios.rs", "walks.rs"] {
        let text = read(&format!("tests/kill/{file}")).replace("Row(\n", "Row(");
        for start in ["Row(", "name: "] {
            let begins =
                text.match_indices(start).map(|(at, _)| text[at + start.len()..].trim_start());
            let quoted = begins.filter_map(|rest| rest.strip_prefix('"')?.split('"').next());
            found.extend(quoted.filter(|name| !name.is_empty()).map(str::to_owned));
        }
    }
    found
});
static MODELS: LazyLock<String> = LazyLock::new(|| read("models/tests/models.rs"));
static WORKS: LazyLock<String> = LazyLock::new(|| read("tests/soak/actor.rs"));

/// `module` or `module::model` of `models/tests/models.rs`.
fn is_model(name: &str) -> bool {
    let (module, model) = name.split_once("::").unwrap_or((name, ""));
    let Some(models) = MODELS.split_once(&format!("\n    {module}:\n")) else { return false };
    let models = models.1.split(';').next().unwrap();
    model.is_empty() || models.lines().any(|line| line.trim() == model)
}

/// What an actor of the soak does, or a module or test of `tests/it`.
fn is_killed_at_random(name: &str) -> bool {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    let path = name.replace("::", "/");
    if WORKS.contains(&format!("(\"{name}\", ")) || folder.join(format!("{path}.rs")).exists() {
        return true;
    }
    let Some((module, test)) = path.rsplit_once('/') else { return false };
    let text = fs::read_to_string(folder.join(format!("{module}.rs"))).unwrap_or_default();
    text.contains(&format!("fn {test}()"))
}

#[test]
fn every_call_has_a_row_and_every_row_its_proofs() {
    let surface = surface();
    assert!(surface.len() > 400, "{} calls found: is this where the sources are?", surface.len());
    let faults = faults(&read("tests/PROOF.md"), &surface);
    assert!(
        faults.is_empty(),
        "tests/PROOF.md has {} faults:\n{}",
        faults.len(),
        faults.join("\n")
    );
}

/// Whether this fault is found.
fn is_found(page: &str, surface: &BTreeSet<String>, fault: &str) -> bool {
    faults(page, surface).iter().any(|found| found.contains(fault))
}

#[test]
fn a_call_without_a_row_and_a_proof_that_is_gone_are_found() {
    let page = read("tests/PROOF.md");
    let mut surface = surface();
    surface.insert("Queue::peek".into());
    assert!(is_found(&page, &surface, "Queue::peek has no row"));
    surface.remove("Queue::peek");
    surface.remove("Queue::put");
    assert!(is_found(&page, &surface, "Queue::put is gone"));
    let is_missed = |text: &str| {
        assert!(page.contains(text), "{text}");
        is_found(&page.replace(text, "`no_such_name`"), &surface, "no_such_name is gone")
    };
    assert!(is_missed("`put_free`") && is_missed("`chunks`") && is_missed("`barrier`"));
    assert!(is_found(&page.replace("`put_free`", ""), &surface, "no row names scenario put_free"));
    assert!(is_found(
        &page.replace("— reads", "— whatever"),
        &surface,
        "neither a proof nor a reason"
    ));
}
