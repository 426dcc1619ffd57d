//! Any text as a path and a query: what is read was decoded once, and what is written of it is read as the same by
//! everybody.

use exeat::request::Pair;
use exeat::request::Path;
use exeat::request::Query;
use exeat::request::encode;
use exeat::request::read_segment;
use http::uri::PathAndQuery;
use percent_encoding::percent_decode_str;

/// Reads what is before the first `?` as a path and what is behind it as a query.
pub fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let (path, query) = text.split_once('?').unwrap_or((text, ""));
    if let Ok(read) = Path::parse(path) {
        check_path(path, &read);
    }
    if let Ok(read) = Query::parse(query) {
        check_pairs(query, read.pairs());
        let as_form = Query::parse_form(query.as_bytes());
        assert_eq!(as_form.ok(), Some(read), "{query}");
    }
    let encoded = encode(text);
    assert!(is_encoded(&encoded), "{encoded}");
    if !text.contains(char::is_control) {
        assert_eq!(read_segment(&encoded).as_deref(), Ok(text));
    }
}

fn check_path(text: &str, path: &Path) {
    let sent: Vec<&str> = text[1..].split('/').collect();
    assert_eq!(sent.len(), path.len());
    for (sent, segment) in sent.iter().zip(path.segments()) {
        let decoded = percent_decode_str(sent).decode_utf8();
        assert_eq!(decoded.expect("it was read"), segment);
        assert!(
            !segment.contains(|it: char| it.is_control() || "/\\".contains(it)),
            "{text}"
        );
    }
    let written = path.to_string();
    assert_canonical(&written);
    let again = Path::parse(&written);
    assert_eq!(again.as_ref().ok(), Some(path), "{written}");
    if let Some(rest) = path.rest(0) {
        assert_eq!(rest.split('/').count(), path.len());
    }
    if let Ok(other) = text.parse::<PathAndQuery>() {
        assert_eq!((other.path(), other.query()), (text, None));
    }
}

/// That a path, as it is written, can be taken for no other.
pub(super) fn assert_canonical(written: &str) {
    let segments = written.strip_prefix('/').expect("a path begins with `/`");
    let last = segments.split('/').count() - 1;
    for (at, segment) in segments.split('/').enumerate() {
        assert!(is_encoded(segment), "{written}");
        assert!(!segment.is_empty() || at == last, "{written}");
        assert!(![".", ".."].contains(&segment), "{written}");
        let decoded = percent_decode_str(segment).decode_utf8_lossy();
        let cut = decoded.split(';').next().unwrap_or_default();
        assert!(!["..", "."].contains(&cut), "{written}");
    }
    for odd in ["%2F", "%5C", "%00", "%0A", "%0D", "%7F"] {
        assert!(!written.contains(odd), "{written}");
    }
    let other: PathAndQuery = written.parse().expect("every reader takes it");
    assert_eq!((other.path(), other.query()), (written, None));
}

/// Of a query or a form: that another reader finds the same pairs in the text, and both of us in what is written.
pub(super) fn check_pairs(text: &str, pairs: &[Pair]) {
    assert_eq!(read_by_another(text), pairs, "{text}");
    let written = write(pairs);
    assert!(
        written.split(['&', '=']).all(is_encoded) && !written.contains(' '),
        "{written}"
    );
    let again = Query::parse(&written).expect("what is written can be read");
    assert_eq!(again.pairs(), pairs, "{written}");
    assert_eq!(read_by_another(&written), pairs, "{written}");
}

fn write(pairs: &[Pair]) -> String {
    let pairs = pairs.iter();
    let written = pairs.map(|it| format!("{}={}", encode(&it.name), encode(&it.value)));
    written.collect::<Vec<_>>().join("&")
}

fn read_by_another(text: &str) -> Vec<Pair> {
    let pairs = form_urlencoded::parse(text.as_bytes()).into_owned();
    pairs.map(|(name, value)| Pair { name, value }).collect()
}

/// Unreserved characters, and `%` before two capital hexadecimal digits.
fn is_encoded(text: &str) -> bool {
    let mut parts = text.split('%');
    let is_plain = |part: &str| {
        part.bytes()
            .all(|it| it.is_ascii_alphanumeric() || b"-._~".contains(&it))
    };
    let is_digit = |it: u8| it.is_ascii_digit() || (b'A'..=b'F').contains(&it);
    parts.next().is_some_and(is_plain)
        && parts.all(|part| {
            let digits = part.bytes().take(2).filter(|it| is_digit(*it));
            digits.count() == 2 && is_plain(part)
        })
}
