//! What a path may say.

use serde_json::json;

use super::{
    INVALID, MALFORMED, NOT_CANONICAL, UNDECLARED_ACTION, call_refused, calls_refused,
    gets_refused, gets_same, stage_with,
};
use crate::attacks::stage::{Door, Stage};

#[test]
fn e1_a_dot_segment_is_refused_and_never_resolved() {
    let stage = Stage::usual();
    gets_refused(
        &stage,
        NOT_CANONICAL,
        &[
            "/v1/items/../admin",
            "/v1/items/.",
            "/v1/items/..",
            "/v1/items/./1",
            "/v1/./items/1",
            "/./v1/items/1",
            "/../v1/items/1",
            "/v1/items/x/../1",
            "/v1/items/../items/1",
            "/v1/items/1/.",
            "/v1/items/1/..",
            "/v1/items/..?fields=name",
            "/v1//items/1",
            "/v1/items//1",
            "/v1/items/1//",
            "/v1/items/..;/admin",
            "/v1/items/..;x=1/admin",
            "/v1/items/.;/1",
            "/v1/items/..%20/admin",
            "/v1/items/%20../admin",
            "/v1/items/..%20;x/admin",
            "/v1/items/..%C2%A0/admin",
            "/v1/items/..%20",
        ],
    );
    // More dots are a name.
    gets_refused(&stage, INVALID, &["/v1/items/...", "/v1/items/1.."]);
    let values = ["..", ".", "../admin", "./1", "..;x", "a/../b", "/", "a/"];
    calls_refused(
        &stage,
        "get_item",
        INVALID,
        &values.map(|it| json!({"id": it})),
    );
    // Two of them at the start are another host to some.
    for door in Door::ALL {
        let expected = match door {
            Door::Proxy => NOT_CANONICAL,
            Door::Tunnel => MALFORMED,
        };
        stage.refuses(door, &door.get("//v1/items/1"), expected);
    }
    for door in Door::ALL {
        stage.serves(door, &door.get("/v1/items/1"));
    }
}

#[test]
fn e2_a_dot_segment_is_one_in_any_encoding() {
    gets_refused(
        &Stage::usual(),
        NOT_CANONICAL,
        &[
            "/v1/items/%2e%2e/admin",
            "/v1/items/%2E%2E/admin",
            "/v1/items/.%2e/x",
            "/v1/items/%2e./x",
            "/v1/items/%2E",
            "/v1/items/%2e%2e",
            "/.%2e/v1/items/1",
            "/%2E./v1/items/1",
            "/%2e/v1/items/1",
            "/v1/items/%2e%2e%3b/admin",
            "/v1/items/..%3Bx/admin",
        ],
    );
}

#[test]
fn e3_an_encoded_slash_is_no_character_of_a_segment() {
    let stage = Stage::usual();
    gets_refused(
        &stage,
        NOT_CANONICAL,
        &[
            "/v1/items/..%2fadmin",
            "/v1/items/a%2fb",
            "/v1/items/a%2Fb",
            "/v1/items/%2f",
            "/v1%2fitems/1",
            "/%2fv1/items/1",
            "/v1/items%2F1",
            "/v1/items/%2fadmin",
            "/v1/items/%2e%2e%2fadmin",
        ],
    );
    // Decoded once: what is left of these is text, and not what an id is made of.
    gets_refused(
        &stage,
        INVALID,
        &[
            "/v1/items/a%252fb",
            "/v1/items/%252e%252e",
            "/v1/items/%25252f",
            "/v1/items/%EF%BC%8Fadmin",
            "/v1/items/%E2%88%95admin",
            "/v1/items/%EF%BC%8E%EF%BC%8E",
            "/v1/items/%E2%80%A4%E2%80%A4",
        ],
    );
}

/// Text that is not an id, in a place that takes any: what leaves is encoded again, and still one segment.
#[test]
fn e3_what_is_text_after_one_decoding_leaves_as_the_same_text() {
    let stage = stage_with(
        "  get_note:\n    description: Returns a note by its name.\n    method: GET\n    \
         url: https://api.good.test/notes/{{name}}\n    parameters:\n      \
         properties: {name: {type: string}}\n      required: [name]\n",
    );
    for door in Door::ALL {
        for (sent, canonical) in [
            ("a%252fb", "a%252fb"),
            ("%252e%252e", "%252e%252e"),
            ("%25%32%65", "%252e"),
            ("...", "..."),
            ("a;b=c", "a%3Bb%3Dc"),
            ("a..", "a.."),
            ("%EF%BC%8E%EF%BC%8E", "%EF%BC%8E%EF%BC%8E"),
            ("a+b", "a%2Bb"),
            ("%61", "a"),
            ("a%3Fb%23c", "a%3Fb%23c"),
            ("@evil.test:80", "%40evil.test%3A80"),
            ("'", "%27"),
        ] {
            let (seen, _) = stage.serves(door, &door.get(&format!("/notes/{sent}")));
            let line = format!("GET /notes/{canonical} HTTP/1.1");
            assert_eq!(seen.line(), line, "{sent}");
        }
    }
}

#[test]
fn e5_a_backslash_is_no_slash_and_no_character() {
    let stage = Stage::usual();
    gets_refused(
        &stage,
        NOT_CANONICAL,
        &[
            "/v1/items/..%5cadmin",
            "/v1/items/..%5Cadmin",
            "/v1/items/a%5cb",
            "/v1/items/%5c",
            "/v1%5citems%5c1",
            r"/v1/items\admin",
            r"/v1/items/..\admin",
            r"/v1\items\1",
            r"/\evil.test/v1/items/1",
        ],
    );
    let values = [r"..\admin", r"a\b", "\\"];
    calls_refused(
        &stage,
        "get_item",
        INVALID,
        &values.map(|it| json!({"id": it})),
    );
}

#[test]
fn e8_no_control_character_in_a_path_however_it_is_written() {
    let stage = Stage::usual();
    gets_refused(
        &stage,
        NOT_CANONICAL,
        &[
            "/v1/items/1%00",
            "/v1/items/%00",
            "/v1/items/1%00.json",
            "/v1/items/%0d%0aX:1",
            "/v1/items/1%0a",
            "/v1/items/1%0d",
            "/v1/items/1%09",
            "/v1/items/1%1b",
            "/v1/items/1%7f",
            "/v1/items/1%7F",
            "/v1/items/1%C2%80",
            "/v1/items/1%C2%85",
            "/v1/items/1%C2%9F",
            "/v1/items/1?fields=na%00me",
            "/v1/items/1?fi%0aelds=name",
        ],
    );
    for door in Door::ALL {
        for odd in [
            &b"\x7f"[..],
            b"\x80",
            b"\xff",
            b"\0",
            b"\x01",
            b"\t",
            b"\x0b",
            b"\r",
            b"\xc3\xa9",
            b"\xef\xbc\x8f",
            b"\xe2\x80\xae",
        ] {
            let text = String::from_utf8(door.get("/v1/items/1!")).unwrap();
            let (before, after) = text.split_once('!').unwrap();
            let sent = [before.as_bytes(), odd, after.as_bytes()].concat();
            stage.refuses_and_closes(door, &sent, MALFORMED);
        }
    }
    // No text of JSON holds a zero, so MCP does not get as far as the parameter.
    call_refused(
        &stage,
        "get_item",
        INVALID,
        br#"{"parameters":{"id":"1\u0000"}}"#,
    );
    let values = ["1\n", "1\r\nX: y", "1\t", "1\u{7f}", "1\u{85}"];
    calls_refused(
        &stage,
        "get_item",
        INVALID,
        &values.map(|it| json!({"id": it})),
    );
}

#[test]
fn e9_a_path_has_its_own_case() {
    gets_refused(
        &Stage::usual(),
        UNDECLARED_ACTION,
        &[
            "/V1/Items/1",
            "/V1/items/1",
            "/v1/Items/1",
            "/v1/ITEMS/1",
            "/%561/items/1",
            "/v1/%49tems/1",
            "/v1/%C4%B1tems/1",
            "/v1/item%C5%BF/1",
        ],
    );
}

#[test]
fn e12_a_percent_sign_begins_two_hexadecimal_digits() {
    gets_refused(
        &Stage::usual(),
        NOT_CANONICAL,
        &[
            "/v1/items/%zz",
            "/v1/items/%",
            "/v1/items/%4",
            "/v1/items/1%",
            "/v1/items/%u002e",
            "/v1/items/%U002e",
            "/v1/items/%+1",
            "/v1/items/%-1",
            "/v1/items/%%32%65",
            "/v1/items/%2",
            "/v1/items/%2/x",
            "/v1/items/%0x2e",
            "/v1/items/%g0",
            "/%/items/1",
            "/v1/items/1?fields=%",
            "/v1/items/1?fields=%zz",
            "/v1/items/1?%=name",
            "/v1/items/1?fields=nam%u0065",
        ],
    );
}

#[test]
fn e13_what_is_decoded_is_utf8_in_its_shortest_form() {
    let stage = Stage::usual();
    gets_refused(
        &stage,
        NOT_CANONICAL,
        &[
            "/v1/items/%c0%ae%c0%ae/",
            "/v1/items/%c0%ae%c0%ae/admin",
            "/v1/items/%e0%80%ae",
            "/v1/items/%f0%80%80%ae",
            "/v1/items/%c0%af",
            "/v1/items/%c1%9c",
            "/v1/items/%e0%80%af",
            "/v1/items/%c0%80",
            "/v1/items/%ed%a0%80",
            "/v1/items/%ed%a0%bd%ed%b8%80",
            "/v1/items/%f4%90%80%80",
            "/v1/items/%f8%88%80%80%ae",
            "/v1/items/%fe%ff",
            "/v1/items/%80",
            "/v1/items/%c3",
            "/v1/items/%e9",
            "/v1/items/%ff",
            "/v1/items/1?fields=%c0%ae",
            "/v1/items/1?%ff=name",
        ],
    );
}

/// Nothing is normalised: two spellings of a letter are two values, and each leaves as it came.
#[test]
fn e13_composed_and_decomposed_letters_are_different_values() {
    let stage = stage_with(
        "  find:\n    description: Finds a word among the two.\n    method: GET\n    \
         url: https://api.good.test/words/{{word}}\n    parameters:\n      \
         properties: {word: {type: string, enum: [\"caf\\u00e9\"]}}\n      required: [word]\n",
    );
    gets_same(
        &stage,
        "/words/caf%C3%A9",
        &["/words/caf%c3%a9", "/words/%63af%C3%a9"],
    );
    gets_refused(
        &stage,
        INVALID,
        &[
            "/words/cafe%CC%81",
            "/words/cafe",
            "/words/caf%C3%A8",
            "/words/CAF%C3%89",
            "/words/%EF%BD%83af%C3%A9",
            "/words/caf%C3%A9%E2%80%8B",
            "/words/%EF%BB%BFcaf%C3%A9",
        ],
    );
    let values = ["cafe\u{301}", "CAFÉ", "café\u{200b}", "\u{feff}café"];
    calls_refused(
        &stage,
        "find",
        INVALID,
        &values.map(|it| json!({"word": it})),
    );
}

#[test]
fn e14_a_fragment_does_not_travel_and_its_encoding_is_text() {
    let stage = Stage::usual();
    for door in Door::ALL {
        for path in [
            "/v1/items/1#/../admin",
            "/v1/items/1#",
            "/v1/items/1?fields=name#x",
            "/v1/items/#1",
            "/#/v1/items/1",
        ] {
            stage.refuses_and_closes(door, &door.get(path), MALFORMED);
        }
    }
    gets_refused(
        &stage,
        INVALID,
        &[
            "/v1/items/1%23x",
            "/v1/items/1%23",
            "/v1/items/%231",
            "/v1/items/1%3fadmin=1",
            "/v1/items/1%3Ffields=name",
            "/v1/items/1%26x",
            "/v1/items/1%3d",
        ],
    );
    let values = ["1#x", "1?admin=1", "1&x=y", "1=2"];
    calls_refused(
        &stage,
        "get_item",
        INVALID,
        &values.map(|it| json!({"id": it})),
    );
}

/// The row's `-` is what the pattern of the row takes.
#[test]
fn e15_a_pattern_is_anchored_and_has_one_line() {
    let stage = Stage::usual();
    let long = format!("/v1/items/{}", "a".repeat(65));
    let longer = format!("/v1/items/{}", "a".repeat(15_000));
    gets_refused(
        &stage,
        INVALID,
        &[
            "/v1/items/A",
            "/v1/items/aB",
            "/v1/items/a_b",
            "/v1/items/%2a",
            "/v1/items/%E2%85%B7",
            "/v1/items/%D9%A1",
            &long,
            &longer,
        ],
    );
    gets_refused(
        &stage,
        NOT_CANONICAL,
        &["/v1/items/a%0ab", "/v1/items/a%0a", "/v1/items/%0aa"],
    );
    gets_refused(
        &stage,
        UNDECLARED_ACTION,
        &["/v1/items/", "/v1/items", "/v1/items/1/"],
    );
    let values = [
        "",
        ".",
        "..",
        "A",
        "a b",
        "a\nb",
        "a\n",
        "\na",
        "a\r",
        "a\u{2028}",
        "a\u{85}b",
        "１",
        "é",
        " a",
        "a ",
        "\u{200b}",
    ];
    calls_refused(
        &stage,
        "get_item",
        INVALID,
        &values.map(|it| json!({"id": it})),
    );
    calls_refused(
        &stage,
        "get_item",
        INVALID,
        &[
            json!({"id": "a".repeat(65)}),
            json!({"id": 1}),
            json!({"id": ["a"]}),
        ],
    );
    for door in Door::ALL {
        stage.serves(door, &door.get("/v1/items/-"));
        stage.serves(door, &door.get(&long[..long.len() - 1]));
    }
}

#[test]
fn e16_an_id_has_no_suffix_that_some_file_systems_cut_off() {
    let stage = Stage::usual();
    gets_refused(
        &stage,
        INVALID,
        &[
            "/v1/items/1.json",
            "/v1/items/1.",
            "/v1/items/1...",
            "/v1/items/1%20",
            "/v1/items/%201",
            "/v1/items/1+",
            "/v1/items/1::$DATA",
            "/v1/items/1:a",
            "/v1/items/1;x=1",
            "/v1/items/1;jsessionid=a",
            "/v1/items/1,2",
            "/v1/items/1~1",
            "/v1/items/1%C2%A0",
            "/v1/items/1'",
            "/v1/items/(1)",
        ],
    );
    let values = ["1.json", "1 ", "1::$DATA", "1.", "1;x"];
    calls_refused(
        &stage,
        "get_item",
        INVALID,
        &values.map(|it| json!({"id": it})),
    );
}

#[test]
fn e44_head_is_no_get() {
    let stage = Stage::usual();
    for door in Door::ALL {
        for (method, path, lines) in [
            ("HEAD", "/v1/items/1", ""),
            ("HEAD", "/v1/items/1?fields=name", ""),
            ("HEAD", "/v1/items/1", "X-HTTP-Method-Override: GET\r\n"),
            ("HEAD", "/v1/stream", ""),
            ("DELETE", "/v1/items/1", "X-HTTP-Method: GET\r\n"),
            ("GET", "/v1/items", "X-HTTP-Method-Override: POST\r\n"),
            ("POST", "/v1/items/1", "X-Method-Override: GET\r\n"),
            ("PUT", "/v1/items", ""),
        ] {
            let sent = door.request(method, "api.good.test", path, lines, "");
            stage.refuses(door, &sent, UNDECLARED_ACTION);
        }
        for method in [
            "OPTIONS", "TRACE", "get", "Get", "head", "GETS", "PROPFIND", "M-SEARCH",
        ] {
            let sent = door.request(method, "api.good.test", "/v1/items/1", "", "");
            stage.refuses(door, &sent, (405, "method_refused"));
        }
    }
}
