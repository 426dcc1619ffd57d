//! What was expected beside what came.

use http::HeaderMap;
use serde_json::Value;

use crate::action::outcome::{Concluded, Shown};
use crate::action::pointer;
use crate::json;
use crate::json::are_equal;
use crate::name::ActionName;
use crate::policy::Masked;
use crate::policy::trial::{Expected, Reply, Step, Wanted};
use crate::problem::Place;
use crate::refusal::Refusal;
use crate::rehearsal::Failure;

/// What came of something that was allowed.
pub(super) struct Came<'a> {
    pub(super) action: &'a ActionName,
    pub(super) leaving: &'a Masked,
    pub(super) reply: Option<(&'a Reply, &'a Concluded)>,
}

/// A refusal that is not the expected one, or where none was expected.
pub(super) fn refused(step: &Step, expected: &Expected, refusal: Refusal) -> Failure {
    let (place, expected) = match expected {
        Expected::Refused(code) => (&code.place, format!("refused: {}", code.value)),
        Expected::Allowed(wanted) => match &wanted.action {
            Some(action) => (&action.place, format!("allowed: {}", action.value)),
            None => (&step.place, "allowed".to_owned()),
        },
    };
    Failure {
        got: format!("refused: {}: {}", refusal.code, refusal.message),
        refusal: Some(refusal),
        ..failure("decision", place, expected, String::new())
    }
}

/// Everything that is not as expected in something that was allowed.
pub(super) fn allowed(expected: &Expected, came: &Came<'_>) -> Vec<Failure> {
    match expected {
        Expected::Refused(code) => vec![failure(
            "decision",
            &code.place,
            format!("refused: {}", code.value),
            format!("allowed: {}, as {}", came.action, came.leaving.url),
        )],
        Expected::Allowed(wanted) => {
            let mut failures = Vec::new();
            compare_action(wanted, came, &mut failures);
            compare_request(wanted, came.leaving, &mut failures);
            if let Some((reply, concluded)) = came.reply {
                compare_reply(wanted, reply, concluded, &mut failures);
            }
            failures
        }
    }
}

fn compare_action(wanted: &Wanted, came: &Came<'_>, failures: &mut Vec<Failure>) {
    if let Some(action) = &wanted.action
        && action.value != *came.action
    {
        let (expected, got) = (&action.value, came.action);
        failures.push(failure(
            "decision",
            &action.place,
            format!("allowed: {expected}"),
            format!("allowed: {got}"),
        ));
    }
}

fn compare_request(wanted: &Wanted, leaving: &Masked, failures: &mut Vec<Failure>) {
    let texts = [
        ("upstream method", &wanted.method, leaving.method.as_str()),
        ("upstream url", &wanted.url, &leaving.url),
    ];
    for (what, wanted, got) in texts {
        if let Some(wanted) = wanted.as_ref().filter(|it| it.value != got) {
            let expected = wanted.value.clone();
            failures.push(failure(what, &wanted.place, expected, got.to_owned()));
        }
    }
    for (name, values) in &wanted.headers {
        let got = values_of(&leaving.headers, name.value.as_str());
        if *values != got {
            let what = format!("upstream header {}", name.value);
            failures.push(failure(&what, &name.place, listed(values), listed(&got)));
        }
    }
    if let Some(body) = &wanted.body {
        let got = side_by_side(&body.value, &leaving.body);
        compare_values("upstream body", &body.place, (&body.value, &got), failures);
    }
}

fn compare_reply(
    wanted: &Wanted,
    reply: &Reply,
    concluded: &Concluded,
    failures: &mut Vec<Failure>,
) {
    if let Some(outcome) = &wanted.outcome
        && outcome.value != concluded.outcome
    {
        let (expected, got) = (outcome.value.to_string(), concluded.outcome.to_string());
        failures.push(failure("outcome", &outcome.place, expected, got));
    }
    if let Some(say) = &wanted.say
        && Some(&say.value) != concluded.say.as_ref()
    {
        let got = concluded.say.clone().unwrap_or_else(|| NOTHING.to_owned());
        failures.push(failure("say", &say.place, say.value.clone(), got));
    }
    if let Some(returned) = &wanted.returned {
        let got = match &concluded.shown {
            Shown::AsCame => side_by_side(&returned.value, &reply.body),
            Shown::Json(value) => value.clone(),
            Shown::Withheld => Value::Null,
        };
        compare_values(
            "returned",
            &returned.place,
            (&returned.value, &got),
            failures,
        );
    }
    for (name, value) in &wanted.outputs {
        let found = concluded.outputs.iter().find(|(it, _)| *it == name.value);
        let got = found.and_then(|(_, it)| it.clone()).unwrap_or_default();
        let what = format!("output {}", name.value);
        compare_values(&what, &name.place, (value, &got), failures);
    }
}

/// Bytes in the form in which something is expected of them: as text where that is a text, else as JSON.
fn side_by_side(expected: &Value, bytes: &[u8]) -> Value {
    match expected {
        Value::String(_) => String::from_utf8_lossy(bytes).into_owned().into(),
        _ if bytes.is_empty() => Value::Null,
        _ => json::parse(bytes).unwrap_or_else(|_| String::from_utf8_lossy(bytes).into()),
    }
}

/// JSON is compared by value, and every place that differs is told by its pointer.
fn compare_values(
    what: &str,
    place: &Place,
    (expected, got): (&Value, &Value),
    failures: &mut Vec<Failure>,
) {
    let mut found = Vec::new();
    differences(String::new(), (Some(expected), Some(got)), &mut found);
    for (pointer, expected, got) in found {
        let at = if pointer.is_empty() {
            what.to_owned()
        } else {
            format!("{what} at {pointer}")
        };
        let is_whole = pointer.is_empty();
        let [expected, got] = [expected, got].map(|it| shown(it, is_whole));
        failures.push(failure(&at, place, expected, got));
    }
}

/// A place in two values, and what stands there in each.
type Difference<'v> = (String, Option<&'v Value>, Option<&'v Value>);

fn differences<'v>(
    at: String,
    (one, other): (Option<&'v Value>, Option<&'v Value>),
    found: &mut Vec<Difference<'v>>,
) {
    match (one, other) {
        (Some(Value::Object(ones)), Some(Value::Object(others))) => {
            let further = others.keys().filter(|name| !ones.contains_key(*name));
            for name in ones.keys().chain(further) {
                let at = format!("{at}{}", pointer(name));
                differences(at, (ones.get(name), others.get(name)), found);
            }
        }
        (Some(Value::Array(ones)), Some(Value::Array(others))) => {
            for index in 0..ones.len().max(others.len()) {
                let at = format!("{at}/{index}");
                differences(at, (ones.get(index), others.get(index)), found);
            }
        }
        (Some(one), Some(other)) if are_equal(one, other) => {}
        (None, None) => {}
        _ => found.push((at, one, other)),
    }
}

const NOTHING: &str = "nothing";

/// Text has its quotes, which tell it from a number. A whole that is `null` is not there; a part of one may be `null`.
fn shown(value: Option<&Value>, is_whole: bool) -> String {
    match value {
        None => NOTHING.to_owned(),
        Some(Value::Null) if is_whole => NOTHING.to_owned(),
        Some(value) => {
            let mut bytes = Vec::new();
            json::write(value, &mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        }
    }
}

fn values_of(headers: &HeaderMap, name: &str) -> Vec<String> {
    let values = headers.get_all(name).iter();
    values
        .map(|it| String::from_utf8_lossy(it.as_bytes()).into_owned())
        .collect()
}

fn listed(values: &[String]) -> String {
    match values {
        [] => NOTHING.to_owned(),
        values => values.join(", "),
    }
}

fn failure(what: &str, place: &Place, expected: String, got: String) -> Failure {
    Failure {
        place: place.clone(),
        step: None,
        what: what.to_owned(),
        expected,
        got,
        refusal: None,
    }
}
