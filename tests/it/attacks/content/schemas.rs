//! Schemas that would make a check slow, or reach for something outside.

use std::io::ErrorKind;
use std::net::TcpListener;

use exeat::policy;
use exeat::schema::Schema;
use serde_json::{Map, Value, json};

use super::{INVALID, calls_refused, stage_with};
use crate::attacks::stage::Door;

/// An action `find` with this schema for its parameters, as JSON.
fn with_schema(schema: &Value) -> String {
    format!(
        "  find:\n    description: Finds what fits a text.\n    method: POST\n    \
         url: https://api.good.test/find\n    parameters: {schema}\n"
    )
}

/// What `exeat check` would say of such a schema.
fn mistakes(schema: &Value) -> Vec<String> {
    let text = format!("version: 1\nactions:\n{}", with_schema(schema));
    let loaded = policy::from_texts(&[("p.yaml".into(), text.into_bytes())]);
    assert!(loaded.policy.is_none(), "{schema}");
    let problems = loaded.problems.sorted();
    problems.iter().map(|it| it.headline()).collect()
}

/// A backtracking engine takes longer than anybody lives for one of these.
#[test]
fn e40_a_pattern_takes_linear_time() {
    let a = "a".repeat(50_000) + "!";
    let ab = "ab".repeat(25_000) + "!";
    for (pattern, text) in [
        ("^(a+)+$", &a),
        ("^(a*)*$", &a),
        ("^(a|a)*$", &a),
        ("^(a|aa)+$", &a),
        ("^(.*a){20}$", &a),
        ("^([a-z]+)*$", &a),
        ("(a*)*b", &a),
        ("^(([a-z])+.)+[A-Z]([a-z])+$", &a),
        ("^(ab|a|b)*$", &ab),
        ("^a*a*a*a*a*a*$", &a),
    ] {
        let schema = json!({"properties": {"text": {"type": "string", "pattern": pattern}}});
        let stage = stage_with(&with_schema(&schema));
        let body = json!({ "text": text }).to_string();
        for door in Door::ALL {
            let lines = format!(
                "Content-Type: application/json\r\nContent-Length: {}\r\n",
                body.len()
            );
            let sent = door.request("POST", "api.good.test", "/find", &lines, &body);
            stage.refuses(door, &sent, INVALID);
        }
        calls_refused(&stage, "find", INVALID, &[json!({ "text": text })]);
    }
}

/// So do formats, and what looks at every member or item.
#[test]
fn e40_no_keyword_takes_more_time_than_its_text_is_long() {
    let formats = [
        "date",
        "date-time",
        "time",
        "email",
        "uri",
        "uuid",
        "ipv4",
        "ipv6",
        "hostname",
        "phone",
    ];
    for piece in [
        "a", "a.", "a@", "-", "1", "::", "\"", "%41", "xn--", "é", "0000-",
    ] {
        let text = json!(piece.repeat(100_000));
        for format in formats {
            let schema = Schema::compile(&json!({ "format": format })).unwrap();
            assert!(schema.check(&text).is_err(), "{format} {piece}");
        }
    }
    let many = 0..50_000;
    let items: Value = many.clone().map(|it| json!([it])).collect();
    let members: Map<String, Value> = many.map(|it| (format!("k{it}"), json!(it))).collect();
    let members = Value::Object(members);
    for (schema, value) in [
        (
            json!({"type": "array", "items": true, "uniqueItems": true}),
            &items,
        ),
        (
            json!({"type": "array", "items": true, "contains": {"const": [49_999]}}),
            &items,
        ),
        (
            json!({"patternProperties": {"^k": true, "[0-9]$": true}}),
            &members,
        ),
        (
            json!({"allOf": [{"patternProperties": {"9$": true}}], "unevaluatedProperties": true}),
            &members,
        ),
    ] {
        let compiled = Schema::compile(&schema).unwrap();
        assert!(compiled.check(value).is_ok(), "{schema}");
    }
}

/// Some more work than that is refused when the policy is read.
#[test]
fn e40_a_pattern_that_cannot_be_linear_or_small_is_a_mistake() {
    for pattern in [
        "(?=a)b",
        "(?!a)b",
        "(?<=a)b",
        "(?<!a)b",
        r"(a)\1",
        r"(?<x>a)\k<x>",
        "(?>a+)b",
        "(((a{1,100}){1,100}){1,100}){1,100}",
        "(a{1000}){1000}",
        "[",
        "(",
        &"(".repeat(5_000),
    ] {
        for schema in [
            json!({"properties": {"text": {"pattern": pattern}}}),
            json!({"properties": {"text": {"type": "object", "patternProperties": {pattern: true}}}}),
            json!({"properties": {"text": {"propertyNames": {"pattern": pattern}}}}),
        ] {
            assert!(!mistakes(&schema).is_empty(), "{schema}");
        }
    }
}

#[test]
fn e41_a_reference_leads_into_its_own_schema_or_the_policy_is_not_loaded() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let here = format!("http://{}/x", listener.local_addr().unwrap());
    for to in [
        "http://169.254.169.254/x",
        "https://evil.test/schema.json",
        "HTTP://169.254.169.254/x#/a",
        "file:///etc/passwd",
        "file:/etc/passwd",
        "FILE:///etc/passwd",
        "//169.254.169.254/x",
        "/etc/passwd",
        "../../../etc/passwd",
        "other.json",
        "other.json#/$defs/a",
        "p.yaml",
        "?x",
        "ftp://evil.test/x",
        "data:application/json,{}",
        "urn:uuid:00000000-0000-0000-0000-000000000000",
        "json-schema:///",
        "https://json-schema.org/draft/2020-12/schema",
        "http://json-schema.org/draft-07/schema#",
        "javascript:alert(1)",
        "\\\\evil.test\\x",
        " #/$defs/a",
        "#/$defs/missing",
        "#missing",
        "##",
        "#/%zz",
        &here,
    ] {
        for schema in [
            json!({"properties": {"x": {"$ref": to}}}),
            json!({"properties": {"x": {"type": "array", "items": {"$ref": to}}}}),
            json!({"properties": {"x": {"anyOf": [{"type": "string"}, {"$ref": to}]}}}),
            json!({"properties": {}, "$defs": {"unused": {"$ref": to}}}),
            json!({"properties": {}, "not": {"$ref": to}}),
            json!({"properties": {"x": {"contentSchema": {"$ref": to}}}}),
            json!({"$ref": to}),
        ] {
            assert!(!mistakes(&schema).is_empty(), "{schema}");
        }
    }
    for schema in [
        json!({"$schema": here, "properties": {}}),
        json!({"$schema": "https://evil.test/dialect", "properties": {}}),
        json!({"$id": here, "properties": {"x": {"$ref": "y"}}}),
        json!({"properties": {"x": {"$id": here, "$ref": "y#/a"}}}),
        json!({"properties": {"x": {"$id": here, "$ref": "#/$defs/a"}}, "$defs": {"a": {"type": "string"}}}),
        json!({"properties": {"x": {"$dynamicRef": "#a"}}, "$defs": {"a": {"$dynamicAnchor": "a"}}}),
        json!({"$dynamicAnchor": "a", "properties": {"x": {"$dynamicRef": "#a"}}}),
        json!({"$schema": "https://json-schema.org/draft/2019-09/schema",
            "$recursiveAnchor": true, "properties": {"x": {"$recursiveRef": "#"}}}),
        json!({"$vocabulary": {here.clone(): true}, "properties": {}}),
        // Circles.
        json!({"$ref": "#"}),
        json!({"properties": {"x": {"$ref": "#/properties/x"}}}),
        json!({"properties": {"x": {"$ref": "#/properties/y"}, "y": {"$ref": "#/properties/x"}}}),
        json!({"properties": {"x": {"$ref": "#/$defs/a"}}, "$defs": {"a": {"allOf": [{"$ref": "#/$defs/a"}]}}}),
        json!({"properties": {"x": {"$ref": "#/$defs/a"}},
            "$defs": {"a": {"anyOf": [{"not": {"$ref": "#/$defs/b"}}]}, "b": {"if": {"$ref": "#/$defs/a"}, "then": true}}}),
    ] {
        assert!(!mistakes(&schema).is_empty(), "{schema}");
    }
    let asked = listener.accept().map(|_| ()).map_err(|it| it.kind());
    assert_eq!(
        asked,
        Err(ErrorKind::WouldBlock),
        "somebody followed a reference"
    );
}

/// What a server is told to fetch. The names that it may say are for the schema to list: a pattern with the whole
/// beginning of a URL up to the slash behind its host, or the URLs themselves.
#[test]
fn e47_a_url_in_a_parameter_is_held_to_what_its_schema_lists() {
    let schema = json!({"properties": {
        "callback": {"type": "string", "format": "uri", "pattern": r"^https://hooks\.good\.test/[a-z0-9/-]*$"},
        "mirror": {"enum": ["https://a.good.test/", "https://b.good.test/"]},
    }});
    let stage = stage_with(&with_schema(&schema));
    let hostile = [
        "http://169.254.169.254/",
        "http://hooks.good.test/x",
        "https://hooks.good.test",
        "https://hooks.good.test.evil.test/x",
        "https://hooks.good.test@evil.test/x",
        "https://hooks.good.test:x@evil.test/",
        "https://hooks.good.test:8443/x",
        "https://evil.test/https://hooks.good.test/x",
        "https://evil.test#https://hooks.good.test/",
        "https://hooksxgood.test/x",
        "https://HOOKS.good.test/x",
        "https://hooks.good.test./x",
        r"https://hooks.good.test\@evil.test/x",
        "https://hooks.good.test/x?u=http://169.254.169.254/",
        "https://hooks.good.test/../x",
        "https://hooks.good.test/x\nhttps://evil.test/",
        " https://hooks.good.test/x",
        "//hooks.good.test/x",
        "file:///etc/passwd",
        "gopher://hooks.good.test/",
        "https://hooks。good。test/x",
        "https://[::1]/",
        "https://2130706433/",
    ];
    for url in hostile {
        for name in ["callback", "mirror"] {
            let body = json!({ name: url }).to_string();
            for door in Door::ALL {
                let lines = format!(
                    "Content-Type: application/json\r\nContent-Length: {}\r\n",
                    body.len()
                );
                let sent = door.request("POST", "api.good.test", "/find", &lines, &body);
                stage.refuses(door, &sent, INVALID);
            }
        }
    }
    let values = hostile.map(|url| json!({ "callback": url }));
    calls_refused(&stage, "find", INVALID, &values);
    let body = r#"{"callback":"https://hooks.good.test/a/b-1","mirror":"https://b.good.test/"}"#;
    for door in Door::ALL {
        let lines = format!(
            "Content-Type: application/json\r\nContent-Length: {}\r\n",
            body.len()
        );
        let sent = door.request("POST", "api.good.test", "/find", &lines, body);
        assert_eq!(stage.serves(door, &sent).0.text(), body);
    }
}
