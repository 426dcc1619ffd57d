//! Preconditions: which action must have succeeded before, how long ago, and for which values.
//!
//! Pure. What is remembered of a session's attempts is a value here; where it is kept is the sessions' matter. Of
//! parameters and outputs only digests are remembered, so a session holds no second copy of what a customer said.
//!
//! Every way in which memory can fail ends in "not met": attempts that are dropped for want of room are the oldest, an
//! attempt counts as failed from the moment it begins until it has succeeded, and a value that is not there equals
//! nothing.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{SHA256, digest};
use serde_json::{Map, Value};

use crate::action::outcome::OutputName;
use crate::json;
use crate::name::ActionName;
use crate::refusal::{Code, Refusal};

/// Attempts that a session remembers. A conversation has a few calls to actions that others require; each
/// takes about 300 bytes.
pub const MAX_ATTEMPTS: usize = 64;

/// One entry of `requires`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Requirement {
    /// What must have been called before.
    pub action: ActionName,
    /// How long ago at most; any time in the session if there is none.
    pub within: Option<Duration>,
    /// Our parameters, and what each must equal.
    pub bind: Vec<(String, Bound)>,
}

/// What one of our parameters is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bound {
    /// The parameter of this name of the other action.
    Parameter(String),
    /// What the other action's reply said.
    Output(OutputName),
}

impl Requirement {
    /// Whether it is met for these parameters of ours.
    ///
    /// Bound to parameters, the latest attempt with those values counts: a wrong PIN for one customer says nothing
    /// about another. Bound to an output, or to nothing, the latest of all counts, since a failed attempt has no output
    /// that would tell for whom it was.
    pub fn is_met(
        &self,
        attempts: &Attempts,
        parameters: &Map<String, Value>,
        now: Instant,
    ) -> bool {
        let of_action = |it: &&Attempt| it.action == self.action;
        let ours = self.bind.iter().map(|(name, _)| parameters.get(name));
        let ours: Vec<Option<Digest>> = ours.map(|it| it.map(Digest::of)).collect();
        let mut latest_first = attempts.0.iter().rev().filter(of_action);
        let asks_output = self
            .bind
            .iter()
            .any(|(_, to)| matches!(to, Bound::Output(_)));
        let latest = match asks_output {
            true => latest_first.next(),
            false => latest_first.find(|it| self.fits(it, &ours)),
        };
        latest.is_some_and(|it| {
            let age = now.saturating_duration_since(it.began);
            let is_recent = self.within.is_none_or(|within| age <= within);
            it.outputs.is_some() && is_recent && self.fits(it, &ours)
        })
    }

    /// The refusal of a call for which it is not met. Whether the other one failed, was too long ago or was never
    /// called is the same: it has to be called.
    pub fn refusal(&self, has_session: bool) -> Refusal {
        let action = &self.action;
        let message = if has_session {
            let what = self.in_words();
            format!("{action} has to succeed first in this session{what}; call it, then call again")
        } else {
            format!(
                "{action} has to succeed first in the same session, and this call names none that is open; whoever \
                 runs the agent opens sessions"
            )
        };
        Refusal::new(Code::PreconditionUnmet, message).after(action)
    }

    /// What has to be done first, as a sentence for whoever reads what the action is.
    pub fn advice(&self) -> String {
        let (action, what) = (&self.action, self.in_words());
        format!("Call {action} first: it has to have succeeded in the same session{what}.")
    }

    fn in_words(&self) -> String {
        let bound = self.bind.iter().map(|(ours, to)| match to {
            Bound::Parameter(theirs) if theirs == ours => format!("with the same {ours}"),
            Bound::Parameter(theirs) => format!("with the {ours} of this call as its {theirs}"),
            Bound::Output(output) => {
                format!("with the {ours} of this call as the {output} of its reply")
            }
        });
        let within = self
            .within
            .map(|it| format!("at most {} ago", in_units(it)));
        bound.chain(within).map(|it| format!(", {it}")).collect()
    }

    fn fits(&self, attempt: &Attempt, ours: &[Option<Digest>]) -> bool {
        self.bind.iter().zip(ours).all(|((_, to), ours)| {
            let theirs = match to {
                Bound::Parameter(name) => find(&attempt.parameters, name),
                Bound::Output(name) => attempt.outputs.as_ref().and_then(|it| find(it, name)),
            };
            ours.is_some() && ours.as_ref() == theirs
        })
    }
}

/// As policies write durations: the largest unit that is whole.
fn in_units(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    let units = [("h", 3_600_000), ("m", 60_000), ("s", 1000)];
    let whole = units
        .iter()
        .find(|(_, unit)| milliseconds.is_multiple_of(*unit));
    whole.map_or_else(
        || format!("{milliseconds}ms"),
        |(name, unit)| format!("{}{name}", milliseconds / unit),
    )
}

/// What a session remembers of calls to actions that others require, the oldest first.
#[derive(Clone, Debug, Default)]
pub struct Attempts(VecDeque<Attempt>);

/// One call.
#[derive(Clone, Debug)]
struct Attempt {
    number: u64,
    action: ActionName,
    began: Instant,
    parameters: Vec<(String, Digest)>,
    // `None` until it has succeeded, and for ever if it does not.
    outputs: Option<Vec<(OutputName, Digest)>>,
}

/// Which attempt it is, from its beginning to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttemptNumber(u64);

impl Attempts {
    /// Notes that a call is about to be sent. It counts as failed until [`Self::succeeded`]. Of the parameters only
    /// those are needed that some requirement binds.
    pub fn begin(
        &mut self,
        action: &ActionName,
        parameters: &Map<String, Value>,
        now: Instant,
    ) -> AttemptNumber {
        while self.0.len() >= MAX_ATTEMPTS {
            self.0.pop_front();
        }
        let number = self.0.back().map_or(0, |it| it.number + 1);
        let digest = |(name, value): (&String, &Value)| (name.clone(), Digest::of(value));
        self.0.push_back(Attempt {
            number,
            action: action.clone(),
            began: now,
            parameters: parameters.iter().map(digest).collect(),
            outputs: None,
        });
        AttemptNumber(number)
    }

    /// Notes that it succeeded, and with which outputs.
    pub fn succeeded(&mut self, number: AttemptNumber, outputs: &[(OutputName, Option<Value>)]) {
        let digest = |(name, value): &(OutputName, Option<Value>)| {
            let value = value.as_ref()?;
            Some((name.clone(), Digest::of(value)))
        };
        if let Some(attempt) = self.0.iter_mut().find(|it| it.number == number.0) {
            attempt.outputs = Some(outputs.iter().filter_map(digest).collect());
        }
    }
}

fn find<'a, N: PartialEq>(pairs: &'a [(N, Digest)], name: &N) -> Option<&'a Digest> {
    let found = pairs.iter().find(|(it, _)| it == name);
    found.map(|(_, digest)| digest)
}

/// What a value was, as far as telling it from another goes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Digest([u8; 32]);

impl Digest {
    fn of(value: &Value) -> Self {
        let mut text = Vec::new();
        json::write(&canonical(value), &mut text);
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest(&SHA256, &text).as_ref());
        Self(bytes)
    }
}

/// Equal values become equal texts: keys sorted, and `1.0` written as `1`, so that a failed attempt for one spelling
/// counts against all.
fn canonical(value: &Value) -> Value {
    match value {
        Value::Number(number) => whole(number.as_f64()).map_or_else(|| value.clone(), Value::from),
        Value::Array(elements) => elements.iter().map(canonical).collect(),
        Value::Object(members) => {
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_by_key(|(name, _)| *name);
            let member = |(name, value): (&String, &Value)| (name.clone(), canonical(value));
            Value::Object(sorted.into_iter().map(member).collect())
        }
        _ => value.clone(),
    }
}

/// Up to 2^53 a float is exactly the integer that it looks like; beyond, each keeps its own text.
fn whole(number: Option<f64>) -> Option<i64> {
    number
        .filter(|it| it.fract() == 0.0 && it.abs() <= 9_007_199_254_740_992.0)
        .map(|it| it as i64)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    /// An attempt: its minute, its customer, and the customer that its reply verified.
    type Call = (u32, &'static str, Option<&'static str>);

    fn attempts(calls: &[Call], start: Instant) -> Attempts {
        let mut attempts = Attempts::default();
        for (minute, customer, verified) in calls {
            let parameters = json!({"customer": customer, "pin": "1234"});
            let now = start + MINUTE * *minute;
            let parameters = parameters.as_object().unwrap();
            let number = attempts.begin(&named("verify"), parameters, now);
            if let Some(verified) = verified {
                attempts.succeeded(number, &[(output("id"), Some(json!(verified)))]);
            }
        }
        attempts
    }

    fn named(name: &str) -> ActionName {
        ActionName::parse(name).unwrap()
    }

    fn output(name: &str) -> OutputName {
        OutputName::parse(name).unwrap()
    }

    fn requirement(bind: Option<Bound>) -> Requirement {
        Requirement {
            action: named("verify"),
            within: Some(MINUTE * 15),
            bind: bind.into_iter().map(|to| ("id".to_owned(), to)).collect(),
        }
    }

    fn by_parameter() -> Requirement {
        requirement(Some(Bound::Parameter("customer".to_owned())))
    }

    fn by_output() -> Requirement {
        requirement(Some(Bound::Output(output("id"))))
    }

    #[test]
    fn what_was_verified_is_what_may_be_looked_up() {
        let good: Call = (0, "1", Some("1"));
        // Calls; which customer is looked up, in which minute; met when bound to a parameter, to an output, to nothing.
        let rows: [(&[Call], &str, u32, [bool; 3]); 14] = [
            (&[], "1", 0, [false, false, false]),
            (&[good], "1", 1, [true, true, true]),
            (&[good], "1", 15, [true, true, true]),
            (&[good], "1", 16, [false, false, false]),
            (&[good], "2", 1, [false, false, true]),
            (&[(0, "1", None)], "1", 1, [false, false, false]),
            (&[good, (1, "1", None)], "1", 2, [false, false, false]),
            (&[good, (1, "2", None)], "1", 2, [true, false, false]),
            (&[good, (1, "2", None)], "2", 2, [false, false, false]),
            (&[good, (1, "2", Some("2"))], "1", 2, [true, false, true]),
            (&[good, (1, "2", Some("2"))], "2", 2, [true, true, true]),
            (
                &[(0, "1", None), (1, "1", Some("1"))],
                "1",
                2,
                [true, true, true],
            ),
            // The upstream verified somebody else than was asked for.
            (&[(0, "1", Some("9"))], "1", 1, [true, false, true]),
            (&[(0, "1", Some("9"))], "9", 1, [false, true, true]),
        ];
        let start = Instant::now();
        for (calls, id, minute, expected) in rows {
            let attempts = attempts(calls, start);
            let now = start + MINUTE * minute;
            let ours = json!({"id": id});
            let ours = ours.as_object().unwrap();
            let met = [by_parameter(), by_output(), requirement(None)]
                .map(|it| it.is_met(&attempts, ours, now));
            assert_eq!(met, expected, "{calls:?} {id} {minute}");
        }
    }

    #[test]
    fn what_is_absent_equals_nothing() {
        let start = Instant::now();
        let mut attempts = Attempts::default();
        let number = attempts.begin(&named("verify"), &Map::new(), start);
        attempts.succeeded(number, &[(output("id"), None)]);
        for ours in [json!({}), json!({"id": null})] {
            for requirement in [by_parameter(), by_output()] {
                assert!(!requirement.is_met(&attempts, ours.as_object().unwrap(), start));
            }
        }
        assert!(requirement(None).is_met(&attempts, &Map::new(), start));
    }

    #[test]
    fn another_action_says_nothing() {
        let start = Instant::now();
        let attempts = attempts(&[(0, "1", Some("1"))], start);
        let other = Requirement {
            action: named("verify_2"),
            ..requirement(None)
        };
        assert!(!other.is_met(&attempts, &Map::new(), start));
    }

    #[test]
    fn a_failure_counts_against_every_spelling_of_its_value() {
        for (one, two, same) in [
            (json!(1), json!(1.0), true),
            (json!(0), json!(-0.0), true),
            (json!({"a": 1, "b": [2.0]}), json!({"b": [2], "a": 1}), true),
            (
                json!(9007199254740993_u64),
                json!(9007199254740994_u64),
                false,
            ),
            (json!(1), json!("1"), false),
            (json!([1, 2]), json!([2, 1]), false),
            (json!(1.5), json!(1.5), true),
        ] {
            assert_eq!(Digest::of(&one) == Digest::of(&two), same, "{one} {two}");
        }
    }

    #[test]
    fn a_success_that_was_forgotten_is_none_and_a_late_end_finds_its_own_attempt() {
        let start = Instant::now();
        let mut attempts = attempts(&[(0, "1", Some("1"))], start);
        let one = json!({"customer": "2"});
        let other = one.as_object().unwrap();
        let late = attempts.begin(&named("verify"), other, start);
        for _ in 2..MAX_ATTEMPTS {
            attempts.begin(&named("verify"), &Map::new(), start);
        }
        let ours = json!({"id": "1"});
        let ours = ours.as_object().unwrap();
        assert!(by_parameter().is_met(&attempts, ours, start));
        attempts.begin(&named("verify"), &Map::new(), start);
        assert!(!by_parameter().is_met(&attempts, ours, start));
        assert_eq!(attempts.0.len(), MAX_ATTEMPTS);
        attempts.succeeded(late, &[]);
        let two = json!({"id": "2"});
        assert!(by_parameter().is_met(&attempts, two.as_object().unwrap(), start));
        for _ in 0..MAX_ATTEMPTS {
            attempts.begin(&named("verify"), &Map::new(), start);
        }
        attempts.succeeded(late, &[]);
        assert!(!by_parameter().is_met(&attempts, two.as_object().unwrap(), start));
    }
}
