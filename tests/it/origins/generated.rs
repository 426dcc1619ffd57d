//! Requests that were made up, in spellings of every kind.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::test_runner::{Config, TestCaseError, TestRunner};

use super::spelling::requests;
use super::{Outcome, Stage, Wires};

/// How many batches there are, and how many requests in each on average. Every request goes to each server.
const BATCHES: u32 = 10;
const REQUESTS: usize = 20;

#[test]
fn what_is_let_through_is_read_alike_by_every_server() {
    let stage = Stage::set();
    let wires = RefCell::new(Wires::new(&stage.world));
    let counts = RefCell::new(BTreeMap::<Option<String>, usize>::new());
    let mut runner = TestRunner::new(Config {
        cases: BATCHES,
        failure_persistence: None,
        max_shrink_iters: 40,
        ..Config::default()
    });
    let outcome = runner.run(&vec(requests(), 1..2 * REQUESTS), |requests| {
        let outcomes = stage.send(&mut wires.borrow_mut(), &requests);
        let outcomes = outcomes.map_err(TestCaseError::fail)?;
        for outcomes in outcomes.iter().filter(|it| !it.is_empty()) {
            let codes: BTreeSet<Option<&str>> = outcomes.iter().map(Outcome::code).collect();
            if codes.len() != 1 {
                let finding = format!("not the same for every server: {outcomes:#?}");
                return Err(TestCaseError::fail(finding));
            }
            let code = codes.into_iter().flatten().next();
            let mut counts = counts.borrow_mut();
            *counts.entry(code.map(str::to_owned)).or_default() += 1;
        }
        Ok(())
    });
    outcome.unwrap();
    let counts = counts.into_inner();
    let sent: usize = counts.values().sum();
    let agreed = counts.get(&None).copied().unwrap_or_default();
    assert!(agreed * 3 > sent, "too little was let through: {counts:?}");
    assert!(
        agreed < sent,
        "nothing was refused: the doubtful is missing"
    );
}
