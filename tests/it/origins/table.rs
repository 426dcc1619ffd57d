//! Odd requests that are let through, with what they have to be.

use serde_json::{Value, json};

use super::decided::Content;
use super::reading::{Pairs, by_name};
use super::sends::{Asked, DOORS};
use super::{Outcome, Stage, Wires};

/// Path and query as they are sent, and as they have to be read.
type Row = (
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
);

const TARGETS: &[Row] = &[
    ("/items/a/b", "/items/a/b", &[]),
    ("/%69tem%73/%61/%62", "/items/a/b", &[]),
    ("/items/a%20b/c%2Bd+e%2be", "/items/a b/c+d+e+e", &[]),
    ("/items/a;b=c/d;e", "/items/a;b=c/d;e", &[]),
    ("/items/%3b%3D/%26&", "/items/;=/&&", &[]),
    ("/items/%25/%2525", "/items/%/%25", &[]),
    ("/items/%252e%252E/%252F", "/items/%2e%2E/%2F", &[]),
    ("/items/.../a..b", "/items/.../a..b", &[]),
    ("/items/%2e.%2E/.a", "/items/.../.a", &[]),
    ("/items/~%7e/-_", "/items/~~/-_", &[]),
    ("/items/a:b@c/!$&'()*,=", "/items/a:b@c/!$&'()*,=", &[]),
    ("/items/%3F%3fq=1/%23x", "/items/??q=1/#x", &[]),
    (
        "/items/%22%3C%3E/%5B%5D%7B%7C%7D%5E%60",
        "/items/\"<>/[]{|}^`",
        &[],
    ),
    ("/items/[1]/x", "/items/[1]/x", &[]),
    ("/items/caf%c3%a9/e%CC%81", "/items/café/e\u{301}", &[]),
    (
        "/items/%F0%9F%98%80/%F4%8F%BF%BF",
        "/items/😀/\u{10ffff}",
        &[],
    ),
    // What looks like a slash, a dot or an ASCII letter, and is none.
    (
        "/items/%EF%BC%8F%E2%88%95/%EF%BC%8E%EF%BC%8E",
        "/items/／∕/．．",
        &[],
    ),
    ("/items/%E2%84%AA/%C5%BF%C4%B0", "/items/\u{212a}/ſİ", &[]),
    (
        "/items/%E2%80%AE%E2%80%8B/%EF%BB%BF",
        "/items/\u{202e}\u{200b}/\u{feff}",
        &[],
    ),
    ("/items/%C2%A0/%E2%80%A8", "/items/\u{a0}/\u{2028}", &[]),
    ("/items/%20a%20/%20", "/items/ a / ", &[]),
    ("/items/a/b?", "/items/a/b", &[]),
    ("/items/a/b?q", "/items/a/b", &[("q", "")]),
    ("/items/a/b?&&q=&", "/items/a/b", &[("q", "")]),
    (
        "/items/a/b?q=1+2%2B3%204",
        "/items/a/b",
        &[("q", "1 2+3 4")],
    ),
    (
        "/items/a/b?q=a%26b%3Dc&x==",
        "/items/a/b",
        &[("q", "a&b=c"), ("x", "=")],
    ),
    ("/items/a/b?q=%3B%2c,%23", "/items/a/b", &[("q", ";,,#")]),
    (
        "/items/a/b?%71=https://evil.test/?a",
        "/items/a/b",
        &[("q", "https://evil.test/?a")],
    ),
    (
        "/items/a/b?q=/../%2e%2e/%2F%5C",
        "/items/a/b",
        &[("q", "/../..//\\")],
    ),
    ("/items/a/b?q=%2500%252F", "/items/a/b", &[("q", "%00%2F")]),
    (
        "/items/a/b?q=%0D%0AX:%091",
        "/items/a/b",
        &[("q", "\r\nX:\t1")],
    ),
    (
        "/items/a/b?q=%EF%BC%86x%EF%BC%9D1",
        "/items/a/b",
        &[("q", "＆x＝1")],
    ),
    (
        "/items/a/b?q=%EF%BB%BFa",
        "/items/a/b",
        &[("q", "\u{feff}a")],
    ),
    (
        "/items/a/b?%EF%BB%BFz=1",
        "/items/a/b",
        &[("\u{feff}z", "1")],
    ),
    (
        "/items/a/b?tags=a&tags=&tags=a",
        "/items/a/b",
        &[("tags", "a"), ("tags", ""), ("tags", "a")],
    ),
    (
        "/items/a/b?tags=2&q=x&t%61gs=1",
        "/items/a/b",
        &[("q", "x"), ("tags", "2"), ("tags", "1")],
    ),
    (
        "/items/a/b?x[]=1&y%5Bz%5D=2",
        "/items/a/b",
        &[("x[]", "1"), ("y[z]", "2")],
    ),
    (
        "/items/a/b?a.b=1&a+b=2&a%2Bb=3",
        "/items/a/b",
        &[("a b", "2"), ("a+b", "3"), ("a.b", "1")],
    ),
    (
        "/items/a/b?caf%C3%A9=%c3%a9&%26=%3D",
        "/items/a/b",
        &[("&", "="), ("café", "é")],
    ),
    (
        "/items/a/b?__proto__=1&constructor=2",
        "/items/a/b",
        &[("__proto__", "1"), ("constructor", "2")],
    ),
    (
        "/items/a/b?hasOwnProperty=1&10=2&9=3",
        "/items/a/b",
        &[("10", "2"), ("9", "3"), ("hasOwnProperty", "1")],
    ),
    (
        "/items/a/b?n=-5&f=0.1&b=tru%65",
        "/items/a/b",
        &[("b", "true"), ("f", "0.1"), ("n", "-5")],
    ),
    (
        "/items/a/b?n=-9223372036854775808&f=0.30000000000000004",
        "/items/a/b",
        &[("f", "0.30000000000000004"), ("n", "-9223372036854775808")],
    ),
];

/// JSON as it is sent, beside what it has to be.
fn objects() -> Vec<(&'static str, Value)> {
    vec![
        ("", json!({})),
        ("{}", json!({})),
        (" \r\n\t{ \"name\" :\t\"a\" } \n", json!({"name": "a"})),
        (
            r#"{"n\u0061me":"\u0041\/\\\"\b\f\n\r\t"}"#,
            json!({"name": "A/\\\"\u{8}\u{c}\n\r\t"}),
        ),
        (
            r#"{"name":"\ud83d\ude00😀\u00e9é"}"#,
            json!({"name": "😀😀éé"}),
        ),
        (
            "{\"name\":\"\u{7f}\\u007f\u{2028}\\u2029\u{feff}\"}",
            json!({"name": "\u{7f}\u{7f}\u{2028}\u{2029}\u{feff}"}),
        ),
        (r#"{"name":"\u0001\u001f"}"#, json!({"name": "\u{1}\u{1f}"})),
        (
            r#"{"n":-0,"any":[1.0,-0.0,1e2]}"#,
            json!({"n": -0.0, "any": [1.0, -0.0, 100.0]}),
        ),
        (
            r#"{"any":[9007199254740993,18446744073709551615]}"#,
            json!({"any": [9007199254740993_u64, u64::MAX]}),
        ),
        (
            r#"{"f":0.30000000000000004,"n":-9223372036854775808}"#,
            json!({"f": 0.30000000000000004, "n": i64::MIN}),
        ),
        (
            r#"{"any":{"":"","a":{"":null}},"":1}"#,
            json!({"any": {"": "", "a": {"": null}}, "": 1}),
        ),
        (
            r#"{"any":[[],{},[[]],[{}]]}"#,
            json!({"any": [[], {}, [[]], [{}]]}),
        ),
        (
            r#"{"__proto__":{"x":1},"constructor":{"prototype":{}}}"#,
            json!({"__proto__": {"x": 1}, "constructor": {"prototype": {}}}),
        ),
        (
            r#"{"a.b":1,"a[b]":2,"$a":3,"é":4,"&=":5}"#,
            json!({"a.b": 1, "a[b]": 2, "$a": 3, "é": 4, "&=": 5}),
        ),
        (
            r#"{"any":"</script><!--","x":"%00\u2028"}"#,
            json!({"any": "</script><!--", "x": "%00\u{2028}"}),
        ),
    ]
}

/// Forms as they are sent, beside what they have to be.
const FORMS: &[(&str, &[(&str, &str)])] = &[
    ("q=a+b%20c%2Bd", &[("q", "a b c+d")]),
    ("&&q&", &[("q", "")]),
    (
        "tags=1&q==&tags=&t%61gs=%26",
        &[("q", "="), ("tags", "1"), ("tags", ""), ("tags", "&")],
    ),
    ("q=%0D%0Aa%09%25%3B", &[("q", "\r\na\t%;")]),
    ("q=%C3%A9%F0%9F%98%80%EF%BB%BF", &[("q", "é😀\u{feff}")]),
    ("q=/?:@!$'()*,[]", &[("q", "/?:@!$'()*,[]")]),
    (
        "n=10&b=false&f=-0.5",
        &[("b", "false"), ("f", "-0.5"), ("n", "10")],
    ),
];

#[test]
fn odd_paths_and_queries_are_read_alike() {
    let rows = TARGETS.iter().map(|(target, path, query)| {
        let asked = asked("item", target, "X-Note: here", b"");
        (asked, *path, owned(query), Content::Bytes(Vec::new()))
    });
    check(rows.collect());
}

#[test]
fn odd_bodies_are_read_alike() {
    let json = "Content-Type:  Application/JSON ;charset=UTF-8  ";
    let form = "content-type: application/x-www-form-urlencoded";
    let objects = objects().into_iter().map(|(body, value)| {
        let asked = asked("object", "/objects/a", json, body.as_bytes());
        (asked, "/objects/a", Pairs::new(), Content::Json(value))
    });
    let forms = FORMS.iter().map(|(body, fields)| {
        let asked = asked("form", "/forms/a", form, body.as_bytes());
        (
            asked,
            "/forms/a",
            Pairs::new(),
            Content::Form(owned(fields)),
        )
    });
    let every_byte: Vec<u8> = (0..=u8::MAX).collect();
    let bytes = [&every_byte[..], b"", b"0\r\n\r\nGET / HTTP/1.1\r\n\r\n"].map(|body| {
        let asked = asked("bytes", "/bytes/a", "Content-Type: x/y", body);
        (
            asked,
            "/bytes/a",
            Pairs::new(),
            Content::Bytes(body.to_vec()),
        )
    });
    let rows: Vec<Expected> = objects.chain(forms).chain(bytes).collect();
    let in_chunks = rows
        .clone()
        .into_iter()
        .map(|(asked, path, query, content)| {
            (
                Asked {
                    is_chunked: true,
                    ..asked
                },
                path,
                query,
                content,
            )
        });
    check(rows.iter().cloned().chain(in_chunks).collect());
}

type Expected = (Asked, &'static str, Pairs, Content);

/// Through every door, to every server.
fn check(rows: Vec<Expected>) {
    let stage = Stage::set();
    let mut wires = Wires::new(&stage.world);
    for door in DOORS {
        let requests: Vec<_> = rows
            .iter()
            .map(|(asked, ..)| (door, asked.clone()))
            .collect();
        let outcomes = stage
            .send(&mut wires, &requests)
            .unwrap_or_else(|it| panic!("{it}"));
        for ((asked, path, query, content), outcomes) in rows.iter().zip(outcomes) {
            for outcome in outcomes {
                let Outcome::Agreed(decided) = outcome else {
                    panic!("{asked:?} at {door:?}: {outcome:?}");
                };
                assert_eq!(decided.path, *path, "{asked:?} at {door:?}");
                assert_eq!(by_name(&decided.query), *query, "{asked:?} at {door:?}");
                let decided = match decided.content {
                    Content::Form(fields) => Content::Form(by_name(&fields)),
                    other => other,
                };
                assert_eq!(decided, *content, "{asked:?} at {door:?}");
            }
        }
    }
}

fn asked(action: &'static str, target: &str, header: &str, body: &[u8]) -> Asked {
    Asked {
        action,
        target: target.to_owned(),
        headers: vec![header.to_owned()],
        body: body.to_vec(),
        is_chunked: false,
    }
}

fn owned(pairs: &[(&str, &str)]) -> Pairs {
    let pair = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    pairs.iter().map(pair).collect()
}
