//! Replies and what they mean, in tables.

use proptest::prelude::*;
use serde_json::json;

use crate::jsonpath::{SingularPath, Step};

use super::*;

fn path(text: &str) -> SingularPath {
    SingularPath::parse(text).unwrap()
}

fn named(name: &str, say: &str) -> Named {
    Named {
        name: OutcomeName::parse(name).unwrap(),
        say: (!say.is_empty()).then(|| Say::parse(say).unwrap()),
    }
}

fn replied(status: u16, content: Content) -> Replied {
    Replied {
        status: StatusCode::from_u16(status).unwrap(),
        content,
        complete: true,
    }
}

fn condition(text: &str, test: Test) -> Option<Condition> {
    let path = path(text);
    Some(Condition { path, test })
}

fn statuses(texts: &[&str]) -> Vec<StatusPattern> {
    let parse = |text: &&str| StatusPattern::parse(text).unwrap();
    texts.iter().map(parse).collect()
}

fn output(name: &str, text: &str, sensitive: bool) -> Output {
    Output {
        name: OutputName::parse(name).unwrap(),
        path: path(text),
        sensitive,
        expose: false,
    }
}

fn reading_outputs(outputs: Vec<Output>) -> Reading {
    Reading {
        outputs: Outputs::new(outputs).unwrap(),
        ..Reading::default()
    }
}

#[test]
fn a_status_is_one_of_three_digits_or_a_class() {
    for (text, good) in [
        ("200", true),
        ("599", true),
        ("2xx", true),
        ("5xx", true),
        ("099", false),
        ("600", false),
        ("6xx", false),
        ("2XX", false),
        ("20x", false),
        ("2", false),
        ("2000", false),
        ("", false),
        ("+20", false),
        ("others", false),
    ] {
        assert_eq!(StatusPattern::parse(text).is_ok(), good, "{text}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn success_is_any_complete_2xx_unless_declared() {
    let verified = || json!({"verified": true, "n": 1, "none": null});
    let is = |text: &str, value| condition(text, Test::Equals(value));
    let exists = |text: &str, wanted| condition(text, Test::Exists(wanted));
    for (listed, condition, status, content, expected) in [
        (&[][..], None, 200, Content::Other, true),
        (&[], None, 204, Content::Empty, true),
        (&[], None, 302, Content::Empty, false),
        (&[], None, 404, Content::Empty, false),
        (&["201"], None, 201, Content::Empty, true),
        (&["201"], None, 200, Content::Empty, false),
        (&["2xx", "404"], None, 404, Content::Empty, true),
        (
            &[],
            is("$.verified", json!(true)),
            200,
            Content::Json(verified()),
            true,
        ),
        (
            &[],
            is("$.verified", json!(true)),
            404,
            Content::Json(verified()),
            false,
        ),
        (
            &[],
            is("$.verified", json!("true")),
            200,
            Content::Json(verified()),
            false,
        ),
        (
            &[],
            is("$.n", json!(1.0)),
            200,
            Content::Json(verified()),
            true,
        ),
        (
            &[],
            is("$.absent", json!(null)),
            200,
            Content::Json(verified()),
            false,
        ),
        (
            &[],
            is("$.none", json!(null)),
            200,
            Content::Json(verified()),
            true,
        ),
        (
            &[],
            exists("$.none", true),
            200,
            Content::Json(verified()),
            true,
        ),
        (
            &[],
            exists("$.ERROR", false),
            200,
            Content::Json(verified()),
            true,
        ),
        (
            &[],
            exists("$.n", false),
            200,
            Content::Json(verified()),
            false,
        ),
        (&[], exists("$.ERROR", false), 200, Content::Other, false),
        (&[], exists("$.ERROR", false), 200, Content::Empty, false),
    ] {
        let success = Success {
            statuses: statuses(listed),
            condition,
        };
        let mut replied = replied(status, content);
        assert_eq!(
            success.is_met(&replied),
            expected,
            "{success:?} {replied:?}"
        );
        replied.complete = false;
        assert!(!success.is_met(&replied), "broken off: {success:?}");
    }
}

#[test]
fn numbers_are_compared_by_value_and_exactly() {
    for (one, two, expected) in [
        (json!(1), json!(1.0), true),
        (json!([{"a": 1}]), json!([{"a": 1.0}]), true),
        (
            json!(9007199254740993_u64),
            json!(9007199254740992.0),
            false,
        ),
        (json!(18446744073709551615_u64), json!(-1), false),
        (json!(0.1), json!(0.1), true),
        (json!(0), json!(-0.0), true),
        (json!(1), json!("1"), false),
        (json!({"a": 1, "b": 2}), json!({"b": 2, "a": 1}), true),
        (json!({"a": 1}), json!({"a": 1, "b": 2}), false),
    ] {
        let content = Content::Json(one.clone());
        let holds = |wanted| {
            condition("$", Test::Equals(wanted))
                .unwrap()
                .holds(&content)
        };
        assert_eq!(holds(two.clone()), expected, "{one} {two}");
    }
}

#[test]
fn the_exact_status_goes_before_its_class_and_the_class_before_others() {
    let status = |text| StatusPattern::parse(text).ok();
    let outcomes = Outcomes::by_status(vec![
        (None, named("failed", "Failed to create ticket: {{status}}")),
        (status("2xx"), named("done", "")),
        (
            status("201"),
            named("created", "Status {{ status }}, {{status}}!"),
        ),
        (
            status("401"),
            named("bad_credentials", "Jira refused our credentials."),
        ),
    ])
    .unwrap();
    let reading = Reading {
        outcomes,
        ..Reading::default()
    };
    assert!(!reading.needs_content());
    for (status, name, say) in [
        (201, "created", Some("Status 201, 201!")),
        (202, "done", None),
        (
            401,
            "bad_credentials",
            Some("Jira refused our credentials."),
        ),
        (403, "failed", Some("Failed to create ticket: 403")),
        (302, "failed", Some("Failed to create ticket: 302")),
    ] {
        let concluded = reading.conclude(replied(status, Content::Other), Door::Proxy);
        assert_eq!(concluded.outcome.as_str(), name);
        assert_eq!(concluded.say.as_deref(), say);
        assert_eq!(concluded.shown, Shown::AsCame);
    }
}

#[test]
fn a_failed_call_is_not_called_by_the_name_of_a_2xx() {
    let status = |text| StatusPattern::parse(text).ok();
    let created = || (status("201"), named("created", ""));
    let any = || (status("2xx"), named("done", ""));
    for (cases, expected) in [
        (vec![created(), any()], "failed"),
        (
            vec![created(), any(), (None, named("not_verified", ""))],
            "not_verified",
        ),
    ] {
        let reading = Reading {
            success: Success {
                statuses: Vec::new(),
                condition: condition("$.verified", Test::Equals(json!(true))),
            },
            outcomes: Outcomes::by_status(cases).unwrap(),
            ..Reading::default()
        };
        for (content, complete, name) in [
            (json!({"verified": true}), true, "created"),
            (json!({"verified": false}), true, expected),
            (json!({"verified": true}), false, expected),
        ] {
            let mut replied = replied(201, Content::Json(content));
            replied.complete = complete;
            let concluded = reading.conclude(replied, Door::Http);
            assert_eq!(concluded.outcome.as_str(), name);
            assert_eq!(concluded.success, name == "created");
        }
    }
}

#[test]
fn errors_that_come_with_status_200_have_their_own_names() {
    let case = |statuses, condition, name| Case {
        statuses,
        condition,
        named: named(name, ""),
    };
    let reading = Reading {
        success: Success {
            statuses: Vec::new(),
            condition: condition("$.charID", Test::Exists(true)),
        },
        outcomes: Outcomes::in_order(vec![
            case(
                Vec::new(),
                condition("$.API_ERROR", Test::Exists(true)),
                "bad_key",
            ),
            case(
                statuses(&["2xx"]),
                condition("$.INTERNAL_ERROR", Test::Exists(true)),
                "invalid",
            ),
            case(statuses(&["200"]), None, "created"),
        ]),
        ..Reading::default()
    };
    assert!(reading.needs_content());
    for (status, content, name) in [
        (200, json!({"charID": "7"}), "created"),
        (
            200,
            json!({"API_ERROR": "Invalid API key provided."}),
            "bad_key",
        ),
        (
            401,
            json!({"API_ERROR": "Invalid API key provided."}),
            "bad_key",
        ),
        (
            200,
            json!({"INTERNAL_ERROR": "Error in creating"}),
            "invalid",
        ),
        (
            500,
            json!({"INTERNAL_ERROR": "Error in creating"}),
            "failed",
        ),
        (200, json!({"else": 1}), "failed"),
    ] {
        let concluded = reading.conclude(replied(status, Content::Json(content)), Door::Mcp);
        assert_eq!(concluded.outcome.as_str(), name);
    }
    let names: Vec<&str> = reading.outcomes.names().map(OutcomeName::as_str).collect();
    assert_eq!(
        names,
        ["bad_key", "invalid", "created", "succeeded", "failed"]
    );
}

#[test]
fn a_status_has_one_case() {
    let others = || (None, named("a", ""));
    let exact = |text| (StatusPattern::parse(text).ok(), named("a", ""));
    for (cases, second) in [
        (vec![exact("201"), exact("2xx"), others()], None),
        (vec![exact("201"), exact("2xx"), exact("201")], Some(2)),
        (vec![others(), others()], Some(1)),
    ] {
        let bad = Outcomes::by_status(cases).err();
        assert_eq!(bad.map(|it| it.second), second);
    }
}

#[test]
fn only_the_status_may_stand_in_what_an_outcome_says() {
    let long = "é".repeat(MAX_SAY + 1);
    for (text, bad) in [
        ("", None),
        ("{{status}}", None),
        ("a } b {{status}} {", None),
        ("{{.status}}", Some(BadSay::Placeholder(0))),
        ("a {{body}}", Some(BadSay::Placeholder(2))),
        ("{{status}} {{ status", Some(BadSay::Open(11))),
        ("{{{status}}}", Some(BadSay::Placeholder(0))),
        (&long, Some(BadSay::TooLong)),
        (&long[2..], None),
    ] {
        assert_eq!(Say::parse(text).err(), bad, "{text}");
    }
}

#[test]
fn outputs_are_set_on_success_and_unset_where_nothing_matches() {
    let reading = reading_outputs(vec![
        output("ticket.key", "$.key", false),
        output("ticket.id", "$.id", false),
    ]);
    for (status, content, expected) in [
        (
            201,
            Content::Json(json!({"key": "EX-1"})),
            vec![Some(json!("EX-1")), None],
        ),
        (
            201,
            Content::Json(json!({"id": null})),
            vec![None, Some(json!(null))],
        ),
        (201, Content::Other, vec![None, None]),
        (400, Content::Json(json!({"key": "EX-1"})), vec![]),
    ] {
        let concluded = reading.conclude(replied(status, content), Door::Proxy);
        let values: Vec<_> = concluded
            .outputs
            .into_iter()
            .map(|(_, value)| value)
            .collect();
        assert_eq!(values, expected);
        assert_eq!(concluded.shown, Shown::AsCame);
    }
}

#[test]
fn a_sensitive_output_is_kept_and_its_place_replaced_whatever_the_status() {
    let reading = reading_outputs(vec![
        output("customer.token", "$.items[-1].token", true),
        output("customer.name", "$.name", false),
    ]);
    let content = || json!({"items": [{"token": "T0"}, {"token": "T1"}], "name": "Ada"});
    let left = json!({"items": [{"token": "T0"}, {"token": "<customer.token>"}], "name": "Ada"});
    for status in [200, 500] {
        for door in [Door::Proxy, Door::Http, Door::Mcp] {
            let concluded = reading.conclude(replied(status, Content::Json(content())), door);
            assert_eq!(concluded.shown, Shown::Json(left.clone()));
            let token = concluded
                .outputs
                .first()
                .and_then(|(_, value)| value.clone());
            assert_eq!(token, (status == 200).then(|| json!("T1")));
        }
    }
    for (content, shown) in [
        (Content::Json(json!({"items": []})), Shown::AsCame),
        (Content::Empty, Shown::AsCame),
        (Content::Other, Shown::Withheld),
    ] {
        assert_eq!(
            reading.conclude(replied(502, content), Door::Proxy).shown,
            shown
        );
    }
}

#[test]
fn an_output_that_may_hold_a_part_of_a_sensitive_one_is_refused() {
    let exposed = Output {
        expose: true,
        ..output("a", "$.a", true)
    };
    let overlap = |plain, sensitive| BadOutput::Overlap { plain, sensitive };
    for (outputs, expected) in [
        (
            vec![output("a", "$.a", true), output("b", "$.b", false)],
            vec![],
        ),
        (
            vec![output("a", "$.a", true), output("b", "$.a.b", true)],
            vec![],
        ),
        (
            vec![output("a", "$.a", true), output("b", "$.a", false)],
            vec![overlap(1, 0)],
        ),
        (
            vec![output("a", "$.a", false), output("b", "$.a.b", true)],
            vec![overlap(0, 1)],
        ),
        (
            vec![output("a", "$.l[0]", true), output("b", "$.l[-1]", false)],
            vec![overlap(1, 0)],
        ),
        (vec![exposed], vec![BadOutput::SensitiveExposed(0)]),
    ] {
        assert_eq!(Outputs::new(outputs).err().unwrap_or_default(), expected);
    }
}

#[test]
fn the_name_of_an_output_is_a_place_in_a_tree() {
    let long = "a".repeat(129);
    for (text, bad) in [
        ("ticket.key", None),
        ("a", None),
        ("a_1.b2", None),
        ("", Some(BadOutputName::EmptyPart)),
        (".a", Some(BadOutputName::EmptyPart)),
        ("a.", Some(BadOutputName::EmptyPart)),
        ("a..b", Some(BadOutputName::EmptyPart)),
        ("A", Some(BadOutputName::Character('A'))),
        ("a-b", Some(BadOutputName::Character('-'))),
        (&long, Some(BadOutputName::TooLong)),
    ] {
        assert_eq!(OutputName::parse(text).err(), bad, "{text}");
    }
}

#[test]
fn names_in_the_tree_do_not_grow_into_one_another() {
    let plain = Kind::Output { sensitive: false };
    let hidden = Kind::Output { sensitive: true };
    for (first, second, overlap) in [
        (("a.b", plain), ("a.c", plain), None),
        (("a.b", plain), ("a.b", plain), None),
        (("a.b", plain), ("ab", plain), None),
        (("a.b", plain), ("a_b", plain), None),
        (("a.b", plain), ("a.b", hidden), Some(Overlap::Sensitivity)),
        (("a", plain), ("a.b", plain), Some(Overlap::Extends)),
        (("a", plain), ("a.b.c", plain), Some(Overlap::Extends)),
        (("a.b.c", plain), ("a", plain), Some(Overlap::Starts)),
        (
            ("a.b", Kind::Context),
            ("a.b", plain),
            Some(Overlap::Equals),
        ),
        (("a.b", Kind::Context), ("a", plain), Some(Overlap::Starts)),
        (
            ("a", Kind::Context),
            ("a.b", hidden),
            Some(Overlap::Extends),
        ),
        (
            ("a.b", plain),
            ("a.b", Kind::Context),
            Some(Overlap::Equals),
        ),
    ] {
        let mut tree = NameTree::default();
        for other in ["a-b", "ab0", "a0.b", "z"] {
            tree.declare(other, plain, 0).unwrap();
        }
        tree.declare(first.0, first.1, 1).unwrap();
        let clash = tree.declare(second.0, second.1, 2).err();
        let found = clash.map(|it| (it.overlap, it.earlier, it.place));
        let expected = overlap.map(|overlap| (overlap, first.0.to_owned(), 1));
        assert_eq!(found, expected, "{first:?} {second:?}");
    }
}

fn response(fields: &[&str], shape: &[(&str, &str)]) -> Result<Response, Hidden> {
    let fields = (!fields.is_empty()).then(|| fields.iter().map(|it| path(it)).collect());
    let member = |(name, text): &(&str, &str)| ((*name).to_owned(), path(text));
    let shape = (!shape.is_empty()).then(|| shape.iter().map(member).collect());
    Response::new(fields, shape)
}

#[test]
fn only_the_listed_fields_reach_the_agent_and_in_their_places() {
    let content = json!({"z": 1, "status": "shipped", "tracking": {"id": 7, "pin": 5},
        "l": [{"a": 1, "b": 2}, {"a": 3, "b": 4}, {"a": 5}]});
    for (fields, expected) in [
        (&["$"][..], content.clone()),
        (&["$.absent"], json!({})),
        (
            &["$.tracking", "$.status"],
            json!({"status": "shipped", "tracking": {"id": 7, "pin": 5}}),
        ),
        (
            &["$.tracking.id", "$.tracking.absent"],
            json!({"tracking": {"id": 7}}),
        ),
        (
            &["$.tracking.id", "$.tracking"],
            json!({"tracking": {"id": 7, "pin": 5}}),
        ),
        (&["$.l[1].a"], json!({"l": [null, {"a": 3}]})),
        (
            &["$.l[-1]", "$.l[0].b"],
            json!({"l": [{"b": 2}, null, {"a": 5}]}),
        ),
        (&["$.status.x"], json!({})),
    ] {
        let reading = Reading {
            response: Some(response(fields, &[]).unwrap()),
            ..Reading::default()
        };
        for door in [Door::Proxy, Door::Http, Door::Mcp] {
            let concluded = reading.conclude(replied(200, Content::Json(content.clone())), door);
            assert_eq!(concluded.shown, Shown::Json(expected.clone()), "{fields:?}");
        }
        let refused = reading.conclude(replied(404, Content::Json(content.clone())), Door::Http);
        assert_eq!(refused.shown, Shown::AsCame, "a failure is told whole");
        let other = reading.conclude(replied(200, Content::Other), Door::Http);
        assert_eq!(other.shown, Shown::Withheld);
    }
}

#[test]
fn tools_return_the_declared_shape_and_the_proxy_the_reply() {
    let content = json!({"weather": [{"description": "mist", "id": 1}], "main": {"temp": 3}});
    let shape = [
        ("weather", "$.weather[-1].description"),
        ("wind", "$.wind"),
        ("t", "$.main.temp"),
    ];
    let expected = Shown::Json(json!({"weather": "mist", "t": 3}));
    let both = response(&["$.weather[-1]", "$.wind", "$.main"], &shape).unwrap();
    let left =
        Shown::Json(json!({"weather": [{"description": "mist", "id": 1}], "main": {"temp": 3}}));
    for (response, at_proxy) in [
        (response(&[], &shape).unwrap(), Shown::AsCame),
        (both, left),
    ] {
        let reading = Reading {
            response: Some(response),
            ..Reading::default()
        };
        for (door, shown) in [
            (Door::Http, &expected),
            (Door::Mcp, &expected),
            (Door::Proxy, &at_proxy),
        ] {
            let concluded = reading.conclude(replied(200, Content::Json(content.clone())), door);
            assert_eq!(&concluded.shown, shown);
        }
    }
}

#[test]
fn a_shape_reads_only_what_the_fields_let_through() {
    for (fields, shape, hidden) in [
        (&["$.a"][..], &[("x", "$.a.b")][..], None),
        (&["$.a.b"], &[("x", "$.a.b"), ("y", "$.a")], Some(1)),
        (&["$.l[1]"], &[("x", "$.l[-1]")], Some(0)),
        (&["$"], &[("x", "$.a")], None),
    ] {
        let bad = response(fields, shape).err();
        assert_eq!(bad.map(|it| it.member), hidden, "{fields:?} {shape:?}");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<i32>().prop_map(|it| json!(it)),
        Just(json!("SECRET-AAAA")),
    ];
    leaf.prop_recursive(4, 40, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::btree_map("[abc]", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn any_path() -> impl Strategy<Value = SingularPath> {
    prop::collection::vec(
        prop_oneof!["\\.[abc]", "\\[-?[12]\\]", Just("[0]".to_owned())],
        0..4,
    )
    .prop_map(|steps| path(&format!("${}", steps.concat())))
}

proptest! {
    #[test]
    fn a_field_is_found_again_in_its_place_and_nothing_else_is(
        content in any_json(),
        fields in prop::collection::vec(any_path(), 0..4),
    ) {
        let response = Response::new(Some(fields.clone()), None).unwrap();
        let reading = Reading { response: Some(response), ..Reading::default() };
        let replied = replied(200, Content::Json(content.clone()));
        let Shown::Json(shown) = reading.conclude(replied, Door::Proxy).shown else {
            panic!("JSON stays JSON");
        };
        let locations: Vec<_> = fields.iter().filter_map(|it| it.location(&content)).collect();
        for location in &locations {
            prop_assert_eq!(at(&shown, location), at(&content, location));
        }
        for (place, leaf) in leaves(&shown) {
            let is_listed = locations.iter().any(|it| place.starts_with(it));
            prop_assert!(is_listed || leaf.is_null() || is_hollow(&leaf), "{place:?} {leaf}");
        }
    }

    #[test]
    fn a_sensitive_value_is_nowhere_in_what_is_shown(
        content in any_json(),
        secret in any_path(),
        fields in prop::collection::vec(any_path(), 0..4),
    ) {
        let mut content = content;
        let Some(place) = secret.select_mut(&mut content) else {
            return Ok(());
        };
        *place = json!({"held": "SENSITIVE"});
        let hidden = Output { path: secret, ..output("a.b", "$", true) };
        for response in [None, Some(Response::new(Some(fields.clone()), None).unwrap())] {
            let reading = Reading { response, ..reading_outputs(vec![hidden.clone()]) };
            let concluded = reading.conclude(replied(200, Content::Json(content.clone())), Door::Http);
            let shown = format!("{:?}", concluded.shown);
            prop_assert!(!shown.contains("SENSITIVE"));
            prop_assert_eq!(&concluded.outputs[0].1, &Some(json!({"held": "SENSITIVE"})));
        }
    }
}

fn at<'a>(value: &'a Value, location: &[Step]) -> Option<&'a Value> {
    location.iter().try_fold(value, |value, step| match step {
        Step::Name(name) => value.get(name),
        Step::Index(index) => value.get(usize::try_from(*index).unwrap()),
    })
}

/// Every value that holds no other, and its place.
fn leaves(value: &Value) -> Vec<(Vec<Step>, Value)> {
    let below: Vec<(Step, &Value)> = match value {
        Value::Object(it) => it.iter().map(|(k, v)| (Step::Name(k.clone()), v)).collect(),
        Value::Array(it) => (0..).map(Step::Index).zip(it).collect(),
        _ => Vec::new(),
    };
    if below.is_empty() {
        return vec![(Vec::new(), value.clone())];
    }
    let mut found = Vec::new();
    for (step, value) in below {
        for (mut place, leaf) in leaves(value) {
            place.insert(0, step.clone());
            found.push((place, leaf));
        }
    }
    found
}

fn is_hollow(value: &Value) -> bool {
    *value == json!({}) || *value == json!([])
}
