//! Schemas, and what they say of instances.

use proptest::prelude::*;
use serde_json::Value;
use serde_json::json;

use super::ScalarType;
use super::Schema;
use super::Shape;
use super::Violation;
use super::ViolationKind;

fn compiled(source: &Value) -> Schema {
    Schema::compile(source).unwrap_or_else(|problems| panic!("{source}: {problems:?}"))
}

fn refused(source: &Value, value: &Value) -> Violation {
    match compiled(source).check(value) {
        Err(violation) => violation,
        Ok(()) => panic!("{source} lets {value} pass"),
    }
}

/// Instances that must pass, and instances with the pointer of the property that is undeclared.
fn check_closed(source: &Value, passing: &[Value], undeclared: &[(Value, &str)]) {
    let schema = compiled(source);
    for value in passing {
        assert_eq!(schema.check(value), Ok(()), "{source} on {value}");
    }
    for (value, pointer) in undeclared {
        let found = schema.check(value).map_err(|it| (it.pointer, it.kind));
        let Err((at, ViolationKind::Undeclared { .. })) = &found else {
            panic!("{source} on {value}: {found:?}");
        };
        assert_eq!(at, pointer, "{source} on {value}");
    }
}

/// The example of conditional enumerations that policy authors start from.
fn categories() -> Value {
    json!({
        "type": "object",
        "properties": {
            "category": {"type": "string", "enum": ["billing", "technical"]},
            "sub_category": {"type": "string"}
        },
        "required": ["category", "sub_category"],
        "allOf": [
            {"if": {"properties": {"category": {"const": "billing"}}},
             "then": {"properties": {"sub_category": {"enum": ["invoice_dispute", "payment_failed"]}}}},
            {"if": {"properties": {"category": {"const": "technical"}}},
             "then": {"properties": {"sub_category": {"enum": ["login_issue", "bug_report"]}}}}
        ]
    })
}

/// A source of one keyword more or less each, most of them plain.
fn plain_sources() -> impl Strategy<Value = Value> {
    let property = prop_oneof![
        (any::<Option<u8>>(), any::<Option<u8>>()).prop_map(|(least, most)| {
            let limits = [("minLength", least), ("maxLength", most)];
            let limits = limits
                .into_iter()
                .filter_map(|(it, at)| Some((it, json!(at? % 6))));
            limits.chain([("type", json!("string"))]).collect::<Value>()
        }),
        (any::<Option<i8>>(), any::<Option<i8>>()).prop_map(|(least, most)| {
            let limits = [("minimum", least), ("maximum", most)];
            let limits = limits
                .into_iter()
                .filter_map(|(it, at)| Some((it, json!(at? % 4))));
            limits
                .chain([("type", json!("integer"))])
                .collect::<Value>()
        }),
        Just(json!({"type": "string", "enum": ["a", "é", ""]})),
        Just(json!({"type": "number", "description": "any"})),
        Just(json!({"type": "boolean", "default": true})),
        Just(json!({"type": "number", "minimum": 0.5})),
        Just(json!({"type": ["string", "null"]})),
        Just(json!({"type": "string", "pattern": "^a"})),
        Just(json!({"type": "array", "items": {"type": "integer"}})),
        Just(json!({"type": "object", "properties": {"a": {"type": "string"}}})),
    ];
    let required = prop::sample::subsequence(vec!["a", "b"], 0..=2);
    let beside = prop_oneof![
        4 => Just(json!({})),
        1 => Just(json!({"type": "object", "additionalProperties": false, "title": "Some"})),
        1 => Just(json!({"additionalProperties": true})),
        1 => Just(json!({"minProperties": 2})),
        1 => Just(json!({"$schema": "http://json-schema.org/draft-07/schema#"})),
    ];
    let properties = prop::collection::btree_map("[a-c]", property, 2..4);
    (properties, required, beside).prop_map(|(mut properties, required, mut source)| {
        for name in ["a", "b"] {
            let any = || json!({"type": "string"});
            properties.entry(name.to_owned()).or_insert_with(any);
        }
        source["properties"] = json!(properties);
        source["required"] = json!(required);
        source
    })
}

fn plain_instances() -> impl Strategy<Value = Value> {
    let value = prop_oneof![
        "[ab\u{e9}\u{1f600}]{0,7}".prop_map(Value::from),
        (-5_i64..5).prop_map(Value::from),
        prop::sample::select(vec![1.0, -0.0, 0.5, 1e300]).prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
        Just(json!([1])),
        Just(json!({"a": "a"})),
        Just(json!({"b": "a"})),
    ];
    let members = prop::collection::btree_map("[a-dA]", value, 0..4);
    members.prop_map(|members| json!(members))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn what_is_seen_to_pass_is_what_the_validator_accepts(source in plain_sources(), value in plain_instances()) {
        let schema = compiled(&source);
        if schema.is_seen_to_pass(&value) {
            prop_assert_eq!(schema.judge(&value), Ok(()), "{} on {}", source, value);
        }
        prop_assert_eq!(schema.check(&value), schema.judge(&value));
    }
}

#[test]
fn plain_parameters_are_seen_to_pass() {
    let schema = compiled(&json!({
        "type": "object",
        "properties": {
            "size": {"type": "string", "enum": ["1k", "64k"]},
            "lang": {"type": "string", "maxLength": 2, "minLength": 1},
            "page": {"type": "integer", "minimum": 1},
            "rate": {"type": "number", "default": 1},
            "all": {"type": "boolean", "description": "More."},
        },
        "required": ["size"],
    }));
    for (value, expected) in [
        (
            json!({"size": "1k", "lang": "\u{1f600}", "page": 1, "rate": 0.5, "all": true}),
            true,
        ),
        (json!({"all": false, "size": "64k"}), true),
        (json!({"size": "2k"}), false),
        (json!({"lang": "en"}), false),
        (json!({"size": "1k", "lang": ""}), false),
        (json!({"size": "1k", "lang": "eng"}), false),
        (json!({"size": "1k", "page": 0}), false),
        (json!({"size": "1k", "page": "1"}), false),
        (json!({"size": "1k", "more": 1}), false),
        (json!({"size": "1k", "Size": "1k"}), false),
    ] {
        assert_eq!(schema.is_seen_to_pass(&value), expected, "{value}");
        assert_eq!(schema.judge(&value).is_ok(), expected, "{value}");
    }
    // For this one, only the validator has the patience.
    let float = json!({"size": "1k", "page": 1.0});
    assert!(!schema.is_seen_to_pass(&float) && schema.check(&float).is_ok());
}

#[test]
fn values_that_depend_on_another_field_are_checked() {
    let billing = json!({"category": "billing", "sub_category": "payment_failed"});
    let mixed = json!({"category": "billing", "sub_category": "bug_report"});
    let more = json!({"category": "billing", "sub_category": "payment_failed", "x": 1});
    check_closed(&categories(), &[billing], &[(more, "/x")]);
    let violation = refused(&categories(), &mixed);
    assert_eq!(
        violation.message,
        "sub_category must be one of invoice_dispute, payment_failed"
    );
    assert_eq!(violation.allowed, ["invoice_dispute", "payment_failed"]);
    assert_eq!(
        (violation.kind, violation.pointer.as_str()),
        (ViolationKind::Invalid, "/sub_category")
    );
}

#[test]
fn objects_are_closed_at_every_depth() {
    let nested = json!({"properties": {
        "customer": {"type": "object", "properties": {"name": {"type": "string"}}},
        "lines": {"type": "array", "items": {"properties": {"sku": {}}}},
        "any": {}, "free": {"type": "object"}
    }});
    check_closed(
        &nested,
        &[
            json!({}),
            json!({"customer": {"name": "A"}, "lines": [{"sku": 1}], "any": [1], "free": {}}),
        ],
        &[
            (json!({"x": 1}), "/x"),
            (json!({"a/b": 1}), "/a~1b"),
            (json!({"customer": {"name": "A", "x": 1}}), "/customer/x"),
            (json!({"lines": [{"sku": 1}, {"x": 1}]}), "/lines/1/x"),
            (json!({"any": {"x": 1}}), "/any/x"),
            (json!({"any": [[{"x": 1}]]}), "/any/0/0/x"),
            (json!({"free": {"x": 1}}), "/free/x"),
            (json!({"lines": [{"sku": {"x": 1}}]}), "/lines/0/sku/x"),
        ],
    );
}

#[test]
fn an_object_may_choose_to_be_open() {
    let open = json!({"properties": {
        "meta": {"type": "object", "additionalProperties": true},
        "tags": {"additionalProperties": {"type": "string"}},
        "rest": {"properties": {"a": {}}, "unevaluatedProperties": {"properties": {"b": {}}}},
        "x": {"patternProperties": {"^x-": {"properties": {"c": {}}}}},
        "any": true, "anys": {"items": true}
    }});
    check_closed(
        &open,
        &[
            json!({"meta": {"a": {"b": [{"c": 1}]}}}),
            json!({"tags": {"a": "b"}}),
            json!({"rest": {"a": 1, "z": {"b": 1}}}),
            json!({"x": {"x-1": {"c": 1}}}),
            json!({"any": {"a": {"b": 1}}, "anys": [{"a": {"b": 1}}]}),
        ],
        &[
            (json!({"rest": {"a": {"b": 1}}}), "/rest/a/b"),
            (json!({"rest": {"z": {"c": 1}}}), "/rest/z/c"),
            (json!({"x": {"y": 1}}), "/x/y"),
            (json!({"x": {"x-1": {"d": 1}}}), "/x/x-1/d"),
            (json!({"y": 1}), "/y"),
        ],
    );
}

#[test]
fn a_property_described_in_several_places_is_declared_by_each() {
    let source = json!({
        "properties": {"kind": {"enum": ["a", "b"]}, "at": {"properties": {"x": {}}}},
        "allOf": [
            {"properties": {"at": {"properties": {"y": {}}}}},
            {"if": {"properties": {"kind": {"const": "a"}}, "required": ["kind"]},
             "then": {"properties": {"at": {"properties": {"z": {}}}, "only_a": {}}},
             "else": {"properties": {"only_else": {}}}}
        ]
    });
    check_closed(
        &source,
        &[
            json!({"kind": "a", "at": {"x": 1, "y": 1, "z": 1}, "only_a": 1}),
            json!({"kind": "b", "at": {"x": 1, "y": 1}, "only_else": 1}),
        ],
        &[
            (json!({"kind": "b", "at": {"x": 1, "z": 1}}), "/at/z"),
            (json!({"kind": "b", "only_a": 1}), "/only_a"),
            (json!({"kind": "a", "only_else": 1}), "/only_else"),
            (json!({"kind": "a", "at": {"w": 1}}), "/at/w"),
        ],
    );
}

#[test]
fn only_the_branches_that_fit_declare_properties() {
    let card = json!({"properties": {"by": {"const": "card"}, "number": {}}, "required": ["by"]});
    let bank = json!({"properties": {"by": {"const": "bank"}, "iban": {}}, "required": ["by"]});
    for keyword in ["anyOf", "oneOf"] {
        check_closed(
            &json!({"properties": {"pay": {keyword: [card, bank]}}}),
            &[
                json!({"pay": {"by": "card", "number": 1}}),
                json!({"pay": {"by": "bank", "iban": 1}}),
            ],
            &[
                (json!({"pay": {"by": "card", "iban": 1}}), "/pay/iban"),
                (json!({"pay": {"by": "card", "x": 1}}), "/pay/x"),
            ],
        );
    }
    check_closed(
        &json!({"properties": {"a": {}}, "dependentSchemas": {"a": {"properties": {"b": {}}}}}),
        &[json!({"a": 1, "b": 1})],
        &[(json!({"b": 1}), "/b")],
    );
    check_closed(
        &json!({"properties": {"a": {}}, "not": {"properties": {"b": {"type": "null"}}, "required": ["b"]}}),
        &[json!({"a": 1})],
        &[(json!({"b": 1}), "/b")],
    );
    check_closed(
        &json!({"properties": {"l": {"contains": {"properties": {"a": {}}, "required": ["a"]}}}}),
        &[json!({"l": [{"a": 1}, 2, {}]})],
        &[(json!({"l": [{"a": 1}, {"b": 1}]}), "/l/1/b")],
    );
}

#[test]
fn references_and_every_dialect_are_closed_too() {
    let tree = json!({
        "$defs": {"tree": {"$anchor": "t", "properties": {"kids": {"type": "array", "items": {"$ref": "#/$defs/tree"}}}}},
        "properties": {"root": {"$ref": "#t"}}
    });
    check_closed(
        &tree,
        &[json!({"root": {"kids": [{"kids": []}]}})],
        &[(
            json!({"root": {"kids": [{"kids": [{"x": 1}]}]}}),
            "/root/kids/0/kids/0/x",
        )],
    );
    check_closed(
        &json!({
            "$schema": "http://json-schema.org/draft-07/schema#",
            "definitions": {"a b": {"properties": {"x": {}}}},
            "properties": {
                "p": {"$ref": "#/definitions/a%20b", "description": "beside"},
                "l": {"items": [{"properties": {"a": {}}}], "additionalItems": {"properties": {"b": {}}}}
            },
            "dependencies": {"p": {"properties": {"q": {}}}, "l": ["p"]}
        }),
        &[
            json!({"p": {"x": 1}, "q": 1}),
            json!({"p": {}, "l": [{"a": 1}, {"b": 1}]}),
        ],
        &[
            (json!({"p": {"y": 1}}), "/p/y"),
            (json!({"q": 1}), "/q"),
            (json!({"p": {}, "l": [{"b": 1}]}), "/l/0/b"),
        ],
    );
    check_closed(
        &json!({
            "$schema": "https://json-schema.org/draft/2019-09/schema",
            "$id": "https://example.com/x",
            "properties": {"l": {"items": [true], "unevaluatedItems": {"properties": {"c": {}}}}}
        }),
        &[json!({"l": [{"z": 1}, {"c": 1}]})],
        &[(json!({"l": [1, {"d": 1}]}), "/l/1/d")],
    );
    check_closed(
        &json!({"properties": {"l": {"prefixItems": [{"properties": {"a": {}}}], "items": {"properties": {"b": {}}}}}}),
        &[json!({"l": [{"a": 1}, {"b": 1}]})],
        &[
            (json!({"l": [{"b": 1}]}), "/l/0/b"),
            (json!({"l": [{}, {"a": 1}]}), "/l/1/a"),
        ],
    );
}

#[test]
fn a_name_that_differs_in_case_only_is_refused_even_where_others_are_free() {
    for rest in [
        json!({"additionalProperties": true}),
        json!({"patternProperties": {"": true}}),
    ] {
        let mut source = json!({"properties": {"sku": {"maximum": 10}}});
        source
            .as_object_mut()
            .unwrap()
            .extend(rest.as_object().unwrap().clone());
        check_closed(
            &source,
            &[json!({"sku": 1, "other": 99})],
            &[
                (json!({"Sku": 99}), "/Sku"),
                (json!({"\u{17f}ku": 99}), "/\u{17f}ku"),
                (json!({"s\u{212a}u": 99}), "/s\u{212a}u"),
            ],
        );
    }
}

/// The first violation of each value: its pointer and its message.
fn check_messages(source: &Value, cases: &[(Value, &str, &str)]) {
    for (value, pointer, message) in cases {
        let violation = refused(source, value);
        let told = (violation.pointer.as_str(), violation.message.as_str());
        assert_eq!(told, (*pointer, *message), "{value}");
        assert!(!violation.message.contains("secret"));
    }
}

#[test]
fn a_violation_tells_a_model_what_to_change() {
    let source = json!({"type": "object", "properties": {
        "city": {"type": "string", "minLength": 2, "maxLength": 5},
        "note": {"type": "string", "minLength": 1},
        "units": {"enum": ["metric", "imperial"]},
        "qty": {"type": "integer", "minimum": 1, "maximum": 1000},
        "ratio": {"type": "number", "exclusiveMinimum": 0, "multipleOf": 0.5},
        "code": {"type": "string", "pattern": r"^\S+$"},
        "mail": {"format": "email"},
        "fixed": {"const": "v1"}
    }});
    let undeclared =
        "citty is not declared; declared are city, note, units, qty, ratio, code, mail, fixed";
    check_messages(
        &source,
        &[
            (json!([]), "", "the value must be an object"),
            (json!({"citty": "x", "qty": 0}), "/citty", undeclared),
            (json!({"note": ""}), "/note", "note must not be empty"),
            (
                json!({"city": "x"}),
                "/city",
                "city must have at least 2 characters",
            ),
            (
                json!({"city": "secret"}),
                "/city",
                "city must have at most 5 characters",
            ),
            (json!({"city": null}), "/city", "city must be a string"),
            (
                json!({"units": "secret"}),
                "/units",
                "units must be one of metric, imperial",
            ),
            (json!({"qty": 1001}), "/qty", "qty must be at most 1000"),
            (json!({"qty": 0}), "/qty", "qty must be at least 1"),
            (json!({"qty": "1"}), "/qty", "qty must be an integer"),
            (json!({"ratio": 0}), "/ratio", "ratio must be more than 0"),
            (
                json!({"ratio": 0.3}),
                "/ratio",
                "ratio must be a multiple of 0.5",
            ),
            (
                json!({"code": "a b"}),
                "/code",
                r"code must match the pattern ^\S+$",
            ),
            (
                json!({"mail": "secret"}),
                "/mail",
                "mail must be an email address",
            ),
            (json!({"fixed": "secret"}), "/fixed", "fixed must be v1"),
        ],
    );
}

#[test]
fn a_violation_names_the_place_inside_objects_and_arrays() {
    let source = json!({"properties": {
        "list": {"type": "array", "items": {"type": "boolean"}, "maxItems": 2, "uniqueItems": true},
        "id": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
        "deep": {"properties": {"a": {"items": {"properties": {"b": {"type": "null"}}}}}},
        "who": {
            "properties": {"mail": {}, "phone": {}},
            "anyOf": [{"required": ["mail"]}, {"required": ["phone"]}]
        },
        "free": {"additionalProperties": {"type": "string"}, "propertyNames": {"maxLength": 2}, "maxProperties": 1}
    }});
    check_messages(
        &source,
        &[
            (
                json!({"list": [true, 1]}),
                "/list/1",
                "list[1] must be true or false",
            ),
            (
                json!({"list": [true, false, true]}),
                "/list",
                "list must have at most 2 items",
            ),
            (
                json!({"list": [true, true]}),
                "/list",
                "list must not hold the same item twice",
            ),
            (
                json!({"id": []}),
                "/id",
                "id must be a string or an integer",
            ),
            (
                json!({"who": {}}),
                "/who/mail",
                "who.mail or who.phone is required",
            ),
            (
                json!({"deep": {"a": [{"b": 1}]}}),
                "/deep/a/0/b",
                "deep.a[0].b must be null",
            ),
            (
                json!({"free": {"a": "", "b": ""}}),
                "/free",
                "free must have at most 1 property",
            ),
            (
                json!({"free": {"a/b": 1}}),
                "/free/a~1b",
                "free.a/b must be a string",
            ),
            (
                json!({"free": {"secret": ""}}),
                "/free",
                "free has a property whose name must have at most 2 characters",
            ),
        ],
    );
}

#[test]
fn kinds_and_allowed_values_are_data() {
    let source = json!({
        "properties": {"city": {}, "n": {"enum": [1, 2.0, "x", null]}},
        "required": ["city"], "additionalProperties": false
    });
    let missing = refused(&source, &json!({}));
    assert_eq!(
        missing.kind,
        ViolationKind::Missing {
            property: "city".to_owned()
        }
    );
    let undeclared = refused(&source, &json!({"mode": "xml"}));
    assert_eq!(
        undeclared.kind,
        ViolationKind::Undeclared {
            property: "mode".to_owned()
        }
    );
    assert_eq!(undeclared.allowed, ["city", "n"]);
    assert_eq!(
        refused(&source, &json!({"city": 1, "n": 3})).allowed,
        ["1", "2", "x", "null"]
    );
    let long = refused(&source, &json!({"y".repeat(65): 1}));
    assert_eq!(
        long.kind,
        ViolationKind::Undeclared {
            property: "y".repeat(64)
        }
    );
    assert_eq!(long.pointer, "");
    let none = refused(&json!({"type": "object"}), &json!({"a\nb": 1}));
    assert_eq!(
        none.message,
        "a\u{fffd}b is not declared; no property is declared here"
    );
}

#[test]
fn a_branch_that_was_meant_explains_itself() {
    let source = json!({"oneOf": [
        {"properties": {"by": {"const": "card"}, "number": {"type": "string"}}, "required": ["by", "number"]},
        {"properties": {"by": {"const": "bank"}, "iban": {"type": "string"}}, "required": ["by", "iban"]}
    ]});
    assert_eq!(
        refused(&source, &json!({"by": "card"})).message,
        "number is required"
    );
    assert_eq!(
        refused(&source, &json!({"by": "cash", "iban": ""})).message,
        "by must be one of card, bank"
    );
}

#[test]
fn a_schema_is_shared_between_threads() {
    fn shared<T: Send + Sync>(_: &T) {}
    shared(&compiled(&categories()));
}

#[test]
fn formats_are_asserted_in_every_dialect() {
    let cases = [
        ("date", "2026-02-28", "2026-02-30"),
        ("date-time", "2026-01-31T09:30:00Z", "2026-01-31 09:30"),
        ("time", "09:30:00Z", "9:30"),
        ("email", "a@example.com", "A <a@example.com>"),
        ("uri", "https://example.com/a", "/a"),
        (
            "uuid",
            "123e4567-e89b-12d3-a456-426614174000",
            "123e4567e89b12d3a456426614174000",
        ),
        ("ipv4", "192.0.2.1", "192.0.2.01"),
        ("ipv6", "2001:db8::1", "2001:db8::1%eth0"),
        ("hostname", "example.com", "exa mple.com"),
        ("phone", "+49 (30) 123.456-7", "1234"),
        ("phone", "12345", "12345x"),
    ];
    for dialect in [
        "http://json-schema.org/draft-07/schema#",
        "https://json-schema.org/draft/2020-12/schema",
    ] {
        for (format, good, bad) in cases {
            let schema = compiled(&json!({"$schema": dialect, "format": format}));
            assert!(schema.check(&json!(good)).is_ok(), "{format} {good}");
            assert!(schema.check(&json!(bad)).is_err(), "{format} {bad}");
        }
    }
}

#[test]
fn patterns_are_ascii_and_linear() {
    let cases = [
        (r"^\d+$", "12", "\u{663}"),
        (r"^\w+$", "az_9", "é"),
        (r"^\s$", "\t", "\u{a0}"),
        (r"^[\s]$", " ", "\u{2028}"),
        (r"^\S+$", "a\u{a0}b", "a b"),
        (r"^[\S]+$", "a\u{2003}\u{10ffff}", "a\u{b}"),
        (r"^[a-z]{1,3}$", "abc", "abc\n"),
        (r"^[\p{L} ]{1,200}$", "Zoë", "1"),
    ];
    for (pattern, good, bad) in cases {
        let schema = compiled(&json!({"pattern": pattern}));
        assert!(schema.check(&json!(good)).is_ok(), "{pattern} {good:?}");
        assert!(schema.check(&json!(bad)).is_err(), "{pattern} {bad:?}");
    }
    // A backtracking engine never returns from this one.
    let greedy = compiled(&json!({"pattern": "^(a+)+$"}));
    assert!(greedy.check(&json!("a".repeat(50_000) + "!")).is_err());
}

#[test]
fn all_mistakes_of_a_schema_are_told_at_once() {
    let source = json!({
        "type": "objekt",
        "propertes": {},
        "properties": {
            "a": {"format": "datum"},
            "b": {"pattern": "(?=x)"},
            "c": {"pattern": "(a{1000}){1000}"},
            "d": {"$ref": "http://169.254.169.254/x"},
            "e": {"$ref": "file:///etc/passwd"},
            "f": "string",
            "g": {"$dynamicRef": "#x"},
            "h": {"type": "string", "nullable": true},
            "i": {"then": {"maxLength": 1}},
            "j": {"maxLength": -1},
            "k": {"$id": "https://example.com/k"},
            "l": {"pattern": r"[\s-x]"},
            "m/n": {"minLenght": 1}
        }
    });
    let problems = Schema::compile(&source).unwrap_err();
    let mut found: Vec<&str> = problems.iter().map(|it| it.pointer.as_str()).collect();
    found.sort_unstable();
    let expected = [
        "/propertes",
        "/properties/a/format",
        "/properties/b/pattern",
        "/properties/c/pattern",
        "/properties/d/$ref",
        "/properties/e/$ref",
        "/properties/f",
        "/properties/g/$dynamicRef",
        "/properties/h/nullable",
        "/properties/i/then",
        "/properties/j/maxLength",
        "/properties/k/$id",
        "/properties/l/pattern",
        "/properties/m~1n/minLenght",
        "/type",
    ];
    assert_eq!(found, expected);
    let typo = problems
        .iter()
        .find(|it| it.pointer == "/propertes")
        .unwrap();
    assert_eq!(typo.message, "propertes is not a keyword of JSON Schema");
    assert_eq!(typo.remedy, "did you mean \"properties\"?");
    let kind = problems.iter().find(|it| it.pointer == "/type").unwrap();
    assert!(
        kind.message.starts_with("type must be one of"),
        "{}",
        kind.message
    );
}

/// Sources with the pointer of their first mistake.
fn check_mistakes(cases: &[(Value, &str)]) {
    for (source, pointer) in cases {
        let problems = Schema::compile(source).expect_err(&source.to_string());
        assert_eq!(problems[0].pointer, *pointer, "{source}: {problems:?}");
    }
}

#[test]
fn references_that_lead_nowhere_or_in_a_circle_are_mistakes() {
    let through_all_of =
        json!({"a": {"$ref": "#/$defs/b"}, "b": {"allOf": [{"$ref": "#/$defs/a"}]}});
    check_mistakes(&[
        (json!({"$ref": "#"}), "/$ref"),
        (json!({"$ref": "#/$defs/x"}), "/$ref"),
        (json!({"$ref": "##", "$defs": {}}), "/$ref"),
        (
            json!({"$ref": "#/properties", "properties": {"a": {}}}),
            "/$ref",
        ),
        (json!({"$ref": "#nowhere"}), "/$ref"),
        (json!({"$defs": through_all_of}), "/$defs/a/$ref"),
        (
            json!({"$defs": {"a": {"not": {"$ref": "#/$defs/a"}}}}),
            "/$defs/a/not/$ref",
        ),
        (
            json!({"$defs": {"a": {"if": {"$ref": "#/$defs/a"}}}}),
            "/$defs/a/if/$ref",
        ),
        (
            json!({"$defs": {"a": {"$anchor": "x"}, "b": {"$anchor": "x"}}}),
            "/$defs/b/$anchor",
        ),
    ]);
}

#[test]
fn what_a_dialect_does_not_know_is_a_mistake() {
    let draft_7 = "http://json-schema.org/draft-07/schema#";
    let draft_2019 = "https://json-schema.org/draft/2019-09/schema";
    let beside = json!({"$ref": "#/definitions/a", "maxLength": 1});
    check_mistakes(&[
        (
            json!({"$schema": draft_2019, "$recursiveRef": "#"}),
            "/$recursiveRef",
        ),
        (
            json!({"$schema": "http://json-schema.org/draft-04/schema#"}),
            "/$schema",
        ),
        (json!({"$schema": "https://example.com/mine"}), "/$schema"),
        (json!({"$schema": 7}), "/$schema"),
        (
            json!({"$schema": draft_7, "definitions": {"a": {}}, "properties": {"p": beside}}),
            "/properties/p/maxLength",
        ),
        (
            json!({"$schema": draft_7, "unevaluatedProperties": false}),
            "/unevaluatedProperties",
        ),
        (json!({"dependencies": {}}), "/dependencies"),
        (json!([]), ""),
        (json!("string"), ""),
    ]);
}

#[test]
fn a_schema_that_refuses_every_call_is_a_mistake() {
    check_mistakes(&[
        (
            json!({"properties": {"a": {"type": "integer", "default": "x"}}}),
            "/properties/a/default",
        ),
        (
            json!({"properties": {"city": {}}, "required": ["citty"]}),
            "/required",
        ),
        (
            json!({"allOf": [{"required": ["city"]}]}),
            "/allOf/0/required",
        ),
    ]);
}

#[test]
fn words_in_data_are_not_keywords() {
    let source = json!({"properties": {
        "nullable": {"const": {"$ref": "http://example.com", "format": "x"}},
        "format": {"default": {"typ": 1}, "examples": [{"pattern": "("}], "additionalProperties": true}
    }});
    compiled(&source);
}

#[test]
fn parameters_and_required_alone_read_as_an_object() {
    let source = json!({"parameters": {"city": {"type": "string"}}, "required": ["city"]});
    let schema = compiled(&source);
    assert!(schema.check(&json!({"city": "Paris"})).is_ok());
    assert_eq!(refused(&source, &json!({})).message, "city is required");
    let more = json!({"parameters": {}, "required": [], "type": "object"});
    assert_eq!(
        Schema::compile(&more).unwrap_err()[0].pointer,
        "/parameters"
    );
    let wrong = json!({"parameters": {"city": {"typ": "string"}}, "required": []});
    assert_eq!(
        Schema::compile(&wrong).unwrap_err()[0].pointer,
        "/parameters/city/typ"
    );
}

#[test]
fn properties_keep_their_order_and_tell_their_shape() {
    let schema = compiled(&json!({
        "$defs": {"n": {"type": "integer", "default": 3}},
        "properties": {
            "z": {"type": "string"}, "n": {"$ref": "#/$defs/n"}, "f": {"type": ["number"]}, "b": {"type": "boolean"},
            "e": {"enum": ["a", "b"]}, "c": {"const": "x"}, "m": {"enum": ["a", 1]},
            "l": {"type": "array", "items": {"type": "integer"}}, "p": {"type": "array", "prefixItems": [{}], "items": {"type": "integer"}},
            "o": {"type": "object"}, "u": {}, "two": {"type": ["string", "null"]},
            "both": {"type": ["number", "string"], "allOf": [{"type": ["integer", "boolean"]}]},
            "some": {"type": ["number", "string"], "allOf": [{"type": ["integer", "string"]}]}
        },
        "required": ["z"],
        "if": {"required": ["z"]}, "then": {"properties": {"late": {}, "z": {}}, "required": ["n"]}
    }));
    let names: Vec<&str> = schema.properties().collect();
    assert_eq!(
        names,
        [
            "z", "n", "f", "b", "e", "c", "m", "l", "p", "o", "u", "two", "both", "some", "late"
        ]
    );
    let expected = [
        ("z", Shape::Scalar(ScalarType::String)),
        ("n", Shape::Scalar(ScalarType::Integer)),
        ("f", Shape::Scalar(ScalarType::Number)),
        ("b", Shape::Scalar(ScalarType::Boolean)),
        ("e", Shape::Scalar(ScalarType::String)),
        ("c", Shape::Scalar(ScalarType::String)),
        ("m", Shape::Other),
        ("l", Shape::ArrayOfScalar(ScalarType::Integer)),
        ("p", Shape::Other),
        ("o", Shape::Other),
        ("u", Shape::Other),
        ("two", Shape::Other),
        ("both", Shape::Scalar(ScalarType::Integer)),
        ("some", Shape::Other),
        ("unknown", Shape::Other),
    ];
    for (name, shape) in expected {
        assert_eq!(schema.shape(name), shape, "{name}");
    }
    assert!(schema.required("z") && !schema.required("n") && !schema.required("unknown"));
    assert_eq!(
        (schema.default_of("n"), schema.default_of("z")),
        (Some(&json!(3)), None)
    );
}

#[test]
fn defaults_fill_nested_places_and_null_may_mean_absent() {
    let schema = compiled(&json!({
        "properties": {
            "units": {"type": "string", "default": "metric"},
            "note": {"type": "string"},
            "must": {"type": "string"},
            "free": {"type": ["string", "null"]},
            "any": {},
            "pick": {"anyOf": [{"type": "string"}, {"enum": [1]}]},
            "at": {"properties": {"zone": {"default": "UTC"}, "gone": {"type": "integer"}}},
            "made": {"type": "object", "default": {}, "properties": {"in": {"default": 1}}},
            "lines": {"items": {"properties": {"qty": {"default": 1}}}}
        },
        "required": ["must"],
        "anyOf": [{"properties": {"branch": {"default": 1}}}, true]
    }));
    let cases = [
        (json!({}), json!({"units": "metric", "made": {"in": 1}})),
        (
            json!({"units": null, "note": null, "made": {}}),
            json!({"units": "metric", "made": {"in": 1}}),
        ),
        (
            json!({"units": "imperial", "must": null, "free": null, "any": null, "pick": null, "made": {}}),
            json!({"units": "imperial", "must": null, "free": null, "any": null, "made": {"in": 1}}),
        ),
        (
            json!({"units": "", "at": {"gone": null}, "lines": [{}, {"qty": 2}], "made": {"in": 2}}),
            json!({"units": "", "at": {"zone": "UTC"}, "lines": [{"qty": 1}, {"qty": 2}], "made": {"in": 2}}),
        ),
    ];
    for (given, filled) in cases {
        let mut object = given.as_object().unwrap().clone();
        schema.fill_defaults(&mut object);
        assert_eq!(Value::Object(object), filled, "{given}");
    }
}

#[test]
fn keys_are_sorted_as_the_schema_declares_them() {
    let schema = compiled(&json!({
        "properties": {
            "z": {}, "a": {"properties": {"y": {}, "b": {}}},
            "l": {"items": {"properties": {"n": {}, "m": {}}}}
        },
        "then": {"properties": {"t": {}}}, "if": true,
        "additionalProperties": true
    }));
    let mut value = json!({"x": 1, "t": 1, "l": [{"m": 1, "n": 1}], "a": {"b": {"d": 1, "c": 1}, "y": 1}, "b": 1, "z": 1});
    schema.order(&mut value);
    let expected = r#"{"z":1,"a":{"y":1,"b":{"c":1,"d":1}},"l":[{"n":1,"m":1}],"t":1,"b":1,"x":1}"#;
    assert_eq!(value.to_string(), expected);
}

fn instances() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Value::from),
        (0..3).prop_map(Value::from)
    ];
    leaf.prop_recursive(3, 16, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::vec(("[abcA]", inner), 0..3)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// A schema whose closed form JSON Schema itself can say, beside that form.
fn open_and_closed() -> impl Strategy<Value = (Value, Value)> {
    let leaf = prop_oneof![
        Just((json!({"type": "integer"}), json!({"type": "integer"}))),
        Just((json!(true), json!(true))),
        Just((
            json!({"type": "object", "additionalProperties": true}),
            json!({"type": "object"})
        )),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        let named = prop::collection::btree_map("[abc]", inner.clone(), 0..3);
        prop_oneof![
            named.prop_map(|named| {
                let (open, closed): (serde_json::Map<_, _>, serde_json::Map<_, _>) = named
                    .into_iter()
                    .map(|(k, (o, c))| ((k.clone(), o), (k, c)))
                    .unzip();
                (
                    json!({"type": "object", "properties": open}),
                    json!({"type": "object", "properties": closed, "unevaluatedProperties": false}),
                )
            }),
            inner.prop_map(|(open, closed)| (
                json!({"type": "array", "items": open}),
                json!({"type": "array", "items": closed})
            )),
        ]
    })
}

/// Schemas in which several parts may describe one object.
fn sources() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(true)),
        Just(json!({})),
        Just(json!({"type": "integer"})),
        Just(json!({"type": "object", "additionalProperties": true})),
        Just(json!({"$ref": "#/$defs/shared"})),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        let named = || prop::collection::btree_map("[abc]", inner.clone(), 0..3);
        let keyword = prop::sample::select(vec!["allOf", "anyOf", "oneOf"]);
        let rest = prop::sample::select(vec!["additionalProperties", "unevaluatedProperties"]);
        prop_oneof![
            named().prop_map(|it| json!({"type": "object", "properties": it})),
            (named(), keyword, inner.clone(), inner.clone()).prop_map(
                |(it, keyword, one, other)| { json!({"properties": it, keyword: [one, other]}) }
            ),
            (named(), inner.clone(), inner.clone()).prop_map(|(it, one, other)| {
                json!({"properties": it, "if": {"required": ["a"]}, "then": one, "else": other})
            }),
            (named(), rest, inner.clone())
                .prop_map(|(it, rest, one)| json!({"properties": it, rest: one})),
            (named(), inner.clone())
                .prop_map(|(it, one)| json!({"properties": it, "patternProperties": {"^a": one}})),
            (inner.clone(), inner.clone())
                .prop_map(|(one, other)| json!({"type": "array", "items": one, "contains": other})),
            inner.prop_map(|it| json!({"type": "array", "items": it})),
        ]
    })
}

proptest! {
    #[test]
    fn the_explicit_form_refuses_nothing_that_the_check_accepts(source in sources(), value in instances()) {
        let shared = json!({"type": "object", "properties": {"c": {"type": "object", "properties": {"b": {}}}}});
        let source = json!({"$defs": {"shared": shared}, "type": "object", "properties": {"a": source.clone()}, "allOf": [source]});
        if let Ok(schema) = Schema::compile(&source) {
            let explicit = Value::Object(schema.explicit());
            prop_assert!(jsonschema::draft202012::meta::is_valid(&explicit));
            if schema.check(&value).is_ok() && value.is_object() {
                prop_assert!(jsonschema::is_valid(&explicit, &value), "{explicit} refuses {value}");
            }
        }
    }

    #[test]
    fn the_explicit_form_of_a_plain_schema_refuses_what_the_check_refuses((open, _) in open_and_closed(), value in instances()) {
        let schema = compiled(&json!({"properties": {"a": open}}));
        let explicit = Value::Object(schema.explicit());
        if jsonschema::is_valid(&explicit, &value) {
            prop_assert!(schema.check(&value).is_ok(), "{explicit} accepts {value}");
        }
    }

    #[test]
    fn closed_means_what_json_schema_means_by_it((open, closed) in open_and_closed(), value in instances()) {
        let expected = jsonschema::is_valid(&closed, &value);
        prop_assert_eq!(compiled(&open).check(&value).is_ok(), expected);
    }

    #[test]
    fn order_changes_no_value_and_is_stable(value in instances()) {
        let schema = compiled(&json!({"properties": {"c": {"properties": {"b": {}}}, "a": {"items": {"properties": {"b": {}, "a": {}}}}}}));
        let mut ordered = value.clone();
        schema.order(&mut ordered);
        prop_assert_eq!(&ordered, &value);
        let once = ordered.to_string();
        schema.order(&mut ordered);
        prop_assert_eq!(ordered.to_string(), once);
    }

    #[test]
    fn no_source_makes_it_panic(source in instances()) {
        let _ = Schema::compile(&json!({"properties": source.clone(), "allOf": [source.clone()], "items": source}));
    }
}

#[test]
fn a_property_is_truthy_where_its_schema_refuses_whatever_is_false() {
    let rows = [
        (json!({"type": "string"}), false),
        (json!({"type": "string", "minLength": 1}), true),
        (
            json!({"type": "string", "minLength": 1, "default": "x"}),
            false,
        ),
        (json!({"type": "string", "pattern": "^a"}), true),
        (json!({"type": ["string", "null"], "minLength": 1}), false),
        (json!({"enum": ["a", "b"]}), true),
        (json!({"enum": ["a", ""]}), false),
        (json!({"const": false}), false),
        (json!({"type": "integer"}), false),
        (json!({"type": "integer", "minimum": 1}), true),
        (json!({"type": "array"}), false),
        (
            json!({"type": "array", "items": {"type": "string"}, "minItems": 1}),
            true,
        ),
        (json!({"type": "object", "properties": {}}), false),
        (json!({"minLength": 1}), false),
        (json!({"anyOf": [{"const": 1}, {"const": "a"}]}), true),
        (json!({"$ref": "#/$defs/some"}), true),
        (json!({"allOf": [{"$ref": "#/$defs/some"}]}), true),
    ];
    for (x, truthy) in rows {
        let some = json!({"some": {"type": "string", "minLength": 1}});
        let inner = json!({"type": "object", "properties": {"x": x}});
        let schema = compiled(&json!({"$defs": some, "properties": {"x": x, "o": inner}}));
        for names in [&["x"][..], &["o", "x"]] {
            let found = schema.property(names).map(|it| it.truthy);
            assert_eq!(found, Some(truthy), "{names:?} {x}");
        }
    }
}

#[test]
fn what_only_a_neighbour_forbids_is_not_truthy() {
    let schema = compiled(&json!({
        "properties": {"x": {"type": "string"}, "y": {"type": "string"}},
        "if": {"required": ["y"]},
        "then": {},
        "else": {"properties": {"x": {"enum": ["a"]}}},
    }));
    assert_eq!(schema.property(&["x"]).map(|it| it.truthy), Some(false));
}

#[test]
fn properties_are_known_at_every_depth() {
    let schema = compiled(&json!({
        "properties": {
            "o": {
                "type": "object",
                "properties": {"n": {"type": "integer"}, "list": {"type": "array", "items": {"type": "string"}}},
                "required": ["n"],
            },
            "open": {"type": "object", "additionalProperties": true},
        },
    }));
    let found = |names: &[&str]| {
        let it = schema.property(names)?;
        Some((it.certain, it.shape, it.structured))
    };
    let integer = Shape::Scalar(ScalarType::Integer);
    let list = Shape::ArrayOfScalar(ScalarType::String);
    assert_eq!(found(&["o"]), Some((false, Shape::Other, true)));
    assert_eq!(found(&["o", "n"]), Some((true, integer, false)));
    assert_eq!(found(&["o", "list"]), Some((false, list, true)));
    assert_eq!(found(&["o", "m"]), None);
    assert_eq!(found(&["m"]), None);
    assert_eq!(found(&["open", "m"]), Some((false, Shape::Other, false)));
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn the_explicit_form_says_what_the_rules_of_exeat_leave_unsaid() {
    let explicit = |source: Value| Value::Object(compiled(&source).explicit());
    let phone = r"^\+?[0-9 ().-]{5,20}$";
    let rows = [
        (
            json!({}),
            json!({"type": "object", "properties": {}, "additionalProperties": false}),
        ),
        (
            json!({"parameters": {"a": {"type": "string", "format": "phone"}}, "required": ["a"]}),
            json!({
                "type": "object",
                "properties": {"a": {"type": "string", "pattern": phone}},
                "required": ["a"],
                "additionalProperties": false,
            }),
        ),
        (
            json!({"properties": {
                "open": {"type": "object", "additionalProperties": {"type": "object"}},
                "list": {"type": "array", "items": {"properties": {"b": {}}}},
            }}),
            json!({
                "type": "object",
                "properties": {
                    "open": {"type": "object", "additionalProperties": {"type": "object", "additionalProperties": false}},
                    "list": {"type": "array", "items": {"properties": {"b": {}}, "additionalProperties": false}},
                },
                "additionalProperties": false,
            }),
        ),
        (
            json!({
                "properties": {"kind": {"enum": ["a", "b"]}, "o": {"type": "object"}, "p": {"type": "object"}},
                "if": {"properties": {"kind": {"const": "a"}}},
                "then": {"properties": {"o": {"properties": {"x": {}}}}},
            }),
            json!({
                "type": "object",
                "properties": {
                    "kind": {"enum": ["a", "b"]},
                    "o": {"type": "object"},
                    "p": {"type": "object", "additionalProperties": false},
                },
                "if": {"properties": {"kind": {"const": "a"}}},
                "then": {"properties": {"o": {"properties": {"x": {}}}}},
                "additionalProperties": false,
            }),
        ),
        (
            json!({
                "properties": {"kind": {"enum": ["a", "b"]}},
                "if": {"properties": {"kind": {"const": "a"}}},
                "then": {"properties": {"x": {}}},
            }),
            json!({
                "type": "object",
                "properties": {"kind": {"enum": ["a", "b"]}},
                "if": {"properties": {"kind": {"const": "a"}}},
                "then": {"properties": {"x": {}}},
                "unevaluatedProperties": false,
            }),
        ),
    ];
    for (source, expected) in rows {
        assert_eq!(explicit(source), expected);
    }
}
