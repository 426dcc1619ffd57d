//! The policies that ship with exeat: they load together without a word, and their own tests pass and miss no action.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use exeat::policy;
use exeat::policy::trial::{Asked, Expected, Trial};
use exeat::problem::Problem;
use exeat::rehearsal;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("policies")
}

#[test]
fn they_load_together_and_pass_their_tests() {
    let loaded = policy::load(&folder());
    let told: Vec<String> = loaded.problems.iter().map(Problem::headline).collect();
    assert!(told.is_empty(), "{told:#?}");
    let policy = Arc::new(loaded.policy.unwrap());
    let read = policy::trials(&folder(), &policy);
    let told: Vec<String> = read.problems.iter().map(Problem::headline).collect();
    assert!(told.is_empty(), "{told:#?}");
    for trial in &read.trials {
        let played = rehearsal::play(&policy, trial);
        assert!(played.failures.is_empty(), "{played:#?}");
    }
    let actions = policy.environments()[0].actions.keys();
    let declared: BTreeSet<&str> = actions.map(|it| it.as_str()).collect();
    let allowed: BTreeSet<&str> = read.trials.iter().flat_map(allowed).collect();
    assert_eq!(
        declared, allowed,
        "actions, and those that a test sees allowed"
    );
}

#[test]
fn each_has_tests_beside_it_and_says_what_it_is() {
    let mut count = 0;
    for entry in fs::read_dir(folder()).unwrap() {
        let file = entry.unwrap().path();
        let name = file.file_name().unwrap().to_str().unwrap().to_owned();
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("# "), "{name}");
        if !name.ends_with(".test.yaml") {
            assert!(file.with_extension("test.yaml").is_file(), "{name}");
            count += 1;
        }
    }
    assert!(count >= 9, "{count}");
}

/// The actions that a test asks for, by name or by a request, and expects to be allowed.
fn allowed(trial: &Trial) -> Vec<&str> {
    let steps = trial.steps.iter();
    let asked = steps.filter_map(|step| match (&step.asked, &step.expected) {
        (Asked::Call { action, .. }, Expected::Allowed(_)) => Some(action.as_str()),
        (_, Expected::Allowed(wanted)) => wanted.action.as_ref().map(|it| it.value.as_str()),
        _ => None,
    });
    asked.collect()
}
