//! Connectors whose credential stands in the body.

use crate::world::{Plan, json_reply};

const IN_BODY: &str = r#"
version: 1
secrets:
  good_token: {env: GOOD_TOKEN}
auth:
  good: {type: api_key, in: body, name: api_key, value: {secret: good_token}, placeholder: no-key-here}
actions:
  search:
    description: Searches the catalogue.
    method: POST
    url: https://api.good.test/search
    auth: good
    parameters: {properties: {q: {type: string}, n: {type: integer}}}
  search_form:
    description: Searches the catalogue as a form.
    method: POST
    url: https://api.good.test/form
    auth: good
    content_types: [application/x-www-form-urlencoded, application/json]
    parameters: {properties: {q: {type: string}}}
  open:
    description: Searches with anything.
    method: POST
    url: https://api.good.test/open
    auth: good
    parameters: {type: object, additionalProperties: true}
"#;

#[test]
fn a_key_in_the_body_is_the_last_member_and_the_only_one_of_its_name() {
    let world = Plan::of(IN_BODY).start();
    let api = world.origin("api.good.test", |_| json_reply("{}"));
    let (json, form) = ("application/json", "application/x-www-form-urlencoded");
    const KEY: &str = r#""api_key":"SECRET-AAAA""#;
    for (path, kind, body, expected) in [
        ("search", json, "", format!("{{{KEY}}}")),
        ("search", json, "{}", format!("{{{KEY}}}")),
        (
            "search",
            json,
            r#"{"q":"x"}"#,
            format!(r#"{{"q":"x",{KEY}}}"#),
        ),
        (
            "search",
            json,
            r#"{"api_key":"no-key-here","n":1,"q":"x"}"#,
            format!(r#"{{"q":"x","n":1,{KEY}}}"#),
        ),
        (
            "search",
            json,
            r#"{"\u0061pi_key":{"a":[1]},"q":"}"}"#,
            format!(r#"{{"q":"}}",{KEY}}}"#),
        ),
        (
            "search",
            form,
            "q=x&api%5Fkey=mine",
            format!(r#"{{"q":"x",{KEY}}}"#),
        ),
        (
            "form",
            form,
            "api_key=a&q=x+y&api_key=b",
            "q=x%20y&api_key=SECRET-AAAA".into(),
        ),
        (
            "form",
            json,
            r#"{"q":"x"}"#,
            "q=x&api_key=SECRET-AAAA".into(),
        ),
        ("form", form, "", "api_key=SECRET-AAAA".into()),
        (
            "open",
            json,
            r#"{"x":{"y":1}}"#,
            format!(r#"{{"x":{{"y":1}},{KEY}}}"#),
        ),
    ] {
        let kind = format!("Content-Type: {kind}");
        let url = format!("http://api.good.test/{path}");
        let answer = world.client().send("POST", &url, &[&kind], body);
        assert_eq!((answer.status, answer.refusal()), (200, "none"), "{body}");
        assert_eq!(api.seen().last().unwrap().text(), expected, "{body}");
    }
    let records = world.records(10);
    assert_eq!(records[3]["replaced"][0], "body api_key");
    assert!(!world.everything_written().contains("SECRET-AAAA"));
}

#[test]
fn what_could_be_read_as_the_key_in_the_body_is_refused() {
    let json = "Content-Type: application/json";
    let form = "Content-Type: application/x-www-form-urlencoded";
    for (path, kind, body, expected) in [
        (
            "search",
            json,
            r#"{"API_KEY":"mine"}"#,
            "parameter_undeclared",
        ),
        (
            "search",
            json,
            r#"{"api_\u212aey":"mine"}"#,
            "parameter_undeclared",
        ),
        ("search", form, "Api_Key=mine", "parameter_undeclared"),
        (
            "open",
            json,
            r#"{"Api_Key":"mine"}"#,
            "parameter_undeclared",
        ),
        (
            "search",
            json,
            r#"{"api_key":1,"api_key":2}"#,
            "parameter_duplicate",
        ),
        (
            "search",
            json,
            r#"{"q":"no-key-here"}"#,
            "placeholder_misplaced",
        ),
        (
            "open",
            json,
            r#"{"x":{"api_key":"no-key-here"}}"#,
            "placeholder_misplaced",
        ),
    ] {
        let world = Plan::of(IN_BODY).start();
        let url = format!("http://api.good.test/{path}");
        let answer = world.client().send("POST", &url, &[kind], body);
        assert_eq!(answer.refusal(), expected, "{body}");
        world.assert_nothing_left();
    }
}
