//! What logs may show of a request: everything that came with it goes through here before it is written down.
//!
//! Pure. A value is left out because of where it stands (the policy calls its parameter sensitive, or its name is one
//! under which secrets are sent) or because of what it is (a secret that exeat knows, in any of its encodings;
//! something with the shape of a secret; what an operator's pattern fits).

use std::borrow::Cow;
use std::ops::Range;

use regex::{Regex, RegexBuilder};
use serde_json::{Map, Value};

use crate::action::{Action, pointer};
use crate::credential;
use crate::scrub::Forms;

/// What stands in the place of what is left out. It tells neither length nor kind.
pub const MARK: &str = "[redacted]";

/// What stands where there was more.
pub const MORE: &str = "…";

/// Names that one list of a record has, and members or items that a value shows.
pub const NAMES: usize = 64;

/// Values of one request that a record shows, in bytes as they are written: who asks for a lot must not be able to fill
/// the disk with it. A ticket's description is shown whole, a document is not.
pub const SHOWN: usize = 4096;

/// Bytes of the JSON Pointer of a value that is shown: real ones have some dozen.
const LONGEST_PLACE: usize = 512;

/// Bytes of a name: those of real parameters have a dozen.
const LONGEST_NAME: usize = 64;

/// Bytes of the automaton of a pattern, a tenth of what the library would take: enough for patterns that people write,
/// and all of them are kept for as long as exeat runs.
const AUTOMATON: usize = 1 << 20;

/// The rules of a process.
#[derive(Debug, Default)]
pub struct Redaction {
    patterns: Vec<Regex>,
}

/// A pattern that cannot be used.
#[derive(Debug)]
pub struct BadPattern {
    /// As it was given.
    pub pattern: String,
    /// What is wrong with it.
    pub reason: String,
}

impl Redaction {
    /// The built-in rules, and what these patterns fit, in the syntax of the `regex` crate.
    ///
    /// # Errors
    /// A pattern that cannot be compiled, or that fits the empty text and so stands everywhere.
    pub fn with(patterns: &[String]) -> Result<Self, BadPattern> {
        let patterns = patterns.iter().map(|it| compile(it)).collect();
        Ok(Self {
            patterns: Result::from_iter::<Vec<_>>(patterns)?,
        })
    }

    /// A text with a mark in the place of each secret in it.
    pub fn text<'t>(&self, text: &'t str, known: &Forms) -> Cow<'t, str> {
        let found = self.secrets(text, known);
        if found.is_empty() {
            return Cow::Borrowed(text);
        }
        let (mut shown, mut end) = (String::with_capacity(text.len()), 0);
        for range in found {
            shown.push_str(&text[end..range.start]);
            shown.push_str(MARK);
            end = range.end;
        }
        shown.push_str(&text[end..]);
        Cow::Owned(shown)
    }

    /// Names that came with a request, which may be anything where they are not declared. Of more than a list has
    /// ([`bound`]) so many that it shows that there were more.
    pub fn names<'n>(&self, names: impl Iterator<Item = &'n str>, known: &Forms) -> Vec<String> {
        let looked_at = names.take(NAMES + 2);
        looked_at.map(|name| self.name(name, known)).collect()
    }

    fn name(&self, name: &str, known: &Forms) -> String {
        cut(&self.text(name, known), LONGEST_NAME).into_owned()
    }

    /// The values of an action's parameters, as far as a log may show them.
    pub fn values(
        &self,
        action: &Action,
        parameters: &Map<String, Value>,
        known: &Forms,
    ) -> Map<String, Value> {
        let mut shown = Shown {
            redaction: self,
            action,
            known,
            left: SHOWN,
        };
        shown.members(parameters, "")
    }

    /// Where secrets stand, in order, on boundaries of characters; what touches is one.
    fn secrets(&self, text: &str, known: &Forms) -> Vec<Range<usize>> {
        let of_known = known.find(text.as_bytes()).into_iter();
        let whole =
            of_known.map(|it| text.floor_char_boundary(it.start)..text.ceil_char_boundary(it.end));
        let shaped = credential::secrets_in(text).map(|(range, _)| range);
        let fitting = self.patterns.iter().flat_map(|it| it.find_iter(text));
        let fitting = fitting.map(|it| it.range());
        let mut found: Vec<_> = whole.chain(shaped).chain(fitting).collect();
        found.sort_unstable_by_key(|range| range.start);
        found.dedup_by(|next, before| {
            let touches = next.start <= before.end;
            if touches {
                before.end = before.end.max(next.end);
            }
            touches
        });
        found
    }
}

/// Keeps as many names as one list of a record has, and one more that says that there were others. A name of one byte
/// takes some forty in memory, and a target has room for thousands.
pub fn bound(names: &mut Vec<String>) {
    if names.len() > NAMES + 1 {
        names.truncate(NAMES);
        names.push(MORE.to_owned());
        names.shrink_to_fit();
    }
}

fn compile(pattern: &str) -> Result<Regex, BadPattern> {
    let bad = |reason: String| BadPattern {
        pattern: pattern.to_owned(),
        reason,
    };
    let compiled = RegexBuilder::new(pattern).size_limit(AUTOMATON).build();
    let compiled = compiled.map_err(|error| bad(error.to_string()))?;
    match compiled.is_match("") {
        true => Err(bad(
            "it fits the empty text, and so every place of every text".into(),
        )),
        false => Ok(compiled),
    }
}

/// The values of one request, while they are gone through.
struct Shown<'a> {
    redaction: &'a Redaction,
    action: &'a Action,
    known: &'a Forms,
    /// Bytes that may still be written, of everything that is in the values: names, brackets and marks, too.
    left: usize,
}

impl Shown<'_> {
    fn members(&mut self, members: &Map<String, Value>, at: &str) -> Map<String, Value> {
        let mut shown = Map::new();
        for (index, (name, value)) in members.iter().enumerate() {
            if self.left == 0 || index == NAMES {
                shown.insert(MORE.into(), MORE.into());
                break;
            }
            let text = self.redaction.name(name, self.known);
            self.charge(&text);
            let value = match credential::is_secret_name(name) {
                true => self.mark(),
                false => self.below(value, at, &pointer(name)),
            };
            shown.insert(text, value);
        }
        shown
    }

    /// Of a value that stands so deep, or under names so long, that its place could cost more than itself, no more is
    /// shown than that it is there.
    fn below(&mut self, value: &Value, at: &str, step: &str) -> Value {
        match at.len() + step.len() <= LONGEST_PLACE {
            true => self.value(value, &format!("{at}{step}")),
            false => self.more(),
        }
    }

    fn value(&mut self, value: &Value, at: &str) -> Value {
        match value {
            _ if self.left == 0 => self.more(),
            Value::Object(members) => {
                self.charge("");
                self.members(members, at).into()
            }
            Value::Array(items) => {
                self.charge("");
                self.items(items, at)
            }
            _ if self.action.conceals(at) => self.mark(),
            Value::String(text) => self.text(text).into(),
            // A card's number may come as one.
            Value::Number(number) => match self.text(&number.to_string()) {
                shown if shown == number.to_string() => value.clone(),
                shown => shown.into(),
            },
            Value::Null | Value::Bool(_) => {
                self.charge("");
                value.clone()
            }
        }
    }

    fn items(&mut self, items: &[Value], at: &str) -> Value {
        let mut shown = Vec::new();
        for (index, item) in items.iter().enumerate() {
            if self.left == 0 || index == NAMES {
                shown.push(MORE.into());
                break;
            }
            shown.push(self.below(item, at, &format!("/{index}")));
        }
        shown.into()
    }

    /// What goes beyond the limit is cut after it was gone through: half a secret has no shape any more.
    fn text(&mut self, text: &str) -> String {
        let shown = self.redaction.text(text, self.known);
        let shown = cut(&shown, self.left).into_owned();
        self.charge(&shown);
        shown
    }

    fn mark(&mut self) -> Value {
        self.charge(MARK);
        MARK.into()
    }

    fn more(&mut self) -> Value {
        self.charge(MORE);
        MORE.into()
    }

    /// As it is written: a character may become an escape of six bytes, and quotes and a comma stand around.
    fn charge(&mut self, text: &str) {
        let is_plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        let bytes = if is_plain { text.len() } else { text.len() * 6 };
        self.left = self.left.saturating_sub(bytes + 6);
    }
}

/// The beginning of a text, with a sign where there was more.
fn cut(text: &str, most: usize) -> Cow<'_, str> {
    match text.len() <= most {
        true => Cow::Borrowed(text),
        false => Cow::Owned(format!("{}{MORE}", &text[..text.floor_char_boundary(most)])),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::name::ActionName;
    use crate::policy::from_texts;
    use crate::secret::Secret;

    #[test]
    fn a_secret_is_marked_in_each_of_its_encodings_and_nothing_else_is() {
        let redaction = Redaction::with(&[r"\b\d{4}-\d{4}\b".into()]).unwrap();
        for (text, shown) in [
            ("the weather in Paris", "the weather in Paris"),
            ("key=SECRET/AAAA&x", "key=[redacted]&x"),
            ("key=SECRET%2FAAAA", "key=[redacted]"),
            ("U0VDUkVUL0FBQUE= in base64", "[redacted]E= in base64"),
            ("5345435245542f41414141", "[redacted]"),
            ("éSECRET/AAAAé", "é[redacted]é"),
            ("card 1234-5678, 12345-678", "card [redacted], 12345-678"),
            ("SECRET/AAAA1234-5678", "[redacted]1234-5678"),
            ("SECRET/AAAA 1234-5678", "[redacted] [redacted]"),
        ] {
            assert_eq!(redaction.text(text, &known()), shown);
        }
        let shaped = ["Bearer ghp_", "16C7e42F292c6912E7710c838347Ae178B4a"].concat();
        assert_eq!(redaction.text(&shaped, &known()), "Bearer [redacted]");
    }

    #[test]
    fn a_pattern_that_fits_everything_or_nothing_sensible_is_refused() {
        for pattern in ["(", "a*", "", "x{1000}{1000}"] {
            let bad = Redaction::with(&[pattern.to_owned()]).unwrap_err();
            assert_eq!(bad.pattern, pattern);
            assert!(!bad.reason.is_empty());
        }
    }

    #[test]
    fn values_are_shown_but_for_those_that_are_sensitive_named_like_secrets_or_known() {
        let given = json!({
            "city": "Paris", "days": 3, "pin": 1234, "card": "4111",
            "users": [{"name": "Ada", "password": "p"}, {"name": "SECRET/AAAA", "ssn": "1"}],
            "note": "call 1234-5678", "phone": 12345678, "api_key": {"x": 1}, "none": null,
        });
        let redaction = Redaction::with(&["[0-9]{4}-?[0-9]{4}".into()]).unwrap();
        let shown = redaction.values(&action(), given.as_object().unwrap(), &known());
        let expected = json!({
            "city": "Paris", "days": 3, "pin": MARK, "card": MARK,
            "users": [{"name": "Ada", "password": MARK}, {"name": MARK, "ssn": MARK}],
            "note": "call [redacted]", "phone": MARK, "api_key": MARK, "none": null,
        });
        assert_eq!(Value::Object(shown), expected);
    }

    #[test]
    fn a_request_cannot_fill_the_disk() {
        let long = "x".repeat(SHOWN);
        let many: Map<_, _> = (0..1000)
            .map(|n| (format!("p{n}{}", "_".repeat(100)), json!(long)))
            .collect();
        let redaction = Redaction::default();
        let shown = redaction.values(&action(), &many, &known());
        assert!(shown.len() <= NAMES + 1);
        assert!(Value::Object(shown).to_string().len() < 2 * SHOWN);
        let names = redaction.names(many.keys().map(String::as_str), &known());
        assert_eq!(names.len(), NAMES + 2);
    }

    #[test]
    fn neither_nesting_nor_names_nor_small_values_make_a_record_large() {
        let deep = (0..100).fold(json!(0), |inner, _| json!([inner, 0]));
        let wide = json!(vec![json!(null); 100_000]);
        let long = json!({"\u{7f}".repeat(100_000): {"\u{7f}".repeat(100_000): [[1, 2], [3, 4]]}});
        let many: Map<_, _> = (0..1000)
            .map(|n| (format!("\u{7f}{n}"), json!({})))
            .collect();
        let nested = json!(vec![json!(vec![json!(vec![true; 64]); 64]); 64]);
        for value in [deep, wide, long, many.into(), nested] {
            let given = Map::from_iter([("note".to_owned(), value)]);
            let shown = Redaction::default().values(&action(), &given, &known());
            let written = Value::Object(shown).to_string();
            assert!(written.len() < 2 * SHOWN, "{}", written.len());
        }
    }

    #[test]
    fn a_secret_at_the_limit_is_not_half_shown() {
        // Wherever the limit is, it comes into the secret.
        for before in SHOWN - 64..=SHOWN {
            let text = format!("{}SECRET/AAAA", "x".repeat(before));
            let given = Map::from_iter([("note".to_owned(), json!(text))]);
            let shown = Redaction::default().values(&action(), &given, &known());
            let shown = shown["note"].as_str().unwrap();
            assert!(!shown.contains('S') && shown.len() > SHOWN / 2, "{before}");
        }
    }

    #[test]
    fn what_is_left_out_of_a_long_list_shows() {
        let given = json!({
            "note": vec![1; NAMES], "more": vec![1; NAMES + 1],
            "api": (0..=NAMES).map(|n| (n.to_string(), json!(n))).collect::<Map<_, _>>(),
        });
        let shown = Redaction::default().values(&action(), given.as_object().unwrap(), &known());
        assert_eq!(shown["note"], given["note"]);
        assert_eq!(shown["more"][NAMES], MORE);
        assert_eq!(shown["api"][MORE], MORE);
        for (count, kept) in [(64, 64), (65, 65), (66, 65), (1000, 65)] {
            let names: Vec<String> = (0..count).map(|n| n.to_string()).collect();
            let names = names.iter().map(String::as_str);
            let mut names = Redaction::default().names(names, &known());
            bound(&mut names);
            assert_eq!(names.len(), kept);
            assert_eq!(names[kept - 1] == MORE, count > 65);
        }
    }

    proptest! {
        #[test]
        fn no_known_secret_is_left_in_any_text(before in ".{0,20}", after in ".{0,20}", times in 1_usize..4) {
            let text = format!("{before}{}{after}", "SECRET/AAAA".repeat(times));
            let redaction = Redaction::default();
            prop_assert!(!redaction.text(&text, &known()).contains("SECRET/AAAA"));
        }
    }

    fn known() -> Forms {
        Forms::of(&[Secret::new("SECRET/AAAA".into()).unwrap()])
    }

    fn action() -> Arc<Action> {
        const POLICY: &str = r#"version: 1
actions:
  pay:
    description: Pays with a card that nobody is shown.
    method: POST
    url: https://pay.good.test/pay
    sensitive: [pin, "$.users[0].ssn"]
    parameters:
      additionalProperties: true
      properties:
        card: {type: string, writeOnly: true}
        pin: {type: integer}
        users: {type: array, items: {type: object}}
"#;
        let loaded = from_texts(&[("p.yaml".into(), POLICY.into())]);
        let policy = loaded.policy.unwrap();
        let name = ActionName::parse("pay").unwrap();
        policy.environments()[0].actions[&name].clone()
    }
}
