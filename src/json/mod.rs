//! Strict JSON: one text has one meaning here, or it is refused.
//!
//! RFC 8259 leaves duplicate keys, lone surrogates and huge numbers to each reader. Two readers that
//! choose differently are a hole: what was checked would not be what the upstream sees. So this
//! reader refuses whatever could be read in two ways. It is not a schema check, and it has no size
//! cap: callers bound the bytes first.

mod equal;
mod reader;
mod text;
mod tree;

use std::fmt;

use serde_json::Map;
use serde_json::Value;

pub use equal::are_equal;
pub use tree::Member;
pub use tree::Tree;

/// Containers may nest this deep; RFC 8259 section 9 allows a limit, and real payloads stay below 20.
pub const MAX_DEPTH: usize = 64;

/// Reads exactly one JSON text, and borrows from it what it can.
///
/// Integers that fit `i64` or `u64` stay integers; every other number becomes the nearest `f64`.
///
/// # Errors
///
/// The first [`JsonProblem`] in reading order.
pub fn read(bytes: &[u8]) -> Result<Tree<'_>, JsonProblem> {
    reader::Reader::open(bytes)?.document()
}

/// Reads exactly one JSON text, as [`read`] does, into a value on its own.
///
/// # Errors
///
/// As [`read`].
pub fn parse(bytes: &[u8]) -> Result<Value, JsonProblem> {
    read(bytes).map(|tree| tree.to_value())
}

/// Appends the compact form of `value`: keys in their order, UTF-8 unescaped except where RFC 8259
/// section 7 demands an escape.
pub fn write(value: &Value, out: &mut Vec<u8>) {
    serde_json::to_writer(out, value)
        .expect("a Vec takes every byte and a Value has only string keys");
}

/// Folds the case of a name as the loosest readers do: `Qty`, `QTY`, and also `ſ` (U+017F) as `s`
/// and the Kelvin sign (U+212A) as `k`. Go's `encoding/json` matches field names like this.
#[must_use]
pub fn fold_case(name: &str) -> String {
    if name.is_ascii() {
        return name.to_ascii_lowercase();
    }
    // By way of upper case, which alone maps U+017F to S.
    let upper = name.chars().flat_map(char::to_uppercase);
    upper.flat_map(char::to_lowercase).collect()
}

/// The member of a name. In a small object, names are compared one by one: that is faster than to hash this one.
#[must_use]
pub fn member<'v>(object: &'v Map<String, Value>, name: &str) -> Option<&'v Value> {
    if object.len() > FEW_MEMBERS {
        return object.get(name);
    }
    let found = object.iter().find(|(it, _)| *it == name);
    found.map(|(_, value)| value)
}

/// A comparison that fails costs some three instructions, a hash some hundred and fifty.
const FEW_MEMBERS: usize = 16;

/// Whether two names are the same, but for their case: as [`fold_case`] folds it.
#[must_use]
pub fn are_alike(one: &str, other: &str) -> bool {
    match one.is_ascii() && other.is_ascii() {
        true => one.eq_ignore_ascii_case(other),
        false => fold_case(one) == fold_case(other),
    }
}

/// Why a text is not acceptable JSON. Never holds a value of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonProblem {
    /// The stable reason.
    pub kind: JsonProblemKind,
    /// JSON Pointer (RFC 6901) of the innermost place that was being read; empty for the whole text.
    pub pointer: String,
    /// Byte offset of the place in the text.
    pub offset: usize,
}

/// The stable reasons for which a JSON text is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JsonProblemKind {
    /// The bytes do not follow the grammar of RFC 8259.
    Malformed,
    /// The bytes are not UTF-8, or start with a byte order mark.
    NotUtf8,
    /// An object has the same key twice, or two keys that differ only in case.
    DuplicateKey,
    /// Containers nest deeper than [`MAX_DEPTH`].
    TooDeep,
    /// Something other than white space follows the value.
    TrailingBytes,
    /// A `\u` escape is half of a surrogate pair.
    LoneSurrogate,
    /// A string or key contains U+0000.
    NullCharacter,
    /// A number that would be changed by reading it: an integer beyond 64 bits, or a fraction too
    /// large or too small for a 64-bit float.
    NumberRange,
}

impl JsonProblemKind {
    /// What is wrong, and what to send instead.
    #[must_use]
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::Malformed => "is not well-formed JSON (RFC 8259); send one JSON value",
            Self::NotUtf8 => "is not UTF-8 without a byte order mark; encode it as plain UTF-8",
            Self::DuplicateKey => {
                "has a key twice in one object, or two that differ only in case; send each key once"
            }
            Self::TooDeep => "nests deeper than 64 levels; send a flatter value",
            Self::TrailingBytes => "continues after its value; send one JSON value only",
            Self::LoneSurrogate => {
                "has half of a surrogate pair in a \\u escape; send both halves or the character"
            }
            Self::NullCharacter => "contains U+0000; remove it",
            Self::NumberRange => {
                "has a number that 64 bits cannot hold; send a smaller one, or a string"
            }
        }
    }
}

impl fmt::Display for JsonProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let explanation = self.kind.explanation();
        write!(f, "the JSON text {explanation} (byte {})", self.offset)
    }
}

impl std::error::Error for JsonProblem {}

#[cfg(test)]
mod tests;
