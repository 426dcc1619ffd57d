//! Texts of policies, and what reading them finds.

use std::time::Duration;

use super::*;
use crate::policy::raw::action::AcceptBody;
use crate::policy::raw::action::Door;
use crate::policy::raw::action::Method;
use crate::policy::raw::connector::Connector;
use crate::policy::raw::fields::Section;
use crate::policy::raw::fields::Shape;
use crate::policy::raw::secret::Source;
use crate::policy::raw::secret::Value;
use crate::problem::Style;

/// Every field that this release supports.
const FULL: &str = r#"version: 1
environments: [production, staging]
secrets:
  openweather_key: {env: OPENWEATHER_API_KEY}
  jira_token:
    production: {file: /run/secrets/jira_token}
    staging: {command: [op, read, "op://staging/jira"], ttl: 5m}
static_variables:
  JIRA_PROJECT: {production: EX, staging: EXS}
  LIMIT: 10
auth:
  openweather: {type: api_key, in: query, name: appid, value: {secret: openweather_key}, placeholder: none-here}
  jira: {type: basic, username: bot@example.com, password: {secret: jira_token}}
  crm:
    type: bearer
    token: {production: {secret: jira_token}, staging: {secret: openweather_key}}
  open: {type: none}
connections:
  jira:
    base_url: {production: https://mycompany.atlassian.net, staging: https://staging.atlassian.net}
    auth: jira
    headers: {Accept: application/json, X-Api-Version: 1.0, X-Key: {secret: jira_token, prefix: "Token "}}
    timeout: 5s
    connect_timeout: {production: 1s, staging: 3s}
    idle_timeout: 1m
actions:
  create_issue:
    title: Create an issue
    description: Creates an issue in Jira.
    enabled: true
    connection: jira
    method: POST
    path: /rest/api/3/issue/{{project}}
    parameters:
      type: object
      properties: {summary: {type: string, maxLength: 200}}
      required: [summary]
    headers: {X-From: "{{agent_id}}"}
    query: {notify: "false"}
    accept_body: {type: object}
    content_types: [application/json]
    accept_headers: [Accept]
    auth: none
    timeout: 5s
    connect_timeout: 250ms
    idle_timeout: 1h
    max_request_bytes: 64KiB
    max_response_bytes: 1048576
    doors: [proxy, mcp]
  push:
    description: Pushes commits.
    url: {production: "http://git.internal/x", staging: "http://git.staging/x"}
    method: POST
    accept_body: any
    stream: true
    trailers: true
    allow_http: true
  listen:
    description: Hears what happens.
    url: {production: "http://git.internal/x", staging: "http://git.staging/x"}
    method: GET
    upgrade: websocket
agents:
  support-bot:
    title: The support bot
    token: {secret: jira_token}
    environment: production
    allow: [create_issue, "get_*"]
network:
  allow_private:
    - {host: git.internal, addresses: [10.0.5.0/24], port: 8443}
tunnels:
  packages: {hosts: [pypi.org], ports: [443]}
"#;

fn read(files: &[(&str, &str)]) -> (Policy, Sources, Problems) {
    let (mut sources, mut problems) = (Sources::new(), Problems::new());
    let owned = |(name, text): &(&str, &str)| ((*name).to_owned(), text.as_bytes().to_vec());
    let files: Vec<_> = files.iter().map(owned).collect();
    let policy = parse(files, &mut sources, &mut problems);
    (policy, sources, problems)
}

fn told(problems: Problems) -> Vec<String> {
    let line = |p: &crate::problem::Problem| {
        let place = p.place();
        let remedy = p
            .remedy_text()
            .map(|r| format!(" ({r})"))
            .unwrap_or_default();
        format!(
            "{}:{} {}{remedy}",
            place.line(),
            place.column(),
            p.message()
        )
    };
    problems.sorted().iter().map(line).collect()
}

/// What is told of one file.
fn mistakes(text: &str) -> Vec<String> {
    told(read(&[("p.yaml", text)]).2)
}

/// What is told of an action with these fields beside the required ones.
fn mistakes_of_action(fields: &str) -> Vec<String> {
    let start = "version: 1\nactions:\n  a:\n    description: Does it.\n    method: GET\n    ";
    mistakes(&format!("{start}{fields}\n"))
}

#[test]
fn every_supported_field_is_read() {
    let (policy, _, problems) = read(&[("full.yaml", FULL)]);
    assert!(problems.is_empty(), "{:?}", told(problems));
    assert!(!policy.is_partial);
    let (_, action) = policy.actions.get("create_issue").unwrap();
    assert_eq!(action.method.as_ref().unwrap().value, Method::Post);
    assert_eq!(
        action.connect_timeout.as_ref().unwrap().value,
        Duration::from_millis(250)
    );
    assert_eq!(
        action.max_request_bytes.as_ref().unwrap().value.get(),
        65_536
    );
    assert_eq!(action.doors.as_ref().unwrap().items[1].value, Door::Mcp);
    assert!(matches!(
        action.accept_body.as_deref(),
        Some(AcceptBody::Schema(_))
    ));
    let schema = action.parameters.as_ref().unwrap();
    let place = schema.json.places.value("/properties/summary/maxLength");
    assert_eq!((place.line(), place.column()), (36, 55));
    let (_, push) = policy.actions.get("push").unwrap();
    assert!(matches!(
        push.accept_body.as_deref(),
        Some(AcceptBody::Any(_))
    ));
    let url = push.url.as_ref().unwrap().get("staging").unwrap();
    assert_eq!(url.value, "http://git.staging/x");
    let (_, connection) = policy.connections.get("jira").unwrap();
    let headers = &connection.headers.as_ref().unwrap().items;
    let version = headers[1].1.get("production").unwrap();
    assert!(matches!(version, Value::Literal(text) if text.value == "1.0"));
    let (_, jira_token) = policy.secrets.get("jira_token").unwrap();
    assert!(matches!(
        jira_token.get("production"),
        Some(Source::File(_))
    ));
    assert!(matches!(
        jira_token.get("staging"),
        Some(Source::Command { ttl: Some(_), .. })
    ));
    assert!(jira_token.get("test").is_none());
    let connectors: Vec<_> = policy.auth.iter().map(|(_, connector)| connector).collect();
    assert!(matches!(
        connectors[..],
        [
            Connector::ApiKey(_),
            Connector::Basic(_),
            Connector::Bearer(_),
            Connector::None(_)
        ]
    ));
    assert!(policy.agents.place.is_some() && policy.agents.is_declared("support-bot"));
    assert_eq!(policy.allow_private[0].port.as_ref().unwrap().value, 8443);
}

#[test]
fn ten_different_mistakes_are_told_at_once_each_at_its_place() {
    let text = r#"version: 1
secrets:
  key: {evn: KEY}
auth:
  api: {type: baerer, token: {secret: key}}
actions:
  get_it:
    metod: GET
    description: [Gets it]
    url: https://api.example.com/{{id}}
    path: {{id}}
    timeout: 5
    max_response_bytes: 10 apples
    enabled: yes
    doors: proxy
    doors: [http]
  get_it:
    method: get
    description: Gets it.
    url: https://api.example.com
"#;
    let expected = [
        "3:9 unknown field `evn` in the source of a secret (did you mean `env`?)",
        "5:15 expected `bearer`, `basic`, `api_key`, `oauth2_client_credentials` or `none`, \
         found `baerer` (did you mean `bearer`?)",
        "8:5 unknown field `metod` in an action (did you mean `method`?)",
        "9:18 expected text, found a list",
        "11:11 YAML reads `{{` as a mapping, not as a template \
         (quote it: put the whole value into quotes)",
        "12:14 expected a duration such as `5s` or `250ms`, found `5` (add the unit: `5s`)",
        "13:25 expected a size such as `64KiB` or `10MiB`, found `10 apples` \
         (the units are `KiB`, `MiB`, `GiB`, `KB`, `MB` and `GB`)",
        "14:14 expected `true` or `false`, found `yes` (write `true`, without quotes)",
        "15:12 expected a list, found text (write a list: `[…]`, or `- …` on lines of their own)",
        "16:5 `doors` is declared twice",
        "17:3 `get_it` is declared twice",
    ];
    assert_eq!(mistakes(text), expected);
}

#[test]
fn a_rate_is_a_number_of_calls_and_a_unit_of_time() {
    for good in [
        "1/second",
        "30/minute",
        "'5/hour'",
        "1000000/day",
        "{limit: 30, per: minute}",
        "{limit: 30, per: minute, burst: 10, key: session}",
    ] {
        let told = mistakes_of_action(&format!("rate_limit: {good}"));
        assert_eq!(told, [""; 0], "{good}");
    }
    let units = "the units are `second`, `minute`, `hour` and `day`";
    let least = "write a whole number of calls, at least 1";
    let most = "write at most 1000000, or a shorter unit of time";
    for (wrong, remedy) in [
        ("30", units),
        ("30/m", units),
        ("30/minutes", units),
        ("30 / minute", least),
        ("30/ minute", units),
        ("0/minute", least),
        ("030/minute", least),
        ("-1/minute", least),
        ("1.5/minute", least),
        ("/minute", least),
        ("1000001/day", most),
        ("99999999999999999999/day", most),
    ] {
        let expected =
            format!("6:17 expected a rate such as `30/minute`, found `{wrong}` ({remedy})");
        let told = mistakes_of_action(&format!("rate_limit: {wrong}"));
        assert_eq!(told, [expected], "{wrong}");
    }
    for (wrong, expected) in [
        ("{limit: 30}", "a rate limit needs `per`"),
        ("{per: minute}", "a rate limit needs `limit`"),
        (
            "{limit: 0, per: minute}",
            "expected an integer from 1 to 1000000, found `0`",
        ),
        ("{limit: 1, per: minutes}", "(did you mean `minute`?)"),
        ("{limit: 1, per: minute, burst: 1.5}", "expected an integer"),
        (
            "{limit: 1, per: minute, key: agents}",
            "(did you mean `agent`?)",
        ),
        (
            "{limit: 1, per: minute, brust: 2}",
            "(did you mean `burst`?)",
        ),
        (
            "[30/minute]",
            "expected a rate such as `30/minute` or a rate limit",
        ),
    ] {
        let told = mistakes_of_action(&format!("rate_limit: {wrong}"));
        assert_eq!(told.len(), 1, "{wrong}: {told:?}");
        assert!(told[0].contains(expected), "{wrong}: {told:?}");
    }
}

#[test]
fn wrong_types_say_what_was_expected_and_what_is_there() {
    let rows = [
        ("title: {a: b}", "expected text, found a mapping"),
        (
            "title:",
            "expected text, found nothing (give it a value, or remove the line)",
        ),
        ("headers: [x]", "expected a mapping, found a list"),
        ("upgrade: http2", "expected `websocket`, found `http2`"),
        ("trailers: 1", "expected `true` or `false`, found `1`"),
        (
            "headers: {A: [x]}",
            "expected text or `{secret: …, prefix: …}`, found a list",
        ),
        ("url: []", "expected text, found a list"),
        (
            "url: {}",
            "expected text, or one for each environment, found `{}`",
        ),
        ("parameters: any", "expected a JSON Schema, found text"),
        (
            "accept_body: all",
            "expected `any` or a JSON Schema, found `all`",
        ),
        (
            "doors: [tcp]",
            "expected `proxy`, `http` or `mcp`, found `tcp`",
        ),
        ("timeout: 0s", "a duration of zero (write at least `1ms`)"),
        (
            "timeout: 25h",
            "a duration longer than a day (write at most `24h`)",
        ),
        (
            "max_request_bytes: 2GiB",
            "a size of more than 1 GiB (write at most `1GiB`)",
        ),
        (
            "headers: {A: {secret: k, prefx: x}}",
            "unknown field `prefx` in a secret's use",
        ),
    ];
    for (fields, expected) in rows {
        let all = mistakes_of_action(fields);
        assert_eq!(all.len(), 1, "{fields}: {all:?}");
        assert!(all[0].contains(expected), "{fields}: {all:?}");
    }
}

#[test]
fn a_secret_has_exactly_one_source() {
    let rows = [
        ("{ttl: 5m}", "a secret has exactly one source"),
        ("{env: A, file: /x}", "a secret has exactly one source"),
        ("{store: a, file: /x}", "a secret has exactly one source"),
        ("{command: []}", "a command without a program"),
        ("{env: A, ttl: 5m}", "`ttl` belongs to `command` only"),
        (
            "hunter2",
            "the value of a secret never stands in a policy (secret_in_policy)",
        ),
        (
            "{production: hunter2}",
            "unknown field `production` in the source of a secret",
        ),
    ];
    for (source, expected) in rows {
        let text = format!("version: 1\nsecrets: {{k: {source}}}\nactions: {{}}\ntunnels: {{}}\n");
        let all = mistakes(&text);
        assert!(
            all.iter().any(|line| line.contains(expected)),
            "{source}: {all:?}"
        );
        let (_, sources, problems) = read(&[("p.yaml", &text)]);
        for problem in problems.iter() {
            let drawn = sources.render(problem, Style::Plain);
            assert!(!drawn.contains("hunter2"), "{drawn}");
        }
    }
}

#[test]
fn no_drawing_and_no_message_shows_a_credential_that_stands_in_a_policy() {
    let rows = [
        "auth: {x: {type: bearer, token: hunter2, foo: 1}}",
        "auth: {x: {type: bearer, token: [hunter2], foo: 1}}",
        "auth: {x: {type: bearer, token: {production: hunter2}, foo: 1}}",
        "auth: {x: {type: bearer, tokn: hunter2}}",
        "auth: {x: {type: baerer, token: hunter2}}",
        "auth: {x: {token: hunter2}}",
        "auth: {x: hunter2}",
        "auth: {x: [{y: hunter2}]}",
        "auth: {x: {type: basic, username: a, pasword: hunter2}}",
        "auth: {x: {type: none, password: {value: hunter2}}}",
        "agents: {x: {token: hunter2, allow: [a], foo: 1}}",
        "agents: {x: {token: {secrt: hunter2}, allow: [a]}}",
        "secrets: {x: {value: hunter2}}",
        "connections: {c: {base_url: https://x.com, headers: {X-Api-Key: hunter2}, foo: 1}}",
        "secrets: {x: [hunter2]}",
    ];
    for section in rows {
        let text = format!("version: 1\n{section}\n");
        let (_, sources, problems) = read(&[("p.yaml", &text)]);
        assert!(problems.has_errors(), "{section}");
        for problem in problems.iter() {
            let drawn = sources.render(problem, Style::Plain);
            assert!(!drawn.contains("hunter2"), "{section}: {drawn}");
        }
    }
}

#[test]
fn files_are_one_policy_and_a_name_stands_in_one_of_them() {
    let a = "version: 1\nenvironments: [p]\nactions:\n  one: {description: One., method: GET}\n";
    let b = "version: 1\nactions:\n  two: {description: Two., method: GET}\n";
    let (policy, _, problems) = read(&[("a.yaml", a), ("b.yaml", b)]);
    assert!(problems.is_empty(), "{:?}", told(problems));
    assert_eq!(policy.actions.names().collect::<Vec<_>>(), ["one", "two"]);

    let (policy, _, problems) = read(&[("a.yaml", a), ("b.yaml", b), ("c.yaml", a)]);
    let all: Vec<_> = problems
        .iter()
        .map(|p| {
            format!(
                "{} {} {}",
                p.place(),
                p.message(),
                p.second_place().unwrap().1
            )
        })
        .collect();
    let expected = [
        "c.yaml:2:15 `environments` stands in two files a.yaml:2:15",
        "c.yaml:4:3 `one` is declared twice a.yaml:4:3",
    ];
    assert_eq!(all, expected);
    assert_eq!(policy.actions.names().count(), 2);
}

#[test]
fn a_name_that_could_not_be_decoded_is_still_declared() {
    let text = "version: 1\nauth: {x: {type: what}}\nactions: {a: [], none: {}}\n";
    let (policy, _, problems) = read(&[("p.yaml", text)]);
    assert!(policy.auth.is_declared("x") && policy.auth.get("x").is_none());
    assert!(policy.actions.is_declared("a") && policy.actions.get("a").is_none());
    assert!(
        told(problems)
            .iter()
            .any(|line| line.contains("the name `none` is reserved"))
    );
}

#[test]
fn what_is_no_policy_is_told() {
    let rows = [
        (
            "",
            "1:1 the file is empty (start it with `version: 1`, or remove it)",
        ),
        (
            "[]",
            "1:1 expected a policy, which is a mapping, found a list",
        ),
        ("version: 1\n", "1:1 no action and no tunnel is declared"),
        ("actions: {}\n", "1:1 a policy needs `version`"),
        (
            "version: 2\n",
            "1:10 expected `1`, found `2` (write `version: 1`)",
        ),
        (
            "version: '1'\n",
            "1:10 expected `1`, found `1` (write `version: 1`)",
        ),
        (
            "version: 1\nactions: {}\ntests: []\n",
            "3:1 unknown field `tests` in a policy",
        ),
    ];
    for (text, expected) in rows {
        let all = mistakes(text);
        assert!(
            all.iter().any(|line| line.starts_with(expected)),
            "{text:?}: {all:?}"
        );
    }
}

#[test]
fn the_tables_are_fit_for_people_and_editors() {
    let mut names = Vec::new();
    walk(&Shape::Section(&file::File::SECTION), &mut names);
    assert!(
        names.contains(&"an action.rate_limit".to_owned()),
        "{names:?}"
    );
    assert!(
        names.contains(&"a `basic` connector.type".to_owned()),
        "{names:?}"
    );
}

fn walk(shape: &Shape, names: &mut Vec<String>) {
    match shape {
        Shape::Section(section) => walk_section(section, names),
        Shape::List(inner) | Shape::Map(_, inner) => walk(inner, names),
        Shape::Either(several) => several.iter().for_each(|shape| walk(shape, names)),
        _ => assert!(!shape.in_words().is_empty()),
    }
}

fn walk_section(section: &Section, names: &mut Vec<String>) {
    let mut seen = Vec::new();
    for field in section.fields {
        assert!(
            !seen.contains(&field.name),
            "{} twice in {}",
            field.name,
            section.what
        );
        assert!(
            !field.about.is_empty() && !field.about.ends_with('.'),
            "{}",
            field.name
        );
        seen.push(field.name);
        names.push(format!("{}.{}", section.what, field.name));
        walk(&field.shape, names);
    }
}

#[test]
fn the_files_of_a_folder_are_read_in_order_without_tests_and_hidden_ones() {
    let folder = Folder::new("order");
    let policy = |name: &str| {
        format!("version: 1\nactions: {{{name}: {{description: Does it., method: GET}}}}\n")
    };
    folder.write("b.yaml", &policy("b"));
    folder.write("a.yml", &policy("a"));
    folder.write("a.test.yaml", "tests: []\n");
    folder.write("notes.txt", "no policy");
    folder.write("..2026/a.yml", &policy("a"));
    folder.write("team/c.yaml", &policy("c"));
    let (policy, all) = folder.load("");
    assert!(all.is_empty(), "{all:?}");
    assert_eq!(policy.actions.names().collect::<Vec<_>>(), ["a", "b", "c"]);
    let (policy, all) = folder.load("b.yaml");
    assert!(all.is_empty(), "{all:?}");
    assert_eq!(policy.actions.names().collect::<Vec<_>>(), ["b"]);
}

#[test]
fn a_path_without_a_policy_is_told() {
    let folder = Folder::new("none");
    let (_, all) = folder.load("");
    assert!(all[0].contains("there is no policy file"), "{all:?}");
    let (_, all) = folder.load("missing.yaml");
    assert!(all[0].contains("cannot be read"), "{all:?}");
    folder.write("large.yaml", &" ".repeat(crate::yaml::MAX_BYTES + 1));
    let (_, all) = folder.load("");
    assert!(all[0].contains("larger than 1 MiB"), "{all:?}");
}

#[cfg(unix)]
#[test]
fn a_file_that_everyone_may_write_is_not_read() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new("writable");
    folder.write("p.yaml", FULL);
    assert!(folder.load("").1.is_empty());
    let mode = std::fs::Permissions::from_mode(0o646);
    std::fs::set_permissions(folder.0.join("p.yaml"), mode).unwrap();
    let (policy, all) = folder.load("");
    assert_eq!(
        all,
        [
            "1:1 everyone on this machine may write this file (take the right away: `chmod o-w FILE`)"
        ]
    );
    assert!(policy.actions.is_empty());
}

/// A folder of its own, removed at the end.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let name = format!("exeat-raw-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn load(&self, name: &str) -> (Policy, Vec<String>) {
        let (mut sources, mut problems) = (Sources::new(), Problems::new());
        let path = if name.is_empty() {
            self.0.clone()
        } else {
            self.0.join(name)
        };
        let files = super::read(&path, &mut problems);
        let policy = parse(files, &mut sources, &mut problems);
        (policy, told(problems))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
