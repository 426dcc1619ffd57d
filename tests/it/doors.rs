//! One action, three doors: the proxy, the HTTP door and MCP send the same request for the same parameters, decide and
//! record it alike, and know the same sessions.

use std::cell::Cell;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde_json::{Map, Value, json};

use crate::world::{Origin, Plan, Revision, Seen, Web, World, json_reply};

/// The ways in.
const DOORS: [&str; 3] = ["proxy", "http", "mcp"];

/// One agent's conversation, through all doors.
struct Conversation<'w> {
    world: &'w World,
    session: String,
    web: Web<'w>,
}

/// A request as a program sends it: method, target behind the host, headers, body.
#[derive(Debug)]
struct Proxied {
    method: &'static str,
    target: String,
    headers: Vec<String>,
    body: String,
}

/// What the agent was told: null where it was carried out, else the code and the place.
type Told = (Value, Value);

impl<'w> Conversation<'w> {
    fn begin(world: &'w World, revision: Revision) -> Self {
        let session = world.open_session(None);
        let mut web = world.web(revision, "x");
        web.headers.push(format!("Exeat-Session: {session}"));
        Self {
            world,
            session,
            web,
        }
    }

    fn through(&mut self, door: &str, parameters: &Value, proxied: &Proxied) -> Told {
        self.call(door, "act", parameters, proxied)
    }

    fn call(&mut self, door: &str, name: &str, parameters: &Value, proxied: &Proxied) -> Told {
        match door {
            "proxy" => self.send(proxied),
            "http" => {
                let body = json!({"parameters": parameters, "session": self.session});
                let answer = self.world.call(name, "", &body);
                told(&answer.json())
            }
            _ => {
                let answer = self.web.call(name, parameters.clone());
                told(&answer["result"]["structuredContent"])
            }
        }
    }

    fn send(&self, proxied: &Proxied) -> Told {
        let login = STANDARD.encode(format!("~{}:x", self.session));
        let mut headers = vec![format!("Proxy-Authorization: Basic {login}")];
        headers.extend(proxied.headers.iter().cloned());
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        let url = format!("https://api.good.test{}", proxied.target);
        let answer = self
            .world
            .client()
            .send(proxied.method, &url, &headers, &proxied.body);
        match answer.refusal() {
            "none" => (Value::Null, Value::Null),
            _ => told(&answer.json()),
        }
    }
}

fn told(answer: &Value) -> Told {
    let error = &answer["error"];
    assert!(
        error.is_object() || answer["request_id"].is_string(),
        "{answer}"
    );
    (error["code"].clone(), error["pointer"].clone())
}

/// Where a parameter stands in the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Path,
    Query,
    Header,
    /// In no declared place: in the body, or in the query of a method without one.
    Rest,
    /// In a template of the body.
    Template,
}

/// What a parameter can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Integer,
    Number,
    Boolean,
    Texts,
    Object,
}

#[derive(Clone, Debug)]
struct Parameter {
    name: String,
    place: Place,
    kind: Kind,
    /// Its value; none for one that is left out, which is so optional.
    value: Option<Value>,
}

/// An action, and parameters for it; not all of them are good.
#[derive(Clone, Debug)]
struct Case {
    method: &'static str,
    parameters: Vec<Parameter>,
    auth: &'static str,
    is_form: bool,
}

const POLICY: &str = r#"
version: 1
secrets: {good_token: {env: A}, two_key: {env: B}}
auth:
  bearer: {type: bearer, token: {secret: good_token}}
  basic: {type: basic, username: bot, password: {secret: good_token}}
  query: {type: api_key, in: query, name: key, value: {secret: two_key}}
  header: {type: api_key, in: header, name: X-Key, value: {secret: two_key, prefix: "Key "}}
  cookie: {type: api_key, in: cookie, name: key, value: {secret: two_key}}
  body: {type: api_key, in: body, name: key, value: {secret: two_key}}
"#;

impl Case {
    fn has_body(&self) -> bool {
        !["GET", "DELETE"].contains(&self.method)
    }

    fn at(&self, place: Place) -> impl Iterator<Item = &Parameter> {
        self.parameters.iter().filter(move |it| it.place == place)
    }

    /// The parameters that stand in the body, by whatever way.
    fn in_body(&self) -> Vec<&Parameter> {
        let inside = |it: &&Parameter| matches!(it.place, Place::Rest | Place::Template);
        self.parameters
            .iter()
            .filter(inside)
            .filter(|_| self.has_body())
            .collect()
    }

    fn policy(&self) -> String {
        let schema = |it: &Parameter| (it.name.clone(), it.kind.schema());
        let properties: Map<String, Value> = self.parameters.iter().map(schema).collect();
        let required = self.parameters.iter().filter(|it| it.value.is_some());
        let required: Vec<&String> = required.map(|it| &it.name).collect();
        let path: String = self
            .at(Place::Path)
            .map(|it| format!("/x{{{{{}}}}}", it.name))
            .collect();
        let placed = |place, prefix: &str| -> Map<String, Value> {
            let named = |it: &Parameter| {
                (
                    format!("{prefix}{}", it.name),
                    json!(format!("{{{{{}}}}}", it.name)),
                )
            };
            self.at(place).map(named).collect()
        };
        let mut headers = placed(Place::Header, "X-");
        headers.insert("X-Conversation".into(), json!("of {{conversation_id}}"));
        let mut query = placed(Place::Query, "q_");
        query.insert("fixed".into(), json!("a b&c"));
        let mut action = json!({
            "description": "Does what the test wants.", "method": self.method, "auth": self.auth,
            "url": format!("https://api.good.test/v1{path}/end"), "headers": headers, "query": query,
            "parameters": {"type": "object", "properties": properties, "required": required},
        });
        if let Some(template) = self.template(|it| format!("{{{{{}}}}}", it.name)) {
            action["body"] = template.into();
        }
        if self.is_form {
            action["content_types"] =
                json!(["application/x-www-form-urlencoded", "application/json"]);
        }
        format!("{POLICY}actions: {}\n", json!({"act": action}))
    }

    /// The template of the body, filled in so.
    fn template(&self, fill: impl Fn(&Parameter) -> String) -> Option<String> {
        let members: Vec<String> = self
            .at(Place::Template)
            .map(|it| match it.kind {
                Kind::Text => format!(r#""{0}": {{"t": "{1}"}}"#, it.name, fill(it)),
                _ => format!(r#""{0}": [{1}, "more"]"#, it.name, fill(it)),
            })
            .collect();
        (!members.is_empty()).then(|| format!(r#"{{"kind": "note", {}}}"#, members.join(", ")))
    }

    fn parameters(&self) -> Value {
        let given = self.parameters.iter();
        let given = given.filter_map(|it| Some((it.name.clone(), it.value.clone()?)));
        Value::Object(given.collect())
    }

    /// The same as a program would send it that knows the API: in another spelling and another order than ours.
    fn proxied(&self) -> Proxied {
        let value = |it: &Parameter| it.value.clone().unwrap_or_default();
        let path = self
            .at(Place::Path)
            .map(|it| format!("/x{}", encode(&text(&value(it)))));
        let mut query: Vec<String> = Vec::new();
        for it in self.parameters.iter().rev() {
            let name = match it.place {
                Place::Query => format!("q_{}", it.name),
                Place::Rest if !self.has_body() => it.name.clone(),
                _ => continue,
            };
            let values = match value(it) {
                Value::Null => Vec::new(),
                Value::Array(values) => values,
                one => vec![one],
            };
            query.extend(
                values
                    .iter()
                    .map(|it| format!("{name}={}", encode(&text(it)))),
            );
        }
        let mut target = format!("/v1{}/end", path.collect::<String>());
        query.push("fixed=%61+b%26c".into());
        target += &format!("?{}", query.join("&"));
        let given = self.at(Place::Header).filter(|it| it.value.is_some());
        let mut headers: Vec<String> = given
            .map(|it| format!("x-{}: {}", it.name, text(&value(it))))
            .collect();
        let body = self.written_body();
        if !body.is_empty() {
            headers.push("Content-Type: application/json; charset=UTF-8".into());
        }
        Proxied {
            method: self.method,
            target,
            headers,
            body,
        }
    }

    fn written_body(&self) -> String {
        let inside = self.in_body();
        let value = |it: &Parameter| it.value.clone().unwrap_or_default();
        let fill = |it: &Parameter| match it.kind {
            // Inside the quotes of the template.
            Kind::Text => {
                let quoted = value(it).to_string();
                quoted[1..quoted.len() - 1].to_owned()
            }
            _ => value(it).to_string(),
        };
        if let Some(filled) = self.template(fill) {
            return filled;
        }
        let given = inside.iter().rev().filter(|it| it.value.is_some());
        let members: Vec<String> = given
            .map(|it| format!("{:?} : {:#}", it.name, value(it)))
            .collect();
        match inside.is_empty() {
            true => String::new(),
            false => format!("{{\n{}\n}}", members.join(" ,\n")),
        }
    }
}

impl Kind {
    fn schema(self) -> Value {
        match self {
            Self::Text => json!({"type": "string"}),
            Self::Integer => json!({"type": "integer"}),
            Self::Number => json!({"type": "number"}),
            Self::Boolean => json!({"type": "boolean"}),
            Self::Texts => json!({"type": "array", "items": {"type": "string"}}),
            Self::Object => {
                let sides = json!({"w": {"type": "number"}, "h": {"type": "array", "items": {"type": "integer"}}});
                json!({"type": "object", "properties": sides})
            }
        }
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        // As people write a number that is whole.
        Value::Number(number) => number.as_f64().unwrap().to_string(),
        other => other.to_string(),
    }
}

/// Everything but letters and digits, in small letters, and a space as a form has it where that is allowed too.
fn encode(text: &str) -> String {
    let byte = |it: u8| match it {
        b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => char::from(it).to_string(),
        _ => format!("%{it:02x}"),
    };
    text.bytes().map(byte).collect()
}

/// What a text is where it may be anything.
const ANY: &str = "[a-zA-Z0-9 .;:%?&=#+~'\"<>@,\u{e9}\u{6f22}\u{1f600}-]{1,12}";
/// What changes a path where it is not looked at.
const ODD: [&str; 9] = [
    "..", ".", "a/b", "../admin", "..;", "%2e%2e", "a\\b", "a?x=1", "a%2Fb",
];

fn value(place: Place, kind: Kind) -> BoxedStrategy<Value> {
    match kind {
        Kind::Text if place == Place::Header => "[!-~]{1,8}".prop_map(Value::from).boxed(),
        Kind::Text => prop_oneof![
            6 => ANY.prop_map(Value::from),
            1 => select(&ODD[..]).prop_map(Value::from),
        ]
        .boxed(),
        Kind::Integer => any::<i32>().prop_map(Value::from).boxed(),
        Kind::Number => any::<i16>()
            .prop_map(|it| json!(f64::from(it) / 4.0))
            .boxed(),
        Kind::Boolean => any::<bool>().prop_map(Value::from).boxed(),
        Kind::Texts => prop::collection::vec(ANY, 1..4)
            .prop_map(Value::from)
            .boxed(),
        Kind::Object => (any::<i16>(), prop::collection::vec(any::<i32>(), 0..3))
            .prop_map(|(w, h)| json!({"w": f64::from(w) / 4.0, "h": h}))
            .boxed(),
    }
}

fn parameter(
    number: usize,
    places: Vec<Place>,
    is_form: bool,
    is_json: bool,
) -> BoxedStrategy<Parameter> {
    use Kind::{Boolean, Integer, Number, Object, Text, Texts};
    select(places)
        .prop_flat_map(move |place| {
            let kinds = match place {
                Place::Path | Place::Header | Place::Template => {
                    vec![Text, Text, Integer, Number, Boolean]
                }
                Place::Rest if is_json && !is_form => {
                    vec![Text, Integer, Number, Boolean, Texts, Object]
                }
                _ => vec![Text, Integer, Number, Boolean, Texts],
            };
            (Just(place), select(kinds))
        })
        .prop_flat_map(move |(place, kind)| {
            let may_be_missing = matches!(place, Place::Query | Place::Header | Place::Rest);
            let value = value(place, kind);
            let value = match may_be_missing {
                true => prop::option::of(value).boxed(),
                false => value.prop_map(Some).boxed(),
            };
            (Just(place), Just(kind), value)
        })
        .prop_map(move |(place, kind, value)| Parameter {
            name: format!("p{number}"),
            place,
            kind,
            value,
        })
        .boxed()
}

fn cases() -> impl Strategy<Value = Case> {
    let method = select(vec!["GET", "DELETE", "POST", "PUT", "PATCH"]);
    let shape = (method, any::<bool>(), any::<bool>(), 0..6_usize);
    shape.prop_flat_map(|(method, is_template, wants_form, count)| {
        let has_body = !["GET", "DELETE"].contains(&method);
        let rest = match has_body && is_template {
            true => Place::Template,
            false => Place::Rest,
        };
        let is_form = has_body && !is_template && wants_form;
        let places = vec![Place::Path, Place::Query, Place::Header, rest, rest];
        let parameters: Vec<_> = (0..count)
            .map(|number| parameter(number, places.clone(), is_form, has_body))
            .collect();
        (
            parameters,
            select(vec![
                "bearer", "basic", "query", "header", "cookie", "body", "none",
            ]),
        )
            .prop_map(move |(parameters, auth)| {
                let mut case = Case {
                    method,
                    parameters,
                    auth,
                    is_form,
                };
                case.is_form &= !case.in_body().is_empty();
                // A key in a body that there is not is an error of the policy.
                if auth == "body" && case.in_body().is_empty() {
                    case.auth = "none";
                }
                case
            })
    })
}

/// Those of a record that tell of the request, whichever door it came through.
fn shared(record: &Value) -> Value {
    let mut shared = record.as_object().unwrap().clone();
    for of_the_door in ["door", "bytes_in", "bytes_out"] {
        shared.remove(of_the_door);
    }
    for of_the_moment in ["time", "request_id", "seq", "duration_ms", "upstream_ms"] {
        shared.remove(of_the_moment);
    }
    // As it was asked, and a program has its own order.
    if let Some(names) = shared.get_mut("query").and_then(Value::as_array_mut) {
        names.sort_by_key(Value::to_string);
    }
    shared.into()
}

#[test]
fn every_door_sends_the_same_bytes_for_the_same_parameters() {
    let world = Plan::of(&format!(
        "{POLICY}actions: {{act: {{description: Nothing yet., method: GET, url: api.good.test/}}}}"
    ))
    .start();
    let origin = world.origin("api.good.test", |_| json_reply(r#"{"done":true}"#));
    let conversation = std::cell::RefCell::new(Conversation::begin(&world, Revision::ALL[1]));
    let mut runner = TestRunner::new(Config {
        cases: 128,
        failure_persistence: None,
        max_shrink_iters: 200,
        ..Config::default()
    });
    let carried = Cell::new(0);
    let outcome = runner.run(&cases(), |case| {
        world.reload(&case.policy());
        let is_carried = compare(&world, &origin, &mut conversation.borrow_mut(), &case)?;
        carried.set(carried.get() + u32::from(is_carried));
        Ok(())
    });
    outcome.unwrap();
    let carried = carried.get();
    assert!(carried > 64, "only {carried} of 128 cases were carried out");
}

/// One case through all doors; whether it was carried out.
fn compare(
    world: &World,
    origin: &Origin,
    conversation: &mut Conversation<'_>,
    case: &Case,
) -> Result<bool, TestCaseError> {
    let (parameters, proxied) = (case.parameters(), case.proxied());
    let before = (origin.seen().len(), world.records(0).len());
    let told = DOORS.map(|door| conversation.through(door, &parameters, &proxied));
    let seen: Vec<Seen> = origin.seen().split_off(before.0);
    let records = world.records(before.1 + DOORS.len()).split_off(before.1);
    prop_assert_eq!(&told[1], &told[2], "the tool doors");
    let doors: Vec<&str> = records
        .iter()
        .map(|it| it["door"].as_str().unwrap())
        .collect();
    prop_assert_eq!(doors, DOORS);
    let is_carried = told[1].0.is_null();
    if is_carried {
        prop_assert!(
            told[0].0.is_null(),
            "the proxy says {:?} to {:?}",
            told[0],
            proxied
        );
        prop_assert_eq!(seen.len(), DOORS.len());
        prop_assert_eq!(&seen[0], &seen[1]);
        prop_assert_eq!(&seen[1], &seen[2]);
        prop_assert_eq!(shared(&records[0]), shared(&records[1]));
    } else {
        // In a URL some of what was refused cannot even be read as the same parameter.
        prop_assert!(!told[0].0.is_null(), "the proxy carries {:?}", proxied);
        prop_assert_eq!(seen.len(), 0);
    }
    prop_assert_eq!(shared(&records[1]), shared(&records[2]));
    Ok(is_carried)
}

#[test]
fn only_headers_that_are_let_through_differ() {
    let policy = "actions:\n  act: {description: Takes what is let through., method: GET, url: api.good.test/v1, \
                  auth: bearer, accept_headers: [X-Own]}\n";
    let world = Plan::of(&format!("{POLICY}{policy}")).start();
    let origin = world.origin("api.good.test", |_| json_reply("{}"));
    let mut conversation = Conversation::begin(&world, Revision::ALL[2]);
    let own = [
        "X-Own: 1",
        "X-Other: 2",
        "Accept: text/plain",
        "Authorization: mine",
    ];
    let proxied = Proxied {
        method: "GET",
        target: "/v1".into(),
        headers: own.map(str::to_owned).to_vec(),
        body: String::new(),
    };
    for door in DOORS {
        let told = conversation.through(door, &json!({}), &proxied);
        assert!(told.0.is_null(), "{door}: {told:?}");
    }
    let seen = origin.seen();
    assert_eq!(seen[1], seen[2]);
    let is_own = |line: &&str| line.starts_with("x-own:") || line.starts_with("accept: ");
    let lines = |seen: &Seen| -> Vec<String> {
        seen.head
            .to_lowercase()
            .lines()
            .map(str::to_owned)
            .collect()
    };
    let (proxied, called) = (lines(&seen[0]), lines(&seen[1]));
    let passed: Vec<&str> = proxied.iter().map(String::as_str).filter(is_own).collect();
    assert_eq!(passed.len(), 2, "{proxied:?}");
    let rest: Vec<&str> = proxied
        .iter()
        .map(String::as_str)
        .filter(|it| !is_own(it))
        .collect();
    assert_eq!(rest, called);
}

/// Values that would change a path where they are put in as they are.
const TWISTED: [&str; 16] = [
    "../admin",
    "a/b",
    "a?x=1",
    "%2e%2e",
    "..;",
    "..",
    ".",
    "a\\b",
    "%2F",
    "a#b",
    "..%2fadmin",
    "a;b=c",
    "//",
    "%00",
    "..\\admin",
    "\u{ff0e}\u{ff0e}",
];

#[test]
fn no_value_changes_the_shape_of_a_path() {
    for (pattern, before, after) in [
        ("/v1/items/{{id}}", "/v1/items/", ""),
        ("/v1/items/{{id}}.json", "/v1/items/", ".json"),
        ("/v1/{{id}}/tail", "/v1/", "/tail"),
        ("/v1/files/{{id...}}", "/v1/files/", ""),
    ] {
        let policy = format!(
            "actions:\n  act: {{description: Has a value in its path., method: GET, url: \"api.good.test{pattern}\", \
             parameters: {{properties: {{id: {{type: string}}}}, required: [id]}}}}\n"
        );
        let world = Plan::of(&format!("version: 1\n{policy}")).start();
        let origin = world.origin("api.good.test", |_| json_reply("{}"));
        let mut conversation = Conversation::begin(&world, Revision::ALL[0]);
        for value in TWISTED {
            let encoded = encode(value);
            for (door, spelled) in [
                ("proxy", value),
                ("proxy", &encoded),
                ("http", ""),
                ("mcp", ""),
            ] {
                let proxied = Proxied {
                    method: "GET",
                    target: format!("{before}{spelled}{after}"),
                    headers: Vec::new(),
                    body: String::new(),
                };
                let count = origin.seen().len();
                let told = conversation.through(door, &json!({"id": value}), &proxied);
                let seen = origin.seen().split_off(count);
                assert_eq!(told.0.is_null(), !seen.is_empty(), "{told:?}");
                let target = seen.iter().map(|it| it.line().split(' ').nth(1).unwrap());
                for target in target {
                    let inner = target
                        .strip_prefix(before)
                        .and_then(|it| it.strip_suffix(after));
                    let inner = inner.unwrap_or_else(|| panic!("{door} {value:?}: {target}"));
                    let is_rest = pattern.ends_with("...}}");
                    keeps_its_segments(inner, is_rest, &format!("{door} {value:?}: {target}"));
                }
            }
        }
    }
}

/// As a server reads it that decodes once, or that takes away what stands behind a `;`.
fn keeps_its_segments(inner: &str, may_be_many: bool, place: &str) {
    assert!(!inner.contains(['?', '#', '\\']), "{place}");
    let segments: Vec<&str> = inner.split('/').collect();
    assert!(may_be_many || segments.len() == 1, "{place}");
    for segment in segments {
        let decoded = segment.replace("%2E", ".").replace("%3B", ";");
        let bare = decoded.split(';').next().unwrap();
        assert!(!["", ".", ".."].contains(&bare), "{place}");
        for encoded in ["%2F", "%5C", "%00"] {
            assert!(!segment.contains(encoded), "{place}");
        }
    }
}

const VERIFY_FIRST: &str = r#"
version: 1
actions:
  verify_customer:
    description: Verifies a customer by number and PIN. Use it before anything about a customer.
    method: POST
    url: https://api.good.test/verify
    parameters:
      properties: {customer: {type: string}, pin: {type: string}}
      required: [customer, pin]
    success: {path: $.verified, equals: true}
    outputs: {known.name: {path: $.name, expose: true}}
  lookup_orders:
    description: Lists the orders of a customer who has been verified.
    method: GET
    url: https://api.good.test/customers/{{customer}}/orders
    headers: {X-Name: "{{.variables.known.name}}"}
    parameters: {properties: {customer: {type: string}}, required: [customer]}
    requires: [{action: verify_customer, bind: {customer: customer}}]
"#;

#[test]
fn what_was_verified_at_one_door_may_be_looked_up_at_every_other() {
    let world = Plan::of(VERIFY_FIRST).start();
    let origin = world.origin("api.good.test", |seen| match seen.text().contains("5678") {
        true => json_reply(r#"{"verified":true,"name":"Ada"}"#),
        false => json_reply(r#"{"verified":false}"#),
    });
    for (number, verifying) in DOORS.into_iter().enumerate() {
        let mut conversation = Conversation::begin(&world, Revision::ALL[number]);
        let customer = format!("c{number}");
        for (pin, then) in [
            ("1", "precondition_unmet"),
            ("5678", ""),
            ("2", "precondition_unmet"),
        ] {
            let parameters = json!({"customer": customer, "pin": pin});
            let verify = Proxied {
                method: "POST",
                target: "/verify".into(),
                headers: vec!["Content-Type: application/json".into()],
                body: parameters.to_string(),
            };
            let told = conversation.call(verifying, "verify_customer", &parameters, &verify);
            assert!(told.0.is_null(), "{verifying}: {told:?}");
            for door in DOORS {
                let lookup = Proxied {
                    method: "GET",
                    target: format!("/customers/{customer}/orders"),
                    headers: Vec::new(),
                    body: String::new(),
                };
                let parameters = json!({"customer": customer});
                let told = conversation.call(door, "lookup_orders", &parameters, &lookup);
                assert_eq!(
                    told.0.as_str().unwrap_or_default(),
                    then,
                    "{verifying}, then {door}"
                );
            }
        }
    }
    let looked_up = origin
        .seen()
        .into_iter()
        .filter(|it| it.line().starts_with("GET"));
    let names: Vec<String> = looked_up.map(|it| it.header("x-name").concat()).collect();
    assert_eq!(names, ["Ada"; 9]);
    let sessions = world
        .records(0)
        .into_iter()
        .map(|it| it["session"].to_string());
    let sessions: std::collections::BTreeSet<String> = sessions.filter(|it| it != "null").collect();
    assert_eq!(
        sessions.len(),
        3,
        "one for each conversation, whatever the door"
    );
}
