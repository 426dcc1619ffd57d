//! W3C Trace Context: what a caller says of its trace, read strictly, and what is told on.
//!
//! An agent could carry anything out in free text, so none of its text goes on: the two ids and the known flags are
//! read into numbers and written anew. A trace's id is up to the agent all the same: 16 bytes, to a server that it may
//! talk to.
//!
//! <https://www.w3.org/TR/trace-context-2/>

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};

/// Names a trace, and who asks.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// What each system on the way notes for itself: free text.
pub const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Version, two ids and flags, with hyphens (§2.2.1).
const LENGTH: usize = 55;

/// `sampled` and `random-trace-id` (§2.2.5). Others mean nothing yet and must be zero when told on.
const FLAGS: u8 = 0b11;

/// A list has at most so many members (§2.3.1.1), and so many characters have to be told on at least (§2.3.1.5).
const MEMBERS: usize = 32;
const CHARACTERS: usize = 512;

/// Of a trace id that is made of a request's id, most is random.
const RANDOM: u8 = 0b10;

/// A place in a trace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parent {
    trace: u128,
    span: u64,
    flags: u8,
}

/// What a caller says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Claimed {
    /// Nothing.
    #[default]
    Nothing,
    /// What is no `traceparent`, or more than one.
    Invalid,
    /// Where it stands.
    Parent(Parent),
}

/// One request of a trace: exeat's own span, between the agent's and the server's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    here: Parent,
    before: Option<u64>,
}

impl Parent {
    /// Reads a `traceparent`. Of a later version the fields of this one are read (§4.3).
    pub fn parse(text: &[u8]) -> Option<Self> {
        let version = hex(text.get(..2)?)?;
        let is_whole = match version {
            0 => text.len() == LENGTH,
            0xff => false,
            _ => text.len() == LENGTH || text.get(LENGTH) == Some(&b'-'),
        };
        let hyphens = [2, 35, 52].iter().all(|&at| text.get(at) == Some(&b'-'));
        if !is_whole || !hyphens {
            return None;
        }
        let parent = Self {
            trace: hex(text.get(3..35)?)?,
            span: u64::try_from(hex(text.get(36..52)?)?).ok()?,
            flags: u8::try_from(hex(text.get(53..LENGTH)?)?).ok()? & FLAGS,
        };
        (parent.trace != 0 && parent.span != 0).then_some(parent)
    }
}

/// As version 00.
impl fmt::Display for Parent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { trace, span, flags } = self;
        write!(f, "00-{trace:032x}-{span:016x}-{flags:02x}")
    }
}

impl Claimed {
    /// Reads the one `traceparent` of a request.
    pub fn of_headers(headers: &HeaderMap) -> Self {
        let mut values = headers.get_all(TRACEPARENT).iter();
        match (values.next(), values.next()) {
            (None, _) => Self::Nothing,
            (Some(value), None) => Self::of_text(value.as_bytes()),
            (Some(_), Some(_)) => Self::Invalid,
        }
    }

    /// Reads a `traceparent`.
    pub fn of_text(text: &[u8]) -> Self {
        Parent::parse(text).map_or(Self::Invalid, Self::Parent)
    }

    /// What may not be repeated counts as invalid.
    #[must_use]
    pub fn unless(self, may_not: impl FnOnce(&str) -> bool) -> Self {
        match self {
            Self::Parent(parent) if may_not(&parent.to_string()) => Self::Invalid,
            claimed => claimed,
        }
    }

    /// Goes on with what was claimed, under a span of our own; where it can't be read, begins anew (§4.2). A caller
    /// that does not trace is not made to. `request` is the number of the request, random in its lower half.
    pub fn go_on(self, request: u128) -> Option<Trace> {
        let (trace, flags, before) = match self {
            Self::Nothing => return None,
            Self::Invalid => (request.max(1), RANDOM, None),
            Self::Parent(parent) => (parent.trace, parent.flags, Some(parent.span)),
        };
        let span = (request as u64).max(1);
        Some(Trace {
            here: Parent { trace, span, flags },
            before,
        })
    }
}

impl Trace {
    /// For the server: the trace, with our span as who asks.
    pub fn header(&self) -> HeaderValue {
        let value = HeaderValue::try_from(self.here.to_string());
        value.expect("hexadecimal digits and hyphens")
    }

    /// The trace, in hexadecimal digits.
    pub fn trace_id(&self) -> String {
        format!("{:032x}", self.here.trace)
    }

    /// Our span.
    pub fn span_id(&self) -> String {
        format!("{:016x}", self.here.span)
    }

    /// The caller's span.
    pub fn parent_id(&self) -> Option<String> {
        self.before.map(|span| format!("{span:016x}"))
    }
}

/// Whether a request's `tracestate` may go on where its action lets it: beside a `traceparent` that can be read (§3.3),
/// and as a list that everybody can take.
pub fn has_good_state(headers: &HeaderMap) -> bool {
    let values: Vec<&HeaderValue> = headers.get_all(TRACESTATE).iter().collect();
    let texts: Option<Vec<&str>> = values.iter().map(|it| it.to_str().ok()).collect();
    let list = texts.unwrap_or_default().join(",");
    let members: Vec<&str> = list.split(',').map(str::trim).collect();
    let mut keys: Vec<&str> = members.iter().filter_map(|it| key(it)).collect();
    let all_read = keys.len() == members.len();
    keys.sort_unstable();
    keys.dedup();
    matches!(Claimed::of_headers(headers), Claimed::Parent(_))
        && all_read
        && keys.len() == members.len()
        && members.len() <= MEMBERS
        && list.len() <= CHARACTERS
}

/// The key of a member that is one (§2.3.1.2).
fn key(member: &str) -> Option<&str> {
    let (key, value) = member.split_once('=')?;
    let letters =
        |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/' | b'@');
    let starts = key.starts_with(|it: char| it.is_ascii_lowercase() || it.is_ascii_digit());
    let is_key = starts && key.len() <= 256 && key.bytes().all(letters);
    let is_value = (1..=256).contains(&value.len())
        && value
            .bytes()
            .all(|byte| matches!(byte, b' '..=b'~') && byte != b'=');
    (is_key && is_value).then_some(key)
}

/// Lower-case digits only.
fn hex(digits: &[u8]) -> Option<u128> {
    let mut number = 0;
    for &digit in digits {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        number = number << 4 | u128::from(value);
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_traceparent_is_read_strictly_and_told_on_without_what_is_unknown() {
        let ids = "0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331";
        for (text, told) in [
            (GOOD.to_owned(), Some(GOOD)),
            (
                format!("00-{ids}-00"),
                Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00"),
            ),
            (
                format!("00-{ids}-ff"),
                Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03"),
            ),
            (format!("01-{ids}-01"), Some(GOOD)),
            (format!("cc-{ids}-01-secret"), Some(GOOD)),
            (format!("cc-{ids}-01."), None),
            (format!("00-{ids}-01-secret"), None),
            (format!("00-{ids}-01 "), None),
            (format!(" 00-{ids}-01"), None),
            (format!("ff-{ids}-01"), None),
            (format!("0-{ids}-01"), None),
            (format!("00-{ids}-1"), None),
            (format!("00-{ids}"), None),
            (format!("00-{}-01", ids.to_uppercase()), None),
            (format!("00-{ids}-0G"), None),
            (format!("00_{ids}_01"), None),
            (
                "00-00000000000000000000000000000000-b7ad6b7169203331-01".into(),
                None,
            ),
            (
                "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01".into(),
                None,
            ),
            (String::new(), None),
            ("-".repeat(55), None),
            ("é".repeat(30), None),
        ] {
            let read = Parent::parse(text.as_bytes()).map(|it| it.to_string());
            assert_eq!(read.as_deref(), told, "{text}");
        }
    }

    #[test]
    fn a_trace_goes_on_under_a_span_of_ours() {
        let trace = Claimed::of_text(GOOD.as_bytes())
            .go_on(7 << 64 | 0xabc)
            .unwrap();
        let told = "00-0af7651916cd43dd8448eb211c80319c-0000000000000abc-01";
        assert_eq!(trace.header(), told);
        assert_eq!(trace.trace_id(), &GOOD[3..35]);
        assert_eq!(trace.span_id(), "0000000000000abc");
        assert_eq!(trace.parent_id().as_deref(), Some(&GOOD[36..52]));
    }

    #[test]
    fn what_is_invalid_begins_anew_and_what_is_absent_does_not_begin() {
        let trace = Claimed::of_text(b"00-what").go_on(0xa << 64).unwrap();
        let told = "00-000000000000000a0000000000000000-0000000000000001-02";
        assert_eq!(trace.header(), told);
        assert_eq!(trace.parent_id(), None);
        assert_eq!(Claimed::Nothing.go_on(1), None);
        let mut twice = HeaderMap::new();
        for _ in 0..2 {
            twice.append(TRACEPARENT, HeaderValue::from_static(GOOD));
        }
        assert_eq!(Claimed::of_headers(&twice), Claimed::Invalid);
    }

    #[test]
    fn a_tracestate_may_go_on_only_as_a_short_list_beside_its_parent() {
        let long = format!("a={}", "x".repeat(256));
        let many: Vec<String> = (0..33).map(|it| format!("k{it}=1")).collect();
        for (parent, states, good) in [
            (GOOD, &["congo=t61rcWkgMzE"][..], true),
            (GOOD, &["congo=t61,rojo=00f,t@v=1"], true),
            (GOOD, &["congo=1", "rojo=2"], true),
            (GOOD, &["congo=1, rojo=2"], true),
            (GOOD, &[&long], true),
            (GOOD, &[&many[..32].join(",")], true),
            (GOOD, &[&many.join(",")], false),
            (GOOD, &[&long, &long.replace('a', "b")], false),
            (GOOD, &[&format!("{long}x")], false),
            (GOOD, &["congo=1,congo=2"], false),
            (GOOD, &["Congo=1"], false),
            (GOOD, &["congo=a=b"], false),
            (GOOD, &["congo="], false),
            (GOOD, &["congo"], false),
            (GOOD, &["=1"], false),
            (GOOD, &[""], false),
            (GOOD, &[], false),
            ("00-what", &["congo=1"], false),
        ] {
            let mut headers = HeaderMap::new();
            headers.append(TRACEPARENT, HeaderValue::from_static(parent));
            for state in states {
                headers.append(TRACESTATE, HeaderValue::from_str(state).unwrap());
            }
            assert_eq!(has_good_state(&headers), good, "{parent} {states:?}");
        }
    }

    proptest! {
        #[test]
        fn nothing_but_two_ids_and_flags_goes_on(text in "[0-9a-fA-F\\-]{0,60}|.{0,80}", request: u128) {
            if let Some(trace) = Claimed::of_text(text.as_bytes()).go_on(request) {
                let told = trace.header();
                let told = told.as_bytes();
                prop_assert_eq!(told.len(), LENGTH);
                prop_assert!(told.starts_with(b"00-"));
                prop_assert!(Parent::parse(told).is_some());
            }
        }

        #[test]
        fn what_is_told_is_read_again(trace in 1u128.., span in 1u64.., flags in 0u8..=FLAGS) {
            let parent = Parent { trace, span, flags };
            prop_assert_eq!(Parent::parse(parent.to_string().as_bytes()), Some(parent));
        }
    }
}
