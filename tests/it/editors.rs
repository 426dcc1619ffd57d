//! `exeat schema`: what editors are told of the language is what `exeat check` holds.

use std::path::Path;
use std::process::Command;

use exeat::app;
use exeat::app::Given;
use exeat::policy;
use exeat::problem::{Problems, Sources};
use exeat::yaml;
use jsonschema::Validator;
use serde_json::{Value, json};

use crate::docs;

/// The text of a YAML file as the value that an editor sees.
fn seen(text: &str) -> Value {
    let (mut sources, mut problems) = (Sources::new(), Problems::new());
    let node = yaml::parse("seen.yaml", text.as_bytes(), &mut sources, &mut problems);
    yaml::to_json(&node.unwrap(), &mut problems).unwrap().value
}

fn is_accepted(policy: &str) -> bool {
    policy::from_texts(&[("policy.yaml".into(), policy.into())])
        .policy
        .is_some()
}

fn validator() -> Validator {
    jsonschema::draft202012::new(&policy::json_schema()).unwrap()
}

/// Every policy that we ship or show, with its place.
fn policies() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = docs::policies();
    for entry in std::fs::read_dir(root.join("policies")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.ends_with(".yaml") && !name.ends_with(".test.yaml") {
            found.push((name.into(), std::fs::read_to_string(&path).unwrap()));
        }
    }
    found
}

#[test]
fn the_command_prints_schemas_of_the_2020_12_dialect() {
    for (arguments, expected) in [
        (&["schema"][..], policy::json_schema()),
        (&["schema", "--settings"], app::json_schema()),
        (&["schema", "--tests"], policy::json_schema_of_tests()),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_exeat"));
        let output = command.args(arguments).output().unwrap();
        assert!(output.status.success());
        let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(printed, expected);
        assert!(jsonschema::draft202012::meta::is_valid(&printed));
    }
}

#[test]
fn every_policy_that_is_shipped_or_shown_fits() {
    let validator = validator();
    let policies = policies();
    assert!(policies.len() > 10);
    for (place, text) in policies {
        let told: Vec<String> = validator
            .iter_errors(&seen(&text))
            .map(|it| format!("{}: {it}", it.instance_path()))
            .collect();
        assert!(told.is_empty(), "{place}: {told:#?}");
    }
}

/// Every place of every policy is changed in every way of the list, and what an editor would mark has to be a mistake.
#[test]
fn what_an_editor_marks_is_refused() {
    let others = [
        json!("odd one"),
        json!(7),
        json!(true),
        json!([]),
        json!(["x"]),
        json!({}),
        json!({"x": "y"}),
        json!({"secret": "x"}),
    ];
    let validator = validator();
    let mut marked = 0;
    for (place, text) in policies() {
        let whole = seen(&text);
        let mut pointers = Vec::new();
        list(&whole, String::new(), &mut pointers);
        for pointer in pointers.iter().filter(|it| !is_in_a_schema(it)) {
            for changed in changes(&whole, pointer, &others) {
                if !validator.is_valid(&changed) {
                    let text = changed.to_string();
                    assert!(!is_accepted(&text), "{place}{pointer}: {text}");
                    marked += 1;
                }
            }
        }
    }
    assert!(marked > 1000, "{marked}");
}

/// The value with another one at the pointer, with a key more, and without what stands there.
fn changes(whole: &Value, pointer: &str, others: &[Value]) -> Vec<Value> {
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut copy = whole.clone();
        change(&mut copy);
        copy
    };
    let replaced = others
        .iter()
        .map(|other| changed(&|it| *it.pointer_mut(pointer).unwrap() = other.clone()));
    let more = changed(&|it| {
        if let Value::Object(members) = it.pointer_mut(pointer).unwrap() {
            members.insert("unheard_of".into(), "x".into());
        }
    });
    let (parent, key) = pointer.rsplit_once('/').unwrap_or(("", ""));
    let key = key.replace("~1", "/").replace("~0", "~");
    let less = changed(&|it| match it.pointer_mut(parent).unwrap() {
        Value::Object(members) => drop(members.shift_remove(&key)),
        Value::Array(items) => drop(items.remove(key.parse().unwrap_or(0))),
        _ => {}
    });
    replaced.chain([more, less]).collect()
}

/// The pointers of all places below the root.
fn list(value: &Value, pointer: String, found: &mut Vec<String>) {
    let mut below = |key: &str, value: &Value| {
        let key = key.replace('~', "~0").replace('/', "~1");
        list(value, format!("{pointer}/{key}"), found);
    };
    match value {
        Value::Object(members) => members.iter().for_each(|(key, value)| below(key, value)),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                below(&index.to_string(), item);
            }
        }
        _ => {}
    }
    if !pointer.is_empty() {
        found.push(pointer);
    }
}

/// Inside of a JSON Schema editors look at nothing.
fn is_in_a_schema(pointer: &str) -> bool {
    pointer.matches('/').count() > 4 && pointer.contains("/parameters/")
}

const GOOD: &str = "\
version: 1
environments: [production, staging]
secrets:
  key: {env: KEY}
auth:
  crm: {type: bearer, token: {secret: key}}
actions:
  get_item:
    description: Returns one item of the catalogue.
    method: GET
    url: https://api.good.test/items
    auth: crm
    timeout: 5s
    max_response_bytes: 64KiB
    doors: [proxy]
agents:
  bot: {token: {secret: key}, allow: [get_item]}
";

#[test]
fn an_editor_marks_what_check_refuses() {
    let validator = validator();
    assert!(is_accepted(GOOD) && validator.is_valid(&seen(GOOD)));
    let rows = [
        ("version: 1\n", ""),
        ("version: 1", "version: 2"),
        ("[production, staging]", "[]"),
        ("[production, staging]", "[staging, staging]"),
        ("[production, staging]", "[a b]"),
        ("{env: KEY}", "sk-1234"),
        ("{env: KEY}", "{env: KEY, file: /x}"),
        ("{env: KEY}", "{env: KEY, ttl: 5m}"),
        ("{env: KEY}", "{}"),
        (
            "{env: KEY}",
            "{production: {env: KEY}, staging: {nev: KEY}}",
        ),
        ("{env: KEY}", "{command: []}"),
        ("key: {env", "a key: {env"),
        ("key: {env", "none: {env"),
        ("type: bearer, ", ""),
        ("type: bearer", "type: beara"),
        ("type: bearer", "type: basic"),
        ("token: {secret: key}}\nactions", "token: hunter2}\nactions"),
        (
            "token: {secret: key}}\nactions",
            "token: {secret: key, prefx: x}}\nactions",
        ),
        ("agents:", "tunnels: [x]\nagents:"),
        ("    description: Returns one item of the catalogue.\n", ""),
        ("method: GET", "method: get"),
        ("method: GET", "metod: GET"),
        ("    url: https://api.good.test/items\n", ""),
        ("    auth: crm\n", "    auth: [crm]\n"),
        ("    auth: crm\n", "    connection: crm\n"),
        ("    auth: crm\n", "    path: /x\n"),
        ("    auth: crm\n", "    enabled: yes\n"),
        ("    auth: crm\n", "    headers: [X-A]\n"),
        ("    auth: crm\n", "    parameters: none\n"),
        ("    auth: crm\n", "    parameters: {type: array}\n"),
        ("    auth: crm\n", "    parameters: {}\n    variables: []\n"),
        (
            "    auth: crm\n",
            "    variables: [{name: x, type: text}]\n",
        ),
        ("    auth: crm\n", "    variables: [{type: string}]\n"),
        ("    auth: crm\n", "    accept_body: all\n"),
        ("    auth: crm\n", "    success: {status: []}\n"),
        ("    auth: crm\n", "    success: {equals: 1}\n"),
        ("    auth: crm\n", "    success: {path: $.a}\n"),
        (
            "    auth: crm\n",
            "    success: {path: $.a, equals: 1, exists: true}\n",
        ),
        ("    auth: crm\n", "    outcomes: {\"600\": bad}\n"),
        ("    auth: crm\n", "    outcomes: {\"200\": {say: x}}\n"),
        ("    auth: crm\n", "    outcomes: [{status: 200}]\n"),
        ("    auth: crm\n", "    outputs: {Name: {path: $.a}}\n"),
        ("    auth: crm\n", "    outputs: {name: $.a}\n"),
        ("    auth: crm\n", "    response: {}\n"),
        ("    auth: crm\n", "    content_types: []\n"),
        ("timeout: 5s", "timeout: 5"),
        ("timeout: 5s", "timeout: 5 s"),
        ("timeout: 5s", "timeout: 0s"),
        ("timeout: 5s", "timeout:"),
        ("64KiB", "64k"),
        ("64KiB", "0"),
        ("64KiB", "-1"),
        ("[proxy]", "[]"),
        ("[proxy]", "[ftp]"),
        ("token: {secret: key}, allow", "token: key, allow"),
        ("allow: [get_item]", "allow: get_item"),
        (", allow: [get_item]", ""),
        ("agents:", "agentes:"),
        (
            "agents:",
            "network: {allow_private: [{host: api.good.test, addresses: [10.0.0.1], port: 0}]}\nagents:",
        ),
        (
            "agents:",
            "network: {allow_private: [{host: api.good.test}]}\nagents:",
        ),
        ("agents:", "tunnels: {x: {hosts: []}}\nagents:"),
        (
            "agents:",
            "tunnels: {x: {hosts: [a.test], ports: [ssh]}}\nagents:",
        ),
        ("agents:", "context: {a b: {type: string}}\nagents:"),
        ("    auth: crm\n", "    auth: crm\n    rate_limit: 5/m\n"),
        (
            "    auth: crm\n",
            "    auth: crm\n    rate_limit: {limit: 5, per: minute, key: door}\n",
        ),
        (
            "    auth: crm\n",
            "    auth: crm\n    rate_limit: {limit: 0, per: minute}\n",
        ),
        ("agents:", "static_variables: {a-b: c}\nagents:"),
        ("agents:", "connections: {crm: {auth: crm}}\nagents:"),
    ];
    for (right, wrong) in rows {
        assert!(GOOD.contains(right), "{right}");
        let text = GOOD.replacen(right, wrong, 1);
        assert!(!is_accepted(&text), "check takes {wrong:?}");
        assert!(
            !validator.is_valid(&seen(&text)),
            "the schema takes {wrong:?}"
        );
    }
}

const SETTINGS: &str = "\
policies: policies
environment: staging
proxy_listen: 127.0.0.1:8080
plain_http: refuse
extra_ca: [corporate-ca.pem]
workers: 2
network:
  hosts:
    crm.internal.example.com: 10.0.5.7
    api.example.com: [\"127.0.0.1:8443\"]
";

#[test]
fn an_editor_marks_the_settings_that_are_refused() {
    let schema = app::json_schema();
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let read = |text: &str| Given::read(Path::new("exeat.yaml"), text.as_bytes()).is_ok();
    assert!(read(SETTINGS) && validator.is_valid(&seen(SETTINGS)));
    for (right, wrong) in [
        ("policies:", "polices:"),
        ("policies: policies", "policies: [a]"),
        ("127.0.0.1:8080", "localhost"),
        ("refuse", "maybe"),
        ("[corporate-ca.pem]", "{a: b}"),
        ("workers: 2", "workers: many"),
        ("workers: 2", "agent_requests: few"),
        ("hosts:", "host:"),
        ("10.0.5.7", "{a: b}"),
    ] {
        let text = SETTINGS.replacen(right, wrong, 1);
        assert!(!read(&text), "exeat takes {wrong:?}");
        assert!(
            !validator.is_valid(&seen(&text)),
            "the schema takes {wrong:?}"
        );
    }
    for (name, setting) in schema["properties"].as_object().unwrap() {
        assert!(setting["description"].is_string(), "{name}");
    }
}
