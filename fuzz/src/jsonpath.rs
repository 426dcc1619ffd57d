//! Any text as a JSONPath, asked of any JSON: what is selected is what the crate that parses it
//! selects by a walk of its own.

use exeat::jsonpath::BadJsonPath;
use exeat::jsonpath::SingularPath;
use exeat::jsonpath::Step;
use jsonpath_rfc9535::JsonPath;
use jsonpath_rfc9535::SingularSegment;
use serde_json::Value;
use serde_json::json;

use super::halves;

/// Reads the path, selects in every way there is, and compares.
pub fn check(bytes: &[u8]) {
    let Some((text, given)) = halves::of(bytes) else {
        return;
    };
    let Ok(path) = SingularPath::parse(text) else {
        return;
    };
    assert_eq!(path.as_str(), text);
    let oracle = JsonPath::parse(text).expect("the same crate has read it before");
    for root in [given, at_its_end(&oracle)] {
        check_selection(&path, &oracle, &root);
    }
}

fn check_selection(path: &SingularPath, oracle: &JsonPath, root: &Value) {
    let selected = path.select(root);
    let nodes = oracle.query(root);
    assert!(nodes.len() <= 1);
    assert_eq!(selected, nodes.values().next());

    let mut copy = root.clone();
    assert_eq!(path.select_mut(&mut copy).as_deref(), selected);

    let location = path.location(root);
    assert_eq!(location.is_some(), selected.is_some());
    let Some(location) = location else { return };
    match SingularPath::parse(&normalized(&location)) {
        Err(refused) => assert_eq!(refused, BadJsonPath::TooLong),
        Ok(normalized) => {
            assert_eq!(normalized.select(root), selected);
            assert_eq!(normalized.location(root), Some(location));
            assert!(path.may_overlap(&normalized) && normalized.may_overlap(path));
        }
    }
}

/// A location as it is written in RFC 9535 §2.7, but for the kind of its quotes.
fn normalized(location: &[Step]) -> String {
    let steps = location.iter().map(|step| match step {
        Step::Name(name) => format!("[{}]", json!(name)),
        Step::Index(index) => format!("[{index}]"),
    });
    format!("${}", steps.collect::<String>())
}

/// A value in which the path selects something: what the fuzzer makes up seldom does. Null where an index is far out.
fn at_its_end(path: &JsonPath) -> Value {
    let steps = path.singular_steps().expect("only singular paths are read");
    steps
        .iter()
        .rev()
        .fold(json!("here"), |value, step| match step {
            SingularSegment::Name(name) => json!({ name: value }),
            SingularSegment::Index(index) => array_with(index.get(), value),
        })
}

/// The shortest array with this value at this index.
fn array_with(index: i64, value: Value) -> Value {
    let before = if index < 0 { 0 } else { index };
    let behind = if index < 0 { -(index + 1) } else { 0 };
    if before + behind > 16 {
        return Value::Null;
    }
    let nulls = |count: i64| (0..count).map(|_| Value::Null);
    let items = nulls(before).chain([value]).chain(nulls(behind));
    items.collect()
}
