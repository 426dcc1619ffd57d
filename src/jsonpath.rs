//! JSONPath (RFC 9535) as the policy uses it: singular queries, which select one value or none.
//!
//! The only module that knows the crate that parses them: that crate is young and pinned. It checks the grammar; the
//! walk is here, since values are not only read at a place but also replaced there. Filters, wildcards and everything
//! else that may select several values are refused.

use std::fmt;

use jsonpath_rfc9535::{JsonPath, SingularSegment};
use serde_json::Value;

use crate::json::MAX_DEPTH;

/// The longest query. Names of real members have a dozen characters, and queries a handful of steps.
pub const MAX_LENGTH: usize = 1024;

/// A singular query (RFC 9535 §2.3.5.1), checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SingularPath {
    text: String,
    steps: Vec<Step>,
}

/// One step of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The member of this name.
    Name(String),
    /// The element at this index; counted from the end if negative.
    Index(i64),
}

/// A query that may select several values by wildcards, and in no other way, checked. It says where something stands,
/// so it is compared with places and never walked: an index is any place in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WildPath(Vec<Reach>);

/// One step of a [`WildPath`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The member of this name.
    Name(String),
    /// Every element of a list.
    Element,
    /// Every element or member.
    Any,
}

/// Why a text is not a query that the policy can use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadJsonPath {
    /// More than [`MAX_LENGTH`] bytes.
    TooLong,
    /// More steps than a JSON text may nest ([`MAX_DEPTH`]).
    TooDeep,
    /// Not RFC 9535. Where the grammar breaks, as a byte offset, if that is known.
    Grammar(Option<usize>),
    /// May select more than one value.
    NotSingular,
}

impl fmt::Display for BadJsonPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "a JSONPath has at most {MAX_LENGTH} bytes"),
            Self::TooDeep => write!(f, "a JSONPath has at most {MAX_DEPTH} steps"),
            Self::Grammar(Some(offset)) => write!(
                f,
                "this is not a JSONPath (RFC 9535) from its byte {offset} on; write one such as `$.order.id`"
            ),
            Self::Grammar(None) => {
                f.write_str("this is not a JSONPath (RFC 9535); write one such as `$.order.id`")
            }
            Self::NotSingular => f.write_str(
                "this JSONPath may select several values; use only names and indexes, such as `$.items[0].id`",
            ),
        }
    }
}

impl std::error::Error for BadJsonPath {}

impl SingularPath {
    /// Reads a query.
    ///
    /// # Errors
    /// The first rule that it breaks. The grammar is looked at only within the limits.
    pub fn parse(text: &str) -> Result<Self, BadJsonPath> {
        if text.len() > MAX_LENGTH {
            return Err(BadJsonPath::TooLong);
        }
        if has_filter(text) {
            return Err(BadJsonPath::NotSingular);
        }
        let parsed = JsonPath::parse(text).map_err(|error| match error {
            jsonpath_rfc9535::Error::Syntax { position, .. } => {
                BadJsonPath::Grammar(Some(position))
            }
            _ => BadJsonPath::Grammar(None),
        })?;
        let steps = parsed.singular_steps().ok_or(BadJsonPath::NotSingular)?;
        if steps.len() > MAX_DEPTH {
            return Err(BadJsonPath::TooDeep);
        }
        Ok(Self {
            text: text.to_owned(),
            steps: steps.iter().map(step).collect(),
        })
    }

    /// The query as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What it selects, if anything. `null` is a value like any other.
    pub fn select<'a>(&self, root: &'a Value) -> Option<&'a Value> {
        self.steps.iter().try_fold(root, |value, step| match step {
            Step::Name(name) => value.as_object()?.get(name),
            Step::Index(index) => {
                let elements = value.as_array()?;
                elements.get(from_start(*index, elements.len())?)
            }
        })
    }

    /// What it selects, to be changed in its place.
    pub fn select_mut<'a>(&self, root: &'a mut Value) -> Option<&'a mut Value> {
        self.steps.iter().try_fold(root, |value, step| match step {
            Step::Name(name) => value.as_object_mut()?.get_mut(name),
            Step::Index(index) => {
                let elements = value.as_array_mut()?;
                let index = from_start(*index, elements.len())?;
                elements.get_mut(index)
            }
        })
    }

    /// The steps to what it selects in this value, all indexes counted from the start: the normalized path of
    /// RFC 9535 §2.7.
    pub fn location(&self, root: &Value) -> Option<Vec<Step>> {
        let mut value = root;
        let mut location = Vec::with_capacity(self.steps.len());
        for step in &self.steps {
            value = match step {
                Step::Name(name) => {
                    location.push(step.clone());
                    value.as_object()?.get(name)?
                }
                Step::Index(index) => {
                    let elements = value.as_array()?;
                    let index = from_start(*index, elements.len())?;
                    location.push(Step::Index(index as i64));
                    &elements[index]
                }
            };
        }
        Some(location)
    }

    /// The steps from the root.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// How far it leads in a value in which it selects nothing: what it has come to, and the step that is not there.
    pub fn lost_at<'a>(&'a self, root: &'a Value) -> Option<(&'a Value, &'a Step)> {
        let mut value = root;
        for step in &self.steps {
            let found = match step {
                Step::Name(name) => value.as_object().and_then(|it| it.get(name)),
                Step::Index(index) => value
                    .as_array()
                    .and_then(|it| it.get(from_start(*index, it.len())?)),
            };
            match found {
                Some(found) => value = found,
                None => return Some((value, step)),
            }
        }
        None
    }

    /// Whether one of the two may select the other's value, or what it stands in. Indexes from the start and from the
    /// end may meet in some value.
    pub fn may_overlap(&self, other: &Self) -> bool {
        let both = self.steps.iter().zip(&other.steps);
        both.into_iter().all(|(one, two)| one.may_equal(two))
    }

    /// Whether everything that `inner` selects lies in what this selects, whatever the value.
    pub fn covers(&self, inner: &Self) -> bool {
        inner.steps.starts_with(&self.steps)
    }
}

impl WildPath {
    /// Reads a query. What stands between two wildcards is read as a singular query of its own.
    ///
    /// # Errors
    /// As for [`SingularPath::parse`].
    pub fn parse(text: &str) -> Result<Self, BadJsonPath> {
        let Some(rest) = text.strip_prefix('$').filter(|_| text.len() <= MAX_LENGTH) else {
            return Err(SingularPath::parse(text)
                .err()
                .unwrap_or(BadJsonPath::Grammar(None)));
        };
        let mut steps = Vec::new();
        for (count, part) in without_wildcards(rest).into_iter().enumerate() {
            steps.extend((count > 0).then_some(Reach::Any));
            let part = SingularPath::parse(&format!("${part}"))?;
            steps.extend(part.steps.into_iter().map(|step| match step {
                Step::Name(name) => Reach::Name(name),
                Step::Index(_) => Reach::Element,
            }));
        }
        match steps.len() {
            0..=MAX_DEPTH => Ok(Self(steps)),
            _ => Err(BadJsonPath::TooDeep),
        }
    }

    /// The steps from the root.
    pub fn steps(&self) -> &[Reach] {
        &self.0
    }
}

/// What stands before, between and behind the wildcards (RFC 9535 §2.3.2) of a query, but for those in quotes.
fn without_wildcards(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut quote) = (Vec::new(), 0, None);
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        let wildcard = ["[*]", ".*"].iter().find(|it| text[at..].starts_with(**it));
        match (quote, character) {
            (None, '\'' | '"') => quote = Some(character),
            (Some(_), '\\') => _ = characters.next(),
            (Some(open), close) if open == close => quote = None,
            (None, _)
                if at >= start
                    && let Some(wildcard) = wildcard =>
            {
                parts.push(&text[start..at]);
                start = at + wildcard.len();
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

impl fmt::Display for SingularPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Step {
    fn may_equal(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Index(one), Self::Index(two)) => one == two || (*one < 0) != (*two < 0),
            _ => self == other,
        }
    }
}

fn step(segment: &SingularSegment) -> Step {
    match segment {
        SingularSegment::Name(name) => Step::Name(name.clone()),
        SingularSegment::Index(index) => Step::Index(index.get()),
    }
}

/// Whether a `?` stands outside of quotes: in RFC 9535 nothing but a filter has one there. The grammar is not asked
/// about filters, since the crate takes twice as long for each pair of nested parentheses.
fn has_filter(text: &str) -> bool {
    let mut quote = None;
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match (quote, character) {
            (None, '?') => return true,
            (None, '\'' | '"') => quote = Some(character),
            (Some(_), '\\') => _ = characters.next(),
            (Some(open), close) if open == close => quote = None,
            _ => {}
        }
    }
    false
}

/// RFC 9535 §2.3.3.2: a negative index counts from the end.
fn from_start(index: i64, length: usize) -> Option<usize> {
    let index = match index {
        0.. => usize::try_from(index).ok()?,
        _ => length.checked_sub(usize::try_from(index.unsigned_abs()).ok()?)?,
    };
    (index < length).then_some(index)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn path(text: &str) -> SingularPath {
        SingularPath::parse(text).unwrap()
    }

    #[test]
    fn a_singular_query_selects_one_value_or_none() {
        let value = json!({"a": {"b": [10, {"c": null}], "": 1, "x.y": 2}, "é": 3});
        for (text, expected) in [
            ("$", Some(value.clone())),
            ("$.a.b[0]", Some(json!(10))),
            ("$['a'][\"b\"][1].c", Some(json!(null))),
            ("$.a.b[-1].c", Some(json!(null))),
            ("$.a.b[-2]", Some(json!(10))),
            ("$.a['x.y']", Some(json!(2))),
            ("$.a['?']", None),
            ("$[\"'?\"].a", None),
            ("$.a['']", Some(json!(1))),
            ("$.é", Some(json!(3))),
            ("$['\\u00e9']", Some(json!(3))),
            ("$.a.b[2]", None),
            ("$.a.b[-3]", None),
            ("$.a.b.c", None),
            ("$.a[0]", None),
            ("$.a.b[0].c", None),
            ("$.A", None),
        ] {
            let path = path(text);
            assert_eq!(path.select(&value), expected.as_ref(), "{text}");
            let mut copy = value.clone();
            assert_eq!(path.select_mut(&mut copy).cloned(), expected, "{text}");
            assert_eq!(
                path.location(&value).is_some(),
                expected.is_some(),
                "{text}"
            );
        }
    }

    #[test]
    fn what_may_select_several_values_or_nothing_known_is_refused() {
        let long = format!("$.{}", "a".repeat(MAX_LENGTH));
        let deep = format!("${}", ".a".repeat(MAX_DEPTH + 1));
        let nested = format!("$[?{}", "(".repeat(900));
        let costly = format!("$[?f({}{}", "f(".repeat(40), ")".repeat(38));
        for (text, expected) in [
            ("$..a", Some(BadJsonPath::NotSingular)),
            ("$.a[*]", Some(BadJsonPath::NotSingular)),
            ("$.*", Some(BadJsonPath::NotSingular)),
            ("$.a[0:1]", Some(BadJsonPath::NotSingular)),
            ("$.a[0,1]", Some(BadJsonPath::NotSingular)),
            ("$.a[?@.b]", Some(BadJsonPath::NotSingular)),
            (&long, Some(BadJsonPath::TooLong)),
            (&deep, Some(BadJsonPath::TooDeep)),
            (&nested, Some(BadJsonPath::NotSingular)),
            (&costly, Some(BadJsonPath::NotSingular)),
            ("$['\\'?'][?@.b]", Some(BadJsonPath::NotSingular)),
            ("", None),
            ("a.b", None),
            (".a", None),
            (" $", None),
            ("$ ", None),
            ("$.", None),
            ("$.a b", None),
            ("$[01]", None),
            ("$[-0]", None),
            ("$[9007199254740993]", None),
            ("$.{{name}}", None),
        ] {
            let bad = SingularPath::parse(text).unwrap_err();
            match expected {
                Some(expected) => assert_eq!(bad, expected, "{text}"),
                None => assert!(matches!(bad, BadJsonPath::Grammar(_)), "{text}: {bad:?}"),
            }
        }
    }

    #[test]
    fn a_location_counts_from_the_start() {
        let value = json!({"a": [1, 2, 3]});
        assert_eq!(
            path("$.a[-1]").location(&value),
            path("$.a[2]").location(&value)
        );
    }

    #[test]
    fn two_queries_overlap_where_one_may_lie_in_the_other() {
        for (one, two, expected) in [
            ("$.a", "$.a", true),
            ("$.a", "$['a'].b", true),
            ("$", "$.a", true),
            ("$.a", "$.b", false),
            ("$.a[0]", "$.a[1]", false),
            ("$.a[0]", "$.a[-1]", true),
            ("$.a[-2]", "$.a[-1]", false),
            ("$.a[0].b", "$.a[-1].c", false),
            ("$.a[0]", "$.a.b", false),
        ] {
            assert_eq!(path(one).may_overlap(&path(two)), expected, "{one} {two}");
            assert_eq!(path(two).may_overlap(&path(one)), expected, "{two} {one}");
        }
    }

    #[test]
    fn wildcards_reach_every_element_and_member_and_nothing_stands_between() {
        use Reach::{Any, Element};
        let name = |it: &str| Reach::Name(it.to_owned());
        for (text, expected) in [
            ("$", Some(vec![])),
            ("$.a", Some(vec![name("a")])),
            ("$.a[0].b", Some(vec![name("a"), Element, name("b")])),
            ("$.a[*].b", Some(vec![name("a"), Any, name("b")])),
            ("$[*][*]", Some(vec![Any, Any])),
            ("$.*", Some(vec![Any])),
            ("$.a.*['x']", Some(vec![name("a"), Any, name("x")])),
            ("$['[*]']", Some(vec![name("[*]")])),
            ("$['a\\'[*]'].*", Some(vec![name("a'[*]"), Any])),
            ("a[*]", None),
            ("$..a", None),
            ("$..*", None),
            ("$.a[*]b", None),
            ("$.a[*", None),
            ("$[?@.a]", None),
            ("$[0,1]", None),
        ] {
            let path = WildPath::parse(text);
            assert_eq!(path.ok().map(|it| it.0), expected, "{text}");
        }
        let deep = format!("${}", "[*]".repeat(MAX_DEPTH + 1));
        assert_eq!(WildPath::parse(&deep), Err(BadJsonPath::TooDeep));
    }

    proptest! {
        #[test]
        fn any_name_can_be_selected_once_quoted(name in any::<String>(), index in 0usize..4) {
            let value = json!({name.clone(): [0, 1, 2, 3]});
            let text = format!("$[{}][{index}]", json!(name));
            if let Ok(path) = SingularPath::parse(&text) {
                prop_assert_eq!(path.select(&value), Some(&json!(index)));
            } else {
                prop_assert!(text.len() > MAX_LENGTH);
            }
        }

        #[test]
        fn no_text_breaks_the_reader(text in "[$.\\[\\]?@*'\"(){}a0-9 :,-]{0,64}") {
            let _ = SingularPath::parse(&text);
        }
    }
}
