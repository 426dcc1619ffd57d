//! Patterns of paths: literal segments, and segments with one placeholder.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use crate::request::{BadEncoding, Path, encode_into, read_segment, wrong_with_segment};
use crate::template::{Part, Scope, Template, TemplateProblem};

/// A path as a policy declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern {
    segments: Vec<Segment>,
    /// Made once: every audit record shows it.
    shown: Arc<str>,
}

/// One segment of a pattern.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Segment {
    /// Matches itself, decoded; sent as the policy spells it.
    Literal {
        /// What a request's segment must be.
        decoded: Box<str>,
        /// What goes upstream.
        written: Box<str>,
    },
    /// A parameter between two literals, which may be empty.
    Placeholder {
        /// Decoded text before it.
        prefix: Box<str>,
        /// The parameter.
        parameter: Box<str>,
        /// Decoded text after it.
        suffix: Box<str>,
    },
    /// `{{name...}}`: one or more segments, at the end only.
    Rest {
        /// The parameter; `/` separates segments in its value.
        parameter: Box<str>,
    },
}

/// A mistake in a path, with the bytes of the text where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathProblem {
    /// Byte offsets into the path.
    pub at: Range<usize>,
    /// What is wrong.
    pub bad: BadPath,
}

/// What is wrong with a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadPath {
    /// It does not begin with `/`.
    NotAbsolute,
    /// It has a `?` or a `#`.
    QueryOrFragment,
    /// `//`.
    EmptySegment,
    /// `.`, `..`, or an encoded `/` or `\`.
    Segment(&'static str),
    /// A literal that cannot be decoded.
    Encoding(BadEncoding),
    /// More than one placeholder in a segment.
    TwoPlaceholders,
    /// The same parameter in two segments.
    TwiceTheSame(String),
    /// `{{name...}}` before the end, or with text around it.
    RestNotLast,
    /// A property of a parameter.
    Property,
    /// Something that is no parameter, whose value a proxied request can't be expected to know.
    BuiltIn,
    /// A mistake in a placeholder.
    Template(TemplateProblem),
}

impl fmt::Display for BadPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAbsolute => f.write_str("a path begins with `/`"),
            Self::QueryOrFragment => f.write_str(
                "`?` and `#` do not belong in a path; query parameters go under `query`",
            ),
            Self::EmptySegment => f.write_str("a path has no empty segment (`//`)"),
            Self::Segment(wrong) => f.write_str(wrong),
            Self::Encoding(bad) => write!(f, "{bad}"),
            Self::TwoPlaceholders => f.write_str("a segment has at most one placeholder"),
            Self::TwiceTheSame(name) => write!(f, "`{name}` stands in two segments"),
            Self::RestNotLast => {
                f.write_str("`{{name...}}` is the whole of the last segment, or it is not at all")
            }
            Self::Property => f.write_str(
                "a segment prints a whole parameter; give what stands in the path a name of its own",
            ),
            Self::BuiltIn => {
                f.write_str("only parameters and static variables may stand in a path")
            }
            Self::Template(problem) => f.write_str(&problem.message),
        }
    }
}

impl PathPattern {
    /// Reads a pattern that begins with `/`.
    ///
    /// # Errors
    /// The first mistake.
    pub fn parse(text: &str, scope: &Scope<'_>) -> Result<Self, PathProblem> {
        let Some(rest) = text.strip_prefix('/') else {
            let (at, bad) = (0..text.len(), BadPath::NotAbsolute);
            return Err(PathProblem { at, bad });
        };
        let pieces = split_outside_placeholders(rest);
        let last = pieces.len() - 1;
        let mut segments: Vec<Segment> = Vec::with_capacity(pieces.len());
        let mut start = 1;
        for (index, piece) in pieces.iter().enumerate() {
            let read = read_piece(piece, index == last, scope);
            let again = |segment: &Segment| {
                let name = segment.parameter()?;
                let mut before = segments.iter().filter_map(Segment::parameter);
                before.any(|it| it == name).then(|| name.to_owned())
            };
            let read = read.and_then(|segment| match again(&segment) {
                Some(name) => Err(BadPath::TwiceTheSame(name)),
                None => Ok(segment),
            });
            segments.push(read.map_err(|bad| located(bad, start, piece))?);
            start += piece.len() + 1;
        }
        let shown = segments.iter().map(ToString::to_string).collect::<String>();
        Ok(Self {
            segments,
            shown: shown.into(),
        })
    }

    /// As it is declared, with the names of parameters in `{{…}}`.
    pub fn shown(&self) -> &Arc<str> {
        &self.shown
    }

    /// The segments, in order; at least one.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The parameters, in order.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(Segment::parameter)
    }

    /// What the placeholders stand for in a path, or `None` where the path does not fit.
    pub fn captures<'a>(&'a self, path: &'a Path) -> Option<Vec<(&'a str, Cow<'a, str>)>> {
        let mut captured = Vec::with_capacity(2);
        for (index, segment) in self.segments.iter().enumerate() {
            if index >= path.len() {
                return None;
            }
            match segment {
                Segment::Rest { parameter } => {
                    captured.push((&**parameter, path.rest(index)?.into()));
                    return Some(captured);
                }
                Segment::Literal { .. } => segment.captures(path.segment(index))?,
                Segment::Placeholder { parameter, .. } => {
                    let value = segment.captures(path.segment(index))?;
                    captured.push((&**parameter, value.into()));
                    ""
                }
            };
        }
        (self.segments.len() == path.len()).then_some(captured)
    }

    /// Writes the path with values in place of the placeholders.
    ///
    /// # Errors
    /// The parameter whose value is missing, or would change the shape of the path, and why.
    pub fn render<V: AsRef<str>>(
        &self,
        value: impl Fn(&str) -> Option<V>,
    ) -> Result<String, (&str, &'static str)> {
        let mut out = String::with_capacity(64);
        for segment in &self.segments {
            out.push('/');
            match segment {
                Segment::Literal { written, .. } => out.push_str(written),
                Segment::Placeholder {
                    prefix,
                    parameter,
                    suffix,
                } => {
                    let value = value(parameter).ok_or((&**parameter, MISSING))?;
                    let value = value.as_ref();
                    let whole = match (&**prefix, &**suffix) {
                        ("", "") => Cow::Borrowed(value),
                        (prefix, suffix) => Cow::Owned([prefix, value, suffix].concat()),
                    };
                    let wrong = wrong_with_value(value).or_else(|| wrong_with_segment(&whole));
                    match wrong {
                        Some(wrong) => return Err((&**parameter, wrong)),
                        None => encode_into(&whole, &mut out),
                    }
                }
                Segment::Rest { parameter } => {
                    let value = value(parameter).ok_or((&**parameter, MISSING))?;
                    render_rest(value.as_ref(), &mut out).map_err(|wrong| (&**parameter, wrong))?;
                }
            }
        }
        Ok(out)
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// With the slash before it.
impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Literal { written, .. } => write!(f, "/{written}"),
            Self::Placeholder {
                prefix,
                parameter,
                suffix,
            } => write!(f, "/{prefix}{{{{{parameter}}}}}{suffix}"),
            Self::Rest { parameter } => write!(f, "/{{{{{parameter}...}}}}"),
        }
    }
}

impl Segment {
    /// The parameter in it.
    pub fn parameter(&self) -> Option<&str> {
        match self {
            Self::Literal { .. } => None,
            Self::Placeholder { parameter, .. } | Self::Rest { parameter } => Some(parameter),
        }
    }

    /// What stands between the literals of a decoded segment; never an empty value.
    pub fn captures<'a>(&self, segment: &'a str) -> Option<&'a str> {
        match self {
            Self::Literal { decoded, .. } => (**decoded == *segment).then_some(""),
            Self::Placeholder { prefix, suffix, .. } => segment
                .strip_prefix(&**prefix)?
                .strip_suffix(&**suffix)
                .filter(|value| !value.is_empty()),
            Self::Rest { .. } => (!segment.is_empty()).then_some(segment),
        }
    }
}

/// A placeholder's mistake at the placeholder, any other at its whole segment.
fn located(bad: BadPath, start: usize, piece: &str) -> PathProblem {
    let at = match &bad {
        BadPath::Template(problem) if problem.at.end <= piece.len() => {
            start + problem.at.start..start + problem.at.end
        }
        BadPath::QueryOrFragment => {
            start + piece.find(['?', '#']).unwrap_or_default()..start + piece.len()
        }
        _ => start..start + piece.len(),
    };
    PathProblem { at, bad }
}

const MISSING: &str = "is required";

fn wrong_with_value(value: &str) -> Option<&'static str> {
    if value.is_empty() {
        Some("must not be empty, since it is a segment of the path")
    } else if matches!(value, "." | "..") {
        Some("must not be `.` or `..`, since it is a segment of the path")
    } else if has_control(value) {
        Some("must not hold control characters, since it is a segment of the path")
    } else {
        wrong_with_segment(value)
    }
}

fn has_control(value: &str) -> bool {
    !value.bytes().all(|it| matches!(it, b' '..=b'~')) && value.chars().any(char::is_control)
}

fn render_rest(value: &str, out: &mut String) -> Result<(), &'static str> {
    for (index, segment) in value.split('/').enumerate() {
        if let Some(wrong) = wrong_with_value(segment) {
            return Err(wrong);
        }
        if index > 0 {
            out.push('/');
        }
        encode_into(segment, out);
    }
    Ok(())
}

/// Splits at `/`, but not inside `{{…}}`.
fn split_outside_placeholders(text: &str) -> Vec<&str> {
    let (mut pieces, mut start, mut at) = (Vec::new(), 0, 0);
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with("{{") {
            at += rest.find("}}").map_or(rest.len(), |end| end + 2);
        } else if rest.starts_with('/') {
            pieces.push(&text[start..at]);
            at += 1;
            start = at;
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    pieces.push(&text[start..]);
    pieces
}

fn read_piece(piece: &str, last: bool, scope: &Scope<'_>) -> Result<Segment, BadPath> {
    if piece.is_empty() && !last {
        return Err(BadPath::EmptySegment);
    }
    if let Some(parameter) = rest_placeholder(piece, scope)? {
        return if last {
            Ok(Segment::Rest { parameter })
        } else {
            Err(BadPath::RestNotLast)
        };
    }
    let template = Template::parse(piece, scope).map_err(BadPath::Template)?;
    let (mut prefix, mut parameter, mut suffix) = (String::new(), None, String::new());
    for part in template.parts() {
        match part {
            Part::Text(text) if parameter.is_none() => prefix.push_str(text),
            Part::Text(text) => suffix.push_str(text),
            Part::Parameter(_) if parameter.is_some() => return Err(BadPath::TwoPlaceholders),
            Part::Parameter(name) => parameter = Some(name.as_str()),
            Part::Property(_) => return Err(BadPath::Property),
            Part::Known(_) | Part::Context(_) | Part::Computed => return Err(BadPath::BuiltIn),
        }
    }
    match parameter {
        None => read_literal(&prefix),
        Some(parameter) => Ok(Segment::Placeholder {
            prefix: beside_a_value(&prefix)?,
            parameter: parameter.into(),
            suffix: beside_a_value(&suffix)?,
        }),
    }
}

fn rest_placeholder(piece: &str, scope: &Scope<'_>) -> Result<Option<Box<str>>, BadPath> {
    if !piece.contains("...}}") {
        return Ok(None);
    }
    let inside = piece
        .strip_prefix("{{")
        .and_then(|rest| rest.strip_suffix("...}}"))
        .filter(|name| !name.contains("{{"))
        .ok_or(BadPath::RestNotLast)?;
    let template =
        Template::parse(&format!("{{{{{inside}}}}}"), scope).map_err(BadPath::Template)?;
    let name = template.only_parameter().ok_or(BadPath::BuiltIn)?;
    Ok(Some(name.into()))
}

fn read_literal(written: &str) -> Result<Segment, BadPath> {
    Ok(Segment::Literal {
        decoded: decoded(written)?,
        written: written.into(),
    })
}

fn decoded(text: &str) -> Result<Box<str>, BadPath> {
    let decoded = decode_literal(text)?;
    match wrong_with_segment(&decoded) {
        Some(wrong) => Err(BadPath::Segment(wrong)),
        None => Ok(decoded.into()),
    }
}

/// A literal beside a placeholder may be `.`; whether the whole segment is one is seen when it is rendered.
fn beside_a_value(text: &str) -> Result<Box<str>, BadPath> {
    let decoded = decode_literal(text)?;
    if decoded.contains(['/', '\\']) {
        return Err(BadPath::Segment("a path has no encoded `/` or `\\`"));
    }
    Ok(decoded.into())
}

fn decode_literal(text: &str) -> Result<String, BadPath> {
    if text.contains(['?', '#']) {
        return Err(BadPath::QueryOrFragment);
    }
    read_segment(text).map_err(BadPath::Encoding)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::Parameter;
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn pattern(text: &str) -> Result<PathPattern, BadPath> {
        let statics = HashMap::from([("P".to_owned(), "EX".to_owned())]);
        let scope = Scope {
            parameters: &|names: &[&str]| {
                matches!(names, ["id" | "rest"]).then_some(Parameter::ASSUMED)
            },
            statics: &statics,
            context: &HashMap::new(),
        };
        PathPattern::parse(text, &scope).map_err(|problem| problem.bad)
    }

    #[test]
    fn a_pattern_captures_whole_segments() {
        for (text, path, expected) in [
            ("/v1/items/{{id}}", "/v1/items/7", Some(vec![("id", "7")])),
            (
                "/v1/items/{{id}}",
                "/v1/items/a%20b",
                Some(vec![("id", "a b")]),
            ),
            ("/v1/items/{{id}}", "/v1/items/", None),
            ("/v1/items/{{id}}", "/v1/items/7/x", None),
            ("/v1/items/{{id}}", "/v1/items", None),
            ("/v1/items/{{id}}", "/V1/items/7", None),
            ("/x-{{id}}.json", "/x-7.json", Some(vec![("id", "7")])),
            ("/x-{{id}}.json", "/x-.json", None),
            (
                "/f/{{rest...}}",
                "/f/a/b%20c",
                Some(vec![("rest", "a/b c")]),
            ),
            ("/f/{{rest...}}", "/f/", None),
            ("/f/{{rest...}}", "/f/a/", None),
            ("/", "/", Some(vec![])),
            ("/a/", "/a/", Some(vec![])),
            ("/a/", "/a", None),
            ("/p/{{.static_variables.P}}", "/p/EX", Some(vec![])),
            ("/a%20b", "/a%20b", Some(vec![])),
        ] {
            let pattern = pattern(text).unwrap();
            let path = Path::parse(path).unwrap();
            let expected: Option<Vec<(&str, Cow<'_, str>)>> = expected.map(|it| {
                it.into_iter()
                    .map(|(name, value)| (name, value.into()))
                    .collect()
            });
            assert_eq!(pattern.captures(&path), expected, "{text} {path:?}");
        }
    }

    #[test]
    fn no_value_changes_the_shape_of_the_path() {
        let one = pattern("/v1/{{id}}/x").unwrap();
        for value in [
            "", ".", "..", "a/b", "../admin", "a\\b", "..;", "..;x", "a\nb", "\0",
        ] {
            assert!(one.render(|_| Some(value.to_owned())).is_err(), "{value:?}");
        }
        for (value, expected) in [
            ("a?x=1", "/v1/a%3Fx%3D1/x"),
            ("a#", "/v1/a%23/x"),
            ("%2e%2e", "/v1/%252e%252e/x"),
            ("é ~", "/v1/%C3%A9%20~/x"),
        ] {
            assert_eq!(one.render(|_| Some(value.to_owned())).unwrap(), expected);
        }
        let joined = pattern("/.{{id}}").unwrap();
        assert!(joined.render(|_| Some(".".to_owned())).is_err());
        let rest = pattern("/f/{{rest...}}").unwrap();
        assert_eq!(
            rest.render(|_| Some("a/b c".to_owned())).unwrap(),
            "/f/a/b%20c"
        );
        for value in ["", "/a", "a/", "a//b", "a/../b"] {
            assert!(
                rest.render(|_| Some(value.to_owned())).is_err(),
                "{value:?}"
            );
        }
    }

    proptest! {
        /// So a request need not be looked up again where no other pattern fits a path of its action.
        #[test]
        fn what_is_rendered_is_canonical_and_fits_its_pattern(
            value in prop_oneof!["\\PC{0,12}", "[./\\\\;% a\u{1}\u{a0}]{0,6}"],
            text in prop::sample::select(vec![
                "/v1/{{id}}", "/v1/{{id}}/", "/.{{id}}", "/{{id}}.", "/x-{{id}}.json/%2561", "/{{id}};x", "/f/{{id...}}",
            ]),
        ) {
            let pattern = pattern(text).unwrap();
            if let Ok(rendered) = pattern.render(|_| Some(&value)) {
                let path = Path::parse(&rendered);
                prop_assert!(path.is_ok(), "{rendered}");
                let path = path.unwrap();
                let captured = pattern.captures(&path);
                prop_assert_eq!(captured, Some(vec![("id", Cow::Borrowed(value.as_str()))]));
                prop_assert_eq!(pattern.render(|_| Some(&value)).unwrap(), rendered);
            }
        }
    }

    #[test]
    fn mistakes_are_told_apart() {
        for (text, expected) in [
            ("v1", BadPath::NotAbsolute),
            ("/a//b", BadPath::EmptySegment),
            ("/a?x=1", BadPath::QueryOrFragment),
            ("/{{id}}-{{rest}}", BadPath::TwoPlaceholders),
            ("/{{id}}/{{id}}", BadPath::TwiceTheSame("id".into())),
            ("/{{rest...}}/x", BadPath::RestNotLast),
            ("/x{{rest...}}", BadPath::RestNotLast),
            ("/{{environment}}", BadPath::BuiltIn),
            ("/a b", BadPath::Encoding(BadEncoding::Raw(' '))),
        ] {
            assert_eq!(pattern(text), Err(expected), "{text}");
        }
        assert!(matches!(pattern("/a/../b"), Err(BadPath::Segment(_))));
        assert!(matches!(pattern("/{{nope}}"), Err(BadPath::Template(_))));
    }
}
