//! The parameters that no log shows, and whose values no refusal quotes.

use crate::action::Action;
use crate::jsonpath::{Reach, WildPath};

/// What an action lists under `sensitive`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sensitive(Vec<Vec<Reach>>);

impl Sensitive {
    /// Hides the parameter of this name.
    pub fn add_parameter(&mut self, name: &str) {
        self.0.push(vec![Reach::Name(name.to_owned())]);
    }

    /// Hides what a query selects among the parameters.
    pub fn add_path(&mut self, path: &WildPath) {
        self.0.push(path.steps().to_vec());
    }

    /// Whether the value at a JSON Pointer is listed, stands in one that is, or may hold one.
    fn conceals(&self, pointer: &str) -> bool {
        let names: Vec<String> = pointer
            .split('/')
            .skip(1)
            .map(|step| step.replace("~1", "/").replace("~0", "~"))
            .collect();
        let fits = |(step, name): (&Reach, &String)| match step {
            Reach::Name(it) => it == name,
            Reach::Element => name.parse::<usize>().is_ok(),
            Reach::Any => true,
        };
        self.0
            .iter()
            .any(|place| place.iter().zip(&names).all(fits))
    }
}

impl Action {
    /// Whether the value of the parameters at a JSON Pointer (RFC 6901) may not be shown: it is listed under
    /// `sensitive` or marked `writeOnly`, stands in such a value, or may hold one.
    pub fn conceals(&self, pointer: &str) -> bool {
        self.sensitive.conceals(pointer) || self.parameters.conceals(pointer)
    }

    /// What the value at a pointer must be. The right spelling of a value is the value: a concealed one is not spelled.
    pub(super) fn wording<'w>(&self, pointer: &str, expected: &'w str) -> &'w str {
        match self.conceals(pointer) {
            true => "of its declared type, in the one spelling that a value of it has",
            false => expected,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_above_at_and_below_a_place_is_hidden() {
        let mut sensitive = Sensitive::default();
        sensitive.add_parameter("pin");
        sensitive.add_path(&WildPath::parse("$.cards[0]['a/b']").unwrap());
        sensitive.add_path(&WildPath::parse("$.users[*].*.pin").unwrap());
        for (pointer, expected) in [
            ("", true),
            ("/pin", true),
            ("/pin/x", true),
            ("/name", false),
            ("/cards", true),
            ("/cards/7", true),
            ("/cards/7/a~1b", true),
            ("/cards/7/a~1b/x", true),
            ("/cards/7/c", false),
            ("/cards/x/a~1b", false),
            ("/users/3/home/pin", true),
            ("/users/3", true),
            ("/users/3/home/town", false),
        ] {
            assert_eq!(sensitive.conceals(pointer), expected, "{pointer}");
        }
    }
}
