//! The query of a request as pairs, each decoded once.

use crate::refusal::{Code, Refusal};
use crate::request::percent::{BadEncoding, Place, decode_into};

/// One `name=value`, decoded. `a`, `a=` and `a=""` are the same: an empty value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Never empty.
    pub name: String,
    /// May be empty.
    pub value: String,
}

/// The pairs in the order in which they were sent. A name may stand in it more than once: arrays do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query(Vec<Pair>);

impl Query {
    /// Reads what follows the `?`; empty text and empty pairs (`a=1&&b=2`) mean nothing.
    ///
    /// # Errors
    /// [`Code::PathNotCanonical`] for `;`, which some servers take for `&`, a value without a name, and bad
    /// percent-encoding.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        if text.contains(';') {
            return Err(not_canonical(
                "a `;` in the query must be percent-encoded as %3B",
            ));
        }
        Self::read(text).map_err(|bad| match bad {
            BadPair::Nameless => not_canonical("a value in the query has no name before its `=`"),
            BadPair::Encoding(bad) => not_canonical(&format!("in the query, {bad}")),
        })
    }

    /// Reads a body of `application/x-www-form-urlencoded`, which has the same grammar.
    ///
    /// # Errors
    /// [`Code::BodyUnexpected`] where [`Query::parse`] would refuse.
    pub fn parse_form(body: &[u8]) -> Result<Self, Refusal> {
        let refused = |message: &str| Refusal::new(Code::BodyUnexpected, message);
        let text = std::str::from_utf8(body).map_err(|_| refused("a form must be UTF-8"))?;
        if text.contains(';') {
            return Err(refused("a `;` in a form must be percent-encoded as %3B"));
        }
        Self::read(text).map_err(|bad| match bad {
            BadPair::Nameless => refused("a value in the form has no name before its `=`"),
            BadPair::Encoding(bad) => refused(&format!("in the form, {bad}")),
        })
    }

    /// The pairs, in order.
    pub fn pairs(&self) -> &[Pair] {
        &self.0
    }

    /// Takes the pairs out.
    pub fn into_pairs(self) -> Vec<Pair> {
        self.0
    }

    fn read(text: &str) -> Result<Self, BadPair> {
        let mut pairs = Vec::with_capacity(if text.is_empty() { 0 } else { FEW_PAIRS });
        let mut rest = text;
        while !rest.is_empty() {
            let end = rest.bytes().position(|it| it == b'&');
            let (pair, next) = rest.split_at(end.unwrap_or(rest.len()));
            if !pair.is_empty() {
                pairs.push(read_pair(pair)?);
            }
            rest = next.strip_prefix('&').unwrap_or_default();
        }
        Ok(Self(pairs))
    }
}

/// Room for the pairs of most queries.
const FEW_PAIRS: usize = 4;

enum BadPair {
    Nameless,
    Encoding(BadEncoding),
}

fn read_pair(text: &str) -> Result<Pair, BadPair> {
    let end = text.bytes().position(|it| it == b'=');
    let (raw_name, raw_value) = text.split_at(end.unwrap_or(text.len()));
    let raw_value = raw_value.strip_prefix('=').unwrap_or_default();
    let (mut name, mut value) = (String::new(), String::new());
    decode_into(raw_name, Place::QueryName, &mut name).map_err(BadPair::Encoding)?;
    decode_into(raw_value, Place::QueryValue, &mut value).map_err(BadPair::Encoding)?;
    if name.is_empty() {
        return Err(BadPair::Nameless);
    }
    Ok(Pair { name, value })
}

fn not_canonical(message: &str) -> Refusal {
    Refusal::new(Code::PathNotCanonical, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        let query = Query::parse(text).unwrap();
        query
            .into_pairs()
            .into_iter()
            .map(|it| (it.name, it.value))
            .collect()
    }

    #[test]
    fn pairs_are_decoded_once() {
        for (text, expected) in [
            ("", &[][..]),
            ("a=1&b=2", &[("a", "1"), ("b", "2")]),
            ("a&b=", &[("a", ""), ("b", "")]),
            (
                "q=New+York&q=New%20York",
                &[("q", "New York"), ("q", "New York")],
            ),
            ("k%65y=x", &[("key", "x")]),
            ("a=b=c", &[("a", "b=c")]),
            ("&a=1&&", &[("a", "1")]),
            ("f[]=x", &[("f[]", "x")]),
            ("a=%3B%26", &[("a", ";&")]),
            ("a=two%0D%0Alines", &[("a", "two\r\nlines")]),
            ("u=https://x/?y", &[("u", "https://x/?y")]),
        ] {
            let expected: Vec<(String, String)> = expected
                .iter()
                .map(|(name, value)| ((*name).into(), (*value).into()))
                .collect();
            assert_eq!(pairs(text), expected, "{text}");
        }
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        for text in [
            "a=1;b=2", "=1", "a=%zz", "a=%00", "a=%1b", "a%0A=1", "a=é", "a=b c", "a=\\",
            "%3D=1&=2",
        ] {
            let refused = Query::parse(text).map_err(|it| it.code);
            assert_eq!(refused, Err(Code::PathNotCanonical), "{text}");
        }
    }
}
