//! YAML as a tree of nodes that know their places.
//!
//! This is the only module that knows the YAML crate, and it takes from it the event parser alone:
//! decoding by serde stops at the first mistake, loses places and guesses types. The tree keeps
//! scalars as they were written, so that each reader decides what they mean: an unquoted `1.0` is
//! the text "1.0" where text is expected.
//!
//! What makes YAML surprising or costly is refused: anchors, aliases, merge keys, tags,
//! directives, more than one document, duplicate keys, deep nesting, large files. What the nodes
//! mean is not known here.

use std::sync::Arc;

use crate::problem::Located;
use crate::problem::Place;
use crate::problem::Problem;
use crate::problem::Problems;
use crate::problem::Sources;

mod build;
mod scalar;
mod text;
mod to_json;

#[cfg(test)]
mod tests;

pub use crate::yaml::scalar::Resolved;
pub use crate::yaml::scalar::Scalar;
pub use crate::yaml::scalar::Style;
pub use crate::yaml::to_json::Json;
pub use crate::yaml::to_json::Places;
pub use crate::yaml::to_json::as_step;
pub use crate::yaml::to_json::to_json;

/// The largest file that is read, in bytes. A policy of a thousand actions has about a third.
pub const MAX_BYTES: usize = 1024 * 1024;

/// How deep mappings and sequences may nest. Schemas of real APIs stay below 30.
pub const MAX_DEPTH: usize = 64;

/// A value in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// What stands there.
    pub value: Value,
    /// Where: a scalar, a flow collection, or the first key or dash of a block collection.
    pub place: Place,
}

/// What a node is, as far as YAML tells without guessing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Nothing, `~` or `null`.
    Null,
    /// Text, quoted or not.
    Scalar(Scalar),
    /// A list.
    Sequence(Vec<Node>),
    /// Keys with values.
    Mapping(Mapping),
    /// A mistake that has already been told. Readers pass over it in silence.
    Broken,
}

impl Node {
    /// What stands there, in words for a message.
    #[must_use]
    pub fn what(&self) -> &'static str {
        match &self.value {
            Value::Null => "nothing",
            Value::Sequence(_) => "a list",
            Value::Mapping(_) => "a mapping",
            Value::Broken => "a mistake",
            Value::Scalar(scalar) => match scalar.resolve() {
                Resolved::Boolean(_) => "true or false",
                Resolved::Integer(_) => "an integer",
                Resolved::Float(_) | Resolved::Unclear(_) => "a number",
                Resolved::Null | Resolved::Text => "text",
            },
        }
    }

    /// The mapping, if it is one.
    #[must_use]
    pub fn mapping(&self) -> Option<&Mapping> {
        match &self.value {
            Value::Mapping(mapping) => Some(mapping),
            _ => None,
        }
    }

    /// The scalar, if it is one.
    #[must_use]
    pub fn scalar(&self) -> Option<&Scalar> {
        match &self.value {
            Value::Scalar(scalar) => Some(scalar),
            _ => None,
        }
    }
}

/// Keys with values, in the order of the file. Each key stands once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapping {
    entries: Vec<Entry>,
}

impl Mapping {
    /// The entries, in the order of the file.
    pub fn iter(&self) -> std::slice::Iter<'_, Entry> {
        self.entries.iter()
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        let entry = self.entries.iter().find(|e| e.key.value.text == key)?;
        Some(&entry.value)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// A key with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key: always a scalar.
    pub key: Located<Scalar>,
    /// Its value.
    pub value: Node,
}

impl Entry {
    /// The text of the key.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.key.value.text
    }

    /// The key as located text.
    #[must_use]
    pub fn located_name(&self) -> Located<String> {
        self.key.clone().map(|scalar| scalar.text)
    }
}

/// Reads one file. Mistakes are added to `problems`; what stands beside them is still returned,
/// so that a reader can find the rest. `None`: there is no tree at all.
///
/// The text is kept in `sources`, for drawing, as far as it is text.
pub fn parse(
    file: &str,
    bytes: &[u8],
    sources: &mut Sources,
    problems: &mut Problems,
) -> Option<Node> {
    let decoded = match text::decode(file, bytes) {
        Ok(text) => text,
        Err(problem) => {
            sources.add(file, text::drawable(bytes));
            problems.push(*problem);
            return None;
        }
    };
    let file: Arc<str> = sources.add(file, decoded);
    let before = problems.len();
    problems.extend(text::misleading(&file, decoded));
    if problems.len() > before {
        return None;
    }
    build::tree(&file, decoded, problems)
}

/// What several files have in common: too large to be a policy.
#[must_use]
pub fn too_large(file: &Arc<str>) -> Problem {
    Problem::error(
        &Place::of_file(file),
        "the file is larger than 1 MiB, which no policy needs",
    )
    .remedy("split it: all files of the folder are read as one policy")
}
