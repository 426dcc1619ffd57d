//! Requests in odd spellings: most of what is made here can be read in one way only, and some cannot.

use proptest::prelude::*;
use proptest::sample::select;

use super::sends::{Asked, DOORS, Door};

/// Pieces of a path segment, a query or a form that are themselves, whatever stands beside them.
const PIECES: &[&str] = &[
    "a",
    "Z",
    "0",
    "9",
    "-",
    "_",
    "~",
    "x.y",
    "..z",
    "%61",
    "%7e",
    "%7E",
    "%2D",
    "%2ea",
    "%41%62",
    "!",
    "$",
    "'",
    "(",
    ")",
    "*",
    ",",
    ":",
    "@",
    "%20",
    "%2b",
    "%2B",
    "+",
    "%26",
    "%3D",
    "%3f",
    "%23",
    "%25",
    "%3B",
    "%22",
    "%3C%3e",
    "%5B",
    "%5d",
    "%7C",
    "%5e",
    "%60",
    "%7b%7D",
    "%252e",
    "%252F",
    "%2500",
    "%C3%A9",
    "%c3%a9",
    "%E2%82%AC",
    "%F0%9F%98%80",
    "e%CC%81",
    "%EF%BC%8F",
    "%E2%80%AE",
    "%C2%A0",
    "%EF%BB%BF",
    "%E2%80%A8",
    "%EF%BC%8E",
    "%C5%BF",
    "%E2%84%AA",
    "%F4%8F%BF%BF",
];

/// Pieces that two servers may read in two ways: exeat refuses all of them, or most.
const DOUBTFUL: &[&str] = &[
    "%2F",
    "%5C",
    "%00",
    "%0a",
    "%0D%0AX:1",
    "%7f",
    "%zz",
    "%",
    "%4",
    "%c0%ae",
    "%ff",
    "%ed%a0%80",
    "%u0041",
    "\\",
    "é",
    "\"",
    "<",
    "^",
    "|",
    "{",
    "#",
    "//",
    "/../",
    "/./",
    "/%2e%2e/",
    "..;",
    "%C2%85",
    "%1b",
];

/// Names of a query: declared, in other spellings, and those at which frameworks have stumbled.
const NAMES: &[&str] = &[
    "q",
    "q",
    "n",
    "f",
    "b",
    "tags",
    "tags",
    "tags",
    "%71",
    "%74ags",
    "x",
    "a.b",
    "a%20b",
    "a+b",
    "x%5B%5D",
    "x[]",
    "x%5By%5D",
    "caf%C3%A9",
    "__proto__",
    "constructor",
    "hasOwnProperty",
    "toString",
    "0",
    "10",
    "_method",
    "%25",
    "%2B",
    "a%26b",
    "a%3Db",
    "%20",
    "_",
    "%EF%BB%BFq",
    "length",
];

const NUMBERS: &[&str] = &[
    "0",
    "1",
    "-1",
    "10",
    "%31%30",
    "9007199254740993",
    "-9223372036854775808",
    "18446744073709551615",
    "007",
    "+1",
    "1e3",
    "0x10",
    "1_000",
    " 1",
];

const FRACTIONS: &[&str] = &[
    "0.1",
    "1.5",
    "-2.25",
    "100",
    "1e21",
    "1e-7",
    "0.30000000000000004",
    ".5",
    "1.0",
    "NaN",
];

/// A request through one of the doors.
pub(super) fn requests() -> impl Strategy<Value = (Door, Asked)> {
    let asked = prop_oneof![4 => items(), 3 => objects(), 2 => forms(), 1 => notes(), 1 => lists(), 1 => bytes()];
    (select(&DOORS[..]), asked)
}

fn items() -> impl Strategy<Value = Asked> {
    let path = prop::collection::vec(text(true), 2..4).prop_map(|it| it.join("/"));
    let root = prop_oneof![6 => Just("/items/"), 1 => Just("/%69tems/"), 1 => Just("/ite%6Ds/")];
    (root, path, query(), headers()).prop_map(|(root, path, query, headers)| {
        let mark = if query.is_empty() { "" } else { "?" };
        asked(
            "item",
            format!("{root}{path}{mark}{query}"),
            headers,
            Vec::new(),
        )
    })
}

fn objects() -> impl Strategy<Value = Asked> {
    let kind = prop_oneof![
        6 => Just("Content-Type: application/json"),
        1 => Just("content-type:  application/json ; charset=UTF-8"),
        1 => Just("CONTENT-TYPE: APPLICATION/JSON"),
        1 => Just("Content-Type: application/json;charset=\"utf-8\""),
        1 => Just("Content-Type: text/json"),
    ];
    (text(true), kind, object(), any::<bool>()).prop_map(|(id, kind, body, is_chunked)| Asked {
        is_chunked,
        ..asked(
            "object",
            format!("/objects/{id}"),
            vec![kind.into()],
            body.into(),
        )
    })
}

fn forms() -> impl Strategy<Value = Asked> {
    let kind = prop_oneof![
        6 => Just("Content-Type: application/x-www-form-urlencoded"),
        1 => Just("Content-Type: Application/X-WWW-Form-Urlencoded; charset=utf-8"),
    ];
    let name = select(&["q", "n", "f", "b", "tags", "tags", "%71", "t%61gs"][..]);
    let fields = prop::collection::vec(pair(name), 0..5).prop_map(|it| it.join("&"));
    (text(true), kind, fields, any::<bool>()).prop_map(|(id, kind, body, is_chunked)| Asked {
        is_chunked,
        ..asked(
            "form",
            format!("/forms/{id}"),
            vec![kind.into()],
            body.into(),
        )
    })
}

fn notes() -> impl Strategy<Value = Asked> {
    let number = select(&["0", "-1", "9007199254740993", "1.0"][..]);
    (text(true), text(false), text_in_json(), number).prop_map(|(id, about, name, n)| {
        asked(
            "note",
            format!("/notes/{id}?about=a%20{about}+b"),
            vec!["Content-Type: application/json".into()],
            format!(r#"{{"note":{{"n":{n},"text":"<{name}>"}}}}"#).into(),
        )
    })
}

fn lists() -> impl Strategy<Value = Asked> {
    let items = || prop::collection::vec(text(false), 1..4);
    prop_oneof![
        (text(true), items()).prop_map(|(id, items)| {
            let target = format!("/commas/{id}?tags={}", items.join(","));
            asked("comma", target, Vec::new(), Vec::new())
        }),
        (text(true), items(), select(&["tags[]", "t%61gs%5B%5d"][..])).prop_map(
            |(id, items, name)| {
                let pairs: Vec<_> = items.iter().map(|it| format!("{name}={it}")).collect();
                let target = format!("/brackets/{id}?{}", pairs.join("&"));
                asked("bracket", target, Vec::new(), Vec::new())
            }
        ),
    ]
}

fn bytes() -> impl Strategy<Value = Asked> {
    let body = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..64),
        Just(b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
    ];
    (text(true), body, any::<bool>()).prop_map(|(id, body, is_chunked)| Asked {
        is_chunked,
        ..asked(
            "bytes",
            format!("/bytes/{id}"),
            vec!["Content-Type: application/octet-stream".into()],
            body,
        )
    })
}

fn asked(action: &'static str, target: String, headers: Vec<String>, body: Vec<u8>) -> Asked {
    Asked {
        action,
        target,
        headers,
        body,
        is_chunked: false,
    }
}

fn headers() -> impl Strategy<Value = Vec<String>> {
    let line = select(
        &[
            "X-Word: plain",
            "x-word:\ttabbed\t",
            "X-WORD: a,b;c=\"d\"",
            "X-Word:",
            "X-Word: a  b",
            "X-Note: note",
            "X-Forwarded-Host: evil.test",
            "Content-Length: 0",
            "X_Word: other",
            "Accept: */*",
            "Connection: x-word",
            "X-HTTP-Method-Override: DELETE",
            "X-Original-URL: /admin",
        ][..],
    );
    prop::collection::vec(line.prop_map(str::to_owned), 0..3)
}

fn query() -> impl Strategy<Value = String> {
    let separator = prop_oneof![8 => Just("&"), 1 => Just("&&"), 1 => Just(";")];
    let pairs = prop::collection::vec((pair(select(NAMES)), separator), 0..4);
    pairs.prop_map(|pairs| {
        let mut query = String::new();
        for (at, (pair, separator)) in pairs.iter().enumerate() {
            if at > 0 {
                query += separator;
            }
            query += pair;
        }
        query
    })
}

fn pair(name: impl Strategy<Value = &'static str>) -> impl Strategy<Value = String> {
    name.prop_flat_map(|name| {
        let value = match name {
            "n" => select(NUMBERS).prop_map(str::to_owned).boxed(),
            "f" => select(FRACTIONS).prop_map(str::to_owned).boxed(),
            "b" => select(&["true", "false", "tru%65", "1", ""][..])
                .prop_map(str::to_owned)
                .boxed(),
            _ => text(false).boxed(),
        };
        prop_oneof![
            12 => value.prop_map(move |value| format!("{name}={value}")),
            1 => Just(name.to_owned()),
        ]
    })
}

/// A segment, which is not empty, or a value.
fn text(is_segment: bool) -> impl Strategy<Value = String> {
    let more: &[&str] = if is_segment {
        &[";", "=", "&"]
    } else {
        &["=", "/", "?", "%0D%0A", "%09", "%2F"]
    };
    let piece = prop_oneof![90 => select(PIECES), 8 => select(more), 1 => select(DOUBTFUL)];
    prop::collection::vec(piece, usize::from(is_segment)..5).prop_map(|it| it.concat())
}

fn object() -> impl Strategy<Value = String> {
    let known = prop_oneof![
        string().prop_map(|it| format!("\"name\": {it}")),
        number().prop_map(|it| format!("\"n\" :{it}")),
        number().prop_map(|it| format!("\"\\u0066\":{it}")),
        value().prop_map(|it| format!("\"any\":{it}")),
        (string(), value()).prop_map(|(name, it)| format!("{name}:{it}")),
        value().prop_map(|it| format!("\"__proto__\":{it}")),
    ];
    prop::collection::vec(known, 0..4).prop_map(|it| format!("{{ {}\r\n}}", it.join(",\t")))
}

fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        string(),
        number(),
        select(&["true", "false", "null", "[]", "{}"][..]).prop_map(str::to_owned),
    ];
    leaf.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3)
                .prop_map(|it| format!("[{}]", it.join(" , "))),
            prop::collection::vec((string(), inner), 0..3).prop_map(|it| {
                let members: Vec<_> = it
                    .iter()
                    .map(|(name, it)| format!("{name}: {it}"))
                    .collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

fn string() -> impl Strategy<Value = String> {
    text_in_json().prop_map(|it| format!("\"{it}\""))
}

fn text_in_json() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        60 => select(&[
            "a", "B", "é", "😀", "\\n", "\\r\\n", "\\t", "\\\"", "\\\\", "\\/", "/", "\\u0061", "\\u00E9", "\\u20ac",
            "\\ud83d\\ude00", "\\u001f", "\\u007f", "\u{7f}", "\\u2028", "\u{2028}", "\u{feff}", "\\b\\f", "<", "&",
            "'", " ", "%41", "\u{e000}", "\u{10ffff}",
        ][..]),
        1 => select(&["\\ud800", "\\u0000", "\t", "\\x41", "\\u00", "\\ude00\\ud83d", "\n"][..]),
    ];
    prop::collection::vec(piece, 0..4).prop_map(|it| it.concat())
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        20 => select(&[
            "0", "1", "-1", "1.0", "1.5", "-0", "-0.0", "1e2", "1E+2", "1e-7", "0.1", "123456789012345678",
            "9007199254740993", "18446744073709551615", "-9223372036854775808", "0.30000000000000004", "1e21",
            "1.7976931348623157e308", "5e-324", "100000000000000000000.0", "2.0",
        ][..]),
        1 => select(&["01", "+1", ".5", "1.", "1e400", "18446744073709551616", "0x10", "NaN", "1e", "-"][..]),
    ]
    .prop_map(str::to_owned)
}
