//! JSON that two readers could read in two ways.

use serde_json::json;

use super::{
    INVALID, MISSING, TWICE, TYPE, UNDECLARED, UNREADABLE, call_refused, calls_refused, stage_with,
};
use crate::attacks::stage::{Door, Stage};
use crate::world::{Revision, read_answer};

/// A POST of each is refused so, and so is a call with it among the bytes that ask for one.
fn bodies_refused(stage: &Stage, expected: super::Refused, bodies: &[&str]) {
    for body in bodies {
        for door in Door::ALL {
            stage.refuses(door, &door.post(body), expected);
        }
        let call = format!("{{\"parameters\":{body}}}");
        call_refused(stage, "create_item", expected, call.as_bytes());
    }
}

#[test]
fn e23_a_key_stands_once() {
    let stage = Stage::usual();
    bodies_refused(
        &stage,
        TWICE,
        &[
            r#"{"name":"a","qty":1,"qty":9999}"#,
            r#"{"name":"a","qty":1,"qty":1}"#,
            r#"{"qty":9999,"name":"a","qty":1}"#,
            r#"{"name":"a","qty":1,"name":"b"}"#,
            r#"{"name":"a","qty":1,"x":{"y":1,"y":2}}"#,
            r#"{"name":"a","qty":1,"x":[{"y":1,"y":2}]}"#,
            r#"{"name":"a","qty":1,"":1,"":2}"#,
        ],
    );
    // What stands round the parameters is read as strictly.
    for call in [
        r#"{"parameters":{"name":"a","qty":1},"parameters":{}}"#,
        r#"{"parameters":{"name":"a","qty":1},"Parameters":{}}"#,
        r#"{"session":"x","session":"y"}"#,
    ] {
        call_refused(&stage, "create_item", TWICE, call.as_bytes());
    }
    let message = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"create_item","arguments":{"name":"a","qty":1,"qty":2}}}"#;
    let web = stage.world.web(Revision::Stateless, "x");
    let head = web.head(&serde_json::from_str(message).unwrap());
    let mut stream = stage.world.knock("POST", &head, message);
    let answer = read_answer(&mut stream, "POST").unwrap();
    assert_eq!(answer.json()["error"]["code"], -32700, "{answer:?}");
    stage.world.assert_nothing_left();
}

#[test]
fn e24_a_key_stands_once_in_any_spelling() {
    let stage = Stage::usual();
    bodies_refused(
        &stage,
        TWICE,
        &[
            r#"{"name":"a","qty":1,"\u0071ty":9999}"#,
            r#"{"name":"a","\u0071\u0074\u0079":1,"qty":9999}"#,
            r#"{"name":"a","\u0071ty":1,"q\u0074y":2}"#,
            r#"{"name":"a","qty":1,"\u0051TY":9999}"#,
            r#"{"name":"a","qty":1,"a/b":1,"a\/b":2}"#,
            r#"{"name":"a","qty":1,"\ud83d\ude00":1,"😀":2}"#,
        ],
    );
    let canonical = r#"{"name":"a","qty":1}"#;
    for door in Door::ALL {
        for body in [
            r#"{"name":"a","\u0071ty":1}"#,
            r#"{"n\u0061me":"\u0061","qty":1}"#,
            r#" { "name" : "a" , "qty" : 1 } "#,
            "\t{\r\n\"name\":\"a\",\"qty\":1\n}",
        ] {
            stage.same(door, &door.post(body), &door.post(canonical));
        }
    }
}

#[test]
fn e25_a_key_in_another_case_is_the_same_key() {
    let stage = Stage::usual();
    bodies_refused(
        &stage,
        TWICE,
        &[
            r#"{"name":"a","qty":1,"Qty":9999}"#,
            r#"{"name":"a","QTY":9999,"qty":1}"#,
            r#"{"name":"a","qty":1,"NAME":"b"}"#,
        ],
    );
    bodies_refused(
        &stage,
        UNDECLARED,
        &[
            r#"{"name":"a","Qty":1}"#,
            r#"{"Name":"a","qty":1}"#,
            r#"{"name":"a","qty":1,"qty ":1}"#,
            r#"{"name":"a","qty":1," qty":1}"#,
            r#"{"name":"a","qty":1,"qty\u200b":1}"#,
            r#"{"name":"a","qty":1,"ｑty":1}"#,
            r#"{"name":"a","qty":1,"__proto__":{}}"#,
            r#"{"name":"a","qty":1,"":1}"#,
        ],
    );
    // Go folds the long s and the Kelvin sign as well.
    let stage = stage_with(
        "  loose:\n    description: Takes a key and a size, and more.\n    method: POST\n    \
         url: https://api.good.test/loose\n    parameters:\n      properties: {key: {type: string}, size: {type: integer}}\n      \
         additionalProperties: true\n",
    );
    for (body, expected) in [
        (r#"{"key":"a","Key":"b"}"#, TWICE),
        (r#"{"key":"a","\u212aey":"b"}"#, TWICE),
        (r#"{"size":1,"\u017fize":2}"#, TWICE),
        (r#"{"size":1,"SIZE":2}"#, TWICE),
        (r#"{"x":1,"X":2}"#, TWICE),
        (r#"{"stra\u00dfe":1,"STRASSE":2}"#, TWICE),
        (r#"{"\u00e9":1,"\u00c9":2}"#, TWICE),
        (r#"{"x":{"k":1,"\u212a":2}}"#, TWICE),
        (r#"{"KEY":"a"}"#, UNDECLARED),
        (r#"{"\u212aey":"a"}"#, UNDECLARED),
        (r#"{"\u017fize":2}"#, UNDECLARED),
        (r#"{"\u017fiZE":2,"key":"a"}"#, UNDECLARED),
    ] {
        for door in Door::ALL {
            let lines = format!(
                "Content-Type: application/json\r\nContent-Length: {}\r\n",
                body.len()
            );
            let sent = door.request("POST", "api.good.test", "/loose", &lines, body);
            stage.refuses(door, &sent, expected);
        }
        let call = format!("{{\"parameters\":{body}}}");
        call_refused(&stage, "loose", expected, call.as_bytes());
    }
}

/// Bytes of a body, where they are no text.
fn post_bytes(door: Door, kind: &str, body: &[u8]) -> Vec<u8> {
    let lines = format!("Content-Type: {kind}\r\nContent-Length: {}\r\n", body.len());
    let head = door.request("POST", "api.good.test", "/v1/items", &lines, "");
    [&head, body].concat()
}

#[test]
fn e27_json_is_utf8_and_nothing_else() {
    let stage = Stage::usual();
    let text = r#"{"name":"a","qty":1}"#;
    let wide = |big: bool| -> Vec<u8> {
        let unit = |it: u16| {
            if big {
                it.to_be_bytes()
            } else {
                it.to_le_bytes()
            }
        };
        text.encode_utf16().flat_map(unit).collect()
    };
    let widest = |big: bool| -> Vec<u8> {
        let unit = |it: char| match big {
            true => u32::from(it).to_be_bytes(),
            false => u32::from(it).to_le_bytes(),
        };
        text.chars().flat_map(unit).collect()
    };
    let with = |mark: &[u8], body: &[u8]| [mark, body].concat();
    let bodies = [
        (with(b"\xef\xbb\xbf", text.as_bytes()), TYPE),
        (with(b"\xff\xfe", &wide(false)), TYPE),
        (with(b"\xfe\xff", &wide(true)), TYPE),
        (with(b"\xff\xfe\0\0", &widest(false)), TYPE),
        (with(b"\0\0\xfe\xff", &widest(true)), TYPE),
        (wide(false), UNREADABLE),
        (wide(true), UNREADABLE),
        (widest(false), UNREADABLE),
        (widest(true), UNREADABLE),
        (b"{\"name\":\"\xff\",\"qty\":1}".to_vec(), TYPE),
        (b"{\"name\":\"\xc0\xae\",\"qty\":1}".to_vec(), TYPE),
        (b"{\"name\":\"\xed\xa0\x80\",\"qty\":1}".to_vec(), TYPE),
        (b"{\"name\":\"\xe9\",\"qty\":1}".to_vec(), TYPE),
        (b"{\"name\":\"a\",\"qty\":1}\xff".to_vec(), TYPE),
        (b"+AHs-\"name\":\"a\",\"qty\":1+AH0-".to_vec(), UNREADABLE),
        (
            "\u{a0}{\"name\":\"a\",\"qty\":1}".as_bytes().to_vec(),
            UNREADABLE,
        ),
        (
            "{\"name\":\"a\",\u{2003}\"qty\":1}".as_bytes().to_vec(),
            UNREADABLE,
        ),
    ];
    for (body, expected) in &bodies {
        for door in Door::ALL {
            stage.refuses(door, &post_bytes(door, "application/json", body), *expected);
        }
        let call = [b"{\"parameters\":", &body[..], b"}"].concat();
        let got = if call.starts_with(b"{\"parameters\":\xef\xbb\xbf") {
            UNREADABLE
        } else {
            *expected
        };
        call_refused(&stage, "create_item", got, &call);
        call_refused(&stage, "create_item", *expected, body);
    }
    for charset in [
        "utf-7",
        "ibm037",
        "utf-16",
        "utf-16le",
        "utf-32",
        "iso-8859-1",
        "us-ascii",
        "shift_jis",
        "\"utf-7\"",
        "utf-8, text/html",
        "utf-8;charset=utf-7",
        "utf-8; charset=utf-8",
        "utf8",
        "utf-8\"",
        "\"utf-8",
        "\"\"utf-8\"\"",
        "'utf-8'",
        "\"utf-8\\\"",
        "utf-8 x",
        "",
    ] {
        for door in Door::ALL {
            let kind = format!("application/json; charset={charset}");
            stage.refuses(door, &post_bytes(door, &kind, text.as_bytes()), TYPE);
        }
    }
    for kind in [
        "application/json;charset=utf-8",
        "Application/JSON; Charset=\"UTF-8\"",
    ] {
        for door in Door::ALL {
            let sent = post_bytes(door, kind, text.as_bytes());
            stage.same(door, &sent, &door.post(text));
        }
    }
}

/// Of the class of the rows: whatever else readers of JSON let pass, or read in their own way.
#[test]
fn e27_what_is_not_exactly_one_json_text_is_refused() {
    let stage = Stage::usual();
    bodies_refused(
        &stage,
        UNREADABLE,
        &[
            r#"{"name":"a","qty":1,}"#,
            r#"{"name":"a","qty":01}"#,
            r#"{"name":"a","qty":+1}"#,
            r#"{"name":"a","qty":1.}"#,
            r#"{"name":"a","qty":.5}"#,
            r#"{"name":"a","qty":0x1}"#,
            r#"{"name":"a","qty":NaN}"#,
            r#"{"name":"a","qty":Infinity}"#,
            r#"{'name':'a','qty':1}"#,
            r#"{name:"a",qty:1}"#,
            r#"{"name":"a","qty":1/*x*/}"#,
            "{\"name\":\"a\",\"qty\":1//x\n}",
            "{\"name\":\"a\nb\",\"qty\":1}",
            "{\"name\":\"a\tb\",\"qty\":1}",
            r#"{"name":"\x61","qty":1}"#,
            r#"{"name":"\u61","qty":1}"#,
            r#"{"name":"a","qty":True}"#,
            r#"{"name":"a""qty":1}"#,
            r#"{"name":"a","qty":1"#,
        ],
    );
    bodies_refused(
        &stage,
        INVALID,
        &[
            r#"{"name":"\ud800","qty":1}"#,
            r#"{"name":"\udc00\ud800","qty":1}"#,
            r#"{"name":"\u0000","qty":1}"#,
            r#"{"name":"a","qty":1e400}"#,
            r#"{"name":"a","qty":18446744073709551616}"#,
            r#"{"name":"a","qty":1e-400}"#,
            r#"{"name":"a","qty":1001}"#,
            r#"{"name":"a","qty":-1}"#,
            r#"{"name":"a","qty":1.5}"#,
            r#"{"name":"a","qty":"1"}"#,
            r#"{"name":"a","qty":true}"#,
            r#"{"name":"a","qty":[1]}"#,
            r#"{"name":["a"],"qty":1}"#,
        ],
    );
    bodies_refused(&stage, MISSING, &[r#"{"name":"a"}"#, r#"{"qty":1}"#, "{}"]);
    for body in [
        r#"{"name":"a","qty":1}{}"#,
        r#"{"name":"a","qty":1} x"#,
        "{\"name\":\"a\",\"qty\":1}\0",
        "{\"name\":\"a\",\"qty\":1}\u{1a}",
        "[{\"name\":\"a\",\"qty\":1}]",
        "\"{}\"",
        "null",
        "1",
        ")]}',\n{\"name\":\"a\",\"qty\":1}",
        "\u{1e}{\"name\":\"a\",\"qty\":1}\n",
        "{\"name\":\"a\",\"qty\":1}\n{\"name\":\"b\",\"qty\":1}",
    ] {
        for door in Door::ALL {
            stage.refuses(door, &door.post(body), UNREADABLE);
        }
        call_refused(&stage, "create_item", UNREADABLE, body.as_bytes());
    }
    let deep = format!(
        "{{\"name\":{}1{}}}",
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    bodies_refused(&stage, UNREADABLE, &[&deep]);
    calls_refused(
        &stage,
        "create_item",
        INVALID,
        &[json!({"name": "a", "qty": null})],
    );
}
