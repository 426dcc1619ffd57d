//! Outputs: values of a reply that a session keeps, and the tree of their names.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Bound;
use std::sync::Arc;

use serde_json::Value;

use crate::action::outcome::{Content, Left};
use crate::jsonpath::SingularPath;

/// The longest name of an output.
pub const MAX_NAME: usize = 128;

/// The name of an output: a place in the tree of a session's variables, such as `ticket.key`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OutputName(Arc<str>);

/// Why a text is not the name of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadOutputName {
    /// More than [`MAX_NAME`] characters.
    TooLong,
    /// A part with nothing in it: before, after or between dots.
    EmptyPart,
    /// Another character than `a` to `z`, `0` to `9`, `_` and `.`.
    Character(char),
}

impl fmt::Display for BadOutputName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "the name of an output has at most {MAX_NAME} characters"),
            Self::EmptyPart => f.write_str(
                "the name of an output has one dot between its parts, as in `ticket.key`",
            ),
            Self::Character(c) => write!(
                f,
                "the name of an output has only small letters, digits, `_` and dots, not {c:?}"
            ),
        }
    }
}

impl std::error::Error for BadOutputName {}

impl OutputName {
    /// Reads a name.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn parse(text: &str) -> Result<Self, BadOutputName> {
        let is_known = |c: &char| matches!(c, 'a'..='z' | '0'..='9' | '_' | '.');
        if let Some(odd) = text.chars().find(|c| !is_known(c)) {
            return Err(BadOutputName::Character(odd));
        }
        if text.len() > MAX_NAME {
            return Err(BadOutputName::TooLong);
        }
        if text.split('.').any(str::is_empty) {
            return Err(BadOutputName::EmptyPart);
        }
        Ok(Self(Arc::from(text)))
    }

    /// The name as it was written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The way to it in the tree: at least one part.
    pub fn parts(&self) -> impl Iterator<Item = &str> {
        self.0.split('.')
    }
}

impl fmt::Display for OutputName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One output.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// Its name.
    pub name: OutputName,
    /// Where it stands in the reply.
    pub path: SingularPath,
    /// Used in later templates and shown to nobody: its place in the reply is replaced, at every door.
    pub sensitive: bool,
    /// Listed among the variables that the agent is shown.
    pub expose: bool,
}

/// `outputs`: what a session keeps of a reply.
#[derive(Clone, Debug, Default)]
pub struct Outputs(Vec<Output>);

/// What is wrong with the outputs of an action. Indexes are those of the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadOutput {
    /// `sensitive` and `expose` at once.
    SensitiveExposed(usize),
    /// Not sensitive, though its place in the reply is, holds, or lies in that of a sensitive one.
    Overlap {
        /// The one that is not.
        plain: usize,
        /// The one that is.
        sensitive: usize,
    },
}

impl fmt::Display for BadOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::SensitiveExposed(_) => {
                "a sensitive output is shown to nobody; remove `expose` or `sensitive`"
            }
            Self::Overlap { .. } => {
                "this output may hold a part of a sensitive one; mark it `sensitive` as well, or take another place"
            }
        })
    }
}

impl std::error::Error for BadOutput {}

impl Outputs {
    /// Takes outputs whose names have gone through a [`NameTree`].
    ///
    /// # Errors
    /// Every mistake.
    pub fn new(outputs: Vec<Output>) -> Result<Self, Vec<BadOutput>> {
        let is_both = |(index, it): (usize, &Output)| (it.sensitive && it.expose).then_some(index);
        let exposed = outputs.iter().enumerate().filter_map(is_both);
        let mut bad: Vec<_> = exposed.map(BadOutput::SensitiveExposed).collect();
        for (plain, one) in outputs.iter().enumerate().filter(|(_, it)| !it.sensitive) {
            let overlaps = |it: &Output| it.sensitive && it.path.may_overlap(&one.path);
            if let Some(sensitive) = outputs.iter().position(overlaps) {
                bad.push(BadOutput::Overlap { plain, sensitive });
            }
        }
        if bad.is_empty() {
            Ok(Self(outputs))
        } else {
            Err(bad)
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// In the order of the file.
    pub fn iter(&self) -> std::slice::Iter<'_, Output> {
        self.0.iter()
    }

    /// Reads the values, and replaces what is sensitive among them: at every reply, since an upstream that refuses may
    /// quote it too.
    pub(super) fn take(&self, content: Content) -> (Vec<(OutputName, Option<Value>)>, Left) {
        let mut value = match content {
            Content::Json(value) => value,
            Content::Other if self.0.iter().any(|it| it.sensitive) => {
                return (self.values(|_| None), Left::Withheld);
            }
            content => return (self.values(|_| None), Left::Untouched(content)),
        };
        let values = self.values(|output| output.path.select(&value).cloned());
        let mut is_redacted = false;
        for output in self.0.iter().filter(|it| it.sensitive) {
            if let Some(place) = output.path.select_mut(&mut value) {
                *place = Value::String(format!("<{}>", output.name));
                is_redacted = true;
            }
        }
        let left = match is_redacted {
            true => Left::Redacted(value),
            false => Left::Untouched(Content::Json(value)),
        };
        (values, left)
    }

    fn values(
        &self,
        select: impl Fn(&Output) -> Option<Value>,
    ) -> Vec<(OutputName, Option<Value>)> {
        let value = |output: &Output| (output.name.clone(), select(output));
        self.0.iter().map(value).collect()
    }
}

/// The names of one policy's outputs and context variables: together one tree, in which only ends have values.
///
/// Otherwise a reply could replace a variable of the runtime, or one value take the place of a whole branch. `P` is
/// where a name was declared.
#[derive(Clone, Debug)]
pub struct NameTree<P>(BTreeMap<String, (Kind, P)>);

/// What a name in the tree is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A variable that only the runtime sets.
    Context,
    /// A value of a reply. Several actions may set the same one, if it is sensitive in all of them or in none.
    Output {
        /// Whether it is shown to nobody.
        sensitive: bool,
    },
}

/// A name that does not fit an earlier one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clash<P> {
    /// The earlier one.
    pub earlier: String,
    /// What that is.
    pub kind: Kind,
    /// Where it was declared.
    pub place: P,
    /// How they clash.
    pub overlap: Overlap,
}

/// How a name clashes with an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlap {
    /// It is the same.
    Equals,
    /// It is the start of the earlier one.
    Starts,
    /// It begins with the earlier one.
    Extends,
    /// The same output, sensitive in one place and not in the other.
    Sensitivity,
}

impl<P> fmt::Display for Clash<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            Kind::Context => "context variable",
            Kind::Output { .. } => "output",
        };
        let earlier = &self.earlier;
        match self.overlap {
            Overlap::Equals => write!(f, "this is also the name of the {what} `{earlier}`"),
            Overlap::Starts => write!(f, "this name is the start of the {what} `{earlier}`"),
            Overlap::Extends => write!(f, "this name begins with that of the {what} `{earlier}`"),
            Overlap::Sensitivity => {
                write!(
                    f,
                    "the {what} `{earlier}` is sensitive in one place and not in the other"
                )
            }
        }
    }
}

impl<P> Default for NameTree<P> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<P: Clone> NameTree<P> {
    /// Adds a name. Context variables may have names of other characters than outputs.
    ///
    /// # Errors
    /// One earlier name with which it clashes; then it is not added.
    pub fn declare(&mut self, name: &str, kind: Kind, place: P) -> Result<(), Clash<P>> {
        if let Some((earlier, overlap)) = self.overlap(name, kind) {
            let (kind, place) = &self.0[&earlier];
            return Err(Clash {
                kind: *kind,
                place: place.clone(),
                earlier,
                overlap,
            });
        }
        self.0.entry(name.to_owned()).or_insert((kind, place));
        Ok(())
    }

    /// Looks at the starts of the name and at its next neighbour, so that ten thousand actions load in no time.
    fn overlap(&self, name: &str, kind: Kind) -> Option<(String, Overlap)> {
        if let Some((earlier, _)) = self.0.get(name) {
            let overlap = match (*earlier, kind) {
                (earlier, kind) if earlier == kind && kind != Kind::Context => return None,
                (Kind::Output { .. }, Kind::Output { .. }) => Overlap::Sensitivity,
                _ => Overlap::Equals,
            };
            return Some((name.to_owned(), overlap));
        }
        let dots = name.match_indices('.').map(|(at, _)| &name[..at]);
        if let Some(start) = dots.into_iter().find(|start| self.0.contains_key(*start)) {
            return Some((start.to_owned(), Overlap::Extends));
        }
        let below = format!("{name}.");
        let after = (Bound::Excluded(below.as_str()), Bound::Unbounded);
        let (next, _) = self.0.range::<str, _>(after).next()?;
        next.starts_with(&below)
            .then(|| (next.clone(), Overlap::Starts))
    }
}
