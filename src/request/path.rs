//! The path of a request as segments, each decoded once.

use std::fmt;

use crate::refusal::{Code, Refusal};
use crate::request::percent::{BadEncoding, Place, decode_into, encode};

/// A path: one or more decoded segments. `/` has one empty segment, and so does the end of `/a/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    decoded: String,
    ends: Vec<usize>,
}

impl Path {
    /// Reads a path that begins with `/`.
    ///
    /// # Errors
    /// [`Code::PathNotCanonical`] for whatever two servers may read as two paths: `.` and `..`, encoded or not, `//`,
    /// an encoded `/` or `\`, bad percent-encoding, control characters, a fragment.
    pub fn parse(text: &str) -> Result<Self, Refusal> {
        let rest = text
            .strip_prefix('/')
            .ok_or_else(|| not_canonical("a path begins with `/`"))?;
        let mut path = Self {
            decoded: String::with_capacity(rest.len()),
            ends: Vec::with_capacity(8),
        };
        let mut rest = rest;
        while let Some(at) = rest.bytes().position(|it| it == b'/') {
            if at == 0 {
                return Err(not_canonical("a path has no empty segment (`//`)"));
            }
            path.push(&rest[..at])?;
            rest = &rest[at + 1..];
        }
        path.push(rest)?;
        Ok(path)
    }

    /// The decoded segments, in order.
    pub fn segments(&self) -> impl Iterator<Item = &str> + Clone {
        (0..self.ends.len()).map(|index| self.segment(index))
    }

    /// How many segments there are; at least one.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Never: even `/` has a segment.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// One decoded segment.
    ///
    /// # Panics
    /// Where the index is not below [`Path::len`].
    pub fn segment(&self, index: usize) -> &str {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        &self.decoded[start..self.ends[index]]
    }

    /// The segments from an index on, joined by `/`; `None` where one of them is empty.
    pub fn rest(&self, from: usize) -> Option<String> {
        let segments: Vec<&str> = self.segments().skip(from).collect();
        let whole = !segments.is_empty() && segments.iter().all(|it| !it.is_empty());
        whole.then(|| segments.join("/"))
    }

    fn push(&mut self, segment: &str) -> Result<(), Refusal> {
        let start = self.decoded.len();
        decode_into(segment, Place::Segment, &mut self.decoded)
            .map_err(|bad| not_canonical(&format!("in the path, {bad}")))?;
        if let Some(wrong) = wrong_with_segment(&self.decoded[start..]) {
            return Err(not_canonical(wrong));
        }
        self.ends.push(self.decoded.len());
        Ok(())
    }
}

/// In canonical spelling.
impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.segments()
            .try_for_each(|segment| write!(f, "/{}", encode(segment)))
    }
}

/// Decodes one segment.
///
/// # Errors
/// What keeps it from being decoded in one way.
pub fn read_segment(text: &str) -> Result<String, BadEncoding> {
    let mut decoded = String::with_capacity(text.len());
    decode_into(text, Place::Segment, &mut decoded).map(|()| decoded)
}

/// What makes a decoded segment mean another path somewhere.
pub fn wrong_with_segment(segment: &str) -> Option<&'static str> {
    // Most have none of these, of which everything is made that is wrong.
    if !segment.bytes().any(|it| matches!(it, b'.' | b'/' | b'\\')) {
        return None;
    }
    if matches!(segment, "." | "..") {
        return Some("a path has no `.` or `..` segment");
    }
    // Servers that cut off path parameters (Tomcat) read `..;x` as `..`, and those that cut off blanks at the ends
    // (Windows) `.. `.
    let name = segment.split_once(';').map_or(segment, |(name, _)| name);
    if matches!(name.trim(), "." | "..") {
        return Some("a path has no `.` or `..` with a `;` or blanks beside it");
    }
    segment
        .contains(['/', '\\'])
        .then_some("a path has no encoded `/` or `\\`")
}

fn not_canonical(message: &str) -> Refusal {
    Refusal::new(Code::PathNotCanonical, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_decoded_once() {
        for (text, expected) in [
            ("/", &[""][..]),
            ("/v1/items/1", &["v1", "items", "1"]),
            ("/v1/items/", &["v1", "items", ""]),
            ("/a%20b/%7Ec", &["a b", "~c"]),
            ("/a%252fb", &["a%2fb"]),
            ("/x%23y%3fz", &["x#y?z"]),
            ("/a+b", &["a+b"]),
            ("/v1/models/x:generate", &["v1", "models", "x:generate"]),
            ("/...", &["..."]),
        ] {
            let path = Path::parse(text).unwrap();
            assert_eq!(path.segments().collect::<Vec<_>>(), expected, "{text}");
        }
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        for text in [
            "",
            "v1",
            "//evil.test/v1",
            "/a//b",
            "/a//",
            "/v1/items/../admin",
            "/.",
            "/a/.",
            "/v1/%2e%2e/admin",
            "/.%2e/x",
            "/%2E./x",
            "/..%2fadmin",
            "/a%2fb",
            "/a%2Fb",
            "/..%5cadmin",
            "/a\\b",
            "/1%00",
            "/%0d%0aX:1",
            "/%0a",
            "/1#/../admin",
            "/%zz",
            "/%",
            "/%c0%ae%c0%ae/",
            "/é",
            "/a b",
            "/..;/admin",
            "/..;x=1/admin",
            "/..%20/admin",
            "/%20../admin",
            "/.%20/admin",
            "/..%20;x/admin",
            "/..%C2%A0/admin",
            "/..%E3%80%80/admin",
            "/a\u{7f}",
        ] {
            let refused = Path::parse(text).map_err(|it| it.code);
            assert_eq!(refused, Err(Code::PathNotCanonical), "{text:?}");
        }
    }
}
