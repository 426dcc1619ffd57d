//! What the fuzzer must never find: every input that people wrote for it, and every input that it has found, checked as
//! the fuzzer checks them. How to find more is in fuzz/README.md.

use std::collections::BTreeMap;
use std::fs;
use std::panic;
use std::path::{Path, PathBuf};

#[path = "../../fuzz/src/lib.rs"]
mod targets;

/// What holds for every input; it panics where that is not so.
type Promise = fn(&[u8]);

/// The fuzz targets: names of their folders, and their promises.
const TARGETS: [(&str, Promise); 13] = [
    ("authority", targets::authority::check),
    ("canonical", targets::canonical::check),
    ("client_hello", targets::client_hello::check),
    ("form", targets::form::check),
    ("head", targets::head::check),
    ("inversion", targets::inversion::check),
    ("jsonpath", targets::jsonpath::check),
    ("listeners", targets::listeners::check),
    ("path_query", targets::path_query::check),
    ("scrub", targets::scrub::check),
    ("strict_json", targets::strict_json::check),
    ("template", targets::template::check),
    ("yaml", targets::yaml::check),
];

#[test]
fn every_seed_keeps_the_promises_of_its_target() {
    let failed: Vec<String> = TARGETS
        .iter()
        .flat_map(|(target, check)| failing(&root().join("fuzz/seeds").join(target), *check))
        .collect();
    assert!(failed.is_empty(), "{failed:#?}");
}

#[test]
fn every_policy_of_the_project_keeps_the_promises_of_yaml() {
    for folder in ["policies", "tests/policies"] {
        let failed = failing(&root().join(folder), targets::yaml::check);
        assert!(failed.is_empty(), "{failed:#?}");
    }
}

#[test]
fn every_target_has_seeds_and_a_program() {
    let mut found: BTreeMap<String, usize> = BTreeMap::new();
    for folder in ["fuzz/seeds", "fuzz/fuzz_targets"] {
        for path in entries(&root().join(folder)) {
            let name = path.file_stem().unwrap().to_str().unwrap();
            *found.entry(name.to_owned()).or_default() += 1;
        }
    }
    let expected = TARGETS.map(|(name, _)| (name.to_owned(), 2));
    assert_eq!(found, BTreeMap::from(expected));
}

/// The files of a folder with which a target fails.
fn failing(folder: &Path, check: Promise) -> Vec<String> {
    let paths = entries(folder);
    assert!(!paths.is_empty(), "{}", folder.display());
    let fails = |path: &PathBuf| {
        let bytes = fs::read(path).unwrap();
        panic::catch_unwind(|| check(&bytes)).is_err()
    };
    let failing = paths.into_iter().filter(fails);
    failing.map(|path| path.display().to_string()).collect()
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}
