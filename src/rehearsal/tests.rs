//! Tests of policies, tried: what passes, what does not and how that is told, and what of a session goes on.

use std::sync::Arc;

use crate::policy::{Policy, from_texts, trials_from_texts};
use crate::problem::{Problem, Style};
use crate::rehearsal::play;

const POLICY: &str = r#"version: 1
environments: [production, staging]
secrets: {a: {env: A}, b: {env: B}, bot: {env: C}, reader: {env: D}}
context:
  contact.email: {type: email}
auth:
  bearer: {type: bearer, token: {secret: a}, placeholder: none-here}
  basic: {type: basic, username: bot, password: {secret: b}}
  key: {type: api_key, in: query, name: key, value: {secret: b}}
  inside: {type: api_key, in: body, name: key, value: {secret: b}}
  token: {type: oauth2_client_credentials, token_url: "https://login.good.test/token", client_id: x, client_secret: {secret: a}}
actions:
  get_item:
    description: Gets one item by its identifier.
    method: GET
    url: {production: "https://api.good.test/items/{{id}}", staging: "https://api.staging.test/items/{{id}}"}
    auth: bearer
    rate_limit: {limit: 30, per: minute, burst: 10, key: agent}
    parameters: {properties: {id: {type: string, pattern: "^[a-z0-9]+$"}}, required: [id]}
  add_item:
    description: Adds one item to the list.
    method: POST
    url: https://api.good.test/items
    auth: basic
    parameters: {properties: {name: {type: string}, size: {type: number, default: 1}}, required: [name]}
    max_request_bytes: 64
  search:
    description: Searches all items for a text.
    method: GET
    url: https://search.good.test/
    auth: key
    parameters: {properties: {q: {type: string}}, required: [q]}
  fill:
    description: Fills in what is missing.
    method: POST
    url: https://search.good.test/fill
    auth: inside
    parameters: {properties: {q: {type: string}}}
  ask:
    description: Asks with a token of its own.
    method: GET
    url: https://ask.good.test/
    auth: token
    headers: {X-Mail: "{{contact.email}}", X-At: "{{current_datetime}}"}
  upload:
    description: Stores some bytes as they are.
    method: PUT
    url: https://api.good.test/upload
    accept_body: any
  off:
    description: Is switched off for now.
    method: GET
    url: https://api.good.test/off
    enabled: false
  verify:
    description: Verifies a customer by number and PIN.
    method: POST
    url: https://crm.good.test/verify
    parameters: {properties: {number: {type: string}, pin: {type: string}}, required: [number, pin]}
    success: {status: [200], path: $.verified, equals: true}
    outcomes:
      - {status: 200, path: $.verified, equals: true, name: verified}
      - {path: $.verified, equals: false, name: not_verified, say: "Ask again ({{status}})."}
    outputs:
      customer.name: {path: $.name, expose: true}
      customer.token: {path: $.token, sensitive: true}
    response: {fields: [$.verified, $.name, $.token]}
  orders:
    description: Lists the orders of a verified customer.
    method: GET
    url: https://crm.good.test/orders
    headers: {X-Name: "{{.variables.customer.name}}"}
    parameters: {properties: {number: {type: string}}, required: [number]}
    requires: [{action: verify, within: 15m, bind: {number: number}}]
  me:
    description: Gets the item of whoever asks.
    method: GET
    url: {production: "https://api.good.test/items/me", staging: "https://api.staging.test/items/me"}
  tool:
    description: Is there for tools only.
    method: GET
    url: https://api.good.test/tool
    doors: [mcp]
  plain:
    description: Goes over cleartext, without a secret.
    method: GET
    url: http://plain.good.test:8080/
    allow_http: true
network:
  allow_private: [{host: crm.good.test, addresses: [10.0.5.0/24], port: 443}]
tunnels:
  index: {hosts: [index.good.test]}
agents:
  bot: {token: {secret: bot}, allow: ["*"]}
  reader: {token: {secret: reader}, environment: staging, allow: [get_item]}
"#;

pub(super) fn policy() -> Arc<Policy> {
    let loaded = from_texts(&[("p.yaml".into(), POLICY.into())]);
    let drawn = |it| loaded.sources.render(it, Style::Plain);
    let told: String = loaded.problems.iter().map(drawn).collect();
    Arc::new(loaded.policy.unwrap_or_else(|| panic!("{told}")))
}

/// What came of a file of tests: a line for each difference, `name: what: expected | got`.
fn tried(tests: &str) -> Vec<String> {
    let policy = policy();
    let read = trials_from_texts(&[("p.test.yaml".into(), tests.into())], &policy);
    let drawn = |it: &Problem| read.sources.render(it, Style::Plain);
    let told: String = read.problems.iter().map(drawn).collect();
    assert!(!read.problems.has_errors(), "{told}");
    let mut lines = Vec::new();
    for trial in &read.trials {
        for it in play(&policy, trial).failures {
            let step = it.step.map(|step| format!("{step}: "));
            let (what, expected, got) = (it.what, it.expected, it.got);
            let step = step.unwrap_or_default();
            lines.push(format!("{step}{what}: {expected} | {got}"));
        }
    }
    lines
}

/// Tries one test with these fields, asked by `bot`.
fn one(fields: &str) -> Vec<String> {
    tried(&format!("tests:\n- {{name: it, agent: bot, {fields}}}\n"))
}

#[test]
fn what_is_expected_and_comes_is_no_difference() {
    for fields in [
        r#"request: {method: GET, url: "https://api.good.test/items/7"}, expect: {allowed: get_item}"#,
        r#"request: {method: GET, url: "http://API.good.test:80/items/%37?"}, expect: {upstream: {url: "https://api.good.test/items/7"}}"#,
        r#"request: {method: GET, url: "https://api.good.test/items/7", headers: {Authorization: Bearer x}}, expect: {upstream: {headers: {authorization: Bearer <a>, cookie: null}}}"#,
        r#"call: {action: get_item, parameters: {id: "7"}}, expect: {allowed: get_item, upstream: {method: GET}}"#,
        r#"call: {action: add_item, parameters: {name: x}}, expect: {upstream: {headers: {Authorization: Basic <basic>}, body: {size: 1.0, name: x}}}"#,
        r#"call: {action: add_item, parameters: {name: x}}, expect: {upstream: {body: '{"name":"x","size":1}'}}"#,
        r#"request: {method: POST, url: "https://api.good.test/items", body: {name: x}}, expect: {allowed: add_item}"#,
        r#"request: {method: POST, url: "https://api.good.test/items", headers: {Content-Type: application/x-www-form-urlencoded}, body: name=x}, expect: {upstream: {body: {name: x, size: 1}}}"#,
        r#"call: {action: search, parameters: {q: a b}}, expect: {upstream: {url: "https://search.good.test/?q=a%20b&key=<b>", body: null}}"#,
        r#"call: {action: fill, parameters: {q: x}}, expect: {upstream: {body: {q: x, key: <b>}}}"#,
        r#"call: {action: ask}, context: {contact.email: a@good.test}, now: "2026-01-31T10:30:00+01:00", expect: {upstream: {headers: {Authorization: Bearer <token>, X-Mail: a@good.test, X-At: "2026-01-31T09:30:00Z"}}}"#,
        r#"call: {action: ask}, context: {contact.email: a@good.test}, expect: {upstream: {headers: {X-At: "2026-01-01T00:00:00Z"}}}"#,
        r#"request: {method: PUT, url: "https://api.good.test/upload", body: "none-here, unread"}, expect: {upstream: {body: "none-here, unread"}}"#,
        r#"environment: staging, request: {method: GET, url: "https://api.staging.test/items/7"}, expect: {allowed: get_item}"#,
    ] {
        assert_eq!(one(fields), [""; 0], "{fields}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn refusals_are_those_of_the_doors() {
    for (fields, code) in [
        (
            r#"request: {method: GET, url: "https://evil.test/"}"#,
            "host_undeclared",
        ),
        (
            r#"request: {method: GET, url: "https://api.staging.test/items/7"}"#,
            "host_undeclared",
        ),
        (
            r#"request: {method: GET, url: "https://api.good.test:22/items/7"}"#,
            "port_undeclared",
        ),
        (
            r#"request: {method: GET, url: "https://127.0.0.1/"}"#,
            "address_refused",
        ),
        (
            r#"request: {method: GET, url: "/items/7"}"#,
            "not_a_proxy_request",
        ),
        (
            r#"request: {method: TRACE, url: "https://api.good.test/items/7"}"#,
            "method_refused",
        ),
        (
            r#"request: {method: GET, url: "https://api.good.test/items/../off"}"#,
            "path_not_canonical",
        ),
        (
            r#"request: {method: GET, url: "https://api.good.test/nothing"}"#,
            "action_undeclared",
        ),
        (
            r#"request: {method: GET, url: "https://api.good.test/off"}"#,
            "action_disabled",
        ),
        (r#"call: {action: off}"#, "action_disabled"),
        (r#"call: {action: upload}"#, "door_closed"),
        (
            r#"request: {method: GET, url: "https://api.good.test/items/A"}"#,
            "parameter_invalid",
        ),
        (
            r#"request: {method: GET, url: "https://api.good.test/items/7?x=1"}"#,
            "parameter_undeclared",
        ),
        (
            r#"request: {method: POST, url: "https://api.good.test/items", headers: {Content-Type: application/json}, body: '{"name":1,"name":2}'}"#,
            "parameter_duplicate",
        ),
        (
            r#"request: {method: POST, url: "https://api.good.test/items", body: 'no type'}"#,
            "content_type_refused",
        ),
        (
            r#"request: {method: POST, url: "https://api.good.test/items", body: {name: none-here}}"#,
            "placeholder_misplaced",
        ),
        (
            r#"call: {action: add_item, parameters: {}}"#,
            "parameter_missing",
        ),
        (
            r#"call: {action: add_item, parameters: {name: "0123456789012345678901234567890123456789012345678901234567890123"}}"#,
            "too_large",
        ),
        (r#"call: {action: ask}"#, "variable_missing"),
        (
            r#"call: {action: orders, parameters: {number: "1"}}"#,
            "precondition_unmet",
        ),
    ] {
        let fields = format!("{fields}, expect: {{refused: {code}}}");
        assert_eq!(one(&fields), [""; 0], "{fields}");
    }
}

#[test]
fn an_agent_has_its_own_actions_and_its_own_environment() {
    let asked = r#"request: {method: GET, url: "https://api.staging.test/items/7"}"#;
    for (who, expect) in [
        ("agent: reader", "allowed: get_item"),
        ("agent: bot, environment: staging", "allowed: get_item"),
        ("agent: bot", "refused: host_undeclared"),
        ("environment: staging", "refused: agent_unknown"),
    ] {
        let test = format!("tests:\n- {{name: it, {who}, {asked}, expect: {{{expect}}}}}\n");
        assert_eq!(tried(&test), [""; 0], "{who}");
    }
    let call = "call: {action: search, parameters: {q: x}}, expect: {refused: action_not_allowed}";
    let test = format!("tests:\n- {{name: it, agent: reader, {call}}}\n");
    assert_eq!(tried(&test), [""; 0]);
}

#[test]
fn what_comes_otherwise_is_told_beside_what_was_expected() {
    for (fields, expected) in [
        (
            r#"request: {method: GET, url: "https://api.good.test/items/7"}, expect: {refused: action_disabled}"#,
            vec![
                "decision: refused: action_disabled | allowed: get_item, as https://api.good.test/items/7",
            ],
        ),
        (
            r#"request: {method: GET, url: "https://api.good.test/off"}, expect: {refused: door_closed}"#,
            vec![
                "decision: refused: door_closed | refused: action_disabled: the action off is switched off",
            ],
        ),
        (
            r#"request: {method: GET, url: "https://api.good.test/off"}, expect: {upstream: {method: GET}}"#,
            vec!["decision: allowed | refused: action_disabled: the action off is switched off"],
        ),
        (
            r#"call: {action: get_item, parameters: {id: "7"}}, expect: {allowed: search, upstream: {method: POST, url: x, headers: {authorization: [Bearer, x], x-a: y, accept-encoding: null}}}"#,
            vec![
                "decision: allowed: search | allowed: get_item",
                "upstream method: POST | GET",
                "upstream url: x | https://api.good.test/items/7",
                "upstream header authorization: Bearer, x | Bearer <a>",
                "upstream header x-a: y | nothing",
                "upstream header accept-encoding: nothing | identity",
            ],
        ),
        (
            r#"call: {action: add_item, parameters: {name: x}}, expect: {upstream: {body: {name: "y", size: "1", more: null, list: [1]}}}"#,
            vec![
                r#"upstream body at /name: "y" | "x""#,
                r#"upstream body at /size: "1" | 1"#,
                "upstream body at /more: null | nothing",
                "upstream body at /list: [1] | nothing",
            ],
        ),
        (
            r#"call: {action: add_item, parameters: {name: x}}, expect: {upstream: {body: null}}"#,
            vec![r#"upstream body: nothing | {"name":"x","size":1}"#],
        ),
    ] {
        assert_eq!(one(fields), expected, "{fields}");
    }
}

#[test]
fn a_given_reply_is_read_as_a_real_one() {
    let call = r#"call: {action: verify, parameters: {number: "1", pin: "2"}}"#;
    let reply = "response: {body: {verified: true, name: Ada, token: T, more: 1}}";
    let good = r#"{outcome: verified, returned: {verified: true, name: Ada, token: <customer.token>}, outputs: {customer.name: Ada, customer.token: T}}"#;
    assert_eq!(one(&format!("{call}, {reply}, expect: {good}")), [""; 0]);
    let bad = r#"{outcome: succeeded, say: x, returned: {verified: true}, outputs: {customer.name: null}}"#;
    assert_eq!(
        one(&format!("{call}, {reply}, expect: {bad}")),
        [
            "outcome: succeeded | verified",
            "say: x | nothing",
            r#"returned at /name: nothing | "Ada""#,
            r#"returned at /token: nothing | "<customer.token>""#,
            r#"output customer.name: nothing | "Ada""#,
        ]
    );
    let failed = "response: {body: {verified: false, name: Ada}}";
    let says =
        r#"{outcome: not_verified, say: "Ask again (200).", outputs: {customer.name: null}}"#;
    assert_eq!(one(&format!("{call}, {failed}, expect: {says}")), [""; 0]);
    let withheld =
        "response: {status: 201, body: no JSON}, expect: {outcome: failed, returned: null}";
    assert_eq!(one(&format!("{call}, {withheld}")), [""; 0]);
    let plain = r#"call: {action: search, parameters: {q: x}}, response: {headers: {content-type: text/plain}, body: as it is}, expect: {outcome: succeeded, returned: as it is}"#;
    assert_eq!(one(plain), [""; 0]);
}

/// A verification, and another request after it.
fn after_verifying(reply: &str, then: &str) -> Vec<String> {
    tried(&format!(
        r#"tests:
- name: it
  agent: bot
  now: 2026-01-01T10:00:00Z
  steps:
  - name: verify
    call: {{action: verify, parameters: {{number: "1", pin: "2"}}}}
    {reply}
  - {{{then}}}
"#
    ))
}

#[test]
fn steps_share_a_session_and_its_clock() {
    let verified = "response: {body: {verified: true, name: Ada, token: T}}";
    let refused = "response: {body: {verified: false}}";
    let orders = r#"call: {action: orders, parameters: {number: "1"}}"#;
    let allowed = "expect: {upstream: {headers: {x-name: Ada}}}";
    let unmet = "expect: {refused: precondition_unmet}";
    for (reply, then) in [
        (verified, format!("{orders}, {allowed}")),
        (
            verified,
            format!("{orders}, now: 2026-01-01T10:15:00Z, {allowed}"),
        ),
        (
            verified,
            format!("{orders}, now: 2026-01-01T10:15:01Z, {unmet}"),
        ),
        (
            verified,
            format!(r#"call: {{action: orders, parameters: {{number: "2"}}}}, {unmet}"#),
        ),
        (refused, format!("{orders}, {unmet}")),
        ("", format!("{orders}, {unmet}")),
        (
            verified,
            format!("{orders}, agent: reader, expect: {{refused: action_not_allowed}}"),
        ),
        (
            verified,
            r#"request: {method: GET, url: "https://crm.good.test/orders?number=1"}, expect: {allowed: orders}"#.into(),
        ),
    ] {
        assert_eq!(after_verifying(reply, &then), [""; 0], "{then}");
    }
    let failed = after_verifying(refused, &format!("{orders}, name: look up, {allowed}"));
    assert!(
        failed[0].starts_with("step 2, look up: decision: allowed | refused: precondition_unmet"),
        "{failed:?}"
    );
}

#[test]
fn a_step_that_fails_is_the_last_one_tried() {
    let failed = tried(
        r#"tests:
- name: it
  agent: bot
  steps:
  - {call: {action: off}}
  - {call: {action: off}, expect: {allowed: off}}
"#,
    );
    assert_eq!(
        failed,
        ["step 1: decision: allowed | refused: action_disabled: the action off is switched off"]
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table of cases")]
fn every_mistake_is_told_at_its_place_with_a_remedy() {
    let asked = r#"request: {method: GET, url: "https://api.good.test/items/7"}"#;
    let ok = "expect: {allowed: get_item}";
    for (fields, place, message, remedy) in [
        (
            asked.to_owned(),
            (2, 10),
            "expects nothing",
            "expect: {allowed",
        ),
        (
            format!("{asked}, expect: {{}}"),
            (2, 0),
            "nothing is expected here",
            "allowed",
        ),
        (
            format!("{asked}, expect: {{upstream: {{}}}}"),
            (2, 0),
            "nothing is expected of the request",
            "url",
        ),
        (
            ok.to_owned(),
            (2, 0),
            "nothing is asked here",
            "request: {method",
        ),
        (
            format!("{asked}, call: {{action: off}}, {ok}"),
            (2, 0),
            "beside each other",
            "steps",
        ),
        (
            format!("{asked}, expect: {{refused: acton_disabled}}"),
            (2, 0),
            "not the code of a refusal",
            "`action_disabled`",
        ),
        (
            format!("{asked}, expect: {{refused: foo}}"),
            (2, 0),
            "not the code of a refusal",
            "exeat explain",
        ),
        (
            format!("{asked}, expect: {{allowed: get_itm}}"),
            (2, 0),
            "no action `get_itm`",
            "`get_item`",
        ),
        (
            format!("{asked}, expect: {{allowed: get_item, refused: too_large}}"),
            (2, 0),
            "what is refused has no `allowed`",
            "keep one",
        ),
        (
            format!("{asked}, expect: {{outcome: verified}}"),
            (2, 0),
            "`outcome` is about a reply",
            "`response`",
        ),
        (
            format!("{asked}, response: {{}}, expect: {{outcome: verifid}}"),
            (2, 0),
            "no outcome `verifid`",
            "`verified`",
        ),
        (
            format!("{asked}, response: {{}}, expect: {{outputs: {{customer.nam: x}}}}"),
            (2, 0),
            "no output `customer.nam`",
            "`customer.name`",
        ),
        (
            format!("{asked}, response: {{status: 99}}, {ok}"),
            (2, 0),
            "not the status of a reply",
            "599",
        ),
        (
            format!("call: {{action: get_itm}}, {ok}"),
            (2, 0),
            "no action `get_itm`",
            "`get_item`",
        ),
        (
            format!("{asked}, agent: bott, {ok}"),
            (2, 0),
            "no agent `bott`",
            "`bot`",
        ),
        (
            format!("{asked}, environment: stagin, {ok}"),
            (2, 0),
            "no environment `stagin`",
            "`staging`",
        ),
        (
            format!("{asked}, agent: reader, environment: production, {ok}"),
            (2, 0),
            "works in `staging`",
            "remove",
        ),
        (
            format!("{asked}, now: today, {ok}"),
            (2, 0),
            "not a time",
            "RFC 3339",
        ),
        (
            format!("{asked}, context: {{contact.mail: x}}, {ok}"),
            (2, 0),
            "the runtime cannot set this",
            "`context:`",
        ),
        (
            format!("{asked}, context: {{contact.email: x}}, {ok}"),
            (2, 0),
            "the runtime cannot set this",
            "`context:`",
        ),
        (
            format!("request: {{method: GET, url: x, headers: {{'a b': c}}}}, {ok}"),
            (2, 0),
            "not the name of a header",
            "letters",
        ),
        (
            format!("request: {{method: GET, url: x, headers: {{a: }}}}, {ok}"),
            (2, 0),
            "has a value",
            "give it one",
        ),
        (
            format!("request: {{metod: GET, url: x}}, {ok}"),
            (2, 0),
            "unknown field `metod`",
            "`method`",
        ),
        (
            format!("{asked}, steps: [{{call: {{action: off}}, {ok}}}]"),
            (2, 10),
            "either `steps`",
            "first of the steps",
        ),
        (
            format!("{ok}, steps: [{{call: {{action: off}}, {ok}}}]"),
            (2, 10),
            "each step has its own",
            "move it",
        ),
        (
            "steps: [{call: {action: off}}]".into(),
            (2, 10),
            "no step of this test expects anything",
            "expect",
        ),
        (
            format!(
                "now: 2026-01-01T10:00:00Z, steps: [{{{asked}, {ok}}}, {{{asked}, now: 2026-01-01T09:00:00Z}}]"
            ),
            (2, 0),
            "before the time of an earlier",
            "go on",
        ),
    ] {
        let policy = policy();
        let text = format!("tests:\n- {{name: it, {fields}}}\n");
        let read = trials_from_texts(&[("p.test.yaml".into(), text.into())], &policy);
        let told: Vec<&Problem> = read.problems.iter().collect();
        let [problem] = told.as_slice() else {
            panic!("{fields}: {told:#?}");
        };
        assert!(problem.message().contains(message), "{fields}: {problem:?}");
        let mends = problem.remedy_text().unwrap_or_default();
        assert!(mends.contains(remedy), "{fields}: {problem:?}");
        let (line, column) = place;
        assert_eq!(problem.place().line(), line, "{fields}");
        assert!(
            column == 0 || problem.place().column() == column,
            "{fields}: {problem:?}"
        );
        assert!(read.trials.is_empty());
    }
}

#[test]
fn a_file_may_say_its_version_and_has_tests() {
    assert_eq!(tried("version: 1\ntests: []\n"), [""; 0]);
    for (text, message) in [
        ("version: 2\ntests: []\n", "expected `1`"),
        ("", "the file is empty"),
        ("version: 1\n", "needs `tests`"),
        ("test: []\n", "unknown field `test`"),
        ("tests: {}\n", "expected a list"),
        ("tests: [{}]\n", "needs `name`"),
    ] {
        let read = trials_from_texts(&[("p.test.yaml".into(), text.into())], &policy());
        let mut told = read.problems.iter().map(Problem::message);
        assert!(
            told.any(|it| it.contains(message)),
            "{text}: {:?}",
            read.problems
        );
    }
}
