//! Bodies from templates: a proxied request is taken apart by the template that makes the one that leaves.

use serde_json::{Value, json};

use crate::world::{Answer, Origin, Plan, World, json_reply};

const POLICY: &str = r#"
version: 1
secrets: {key: {env: KEY}}
static_variables: {PROJECT: EX}
context: {contact.name: {type: string}}
auth:
  in_body: {type: api_key, in: body, name: api_key, value: {secret: key}}
actions:
  create_ticket:
    description: Creates a ticket with one paragraph.
    method: POST
    url: https://api.good.test/issue
    query: {notify: "{{notify}}"}
    parameters:
      properties:
        summary: {type: string, maxLength: 20}
        description: {type: string}
        points: {type: integer, minimum: 1}
        labels: {type: array, items: {type: string}, default: []}
        notify: {type: boolean}
      required: [summary, description]
    body: |
      {"fields": {
        "project": {"key": "{{.static_variables.PROJECT}}"},
        "summary": "[agent] {{.parameters.summary}}",
        "description": {"version": 1, "type": "doc", "content": [
          {"type": "paragraph", "content": [{"type": "text", "text": "{{.parameters.description}}"}]}]},
        "labels": {{.parameters.labels}},
        {{if .parameters.points}}"points": {{.parameters.points}},{{end}}
        "issuetype": {"name": "Story"},
        "at": "{{current_datetime}}"}}
  rename:
    description: Renames an item, and says which one twice.
    method: PUT
    url: https://api.good.test/items/{{id}}
    auth: in_body
    parameters: {properties: {id: {type: integer}, name: {type: string}}, required: [id, name]}
    body: '{"id": {{id}}, "name": "{{name}}"}'
  invite:
    description: Invites somebody, in the name of a contact.
    method: POST
    url: https://api.good.test/invite
    headers: {X-From: "{{contact.name}}"}
    variables:
      - {name: email, type: email, required: true}
  remind:
    description: Reminds somebody on a day.
    method: POST
    url: https://api.good.test/remind
    variables:
      - {name: email, type: email, required: true}
      - {name: day, type: date}
      - {name: copies, type: integer, default: 1}
  count:
    description: Counts what is above a limit.
    method: POST
    url: https://api.good.test/count
    parameters: {properties: {least: {type: integer}}}
    body: '{"least": {{if .parameters.least}}{{.parameters.least}}{{else}}10{{end}}}'
  attach:
    description: Attaches a file to an item, or a note where a tool calls it.
    method: POST
    url: https://api.good.test/items/{{id}}/attachments
    parameters: {properties: {id: {type: integer}, note: {type: string}}, required: [id, note]}
    body: '{"note": "{{note}}"}'
    accept_body: any
    content_types: [application/json, image/png]
"#;

const ISSUE: &str = "https://api.good.test/issue";
const JSON: &str = "Content-Type: application/json";

fn world() -> (World, Origin) {
    let world = Plan::of(POLICY).secret("key", "SECRET-CCCC").start();
    let origin = world.origin("api.good.test", |_| json_reply("{}"));
    (world, origin)
}

/// A whole body, as a program would send it.
fn ticket() -> Value {
    json!({
        "fields": {
            "project": {"key": "EX"},
            "issuetype": {"name": "Story"},
            "summary": "[agent] It \"broke\"",
            "description": {"type": "doc", "version": 1, "content": [
                {"type": "paragraph", "content": [{"type": "text", "text": "Ä\n{{name}}"}]}]},
            "labels": ["a", "b"],
            "points": 3,
            "at": "2001-01-01T00:00:00Z",
        }
    })
}

fn send(world: &World, method: &str, url: &str, body: &str) -> Answer {
    world.client().send_inside(method, url, &[JSON], body)
}

/// What left, but for the time, which must have been overwritten.
fn without_time(sent: &str) -> String {
    let (before, time) = sent.rsplit_once(r#""at":""#).unwrap();
    assert!(!time.starts_with("2001"), "{sent}");
    let is_time = time.len() == "2026-01-31T09:30:00Z\"}}".len();
    assert!(is_time && time.ends_with("Z\"}}"), "{sent}");
    before.to_owned()
}

#[test]
fn a_whole_body_is_recognised_and_leaves_as_the_template_writes_it() {
    let (world, origin) = world();
    let answer = send(&world, "POST", ISSUE, &ticket().to_string());
    assert_eq!(answer.status, 200, "{answer:?}");
    let seen = origin.only();
    assert_eq!(seen.header("content-type"), ["application/json"]);
    let expected = concat!(
        r#"{"fields":{"project":{"key":"EX"},"summary":"[agent] It \"broke\"","#,
        r#""description":{"version":1,"type":"doc","content":[{"type":"paragraph","#,
        r#""content":[{"type":"text","text":"Ä\n{{name}}"}]}]},"labels":["a","b"],"points":3,"#,
        r#""issuetype":{"name":"Story"},"#,
    );
    assert_eq!(without_time(seen.text()), expected);
}

#[test]
fn what_is_left_out_is_filled_in_or_stays_away() {
    let (world, origin) = world();
    let body = json!({"fields": {
        "summary": "[agent] s",
        "description": {"content": [{"content": [{"text": "d"}]}]},
    }});
    let answer = send(&world, "POST", ISSUE, &body.to_string());
    assert_eq!(answer.status, 200, "{answer:?}");
    let sent = origin.only();
    let fields = &serde_json::from_str::<Value>(sent.text()).unwrap()["fields"];
    assert_eq!(fields["project"], json!({"key": "EX"}));
    assert_eq!(fields["labels"], json!([]));
    assert_eq!(fields.get("points"), None);
}

#[test]
fn what_the_template_would_not_write_is_refused_at_its_place() {
    let rows = [
        (
            "/fields/project/key",
            json!("SEC"),
            "parameter_invalid",
            "/fields/project/key",
        ),
        (
            "/fields/issuetype",
            json!({"name": "Bug"}),
            "parameter_invalid",
            "/fields/issuetype/name",
        ),
        (
            "/fields/summary",
            json!("It broke"),
            "parameter_invalid",
            "/fields/summary",
        ),
        (
            "/fields/summary",
            json!(7),
            "parameter_invalid",
            "/fields/summary",
        ),
        ("/fields/points", json!(0), "parameter_invalid", "/points"),
        (
            "/fields/summary",
            json!("[agent] longer than twenty characters"),
            "parameter_invalid",
            "/summary",
        ),
        (
            "/fields/description/content",
            json!([]),
            "parameter_invalid",
            "/fields/description/content",
        ),
        (
            "/fields",
            json!({"assignee": "me"}),
            "parameter_undeclared",
            "/fields/assignee",
        ),
        ("/fields", json!({}), "parameter_missing", "/summary"),
        ("", json!({"update": {}}), "parameter_undeclared", "/update"),
        ("", json!([]), "parameter_invalid", ""),
    ];
    let (world, origin) = world();
    for (pointer, value, code, at) in rows {
        let mut body = ticket();
        *body.pointer_mut(pointer).unwrap() = value.clone();
        let answer = send(&world, "POST", ISSUE, &body.to_string());
        assert_eq!(answer.refusal(), code, "{pointer} {value}: {answer:?}");
        let told = answer.json()["error"]["pointer"].clone();
        assert_eq!(told.as_str().unwrap_or_default(), at, "{value}: {answer:?}");
    }
    let twice = r#"{"fields": {"summary": "[agent] a", "summary": "[agent] b"}}"#;
    assert_eq!(
        send(&world, "POST", ISSUE, twice).refusal(),
        "parameter_duplicate"
    );
    let placed = format!("{ISSUE}?summary=x");
    assert_eq!(
        send(&world, "POST", &placed, "{}").refusal(),
        "parameter_undeclared"
    );
    assert!(origin.seen().is_empty());
}

#[test]
fn a_parameter_of_path_and_body_agrees_and_the_credential_comes_last() {
    let (world, origin) = world();
    let url = "https://api.good.test/items/7";
    let other = send(&world, "PUT", url, r#"{"id": 8, "name": "n"}"#);
    assert_eq!(other.refusal(), "parameter_invalid", "{other:?}");
    let answer = send(
        &world,
        "PUT",
        url,
        r#"{"api_key": "mine", "name": "n", "id": 7}"#,
    );
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(
        origin.only().text(),
        r#"{"id":7,"name":"n","api_key":"SECRET-CCCC"}"#
    );
    assert_eq!(world.records(2)[1]["replaced"], json!(["body api_key"]));
}

#[test]
fn a_template_that_is_no_pattern_has_no_proxy_door() {
    let (world, origin) = world();
    let answer = send(
        &world,
        "POST",
        "https://api.good.test/count",
        r#"{"least": 10}"#,
    );
    assert_eq!(answer.refusal(), "door_closed", "{answer:?}");
    assert!(origin.seen().is_empty());
}

#[test]
fn a_program_sends_a_body_of_its_own_where_the_policy_accepts_one() {
    let (world, origin) = world();
    let png = ["Content-Type: image/png"];
    let client = world.client();
    let url = "https://api.good.test/items/x/attachments";
    let refused = client.send_inside("POST", url, &png, "bytes");
    assert_eq!(refused.refusal(), "parameter_invalid", "{refused:?}");
    let url = "https://api.good.test/items/7/attachments";
    let answer = client.send_inside("POST", url, &png, "bytes");
    assert_eq!(answer.status, 200, "{answer:?}");
    let seen = origin.only();
    assert_eq!(
        (seen.text(), seen.header("content-type")),
        ("bytes", vec!["image/png"])
    );
    assert_eq!(world.records(2)[1]["body"], "unread");
}

#[test]
fn variables_are_parameters_of_their_types() {
    let (world, origin) = world();
    let url = "https://api.good.test/remind";
    for (body, code) in [
        (r#"{"day": "2026-01-31"}"#, "parameter_missing"),
        (r#"{"email": "nobody"}"#, "parameter_invalid"),
        (
            r#"{"email": "a@b.test", "day": "tomorrow"}"#,
            "parameter_invalid",
        ),
        (
            r#"{"email": "a@b.test", "copies": 1.5}"#,
            "parameter_invalid",
        ),
        (
            r#"{"email": "a@b.test", "other": 1}"#,
            "parameter_undeclared",
        ),
    ] {
        let answer = send(&world, "POST", url, body);
        assert_eq!(answer.refusal(), code, "{body}: {answer:?}");
    }
    let answer = send(
        &world,
        "POST",
        url,
        r#"{"day": "2026-01-31", "email": "a@b.test"}"#,
    );
    assert_eq!(answer.status, 200, "{answer:?}");
    let expected = r#"{"email":"a@b.test","day":"2026-01-31","copies":1}"#;
    assert_eq!(origin.only().text(), expected);
}

#[test]
fn a_variable_of_the_context_that_nobody_has_set_is_named() {
    let (world, origin) = world();
    let answer = send(
        &world,
        "POST",
        "https://api.good.test/invite",
        r#"{"email": "a@b.test"}"#,
    );
    assert_eq!(answer.refusal(), "variable_missing", "{answer:?}");
    assert!(answer.text().contains("contact.name"), "{answer:?}");
    assert!(origin.seen().is_empty());
}
