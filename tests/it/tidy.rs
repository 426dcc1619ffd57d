//! Rules of taste that no lint knows.

use std::fs;
use std::path::{Path, PathBuf};

/// Names that say nothing about what is in a file.
const EMPTY_NAMES: [&str; 9] = [
    "util", "utils", "helper", "helpers", "common", "manager", "handler", "service", "data",
];

#[test]
fn every_file_opens_by_saying_what_it_is_for() {
    for (path, text) in rust_files() {
        assert!(text.starts_with("//! "), "{}", path.display());
    }
}

#[test]
fn no_file_has_an_empty_name() {
    for (path, _) in rust_files() {
        let stem = path.file_stem().unwrap().to_str().unwrap();
        assert!(!EMPTY_NAMES.contains(&stem), "{}", path.display());
    }
}

#[test]
fn files_stay_readable() {
    for (path, text) in rust_files() {
        let is_tests = path.ends_with("tests.rs") || !path.starts_with(root().join("src"));
        let own = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        let lines = own.lines().count();
        assert!(
            is_tests || lines <= 500,
            "{}: {lines} lines",
            path.display()
        );
    }
}

#[test]
fn lines_end_where_a_reader_can_see_them() {
    let mut odd = Vec::new();
    for (path, text) in rust_files() {
        for (number, line) in text.lines().enumerate() {
            let is_prose = line.trim_start().starts_with("//") && !line.contains("| ");
            let is_long = is_prose && line.chars().count() > 120;
            if is_long || line.trim_end() != line {
                odd.push(format!("{}:{}", path.display(), number + 1));
            }
        }
    }
    assert!(
        odd.is_empty(),
        "too long, or with a blank at its end: {odd:#?}"
    );
}

#[test]
fn nothing_is_marked_as_unfinished() {
    for (path, text) in rust_files() {
        for mark in ["TODO", "FIXME", "todo!(", "unimplemented!("] {
            let found = text.contains(mark) && !path.ends_with("tidy.rs");
            assert!(!found, "{}: {mark}", path.display());
        }
    }
}

#[test]
fn no_test_waits_by_the_clock() {
    for (path, text) in rust_files() {
        if path.starts_with(root().join("tests")) && !path.ends_with("tidy.rs") {
            assert!(!text.contains("thread::sleep"), "{}", path.display());
            assert!(!text.contains("time::sleep"), "{}", path.display());
        }
    }
}

#[test]
fn only_one_module_knows_yaml() {
    for (path, text) in rust_files() {
        let knows = text.contains("serde_yaml::");
        let yaml = root().join("src/yaml");
        assert!(
            !knows || path.starts_with(yaml) || path.ends_with("tidy.rs"),
            "{}",
            path.display()
        );
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn rust_files() -> Vec<(PathBuf, String)> {
    let mut folders: Vec<PathBuf> = ["src", "tests", "benches", "fuzz/src", "fuzz/fuzz_targets"]
        .map(|it| root().join(it))
        .into();
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    found
}
