//! The variables of one session: values by the names of outputs, and the tree in which templates find them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::action::outcome::OutputName;
use crate::json;

/// Values by name. Names that would grow into one another cannot both be there, also after a reload has changed them.
#[derive(Default)]
pub(super) struct Tree {
    // With the bytes that each takes.
    values: BTreeMap<OutputName, (Value, usize)>,
    bytes: usize,
    // What requests hold. Made anew when a value changes, which is rarer than that one is read.
    whole: Arc<Map<String, Value>>,
}

impl Tree {
    /// The tree: a value stands below the parts of its name.
    pub(super) fn whole(&self) -> Arc<Map<String, Value>> {
        Arc::clone(&self.whole)
    }

    /// The bytes of all names and values, as JSON.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Sets and unsets values. Gives back the names of those that did not fit in `room` bytes: neither they nor what
    /// they would have replaced are there then.
    pub(super) fn learn(
        &mut self,
        outputs: Vec<(OutputName, Option<Value>)>,
        room: usize,
    ) -> Vec<OutputName> {
        // First of all what is no longer so, to make room.
        for (name, _) in &outputs {
            self.remove_overlapping(name);
        }
        let mut left_out = Vec::new();
        for (name, value) in outputs {
            let Some(value) = value else { continue };
            let size = size(name.as_str(), &value);
            if self.bytes + size > room {
                left_out.push(name);
                continue;
            }
            // A list of outputs that names one twice: the last stays.
            self.remove_overlapping(&name);
            self.bytes += size;
            self.values.insert(name, (value, size));
        }
        self.whole = Arc::new(self.grown());
        left_out
    }

    fn remove_overlapping(&mut self, name: &OutputName) {
        let bytes = &mut self.bytes;
        self.values.retain(|other, (_, size)| {
            let keep = !overlap(name.as_str(), other.as_str());
            if !keep {
                *bytes -= *size;
            }
            keep
        });
    }

    fn grown(&self) -> Map<String, Value> {
        let mut root = Map::new();
        for (name, (value, _)) in &self.values {
            let mut parts: Vec<&str> = name.parts().collect();
            let Some(last) = parts.pop() else { continue };
            let branch = parts.into_iter().fold(&mut root, branch);
            branch.insert(last.to_owned(), value.clone());
        }
        root
    }
}

/// The object below a name: names that overlap are not there, so nothing else stands in its place.
fn branch<'a>(below: &'a mut Map<String, Value>, part: &str) -> &'a mut Map<String, Value> {
    let entry = below.entry(part.to_owned());
    let value = entry.or_insert_with(|| Value::Object(Map::new()));
    value
        .as_object_mut()
        .expect("a name that is the start of another was removed when the other came")
}

/// Whether two names are equal, or one is the start of the other.
fn overlap(one: &str, two: &str) -> bool {
    let (short, long) = if one.len() <= two.len() {
        (one, two)
    } else {
        (two, one)
    };
    let rest = long.strip_prefix(short);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// The bytes of a name and its value, as JSON.
pub(super) fn size(name: &str, value: &Value) -> usize {
    let mut text = Vec::new();
    json::write(value, &mut text);
    name.len() + text.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn learn(tree: &mut Tree, name: &str, value: Option<Value>) {
        let name = OutputName::parse(name).unwrap();
        assert!(tree.learn(vec![(name, value)], usize::MAX).is_empty());
    }

    #[test]
    fn values_stand_below_the_parts_of_their_names() {
        let mut tree = Tree::default();
        for (name, value, expected) in [
            ("a.b", Some(json!(1)), json!({"a": {"b": 1}})),
            (
                "a.c.d",
                Some(json!([2])),
                json!({"a": {"b": 1, "c": {"d": [2]}}}),
            ),
            (
                "ab",
                Some(json!(null)),
                json!({"a": {"b": 1, "c": {"d": [2]}}, "ab": null}),
            ),
            (
                "a.b",
                Some(json!({"x": 1})),
                json!({"a": {"b": {"x": 1}, "c": {"d": [2]}}, "ab": null}),
            ),
            // Names of another policy, after a reload.
            (
                "a.b.x",
                Some(json!(3)),
                json!({"a": {"b": {"x": 3}, "c": {"d": [2]}}, "ab": null}),
            ),
            (
                "a.c",
                Some(json!(4)),
                json!({"a": {"b": {"x": 3}, "c": 4}, "ab": null}),
            ),
            ("a.b.x", None, json!({"a": {"c": 4}, "ab": null})),
            ("a.c", None, json!({"ab": null})),
            ("ab", None, json!({})),
        ] {
            learn(&mut tree, name, value);
            assert_eq!(Value::Object((*tree.whole()).clone()), expected, "{name}");
        }
        assert_eq!(tree.bytes(), 0);
    }

    proptest! {
        #[test]
        fn the_bytes_are_those_of_what_is_there_and_within_the_room(
            steps in prop::collection::vec(
                ("[ab](\\.[ab]){0,2}", prop::option::of("[a-z]{0,12}")), 0..30,
            ),
            room in 0usize..60,
        ) {
            let mut tree = Tree::default();
            for (name, value) in steps {
                let name = OutputName::parse(&name).unwrap();
                let value = value.map(Value::from);
                let left_out = tree.learn(vec![(name.clone(), value.clone())], room);
                let there: usize = tree.values.iter().map(|(name, (value, _))| size(name.as_str(), value)).sum();
                prop_assert_eq!(tree.bytes(), there);
                prop_assert!(there <= room);
                let found = name.parts().try_fold(None, |at: Option<&Value>, part| {
                    Some(Some(match at {
                        None => tree.whole.get(part)?,
                        Some(value) => value.get(part)?,
                    }))
                });
                let expected = value.filter(|_| left_out.is_empty());
                prop_assert_eq!(found.flatten().cloned(), expected);
            }
        }
    }
}
