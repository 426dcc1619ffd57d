//! `exeat test` and `exeat explain` as people and programs call them, with real files.

use std::process::Output;

use serde_json::{Value, json};

use crate::world::Desk;

const POLICY: &str = "\
version: 1
secrets: {key: {env: KEY}, bot: {env: BOT}, other: {env: OTHER}}
auth: {api: {type: bearer, token: {secret: key}}}
context: {contact.email: {type: email}}
actions:
  get_item:
    description: Returns one item of the catalogue.
    method: GET
    url: https://api.good.test/items/{{id}}
    auth: api
    parameters: {properties: {id: {type: integer}}, required: [id]}
  greet:
    description: Greets whoever is there.
    method: GET
    url: https://api.good.test/greet
    headers: {X-Mail: \"{{contact.email}}\", X-Key: \"{{.variables.item.key}}\"}
  find_item:
    description: Finds an item and keeps its key.
    method: GET
    url: https://api.good.test/find
    outputs: {item.key: {path: $.key}}
agents:
  bot: {token: {secret: bot}, allow: [\"*\"]}
  reader: {token: {secret: other}, allow: [find_item]}
";

const PASSING: &str = "\
version: 1
tests:
  - name: an item has a number
    agent: bot
    request: {method: GET, url: \"https://api.good.test/items/x\"}
    expect: {refused: parameter_invalid}
  - name: the key is put in
    agent: bot
    call: {action: get_item, parameters: {id: 7}}
    expect:
      allowed: get_item
      upstream: {url: \"https://api.good.test/items/7\", headers: {Authorization: Bearer <key>}}
  - name: what was found is used
    agent: bot
    context: {contact.email: ada@good.test}
    steps:
      - request: {method: GET, url: \"https://api.good.test/find\"}
        response: {body: {key: K7}}
      - call: {action: greet}
        expect: {upstream: {headers: {x-key: K7, x-mail: ada@good.test}}}
";

const FAILING: &str = "\
tests:
  - name: it goes elsewhere
    agent: bot
    call: {action: get_item, parameters: {id: 7}}
    expect: {upstream: {url: \"https://api.good.test/items/8\"}}
  - name: nobody asks
    request: {method: GET, url: \"https://api.good.test/items/7\"}
    expect: {allowed: get_item}
";

fn desk(files: &[(&str, &str)]) -> Desk {
    let desk = Desk::with(POLICY);
    for (name, text) in files {
        std::fs::write(desk.path(&format!("policies/{name}")), text).unwrap();
    }
    desk
}

fn told(output: &Output) -> (Option<i32>, String) {
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let told = String::from_utf8(output.stdout.clone()).unwrap();
    (output.status.code(), told)
}

fn json_of(output: &Output) -> (Option<i32>, Value) {
    let (code, told) = told(output);
    (code, serde_json::from_str(&told).unwrap())
}

#[test]
fn tests_that_pass_are_a_line_each_and_a_count() {
    let desk = desk(&[("p.test.yaml", PASSING)]);
    let expected = "\
ok      an item has a number
ok      the key is put in
ok      what was found is used
3 passed, 0 failed
";
    for arguments in [
        &["test"][..],
        &["test", "policies"],
        &["test", "policies/p.yaml"],
        &["test", "policies/p.test.yaml"],
    ] {
        let output = desk.run(arguments);
        assert_eq!(told(&output), (Some(0), expected.into()), "{arguments:?}");
    }
    let (code, told) = json_of(&desk.run(&["test", "--json"]));
    assert_eq!(code, Some(0));
    assert_eq!(
        (&told["good"], &told["passed"], &told["failed"]),
        (&json!(true), &json!(3), &json!(0))
    );
    assert_eq!(told["policy_hash"].as_str().unwrap().len(), 64);
}

#[test]
fn a_test_that_fails_shows_what_came_beside_what_was_expected() {
    let desk = desk(&[("a.test.yaml", FAILING), ("p.test.yml", PASSING)]);
    let expected = "\
FAILED  it goes elsewhere (policies/a.test.yaml:2:11)
    policies/a.test.yaml:5:30: upstream url
      expected  https://api.good.test/items/8
      got       https://api.good.test/items/7
                                            ^
FAILED  nobody asks (policies/a.test.yaml:6:11)
    policies/a.test.yaml:8:23: decision
      expected  allowed: get_item
      got       refused: agent_unknown: this policy declares agents: say which of them asks
ok      an item has a number
ok      the key is put in
ok      what was found is used
3 passed, 2 failed
";
    assert_eq!(told(&desk.run(&["test"])), (Some(1), expected.into()));
    let (code, told) = json_of(&desk.run(&["test", "policies/a.test.yaml", "--json"]));
    assert_eq!(code, Some(1));
    assert_eq!(
        told["tests"][0],
        json!({
            "name": "it goes elsewhere", "file": "policies/a.test.yaml", "line": 2, "column": 11, "passed": false,
            "failures": [{
                "step": null, "what": "upstream url", "file": "policies/a.test.yaml", "line": 5, "column": 30,
                "expected": "https://api.good.test/items/8", "got": "https://api.good.test/items/7",
                "refusal": null,
            }],
        })
    );
    let refusal = &told["tests"][1]["failures"][0]["refusal"];
    assert_eq!(refusal["code"], "agent_unknown");
}

#[test]
fn mistakes_in_tests_are_told_at_once_and_nothing_is_tried() {
    let wrong = PASSING
        .replace("parameter_invalid", "parameter_invald")
        .replace("action: get_item", "action: get_itm")
        .replace("upstream: {url", "upstream: {ulr");
    let desk = desk(&[("p.test.yaml", &wrong)]);
    let (code, said) = told(&desk.run(&["test"]));
    assert_eq!(code, Some(1));
    for (headline, mends) in [
        (
            "policies/p.test.yaml:6:23: error: `parameter_invald` is not the code of a refusal",
            "`parameter_invalid`",
        ),
        (
            "policies/p.test.yaml:9:20: error: no action `get_itm` is declared",
            "`get_item`",
        ),
        (
            "policies/p.test.yaml:12:18: error: unknown field `ulr` in an expected request",
            "`url`",
        ),
    ] {
        let (_, after) = said
            .split_once(headline)
            .unwrap_or_else(|| panic!("{said}"));
        let after = after.split("\n\n").next().unwrap();
        assert!(after.contains(mends), "{said}");
    }
    assert!(said.ends_with("no test was tried\n"), "{said}");
    let (code, told) = json_of(&desk.run(&["test", "--json"]));
    assert_eq!((code, &told["good"]), (Some(1), &json!(false)));
    assert_eq!(told["problems"].as_array().unwrap().len(), 3);
}

#[test]
fn a_policy_that_does_not_check_has_no_tests_tried() {
    let desk = desk(&[("p.test.yaml", PASSING)]);
    std::fs::write(desk.path("policies/q.yaml"), "version: 1\nacton: {}\n").unwrap();
    let (code, said) = told(&desk.run(&["test"]));
    assert_eq!(code, Some(1));
    assert!(said.contains("unknown field `acton`"), "{said}");
    assert!(said.ends_with("no test was tried\n"), "{said}");
}

#[test]
fn no_tests_are_no_failure_and_say_where_to_write_some() {
    let (code, said) = told(&desk(&[]).run(&["test"]));
    assert_eq!(code, Some(0));
    assert!(said.contains("NAME.test.yaml"), "{said}");
    let output = desk(&[]).run(&["test", "--jsn"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn an_explanation_ends_with_the_request_that_would_leave() {
    let desk = desk(&[]);
    let asked = [
        "explain",
        "--agent",
        "bot",
        "GET",
        "http://API.good.test/items/7",
        "-H",
        "Authorization: Bearer mine",
        "-H",
        "X-Other: 1",
    ];
    let (code, said) = told(&desk.run(&asked));
    assert_eq!(code, Some(0), "{said}");
    for line in [
        "agent           ok  bot",
        "target          -   http:// is carried over TLS, to api.good.test, port 443, https",
        "action          ok  get_item: GET api.good.test/items/{{id}}",
        "allow           ok  bot may: `*` fits",
        "parameters      ok  id = 7",
        "parameters      -   what the agent sent as header authorization is taken out: the place is exeat's",
        "permitted: get_item",
        "GET https://api.good.test/items/7",
        "authorization: Bearer <key>",
    ] {
        assert!(said.lines().any(|it| it == line), "{line}\n{said}");
    }
    assert!(!said.contains("mine"), "{said}");
    let call = [
        "explain",
        "--json",
        "--agent",
        "bot",
        "--call",
        "greet",
        "--context",
        "contact.email=ada@good.test",
        "--variable",
        "item.key=K7",
    ];
    let (code, told) = json_of(&desk.run(&call));
    assert_eq!((code, &told["permitted"]), (Some(0), &json!(true)));
    assert_eq!(told["action"], "greet");
    assert_eq!(told["request"]["headers"]["x-key"], "K7");
    let first = &told["trail"][0];
    assert_eq!(
        first,
        &json!({"rule": "agent", "finding": "good", "says": "bot"})
    );
}

#[test]
fn an_explanation_shows_the_refusal_as_the_agent_would_see_it() {
    let desk = desk(&[]);
    let url = "https://api.good.test/items/7";
    for (arguments, rule, code) in [
        (&["GET", url][..], "agent", "agent_unknown"),
        (
            &["--agent", "bot", "BREW", url],
            "canonical form",
            "method_refused",
        ),
        (
            &["--agent", "bot", "GET", "https://evil.test/"],
            "host",
            "host_undeclared",
        ),
        (
            &["--agent", "bot", "GET", "https://api.good.test:22/"],
            "port",
            "port_undeclared",
        ),
        (
            &["--agent", "bot", "DELETE", url],
            "action",
            "action_undeclared",
        ),
        (
            &["--agent", "reader", "GET", url],
            "allow",
            "action_not_allowed",
        ),
        (
            &["--agent", "bot", "GET", "https://api.good.test/items/x"],
            "parameters",
            "parameter_invalid",
        ),
        (
            &["--agent", "bot", "--call", "get_item"],
            "schema",
            "parameter_missing",
        ),
        (
            &["--agent", "bot", "--call", "get_item", "-p", "id=x"],
            "schema",
            "parameter_invalid",
        ),
        (
            &["--agent", "bot", "--call", "greet"],
            "request",
            "variable_missing",
        ),
    ] {
        let arguments = [&["explain"], arguments].concat();
        let (status, said) = told(&desk.run(&arguments));
        assert_eq!(status, Some(1), "{said}");
        let against: Vec<&str> = said.lines().filter(|it| it.contains("  NO  ")).collect();
        let [against] = against.as_slice() else {
            panic!("{said}");
        };
        assert!(against.starts_with(&format!("{rule} ")), "{said}");
        assert!(said.contains(&format!("refused: {code} (")), "{said}");
        assert!(said.contains(&format!("\"code\": \"{code}\"")), "{said}");
        let with_json = [&arguments[..], &["--json"]].concat();
        let (status, told) = json_of(&desk.run(&with_json));
        assert_eq!((status, &told["permitted"]), (Some(1), &json!(false)));
        assert_eq!(told["refusal"]["code"], code);
        assert_eq!(
            told["trail"].as_array().unwrap().last().unwrap()["finding"],
            "against"
        );
    }
}

#[test]
fn what_cannot_be_explained_is_a_mistake_in_the_call() {
    let desk = desk(&[]);
    for (arguments, says) in [
        (&["explain"][..], "METHOD"),
        (&["explain", "GET"], "URL"),
        (
            &["explain", "--call", "greet", "GET", "https://a.test/"],
            "cannot be used with",
        ),
        (
            &["explain", "--agent", "bott", "GET", "https://a.test/"],
            "there is no agent bott; there are bot, reader",
        ),
        (
            &["explain", "GET", "https://a.test/", "-H", "nothing"],
            "NAME: VALUE",
        ),
        (
            &[
                "explain",
                "--context",
                "contact.mail=x",
                "GET",
                "https://a.test/",
            ],
            "--context",
        ),
        (&["explain", "--call", "greet", "-p", "x"], "NAME=VALUE"),
    ] {
        let output = desk.run(arguments);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(says), "{says}\n{said}");
    }
}
