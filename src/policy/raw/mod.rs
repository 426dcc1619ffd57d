//! The policy as it is written: types that mirror the files, each value with its place.
//!
//! Nothing here knows what a policy means. Names are not resolved, hosts and templates are text,
//! and no rule that needs two fields is held, except where a section is a choice (a secret's
//! source, a connector's type). That is the work of `check`, which turns this into the policy.
//!
//! Each section is one table of fields (see [`fields`]): it yields the type, its decoding, the
//! nearest name for a typo, and the schema for editors.

use std::path::{Path, PathBuf};

use crate::problem::Place;
use crate::problem::Problem;
use crate::problem::Problems;
use crate::problem::Sources;
use crate::yaml;

#[macro_use]
pub(in crate::policy) mod fields;
pub(in crate::policy) mod action;
pub(in crate::policy) mod agent;
pub(in crate::policy) mod connection;
pub(in crate::policy) mod connector;
pub(in crate::policy) mod decode;
mod file;
mod folder;
pub(in crate::policy) mod names;
pub(in crate::policy) mod network;
pub(in crate::policy) mod outcome;
pub(in crate::policy) mod per_environment;
pub(in crate::policy) mod rate;
pub(in crate::policy) mod scalars;
pub(in crate::policy) mod secret;
pub(in crate::policy) mod trial;
pub(in crate::policy) mod variable;

#[cfg(test)]
mod tests;

pub(in crate::policy) use crate::policy::raw::fields::{Field, Keys, Need, Section, Shape};
pub(in crate::policy) use crate::policy::raw::file::{File, Policy};

/// Reads the files of a folder, or the one file: names with contents, in the order of the names.
pub(in crate::policy) fn read(path: &Path, problems: &mut Problems) -> Vec<(String, Vec<u8>)> {
    let files = folder::read(path, folder::Kind::Policies, problems);
    if files.is_empty() && !problems.has_errors() {
        let place = Place::of_file(&path.to_string_lossy().into());
        let problem = Problem::error(&place, "there is no policy file (`*.yaml`, `*.yml`) here");
        problems.push(problem.remedy("name the file, or the folder in which policies stand"));
    }
    files
}

/// Where the files are that [`read`] would read, as far as can be seen.
pub(in crate::policy) fn paths(path: &Path) -> Vec<PathBuf> {
    folder::paths((path, folder::Kind::Policies), &mut Problems::new())
}

/// Reads the files of tests in a folder, or the one file.
pub(in crate::policy) fn read_tests(
    path: &Path,
    problems: &mut Problems,
) -> Vec<(String, Vec<u8>)> {
    folder::read(path, folder::Kind::Tests, problems)
}

/// Reads the tests of files that are already in memory: names with contents.
pub(in crate::policy) fn parse_tests(
    files: &[(String, Vec<u8>)],
    sources: &mut Sources,
    problems: &mut Problems,
) -> Vec<trial::Test> {
    let mut tests = Vec::new();
    for (name, bytes) in files {
        let before = problems.len();
        let root = yaml::parse(name, bytes, sources, problems);
        let is_told = problems.len() > before;
        let mut decoder = decode::Decoder::new(sources, problems);
        match root {
            Some(root) => tests.extend(trial::TrialFile::of(&root, &mut decoder)),
            None if is_told => {}
            None => file::told_as_empty(name, &mut decoder),
        }
    }
    tests
}

/// Reads the policy of files: names with contents, each of which is let go once it has been read.
///
/// Whatever is wrong is in `problems`; what could be read is returned all the same, so that
/// `check` can find the rest.
pub(in crate::policy) fn parse(
    files: impl IntoIterator<Item = (String, Vec<u8>)>,
    sources: &mut Sources,
    problems: &mut Problems,
) -> Policy {
    let mut policy = Policy::default();
    let mut first = None;
    for (name, bytes) in files {
        let before = problems.len();
        let root = yaml::parse(&name, &bytes, sources, problems);
        let is_told = problems.len() > before;
        let mut decoder = decode::Decoder::new(sources, problems);
        match root {
            Some(root) => policy.add(&root, &mut decoder),
            None if is_told => policy.is_partial = true,
            None => file::told_as_empty(&name, &mut decoder),
        }
        first.get_or_insert(name);
    }
    policy.has_something_to_do(first.as_deref(), problems);
    policy
}
