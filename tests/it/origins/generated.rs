//! Requests that were made up, in spellings of every kind.

use std::cell::{Cell, RefCell};

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
    let (sent, agreed) = (Cell::new(0), Cell::new(0));
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
            let is_agreed = |it: &&Outcome| matches!(it, Outcome::Agreed(_));
            let count = outcomes.iter().filter(is_agreed).count();
            if count != 0 && count != outcomes.len() {
                return Err(TestCaseError::fail(format!(
                    "one server alone: {outcomes:#?}"
                )));
            }
            sent.set(sent.get() + 1);
            agreed.set(agreed.get() + usize::from(count > 0));
        }
        Ok(())
    });
    outcome.unwrap();
    let (sent, agreed) = (sent.get(), agreed.get());
    assert!(
        agreed * 3 > sent,
        "only {agreed} of {sent} requests were let through"
    );
    assert!(
        agreed < sent,
        "nothing was refused: the doubtful is missing"
    );
}
